//! The PBX and the trunks: where they are, by which of our ends they are spoken to, and how each of them is told from the others.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::call::{End, EndId, MediaAs, Registrations, Spread, Transport};
use crate::control::config::parse::{SipRead, each, name};
use crate::control::config::section::{Found, Notes, Section};
use crate::control::config::{Host, Latching, Network, Peer, Trunk, address};
use crate::ids::TrunkName;
use crate::limits::PEER_ADDRESSES;

/// The address that stands first, and over what it is spoken to.
type FirstAddress = Found<(Transport, SocketAddr)>;

/// A peer as far as it could be read.
pub(super) struct PeerRead {
    address: Option<FirstAddress>,
    host: Option<Found<HostRead>>,
    others: Vec<Found<SocketAddr>>,
    spread: Option<Spread>,
    priority: Option<Option<u16>>,
    weight: Option<u16>,
    takes_calls: Option<bool>,
    options_every: Option<Option<Duration>>,
    /// By which of our addresses it is to be spoken to; nothing where that cannot be read.
    local: Option<Option<Found<SocketAddr>>>,
    tls_name: Option<Found<String>>,
    networks: Vec<Found<Network>>,
    latching: Option<Latching>,
    media_networks: Vec<Found<Network>>,
    media_as: Option<MediaAs>,
    /// Where that is said, right or wrong.
    media_as_line: Option<usize>,
    /// By which of our ends it is spoken to, once that is settled.
    end: Option<EndId>,
    /// What becomes of registrations with it: of a trunk alone.
    registrations: Option<Registrations>,
}

impl PeerRead {
    /// Returns the whole peer, where all of it could be read.
    ///
    /// `nth` is the priority where none is said: each trunk comes after those that stand before it.
    pub(super) fn whole(self, nth: u16) -> Option<Peer> {
        let all = |networks: Vec<Found<Network>>| networks.into_iter().map(|found| found.value).collect();
        let local = self.local?.map(|found| found.value);
        let host = self.host.map(|found| found.value);
        let ((transport, address), host) = match (self.address, host) {
            (Some(address), _) => (address.value, None),
            (None, Some(HostRead { name, port, spoken, is_said })) => {
                let first = spoken.first().copied().unwrap_or(Transport::Udp);
                ((first, NOWHERE), Some(Host { name, port, spoken, is_said, local }))
            }
            (None, None) => return None,
        };
        Some(Peer {
            address,
            host,
            others: self.others.into_iter().map(|found| found.value).collect(),
            spread: self.spread?,
            priority: self.priority?.unwrap_or(nth),
            weight: self.weight?,
            takes_calls: self.takes_calls?,
            options_every: self.options_every?,
            transport,
            end: self.end?,
            tls_name: self.tls_name.map(|found| found.value),
            networks: all(self.networks),
            latching: self.latching?,
            media_as: self.media_as,
            media_networks: all(self.media_networks),
        })
    }
}

/// Returns all trunks, where all of each could be read.
pub(super) fn whole(trunks: Vec<(TrunkName, PeerRead)>) -> Option<Vec<Trunk>> {
    let whole = |((name, peer), nth): ((TrunkName, PeerRead), u16)| {
        let registrations = peer.registrations?;
        Some(Trunk { name, peer: peer.whole(nth)?, registrations })
    };
    trunks.into_iter().zip(0..).map(whole).collect()
}

