//! The lane: packets and orders in; packets, chunks and events out.

use std::collections::VecDeque;
use std::mem;
use std::net::SocketAddr;

use super::door::{Down, Outside, RECEIVED_BYTES, Tallies, Up};
use crate::call::{RecordedFormat, Suspension};
use crate::consent::Permit;
use crate::ids::{Leg, RecordingId};
use crate::media::{BridgeId, Event, LegQuality, Order, Plane, PlaneTallies, PortId, Sent};
use crate::time::Moment;
use crate::vault::{Buffers, EndReason, GapReason, PlainChunk, Quality, Recorder};

/// A media thread's plane and recorders.
#[derive(Debug)]
pub struct Lane {
    plane: Plane,
    recorders: Vec<Option<Recording>>,
    /// When a recorder's open chunk is old enough, in order: every chunk has the same age to live.
    ages: VecDeque<(Moment, u32)>,
    buffers: Buffers,
    tallies: Tallies,
    /// What the plane had counted when it was last asked.
    before: PlaneTallies,
}

#[derive(Debug)]
struct Recording {
    id: RecordingId,
    bridge: BridgeId,
    recorder: Recorder,
    /// Packets of keys that each leg had pressed before the recording began, and while nothing was to be kept.
    not_withheld: [u64; 2],
    suspended: Option<Suspended>,
}

/// Nothing is kept for now.
#[derive(Debug)]
struct Suspended {
    why: Suspension,
    since: Moment,
    /// Packets of keys that each leg had pressed until then.
    pressed: [u64; 2],
    /// It waits here.
    permit: Permit,
}

/// Packets that are taken from one socket at a time to empty it: more than its buffer holds by default (212,992 bytes).
const STALE: usize = 1024;

