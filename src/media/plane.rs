//! The one door of the media plane: orders and packets in, verdicts, frames and events out.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddr;
use std::time::Duration;

use crate::consent::{Cut, Permit};
use crate::ids::Leg;
use crate::media::bridge::{Bridge, Settled, Turn, count};
use crate::media::chance::Chance;
use crate::media::event::Told;
use crate::media::side::Channel;
use crate::media::table::{NotTaken, Table, Use};
use crate::media::{
    Announcing, BridgeId, BridgeTallies, Bridging, Event, Forward, Order, PairIds, PlaneTallies, PortId, Remote, Srtp, Verdict,
};
use crate::time::Moment;

/// The media plane of one thread, the sole owner of its bridges.
///
/// A packet is decided on without an allocation, a lock or a hash: its socket's number leads to the few bridges that it may belong to,
/// and its source tells which. What must be kept in step with the shell is one rule: a slot or socket number is given again only
/// after [`Event::Closed`] of every bridge that had it.
#[derive(Debug)]
pub struct Plane {
    table: Table,
    bridges: Vec<Option<Box<Bridge>>>,
    vacant: Vec<u32>,
    names: BTreeMap<BridgeId, u32>,
    due: BinaryHeap<Reverse<Due>>,
    looks: BinaryHeap<Reverse<Look>>,
    told: Told,
    chance: Chance,
    tallies: PlaneTallies,
}

/// When to send the next frame of an announcement. One that was stopped leaves its entry behind until then.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Due {
    at: Moment,
    bridge: u32,
    leg: Leg,
}

/// When to look whether anything comes over a bridge that is watched: once for as long as its watcher is patient, whatever comes meanwhile.
/// A bridge that was closed leaves its entry behind until then.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Look {
    at: Moment,
    bridge: u32,
}

/// What became of a frame that the shell was given to send.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[must_use = "an announcement with a hole in it must be cut"]
pub enum Sent {
    /// The kernel took it.
    Out,
    /// The kernel refused it.
    Failed,
}

