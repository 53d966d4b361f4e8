//! Who may speak to us: the PBX and the trunks; everybody else is a stranger.

use std::net::SocketAddr;

use super::keys::MediaAs;
use crate::ids::{Leg, TrunkName};
use crate::media::Latching;
use crate::network::Network;

/// The PBX, or one trunk.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Where requests are sent.
    pub address: SocketAddr,
    /// From where else its messages may come.
    pub networks: Vec<Network>,
    /// From where else than its descriptions say its media may come.
    pub latching: Latching,
    /// How its media are carried towards us. Of the PBX and a trunk both have a rule or neither: without one they settle it between
    /// themselves, and what they encrypt is relayed and not recorded.
    pub media_as: Option<MediaAs>,
}

impl Peer {
    fn is_exactly(&self, source: SocketAddr) -> bool {
        self.address == source
    }

    fn may_be(&self, source: SocketAddr) -> bool {
        self.networks.iter().any(|network| network.contains(source.ip()))
    }

    /// Returns whether a request may be sent to this address on the peer's behalf: its own host, or one of its networks.
    #[must_use]
    pub fn owns(&self, target: SocketAddr) -> bool {
        self.address.ip() == target.ip() || self.may_be(target)
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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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
    /// Returns who sends from this address, or nothing for a stranger. An exact address goes before a network.
    #[must_use]
    pub fn source(&self, address: SocketAddr) -> Option<Source> {
        if self.pbx.is_exactly(address) {
            return Some(Source::Pbx);
        }
        if let Some(at) = self.trunks.iter().position(|(_, trunk)| trunk.is_exactly(address)) {
            return Some(Source::Trunk(at));
        }
        if self.pbx.may_be(address) {
            return Some(Source::Pbx);
        }
        self.trunks.iter().position(|(_, trunk)| trunk.may_be(address)).map(Source::Trunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers() -> Peers {
        let at = |text: &str| text.parse().expect("an address");
        let net = |address: &str, prefix| Network { address: address.parse().expect("an address"), prefix };
        Peers {
            pbx: Peer { address: at("127.0.0.1:5090"), networks: vec![], latching: Latching::default(), media_as: None },
            trunks: vec![(
                TrunkName::new("carrier"),
                Peer {
                    address: at("127.0.0.1:5080"),
                    networks: vec![net("192.0.2.0", 24), net("2001:db8::", 32)],
                    latching: Latching::default(),
                    media_as: None,
                },
            )],
        }
    }

    #[test]
    fn two_peers_on_one_host_are_told_apart_by_port() {
        let source = |text: &str| peers().source(text.parse().expect("an address"));

        assert_eq!(source("127.0.0.1:5090"), Some(Source::Pbx));
        assert_eq!(source("127.0.0.1:5080"), Some(Source::Trunk(0)));
        assert_eq!(source("127.0.0.1:5081"), None);
    }

    #[test]
    fn a_network_admits_its_addresses_and_no_others() {
        let source = |text: &str| peers().source(text.parse().expect("an address"));

        assert_eq!(source("192.0.2.255:40000"), Some(Source::Trunk(0)));
        assert_eq!(source("192.0.3.0:5060"), None);
        assert_eq!(source("[2001:db8:ffff::1]:5060"), Some(Source::Trunk(0)));
        assert_eq!(source("[2001:db9::1]:5060"), None);
    }
}