impl Lane {
    /// Makes a lane without calls. The seed is for what is random in our own streams.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            plane: Plane::new(seed),
            recorders: Vec::new(),
            ages: VecDeque::new(),
            buffers: Buffers::new(),
            tallies: Tallies::default(),
            before: PlaneTallies::default(),
        }
    }

    /// Returns when to call [`Lane::due`] at the latest.
    #[must_use]
    pub fn deadline(&self) -> Option<Moment> {
        [self.plane.deadline(), self.ages.front().map(|&(at, _)| at)].into_iter().flatten().min()
    }

    /// Returns what was counted since this was last asked.
    pub fn take_tallies(&mut self) -> Tallies {
        let now = self.plane.tallies();
        let before = mem::replace(&mut self.before, now);
        let strangers = now.strangers - before.strangers;
        let (refused, not_sealed) = (grown(now.refused, before.refused), grown(now.not_sealed, before.not_sealed));
        Tallies { strangers, refused, not_sealed, ..mem::take(&mut self.tallies) }
    }

    /// Takes note that packets which [`Outside::relay`] took did not go out.
    pub const fn not_relayed(&mut self, packets: u64) {
        self.tallies.forwarded = self.tallies.forwarded.saturating_sub(packets);
        self.tallies.send_errors += packets;
    }

    /// Returns how many bridges there are.
    #[must_use]
    pub fn bridges(&self) -> u64 {
        self.plane.tallies().bridges
    }

    /// Returns how many recordings go on.
    #[must_use]
    pub fn recordings(&self) -> usize {
        self.recorders.iter().flatten().count()
    }

    /// Does what signalling wants. The buffer, of [`BUFFER_BYTES`](crate::lane::BUFFER_BYTES), is for packets that lie in the sockets when a
    /// recording begins.
    pub fn obey(&mut self, down: Down, buffer: &mut [u8], now: Moment, outside: &mut impl Outside) {
        match down {
            Down::Order(order) => self.plane.order(order, now),
            Down::Record { id, slot, permit, formats } => self.record(id, slot, permit, &formats, buffer, now, outside),
            Down::Formats { slot, formats } => self.formats(slot, &formats, now, outside),
            Down::Suspend { slot, why } => self.suspend(slot, why, now),
            Down::Resume { slot } => self.resume(slot, buffer, now, outside),
            Down::End { slot, why } => self.end(slot, why, now, outside),
        }
    }

    // ── the packet path ────────────────────────────────────────────────────────────────────────────────────────────

    /// Takes the packet that came in on a socket, and is the first `length` bytes of a buffer of [`BUFFER_BYTES`](crate::lane::BUFFER_BYTES):
    /// keeps it where it may, passes it on where it goes, and wipes it.
    pub fn packet(
        &mut self,
        port: PortId,
        source: SocketAddr,
        buffer: &mut [u8],
        length: usize,
        now: Moment,
        outside: &mut impl Outside,
    ) {
        let Some(packet) = buffer.get_mut(..length) else { return };
        self.tallies.received += 1;
        self.tallies.received_bytes += packet.len() as u64;
        let verdict = self.plane.packet(port, source, packet, now);
        if let Some((slot, covered)) = verdict.keep
            && let Some(Some(Recording { id, recorder, .. })) = self.recorders.get_mut(slot as usize)
        {
            self.tallies.recorded += 1;
            let before = recorder.deadline();
            if let Some(chunk) = recorder.append(covered) {
                hand_over(*id, recorder, chunk, &mut self.tallies, outside);
            }
            if let (Some(at), true) = (recorder.deadline(), before != recorder.deadline()) {
                self.ages.push_back((at, slot));
            }
        }
        let mut used = length;
        if let Some(forward) = verdict.forward
            && let Some(sealed) = self.plane.prepare(&forward, buffer)
            && let Some(packet) = buffer.get(..sealed)
        {
            used = used.max(sealed);
            match outside.relay(forward.port, forward.to, packet) {
                Sent::Out => self.tallies.forwarded += 1,
                Sent::Failed => self.tallies.send_errors += 1,
            }
        }
        // No voice stays in the receive buffer, not even until the next packet.
        if let Some(used) = buffer.get_mut(..used) {
            used.fill(0);
        }
    }

    /// Relays all that lies in a bridge's RTP sockets.
    fn empty(&mut self, id: BridgeId, buffer: &mut [u8], now: Moment, outside: &mut impl Outside) {
        for pair in self.plane.ports(id).into_iter().flatten() {
            for _ in 0..STALE {
                let Some(room) = buffer.get_mut(..RECEIVED_BYTES) else { break };
                let Some((length, source)) = outside.receive(pair.rtp, room) else { break };
                self.packet(pair.rtp, source, buffer, length, now, outside);
            }
        }
    }

    // ── what is due ────────────────────────────────────────────────────────────────────────────────────────────────

    /// Sends the frames that are due, tells what happened, and gives away chunks that are old enough. To be called after every round of
    /// packets and orders, and at [`Lane::deadline`].
    pub fn due(&mut self, now: Moment, outside: &mut impl Outside) {
        if self.plane.deadline().is_some_and(|at| at <= now) {
            let tallies = &mut self.tallies;
            self.plane.wake(now, &mut |port: PortId, to, packet: &[u8]| {
                let sent = outside.send(port, to, packet);
                match sent {
                    Sent::Out => tallies.announced += 1,
                    Sent::Failed => tallies.send_errors += 1,
                }
                sent
            });
        }
        self.tell(outside);
        while let Some(&(at, slot)) = self.ages.front() {
            if at > now {
                break;
            }
            self.ages.pop_front();
            if let Some(Some(Recording { id, recorder, .. })) = self.recorders.get_mut(slot as usize)
                && let Some(chunk) = recorder.age(now)
            {
                hand_over(*id, recorder, chunk, &mut self.tallies, outside);
            }
        }
    }

    /// Tells what happened in the plane.
    fn tell(&mut self, outside: &mut impl Outside) {
        while let Some(event) = self.plane.poll() {
            if let Event::Closed { tallies, .. } = &event {
                self.tallies.replaced += tallies.legs.iter().map(|leg| leg.replaced).sum::<u64>();
                self.tallies.held += tallies.legs.iter().map(|leg| leg.held).sum::<u64>();
                self.tallies.withheld += tallies.legs.iter().map(|leg| leg.withheld).sum::<u64>();
            }
            outside.tell(Up::Event(event));
        }
    }

    // ── recordings ─────────────────────────────────────────────────────────────────────────────────────────────────

    #[expect(clippy::too_many_arguments, reason = "the parts of `Down::Record`, and what every verb is lent")]
    fn record(
        &mut self,
        id: BridgeId,
        slot: u32,
        permit: Permit,
        formats: &[RecordedFormat],
        buffer: &mut [u8],
        now: Moment,
        outside: &mut impl Outside,
    ) {
        let at = slot as usize;
        if self.recorders.len() <= at {
            self.recorders.resize_with(at + 1, || None);
        }
        let recording = permit.evidence().recording();
        if !outside.begin(permit.evidence().clone()) {
            // The disk has more to do than it may have: the permit is dropped here, and the call goes on unrecorded.
            self.tallies.gaps += 1;
            outside.tell(Up::NotRecorded(permit.call()));
            return;
        }
        // What lies in the sockets came before now, and may have come before the grant: it is relayed, and kept nowhere.
        self.empty(id, buffer, now, outside);
        let recorder = Recorder::begin(&permit, &self.buffers);
        let not_withheld = self.pressed(id);
        if let Some(place) = self.recorders.get_mut(at) {
            *place = Some(Recording { id: recording, bridge: id, recorder, not_withheld, suspended: None });
        }
        self.formats(slot, formats, now, outside);
        self.plane.order(Order::Record { id, permit }, now);
    }

    fn formats(&mut self, slot: u32, formats: &[RecordedFormat], now: Moment, outside: &mut impl Outside) {
        let Some(Some(Recording { id, recorder, .. })) = self.recorders.get_mut(slot as usize) else { return };
        let before = recorder.deadline();
        for format in formats {
            if let Some(chunk) =
                recorder.format(format.leg, format.payload_type, &format.name, format.clock, format.channels, now)
            {
                hand_over(*id, recorder, chunk, &mut self.tallies, outside);
            }
        }
        if let (Some(at), true) = (recorder.deadline(), before != recorder.deadline()) {
            self.ages.push_back((at, slot));
        }
    }

    /// Keeps nothing more: the permit waits with the recorder.
    fn suspend(&mut self, slot: u32, why: Suspension, now: Moment) {
        let Some(Some(&Recording { bridge, .. })) = self.recorders.get(slot as usize).map(Option::as_ref) else { return };
        let pressed = self.pressed(bridge);
        let Some(Some(recording)) = self.recorders.get_mut(slot as usize) else { return };
        match &mut recording.suspended {
            Some(suspended) if why == Suspension::Pause => suspended.why = why,
            Some(_) => {}
            None => {
                let permit = self.plane.suspend(bridge);
                recording.suspended = permit.map(|permit| Suspended { why, since: now, pressed, permit });
            }
        }
    }

    fn resume(&mut self, slot: u32, buffer: &mut [u8], now: Moment, outside: &mut impl Outside) {
        let Some(Some(&Recording { bridge, .. })) = self.recorders.get(slot as usize).map(Option::as_ref) else { return };
        // What lies in the sockets came while nothing was to be kept: it is relayed, and kept nowhere.
        self.empty(bridge, buffer, now, outside);
        let pressed = self.pressed(bridge);
        let Some(Some(recording)) = self.recorders.get_mut(slot as usize) else { return };
        let Recording { id, bridge, recorder, not_withheld, suspended } = recording;
        let Some(Suspended { why: _, since, pressed: before, permit }) = suspended.take() else { return };
        *not_withheld = sum(*not_withheld, difference(pressed, before));
        let before = recorder.deadline();
        if let Some(chunk) = recorder.gap(None, GapReason::Paused, since, now, 0) {
            hand_over(*id, recorder, chunk, &mut self.tallies, outside);
        }
        if let (Some(at), true) = (recorder.deadline(), before != recorder.deadline()) {
            self.ages.push_back((at, slot));
        }
        self.plane.order(Order::Record { id: *bridge, permit }, now);
    }

    fn end(&mut self, slot: u32, why: EndReason, now: Moment, outside: &mut impl Outside) {
        let Some(Recording { id, bridge, mut recorder, not_withheld, suspended }) =
            self.recorders.get_mut(slot as usize).and_then(Option::take)
        else {
            return;
        };
        self.plane.order(Order::Unrecord { id: bridge }, now);
        let pressed = suspended.as_ref().map_or_else(|| self.pressed(bridge), |suspended| suspended.pressed);
        let withheld = difference(pressed, not_withheld);
        let mut ended = now;
        match suspended {
            // What was said while it was paused is missing, up to the end.
            Some(Suspended { why: Suspension::Pause, since, .. }) => {
                if let Some(chunk) = recorder.gap(None, GapReason::Paused, since, now, 0) {
                    hand_over(id, &mut recorder, chunk, &mut self.tallies, outside);
                }
            }
            // The call ended with the BYE, though it took its time to be answered.
            Some(Suspended { why: Suspension::Bye, since, .. }) => ended = since,
            None => {}
        }
        for (leg, heard) in Leg::BOTH.into_iter().zip(self.plane.carried_until(bridge, ended).quality) {
            recorder.quality(quality(leg, &heard));
        }
        outside.end(id, recorder.end(why, withheld, ended));
    }

    /// Ends every recording, because whoever drives the lane stops, and tells what is left to tell.
    pub fn end_all(&mut self, now: Moment, outside: &mut impl Outside) {
        for slot in 0..self.recorders.len() {
            if let Ok(slot) = u32::try_from(slot) {
                self.end(slot, EndReason::Shutdown, now, outside);
            }
        }
        self.tell(outside);
    }

    /// Packets of pressed keys that came from each leg: they are never kept.
    fn pressed(&self, bridge: BridgeId) -> [u64; 2] {
        self.plane.carried(bridge).legs.map(|leg| leg.withheld)
    }
}

