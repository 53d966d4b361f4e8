//! The writer against a volume in memory that says what was asked of it, and fails on order.

use super::*;
use crate::consent::Permit;
use crate::ids::Leg;
use crate::limits::CHUNKS_HELD_PER_RECORDING;
use crate::time::Period;
use crate::vault::fixture::{Chance, at, packet, permit};
use crate::vault::{Buffers, EndReason, GapReason, KeyFile, NodePublic, RecipientSecret, Recorder, Verdict, verify};

#[test]
fn keys_are_durable_before_anything_of_the_recording_is_written() {
    let mut scene = Scene::with([1]);

    scene.work([chunk(1), begin(2), end(1), begin(3), chunk(2)]);

    assert_eq!(scene.done(), ["keys 2", "keys 3", "sync", "head 2", "head 3", "append 1", "append 1", "close 1", "append 2"]);
    assert_eq!(scene.told(), ["begun 2", "begun 3", "written 1", "closed 1", "written 2"]);
}

#[test]
fn a_recording_is_sealed_once_it_is_durable_and_not_before() {
    let mut scene = Scene::with([1, 2]);
    scene.work([chunk(1), end(1)]);
    assert_eq!(scene.told(), ["written 1", "closed 1"]);

    assert!(scene.sync());

    assert_eq!(scene.told(), ["sealed 1"]);
    assert_eq!(scene.verdict(1), "complete");
    assert!(scene.sync() && scene.told().is_empty(), "once");
}

#[test]
fn the_keys_sync_of_another_recording_makes_a_closed_one_durable() {
    let mut scene = Scene::with([1]);
    scene.work([end(1)]);

    scene.work([begin(2)]);

    assert_eq!(scene.told(), ["closed 1", "sealed 1", "begun 2"]);
}

#[test]
fn a_failed_sync_ends_all_that_is_open_or_closed_since() {
    let mut scene = Scene::with([1, 2, 3]);
    scene.work([chunk(1), chunk(2), end(2)]);
    assert_eq!(scene.told(), ["written 1", "written 2", "closed 2"]);
    assert_eq!(scene.done(), ["append 1", "append 2", "append 2", "close 2"]);
    scene.volume.fails.push("sync");

    assert!(!scene.sync());

    assert_eq!(scene.told(), ["sync failed", "torn 1", "torn 2", "torn 3"]);
    scene.work([chunk(1), end(1), chunk(3), end(3)]);
    assert!(scene.sync());
    assert_eq!(scene.done(), ["sync", "close 1", "close 3", "sync"], "nothing is written to them any more");
    assert_eq!(scene.told(), [""; 0]);
}

#[test]
fn keys_that_are_not_durable_begin_nothing() {
    let mut scene = Scene::with([1]);
    scene.volume.fails.push("sync");

    scene.work([begin(2), chunk(2), end(2)]);

    assert_eq!(scene.done(), ["keys 2", "sync", "close 1", "remove 2"]);
    assert_eq!(scene.told(), ["sync failed", "torn 1", "lost 2: keys are not durable"]);
    assert!(!scene.volume.files.contains_key("keys 2"));
}

#[test]
fn a_recording_that_cannot_be_begun_is_removed_and_the_others_go_on() {
    for fails in ["keys 1", "head 1"] {
        let mut scene = Scene::with([]);
        scene.volume.fails.push(fails);

        scene.work([begin(1), begin(2), chunk(1), chunk(2), end(1), end(2)]);
        scene.sync();

        let told = scene.told();
        assert!(told.contains(&"lost 1: it fails".to_owned()), "{fails}: {told:?}");
        assert!(["begun 2", "written 2", "closed 2", "sealed 2"].iter().all(|word| told.iter().any(|told| told == word)));
        let done = scene.done();
        assert_eq!(done.iter().rfind(|call| call.ends_with('1')).unwrap(), "remove 1");
        assert!(scene.volume.files.keys().all(|file| file.ends_with('2')), "{:?}", scene.volume.files.keys());
    }
}

