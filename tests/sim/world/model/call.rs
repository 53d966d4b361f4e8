//! One call as the border shows it: its dialogs, their offers and answers, and how it ends.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use mitschnitt::ids::Leg;
use mitschnitt::time::Moment;

use super::media::{Flow, Press};
use super::sdp::{self, Media};
use super::sip::{Message, Start};
use super::stream::Stream;
use super::{Broken, GIVEN_UP, Policy, Rules, broken, number_of};

/// Everything with one Call-ID.
#[derive(Default)]
pub(super) struct Talk {
    pub(super) requests: Vec<Request>,
    /// Its calls, as indices: a call that is tried again after a refusal is a new one, and so is one after a restart.
    pub(super) calls: Vec<usize>,
}

/// A request that came in from a side.
pub(super) struct Request {
    pub(super) leg: Leg,
    pub(super) cseq: u32,
    pub(super) method: String,
    /// The tags of From and To: what dialog it is in. Which of the two tells the forks of a call apart depends on who sends it.
    from_tag: String,
    to_tag: String,
    pub(super) at: Moment,
    pub(super) life: u32,
    pub(super) whole: bool,
    /// A copy of it was cut on the way.
    pub(super) cut: bool,
    pub(super) passed_on: bool,
    /// It got an answer, provisional ones included.
    pub(super) answered: bool,
    /// The final answer other than 2xx that it got.
    pub(super) refused: Option<u16>,
    pub(super) call: Option<usize>,
    /// It begins a call.
    pub(super) initial: bool,
    /// It carried an SDP.
    described: bool,
}

/// A call: one INVITE without a To tag, and what came of it.
pub(super) struct Call {
    pub(super) id: String,
    pub(super) number: Option<u32>,
    pub(super) began: Moment,
    pub(super) life: u32,
    pub(super) caller: Leg,
    caller_tag: String,
    /// Its INVITEs without a To tag: more than one where the box, started again, knows nothing of a challenge in between.
    invites: Vec<Invite>,
    pub(super) policy: Option<Policy>,
    /// How many INVITEs the box may take for a call of its own.
    pub(super) attempts: u32,
    /// The INVITE left the box, so there is a row.
    pub(super) passed_on: bool,
    /// Two INVITEs at once: the requirements do not say whose media is whose.
    pub(super) muddled: bool,
    pub(super) dialogs: Vec<Dialog>,
    /// When the latest INVITE was refused: an earlier one does not end what a later one asks for.
    pub(super) refused: Option<Moment>,
    /// Every address that an SDP of each side ever named.
    pub(super) named: [Vec<SocketAddr>; 2],
    /// What comes before this is not judged: something changed shortly before.
    pub(super) quiet: Moment,
    /// What comes from each leg before this may be replaced by an announcement to the other.
    pub(super) replaced: [Moment; 2],
    pub(super) flows: [Flow; 2],
    pub(super) streams: [Vec<Stream>; 2],
    pub(super) presses: Vec<Press>,
    pub(super) paused: Vec<(Moment, Option<Moment>)>,
    pub(super) withdrawn: Option<Moment>,
    pub(super) lost: Option<Lost>,
}

/// An INVITE that asks for a call, by its number.
struct Invite {
    cseq: u32,
    /// What it offered, and the port by which the box offered it.
    offer: Option<Media>,
    port: Option<u16>,
}

/// How the box that had the call went away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lost {
    Killed(Moment),
    Power(Moment),
    Stopped(Moment),
}

/// A dialog, by the callee's tag.
#[derive(Default)]
pub(super) struct Dialog {
    tag: String,
    /// The number of the INVITE that made it.
    pub(super) cseq: u32,
    /// When its 2xx came in, when it went out, and when the ACK of it came.
    pub(super) accepted: Option<Moment>,
    pub(super) passed_on: Option<Moment>,
    pub(super) confirmed: Option<Moment>,
    /// When it ended for certain.
    pub(super) over: Option<Moment>,
    pub(super) byes: Vec<Bye>,
    /// When the box itself hung up.
    pub(super) hung_up: Option<Moment>,
    /// What is agreed: each side's description, and the ports (the last one is the present one) that the box named to each side.
    pub(super) media: [Option<Media>; 2],
    pub(super) ports: [Vec<u16>; 2],
    proposed: Vec<Proposed>,
    /// The request whose offer was answered last, and the answer.
    settled: Option<(Leg, u32, Option<Media>)>,
    /// The two sides contradict themselves: not judged until the next offer and answer.
    murky: bool,
    /// When an SDP passed.
    pub(super) described: Vec<Moment>,
    /// What was agreed when the ACK came.
    pub(super) at_ack: Option<[Media; 2]>,
    pub(super) told: [Told; 2],
    /// When the session timer ends it (RFC 4028), or the far side may have lost it.
    pub(super) expires: Option<Moment>,
    highest: [u32; 2],
}

