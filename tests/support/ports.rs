//! Ports for one test: a block that no other test has, in this process or in another.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::ops::RangeInclusive;

/// 400 ports below those that the kernel gives away by itself (32768), held by a guard socket on the first.
pub(crate) struct Ports {
    first: u16,
    _guard: UdpSocket,
}

impl Ports {
    /// Takes a block in which nobody listens.
    pub(crate) fn reserve() -> Self {
        // 12,400 to 32,400: above the lab's RTP load (11,000 and 12,000), below the kernel's own.
        let blocks = 50;
        let begin = u16::try_from(std::process::id() % u32::from(blocks)).expect("less than 50");
        (0..blocks)
            .map(|n| 12_400 + (begin + n) % blocks * SIZE)
            .find_map(|first| {
                let guard = UdpSocket::bind((Ipv4Addr::LOCALHOST, first)).ok()?;
                let free = (first + 1..first + SIZE).all(|port| {
                    UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok() && (port > first + 19 || is_free_for_tcp(port))
                });
                free.then_some(Self { first, _guard: guard })
            })
            .expect("of fifty blocks of ports one is free")
    }

    /// Where the proxy listens for SIP.
    pub(crate) fn proxy(&self) -> SocketAddr {
        self.at(2)
    }

    /// Where the proxy listens for SIP over TLS.
    pub(crate) fn proxy_tls(&self) -> SocketAddr {
        self.at(3)
    }

    /// An address of this machine that is nobody's but this test's, with all its ports: for peers that want some of their own.
    pub(crate) fn host(&self, nth: u8) -> IpAddr {
        let [high, low] = self.first.to_be_bytes();
        Ipv4Addr::new(127, high, low, nth).into()
    }

    /// Where the PBX is. The port after it stays free: baresip takes it for TLS.
    pub(crate) fn pbx(&self) -> SocketAddr {
        self.at(4)
    }

    /// Where the trunk is. The port after it stays free: baresip takes it for TLS.
    pub(crate) fn trunk(&self) -> SocketAddr {
        self.at(8)
    }

    /// Where somebody is whom the trunk sends its calls on to. The port after it stays free, too.
    pub(crate) fn beyond(&self) -> SocketAddr {
        self.at(10)
    }

    /// Where the proxy serves its metrics (TCP).
    pub(crate) fn metrics(&self) -> SocketAddr {
        self.at(12)
    }

    /// Where a phone takes commands (TCP): one for the PBX's, one for the trunk's.
    pub(crate) fn control(&self, is_pbx: bool) -> SocketAddr {
        self.at(if is_pbx { 14 } else { 16 })
    }

    /// An address of neither PBX nor trunk.
    pub(crate) fn stranger(&self) -> SocketAddr {
        self.at(18)
    }

    /// Where nobody ever listens: the end mark of a capture goes there.
    pub(crate) fn nowhere(&self) -> SocketAddr {
        self.at(19)
    }

    /// Media ports of the PBX's phones.
    pub(crate) fn pbx_media(&self) -> RangeInclusive<u16> {
        self.first + 20..=self.first + 39
    }

    /// Media ports of the trunk's phones.
    pub(crate) fn trunk_media(&self) -> RangeInclusive<u16> {
        self.first + 40..=self.first + 59
    }

    /// Media ports of the proxy: 170 pairs.
    pub(crate) fn proxy_media(&self) -> RangeInclusive<u16> {
        self.first + 60..=self.first + SIZE - 1
    }

    /// The whole block, for a capture's filter.
    pub(crate) fn all(&self) -> RangeInclusive<u16> {
        self.first..=self.first + SIZE - 1
    }

    fn at(&self, offset: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.first + offset).into()
    }
}

/// Waits until some process has bound this port of `udp`, or listens at it over `tcp`: a connection that is over keeps its port a while.
pub(crate) fn until_bound(over: &str, port: u16) {
    let local = format!(":{port:04X}");
    super::until(&format!("somebody to listen on {over} port {port}"), super::A_WHILE, || {
        let table = std::fs::read_to_string(format!("/proc/net/{over}")).expect("the kernel lists its sockets");
        let is_bound = table.lines().skip(1).filter_map(|line| line.split_once(": ")).any(|(_, rest)| {
            match *rest.split(' ').collect::<Vec<_>>() {
                [address, _, state, ..] => address.ends_with(&local) && (over.starts_with("udp") || state == LISTENS),
                _ => false,
            }
        });
        is_bound.then_some(())
    });
}

/// `TCP_LISTEN`, as the kernel lists it.
const LISTENS: &str = "0A";

fn is_free_for_tcp(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

const SIZE: u16 = 400;