#[test]
fn what_could_not_be_removed_is_told_as_left() {
    let mut scene = Scene::with([]);
    scene.volume.fails.extend(["head 1", "remove 1"]);

    scene.work([begin(1)]);

    assert_eq!(scene.told(), ["torn 1: it fails"]);
    assert!(scene.volume.files.contains_key("head 1"), "half of its head");
}

#[test]
fn a_recording_nobody_may_listen_to_is_not_begun() {
    let mut scene = Scene::with([]);
    scene.writer.listeners[0].purposes = vec!["another purpose".into()];

    scene.work([begin(1)]);

    assert_eq!(scene.done(), ["remove 1"]);
    assert_eq!(scene.told(), ["lost 1: nobody may listen to it at this time: no recipient for its purpose is in force"]);
}

#[test]
fn a_recording_is_sealed_to_those_whose_time_it_is() {
    let evidence = permit(1);
    let began = evidence.evidence().wall(evidence.evidence().granted());
    let later = began + Duration::from_secs(1);
    let periods = [
        (Period::ALWAYS, true),
        (Period { from: Some(began), until: Some(later) }, true),
        (Period { from: Some(later), until: None }, false),
        (Period { from: None, until: Some(began) }, false),
    ];
    let mut scene = Scene::with([]);
    let own = scene.writer.listeners[0].clone();
    let keys = [10, 11, 12, 13].map(|seed| *RecipientSecret::generate(&mut Chance::from(seed)).public());
    scene.writer.listeners =
        keys.iter().zip(periods).map(|(&key, (period, _))| Listener { key, period, ..own.clone() }).collect();

    scene.work([begin(1)]);

    let file = KeyFile::parse(&scene.volume.files["keys 1"]).unwrap();
    let wanted: Vec<_> = keys.iter().zip(periods).filter(|(_, (_, is_in))| *is_in).map(|(key, _)| key.fingerprint()).collect();
    assert_eq!(file.recipients().collect::<Vec<_>>(), wanted);
    // Nobody's time any more: nothing is written at all.
    scene.done();
    scene.writer.listeners.retain(|listener| listener.period.until == Some(began));
    scene.work([begin(2)]);
    assert_eq!(scene.done(), ["remove 2"]);
}

#[test]
fn a_failed_write_is_tried_again_with_the_same_bytes_at_the_same_place() {
    let mut scene = Scene::with([1, 2]);
    scene.work([chunk(1)]);
    scene.volume.fails.extend(["append 1", "append 1"]);

    scene.work([chunk(1), chunk(1), chunk(2), end(1)]);
    assert_eq!(scene.told(), ["written 1", "stuck 1: it fails", "written 2"]);
    scene.sync();
    assert_eq!(scene.told(), [""; 0]);
    assert_eq!(scene.verdict(1), "cut", "what stands before it is whole");
    assert!(scene.writer.deadline().is_some(), "it is tried again although nothing comes");
    scene.sync();

    assert_eq!(scene.told(), ["written 1", "written 1", "flowing 1", "closed 1", "sealed 1"]);
    assert_eq!(scene.verdict(1), "complete");
    assert_eq!(scene.gaps(1), []);
    assert_eq!(scene.writer.held, 0);
}

#[test]
fn what_comes_while_it_fails_for_long_is_dropped_and_becomes_a_gap() {
    let mut scene = Scene::with([1]);
    scene.volume.is_full = true;
    scene.work([chunk(1)]);
    assert_eq!(scene.told(), ["stuck 1: it is full"]);
    for _ in 0..CHUNKS_HELD_PER_RECORDING {
        scene.work([chunk(1)]);
    }
    assert_eq!(scene.told(), [""; 0], "half a minute is held");
    scene.work([chunk(1), chunk(1), chunk(1)]);
    assert_eq!(scene.told(), ["dropping 1"], "once");
    scene.sync();

    scene.volume.is_full = false;
    scene.sync();

    let told = scene.told();
    assert_eq!(told.iter().filter(|told| *told == "written 1").count(), 1 + CHUNKS_HELD_PER_RECORDING + 1, "{told:?}");
    assert_eq!(told.last().unwrap(), "flowing 1");
    scene.work([chunk(1), end(1)]);
    scene.sync();
    assert_eq!(scene.told(), ["written 1", "closed 1", "sealed 1"]);
    assert_eq!(scene.verdict(1), "complete");
    assert_eq!(scene.gaps(1), [(Some(Leg::Pbx), GapReason::DiskFull, 3)], "its packets are counted, and why");
    assert_eq!(scene.formats(1), CHUNKS_HELD_PER_RECORDING + 4, "what a dropped chunk said of formats is said again");
    assert_eq!(scene.writer.held, 0);
}

