//! The table of shares: what a copy of it opens, killed renewals, torn tails, changed bits, files that are lost.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use super::*;

const KEYS: &[u8] = b"the wraps for all private keys";
const STEPS: [Step; 5] = [Step::NewKey, Step::NewTable, Step::Replaced, Step::OldKey, Step::OldTable];

fn id(number: u16) -> RecordingId {
    let mut bytes = [0; 16];
    bytes[..2].copy_from_slice(&number.to_be_bytes());
    RecordingId::from_bytes(bytes)
}

fn entropy() -> impl CryptoRng {
    crate::vault::UnwrapErr(getrandom::SysRng)
}

/// A folder with the key files of recordings 0 to `count` in their envelopes.
fn folder(count: u16) -> (tempfile::TempDir, Shares) {
    let home = tempfile::tempdir().unwrap();
    let shares = Shares::of(home.path());
    shares.begin(&mut entropy(), None).unwrap();
    (0..count).for_each(|number| seal(home.path(), number, KEYS));
    (home, shares)
}

fn seal(home: &Path, number: u16, keys: &[u8]) {
    let write = |bytes: &[u8]| fs::write(key(home, id(number)), bytes);
    Shares::of(home).seal(id(number), (keys, None), &mut entropy(), write).unwrap();
}

fn open(home: &Path, number: u16) -> Result<Vec<u8>, NoShare> {
    Shares::of(home).open(id(number), fs::read(key(home, id(number)))?)
}

fn opens(home: &Path, number: u16) -> bool {
    open(home, number).is_ok_and(|keys| keys == KEYS)
}

fn slots(home: &Path) -> Slots {
    Slots::of(options().open(home.join(EPOCH)).unwrap()).unwrap()
}

fn copy(from: &Path, names: &[&str], to: &Path) {
    for name in names {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

fn renew(shares: &Shares) -> Renewed {
    shares.renew_by_steps(&mut entropy(), |_| Ok(())).unwrap()
}

#[test]
fn what_was_forgotten_opens_with_no_copy_but_one_of_the_old_epoch_key() {
    let (home, shares) = folder(2);
    let before = tempfile::tempdir().unwrap();
    let names = [format!("{}.key", id(0)), format!("{}.key", id(1)), TABLE.to_owned(), EPOCH.to_owned()];
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    copy(home.path(), &names, before.path());
    let witness = home.path().join("witness");
    fs::hard_link(home.path().join(TABLE), &witness).unwrap();
    fs::remove_file(key(home.path(), id(0))).unwrap();

    assert_eq!(renew(&shares), Renewed { epoch: 2, kept: 1, dropped: 1, broken: 0 });

    // Before anything else opens the table, which would end what the renewal has not.
    let left = fs::read(home.path().join(EPOCH)).unwrap();
    assert!(fs::read(witness).unwrap().iter().all(|byte| *byte == 0), "the old table is overwritten");
    copy(before.path(), &names[..1], home.path());
    assert!(matches!(open(home.path(), 0), Err(NoShare::Forgotten)), "the key file that was put back");
    assert!(opens(home.path(), 1));
    // Old key file and old table, with every key that is left, tried in the block of either epoch.
    let thief = tempfile::tempdir().unwrap();
    copy(before.path(), &names[..3], thief.path());
    let swapped = [&left[BLOCK..], &left[..BLOCK]].concat();
    for keys in [left, swapped] {
        fs::write(thief.path().join(EPOCH), keys).unwrap();
        assert!(matches!(open(thief.path(), 0), Err(NoShare::EpochUnreadable)));
    }
    // Nor with the key that is left said to be of the old epoch.
    let new = slots(home.path()).read(2).unwrap().unwrap();
    slots(thief.path()).write(1, &new).unwrap();
    assert!(!opens(thief.path(), 0));
    // The block as it was is what it takes: so the test can fail.
    copy(before.path(), &[EPOCH], thief.path());
    assert!(opens(thief.path(), 0));
}

#[test]
fn a_kill_after_any_step_leaves_the_old_or_the_new_whole_and_the_next_ends_it() {
    for stop in STEPS {
        let (home, shares) = folder(3);
        let file = fs::read(key(home.path(), id(0))).unwrap();
        fs::remove_file(key(home.path(), id(0))).unwrap();
        let killed = |step| if step == stop { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) };
        assert!(shares.renew_by_steps(&mut entropy(), killed).is_err());

        let is_new = !matches!(stop, Step::NewKey | Step::NewTable);
        fs::write(key(home.path(), id(0)), &file).unwrap();
        assert_eq!([0, 1, 2].map(|number| opens(home.path(), number)), [!is_new, true, true], "{stop:?}");
        let keys = slots(home.path());
        let epoch = if is_new { 2 } else { 1 };
        assert!(keys.is_wiped(epoch + 1).unwrap() && !keys.is_wiped(epoch).unwrap(), "{stop:?}");
        assert!(!home.path().join(NEW).exists(), "{stop:?}");
        fs::remove_file(key(home.path(), id(0))).unwrap();
        let renewed = renew(&shares);
        assert_eq!((renewed.epoch, renewed.kept, renewed.broken), (epoch + 1, 2, 0), "{stop:?}");
        fs::write(key(home.path(), id(0)), &file).unwrap();
        assert_eq!([0, 1, 2].map(|number| opens(home.path(), number)), [false, true, true], "{stop:?}");
    }
}

#[test]
fn what_is_added_during_renewals_is_not_lost() {
    let (home, shares) = folder(300);
    std::thread::scope(|scope| {
        let adds = scope.spawn(|| (300..400).for_each(|number| seal(home.path(), number, KEYS)));
        loop {
            let is_last = adds.is_finished();
            renew(&shares);
            if is_last {
                break;
            }
        }
    });
    assert!((0..400).all(|number| opens(home.path(), number)));
    let renewed = renew(&shares);
    assert_eq!((renewed.kept, renewed.dropped, renewed.broken), (400, 0, 0));
}

#[test]
fn a_torn_tail_is_no_entry_and_the_next_takes_its_place() {
    let (home, _) = folder(2);
    let path = home.path().join(TABLE);
    let whole = fs::read(&path).unwrap();
    for length in TABLE_HEAD..whole.len() {
        for is_zero in [false, true] {
            let mut torn = whole[..length].to_vec();
            torn.resize(if is_zero { whole.len() } else { length }, 0);
            fs::write(&path, torn).unwrap();
            let is_first = length >= TABLE_HEAD + ENTRY;
            assert_eq!([0, 1].map(|number| opens(home.path(), number)), [is_first, false], "{length}");
            seal(home.path(), 7, KEYS);
            assert_eq!([0, 7].map(|number| opens(home.path(), number)), [is_first, true], "{length}");
        }
    }
}

#[test]
fn a_changed_bit_hides_one_share_and_leaves_the_others_alone() {
    let (home, _) = folder(2);
    let path = home.path().join(TABLE);
    let whole = fs::read(&path).unwrap();
    for bit in 0..whole.len() * 8 {
        let mut bad = whole.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, bad).unwrap();
        let entry = (bit / 8).checked_sub(TABLE_HEAD).map(|byte| byte / ENTRY);
        assert_eq!([0, 1].map(|number| opens(home.path(), number)), [entry == Some(1), entry == Some(0)], "{bit}");
    }
    fs::write(&path, whole).unwrap();
    assert!(opens(home.path(), 0) && opens(home.path(), 1), "a head that was damaged has cost no key");
}

