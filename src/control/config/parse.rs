//! From text to settings: everything is read, everything wrong is noted, and only what is wholly right becomes [`Settings`].

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeTable;

use crate::call::{DeadMedia, MediaAs, WhenDead};
use crate::control::config::section::{Found, Notes, Section, printable};
use crate::control::config::settings::NodeKeyFile;
use crate::control::config::{
    Latching, Media, MediaIo, Mistake, Network, Peer, Recipient, Settings, Sip, Strangers, Trunk, Weight, address, policies,
};
use crate::ids::TrunkName;
use crate::limits;

/// What was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// All settings, where there is no mistake that weighs as an error.
    pub settings: Option<Settings>,
    /// Every mistake, in the order of the lines.
    pub mistakes: Vec<Mistake>,
    /// The data directory, where at least that could be read: whoever looks after calls and recordings needs no more.
    pub data: Option<PathBuf>,
    /// The node's signing key, likewise.
    pub node_key: Option<NodeKeyFile>,
}

/// The sections, and the settings of each.
pub(super) const SECTIONS: [(&str, &[&str]); 9] = [
    ("sip", &["listen", "strangers", "dscp", "emergency_numbers"]),
    ("pbx", &["address", "networks", "latching", "media_networks", "media_as", "srtp_keys"]),
    ("trunk", &["name", "address", "networks", "latching", "media_networks", "media_as", "srtp_keys"]),
    ("media", &["address", "pbx_address", "trunk_address", "ports", "threads", "io", "dscp", "dead_after_s", "when_dead"]),
    ("metrics", &["listen"]),
    ("data", &["directory"]),
    ("keys", &["node"]),
    ("recipient", &["name", "purposes", "public_key"]),
    ("policy", &policies::SETTINGS),
];

/// Reads a configuration.
#[must_use]
pub fn parse(text: &str) -> Report {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut notes = Notes::new(text, !errors.is_empty());
    for error in errors {
        let line = error.span().map(|span| notes.line(&span));
        notes.error(
            line,
            format!("this is no TOML: {}", error.message()),
            "texts stand in \"double quotes\", lists in [brackets], sections in [brackets] on a line of their own",
        );
    }
    let mut settings = read(&Section::document(document.get_ref()), &mut notes);
    let Notes { mut mistakes, .. } = notes;
    // What is missing altogether comes last.
    mistakes.sort_by_key(|mistake| mistake.line.unwrap_or(usize::MAX));
    if mistakes.iter().any(|mistake| mistake.weight == Weight::Error) {
        settings.whole = None;
    }
    Report { settings: settings.whole, mistakes, data: settings.data, node_key: settings.node_key }
}

struct Read {
    whole: Option<Settings>,
    data: Option<PathBuf>,
    node_key: Option<NodeKeyFile>,
}

