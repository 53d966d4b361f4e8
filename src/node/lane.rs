//! A media thread: the sole owner of its calls' sockets, bridges and recorders; it takes no lock and waits for nothing but packets.

use std::collections::VecDeque;
use std::io;
use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;

use rustix::buffer::spare_capacity;
use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};

use crate::call::RecordedFormat;
use crate::consent::Permit;
use crate::ids::{CallId, RecordingId};
use crate::limits;
use crate::media::{self, BridgeId, Order, PairIds, Plane, PortId, Sent};
use crate::node::alive::Alive;
use crate::node::clock::Clock;
use crate::node::disk::{DiskLane, Work};
use crate::node::metrics::{LaneTally, Metrics};
use crate::time::Moment;
use crate::vault::{Buffers, EndReason, GapReason, PlainChunk, Recorder};

/// What signalling sends down.
#[derive(Debug)]
pub(super) enum Down {
    /// A socket that this thread owns from here on.
    Socket(PortId, UdpSocket),
    /// An order for the plane.
    Order(Order),
    /// Begin to record.
    Record { id: BridgeId, slot: u32, permit: Permit, formats: Vec<RecordedFormat> },
    /// What payload types mean from here on.
    Formats { slot: u32, formats: Vec<RecordedFormat> },
    /// Keep nothing more of a recorded call, for now.
    Suspend { slot: u32 },
    /// Go on keeping.
    Resume { slot: u32 },
    /// End a recording.
    End { slot: u32, why: EndReason },
    /// Close the sockets of a pair.
    Close(PairIds),
}

/// What the thread sends up.
#[derive(Debug)]
pub(super) enum Up {
    /// The plane saw something.
    Event(media::Event),
    /// This call cannot be recorded: the disk has more to do than it may have.
    NotRecorded(CallId),
}

/// Signalling's end of a media thread.
#[derive(Debug)]
pub(super) struct Lane {
    down: Sender<Down>,
    wake: Arc<OwnedFd>,
}

impl Lane {
    /// Sends something down; it is done before the next packet after [`Lane::wake`].
    pub(super) fn send(&self, down: Down) {
        // A thread that is gone has panicked: the run ends with it, and says so where it is joined.
        drop(self.down.send(down));
    }

    /// Wakes the thread.
    pub(super) fn wake(&self) {
        wake(&self.wake);
    }
}

/// Makes the thread with this eventfd look at its orders. A counter that is full wakes it just as well.
pub(super) fn wake(event: &OwnedFd) {
    if let Err(error) = rustix::io::write(event, &1_u64.to_ne_bytes()) {
        tracing::trace!(%error, "already_awake");
    }
}

/// Takes the eventfd back to zero, so that it wakes once.
fn calm(event: &OwnedFd) {
    if let Err(error) = rustix::io::read(event, &mut [0; 8]) {
        tracing::trace!(%error, "woken_for_nothing");
    }
}

/// Starts a media thread. It ends once the lane is dropped and woken: [`Lane::send`]'s other end then has no sender.
///
/// # Errors
/// The kernel gives no epoll, no eventfd or no thread.
pub(super) fn start(
    name: String,
    seed: u64,
    clock: Clock,
    disk: DiskLane,
    metrics: Arc<Metrics>,
    up: impl Fn(Up) + Send + 'static,
    alive: Alive,
) -> io::Result<(Lane, Arc<OwnedFd>, JoinHandle<()>)> {
    let wake = Arc::new(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?);
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &wake, epoll::EventData::new_u64(WAKE), epoll::EventFlags::IN)?;
    let (down, orders) = channel();
    let owner = Owner {
        plane: Plane::new(seed),
        sockets: Vec::new(),
        recorders: Vec::new(),
        ages: VecDeque::new(),
        buffers: Buffers::default(),
        epoll,
        wake: Arc::clone(&wake),
        clock,
        disk,
        metrics,
        up: Box::new(up),
        tally: LaneTally::default(),
        strangers: 0,
    };
    let thread = std::thread::Builder::new().name(name).spawn(move || {
        let _alive = alive;
        owner.run(&orders);
    })?;
    Ok((Lane { down, wake: Arc::clone(&wake) }, wake, thread))
}

