//! Addresses in the configuration: literal ones, with a port, that somebody else can reach.

use std::net::{IpAddr, SocketAddr};

use crate::call::{End, Transport};
use crate::control::config::section::{Found, Notes, Section, printable};
use crate::control::config::{Network, NotANetwork};
use crate::limits::SIP_ENDS;

/// Reads `IP:PORT`.
pub(super) fn socket(section: &Section<'_>, key: &str, found: &Found<String>, notes: &mut Notes) -> Option<Found<SocketAddr>> {
    let Found { value: text, line } = found;
    let at = |address| Some(Found { value: address, line: *line });
    let shown = printable(text);
    let what = format!("`{key}` of {} is no address: `{shown}`", section.name);
    match (text.parse::<SocketAddr>(), text.parse::<IpAddr>()) {
        (Ok(address), _) if address.port() == 0 => {
            notes.error(*line, format!("`{key}` of {} has the port 0", section.name), "name the port: 5060 is usual for SIP");
            None
        }
        (Ok(address), _) if address.ip().is_unspecified() => {
            notes.error(
                *line,
                format!("`{key}` of {} is every address of this machine, and must be one", section.name),
                "others are told to answer there; name the address they reach: `ip address` shows this machine's",
            );
            None
        }
        (Ok(address), _) => at(address),
        (Err(_), Ok(ip)) => {
            notes.error(
                *line,
                format!("`{key}` of {} has no port: `{shown}`", section.name),
                format!("for example: \"{}\"", SocketAddr::new(ip, 5060)),
            );
            None
        }
        (Err(_), Err(_)) if text.bytes().any(|b| b.is_ascii_alphabetic()) && !text.contains("::") => {
            notes.error(
                *line,
                what,
                "write the IP address and the port, as \"192.0.2.10:5060\"; or, of a peer, a name: \"sip.carrier.example\"",
            );
            None
        }
        (Err(_), Err(_)) => {
            notes.error(*line, what, "write the IP address and the port, as \"192.0.2.10:5060\" or \"[2001:db8::10]:5060\"");
            None
        }
    }
}

/// Reads `udp IP:PORT`, or a list of such: our own ends. Nothing where one of them cannot be read.
pub(super) fn ends(section: &Section<'_>, key: &str, notes: &mut Notes) -> Option<Vec<Found<End>>> {
    let texts = if section.is_list(key) {
        section.texts(key, "[\"udp 192.0.2.1:5060\", \"tls 192.0.2.1:5061\"]", notes)?.value
    } else {
        vec![section.required(key, "\"udp 192.0.2.1:5060\"", notes)?]
    };
    let mut ends: Vec<Found<End>> = Vec::new();
    let mut all = true;
    for found in &texts {
        let Some(end) = end(section, key, found, notes) else {
            all = false;
            continue;
        };
        if ends.iter().any(|other| other.value == end.value) {
            let what = format!("`{key}` of {} has the same address twice", section.name);
            notes.error(end.line, what, "leave one of them out");
        }
        ends.push(end);
    }
    if texts.is_empty() || texts.len() > SIP_ENDS {
        let what = format!("`{key}` of {} has {} addresses", section.name, texts.len());
        notes.error(section.line_of(key, notes), what, format!("from 1 to {SIP_ENDS} are possible"));
        all = false;
    }
    all.then_some(ends)
}

fn end(section: &Section<'_>, key: &str, found: &Found<String>, notes: &mut Notes) -> Option<Found<End>> {
    let text = found.value.trim();
    let (transport, address) = text.split_once(char::is_whitespace).unwrap_or(("", text));
    if transport.is_empty() {
        notes.error(
            found.line,
            format!("`{key}` of {} names no transport", section.name),
            format!("write \"udp {}\"", printable(address)),
        );
        return None;
    }
    let transport = transport_of(section, key, transport, address, found.line, notes)?;
    let address = socket(section, key, &Found { value: address.trim().to_owned(), line: found.line }, notes)?;
    Some(Found { value: End { transport, address: address.value }, line: found.line })
}

/// Reads `IP:PORT`, which is over UDP, or `tls IP:PORT`.
pub(super) fn peer(
    section: &Section<'_>,
    key: &str,
    found: &Found<String>,
    notes: &mut Notes,
) -> Option<Found<(Transport, SocketAddr)>> {
    let text = found.value.trim();
    let (transport, address) = match text.split_once(char::is_whitespace) {
        Some((transport, address)) => (transport_of(section, key, transport, address, found.line, notes)?, address.trim()),
        None => (Transport::Udp, text),
    };
    let address = socket(section, key, &Found { value: address.to_owned(), line: found.line }, notes)?;
    Some(Found { value: (transport, address.value), line: found.line })
}

fn transport_of(
    section: &Section<'_>,
    key: &str,
    name: &str,
    address: &str,
    line: usize,
    notes: &mut Notes,
) -> Option<Transport> {
    let known = Transport::ALL.into_iter().find(|known| known.as_str() == name);
    if known.is_none() {
        let what = format!("`{key}` of {} cannot be over `{}`", section.name, printable(name));
        notes.error(line, what, format!("there is udp, tcp and tls: \"udp {}\"", printable(address)));
    }
    known
}

/// Reads an address without a port.
pub(super) fn ip(section: &Section<'_>, key: &str, notes: &mut Notes) -> Option<Found<IpAddr>> {
    let found = section.text(key, "\"192.0.2.1\"", notes)?;
    match found.value.parse::<IpAddr>() {
        Ok(ip) if ip.is_unspecified() => {
            notes.error(
                found.line,
                format!("`{key}` of {} is every address of this machine, and must be one", section.name),
                "it is written into session descriptions; name the address that is reached: `ip address` shows this machine's",
            );
            None
        }
        Ok(ip) => Some(Found { value: ip, line: found.line }),
        Err(_) => {
            let what = format!("`{key}` of {} is no address: `{}`", section.name, printable(&found.value));
            notes.error(found.line, what, "write an IP address without a port, as \"192.0.2.1\"");
            None
        }
    }
}

/// Reads ranges of addresses.
pub(super) fn networks(section: &Section<'_>, key: &str, notes: &mut Notes) -> Vec<Found<Network>> {
    let Some(found) = section.texts(key, "[\"192.0.2.0/24\"]", notes) else { return Vec::new() };
    let mut networks = Vec::new();
    for Found { value: text, line } in found.value {
        let shown = printable(&text);
        match text.parse::<Network>() {
            Ok(network) => networks.push(Found { value: network, line }),
            Err(NotANetwork::HostBits(network)) => {
                notes.error(
                    line,
                    format!("`{shown}` in `{key}` of {} is an address within a network", section.name),
                    format!("the network is \"{network}\""),
                );
            }
            Err(NotANetwork::Prefix(most)) => {
                notes.error(
                    line,
                    format!("`{shown}` in `{key}` of {} has too many bits", section.name),
                    format!("there are {most} at most after the `/`"),
                );
            }
            Err(NotANetwork::Form) => {
                notes.error(
                    line,
                    format!("`{shown}` in `{key}` of {} is no network", section.name),
                    "write it as \"192.0.2.0/24\"",
                );
            }
        }
    }
    networks
}
