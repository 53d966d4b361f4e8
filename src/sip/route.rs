//! The way of a request: our own values taken out of it, strict routers upstream and downstream, the next hop (RFC 3261 §16.4, §16.6(6)).

use std::borrow::Cow;
use std::net::SocketAddr;

use super::flow::{Ours, Transport};
use crate::wire::sip::{Edit, Message, Name, NameAddr, Scheme, Uri};

/// The next hop of a request, once our own part of the route has been taken out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hop<'m> {
    /// The URI that names it.
    pub uri: Uri<'m>,
    /// What named it.
    pub by: By,
}

/// What names a next hop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    /// The topmost `Route` that is not ours.
    Route,
    /// The same, of a router that is strict: it will be the Request-URI (RFC 3261 §16.6(6)).
    StrictRoute,
    /// The Request-URI: there is no `Route` left.
    RequestUri,
}

impl Hop<'_> {
    /// Returns where it is, if the URI has an IP address, and over what it is reached; names are not looked up.
    #[must_use]
    pub fn address(&self) -> Option<(Transport, SocketAddr)> {
        let transport = Transport::of_uri(&self.uri)?;
        Some((transport, self.uri.socket_addr(transport.default_port())?))
    }
}

/// Returns whether this is a URI that we put into a `Record-Route`: our address, no user, `lr`.
fn is_our_record_route(uri: &Uri<'_>, ours: Ours<'_>) -> bool {
    uri.user.is_none() && uri.param(b"lr").is_some() && uri.param(b"maddr").is_none() && ours.named_by(uri).is_some()
}

/// The parameter of our `Record-Route` that names the call. Others keep what they do not know of a route (RFC 3261 §12.1, §16.6(6)).
pub(super) const HANDLE: &str = "mth";

/// Returns the value of [`HANDLE`] in our own part of a request's way.
pub(super) fn handle_in<'m>(request: &'m Message, ours: Ours<'_>) -> Option<&'m [u8]> {
    let of = |uri: Uri<'m>| ours.named_by(&uri).and_then(|_| uri.param(HANDLE.as_bytes())).flatten();
    let by_route = || {
        let first = request.values(Name::Route).next()?;
        of(Uri::parse(NameAddr::parse(first, Name::Route.as_str()).ok()?.uri).ok()?)
    };
    let strict = Uri::parse(request.request_uri()?).ok().filter(|uri| is_our_record_route(uri, ours));
    strict.map_or_else(by_route, of)
}

/// Returns the URI without a `maddr` that is ours, and without the port and transport that led to us (RFC 3261 §16.4); nothing where it
/// has none, or another's.
fn without_our_maddr(uri: &[u8], ours: Ours<'_>) -> Option<Vec<u8>> {
    let parsed = Uri::parse(uri).ok().filter(|uri| uri.param(b"maddr").is_some())?;
    ours.named_by(&parsed)?;
    let end = uri.len() - parsed.params.as_bytes().len();
    let host_and_port = uri.get(..end)?;
    let host = match parsed.port {
        Some(_) => host_and_port.get(..memchr::memrchr(b':', host_and_port)?)?,
        None => host_and_port,
    };
    let mut bare = host.to_vec();
    for (name, value) in
        parsed.params.iter().filter(|(name, _)| ![&b"maddr"[..], b"transport"].iter().any(|led| name.eq_ignore_ascii_case(led)))
    {
        bare.push(b';');
        bare.extend_from_slice(name);
        if let Some(value) = value {
            bare.push(b'=');
            bare.extend_from_slice(value);
        }
    }
    Some(bare)
}

/// What is to be done to Request-URI and `Route` before the request goes on.
pub(super) struct Way<'m> {
    /// The Request-URI, where it is another than the one that came.
    request_uri: Option<Cow<'m, [u8]>>,
    /// The values of `Route` that stay. The URI that a strict router pushes out of the Request-URI is `pushed`.
    routes: Vec<&'m [u8]>,
    /// How many values were taken from the front; `None` where one was taken from the back, so that all are written anew.
    popped: Option<usize>,
    /// The Request-URI that goes to the end of `Route`, for a strict router downstream.
    pushed: Option<Cow<'m, [u8]>>,
    came: usize,
    hop: Option<Hop<'m>>,
    is_sips: bool,
}

