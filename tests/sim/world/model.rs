//! What the recording proxy owes, in code: a small model of it that sees only what crosses the box's border.
//!
//! Read this first if you want to know what the product must do. It is written from the requirements (README, `promises.md`,
//! `threats.md`, RFC 3261, 3264, 4733) and shares no code with the product: it has its own readers of SIP, SDP and RTP, and its own
//! idea of what a call is. A run of the world hands it each datagram that went into the box or came out of it, in order, and each
//! fault; it answers at once where something must not have happened, and at the end (`judge`) it says what should lie on the disk
//! and in the ledger.
//!
//! **Who is who.** 192.0.2.10 is the PBX, 198.51.100.0/24 the carrier; everybody else is a *stranger*. A stranger gets no answer, no
//! packet, and changes nothing. A call is known by its Call-ID, each of its dialogs by the callee's tag, because a call that forks has
//! several. Where a party wants its media stands in the SDP that the box *received* from its side; at which ports the box waits for a
//! party stands in the SDP that the box *sent* to that side. No SDP that leaves the box may name anything but the box: otherwise the
//! media goes round the recorder.
//!
//! **Relaying.** An RTP packet that comes to a port of the box is judged by where it came from:
//! - not from an address that its side named in this call: it is a stranger's, and never goes out;
//! - after the call's end: never goes out;
//! - from the party's present address, in the clear, in a negotiated format, with both sides `sendrecv`, offer and answer complete and
//!   no announcement playing to the other side: it *must* go out to the other party, with the payload untouched, within `slack`;
//! - everything else *may* go out.
//!
//! What goes out at a media port is such a packet, RTCP, or a frame of an announcement, and goes to an address that the side named.
//!
//! **Recording.** Both parties are told: five frames of the announcement go out to each, after the ACK of the 2xx. Then
//! - `announce`: consent is complete at once;
//! - `opt-out`: it is complete when the time for a refusal is over, and the trunk's party has not pressed 9 since its announcement began;
//! - `opt-in`: it is complete when the trunk's party presses 1, from the beginning of its announcement until the time for an answer is over;
//! - no policy, `never`, or nothing but codecs that cannot be announced: never.
//!
//! Nothing that came in before that is ever stored: this border is exact, it has no slack. From then on each voice packet of the two
//! parties is in the file, as it came, or in a gap that the file names. Pressed keys are not stored, nor what a stranger sends. It ends with
//! the BYE of either party (and goes on if the BYE is challenged), a key of withdrawal, the operator's word, the end of the call. A pause
//! is a gap. After an orderly end the file is complete; where the process was killed it is torn, and has all but the last half second;
//! where the power failed, all but that and what was not synced.
//!
//! **The ledger** has one row for each call, recorded or not, with the reason.
//!
//! **Must, may, must not.** The box takes time, at most `slack`, so whatever is near a border in time is *may*. So is everything where
//! the requirements are silent; each such place says so. Missing a defect there is better than an alarm that is none, for nobody reads
//! the second of those.

mod call;
mod consent;
mod judge;
mod media;
mod rtp;
mod sdp;
mod sip;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use mitschnitt::ids::Leg;
use mitschnitt::time::Moment;

use super::border::{BOX_MEDIA, BOX_SIP, Datagram, Way};
use call::{Call, Lost, Talk};
use sip::{Message, Start};

/// The model of one box.
pub struct Model {
    rules: Rules,
    /// How often the box was started again: requests and calls of an earlier life are not known to it.
    life: u32,
    calls: Vec<Call>,
    talks: BTreeMap<Arc<str>, Talk>,
    /// The box's RTP ports, by the leg they face, and the call they serve.
    ports: BTreeMap<(Leg, u16), usize>,
    /// What strangers asked for (Call-ID, CSeq, method), to say so when it is passed on.
    strangers: BTreeSet<(String, u32, String)>,
    faults: Faults,
    box_sip: SocketAddr,
    box_media: [IpAddr; 2],
}

