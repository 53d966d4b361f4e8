//! Registrations of the PBX with its carrier, and what comes to a registered contact.

use mitschnitt::call::Registrations;

use super::*;

const REAL: &str = "<sip:100@192.0.2.10:5072;line=7;transport=udp>";

#[test]
fn the_carrier_is_told_a_contact_of_ours_and_nothing_else_changes() {
    let mut world = World::with(Mode::Announce);
    let text = register(1, &format!("Contact: \"Line 7\" {REAL};expires=600;+sip.instance=\"<urn:uuid:1>\"\r\n"));

    world.datagram(PBX, &text);

    let went = String::from_utf8(world.to_trunk("REGISTER").as_bytes().to_vec()).unwrap();
    let told = world.told();
    assert!(told.starts_with("sip:100@192.0.2.1:5060;line=7;mtt="), "{told}");
    let expected = text
        .replace(REAL, &format!("<{told}>"))
        .replace("Via:", &format!("Via: {}\r\nVia:", went.split("Via: ").nth(1).unwrap().split("\r\n").next().unwrap()))
        .replace(";rport\r\n", ";rport=5060;received=192.0.2.10\r\n")
        .replace("Max-Forwards: 70", "Max-Forwards: 69");
    assert_eq!(went, expected);
}

#[test]
fn the_pbx_is_told_its_own_contact_with_what_the_carrier_says_of_it() {
    let mut world = World::with(Mode::Announce);
    world.datagram(PBX, &register(1, &format!("Contact: {REAL}\r\n")));
    let told = world.told();

    let others = "<sip:100@198.51.100.200:5060>;expires=20";
    let service = "Service-Route: <sip:edge.carrier.example;lr>\r\nExpires: 300\r\n";
    world.carrier_answers(200, &format!("{service}Contact: <{told}>;q=0.5;expires=300 , {others}\r\n"));

    let came = world.to_pbx("200");
    let contacts: Vec<String> = came.values(Name::Contact).map(text).collect();
    assert_eq!(contacts, ["<sip:100@192.0.2.10:5072;transport=udp;line=7>;q=0.5;expires=300", others], "another's is left alone");
    assert!(text(came.as_bytes()).contains(service));
}

#[test]
fn what_comes_to_our_contact_goes_to_the_one_that_was_registered() {
    let mut world = World::with(Mode::Announce);
    world.datagram(PBX, &register(1, &format!("Contact: {REAL}\r\n")));
    let told = world.told();

    for method in ["INVITE", "OPTIONS", "MESSAGE", "NOTIFY"] {
        // From another address of the carrier's networks, and with a parameter of its own.
        world.calls_in("198.51.100.77:5060", method, &format!("{told};user=phone"));

        let went = world.first_word("192.0.2.10:5072", method);
        assert_eq!(text(went.request_uri().unwrap()), "sip:100@192.0.2.10:5072;transport=udp;line=7;user=phone");
    }
    assert_eq!(world.table.count(), 1, "the INVITE is a call, under a policy");
    let call = world.table.live().remove(0);
    assert_eq!(call.parties.called.reveal(), "100");
}

#[test]
fn a_carrier_that_puts_the_called_number_there_still_reaches_the_registered_contact() {
    let mut world = World::with(Mode::Announce);
    world.datagram(PBX, &register(1, "m: sip:192.0.2.10:5072;expires=60\r\n"));
    let told = world.told();
    assert!(told.starts_with("sip:192.0.2.1:5060;mtt="), "a contact without a user, and without brackets: {told}");

    let called = told.replace("sip:", "sip:+4930123@");
    world.calls_in(TRUNK, "INVITE", &called);
    assert_eq!(world.uri_at("192.0.2.10:5072"), "sip:+4930123@192.0.2.10:5072");

    // And one that drops what it does not know reaches the PBX.
    let bare = called.split(";mtt").next().unwrap().to_owned();
    world.calls_in(TRUNK, "INVITE", &bare);
    assert_eq!(world.uri_at(PBX), bare);
}

