//! `recordings hold`, `release`, `holds` and `retention`: what may not be erased, who says so, and how it is told.

use std::fs;

use serde_json::Value;

use crate::catalogue::{Deed, Outcome};
use crate::cli::exit::Exit;
use crate::cli::tests::site::{Site, id, other};

const ERASE: [&str; 6] = ["recordings", "erase", "ID", "--reason", "GDPR 17", "--yes"];

#[test]
fn what_is_held_is_not_erased_and_who_holds_it_and_why_is_told() {
    let site = Site::with_recordings();

    let held = site.says(&["recordings", "hold", "ID", "--reason", "case 4711"]);
    let erased = site.run(&ERASE);

    assert_eq!(held, "Recording ID is held: nobody erases it until it is released.\n");
    assert_eq!(erased.exit, Exit::Refused);
    assert!(erased.err.starts_with("error: recording ID is held since 20"), "{}", erased.err);
    let remedy = "`mitschnitt recordings release ID --reason TEXT` lifts the hold; then it can be erased";
    assert!(erased.err.ends_with(&format!(": case 4711\n  {remedy}\n")), "{}", erased.err);
    assert_eq!(site.outcomes(), [(Deed::Hold, Outcome::Done), (Deed::Erase, Outcome::Held)]);
    assert!(site.home().join(format!("data/keys/{}.key", id())).exists());
    assert!(site.says(&["recordings", "list"]).contains("quality  sealed  held              ID\n"));
    let shown = site.says(&["recordings", "show", "ID"]);
    assert!(shown.contains("  held      since 20") && shown.contains(": case 4711\n"), "{shown}");
    let holds = site.says(&["recordings", "holds"]);
    assert!(holds.ends_with("  ID  case 4711\n\n1 hold.\n"), "{holds}");
    let row: Value = serde_json::from_str(&site.says(&["recordings", "holds", "--json"])).unwrap();
    assert_eq!((&row["recording"], &row["reason"]), (&"ID".into(), &"case 4711".into()));
}

#[test]
fn what_was_released_is_erased() {
    let site = Site::with_recordings();
    site.says(&["recordings", "hold", "ID", "--reason", "case 4711"]);

    let released = site.says(&["recordings", "release", "ID", "--reason", "closed"]);

    assert_eq!(released, "Recording ID is released: it may be erased once its time is up.\n");
    assert_eq!(site.says(&["recordings", "holds"]), "No recording is held.\n");
    site.says(&ERASE);
    let again = site.run(&["recordings", "hold", "ID", "--reason", "too late"]);
    assert_eq!(again.exit, Exit::NotFound);
    assert!(again.err.starts_with("error: recording ID cannot be held: Its keys were destroyed on 20"), "{}", again.err);
    assert_eq!(site.outcomes().last(), Some(&(Deed::Hold, Outcome::Erased)));
}

#[test]
fn nobody_lifts_anothers_hold_without_being_told_of_it() {
    let site = Site::with_recordings();
    let not_held = site.run(&["recordings", "release", "ID", "--reason", "closed"]);
    site.says(&["recordings", "hold", "ID", "--reason", "case 4711"]);
    let twice = site.says(&["recordings", "hold", "ID", "--reason", "complaint 12"]);

    let said = site.run(&["recordings", "release", "ID", "--reason", "closed"]);

    assert_eq!(not_held.exit, Exit::Refused);
    assert!(not_held.err.starts_with("error: recording ID is not held\n"), "{}", not_held.err);
    assert!(twice.ends_with(" It was held already: 2 holds now.\n"), "{twice}");
    assert_eq!(said.exit, Exit::Refused);
    assert!(said.err.contains(": case 4711\n") && said.err.contains(": complaint 12\n"), "{}", said.err);
    assert_eq!(site.says(&["recordings", "holds", "--json"]).lines().count(), 2);
    assert_eq!(site.outcomes().last(), Some(&(Deed::Release, Outcome::Holds)));
    site.says(&["recordings", "release", "ID", "--all", "--reason", "both are closed"]);
    assert_eq!(site.says(&["recordings", "holds", "--json"]), "");
}

