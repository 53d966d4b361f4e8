//! The tone that tells of a recording while it is made.

use mitschnitt::call::{Beep, InCall, Signs};
use mitschnitt::codec::Codec;
use mitschnitt::consent::Clip;

use super::*;

const EVERY: Duration = Duration::from_secs(15);

/// A call under a policy that beeps to these, and is recorded.
fn beeping(to: [bool; 2]) -> World {
    let telling: Arc<[Clip]> = [Clip::new(Codec::Pcmu, &[1; 160], [7; 32], "").unwrap()].into();
    let in_call = InCall { beep: Some(Beep { every: EVERY, to }), ..InCall::default() };
    let signs = Signs { telling, ..Signs::default() };
    let policies = all_by(Mode::Announce, WithoutConsent::GoOn);
    let mut world = World::new(
        policies.iter().map(|policy| Arc::new(Policy { in_call, signs: signs.clone(), ..(**policy).clone() })).collect(),
    );
    world.call_is_up();
    let announced = world.announced();
    assert!(announced.iter().all(|announcing| announcing.clip.sha256()[0] != 7), "nothing tells of what is not recorded yet");
    announced.iter().for_each(|announcing| world.played(announcing));
    world.out.clear();
    world
}

/// Who has heard the tone since it was asked last.
fn heard(world: &mut World) -> Vec<Leg> {
    let heard = world.announced();
    world.out.clear();
    assert!(heard.iter().all(|announcing| announcing.clip.sha256()[0] == 7));
    heard.iter().map(|announcing| announcing.leg).collect()
}

#[test]
fn both_hear_it_as_the_recording_begins_and_from_time_to_time() {
    let mut world = beeping([true, true]);

    world.passes(Duration::from_millis(1));
    assert_eq!(heard(&mut world), [Leg::Pbx, Leg::Trunk]);
    world.passes(EVERY - Duration::from_millis(2));
    assert_eq!(heard(&mut world), []);
    for _ in 0..3 {
        world.passes(Duration::from_millis(2));
        assert_eq!(heard(&mut world), [Leg::Pbx, Leg::Trunk]);
        world.passes(EVERY - Duration::from_millis(2));
        assert_eq!(heard(&mut world), []);
    }
}

#[test]
fn one_hears_it_where_the_policy_says_so() {
    let mut world = beeping([false, true]);

    world.passes(EVERY + Duration::from_millis(1));

    assert_eq!(heard(&mut world), [Leg::Trunk, Leg::Trunk]);
}

#[test]
fn it_stops_with_a_pause_and_goes_on_with_the_recording() {
    let mut world = beeping([true, false]);
    world.passes(Duration::from_millis(1));
    assert_eq!(heard(&mut world), [Leg::Pbx]);

    world.operator(Deed::Pause).unwrap();
    world.passes(EVERY * 3);
    assert_eq!(heard(&mut world), []);
    world.operator(Deed::Resume).unwrap();
    world.passes(Duration::from_millis(1));
    assert_eq!(heard(&mut world), [Leg::Pbx], "it was due meanwhile");
}

#[test]
fn it_stops_with_the_recording() {
    let mut world = beeping([true, true]);
    world.passes(Duration::from_millis(1));
    heard(&mut world);

    world.operator(Deed::Withdraw).unwrap();
    world.passes(EVERY * 3);

    assert_eq!(heard(&mut world), []);
}
