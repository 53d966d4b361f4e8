//! The SIP stack under virtual time: retransmissions, ACK, CANCEL, every timer, silence and failure.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod sip_scene;

use mitschnitt::sip::{Flow, Input, Tally};
use mitschnitt::wire::sip::{Name, reply};
use sip_scene::{INVITE, PBX, Scene, TRUNK, ack_to, addr, cancel_of, in_dialog, lossy};

// ── retransmissions ────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_retransmitted_invite_is_absorbed_with_the_last_response_sent_again() {
    let mut scene = Scene::new();
    scene.arrive(PBX, INVITE);
    let sent = scene.last_to(TRUNK);
    scene.lines();
    scene.arrive(PBX, INVITE);
    assert_eq!(scene.lines(), [format!("{PBX} 100 Trying")]);

    scene.answer(TRUNK, &sent, 180, Some("b1"));
    scene.lines();
    scene.arrive(PBX, INVITE);
    assert_eq!(scene.lines(), [format!("{PBX} 180 Ringing")]);

    scene.answer(TRUNK, &sent, 200, Some("b1"));
    scene.lines();
    scene.arrive(PBX, INVITE);
    assert_eq!(scene.lines(), Vec::<String>::new(), "after a 2xx it is absorbed without a word (RFC 6026)");
    assert_eq!(scene.count("request"), 1);
}

#[test]
fn a_retransmitted_bye_is_absorbed_with_the_last_response_sent_again() {
    let mut scene = Scene::new();
    let bye = in_dialog("BYE", PBX, 2);
    scene.arrive(PBX, &bye);
    let sent = scene.last_to(TRUNK);
    scene.lines();
    scene.arrive(PBX, &bye);
    assert_eq!(scene.lines(), Vec::<String>::new());

    scene.answer(TRUNK, &sent, 200, Some("b1"));
    scene.arrive(PBX, &bye);
    assert_eq!(scene.lines(), [format!("{PBX} 200 OK"), format!("{PBX} 200 OK")]);

    scene.run_for(32_000);
    scene.arrive(PBX, &bye);
    assert_eq!(scene.lines(), [format!("{TRUNK} BYE")], "timer J: it is a new transaction");
}

#[test]
fn an_invite_is_sent_again_by_timer_a_until_something_comes_back() {
    let mut scene = Scene::new();
    scene.arrive(PBX, INVITE);
    scene.lines();
    let first = scene.last_to(TRUNK);
    scene.run_for(4_000);
    assert_eq!(scene.times(), [500, 1500, 3500]);
    assert_eq!(scene.last_to(TRUNK).as_bytes(), first.as_bytes());

    scene.answer(TRUNK, &first, 100, None);
    scene.run_for(60_000);
    assert_eq!(scene.times(), Vec::<u64>::new());
}

#[test]
fn every_2xx_passes_until_timers_l_and_m() {
    let mut scene = Scene::new();
    scene.arrive(PBX, INVITE);
    let sent = scene.last_to(TRUNK);
    scene.answer(TRUNK, &sent, 200, Some("b1"));
    scene.lines();

    scene.run_for(31_999);
    scene.answer(TRUNK, &sent, 200, Some("b1"));
    scene.answer(TRUNK, &sent, 200, Some("b2"));
    assert_eq!(scene.lines(), [format!("{PBX} 200 OK"), format!("{PBX} 200 OK")]);
    assert_eq!(scene.count("ended"), 0);

    scene.run_for(1);
    scene.answer(TRUNK, &sent, 200, Some("b1"));
    assert_eq!(scene.lines(), Vec::<String>::new());
    assert_eq!((scene.count("ended"), scene.stack.tallies().of(Tally::Stray)), (1, 1));
}

#[test]
fn a_2xx_after_a_refusal_still_passes() {
    let mut scene = Scene::new();
    scene.arrive(PBX, INVITE);
    let sent = scene.last_to(TRUNK);
    scene.answer(TRUNK, &sent, 486, Some("b1"));
    let refusal = scene.last_to(PBX);
    scene.arrive(PBX, &ack_to(INVITE, &refusal));
    scene.lines();
    scene.run_for(10_000);

    scene.answer(TRUNK, &sent, 200, Some("b2"));

    assert_eq!(scene.lines(), [format!("{PBX} 200 OK")]);
}

