//! All calls, and the door to them: messages and events in; messages, orders and stories out.

mod transfers;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use self::transfers::Transfers;
use super::anchor::{self, Session};
use super::body::{Extra, is_hidden, read, refusal, sdp_of, with, without_media};
use super::desk::{Desk, Within, is_sips, no_sips};
use super::dialog::{Agreed, Dialog, Stood};
use super::door::{Config, Deed, Doer, Input, Live, NotDone, Output, PortPair, Silence, Tallies, WhenDead};
use super::guard::Asked;
use super::handle::Forged;
use super::hangup;
use super::kept::{Kept, Mark};
use super::life::{Beginning, Call, Demand, NotAnchored, Role, State};
use super::overload::Overload;
use super::peers::Source;
use super::policy::Policy;
use super::session_timer;
use super::story::Reason;
use super::ways::Reached;
use crate::consent::{How, Parties, WithoutConsent};
use crate::digit::Digit;
use crate::ids::{CallId, Direction, Leg};
use crate::media::{self, BridgeId};
use crate::private::Private;
use crate::sip::{self, Flow, ServerKey, Stack, Transport};
use crate::time::Moment;
use crate::vault::EndReason;
use crate::wire::dtmf;
use crate::wire::sip::{Message, Method, Name, Uri};

/// All calls.
pub struct Table {
    calls: Vec<Option<Box<Call>>>,
    free: Vec<u32>,
    by_call_id: HashMap<Bytes, Vec<u32>>,
    by_id: HashMap<CallId, u32>,
    pending: HashMap<ServerKey, Pending>,
    timers: BTreeSet<(Moment, u32)>,
    live: usize,
    transfers: Transfers,
    /// No new call is taken.
    is_draining: bool,
    desk: Desk,
}

/// A request that was forwarded and not yet answered to the end.
#[derive(Debug)]
struct Pending {
    /// The call, by its number: its slot may have another call by the time an answer comes.
    call: CallId,
    dialog: Option<usize>,
    /// The leg that sent it.
    from: Leg,
    kind: Kind,
    offer: Option<Session>,
    /// The description that each dialog's responses brought last, as it came.
    described: Vec<(usize, Bytes)>,
    /// How the dialog stood before a provisional answer changed it.
    before: Option<Stood>,
    attempt: Option<Attempt>,
}

/// Where a new call is tried, and where it goes if it is not served there.
#[derive(Debug)]
struct Attempt {
    way: Flow,
    /// Further ways, the best first, each with its trunk.
    others: VecDeque<(usize, Flow)>,
    /// The body as it goes on.
    body: Option<Bytes>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    First,
    Invite,
    /// It ends its dialog, and perhaps the call.
    Bye,
    Other,
}

impl Pending {
    /// Returns whether this is the description that a response of this dialog brought last.
    fn knows(&self, dialog: usize, description: &[u8]) -> bool {
        self.described.iter().any(|(of, last)| *of == dialog && last == description)
    }

    /// Takes note of a description in a response of this dialog, and says whether it is another than the last one.
    ///
    /// A 2xx comes again until its ACK has come (RFC 3261 §13.3.1.4): what it says may have been overtaken by a re-INVITE meanwhile.
    fn is_news(&mut self, dialog: usize, description: &[u8]) -> bool {
        if self.knows(dialog, description) {
            return false;
        }
        let known = self.described.iter_mut().find(|(of, _)| *of == dialog);
        let description = Bytes::copy_from_slice(description);
        match known {
            Some((_, last)) => *last = description,
            None => self.described.push((dialog, description)),
        }
        true
    }
}

impl Table {
    /// Makes an empty table. The seeds must come from the system's random source: branches and tags are drawn from the first, call and
    /// recording ids from the second.
    #[must_use]
    pub fn new(config: Config, [branches, ids]: [u64; 2], now: Moment) -> Self {
        let stack = Stack::new(sip::Config { emergency: config.emergency.clone(), ..config.sip.clone() }, branches, now);
        let desk = Desk::new(config, stack, ids, now);
        let mut table = Self {
            calls: Vec::new(),
            free: Vec::new(),
            by_call_id: HashMap::new(),
            by_id: HashMap::new(),
            pending: HashMap::new(),
            timers: BTreeSet::new(),
            live: 0,
            transfers: Transfers::default(),
            is_draining: false,
            desk,
        };
        table.desk.restock();
        table
    }

    /// Takes an input; what follows from it is polled.
    pub fn handle(&mut self, input: Input, now: Moment) {
        match input {
            Input::Message { from, bytes } => {
                if self.desk.source(from).is_none() {
                    self.desk.refuse_stranger(from, bytes, now);
                } else if self.desk.takes(from, &bytes, now) {
                    self.desk.stack.handle(sip::Input::Message { from, bytes }, now);
                }
            }
            Input::Broken { from, head, status } => {
                if self.desk.source(from).is_some() {
                    self.desk.stack.handle(sip::Input::Broken { from, head, status }, now);
                }
            }
            Input::Unreachable { to } => self.desk.stack.handle(sip::Input::Unreachable { to }, now),
            Input::Media(media::Event::Dead { id }) => self.fell_silent(id, Silence::Both, now),
            Input::Media(media::Event::OneWay { id, leg }) => self.fell_silent(id, Silence::One(leg), now),
            Input::Media(event) => {
                let call = match &event {
                    media::Event::Played { id, .. }
                    | media::Event::Cut { id, .. }
                    | media::Event::Moved { id, .. }
                    | media::Event::Digit { id, .. }
                    | media::Event::Dead { id }
                    | media::Event::OneWay { id, .. }
                    | media::Event::Closed { id, .. } => id.call,
                };
                self.with_call(call, now, |call, desk| call.heard(event, desk, now));
            }
            Input::VaultFailed { call, left_a_file } => {
                self.with_call(call, now, |call, desk| call.vault_failed(left_a_file, desk, now))
            }
            Input::VaultDrops { call } => self.with_call(call, now, |call, _| call.has_a_gap(now)),
            Input::Located { trunk, transport, ways } => self.desk.locate(trunk, transport, &ways, now),
            Input::Restore { kept, ports } => self.restore(&kept, &ports, now),
            Input::Drain => self.is_draining = true,
            Input::Operator { call, deed } => self.operate(call, deed, now),
            Input::Ports(pairs) => {
                for pair in pairs {
                    self.desk.stock_of(pair.leg).push(pair);
                }
            }
            Input::Load(load) => {
                self.desk.vault_is_shut = load.vault_is_shut;
                self.desk.guard.overload.told(&load, self.desk.in_stock());
            }
            Input::Full(policies) => self.desk.full = policies,
            Input::Advised { call, advice } => {
                let policies = self.desk.config.policies.clone();
                self.with_call(call, now, |call, desk| call.is_advised(advice, &policies, desk, now));
            }
            Input::Register(register) => {
                self.desk.register = register;
                for slot in 0..u32::try_from(self.calls.len()).expect("limits::CALLS is far below 2^32") {
                    self.with_slot(slot, now, |call, desk| call.register_changed(desk, now));
                }
            }
            Input::Clocks(moment, wall) => {
                self.desk.config.clocks = (moment, wall);
                self.forget_former();
            }
        }
        self.pump(now);
        self.desk.restock();
    }

