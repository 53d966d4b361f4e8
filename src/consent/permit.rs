//! The permit: made once a call by the consent machine, without which no packet is mirrored and no recording begins.

use crate::consent::Evidence;
use crate::digit::Digit;
use crate::ids::{CallId, Leg};
use crate::time::Moment;

/// The right to record one call from the grant on.
///
/// It has no `Clone`, no `Default` and no `Deserialize`; its fields are private and only the machine in this room makes one. Whoever
/// mirrors must hold it, and dropping it ends what it allowed.
#[must_use = "a permit that nobody holds records nothing"]
#[derive(Debug)]
pub struct Permit {
    call: CallId,
    granted: Moment,
    evidence: Box<Evidence>,
}

impl Permit {
    pub(super) fn new(call: CallId, granted: Moment, evidence: Evidence) -> Self {
        Self { call, granted, evidence: Box::new(evidence) }
    }

    /// Returns the call it is for.
    #[must_use]
    pub const fn call(&self) -> CallId {
        self.call
    }

    /// Returns the moment of the grant: no packet that came before it is covered.
    #[must_use]
    pub const fn granted(&self) -> Moment {
        self.granted
    }

    /// Returns the evidence that is the head of the recording.
    #[must_use]
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// Returns whether this key of the party on this leg takes the consent back on which it stands.
    #[must_use]
    pub fn is_ended_by(&self, leg: Leg, digit: Digit) -> bool {
        self.evidence.says_no(leg, digit)
    }

    /// Returns the packet as one that may be kept, or nothing where it came before the grant.
    ///
    /// What is returned borrows the receive buffer, so it cannot be put by for later.
    pub(crate) fn cover<'p>(&self, leg: Leg, came: Moment, packet: &'p [u8]) -> Option<Covered<'p>> {
        (came >= self.granted).then_some(Covered { call: self.call, leg, came, packet })
    }
}

/// A packet that a permit covers, for as long as it lies in the receive buffer.
pub struct Covered<'p> {
    call: CallId,
    leg: Leg,
    came: Moment,
    packet: &'p [u8],
}

impl<'p> Covered<'p> {
    /// Returns the call it belongs to.
    #[must_use]
    pub const fn call(&self) -> CallId {
        self.call
    }

    /// Returns the leg it came from.
    #[must_use]
    pub const fn leg(&self) -> Leg {
        self.leg
    }

    /// Returns when it came.
    #[must_use]
    pub const fn came(&self) -> Moment {
        self.came
    }

    /// Returns the packet as it came: RTP header and payload.
    #[must_use]
    pub const fn packet(&self) -> &'p [u8] {
        self.packet
    }
}

/// Prints no audio.
impl std::fmt::Debug for Covered<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Covered({:?}, {}, {:?}, {} bytes)", self.call, self.leg, self.came, self.packet.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::evidence::tests::evidence;

    #[test]
    fn a_packet_before_the_grant_is_not_covered() {
        let granted = Moment::from_millis(2000);
        let permit = Permit::new(CallId::from_u64(1), granted, evidence());
        let packet = [0x80; 172];

        assert!(permit.cover(Leg::Pbx, Moment::from_micros(1_999_999), &packet).is_none());
        assert_eq!(permit.cover(Leg::Pbx, granted, &packet).map(|c| c.packet().len()), Some(172));
        let shown = format!("{:?}", permit.cover(Leg::Pbx, granted, &packet));
        assert_eq!(shown, "Some(Covered(call-0000000000000001, pbx, 2.000000s, 172 bytes))", "and no byte of them");
    }
}
