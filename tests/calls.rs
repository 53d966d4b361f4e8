//! Calls through the table, without a socket: what goes out for what comes in, under virtual time.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one output among all")]
#![allow(missing_docs, reason = "a test")]

#[path = "calls/aware.rs"]
mod aware;
#[path = "calls/beeps.rs"]
mod beeps;
#[path = "calls/bodies.rs"]
mod bodies;
#[path = "calls/demanded.rs"]
mod demanded;
#[path = "calls/emergency.rs"]
mod emergency;
#[path = "calls/guarded.rs"]
mod guarded;
#[path = "calls/handles.rs"]
mod handles;
#[path = "calls/hook.rs"]
mod hook;
#[path = "calls/indexed.rs"]
mod indexed;
#[path = "calls/keys.rs"]
mod keys;
#[path = "calls/mandatory.rs"]
mod mandatory;
#[path = "calls/offers.rs"]
mod offers;
#[path = "calls/registered.rs"]
mod registered;
#[path = "calls/registrations.rs"]
mod registrations;
#[path = "calls/restart.rs"]
mod restart;
#[path = "calls/secured.rs"]
mod secured;
#[path = "calls/selected.rs"]
mod selected;
#[path = "calls/session_timer.rs"]
mod session_timer;
#[allow(dead_code, reason = "each file of tests uses its part")]
#[path = "support/terms.rs"]
mod terms;
#[path = "calls/transfer.rs"]
mod transfer;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mitschnitt::call::{
    Codecs, Config, ContactKey, DeadMedia, Deed, Doer, Done, Guarding, HandleKey, InCall, Input, KeySource, MediaAs, NotDone,
    Output, Peer, Peers, Policy, PortPair, Reason, Registering, Silence, Story, Strangers, Suspension, Table, Turn, Watermark,
    WhenDead,
};
use mitschnitt::consent::{By, Cut, Mode, Player, Refusal, SentAs, Standing, Terms, WithoutConsent};
use mitschnitt::ids::{CallId, Leg, TrunkName};
use mitschnitt::limits::{CALLS, DIALOGS_PER_CALL, MEDIA_LINES, PORT_STOCK, SDP_LINES};
use mitschnitt::media::{Announcing, BridgeId, Content, Event, LatchRule, Latching, Order, PairIds, PortId};
use mitschnitt::network::Network;
use mitschnitt::sip::{Flow, Transport};
use mitschnitt::time::{Moment, Wall};
use mitschnitt::vault::EndReason;
use mitschnitt::wire::sdp::Sdp;
use mitschnitt::wire::sip::{Message, Name};
use terms::{LONGEST_PAUSE, for_all, terms};
use zeroize::Zeroizing;

const PROXY: &str = "192.0.2.1:5060";
const PBX: &str = "192.0.2.10:5060";
const TRUNK: &str = "198.51.100.20:5060";

// ── the tests ──────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn both_parties_are_told_once_the_ack_has_passed_and_recording_begins_when_both_were() {
    let mut world = World::with(Mode::Announce);
    world.pbx_calls(&offer("192.0.2.10", 4000, "0 101"));
    world.trunk_answers(200, "b", &offer("198.51.100.20", 6000, "0 101"));
    assert_eq!(world.announced(), [], "nobody is told before the call is up");

    world.pbx_acks("b");
    let announcing = world.announced();
    assert_eq!(announcing.iter().map(|a| a.leg).collect::<Vec<_>>(), [Leg::Pbx, Leg::Trunk]);

    world.played(&announcing[0]);
    assert!(world.recorded().is_none());
    world.played(&announcing[1]);
    let (_, formats) = world.recorded().expect("both were told");
    assert!(formats.iter().any(|f| f.leg == Leg::Pbx && f.payload_type == 0 && f.name == "PCMU" && f.clock == 8000));
    assert_eq!(world.last_story().reason, Reason::Recorded);
}

#[test]
fn each_side_is_given_ports_of_ours_and_nothing_else_of_its_description_changes() {
    let mut world = World::with(Mode::Announce);
    let sdp = offer("192.0.2.10", 4000, "8 0 101");

    world.pbx_calls(&sdp);

    let invite = world.to_trunk("INVITE");
    let here = world.sdp(&invite);
    assert_eq!(here.media()[0].addr, Some("203.0.113.1".parse().unwrap()), "the address that faces the trunk");
    let expected = sdp
        .replace("c=IN IP4 192.0.2.10", "c=IN IP4 203.0.113.1")
        .replace("m=audio 4000", &format!("m=audio {}", here.media()[0].port));
    assert_eq!(String::from_utf8_lossy(invite.body()), expected);
}

#[test]
fn media_may_be_of_another_version_of_ip_on_each_side() {
    let policies = all_by(Mode::Announce, WithoutConsent::GoOn);
    let mut world = World::at(["192.0.2.2", "2001:db8::2"], policies, None, Latching::default(), None);
    let six = |ip: &str, port| offer("192.0.2.99", port, "0 101").replace("IP4 192.0.2.99", &format!("IP6 {ip}"));

    world.pbx_calls(&offer("192.0.2.10", 4000, "0 101"));
    assert!(String::from_utf8_lossy(world.to_trunk("INVITE").body()).contains("c=IN IP6 2001:db8::2\r\n"));
    world.trunk_answers(200, "b", &six("2001:db8::20", 6000));
    assert!(String::from_utf8_lossy(world.to_pbx("200").body()).contains("c=IN IP4 192.0.2.2\r\n"));
    world.pbx_acks("b");
    for announcing in world.announced() {
        world.played(&announcing);
    }
    assert!(world.recorded().is_some());

    // A side that speaks of an address it does not have would be sent what it cannot get.
    world.pbx_sends("INVITE", 2, "b", "Content-Type: application/sdp\r\n", &six("2001:db8::10", 4000));
    assert_eq!(world.to_pbx("488").status(), Some(488));
}

#[test]
fn opt_in_is_granted_by_a_key_in_sip_info() {
    let mut world = World::with(Mode::OptIn);
    world.call_is_up();
    for announcing in world.announced() {
        world.played(&announcing);
    }
    assert!(world.recorded().is_none());

    world.trunk_sends("INFO", 2, "b", "Content-Type: application/dtmf-relay\r\n", "Signal=1\r\nDuration=160\r\n");

    assert_eq!(world.to_pbx("INFO").body(), b"Signal=1\r\nDuration=160\r\n", "the message itself goes through");
    assert!(world.recorded().is_some());
}

#[test]
fn silence_leaves_an_opt_in_call_unrecorded_and_up() {
    let mut world = World::with(Mode::OptIn);
    world.call_is_up();
    for announcing in world.announced() {
        world.played(&announcing);
    }

    world.passes(Duration::from_secs(5));

    assert!(world.recorded().is_none());
    assert_eq!(world.last_story().reason, Reason::ConsentTimeout);
    assert_eq!(world.last_story().leg, Some(Leg::Trunk));
    assert_eq!(world.table.count(), 1, "the call goes on");
}

#[test]
fn a_policy_may_end_a_call_without_consent_by_a_bye_to_each_side() {
    let mut world = World::with_terms(Mode::OptIn, WithoutConsent::HangUp);
    world.call_is_up();
    for announcing in world.announced() {
        world.played(&announcing);
    }

    world.passes(Duration::from_secs(5));

    let (to_pbx, to_trunk) = (world.to_pbx("BYE"), world.to_trunk("BYE"));
    assert_eq!(to_pbx.request_uri(), Some(&b"sip:100@192.0.2.10:5060"[..]));
    assert_eq!(to_pbx.from().unwrap().tag(), Some(&b"b"[..]), "in the far party's name");
    assert_eq!(to_trunk.request_uri(), Some(&b"sip:200@198.51.100.20:5060"[..]));
    assert_eq!(to_trunk.from().unwrap().tag(), Some(&b"a"[..]));
    assert_eq!(world.table.count(), 0);
}

#[test]
fn a_call_whose_media_are_dead_is_ended_by_a_bye_to_each_side() {
    let mut world = World::watched(all_by(Mode::Announce, WithoutConsent::GoOn), WhenDead::End);
    world.call_is_up();
    for announcing in world.announced() {
        world.played(&announcing);
    }
    let id = world.watched_bridge().expect("the audio is watched once both are in the call");

    world.media(Event::Dead { id });

    assert_eq!(world.to_pbx("BYE").from().unwrap().tag(), Some(&b"b"[..]));
    assert_eq!(world.to_trunk("BYE").from().unwrap().tag(), Some(&b"a"[..]));
    assert_eq!(world.recording(), ["record", "end Silent"]);
    assert_eq!(world.silences(), [(Silence::Both, WhenDead::End)]);
    assert_eq!((world.last_story().reason, world.table.count()), (Reason::DeadMedia, 0));
}

#[test]
fn a_call_that_is_unrecorded_for_a_reason_keeps_it_when_it_is_ended_as_dead() {
    let mut world = World::watched(Vec::new(), WhenDead::End);
    world.call_is_up();
    let id = world.watched_bridge().unwrap();

    world.media(Event::Dead { id });

    assert_eq!((world.last_story().reason, world.table.count()), (Reason::NoPolicy, 0));
}

#[test]
fn dead_media_are_told_and_the_call_goes_on_where_it_is_only_marked() {
    let mut world = World::watched(all_by(Mode::Announce, WithoutConsent::GoOn), WhenDead::Mark);
    world.call_is_up();
    let id = world.watched_bridge().unwrap();

    world.media(Event::Dead { id });

    assert_eq!(world.silences(), [(Silence::Both, WhenDead::Mark)]);
    assert_eq!(world.table.count(), 1);
}