pub(super) fn peer(section: &Section<'_>, notes: &mut Notes) -> PeerRead {
    let host = host(section, notes);
    let (address, others) = if host.is_some() { (None, Vec::new()) } else { addresses(section, notes) };
    let local = match section.text("local", "\"192.0.2.1:5060\"", notes) {
        None if section.line_of("local", notes).is_some() => None,
        None => Some(None),
        Some(found) => address::socket(section, "local", &found, notes).map(Some),
    };
    let transport = match &host {
        // Where the domain chooses, nothing that needs TLS is promised.
        Some(host) => Some(if let [only] = *host.value.spoken { only } else { Transport::Udp }),
        None => address.as_ref().map(|found| found.value.0),
    };
    let tls_name = tls_name(section, transport, notes);
    let networks = address::networks(section, "networks", notes);
    let words = [("strict", Latching::Strict), ("learn", Latching::Learn)];
    let latching = section.word_or("latching", &words, Latching::Strict, notes);
    let media_networks = address::networks(section, "media_networks", notes);
    if let Some(all) = media_networks.iter().find(|network| network.value.prefix() == 0) {
        notes.warning(
            all.line,
            format!("`{}` in `media_networks` of {} is every address there is", all.value, section.name),
            "whoever sends media first may be taken for the party: name the networks that the peer's media comes from",
        );
    }
    let media_as_line = section.line_of("media_as", notes);
    let media_as = media_as(section, transport, notes);
    let spreads = [("in-order", Spread::InOrder), ("evenly", Spread::Evenly)];
    let spread = section.word_or("spread", &spreads, Spread::InOrder, notes);
    let takes_calls = section.word_or("takes_calls", &[("yes", true), ("no", false)], true, notes);
    let priority = small(section, "priority", notes);
    let weight = small(section, "weight", notes).map(|weight| weight.unwrap_or(1));
    let options_every = options_every(section, notes);
    PeerRead {
        address,
        host,
        others,
        spread,
        priority,
        weight,
        takes_calls,
        options_every,
        local,
        tls_name,
        networks,
        latching,
        media_networks,
        media_as,
        media_as_line,
        end: None,
        registrations: None,
    }
}

/// A name, as it is said.
#[derive(Clone)]
struct HostRead {
    name: String,
    port: Option<u16>,
    /// The one that is said, or none until it is known which are listened on.
    spoken: Vec<Transport>,
    is_said: bool,
}

/// The address of who was not looked up yet: nothing is sent there.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Reads a name in the place of an address: `sip.carrier.example`, `tls sip.carrier.example`, `sip.carrier.example:5070`. Nothing where it is
/// an address, or neither; whoever reads addresses says so.
fn host(section: &Section<'_>, notes: &Notes) -> Option<Found<HostRead>> {
    let line = section.line_of("address", notes)?;
    let text = section.peek("address")?.trim();
    let (transport, rest) = match text.split_once(char::is_whitespace) {
        Some((word, rest)) => (Some(Transport::ALL.into_iter().find(|known| known.as_str() == word)?), rest.trim()),
        None => (None, text),
    };
    let (name, port) = match rest.rsplit_once(':') {
        Some((name, port)) => (name, Some(port.parse::<u16>().ok().filter(|port| *port > 0)?)),
        None => (rest, None),
    };
    let is_label =
        |label: &str| !label.is_empty() && label.len() < 64 && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let is_name = name.len() < 254
        && name.trim_end_matches('.').split('.').all(is_label)
        && name.trim_end_matches('.').rsplit('.').next().is_some_and(|last| last.bytes().any(|b| b.is_ascii_alphabetic()));
    is_name.then(|| Found {
        value: HostRead { name: name.to_owned(), port, spoken: transport.into_iter().collect(), is_said: transport.is_some() },
        line,
    })
}

