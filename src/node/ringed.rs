//! A media thread on the kernel's ring: see [`super::ring`]. It does what [`super::lane`] does on epoll.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::lane;
use crate::media::{PortId, Sent};
use crate::node::clock::Clock;
use crate::node::inbox::{Inbox, Woken};
use crate::node::lane::{Down, Outside, Sockets, Ways, Wires};
use crate::node::metrics::Metrics;
use crate::node::ring::{Packet, Ring, Told};

/// How long a thread gathers packets before it looks at the first of them: what it does once for many it does less often then. A fraction
/// of what a wire's jitter is.
const GATHER: Duration = Duration::from_micros(250);

/// The thread.
pub(super) struct Owner {
    lane: lane::Lane,
    outside: Outside<Ringed>,
    clock: Clock,
    metrics: Arc<Metrics>,
}

/// The ring, and the sockets that it carries for.
struct Ringed {
    ring: Ring,
    sockets: Sockets,
    /// Packets that came and were not looked at yet.
    came: VecDeque<Packet>,
    receive_errors: u64,
}

impl Owner {
    /// Makes the thread's ring.
    ///
    /// # Errors
    /// The kernel has none for us: see [`Ring::new`].
    pub(super) fn new(lane: lane::Lane, ways: Ways, clock: Clock, metrics: Arc<Metrics>) -> io::Result<Self> {
        let wires = Ringed { ring: Ring::new()?, sockets: Sockets::default(), came: VecDeque::new(), receive_errors: 0 };
        Ok(Self { lane, outside: Outside { wires, ways }, clock, metrics })
    }

    pub(super) fn run(mut self, orders: &Inbox<Down>) {
        // For packets that lie in a socket when a recording begins.
        let mut buffer = vec![0; lane::BUFFER_BYTES];
        if let Err(error) = self.outside.wires.ring.open(orders.bell()) {
            tracing::error!(%error, "ring_refused");
            return;
        }
        loop {
            let timeout = self.lane.deadline().map(|at| at.since(self.clock.now()));
            let gather = if self.outside.wires.sockets.is_empty() { Duration::ZERO } else { GATHER };
            if let Err(error) = self.outside.wires.ring.wait(gather, timeout) {
                tracing::error!(%error, "ring_failed");
                break;
            }
            let Ringed { ring, sockets, came, .. } = &mut self.outside.wires;
            let mut woken = Woken::Otherwise;
            while let Some(told) = ring.next(|port| sockets.get(port)) {
                match told {
                    Told::Came(packet) => came.push_back(packet),
                    Told::Bell => woken = Woken::ByBell,
                }
            }
            // Orders first: who was described a moment ago may have a packet in this very round.
            if !orders.take(woken, |down| self.obey(down, &mut buffer)) {
                break;
            }
            if matches!(woken, Woken::ByBell) {
                self.outside.wires.ring.listen(orders.bell());
            }
            let now = self.clock.now();
            while let Some(mut packet) = self.outside.wires.came.pop_front() {
                let (port, source) = (packet.port, packet.source);
                let length = packet.bytes().len();
                self.lane.packet(port, source, packet.buffer(), length, now, &mut self.outside);
                self.outside.wires.ring.give_back(packet);
            }
            self.lane.due(self.clock.now(), &mut self.outside);
            let (not_sent, failures) = self.outside.wires.ring.take_failures();
            self.lane.not_relayed(not_sent);
            let receive_errors = std::mem::take(&mut self.outside.wires.receive_errors) + failures;
            self.metrics.add_lane(&self.lane.take_tallies(), receive_errors);
        }
        self.lane.end_all(self.clock.now(), &mut self.outside);
    }

    /// Does an order.
    fn obey(&mut self, down: Down, buffer: &mut [u8]) {
        match down {
            Down::Lane(down) => self.lane.obey(down, buffer, self.clock.now(), &mut self.outside),
            Down::Socket(id, socket) => {
                let Ringed { ring, sockets, .. } = &mut self.outside.wires;
                if let Some(socket) = sockets.put(id, socket) {
                    ring.watch(id, socket);
                }
            }
            Down::Close(ids) => {
                let Ringed { ring, sockets, .. } = &mut self.outside.wires;
                for id in [ids.rtp, ids.rtcp] {
                    ring.forget(id);
                    sockets.close(id);
                }
            }
        }
    }
}

impl Wires for Ringed {
    /// At once, for whoever sends an announcement wants to know whether it went out.
    fn send(&mut self, port: PortId, to: SocketAddr, packet: &[u8]) -> Sent {
        self.sockets.send(port, to, packet)
    }

    /// With the batch.
    fn relay(&mut self, port: PortId, to: SocketAddr, packet: &[u8]) -> Sent {
        let Some(socket) = self.sockets.get(port) else { return Sent::Failed };
        match self.ring.send(socket, &to, packet) {
            Ok(()) => Sent::Out,
            Err(_) => {
                self.ring.flush();
                self.sockets.send(port, to, packet)
            }
        }
    }

    fn receive(&mut self, port: PortId, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        if let Some(at) = self.came.iter().position(|packet| packet.port == port)
            && let Some(mut packet) = self.came.remove(at)
        {
            let length = packet.bytes().len().min(buffer.len());
            let came = (length, packet.source);
            if let (Some(to), Some(from)) = (buffer.get_mut(..length), packet.bytes().get_mut(..length)) {
                to.copy_from_slice(from);
                from.fill(0);
            }
            self.ring.give_back(packet);
            return Some(came);
        }
        self.sockets.receive(port, buffer, &mut self.receive_errors)
    }
}
