//! The calls of one phone: dialogs, offers and answers, and what the phone does by itself when it is asked something.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use rsip::headers::UntypedHeader as _;
use rsip::message::HeadersExt as _;
use rsip::{Method, Request, Response, Uri};

use super::exchange::{Exchanges, News};
use super::line::Line;
use super::message::{Body, Dialog, Extra, described, follow_up, key, phrase, record_routes, response, sequence, to_tag, word};
use super::offer::{Described, Flow, Offer};

/// Something that befell a call, from the other side.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A provisional response to the INVITE.
    Progress {
        /// 100 to 199.
        status: u16,
        /// Whether it described sound: early media.
        with_sound: bool,
    },
    /// The INVITE was answered with 200.
    Answered,
    /// The INVITE was refused.
    Refused {
        /// 300 to 699.
        status: u16,
        /// The reason phrase as it came.
        reason: String,
    },
    /// The ACK of a 200 of ours came.
    Acknowledged,
    /// The caller gave up before there was an answer.
    Cancelled,
    /// A re-INVITE or UPDATE came with a description, and was answered.
    Reoffered {
        /// The direction that the other side wants, seen from there.
        flow: Flow,
    },
    /// An INFO brought a key.
    Key(char),
    /// Some other request came within the call, and was answered.
    Asked(Method),
    /// The final response to a request of ours within the call, re-INVITE included.
    Response {
        /// The request's method.
        method: Method,
        /// The request's number.
        number: u32,
        /// 200 to 699.
        status: u16,
    },
    /// A second 200 came from another fork: it was acknowledged and ended.
    Forked,
    /// The other side hung up.
    Ended,
    /// Nobody answered this request; `ACK` is a 200 of ours that nobody acknowledged.
    TimedOut(Method),
}

/// What a phone knows of all its calls. It has no socket: what is to be sent waits in `exchanges.outbox`.
#[derive(Debug)]
pub(super) struct Agent {
    pub exchanges: Exchanges,
    pub calls: BTreeMap<String, CallState>,
    /// Calls that came and that nobody took up yet.
    pub arrived: VecDeque<String>,
    /// Final responses to requests outside of calls, by branch; none where nobody answered.
    pub answers: BTreeMap<String, Option<Response>>,
    name: String,
    local: SocketAddr,
}

/// One call as the phone sees it.
#[derive(Debug)]
pub(super) struct CallState {
    pub events: Vec<Event>,
    /// Which of the events somebody waited for and got.
    pub taken: Vec<bool>,
    pub line: Option<Arc<Line>>,
    pub stage: Stage,
    /// What the other side described last.
    pub remote: Option<Described>,
    /// The status for the next request within the call, instead of 200.
    pub refusal: Option<u16>,
    pub invite: Request,
    dialog: Dialog,
    ours: Offer,
    before: Option<Offer>,
    /// Whether our 200 carried an offer, which the ACK answers.
    has_offered_late: bool,
    session: u64,
    version: u64,
    acks: Vec<(String, u32, SocketAddr, Vec<u8>)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// We called; no provisional response came yet. `GivenUp`: the CANCEL waits for one (§9.1).
    Calling,
    GivenUp,
    /// We called, and the other side is at it.
    Proceeding,
    /// We were called and have not answered.
    Asked,
    Up,
    Over,
}

/// A call to be placed.
#[derive(Debug)]
pub(super) struct Plan {
    pub hop: SocketAddr,
    pub to: String,
    pub from: Option<String>,
    pub offer: Offer,
    pub extra: Extra,
    /// A body instead of the offer's.
    pub body: Body,
    pub line: Arc<Line>,
}

impl Agent {
    pub(super) fn new(name: &str, local: SocketAddr) -> Self {
        Self {
            exchanges: Exchanges::default(),
            calls: BTreeMap::new(),
            arrived: VecDeque::new(),
            answers: BTreeMap::new(),
            name: name.to_owned(),
            local,
        }
    }