// ── ACK ────────────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_refusal_passes_and_each_hop_acknowledges_it() {
    let mut scene = Scene::new();
    scene.arrive(PBX, INVITE);
    let sent = scene.last_to(TRUNK);
    scene.lines();

    scene.answer(TRUNK, &sent, 486, Some("b1"));
    assert_eq!(scene.lines(), [format!("{TRUNK} ACK"), format!("{PBX} 486 Busy Here")]);
    let ack = scene.last_to(TRUNK);
    assert_eq!(ack.value(Name::Via), sent.value(Name::Via), "the ACK has the INVITE's Via");
    assert_eq!(ack.to().unwrap().tag(), Some(&b"b1"[..]));

    scene.answer(TRUNK, &sent, 486, Some("b1"));
    assert_eq!(scene.lines(), [format!("{TRUNK} ACK")], "once more for a retransmission, and it goes no further");

    let refusal = scene.last_to(PBX);
    scene.arrive(PBX, &ack_to(INVITE, &refusal));
    scene.arrive(PBX, &ack_to(INVITE, &refusal));
    scene.run_for(40_000);
    assert_eq!((scene.lines(), scene.count("ack"), scene.count("ended")), (vec![], 0, 1));
}

#[test]
fn a_refusal_that_nobody_acknowledges_is_given_up_by_timer_h() {
    let mut scene = Scene::new();
    scene.arrive(PBX, INVITE);
    let sent = scene.last_to(TRUNK);
    scene.answer(TRUNK, &sent, 486, Some("b1"));
    scene.lines();

    scene.run_for(40_000);

    assert_eq!(scene.times(), [500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500]);
    assert_eq!((scene.stack.tallies().of(Tally::NotAcknowledged), scene.stack.transactions()), (1, 0));
}

#[test]
fn the_ack_to_a_2xx_goes_end_to_end_with_a_branch_that_stays_for_its_retransmissions() {
    let mut scene = Scene::new();
    scene.arrive(PBX, &in_dialog("ACK", PBX, 1));
    let first = scene.last_to(TRUNK);
    scene.arrive(PBX, &in_dialog("ACK", PBX, 1));
    let again = scene.last_to(TRUNK);
    scene.arrive(PBX, &in_dialog("ACK", PBX, 1).replace("z9hG4bKACK", "z9hG4bKother"));
    let other = scene.last_to(TRUNK);

    assert_eq!(first.as_bytes(), again.as_bytes());
    assert_ne!(first.value(Name::Via), other.value(Name::Via));
    assert_eq!((first.value(Name::MaxForwards), scene.stack.transactions()), (Some(&b"69"[..]), 0));
}

#[test]
fn an_ack_to_a_2xx_with_the_invites_branch_passes_as_well() {
    let mut scene = Scene::new();
    scene.arrive(PBX, INVITE);
    let sent = scene.last_to(TRUNK);
    scene.answer(TRUNK, &sent, 200, Some("b1"));
    scene.lines();

    scene.arrive(PBX, &in_dialog("ACK", PBX, 1).replace("z9hG4bKACK1", "z9hG4bKpbx1"));

    assert_eq!(scene.lines(), [format!("{TRUNK} ACK")]);
}

// ── CANCEL ─────────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_cancel_after_a_provisional_response_goes_on_at_once_and_487_comes_back() {
    let mut scene = Scene::new();
    scene.arrive(PBX, INVITE);
    let sent = scene.last_to(TRUNK);
    scene.answer(TRUNK, &sent, 180, Some("b1"));
    scene.lines();

    scene.arrive(PBX, &cancel_of(INVITE));
    assert_eq!(scene.lines(), [format!("{PBX} 200 OK"), format!("{TRUNK} CANCEL")]);
    let answer = scene.last_to(PBX);
    assert_eq!(answer.to().unwrap().tag(), Some(&b"b1"[..]), "the tag of the response to the INVITE");
    let cancel = scene.last_to(TRUNK);
    assert_eq!(cancel.value(Name::Via), sent.value(Name::Via));
    assert_eq!((cancel.request_uri(), cancel.values(Name::Via).count()), (sent.request_uri(), 1));

    scene.answer(TRUNK, &cancel, 200, Some("b1"));
    scene.answer(TRUNK, &sent, 487, Some("b1"));
    assert_eq!(scene.lines(), [format!("{TRUNK} ACK"), format!("{PBX} 487 Request Terminated")]);
    assert_eq!((scene.count("cancelled"), scene.count("failed")), (1, 0));

    scene.arrive(PBX, &cancel_of(INVITE));
    assert_eq!(scene.lines(), [format!("{PBX} 200 OK")], "a retransmitted CANCEL is absorbed");
}

