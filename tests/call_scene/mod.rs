//! The scene of tests that speak to the table of calls as PBX and trunk do: without a socket, under virtual time.

#![allow(dead_code, unreachable_pub, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::wildcard_enum_match_arm, reason = "a test may panic")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mitschnitt::call::{
    Config, ContactKey, Guarding, HandleKey, Input, KeySource, Output, Peer, Peers, Policy, PortPair, Registering, Registrations,
    Strangers, Table,
};
use mitschnitt::ids::{Leg, TrunkName};
use mitschnitt::limits::PORT_STOCK;
use mitschnitt::media::{Latching, PairIds, PortId};
use mitschnitt::sip::{End, Flow, Transport};
use mitschnitt::time::{Moment, Wall};
use mitschnitt::wire::sip::{Message, Name};
use zeroize::Zeroizing;

pub const US: &str = "203.0.113.1:5060";
pub const PBX: &str = "192.0.2.10:5060";
pub const TRUNK: &str = "198.51.100.20:5060";
pub const STRANGER: &str = "198.51.100.66:5060";

/// The table of calls between one PBX and one trunk; nothing is recorded.
pub struct Calls {
    pub table: Table,
    pub now: Moment,
    /// What was sent since this was last emptied.
    pub sent: Vec<(SocketAddr, Bytes)>,
    /// What else the table wanted done.
    pub others: Vec<Output>,
    ports: u32,
    placed: usize,
    /// Where the media of the PBX are.
    media: &'static str,
}

impl Calls {
    pub fn new() -> Self {
        Self::with_media("192.0.2.2")
    }

    /// Those between a PBX whose media go to this address of ours, and a trunk.
    pub fn with_media(towards_pbx: &str) -> Self {
        let peers = Peers { pbx: peer(PBX), trunks: vec![(TrunkName::new("carrier"), peer(TRUNK))] };
        Self::between(peers, towards_pbx, Vec::new())
    }

    /// Those between these peers, under these policies.
    pub fn between(peers: Peers, towards_pbx: &str, policies: Vec<Arc<Policy>>) -> Self {
        Self::made(mitschnitt::sip::Config::new(addr(US)), peers, towards_pbx, policies)
    }

    /// Those between these peers, by these ends of ours.
    pub fn between_ends(peers: Peers, ends: Vec<End>) -> Self {
        Self::made(mitschnitt::sip::Config::with(ends), peers, "192.0.2.2", Vec::new())
    }

    fn made(sip: mitschnitt::sip::Config, peers: Peers, towards_pbx: &str, policies: Vec<Arc<Policy>>) -> Self {
        let config = Config {
            sip,
            peers,
            strangers: Strangers::Drop,
            guarding: Guarding::default(),
            media: [towards_pbx, "203.0.113.1"].map(|ip| ip.parse().unwrap()),
            policies,
            emergency: vec!["112".to_owned()],
            unrecorded: None,
            indexed: Vec::new(),
            handles: HandleKey::new(Zeroizing::new([8; 32])),
            // What these tests register is to pass as it came.
            registering: Registering::new(
                ContactKey::new(Zeroizing::new([9; 32])),
                vec![(TrunkName::new("carrier"), Registrations::AsTheyCome)],
            ),
            port_stock: PORT_STOCK,
            dead: None,
            keys: KeySource::new(Zeroizing::new([7; 32])),
            clocks: (Moment::START, Wall::from_unix_micros(1_795_512_600_000_000)),
        };
        let table = Table::new(config, [7, 8], Moment::START);
        let media = if towards_pbx.contains(':') { "2001:db8::10" } else { "192.0.2.10" };
        let mut calls = Self { table, now: Moment::START, sent: Vec::new(), others: Vec::new(), ports: 0, placed: 0, media };
        calls.drain();
        calls
    }

    pub fn arrive(&mut self, from: &str, message: &[u8]) {
        self.tell(Input::Message { from: Flow::first(addr(from)), bytes: Bytes::copy_from_slice(message) });
    }

    pub fn tell(&mut self, input: Input) {
        self.table.handle(input, self.now);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.table.poll() {
            match output {
                Output::Send { to, or: _, bytes } => self.sent.push((to.far, bytes)),
                Output::WantPorts { leg, count } => {
                    let pairs = (0..count).map(|_| self.pair(leg)).collect();
                    self.table.handle(Input::Ports(pairs), self.now);
                }
                other => self.others.push(other),
            }
        }
    }

    fn pair(&mut self, leg: Leg) -> PortPair {
        let n = self.ports;
        self.ports += 1;
        let rtp = 20_000 + u16::try_from(n % 20_000).unwrap() * 2;
        PortPair { leg, ids: PairIds { rtp: PortId(2 * n), rtcp: PortId(2 * n + 1) }, rtp, rtcp: rtp + 1 }
    }