/// What the box was told, and how exactly it is held to it.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The longest time from a datagram's arrival until everything in the box that follows from it has happened.
    pub slack: Duration,
    /// The length of a frame of the announcement, and how many it has.
    pub frame: Duration,
    pub frames: u32,
    /// The first whose prefix the far number begins with decides.
    pub policies: Vec<Policy>,
    /// The longest time that a packet waits for its chunk to be written.
    pub chunk_age: Duration,
    /// The longest time that what is written waits to be made durable.
    pub sync_every: Duration,
    /// Which sides speak SRTP. The model sees it plainly.
    pub secured: [bool; 2],
}

/// Which calls, and how consent is had; the trunk's party must agree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    pub prefix: &'static str,
    pub mode: Mode,
    /// How long the key is waited for after the announcement.
    pub window: Duration,
    pub key: char,
    /// A call without consent is ended by the box.
    pub hang_up: bool,
}

/// How consent is had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    Announce,
    OptOut,
    OptIn,
    Never,
}

/// What happened to the box, or was done to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The process died: what was written stays.
    Killed,
    /// Only what was synced stays.
    PowerLost,
    /// An orderly shutdown.
    Stopped,
    /// The box runs again, and knows no call.
    Restarted,
    /// From here on the disk refuses, or is slower than `slack` allows.
    DiskFails,
    /// And from here on it works again.
    DiskWorks,
    /// From here on the disk says that it synced, and has not: nothing can be promised for a loss of power.
    DiskLies,
    /// The queue to the disk was full at some time since `from`.
    LaneFull {
        from: Moment,
    },
    /// The operator's words, each taken by the box at that moment; by call number.
    Paused(u32),
    Resumed(u32),
    Withdrawn(u32),
}

/// A statement of the model that the box has broken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broken {
    pub invariant: &'static str,
    pub call: Option<u32>,
    pub what: String,
}

/// What lies on the disk and in the ledger.
#[derive(Clone, Default, Debug)]
pub struct Archive {
    pub files: Vec<File>,
    pub rows: Vec<Row>,
}

/// A recording, opened.
#[derive(Clone, Debug)]
pub struct File {
    pub call_id: String,
    pub state: FileState,
    pub granted: Moment,
    /// Leg, arrival since the grant, the whole RTP packet; in the file's order.
    pub packets: Vec<(Leg, Duration, Vec<u8>)>,
    /// Leg (none: both), reason, from (since the grant), duration, packets (0: nobody counted).
    pub gaps: Vec<(Option<Leg>, String, Duration, Duration, u64)>,
    pub end: Option<String>,
    /// Pressed keys of each leg that were withheld, in packets.
    pub withheld: [u64; 2],
}

/// What a reader says of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FileState {
    Complete,
    Torn,
    Broken(String),
}

/// A row of the ledger.
#[derive(Clone, Debug)]
pub struct Row {
    pub call_id: String,
    pub reason: String,
    pub state: String,
    pub ended: bool,
    pub recording: bool,
}

/// The faults so far that concern more than one call.
#[derive(Default)]
struct Faults {
    /// When the disk failed, and when it worked again.
    disk: Vec<(Moment, Option<Moment>)>,
    lies_since: Option<Moment>,
    /// When the process ended, in whatever way.
    gone: Vec<Moment>,
    /// When the power failed.
    cuts: Vec<Moment>,
    lane_full: Option<Moment>,
}