    /// Returns who sends this way, or who is reached by it; nothing for a stranger.
    #[must_use]
    pub fn source(&self, way: Flow) -> Option<Source> {
        self.desk.source(way)
    }

    /// Returns the next thing to be done.
    pub fn poll(&mut self) -> Option<Output> {
        self.desk.out.pop_front()
    }

    /// Returns when to call [`Table::wake`].
    #[must_use]
    pub fn deadline(&self) -> Option<Moment> {
        let ours = self.timers.first().map(|&(at, _)| at);
        [ours, self.desk.stack.deadline(), self.desk.ways.deadline()].into_iter().flatten().min()
    }

    /// Does what is due.
    pub fn wake(&mut self, now: Moment) {
        while let Some(&(at, slot)) = self.timers.first() {
            if at > now {
                break;
            }
            self.timers.remove(&(at, slot));
            self.with_slot(slot, now, |call, desk| call.time_came(desk, now));
        }
        if self.desk.stack.deadline().is_some_and(|at| at <= now) {
            self.desk.stack.wake(now);
        }
        if self.desk.ways.deadline().is_some_and(|at| at <= now) {
            self.ask_peers(now);
        }
        self.pump(now);
        self.desk.restock();
    }

    /// Ends every call's recording and bridges, because the product stops; the parties are told nothing.
    pub fn shut_down(&mut self, now: Moment) {
        for slot in 0..self.calls.len() {
            self.end_call(
                u32::try_from(slot).expect("limits::CALLS is far below 2^32"),
                Reason::Stopped,
                EndReason::Shutdown,
                now,
            );
        }
    }

    /// Returns the calls that are, oldest first.
    #[must_use]
    pub fn live(&self) -> Vec<Live> {
        let mut live: Vec<Live> = self.calls.iter().flatten().map(|call| live(call)).collect();
        live.sort_by_key(|call| (call.began, call.call));
        live
    }

    /// Returns a call of this moment, as an operator sees it.
    #[must_use]
    pub fn live_call(&self, call: CallId) -> Option<Live> {
        let slot = usize::try_from(*self.by_id.get(&call)?).ok()?;
        self.calls.get(slot)?.as_ref().map(|call| live(call))
    }