#[test]
fn a_call_that_is_one_way_is_never_ended() {
    let mut world = World::watched(all_by(Mode::Announce, WithoutConsent::GoOn), WhenDead::End);
    world.call_is_up();
    let id = world.watched_bridge().unwrap();

    world.media(Event::OneWay { id, leg: Leg::Trunk });

    assert_eq!(world.silences(), [(Silence::One(Leg::Trunk), WhenDead::Mark)]);
    assert_eq!(world.table.count(), 1);
}

#[test]
fn nobody_watches_before_the_call_is_up_nor_where_nobody_wants_to_know() {
    let mut ringing = World::watched(all_by(Mode::Announce, WithoutConsent::GoOn), WhenDead::End);
    ringing.pbx_calls(&offer("192.0.2.10", 4000, "0 101"));
    ringing.trunk_answers(183, "b", &offer("198.51.100.20", 6000, "0 101"));
    assert_eq!(ringing.watched_bridge(), None);
    // What is told of a call that is not up, as of a fork that it has left, ends nothing.
    let id =
        ringing.orders().find_map(|order| if let Order::Bridge(bridging) = order { Some(bridging.id) } else { None }).unwrap();
    ringing.media(Event::Dead { id });
    assert_eq!((ringing.silences(), ringing.table.count()), (vec![], 1));

    let mut unwatched = World::with(Mode::Announce);
    unwatched.call_is_up();
    assert_eq!(unwatched.watched_bridge(), None);
}

#[test]
fn an_announcement_that_cannot_be_had_in_the_codec_leaves_the_call_unrecorded() {
    let mut world = World::with(Mode::Announce);
    world.pbx_calls(&offer("192.0.2.10", 4000, "18 101"));
    world.trunk_answers(200, "b", &offer("198.51.100.20", 6000, "18 101"));

    world.pbx_acks("b");

    assert_eq!(world.announced(), []);
    assert_eq!(world.last_story().reason, Reason::AnnouncementCodec);
    assert!(world.recorded().is_none());
}

#[test]
fn codecs_that_cannot_be_announced_are_taken_out_of_each_offer_where_the_policy_says_so() {
    let mut world = World::new(restricted());
    let sdp = offer("192.0.2.10", 4000, "18 8 101");

    world.pbx_calls(&sdp);

    let invite = world.to_trunk("INVITE");
    let here = world.sdp(&invite).media()[0].port;
    let expected = sdp
        .replace("c=IN IP4 192.0.2.10", "c=IN IP4 203.0.113.1")
        .replace("m=audio 4000 RTP/AVP 18 8 101", &format!("m=audio {here} RTP/AVP 8 101"));
    assert_eq!(String::from_utf8_lossy(invite.body()), expected);

    world.trunk_answers(200, "b", &offer("198.51.100.20", 6000, "8 101"));
    world.pbx_acks("b");
    assert_eq!(world.announced().len(), 2);

    // The trunk offers anew, and then the PBX answers: an answer is passed on as it is.
    world.trunk_sends("INVITE", 7, "b", "Content-Type: application/sdp\r\n", &offer("198.51.100.20", 6000, "18 96 8 101"));
    let again = world.to_pbx("INVITE");
    assert!(String::from_utf8_lossy(again.body()).contains("RTP/AVP 8 101\r\n"));
}

#[test]
fn an_offer_without_a_codec_that_can_be_announced_passes_whole_and_the_call_goes_on_unrecorded() {
    let mut world = World::new(restricted());

    world.pbx_calls(&offer("192.0.2.10", 4000, "18 4 101"));

    let invite = world.to_trunk("INVITE");
    assert!(String::from_utf8_lossy(invite.body()).contains("RTP/AVP 18 4 101\r\n"));
    world.trunk_answers(200, "b", &offer("198.51.100.20", 6000, "18 101"));
    world.pbx_acks("b");
    assert_eq!(world.last_story().reason, Reason::AnnouncementCodec);
}

#[test]
fn an_announcement_that_was_cut_is_begun_again_when_the_party_is_back_and_given_up_when_it_cannot_be_sent() {
    let mut world = World::with(Mode::Announce);
    world.call_is_up();
    let first = world.announced();

    world.media(Event::Cut { id: first[1].id, leg: Leg::Trunk, cut: Cut::Moved });
    let again = world.announced();
    assert_eq!(again.iter().map(|a| a.leg).collect::<Vec<_>>(), [Leg::Trunk], "from its beginning, to the one who missed it");

    world.media(Event::Cut { id: first[1].id, leg: Leg::Trunk, cut: Cut::NotSent });
    assert_eq!(world.last_story().reason, Reason::AnnouncementNotSent);
    world.played(&first[0]);
    assert!(world.recorded().is_none());
}

#[test]
fn a_party_on_hold_is_told_when_it_is_back() {
    let mut world = World::with(Mode::Announce);
    world.pbx_calls(&offer("192.0.2.10", 4000, "0 101").replace("sendrecv", "sendonly"));
    world.trunk_answers(200, "b", &offer("198.51.100.20", 6000, "0 101").replace("sendrecv", "recvonly"));
    world.pbx_acks("b");
    assert_eq!(world.announced().iter().map(|a| a.leg).collect::<Vec<_>>(), [Leg::Trunk], "the PBX hears nothing now");

    world.pbx_sends("INVITE", 2, "b", "Content-Type: application/sdp\r\n", &offer("192.0.2.10", 4000, "0 101"));
    world.trunk_answers(200, "b", &offer("198.51.100.20", 6000, "0 101"));

    assert_eq!(world.announced().iter().map(|a| a.leg).collect::<Vec<_>>(), [Leg::Pbx]);
}

#[test]
fn a_bye_ends_the_recording_gives_back_the_ports_and_writes_the_last_word() {
    let mut world = World::with(Mode::Announce);
    world.call_is_up();
    for announcing in world.announced() {
        world.played(&announcing);
    }
    assert!(world.recorded().is_some());
    let taken = world.taken();
    assert_eq!(taken, 2);

    world.pbx_sends("BYE", 2, "b", "", "");
    assert_eq!(world.table.count(), 1, "not before it is answered: it may be challenged");
    world.trunk_answers(200, "b", "");

    assert_eq!(world.table.count(), 0);
    assert!(world.out.iter().any(|o| matches!(o, Output::EndRecording { why: EndReason::HungUp(Leg::Pbx), .. })));
    assert_eq!(world.given_back(), 2);
    assert!(world.last_story().ended.is_some());
    assert_eq!(world.last_story().reason, Reason::Recorded);
}

#[test]
fn an_answer_that_comes_again_does_not_undo_what_was_agreed_after_it() {
    let mut world = World::with(Mode::Announce);
    world.pbx_calls(&offer("192.0.2.10", 4000, "0 101"));
    let answer = world.answer(200, "b", &offer("198.51.100.20", 6000, "0 101"));
    world.datagram(TRUNK, &answer);
    world.pbx_acks("b");
    let held = offer("198.51.100.20", 6000, "0 101").replace("sendrecv", "sendonly");
    world.trunk_sends("INVITE", 2, "b", "Content-Type: application/sdp\r\n", &held);
    world.pbx_answers(&offer("192.0.2.10", 4000, "0 101").replace("sendrecv", "recvonly"));
    world.out.clear();

    world.datagram(TRUNK, &answer);

    assert_eq!(world.sdp(&world.to_pbx_any("200")).media()[0].addr, Some("192.0.2.2".parse().unwrap()), "it passes");
    assert_eq!(world.orders().count(), 0, "and the trunk's party stays on hold");
}

#[test]
fn the_refusing_key_counts_though_its_request_was_overtaken() {
    let mut world = World::with(Mode::OptOut);
    world.call_is_up();
    for announcing in world.announced() {
        world.played(&announcing);
    }
    world.trunk_sends("INVITE", 3, "b", "Content-Type: application/sdp\r\n", &offer("198.51.100.20", 6000, "0 101"));

    world.trunk_sends("INFO", 2, "b", "Content-Type: application/dtmf-relay\r\n", "Signal=1\r\nDuration=160\r\n");

    assert_eq!(world.to_trunk_any("500").status(), Some(500), "as RFC 3261 §12.2.2 has it");
    assert_eq!(world.last_story().reason, Reason::ConsentRefused);
}

#[test]
fn a_re_invite_that_nobody_answers_ends_the_call() {
    let mut world = World::with(Mode::Announce);
    world.call_is_up();

    world.pbx_sends("INVITE", 2, "b", "Content-Type: application/sdp\r\n", &offer("192.0.2.10", 4000, "0 101"));
    world.passes(Duration::from_secs(60));

    assert_eq!(world.to_pbx_any("408").status(), Some(408));
    assert_eq!(world.table.count(), 0, "the far end is gone, and no BYE will come");
    assert_eq!(world.taken(), world.given_back());
}

#[test]
fn of_two_byes_the_first_says_who_hung_up_whichever_is_answered_first() {
    let mut world = World::with(Mode::Announce);
    world.call_is_up();
    for announcing in world.announced() {
        world.played(&announcing);
    }
    world.pbx_sends("BYE", 2, "b", "", "");
    world.trunk_sends("BYE", 4, "b", "", "");

    world.pbx_answers("");

    assert!(world.out.iter().any(|o| matches!(o, Output::EndRecording { why: EndReason::HungUp(Leg::Pbx), .. })));
}