#[test]
fn a_cancel_before_anything_came_back_waits_for_it() {
    let mut scene = Scene::new();
    scene.arrive(PBX, INVITE);
    let sent = scene.last_to(TRUNK);
    scene.lines();

    scene.arrive(PBX, &cancel_of(INVITE));
    assert_eq!(scene.lines(), [format!("{PBX} 200 OK")]);
    scene.answer(TRUNK, &sent, 100, None);

    assert_eq!(scene.lines(), [format!("{TRUNK} CANCEL")]);
}

#[test]
fn a_cancel_before_the_call_has_forwarded_the_invite_is_487_at_once() {
    let mut scene = Scene::new();
    scene.auto = false;
    scene.arrive(PBX, INVITE);
    let server = scene.server.unwrap();
    scene.arrive(PBX, &cancel_of(INVITE));
    assert_eq!(scene.lines(), ["100 Trying", "200 OK", "487 Request Terminated"].map(|line| format!("{PBX} {line}")));
    assert_eq!(scene.events(), ["request", "cancelled", "failed 487"]);

    scene.tell(Input::Forward { server, to: Flow::first(addr(TRUNK)), body: None });
    assert_eq!(scene.lines(), Vec::<String>::new(), "too late");
}

#[test]
fn a_2xx_that_crosses_a_cancel_wins() {
    let mut scene = Scene::new();
    scene.arrive(PBX, INVITE);
    let sent = scene.last_to(TRUNK);
    scene.answer(TRUNK, &sent, 180, Some("b1"));
    scene.arrive(PBX, &cancel_of(INVITE));
    let cancel = scene.last_to(TRUNK);
    scene.lines();

    scene.answer(TRUNK, &sent, 200, Some("b1"));
    scene.answer(TRUNK, &cancel, 481, Some("b1"));
    assert_eq!(scene.lines(), [format!("{PBX} 200 OK")]);

    scene.arrive(PBX, &in_dialog("ACK", PBX, 1));
    scene.run_for(60_000);
    assert_eq!(scene.lines(), [format!("{TRUNK} ACK")]);
    assert_eq!(scene.count("failed"), 0);
}

#[test]
fn a_cancel_after_the_final_response_changes_nothing() {
    let mut scene = Scene::new();
    scene.arrive(PBX, INVITE);
    let sent = scene.last_to(TRUNK);
    scene.answer(TRUNK, &sent, 200, Some("b1"));
    scene.lines();

    scene.arrive(PBX, &cancel_of(INVITE));

    assert_eq!((scene.lines(), scene.count("cancelled")), (vec![format!("{PBX} 200 OK")], 0));
}

#[test]
fn a_cancel_that_matches_nothing_is_481() {
    let mut scene = Scene::new();
    scene.arrive(PBX, &cancel_of(INVITE));
    assert_eq!(scene.lines(), [format!("{PBX} 481 Call/Transaction Does Not Exist")]);

    scene.arrive(PBX, INVITE);
    scene.lines();
    scene.arrive(PBX, &cancel_of(&INVITE.replace("UDP 192.0.2.10:5060", "UDP 192.0.2.10:5061")));
    assert_eq!(scene.lines(), ["192.0.2.10:5061 481 Call/Transaction Does Not Exist"], "another sent-by");
}

#[test]
fn a_cancel_from_another_address_than_the_invites_is_481() {
    let mut scene = Scene::new();
    scene.arrive(PBX, INVITE);
    scene.lines();

    scene.arrive(TRUNK, &cancel_of(INVITE));

    assert_eq!(scene.lines(), ["198.51.100.20:5060 481 Call/Transaction Does Not Exist"]);
    assert_eq!(scene.count("cancelled"), 0);
}

