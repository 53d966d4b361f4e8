//! Offers and answers wherever they may stand (RFC 3264, RFC 6337): in PRACK and UPDATE, in provisional answers, and where two cross.

use super::*;

const SDP: &str = "Content-Type: application/sdp\r\n";

#[test]
fn an_offer_in_a_reliable_provisional_answer_is_answered_in_the_prack() {
    let mut world = World::with(Mode::Announce);
    world.pbx_calls("");
    let invite = world.asked.clone();
    world.reliably(183, "b", &offer("198.51.100.20", 6000, "0 101"));
    assert!(String::from_utf8_lossy(world.to_pbx("183").as_bytes()).contains("\r\nRequire: 100rel\r\nRSeq: 7\r\n"), "as it came");
    assert_eq!(world.places(), [None, None], "an offer is no agreement");

    world.pracks(2, &offer("192.0.2.10", 4000, "0 101"));

    assert_eq!(world.places(), [Some("192.0.2.10:4000"), Some("198.51.100.20:6000")].map(|at| at.map(addr)));
    let prack = world.to_trunk("PRACK");
    assert!(String::from_utf8_lossy(prack.as_bytes()).contains("\r\nRAck: 7 1 INVITE\r\n"));
    assert_eq!(world.sdp(&prack).media()[0].addr, Some("203.0.113.1".parse().unwrap()));

    // The answers to PRACK and INVITE describe nothing any more, and the call is one like any other.
    world.trunk_answers(200, "b", "");
    world.asked = invite;
    world.trunk_answers(200, "b", "");
    world.pbx_acks("b");
    assert_eq!(world.announced().len(), 2);
}

#[test]
fn a_prack_may_begin_another_exchange() {
    let mut world = World::with(Mode::Announce);
    world.pbx_calls(&offer("192.0.2.10", 4000, "0 101"));
    world.reliably(183, "b", &offer("198.51.100.20", 6000, "0 101"));

    world.pracks(2, &offer("192.0.2.11", 4010, "0 101"));
    assert_eq!(world.places()[0], Some(addr("192.0.2.10:4000")), "until it is answered what was agreed stands");
    world.trunk_answers(200, "b", &offer("198.51.100.21", 6010, "0 101"));

    assert_eq!(world.places(), [Some("192.0.2.11:4010"), Some("198.51.100.21:6010")].map(|at| at.map(addr)));
    assert_eq!(world.sdp(&world.to_pbx("200")).media()[0].addr, Some("192.0.2.2".parse().unwrap()));
}

#[test]
fn an_update_before_the_answer_moves_the_media_of_its_dialog_from_either_side() {
    let mut world = World::with(Mode::Announce);
    world.pbx_calls(&offer("192.0.2.10", 4000, "0 101"));
    let invite = world.asked.clone();
    world.reliably(183, "b", &offer("198.51.100.20", 6000, "0 101"));
    world.pracks(2, "");
    world.trunk_answers(200, "b", "");

    world.pbx_sends("UPDATE", 3, "b", SDP, &offer("192.0.2.11", 4010, "0 101"));
    world.trunk_answers(200, "b", &offer("198.51.100.20", 6000, "0 101"));
    assert_eq!(world.places(), [Some("192.0.2.11:4010"), Some("198.51.100.20:6000")].map(|at| at.map(addr)));

    world.trunk_sends("UPDATE", 1, "b", SDP, &offer("198.51.100.22", 6020, "0 101"));
    world.pbx_answers(&offer("192.0.2.11", 4010, "0 101"));
    assert_eq!(world.places(), [Some("192.0.2.11:4010"), Some("198.51.100.22:6020")].map(|at| at.map(addr)));

    // The 2xx repeats the answer of the INVITE (RFC 6337 §3.1.1): it does not undo what the UPDATE agreed.
    world.asked = invite;
    world.trunk_answers(200, "b", &offer("198.51.100.20", 6000, "0 101"));
    assert_eq!(world.places()[1], Some(addr("198.51.100.22:6020")));
}

#[test]
fn an_update_that_is_refused_leaves_all_as_it_was() {
    for status in [488, 491, 500, 504] {
        let mut world = World::with(Mode::Announce);
        world.call_is_up();
        let before = world.places();

        world.pbx_sends("UPDATE", 2, "b", SDP, &offer("192.0.2.11", 4010, "0 101"));
        world.trunk_answers(status, "b", "");

        assert_eq!(world.to_pbx(&status.to_string()).status(), Some(status));
        assert_eq!((world.places(), world.table.count()), (before, 1), "{status}");
    }
}

