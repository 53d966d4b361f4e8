//! The torture messages of RFC 4475 and RFC 5118, each against its verdict: what becomes of it, no second message, bytes as they came.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test may panic"
)]

mod call_scene;
#[path = "torture/case.rs"]
mod case;
#[path = "torture/over.rs"]
mod over;
#[path = "torture/passage.rs"]
mod passage;
#[path = "torture/refusal.rs"]
mod refusal;
mod sip_scene;

use std::panic::{AssertUnwindSafe, catch_unwind};

use call_scene::{Calls, STRANGER};
use case::{Case, Verdict};
use mitschnitt::sip::{By, Tally, Transport};
use mitschnitt::wire::sip::{Message, Name};
use over::{Left, Over, parted, scene};
use passage::{Passage, VIA, lines, taken_back, whole};
use sip_scene::{PBX, Scene, TRUNK, US, addr, in_dialog, lossy, replaced};

/// The messages of RFC 4475, in its order.
const RFC_4475: [&str; 49] = [
    "wsinv",
    "intmeth",
    "esc01",
    "escnull",
    "esc02",
    "lwsdisp",
    "longreq",
    "dblreq",
    "semiuri",
    "transports",
    "mpart01",
    "unreason",
    "noreason",
    "badinv01",
    "clerr",
    "ncl",
    "scalar02",
    "scalarlg",
    "quotbal",
    "ltgtruri",
    "lwsruri",
    "lwsstart",
    "trws",
    "escruri",
    "baddate",
    "regbadct",
    "badaspec",
    "baddn",
    "badvers",
    "mismatch01",
    "mismatch02",
    "bigcode",
    "badbranch",
    "insuf",
    "unkscm",
    "novelsc",
    "unksm2",
    "bext01",
    "invut",
    "regaut01",
    "multi01",
    "mcl01",
    "bcast",
    "zeromf",
    "cparam01",
    "cparam02",
    "regescrt",
    "sdp01",
    "inv2543",
];

/// The messages of RFC 5118, in its order.
const RFC_5118: [&str; 12] = [
    "ipv6-good",
    "ipv6-bad",
    "port-ambiguous",
    "port-unambiguous",
    "via-received-param-with-delim",
    "via-received-param-no-delim",
    "ipv6-in-sdp",
    "mult-ip-in-header",
    "mult-ip-in-sdp",
    "ipv4-mapped-ipv6",
    "ipv6-bug-abnf-3-colons",
    "ipv6-correct-abnf-2-colons",
];

#[test]
fn every_message_of_the_rfcs_is_there_and_no_other() {
    for (rfc, names) in [("rfc4475", RFC_4475.as_slice()), ("rfc5118", RFC_5118.as_slice())] {
        let mut names = names.to_vec();
        names.sort_unstable();
        let cases = Case::all(rfc);
        assert_eq!(cases.iter().map(|case| case.name.as_str()).collect::<Vec<_>>(), names);
        for case in cases {
            let known =
                ["udp", "stream", "max-forwards", "next hop", "address", "call", "call stream", "media", "answer", "as printed"];
            let known = if case.is_response() { &["cold", "in place", "above", "stream"][..] } else { &known[..] };
            assert!(case.keys().all(|key| known.contains(&key)), "{}", case.name);
            let verdicts = case.verdicts(if case.is_response() { &["cold"] } else { &["stream", "udp"] });
            assert!(!verdicts.is_empty());
        }
    }
}

