//! The side that requests go to: client transactions, responses that arrive, our CANCEL, timer C.

use bytes::Bytes;

use super::super::branch::Branch;
use super::super::flow::{EndId, Flow, Transport};
use super::super::hop;
use super::super::proxy::{self, Passage};
use super::super::queue::Who;
use super::super::tally::Tally;
use super::super::transaction::{Action, Alarms, Timer, Trouble, invite_client, non_invite_client};
use super::super::transport::{self, Return};
use super::{Answer, Output, Purpose, ServerKey, Stack};
use crate::time::Moment;
use crate::wire::sip::{Edit, Message, Method, Name, Via};

/// A request of ours, and what became of it.
pub(super) struct Client {
    owner: Owner,
    /// The request before it was forwarded: what its responses must agree with.
    request: Message,
    sent: Bytes,
    to: Flow,
    /// The way that it goes if that one is not to be had: it went over TCP for its length alone.
    or: Option<Flow>,
    attempt: Attempt,
    branch: Branch,
    machine: Machine,
    cancel: Cancel,
    pub(super) alarms: Alarms,
}

/// Whom the responses are for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// A request that came to us, by its key.
    Forwarded(u64),
    /// The call: the request is our own.
    Own,
    /// Nobody: it cancels an INVITE, and that is what is answered.
    Cancel,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Machine {
    Invite(invite_client::State),
    Other(non_invite_client::State),
}

/// What a client transaction begins with.
struct Beginning {
    owner: Owner,
    request: Message,
    sent: Bytes,
    to: Flow,
    or: Option<Flow>,
    attempt: Attempt,
    branch: Branch,
}

/// What goes on to the next hop.
struct Onward<'o> {
    request: &'o Message,
    back: Return,
    branch: Branch,
    /// The body instead of its own.
    body: Option<&'o [u8]>,
    handle: Option<&'o str>,
}

/// Whether a request can go another way if it is not served where it was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Attempt {
    /// It can; until somebody has taken it on.
    OneOfMore,
    /// It cannot: what comes of it goes back.
    Last,
}

/// Whether an INVITE of ours is being cancelled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cancel {
    No,
    /// It will be as soon as something comes back: before, the next hop might get the CANCEL first (RFC 3261 §9.1).
    Waits(Why),
    Sent(Why),
}

/// Why an INVITE of ours is cancelled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Why {
    /// A CANCEL came.
    Cancelled,
    /// Timer C fired.
    TooLong,
    /// The call has answered by itself.
    Answered,
}

impl Client {
    /// Returns the end that it was sent by.
    pub(super) const fn end(&self) -> EndId {
        self.to.end
    }

    pub(super) const fn is_one_of_more(&self) -> bool {
        matches!(self.attempt, Attempt::OneOfMore)
    }
}

/// Bytes of a request above which it goes over TCP where that can be: the path's MTU is not known (RFC 3261 §18.1.1).
const LONGEST_DATAGRAM: usize = 1300;

impl Stack {
    /// Sends a request on: with a transaction, or without one if it is an ACK (RFC 3261 §16.6).
    pub(super) fn forward(&mut self, server: u64, to: Flow, body: Option<&Bytes>, attempt: Attempt, now: Moment) {
        let body = body.map(|body| body.as_ref());
        if let Some(ack) = self.take_ack(server) {
            // §16.11: the same branch each time the same ACK is forwarded.
            let unique = self.chance.steady(&ack.request, b"branch");
            let branch = Branch { unique, loop_hash: self.chance.loop_hash(&ack.request) };
            let back = Return::of(&ack.request, ack.from, self.ours());
            // However long it is: nobody would hear that it could not go over TCP, and it would never come.
            let onward = Onward { request: &ack.request, back, branch, body, handle: None };
            if let Some(bytes) = self.passage_by(to.end, to, &onward) {
                self.send(to, bytes);
            }
            return;
        }
        let unique = self.chance.draw();
        let Some(context) = self.begin_forward(server) else { return };
        let (request, back, is_invite) = (context.request.clone(), context.back, context.is_invite());
        let handle = context.handle.clone();
        let branch = Branch { unique, loop_hash: self.chance.loop_hash(&request) };
        let onward = Onward { request: &request, back, branch, body, handle: handle.as_deref() };
        let Some((sent, by)) = self.passage(to, &onward) else { return self.fail(server, 500, now) };
        let or = (by != to).then_some(to);
        let client = self.begin(Beginning { owner: Owner::Forwarded(server), request, sent, to: by, or, attempt, branch }, now);
        if let Some(context) = self.servers.get_mut(server) {
            context.client = Some(client);
        }
        if is_invite {
            // §16.6(11)
            self.start(Who::Client(client), Timer::C, 0, now);
        }
    }

