//! What a party's key does to a call that is recorded.

use mitschnitt::call::{AfterPause, Shred, Signs};
use mitschnitt::codec::Codec;
use mitschnitt::consent::{Clip, How};
use mitschnitt::digit::{Digit, PartyKey};

use super::terms::LONGEST_PAUSE;
use super::*;

const DTMF: &str = "Content-Type: application/dtmf\r\n";

/// A call under `opt-in` in which the trunk's party agrees with 1, and these may withdraw with 9.
fn recorded(of: [bool; 2]) -> World {
    recorded_with(of, InCall::default())
}

/// One in which the agent alone pauses and resumes with `*`.
fn paused_by_star(after_pause: AfterPause) -> World {
    let star = Digit::from_char('*').map(|key| PartyKey { key, of: [true, false] });
    recorded_with([true, true], InCall { pause: star, resume: star, after_pause, shred: Shred::Asked, beep: None })
}

fn recorded_with(of: [bool; 2], in_call: InCall) -> World {
    let withdraw = Digit::from_char('9').map(|key| PartyKey { key, of });
    let mut world = World::new(with_terms(Terms { withdraw, ..terms(Mode::OptIn) }, |policy| Policy { in_call, ..policy }));
    agree(&mut world);
    world
}

/// One in which both may withdraw, under a policy that is changed so.
fn recorded_of(change: impl Fn(Policy) -> Policy) -> World {
    let withdraw = Digit::from_char('9').map(|key| PartyKey { key, of: [true, true] });
    let mut world = World::new(with_terms(Terms { withdraw, ..terms(Mode::OptIn) }, change));
    agree(&mut world);
    world
}

fn with_terms(terms: Terms, change: impl Fn(Policy) -> Policy) -> Vec<Arc<Policy>> {
    for_all(terms).iter().map(|policy| Arc::new(change((**policy).clone()))).collect()
}

fn agree(world: &mut World) {
    world.call_is_up();
    world.announced().iter().for_each(|announcing| world.played(announcing));
    world.trunk_sends("INFO", 2, "b", DTMF, "1");
    assert_eq!(world.recording(), ["record"]);
}

#[test]
fn either_party_withdraws_by_key_what_was_agreed_to_by_key() {
    let mut by_trunk = recorded([true, true]);
    by_trunk.trunk_sends("INFO", 3, "b", DTMF, "9");
    assert_eq!(by_trunk.recording(), ["record", "end Withdrawn(Trunk)"]);

    let mut by_pbx = recorded([true, true]);
    by_pbx.pbx_sends("INFO", 2, "b", DTMF, "9");
    assert_eq!(by_pbx.recording(), ["record", "end Withdrawn(Pbx)"]);
    assert_eq!(by_pbx.last_story().reason, Reason::Withdrawn);
    assert_eq!(by_pbx.table.live()[0].consent, Some(Standing::Withdrawn(By::Party(Leg::Pbx))));
    assert_eq!(by_pbx.to_trunk("INFO").body(), b"9", "the message itself goes through");

    by_pbx.trunk_sends("INFO", 3, "b", DTMF, "1");
    assert_eq!(by_pbx.recording().len(), 2, "and nobody is recorded again for a key that is pressed once more");
}

#[test]
fn who_may_not_withdraw_by_key_does_not() {
    let mut world = recorded([false, true]);

    world.pbx_sends("INFO", 2, "b", DTMF, "9");

    assert_eq!(world.recording(), ["record"]);
}

#[test]
fn a_withdrawal_counts_though_its_request_was_overtaken() {
    let mut world = recorded([true, true]);
    world.trunk_sends("INVITE", 5, "b", "Content-Type: application/sdp\r\n", &offer("198.51.100.20", 6000, "0 101"));

    world.trunk_sends("INFO", 4, "b", DTMF, "9");

    assert_eq!(world.to_trunk_any("500").status(), Some(500), "as RFC 3261 §12.2.2 has it");
    assert_eq!(world.recording(), ["record", "end Withdrawn(Trunk)"]);
}

#[test]
fn the_agents_key_pauses_and_resumes_and_what_is_shown_is_what_is() {
    let mut world = paused_by_star(AfterPause::Resume);

    world.pbx_sends("INFO", 2, "b", DTMF, "*");
    assert_eq!(world.recording(), ["record", "suspend for a pause"]);
    let live = world.table.live().remove(0);
    assert!(!live.is_recording && live.pause_ends == Some(world.now + LONGEST_PAUSE));
    assert_eq!(world.to_trunk("INFO").body(), b"*", "the message itself goes through");

    world.passes(Duration::from_secs(10));
    world.pbx_sends("INFO", 3, "b", DTMF, "*");
    assert_eq!(world.recording(), ["record", "suspend for a pause", "resume"]);
    assert!(world.table.live()[0].is_recording);
}

