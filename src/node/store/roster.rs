//! The register of those who have agreed, or are never recorded, in SQLite.

use rusqlite::{Connection, Row, Transaction, params};

use crate::catalogue::{Event, Likeness, Number, RosterLine, standing};
use crate::node::store::chain::{Writer, fresh};
use crate::node::store::rows::{count, word};
use crate::private::Private;
use crate::time::Wall;

const ENTER: &str = "
    INSERT INTO roster (at_us, who, deed, party, version, purposes, from_us, until_us, reference, salt)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

const ALL: &str = "
    SELECT number, at_us, who, deed, party, version, purposes, from_us, until_us, reference FROM roster ORDER BY number";

const CLEAR: &str = "UPDATE roster SET party = '', reference = NULL, salt = zeroblob(32) WHERE number = ?1";

/// A purpose is a word without a space.
const BETWEEN: &str = " ";

pub(super) fn enter(transaction: &Transaction<'_>, line: &RosterLine, chain: &mut Writer<'_>) -> rusqlite::Result<()> {
    transaction.prepare_cached(ENTER)?.execute(params![
        line.at.unix_micros(),
        line.who,
        line.deed.as_str(),
        line.party.reveal(),
        line.version,
        line.purposes.join(BETWEEN),
        line.from.map(Wall::unix_micros),
        line.until.map(Wall::unix_micros),
        line.reference,
        fresh()?.as_slice(),
    ])?;
    let number = transaction.last_insert_rowid();
    let digest = chain.roster_line(number)?;
    chain.add(&Event::Roster { number: u64::try_from(number).unwrap_or(0), deed: line.deed, line: digest })
}

/// Clears whose those lines are that are a person's and do not stand. Returns of how many.
pub(super) fn clear(transaction: &Transaction<'_>, person: &Number, chain: &mut Writer<'_>) -> rusqlite::Result<u64> {
    let lines = all(transaction)?;
    let stand: Vec<u64> = standing(&lines).iter().map(|line| line.number).collect();
    let is_persons = |line: &&RosterLine| !line.is_cleared() && person.likeness(&line.party) == Likeness::Same;
    let mut cleared = 0;
    for line in lines.iter().filter(is_persons).filter(|line| !stand.contains(&line.number)) {
        transaction.prepare_cached(CLEAR)?.execute([i64::try_from(line.number).unwrap_or(i64::MAX)])?;
        chain.add(&Event::RosterCleared { number: line.number })?;
        cleared += 1;
    }
    Ok(cleared)
}

pub(super) fn all(db: &Connection) -> rusqlite::Result<Vec<RosterLine>> {
    db.prepare(ALL)?.query_map([], line)?.collect()
}

