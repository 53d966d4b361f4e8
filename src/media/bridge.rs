//! One bridge: the two sides of one `m=` line, what goes from one to the other, and what may be kept of it.

use std::net::SocketAddr;
use std::time::Duration;

use crate::consent::{Cut, How, Permit, Played, Player};
use crate::digit::Digit;
use crate::ids::Leg;
use crate::limits::MEDIA_PACKET_BYTES;
use crate::media::chance::Chance;
use crate::media::event::Told;
use crate::media::inject::{Injection, LONGEST, Step};
use crate::media::latch::Fit;
use crate::media::secure::Protocol;
use crate::media::side::{Channel, Meaning, Meanings, Side};
use crate::media::splice::{Hz, Kind, Offset, Pass};
use crate::media::srtp::{NotSealed, Refused, Sealer};
use crate::media::verdict::Change;
use crate::media::{
    Announcing, BridgeId, BridgeTallies, Bridging, Content, Event, Forward, LegTallies, PortId, Remote, Rewrite, Seal, Sent,
    Srtp, Verdict,
};
use crate::sabotage;
use crate::time::Moment;
use crate::wire::{rtcp, rtp, rtp::Rtp};

/// Two sides, joined.
#[derive(Debug)]
pub(super) struct Bridge {
    id: BridgeId,
    /// Its place in the plane.
    index: u32,
    slot: u32,
    content: Content,
    sides: [Side; 2],
    permit: Option<Permit>,
    watch: Option<Watch>,
}

/// Somebody wants to know when nothing comes.
#[derive(Debug)]
struct Watch {
    patience: Duration,
    began: Moment,
    /// When to look again.
    due: Moment,
    is_dead_told: bool,
}

/// A frame's time came.
#[derive(Debug)]
pub(super) enum Turn {
    /// Nothing was due then: the announcement was stopped or began anew.
    Nothing,
    /// The next frame is due then.
    Next(Moment),
    /// The announcement is over.
    Played(Played),
    /// The announcement is over, unfinished.
    Cut(Cut),
    /// One that waited begins: its first frame is due then.
    Begins(Moment),
}

/// What came of it that the source of a party's media was learned, or proved.
#[derive(Debug)]
pub(super) enum Settled {
    /// Media goes to the party as before.
    AsBefore,
    /// Media goes elsewhere from here on, and nothing was played.
    Moved,
    /// Media goes elsewhere, and what was played ended there.
    Cut,
    /// An announcement that waited for it is due then, or cannot be played.
    Begins(Result<Moment, Cut>),
}

impl Bridge {
    pub(super) fn new(bridging: Bridging, index: u32) -> Self {
        let Bridging { id, slot, ports: [pbx, trunk], content, latching: [of_pbx, of_trunk] } = bridging;
        let side = |ports, latching| Side::new(ports, latching, LegTallies::default());
        Self { id, index, slot, content, sides: [side(pbx, of_pbx), side(trunk, of_trunk)], permit: None, watch: None }
    }

    pub(super) const fn id(&self) -> BridgeId {
        self.id
    }

    /// What it carried; the time since the last packet is part of its quality where this is the end.
    pub(super) fn tallies(&self, end: Option<Moment>) -> BridgeTallies {
        BridgeTallies {
            legs: self.sides.each_ref().map(|side| side.tallies),
            quality: self.sides.each_ref().map(|side| side.quality.report(end)),
        }
    }

