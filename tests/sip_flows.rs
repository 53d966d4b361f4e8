//! The stack over more than one way: streams, two ends, and what is too long for a datagram.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::time::Duration;

use bytes::Bytes;
use mitschnitt::limits::SIP_CONNECT;
use mitschnitt::sip::{Config, End, EndId, Flow, Input, Output, Stack, Tally, Transport};
use mitschnitt::time::Moment;
use mitschnitt::wire::sip::{Message, Name, reason_phrase, reply};

const UDP: EndId = EndId(0);
const TCP: EndId = EndId(1);
const TLS: EndId = EndId(2);

const PBX: &str = "192.0.2.10:5060";
const TRUNK: &str = "198.51.100.20:5061";

const INVITE: &str = "INVITE sip:+4930123456@198.51.100.20 SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.10:5060;branch=z9hG4bKpbx1\r\n\
    From: \"Al\" <sip:al@192.0.2.10>;tag=a1\r\nTo: <sip:+4930123456@198.51.100.20>\r\nCall-ID: call-1\r\nCSeq: 1 INVITE\r\n\
    Max-Forwards: 70\r\nContact: <sip:al@192.0.2.10:5060>\r\nContent-Length: 0\r\n\r\n";

/// What was sent: which way, where to if that way is closed, and the message.
type Sent = (Flow, Option<String>, Message);

/// A stack with an end of each kind, whose requests all go one way.
struct Scene {
    stack: Stack,
    now: Moment,
    to: Flow,
    sent: Vec<Sent>,
    dropped: Vec<Tally>,
    /// There is another way for each request, which is never taken.
    is_tried: bool,
    not_served: usize,
}

impl Scene {
    fn to(to: Flow) -> Self {
        let end = |transport, address: &str| End { transport, address: address.parse().unwrap() };
        let ends = vec![
            end(Transport::Udp, "203.0.113.1:5060"),
            end(Transport::Tcp, "203.0.113.1:5060"),
            end(Transport::Tls, "203.0.113.1:5061"),
        ];
        let stack = Stack::new(Config::with(ends), 1, Moment::START);
        Self { stack, now: Moment::START, to, sent: vec![], dropped: vec![], is_tried: false, not_served: 0 }
    }

    fn arrive(&mut self, from: Flow, message: &[u8]) {
        self.tell(Input::Message { from, bytes: Bytes::copy_from_slice(message) });
    }

    fn tell(&mut self, input: Input) {
        self.stack.handle(input, self.now);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.stack.poll() {
            match output {
                Output::Send { to, or, bytes } => {
                    self.sent.push((to, or.map(|or| or.to_string()), Message::parse_datagram(bytes).unwrap()));
                }
                Output::Request { server, .. } if self.is_tried => {
                    self.stack.handle(Input::Try { server, to: self.to, body: None }, self.now);
                }
                Output::NotServed { .. } => self.not_served += 1,
                Output::Request { server, .. } | Output::Ack { server, .. } => {
                    self.stack.handle(Input::Forward { server, to: self.to, body: None }, self.now);
                }
                Output::Response { server, response, .. } => {
                    self.stack.handle(Input::PassResponse { server, response, body: None }, self.now);
                }
                Output::Dropped { why } => self.dropped.push(why),
                Output::Failed { .. } | Output::Cancelled { .. } | Output::Ended { .. } | Output::OwnResponse { .. } => {}
            }
        }
    }

    fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(at) = self.stack.deadline().filter(|at| *at <= end) {
            self.now = at;
            self.stack.wake(at);
            self.drain();
        }
        self.now = end;
    }

    fn answer(&mut self, from: Flow, request: &Message, status: u16) {
        let answer = reply(request, status, reason_phrase(status), Some(b"b1"), &[]);
        self.arrive(from, &answer);
    }

    /// Returns the requests with this method that were sent.
    fn requests(&self, method: &str) -> Vec<&Sent> {
        self.sent
            .iter()
            .filter(|(.., message)| message.is_request() && message.method().as_bytes() == method.as_bytes())
            .collect()
    }
}