#[test]
fn a_cancelled_invite_that_stays_silent_is_487_after_64_t1() {
    let mut scene = Scene::new();
    scene.arrive(PBX, INVITE);
    let sent = scene.last_to(TRUNK);
    scene.answer(TRUNK, &sent, 180, Some("b1"));
    scene.arrive(PBX, &cancel_of(INVITE));
    let cancel = scene.last_to(TRUNK);
    scene.answer(TRUNK, &cancel, 200, Some("b1"));
    scene.lines();

    scene.run_for(31_999);
    assert_eq!(scene.lines(), Vec::<String>::new());
    scene.run_for(1);
    assert_eq!(scene.lines(), [format!("{PBX} 487 Request Terminated")]);
    assert_eq!(scene.events().last().unwrap(), "failed 487");
}

#[test]
fn a_cancel_of_another_request_than_invite_is_answered_and_has_no_effect() {
    let mut scene = Scene::new();
    let info = in_dialog("INFO", PBX, 2);
    scene.arrive(PBX, &info);
    scene.lines();

    scene.arrive(PBX, &cancel_of(&info));

    assert_eq!((scene.lines(), scene.count("cancelled")), (vec![format!("{PBX} 200 OK")], 0));
}

// ── silence and failure ────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn an_invite_that_nobody_answers_is_408_by_timer_b() {
    let mut scene = Scene::new();
    scene.arrive(PBX, INVITE);
    scene.lines();
    scene.run_for(31_999);
    assert_eq!(scene.times(), [500, 1500, 3500, 7500, 15500, 31500]);

    scene.run_for(1);

    assert_eq!(scene.lines(), [format!("{PBX} 408 Request Timeout")]);
    assert_eq!(scene.events(), ["request", "failed 408"]);
    assert_eq!(scene.now_ms(), 32_000);
}

#[test]
fn another_request_that_nobody_answers_has_no_answer() {
    let mut scene = Scene::new();
    let bye = in_dialog("BYE", PBX, 2);
    scene.arrive(PBX, &bye);
    scene.lines();
    scene.run_for(3_499);
    assert_eq!(scene.times(), [500, 1500]);
    scene.run_for(1);
    assert_eq!(scene.lines(), [format!("{PBX} 100 Trying"), format!("{TRUNK} BYE")], "timer E has reached T2");

    scene.run_for(28_501);
    scene.arrive(PBX, &bye);

    assert!(scene.lines().iter().all(|line| *line == format!("{TRUNK} BYE")), "RFC 4320: no 408, and nothing is kept");
    assert_eq!(scene.events(), ["request", "failed 408"]);
}

#[test]
fn a_408_to_another_request_than_invite_goes_no_further() {
    let mut scene = Scene::new();
    scene.arrive(PBX, &in_dialog("BYE", PBX, 2));
    let sent = scene.last_to(TRUNK);
    scene.lines();

    scene.answer(TRUNK, &sent, 408, Some("b1"));

    assert_eq!(scene.lines(), Vec::<String>::new());
    assert_eq!(scene.events(), ["request", "failed 408"]);
}

#[test]
fn an_invite_that_rings_too_long_is_cancelled_by_timer_c() {
    let mut scene = Scene::new();
    scene.arrive(PBX, INVITE);
    let sent = scene.last_to(TRUNK);
    scene.answer(TRUNK, &sent, 180, Some("b1"));
    scene.run_for(170_000);
    scene.answer(TRUNK, &sent, 180, Some("b1"));
    scene.lines();
    scene.run_for(180_999);
    assert_eq!(scene.lines(), Vec::<String>::new(), "a 101 to 199 starts it anew");

    scene.run_for(1);
    assert_eq!(scene.lines(), [format!("{TRUNK} CANCEL")]);
    let cancel = scene.last_to(TRUNK);
    scene.answer(TRUNK, &cancel, 200, Some("b1"));
    scene.answer(TRUNK, &sent, 487, Some("b1"));
    assert_eq!(scene.lines(), [format!("{TRUNK} ACK"), format!("{PBX} 487 Request Terminated")]);
}

