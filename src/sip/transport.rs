//! What UDP asks of SIP: our `Via`, what is noted in a client's, and where a response goes (RFC 3261 §18, RFC 3581).

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::branch::Branch;
use crate::wire::sip::{Edit, Message, Via};

/// Where a `sip:` URI or a sent-by leads that names no port (RFC 3261 §19.1.2, §18.2.2).
pub(super) const DEFAULT_PORT: u16 = 5060;

/// Returns what every `Via` of ours begins with. It asks for `rport`, so that a translator on the way does no harm.
pub(super) fn via_start(here: SocketAddr) -> Vec<u8> {
    format!("SIP/2.0/UDP {here};rport").into_bytes()
}

/// Returns the value of `Via` for a request of ours.
pub(super) fn own_via(start: &[u8], branch: Branch) -> Vec<u8> {
    let mut value = Vec::with_capacity(start.len() + BRANCH.len() + Branch::LEN);
    value.extend_from_slice(start);
    value.extend_from_slice(BRANCH);
    branch.print(&mut value);
    value
}

/// Returns our branch out of a `Via` that came back as it was sent, a value of `rport` aside: what nearly every response has, and what
/// need not be parsed to be known. Nothing where it was written anew.
pub(super) fn branch_as_sent(via: &[u8], start: &[u8]) -> Option<Branch> {
    let rest = via.strip_prefix(start)?;
    let rest = match rest.strip_prefix(b"=") {
        Some(port) => port.get(port.iter().take_while(|byte| byte.is_ascii_digit()).count()..)?,
        None => rest,
    };
    let (branch, after) = rest.strip_prefix(BRANCH)?.split_at_checked(Branch::LEN)?;
    matches!(after.first(), None | Some(b';')).then(|| Branch::parse(branch)).flatten()
}

const BRANCH: &[u8] = b";branch=";

/// Returns whether this `Via` has our sent-by.
pub(super) fn is_ours(via: &Via<'_>, here: SocketAddr) -> bool {
    via.port.unwrap_or(DEFAULT_PORT) == here.port() && via.host_ip() == Some(here.ip())
}

/// The way that responses to a request go, read once from its topmost `Via`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Return {
    /// Where they go (RFC 3261 §18.2.2, RFC 3581 §4).
    ///
    /// Always to the IP address that the request came from, which is a peer's; `maddr` is not followed: it would let whoever can send
    /// in a peer's name choose a third host.
    pub(super) to: SocketAddr,
    noted: Option<Noted>,
}

/// What is noted in the topmost `Via`: `received` where the host is a name or another address than the source (RFC 3261 §18.2.1), and
/// always beside `rport` (RFC 3581 §4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Noted {
    received: IpAddr,
    rport: Option<u16>,
}

impl Return {
    /// Returns the way back of a request from this address. Where its `Via` cannot be read, that is the source.
    pub(super) fn of(request: &Message, from: SocketAddr) -> Self {
        let Ok(via) = request.top_via() else { return Self { to: from, noted: None } };
        let asked = via.rport.is_some();
        let is_elsewhere = via.host_ip() != Some(from.ip()) || via.received.is_some();
        Self {
            to: if asked { from } else { SocketAddr::new(from.ip(), via.port.unwrap_or(DEFAULT_PORT)) },
            noted: (asked || is_elsewhere).then(|| Noted { received: from.ip(), rport: asked.then(|| from.port()) }),
        }
    }

    /// Notes it in the request as it goes on.
    pub(super) fn note(self, edit: Edit<'_>) -> Edit<'_> {
        match self.noted {
            Some(noted) => edit.amend_top_via(Some(noted.received), noted.rport),
            None => edit,
        }
    }

    /// Notes it in a reply of our own.
    pub(super) fn noted_in(self, reply: Bytes) -> Bytes {
        if self.noted.is_none() {
            return reply;
        }
        match Message::parse_datagram(reply.clone()) {
            Ok(message) => self.note(Edit::new(&message)).finish(),
            Err(_) => reply,
        }
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
            let start = via_start(here);
            let value = own_via(&start, branch);
            assert_eq!(branch_as_sent(&value, &start), Some(branch));
            for other in [";rport=5060;branch=", ";rport=;branch="] {
                let value = String::from_utf8(value.clone()).unwrap().replace(";rport;branch=", other) + ";received=192.0.2.1";
                assert_eq!(branch_as_sent(value.as_bytes(), &start), Some(branch), "{other}");
            }
            for other in [";branch=", ";rport;x;branch=", ";rportbranch=", ";rport=a;branch="] {
                let value = String::from_utf8(value.clone()).unwrap().replace(";rport;branch=", other);
                assert_eq!(branch_as_sent(value.as_bytes(), &start), None, "{other}");
            }
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
        for (via, expected) in [
            ("192.0.2.9:5060", "192.0.2.9:5060"),
            ("192.0.2.9:5060;rport", "192.0.2.9:5060;rport=40000;received=192.0.2.9"),
            ("192.0.2.8", "192.0.2.8;received=192.0.2.9"),
            ("h.test", "h.test;received=192.0.2.9"),
            ("192.0.2.9;received=198.51.100.1", "192.0.2.9;received=192.0.2.9"),
        ] {
            let reply = way_back(via).noted_in(request(via).as_bytes().clone());
            assert_eq!(reply, request(expected).as_bytes(), "{via}");
        }
    }

    #[test]
    fn a_response_goes_to_the_source_address_at_the_port_that_the_client_wants() {
        for (via, expected) in [
            ("h.test;rport", FROM),
            ("h.test:5070", "192.0.2.9:5070"),
            ("h.test", "192.0.2.9:5060"),
            ("h.test;maddr=198.51.100.1", "192.0.2.9:5060"),
            (";;", FROM),
        ] {
            assert_eq!(way_back(via).to, expected.parse().unwrap(), "{via}");
        }
    }

    fn way_back(via: &str) -> Return {
        Return::of(&request(via), FROM.parse().unwrap())
    }

    fn request(via: &str) -> Message {
        let request = format!("BYE sip:a SIP/2.0\r\nVia: SIP/2.0/UDP {via}\r\n\r\n");
        Message::parse_datagram(request.into_bytes().into()).unwrap()
    }
}
