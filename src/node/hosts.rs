//! Peers that have a name: looked up at the start, and again when its records have grown old.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use crate::control::config::Host;
use crate::sip::locate::{Locate, Naptr, Query, Records, Srv, Target};
use crate::sip::{End, EndId, Flow, Transport};

/// A peer that has a name.
pub(super) struct Named {
    /// The trunk's place; nothing for the PBX.
    pub(super) trunk: Option<usize>,
    /// The name.
    pub(super) host: Host,
    /// By which of our ends it may be spoken to.
    pub(super) ends: Vec<(EndId, End)>,
}

/// Where a peer's name leads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Located {
    pub(super) trunk: Option<usize>,
    pub(super) transport: Transport,
    pub(super) ways: Vec<(Flow, u16, u16)>,
}

/// How long the start waits for names: who cannot be found by then is found later.
const AT_START: Duration = Duration::from_secs(3);

/// How often a name is asked for again at most, and at least, whatever its records say.
const OFTEN: Duration = Duration::from_secs(30);
const SELDOM: Duration = Duration::from_secs(3600);

/// When a name is asked for again that could not be found. What it led to before stays.
const AGAIN: Duration = Duration::from_secs(10);

/// Looks up all names, now and again and again. Returns what was found by the time that the start may wait, and where the rest comes.
///
/// # Errors
/// The system's own settings cannot be read.
pub(super) async fn start(named: Vec<Named>, servers: &[SocketAddr]) -> Result<(Vec<Located>, mpsc::Receiver<Located>), String> {
    let (tell, mut told) = mpsc::channel(CHANGES);
    let count = named.len();
    if count == 0 {
        return Ok((Vec::new(), told));
    }
    let resolver = resolver(servers)?;
    for peer in named {
        drop(tokio::spawn(look_after(resolver.clone(), peer, tell.clone())));
    }
    let mut first = Vec::new();
    let end = Instant::now() + AT_START;
    while first.len() < count {
        match timeout(end.saturating_duration_since(Instant::now()), told.recv()).await {
            Ok(Some(located)) => first.push(located),
            Ok(None) | Err(_) => break,
        }
    }
    Ok((first, told))
}

/// Changes that wait for signalling: one for each peer. More: the search waits.
const CHANGES: usize = 64;

fn resolver(servers: &[SocketAddr]) -> Result<TokioResolver, String> {
    let builder = if servers.is_empty() {
        TokioResolver::builder_tokio().map_err(|error| {
            format!("the system does not say who is asked for names: {error}\n  see /etc/resolv.conf, or name `servers` in [dns]")
        })?
    } else {
        let connections = |port| {
            [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                connection.port = port;
                connection
            })
        };
        let server = |server: &SocketAddr| NameServerConfig::new(server.ip(), true, connections(server.port()).to_vec());
        let config = ResolverConfig::from_parts(None, Vec::new(), servers.iter().map(server).collect());
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
    };
    builder.build().map_err(|error| format!("names cannot be looked up: {error}\n  see `servers` in [dns]"))
}

async fn look_after(resolver: TokioResolver, peer: Named, tell: mpsc::Sender<Located>) {
    let mut known = None;
    let mut is_told = false;
    loop {
        let (found, fresh_for) = search(&resolver, &peer.host).await;
        let located = located(&peer, &found);
        if located.is_none() && !std::mem::replace(&mut is_told, true) {
            tracing::warn!(host = peer.host.name, "host_not_found");
        }
        let pause = if located.is_some() { fresh_for.clamp(OFTEN, SELDOM) } else { AGAIN };
        if let Some(located) = located {
            is_told = false;
            if known.as_ref() != Some(&located) {
                tracing::info!(host = peer.host.name, addresses = located.ways.len(), "host_found");
                known = Some(located.clone());
                if tell.send(located).await.is_err() {
                    return;
                }
            }
        }
        sleep(pause).await;
    }
}

/// Chooses an end of ours for each address. All are over the transport of the first: what that one is spoken to over is what the peer is
/// known by.
fn located(peer: &Named, found: &[Target]) -> Option<Located> {
    let end_of = |target: &Target| {
        let fits = |end: &End| {
            end.transport == target.transport
                && end.address.is_ipv4() == target.address.is_ipv4()
                && is_elsewhere(target.address.ip(), end)
        };
        peer.ends.iter().find(|(_, end)| fits(end)).map(|(id, _)| *id)
    };
    let transport = found.iter().find(|target| end_of(target).is_some())?.transport;
    let ways = found.iter().filter(|target| target.transport == transport);
    let ways =
        ways.filter_map(|target| Some((Flow { end: end_of(target)?, far: target.address }, target.priority, target.weight)));
    Some(Located { trunk: peer.trunk, transport, ways: ways.collect() })
}