/// Reads the addresses of a peer: one, or a list in the order in which they are tried.
fn addresses(section: &Section<'_>, notes: &mut Notes) -> (Option<FirstAddress>, Vec<Found<SocketAddr>>) {
    if !section.is_list("address") {
        let found = section.required("address", "\"192.0.2.10:5060\"", notes);
        return (found.and_then(|found| address::peer(section, "address", &found, notes)), Vec::new());
    }
    let texts = section
        .texts("address", "[\"192.0.2.10:5060\", \"192.0.2.11:5060\"]", notes)
        .map(|found| found.value)
        .unwrap_or_default();
    if texts.is_empty() || texts.len() > PEER_ADDRESSES {
        let what = format!("`address` of {} has {} addresses", section.name, texts.len());
        notes.error(section.line_of("address", notes), what, format!("from 1 to {PEER_ADDRESSES} are possible"));
    }
    let mut all = texts.iter().map(|found| address::peer(section, "address", found, notes)).collect::<Vec<_>>().into_iter();
    let first = all.next().flatten();
    let mut others: Vec<Found<SocketAddr>> = Vec::new();
    for Found { value: (transport, address), line } in all.flatten() {
        let Some(first) = &first else { continue };
        if transport != first.value.0 || address.is_ipv4() != first.value.1.is_ipv4() {
            notes.error(
                line,
                format!("the addresses of {} are over different transports, or of different IP versions", section.name),
                "write them alike, as [\"tls 192.0.2.10:5061\", \"tls 192.0.2.11:5061\"]; a carrier's other transport is another [[trunk]]",
            );
        } else if address == first.value.1 || others.iter().any(|other| other.value == address) {
            notes.error(line, format!("`address` of {} has {address} twice", section.name), "leave one of them out");
        }
        others.push(Found { value: address, line });
    }
    (first, others)
}

/// Reads how often a peer is asked whether it is there.
fn options_every(section: &Section<'_>, notes: &mut Notes) -> Option<Option<Duration>> {
    if section.line_of("options_every_s", notes).is_none() {
        return Some(None);
    }
    let seconds = section.number("options_every_s", 0..=3600, "of seconds, and 0 for never,", notes)?.value;
    Some((seconds > 0).then(|| Duration::from_secs(seconds)))
}

/// Reads a small number that may be left out.
fn small(section: &Section<'_>, key: &str, notes: &mut Notes) -> Option<Option<u16>> {
    if section.line_of(key, notes).is_none() {
        return Some(None);
    }
    let found = section.number(key, 0..=u16::MAX.into(), "", notes)?;
    u16::try_from(found.value).ok().map(Some)
}

/// Reads how a peer's media are carried, and whether SRTP keys may be said to it.
fn media_as(section: &Section<'_>, transport: Option<Transport>, notes: &mut Notes) -> Option<MediaAs> {
    let words = [("rtp", MediaAs::Rtp), ("srtp", MediaAs::Srtp), ("either", MediaAs::Either)];
    let said = section.word("media_as", &words, notes);
    let may_be_read = match section.line_of("srtp_keys", notes) {
        None => false,
        Some(line) => {
            let words = [("over-tls", false), ("in-clear", true)];
            let found = section.word("srtp_keys", &words, notes)?;
            let is_wrong = said.is_none() && section.line_of("media_as", notes).is_some();
            if found.value && !is_wrong && said.as_ref().is_none_or(|said| said.value == MediaAs::Rtp) {
                notes.warning(
                    line,
                    format!("`srtp_keys` of {} says something of keys, and there will be none", section.name),
                    "write media_as = \"srtp\" or \"either\" beside it, or leave it out",
                );
            }
            found.value
        }
    };
    let is_open = transport.is_some_and(|transport| transport != Transport::Tls);
    if let Some(said) = said.as_ref().filter(|said| said.value != MediaAs::Rtp && !may_be_read && is_open) {
        let over = if transport == Some(Transport::Tcp) { "TCP" } else { "UDP" };
        notes.error(
            said.line,
            format!("`media_as` of {} would say SRTP keys over {over}, where whoever is on the way can read them", section.name),
            "write its address as \"tls IP:PORT\"; or, where that network is your own, srtp_keys = \"in-clear\" below it",
        );
    }
    said.map(|said| said.value)
}

/// Reads the name that a peer's certificate must be for.
fn tls_name(section: &Section<'_>, transport: Option<Transport>, notes: &mut Notes) -> Option<Found<String>> {
    let found = section.text("tls_name", "\"sip.carrier.example\"", notes)?;
    if transport.is_some_and(|transport| transport != Transport::Tls) {
        notes.warning(
            found.line,
            format!("`tls_name` of {} is not looked at: it is not spoken to over TLS", section.name),
            "write its address as \"tls IP:PORT\", or leave the name out",
        );
    }
    if crate::tls::PeerName::new(&found.value).is_none() {
        notes.error(
            found.line,
            format!("`tls_name` of {} is no name of a host: `{}`", section.name, crate::control::config::section::printable(&found.value)),
            "write the name that stands in its certificate, as \"sip.carrier.example\"; without one, it must be for its IP address",
        );
        return None;
    }
    Some(found)
}

