//! Calls over TCP, TLS and IPv6 through the running program: each side its own, certificates believed, renewed and refused.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test may panic, and it is the shell that writes a file and opens sockets"
)]

#[allow(dead_code, reason = "each file of tests uses its part")]
mod support;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use support::authority::Authority;
use support::phone::{Call, Mouth, Phone, call, every_20_ms, hang_up, sdp};
use support::site::{Site, policy};
use support::{A_WHILE, until};

/// An installation that listens over UDP and TCP at one port, and over TLS at another, with a certificate of this authority.
fn site(authority: &Authority, pbx: &str, trunk: &str) -> Site {
    let site = Site::new(policy("announce"));
    authority.equip(&site);
    site.set("[pbx]", &format!("address = \"{pbx}{}\"", site.ports.pbx()));
    site.set("[[trunk]]", &format!("address = \"{trunk}{}\"", site.ports.trunk()));
    site
}

/// Both speak until the announcement is over and something is recorded; then the caller hangs up, and one whole recording is there.
fn is_recorded(site: &Site, call: &Call, caller: &mut Phone, callee: &mut Phone) {
    let mut mouths = (Mouth::new(*site.ports.pbx_media().start()), Mouth::new(*site.ports.trunk_media().start()));
    every_20_ms(100, |_| {
        mouths.0.says(call.caller_sends_to, &[0x11; 160]);
        mouths.1.says(call.callee_sends_to, &[0x33; 160]);
    });
    hang_up(call, caller, callee);
    let wav = site.export(&site.recorded());
    assert!(wav.channels.iter().all(|channel| channel.len() > 4000), "half a second of both");
}

fn whole_call(site: &Site, pbx: &mut Phone, trunk: &mut Phone) -> Call {
    call("whole", pbx, trunk, *site.ports.pbx_media().start(), *site.ports.trunk_media().start())
}

#[test]
fn a_call_from_udp_to_tls_is_recorded_and_both_ends_are_in_the_route() {
    let authority = Authority::new();
    let site = site(&authority, "", "tls ");
    let _proxy = site.start();
    let mut pbx = Phone::new(site.ports.pbx(), site.ports.proxy());
    let secured = authority.secured(&authority.certify(&["127.0.0.1"]));
    let mut trunk = Phone::over_streams(site.ports.trunk(), site.ports.proxy_tls(), Some(secured));

    let call = whole_call(&site, &mut pbx, &mut trunk);

    let routes: Vec<String> = call.invite().all("Record-Route").map(without_handle).collect();
    let expected = [format!("<sip:{};transport=tls;lr>", site.ports.proxy_tls()), format!("<sip:{};lr>", site.ports.proxy())];
    assert_eq!(routes, expected);
    assert!(call.invite().header("Via").starts_with(&format!("SIP/2.0/TLS {};rport;branch=", site.ports.proxy_tls())));
    is_recorded(&site, &call, &mut pbx, &mut trunk);
}

#[test]
fn a_call_from_udp_to_tcp_is_recorded() {
    let authority = Authority::new();
    let site = site(&authority, "", "tcp ");
    let _proxy = site.start();
    let mut pbx = Phone::new(site.ports.pbx(), site.ports.proxy());
    let mut trunk = Phone::over_streams(site.ports.trunk(), site.ports.proxy(), None);

    let call = whole_call(&site, &mut pbx, &mut trunk);

    is_recorded(&site, &call, &mut pbx, &mut trunk);
    assert_eq!(trunk.disconnect(), 1, "all of it over one connection");
}

#[test]
fn a_pbx_that_connects_over_tls_calls_over_that_connection() {
    let authority = Authority::new();
    let site = site(&authority, "tls ", "");
    site.set("[tls]", "client_certificates = \"required\"");
    let _proxy = site.start();
    let secured = authority.secured(&authority.certify(&["127.0.0.1"]));
    let mut pbx = Phone::over_streams(site.ports.pbx(), site.ports.proxy_tls(), Some(secured));
    let mut trunk = Phone::new(site.ports.trunk(), site.ports.proxy());

    let call = whole_call(&site, &mut pbx, &mut trunk);

    is_recorded(&site, &call, &mut pbx, &mut trunk);
    assert_eq!(pbx.disconnect(), 1);
}