#[test]
fn an_invite_that_timer_c_cancelled_in_vain_is_408() {
    let mut scene = Scene::new();
    scene.arrive(PBX, INVITE);
    let sent = scene.last_to(TRUNK);
    scene.answer(TRUNK, &sent, 100, None);
    scene.run_for(181_000);
    assert_eq!(scene.lines().last(), Some(&format!("{TRUNK} CANCEL")), "a 100 does not start timer C anew");
    let cancel = scene.last_to(TRUNK);
    scene.answer(TRUNK, &cancel, 200, Some("b1"));

    scene.run_for(32_000);

    assert_eq!(scene.lines(), [format!("{PBX} 408 Request Timeout")]);
    assert_eq!(scene.events(), ["request", "failed 408"]);
}

#[test]
fn an_unreachable_next_hop_is_503() {
    let mut scene = Scene::new();
    scene.arrive(PBX, INVITE);
    scene.arrive(PBX, &in_dialog("BYE", PBX, 2));
    scene.lines();

    scene.tell(Input::Unreachable { to: Flow::first(addr(TRUNK)) });

    assert_eq!(scene.lines(), [format!("{PBX} 503 Service Unavailable"), format!("{PBX} 503 Service Unavailable")]);
    assert_eq!(scene.events(), ["request", "request", "failed 503", "failed 503"]);
}

#[test]
fn an_icmp_error_does_not_end_what_the_next_hop_works_on() {
    let mut scene = Scene::new();
    scene.arrive(PBX, INVITE);
    let sent = scene.last_to(TRUNK);
    scene.answer(TRUNK, &sent, 180, Some("b1"));
    scene.lines();

    scene.tell(Input::Unreachable { to: Flow::first(addr(TRUNK)) });
    scene.tell(Input::Unreachable { to: Flow::first(addr(PBX)) });
    assert_eq!(scene.lines(), Vec::<String>::new());
    scene.answer(TRUNK, &sent, 200, Some("b1"));

    assert_eq!(scene.lines(), [format!("{PBX} 200 OK")]);
}

#[test]
fn a_stray_response_is_dropped() {
    let mut scene = Scene::new();
    scene.arrive(PBX, INVITE);
    let sent = scene.last_to(TRUNK);
    scene.lines();
    let ok = lossy(&reply(&sent, 200, "OK", Some(b"b1"), &[]));

    let other_branch = ok.replacen("z9hG4bK", "z9hG4bK0", 1);
    let other_sent_by = ok.replacen("203.0.113.1", "203.0.113.2", 1);
    let other_method = ok.replace("1 INVITE", "1 OPTIONS");
    for stray in [other_branch, other_sent_by, other_method] {
        scene.arrive(TRUNK, &stray);
    }
    let foreign = [("call-1", "call-2"), ("CSeq: 1", "CSeq: 2"), ("tag=a1", "tag=a2")].map(|(old, new)| ok.replace(old, new));
    for foreign in foreign {
        scene.arrive(TRUNK, &foreign);
    }
    let no_next_via =
        ok.lines().filter(|line| !line.contains("z9hG4bKpbx1")).map(|line| format!("{line}\r\n")).collect::<String>();
    scene.arrive(TRUNK, &no_next_via);

    assert_eq!(scene.lines(), Vec::<String>::new());
    let of = |tally| scene.stack.tallies().of(tally);
    assert_eq!((of(Tally::Stray), of(Tally::Foreign), of(Tally::NoNextVia)), (3, 3, 1));
}

#[test]
fn a_request_that_the_call_forgets_ends_all_the_same() {
    let mut scene = Scene::new();
    scene.auto = false;
    scene.arrive(PBX, INVITE);
    scene.arrive(PBX, &in_dialog("BYE", PBX, 2));

    scene.run_for(200_000);

    assert_eq!(scene.count("failed"), 2);
    assert_eq!((scene.count("ended"), scene.stack.transactions(), scene.stack.deadline()), (2, 0, None));
}

#[test]
fn a_final_response_that_the_call_does_not_pass_becomes_500() {
    let mut scene = Scene::new();
    scene.arrive(PBX, INVITE);
    let sent = scene.last_to(TRUNK);
    scene.auto = false;
    scene.lines();

    scene.answer(TRUNK, &sent, 486, Some("b1"));
    scene.run_for(32_000);

    assert_eq!(scene.lines(), [format!("{TRUNK} ACK"), format!("{PBX} 500 Server Internal Error")]);
    assert_eq!(scene.events().last().unwrap(), "failed 500");
}