#[test]
fn keys_made_anew_open_and_those_of_before_do_not_once_it_is_renewed() {
    let (home, shares) = folder(2);
    let old = fs::read(key(home.path(), id(0))).unwrap();
    seal(home.path(), 0, b"the new wraps");
    assert_eq!(shares.open(id(0), old.clone()).unwrap(), KEYS, "both, until then: a kill may have put either into its place");
    // What a rewrap has beside it needs its own.
    fs::write(beside(home.path(), id(0)), &old).unwrap();
    assert_eq!(renew(&shares).kept, 3);
    fs::remove_file(beside(home.path(), id(0))).unwrap();

    assert_eq!(renew(&shares), Renewed { epoch: 3, kept: 2, dropped: 1, broken: 0 });

    assert_eq!(open(home.path(), 0).unwrap(), b"the new wraps");
    assert!(matches!(shares.open(id(0), old), Err(NoShare::Forgotten)));
    assert!(opens(home.path(), 1));
}

#[test]
fn one_who_opens_many_sees_what_was_added_and_renewed_meanwhile() {
    let (home, shares) = folder(1);
    let read = |number| shares.open(id(number), fs::read(key(home.path(), id(number))).unwrap()).is_ok();
    assert!(read(0));
    seal(home.path(), 1, KEYS);
    assert!(read(1) && read(0));
    renew(&Shares::of(home.path()));
    assert!(read(1) && read(0));
    assert_eq!(shares.open(id(9), b"in no envelope".to_vec()).unwrap(), b"in no envelope");
}

#[test]
fn what_root_renews_is_the_folders_owners() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let (home, shares) = folder(1);
    std::os::unix::fs::chown(home.path(), Some(4711), Some(4712)).unwrap();
    renew(&shares);
    for name in [TABLE, LOCK] {
        let file = fs::metadata(home.path().join(name)).unwrap();
        assert_eq!((file.uid(), file.gid()), (4711, 4712), "{name}");
    }
}

#[test]
fn nothing_is_made_over_what_is_missing() {
    let (home, shares) = folder(1);
    shares.begin(&mut entropy(), None).unwrap();
    assert!(opens(home.path(), 0), "it is made once");
    fs::rename(home.path().join(EPOCH), home.path().join("away")).unwrap();
    assert!(matches!(open(home.path(), 0), Err(NoShare::EpochMissing)));
    assert!(matches!(shares.begin(&mut entropy(), None), Err(NoShare::EpochMissing)));
    fs::rename(home.path().join("away"), home.path().join(EPOCH)).unwrap();
    fs::rename(home.path().join(TABLE), home.path().join("away")).unwrap();
    assert!(matches!(open(home.path(), 0), Err(NoShare::TableMissing)));
    assert!(matches!(shares.begin(&mut entropy(), None), Err(NoShare::TableMissing)), "a key file needs the one that was");
    fs::rename(home.path().join("away"), home.path().join(TABLE)).unwrap();
    assert!(opens(home.path(), 0), "and none of it has cost a key");
}

#[test]
fn whoever_hangs_with_the_table_is_waited_for_as_long_as_a_recording_may_wait() {
    let (home, shares) = folder(1);
    let held = shares.lock().unwrap();

    let since = Instant::now();
    let told = open(home.path(), 0).unwrap_err();

    assert!(since.elapsed() >= SHARES_PATIENCE);
    assert!(told.to_string().contains("`.shares.lock`"), "{told}");
    drop(held);
    assert!(opens(home.path(), 0));
}
