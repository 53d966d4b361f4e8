//! What all calls share: the SIP stack, the stock of ports, the way out, and where a request goes.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hasher as _};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;

use super::door::{Config, Output, PortPair, Strangers, Tallies};
use super::guard::Guard;
use super::handle::Forged;
use super::keys::MediaAs;
use super::peers::{Peer, Source};
use super::ways::Ways;
use crate::consent::Register;
use crate::ids::{CallId, Direction, Leg, RecordingId};
use crate::limits::PEER_ADDRESSES;
use crate::media::{Latching, Order};
use crate::sabotage;
use crate::sip::{self, End, EndId, Flow, ServerKey, Stack, Transport};
use crate::time::{Moment, Wall};
use crate::wire::sip::{Message, Method, Name, NameAddr, Uri, reason_phrase, reply};

/// What calls share: the stack, the ports, the way out.
pub(super) struct Desk {
    pub(super) config: Config,
    pub(super) stack: Stack,
    pub(super) ways: Ways,
    stock: [Vec<PortPair>; 2],
    pub(super) out: VecDeque<Output>,
    pub(super) tallies: Tallies,
    pub(super) guard: Guard,
    /// The vault takes no new recordings ([`Load::vault_is_shut`](super::Load::vault_is_shut)).
    pub(super) vault_is_shut: bool,
    /// The policies of which no further recording begins ([`Input::Full`](super::Input::Full)).
    pub(super) full: Vec<Arc<str>>,
    /// Who has agreed before any call, and who is never recorded ([`Input::Register`](super::Input::Register)).
    pub(super) register: Arc<Register>,
    seed: u64,
    drawn: u64,
}

/// What a request belongs to: within that it may go where its Request-URI says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Within {
    Dialog,
    /// It came to a registered contact.
    Binding,
    Nothing,
}

impl Desk {
    pub(super) fn new(config: Config, stack: Stack, seed: u64, now: Moment) -> Self {
        let (ways, guard) = (Ways::of(&config.peers, now), Guard::new(config.guarding, seed, now));
        let (stock, out, tallies) = ([Vec::new(), Vec::new()], VecDeque::new(), Tallies::default());
        let register = Arc::default();
        let (vault_is_shut, full, drawn) = (false, Vec::new(), 0);
        Self { config, stack, ways, stock, out, tallies, guard, vault_is_shut, full, register, seed, drawn }
    }

    pub(super) fn out(&mut self, output: Output) {
        if sabotage::is("drop-a-row") && matches!(&output, Output::Story(story) if story.call.as_u64().is_multiple_of(8)) {
            return;
        }
        self.out.push_back(output);
    }

    pub(super) fn order(&mut self, call: CallId, order: Order) {
        self.out.push_back(Output::Media { call, order });
    }

    /// How long the ACK of a 2xx may take: as long as the 2xx is sent again (RFC 3261 §13.3.1.4).
    pub(super) fn acknowledged_within(&self) -> std::time::Duration {
        self.config.sip.timers.t1 * 64
    }

    pub(super) const fn clocks(&self) -> (Moment, Wall) {
        self.config.clocks
    }

    /// Returns the time of day of a moment, by the clocks as they were read last.
    pub(super) fn wall(&self, now: Moment) -> Wall {
        let (then, wall) = self.config.clocks;
        let since = i64::try_from(now.since(then).as_micros()).unwrap_or(i64::MAX);
        Wall::from_unix_micros(wall.unix_micros().saturating_add(since))
    }

    /// Returns a first INVITE of the PBX's as it is to go on, where it is to a number with the code before it by which a call is not recorded: to
    /// that number. `To` says what was dialled, as it came.
    pub(super) fn without_code(&mut self, server: ServerKey, request: &Message, source: Source, now: Moment) -> Option<Message> {
        let code = self.config.unrecorded.as_deref().filter(|_| source == Source::Pbx && request.method() == Method::Invite)?;
        let user = Uri::parse(request.request_uri()?).ok()?.user?;
        let code = user.get(..code.len()).filter(|start| *start == code.as_bytes() && user.len() > start.len())?;
        let plain =
            request.to().ok().filter(|to| to.tag().is_none()).and_then(|_| request.spliced(&[(code, Vec::new())]).ok())?;
        self.stack.handle(sip::Input::Amend { server, request: plain.clone() }, now);
        Some(plain)
    }

    pub(super) const fn media_ip(&self, leg: Leg) -> IpAddr {
        let [pbx, trunk] = self.config.media;
        match leg {
            Leg::Pbx => pbx,
            Leg::Trunk => trunk,
        }
    }