#[test]
fn each_request_has_its_verdict() {
    for_each(Case::is_request, |case| {
        for over in Over::ALL {
            let mut scene = scene();
            let left = over.deliver(&mut scene, PBX, &case.message);
            let mut verdicts = case.verdicts(over.keys());
            let closes = verdicts.pop_if(|last| *last == Verdict::Close).is_some();
            match verdicts.as_slice() {
                [Verdict::Forward] => check_forwarded(case, over, &scene),
                [Verdict::Forward, Verdict::Forward] => {
                    assert_eq!(scene.count("request"), 2);
                    let sent: Vec<_> = scene.sent.iter().filter(|sent| sent.to == addr(TRUNK)).collect();
                    check_passage(case, Some(over), sent[0].message.as_bytes(), whole(&case.message), false);
                    let second = &case.message[whole(&case.message).len()..];
                    check_passage(case, Some(over), sent[1].message.as_bytes(), whole(second.trim_ascii_start()), false);
                }
                [Verdict::Refuse(status)] => {
                    assert_eq!((scene.count("request"), scene.sent.len()), (0, 1), "one answer, and nobody else hears of it");
                    assert_eq!(scene.sent[0].to.ip(), addr(PBX).ip());
                    refusal::check(case, &case.message, scene.sent[0].message.as_bytes(), *status);
                }
                [Verdict::Silence] => assert_eq!((scene.count("request"), scene.sent.len()), (0, 0)),
                other => panic!("{other:?} is no verdict for a request over {over:?}"),
            }
            match (left, closes) {
                (Left::AtItsEnd, false) | (Left::Closed | Left::Amid, true) => {}
                // A message whose end is known and whose head is none is refused as well, and its stream may end.
                (Left::Closed, false) => {
                    assert!(matches!(verdicts.as_slice(), [Verdict::Refuse(_)]), "over {over:?} it is closed")
                }
                wrong => panic!("over {over:?}: {wrong:?}"),
            }
            check_served(&mut scene);
            scene.run_for(600_000);
            assert_eq!((scene.stack.transactions(), scene.stack.deadline()), (0, None), "nothing is left");
        }
    });
}

#[test]
fn a_stream_is_parted_alike_wherever_it_is_cut() {
    for_each(
        |_| true,
        |case| {
            let whole = parted(std::iter::once(&case.message[..]));
            for at in 1..case.message.len() {
                let (before, after) = case.message.split_at(at);
                assert_eq!(parted([before, after].into_iter()), whole, "cut at {at}");
            }
            assert_eq!(parted(case.message.chunks(1)), whole, "byte by byte");
        },
    );
}

#[test]
fn each_request_that_comes_again_has_the_same_answer_and_goes_on_once() {
    for_each(Case::is_request, |case| {
        let mut scene = Scene::new();
        scene.arrive_bytes(PBX, &case.message);
        let first = scene.sent.iter().find(|sent| sent.to != addr(TRUNK)).map(|sent| sent.message.as_bytes().clone());
        let so_far = scene.sent.len();

        scene.arrive_bytes(PBX, &case.message);

        let again: Vec<_> = scene.sent[so_far..].iter().map(|sent| sent.message.as_bytes().clone()).collect();
        assert_eq!(again, first.into_iter().collect::<Vec<_>>());
        assert!(scene.count("request") <= 1);
    });
}

#[test]
fn two_requests_whose_branch_is_the_bare_cookie_are_not_one() {
    let mut scene = Scene::new();
    let case = Case::all("rfc4475").into_iter().find(|case| case.name == "badbranch").unwrap();
    let other = replaced(&case.message, b"badbranch.", b"another.");

    scene.arrive_bytes(PBX, &case.message);
    scene.arrive_bytes(PBX, &other);

    let ids: Vec<_> = scene.sent.iter().map(|sent| lossy(sent.message.call_id().unwrap())).collect();
    assert_eq!(ids, ["badbranch.sadonfo23i420jv0as0derf3j3n", "another.sadonfo23i420jv0as0derf3j3n"]);
    assert!(scene.sent.iter().all(|sent| sent.message.status() == Some(400)));
}

#[test]
fn a_message_with_the_length_that_the_rfc_prints_has_the_verdict_of_that_length() {
    let mut found = 0;
    for_each(Case::is_request, |case| {
        let Some((line, verdict)) = case.key("as printed").and_then(|printed| printed.split_once(", ")) else { return };
        found += 1;
        let right = lines(&case.message, &["Content-Length"]).remove(0);
        let printed = replaced(&case.message, right.trim_end().as_bytes(), line.as_bytes());
        let mut scene = Scene::new();
        scene.arrive_bytes(PBX, &printed);
        if verdict == "forward" {
            check_passage(case, None, scene.last_to(TRUNK).as_bytes(), whole(&printed), false);
        } else {
            assert_eq!((scene.sent.len(), scene.sent[0].message.status()), (1, Some(400)));
        }
    });
    assert_eq!(found, 3);
}

