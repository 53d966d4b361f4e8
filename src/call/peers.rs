//! Who may speak to us: the PBX and the trunks; everybody else is a stranger.

use std::net::SocketAddr;

use super::keys::MediaAs;
use super::ways::Routing;
use crate::ids::{Leg, TrunkName};
use crate::media::Latching;
use crate::network::Network;
use crate::sip::{Flow, Transport};

/// The PBX, or one trunk.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The way that requests are sent: by this end of ours, to this address.
    pub way: Flow,
    /// What that end speaks. Nothing is taken for the peer's that came over a weaker one: over UDP, say, where TLS is agreed.
    pub transport: Transport,
    /// From where else its messages may come.
    pub networks: Vec<Network>,
    /// From where else than its descriptions say its media may come.
    pub latching: Latching,
    /// How its media are carried towards us. Of the PBX and a trunk both have a rule or neither: without one they settle it between
    /// themselves, and what they encrypt is relayed and not recorded.
    pub media_as: Option<MediaAs>,
    /// How it is reached otherwise, and looked after.
    pub routing: Routing,
}

/// How well an address fits a peer: the better, the greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Fit {
    /// It lies in one of its networks.
    Network,
    /// It is its host; the port of a connection says nothing, and it came to another end of ours.
    Host,
    /// It is its host, and came to the end of ours that it is spoken with.
    HostAtEnd,
    /// It is the address that requests are sent to.
    Exactly,
}

impl Peer {
    pub(super) fn fits(&self, from: Flow, over: Transport) -> Option<Fit> {
        if self.was_reached_by(from, over) {
            return Some(Fit::Exactly);
        }
        if over < self.transport {
            return None;
        }
        let is_host = over.is_reliable() && self.ways().any(|way| way.far.ip() == from.far.ip());
        if self.ways().any(|way| way.far == from.far) {
            Some(Fit::Exactly)
        } else if is_host {
            Some(if self.way.end == from.end { Fit::HostAtEnd } else { Fit::Host })
        } else {
            self.may_be(from.far).then_some(Fit::Network)
        }
    }

    /// Returns all ways to it, the first one first.
    pub(super) fn ways(&self) -> impl Iterator<Item = Flow> {
        std::iter::once(self.way).chain(self.routing.others.iter().copied())
    }

    /// Returns whether a call that is may still come this way, since it went there before its name moved.
    fn was_reached_by(&self, from: Flow, over: Transport) -> bool {
        let is_it = |way: &Flow| way.far == from.far || over.is_reliable() && way.far.ip() == from.far.ip();
        self.routing.former.iter().any(|way| way.end == from.end && is_it(way))
    }

    fn may_be(&self, source: SocketAddr) -> bool {
        self.networks.iter().any(|network| network.contains(source.ip()))
    }

    /// Returns whether a request may be sent to this address on the peer's behalf: its own host, or one of its networks.
    #[must_use]
    pub fn owns(&self, target: SocketAddr) -> bool {
        // Who was not looked up yet has no address, and no other has none.
        let is_its_own = |way: Flow| way.far.ip() == target.ip() && !target.ip().is_unspecified();
        self.ways().chain(self.routing.former.iter().copied()).any(is_its_own) || self.may_be(target)
    }
}

/// Everybody who may speak to us.
#[derive(Clone, Debug)]
pub struct Peers {
    /// The PBX.
    pub pbx: Peer,
    /// The trunks, the first being the one that outbound calls take.
    pub trunks: Vec<(TrunkName, Peer)>,
}

/// Who a message came from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Source {
    /// The PBX.
    Pbx,
    /// The trunk with this place in [`Peers::trunks`].
    Trunk(usize),
}

impl Source {
    /// Returns the leg it is on.
    #[must_use]
    pub const fn leg(self) -> Leg {
        match self {
            Self::Pbx => Leg::Pbx,
            Self::Trunk(_) => Leg::Trunk,
        }
    }
}

