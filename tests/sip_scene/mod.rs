//! The scene of the stack's tests: a PBX on one side, a trunk on the other, virtual time, text messages.

#![allow(dead_code, unreachable_pub, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use mitschnitt::sip::{Answer, Config, Flow, Input, Output, ServerKey, Stack};
use mitschnitt::time::Moment;
use mitschnitt::wire::sip::{Message, Name, reason_phrase, reply};

pub const US: &str = "203.0.113.1:5060";
pub const PBX: &str = "192.0.2.10:5060";
pub const TRUNK: &str = "198.51.100.20:5060";

pub const INVITE: &str = "INVITE sip:+4930123456@198.51.100.20 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKpbx1\r\n\
    From: \"Al\" <sip:al@192.0.2.10>;tag=a1\r\nTo: <sip:+4930123456@198.51.100.20>\r\nCall-ID: call-1\r\nCSeq: 1 INVITE\r\n\
    Max-Forwards: 70\r\nContact: <sip:al@192.0.2.10:5060>\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n";

pub struct Sent {
    pub at: u64,
    pub to: SocketAddr,
    pub message: Message,
}

/// The stack, with a call that forwards everything to the other side unless `auto` is off.
pub struct Scene {
    pub stack: Stack,
    pub now: Moment,
    pub sent: Vec<Sent>,
    pub shown: usize,
    pub events: Vec<String>,
    pub auto: bool,
    pub body: Option<Bytes>,
    /// The last request that the call was told of.
    pub server: Option<ServerKey>,
}

impl Scene {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new(addr(US));
        change(&mut config);
        let stack = Stack::new(config, 1, Moment::START);
        Self { stack, now: Moment::START, sent: vec![], shown: 0, events: vec![], auto: true, body: None, server: None }
    }

    pub fn arrive(&mut self, from: &str, message: &str) {
        self.arrive_bytes(from, message.as_bytes());
    }

    pub fn arrive_bytes(&mut self, from: &str, message: &[u8]) {
        self.tell(Input::Message { from: Flow::first(addr(from)), bytes: Bytes::copy_from_slice(message) });
    }

    /// Answers a request that was sent, as its receiver would.
    pub fn answer(&mut self, from: &str, request: &Message, status: u16, tag: Option<&str>) {
        let answer = reply(request, status, reason_phrase(status), tag.map(str::as_bytes), &[]);
        self.arrive_bytes(from, &answer);
    }

    pub fn tell(&mut self, input: Input) {
        self.stack.handle(input, self.now);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.stack.poll() {
            match output {
                Output::Send { to, or: _, bytes } => {
                    let message = Message::parse_datagram(bytes).expect("what we send is a message");
                    self.sent.push(Sent { at: self.now_ms(), to: to.far, message });
                }
                Output::Request { server, from, .. } => {
                    self.events.push("request".into());
                    self.server = Some(server);
                    self.pass_on(Input::Forward { server, to: Flow::first(other(from.far)), body: self.body.clone() });
                }
                Output::Ack { server, from, .. } => {
                    self.events.push("ack".into());
                    self.pass_on(Input::Forward { server, to: Flow::first(other(from.far)), body: None });
                }
                Output::Response { server, response, .. } => {
                    self.pass_on(Input::PassResponse { server, response, body: self.body.clone() });
                }
                Output::NotServed { status, .. } => self.events.push(format!("not served {status}")),
                Output::Failed { status, .. } => self.events.push(format!("failed {status}")),
                Output::Cancelled { .. } => self.events.push("cancelled".into()),
                Output::Ended { .. } => self.events.push("ended".into()),
                Output::OwnResponse { answer, .. } => self.events.push(match answer {
                    Answer::Response(response) => format!("own {}", response.status().unwrap()),
                    Answer::TimedOut => "own timed out".into(),
                    Answer::Unreachable => "own unreachable".into(),
                }),
                Output::Dropped { .. } => {}
            }
        }
    }

    fn pass_on(&mut self, input: Input) {
        if self.auto {
            self.stack.handle(input, self.now);
        }
    }

    pub fn run_for(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        while let Some(deadline) = self.stack.deadline().filter(|deadline| *deadline <= end) {
            assert!(deadline >= self.now, "a deadline is not left behind");
            self.now = deadline;
            self.stack.wake(deadline);
            self.drain();
            assert_ne!(self.stack.deadline(), Some(deadline), "a deadline is not given twice");
        }
        self.now = end;
    }

    pub fn now_ms(&self) -> u64 {
        self.now.as_micros() / 1000
    }

    /// What was sent since this was last asked, in short.
    pub fn lines(&mut self) -> Vec<String> {
        let new = self.sent.get(self.shown..).unwrap_or_default();
        self.shown = self.sent.len();
        new.iter().map(|sent| format!("{} {}", sent.to, first_line(&sent.message))).collect()
    }

    /// When that was, in milliseconds.
    pub fn times(&mut self) -> Vec<u64> {
        let new = self.sent.get(self.shown..).unwrap_or_default();
        self.shown = self.sent.len();
        new.iter().map(|sent| sent.at).collect()
    }

    pub fn last_to(&self, to: &str) -> Message {
        self.sent
            .iter()
            .rev()
            .find(|sent| sent.to == addr(to))
            .map(|sent| sent.message.clone())
            .expect("something was sent there")
    }

    /// What the call was told, without the responses.
    pub fn events(&self) -> Vec<String> {
        self.events.clone()
    }

    pub fn count(&self, event: &str) -> usize {
        self.events.iter().filter(|known| known.starts_with(event)).count()
    }
}

