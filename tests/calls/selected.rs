//! Policies that record one call in so many, or none after a day.

use mitschnitt::call::{Selects, WhenSilent};
use mitschnitt::time::Wall;

use super::*;

fn selecting(selects: Selects) -> Vec<Arc<Policy>> {
    let policies = all_by(Mode::Announce, WithoutConsent::HangUp);
    policies.iter().map(|policy| Arc::new(Policy { selects, ..(**policy).clone() })).collect()
}

#[test]
fn of_many_calls_one_in_so_many_is_recorded_and_the_others_go_on_unasked() {
    let mut world = World::new(selecting(Selects { one_in: 4, until: None, ..Selects::default() }));
    let (mut drawn, calls) = (0, 400);
    for number in 0..calls {
        world.calls = number;
        world.call_is_up();
        let is_drawn = !world.announced().is_empty();
        assert_eq!(world.last_story().reason, if is_drawn { Reason::InProgress } else { Reason::NotSampled });
        drawn += usize::from(is_drawn);
        assert_eq!(world.table.count(), 1, "nobody is hung up on for not being drawn");
        world.pbx_sends("BYE", 2, "b", "", "");
        world.trunk_answers(200, "b", "");
        world.out.clear();
        // The transactions of the last one are over.
        world.passes(Duration::from_secs(40));
    }

    // Of 400 with a quarter each: four standard deviations to either side.
    assert!((65..=135).contains(&drawn), "{drawn} of {calls}");
}

#[test]
fn after_its_review_was_due_a_policy_records_nothing_and_asks_no_hook() {
    let until = |micros| Selects { one_in: 1, until: Some(Wall::from_unix_micros(micros)), ..Selects::default() };
    for (selects, announced, reason) in [(until(i64::MAX), 2, Reason::InProgress), (until(0), 0, Reason::ReviewOverdue)] {
        let policies = selecting(selects);
        let mut world = World::new(policies.clone());
        world.call_is_up();
        assert_eq!((world.announced().len(), world.last_story().reason), (announced, reason));

        let asking = policies.iter().map(|p| Arc::new(Policy { hook: Some(WhenSilent::Ask), ..(**p).clone() }));
        let mut world = World::new(asking.collect());
        world.call_is_up();
        let is_asked = world.out.iter().any(|output| matches!(output, Output::Consult(_)));
        assert_eq!(is_asked, announced > 0);
    }
}
