//! The side that requests come from: server transactions, CANCEL and ACK that arrive, responses that go back.

use std::sync::Arc;

use bytes::Bytes;

use super::super::branch::push_hex;
use super::super::flow::Flow;
use super::super::matching;
use super::super::proxy::{self, Refusal};
use super::super::queue::Who;
use super::super::tally::Tally;
use super::super::transaction::{Action, Alarms, Timer, Trouble, invite_server, non_invite_server};
use super::super::transport::Return;
use super::downstream::Why;
use super::{Output, ServerKey, Stack};
use crate::limits;
use crate::wire::sip::{Message, Method, reason_phrase, reply, salvage_for_reply};

use crate::time::Moment;

/// A request that came to us, and what became of it: RFC 3261 §16.2 calls it the response context.
///
/// It is kept until its own transaction and that of the forwarded branch are both over, so that a late 2xx still has its way.
pub(super) struct Server {
    /// As it came.
    pub(super) request: Message,
    /// Where responses go.
    pub(super) back: Return,
    /// What retransmissions, ACK and CANCEL find it by; gone once the transaction is over.
    key: Option<Arc<[u8]>>,
    machine: Machine,
    /// The last response, for retransmission.
    kept: Option<Bytes>,
    /// The first final status that was sent; 408 also where RFC 4320 forbids to send it.
    pub(super) answered: Option<u16>,
    /// The forwarded branch, while its transaction lasts.
    pub(super) client: Option<u64>,
    is_forwarded: bool,
    is_cancelled: bool,
    /// Whether the call knows of it.
    is_announced: bool,
    /// What stands in our `Record-Route`.
    pub(super) handle: Option<Box<str>>,
    pub(super) alarms: Alarms,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Machine {
    Invite(invite_server::State),
    Other(non_invite_server::State),
}

/// An ACK to a 2xx that the call has been told of.
pub(super) struct HeldAck {
    pub(super) key: u64,
    pub(super) request: Message,
    pub(super) from: Flow,
}

/// Set in the keys of ACKs: a transaction's has a generation there, which never counts that far.
const ACK: u64 = 1 << 63;

/// 64 bits in hexadecimal.
const TAG_LEN: usize = 16;

impl Server {
    pub(super) const fn is_invite(&self) -> bool {
        matches!(self.machine, Machine::Invite(_))
    }

    const fn is_over(&self) -> bool {
        matches!(
            self.machine,
            Machine::Invite(invite_server::State::Terminated) | Machine::Other(non_invite_server::State::Terminated)
        )
    }
}

impl Stack {
    /// Answers a datagram that is no message, where it can be seen to be a request and whose.
    pub(super) fn on_broken(&mut self, bytes: &Bytes, status: u16, from: Flow) {
        match salvage_for_reply(bytes).filter(|request| status > 0 && request.method() != Method::Ack) {
            Some(request) => {
                self.tallies.count(Tally::Malformed);
                self.refuse_at_once(&request, from, &Refusal { status, extra: None });
            }
            None => self.drop_for(Tally::Malformed),
        }
    }

    pub(super) fn on_request(&mut self, request: Message, from: Flow, now: Moment) {
        match request.method() {
            Method::Ack => return self.on_ack(request, from, now),
            Method::Cancel => return self.on_cancel(&request, from, now),
            Method::Invite
            | Method::Bye
            | Method::Options
            | Method::Register
            | Method::Info
            | Method::Update
            | Method::Prack
            | Method::Refer
            | Method::Message
            | Method::Subscribe
            | Method::Notify
            | Method::Publish
            | Method::Other(_) => {}
        }
        if let Some(server) = self.find(&request, request.method()) {
            return self.on_retransmission(server, now);
        }
        if let Err(refusal) = proxy::check(&request, self.ours(), &self.chance) {
            return self.refuse(request, from, &refusal, now);
        }
        if !self.has_room_for(&request) {
            return self.on_full(&request, from);
        }
        let key = self.key_found();
        let server = self.open(request.clone(), from, key, now);
        if let Some(server) = self.servers.get_mut(server) {
            server.is_announced = true;
        }
        if request.method() == Method::Invite {
            // At once rather than within 200 ms (§17.2.1): it spares the client its first retransmission.
            self.respond_with(server, 100, &[], now);
        }
        self.start(Who::Server(server), Timer::Unused, 0, now);
        self.out.push_back(Output::Request { server: ServerKey(server), request, from });
    }

