//! All calls, and the door to them: messages and events in; messages, orders and stories out.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

use super::anchor::{self, Session};
use super::desk::{Desk, Within};
use super::dialog::{Agreed, Dialog};
use super::door::{Config, Input, Live, Output, Tallies};
use super::hangup;
use super::life::{Beginning, Call, NotAnchored, State};
use super::peers::Source;
use super::policy::Policy;
use super::story::Reason;
use crate::consent::{How, Parties, WithoutConsent};
use crate::digit::Digit;
use crate::ids::{CallId, Direction, Leg};
use crate::limits;
use crate::media;
use crate::private::Private;
use crate::sip::{self, ServerKey, Stack};
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
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    First,
    Invite,
    Bye,
    Other,
}

impl Table {
    /// Makes an empty table. `seed` must come from the system's random source: call and recording ids are drawn from it.
    #[must_use]
    pub fn new(config: Config, seed: u64, now: Moment) -> Self {
        let stack = Stack::new(config.sip, seed, now);
        let desk = Desk::new(config, stack, seed);
        let mut table = Self {
            calls: Vec::new(),
            free: Vec::new(),
            by_call_id: HashMap::new(),
            by_id: HashMap::new(),
            pending: HashMap::new(),
            timers: BTreeSet::new(),
            live: 0,
            desk,
        };
        table.desk.restock();
        table
    }

    /// Takes an input; what follows from it is polled.
    pub fn handle(&mut self, input: Input, now: Moment) {
        match input {
            Input::Datagram { from, bytes } => {
                if self.desk.config.peers.source(from).is_some() {
                    self.desk.stack.handle(sip::Input::Datagram { from, bytes }, now);
                } else {
                    self.desk.refuse_stranger(from, bytes);
                }
            }
            Input::Unreachable { to } => self.desk.stack.handle(sip::Input::Unreachable { to }, now),
            Input::Media(event) => {
                let call = match &event {
                    media::Event::Played { id, .. }
                    | media::Event::Cut { id, .. }
                    | media::Event::Digit { id, .. }
                    | media::Event::Closed { id, .. } => id.call,
                };
                self.with_call(call, now, |call, desk| call.heard(event, desk, now));
            }
            Input::VaultFailed(call) => self.with_call(call, now, |call, desk| call.vault_failed(desk)),
            Input::Ports(pairs) => {
                for pair in pairs {
                    self.desk.stock_of(pair.leg).push(pair);
                }
            }
            Input::Clocks(moment, wall) => self.desk.config.clocks = (moment, wall),
        }
        self.pump(now);
        self.desk.restock();
    }

    /// Returns the next thing to be done.
    pub fn poll(&mut self) -> Option<Output> {
        self.desk.out.pop_front()
    }

