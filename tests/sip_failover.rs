//! A request that is not served where it was tried, and for which there is another way.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::time::Duration;

use bytes::Bytes;
use mitschnitt::sip::{Config, Flow, Input, Output, Stack};
use mitschnitt::time::Moment;
use mitschnitt::wire::sip::{Message, reason_phrase, reply};

const PBX: &str = "192.0.2.10:5060";
const WAYS: [&str; 2] = ["198.51.100.20:5060", "198.51.100.21:5060"];

const INVITE: &str = "INVITE sip:+4930123456@198.51.100.20 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKpbx1\r\n\
    From: \"Al\" <sip:al@192.0.2.10>;tag=a1\r\nTo: <sip:+4930123456@198.51.100.20>\r\nCall-ID: call-1\r\nCSeq: 1 INVITE\r\n\
    Max-Forwards: 70\r\nContact: <sip:al@192.0.2.10:5060>\r\nContent-Length: 0\r\n\r\n";

/// A stack whose requests are tried at the first way, and forwarded by the second.
struct Scene {
    stack: Stack,
    now: Moment,
    sent: Vec<(Moment, String, Message)>,
    not_served: Vec<u16>,
    /// Nothing is done when a request is not served.
    is_slow: bool,
}

impl Scene {
    fn with(request: &str) -> Self {
        let stack = Stack::new(Config::new(addr("203.0.113.1:5060").far), 1, Moment::START);
        let mut scene = Self { stack, now: Moment::START, sent: vec![], not_served: vec![], is_slow: false };
        scene.arrive(PBX, request.as_bytes());
        scene
    }

    fn arrive(&mut self, from: &str, bytes: &[u8]) {
        self.tell(Input::Message { from: addr(from), bytes: Bytes::copy_from_slice(bytes) });
    }

