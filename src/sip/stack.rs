//! The door of the room: messages and the call's decisions in, messages and questions to the call out.

mod downstream;
mod upstream;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

use self::downstream::{Attempt, Client};
use self::upstream::{HeldAck, Server};
use super::branch::Chance;
use super::flow::{End, EndId, Flow, Ours, Own, Transport};
use super::help::calls_for_help;
use super::queue::{Queue, Who};
use super::route::{self, Hop, Way};
use super::slab::Slab;
use super::tally::{Tallies, Tally};
use super::transaction::{Timer, Timers};
use super::transport::Return;
use crate::limits;
use crate::time::Moment;
use crate::wire::sip::{Message, Method, StartLine, Uri};

/// What the stack must know of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Our own ends: what stands in `Via` and `Record-Route`, and where others reach us. At least one, and at most
    /// [`SIP_ENDS`](limits::SIP_ENDS).
    pub ends: Vec<End>,
    /// The base values of all timers.
    pub timers: Timers,
    /// How many transactions there may be at once; the last eighth is kept for what begins no call, so that those that are can go on and end,
    /// and for calls for help.
    pub transactions: usize,
    /// Numbers to which one calls for help.
    pub emergency: Vec<String>,
}

impl Config {
    /// Returns the configuration of a stack that is reached over UDP at this one address, with the timers of RFC 3261.
    #[must_use]
    pub fn new(here: SocketAddr) -> Self {
        Self::with(vec![End { transport: Transport::Udp, address: here }])
    }

    /// Returns that of a stack that is reached by these ends.
    #[must_use]
    pub const fn with(ends: Vec<End>) -> Self {
        Self { ends, timers: Timers::DEFAULT, transactions: limits::TRANSACTIONS, emergency: Vec::new() }
    }
}

/// Names a request that came to us, for as long as `Output::Ended` has not come for it; or an ACK to a 2xx, until it is forwarded.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerKey(u64);

impl fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "server-{:x}", self.0)
    }
}

