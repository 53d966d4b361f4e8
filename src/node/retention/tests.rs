//! Recordings on a real disk and in a real ledger, and a clock that the test sets.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use tempfile::TempDir;

use crate::catalogue::{Entry, Limits, Opening, Parties, Reason, Retention, Totals, Write};
use crate::ids::{CallId, Direction, TrunkName};
use crate::keyfolder::shares::Shares;
use crate::node::store;

use super::*;

const DAY: u64 = 86_400;

#[test]
fn what_is_past_its_time_loses_its_keys_and_its_file_and_what_is_held_does_not() {
    let mut scene = Scene::new(rules(0, Some(90 * DAY), None));
    scene.recorded(1, 0);
    scene.recorded(2, 0);
    scene.recorded(3, 50 * DAY);
    scene.holds(2);

    scene.pass(90 * DAY - 1);
    assert!(scene.has(1) && scene.has(2) && scene.has(3), "a second before");
    scene.pass(90 * DAY);

    assert_eq!([1, 2, 3].map(|n| scene.has(n)), [false, true, true]);
    assert_eq!(scene.state(1), State::Erased);
    let lines = scene.keeper.store.accesses(id(1)).unwrap();
    let said: Vec<_> = lines.iter().map(|line| (line.who.as_str(), line.deed, line.outcome)).collect();
    assert_eq!(said, [(WHO, Deed::Erase, Outcome::Granted), (WHO, Deed::Erase, Outcome::Done)]);
    assert!(lines.iter().all(|line| line.reason.as_deref() == Some("longest time for quality: 90d")));
    let metrics = &scene.keeper.metrics;
    assert_eq!((metrics.retention_erased.with_label_values(&["longest"]).get(), metrics.retention_overdue.get()), (1, 1));
    assert_eq!(metrics.retention_failures.get(), 0);
}

#[test]
fn the_next_pass_is_when_the_next_recording_falls_due_and_within_ten_seconds_anyway() {
    let mut scene = Scene::new(rules(0, Some(DAY), None));
    scene.recorded(1, 0);

    assert_eq!([DAY - 100, DAY - 7, DAY - 1].map(|at| scene.pass(at).as_secs()), [10, 7, 1]);
    assert!(scene.has(1));
    assert_eq!(scene.pass(DAY).as_secs(), 10);
    assert!(!scene.has(1));
}

#[test]
fn what_is_torn_is_left_alone_until_all_is_salvaged() {
    let mut scene = Scene::new(rules(0, Some(DAY), None));
    scene.is_written(Entry { state: State::Torn, totals: None, ..entry(1, 0) });
    scene.keeper.is_salvaged.store(false, Ordering::Relaxed);

    scene.pass(2 * DAY);
    assert!(scene.has(1));
    scene.keeper.is_salvaged.store(true, Ordering::Relaxed);
    scene.pass(2 * DAY + 60);

    assert!(!scene.has(1));
}

#[test]
fn what_cannot_be_destroyed_is_not_called_erased_and_is_tried_again_ever_less_often() {
    let mut scene = Scene::new(rules(0, Some(DAY), None));
    scene.recorded(1, 0);
    let keys = scene.keeper.folders.main.key(id(1));
    fs::remove_file(&keys).unwrap();
    fs::create_dir(&keys).unwrap();

    for after in [0, 1, 59, 60, 61, 179, 180] {
        scene.pass(2 * DAY + after);
    }

    assert_eq!(scene.state(1), State::Sealed);
    assert_eq!(scene.keeper.metrics.retention_failures.get(), 3, "at once, after a minute, after two more");
    assert_eq!(scene.keeper.metrics.retention_overdue.get(), 1);
    let last = scene.keeper.store.accesses(id(1)).unwrap().pop().unwrap();
    assert_eq!((last.outcome, last.who.as_str()), (Outcome::Failed, WHO));
    assert!(scene.keeper.folders.main.recording(id(1)).exists(), "the file goes after the keys");

    fs::remove_dir(&keys).unwrap();
    scene.pass(2 * DAY + 180 + 240);
    assert_eq!(scene.state(1), State::Erased);
    assert_eq!(scene.keeper.metrics.retention_overdue.get(), 0);
}

