//! `recordings erase`: what is gone, what stays, and what could not be done.

use std::fs;
use std::os::unix::net::UnixListener;

use crate::catalogue::{Deed, Outcome, State};
use crate::cli::exit::Exit;
use crate::cli::tests::site::{Site, id, other};

#[test]
fn what_is_erased_has_no_keys_left_and_stays_in_the_ledger_with_who_and_why() {
    let site = Site::with_recordings();
    let keys = site.home().join(format!("data/keys/{}.key", id()));
    let (length, other_name) = (fs::metadata(&keys).unwrap().len(), site.home().join("other-name"));
    fs::hard_link(&keys, &other_name).unwrap();

    let said = site.says(&["recordings", "erase", "ID", "--reason", " GDPR 17 ", "--yes"]);

    assert!(said.starts_with("Recording ID is erased. Its keys were destroyed on 20"), "{said}");
    assert!(said.ends_with(": GDPR 17.\n"), "{said}");
    assert!(!keys.exists());
    assert_eq!(fs::read(other_name).unwrap(), vec![0; usize::try_from(length).unwrap()], "overwritten before it was removed");
    assert_eq!(site.outcomes(), [(Deed::Erase, Outcome::Granted), (Deed::Erase, Outcome::Done)]);
    assert!(site.store.lock().unwrap().accesses.iter().all(|access| access.reason.as_deref() == Some("GDPR 17")));
    assert!(site.says(&["recordings", "list"]).contains("quality  erased  –                 ID\n"));
    let shown = site.says(&["recordings", "show", "ID"]);
    assert!(shown.starts_with("recording ID  erased\n  Its keys were destroyed on 20"), "{shown}");
    assert!(shown.contains("/ID.key, destroyed\n") && shown.contains("  erase  done     GDPR 17\n"), "{shown}");
}

#[test]
fn what_was_erased_verifies_by_its_chain_and_is_not_exported() {
    let site = Site::with_recordings();
    site.says(&["recordings", "erase", "ID", "--reason", "GDPR 17", "--yes"]);

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
