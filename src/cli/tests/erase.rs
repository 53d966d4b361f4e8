//! `recordings erase`: what is gone, what stays, and what could not be done.

use std::fs;
use std::os::unix::net::UnixListener;

use crate::catalogue::{Deed, Outcome, Purged, State};
use crate::cli::exit::Exit;
use crate::cli::tests::site::{COMPLETE, Site, id, other};

#[test]
fn what_is_erased_has_no_keys_left_and_stays_in_the_ledger_with_who_and_why() {
    let site = Site::with_recordings();
    let keys = site.home().join(format!("data/keys/{}.key", id()));
    let (length, other_name) = (fs::metadata(&keys).unwrap().len(), site.home().join("other-name"));
    fs::hard_link(&keys, &other_name).unwrap();

    let said = site.says(&["recordings", "erase", "ID", "--reason", " GDPR 17 ", "--yes"]);

    assert!(said.starts_with("Recording ID is erased. Its keys were destroyed on 20"), "{said}");
    assert!(said.ends_with(": GDPR 17.\n"), "{said}");
    assert!(!keys.exists() && !site.home().join(format!("data/recordings/{}.rec", id())).exists());
    assert_eq!(fs::read(other_name).unwrap(), vec![0; usize::try_from(length).unwrap()], "overwritten before it was removed");
    assert_eq!(site.outcomes(), [(Deed::Erase, Outcome::Granted), (Deed::Erase, Outcome::Done)]);
    assert!(site.store.lock().unwrap().accesses.iter().all(|access| access.reason.as_deref() == Some("GDPR 17")));
    assert!(site.says(&["recordings", "list"]).contains("quality  erased  –                 ID\n"));
    let shown = site.says(&["recordings", "show", "ID"]);
    assert!(shown.starts_with("recording ID  erased\n  Its keys were destroyed on 20"), "{shown}");
    assert!(shown.contains("/ID.key, destroyed\n") && shown.contains("  erase  done     GDPR 17\n"), "{shown}");
}

#[test]
fn who_was_given_a_copy_is_named_where_it_is_erased_and_nobody_else() {
    let site = Site::with_recordings();
    site.says(&site.export("quality", "one.wav"));
    site.run(&site.export("training", "two.wav"));

    let foreseen = site.says(&["recordings", "erase", "ID", "--reason", "GDPR 17", "--dry-run"]);
    let said = site.says(&["recordings", "erase", "ID", "--reason", "GDPR 17", "--yes"]);
    let again = site.says(&["recordings", "erase", "ID", "--reason", "GDPR 17", "--yes", "--json"]);

    for said in [&foreseen, &said] {
        let (_, copies) = said.split_once("\nCopies went out before, and no erasure reaches them: ").expect(said);
        let lines: Vec<_> = copies.lines().skip(1).take_while(|line| line.starts_with("  recording ")).collect();
        let [line] = lines.as_slice() else { panic!("the export that was refused gave nobody a copy: {said}") };
        assert!(line.starts_with("  recording ID  export on 20") && line.ends_with(", for quality"), "{line}");
    }
    assert!(again.contains("\"copies\":[{\"at\":\"20") && again.contains("\"deed\":\"export\""), "{again}");
}

#[test]
fn what_was_erased_verifies_by_its_chain_and_is_not_exported() {
    let site = Site::with_recordings();
    site.says(&["recordings", "erase", "ID", "--reason", "GDPR 17", "--yes"]);
    let gone = site.says(&["recordings", "verify", "ID"]);
    assert!(gone.starts_with("ID  erased  it was erased, and its file `HOME/data/recordings/ID.rec` is not there; "), "{gone}");
    // As one that was erased by an earlier version lies there, or is in a backup.
    fs::write(site.home().join(format!("data/recordings/{}.rec", id())), COMPLETE).unwrap();

    for key in [&[][..], &["--key", "HOME/recipient.pem"]] {
        let said = site.says(&[&["recordings", "verify", "ID"], key].concat());
        assert!(
            said.starts_with("ID  erased  ")
                && said.contains(
                    "; signature and hashes are good; the ledger's chain has nothing of it; its keys were destroyed on "
                ),
            "{said}"
        );
    }
    let all = site.run(&["recordings", "verify", "--all"]);
    assert!(all.out.ends_with("\n2 recordings, 0 complete, 1 erased.\n"), "{}", all.out);
    let exported = site.run(&site.export("quality", "one.wav"));
    assert_eq!(exported.exit, Exit::NotFound);
    assert!(exported.err.starts_with("error: recording ID was erased: its keys were destroyed on 20"), "{}", exported.err);
    assert!(!site.home().join("one.wav").exists());
    assert_eq!(site.outcomes()[2..], [(Deed::Export, Outcome::Erased)]);
}