#[test]
fn the_outside_party_neither_pauses_nor_resumes() {
    let mut world = paused_by_star(AfterPause::Resume);
    world.trunk_sends("INFO", 3, "b", DTMF, "*");
    assert_eq!(world.recording(), ["record"]);

    world.pbx_sends("INFO", 2, "b", DTMF, "*");
    world.passes(Duration::from_secs(10));
    world.trunk_sends("INFO", 4, "b", DTMF, "*");

    assert_eq!(world.recording(), ["record", "suspend for a pause"]);
}

#[test]
fn one_press_that_comes_as_an_event_and_as_sip_info_does_not_undo_itself() {
    let mut world = paused_by_star(AfterPause::Resume);
    let id = BridgeId { call: world.table.live()[0].call, dialog: 0, line: 0 };
    let digit = Digit::from_char('*').unwrap();

    world.media(Event::Digit { id, leg: Leg::Pbx, digit, how: How::KeyByRtp });
    world.pbx_sends("INFO", 2, "b", DTMF, "*");
    assert_eq!(world.recording(), ["record", "suspend for a pause"]);

    world.media(Event::Digit { id, leg: Leg::Pbx, digit, how: How::KeyByRtp });
    assert_eq!(world.recording(), ["record", "suspend for a pause", "resume"], "pressed again, it is another press");
}

#[test]
fn after_the_longest_pause_the_recording_goes_on_or_has_ended_as_the_policy_says() {
    for (then, ends) in [(AfterPause::Resume, "resume"), (AfterPause::Stop, "end Stopped")] {
        let mut world = paused_by_star(then);
        world.pbx_sends("INFO", 2, "b", DTMF, "*");

        world.passes(LONGEST_PAUSE);

        assert_eq!(world.recording(), ["record", "suspend for a pause", ends]);
        let live = world.table.live().remove(0);
        assert_eq!((live.is_recording, live.pause_ends), (then == AfterPause::Resume, None));
        world.pbx_sends("INFO", 3, "b", DTMF, "*");
        assert_eq!(world.recording().len(), if then == AfterPause::Resume { 4 } else { 3 }, "what has ended is not paused");
    }
}

#[test]
fn a_pause_by_key_outlasts_a_hold_and_a_party_that_moves() {
    let mut world = paused_by_star(AfterPause::Resume);
    world.pbx_sends("INFO", 2, "b", DTMF, "*");
    let sdp = "Content-Type: application/sdp\r\n";

    world.pbx_sends("INVITE", 3, "b", sdp, &format!("{}a=sendonly\r\n", offer("192.0.2.10", 4000, "0 101")));
    world.trunk_answers(200, "b", &offer("198.51.100.20", 6000, "0 101"));
    world.pbx_sends("ACK", 3, "b", "", "");
    world.pbx_sends("INVITE", 4, "b", sdp, &offer("192.0.2.77", 4000, "0 101"));
    world.trunk_answers(200, "b", &offer("198.51.100.20", 6000, "0 101"));
    world.pbx_sends("ACK", 4, "b", "", "");

    assert_eq!(world.recording(), ["record", "suspend for a pause"]);
    assert!(!world.table.live()[0].is_recording);
    world.pbx_sends("INFO", 5, "b", DTMF, "*");
    assert_eq!(world.recording(), ["record", "suspend for a pause", "resume"]);
}

#[test]
fn what_is_withdrawn_is_shredded_where_the_policy_says_so_or_the_operator() {
    let shredding = |shred| recorded_with([true, true], InCall { shred, ..InCall::default() });

    let mut by_policy = shredding(Shred::Always);
    by_policy.trunk_sends("INFO", 3, "b", DTMF, "9");
    assert_eq!(by_policy.recording(), ["record", "end Withdrawn(Trunk)"]);
    let story = by_policy.last_story();
    assert_eq!((story.reason, story.leg), (Reason::Shredded, Some(Leg::Trunk)));
    assert!(story.recording.is_some(), "the row has what is to be destroyed");

    let mut by_operator = shredding(Shred::Asked);
    assert_eq!(by_operator.operator(Deed::Shred), Ok(Done::Shreds));
    assert_eq!(by_operator.recording(), ["record", "end Stopped"]);
    assert_eq!(by_operator.last_story().reason, Reason::Shredded);

    let mut kept = shredding(Shred::Asked);
    assert_eq!(kept.operator(Deed::Withdraw), Ok(Done::Withdrawn));
    assert_eq!(kept.last_story().reason, Reason::WithdrawnByOperator);
}

#[test]
fn what_must_be_kept_is_not_shredded_and_nothing_is_done() {
    let mut world = recorded_with([true, true], InCall { shred: Shred::Never, ..InCall::default() });

    assert_eq!(world.operator(Deed::Shred), Err(NotDone::Locked));

    assert_eq!(world.recording(), ["record"]);
    assert_eq!(world.operator(Deed::Withdraw), Ok(Done::Withdrawn));
    assert_eq!(world.last_story().reason, Reason::WithdrawnByOperator);
}