    /// From where else than their descriptions say media of the PBX and of this trunk may come.
    pub(super) fn latching(&self, trunk: usize) -> [Latching; 2] {
        let of_trunk = self.config.peers.trunks.get(trunk).map(|(_, trunk)| trunk.latching.clone());
        [self.config.peers.pbx.latching.clone(), of_trunk.unwrap_or_default()]
    }

    /// How the media of the PBX and of this trunk are carried, each towards us; nothing where the two settle that between themselves.
    pub(super) fn media_as(&self, trunk: usize) -> Option<[MediaAs; 2]> {
        let of_trunk = self.config.peers.trunks.get(trunk).and_then(|(_, trunk)| trunk.media_as);
        self.config.peers.pbx.media_as.zip(of_trunk).map(|(pbx, trunk)| [pbx, trunk])
    }

    pub(super) const fn stock_of(&mut self, leg: Leg) -> &mut Vec<PortPair> {
        let [pbx, trunk] = &mut self.stock;
        match leg {
            Leg::Pbx => pbx,
            Leg::Trunk => trunk,
        }
    }

    /// How many pairs of each leg are in stock.
    pub(super) const fn in_stock(&self) -> [usize; 2] {
        let [pbx, trunk] = &self.stock;
        [pbx.len(), trunk.len()]
    }

    pub(super) fn take_ports(&mut self, leg: Leg) -> Option<PortPair> {
        self.stock_of(leg).pop()
    }

    pub(super) fn give_back(&mut self, call: CallId, pair: PortPair) {
        self.out(Output::GiveBack { call, pair });
    }

    /// Asks for ports once a quarter of a leg's stock is gone, and not again before somebody has heard that.
    pub(super) fn restock(&mut self) {
        for leg in Leg::BOTH {
            let have = self.stock_of(leg).len();
            let stock = self.config.port_stock;
            let is_asked_for = || self.out.iter().any(|output| matches!(output, Output::WantPorts { leg: of, .. } if *of == leg));
            if have <= stock * 3 / 4 && have < stock && !is_asked_for() {
                self.out(Output::WantPorts { leg, count: stock - have });
            }
        }
    }

