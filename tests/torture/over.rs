//! Over what a message comes to the proxy: in a datagram, or in a stream that is cut at every byte.

use bytes::Bytes;
use mitschnitt::sip::{End, EndId, Flow, Input, Transport};
use mitschnitt::wire::sip::{Framer, Piece, Unframed};

use super::sip_scene::{Scene, US, addr};

/// How a message reaches the proxy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Over {
    /// In a datagram.
    Udp,
    /// In a stream, a byte at a time.
    Tcp,
    /// The same within TLS.
    Tls,
}

/// How a stream stands once all has come; a datagram is always at its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Left {
    /// Nothing is left over.
    AtItsEnd,
    /// A message has begun and has not ended.
    Amid,
    /// It is of no use any more, and is closed.
    Closed,
}

impl Over {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Udp, Self::Tcp, Self::Tls];

    /// The keys that the verdict stands under: its own first.
    pub(crate) const fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Udp => &["udp"],
            Self::Tcp | Self::Tls => &["stream", "udp"],
        }
    }

    /// Our end of it, in the scene.
    const fn end(self) -> EndId {
        match self {
            Self::Udp => EndId(0),
            Self::Tcp => EndId(1),
            Self::Tls => EndId(2),
        }
    }

    /// What we put into `Record-Route`, topmost first: the end that a request leaves by, which is UDP, and the one that it came by.
    pub(crate) fn record_routes(self) -> Vec<String> {
        let came = match self {
            Self::Udp => None,
            Self::Tcp => Some(format!("<sip:{US};transport=tcp;lr>")),
            Self::Tls => Some(format!("<sip:{US_TLS};transport=tls;lr>")),
        };
        [Some(format!("<sip:{US};lr>")), came].into_iter().flatten().collect()
    }

    /// Brings the message to the stack.
    pub(crate) fn deliver(self, scene: &mut Scene, from: &str, message: &[u8]) -> Left {
        let from = Flow { end: self.end(), far: addr(from) };
        if self == Self::Udp {
            scene.tell(Input::Message { from, bytes: Bytes::copy_from_slice(message) });
            return Left::AtItsEnd;
        }
        let (pieces, left, broken) = parted(message.chunks(1));
        for bytes in pieces {
            scene.tell(Input::Message { from, bytes });
        }
        if let Some(Unframed { head, status }) = broken {
            scene.tell(Input::Broken { from, head, status });
        }
        left
    }
}

/// What a stream that comes in these pieces is parted into, and how it ends.
pub(crate) fn parted<'p>(chunks: impl Iterator<Item = &'p [u8]>) -> (Vec<Bytes>, Left, Option<Unframed>) {
    let mut framer = Framer::default();
    let mut messages = Vec::new();
    for chunk in chunks {
        framer.push(chunk);
        loop {
            match framer.poll() {
                Ok(Some(Piece::Message(message))) => messages.push(message),
                Ok(Some(Piece::Ping)) => {}
                Ok(None) => break,
                Err(unframed) => return (messages, Left::Closed, Some(unframed)),
            }
        }
    }
    (messages, if framer.is_amid() { Left::Amid } else { Left::AtItsEnd }, None)
}

/// A scene with an end of each kind; whatever it is told to forward leaves over UDP.
pub(crate) fn scene() -> Scene {
    let end = |transport, address| End { transport, address: addr(address) };
    let ends = vec![end(Transport::Udp, US), end(Transport::Tcp, US), end(Transport::Tls, US_TLS)];
    Scene::with(|config| config.ends = ends)
}

const US_TLS: &str = "203.0.113.1:5061";
