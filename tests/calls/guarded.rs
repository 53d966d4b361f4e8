//! What is asked of us faster than we take it: dropped before it is parsed, and calls that are go on.

use std::collections::{BTreeSet, VecDeque};

use mitschnitt::call::{Backlog, Load, Pairs, Rate};
use mitschnitt::limits::{
    CHUNKS_WAITING, LEDGER_ROWS_WAITING, OVERLOAD_CPU_PERCENT, OVERLOAD_LAG, OVERLOAD_QUEUE_PERCENT,
    OVERLOAD_TRANSACTIONS_PERCENT,
};

use super::*;

const STRANGER: &str = "203.0.113.66:5060";

#[test]
fn what_a_peer_sends_too_fast_is_dropped_and_what_ends_a_call_still_passes() {
    let mut world = World::guarded(Guarding { peer_rate: Rate::per_s(50), ..Guarding::default() });
    world.call_is_up();
    let went_on = (1..=1000).filter(|&number| world.pbx_call_number(number, "")).count();
    assert_eq!(went_on, 48, "of a burst of a hundred half is for calls, and the first call's INVITE and ACK came before");
    assert_eq!(world.table.tallies().peers_over_rate, 952);

    world.calls = 0;
    world.pbx_sends("INVITE", 2, "b", "Content-Type: application/sdp\r\n", &offer("192.0.2.10", 4002, "0 101"));
    assert_eq!(world.to_trunk("INVITE").value(Name::CallId), Some(&b"0@test"[..]), "a re-INVITE is no new call");
    world.pbx_sends("BYE", 3, "b", "", "");
    world.to_trunk("BYE");

    world.passes(Duration::from_secs(2));
    assert!(world.pbx_call_number(2000, ""), "the bucket fills again");
}

#[test]
fn one_address_of_a_carrier_that_sends_too_fast_does_not_silence_another() {
    let mut world = World::guarded(Guarding { peer_rate: Rate::per_s(50), ..Guarding::default() });
    let calls = |number| numbered("INVITE", "sip:100@192.0.2.1", TRUNK, 1, "a", None, "", "", number);
    (0..200).for_each(|number| world.datagram("198.51.100.66:5060", &calls(number)));
    let had = world.table.count();

    world.datagram("198.51.100.67:5060", &calls(999));

    assert_eq!((had, world.table.count()), (50, 51));
}

#[test]
fn a_stranger_is_refused_so_often_and_no_more() {
    let mut world = World::guarded(Guarding { stranger_rate: Rate::per_s(5), ..Guarding::default() });
    let options = |number| numbered("OPTIONS", "sip:100@192.0.2.1", STRANGER, 1, "a", None, "", "", number);

    (0..100).for_each(|number| world.datagram(STRANGER, &options(number)));

    assert_eq!(world.messages(STRANGER).len(), 10);
    let tallies = world.table.tallies();
    assert_eq!((tallies.strangers, tallies.strangers_over_rate), (100, 90));
}

#[test]
fn many_strangers_together_are_refused_so_often_and_no_more() {
    let mut world = World::guarded(Guarding { stranger_rate: Rate::per_s(5), ..Guarding::default() });

    for number in 0..1000 {
        let from = format!("203.0.113.{}:{}", number % 200 + 1, 1024 + number);
        world.datagram(&from, &numbered("OPTIONS", "sip:100@192.0.2.1", STRANGER, 1, "a", None, "", "", number));
    }

    let answers = world.out.iter().filter(|output| matches!(output, Output::Send { .. })).count();
    assert_eq!(answers, 100, "two seconds of ten times five");
}

#[test]
fn calls_of_one_peer_that_ring_are_bounded_and_an_answer_makes_room() {
    let mut world = World::guarded(Guarding { ringing_of_peer: 3, ..Guarding::default() });
    let sdp = offer("192.0.2.10", 4000, "0 101");
    assert_eq!((0..5).filter(|&number| world.pbx_call_number(number, &sdp)).count(), 3);
    world.is_refused_for(Watermark::RingingOfPeer, 2);

    world.datagram(TRUNK, &numbered("INVITE", "sip:100@192.0.2.1", TRUNK, 1, "t", None, "", "", 77));
    world.to_pbx("INVITE");

    assert!(!world.pbx_call_number(10, &sdp), "another peer's call makes no room");
    world.answers_what_rings(200);
    assert!(world.pbx_call_number(11, &sdp), "an answer does");
    assert!(!world.pbx_call_number(12, &sdp));
    world.answers_what_rings(486);
    assert!(world.pbx_call_number(13, &sdp), "and so does a refusal");
}