#[test]
fn a_binding_outlives_a_restart() {
    let mut before = World::with(Mode::Announce);
    before.datagram(PBX, &register(1, &format!("Contact: {REAL}\r\n")));

    let mut after = World::with(Mode::Announce);
    after.calls_in(TRUNK, "INVITE", &before.told());

    assert_eq!(after.uri_at("192.0.2.10:5072"), "sip:100@192.0.2.10:5072;transport=udp;line=7");
}

#[test]
fn each_binding_has_a_contact_of_its_own_and_a_refresh_has_the_same_again() {
    let mut world = World::with(Mode::Announce);
    let mut told = |cseq, contact: &str| {
        world.datagram(PBX, &register(cseq, &format!("Contact: {contact}\r\n")));
        world.told()
    };

    let first = told(1, REAL);
    assert_eq!(told(2, &format!("{REAL};expires=0")), first, "so that it can be refreshed, and ended");
    let others = [
        "<sip:100@192.0.2.10:5074;line=7>",
        "<sip:100@192.0.2.10:5072;line=7;transport=tcp>",
        "<sips:100@192.0.2.10:5072;line=7>",
    ];
    let all: Vec<String> = (3..).zip(others).map(|(cseq, contact)| told(cseq, contact)).collect();
    for (at, one) in all.iter().enumerate() {
        assert!(*one != first && !all[..at].contains(one), "{one}");
    }
}

#[test]
fn several_contacts_on_several_lines_are_each_ours() {
    let mut world = World::with(Mode::Announce);

    world.datagram(
        PBX,
        &register(
            1,
            "Contact: <sip:a@192.0.2.10>, <tel:+4930>,\r\n <sip:b@pbx.example?X=1>\r\nContact: <sips:c@[2001:db8::1]:5061>\r\n",
        ),
    );

    let went = world.to_trunk("REGISTER");
    let contacts: Vec<String> = went.values(Name::Contact).map(text).collect();
    let begins = ["<sip:a@192.0.2.1:5060;mtt=", "<tel:+4930>", "<sip:b@192.0.2.1:5060;mtt=", "<sip:c@192.0.2.1:5060;mtt="];
    assert_eq!(contacts.len(), begins.len());
    assert!(contacts.iter().zip(begins).all(|(contact, begin)| contact.starts_with(begin)), "{contacts:?}");
    world.carrier_answers(200, &format!("Contact: {}\r\n", contacts.join(", ")));
    let back: Vec<String> = world.to_pbx("200").values(Name::Contact).map(text).collect();
    assert_eq!(back, ["<sip:a@192.0.2.10>", "<tel:+4930>", "<sip:b@pbx.example?X=1>", "<sips:c@[2001:db8::1]:5061>"]);
}

#[test]
fn what_names_no_contact_passes_as_it_came() {
    for lines in ["Contact: *\r\nExpires: 0\r\n", "", "Contact: <tel:+4930>\r\n"] {
        let mut world = World::with(Mode::Announce);

        world.datagram(PBX, &register(1, lines));

        assert!(
            text(world.to_trunk("REGISTER").as_bytes()).contains(&format!("CSeq: 1 REGISTER\r\n{lines}Content-Length")),
            "{lines}"
        );
    }
}

#[test]
fn a_challenge_and_its_credentials_are_between_pbx_and_carrier() {
    let mut world = World::with(Mode::Announce);
    world.datagram(PBX, &register(1, &format!("Contact: {REAL}\r\n")));
    let first = world.told();

    let challenge = "WWW-Authenticate: Digest realm=\"carrier.example\", nonce=\"n,1\", qop=\"auth\"\r\n";
    world.carrier_answers(401, challenge);
    assert!(text(world.to_pbx("401").as_bytes()).contains(challenge));

    let credentials =
        "Authorization: Digest username=\"100\", realm=\"carrier.example\", uri=\"sip:carrier.example\", response=\"0\"\r\n";
    world.datagram(PBX, &register(2, &format!("{credentials}Contact: {REAL}\r\n")));
    assert!(text(world.to_trunk("REGISTER").as_bytes()).contains(credentials));
    assert_eq!(world.told(), first);
}

