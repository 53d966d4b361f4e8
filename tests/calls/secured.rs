//! SRTP by SDES, each side by its own rule: what each party is told, and with which keys the media plane is.

use mitschnitt::media::Srtp;
use mitschnitt::wire::sdp::Crypto;
use proptest::prelude::*;

use super::*;

proptest! {
    /// Whatever the two offer and answer, and in whatever order: no key of the one is said to the other, and where SRTP is wanted the
    /// media plane is never told of a place that it may send to, or take from, in the open.
    #[test]
    fn keys_stay_on_their_side_and_srtp_is_never_left_out(
        rules in (any_rule(), any_rule()),
        first in said(),
        steps in prop::collection::vec((0..6_usize, said()), 0..8),
    ) {
        let mut world = World::secured(rules.0, rules.1);
        world.pbx_calls(&first.of_pbx());
        let body = "Content-Type: application/sdp\r\n";
        for (nth, (step, said)) in (2..).zip(&steps) {
            match step {
                0 => world.pbx_sends("INVITE", nth, "b", body, &said.of_pbx()),
                1 => world.pbx_sends("UPDATE", nth, "b", body, &said.of_pbx()),
                2 => world.trunk_sends("INVITE", nth, "b", body, &said.of_trunk()),
                3 => world.pbx_sends("ACK", nth, "b", body, &said.of_pbx()),
                step => {
                    let status = [183, 200, 200, 488][said.port as usize % 4];
                    let tag = if said.port % 16 == 0 { "c" } else { "b" };
                    let last = world.out.iter().rev().find_map(|output| match output {
                        Output::Send { to, or: _, bytes } => Message::parse_datagram(bytes.clone()).ok().filter(|message| message.is_request()).map(|_| to.far),
                        _ => None,
                    });
                    if world.asked.is_none() || last.is_none() {
                        continue;
                    }
                    if last == Some(addr(TRUNK)) {
                        let answer = world.answer(status, tag, &said.of_trunk());
                        world.datagram(TRUNK, &answer);
                    } else {
                        let answer = world.answer(status, "a", &said.of_pbx());
                        world.datagram(PBX, &answer);
                    }
                    if *step == 5 {
                        world.pbx_acks(tag);
                    }
                }
            }
        }

        for (to, others) in [(PBX, BYTES_OF_TRUNK), (TRUNK, BYTES_OF_PBX)] {
            for message in world.messages(to) {
                let text = String::from_utf8_lossy(message.as_bytes()).into_owned();
                for byte in others {
                    prop_assert!(!text.contains(&material(byte)), "{text}");
                }
            }
        }
        for order in world.orders() {
            if let Order::Describe { leg, remote, srtp: None, .. } = order {
                let rule = if *leg == Leg::Pbx { rules.0 } else { rules.1 };
                prop_assert!(rule != MediaAs::Srtp || remote.rtp.port() == 0, "{leg:?}");
            }
        }
    }
}

fn any_rule() -> impl Strategy<Value = MediaAs> {
    prop_oneof![Just(MediaAs::Rtp), Just(MediaAs::Srtp), Just(MediaAs::Either)]
}

/// A description, whoever says it.
#[derive(Clone, Debug)]
struct Said {
    port: u16,
    /// Transport, whether it is rejected, and the keys.
    lines: Vec<(&'static str, bool, Vec<SaidKey>)>,
}

/// Tag, suite, which of the party's, and whether in capitals.
type SaidKey = (u32, usize, usize, bool);

fn said() -> impl Strategy<Value = Said> {
    let proto = prop_oneof![
        4 => prop::sample::select(vec!["RTP/AVP", "RTP/SAVP"]),
        1 => prop::sample::select(vec!["RTP/SAVPF", "rtp/savp", "UDP/TLS/RTP/SAVP", "UDP/RTP/AVP", "RTP/AVPF"]),
    ];
    let keys = prop::collection::vec((1..4_u32, 0..4_usize, 0..BYTES_OF_PBX.len(), prop::bool::weighted(0.1)), 0..3);
    let lines = prop::collection::vec((proto, prop::bool::weighted(0.1), keys), 0..3);
    (4000..4064_u16, lines).prop_map(|(port, lines)| Said { port, lines })
}

impl Said {
    fn of_pbx(&self) -> String {
        self.of("192.0.2.10", BYTES_OF_PBX)
    }