#[test]
fn within_the_shortest_time_nobody_erases_and_it_is_said_until_when() {
    let site = Site::with_recordings();
    site.change("longest = \"90d\"", "shortest = \"36500d\"");

    let said = site.run(&ERASE);

    // 100 years of 365 days after 2026-11-24 09:31:04.
    assert_eq!(said.exit, Exit::Refused);
    assert_eq!(
        said.err,
        "error: recording ID is locked until 2126-10-31 09:31:04 UTC: what is recorded for `quality` is kept for 36500d at least\n  \
         from then on it can be erased; the access log has it that this was asked for\n"
    );
    assert_eq!(site.outcomes(), [(Deed::Erase, Outcome::Locked)]);
    assert!(site.home().join(format!("data/keys/{}.key", id())).exists());
    assert!(site.says(&["recordings", "list"]).contains("quality  sealed  locked until 2126-10-31  ID\n"));
    assert!(site.says(&["recordings", "show", "ID"]).contains("  locked    until 2126-10-31 09:31:04 UTC\n"));
}

#[test]
fn where_nobody_knows_what_is_locked_nothing_is_erased() {
    let site = Site::with_recordings();
    site.change("longest = \"90d\"", "longest = \"90\"");

    let said = site.run(&ERASE);

    assert_eq!(said.exit, Exit::Cannot);
    assert!(said.err.contains("error: the [[retention]] of the configuration cannot be read"), "{}", said.err);
    assert_eq!(site.outcomes(), []);
    assert!(site.home().join(format!("data/keys/{}.key", id())).exists());
    assert_eq!(site.run(&["recordings", "list"]).exit, Exit::Well, "what there is is told all the same");
}

#[test]
fn a_hold_is_not_said_that_cannot_be_logged() {
    let site = Site::with_recordings();
    site.store.lock().unwrap().log_is_full = true;

    let said = site.run(&["recordings", "hold", "ID", "--reason", "case 4711"]);

    assert_eq!((said.exit, said.out.as_str()), (Exit::Cannot, ""));
    assert!(said.err.starts_with("error: recording ID stays as it is: "), "{}", said.err);
    let unknown = site.run(&["recordings", "hold", &"0".repeat(32), "--reason", "x"]);
    assert_eq!(unknown.exit, Exit::NotFound);
}

#[test]
fn the_report_says_what_is_kept_what_is_due_and_what_is_overdue_with_why() {
    let site = Site::with_recordings();
    // The recordings are of November 2026, and every later clock finds them overdue.
    site.change("longest = \"90d\"", "longest = \"1s\"");
    site.says(&["recordings", "hold", "OTHER", "--reason", "case 4711"]);

    let said = site.says(&["recordings", "retention"]);
    let row: Value = serde_json::from_str(&site.says(&["recordings", "retention", "--json"])).unwrap();

    assert!(said.contains("quality  erased after 1s           2  2026-11-24           0        0        2     1"), "{said}");
    assert!(said.contains("\nID  overdue since 2026-11-24 09:31:05: the running proxy erases it"), "{said}");
    assert!(said.contains("\nOTHER  overdue since 2026-11-24 09:40:01: held since 20"), "{said}");
    let counts = ["recordings", "overdue", "overdue_held", "overdue_waiting", "overdue_failed"].map(|key| row[key].as_u64());
    assert_eq!(counts, [2, 2, 1, 1, 0].map(Some));

    fs::remove_file(site.home().join(format!("data/keys/{}.key", other()))).unwrap();
    site.says(&ERASE);
    let row: Value = serde_json::from_str(&site.says(&["recordings", "retention", "--json"])).unwrap();
    let counts = ["recordings", "erased_in_30_days", "erased_in_30_days_by_itself"].map(|key| row[key].as_u64());
    assert_eq!(counts, [1, 1, 0].map(Some));
}