impl Plane {
    /// Makes a plane without bridges. The seed is for what is random in our own streams.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            table: Table::default(),
            bridges: Vec::new(),
            vacant: Vec::new(),
            names: BTreeMap::new(),
            due: BinaryHeap::new(),
            looks: BinaryHeap::new(),
            told: Told::new(),
            chance: Chance::new(seed),
            tallies: PlaneTallies::default(),
        }
    }

    /// Takes an order. One that cannot be followed is counted as misdirected; whoever waits for its outcome is told that it ended.
    pub fn order(&mut self, order: Order, now: Moment) {
        match order {
            Order::Bridge(bridging) => self.build(*bridging),
            Order::Describe { id, leg, remote, srtp } => self.describe(id, leg, remote, srtp, now),
            Order::Announce(announcing) => self.announce(announcing, now),
            Order::StopAnnouncement { id, leg } => self.with(id, |bridge| bridge.stop(leg)),
            Order::Record { id, permit } => self.record(id, permit),
            Order::Unrecord { id } => self.with(id, Bridge::unrecord),
            Order::Watch { id, patience, again } => self.watch(id, patience, again, now),
            Order::Close { id } => self.close(id, now),
        }
    }

    /// Decides on a packet that came in on this socket from this source. Where it is SRTP it is opened in place, and the verdict is about
    /// the bytes that it begins with then.
    pub fn packet<'p>(&mut self, port: PortId, source: SocketAddr, packet: &'p mut [u8], now: Moment) -> Verdict<'p> {
        self.tallies.packets += 1;
        self.tallies.bytes += packet.len() as u64;
        let Some((Use { call: _, facing, channel }, candidates)) = self.table.of(port) else {
            self.tallies.unowned += 1;
            return Verdict::default();
        };
        // Of forks behind one gateway, the one whose key opens it; only if none does, one that has no key.
        let (mut party, mut refused) = (None, None);
        for &candidate in candidates {
            let Some(Some(bridge)) = self.bridges.get_mut(candidate as usize) else { continue };
            if !bridge.is_from_party(facing, channel, &source) {
                continue;
            }
            if !bridge.is_secured(facing) {
                party = party.or(Some((candidate, packet.len())));
                continue;
            }
            match bridge.open(facing, channel, packet, now) {
                Ok(len) => {
                    party = Some((candidate, len));
                    break;
                }
                Err(why) => refused = refused.or(Some((candidate, why))),
            }
        }
        if let Some((candidate, len)) = party
            && let Some(Some(bridge)) = self.bridges.get_mut(candidate as usize)
        {
            let packet = packet.get(..len).unwrap_or_default();
            if bridge.is_to_be_proved(facing) {
                let settled = bridge.prove(facing, channel, packet, now);
                settle(settled, bridge.id(), facing, candidate, &mut self.told, &mut self.due);
            }
            let verdict = bridge.packet(facing, channel, packet, &mut self.told, now);
            self.tallies.forwarded += u64::from(verdict.forward.is_some());
            self.tallies.kept += u64::from(verdict.keep.is_some());
            return verdict;
        }
        if let Some((candidate, why)) = refused {
            if let Some(count) = self.tallies.refused.get_mut(why.index()) {
                *count += 1;
            }
            if let Some(Some(bridge)) = self.bridges.get_mut(candidate as usize) {
                bridge.count_refused(facing);
            }
            return Verdict::default();
        }
        let learner = candidates.iter().filter_map(|&candidate| {
            let bridge = self.bridges.get(candidate as usize)?.as_ref()?;
            bridge.fit(facing, channel, &source, now).map(|fit| (fit, candidate))
        });
        // Of the forks that share this socket the one that it fits best; of several the first, which was described last. A source whose
        // packets the party's key does not open is a stranger, however well it fits.
        if let Some((_, candidate)) = learner.min_by_key(|&(fit, _)| fit)
            && let Some(Some(bridge)) = self.bridges.get_mut(candidate as usize)
            && let Ok(len) = bridge.open(facing, channel, packet, now)
        {
            let packet = packet.get(..len).unwrap_or_default();
            if let Some(settled) = bridge.learn(facing, channel, source, packet, now) {
                settle(settled, bridge.id(), facing, candidate, &mut self.told, &mut self.due);
                let verdict = bridge.packet(facing, channel, packet, &mut self.told, now);
                self.tallies.forwarded += u64::from(verdict.forward.is_some());
                self.tallies.kept += u64::from(verdict.keep.is_some());
                return verdict;
            }
        }
        self.tallies.strangers += 1;
        if let Some(&first) = candidates.first()
            && let Some(Some(bridge)) = self.bridges.get_mut(first as usize)
        {
            bridge.count_stranger(facing);
        }
        Verdict::default()
    }

    /// Makes the packet ready that the buffer begins with, as its verdict wants it: rewritten, and sealed where its receiver takes SRTP,
    /// for which the buffer must have [`Sealer::GROWTH_MAX`](crate::media::srtp::Sealer::GROWTH_MAX) bytes more. Returns how long it is
    /// then; nothing, and it is counted, where it must not be sent.
    pub fn prepare(&mut self, forward: &Forward, buffer: &mut [u8]) -> Option<usize> {
        if let Some(rewrite) = &forward.rewrite {
            rewrite.apply(buffer.get_mut(..forward.len)?);
        }
        let Some(seal) = forward.seal else { return Some(forward.len) };
        let bridge = self.bridges.get_mut(seal.bridge as usize)?.as_mut()?;
        match bridge.seal(seal, buffer, forward.len) {
            Ok(len) => Some(len),
            Err(why) => {
                count(&mut self.tallies.not_sealed, why);
                self.tallies.forwarded = self.tallies.forwarded.saturating_sub(1);
                None
            }
        }
    }

    /// Returns when to call [`Plane::wake`] at the latest.
    #[must_use]
    pub fn deadline(&self) -> Option<Moment> {
        let frame = self.due.peek().map(|Reverse(due)| due.at);
        let look = self.looks.peek().map(|Reverse(look)| look.at);
        [frame, look].into_iter().flatten().min()
    }

    /// Looks at the bridges that are due, and sends the frames that are, at most one for each announcement: `send` is given the socket, the address and the packet.
    ///
    /// An announcement counts as played by what `send` returns, so it must not return [`Sent::Out`] before the kernel took the packet.
    pub fn wake(&mut self, now: Moment, send: &mut dyn FnMut(PortId, SocketAddr, &[u8]) -> Sent) {
        while let Some(&Reverse(Due { at, bridge, leg })) = self.due.peek()
            && at <= now
        {
            self.due.pop();
            let Some(Some(played_to)) = self.bridges.get_mut(bridge as usize) else { continue };
            let id = played_to.id();
            match played_to.turn(leg, at, &mut self.chance, now, &mut self.tallies.not_sealed, send) {
                Turn::Nothing => {}
                Turn::Next(at) => {
                    self.tallies.announced += 1;
                    self.due.push(Reverse(Due { at, bridge, leg }));
                }
                Turn::Played(played) => {
                    self.tallies.announced += 1;
                    self.told.tell(Event::Played { id, played });
                }
                Turn::Begins(at) => self.due.push(Reverse(Due { at, bridge, leg })),
                Turn::Cut(cut) => self.told.tell(Event::Cut { id, leg, cut }),
            }
        }
        while let Some(&Reverse(Look { at, bridge })) = self.looks.peek()
            && at <= now
        {
            self.looks.pop();
            let Some(Some(watched)) = self.bridges.get(bridge as usize) else { continue };
            let beside = self.life_beside(watched.id());
            let Some(Some(watched)) = self.bridges.get_mut(bridge as usize) else { continue };
            if let Some(at) = watched.look(at, beside, &mut self.told, now) {
                self.looks.push(Reverse(Look { at, bridge }));
            }
        }
    }

    /// When something came last over the other bridges of a dialog: video, say.
    fn life_beside(&self, id: BridgeId) -> Option<Moment> {
        let lines = BridgeId { line: 0, ..id }..=BridgeId { line: u16::MAX, ..id };
        let others = self.names.range(lines).filter(|(other, _)| **other != id);
        others.filter_map(|(_, &index)| self.bridges.get(index as usize)?.as_ref()?.life()).max()
    }

    /// Returns what happened next, in order. To be asked until there is nothing, after every batch of packets and every order.
    pub fn poll(&mut self) -> Option<Event> {
        self.told.fetch()
    }

    /// Returns what was counted.
    #[must_use]
    pub fn tallies(&self) -> PlaneTallies {
        PlaneTallies { bridges: self.names.len() as u64, digits_lost: self.told.digits_lost(), ..self.tallies }
    }

    /// Returns what a bridge has carried until now; of one that does not exist, nothing.
    #[must_use]
    pub fn carried(&self, id: BridgeId) -> BridgeTallies {
        self.carried_by(id, None)
    }

    /// Returns the same, as if the bridge ended then: the silence since its last packet is part of its quality.
    #[must_use]
    pub fn carried_until(&self, id: BridgeId, end: Moment) -> BridgeTallies {
        self.carried_by(id, Some(end))
    }

    fn carried_by(&self, id: BridgeId, end: Option<Moment>) -> BridgeTallies {
        let bridge = self.names.get(&id).and_then(|&index| self.bridges.get(index as usize)?.as_ref());
        bridge.map(|bridge| bridge.tallies(end)).unwrap_or_default()
    }

    /// Returns the sockets of a bridge that face the PBX and the trunk.
    #[must_use]
    pub fn ports(&self, id: BridgeId) -> Option<[PairIds; 2]> {
        let index = *self.names.get(&id)?;
        let bridge = self.bridges.get(index as usize)?.as_ref()?;
        Some(Leg::BOTH.map(|leg| bridge.ports(leg)))
    }

    /// Mirrors no more, and returns the permit, so that the mirroring can go on later.
    pub fn suspend(&mut self, id: BridgeId) -> Option<Permit> {
        self.bridge(id).and_then(|(bridge, _)| bridge.suspend())
    }

    fn build(&mut self, bridging: Bridging) {
        let built = match self.names.contains_key(&bridging.id) {
            true => Err(NotTaken),
            false => self.vacancy().and_then(|index| self.take_ports(&bridging, index).map(|()| index)),
        };
        match built {
            Ok(index) => {
                self.names.insert(bridging.id, index);
                if let Some(place) = self.bridges.get_mut(index as usize) {
                    *place = Some(Box::new(Bridge::new(bridging, index)));
                }
            }
            Err(NotTaken) => self.tallies.misdirected += 1,
        }
    }

    /// The place of the next bridge; it stays vacant if it is not used.
    fn vacancy(&mut self) -> Result<u32, NotTaken> {
        if self.vacant.is_empty() {
            let index = u32::try_from(self.bridges.len()).map_err(|_| NotTaken)?;
            self.bridges.push(None);
            self.vacant.push(index);
        }
        self.vacant.last().copied().ok_or(NotTaken)
    }

    fn take_ports(&mut self, bridging: &Bridging, bridge: u32) -> Result<(), NotTaken> {
        let wanted = sockets(bridging.id, bridging.ports);
        for (nth, &(port, serves)) in wanted.iter().enumerate() {
            if self.table.add(port, serves, bridge).is_err() {
                wanted.iter().take(nth).for_each(|&(port, _)| self.table.remove(port, bridge));
                return Err(NotTaken);
            }
        }
        self.vacant.pop();
        Ok(())
    }

    fn describe(&mut self, id: BridgeId, leg: Leg, remote: Remote, srtp: Option<Box<Srtp>>, now: Moment) {
        let Some(index) = self.names.get(&id).copied() else {
            self.tallies.misdirected += 1;
            return;
        };
        let Some(Some(bridge)) = self.bridges.get_mut(index as usize) else { return };
        let ssrc = if srtp.is_some() { self.chance.draw_u32() } else { 0 };
        if let Some(cut) = bridge.describe(leg, remote, srtp, ssrc, now) {
            self.told.tell(Event::Cut { id, leg, cut });
        }
        // Two forks may have one address, as behind one gateway: the one that was described last is the one that talks.
        for PairIds { rtp, rtcp } in Leg::BOTH.map(|leg| bridge.ports(leg)) {
            self.table.prefer(rtp, index);
            self.table.prefer(rtcp, index);
        }
    }

    fn announce(&mut self, announcing: Announcing, now: Moment) {
        let (id, leg) = (announcing.id, announcing.leg);
        let begun = match self.bridge(id) {
            Some((bridge, index)) => bridge.announce(announcing, now).map(|at| Due { at, bridge: index, leg }),
            None => {
                self.tallies.misdirected += 1;
                Err(Cut::NotSent)
            }
        };
        match begun {
            Ok(due) => self.due.push(Reverse(due)),
            Err(cut) => self.told.tell(Event::Cut { id, leg, cut }),
        }
    }

    fn record(&mut self, id: BridgeId, permit: Permit) {
        if permit.call() == id.call {
            self.with(id, |bridge| bridge.record(permit));
        } else {
            self.tallies.misdirected += 1;
        }
    }

    fn watch(&mut self, id: BridgeId, patience: Duration, again: bool, now: Moment) {
        match self.bridge(id) {
            Some((bridge, index)) => {
                if let Some(at) = bridge.watch(patience, again, now) {
                    self.looks.push(Reverse(Look { at, bridge: index }));
                }
            }
            None => self.tallies.misdirected += 1,
        }
    }

    fn close(&mut self, id: BridgeId, now: Moment) {
        let Some(index) = self.names.remove(&id) else {
            self.tallies.misdirected += 1;
            self.told.tell(Event::Closed { id, tallies: Box::default() });
            return;
        };
        if let Some(bridge) = self.bridges.get_mut(index as usize).and_then(Option::take) {
            for (port, _) in sockets(id, Leg::BOTH.map(|leg| bridge.ports(leg))) {
                self.table.remove(port, index);
            }
            self.vacant.push(index);
            self.told.tell(Event::Closed { id, tallies: Box::new(bridge.tallies(Some(now))) });
        }
    }

    fn with(&mut self, id: BridgeId, follow: impl FnOnce(&mut Bridge)) {
        match self.bridge(id) {
            Some((bridge, _)) => follow(bridge),
            None => self.tallies.misdirected += 1,
        }
    }

    fn bridge(&mut self, id: BridgeId) -> Option<(&mut Bridge, u32)> {
        let index = *self.names.get(&id)?;
        let bridge = self.bridges.get_mut(index as usize)?.as_mut()?;
        Some((bridge, index))
    }
}