fn flow(end: EndId, far: &str) -> Flow {
    Flow { end, far: far.parse().unwrap() }
}

/// A connection that the PBX has opened.
fn connection() -> Flow {
    flow(TCP, "192.0.2.10:40000")
}

#[test]
fn over_a_stream_nothing_is_sent_twice() {
    let mut scene = Scene::to(flow(TLS, TRUNK));
    scene.arrive(connection(), INVITE.as_bytes());
    scene.run_for(Duration::from_secs(31));

    assert_eq!(scene.requests("INVITE").len(), 1);
    scene.run_for(Duration::from_secs(2));
    let last = &scene.sent.last().unwrap().2;
    assert_eq!(last.status(), Some(408), "timer B gives up all the same");
    let refusals = scene.sent.iter().filter(|(.., message)| message.status() == Some(408)).count();
    scene.run_for(Duration::from_secs(33));
    assert_eq!(scene.sent.iter().filter(|(.., message)| message.status() == Some(408)).count(), refusals, "nor is the refusal");
    assert_eq!(scene.stack.transactions(), 0);
}

#[test]
fn what_is_answered_over_a_stream_is_forgotten_at_once() {
    let mut scene = Scene::to(flow(TLS, TRUNK));
    scene.arrive(connection(), INVITE.replace("INVITE", "OPTIONS").as_bytes());
    let request = scene.requests("OPTIONS")[0].2.clone();

    scene.answer(flow(TLS, TRUNK), &request, 200);

    scene.run_for(Duration::ZERO);
    assert_eq!(scene.stack.transactions(), 0, "timers J and K are zero");
}

#[test]
fn a_response_goes_back_over_the_connection_or_to_the_sent_by() {
    let mut scene = Scene::to(flow(TLS, TRUNK));
    scene.arrive(connection(), INVITE.as_bytes());
    let request = scene.requests("INVITE")[0].2.clone();

    scene.answer(flow(TLS, TRUNK), &request, 180);

    let (to, or, response) = scene.sent.last().unwrap();
    assert_eq!((response.status(), *to), (Some(180), connection()));
    assert_eq!(or.as_deref(), Some(PBX));
}

#[test]
fn between_two_ends_both_stand_in_the_route_and_both_are_taken_out() {
    let mut scene = Scene::to(flow(TLS, TRUNK));
    scene.arrive(connection(), INVITE.as_bytes());
    let invite = scene.requests("INVITE")[0].2.clone();
    let routes: Vec<String> = invite.values(Name::RecordRoute).map(|value| String::from_utf8_lossy(value).into_owned()).collect();
    assert_eq!(routes, ["<sip:203.0.113.1:5061;transport=tls;lr>", "<sip:203.0.113.1:5060;transport=tcp;lr>"]);
    assert!(invite.value(Name::Via).unwrap().starts_with(b"SIP/2.0/TLS 203.0.113.1:5061;"));

    // The caller's route set is the other way round, the callee's as it stands (RFC 3261 §12.1).
    for (from, route) in [(connection(), [1, 0]), (flow(TLS, TRUNK), [0, 1])] {
        let bye = INVITE
            .replace("INVITE", "BYE")
            .replace("z9hG4bKpbx1", &format!("z9hG4bKbye{}", route[0]))
            .replace("Max-Forwards", &format!("Route: {}, {}\r\nMax-Forwards", routes[route[0]], routes[route[1]]));
        scene.arrive(from, bye.as_bytes());
        assert_eq!(scene.requests("BYE").last().unwrap().2.value(Name::Route), None);
    }
}

