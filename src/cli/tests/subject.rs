//! `subject`: what is found of a person, what counted as the number, and who looked.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use crate::catalogue::{About, Deed, NoteKind, Outcome};
use crate::cli::exit::Exit;
use crate::cli::tests::site::{Site, id, other};

#[test]
fn every_call_of_a_number_is_found_with_the_side_it_is_heard_from_and_who_looked_is_noted() {
    let site = Site::with_recordings();

    let said = site.says(&["subject", "find", "0049 (30) 123-456", "--purpose", "GDPR 15, request 7"]);

    let lines: Vec<_> = said.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(lines[1], "2026-11-24 09:30:00 1:02 inbound carrier caller trunk …0 sealed recorded ID");
    assert_eq!(lines[2], format!("2026-11-24 09:40:00 – outbound carrier caller pbx …0 torn torn {}", "OTHER"));
    assert_eq!(lines[4], "2 calls, 2 of them recorded.");
    assert_eq!(
        lines[5],
        "Counted is the number as +… and as 00…, separators aside; in national form (0…) it is not found without --country."
    );
    let notes = site.store.lock().unwrap().notes.clone();
    assert_eq!((notes[0].kind, notes[0].counts), (NoteKind::Sought, [2, 2]));
    assert_eq!(notes[0].reason.as_deref(), Some("GDPR 15, request 7"));
}

#[test]
fn what_only_looks_alike_is_counted_and_not_listed() {
    let site = Site::with_recordings();

    let national = site.says(&["subject", "find", "030123456", "--purpose", "request 7"]);
    let with_country = site.says(&["subject", "find", "030123456", "--country", "49", "--purpose", "request 7", "--json"]);
    let nobody = site.says(&["subject", "find", "alice", "--purpose", "request 7"]);

    assert!(
        national.starts_with("No calls.\n") && national.contains("in international form (+…, 00…) it is not found"),
        "{national}"
    );
    assert!(national.contains("\nNot counted: 2 more calls have a number that ends in the same 7 digits"), "{national}");
    assert_eq!(with_country.lines().count(), 3);
    assert!(with_country.contains("\"own_leg\":\"trunk\"") && with_country.contains("\"was\":\"caller\""), "{with_country}");
    assert_eq!(nobody, "No calls.\nCounted is what is written alike, letter by letter.\n");
    let notes = site.store.lock().unwrap().notes.clone();
    assert_eq!(notes[0].about, About::Person(None), "of one of whom nothing is held nothing is kept");
    assert!(matches!(notes[1].about, About::Person(Some(_))));
}

#[test]
fn a_number_is_told_nowhere_again_and_nothing_is_told_that_cannot_be_noted() {
    let site = Site::with_recordings();
    let wrong = site.run(&["subject", "find", &"4".repeat(129), "--purpose", "request 7"]);
    let country = site.run(&["subject", "find", "030123456", "--country", "DE", "--purpose", "request 7"]);
    let without = site.run(&["subject", "find", "+4930123456"]);
    site.store.lock().unwrap().log_is_full = true;
    let full = site.run(&["subject", "find", "+4930123456", "--purpose", "request 7"]);

    assert_eq!([wrong.exit, country.exit, without.exit, full.exit], [Exit::Usage, Exit::Usage, Exit::Usage, Exit::Cannot]);
    for said in [&wrong, &country, &without, &full] {
        assert!(said.out.is_empty() && !said.err.contains("123456") && !said.err.contains("4444"), "{}", said.err);
    }
}

#[test]
fn recordings_are_listed_by_time_and_by_party() {
    let site = Site::with_recordings();

    let late = site.says(&["recordings", "list", "--from", "2026-11-24T09:35:00", "--to", "2026-11-25"]);
    let none = site.says(&["recordings", "list", "--all", "--from", "2026-11-25"]);
    let party = ["recordings", "list", "--party", "+49 30 123456", "--purpose", "request 7", "--to", "2026-11-24T09:35:00"];

    assert!(late.contains("OTHER") && late.ends_with("1 recording, 0:00 in all.\n"), "{late} {}", other());
    assert_eq!(none, "No calls of what was asked for.\n");
    assert!(site.says(&party).ends_with("1 recording, 1:02 in all.\n"));
    assert_eq!(site.store.lock().unwrap().notes.len(), 1);
    assert_eq!(site.run(&party[..4]).exit, Exit::Usage, "what for must be said");
}

#[test]
fn all_that_is_held_is_handed_over_with_the_own_side_alone_and_what_is_missing_is_listed_with_why() {
    let site = Site::with_recordings();
    let export = ["subject", "export", "+4930123456", "--key", "HOME/recipient.pem", "--purpose", "GDPR 15 <7>"];
    site.says(&["recordings", "hold", "ID", "--reason", "for the request"]);
    site.store.lock().unwrap().entries[1].state = crate::catalogue::State::Erased;

    let own = site.run(&[&export[..], &["--out", "HOME/own.tar"]].concat());
    let both = site.run(&[&export[..], &["--both", "--out", "HOME/both.tar"]].concat());

    assert_eq!((own.exit, own.err.as_str()), (Exit::NotSo, ""), "{}", own.out);
    assert!(own.out.contains("2 calls, 1 recording handed over as the own side alone"), "{}", own.out);
    assert!(own.out.contains("  without OTHER: recording OTHER was erased: its keys were destroyed"), "{}", own.out);
    let files = unpacked(&site.home().join("own.tar"));
    let names: Vec<_> = files.iter().map(|(name, _)| name.replace(&id().to_string(), "ID")).collect();
    assert_eq!(names, ["ID.wav", "ID.json", "index.json", "index.html"].map(|name| format!("mitschnitt-subject/{name}")));
    assert_eq!(files[0].1[22..24], [1, 0], "one channel");
    assert_eq!(unpacked(&site.home().join("both.tar"))[0].1[22..24], [2, 0]);
    let index: serde_json::Value = serde_json::from_slice(&files[2].1).unwrap();
    assert_eq!(index["calls"][0]["own_leg"], "trunk");
    assert_eq!(index["calls"][0]["called"], "…0", "the other has rights too");
    assert!(index["calls"][0]["accesses"].to_string().contains("for the request"));
    assert!(index["calls"][1]["why_none"].as_str().unwrap().contains("was erased"));
    let page = String::from_utf8(files[3].1.clone()).unwrap();
    assert!(page.contains("GDPR 15 &lt;7&gt;") && !page.contains("<7>") && !page.contains("30123456"), "{page}");
    assert!(both.out.contains("handed over as both sides"), "{}", both.out);
    let memory = site.store.lock().unwrap();
    let exports: Vec<_> = memory.accesses.iter().filter(|access| access.deed == Deed::Export).collect();
    assert_eq!(exports[0].reason.as_deref(), Some("GDPR 15 <7>"));
    assert_eq!((exports[0].outcome, exports[1].outcome, exports[2].outcome), (Outcome::Granted, Outcome::Done, Outcome::Erased));
    assert_eq!(memory.notes[0].kind, NoteKind::HandedOver);
}

fn unpacked(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(fs::File::open(path).unwrap());
    let files = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.path().unwrap().display().to_string(), bytes)
    });
    files.collect()
}