/// What a side was told so far.
#[derive(Clone, Copy, Default)]
pub(super) struct Told {
    pub(super) begun: Option<Moment>,
    pub(super) last: Option<Moment>,
    /// A bit for each frame that went out.
    pub(super) frames: u32,
    /// When the last missing one did.
    pub(super) whole: Option<Moment>,
    /// When the last frame of its latest playing went out: a party that moved meanwhile is told again.
    pub(super) latest: Option<Moment>,
}

/// A BYE of a party.
pub(super) struct Bye {
    pub(super) leg: Leg,
    cseq: u32,
    pub(super) at: Moment,
    /// Its number is out of order: the far side may refuse it, and the call go on.
    pub(super) doubtful: bool,
    /// It was answered 401 or 407: the dialog goes on.
    pub(super) challenged: Option<Moment>,
}

/// An offer without an answer.
struct Proposed {
    by: Leg,
    cseq: u32,
    method: String,
    media: Media,
    /// It came in a response, so that the answer comes in a request (ACK, PRACK).
    in_response: bool,
}

impl Talk {
    pub(super) fn request(&self, leg: Leg, message: &Message<'_>, life: u32) -> Option<&Request> {
        self.requests.iter().rev().find(|request| request.is(leg, message) && request.life == life)
    }

    pub(super) fn request_in(&mut self, at: Moment, leg: Leg, message: &Message<'_>, life: u32, call: Option<usize>) {
        let described = message.sdp().is_some();
        let initial = message.method == "INVITE" && message.to.tag.is_empty();
        if let Some(known) = self.requests.iter_mut().rev().find(|request| request.is(leg, message) && request.life == life) {
            (known.whole, known.call, known.described, known.initial) = (message.whole, call, described, initial);
            return;
        }
        self.requests.push(Request {
            leg,
            cseq: message.cseq,
            method: message.method.to_owned(),
            from_tag: message.from.tag.to_owned(),
            to_tag: message.to.tag.to_owned(),
            at,
            life,
            whole: message.whole,
            cut: !message.whole,
            passed_on: false,
            answered: false,
            refused: None,
            call,
            initial,
            described,
        });
    }

    /// A request that was cut on the way: the box may refuse it, and nothing else comes of it.
    pub(super) fn cut_request_in(&mut self, at: Moment, leg: Leg, message: &Message<'_>, life: u32) {
        match self.requests.iter_mut().rev().find(|request| request.is(leg, message) && request.life == life) {
            Some(request) => request.cut = true,
            None => self.request_in(at, leg, message, life, None),
        }
    }

    /// A response that came in from `leg`. One that answers nothing is a stray, and is dropped (RFC 6026 §7.2).
    pub(super) fn response_in(
        &mut self,
        at: Moment,
        leg: Leg,
        message: &Message<'_>,
        life: u32,
        calls: &mut [Call],
        rules: &Rules,
    ) {
        let Start::Response { status } = message.start else { return };
        let request = self.request(leg.other(), message, life);
        let own_bye = message.method == "BYE" && request.is_none() && status >= 200;
        if let (true, Some(&call)) = (own_bye, self.calls.last()) {
            calls[call].box_was_answered(at);
        }
        if let Some((request, call)) = request.and_then(|request| Some((request, request.call?))) {
            calls[call].response_in(at, leg, message, status, request, rules);
        }
    }
}

impl Request {
    /// Requests in two dialogs of a call may have the same number; a response has the tag where an initial request has none yet.
    pub(super) fn is(&self, leg: Leg, message: &Message<'_>) -> bool {
        let is_in = self.to_tag == message.to.tag || self.to_tag.is_empty() && !message.is_request();
        self.is_sent_with(leg, message) && self.method == message.method && is_in
    }

