//! The torture messages of RFC 4475 and RFC 5118 at the sockets of the running program: over UDP, TCP and TLS, whole and in pieces.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::wildcard_enum_match_arm,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test may panic, and it is the shell that starts, waits, reads and listens"
)]

#[path = "torture/case.rs"]
mod case;
#[path = "torture/ears.rs"]
mod ears;
#[path = "torture/line.rs"]
mod line;
#[path = "torture/passage.rs"]
mod passage;
#[path = "torture/refusal.rs"]
mod refusal;
mod sip_scene;
#[path = "torture/stage.rs"]
mod stage;
#[allow(dead_code, reason = "each file of tests uses its part")]
mod support;

use std::collections::{BTreeMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use case::{Case, Verdict};
use mitschnitt::wire::sip::Name;
use passage::{Passage, VIA, as_described, lines, taken_back, whole};
use sip_scene::{lossy, parse, replaced};
use stage::{Caller, Over, Side, Stage};

#[test]
fn each_request_has_its_verdict_over_udp() {
    requests(Over::Udp);
}

#[test]
fn each_request_has_its_verdict_over_tcp() {
    requests(Over::Tcp);
}

#[test]
fn each_request_has_its_verdict_over_tcp_in_pieces() {
    requests(Over::Pieces);
}

#[test]
fn each_request_has_its_verdict_over_tls() {
    requests(Over::Tls);
}

#[test]
fn each_response_has_its_verdict_over_udp() {
    responses(Over::Udp);
}

#[test]
fn each_response_has_its_verdict_over_tcp() {
    responses(Over::Tcp);
}

#[test]
fn each_response_has_its_verdict_over_tls() {
    responses(Over::Tls);
}

/// Sends each request, and after each one that is to pass.
fn requests(over: Over) {
    let mut checked = 0;
    for of_ipv6 in [false, true] {
        let mut stage = Stage::for_requests(over, of_ipv6);
        let mut known = HashSet::new();
        for mut case in all().filter(|case| case.is_request() && case.key("media").is_some() == of_ipv6) {
            distinguish(&mut case, &mut known);
            named(&case.name.clone(), || request(&mut stage, &case));
            checked += 1;
        }
    }
    assert_eq!(checked, 56);
}

/// Sends each response: to nobody's request, and to one of ours in the two ways that it can be one.
fn responses(over: Over) {
    let mut stage = Stage::for_responses(over);
    let mut dropped = BTreeMap::new();
    let mut checked = 0;
    for case in all().filter(Case::is_response) {
        named(&case.name, || {
            for key in ["cold", "in place", "above"] {
                let mut trunk = stage.caller(Side::Trunk);
                match key {
                    "cold" => stage.says(&mut trunk, &case.message),
                    _ => live(&mut stage, &case, key),
                }
                if let Verdict::Drop(tally) = case.verdict(&[key]) {
                    *dropped.entry(tally).or_insert(0) += 1;
                }
                let closes = over != Over::Udp && key == "cold" && case.key("stream").is_some();
                assert_eq!(stage.is_served(&mut trunk), !closes, "{key}");
                assert!(!closes || stage.is_served(&mut stage.caller(Side::Trunk)), "{key}");
            }
        });
        checked += 1;
    }
    assert_eq!(checked, 5);
    for (tally, count) in dropped {
        let metric = format!("mitschnitt_sip_dropped_total{{cause=\"{tally}\"}}");
        stage.site.metric_reaches(&metric, f64::from(count));
        assert!((stage.site.metric(&metric) - f64::from(count)).abs() < 0.5, "{tally}, and not more");
    }
}

fn all() -> impl Iterator<Item = Case> {
    ["rfc4475", "rfc5118"].into_iter().flat_map(Case::all)
}

/// Says which message it is that something is wrong with.
fn named(name: &str, check: impl FnOnce()) {
    assert!(catch_unwind(AssertUnwindSafe(check)).is_ok(), "what is wrong with {name} stands above");
}

/// Gives a message a branch of its own where another had the same one: RFC 5118's have all the same, and one proxy gets them one after
/// the other.
fn distinguish(case: &mut Case, known: &mut HashSet<String>) {
    let via = lines(&case.message, VIA).first().cloned().unwrap_or_default();
    let count = known.len();
    if !known.insert(via.clone()) && via.contains("z9hG4bK") {
        let other = via.replace("z9hG4bK", &format!("z9hG4bK{count}x"));
        case.message = replaced(&case.message, via.as_bytes(), other.as_bytes());
        known.insert(other);
    }
}

fn request(stage: &mut Stage, case: &Case) {
    let mut verdicts = case.verdicts(stage.over.keys());
    let closes = verdicts.pop_if(|last| *last == Verdict::Close).is_some();
    let mut caller = stage.caller(Side::Pbx);

    let mut early = stage.sends(&mut caller, &case.message);
    let mut rest = &case.message[..];
    let mut unanswered = Vec::new();
    for verdict in &verdicts {
        match verdict {
            Verdict::Forward => {
                // Each verdict is for one message of what came.
                let came = whole(rest);
                rest = rest[came.len()..].trim_ascii_start();
                let sent = if early.is_empty() { stage.trunk.receive() } else { early.remove(0) };
                forwarded(stage, case, &caller, came, &sent);
                if closes {
                    unanswered.push(sent);
                } else {
                    let answer = stage.answers(Side::Trunk, &sent, 486);
                    assert_eq!(lossy(&stage.answer_to(&mut caller, came)), lossy(&answer));
                }
            }
            Verdict::Refuse(status) => refusal::check(case, rest, &stage.answer_to(&mut caller, rest), *status),
            Verdict::Silence => {}
            other => panic!("{other:?} is no verdict for a request"),
        }
    }
    assert_eq!(early.len(), 0, "nothing else goes on");

    if closes {
        // Where no refusal says so, it is we who end it: the proxy would wait for the rest of a message.
        let is_refused = matches!(verdicts.as_slice(), [Verdict::Refuse(_)]);
        assert_eq!(stage.last_words(caller, !is_refused), Vec::<Vec<u8>>::new());
        for sent in unanswered {
            stage.answers(Side::Trunk, &sent, 486);
        }
        caller = stage.caller(Side::Pbx);
    }
    // A message whose end is known and whose head is none is refused as well, and its stream may end.
    let may_end = matches!(verdicts.as_slice(), [Verdict::Refuse(_)]);
    if !stage.is_served(&mut caller) {
        assert!(may_end, "it is closed");
        caller = stage.caller(Side::Pbx);
        assert!(stage.is_served(&mut caller));
    }
    assert_eq!(stage.last_words(caller, true), Vec::<Vec<u8>>::new());
}

/// One request went on and no second, changed as a proxy changes it.
fn forwarded(stage: &Stage, case: &Case, caller: &Caller, came: &[u8], sent: &[u8]) {
    let is_described = lines(came, &["Content-Type", "c"]).iter().any(|line| line.contains("application/sdp"));
    let passage = Passage {
        us: &stage.site.ports.proxy().to_string(),
        record_routes: stage.record_routes(),
        has_tcp: true,
        from: &stage.from(caller).to_string(),
        max_forwards: case.max_forwards(),
        is_strict: case.key("next hop") == Some("strict Route"),
        // Of a request that makes no call nothing is anchored.
        is_anchored: is_described && came.starts_with(b"INVITE "),
    };
    assert_eq!(lossy(&taken_back(sent, came, &passage)), lossy(came));
}

/// A response in the place of one to a request of ours: with our Via instead of its first, or above that.
fn live(stage: &mut Stage, case: &Case, key: &str) {
    let asked = asked_for(case, stage, key);
    stage.pbx.send(asked.as_bytes(), stage.to_us());
    let sent = stage.trunk.receive();
    let ours = format!("Via: {}\r\n", lossy(parse(&sent).value(Name::Via).unwrap()));
    let first = lines(&case.message, VIA).remove(0);
    let (planted, passed) = match key {
        "in place" => {
            (replaced(&case.message, first.as_bytes(), ours.as_bytes()), replaced(&case.message, first.as_bytes(), b""))
        }
        _ => (replaced(&case.message, first.as_bytes(), format!("{ours}{first}").as_bytes()), case.message.clone()),
    };

    stage.trunk.answer(&planted, stage.to_us());
    match case.verdict(&[key]) {
        Verdict::Forward => {
            let came = stage.pbx.receive();
            let head = |bytes: &[u8]| lossy(bytes).split("\r\n\r\n").next().unwrap().to_owned();
            let but_length =
                |head: String| head.lines().filter(|line| !line.starts_with("Content-Length")).collect::<Vec<_>>().join("\n");
            assert_eq!(but_length(head(&came)), but_length(head(&passed)));
            let body = |bytes: &[u8]| bytes[head(bytes).len()..].to_vec();
            assert_eq!(as_described(&body(&came), &body(&passed)), body(&passed));
        }
        // The connection ends with it, and the request that waits is told so.
        Verdict::Drop(_) if stage.over != Over::Udp && case.key("stream").is_some() => {
            assert!(stage.pbx.receive().starts_with(b"SIP/2.0 503 "));
        }
        Verdict::Drop(_) | Verdict::Absorb => {
            // Nothing came of it, and the true answer passes.
            let answer = stage.answers(Side::Trunk, &sent, 200);
            assert_eq!(lossy(&stage.pbx.receive()), lossy(&answer));
        }
        verdict => panic!("{verdict:?} is no verdict for a response"),
    }
}

/// The request that such a response would be the answer to.
fn asked_for(case: &Case, stage: &Stage, key: &str) -> String {
    let line = |name: &str| lines(&case.message, &[name]).remove(0);
    let cseq = line("CSeq");
    let method = cseq.split_whitespace().last().unwrap();
    // A number that cannot be is none that we could have sent.
    let cseq = if case.name == "scalarlg" { format!("CSeq: 1 {method}\r\n") } else { cseq.clone() };
    let to = line("To");
    let to = to.split(";tag=").next().unwrap().trim_end();
    let [pbx, trunk] = [Side::Pbx, Side::Trunk].map(|side| stage.at(side));
    let branch = format!("z9hG4bK{}{}", case.name, key.len());
    format!(
        "{method} sip:x@{trunk} SIP/2.0\r\nVia: SIP/2.0/UDP {pbx};branch={branch}\r\nMax-Forwards: 70\r\n\
         {}{to}\r\n{}{cseq}Content-Length: 0\r\n\r\n",
        line("From"),
        line("Call-ID"),
    )
}