#[test]
fn each_request_has_its_verdict_where_calls_are_known() {
    for_each(Case::is_request, |case| {
        let mut calls = case.key("media").map_or_else(Calls::new, Calls::with_media);
        calls.arrive(PBX, &case.message);
        let (to_pbx, to_trunk) = (calls.take(PBX), calls.take(TRUNK));
        match case.verdict(&["call", "udp"]) {
            Verdict::Forward => {
                let [sent] = to_trunk.as_slice() else { panic!("{} messages went on", to_trunk.len()) };
                let is_described =
                    lines(&case.message, &["Content-Type", "c"]).iter().any(|line| line.contains("application/sdp"));
                check_passage(case, None, sent.as_bytes(), whole(&case.message), is_described);
                assert!(to_pbx.iter().all(|message| message.status() == Some(100)));
            }
            Verdict::Refuse(status) => {
                assert_eq!(to_trunk.len(), 0);
                let finals: Vec<_> = to_pbx.iter().filter(|message| message.status() != Some(100)).collect();
                let [answer] = finals.as_slice() else { panic!("{} answers", finals.len()) };
                refusal::check(case, &case.message, answer.as_bytes(), status);
            }
            other => panic!("{other:?} is no verdict for a request"),
        }
        calls.assert_served();
        calls.run_for(600_000);
        assert_eq!((calls.table.count(), calls.table.deadline()), (0, None), "nothing is left");
    });
}

#[test]
fn from_an_address_that_is_no_peer_none_is_answered() {
    for_each(
        |_| true,
        |case| {
            let mut calls = Calls::new();
            calls.arrive(STRANGER, &case.message);
            assert_eq!((calls.sent.len(), calls.table.tallies().strangers, calls.table.count()), (0, 1, 0));
            calls.assert_served();
        },
    );
}

#[test]
fn each_response_that_nobody_waits_for_is_dropped() {
    for_each(Case::is_response, |case| {
        for over in Over::ALL {
            let mut scene = scene();
            let left = over.deliver(&mut scene, TRUNK, &case.message);

            assert_eq!(scene.sent.len(), 0);
            let closes = over != Over::Udp && case.key("stream").is_some();
            assert_eq!(left, if closes { Left::Closed } else { Left::AtItsEnd }, "over {over:?}");
            check_dropped(case.verdict(&["cold"]), &scene);
        }
    });
}

#[test]
fn each_response_to_a_request_of_ours_has_its_verdict() {
    for_each(Case::is_response, |case| {
        for key in ["in place", "above"] {
            let mut scene = Scene::new();
            scene.arrive(PBX, &asked_for(case));
            let via = lossy(scene.last_to(TRUNK).value(Name::Via).unwrap());
            scene.lines();

            let first = lines(&case.message, VIA).remove(0);
            let ours = format!("Via: {via}\r\n");
            let (planted, passed) = match key {
                "in place" => {
                    (replaced(&case.message, first.as_bytes(), ours.as_bytes()), replaced(&case.message, first.as_bytes(), b""))
                }
                _ => (replaced(&case.message, first.as_bytes(), format!("{ours}{first}").as_bytes()), case.message.clone()),
            };
            scene.arrive_bytes(TRUNK, &planted);

            let new = &scene.sent[scene.shown..];
            match case.verdict(&[key]) {
                Verdict::Forward => {
                    assert_eq!(new.len(), 1, "{key}");
                    assert_eq!(new[0].to, addr(PBX), "{key}: where the request came from, whatever the Via below ours says");
                    assert_eq!(lossy(new[0].message.as_bytes()), lossy(&passed), "{key}");
                }
                Verdict::Absorb => {
                    assert_eq!(new.len(), 0, "{key}");
                    assert!(scene.stack.tallies().iter().all(|(_, count)| count == 0), "{key}: it is used");
                }
                verdict => {
                    assert_eq!(new.len(), 0, "{key}");
                    check_dropped(verdict, &scene);
                }
            }
        }
    });
}

#[test]
fn no_beginning_of_a_message_is_taken_for_two() {
    for_each(
        |_| true,
        |case| {
            let mut scene = Scene::new();
            for end in 0..case.message.len() {
                let before = (scene.count("request"), scene.sent.len());
                scene.arrive_bytes(PBX, &case.message[..end]);
                assert!(scene.count("request") - before.0 <= 1, "cut at {end}");
                assert!(scene.sent.len() - before.1 <= 2, "cut at {end}: the request or a refusal, and a 100");
            }
            scene.run_for(600_000);
            assert_eq!((scene.stack.transactions(), scene.stack.deadline()), (0, None));
        },
    );
}

