//! What was handed over undecoded.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ids::Leg;

/// Names of codings that are counted apart. More are counted as one.
const NAMES: usize = 32;

/// What is in a file that holds packets or payloads.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct HandedOver {
    /// Packets of the PBX and of the trunk ([`Leg::index`]) in the recording.
    pub packets: [u64; 2],
    /// Those that are not in the file: longer than a datagram, or no RTP where only its payload is wanted.
    pub ignored: u64,
    /// When the recording ended; of a torn one, when its last packet came.
    pub duration: Duration,
    /// How many packets of each leg have which coding, by the name its users know.
    pub codings: BTreeMap<(Leg, String), u64>,
}

impl HandedOver {
    pub(super) fn count(&mut self, leg: Leg, came: Duration, coding: String) {
        let [pbx, trunk] = &mut self.packets;
        match leg {
            Leg::Pbx => *pbx += 1,
            Leg::Trunk => *trunk += 1,
        }
        self.duration = self.duration.max(came);
        let key = (leg, coding);
        let is_known = self.codings.contains_key(&key) || self.codings.len() < NAMES;
        *self.codings.entry(if is_known { key } else { (leg, "others".to_owned()) }).or_default() += 1;
    }
}