#[test]
fn so_many_chunks_are_held_and_no_more() {
    let all: Vec<u8> = (1..=200).collect();
    let mut scene = Scene::with([]);
    for &number in &all {
        scene.work([begin(number)]);
    }
    scene.told();
    scene.volume.is_full = true;
    for _ in 0..=CHUNKS_HELD_PER_RECORDING {
        for &number in &all {
            scene.work([chunk(number)]);
        }
    }

    assert_eq!(scene.writer.held, CHUNKS_HELD);
    let dropping = scene.told().into_iter().filter(|told| told.starts_with("dropping")).count();
    assert_eq!(dropping, all.len(), "200 of 64 are more than there may be: each has one that is dropped");
}

#[test]
fn an_end_that_cannot_be_written_for_a_minute_leaves_the_recording_torn() {
    let mut scene = Scene::with([1, 2]);
    scene.volume.is_full = true;
    scene.work([chunk(1), chunk(1), end(1), end(2)]);
    assert_eq!(scene.writer.held, 1);
    assert_eq!(scene.told(), ["stuck 1: it is full", "stuck 2: it is full"]);

    scene.sync();
    scene.now = at(59_000);
    scene.sync();
    assert_eq!(scene.told(), [""; 0]);
    scene.now = at(60_000);
    scene.sync();

    assert_eq!(scene.told(), ["torn 1: it is full", "torn 2: it is full"]);
    assert_eq!((scene.verdict(1), scene.verdict(2)), ("cut", "cut"));
    assert_eq!(scene.writer.held, 0);
    assert_eq!(scene.writer.deadline(), None);
}

#[test]
fn a_sync_that_fails_ends_what_is_stuck_as_well() {
    let mut scene = Scene::with([1]);
    scene.volume.is_full = true;
    scene.work([chunk(1), chunk(1)]);
    scene.volume.fails.push("sync");

    assert!(!scene.sync());

    assert_eq!(scene.told(), ["stuck 1: it is full", "sync failed", "torn 1"]);
    assert_eq!(scene.writer.held, 0);
}

#[test]
fn a_chunk_under_anothers_name_ends_the_recording_it_was_given_for() {
    let mut scene = Scene::with([1, 2]);
    let Work::Chunk(_, of_one) = chunk(1) else { unreachable!() };

    scene.work([Work::Chunk(RecordingId::from_bytes([2; 16]), of_one)]);

    assert_eq!(scene.told(), [format!("torn 2: the chunk belongs to recording {}", "01".repeat(16))]);
    assert_eq!(scene.done(), ["close 2"]);
}

#[test]
fn a_sync_is_due_half_a_second_after_the_last_and_at_once_with_nothing_open() {
    let mut scene = Scene::with([]);
    assert_eq!(scene.writer.deadline(), Some(at(0)), "a killed run may have left something");

    scene.sync();
    assert_eq!(scene.writer.deadline(), None);
    scene.now = at(100);
    scene.work([begin(1)]);
    assert_eq!(scene.writer.deadline(), Some(at(500)), "half a second after it was made");
    scene.now = at(600);
    scene.sync();
    assert_eq!(scene.writer.deadline(), None, "nothing was written since");
    scene.writer.synced(at(700));
    scene.now = at(800);
    scene.work([chunk(1)]);
    assert_eq!(scene.writer.deadline(), Some(at(1200)), "the sync took until 700");
    scene.work([end(1)]);
    assert_eq!(scene.writer.deadline(), Some(at(800)));
    scene.work([]);
    scene.sync();
    assert_eq!(scene.writer.deadline(), None);
}