impl Model {
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            life: 0,
            calls: Vec::new(),
            talks: BTreeMap::new(),
            ports: BTreeMap::new(),
            strangers: BTreeSet::new(),
            faults: Faults::default(),
            box_sip: BOX_SIP.parse().unwrap(),
            box_media: BOX_MEDIA.map(|ip| ip.parse().unwrap()),
        }
    }

    /// Takes a datagram that went into the box, or came out of it, at `at`.
    pub fn see(&mut self, at: Moment, way: Way, datagram: &Datagram) -> Result<(), Broken> {
        let (ours, theirs) = match way {
            Way::In => (datagram.to, datagram.from),
            Way::Out => (datagram.from, datagram.to),
        };
        if ours != self.box_sip {
            let Some(facing) = Leg::BOTH.into_iter().find(|leg| self.box_media[leg.index()] == ours.ip()) else { return Ok(()) };
            return self.media(at, way, facing, ours.port(), theirs, &datagram.bytes);
        }
        let message = Message::read(&datagram.bytes);
        match (way, side_of(theirs), message) {
            (Way::In, Some(leg), Some(message)) => {
                self.sip_in(at, leg, &message);
                Ok(())
            }
            (Way::In, None, Some(message)) => {
                if self.strangers.len() < 4096 {
                    self.strangers.insert((message.call_id.to_owned(), message.cseq, message.method.to_owned()));
                }
                Ok(())
            }
            (Way::Out, Some(leg), Some(message)) => self.sip_out(at, leg, &message),
            (Way::Out, None, message) => {
                let call = message.as_ref().and_then(|message| number_of(message.call_id));
                Err(broken("answered-a-stranger", call, format!("{at:?}: SIP to {theirs}, which is neither PBX nor carrier")))
            }
            (_, _, None) => Ok(()),
        }
    }

    /// Takes a fault.
    pub fn fault(&mut self, at: Moment, fault: Fault) {
        let lost = match fault {
            Fault::Killed => Some(Lost::Killed(at)),
            Fault::PowerLost => {
                self.faults.cuts.push(at);
                Some(Lost::Power(at))
            }
            Fault::Stopped => Some(Lost::Stopped(at)),
            Fault::DiskFails => {
                self.faults.disk.push((at, None));
                None
            }
            Fault::DiskWorks => {
                if let Some(last) = self.faults.disk.last_mut() {
                    last.1.get_or_insert(at);
                }
                None
            }
            Fault::DiskLies => {
                self.faults.lies_since.get_or_insert(at);
                None
            }
            Fault::LaneFull { from } => {
                self.faults.lane_full = Some(self.faults.lane_full.map_or(from, |earlier| earlier.min(from)));
                None
            }
            Fault::Paused(number) => self.told(number, |call| call.paused.push((at, None))),
            Fault::Resumed(number) => self.told(number, |call| {
                if let Some((_, until)) = call.paused.last_mut() {
                    until.get_or_insert(at);
                }
            }),
            Fault::Withdrawn(number) => self.told(number, |call| {
                call.withdrawn.get_or_insert(at);
            }),
            Fault::Restarted => {
                self.life += 1;
                self.ports.clear();
                self.calls.iter_mut().for_each(Call::forget_waiting);
                None
            }
        };
        if let Some(lost) = lost {
            self.faults.gone.push(at);
            // One that is stopped in order hands on what it had read.
            if fault != Fault::Stopped {
                self.ports.clear();
            }
            for call in &mut self.calls {
                call.lost.get_or_insert(lost);
                match lost {
                    Lost::Stopped(_) => call.excuse_waiting(),
                    Lost::Killed(_) | Lost::Power(_) => call.forget_waiting(),
                }
            }
        }
    }

    /// Returns how many calls must be up in the box: confirmed, and nothing that ends them was seen.
    pub fn live(&self) -> usize {
        self.calls.iter().filter(|call| call.must_be_up()).count()
    }

    /// Returns how many calls may be up in the box at `at`. A call that ended is gone 64·T1 and `slack` later.
    pub fn live_at_most(&self, at: Moment) -> usize {
        self.calls.iter().filter(|call| call.may_be_up(at, self.rules.slack)).count()
    }

    /// Holds what lies on the disk and in the ledger against what crossed the border. To be called once everything has come to rest.
    pub fn judge(&mut self, at: Moment, archive: &Archive) -> Result<(), Broken> {
        for index in 0..self.calls.len() {
            self.calls[index].settle(at, &self.rules)?;
        }
        judge::judge(self, at, archive)
    }

    /// An operator's word for a call.
    fn told(&mut self, number: u32, word: impl FnOnce(&mut Call)) -> Option<Lost> {
        let life = self.life;
        if let Some(call) = self.calls.iter_mut().rev().find(|call| call.number == Some(number) && call.life == life) {
            word(call);
        }
        None
    }

    /// A SIP message of the PBX or the carrier.
    fn sip_in(&mut self, at: Moment, leg: Leg, message: &Message<'_>) {
        let talk = self.talks.entry(message.call_id.into()).or_default();
        let Start::Request { user } = message.start else {
            if message.whole {
                talk.response_in(at, leg, message, self.life, &mut self.calls, &self.rules);
            }
            return;
        };
        if !message.whole {
            return talk.cut_request_in(at, leg, message, self.life);
        }
        let again = talk.request(leg, message, self.life).is_some_and(|request| request.whole);
        if again && message.method != "ACK" {
            // A retransmission. Of an INVITE whose call is over, the box may take it for a new call, once its transaction is gone.
            if let (true, Some(&call)) = (message.method == "INVITE" && message.to.tag.is_empty(), talk.calls.last()) {
                self.calls[call].attempts += u32::from(self.calls[call].over().is_some());
            }
            return;
        }
        let call = match (message.method, message.to.tag) {
            ("INVITE", "") => {
                let last = talk.calls.last().copied().filter(|&call| self.calls[call].goes_on(self.life));
                Some(match last {
                    Some(call) => {
                        self.calls[call].attempts += 1;
                        self.calls[call].muddled = true;
                        call
                    }
                    None => {
                        let policy = self.rules.policy(leg, user, message.from.user);
                        self.calls.push(Call::new(at, leg, message, policy, self.life));
                        talk.calls.push(self.calls.len() - 1);
                        self.calls.len() - 1
                    }
                })
            }
            _ => talk.calls.iter().rev().copied().find(|&call| self.calls[call].dialog(leg, message).is_some()),
        };
        talk.request_in(at, leg, message, self.life, call);
        // The ACK of a refusal is between two neighbours, and says nothing of a dialog (RFC 3261 §17.1.1.3). It has the refusal's tag: one
        // with that of a dialog which was accepted is for the 2xx, though its number be that of another INVITE that was refused.
        let invite = |request: &&call::Request| request.method == "INVITE" && request.is_sent_with(leg, message);
        let is_for_a_2xx = call.is_some_and(|call| self.calls[call].has_accepted(leg, message));
        let refused =
            |request: &call::Request| request.refused.is_some() && request.call == call && !(request.initial && is_for_a_2xx);
        let acknowledges_refusal = message.method == "ACK" && talk.requests.iter().rev().find(invite).is_some_and(refused);
        if let Some(call) = call.filter(|_| !acknowledges_refusal) {
            self.calls[call].request_in(at, leg, message, &self.rules);
        }
    }

    /// A SIP message to the PBX or the carrier.
    fn sip_out(&mut self, at: Moment, to: Leg, message: &Message<'_>) -> Result<(), Broken> {
        let number = number_of(message.call_id);
        let name = format!("{at:?}: {} {} of {} to the {to}", message.kind(), message.method, message.call_id);
        let asked = (message.call_id.to_owned(), message.cseq, message.method.to_owned());
        let passed_on = |what: &str| {
            if self.strangers.contains(&asked) {
                broken("stranger-passed-on", number, format!("{name}: only a stranger asked for it"))
            } else {
                broken("out-of-nowhere", number, format!("{name}: {what}"))
            }
        };
        let Some(talk) = self.talks.get_mut(message.call_id) else {
            // What could not be read is refused with what could be read of it.
            return match message.start {
                Start::Response { status: 400.. } => Ok(()),
                _ => Err(passed_on("nobody sent a message with this Call-ID")),
            };
        };
        let sender = if message.is_request() { to.other() } else { to };
        let dialog = talk.calls.iter().rev().find_map(|&call| Some((call, self.calls[call].dialog(sender, message)?)));
        let request = talk.requests.iter_mut().rev().find(|request| request.is(sender, message));
        let call = request.as_ref().and_then(|request| request.call).or_else(|| dialog.map(|(call, _)| call));
        match (message.start, request) {
            (Start::Request { .. }, Some(request)) => request.passed_on = true,
            (Start::Request { .. }, None) => match (message.method, call) {
                // Hop by hop: a proxy makes its own for each branch of the INVITE.
                ("ACK" | "CANCEL", _) if talk.requests.iter().any(|asked| asked.leg == sender && asked.method == "INVITE") => {}
                ("BYE", Some(call)) if self.calls[call].may_hang_up() || !self.strangers.contains(&asked) => {
                    self.calls[call].hung_up_by_box(at, dialog.map(|(_, dialog)| dialog), &name, &self.rules)?;
                }
                _ => return Err(passed_on("nobody sent this request")),
            },
            (Start::Response { .. }, None) => return Err(passed_on("nobody there sent the request that it answers")),
            (Start::Response { status }, Some(request)) => {
                // A copy that was cut on the way is refused by itself, and changes nothing.
                request.answered = true;
                if request.cut && status == 400 {
                    return Ok(());
                }
                let other = request.refused.filter(|&earlier| earlier != status);
                // A request in each of two dialogs may have the same number.
                let is_alone = call.is_none_or(|call| self.calls[call].only().is_some());
                if status >= 300 && other.is_some() && request.life == self.life && is_alone && message.method != "BYE" {
                    return Err(broken(
                        "two-finals",
                        number,
                        format!("{name}: it was refused with {:?} before", request.refused),
                    ));
                }
                if status >= 300 {
                    request.refused = Some(status);
                }
            }
        }
        let Some(call) = call else { return Ok(()) };
        let ports = self.calls[call].message_out(at, to, message, &self.box_media, &self.rules)?;
        for port in ports {
            self.ports.insert((to, port), call);
        }
        Ok(())
    }

    /// RTP or RTCP at the box's port that faces `facing`.
    fn media(&mut self, at: Moment, way: Way, facing: Leg, port: u16, peer: SocketAddr, bytes: &[u8]) -> Result<(), Broken> {
        let call = self.ports.get(&(facing, port & !1)).copied();
        match (way, call) {
            (Way::In, None) => Ok(()),
            (Way::In, Some(call)) => self.calls[call].media_in(at, facing, port, peer, bytes, &self.rules),
            (Way::Out, None) => Err(broken(
                "out-of-nowhere",
                None,
                format!("{at:?}: media to {peer} from the {facing}'s port {port}, which no SDP of a running call names"),
            )),
            (Way::Out, Some(call)) => self.calls[call].media_out(at, facing, (port, peer), bytes, &self.rules),
        }
    }
}

