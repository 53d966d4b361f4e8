//! Calls that read as the path of a packet: what the parties do, in a few lines, and what must come of it.
//!
//! The model of `world/model.rs` judges each of them as it judges any world; what stands here beside it is what the scenario is about.
//! `tests/golden/*.trace` holds the ladders of some: `UPDATE=1 cargo test --test sim` writes them.

use std::path::Path;
use std::time::Duration;

use mitschnitt::call::Deed;
use mitschnitt::ids::Leg;

use super::heap;
use super::world::disk::Trouble;
use super::world::phones::{By, Deviation, Forger, Hold, Plan as Call, Policy};
use super::world::plan::Planned;
use super::world::{Fault, Plan, Report, SCALE, World};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A call from the PBX under this policy, in which both talk for two seconds and the trunk's party hangs up.
fn call(policy: Policy) -> Call {
    Call::new().from(Leg::Pbx).policy(policy).talks(ms(2000)).hangs_up(Leg::Trunk)
}

/// Plays calls, and faults at their time.
fn play(calls: Vec<Call>, faults: Vec<(Duration, Fault)>) -> Report {
    let plan = Plan { faults, ..Plan::quiet(calls) };
    World::run(&plan).unwrap_or_else(|failure| panic!("{failure}"))
}

/// Plays one call, and holds its ladder to the golden one.
fn trace(name: &str, call: Call) -> Report {
    let plan = Plan::quiet(vec![call]);
    let (report, ladder) = World::play(&plan).unwrap_or_else(|failure| panic!("{failure}"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.trace"));
    let drawn = format!("{}\n{}", plan.calls[0].plan.as_ref().expect("a scenario's call is planned"), ladder.draw_all(0));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &drawn).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = golden.lines().zip(drawn.lines()).find(|(was, is)| was != is);
    assert_eq!((differs, golden.len()), (None, drawn.len()), "{} differs; UPDATE=1 writes it", path.display());
    report
}

#[test]
fn announced_call_is_recorded_from_the_end_of_the_announcement() {
    let report = trace("announced", call(Policy::Announce));
    assert_eq!(report.recordings, 1);
    // 100 ms of announcement to each, then what is left of two seconds, 50 packets a second from each.
    assert!((180..=195).contains(&report.packets), "{report:?}");
}

#[test]
fn call_is_recorded_as_it_was_said_whichever_side_speaks_srtp() {
    for secured in [[true, false], [false, true], [true, true]] {
        let calls = vec![call(Policy::Announce), call(Policy::OptIn).presses('1', ms(300))];
        let plan = Plan { secured, ..Plan::quiet(calls) };

        let report = World::run(&plan).unwrap_or_else(|failure| panic!("{secured:?}: {failure}"));

        assert_eq!(report.recordings, 2, "{secured:?}");
        assert!(report.packets > 300, "{secured:?}: {report:?}");
    }
}

#[test]
fn key_in_time_records_an_opt_in_call() {
    let report = trace("opt_in_agreed", call(Policy::OptIn).presses('1', ms(300)));
    assert_eq!(report.recordings, 1);
}

#[test]
fn silence_leaves_an_opt_in_call_unrecorded() {
    assert_eq!(trace("opt_in_silence", call(Policy::OptIn)).recordings, 0);
}

#[test]
fn key_refuses_an_opt_out_call() {
    assert_eq!(trace("opt_out_refused", call(Policy::OptOut).presses('9', ms(250))).recordings, 0);
}

#[test]
fn key_withdraws_in_the_middle_of_an_opt_out_call() {
    let report = trace("opt_out_withdrawn", call(Policy::OptOut).presses('9', ms(1200)));
    assert_eq!(report.recordings, 1);
    assert!((50..=80).contains(&report.packets), "from 500 ms to 1,200 ms: {report:?}");
}

#[test]
fn call_without_consent_is_hung_up_where_the_policy_says_so() {
    assert_eq!(trace("hung_up", call(Policy::HangUp)).recordings, 0);
}

#[test]
fn late_ack_delays_the_announcement_and_nothing_else() {
    assert_eq!(trace("late_ack", call(Policy::Announce).ack_late(ms(700))).recordings, 1);
}

#[test]
fn of_four_forks_the_one_that_answers_is_recorded() {
    assert_eq!(trace("forks", call(Policy::Announce).forks(4)).recordings, 1);
}

#[test]
fn hold_and_resume_leaves_one_recording() {
    let hold = Deviation::Holds { leg: Leg::Pbx, after: ms(700), lasts: ms(400), how: Hold::SendOnly };
    assert_eq!(trace("hold", call(Policy::Announce).but(hold)).recordings, 1);
}

#[test]
fn challenged_bye_leaves_a_gap_and_one_recording() {
    assert_eq!(trace("challenged_bye", call(Policy::Announce).but(Deviation::ChallengedBye(407))).recordings, 1);
}

#[test]
fn forged_bye_ends_nothing_and_a_forged_stream_is_not_heard() {
    let bye = Deviation::ForgedBye { leg: Leg::Trunk, after: ms(600), by: Forger::Stranger };
    let stream = Deviation::ForgedRtp { leg: Leg::Trunk, after: ms(700), packets: 50 };
    let report = trace("forged", call(Policy::Announce).but(bye).but(stream));
    assert!((180..=195).contains(&report.packets), "to the true BYE, and not a packet more: {report:?}");
}

#[test]
fn offer_in_the_2xx_and_answer_in_the_ack_is_a_call_like_any_other() {
    assert_eq!(trace("late_offer", call(Policy::Announce).but(Deviation::LateOffer)).recordings, 1);
}

#[test]
fn party_that_moves_while_it_is_told_is_told_again() {
    let moves = Deviation::Moves { leg: Leg::Trunk, after: ms(40), by: By::Invite };
    assert_eq!(trace("told_again", call(Policy::Announce).but(moves)).recordings, 1);
}

#[test]
fn process_that_is_killed_leaves_all_but_the_last_half_second() {
    let report = play(vec![call(Policy::Announce)], vec![(ms(1500), Fault::Kill { down: ms(300) })]);
    assert_eq!(report.recordings, 1);
    assert!(report.packets >= 50, "{report:?}");
}

#[test]
fn process_that_dies_in_the_middle_of_any_write_or_sync_leaves_what_it_had_written() {
    for power in [false, true] {
        let dies = |deeds| play(vec![call(Policy::Announce)], vec![(ms(2), Fault::Amid { deeds, power, down: ms(300) })]);
        let reports: Vec<Report> = (0..30).map(dies).collect();

        let deeds = reports.iter().take_while(|report| report.deaths == 1).count();
        assert!((12..30).contains(&deeds), "keys, a sync, a head, chunks and their syncs, the end: {deeds}");
        assert!(reports[deeds..].iter().all(|report| report.deaths == 0 && report.recordings == 1));
        assert!(reports[..2].iter().all(|report| report.recordings == 0), "before its head is written there is none");
        assert!(reports[..deeds].iter().any(|report| report.recordings == 1 && report.packets < 100));
    }
}

#[test]
fn box_holds_no_more_after_many_calls_than_after_few() {
    SCALE.get_or_init(|| heap::live);
    let after = |calls: u32| {
        let planned = |number| {
            let plan = Some(call(Policy::Announce).talks(ms(300)));
            Planned { number, begins: ms(1000) * number, plan }
        };
        let plan = Plan { calls: (0..calls).map(planned).collect(), ..Plan::quiet(Vec::new()) };
        World::run(&plan).unwrap_or_else(|failure| panic!("{failure}"))
    };

    // A transaction is over 32 s after its call: from then on one goes for each that comes.
    let reports = [100, 300, 500].map(after);

    let [few, more, most] = &reports;
    assert_eq!([few, more, most].map(|report| report.recordings), [100, 300, 500]);
    // A hash table may double once more when what was taken out of it has filled it; a leak grows each time.
    let grown = more.heap_bytes.saturating_sub(few.heap_bytes).min(most.heap_bytes.saturating_sub(more.heap_bytes));
    assert!(few.heap_bytes > 0 && grown <= few.heap_bytes / 32, "{reports:?}");
}

#[test]
fn power_that_is_lost_leaves_what_was_synced() {
    let report = play(vec![call(Policy::Announce).talks(ms(4000))], vec![(ms(3500), Fault::LosePower { down: ms(300) })]);
    assert_eq!(report.recordings, 1);
}

#[test]
fn disk_that_fails_to_sync_ends_its_recordings_and_hurts_no_call() {
    let faults = vec![(ms(900), Fault::Disk(Trouble::FailsToSync))];
    let report = play(vec![call(Policy::Announce), call(Policy::Never)], faults);
    assert_eq!(report.calls, 2);
}

#[test]
fn disk_that_fails_to_sync_beside_a_spare_one_loses_nothing() {
    // The model is told of no fault: each packet must be there, and each recording be sealed.
    for trouble in [Trouble::FailsToSync, Trouble::Full(3000)] {
        let faults = vec![(ms(900), Fault::Disk(trouble))];
        let plan = Plan { faults, has_spare: true, ..Plan::quiet(vec![call(Policy::Announce), call(Policy::Never)]) };
        let report = World::run(&plan).unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!((report.calls, report.recordings), (2, 1));
    }
}

#[test]
fn operator_pauses_and_the_file_has_a_named_hole() {
    let faults = vec![(ms(800), Fault::Operator(0, Deed::Pause)), (ms(1300), Fault::Operator(0, Deed::Resume))];
    let whole = play(vec![call(Policy::Announce)], Vec::new());
    let paused = play(vec![call(Policy::Announce)], faults);
    assert!((45..=55).contains(&(whole.packets - paused.packets)), "{} of {}", paused.packets, whole.packets);
}

#[test]
fn operator_withdraws_and_nothing_more_is_stored() {
    let report = play(vec![call(Policy::Announce)], vec![(ms(800), Fault::Operator(0, Deed::Withdraw))]);
    assert!((40..=75).contains(&report.packets), "{report:?}");
}

#[test]
fn stopped_box_seals_what_it_recorded() {
    let report = play(vec![call(Policy::Announce)], vec![(ms(1200), Fault::Stop { down: ms(100) })]);
    assert_eq!(report.recordings, 1);
}