#[test]
fn a_re_invite_that_crosses_a_bye_does_not_say_who_hung_up() {
    let mut world = World::with(Mode::Announce);
    world.call_is_up();
    for announcing in world.announced() {
        world.played(&announcing);
    }
    world.trunk_sends("INVITE", 3, "b", "Content-Type: application/sdp\r\n", &offer("198.51.100.20", 6000, "0 101"));
    let invite = world.asked.clone();
    world.trunk_sends("BYE", 4, "b", "", "");
    let bye = world.asked.clone();

    world.asked = invite;
    let text = world.answer(481, "a", "");
    world.datagram(PBX, &text);
    world.asked = bye;
    let text = world.answer(200, "a", "");
    world.datagram(PBX, &text);

    assert!(world.out.iter().any(|o| matches!(o, Output::EndRecording { why: EndReason::HungUp(Leg::Trunk), .. })));
    assert_eq!(world.table.count(), 0);
}

#[test]
fn a_challenged_bye_ends_nothing() {
    let mut world = World::with(Mode::Announce);
    world.call_is_up();

    world.pbx_sends("BYE", 2, "b", "", "");
    world.trunk_answers(407, "b", "");

    assert_eq!(world.table.count(), 1);
}

#[test]
fn every_call_has_a_story_with_the_reason_why_it_was_not_recorded() {
    for (status, reason) in [(486, Reason::Busy), (487, Reason::NotAnswered), (404, Reason::Failed), (407, Reason::Challenged)] {
        let mut world = World::with(Mode::Announce);
        world.pbx_calls(&offer("192.0.2.10", 4000, "0"));

        world.trunk_answers(status, "b", "");

        assert_eq!(world.last_story().reason, reason, "{status}");
        assert!(world.last_story().ended.is_some());
        assert_eq!(world.given_back(), 2, "{status}");
    }
}

#[test]
fn without_a_policy_nothing_is_announced_and_nothing_recorded() {
    let mut world = World::new(vec![]);
    world.call_is_up();

    assert_eq!(world.announced(), []);
    assert_eq!(world.last_story().reason, Reason::NoPolicy);
    assert!(world.orders().any(|order| matches!(order, Order::Bridge(_))), "the media is relayed all the same");
}

#[test]
fn a_call_without_audio_goes_on_unrecorded() {
    let mut world = World::with(Mode::Announce);
    let video = |ip, port| offer(ip, port, "96").replace("m=audio", "m=video");
    world.pbx_calls(&video("192.0.2.10", 4000));
    world.trunk_answers(200, "b", &video("198.51.100.20", 6000));

    world.pbx_acks("b");

    assert_eq!(world.last_story().reason, Reason::NoAudio);
    assert!(world.orders().any(|order| matches!(order, Order::Bridge(_))));
}

#[test]
fn a_call_for_which_no_port_is_left_gets_503() {
    let mut world = World::with(Mode::Announce);
    world.has_ports = false;
    while world.pbx_call_number(world.calls, &offer("192.0.2.10", 4000, "0")) {
        assert!(world.calls < 200, "the stock is bounded");
    }

    let refused = world.to_pbx_any("503");
    assert_eq!(refused.value(Name::RetryAfter), Some(&b"5"[..]));
    assert_eq!(world.last_story().reason, Reason::PortsExhausted);
}

#[test]
fn no_more_ports_are_asked_for_than_make_the_stock_full() {
    let mut world = World::with(Mode::Announce);
    assert_eq!(world.stocked, 2 * PORT_STOCK);

    for number in 0..20 {
        world.pbx_call_number(number, &offer("192.0.2.10", 4000, "0"));
    }

    assert!(world.stocked <= 2 * (PORT_STOCK + 20), "{}", world.stocked);
}

#[test]
fn a_call_beyond_all_that_there_may_be_gets_503_and_when_to_try_again() {
    let mut world = World::with(Mode::Announce);
    for number in 0..CALLS {
        assert!(world.pbx_call_number(number, ""), "call {number}");
        world.out.clear();
    }

    assert!(!world.pbx_call_number(CALLS, ""));

    world.is_refused_for(Watermark::Calls, 1);
    assert_eq!(world.table.count(), CALLS);
}

#[test]
fn a_fork_beyond_those_of_a_call_has_its_media_refused() {
    let mut world = World::with(Mode::Announce);
    world.pbx_calls(&offer("192.0.2.10", 4000, "0"));
    let mut port_of = |fork: usize| {
        let answer = offer("198.51.100.20", 6000 + 2 * u16::try_from(fork).unwrap(), "0");
        world.trunk_answers(183, &format!("fork{fork}"), &answer);
        let port = world.sdp(&world.to_pbx_any("183")).media()[0].port;
        (port, world.table.tallies().forks_refused)
    };

    for fork in 0..DIALOGS_PER_CALL {
        let (port, refused) = port_of(fork);
        assert!(port > 0 && refused == 0, "fork {fork}");
    }

    assert_eq!(port_of(DIALOGS_PER_CALL), (0, 1));
}

#[test]
fn a_description_with_more_lines_or_more_media_than_may_be_gets_488() {
    let own = offer("192.0.2.10", 4000, "0");
    let lines = |count: usize| format!("{own}{}", "a=x\r\n".repeat(count - own.lines().count()));
    let media = |count: usize| format!("{own}{}", "m=audio 4002 RTP/AVP 0\r\n".repeat(count - 1));
    for (most, beyond) in [(lines(SDP_LINES), lines(SDP_LINES + 1)), (media(MEDIA_LINES), media(MEDIA_LINES + 1))] {
        let mut world = World::with(Mode::Announce);

        assert!(world.pbx_call_number(0, &most));
        assert!(!world.pbx_call_number(1, &beyond));

        world.to_pbx_any("488");
        assert_eq!(world.last_story().reason, Reason::BadOffer);
    }
}

#[test]
fn each_fork_that_answers_early_has_ports_of_its_own_and_the_losers_give_theirs_back() {
    let mut world = World::with(Mode::Announce);
    world.pbx_calls(&offer("192.0.2.10", 4000, "0"));
    world.trunk_answers(183, "x", &offer("198.51.100.20", 6000, "0"));
    let first = world.sdp(&world.to_pbx_any("183")).media()[0].port;
    world.trunk_answers(183, "y", &offer("198.51.100.21", 6000, "0"));
    let second = world.sdp(&world.to_pbx_any("183")).media()[0].port;
    assert_ne!(first, second);

    world.trunk_answers(200, "y", &offer("198.51.100.21", 6000, "0"));

    assert_eq!(world.sdp(&world.to_pbx_any("200")).media()[0].port, second);
    assert_eq!(world.given_back(), 1);
    assert_eq!(world.orders().filter(|order| matches!(order, Order::Close { .. })).count(), 1);
}

#[test]
fn an_offer_in_the_answer_is_answered_in_the_ack() {
    let mut world = World::with(Mode::Announce);
    world.pbx_calls("");
    world.trunk_answers(200, "b", &offer("198.51.100.20", 6000, "0 101"));
    assert_eq!(world.sdp(&world.to_pbx_any("200")).media()[0].addr, Some("192.0.2.2".parse().unwrap()));

    world.pbx_sends("ACK", 1, "b", "Content-Type: application/sdp\r\n", &offer("192.0.2.10", 4000, "0 101"));

    assert_eq!(world.sdp(&world.to_trunk("ACK")).media()[0].addr, Some("203.0.113.1".parse().unwrap()));
    assert_eq!(world.announced().len(), 2);
}

#[test]
fn a_bye_in_the_other_partys_name_is_refused_and_ends_nothing() {
    let mut world = World::with(Mode::Announce);
    world.call_is_up();

    // The trunk says that it is the PBX's end of the dialog.
    world.datagram(TRUNK, &request("BYE", "sip:200@198.51.100.20:5060", TRUNK, 2, "a", Some("b"), "", ""));

    assert_eq!(world.to_trunk_any("481").status(), Some(481));
    assert_eq!(world.table.count(), 1);
    assert_eq!(world.table.tallies().not_of_the_dialog, 1);
}

#[test]
fn a_party_that_holds_by_an_address_of_zeroes_is_still_the_one_that_sends() {
    let mut world = World::with(Mode::Announce);
    world.call_is_up();
    let zeroes = offer("192.0.2.10", 4000, "0 101").replace("c=IN IP4 192.0.2.10", "c=IN IP4 0.0.0.0");

    world.pbx_sends("INVITE", 2, "b", "Content-Type: application/sdp\r\n", &zeroes);
    world.trunk_answers(200, "b", &offer("198.51.100.20", 6000, "0 101"));

    assert!(
        world.to_trunk("INVITE").body().windows(18).any(|w| w == b"c=IN IP4 0.0.0.0\r\n"),
        "the far end sees that it is held"
    );
    let last = world.orders().filter_map(|order| match order {
        Order::Describe { leg: Leg::Pbx, remote, .. } => Some((remote.rtp, remote.receives)),
        _ => None,
    });
    assert_eq!(last.last(), Some((addr("192.0.2.10:4000"), false)));
}

#[test]
fn of_two_forks_that_answer_the_caller_chooses_by_its_ack_and_both_are_heard_until_then() {
    let mut world = World::with(Mode::Announce);
    world.pbx_calls(&offer("192.0.2.10", 4000, "0"));
    let invite = world.asked.clone();
    world.trunk_answers(200, "x", &offer("198.51.100.20", 6000, "0"));
    world.asked = invite;
    world.trunk_answers(200, "y", &offer("198.51.100.21", 6000, "0"));
    let bridges = world.orders().filter(|order| matches!(order, Order::Bridge(_))).count();
    assert_eq!(bridges, 2, "the second answer has a bridge as well");

    // The answers changed places on their way to the caller, who keeps the second.
    world.pbx_acks("y");
    assert_eq!(world.announced().len(), 2);
    world.pbx_acks("x");
    assert_eq!(world.announced().len(), 0);
    world.pbx_sends("BYE", 2, "x", "", "");
    world.trunk_answers(200, "x", "");
    assert_eq!(world.table.count(), 1);

    world.pbx_sends("BYE", 3, "y", "", "");
    world.trunk_answers(200, "y", "");
    assert_eq!(world.table.count(), 0);
    assert_eq!(world.taken(), world.given_back());
}

