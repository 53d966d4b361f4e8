//! Calls that are up when the process ends, and go on when it is started again.

use base64ct::{Base64, Encoding as _};
use mitschnitt::call::Kept;

use super::*;

#[test]
fn what_was_agreed_is_bridged_again_on_the_ports_that_the_parties_know() {
    let before = World::recorded_call();
    let told = [before.to_trunk("INVITE"), before.to_pbx_any("200")].map(|message| before.sdp(&message).media()[0].port);

    let after = restarted(&before);

    let mut bridges = after.orders().filter_map(|order| if let Order::Bridge(bridging) = order { Some(bridging) } else { None });
    let (Some(bridging), None) = (bridges.next(), bridges.next()) else { panic!("one bridge") };
    assert_eq!(after.described_places(), [addr("192.0.2.10:4000"), addr("198.51.100.20:6000")]);
    assert_eq!(after.watched_bridge(), Some(bridging.id));
    let ports = bridging.ports.map(|ids| after.port_of(ids));
    assert_eq!(ports, [told[1], told[0]], "the PBX knows the one, the trunk the other");
    let live = after.table.live();
    assert_eq!((live.len(), live[0].is_up, live[0].is_recording, live[0].reason), (1, true, false, Reason::Interrupted));
    assert_eq!(live[0].recording, None, "nothing more is recorded");
    assert!(after.recorded().is_none());
}

#[test]
fn a_bye_ends_it_and_its_row_and_nothing_is_kept_any_more() {
    for by in [Leg::Pbx, Leg::Trunk] {
        let before = World::recorded_call();
        let call = before.table.live()[0].call;
        let mut after = restarted(&before);

        match by {
            Leg::Pbx => after.pbx_sends("BYE", 2, "b", &after.route_of(&before), ""),
            Leg::Trunk => after.trunk_sends("BYE", 1, "b", &after.route_of(&before), ""),
        }
        match by {
            Leg::Pbx => after.trunk_answers(200, "b", ""),
            Leg::Trunk => after.pbx_answers(""),
        }

        assert_eq!((after.table.count(), after.given_back()), (0, 2), "{by}");
        let story = after.last_story();
        assert!(story.is_restored && story.ended.is_some(), "{by}");
        assert_eq!((story.call, story.reason), (call, Reason::Interrupted));
        assert_eq!(after.kept(), None, "{by}");
        assert!(after.out.iter().any(|output| matches!(output, Output::Forget(forgotten) if *forgotten == call)));
        assert!(after.orders().any(|order| matches!(order, Order::Close { .. })));
    }
}

#[test]
fn a_re_invite_is_anchored_on_the_same_ports_and_kept_in_its_turn() {
    let before = World::recorded_call();
    let mut after = restarted(&before);
    let content = "Content-Type: application/sdp\r\n";

    after.trunk_sends("INVITE", 7, "b", content, &offer("198.51.100.20", 6100, "0 101"));
    let offered = after.sdp(&after.to_pbx("INVITE"));
    after.pbx_answers(&offer("192.0.2.10", 4000, "0 101"));
    let answered = after.sdp(&after.to_trunk_any("200"));

    assert_eq!(offered.media()[0].port, before.sdp(&before.to_pbx_any("200")).media()[0].port);
    assert_eq!(answered.media()[0].port, before.sdp(&before.to_trunk("INVITE")).media()[0].port);
    let mut again = restarted(&after);
    assert_eq!(again.described_places()[1], addr("198.51.100.20:6100"), "where it is since then");
    // What was said before the restart is not said again.
    again.trunk_sends("INFO", 7, "b", "", "");
    assert!(String::from_utf8_lossy(again.first_word(TRUNK, "500").as_bytes()).contains("CSeq: 7 INFO"));
}

#[test]
fn what_consent_had_decided_is_the_reason_still() {
    let mut before = World::with(Mode::OptOut);
    before.call_is_up();
    before.operator(Deed::Withdraw).unwrap();

    let mut after = restarted(&before);

    assert_eq!(after.table.live()[0].reason, Reason::WithdrawnByOperator);
    assert_eq!(after.operator(Deed::Pause), Err(NotDone::NotRecorded(Reason::WithdrawnByOperator)));
    assert!(after.announced().is_empty(), "nobody is told anything");
}

#[test]
fn it_is_as_old_as_it_was() {
    let mut before = World::recorded_call();
    let (moment, wall) = (before.now, Wall::from_unix_micros(1_795_512_600_000_000));
    before.input(Input::Clocks(moment, wall));
    let kept = before.kept().unwrap();

    let after = World::restored(&kept, Wall::from_unix_micros(wall.unix_micros() + 90_000_000));

    let old = after.table.live()[0].before;
    assert!((Duration::from_secs(89)..Duration::from_secs(92)).contains(&old), "{old:?}");
}

#[test]
fn nobody_refreshes_it_and_nobody_is_heard_so_it_is_ended() {
    let mut before = World::watched(all_by(Mode::Announce, WithoutConsent::GoOn), WhenDead::Mark);
    before.pbx_calls(&offer("192.0.2.10", 4000, "0"));
    let answer = before.answer(200, "b", &offer("198.51.100.20", 6000, "0"));
    before.datagram(TRUNK, &answer.replace("Contact:", "Session-Expires: 1800;refresher=uas\r\nContact:"));
    before.pbx_acks("b");
    let mut after = restarted(&before);
    let id = after.watched_bridge().unwrap();

    after.passes(Duration::from_secs(1800 + 120));
    after.media(Event::Dead { id });

    for (to, from) in [(PBX, "tag=b"), (TRUNK, "tag=a")] {
        let bye = after.first_word(to, "BYE");
        assert!(String::from_utf8_lossy(bye.value(Name::From).unwrap()).contains(from), "to {to}");
    }
    assert_eq!(after.table.count(), 0);
}