#[test]
fn calls_that_ring_are_bounded_in_all_and_help_is_called_for_beyond_that() {
    let mut world = World::guarded(Guarding { ringing: 3, ..Guarding::default() });
    let sdp = offer("192.0.2.10", 4000, "0 101");
    assert_eq!((0..5).filter(|&number| world.pbx_call_number(number, &sdp)).count(), 3);
    world.is_refused_for(Watermark::Ringing, 2);

    world.calls = 100;
    world.calls_for_help("sip:112@192.0.2.1", &sdp);

    assert_eq!(world.to_trunk("INVITE").value(Name::CallId), Some(&b"100@test"[..]));
}

#[test]
fn while_the_machine_has_too_much_to_do_new_calls_are_refused_and_nothing_else_is() {
    let sdp = offer("192.0.2.10", 4000, "0 101");
    let few = Pairs { free: 0, all: 10_000 };
    let queue = |bound: usize| Backlog { waiting: bound * OVERLOAD_QUEUE_PERCENT[0] / 100, is_moving: true };
    for (watermark, load) in [
        (Watermark::Lag, Load { lag: OVERLOAD_LAG[0], ..Load::default() }),
        (Watermark::Cpu, Load { cpu_percent: OVERLOAD_CPU_PERCENT[0], ..Load::default() }),
        (Watermark::SignallingCpu, Load { signalling_cpu_percent: OVERLOAD_CPU_PERCENT[0], ..Load::default() }),
        (Watermark::Ports, Load { ports: [few, few], ..Load::default() }),
        (Watermark::Disk, Load { disk: queue(CHUNKS_WAITING), ..Load::default() }),
        (Watermark::Ledger, Load { ledger: queue(LEDGER_ROWS_WAITING), ..Load::default() }),
    ] {
        let mut world = World::guarded(Guarding::default());
        world.call_is_up();
        world.input(Input::Load(load));
        assert!(world.pbx_call_number(1, &sdp), "{watermark:?}: one reading is none");
        world.input(Input::Load(load));

        assert!(!world.pbx_call_number(2, &sdp), "{watermark:?}");
        world.is_refused_for(watermark, 1);
        world.call_goes_on(0, 2);
        world.calls = 50;
        world.calls_for_help("sip:112@192.0.2.1", &sdp);
        assert_eq!(world.to_trunk("INVITE").value(Name::CallId), Some(&b"50@test"[..]), "{watermark:?}");
        let replacing = "Replaces: 0@test;to-tag=b;from-tag=a\r\nContent-Type: application/sdp\r\n";
        world.datagram(PBX, &numbered("INVITE", "sip:200@192.0.2.1", PBX, 1, "r", None, replacing, &sdp, 60));
        assert_eq!(world.to_trunk("INVITE").value(Name::CallId), Some(&b"60@test"[..]), "a transfer belongs to its call");

        world.input(Input::Load(Load::default()));
        assert!(world.pbx_call_number(3, &sdp), "{watermark:?}: it is over");
    }
}

#[test]
fn a_call_that_is_not_recorded_is_not_refused_for_the_disk() {
    let mut world = World::new(Vec::new());
    let disk = Backlog { waiting: CHUNKS_WAITING, is_moving: true };
    (0..2).for_each(|_| world.input(Input::Load(Load { disk, ..Load::default() })));

    assert!(world.pbx_call_number(0, &offer("192.0.2.10", 4000, "0 101")));
}

#[test]
fn before_the_stack_itself_is_full_new_calls_are_refused() {
    let policies = all_by(Mode::Announce, WithoutConsent::GoOn);
    let mut config = World::config(["192.0.2.2", "203.0.113.1"], policies, None, Latching::default(), None);
    config.sip.transactions = 100;
    let mut world = World::of(config);
    world.call_is_up();
    let went_on = (1..100).filter(|&number| world.pbx_call_number(number, "")).count();

    // Each call is two transactions, the one that is up as well, and those that were refused are one.
    assert_eq!(went_on, OVERLOAD_TRANSACTIONS_PERCENT[0] / 2 - 1);
    assert!(world.table.overload().refused(Watermark::Transactions) > 0);
    assert_eq!(world.table.stack().transactions(), 88, "beyond that the stack itself refuses, and keeps nothing of it");
    world.call_goes_on(0, 2);
    world.calls = 200;
    world.calls_for_help("sip:112@192.0.2.1", "");
    assert_eq!(world.to_trunk("INVITE").value(Name::CallId), Some(&b"200@test"[..]));
}

