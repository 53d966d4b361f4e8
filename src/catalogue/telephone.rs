//! A party's number as it is looked for: which ways of writing it are the same, and which only look alike.

use std::fmt;

use crate::catalogue::Entry;
use crate::ids::{Direction, Leg};
use crate::number;
use crate::private::Private;

/// A number that is looked for.
///
/// A number in the ledger is the same where it is the same once both are in one form (ITU-T E.123): separators are dropped, `+` and `00` are
/// one, and what is in brackets after a `+` is dropped where it is a nought. A national number (`030…`) is the same as an international one
/// only where it was said in which country it is; nothing else is guessed. What is no number, a name before the `@`, must be written alike.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Number {
    form: Private<String>,
    country: Option<Country>,
}

/// A country code (ITU-T E.164) in which national numbers begin with a nought.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Country(String);

impl Country {
    /// Reads one: `49`, or `+49`.
    ///
    /// # Errors
    /// It is not of one to three digits, the first of which is no nought.
    pub fn read(text: &str) -> Result<Self, NotANumber> {
        let digits = text.strip_prefix('+').unwrap_or(text);
        let is_code = (1..=3).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        if is_code && !digits.starts_with('0') { Ok(Self(digits.to_owned())) } else { Err(NotANumber) }
    }

    /// Returns a national number in its international form; in Italy and San Marino its nought stays.
    fn international(&self, digits: &str) -> Option<String> {
        let rest = digits.strip_prefix('0')?;
        let keeps = matches!(self.0.as_str(), "39" | "378");
        Some(format!("+{}{}", self.0, if keeps { digits } else { rest }))
    }
}

/// How a number in the ledger stands to the one that is looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Likeness {
    /// It is the same.
    Same,
    /// It ends in the same [`Number::ALIKE`] digits and is written otherwise: it may be the same, and may be another's.
    Alike,
    /// It is another.
    Other,
}

/// As which party the number was in a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// It called.
    Calling,
    /// It was called.
    Called,
    /// It called itself.
    Both,
}

impl Number {
    /// How many last digits make numbers look alike.
    pub const ALIKE: usize = 7;

    /// The longest that a number may be, in bytes.
    pub const BYTES: usize = 128;

    /// Reads what somebody typed.
    ///
    /// # Errors
    /// There is nothing in it, it is too long, or has control characters. It is not told: it may be a number.
    pub fn read(text: &str, country: Option<Country>) -> Result<Self, NotANumber> {
        let text = text.trim();
        if text.is_empty() || text.len() > Self::BYTES || text.chars().any(char::is_control) {
            return Err(NotANumber);
        }
        let form = form(text, country.as_ref());
        if form.is_empty() || form == "+" { Err(NotANumber) } else { Ok(Self { form: Private::new(form), country }) }
    }

    /// Returns it in the form in which numbers are compared.
    #[must_use]
    pub const fn form(&self) -> &Private<String> {
        &self.form
    }

    /// Returns whether it is a national number of nobody knows which country: then it is found only where it is written so.
    #[must_use]
    pub fn is_national(&self) -> bool {
        let form = self.form.reveal();
        form.starts_with('0') && form.bytes().all(|byte| byte.is_ascii_digit())
    }

    /// Returns whether it is known in its international form, and nobody has said in which country national numbers are.
    #[must_use]
    pub fn misses_national(&self) -> bool {
        self.country.is_none() && self.form.reveal().starts_with('+')
    }

    /// Compares it with a number of the ledger.
    #[must_use]
    pub fn likeness(&self, stored: &Private<String>) -> Likeness {
        let (ours, theirs) = (self.form.reveal(), form(stored.reveal(), self.country.as_ref()));
        if *ours == theirs {
            return Likeness::Same;
        }
        match (tail(ours), tail(&theirs)) {
            (Some(ours), Some(theirs)) if ours == theirs => Likeness::Alike,
            _ => Likeness::Other,
        }
    }

    /// Returns as which party it was in a call; nothing where it was in none of it, or the parties were erased.
    #[must_use]
    pub fn role(&self, entry: &Entry) -> Option<Role> {
        let parties = entry.parties.as_ref()?;
        match [&parties.calling, &parties.called].map(|number| self.likeness(number) == Likeness::Same) {
            [true, true] => Some(Role::Both),
            [true, false] => Some(Role::Calling),
            [false, true] => Some(Role::Called),
            [false, false] => None,
        }
    }

