//! A media thread: a lane with its sockets around it; it takes no lock and waits for nothing but packets.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::JoinHandle;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

use crate::consent::Evidence;
use crate::control::config::MediaIo;
use crate::ids::RecordingId;
use crate::lane::{self, Up};
use crate::media::{PairIds, PortId, Sent};
use crate::node::alive::Alive;
use crate::node::bell::Bell;
use crate::node::clock::Clock;
use crate::node::disk::{DiskLane, Work};
use crate::node::inbox::{Inbox, Post, Woken, inbox};
use crate::node::metrics::Metrics;
use crate::node::ringed;
use crate::vault::{LastChunk, PlainChunk};

/// What signalling sends down to the thread.
#[derive(Debug)]
pub(super) enum Down {
    /// For the lane.
    Lane(lane::Down),
    /// A socket that this thread owns from here on.
    Socket(PortId, UdpSocket),
    /// Close the sockets of a pair.
    Close(PairIds),
}

impl From<lane::Down> for Down {
    fn from(down: lane::Down) -> Self {
        Self::Lane(down)
    }
}

/// Signalling's end of a media thread, which ends once this is dropped.
#[derive(Debug)]
pub(super) struct Lane(Post<Down>);

impl Lane {
    /// Sends something down; it is done before the next packet after [`Lane::wake`].
    pub(super) fn send(&self, down: Down) {
        // A thread that is gone has panicked: the run ends with it, and says so where it is joined.
        drop(self.0.send(down));
    }

    /// Wakes the thread.
    pub(super) fn wake(&self) {
        self.0.ring();
    }
}

/// Starts a media thread. It ends once the lane is dropped.
///
/// # Errors
/// The kernel gives no epoll, no eventfd or no thread.
#[expect(clippy::too_many_arguments, reason = "what a thread is made of; a type for it would be used here alone")]
pub(super) fn start(
    name: String,
    io: MediaIo,
    seed: u64,
    clock: Clock,
    disk: DiskLane,
    metrics: Arc<Metrics>,
    up: impl Fn(Up) + Send + 'static,
    alive: Alive,
) -> io::Result<(Lane, JoinHandle<()>)> {
    let (down, orders) = inbox(Bell::new()?);
    let ways = Ways { disk, up: Box::new(up) };
    let lane = lane::Lane::new(seed);
    let thread = std::thread::Builder::new().name(name);
    let thread = match io {
        MediaIo::IoUring => {
            let owner = ringed::Owner::new(lane, ways, clock, metrics).map_err(|error| no_ring(&error))?;
            thread.spawn(move || {
                let _alive = alive;
                owner.run(&orders);
            })?
        }
        MediaIo::Epoll => {
            let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
            epoll::add(&epoll, orders.bell(), epoll::EventData::new_u64(WAKE), epoll::EventFlags::IN)?;
            let outside = Outside { wires: Polled::default(), ways };
            let owner = Owner { lane, outside, epoll, clock, metrics };
            thread.spawn(move || {
                let _alive = alive;
                owner.run(&orders);
            })?
        }
    };
    Ok((Lane(down), thread))
}

/// Says what to do where the kernel gives no ring.
fn no_ring(error: &io::Error) -> io::Error {
    let what = format!("the kernel gives no ring for `io = \"io_uring\"` in [media]: {error}");
    io::Error::other(what + "\n  it takes Linux 6.1, and `sysctl kernel.io_uring_disabled` at 0; or set `io = \"epoll\"`")
}

/// The epoll key of the bell; ports have the keys below 2^32.
const WAKE: u64 = u64::MAX;

/// Sockets looked at in one round: enough that a busy thread calls `epoll_wait` once for many packets.
const ROUND: usize = 256;

struct Owner {
    lane: lane::Lane,
    outside: Outside<Polled>,
    epoll: OwnedFd,
    clock: Clock,
    metrics: Arc<Metrics>,
}

/// What is outside of a lane: its wires, and the ways to the other threads.
pub(super) struct Outside<W> {
    pub(super) wires: W,
    pub(super) ways: Ways,
}

/// The ways to the other threads.
pub(super) struct Ways {
    disk: DiskLane,
    up: Box<dyn Fn(Up) + Send>,
}

/// How packets leave and come, which is what differs between media threads: see [`lane::Outside`], whose part it is.
pub(super) trait Wires {
    fn send(&mut self, port: PortId, to: SocketAddr, packet: &[u8]) -> Sent;

    fn relay(&mut self, port: PortId, to: SocketAddr, packet: &[u8]) -> Sent {
        self.send(port, to, packet)
    }

    fn receive(&mut self, port: PortId, buffer: &mut [u8]) -> Option<(usize, SocketAddr)>;
}

/// Sockets alone, each asked when epoll says so.
#[derive(Default)]
struct Polled {
    sockets: Sockets,
    receive_errors: u64,
}

/// A thread's sockets, by their ports.
#[derive(Debug, Default)]
pub(super) struct Sockets(Vec<Option<UdpSocket>>);

impl Sockets {
    pub(super) fn get(&self, port: PortId) -> Option<&UdpSocket> {
        self.0.get(port.0 as usize)?.as_ref()
    }

