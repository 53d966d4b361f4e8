//! Messages out of a stream: each ends where its `Content-Length` says (RFC 3261 §18.3), and line ends between them keep it alive
//! (RFC 5626 §3.5.1).

use bytes::{Buf as _, Bytes, BytesMut};

use super::malformed::Malformed;
use super::message::{Frame, Message, blank_line};
use crate::limits::SIP_MESSAGE_BYTES;

/// A stream that is parted into messages as it comes.
///
/// It holds no more than one message and what came with it.
#[derive(Debug, Default)]
pub struct Framer {
    buffer: BytesMut,
    /// Bytes of the buffer that hold no end of a head.
    searched: usize,
    /// The whole length of the message that has begun, once its head is there.
    length: Option<usize>,
}

/// What a stream was parted into.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Piece {
    /// A whole message, to be read by [`Message::parse_datagram`].
    Message(Bytes),
    /// Two line ends alone: whoever sent them wants one back.
    Ping,
}

/// A message of which nobody can tell where it ends: the stream is of no use any more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unframed {
    /// The status for whoever sent it; 0 where nothing can be answered.
    pub status: u16,
    /// Its head as it came, as far as it came.
    pub head: Bytes,
}

impl Framer {
    /// Takes what came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns whether a message has begun and has not ended.
    #[must_use]
    pub fn is_amid(&self) -> bool {
        self.buffer.iter().any(|byte| !matches!(byte, b'\r' | b'\n'))
    }

    /// Returns the next piece, if it is all there.
    ///
    /// # Errors
    /// The message that begins here has no `Content-Length`, or one that cannot be, or is longer than [`SIP_MESSAGE_BYTES`], or its head
    /// is no head. Nothing that follows can be told apart from it: the connection is to be closed.
    pub fn poll(&mut self) -> Result<Option<Piece>, Unframed> {
        if self.length.is_none() {
            if let Some(ping) = self.line_ends() {
                return Ok(ping);
            }
            let Some(head) = self.head()? else { return Ok(None) };
            self.length = Some(head);
        }
        match self.length {
            Some(length) if self.buffer.len() >= length => {
                self.length = None;
                self.searched = 0;
                Ok(Some(Piece::Message(self.buffer.split_to(length).freeze())))
            }
            Some(_) | None => Ok(None),
        }
    }

    /// Takes line ends before a message. Returns a ping, or nothing yet where only line ends are there; `None` where a message begins.
    fn line_ends(&mut self) -> Option<Option<Piece>> {
        loop {
            match &*self.buffer {
                [b'\r', b'\n', b'\r', b'\n', ..] => {
                    self.buffer.advance(4);
                    return Some(Some(Piece::Ping));
                }
                // It may yet become a ping.
                b"" | b"\r" | b"\r\n" | b"\r\n\r" => return Some(None),
                [b'\r' | b'\n', ..] => self.buffer.advance(1),
                _ => return None,
            }
        }
    }

    /// Returns the length of the whole message, once its head is there.
    fn head(&mut self) -> Result<Option<usize>, Unframed> {
        // The empty line may have begun in what was searched: it is the end of a line and two bytes at most.
        let mut at = self.searched.saturating_sub(2);
        let end = loop {
            let Some(line) = memchr::memchr(b'\n', self.buffer.get(at..).unwrap_or_default()) else { break None };
            at += line + 1;
            if let Some(blank) = blank_line(&self.buffer, at) {
                break Some(at + blank);
            }
        };
        let Some(end) = end else {
            self.searched = self.buffer.len();
            if self.searched > SIP_MESSAGE_BYTES {
                return Err(self.unframed(self.searched, 513));
            }
            return Ok(None);
        };
        let head = Bytes::copy_from_slice(self.buffer.get(..end).unwrap_or_default());
        let length = Message::frame(head, Frame::Whole).and_then(|message| {
            message
                .content_length()?
                .ok_or_else(|| Malformed::bad("Content-Length", "is missing, and the message came over a stream"))
        });
        match length {
            Ok(length) if length <= SIP_MESSAGE_BYTES.saturating_sub(end) => Ok(Some(end + length)),
            Ok(_) => Err(self.unframed(end, 513)),
            Err(fault) => Err(self.unframed(end, fault.status)),
        }
    }

    fn unframed(&self, end: usize, status: u16) -> Unframed {
        Unframed { status, head: Bytes::copy_from_slice(self.buffer.get(..end.min(SIP_MESSAGE_BYTES)).unwrap_or_default()) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    const BYE: &str = "BYE sip:b@h.test SIP/2.0\r\nVia: SIP/2.0/TCP h.test\r\nContent-Length: 2\r\n\r\nhi";
    const OPTIONS: &str = "OPTIONS sip:b@h.test SIP/2.0\nVia: SIP/2.0/TCP h.test\nl: 0\n\n";

    fn pieces(chunks: &[&[u8]]) -> Vec<Piece> {
        let mut framer = Framer::default();
        let mut pieces = Vec::new();
        for chunk in chunks {
            framer.push(chunk);
            while let Some(piece) = framer.poll().unwrap() {
                pieces.push(piece);
            }
        }
        assert!(!framer.is_amid(), "nothing is left");
        pieces
    }

    fn message(text: &str) -> Piece {
        Piece::Message(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn messages_end_where_their_length_says_wherever_the_stream_is_cut() {
        let stream = format!("\r\n{BYE}\r\n\r\n{OPTIONS}{BYE}");
        let expected = vec![message(BYE), Piece::Ping, message(OPTIONS), message(BYE)];

        for at in 0..=stream.len() {
            let (before, after) = stream.as_bytes().split_at(at);
            assert_eq!(pieces(&[before, after]), expected, "cut at {at}");
        }
        let bytes: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
        assert_eq!(pieces(&bytes), expected, "byte by byte");
    }

    #[test]
    fn a_body_that_looks_like_a_message_is_a_body() {
        let whole = OPTIONS.replace("l: 0", &format!("l: {}", BYE.len())) + BYE;

        assert_eq!(pieces(&[whole.as_bytes()]), [message(&whole)]);
    }

    #[test]
    fn without_a_length_or_with_two_nobody_knows_where_it_ends() {
        for (line, status) in [
            ("", 400),
            ("Content-Length: -1\r\n", 400),
            ("Content-Length: 99999999999999999999\r\n", 400),
            ("Content-Length: 2\r\nl: 3\r\n", 400),
            ("Content-Length: 70000\r\n", 513),
        ] {
            let mut framer = Framer::default();
            framer.push(BYE.replace("Content-Length: 2\r\n", line).as_bytes());

            let fault = framer.poll().unwrap_err();

            assert_eq!(fault.status, status, "{line}");
            assert!(fault.head.starts_with(b"BYE ") && fault.head.ends_with(b"\r\n\r\n"));
        }
    }

    #[test]
    fn a_head_without_an_end_is_not_kept_for_ever() {
        let mut framer = Framer::default();
        let line = [b"X: ", &[b'x'; 1000][..], b"\r\n"].concat();
        framer.push(b"BYE sip:b@h.test SIP/2.0\r\n");
        let refused = (0..100).find_map(|_| {
            framer.push(&line);
            framer.poll().err()
        });

        assert_eq!(refused.unwrap().status, 513);
    }
}