pub fn other(from: SocketAddr) -> SocketAddr {
    addr(if from == addr(PBX) { TRUNK } else { PBX })
}

pub fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub fn parse(message: &[u8]) -> Message {
    Message::parse_datagram(Bytes::copy_from_slice(message)).unwrap()
}

pub fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `INVITE`, or `200 OK`.
pub fn first_line(message: &Message) -> String {
    match message.status() {
        Some(_) => lossy(message.as_bytes()).lines().next().unwrap()[8..].to_owned(),
        None => lossy(message.method().as_bytes()),
    }
}

pub fn invite_from(caller: &str) -> String {
    INVITE.replace("UDP 192.0.2.10:5060", &format!("UDP {caller}"))
}

/// A request within the dialog that `INVITE` makes.
pub fn in_dialog(method: &str, from: &str, number: u32) -> String {
    format!(
        "{method} sip:b@198.51.100.20 SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{method}{number}\r\nRoute: <sip:{US};lr>\r\n\
         From: \"Al\" <sip:al@192.0.2.10>;tag=a1\r\nTo: <sip:+4930123456@198.51.100.20>;tag=b1\r\nCall-ID: call-1\r\n\
         CSeq: {number} {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
}

pub fn cancel_of(request: &str) -> String {
    let request = parse(request.as_bytes());
    hop_by_hop("CANCEL", &request, &request)
}

pub fn ack_to(invite: &str, refusal: &Message) -> String {
    hop_by_hop("ACK", &parse(invite.as_bytes()), refusal)
}

pub fn hop_by_hop(method: &str, request: &Message, to_of: &Message) -> String {
    let value = |message: &Message, name| lossy(message.value(name).unwrap());
    format!(
        "{method} {} SIP/2.0\r\nVia: {}\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {} {method}\r\nMax-Forwards: 70\r\n\
         Content-Length: 0\r\n\r\n",
        lossy(request.request_uri().unwrap()),
        value(request, Name::Via),
        value(request, Name::From),
        value(to_of, Name::To),
        value(request, Name::CallId),
        request.cseq().unwrap().number
    )
}

pub fn replaced(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let at = bytes.windows(old.len()).position(|window| window == old).expect("it is there");
    [&bytes[..at], new, &bytes[at + old.len()..]].concat()
}