#[test]
fn a_call_that_is_not_recorded_yet_has_nothing_to_shred() {
    let mut world = World::with(Mode::OptIn);
    world.call_is_up();

    assert_eq!(world.operator(Deed::Shred), Ok(Done::Withdrawn));

    assert_eq!(world.last_story().reason, Reason::WithdrawnByOperator);
    assert_eq!(world.last_story().recording, None);
}

#[test]
fn who_pressed_a_key_that_counts_hears_it_and_the_other_does_not() {
    let sign = |sha256| -> Arc<[Clip]> { [Clip::new(Codec::Pcmu, &[1; 160], [sha256; 32], "").unwrap()].into() };
    let star = Digit::from_char('*').map(|key| PartyKey { key, of: [true, false] });
    let in_call = InCall { pause: star, resume: star, ..InCall::default() };
    let mut world =
        recorded_of(|policy| Policy { in_call, signs: Signs { ends: sign(1), goes_on: sign(2), ..Signs::default() }, ..policy });
    let heard = |world: &mut World| {
        let announced = world.announced();
        announced.iter().map(|sign| (sign.leg, sign.clip.sha256()[0])).collect::<Vec<_>>()
    };

    world.pbx_sends("INFO", 2, "b", DTMF, "*");
    assert_eq!(heard(&mut world), [(Leg::Pbx, 1)]);
    world.trunk_sends("INFO", 3, "b", DTMF, "*");
    assert_eq!(heard(&mut world), [], "it means nothing from there");
    world.pbx_sends("INFO", 3, "b", DTMF, "*");
    assert_eq!(heard(&mut world), [(Leg::Pbx, 2)]);
    world.trunk_sends("INFO", 4, "b", DTMF, "9");
    assert_eq!(heard(&mut world), [(Leg::Trunk, 1)]);

    assert_eq!(world.recording(), ["record", "suspend for a pause", "resume", "end Withdrawn(Trunk)"]);
}

#[test]
fn a_sign_that_is_cut_short_asks_nobody_anew() {
    let sign: Arc<[Clip]> = [Clip::new(Codec::Pcmu, &[1; 160], [1; 32], "").unwrap()].into();
    let mut world =
        recorded_of(|policy| Policy { signs: Signs { ends: sign.clone(), goes_on: sign.clone(), ..Signs::default() }, ..policy });
    world.trunk_sends("INFO", 3, "b", DTMF, "9");
    let id = world.announced()[0].id;

    world.media(Event::Cut { id, leg: Leg::Trunk, cut: Cut::Moved });

    assert_eq!(world.announced(), []);
    assert_eq!(world.last_story().reason, Reason::Withdrawn);
}

#[test]
fn who_did_what_to_a_recording_is_written_down() {
    let mut world = paused_by_star(AfterPause::Resume);
    world.pbx_sends("INFO", 2, "b", DTMF, "*");
    world.passes(LONGEST_PAUSE);
    assert_eq!(world.operator(Deed::Pause).map(|_| ()), Ok(()));
    assert_eq!(world.operator(Deed::Pause), Err(NotDone::AlreadyPaused), "nothing was done, and nothing is written");
    assert_eq!(world.operator(Deed::Resume), Ok(Done::Resumed));
    world.trunk_sends("INFO", 3, "b", DTMF, "*");
    world.trunk_sends("INFO", 4, "b", DTMF, "9");

    assert_eq!(
        world.turns(),
        [
            (Turn::Paused, Doer::Key(Leg::Pbx, How::KeyByInfo)),
            (Turn::Resumed, Doer::Time),
            (Turn::Paused, Doer::Operator),
            (Turn::Resumed, Doer::Operator),
            (Turn::Withdrawn, Doer::Key(Leg::Trunk, How::KeyByInfo)),
        ]
    );
    let named = world.out.iter().all(|output| !matches!(output, Output::Turn { recording: None, .. }));
    assert!(named, "each is of the recording that there is");
}

#[test]
fn an_operators_withdrawal_is_written_down_once_and_before_its_answer() {
    for (deed, turn) in [(Deed::Withdraw, Turn::Withdrawn), (Deed::Shred, Turn::Shredded)] {
        let mut world = recorded([true, true]);
        assert!(world.operator(deed).is_ok());
        assert_eq!(world.turns(), [(turn, Doer::Operator)]);
    }
    let mut asked = World::new(all_by(Mode::OptIn, WithoutConsent::GoOn));
    asked.call_is_up();
    assert!(asked.operator(Deed::Withdraw).is_ok());
    assert_eq!(asked.turns(), [(Turn::Withdrawn, Doer::Operator)], "also where nothing was recorded yet");
}
