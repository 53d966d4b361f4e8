//! The register of those who have agreed, or are never recorded: from the ledger's lines to what the table of calls goes by.

use std::path::Path;
use std::sync::Arc;

use crate::catalogue::{Opening, RosterDeed, RosterLine, StoreError, standing};
use crate::consent::{Prior, Register, Stands};
use crate::node::store;

/// Reads the register as it stands in the ledger; and how many lines of it stand.
///
/// # Errors
/// The ledger cannot be read.
pub(super) fn read(ledger: &Path) -> Result<(Arc<Register>, u64), StoreError> {
    Ok(of(&store::open(ledger, Opening::Read)?.roster()?))
}

/// Makes the register of all lines there ever were; and says how many of them stand.
pub(super) fn of(lines: &[RosterLine]) -> (Arc<Register>, u64) {
    let lines = standing(lines);
    let mut register = Register::default();
    for line in &lines {
        let number = line.party.reveal();
        match line.deed {
            RosterDeed::Agreed => register.agrees(number, stands(line)),
            RosterDeed::Exempt => register.exempts(number),
            // They took something out, and stand for nothing.
            RosterDeed::Revoked | RosterDeed::NotExempt => {}
        }
    }
    (Arc::new(register), lines.len() as u64)
}

fn stands(line: &RosterLine) -> Stands {
    let words = |text: &Option<String>| text.as_deref().map(Into::into);
    Stands {
        prior: Arc::new(Prior {
            line: Some(line.number),
            since: line.at,
            version: words(&line.version),
            reference: words(&line.reference),
        }),
        purposes: line.purposes.iter().map(|purpose| purpose.as_str().into()).collect(),
        from: line.from,
        until: line.until,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::private::Private;
    use crate::time::Wall;

    #[test]
    fn what_stands_in_the_ledger_is_what_calls_go_by() {
        let line = |number, deed, party: &str| RosterLine {
            number,
            at: Wall::from_unix_micros(5),
            who: "alice".into(),
            deed,
            party: Private::new(party.into()),
            version: Some("2".into()),
            purposes: vec!["quality".into()],
            from: None,
            until: Some(Wall::from_unix_micros(20)),
            reference: Some("HR-17".into()),
        };
        let lines = [
            line(1, RosterDeed::Agreed, "100"),
            line(2, RosterDeed::Agreed, "101"),
            line(3, RosterDeed::Revoked, "101"),
            line(4, RosterDeed::Exempt, "150"),
        ];

        let (register, standing) = of(&lines);

        let prior = |number, purpose, at| register.prior(number, purpose, Some("2"), Wall::from_unix_micros(at));
        let expected =
            Prior { line: Some(1), since: Wall::from_unix_micros(5), version: Some("2".into()), reference: Some("HR-17".into()) };
        assert_eq!(prior("100", "quality", 10).as_deref(), Some(&expected));
        assert!(prior("100", "training", 10).is_none() && prior("100", "quality", 20).is_none());
        assert!(prior("101", "quality", 10).is_none());
        assert!(register.is_exempt("150") && !register.is_exempt("100"));
        assert_eq!(standing, 2);
    }
}