    /// Returns a request as it goes on, and the way that it goes: this one, or TCP to the same address where it is too long for UDP.
    fn passage(&self, to: Flow, onward: &Onward<'_>) -> Option<(Bytes, Flow)> {
        let passed = |by: EndId| self.passage_by(by, to, onward);
        let bytes = passed(to.end)?;
        match self.stream_beside(to.end).filter(|_| bytes.len() > LONGEST_DATAGRAM) {
            Some(stream) => Some((passed(stream)?, Flow { end: stream, ..to })),
            None => Some((bytes, to)),
        }
    }

    /// Returns a request as it goes on by this end to a next hop that is to come back by the end of `to`.
    fn passage_by(&self, by: EndId, to: Flow, onward: &Onward<'_>) -> Option<Bytes> {
        let (ours, &Onward { request, back, branch, body, handle }) = (self.ours(), onward);
        Some(proxy::forwarded(
            request,
            &Passage { ours, back, out: ours.get(by)?, facing: ours.get(to.end)?, branch, body, handle },
        ))
    }

    /// Returns the TCP end beside one of UDP: with its IP address.
    fn stream_beside(&self, end: EndId) -> Option<EndId> {
        let here = self.config.ends.get(end.index()).filter(|end| end.transport == Transport::Udp)?;
        let is_it = |other: &super::End| other.transport == Transport::Tcp && other.address.ip() == here.address.ip();
        self.config.ends.iter().position(is_it).and_then(|at| u8::try_from(at).ok()).map(EndId)
    }

    /// Sends a request of our own.
    pub(super) fn originate(&mut self, to: Flow, request: Bytes, now: Moment) {
        let request = Message::parse_datagram(request)
            .ok()
            .filter(|request| request.is_request() && !matches!(request.method(), Method::Invite | Method::Ack | Method::Cancel));
        let (Some(request), Some(own)) = (request, self.ours().get(to.end)) else { return self.tallies.count(Tally::Unasked) };
        let via_start = own.via_start.clone();
        let branch = Branch { unique: self.chance.draw(), loop_hash: self.chance.loop_hash(&request) };
        let sent = Edit::new(&request).push_via(&transport::own_via(&via_start, branch)).finish();
        self.begin(Beginning { owner: Owner::Own, request, sent, to, or: None, attempt: Attempt::Last, branch }, now);
    }

