//! What PBXs and carriers say in a call beside INVITE and BYE, by SIPp on both sides of the running program: both ways, over UDP, TCP and
//! TLS, IPv4 and IPv6.

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
use support::CALLED;
use support::authority::Authority;
use support::sipp::{Plays, Sipp, Traces};
use support::site::{Policy, Site, policy};
use support::tunnel::{Tunnel, behind};

/// What two parties say to each other.
struct Flow {
    caller: &'static str,
    callee: &'static str,
    /// The requests that come to the callee, in their order, without what comes again.
    asked: &'static [&'static str],
    /// What the ledger says of it.
    reason: &'static str,
}

/// They hang up before anybody has agreed.
const ENDED: &str = "ended-before-consent";

/// Who is to be recorded presses a key within half a minute.
const ASKS: Policy = Policy { announcement_ms: 200, answer_s: 30, ..policy("opt-in") };

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
    every_flow(&Scene::asking(["", ""]));
}

#[test]
fn every_flow_passes_over_tcp() {
    every_flow(&Scene::asking(["tcp ", "tcp "]));
}

#[test]
fn every_flow_passes_between_udp_and_tcp() {
    every_flow(&Scene::asking(["", "tcp "]));
}

#[test]
fn every_flow_passes_over_tls() {
    every_flow(&Scene::asking(["tls ", "tls "]));
}