fn line(row: &Row<'_>) -> rusqlite::Result<RosterLine> {
    let at = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(Wall::from_unix_micros));
    let purposes: String = row.get("purposes")?;
    Ok(RosterLine {
        number: count(row, "number")?,
        at: Wall::from_unix_micros(row.get("at_us")?),
        who: row.get("who")?,
        deed: word(row, "deed")?,
        party: Private::new(row.get("party")?),
        version: row.get("version")?,
        purposes: purposes.split(BETWEEN).filter(|purpose| !purpose.is_empty()).map(Into::into).collect(),
        from: at("from_us")?,
        until: at("until_us")?,
        reference: row.get("reference")?,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use tempfile::TempDir;

    use crate::catalogue::{Audit, Break, Cleared, Fault, Opening, Purged, RosterDeed, Store};
    use crate::node::store::open;
    use crate::node::store::schema::{APPLICATION, STEPS};

    use super::*;

    fn line(number: u64, deed: RosterDeed) -> RosterLine {
        RosterLine {
            number,
            at: Wall::from_unix_micros(7),
            who: "alice".into(),
            deed,
            party: Private::new("+4930100".into()),
            version: Some("2026-1".into()),
            purposes: vec!["quality".into(), "training".into()],
            from: Some(Wall::from_unix_micros(1)),
            until: None,
            reference: Some("HR-17".into()),
        }
    }

    fn kept() -> (TempDir, Box<dyn Store>) {
        let home = tempfile::tempdir().unwrap();
        let store = open(&home.path().join("ledger.db"), Opening::Keep).unwrap();
        (home, store)
    }

    fn faults(store: &dyn Store) -> Vec<Fault> {
        let mut audit = Audit::begin(&[], &[]);
        store.links(0, &mut |link, _| audit.step(&link, None)).unwrap();
        store.bound(&mut |bound| audit.row(bound)).unwrap();
        let mut faults = audit.end(None).faults;
        faults.retain(|fault| !matches!(fault, Fault::Chain(Break::Unsigned(_))));
        faults
    }

    #[test]
    fn lines_are_read_as_they_were_entered_and_the_chain_accounts_for_them() {
        let (home, mut store) = kept();
        store.enter(&[line(0, RosterDeed::Agreed), line(0, RosterDeed::Revoked)]).unwrap();
        drop(store);

        let store = open(&home.path().join("ledger.db"), Opening::Read).unwrap();

        assert_eq!(store.roster().unwrap(), [line(1, RosterDeed::Agreed), line(2, RosterDeed::Revoked)]);
        assert_eq!(faults(store.as_ref()), []);
        let mut bodies = String::new();
        store.links(0, &mut |link, _| bodies.push_str(&link.body)).unwrap();
        assert!(bodies.contains("\"deed\":\"agreed\"") && !bodies.contains("4930100") && !bodies.contains("HR-17"), "{bodies}");
    }

    #[test]
    fn whoever_changes_takes_out_or_adds_a_line_is_found_out() {
        let found = |sql: &str| {
            let (home, mut store) = kept();
            store.enter(&[line(0, RosterDeed::Agreed)]).unwrap();
            let db = Connection::open(home.path().join("ledger.db")).unwrap();
            let refused = db.execute_batch(sql);
            db.execute_batch("DROP TRIGGER roster_is_not_changed; DROP TRIGGER roster_is_not_cut").unwrap();
            if refused.is_err() {
                db.execute_batch(sql).unwrap();
            }
            (refused.is_err(), faults(store.as_ref()))
        };

        assert_eq!(found("UPDATE roster SET party = '101'"), (true, vec![Fault::RosterChanged(1)]));
        assert_eq!(found("DELETE FROM roster"), (true, vec![Fault::RosterGone { number: 1, seq: 2 }]));
        let added =
            "INSERT INTO roster (at_us, who, deed, party, purposes, salt) VALUES (1, 'eve', 'agreed', '1', '', zeroblob(32))";
        assert_eq!(found(added), (false, vec![Fault::RosterChanged(2)]));
    }

    #[test]
    fn whose_lines_they_are_is_cleared_where_they_do_not_stand_and_nothing_else_of_them_can_be_changed() {
        let (home, mut store) = kept();
        let other = RosterLine { party: Private::new("+4930101".into()), ..line(0, RosterDeed::Agreed) };
        let lines = [RosterDeed::Agreed, RosterDeed::Revoked, RosterDeed::Exempt].map(|deed| line(0, deed));
        store.enter(&lines).unwrap();
        store.enter(&[other]).unwrap();
        let person = Number::read("0049 30 100", None).unwrap();

        assert_eq!(store.clear(&[], Some(&person)).unwrap(), Cleared { calls: 0, lines: 2 });
        let roster = store.roster().unwrap();
        let whose: Vec<&str> = roster.iter().map(|line| line.party.reveal().as_str()).collect();
        assert_eq!(whose, ["", "", "+4930100", "+4930101"]);
        assert_eq!(roster.iter().map(|line| line.reference.is_some()).collect::<Vec<_>>(), [false, false, true, true]);
        assert_eq!(standing(&roster).iter().map(|line| line.number).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(faults(store.as_ref()), []);

        store.enter(&[line(0, RosterDeed::NotExempt)]).unwrap();
        assert_eq!(store.clear(&[], Some(&person)).unwrap().lines, 2);
        assert_eq!(store.clear(&[], Some(&person)).unwrap().lines, 0);
        assert_eq!(store.purge(&[Private::new("4930100".into())]).unwrap(), Purged::Clean);
        let bytes = std::fs::read(home.path().join("ledger.db")).unwrap();
        assert!(!bytes.windows(7).any(|window| window == b"4930100") && bytes.windows(7).any(|window| window == b"4930101"));
        assert_eq!(faults(store.as_ref()), []);

        let db = Connection::open(home.path().join("ledger.db")).unwrap();
        let change = |sql: &str| db.execute_batch(sql);
        assert!(
            change("UPDATE roster SET party = '', reference = NULL, salt = zeroblob(32), deed = 'revoked' WHERE number = 4")
                .is_err()
        );
        assert!(change("UPDATE roster SET party = '+4930999' WHERE number = 1").is_err());
        change("UPDATE roster SET party = '', reference = NULL, salt = zeroblob(32) WHERE number = 4").unwrap();
        assert_eq!(faults(store.as_ref()), [Fault::RosterChanged(4)], "no event says so");
        change("DROP TRIGGER roster_is_not_changed; UPDATE roster SET party = '+4930999' WHERE number = 1").unwrap();
        assert_eq!(faults(store.as_ref()), [Fault::RosterChanged(1), Fault::RosterChanged(4)]);
    }

    #[test]
    fn a_ledger_of_the_seventh_version_has_an_empty_register() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("ledger.db");
        let old = Connection::open(&path).unwrap();
        STEPS.iter().take(7).for_each(|step| old.execute_batch(step).unwrap());
        old.pragma_update(None, "application_id", APPLICATION).unwrap();
        old.pragma_update(None, "user_version", 7).unwrap();
        drop(old);

        let store = open(&path, Opening::Keep).unwrap();

        assert_eq!(store.roster().unwrap(), []);
    }
}