    pub(super) fn on_response(&mut self, response: Message, status: u16, from: Flow, now: Moment) {
        if response.validate_response().is_err() {
            return self.drop_for(Tally::Malformed);
        }
        let Some(client) = self.client_of(&response, from) else { return self.drop_for(Tally::Stray) };
        let is_weaker = self.clients.get(client).is_some_and(|client| self.transport(from.end) < self.transport(client.to.end));
        let Some(context) = self.clients.get_mut(client) else { return };
        // What was asked over TLS is not answered over anything that another could have sent.
        if is_weaker || !is_answer_to(&response, &context.request) {
            return self.drop_for(Tally::Foreign);
        }
        let (actions, is_delivered) = match &mut context.machine {
            Machine::Invite(state) => {
                let (next, actions) = state.on(invite_client::Input::of_status(status));
                *state = next;
                (actions, true)
            }
            Machine::Other(state) => {
                let (next, actions) = state.on(non_invite_client::Input::of_status(status));
                *state = next;
                (actions, status >= 200)
            }
        };
        let (to, cancel) = (context.to, context.cancel);
        if is_delivered {
            self.undelivered.remove(&(to, client));
        }
        if status > 100
            && status != 503
            && let Some(context) = self.clients.get_mut(client)
        {
            context.attempt = Attempt::Last;
        }
        match cancel {
            Cancel::Waits(why) if status < 200 => self.send_cancel(client, why, now),
            // §16.7(2)
            Cancel::No if (101..200).contains(&status) && self.is_pending_invite(client) => {
                self.start(Who::Client(client), Timer::C, 0, now);
            }
            Cancel::No | Cancel::Waits(_) | Cancel::Sent(_) => {}
        }
        if status >= 200 {
            self.stop(Who::Client(client), Timer::C);
            self.stop(Who::Client(client), Timer::Cancelled);
        }
        self.act_client(client, actions, Some((&response, from)), now);
    }

    /// An ICMP error speaks of every request to this address that nothing has come back for (RFC 3261 §18.4).
    pub(super) fn on_unreachable(&mut self, to: Flow, now: Moment) {
        let concerned: Vec<u64> = self.undelivered.range((to, 0)..=(to, u64::MAX)).map(|&(_, client)| client).collect();
        for client in concerned {
            if self.goes_otherwise(client, now) {
                continue;
            }
            let Some(context) = self.clients.get_mut(client) else { continue };
            let actions = match &mut context.machine {
                Machine::Invite(state) => step(state, invite_client::Input::Unreachable),
                Machine::Other(state) => {
                    let (next, actions) = state.on(non_invite_client::Input::Unreachable);
                    *state = next;
                    actions
                }
            };
            self.act_client(client, actions, None, now);
        }
    }

    /// Sends a request over UDP after all that was to go over TCP for its length, and cannot (RFC 3261 §18.1.1).
    fn goes_otherwise(&mut self, client: u64, now: Moment) -> bool {
        let Some(way) = self.clients.get_mut(client).and_then(|context| context.or.take()) else { return false };
        let Some(start) = self.ours().get(way.end).map(|own| own.via_start.clone()) else { return false };
        let Some(context) = self.clients.get_mut(client) else { return false };
        let Ok(sent) = Message::parse_datagram(context.sent.clone()) else { return false };
        context.sent = Edit::new(&sent).pop_via().push_via(&transport::own_via(&start, context.branch)).finish();
        self.undelivered.remove(&(context.to, client));
        context.to = way;
        self.undelivered.insert((way, client));
        let actions = match &mut context.machine {
            Machine::Invite(state) => {
                let (first, actions) = invite_client::State::START;
                *state = first;
                actions
            }
            Machine::Other(state) => {
                let (first, actions) = non_invite_client::State::START;
                *state = first;
                actions
            }
        };
        self.act_client(client, actions, None, now);
        true
    }

    pub(super) fn on_client_timer(&mut self, client: u64, timer: Timer, now: Moment) {
        if timer == Timer::B && self.is_left(client, now) {
            return;
        }
        let Some(context) = self.clients.get_mut(client) else { return };
        match timer {
            // §16.8: an INVITE that something came back for is cancelled; its 487 then goes upstream. Any other is given up with a 408.
            Timer::C if context.machine == Machine::Invite(invite_client::State::Proceeding) => {
                self.send_cancel(client, Why::TooLong, now);
            }
            Timer::C => self.give_up(client, 408, now),
            Timer::Cancelled => {
                let status = if context.cancel == Cancel::Sent(Why::TooLong) { 408 } else { 487 };
                self.give_up(client, status, now);
            }
            Timer::A
            | Timer::B
            | Timer::D
            | Timer::E
            | Timer::F
            | Timer::G
            | Timer::H
            | Timer::I
            | Timer::J
            | Timer::K
            | Timer::L
            | Timer::M
            | Timer::Trying
            | Timer::Unused => {
                let actions = match &mut context.machine {
                    Machine::Invite(state) => invite_client::Input::of_timer(timer).map(|input| step(state, input)),
                    Machine::Other(state) => non_invite_client::Input::of_timer(timer).map(|input| {
                        let (next, actions) = state.on(input);
                        *state = next;
                        actions
                    }),
                };
                self.act_client(client, actions.unwrap_or_default(), None, now);
            }
        }
    }