pub(super) fn trunks(document: &Section<'_>, notes: &mut Notes) -> Vec<(TrunkName, PeerRead)> {
    let mut seen = BTreeMap::new();
    let mut trunks = Vec::new();
    for section in each(document, "trunk", notes) {
        let name = name(&section, "trunk", &mut seen, notes);
        let mut peer = peer(&section, notes);
        peer.registrations = registrations(&section, notes);
        trunks.push((TrunkName::new(&name.map_or_else(String::new, |found| found.value)), peer));
    }
    if document.line_of("trunk", notes).is_none() {
        notes.missing(
            None,
            "there is no [[trunk]]",
            "write [[trunk]], and below it, for example: name = \"carrier\" and address = \"198.51.100.20:5060\"",
        );
    }
    trunks
}

/// Reads what becomes of registrations. Nothing said, a carrier is told contacts of ours: that needs nothing of it, and where `path` is not
/// heeded or contacts pass as they came, its calls go past us and nobody sees it.
fn registrations(section: &Section<'_>, notes: &mut Notes) -> Option<Registrations> {
    let words = [("contact", Registrations::Contact), ("path", Registrations::Path), ("as-they-come", Registrations::AsTheyCome)];
    section.word_or("registrations", &words, Registrations::Contact, notes)
}

/// Settles by which of our ends each peer is spoken to, and notes what cannot be, or cannot be told apart.
pub(super) fn settle(sip: Option<&SipRead>, pbx: Option<&mut PeerRead>, trunks: &mut [(TrunkName, PeerRead)], notes: &mut Notes) {
    let listen = sip.and_then(|sip| sip.listen.as_ref());
    let pbx = pbx.map(|peer| ("the PBX".to_owned(), peer));
    let trunks = trunks.iter_mut().map(|(name, peer)| (format!("trunk `{name}`"), peer));
    let mut before: Vec<(String, &PeerRead)> = Vec::new();
    for (name, peer) in pbx.into_iter().chain(trunks) {
        if let Some(listen) = listen {
            peer.end = if let Some(host) = &mut peer.host {
                // A port without a transport is UDP (RFC 3263 §4.1).
                if host.value.spoken.is_empty() && host.value.port.is_some() {
                    host.value.spoken.push(Transport::Udp);
                }
                if host.value.spoken.is_empty() {
                    let listened = |transport| listen.iter().any(|end| end.value.transport == transport);
                    host.value.spoken = Transport::ALL.into_iter().filter(|&transport| listened(transport)).collect();
                }
                end_of_host(&name, host, listen, notes)
            } else {
                end_of(&name, peer, listen, notes)
            };
        }
        for (other_name, other) in &before {
            tell_apart((&name, peer), (other_name, other), notes);
        }
        before.push((name, peer));
    }
}

