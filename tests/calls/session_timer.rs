//! Calls whose parties agreed on a session timer (RFC 4028) and are gone without a BYE.

use super::*;

#[test]
fn a_call_that_nobody_refreshes_and_nobody_is_heard_in_is_ended() {
    let mut world = timed("1800;refresher=uas");
    for announcing in world.announced() {
        world.played(&announcing);
    }
    world.passes(Duration::from_secs(1800 + 31));
    assert_eq!(world.asked_again(), 0, "a refresh may still be on its way");
    world.passes(Duration::from_secs(2));
    assert_eq!((world.asked_again(), world.table.count()), (1, 1), "whether anything comes is looked at first");

    world.goes_silent();

    assert_eq!(world.to_pbx("BYE").from().unwrap().tag(), Some(&b"b"[..]));
    assert_eq!(world.to_trunk("BYE").from().unwrap().tag(), Some(&b"a"[..]));
    assert_eq!(world.recording(), ["record", "end Silent"]);
    assert_eq!((world.last_story().reason, world.table.count()), (Reason::SessionExpired, 0));
}

#[test]
fn a_call_in_which_somebody_is_heard_goes_on_whatever_its_timer_says() {
    let mut world = timed("90");

    world.passes(Duration::from_secs(10_000));

    assert_eq!(world.table.count(), 1);
}

#[test]
fn silence_alone_ends_nothing_nor_does_silence_from_before_the_end_of_the_timer() {
    let mut world = timed("1800");
    world.goes_silent();
    world.passes(Duration::from_secs(2000));

    assert_eq!(world.table.count(), 1);

    let mut world = timed("");
    world.passes(Duration::from_secs(100_000));
    world.goes_silent();
    assert_eq!((world.table.count(), world.asked_again()), (1, 0), "no timer was agreed");
}

#[test]
fn a_refresh_begins_the_timer_anew() {
    let mut world = timed("1800");
    for cseq in 2..12 {
        world.passes(Duration::from_secs(900));
        world.pbx_sends("UPDATE", cseq, "b", "", "");
        world.answers_with("Session-Expires: 1800\r\n", "");
    }
    assert_eq!((world.asked_again(), world.table.count()), (0, 1));

    // One without says that there is none any more.
    world.pbx_sends("UPDATE", 20, "b", "", "");
    world.trunk_answers(200, "b", "");
    world.passes(Duration::from_secs(100_000));
    world.goes_silent();
    assert_eq!((world.asked_again(), world.table.count()), (0, 1));
}

#[test]
fn what_is_no_number_is_no_timer() {
    for value in ["soon", "-1", "99999999999999999999", ";refresher=uac", "1800x"] {
        let mut world = timed(value);
        world.passes(Duration::from_secs(100_000));
        world.goes_silent();

        assert_eq!((world.asked_again(), world.table.count()), (0, 1), "{value}");
    }
}

/// A call that is up, with this Session-Expires in its 200.
fn timed(session_expires: &str) -> World {
    let mut world = World::watched(all_by(Mode::Announce, WithoutConsent::GoOn), WhenDead::Mark);
    world.pbx_calls(&offer("192.0.2.10", 4000, "0 101"));
    let line = if session_expires.is_empty() { String::new() } else { format!("x: {session_expires}\r\n") };
    world.answers_with(&line, &offer("198.51.100.20", 6000, "0 101"));
    world.pbx_acks("b");
    world
}

impl World {
    /// The trunk answers with these lines as well.
    fn answers_with(&mut self, lines: &str, sdp: &str) {
        let text = self.answer(200, "b", sdp).replacen("Contact:", &format!("{lines}Contact:"), 1);
        self.datagram(TRUNK, &text);
    }

    fn goes_silent(&mut self) {
        let id = self.watched_bridge().expect("the audio is watched");
        self.media(Event::Dead { id });
    }

    /// How often it was asked to be told of silence once more.
    fn asked_again(&self) -> usize {
        self.orders().filter(|order| matches!(order, Order::Watch { again: true, .. })).count()
    }
}
