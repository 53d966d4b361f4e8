//! The transactions of one phone over UDP (RFC 3261 §17): what is said again, until when, and what was said before.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rsip::message::HeadersExt as _;
use rsip::{Method, Request, Response, SipMessage};

use super::message::{branch_of, follow_up, sequence, summary};

/// Whether a phone sent a message or got it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Way {
    /// It sent it.
    Sent,
    /// It got it.
    Received,
}

/// One datagram of signalling, as it went over the wire.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// When.
    pub at: Instant,
    /// Which way.
    pub way: Way,
    /// To whom, or from whom.
    pub peer: SocketAddr,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// What `rsip` reads in them, if it can.
    pub message: Option<SipMessage>,
    /// Whether these same bytes were exchanged before: a retransmission.
    pub is_again: bool,
}

impl Exchange {
    /// Says it in a few words, as [`summary`].
    #[must_use]
    pub fn summary(&self) -> String {
        summary(&self.bytes)
    }
}

/// The transaction layer of one phone.
#[derive(Debug, Default)]
pub(super) struct Exchanges {
    clients: Vec<Client>,
    servers: Vec<Server>,
    /// Datagrams to be sent, by whoever has the socket.
    pub outbox: Vec<(SocketAddr, Vec<u8>)>,
    pub log: Vec<Exchange>,
}

/// What came and is news.
pub(super) enum News {
    Request(Request),
    /// An ACK: for a 2xx it belongs to no transaction.
    Ack(Request),
    /// A response, with the request that it answers.
    Response(Response, Request),
    /// A success for an INVITE whose transaction is over: a retransmission, or another fork.
    Stray(Response),
}

/// A request of ours, waiting for its final response.
#[derive(Debug)]
struct Client {
    branch: String,
    request: Request,
    bytes: Vec<u8>,
    to: SocketAddr,
    again: Again,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Trying,
    Proceeding,
    /// An INVITE was refused, and this ACK says that we know.
    Refused(Vec<u8>),
}

/// A request of somebody else, and our last word on it.
#[derive(Debug)]
struct Server {
    branch: String,
    request: Request,
    peer: SocketAddr,
    last: Option<Vec<u8>>,
    is_final: bool,
    /// When to say the final response to an INVITE again, until its ACK comes.
    again: Option<Again>,
    until: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Again {
    next: Instant,
    gap: Duration,
    cap: Duration,
    until: Instant,
}

impl Again {
    fn from(now: Instant, cap: Duration) -> Self {
        Self { next: now + T1, gap: T1, cap, until: now + T1 * 64 }
    }

    /// Returns whether to say it again now.
    fn is_due(&mut self, now: Instant) -> bool {
        let is_due = now >= self.next;
        if is_due {
            self.gap = (self.gap * 2).min(self.cap);
            self.next = now + self.gap;
        }
        is_due
    }
}

impl Exchanges {
    /// Sends a request and keeps at it; an ACK is sent once.
    pub(super) fn send(&mut self, request: Request, to: SocketAddr, now: Instant) -> Option<String> {
        let bytes = request.to_string().into_bytes();
        self.push(to, bytes.clone(), Is::New, now);
        let branch = branch_of(&request)?;
        if request.method != Method::Ack {
            // Timer A of an INVITE doubles without a cap; timer E of the others is capped by T2 (§17.1.1.2, §17.1.2.2).
            let cap = if request.method == Method::Invite { T1 * 64 } else { T2 };
            let again = Again::from(now, cap);
            self.clients.push(Client { branch: branch.clone(), request, bytes, to, again, phase: Phase::Trying });
        }
        Some(branch)
    }

    /// Says these bytes again.
    pub(super) fn repeat(&mut self, bytes: Vec<u8>, to: SocketAddr, now: Instant) {
        self.push(to, bytes, Is::Again, now);
    }

    /// Answers a request: where it came from, and again when it comes again.
    pub(super) fn answer(&mut self, request: &Request, response: &Response, now: Instant) {
        let branch = branch_of(request);
        let Some(server) = self.servers.iter_mut().find(|server| server.is_of(branch.as_deref(), request.method)) else { return };
        if server.is_final {
            return;
        }
        let bytes = response.to_string().into_bytes();
        server.is_final = response.status_code.code() >= 200;
        if server.is_final && request.method == Method::Invite {
            server.again = Some(Again::from(now, T2));
        }
        server.last = Some(bytes.clone());
        server.until = now + T1 * 64;
        let to = server.peer;
        self.push(to, bytes, Is::New, now);
    }

    /// Takes a datagram and returns what is news in it: retransmissions are answered here.
    pub(super) fn take(&mut self, from: SocketAddr, bytes: &[u8], now: Instant) -> Option<News> {
        let is_again = self.log.iter().any(|old| old.way == Way::Received && old.peer == from && old.bytes == bytes);
        let message = SipMessage::try_from(bytes).ok();
        let exchange =
            Exchange { at: now, way: Way::Received, peer: from, bytes: bytes.to_vec(), message: message.clone(), is_again };
        self.log.push(exchange);
        match message? {
            SipMessage::Request(request) => self.take_request(request, from, now),
            SipMessage::Response(response) => self.take_response(response, now),
        }
    }