    /// Returns how many calls there are.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.live
    }

    /// Returns what happened that no call can tell.
    #[must_use]
    pub const fn tallies(&self) -> &Tallies {
        &self.desk.tallies
    }

    /// Returns what is too much at the moment, and how many calls were refused for it.
    #[must_use]
    pub const fn overload(&self) -> &Overload {
        &self.desk.guard.overload
    }

    /// Returns the stack, for its tallies.
    #[must_use]
    pub const fn stack(&self) -> &Stack {
        &self.desk.stack
    }

    /// Returns the addresses of all peers, and how they stand.
    #[must_use]
    pub fn reached(&self, now: Moment) -> Vec<Reached> {
        self.desk.ways.all(&self.desk.config.peers, &self.desk.config.sip.ends, now)
    }

    /// Where a name led before is a stranger's again once no call is left that went there. Nearly always there is nothing to forget.
    fn forget_former(&mut self) {
        if !self.desk.has_former() {
            return;
        }
        let (calls, desk) = (&self.calls, &mut self.desk);
        desk.forget_former(|trunk, way| {
            calls.iter().flatten().any(|call| match trunk {
                None => call.way_to(Leg::Pbx) == way,
                Some(at) => call.trunk_at == at && call.way_to(Leg::Trunk) == way,
            })
        });
    }

    /// Asks those whose turn it is whether they are there.
    fn ask_peers(&mut self, now: Moment) {
        let mut number = self.desk.draw();
        let drawn = || {
            number = number.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            number
        };
        for (to, request) in self.desk.ways.due(&self.desk.config.sip.ends, now, drawn) {
            self.desk.stack.handle(sip::Input::Originate { to, request }, now);
        }
    }

    fn on_own_response(&mut self, request: &Message, answer: &sip::Answer, now: Moment) {
        let Some((way, is_up)) = self.desk.ways.answered(request, answer, now) else { return };
        let trunk = self.reached(now).into_iter().find(|reached| reached.address == way.far).and_then(|reached| reached.trunk);
        self.desk.out(Output::Reached { trunk, address: way.far, is_up });
    }

    // ── what the stack says ────────────────────────────────────────────────────────────────────────────────────────

    fn pump(&mut self, now: Moment) {
        while let Some(output) = self.desk.stack.poll() {
            match output {
                sip::Output::Send { to, or, bytes } => self.desk.out(Output::Send { to, or, bytes }),
                sip::Output::Request { server, request, from } => self.on_request(server, &request, from, now),
                sip::Output::Ack { server, request, from } => self.on_ack(server, &request, from, now),
                sip::Output::Response { server, response, from } => {
                    let response = self.desk.as_registered(response, from);
                    self.on_response(server, response, now);
                }
                sip::Output::Failed { server, status } => self.on_failed(server, status, now),
                sip::Output::Ended { server } => self.on_ended(server, now),
                sip::Output::NotServed { server, status } => self.on_not_served(server, status, now),
                sip::Output::OwnResponse { request, answer } => self.on_own_response(&request, &answer, now),
                sip::Output::Cancelled { .. } | sip::Output::Dropped { .. } => {}
            }
        }
    }

    fn on_request(&mut self, server: ServerKey, request: &Message, from: Flow, now: Moment) {
        let Some(source) = self.desk.source(from) else { return };
        let to_tag = request.to().ok().and_then(|to| to.tag());
        if to_tag.is_none() && source == Source::Pbx && request.method() == Method::Register {
            return self.desk.register(server, request, now);
        }
        let real = self.desk.turn_to_contact(server, request, source, now);
        let (request, within) = real.as_ref().map_or((request, Within::Nothing), |real| (real, Within::Binding));
        let plain = self.desk.without_code(server, request, source, now);
        let is_unrecorded = plain.is_some();
        let request = plain.as_ref().unwrap_or(request);
        let to_tag = request.to().ok().and_then(|to| to.tag());
        match (request.method(), to_tag) {
            (Method::Invite, None) => self.on_call(server, request, source, (within, is_unrecorded), from, now),
            (_, Some(to_tag)) => self.on_request_in_dialog(server, request, to_tag, (source, from), now),
            (_, None) => {
                self.desk.tallies.passed += 1;
                let (leg, trunk) = (source.leg().other(), trunk_of(source));
                let best = self.desk.best(leg, trunk, now);
                let to = self.desk.target(request, leg, trunk, within, best);
                self.desk.pass_on(server, request, to, now);
            }
        }
    }

    /// A new call.
    fn on_call(
        &mut self,
        server: ServerKey,
        request: &Message,
        source: Source,
        (within, is_unrecorded): (Within, bool),
        came: Flow,
        now: Moment,
    ) {
        let direction = match source {
            Source::Pbx => Direction::Outbound,
            Source::Trunk(_) => Direction::Inbound,
        };
        let (Ok(call_id), Ok(from)) = (request.call_id(), request.from()) else { return };
        let number = |uri: Option<Uri<'_>>| uri.and_then(|uri| uri.number()).unwrap_or_default();
        let called = number(request.request_uri().and_then(|uri| Uri::parse(uri).ok()));
        let calling = number(from.address().ok());
        let callee = direction.caller().other();
        let id = CallId::from_u64(self.desk.draw());
        let origin = self.goes_on(id, request, source, now);
        // What replaces a dialog goes where that is, and nowhere else.
        let at_origin = origin.as_ref().and_then(|origin| origin.trunk_at);
        let within = if at_origin.is_some() { Within::Dialog } else { within };
        let mut ways = self.desk.ways_of(request, callee, trunk_of(source).unwrap_or(0), now);
        ways.retain(|(at, _)| at_origin.is_none_or(|origin| *at == origin));
        let is_secret = is_sips(request);
        if is_secret {
            ways.retain(|(_, way)| self.desk.transport(way.end) == Transport::Tls);
        }
        let is_nowhere = is_secret && ways.is_empty();
        // Where no trunk takes calls, the first one does: a call is not refused for a setting.
        let (trunk_at, first) =
            ways.pop_front().unwrap_or_else(|| (at_origin.unwrap_or(0), self.desk.best(callee, at_origin, now)));
        let Some((trunk, _)) = self.desk.config.peers.trunks.get(trunk_at).cloned() else { return };
        let is_emergency = origin.as_ref().is_some_and(|origin| origin.is_emergency)
            || (direction == Direction::Outbound && sip::calls_for_help(request, &self.desk.config.emergency));
        let drawn = origin.as_ref().and_then(|origin| origin.drawn);
        let demand = origin.as_ref().map_or(Demand::Untold, |origin| origin.demand);
        let of_origin = origin.and_then(|origin| origin.policy);
        let keeps_policy = of_origin.is_some();
        let policies = &self.desk.config.policies;
        let policy = of_origin
            .or_else(|| {
                let at = self.desk.wall(now);
                Policy::first(policies, &trunk, direction, calling.reveal(), called.reveal(), at).map(Arc::clone)
            })
            .filter(|_| !is_emergency);
        let slot = self.seat();
        let mut call = Call::begin(
            Beginning {
                id,
                slot,
                recording: self.desk.draw_recording(id),
                direction,
                trunk: (trunk_at, trunk),
                ways: self.desk.ways_between(direction, trunk_at, came, first),
                policy,
                parties: Parties { calling, called, call_id: Private::new(String::from_utf8_lossy(call_id).into_owned()) },
                is_emergency,
                call_id: Bytes::copy_from_slice(call_id),
                caller_tag: Bytes::copy_from_slice(from.tag().unwrap_or_default()),
                invite: request.clone(),
            },
            now,
        );
        call.index(request, &self.desk.config.indexed);
        (call.keeps_policy, call.drawn, call.demand) = (keeps_policy, drawn, demand);
        call.is_unrecorded = is_unrecorded && !call.is_mandatory();
        let asked = Asked {
            caller: source,
            calls: self.live,
            belongs_to_a_call: self.replaces(request),
            is_recorded: call.policy.as_ref().is_some_and(|policy| policy.terms.is_some()),
        };
        let unrecordable = call.unrecordable(&self.desk).filter(|_| call.is_mandatory() && call.exempt(&self.desk).is_none());
        let story = Output::Story(Box::new(call.story(None)));
        self.takes_its_seat(call);
        self.desk.out(story);
        if self.is_draining && !is_emergency {
            return self.refuse(server, slot, 503, None, Reason::Draining, now);
        }
        if !is_emergency && self.is_too_much(&asked) {
            return self.refuse(server, slot, 503, None, Reason::Overload, now);
        }

        if let Some(reason) = unrecordable {
            let why = ("Reason", UNRECORDABLE.to_owned());
            return self.refuse(server, slot, 503, Some(why), reason, now);
        }
        if is_nowhere && !is_emergency {
            return self.refuse(server, slot, 480, Some(no_sips()), Reason::of_status(480), now);
        }

        if let Some(Some(call)) = self.calls.get_mut(slot as usize) {
            call.saw(direction.caller(), request);
            call.asserts(direction.caller(), request, &mut self.desk, now);
        }
        let outcome = match self.calls.get_mut(slot as usize) {
            Some(Some(call)) => first_offer(call, request, &mut self.desk, now).or_else(|refused| {
                // Help is worth more than being in between: its description goes as it came.
                call.is_past_us = call.is_emergency;
                if call.is_past_us { Ok((None, None)) } else { Err(refused) }
            }),
            Some(None) | None => return,
        };
        match outcome {
            Ok((offer, body)) => {
                let to = self.desk.target(request, callee, Some(trunk_at), within, first);
                if to != first {
                    // A Route says where it goes, and nobody else does.
                    ways.clear();
                }
                let attempt = Attempt { way: to, others: ways, body };
                if let Some(Some(call)) = self.calls.get_mut(slot as usize) {
                    call.consult(&mut self.desk, now);
                }
                self.desk.name(server, id, call_id, now);
                self.attempt(server, &attempt, now);
                if !is_emergency {
                    self.desk.guard.rings(slot, source);
                }
                self.pending.insert(
                    server,
                    Pending {
                        call: id,
                        dialog: None,
                        from: direction.caller(),
                        kind: Kind::First,
                        offer,
                        described: Vec::new(),
                        before: None,
                        attempt: Some(attempt),
                    },
                );
            }
            Err((Reason::BadOffer, why)) => self.refuse(server, slot, refusal(request).0, why, Reason::BadOffer, now),
            Err((reason, warning)) => self.refuse(server, slot, 503, warning, reason, now),
        }
    }

    /// Returns a slot that is free.
    fn seat(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.calls.push(None);
            u32::try_from(self.calls.len() - 1).expect("limits::CALLS is far below 2^32")
        })
    }

    /// A call of before a restart goes on; or it cannot, and is forgotten.
    fn restore(&mut self, kept: &Kept, ports: &[[Option<PortPair>; 2]], now: Moment) {
        let slot = self.seat();
        let Some(call) = kept.resume(slot, ports, &mut self.desk, now) else {
            self.free.push(slot);
            for pair in ports.iter().flatten().flatten() {
                self.desk.give_back(kept.call(), *pair);
            }
            return self.desk.out(Output::Forget(kept.call()));
        };
        if let Some(at) = call.deadline() {
            self.timers.insert((at, slot));
        }
        self.takes_its_seat(call);
    }

    /// A call is there, and found, from here on.
    fn takes_its_seat(&mut self, call: Call) {
        let slot = call.slot;
        self.live += 1;
        self.by_call_id.entry(call.call_id.clone()).or_default().push(slot);
        self.by_id.insert(call.id, slot);
        if let Some(place) = self.calls.get_mut(slot as usize) {
            *place = Some(Box::new(call));
        }
    }

    /// Says whether there is too much of something for a new call; a call for help is not asked for that.
    fn is_too_much(&mut self, asked: &Asked) -> bool {
        let (count, all) = (self.desk.stack.transactions(), self.desk.config.sip.transactions);
        self.desk.guard.overload.transactions(count, all);
        self.desk.guard.refuses(asked).is_some()
    }

    /// Says whether an INVITE takes the place of a call that is (RFC 3891): it belongs to that one.
    fn replaces(&self, invite: &Message) -> bool {
        let call_id = invite.value(Name::Replaces).and_then(|value| value.split(|&byte| byte == b';').next());
        call_id.is_some_and(|call_id| self.by_call_id.contains_key(call_id.trim_ascii()))
    }

    fn attempt(&mut self, server: ServerKey, attempt: &Attempt, now: Moment) {
        let (to, body) = (attempt.way, attempt.body.clone());
        let is_last = attempt.others.is_empty();
        let input = if is_last { sip::Input::Forward { server, to, body } } else { sip::Input::Try { server, to, body } };
        self.desk.stack.handle(input, now);
    }

    /// A new call is not served where it was tried: it goes the next way, on another trunk under that one's policy.
    fn on_not_served(&mut self, server: ServerKey, status: u16, now: Moment) {
        let attempt = self.pending.get_mut(&server).and_then(|pending| Some((pending.call, pending.attempt.take()?)));
        let next = attempt.and_then(|(call, mut attempt)| {
            self.desk.ways.shun(attempt.way, now);
            let next = attempt.others.pop_front()?;
            Some((*self.by_id.get(&call)?, attempt, next))
        });
        let Some((slot, mut attempt, (trunk_at, way))) = next else {
            return self.desk.stack.handle(sip::Input::Reply { server, status, extra: Vec::new() }, now);
        };
        attempt.way = way;
        if let Some(Some(call)) = self.calls.get_mut(slot as usize) {
            let is_other_trunk = call.trunk_at != trunk_at;
            call.goes(way);
            if is_other_trunk {
                match take_other_trunk(call, trunk_at, &mut self.desk, now) {
                    Ok((offer, body)) => {
                        attempt.body = body;
                        if let Some(pending) = self.pending.get_mut(&server) {
                            pending.offer = offer;
                        }
                    }
                    Err((reason, warning)) => {
                        self.pending.remove(&server);
                        let status = if reason == Reason::BadOffer { 488 } else { 503 };
                        return self.refuse(server, slot, status, warning, reason, now);
                    }
                }
            }
        }
        self.attempt(server, &attempt, now);
        if let Some(pending) = self.pending.get_mut(&server) {
            pending.attempt = Some(attempt);
        }
    }

    /// Answers a new call ourselves.
    fn refuse(&mut self, server: ServerKey, slot: u32, status: u16, why: Option<Extra>, reason: Reason, now: Moment) {
        let retry_after_s = if reason == Reason::Draining {
            DRAINED_AFTER_S
        } else if reason == Reason::Overload {
            // Spread, so that those who were refused together do not come back together.
            RETRY_AFTER_S + u32::try_from(self.desk.draw() % OVERLOAD_SPREAD_S).unwrap_or(0)
        } else {
            RETRY_AFTER_S
        };
        let mut extra: Vec<Extra> = why.into_iter().collect();
        if status == 503 {
            extra.push(("Retry-After", retry_after_s.to_string()));
        }
        self.desk.stack.handle(sip::Input::Reply { server, status, extra }, now);
        self.end_call(slot, reason, EndReason::CallFailed, now);
    }

    fn on_request_in_dialog(
        &mut self,
        server: ServerKey,
        request: &Message,
        to_tag: &[u8],
        (source, came): (Source, Flow),
        now: Moment,
    ) {
        let method = request.method();
        let Ok(found) = self.find(request, to_tag, source, came) else {
            self.desk.tallies.not_of_the_dialog += 1;
            return self.desk.stack.handle(sip::Input::Reply { server, status: 481, extra: Vec::new() }, now);
        };
        let Some((slot, dialog, sender)) = found else {
            // A dialog that we do not know: its media cannot be anchored, so it may not begin a new description through us; what
            // carries none passes, so that a call which outlived a restart can be hung up.
            if matches!(method, Method::Invite | Method::Update) {
                self.desk.stack.handle(sip::Input::Reply { server, status: 481, extra: Vec::new() }, now);
            } else {
                self.desk.tallies.passed += 1;
                let (leg, trunk) = (source.leg().other(), trunk_of(source).or_else(|| self.desk.trunk_at_next_hop(request)));
                let best = self.desk.best(leg, trunk, now);
                let to = self.desk.target(request, leg, trunk, Within::Dialog, best);
                self.desk.stack.handle(sip::Input::Forward { server, to, body: without_media(request) }, now);
            }
            return;
        };
        if !self.is_spoken_by(slot, sender, source, came) {
            // Somebody speaks in the other party's name: a forged BYE, say.
            self.desk.tallies.not_of_the_dialog += 1;
            self.desk.stack.handle(sip::Input::Reply { server, status: 481, extra: Vec::new() }, now);
            return;
        }
        let digit = (method == Method::Info).then(|| info_digit(request)).flatten();
        let Some(Some(call)) = self.calls.get_mut(slot as usize) else { return };
        let before = Before::of(call);
        if let (Some(dialog), Ok(cseq)) = (call.dialogs.get_mut(dialog), request.cseq())
            && !dialog.saw(sender, cseq.number)
        {
            // Sent before one that was seen: late, or replayed (RFC 3261 §12.2.2).
            self.desk.stack.handle(sip::Input::Reply { server, status: 500, extra: Vec::new() }, now);
            // But whoever pressed a key that says no has said so, whatever overtook it.
            if let Some(digit) = digit
                && call.says_no(sender, digit)
            {
                self.with_slot(slot, now, |call, desk| call.pressed(sender, digit, How::KeyByInfo, desk, now));
            }
            return;
        }
        call.saw(sender, request);
        let (id, trunk_at, way) = (call.id, call.trunk_at, call.way_to(sender.other()));
        // PRACK may carry the answer to an offer that came in a reliable provisional response (RFC 3262 §5).
        let late = call.dialogs.get(dialog).filter(|_| method == Method::Prack).and_then(|dialog| dialog.late_offer.clone());
        let anchored = match sdp_of(request).filter(|_| !call.is_past_us) {
            None if is_hidden(request) && may_describe(method) && !call.is_past_us => Err(refusal(request)),
            None => Ok((None, None)),
            Some(at) => match read(request, &at) {
                Err(anchor::Unreadable) => Err((488, None)),
                Ok(sdp) => {
                    let session = call.session(&sdp, &self.desk);
                    let role = Role::after(late.as_ref(), false);
                    call.anchor(sender.other(), Some(dialog), &sdp, role, &mut self.desk, now)
                        .map(|body| (Some(session), Some(with(request, at, body))))
                        .map_err(|why| (why.status(), why.warning()))
                }
            },
        };
        let (session, body) = match anchored {
            Ok(anchored) => anchored,
            Err((status, warning)) => {
                self.desk.stack.handle(sip::Input::Reply { server, status, extra: warning.into_iter().collect() }, now);
                return;
            }
        };
        if let Some(dialog) = call.dialogs.get_mut(dialog).filter(|_| method == Method::Prack) {
            dialog.late_offer = None;
        }
        let offer = match (session, late) {
            (Some(answer), Some(offer)) => {
                call.agree(dialog, Agreed { offerer: sender.other(), offer, answer }, &mut self.desk, now);
                None
            }
            (session, _) => session,
        };
        let kind = if method == Method::Bye {
            call.bye_went(dialog, sender, &mut self.desk);
            Kind::Bye
        } else if method == Method::Invite {
            Kind::Invite
        } else {
            Kind::Other
        };
        if matches!(method, Method::Invite | Method::Update) {
            call.asserts(sender, request, &mut self.desk, now);
        }
        if method == Method::Refer {
            self.referred(slot, sender, request, now);
        }
        let pending = Pending {
            call: id,
            dialog: Some(dialog),
            from: sender,
            kind,
            offer,
            described: Vec::new(),
            before: None,
            attempt: None,
        };
        self.pending.insert(server, pending);
        let to = self.desk.target(request, sender.other(), Some(trunk_at), Within::Dialog, way);
        if method == Method::Invite {
            self.desk.name(server, id, request.call_id().unwrap_or_default(), now);
        }
        self.desk.stack.handle(sip::Input::Forward { server, to, body }, now);
        self.keep(slot, before, now);
        if let Some(digit) = digit {
            self.with_slot(slot, now, |call, desk| call.pressed(sender, digit, How::KeyByInfo, desk, now));
        }
    }

    fn on_ack(&mut self, server: ServerKey, request: &Message, from: Flow, now: Moment) {
        let Some(source) = self.desk.source(from) else { return };
        let to_tag = request.to().ok().and_then(|to| to.tag()).unwrap_or_default();
        let Ok(found) = self.find(request, to_tag, source, from) else {
            // Nobody answers an ACK: it is forgotten.
            self.desk.tallies.not_of_the_dialog += 1;
            return self.desk.stack.handle(sip::Input::Reply { server, status: 481, extra: Vec::new() }, now);
        };
        let Some((slot, dialog, sender)) = found else {
            let (leg, trunk) = (source.leg().other(), trunk_of(source).or_else(|| self.desk.trunk_at_next_hop(request)));
            let best = self.desk.best(leg, trunk, now);
            let to = self.desk.target(request, leg, trunk, Within::Dialog, best);
            self.desk.stack.handle(sip::Input::Forward { server, to, body: without_media(request) }, now);
            return;
        };
        if !self.is_spoken_by(slot, sender, source, from) {
            self.desk.tallies.not_of_the_dialog += 1;
            return self.desk.stack.handle(sip::Input::Reply { server, status: 481, extra: Vec::new() }, now);
        }
        let Some(Some(call)) = self.calls.get_mut(slot as usize) else { return };
        let (trunk_at, way) = (call.trunk_at, call.way_to(sender.other()));
        let mut body = without_media(request).filter(|_| !call.is_past_us);
        let before = Before::of(call);
        if let Some(at) = sdp_of(request)
            && !call.is_past_us
            && let Ok(sdp) = read(request, &at)
            && let Some((offered, is_again)) = call.dialogs.get(dialog).map(Dialog::offered_late)
            && let Ok(anchored) =
                call.anchor(sender.other(), Some(dialog), &sdp, Role::after(offered.as_ref(), is_again), &mut self.desk, now)
        {
            body = Some(with(request, at, anchored));
            let offer = call.dialogs.get_mut(dialog).and_then(Dialog::answer_late);
            if let Some(offer) = offer {
                let answer = call.session(&sdp, &self.desk);
                call.agree(dialog, Agreed { offerer: sender.other(), offer, answer }, &mut self.desk, now);
            }
        }
        let to = self.desk.target(request, sender.other(), Some(trunk_at), Within::Dialog, way);
        self.desk.stack.handle(sip::Input::Forward { server, to, body }, now);
        self.keep(slot, before, now);
        self.comes_up(slot);
        self.with_slot(slot, now, |call, desk| call.confirm(dialog, desk, now));
    }

    fn on_response(&mut self, server: ServerKey, response: Message, now: Moment) {
        let status = response.status().unwrap_or(500);
        let pending = self.pending.get(&server).and_then(|pending| {
            let slot = *self.by_id.get(&pending.call)?;
            Some((slot, pending.kind, pending.from, pending.dialog))
        });
        let Some((slot, kind, from, known)) = pending else {
            // A late 2xx of a call that was given up, say: it passes, but no media goes past us for it.
            let is_capabilities = response.cseq().is_ok_and(|cseq| cseq.method == Method::Options);
            let body = without_media(&response).filter(|_| !is_capabilities);
            self.desk.stack.handle(sip::Input::PassResponse { server, response, body }, now);
            return;
        };
        if kind == Kind::First
            && status > 100
            && let Some(attempt) = self.pending.get(&server).and_then(|pending| pending.attempt.as_ref())
        {
            if status == 503 { self.desk.ways.shun(attempt.way, now) } else { self.desk.ways.serves(attempt.way) }
        }
        let is_past_us = self.calls.get(slot as usize).and_then(Option::as_ref).is_some_and(|call| call.is_past_us);
        let mut body = without_media(&response).filter(|_| !is_past_us);
        let before = self.calls.get(slot as usize).and_then(Option::as_deref).map(Before::of);
        if let Some(Some(call)) = self.calls.get_mut(slot as usize)
            && status < 300
        {
            call.saw(from.other(), &response);
            let dialog = known.or_else(|| {
                let tag = response.to().ok().and_then(|to| to.tag())?;
                let dialog = call.dialog_of_answer(tag);
                if dialog.is_none() {
                    self.desk.tallies.forks_refused += 1;
                }
                dialog
            });
            if let (Kind::First, Some(at), 200..) = (kind, dialog, status)
                && call.revive(at)
                && let Some(pending) = self.pending.get_mut(&server)
            {
                pending.described.retain(|&(of, _)| of != at);
            }
            if let (Some(at), Some(place)) = (dialog, sdp_of(&response).filter(|_| !is_past_us))
                && let Ok(sdp) = read(&response, &place)
            {
                let description = response.body().get(place.clone()).unwrap_or_default();
                let pending = self.pending.get(&server);
                let is_again = pending.is_some_and(|pending| pending.knows(at, description));
                let is_first = pending.is_some_and(|pending| pending.described.iter().all(|&(of, _)| of != at));
                let offer = pending.and_then(|pending| pending.offer.clone());
                let stood = (kind == Kind::Invite && status < 200).then(|| call.dialogs.get(at).map(Dialog::stands)).flatten();
                let role = match Role::after(offer.as_ref(), is_again) {
                    // One that comes again, or after a provisional response had one, says what that said.
                    Role::Offer if kind == Kind::Invite && status >= 200 && is_first => Role::OfferAsked,
                    role @ (Role::Offer | Role::OfferAsked | Role::Answer(_) | Role::Again(_)) => role,
                };
                match call.anchor(from, Some(at), &sdp, role, &mut self.desk, now) {
                    Ok(anchored) => {
                        let pending = self.pending.get_mut(&server);
                        let news = pending.and_then(|pending| pending.is_news(at, description).then(|| pending.offer.clone()));
                        body = Some(with(&response, place, anchored));
                        let answer = call.session(&sdp, &self.desk);
                        match news {
                            Some(Some(offer)) => {
                                call.agree(at, Agreed { offerer: from, offer, answer }, &mut self.desk, now);
                                if let (Some(pending), Some(stood)) = (self.pending.get_mut(&server), stood) {
                                    let agreements = call.dialogs.get(at).map_or(0, |dialog| dialog.agreements);
                                    pending.before.get_or_insert(stood).left_at(agreements);
                                }
                            }
                            Some(None) => {
                                if let Some(dialog) = call.dialogs.get_mut(at) {
                                    dialog.late_offer = Some(answer);
                                }
                            }
                            None => {}
                        }
                    }
                    Err(_) => self.desk.tallies.forks_refused += 1,
                }
            }
            if let (Kind::First, Some(at), 200..) = (kind, dialog, status) {
                call.index(&response, &self.desk.config.indexed);
                call.accept(at, &response, &mut self.desk, now);
            }
            if status >= 200 && kind != Kind::Bye {
                call.asserts(from.other(), &response, &mut self.desk, now);
            }
            let refreshes = response.cseq().is_ok_and(|cseq| matches!(cseq.method, Method::Invite | Method::Update));
            if status >= 200 && refreshes {
                call.refreshed(session_timer::interval(&response), now);
            }
        }
        self.desk.stack.handle(sip::Input::PassResponse { server, response, body }, now);
        if status >= 300
            && let Some(Some(call)) = self.calls.get_mut(slot as usize)
            && let Some((at, stood)) = known.zip(self.pending.get_mut(&server).and_then(|pending| pending.before.take()))
        {
            call.go_back(at, stood, &mut self.desk, now);
        }
        if let Some(before) = before {
            self.keep(slot, before, now);
        }
        match (kind, status) {
            (Kind::First, 200..300) => {
                self.desk.guard.rings_no_longer(slot);
                self.was_answered(slot);
            }
            (Kind::First, 300..) => self.end_call(slot, Reason::of_status(status), EndReason::CallFailed, now),
            // A challenge to a BYE ends nothing: it is sent again with credentials.
            (Kind::Bye, 401 | 407) => {
                if let Some(dialog) = known {
                    self.with_slot(slot, now, |call, desk| call.bye_came_back(dialog, desk));
                }
            }
            (Kind::Bye, 200..) => self.end_dialog(slot, known, from, now),
            // A BYE is on its way, which has crossed this: its own answer ends the dialog, and says who hung up.
            (Kind::Invite, 408 | 481) if self.awaits_bye(slot, known) => {}
            // The far end knows no such dialog, or is gone (RFC 5057 §5.1): no BYE need come.
            (Kind::Invite, 408 | 481) => self.end_dialog(slot, known, from.other(), now),
            (Kind::First | Kind::Bye | Kind::Invite | Kind::Other, _) => {}
        }
    }

    /// A request is over. A first INVITE whose 2xx named no dialog leaves a call that no BYE could ever end.
    fn on_ended(&mut self, server: ServerKey, now: Moment) {
        let Some(pending) = self.pending.remove(&server).filter(|pending| pending.kind == Kind::First) else { return };
        if let Some(&slot) = self.by_id.get(&pending.call)
            && let Some(Some(call)) = self.calls.get(slot as usize)
            && call.state == State::Ringing
        {
            self.end_call(slot, Reason::Failed, EndReason::CallFailed, now);
        }
    }

    fn on_failed(&mut self, server: ServerKey, status: u16, now: Moment) {
        let Some(pending) = self.pending.remove(&server) else { return };
        if let Some(attempt) = pending.attempt.as_ref().filter(|_| matches!(status, 408 | 503) && pending.described.is_empty()) {
            self.desk.ways.shun(attempt.way, now);
        }
        let Some(&slot) = self.by_id.get(&pending.call) else { return };
        if let (Some(at), Some(stood)) = (pending.dialog, pending.before) {
            self.with_slot(slot, now, |call, desk| call.go_back(at, stood, desk, now));
        }
        match pending.kind {
            Kind::First => self.end_call(slot, Reason::of_status(status), EndReason::CallFailed, now),
            Kind::Bye => self.end_dialog(slot, pending.dialog, pending.from, now),
            // Nobody answered within the dialog: it is over, as if the far end had said 408 (RFC 5057 §5.1).
            Kind::Invite if status == 408 && !self.awaits_bye(slot, pending.dialog) => {
                self.end_dialog(slot, pending.dialog, pending.from.other(), now);
            }
            Kind::Invite | Kind::Other => {}
        }
    }

    // ── calls ──────────────────────────────────────────────────────────────────────────────────────────────────────

    /// Returns the call, the dialog and the leg whose tag the sender used: by the handle in the request's way, where there is one. Else, of
    /// two calls with the same tags, as where a trunk sends a call of the PBX's back, the one in which they are the sender's.
    ///
    /// # Errors
    /// The handle is none of ours for a call with this Call-ID.
    fn find(&self, request: &Message, to_tag: &[u8], source: Source, came: Flow) -> Result<Option<(u32, usize, Leg)>, Forged> {
        let from_tag = request.from().ok().and_then(|from| from.tag()).unwrap_or_default();
        let in_slot = |&slot: &u32| {
            let call = self.calls.get(slot as usize)?.as_ref()?;
            call.dialog_of_request(from_tag, to_tag).map(|(dialog, sender)| (slot, dialog, sender))
        };
        if let Some(named) = self.desk.named_call(request)? {
            return Ok(self.by_id.get(&named).and_then(in_slot));
        }
        let slots = request.call_id().ok().and_then(|call_id| self.by_call_id.get(call_id));
        let mut found = slots.into_iter().flatten().filter_map(in_slot);
        let Some(first) = found.next() else { return Ok(None) };
        let is_spoken = |&(slot, _, sender): &(u32, usize, Leg)| self.is_spoken_by(slot, sender, source, came);
        Ok(Some(if is_spoken(&first) { first } else { found.find(is_spoken).unwrap_or(first) }))
    }

    /// Whether the party on this leg of a call is who sends this way.
    fn is_spoken_by(&self, slot: u32, sender: Leg, source: Source, came: Flow) -> bool {
        let trunk_of_call = self.calls.get(slot as usize).and_then(Option::as_ref).map(|call| call.trunk_at);
        let is_its_own = |at| Some(at) == trunk_of_call || trunk_of_call.is_some_and(|of_call| self.desk.may_be(of_call, came));
        sender == source.leg() && trunk_of(source).is_none_or(is_its_own)
    }

    fn operate(&mut self, call: CallId, deed: Deed, now: Moment) {
        let mut answer = Err(NotDone::NoSuchCall);
        self.with_call(call, now, |call, desk| answer = call.operated(deed, Doer::Operator, desk, now));
        self.desk.out(Output::Answer { call, deed, answer });
    }

    fn with_call(&mut self, call: CallId, now: Moment, act: impl FnOnce(&mut Call, &mut Desk)) {
        if let Some(&slot) = self.by_id.get(&call) {
            self.with_slot(slot, now, act);
        }
    }

    /// Lets something happen to a call, and keeps its timer and its end.
    fn with_slot(&mut self, slot: u32, now: Moment, act: impl FnOnce(&mut Call, &mut Desk)) {
        let Some(Some(call)) = self.calls.get_mut(slot as usize) else { return };
        let before = Before::of(call);
        act(call, &mut self.desk);
        self.keep(slot, before, now);
    }

    /// Sees to the timer and the end of a call to which something happened.
    fn keep(&mut self, slot: u32, before: Before, now: Moment) {
        let Some(Some(call)) = self.calls.get(slot as usize) else { return };
        let after = Before::of(call);
        if after.mark.is_some()
            && after.mark != before.mark
            && let Some(kept) = Kept::of(call, &self.desk)
        {
            self.desk.out(Output::Keep(Box::new(kept)));
            if let Some(Some(call)) = self.calls.get_mut(slot as usize) {
                call.is_kept = true;
            }
        }
        let Some(Some(call)) = self.calls.get(slot as usize) else { return };
        if before.deadline != after.deadline {
            if let Some(at) = before.deadline {
                self.timers.remove(&(at, slot));
            }
            if let Some(at) = after.deadline {
                self.timers.insert((at, slot));
            }
        }
        let hangs_up = call.consent.as_ref().is_some_and(|consent| consent.terms().without_consent == WithoutConsent::HangUp);
        if call.is_expired() {
            if let Some(Some(call)) = self.calls.get_mut(slot as usize) {
                call.died(Reason::SessionExpired, &mut self.desk);
            }
            self.hang_up(slot, Reason::SessionExpired, EndReason::Silent, now);
        } else if call.is_given_up(now) {
            self.end_call(slot, Reason::Failed, EndReason::CallFailed, now);
        } else if call.may_not_go_on(now) {
            let reason = if call.reason() == Reason::Quota { Reason::Quota } else { Reason::VaultUnavailable };
            self.hang_up(slot, reason, EndReason::Mandatory, now);
        } else if after.is_refused && !before.is_refused && hangs_up {
            self.hang_up(slot, Reason::EndedBeforeConsent, EndReason::Stopped, now);
        }
    }

    /// Nothing comes from both parties, or from one, for as long as is configured. Only a call that nobody is heard in is ever ended.
    fn fell_silent(&mut self, id: BridgeId, who: Silence, now: Moment) {
        let Some(&slot) = self.by_id.get(&id.call) else { return };
        let call = self.calls.get(slot as usize).and_then(Option::as_ref);
        if call.is_none_or(|call| call.state != (State::Up { dialog: id.dialog.into() })) {
            return;
        }
        let then = match (who, self.desk.config.dead) {
            // Whoever called for help may be unable to speak.
            (Silence::Both, Some(_)) if call.is_some_and(|call| call.is_emergency) => WhenDead::Mark,
            (Silence::Both, Some(dead)) => dead.then,
            (Silence::One(_), _) | (Silence::Both, None) => WhenDead::Mark,
        };
        self.desk.out(Output::Silent { call: id.call, who, then });
        if who == Silence::Both && then == WhenDead::Mark {
            return self.with_slot(slot, now, |call, _| call.fell_silent());
        }
        if then == WhenDead::End {
            self.with_slot(slot, now, |call, desk| call.died(Reason::DeadMedia, desk));
            self.hang_up(slot, Reason::DeadMedia, EndReason::Silent, now);
        }
    }

    /// Ends a call ourselves: BYE on both halves of its dialog.
    fn hang_up(&mut self, slot: u32, reason: Reason, why: EndReason, now: Moment) {
        let Some(Some(call)) = self.calls.get(slot as usize) else { return };
        let State::Up { dialog } = call.state else { return };
        for leg in Leg::BOTH {
            if let Some((uri, request)) = hangup::bye(call, dialog, leg, |route| self.desk.is_our_route(route)) {
                let address = Uri::parse(&uri).ok().and_then(|uri| {
                    let transport = Transport::of_uri(&uri)?;
                    Some((transport, uri.socket_addr(transport.default_port())?))
                });
                let to = self.desk.reach(address, leg, Some(call.trunk_at), call.way_to(leg));
                self.desk.stack.handle(sip::Input::Originate { to, request }, now);
            }
        }
        self.end_call(slot, reason, why, now);
    }

    fn awaits_bye(&self, slot: u32, dialog: Option<usize>) -> bool {
        let call = self.calls.get(slot as usize).and_then(Option::as_ref);
        call.zip(dialog).is_some_and(|(call, dialog)| call.has_bye_on_its_way(dialog))
    }

    /// A dialog is over: with it the call, or only a fork of it.
    fn end_dialog(&mut self, slot: u32, dialog: Option<usize>, by: Leg, now: Moment) {
        let Some(Some(call)) = self.calls.get_mut(slot as usize) else { return };
        match dialog {
            Some(dialog) if !call.is_ended_by(dialog) => {
                self.with_slot(slot, now, |call, desk| call.leave(dialog, by, desk, now));
            }
            Some(_) | None => {
                let by = dialog.map_or(by, |dialog| call.hung_up_first(dialog, by));
                self.end_call(slot, Reason::EndedBeforeConsent, EndReason::HungUp(by), now);
            }
        }
    }

    fn end_call(&mut self, slot: u32, reason: Reason, why: EndReason, now: Moment) {
        let Some(mut call) = self.calls.get_mut(slot as usize).and_then(Option::take) else { return };
        self.leaves(&call);
        if call.is_kept && why != EndReason::Shutdown {
            self.desk.out(Output::Forget(call.id));
        }
        if let Some(at) = call.deadline() {
            self.timers.remove(&(at, slot));
        }
        call.end(reason, why, &mut self.desk, now);
        self.desk.guard.rings_no_longer(slot);
        self.live -= 1;
        self.free.push(slot);
        self.by_id.remove(&call.id);
        if let Some(slots) = self.by_call_id.get_mut(&call.call_id) {
            slots.retain(|&other| other != slot);
            if slots.is_empty() {
                self.by_call_id.remove(&call.call_id);
            }
        }
    }
}