    /// Takes one in, and returns it.
    pub(super) fn put(&mut self, port: PortId, socket: UdpSocket) -> Option<&UdpSocket> {
        let at = port.0 as usize;
        if self.0.len() <= at {
            self.0.resize_with(at + 1, || None);
        }
        let place = self.0.get_mut(at)?;
        *place = Some(socket);
        place.as_ref()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn close(&mut self, port: PortId) {
        drop(self.0.get_mut(port.0 as usize).and_then(Option::take));
    }

    /// Takes a datagram that lies in a socket.
    pub(super) fn receive(&self, port: PortId, buffer: &mut [u8], errors: &mut u64) -> Option<(usize, SocketAddr)> {
        match self.get(port)?.recv_from(buffer) {
            Ok(received) => Some(received),
            Err(error) => {
                *errors += u64::from(error.kind() != io::ErrorKind::WouldBlock);
                None
            }
        }
    }

    /// Sends a datagram now.
    pub(super) fn send(&self, port: PortId, to: SocketAddr, packet: &[u8]) -> Sent {
        match self.get(port) {
            Some(socket) if socket.send_to(packet, to).is_ok() => Sent::Out,
            Some(_) | None => Sent::Failed,
        }
    }
}

impl Owner {
    fn run(mut self, orders: &Inbox<Down>) {
        let mut events = Vec::with_capacity(ROUND);
        let mut buffer = vec![0; lane::BUFFER_BYTES];
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
            let by_bell = events.iter().any(|event| event.data.u64() == WAKE);
            let woken = if by_bell { Woken::ByBell } else { Woken::Otherwise };
            // Orders first: who was described a moment ago may have a packet in this very round.
            if !orders.take(woken, |down| self.obey(down, &mut buffer)) {
                break;
            }
            for event in &events {
                if let Ok(port) = u32::try_from(event.data.u64()) {
                    self.receive(PortId(port), &mut buffer);
                }
            }
            self.lane.due(self.clock.now(), &mut self.outside);
            self.metrics.add_lane(&self.lane.take_tallies(), std::mem::take(&mut self.outside.wires.receive_errors));
        }
        self.lane.end_all(self.clock.now(), &mut self.outside);
    }

    fn timeout(&self) -> Option<Timespec> {
        let left = self.lane.deadline()?.since(self.clock.now());
        Some(Timespec { tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX), tv_nsec: left.subsec_nanos().into() })
    }

    /// Does an order.
    fn obey(&mut self, down: Down, buffer: &mut [u8]) {
        match down {
            Down::Lane(down) => self.lane.obey(down, buffer, self.clock.now(), &mut self.outside),
            Down::Socket(id, socket) => self.own(id, socket),
            Down::Close(ids) => {
                // Closing a socket takes it out of epoll.
                [ids.rtp, ids.rtcp].into_iter().for_each(|id| self.outside.wires.sockets.close(id));
            }
        }
    }

    fn own(&mut self, id: PortId, socket: UdpSocket) {
        if let Some(socket) = self.outside.wires.sockets.put(id, socket)
            && let Err(error) = epoll::add(&self.epoll, socket, epoll::EventData::new_u64(id.0.into()), epoll::EventFlags::IN)
        {
            tracing::error!(%error, "port_not_watched");
        }
    }

    /// Takes one packet from a socket.
    fn receive(&mut self, port: PortId, buffer: &mut [u8]) {
        if let Some(room) = buffer.get_mut(..lane::RECEIVED_BYTES)
            && let Some((length, source)) = lane::Outside::receive(&mut self.outside, port, room)
        {
            self.lane.packet(port, source, buffer, length, self.clock.now(), &mut self.outside);
        }
    }
}

impl Wires for Polled {
    fn send(&mut self, port: PortId, to: SocketAddr, packet: &[u8]) -> Sent {
        self.sockets.send(port, to, packet)
    }

    fn receive(&mut self, port: PortId, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        self.sockets.receive(port, buffer, &mut self.receive_errors)
    }
}

impl<W: Wires> lane::Outside for Outside<W> {
    fn send(&mut self, port: PortId, to: SocketAddr, packet: &[u8]) -> Sent {
        self.wires.send(port, to, packet)
    }

    fn relay(&mut self, port: PortId, to: SocketAddr, packet: &[u8]) -> Sent {
        self.wires.relay(port, to, packet)
    }

    fn receive(&mut self, port: PortId, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        self.wires.receive(port, buffer)
    }

    fn begin(&mut self, evidence: Evidence) -> bool {
        self.ways.disk.give(Work::Begin(Box::new(evidence))).is_ok()
    }

    fn chunk(&mut self, recording: RecordingId, chunk: PlainChunk) -> Result<(), PlainChunk> {
        match self.ways.disk.give(Work::Chunk(recording, chunk)) {
            Err(Work::Chunk(_, chunk)) => Err(chunk),
            Ok(()) | Err(Work::Begin(_) | Work::End(..)) => Ok(()),
        }
    }

    fn end(&mut self, recording: RecordingId, last: LastChunk) {
        drop(self.ways.disk.give(Work::End(recording, last)));
    }

    fn tell(&mut self, up: Up) {
        (self.ways.up)(up);
    }
}