#[test]
fn where_two_offers_cross_both_are_refused_and_both_descriptions_stand() {
    for method in ["INVITE", "UPDATE"] {
        let mut world = World::with(Mode::Announce);
        world.call_is_up();
        for announcing in world.announced() {
            world.played(&announcing);
        }
        let before = world.places();

        world.pbx_sends(method, 2, "b", SDP, &offer("192.0.2.11", 4010, "0 101"));
        let of_pbx = world.asked.clone();
        world.trunk_sends(method, 2, "b", SDP, &offer("198.51.100.22", 6020, "0 101"));
        let of_trunk = world.asked.clone();
        // RFC 3261 §14.1, RFC 3311 §5.2: whoever has an offer of its own in flight refuses the other's.
        world.asked = of_pbx;
        world.trunk_answers(491, "b", "");
        world.asked = of_trunk;
        let refusal = world.answer(491, "a", "");
        world.datagram(PBX, &refusal);

        assert_eq!(world.to_pbx("491").status(), Some(491), "{method}");
        assert_eq!(world.to_trunk("491").status(), Some(491), "{method}");
        assert_eq!((world.places(), world.recording()), (before, vec!["record".to_owned()]), "{method}");

        // Whoever tries again is understood.
        world.pbx_sends(method, 3, "b", SDP, &offer("192.0.2.11", 4010, "0 101"));
        world.trunk_answers(200, "b", &offer("198.51.100.20", 6000, "0 101"));
        assert_eq!(world.places(), [Some("192.0.2.11:4010"), Some("198.51.100.20:6000")].map(|at| at.map(addr)), "{method}");
    }
}

#[test]
fn of_two_offers_that_cross_the_one_that_is_taken_counts_alone() {
    let mut world = World::with(Mode::Announce);
    world.call_is_up();

    world.pbx_sends("INVITE", 2, "b", SDP, &offer("192.0.2.11", 4010, "0 101"));
    let of_pbx = world.asked.clone();
    world.trunk_sends("INVITE", 2, "b", SDP, &offer("198.51.100.22", 6020, "0 101"));
    let refusal = world.answer(491, "a", "");
    world.datagram(PBX, &refusal);
    world.asked = of_pbx;
    world.trunk_answers(200, "b", &offer("198.51.100.20", 6000, "0 101"));

    assert_eq!(world.places(), [Some("192.0.2.11:4010"), Some("198.51.100.20:6000")].map(|at| at.map(addr)));
}

#[test]
fn an_answer_to_a_re_invite_without_an_offer_stands_in_its_ack() {
    let mut world = World::with(Mode::Announce);
    world.call_is_up();

    world.pbx_sends("INVITE", 2, "b", "", "");
    world.trunk_answers(200, "b", &offer("198.51.100.22", 6020, "0 101"));
    assert_eq!(world.places()[1], Some(addr("198.51.100.20:6000")), "it is an offer");
    world.pbx_sends("ACK", 2, "b", SDP, &offer("192.0.2.11", 4010, "0 101"));

    assert_eq!(world.places(), [Some("192.0.2.11:4010"), Some("198.51.100.22:6020")].map(|at| at.map(addr)));
}

#[test]
fn attributes_that_nobody_here_knows_pass_in_every_offer_and_answer() {
    let mut world = World::with(Mode::Announce);
    let own = "a=x-vendor:1 2;3\r\na=content:speaker\r\na=sendrecv\r\n";
    let with = |ip, port| offer(ip, port, "0 101").replace("a=sendrecv\r\n", own);
    world.call_is_up();

    world.trunk_sends("UPDATE", 2, "b", SDP, &with("198.51.100.20", 6000));
    assert!(String::from_utf8_lossy(world.to_pbx("UPDATE").body()).ends_with(own));
    world.pbx_answers(&with("192.0.2.10", 4000));
    assert!(String::from_utf8_lossy(world.to_trunk_any("200").body()).ends_with(own));
}

impl World {
    /// Where the media of the PBX and of the trunk go, as the media plane was told last.
    fn places(&self) -> [Option<SocketAddr>; 2] {
        let mut places = [None, None];
        for order in self.orders() {
            if let Order::Describe { leg, remote, .. } = order {
                places[leg.index()] = Some(remote.rtp);
            }
        }
        places
    }

    /// The trunk answers the INVITE provisionally, and wants a PRACK for it.
    fn reliably(&mut self, status: u16, to_tag: &str, sdp: &str) {
        let text = self.answer(status, to_tag, sdp).replacen("Contact:", "Require: 100rel\r\nRSeq: 7\r\nContact:", 1);
        self.datagram(TRUNK, &text);
    }

    fn pracks(&mut self, cseq: u32, sdp: &str) {
        let content = if sdp.is_empty() { "" } else { SDP };
        self.pbx_sends("PRACK", cseq, "b", &format!("RAck: 7 1 INVITE\r\n{content}"), sdp);
    }
}