    /// Takes the party's description, and says why what is played to it ends there, if it does. `ssrc` is a random number.
    pub(super) fn describe(&mut self, leg: Leg, remote: Remote, srtp: Option<Box<Srtp>>, ssrc: u32, now: Moment) -> Option<Cut> {
        let side = self.side_mut(leg);
        let before = side.takes().copied();
        let is_elsewhere = side.remote().is_some_and(|before| before.rtp != remote.rtp);
        let is_rejected = remote.rtp.port() == 0;
        let begins_anew = match srtp {
            // No media is taken from it or sent to it. Its keys stay, for they may come back with the line: what was used under them must
            // not be taken, nor sealed, once more.
            None if is_rejected => false,
            srtp => side.secure(srtp, is_elsewhere, now),
        };
        side.describe(remote, now);
        let waits = side.waiting.as_ref().map(|(_, announcing)| (announcing.clip.coding(), announcing.payload_type));
        let plays = side.injection.as_ref().map(|injection| (injection.player().clip().coding(), injection.payload_type()));
        let cut = plays.or(waits).and_then(|(coding, payload_type)| match side.can_hear(coding, payload_type) {
            Err(Cut::Held) => Some(Cut::Held),
            Err(_) => Some(Cut::Moved),
            Ok(to) => (before != Some(to) || begins_anew).then_some(Cut::Moved),
        });
        if cut.is_some() {
            self.stop(leg);
        }
        if begins_anew {
            self.side_mut(leg).splice.carry(ssrc);
        }
        let [pbx, trunk] = &mut self.sides;
        let meanings = [Meanings::of(trunk.remote(), pbx.remote()), Meanings::of(pbx.remote(), trunk.remote())];
        let [of_pbx, of_trunk] = meanings;
        pbx.mean(of_pbx);
        trunk.mean(of_trunk);
        // What the one takes, the other is to send; on hold neither.
        let is_described = pbx.remote().is_some() && trunk.remote().is_some();
        pbx.quality.expect(is_described && trunk.takes().is_some(), now);
        trunk.quality.expect(is_described && pbx.takes().is_some(), now);
        let receives = |side: &Side| side.remote().is_some_and(|remote| remote.receives);
        let [pbx_receives, trunk_receives] = [receives(pbx), receives(trunk)];
        pbx.latch.expect(pbx_receives, trunk_receives);
        trunk.latch.expect(trunk_receives, pbx_receives);
        cut
    }

    /// Begins to play, in place of what may be playing; returns when the first frame is due.
    pub(super) fn announce(&mut self, announcing: Announcing, now: Moment) -> Result<Moment, Cut> {
        if self.content != Content::Audio {
            return Err(Cut::Codec);
        }
        let leg = announcing.leg;
        let side = self.side_mut(leg);
        side.can_hear(announcing.clip.coding(), announcing.payload_type)?;
        if let Some(until) = side.latch.settles(now) {
            self.stop(leg);
            self.side_mut(leg).waiting = Some((until, announcing));
            return Ok(until);
        }
        let Announcing { id: _, leg: _, clip, payload_type } = announcing;
        side.waiting = None;
        let ptime_ms = side.remote().map_or(0, |remote| remote.ptime_ms);
        let due = side.splice.begin(now);
        side.injection = Some(Injection::new(Player::new(leg, clip, ptime_ms), payload_type, due));
        Ok(due)
    }

    /// Plays no more to this party.
    pub(super) fn stop(&mut self, leg: Leg) {
        let side = self.side_mut(leg);
        side.waiting = None;
        if side.injection.take().is_some() {
            side.splice.end();
        }
    }

    pub(super) fn record(&mut self, permit: Permit) {
        self.permit = Some(permit);
    }

    pub(super) const fn suspend(&mut self) -> Option<Permit> {
        self.permit.take()
    }

    pub(super) fn unrecord(&mut self) {
        self.permit = None;
    }

    /// Watches from here on, and returns when to look; nothing where it is watched already: then silence is told once more if it is to be
    /// told `again`.
    pub(super) fn watch(&mut self, patience: Duration, again: bool, now: Moment) -> Option<Moment> {
        if let Some(watch) = &mut self.watch {
            watch.is_dead_told &= !again;
            return None;
        }
        let due = now + patience;
        self.watch = Some(Watch { patience, began: now, due, is_dead_told: false });
        Some(due)
    }