    /// Whether it has the number of this message, by the same sender: an ACK has that of its INVITE.
    pub(super) fn is_sent_with(&self, leg: Leg, message: &Message<'_>) -> bool {
        self.leg == leg && self.cseq == message.cseq && self.from_tag == message.from.tag
    }
}

impl Call {
    pub(super) fn new(at: Moment, caller: Leg, invite: &Message<'_>, policy: Option<Policy>, life: u32) -> Self {
        Self {
            id: invite.call_id.to_owned(),
            number: number_of(invite.call_id),
            began: at,
            life,
            caller,
            caller_tag: invite.from.tag.to_owned(),
            invites: Vec::new(),
            policy,
            attempts: 1,
            passed_on: false,
            muddled: false,
            dialogs: Vec::new(),
            refused: None,
            named: [Vec::new(), Vec::new()],
            quiet: at,
            replaced: [at; 2],
            flows: [Flow::default(), Flow::default()],
            streams: [Vec::new(), Vec::new()],
            presses: Vec::new(),
            paused: Vec::new(),
            withdrawn: None,
            lost: None,
        }
    }

    /// A second INVITE with its Call-ID belongs to it: it is of this life, and not over.
    pub(super) fn goes_on(&self, life: u32) -> bool {
        self.life == life && self.over().is_none()
    }

    /// When it ended for certain on both sides: its INVITE was refused, or each dialog that was accepted is over.
    pub(super) fn over(&self) -> Option<Moment> {
        let mut accepted = self.accepted().peekable();
        if accepted.peek().is_none() {
            return self.refused;
        }
        accepted.try_fold(Moment::START, |latest, dialog| Some(latest.max(dialog.over?)))
    }

    pub(super) fn accepted(&self) -> impl Iterator<Item = &Dialog> {
        self.dialogs.iter().filter(|dialog| dialog.accepted.is_some())
    }

    /// The accepted dialog, where there is exactly one. What becomes of two (the caller ends one) is not decided.
    pub(super) fn only(&self) -> Option<&Dialog> {
        let mut accepted = self.accepted();
        accepted.next().filter(|_| accepted.next().is_none() && !self.muddled)
    }

    pub(super) fn must_be_up(&self) -> bool {
        let ends = |dialog: &Dialog| !dialog.byes.is_empty() || dialog.hung_up.is_some() || dialog.over.is_some();
        let is_there = |dialog: &Dialog| dialog.passed_on.is_some() && dialog.confirmed.is_some();
        let up = |dialog: &Dialog| is_there(dialog) && !ends(dialog) && dialog.expires.is_none();
        self.lost.is_none() && self.accepted().any(up)
    }

    pub(super) fn may_be_up(&self, at: Moment, slack: Duration) -> bool {
        let bye = |dialog: &Dialog| Some(dialog.byes.last().map(|bye| bye.at).or(dialog.hung_up)? + GIVEN_UP);
        let given_up =
            || self.accepted().try_fold(Moment::START, |latest, dialog| Some(latest.max(dialog.over.or_else(|| bye(dialog))?)));
        let ended = self.over().or_else(|| given_up().filter(|_| self.accepted().next().is_some()));
        self.lost.is_none() && ended.is_none_or(|ended| at <= ended + GIVEN_UP + slack)
    }

    /// The dialog that a message belongs to whose request `sender` sent (also where the message is the response to it).
    pub(super) fn dialog(&self, sender: Leg, message: &Message<'_>) -> Option<usize> {
        let (ours, theirs) =
            if sender == self.caller { (message.from.tag, message.to.tag) } else { (message.to.tag, message.from.tag) };
        if ours != self.caller_tag || theirs.is_empty() {
            return None;
        }
        self.dialogs.iter().position(|dialog| dialog.tag == theirs)
    }

    /// Whether the dialog of a request was accepted.
    pub(super) fn has_accepted(&self, sender: Leg, message: &Message<'_>) -> bool {
        self.dialog(sender, message).is_some_and(|index| self.dialogs[index].accepted.is_some())
    }