    /// Sends the INVITE of a new call and returns the call's Call-ID.
    pub(super) fn place(&mut self, plan: Plan, now: Instant) -> io::Result<String> {
        let mut dialog = self.dialog_to(&plan.to, plan.hop, plan.from.as_deref())?;
        let session = u64::from(super::line::random());
        let own = (!plan.offer.is_late).then(|| sdp(plan.offer.print(plan.line.addr(), session, 1)));
        let invite = dialog.request(Method::Invite, self.local, &self.contact(), &plan.extra, plan.body.or(own));
        let call_id = dialog.call_id.clone();
        let call = CallState {
            events: Vec::new(),
            taken: Vec::new(),
            line: Some(plan.line),
            stage: Stage::Calling,
            remote: None,
            refusal: None,
            invite: invite.clone(),
            dialog,
            ours: plan.offer,
            before: None,
            has_offered_late: false,
            session,
            version: 1,
            acks: Vec::new(),
        };
        self.calls.insert(call_id.clone(), call);
        self.exchanges.send(invite, plan.hop, now);
        Ok(call_id)
    }

    /// Sends a request outside of any call and returns its branch, under which its answer will be found.
    pub(super) fn ask(
        &mut self,
        hop: SocketAddr,
        method: Method,
        to: &str,
        extra: &Extra,
        body: Body,
        now: Instant,
    ) -> io::Result<String> {
        let mut dialog = self.dialog_to(to, hop, None)?;
        let request = dialog.request(method, self.local, &self.contact(), extra, body);
        self.exchanges.send(request, hop, now).ok_or_else(|| io::Error::other("a request of ours has a branch"))
    }

    /// Answers the INVITE of a call that came; `offer` describes our sound.
    pub(super) fn respond(&mut self, id: &str, status: (u16, &str), offer: Option<&Offer>, extra: &Extra, now: Instant) -> bool {
        let contact = self.contact();
        let Some(call) = self.calls.get_mut(id).filter(|call| call.stage == Stage::Asked) else { return false };
        let Some(from) = self.exchanges.peer_of(&call.invite) else { return false };
        let mut body = None;
        if let (Some(offer), Some(line)) = (offer, &call.line) {
            call.ours = offer.clone();
            body = match described(&call.invite, &call.invite.body) {
                Some(offered) => {
                    let answer = offer.answer(&offered, line.addr(), call.session, call.version);
                    call.agree(offered);
                    answer.map(sdp)
                }
                None => {
                    call.has_offered_late = true;
                    Some(sdp(offer.print(line.addr(), call.session, call.version)))
                }
            };
        }
        match status.0 {
            100..200 => {}
            200..300 => call.stage = Stage::Up,
            _ => call.end(),
        }
        let response = response(&call.invite, from, status, &call.dialog.here_tag, &contact, extra, body);
        self.exchanges.answer(&call.invite, &response, now);
        true
    }

    /// Sends a request within a call and returns its number.
    pub(super) fn request(&mut self, id: &str, method: Method, extra: &Extra, body: Body, now: Instant) -> Option<u32> {
        let contact = self.contact();
        let call = self.calls.get_mut(id)?;
        let request = call.dialog.request(method, self.local, &contact, extra, body);
        if method == Method::Bye {
            call.end();
        }
        let number = call.dialog.sequence;
        let hop = call.dialog.next_hop();
        self.exchanges.send(request, hop, now);
        Some(number)
    }

    /// Offers anew within a call, with a re-INVITE, and returns the request's number.
    pub(super) fn reoffer(&mut self, id: &str, offer: &Offer, now: Instant) -> Option<u32> {
        let call = self.calls.get_mut(id).filter(|call| call.stage == Stage::Up)?;
        call.version += 1;
        let (line, session, version) = (call.line.as_ref()?, call.session, call.version);
        let body = (!offer.is_late).then(|| sdp(offer.print(line.addr(), session, version)));
        call.before = Some(std::mem::replace(&mut call.ours, offer.clone()));
        self.request(id, Method::Invite, &Extra::new(), body, now)
    }

    /// Gives up a call that is not answered; the CANCEL waits for a provisional response (RFC 3261 §9.1).
    pub(super) fn cancel(&mut self, id: &str, now: Instant) {
        let Some(call) = self.calls.get_mut(id) else { return };
        match call.stage {
            Stage::Calling => call.stage = Stage::GivenUp,
            Stage::Proceeding => {
                let cancel = follow_up(Method::Cancel, &call.invite, None);
                let hop = call.dialog.first_hop;
                self.exchanges.send(cancel, hop, now);
            }
            Stage::GivenUp | Stage::Asked | Stage::Up | Stage::Over => {}
        }
    }