/// How a call stood before something happened to it.
#[derive(Clone, Copy)]
struct Before {
    deadline: Option<Moment>,
    is_refused: bool,
    mark: Option<Mark>,
}

impl Before {
    fn of(call: &Call) -> Self {
        Self { deadline: call.deadline(), is_refused: call.is_refused(), mark: Mark::of(call) }
    }
}

/// Why a call that must be recorded is refused where it cannot be (RFC 3326, RFC 6432: Q.850 in a response): "resource unavailable".
const UNRECORDABLE: &str = "Q.850;cause=47;text=\"recording unavailable\"";

/// Seconds after which a refused call may be tried again: a few calls end in that time, even on a small box.
const RETRY_AFTER_S: u32 = 5;

/// Seconds within which those that were refused for overload come back, after [`RETRY_AFTER_S`]: 5 to 15 s.
const OVERLOAD_SPREAD_S: u64 = 11;

/// Seconds after which a call that was refused because we are to stop may be tried again: by then another proxy, or a newer one, may run.
const DRAINED_AFTER_S: u32 = 30;

/// What a first INVITE offers, and its body as it goes on; nothing where it offers nothing.
type Offered = (Option<Session>, Option<Bytes>);

/// Anchors the first offer, and makes the first dialog with its ports: so that a call that cannot have them is refused now.
fn first_offer(call: &mut Call, request: &Message, desk: &mut Desk, now: Moment) -> Result<Offered, (Reason, Option<Extra>)> {
    call.dialogs.push(Dialog::new(None, Vec::new()));
    if let (Some(dialog), Ok(cseq)) = (call.dialogs.first_mut(), request.cseq()) {
        dialog.cseq = by_leg(call.direction.caller(), cseq.number);
    }
    let Some(at) = sdp_of(request) else {
        return if is_hidden(request) { Err((Reason::BadOffer, refusal(request).1)) } else { Ok((None, None)) };
    };
    let sdp = read(request, &at).map_err(|_| (Reason::BadOffer, None))?;
    let session = call.session(&sdp, desk);
    let body = call.anchor(call.callee(), None, &sdp, Role::Offer, desk, now).map_err(|why| match why {
        NotAnchored::NoPorts => (Reason::PortsExhausted, None),
        NotAnchored::PointsAtItself | NotAnchored::Escapes | NotAnchored::NotSecured(_) => (Reason::BadOffer, why.warning()),
    })?;
    call.reserve(&session, desk).map_err(|_| (Reason::PortsExhausted, None))?;
    Ok((Some(session), Some(with(request, at, body))))
}