    pub(super) fn request_in(&mut self, at: Moment, leg: Leg, message: &Message<'_>, rules: &Rules) {
        let described = self.described(at, leg, message, rules);
        let Some(index) = self.dialog(leg, message) else {
            // Each counts for what it is answered with (RFC 3261 §13.2.1): the box may have been started again between a challenge and
            // what it asks for, and know of neither.
            if message.method == "INVITE" && message.to.tag.is_empty() {
                self.invites.push(Invite { cseq: message.cseq, offer: described, port: None });
            }
            return;
        };
        let dialog = &mut self.dialogs[index];
        let in_order = message.cseq > dialog.highest[leg.index()];
        if message.method != "ACK" && message.method != "CANCEL" {
            dialog.highest[leg.index()] = dialog.highest[leg.index()].max(message.cseq);
        }
        let answers = dialog.proposed.iter().position(|proposed| proposed.in_response && proposed.by != leg);
        match (message.method, described, answers) {
            ("ACK" | "PRACK", Some(media), Some(place)) => {
                let offer = dialog.proposed.remove(place);
                dialog.agree(offer, leg, media);
            }
            // An offer in an ACK has no place where it could be answered (RFC 3264 §4, RFC 3261 §13.2.2.4).
            ("ACK", Some(_), None) => dialog.murky = true,
            ("INVITE" | "UPDATE" | "PRACK", Some(media), _) => {
                let (cseq, method) = (message.cseq, message.method.to_owned());
                dialog.proposed.push(Proposed { by: leg, cseq, method, media, in_response: false });
            }
            _ => {}
        }
        match message.method {
            // That of a re-INVITE as well: who sends it has had the 2xx, though the ACK of that was lost.
            "ACK" if dialog.accepted.is_some() && dialog.confirmed.is_none() => {
                dialog.confirmed = Some(at);
                dialog.at_ack = dialog.agreed();
                self.disturb(at, rules);
            }
            // In-dialog BYEs count from their arrival on, whatever becomes of them (RFC 3261 §15.1.1).
            "BYE" => {
                let bye = Bye { leg, cseq: message.cseq, at, doubtful: !in_order, challenged: None };
                dialog.byes.push(bye);
                self.disturb(at, rules);
            }
            "INFO" => {
                if let Some(digit) = message.key() {
                    // One that was overtaken is refused, and means nothing (RFC 3261 §12.2.2).
                    self.presses.push(Press::of_info(at, leg, digit, in_order));
                }
            }
            _ => {}
        }
    }

    pub(super) fn response_in(
        &mut self,
        at: Moment,
        leg: Leg,
        message: &Message<'_>,
        status: u16,
        request: &Request,
        rules: &Rules,
    ) {
        let mut index = self.dialog(request.leg, message);
        if index.is_none() && request.initial && (101..300).contains(&status) && !message.to.tag.is_empty() {
            index = Some(self.dialogs.len());
            self.dialogs.push(self.forked(message));
        }
        let described = if status < 300 { self.described(at, leg, message, rules) } else { None };
        let Some(index) = index else { return };
        let dialog = &mut self.dialogs[index];
        if let Some(media) = described {
            dialog.described_by_response(leg, message, media, request.described);
        }
        match (message.method, status) {
            ("INVITE", 200..300) => {
                if request.initial && dialog.accepted.is_none() {
                    dialog.accepted = Some(at);
                    self.refused = None;
                    self.disturb(at, rules);
                } else {
                    dialog.expires = None;
                }
                if let Some(seconds) = message.session_expires {
                    self.dialogs[index].expires = Some(at + Duration::from_secs(seconds.into()));
                }
            }
            ("UPDATE", 200..300) => {
                dialog.expires = message.session_expires.map(|seconds| at + Duration::from_secs(seconds.into()));
            }
            ("BYE", 401 | 407) => {
                let bye = dialog.byes.iter_mut().find(|bye| bye.leg == request.leg && bye.cseq == message.cseq);
                if let Some(bye) = bye {
                    bye.challenged.get_or_insert(at);
                }
            }
            _ => {}
        }
    }

