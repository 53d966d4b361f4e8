//! The packets of a call: which must go out again, which may, and which must not; and the frames of the announcement.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use mitschnitt::ids::Leg;
use mitschnitt::time::Moment;

use super::super::border::Voice;
use super::call::{Call, Dialog};
use super::rtp::{Rtp, hash, is_rtcp};
use super::sdp::Media;
use super::{Broken, GIVEN_UP, Mode, Rules, broken, less};

/// What came from one leg.
#[derive(Default)]
pub(super) struct Flow {
    /// What may or must still go out, by arrival.
    waiting: VecDeque<Waiting>,
    /// What must not, as far as it is recent.
    refused: VecDeque<Refused>,
    /// All RTP packets, by arrival.
    pub(super) heard: Vec<Heard>,
}

/// A packet that must not go out.
struct Refused {
    at: Moment,
    payload: u64,
    kind: Kind,
    peer: SocketAddr,
}

/// A packet that came in and may go out.
struct Waiting {
    at: Moment,
    payload: u64,
    ssrc: Option<u32>,
    /// The counter in its marker.
    counter: Option<u32>,
    /// Where it must go; `None` where it need not.
    due: Option<SocketAddr>,
    gone: bool,
    /// Its place in `heard`.
    place: usize,
}

/// An RTP packet that came in, as the recorder should have seen it.
#[derive(Clone, Copy)]
pub(super) struct Heard {
    pub(super) at: Moment,
    pub(super) packet: u64,
    pub(super) sequence: u16,
    pub(super) ssrc: u32,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Voice of a party from its present address, in an agreed session: kept while the recording runs.
    Sound,
    /// Perhaps.
    Unsure,
    /// A pressed key: never kept.
    Key,
    /// From an address that its side never named: neither kept nor relayed.
    Stranger,
    /// After the call's end: neither.
    Late,
}

/// A key that a party pressed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Press {
    pub(super) leg: Leg,
    pub(super) digit: char,
    /// Its first and its latest packet, and the first that says that it was let go.
    pub(super) first: Moment,
    pub(super) last: Moment,
    pub(super) ended: Option<Moment>,
    /// Nothing about it is doubtful: negotiated, from the party's present address, in the one dialog that was accepted.
    pub(super) sure: bool,
    /// SSRC and RTP timestamp, by which its packets are known (RFC 4733 §2.2.1).
    event: Option<(u32, u32)>,
}

impl Press {
    pub(super) const fn of_info(at: Moment, leg: Leg, digit: char, sure: bool) -> Self {
        Self { leg, digit, first: at, last: at, ended: Some(at), sure, event: None }
    }
}

impl Flow {
    /// Whether a packet with this number came from its source before, not long ago: this very one, or one that was mangled on the way.
    fn has_just_heard(&self, rtp: &Rtp<'_>) -> bool {
        self.heard.iter().rev().take(64).any(|heard| (heard.ssrc, heard.sequence) == (rtp.ssrc, rtp.sequence))
    }
}