#[test]
fn who_has_no_certificate_or_one_of_somebody_else_is_not_let_in() {
    let authority = Authority::new();
    let site = site(&authority, "tls ", "");
    site.set("[tls]", "client_certificates = \"required\"");
    let _proxy = site.start();
    let mut trunk = Phone::new(site.ports.trunk(), site.ports.proxy());
    let strange = Authority::new();
    let forged = strange.certify(&["127.0.0.1"]);
    let mut of_nobody = authority.secured(&authority.certify(&["127.0.0.1"]));
    of_nobody.client = strange.secured(&forged).client;
    for secured in [of_nobody, authority.secured(&authority.certify(&["192.0.2.7"]))] {
        let pbx = Phone::over_streams(site.ports.pbx(), site.ports.proxy_tls(), Some(secured));
        pbx.send(&pbx.invite("forged", trunk.at(), &sdp(*site.ports.pbx_media().start())));
        assert!(pbx.receive(Duration::from_millis(500)).is_none());
    }

    // Nothing came through, and who is what he says he is is served.
    let secured = authority.secured(&authority.certify(&["127.0.0.1"]));
    let mut pbx = Phone::over_streams(site.ports.pbx(), site.ports.proxy_tls(), Some(secured));
    let call = whole_call(&site, &mut pbx, &mut trunk);
    hang_up(&call, &mut pbx, &mut trunk);
}

#[test]
fn a_trunk_whose_certificate_is_for_another_gets_no_call() {
    let authority = Authority::new();
    let site = site(&authority, "", "tls ");
    site.set("[[trunk]]", "tls_name = \"sip.carrier.test\"");
    let _proxy = site.start();
    let pbx = Phone::new(site.ports.pbx(), site.ports.proxy());
    let other = authority.secured(&authority.certify(&["127.0.0.1", "sip.other.test"]));
    let mut trunk = Phone::over_streams(site.ports.trunk(), site.ports.proxy_tls(), Some(other));
    pbx.send(&pbx.invite("other", trunk.at(), &sdp(*site.ports.pbx_media().start())));

    let refusal = {
        let mut came = None;
        until("a refusal", A_WHILE, || {
            // The trunk's end of the handshake is made while it listens.
            assert!(trunk.receive(Duration::from_millis(20)).is_none(), "nothing is sent to who is not it");
            came = pbx.receive(Duration::from_millis(20)).filter(|message| !message.start.contains(" 100 "));
            came.take()
        })
    };

    assert!(refusal.start.starts_with("SIP/2.0 503"), "{}", refusal.start);
    drop(trunk);
    let named = authority.secured(&authority.certify(&["sip.carrier.test"]));
    trunk = Phone::over_streams(site.ports.trunk(), site.ports.proxy_tls(), Some(named));
    // For some seconds nobody is tried where nobody was.
    let mut tries = 0;
    let call = until("a call", A_WHILE, || {
        tries += 1;
        let id = format!("again{tries}");
        pbx.send(&pbx.invite(&id, trunk.at(), &sdp(*site.ports.pbx_media().start())));
        trunk.receive(Duration::from_millis(500))
    });
    assert!(call.start.starts_with("INVITE"));
}

#[test]
fn a_renewed_certificate_is_shown_without_a_restart_and_one_that_cannot_be_used_is_not() {
    let authority = Authority::new();
    let site = site(&authority, "tls ", "");
    let _proxy = site.start();
    let at = |name: &str| site.path().join(name);
    let secured = authority.secured(&authority.certify(&["127.0.0.1"]));
    let shown = || {
        let name = rustls::pki_types::ServerName::from(site.ports.proxy_tls().ip());
        let mut client = rustls::ClientConnection::new(std::sync::Arc::clone(&secured.client), name).unwrap();
        let mut tcp = TcpStream::connect(site.ports.proxy_tls()).unwrap();
        tcp.set_read_timeout(Some(A_WHILE)).unwrap();
        while client.is_handshaking() {
            client.complete_io(&mut tcp).unwrap();
        }
        client.peer_certificates().unwrap()[0].to_vec()
    };
    let first = shown();

    std::fs::write(at("sip.crt.pem"), "no certificate").unwrap();
    site.metric_reaches("mitschnitt_tls_renewals_failed_total", 1.0);
    assert_eq!(shown(), first, "the old one is better than none");

    authority.certify(&["127.0.0.1"]).write(&at("sip.crt.pem"), &at("sip.key.pem"));
    until("the new certificate", A_WHILE, || (shown() != first).then_some(()));
}

