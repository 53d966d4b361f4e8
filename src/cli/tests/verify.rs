//! `recordings verify`: one verdict for each recording.

use std::fs;
use std::os::unix::net::UnixListener;

use crate::catalogue::{Deed, Event, Link, Outcome, State, Tip};
use crate::cli::exit::Exit;
use crate::cli::tests::site::{COMPLETE, Site, id, other, wall};
use crate::vault::{self, Digest, NodePublic, Verdict};

#[test]
fn a_recording_is_verified_without_a_key_and_with_one() {
    let site = Site::with_recordings();

    let said = site.says(&["recordings", "verify", "ID"]);
    assert!(said.starts_with("ID  complete  "), "{said}");
    assert!(
        said.ends_with(" chunks, SIZE bytes; signature and hashes are good; the ledger's chain has nothing of it\n"),
        "{said}"
    );
    assert_eq!(site.outcomes(), []);

    let said = site.says(&["recordings", "verify", "ID", "--key", "HOME/recipient.pem"]);
    assert!(said.contains("signature, hashes and content are good; "), "{said}");
    assert_eq!(site.outcomes(), [(Deed::Verify, Outcome::Granted), (Deed::Verify, Outcome::Done)]);
}

#[test]
fn a_recording_that_is_not_whole_is_told_from_one_that_was_cut_and_one_that_was_changed() {
    let site = Site::with_recordings();

    let torn = site.run(&["recordings", "verify", "OTHER"]);
    assert_eq!(torn.exit, Exit::NotSo);
    assert!(torn.out.starts_with("OTHER  torn  ") && torn.out.contains("The next start of the proxy closes it"), "{}", torn.out);

    let path = site.home().join(format!("data/recordings/{}.rec", id()));
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 100]).unwrap();
    let cut = site.run(&["recordings", "verify", "ID"]);
    assert_eq!(cut.exit, Exit::NotSo);
    let expected = "ID  cut  the ledger has it sealed with SIZE bytes: 100 bytes are missing; ";
    assert!(cut.out.starts_with(expected), "{}", cut.out);

    let mut changed = whole;
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    fs::write(&path, &changed).unwrap();
    let broken = site.run(&["recordings", "verify", "--all", "--json"]);
    assert_eq!(broken.exit, Exit::NotSo);
    let verdicts: Vec<serde_json::Value> = broken.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(verdicts.iter().map(|line| line["verdict"].as_str().unwrap()).collect::<Vec<_>>(), ["broken", "torn"]);
}

#[test]
fn a_recording_that_a_later_start_has_closed_is_salvaged_and_nothing_is_wrong_with_it() {
    let site = Site::with_recordings();
    let path = site.home().join(format!("data/recordings/{}.rec", other()));
    fs::write(&path, include_bytes!("../../../tests/vault/vectors/salvaged-in-chunk.rec")).unwrap();
    site.store.lock().unwrap().entries[1].state = State::Salvaged;

    let one = site.run(&["recordings", "verify", "OTHER", "--key", "HOME/recipient.pem"]);
    let all = site.run(&["recordings", "verify", "--all"]);

    assert_eq!((one.exit, all.exit), (Exit::Well, Exit::Well));
    assert!(one.out.starts_with("OTHER  salvaged  its recorder did not come to its end; 2 chunks are whole, "), "{}", one.out);
    assert!(
        one.out.ends_with(", closed and signed 2026-11-24T10:30:00.000Z; 40 bytes of a torn chunk were taken off; the ledger's chain has nothing of it\n"),
        "{}",
        one.out
    );
    assert!(all.out.ends_with("\n2 recordings, 1 complete, 1 salvaged.\n"), "{}", all.out);

    // Where the ledger knows of more, it is what somebody has cut and had closed.
    site.store.lock().unwrap().entries[1].state = State::Sealed;
    let totals = site.store.lock().unwrap().entries[0].totals;
    site.store.lock().unwrap().entries[1].totals = totals;
    let cut = site.run(&["recordings", "verify", "OTHER"]);
    assert_eq!(cut.exit, Exit::NotSo);
    assert!(
        cut.out.starts_with("OTHER  cut  the ledger has it sealed with SIZE bytes, and it was closed before its end; "),
        "{}",
        cut.out
    );
}

#[test]
fn a_recording_that_is_not_there_or_another_nodes_has_no_verdict() {
    let site = Site::with_recordings();
    fs::write(site.home().join("other.pub.pem"), include_bytes!("../../../tests/vault/vectors/other-node.pub.pem")).unwrap();

    let gone = site.run(&["recordings", "verify", "000000000000000000000000000000ff"]);
    let others = site.run(&["recordings", "verify", "ID", "--node", "HOME/other.pub.pem"]);

    assert_eq!((gone.exit, gone.out.as_str()), (Exit::NotFound, ""));
    assert_eq!((others.exit, others.out.as_str()), (Exit::NotSo, ""));
    assert!(others.err.contains("it says node FINGERPRINT made it, and the key given is FINGERPRINT"), "{}", others.err);
}

