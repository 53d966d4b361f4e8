//! What is asked of us faster than we take it: dropped before it is parsed, and calls that are go on.

use mitschnitt::call::Rate;

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
