//! `keys rewrap`: others open what a key opens, and what was erased stays so.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use crate::catalogue::{Deed, Event, Outcome, State};
use crate::cli::exit::Exit;
use crate::cli::tests::site::{COMPLETE, Said, Site, id, other};
use crate::vault::{Digest, KeyFile, RecipientSecret, Recording, UnwrapErr};

const KEY: &[u8] = include_bytes!("../../../tests/vault/vectors/complete.key");
const RECIPIENT: &[u8] = include_bytes!("../../../tests/vault/vectors/recipient.pem");

/// A site with a new recipient: `new.pem` and `new.pub.pem`.
fn with_a_new_one() -> (Site, RecipientSecret) {
    let site = Site::with_recordings();
    let new = RecipientSecret::generate(&mut UnwrapErr(getrandom::SysRng));
    fs::write(site.home().join("new.pem"), new.to_pem().unwrap().as_bytes()).unwrap();
    fs::write(site.home().join("new.pub.pem"), new.public().to_pem()).unwrap();
    (site, new)
}

impl Site {
    fn keys_of(&self, id: crate::ids::RecordingId) -> PathBuf {
        self.home().join(format!("data/keys/{id}.key"))
    }

    fn opens(&self, secret: &RecipientSecret) -> bool {
        let key = fs::read(self.keys_of(id())).unwrap();
        Recording::open(COMPLETE, &key, secret).is_ok_and(|recording| recording.records().all(|record| record.is_ok()))
    }

    fn rewrap(&self, words: &[&str]) -> Said {
        self.run(&[&["keys", "rewrap", "--key", "HOME/recipient.pem"], words].concat())
    }

    fn left_beside(&self) -> Vec<String> {
        let names = fs::read_dir(self.home().join("data/keys")).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        names.filter(|name| !name.ends_with(".key")).collect()
    }
}