/// What is told to the stack.
pub enum Input {
    /// A message came, from an address that is a peer's: a datagram, or what a stream was parted into.
    Message {
        /// Which way it came.
        from: Flow,
        /// What came.
        bytes: Bytes,
    },
    /// What came over a stream and of which nobody can tell where it ends: its head, to be refused. The stream ends with it.
    Broken {
        /// Which way it came.
        from: Flow,
        /// The head.
        head: Bytes,
        /// The status for it; 0 where nothing is to be answered.
        status: u16,
    },
    /// The request goes on this way. Once a request; an ACK is sent without a transaction.
    Forward {
        /// Which request.
        server: ServerKey,
        /// The way to the next hop.
        to: Flow,
        /// The body instead of its own.
        body: Option<Bytes>,
    },
    /// The request goes on this way as by [`Input::Forward`], and there is another way for it if this one leads nowhere: a 503, no answer
    /// at all or no connection then comes as [`Output::NotServed`] and not to whoever sent it. Once something else than a 100 has come
    /// back, there is no other way any more.
    Try {
        /// Which request.
        server: ServerKey,
        /// The way to the next hop.
        to: Flow,
        /// The body instead of its own.
        body: Option<Bytes>,
    },
    /// The request is to go on as this one, which is the same but for what its call has changed in the head. Before it goes.
    Amend {
        /// Which request.
        server: ServerKey,
        /// What it is from here on.
        request: Message,
    },
    /// What belongs to a call is named in our `Record-Route` by this, a `token`, and comes back with what follows within its dialog
    /// ([`Stack::handle_in`]). Before the request goes.
    Handle {
        /// Which request.
        server: ServerKey,
        /// The name.
        handle: Box<str>,
    },
    /// The request is answered by ourselves. If it was forwarded and is not answered yet, that branch is cancelled.
    Reply {
        /// Which request.
        server: ServerKey,
        /// The status.
        status: u16,
        /// Further header lines: name and value.
        extra: Vec<(&'static str, String)>,
    },
    /// This response of the forwarded branch goes to where the request came from.
    PassResponse {
        /// Which request.
        server: ServerKey,
        /// The response, as `Output::Response` gave it.
        response: Message,
        /// The body instead of its own.
        body: Option<Bytes>,
    },
    /// A request of our own, other than INVITE, ACK and CANCEL: whole but for its `Via`.
    Originate {
        /// The way to the next hop.
        to: Flow,
        /// The request.
        request: Bytes,
    },
    /// Nothing can be delivered this way: an ICMP error, or the socket's, or no connection.
    Unreachable {
        /// Which way.
        to: Flow,
    },
}

/// What the stack wants done, or tells.
pub enum Output {
    /// A message is to be sent.
    Send {
        /// Which way.
        to: Flow,
        /// Where a connection is to be opened to if there is none any more that way; without it, to where that way leads.
        or: Option<SocketAddr>,
        /// What.
        bytes: Bytes,
    },
    /// A new request, neither ACK nor CANCEL, that passed RFC 3261 §16.3. It is to be forwarded or replied to, finally, within 64·T1.
    Request {
        /// Its name from here on.
        server: ServerKey,
        /// The request as it came.
        request: Message,
        /// Which way it came.
        from: Flow,
    },
    /// An ACK to a 2xx. It is to be forwarded, or forgotten: there is no answer to it.
    Ack {
        /// Its name, until it is forwarded.
        server: ServerKey,
        /// The request as it came.
        request: Message,
        /// Which way it came.
        from: Flow,
    },
    /// A response of the forwarded branch: 101 and above for an INVITE, final ones for others. It is to be passed.
    Response {
        /// To which request.
        server: ServerKey,
        /// The response as it came, our `Via` on top.
        response: Message,
        /// Which way it came.
        from: Flow,
    },
    /// Where the request was tried it is not served. It is to be tried or forwarded another way, or replied to, within 64·T1.
    NotServed {
        /// Which request.
        server: ServerKey,
        /// The status that says so: 503, or 408 where nothing came back.
        status: u16,
    },
    /// The request ended by the stack's own doing: it was answered with this status, or (408 of a non-INVITE) has no answer.
    Failed {
        /// Which request.
        server: ServerKey,
        /// The status.
        status: u16,
    },
    /// A CANCEL came for this INVITE. The stack sees to the rest; the final response comes as `Response` or `Failed`.
    Cancelled {
        /// Which request.
        server: ServerKey,
    },
    /// The request is over and its name forgotten: the last output with it.
    Ended {
        /// Which request.
        server: ServerKey,
    },
    /// What came of a request of our own.
    OwnResponse {
        /// The request as it was given to `Originate`.
        request: Message,
        /// What came of it.
        answer: Answer,
    },
    /// A message was dropped without an answer.
    Dropped {
        /// Why.
        why: Tally,
    },
}

/// What came of a request of our own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// A final response.
    Response(Message),
    /// None within 64·T1.
    TimedOut,
    /// It could not be delivered.
    Unreachable,
}

/// The SIP stack of one node: no clock, no socket, no thread.
pub struct Stack {
    config: Config,
    owns: Vec<Own>,
    chance: Chance,
    servers: Slab<Server>,
    clients: Slab<Client>,
    by_request: HashMap<Arc<[u8]>, u64>,
    /// By the unique part of our branch; a CANCEL shares its INVITE's.
    by_branch: HashMap<(u64, Purpose), u64>,
    /// Requests of ours that an ICMP error may speak of, by where they went.
    undelivered: BTreeSet<(Flow, u64)>,
    queue: Queue,
    /// ACKs that the call has not forwarded yet; newest last.
    acks: VecDeque<HeldAck>,
    out: VecDeque<Output>,
    tallies: Tallies,
    /// Where the key of a request is written before it is looked up.
    key: Vec<u8>,
}

/// What a request of ours is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Purpose {
    /// It is a request in its own right.
    Itself,
    /// It cancels the one with the same branch.
    Cancel,
}

impl Stack {
    /// Makes a stack. The same seed and the same inputs give the same outputs.
    #[must_use]
    pub fn new(config: Config, seed: u64, _now: Moment) -> Self {
        Self {
            owns: config.ends.iter().copied().map(Own::of).collect(),
            config,
            chance: Chance::new(seed),
            servers: Slab::new(),
            clients: Slab::new(),
            by_request: HashMap::new(),
            by_branch: HashMap::new(),
            undelivered: BTreeSet::new(),
            queue: Queue::default(),
            acks: VecDeque::new(),
            out: VecDeque::new(),
            tallies: Tallies::default(),
            key: Vec::new(),
        }
    }