#[test]
fn at_shutdown_what_was_closed_is_sealed_and_what_is_open_stays_torn() {
    let mut scene = Scene::with([1, 2]);
    scene.work([chunk(1), chunk(2), end(1)]);

    scene.sync();
    let Scene { writer, volume, node, .. } = scene;
    drop(writer);

    let word = |number| verify(volume.files[&format!("head {number}")].as_slice(), &node).unwrap().as_str();
    assert_eq!((word(1), word(2)), ("complete", "cut"));
}

#[test]
fn after_a_failed_sync_the_same_bytes_go_to_the_spare_disk_and_nothing_is_lost() {
    let mut scene = Scene::with_spare([1, 2, 3]);
    scene.work([chunk(1), chunk(2)]);
    assert!(scene.sync());
    scene.work([chunk(1), end(2), chunk(3)]);
    scene.told();
    scene.done();
    scene.volume.fails.push("sync");

    assert!(!scene.sync());

    assert_eq!(scene.done(), ["sync", "move 2", "close 2", "move 1", "move 3", "spare sync"]);
    assert_eq!(scene.told(), ["sync failed", "moved 2", "moved 1", "moved 3"]);
    // What goes on goes on there, and is not called sealed before it is in one piece.
    scene.work([chunk(1), end(1), chunk(3)]);
    assert!(scene.sync());
    assert_eq!(scene.told(), ["written 1", "closed 1", "written 3"]);
    assert_eq!(scene.done(), ["spare append 1", "spare append 1", "close 1", "spare append 3", "spare sync"]);
    scene.volume.joins(1);
    scene.volume.joins(2);
    scene.volume.joins(3);
    scene.sync();
    assert_eq!(scene.told(), ["sealed 2", "sealed 1"]);
    scene.work([end(3)]);
    scene.sync();
    assert_eq!(scene.told(), ["closed 3", "sealed 3"]);
    for number in [1, 2, 3] {
        assert_eq!((scene.verdict(number), scene.gaps(number)), ("complete", vec![]), "{number}");
    }
    assert_eq!(scene.writer.deadline(), None);
}

#[test]
fn what_cannot_be_written_moves_at_once_with_what_is_not_durable() {
    let mut scene = Scene::with_spare([1, 2]);
    scene.work([chunk(1)]);
    scene.volume.fails.push("append 1");

    scene.work([chunk(1), chunk(1), end(1), chunk(2)]);

    assert_eq!(scene.told(), ["written 1", "moved 1", "written 1", "written 1", "closed 1", "written 2"]);
    assert!(scene.sync());
    // Nothing of it was durable, so that there is no beginning to wait for.
    assert_eq!(scene.told(), ["sealed 1"]);
    assert_eq!((scene.verdict(1), scene.gaps(1)), ("complete", vec![]));
}

#[test]
fn a_recording_that_cannot_be_begun_on_the_main_disk_is_begun_on_the_spare_one() {
    for fails in ["keys 2", "sync", "head 2"] {
        let mut scene = Scene::with_spare([1]);
        scene.volume.fails.push(fails);

        scene.work([begin(2), chunk(2), end(2)]);
        scene.sync();

        let told = scene.told();
        assert!(["begun 2", "sealed 2"].iter().all(|word| told.iter().any(|told| told == word)), "{fails}: {told:?}");
        let done = scene.done();
        let at = |word: &str| done.iter().rposition(|done| done == word).unwrap();
        assert!(
            at("spare keys 2") < at("spare head 2")
                && done[at("spare keys 2")..at("spare head 2")].contains(&"spare sync".to_owned())
        );
        assert_eq!(scene.verdict(2), "complete");
        assert!(!scene.volume.files.contains_key("keys 2"), "{fails}: nothing of it is left on the other");
    }
    // Nor is it tried where it is known to be full.
    let mut scene = Scene::with_spare([]);
    scene.volume.is_full = true;
    scene.work([begin(1)]);
    assert_eq!(scene.done(), ["spare keys 1", "spare sync", "spare head 1"]);
}