fn read(document: &Section<'_>, notes: &mut Notes) -> Read {
    document.knows(&SECTIONS.map(|(name, _)| name), notes);
    let sip = single(document, "sip", "listen = \"udp 192.0.2.1:5060\"", notes).map(|section| sip(&section, notes));
    let pbx = single(document, "pbx", "address = \"192.0.2.10:5060\"", notes).map(|section| peer(&section, notes));
    let trunks = trunks(document, notes);
    let media = single(document, "media", "address = \"192.0.2.1\" and ports = \"20000-60000\"", notes)
        .map(|section| media(&section, notes));
    let metrics = optional(document, "metrics", notes).map_or(Some(METRICS), |section| metrics(&section, notes));
    let data = single(document, "data", "directory = \"/var/lib/mitschnitt\"", notes)
        .and_then(|section| section.required("directory", "\"/var/lib/mitschnitt\"", notes))
        .map(|found| PathBuf::from(found.value));
    let node_key = node_key(document, data.as_ref(), notes);
    let recipients = recipients(document, notes);
    let names = trunks.iter().map(|trunk| trunk.0.clone()).collect::<Vec<_>>();
    let policies = policies::policies(document, &names, notes);

    policies::check_together(&policies, &recipients, notes);
    let policies = policies.right;
    check_peers(sip.as_ref(), pbx.as_ref(), &trunks, notes);
    check_ports(sip.as_ref(), media.as_ref(), notes);
    check_media_as(pbx.as_ref(), &trunks, notes);

    let whole = (|| {
        let (listen, strangers, sip_dscp, emergency) = sip?;
        let all = |networks: Vec<Found<Network>>| networks.into_iter().map(|found| found.value).collect();
        let peer_of = |PeerRead { address, networks, latching, media_networks, media_as, media_as_line: _ }| {
            let (networks, media_networks) = (all(networks), all(media_networks));
            Some(Peer { address: address?.value, networks, latching: latching?, media_as, media_networks })
        };
        let MediaRead { addresses, ports, threads, io, dscp, dead } = media?;
        Some(Settings {
            sip: Sip { listen: listen?.value, strangers: strangers?, dscp: sip_dscp?, emergency: emergency? },
            pbx: peer_of(pbx?)?,
            trunks: trunks
                .into_iter()
                .map(|(name, peer)| Some(Trunk { name, peer: peer_of(peer)? }))
                .collect::<Option<Vec<_>>>()?,
            media: Media { addresses: addresses?, ports: ports?.value, threads: threads?, io: io?, dscp: dscp?, dead: dead? },
            metrics: metrics?,
            data: data.clone()?,
            node_key: node_key.clone()?,
            recipients: recipients.into_iter().map(|found| found.value).collect(),
            policies: policies.into_iter().map(|found| found.value).collect(),
        })
    })();
    Read { whole, data, node_key }
}

/// Where `/metrics` is served when nothing is said.
const METRICS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9464);

/// A peer as far as it could be read.
struct PeerRead {
    address: Option<Found<SocketAddr>>,
    networks: Vec<Found<Network>>,
    latching: Option<Latching>,
    media_networks: Vec<Found<Network>>,
    media_as: Option<MediaAs>,
    /// Where that is said, right or wrong.
    media_as_line: Option<usize>,
}

/// Signalling as far as it could be read.
type SipRead = (Option<Found<SocketAddr>>, Option<Strangers>, Option<u8>, Option<Vec<String>>);

/// Media as far as they could be read.
struct MediaRead {
    addresses: Option<[IpAddr; 2]>,
    ports: Option<Found<RangeInclusive<u16>>>,
    threads: Option<usize>,
    io: Option<MediaIo>,
    dscp: Option<u8>,
    dead: Option<Option<DeadMedia>>,
}

/// Returns a section that must be there.
fn single<'d>(document: &Section<'d>, key: &str, example: &str, notes: &mut Notes) -> Option<Section<'d>> {
    if document.line_of(key, notes).is_none() {
        notes.missing(
            None,
            format!("there is no section [{key}]"),
            format!("write [{key}], and below it, for example: {example}"),
        );
        return None;
    }
    optional(document, key, notes)
}

/// Returns a section that may be there, once its settings were looked through.
fn optional<'d>(document: &Section<'d>, key: &str, notes: &mut Notes) -> Option<Section<'d>> {
    let section = document.section(key, notes)?;
    section.knows(settings_of(key), notes);
    Some(section)
}

/// Returns the sections of a list, once the settings of each were looked through.
pub(super) fn each<'d>(document: &Section<'d>, key: &str, notes: &mut Notes) -> Vec<Section<'d>> {
    let sections = document.sections(key, notes);
    for section in &sections {
        section.knows(settings_of(key), notes);
    }
    sections
}

fn settings_of(section: &str) -> &'static [&'static str] {
    SECTIONS.iter().find(|(name, _)| *name == section).map_or(&[], |(_, settings)| settings)
}