    /// Looks whether anything came since the last look, if it is time to; returns when to look again. `beside` is when something came last
    /// over another bridge of the dialog.
    pub(super) fn look(&mut self, due: Moment, beside: Option<Moment>, told: &mut Told, now: Moment) -> Option<Moment> {
        let id = self.id;
        let [pbx, trunk] = &mut self.sides;
        let watch = self.watch.as_mut().filter(|watch| watch.due == due)?;
        let ends = |since: Moment| since + watch.patience;
        let next = match (pbx.quality.due(), trunk.quality.due()) {
            (Some(pbx_due), Some(trunk_due)) => {
                let began = watch.began.max(pbx_due).max(trunk_due);
                let [pbx_since, trunk_since] = [&*pbx, &*trunk].map(|side| side.quality.life().map_or(began, |at| at.max(began)));
                let newest = pbx_since.max(trunk_since).max(beside.unwrap_or(began));
                if ends(newest) <= now {
                    if !std::mem::replace(&mut watch.is_dead_told, true) {
                        told.tell(Event::Dead { id });
                    }
                } else {
                    for (leg, since) in Leg::BOTH.into_iter().zip([pbx_since, trunk_since]) {
                        let (silent, other) = match leg {
                            Leg::Pbx => (&mut *pbx, &*trunk),
                            Leg::Trunk => (&mut *trunk, &*pbx),
                        };
                        let is_one_way = ends(since) <= now && other.quality.last().is_some_and(|last| now.since(last) < PAUSE);
                        if is_one_way && !std::mem::replace(&mut silent.quality.fell_silent, true) {
                            told.tell(Event::OneWay { id, leg });
                        }
                    }
                }
                [pbx_since, trunk_since, newest].map(ends).into_iter().filter(|&at| at > now).min()
            }
            // Somebody is on hold. If that ends, the silence begins then, and this look comes before it can have lasted long enough.
            (None, _) | (_, None) => None,
        };
        watch.due = next.unwrap_or(now + watch.patience);
        Some(watch.due)
    }

    /// Returns when something came last, from whichever party.
    pub(super) fn life(&self) -> Option<Moment> {
        self.sides.iter().filter_map(|side| side.quality.life()).max()
    }

    /// Sends the frame that was due then, if one was; what could not be sealed is counted.
    pub(super) fn turn(
        &mut self,
        leg: Leg,
        due: Moment,
        chance: &mut Chance,
        now: Moment,
        counts: &mut [u64; NotSealed::ALL.len()],
        send: &mut dyn FnMut(PortId, SocketAddr, &[u8]) -> Sent,
    ) -> Turn {
        let side = self.side_mut(leg);
        if let Some((_, announcing)) = side.waiting.take_if(|(at, _)| *at == due) {
            return self.announce(announcing, now).map_or_else(Turn::Cut, Turn::Begins);
        }
        let port = side.ports.rtp;
        let Some(&to) = side.takes() else { return Turn::Nothing };
        let Some(injection) = side.injection.as_mut().filter(|injection| injection.due() == due) else { return Turn::Nothing };
        let (secure, mut not_sealed) = (&mut side.secure, None);
        let step = injection.send_frame(&mut side.splice, chance, now, |packet| match secure {
            None => send(port, to, packet),
            Some(secure) => {
                let mut buffer = [0; LONGEST + Sealer::GROWTH_MAX];
                buffer.iter_mut().zip(packet).for_each(|(to, from)| *to = *from);
                match secure.seal(Protocol::Rtp, &mut buffer, packet.len()) {
                    Ok(len) => send(port, to, buffer.get(..len).unwrap_or_default()),
                    Err(why) => {
                        not_sealed = Some(why);
                        Sent::Failed
                    }
                }
            }
        });
        if let Some(why) = not_sealed {
            count(counts, why);
        }
        if !matches!(step, Step::NotSent) {
            side.tallies.announced += 1;
        }
        match step {
            Step::Next(next) => Turn::Next(next),
            Step::Played(played) => {
                self.stop(leg);
                Turn::Played(played)
            }
            Step::NotSent => {
                self.stop(leg);
                Turn::Cut(Cut::NotSent)
            }
        }
    }

    /// Whether a packet on the socket that faces this leg is the party's.
    pub(super) fn is_from_party(&self, leg: Leg, channel: Channel, source: &SocketAddr) -> bool {
        self.side(leg).is_from_party(channel, source) || sabotage::is("relay-for-strangers")
    }

    /// Whether the next packet of the party on this leg may prove that it is there.
    pub(super) const fn is_to_be_proved(&self, leg: Leg) -> bool {
        self.side(leg).latch.is_to_be_proved()
    }