/// Lets a call begin anew on another trunk, and anchors its offer for that one.
fn take_other_trunk(call: &mut Call, trunk_at: usize, desk: &mut Desk, now: Moment) -> Result<Offered, (Reason, Option<Extra>)> {
    let Some((trunk, _)) = desk.config.peers.trunks.get(trunk_at).cloned() else { return Err((Reason::Failed, None)) };
    let (calling, called) = (call.parties.calling.reveal(), call.parties.called.reveal());
    let of_trunk = Policy::first(&desk.config.policies, &trunk, call.direction, calling, called, desk.wall(now));
    let of_trunk = of_trunk.filter(|_| !call.is_emergency).map(Arc::clone);
    let policy = if call.keeps_policy { call.policy.clone() } else { of_trunk };
    call.start_over((trunk_at, trunk), policy, desk);
    desk.out(Output::Story(Box::new(call.story(None))));
    // Another policy, of another trunk, may be the first that wants to know.
    call.consult(desk, now);
    let request = call.invite.clone();
    first_offer(call, &request, desk, now).or_else(|refused| {
        call.is_past_us = call.is_emergency;
        if call.is_past_us { Ok((None, None)) } else { Err(refused) }
    })
}

fn live(call: &Call) -> Live {
    Live {
        call: call.id,
        began: call.began,
        before: call.before,
        direction: call.direction,
        trunk: call.trunk.clone(),
        policy: call.policy_name(),
        is_up: matches!(call.state, State::Up { .. }),
        consent: call.consent.as_ref().map(crate::consent::Consent::standing),
        is_recording: call.is_recording(),
        pause_ends: call.pause_ends(),
        recording: call.story(None).recording,
        reason: call.reason(),
        parties: call.parties.clone(),
    }
}

const fn trunk_of(source: Source) -> Option<usize> {
    match source {
        Source::Pbx => None,
        Source::Trunk(at) => Some(at),
    }
}

/// The CSeq numbers of a dialog whose first request came from this leg.
const fn by_leg(leg: Leg, number: u32) -> [u32; 2] {
    match leg {
        Leg::Pbx => [number, 0],
        Leg::Trunk => [0, number],
    }
}

/// Whether a description in such a request is an offer or an answer (RFC 3261 §13.2.1, RFC 3262 §5, RFC 3311).
const fn may_describe(method: Method<'_>) -> bool {
    matches!(method, Method::Invite | Method::Update | Method::Prack)
}

fn info_digit(request: &Message) -> Option<Digit> {
    dtmf::parse_info(request.value(Name::ContentType)?, request.body())
}
