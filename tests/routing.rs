//! Which way a call goes where there is more than one, through the table of calls under virtual time.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::wildcard_enum_match_arm, reason = "a test may panic")]

mod call_scene;

use std::sync::Arc;
use std::time::Duration;

use call_scene::{Calls, PBX, TRUNK, US, answer, first_word, peer, request, sdp};
use mitschnitt::call::{Codecs, InCall, Input, MediaAs, Output, Peer, Peers, Policy, Routing, Selector, Selects, Signs};
use mitschnitt::ids::TrunkName;
use mitschnitt::network::Network;
use mitschnitt::sip::{End, EndId, Flow, Transport};
use mitschnitt::wire::sip::{Message, Name};

const SECOND: &str = "203.0.113.30:5060";
const PBX_2: &str = "192.0.2.11:5060";

/// Two trunks, each with one address, and a PBX with two.
fn peers(change: impl FnOnce(&mut Peer, &mut [(TrunkName, Peer)])) -> Peers {
    let mut pbx = peer(PBX);
    pbx.routing.others = vec![Flow::first(PBX_2.parse().unwrap())];
    let mut trunks = vec![(TrunkName::new("carrier"), peer(TRUNK)), (TrunkName::new("second"), peer(SECOND))];
    trunks[1].1.routing.priority = 1;
    change(&mut pbx, &mut trunks);
    Peers { pbx, trunks }
}

fn calls(change: impl FnOnce(&mut Peer, &mut [(TrunkName, Peer)])) -> Calls {
    // A policy for each trunk, so that the story tells which one counts.
    let policy = |trunk: &str| {
        let selector = Selector { trunk: Some(TrunkName::new(trunk)), ..Selector::default() };
        Arc::new(Policy {
            selector,
            name: trunk.into(),
            terms: None,
            clips: vec![],
            codecs: Codecs::AsOffered,
            mandatory: None,
            hook: None,
            in_call: InCall::default(),
            selects: Selects::default(),
            signs: Signs::default(),
        })
    };
    Calls::between(peers(change), "192.0.2.2", vec![policy("carrier"), policy("second")])
}

