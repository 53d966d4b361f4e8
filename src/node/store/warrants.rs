//! The warrants in SQLite: tokens, approvals, what was denied and who broke the glass.

use std::collections::BTreeSet;

use rusqlite::{Connection, Row, Transaction, params};

use crate::access::{Action, Person, Purposes, TokenHash};
use crate::catalogue::{Access, Bound, Event, Outcome, Part, Says, Wanted, Warrant, WarrantKind};
use crate::ids::RecordingId;
use crate::node::store::chain::{Writer, fresh};
use crate::node::store::rows::{access, count, unknown, word};
use crate::time::Wall;

/// A line's columns as they are bound.
const WARRANT: &str = "
    json_array(number, at_us, hex(who), hex(persons), kind, iif(name IS NULL, NULL, hex(name)), iif(hash IS NULL, NULL, hex(hash)), roles,
               iif(purposes IS NULL, NULL, hex(purposes)), until_us, action, recording, earlier, iif(reason IS NULL, NULL, hex(reason)))";

const ADD: &str = "
    INSERT INTO warrants (at_us, who, persons, kind, name, hash, roles, purposes, until_us, action, recording, earlier, reason, salt)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";

/// A purpose is a word without a space, and no `*`.
const EVERY: &str = "*";

/// Adds a line and its event; returns its number.
pub(super) fn add(transaction: &Transaction<'_>, warrant: &Warrant, chain: &mut Writer<'_>) -> rusqlite::Result<u64> {
    let persons: Vec<String> = warrant.persons.iter().map(ToString::to_string).collect();
    let (mut name, mut hash, mut roles, mut purposes, mut until) = (None, None, None, None, None);
    match &warrant.says {
        Says::Given { name: own, hash: kept, roles: those, purposes: what_for, until: end } => {
            (name, hash, until) = (Some(own), Some(kept.as_bytes().as_slice()), Some(end.unix_micros()));
            (roles, purposes) = (Some(those.to_string()), Some(written(what_for)));
        }
        Says::Revoked(_)
        | Says::Asked(_)
        | Says::Approved(_)
        | Says::Refused(_)
        | Says::Used(_)
        | Says::Denied(_)
        | Says::Broke(_) => {}
    }
    let (wanted, salt, kind) = (warrant.says.wanted(), fresh()?, warrant.says.kind());
    let recording = wanted.and_then(|wanted| wanted.recording);
    transaction.prepare_cached(ADD)?.execute(params![
        warrant.at.unix_micros(),
        warrant.who,
        persons.join("\n"),
        kind.as_str(),
        name,
        hash,
        roles,
        purposes,
        until,
        wanted.map(|wanted| wanted.action.as_str()),
        recording.map(|recording| recording.to_string()),
        warrant.says.earlier().map(|earlier| i64::try_from(earlier).unwrap_or(i64::MAX)),
        warrant.reason,
        salt.as_slice(),
    ])?;
    let number = transaction.last_insert_rowid();
    let columns: String =
        transaction.query_row(&format!("SELECT {WARRANT} FROM warrants WHERE number = ?1"), [number], |row| row.get(0))?;
    let number = u64::try_from(number).unwrap_or(0);
    chain.add(&Event::Warrant { number, kind, recording, line: Part::Warrant.digest(&salt, &columns) })?;
    Ok(number)
}

pub(super) fn all(db: &Connection) -> rusqlite::Result<Vec<Warrant>> {
    db.prepare("SELECT * FROM warrants ORDER BY number")?.query_map([], warrant)?.collect()
}

pub(super) fn after(db: &Connection, number: u64) -> rusqlite::Result<Vec<Warrant>> {
    let number = i64::try_from(number).unwrap_or(i64::MAX);
    db.prepare_cached("SELECT * FROM warrants WHERE number > ?1 ORDER BY number")?.query_map([number], warrant)?.collect()
}