#[test]
fn what_lies_in_two_pieces_is_removed_from_both_disks() {
    let mut scene = Scene::new(rules(0, Some(DAY), None));
    let spare = crate::node::folders::Folder::of(&scene.home.path().join("spare"));
    spare.make().unwrap();
    scene.keeper.folders.spare = Some(spare.clone());
    scene.is_written(Entry { state: State::Torn, totals: None, ..entry(1, 0) });
    fs::write(spare.part(id(1), 5), b"the rest").unwrap();
    fs::write(spare.part(id(2), 5), b"of another").unwrap();
    fs::write(spare.key(id(1)), b"wraps").unwrap();

    scene.pass(2 * DAY);

    assert!(!scene.has(1) && !spare.key(id(1)).exists());
    assert_eq!(spare.parts().unwrap(), [(id(2), 5)]);
}

#[test]
fn an_erasure_that_a_kill_cut_short_is_done_to_its_end() {
    let mut scene = Scene::new(rules(0, Some(DAY), None));
    scene.recorded(1, 0);
    fs::remove_file(scene.keeper.folders.main.key(id(1))).unwrap();

    scene.pass(2 * DAY);

    assert_eq!((scene.has(1), scene.state(1)), (false, State::Erased));
}

#[test]
fn a_clock_that_leaps_years_ahead_erases_no_more_than_four_times_what_time_does() {
    let mut scene = Scene::new(rules(0, Some(90 * DAY), None));
    scene.recorded(1, 0);
    scene.recorded(2, 90 * DAY);
    scene.pass_at(0, 90 * DAY - 300);

    // A minute later it is said to be ten years later.
    scene.pass_at(60, 3650 * DAY);
    let lag = scene.keeper.metrics.retention_clock_lag.get();
    assert!(scene.has(1) && lag > 3600, "four minutes of five: {lag}");
    scene.pass_at(90, 3650 * DAY);
    assert_eq!([1, 2].map(|n| scene.has(n)), [false, true], "six minutes");
    scene.pass_at(120, 90 * DAY);

    assert_eq!(scene.keeper.metrics.retention_clock_lag.get(), 0, "it was put right");
    assert!(scene.has(2));
}

#[test]
fn a_restart_does_not_make_a_wrong_clock_right() {
    let mut scene = Scene::new(rules(0, Some(90 * DAY), None));
    scene.recorded(1, 0);
    scene.pass_at(0, DAY);

    scene.restarts();
    scene.pass_at(0, 3650 * DAY);
    scene.pass_at(3600, 3650 * DAY);

    assert!(scene.has(1), "four hours of ten years");
}

#[test]
fn a_policy_over_its_quota_loses_its_oldest_and_when_that_is_not_enough_it_is_full() {
    let mut scene = Scene::new(rules(DAY, None, Some(25)));
    for (n, ended) in [(1, 10), (2, 0), (3, 20)] {
        scene.recorded(n, ended);
    }
    let gauge =
        |scene: &Scene, of: fn(&Metrics) -> &prometheus::IntGaugeVec| of(&scene.keeper.metrics).with_label_values(&["all"]).get();

    scene.pass(1000);
    assert!([1, 2, 3].iter().all(|n| scene.has(*n)), "all are locked");
    assert_eq!(
        (gauge(&scene, |m| &m.quota_full), gauge(&scene, |m| &m.quota_used), gauge(&scene, |m| &m.quota_barred)),
        (1, 30, 30)
    );
    scene.pass(DAY + 100);

    assert_eq!([1, 2, 3].map(|n| scene.has(n)), [true, false, true], "one was enough");
    assert_eq!(gauge(&scene, |m| &m.quota_full), 0);
    let line = scene.keeper.store.accesses(id(2)).unwrap().pop().unwrap();
    assert_eq!(line.reason.as_deref(), Some("quota of policy all: 25 bytes"));
    assert_eq!(scene.keeper.metrics.retention_erased.with_label_values(&["quota"]).get(), 1);
}

#[test]
fn what_was_held_since_it_was_looked_at_stays() {
    let mut scene = Scene::new(rules(0, Some(DAY), None));
    scene.recorded(1, 0);
    let stored = scene.keeper.stored().unwrap();
    scene.holds(1);
    let keys = [scene.keeper.folders.main.keys()];
    let folder = KeyFolder::alone(&keys).unwrap();

    let order = Order { recording: id(1), cause: Cause::Longest };
    let done = scene.keeper.begin(&folder, order, &stored, wall(2 * DAY));

    assert!(matches!(done, Err(NotErased::Meanwhile)) && scene.has(1));
}

