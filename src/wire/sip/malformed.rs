//! What a peer got wrong in a message: which field, what about it, and the status that says so.

use std::fmt;

/// The peer sent a message that cannot be used as it is.
///
/// It names the field and the fault, both from a fixed vocabulary, and never contains a byte of what the peer sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed {
    /// The field's name as in RFC 3261, or `start line`, `header`, `message`.
    pub field: &'static str,
    /// What is wrong with it: a lower-case fragment.
    pub what: &'static str,
    /// The final status that tells the peer (400, 416, 501, 505); 0 where no answer is due.
    pub status: u16,
}

impl Malformed {
    /// Only line ends: what a client sends to keep a NAT binding open (RFC 5626 §3.5.1). No fault and no answer.
    pub(super) const KEEP_ALIVE: Self = Self { field: "message", what: "is a keep-alive", status: 0 };

    /// Returns the fault that is answered with 400.
    pub(super) const fn bad(field: &'static str, what: &'static str) -> Self {
        Self { field, what, status: 400 }
    }

    /// Returns whether the datagram held nothing but line ends and spaces: to be ignored in silence.
    #[must_use]
    pub fn is_keep_alive(&self) -> bool {
        *self == Self::KEEP_ALIVE
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.field, self.what)
    }
}

impl std::error::Error for Malformed {}