#[test]
fn a_stranger_that_connects_is_closed_without_a_byte() {
    let authority = Authority::new();
    let site = site(&authority, "", "tcp ");
    let _proxy = site.start();
    let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None).unwrap();
    rustix::net::bind(&socket, &SocketAddr::from(([127, 0, 0, 2], 0))).unwrap();
    rustix::net::connect(&socket, &site.ports.proxy()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(A_WHILE)).unwrap();
    drop(stream.write_all(b"OPTIONS sip:h SIP/2.0\r\nVia: SIP/2.0/TCP h\r\nContent-Length: 0\r\n\r\n"));

    let mut came = Vec::new();
    drop(stream.read_to_end(&mut came));

    assert_eq!(came, b"");
    site.metric_reaches("mitschnitt_sip_connections_refused_total{why=\"stranger\"}", 1.0);
}

#[test]
fn a_ping_is_answered_and_a_message_without_an_end_is_refused_and_closes_its_connection() {
    let authority = Authority::new();
    let site = site(&authority, "", "tcp ");
    let _proxy = site.start();
    let mut stream = TcpStream::connect(site.ports.proxy()).unwrap();
    stream.set_read_timeout(Some(A_WHILE)).unwrap();

    stream.write_all(b"\r\n\r\n").unwrap();
    let mut pong = [0; 2];
    stream.read_exact(&mut pong).unwrap();
    assert_eq!(&pong, b"\r\n");

    let from = site.ports.trunk();
    let request = format!(
        "OPTIONS sip:h SIP/2.0\r\nVia: SIP/2.0/TCP {from};branch=z9hG4bKx\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:h>\r\n\
         Call-ID: x\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\n\r\nOPTIONS sip:smuggled SIP/2.0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut came = Vec::new();
    stream.read_to_end(&mut came).unwrap();
    let came = String::from_utf8(came).unwrap();
    assert!(came.starts_with("SIP/2.0 400 "), "{came}");
    assert_eq!(came.matches("SIP/2.0 400").count(), 1, "what follows is no message");
}

#[test]
fn a_long_request_goes_over_tcp_to_a_trunk_that_takes_it_there() {
    let authority = Authority::new();
    let site = site(&authority, "", "");
    let _proxy = site.start();
    let pbx = Phone::new(site.ports.pbx(), site.ports.proxy());
    let by_tcp = Phone::over_streams(site.ports.trunk(), site.ports.proxy(), None);
    let by_udp = Phone::new(site.ports.trunk(), site.ports.proxy());
    let long = |id: &str| {
        let invite = String::from_utf8(pbx.invite(id, by_udp.at(), &sdp(*site.ports.pbx_media().start()))).unwrap();
        invite.replace("Max-Forwards", &format!("Subject: {}\r\nMax-Forwards", "x".repeat(1200)))
    };
    pbx.send(long("long").as_bytes());
    let came = by_tcp.receive(A_WHILE).unwrap();
    assert!(came.start.starts_with("INVITE") && came.header("Via").starts_with("SIP/2.0/TCP "));

    // Where nobody listens over TCP it goes over UDP.
    by_tcp.disconnect();
    drop(by_tcp);
    pbx.send(long("longer").as_bytes());
    let came = until("an INVITE over UDP", A_WHILE, || {
        by_udp.receive(Duration::from_millis(100)).filter(|message| message.header("Call-ID") == "longer")
    });
    assert!(came.header("Via").starts_with("SIP/2.0/UDP "));
}

#[test]
fn calls_go_over_ipv6() {
    let site = Site::new(policy("announce"));
    let v6 = |at: SocketAddr| SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, at.port()));
    let (proxy, pbx, trunk) = (v6(site.ports.proxy()), v6(site.ports.pbx()), v6(site.ports.trunk()));
    site.set("[sip]", &format!("listen = \"udp {proxy}\""));
    site.set("[pbx]", &format!("address = \"{pbx}\""));
    site.set("[[trunk]]", &format!("address = \"{trunk}\""));
    let _proxy = site.start();
    let (mut pbx, mut trunk) = (Phone::new(pbx, proxy), Phone::new(trunk, proxy));

    let call = whole_call(&site, &mut pbx, &mut trunk);

    assert_eq!(without_handle(call.invite().header("Record-Route")), format!("<sip:{proxy};lr>"));
    is_recorded(&site, &call, &mut pbx, &mut trunk);
}

/// Returns a value of our `Record-Route` without the handle of its call.
fn without_handle(value: &str) -> String {
    let (before, handle) = value.split_once(";mth=").expect("a call has a handle");
    assert_eq!(handle.trim_end_matches('>').len(), 36, "{handle}");
    format!("{before}>")
}