#[test]
fn keys_that_come_back_from_a_backup_are_told_and_destroyed_again() {
    let site = Site::with_recordings();
    let keys = site.home().join(format!("data/keys/{}.key", id()));
    let backup = fs::read(&keys).unwrap();
    let erase = ["recordings", "erase", "ID", "--reason", "GDPR 17", "--yes"];
    site.says(&erase);
    let said = site.says(&erase);
    assert!(said.starts_with("Recording ID is erased already. Its keys were destroyed on 20"), "{said}");
    assert_eq!(site.outcomes().len(), 2, "nothing was done");

    fs::write(&keys, backup).unwrap();
    let verified = site.run(&["recordings", "verify", "ID"]);
    assert_eq!(verified.exit, Exit::NotSo);
    assert!(verified.out.starts_with("ID  restored  its keys were destroyed on 20"), "{}", verified.out);
    assert_eq!(site.run(&site.export("quality", "one.wav")).exit, Exit::NotFound);
    site.says(&erase);

    assert!(!keys.exists());
}

#[test]
fn of_a_partys_calls_what_may_be_erased_is_and_each_other_is_answered_and_again_until_all_is() {
    let site = Site::with_recordings();
    site.says(&["recordings", "hold", "OTHER", "--reason", "complaint 12"]);
    let by_party = ["recordings", "erase", "--party", "+49 30 123456", "--reason", "GDPR 17, request 7"];

    let dry = site.says(&[&by_party[..], &["--dry-run"]].concat());
    let outcomes = site.outcomes().len();
    let first = site.run(&[&by_party[..], &["--yes", "--receipt", "HOME/receipt.txt"]].concat());

    assert!(dry.contains("  recording ID  would be erased: its keys, its file, and who talked\n"), "{dry}");
    assert!(dry.contains("  recording OTHER  NOT erased: recording OTHER is held since 20"), "{dry}");
    assert_eq!(outcomes, 1, "a dry run does nothing");
    assert_eq!((first.exit, first.err.as_str()), (Exit::Refused, ""));
    assert!(first.out.contains("  recording ID  erased: its keys are destroyed, its file is removed\n"), "{}", first.out);
    assert!(first.out.contains("  recording OTHER  NOT erased: recording OTHER is held since 20"), "{}", first.out);
    assert!(
        first.out.contains("\nWho talked is cleared in 1 call, with the salts; the ledger's file and its journal were looked"),
        "{}",
        first.out
    );
    let receipt = fs::read_to_string(site.home().join("receipt.txt")).unwrap();
    assert!(receipt.contains("erased: its keys are destroyed") && !receipt.contains("123456"), "{receipt}");
    assert_eq!(
        site.outcomes()[1..],
        [(Deed::Erase, Outcome::Held), (Deed::Erase, Outcome::Granted), (Deed::Erase, Outcome::Done)]
    );

    site.says(&["recordings", "release", "OTHER", "--reason", "closed"]);
    let again = site.says(&[&by_party[..], &["--yes"]].concat());
    let nothing = site.says(&[&by_party[..], &["--yes"]].concat());

    assert!(again.contains("  recording OTHER  erased: ") && !again.contains("recording ID"), "{again}");
    assert!(nothing.contains("\n  no calls\n"), "{nothing}");
    let memory = site.store.lock().unwrap();
    assert!(memory.entries.iter().all(|entry| entry.parties.is_none()));
    let kinds: Vec<_> = memory.notes.iter().map(|note| note.kind.as_str()).collect();
    assert_eq!(kinds, ["sought", "sought", "cleared", "sought", "cleared", "sought", "cleared"]);
}

#[test]
fn by_time_all_calls_of_before_are_erased_recorded_or_not() {
    let site = Site::with_recordings();
    let parties = site.store.lock().unwrap().entries[0].parties.clone();
    site.store.lock().unwrap().entries[2].parties = parties;

    let said = site.says(&["recordings", "erase", "--before", "2026-11-24T09:35:00", "--reason", "old", "--yes", "--json"]);
    let rest = site.says(&["recordings", "erase", "--before", "2027-01-01", "--reason", "old", "--yes"]);

    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(
        said.contains("\"result\":\"erased\"") && said.contains("\"cleared\":1,\"copies\":[],\"events\":[],\"files_clean\":true"),
        "{said}"
    );
    assert!(rest.contains("  recording OTHER  erased: ") && rest.contains("  not recorded; who talked is cleared\n"), "{rest}");
    assert!(rest.contains("Who talked is cleared in 2 calls"), "{rest}");
}

#[test]
fn what_stands_in_the_ledgers_files_still_is_not_said_to_be_gone() {
    for (purged, says) in
        [(Purged::Journal, "stands in the ledger's journal still"), (Purged::Left, "stands in the ledger still: in a complaint")]
    {
        let site = Site::with_recordings();
        site.store.lock().unwrap().purged = Some(purged);

        let said = site.run(&["recordings", "erase", "--party", "+4930123456", "--reason", "GDPR 17", "--yes"]);

        assert_eq!(said.exit, Exit::Cannot);
        assert!(said.err.contains(says), "{}", said.err);
        assert!(!site.store.lock().unwrap().notes.last().unwrap().is_done);
    }
}

