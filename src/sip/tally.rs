//! What the stack counts of its own doings: one counter a reason.

/// Something that happened to a message and that nobody else counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Tally {
    /// A datagram of line ends alone; ignored.
    KeepAlive,
    /// A message that cannot be used: a request was answered where that was possible, anything else dropped.
    Malformed,
    /// A request that a check of RFC 3261 §16.3 refused: 420, 440, 482, 483.
    Refused,
    /// A request that came again; absorbed, the last response was sent again.
    Retransmission,
    /// A response that belongs to no transaction; dropped (RFC 6026 §7.2).
    Stray,
    /// A response whose Call-ID, From tag or CSeq is not that of its request; dropped.
    Foreign,
    /// A response to a forwarded request with no `Via` below ours; dropped (RFC 3261 §16.7(3)).
    NoNextVia,
    /// A response after the final one, or a provisional one other than 100 to a non-INVITE (RFC 4320 §4.1); dropped.
    Late,
    /// An ACK that needs no passing on: to a refusal, or malformed.
    AckAbsorbed,
    /// A refusal of an INVITE whose ACK never came (timer H).
    NotAcknowledged,
    /// A CANCEL that matches nothing; answered with 481.
    CancelUnmatched,
    /// A request that came at the limit `TRANSACTIONS`: an INVITE was answered with 503, anything else dropped.
    Full,
    /// A key that names nothing any more, or a request that was already forwarded or answered; what was asked was not done.
    Unasked,
}

impl Tally {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::KeepAlive,
        Self::Malformed,
        Self::Refused,
        Self::Retransmission,
        Self::Stray,
        Self::Foreign,
        Self::NoNextVia,
        Self::Late,
        Self::AckAbsorbed,
        Self::NotAcknowledged,
        Self::CancelUnmatched,
        Self::Full,
        Self::Unasked,
    ];

    /// Returns the name, safe as a metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KeepAlive => "keep-alive",
            Self::Malformed => "malformed",
            Self::Refused => "refused",
            Self::Retransmission => "retransmission",
            Self::Stray => "stray",
            Self::Foreign => "foreign",
            Self::NoNextVia => "no-next-via",
            Self::Late => "late",
            Self::AckAbsorbed => "ack-absorbed",
            Self::NotAcknowledged => "not-acknowledged",
            Self::CancelUnmatched => "cancel-unmatched",
            Self::Full => "full",
            Self::Unasked => "unasked",
        }
    }

    fn place(self) -> usize {
        Self::ALL.iter().position(|&known| known == self).unwrap_or_default()
    }
}

/// How often each happened.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Tallies([u64; Tally::ALL.len()]);

impl Tallies {
    /// Returns how often this happened.
    #[must_use]
    pub fn of(&self, tally: Tally) -> u64 {
        self.0.get(tally.place()).copied().unwrap_or_default()
    }

    /// Returns all counts, in the order of `Tally::ALL`.
    pub fn iter(&self) -> impl Iterator<Item = (Tally, u64)> + '_ {
        Tally::ALL.into_iter().zip(self.0.iter().copied())
    }

    pub(super) fn count(&mut self, tally: Tally) {
        if let Some(count) = self.0.get_mut(tally.place()) {
            *count += 1;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn each_tally_has_a_counter_of_its_own() {
        let mut tallies = Tallies::default();
        for (times, tally) in Tally::ALL.into_iter().enumerate() {
            (0..times).for_each(|_| tallies.count(tally));
        }

        assert!(tallies.iter().enumerate().all(|(times, (_, count))| count == u64::try_from(times).unwrap()));
        assert_eq!(tallies.of(Tally::Unasked), 12);
    }
}