#[test]
fn a_caller_who_leaves_the_fork_it_acknowledged_first_is_told_anew_in_the_other() {
    let mut world = World::with(Mode::Announce);
    world.pbx_calls(&offer("192.0.2.10", 4000, "0"));
    let invite = world.asked.clone();
    world.trunk_answers(200, "x", &offer("198.51.100.20", 6000, "0"));
    world.asked = invite;
    world.trunk_answers(200, "y", &offer("198.51.100.21", 6000, "0"));
    world.pbx_acks("x");
    let first = world.announced();
    world.pbx_acks("y");

    world.pbx_sends("BYE", 2, "x", "", "");
    world.trunk_answers(200, "x", "");

    assert_eq!(world.table.count(), 1);
    let second = world.announced();
    assert_eq!(second.len(), 2, "another person is told from the beginning");
    assert_ne!(first[0].id, second[0].id);
    for announcing in second {
        world.played(&announcing);
    }
    assert!(world.recorded().is_some());
}

#[test]
fn an_answer_for_which_no_port_is_left_passes_with_its_media_rejected() {
    let mut world = World::with(Mode::Announce);
    world.pbx_calls(&offer("192.0.2.10", 4000, "0 101"));
    for fork in 0..17 {
        world.trunk_answers(183, &format!("f{fork}"), &offer("198.51.100.20", 6000, "0 101"));
    }

    let last = world.to_pbx_any("183");

    assert_eq!(world.table.tallies().forks_refused, 1);
    assert_eq!(world.sdp(&last).media()[0].port, 0, "no media goes past the recorder");
}

#[test]
fn a_2xx_that_comes_after_the_call_was_given_up_describes_no_media() {
    let mut world = World::with(Mode::Announce);
    world.pbx_calls(&offer("192.0.2.10", 4000, "0 101"));
    world.trunk_answers(200, "b", &offer("198.51.100.20", 6000, "0 101"));
    let late = world.answer(200, "b", &offer("198.51.100.20", 6000, "0 101"));
    world.passes(Duration::from_secs(31));
    let before = world.out.len();

    // Still within the transaction's life (RFC 6026: timer L), and again once nobody has acknowledged.
    world.passes(Duration::from_millis(1500));
    world.datagram(TRUNK, &late);

    for output in &world.out[before..] {
        if let Output::Send { to, or: _, bytes } = output
            && to.far == addr(PBX)
        {
            assert!(!String::from_utf8_lossy(bytes).contains("m=audio 6000"), "{}", String::from_utf8_lossy(bytes));
        }
    }
}

#[test]
fn a_bye_to_another_fork_leaves_the_call_up() {
    let mut world = World::forked();

    world.pbx_sends("BYE", 2, "y", "", "");
    world.trunk_answers(200, "y", "");

    assert_eq!(world.table.count(), 1, "the caller has hung up on the fork that came too late");
    world.pbx_sends("BYE", 3, "x", "", "");
    world.trunk_answers(200, "x", "");
    assert_eq!(world.table.count(), 0);
    assert_eq!(world.taken(), world.given_back());
}

#[test]
fn a_fork_whose_bye_is_on_its_way_is_not_recorded_when_the_call_moves_over_to_it() {
    let mut world = World::forked();
    world.announced();

    world.pbx_sends("BYE", 2, "y", "", "");
    let bye = world.asked.clone();
    world.pbx_sends("BYE", 3, "x", "", "");
    world.trunk_answers(200, "x", "");
    for announcing in world.announced() {
        world.played(&announcing);
    }
    assert!(world.recorded().is_none(), "who has hung up is not recorded");

    world.asked = bye;
    world.trunk_answers(407, "y", "");
    assert!(world.recorded().is_some(), "the BYE was challenged, and they talk on");
}

#[test]
fn nothing_is_kept_while_a_bye_is_on_its_way_and_a_challenged_one_leaves_a_gap() {
    let mut world = World::with(Mode::Announce);
    world.call_is_up();
    for announcing in world.announced() {
        world.played(&announcing);
    }

    world.pbx_sends("BYE", 2, "b", "", "");
    assert!(world.out.iter().any(|o| matches!(o, Output::Suspend { .. })));
    world.trunk_answers(401, "b", "");

    assert!(world.out.iter().any(|o| matches!(o, Output::Resume { .. })));
    assert!(!world.out.iter().any(|o| matches!(o, Output::EndRecording { .. })));
}

#[test]
fn an_answered_call_that_is_never_acknowledged_is_given_up_after_64_t1() {
    let mut world = World::with(Mode::Announce);
    world.pbx_calls(&offer("192.0.2.10", 4000, "0"));
    world.trunk_answers(200, "b", &offer("198.51.100.20", 6000, "0"));

    world.passes(Duration::from_secs(32));

    assert_eq!(world.table.count(), 0);
    assert_eq!(world.given_back(), 2);
}

#[test]
fn a_request_that_was_sent_before_one_that_was_seen_is_refused() {
    let mut world = World::with(Mode::Announce);
    world.call_is_up();
    world.pbx_sends("INFO", 7, "b", "", "");
    world.trunk_answers(200, "b", "");

    world.pbx_sends("BYE", 6, "b", "", "");

    assert_eq!(world.to_pbx_any("500").status(), Some(500));
    assert_eq!(world.table.count(), 1);
}

#[test]
fn a_description_beside_other_parts_is_anchored_and_they_are_left_alone() {
    let mut world = World::with(Mode::Announce);
    let isup = "--x\r\nContent-Type: application/isup\r\n\r\n\u{1}\u{2}\r\n--x--\r\n";
    let sdp = offer("192.0.2.10", 4000, "0");
    let body = format!("--x\r\nContent-Type: application/sdp\r\n\r\n{sdp}\r\n{isup}");
    let text =
        numbered("INVITE", "sip:200@192.0.2.1", PBX, 1, "a", None, "Content-Type: multipart/mixed;boundary=x\r\n", &body, 0);

    world.datagram(PBX, &text);

    let went = String::from_utf8_lossy(world.to_trunk("INVITE").body()).into_owned();
    assert!(went.contains("c=IN IP4 203.0.113.1") && !went.contains("c=IN IP4 192.0.2.10"), "{went}");
    assert!(went.ends_with(isup));
    assert_eq!(world.to_trunk("INVITE").value(Name::ContentLength), Some(went.len().to_string().as_bytes()));
}

#[test]
fn fax_in_the_place_of_sound_ends_the_recording_and_is_relayed_as_what_it_is() {
    let mut world = World::with(Mode::Announce);
    world.call_is_up();
    for announcing in world.announced() {
        world.played(&announcing);
    }
    let fax = |ip, port| offer(ip, port, "t38").replace("m=audio", "m=image").replace("RTP/AVP", "udptl");

    world.pbx_sends("INVITE", 2, "b", "Content-Type: application/sdp\r\n", &fax("192.0.2.10", 4000));
    world.trunk_answers(200, "b", &fax("198.51.100.20", 6000));

    assert!(world.out.iter().any(|o| matches!(o, Output::EndRecording { why: EndReason::MediaChanged, .. })));
    let contents: Vec<_> = world
        .orders()
        .filter_map(|order| match order {
            Order::Bridge(bridging) => Some(bridging.content),
            _ => None,
        })
        .collect();
    assert_eq!(contents, [Content::Audio, Content::Datagrams]);
}

#[test]
fn sound_that_the_parties_encrypt_is_not_announced_into_and_not_recorded() {
    for secure in ["RTP/SAVP", "RTP/AVP"] {
        let mut world = World::with(Mode::Announce);
        let keyed = |ip, port| {
            let key = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\r\na=sendrecv";
            offer(ip, port, "0").replace("RTP/AVP", secure).replace("a=sendrecv", key)
        };
        world.pbx_calls(&keyed("192.0.2.10", 4000));
        world.trunk_answers(200, "b", &keyed("198.51.100.20", 6000));

        world.pbx_acks("b");

        assert_eq!(world.announced(), [], "{secure}");
        assert_eq!(world.last_story().reason, Reason::MediaEncrypted, "{secure}");
    }
}

#[test]
fn media_that_would_go_past_us_is_refused() {
    let mut world = World::with(Mode::Announce);

    world.pbx_calls(&offer("192.0.2.10", 4000, "0").replace("c=IN IP4 192.0.2.10", "c=IN IP6 2001:db8::10"));

    assert_eq!(world.to_pbx_any("488").status(), Some(488));
    assert_eq!(world.last_story().reason, Reason::BadOffer);
}

#[test]
fn a_party_that_was_told_and_moves_before_the_grant_is_told_again() {
    let mut world = World::with(Mode::OptIn);
    world.call_is_up();
    for announcing in world.announced() {
        world.played(&announcing);
    }

    world.trunk_sends("INVITE", 2, "b", "Content-Type: application/sdp\r\n", &offer("198.51.100.99", 6000, "0 101"));
    world.pbx_answers(&offer("192.0.2.10", 4000, "0 101"));

    assert_eq!(world.announced().iter().map(|a| a.leg).collect::<Vec<_>>(), [Leg::Trunk]);
    world.trunk_sends("INFO", 3, "b", "Content-Type: application/dtmf\r\n", "1");
    assert!(world.recorded().is_none(), "the new person has not heard the text to its end");
}

