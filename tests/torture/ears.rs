//! A peer that listens at several sockets at once, and takes nothing twice.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::support::A_WHILE;
use super::support::wire::Wire;

/// The sockets of one peer; it sends by the one that it heard something on last.
pub(crate) struct Ears {
    wires: Vec<Wire>,
    last: usize,
    known: HashSet<Vec<u8>>,
}

impl Ears {
    pub(crate) fn new(wires: Vec<Wire>) -> Self {
        Self { wires, last: 0, known: HashSet::new() }
    }

    /// Waits for the next message.
    pub(crate) fn receive(&mut self) -> Vec<u8> {
        let end = Instant::now() + A_WHILE;
        while Instant::now() < end {
            if let Some(message) = self.poll() {
                return message;
            }
        }
        panic!("waited in vain for a message")
    }

    /// Takes the next message that did not come before, byte for byte, if there is one: what comes again was lost on the way to somebody.
    /// ACKs and provisional answers come when they come, and say nothing of a request's fate.
    pub(crate) fn poll(&mut self) -> Option<Vec<u8>> {
        for at in self.ready() {
            let Some((message, _)) = self.wires[at].receive(Duration::ZERO) else { continue };
            self.last = at;
            let is_beside = message.starts_with(b"ACK ") || message.starts_with(b"SIP/2.0 100 ");
            if !is_beside && self.known.insert(message.clone()) {
                return Some(message);
            }
        }
        None
    }

    /// Those on which there is, or may be, something; it waits a moment for it.
    fn ready(&self) -> Vec<usize> {
        let mut wires: Vec<_> = self.wires.iter().enumerate().collect();
        let mut fds: Vec<_> =
            self.wires.iter().filter_map(Wire::socket).map(|socket| PollFd::new(socket, PollFlags::IN)).collect();
        poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 2_000_000 })).expect("sockets can be polled");
        let mut has_come = fds.iter().map(|fd| !fd.revents().is_empty());
        // What is no socket of datagrams has a turn of its own.
        wires.retain(|(_, wire)| wire.socket().is_none() || has_come.next() == Some(true));
        wires.into_iter().map(|(at, _)| at).collect()
    }

    /// Answers what was received last, where it came.
    pub(crate) fn answer(&self, bytes: &[u8], proxy: SocketAddr) {
        self.wires[self.last].send(bytes, proxy);
    }

    /// Sends by its first socket.
    pub(crate) fn send(&self, bytes: &[u8], proxy: SocketAddr) {
        self.wires[0].send(bytes, proxy);
    }
}