    /// Returns whether a number of the call looks like it, and none is the same.
    #[must_use]
    pub fn is_alike(&self, entry: &Entry) -> bool {
        let Some(parties) = &entry.parties else { return false };
        let both = [&parties.calling, &parties.called].map(|number| self.likeness(number));
        both.contains(&Likeness::Alike) && !both.contains(&Likeness::Same)
    }
}

impl Role {
    /// Returns the operator's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Calling => "caller",
            Self::Called => "callee",
            Self::Both => "both",
        }
    }

    /// Returns from which leg such a party is heard; nothing where it is heard from both, or nobody knows which way the call was set up.
    #[must_use]
    pub const fn leg(self, direction: Option<Direction>) -> Option<Leg> {
        match (self, direction) {
            (Self::Calling, Some(Direction::Inbound)) | (Self::Called, Some(Direction::Outbound)) => Some(Leg::Trunk),
            (Self::Calling, Some(Direction::Outbound)) | (Self::Called, Some(Direction::Inbound)) => Some(Leg::Pbx),
            (Self::Both, _) | (_, None) => None,
        }
    }
}

/// The form in which numbers are compared: `+` and digits, digits alone, or a name as it is written; a national one in its international form
/// where it was said in which country it is.
fn form(text: &str, country: Option<&Country>) -> String {
    let form = number::compared(text).unwrap_or_default();
    let is_national = form.bytes().all(|byte| byte.is_ascii_digit());
    country.filter(|_| is_national).and_then(|country| country.international(&form)).unwrap_or(form)
}

/// The last digits of a number that has so many; nothing of a name.
fn tail(form: &str) -> Option<&str> {
    let digits = form.strip_prefix('+').unwrap_or(form);
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.len().checked_sub(Number::ALIKE).filter(|_| is_number).and_then(|from| digits.get(from..))
}

/// The text is no number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotANumber;

impl fmt::Display for NotANumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no number, and no name of a party")
    }
}

impl std::error::Error for NotANumber {}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_however_it_is_written_and_a_national_one_only_where_its_country_was_said() {
        use Likeness::{Alike, Other, Same};
        for (wanted, country, stored, likeness) in [
            ("+49 30 123456-7", None, "+49301234567", Same),
            ("0049 (30) 123 45 67", None, "+49301234567", Same),
            ("+49301234567", None, "0049301234567;phone-context=x", Same),
            ("+49 (0)30/1234567", None, "+49301234567", Same),
            ("tel:+49-30-1234567", None, "+49301234567", Same),
            ("030 1234567", None, "0301234567", Same),
            ("030 1234567", None, "+49301234567", Alike),
            ("+49301234567", None, "0301234567", Alike),
            ("030 1234567", Some("49"), "+49301234567", Same),
            ("+49301234567", Some("49"), "0301234567", Same),
            ("+49301234567", Some("43"), "0301234567", Alike),
            ("06 1234567", Some("+39"), "+39061234567", Same),
            ("+4930123456", None, "+49301234567", Other),
            ("100", None, "100", Same),
            ("100", None, "+49301000100", Other),
            ("alice", None, "alice", Same),
            ("alice", None, "Alice", Other),
            ("anonymous", None, "", Other),
            ("123456a", None, "123456a", Same),
        ] {
            let country = country.map(|country| Country::read(country).unwrap());
            let number = Number::read(wanted, country).unwrap();

            assert_eq!(number.likeness(&Private::new(stored.into())), likeness, "{wanted} and {stored}");
        }
    }

    #[test]
    fn what_is_no_number_is_not_looked_for() {
        for wrong in ["", "  ", "+", "--", "1\n2", &"1".repeat(129)] {
            assert!(Number::read(wrong, None).is_err() || wrong == "--", "{wrong:?}");
        }
        for wrong in ["", "049", "+", "4999", "de"] {
            assert_eq!(Country::read(wrong), Err(NotANumber), "{wrong}");
        }
        assert!(!format!("{:?} {}", Number::read("+4930123456", None), NotANumber).contains("123456"));
    }

    #[test]
    fn a_party_is_heard_from_the_side_it_is_on() {
        let legs = |role: Role| [Direction::Inbound, Direction::Outbound].map(|way| role.leg(Some(way)));

        assert_eq!(legs(Role::Calling), [Some(Leg::Trunk), Some(Leg::Pbx)]);
        assert_eq!(legs(Role::Called), [Some(Leg::Pbx), Some(Leg::Trunk)]);
        assert_eq!((legs(Role::Both), Role::Called.leg(None)), ([None; 2], None));
    }
}
