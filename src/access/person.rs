//! Who somebody is, apart from what he may do: a Unix user, a token, a certificate.

use std::fmt;
use std::str::FromStr;

/// Somebody, as he was known.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Person {
    /// A Unix user, by his number: whom the session belongs to where the kernel knows it, through `su` and `sudo`.
    Unix(u32),
    /// Whoever has the token of this name.
    Token(String),
    /// Whoever has the private key to a certificate of this subject.
    Certificate(String),
}

/// As the ledger has it: `uid 1000`, `token desk`, `certificate desk.example.com`.
impl fmt::Display for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(uid) => write!(f, "uid {uid}"),
            Self::Token(name) => write!(f, "token {name}"),
            Self::Certificate(subject) => write!(f, "certificate {subject}"),
        }
    }
}

impl FromStr for Person {
    type Err = NotAPerson;

    fn from_str(text: &str) -> Result<Self, NotAPerson> {
        let (kind, rest) = text.split_once(' ').filter(|(_, rest)| !rest.is_empty()).ok_or(NotAPerson)?;
        match kind {
            "uid" => rest.parse().map(Self::Unix).map_err(|_| NotAPerson),
            "token" => Ok(Self::Token(rest.into())),
            "certificate" => Ok(Self::Certificate(rest.into())),
            _ => Err(NotAPerson),
        }
    }
}

/// The text is nobody.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotAPerson;

impl fmt::Display for NotAPerson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no person of the ledger")
    }
}

impl std::error::Error for NotAPerson {}

/// A Unix user, as the system knows him.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct User {
    /// His number.
    pub uid: u32,
    /// His name, where he has one.
    pub name: Option<String>,
    /// The names of the groups that he is in.
    pub groups: Vec<String>,
}

impl User {
    /// Returns him as `alice (uid 1000)`.
    #[must_use]
    pub fn in_words(&self) -> String {
        self.name.as_ref().map_or_else(|| format!("uid {}", self.uid), |name| format!("{name} (uid {})", self.uid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_read_as_it_is_written() {
        for person in [Person::Unix(1000), Person::Token("desk".into()), Person::Certificate("CN of two words".into())] {
            assert_eq!(person.to_string().parse(), Ok(person));
        }
        for text in ["", "uid", "uid x", "uid ", "user 1"] {
            assert_eq!(text.parse::<Person>(), Err(NotAPerson), "{text}");
        }
    }
}
