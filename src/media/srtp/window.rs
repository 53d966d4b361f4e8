//! The index of a packet, guessed from 16 bits of it, and the window against replays (RFC 3711 §3.3.1, §3.3.2, Appendix A).

use crate::limits::{SRTP_REPLAY_WINDOW, SRTP_ROLLOVERS_MISSED};

/// Which packets of one stream have been used: the highest index, and of the [`SRTP_REPLAY_WINDOW`] up to it each one.
///
/// The index of SRTP has 48 bits: the rollover counter and the sequence number. That of SRTCP has 31 and stands in the packet.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Window {
    /// Nothing where nothing is known.
    highest: Option<u64>,
    /// Bit n: the packet n before the highest was used. 0 where none was used under this key.
    used: u128,
}

/// The highest index of SRTP.
pub(super) const RTP_INDEX_MAX: u64 = (1 << 48) - 1;

/// The highest index of SRTCP (RFC 3711 §3.4).
pub(super) const RTCP_INDEX_MAX: u64 = (1 << 31) - 1;

const _: () = assert!(SRTP_REPLAY_WINDOW >= 64 && SRTP_REPLAY_WINDOW <= 128, "RFC 3711 §3.3.2 wants 64, a u128 holds 128");

impl Window {
    /// Returns the index that a packet of SRTP with this sequence number most likely has; nothing where it would be past the last.
    pub(super) fn guess(&self, sequence: u16) -> Option<u64> {
        let sequence = u64::from(sequence);
        let Some(highest) = self.highest else { return Some(sequence) };
        let (rollovers, highest) = (highest >> 16, highest & 0xffff);
        // RFC 3711 Appendix A. Before the first rollover there is none less, so that a far step is one forward.
        let rollovers = if highest < HALF {
            if sequence > highest + HALF { rollovers.saturating_sub(1) } else { rollovers }
        } else if highest - HALF > sequence {
            rollovers + 1
        } else {
            rollovers
        };
        Some(rollovers << 16 | sequence).filter(|&index| index <= RTP_INDEX_MAX)
    }

    /// Returns the indexes to try for a packet of SRTP, the likeliest first.
    ///
    /// Once a packet was used it is one. Before, the stream may have rolled over without us, for its first packets were lost or came
    /// before the key; and where the key is a new one for a known stream, its sender may count on (RFC 3711 §3.3.1) or from 0, as
    /// senders do that take each key for a new context.
    pub(super) fn guesses(&self, sequence: u16) -> impl Iterator<Item = u64> + use<> {
        let likeliest = self.guess(sequence);
        let missed = if self.used == 0 { 0..=u64::from(SRTP_ROLLOVERS_MISSED) } else { NONE };
        let others = missed.map(move |rollovers| rollovers << 16 | u64::from(sequence));
        likeliest.into_iter().chain(others.filter(move |&index| Some(index) != likeliest))
    }

    /// Whether the packet was used before, or may have been: it is too far behind to tell.
    pub(super) fn has(&self, index: u64) -> bool {
        match self.highest.filter(|_| self.used != 0).and_then(|highest| highest.checked_sub(index)) {
            None => false,
            Some(behind) => behind >= SRTP_REPLAY_WINDOW || self.used >> behind & 1 == 1,
        }
    }

    /// Notes a packet as used. It must not have been.
    pub(super) fn add(&mut self, index: u64) {
        match self.highest.filter(|_| self.used != 0) {
            Some(highest) if index <= highest => self.used |= 1_u128.checked_shl(bits(highest - index)).unwrap_or(0),
            Some(highest) => {
                self.used = self.used.checked_shl(bits(index - highest)).unwrap_or(0) | 1;
                self.highest = Some(index);
            }
            None => *self = Self { highest: Some(index), used: 1 },
        }
    }

    /// Returns the index after the highest: that of the next SRTCP packet of a sender (RFC 3711 §3.4).
    pub(super) fn next(&self) -> u64 {
        self.highest.map_or(0, |highest| highest + 1)
    }

    /// Whether no packet was used under this key.
    pub(super) const fn is_unused(&self) -> bool {
        self.used == 0
    }

    /// Returns what is known of the stream under a new key: where it is, and that none of its packets was used.
    pub(super) const fn under_a_new_key(self) -> Self {
        Self { highest: self.highest, used: 0 }
    }
}