/// An INVITE from an address to another one, by whatever host stands in its Request-URI.
fn invite(id: &str, from: &str, to: &str) -> String {
    let body = sdp(from.split(':').next().unwrap(), 4000);
    format!(
        "INVITE sip:+4930123456@{to} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{id}\r\nMax-Forwards: 70\r\n\
         From: <sip:100@{from}>;tag=a\r\nTo: <sip:+4930123456@{to}>\r\nCall-ID: {id}\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:100@{from}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The INVITE that was sent there.
fn invited(calls: &mut Calls, at: &str) -> Message {
    calls.take(at).into_iter().find(|message| first_word(message) == "INVITE").unwrap_or_else(|| panic!("no INVITE at {at}"))
}

/// The trunk and the policy that the last story told of.
fn told(calls: &Calls) -> (String, String) {
    let story = calls.others.iter().rev().find_map(|output| match output {
        Output::Story(story) => Some((story.trunk.to_string(), story.policy.as_deref().unwrap_or_default().to_owned())),
        _ => None,
    });
    story.unwrap()
}

fn refuse(calls: &mut Calls, at: &str, invite: &Message, status: u16) {
    calls.arrive(at, answer(invite, status, "x", "").as_bytes());
}

#[test]
fn a_call_that_a_trunk_does_not_serve_goes_over_the_next_under_that_ones_policy() {
    let mut calls = calls(|_, _| {});
    calls.arrive(PBX, invite("c", PBX, "pbx.test").as_bytes());
    let first = invited(&mut calls, TRUNK);
    assert_eq!(told(&calls), ("carrier".into(), "carrier".into()));

    refuse(&mut calls, TRUNK, &first, 503);

    let second = invited(&mut calls, SECOND);
    assert_eq!(told(&calls), ("second".into(), "second".into()));
    let given_back = calls.others.iter().filter(|output| matches!(output, Output::GiveBack { .. })).count();
    assert_eq!(given_back, 2, "the ports of the first attempt");
    calls.arrive(SECOND, answer(&second, 200, "b", &sdp("203.0.113.30", 6000)).as_bytes());
    assert_eq!(calls.lines(PBX), ["100", "200"], "of the first trunk the PBX hears nothing");
    // What belongs to the call goes to the trunk that it took, whatever the Contact says.
    calls.arrive(
        PBX,
        b"BYE sip:b@192.0.2.77 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKbye\r\nRoute: <sip:203.0.113.1:5060;lr>\r\n\
          Max-Forwards: 70\r\nFrom: <sip:100@192.0.2.10:5060>;tag=a\r\nTo: <sip:x>;tag=b\r\nCall-ID: c\r\nCSeq: 2 BYE\r\nContent-Length: 0\r\n\r\n",
    );
    assert_eq!(calls.lines(SECOND), ["BYE"]);
}

#[test]
fn the_last_trunk_that_does_not_serve_a_call_is_what_the_pbx_hears_of() {
    let mut calls = calls(|_, _| {});
    calls.arrive(PBX, invite("c", PBX, "pbx.test").as_bytes());
    let first = invited(&mut calls, TRUNK);
    refuse(&mut calls, TRUNK, &first, 503);
    let second = invited(&mut calls, SECOND);
    refuse(&mut calls, SECOND, &second, 503);

    assert_eq!(calls.lines(PBX), ["100", "503"]);
    assert_eq!(calls.table.count(), 0);
}

#[test]
fn a_trunk_that_did_not_serve_is_tried_last_for_half_a_minute() {
    let mut calls = calls(|_, _| {});
    calls.arrive(PBX, invite("c1", PBX, "pbx.test").as_bytes());
    // It says nothing at all.
    calls.run_for(4000);
    let second = invited(&mut calls, SECOND);
    refuse(&mut calls, SECOND, &second, 486);
    calls.sent.clear();

    calls.arrive(PBX, invite("c2", PBX, "pbx.test").as_bytes());
    invited(&mut calls, SECOND);
    assert!(calls.take(TRUNK).is_empty(), "no call waits for it");

    calls.run_for(30_000);
    calls.arrive(PBX, invite("c3", PBX, "pbx.test").as_bytes());
    invited(&mut calls, TRUNK);
}

#[test]
fn a_call_whose_request_names_a_trunk_goes_there_first() {
    let mut calls = calls(|_, trunks| trunks[1].1.routing.takes_calls = false);
    calls.arrive(PBX, invite("c1", PBX, SECOND).as_bytes());
    let named = invited(&mut calls, SECOND);
    assert_eq!(told(&calls), ("second".into(), "second".into()));
    refuse(&mut calls, SECOND, &named, 503);
    invited(&mut calls, TRUNK);

    calls.arrive(PBX, invite("c2", PBX, "pbx.test").as_bytes());
    let first = invited(&mut calls, TRUNK);
    refuse(&mut calls, TRUNK, &first, 503);
    assert_eq!(calls.lines(PBX).last().unwrap(), "503", "the other takes no calls that do not name it");
}

#[test]
fn what_a_callee_refuses_is_refused() {
    for status in [302, 404, 486, 500, 603] {
        let mut calls = calls(|_, _| {});
        calls.arrive(PBX, invite("c", PBX, "pbx.test").as_bytes());
        let first = invited(&mut calls, TRUNK);

        refuse(&mut calls, TRUNK, &first, status);

        assert_eq!(calls.lines(PBX), ["100".to_owned(), status.to_string()]);
        assert!(calls.take(SECOND).is_empty());
    }
}

#[test]
fn a_call_to_the_company_goes_to_the_second_pbx_where_the_first_is_gone() {
    let mut calls = calls(|_, _| {});
    calls.arrive(TRUNK, invite("c", TRUNK, "company.test").as_bytes());
    assert_eq!(calls.lines(PBX), ["INVITE"]);

    calls.tell(Input::Unreachable { to: Flow::first(PBX.parse().unwrap()) });

    let second = invited(&mut calls, PBX_2);
    assert_eq!(told(&calls).0, "carrier", "the trunk is the one it came from");
    calls.arrive(PBX_2, answer(&second, 200, "b", &sdp("192.0.2.11", 6000)).as_bytes());
    assert_eq!(calls.lines(TRUNK), ["100", "200"]);
    assert_eq!(calls.table.count(), 1);
}

#[test]
fn each_address_of_the_pbx_is_the_pbx() {
    let mut calls = calls(|_, _| {});

    calls.arrive(PBX_2, invite("c", PBX_2, "pbx.test").as_bytes());

    let first = invited(&mut calls, TRUNK);
    assert_eq!(first.value(Name::CallId), Some(&b"c"[..]));
    refuse(&mut calls, TRUNK, &first, 486);
    assert_eq!(calls.lines(PBX_2), ["100", "486"]);
}

#[test]
fn a_call_is_anchored_anew_for_a_trunk_whose_media_are_carried_otherwise() {
    let mut calls = calls(|pbx, trunks| {
        pbx.media_as = Some(MediaAs::Rtp);
        trunks[0].1.media_as = Some(MediaAs::Srtp);
        trunks[1].1.media_as = Some(MediaAs::Rtp);
    });
    calls.arrive(PBX, invite("c", PBX, "pbx.test").as_bytes());
    let first = invited(&mut calls, TRUNK);
    assert!(String::from_utf8_lossy(first.body()).contains("RTP/SAVP"));

    refuse(&mut calls, TRUNK, &first, 503);

    let second = invited(&mut calls, SECOND);
    assert!(
        !String::from_utf8_lossy(second.body()).contains("SAVP") && !String::from_utf8_lossy(second.body()).contains("a=crypto")
    );
}

#[test]
fn a_call_that_is_cancelled_between_two_trunks_goes_nowhere() {
    let mut calls = calls(|_, _| {});
    let text = invite("c", PBX, "pbx.test");
    calls.arrive(PBX, text.as_bytes());
    calls.arrive(PBX, text.replace("INVITE", "CANCEL").replace("Content-Length: ", "X: ").as_bytes());

    calls.run_for(40_000);

    assert!(calls.take(SECOND).is_empty());
    assert_eq!(calls.table.count(), 0);
}

#[test]
fn who_does_not_answer_options_is_down_and_tried_last_until_it_does() {
    let every = Some(Duration::from_secs(30));
    let mut calls = calls(|_, trunks| trunks[0].1.routing = Routing { options_every: every, ..Routing::default() });
    calls.run_for(1000);
    let asked = calls.take(TRUNK);
    assert_eq!(first_word(&asked[0]), "OPTIONS");
    assert_eq!(asked[0].max_forwards().unwrap(), Some(0), "it is for that address and no other");

    // Three that nobody answers: each is given up after 32 s.
    calls.run_for(120_000);
    let reached = |calls: &Calls| {
        calls
            .others
            .iter()
            .filter_map(|output| match output {
                Output::Reached { trunk, is_up, .. } => Some((trunk.as_ref().unwrap().to_string(), *is_up)),
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(reached(&calls), [("carrier".to_owned(), false)]);
    assert!(!calls.table.reached(calls.now)[2].is_up);
    calls.sent.clear();
    calls.arrive(PBX, invite("c", PBX, "pbx.test").as_bytes());
    invited(&mut calls, SECOND);

    for _ in 0..2 {
        calls.sent.clear();
        let asked = (0..100).find_map(|_| {
            calls.run_for(1000);
            calls.take(TRUNK).into_iter().find(|message| first_word(message) == "OPTIONS")
        });
        calls.arrive(TRUNK, answer(&asked.unwrap(), 404, "t", "").as_bytes());
    }
    assert_eq!(reached(&calls).last().unwrap(), &("carrier".to_owned(), true));
}

#[test]
fn an_emergency_call_goes_over_whatever_trunk_serves_it_and_under_no_policy() {
    let mut calls = calls(|_, _| {});
    calls.arrive(PBX, invite("c", PBX, "pbx.test").replace("sip:+4930123456@pbx.test SIP", "urn:service:sos SIP").as_bytes());
    let first = invited(&mut calls, TRUNK);

    refuse(&mut calls, TRUNK, &first, 503);

    invited(&mut calls, SECOND);
    assert_eq!(told(&calls), ("second".into(), String::new()));
}

#[test]
fn a_call_that_is_to_be_secret_goes_over_tls_or_not_at_all() {
    let secret = |id: &str| invite(id, PBX, "pbx.test").replace("INVITE sip:", "INVITE sips:");
    let mut none = calls(|_, _| {});
    none.arrive(PBX, secret("c").as_bytes());
    let refusal = none.take(PBX).pop().unwrap();
    assert_eq!(refusal.status(), Some(480));
    assert!(refusal.named(b"Warning").next().unwrap().starts_with(b"380 "), "SIPS Not Allowed (RFC 5630)");
    assert!(none.take(TRUNK).is_empty() && none.table.count() == 0);
    none.arrive(PBX, secret("sos").replace("sips:+4930123456@pbx.test SIP", "sips:112@pbx.test SIP").as_bytes());
    invited(&mut none, TRUNK);

    let mut calls = Calls::between_ends(
        peers(|_, trunks| {
            trunks[1].1.way.end = EndId(1);
            trunks[1].1.transport = Transport::Tls;
        }),
        vec![
            End { transport: Transport::Udp, address: US.parse().unwrap() },
            End { transport: Transport::Tls, address: "203.0.113.1:5061".parse().unwrap() },
        ],
    );
    calls.arrive(PBX, secret("c").as_bytes());
    let only = invited(&mut calls, SECOND);
    refuse_over(&mut calls, Flow { end: EndId(1), far: SECOND.parse().unwrap() }, &only, 503);
    assert_eq!(calls.lines(PBX), ["100", "503"]);
    assert!(calls.take(TRUNK).is_empty(), "the trunk without TLS is no way for it");
}

fn refuse_over(calls: &mut Calls, from: Flow, invite: &Message, status: u16) {
    calls.tell(Input::Message { from, bytes: answer(invite, status, "x", "").into() });
}

#[test]
fn what_a_dialog_says_is_taken_from_its_own_trunk_and_from_no_other() {
    let mut calls = calls(|_, _| {});
    calls.arrive(TRUNK, invite("c", TRUNK, "company.test").as_bytes());
    let invited = invited(&mut calls, PBX);
    calls.arrive(PBX, answer(&invited, 200, "b", &sdp("192.0.2.10", 6000)).as_bytes());
    calls.sent.clear();
    let says = |from: &str, method: &str, cseq: u32| {
        format!(
            "{method} sip:b@192.0.2.10:5060 SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{method}{cseq}\r\nRoute: <sip:203.0.113.1:5060;lr>\r\n\
             Max-Forwards: 70\r\nFrom: <sip:100@{TRUNK}>;tag=a\r\nTo: <sip:x>;tag=b\r\nCall-ID: c\r\nCSeq: {cseq} {method}\r\nContent-Length: 0\r\n\r\n"
        )
    };

    for (method, cseq) in [("ACK", 1), ("BYE", 2), ("INFO", 3)] {
        calls.arrive(SECOND, says(SECOND, method, cseq).as_bytes());
    }

    assert!(calls.take(PBX).is_empty(), "with all tags right, the PBX hears of none of it");
    assert_eq!((calls.table.tallies().not_of_the_dialog, calls.table.count()), (3, 1));
    calls.arrive(TRUNK, says(TRUNK, "ACK", 1).as_bytes());
    assert_eq!(calls.lines(PBX), ["ACK"]);
}

#[test]
fn trunks_of_one_priority_share_the_calls() {
    let mut calls = calls(|_, trunks| trunks[1].1.routing.priority = 0);
    let mut firsts = [0, 0];
    for nth in 0..100 {
        calls.arrive(PBX, invite(&format!("c{nth}"), PBX, "pbx.test").as_bytes());
        for (at, trunk) in [TRUNK, SECOND].iter().enumerate() {
            for invite in calls.take(trunk).iter().filter(|message| first_word(message) == "INVITE") {
                firsts[at] += 1;
                refuse(&mut calls, trunk, invite, 486);
            }
        }
    }

    assert_eq!(firsts[0] + firsts[1], 100);
    assert!(firsts.iter().all(|count| (30..=70).contains(count)), "{firsts:?}");
}

/// A call to a trunk is up.
fn up(calls: &mut Calls, at: &str) {
    calls.arrive(PBX, invite("c", PBX, "pbx.test").as_bytes());
    let invite = invited(calls, at);
    calls.arrive(at, answer(&invite, 200, "b", &sdp("203.0.113.30", 6000)).as_bytes());
    calls.arrive(PBX, request("ACK", "c", PBX, 1, Some("b"), "").as_bytes());
    calls.sent.clear();
}

#[test]
fn a_trunk_ends_its_call_from_an_address_that_may_be_anothers_too() {
    let mut calls = calls(|_, trunks| {
        trunks[0].1.routing.priority = 2;
        for (_, trunk) in trunks {
            trunk.networks.push(Network { address: "203.0.113.128".parse().unwrap(), prefix: 25 });
        }
    });
    up(&mut calls, SECOND);

    calls.arrive("203.0.113.200:5060", request("BYE", "c", "203.0.113.200:5060", 1, Some("b"), "").as_bytes());

    assert_eq!(calls.lines(PBX), ["BYE"]);
}

#[test]
fn who_had_a_call_when_its_name_moved_ends_it_and_is_a_stranger_then() {
    let mut calls = calls(|_, _| {});
    up(&mut calls, TRUNK);
    let moved = vec![(Flow::first("198.51.100.77:5060".parse().unwrap()), 0, 1)];
    calls.tell(Input::Located { trunk: Some(0), transport: Transport::Udp, ways: moved });

    calls.arrive(TRUNK, request("BYE", "c", TRUNK, 1, Some("b"), "").as_bytes());

    let bye = calls.take(PBX).pop().expect("the call is not left up");
    calls.arrive(PBX, answer(&bye, 200, "a", "").as_bytes());
    assert_eq!((calls.table.count(), calls.lines(TRUNK)), (0, vec!["200".to_owned()]));
    let clocks = mitschnitt::time::Wall::from_unix_micros(1_795_512_601_000_000);
    calls.tell(Input::Clocks(calls.now, clocks));
    calls.arrive(TRUNK, invite("d", TRUNK, "company.test").as_bytes());
    assert!(calls.sent.is_empty(), "the address may be anybody's by now");
}

#[test]
fn a_name_that_leads_to_us_leads_nowhere() {
    let mut calls = calls(|_, _| {});
    for (far, transport) in [(US, Transport::Udp), ("203.0.113.1:5060", Transport::Tcp)] {
        let ways = vec![(Flow::first(far.parse().unwrap()), 0, 1)];
        calls.tell(Input::Located { trunk: Some(0), transport, ways });
    }

    calls.arrive(PBX, invite("c", PBX, "pbx.test").as_bytes());

    assert!(calls.take(US).is_empty());
    invited(&mut calls, TRUNK);
}

#[test]
fn a_name_that_leads_to_anothers_address_does_not_speak_for_it() {
    let mut calls = calls(|_, _| {});
    let ways = vec![(Flow::first(SECOND.parse().unwrap()), 0, 1)];
    calls.tell(Input::Located { trunk: Some(0), transport: Transport::Udp, ways });

    calls.arrive(SECOND, invite("c", SECOND, "company.test").as_bytes());

    assert_eq!(told(&calls), ("second".into(), "second".into()), "and that one's policy is the call's");
}

#[test]
fn a_call_that_is_challenged_comes_again_to_who_has_challenged_it() {
    let mut calls = calls(|_, trunks| trunks[1].1.routing.priority = 0);
    for nth in 0..20 {
        calls.sent.clear();
        let first = invite(&format!("c{nth}"), PBX, "pbx.test");
        calls.arrive(PBX, first.as_bytes());
        let at =
            [TRUNK, SECOND].into_iter().find(|trunk| calls.sent.iter().any(|(to, _)| *to == call_scene::addr(trunk))).unwrap();
        let challenged = invited(&mut calls, at);
        refuse(&mut calls, at, &challenged, 407);
        calls.sent.clear();

        let again = first.replace("CSeq: 1", "CSeq: 2").replace("z9hG4bK", "z9hG4bKagain");
        calls.arrive(PBX, again.as_bytes());

        let again = invited(&mut calls, at);
        refuse(&mut calls, at, &again, 486);
    }
}

#[test]
fn what_belongs_to_no_call_that_is_known_goes_to_the_trunk_that_it_names() {
    let mut calls = calls(|_, _| {});

    let bye = request("BYE", "before", PBX, 7, Some("b"), "").replace("198.51.100.20:5060 SIP", &format!("{SECOND} SIP"));
    calls.arrive(PBX, bye.as_bytes());

    assert_eq!((calls.lines(SECOND), calls.lines(TRUNK)), (vec!["BYE".to_owned()], vec![]));
}

#[test]
fn a_caller_is_called_back_where_it_is_whatever_port_it_called_from() {
    const OTHER: &str = "198.51.100.21:5060";
    let mut calls = calls(|_, trunks| {
        trunks[0].1.routing.others = vec![Flow::first(OTHER.parse().unwrap())];
        trunks[0].1.networks.push(Network { address: "198.51.100.21".parse().unwrap(), prefix: 32 });
    });
    let from = "198.51.100.21:40000";
    calls.arrive(from, invite("c", from, "company.test").as_bytes());
    let first = invited(&mut calls, PBX);
    calls.arrive(PBX, answer(&first, 200, "b", &sdp("192.0.2.10", 6000)).as_bytes());
    calls.sent.clear();

    let bye = request("BYE", "c", PBX, 1, None, "").replace("tag=a", "tag=b").replace("y@example.test>", "y@example.test>;tag=a");
    calls.arrive(PBX, bye.replace("100@198.51.100.20:5060", "100@carrier.test").as_bytes());

    assert_eq!((calls.lines(OTHER), calls.lines(TRUNK)), (vec!["BYE".to_owned()], vec![]));
}