impl Call {
    pub(super) fn media_in(
        &mut self,
        at: Moment,
        leg: Leg,
        port: u16,
        peer: SocketAddr,
        bytes: &[u8],
        rules: &Rules,
    ) -> Result<(), Broken> {
        self.settle(at, rules)?;
        let rtp = if port % 2 == 1 || is_rtcp(bytes) { None } else { Rtp::read(bytes) };
        let Some(rtp) = rtp else {
            // RTCP, or no RTP at all: it may pass, but for a stranger's.
            let named = self.named[leg.index()].iter().any(|address| address.ip() == peer.ip());
            let flow = &mut self.flows[leg.index()];
            if named {
                flow.waiting.push_back(Waiting {
                    at,
                    payload: hash(bytes),
                    ssrc: None,
                    counter: None,
                    due: None,
                    gone: false,
                    place: usize::MAX,
                });
            } else {
                flow.refused.push_back(Refused { at, payload: hash(bytes), kind: Kind::Stranger, peer });
            }
            return Ok(());
        };
        let (kind, due) = self.verdict(at, leg, port, peer, &rtp, rules);
        // Two packets with one number are one keystream twice (RFC 3711 §9.1): to a side with SRTP only the first must go out.
        let may_go = !rules.secured[leg.other().index()] || !self.flows[leg.index()].has_just_heard(&rtp);
        let due = due.filter(|_| may_go);
        self.pressed(at, leg, peer, &rtp, kind);
        let payload = hash(rtp.payload);
        let counter = Voice::read(rtp.payload).map(|voice| voice.counter);
        let flow = &mut self.flows[leg.index()];
        match kind {
            Kind::Stranger | Kind::Late => flow.refused.push_back(Refused { at, payload, kind, peer }),
            Kind::Sound | Kind::Unsure | Kind::Key => {
                flow.waiting.push_back(Waiting {
                    at,
                    payload,
                    ssrc: Some(rtp.ssrc),
                    counter,
                    due,
                    gone: false,
                    place: flow.heard.len(),
                });
            }
        }
        flow.heard.push(Heard { at, packet: hash(bytes), sequence: rtp.sequence, ssrc: rtp.ssrc, kind });
        Ok(())
    }

    pub(super) fn media_out(
        &mut self,
        at: Moment,
        to: Leg,
        (port, peer): (u16, SocketAddr),
        bytes: &[u8],
        rules: &Rules,
    ) -> Result<(), Broken> {
        self.settle(at, rules)?;
        let rtcp = is_rtcp(bytes);
        let named = &self.named[to.index()];
        if !named.iter().any(|address| if rtcp { address.ip() == peer.ip() } else { *address == peer }) {
            let what = format!("{at:?}: media to {peer}, which no SDP from the {to} names ({named:?}); {}", marker(bytes));
            return Err(broken("forwarded-to-stranger", self.number, what));
        }
        let rtp = if rtcp { None } else { Rtp::read(bytes) };
        if let Some(over) = self.over().filter(|over| rtp.is_some() && at > *over + rules.slack * 2) {
            let what = format!("{at:?}: RTP to the {to}, but the call was over at {over:?}; {}", marker(bytes));
            return Err(broken("forwarded-after-end", self.number, what));
        }
        match rtp {
            Some(rtp) if rtp.payload.starts_with(b"CLIP") => {
                self.told_frame(at, to, (port, peer), &rtp, rules)?;
                self.steady(at, to, (port, peer), &rtp, None)
            }
            _ => {
                let source = self.relayed(at, to, peer, rtp.map_or(bytes, |rtp| rtp.payload), rtcp)?;
                source.zip(rtp).map_or(Ok(()), |(source, rtp)| self.steady(at, to, (port, peer), &rtp, Some(source)))
            }
        }
    }