#[test]
fn a_holder_of_an_old_key_lets_a_new_one_open_it_and_the_old_one_is_taken_out() {
    let (site, new) = with_a_new_one();
    let old = RecipientSecret::from_pem(RECIPIENT).unwrap();
    fs::set_permissions(site.keys_of(id()), fs::Permissions::from_mode(0o600)).unwrap();

    let said = site.rewrap(&["ID", "--add", "HOME/new.pub.pem"]);
    assert_eq!((said.exit, said.err.as_str()), (Exit::Well, ""));
    let head = old.public().fingerprint().short();
    assert!(said.out.starts_with("ID  rewrapped  it opens for ") && said.out.contains(&head), "{}", said.out);
    assert_eq!(said.out.matches(", ").count(), 2, "the two that there were, and one more");
    assert!(site.opens(&old) && site.opens(&new));
    assert_eq!(site.outcomes(), [(Deed::Rewrap, Outcome::Granted), (Deed::Rewrap, Outcome::Done)]);
    let events = site.store.lock().unwrap().events.clone();
    let [Event::Rewrapped { recording, before, after, added, removed }] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((*recording, *before, *after), (id(), Digest::of(KEY), Digest::of(&fs::read(site.keys_of(id())).unwrap())));
    assert_eq!((added.as_slice(), removed.as_slice()), ([new.public().fingerprint()].as_slice(), [].as_slice()));
    assert_eq!(site.rewrap(&["ID", "--add", "HOME/new.pub.pem"]).out, "ID  already  it opens for them already\n");
    assert_eq!(site.store.lock().unwrap().events.len(), 1, "what stays as it is is in no event");

    let said = site.run(&["keys", "rewrap", "ID", "--key", "HOME/new.pem", "--remove", &head]);
    assert_eq!((said.exit, said.err.as_str()), (Exit::Well, ""));
    assert!(!site.opens(&old) && site.opens(&new));
    assert_eq!(fs::metadata(site.keys_of(id())).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(site.left_beside(), [""; 0]);
    assert_eq!(fs::read(site.home().join(format!("data/recordings/{}.rec", id()))).unwrap(), COMPLETE);
    let verified = site.says(&["recordings", "verify", "ID", "--key", "HOME/new.pem"]);
    assert!(verified.contains("content are good"), "{verified}");
}

#[test]
fn all_that_the_key_opens_are_rewrapped_and_the_rest_is_counted() {
    let (site, new) = with_a_new_one();
    // The other one's key file is damaged; a third one's is for another key, a fourth one is still being made.
    let add = |n: u8, key: &[u8], state| {
        let id = crate::ids::RecordingId::from_bytes([n; 16]);
        let mut store = site.store.lock().unwrap();
        let entry = crate::catalogue::Entry { recording: Some(id), state, ..store.entries[0].clone() };
        store.entries.push(entry);
        fs::write(site.keys_of(id), key).unwrap();
    };
    let stranger = RecipientSecret::from_pem(include_bytes!("../../../tests/vault/vectors/stranger.pem")).unwrap();
    let old = RecipientSecret::from_pem(RECIPIENT).unwrap();
    let entries = crate::vault::Entries { add: &[*stranger.public()], leave: crate::vault::Leave::None };
    let others = KeyFile::parse(KEY).unwrap().rewrap(&old, &entries, &mut UnwrapErr(getrandom::SysRng)).unwrap().unwrap();
    fs::write(site.keys_of(other()), [KEY, &[0]].concat()).unwrap();
    add(0x33, &others.to_bytes(), State::Sealed);
    add(0x44, KEY, State::Recording);
    let _proxy = UnixListener::bind(site.home().join("data/control.sock")).unwrap();

    let said = site.rewrap(&["--all", "--add", "HOME/new.pub.pem"]);

    assert_eq!(said.exit, Exit::Cannot);
    assert_eq!(
        said.err,
        "error: recording OTHER: the key file is not as it was written\n  take the wrapped keys from a backup of the `keys` folder\n"
    );
    let (line, sum) = said.out.trim_end().rsplit_once('\n').unwrap();
    assert!(line.starts_with("ID  rewrapped  it opens for "), "{line}");
    assert_eq!(sum, "1 recording rewrapped, 1 not for this key, 1 still being made, 1 failed.");
    assert!(site.opens(&new));

    fs::remove_file(site.keys_of(other())).unwrap();
    let said = site.rewrap(&["--all", "--add", "HOME/new.pub.pem", "--json"]);
    assert_eq!((said.exit, said.err.as_str()), (Exit::Well, ""));
    assert_eq!(said.out, "{\"already\":1,\"failed\":0,\"not_for_this_key\":1,\"rewrapped\":0,\"unfinished\":1}\n");
}

#[test]
fn who_cannot_open_it_and_what_is_being_made_or_erased_change_nothing() {
    let (site, _) = with_a_new_one();
    let wanted = ["keys", "rewrap", "ID", "--add", "HOME/new.pub.pem", "--key"];

    let said = site.run(&[&wanted[..], &["HOME/stranger.pem"]].concat());
    assert_eq!(said.exit, Exit::NotSo);
    assert!(said.out.starts_with("ID  not-for-this-key  it does not open for this key"), "{}", said.out);
    assert_eq!(site.outcomes(), []);

    site.says(&["recordings", "erase", "ID", "--reason", "GDPR 17", "--yes"]);
    // Keys that come back from a backup.
    fs::write(site.keys_of(id()), KEY).unwrap();
    let said = site.run(&[&wanted[..], &["HOME/recipient.pem"]].concat());
    assert_eq!((said.exit, said.out.as_str()), (Exit::NotFound, ""));
    assert!(said.err.starts_with("error: recording ID was erased: its keys were destroyed on 20"), "{}", said.err);
    assert_eq!(site.outcomes()[2..], [(Deed::Rewrap, Outcome::Erased)]);
    assert_eq!(fs::read(site.keys_of(id())).unwrap(), KEY);

    site.store.lock().unwrap().entries[0].state = State::Recording;
    let _proxy = UnixListener::bind(site.home().join("data/control.sock")).unwrap();
    let said = site.run(&[&wanted[..], &["HOME/recipient.pem"]].concat());
    assert_eq!((said.exit, said.err.as_str()), (Exit::NotSo, ""));
    assert_eq!(said.out, "ID  unfinished  it is still being made: rewrap it once it is over\n");
    assert_eq!(site.outcomes()[3..], [(Deed::Rewrap, Outcome::Unfinished)]);
}

#[test]
fn a_secret_that_the_recording_does_not_commit_to_is_not_passed_on() {
    let (site, _) = with_a_new_one();
    let before = include_bytes!("../../../tests/vault/vectors/two-secrets.key");
    fs::write(site.keys_of(id()), before).unwrap();

    let said = site.rewrap(&["ID", "--add", "HOME/new.pub.pem"]);

    assert_eq!(said.exit, Exit::Refused);
    assert!(said.err.contains("was given another secret than the recording commits to"), "{}", said.err);
    assert_eq!(site.outcomes(), [(Deed::Rewrap, Outcome::Granted), (Deed::Rewrap, Outcome::WrongKey)]);
    assert_eq!(fs::read(site.keys_of(id())).unwrap(), before);
}

#[test]
fn wherever_a_kill_came_one_file_is_whole_and_the_next_go_tidies_up() {
    let (site, new) = with_a_new_one();
    let old = RecipientSecret::from_pem(RECIPIENT).unwrap();
    site.rewrap(&["ID", "--add", "HOME/new.pub.pem"]);
    let rewrapped = fs::read(site.keys_of(id())).unwrap();
    let beside = site.home().join(format!("data/keys/{}.key.rewrap", id()));
    let zeros = vec![0; KEY.len()];
    let half = rewrapped[..100].to_vec();
    // Under the name, and beside it: while the new one is written, before and after they change places, and while the old one is destroyed.
    let states = [(KEY, Vec::new()), (KEY, half), (KEY, rewrapped.clone()), (&rewrapped, KEY.to_vec()), (&rewrapped, zeros)];

    for (under, left) in states {
        fs::write(site.keys_of(id()), under).unwrap();
        fs::write(&beside, &left).unwrap();
        assert!(site.opens(&old));

        let said = site.rewrap(&["ID", "--add", "HOME/new.pub.pem"]);

        assert_eq!((said.exit, said.err.as_str()), (Exit::Well, ""));
        assert!(site.opens(&old) && site.opens(&new) && !beside.exists());
    }
    fs::write(&beside, KEY).unwrap();
    site.says(&["recordings", "erase", "ID", "--reason", "GDPR 17", "--yes"]);
    assert!(!site.keys_of(id()).exists() && !beside.exists());
}

#[test]
fn whoever_is_first_what_is_erased_while_it_is_rewrapped_stays_erased() {
    let (site, _) = with_a_new_one();
    for _ in 0..50 {
        fs::write(site.keys_of(id()), KEY).unwrap();
        site.store.lock().unwrap().entries[0].state = State::Sealed;
        site.store.lock().unwrap().accesses.clear();

        std::thread::scope(|scope| {
            let rewrapping = scope.spawn(|| site.rewrap(&["ID", "--add", "HOME/new.pub.pem"]).exit);
            site.says(&["recordings", "erase", "ID", "--reason", "GDPR 17", "--yes"]);
            let exit = rewrapping.join().unwrap();
            assert!(matches!(exit, Exit::Well | Exit::NotFound | Exit::Cannot), "{exit:?}");
        });

        assert!(!site.keys_of(id()).exists());
        assert_eq!(site.left_beside(), [""; 0]);
    }
}

#[test]
fn nothing_is_rewrapped_that_cannot_be_logged() {
    let (site, _) = with_a_new_one();
    site.store.lock().unwrap().log_is_full = true;

    let said = site.rewrap(&["--all", "--add", "HOME/new.pub.pem"]);

    assert_eq!((said.exit, said.out.as_str()), (Exit::Cannot, ""));
    assert!(said.err.starts_with("error: nothing is opened that cannot be logged: "), "{}", said.err);
    assert_eq!(fs::read(site.keys_of(id())).unwrap(), KEY);
}

#[test]
fn words_that_leave_nothing_to_be_done_or_contradict_each_other_are_not_understood() {
    let (site, _) = with_a_new_one();

    assert_eq!(site.rewrap(&["ID"]).exit, Exit::Usage);
    assert_eq!(site.rewrap(&["--add", "HOME/new.pub.pem"]).exit, Exit::Usage);
    let said = site.rewrap(&["ID", "--add", "HOME/new.pub.pem", "--remove", "HOME/new.pem"]);
    assert_eq!(said.exit, Exit::Cannot);
    assert!(said.err.contains("is to be added, and to be removed"), "{}", said.err);
    let all: Vec<_> = KeyFile::parse(KEY).unwrap().recipients().map(|name| name.to_string()).collect();
    let said = site.rewrap(&["ID", "--remove", &all[0], "--remove", &all[1]]);
    assert!(said.err.starts_with("error: recording ID: nobody could open it any more\n"), "{}", said.err);
}
