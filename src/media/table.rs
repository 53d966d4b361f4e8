//! Which bridges a socket serves: a few, found by its number without a search.

use crate::ids::{CallId, Leg};
use crate::limits::{BRIDGES_PER_PORT, MEDIA_SOCKETS};
use crate::media::PortId;
use crate::media::side::Channel;

/// The sockets, by their numbers.
#[derive(Debug, Default)]
pub(super) struct Table {
    ports: Vec<Port>,
}

/// One socket.
#[derive(Clone, Debug)]
struct Port {
    serves: Option<Use>,
    bridges: Few,
}

/// What a socket is used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Use {
    /// By which call.
    pub(super) call: CallId,
    /// Which party it faces.
    pub(super) facing: Leg,
    /// For RTP or RTCP.
    pub(super) channel: Channel,
}

/// The sockets could not be given to a bridge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct NotTaken;

impl Table {
    /// Gives the socket to one more bridge, as the first that is asked.
    pub(super) fn add(&mut self, port: PortId, serves: Use, bridge: u32) -> Result<(), NotTaken> {
        let place = port.0 as usize;
        if place >= MEDIA_SOCKETS {
            return Err(NotTaken);
        }
        if place >= self.ports.len() {
            self.ports.resize(place + 1, Port { serves: None, bridges: Few::NONE });
        }
        let port = self.ports.get_mut(place).ok_or(NotTaken)?;
        if port.serves.is_some_and(|used| used != serves) {
            return Err(NotTaken);
        }
        port.bridges.put_first(bridge)?;
        port.serves = Some(serves);
        Ok(())
    }

    /// Takes the socket from a bridge.
    pub(super) fn remove(&mut self, port: PortId, bridge: u32) {
        if let Some(port) = self.ports.get_mut(port.0 as usize) {
            port.bridges.remove(bridge);
            if port.bridges.as_slice().is_empty() {
                port.serves = None;
            }
        }
    }

    /// Makes a bridge the first that is asked on this socket.
    pub(super) fn prefer(&mut self, port: PortId, bridge: u32) {
        if let Some(port) = self.ports.get_mut(port.0 as usize) {
            port.bridges.prefer(bridge);
        }
    }

    /// Returns what the socket is used for, and its bridges in the order in which they are asked.
    pub(super) fn of(&self, port: PortId) -> Option<(Use, &[u32])> {
        let port = self.ports.get(port.0 as usize)?;
        port.serves.map(|serves| (serves, port.bridges.as_slice()))
    }
}

/// A short list in place.
#[derive(Clone, Copy, Debug)]
struct Few {
    length: usize,
    bridges: [u32; BRIDGES_PER_PORT],
}

impl Few {
    const NONE: Self = Self { length: 0, bridges: [0; BRIDGES_PER_PORT] };

    fn as_slice(&self) -> &[u32] {
        self.bridges.get(..self.length).unwrap_or_default()
    }

    fn put_first(&mut self, bridge: u32) -> Result<(), NotTaken> {
        let place = self.bridges.get_mut(self.length).ok_or(NotTaken)?;
        *place = bridge;
        self.length += 1;
        self.prefer(bridge);
        Ok(())
    }

    fn prefer(&mut self, bridge: u32) {
        if let Some(at) = self.as_slice().iter().position(|&b| b == bridge)
            && let Some(front) = self.bridges.get_mut(..=at)
        {
            front.rotate_right(1);
        }
    }

    fn remove(&mut self, bridge: u32) {
        if let Some(at) = self.as_slice().iter().position(|&b| b == bridge)
            && let Some(rest) = self.bridges.get_mut(at..self.length)
        {
            rest.rotate_left(1);
            self.length -= 1;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    const USE: Use = Use { call: CallId::from_u64(1), facing: Leg::Trunk, channel: Channel::Rtp };

    fn bridges(table: &Table) -> Vec<u32> {
        table.of(PortId(3)).map(|(_, bridges)| bridges.to_vec()).unwrap_or_default()
    }

    #[test]
    fn the_bridge_described_last_is_asked_first() {
        let mut table = Table::default();
        (0..3).for_each(|bridge| table.add(PortId(3), USE, bridge).unwrap());
        assert_eq!(bridges(&table), [2, 1, 0]);

        table.prefer(PortId(3), 0);
        assert_eq!(bridges(&table), [0, 2, 1]);

        table.remove(PortId(3), 2);
        assert_eq!(bridges(&table), [0, 1]);
    }

    #[test]
    fn a_socket_serves_one_call_and_one_leg_at_a_time() {
        let mut table = Table::default();
        table.add(PortId(3), USE, 0).unwrap();
        let other_call = Use { call: CallId::from_u64(2), ..USE };

        assert_eq!(table.add(PortId(3), Use { facing: Leg::Pbx, ..USE }, 1), Err(NotTaken));
        assert_eq!(table.add(PortId(3), other_call, 1), Err(NotTaken));

        table.remove(PortId(3), 0);
        assert_eq!(table.add(PortId(3), other_call, 1), Ok(()));
    }

    #[test]
    fn a_socket_has_no_more_bridges_than_an_offer_has_dialogs() {
        let mut table = Table::default();
        (0..16).for_each(|bridge| table.add(PortId(3), USE, bridge).unwrap());

        assert_eq!(table.add(PortId(3), USE, 16), Err(NotTaken));
        assert_eq!(table.add(PortId(u32::MAX), USE, 16), Err(NotTaken));
        assert_eq!(bridges(&table).len(), 16);
    }
}