#[test]
fn an_offer_that_names_a_port_of_its_own_call_is_refused() {
    let mut world = World::with(Mode::Announce);
    world.call_is_up();
    let ours = world.sdp(&world.to_trunk("INVITE")).media()[0].port;

    world.pbx_sends("INVITE", 2, "b", "Content-Type: application/sdp\r\n", &offer("203.0.113.1", ours, "0 101"));

    assert_eq!(world.to_pbx_any("488").status(), Some(488));
    assert_eq!(world.table.count(), 1);
}

#[test]
fn a_stranger_is_not_answered() {
    let mut world = World::with(Mode::Announce);

    world.datagram("203.0.113.66:5060", &request("OPTIONS", "sip:x@192.0.2.1", "203.0.113.66:5060", 1, "z", None, "", ""));

    assert!(world.out.iter().all(|output| !matches!(output, Output::Send { .. })));
    assert_eq!(world.table.tallies().strangers, 1);
}

#[test]
fn the_vault_failing_leaves_the_call_up_and_says_so() {
    let mut world = World::with(Mode::Announce);
    world.call_is_up();
    for announcing in world.announced() {
        world.played(&announcing);
    }
    let (id, _) = world.recorded().expect("both were told");

    world.input(Input::VaultFailed { call: id.call, left_a_file: true });

    assert!(world.out.iter().any(|o| matches!(o, Output::EndRecording { why: EndReason::CallFailed, .. })));
    assert_eq!(world.last_story().reason, Reason::VaultUnavailable);
    assert_eq!(world.table.count(), 1);
}

#[test]
fn a_hundred_calls_leave_no_port_and_no_timer_behind() {
    let mut world = World::with(Mode::OptIn);
    for _ in 0..100 {
        world.call_is_up();
        world.pbx_sends("BYE", 2, "b", "", "");
        world.trunk_answers(200, "b", "");
        world.calls += 1;
    }
    world.passes(Duration::from_secs(300));

    assert_eq!(world.table.count(), 0);
    assert_eq!(world.taken(), world.given_back());
    assert_eq!(world.table.deadline(), None);
}

// ── an operator's deeds ────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn nothing_is_kept_from_a_pause_to_its_resumption_and_the_permit_stays_the_same() {
    let mut world = World::recorded_call();

    assert_eq!(world.operator(Deed::Pause), Ok(Done::Paused { ends: world.now + LONGEST_PAUSE }));
    assert_eq!(world.recording(), ["record", "suspend for a pause"]);
    let live = world.table.live().remove(0);
    assert!(!live.is_recording && live.pause_ends == Some(world.now + LONGEST_PAUSE), "the state shown is the state that is");

    world.passes(Duration::from_secs(30));
    assert_eq!(world.operator(Deed::Resume), Ok(Done::Resumed));
    assert_eq!(world.recording(), ["record", "suspend for a pause", "resume"]);
    let live = world.table.live().remove(0);
    assert!(live.is_recording && live.pause_ends.is_none());

    world.passes(Duration::from_secs(120));
    assert_eq!(world.recording().len(), 3, "the pause that is over does not end again");
}

#[test]
fn a_pause_ends_by_itself_after_its_longest_time() {
    let mut world = World::recorded_call();
    assert!(world.operator(Deed::Pause).is_ok());

    world.passes(LONGEST_PAUSE - Duration::from_millis(1));
    assert_eq!(world.recording(), ["record", "suspend for a pause"]);
    world.passes(Duration::from_millis(1));

    assert_eq!(world.recording(), ["record", "suspend for a pause", "resume"]);
    assert_eq!(world.operator(Deed::Resume), Err(NotDone::NotPaused));
    assert_eq!(world.operator(Deed::Pause), Ok(Done::Paused { ends: world.now + LONGEST_PAUSE }), "it may be paused again");
}

#[test]
fn a_second_pause_neither_counts_nor_lengthens_the_first() {
    let mut world = World::recorded_call();
    assert!(world.operator(Deed::Pause).is_ok());
    world.passes(Duration::from_secs(50));

    assert_eq!(world.operator(Deed::Pause), Err(NotDone::AlreadyPaused));

    world.passes(Duration::from_secs(10));
    assert_eq!(world.recording(), ["record", "suspend for a pause", "resume"]);
}

#[test]
fn what_is_not_recorded_is_not_paused_and_says_why() {
    let mut asked = World::with(Mode::OptIn);
    asked.call_is_up();
    assert_eq!(asked.operator(Deed::Pause), Err(NotDone::NotRecorded(Reason::InProgress)));
    assert_eq!(asked.operator(Deed::Resume), Err(NotDone::NotPaused));

    let mut never = World::new(vec![]);
    never.call_is_up();
    assert_eq!(never.operator(Deed::Pause), Err(NotDone::NotRecorded(Reason::NoPolicy)));
    assert_eq!(never.operator(Deed::Withdraw), Err(NotDone::NotRecorded(Reason::NoPolicy)));

    let (call, deed) = (CallId::from_u64(1), Deed::Pause);
    never.input(Input::Operator { call, deed });
    assert_eq!(never.answer_to_operator(), Err(NotDone::NoSuchCall));
}

#[test]
fn what_is_not_paused_is_not_resumed() {
    let mut world = World::recorded_call();

    assert_eq!(world.operator(Deed::Resume), Err(NotDone::NotPaused));

    assert_eq!(world.recording(), ["record"]);
}

#[test]
fn a_bye_that_is_challenged_does_not_resume_what_an_operator_paused() {
    let mut world = World::recorded_call();
    assert!(world.operator(Deed::Pause).is_ok());
    world.pbx_sends("BYE", 2, "b", "", "");
    world.trunk_answers(407, "b", "");
    assert_eq!(world.recording(), ["record", "suspend for a pause"]);

    assert_eq!(world.operator(Deed::Resume), Ok(Done::Resumed));
    assert_eq!(world.recording(), ["record", "suspend for a pause", "resume"]);
}

#[test]
fn a_pause_that_begins_while_a_bye_is_on_its_way_outlasts_the_challenge() {
    let mut world = World::recorded_call();
    world.pbx_sends("BYE", 2, "b", "", "");
    assert!(world.operator(Deed::Pause).is_ok());
    world.trunk_answers(401, "b", "");
    assert_eq!(world.recording(), ["record", "suspend for a BYE", "suspend for a pause"]);

    world.passes(LONGEST_PAUSE);

    assert_eq!(world.recording(), ["record", "suspend for a BYE", "suspend for a pause", "resume"]);
}

#[test]
fn an_operator_does_not_resume_what_a_bye_on_its_way_has_suspended() {
    let mut world = World::recorded_call();
    assert!(world.operator(Deed::Pause).is_ok());
    world.pbx_sends("BYE", 2, "b", "", "");

    assert_eq!(world.operator(Deed::Resume), Ok(Done::Resumed));
    assert_eq!(world.recording(), ["record", "suspend for a pause"]);
    assert!(!world.table.live()[0].is_recording);

    world.trunk_answers(401, "b", "");
    assert_eq!(world.recording(), ["record", "suspend for a pause", "resume"]);
}

#[test]
fn of_two_byes_on_their_way_the_second_challenge_resumes() {
    let mut world = World::recorded_call();
    world.pbx_sends("BYE", 2, "b", "", "");
    let first = world.asked.clone();
    world.pbx_sends("BYE", 3, "b", "", "");
    world.trunk_answers(401, "b", "");
    assert_eq!(world.recording(), ["record", "suspend for a BYE"]);

    world.asked = first;
    world.trunk_answers(401, "b", "");

    assert_eq!(world.recording(), ["record", "suspend for a BYE", "resume"]);
}

#[test]
fn a_bye_that_we_refuse_suspends_nothing() {
    let mut world = World::recorded_call();

    let escaping = offer("192.0.2.10", 4000, "0").replace("c=IN IP4 192.0.2.10", "c=IN IP6 2001:db8::10");
    world.pbx_sends("BYE", 2, "b", "Content-Type: application/sdp\r\n", &escaping);

    assert_eq!(world.to_pbx_any("488").status(), Some(488));
    assert_eq!(world.recording(), ["record"]);
}

#[test]
fn what_is_granted_while_a_bye_is_on_its_way_begins_when_the_bye_was_challenged() {
    let mut world = World::with(Mode::Announce);
    world.call_is_up();
    world.pbx_sends("BYE", 2, "b", "", "");
    for announcing in world.announced() {
        world.played(&announcing);
    }
    assert_eq!(world.recording(), [""; 0], "nothing is begun for a call that ends");

    world.trunk_answers(401, "b", "");

    assert_eq!(world.recording(), ["record"]);
}

#[test]
fn what_is_granted_while_the_last_bye_is_on_its_way_is_never_recorded() {
    let mut world = World::with(Mode::Announce);
    world.call_is_up();
    world.pbx_sends("BYE", 2, "b", "", "");
    for announcing in world.announced() {
        world.played(&announcing);
    }

    world.trunk_answers(200, "b", "");

    assert_eq!(world.recording(), [""; 0]);
    assert_eq!(world.last_story().reason, Reason::EndedBeforeConsent);
    assert_eq!(world.last_story().recording, None);
}