/// What the file says of a leg's media.
const fn quality(leg: Leg, heard: &LegQuality) -> Quality {
    let &LegQuality {
        expected,
        received,
        duplicates,
        reordered,
        jitter,
        worst_jitter,
        longest_gap,
        due,
        round_trip,
        fell_silent: _,
    } = heard;
    Quality { leg, expected, received, duplicates, reordered, jitter, worst_jitter, round_trip, longest_gap, due }
}

/// By how much each count has grown.
fn grown<const N: usize>(now: [u64; N], before: [u64; N]) -> [u64; N] {
    let mut grown = now;
    grown.iter_mut().zip(before).for_each(|(now, before)| *now -= before);
    grown
}

fn sum([pbx, trunk]: [u64; 2], [more_pbx, more_trunk]: [u64; 2]) -> [u64; 2] {
    [pbx + more_pbx, trunk + more_trunk]
}

fn difference([pbx, trunk]: [u64; 2], [less_pbx, less_trunk]: [u64; 2]) -> [u64; 2] {
    [pbx.saturating_sub(less_pbx), trunk.saturating_sub(less_trunk)]
}

fn hand_over(id: RecordingId, recorder: &mut Recorder, chunk: PlainChunk, tallies: &mut Tallies, outside: &mut impl Outside) {
    if let Err(chunk) = outside.chunk(id, chunk) {
        tallies.gaps += 1;
        recorder.lost(chunk);
    }
}