#[test]
fn where_the_spare_disk_fails_as_well_it_is_as_without_one() {
    let mut scene = Scene::with_spare([1, 2, 3]);
    scene.work([chunk(1), chunk(2)]);
    scene.sync();
    scene.told();
    scene.volume.fails.extend(["sync", "move 1"]);

    scene.work([chunk(1), chunk(2)]);
    scene.sync();
    assert_eq!(scene.told(), ["written 1", "written 2", "sync failed", "moved 2", "moved 3", "torn 1"]);
    scene.volume.joins(2);
    scene.volume.joins(3);
    scene.sync();
    scene.volume.fails.push("spare sync");
    scene.work([chunk(2), end(3)]);
    scene.sync();

    assert_eq!(scene.told(), ["written 2", "closed 3", "spare sync failed", "torn 2", "torn 3"]);
    assert_eq!(scene.verdict(2), "cut", "what was sealed stays readable");
    // One that can be moved nowhere is stuck, and tried again.
    let mut scene = Scene::with_spare([1]);
    scene.volume.fails.extend(["append 1", "move 1", "append 1"]);
    scene.work([chunk(1), end(1)]);
    assert_eq!(scene.told(), ["stuck 1: it fails"]);
    scene.sync();
    assert_eq!(scene.told(), ["moved 1", "written 1", "flowing 1", "closed 1", "sealed 1"]);
    assert_eq!(scene.verdict(1), "complete");
}

#[test]
fn one_that_stays_in_two_pieces_is_written_to_its_end_and_is_called_torn() {
    let mut scene = Scene::with_spare([1]);
    scene.work([chunk(1)]);
    scene.sync();
    scene.volume.fails.push("sync");
    scene.work([chunk(1)]);
    scene.sync();
    scene.told();
    scene.volume.joined.push_back((RecordingId::from_bytes([1; 16]), Err(io::Error::other("it is gone"))));

    scene.work([chunk(1), end(1)]);
    scene.sync();

    assert_eq!(scene.told(), ["written 1", "closed 1", "parted 1: it is gone", "torn 1: its beginning lies on the main disk"]);
    // The next start finds both pieces.
    scene.volume.joins(1);
    assert_eq!((scene.verdict(1), scene.gaps(1)), ("complete", vec![]));
}

#[test]
fn what_waits_for_its_beginning_is_asked_after_twice_a_second_and_is_not_torn_by_a_later_failure() {
    let mut scene = Scene::with_spare([1, 2]);
    scene.sync();
    scene.work([chunk(1), end(1)]);
    scene.volume.fails.push("sync");
    scene.sync();
    scene.told();
    // The other is over as well, and nothing is open any more.
    scene.work([end(2)]);
    scene.now = at(700);
    scene.sync();
    assert_eq!(scene.told(), ["closed 2"]);
    assert_eq!(scene.writer.deadline(), Some(at(1200)), "not at once, though nothing is open");
    scene.volume.joins(2);
    scene.now = at(1200);
    scene.done();
    scene.sync();
    assert_eq!(scene.told(), ["sealed 2"]);
    assert_eq!(scene.done(), [""; 0], "what is durable there is not synced again");

    scene.work([begin(3)]);
    scene.work([chunk(3)]);
    scene.volume.fails.extend(["append 3", "spare sync"]);
    scene.work([chunk(3)]);
    scene.sync();
    assert_eq!(scene.told(), ["begun 3", "written 3", "moved 3", "written 3", "spare sync failed", "torn 3"]);
    scene.volume.joins(1);
    scene.sync();

    assert_eq!(scene.told(), ["sealed 1"]);
    assert_eq!(scene.verdict(1), "complete");
}