/// Ten times as many calls as are taken, for half a minute of virtual time, and twenty that are up: these do not notice.
#[test]
fn at_ten_times_the_rate_that_is_taken_calls_that_are_up_are_unharmed() {
    const UP: usize = 20;
    const A_SECOND: usize = 100;
    let mut world = World::guarded(Guarding { ringing_of_peer: 20, ..Guarding::default() });
    for number in 0..UP {
        world.calls = number;
        world.call_is_up();
    }
    world.out.clear();

    // Who is called is busy after two seconds: twenty at once are ten a second.
    let mut ringing = VecDeque::new();
    let (mut taken, mut refused, mut spread) = (0, 0, BTreeSet::new());
    for nth in 0..30 * A_SECOND {
        while ringing.front().is_some_and(|&(at, _)| at <= world.now) {
            world.asked = ringing.pop_front().map(|(_, invite)| invite);
            world.trunk_answers(486, "busy", "");
        }
        world.out.clear();
        if world.pbx_call_number(UP + nth, &offer("192.0.2.10", 4000, "0 101")) {
            ringing.push_back((world.now + Duration::from_secs(2), world.asked.clone().unwrap()));
            taken += 1;
        } else {
            let answer = world.to_pbx_any("503");
            spread.insert(String::from_utf8_lossy(answer.value(Name::RetryAfter).unwrap()).parse::<u32>().unwrap());
            assert_eq!(world.last_story().reason, Reason::Overload);
            refused += 1;
        }
        if nth % A_SECOND == 0 {
            world.call_goes_on(nth / A_SECOND % UP, 2 + u32::try_from(nth / A_SECOND / UP).unwrap());
        }
        world.passes(Duration::from_millis(10));
    }
    for number in 0..UP {
        world.calls = number;
        world.pbx_sends("BYE", 10, "b", "", "");
        world.trunk_answers(200, "b", "");
        assert_eq!(world.to_pbx("200").value(Name::CallId), Some(format!("{number}@test").as_bytes()));
    }

    assert_eq!(taken + refused, 30 * A_SECOND, "each has its answer at once");
    assert!((285..=320).contains(&taken), "of 300 that are taken no fewer than 95 %: {taken}");
    assert_eq!(spread, (5..=15).collect(), "they do not come back together");
    assert_eq!(world.table.overload().refused(Watermark::RingingOfPeer), u64::try_from(refused).unwrap());
    world.passes(Duration::from_secs(60));
    assert_eq!(world.table.count(), 0, "who still rang has not been answered since");
}

impl World {
    /// The last call was refused for this, and so many were.
    pub(super) fn is_refused_for(&self, watermark: Watermark, count: u64) {
        let retry_after = self.to_pbx_any("503");
        let seconds: u32 = String::from_utf8_lossy(retry_after.value(Name::RetryAfter).unwrap()).parse().unwrap();
        assert!((5..=15).contains(&seconds), "{seconds}");
        assert_eq!(self.last_story().reason, Reason::Overload);
        let refused = Watermark::ALL.map(|other| (other, self.table.overload().refused(other)));
        assert_eq!(refused.into_iter().filter(|&(_, refused)| refused > 0).collect::<Vec<_>>(), [(watermark, count)]);
    }

    /// The trunk answers the last call that rings.
    fn answers_what_rings(&mut self, status: u16) {
        let invite = self.to_trunk("INVITE");
        self.asked = Some(invite);
        self.trunk_answers(status, "b", &offer("198.51.100.20", 6000, "0 101"));
    }

    /// A call that is up agrees anew, and both sides hear of it.
    fn call_goes_on(&mut self, number: usize, cseq: u32) {
        self.calls = number;
        self.out.clear();
        self.pbx_sends("INVITE", cseq, "b", "Content-Type: application/sdp\r\n", &offer("192.0.2.10", 4002, "0 101"));
        self.trunk_answers(200, "b", &offer("198.51.100.20", 6000, "0 101"));
        assert_eq!(self.to_pbx("200").value(Name::CallId), Some(format!("{number}@test").as_bytes()));
        self.pbx_sends("ACK", cseq, "b", "", "");
        self.to_trunk("ACK");
    }
}