/// Tells what came of it that a party's source was learned, and sees to the announcement that waited for that.
fn settle(settled: Settled, id: BridgeId, leg: Leg, bridge: u32, told: &mut Told, due: &mut BinaryHeap<Reverse<Due>>) {
    match settled {
        Settled::AsBefore => {}
        Settled::Moved => told.tell(Event::Moved { id, leg }),
        Settled::Cut => told.tell(Event::Cut { id, leg, cut: Cut::Moved }),
        Settled::Begins(Ok(at)) => due.push(Reverse(Due { at, bridge, leg })),
        Settled::Begins(Err(cut)) => told.tell(Event::Cut { id, leg, cut }),
    }
}

/// The four sockets of a bridge, and what each is for.
fn sockets(id: BridgeId, ports: [PairIds; 2]) -> [(PortId, Use); 4] {
    let [pbx, trunk] = ports;
    let serves = |facing, channel| Use { call: id.call, facing, channel };
    [
        (pbx.rtp, serves(Leg::Pbx, Channel::Rtp)),
        (pbx.rtcp, serves(Leg::Pbx, Channel::Rtcp)),
        (trunk.rtp, serves(Leg::Trunk, Channel::Rtp)),
        (trunk.rtcp, serves(Leg::Trunk, Channel::Rtcp)),
    ]
}
