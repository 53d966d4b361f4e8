//! One party of a call: the address that signals, its dialogs, and what it has in mind.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use mitschnitt::ids::Leg;
use mitschnitt::time::Moment;

use super::super::border::{BOX_SIP, CARRIER_SIP, Datagram, PBX_SIP};
use super::super::chance::Chance;
use super::exchange::{Client, Due, Purpose, Repeat, Repeated, Server, State, earlier};
use super::media;
use super::plan::{Deviation, Outcome, Plan};
use super::sdp::{Described, EVENT, Flow, Habit, Wish, speech};
use super::stream::Stream;
use super::talk::Change;
use super::text::{Heard, Start, finish, hop_by_hop, phrase, push};

/// One party: the PBX or the carrier, with all its phones.
pub(super) struct Party {
    pub(super) call: u32,
    pub(super) leg: Leg,
    pub(super) is_caller: bool,
    here: SocketAddr,
    pub(super) the_box: SocketAddr,
    pub(super) chance: Chance,
    pub(super) habit: Habit,
    pub(super) dialogs: Vec<Dialog>,
    pub(super) clients: Vec<Client>,
    pub(super) servers: Vec<Server>,
    pub(super) repeats: Vec<Repeat>,
    /// What it will do, and when; in no order.
    pub(super) acts: Vec<(Moment, Act)>,
    /// The dialog that is the call.
    pub(super) main: Option<usize>,
    /// Its process has died.
    pub(super) is_dead: bool,
    pub(super) setup: Setup,
    /// The extension, and the far number.
    pub(super) numbers: [String; 2],
    storms: bool,
    /// Packets that others have sent in its name.
    pub(super) forged: u32,
    branches: u32,
    sources: u8,
    pairs: u8,
}

/// What a party remembers of how the call was made.
#[derive(Default)]
pub(super) struct Setup {
    /// The caller's: the number of its last INVITE.
    pub(super) cseq: u32,
    /// The caller's offer.
    pub(super) offer: Option<Wish>,
    /// The caller wants it no longer.
    pub(super) is_cancelled: bool,
    /// The INVITE was refused, or given up.
    pub(super) has_failed: bool,
    /// It was challenged, or the BYE was.
    pub(super) challenged: [bool; 2],
    /// The called party's: the server of the INVITE.
    pub(super) server: Option<usize>,
    /// The 200 waits for the PRACK.
    pub(super) answer_waits: Option<usize>,
    /// Whether the dialog is planned for: keys, hold, BYE.
    pub(super) is_planned: bool,
    /// The caller's: the number of the last reliable response.
    pub(super) rseq: u32,
    /// The caller's: the offer in this dialog's 2xx is to be answered in the ACK.
    pub(super) owes_answer: Option<usize>,
}

/// What a party will do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Act {
    /// The caller's.
    Call,
    Cancel,
    Acknowledge(usize),
    /// The called party's.
    Ring(usize),
    Early(usize),
    Answer(usize),
    Refuse(u16),
    /// Either's, within a dialog.
    Within(usize, Deed),
}

/// What a party will do within a dialog.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Deed {
    HangUp {
        expired: bool,
    },
    Vanish,
    /// The press with this place in the plan.
    Press(usize),
    /// By a re-INVITE, or an UPDATE; after so many tries.
    Change(Change, super::plan::By, u32),
    NewSource,
    Rebind,
    Refer,
    Notify {
        last: bool,
    },
    ForgeBye(super::plan::Forger),
    ForgeRtp {
        left: u32,
    },
    Garbage,
    Beside,
}

/// The plan, the time, and the way out.
pub(super) struct Turn<'t> {
    pub(super) plan: &'t Plan,
    pub(super) now: Moment,
    pub(super) out: &'t mut Vec<Datagram>,
}

