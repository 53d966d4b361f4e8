//! A telephone on a real UDP socket, for the demo and the tests: it calls and is called, and everybody can wait for what happens.
//!
//! ```no_run
//! use std::time::Duration;
//! use mitschnitt::codec::Codec;
//! use mitschnitt::demo::{Event, Offer, Phone};
//!
//! let patience = Duration::from_secs(5);
//! let carrier = Phone::bind("carrier", "127.0.0.1:5080".parse()?)?;
//! let pbx = Phone::bind("pbx", "127.0.0.1:5090".parse()?)?;
//! let out = pbx.call("127.0.0.1:5060".parse()?, "sip:+4930123456@127.0.0.1:5080", Offer::of(&[Codec::Pcmu]))?;
//! let into = carrier.incoming(patience)?;
//! into.ring();
//! into.accept(&Offer::of(&[Codec::Pcmu]))?;
//! out.wait(&Event::Answered, patience)?;
//! assert!(into.line()?.press('1'));
//! out.hang_up(patience)?;
//! into.wait(&Event::Ended, patience)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::error::Error;
use std::fmt;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rsip::{Method, Request, Response};

use super::agent::{Agent, CallState, Event, Plan, Stage};
use super::exchange::Exchange;
use super::line::{Line, lock};
use super::message::{Extra, phrase};
use super::offer::{Described, Flow, Offer};

/// A telephone: one SIP address, any number of calls.
#[derive(Debug)]
pub struct Phone {
    shared: Arc<Shared>,
    worker: Option<JoinHandle<()>>,
}

/// One call of a phone, made or taken.
#[derive(Clone)]
pub struct Call {
    shared: Arc<Shared>,
    id: String,
}

struct Shared {
    name: String,
    socket: UdpSocket,
    addr: SocketAddr,
    agent: Mutex<Agent>,
    happened: Condvar,
    is_over: AtomicBool,
    /// Datagrams that are to be lost on their way in.
    to_lose: AtomicUsize,
    watcher: Mutex<Option<Watcher>>,
}

type Watcher = Box<dyn FnMut(&Exchange) + Send>;

/// What was waited for did not come, or could not be done.
#[derive(Clone, Debug)]
pub struct Missed {
    /// The phone that waited.
    pub phone: String,
    /// What it waited for.
    pub expected: String,
    /// How long it waited.
    pub waited: Duration,
    /// What came instead, in order.
    pub came: Vec<Event>,
}

