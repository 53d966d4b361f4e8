//! Which way a call goes: the peers' addresses, in what order they are tried, and which of them are known to be down.
//!
//! An address is down once three requests of OPTIONS in a row were not answered or answered with 503, and up again after two that were;
//! and whatever a call was not served at is tried last for a while.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use super::peers::Peers;
use crate::ids::{Leg, TrunkName};
use crate::sip::{Answer, End, Flow, Transport};
use crate::time::Moment;
use crate::wire::sip::Message;

/// How a peer is reached beyond its first address, and looked after.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Routing {
    /// Further addresses, in the order in which they are tried.
    pub others: Vec<Flow>,
    /// Ways that its name led to before, the newest first, while there is a call that took one of them: it is ended from there.
    pub former: Vec<Flow>,
    /// Whether a name server has said where it is: of one address that two peers have, it is the other's.
    pub is_found: bool,
    /// Which of its addresses is tried first.
    pub spread: Spread,
    /// Of the trunks, those with the lowest number are tried first.
    pub priority: u16,
    /// How often a trunk is tried first among those with its priority, as a share of the sum of their weights (RFC 2782).
    pub weight: u16,
    /// Whether calls of the PBX may go to it; one that may not is for calls that come from it.
    pub takes_calls: bool,
    /// How often each address is asked by OPTIONS whether it is there; nothing where it is not asked.
    pub options_every: Option<Duration>,
}

/// Which of a peer's addresses is tried first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Spread {
    /// The first one, for as long as it serves.
    InOrder,
    /// Each as often as the others.
    Evenly,
}

impl Default for Routing {
    fn default() -> Self {
        Self {
            others: Vec::new(),
            former: Vec::new(),
            is_found: false,
            spread: Spread::InOrder,
            priority: 0,
            weight: 1,
            takes_calls: true,
            options_every: None,
        }
    }
}

/// One address of a peer, as an operator sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reached {
    /// The trunk, or nothing for the PBX.
    pub trunk: Option<TrunkName>,
    /// The address.
    pub address: SocketAddr,
    /// Over what.
    pub transport: Transport,
    /// Whether it is up, as far as is known.
    pub is_up: bool,
    /// Whether it is tried last for now, since a call was not served there.
    pub is_shunned: bool,
    /// Whether it is asked.
    pub is_asked: bool,
    /// Since when it is up or down.
    pub since: Moment,
}

/// All addresses of all peers.
#[derive(Debug)]
pub(super) struct Ways {
    all: Vec<Way>,
}

#[derive(Debug)]
struct Way {
    /// The trunk's place; nothing for the PBX.
    trunk: Option<usize>,
    flow: Flow,
    /// The lowest of a peer's are tried first.
    priority: u16,
    /// The share of the calls among those of one priority.
    weight: u16,
    every: Option<Duration>,
    is_up: bool,
    since: Moment,
    /// Answers in a row that speak against how it stands.
    against: u32,
    shunned_until: Option<Moment>,
    next: Option<Moment>,
    /// The Call-ID of the request that is on its way.
    call_id: Option<Bytes>,
}

/// Requests in a row that must fail until an address is down: one may be lost on the way.
const DOWN_AFTER: u32 = 3;

/// Requests in a row that must be answered until it is up again: a proxy that is just starting answers one, and then loads.
const UP_AFTER: u32 = 2;

/// How long an address is tried last at which a call was not served: longer than a restart, and short enough that nobody has to be told.
const SHUNNED: Duration = Duration::from_secs(30);

/// Within what the first requests of OPTIONS go out, so that a peer with many addresses does not get all at once.
const FIRST_WITHIN: Duration = Duration::from_secs(1);

impl Ways {
    pub(super) fn of(peers: &Peers, now: Moment) -> Self {
        let pbx = std::iter::once((None, &peers.pbx));
        let trunks = peers.trunks.iter().enumerate().map(|(at, (_, trunk))| (Some(at), trunk));
        let mut all = Vec::new();
        for (trunk, peer) in pbx.chain(trunks) {
            for (nth, flow) in (0..).zip(peer.ways()) {
                let priority = match peer.routing.spread {
                    Spread::InOrder => nth,
                    Spread::Evenly => 0,
                };
                all.push(Way::new(trunk, (flow, priority, 1), peer.routing.options_every, all.len(), now));
            }
        }
        Self { all }
    }

