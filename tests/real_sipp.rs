//! Real calls with SIPp as PBX and as carrier: both ways, in each mode, with what was recorded compared sample for sample.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test may panic, and it is the shell that starts, waits, reads and listens"
)]

#[allow(dead_code, reason = "each file of tests uses its part")]
mod support;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use support::capture::{Capture, streams};
use support::pcap::{self, assert_steady, rtp_to};
use support::sipp::{Plays, Sipp, Traces, VOICE};
use support::site::{Policy, Site, policy};
use support::sound::{assert_the_end_of, noise};

const AFTER_THE_ANNOUNCEMENT: u32 = 2500;
const DURING_IT: u32 = 100;

#[test]
fn a_call_out_is_announced_and_recorded_and_both_hear_one_steady_stream() {
    let site = Site::new(policy("announce"));
    let _proxy = site.start();
    let capture = Capture::start(&site.ports, &site.path().join("capture.pcap"));

    let heard = Outbound.call(&site, ("uac_talk", DURING_IT), ("uas_talk", DURING_IT));

    let id = site.recorded();
    let wav = site.export(&id);
    assert_eq!(wav.rate, 8000);
    let kept_caller = assert_the_end_of(&wav.channels[0], &caller_voice(), "the PBX's side");
    let kept_callee = assert_the_end_of(&wav.channels[1], &heard.callee_voice, "the trunk's side");
    // The announcement lasts 1 s and the voice begins 0.1 s after it: 30 packets of 30 ms or 45 of 20 ms fall into it, one less where
    // the phases lie so; the other bound is a margin for two loaded cores.
    assert!((150..=207).contains(&kept_caller), "of 236 packets the first second is not kept, the rest is: {kept_caller}");
    assert!((250..=306).contains(&kept_callee), "of 350 packets the first second is not kept, the rest is: {kept_callee}");
    let capture = capture.stop();
    let ends = [site.ports.pbx(), site.ports.trunk()].map(|at| site.sipp_media(at));
    for (port, whose) in ends.into_iter().zip(["the PBX", "the trunk"]) {
        assert_steady(&rtp_to(&capture, port), whose);
        let judged = streams(&capture, &[port]);
        let [stream] = judged.as_slice() else { panic!("{whose} gets one stream, not {judged:#?}") };
        assert_eq!(stream.lost, 0, "{}", stream.line);
    }
}

#[test]
fn a_call_in_is_recorded_whole_when_both_speak_after_the_announcement() {
    let site = Site::new(policy("announce"));
    let _proxy = site.start();

    let heard = Inbound.call(&site, ("uac_talk", AFTER_THE_ANNOUNCEMENT), ("uas_talk", AFTER_THE_ANNOUNCEMENT));

    let wav = site.export(&site.recorded());
    assert_eq!(assert_the_end_of(&wav.channels[1], &caller_voice(), "the trunk's side"), 236, "not a packet is missing");
    assert_eq!(assert_the_end_of(&wav.channels[0], &heard.callee_voice, "the PBX's side"), 350, "not a packet is missing");
}

#[test]
fn a_pbx_over_tcp_and_a_trunk_over_udp_call_each_other() {
    for way in [true, false] {
        let site = over_tcp("[pbx]", |site| site.ports.pbx());
        let _proxy = site.start();

        let heard = if way {
            Outbound.call(&site, ("uac_talk", AFTER_THE_ANNOUNCEMENT), ("uas_talk", AFTER_THE_ANNOUNCEMENT))
        } else {
            Inbound.call(&site, ("uac_talk", AFTER_THE_ANNOUNCEMENT), ("uas_talk", AFTER_THE_ANNOUNCEMENT))
        };

        let wav = site.export(&site.recorded());
        let [caller, callee] = if way { [0, 1] } else { [1, 0] };
        assert_the_end_of(&wav.channels[caller], &caller_voice(), "the caller");
        assert_the_end_of(&wav.channels[callee], &heard.callee_voice, "the callee");
    }
}

#[test]
fn a_trunk_over_tcp_may_hang_up_and_refuse() {
    let site = over_tcp("[[trunk]]", |site| site.ports.trunk());
    let _proxy = site.start();

    Outbound.call(&site, ("uac_listen", 0), ("uas_talk_bye", AFTER_THE_ANNOUNCEMENT));
    Outbound.call(&site, ("uac_refused", 0), ("uas_busy", 0));

    let reasons: Vec<String> = site.ledger(2).iter().map(|row| row["reason"].as_str().unwrap().to_owned()).collect();
    assert_eq!(reasons, ["recorded", "busy"]);
}

/// An installation that listens over UDP and TCP, one of whose peers is spoken to over TCP.
fn over_tcp(section: &str, at: impl Fn(&Site) -> SocketAddr) -> Site {
    let site = Site::new(policy("announce"));
    let proxy = site.ports.proxy();
    site.set("[sip]", &format!("listen = [\"udp {proxy}\", \"tcp {proxy}\"]"));
    site.set(section, &format!("address = \"tcp {}\"", at(&site)));
    site
}