impl Rules {
    /// The box of the world (CONTRACT: policies by the far number).
    pub fn world(slack: Duration) -> Self {
        let policy =
            |prefix, mode, window, key, hang_up| Policy { prefix, mode, window: Duration::from_millis(window), key, hang_up };
        Self {
            slack,
            frame: Duration::from_millis(20),
            frames: 5,
            policies: vec![
                policy("+49301", Mode::Announce, 0, ' ', false),
                policy("+49302", Mode::OptOut, 400, '9', false),
                policy("+49303", Mode::OptIn, 600, '1', false),
                policy("+49304", Mode::Never, 0, ' ', false),
                policy("+49306", Mode::OptIn, 600, '1', true),
            ],
            chunk_age: Duration::from_millis(500),
            sync_every: Duration::from_millis(500),
            secured: [false; 2],
        }
    }

    /// The far number is the called one of a call from the PBX, and the calling one of a call to it.
    fn policy(&self, caller: Leg, called: &str, calling: &str) -> Option<Policy> {
        let far = match caller {
            Leg::Pbx => called,
            Leg::Trunk => calling,
        };
        self.policies.iter().copied().find(|policy| far.starts_with(policy.prefix))
    }
}

/// The side that a SIP address belongs to; `None` is a stranger.
fn side_of(address: SocketAddr) -> Option<Leg> {
    match address.ip() {
        IpAddr::V4(ip) if ip.octets() == [192, 0, 2, 10] => Some(Leg::Pbx),
        IpAddr::V4(ip) if ip.octets()[..3] == [198, 51, 100] => Some(Leg::Trunk),
        _ => None,
    }
}

/// The number of `7@world` is 7.
fn number_of(call_id: &str) -> Option<u32> {
    call_id.split('@').next()?.parse().ok()
}

fn broken(invariant: &'static str, call: Option<u32>, what: String) -> Broken {
    Broken { invariant, call, what }
}

/// The moment `span` before, or the beginning of all.
fn less(moment: Moment, span: Duration) -> Moment {
    Moment::START + moment.since(Moment::START + span)
}

/// 64·T1: after it a transaction is over, whatever was lost (RFC 3261 §17.1.1.2).
const GIVEN_UP: Duration = Duration::from_secs(32);