/// The epoll key of the eventfd; ports have the keys below 2^32.
const WAKE: u64 = u64::MAX;

/// Packets that are taken from one socket at a time to empty it: more than its buffer holds by default (212,992 bytes).
const STALE: usize = 1024;

/// Sockets looked at in one round: enough that a busy thread calls `epoll_wait` once for many packets.
const ROUND: usize = 256;

struct Recording {
    id: RecordingId,
    bridge: BridgeId,
    recorder: Recorder,
    /// Keys that each leg had pressed before the recording began.
    withheld: [u64; 2],
    /// Since when nothing is kept, and the permit meanwhile.
    suspended: Option<(Moment, Permit)>,
}

struct Owner {
    plane: Plane,
    sockets: Vec<Option<UdpSocket>>,
    recorders: Vec<Option<Recording>>,
    /// When a recorder's open chunk is old enough, in order: every chunk has the same age to live.
    ages: VecDeque<(Moment, u32)>,
    buffers: Buffers,
    epoll: OwnedFd,
    wake: Arc<OwnedFd>,
    clock: Clock,
    disk: DiskLane,
    metrics: Arc<Metrics>,
    up: Box<dyn Fn(Up) + Send>,
    tally: LaneTally,
    /// What the plane had counted when it was last asked.
    strangers: u64,
}