/// Half of what a sequence number counts.
const HALF: u64 = 1 << 15;

/// An empty range.
#[expect(clippy::reversed_empty_ranges, reason = "nothing is meant")]
const NONE: std::ops::RangeInclusive<u64> = 1..=0;

/// A distance as a shift: of 128 and more nothing is left.
fn bits(distance: u64) -> u32 {
    u32::try_from(distance).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_counter_rolls_over_and_back_around_the_wrap() {
        for (highest, sequence, expected) in [
            (None, 7, Some(7)),
            (Some(0x0000_fffe), 0xffff, Some(0x0000_ffff)),
            (Some(0x0000_ffff), 0x0000, Some(0x0001_0000)),
            (Some(0x0001_0003), 0xfffe, Some(0x0000_fffe)),
            (Some(0x0001_0003), 0x0001, Some(0x0001_0001)),
            (Some(0x0007_8000), 0x0000, Some(0x0007_0000)),
            (Some(0x0007_8001), 0x0000, Some(0x0008_0000)),
            (Some(0x0007_7fff), 0xffff, Some(0x0007_ffff)),
            (Some(0x0007_7ffe), 0xffff, Some(0x0006_ffff)),
            (Some(0x0000_0003), 0xfffe, Some(0x0000_fffe)),
            (Some(RTP_INDEX_MAX), 0xffff, Some(RTP_INDEX_MAX)),
            (Some(RTP_INDEX_MAX), 0x0000, None),
        ] {
            assert_eq!(Window { highest, used: 1 }.guess(sequence), expected, "{highest:x?} {sequence:x}");
        }
    }

    #[test]
    fn a_stream_not_heard_yet_may_have_rolled_over_without_us() {
        let guesses = |window: Window| window.guesses(5).collect::<Vec<_>>();

        assert_eq!(guesses(Window::default()), [5, 0x1_0005]);
        assert_eq!(guesses(Window { highest: Some(0x7_0003), used: 0 }), [0x7_0005, 5, 0x1_0005]);
        assert_eq!(guesses(Window { highest: Some(0x7_0003), used: 1 }), [0x7_0005]);
    }

    #[test]
    fn the_window_is_as_long_as_it_says() {
        let mut window = Window::default();
        window.add(1000);

        let oldest = 1000 - SRTP_REPLAY_WINDOW + 1;
        assert!(!window.has(oldest) && window.has(oldest - 1));
        window.add(oldest);
        assert!(window.has(oldest) && !window.has(oldest + 1));
        window.add(1001);
        assert!(window.has(oldest) && !window.has(oldest + 1), "the oldest fell out, the next did not");
        window.add(5000);
        assert!(window.has(1001) && !window.has(4999));
    }

    proptest! {
        /// Against a model that remembers everything.
        #[test]
        fn no_index_is_used_twice(steps in prop::collection::vec((-140_i64..140, any::<bool>()), 1..200), start in 0_u64..1 << 40) {
            let mut window = Window::default();
            let mut used = std::collections::BTreeSet::new();
            let mut at = start;
            for (step, far) in steps {
                at = at.saturating_add_signed(if far { step * 20 } else { step });
                let highest = used.last().copied();
                let too_old = highest.is_some_and(|highest| at + SRTP_REPLAY_WINDOW <= highest);
                prop_assert_eq!(window.has(at), too_old || used.contains(&at));
                if !window.has(at) {
                    window.add(at);
                    used.insert(at);
                }
                prop_assert_eq!(window.highest, used.last().copied());
            }
        }

        /// With loss and reordering of less than half a round, each guess is right for many rounds.
        #[test]
        fn each_guess_is_right(steps in prop::collection::vec(-3000_i64..32_000, 1..400), start in 0_u64..0x1_0000) {
            let mut window = Window::default();
            window.add(start);
            let mut highest = start;
            for step in steps {
                let index = highest.saturating_add_signed(step);
                let sequence = u16::try_from(index & 0xffff).unwrap();
                prop_assert_eq!(window.guess(sequence), Some(index));
                if !window.has(index) {
                    window.add(index);
                }
                highest = highest.max(index);
            }
        }
    }
}