#[test]
fn a_sync_of_one_disk_says_nothing_of_the_other() {
    let mut scene = Scene::with_spare([1]);
    scene.work([chunk(1), end(1)]);
    scene.volume.is_full = true;
    scene.work([begin(2)]);
    assert_eq!(scene.done(), ["append 1", "append 1", "close 1", "spare keys 2", "spare sync", "spare head 2"]);
    assert_eq!(scene.told(), ["written 1", "closed 1", "begun 2"]);

    scene.sync();

    assert_eq!(scene.done(), ["sync", "spare sync"]);
    assert_eq!(scene.told(), ["sealed 1"]);
}

#[test]
fn what_is_kept_for_the_spare_disk_is_forgotten_once_it_is_durable() {
    let kept = |scene: &Scene| {
        scene.writer.open.values().filter_map(|open| open.kept.as_ref()).map(|kept| kept.unsynced()).sum::<usize>()
    };
    let mut scene = Scene::with_spare([1, 2]);
    scene.work([chunk(1), chunk(2)]);
    assert!(kept(&scene) > 0);

    scene.sync();

    assert_eq!(kept(&scene), 0);
    let mut without = Scene::with([1]);
    without.work([chunk(1)]);
    assert!(without.writer.open.values().all(|open| open.kept.is_none()), "nothing is kept for nothing");
}

#[test]
fn one_seed_gives_the_same_bytes() {
    let files = || {
        let mut scene = Scene::with([1, 2]);
        scene.work([chunk(1), end(2), chunk(1), end(1)]);
        scene.volume.files
    };

    assert_eq!(files(), files());
}

/// A writer with its volume; recordings are named by one digit.
struct Scene {
    writer: Writer,
    volume: Memory,
    entropy: Chance,
    now: Moment,
    node: NodePublic,
}

impl Scene {
    /// With these recordings open.
    fn with<const N: usize>(open: [u8; N]) -> Self {
        let node = NodeKey::generate(&mut Chance::from(1));
        let recipient = RecipientSecret::generate(&mut Chance::from(2));
        let public = *node.public();
        let writer = Writer::new(
            node,
            vec![Listener { purposes: vec!["quality".into()], key: *recipient.public(), period: Period::ALWAYS }],
            at(0),
        );
        let mut scene = Self { writer, volume: Memory::default(), entropy: Chance::from(3), now: at(0), node: public };
        scene.work(open.map(begin));
        assert_eq!(scene.told(), open.map(|number| format!("begun {number}")));
        scene.done();
        scene
    }

    fn work<const N: usize>(&mut self, batch: [Work; N]) {
        self.writer.work(batch.into(), &mut self.volume, &mut self.entropy, self.now);
    }

    fn sync(&mut self) -> bool {
        self.writer.sync(&mut self.volume, self.now)
    }

    /// What was asked of the volume since it was last looked at.
    fn done(&mut self) -> Vec<String> {
        mem::take(&mut self.volume.done)
    }

    fn told(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.writer.poll()).map(word).collect()
    }

    fn records(&self, number: u8) -> Vec<crate::vault::Record> {
        let (rec, keys) =
            (&self.volume.files[&self.file(number)], &self.volume.files[&self.file(number).replace("head", "keys")]);
        let secret = RecipientSecret::generate(&mut Chance::from(2));
        crate::vault::Recording::open(rec.as_slice(), keys, &secret).unwrap().records().map(Result::unwrap).collect()
    }

    fn gaps(&self, number: u8) -> Vec<(Option<Leg>, GapReason, u64)> {
        let records = self.records(number);
        let gaps = records.iter().filter_map(|record| {
            let crate::vault::Record::Gap(gap) = record else { return None };
            Some((gap.leg, gap.reason, gap.packets))
        });
        gaps.collect()
    }

    fn formats(&self, number: u8) -> usize {
        self.records(number).iter().filter(|record| matches!(record, crate::vault::Record::Format(_))).count()
    }

    fn verdict(&self, number: u8) -> &'static str {
        let verdict: Verdict = verify(self.volume.files[&self.file(number)].as_slice(), &self.node).unwrap();
        verdict.as_str()
    }

    /// Where the whole of a recording is.
    fn file(&self, number: u8) -> String {
        self.volume.head(RecordingId::from_bytes([number; 16]))
    }

    /// With a spare disk, and these recordings open.
    fn with_spare<const N: usize>(open: [u8; N]) -> Self {
        let mut scene = Self::with([]);
        scene.volume.has_spare = true;
        scene.work(open.map(begin));
        scene.told();
        scene.done();
        scene
    }
}