    /// Takes the request that goes on in the place of the one that came; what finds it, and where its responses go, stays as it was.
    pub(super) fn amend(&mut self, server: u64, request: Message) {
        match self.servers.get_mut(server).filter(|server| !server.is_forwarded) {
            Some(context) => context.request = request,
            None => self.tallies.count(Tally::Unasked),
        }
    }

    pub(super) fn name(&mut self, server: u64, handle: Box<str>) {
        match self.servers.get_mut(server).filter(|server| !server.is_forwarded) {
            Some(context) => context.handle = Some(handle),
            None => self.tallies.count(Tally::Unasked),
        }
    }

    /// Sends our own answer, or nothing where the request is gone or answered.
    pub(super) fn reply(&mut self, server: u64, status: u16, extra: &[(&'static str, String)], now: Moment) {
        if self.take_ack(server).is_some() {
            return;
        }
        if self.servers.get(server).is_none_or(|server| server.answered.is_some()) {
            return self.tallies.count(Tally::Unasked);
        }
        let extra: Vec<(&str, &str)> = extra.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.respond_with(server, status, &extra, now);
    }

    /// Sends a response of the forwarded branch to where the request came from.
    pub(super) fn pass_response(&mut self, server: u64, response: &Message, body: Option<&Bytes>, now: Moment) {
        let (Some(context), Some(status)) = (self.servers.get(server), response.status()) else {
            return self.tallies.count(Tally::Unasked);
        };
        let over = self.transport(context.back.to.end);
        let bytes = proxy::passed(response, body.map(|body| body.as_ref()), over);
        self.respond(server, status, &bytes, now);
    }

    /// Ends a request by our own answer, and tells the call.
    pub(super) fn fail(&mut self, server: u64, status: u16, now: Moment) {
        let Some(context) = self.servers.get(server).filter(|server| server.answered.is_none()) else { return };
        let is_announced = context.is_announced;
        if status == 408 && !context.is_invite() {
            self.fall_silent(server, now);
        } else {
            self.respond_with(server, status, &[], now);
        }
        if is_announced {
            self.out.push_back(Output::Failed { server: ServerKey(server), status });
        }
    }

    /// The forwarded branch is over: a request that has no answer by now gets one, and what is over on both sides is forgotten.
    pub(super) fn on_branch_over(&mut self, server: u64, client: u64, now: Moment) {
        let Some(context) = self.servers.get_mut(server).filter(|server| server.client == Some(client)) else { return };
        context.client = None;
        if context.answered.is_none() {
            // The call has not passed the final response on: that is as if there were none.
            self.fail(server, if self.is_invite(server) { 500 } else { 408 }, now);
        }
        self.forget_if_over(server);
    }

    pub(super) fn on_server_timer(&mut self, server: u64, timer: Timer, now: Moment) {
        let Some(context) = self.servers.get_mut(server) else { return };
        match timer {
            Timer::Trying => {
                if context.machine == Machine::Other(non_invite_server::State::Trying) {
                    self.respond_with(server, 100, &[], now);
                }
            }
            Timer::Unused => {
                let status = if context.is_invite() { 500 } else { 408 };
                self.fail(server, status, now);
            }
            Timer::A
            | Timer::B
            | Timer::C
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
            | Timer::Cancelled => {
                let actions = match &mut context.machine {
                    Machine::Invite(state) => invite_server::Input::of_timer(timer).map(|input| step(state, input)),
                    Machine::Other(state) => non_invite_server::Input::of_timer(timer).map(|input| {
                        let (next, actions) = state.on(input);
                        *state = next;
                        actions
                    }),
                };
                self.act_server(server, actions.unwrap_or_default(), None, now);
            }
        }
    }

    /// Takes the ACK of this key out of those that wait for the call.
    pub(super) fn take_ack(&mut self, key: u64) -> Option<HeldAck> {
        if key & ACK == 0 {
            return None;
        }
        let at = self.acks.iter().rposition(|ack| ack.key == key)?;
        self.acks.remove(at)
    }

    /// Notes that the request goes on, once; says where to, no more.
    pub(super) fn begin_forward(&mut self, server: u64) -> Option<&Server> {
        let is_open = self.servers.get(server).is_some_and(|server| !server.is_forwarded && server.answered.is_none());
        if !is_open {
            self.tallies.count(Tally::Unasked);
            return None;
        }
        self.stop(Who::Server(server), Timer::Unused);
        let context = self.servers.get_mut(server)?;
        context.is_forwarded = true;
        Some(context)
    }

    /// Lets a request that was forwarded be forwarded anew; nothing where it is answered or cancelled.
    pub(super) fn reopen(&mut self, server: u64, now: Moment) -> bool {
        let Some(context) = self.servers.get_mut(server).filter(|server| server.answered.is_none() && !server.is_cancelled)
        else {
            return false;
        };
        context.client = None;
        context.is_forwarded = false;
        self.start(Who::Server(server), Timer::Unused, 0, now);
        true
    }

    fn on_retransmission(&mut self, server: u64, now: Moment) {
        self.tallies.count(Tally::Retransmission);
        let Some(context) = self.servers.get_mut(server) else { return };
        let actions = match &mut context.machine {
            Machine::Invite(state) => step(state, invite_server::Input::Request),
            Machine::Other(state) => state.on(non_invite_server::Input::Request).1,
        };
        self.act_server(server, actions, None, now);
    }

    /// An ACK to a refusal ends here, hop by hop; one to a 2xx goes on, end to end (RFC 3261 §17.1.1.3, §13.2.2.4).
    fn on_ack(&mut self, request: Message, from: Flow, now: Moment) {
        if let Some(server) = self.find(&request, Method::Invite)
            && self.is_ack_of(&request, server)
        {
            let Some(context) = self.servers.get_mut(server) else { return };
            let Machine::Invite(state) = &mut context.machine else { return };
            let actions = step(state, invite_server::Input::Ack);
            if actions.contains(&Action::Pass) {
                self.hold_ack(request, from);
            } else {
                self.tallies.count(Tally::AckAbsorbed);
                self.act_server(server, actions, None, now);
            }
            return;
        }
        // The ACK to a refusal that was sent without a transaction carries the tag that we gave.
        let is_to_refusal =
            request.to().is_ok_and(|to| to.tag().is_some_and(|tag| tag.len() == TAG_LEN && tag == self.own_tag(&request)));
        if is_to_refusal || proxy::check(&request, self.ours(), &self.chance).is_err() {
            return self.drop_for(Tally::AckAbsorbed);
        }
        self.hold_ack(request, from);
    }

    /// Without the cookie, the tag tells the ACK to a refusal from that to a 2xx (RFC 3261 §17.2.3).
    fn is_ack_of(&self, ack: &Message, server: u64) -> bool {
        let has_cookie = ack.top_via().is_ok_and(|via| via.branch.is_some_and(|branch| branch.starts_with(b"z9hG4bK")));
        let Some(context) = self.servers.get(server) else { return false };
        let refusal = match (has_cookie, context.machine, &context.kept) {
            (false, Machine::Invite(invite_server::State::Completed { .. } | invite_server::State::Confirmed), Some(kept)) => {
                Message::parse_datagram(kept.clone()).ok()
            }
            (_, Machine::Invite(_) | Machine::Other(_), _) => None,
        };
        refusal.is_none_or(|refusal| match (refusal.to(), ack.to()) {
            (Ok(sent), Ok(came)) => sent.tag() == came.tag(),
            (Ok(_) | Err(_), Ok(_) | Err(_)) => true,
        })
    }

    fn hold_ack(&mut self, request: Message, from: Flow) {
        let key = ACK | self.chance.draw();
        if self.acks.len() >= limits::ACKS_HELD {
            self.acks.pop_front();
            self.tallies.count(Tally::Unasked);
        }
        self.acks.push_back(HeldAck { key, request: request.clone(), from });
        self.out.push_back(Output::Ack { server: ServerKey(key), request, from });
    }

    /// A CANCEL is answered here, and what it cancels is cancelled from here (RFC 3261 §9.2, §16.10).
    fn on_cancel(&mut self, request: &Message, from: Flow, now: Moment) {
        if let Some(server) = self.find(request, Method::Cancel) {
            return self.on_retransmission(server, now);
        }
        if let Err(fault) = request.validate_request() {
            self.tallies.count(Tally::Malformed);
            return self.refuse_at_once(request, from, &Refusal { status: fault.status, extra: None });
        }
        let target = [
            Method::Invite,
            Method::Bye,
            Method::Options,
            Method::Register,
            Method::Info,
            Method::Update,
            Method::Prack,
            Method::Refer,
            Method::Message,
            Method::Subscribe,
            Method::Notify,
            Method::Publish,
        ];
        let target = target.into_iter().find_map(|method| self.find(request, method));
        // Nobody but who sent the request may cancel it, whatever branch he has heard of.
        let target = target.filter(|&target| {
            let sent_it = |sender: Flow| (sender.end, sender.far.ip()) == (from.end, from.far.ip());
            self.servers.get(target).is_some_and(|server| sent_it(server.back.to))
        });
        let Some(target) = target else {
            self.tallies.count(Tally::CancelUnmatched);
            return self.refuse_at_once(request, from, &Refusal { status: 481, extra: None });
        };
        let tag = self.tag_of_answer(target);
        let answer = reply(request, 200, reason_phrase(200), Some(&tag), &[]);
        let back = Return::of(request, from, self.ours());
        let answer = back.noted_in(answer);
        if self.has_room_for(request) {
            self.find(request, Method::Cancel);
            let key = self.key_found();
            let server = self.open(request.clone(), from, key, now);
            self.respond(server, 200, &answer, now);
        } else {
            self.send_back(back, answer);
        }
        self.cancel(target, now);
    }

    /// Cancels an INVITE that has no answer yet; nothing becomes of any other request (§9.2).
    fn cancel(&mut self, server: u64, now: Moment) {
        let Some(context) = self.servers.get_mut(server) else { return };
        if !context.is_invite() || context.answered.is_some() || context.is_cancelled {
            return;
        }
        context.is_cancelled = true;
        let (client, is_forwarded) = (context.client, context.is_forwarded);
        if context.is_announced {
            self.out.push_back(Output::Cancelled { server: ServerKey(server) });
        }
        match client {
            Some(client) => self.cancel_client(client, Why::Cancelled, now),
            None if !is_forwarded => self.fail(server, 487, now),
            None => {}
        }
    }

    /// Refuses a request before the call hears of it: with a transaction where that is possible.
    fn refuse(&mut self, request: Message, from: Flow, refusal: &Refusal, now: Moment) {
        self.tallies.count(if matches!(refusal.status, 420 | 440 | 482 | 483) { Tally::Refused } else { Tally::Malformed });
        let key = self.key_found();
        if key.is_none() || !self.has_room_for(&request) {
            return self.refuse_at_once(&request, from, refusal);
        }
        let server = self.open(request, from, key, now);
        let extra: Vec<(&str, &str)> = refusal.extra.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.respond_with(server, refusal.status, &extra, now);
    }

    /// Refuses a request without a transaction (RFC 3261 §8.2.7): the same again at each retransmission.
    fn refuse_at_once(&mut self, request: &Message, from: Flow, refusal: &Refusal) {
        let tag = self.own_tag(request);
        let extra: Vec<(&str, &str)> = refusal.extra.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = reply(request, refusal.status, reason_phrase(refusal.status), Some(&tag), &extra);
        let back = Return::of(request, from, self.ours());
        self.send_back(back, back.noted_in(answer));
    }

    /// `Config::transactions` is reached: a new INVITE is told when to come again, spread over 5 to 30 s.
    fn on_full(&mut self, request: &Message, from: Flow) {
        if request.method() != Method::Invite {
            return self.drop_for(Tally::Full);
        }
        self.tallies.count(Tally::Full);
        let seconds = 5 + self.chance.steady(request, b"retry") % 26;
        self.refuse_at_once(request, from, &Refusal { status: 503, extra: Some(("Retry-After", seconds.to_string())) });
    }

    fn open(&mut self, request: Message, from: Flow, key: Option<Arc<[u8]>>, now: Moment) -> u64 {
        let is_invite = request.method() == Method::Invite;
        let machine = if is_invite {
            Machine::Invite(invite_server::State::START.0)
        } else {
            Machine::Other(non_invite_server::State::START.0)
        };
        let back = Return::of(&request, from, self.ours());
        let server = self.servers.insert(Server {
            request,
            back,
            key: key.clone(),
            machine,
            kept: None,
            answered: None,
            client: None,
            is_forwarded: false,
            is_cancelled: false,
            is_announced: false,
            handle: None,
            alarms: Alarms::default(),
        });
        if let Some(key) = key {
            self.by_request.insert(key, server);
        }
        if !is_invite {
            self.start(Who::Server(server), Timer::Trying, 0, now);
        }
        server
    }

    /// Makes a response of our own and sends it.
    fn respond_with(&mut self, server: u64, status: u16, extra: &[(&str, &str)], now: Moment) {
        let Some(context) = self.servers.get(server) else { return };
        // §8.2.6.2: every response but 100 has a To tag.
        let tag = (status != 100).then(|| self.own_tag(&context.request));
        let answer = reply(&context.request, status, reason_phrase(status), tag.as_deref(), extra);
        let answer = context.back.noted_in(answer);
        self.respond(server, status, &answer, now);
    }

    /// Gives a response to the server transaction.
    fn respond(&mut self, server: u64, status: u16, bytes: &Bytes, now: Moment) {
        let Some(context) = self.servers.get_mut(server) else { return };
        let is_invite = context.is_invite();
        // RFC 4320 §4.1: no other provisional response than 100 to a non-INVITE; §4.2: no 408 at all.
        if !is_invite && status == 408 {
            return self.fall_silent(server, now);
        }
        if !is_invite && (101..200).contains(&status) {
            return self.tallies.count(Tally::Late);
        }
        let is_final = status >= 200;
        let client = context.client;
        if is_final && context.answered.is_none() {
            context.answered = Some(status);
            context.alarms.stop(Timer::Unused);
            context.alarms.stop(Timer::Trying);
        }
        let actions = match &mut context.machine {
            Machine::Invite(state) => step(state, invite_server::Input::of_status(status)),
            Machine::Other(state) => {
                let (next, actions) = state.on(non_invite_server::Input::of_status(status));
                *state = next;
                actions
            }
        };
        if actions.is_empty() {
            self.tallies.count(Tally::Late);
        }
        self.act_server(server, actions, Some(bytes), now);
        // §16.7(10): a branch that still rings when the answer is given has lost its purpose.
        if let Some(client) = client.filter(|_| is_final && is_invite) {
            self.cancel_client(client, Why::Answered, now);
        }
    }

    /// Ends a non-INVITE without an answer (RFC 4320 §4.2).
    pub(super) fn fall_silent(&mut self, server: u64, now: Moment) {
        let Some(context) = self.servers.get_mut(server) else { return };
        let Machine::Other(state) = &mut context.machine else { return };
        let (next, actions) = state.on(non_invite_server::Input::Silence);
        *state = next;
        context.kept = None;
        context.answered.get_or_insert(408);
        context.alarms.stop(Timer::Unused);
        context.alarms.stop(Timer::Trying);
        self.act_server(server, actions, None, now);
    }

    fn act_server(&mut self, server: u64, actions: &'static [Action], at_hand: Option<&Bytes>, now: Moment) {
        for action in actions {
            let Some(context) = self.servers.get_mut(server) else { return };
            let back = context.back;
            match action {
                Action::Send => {
                    context.kept = at_hand.cloned();
                    if let Some(bytes) = at_hand {
                        self.send_back(back, bytes.clone());
                    }
                }
                Action::Resend => {
                    if let Some(bytes) = context.kept.clone() {
                        self.send_back(back, bytes);
                    }
                }
                Action::Relay => {
                    if let Some(bytes) = at_hand {
                        self.send_back(back, bytes.clone());
                    }
                }
                Action::Start(timer) => {
                    let resent = match context.machine {
                        Machine::Invite(state) => state.resent(),
                        Machine::Other(_) => 0,
                    };
                    self.start(Who::Server(server), *timer, resent, now);
                }
                Action::Stop(timer) => context.alarms.stop(*timer),
                Action::Inform(Trouble::NotAcknowledged) => self.tallies.count(Tally::NotAcknowledged),
                // Requests and ACKs are passed where they are received.
                Action::Pass => {}
                Action::Acknowledge | Action::Inform(Trouble::TimedOut | Trouble::Unreachable) => {
                    unreachable!("no server transaction asks for that")
                }
            }
        }
        self.forget_if_over(server);
    }

    fn forget_if_over(&mut self, server: u64) {
        let Some(context) = self.servers.get_mut(server).filter(|server| server.is_over()) else { return };
        let (is_announced, has_branch) = (context.is_announced, context.client.is_some());
        if let Some(key) = context.key.take()
            && self.by_request.get(&key) == Some(&server)
        {
            self.by_request.remove(&key);
        }
        if has_branch {
            return;
        }
        self.servers.remove(server);
        if is_announced {
            self.out.push_back(Output::Ended { server: ServerKey(server) });
        }
    }

    fn is_invite(&self, server: u64) -> bool {
        self.servers.get(server).is_some_and(Server::is_invite)
    }

    fn find(&mut self, request: &Message, method: Method<'_>) -> Option<u64> {
        matching::write_key(request, method, &mut self.key).then(|| self.by_request.get(&*self.key).copied()).flatten()
    }

    /// Returns the key that `find` has looked for last, if the request had one.
    fn key_found(&self) -> Option<Arc<[u8]>> {
        (!self.key.is_empty()).then(|| Arc::from(&*self.key))
    }

    /// Returns the To tag of our answers to this request, the same for its CANCEL and its ACK.
    fn own_tag(&self, request: &Message) -> Vec<u8> {
        let mut tag = Vec::with_capacity(TAG_LEN);
        push_hex(&mut tag, self.chance.steady(request, b"tag"));
        tag
    }

    /// Returns the tag for the answer to a CANCEL: that of the response to the request, if there has been one (§9.2).
    fn tag_of_answer(&self, server: u64) -> Vec<u8> {
        let Some(context) = self.servers.get(server) else { return Vec::new() };
        let kept = context.kept.clone().and_then(|kept| Message::parse_datagram(kept).ok());
        let sent = kept.as_ref().and_then(|kept| kept.to().ok()).and_then(|to| to.tag());
        sent.map_or_else(|| self.own_tag(&context.request), <[u8]>::to_vec)
    }
}

fn step(state: &mut invite_server::State, input: invite_server::Input) -> &'static [Action] {
    let (next, actions) = state.on(input);
    *state = next;
    actions
}
