//! What all calls share: the SIP stack, the stock of ports, the way out, and where a request goes.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::door::{Config, Output, PortPair, Strangers, Tallies};
use crate::ids::{CallId, Leg, RecordingId};
use crate::media::Order;
use crate::sip::{self, Stack};
use crate::time::{Moment, Wall};
use crate::wire::sip::{Message, Method, reason_phrase, reply};

/// What calls share: the stack, the ports, the way out.
pub(super) struct Desk {
    pub(super) config: Config,
    pub(super) stack: Stack,
    stock: [Vec<PortPair>; 2],
    pub(super) out: VecDeque<Output>,
    pub(super) tallies: Tallies,
    random: u64,
}

/// Whether a request belongs to a dialog, and so may go where its Request-URI says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Within {
    Dialog,
    Nothing,
}

impl Desk {
    pub(super) fn new(config: Config, stack: Stack, seed: u64) -> Self {
        let (stock, out, tallies) = ([Vec::new(), Vec::new()], VecDeque::new(), Tallies::default());
        // Another series than the stack's, which is seeded with the same number.
        Self { config, stack, stock, out, tallies, random: seed ^ 0x6d69_7473_6368_6e69 }
    }

    pub(super) fn out(&mut self, output: Output) {
        self.out.push_back(output);
    }

    pub(super) fn order(&mut self, call: CallId, order: Order) {
        self.out.push_back(Output::Media { call, order });
    }

    pub(super) const fn clocks(&self) -> (Moment, Wall) {
        self.config.clocks
    }

    pub(super) const fn media_ip(&self, leg: Leg) -> IpAddr {
        let [pbx, trunk] = self.config.media;
        match leg {
            Leg::Pbx => pbx,
            Leg::Trunk => trunk,
        }
    }

    pub(super) const fn stock_of(&mut self, leg: Leg) -> &mut Vec<PortPair> {
        let [pbx, trunk] = &mut self.stock;
        match leg {
            Leg::Pbx => pbx,
            Leg::Trunk => trunk,
        }
    }

    pub(super) fn take_ports(&mut self, leg: Leg) -> Option<PortPair> {
        self.stock_of(leg).pop()
    }

    pub(super) fn give_back(&mut self, call: CallId, pair: PortPair) {
        self.out(Output::GiveBack { call, pair });
    }

    /// Asks for ports once a quarter of a leg's stock is gone.
    pub(super) fn restock(&mut self) {
        for leg in Leg::BOTH {
            let have = self.stock_of(leg).len();
            let stock = self.config.port_stock;
            if have <= stock * 3 / 4 && have < stock {
                self.out(Output::WantPorts { leg, count: stock - have });
            }
        }
    }

    /// SplitMix64 (Steele, Lea, Flood 2014): ids must be unique, and are no secret.
    pub(super) fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn draw_recording(&mut self) -> RecordingId {
        let number = (u128::from(self.draw()) << 64) | u128::from(self.draw());
        RecordingId::from_bytes(number.to_be_bytes())
    }

    pub(super) fn refuse_stranger(&mut self, from: SocketAddr, bytes: Bytes) {
        self.tallies.strangers += 1;
        if self.config.strangers == Strangers::Forbid
            && let Ok(request) = Message::parse_datagram(bytes)
            && request.is_request()
            && request.method() != Method::Ack
        {
            let bytes = reply(&request, 403, reason_phrase(403), Some(b"stranger"), &[]);
            self.out(Output::Send { to: from, bytes });
        }
    }

    /// Returns where a request goes that leaves on this leg: within a dialog where its route set says, if that is the peer's own;
    /// else to the peer.
    pub(super) fn target(&self, request: &Message, leg: Leg, trunk: Option<usize>, within: Within) -> SocketAddr {
        match self.stack.next_hop(request) {
            Some(hop) if within == Within::Dialog || hop.by != sip::By::RequestUri => self.reach(hop.address(), leg, trunk),
            Some(_) | None => self.peer(leg, trunk),
        }
    }

    pub(super) fn reach(&self, address: Option<SocketAddr>, leg: Leg, trunk: Option<usize>) -> SocketAddr {
        let peer = match leg {
            Leg::Pbx => Some(&self.config.peers.pbx),
            Leg::Trunk => self.config.peers.trunks.get(trunk.unwrap_or(0)).map(|(_, peer)| peer),
        };
        address
            .filter(|&to| to != self.config.sip.via_host && peer.is_some_and(|peer| peer.owns(to)))
            .unwrap_or_else(|| self.peer(leg, trunk))
    }

    fn peer(&self, leg: Leg, trunk: Option<usize>) -> SocketAddr {
        let peers = &self.config.peers;
        match leg {
            Leg::Pbx => peers.pbx.address,
            Leg::Trunk => peers
                .trunks
                .get(trunk.unwrap_or(0))
                .or_else(|| peers.trunks.first())
                .map_or(peers.pbx.address, |(_, trunk)| trunk.address),
        }
    }
}