    /// Cancels an INVITE of ours, now or as soon as something comes back for it; nothing where its final response is there (§9.1).
    pub(super) fn cancel_client(&mut self, client: u64, why: Why, now: Moment) {
        let Some(context) = self.clients.get_mut(client).filter(|client| client.cancel == Cancel::No) else { return };
        match context.machine {
            Machine::Invite(invite_client::State::Calling { .. }) => context.cancel = Cancel::Waits(why),
            Machine::Invite(invite_client::State::Proceeding) => self.send_cancel(client, why, now),
            Machine::Invite(
                invite_client::State::Completed | invite_client::State::Accepted | invite_client::State::Terminated,
            )
            | Machine::Other(_) => {}
        }
    }

    fn send_cancel(&mut self, client: u64, why: Why, now: Moment) {
        let Some(context) = self.clients.get_mut(client) else { return };
        context.cancel = Cancel::Sent(why);
        let (to, branch) = (context.to, context.branch);
        let Ok(invite) = Message::parse_datagram(context.sent.clone()) else { return };
        self.stop(Who::Client(client), Timer::C);
        self.start(Who::Client(client), Timer::Cancelled, 0, now);
        let cancel = hop::cancel(&invite);
        self.begin(
            Beginning { owner: Owner::Cancel, request: invite, sent: cancel, to, or: None, attempt: Attempt::Last, branch },
            now,
        );
    }

    /// Ends an INVITE of ours that nobody will answer.
    fn give_up(&mut self, client: u64, status: u16, now: Moment) {
        let Some(context) = self.clients.get_mut(client) else { return };
        if let Owner::Forwarded(server) = context.owner
            && self.is_branch_of(client, server)
        {
            self.fail(server, status, now);
        }
        let Some(context) = self.clients.get_mut(client) else { return };
        let actions = match &mut context.machine {
            Machine::Invite(state) => step(state, invite_client::Input::GiveUp),
            Machine::Other(_) => &[],
        };
        self.act_client(client, actions, None, now);
    }

    fn begin(&mut self, what: Beginning, now: Moment) -> u64 {
        let Beginning { owner, request, sent, to, or, attempt, branch } = what;
        let is_invite = request.method() == Method::Invite && owner != Owner::Cancel;
        let (machine, actions) = if is_invite {
            let (state, actions) = invite_client::State::START;
            (Machine::Invite(state), actions)
        } else {
            let (state, actions) = non_invite_client::State::START;
            (Machine::Other(state), actions)
        };
        let purpose = owner.purpose();
        let client = self.clients.insert(Client {
            owner,
            request,
            sent,
            to,
            or,
            attempt,
            branch,
            machine,
            cancel: Cancel::No,
            alarms: Alarms::default(),
        });
        self.by_branch.insert((branch.unique, purpose), client);
        self.undelivered.insert((to, client));
        self.act_client(client, actions, None, now);
        client
    }

