//! Names of things: no bare integer or string stands for a call, a leg, a recording or a trunk.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// One of the two sides of a call as the recorder sees them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Leg {
    /// Towards the company's PBX: the employee.
    Pbx,
    /// Towards the carrier's trunk: the customer.
    Trunk,
}

impl Leg {
    /// Both legs, PBX first.
    pub const BOTH: [Self; 2] = [Self::Pbx, Self::Trunk];

    /// Returns the opposite leg.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Pbx => Self::Trunk,
            Self::Trunk => Self::Pbx,
        }
    }

    /// Returns 0 for the PBX, 1 for the trunk: the place in a `[T; 2]`, and the byte in a recording.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Pbx => 0,
            Self::Trunk => 1,
        }
    }

    /// Returns the operator's word: `pbx` or `trunk`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pbx => "pbx",
            Self::Trunk => "trunk",
        }
    }
}

impl fmt::Display for Leg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which way a call was set up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Direction {
    /// From the carrier to the PBX.
    Inbound,
    /// From the PBX to the carrier.
    Outbound,
}

impl Direction {
    /// Returns the leg that called.
    #[must_use]
    pub const fn caller(self) -> Leg {
        match self {
            Self::Inbound => Leg::Trunk,
            Self::Outbound => Leg::Pbx,
        }
    }

    /// Returns the operator's word: `inbound` or `outbound`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The recorder's own number of a call: random, unique within a node's catalogue, and not the SIP Call-ID.
///
/// Printed as 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(u64);

impl CallId {
    /// Returns the id with this number.
    #[must_use]
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// Returns the number.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "call-{self}")
    }
}

impl FromStr for CallId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        match text.len() {
            16 if text.bytes().all(|b| b.is_ascii_hexdigit()) => {
                u64::from_str_radix(text, 16).map(Self).map_err(|_| NotAnId { digits: 16 })
            }
            _ => Err(NotAnId { digits: 16 }),
        }
    }
}

/// A recording's name: its call's number, then 64 random bits, printed as 32 hexadecimal digits; the stem of its files.
///
/// So a file whose row was lost still tells which call it is of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordingId([u8; 16]);

impl RecordingId {
    /// Returns the id of these 16 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Returns the id of this call's recording; `random` tells it from any other.
    #[must_use]
    pub const fn of_call(call: CallId, random: u64) -> Self {
        let [c0, c1, c2, c3, c4, c5, c6, c7] = call.0.to_be_bytes();
        let [r0, r1, r2, r3, r4, r5, r6, r7] = random.to_be_bytes();
        Self([c0, c1, c2, c3, c4, c5, c6, c7, r0, r1, r2, r3, r4, r5, r6, r7])
    }

    /// Returns the call that a recording with this name is of. Of a recording that an earlier version made it is any number.
    #[must_use]
    pub const fn call(&self) -> CallId {
        let [c0, c1, c2, c3, c4, c5, c6, c7, ..] = self.0;
        CallId(u64::from_be_bytes([c0, c1, c2, c3, c4, c5, c6, c7]))
    }

    /// Returns the 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for RecordingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RecordingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rec-{self}")
    }
}

impl FromStr for RecordingId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(NotAnId { digits: 32 });
        }
        u128::from_str_radix(text, 16).map(|number| Self(number.to_be_bytes())).map_err(|_| NotAnId { digits: 32 })
    }
}

/// The operator gave something that is no id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotAnId {
    digits: usize,
}

impl fmt::Display for NotAnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an id is {} hexadecimal digits", self.digits)
    }
}

impl std::error::Error for NotAnId {}

/// A trunk as the operator calls it in the configuration; safe as a metric label.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TrunkName(Arc<str>);

impl TrunkName {
    /// Returns the name as given.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TrunkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_printed() {
        let call = CallId::from_u64(0x00ab_cdef_0123_4567);
        let recording = RecordingId::from_bytes(*b"\x00\x01mitschnitt\xff\xfe\xfd\xfc");

        assert_eq!(call.to_string().parse(), Ok(call));
        assert_eq!(recording.to_string().parse(), Ok(recording));
    }

    #[test]
    fn a_path_is_not_an_id() {
        assert!("../../etc/passwd".parse::<CallId>().is_err());
        assert!("+f".repeat(16).parse::<RecordingId>().is_err());
    }
}