/// A dialog, early or confirmed, with its session.
pub(super) struct Dialog {
    pub(super) local_tag: String,
    pub(super) remote_tag: String,
    /// `From` of its requests, with the tag.
    pub(super) local: String,
    /// `To` of its requests, with the tag.
    pub(super) remote: String,
    /// The other's `Contact`.
    pub(super) target: String,
    /// `Route` lines.
    pub(super) route: String,
    pub(super) local_cseq: u32,
    pub(super) remote_cseq: u32,
    pub(super) life: Life,
    /// The ACKs to 2xx, each with the number of its INVITE.
    pub(super) acks: Vec<(u32, Bytes)>,
    pub(super) wish: Wish,
    /// What was written last, but for the version.
    pub(super) written: Option<Wish>,
    /// An offer of ours that is not answered.
    pub(super) offered: Option<Wish>,
    pub(super) theirs: Option<Described>,
    /// The speech that was agreed.
    pub(super) codec: u8,
    pub(super) stream: Stream,
    /// The translator's port, while it is not described.
    pub(super) rebound: Option<SocketAddr>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Life {
    Early,
    /// Accepted by a 2xx.
    Up,
    Over,
}

impl Party {
    pub(super) fn new(leg: Leg, plan: &Plan, chance: Chance, begins: Moment) -> Self {
        let address = |text: &str| text.parse().expect("an address");
        let mut chance = chance;
        let habit = Habit::of(chance.next());
        let storms = plan.deviations.contains(&Deviation::Storm { leg });
        let mut party = Self {
            call: plan.number,
            leg,
            is_caller: plan.from == leg,
            here: address(if leg == Leg::Pbx { PBX_SIP } else { CARRIER_SIP }),
            the_box: address(BOX_SIP),
            chance,
            habit,
            dialogs: Vec::new(),
            clients: Vec::new(),
            servers: Vec::new(),
            repeats: Vec::new(),
            acts: Vec::new(),
            main: None,
            is_dead: false,
            setup: Setup::default(),
            numbers: plan.numbers(),
            storms,
            forged: 0,
            branches: 0,
            sources: 0,
            pairs: 4,
        };
        if party.is_caller {
            party.acts.push((begins, Act::Call));
            match plan.outcome {
                Outcome::Cancelled(after) => party.acts.push((begins + after, Act::Cancel)),
                _ => party.acts.push((begins + PATIENCE, Act::Cancel)),
            }
        }
        party
    }

    pub(super) const fn here(&self) -> SocketAddr {
        self.here
    }

    pub(super) fn deadline(&self) -> Option<Moment> {
        let mut first = None;
        for &(at, _) in &self.acts {
            first = earlier(first, Some(at));
        }
        for dialog in &self.dialogs {
            first = earlier(first, dialog.stream.next);
        }
        for client in &self.clients {
            first = earlier(first, client.deadline());
        }
        for repeat in &self.repeats {
            first = earlier(first, Some(repeat.deadline()));
        }
        first
    }

    pub(super) fn wake(&mut self, turn: &mut Turn<'_>) {
        while let Some(at) = first_due(&self.acts, turn.now) {
            let (_, act) = self.acts.swap_remove(at);
            self.act(act, turn);
        }
        for dialog in &mut self.dialogs {
            dialog.stream.wake(turn.now, turn.out);
        }
        let mut at = 0;
        while let Some(client) = self.clients.get_mut(at) {
            let due = client.due(turn.now);
            if due == Due::Send {
                let bytes = client.bytes.clone();
                self.send(&bytes, turn);
            }
            if due == Due::GiveUp {
                self.gave_up(at, turn);
            }
            at += 1;
        }
        self.clients.retain(|client| client.state != State::Done || client.method == "INVITE");
        let mut at = 0;
        while let Some(repeat) = self.repeats.get_mut(at) {
            match repeat.due(turn.now) {
                Due::Nothing => at += 1,
                Due::Send => {
                    let bytes = repeat.bytes.clone();
                    self.send(&bytes, turn);
                    at += 1;
                }
                Due::GiveUp => {
                    let what = self.repeats.remove(at).what;
                    self.never_acknowledged(what, turn);
                }
            }
        }
    }

    fn act(&mut self, act: Act, turn: &mut Turn<'_>) {
        match act {
            Act::Call => self.invite("", turn),
            Act::Cancel => self.cancel(turn),
            Act::Acknowledge(dialog) => self.acknowledge(dialog, turn),
            Act::Ring(fork) => self.ring(fork, turn),
            Act::Early(fork) => self.early(fork, turn),
            Act::Answer(fork) => self.answer(fork, turn),
            Act::Refuse(status) => self.refuse(status, turn),
            Act::Within(dialog, deed) => self.deed(dialog, deed, turn),
        }
    }

    // ── what comes ─────────────────────────────────────────────────────────────────────────────────────────────────