impl<'m> Way<'m> {
    /// Finds the way of a request whose Request-URI and `Route` have been validated.
    pub(super) fn of(request: &'m Message, ours: Ours<'_>) -> Self {
        let mut routes: Vec<&[u8]> = request.values(Name::Route).collect();
        let came = routes.len();
        let mut uri = request.request_uri().unwrap_or_default();
        let mut popped = Some(0);

        // §16.4: the element upstream is a strict router. It has put our own value into the Request-URI, and what belongs there last.
        let strict_upstream = Uri::parse(uri).is_ok_and(|uri| is_our_record_route(&uri, ours));
        if let Some(last) = routes.last().filter(|_| strict_upstream).and_then(route_uri) {
            routes.pop();
            uri = last;
            popped = None;
        }
        // §16.4: a `maddr` that led here leads nowhere any more.
        let mut uri = without_our_maddr(uri, ours).map_or(Cow::Borrowed(uri), Cow::Owned);
        // §16.4: the first value, if it is ours. And the second, if it is ours by another end: that is the other half of one passage
        // (RFC 5658 §6); by the same end it is another passage of a spiral.
        let named = |value: Option<&&'m [u8]>| value.and_then(parsed).and_then(|uri| ours.named_by(&uri));
        if let Some(first) = named(routes.first()) {
            let both = named(routes.get(1)).is_some_and(|second| second != first);
            let taken = if both { 2 } else { 1 };
            routes.drain(..taken);
            popped = popped.map(|popped| popped + taken);
        }
        // §16.6(6): a strict router downstream finds itself in the Request-URI, and what stood there at the end of the route.
        let next = routes.first().and_then(parsed);
        let mut pushed = None;
        let hop = match next {
            Some(next) if next.param(b"lr").is_none() => {
                routes.remove(0);
                popped = popped.map(|popped| popped + 1);
                pushed = Some(uri);
                uri = Cow::Borrowed(next.raw);
                Some(Hop { uri: next, by: By::StrictRoute })
            }
            Some(next) => Some(Hop { uri: next, by: By::Route }),
            None => match &uri {
                Cow::Borrowed(uri) => Uri::parse(uri).ok().map(|uri| Hop { uri, by: By::RequestUri }),
                // The next hop of what was sent to us is whoever is on the other side.
                Cow::Owned(_) => None,
            },
        };
        let request_uri = (Some(&*uri) != request.request_uri()).then_some(uri);
        let uris = [request_uri.as_deref().or_else(|| request.request_uri()), routes.first().and_then(route_uri)];
        let is_sips = uris.into_iter().flatten().any(|uri| Uri::parse(uri).is_ok_and(|uri| uri.scheme == Scheme::Sips));
        Self { request_uri, routes, popped, pushed, came, hop, is_sips }
    }

    /// Returns whether the request that goes on asks for TLS all the way: by its Request-URI, or its first `Route`.
    pub(super) const fn is_sips(&self) -> bool {
        self.is_sips
    }

    /// Returns the next hop; none where the request was sent to us alone, or its URI cannot be read, which validation rules out.
    pub(super) const fn hop(&self) -> Option<Hop<'m>> {
        self.hop
    }

    /// Writes the way into the request that goes on.
    pub(super) fn edit<'e>(&self, mut edit: Edit<'e>) -> Edit<'e> {
        if let Some(uri) = &self.request_uri {
            edit = edit.request_uri(uri);
        }
        edit = match self.popped {
            Some(popped) => edit.pop_route(popped),
            None => self.routes.iter().fold(edit.pop_route(self.came), |edit, route| edit.append_route(route)),
        };
        match &self.pushed {
            Some(uri) => edit.append_route(&[b"<", &**uri, b">"].concat()),
            None => edit,
        }
    }
}