    fn tell(&mut self, input: Input) {
        self.stack.handle(input, self.now);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.stack.poll() {
            let next = match output {
                Output::Send { to, bytes, .. } => {
                    self.sent.push((self.now, to.far.to_string(), Message::parse_datagram(bytes).unwrap()));
                    continue;
                }
                Output::Request { server, .. } => Input::Try { server, to: addr(WAYS[0]), body: None },
                Output::NotServed { server, status } => {
                    self.not_served.push(status);
                    if self.is_slow {
                        continue;
                    }
                    Input::Forward { server, to: addr(WAYS[1]), body: None }
                }
                Output::Response { server, response, .. } => Input::PassResponse { server, response, body: None },
                Output::Ack { .. }
                | Output::Failed { .. }
                | Output::Cancelled { .. }
                | Output::Ended { .. }
                | Output::OwnResponse { .. }
                | Output::Dropped { .. } => continue,
            };
            self.stack.handle(next, self.now);
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

    fn answer(&mut self, from: &str, status: u16) {
        let request = self.last(from);
        let answer = reply(&request, status, reason_phrase(status), Some(b"b1"), &[]);
        self.arrive(from, &answer);
    }

    /// Returns the last request that went there.
    fn last(&self, to: &str) -> Message {
        let sent = self
            .sent
            .iter()
            .rev()
            .find(|(_, at, message)| at == to && message.is_request() && message.method().as_bytes() != b"ACK");
        sent.unwrap().2.clone()
    }

    fn went_to(&self, to: &str, method: &[u8]) -> usize {
        self.sent
            .iter()
            .filter(|(_, at, message)| at == to && message.is_request() && message.method().as_bytes() == method)
            .count()
    }

    /// Returns what the caller was answered, but for 100.
    fn answers(&self) -> Vec<u16> {
        self.sent
            .iter()
            .filter(|(_, at, _)| at == PBX)
            .filter_map(|(.., message)| message.status())
            .filter(|status| *status > 100)
            .collect()
    }
}

fn addr(text: &str) -> Flow {
    Flow::first(text.parse().unwrap())
}

#[test]
fn a_503_leads_to_the_other_way_and_not_to_the_caller() {
    let mut scene = Scene::with(INVITE);

    scene.answer(WAYS[0], 503);

    assert_eq!((scene.not_served.as_slice(), scene.answers()), ([503].as_slice(), vec![]));
    assert_eq!(scene.went_to(WAYS[0], b"ACK"), 1, "the refusal is acknowledged");
    assert_eq!(scene.went_to(WAYS[1], b"INVITE"), 1);
    scene.answer(WAYS[1], 180);
    scene.answer(WAYS[1], 200);
    // The first way's transaction ends while the second is what counts.
    scene.run_for(Duration::from_secs(33));
    assert_eq!(scene.answers(), [180, 200]);
    assert_eq!(scene.stack.transactions(), 0);
}

#[test]
fn what_the_last_way_says_goes_to_the_caller() {
    let mut scene = Scene::with(INVITE);
    scene.answer(WAYS[0], 503);

    scene.answer(WAYS[1], 503);

    assert_eq!((scene.not_served.len(), scene.answers()), (1, vec![503]));
}

#[test]
fn who_says_nothing_at_all_is_left_after_eight_times_t1() {
    let mut scene = Scene::with(INVITE);

    scene.run_for(Duration::from_millis(3999));
    assert_eq!((scene.went_to(WAYS[0], b"INVITE"), scene.not_served.len()), (4, 0));
    scene.run_for(Duration::from_millis(1));

    assert_eq!(scene.not_served, [408]);
    assert_eq!(scene.went_to(WAYS[1], b"INVITE"), 1);
    scene.run_for(Duration::from_secs(32));
    assert_eq!(scene.answers(), [408], "the last one has all the time that there is");
}

#[test]
fn who_was_left_and_says_something_after_all_is_told_to_stop_ringing() {
    let mut scene = Scene::with(INVITE);
    scene.run_for(Duration::from_secs(4));
    scene.answer(WAYS[1], 180);

    scene.answer(WAYS[0], 180);

    assert_eq!((scene.went_to(WAYS[0], b"CANCEL"), scene.answers()), (1, vec![180]), "the caller hears the second way alone");
    let left =
        scene.sent.iter().find(|(_, at, message)| at == WAYS[0] && message.method().as_bytes() == b"INVITE").unwrap().2.clone();
    scene.arrive(WAYS[0], &reply(&left, 487, reason_phrase(487), Some(b"b1"), &[]));
    assert_eq!(scene.went_to(WAYS[0], b"ACK"), 1);
    scene.answer(WAYS[1], 200);
    scene.run_for(Duration::from_secs(64));
    assert_eq!((scene.answers(), scene.stack.transactions()), (vec![180, 200], 0));
}

#[test]
fn who_was_left_and_stays_silent_ends_nothing_of_the_other_way() {
    let mut scene = Scene::with(INVITE);
    scene.run_for(Duration::from_secs(4));
    scene.answer(WAYS[1], 180);

    scene.tell(Input::Unreachable { to: addr(WAYS[0]) });
    scene.run_for(Duration::from_secs(64));

    assert_eq!((scene.answers(), scene.went_to(WAYS[0], b"INVITE")), (vec![180], 4));
    scene.answer(WAYS[1], 200);
    scene.run_for(Duration::from_secs(64));
    assert_eq!((scene.answers(), scene.stack.transactions()), (vec![180, 200], 0));
}

#[test]
fn who_says_100_is_waited_for_and_may_still_refuse() {
    let mut scene = Scene::with(INVITE);
    scene.answer(WAYS[0], 100);

    scene.run_for(Duration::from_secs(60));
    assert_eq!(scene.not_served, [0_u16; 0]);
    scene.answer(WAYS[0], 503);

    assert_eq!(scene.went_to(WAYS[1], b"INVITE"), 1);
}

#[test]
fn once_it_rings_there_is_no_other_way() {
    for provisional in [180, 183] {
        let mut scene = Scene::with(INVITE);
        scene.answer(WAYS[0], provisional);

        scene.answer(WAYS[0], 503);

        assert_eq!((scene.not_served.len(), scene.answers()), (0, vec![provisional, 503]));
    }
}

#[test]
fn a_refusal_that_is_the_callees_own_goes_to_the_caller() {
    for status in [302, 404, 486, 500, 603] {
        let mut scene = Scene::with(INVITE);

        scene.answer(WAYS[0], status);

        assert_eq!((scene.not_served.len(), scene.answers()), (0, vec![status]));
    }
}

#[test]
fn no_connection_leads_to_the_other_way_at_once() {
    let mut scene = Scene::with(INVITE);

    scene.tell(Input::Unreachable { to: addr(WAYS[0]) });

    assert_eq!((scene.not_served.as_slice(), scene.went_to(WAYS[1], b"INVITE")), ([503].as_slice(), 1));
}

#[test]
fn a_call_that_is_cancelled_goes_nowhere_else() {
    let mut scene = Scene::with(INVITE);
    scene.arrive(PBX, INVITE.replace("INVITE", "CANCEL").as_bytes());
    scene.answer(WAYS[0], 100);
    scene.answer(WAYS[0], 200);
    let invite =
        scene.sent.iter().find(|(_, at, message)| at == WAYS[0] && message.method().as_bytes() == b"INVITE").unwrap().2.clone();

    let refusal = reply(&invite, 503, reason_phrase(503), Some(b"b1"), &[]);
    scene.arrive(WAYS[0], &refusal);

    assert_eq!((scene.not_served.len(), scene.went_to(WAYS[1], b"INVITE")), (0, 0));
}

#[test]
fn between_two_ways_a_cancel_ends_it_and_forgetting_it_does_too() {
    let mut scene = Scene::with(INVITE);
    scene.is_slow = true;
    scene.answer(WAYS[0], 503);
    scene.arrive(PBX, INVITE.replace("INVITE", "CANCEL").as_bytes());
    assert_eq!(scene.answers(), [200, 487]);

    let mut scene = Scene::with(INVITE);
    scene.is_slow = true;
    scene.answer(WAYS[0], 503);
    scene.run_for(Duration::from_secs(32));
    assert_eq!(scene.answers(), [500]);
}

#[test]
fn another_request_goes_another_way_too() {
    let mut scene = Scene::with(&INVITE.replace("INVITE", "MESSAGE"));

    scene.run_for(Duration::from_secs(4));
    assert_eq!((scene.not_served.as_slice(), scene.went_to(WAYS[1], b"MESSAGE")), ([408].as_slice(), 1));
    scene.answer(WAYS[1], 200);

    assert_eq!(scene.answers(), [200]);
}