#[test]
fn a_recording_whose_file_is_gone_is_missing_and_the_ledger_is_quoted() {
    let site = Site::with_recordings();
    for id in [id(), other()] {
        fs::remove_file(site.home().join(format!("data/recordings/{id}.rec"))).unwrap();
    }

    let (one, all, exported) = (
        site.run(&["recordings", "verify", "ID"]),
        site.run(&["recordings", "verify", "--all"]),
        site.run(&site.export("quality", "one.wav")),
    );

    let sealed = "the ledger has it sealed with SIZE bytes, and its file `HOME/data/recordings/ID.rec` is not there";
    let torn = "the ledger has it torn, and its file `HOME/data/recordings/OTHER.rec` is not there";
    assert_eq!((one.exit, all.exit, exported.exit), (Exit::NotSo, Exit::NotSo, Exit::NotSo));
    assert_eq!(one.out, format!("ID  missing  {sealed}; take it from a backup\n"));
    assert_eq!(all.out, format!("{}OTHER  missing  {torn}; take it from a backup\n\n2 recordings, 0 complete.\n", one.out));
    assert_eq!(exported.err, format!("error: recording ID is missing: {sealed}\n  take it from a backup\n"));
    assert_eq!(site.outcomes(), [(Deed::Export, Outcome::Failed)]);
}

#[test]
fn where_all_recordings_are_still_being_made_there_is_nothing_to_verify() {
    let site = Site::with_recordings();
    // Somebody runs: else nobody could be making them.
    let _proxy = UnixListener::bind(site.home().join("data/control.sock")).unwrap();
    site.store.lock().unwrap().entries.retain_mut(|entry| {
        entry.state = State::Recording;
        entry.recording == Some(id())
    });

    assert_eq!(site.says(&["recordings", "verify", "--all"]), "Nothing to verify: 1 recording still being made.\n");
    assert_eq!(site.says(&["recordings", "verify", "--all", "--json"]), "");
}

#[test]
fn one_recording_that_is_gone_does_not_keep_the_others_from_being_verified() {
    let site = Site::with_recordings();

    let said = site.run(&["recordings", "verify", "000000000000000000000000000000ff", "ID"]);

    assert_eq!(said.exit, Exit::NotFound);
    assert!(said.out.starts_with("ID  complete  ") && said.out.ends_with("\n2 recordings, 1 complete.\n"), "{}", said.out);
}

#[test]
fn a_key_that_does_not_open_a_recording_is_no_verdict_on_it() {
    let site = Site::with_recordings();

    let said = site.run(&["recordings", "verify", "ID", "--key", "HOME/stranger.pem"]);

    assert_eq!((said.exit, said.out.as_str()), (Exit::Refused, ""));
    assert_eq!(
        said.err,
        "error: recording ID: this key does not open it: FINGERPRINT is none of its recipients\n  `mitschnitt recordings show` names the keys that do\n"
    );
    assert_eq!(site.outcomes(), [(Deed::Verify, Outcome::Granted), (Deed::Verify, Outcome::WrongKey)]);
}

#[test]
fn a_recording_that_is_not_the_one_of_the_ledgers_chain_is_disputed() {
    let site = Site::with_recordings();
    let node = NodePublic::from_pem(include_bytes!("../../../tests/vault/vectors/node.pub.pem")).unwrap();
    let Ok(Verdict::Complete(found)) = vault::verify(COMPLETE, &node) else { panic!("it is complete") };
    let says = |root: [u8; 32], words: &[&str]| {
        let sealed =
            Event::Sealed { recording: id(), root: Digest::from_bytes(root), chunks: found.chunks.into(), bytes: found.bytes };
        let first = Link::behind(Tip::EMPTY, wall(0), &Event::Begun(id()));
        let second = Link::behind(first.tip(), wall(1), &sealed);
        site.store.lock().unwrap().links = vec![first, second];
        site.run(words)
    };

    let same = says(found.root, &["recordings", "verify", "ID"]);
    let other = says([7; 32], &["recordings", "verify", "ID"]);
    let all = says([7; 32], &["recordings", "verify", "--all", "--json"]);
    let (right, wrong) =
        (says(found.root, &site.export("quality", "one.wav")), says([7; 32], &site.export("quality", "two.wav")));

    assert_eq!(same.exit, Exit::Well);
    assert!(same.out.ends_with("hashes are good; event 2 of the ledger's chain has the same root\n"), "{}", same.out);
    assert_eq!((other.exit, all.exit), (Exit::NotSo, Exit::NotSo));
    assert!(other.out.starts_with("ID  disputed  "), "{}", other.out);
    assert!(
        other.out.contains("; but event 2 of the ledger's chain has another recording under this name, sealed of SIZE bytes: "),
        "{}",
        other.out
    );
    assert_eq!((right.exit, wrong.exit), (Exit::Well, Exit::NotSo), "{}", wrong.err);
    assert!(!site.home().join("two.wav").exists());
    assert!(wrong.err.contains("is whole and signed, but event 2 of the ledger's chain has another recording"), "{}", wrong.err);
    assert!(all.out.contains("\"ledger\":\"other\"") && all.out.contains("\"verdict\":\"disputed\""), "{}", all.out);
}