    /// Takes a message from the box.
    pub(super) fn hear(&mut self, bytes: &[u8], turn: &mut Turn<'_>) {
        if self.is_dead {
            return;
        }
        let Some(heard) = Heard::read(bytes) else { return };
        match heard.start {
            Start::Request { method, .. } => self.on_request(method, &heard, turn),
            Start::Response { status } => self.on_response(status, &heard, turn),
        }
    }

    fn on_request(&mut self, method: &str, heard: &Heard<'_>, turn: &mut Turn<'_>) {
        let (Some(branch), Some((cseq, _))) = (heard.branch(), heard.cseq()) else { return };
        if method == "ACK" {
            return self.on_ack(branch, cseq, heard, turn);
        }
        if let Some(server) = self.servers.iter().find(|server| server.branch == branch && server.method == method) {
            if let Some(bytes) = server.last.clone() {
                self.send(&bytes, turn);
            }
            return;
        }
        if method == "CANCEL" {
            let invite = self.servers.iter().position(|server| server.branch == branch && server.method == "INVITE");
            let server = self.open(method, branch, cseq, heard);
            self.respond(server, if invite.is_some() { 200 } else { 481 }, None, "", "", turn);
            if invite.is_some() && invite == self.setup.server {
                self.refuse(487, turn);
            }
            return;
        }
        let server = self.open(method, branch, cseq, heard);
        let Some(tag) = heard.tag("To") else {
            return if method == "INVITE" {
                self.on_call(server, heard, turn)
            } else {
                self.respond(server, 200, None, "", "", turn)
            };
        };
        let peer = heard.tag("From").unwrap_or_default();
        let dialog = self
            .dialogs
            .iter()
            .position(|dialog| dialog.local_tag == tag && dialog.remote_tag == peer && dialog.life != Life::Over);
        let Some(dialog) = dialog else { return self.respond(server, 481, None, "", "", turn) };
        if cseq < self.dialogs[dialog].remote_cseq {
            return self.respond(server, 500, None, "", "", turn);
        }
        self.dialogs[dialog].remote_cseq = cseq;
        self.on_request_within(dialog, server, method, heard, turn);
    }

    fn on_response(&mut self, status: u16, heard: &Heard<'_>, turn: &mut Turn<'_>) {
        let (Some(branch), Some((_, method))) = (heard.branch(), heard.cseq()) else { return };
        let found = self.clients.iter().position(|client| client.branch == branch && client.method == method);
        let Some(at) = found else { return };
        let client = &mut self.clients[at];
        let (purpose, dialog, was, cseq) = (client.purpose, client.dialog, client.state, client.cseq);
        if status < 200 {
            client.proceed(turn.now);
            // One that comes behind the final response says nothing any more.
            if purpose == Purpose::Call && was != State::Done {
                self.on_provisional(at, was == State::Calling, heard, turn);
            }
            return;
        }
        client.done();
        if method == "INVITE" && status >= 300 {
            let ack = hop_by_hop(&self.clients[at].bytes, "ACK", heard.first("To"));
            if let Some(ack) = ack {
                self.send(&ack, turn);
            }
        }
        if method != "INVITE" {
            self.clients.swap_remove(at);
        }
        match (purpose, dialog) {
            (Purpose::Call, _) if status < 300 => self.on_accept(cseq, heard, turn),
            (_, Some(dialog)) if method == "INVITE" && status < 300 && self.has_acknowledged(dialog, cseq) => {
                self.acknowledge_again(dialog, cseq, turn);
            }
            _ if was == State::Done => {}
            (Purpose::Call, _) => self.on_refused(status, heard, turn),
            (Purpose::Change(change, tries), Some(dialog)) => self.on_changed(dialog, change, tries, cseq, status, heard, turn),
            (Purpose::Bye { again: false }, Some(dialog)) if matches!(status, 401 | 407) => {
                let lines = credentials(status);
                self.bye(dialog, &lines, true, turn);
            }
            (Purpose::Change(..) | Purpose::Bye { .. } | Purpose::Cancel | Purpose::Other, _) => {}
        }
    }

    /// A request of ours has no answer.
    fn gave_up(&mut self, at: usize, turn: &mut Turn<'_>) {
        let client = &mut self.clients[at];
        let (purpose, state, dialog) = (client.purpose, client.state, client.dialog);
        client.done();
        match (purpose, dialog) {
            (Purpose::Call, _) if state == State::Proceeding && !self.setup.is_cancelled => {
                // There is no end to ringing but the caller's patience, which is an act of its own.
                self.clients[at].state = State::Proceeding;
            }
            (Purpose::Call, _) => self.call_failed(turn.now),
            (Purpose::Change(..), Some(dialog)) => {
                self.dialogs[dialog].offered = None;
                self.hang_up(dialog, false, turn);
            }
            (Purpose::Cancel | Purpose::Change(..) | Purpose::Bye { .. } | Purpose::Other, _) => {}
        }
    }