    /// Draws a number: the SipHash of the seed and of how many were drawn, so that one id tells nothing of the next.
    pub(super) fn draw(&mut self) -> u64 {
        self.drawn += 1;
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.seed);
        hasher.write_u64(self.drawn);
        hasher.finish()
    }

    /// Returns a number for all that has this Call-ID: who challenges an INVITE knows the credentials that it comes again with, and nobody
    /// else does.
    fn steady(&self, request: &Message) -> u64 {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.seed);
        hasher.write(b"way");
        hasher.write(request.call_id().unwrap_or_default());
        hasher.finish()
    }

    pub(super) fn draw_recording(&mut self, call: CallId) -> RecordingId {
        RecordingId::of_call(call, self.draw())
    }

    /// Says whether a peer's message is within its rate, before it is parsed. What came over a connection is: of that no more is read.
    pub(super) fn takes(&mut self, from: Flow, message: &[u8], now: Moment) -> bool {
        let takes = self.transport(from.end).is_reliable() || self.guard.takes(from.far.ip(), message, now);
        self.tallies.peers_over_rate += u64::from(!takes);
        takes
    }

    /// Drops what a stranger sent, or refuses it where that is wanted, no more of it than the rate allows.
    pub(super) fn refuse_stranger(&mut self, from: Flow, bytes: Bytes, now: Moment) {
        self.tallies.strangers += 1;
        if self.config.strangers == Strangers::Drop && !sabotage::is("answer-a-stranger") {
            return;
        }
        if !self.guard.answers(from.far.ip(), now) {
            self.tallies.strangers_over_rate += 1;
            return;
        }
        if let Ok(request) = Message::parse_datagram(bytes)
            && request.is_request()
            && request.method() != Method::Ack
        {
            let bytes = reply(&request, 403, reason_phrase(403), Some(b"stranger"), &[]);
            self.out(Output::Send { to: from, or: None, bytes });
        }
    }

    /// Returns who sends this way, or nothing for a stranger.
    pub(super) fn source(&self, from: Flow) -> Option<Source> {
        self.config.peers.source(from, self.transport(from.end))
    }

    /// Returns whether what came this way may be a trunk's, whoever else's it may be.
    pub(super) fn may_be(&self, trunk: usize, from: Flow) -> bool {
        self.config.peers.trunks.get(trunk).is_some_and(|(_, trunk)| trunk.fits(from, self.transport(from.end)).is_some())
    }

    /// Returns what an end of ours speaks.
    pub(super) fn transport(&self, end: EndId) -> Transport {
        self.config.sip.ends.get(end.index()).map_or(Transport::Udp, |end| end.transport)
    }

    /// Returns the end by which we speak to the PBX, or to this trunk.
    pub(super) fn end_towards(&self, leg: Leg, trunk: Option<usize>) -> Option<End> {
        self.config.sip.ends.get(self.peer(leg, trunk).way.end.index()).copied()
    }

    /// Returns whether this is one of our own values of `Record-Route`.
    pub(super) fn is_our_route(&self, value: &[u8]) -> bool {
        let uri = NameAddr::parse(value, Name::RecordRoute.as_str()).ok().and_then(|route| route.sip_address());
        uri.is_some_and(|uri| self.stack.is_ours(&uri))
    }

    /// Returns the way of a request that leaves on this leg: within a dialog where its route set says, if that is the peer's own; else
    /// the other way.
    pub(super) fn target(&self, request: &Message, leg: Leg, trunk: Option<usize>, within: Within, or: Flow) -> Flow {
        match self.stack.next_hop(request) {
            Some(hop) if within != Within::Nothing || hop.by != sip::By::RequestUri => self.reach(hop.address(), leg, trunk, or),
            Some(_) | None => or,
        }
    }

    /// Names the call in the `Record-Route` of a request of it that goes on.
    pub(super) fn name(&mut self, server: ServerKey, call: CallId, call_id: &[u8], now: Moment) {
        let handle = self.config.handles.handle(call, call_id);
        self.stack.handle(sip::Input::Handle { server, handle }, now);
    }

    /// Returns the call that the way of a request names, if it names one.
    ///
    /// # Errors
    /// No handle of ours for a call with its Call-ID.
    pub(super) fn named_call(&self, request: &Message) -> Result<Option<CallId>, Forged> {
        let handle = self.stack.handle_in(request);
        handle.map(|handle| self.config.handles.call(handle, request.call_id().unwrap_or_default())).transpose()
    }

    /// Lets a request pass that belongs to no call; one for `sips` over TLS or not at all.
    pub(super) fn pass_on(&mut self, server: ServerKey, request: &Message, to: Flow, now: Moment) {
        let input = if is_sips(request) && self.transport(to.end) != Transport::Tls {
            sip::Input::Reply { server, status: 480, extra: vec![no_sips()] }
        } else {
            sip::Input::Forward { server, to, body: None }
        };
        self.stack.handle(input, now);
    }

    /// Returns the best way to who is on a leg.
    pub(super) fn best(&self, leg: Leg, trunk: Option<usize>, now: Moment) -> Flow {
        let of = match leg {
            Leg::Pbx => None,
            Leg::Trunk => Some(trunk.unwrap_or(0)),
        };
        self.ways.best(of, now).unwrap_or_else(|| self.peer(leg, trunk).way)
    }

    /// A peer's name leads there from here on.
    pub(super) fn locate(&mut self, trunk: Option<usize>, transport: Transport, ways: &[(Flow, u16, u16)], now: Moment) {
        // A request that goes to us would come back as a call of the peer's.
        let is_ours = |way: &Flow| self.config.sip.ends.iter().any(|end| end.address == way.far);
        let ways: Vec<_> = ways.iter().copied().filter(|(way, ..)| !is_ours(way)).collect();
        let peers = &mut self.config.peers;
        let peer = match trunk {
            None => Some(&mut peers.pbx),
            Some(at) => peers.trunks.get_mut(at).map(|(_, trunk)| trunk),
        };
        let (Some(peer), Some((first, others))) = (peer, ways.split_first()) else { return };
        let mut former: Vec<Flow> = peer.ways().chain(peer.routing.former.iter().copied()).collect();
        former.retain(|before| before.far.port() > 0 && ways.iter().all(|way| way.0 != *before));
        former.truncate(FORMER);
        (peer.way, peer.transport) = (first.0, transport);
        peer.routing.others = others.iter().map(|way| way.0).collect();
        peer.routing.former = former;
        peer.routing.is_found = true;
        let every = peer.routing.options_every;
        self.ways.locate(trunk, &ways, every, now);
    }

    /// Forgets what names led to before, of each side that no call took such a way to.
    pub(super) fn forget_former(&mut self, is_taken: impl Fn(Option<usize>, Flow) -> bool) {
        let peers = &mut self.config.peers;
        let pbx = std::iter::once((None, &mut peers.pbx));
        for (trunk, peer) in pbx.chain(peers.trunks.iter_mut().enumerate().map(|(at, (_, trunk))| (Some(at), trunk))) {
            if !peer.routing.former.iter().any(|way| is_taken(trunk, *way)) {
                peer.routing.former.clear();
            }
        }
    }

    /// Returns whether anybody's name led elsewhere before.
    pub(super) fn has_former(&self) -> bool {
        let peers = &self.config.peers;
        std::iter::once(&peers.pbx).chain(peers.trunks.iter().map(|(_, trunk)| trunk)).any(|peer| !peer.routing.former.is_empty())
    }

    /// Returns the trunk that a request of the PBX names: its Request-URI has an address of that trunk's.
    pub(super) fn named_trunk(&self, request: &Message) -> Option<usize> {
        let uri = request.request_uri().and_then(|uri| Uri::parse(uri).ok())?;
        let at = uri.socket_addr(Transport::of_uri(&uri)?.default_port())?;
        self.config.peers.trunks.iter().position(|(_, trunk)| trunk.ways().any(|way| way.far == at))
    }

    /// Returns the trunk whose address the next hop of a request has.
    pub(super) fn trunk_at_next_hop(&self, request: &Message) -> Option<usize> {
        let (_, at) = self.stack.next_hop(request)?.address()?;
        self.config.peers.trunks.iter().position(|(_, trunk)| trunk.owns(at))
    }

    /// Returns the way to each side of a new call ([`Leg::index`]): to the caller by the address it came from, if that is one it is reached at.
    pub(super) fn ways_between(&self, direction: Direction, trunk: usize, came: Flow, to: Flow) -> [Flow; 2] {
        let caller = self.peer(direction.caller(), Some(trunk));
        let by = |is_it: &dyn Fn(&Flow) -> bool| caller.ways().find(is_it);
        // A connection comes from any port.
        let back = by(&|way| way.far == came.far).or_else(|| by(&|way| way.far.ip() == came.far.ip())).unwrap_or(caller.way);
        match direction.caller() {
            Leg::Pbx => [back, to],
            Leg::Trunk => [to, back],
        }
    }

    /// Returns the ways of a new call that leaves on this leg, the best first.
    pub(super) fn ways_of(&mut self, request: &Message, leg: Leg, trunk: usize, now: Moment) -> VecDeque<(usize, Flow)> {
        let named = if leg == Leg::Trunk { self.named_trunk(request) } else { None };
        let is_choice = self.config.peers.trunks.len() > 1 || self.peer(leg, Some(trunk)).ways().nth(1).is_some();
        let chance = if is_choice { self.steady(request) } else { 0 };
        self.ways.of_call(&self.config.peers, leg, trunk, named, chance, now).into()
    }

    /// Returns the way to an address that a peer has named, if it is the peer's own; else the other one.
    pub(super) fn reach(&self, address: Option<(Transport, SocketAddr)>, leg: Leg, trunk: Option<usize>, or: Flow) -> Flow {
        let peer = self.peer(leg, trunk);
        let is_ours = |at: SocketAddr| self.config.sip.ends.iter().any(|end| end.address == at);
        let Some((transport, far)) = address.filter(|&(_, at)| !is_ours(at) && peer.owns(at)) else { return or };
        if transport < peer.transport {
            // What is agreed to be secret is not sent in the clear because a Contact says so.
            return or;
        }
        let end = if transport == peer.transport { Some(peer.way.end) } else { self.end_beside(peer.way.end, transport) };
        // A transport that is not spoken here is no reason to send nothing.
        Flow { end: end.unwrap_or(peer.way.end), far }
    }

    /// Returns the end that speaks another transport at the same address of ours.
    fn end_beside(&self, end: EndId, transport: Transport) -> Option<EndId> {
        let ends = &self.config.sip.ends;
        let here = ends.get(end.index())?.address.ip();
        let at = ends.iter().position(|end| end.transport == transport && end.address.ip() == here)?;
        u8::try_from(at).ok().map(EndId)
    }

    /// Returns who is on a leg: of the trunks the call's, or the first.
    pub(super) fn peer(&self, leg: Leg, trunk: Option<usize>) -> &Peer {
        let peers = &self.config.peers;
        match leg {
            Leg::Pbx => &peers.pbx,
            Leg::Trunk => {
                peers.trunks.get(trunk.unwrap_or(0)).or_else(|| peers.trunks.first()).map_or(&peers.pbx, |(_, trunk)| trunk)
            }
        }
    }
}

/// Whether a request is to go over TLS all the way (RFC 3261 §26.2.2).
pub(super) fn is_sips(request: &Message) -> bool {
    request.request_uri().and_then(|uri| uri.get(..5)).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"sips:"))
}

/// What is said beside the 480 to a request that is to be secret all the way, where a way is not (RFC 5630 §5.3).
pub(super) fn no_sips() -> (&'static str, String) {
    ("Warning", "380 mitschnitt \"SIPS Not Allowed: the next hop is not reached over TLS\"".to_owned())
}

/// Ways that a peer's name led to before which are remembered: those of four changes of a name with many addresses. More: the oldest is a
/// stranger's, and its calls are ended from the other side, or by their session timers.
const FORMER: usize = 4 * PEER_ADDRESSES;
