//! What a transport asks of SIP: our `Via`, what is noted in a client's, and where a response goes (RFC 3261 §18, RFC 3581).

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::branch::Branch;
use super::flow::{Flow, Ours, Transport};
use crate::wire::sip::{Edit, Message, Via};

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

/// Returns whether this `Via` has a sent-by of ours.
pub(super) fn is_ours(via: &Via<'_>, ours: Ours<'_>) -> bool {
    via.host_ip().is_some_and(|ip| ours.has(SocketAddr::new(ip, sent_by_port(via))))
}

/// Returns the port of sent-by; where it names none, that of its transport (RFC 3261 §18.2.2).
fn sent_by_port(via: &Via<'_>) -> u16 {
    let is_tls = via.transport.eq_ignore_ascii_case(Transport::Tls.in_via().as_bytes());
    let default = if is_tls { Transport::Tls } else { Transport::Udp }.default_port();
    via.port.unwrap_or(default)
}

/// The way that responses to a request go, read once from its topmost `Via`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Return {
    /// Where they go (RFC 3261 §18.2.2, RFC 3581 §4): over a stream, the connection that the request came over.
    ///
    /// Always to the IP address that the request came from, which is a peer's; `maddr` is not followed: it would let whoever can send
    /// in a peer's name choose a third host.
    pub(super) to: Flow,
    /// Where a new connection leads if that one is closed by then (RFC 3261 §18.2.2); nothing over UDP.
    pub(super) or: Option<SocketAddr>,
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
    /// Returns the way back of a request that came this way. Where its `Via` cannot be read, that is the source.
    pub(super) fn of(request: &Message, from: Flow, ours: Ours<'_>) -> Self {
        let is_stream = ours.get(from.end).is_some_and(|own| own.end.transport.is_reliable());
        let Ok(via) = request.top_via() else { return Self { to: from, or: None, noted: None } };
        let (asked, ip) = (via.rport.is_some(), from.far.ip());
        let is_elsewhere = via.host_ip() != Some(ip) || via.received.is_some();
        let sent_by = SocketAddr::new(ip, sent_by_port(&via));
        Self {
            to: if asked || is_stream { from } else { Flow { far: sent_by, ..from } },
            or: is_stream.then_some(sent_by),
            noted: (asked || is_elsewhere).then(|| Noted { received: ip, rport: asked.then(|| from.far.port()) }),
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
    use super::super::flow::{End, Own};
    use super::*;

    const HERE: &str = "192.0.2.1:5060";
    const FROM: &str = "192.0.2.9:40000";

    #[test]
    fn our_via_is_recognised_when_it_comes_back() {
        let branch = Branch { unique: 1, loop_hash: 2 };
        for here in [HERE, "[2001:db8::1]:5080"] {
            let own = own(here);
            let start = &own.via_start;
            let value = own_via(start, branch);
            assert_eq!(branch_as_sent(&value, start), Some(branch));
            for other in [";rport=5060;branch=", ";rport=;branch="] {
                let value = String::from_utf8(value.clone()).unwrap().replace(";rport;branch=", other) + ";received=192.0.2.1";
                assert_eq!(branch_as_sent(value.as_bytes(), start), Some(branch), "{other}");
            }
            for other in [";branch=", ";rport;x;branch=", ";rportbranch=", ";rport=a;branch="] {
                let value = String::from_utf8(value.clone()).unwrap().replace(";rport;branch=", other);
                assert_eq!(branch_as_sent(value.as_bytes(), start), None, "{other}");
            }
            let via = Via::parse(&value).unwrap();
            assert!(is_ours(&via, Ours(&[own])) && via.branch.and_then(Branch::parse) == Some(branch));
        }
        for other in ["SIP/2.0/UDP 192.0.2.1:5061", "SIP/2.0/UDP 192.0.2.2", "SIP/2.0/UDP h.test:5060"] {
            assert!(!is_ours(&Via::parse(other.as_bytes()).unwrap(), Ours(&[own(HERE)])));
        }
        assert!(is_ours(&Via::parse(b"SIP/2.0/UDP 192.0.2.1").unwrap(), Ours(&[own(HERE)])));
        assert!(is_ours(&Via::parse(b"SIP/2.0/TLS 192.0.2.1").unwrap(), Ours(&[own("192.0.2.1:5061")])), "the port of TLS");
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
            assert_eq!(way_back(via).to, Flow::first(expected.parse().unwrap()), "{via}");
        }
    }

    #[test]
    fn over_a_stream_a_response_goes_back_over_it_or_to_the_sent_by() {
        let from = Flow::first(FROM.parse().unwrap());
        let end = End { transport: Transport::Tcp, address: HERE.parse().unwrap() };

        let back = Return::of(&request("h.test:5070"), from, Ours(&[Own::of(end)]));

        assert_eq!((back.to, back.or), (from, Some("192.0.2.9:5070".parse().unwrap())));
    }

    fn way_back(via: &str) -> Return {
        Return::of(&request(via), Flow::first(FROM.parse().unwrap()), Ours(&[own(HERE)]))
    }

    fn own(here: &str) -> Own {
        Own::of(End { transport: Transport::Udp, address: here.parse().unwrap() })
    }

    fn request(via: &str) -> Message {
        let request = format!("BYE sip:a SIP/2.0\r\nVia: SIP/2.0/UDP {via}\r\n\r\n");
        Message::parse_datagram(request.into_bytes().into()).unwrap()
    }
}