/// Returns the URI of a value of `Route`.
fn route_uri<'m>(value: &&'m [u8]) -> Option<&'m [u8]> {
    NameAddr::parse(value, Name::Route.as_str()).ok().map(|route| route.uri)
}

/// Returns the URI of a value of `Route`, where it is one that requests can be sent to.
fn parsed<'m>(value: &&'m [u8]) -> Option<Uri<'m>> {
    route_uri(value).and_then(|uri| Uri::parse(uri).ok()).filter(|uri| matches!(uri.scheme, Scheme::Sip | Scheme::Sips))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use bytes::Bytes;

    use super::super::flow::{End, Own};
    use super::*;

    const US: &str = "sip:192.0.2.1:5060;lr";

    #[test]
    fn without_a_route_the_request_uri_names_the_next_hop() {
        assert_eq!(
            way("sip:b@192.0.2.9:5080", &[]),
            ("sip:b@192.0.2.9:5080".into(), vec![], By::RequestUri, "192.0.2.9:5080".into())
        );
    }

    #[test]
    fn our_own_route_is_taken_out_once() {
        let ours = format!("<{US}>");

        assert_eq!(
            way("sip:b@192.0.2.9", &[&ours, "<sip:192.0.2.7;lr>"]),
            ("sip:b@192.0.2.9".into(), vec!["<sip:192.0.2.7;lr>".into()], By::Route, "192.0.2.7:5060".into())
        );
        assert_eq!(way("sip:b@192.0.2.9", &[&ours]).1, Vec::<String>::new());
        assert_eq!(way("sip:b@192.0.2.9", &["<sip:192.0.2.1;lr>"]).1, Vec::<String>::new(), "5060 is the default");
        assert_eq!(
            way("sip:b@192.0.2.9", &[&ours, &ours]).1.as_slice(),
            std::slice::from_ref(&ours),
            "the second is another passage"
        );
        assert_eq!(way("sip:b@192.0.2.9", &["<sip:192.0.2.7;lr>", &ours]).1, ["<sip:192.0.2.7;lr>", &ours], "only the first");
    }

    #[test]
    fn both_halves_of_a_passage_between_two_ends_are_taken_out() {
        let (udp, tls, theirs) = (format!("<{US}>"), "<sip:192.0.2.1:5061;transport=tls;lr>", "<sip:192.0.2.7;lr>");

        assert_eq!(way("sip:b@192.0.2.9", &[&udp, tls, theirs]).1, [theirs]);
        assert_eq!(way("sip:b@192.0.2.9", &[tls, &udp]).1, Vec::<String>::new());
        assert_eq!(way("sip:b@192.0.2.9", &[tls, &udp, tls, &udp]).1, [tls, &udp], "another passage");
    }

    #[test]
    fn our_record_route_in_the_request_uri_is_replaced_by_the_last_route() {
        assert_eq!(
            way(US, &["<sip:192.0.2.7;lr>", "<sip:b@192.0.2.9:5080>"]),
            ("sip:b@192.0.2.9:5080".into(), vec!["<sip:192.0.2.7;lr>".into()], By::Route, "192.0.2.7:5060".into())
        );
        assert_eq!(
            way(US, &["<sip:b@192.0.2.9:5080>"]),
            ("sip:b@192.0.2.9:5080".into(), vec![], By::RequestUri, "192.0.2.9:5080".into())
        );
    }

    #[test]
    fn a_request_to_our_address_that_is_no_record_route_stays() {
        assert_eq!(way(US, &[]).0, US);
        assert_eq!(way("sip:b@192.0.2.1:5060;lr", &["<sip:192.0.2.7;lr>"]).0, "sip:b@192.0.2.1:5060;lr");
        assert_eq!(way("sip:192.0.2.1:5060", &["<sip:192.0.2.7;lr>"]).0, "sip:192.0.2.1:5060");
    }

    #[test]
    fn a_maddr_of_ours_is_taken_out_of_the_request_uri_with_what_led_to_it() {
        for (came, goes_on) in [
            ("sip:b@h.test;maddr=192.0.2.1", "sip:b@h.test"),
            ("sip:b@h.test:5060;transport=udp;x=%41;maddr=192.0.2.1;lr", "sip:b@h.test;x=%41;lr"),
            ("sip:b@[2001:db8::1]:5060;maddr=192.0.2.1", "sip:b@[2001:db8::1]"),
            ("sip:b@h.test;maddr=192.0.2.2", "sip:b@h.test;maddr=192.0.2.2"),
            ("sip:b@h.test:5070;maddr=192.0.2.1", "sip:b@h.test:5070;maddr=192.0.2.1"),
            ("sip:b@h.test;maddr=elsewhere.test", "sip:b@h.test;maddr=elsewhere.test"),
        ] {
            assert_eq!(way(came, &["<sip:192.0.2.7;lr>"]).0, goes_on, "{came}");
        }
        assert_eq!(
            way("sip:b@h.test;maddr=192.0.2.1", &["<sip:192.0.2.7>"]).1,
            ["<sip:b@h.test>"],
            "also where a strict router pushes it back"
        );
    }

    #[test]
    fn a_strict_router_downstream_finds_itself_in_the_request_uri() {
        let ours = format!("<{US}>");

        assert_eq!(
            way("sip:b@192.0.2.9", &[&ours, "<sip:192.0.2.7:5070>", "\"x\" <sip:192.0.2.8;lr>"]),
            (
                "sip:192.0.2.7:5070".into(),
                vec!["\"x\" <sip:192.0.2.8;lr>".into(), "<sip:b@192.0.2.9>".into()],
                By::StrictRoute,
                "192.0.2.7:5070".into()
            )
        );
    }

    #[test]
    fn strict_routers_on_both_sides_are_served() {
        assert_eq!(
            way(US, &["<sip:192.0.2.7>", "<sip:192.0.2.8;lr>", "<sip:b@192.0.2.9>"]),
            (
                "sip:192.0.2.7".into(),
                vec!["<sip:192.0.2.8;lr>".into(), "<sip:b@192.0.2.9>".into()],
                By::StrictRoute,
                "192.0.2.7:5060".into()
            )
        );
    }

    #[test]
    fn an_escaped_lr_is_lr() {
        assert_eq!(way("sip:b@192.0.2.9", &["<sip:192.0.2.7;%6C%72>"]).2, By::Route);
    }

    /// Request-URI, routes, what names the next hop, and where it is.
    fn way(uri: &str, routes: &[&str]) -> (String, Vec<String>, By, String) {
        let routes: String = routes.iter().map(|route| format!("Route: {route}\r\n")).collect();
        let request = format!("BYE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP h.test\r\n{routes}To: <sip:b@h.test>\r\n\r\n");
        let request = Message::parse_datagram(request.into_bytes().into()).unwrap();
        let owns = owns();
        let way = Way::of(&request, Ours(&owns));
        let hop = way.hop().unwrap();
        let sent = Message::parse_datagram(way.edit(Edit::new(&request)).finish()).unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (
            text(sent.request_uri().unwrap()),
            sent.values(Name::Route).map(text).collect(),
            hop.by,
            hop.address().map_or_else(String::new, |(_, address)| address.to_string()),
        )
    }

    fn owns() -> Vec<Own> {
        let end = |transport, address: &str| Own::of(End { transport, address: address.parse().unwrap() });
        vec![end(Transport::Udp, "192.0.2.1:5060"), end(Transport::Tls, "192.0.2.1:5061")]
    }

    #[test]
    fn nothing_else_of_the_request_changes() {
        let request = Bytes::from_static(b"BYE sip:b@h SIP/2.0\r\nroute : <sip:192.0.2.1;lr> ,\r\n <sip:r;lr>\r\nX:  y \r\n\r\n");
        let request = Message::parse_datagram(request).unwrap();

        let sent = Way::of(&request, Ours(&owns())).edit(Edit::new(&request)).finish();

        assert_eq!(sent, &b"BYE sip:b@h SIP/2.0\r\nroute : <sip:r;lr>\r\nX:  y \r\n\r\n"[..]);
    }
}
