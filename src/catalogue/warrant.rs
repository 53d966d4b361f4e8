//! What was allowed, and what was denied: tokens, what a second person approved, who broke the glass. Lines that are only added.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use crate::access::{Action, Person, Purposes, Roles, Token, TokenHash, Tokens};
use crate::catalogue::{Access, NotInTheLog, StoreError};
use crate::ids::RecordingId;
use crate::time::Wall;

/// Keeps the warrants, beside the ledger and in its chain.
pub trait Warrants {
    /// Adds a line, durably; returns its number. Of an earlier line each thing is said once: what was used up is used up, whoever tries at the
    /// same time.
    ///
    /// # Errors
    /// As for [`Store::write`](crate::catalogue::Store::write), or the same was said of that earlier line; then nothing may be done on it.
    fn warrant(&mut self, warrant: &Warrant) -> Result<u64, StoreError>;

    /// Returns every line, in the order in which they were added.
    ///
    /// # Errors
    /// The disk.
    fn warrants(&self) -> Result<Vec<Warrant>, StoreError>;

    /// Returns the lines that were added after the one with this number, in order.
    ///
    /// # Errors
    /// The disk.
    fn warrants_after(&self, number: u64) -> Result<Vec<Warrant>, StoreError>;

    /// Returns how many lines of the access log after the one with this number say that a role was wanting, and the number of the last line.
    ///
    /// # Errors
    /// The disk.
    fn denied_after(&self, number: u64) -> Result<(u64, u64), StoreError>;

    /// Returns those lines of the access log by which an export was begun since then, or a recording given out with its wrapped keys, in the order in which they were added.
    ///
    /// # Errors
    /// The disk.
    fn exports(&self, since: Wall) -> Result<Vec<Access>, StoreError>;
}

/// One line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Warrant {
    /// Its number; whatever it is where the line is not added yet.
    pub number: u64,
    /// When it was added.
    pub at: Wall,
    /// By whom, in words.
    pub who: String,
    /// By whom, as two are compared.
    pub persons: BTreeSet<Person>,
    /// What it says.
    pub says: Says,
    /// Why, in the words of whoever did it.
    pub reason: Option<String>,
}

/// What a line says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Says {
    /// A token was given out.
    Given {
        /// Its name.
        name: String,
        /// What is kept of it.
        hash: TokenHash,
        /// What whoever has it is.
        roles: Roles,
        /// What he may open recordings for.
        purposes: Purposes,
        /// Until when.
        until: Wall,
    },
    /// The token of that line is one no more.
    Revoked(u64),
    /// Somebody wants to do what takes two.
    Asked(Wanted),
    /// Another approves what that line asks for.
    Approved(u64),
    /// Another refuses it, or whoever asked takes it back.
    Refused(u64),
    /// What that line asked for is being done: it can be done once.
    Used(u64),
    /// Somebody wanted what he may not.
    Denied(Wanted),
    /// Somebody did what he may not, and was one of those who may do so.
    Broke(Wanted),
}

/// What somebody wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// To do what.
    pub action: Action,
    /// With which recording, where it is one.
    pub recording: Option<RecordingId>,
}

impl Says {
    /// Returns the kind of line.
    #[must_use]
    pub const fn kind(&self) -> WarrantKind {
        match self {
            Self::Given { .. } => WarrantKind::Given,
            Self::Revoked(_) => WarrantKind::Revoked,
            Self::Asked(_) => WarrantKind::Asked,
            Self::Approved(_) => WarrantKind::Approved,
            Self::Refused(_) => WarrantKind::Refused,
            Self::Used(_) => WarrantKind::Used,
            Self::Denied(_) => WarrantKind::Denied,
            Self::Broke(_) => WarrantKind::Broke,
        }
    }