    /// Takes note that the party on this leg sends what was negotiated, if this packet is that.
    pub(super) fn prove(&mut self, leg: Leg, channel: Channel, packet: &[u8], now: Moment) -> Settled {
        let is_rtp = channel == Channel::Rtp && self.content != Content::Datagrams;
        let side = self.side_mut(leg);
        if !is_rtp || side.negotiated(packet).is_none() {
            return Settled::AsBefore;
        }
        side.latch.prove();
        self.settle(leg, now)
    }

    /// Returns how well a source fits that may be learned as the party's, and is not yet.
    pub(super) fn fit(&self, leg: Leg, channel: Channel, source: &SocketAddr, now: Moment) -> Option<Fit> {
        match (self.content, channel) {
            (Content::Audio | Content::OtherRtp, Channel::Rtp) => self.side(leg).latch.rtp_fit(source, now),
            (Content::Audio | Content::OtherRtp, Channel::Rtcp) => self.side(leg).latch.rtcp_fit(source),
            // There is no sequence to count that all of them have.
            (Content::Datagrams, _) => None,
        }
    }

    /// Counts a packet of such a source. Nothing comes of it where it is a stranger's still; else it is the party's from this packet on.
    pub(super) fn learn(
        &mut self,
        leg: Leg,
        channel: Channel,
        source: SocketAddr,
        packet: &[u8],
        now: Moment,
    ) -> Option<Settled> {
        let side = self.side_mut(leg);
        match channel {
            Channel::Rtp => {
                let rtp = side.negotiated(packet)?;
                side.latch.learn_rtp(source, &rtp, now).then(|| self.settle(leg, now))
            }
            Channel::Rtcp => {
                let is_rtcp = packet.len() <= MEDIA_PACKET_BYTES && rtcp::is_valid(packet);
                is_rtcp.then(|| side.latch.learn_rtcp(source))?;
                Some(Settled::AsBefore)
            }
        }
    }

    /// Sends media to the party where it is by now, and begins what waited for that.
    fn settle(&mut self, leg: Leg, now: Moment) -> Settled {
        let side = self.side_mut(leg);
        let before = side.takes().copied();
        side.follow();
        let is_elsewhere = side.takes().copied() != before;
        if let Some((_, announcing)) = side.waiting.take() {
            return Settled::Begins(self.announce(announcing, now));
        }
        match (is_elsewhere, side.injection.is_some()) {
            (false, _) => Settled::AsBefore,
            (true, false) => Settled::Moved,
            (true, true) => {
                self.stop(leg);
                Settled::Cut
            }
        }
    }

    /// Takes note of a packet from an address that was not described.
    pub(super) fn count_stranger(&mut self, leg: Leg) {
        self.side_mut(leg).tallies.strangers += 1;
    }

    /// Whether what comes from the party on this leg is SRTP.
    pub(super) const fn is_secured(&self, leg: Leg) -> bool {
        self.side(leg).secure.is_some()
    }

    /// Opens in place what came from a source of the party on this leg, and returns how long it is then. What is not the party's own is
    /// refused, and nothing is remembered of it.
    pub(super) fn open(&mut self, leg: Leg, channel: Channel, packet: &mut [u8], now: Moment) -> Result<usize, Refused> {
        self.side_mut(leg).open(channel, packet, now)
    }

    /// Takes note of such a packet.
    pub(super) fn count_refused(&mut self, leg: Leg) {
        self.side_mut(leg).tallies.refused += 1;
    }

    /// Seals in place what goes to the party on this leg, and returns how long it is then.
    pub(super) fn seal(&mut self, seal: Seal, buffer: &mut [u8], len: usize) -> Result<usize, NotSealed> {
        let Seal { leg, protocol, .. } = seal;
        let Some(secure) = &mut self.side_mut(leg).secure else { return Err(NotSealed::Exhausted) };
        let sealed = secure.seal(protocol, buffer, len);
        if sealed.is_err() && protocol == Protocol::Rtp {
            self.side_mut(leg.other()).tallies.not_sealed += 1;
        }
        sealed
    }