#[test]
fn a_paused_call_that_ends_is_not_resumed_and_leaves_no_timer() {
    let mut world = World::recorded_call();
    assert!(world.operator(Deed::Pause).is_ok());
    world.pbx_sends("BYE", 2, "b", "", "");
    world.trunk_answers(200, "b", "");
    world.passes(Duration::from_secs(300));

    assert_eq!(world.recording(), ["record", "suspend for a pause", "end HungUp(Pbx)"]);
    assert_eq!(world.table.deadline(), None);
}

#[test]
fn media_agreed_anew_while_paused_do_not_resume() {
    let mut world = World::recorded_call();
    assert!(world.operator(Deed::Pause).is_ok());
    world.out.clear();

    world.pbx_sends("INVITE", 2, "b", "Content-Type: application/sdp\r\n", &offer("192.0.2.11", 4000, "8 101"));
    world.trunk_answers(200, "b", &offer("198.51.100.20", 6002, "8 101"));
    assert_eq!(world.recording(), [""; 0]);
    assert!(world.out.iter().any(|o| matches!(o, Output::Formats { .. })), "what comes after the pause is in other formats");

    assert_eq!(world.operator(Deed::Resume), Ok(Done::Resumed));
    assert_eq!(world.recording(), ["resume"]);
}

#[test]
fn media_that_are_not_recorded_end_a_paused_recording_and_its_pause() {
    let mut world = World::recorded_call();
    assert!(world.operator(Deed::Pause).is_ok());
    let fax = |ip, port| offer(ip, port, "t38").replace("m=audio", "m=image").replace("RTP/AVP", "udptl");

    world.pbx_sends("INVITE", 2, "b", "Content-Type: application/sdp\r\n", &fax("192.0.2.10", 4000));
    world.trunk_answers(200, "b", &fax("198.51.100.20", 6000));

    assert_eq!(world.recording(), ["record", "suspend for a pause", "end MediaChanged"]);
    assert_eq!(world.operator(Deed::Resume), Err(NotDone::NotPaused));
    assert_eq!(world.operator(Deed::Pause), Err(NotDone::NotRecorded(Reason::Recorded)));
}

#[test]
fn a_vault_that_fails_ends_a_pause_too() {
    let mut world = World::recorded_call();
    assert!(world.operator(Deed::Pause).is_ok());
    let call = world.table.live()[0].call;

    world.input(Input::VaultFailed { call, left_a_file: true });

    assert_eq!(world.recording(), ["record", "suspend for a pause", "end CallFailed"]);
    assert_eq!(world.operator(Deed::Pause), Err(NotDone::NotRecorded(Reason::VaultUnavailable)));
    world.passes(Duration::from_secs(300));
    assert_eq!((world.recording().len(), world.table.deadline()), (3, None));
}

#[test]
fn an_operator_withdraws_for_a_party_once_and_for_good() {
    let mut world = World::recorded_call();

    assert_eq!(world.operator(Deed::Withdraw), Ok(Done::Withdrawn));

    assert_eq!(world.recording(), ["record", "end Stopped"]);
    assert_eq!((world.last_story().reason, world.last_story().leg), (Reason::WithdrawnByOperator, None));
    assert!(world.last_story().recording.is_some(), "what was lawful until then stays");
    assert_eq!(world.table.live()[0].consent, Some(Standing::Withdrawn(By::Operator)));
    assert_eq!(world.table.count(), 1, "the call goes on");
    assert_eq!(world.operator(Deed::Withdraw), Err(NotDone::AlreadyWithdrawn));
    assert_eq!(world.operator(Deed::Pause), Err(NotDone::NotRecorded(Reason::WithdrawnByOperator)));
    assert_eq!(world.operator(Deed::Resume), Err(NotDone::NotPaused));
    assert_eq!(world.recording(), ["record", "end Stopped"]);
}

#[test]
fn a_paused_call_can_be_withdrawn_and_is_not_resumed() {
    let mut world = World::recorded_call();
    assert!(world.operator(Deed::Pause).is_ok());

    assert_eq!(world.operator(Deed::Withdraw), Ok(Done::Withdrawn));
    world.passes(Duration::from_secs(300));

    assert_eq!(world.recording(), ["record", "suspend for a pause", "end Stopped"]);
}

#[test]
fn what_a_party_withdrew_an_operator_does_not_withdraw_again() {
    let mut world = World::with(Mode::OptOut);
    world.call_is_up();
    for announcing in world.announced() {
        world.played(&announcing);
    }
    world.passes(Duration::from_secs(5));
    world.trunk_sends("INFO", 2, "b", "Content-Type: application/dtmf\r\n", "1");
    assert_eq!(world.recording(), ["record", "end Withdrawn(Trunk)"]);

    assert_eq!(world.operator(Deed::Withdraw), Err(NotDone::AlreadyWithdrawn));
    assert_eq!(world.last_story().reason, Reason::Withdrawn);
}

#[test]
fn an_operator_refuses_for_good_while_a_party_is_still_asked() {
    let mut world = World::with(Mode::OptIn);
    world.call_is_up();
    let announcing = world.announced();

    assert_eq!(world.operator(Deed::Withdraw), Ok(Done::Withdrawn));

    assert!(world.orders().any(|order| matches!(order, Order::StopAnnouncement { .. })), "nobody is asked any longer");
    assert_eq!(world.last_story().reason, Reason::WithdrawnByOperator);
    assert_eq!(world.table.live()[0].consent, Some(Standing::Refused(Refusal::Operator)));
    announcing.iter().for_each(|announcing| world.played(announcing));
    world.trunk_sends("INFO", 2, "b", "Content-Type: application/dtmf\r\n", "1");
    world.passes(Duration::from_secs(5));
    assert_eq!(world.recording(), [""; 0]);
    assert_eq!(world.operator(Deed::Withdraw), Err(NotDone::NotRecorded(Reason::WithdrawnByOperator)));
}

#[test]
fn an_operator_who_withdraws_before_the_answer_keeps_the_call_from_being_asked() {
    let mut world = World::with(Mode::Announce);
    world.pbx_calls(&offer("192.0.2.10", 4000, "0 101"));

    assert_eq!(world.operator(Deed::Withdraw), Ok(Done::Withdrawn));
    assert_eq!(world.operator(Deed::Withdraw), Err(NotDone::AlreadyWithdrawn));
    world.trunk_answers(200, "b", &offer("198.51.100.20", 6000, "0 101"));
    world.pbx_acks("b");

    assert_eq!(world.announced(), []);
    assert_eq!(world.last_story().reason, Reason::WithdrawnByOperator);
}

#[test]
fn an_operators_refusal_ends_the_call_where_the_policy_says_so_and_his_withdrawal_does_not() {
    let mut asked = World::with_terms(Mode::OptIn, WithoutConsent::HangUp);
    asked.call_is_up();
    assert_eq!(asked.operator(Deed::Withdraw), Ok(Done::Withdrawn));
    assert_eq!((asked.to_pbx("BYE").is_request(), asked.table.count()), (true, 0));

    let mut granted = World::with_terms(Mode::Announce, WithoutConsent::HangUp);
    granted.call_is_up();
    for announcing in granted.announced() {
        granted.played(&announcing);
    }
    assert_eq!(granted.operator(Deed::Withdraw), Ok(Done::Withdrawn));
    assert_eq!(granted.table.count(), 1);
}

#[test]
fn while_the_calls_are_drained_no_new_one_is_taken_and_those_that_are_go_on() {
    let mut world = World::recorded_call();
    world.input(Input::Drain);

    assert!(!world.pbx_call_number(1, &offer("192.0.2.10", 4000, "0 101")));
    let refused = world.to_pbx_any("503");
    assert_eq!(refused.value(Name::RetryAfter), Some(&b"30"[..]));
    assert_eq!(world.last_story().reason, Reason::Draining);
    assert_eq!(world.recording(), ["record"]);

    world.calls = 0;
    world.pbx_sends("INVITE", 2, "b", "Content-Type: application/sdp\r\n", &offer("192.0.2.10", 4002, "0 101"));
    world.trunk_answers(200, "b", &offer("198.51.100.20", 6000, "0 101"));
    assert!(world.to_pbx_any("200").status().is_some(), "what they agree anew goes through");
    world.pbx_sends("BYE", 3, "b", "", "");
    world.trunk_answers(200, "b", "");
    assert_eq!((world.table.count(), world.last_story().reason), (0, Reason::Recorded));
}

#[test]
fn each_side_is_looked_for_as_its_peer_is_configured() {
    let mut world = World::learning(Mode::Announce);

    world.call_is_up();

    let rules = world.orders().filter_map(|order| match order {
        Order::Bridge(bridging) => Some(bridging.latching.each_ref().map(|latching| latching.rule)),
        _ => None,
    });
    assert_eq!(rules.collect::<Vec<_>>(), [[LatchRule::Learn, LatchRule::Strict]]);
}

#[test]
fn a_party_that_was_described_with_early_media_may_be_found_from_the_answer_on() {
    let mut world = World::learning(Mode::Announce);
    let described = |world: &World| {
        let of = |leg| world.orders().filter(|order| matches!(order, Order::Describe { leg: of, .. } if *of == leg)).count();
        Leg::BOTH.map(of)
    };
    world.pbx_calls(&offer("192.0.2.10", 4000, "0 101"));
    world.trunk_answers(183, "b", &offer("198.51.100.20", 6000, "0 101"));
    assert_eq!(described(&world), [1, 1]);

    world.trunk_answers(200, "b", &offer("198.51.100.20", 6000, "0 101"));
    assert_eq!(described(&world), [2, 1], "the PBX's party, whose media may come from elsewhere");

    world.trunk_answers(200, "b", &offer("198.51.100.20", 6000, "0 101"));
    assert_eq!(described(&world), [2, 1], "that it comes again says nothing new");
}

