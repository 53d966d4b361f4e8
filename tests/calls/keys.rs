//! What a party's key does to a call that is recorded.

use mitschnitt::digit::{Digit, PartyKey};

use super::*;

const DTMF: &str = "Content-Type: application/dtmf\r\n";

/// A call under `opt-in` in which the trunk's party agrees with 1, and these may withdraw with 9.
fn recorded(of: [bool; 2]) -> World {
    let withdraw = Digit::from_char('9').map(|key| PartyKey { key, of });
    let mut world = World::new(for_all(Terms { withdraw, ..terms(Mode::OptIn) }));
    world.call_is_up();
    world.announced().iter().for_each(|announcing| world.played(announcing));
    world.trunk_sends("INFO", 2, "b", DTMF, "1");
    assert_eq!(world.recording(), ["record"]);
    world
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
