//! Who has agreed before any call, and who is never recorded: as it stands in the operator's register.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use crate::number;
use crate::time::Wall;

/// A consent that was given before the call: in writing, most often, and for all calls of a number; or as somebody else's system has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Prior {
    /// The line of the register that has it; nothing where a web hook says so.
    pub line: Option<u64>,
    /// When that line was written, or the hook answered.
    pub since: Wall,
    /// Which text was agreed to, in the operator's words.
    pub version: Option<Arc<str>>,
    /// Where the proof of it lies, in the operator's words.
    pub reference: Option<Arc<str>>,
}

/// A line of the register: what a number has agreed to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stands {
    /// The consent.
    pub prior: Arc<Prior>,
    /// What it is for; every purpose where none is named.
    pub purposes: Vec<Arc<str>>,
    /// From when on it counts.
    pub from: Option<Wall>,
    /// Until when it counts; at this moment it does no more.
    pub until: Option<Wall>,
}

impl Stands {
    fn is_for(&self, purpose: &str, version: Option<&str>, at: Wall) -> bool {
        (self.purposes.is_empty() || self.purposes.iter().any(|one| &**one == purpose))
            && version.is_none_or(|version| self.prior.version.as_deref() == Some(version))
            && self.from.is_none_or(|from| from <= at)
            && self.until.is_none_or(|until| at < until)
    }
}

/// All numbers that have agreed, or are never recorded. It prints none of them.
#[derive(Clone, Default)]
pub struct Register {
    agreed: HashMap<String, Vec<Stands>>,
    exempt: HashSet<String>,
}

impl Register {
    /// Adds what a number has agreed to.
    pub fn agrees(&mut self, number: &str, stands: Stands) {
        if let Some(number) = number::compared(number) {
            self.agreed.entry(number).or_default().push(stands);
        }
    }

    /// Adds a number that is never recorded, whatever anybody agrees to.
    pub fn exempts(&mut self, number: &str) {
        self.exempt.extend(number::compared(number));
    }

    /// Returns the newest consent of a number that counts now, for this purpose, and to this version of the text where one is asked for.
    #[must_use]
    pub fn prior(&self, number: &str, purpose: &str, version: Option<&str>, at: Wall) -> Option<Arc<Prior>> {
        let lines = self.agreed.get(&number::compared(number)?)?;
        let counts = lines.iter().filter(|stands| stands.is_for(purpose, version, at));
        counts.max_by_key(|stands| stands.prior.line).map(|stands| Arc::clone(&stands.prior))
    }

    /// Returns whether a number is never recorded.
    #[must_use]
    pub fn is_exempt(&self, number: &str) -> bool {
        !self.exempt.is_empty() && number::compared(number).is_some_and(|number| self.exempt.contains(&number))
    }
}

impl fmt::Debug for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Register({} agreed, {} exempt)", self.agreed.len(), self.exempt.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn wall(micros: i64) -> Wall {
        Wall::from_unix_micros(micros)
    }

    fn stands(line: u64) -> Stands {
        let prior = Arc::new(Prior { line: Some(line), since: wall(0), version: Some("2".into()), reference: None });
        Stands { prior, purposes: vec!["quality".into()], from: Some(wall(10)), until: Some(wall(20)) }
    }

    #[test]
    fn a_consent_counts_for_its_number_its_purpose_its_version_and_its_time() {
        let mut register = Register::default();
        register.agrees("+49 30 100", stands(7));
        let line = |number, purpose, version, at| register.prior(number, purpose, version, wall(at)).and_then(|prior| prior.line);

        assert_eq!(line("004930100", "quality", None, 10), Some(7));
        assert_eq!(line("004930100", "quality", Some("2"), 19), Some(7));
        for (number, purpose, version, at) in [
            ("004930101", "quality", None, 10),
            ("30100", "quality", None, 10),
            ("004930100", "training", None, 10),
            ("004930100", "quality", Some("3"), 10),
            ("004930100", "quality", None, 9),
            ("004930100", "quality", None, 20),
        ] {
            assert_eq!(line(number, purpose, version, at), None, "{number} {purpose} {version:?} {at}");
        }
    }

    #[test]
    fn of_several_that_count_the_newest_line_is_the_evidence() {
        let mut register = Register::default();
        register.agrees("100", stands(9));
        register.agrees("100", Stands { purposes: Vec::new(), ..stands(3) });

        assert_eq!(register.prior("100", "quality", None, wall(10)).and_then(|prior| prior.line), Some(9));
        assert_eq!(register.prior("100", "training", None, wall(10)).and_then(|prior| prior.line), Some(3));
    }

    #[test]
    fn who_is_exempt_is_so_however_the_number_is_written_and_is_not_printed() {
        let mut register = Register::default();
        register.exempts("+49 30 150");

        assert!(register.is_exempt("004930150") && !register.is_exempt("150") && !register.is_exempt(""));
        assert_eq!(format!("{register:?}"), "Register(0 agreed, 1 exempt)");
    }
}