    /// Returns where a request came from, while its transaction lasts.
    pub(super) fn peer_of(&self, request: &Request) -> Option<SocketAddr> {
        let branch = branch_of(request);
        self.servers.iter().find(|server| server.is_of(branch.as_deref(), request.method)).map(|server| server.peer)
    }

    /// Returns the INVITE that a CANCEL means, if it has no final answer.
    pub(super) fn cancelled_by(&self, cancel: &Request) -> Option<Request> {
        let branch = branch_of(cancel);
        let server = self.servers.iter().find(|server| server.is_of(branch.as_deref(), Method::Invite))?;
        if server.is_final { None } else { Some(server.request.clone()) }
    }

    /// Says again what is due, and returns the requests that nobody answered in time: an INVITE among them that we answered and
    /// whose ACK never came has the method ACK.
    pub(super) fn tick(&mut self, now: Instant) -> Vec<Request> {
        let mut given_up = Vec::new();
        let mut again = Vec::new();
        self.clients.retain_mut(|client| {
            let is_refused = matches!(client.phase, Phase::Refused(_));
            let is_silent = is_refused || matches!(client.phase, Phase::Proceeding) && client.request.method == Method::Invite;
            if now >= client.again.until {
                if !is_refused {
                    given_up.push(client.request.clone());
                }
                return false;
            }
            if !is_silent && client.again.is_due(now) {
                again.push((client.to, client.bytes.clone()));
            }
            true
        });
        self.servers.retain_mut(|server| {
            if let (Some(timer), Some(last)) = (&mut server.again, &server.last) {
                if now >= timer.until {
                    given_up.push(Request { method: Method::Ack, ..server.request.clone() });
                    return false;
                }
                if timer.is_due(now) {
                    again.push((server.peer, last.clone()));
                }
            }
            !server.is_final || now < server.until
        });
        for (to, bytes) in again {
            self.push(to, bytes, Is::Again, now);
        }
        given_up
    }

    fn take_request(&mut self, request: Request, from: SocketAddr, now: Instant) -> Option<News> {
        let branch = branch_of(&request);
        if request.method == Method::Ack {
            let number = sequence(&request).map(|(number, _)| number);
            let call_id = request.call_id_header().ok().cloned();
            for server in self.servers.iter_mut().filter(|server| server.request.method == Method::Invite) {
                let is_its = server.branch == branch.as_deref().unwrap_or_default()
                    || (server.request.call_id_header().ok() == call_id.as_ref()
                        && sequence(&server.request).map(|(number, _)| number) == number);
                if is_its && server.is_final {
                    server.again = None;
                }
            }
            return Some(News::Ack(request));
        }
        if let Some(server) = self.servers.iter().find(|server| server.is_of(branch.as_deref(), request.method)) {
            let last = server.last.clone().map(|last| (server.peer, last));
            if let Some((to, last)) = last {
                self.push(to, last, Is::Again, now);
            }
            return None;
        }
        let (branch, until) = (branch?, now + T1 * 64);
        self.servers.push(Server {
            branch,
            request: request.clone(),
            peer: from,
            last: None,
            is_final: false,
            again: None,
            until,
        });
        Some(News::Request(request))
    }

    fn take_response(&mut self, response: Response, now: Instant) -> Option<News> {
        let branch = branch_of(&response)?;
        let (_, method) = sequence(&response)?;
        let status = response.status_code.code();
        let Some(at) = self.clients.iter().position(|client| client.branch == branch && client.request.method == method) else {
            let is_stray = method == Method::Invite && (200..300).contains(&status);
            return is_stray.then_some(News::Stray(response));
        };
        let client = self.clients.get_mut(at)?;
        let request = client.request.clone();
        let to = client.to;
        if let Phase::Refused(ack) = &client.phase {
            let ack = ack.clone();
            self.push(to, ack, Is::Again, now);
            return None;
        }
        if status < 200 {
            client.phase = Phase::Proceeding;
            if method == Method::Invite {
                client.again.until = now + RINGS_FOR;
            }
        } else if method == Method::Invite && status >= 300 {
            let ack = follow_up(Method::Ack, &request, response.to_header().ok()).to_string().into_bytes();
            client.phase = Phase::Refused(ack.clone());
            client.again.until = now + T1 * 64;
            // The refusal stands before its ACK in the log, since it was logged as it came.
            self.push(to, ack, Is::New, now);
        } else {
            self.clients.remove(at);
        }
        Some(News::Response(response, request))
    }

    fn push(&mut self, to: SocketAddr, bytes: Vec<u8>, is: Is, now: Instant) {
        let message = SipMessage::try_from(bytes.as_slice()).ok();
        let is_again = matches!(is, Is::Again);
        self.log.push(Exchange { at: now, way: Way::Sent, peer: to, bytes: bytes.clone(), message, is_again });
        self.outbox.push((to, bytes));
    }
}

enum Is {
    New,
    Again,
}

impl Server {
    fn is_of(&self, branch: Option<&str>, method: Method) -> bool {
        Some(self.branch.as_str()) == branch && self.request.method == method
    }
}

/// RFC 3261 §17.1.1.1: the estimate of a round trip.
pub(super) const T1: Duration = Duration::from_millis(500);

/// The longest gap between two retransmissions, but for an INVITE.
const T2: Duration = Duration::from_secs(4);

/// How long a phone lets another ring: three minutes and a bit, as timer C of a proxy (§16.6).
const RINGS_FOR: Duration = Duration::from_secs(185);