/// Checks each file that is wanted; a failure names the file.
fn for_each(wanted: impl Fn(&Case) -> bool, mut check: impl FnMut(&Case)) {
    let mut failed = Vec::new();
    for case in ["rfc4475", "rfc5118"].into_iter().flat_map(Case::all).filter(wanted) {
        if catch_unwind(AssertUnwindSafe(|| check(&case))).is_err() {
            failed.push(case.name);
        }
    }
    assert_eq!(failed, Vec::<String>::new(), "what is wrong with each stands above");
}

/// One request went on and no second, changed as a proxy changes it, to where it says.
fn check_forwarded(case: &Case, over: Over, scene: &Scene) {
    assert_eq!(scene.count("request"), 1, "one request and no second");
    let (on, back): (Vec<_>, Vec<_>) = scene.sent.iter().partition(|sent| sent.to == addr(TRUNK));
    let [sent] = on.as_slice() else { panic!("{} messages went on", on.len()) };
    check_passage(case, Some(over), sent.message.as_bytes(), whole(&case.message), false);
    check_hop(case, scene);
    assert!(back.iter().all(|sent| sent.message.status() == Some(100)));
}

/// `over` is what it came over where all three can be had; without it there is UDP alone.
fn check_passage(case: &Case, over: Option<Over>, sent: &[u8], came: &[u8], is_anchored: bool) {
    let passage = Passage {
        us: US,
        record_routes: over.map_or_else(|| vec![format!("<sip:{US};lr>")], Over::record_routes),
        has_tcp: over.is_some(),
        from: PBX,
        max_forwards: case.max_forwards(),
        is_strict: case.key("next hop") == Some("strict Route"),
        is_anchored,
    };
    assert_eq!(lossy(&taken_back(sent, came, &passage)), lossy(came));
}

fn check_hop(case: &Case, scene: &Scene) {
    let came = Message::parse_datagram(case.message.clone().into()).unwrap();
    let hop = scene.stack.next_hop(&came).unwrap();
    let by = match hop.by {
        By::Route => "Route",
        By::StrictRoute => "strict Route",
        By::RequestUri => "Request-URI",
    };
    assert_eq!(case.key("next hop"), Some(by));
    if let Some(address) = case.key("address") {
        assert_eq!(hop.address(), Some((Transport::Udp, addr(address))));
    }
}

fn check_dropped(verdict: Verdict, scene: &Scene) {
    let Verdict::Drop(name) = verdict else { panic!("{verdict:?} is no verdict for a response") };
    let tally = Tally::ALL.into_iter().find(|tally| tally.as_str() == name).unwrap_or_else(|| panic!("there is no tally {name}"));
    assert_eq!(scene.stack.tallies().of(tally), 1, "{name}");
}

/// Panics unless another request passes.
fn check_served(scene: &mut Scene) {
    scene.arrive(PBX, &in_dialog("OPTIONS", PBX, 7_777));
    let sent = scene.last_to(TRUNK);
    assert_eq!(lossy(sent.method().as_bytes()), "OPTIONS");
    scene.answer(TRUNK, &sent, 200, Some("b1"));
    assert_eq!(scene.last_to(PBX).status(), Some(200));
}

/// The request that such a response would be the answer to.
fn asked_for(case: &Case) -> String {
    let line = |name: &str| lines(&case.message, &[name]).remove(0);
    let cseq = line("CSeq");
    let method = cseq.split_whitespace().last().unwrap();
    // A number that cannot be is none that we could have sent.
    let cseq = if case.name == "scalarlg" { format!("CSeq: 1 {method}\r\n") } else { cseq.clone() };
    let to = line("To");
    let to = to.split(";tag=").next().unwrap().trim_end();
    format!(
        "{method} sip:x@198.51.100.20 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKlive\r\nMax-Forwards: 70\r\n\
         {}{to}\r\n{}{cseq}Content-Length: 0\r\n\r\n",
        line("From"),
        line("Call-ID"),
    )
}
