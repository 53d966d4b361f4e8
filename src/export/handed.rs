//! What was handed over undecoded.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::export::coding::Formats;
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
    /// Counts packets that came one after the other.
    pub(super) fn count(&mut self, leg: Leg, run: Option<Run>) {
        let Some(Run { name, packets, .. }) = run else { return };
        let [pbx, trunk] = &mut self.packets;
        match leg {
            Leg::Pbx => *pbx += packets,
            Leg::Trunk => *trunk += packets,
        }
        let key = (leg, name);
        let is_known = self.codings.contains_key(&key) || self.codings.len() < NAMES;
        *self.codings.entry(if is_known { key } else { (leg, "others".to_owned()) }).or_default() += packets;
    }
}

/// Packets of a party that came one after the other with one payload type of one meaning: so that it is not asked for with each of them.
#[derive(Debug)]
pub(super) struct Run {
    payload_type: Option<u8>,
    /// The coding, by the name its users know.
    pub(super) name: String,
    packets: u64,
}

impl Run {
    /// Takes the next packet of a party into its run, or ends that and begins another. Returns the one that ended.
    pub(super) fn next(run: &mut Option<Self>, formats: &Formats, packet: &[u8]) -> Option<Self> {
        let payload_type = Formats::payload_type(packet);
        match run {
            Some(run) if run.payload_type == payload_type => {
                run.packets += 1;
                None
            }
            _ => run.replace(Self { payload_type, name: formats.name_in(packet), packets: 1 }),
        }
    }
}