#[test]
fn a_party_that_was_told_where_it_is_not_is_told_again_while_it_is_asked() {
    let mut world = World::learning(Mode::OptIn);
    world.call_is_up();
    let told = world.announced();
    told.iter().for_each(|announcing| world.played(announcing));

    world.media(Event::Moved { id: BridgeId { line: 1, ..told[0].id }, leg: Leg::Pbx });
    assert_eq!(world.announced(), [], "another line is nothing to it");
    world.media(Event::Moved { id: told[0].id, leg: Leg::Pbx });
    assert_eq!(world.announced().iter().map(|announcing| announcing.leg).collect::<Vec<_>>(), [Leg::Pbx]);
}

// ── the world ──────────────────────────────────────────────────────────────────────────────────────────────────────

/// One policy for all calls.
fn all_by(mode: Mode, without_consent: WithoutConsent) -> Vec<Arc<Policy>> {
    for_all(Terms { without_consent, ..terms(mode) })
}

/// One policy for all calls that takes out of offers what cannot be announced.
fn restricted() -> Vec<Arc<Policy>> {
    let policies = all_by(Mode::Announce, WithoutConsent::GoOn);
    policies.iter().map(|policy| Arc::new(Policy { codecs: Codecs::Restrict, ..(**policy).clone() })).collect()
}

struct World {
    table: Table,
    now: Moment,
    out: Vec<Output>,
    ports: u32,
    stocked: usize,
    has_ports: bool,
    calls: usize,
    /// The request that the trunk or the PBX was sent last, to be answered.
    asked: Option<Message>,
    /// The ports of a call that was restored.
    opened: Vec<PortPair>,
}

impl World {
    fn with(mode: Mode) -> Self {
        Self::with_terms(mode, WithoutConsent::GoOn)
    }

    fn with_terms(mode: Mode, without_consent: WithoutConsent) -> Self {
        Self::new(all_by(mode, without_consent))
    }

    fn new(policies: Vec<Arc<Policy>>) -> Self {
        Self::made(policies, None, Latching::default(), None)
    }

    /// A call whose media may be found dead.
    fn watched(policies: Vec<Arc<Policy>>, then: WhenDead) -> Self {
        Self::made(policies, Some(DeadMedia { after: Duration::from_secs(60), then }), Latching::default(), None)
    }

    /// The PBX's media may come from elsewhere than it says.
    fn learning(mode: Mode) -> Self {
        let latching = Latching { rule: LatchRule::Learn, ..Latching::default() };
        Self::made(all_by(mode, WithoutConsent::GoOn), None, latching, None)
    }

    /// A call that two phones of the trunk have answered, `x` first, and each answer is acknowledged.
    fn forked() -> Self {
        let mut world = Self::with(Mode::Announce);
        world.pbx_calls(&offer("192.0.2.10", 4000, "0"));
        let invite = world.asked.clone();
        for (tag, phone) in [("x", "198.51.100.20"), ("y", "198.51.100.21")] {
            world.asked.clone_from(&invite);
            world.trunk_answers(200, tag, &offer(phone, 6000, "0"));
            world.pbx_acks(tag);
        }
        world
    }

    /// SRTP, where it is that, ends here.
    fn secured(pbx: MediaAs, trunk: MediaAs) -> Self {
        let policies = all_by(Mode::Announce, WithoutConsent::GoOn);
        Self::made(policies, None, Latching::default(), Some([pbx, trunk]))
    }

    fn made(policies: Vec<Arc<Policy>>, dead: Option<DeadMedia>, latching: Latching, media_as: Option<[MediaAs; 2]>) -> Self {
        Self::at(["192.0.2.2", "203.0.113.1"], policies, dead, latching, media_as)
    }

    /// One that takes no more than this of anybody, and answers strangers.
    fn guarded(guarding: Guarding) -> Self {
        let policies = all_by(Mode::Announce, WithoutConsent::GoOn);
        let config = Self::config(["192.0.2.2", "203.0.113.1"], policies, None, Latching::default(), None);
        Self::of(Config { strangers: Strangers::Forbid, guarding, ..config })
    }

    /// One whose media have these addresses towards the PBX and the trunk.
    fn at(
        media: [&str; 2],
        policies: Vec<Arc<Policy>>,
        dead: Option<DeadMedia>,
        latching: Latching,
        media_as: Option<[MediaAs; 2]>,
    ) -> Self {
        Self::of(Self::config(media, policies, dead, latching, media_as))
    }

    fn config(
        media: [&str; 2],
        policies: Vec<Arc<Policy>>,
        dead: Option<DeadMedia>,
        latching: Latching,
        media_as: Option<[MediaAs; 2]>,
    ) -> Config {
        Config {
            sip: mitschnitt::sip::Config::new(addr(PROXY)),
            peers: Peers {
                pbx: Peer {
                    way: Flow::first(addr(PBX)),
                    transport: Transport::Udp,
                    networks: vec![],
                    latching,
                    media_as: media_as.map(|[pbx, _]| pbx),
                    routing: Default::default(),
                },
                trunks: vec![(
                    TrunkName::new("carrier"),
                    Peer {
                        way: Flow::first(addr(TRUNK)),
                        transport: Transport::Udp,
                        networks: vec![Network { address: "198.51.100.0".parse().unwrap(), prefix: 24 }],
                        latching: Default::default(),
                        media_as: media_as.map(|[_, trunk]| trunk),
                        routing: Default::default(),
                    },
                )],
            },
            strangers: Strangers::Drop,
            // As much as there is: what the bounds of the calls themselves are is seen without those of a peer.
            guarding: Guarding { peer_rate: None, ringing: CALLS, ringing_of_peer: CALLS, ..Guarding::default() },
            media: media.map(|ip| ip.parse().unwrap()),
            policies,
            emergency: vec!["112".to_owned()],
            unrecorded: Some("*31".to_owned()),
            indexed: ["Session-ID", "User-to-User", "X-Deal"].map(Into::into).to_vec(),
            handles: HandleKey::new(Zeroizing::new([8; 32])),
            registering: Registering::new(ContactKey::new(Zeroizing::new([9; 32])), Vec::new()),
            port_stock: PORT_STOCK,
            dead,
            keys: KeySource::new(Zeroizing::new([7; 32])),
            clocks: (Moment::START, Wall::from_unix_micros(1_795_512_600_000_000)),
        }
    }

    fn of(config: Config) -> Self {
        let now = Moment::from_millis(1);
        let table = Table::new(config, [7, 8], now);
        let mut world = Self {
            table,
            now,
            out: Vec::new(),
            ports: 0,
            stocked: 0,
            has_ports: true,
            calls: 0,
            asked: None,
            opened: Vec::new(),
        };
        world.drain();
        world
    }

    /// A call that is recorded.
    fn recorded_call() -> Self {
        let mut world = Self::with(Mode::Announce);
        world.call_is_up();
        for announcing in world.announced() {
            world.played(&announcing);
        }
        world
    }

    /// An operator does something to the one call there is.
    fn operator(&mut self, deed: Deed) -> Result<Done, NotDone> {
        let call = self.table.live()[0].call;
        self.input(Input::Operator { call, deed });
        self.answer_to_operator()
    }

    fn input(&mut self, input: Input) {
        self.table.handle(input, self.now);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.table.poll() {
            match output {
                Output::WantPorts { leg, count } if self.has_ports || self.stocked < 128 => {
                    let pairs = (0..count).map(|_| self.pair(leg)).collect::<Vec<_>>();
                    self.stocked += count;
                    self.table.handle(Input::Ports(pairs), self.now);
                }
                Output::WantPorts { .. } => {}
                Output::Send { to, or, bytes } => {
                    let message = Message::parse_datagram(bytes.clone()).unwrap();
                    if message.is_request() {
                        self.asked = Some(message);
                    }
                    self.out.push(Output::Send { to, or, bytes });
                }
                other => self.out.push(other),
            }
        }
    }

    fn pair(&mut self, leg: Leg) -> PortPair {
        let n = self.ports;
        self.ports += 1;
        let rtp = 20_000 + u16::try_from(n).unwrap() * 2;
        PortPair { leg, ids: PairIds { rtp: PortId(2 * n), rtcp: PortId(2 * n + 1) }, rtp, rtcp: rtp + 1 }
    }

    fn datagram(&mut self, from: &str, text: &str) {
        self.input(Input::Message { from: Flow::first(addr(from)), bytes: Bytes::copy_from_slice(text.as_bytes()) });
    }

    fn media(&mut self, event: Event) {
        self.input(Input::Media(event));
    }

    fn passes(&mut self, span: Duration) {
        let until = self.now + span;
        while let Some(at) = self.table.deadline().filter(|&at| at <= until) {
            self.now = self.now.max(at);
            self.table.wake(self.now);
            self.drain();
        }
        self.now = until;
    }

    fn call_is_up(&mut self) {
        self.pbx_call_number(self.calls, &offer("192.0.2.10", 4000, "0 101"));
        self.trunk_answers(200, "b", &offer("198.51.100.20", 6000, "0 101"));
        self.pbx_acks("b");
    }

    fn pbx_calls(&mut self, sdp: &str) {
        self.pbx_call_number(0, sdp);
    }

    /// Places a call, and says whether it went on to the trunk.
    fn pbx_call_number(&mut self, number: usize, sdp: &str) -> bool {
        self.calls = number;
        let content = if sdp.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        self.asked = None;
        self.datagram(PBX, &numbered("INVITE", "sip:200@192.0.2.1", PBX, 1, "a", None, content, sdp, number));
        self.calls = number + usize::from(self.asked.is_some());
        let went_on = self.asked.is_some();
        if went_on {
            self.calls = number;
        }
        self.calls += usize::from(went_on && !self.has_ports);
        went_on
    }