    /// A peer's name leads to these ways now, each with its priority and weight. What is known of those that it led to before stays known.
    pub(super) fn locate(&mut self, trunk: Option<usize>, ways: &[(Flow, u16, u16)], every: Option<Duration>, now: Moment) {
        let (mut known, others): (Vec<Way>, Vec<Way>) =
            std::mem::take(&mut self.all).into_iter().partition(|way| way.trunk == trunk);
        self.all = others;
        for &(flow, priority, weight) in ways {
            let way = match known.iter().position(|way| way.flow == flow) {
                Some(at) => Way { priority, weight, ..known.swap_remove(at) },
                None => Way::new(trunk, (flow, priority, weight), every, self.all.len(), now),
            };
            self.all.push(way);
        }
        // As they stand in the configuration: the PBX first.
        self.all.sort_by_key(|way| way.trunk.map_or(0, |at| at + 1));
    }

    /// Returns the ways that a call may take which leaves on this leg, the best first: each with its trunk, which on the PBX's side is the
    /// call's own. `named` is a trunk that the request itself names. `chance` decides among equals.
    pub(super) fn of_call(
        &self,
        peers: &Peers,
        leg: Leg,
        trunk: usize,
        named: Option<usize>,
        chance: u64,
        now: Moment,
    ) -> Vec<(usize, Flow)> {
        let mut found: Vec<(usize, Flow)> = match leg {
            Leg::Pbx => self.of_peer(None, chance).map(|flow| (trunk, flow)).collect(),
            Leg::Trunk => trunks(peers, named, chance)
                .into_iter()
                .flat_map(|at| self.of_peer(Some(at), chance.rotate_left(17)).map(move |flow| (at, flow)))
                .collect(),
        };
        // Those that are down or did not serve come last, and are tried all the same: better than to refuse the call.
        found.sort_by_key(|(_, flow)| self.all.iter().find(|way| way.flow == *flow).is_none_or(|way| !way.serves(now)));
        found
    }

    /// Returns the best way to a peer for a request that is no call.
    pub(super) fn best(&self, trunk: Option<usize>, now: Moment) -> Option<Flow> {
        let of_peer = || self.all.iter().filter(|way| way.trunk == trunk);
        of_peer().find(|way| way.serves(now)).or_else(|| of_peer().next()).map(|way| way.flow)
    }

    fn of_peer(&self, trunk: Option<usize>, chance: u64) -> impl Iterator<Item = Flow> {
        let ways: Vec<&Way> = self.all.iter().filter(|way| way.trunk == trunk).collect();
        let entries = ways.iter().enumerate().map(|(at, way)| (at, way.priority, way.weight)).collect();
        by_weight(entries, chance).into_iter().filter_map(move |at| ways.get(at).map(|way| way.flow))
    }

    /// A call was not served there.
    pub(super) fn shun(&mut self, flow: Flow, now: Moment) {
        if let Some(way) = self.all.iter_mut().find(|way| way.flow == flow) {
            way.shunned_until = Some(now + SHUNNED);
        }
    }

    /// A call is taken on there.
    pub(super) fn serves(&mut self, flow: Flow) {
        if let Some(way) = self.all.iter_mut().find(|way| way.flow == flow) {
            way.shunned_until = None;
        }
    }

    /// Returns when somebody is to be asked next.
    pub(super) fn deadline(&self) -> Option<Moment> {
        self.all.iter().filter(|way| way.call_id.is_none()).filter_map(|way| way.next).min()
    }

    /// Returns the requests of OPTIONS that are due, each with its way. `chance` makes what nobody is to guess.
    pub(super) fn due(&mut self, ends: &[End], now: Moment, mut chance: impl FnMut() -> u64) -> Vec<(Flow, Bytes)> {
        let mut due = Vec::new();
        for way in &mut self.all {
            let Some(every) = way.every.filter(|_| way.call_id.is_none() && way.next.is_some_and(|at| at <= now)) else {
                continue;
            };
            way.next = Some(now + every);
            let Some(end) = ends.get(way.flow.end.index()) else { continue };
            let call_id = format!("{:016x}@{}", chance(), end.address.ip());
            due.push((way.flow, options(way.flow.far, *end, &call_id, chance())));
            way.call_id = Some(Bytes::from(call_id));
        }
        due
    }

