//! The register of those who have agreed before any call, and of those who are never recorded: lines that are only added.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::catalogue::{NotInTheLog, StoreError};
use crate::private::Private;
use crate::time::Wall;

/// Keeps the register, beside the ledger and in its chain.
pub trait Roster {
    /// Adds lines, durably: all of them, or none. Their numbers are given to them here.
    ///
    /// # Errors
    /// As for [`Store::write`](crate::catalogue::Store::write).
    fn enter(&mut self, lines: &[RosterLine]) -> Result<(), StoreError>;

    /// Returns every line, in the order in which they were added.
    ///
    /// # Errors
    /// The disk.
    fn roster(&self) -> Result<Vec<RosterLine>, StoreError>;
}

/// One line of the register.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RosterLine {
    /// Its number; whatever it is where the line is not entered yet.
    pub number: u64,
    /// When it was added.
    pub at: Wall,
    /// Who added it: the Unix user.
    pub who: String,
    /// What it says.
    pub deed: RosterDeed,
    /// Of which number, in the way in which numbers are compared ([`number::compared`](crate::number::compared)); empty once that was cleared
    /// ([`Rights::clear`](crate::catalogue::Rights::clear)).
    pub party: Private<String>,
    /// Which text was agreed to, in the operator's words.
    pub version: Option<String>,
    /// What was agreed to, by purposes; all of them where none is named.
    pub purposes: Vec<String>,
    /// From when on the consent counts.
    pub from: Option<Wall>,
    /// Until when it counts.
    pub until: Option<Wall>,
    /// Where the proof of it lies, or why the line was added, in the operator's words.
    pub reference: Option<String>,
}

impl RosterLine {
    /// Returns whether nobody knows any more whose line it is.
    #[must_use]
    pub fn is_cleared(&self) -> bool {
        self.party.reveal().is_empty()
    }
}

/// What a line says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RosterDeed {
    /// The number's party has agreed.
    Agreed,
    /// It has taken all that back.
    Revoked,
    /// It is never recorded.
    Exempt,
    /// It is recorded as others are.
    NotExempt,
}

impl RosterDeed {
    /// Every deed there is.
    pub const ALL: [Self; 4] = [Self::Agreed, Self::Revoked, Self::Exempt, Self::NotExempt];

    /// Returns the word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agreed => "agreed",
            Self::Revoked => "revoked",
            Self::Exempt => "exempt",
            Self::NotExempt => "not-exempt",
        }
    }
}

impl fmt::Display for RosterDeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RosterDeed {
    type Err = NotInTheLog;

    fn from_str(text: &str) -> Result<Self, NotInTheLog> {
        Self::ALL.into_iter().find(|deed| deed.as_str() == text).ok_or(NotInTheLog)
    }
}

/// Returns the lines that stand: consents that were not revoked since, and the last word on each number that is never recorded. In the
/// order of the lines.
#[must_use]
pub fn standing(lines: &[RosterLine]) -> Vec<&RosterLine> {
    let mut consents: BTreeMap<&str, Vec<&RosterLine>> = BTreeMap::new();
    let mut exempt: BTreeMap<&str, &RosterLine> = BTreeMap::new();
    for line in lines.iter().filter(|line| !line.is_cleared()) {
        let party = line.party.reveal().as_str();
        match line.deed {
            RosterDeed::Agreed => consents.entry(party).or_default().push(line),
            RosterDeed::Revoked => drop(consents.remove(party)),
            RosterDeed::Exempt => drop(exempt.insert(party, line)),
            RosterDeed::NotExempt => drop(exempt.remove(party)),
        }
    }
    let mut standing: Vec<&RosterLine> = consents.into_values().flatten().chain(exempt.into_values()).collect();
    standing.sort_by_key(|line| line.number);
    standing
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: u64, deed: RosterDeed, party: &str) -> RosterLine {
        RosterLine {
            number,
            at: Wall::from_unix_micros(0),
            who: "alice".into(),
            deed,
            party: Private::new(party.into()),
            version: None,
            purposes: Vec::new(),
            from: None,
            until: None,
            reference: None,
        }
    }

    #[test]
    fn what_was_revoked_stands_no_more_and_what_comes_after_it_does() {
        use RosterDeed::{Agreed, Exempt, NotExempt, Revoked};
        let lines: Vec<_> = (1..)
            .zip([
                (Agreed, "100"),
                (Agreed, "101"),
                (Agreed, "100"),
                (Revoked, "100"),
                (Exempt, "150"),
                (Exempt, "151"),
                (NotExempt, "150"),
                (Agreed, "100"),
                (Agreed, "100"),
                (Revoked, "102"),
            ])
            .map(|(number, (deed, party))| line(number, deed, party))
            .collect();

        let standing: Vec<_> = standing(&lines).into_iter().map(|line| line.number).collect();

        assert_eq!(standing, [2, 6, 8, 9]);
    }

    #[test]
    fn a_line_prints_no_number() {
        assert!(!format!("{:?}", line(1, RosterDeed::Exempt, "4930123456")).contains("4930123456"));
    }
}