    fn of_trunk(&self) -> String {
        self.of("198.51.100.20", BYTES_OF_TRUNK)
    }

    fn of(&self, ip: &str, bytes: [u8; 3]) -> String {
        let suites = [CM, GCM, GCM256, "F8_128_HMAC_SHA1_80"];
        let mut sdp = format!("v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n");
        for (nth, (proto, is_rejected, keys)) in (0..).zip(&self.lines) {
            let port = if *is_rejected { 0 } else { self.port + 2 * nth };
            sdp.push_str(&format!("m=audio {port} {proto} 0\r\n"));
            for &(tag, suite, byte, is_shouted) in keys {
                let line = line(&key(tag, suites[suite], bytes[byte]));
                sdp.push_str(&if is_shouted { line.replace("crypto", "CRYPTO") } else { line });
            }
        }
        sdp
    }
}

const BYTES_OF_PBX: [u8; 3] = [1, 2, 3];
const BYTES_OF_TRUNK: [u8; 3] = [101, 102, 103];

/// What stands in the base64 of every key whose bytes are all this.
fn material(byte: u8) -> String {
    let text = String::from_utf8(key(1, CM, byte).to_value().to_vec()).unwrap();
    text.split("inline:").nth(1).unwrap()[..20].to_owned()
}

#[test]
fn a_trunk_with_srtp_and_a_pbx_without_are_bridged_and_recorded() {
    let mut world = World::secured(MediaAs::Rtp, MediaAs::Srtp);
    let plain = offer("192.0.2.10", 4000, "0 101");

    world.pbx_calls(&plain);
    let invite = world.to_trunk("INVITE");
    let offered = text(&invite);
    let ours = keys(&invite);
    assert!(offered.contains("RTP/SAVP 0 101\r\n"), "{offered}");
    assert_eq!(
        ours.iter().map(|key| key.suite().as_str()).collect::<Vec<_>>(),
        ["AEAD_AES_256_GCM", "AES_256_CM_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_80"]
    );

    world.trunk_answers(200, "b", &secure("198.51.100.20", 6000, &[key(3, CM, 1)]));
    world.pbx_acks("b");

    let answer = text(&world.to_pbx("200"));
    assert!(answer.contains(" RTP/AVP 0 101\r\n") && !answer.contains("crypto") && !answer.contains("SAVP"), "{answer}");
    assert!(world.srtp(Leg::Pbx).is_none());
    let srtp = world.srtp(Leg::Trunk).expect("the trunk's media is SRTP");
    assert!(opens(&srtp, &key(3, CM, 1), &ours[2]));
    for announcing in world.announced() {
        world.played(&announcing);
    }
    assert!(world.recorded().is_some(), "what ends here can be recorded");
}

#[test]
fn a_party_that_offers_srtp_is_answered_under_its_own_tag_with_a_key_of_ours() {
    let mut world = World::secured(MediaAs::Srtp, MediaAs::Rtp);

    world.pbx_calls(&secure("192.0.2.10", 4000, &[key(1, "F8_128_HMAC_SHA1_80", 1), key(7, CM, 2), key(8, GCM, 3)]));
    let offered = text(&world.to_trunk("INVITE"));
    assert!(offered.contains(" RTP/AVP 0 101\r\n") && !offered.contains("crypto"), "{offered}");
    world.trunk_answers(200, "b", &offer("198.51.100.20", 6000, "0 101"));

    let answer = world.to_pbx("200");
    let [ours] = &keys(&answer)[..] else { panic!("one key: {}", text(&answer)) };
    assert_eq!((ours.tag(), ours.suite().as_str()), (7, CM));
    assert!(text(&answer).contains(" RTP/SAVP 0 101\r\n"));
    assert!(opens(&world.srtp(Leg::Pbx).unwrap(), &key(7, CM, 2), ours));
    assert!(world.srtp(Leg::Trunk).is_none());
}

#[test]
fn no_key_of_one_party_reaches_the_other() {
    let mut world = World::secured(MediaAs::Srtp, MediaAs::Srtp);

    world.pbx_calls(&secure("192.0.2.10", 4000, &[key(1, CM, 2)]));
    world.trunk_answers(200, "b", &secure("198.51.100.20", 6000, &[key(3, CM, 1)]));

    assert!(!text(&world.to_trunk("INVITE")).contains(&material(2)));
    assert!(!text(&world.to_pbx("200")).contains(&material(1)));
    assert!(world.srtp(Leg::Pbx).is_some() && world.srtp(Leg::Trunk).is_some());
}

#[test]
fn an_answer_that_would_be_plain_where_srtp_is_wanted_brings_no_media() {
    for answer in [
        offer("198.51.100.20", 6000, "0 101"),
        secure("198.51.100.20", 6000, &[key(9, CM, 1)]),
        secure("198.51.100.20", 6000, &[key(3, GCM, 1)]),
        secure("198.51.100.20", 6000, &[]),
    ] {
        let mut world = World::secured(MediaAs::Rtp, MediaAs::Srtp);
        world.pbx_calls(&offer("192.0.2.10", 4000, "0 101"));

        world.trunk_answers(200, "b", &answer);

        let passed = world.to_pbx("200");
        assert_eq!(world.sdp(&passed).media()[0].port, 0, "{}", text(&passed));
        assert!(!world.orders().any(|order| matches!(order, Order::Describe { .. })), "{answer}");
        assert_eq!(world.table.tallies().forks_refused, 1);
    }
}

#[test]
fn an_offer_that_the_rule_does_not_allow_is_refused_and_told_why() {
    let plain = offer("192.0.2.10", 4000, "0 101");
    let secured = secure("192.0.2.10", 4000, &[key(1, CM, 1)]);
    let useless = secure("192.0.2.10", 4000, &[key(1, "F8_128_HMAC_SHA1_80", 1)]);
    let dtls = plain.replace("RTP/AVP", "UDP/TLS/RTP/SAVP") + "a=fingerprint:sha-256 00\r\n";
    for (rule, sdp, expected) in [
        (MediaAs::Rtp, &secured, "plain RTP is wanted"),
        (MediaAs::Srtp, &plain, "SRTP is wanted"),
        (MediaAs::Srtp, &useless, "no a=crypto line"),
        (MediaAs::Either, &useless, "no a=crypto line"),
        (MediaAs::Either, &dtls, "no a=crypto line"),
    ] {
        let mut world = World::secured(rule, MediaAs::Rtp);

        world.pbx_calls(sdp);

        let refused = world.to_pbx("488");
        let warning = String::from_utf8_lossy(refused.as_bytes()).into_owned();
        assert!(warning.contains(&format!("Warning: 399 mitschnitt \"{expected}")), "{warning}");
        assert_eq!((world.last_story().reason, world.taken()), (Reason::BadOffer, 0));
    }
}

#[test]
fn where_either_will_do_keys_are_offered_beside_plain_rtp_and_taken_or_left() {
    let mut world = World::secured(MediaAs::Either, MediaAs::Either);
    world.pbx_calls(&offer("192.0.2.10", 4000, "0 101"));
    let invite = world.to_trunk("INVITE");
    assert!(text(&invite).contains(" RTP/AVP 0 101\r\n"));
    let ours = keys(&invite);
    assert_eq!(ours.len(), 3);

    let taken = offer("198.51.100.20", 6000, "0 101") + &line(&key(1, GCM256, 4));
    world.trunk_answers(200, "b", &taken);

    assert!(opens(&world.srtp(Leg::Trunk).unwrap(), &key(1, GCM256, 4), &ours[0]));
    assert!(world.srtp(Leg::Pbx).is_none());
    assert!(!text(&world.to_pbx("200")).contains("crypto"), "what was offered plain is answered plain");

    let mut world = World::secured(MediaAs::Either, MediaAs::Either);
    world.pbx_calls(&secure("192.0.2.10", 4000, &[key(1, CM, 1)]));
    world.trunk_answers(200, "b", &offer("198.51.100.20", 6000, "0 101"));
    assert!(world.srtp(Leg::Trunk).is_none(), "it left the keys");
    assert!(world.srtp(Leg::Pbx).is_some() && text(&world.to_pbx("200")).contains("RTP/SAVP"));
}

#[test]
fn a_hold_keeps_our_key_and_somebody_else_gets_one_of_its_own() {
    let mut world = World::secured(MediaAs::Srtp, MediaAs::Srtp);
    world.pbx_calls(&secure("192.0.2.10", 4000, &[key(1, CM, 2)]));
    let to_trunk = keys(&world.to_trunk("INVITE"));
    world.trunk_answers(200, "b", &secure("198.51.100.20", 6000, &[key(3, CM, 1)]));
    world.pbx_acks("b");
    let first = keys(&world.to_pbx("200"))[0].clone();

    let hold = secure("192.0.2.10", 4000, &[key(1, CM, 2)]).replace("a=sendrecv", "a=sendonly");
    let body = "Content-Type: application/sdp\r\n";
    world.pbx_sends("INVITE", 2, "b", body, &hold);
    assert_eq!(keys(&world.to_trunk("INVITE")), to_trunk, "the trunk is offered what it was");
    world.trunk_answers(200, "b", &secure("198.51.100.20", 6000, &[key(3, CM, 1)]));
    assert_eq!(keys(&world.to_pbx("200"))[0], first, "the same party keeps the key");

    // Another phone, with a key of its own: it shall not be able to read what went to the one before.
    world.pbx_sends("INVITE", 3, "b", body, &secure("192.0.2.77", 4444, &[key(1, CM, 5)]));
    world.trunk_answers(200, "b", &secure("198.51.100.20", 6000, &[key(3, CM, 1)]));
    let second = keys(&world.to_pbx("200"))[0].clone();
    assert_ne!(second, first);
    assert!(opens(&world.srtp(Leg::Pbx).unwrap(), &key(1, CM, 5), &second));
    assert!(opens(&world.srtp(Leg::Trunk).unwrap(), &key(3, CM, 1), &to_trunk[2]), "the trunk's go on");

    // The answer comes again: it says what it said.
    world.trunk_answers(200, "b", &secure("198.51.100.20", 6000, &[key(3, CM, 1)]));
    assert_eq!(keys(&world.to_pbx("200"))[0], second);
}

#[test]
fn the_far_party_may_offer_anew_in_the_call() {
    let mut world = World::secured(MediaAs::Rtp, MediaAs::Srtp);
    world.pbx_calls(&offer("192.0.2.10", 4000, "0 101"));
    world.trunk_answers(200, "b", &secure("198.51.100.20", 6000, &[key(3, CM, 1)]));
    world.pbx_acks("b");

    let body = "Content-Type: application/sdp\r\n";
    world.trunk_sends("INVITE", 5, "b", body, &secure("198.51.100.20", 6000, &[key(1, GCM, 6), key(2, CM, 1)]));
    assert!(!text(&world.to_pbx("INVITE")).contains("crypto"));
    world.pbx_answers(&offer("192.0.2.10", 4000, "0 101"));

    let answer = world.to_trunk("200");
    let [ours] = &keys(&answer)[..] else { panic!("one key: {}", text(&answer)) };
    assert_eq!((ours.tag(), ours.suite().as_str()), (1, GCM));
    assert!(opens(&world.srtp(Leg::Trunk).unwrap(), &key(1, GCM, 6), ours));
}

#[test]
fn an_offer_in_the_answer_is_secured_as_well_and_its_ack_may_come_again() {
    let mut world = World::secured(MediaAs::Rtp, MediaAs::Srtp);
    world.pbx_calls("");
    world.trunk_answers(200, "b", &secure("198.51.100.20", 6000, &[key(4, CM, 1)]));
    assert!(!text(&world.to_pbx("200")).contains("crypto"));

    let answer = offer("192.0.2.10", 4000, "0 101");
    let body = "Content-Type: application/sdp\r\n";
    world.pbx_sends("ACK", 1, "b", body, &answer);
    let first = keys(&world.to_trunk("ACK"));
    world.pbx_sends("ACK", 1, "b", body, &answer);

    assert_eq!((first.len(), first[0].tag()), (1, 4));
    assert_eq!(keys(&world.to_trunk("ACK")), first);
    assert!(opens(&world.srtp(Leg::Trunk).unwrap(), &key(4, CM, 1), &first[0]));
}

#[test]
fn a_fax_does_not_go_out_in_the_open_where_srtp_is_wanted() {
    let mut world = World::secured(MediaAs::Rtp, MediaAs::Srtp);
    world.pbx_calls(&offer("192.0.2.10", 4000, "0 101"));
    world.trunk_answers(200, "b", &secure("198.51.100.20", 6000, &[key(3, CM, 1)]));
    world.pbx_acks("b");

    let fax = "v=0\r\no=- 1 2 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\nm=image 4000 udptl t38\r\n";
    world.pbx_sends("INVITE", 2, "b", "Content-Type: application/sdp\r\n", fax);

    assert!(String::from_utf8_lossy(world.to_pbx("488").as_bytes()).contains("SRTP is wanted here"));
    assert!(world.srtp(Leg::Trunk).is_some(), "the call goes on as it was");
}

#[test]
fn what_one_fork_agrees_anew_does_not_change_the_keys_of_another() {
    let mut world = World::secured(MediaAs::Rtp, MediaAs::Srtp);
    world.pbx_calls(&offer("192.0.2.10", 4000, "0 101"));
    let invite = world.asked.clone();
    let ours = keys(&world.to_trunk("INVITE"));
    world.trunk_answers(183, "b", &secure("198.51.100.20", 6000, &[key(3, CM, 1)]));

    // The first fork moves, and has another key, while the second rings.
    let body = "Content-Type: application/sdp\r\n";
    world.trunk_sends("UPDATE", 5, "b", body, &secure("198.51.100.22", 6400, &[key(1, CM, 9)]));
    world.pbx_answers(&offer("192.0.2.10", 4000, "0 101"));
    let moved = keys(&world.to_trunk("200"));
    world.asked = invite;
    // It says again what it said first, as many do.
    world.trunk_answers(183, "b", &secure("198.51.100.20", 6000, &[key(3, CM, 1)]));
    assert_ne!(world.sdp(&world.to_pbx("183")).media()[0].port, 0);
    world.trunk_answers(200, "c", &secure("198.51.100.21", 6200, &[key(3, CM, 4)]));

    assert_eq!(moved.len(), 1);
    assert!(!ours.iter().any(|first| first.keys() == moved[0].keys()));
    assert_ne!(world.sdp(&world.to_pbx("200")).media()[0].port, 0);
    assert!(opens(&world.srtp(Leg::Trunk).unwrap(), &key(3, CM, 4), &ours[2]));
}

#[test]
fn an_answer_that_is_refused_leaves_the_keys_as_they_were() {
    let two = |first: Vec<Crypto>, second: Vec<Crypto>| {
        let line =
            |port: u16, keys: &[Crypto]| format!("m=audio {port} RTP/SAVP 0\r\n{}", keys.iter().map(line).collect::<String>());
        format!(
            "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nc=IN IP4 198.51.100.20\r\nt=0 0\r\n{}{}",
            line(6000, &first),
            line(6002, &second)
        )
    };
    let mut world = World::secured(MediaAs::Srtp, MediaAs::Srtp);
    world.pbx_calls(&two(vec![key(1, CM, 1)], vec![key(1, CM, 2)]).replace("198.51.100.20", "192.0.2.10"));
    world.trunk_answers(183, "b", &two(vec![key(3, CM, 3)], vec![key(3, CM, 4)]));
    let first = keys(&world.to_pbx("183"))[0].clone();
    let invite = world.asked.clone();

    // The PBX moves by UPDATE; what the trunk answers is right on the first line and none of ours on the second.
    let body = "Content-Type: application/sdp\r\n";
    let moved = two(vec![key(1, CM, 7)], vec![key(1, CM, 8)]).replace("198.51.100.20", "192.0.2.77");
    world.pbx_sends("UPDATE", 2, "b", body, &moved);
    world.trunk_answers(200, "b", &two(vec![key(3, CM, 3)], vec![key(9, CM, 4)]));
    assert_eq!(world.sdp(&world.to_pbx("200")).media()[0].port, 0);

    // What is said again of the call as it is, is said with the key that it has.
    world.asked = invite;
    world.trunk_answers(200, "b", &two(vec![key(3, CM, 3)], vec![key(3, CM, 4)]));
    assert_eq!(keys(&world.to_pbx("200"))[0], first);
}

#[test]
fn a_re_invite_that_is_refused_after_an_early_answer_leaves_all_as_it_was() {
    let trunk = secure("198.51.100.20", 6000, &[key(3, CM, 1)]);
    let mut world = World::secured(MediaAs::Srtp, MediaAs::Srtp);
    world.pbx_calls(&secure("192.0.2.10", 4000, &[key(1, CM, 2)]));
    world.trunk_answers(200, "b", &trunk);
    world.pbx_acks("b");
    let first = keys(&world.to_pbx("200"))[0].clone();

    let body = "Content-Type: application/sdp\r\n";
    world.pbx_sends("INVITE", 2, "b", body, &secure("192.0.2.77", 4444, &[key(1, CM, 5)]));
    world.trunk_answers(183, "b", &trunk.replace("6000", "6600"));
    assert!(!opens(&world.srtp(Leg::Pbx).unwrap(), &key(1, CM, 2), &first));
    world.trunk_answers(488, "b", "");

    assert!(opens(&world.srtp(Leg::Pbx).unwrap(), &key(1, CM, 2), &first));
    let places: Vec<_> = world
        .orders()
        .filter_map(|order| match order {
            Order::Describe { leg, remote, .. } => Some((*leg, remote.rtp)),
            _ => None,
        })
        .collect();
    assert_eq!(places[places.len() - 2..], [(Leg::Pbx, addr("192.0.2.10:4000")), (Leg::Trunk, addr("198.51.100.20:6000"))]);
}

#[test]
fn who_asks_for_an_offer_within_the_call_may_be_somebody_else_and_gets_a_key_of_its_own() {
    let mut world = World::secured(MediaAs::Srtp, MediaAs::Srtp);
    world.pbx_calls(&secure("192.0.2.10", 4000, &[key(1, CM, 2)]));
    world.trunk_answers(200, "b", &secure("198.51.100.20", 6000, &[key(3, CM, 1)]));
    world.pbx_acks("b");
    let before = keys(&world.to_pbx("200"))[0].clone();

    let to_trunk = world.srtp(Leg::Trunk).unwrap();
    world.pbx_sends("INVITE", 2, "b", "", "");
    world.trunk_answers(200, "b", &secure("198.51.100.20", 6000, &[key(1, CM, 1)]));
    let offered = keys(&world.to_pbx("200"));
    world.trunk_answers(200, "b", &secure("198.51.100.20", 6000, &[key(1, CM, 1)]));
    assert_eq!(keys(&world.to_pbx("200")), offered, "what comes again says what it said");
    assert!(offered.len() == 3 && offered.iter().all(|ours| ours.keys() != before.keys()));

    world.pbx_sends("ACK", 2, "b", "Content-Type: application/sdp\r\n", &secure("192.0.2.77", 4444, &[key(3, CM, 5)]));
    assert!(opens(&world.srtp(Leg::Pbx).unwrap(), &key(3, CM, 5), &offered[2]));
    assert!(opens(&world.srtp(Leg::Trunk).unwrap(), &key(1, CM, 1), &keys(&world.to_trunk("ACK"))[0]));
    assert!(opens(&to_trunk, &key(1, CM, 1), &keys(&world.to_trunk("ACK"))[0]), "the trunk's is as it was");
}

#[test]
fn an_offer_that_was_answered_by_prack_is_not_said_with_other_keys_in_the_2xx() {
    let mut world = World::secured(MediaAs::Srtp, MediaAs::Srtp);
    world.pbx_calls(&secure("192.0.2.10", 4000, &[key(1, CM, 2)]));
    world.trunk_answers(200, "b", &secure("198.51.100.20", 6000, &[key(3, CM, 1)]));
    world.pbx_acks("b");
    world.pbx_sends("INVITE", 2, "b", "", "");
    let invite = world.asked.clone();
    let trunk = secure("198.51.100.20", 6000, &[key(1, CM, 1)]);
    world.trunk_answers(183, "b", &trunk);
    let offered = keys(&world.to_pbx("183"));
    let body = "RAck: 1 2 INVITE\r\nContent-Type: application/sdp\r\n";
    world.pbx_sends("PRACK", 3, "b", body, &secure("192.0.2.10", 4000, &[key(1, CM, 2)]));

    world.asked = invite;
    world.trunk_answers(200, "b", &trunk.replace("o=- 7 9", "o=- 7 10"));

    assert_eq!(keys(&world.to_pbx("200")), offered);
    assert!(opens(&world.srtp(Leg::Pbx).unwrap(), &key(1, CM, 2), &offered[0]));
}

#[test]
fn what_is_refused_takes_no_key_to_the_other_side() {
    let wrong = secure("198.51.100.20", 6000, &[key(9, CM, 1)]);
    for status in [200, 488] {
        let mut world = World::secured(MediaAs::Srtp, MediaAs::Srtp);
        world.pbx_calls(&secure("192.0.2.10", 4000, &[key(1, CM, 2)]));
        world.trunk_answers(status, "b", &wrong);
        let passed = text(&world.to_pbx(&status.to_string()));
        assert!(passed.contains("m=audio 0 ") && !passed.contains(&material(1)), "{passed}");
    }

    let mut world = World::secured(MediaAs::Srtp, MediaAs::Srtp);
    world.pbx_calls("");
    world.trunk_answers(200, "b", &secure("198.51.100.20", 6000, &[key(4, CM, 3)]));
    world.pbx_sends("ACK", 1, "b", "Content-Type: application/sdp\r\n", &wrong);
    let passed = text(&world.to_trunk("ACK"));
    assert!(passed.contains("m=audio 0 ") && !passed.contains(&material(1)), "{passed}");
}

#[test]
fn a_description_that_stands_beside_another_or_is_hidden_goes_nowhere() {
    let sdp = secure("192.0.2.10", 4000, &[key(1, CM, 2)]);
    let part = |head: &str| format!("--x\r\nContent-Type: application/sdp\r\n{head}\r\n{sdp}\r\n");
    let both = format!("{}{}--x--\r\n", part(""), part(""));
    let encoded = format!("{}--x--\r\n", part("Content-Transfer-Encoding: base64\r\n"));
    let lines = "Content-Type: multipart/alternative;boundary=x\r\n";
    for body in [&both, &encoded] {
        let mut world = World::secured(MediaAs::Rtp, MediaAs::Srtp);
        world.datagram(PBX, &numbered("INVITE", "sip:200@192.0.2.1", PBX, 1, "a", None, lines, body, 0));
        assert_eq!((world.messages(TRUNK).len(), world.last_story().reason), (0, Reason::BadOffer), "{body}");

        let mut world = World::secured(MediaAs::Rtp, MediaAs::Srtp);
        world.pbx_calls(&offer("192.0.2.10", 4000, "0 101"));
        let answer = world.answer(200, "b", body).replacen("Content-Type: application/sdp\r\n", lines, 1);
        world.datagram(TRUNK, &answer);
        assert_eq!(text(&world.to_pbx("200")), "");
    }

    // Spaces may stand around the slash (RFC 3261 §25.1).
    let mut world = World::secured(MediaAs::Rtp, MediaAs::Srtp);
    let plain = offer("192.0.2.10", 4000, "0 101");
    let lines = "Content-Type: application / sdp\r\n";
    world.datagram(PBX, &numbered("INVITE", "sip:200@192.0.2.1", PBX, 1, "a", None, lines, &plain, 0));
    assert!(text(&world.to_trunk("INVITE")).contains("RTP/SAVP"));
}

#[test]
fn without_a_rule_keys_pass_as_they_came() {
    let mut world = World::with(Mode::Announce);
    let sdp = secure("192.0.2.10", 4000, &[key(1, CM, 2)]);
    world.pbx_calls(&sdp);

    assert_eq!(keys(&world.to_trunk("INVITE")), [key(1, CM, 2)]);
    world.trunk_answers(200, "b", &secure("198.51.100.20", 6000, &[key(1, CM, 1)]));
    world.pbx_acks("b");
    assert_eq!(world.last_story().reason, Reason::MediaEncrypted);
}

const CM: &str = "AES_CM_128_HMAC_SHA1_80";
const GCM: &str = "AEAD_AES_128_GCM";
const GCM256: &str = "AEAD_AES_256_GCM";

/// A key whose bytes are all this.
fn key(tag: u32, suite: &str, byte: u8) -> Crypto {
    let suite = mitschnitt::wire::sdp::Suite::KNOWN.into_iter().find(|known| known.as_str() == suite).unwrap();
    let (key, salt) = suite.lengths().unwrap();
    Crypto::new(tag, suite, &vec![byte; key + salt]).unwrap()
}

fn line(key: &Crypto) -> String {
    format!("a=crypto:{}\r\n", String::from_utf8(key.to_value().to_vec()).unwrap())
}

/// A description by SRTP with these keys.
fn secure(ip: &str, port: u16, keys: &[Crypto]) -> String {
    offer(ip, port, "0 101").replace("RTP/AVP", "RTP/SAVP") + &keys.iter().map(line).collect::<String>()
}

fn text(message: &Message) -> String {
    String::from_utf8_lossy(message.body()).into_owned()
}

fn keys(message: &Message) -> Vec<Crypto> {
    Sdp::parse(message.body()).unwrap().media()[0].keys.clone()
}

/// Whether these are the keys of the party and of ours: what one side seals the other opens.
fn opens(srtp: &Srtp, theirs: &Crypto, ours: &Crypto) -> bool {
    use mitschnitt::media::srtp::{Keying, Opener, Sealer};
    let goes = |from: Keying, to: Keying| {
        let mut packet = vec![0x80, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 7, 7, 7];
        let length = packet.len();
        packet.resize(length + Sealer::GROWTH_MAX, 0);
        let mut sealer = Sealer::new(from);
        let sealed = sealer.seal_rtp(&mut packet, length).unwrap();
        Opener::new(to).open_rtp(sealed, Moment::START).is_ok()
    };
    goes(Keying::of(theirs).unwrap(), srtp.theirs.clone()) && goes(srtp.ours.clone(), Keying::of(ours).unwrap())
}

impl World {
    /// With which keys the media plane was told last that the party on this leg is.
    fn srtp(&self, leg: Leg) -> Option<Srtp> {
        let told = self.orders().filter_map(|order| match order {
            Order::Describe { leg: of, srtp, .. } if *of == leg => Some(srtp.as_deref().cloned()),
            _ => None,
        });
        let told: Vec<_> = told.collect();
        assert!(!told.is_empty(), "it was described");
        told.into_iter().last().flatten()
    }
}