#[test]
fn every_flow_passes_between_udp_and_tls() {
    every_flow(&Scene::asking(["", "tls "]));
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
            // Over TLS, say, though the Contact of a SIPp behind a tunnel says TCP.
            let (at, whom) = scene.ends(way);
            for (side, log) in [(at, &caller), (whom, &callee)] {
                assert!(log.came_over().iter().all(|over| *over == scene.over(side)), "{said}: {:?}", log.came_over());
            }
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

#[test]
fn a_registration_passes_with_its_digest_and_calls_to_its_contact_come_by_the_proxy_after_a_restart() {
    for over in [["", ""], ["tcp ", "tcp "]] {
        let scene = Scene::new([1, 2], over);
        let proxy = scene.site.start();
        // Of one line of the PBX, which is at another port than its calls come from.
        let line = SocketAddr::new(scene.at[0].ip(), scene.site.ports.beyond().port());
        let contact = format!("sip:100@{line}{};line=7", if over[0].is_empty() { "" } else { ";transport=tcp" });

        let heard = scene.call(Way::Out, ("uac_register", &[("contact", &contact)]), ("uas_register", &[]));

        let logged = |log: &str, word: &str| {
            let line = log.lines().find_map(|line| line.strip_prefix(word));
            line.unwrap_or_else(|| panic!("{word} is not in {log}")).trim().to_owned()
        };
        assert_eq!(logged(&heard.callee.log, "right"), "true", "the digest is the PBX's own");
        assert_eq!(logged(&heard.caller.log, "bound"), format!("Contact: <{contact}>;expires=600"), "as it was registered");
        let told = logged(&heard.callee.log, "told");
        let ours = told.strip_prefix("Contact: <").and_then(|told| told.strip_suffix(">;expires=600")).unwrap();
        assert!(
            ours.starts_with(&format!("sip:100@{}", scene.site.ports.proxy())) && !ours.contains(&line.to_string()),
            "{ours}"
        );
        assert_eq!(Logged::read(&heard.callee).requests(), ["REGISTER", "REGISTER"]);

        drop(proxy);
        let _again = scene.site.start();
        let words = [("target", ours), ("from", "+4930777"), ("more", "X-More: 1")];
        let heard = scene.call_between(
            (scene.at[1], line),
            (&Plays::silent("uac_plain", 0), &words),
            (&Plays::silent("uas_plain", 0), &[]),
        );

        let callee = Logged::read(&heard.callee);
        assert_eq!(callee.first_uri(), contact);
        anchored(&Logged::read(&heard.caller), &callee, &scene.site.ports.proxy_media(), "a call to the contact");
        let row = scene.site.ledger_says(ENDED);
        assert_eq!(row["direction"], "inbound");
    }
}

#[test]
fn a_call_that_the_first_does_not_serve_is_the_seconds() {
    for over in ["", "tcp "] {
        for way in [Way::Out, Way::In] {
            let scene = Scene::new([1, 2], [over, over]);
            let (at, first) = scene.ends(way);
            let second = SocketAddr::new(scene.site.ports.host(3), scene.site.ports.beyond().port());
            match way {
                Way::Out => scene.site.add(&format!("[[trunk]]\nname = \"second\"\naddress = \"{over}{second}\"")),
                Way::In => scene.site.set("[pbx]", &format!("address = [\"{over}{first}\", \"{over}{second}\"]")),
            }
            let _proxy = scene.site.start();
            let refuses = Sipp::listening(&scene.site, first, &Plays::silent("uas_unavailable", 0), &[]);

            let target = format!("sip:+4930123456@{first}");
            let words = [("target", &*target), ("from", "100"), ("more", "X-More: 1")];
            let (caller, callee) = (Plays::silent("uac_plain", 0), Plays::silent("uas_plain", 0));
            let heard = scene.call_between((at, second), (&caller, &words), (&callee, &[]));

            let refused = Logged::read(&refuses.must_succeed());
            assert_eq!(refused.requests(), ["INVITE", "ACK"]);
            let (caller, callee) = (Logged::read(&heard.caller), Logged::read(&heard.callee));
            assert_eq!(caller.statuses(), [180, 200, 200], "of the first the caller hears nothing");
            passed(&caller, &callee, "a call over the second");
            anchored(&caller, &callee, &scene.site.ports.proxy_media(), "a call over the second");
            let row = scene.site.ledger_says(ENDED);
            assert_eq!(row["trunk"], if way == Way::Out { "second" } else { "carrier" });
        }
    }
}

#[test]
fn who_is_sent_on_to_another_is_not_told_again_and_the_other_is() {
    for way in [Way::Out, Way::In] {
        let scene = Scene::new([1, 2], ["", ""]);
        let _proxy = scene.site.start();
        let (at, whom) = scene.ends(way);
        let target = format!("sip:300@{at}");
        scene.call_between(
            (at, whom),
            (&Plays::silent("uac_refer", RECORDED_BY), &[("target", &target)]),
            (&Plays::silent("uas_refer", 0), &[]),
        );
        scene.announced(2);

        // Whom it sent on calls that number.
        let words = [("target", &*target), ("from", CALLED), ("more", "X-More: 1")];
        let caller = Plays::silent("uac_plain", RECORDED_BY);
        scene.call_between((whom, at), (&caller, &words), (&Plays::silent("uas_plain", 0), &[]));

        scene.both_are_recorded();
        scene.announced(3);
    }
}

#[test]
fn who_takes_the_place_of_a_party_is_told_and_the_other_is_not_told_again() {
    for way in [Way::Out, Way::In] {
        let scene = Scene::new([1, 2], ["", ""]);
        let _proxy = scene.site.start();
        let (at, whom) = scene.ends(way);
        let replaced = Sipp::listening(&scene.site, whom, &Plays::silent("uas_bye", REPLACED_BY), &[]);
        let replacing = Sipp::asking(&scene.site, at, whom, &Plays::silent("uac_until_bye", 0), &[]);
        let ((id, from), (_, to)) = (replacing.names(at, true), replaced.names(whom, false));
        scene.announced(2);

        // From another telephone of the one to the other's second line, which is the same party's.
        let line = |end: SocketAddr| SocketAddr::new(end.ip(), scene.site.ports.beyond().port());
        let target = format!("sip:{CALLED}@{}", line(whom));
        let more = format!("Replaces: {id};to-tag={to};from-tag={from}");
        let words = [("target", &*target), ("from", "101"), ("more", &*more)];
        let caller = Plays::silent("uac_plain", RECORDED_BY);
        scene.call_between((line(at), line(whom)), (&caller, &words), (&Plays::silent("uas_plain", 0), &[]));

        replacing.must_succeed();
        replaced.must_succeed();
        scene.both_are_recorded();
        scene.announced(3);
    }
}

/// By when a call is recorded, in milliseconds: the announcement takes 200.
const RECORDED_BY: u32 = 1500;

/// When a party hangs up that has been replaced meanwhile, in milliseconds.
const REPLACED_BY: u32 = 5000;

/// The program between a PBX and a trunk, each at an address of its own.
struct Scene {
    site: Site,
    /// Where the PBX and where the trunk is.
    at: [SocketAddr; 2],
    /// What makes TLS of what they speak, where it is that.
    tunnels: [Option<Tunnel>; 2],
}

/// What a side plays, with these words for it.
type Side<'s> = (&'s Plays<'s>, &'s [(&'s str, &'s str)]);

struct Heard {
    caller: Traces,
    callee: Traces,
}