    /// Takes a datagram.
    pub(super) fn take(&mut self, from: SocketAddr, bytes: &[u8], now: Instant) {
        match self.exchanges.take(from, bytes, now) {
            Some(News::Request(request)) => self.take_request(&request, from, now),
            Some(News::Ack(ack)) => self.take_ack(&ack),
            Some(News::Response(response, request)) => self.take_response(&response, &request, now),
            Some(News::Stray(response)) => self.take_stray(&response, now),
            None => {}
        }
    }

    /// Looks at the timers.
    pub(super) fn tick(&mut self, now: Instant) {
        for request in self.exchanges.tick(now) {
            if let Some(call) = self.calls.get_mut(&call_id(&request)) {
                if request.method == Method::Invite && call.stage != Stage::Up {
                    call.end();
                }
                call.push(Event::TimedOut(request.method));
            } else if let Some(branch) = super::message::branch_of(&request) {
                self.answers.insert(branch, None);
            }
        }
    }

    fn take_request(&mut self, request: &Request, from: SocketAddr, now: Instant) {
        let contact = self.contact();
        let id = call_id(request);
        if request.method == Method::Cancel {
            let invite = self.exchanges.cancelled_by(request);
            let tag = self.calls.get(&id).map_or_else(word, |call| call.dialog.here_tag.clone());
            let status = if invite.is_some() { 200 } else { 481 };
            let ok = response(request, from, (status, phrase(status)), &tag, &contact, &Extra::new(), None);
            self.exchanges.answer(request, &ok, now);
            if let Some(invite) = invite {
                let gone = response(&invite, from, (487, phrase(487)), &tag, &contact, &Extra::new(), None);
                self.exchanges.answer(&invite, &gone, now);
                if let Some(call) = self.calls.get_mut(&id) {
                    call.end();
                    call.push(Event::Cancelled);
                }
            }
            return;
        }
        let tag = to_tag(request);
        if tag.is_none() && request.method == Method::Invite && !self.calls.contains_key(&id) {
            self.take_call(request, from, id, now);
            return;
        }
        let is_outside = tag.is_none() && !matches!(request.method, Method::Bye | Method::Invite);
        let call =
            self.calls.get_mut(&id).filter(|call| call.stage != Stage::Over && tag.as_deref() == Some(&call.dialog.here_tag));
        let mut body = None;
        let (status, here_tag) = match call {
            Some(call) => {
                let status = call.refusal.take().unwrap_or(200);
                if status < 300 {
                    body = call.asked(request);
                }
                (if request.method == Method::Refer && status == 200 { 202 } else { status }, call.dialog.here_tag.clone())
            }
            None => (if is_outside { 200 } else { 481 }, word()),
        };
        let answer = response(request, from, (status, phrase(status)), &here_tag, &contact, &Extra::new(), body);
        self.exchanges.answer(request, &answer, now);
    }

    /// Takes the INVITE of a new call: 100 at once, the rest is for whoever takes it up.
    fn take_call(&mut self, invite: &Request, from: SocketAddr, id: String, now: Instant) {
        let here_tag = word();
        let value = |header: Option<&str>| header.unwrap_or_default().to_owned();
        let mut dialog = Dialog {
            call_id: id.clone(),
            here: format!("{};tag={here_tag}", value(invite.to_header().ok().map(rsip::headers::To::value))),
            there: value(invite.from_header().ok().map(rsip::headers::From::value)),
            here_tag,
            sequence: 0,
            target: invite.uri.clone(),
            routes: record_routes(invite),
            first_hop: from,
        };
        dialog.refresh_target(invite);
        let call = CallState {
            events: Vec::new(),
            taken: Vec::new(),
            line: None,
            stage: Stage::Asked,
            remote: described(invite, &invite.body),
            refusal: None,
            invite: invite.clone(),
            dialog,
            ours: Offer::of(&[]),
            before: None,
            has_offered_late: false,
            session: u64::from(super::line::random()),
            version: 1,
            acks: Vec::new(),
        };
        self.calls.insert(id.clone(), call);
        self.arrived.push_back(id);
        let trying = response(invite, from, (100, phrase(100)), "", &self.contact(), &Extra::new(), None);
        self.exchanges.answer(invite, &trying, now);
    }