#[test]
fn while_a_command_has_the_keys_nothing_is_erased_and_nothing_waits() {
    let mut scene = Scene::new(rules(0, Some(DAY), None));
    scene.recorded(1, 0);
    let rewrap = KeyFolder::alone(&[scene.keeper.folders.main.keys()]).unwrap();

    scene.pass(2 * DAY);
    assert!(scene.has(1));
    drop(rewrap);
    scene.pass(2 * DAY + 60);

    assert!(!scene.has(1));
}

#[test]
fn without_its_spare_disk_nothing_is_called_erased() {
    let mut scene = Scene::new(rules(0, Some(DAY), None));
    scene.recorded(1, 0);
    scene.keeper.folders.is_spare_missing = true;

    scene.pass(2 * DAY);

    assert_eq!((scene.has(1), scene.state(1)), (true, State::Sealed));
    assert_eq!(scene.keeper.metrics.retention_failures.get(), 1);
}

struct Scene {
    home: TempDir,
    keeper: Keeper,
}

impl Scene {
    fn new(rules: Rules) -> Self {
        let home = tempfile::tempdir().unwrap();
        drop(store::open(&home.path().join("ledger.db"), Opening::Keep).unwrap());
        let keeper = keeper(&home, rules);
        Self { home, keeper }
    }

    fn restarts(&mut self) {
        self.keeper = keeper(&self.home, self.keeper.rules.clone());
    }

    /// A recording of ten bytes whose call ended then.
    fn recorded(&mut self, n: u64, ended: u64) {
        self.is_written(entry(n, ended));
    }

    fn is_written(&mut self, entry: Entry) {
        let recording = entry.recording.unwrap();
        fs::write(self.keeper.folders.main.recording(recording), [0; 10]).unwrap();
        fs::write(self.keeper.folders.main.key(recording), b"wraps").unwrap();
        self.keeper.store.write(&[Write::Put(Box::new(entry))]).unwrap();
    }

    fn holds(&mut self, n: u64) {
        let (who, reason) = ("alice".into(), Some("case 4711".into()));
        let line = Access { at: wall(1), who, deed: Deed::Hold, recording: id(n), purpose: None, reason, outcome: Outcome::Done };
        self.keeper.store.record_access(&line).unwrap();
    }

    /// Both clocks say the same.
    fn pass(&mut self, at: u64) -> Duration {
        self.pass_at(at, at)
    }

    fn pass_at(&mut self, now: u64, at: u64) -> Duration {
        self.keeper.pass((Moment::from_millis(now * 1000), wall(at)))
    }

    /// Whether all of it is there; panics where a part of it is.
    fn has(&self, n: u64) -> bool {
        let main = &self.keeper.folders.main;
        let there = [main.recording(id(n)), main.key(id(n))].map(|path| path.exists());
        assert!(there == [true, true] || there == [false, false], "{there:?}");
        there == [true, true]
    }

    fn state(&self, n: u64) -> State {
        self.keeper.store.recording(id(n)).unwrap().unwrap().state
    }
}

fn keeper(home: &TempDir, rules: Rules) -> Keeper {
    Keeper {
        store: store::open(&home.path().join("ledger.db"), Opening::ReadAndLog).unwrap(),
        folders: Folders::make(home.path(), None).unwrap(),
        rules,
        metrics: Arc::new(Metrics::new()),
        is_salvaged: Arc::new(AtomicBool::new(true)),
        state: Known::default(),
    }
}

fn rules(shortest: u64, longest: Option<u64>, quota: Option<u64>) -> Rules {
    let mut retention = Retention::default();
    let limits = Limits { shortest: Duration::from_secs(shortest), longest: longest.map(Duration::from_secs) };
    retention.set("quality", limits);
    Rules { retention, quotas: quota.map(|quota| ("all".into(), quota)).into_iter().collect() }
}

fn entry(n: u64, ended: u64) -> Entry {
    Entry {
        call: CallId::from_u64(n),
        began: wall(ended),
        answered: Some(wall(ended)),
        ended: Some(wall(ended)),
        direction: Some(Direction::Inbound),
        trunk: Some(TrunkName::new("carrier")),
        policy: Some("all".into()),
        purpose: Some("quality".into()),
        state: State::Sealed,
        reason: Reason::Recorded,
        leg: None,
        recording: Some(id(n)),
        totals: Some(Totals { size_bytes: 10, ..Totals::default() }),
        quality: None,
        parties: None,
        is_redacted: false,
    }
}