    /// Takes an input; what follows from it is polled.
    pub fn handle(&mut self, input: Input, now: Moment) {
        match input {
            Input::Message { from, bytes } => self.on_message(from, bytes, now),
            Input::Broken { from, head, status } => self.on_broken(&head, status, from),
            Input::Forward { server: ServerKey(server), to, body } => self.forward(server, to, body.as_ref(), Attempt::Last, now),
            Input::Try { server: ServerKey(server), to, body } => {
                self.forward(server, to, body.as_ref(), Attempt::OneOfMore, now)
            }
            Input::Amend { server: ServerKey(server), request } => self.amend(server, request),
            Input::Handle { server: ServerKey(server), handle } => self.name(server, handle),
            Input::Reply { server: ServerKey(server), status, extra } => self.reply(server, status, &extra, now),
            Input::PassResponse { server: ServerKey(server), response, body } => {
                self.pass_response(server, &response, body.as_ref(), now);
            }
            Input::Originate { to, request } => self.originate(to, request, now),
            Input::Unreachable { to } => self.on_unreachable(to, now),
        }
        self.settle();
    }

    /// Returns the next output.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// Returns when `wake` is to be called next.
    #[must_use]
    pub fn deadline(&self) -> Option<Moment> {
        self.queue.front().map(|(at, _)| at)
    }

    /// Does what is due.
    pub fn wake(&mut self, now: Moment) {
        self.settle();
        while let Some((at, who)) = self.queue.front()
            && at <= now
        {
            self.queue.pop();
            self.alarms_of(who, |alarms| alarms.queued = None);
            while let Some(timer) = self.alarms_of(who, |alarms| alarms.take_due(now)).flatten() {
                match who {
                    Who::Server(server) => self.on_server_timer(server, timer, now),
                    Who::Client(client) => self.on_client_timer(client, timer, now),
                }
            }
            self.schedule(who);
            self.settle();
        }
    }

    /// Returns what was counted.
    #[must_use]
    pub const fn tallies(&self) -> &Tallies {
        &self.tallies
    }

    /// Returns how many transactions there are: what `Config::transactions` bounds.
    #[must_use]
    pub fn transactions(&self) -> usize {
        self.servers.len() + self.clients.len()
    }