    /// Decides on a packet of the party on this leg, once it is opened.
    pub(super) fn packet<'p>(
        &mut self,
        from: Leg,
        channel: Channel,
        packet: &'p [u8],
        told: &mut Told,
        now: Moment,
    ) -> Verdict<'p> {
        if packet.len() > MEDIA_PACKET_BYTES {
            return self.malformed(from);
        }
        match (self.content, channel) {
            (Content::Audio | Content::OtherRtp, Channel::Rtp) if rtp::is_rtcp(packet) && self.side(from).has_rtcp_mux() => {
                self.rtcp(from, packet, now)
            }
            // Sent to the wrong port. Read as RTP it would be a new source, and a spliced stream would go on with it.
            (Content::Audio | Content::OtherRtp, Channel::Rtp) if rtp::is_rtcp(packet) && rtcp::is_valid(packet) => {
                self.malformed(from)
            }
            (Content::Audio, Channel::Rtp) => self.audio(from, packet, told, now),
            (Content::OtherRtp, Channel::Rtp) if Rtp::parse(packet).is_none() => self.malformed(from),
            (Content::OtherRtp | Content::Datagrams, Channel::Rtp) => self.as_it_came(from, packet, now),
            (Content::Audio | Content::OtherRtp, Channel::Rtcp) => self.rtcp(from, packet, now),
            (Content::Datagrams, Channel::Rtcp) => self.malformed(from),
        }
    }

    fn audio<'p>(&mut self, leg: Leg, packet: &'p [u8], told: &mut Told, now: Moment) -> Verdict<'p> {
        let Some(rtp) = Rtp::parse(packet) else { return self.malformed(leg) };
        let (id, index) = (self.id, self.index);
        let (from, to) = pair(&mut self.sides, leg);
        from.tallies.packets += 1;
        from.tallies.bytes += packet.len() as u64;
        let clock = from.meanings.clock_of(rtp.payload_type());
        let (kind, keep) = match from.meanings.of_type(rtp.payload_type()) {
            Meaning::Audio => match from.meanings.redundant_key(&rtp) {
                None => {
                    let heard = from.hear(&rtp);
                    if let Some(digit) = heard.and_then(|heard| heard.key) {
                        take_key(&mut self.permit, told, (id, leg, digit, How::KeyBySound));
                    }
                    let is_key = heard.is_some_and(|heard| heard.is_tone);
                    from.tallies.withheld += u64::from(is_key);
                    let permit = self.permit.as_ref().filter(|_| !is_key);
                    (Kind::Media(clock.and_then(Hz::new)), permit.and_then(|permit| permit.cover(leg, now, packet)))
                }
                // A key among the payloads of one packet: it goes as a whole, for it is never taken apart.
                Some(newest) => {
                    from.tallies.withheld += 1;
                    if let Some(digit) = newest.and_then(|payload| from.press(&rtp, payload, now)) {
                        take_key(&mut self.permit, told, (id, leg, digit, How::KeyByRtp));
                    }
                    let kind = if newest.is_some() { Kind::TelephoneEvent } else { Kind::Media(clock.and_then(Hz::new)) };
                    (kind, None)
                }
            },
            Meaning::TelephoneEvent => {
                from.tallies.withheld += 1;
                if let Some(digit) = from.press(&rtp, rtp.payload(), now) {
                    take_key(&mut self.permit, told, (id, leg, digit, How::KeyByRtp));
                }
                let keep = self.permit.as_ref().filter(|_| sabotage::is("keep-the-keys"));
                (Kind::TelephoneEvent, keep.and_then(|permit| permit.cover(leg, now, packet)))
            }
            Meaning::Unlisted => {
                from.tallies.unlisted += 1;
                (Kind::Media(None), None)
            }
        };
        from.quality.packet(&rtp, clock, now);
        from.tallies.kept += u64::from(keep.is_some());
        let keep = keep.map(|covered| (self.slot, covered));
        let Some(&address) = to.takes() else {
            from.tallies.held += 1;
            return Verdict { keep, forward: None };
        };
        let seal = seal(index, leg.other(), Protocol::Rtp, to);
        let forward = |rewrite| Some(Forward { port: to.ports.rtp, to: address, rewrite, len: packet.len(), seal });
        let forward = match to.splice.pass(&rtp, kind, now) {
            Pass::AsItCame => forward(None),
            Pass::At(place) => forward(Some(Rewrite(Change::Rtp(place)))),
            Pass::Replaced => {
                from.tallies.replaced += 1;
                None
            }
            Pass::Late => {
                from.tallies.late += 1;
                None
            }
        };
        Verdict { keep, forward }
    }

    fn as_it_came<'p>(&mut self, leg: Leg, packet: &[u8], now: Moment) -> Verdict<'p> {
        let index = self.index;
        let (from, to) = pair(&mut self.sides, leg);
        from.tallies.packets += 1;
        from.tallies.bytes += packet.len() as u64;
        from.quality.sign(now);
        let seal = seal(index, leg.other(), Protocol::Rtp, to);
        let rewrite = Rtp::parse(packet).zip(mask(to)).map(|(rtp, mask)| Rewrite(Change::Source(rtp.ssrc() ^ mask)));
        let forward = to.takes().map(|&address| Forward { port: to.ports.rtp, to: address, rewrite, len: packet.len(), seal });
        from.tallies.held += u64::from(forward.is_none());
        Verdict { keep: None, forward }
    }

    fn rtcp<'p>(&mut self, leg: Leg, packet: &[u8], now: Moment) -> Verdict<'p> {
        if !rtcp::is_valid(packet) {
            return self.malformed(leg);
        }
        let (index, content) = (self.index, self.content);
        let (from, to) = pair(&mut self.sides, leg);
        from.tallies.rtcp += 1;
        from.quality.sign(now);
        for report in rtcp::packets(packet) {
            report.lsr().into_iter().for_each(|lsr| to.quality.asked(lsr, now));
            report.heard_reports().for_each(|(lsr, dlsr)| from.quality.answered(lsr, dlsr, now));
        }
        let forward = to.takes_rtcp().map(|(port, address)| {
            let rewrite = match content {
                Content::Audio => {
                    let mapping = mapping(to.splice.offset(), from.splice.offset());
                    let sealed = mask(to).zip(rtcp::sender(packet));
                    sealed.map_or(mapping, |(ours, sender)| Some(under_ours(mapping, sender, ours))).map(Change::Rtcp)
                }
                Content::OtherRtp | Content::Datagrams => match (mask(to), mask(from)) {
                    (None, None) => None,
                    (sent, heard) => Some(Change::Masks { sent: sent.unwrap_or(0), heard: heard.unwrap_or(0) }),
                },
            }
            .map(Rewrite);
            let seal = seal(index, leg.other(), Protocol::Rtcp, to);
            Forward { port, to: address, rewrite, len: packet.len(), seal }
        });
        Verdict { keep: None, forward }
    }

    fn malformed<'p>(&mut self, leg: Leg) -> Verdict<'p> {
        self.side_mut(leg).tallies.malformed += 1;
        Verdict::default()
    }

    const fn side(&self, leg: Leg) -> &Side {
        let [pbx, trunk] = &self.sides;
        match leg {
            Leg::Pbx => pbx,
            Leg::Trunk => trunk,
        }
    }

    const fn side_mut(&mut self, leg: Leg) -> &mut Side {
        let [pbx, trunk] = &mut self.sides;
        match leg {
            Leg::Pbx => pbx,
            Leg::Trunk => trunk,
        }
    }

    /// The sockets of a side.
    pub(super) const fn ports(&self, leg: Leg) -> crate::media::PairIds {
        self.side(leg).ports
    }
}