    /// A message of the call that leaves for `to`. Returns the ports that the box names in it.
    pub(super) fn message_out(
        &mut self,
        at: Moment,
        to: Leg,
        message: &Message<'_>,
        ours: &[IpAddr; 2],
        rules: &Rules,
    ) -> Result<Vec<u16>, Broken> {
        let sender = if message.is_request() { to.other() } else { to };
        let index = self.dialog(sender, message);
        let of_this = |invite: &Invite| message.method == "INVITE" && sender == self.caller && invite.cseq == message.cseq;
        let initial = self.invites.iter().any(of_this);
        let latest = initial && self.invites.iter().all(|invite| invite.cseq <= message.cseq);
        match message.start {
            Start::Request { .. } => self.passed_on |= initial && message.to.tag.is_empty(),
            Start::Response { status } if status >= 300 => {
                if latest && index.is_none_or(|index| self.dialogs[index].accepted.is_none()) {
                    self.refused.get_or_insert(at);
                    self.disturb(at, rules);
                }
                if let Some(index) = index {
                    self.dialogs[index].request_failed(at, sender, message, status);
                    self.disturb(at, rules);
                }
            }
            Start::Response { status: 200.. } if initial => {
                if let Some(index) = index {
                    self.dialogs[index].passed_on.get_or_insert(at);
                }
            }
            Start::Response { status: 200.. } if message.method == "BYE" => {
                if let Some(index) = index {
                    self.dialogs[index].over.get_or_insert(at);
                    self.disturb(at, rules);
                }
            }
            Start::Response { .. } => {}
        }
        let Some(body) = message.sdp() else { return Ok(Vec::new()) };
        // The box knows nothing of calls of before a restart: their SDP passes as it is.
        if self.lost.is_some() {
            return Ok(Vec::new());
        }
        let lines = sdp::read(body);
        let leaks = |ip: &IpAddr| *ip != ours[to.index()] && !ip.is_unspecified();
        let named = lines.iter().filter(|line| line.address.port() != 0).flat_map(|line| [Some(line.address.ip()), line.rtcp]);
        if let Some(ip) = named.flatten().find(leaks) {
            let what = format!("{at:?}: {} {} to the {to} names {ip}: media goes round the box", message.kind(), message.method);
            return Err(broken("sdp-leaks-address", self.number, what));
        }
        let ports: Vec<u16> =
            lines.iter().filter(|line| line.audio).map(|line| line.address.port()).filter(|&port| port != 0).collect();
        if let Some(&port) = ports.first() {
            match index {
                Some(index) if self.dialogs[index].ports[to.index()].last() != Some(&port) => {
                    self.dialogs[index].ports[to.index()].push(port);
                }
                None if initial => {
                    let this = self.invites.iter_mut().filter(|invite| invite.cseq == message.cseq);
                    this.for_each(|invite| invite.port = Some(port));
                }
                _ => {}
            }
        }
        if let Some(index) = index {
            self.dialogs[index].described.push(at);
            // The box refuses the media of an answer that it has no call for any more.
            self.dialogs[index].murky |= ports.is_empty() && lines.iter().any(|line| line.audio);
        }
        self.disturb(at, rules);
        Ok(ports)
    }

    /// The box may send a BYE of its own where the policy hangs up without consent, and when it is stopped.
    pub(super) fn may_hang_up(&self) -> bool {
        self.policy.is_some_and(|policy| policy.hang_up) || matches!(self.lost, Some(Lost::Stopped(_)))
    }

    /// The box sends a BYE that nobody sent.
    pub(super) fn hung_up_by_box(&mut self, at: Moment, dialog: Option<usize>, name: &str, rules: &Rules) -> Result<(), Broken> {
        if !self.may_hang_up() {
            return Err(broken("hung-up-uncalled-for", self.number, format!("{name}: neither party hung up")));
        }
        if let Some(dialog) = dialog {
            self.dialogs[dialog].hung_up.get_or_insert(at);
        }
        // The call is over for the box, though another fork was answered as well and knows nothing of it.
        self.dialogs.iter_mut().for_each(|dialog| dialog.murky = true);
        self.disturb(at, rules);
        Ok(())
    }

    /// A party answered the box's own BYE.
    fn box_was_answered(&mut self, at: Moment) {
        for dialog in self.dialogs.iter_mut().filter(|dialog| dialog.hung_up.is_some()) {
            dialog.over.get_or_insert(at);
        }
    }

    /// A fork of the INVITE that this answers, by the tag of its first response.
    fn forked(&self, response: &Message<'_>) -> Dialog {
        let cseq = response.cseq;
        let mut dialog = Dialog { tag: response.to.tag.to_owned(), cseq, ..Dialog::default() };
        let invite = self.invites.iter().find(|invite| invite.cseq == cseq);
        dialog.ports[self.caller.other().index()].extend(invite.and_then(|invite| invite.port));
        dialog.highest[self.caller.index()] = cseq;
        dialog.proposed.extend(invite.and_then(|invite| invite.offer).map(|media| Proposed {
            by: self.caller,
            cseq,
            method: "INVITE".to_owned(),
            media,
            in_response: false,
        }));
        dialog
    }

