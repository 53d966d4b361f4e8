//! What one peer, a stranger, and all of them together may ask of us.

use std::collections::HashMap;
use std::net::IpAddr;

use super::overload::{Overload, Watermark};
use super::peers::Source;
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
    /// Calls that ring, of all peers.
    pub ringing: usize,
    /// Calls of one peer that ring.
    pub ringing_of_peer: usize,
}

impl Default for Guarding {
    fn default() -> Self {
        Self {
            peer_rate: Rate::per_s(limits::SIP_PEER_RATE),
            stranger_rate: Rate::per_s(limits::SIP_STRANGER_RATE),
            ringing: limits::RINGING,
            ringing_of_peer: limits::RINGING_OF_PEER,
        }
    }
}

/// What was taken so far.
#[derive(Debug)]
pub(super) struct Guard {
    peers: Option<Buckets>,
    strangers: Option<Strangers>,
    guarding: Guarding,
    /// Calls that ring, by their slots, with who sent the INVITE.
    ringing: HashMap<u32, Source>,
    of_peers: HashMap<Source, usize>,
    pub(super) overload: Overload,
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
            guarding,
            ringing: HashMap::new(),
            of_peers: HashMap::new(),
            overload: Overload::default(),
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

    /// Takes note of a call that goes on to who is called, and rings from here on.
    pub(super) fn rings(&mut self, slot: u32, caller: Source) {
        if self.ringing.insert(slot, caller).is_none() {
            *self.of_peers.entry(caller).or_default() += 1;
        }
    }

    /// Takes note that a call has its final answer, or is over; it may have had one before.
    pub(super) fn rings_no_longer(&mut self, slot: u32) {
        let caller = self.ringing.remove(&slot);
        if let Some(count) = caller.and_then(|caller| self.of_peers.get_mut(&caller)) {
            *count = count.saturating_sub(1);
        }
    }

    /// Says for what a new call is to be refused, and counts it.
    pub(super) fn refuses(&mut self, asked: &Asked) -> Option<Watermark> {
        let of_peer = self.of_peers.get(&asked.caller).copied().unwrap_or_default();
        let watermark = if asked.calls >= limits::CALLS {
            Some(Watermark::Calls)
        } else if asked.belongs_to_a_call {
            None
        } else if self.ringing.len() >= self.guarding.ringing {
            Some(Watermark::Ringing)
        } else if of_peer >= self.guarding.ringing_of_peer {
            Some(Watermark::RingingOfPeer)
        } else {
            self.overload.refuses(asked.is_recorded)
        };
        watermark.into_iter().for_each(|watermark| self.overload.count(watermark));
        watermark
    }
}

/// A new call that asks to be taken.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) caller: Source,
    /// Calls that are.
    pub(super) calls: usize,
    /// It takes the place of a call that is (RFC 3891).
    pub(super) belongs_to_a_call: bool,
    /// A policy would have it recorded.
    pub(super) is_recorded: bool,
}