impl Scene {
    /// One that records who has been told.
    fn new(hosts: [u8; 2], over: [&'static str; 2]) -> Self {
        Self::under(Policy { announcement_ms: 200, ..policy("announce") }, hosts, over)
    }

    /// One that records nobody, for nobody presses the key: however long a call lasts on a machine that has other things to do.
    fn asking(over: [&'static str; 2]) -> Self {
        Self::under(ASKS, [1, 2], over)
    }

    fn under(policy: Policy, hosts: [u8; 2], over: [&'static str; 2]) -> Self {
        let site = Site::new(policy);
        let proxy = site.ports.proxy();
        site.set("[sip]", &format!("listen = [\"udp {proxy}\", \"tcp {proxy}\"]"));
        let secured = over.contains(&"tls ").then(|| {
            let (authority, hosts) = (Authority::new(), hosts.map(|host| site.ports.host(host).to_string()));
            authority.equip(&site);
            site.set("[tls]", "client_certificates = \"required\"");
            authority.secured(&authority.certify(&hosts.each_ref().map(String::as_str)))
        });
        let at = [
            SocketAddr::new(site.ports.host(hosts[0]), site.ports.pbx().port()),
            SocketAddr::new(site.ports.host(hosts[1]), site.ports.trunk().port()),
        ];
        let scene = Self::at(site, at, over);
        let tunnels = at.map(|at| {
            let secured = secured.clone().filter(|_| scene.site.has_a_tunnel(at));
            secured.map(|secured| Tunnel::open(at, &scene.site.ports, secured))
        });
        Self { tunnels, ..scene }
    }

    fn of_ipv6() -> Self {
        let site = Site::new(ASKS);
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
        Self { site, at, tunnels: [None, None] }
    }

    /// Where the caller is and where the callee.
    const fn ends(&self, way: Way) -> (SocketAddr, SocketAddr) {
        match way {
            Way::Out => (self.at[0], self.at[1]),
            Way::In => (self.at[1], self.at[0]),
        }
    }

    /// Over what that side is spoken to, as a Via says it.
    fn over(&self, at: SocketAddr) -> &'static str {
        match (self.site.has_a_tunnel(at), self.site.is_over_tcp(at)) {
            (true, _) => "SIP/2.0/TLS",
            (false, true) => "SIP/2.0/TCP",
            (false, false) => "SIP/2.0/UDP",
        }
    }

    /// So many parties were told, to the end, and no other: 200 ms are ten packets.
    fn announced(&self, parties: u32) {
        let (name, packets) = ("mitschnitt_media_announced_packets_total", f64::from(10 * parties));
        self.site.metric_reaches(name, packets);
        assert!((self.site.metric(name) - packets).abs() < 0.5, "{} packets", self.site.metric(name));
    }

    fn both_are_recorded(&self) {
        for row in self.site.ledger(2) {
            assert_eq!(row["reason"], "recorded", "{row}");
            self.site.verify(row["recording"].as_str().unwrap());
        }
    }

    /// Places one call to its end.
    fn call(&self, way: Way, caller: (&str, &[(&str, &str)]), callee: (&str, &[(&str, &str)])) -> Heard {
        let (calls, answers) = (Plays::silent(caller.0, 100), Plays::silent(callee.0, 100));
        let heard = self.call_between(self.ends(way), (&calls, caller.1), (&answers, callee.1));
        let [of_pbx, of_trunk] = self.tunnels.each_ref().map(Option::as_ref);
        let (of_caller, of_callee) = if way == Way::Out { (of_pbx, of_trunk) } else { (of_trunk, of_pbx) };
        // The next call is to find no connection that is about to end.
        if let Some(carried) = of_caller.map(Tunnel::carried) {
            assert_eq!(carried.to_proxy, 1, "{}: the caller sends all over one connection", caller.0);
        }
        if let Some(carried) = of_callee.map(Tunnel::carried) {
            assert_eq!((carried.to_peer, carried.to_proxy), (1, 0), "{}: the callee has one connection", callee.0);
        }
        heard
    }

    fn call_between(&self, (at, whom): (SocketAddr, SocketAddr), caller: Side<'_>, callee: Side<'_>) -> Heard {
        let own = |at: SocketAddr| if self.site.has_a_tunnel(at) { behind(at) } else { at };
        let called = Sipp::listening(&self.site, own(whom), callee.0, callee.1);
        let calling = Sipp::asking(&self.site, own(at), whom, caller.0, caller.1);
        let caller = calling.must_succeed();
        Heard { caller, callee: called.must_succeed() }
    }
}