    /// Notes what an SDP names, and returns its audio.
    fn described(&mut self, at: Moment, leg: Leg, message: &Message<'_>, rules: &Rules) -> Option<Media> {
        let lines = sdp::read(message.sdp()?);
        for line in &lines {
            if line.address.port() != 0 && !self.named[leg.index()].contains(&line.address) {
                self.named[leg.index()].push(line.address);
            }
        }
        if let Some(index) = self.dialog(if message.is_request() { leg } else { leg.other() }, message) {
            self.dialogs[index].described.push(at);
        }
        self.disturb(at, rules);
        let mut audio = lines.into_iter().filter(|line| line.audio && line.address.port() != 0);
        let first = audio.next().unwrap_or(NO_AUDIO);
        // Which of two audio lines is the conversation is not decided: none of it is judged.
        Some(Media { plain: first.plain && audio.next().is_none(), ..first })
    }
}

impl Dialog {
    /// What is agreed, where nothing is under way.
    pub(super) fn agreed(&self) -> Option<[Media; 2]> {
        let [pbx, trunk] = self.media;
        (self.proposed.is_empty() && !self.murky).then_some([pbx?, trunk?])
    }

    fn agree(&mut self, offer: Proposed, by: Leg, answer: Media) {
        self.media[offer.by.index()] = Some(offer.media);
        self.media[by.index()] = Some(answer);
        self.settled = Some((offer.by, offer.cseq, Some(answer)));
        self.murky = false;
    }

    /// An SDP in a response: the answer where the request had an offer, else an offer.
    fn described_by_response(&mut self, leg: Leg, message: &Message<'_>, media: Media, request_described: bool) {
        let request = leg.other();
        let same = |proposed: &Proposed| proposed.cseq == message.cseq && proposed.method == message.method;
        if !request_described {
            let known = self.proposed.iter().any(|proposed| proposed.by == leg && same(proposed));
            let answered = matches!(self.settled, Some((by, cseq, _)) if by == leg && cseq >= message.cseq);
            if !known && !answered {
                let (cseq, method) = (message.cseq, message.method.to_owned());
                self.proposed.push(Proposed { by: leg, cseq, method, media, in_response: true });
            }
            return;
        }
        match self.proposed.iter().position(|proposed| proposed.by == request && same(proposed)) {
            Some(place) => {
                let offer = self.proposed.remove(place);
                self.agree(offer, leg, media);
            }
            // The answer of a 2xx should be that of the 1xx before. Where it is another, RFC 3261 §13.2.1 keeps the first, and most
            // telephones take the last.
            None => match self.settled {
                Some((by, cseq, answer)) if by == request && cseq == message.cseq => self.murky |= answer != Some(media),
                _ => {}
            },
        }
    }

    /// A request of `sender` was refused: its offer is as if it had not been made (RFC 3261 §14.1).
    fn request_failed(&mut self, at: Moment, sender: Leg, message: &Message<'_>, status: u16) {
        let before = self.proposed.len();
        self.proposed.retain(|proposed| {
            proposed.by != sender || proposed.cseq != message.cseq || proposed.method != message.method || proposed.in_response
        });
        let settled = matches!(self.settled, Some((by, cseq, _)) if by == sender && cseq == message.cseq);
        self.murky |= settled && before == self.proposed.len() && message.method == "INVITE";
        // One that came cut short is refused by the box, and ends nothing.
        let came_whole = self.byes.iter().any(|bye| bye.leg == sender && bye.cseq == message.cseq);
        if message.method == "BYE" && came_whole && status != 401 && status != 407 {
            self.over.get_or_insert(at);
        }
        // The far side has lost the dialog (RFC 3261 §12.2.1.2); whether the box ends the call then is not decided.
        if matches!(status, 408 | 481) && message.method != "BYE" {
            self.murky = true;
            self.expires = Some(self.expires.map_or(at, |expires| expires.min(at)));
        }
    }
}

/// An SDP without audio, or with audio that is refused.
const NO_AUDIO: Media = Media {
    audio: true,
    plain: false,
    address: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
    rtcp: None,
    sends: false,
    receives: false,
    formats: 0,
    first: 127,
    events: None,
};