    fn pbx_sends(&mut self, method: &str, cseq: u32, to_tag: &str, lines: &str, body: &str) {
        let number = self.calls;
        self.datagram(PBX, &numbered(method, "sip:200@198.51.100.20:5060", PBX, cseq, "a", Some(to_tag), lines, body, number));
    }

    fn pbx_acks(&mut self, to_tag: &str) {
        self.pbx_sends("ACK", 1, to_tag, "", "");
    }

    fn trunk_sends(&mut self, method: &str, cseq: u32, from_tag: &str, lines: &str, body: &str) {
        let text = request(method, "sip:100@192.0.2.10:5060", TRUNK, cseq, from_tag, Some("a"), lines, body);
        self.datagram(TRUNK, &text);
    }

    /// Answers the request that was sent last.
    fn trunk_answers(&mut self, status: u16, to_tag: &str, sdp: &str) {
        let text = self.answer(status, to_tag, sdp);
        self.datagram(TRUNK, &text);
    }

    fn answer(&self, status: u16, to_tag: &str, sdp: &str) -> String {
        let asked = self.asked.clone().expect("a request was sent");
        let mut text = format!("SIP/2.0 {status} So\r\n");
        for line in asked
            .headers()
            .filter(|line| matches!(line.kind, Name::Via | Name::RecordRoute | Name::From | Name::CallId | Name::CSeq))
        {
            text.push_str(std::str::from_utf8(line.raw).unwrap());
        }
        let to = String::from_utf8_lossy(asked.value(Name::To).unwrap()).into_owned();
        let to = if to.contains("tag=") { to } else { format!("{to};tag={to_tag}") };
        text.push_str(&format!("To: {to}\r\nContact: <sip:200@198.51.100.20:5060>\r\n"));
        if !sdp.is_empty() {
            text.push_str("Content-Type: application/sdp\r\n");
        }
        text.push_str(&format!("Content-Length: {}\r\n\r\n{sdp}", sdp.len()));
        text
    }

    /// The PBX answers the request that it was sent last.
    fn pbx_answers(&mut self, sdp: &str) {
        let text = self.answer(200, "a", sdp);
        self.datagram(PBX, &text);
    }

    fn played(&mut self, announcing: &Announcing) {
        let mut player = Player::new(announcing.leg, announcing.clip.clone(), 20);
        let sent = SentAs { ssrc: 1, sequence: 2, timestamp: 3 };
        let played = player.sent(sent, self.now).expect("the clip has one frame");
        self.media(Event::Played { id: announcing.id, played });
    }

    // ── what came out ──────────────────────────────────────────────────────────────────────────────────────────────

    fn messages(&self, to: &str) -> Vec<Message> {
        self.out
            .iter()
            .filter_map(|output| match output {
                Output::Send { to: at, or: _, bytes } if at.far == addr(to) => Message::parse_datagram(bytes.clone()).ok(),
                _ => None,
            })
            .collect()
    }

    fn first_word(&self, to: &str, word: &str) -> Message {
        let all = self.messages(to);
        let start = |m: &Message| String::from_utf8_lossy(m.as_bytes().split(|&b| b == b'\r').next().unwrap()).into_owned();
        all.iter()
            .rev()
            .find(|m| start(m).starts_with(word) || start(m).starts_with(&format!("SIP/2.0 {word}")))
            .cloned()
            .unwrap_or_else(|| panic!("no {word} to {to}, but {:?}", all.iter().map(start).collect::<Vec<_>>()))
    }

    fn to_trunk(&self, method: &str) -> Message {
        self.first_word(TRUNK, method)
    }

    fn to_trunk_any(&self, word: &str) -> Message {
        self.first_word(TRUNK, word)
    }

    fn to_pbx(&self, method: &str) -> Message {
        self.first_word(PBX, method)
    }

    fn to_pbx_any(&self, word: &str) -> Message {
        self.first_word(PBX, word)
    }

    fn sdp(&self, message: &Message) -> Sdp {
        Sdp::parse(message.body()).expect("a session description")
    }

    fn orders(&self) -> impl Iterator<Item = &Order> {
        self.out.iter().filter_map(|output| match output {
            Output::Media { order, .. } => Some(order),
            _ => None,
        })
    }

    /// The bridge that is watched, if one is.
    fn watched_bridge(&self) -> Option<BridgeId> {
        self.orders().find_map(|order| match order {
            Order::Watch { id, patience, again: _ } => {
                assert_eq!(*patience, Duration::from_secs(60));
                Some(*id)
            }
            _ => None,
        })
    }

    /// What was told of silence.
    fn silences(&self) -> Vec<(Silence, WhenDead)> {
        let told = self.out.iter().filter_map(|output| match output {
            Output::Silent { who, then, .. } => Some((*who, *then)),
            _ => None,
        });
        told.collect()
    }

    /// Takes the announcements that were ordered since this was last asked.
    fn announced(&mut self) -> Vec<AnnouncingEq> {
        let mut announced = Vec::new();
        self.out.retain(|output| match output {
            Output::Media { order: Order::Announce(announcing), .. } => {
                announced.push(AnnouncingEq(announcing.clone()));
                false
            }
            _ => true,
        });
        announced
    }

    fn recorded(&self) -> Option<(BridgeId, Vec<mitschnitt::call::RecordedFormat>)> {
        self.out.iter().find_map(|output| match output {
            Output::Record { id, formats, .. } => Some((*id, formats.clone())),
            _ => None,
        })
    }

    /// What was ordered of the recorder, in order.
    fn recording(&self) -> Vec<String> {
        let ordered = self.out.iter().filter_map(|output| match output {
            Output::Record { .. } => Some("record".to_owned()),
            Output::Suspend { why: Suspension::Bye, .. } => Some("suspend for a BYE".to_owned()),
            Output::Suspend { why: Suspension::Pause, .. } => Some("suspend for a pause".to_owned()),
            Output::Resume { .. } => Some("resume".to_owned()),
            Output::EndRecording { why, .. } => Some(format!("end {why:?}")),
            _ => None,
        });
        ordered.collect()
    }

    /// Takes the one answer that an operator was given.
    fn answer_to_operator(&mut self) -> Result<Done, NotDone> {
        let mut answers = Vec::new();
        self.out.retain(|output| match output {
            Output::Answer { answer, .. } => {
                answers.push(*answer);
                false
            }
            _ => true,
        });
        assert_eq!(answers.len(), 1, "each deed has one answer");
        answers.remove(0)
    }

    /// What was done to the recordings, and by whom.
    fn turns(&self) -> Vec<(Turn, Doer)> {
        let turns = self.out.iter().filter_map(|output| match output {
            Output::Turn { what, by, .. } => Some((*what, *by)),
            _ => None,
        });
        turns.collect()
    }

    fn last_story(&self) -> &Story {
        let stories = self.out.iter().rev().find_map(|output| match output {
            Output::Story(story) => Some(&**story),
            _ => None,
        });
        stories.expect("every call has a story")
    }

    /// Ports that went into offers and answers, by what the bridges use.
    fn taken(&self) -> usize {
        let mut pairs: Vec<u32> = self
            .orders()
            .filter_map(|order| match order {
                Order::Bridge(bridging) => Some(bridging.ports.map(|pair| pair.rtp.0)),
                _ => None,
            })
            .flatten()
            .collect();
        pairs.sort_unstable();
        pairs.dedup();
        pairs.len()
    }

    fn given_back(&self) -> usize {
        self.out.iter().filter(|output| matches!(output, Output::GiveBack { .. })).count()
    }
}

/// An announcement that can be compared with nothing at all.
#[derive(Clone, Debug)]
struct AnnouncingEq(Announcing);

impl std::ops::Deref for AnnouncingEq {
    type Target = Announcing;
    fn deref(&self) -> &Announcing {
        &self.0
    }
}

impl PartialEq for AnnouncingEq {
    fn eq(&self, other: &Self) -> bool {
        (self.0.id, self.0.leg) == (other.0.id, other.0.leg)
    }
}

fn addr(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn offer(ip: &str, port: u16, formats: &str) -> String {
    format!(
        "v=0\r\no=- 7 9 IN IP4 {ip}\r\ns= \r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP {formats}\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=x-unknown:kept as it is\r\na=sendrecv\r\n"
    )
}

#[expect(clippy::too_many_arguments, reason = "the parts of a request, in their order")]
fn request(
    method: &str,
    uri: &str,
    from: &str,
    cseq: u32,
    from_tag: &str,
    to_tag: Option<&str>,
    lines: &str,
    body: &str,
) -> String {
    numbered(method, uri, from, cseq, from_tag, to_tag, lines, body, 0)
}

#[expect(clippy::too_many_arguments, reason = "the parts of a request, in their order")]
fn numbered(
    method: &str,
    uri: &str,
    from: &str,
    cseq: u32,
    from_tag: &str,
    to_tag: Option<&str>,
    lines: &str,
    body: &str,
    number: usize,
) -> String {
    let to_tag = to_tag.map(|tag| format!(";tag={tag}")).unwrap_or_default();
    let user = if from == PBX { "100" } else { "200" };
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{method}{cseq}{from_tag}{number};rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:100@192.0.2.10>;tag={from_tag}\r\nTo: <sip:200@192.0.2.1>{to_tag}\r\n\
         Call-ID: {number}@test\r\nCSeq: {cseq} {method}\r\nContact: <sip:{user}@{from}>\r\n{lines}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
