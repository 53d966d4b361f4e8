//! What PBXs and carriers say in a call beside INVITE and BYE, by SIPp on both sides of the running program: both ways, over UDP and TCP,
//! IPv4 and IPv6.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test may panic, and it is the shell that starts, waits, reads and listens"
)]

#[path = "sipp_dialogs/logged.rs"]
mod logged;
#[allow(dead_code, reason = "each file of tests uses its part")]
mod support;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use serde_json::Value;

use logged::{Logged, anchored, passed};
use support::sipp::{Sipp, Traces};
use support::site::{Policy, Site, policy};

/// What two parties say to each other.
struct Flow {
    caller: &'static str,
    callee: &'static str,
    /// The requests that come to the callee, in their order, without what comes again.
    asked: &'static [&'static str],
    /// What the ledger says of it.
    reason: &'static str,
}

/// They hang up before the announcement is over.
const ENDED: &str = "ended-before-consent";

const FLOWS: [Flow; 8] = [
    Flow {
        caller: "uac_resume",
        callee: "uas_resume",
        asked: &["INVITE", "ACK", "INVITE", "ACK", "INVITE", "ACK", "BYE"],
        reason: ENDED,
    },
    Flow { caller: "uac_prack", callee: "uas_prack", asked: &["INVITE", "PRACK", "UPDATE", "ACK", "BYE"], reason: ENDED },
    Flow { caller: "uac_late", callee: "uas_late", asked: &["INVITE", "ACK", "BYE"], reason: ENDED },
    Flow { caller: "uac_timer", callee: "uas_timer", asked: &["INVITE", "ACK", "UPDATE", "INVITE", "ACK", "BYE"], reason: ENDED },
    Flow { caller: "uac_isup", callee: "uas_isup", asked: &["INVITE", "ACK", "BYE"], reason: ENDED },
    Flow { caller: "uac_refer", callee: "uas_refer", asked: &["INVITE", "ACK", "REFER", "BYE"], reason: ENDED },
    Flow { caller: "uac_cancel", callee: "uas_ring", asked: &["INVITE", "CANCEL", "ACK"], reason: "not-answered" },
    Flow { caller: "uac_moved", callee: "uas_moved", asked: &["INVITE", "ACK"], reason: "failed" },
];

/// Which side calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    Out,
    In,
}

impl Way {
    /// As the ledger has it.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Out => "outbound",
            Self::In => "inbound",
        }
    }
}

#[test]
fn every_flow_passes_over_udp() {
    every_flow(&Scene::new([1, 2], ["", ""]));
}

#[test]
fn every_flow_passes_over_tcp() {
    every_flow(&Scene::new([1, 2], ["tcp ", "tcp "]));
}

#[test]
fn every_flow_passes_between_udp_and_tcp() {
    every_flow(&Scene::new([1, 2], ["", "tcp "]));
}

#[test]
fn every_flow_passes_over_ipv6() {
    every_flow(&Scene::of_ipv6());
}

fn every_flow(scene: &Scene) {
    let _proxy = scene.site.start();
    let mut expected = Vec::new();
    for way in [Way::Out, Way::In] {
        for flow in &FLOWS {
            let said = format!("{} {way:?}", flow.caller);
            let heard = scene.call(way, (flow.caller, &[("target", "sip:300@192.0.2.7")]), (flow.callee, &[]));
            let (caller, callee) = (Logged::read(&heard.caller), Logged::read(&heard.callee));
            assert_eq!(callee.requests(), flow.asked, "{said}");
            for (from, to) in [(&caller, &callee), (&callee, &caller)] {
                passed(from, to, &said);
                anchored(from, to, &scene.site.ports.proxy_media(), &said);
            }
            expected.push((way.as_str().to_owned(), flow.reason.to_owned()));
        }
    }
    // One row for each, and no other.
    let word = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let rows = scene.site.ledger(expected.len());
    let mut said: Vec<_> = rows.iter().map(|row| (word(row, "direction"), word(row, "reason"))).collect();
    said.sort();
    expected.sort();
    assert_eq!(said, expected);
    assert_eq!(scene.site.metric("mitschnitt_sip_foreign_in_dialog_total") as u64, 0);
}

/// The program between a PBX and a trunk, each at an address of its own.
struct Scene {
    site: Site,
    /// Where the PBX and where the trunk is.
    at: [SocketAddr; 2],
}

struct Heard {
    caller: Traces,
    callee: Traces,
}

impl Scene {
    fn new(hosts: [u8; 2], over: [&'static str; 2]) -> Self {
        let site = Site::new(Policy { announcement_ms: 200, ..policy("announce") });
        let proxy = site.ports.proxy();
        site.set("[sip]", &format!("listen = [\"udp {proxy}\", \"tcp {proxy}\"]"));
        let at = [
            SocketAddr::new(site.ports.host(hosts[0]), site.ports.pbx().port()),
            SocketAddr::new(site.ports.host(hosts[1]), site.ports.trunk().port()),
        ];
        Self::at(site, at, over)
    }

    fn of_ipv6() -> Self {
        let site = Site::new(Policy { announcement_ms: 200, ..policy("announce") });
        let v6 = |at: SocketAddr| SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), at.port());
        let at = [v6(site.ports.pbx()), v6(site.ports.trunk())];
        site.set("[sip]", &format!("listen = \"udp {}\"", v6(site.ports.proxy())));
        site.set("[media]", "address = \"::1\"");
        Self::at(site, at, ["", ""])
    }

    fn at(site: Site, at: [SocketAddr; 2], over: [&'static str; 2]) -> Self {
        for (section, at, over) in [("[pbx]", at[0], over[0]), ("[[trunk]]", at[1], over[1])] {
            site.set(section, &format!("address = \"{over}{at}\""));
            site.set(section, &format!("networks = [\"{}\"]", at.ip()));
        }
        Self { site, at }
    }

    /// Where the caller is and where the callee.
    const fn ends(&self, way: Way) -> (SocketAddr, SocketAddr) {
        match way {
            Way::Out => (self.at[0], self.at[1]),
            Way::In => (self.at[1], self.at[0]),
        }
    }

    /// Places one call to its end.
    fn call(&self, way: Way, caller: (&str, &[(&str, &str)]), callee: (&str, &[(&str, &str)])) -> Heard {
        let (at, whom) = self.ends(way);
        let called = Sipp::listening(&self.site, whom, callee.0, callee.1);
        let calling = Sipp::asking(&self.site, at, whom, caller.0, caller.1);
        let caller = calling.must_succeed();
        Heard { caller, callee: called.must_succeed() }
    }
}