impl Peers {
    /// Returns who sends this way, or nothing for a stranger: whom the address fits best; of those that it fits alike, who has it by the
    /// configuration before who has it by a name server's word, and the PBX before a trunk.
    #[must_use]
    pub fn source(&self, from: Flow, over: Transport) -> Option<Source> {
        let fits = |peer: &Peer| peer.fits(from, over).map(|fit| (fit, !peer.routing.is_found));
        let pbx = fits(&self.pbx).map(|fit| (fit, Source::Pbx));
        let trunks = self.trunks.iter().enumerate();
        let trunks = trunks.filter_map(|(at, (_, trunk))| fits(trunk).map(|fit| (fit, Source::Trunk(at))));
        let mut best: Option<((Fit, bool), Source)> = None;
        for (fit, source) in pbx.into_iter().chain(trunks) {
            if best.is_none_or(|(known, _)| fit > known) {
                best = Some((fit, source));
            }
        }
        best.map(|(_, source)| source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::EndId;

    fn peers() -> Peers {
        let way = |end, text: &str| Flow { end: EndId(end), far: text.parse().expect("an address") };
        let net = |address: &str, prefix| Network { address: address.parse().expect("an address"), prefix };
        let peer = |way, transport, networks| Peer {
            way,
            transport,
            networks,
            latching: Latching::default(),
            media_as: None,
            routing: Routing::default(),
        };
        Peers {
            pbx: peer(way(0, "127.0.0.1:5090"), Transport::Udp, vec![]),
            trunks: vec![
                (
                    TrunkName::new("carrier"),
                    peer(
                        way(0, "127.0.0.1:5080"),
                        Transport::Udp,
                        vec![net("192.0.2.0", 24), net("2001:db8::", 32), net("198.51.100.0", 24)],
                    ),
                ),
                (TrunkName::new("secure"), peer(way(1, "198.51.100.7:5061"), Transport::Tls, vec![])),
            ],
        }
    }

    fn source(from: &str) -> Option<Source> {
        over(0, Transport::Udp, from)
    }

    fn over(end: u8, transport: Transport, from: &str) -> Option<Source> {
        peers().source(Flow { end: EndId(end), far: from.parse().expect("an address") }, transport)
    }

    #[test]
    fn two_peers_on_one_host_are_told_apart_by_port() {
        assert_eq!(source("127.0.0.1:5090"), Some(Source::Pbx));
        assert_eq!(source("127.0.0.1:5080"), Some(Source::Trunk(0)));
        assert_eq!(source("127.0.0.1:5081"), None);
    }

    #[test]
    fn a_network_admits_its_addresses_and_no_others() {
        assert_eq!(source("192.0.2.255:40000"), Some(Source::Trunk(0)));
        assert_eq!(source("192.0.3.0:5060"), None);
        assert_eq!(source("[2001:db8:ffff::1]:5060"), Some(Source::Trunk(0)));
        assert_eq!(source("[2001:db9::1]:5060"), None);
    }

    #[test]
    fn a_connection_is_known_by_its_host() {
        assert_eq!(over(1, Transport::Tls, "198.51.100.7:40000"), Some(Source::Trunk(1)), "before the other's network");
        assert_eq!(over(1, Transport::Tls, "127.0.0.1:40000"), Some(Source::Pbx), "who speaks UDP may do better");
        assert_eq!(over(1, Transport::Tls, "203.0.113.9:5061"), None);
    }

    #[test]
    fn nobody_speaks_for_a_peer_over_less_than_was_agreed() {
        assert_eq!(over(0, Transport::Udp, "198.51.100.7:5061"), Some(Source::Trunk(0)), "in the other's network, and no more");
        assert_eq!(over(2, Transport::Tcp, "198.51.100.7:5061"), Some(Source::Trunk(0)));
        assert!(peers().trunks.iter().skip(1).all(|(_, peer)| peer.fits(peer.way, Transport::Tcp).is_none()));
    }
}