    /// A packet goes out that is no announcement: it must be one that came in, with the SSRC that is returned.
    fn relayed(&mut self, at: Moment, to: Leg, peer: SocketAddr, payload: &[u8], rtcp: bool) -> Result<Option<u32>, Broken> {
        let hash = hash(payload);
        let flow = &mut self.flows[to.other().index()];
        // Of a packet that came twice, first the one that had to go out.
        let fits = |waiting: &Waiting| !waiting.gone && waiting.payload == hash;
        let due = flow.waiting.iter().position(|waiting| fits(waiting) && waiting.due.is_some());
        let found = due.or_else(|| flow.waiting.iter().position(fits)).and_then(|place| flow.waiting.get_mut(place));
        if let Some(waiting) = found {
            waiting.gone = true;
            let astray = waiting.due.filter(|due| *due != peer);
            let (since, ssrc) = (waiting.at, waiting.ssrc);
            while flow.waiting.front().is_some_and(|waiting| waiting.gone) {
                flow.waiting.pop_front();
            }
            return astray.map_or(Ok(ssrc), |due| {
                let what = format!("{at:?}: the packet of {since:?} went to {peer} instead of {due}; {}", marker(payload));
                Err(broken("forwarded-astray", self.number, what))
            });
        }
        if let Some(Refused { at: since, kind, peer: from, .. }) = flow.refused.iter().find(|refused| refused.payload == hash) {
            // It lay in the box's socket when a description came that names its sender.
            let is_its = |address: &SocketAddr| if rtcp { address.ip() == from.ip() } else { address == from };
            if *kind == Kind::Stranger && self.named[to.other().index()].iter().any(is_its) {
                return Ok(None);
            }
            let invariant = if *kind == Kind::Late { "forwarded-after-end" } else { "forwarded-for-stranger" };
            let what = format!("{at:?}: the packet of {since:?} was passed on to the {to} ({kind:?}); {}", marker(payload));
            return Err(broken(invariant, self.number, what));
        }
        // The box may make RTCP of its own.
        if rtcp {
            return Ok(None);
        }
        let voice = Voice::read(payload);
        let changed = voice
            .as_ref()
            .is_some_and(|voice| flow.waiting.iter().any(|waiting| !waiting.gone && waiting.counter == Some(voice.counter)));
        let back = self.flows[to.index()].waiting.iter().any(|waiting| waiting.payload == hash);
        let invariant = match voice {
            Some(voice) if self.number.is_some_and(|number| number != voice.call) => "wrong-call",
            _ if back => "sent-back",
            _ if changed => "payload-changed",
            _ => "out-of-nowhere",
        };
        let what = format!("{at:?}: to the {to} ({peer}) went what had not come from the {}: {}", to.other(), marker(payload));
        Err(broken(invariant, self.number, what))
    }

    /// A frame of the announcement goes out.
    fn told_frame(
        &mut self,
        at: Moment,
        to: Leg,
        (port, peer): (u16, SocketAddr),
        rtp: &Rtp<'_>,
        rules: &Rules,
    ) -> Result<(), Broken> {
        if !self.policy.is_some_and(|policy| policy.mode != Mode::Never) {
            let what = format!("{at:?}: an announcement to the {to} of a call that no policy announces");
            return Err(broken("announced-uncalled-for", self.number, what));
        }
        let frame = u32::from(rtp.payload.get(5).copied().unwrap_or(u8::MAX));
        // What is played before the ACK counts for nothing.
        let quiet = self.quiet;
        let told = |dialog: &&mut Dialog| {
            // Where it was until just now counts too: the party moves under the announcement.
            let moves = at <= quiet && dialog.ports[to.index()].contains(&port);
            let is_there = |media: Media| media.address == peer || media.address.ip().is_unspecified() || moves;
            dialog.confirmed.is_some() && dialog.media[to.index()].is_some_and(is_there)
        };
        for dialog in self.dialogs.iter_mut().filter(told) {
            let told = &mut dialog.told[to.index()];
            told.begun.get_or_insert(at);
            told.last = Some(at);
            if frame < rules.frames {
                told.frames |= 1 << frame;
            }
            if told.frames == (1 << rules.frames) - 1 {
                told.whole.get_or_insert(at);
                told.latest = Some(at);
            }
        }
        // Meanwhile the other party's packets are replaced.
        let around = rules.slack + rules.frame;
        self.replaced[to.other().index()] = at + around;
        self.flows[to.other().index()].excuse(at, around, Excuse::Relaying);
        Ok(())
    }

    /// Something changed in the call at `at`: what comes within `slack` of it is not judged.
    pub(super) fn disturb(&mut self, at: Moment, rules: &Rules) {
        // A frame more: an announcement that follows from it begins by replacing a packet before its first frame goes out.
        self.quiet = self.quiet.max(at + rules.slack + rules.frame);
        self.flows.iter_mut().for_each(|flow| flow.excuse(at, rules.slack, Excuse::Both));
    }

