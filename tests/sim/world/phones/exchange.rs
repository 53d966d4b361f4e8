//! Requests and responses over UDP that loses them: what is sent until it is answered (RFC 3261 §17, §13.3.1.4; RFC 3262 §3).

use std::time::Duration;

use bytes::Bytes;
use mitschnitt::time::Moment;

use super::talk::Change;

/// The round trip that is reckoned with (RFC 3261 §17.1.1.1).
pub(super) const T1: Duration = Duration::from_millis(500);

/// The longest time between two of the same.
const T2: Duration = Duration::from_secs(4);

/// When everything is given up: 64·T1.
pub(super) const GIVEN_UP: Duration = Duration::from_secs(32);

/// A request of ours.
pub(super) struct Client {
    pub(super) branch: String,
    pub(super) method: &'static str,
    pub(super) cseq: u32,
    pub(super) bytes: Bytes,
    pub(super) purpose: Purpose,
    pub(super) dialog: Option<usize>,
    pub(super) state: State,
    interval: Duration,
    /// When it is sent again.
    next: Option<Moment>,
    /// When it is given up.
    pub(super) until: Option<Moment>,
}

/// What a request of ours is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    /// It makes the call.
    Call,
    /// It takes it back.
    Cancel,
    /// INVITE or UPDATE within the dialog, with the tries that came before.
    Change(Change, u32),
    /// It ends the dialog; whether it has credentials.
    Bye { again: bool },
    /// Its answer is of no consequence.
    Other,
}

/// How far a request of ours has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Calling,
    Proceeding,
    Done,
}

/// What a client's or a repeat's time has come for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Due {
    Nothing,
    Send,
    GiveUp,
}

impl Client {
    pub(super) fn new(method: &'static str, branch: String, cseq: u32, bytes: Bytes, purpose: Purpose, now: Moment) -> Self {
        Self {
            branch,
            method,
            cseq,
            bytes,
            purpose,
            dialog: None,
            state: State::Calling,
            interval: T1,
            next: Some(now + T1),
            until: Some(now + GIVEN_UP),
        }
    }

    /// A provisional response came.
    pub(super) fn proceed(&mut self, now: Moment) {
        if self.state != State::Calling {
            return;
        }
        self.state = State::Proceeding;
        if self.method == "INVITE" {
            self.next = None;
            self.until = Some(now + GIVEN_UP);
        } else {
            self.interval = T2;
        }
    }

    /// The final response came, or none will.
    pub(super) const fn done(&mut self) {
        self.state = State::Done;
        self.next = None;
        self.until = None;
    }

    pub(super) fn due(&mut self, now: Moment) -> Due {
        if self.until.is_some_and(|until| until <= now) {
            return Due::GiveUp;
        }
        if self.next.is_none_or(|next| next > now) {
            return Due::Nothing;
        }
        self.interval *= 2;
        if self.method != "INVITE" {
            self.interval = self.interval.min(T2);
        }
        self.next = Some(now + self.interval);
        Due::Send
    }

    pub(super) fn deadline(&self) -> Option<Moment> {
        earlier(self.next, self.until)
    }
}

/// A request of theirs: what is needed to answer it, once or again.
pub(super) struct Server {
    pub(super) branch: String,
    pub(super) method: String,
    pub(super) cseq: u32,
    /// `Via` lines, `From`, `Call-ID` and `CSeq`.
    pub(super) head: String,
    pub(super) record_route: String,
    /// `To` as it came.
    pub(super) to: String,
    /// The last response.
    pub(super) last: Option<Bytes>,
    /// Its status, where it is final.
    pub(super) answered: Option<u16>,
}

/// A response that is sent until it is acknowledged.
pub(super) struct Repeat {
    pub(super) what: Repeated,
    pub(super) bytes: Bytes,
    interval: Duration,
    next: Moment,
    until: Moment,
}

/// Which response is sent again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Repeated {
    /// A 2xx to the INVITE with this number, until ACK.
    Accept { dialog: usize, cseq: u32 },
    /// A refusal of this server's INVITE, until ACK.
    Refusal { server: usize },
    /// A reliable provisional response, until PRACK.
    Reliable { dialog: usize },
}

impl Repeat {
    pub(super) fn new(what: Repeated, bytes: Bytes, now: Moment) -> Self {
        Self { what, bytes, interval: T1, next: now + T1, until: now + GIVEN_UP }
    }

    pub(super) fn due(&mut self, now: Moment) -> Due {
        if self.until <= now {
            return Due::GiveUp;
        }
        if self.next > now {
            return Due::Nothing;
        }
        self.interval *= 2;
        if !matches!(self.what, Repeated::Reliable { .. }) {
            self.interval = self.interval.min(T2);
        }
        self.next = now + self.interval;
        Due::Send
    }

    pub(super) fn deadline(&self) -> Moment {
        self.next.min(self.until)
    }
}

/// The earlier of two moments that may be none.
pub(super) fn earlier(one: Option<Moment>, other: Option<Moment>) -> Option<Moment> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