fn id(n: u64) -> RecordingId {
    RecordingId::of_call(CallId::from_u64(n), 0)
}

fn wall(seconds: u64) -> Wall {
    Wall::from_unix_micros(i64::try_from(seconds).unwrap() * 1_000_000)
}

#[test]
fn what_is_erased_no_copy_of_its_key_file_opens_where_there_are_shares() {
    let mut scene = Scene::new(rules(0, Some(DAY), None));
    let keys = scene.keeper.folders.main.keys();
    let shares = Shares::of(&keys);
    shares.begin(&mut crate::node::entropy::source(), None).unwrap();
    let copies = [1, 2].map(|n| {
        scene.recorded(n, if n == 1 { 0 } else { 2 * DAY });
        let path = scene.keeper.folders.main.key(id(n));
        let write = |bytes: &[u8]| fs::write(&path, bytes);
        shares.seal(id(n), (b"wraps", None), &mut crate::node::entropy::source(), write).unwrap();
        fs::read(&path).unwrap()
    });

    scene.pass(2 * DAY);

    assert_eq!([1, 2].map(|n| scene.has(n)), [false, true]);
    let [gone, stays] = copies;
    assert!(shares.open(id(1), gone).unwrap_err().to_string().contains("forgotten"));
    assert_eq!(shares.open(id(2), stays).unwrap(), b"wraps");
    // Where they cannot be forgotten it is not said to be erased, and is tried again.
    scene.recorded(3, 0);
    fs::rename(keys.join(".epoch"), scene.home.path().join("away")).unwrap();
    scene.pass(2 * DAY);
    let last = scene.keeper.store.accesses(id(3)).unwrap().pop().unwrap();
    assert_eq!(last.outcome, Outcome::Failed);
    fs::rename(scene.home.path().join("away"), keys.join(".epoch")).unwrap();
    scene.pass(3 * DAY);
    assert_eq!(scene.keeper.store.accesses(id(3)).unwrap().pop().unwrap().outcome, Outcome::Done);
}

#[test]
fn of_a_call_whose_recording_was_shredded_nothing_says_who_talked_once_it_is_over() {
    let mut scene = Scene::new(rules(0, None, None));
    let number = |n: u64| format!("+4930777000{n}");
    let shredded = |n: u64, ended: Option<u64>| {
        let parties = Parties {
            calling: Private::new(number(n)),
            called: Private::new("100".into()),
            call_id: Private::new(format!("id-{n}@x")),
            ..Parties::default()
        };
        Entry { reason: Reason::Shredded, ended: ended.map(wall), parties: Some(parties), ..entry(n, ended.unwrap_or(DAY)) }
    };
    scene.is_written(shredded(1, Some(DAY)));
    scene.is_written(shredded(2, None));
    // One that ran out of its time keeps who talked.
    scene.is_written(Entry { reason: Reason::Recorded, ..shredded(3, Some(DAY)) });
    let stands = |scene: &Scene, n: u64| {
        let files = ["ledger.db", "ledger.db-wal"].map(|name| fs::read(scene.home.path().join(name)).unwrap_or_default());
        let number = number(n).into_bytes();
        files.iter().any(|bytes| bytes.windows(number.len()).any(|window| window == number))
    };
    assert!(stands(&scene, 1));

    scene.pass(DAY + 10);

    assert_eq!([1, 2, 3].map(|n| scene.has(n)), [false, false, true]);
    assert_eq!([1, 2, 3].map(|n| stands(&scene, n)), [false, true, true], "the second goes on, and its row is written again");
    assert!(scene.keeper.store.recording(id(1)).unwrap().unwrap().parties.is_none());
    let over = shredded(2, Some(DAY + 20));
    scene.keeper.store.write(&[Write::Put(Box::new(over))]).unwrap();
    scene.pass(DAY + 30);
    assert_eq!([2, 3].map(|n| stands(&scene, n)), [false, true]);
    let notes = scene.keeper.store.notes().unwrap();
    let cleared: Vec<_> = notes.iter().map(|note| (note.kind, note.who.as_str(), note.counts)).collect();
    assert_eq!(cleared, [(NoteKind::Cleared, WHO, [1, 1]); 2]);
}
