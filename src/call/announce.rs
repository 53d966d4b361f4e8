//! How far each leg was told: whether its announcement waits, plays, was played, or will not be.

use crate::consent::Cut;
use crate::ids::Leg;
use crate::limits;

/// The announcements of one call.
///
/// ```text
///            ready                  played
///  Waiting ─────────▶ Playing ─────────────▶ Told
///     ▲                  │ held, moved
///     └──────────────────┤   (at most ANNOUNCEMENT_RESTARTS times)
///                        └── not sent, once too often ──▶ Given up
/// ```
#[derive(Debug, Default)]
pub(super) struct Telling {
    legs: [Told; 2],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Told {
    Waiting {
        restarts: u32,
    },
    Playing {
        restarts: u32,
    },
    Yes,
    /// It is told nothing: it has agreed before the call.
    Knows,
    GivenUp,
}

impl Default for Told {
    fn default() -> Self {
        Self::Waiting { restarts: 0 }
    }
}

impl Telling {
    /// Returns whether this leg's announcement is to be begun.
    pub(super) fn waits(&self, leg: Leg) -> bool {
        matches!(self.of(leg), Told::Waiting { .. })
    }

    /// Takes note that it was begun.
    pub(super) fn begun(&mut self, leg: Leg) {
        if let Told::Waiting { restarts } = self.of(leg) {
            self.set(leg, Told::Playing { restarts });
        }
    }

    /// The party on this leg was told in the call that this one goes on from.
    pub(super) fn was_told_before(&mut self, leg: Leg) {
        self.set(leg, Told::Yes);
    }

    /// The party on this leg has agreed before the call, and is told nothing.
    pub(super) fn needs_none(&mut self, leg: Leg) {
        self.set(leg, Told::Knows);
    }

    /// What the party on this leg had agreed to stands no more: where it was to be told nothing, it is told as anybody is.
    pub(super) fn needs_one(&mut self, leg: Leg) {
        if self.of(leg) == Told::Knows {
            self.set(leg, Told::default());
        }
    }

    /// The party on this leg is another, or elsewhere: it is to be told again, and whether it still can be.
    pub(super) fn moved(&mut self, leg: Leg) -> bool {
        let is_told = self.of(leg) == Told::Yes;
        if is_told {
            self.set(leg, Told::Waiting { restarts: 1 });
        }
        is_told
    }

    /// Another party is on this leg: it is to be told from the beginning, whatever the one before it heard; and whether it still can be.
    pub(super) fn replaced(&mut self, leg: Leg) -> bool {
        match self.of(leg) {
            Told::Playing { .. } | Told::Yes | Told::Knows => {
                self.set(leg, Told::default());
                true
            }
            Told::Waiting { .. } => true,
            Told::GivenUp => false,
        }
    }

    /// Takes note that it was played to its end.
    pub(super) fn played(&mut self, leg: Leg) {
        if let Told::Playing { .. } = self.of(leg) {
            self.set(leg, Told::Yes);
        }
    }

    /// Takes note that it was cut, and returns whether that is for good.
    ///
    /// A party that is put on hold or moves hears the whole text again from its beginning.
    pub(super) fn cut(&mut self, leg: Leg, cut: Cut) -> Option<Cut> {
        match (self.of(leg), cut) {
            (Told::Playing { restarts }, Cut::Held | Cut::Moved) if restarts < limits::ANNOUNCEMENT_RESTARTS => {
                self.set(leg, Told::Waiting { restarts: restarts + 1 });
                None
            }
            (Told::Playing { .. } | Told::Waiting { .. }, cut) => {
                self.set(leg, Told::GivenUp);
                Some(cut)
            }
            (Told::Yes | Told::Knows | Told::GivenUp, _) => None,
        }
    }

    fn of(&self, leg: Leg) -> Told {
        let [pbx, trunk] = self.legs;
        match leg {
            Leg::Pbx => pbx,
            Leg::Trunk => trunk,
        }
    }

    fn set(&mut self, leg: Leg, told: Told) {
        let [pbx, trunk] = &mut self.legs;
        match leg {
            Leg::Pbx => *pbx = told,
            Leg::Trunk => *trunk = told,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leg_that_keeps_moving_is_given_up_after_three_restarts() {
        let mut telling = Telling::default();

        for _ in 0..limits::ANNOUNCEMENT_RESTARTS {
            telling.begun(Leg::Trunk);
            assert_eq!(telling.cut(Leg::Trunk, Cut::Moved), None);
            assert!(telling.waits(Leg::Trunk));
        }
        telling.begun(Leg::Trunk);

        assert_eq!(telling.cut(Leg::Trunk, Cut::Moved), Some(Cut::Moved));
        assert!(!telling.waits(Leg::Trunk));
    }

    #[test]
    fn a_packet_that_could_not_be_sent_is_not_tried_again() {
        let mut telling = Telling::default();
        telling.begun(Leg::Pbx);

        assert_eq!(telling.cut(Leg::Pbx, Cut::NotSent), Some(Cut::NotSent));
        assert_eq!(telling.cut(Leg::Pbx, Cut::NotSent), None, "it is said once");
    }

    #[test]
    fn a_leg_that_was_told_is_not_told_twice() {
        let mut telling = Telling::default();
        telling.begun(Leg::Pbx);
        telling.played(Leg::Pbx);

        assert!(!telling.waits(Leg::Pbx));
        assert_eq!(telling.cut(Leg::Pbx, Cut::Held), None);
    }
}