/// Returns whether somebody else may be at an address: none that is everybody's, and none of this machine alone where we are not there, too.
fn is_elsewhere(ip: IpAddr, end: &End) -> bool {
    let ip = ip.to_canonical();
    let is_everybody = ip.is_unspecified() || ip.is_multicast() || matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    !is_everybody && (!ip.is_loopback() || end.address.ip().is_loopback())
}

/// Searches where a name leads, and for how long that stays so.
async fn search(resolver: &TokioResolver, host: &Host) -> (Vec<Target>, Duration) {
    let mut locate = Locate::new(&host.name, host.port, &host.spoken, host.is_said);
    let mut fresh_for = SELDOM;
    while let Some(query) = locate.query() {
        let (records, fresh) = ask(resolver, &query).await;
        fresh_for = fresh_for.min(fresh);
        match records {
            Some(records) => locate.answer(records),
            None => locate.failed(),
        }
    }
    (locate.found(), fresh_for)
}

/// Asks; nothing where nobody answers.
async fn ask(resolver: &TokioResolver, query: &Query) -> (Option<Records>, Duration) {
    // A name with its root: no domain of this machine is put behind it.
    let absolute = |name: &str| format!("{}.", name.trim_end_matches('.'));
    let (name, types): (String, &[RecordType]) = match query {
        Query::Naptr(name) => (absolute(name), &[RecordType::NAPTR]),
        Query::Srv(name) => (absolute(name), &[RecordType::SRV]),
        Query::Address(name) => (absolute(name), &[RecordType::A, RecordType::AAAA]),
    };
    let (mut data, mut fresh_for, mut is_answered) = (Vec::new(), SELDOM, true);
    for record_type in types {
        match resolver.lookup(name.as_str(), *record_type).await {
            Ok(lookup) => {
                let until = lookup.valid_until().saturating_duration_since(std::time::Instant::now());
                fresh_for = fresh_for.min(until);
                data.extend(lookup.answers().iter().map(|record| record.data.clone()));
            }
            Err(error) if error.is_no_records_found() => {}
            // Whoever is asked does not answer: it may be there all the same, and is asked for again soon.
            Err(error) => {
                tracing::debug!(%error, "name_server_failed");
                (fresh_for, is_answered) = (OFTEN, false);
            }
        }
    }
    let records = match query {
        Query::Naptr(_) => Records::Naptr(data.iter().filter_map(naptr).collect()),
        Query::Srv(_) => Records::Srv(data.iter().filter_map(srv).collect()),
        Query::Address(_) => Records::Addresses(data.iter().filter_map(address).collect()),
    };
    ((is_answered || !data.is_empty()).then_some(records), fresh_for)
}

fn naptr(data: &RData) -> Option<Naptr> {
    let RData::NAPTR(naptr) = data else { return None };
    // "s": what it leads to are SRV records (RFC 3263 §4.1).
    naptr.flags.eq_ignore_ascii_case(b"s").then(|| Naptr {
        order: naptr.order,
        preference: naptr.preference,
        service: String::from_utf8_lossy(&naptr.services).into_owned(),
        replacement: naptr.replacement.to_ascii(),
    })
}

fn srv(data: &RData) -> Option<Srv> {
    let RData::SRV(srv) = data else { return None };
    Some(Srv { priority: srv.priority, weight: srv.weight, port: srv.port, target: srv.target.to_ascii() })
}

const fn address(data: &RData) -> Option<IpAddr> {
    if let RData::A(a) = data {
        return Some(IpAddr::V4(a.0));
    }
    if let RData::AAAA(aaaa) = data { Some(IpAddr::V6(aaaa.0)) } else { None }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    /// How many ways a name has that leads to this address, where we are at that one.
    fn ways(here: &str, far: &str) -> usize {
        let end = End { transport: Transport::Udp, address: here.parse().unwrap() };
        let host = Host { name: "h.test".into(), port: None, spoken: vec![Transport::Udp], is_said: true, local: None };
        let peer = Named { trunk: None, host, ends: vec![(EndId(0), end)] };
        let target =
            Target { transport: Transport::Udp, address: SocketAddr::new(far.parse().unwrap(), 5060), priority: 0, weight: 1 };
        located(&peer, &[target]).map_or(0, |located| located.ways.len())
    }

    #[test]
    fn a_name_that_leads_to_everybody_or_to_this_machine_leads_nowhere() {
        assert_eq!(ways("203.0.113.1:5060", "198.51.100.20"), 1);
        for far in ["0.0.0.0", "127.0.0.1", "224.0.0.251", "255.255.255.255"] {
            assert_eq!(ways("203.0.113.1:5060", far), 0, "{far}");
        }
        for far in ["::", "::1", "ff02::fb", "::ffff:127.0.0.1"] {
            assert_eq!(ways("[2001:db8::1]:5060", far), 0, "{far}");
        }
        assert_eq!(ways("127.0.0.1:5060", "127.0.0.2"), 1, "where we are on the loopback ourselves, others may be");
    }
}
