//! The media ports: opened ahead for the stock, closed after their calls.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::os::fd::AsFd;

use rustix::net::sockopt::{set_ip_tos, set_ipv6_tclass};

use crate::call::PortPair;
use crate::ids::Leg;
use crate::media::{NoPorts, PairIds, PortCounts, PortId, Ports};
use crate::time::Moment;

/// The sockets that no call has yet, and the names of all.
#[derive(Debug)]
pub(super) struct Sockets {
    addresses: [IpAddr; 2],
    /// How packets are marked (RFC 2474).
    dscp: u8,
    is_unmarked_told: bool,
    /// Which ports are free on each address: one book where both legs have one address.
    books: Books,
    /// Opened and waiting for a call.
    waiting: HashMap<PortId, UdpSocket>,
    free_ids: Vec<u32>,
    next_id: u32,
}

#[derive(Debug)]
enum Books {
    One(Ports),
    Two([Ports; 2]),
}

impl Books {
    const fn of(&mut self, leg: Leg) -> &mut Ports {
        match (self, leg) {
            (Self::One(ports), _) | (Self::Two([ports, _]), Leg::Pbx) | (Self::Two([_, ports]), Leg::Trunk) => ports,
        }
    }
}

impl Sockets {
    /// Takes the addresses of both legs, the range of ports that each has, and how packets are marked.
    ///
    /// # Errors
    /// The range holds no pair.
    pub(super) fn new(addresses: [IpAddr; 2], range: &RangeInclusive<u16>, dscp: u8, seed: u64) -> Result<Self, NoPorts> {
        let book = |nth| Ports::new(range.clone(), seed ^ nth);
        let [pbx, trunk] = addresses;
        let books = if pbx == trunk { Books::One(book(1)?) } else { Books::Two([book(1)?, book(2)?]) };
        Ok(Self { addresses, dscp, is_unmarked_told: false, books, waiting: HashMap::new(), free_ids: Vec::new(), next_id: 0 })
    }

