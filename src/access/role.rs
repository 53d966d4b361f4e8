//! The four roles, and sets of them.

use std::fmt;
use std::str::FromStr;

/// What somebody is here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    /// Looks after the calls of this moment; hears and opens nothing.
    Operator,
    /// Listens, for the purposes that are named.
    Reviewer,
    /// Answers for the rights of those recorded: holds, releases, erases, corrects, hands over.
    Officer,
    /// Looks at the chain, and at nothing that it is about.
    Auditor,
}

impl Role {
    /// Every role there is.
    pub const ALL: [Self; 4] = [Self::Operator, Self::Reviewer, Self::Officer, Self::Auditor];

    /// Returns the word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Reviewer => "reviewer",
            Self::Officer => "officer",
            Self::Auditor => "auditor",
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Operator => 1,
            Self::Reviewer => 2,
            Self::Officer => 4,
            Self::Auditor => 8,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = NotARole;

    fn from_str(text: &str) -> Result<Self, NotARole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(NotARole)
    }
}

/// The text is no role.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotARole;

impl fmt::Display for NotARole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the roles are operator, reviewer, officer and auditor")
    }
}

impl std::error::Error for NotARole {}

/// A set of roles.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Roles(u8);

impl Roles {
    /// No role at all.
    pub const NONE: Self = Self(0);

    /// Every role there is.
    pub const ALL: Self = Self::of(&Role::ALL);

    /// Returns the set of these.
    #[must_use]
    pub const fn of(roles: &[Role]) -> Self {
        let (mut set, mut rest) = (0, roles);
        while let [first, others @ ..] = rest {
            set |= first.bit();
            rest = others;
        }
        Self(set)
    }

    /// Returns whether this role is in it.
    #[must_use]
    pub const fn has(self, role: Role) -> bool {
        self.0 & role.bit() != 0
    }

    /// Returns whether there is none in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns whether a role is in both.
    #[must_use]
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Returns whether all of the other's are in it.
    #[must_use]
    pub const fn holds(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns all that are in either.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns them one by one.
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |role| self.has(*role))
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        Self(roles.into_iter().fold(0, |set, role| set | role.bit()))
    }
}

/// As they are written: `reviewer officer`.
impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.iter().map(Role::as_str).collect();
        f.write_str(&words.join(" "))
    }
}

impl fmt::Debug for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{self}]")
    }
}

impl FromStr for Roles {
    type Err = NotARole;

    fn from_str(text: &str) -> Result<Self, NotARole> {
        text.split_whitespace().map(str::parse).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_read_as_it_is_written() {
        let set = Roles::of(&[Role::Officer, Role::Operator]);

        assert_eq!(set.to_string(), "operator officer");
        assert_eq!("officer operator".parse(), Ok(set));
        assert_eq!("".parse(), Ok(Roles::NONE));
        assert_eq!("boss".parse::<Roles>(), Err(NotARole));
        assert!(Roles::ALL.holds(set) && !set.holds(Roles::ALL) && set.meets(Roles::of(&[Role::Officer])));
        assert_eq!(set.iter().collect::<Roles>(), set);
    }
}