impl Phone {
    /// Opens a telephone at this address; port 0 takes a free one. `name` is the user part of its own SIP address.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub fn bind(name: &str, addr: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind(addr)?;
        socket.set_read_timeout(Some(TICK))?;
        let addr = socket.local_addr()?;
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            socket,
            addr,
            agent: Mutex::new(Agent::new(name, addr)),
            happened: Condvar::new(),
            is_over: AtomicBool::new(false),
            to_lose: AtomicUsize::new(0),
            watcher: Mutex::new(None),
        });
        let worker = Arc::clone(&shared);
        let worker = std::thread::spawn(move || worker.work());
        Ok(Self { shared, worker: Some(worker) })
    }

    /// Returns the telephone's SIP address.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.shared.addr
    }

    /// Calls `to` (a SIP URI) by way of `proxy`.
    ///
    /// # Errors
    /// When the URI cannot be read or no media ports are free.
    pub fn call(&self, proxy: SocketAddr, to: &str, offer: Offer) -> io::Result<Call> {
        self.call_with(proxy, to, offer, None, Extra::new(), None)
    }

    /// Calls as [`Phone::call`] does, from another `From` (`"Name" <sip:…>`, without a tag), with more header lines, and with a body
    /// (its type and bytes) in place of the offer's.
    ///
    /// # Errors
    /// When the URI cannot be read or no media ports are free.
    pub fn call_with(
        &self,
        proxy: SocketAddr,
        to: &str,
        offer: Offer,
        from: Option<&str>,
        extra: Extra,
        body: Option<(&str, &[u8])>,
    ) -> io::Result<Call> {
        let line = Arc::new(Line::open(self.shared.addr.ip())?);
        let body = body.map(|(kind, bytes)| (kind.to_owned(), bytes.to_vec()));
        let plan = Plan { hop: proxy, to: to.to_owned(), from: from.map(str::to_owned), offer, extra, body, line };
        let id = self.shared.act(|agent, now| agent.place(plan, now))?;
        Ok(Call { shared: Arc::clone(&self.shared), id })
    }

    /// Waits for a call to come. It gets 100 at once; everything after that is the caller's of this function.
    ///
    /// # Errors
    /// When none came.
    pub fn incoming(&self, patience: Duration) -> Result<Call, Missed> {
        let id = self.shared.wait("a call", patience, None, |agent| agent.arrived.pop_front())?;
        Ok(Call { shared: Arc::clone(&self.shared), id })
    }

    /// Sends a request outside of any call and waits for its final response.
    ///
    /// # Errors
    /// When the URI cannot be read or no response came.
    pub fn ask(
        &self,
        proxy: SocketAddr,
        method: Method,
        to: &str,
        extra: &Extra,
        body: Option<(&str, &[u8])>,
        patience: Duration,
    ) -> Result<Response, Missed> {
        let what = format!("a final response to {method}");
        let body = body.map(|(kind, bytes)| (kind.to_owned(), bytes.to_vec()));
        let branch = self.shared.act(|agent, now| agent.ask(proxy, method, to, extra, body, now));
        let branch = branch.map_err(|error| self.shared.missed(&format!("{to}: {error}"), Duration::ZERO, None))?;
        let answer = self.shared.wait(&what, patience, None, |agent| agent.answers.remove(&branch))?;
        answer.ok_or_else(|| self.shared.missed(&what, patience, None))
    }

    /// Sends a datagram as it is.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn send_raw(&self, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        self.shared.socket.send_to(bytes, to).map(drop)
    }

    /// Loses the next so many datagrams that come: they are as if the network had lost them.
    pub fn lose(&self, datagrams: usize) {
        self.shared.to_lose.store(datagrams, Ordering::SeqCst);
    }

    /// Shows every message to `watcher` from now on, as it is sent or comes. It is called with the phone locked: it must not use it.
    pub fn watch(&self, watcher: impl FnMut(&Exchange) + Send + 'static) {
        *lock(&self.shared.watcher) = Some(Box::new(watcher));
    }

    /// Returns every message so far.
    #[must_use]
    pub fn log(&self) -> Vec<Exchange> {
        lock(&self.shared.agent).exchanges.log.clone()
    }

    /// Waits until a message for which `is_so` was exchanged, in the past or from now on, and returns it.
    ///
    /// # Errors
    /// When there was none.
    pub fn wait_message(&self, what: &str, patience: Duration, is_so: impl Fn(&Exchange) -> bool) -> Result<Exchange, Missed> {
        self.shared.wait(what, patience, None, |agent| agent.exchanges.log.iter().find(|exchange| is_so(exchange)).cloned())
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        if let Some(worker) = self.worker.take() {
            drop(worker.join());
        }
    }
}

impl Call {
    /// Returns the Call-ID.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the INVITE that began the call, as it was sent or as it came.
    ///
    /// # Errors
    /// When the phone does not know the call.
    pub fn invite(&self) -> Result<Request, Missed> {
        self.state("the call", |call| Some(call.invite.clone()))
    }

    /// Returns what the other side described last.
    #[must_use]
    pub fn remote(&self) -> Option<Described> {
        lock(&self.shared.agent).calls.get(&self.id).and_then(|call| call.remote.clone())
    }

    /// Returns the call's sound. A call that came has one once it was accepted or has early media.
    ///
    /// # Errors
    /// When it has none yet.
    pub fn line(&self) -> Result<Arc<Line>, Missed> {
        self.state("sound", |call| call.line.clone())
    }