    /// Takes what came of a request of our own. Returns the way that is up or down since then, where it was not before.
    pub(super) fn answered(&mut self, request: &Message, answer: &Answer, now: Moment) -> Option<(Flow, bool)> {
        let call_id = request.call_id().ok()?;
        let way = self.all.iter_mut().find(|way| way.call_id.as_deref() == Some(call_id))?;
        way.call_id = None;
        let is_there = match answer {
            // Whatever it says, it is there; but for who says that it does not serve.
            Answer::Response(response) => response.status() != Some(503),
            Answer::TimedOut | Answer::Unreachable => false,
        };
        if is_there == way.is_up {
            way.against = 0;
            return None;
        }
        way.against += 1;
        if way.against < if way.is_up { DOWN_AFTER } else { UP_AFTER } {
            return None;
        }
        (way.is_up, way.against, way.since) = (is_there, 0, now);
        if is_there {
            way.shunned_until = None;
        }
        Some((way.flow, is_there))
    }

    /// Returns all of them, as an operator sees them.
    pub(super) fn all(&self, peers: &Peers, ends: &[End], now: Moment) -> Vec<Reached> {
        let reached = |way: &Way| Reached {
            trunk: way.trunk.and_then(|at| peers.trunks.get(at)).map(|(name, _)| name.clone()),
            address: way.flow.far,
            transport: ends.get(way.flow.end.index()).map_or(Transport::Udp, |end| end.transport),
            is_up: way.is_up,
            is_shunned: way.is_shunned(now),
            is_asked: way.every.is_some(),
            since: way.since,
        };
        self.all.iter().map(reached).collect()
    }
}

impl Way {
    /// Makes one that is up, as far as is known. The `nth` of all is asked after those before it.
    fn new(
        trunk: Option<usize>,
        (flow, priority, weight): (Flow, u16, u16),
        every: Option<Duration>,
        nth: usize,
        now: Moment,
    ) -> Self {
        let next = every.map(|_| now + FIRST_WITHIN.saturating_mul(u32::try_from(nth).unwrap_or(0)) / 16);
        let (is_up, since, against, shunned_until, call_id) = (true, now, 0, None, None);
        Self { trunk, flow, priority, weight, every, is_up, since, against, shunned_until, next, call_id }
    }

    fn is_shunned(&self, now: Moment) -> bool {
        self.shunned_until.is_some_and(|until| until > now)
    }

    fn serves(&self, now: Moment) -> bool {
        self.is_up && !self.is_shunned(now)
    }
}

/// Returns the trunks that a call of the PBX may take, in order: the one that its request names, then by priority, and among those with the
/// same as their weights will (RFC 2782).
fn trunks(peers: &Peers, named: Option<usize>, chance: u64) -> Vec<usize> {
    let left = peers
        .trunks
        .iter()
        .enumerate()
        .filter(|(at, (_, trunk))| trunk.routing.takes_calls && named != Some(*at))
        .map(|(at, (_, trunk))| (at, trunk.routing.priority, trunk.routing.weight))
        .collect();
    named.into_iter().chain(by_weight(left, chance)).collect()
}

/// Orders places by priority, and those of one priority as `chance` has it, each as often first as its weight is of their sum (RFC 2782).
fn by_weight(mut left: Vec<(usize, u16, u16)>, mut chance: u64) -> Vec<usize> {
    let mut order = Vec::with_capacity(left.len());
    while let Some(lowest) = left.iter().map(|&(_, priority, _)| priority).min() {
        let sum: u64 = left.iter().filter(|entry| entry.1 == lowest).map(|entry| u64::from(entry.2)).sum();
        let mut mark = if sum == 0 { 0 } else { chance % sum };
        chance = chance.rotate_left(29) ^ 0x9e37_79b9_7f4a_7c15;
        let chosen = left.iter().position(|&(_, priority, weight)| {
            let is_here = priority == lowest && (mark < u64::from(weight) || sum == 0);
            if priority == lowest {
                mark = mark.saturating_sub(u64::from(weight));
            }
            is_here
        });
        let Some(chosen) = chosen else { break };
        order.push(left.remove(chosen).0);
    }
    order
}

