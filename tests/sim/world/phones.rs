//! The two parties of one call: the PBX with its phones and the carrier with its, as they signal, speak and misbehave.
//!
//! ```text
//!             plan.rs  what the call tries
//!                │
//!  phones.rs ── party.rs ── setup.rs   INVITE and what answers it, forks, CANCEL, PRACK
//!     Call       │      └── talk.rs    within the dialog: keys, hold, glare, transfer, BYE
//!                ├── exchange.rs       requests and responses that are sent until they are answered
//!                ├── text.rs, sdp.rs   what is written on the wire, and read from it
//!                └── stream.rs         RTP
//! ```
//!
//! Nothing here uses the product's own parsers: the world would be our code agreeing with itself.

#![allow(unreachable_pub, dead_code, unused_imports, reason = "the simulation and the fuzz target each use a part of it")]
#![allow(clippy::indexing_slicing, clippy::wildcard_enum_match_arm, reason = "a test may panic")]

mod exchange;
mod party;
mod plan;
mod sdp;
mod setup;
mod stream;
mod talk;
mod text;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use mitschnitt::ids::Leg;
use mitschnitt::time::Moment;

use self::party::{Party, Turn};
pub use self::plan::{By, Deviation, Ending, Forger, Hold, Outcome, Plan, Policy, Press, PressedBy, Speech};
use super::border::Datagram;
use super::chance::Chance;

/// Both parties of one call, with all phones that ring, and their media.
pub struct Call {
    plan: Plan,
    /// By [`Leg::index`].
    parties: [Party; 2],
}

impl Call {
    /// A call that chance has made.
    pub fn drawn(number: u32, chance: Chance, begins: Moment) -> Self {
        let mut chance = chance;
        let plan = Plan::drawn(&mut chance);
        Self::planned(number, plan, chance, begins)
    }

    /// A call that goes by a plan; chance sees to what the plan does not say.
    pub fn planned(number: u32, mut plan: Plan, chance: Chance, begins: Moment) -> Self {
        plan.number = number;
        let parties = Leg::BOTH.map(|leg| Party::new(leg, &plan, chance.split(leg.index() as u64), begins));
        Self { plan, parties }
    }

    /// Takes what the box sent to one of the parties, or to its media.
    pub fn hear(&mut self, datagram: &Datagram, now: Moment, out: &mut Vec<Datagram>) {
        let Self { plan, parties } = self;
        if let Some(party) = parties.iter_mut().find(|party| party.here() == datagram.to) {
            party.hear(&datagram.bytes, &mut Turn { plan, now, out });
        }
    }

    /// Does what is due.
    pub fn wake(&mut self, now: Moment, out: &mut Vec<Datagram>) {
        let Self { plan, parties } = self;
        for party in parties {
            if party.deadline().is_some_and(|at| at <= now) {
                party.wake(&mut Turn { plan, now, out });
            }
        }
    }

    /// When to call [`Call::wake`]; nothing once both parties rest for good.
    pub fn deadline(&self) -> Option<Moment> {
        let [pbx, trunk] = &self.parties;
        [pbx.deadline(), trunk.deadline()].into_iter().flatten().min()
    }

    /// The call that a media address belongs to.
    pub fn owns(address: SocketAddr) -> Option<u32> {
        let IpAddr::V4(ip) = address.ip() else { return None };
        let [a, b, c, host] = ip.octets();
        let first = match (a, b, c, host) {
            (192, 0, 2, 10..=99) => FIRST_HOST[0],
            (198, 51, 100, 21..=99) => FIRST_HOST[1],
            _ => return None,
        };
        let at = u32::from(address.port().checked_sub(FIRST_PORT)?) / PORTS;
        (at < CALLS_PER_HOST).then(|| u32::from(host - first) / HOSTS * CALLS_PER_HOST + at)
    }

    /// What the call tries.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
}

/// Each call has four hosts on each leg, which it shares with 1,699 others, and 16 pairs of ports on them.
const HOSTS: u32 = 4;
const CALLS_PER_HOST: u32 = 1700;
const PORTS: u32 = 32;
const FIRST_PORT: u16 = 10_000;
const FIRST_HOST: [u8; 2] = [10, 21];

/// The RTP port of a pair, 0 to 15, on a host, 0 to 3, of a call below 32,000; [`Call::owns`] is its inverse.
fn media(call: u32, leg: Leg, host: u8, pair: u8) -> SocketAddr {
    let small = |number: u32| u8::try_from(number & 0xff).expect("eight bits");
    let last = FIRST_HOST[leg.index()] + small(call / CALLS_PER_HOST * HOSTS) + host % small(HOSTS);
    let ip = match leg {
        Leg::Pbx => Ipv4Addr::new(192, 0, 2, last),
        Leg::Trunk => Ipv4Addr::new(198, 51, 100, last),
    };
    let port = u32::from(FIRST_PORT) + call % CALLS_PER_HOST * PORTS + u32::from(pair % 16) * 2;
    SocketAddr::new(ip.into(), u16::try_from(port).expect("10,000 + 1,700 · 32 is a port"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_address_leads_back_to_its_call() {
        for call in [0, 1, 99, 1699, 1700, 31_999] {
            for leg in Leg::BOTH {
                for (host, pair) in [(0, 0), (3, 3), (5, 15)] {
                    let rtp = media(call, leg, host, pair);
                    let rtcp = SocketAddr::new(rtp.ip(), rtp.port() + 1);

                    assert_eq!((Call::owns(rtp), Call::owns(rtcp)), (Some(call), Some(call)), "{rtp}");
                }
            }
        }
        for other in ["192.0.2.2:20000", "192.0.2.10:5060", "198.51.100.20:5060", "233.252.0.1:4000"] {
            assert_eq!(Call::owns(other.parse().expect("an address")), None, "{other}");
        }
    }
}