    fn take_ack(&mut self, ack: &Request) {
        let Some(call) = self.calls.get_mut(&call_id(ack)) else { return };
        if call.stage != Stage::Up {
            return; // the ACK of a refusal
        }
        if std::mem::take(&mut call.has_offered_late)
            && let Some(answer) = described(ack, &ack.body)
        {
            call.agree(answer);
        }
        call.push(Event::Acknowledged);
    }

    fn take_response(&mut self, response: &Response, request: &Request, now: Instant) {
        let status = response.status_code.code();
        let Some(call) = self.calls.get_mut(&call_id(request)) else {
            if let Some(branch) = super::message::branch_of(request).filter(|_| status >= 200) {
                self.answers.insert(branch, Some(response.clone()));
            }
            return;
        };
        let (number, method) = sequence(response).unwrap_or((0, request.method));
        let is_first = method == Method::Invite && matches!(call.stage, Stage::Calling | Stage::GivenUp | Stage::Proceeding);
        if !is_first {
            if status < 200 {
                return;
            }
            if method == Method::Invite && status < 300 {
                call.dialog.refresh_target(response);
                self.acknowledge(response, number, now);
            } else if let Some(before) = call.before.take().filter(|_| method == Method::Invite) {
                call.ours = before;
            }
            if let Some(call) = self.calls.get_mut(&call_id(request)) {
                call.push(Event::Response { method, number, status });
            }
            return;
        }
        if status < 200 {
            if to_tag(response).is_some() {
                call.dialog.established_by(response);
            }
            let answer = described(response, &response.body).filter(|_| !call.ours.is_late);
            call.push(Event::Progress { status, with_sound: answer.is_some() });
            if let Some(answer) = answer {
                call.agree(answer);
            }
            if std::mem::replace(&mut call.stage, Stage::Proceeding) == Stage::GivenUp {
                self.cancel(&call_id(request), now);
            }
        } else if status < 300 {
            let was_given_up = call.stage == Stage::GivenUp;
            call.dialog.established_by(response);
            call.stage = Stage::Up;
            self.acknowledge(response, number, now);
            if let Some(call) = self.calls.get_mut(&call_id(request)) {
                call.push(Event::Answered);
            }
            if was_given_up {
                self.request(&call_id(request), Method::Bye, &Extra::new(), None, now);
            }
        } else {
            call.end();
            let words = response.status_code.to_string();
            let logged =
                self.exchanges.log.iter().rev().find(|exchange| exchange.message.as_ref() == Some(&response.clone().into()));
            let start = logged.map_or(words, |exchange| super::message::start_line(&exchange.bytes));
            let reason = start.splitn(3, ' ').nth(2).unwrap_or_default().to_owned();
            call.push(Event::Refused { status, reason });
        }
    }

    /// Acknowledges a success and takes its description: an answer, or an offer that the ACK answers.
    fn acknowledge(&mut self, response: &Response, number: u32, now: Instant) {
        let contact = self.contact();
        let Some(call) = self.calls.get_mut(&call_id(response)) else { return };
        let said = described(response, &response.body);
        let mut body = None;
        if call.ours.is_late
            && let (Some(offered), Some(line)) = (&said, &call.line)
        {
            body = call.ours.answer(offered, line.addr(), call.session, call.version).map(sdp);
        }
        if let Some(said) = said {
            call.agree(said);
        }
        let ack = call.dialog.request_numbered(number, Method::Ack, self.local, &contact, &Extra::new(), body);
        let hop = call.dialog.next_hop();
        call.acks.push((to_tag(response).unwrap_or_default(), number, hop, ack.to_string().into_bytes()));
        self.exchanges.send(ack, hop, now);
    }