/// Makes a request that asks whether anybody is there (RFC 3261 §11.1). It goes no further than to that address: `Max-Forwards` is 0, and
/// who would pass it on answers 483, which says as much.
fn options(to: SocketAddr, from: End, call_id: &str, tag: u64) -> Bytes {
    let parameter = from.transport.uri_parameter();
    let here = from.address;
    Bytes::from(format!(
        "OPTIONS sip:{to}{parameter} SIP/2.0\r\nMax-Forwards: 0\r\nFrom: <sip:{here}>;tag={tag:016x}\r\nTo: <sip:{to}>\r\n\
         Call-ID: {call_id}\r\nCSeq: 1 OPTIONS\r\nContact: <sip:{here}{parameter}>\r\nContent-Length: 0\r\n\r\n"
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::call::peers::Peer;
    use crate::media::Latching;

    fn flow(last: u8) -> Flow {
        Flow::first(SocketAddr::from(([192, 0, 2, last], 5060)))
    }

    fn peer(flows: &[u8], routing: Routing) -> Peer {
        let others = flows[1..].iter().map(|&last| flow(last)).collect();
        Peer {
            way: flow(flows[0]),
            transport: Transport::Udp,
            networks: vec![],
            latching: Latching::default(),
            media_as: None,
            routing: Routing { others, ..routing },
        }
    }

    fn peers(trunks: Vec<Peer>) -> Peers {
        let named = trunks.into_iter().enumerate().map(|(at, peer)| (TrunkName::new(&format!("t{at}")), peer)).collect();
        Peers { pbx: peer(&[1], Routing::default()), trunks: named }
    }

    /// The last bytes of the addresses, in the order in which they are tried.
    fn order(peers: &Peers, ways: &Ways, named: Option<usize>, chance: u64, now: Moment) -> Vec<u8> {
        let ways = ways.of_call(peers, Leg::Trunk, 0, named, chance, now);
        ways.into_iter()
            .map(|(_, flow)| match flow.far.ip() {
                std::net::IpAddr::V4(ip) => ip.octets()[3],
                std::net::IpAddr::V6(_) => 0,
            })
            .collect()
    }

    #[test]
    fn trunks_are_tried_by_priority_and_the_one_that_is_named_before_all() {
        let with = |priority, takes_calls| Routing { priority, takes_calls, ..Routing::default() };
        let peers = peers(vec![peer(&[10], with(2, true)), peer(&[20, 21], with(1, true)), peer(&[30], with(0, false))]);
        let ways = Ways::of(&peers, Moment::START);

        assert_eq!(order(&peers, &ways, None, 7, Moment::START), [20, 21, 10]);
        assert_eq!(order(&peers, &ways, Some(0), 7, Moment::START), [10, 20, 21]);
        assert_eq!(order(&peers, &ways, Some(2), 7, Moment::START), [30, 20, 21, 10], "even one that takes no others");
    }

    #[test]
    fn trunks_of_one_priority_share_the_calls_by_weight() {
        let with = |weight| Routing { weight, ..Routing::default() };
        let peers = peers(vec![peer(&[10], with(3)), peer(&[20], with(1)), peer(&[30], with(0))]);
        let ways = Ways::of(&peers, Moment::START);
        let firsts = |last: u8| (0..400).filter(|&chance| order(&peers, &ways, None, chance, Moment::START)[0] == last).count();

        assert_eq!([firsts(10), firsts(20), firsts(30)], [300, 100, 0]);
        let all = order(&peers, &ways, None, 5, Moment::START);
        assert_eq!(all.len(), 3, "one without weight comes after the others, and comes: {all:?}");
    }

    #[test]
    fn addresses_of_one_peer_are_tried_in_order_or_evenly() {
        let spread = |spread| peers(vec![peer(&[10, 11, 12], Routing { spread, ..Routing::default() })]);
        for (peers, firsts) in [(spread(Spread::InOrder), [30, 0, 0]), (spread(Spread::Evenly), [10, 10, 10])] {
            let ways = Ways::of(&peers, Moment::START);
            // What decides is turned by 17 bits.
            let first = |nth: u64| order(&peers, &ways, None, nth.rotate_right(17), Moment::START)[0];
            assert_eq!([10, 11, 12].map(|last| (0..30).filter(|&nth| first(nth) == last).count()), firsts);
        }
    }

    #[test]
    fn who_did_not_serve_is_tried_last_for_a_while() {
        let peers = peers(vec![peer(&[10, 11], Routing::default())]);
        let mut ways = Ways::of(&peers, Moment::START);

        ways.shun(flow(10), Moment::START);

        assert_eq!(order(&peers, &ways, None, 0, Moment::START), [11, 10]);
        assert_eq!(ways.best(Some(0), Moment::START), Some(flow(11)));
        assert_eq!(order(&peers, &ways, None, 0, Moment::START + SHUNNED), [10, 11]);
        ways.serves(flow(10));
        assert_eq!(order(&peers, &ways, None, 0, Moment::START), [10, 11]);
    }

    fn end() -> End {
        End { transport: Transport::Udp, address: "203.0.113.1:5060".parse().unwrap() }
    }

    /// Asks once, and has it answered so; says what is new.
    fn ask(ways: &mut Ways, now: &mut Moment, answer: Option<u16>) -> &'static str {
        *now = ways.deadline().unwrap();
        let end = end();
        let mut drawn = now.as_micros();
        let due = ways.due(&[end], *now, || {
            drawn += 1;
            drawn
        });
        let [(_, bytes)] = due.as_slice() else { panic!("one is asked at a time") };
        let request = format!("{}", String::from_utf8_lossy(bytes)).replacen(
            "Max-Forwards",
            "Via: SIP/2.0/UDP h;branch=z9hG4bKx\r\nMax-Forwards",
            1,
        );
        let request = Message::parse_datagram(request.into_bytes().into()).unwrap();
        request.validate_request().unwrap();
        let answer = match answer {
            None => Answer::TimedOut,
            Some(status) => {
                let bytes = crate::wire::sip::reply(&request, status, "x", Some(b"t"), &[]);
                Answer::Response(Message::parse_datagram(bytes).unwrap())
            }
        };
        ways.answered(&request, &answer, *now).map_or("", |(_, is_up)| if is_up { "up" } else { "down" })
    }

    #[test]
    fn three_misses_take_an_address_down_and_two_answers_bring_it_up() {
        let every = Some(Duration::from_secs(30));
        let peers = Peers { pbx: peer(&[1], Routing { options_every: every, ..Routing::default() }), trunks: vec![] };
        let (mut ways, mut now) = (Ways::of(&peers, Moment::START), Moment::START);
        let mut told = |answer| ask(&mut ways, &mut now, answer);

        assert_eq!([Some(200), None, None, Some(404), None, Some(503)].map(&mut told), [""; 6], "never three in a row");
        assert_eq!(told(None), "down");
        assert_eq!([Some(200), None, Some(483)].map(&mut told), [""; 3], "never two in a row");
        assert_eq!(told(Some(405)), "up");
    }

    #[test]
    fn a_name_that_leads_elsewhere_changes_the_ways_and_forgets_nothing_of_those_that_stay() {
        let peers = peers(vec![peer(&[10, 11], Routing::default())]);
        let mut ways = Ways::of(&peers, Moment::START);
        ways.shun(flow(11), Moment::START);

        ways.locate(Some(0), &[(flow(11), 0, 0), (flow(12), 5, 1), (flow(13), 1, 1)], None, Moment::START);

        assert_eq!(order(&peers, &ways, None, 0, Moment::START), [13, 12, 11], "by priority, and who did not serve last");
        assert_eq!(ways.best(None, Moment::START), Some(flow(1)), "the PBX is where it was");
        ways.locate(Some(0), &[], None, Moment::START);
        assert_eq!(order(&peers, &ways, None, 0, Moment::START), [0_u8; 0], "it leads nowhere");
    }

    #[test]
    fn nobody_is_asked_who_need_not_be_or_who_has_not_answered_yet() {
        let mut peers = peers(vec![peer(&[10], Routing::default())]);
        assert_eq!(Ways::of(&peers, Moment::START).deadline(), None);
        peers.pbx.routing.options_every = Some(Duration::from_secs(1));
        let mut ways = Ways::of(&peers, Moment::START);
        let end = End { transport: Transport::Udp, address: "203.0.113.1:5060".parse().unwrap() };

        assert_eq!(ways.due(&[end], Moment::START, || 1).len(), 1);

        assert_eq!(ways.deadline(), None, "until the answer, or the end of its patience, is there");
        assert!(ways.due(&[end], Moment::START + SHUNNED, || 1).is_empty());
    }
}