/// Returns the end by which a peer is spoken to: the first of its transport and IP version, or the one that it names.
fn end_of(name: &str, peer: &PeerRead, listen: &[Found<End>], notes: &mut Notes) -> Option<EndId> {
    let Found { value: (transport, address), line } = *peer.address.as_ref()?;
    if let Some(own) = listen.iter().find(|own| own.value.address == address) {
        let what = format!("{name} has the address that the proxy listens on");
        notes.error(line, what, "name the peer's own address, or another one for `sip.listen`");
        return u8::try_from(listen.iter().position(|end| end.value == own.value)?).ok().map(EndId);
    }
    let local = peer.local.as_ref()?.as_ref();
    let fits = |end: &End| end.transport == transport && end.address.is_ipv4() == address.is_ipv4();
    let at = listen.iter().position(|end| fits(&end.value) && local.is_none_or(|local| local.value == end.value.address));
    if at.is_none() {
        let version = if address.is_ipv4() { "IPv4" } else { "IPv6" };
        let over = transport.as_str();
        match local {
            Some(local) => notes.error(
                local.line,
                format!("`local` of {name} is no address of `sip.listen` over {over} and {version}"),
                format!("add \"{over} {}\" to `sip.listen`, or name one that stands there", local.value),
            ),
            None => notes.error(
                line,
                format!("{name} is spoken to over {over} and {version}, and `sip.listen` has no such address"),
                format!(
                    "add one of this machine to `sip.listen`: listen = [\"{}\", \"{over} IP:{}\"]",
                    first(listen),
                    transport.default_port()
                ),
            ),
        }
    }
    at.and_then(|at| u8::try_from(at).ok()).map(EndId)
}

/// Returns an end by which a name may be spoken to; which one it will be is seen when it was looked up.
fn end_of_host(name: &str, host: &Found<HostRead>, listen: &[Found<End>], notes: &mut Notes) -> Option<EndId> {
    let at = listen.iter().position(|end| host.value.spoken.contains(&end.value.transport));
    if at.is_none() {
        let over = host.value.spoken.first().map_or("udp", |transport| transport.as_str());
        notes.error(
            host.line,
            format!("{name} is spoken to over {over}, and `sip.listen` has no such address"),
            format!("add one of this machine to `sip.listen`: listen = [\"{}\", \"{over} IP:PORT\"]", first(listen)),
        );
    }
    at.and_then(|at| u8::try_from(at).ok()).map(EndId)
}

fn first(listen: &[Found<End>]) -> String {
    listen.first().map_or_else(String::new, |end| format!("{} {}", end.value.transport.as_str(), end.value.address))
}

fn tell_apart((name, peer): (&str, &PeerRead), (other_name, other): (&str, &PeerRead), notes: &mut Notes) {
    if let (Some(one), Some(two)) = (&peer.address, &other.address) {
        let ((one_over, one_at), (two_over, two_at)) = (one.value, two.value);
        if one_at == two_at {
            let what = format!("{name} has the same address as {other_name}, on line {}", two.line);
            notes.error(one.line, what, "they are told apart by their addresses: give each its own");
        } else if one_at.ip() == two_at.ip() && one_over.is_reliable() && two_over.is_reliable() && peer.end == other.end {
            // The port that a connection comes from is anybody's.
            let what =
                format!("{name} connects from the same host as {other_name}, on line {}, and to the same address", two.line);
            notes.error(
                one.line,
                what,
                "they cannot be told apart: add an address to `sip.listen`, and name it as `local` of one of them",
            );
        }
    }
    let clash = peer.networks.iter().find(|one| other.networks.iter().any(|two| two.value.overlaps(one.value)));
    if let Some(clash) = clash {
        let what = format!("the network `{}` of {name} overlaps one of {other_name}", clash.value);
        notes.warning(clash.line, what, format!("what comes from both is taken for {other_name}'s"));
    }
}

/// SRTP ends here on both sides or on neither.
pub(super) fn check_media_as(pbx: Option<&PeerRead>, trunks: &[(TrunkName, PeerRead)], notes: &mut Notes) {
    let Some(pbx) = pbx else { return };
    for (name, trunk) in trunks {
        let (line, has, lacks) = match (pbx.media_as_line, trunk.media_as_line) {
            (Some(line), None) => (line, "[pbx]".to_owned(), format!("trunk `{name}`")),
            (None, Some(line)) => (line, format!("trunk `{name}`"), "[pbx]".to_owned()),
            (Some(_), Some(_)) | (None, None) => continue,
        };
        notes.error(
            line,
            format!("{has} says `media_as`, and {lacks} does not"),
            format!("say it for {lacks} as well: media_as = \"rtp\" where it takes plain RTP, \"srtp\" where it must not, or \"either\""),
        );
    }
}