#[test]
fn the_called_party_may_hang_up() {
    let site = Site::new(policy("announce"));
    let _proxy = site.start();

    Outbound.call(&site, ("uac_listen", 0), ("uas_talk_bye", AFTER_THE_ANNOUNCEMENT));

    let wav = site.export(&site.recorded());
    assert!(wav.channels[0].iter().all(|&sample| sample == 0), "the caller said nothing");
}

#[test]
fn opt_in_records_from_the_customers_key_on() {
    let site = Site::new(policy("opt-in"));
    let _proxy = site.start();

    Outbound.call(&site, ("uac_talk", AFTER_THE_ANNOUNCEMENT), ("uas_key_talk", 1500));

    let wav = site.export(&site.recorded());
    assert_eq!(assert_the_end_of(&wav.channels[0], &caller_voice(), "the PBX's side"), 236, "the key came before the voice");
}

#[test]
fn opt_in_takes_the_key_by_sip_info() {
    let site = Site::new(policy("opt-in"));
    let _proxy = site.start();

    Inbound.call(&site, ("uac_info_talk", 1500), ("uas_talk", AFTER_THE_ANNOUNCEMENT));

    let wav = site.export(&site.recorded());
    assert_eq!(assert_the_end_of(&wav.channels[1], &caller_voice(), "the trunk's side"), 236, "the key came before the voice");
}

#[test]
fn opt_in_without_the_key_leaves_no_file_and_the_call_goes_on() {
    let site = Site::new(Policy { answer_s: 1, ..policy("opt-in") });
    let _proxy = site.start();
    let capture = Capture::start(&site.ports, &site.path().join("capture.pcap"));

    Outbound.call(&site, ("uac_talk", AFTER_THE_ANNOUNCEMENT), ("uas_talk", AFTER_THE_ANNOUNCEMENT));

    site.ledger_says("consent-timeout");
    assert_eq!(site.recordings(), Vec::<PathBuf>::new());
    let at_trunk = rtp_to(&capture.stop(), site.sipp_media(site.ports.trunk()));
    let voice: Vec<_> = at_trunk.into_iter().map(|packet| packet.payload).collect();
    assert!(voice.ends_with(&caller_voice()), "the trunk heard every word of the caller, after the time for the key was over");
}

#[test]
fn in_opt_in_the_employees_key_is_not_the_customers() {
    let site = Site::new(Policy { answer_s: 1, ..policy("opt-in") });
    let _proxy = site.start();

    Outbound.call(&site, ("uac_key_talk", 1500), ("uas_listen", 0));

    site.ledger_says("consent-timeout");
    assert_eq!(site.recordings(), Vec::<PathBuf>::new());
}

#[test]
fn on_demand_records_from_the_agents_key_on_and_is_found_by_either_session_id() {
    let site = on_demand();
    let _proxy = site.start();

    Outbound.call(&site, ("uac_key_talk", 500), ("uas_talk", AFTER_THE_ANNOUNCEMENT));

    let id = site.recorded();
    let wav = site.export(&id);
    let kept = assert_the_end_of(&wav.channels[0], &caller_voice(), "the PBX's side");
    // The announcement, which the key began, is 1 s long; some of it is over when the voice begins.
    assert!((190..=230).contains(&kept), "of 236 packets of 30 ms: {kept}");
    let by = |header: &str| site.json(&["recordings", "list", "--header", header]);
    for uuid in ["ab30317f1a784dc48ff824d0d3715d86", "47755a9de7794ba387653f2099600ef2"] {
        assert_eq!(by(&format!("Session-ID: {uuid}"))[0]["recording"], id);
    }
    assert_eq!(by("Session-ID: 00000000000000000000000000000001").len(), 0);
}

/// An installation that records once the agent presses 1.
fn on_demand() -> Site {
    let site = Site::new(policy("announce"));
    site.set("[[policy]]", "recording = \"on-demand\"\nstart_key = \"1\"");
    site
}

#[test]
fn on_demand_without_the_key_records_nothing() {
    let site = on_demand();
    let _proxy = site.start();

    // The outside party's key starts nothing.
    Inbound.call(&site, ("uac_key_talk", 500), ("uas_talk", DURING_IT));

    site.ledger_says("not-demanded");
    assert_eq!(site.recordings(), Vec::<PathBuf>::new());
}

#[test]
fn opt_out_by_key_is_not_recorded() {
    let site = Site::new(policy("opt-out"));
    let _proxy = site.start();

    Inbound.call(&site, ("uac_key_talk", 1500), ("uas_talk", DURING_IT));

    site.ledger_says("consent-refused");
    assert_eq!(site.recordings(), Vec::<PathBuf>::new());
}

