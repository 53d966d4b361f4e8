//! Policies that record on demand: nobody is told or asked before somebody wants it.

use mitschnitt::call::{Begins, Selects};
use mitschnitt::consent::How;
use mitschnitt::digit::{Digit, PartyKey};

use super::*;

const DTMF: &str = "Content-Type: application/dtmf\r\n";

/// A policy by which the agent alone, or an operator, has the parties asked: the agent by 5. Both may withdraw with 9.
fn on_demand(mode: Mode) -> Vec<Arc<Policy>> {
    let key = |key: char, of| Digit::from_char(key).map(|key| PartyKey { key, of });
    let selects = Selects { begins: Begins::OnDemand(key('5', [true, false])), ..Selects::default() };
    let terms = Terms { withdraw: key('9', [true, true]), ..terms(mode) };
    for_all(terms).iter().map(|policy| Arc::new(Policy { selects, ..(**policy).clone() })).collect()
}

/// A call that is up and waits.
fn waiting(mode: Mode) -> World {
    let mut world = World::new(on_demand(mode));
    world.call_is_up();
    assert_eq!((world.announced().len(), world.table.live()[0].reason), (0, Reason::NotDemanded));
    world
}

#[test]
fn nobody_is_told_before_the_agent_presses_the_key_and_then_both_are() {
    let mut world = waiting(Mode::Announce);
    world.trunk_sends("INFO", 2, "b", DTMF, "5");
    assert_eq!(world.announced().len(), 0, "the outside party's key starts nothing");

    world.pbx_sends("INFO", 2, "b", DTMF, "5");
    let announced = world.announced();
    assert_eq!((announced.len(), world.table.live()[0].reason), (2, Reason::InProgress));
    assert_eq!(world.turns(), [(Turn::Demanded, Doer::Key(Leg::Pbx, How::KeyByInfo))]);
    assert!(world.recording().is_empty(), "they are told first");
    announced.iter().for_each(|announcing| world.played(announcing));

    assert_eq!(world.recording(), ["record"]);
    assert_eq!(world.last_story().reason, Reason::Recorded);
}

#[test]
fn an_operator_starts_it_once_and_the_parties_answer_as_in_any_call() {
    let mut world = waiting(Mode::OptIn);
    assert_eq!(world.operator(Deed::Start), Ok(Done::Asks));
    assert_eq!(world.operator(Deed::Start), Err(NotDone::AlreadyStarted));
    world.announced().iter().for_each(|announcing| world.played(announcing));
    assert!(world.recording().is_empty(), "nobody has agreed");

    world.trunk_sends("INFO", 2, "b", DTMF, "1");
    assert_eq!(world.recording(), ["record"]);
    assert_eq!(world.operator(Deed::Start), Err(NotDone::AlreadyStarted));
    assert_eq!(world.operator(Deed::Withdraw), Ok(Done::Withdrawn));
    assert_eq!(world.operator(Deed::Start), Err(NotDone::NotRecorded(Reason::WithdrawnByOperator)));
}

#[test]
fn a_call_that_nobody_wanted_recorded_says_so_and_is_never_hung_up_on() {
    let mut world = waiting(Mode::OptIn);
    world.passes(Duration::from_secs(60));
    assert_eq!(world.table.count(), 1);

    world.pbx_sends("BYE", 2, "b", "", "");
    world.trunk_answers(200, "b", "");

    assert_eq!((world.last_story().reason, world.last_story().recording), (Reason::NotDemanded, None));
}

#[test]
fn who_says_no_before_it_is_wanted_is_not_asked_afterwards() {
    for leg in [Leg::Pbx, Leg::Trunk] {
        let mut world = waiting(Mode::OptIn);
        match leg {
            Leg::Pbx => world.pbx_sends("INFO", 2, "b", DTMF, "9"),
            Leg::Trunk => world.trunk_sends("INFO", 2, "b", DTMF, "9"),
        }
        assert_eq!((world.last_story().reason, world.last_story().leg), (Reason::ConsentRefused, Some(leg)));
        world.pbx_sends("INFO", 3, "b", DTMF, "5");
        assert_eq!(world.operator(Deed::Start), Err(NotDone::NotRecorded(Reason::ConsentRefused)));
        assert!(world.announced().is_empty());
    }
    let mut world = waiting(Mode::OptIn);
    assert_eq!(world.operator(Deed::Withdraw), Ok(Done::Withdrawn));
    assert_eq!(world.operator(Deed::Start), Err(NotDone::NotRecorded(Reason::WithdrawnByOperator)));
    assert!(world.announced().is_empty());
}

#[test]
fn a_call_that_is_recorded_by_itself_or_never_cannot_be_started() {
    let mut world = World::new(all_by(Mode::OptIn, WithoutConsent::GoOn));
    world.call_is_up();
    assert_eq!(world.operator(Deed::Start), Err(NotDone::AlreadyStarted));

    let mut world = World::new(Vec::new());
    world.call_is_up();
    assert_eq!(world.operator(Deed::Start), Err(NotDone::NotRecorded(Reason::NoPolicy)));
}