    /// Returns whether both agreed and nobody hung up.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.stage() == Some(Stage::Up)
    }

    /// Returns whether it is over: refused, given up or hung up.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.stage().is_none_or(|stage| stage == Stage::Over)
    }

    /// Returns all that happened, in order.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        lock(&self.shared.agent).calls.get(&self.id).map_or_else(Vec::new, |call| call.events.clone())
    }

    /// Waits until this happened. Each event is given once: the second wait for the same wants a second one.
    ///
    /// # Errors
    /// When it did not happen.
    pub fn wait(&self, event: &Event, patience: Duration) -> Result<(), Missed> {
        self.wait_for(&format!("{event:?}"), patience, |came| came == event).map(drop)
    }

    /// Waits until something for which `is_so` happened, and returns it; as [`Call::wait`].
    ///
    /// # Errors
    /// When nothing such happened.
    pub fn wait_for(&self, what: &str, patience: Duration, is_so: impl Fn(&Event) -> bool) -> Result<Event, Missed> {
        self.wait_map(what, patience, |event| is_so(event).then(|| event.clone()))
    }

    /// Waits until the INVITE is refused, and returns the status.
    ///
    /// # Errors
    /// When it was not.
    pub fn wait_refused(&self, patience: Duration) -> Result<u16, Missed> {
        self.wait_map("a refusal", patience, |event| if let Event::Refused { status, .. } = event { Some(*status) } else { None })
    }

    /// Says 180 to a call that came.
    pub fn ring(&self) {
        self.respond(180, phrase(180), None, &Extra::new());
    }

    /// Begins early media: 183 with a description.
    ///
    /// # Errors
    /// When no media ports are free, or the call is not one that waits for an answer.
    pub fn progress(&self, offer: &Offer) -> Result<(), Missed> {
        self.describe(183, offer, &Extra::new())
    }

    /// Takes the call: 200 with a description. The ACK comes as [`Event::Acknowledged`].
    ///
    /// # Errors
    /// When no media ports are free, or the call is not one that waits for an answer.
    pub fn accept(&self, offer: &Offer) -> Result<(), Missed> {
        self.describe(200, offer, &Extra::new())
    }

    /// Takes the call with more header lines in the 200.
    ///
    /// # Errors
    /// As [`Call::accept`].
    pub fn accept_with(&self, offer: &Offer, extra: &Extra) -> Result<(), Missed> {
        self.describe(200, offer, extra)
    }

    /// Refuses the call with the usual words for the status.
    pub fn reject(&self, status: u16) {
        self.respond(status, phrase(status), None, &Extra::new());
    }

    /// Answers the INVITE with any status and words, with or without a description of `offer`; false where it needs no answer.
    pub fn respond(&self, status: u16, reason: &str, offer: Option<&Offer>, extra: &Extra) -> bool {
        self.shared.act(|agent, now| agent.respond(&self.id, (status, reason), offer, extra, now))
    }

    /// Gives up a call that was not answered; a CANCEL goes out as soon as RFC 3261 §9.1 allows.
    pub fn cancel(&self) {
        self.shared.act(|agent, now| agent.cancel(&self.id, now));
    }

    /// Offers anew by re-INVITE and waits for the status of the final response.
    ///
    /// # Errors
    /// When the call is not up, or no response came.
    pub fn reoffer(&self, offer: &Offer, patience: Duration) -> Result<u16, Missed> {
        let number = self.shared.act(|agent, now| agent.reoffer(&self.id, offer, now));
        self.wait_response(Method::Invite, number, patience)
    }

    /// Puts the other side on hold (`sendonly`, of these codecs), or takes it back with [`Flow::SendRecv`].
    ///
    /// # Errors
    /// When the call is not up, or no response came.
    pub fn hold(&self, offer: &Offer, flow: Flow, patience: Duration) -> Result<u16, Missed> {
        self.reoffer(&offer.clone().flowing(flow), patience)
    }

    /// Sends a request within the call and waits for the status of the final response.
    ///
    /// # Errors
    /// When no response came.
    pub fn request(&self, method: Method, extra: &Extra, body: Option<(&str, &[u8])>, patience: Duration) -> Result<u16, Missed> {
        let body = body.map(|(kind, bytes)| (kind.to_owned(), bytes.to_vec()));
        let number = self.shared.act(|agent, now| agent.request(&self.id, method, extra, body, now));
        self.wait_response(method, number, patience)
    }

    /// Sends a key by INFO (`application/dtmf-relay`) and waits for the status of the response.
    ///
    /// # Errors
    /// When no response came.
    pub fn info_key(&self, key: char, patience: Duration) -> Result<u16, Missed> {
        let body = format!("Signal={key}\r\nDuration=160\r\n");
        self.request(Method::Info, &Extra::new(), Some(("application/dtmf-relay", body.as_bytes())), patience)
    }

    /// Hangs up and waits for the status of the response to the BYE.
    ///
    /// # Errors
    /// When no response came.
    pub fn hang_up(&self, patience: Duration) -> Result<u16, Missed> {
        self.request(Method::Bye, &Extra::new(), None, patience)
    }

    /// Answers the next request within the call with this status instead of 200.
    pub fn refuse_next(&self, status: u16) {
        if let Some(call) = lock(&self.shared.agent).calls.get_mut(&self.id) {
            call.refusal = Some(status);
        }
    }

    fn describe(&self, status: u16, offer: &Offer, extra: &Extra) -> Result<(), Missed> {
        let refused = |what: &str| self.shared.missed(what, Duration::ZERO, Some(&self.id));
        let needs_line = lock(&self.shared.agent).calls.get(&self.id).is_some_and(|call| call.line.is_none());
        if needs_line {
            let line = Line::open(self.shared.addr.ip()).map_err(|error| refused(&format!("free media ports: {error}")))?;
            if let Some(call) = lock(&self.shared.agent).calls.get_mut(&self.id) {
                call.line = Some(Arc::new(line));
            }
        }
        if self.respond(status, phrase(status), Some(offer), extra) {
            Ok(())
        } else {
            Err(refused("a call that waits for its answer"))
        }
    }

    fn wait_response(&self, wanted: Method, wanted_number: Option<u32>, patience: Duration) -> Result<u16, Missed> {
        self.wait_map(&format!("a final response to {wanted}"), patience, |event| {
            let Event::Response { method, number, status } = event else { return None };
            (*method == wanted && Some(*number) == wanted_number).then_some(*status)
        })
    }

    /// Waits for the first event that nobody took yet and that `pick` makes something of.
    fn wait_map<T>(&self, what: &str, patience: Duration, pick: impl Fn(&Event) -> Option<T>) -> Result<T, Missed> {
        self.shared.wait(what, patience, Some(&self.id), |agent| {
            let call = agent.calls.get_mut(&self.id)?;
            let mut open = call.events.iter().zip(&mut call.taken).filter(|(_, taken)| !**taken);
            open.find_map(|(event, taken)| {
                let picked = pick(event)?;
                *taken = true;
                Some(picked)
            })
        })
    }

    fn state<T>(&self, what: &str, of: impl Fn(&CallState) -> Option<T>) -> Result<T, Missed> {
        let found = lock(&self.shared.agent).calls.get(&self.id).and_then(of);
        found.ok_or_else(|| self.shared.missed(what, Duration::ZERO, Some(&self.id)))
    }

    fn stage(&self) -> Option<Stage> {
        lock(&self.shared.agent).calls.get(&self.id).map(|call| call.stage)
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("phone", &self.shared.name).field("id", &self.id).finish()
    }
}