    /// A response of ours was never acknowledged.
    fn never_acknowledged(&mut self, what: Repeated, turn: &mut Turn<'_>) {
        match what {
            // RFC 3261 §13.3.1.4, §14.2
            Repeated::Accept { dialog, .. } => self.hang_up(dialog, false, turn),
            Repeated::Refusal { .. } => {}
            // RFC 3262 §3
            Repeated::Reliable { .. } => self.refuse(504, turn),
        }
    }

    // ── what goes ──────────────────────────────────────────────────────────────────────────────────────────────────

    pub(super) fn send(&self, bytes: &Bytes, turn: &mut Turn<'_>) {
        for _ in 0..if self.storms { 10 } else { 1 } {
            turn.out.push(Datagram { from: self.here, to: self.the_box, bytes: bytes.clone() });
        }
    }

    pub(super) fn branch(&mut self) -> String {
        self.branches += 1;
        format!("z9hG4bK{}{}{}", self.call, if self.leg == Leg::Pbx { 'p' } else { 't' }, self.branches)
    }

    /// Begins a request outside of any dialog, up to its `Contact`.
    pub(super) fn head(&self, method: &str, uri: &str, branch: &str, between: &str) -> String {
        let user = self.user();
        let here = self.here;
        let mut text = String::with_capacity(700);
        for part in [method, " ", uri, " SIP/2.0\r\n"] {
            text.push_str(part);
        }
        push(&mut text, "Via", &format!("SIP/2.0/UDP {here};branch={branch};rport"));
        text.push_str("Max-Forwards: 70\r\n");
        text.push_str(between);
        push(&mut text, "Contact", &format!("<sip:{user}@{here}>"));
        text
    }

    /// Writes a request of a dialog, and returns its branch.
    pub(super) fn write_within(
        &mut self,
        dialog: usize,
        method: &str,
        cseq: u32,
        lines: &str,
        (kind, body): (&str, &str),
    ) -> (String, Bytes) {
        let branch = self.branch();
        let Dialog { target, route, local, remote, .. } = &self.dialogs[dialog];
        let between =
            format!("{route}From: {local}\r\nTo: {remote}\r\nCall-ID: {}@world\r\nCSeq: {cseq} {method}\r\n", self.call);
        let mut text = self.head(method, target, &branch, &between);
        text.push_str(lines);
        (branch, finish(text, kind, body))
    }

    /// Sends a request of a dialog until it is answered.
    pub(super) fn request(
        &mut self,
        dialog: usize,
        method: &'static str,
        purpose: Purpose,
        lines: &str,
        body: (&str, &str),
        turn: &mut Turn<'_>,
    ) {
        self.dialogs[dialog].local_cseq += 1;
        let cseq = self.dialogs[dialog].local_cseq;
        let (branch, bytes) = self.write_within(dialog, method, cseq, lines, body);
        self.send(&bytes, turn);
        let mut client = Client::new(method, branch, cseq, bytes, purpose, turn.now);
        client.dialog = Some(dialog);
        self.clients.push(client);
    }

    fn open(&mut self, method: &str, branch: &str, cseq: u32, heard: &Heard<'_>) -> usize {
        let mut head = String::with_capacity(400);
        for name in ["Via", "From", "Call-ID", "CSeq"] {
            heard.all(name).for_each(|value| push(&mut head, name, value));
        }
        let mut record_route = String::new();
        heard.all("Record-Route").for_each(|value| push(&mut record_route, "Record-Route", value));
        self.servers.push(Server {
            branch: branch.to_owned(),
            method: method.to_owned(),
            cseq,
            head,
            record_route,
            to: heard.first("To").unwrap_or_default().to_owned(),
            last: None,
            answered: None,
        });
        self.servers.len() - 1
    }

