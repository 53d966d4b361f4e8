//! Calls that must be recorded, and a vault that takes no recording or fails.

use mitschnitt::call::Load;

use super::*;

const GRACE: Duration = Duration::from_secs(20);

/// One policy for all calls, none of which may be without its recording.
fn mandatory() -> Vec<Arc<Policy>> {
    let policies = all_by(Mode::Announce, WithoutConsent::GoOn);
    policies.iter().map(|policy| Arc::new(Policy { mandatory: Some(GRACE), ..(**policy).clone() })).collect()
}

fn best_effort() -> Vec<Arc<Policy>> {
    all_by(Mode::Announce, WithoutConsent::GoOn)
}

fn shut(is_shut: bool) -> Input {
    Input::Load(Load { vault_is_shut: is_shut, ..Load::default() })
}

#[test]
fn while_the_vault_is_shut_a_call_that_must_be_recorded_is_refused_and_told_why() {
    let sdp = offer("192.0.2.10", 4000, "0 101");
    let mut world = World::new(mandatory());
    world.input(shut(true));

    assert!(!world.pbx_call_number(1, &sdp));

    let refused = world.to_pbx_any("503");
    assert_eq!(refused.value(Name::RetryAfter), Some(&b"5"[..]));
    let reason = b"\r\nReason: Q.850;cause=47;text=\"recording unavailable\"\r\n";
    assert!(memchr::memmem::find(refused.as_bytes(), reason).is_some());
    assert_eq!((world.last_story().reason, world.table.count()), (Reason::VaultUnavailable, 0));

    world.input(shut(false));
    assert!(world.pbx_call_number(2, &sdp), "it takes recordings again");
}

#[test]
fn a_call_for_help_passes_although_all_calls_must_be_recorded() {
    let sdp = offer("192.0.2.10", 4000, "0 101");
    let mut world = World::new(mandatory());
    world.input(shut(true));

    world.calls_for_help("sip:112@192.0.2.1", &sdp);
    world.trunk_answers(200, "b", &offer("198.51.100.20", 6000, "0 101"));
    world.pbx_acks("b");
    world.passes(GRACE * 2);

    assert_eq!((world.last_story().reason, world.table.count()), (Reason::Emergency, 1));
}

#[test]
fn while_the_vault_is_shut_any_other_call_goes_on_and_nobody_is_told_of_a_recording() {
    let mut world = World::new(best_effort());
    world.input(shut(true));

    world.call_is_up();
    world.passes(GRACE * 2);

    assert_eq!(world.announced(), []);
    assert_eq!(world.recording(), Vec::<String>::new());
    assert_eq!((world.last_story().reason, world.table.count()), (Reason::VaultUnavailable, 1));
}

#[test]
fn a_call_that_must_be_recorded_and_is_not_any_more_is_ended_after_its_grace() {
    let mut world = World::new(mandatory());
    world.call_is_up();
    for announcing in world.announced() {
        world.played(&announcing);
    }
    let (id, _) = world.recorded().expect("both were told");

    world.input(Input::VaultFailed { call: id.call, left_a_file: true });
    world.passes(GRACE - Duration::from_millis(1));
    assert_eq!((world.last_story().reason, world.table.count()), (Reason::VaultUnavailable, 1), "it may say good-bye");
    world.passes(Duration::from_millis(1));

    assert_eq!(world.to_pbx("BYE").from().unwrap().tag(), Some(&b"b"[..]));
    assert_eq!(world.to_trunk("BYE").from().unwrap().tag(), Some(&b"a"[..]));
    assert_eq!((world.last_story().reason, world.table.count()), (Reason::VaultUnavailable, 0));
}

#[test]
fn a_vault_that_was_shut_between_invite_and_answer_ends_such_a_call_too() {
    let mut world = World::new(mandatory());
    world.pbx_calls(&offer("192.0.2.10", 4000, "0 101"));
    world.input(shut(true));

    world.trunk_answers(200, "b", &offer("198.51.100.20", 6000, "0 101"));
    world.pbx_acks("b");
    assert_eq!(world.announced(), []);
    world.passes(GRACE);

    world.to_pbx("BYE");
    assert_eq!((world.last_story().reason, world.table.count()), (Reason::VaultUnavailable, 0));
}

#[test]
fn who_hangs_up_within_the_grace_is_not_sent_a_bye() {
    let mut world = World::new(mandatory());
    world.call_is_up();
    for announcing in world.announced() {
        world.played(&announcing);
    }
    let (id, _) = world.recorded().expect("both were told");
    world.input(Input::VaultFailed { call: id.call, left_a_file: false });

    world.pbx_sends("BYE", 2, "b", "", "");
    world.trunk_answers(200, "b", "");
    world.out.clear();
    world.passes(GRACE * 2);

    assert!(world.out.iter().all(|output| !matches!(output, Output::Send { .. })));
    assert_eq!((world.table.count(), world.table.deadline()), (0, None));
}

#[test]
fn a_gap_that_the_disk_made_ends_a_call_that_must_be_recorded_and_no_other() {
    for (policies, left) in [(mandatory(), 0), (best_effort(), 1)] {
        let mut world = World::new(policies);
        world.call_is_up();
        for announcing in world.announced() {
            world.played(&announcing);
        }
        let (id, _) = world.recorded().expect("both were told");

        world.input(Input::VaultDrops { call: id.call });
        world.passes(Duration::from_secs(1));
        world.input(Input::VaultDrops { call: id.call });
        world.passes(GRACE - Duration::from_secs(1));

        assert_eq!((world.last_story().reason, world.table.count()), (Reason::Recorded, left));
        let ends = world.out.iter().any(|output| matches!(output, Output::EndRecording { why: EndReason::Mandatory, .. }));
        assert_eq!(ends, left == 0, "its recording says why it ends");
    }
}

#[test]
fn a_policy_whose_quota_is_taken_up_records_no_more_until_there_is_room() {
    let full = |policies: &[&str]| Input::Full(policies.iter().map(|policy| (*policy).into()).collect());
    let sdp = offer("192.0.2.10", 4000, "0 101");
    let name = mandatory().first().map(|policy| policy.name.to_string()).expect("there is a policy");
    let mut world = World::new(mandatory());
    world.input(full(&["another", &name]));

    assert!(!world.pbx_call_number(1, &sdp));

    world.to_pbx_any("503");
    assert_eq!((world.last_story().reason, world.table.count()), (Reason::Quota, 0));
    world.input(full(&["another"]));
    assert!(world.pbx_call_number(2, &sdp), "it has room again");

    let mut world = World::new(best_effort());
    world.input(full(&[&name]));
    world.call_is_up();
    world.passes(GRACE * 2);
    assert_eq!((world.announced(), world.recording()), (vec![], vec![]));
    assert_eq!((world.last_story().reason, world.table.count()), (Reason::Quota, 1));
}

#[test]
fn a_quota_that_was_taken_up_between_invite_and_answer_ends_such_a_call_too() {
    let mut world = World::new(mandatory());
    let name = Arc::clone(&mandatory().first().expect("there is a policy").name);
    world.pbx_calls(&offer("192.0.2.10", 4000, "0 101"));
    world.input(Input::Full(vec![name]));

    world.trunk_answers(200, "b", &offer("198.51.100.20", 6000, "0 101"));
    world.pbx_acks("b");
    world.passes(GRACE);

    world.to_pbx("BYE");
    assert_eq!((world.last_story().reason, world.table.count()), (Reason::Quota, 0));
}
