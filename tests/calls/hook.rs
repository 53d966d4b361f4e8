//! The web hook: asked when a call comes, and heeded once both parties are in it.

use mitschnitt::call::{Advice, Consulting, Selector, WhenSilent, Word};
use mitschnitt::consent::{PriorTerms, Registered};
use mitschnitt::time::Wall;

use super::*;

/// The trunk's party must agree by key, and the hook is asked.
fn asking(when_silent: WhenSilent, worth: Registered) -> Vec<Arc<Policy>> {
    let prior = PriorTerms { registered: [Registered::Asked, worth], version: None };
    let policies = for_all(Terms { prior, ..terms(Mode::OptIn) });
    policies.iter().map(|policy| Arc::new(Policy { hook: Some(when_silent), ..(**policy).clone() })).collect()
}

fn advice(word: Word) -> Advice {
    Advice { word, ..Advice::silent(Wall::from_unix_micros(5)) }
}

impl World {
    fn consulted(&self) -> Vec<&Consulting> {
        let consulted = self.out.iter().filter_map(|output| match output {
            Output::Consult(consulting) => Some(&**consulting),
            _ => None,
        });
        consulted.collect()
    }

    fn is_advised(&mut self, advice: Advice) {
        let call = self.table.live()[0].call;
        self.input(Input::Advised { call, advice });
    }
}

#[test]
fn it_is_asked_when_the_call_comes_and_the_call_goes_on_meanwhile() {
    let mut world = World::new(asking(WhenSilent::Ask, Registered::Told));
    world.pbx_calls(&offer("192.0.2.10", 4000, "0 101"));

    let consulted = world.consulted();
    assert_eq!(consulted.len(), 1);
    assert_eq!((consulted[0].parties.called.reveal().as_str(), &*consulted[0].policy), ("200", "all"));
    world.to_trunk("INVITE");
    world.trunk_answers(200, "b", &offer("198.51.100.20", 6000, "0 101"));
    world.pbx_acks("b");
    assert_eq!((world.announced().len(), world.table.live()[0].is_up), (0, true), "nobody is told before it is known of what");

    world.is_advised(advice(Word::Ask));

    assert_eq!(world.announced().len(), 2);
    assert_eq!(world.consulted().len(), 1, "it is asked once");
}

#[test]
fn whom_it_knows_to_have_agreed_is_worth_what_the_policy_says() {
    for (worth, announced) in [(Registered::Told, 2), (Registered::Untold, 1), (Registered::Asked, 2)] {
        let mut world = World::new(asking(WhenSilent::Ask, worth));
        world.pbx_calls(&offer("192.0.2.10", 4000, "0 101"));
        world.is_advised(Advice { reference: Some("CRM 17".into()), ..advice(Word::Allow) });
        world.trunk_answers(200, "b", &offer("198.51.100.20", 6000, "0 101"));
        world.pbx_acks("b");
        let told = world.announced();
        assert_eq!(told.len(), announced, "{worth:?}");
        told.iter().for_each(|announcing| world.played(announcing));

        assert_eq!(world.table.live()[0].is_recording, worth != Registered::Asked, "{worth:?}");
        if worth != Registered::Asked {
            // A change of the register is no withdrawal of what stands elsewhere.
            world.input(Input::Register(Arc::default()));
            assert!(world.table.live()[0].is_recording);
        }
    }
}

#[test]
fn what_it_denies_is_not_recorded_and_nobody_is_told() {
    let mut world = World::new(asking(WhenSilent::Ask, Registered::Told));
    world.call_is_up();
    world.is_advised(advice(Word::Deny));

    assert_eq!((world.announced().len(), world.last_story().reason, world.table.count()), (0, Reason::HookDenied, 1));
    assert!(world.recorded().is_none());
}

#[test]
fn where_it_is_silent_the_policy_has_what_becomes_of_the_call() {
    for (when_silent, announced, reason) in [(WhenSilent::Ask, 2, Reason::InProgress), (WhenSilent::Deny, 0, Reason::HookSilent)]
    {
        let mut world = World::new(asking(when_silent, Registered::Told));
        world.call_is_up();
        world.is_advised(advice(Word::Silent));

        assert_eq!((world.announced().len(), world.last_story().reason), (announced, reason));
    }
}

#[test]
fn it_may_name_another_policy_and_one_that_there_is_not_changes_nothing() {
    for (named, announced, expected) in [("other", 2, "other"), ("never", 0, "never"), ("nowhere", 2, "all")] {
        let mut policies = asking(WhenSilent::Ask, Registered::Told);
        let selector = Selector { called_prefix: Some("none".into()), ..Selector::default() };
        let other = Policy { name: "other".into(), selector: selector.clone(), ..(*policies[0]).clone() };
        let never = Policy { name: "never".into(), selector, terms: None, ..(*policies[0]).clone() };
        policies.extend([Arc::new(other), Arc::new(never)]);
        let mut world = World::new(policies);
        world.call_is_up();
        world.is_advised(Advice { policy: Some(named.into()), ..advice(Word::Ask) });

        assert_eq!((world.announced().len(), world.table.live()[0].policy.as_deref()), (announced, Some(expected)));
    }
}

#[test]
fn a_late_answer_and_a_second_one_change_nothing() {
    let mut world = World::new(asking(WhenSilent::Ask, Registered::Told));
    world.call_is_up();
    let call = world.table.live()[0].call;
    world.is_advised(advice(Word::Ask));
    world.is_advised(advice(Word::Deny));
    assert_eq!((world.announced().len(), world.last_story().reason), (2, Reason::InProgress));
    world.pbx_sends("BYE", 2, "b", "", "");
    world.trunk_answers(200, "b", "");

    world.input(Input::Advised { call, advice: advice(Word::Allow) });

    assert_eq!(world.table.count(), 0);
}

#[test]
fn an_operator_who_withdraws_while_it_is_waited_for_has_nobody_asked() {
    let mut world = World::new(asking(WhenSilent::Ask, Registered::Told));
    world.call_is_up();
    assert_eq!(world.operator(Deed::Withdraw), Ok(Done::Withdrawn));

    world.is_advised(advice(Word::Allow));

    assert_eq!((world.announced().len(), world.last_story().reason), (0, Reason::WithdrawnByOperator));
}

#[test]
fn it_is_not_asked_about_calls_that_are_not_recorded_anyway() {
    let policies = asking(WhenSilent::Ask, Registered::Told);
    let mut world = World::new(policies.clone());
    let mut register = mitschnitt::consent::Register::default();
    register.exempts("200");
    world.input(Input::Register(Arc::new(register)));
    world.call_is_up();
    assert_eq!((world.consulted().len(), world.last_story().reason), (0, Reason::Exempt));

    for (uri, reason) in [("sip:112@192.0.2.1", Reason::Emergency), ("sip:*31200@192.0.2.1", Reason::Unrecorded)] {
        let mut world = World::new(policies.clone());
        world.calls_for_help(uri, &offer("192.0.2.10", 4000, "0 101"));
        world.trunk_answers(200, "b", &offer("198.51.100.20", 6000, "0 101"));
        world.pbx_acks("b");
        assert_eq!((world.consulted().len(), world.last_story().reason), (0, reason), "{uri}");
    }
}
