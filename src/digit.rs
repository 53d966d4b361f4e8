//! A key of the telephone, pressed by somebody: it never prints as what it is.

use std::fmt;

use crate::ids::Leg;

/// One of the sixteen keys that RFC 4733 §3.2 names, events 0 to 15: `0`–`9`, `*`, `#`, `A`–`D`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digit(u8);

impl Digit {
    const KEYS: &'static [u8; 16] = b"0123456789*#ABCD";

    /// Returns the key with this telephone-event code, or nothing above 15.
    #[must_use]
    pub const fn from_event(event: u8) -> Option<Self> {
        if event < 16 { Some(Self(event)) } else { None }
    }

    /// Returns the key that this character names; letters in either case.
    #[must_use]
    pub fn from_char(key: char) -> Option<Self> {
        let key = u8::try_from(key.to_ascii_uppercase()).ok()?;
        Self::KEYS.iter().position(|&k| k == key).and_then(|at| u8::try_from(at).ok()).map(Self)
    }

    /// Returns the telephone-event code.
    #[must_use]
    pub const fn event(self) -> u8 {
        self.0
    }

    /// Returns the character: for what is compared or shown of the *configuration*, never of what a caller pressed.
    #[must_use]
    pub fn reveal(self) -> char {
        Self::KEYS.get(usize::from(self.0)).map_or('?', |&key| char::from(key))
    }
}

impl fmt::Debug for Digit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[digit]")
    }
}

/// A key that means something, and for whom: pressed by another party it means nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PartyKey {
    /// The key.
    pub key: Digit,
    /// Whether the party on each leg may press it ([`Leg::index`]).
    pub of: [bool; 2],
}

impl PartyKey {
    /// Returns whether this is the key, and the party on this leg one of those who may press it.
    #[must_use]
    pub fn is(&self, leg: Leg, pressed: Digit) -> bool {
        let [pbx, trunk] = self.of;
        let may = match leg {
            Leg::Pbx => pbx,
            Leg::Trunk => trunk,
        };
        may && pressed == self.key
    }

    /// Returns whether one press by one party may mean both.
    #[must_use]
    pub fn collides(&self, other: &Self) -> bool {
        self.key == other.key && self.of.iter().zip(other.of).any(|(&mine, theirs)| mine && theirs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_its_event_and_back() {
        for event in 0..16 {
            let digit = Digit::from_event(event).expect("0 to 15 are keys");
            assert_eq!(Digit::from_char(digit.reveal()), Some(digit));
        }
        assert_eq!(Digit::from_event(16), None, "flash is no key");
        assert_eq!(Digit::from_char('é'), None);
    }

    #[test]
    fn what_was_pressed_is_not_printed() {
        assert_eq!(format!("{:?}", Digit::from_char('7')), "Some([digit])");
    }
}
