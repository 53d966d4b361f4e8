//! What holds of every stream that SIP comes by, wherever it is cut.

use mitschnitt::limits::SIP_MESSAGE_BYTES;
use mitschnitt::wire::sip::{Framer, Message, Piece, Unframed};

/// Panics where a property does not hold. The first byte says where the stream is cut; the rest is the stream.
pub(crate) fn check(data: &[u8]) {
    let Some((&cut, stream)) = data.split_first() else { return };
    let whole = parted(&[stream]);
    let at = usize::from(cut) * stream.len() / 256;
    let (before, after) = stream.split_at(at);
    assert_eq!(parted(&[before, after]), whole, "cut at {at}");
    if stream.len() < 512 {
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(parted(&bytes), whole, "byte by byte");
    }

    let (pieces, fault) = whole;
    let mut length = 0;
    for piece in &pieces {
        match piece {
            Piece::Ping => length += 4,
            Piece::Message(bytes) => {
                length += bytes.len();
                assert!(bytes.len() <= SIP_MESSAGE_BYTES, "none is longer than may be");
                // What the stream was parted into is a message for whoever reads it as one, to its last byte.
                let message = Message::parse_datagram(bytes.clone());
                let message = message.unwrap_or_else(|fault| panic!("it was a message when it was parted: {fault:?}"));
                assert_eq!(message.as_bytes().len(), bytes.len(), "its length is what it says");
            }
        }
    }
    assert!(length <= stream.len(), "nothing comes twice");
    if let Some(Unframed { status, head }) = fault {
        assert!(status == 0 || (400..700).contains(&status), "{status}");
        assert!(head.len() <= SIP_MESSAGE_BYTES, "what is refused is bounded");
    }
}

fn parted(chunks: &[&[u8]]) -> (Vec<Piece>, Option<Unframed>) {
    let mut framer = Framer::default();
    let mut pieces = Vec::new();
    for chunk in chunks {
        framer.push(chunk);
        loop {
            match framer.poll() {
                Ok(Some(piece)) => pieces.push(piece),
                Ok(None) => break,
                Err(fault) => return (pieces, Some(fault)),
            }
        }
    }
    (pieces, None)
}