impl Shared {
    fn work(&self) {
        let mut buffer = vec![0; 65_536];
        while !self.is_over.load(Ordering::Relaxed) {
            let came = self.socket.recv_from(&mut buffer).ok();
            let is_lost = came.is_some()
                && self.to_lose.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
            self.act(|agent, now| {
                if let Some((length, from)) = came.filter(|_| !is_lost) {
                    agent.take(from, buffer.get(..length).unwrap_or_default(), now);
                }
                agent.tick(now);
            });
        }
    }

    /// Does something with the phone locked, sends what came of it, and tells those who watch and wait.
    fn act<T>(&self, what: impl FnOnce(&mut Agent, Instant) -> T) -> T {
        let mut agent = lock(&self.agent);
        let old = agent.exchanges.log.len();
        let result = what(&mut agent, Instant::now());
        // Shown before it is sent: else the one it is sent to may show its coming first.
        if let Some(watcher) = lock(&self.watcher).as_mut() {
            agent.exchanges.log.iter().skip(old).for_each(watcher);
        }
        for (to, bytes) in std::mem::take(&mut agent.exchanges.outbox) {
            // Where nobody listens, ICMP makes this or the next send fail: for SIP over UDP that is a datagram lost.
            drop(self.socket.send_to(&bytes, to));
        }
        drop(agent);
        self.happened.notify_all();
        result
    }

    fn wait<T>(
        &self,
        what: &str,
        patience: Duration,
        call: Option<&str>,
        mut of: impl FnMut(&mut Agent) -> Option<T>,
    ) -> Result<T, Missed> {
        let mut found = None;
        let agent = lock(&self.agent);
        let waited = self.happened.wait_timeout_while(agent, patience, |agent| {
            found = of(agent);
            found.is_none()
        });
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        found.ok_or_else(|| self.missed(what, patience, call))
    }

    fn missed(&self, expected: &str, waited: Duration, call: Option<&str>) -> Missed {
        let agent = lock(&self.agent);
        let came = call.and_then(|id| agent.calls.get(id)).map_or_else(Vec::new, |call| call.events.clone());
        Missed { phone: self.name.clone(), expected: expected.to_owned(), waited, came }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("name", &self.name).field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the phone `{}` expected {} within {:.1} s; what came: {:?}",
            self.phone,
            self.expected,
            self.waited.as_secs_f32(),
            self.came
        )
    }
}

impl Error for Missed {}

/// How often a phone looks at its timers.
const TICK: Duration = Duration::from_millis(10);