pub(super) fn denied_after(db: &Connection, number: u64) -> rusqlite::Result<(u64, u64)> {
    let query = "SELECT count(*) FILTER (WHERE outcome = ?2) AS denied, coalesce(max(number), ?1) AS last FROM accesses WHERE number > ?1";
    let parameters = params![i64::try_from(number).unwrap_or(i64::MAX), Outcome::Denied.as_str()];
    db.prepare_cached(query)?.query_row(parameters, |row| Ok((count(row, "denied")?, count(row, "last")?)))
}

pub(super) fn exports(db: &Connection, since: Wall) -> rusqlite::Result<Vec<Access>> {
    let query = "SELECT at_us, who, deed, recording, purpose, reason, outcome FROM accesses
                 WHERE deed IN ('export', 'bundle') AND outcome = 'begun' AND at_us >= ?1 ORDER BY number";
    db.prepare(query)?.query_map([since.unix_micros()], access)?.collect()
}

fn warrant(row: &Row<'_>) -> rusqlite::Result<Warrant> {
    let earlier = || count(row, "earlier");
    let says = match word::<WarrantKind>(row, "kind")? {
        WarrantKind::Given => Says::Given {
            name: row.get("name")?,
            hash: TokenHash::from_bytes(row.get("hash")?),
            roles: word(row, "roles")?,
            purposes: read(&row.get::<_, String>("purposes")?),
            until: Wall::from_unix_micros(row.get("until_us")?),
        },
        WarrantKind::Revoked => Says::Revoked(earlier()?),
        WarrantKind::Asked => Says::Asked(wanted(row)?),
        WarrantKind::Approved => Says::Approved(earlier()?),
        WarrantKind::Refused => Says::Refused(earlier()?),
        WarrantKind::Used => Says::Used(earlier()?),
        WarrantKind::Denied => Says::Denied(wanted(row)?),
        WarrantKind::Broke => Says::Broke(wanted(row)?),
    };
    let persons: String = row.get("persons")?;
    let persons =
        persons.lines().map(str::parse::<Person>).collect::<Result<BTreeSet<_>, _>>().map_err(|_| unknown("persons"))?;
    Ok(Warrant {
        number: count(row, "number")?,
        at: Wall::from_unix_micros(row.get("at_us")?),
        who: row.get("who")?,
        persons,
        says,
        reason: row.get("reason")?,
    })
}

fn wanted(row: &Row<'_>) -> rusqlite::Result<Wanted> {
    let action = Action::read(&row.get::<_, String>("action")?).ok_or_else(|| unknown("action"))?;
    let recording: Option<RecordingId> =
        row.get::<_, Option<String>>("recording")?.map(|text| text.parse()).transpose().map_err(|_| unknown("recording"))?;
    Ok(Wanted { action, recording })
}

fn written(purposes: &Purposes) -> String {
    match purposes {
        Purposes::All => EVERY.into(),
        Purposes::Only(purposes) => purposes.iter().map(String::as_str).collect::<Vec<_>>().join(" "),
    }
}

fn read(text: &str) -> Purposes {
    if text == EVERY { Purposes::All } else { Purposes::Only(text.split_whitespace().map(str::to_owned).collect()) }
}

