//! Peers that have a name: found at the start by a name server of the test's own, and found elsewhere when the name leads there.

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

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use support::phone::{Phone, call, hang_up, sdp};
use support::site::{Site, policy};
use support::{A_WHILE, until};

const A: u16 = 1;
const SRV: u16 = 33;
const NAPTR: u16 = 35;

/// What a name server knows, and which names it was asked for.
#[derive(Default)]
struct Zone {
    records: HashMap<(String, u16), Vec<Vec<u8>>>,
    asked: Vec<(String, u16)>,
}

/// A name server on the loopback: one question a datagram, the records of the zone in the answer (RFC 1035 §4).
struct NameServer {
    at: SocketAddr,
    zone: Arc<Mutex<Zone>>,
}

impl NameServer {
    fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let at = socket.local_addr().unwrap();
        let zone = Arc::new(Mutex::new(Zone::default()));
        let known = Arc::clone(&zone);
        // It ends with the test's process.
        drop(std::thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut query) {
                let answer = answer(&query[..length], &mut known.lock().unwrap());
                socket.send_to(&answer, from).unwrap();
            }
        }));
        Self { at, zone }
    }

    fn say(&self, name: &str, record_type: u16, records: Vec<Vec<u8>>) {
        self.zone.lock().unwrap().records.insert((name.to_owned(), record_type), records);
    }

    fn was_asked(&self) -> Vec<String> {
        self.zone.lock().unwrap().asked.iter().map(|(name, record_type)| format!("{record_type} {name}")).collect()
    }
}

fn answer(query: &[u8], zone: &mut Zone) -> Vec<u8> {
    let mut name = Vec::new();
    let mut at = 12;
    while query[at] > 0 {
        let length = usize::from(query[at]);
        name.push(String::from_utf8_lossy(&query[at + 1..at + 1 + length]).to_lowercase());
        at += 1 + length;
    }
    let question = &query[12..at + 5];
    let record_type = u16::from_be_bytes([query[at + 1], query[at + 2]]);
    let key = (name.join("."), record_type);
    zone.asked.push(key.clone());
    let records = zone.records.get(&key).cloned().unwrap_or_default();
    let mut answer = query[..2].to_vec();
    answer.extend([0x85, 0x80, 0, 1, 0, records.len() as u8, 0, 0, 0, 0]);
    answer.extend(question);
    for record in records {
        // A pointer to the name in the question; its class; nothing is fresh for longer than a second.
        answer.extend([0xc0, 12]);
        answer.extend(record_type.to_be_bytes());
        answer.extend([0, 1, 0, 0, 0, 1]);
        answer.extend((record.len() as u16).to_be_bytes());
        answer.extend(record);
    }
    answer
}

fn domain(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.') {
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

fn srv(priority: u16, port: u16, target: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in [priority, 1, port] {
        bytes.extend(number.to_be_bytes());
    }
    bytes.extend(domain(target));
    bytes
}

fn naptr(preference: u16, service: &str, replacement: &str) -> Vec<u8> {
    let mut bytes = vec![0, 10];
    bytes.extend(preference.to_be_bytes());
    for text in ["s", service, ""] {
        bytes.push(text.len() as u8);
        bytes.extend(text.as_bytes());
    }
    bytes.extend(domain(replacement));
    bytes
}

/// An installation whose trunk has a name, by a name server.
fn site(names: &NameServer, address: &str) -> Site {
    let site = Site::new(policy("announce"));
    site.set("[[trunk]]", &format!("address = \"{address}\""));
    let config = std::fs::read_to_string(site.config()).unwrap();
    let section = format!("[dns]\nservers = [\"{}\"]\n\n[media]\n", names.at);
    std::fs::write(site.config(), config.replace("[media]\n", &section)).unwrap();
    site
}

#[test]
fn a_trunk_is_found_by_naptr_srv_and_a_and_a_call_goes_there() {
    let names = NameServer::start();
    let site = site(&names, "carrier.test");
    names.say(
        "carrier.test",
        NAPTR,
        vec![naptr(10, "SIPS+D2T", "_sips._tcp.carrier.test"), naptr(20, "SIP+D2U", "_sip._udp.carrier.test")],
    );
    let second = site.ports.stranger();
    names.say(
        "_sip._udp.carrier.test",
        SRV,
        vec![srv(20, second.port(), "sbc2.carrier.test"), srv(10, site.ports.trunk().port(), "sbc1.carrier.test")],
    );
    names.say("sbc1.carrier.test", A, vec![vec![127, 0, 0, 1]]);
    names.say("sbc2.carrier.test", A, vec![vec![127, 0, 0, 1]]);
    let proxy = site.start();
    let mut pbx = Phone::new(site.ports.pbx(), site.ports.proxy());
    let mut trunk = Phone::new(site.ports.trunk(), site.ports.proxy());

    let first = call("named", &mut pbx, &mut trunk, *site.ports.pbx_media().start(), *site.ports.trunk_media().start());
    hang_up(&first, &mut pbx, &mut trunk);

    let asked = names.was_asked();
    assert_eq!(asked[..2], ["35 carrier.test", "33 _sip._udp.carrier.test"], "over TLS nobody is spoken to here");
    let listed = site.json(&["trunks", "list"]);
    let addresses: Vec<&str> = listed.iter().skip(1).map(|row| row["address"].as_str().unwrap()).collect();
    assert_eq!(addresses, [site.ports.trunk().to_string(), second.to_string()]);

    // The first is gone: the second record has the call.
    drop(trunk);
    let mut trunk = Phone::new(second, site.ports.proxy());
    let call = call("failover", &mut pbx, &mut trunk, *site.ports.pbx_media().start(), *site.ports.trunk_media().start());
    hang_up(&call, &mut pbx, &mut trunk);
    drop(proxy);
}

#[test]
fn a_name_that_is_found_late_leads_to_its_calls_then() {
    let names = NameServer::start();
    let site = site(&names, &format!("carrier.test:{}", 5080));
    site.set("[[trunk]]", &format!("address = \"carrier.test:{}\"", site.ports.trunk().port()));
    let mut proxy = site.start_unready();
    // It does not wait for ever, and says who is missing.
    proxy.wait_for("host_not_found", A_WHILE);
    proxy.wait_for("mitschnitt ready", A_WHILE);
    let mut pbx = Phone::new(site.ports.pbx(), site.ports.proxy());
    let trunk = Phone::new(site.ports.trunk(), site.ports.proxy());
    pbx.send(&pbx.invite("early", trunk.at(), &sdp(*site.ports.pbx_media().start())));
    let refusal = pbx.expect("early", "SIP/2.0 503");
    assert!(refusal.start.contains("503"));

    names.say("carrier.test", A, vec![vec![127, 0, 0, 1]]);

    let mut tries = 0;
    let invite = until("a call", A_WHILE * 2, || {
        tries += 1;
        pbx.send(&pbx.invite(&format!("late{tries}"), trunk.at(), &sdp(*site.ports.pbx_media().start())));
        trunk.receive(Duration::from_millis(500))
    });
    assert!(invite.start.starts_with("INVITE"));
    assert_eq!(names.was_asked().iter().filter(|asked| *asked == "33 _sip._udp.carrier.test").count(), 0, "a port needs no SRV");
}