fn word(outcome: Outcome) -> String {
    let because = |error: Option<io::Error>| error.map(|error| format!(": {error}")).unwrap_or_default();
    match outcome {
        Outcome::Begun { recording } => format!("begun {}", digit(recording)),
        Outcome::Written { recording, opened } => {
            assert_eq!(opened, at(0));
            format!("written {}", digit(recording))
        }
        Outcome::Stuck { recording, error } => format!("stuck {}: {error}", digit(recording)),
        Outcome::Dropping { recording, .. } => format!("dropping {}", digit(recording)),
        Outcome::Flowing { recording } => format!("flowing {}", digit(recording)),
        Outcome::Closed { recording } => format!("closed {}", digit(recording)),
        Outcome::Sealed { recording, .. } => format!("sealed {}", digit(recording)),
        Outcome::Failed { recording, left_a_file: true, error, .. } => {
            format!("torn {}{}", digit(recording), because(error))
        }
        Outcome::Failed { recording, left_a_file: false, error, .. } => {
            format!("lost {}{}", digit(recording), because(error))
        }
        Outcome::Moved { recording } => format!("moved {}", digit(recording)),
        Outcome::Parted { recording, error } => format!("parted {}: {error}", digit(recording)),
        Outcome::SyncFailed { shelf: Shelf::Main, .. } => "sync failed".into(),
        Outcome::SyncFailed { shelf: Shelf::Spare, .. } => "spare sync failed".into(),
    }
}

fn digit(recording: RecordingId) -> u8 {
    recording.as_bytes()[0]
}

fn begin(number: u8) -> Work {
    Work::Begin(Box::new(permit(number).evidence().clone()))
}

fn chunk(number: u8) -> Work {
    let permit = permit(number);
    let chunk = recorder(&permit).age(at(500)).unwrap();
    Work::Chunk(chunk.recording(), chunk)
}

fn end(number: u8) -> Work {
    let permit = permit(number);
    let recorder = recorder(&permit);
    Work::End(recorder.recording(), recorder.end(EndReason::HungUp(Leg::Pbx), [0, 0], at(20)))
}

fn recorder(permit: &Permit) -> Recorder {
    let mut recorder = Recorder::begin(permit, &Buffers::new());
    assert!(recorder.format(Leg::Pbx, 8, "PCMA", 8000, 1, at(0)).is_none());
    assert!(recorder.append(permit.cover(Leg::Pbx, at(0), &packet(Leg::Pbx, 1)).unwrap()).is_none());
    recorder
}

/// A volume in memory that says what was asked of it.
#[derive(Default)]
struct Memory {
    files: BTreeMap<String, Vec<u8>>,
    done: Vec<String>,
    /// Calls that fail, once each; a write that fails leaves half its bytes.
    fails: Vec<&'static str>,
    /// Nothing can be written.
    is_full: bool,
    /// There is a spare disk, of which files and calls are called `spare …`.
    has_spare: bool,
    /// Recordings whose file is on it, and what they are without there.
    moved: BTreeMap<u8, usize>,
    /// Whether the beginnings could be copied, of those that are through.
    joined: VecDeque<(RecordingId, io::Result<()>)>,
}

impl Memory {
    fn call(&mut self, call: String) -> io::Result<()> {
        let fails = self.fails.iter().position(|fails| *fails == call);
        self.done.push(call);
        fails.map_or(Ok(()), |at| {
            self.fails.remove(at);
            Err(io::Error::other("it fails"))
        })
    }

