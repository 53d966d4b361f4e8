//! Consents that stand from before the call, and numbers that are never recorded.

use mitschnitt::consent::{Prior, PriorTerms, Refusal, Register, Registered, Standing, Stands};
use mitschnitt::time::Wall;

use super::*;

/// Both must agree by key, and the register counts so for the PBX's party.
fn registered(worth: Registered) -> Vec<Arc<Policy>> {
    let prior = PriorTerms { registered: [worth, Registered::Asked], version: None };
    for_all(Terms { must_agree: [true, true], prior, ..terms(Mode::OptIn) })
}

fn register(agreed: &[&str], exempt: &[&str]) -> Input {
    let mut register = Register::default();
    for (line, number) in (1..).zip(agreed) {
        let prior = Prior { line: Some(line), since: Wall::from_unix_micros(0), version: None, reference: None };
        register.agrees(number, Stands { prior: Arc::new(prior), purposes: Vec::new(), from: None, until: None });
    }
    exempt.iter().for_each(|number| register.exempts(number));
    Input::Register(Arc::new(register))
}

/// The one on the trunk's side presses the key.
fn agrees(world: &mut World, cseq: u32) {
    world.trunk_sends("INFO", cseq, "b", "Content-Type: application/dtmf-relay\r\n", "Signal=1\r\n");
}

#[test]
fn an_employee_whose_consent_stands_is_told_nothing_and_asked_nothing() {
    let mut world = World::new(registered(Registered::Untold));
    world.input(register(&["100"], &[]));
    world.call_is_up();

    let announced = world.announced();
    assert_eq!(announced.iter().map(|announcing| announcing.leg).collect::<Vec<_>>(), [Leg::Trunk]);
    world.played(&announced[0]);
    assert!(world.recorded().is_none(), "the other is asked all the same");
    agrees(&mut world, 2);

    assert!(world.recorded().is_some());
}

#[test]
fn an_employee_who_is_told_need_not_press() {
    let mut world = World::new(registered(Registered::Told));
    world.input(register(&["100"], &[]));
    world.call_is_up();
    let announced = world.announced();
    assert_eq!(announced.len(), 2);
    announced.iter().for_each(|announcing| world.played(announcing));

    agrees(&mut world, 2);

    assert!(world.recorded().is_some());
}

#[test]
fn who_is_not_in_the_register_is_asked_as_anybody_is() {
    let mut world = World::new(registered(Registered::Untold));
    world.input(register(&["101", "200"], &[]));
    world.call_is_up();
    let announced = world.announced();
    assert_eq!(announced.len(), 2, "and the called party's own consent counts for nothing under this policy");
    announced.iter().for_each(|announcing| world.played(announcing));
    agrees(&mut world, 2);

    assert!(world.recorded().is_none());
    world.passes(Duration::from_secs(5));
    assert_eq!((world.last_story().reason, world.last_story().leg), (Reason::ConsentTimeout, Some(Leg::Pbx)));
}

#[test]
fn a_call_of_one_who_is_never_recorded_goes_on_and_nobody_is_told_of_a_recording() {
    for exempt in ["100", "200"] {
        let policies = all_by(Mode::Announce, WithoutConsent::HangUp);
        let mut world =
            World::new(policies.iter().map(|p| Arc::new(Policy { mandatory: Some(Duration::ZERO), ..(**p).clone() })).collect());
        world.input(register(&[], &[exempt]));
        world.call_is_up();
        world.passes(Duration::from_secs(60));

        assert_eq!((world.announced().len(), world.last_story().reason, world.table.count()), (0, Reason::Exempt, 1), "{exempt}");
        assert!(world.recorded().is_none());
    }
}

#[test]
fn whoever_takes_a_call_and_is_never_recorded_is_known_by_what_its_side_asserts() {
    let mut world = World::with(Mode::Announce);
    world.input(register(&[], &["+4930150"]));
    world.pbx_call_number(0, &offer("192.0.2.10", 4000, "0 101"));
    let answer = world.answer(200, "b", &offer("198.51.100.20", 6000, "0 101"));
    world.datagram(TRUNK, &answer.replacen("Contact:", "P-Asserted-Identity: <sip:004930150@carrier.example>\r\nContact:", 1));
    world.pbx_acks("b");

    assert_eq!((world.announced().len(), world.last_story().reason), (0, Reason::Exempt));
    assert_eq!(world.last_story().leg, Some(Leg::Trunk));
}