    /// Returns what was wanted, where it says so itself.
    #[must_use]
    pub const fn wanted(&self) -> Option<Wanted> {
        match self {
            Self::Asked(wanted) | Self::Denied(wanted) | Self::Broke(wanted) => Some(*wanted),
            Self::Given { .. } | Self::Revoked(_) | Self::Approved(_) | Self::Refused(_) | Self::Used(_) => None,
        }
    }

    /// Returns the earlier line that it speaks of.
    #[must_use]
    pub const fn earlier(&self) -> Option<u64> {
        match self {
            Self::Revoked(earlier) | Self::Approved(earlier) | Self::Refused(earlier) | Self::Used(earlier) => Some(*earlier),
            Self::Given { .. } | Self::Asked(_) | Self::Denied(_) | Self::Broke(_) => None,
        }
    }
}

/// What kind of line it is: its word is that of its event in the chain.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum WarrantKind {
    /// A token was given out.
    Given,
    /// A token was revoked.
    Revoked,
    /// Somebody wants to do what takes two.
    Asked,
    /// Another approves.
    Approved,
    /// Another refuses.
    Refused,
    /// It is being done.
    Used,
    /// Somebody wanted what he may not.
    Denied,
    /// Somebody did what he may not.
    Broke,
}

impl WarrantKind {
    /// Every kind there is.
    pub const ALL: [Self; 8] =
        [Self::Given, Self::Revoked, Self::Asked, Self::Approved, Self::Refused, Self::Used, Self::Denied, Self::Broke];

    /// Returns its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Given => "token-given",
            Self::Revoked => "token-revoked",
            Self::Asked => "approval-asked",
            Self::Approved => "approval-given",
            Self::Refused => "approval-refused",
            Self::Used => "approval-used",
            Self::Denied => "denied",
            Self::Broke => "glass-broken",
        }
    }
}

impl fmt::Display for WarrantKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for WarrantKind {
    type Err = NotInTheLog;

    fn from_str(text: &str) -> Result<Self, NotInTheLog> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(NotInTheLog)
    }
}

/// Returns the tokens that were given out and not revoked, those too whose time is over.
#[must_use]
pub fn tokens(warrants: &[Warrant]) -> Tokens {
    let mut standing = BTreeMap::new();
    for warrant in warrants {
        match &warrant.says {
            Says::Given { name, hash, roles, purposes, until } => {
                let token = Token {
                    name: name.clone(),
                    hash: *hash,
                    roles: *roles,
                    purposes: purposes.clone(),
                    until: *until,
                    givers: warrant.persons.clone(),
                };
                standing.insert(warrant.number, token);
            }
            Says::Revoked(number) => drop(standing.remove(number)),
            Says::Asked(_) | Says::Approved(_) | Says::Refused(_) | Says::Used(_) | Says::Denied(_) | Says::Broke(_) => {}
        }
    }
    Tokens::new(standing.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Role;

    fn line(number: u64, says: Says) -> Warrant {
        let persons = BTreeSet::from([Person::Unix(1000)]);
        Warrant { number, at: Wall::from_unix_micros(0), who: "alice".into(), persons, says, reason: None }
    }

    #[test]
    fn a_token_that_was_revoked_stands_no_more() {
        let given = |name: &str, byte| Says::Given {
            name: name.into(),
            hash: TokenHash::from_bytes([byte; 32]),
            roles: Roles::of(&[Role::Operator]),
            purposes: Purposes::All,
            until: Wall::from_unix_micros(9),
        };
        let lines = [line(1, given("desk", 1)), line(2, given("wall", 2)), line(3, Says::Revoked(1)), line(4, given("desk", 3))];

        let tokens = tokens(&lines);

        let names: Vec<_> = tokens.as_slice().iter().map(|token| (token.name.as_str(), *token.hash.as_bytes())).collect();
        assert_eq!(names, [("wall", [2; 32]), ("desk", [3; 32])]);
    }

    #[test]
    fn the_kinds_are_read_as_they_are_written() {
        for kind in WarrantKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
    }
}