    fn create(&mut self, file: String, bytes: &[u8]) -> io::Result<()> {
        let called = self.call(file.clone());
        let bytes = if called.is_ok() { bytes } else { &bytes[..bytes.len() / 2] };
        assert!(self.files.insert(file, bytes.to_vec()).is_none(), "it was there before");
        called
    }
}

impl Memory {
    /// Copies what the spare disk is without of a recording.
    fn joins(&mut self, number: u8) {
        let from = self.moved[&number];
        let beginning = self.files[&format!("head {number}")][..from].to_vec();
        self.files.get_mut(&format!("spare head {number}")).unwrap().splice(..from, beginning);
        self.joined.push_back((RecordingId::from_bytes([number; 16]), Ok(())));
    }

    fn head(&self, recording: RecordingId) -> String {
        let number = digit(recording);
        if self.moved.contains_key(&number) { format!("spare head {number}") } else { format!("head {number}") }
    }
}

fn word_of(shelf: Shelf) -> &'static str {
    match shelf {
        Shelf::Main => "",
        Shelf::Spare => "spare ",
    }
}

impl Volume for Memory {
    fn shelf(&self) -> Shelf {
        if self.has_spare && self.is_full { Shelf::Spare } else { Shelf::Main }
    }

    fn has_spare(&self) -> bool {
        self.has_spare
    }

    fn create_keys(&mut self, shelf: Shelf, recording: RecordingId, bytes: &[u8]) -> io::Result<()> {
        self.create(format!("{}keys {}", word_of(shelf), digit(recording)), bytes)
    }

    fn create_recording(&mut self, shelf: Shelf, recording: RecordingId, head: &[u8]) -> io::Result<()> {
        self.create(format!("{}head {}", word_of(shelf), digit(recording)), head)?;
        if shelf == Shelf::Spare {
            self.moved.insert(digit(recording), 0);
        }
        Ok(())
    }

    fn write_at(&mut self, recording: RecordingId, at: u64, bytes: &[u8]) -> io::Result<()> {
        let name = self.head(recording);
        let is_moved = self.moved.contains_key(&digit(recording));
        let mut called = self.call(format!("{}append {}", if is_moved { "spare " } else { "" }, digit(recording)));
        if self.is_full && !is_moved {
            called = Err(io::Error::new(io::ErrorKind::StorageFull, "it is full"));
        }
        let bytes = if called.is_ok() { bytes } else { &bytes[..bytes.len() / 2] };
        let file = self.files.get_mut(&name).unwrap();
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        assert!(file.len() >= at, "no hole");
        let again = file.get(at..).unwrap();
        assert!(bytes.starts_with(again), "what lies there is written over by the same bytes alone");
        file.truncate(at);
        file.extend_from_slice(bytes);
        called
    }

    fn close(&mut self, recording: RecordingId) {
        self.call(format!("close {}", digit(recording))).unwrap();
    }

    fn remove(&mut self, recording: RecordingId) -> io::Result<()> {
        self.call(format!("remove {}", digit(recording)))?;
        for file in ["keys", "head", "spare keys", "spare head"] {
            self.files.remove(&format!("{file} {}", digit(recording)));
        }
        Ok(())
    }

    fn sync(&mut self, shelf: Shelf) -> io::Result<()> {
        self.call(format!("{}sync", word_of(shelf)))
    }

    fn move_over(&mut self, recording: RecordingId, keys: &[u8], from: u64, bytes: &[u8]) -> io::Result<()> {
        let number = digit(recording);
        self.call(format!("move {number}"))?;
        assert_eq!(self.files[&format!("keys {number}")], keys);
        let hole = vec![0; usize::try_from(from).unwrap_or(usize::MAX)];
        self.files.insert(format!("spare keys {number}"), keys.to_vec());
        self.files.insert(format!("spare head {number}"), [&hole[..], bytes].concat());
        assert!(self.moved.insert(number, hole.len()).is_none(), "it moves once");
        Ok(())
    }

    fn joined(&mut self) -> Option<(RecordingId, io::Result<()>)> {
        self.joined.pop_front()
    }
}