/// Tells a key. One that takes consent back ends the permit here and now: whoever hears of it does so some packets later.
fn take_key(permit: &mut Option<Permit>, told: &mut Told, (id, leg, digit, how): (BridgeId, Leg, Digit, How)) {
    if permit.take_if(|permit| permit.is_ended_by(leg, digit)).is_some() {
        // It must be heard of, for what is kept no more is to be shown as what is kept no more.
        return told.tell(Event::Digit { id, leg, digit, how });
    }
    told.tell_digit(id, leg, digit, how);
}

/// How long one who talks may send nothing: where silence is suppressed, between two sentences.
const PAUSE: Duration = Duration::from_secs(5);

/// With what a packet is sealed that goes to this side.
fn seal(bridge: u32, leg: Leg, protocol: Protocol, to: &Side) -> Option<Seal> {
    to.secure.is_some().then_some(Seal { bridge, leg, protocol })
}

/// The source of ours in what is sealed for this side; nothing where nothing is sealed for it.
///
/// The forks of one offer have one key, and a key may come back with a line that was rejected or built anew: what is sealed under it must
/// differ by its SSRC, or two packets have one keystream (RFC 3711 §9.1; with GCM, who sees them can forge: RFC 7714 §16). Of sound
/// there is one stream, which has this source; of other RTP there may be several, and each has its own masked with it.
fn mask(to: &Side) -> Option<u32> {
    to.secure.as_ref().and_then(|_| to.splice.source())
}