#[test]
fn a_request_too_long_for_a_datagram_goes_over_tcp_and_over_udp_where_that_cannot_be() {
    let to = flow(UDP, "198.51.100.20:5060");
    let mut scene = Scene::to(to);
    let long = INVITE.replace("Max-Forwards", &format!("Subject: {}\r\nMax-Forwards", "x".repeat(1300)));
    scene.arrive(flow(UDP, PBX), long.as_bytes());

    let by_tcp = Flow { end: TCP, ..to };
    let (way, _, first) = scene.requests("INVITE")[0].clone();
    assert_eq!(way, by_tcp);
    assert!(first.value(Name::Via).unwrap().starts_with(b"SIP/2.0/TCP "));
    assert_eq!(first.values(Name::RecordRoute).count(), 1, "what is short comes back over UDP");

    scene.tell(Input::Unreachable { to: by_tcp });

    let (way, _, second) = scene.requests("INVITE")[1].clone();
    assert_eq!(way, to);
    assert!(second.value(Name::Via).unwrap().starts_with(b"SIP/2.0/UDP "));
    scene.run_for(Duration::from_millis(600));
    assert_eq!(scene.requests("INVITE").len(), 3, "from here on it is sent again as over UDP");
    scene.answer(to, &second, 180);
    assert_eq!(scene.sent.last().unwrap().2.status(), Some(180));
}

#[test]
fn an_ack_is_sent_as_a_datagram_however_long_it_is() {
    let to = flow(UDP, "198.51.100.20:5060");
    let mut scene = Scene::to(to);
    let long = format!("Subject: {}\r\nMax-Forwards", "x".repeat(1300));
    let ack = INVITE.replace("INVITE", "ACK").replace("z9hG4bKpbx1", "z9hG4bKack").replace("20>\r\nCall", "20>;tag=b1\r\nCall");

    scene.arrive(flow(UDP, PBX), ack.replace("Max-Forwards", &long).as_bytes());

    assert_eq!(scene.requests("ACK")[0].0, to, "nobody hears of it where it could not go over TCP");
}

#[test]
fn who_takes_no_connections_is_asked_over_udp_before_another_way_is_tried() {
    let to = flow(UDP, "198.51.100.20:5060");
    let mut scene = Scene { is_tried: true, ..Scene::to(to) };
    let long = INVITE.replace("Max-Forwards", &format!("Subject: {}\r\nMax-Forwards", "x".repeat(1300)));
    scene.arrive(flow(UDP, PBX), long.as_bytes());

    scene.run_for(SIP_CONNECT);
    scene.tell(Input::Unreachable { to: Flow { end: TCP, ..to } });

    let ways: Vec<Flow> = scene.requests("INVITE").iter().map(|(way, ..)| *way).collect();
    assert_eq!((ways, scene.not_served), (vec![Flow { end: TCP, ..to }, to], 0));
}

#[test]
fn a_short_request_stays_a_datagram() {
    let to = flow(UDP, "198.51.100.20:5060");
    let mut scene = Scene::to(to);

    scene.arrive(flow(UDP, PBX), INVITE.as_bytes());

    assert_eq!(scene.requests("INVITE")[0].0, to);
}

#[test]
fn what_was_asked_over_tls_is_not_answered_over_udp() {
    let mut scene = Scene::to(flow(TLS, TRUNK));
    scene.arrive(connection(), INVITE.as_bytes());
    let request = scene.requests("INVITE")[0].2.clone();
    let before = scene.sent.len();

    scene.answer(flow(UDP, TRUNK), &request, 200);

    assert_eq!((scene.sent.len(), scene.dropped.last()), (before, Some(&Tally::Foreign)));
}

#[test]
fn nobody_cancels_over_udp_what_came_over_a_stream() {
    let mut scene = Scene::to(flow(TLS, TRUNK));
    scene.arrive(connection(), INVITE.as_bytes());
    let request = scene.requests("INVITE")[0].2.clone();
    scene.answer(flow(TLS, TRUNK), &request, 180);

    scene.arrive(flow(UDP, PBX), INVITE.replace("INVITE", "CANCEL").as_bytes());

    assert_eq!(scene.sent.last().unwrap().2.status(), Some(481));
    assert!(scene.requests("CANCEL").is_empty());
    scene.arrive(connection(), INVITE.replace("INVITE", "CANCEL").as_bytes());
    assert_eq!(scene.requests("CANCEL").len(), 1);
}
