//! Parties whose telephones know of recording (RFC 7866).

use mitschnitt::digit::{Digit, PartyKey};

use super::*;

const SDP: &str = "Content-Type: application/sdp\r\n";
const AWARE: &str = "Content-Type: application/sdp\r\nSupported: timer, record-aware\r\n";

/// A call in which each may withdraw by key, and the agent pause; its first offer says this as well.
fn called(says: &str) -> World {
    let key = |key, of| Digit::from_char(key).map(|key| PartyKey { key, of });
    let in_call = InCall { pause: key('*', [true, false]), resume: key('*', [true, false]), ..InCall::default() };
    let policies = for_all(Terms { withdraw: key('9', [true, true]), ..terms(Mode::Announce) });
    let mut world = World::new(policies.iter().map(|policy| Arc::new(Policy { in_call, ..(**policy).clone() })).collect());
    world.pbx_calls(&format!("{}{says}", offer("192.0.2.10", 4000, "0 101")));
    world.trunk_answers(200, "b", &offer("198.51.100.20", 6000, "0 101"));
    world.pbx_sends("ACK", 1, "b", "", "");
    world
}

fn recorded(says: &str) -> World {
    let mut world = called(says);
    world.announced().iter().for_each(|announcing| world.played(announcing));
    assert_eq!(world.recording(), ["record"]);
    world
}

/// What the last message with a description to this address says of the recording.
fn told(world: &World, to: &str) -> Option<String> {
    let body = |message: &Message| String::from_utf8(message.body().to_vec()).ok().filter(|body| body.starts_with("v=0"));
    let last = world.messages(to).iter().filter_map(body).last()?;
    last.lines().find_map(|line| line.strip_prefix("a=record:")).map(str::to_owned)
}

fn trunk_prefers(world: &mut World, cseq: u32, preference: &str) {
    let sdp = format!("{}a=recordpref:{preference}\r\n", offer("198.51.100.20", 6000, "0 101"));
    world.trunk_sends("INVITE", cseq, "b", SDP, &sdp);
    world.pbx_answers(&offer("192.0.2.10", 4000, "0 101"));
    world.trunk_sends("ACK", cseq, "b", "", "");
}

#[test]
fn who_prefers_not_to_be_recorded_has_refused_and_nobody_is_asked() {
    let mut world = called("a=recordpref:off\r\n");

    assert_eq!(world.announced(), []);
    assert_eq!(world.recording(), [""; 0]);
    assert_eq!((world.last_story().reason, world.last_story().leg), (Reason::ConsentRefused, Some(Leg::Pbx)));
}

#[test]
fn who_prefers_it_later_has_withdrawn_before_the_other_is_told_of_the_offer() {
    let mut world = recorded("");

    trunk_prefers(&mut world, 2, "off");

    assert_eq!(world.recording(), ["record", "end Withdrawn(Trunk)"]);
    assert_eq!(told(&world, TRUNK).as_deref(), Some("off"), "who has a preference understands what is so");
    assert_eq!(told(&world, PBX), None, "and whoever has said nothing of the kind is told nothing");
}

#[test]
fn no_preference_and_a_wish_to_be_recorded_change_nothing() {
    let mut world = recorded("a=recordpref:on\r\n");

    trunk_prefers(&mut world, 2, "nopreference");
    trunk_prefers(&mut world, 3, "on");

    assert_eq!(world.recording(), ["record"]);
    assert_eq!(told(&world, TRUNK).as_deref(), Some("on"));
}

#[test]
fn who_may_pause_by_key_may_prefer_to_and_the_outside_party_may_not() {
    let mut world = recorded("");
    trunk_prefers(&mut world, 2, "pause");
    assert_eq!(world.recording(), ["record"]);

    let pbx_prefers = |world: &mut World, cseq, preference| {
        let sdp = format!("{}a=recordpref:{preference}\r\n", offer("192.0.2.10", 4000, "0 101"));
        world.pbx_sends("INVITE", cseq, "b", SDP, &sdp);
        world.trunk_answers(200, "b", &offer("198.51.100.20", 6000, "0 101"));
        world.pbx_sends("ACK", cseq, "b", "", "");
    };
    pbx_prefers(&mut world, 2, "pause");
    assert_eq!(world.recording(), ["record", "suspend for a pause"]);
    assert_eq!(told(&world, PBX).as_deref(), Some("paused"));
    pbx_prefers(&mut world, 3, "pause");
    assert_eq!(world.recording(), ["record", "suspend for a pause"], "said again, it says nothing new");

    pbx_prefers(&mut world, 4, "on");
    assert_eq!(world.recording(), ["record", "suspend for a pause", "resume"]);
}

#[test]
fn whoever_always_says_on_does_not_resume_what_the_agent_paused() {
    let mut world = recorded("a=recordpref:on\r\n");
    assert!(world.operator(Deed::Pause).is_ok());

    let sdp = format!("{}a=recordpref:on\r\n", offer("192.0.2.10", 4000, "0 101"));
    world.pbx_sends("INVITE", 2, "b", SDP, &sdp);

    assert_eq!(world.recording(), ["record", "suspend for a pause"]);
}

#[test]
fn who_supports_it_is_told_what_is_so_as_each_description_passes() {
    let mut world = recorded("");
    world.pbx_sends("INVITE", 2, "b", AWARE, &offer("192.0.2.10", 4000, "0 101"));
    assert_eq!(told(&world, TRUNK), None);
    world.trunk_answers(200, "b", &offer("198.51.100.20", 6000, "0 101"));
    assert_eq!(told(&world, PBX).as_deref(), Some("on"));
    world.pbx_sends("ACK", 2, "b", "", "");
    assert!(world.operator(Deed::Withdraw).is_ok());

    world.trunk_sends("INVITE", 2, "b", SDP, &offer("198.51.100.20", 6000, "0 101"));

    assert_eq!(told(&world, PBX).as_deref(), Some("off"));
}