#[test]
fn the_carrier_may_answer_from_another_address_of_its_networks() {
    let mut world = World::with(Mode::Announce);
    world.datagram(PBX, &register(1, &format!("Contact: {REAL}\r\n")));

    let answer =
        world.answer(200, "r", "").replacen("Contact: <sip:200@198.51.100.20:5060>", &format!("Contact: <{}>", world.told()), 1);
    world.datagram("198.51.100.99:5071", &answer);

    assert_eq!(world.to_pbx("200").value(Name::Contact).map(text).unwrap(), "<sip:100@192.0.2.10:5072;transport=udp;line=7>");
}

#[test]
fn nobody_makes_up_a_contact_and_none_leads_to_others_than_the_pbx() {
    let mut world = World::with(Mode::Announce);
    world.datagram(PBX, &register(1, "Contact: <sip:100@203.0.113.99:5060>\r\n"));
    let told = world.told();

    world.calls_in(TRUNK, "INVITE", &told);
    assert_eq!(world.uri_at(PBX), "sip:100@203.0.113.99:5060", "a host that is not the PBX's: it must know itself");

    let at = told.find("mtt=").unwrap() + 4;
    for forged in [
        format!("{}0{}", &told[..at], &told[at + 1..]).replace("mtt=00", "mtt=10"),
        told.replace("3230332e", "3139322e"),
        told[..at + 10].to_owned(),
        format!("{told}0"),
        told.replace("mtt=", "mtt=zz"),
    ] {
        if forged != told {
            world.calls_in(TRUNK, "INVITE", &forged);
            assert_eq!(world.uri_at(PBX), forged, "it is no contact of ours");
        }
    }
    assert!(world.messages("203.0.113.99:5060").is_empty());
}

#[test]
fn what_the_pbx_sends_to_our_contact_is_not_turned() {
    let mut world = World::with(Mode::Announce);
    world.datagram(PBX, &register(1, &format!("Contact: {REAL}\r\n")));
    let told = world.told();

    world.datagram(PBX, &numbered("MESSAGE", &told, PBX, 1, "a", None, "", "", 5));

    assert_eq!(world.uri_at(TRUNK), told);
}

#[test]
fn a_register_with_more_contacts_than_may_be_is_refused() {
    for (count, is_taken) in [(32, true), (33, false)] {
        let mut world = World::with(Mode::Announce);
        let contacts: Vec<String> = (0..count).map(|at| format!("<sip:{at}@192.0.2.10>")).collect();

        world.datagram(PBX, &register(1, &format!("Contact: {}\r\n", contacts.join(","))));

        assert_eq!(world.messages(TRUNK).len(), usize::from(is_taken), "{count}");
        assert!(is_taken || world.to_pbx("403").status() == Some(403));
    }
}

#[test]
fn a_contact_that_cannot_be_read_is_refused_since_none_of_ours_can_stand_for_it() {
    let mut world = World::with(Mode::Announce);

    world.datagram(PBX, &register(1, "Contact: sip:100@192.0.2.10?Route=%3Csip:x%3E\r\n"));

    assert_eq!(world.to_pbx("400").status(), Some(400));
    assert!(world.messages(TRUNK).is_empty());
}

#[test]
fn with_path_the_contacts_pass_and_calls_come_by_us_all_the_same() {
    let mut world = World::registering(Registrations::Path);
    let lines = format!("Supported: path\r\nPath: <sip:edge@192.0.2.10;lr>\r\nContact: {REAL}\r\n");
    world.datagram(PBX, &register(1, &lines));

    let went = text(world.to_trunk("REGISTER").as_bytes());
    assert!(went.contains(&lines.replace("Path: <sip:edge", "Path: <sip:192.0.2.1:5060;lr>\r\nPath: <sip:edge")), "{went}");
    world.carrier_answers(200, &format!("Path: <sip:192.0.2.1:5060;lr>, <sip:edge@192.0.2.10;lr>\r\nContact: {REAL}\r\n"));
    assert_eq!(world.to_pbx("200").value(Name::Contact).map(text).unwrap(), REAL);
    assert_eq!(world.table.tallies().registered_past_us, 0);

    let routed = "INVITE sip:100@192.0.2.10:5072;line=7 SIP/2.0\r\nRoute: <sip:192.0.2.1:5060;lr>";
    world.calls_in_as(TRUNK, "INVITE", routed);
    assert_eq!(world.uri_at("192.0.2.10:5072"), "sip:100@192.0.2.10:5072;line=7");
    assert!(world.first_word("192.0.2.10:5072", "INVITE").value(Name::Route).is_none());
}