    fn act_client(&mut self, client: u64, actions: &'static [Action], came: Option<(&Message, Flow)>, now: Moment) {
        for action in actions {
            let Some(context) = self.clients.get_mut(client) else { return };
            let (owner, to) = (context.owner, context.to);
            match action {
                Action::Send | Action::Resend => {
                    let bytes = context.sent.clone();
                    self.send(to, bytes);
                }
                Action::Pass => {
                    if let Some((response, from)) = came {
                        self.deliver(owner, client, response, from, now);
                    }
                }
                Action::Acknowledge => {
                    let invite = Message::parse_datagram(context.sent.clone());
                    if let (Ok(invite), Some((refusal, _))) = (invite, came) {
                        self.send(to, hop::ack(&invite, refusal));
                    }
                }
                Action::Start(timer) => {
                    let resent = match context.machine {
                        Machine::Invite(state) => state.resent(),
                        Machine::Other(state) => state.resent(),
                    };
                    self.start(Who::Client(client), *timer, resent, now);
                }
                Action::Stop(timer) => context.alarms.stop(*timer),
                Action::Inform(trouble) => self.inform(owner, client, *trouble, now),
                Action::Relay => unreachable!("no client transaction relays"),
            }
        }
        self.end_if_over(client, now);
    }

    /// Gives a response to whom it is for (RFC 3261 §16.7).
    fn deliver(&mut self, owner: Owner, client: u64, response: &Message, from: Flow, now: Moment) {
        let status = response.status().unwrap_or_default();
        match owner {
            Owner::Cancel => {}
            Owner::Own if status < 200 => {}
            Owner::Own => {
                let Some(context) = self.clients.get(client) else { return };
                let request = context.request.clone();
                self.out.push_back(Output::OwnResponse { request, answer: Answer::Response(response.clone()) });
            }
            // (5): a 100 is for us alone.
            Owner::Forwarded(_) if status == 100 => {}
            Owner::Forwarded(server) => {
                let Some(context) = self.servers.get(server) else { return };
                let (is_invite, is_answered) = (context.is_invite(), context.answered.is_some());
                // What it was tried at before, and where it did not stay, has no say any more.
                if context.client != Some(client) {
                    return self.drop_for(Tally::Late);
                }
                if status == 503 && self.is_tried_elsewhere(server, client, 503, now) {
                    return;
                }
                // (5): after the final response nothing passes but a 2xx to an INVITE; for others see RFC 4320 §4.1.
                let is_late = is_answered && !(is_invite && (200..300).contains(&status));
                if is_late || (!is_invite && status < 200) {
                    return self.drop_for(Tally::Late);
                }
                // (3): without a Via below ours it was not meant for anybody else.
                if response.values(Name::Via).nth(1).is_none() {
                    return self.drop_for(Tally::NoNextVia);
                }
                // RFC 4320 §4.2: a 408 to a non-INVITE is not sent, not even somebody else's.
                if !is_invite && status == 408 {
                    return self.fail(server, 408, now);
                }
                self.out.push_back(Output::Response { server: ServerKey(server), response: response.clone(), from });
            }
        }
    }

    fn inform(&mut self, owner: Owner, client: u64, trouble: Trouble, now: Moment) {
        let (status, answer) = match trouble {
            // §16.7(6): no final response at all.
            Trouble::TimedOut => (408, Answer::TimedOut),
            // §16.9: as if a 503 had come. It is not made a 500 (§16.7(6)): there is one next hop for all requests from that side.
            Trouble::Unreachable => (503, Answer::Unreachable),
            Trouble::NotAcknowledged => unreachable!("no client transaction waits for an ACK"),
        };
        match owner {
            Owner::Forwarded(server) if !self.is_branch_of(client, server) => {}
            Owner::Forwarded(server) if self.is_tried_elsewhere(server, client, status, now) => {}
            Owner::Forwarded(server) => self.fail(server, status, now),
            Owner::Own => {
                let Some(context) = self.clients.get(client) else { return };
                let request = context.request.clone();
                self.out.push_back(Output::OwnResponse { request, answer });
            }
            Owner::Cancel => {}
        }
    }