#[test]
fn lines_of_the_register_that_stand_no_more_are_cleared_and_one_that_stands_is_named() {
    let site = Site::with_recordings();
    let number = "+4930123456";
    site.says(&["staff", "add", number, "--version", "2026-1", "--evidence", "HR-17"]);
    site.says(&["staff", "revoke", number, "--reason", "left"]);
    site.says(&["staff", "exempt", number, "--reason", "works council"]);
    site.says(&["staff", "exempt", "+4930999888", "--reason", "doctor"]);
    let erase =
        |more: &[&str]| site.run(&[&["recordings", "erase", "--party", number, "--reason", "GDPR 17", "--yes"], more].concat());

    let said = erase(&[]);
    assert_eq!(said.exit, Exit::Cannot, "{}", said.err);
    assert!(said.out.contains("Whose they are is cleared in 2 lines of the register of staff.\n"), "{}", said.out);
    assert!(said.err.contains("the number stands in the register still: line 3") && said.err.contains("--lift"), "{}", said.err);
    let history = site.says(&["staff", "list", "--history"]);
    assert_eq!((history.matches("erased").count(), history.matches("…456").count()), (2, 1), "{history}");

    site.says(&["staff", "exempt", number, "--lift", "--reason", "left"]);
    let said = erase(&["--json"]);
    assert_eq!(said.exit, Exit::Well, "{}", said.err);
    assert!(said.out.contains("\"register_cleared\":2,\"register_stands\":[]"), "{}", said.out);
    assert!(site.says(&["staff", "list"]).contains("…888"));
}

#[test]
fn a_file_that_cannot_be_removed_is_told_although_nobody_opens_it() {
    let site = Site::with_recordings();
    let file = site.home().join(format!("data/recordings/{}.rec", id()));
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();

    let said = site.run(&["recordings", "erase", "ID", "--reason", "GDPR 17", "--yes"]);

    assert_eq!(said.exit, Exit::Cannot);
    assert!(said.err.contains("its keys are destroyed, but cannot remove `HOME/data/recordings/ID.rec`"), "{}", said.err);
    fs::remove_dir(&file).unwrap();
    site.says(&["recordings", "erase", "ID", "--reason", "GDPR 17", "--yes"]);
}

#[test]
fn what_is_being_made_is_not_erased() {
    let site = Site::with_recordings();
    site.store.lock().unwrap().entries[0].state = State::Recording;
    let _proxy = UnixListener::bind(site.home().join("data/control.sock")).unwrap();

    let said = site.run(&["recordings", "erase", "ID", "--reason", "GDPR 17", "--yes"]);

    assert_eq!(said.exit, Exit::Refused);
    assert_eq!(
        said.err,
        "error: recording ID is still being made\n  `mitschnitt calls withdraw 0000000000000001` ends it; then it can be erased\n"
    );
    assert!(site.home().join(format!("data/keys/{}.key", id())).exists());
    assert_eq!(site.outcomes(), [(Deed::Erase, Outcome::Unfinished)]);
}

#[test]
fn what_could_not_be_destroyed_is_not_called_erased() {
    let site = Site::with_recordings();
    let keys = site.home().join(format!("data/keys/{}.key", other()));
    fs::remove_file(&keys).unwrap();
    fs::create_dir(&keys).unwrap();

    let said = site.run(&["recordings", "erase", "OTHER", "--reason", "GDPR 17", "--yes"]);

    assert_eq!((said.exit, said.out.as_str()), (Exit::Cannot, ""));
    assert!(
        said.err.starts_with("error: recording OTHER is not erased: cannot open `HOME/data/keys/OTHER.key`: "),
        "{}",
        said.err
    );
    assert_eq!(site.outcomes(), [(Deed::Erase, Outcome::Granted), (Deed::Erase, Outcome::Failed)]);
    assert!(site.says(&["recordings", "list"]).contains("quality  torn    until 2027-02-22  OTHER\n"));

    fs::remove_dir(&keys).unwrap();
    site.says(&["recordings", "erase", "OTHER", "--reason", "GDPR 17", "--yes"]);
    assert!(
        site.says(&["recordings", "list"]).contains("quality  erased  –                 OTHER\n"),
        "keys that are gone already are destroyed"
    );
}

#[test]
fn nothing_is_erased_that_cannot_be_logged_or_without_a_reason() {
    let site = Site::with_recordings();
    site.store.lock().unwrap().log_is_full = true;

    let unlogged = site.run(&["recordings", "erase", "ID", "--reason", "GDPR 17", "--yes"]);
    let unreasoned = [" ", "one\nline"].map(|reason| site.run(&["recordings", "erase", "ID", "--reason", reason, "--yes"]).exit);
    let unknown = site.run(&["recordings", "erase", &"0".repeat(32), "--reason", "GDPR 17", "--yes"]);

    assert_eq!((unlogged.exit, unreasoned, unknown.exit), (Exit::Cannot, [Exit::Usage; 2], Exit::NotFound));
    assert!(unlogged.err.starts_with("error: nothing is erased that cannot be logged: "), "{}", unlogged.err);
    assert!(site.home().join(format!("data/keys/{}.key", id())).exists());
}