    /// Returns when to call [`Table::wake`].
    #[must_use]
    pub fn deadline(&self) -> Option<Moment> {
        let ours = self.timers.first().map(|&(at, _)| at);
        [ours, self.desk.stack.deadline()].into_iter().flatten().min()
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

    /// Returns the stack, for its tallies.
    #[must_use]
    pub const fn stack(&self) -> &Stack {
        &self.desk.stack
    }

    // ── what the stack says ────────────────────────────────────────────────────────────────────────────────────────

    fn pump(&mut self, now: Moment) {
        while let Some(output) = self.desk.stack.poll() {
            match output {
                sip::Output::Send { to, bytes } => self.desk.out(Output::Send { to, bytes }),
                sip::Output::Request { server, request, from } => self.on_request(server, &request, from, now),
                sip::Output::Ack { server, request, from } => self.on_ack(server, &request, from, now),
                sip::Output::Response { server, response, from: _ } => self.on_response(server, response, now),
                sip::Output::Failed { server, status } => self.on_failed(server, status, now),
                sip::Output::Ended { server } => drop(self.pending.remove(&server)),
                sip::Output::Cancelled { .. } | sip::Output::OwnResponse { .. } | sip::Output::Dropped { .. } => {}
            }
        }
    }

    fn on_request(&mut self, server: ServerKey, request: &Message, from: SocketAddr, now: Moment) {
        let Some(source) = self.desk.config.peers.source(from) else { return };
        let to_tag = request.to().ok().and_then(|to| to.tag());
        match (request.method(), to_tag) {
            (Method::Invite, None) => self.on_call(server, request, source, now),
            (method, Some(to_tag)) => self.on_request_in_dialog(server, request, method, to_tag, source, now),
            (_, None) => {
                self.desk.tallies.passed += 1;
                let to = self.desk.target(request, source.leg().other(), trunk_of(source), Within::Nothing);
                self.desk.stack.handle(sip::Input::Forward { server, to, body: None }, now);
            }
        }
    }

    /// A new call.
    fn on_call(&mut self, server: ServerKey, request: &Message, source: Source, now: Moment) {
        let direction = match source {
            Source::Pbx => Direction::Outbound,
            Source::Trunk(_) => Direction::Inbound,
        };
        let (Ok(call_id), Ok(from)) = (request.call_id(), request.from()) else { return };
        let number = |uri: Option<Uri<'_>>| uri.and_then(|uri| uri.number()).unwrap_or_default();
        let called = number(request.request_uri().and_then(|uri| Uri::parse(uri).ok()));
        let calling = number(from.address().ok());
        let trunk_at = trunk_of(source).unwrap_or(0);
        let Some((trunk, _)) = self.desk.config.peers.trunks.get(trunk_at).cloned() else { return };
        let policy =
            Policy::first(&self.desk.config.policies, &trunk, direction, calling.reveal(), called.reveal()).map(Arc::clone);
        let slot = self.free.pop().unwrap_or_else(|| {
            self.calls.push(None);
            u32::try_from(self.calls.len() - 1).expect("limits::CALLS is far below 2^32")
        });
        let call = Call::begin(
            Beginning {
                id: CallId::from_u64(self.desk.draw()),
                slot,
                recording: self.desk.draw_recording(),
                direction,
                trunk: (trunk_at, trunk),
                policy,
                parties: Parties { calling, called, call_id: Private::new(String::from_utf8_lossy(call_id).into_owned()) },
                call_id: Bytes::copy_from_slice(call_id),
                caller_tag: Bytes::copy_from_slice(from.tag().unwrap_or_default()),
                invite: request.clone(),
            },
            now,
        );
        let id = call.id;
        let is_full = self.live >= limits::CALLS;
        self.live += 1;
        self.by_call_id.entry(call.call_id.clone()).or_default().push(slot);
        self.by_id.insert(id, slot);
        let story = Output::Story(Box::new(call.story(None)));
        if let Some(place) = self.calls.get_mut(slot as usize) {
            *place = Some(Box::new(call));
        }
        self.desk.out(story);
        if is_full {
            return self.refuse(server, slot, 503, Reason::Overload, now);
        }

        let outcome = match self.calls.get_mut(slot as usize) {
            Some(Some(call)) => first_offer(call, request, &mut self.desk),
            Some(None) | None => return,
        };
        match outcome {
            Ok((offer, body)) => {
                let to = self.desk.target(request, direction.caller().other(), Some(trunk_at), Within::Nothing);
                self.pending
                    .insert(server, Pending { call: id, dialog: None, from: direction.caller(), kind: Kind::First, offer });
                self.desk.stack.handle(sip::Input::Forward { server, to, body }, now);
            }
            Err(Reason::BadOffer) => self.refuse(server, slot, 488, Reason::BadOffer, now),
            Err(reason) => self.refuse(server, slot, 503, reason, now),
        }
    }

    /// Answers a new call ourselves.
    fn refuse(&mut self, server: ServerKey, slot: u32, status: u16, reason: Reason, now: Moment) {
        let extra = if status == 503 { vec![("Retry-After", RETRY_AFTER_S.to_string())] } else { Vec::new() };
        self.desk.stack.handle(sip::Input::Reply { server, status, extra }, now);
        self.end_call(slot, reason, EndReason::CallFailed, now);
    }

    fn on_request_in_dialog(
        &mut self,
        server: ServerKey,
        request: &Message,
        method: Method<'_>,
        to_tag: &[u8],
        source: Source,
        now: Moment,
    ) {
        let found = self.find(request, to_tag);
        let Some((slot, dialog, sender)) = found else {
            // A dialog that we do not know: its media cannot be anchored, so it may not begin a new description through us; what
            // carries none passes, so that a call which outlived a restart can be hung up.
            if matches!(method, Method::Invite | Method::Update) {
                self.desk.stack.handle(sip::Input::Reply { server, status: 481, extra: Vec::new() }, now);
            } else {
                self.desk.tallies.passed += 1;
                let to = self.desk.target(request, source.leg().other(), trunk_of(source), Within::Dialog);
                self.desk.stack.handle(sip::Input::Forward { server, to, body: None }, now);
            }
            return;
        };
        if sender != source.leg() {
            // Somebody speaks in the other party's name: a forged BYE, say.
            self.desk.tallies.not_of_the_dialog += 1;
            self.desk.stack.handle(sip::Input::Reply { server, status: 481, extra: Vec::new() }, now);
            return;
        }
        let digit = (method == Method::Info).then(|| info_digit(request)).flatten();
        let Some(Some(call)) = self.calls.get_mut(slot as usize) else { return };
        if let (Some(dialog), Ok(cseq)) = (call.dialogs.get_mut(dialog), request.cseq()) {
            dialog.saw(sender, cseq.number);
        }
        let (id, trunk_at) = (call.id, call.trunk_at);
        let anchored = match sdp_of(request) {
            None => Ok((None, None)),
            Some(body) => match anchor::read(body) {
                Err(anchor::Unreadable) => Err(488),
                Ok(sdp) => call
                    .anchor(sender.other(), Some(dialog), &sdp, &mut self.desk)
                    .map(|body| (Some(Session::of(&sdp)), Some(Bytes::from(body))))
                    .map_err(NotAnchored::status),
            },
        };
        let (session, body) = match anchored {
            Ok(anchored) => anchored,
            Err(status) => {
                self.desk.stack.handle(sip::Input::Reply { server, status, extra: Vec::new() }, now);
                return;
            }
        };
        // PRACK may carry the answer to an offer that came in a reliable provisional response (RFC 3262 §5).
        let late = call.dialogs.get_mut(dialog).filter(|_| method == Method::Prack).and_then(|dialog| dialog.late_offer.take());
        let offer = match (session, late) {
            (Some(answer), Some(offer)) => {
                call.agree(dialog, Agreed { offerer: sender.other(), offer, answer }, &mut self.desk, now);
                None
            }
            (session, _) => session,
        };
        let kind = if method == Method::Bye {
            Kind::Bye
        } else if method == Method::Invite {
            Kind::Invite
        } else {
            Kind::Other
        };
        self.pending.insert(server, Pending { call: id, dialog: Some(dialog), from: sender, kind, offer });
        let to = self.desk.target(request, sender.other(), Some(trunk_at), Within::Dialog);
        self.desk.stack.handle(sip::Input::Forward { server, to, body }, now);
        if let Some(digit) = digit {
            self.with_slot(slot, now, |call, desk| call.pressed(sender, digit, How::KeyByInfo, desk, now));
        }
    }

    fn on_ack(&mut self, server: ServerKey, request: &Message, from: SocketAddr, now: Moment) {
        let Some(source) = self.desk.config.peers.source(from) else { return };
        let found = request.to().ok().and_then(|to| to.tag()).and_then(|to_tag| self.find(request, to_tag));
        let Some((slot, dialog, sender)) = found.filter(|&(_, _, sender)| sender == source.leg()) else {
            let to = self.desk.target(request, source.leg().other(), trunk_of(source), Within::Dialog);
            self.desk.stack.handle(sip::Input::Forward { server, to, body: None }, now);
            return;
        };
        let Some(Some(call)) = self.calls.get_mut(slot as usize) else { return };
        let trunk_at = call.trunk_at;
        let mut body = None;
        if let Some(sdp) = sdp_of(request).and_then(|body| anchor::read(body).ok())
            && let Ok(anchored) = call.anchor(sender.other(), Some(dialog), &sdp, &mut self.desk)
        {
            body = Some(Bytes::from(anchored));
            let offer = call.dialogs.get_mut(dialog).and_then(|dialog| dialog.late_offer.take());
            if let Some(offer) = offer {
                let answer = Session::of(&sdp);
                call.agree(dialog, Agreed { offerer: sender.other(), offer, answer }, &mut self.desk, now);
            }
        }
        let to = self.desk.target(request, sender.other(), Some(trunk_at), Within::Dialog);
        self.desk.stack.handle(sip::Input::Forward { server, to, body }, now);
        self.with_slot(slot, now, |call, desk| call.confirm(dialog, desk, now));
    }

    fn on_response(&mut self, server: ServerKey, response: Message, now: Moment) {
        let status = response.status().unwrap_or(500);
        let pending = self.pending.get(&server).and_then(|pending| {
            let slot = *self.by_id.get(&pending.call)?;
            Some((slot, pending.kind, pending.from, pending.dialog))
        });
        let Some((slot, kind, from, known)) = pending else {
            self.desk.stack.handle(sip::Input::PassResponse { server, response, body: None }, now);
            return;
        };
        let mut body = None;
        if let Some(Some(call)) = self.calls.get_mut(slot as usize)
            && status < 300
        {
            let dialog = known.or_else(|| {
                let tag = response.to().ok().and_then(|to| to.tag())?;
                let dialog = call.dialog_of_answer(tag);
                if dialog.is_none() {
                    self.desk.tallies.forks_refused += 1;
                }
                dialog
            });
            if let (Some(at), Some(sdp)) = (dialog, sdp_of(&response).and_then(|body| anchor::read(body).ok())) {
                match call.anchor(from, Some(at), &sdp, &mut self.desk) {
                    Ok(anchored) => {
                        body = Some(Bytes::from(anchored));
                        let answer = Session::of(&sdp);
                        match self.pending.get(&server).and_then(|pending| pending.offer.clone()) {
                            Some(offer) => call.agree(at, Agreed { offerer: from, offer, answer }, &mut self.desk, now),
                            None => {
                                if let Some(dialog) = call.dialogs.get_mut(at) {
                                    dialog.late_offer = Some(answer);
                                }
                            }
                        }
                    }
                    Err(_) => self.desk.tallies.forks_refused += 1,
                }
            }
            if let (Kind::First, Some(at), 200..) = (kind, dialog, status) {
                call.accept(at, &response, &mut self.desk);
            }
        }
        self.desk.stack.handle(sip::Input::PassResponse { server, response, body }, now);
        match (kind, status) {
            (Kind::First, 300..) => self.end_call(slot, Reason::of_status(status), EndReason::CallFailed, now),
            // A challenge to a BYE ends nothing: it is sent again with credentials.
            (Kind::Bye, 200..=400 | 402..=406 | 408..) => {
                self.end_call(slot, Reason::EndedBeforeConsent, EndReason::HungUp(from), now);
            }
            (Kind::First | Kind::Bye | Kind::Invite | Kind::Other, _) => {}
        }
    }

    fn on_failed(&mut self, server: ServerKey, status: u16, now: Moment) {
        let Some(pending) = self.pending.remove(&server) else { return };
        let Some(&slot) = self.by_id.get(&pending.call) else { return };
        match pending.kind {
            Kind::First => self.end_call(slot, Reason::of_status(status), EndReason::CallFailed, now),
            Kind::Bye => self.end_call(slot, Reason::EndedBeforeConsent, EndReason::HungUp(pending.from), now),
            Kind::Invite | Kind::Other => {}
        }
    }

    // ── calls ──────────────────────────────────────────────────────────────────────────────────────────────────────

    /// Returns the call, the dialog and the leg whose tag the sender used.
    fn find(&self, request: &Message, to_tag: &[u8]) -> Option<(u32, usize, Leg)> {
        let from_tag = request.from().ok().and_then(|from| from.tag()).unwrap_or_default();
        self.by_call_id.get(request.call_id().ok()?)?.iter().find_map(|&slot| {
            let call = self.calls.get(slot as usize)?.as_ref()?;
            call.dialog_of_request(from_tag, to_tag).map(|(dialog, sender)| (slot, dialog, sender))
        })
    }

    fn with_call(&mut self, call: CallId, now: Moment, act: impl FnOnce(&mut Call, &mut Desk)) {
        if let Some(&slot) = self.by_id.get(&call) {
            self.with_slot(slot, now, act);
        }
    }

    /// Lets something happen to a call, and keeps its timer and its end.
    fn with_slot(&mut self, slot: u32, now: Moment, act: impl FnOnce(&mut Call, &mut Desk)) {
        let Some(Some(call)) = self.calls.get_mut(slot as usize) else { return };
        let (before, asked) = (call.deadline(), call.is_refused());
        act(call, &mut self.desk);
        let (after, refused) = (call.deadline(), call.is_refused());
        if before != after {
            if let Some(at) = before {
                self.timers.remove(&(at, slot));
            }
            if let Some(at) = after {
                self.timers.insert((at, slot));
            }
        }
        let hangs_up = call.consent.as_ref().is_some_and(|consent| consent.terms().without_consent == WithoutConsent::HangUp);
        if refused && !asked && hangs_up {
            self.hang_up(slot, now);
        }
    }

    /// Ends a call ourselves: BYE on both halves of its dialog.
    fn hang_up(&mut self, slot: u32, now: Moment) {
        let Some(Some(call)) = self.calls.get(slot as usize) else { return };
        let State::Up { dialog } = call.state else { return };
        for leg in Leg::BOTH {
            if let Some((uri, request)) = hangup::bye(call, dialog, leg) {
                let address = Uri::parse(&uri).ok().and_then(|uri| uri.socket_addr(SIP_PORT));
                let to = self.desk.reach(address, leg, Some(call.trunk_at));
                self.desk.stack.handle(sip::Input::Originate { to, request }, now);
            }
        }
        self.end_call(slot, Reason::EndedBeforeConsent, EndReason::Stopped, now);
    }

    fn end_call(&mut self, slot: u32, reason: Reason, why: EndReason, now: Moment) {
        let Some(mut call) = self.calls.get_mut(slot as usize).and_then(Option::take) else { return };
        if let Some(at) = call.deadline() {
            self.timers.remove(&(at, slot));
        }
        call.end(reason, why, &mut self.desk, now);
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

/// Where SIP over UDP is spoken unless a URI says otherwise (RFC 3261 §19.1.2).
const SIP_PORT: u16 = 5060;

/// Seconds after which a refused call may be tried again: a few calls end in that time, even on a small box.
const RETRY_AFTER_S: u32 = 5;

/// Anchors the first offer, and makes the first dialog with its ports: so that a call that cannot have them is refused now.
fn first_offer(call: &mut Call, request: &Message, desk: &mut Desk) -> Result<(Option<Session>, Option<Bytes>), Reason> {
    call.dialogs.push(Dialog::new(None, Vec::new()));
    if let (Some(dialog), Ok(cseq)) = (call.dialogs.first_mut(), request.cseq()) {
        dialog.saw(call.direction.caller(), cseq.number);
    }
    let Some(body) = sdp_of(request) else { return Ok((None, None)) };
    let sdp = anchor::read(body).map_err(|_| Reason::BadOffer)?;
    let session = Session::of(&sdp);
    let body = call.anchor(call.callee(), None, &sdp, desk).map_err(|why| match why {
        NotAnchored::NoPorts => Reason::PortsExhausted,
        NotAnchored::PointsAtItself => Reason::BadOffer,
    })?;
    call.reserve(&session, desk).map_err(|_| Reason::PortsExhausted)?;
    Ok((Some(session), Some(Bytes::from(body))))
}

fn live(call: &Call) -> Live {
    Live {
        call: call.id,
        began: call.began,
        direction: call.direction,
        trunk: call.trunk.clone(),
        policy: call.policy_name(),
        is_up: matches!(call.state, State::Up { .. }),
        consent: call.consent.as_ref().map(crate::consent::Consent::standing),
        is_recording: call.is_recording(),
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

/// The session description of a message, if that is what its body is.
fn sdp_of(message: &Message) -> Option<&[u8]> {
    let kind = message.value(Name::ContentType)?;
    let kind = kind.split(|&byte| byte == b';').next().unwrap_or(kind).trim_ascii();
    (kind.eq_ignore_ascii_case(b"application/sdp") && !message.body().is_empty()).then(|| message.body())
}

fn info_digit(request: &Message) -> Option<Digit> {
    dtmf::parse_info(request.value(Name::ContentType)?, request.body())
}