#[test]
fn a_call_whose_trunk_is_gone_is_forgotten_with_its_ports() {
    let kept = World::recorded_call().kept().unwrap();
    let kept = String::from_utf8(kept).unwrap().replace("\"carrier\"", "\"another\"").into_bytes();

    let after = World::restored(&kept, Wall::from_unix_micros(0));

    assert_eq!((after.table.count(), after.given_back()), (0, 2));
    assert!(after.out.iter().any(|output| matches!(output, Output::Forget(_))));
}

#[test]
fn ports_that_are_not_to_be_had_leave_a_call_that_a_re_invite_anchors() {
    let before = World::recorded_call();
    let kept = Kept::read(&before.kept().unwrap()).unwrap();
    let mut after = World::with(Mode::Announce);

    after.input(Input::Restore { kept: Box::new(kept), ports: vec![[None, None]] });
    assert!(after.orders().next().is_none());
    after.pbx_sends("INVITE", 2, "b", "Content-Type: application/sdp\r\n", &offer("192.0.2.10", 4000, "0 101"));
    after.trunk_answers(200, "b", &offer("198.51.100.20", 6000, "0 101"));

    assert!(after.orders().any(|order| matches!(order, Order::Bridge(_))));
}

#[test]
fn nothing_of_it_is_a_credential_a_key_or_a_description_with_one() {
    let mut before = World::with(Mode::Announce);
    let offered =
        offer("192.0.2.10", 4000, "0") + "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd\r\n";
    let lines = "Content-Type: application/sdp\r\nProxy-Authorization: Digest response=\"5ec7e7\"\r\n";
    before.datagram(PBX, &numbered("INVITE", "sip:200@192.0.2.1", PBX, 1, "a", None, lines, &offered, 0));
    before.trunk_answers(200, "b", &offer("198.51.100.20", 6000, "0"));
    before.pbx_acks("b");

    let kept = before.kept().unwrap();

    let all: Vec<u8> =
        words(&String::from_utf8(kept).unwrap()).flat_map(|word| Base64::decode_vec(word).unwrap_or_default()).collect();
    let all = String::from_utf8_lossy(&all);
    assert!(all.contains("m=audio 4000") && all.contains("CSeq: 1 INVITE"), "{all}");
    assert!(!all.contains("5ec7e7") && !all.contains("inline:") && !all.contains("Authorization"), "{all}");
}

#[test]
fn what_is_not_what_was_written_is_no_call() {
    let kept = World::recorded_call().kept().unwrap();
    for end in 0..kept.len() {
        assert!(Kept::read(&kept[..end]).is_err(), "{end}");
    }
    for at in 0..kept.len() {
        let mut changed = kept.clone();
        changed[at] = changed[at].wrapping_add(1);
        // Whatever it is now, it is refused, or restored as something; and nothing panics.
        if let Ok(kept) = Kept::read(&changed) {
            let mut world = World::with(Mode::Announce);
            world.input(Input::Restore { kept: Box::new(kept), ports: Vec::new() });
            assert!(world.table.count() <= 1);
        }
    }
}

/// Starts the proxy again with what it has kept.
fn restarted(before: &World) -> World {
    let kept = before.kept().expect("a call that is up is kept");
    World::restored(&kept, Wall::from_unix_micros(1_795_512_600_000_000))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split('"')
}

impl World {
    /// Returns what is kept of the one call there is.
    fn kept(&self) -> Option<Vec<u8>> {
        self.out.iter().fold(None, |kept, output| match output {
            Output::Keep(kept) => Some(kept.to_bytes()),
            Output::Forget(_) => None,
            _ => kept,
        })
    }

    /// A new process, at this time of day, that is given what the one before has kept.
    fn restored(kept: &[u8], wall: Wall) -> Self {
        let kept = Kept::read(kept).unwrap();
        let mut world = Self::watched(all_by(Mode::Announce, WithoutConsent::GoOn), WhenDead::Mark);
        world.input(Input::Clocks(world.now, wall));
        world.out.clear();
        let ports = kept.ports().to_vec();
        let mut open = |leg: Leg, port: Option<u16>| port.map(|rtp| PortPair { rtp, rtcp: rtp + 1, ..world.pair(leg) });
        let ports = ports.iter().map(|&[pbx, trunk]| [open(Leg::Pbx, pbx), open(Leg::Trunk, trunk)]).collect::<Vec<_>>();
        world.opened = ports.iter().flatten().flatten().copied().collect();
        world.input(Input::Restore { kept: Box::new(kept), ports });
        world
    }

    /// Where the parties take their media.
    fn described_places(&self) -> Vec<SocketAddr> {
        let of = |leg: Leg| {
            self.orders().find_map(|order| match order {
                Order::Describe { leg: of, remote, .. } if *of == leg => Some(remote.rtp),
                _ => None,
            })
        };
        Leg::BOTH.into_iter().filter_map(of).collect()
    }

    fn port_of(&self, ids: PairIds) -> u16 {
        self.opened.iter().find(|pair| pair.ids == ids).unwrap().rtp
    }

    /// What brings a request back to us within the call that there was before.
    fn route_of(&self, before: &Self) -> String {
        let named = String::from_utf8_lossy(before.to_trunk("INVITE").value(Name::RecordRoute).unwrap()).into_owned();
        format!("Route: {named}\r\n")
    }
}
