//! Header fields by which a call is found again, as RFC 7989 and RFC 7433 have them, and those that somebody chose.

use mitschnitt::limits::{INDEXED_OF_CALL, INDEXED_VALUE};

use super::*;

const ONE: &str = "ab30317f1a784dc48ff824d0d3715d86";
const OTHER: &str = "47755a9de7794ba387653f2099600ef2";
const NIL: &str = "00000000000000000000000000000000";

/// An INVITE with these lines, and a 200 with those.
fn call(invite: &str, answer: &str) -> World {
    let mut world = World::new(for_all(terms(Mode::OptIn)));
    let lines = format!("{invite}Content-Type: application/sdp\r\n");
    let sdp = offer("192.0.2.10", 4000, "0 101");
    world.datagram(PBX, &numbered("INVITE", "sip:200@192.0.2.1", PBX, 1, "a", None, &lines, &sdp, 0));
    let text = world.answer(200, "b", &offer("198.51.100.20", 6000, "0 101"));
    world.datagram(TRUNK, &text.replacen("Contact:", &format!("{answer}Contact:"), 1));
    world.pbx_acks("b");
    world.pbx_sends("BYE", 2, "b", "", "");
    world.trunk_answers(200, "b", "");
    assert!(world.last_story().ended.is_some());
    world
}

fn indexed(world: &World) -> Vec<(String, String)> {
    world.last_story().indexed.iter().map(|(name, value)| (name.to_string(), value.reveal().clone())).collect()
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn what_the_invite_and_its_answer_say_is_told_once_and_passed_on_as_it_came() {
    let invite =
        format!("session-id: {ONE};remote={NIL}\r\nX-Deal: 4711; desk=3\r\nUser-to-User: 56a390;encoding=hex\r\nX-Other: 1\r\n");
    let world = call(&invite, &format!("Session-ID: {OTHER};remote={ONE}\r\n"));

    let told =
        [pair("Session-ID", ONE), pair("User-to-User", "56a390"), pair("X-Deal", "4711; desk=3"), pair("Session-ID", OTHER)];
    assert_eq!(indexed(&world), told);
    let passed = world.first_word(TRUNK, "INVITE");
    assert_eq!(passed.named(b"X-Deal").collect::<Vec<_>>(), [b"4711; desk=3"]);
    assert!(!format!("{:?}", world.last_story()).contains("4711"), "no log has it");
}

#[test]
fn more_than_a_ledger_keeps_is_passed_on_and_not_told() {
    let many: String = (0..INDEXED_OF_CALL + 5).map(|n| format!("X-Deal: {n}\r\n")).collect();
    let told = indexed(&call(&many, ""));
    assert_eq!(told, (0..INDEXED_OF_CALL).map(|n| pair("X-Deal", &n.to_string())).collect::<Vec<_>>());

    let long = "7".repeat(INDEXED_VALUE + 1);
    let world = call(&format!("X-Deal: {long}\r\n"), "");
    assert_eq!(indexed(&world), []);
    assert_eq!(world.first_word(TRUNK, "INVITE").named(b"X-Deal").collect::<Vec<_>>(), [long.as_bytes()]);
}
