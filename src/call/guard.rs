//! What one peer, a stranger, and all of them together may ask of us.

use std::net::IpAddr;

use crate::limits;
use crate::sip::{Bucket, Buckets, Glance, Rate};
use crate::time::Moment;

/// How much is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Guarding {
    /// Messages of one address of a peer's over UDP; of a connection no more are read.
    pub peer_rate: Option<Rate>,
    /// Requests of one stranger's address that are answered, where strangers are.
    pub stranger_rate: Option<Rate>,
}

impl Default for Guarding {
    fn default() -> Self {
        Self { peer_rate: Rate::per_s(limits::SIP_PEER_RATE), stranger_rate: Rate::per_s(limits::SIP_STRANGER_RATE) }
    }
}

/// What was taken so far.
#[derive(Debug)]
pub(super) struct Guard {
    peers: Option<Buckets>,
    strangers: Option<Strangers>,
}

/// Strangers' buckets: one each, and one that all share.
#[derive(Debug)]
struct Strangers {
    each: Buckets,
    all: Bucket,
}

/// How many strangers may be answered as often as one, all together.
const STRANGERS_AT_ONCE: u32 = 10;

impl Guard {
    pub(super) fn new(guarding: Guarding, seed: u64, now: Moment) -> Self {
        let strangers =
            |rate: Rate| Strangers { each: Buckets::new(rate, seed, now), all: Bucket::full(rate.times(STRANGERS_AT_ONCE), now) };
        Self {
            peers: guarding.peer_rate.map(|rate| Buckets::new(rate, seed, now)),
            strangers: guarding.stranger_rate.map(strangers),
        }
    }

    /// Takes a peer's datagram, or does not because it is beyond the rate.
    pub(super) fn takes(&mut self, peer: IpAddr, datagram: &[u8], now: Moment) -> bool {
        self.peers.as_mut().is_none_or(|peers| peers.takes(peer, Glance::at(datagram), now))
    }

    /// Says whether a stranger's request may be answered.
    pub(super) fn answers(&mut self, stranger: IpAddr, now: Moment) -> bool {
        self.strangers.as_mut().is_none_or(|Strangers { each, all }| {
            each.takes(stranger, Glance::Other, now) && all.take(Glance::Other, now).is_ok()
        })
    }
}