impl Owner {
    fn run(mut self, orders: &Receiver<Down>) {
        let mut events = Vec::with_capacity(ROUND);
        // One byte more than a packet may have, so that a longer one is seen to be longer.
        let mut buffer = vec![0; limits::MEDIA_PACKET_BYTES + 1];
        loop {
            let timeout = self.timeout();
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), timeout.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => {
                    tracing::error!(%error, "epoll_failed");
                    break;
                }
            }
            // Orders first: who was described a moment ago may have a packet in this very round.
            if !self.obey(orders, &mut buffer) {
                break;
            }
            for event in &events {
                let key = event.data.u64();
                if key == WAKE {
                    calm(&self.wake);
                } else if let Ok(port) = u32::try_from(key) {
                    self.receive(PortId(port), &mut buffer);
                }
            }
            self.due();
            self.metrics.add_lane(&mut self.tally);
        }
        self.end_all();
    }

    fn timeout(&self) -> Option<Timespec> {
        let next = [self.plane.deadline(), self.ages.front().map(|&(at, _)| at)].into_iter().flatten().min()?;
        let left = next.since(self.clock.now());
        Some(Timespec { tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX), tv_nsec: left.subsec_nanos().into() })
    }

    /// Does all orders that wait, and says whether there may be more.
    fn obey(&mut self, orders: &Receiver<Down>, buffer: &mut [u8]) -> bool {
        loop {
            let down = match orders.try_recv() {
                Ok(down) => down,
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            };
            let now = self.clock.now();
            match down {
                Down::Socket(id, socket) => self.own(id, socket),
                Down::Order(order) => self.plane.order(order, now),
                Down::Record { id, slot, permit, formats } => self.record(id, slot, permit, &formats, buffer, now),
                Down::Formats { slot, formats } => self.formats(slot, &formats, now),
                Down::Suspend { slot } => self.suspend(slot, now),
                Down::Resume { slot } => self.resume(slot, now),
                Down::End { slot, why } => self.end(slot, why, now),
                Down::Close(ids) => {
                    for id in [ids.rtp, ids.rtcp] {
                        if let Some(place) = self.sockets.get_mut(id.0 as usize) {
                            // Closing a socket takes it out of epoll.
                            drop(place.take());
                        }
                    }
                }
            }
        }
    }

    fn own(&mut self, id: PortId, socket: UdpSocket) {
        let at = id.0 as usize;
        if self.sockets.len() <= at {
            self.sockets.resize_with(at + 1, || None);
        }
        if let Err(error) = epoll::add(&self.epoll, &socket, epoll::EventData::new_u64(id.0.into()), epoll::EventFlags::IN) {
            tracing::error!(%error, "port_not_watched");
        }
        if let Some(place) = self.sockets.get_mut(at) {
            *place = Some(socket);
        }
    }

    // ── the packet path ────────────────────────────────────────────────────────────────────────────────────────────

    /// Takes one packet from a socket, and says whether there may be more.
    fn receive(&mut self, port: PortId, buffer: &mut [u8]) -> bool {
        let Some(Some(socket)) = self.sockets.get(port.0 as usize) else { return false };
        let (length, source) = match socket.recv_from(buffer) {
            Ok(received) => received,
            Err(error) => {
                if error.kind() != io::ErrorKind::WouldBlock {
                    self.tally.receive_errors += 1;
                }
                return false;
            }
        };
        let Some(packet) = buffer.get_mut(..length) else { return false };
        let now = self.clock.now();
        self.tally.received += 1;
        self.tally.received_bytes += length as u64;
        let verdict = self.plane.packet(port, source, packet, now);
        if let Some((slot, covered)) = verdict.keep
            && let Some(Some(Recording { id, recorder, .. })) = self.recorders.get_mut(slot as usize)
        {
            self.tally.recorded += 1;
            let before = recorder.deadline();
            if let Some(chunk) = recorder.append(covered) {
                hand_over(&self.disk, *id, recorder, chunk, &mut self.tally);
            }
            if let (Some(at), true) = (recorder.deadline(), before != recorder.deadline()) {
                self.ages.push_back((at, slot));
            }
        }
        if let Some(forward) = verdict.forward {
            if let Some(rewrite) = forward.rewrite {
                rewrite.apply(packet);
            }
            match self.sockets.get(forward.port.0 as usize) {
                Some(Some(out)) => match out.send_to(packet, forward.to) {
                    Ok(_) => self.tally.forwarded += 1,
                    Err(_) => self.tally.send_errors += 1,
                },
                Some(None) | None => self.tally.send_errors += 1,
            }
        }
        // No voice stays in the receive buffer, not even until the next packet.
        packet.fill(0);
        true
    }

    /// Relays all that lies in a bridge's RTP sockets.
    fn empty(&mut self, id: BridgeId, buffer: &mut [u8]) {
        for pair in self.plane.ports(id).into_iter().flatten() {
            for _ in 0..STALE {
                if !self.receive(pair.rtp, buffer) {
                    break;
                }
            }
        }
    }

    // ── what is due ────────────────────────────────────────────────────────────────────────────────────────────────

    fn due(&mut self) {
        let now = self.clock.now();
        if self.plane.deadline().is_some_and(|at| at <= now) {
            let (sockets, tally) = (&self.sockets, &mut self.tally);
            self.plane.wake(now, &mut |port: PortId, to, packet: &[u8]| {
                let sent = match sockets.get(port.0 as usize) {
                    Some(Some(socket)) => socket.send_to(packet, to).is_ok(),
                    Some(None) | None => false,
                };
                if sent {
                    tally.announced += 1;
                    Sent::Out
                } else {
                    tally.send_errors += 1;
                    Sent::Failed
                }
            });
        }
        while let Some(event) = self.plane.poll() {
            if let media::Event::Closed { tallies, .. } = &event {
                self.tally.replaced += tallies.legs.iter().map(|leg| leg.replaced).sum::<u64>();
                self.tally.held += tallies.legs.iter().map(|leg| leg.held).sum::<u64>();
                self.tally.withheld += tallies.legs.iter().map(|leg| leg.withheld).sum::<u64>();
            }
            (self.up)(Up::Event(event));
        }
        let strangers = self.plane.tallies().strangers;
        self.tally.strangers += strangers - self.strangers;
        self.strangers = strangers;
        while let Some(&(at, slot)) = self.ages.front() {
            if at > now {
                break;
            }
            self.ages.pop_front();
            if let Some(Some(Recording { id, recorder, .. })) = self.recorders.get_mut(slot as usize)
                && let Some(chunk) = recorder.age(now)
            {
                hand_over(&self.disk, *id, recorder, chunk, &mut self.tally);
            }
        }
    }

    // ── recordings ─────────────────────────────────────────────────────────────────────────────────────────────────

    fn record(&mut self, id: BridgeId, slot: u32, permit: Permit, formats: &[RecordedFormat], buffer: &mut [u8], now: Moment) {
        let at = slot as usize;
        if self.recorders.len() <= at {
            self.recorders.resize_with(at + 1, || None);
        }
        let recording = permit.evidence().recording();
        if self.disk.give(Work::Begin(Box::new(permit.evidence().clone()))).is_err() {
            // The disk has more to do than it may have: the permit is dropped here, and the call goes on unrecorded.
            self.tally.gaps += 1;
            (self.up)(Up::NotRecorded(permit.call()));
            return;
        }
        // What lies in the sockets came before now, and may have come before the grant: it is relayed, and kept nowhere.
        self.empty(id, buffer);
        let recorder = Recorder::begin(&permit, &self.buffers);
        let withheld = self.withheld(id);
        if let Some(place) = self.recorders.get_mut(at) {
            *place = Some(Recording { id: recording, bridge: id, recorder, withheld, suspended: None });
        }
        self.formats(slot, formats, now);
        self.plane.order(Order::Record { id, permit }, now);
    }

    fn formats(&mut self, slot: u32, formats: &[RecordedFormat], now: Moment) {
        let Some(Some(Recording { id, recorder, .. })) = self.recorders.get_mut(slot as usize) else { return };
        let before = recorder.deadline();
        for format in formats {
            if let Some(chunk) =
                recorder.format(format.leg, format.payload_type, &format.name, format.clock, format.channels, now)
            {
                hand_over(&self.disk, *id, recorder, chunk, &mut self.tally);
            }
        }
        if let (Some(at), true) = (recorder.deadline(), before != recorder.deadline()) {
            self.ages.push_back((at, slot));
        }
    }

    /// Keeps nothing more: the permit waits with the recorder.
    fn suspend(&mut self, slot: u32, now: Moment) {
        if let Some(Some(recording)) = self.recorders.get_mut(slot as usize)
            && let Some(permit) = self.plane.suspend(recording.bridge)
        {
            recording.suspended = Some((now, permit));
        }
    }

    fn resume(&mut self, slot: u32, now: Moment) {
        let Some(Some(Recording { id, bridge, recorder, suspended, .. })) = self.recorders.get_mut(slot as usize) else { return };
        let Some((since, permit)) = suspended.take() else { return };
        let before = recorder.deadline();
        if let Some(chunk) = recorder.gap(None, GapReason::Paused, since, now, 0) {
            hand_over(&self.disk, *id, recorder, chunk, &mut self.tally);
        }
        if let (Some(at), true) = (recorder.deadline(), before != recorder.deadline()) {
            self.ages.push_back((at, slot));
        }
        self.plane.order(Order::Record { id: *bridge, permit }, now);
    }

    fn end(&mut self, slot: u32, why: EndReason, now: Moment) {
        let Some(Recording { id, bridge, recorder, withheld, suspended: _ }) =
            self.recorders.get_mut(slot as usize).and_then(Option::take)
        else {
            return;
        };
        self.plane.order(Order::Unrecord { id: bridge }, now);
        let [pbx, trunk] = self.withheld(bridge);
        let [pbx_before, trunk_before] = withheld;
        let withheld = [pbx.saturating_sub(pbx_before), trunk.saturating_sub(trunk_before)];
        // Without its last chunk a recording stays torn, which is what it is where the disk lane is gone.
        drop(self.disk.give(Work::End(id, recorder.end(why, withheld, now))));
    }

    fn end_all(&mut self) {
        let now = self.clock.now();
        for slot in 0..self.recorders.len() {
            if let Ok(slot) = u32::try_from(slot) {
                self.end(slot, EndReason::Shutdown, now);
            }
        }
    }

    /// Packets of pressed keys that came from each leg and are not kept.
    fn withheld(&self, bridge: BridgeId) -> [u64; 2] {
        self.plane.carried(bridge).legs.map(|leg| leg.withheld)
    }
}

fn hand_over(disk: &DiskLane, id: RecordingId, recorder: &mut Recorder, chunk: PlainChunk, tally: &mut LaneTally) {
    if let Err(Work::Chunk(_, chunk)) = disk.give(Work::Chunk(id, chunk)) {
        tally.gaps += 1;
        recorder.lost(chunk);
    }
}