fn sip(section: &Section<'_>, notes: &mut Notes) -> SipRead {
    let listen = section.required("listen", "\"udp 192.0.2.1:5060\"", notes);
    let listen = listen.and_then(|found| address::listen(section, "listen", &found, notes));
    let words = [("drop", Strangers::Drop), ("forbid", Strangers::Forbid)];
    let strangers = match section.line_of("strangers", notes) {
        None => Some(Strangers::Drop),
        Some(_) => section.word("strangers", &words, notes).map(|found| found.value),
    };
    (listen, strangers, dscp(section, SIP_DSCP, notes), emergency_numbers(section, notes))
}

/// Emergency numbers when nothing is said: those that every mobile network takes (3GPP TS 22.101 §10.1).
const EMERGENCY: [&str; 2] = ["112", "911"];

fn emergency_numbers(section: &Section<'_>, notes: &mut Notes) -> Option<Vec<String>> {
    if section.line_of("emergency_numbers", notes).is_none() {
        return Some(EMERGENCY.map(str::to_owned).to_vec());
    }
    let found = section.texts("emergency_numbers", "[\"112\", \"110\"]", notes)?;
    let is_number = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || matches!(c, '+' | '*' | '#'));
    for wrong in found.value.iter().filter(|number| !is_number(&number.value)) {
        notes.error(
            wrong.line,
            format!("`{}` in `emergency_numbers` of [sip] is no number", printable(&wrong.value)),
            "write it as the PBX sends it to the carrier: digits, +, * and #, without spaces",
        );
    }
    if found.value.is_empty() {
        notes.warning(
            found.line,
            "`emergency_numbers` of [sip] is empty",
            "a call for help is refused like any other then, while the proxy drains or is full; only urn:service:sos still passes",
        );
    }
    Some(found.value.into_iter().map(|found| found.value).collect())
}

/// How SIP is marked when nothing is said: CS5, which RFC 4594 §4.2 has for signalling.
const SIP_DSCP: u8 = 40;

/// How media are marked when nothing is said: EF, which RFC 4594 §4.1 has for telephony.
const MEDIA_DSCP: u8 = 46;

fn dscp(section: &Section<'_>, default: u8, notes: &mut Notes) -> Option<u8> {
    match section.line_of("dscp", notes) {
        None => Some(default),
        Some(_) => {
            section.number("dscp", 0..=63, "(a code point of RFC 2474)", notes).and_then(|found| u8::try_from(found.value).ok())
        }
    }
}

fn peer(section: &Section<'_>, notes: &mut Notes) -> PeerRead {
    let address = section.required("address", "\"192.0.2.10:5060\"", notes);
    let address = address.and_then(|found| address::socket(section, "address", &found, notes));
    let networks = address::networks(section, "networks", notes);
    let words = [("strict", Latching::Strict), ("learn", Latching::Learn)];
    let latching = match section.line_of("latching", notes) {
        None => Some(Latching::Strict),
        Some(_) => section.word("latching", &words, notes).map(|found| found.value),
    };
    let media_networks = address::networks(section, "media_networks", notes);
    if let Some(all) = media_networks.iter().find(|network| network.value.prefix() == 0) {
        notes.warning(
            all.line,
            format!("`{}` in `media_networks` of {} is every address there is", all.value, section.name),
            "whoever sends media first may be taken for the party: name the networks that the peer's media comes from",
        );
    }
    let media_as_line = section.line_of("media_as", notes);
    let media_as = media_as(section, notes);
    PeerRead { address, networks, latching, media_networks, media_as, media_as_line }
}

/// Reads how a peer's media are carried, and whether SRTP keys may be said to it.
fn media_as(section: &Section<'_>, notes: &mut Notes) -> Option<MediaAs> {
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
    if let Some(said) = said.as_ref().filter(|said| said.value != MediaAs::Rtp && !may_be_read) {
        notes.error(
            said.line,
            format!("`media_as` of {} would say SRTP keys over UDP, where whoever is on the way can read them", section.name),
            "where that network is your own, write srtp_keys = \"in-clear\" below it; SIP over TLS is not there yet",
        );
    }
    said.map(|said| said.value)
}