    /// Opens up to `count` pairs that face `leg`. Fewer come where the range is used up, or where others have the ports.
    pub(super) fn open(&mut self, leg: Leg, count: usize, now: Moment) -> Vec<PortPair> {
        let mut pairs = Vec::with_capacity(count);
        // A port that another process has is not tried again in this round; a range full of such ports ends the search.
        let mut misses = 0;
        while pairs.len() < count && misses < MISSES {
            let Some(port) = self.books.of(leg).take(now) else { break };
            match self.bind_pair(leg, port) {
                Ok(pair) => pairs.push(pair),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    misses += 1;
                    self.rest(leg, port, now);
                }
                Err(error) => {
                    // No descriptor is left, or the address is gone: another port would fare no better.
                    tracing::error!(%error, "port_not_opened");
                    self.rest(leg, port, now);
                    break;
                }
            }
        }
        pairs
    }

    /// Opens this very pair, which a call had before a restart; nothing where it is not free, or not of the range any more.
    pub(super) fn open_again(&mut self, leg: Leg, rtp: u16, now: Moment) -> Option<PortPair> {
        if !self.books.of(leg).take_this(rtp) {
            return None;
        }
        match self.bind_pair(leg, rtp) {
            Ok(pair) => Some(pair),
            Err(error) => {
                tracing::warn!(%error, "port_not_opened_again");
                self.rest(leg, rtp, now);
                None
            }
        }
    }

    /// Hands the sockets of a pair over to the media thread that will own them.
    ///
    /// It is called before the answer goes out that describes who may send to them: what lies in them came before, from nobody that is
    /// known, and would be heard as a burst of the past. It is thrown away here; what comes from now on is the media thread's.
    pub(super) fn claim(&mut self, ids: PairIds) -> [Option<(PortId, UdpSocket)>; 2] {
        [ids.rtp, ids.rtcp].map(|id| {
            let socket = self.waiting.remove(&id)?;
            let mut nothing = [0; 1];
            for _ in 0..STALE {
                if socket.recv_from(&mut nothing).is_err() {
                    break;
                }
            }
            Some((id, socket))
        })
    }

    /// Takes a pair back: its number rests, its names are free again. A pair that no media thread had is closed here.
    pub(super) fn give_back(&mut self, pair: PortPair, now: Moment) {
        for id in [pair.ids.rtp, pair.ids.rtcp] {
            self.waiting.remove(&id);
            self.free_ids.push(id.0);
        }
        self.rest(pair.leg, pair.rtp, now);
    }

    fn rest(&mut self, leg: Leg, rtp: u16, now: Moment) {
        self.books.of(leg).give_back(rtp, now);
    }

    /// Returns how many pairs there are in each state on the address that faces a leg.
    pub(super) fn counts(&mut self, leg: Leg, now: Moment) -> PortCounts {
        self.books.of(leg).counts(now)
    }

    fn bind_pair(&mut self, leg: Leg, rtp: u16) -> io::Result<PortPair> {
        let [pbx, trunk] = self.addresses;
        let ip = match leg {
            Leg::Pbx => pbx,
            Leg::Trunk => trunk,
        };
        let rtcp = rtp.checked_add(1).ok_or(io::ErrorKind::AddrNotAvailable)?;
        let bind = |port| {
            let socket = UdpSocket::bind(SocketAddr::new(ip, port))?;
            socket.set_nonblocking(true)?;
            Ok::<_, io::Error>(socket)
        };
        let sockets = (bind(rtp)?, bind(rtcp)?);
        for socket in [&sockets.0, &sockets.1] {
            if let Err(error) = mark(socket, ip, self.dscp)
                && !std::mem::replace(&mut self.is_unmarked_told, true)
            {
                tracing::warn!(%error, "media_not_marked");
            }
        }
        let ids = PairIds { rtp: self.name(), rtcp: self.name() };
        self.waiting.insert(ids.rtp, sockets.0);
        self.waiting.insert(ids.rtcp, sockets.1);
        Ok(PortPair { leg, ids, rtp, rtcp })
    }

    fn name(&mut self) -> PortId {
        let id = self.free_ids.pop().unwrap_or_else(|| {
            self.next_id += 1;
            self.next_id - 1
        });
        PortId(id)
    }
}

/// Marks what a socket sends: the six bits of a code point stand above the two of congestion (RFC 3168 §5).
///
/// # Errors
/// The system does not let us.
pub(super) fn mark(socket: impl AsFd, ip: IpAddr, dscp: u8) -> io::Result<()> {
    let field = dscp << 2;
    match ip {
        IpAddr::V4(_) => set_ip_tos(socket, field)?,
        IpAddr::V6(_) => set_ipv6_tclass(socket, field.into())?,
    }
    Ok(())
}

/// Packets that are thrown away at most: more than a socket's buffer holds by default (212,992 bytes).
const STALE: usize = 1024;

/// Ports in a row that may be taken by others before the search ends: a neighbour's handful, not a whole range.
const MISSES: usize = 256;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use rustix::net::sockopt::{ip_tos, ipv6_tclass};
    use rustix::net::{AddressFamily, SocketType};

    use super::*;

    #[test]
    fn what_a_pair_sends_is_marked() {
        let local = IpAddr::from([127, 0, 0, 1]);
        let mut sockets = Sockets::new([local, local], &(20_000..=59_999), 46, 7).unwrap();

        let pair = sockets.open(Leg::Pbx, 1, Moment::START).pop().unwrap();

        for (_, socket) in sockets.claim(pair.ids).into_iter().flatten() {
            assert_eq!(ip_tos(&socket).unwrap(), 0xb8, "EF, as it stands in the packet");
        }
    }

    #[test]
    fn ipv6_is_marked_in_its_own_field() {
        let socket = rustix::net::socket(AddressFamily::INET6, SocketType::DGRAM, None).unwrap();

        mark(&socket, IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1_u16]), 40).unwrap();

        assert_eq!(ipv6_tclass(&socket).unwrap(), 0xa0);
    }
}
