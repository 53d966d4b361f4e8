//! Calls for help: they pass whatever else is, and are never recorded.

use super::*;

#[test]
fn a_call_for_help_is_neither_announced_nor_recorded() {
    for uri in ["sip:112@192.0.2.1", "sip:1-1-2@192.0.2.1;user=phone", "urn:service:sos", "URN:service:SOS.police"] {
        let mut world = World::with(Mode::Announce);

        world.calls_for_help(uri, &offer("192.0.2.10", 4000, "0 101"));
        world.trunk_answers(200, "b", &offer("198.51.100.20", 6000, "0 101"));
        world.pbx_acks("b");

        assert_eq!(world.announced(), [], "{uri}");
        assert_eq!(world.recording(), Vec::<String>::new());
        assert_eq!((world.last_story().reason, world.table.count()), (Reason::Emergency, 1));
        assert_ne!(world.sdp(&world.to_trunk("INVITE")).media()[0].addr, Some("192.0.2.10".parse().unwrap()), "it is anchored");
    }
}

#[test]
fn what_only_looks_like_one_is_a_call_like_any_other() {
    for uri in ["sip:1120@192.0.2.1", "sip:0112@192.0.2.1", "urn:service:sosa", "urn:service:counseling"] {
        let mut world = World::with(Mode::Announce);
        world.input(Input::Drain);

        world.calls_for_help(uri, &offer("192.0.2.10", 4000, "0 101"));

        assert_eq!(world.last_story().reason, Reason::Draining, "{uri}");
    }
}

#[test]
fn it_passes_while_the_proxy_drains() {
    let mut world = World::with(Mode::Announce);
    world.input(Input::Drain);

    world.calls_for_help("sip:112@192.0.2.1", &offer("192.0.2.10", 4000, "0 101"));

    world.to_trunk("INVITE");
}

#[test]
fn where_no_port_is_left_it_goes_past_us_as_it_came() {
    let mut world = World::with(Mode::Announce);
    world.has_ports = false;
    let sdp = offer("192.0.2.10", 4000, "0 101");
    let full = (1..200).find(|&number| !world.pbx_call_number(number, &sdp)).expect("the ports end");
    assert_eq!(world.last_story().reason, Reason::PortsExhausted, "after {full} calls");

    world.calls = 500;
    world.calls_for_help("sip:112@192.0.2.1", &sdp);
    assert_eq!(world.to_trunk("INVITE").body(), sdp.as_bytes());
    let answer = offer("198.51.100.20", 6000, "0 101");
    world.trunk_answers(200, "b", &answer);
    assert_eq!(world.to_pbx("200").body(), answer.as_bytes());
    world.pbx_acks("b");
    let hold = sdp.replace("a=sendrecv", "a=sendonly");
    world.pbx_sends("INVITE", 2, "b", "Content-Type: application/sdp\r\n", &hold);
    assert_eq!(world.to_trunk("INVITE").body(), hold.as_bytes());
    assert_eq!(world.last_story().reason, Reason::Emergency);
}

#[test]
fn the_rules_of_srtp_do_not_keep_a_call_for_help_from_being_heard() {
    let mut world = World::secured(MediaAs::Srtp, MediaAs::Srtp);

    // Neither party does as its rule wants: both are bridged, in the open.
    world.calls_for_help("sip:112@192.0.2.1", &offer("192.0.2.10", 4000, "0 101"));
    assert!(String::from_utf8_lossy(world.to_trunk("INVITE").body()).contains("RTP/SAVP"), "what the trunk understands");
    world.trunk_answers(200, "b", &offer("198.51.100.20", 6000, "0 101"));
    world.pbx_acks("b");

    let answer = world.sdp(&world.to_pbx("200"));
    assert!(answer.media()[0].port != 0 && !answer.media()[0].is_secure() && answer.media()[0].keys.is_empty());
    let places: Vec<_> = world
        .orders()
        .filter_map(|order| match order {
            Order::Describe { leg, remote, srtp, .. } => Some((*leg, remote.rtp, srtp.is_some())),
            _ => None,
        })
        .collect();
    assert!(places.contains(&(Leg::Pbx, addr("192.0.2.10:4000"), false)), "{places:?}");
    assert!(places.contains(&(Leg::Trunk, addr("198.51.100.20:6000"), false)), "{places:?}");
}

#[test]
fn a_description_that_nobody_can_read_does_not_stop_it() {
    let mut world = World::with(Mode::Announce);

    world.calls_for_help("sip:112@192.0.2.1", "v=0\r\nm=\r\n");

    assert_eq!(world.to_trunk("INVITE").body(), b"v=0\r\nm=\r\n");
}

#[test]
fn who_called_for_help_and_says_nothing_is_not_hung_up_on() {
    let mut world = World::watched(all_by(Mode::Announce, WithoutConsent::GoOn), WhenDead::End);
    world.calls_for_help("sip:112@192.0.2.1", &offer("192.0.2.10", 4000, "0 101"));
    world.trunk_answers(200, "b", &offer("198.51.100.20", 6000, "0 101"));
    world.pbx_acks("b");
    let id = world.watched_bridge().expect("it is watched, to be told");

    world.media(Event::Dead { id });

    assert_eq!((world.silences(), world.table.count()), (vec![(Silence::Both, WhenDead::Mark)], 1));
}

impl World {
    pub(super) fn calls_for_help(&mut self, uri: &str, sdp: &str) {
        let number = self.calls;
        self.datagram(PBX, &numbered("INVITE", uri, PBX, 1, "a", None, "Content-Type: application/sdp\r\n", sdp, number));
    }
}