    /// A success whose transaction is over: the ACK was lost, or another fork answered too (RFC 3261 §13.2.2.4).
    fn take_stray(&mut self, response: &Response, now: Instant) {
        let contact = self.contact();
        let Some(call) = self.calls.get_mut(&call_id(response)) else { return };
        let (tag, number) = (to_tag(response).unwrap_or_default(), sequence(response).map_or(0, |(number, _)| number));
        if let Some((_, _, hop, ack)) = call.acks.iter().find(|(known, of, _, _)| *known == tag && *of == number) {
            let (hop, ack) = (*hop, ack.clone());
            self.exchanges.repeat(ack, hop, now);
            return;
        }
        let mut fork = call.dialog.clone();
        fork.established_by(response);
        fork.sequence = number;
        let ack = fork.request_numbered(number, Method::Ack, self.local, &contact, &Extra::new(), None);
        let bye = fork.request(Method::Bye, self.local, &contact, &Extra::new(), None);
        call.acks.push((tag, number, fork.next_hop(), ack.to_string().into_bytes()));
        call.push(Event::Forked);
        self.exchanges.send(ack, fork.next_hop(), now);
        self.exchanges.send(bye, fork.next_hop(), now);
    }

    fn dialog_to(&self, to: &str, hop: SocketAddr, from: Option<&str>) -> io::Result<Dialog> {
        let target = Uri::try_from(to).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error.to_string()))?;
        let here_tag = word();
        let from = from.map_or_else(|| format!("<sip:{}@{}>", self.name, self.local.ip()), str::to_owned);
        Ok(Dialog {
            call_id: format!("{}@{}", word(), self.local.ip()),
            here: format!("{from};tag={here_tag}"),
            there: format!("<{to}>"),
            here_tag,
            sequence: 0,
            target,
            routes: Vec::new(),
            first_hop: hop,
        })
    }

    fn contact(&self) -> String {
        format!("<sip:{}@{}>", self.name, self.local)
    }
}

impl CallState {
    pub(super) fn push(&mut self, event: Event) {
        self.events.push(event);
        self.taken.push(false);
    }

    /// Takes a request within the call and returns the body of its 200.
    fn asked(&mut self, request: &Request) -> Body {
        let offered = described(request, &request.body);
        match request.method {
            Method::Bye => {
                self.end();
                self.push(Event::Ended);
                return None;
            }
            Method::Info => self.push(key(request).map_or(Event::Asked(Method::Info), Event::Key)),
            Method::Invite | Method::Update => {
                self.dialog.refresh_target(request);
                self.push(
                    offered
                        .as_ref()
                        .map_or(Event::Asked(request.method), |offered| Event::Reoffered { flow: offered.effective_flow() }),
                );
                self.version += 1;
                let here = self.line.as_ref()?.addr();
                if let Some(offered) = offered {
                    let answer = self.ours.answer(&offered, here, self.session, self.version);
                    self.agree(offered);
                    return answer.map(sdp);
                }
                if request.method == Method::Invite {
                    self.has_offered_late = true;
                    return Some(sdp(self.ours.print(here, self.session, self.version)));
                }
            }
            Method::Ack
            | Method::Cancel
            | Method::Message
            | Method::Notify
            | Method::Options
            | Method::PRack
            | Method::Publish
            | Method::Refer
            | Method::Register
            | Method::Subscribe => self.push(Event::Asked(request.method)),
        }
        None
    }

    /// Takes what the other side described, and sends sound accordingly from now on.
    fn agree(&mut self, mut said: Described) {
        said.formats.retain(|(_, codec)| self.ours.codecs.contains(codec));
        said.keys = self.ours.keys.and(said.keys);
        self.before = None;
        if let Some(line) = &self.line {
            line.direct(&said, self.ours.flow);
        }
        self.remote = Some(said);
    }

    fn end(&mut self) {
        self.stage = Stage::Over;
        if let Some(line) = &self.line {
            line.hang_up();
        }
    }
}

fn sdp(text: String) -> (String, Vec<u8>) {
    ("application/sdp".to_owned(), text.into_bytes())
}

fn call_id(message: &impl rsip::message::HeadersExt) -> String {
    message.call_id_header().map(|id| id.value().to_owned()).unwrap_or_default()
}