#[test]
fn early_media_is_heard_and_not_recorded() {
    let site = Site::new(policy("announce"));
    let _proxy = site.start();
    let capture = Capture::start(&site.ports, &site.path().join("capture.pcap"));

    let heard = Outbound.call(&site, ("uac_talk", DURING_IT), ("uas_early", DURING_IT));

    let at_caller = rtp_to(&capture.stop(), site.sipp_media(site.ports.pbx()));
    let early: Vec<_> = at_caller.iter().take(40).map(|packet| packet.payload.clone()).collect();
    assert!(heard.callee_voice.starts_with(&early), "the caller hears the callee's own announcement, from its first packet on");
    let wav = site.export(&site.recorded());
    let kept = assert_the_end_of(&wav.channels[1], &heard.callee_voice, "the trunk's side");
    // 1.5 s of early media and 1 s of our announcement are 125 of the 350 packets.
    assert!(kept <= 230, "of 350 packets no more than 225 came after the announcement: {kept}");
}

#[test]
fn a_call_is_held_and_taken_up_again() {
    let site = Site::new(policy("announce"));
    let _proxy = site.start();

    Outbound.call(&site, ("uac_hold", 2500), ("uas_hold", 0));

    site.recorded();
}

#[test]
fn a_caller_may_give_up() {
    let site = Site::new(policy("announce"));
    let _proxy = site.start();

    Outbound.call(&site, ("uac_cancel", 500), ("uas_ring", 0));

    site.ledger_says("not-answered");
}

#[test]
fn busy_is_busy() {
    let site = Site::new(policy("announce"));
    let _proxy = site.start();

    let heard = Inbound.call(&site, ("uac_refused", 0), ("uas_busy", 0));

    assert!(heard.caller.log.contains("refused with 486"), "{}", heard.caller.messages);
    assert!(heard.caller.messages.contains("SIP/2.0 486 Busy Here"), "the reason phrase is the callee's own");
    site.ledger_says("busy");
}

#[test]
fn a_callee_that_never_answers_is_given_up_after_64_t1() {
    let site = Site::new(policy("announce"));
    let _proxy = site.start();
    let (at, whom) = Outbound.ends(&site);
    let voice = site.path().join("unused.pcap");
    let callee = Sipp::called(&site, whom, &Plays { scenario: "uas_silent", voice: &voice, waits_ms: 0 });

    let caller = Sipp::calling(&site, at, whom, &Plays { scenario: "uac_refused", voice: &voice, waits_ms: 0 }).must_succeed();

    assert!(caller.log.contains("refused with 408"), "RFC 3261 §17.1.1.2, timer B: {}", caller.messages);
    assert!(callee.stop().messages.matches("INVITE sip:").count() > 4, "it was asked again and again");
    site.ledger_says("not-answered");
}

#[test]
fn what_is_not_the_proxys_arrives_as_it_was_sent() {
    let site = Site::new(policy("announce"));
    let _proxy = site.start();

    let heard = Outbound.call(&site, ("uac_refused", 0), ("uas_busy", 0));

    assert!(heard.callee.messages.contains("Subject: a call that shall arrive as it was sent\r\n"), "{}", heard.callee.messages);
}

/// Which side calls.
struct Outbound;
struct Inbound;

trait Way {
    /// Where the caller is, and where the callee.
    fn ends(&self, site: &Site) -> (SocketAddr, SocketAddr);

    /// Places one call to its end: each side's scenario, and how long it waits. The caller's voice is SIPp's, the callee's is noise.
    fn call(&self, site: &Site, caller: (&str, u32), callee: (&str, u32)) -> Heard {
        let (at, whom) = self.ends(site);
        let callee_voice = noise(350, 160, 7);
        let file = site.path().join("callee.pcap");
        pcap::write_alaw(&file, &callee_voice, 20, 0x0bad_cafe);
        let called = Sipp::called(site, whom, &Plays { scenario: callee.0, voice: &file, waits_ms: callee.1 });
        let calling = Sipp::calling(site, at, whom, &Plays { scenario: caller.0, voice: Path::new(VOICE), waits_ms: caller.1 });
        let caller = calling.must_succeed();
        Heard { caller, callee: called.must_succeed(), callee_voice }
    }
}

impl Way for Outbound {
    fn ends(&self, site: &Site) -> (SocketAddr, SocketAddr) {
        (site.ports.pbx(), site.ports.trunk())
    }
}

impl Way for Inbound {
    fn ends(&self, site: &Site) -> (SocketAddr, SocketAddr) {
        (site.ports.trunk(), site.ports.pbx())
    }
}

/// What both SIPps wrote down of a call.
struct Heard {
    caller: Traces,
    callee: Traces,
    callee_voice: Vec<Vec<u8>>,
}

/// The payloads of SIPp's own voice.
fn caller_voice() -> Vec<Vec<u8>> {
    let voice: Vec<_> = pcap::rtp(Path::new(VOICE)).into_iter().map(|packet| packet.payload).collect();
    assert_eq!(voice.len(), 236, "30 ms each");
    voice
}