pub(super) fn bound(db: &Connection, each: &mut dyn FnMut(Bound)) -> rusqlite::Result<()> {
    let mut statement = db.prepare(&format!("SELECT number, salt, {WARRANT} AS columns FROM warrants"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let line = Part::Warrant.digest(&row.get("salt")?, &row.get::<_, String>("columns")?);
        each(Bound::Warrant { number: count(row, "number")?, line });
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use tempfile::TempDir;

    use crate::access::{Role, Roles};
    use crate::catalogue::{Audit, Break, Fault, Opening, Store};
    use crate::node::store::open;
    use crate::node::store::schema::{APPLICATION, STEPS};

    use super::*;

    fn line(number: u64, says: Says) -> Warrant {
        let persons = BTreeSet::from([Person::Unix(1000), Person::Token("desk".into())]);
        let (at, who) = (Wall::from_unix_micros(7), "alice (uid 1000)".into());
        Warrant { number, at, who, persons, says, reason: Some("case 17".into()) }
    }

    fn given() -> Says {
        Says::Given {
            name: "desk".into(),
            hash: TokenHash::from_bytes([0xab; 32]),
            roles: Roles::of(&[Role::Operator, Role::Reviewer]),
            purposes: Purposes::Only(["quality".to_owned(), "training".to_owned()].into()),
            until: Wall::from_unix_micros(99),
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
    fn lines_are_read_as_they_were_added_and_the_chain_accounts_for_them() {
        let (home, mut store) = kept();
        let wanted = Wanted { action: Action::Release, recording: Some(RecordingId::from_bytes([3; 16])) };
        let all = Says::Given {
            name: "all".into(),
            hash: TokenHash::from_bytes([1; 32]),
            roles: Roles::ALL,
            purposes: Purposes::All,
            until: Wall::from_unix_micros(1),
        };
        let says = [
            given(),
            Says::Revoked(1),
            Says::Asked(wanted),
            Says::Approved(3),
            Says::Used(3),
            Says::Refused(3),
            Says::Denied(Wanted { action: Action::Drain, recording: None }),
            Says::Broke(wanted),
            all,
        ];
        let lines: Vec<_> = (1..).zip(says).map(|(number, says)| line(number, says)).collect();
        let numbers: Vec<_> = lines.iter().map(|line| store.warrant(line).unwrap()).collect();
        drop(store);

        let store = open(&home.path().join("ledger.db"), Opening::Read).unwrap();

        assert_eq!(numbers, (1..=9).collect::<Vec<_>>());
        assert_eq!(store.warrants().unwrap(), lines);
        assert_eq!(faults(store.as_ref()), []);
        let mut bodies = String::new();
        store.links(0, &mut |link, _| bodies.push_str(&link.body)).unwrap();
        assert!(!bodies.contains("abab") && !bodies.contains("case 17") && !bodies.contains("alice"), "{bodies}");
    }

    #[test]
    fn what_was_approved_is_used_once_whoever_tries_at_the_same_time() {
        let (home, mut one) = kept();
        let mut other = open(&home.path().join("ledger.db"), Opening::ReadAndLog).unwrap();
        one.warrant(&line(0, Says::Asked(Wanted { action: Action::Release, recording: None }))).unwrap();

        assert!(one.warrant(&line(0, Says::Used(1))).is_ok());
        assert!(other.warrant(&line(0, Says::Used(1))).is_err());
        assert_eq!(one.warrants().unwrap().len(), 2);
        assert_eq!(faults(one.as_ref()), []);
    }

    #[test]
    fn whoever_changes_takes_out_or_adds_a_line_is_found_out() {
        let found = |sql: &str| {
            let (home, mut store) = kept();
            store.warrant(&line(0, given())).unwrap();
            let db = Connection::open(home.path().join("ledger.db")).unwrap();
            let refused = db.execute_batch(sql);
            db.execute_batch("DROP TRIGGER warrants_are_not_changed; DROP TRIGGER warrants_are_not_removed").unwrap();
            if refused.is_err() {
                db.execute_batch(sql).unwrap();
            }
            (refused.is_err(), faults(store.as_ref()))
        };

        assert_eq!(found("UPDATE warrants SET roles = 'officer'"), (true, vec![Fault::WarrantChanged(1)]));
        assert_eq!(found("DELETE FROM warrants"), (true, vec![Fault::WarrantGone { number: 1, seq: 2 }]));
        let added = "INSERT INTO warrants (at_us, who, persons, kind, name, hash, roles, purposes, until_us, salt)
                     VALUES (1, 'eve', 'uid 1', 'token-given', 'eve', zeroblob(32), 'officer', '*', 99, zeroblob(32))";
        assert_eq!(found(added), (false, vec![Fault::WarrantChanged(2)]));
    }

    #[test]
    fn a_ledger_of_the_tenth_version_has_no_warrants() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("ledger.db");
        let old = Connection::open(&path).unwrap();
        STEPS.iter().take(10).for_each(|step| old.execute_batch(step).unwrap());
        old.pragma_update(None, "application_id", APPLICATION).unwrap();
        old.pragma_update(None, "user_version", 10).unwrap();
        drop(old);

        let store = open(&path, Opening::Keep).unwrap();

        assert_eq!(store.warrants().unwrap(), []);
    }
}