    /// Returns the next hop of a request: the first `Route` that is not ours, else the Request-URI; strict routers are seen to.
    #[must_use]
    pub fn next_hop<'m>(&self, request: &'m Message) -> Option<Hop<'m>> {
        Way::of(request, self.ours()).hop()
    }

    /// Returns the handle ([`Input::Handle`]) in what brought this request here: our own `Route`, or a strict router's Request-URI; nothing
    /// where there is none.
    #[must_use]
    pub fn handle_in<'m>(&self, request: &'m Message) -> Option<&'m [u8]> {
        route::handle_in(request, self.ours())
    }

    /// Returns whether this Request-URI or Route value names this proxy.
    #[must_use]
    pub fn is_ours(&self, uri: &Uri<'_>) -> bool {
        self.ours().named_by(uri).is_some()
    }

    fn ours(&self) -> Ours<'_> {
        Ours(&self.owns)
    }

    /// Returns the transport of an end; UDP, which promises least, where there is none.
    fn transport(&self, end: EndId) -> Transport {
        self.config.ends.get(end.index()).map_or(Transport::Udp, |end| end.transport)
    }

    fn on_message(&mut self, from: Flow, bytes: Bytes, now: Moment) {
        match Message::parse_datagram(bytes.clone()) {
            Ok(message) => match message.start() {
                StartLine::Request { .. } => self.on_request(message, from, now),
                StartLine::Response { status, .. } => self.on_response(message, status, from, now),
            },
            Err(fault) if fault.is_keep_alive() => self.drop_for(Tally::KeepAlive),
            Err(fault) => self.on_broken(&bytes, fault.status, from),
        }
    }

    /// Takes entries out of the front of the queue that no timer stands behind any more, so that `deadline` is exact.
    fn settle(&mut self) {
        while let Some((at, who)) = self.queue.front() {
            let is_live = self.alarms_of(who, |alarms| {
                let is_current = alarms.queued == Some(at);
                if is_current && alarms.earliest() != Some(at) {
                    alarms.queued = None;
                }
                is_current && alarms.queued.is_some()
            });
            if is_live == Some(true) {
                return;
            }
            self.queue.pop();
            self.schedule(who);
        }
    }

    fn schedule(&mut self, who: Who) {
        let alarms = match who {
            Who::Server(key) => self.servers.get_mut(key).map(|server| &mut server.alarms),
            Who::Client(key) => self.clients.get_mut(key).map(|client| &mut client.alarms),
        };
        if let Some(alarms) = alarms {
            self.queue.schedule(who, alarms);
        }
    }

    fn alarms_of<T>(&mut self, who: Who, with: impl FnOnce(&mut super::transaction::Alarms) -> T) -> Option<T> {
        match who {
            Who::Server(key) => self.servers.get_mut(key).map(|server| with(&mut server.alarms)),
            Who::Client(key) => self.clients.get_mut(key).map(|client| with(&mut client.alarms)),
        }
    }

    fn start(&mut self, who: Who, timer: Timer, resent: u32, now: Moment) {
        let end = match who {
            Who::Server(key) => self.servers.get(key).map(|server| server.back.to.end),
            Who::Client(key) => self.clients.get(key).map(Client::end),
        };
        let is_reliable = end.is_some_and(|end| self.transport(end).is_reliable());
        let is_one_of_more = matches!(who, Who::Client(key) if self.clients.get(key).is_some_and(Client::is_one_of_more));
        let Some(interval) = self.config.timers.interval_over(is_reliable, timer, resent) else { return };
        let is_patience = matches!(timer, Timer::B | Timer::F);
        let at = now + if is_one_of_more && is_patience { self.config.timers.t1 * PATIENCE_WITH_ANOTHER_WAY } else { interval };
        self.alarms_of(who, |alarms| alarms.start(timer, at));
        self.schedule(who);
    }

    fn stop(&mut self, who: Who, timer: Timer) {
        self.alarms_of(who, |alarms| alarms.stop(timer));
    }

    fn has_room_for(&self, request: &Message) -> bool {
        let all = self.config.transactions;
        let is_first = || request.to().is_ok_and(|to| to.tag().is_none()) && !calls_for_help(request, &self.config.emergency);
        self.transactions() < if request.method() == Method::Invite && is_first() { all - all / 8 } else { all }
    }

    fn send(&mut self, to: Flow, bytes: Bytes) {
        self.out.push_back(Output::Send { to, or: None, bytes });
    }

    fn send_back(&mut self, back: Return, bytes: Bytes) {
        self.out.push_back(Output::Send { to: back.to, or: back.or, bytes });
    }

    fn drop_for(&mut self, why: Tally) {
        self.tallies.count(why);
        self.out.push_back(Output::Dropped { why });
    }
}

/// How long a next hop may say nothing at all while there is another one, in times T1: four transmissions, where timers B and F allow
/// 64·T1. Who is there answers an INVITE at once, with a 100 if nothing else.
const PATIENCE_WITH_ANOTHER_WAY: u32 = 8;

/// Shows what it is and nothing of what it says.
impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send { to: _, or: _, bytes } => write!(f, "send {} bytes", bytes.len()),
            Self::Request { server, request, from: _ } => write!(f, "{server:?}: {request:?}"),
            Self::Ack { server, .. } => write!(f, "{server:?}: ack"),
            Self::Response { server, response, from: _ } => write!(f, "{server:?}: {response:?}"),
            Self::NotServed { server, status } => write!(f, "{server:?}: not served, {status}"),
            Self::Failed { server, status } => write!(f, "{server:?}: failed, {status}"),
            Self::Cancelled { server } => write!(f, "{server:?}: cancelled"),
            Self::Ended { server } => write!(f, "{server:?}: ended"),
            Self::OwnResponse { request, answer } => write!(f, "own {request:?}: {answer:?}"),
            Self::Dropped { why } => write!(f, "dropped: {why:?}"),
        }
    }
}
