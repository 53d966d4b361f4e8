//! What UDP asks of SIP: our `Via`, what is noted in a client's, and where a response goes (RFC 3261 §18, RFC 3581).

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::branch::Branch;
use crate::wire::sip::{Edit, Message, Via};

/// Where a `sip:` URI or a sent-by leads that names no port (RFC 3261 §19.1.2, §18.2.2).
pub(super) const DEFAULT_PORT: u16 = 5060;

/// Returns the value of `Via` for a request of ours. It asks for `rport`, so that a translator on the way does no harm.
pub(super) fn own_via(here: SocketAddr, branch: Branch) -> Vec<u8> {
    let mut value = format!("SIP/2.0/UDP {here};rport;branch=").into_bytes();
    value.reserve_exact(Branch::LEN);
    branch.print(&mut value);
    value
}

/// Returns whether this `Via` has our sent-by.
pub(super) fn is_ours(via: &Via<'_>, here: SocketAddr) -> bool {
    via.port.unwrap_or(DEFAULT_PORT) == here.port() && via.host_ip() == Some(here.ip())
}

/// Returns what is to be noted in the topmost `Via` of a request from this address: `received` and `rport`.
///
/// `received` where the host is a name or another address (RFC 3261 §18.2.1), and always beside `rport` (RFC 3581 §4).
pub(super) fn noted(via: &Via<'_>, from: SocketAddr) -> Option<(Option<IpAddr>, Option<u16>)> {
    let asked = via.rport.is_some();
    let moved = via.host_ip() != Some(from.ip());
    (asked || moved || via.received.is_some()).then(|| (Some(from.ip()), asked.then(|| from.port())))
}

/// Returns where the responses to a request from this address go (RFC 3261 §18.2.2, RFC 3581 §4).
///
/// Always to the IP address that the request came from, which is a peer's; `maddr` is not followed: it would let whoever can send in a
/// peer's name choose a third host.
pub(super) fn reply_address(via: &Via<'_>, from: SocketAddr) -> SocketAddr {
    match via.rport {
        Some(_) => from,
        None => SocketAddr::new(from.ip(), via.port.unwrap_or(DEFAULT_PORT)),
    }
}

/// Writes into a reply of our own what is noted in the topmost `Via`.
pub(super) fn with_noted(reply: Bytes, from: SocketAddr) -> Bytes {
    let Ok(message) = Message::parse_datagram(reply.clone()) else { return reply };
    let Ok(via) = message.top_via() else { return reply };
    match noted(&via, from) {
        Some((received, rport)) => Edit::new(&message).amend_top_via(received, rport).finish(),
        None => reply,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    const HERE: &str = "192.0.2.1:5060";
    const FROM: &str = "192.0.2.9:40000";

    #[test]
    fn our_via_is_recognised_when_it_comes_back() {
        let branch = Branch { unique: 1, loop_hash: 2 };
        for here in [HERE, "[2001:db8::1]:5080"] {
            let here = here.parse().unwrap();
            let value = own_via(here, branch);
            let via = Via::parse(&value).unwrap();
            assert!(is_ours(&via, here) && via.branch.and_then(Branch::parse) == Some(branch));
        }
        for other in ["SIP/2.0/UDP 192.0.2.1:5061", "SIP/2.0/UDP 192.0.2.2", "SIP/2.0/UDP h.test:5060"] {
            assert!(!is_ours(&Via::parse(other.as_bytes()).unwrap(), HERE.parse().unwrap()));
        }
        assert!(is_ours(&Via::parse(b"SIP/2.0/UDP 192.0.2.1").unwrap(), HERE.parse().unwrap()));
    }

    #[test]
    fn received_is_noted_where_the_sent_by_is_not_the_source() {
        let from: SocketAddr = FROM.parse().unwrap();
        let received = Some(from.ip());
        for (via, expected) in [
            ("SIP/2.0/UDP 192.0.2.9:5060", None),
            ("SIP/2.0/UDP 192.0.2.9:5060;rport", Some((received, Some(40000)))),
            ("SIP/2.0/UDP 192.0.2.8", Some((received, None))),
            ("SIP/2.0/UDP h.test", Some((received, None))),
            ("SIP/2.0/UDP 192.0.2.9;received=198.51.100.1", Some((received, None))),
        ] {
            assert_eq!(noted(&Via::parse(via.as_bytes()).unwrap(), from), expected, "{via}");
        }
    }

    #[test]
    fn a_response_goes_to_the_source_address_at_the_port_that_the_client_wants() {
        for (via, expected) in [
            ("SIP/2.0/UDP h.test;rport", FROM),
            ("SIP/2.0/UDP h.test:5070", "192.0.2.9:5070"),
            ("SIP/2.0/UDP h.test", "192.0.2.9:5060"),
            ("SIP/2.0/UDP h.test;maddr=198.51.100.1", "192.0.2.9:5060"),
        ] {
            let address = reply_address(&Via::parse(via.as_bytes()).unwrap(), FROM.parse().unwrap());
            assert_eq!(address, expected.parse().unwrap(), "{via}");
        }
    }
}