#[test]
fn a_carrier_that_does_not_heed_path_is_told() {
    let mut world = World::registering(Registrations::Path);
    world.datagram(PBX, &register(1, &format!("Contact: {REAL}\r\n")));

    world.carrier_answers(200, &format!("Contact: {REAL};expires=60\r\n"));
    assert_eq!(world.table.tallies().registered_past_us, 1);

    world.datagram(PBX, &register(2, "Contact: *\r\nExpires: 0\r\n"));
    world.carrier_answers(200, "");
    assert_eq!(world.table.tallies().registered_past_us, 1, "nothing is registered");
}

#[test]
fn where_they_are_to_pass_registrations_pass() {
    let mut world = World::registering(Registrations::AsTheyCome);

    world.datagram(PBX, &register(1, &format!("Contact: {REAL}\r\n")));

    assert_eq!(world.to_trunk("REGISTER").value(Name::Contact).map(text).unwrap(), REAL);
}

#[test]
fn a_call_by_the_carriers_service_route_goes_there() {
    let mut world = World::with(Mode::Announce);
    let lines = "Route: <sip:192.0.2.1:5060;lr>, <sip:198.51.100.21:5066;lr>\r\n";

    world.datagram(PBX, &numbered("INVITE", "sip:200@carrier.example", PBX, 1, "a", None, lines, "", 0));

    let went = world.first_word("198.51.100.21:5066", "INVITE");
    assert_eq!(went.values(Name::Route).map(text).collect::<Vec<_>>(), ["<sip:198.51.100.21:5066;lr>"]);
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn register(cseq: u32, lines: &str) -> String {
    format!(
        "REGISTER sip:carrier.example SIP/2.0\r\nVia: SIP/2.0/UDP {PBX};branch=z9hG4bKr{cseq};rport\r\nMax-Forwards: 70\r\n\
         From: <sip:100@carrier.example>;tag=a\r\nTo: <sip:100@carrier.example>\r\nCall-ID: r@test\r\nCSeq: {cseq} REGISTER\r\n\
         {lines}Content-Length: 0\r\n\r\n"
    )
}

impl World {
    fn registering(registrations: Registrations) -> Self {
        let policies = all_by(Mode::Announce, WithoutConsent::GoOn);
        let config = Self::config(["192.0.2.2", "203.0.113.1"], policies, None, Latching::default(), None);
        let key = ContactKey::new(Zeroizing::new([9; 32]));
        Self::of(Config { registering: Registering::new(key, vec![(TrunkName::new("carrier"), registrations)]), ..config })
    }

    /// The contact that the carrier was told last, without its `<>`.
    fn told(&self) -> String {
        let contact = self.to_trunk("REGISTER").value(Name::Contact).map(text).unwrap();
        contact.split('<').nth(1).unwrap().split('>').next().unwrap().to_owned()
    }

    fn carrier_answers(&mut self, status: u16, lines: &str) {
        let answer = self.answer(status, "r", "").replacen("Contact: <sip:200@198.51.100.20:5060>\r\n", lines, 1);
        self.datagram(TRUNK, &answer);
    }

    /// The carrier sends the first request of something to this URI.
    fn calls_in(&mut self, from: &str, method: &str, uri: &str) {
        self.calls_in_as(from, method, &format!("{method} {uri} SIP/2.0"));
    }

    fn calls_in_as(&mut self, from: &str, method: &str, start: &str) {
        self.calls += 1;
        let content = if method == "INVITE" { "Content-Type: application/sdp\r\n" } else { "" };
        let body = if method == "INVITE" { offer("198.51.100.20", 6000, "0") } else { String::new() };
        let text = numbered(method, "sip:x", from, 1, "b", None, content, &body, self.calls);
        self.datagram(from, &text.replacen(&format!("{method} sip:x SIP/2.0"), start, 1));
    }

    /// The Request-URI of the request that was sent there last.
    fn uri_at(&self, to: &str) -> String {
        let requests = self.messages(to).into_iter().filter(Message::is_request);
        requests.last().and_then(|request| request.request_uri().map(text)).unwrap_or_else(|| panic!("nothing went to {to}"))
    }
}
