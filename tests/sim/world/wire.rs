//! The wires between the box and everybody: they delay, lose, double, reorder, cut off, and cut short.

use std::time::Duration;

use mitschnitt::ids::Leg;
use mitschnitt::time::Moment;

use super::border::{Datagram, Way};
use super::chance::Chance;

/// How good the wires of a world are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quality {
    /// The shortest way.
    pub delay: Duration,
    /// What may be added to it: more than the distance of two packets reorders them.
    pub jitter: Duration,
    /// Datagrams in a thousand that are lost.
    pub lost: u32,
    /// Datagrams in a thousand that come twice.
    pub doubled: u32,
    /// Datagrams in a thousand that end early.
    pub cut_short: u32,
}

/// The wires.
pub struct Wire {
    quality: Quality,
    chance: Chance,
    /// Until when nothing passes on the side of each leg.
    cut: [Moment; 2],
}

/// What comes of a datagram.
pub struct Carried {
    /// When what arrives.
    pub arrive: Vec<(Moment, Datagram)>,
    /// Whether the wire did anything but delay it.
    pub is_fault: bool,
}

impl Wire {
    pub const fn new(quality: Quality, chance: Chance) -> Self {
        Self { quality, chance, cut: [Moment::START; 2] }
    }

    /// Lets nothing pass on one side until then.
    pub const fn cut(&mut self, leg: Leg, until: Moment) {
        self.cut[leg.index()] = until;
    }

    /// Takes a datagram to where it goes.
    pub fn carry(&self, datagram: Datagram, way: Way, now: Moment) -> Carried {
        let there = match way {
            Way::In => datagram.from,
            Way::Out => datagram.to,
        };
        let leg = match there.ip() {
            std::net::IpAddr::V4(ip) if ip.octets()[..3] == [192, 0, 2] => Leg::Pbx,
            _ => Leg::Trunk,
        };
        let Quality { lost, doubled, cut_short, .. } = self.quality;
        // What becomes of a datagram follows from itself and the moment, so that a call that is left out changes nothing for the others.
        let mut chance = self.chance.split(fingerprint(&datagram) ^ now.as_micros());
        if self.cut[leg.index()] > now || chance.per_mille(lost) {
            return Carried { arrive: Vec::new(), is_fault: true };
        }
        let is_doubled = chance.per_mille(doubled);
        let is_cut_short = chance.per_mille(cut_short);
        let mut arrive = Vec::with_capacity(1 + usize::from(is_doubled));
        if is_doubled {
            arrive.push((now + self.takes(&mut chance), datagram.clone()));
        }
        let mut datagram = datagram;
        if is_cut_short {
            let length = chance.below(datagram.bytes.len() as u64) as usize;
            datagram.bytes = datagram.bytes.slice(..length);
        }
        arrive.push((now + self.takes(&mut chance), datagram));
        Carried { arrive, is_fault: is_doubled || is_cut_short }
    }

    fn takes(&self, chance: &mut Chance) -> Duration {
        self.quality.delay + Duration::from_micros(chance.below(self.quality.jitter.as_micros() as u64 + 1))
    }
}

/// A number that stands for a datagram: FNV-1a over its receiver's port and what it says.
fn fingerprint(datagram: &Datagram) -> u64 {
    let ports = [datagram.from.port(), datagram.to.port()].map(u16::to_be_bytes);
    let bytes = ports.as_flattened().iter().chain(datagram.bytes.iter().take(96));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