    fn end_if_over(&mut self, client: u64, now: Moment) {
        let is_over = self.clients.get(client).is_some_and(|client| match client.machine {
            Machine::Invite(state) => state == invite_client::State::Terminated,
            Machine::Other(state) => state == non_invite_client::State::Terminated,
        });
        let Some(ended) = is_over.then(|| self.clients.remove(client)).flatten() else { return };
        self.by_branch.remove(&(ended.branch.unique, ended.owner.purpose()));
        self.undelivered.remove(&(ended.to, client));
        if let Owner::Forwarded(server) = ended.owner {
            self.on_branch_over(server, client, now);
        }
    }

    /// Lets the call choose another way for a request that is not served where it was tried; not for one that nobody waits for any more.
    fn is_tried_elsewhere(&mut self, server: u64, client: u64, status: u16, now: Moment) -> bool {
        let may = self.clients.get(client).is_some_and(Client::is_one_of_more);
        if !may || !self.reopen(server, now) {
            return false;
        }
        self.stop(Who::Client(client), Timer::C);
        self.out.push_back(Output::NotServed { server: ServerKey(server), status });
        true
    }

    /// Leaves an INVITE that nothing has come back for to go another way, where there is one. If something comes after all, before timer B, it
    /// is cancelled: nobody is to be rung twice.
    fn is_left(&mut self, client: u64, now: Moment) -> bool {
        let Some(Client { owner: Owner::Forwarded(server), cancel: Cancel::No, .. }) = self.clients.get(client) else {
            return false;
        };
        if !self.is_tried_elsewhere(*server, client, 408, now) {
            return false;
        }
        self.stop(Who::Client(client), Timer::A);
        if let Some(context) = self.clients.get_mut(client) {
            (context.attempt, context.cancel, context.or) = (Attempt::Last, Cancel::Waits(Why::Answered), None);
        }
        self.start(Who::Client(client), Timer::B, 0, now);
        true
    }

    /// Finds the transaction by our branch and the method (RFC 3261 §17.1.3, §18.1.2).
    fn client_of(&self, response: &Message, from: Flow) -> Option<u64> {
        let via = response.value(Name::Via)?;
        let start = self.ours().get(from.end).map(|own| &own.via_start);
        let branch = match start.and_then(|start| transport::branch_as_sent(via, start)) {
            Some(branch) => branch,
            None => {
                let via = Via::parse(via).ok().filter(|via| transport::is_ours(via, self.ours()))?;
                via.branch.and_then(Branch::parse)?
            }
        };
        let method = response.cseq().ok()?.method;
        let purpose = if method == Method::Cancel { Purpose::Cancel } else { Purpose::Itself };
        let client = *self.by_branch.get(&(branch.unique, purpose))?;
        let context = self.clients.get(client).filter(|client| client.branch == branch)?;
        (purpose == Purpose::Cancel || context.request.method() == method).then_some(client)
    }

    /// Returns whether a request goes this way, and not another by now.
    fn is_branch_of(&self, client: u64, server: u64) -> bool {
        self.servers.get(server).is_some_and(|server| server.client == Some(client))
    }

    fn is_pending_invite(&self, client: u64) -> bool {
        self.clients.get(client).is_some_and(|client| client.machine == Machine::Invite(invite_client::State::Proceeding))
    }
}

impl Owner {
    const fn purpose(self) -> Purpose {
        match self {
            Self::Forwarded(_) | Self::Own => Purpose::Itself,
            Self::Cancel => Purpose::Cancel,
        }
    }
}

/// Returns whether the response repeats what a server must copy from the request (RFC 3261 §8.2.6.2).
fn is_answer_to(response: &Message, request: &Message) -> bool {
    let number = |message: &Message| message.cseq().ok().map(|cseq| cseq.number);
    let tags_agree = match (response.from(), request.from()) {
        (Ok(came), Ok(sent)) => came.tag() == sent.tag(),
        (Ok(_) | Err(_), Ok(_) | Err(_)) => false,
    };
    tags_agree && response.call_id() == request.call_id() && number(response) == number(request)
}

fn step(state: &mut invite_client::State, input: invite_client::Input) -> &'static [Action] {
    let (next, actions) = state.on(input);
    *state = next;
    actions
}