/// The mapping with the sender of a compound under our source, whoever it is: its index counts by that (RFC 3711 §3.4).
fn under_ours(mapping: Option<rtcp::Mapping>, sender: u32, ours: u32) -> rtcp::Mapping {
    match mapping {
        Some(mapping) if mapping.sender.0 == sender => mapping,
        Some(mapping) => rtcp::Mapping { sender: (sender, ours), timestamp: 0, ..mapping },
        None => rtcp::Mapping { sender: (sender, ours), timestamp: 0, reported: (0, 0), sequence: 0 },
    }
}

/// Counts a packet that was not sealed.
pub(super) fn count<const N: usize>(counts: &mut [u64; N], why: NotSealed) {
    if let Some(count) = counts.get_mut(why.index()) {
        *count += 1;
    }
}

/// The side a packet came from, and the one it goes to.
const fn pair(sides: &mut [Side; 2], from: Leg) -> (&mut Side, &mut Side) {
    let [pbx, trunk] = sides;
    match from {
        Leg::Pbx => (pbx, trunk),
        Leg::Trunk => (trunk, pbx),
    }
}

/// What RTCP that goes to a party must say in place of what its sender said: of the stream that the party hears, which lies behind
/// `heard`, and of the stream that the party sends, which its reporter hears behind `reported`.
fn mapping(heard: Option<&Offset>, reported: Option<&Offset>) -> Option<rtcp::Mapping> {
    if heard.is_none() && reported.is_none() {
        return None;
    }
    let unchanged = (0, 0);
    Some(rtcp::Mapping {
        sender: heard.map_or(unchanged, |offset| (offset.source, offset.ssrc)),
        timestamp: heard.map_or(0, |offset| offset.timestamp),
        reported: reported.map_or(unchanged, |offset| (offset.ssrc, offset.source)),
        sequence: reported.map_or(0, |offset| offset.sequence),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::consent::SentAs;
    use crate::media::splice::{Hz, Splice};
    use crate::media::verdict::Place;
    use crate::wire::rtp::Header;

    #[test]
    fn rtcp_is_mapped_only_where_a_stream_was_spliced() {
        assert_eq!(mapping(None, None), None);

        let mut splice = spliced();
        let offset = *splice.offset().unwrap();
        let unchanged = (0, 0);

        let to_the_hearer = mapping(Some(&offset), None).unwrap();
        assert_eq!((to_the_hearer.sender, to_the_hearer.reported), ((7, offset.ssrc), unchanged));
        assert_eq!((to_the_hearer.timestamp, to_the_hearer.sequence), (offset.timestamp, 0));

        let from_the_hearer = mapping(None, Some(&offset)).unwrap();
        assert_eq!((from_the_hearer.sender, from_the_hearer.reported), (unchanged, (offset.ssrc, 7)));
        assert_eq!((from_the_hearer.timestamp, from_the_hearer.sequence), (0, offset.sequence));

        splice.begin(Moment::START);
        assert_eq!(splice.offset(), Some(&offset), "an announcement later does not change what was");
    }

    /// A stream of our own, which source 7 continues.
    fn spliced() -> Splice {
        let mut splice = Splice::new();
        let due = splice.begin(Moment::START);
        let Place { ssrc, sequence, timestamp, .. } = splice.place(&mut Chance::new(1), due);
        splice.sent_ours(SentAs { ssrc, sequence, timestamp }, 160, Hz::TELEPHONE, due);
        splice.end();
        let packet = Header { payload_type: 8, marker: false, sequence: 500, timestamp: 9, ssrc: 7 }.to_bytes();
        let pass = splice.pass(&Rtp::parse(&packet).unwrap(), Kind::Media(Some(Hz::TELEPHONE)), Moment::from_millis(20));
        assert!(matches!(pass, Pass::At(place) if place.ssrc == ssrc));
        splice
    }
}
