//! How long a SIP message takes: read; read, changed and printed as a proxy does; and dropped before any of it.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mitschnitt::call::{
    Config, ContactKey, Flow, Guarding, HandleKey, Input, KeySource, Peer, Peers, Rate, Registering, Strangers, Table, Transport,
};
use mitschnitt::ids::TrunkName;
use mitschnitt::time::{Moment, Wall};
use mitschnitt::wire::sip::{Edit, Message};
use zeroize::Zeroizing;

/// An INVITE of 1.2 kB, with the fields that an SBC sends.
const INVITE: &[u8] = b"INVITE sip:+493012345678@proxy.example.test:5060;user=phone SIP/2.0\r\n\
Via: SIP/2.0/UDP 192.0.2.10:5060;rport;branch=z9hG4bKPj3c5d6c1a-9a0f-4b0e-8f0e-2d7d4a1b6c55\r\n\
Via: SIP/2.0/TCP 10.1.2.3:5062;branch=z9hG4bK-524287-1---a7c0b9f9e8d7c6b5;rport=51234;received=198.51.100.7\r\n\
Route: <sip:192.0.2.1;lr>\r\n\
Max-Forwards: 68\r\n\
From: \"Example, Alice\" <sip:+498912345670@pbx.example.test;user=phone>;tag=8d1f0c7a6b5e4d3c\r\n\
To: <sip:+493012345678@proxy.example.test;user=phone>\r\n\
Contact: <sip:+498912345670@192.0.2.10:5060;transport=udp>\r\n\
Call-ID: 5f0e1d2c-3b4a-5968-7786-95a4b3c2d1e0@192.0.2.10\r\n\
CSeq: 10023 INVITE\r\n\
Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, PRACK, UPDATE, REFER, NOTIFY\r\n\
Supported: replaces, 100rel, timer, norefersub\r\n\
Session-Expires: 1800;refresher=uac\r\n\
Min-SE: 90\r\n\
P-Asserted-Identity: <sip:+498912345670@pbx.example.test>\r\n\
User-Agent: Example PBX 21.4.1\r\n\
Content-Type: application/sdp\r\n\
Content-Length: 225\r\n\
\r\n\
v=0\r\n\
o=- 3913300000 3913300000 IN IP4 192.0.2.10\r\n\
s=session\r\n\
c=IN IP4 192.0.2.10\r\n\
t=0 0\r\n\
m=audio 14000 RTP/AVP 8 0 101\r\n\
a=rtpmap:8 PCMA/8000\r\n\
a=rtpmap:0 PCMU/8000\r\n\
a=rtpmap:101 telephone-event/8000\r\n\
a=fmtp:101 0-16\r\n\
a=ptime:20\r\n";

fn parse(c: &mut Criterion) {
    let bytes = Bytes::from_static(INVITE);
    let mut group = c.benchmark_group("sip");
    group.throughput(Throughput::Bytes(u64::try_from(INVITE.len()).unwrap_or(u64::MAX)));

    group.bench_function("parse a 1.2 kB INVITE", |b| b.iter(|| Message::parse_datagram(black_box(&bytes).clone())));

    group.bench_function("parse and validate it", |b| {
        b.iter(|| Message::parse_datagram(black_box(&bytes).clone()).map(|message| message.validate_request()));
    });

    group.bench_function("parse, validate and edit it as a proxy", |b| {
        b.iter(|| {
            let message = Message::parse_datagram(black_box(&bytes).clone())?;
            message.validate_request()?;
            let edited = Edit::new(&message)
                .amend_top_via(None, Some(5060))
                .push_via(b"SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK0123456789abcdef")
                .push_record_route(b"<sip:192.0.2.1:5060;lr>")
                .pop_route(1)
                .max_forwards(67)
                .body(message.body());
            Ok::<_, mitschnitt::wire::sip::Malformed>(edited.finish())
        });
    });
    group.finish();
}

/// What is dropped is dropped before it is parsed: this must cost less than parsing it.
fn dropped(c: &mut Criterion) {
    let mut group = c.benchmark_group("sip");
    for (what, from, strangers) in [
        ("drop a stranger's INVITE", "203.0.113.66:5060", Strangers::Drop),
        ("drop a stranger's INVITE beyond those that get 403", "203.0.113.66:5060", Strangers::Forbid),
        ("drop a peer's INVITE beyond its rate", "192.0.2.10:5060", Strangers::Drop),
    ] {
        let mut table = table(strangers);
        let (from, bytes) =
            (Flow::first(from.parse().unwrap_or_else(|_| unreachable!("an address"))), Bytes::from_static(INVITE));
        let mut send = || {
            table.handle(Input::Message { from, bytes: black_box(&bytes).clone() }, Moment::START);
            while table.poll().is_some() {}
        };
        // What is within the rate goes first.
        (0..10).for_each(|_| send());
        group.bench_function(what, |b| b.iter(&mut send));
    }
    group.finish();
}

/// A PBX and a carrier, each with two messages a second.
fn table(strangers: Strangers) -> Table {
    let address = |text: &str| text.parse().unwrap_or_else(|_| unreachable!("an address"));
    let peer = |at| Peer {
        way: Flow::first(address(at)),
        transport: Transport::Udp,
        networks: Vec::new(),
        latching: Default::default(),
        media_as: None,
        routing: Default::default(),
    };
    let config = Config {
        sip: mitschnitt::sip::Config::new(address("192.0.2.1:5060")),
        peers: Peers { pbx: peer("192.0.2.10:5060"), trunks: vec![(TrunkName::new("carrier"), peer("198.51.100.20:5060"))] },
        strangers,
        guarding: Guarding { peer_rate: Rate::per_s(2), stranger_rate: Rate::per_s(2), ..Guarding::default() },
        media: ["192.0.2.1", "203.0.113.1"].map(|ip| ip.parse().unwrap_or_else(|_| unreachable!("an address"))),
        policies: Vec::new(),
        handles: HandleKey::new(Zeroizing::new([8; 32])),
        registering: Registering::new(ContactKey::new(Zeroizing::new([9; 32])), Vec::new()),
        emergency: Vec::new(),
        unrecorded: None,
        indexed: Vec::new(),
        port_stock: 0,
        dead: None,
        keys: KeySource::new(Zeroizing::new([7; 32])),
        clocks: (Moment::START, Wall::from_unix_micros(0)),
    };
    Table::new(config, [7, 8], Moment::START)
}

criterion_group!(benches, parse, dropped);
criterion_main!(benches);