#[test]
fn a_consent_that_is_revoked_while_it_is_recorded_ends_the_recording() {
    let mut world = World::new(registered(Registered::Untold));
    world.input(register(&["100"], &[]));
    world.call_is_up();
    let announced = world.announced();
    world.played(&announced[0]);
    agrees(&mut world, 2);
    world.input(register(&["100", "101"], &[]));
    assert!(world.table.live()[0].is_recording, "it still stands");

    world.input(register(&["101"], &[]));

    assert!(!world.table.live()[0].is_recording);
    assert_eq!((world.last_story().reason, world.last_story().leg), (Reason::WithdrawnInRegister, Some(Leg::Pbx)));
    assert_eq!(world.table.count(), 1);
}

#[test]
fn a_consent_that_is_revoked_while_the_other_is_asked_makes_its_party_be_told_and_asked() {
    let mut world = World::new(registered(Registered::Untold));
    world.input(register(&["100"], &[]));
    world.call_is_up();
    let first = world.announced();

    world.input(register(&[], &[]));

    let announced = world.announced();
    assert_eq!(announced.last().map(|announcing| announcing.leg), Some(Leg::Pbx));
    world.played(&first[0]);
    world.played(&announced[announced.len() - 1]);
    agrees(&mut world, 2);
    assert!(world.recorded().is_none());
    world.pbx_sends("INFO", 2, "b", "Content-Type: application/dtmf-relay\r\n", "Signal=1\r\n");
    assert!(world.recorded().is_some());
}

#[test]
fn one_who_is_never_recorded_and_comes_into_the_call_ends_it_for_good() {
    let mut world = World::with_terms(Mode::OptIn, WithoutConsent::HangUp);
    world.input(register(&[], &["150"]));
    world.pbx_call_number(0, &offer("192.0.2.10", 4000, "0 101"));
    let answer = world.answer(200, "b", &offer("198.51.100.20", 6000, "0 101"));
    world.datagram(TRUNK, &answer.replacen("Contact:", "P-Asserted-Identity: <sip:200@carrier.example>\r\nContact:", 1));
    world.pbx_acks("b");
    world.trunk_sends("UPDATE", 3, "b", "P-Asserted-Identity: <sip:150@carrier.example>\r\n", "");

    assert_eq!(world.table.live()[0].consent, Some(Standing::Refused(Refusal::Exempt(Leg::Trunk))));
    assert_eq!((world.last_story().reason, world.table.count()), (Reason::Exempt, 1), "nobody is hung up on for being exempt");
}

#[test]
fn a_register_that_is_empty_changes_no_call_that_is_recorded() {
    let mut world = World::recorded_call();

    world.input(register(&[], &[]));

    assert!(world.table.live()[0].is_recording);
}

#[test]
fn who_dials_the_code_before_a_number_is_not_recorded_and_the_number_is_called_without_it() {
    for uri in ["sip:*31200@192.0.2.1", "sip:*31200;phone-context=x@192.0.2.1;user=phone"] {
        let mut world = World::with(Mode::Announce);
        world.calls_for_help(uri, &offer("192.0.2.10", 4000, "0 101"));
        let invite = world.to_trunk("INVITE");
        assert_eq!(invite.request_uri(), Some(uri.replace("*31", "").as_bytes()));
        world.trunk_answers(200, "b", &offer("198.51.100.20", 6000, "0 101"));
        world.pbx_acks("b");

        assert_eq!((world.announced().len(), world.last_story().reason), (0, Reason::Unrecorded), "{uri}");
        assert_eq!(world.last_story().parties.called.reveal(), "200");
    }
}

#[test]
fn a_call_for_help_with_the_code_before_it_is_one_and_the_code_alone_is_a_number_like_any_other() {
    let mut world = World::with(Mode::Announce);
    world.input(Input::Drain);
    world.calls_for_help("sip:*31112@192.0.2.1", &offer("192.0.2.10", 4000, "0 101"));
    assert_eq!(world.to_trunk("INVITE").request_uri(), Some(&b"sip:112@192.0.2.1"[..]));

    let mut world = World::with(Mode::Announce);
    for uri in ["sip:*31@192.0.2.1", "sip:0*31200@192.0.2.1"] {
        world.calls += 1;
        world.calls_for_help(uri, &offer("192.0.2.10", 4000, "0 101"));
        assert_eq!(world.to_trunk("INVITE").request_uri(), Some(uri.as_bytes()));
        world.out.clear();
    }
}

#[test]
fn the_code_does_not_keep_a_call_unrecorded_that_must_be_recorded() {
    let policies = all_by(Mode::Announce, WithoutConsent::GoOn);
    let mut world =
        World::new(policies.iter().map(|p| Arc::new(Policy { mandatory: Some(Duration::ZERO), ..(**p).clone() })).collect());
    world.calls_for_help("sip:*31200@192.0.2.1", &offer("192.0.2.10", 4000, "0 101"));
    world.trunk_answers(200, "b", &offer("198.51.100.20", 6000, "0 101"));
    world.pbx_acks("b");

    assert_eq!(world.announced().len(), 2, "both are told, and so both know");
}