    /// What has waited long enough is gone, or missing.
    pub(super) fn settle(&mut self, at: Moment, rules: &Rules) -> Result<(), Broken> {
        // A frame longer than the rule, since the announcement may begin by replacing a packet before its first frame goes out.
        let patience = rules.slack + rules.frame;
        for leg in Leg::BOTH {
            let flow = &mut self.flows[leg.index()];
            while flow.refused.front().is_some_and(|refused| at > refused.at + patience) {
                flow.refused.pop_front();
            }
            while let Some(first) = flow.waiting.front().filter(|first| first.gone || at > first.at + patience) {
                if let (false, Some(due)) = (first.gone, first.due) {
                    let sequence = flow.heard.get(first.place).map(|heard| heard.sequence);
                    let what = format!(
                        "the voice packet of {:?} from the {leg} (sequence {sequence:?}, counter {:?}) did not go out to {due}",
                        first.at, first.counter
                    );
                    flow.waiting.pop_front();
                    return Err(broken("not-forwarded", self.number, what));
                }
                flow.waiting.pop_front();
            }
        }
        Ok(())
    }

    /// The box that has them goes: they may still go out, or not.
    pub(super) fn excuse_waiting(&mut self) {
        self.flows.iter_mut().flat_map(|flow| &mut flow.waiting).for_each(|waiting| waiting.due = None);
    }

    /// The box that had them is gone.
    pub(super) fn forget_waiting(&mut self) {
        self.flows.iter_mut().for_each(|flow| flow.waiting.clear());
    }

    /// What an RTP packet is, and where it must go, if it must.
    fn verdict(
        &self,
        at: Moment,
        leg: Leg,
        port: u16,
        peer: SocketAddr,
        rtp: &Rtp<'_>,
        rules: &Rules,
    ) -> (Kind, Option<SocketAddr>) {
        if !self.named[leg.index()].contains(&peer) {
            return (Kind::Stranger, None);
        }
        if self.over().is_some_and(|over| at > over + rules.slack) {
            return (Kind::Late, None);
        }
        let sends = |dialog: &&Dialog| dialog.media[leg.index()].is_some_and(|media| media.address == peer);
        let mut senders = self.dialogs.iter().filter(|dialog| sends(dialog) && dialog.ports[leg.index()].contains(&port));
        let (Some(dialog), None) = (senders.next(), senders.next()) else { return (Kind::Unsure, None) };
        if dialog.over.is_some_and(|over| at > over + rules.slack) {
            return (Kind::Late, None);
        }
        let Some(media) = dialog.agreed() else { return (Kind::Unsure, None) };
        let [own, other] = [media[leg.index()], media[leg.other().index()]];
        if own.events == Some(rtp.payload_type) && other.events == own.events {
            return (Kind::Key, None);
        }
        // A 2xx that is never acknowledged makes no call (RFC 3261 §13.3.1.4).
        let given_up =
            || dialog.accepted.filter(|_| dialog.confirmed.is_none()).map(|accepted| less(accepted + GIVEN_UP, rules.slack));
        let ends =
            !dialog.byes.is_empty() || dialog.hung_up.is_some() || dialog.expires.or_else(given_up).is_some_and(|by| at > by);
        // The forks that lost are let go at some time after the winner's 2xx.
        let lost = dialog.accepted.is_none() && self.accepted().next().is_some();
        let agreed = own.is_open() && other.is_open() && own.takes(rtp.payload_type) && other.takes(rtp.payload_type);
        let heard = agreed
            && !(ends || lost || self.muddled || rtp.padded)
            && at > self.quiet
            && dialog.ports[leg.index()].last() == Some(&port)
            && !dialog.ports[leg.other().index()].is_empty()
            && Voice::read(rtp.payload).is_some();
        if !heard {
            return (Kind::Unsure, None);
        }
        // An announcement that stopped in the middle is taken for one that still plays, for a second.
        let told = &dialog.told[leg.other().index()];
        let plays = at <= self.replaced[leg.index()]
            || told.whole.is_none() && told.last.is_some_and(|last| at <= last + Duration::from_secs(1));
        let newest = || self.flows[leg.index()].heard.iter().rev().take(64);
        // A packet that was overtaken by one which an announcement replaced, or by the first after a change, belongs to what was before it.
        let overtaken = |heard: &Heard| heard.sequence.wrapping_sub(rtp.sequence) <= u16::MAX / 2;
        let recently = |then: Moment| at <= then + Duration::from_secs(1);
        // So does one that the first after it has overtaken, however long after it that came.
        let all = &self.flows[leg.index()].heard;
        let first_since = |then: Moment| all.get(all.partition_point(|heard| heard.at <= then));
        let is_before = |then: Moment| recently(then) || first_since(then).is_some_and(overtaken);
        let replaced = newest().any(overtaken) && told.last.into_iter().chain([self.quiet]).any(is_before);
        // Once something was put into a stream, it goes on as one: of two sources whose packets come mixed, some have no place in it.
        let mixed = |heard: &Heard| heard.ssrc != rtp.ssrc && at <= heard.at + Duration::from_millis(300);
        let replaced = replaced || (told.begun.is_some() && newest().any(mixed));
        (Kind::Sound, (!plays && !replaced).then_some(other.address))
    }

