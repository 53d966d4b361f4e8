//! The handle in our `Record-Route`, by which a call is known again.

use super::*;

#[test]
fn a_call_is_named_in_the_route_of_what_follows() {
    let mut world = World::with(Mode::Announce);
    world.pbx_calls(&offer("192.0.2.10", 4000, "0"));
    let named = handle(&world.to_trunk("INVITE"));
    world.trunk_answers(200, "b", &offer("198.51.100.20", 6000, "0"));
    world.pbx_acks("b");

    world.pbx_sends("INVITE", 2, "b", "Content-Type: application/sdp\r\n", &offer("192.0.2.10", 4000, "0"));

    assert!(named.starts_with(&world.table.live()[0].call.to_string()), "{named}");
    assert_eq!(handle(&world.to_trunk("INVITE")), named, "a re-INVITE says the same");
}

#[test]
fn whoever_brings_the_handle_back_is_in_the_call() {
    let (mut world, named) = call_with_handle();

    world.pbx_sends("BYE", 2, "b", &route(&named), "");
    world.trunk_answers(200, "b", "");

    assert_eq!(world.to_trunk("BYE").values(Name::Route).count(), 0, "it was ours alone");
    assert_eq!(world.table.count(), 0);
}

#[test]
fn a_handle_that_was_not_made_here_is_refused_and_the_call_goes_on() {
    let (mut world, named) = call_with_handle();
    let changed = |at: usize| {
        let mut text = named.clone().into_bytes();
        text[at] = if text[at] == b'0' { b'1' } else { b'0' };
        String::from_utf8(text).unwrap()
    };
    let forged = [changed(0), changed(15), changed(16), changed(35), named[..35].to_owned(), "0".repeat(36), String::new()];
    for (forged, cseq) in forged.iter().zip(2..) {
        world.out.clear();

        world.pbx_sends("BYE", cseq, "b", &route(forged), "");

        assert_eq!(world.to_pbx_any("481").cseq().unwrap().number, cseq, "{forged}");
        assert!(world.messages(TRUNK).is_empty(), "{forged}");
        world.pbx_sends("ACK", cseq, "b", &route(forged), "");
        assert!(world.messages(TRUNK).is_empty(), "{forged}");
    }
    assert_eq!(world.table.tallies().not_of_the_dialog, 2 * forged.len() as u64);
    assert_eq!(world.table.count(), 1);
}

#[test]
fn a_handle_of_another_call_is_refused() {
    let (mut world, first) = call_with_handle();
    assert!(world.pbx_call_number(1, &offer("192.0.2.10", 4100, "0")));
    let second = handle(&world.to_trunk("INVITE"));
    world.trunk_answers(200, "b", &offer("198.51.100.20", 6100, "0"));
    world.pbx_acks("b");
    assert_ne!(first, second);

    world.pbx_sends("BYE", 2, "b", &route(&first), "");

    world.to_pbx_any("481");
    assert_eq!(world.table.count(), 2);
}

#[test]
fn the_handle_of_a_call_that_is_over_leads_to_no_other() {
    let (mut world, named) = call_with_handle();
    world.pbx_sends("BYE", 2, "b", &route(&named), "");
    world.trunk_answers(200, "b", "");
    world.out.clear();

    world.pbx_sends(
        "INVITE",
        3,
        "b",
        &format!("{}Content-Type: application/sdp\r\n", route(&named)),
        &offer("192.0.2.10", 4000, "0"),
    );

    world.to_pbx_any("481");
    assert_eq!(world.table.tallies().not_of_the_dialog, 0, "it was ours");
}

#[test]
fn a_handle_is_found_where_a_strict_router_puts_it() {
    let (mut world, named) = call_with_handle();
    let strict = |handle: &str| {
        let uri = format!("sip:192.0.2.1:5060;lr;mth={handle}");
        numbered("BYE", &uri, PBX, 2, "a", Some("b"), "Route: <sip:200@198.51.100.20:5060>\r\n", "", 0)
    };

    world.datagram(PBX, &strict(&"0".repeat(36)));
    world.to_pbx_any("481");
    world.datagram(PBX, &strict(&named).replace("z9hG4bK", "z9hG4bKanother"));

    assert_eq!(world.to_trunk("BYE").request_uri().unwrap(), b"sip:200@198.51.100.20:5060");
}

fn call_with_handle() -> (World, String) {
    let mut world = World::with(Mode::Announce);
    world.call_is_up();
    let named = handle(&world.to_trunk("INVITE"));
    (world, named)
}

fn handle(request: &Message) -> String {
    let route = String::from_utf8_lossy(request.value(Name::RecordRoute).unwrap()).into_owned();
    route.split_once(";mth=").expect("a handle").1.trim_end_matches('>').to_owned()
}

fn route(handle: &str) -> String {
    format!("Route: <sip:192.0.2.1:5060;lr;mth={handle}>\r\n")
}
