//! What the media plane tells signalling.

use std::collections::VecDeque;

use crate::consent::{Cut, How, Played};
use crate::digit::Digit;
use crate::ids::Leg;
use crate::limits::MEDIA_EVENTS;
use crate::media::{BridgeId, BridgeTallies};

/// Something happened on a bridge.
#[derive(Debug)]
pub enum Event {
    /// An announcement was sent to its last frame; the witness names the leg.
    Played {
        /// Which bridge.
        id: BridgeId,
        /// The witness.
        played: Played,
    },
    /// An announcement was not sent to its end, and will not be unless it is ordered anew.
    Cut {
        /// Which bridge.
        id: BridgeId,
        /// The party that was to hear it.
        leg: Leg,
        /// Why.
        cut: Cut,
    },
    /// Media to a party goes elsewhere from here on, since its source was learned; an announcement that was played to it before may have
    /// been heard by nobody, or by somebody else. Of one that plays there comes [`Event::Cut`] in its place.
    Moved {
        /// Which bridge.
        id: BridgeId,
        /// The party.
        leg: Leg,
    },
    /// A party pressed a key, as a telephone-event or by its tones. Comes once for each press.
    Digit {
        /// Which bridge.
        id: BridgeId,
        /// The party that pressed it.
        leg: Leg,
        /// The key.
        digit: Digit,
        /// How it came: [`How::KeyByRtp`] or [`How::KeyBySound`].
        how: How,
    },
    /// Nothing came from either party for as long as the bridge is watched, nor over any other bridge of the dialog, while neither was on
    /// hold: [`Order::Watch`](crate::media::Order::Watch). RTCP counts as something. Told once.
    Dead {
        /// Which bridge.
        id: BridgeId,
    },
    /// Nothing came from this party for as long as the bridge is watched, while it was due, and the other one talks. Told once.
    OneWay {
        /// Which bridge.
        id: BridgeId,
        /// The party that is not heard.
        leg: Leg,
    },
    /// A bridge was taken down.
    Closed {
        /// Which bridge.
        id: BridgeId,
        /// What passed over it.
        tallies: Box<BridgeTallies>,
    },
}

/// What was told and not fetched yet, in order.
#[derive(Debug)]
pub(super) struct Told {
    events: VecDeque<Event>,
    digits_lost: u64,
}

impl Told {
    pub(super) fn new() -> Self {
        Self { events: VecDeque::with_capacity(MEDIA_EVENTS), digits_lost: 0 }
    }

    /// Tells what answers an order, or what is told a few times for a bridge: never lost.
    pub(super) fn tell(&mut self, event: Event) {
        self.events.push_back(event);
    }

    /// Tells a key, unless too much waits already: a party can press, or pretend to, faster than anybody listens.
    pub(super) fn tell_digit(&mut self, id: BridgeId, leg: Leg, digit: Digit, how: How) {
        if self.events.len() < MEDIA_EVENTS {
            self.events.push_back(Event::Digit { id, leg, digit, how });
        } else {
            self.digits_lost += 1;
        }
    }

    pub(super) fn fetch(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    pub(super) const fn digits_lost(&self) -> u64 {
        self.digits_lost
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::ids::CallId;

    #[test]
    fn keys_that_nobody_fetches_are_counted_and_not_stored() {
        let id = BridgeId { call: CallId::from_u64(1), dialog: 0, line: 0 };
        let mut told = Told::new();
        (0..=MEDIA_EVENTS).for_each(|_| told.tell_digit(id, Leg::Pbx, Digit::from_event(1).unwrap(), How::KeyByRtp));

        told.tell(Event::Closed { id, tallies: Box::default() });

        assert_eq!(told.digits_lost(), 1);
        assert_eq!(std::iter::from_fn(|| told.fetch()).count(), MEDIA_EVENTS + 1, "an end is told all the same");
    }
}