    /// Answers a request, and keeps the answer for when it comes again.
    pub(super) fn respond(
        &mut self,
        at: usize,
        status: u16,
        dialog: Option<usize>,
        lines: &str,
        body: &str,
        turn: &mut Turn<'_>,
    ) {
        let server = &self.servers[at];
        let mut text = format!("SIP/2.0 {status} {}\r\n", phrase(status));
        text.push_str(&server.head);
        if turn.plan.deviations.contains(&Deviation::RecordsRoute { leg: self.leg }) && !server.record_route.is_empty() {
            push(&mut text, "Record-Route", &format!("<sip:{};lr>", self.here));
        }
        text.push_str(&server.record_route);
        let tag = match dialog {
            _ if server.to.contains("tag=") => String::new(),
            Some(dialog) => format!(";tag={}", self.dialogs[dialog].local_tag),
            None => format!(";tag=n{}", self.call),
        };
        push(&mut text, "To", &format!("{}{tag}", server.to));
        push(&mut text, "Contact", &format!("<sip:{}@{}>", self.user(), self.here));
        text.push_str(lines);
        let bytes = finish(text, "application/sdp", body);
        let is_invite = server.method == "INVITE";
        self.send(&bytes, turn);
        if is_invite && status >= 300 {
            self.repeats.push(Repeat::new(Repeated::Refusal { server: at }, bytes.clone(), turn.now));
        }
        let server = &mut self.servers[at];
        server.last = Some(bytes);
        if status >= 200 {
            server.answered = Some(status);
        }
    }

    /// The user part of this party's own number.
    pub(super) fn user(&self) -> &str {
        &self.numbers[self.leg.index()]
    }

    // ── sessions ───────────────────────────────────────────────────────────────────────────────────────────────────

    /// What this party wants at first on this phone.
    pub(super) fn first_wish(&self, plan: &Plan, fork: u8) -> Wish {
        let speech = plan.speech[self.leg.index()];
        Wish {
            media: media(self.call, self.leg, fork, fork % 4),
            formats: speech.formats().to_vec(),
            flow: Flow::BOTH,
            zeroes: false,
            version: 0,
        }
    }

    /// A pair of ports that was not used before, on the same host or on the next.
    pub(super) fn another_pair(&mut self, dialog: usize, same_host: bool) -> SocketAddr {
        let pair = self.pairs.min(15);
        self.pairs += 1;
        let first = u16::from(super::FIRST_HOST[self.leg.index()]);
        let SocketAddr::V4(now) = self.dialogs[dialog].wish.media else { unreachable!("all media is IPv4") };
        let host = (u16::from(now.ip().octets()[3]) - first) % 4 + u16::from(!same_host);
        media(self.call, self.leg, u8::try_from(host).unwrap_or(0), pair)
    }

    pub(super) fn new_stream(&mut self, from: SocketAddr) -> Stream {
        let source = self.source();
        Stream::new(self.call, self.leg, source, self.chance.next(), from)
    }

    pub(super) const fn source(&mut self) -> u8 {
        self.sources = self.sources.wrapping_add(1);
        self.sources
    }

    /// Writes what this party wants as an offer, and remembers that it was offered.
    pub(super) fn write_offer(&mut self, dialog: usize, wish: Wish) -> String {
        let text = self.write(dialog, wish.clone());
        let version = self.dialogs[dialog].wish.version;
        self.dialogs[dialog].offered = Some(Wish { version, ..wish });
        text
    }

    /// Writes the answer to what the other described last.
    pub(super) fn write_answer(&mut self, dialog: usize) -> String {
        let here = &self.dialogs[dialog];
        let mut wish = here.wish.clone();
        if let Some(theirs) = &here.theirs {
            wish.formats = wish.answering(theirs, self.habit);
            wish.flow = wish.flow.answering(theirs.flow);
        }
        self.dialogs[dialog].codec = speech(&wish.formats).unwrap_or(0);
        self.write(dialog, wish)
    }

    fn write(&mut self, dialog: usize, mut wish: Wish) -> String {
        let session = self.session();
        let here = &mut self.dialogs[dialog];
        wish.version = 0;
        if here.written.as_ref() != Some(&wish) {
            here.wish.version += u32::from(here.written.is_some());
            here.written = Some(wish.clone());
        }
        wish.version = here.wish.version;
        wish.write(session, self.habit)
    }

    /// Takes the answer to our offer.
    pub(super) fn take_answer(&mut self, dialog: usize, theirs: Described) {
        let here = &mut self.dialogs[dialog];
        if let Some(offered) = here.offered.take() {
            if offered.media != here.wish.media {
                here.rebound = None;
            }
            here.wish = Wish { version: here.wish.version, ..offered };
        }
        here.codec = speech(&theirs.formats).unwrap_or(0);
        here.theirs = Some(theirs);
    }