fn trunks(document: &Section<'_>, notes: &mut Notes) -> Vec<(TrunkName, PeerRead)> {
    let mut seen = BTreeMap::new();
    let mut trunks = Vec::new();
    for section in each(document, "trunk", notes) {
        let name = name(&section, "trunk", &mut seen, notes);
        let peer = peer(&section, notes);
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

/// Reads the name of one of many, which no other of them may have.
pub(super) fn name(
    section: &Section<'_>,
    what: &str,
    seen: &mut BTreeMap<String, usize>,
    notes: &mut Notes,
) -> Option<Found<String>> {
    let found = section.required("name", &format!("\"a-{what}\""), notes)?;
    word(&section.name, "name", &found, notes)?;
    if let Some(line) = seen.insert(found.value.clone(), found.line) {
        notes.error(
            found.line,
            format!("there is another {what} `{}`, on line {line}", found.value),
            "give one of them another name",
        );
    }
    Some(found)
}

/// Notes a name that could not stand in a metric label, a ledger or an argument as it is.
pub(super) fn word(section: &str, key: &str, found: &Found<String>, notes: &mut Notes) -> Option<()> {
    let text = &found.value;
    if is_word(text) {
        return Some(());
    }
    let what = format!("`{}` cannot be the `{key}` of {section}", printable(text));
    notes.error(
        found.line,
        what,
        "up to 64 letters, digits, `-`, `_` and `.`, without spaces: it is used in commands and as a label",
    );
    None
}

/// Returns whether a text can stand so.
pub(super) fn is_word(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    text.chars().all(is_plain) && text.len() <= 64 && !text.starts_with('-') && !text.is_empty()
}

fn media(section: &Section<'_>, notes: &mut Notes) -> MediaRead {
    let had = notes.mistakes.len();
    let both = address::ip(section, "address", notes);
    let [pbx, trunk] = ["pbx_address", "trunk_address"].map(|key| address::ip(section, key, notes));
    let pbx = pbx.or_else(|| both.clone());
    let trunk = trunk.or(both);
    if notes.mistakes.len() == had && (pbx.is_none() || trunk.is_none()) {
        let [missing, other] = if pbx.is_none() { ["pbx_address", "trunk_address"] } else { ["trunk_address", "pbx_address"] };
        let (what, remedy) = if pbx.is_none() && trunk.is_none() {
            ("[media] says no `address`".to_owned(), "for example: address = \"192.0.2.1\"".to_owned())
        } else {
            let what = format!("[media] has a `{other}` and no `{missing}`");
            (what, format!("write `{missing}` as well, or `address` for both"))
        };
        notes.missing(section.line, what, remedy);
    }
    let ports = section.required("ports", "\"20000-60000\"", notes).and_then(|found| ports(&found, notes));
    let threads = match section.line_of("threads", notes) {
        None => Some(0),
        Some(_) => section
            .number("threads", 0..=256, "of threads (0: one a core)", notes)
            .and_then(|found| usize::try_from(found.value).ok()),
    };
    let words = [("epoll", MediaIo::Epoll), ("io_uring", MediaIo::IoUring)];
    let io = match section.line_of("io", notes) {
        None => Some(MediaIo::Epoll),
        Some(_) => section.word("io", &words, notes).map(|found| found.value),
    };
    let addresses = pbx.zip(trunk).map(|(pbx, trunk)| [pbx.value, trunk.value]);
    let dscp = dscp(section, MEDIA_DSCP, notes);
    MediaRead { addresses, ports, threads, io, dscp, dead: dead(section, notes) }
}

/// After how many seconds of silence a call is told as dead when nothing is said: two who are muted, in phones that suppress silence, may
/// send nothing for minutes, but RTCP every 5 s (RFC 3550 §6.2).
const DEAD_AFTER_S: u64 = 300;

/// Reads when a call's media are dead. Unless it is said, such a call is told and goes on: to end what both parties hold open cannot be
/// undone, and to tell costs nothing.
fn dead(section: &Section<'_>, notes: &mut Notes) -> Option<Option<DeadMedia>> {
    let after_s = match section.line_of("dead_after_s", notes) {
        None => Some(DEAD_AFTER_S),
        Some(_) => section.number("dead_after_s", 10..=86_400, "of seconds", notes).map(|found| found.value),
    };
    let words = [("mark", Some(WhenDead::Mark)), ("end", Some(WhenDead::End)), ("ignore", None)];
    let then = match section.line_of("when_dead", notes) {
        None => Some(Some(WhenDead::Mark)),
        Some(_) => section.word("when_dead", &words, notes).map(|found| found.value),
    };
    let after = Duration::from_secs(after_s?);
    then.map(|then| then.map(|then| DeadMedia { after, then }))
}

/// How many pairs of ports are few: a port rests after its call ([`limits::PORT_REST`]), so that many calls a minute need many.
const FEW_PAIRS: usize = 100;

fn ports(found: &Found<String>, notes: &mut Notes) -> Option<Found<RangeInclusive<u16>>> {
    let Found { value: text, line } = found;
    let range = text.split_once('-').and_then(|(low, high)| Some((low.trim().parse().ok()?, high.trim().parse().ok()?)));
    let Some((low, high)) = range else {
        let what = format!("`ports` of [media] is no range: `{}`", printable(text));
        notes.error(*line, what, "write the first and the last port (65535 at most), as \"20000-60000\"");
        return None;
    };
    let range: RangeInclusive<u16> = low..=high;
    let pairs = range.len() / 2;
    if low < 1024 {
        notes.error(
            *line,
            format!("`ports` of [media] begins at {low}"),
            "ports below 1024 belong to the system; begin at 1024 or above",
        );
        return None;
    }
    if low % 2 == 1 {
        let remedy = format!("RTP takes an even port and RTCP the next one (RFC 3550 §11): begin at {}", low.saturating_add(1));
        notes.error(*line, format!("`ports` of [media] begins at {low}, which is odd"), remedy);
        return None;
    }
    if pairs == 0 {
        notes.error(
            *line,
            format!("`ports` of [media] holds no pair of ports: {low} to {high}"),
            "write the lower one first, as \"20000-60000\"",
        );
        return None;
    }
    if pairs < FEW_PAIRS {
        let rest = limits::PORT_REST.as_secs();
        notes.warning(
            *line,
            format!("`ports` of [media] is enough for {pairs} {}", if pairs == 1 { "call" } else { "calls" }),
            format!("a port rests {rest} s after its call, and further calls get 503; some thousands are usual: \"20000-60000\""),
        );
    }
    Some(Found { value: range, line: *line })
}

fn metrics(section: &Section<'_>, notes: &mut Notes) -> Option<SocketAddr> {
    let found = section.required("listen", "\"127.0.0.1:9464\"", notes)?;
    // Nobody is told this address, so it may be all of the machine's.
    let address = match found.value.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_unspecified() && address.port() != 0 => address,
        Ok(_) | Err(_) => address::socket(section, "listen", &found, notes)?.value,
    };
    if !address.ip().is_loopback() {
        notes.warning(
            found.line,
            format!("`listen` of [metrics] is open to others: {address}"),
            "whoever reaches it sees how many calls there are; listen on 127.0.0.1, or let a firewall admit Prometheus alone",
        );
    }
    Some(address)
}

fn node_key(document: &Section<'_>, data: Option<&PathBuf>, notes: &mut Notes) -> Option<NodeKeyFile> {
    let section = optional(document, "keys", notes);
    let said = section.and_then(|section| section.text("node", "\"/etc/mitschnitt/node.pem\"", notes));
    match said {
        Some(found) => Some(NodeKeyFile { path: found.value.into(), line: Some(found.line) }),
        None => data.map(|data| NodeKeyFile { path: data.join("node.pem"), line: None }),
    }
}

fn recipients(document: &Section<'_>, notes: &mut Notes) -> Vec<Found<Recipient>> {
    let mut seen = BTreeMap::new();
    let mut recipients = Vec::new();
    for section in each(document, "recipient", notes) {
        let name = name(&section, "recipient", &mut seen, notes);
        let example = "[\"quality\"]";
        let purposes = section.texts("purposes", example, notes);
        match &purposes {
            None if section.line_of("purposes", notes).is_none() => {
                notes.missing(
                    section.line,
                    format!("{} says no `purposes`", section.name),
                    format!("for example: purposes = {example}"),
                );
            }
            Some(found) if found.value.is_empty() => {
                notes.error(
                    found.line,
                    format!("`purposes` of {} is empty", section.name),
                    format!("for example: purposes = {example}"),
                );
            }
            Some(found) => found.value.iter().for_each(|purpose| {
                word(&section.name, "purpose", purpose, notes);
            }),
            None => {}
        }
        let key = section.required("public_key", "\"/etc/mitschnitt/quality-desk.pub.pem\"", notes);
        if let Some(found) = key.as_ref().filter(|found| found.value.contains("secret")) {
            notes.error(
                found.line,
                format!("`public_key` of {} names a secret key", section.name),
                "name the public half (`*.pub.pem`): the secret one has no place on this machine",
            );
        }
        if let (Some(name), Some(purposes), Some(key)) = (name, purposes, key) {
            recipients.push(Found {
                line: purposes.line,
                value: Recipient {
                    name: name.value,
                    purposes: purposes.value.into_iter().map(|found| found.value).collect(),
                    public_key: key.value.into(),
                    public_key_line: key.line,
                },
            });
        }
    }
    recipients
}

fn check_peers(sip: Option<&SipRead>, pbx: Option<&PeerRead>, trunks: &[(TrunkName, PeerRead)], notes: &mut Notes) {
    let pbx = pbx.map(|peer| ("the PBX".to_owned(), peer));
    let trunks = trunks.iter().map(|(name, peer)| (format!("trunk `{name}`"), peer));
    let peers: Vec<_> = pbx.into_iter().chain(trunks).collect();
    let listen = sip.and_then(|(listen, ..)| listen.as_ref());
    for (nth, (name, PeerRead { address, networks, .. })) in peers.iter().enumerate() {
        if let (Some(address), Some(listen)) = (address, listen) {
            if address.value == listen.value {
                notes.error(
                    address.line,
                    format!("{name} has the address that the proxy listens on"),
                    "name the peer's own address, or another one for `sip.listen`",
                );
            } else if address.value.is_ipv4() != listen.value.is_ipv4() {
                let what = format!("{name} has an address of another IP version than `sip.listen`");
                notes.error(address.line, what, "the proxy listens on one address: both must be IPv4, or both IPv6");
            }
        }
        for (other, PeerRead { address: other_address, networks: other_networks, .. }) in peers.iter().take(nth) {
            if let (Some(one), Some(two)) = (address, other_address)
                && one.value == two.value
            {
                let what = format!("{name} has the same address as {other}, on line {}", two.line);
                notes.error(one.line, what, "they are told apart by their addresses: give each its own");
            }
            let clash = networks.iter().find(|one| other_networks.iter().any(|two| two.value.overlaps(one.value)));
            if let Some(clash) = clash {
                let what = format!("the network `{}` of {name} overlaps one of {other}", clash.value);
                notes.warning(clash.line, what, format!("what comes from both is taken for {other}'s"));
            }
        }
    }
}

/// SRTP ends here on both sides or on neither.
fn check_media_as(pbx: Option<&PeerRead>, trunks: &[(TrunkName, PeerRead)], notes: &mut Notes) {
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

fn check_ports(sip: Option<&SipRead>, media: Option<&MediaRead>, notes: &mut Notes) {
    if let (Some((Some(listen), ..)), Some(MediaRead { addresses: Some(addresses), ports: Some(ports), .. })) = (sip, media)
        && addresses.contains(&listen.value.ip())
        && ports.value.contains(&listen.value.port())
    {
        let what = format!("`ports` of [media] contains the port of `sip.listen`, {}", listen.value.port());
        notes.error(ports.line, what, "choose a range beside it");
    }
}