    pub fn run_for(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        while let Some(at) = self.table.deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.table.wake(self.now);
            self.drain();
        }
        self.now = end;
    }

    /// Takes what was sent to this host.
    pub fn take(&mut self, to: &str) -> Vec<Message> {
        let host = addr(to).ip();
        let (taken, rest) = std::mem::take(&mut self.sent).into_iter().partition(|(at, _)| at.ip() == host);
        self.sent = rest;
        let taken: Vec<(SocketAddr, Bytes)> = taken;
        taken.into_iter().map(|(_, bytes)| Message::parse_datagram(bytes).expect("what we send is a message")).collect()
    }

    /// The statuses of responses and the methods of requests that were sent to this host, and takes them.
    pub fn lines(&mut self, to: &str) -> Vec<String> {
        self.take(to).iter().map(first_word).collect()
    }

    /// Sets up a call from the PBX to the trunk; returns its Call-ID.
    pub fn set_up(&mut self) -> String {
        self.placed += 1;
        let id = format!("good-{}", self.placed);
        self.sent.clear();
        self.arrive(PBX, request("INVITE", &id, PBX, 1, None, &sdp(self.media, 4000)).as_bytes());
        let invite = self.take(TRUNK).pop().expect("the INVITE goes on");
        assert!(!String::from_utf8_lossy(invite.body()).contains(&format!(" {}\r\nt=", self.media)), "its media are anchored");
        self.arrive(TRUNK, answer(&invite, 200, "b", &sdp("198.51.100.20", 6000)).as_bytes());
        let words = self.lines(PBX);
        assert_eq!(words, ["100", "200"], "{id}");
        self.arrive(PBX, request("ACK", &id, PBX, 1, Some("b"), "").as_bytes());
        assert_eq!(self.lines(TRUNK), ["ACK"], "{id}");
        id
    }

    /// Ends a call that was set up.
    pub fn hang_up(&mut self, id: &str) {
        self.arrive(PBX, request("BYE", id, PBX, 99, Some("b"), "").as_bytes());
        let bye = self.take(TRUNK).pop().expect("the BYE goes on");
        self.arrive(TRUNK, answer(&bye, 200, "b", "").as_bytes());
        assert_eq!(self.lines(PBX), ["200"], "{id}");
    }

    /// Panics unless a call can be set up and ended.
    pub fn assert_served(&mut self) {
        let id = self.set_up();
        self.hang_up(&id);
    }
}

/// A peer that is reached over UDP at one address.
pub fn peer(address: &str) -> Peer {
    Peer {
        way: Flow::first(addr(address)),
        transport: Transport::Udp,
        networks: vec![],
        latching: Latching::default(),
        media_as: None,
        routing: Default::default(),
    }
}

pub fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub fn first_word(message: &Message) -> String {
    message
        .status()
        .map_or_else(|| String::from_utf8_lossy(message.method().as_bytes()).into_owned(), |status| status.to_string())
}

pub fn sdp(ip: &str, port: u16) -> String {
    let version = if ip.contains(':') { 6 } else { 4 };
    format!(
        "v=0\r\no=- 7 9 IN IP{version} {ip}\r\ns=-\r\nc=IN IP{version} {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 8\r\na=sendrecv\r\n"
    )
}

/// A request of the caller, who is at the PBX, or of the callee.
pub fn request(method: &str, id: &str, from: &str, cseq: u32, to_tag: Option<&str>, body: &str) -> String {
    let (theirs, ours, host) =
        if from == PBX { ("a", to_tag, "198.51.100.20") } else { (to_tag.unwrap_or("b"), Some("a"), "192.0.2.10") };
    let tag = ours.map(|tag| format!(";tag={tag}")).unwrap_or_default();
    let route = ours.map(|_| format!("Route: <sip:{US};lr>\r\n")).unwrap_or_default();
    let content = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!(
        "{method} sip:100@{host}:5060 SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{method}{cseq}{id}\r\n{route}Max-Forwards: 70\r\n\
         From: <sip:x@example.test>;tag={theirs}\r\nTo: <sip:y@example.test>{tag}\r\nCall-ID: {id}\r\nCSeq: {cseq} {method}\r\n\
         Contact: <sip:100@{from}>\r\n{content}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A response to a request that was sent, as its receiver would make it.
pub fn answer(request: &Message, status: u16, to_tag: &str, body: &str) -> String {
    let mut text = format!("SIP/2.0 {status} So\r\n");
    let copied = |name| matches!(name, Name::Via | Name::RecordRoute | Name::From | Name::CallId | Name::CSeq);
    for line in request.headers().filter(|line| copied(line.kind)) {
        text.push_str(std::str::from_utf8(line.raw).unwrap());
    }
    let to = String::from_utf8_lossy(request.value(Name::To).unwrap()).into_owned();
    let to = if to.contains("tag=") { to } else { format!("{to};tag={to_tag}") };
    let content = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    text.push_str(&format!("To: {to}\r\nContact: <sip:200@198.51.100.20:5060>\r\n{content}"));
    text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    text
}