    /// Lets the stream be as the session has it: to where, in what, or not at all.
    pub(super) fn tune(&mut self, dialog: usize, turn: &Turn<'_>) {
        let music = self.habit.unknown;
        let is_silent = turn.plan.deviations.contains(&Deviation::Silent { leg: self.leg });
        let here = &mut self.dialogs[dialog];
        let Some(theirs) = here.theirs.as_ref().filter(|_| here.life != Life::Over) else { return };
        here.stream.from = here.rebound.unwrap_or(here.wish.media);
        here.stream.to = theirs.media;
        here.stream.payload_type = here.codec;
        here.stream.events = theirs.formats.contains(&EVENT);
        let sends = here.wish.flow.sends && theirs.takes() && (!here.wish.zeroes || music) && !is_silent;
        if sends {
            here.stream.run(turn.now);
        } else {
            here.stream.rest(turn.now);
        }
    }

    /// The dialog is over: what was planned in it, its media, and what is sent again for it.
    pub(super) fn over(&mut self, dialog: usize, turn: &Turn<'_>) {
        let leg = self.leg;
        let talks_on = turn.plan.deviations.iter().find_map(|deviation| match deviation {
            Deviation::TalksOn { leg: whose, lasts } if *whose == leg => Some(*lasts),
            _ => None,
        });
        self.lose(dialog, talks_on.unwrap_or(Duration::ZERO), turn.now);
        if self.main == Some(dialog) {
            self.main = None;
        }
    }

    pub(super) fn lose(&mut self, dialog: usize, media_goes_on: Duration, now: Moment) {
        let here = &mut self.dialogs[dialog];
        here.life = Life::Over;
        here.offered = None;
        here.stream.end(now + media_goes_on);
        self.repeats.retain(|repeat| match repeat.what {
            Repeated::Accept { dialog: at, .. } | Repeated::Reliable { dialog: at } => at != dialog,
            Repeated::Refusal { .. } => true,
        });
        self.acts.retain(|(_, act)| match act {
            Act::Within(at, _) | Act::Acknowledge(at) | Act::Ring(at) | Act::Early(at) | Act::Answer(at) => *at != dialog,
            Act::Call | Act::Cancel | Act::Refuse(_) => true,
        });
    }

    /// Its process dies: nothing goes out any more, and nothing that comes is heard.
    pub(super) fn vanish(&mut self, now: Moment) {
        self.is_dead = true;
        self.acts.clear();
        self.clients.clear();
        self.repeats.clear();
        for dialog in &mut self.dialogs {
            dialog.stream.end(now);
        }
    }

    pub(super) fn plan_act(&mut self, at: Moment, act: Act) {
        self.acts.push((at, act));
    }
}

impl Dialog {
    pub(super) fn new(wish: Wish, stream: Stream) -> Self {
        Self {
            local_tag: String::new(),
            remote_tag: String::new(),
            local: String::new(),
            remote: String::new(),
            target: String::new(),
            route: String::new(),
            local_cseq: 0,
            remote_cseq: 0,
            life: Life::Early,
            acks: Vec::new(),
            wish,
            written: None,
            offered: None,
            theirs: None,
            codec: 0,
            stream,
            rebound: None,
        }
    }

    /// Whether a description of ours has gone out.
    pub(super) const fn has_written(&self) -> bool {
        self.written.is_some()
    }
}

/// How long a caller lets it ring.
const PATIENCE: Duration = Duration::from_secs(30);

/// The line that answers a challenge.
pub(super) fn credentials(status: u16) -> String {
    let name = if status == 401 { "Authorization" } else { "Proxy-Authorization" };
    format!("{name}: Digest username=\"world\", realm=\"world\", nonce=\"1\", uri=\"sip:world\", response=\"0\"\r\n")
}

/// The line that challenges.
pub(super) fn challenge(status: u16) -> String {
    let name = if status == 401 { "WWW-Authenticate" } else { "Proxy-Authenticate" };
    format!("{name}: Digest realm=\"world\", nonce=\"1\"\r\n")
}

/// The earliest act that is due.
fn first_due(acts: &[(Moment, Act)], now: Moment) -> Option<usize> {
    let (at, _) = acts.iter().enumerate().filter(|(_, (at, _))| *at <= now).min_by_key(|(_, (at, _))| *at)?;
    Some(at)
}