    /// A key in RTP, if it is one.
    fn pressed(&mut self, at: Moment, leg: Leg, peer: SocketAddr, rtp: &Rtp<'_>, kind: Kind) {
        if matches!(kind, Kind::Stranger | Kind::Late) || Voice::read(rtp.payload).is_some() {
            return;
        }
        let event = |dialog: &Dialog| dialog.media.iter().flatten().any(|media| media.events == Some(rtp.payload_type));
        if !self.dialogs.iter().any(event) {
            return;
        }
        let Some((digit, ended)) = rtp.key() else { return };
        let present = |dialog: &Dialog| dialog.media[leg.index()].is_some_and(|media| media.address == peer);
        let sure = kind == Kind::Key && at > self.quiet && self.only().is_some_and(present);
        let event = Some((rtp.ssrc, rtp.timestamp));
        match self.presses.iter_mut().rev().find(|press| press.event == event && press.leg == leg) {
            Some(press) => {
                press.last = at;
                press.sure &= sure && press.digit == digit;
                if ended {
                    press.ended.get_or_insert(at);
                }
            }
            None => {
                let ended = ended.then_some(at);
                self.presses.push(Press { leg, digit, first: at, last: at, ended, sure, event });
            }
        }
    }
}

impl Flow {
    /// What came shortly before `at` need not go out, or be kept either.
    fn excuse(&mut self, at: Moment, around: Duration, from: Excuse) {
        for waiting in self.waiting.iter_mut().rev().take_while(|waiting| waiting.at + around >= at) {
            waiting.due = None;
            let heard = self.heard.get_mut(waiting.place).filter(|heard| heard.kind == Kind::Sound);
            if let (Some(heard), Excuse::Both) = (heard, from) {
                heard.kind = Kind::Unsure;
            }
        }
    }
}

/// What the box is excused from.
#[derive(Clone, Copy)]
enum Excuse {
    Relaying,
    Both,
}

/// What a payload says of itself, for people.
pub(super) fn marker(bytes: &[u8]) -> String {
    let payload = Rtp::read(bytes).map_or(bytes, |rtp| rtp.payload);
    match Voice::read(payload).or_else(|| Voice::read(bytes)) {
        Some(voice) => format!("call {} leg {:?} source {:?} counter {}", voice.call, voice.leg, voice.source, voice.counter),
        None => format!("{} bytes, beginning {:02x?}", payload.len(), payload.get(..8).unwrap_or(payload)),
    }
}
