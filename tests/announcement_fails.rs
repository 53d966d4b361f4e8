//! Every way in which an announcement fails: the call goes on, nothing of it is kept, and the ledger says why.

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

use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;

use mitschnitt::demo::{Call, Event, Extra, Flow, Heard, Phone};
use mitschnitt::limits::ANNOUNCEMENT_RESTARTS;
use rsip::Method;
use serde_json::Value;
use support::pair::{PATIENCE, Pair, alaw, announced, hears_announced, is_heard, is_sound, recordings_begun, sdp, speak};
use support::phone::Phone as Plain;
use support::site::{Policy, Site, files_under, policy};
use support::sound::noise;
use support::{CALLED, until};

// ── the codec ──────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn in_a_codec_in_which_it_cannot_be_had_it_is_not_played_and_the_call_goes_on_unrecorded() {
    let site = Site::new(policy("announce"));
    let _proxy = site.start();
    let (pbx, mut trunk) = (phone(&site), Plain::new(site.ports.trunk(), site.ports.proxy()));

    // What is offered and what of it is answered: G.729, GSM, and G.729 where A-law was to be had and was not taken.
    for (offered, answered, payload_type) in [("18", "18", 18), ("3", "3", 3), ("8 18", "18", 18)] {
        let (out, mut near, mut far) = call_in(offered, answered, &site, &pbx, &mut trunk);
        is_passed(&mut near, &mut far, payload_type);
        is_passed(&mut far, &mut near, payload_type);
        let hung_up = std::thread::scope(|scope| {
            let hangs_up = scope.spawn(|| out.hang_up(PATIENCE));
            let bye = trunk.expect(out.id(), "BYE");
            trunk.reply(&bye, "200 OK", "");
            hangs_up.join().unwrap().unwrap()
        });
        assert_eq!(hung_up, 200, "{offered} → {answered}");
    }

    let rows = site.ledger(3);
    assert!(rows.iter().all(|row| row["reason"] == "announcement-codec" && row["state"] == "none"), "{rows:?}");
    assert_nothing_is_kept(&site);
}

// ── the end ────────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_party_that_hangs_up_in_mid_announcement_is_not_recorded() {
    let site = Site::new(policy("announce"));
    let _proxy = site.start();
    let pair = Pair::new(&site);
    let talk = pair.call();
    talk.both().into_iter().for_each(|call| hears_announced(call, 10));

    assert_eq!(talk.into.hang_up(PATIENCE).unwrap(), 200);

    talk.out.wait(&Event::Ended, PATIENCE).unwrap();
    site.ledger_says("ended-before-consent");
    assert!(announced(&talk.into.line().unwrap().heard()) < 50, "it was in the middle");
    assert_nothing_is_kept(&site);
}

// ── hold ───────────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn who_is_on_hold_to_the_end_is_not_told_and_the_call_is_not_recorded() {
    let site = Site::new(policy("announce"));
    let _proxy = site.start();
    let pair = Pair::new(&site);

    // The caller speaks and does not listen; so it is with the called party; and by the address of zeros, as phones of RFC 2543 say it.
    let talk = pair.call_as(alaw().flowing(Flow::SendOnly), &alaw());
    hears_announced(&talk.into, 50);
    speak(&talk.out.line().unwrap(), 1);
    is_heard(&talk.out, &talk.into, 10);
    talk.caller_hangs_up();
    assert_eq!(talk.out.line().unwrap().heard().len(), 0, "who is on hold hears nothing");
    let talk = pair.call_as(alaw(), &alaw().flowing(Flow::SendOnly));
    hears_announced(&talk.out, 50);
    speak(&talk.into.line().unwrap(), 2);
    is_heard(&talk.into, &talk.out, 10);
    talk.caller_hangs_up();
    let talk = pair.call_as(alaw().at_zero(), &alaw());
    hears_announced(&talk.into, 50);
    talk.caller_hangs_up();
    pair.call_as(alaw().flowing(Flow::Inactive), &alaw()).caller_hangs_up();

    let rows = site.ledger(4);
    assert!(rows.iter().all(|row| row["reason"] == "ended-before-consent" && row["state"] == "none"), "{rows:?}");
    assert_nothing_is_kept(&site);
}

#[test]
fn who_comes_back_from_hold_is_told_then_and_the_call_is_recorded() {
    let site = Site::new(policy("announce"));
    let _proxy = site.start();
    let pair = Pair::new(&site);
    let talk = pair.call_as(alaw().flowing(Flow::SendOnly), &alaw());
    hears_announced(&talk.into, 50);
    assert_nothing_is_kept(&site);

    assert_eq!(talk.out.reoffer(&alaw(), PATIENCE).unwrap(), 200);

    hears_announced(&talk.out, 50);
    recordings_begun(&site, 1.0);
    talk.goes_on_and_ends();
    site.recorded();
}

#[test]
fn who_is_put_on_hold_in_mid_announcement_hears_it_again_from_its_beginning() {
    let site = Site::new(policy("announce"));
    let _proxy = site.start();
    let pair = Pair::new(&site);
    let talk = pair.call();
    hears_announced(&talk.into, 10);

    assert_eq!(talk.out.hold(&alaw(), Flow::SendOnly, PATIENCE).unwrap(), 200);
    let cut = announced(&talk.out.line().unwrap().heard());
    assert!((1..50).contains(&cut), "it was in the middle: {cut}");
    hears_announced(&talk.into, 50);
    assert_nothing_is_kept(&site);
    assert_eq!(talk.out.hold(&alaw(), Flow::SendRecv, PATIENCE).unwrap(), 200);

    recordings_begun(&site, 1.0);
    hears_announced(&talk.out, cut + 50);
    talk.goes_on_and_ends();
    site.recorded();
}

#[test]
fn who_is_put_on_hold_too_often_is_told_no_more() {
    let site = Site::new(policy("announce"));
    let _proxy = site.start();
    let pair = Pair::new(&site);
    let talk = pair.call();

    for _ in 0..=ANNOUNCEMENT_RESTARTS {
        hears_announced(&talk.out, announced(&talk.out.line().unwrap().heard()) + 5);
        assert_eq!(talk.out.hold(&alaw(), Flow::SendOnly, PATIENCE).unwrap(), 200);
        assert_eq!(talk.out.hold(&alaw(), Flow::SendRecv, PATIENCE).unwrap(), 200);
    }

    comes_to_say(&site, "announcement-held");
    talk.goes_on_and_ends();
    site.ledger_says("announcement-held");
    assert_nothing_is_kept(&site);
}

// ── re-INVITE ──────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn media_that_keeps_moving_ends_the_announcement_for_good() {
    let site = Site::new(policy("announce"));
    let _proxy = site.start();
    let pair = Pair::new(&site);
    let talk = pair.call();
    hears_announced(&talk.out, 5);

    for version in 0..ANNOUNCEMENT_RESTARTS {
        let elsewhere = Ear::new();
        moves_to(&talk.out, elsewhere.addr(), version + 2);
        (0..5).for_each(|_| drop(elsewhere.hears(is_sound)));
    }
    // Once more, and home.
    assert_eq!(talk.out.reoffer(&alaw(), PATIENCE).unwrap(), 200);

    let row = comes_to_say(&site, "announcement-interrupted");
    assert_eq!(row["leg"], "pbx", "{row}");
    talk.goes_on_and_ends();
    site.ledger_says("announcement-interrupted");
    assert_nothing_is_kept(&site);
}

#[test]
fn media_that_moves_as_often_as_it_may_is_told_from_the_beginning_each_time_and_recorded() {
    let site = Site::new(policy("announce"));
    let _proxy = site.start();
    let pair = Pair::new(&site);
    let talk = pair.call();
    hears_announced(&talk.out, 5);

    for version in 0..ANNOUNCEMENT_RESTARTS - 1 {
        let elsewhere = Ear::new();
        moves_to(&talk.out, elsewhere.addr(), version + 2);
        (0..5).for_each(|_| drop(elsewhere.hears(is_sound)));
    }
    let before = announced(&talk.out.line().unwrap().heard());
    assert_eq!(talk.out.reoffer(&alaw(), PATIENCE).unwrap(), 200);

    hears_announced(&talk.out, before + 50);
    recordings_begun(&site, 1.0);
    talk.goes_on_and_ends();
    site.recorded();
}

#[test]
fn a_re_invite_that_changes_nothing_does_not_disturb_the_announcement() {
    let site = Site::new(policy("announce"));
    let _proxy = site.start();
    let pair = Pair::new(&site);
    let talk = pair.call();
    talk.both().into_iter().for_each(|call| hears_announced(call, 5));

    assert_eq!(talk.out.reoffer(&alaw(), PATIENCE).unwrap(), 200);
    assert_eq!(talk.into.reoffer(&alaw(), PATIENCE).unwrap(), 200);

    let in_the_middle = talk.both().map(|call| announced(&call.line().unwrap().heard()));
    assert!(in_the_middle.into_iter().all(|count| count < 50), "both came in its middle: {in_the_middle:?}");
    recordings_begun(&site, 1.0);
    assert_eq!(talk.both().map(|call| announced(&call.line().unwrap().heard())), [50, 50], "1 s, once");
    talk.goes_on_and_ends();
    site.recorded();
}

// ── sending ────────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_party_to_which_it_cannot_be_sent_is_not_told_and_the_call_is_not_recorded() {
    let site = Site::new(policy("announce"));
    let _proxy = site.start();
    let pair = Pair::new(&site);

    let talk = pair.call_describing(&sdp(refused_by_the_kernel(), 1, "8"));

    let row = comes_to_say(&site, "announcement-not-sent");
    assert_eq!(row["leg"], "pbx", "{row}");
    assert_nothing_is_kept(&site);
    // It gives an address at which it can be reached: then each hears the other, and nobody an announcement.
    assert_eq!(talk.out.reoffer(&alaw(), PATIENCE).unwrap(), 200);
    talk.both_speak();
    talk.each_is_heard(10);
    let told = |heard: &Heard, by: &Call| {
        is_sound(&heard.payload) && !by.line().unwrap().sent().iter().any(|sent| sent.payload == heard.payload)
    };
    assert_eq!(talk.out.line().unwrap().heard().iter().filter(|heard| told(heard, &talk.into)).count(), 0);
    talk.caller_hangs_up();
    site.ledger_says("announcement-not-sent");
    assert_nothing_is_kept(&site);
}

// ── hanging up ─────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn where_the_policy_says_so_a_failed_announcement_ends_the_call_with_a_bye_to_each() {
    let site = Site::new(policy("announce"));
    site.set("[[policy]]", "without_consent = \"hang-up\"");
    let _proxy = site.start();
    let pair = Pair::new(&site);

    let talk = pair.call_describing(&sdp(refused_by_the_kernel(), 1, "8"));

    talk.both().into_iter().for_each(|call| call.wait(&Event::Ended, PATIENCE).unwrap());
    site.ledger_says("announcement-not-sent");
    assert_nothing_is_kept(&site);
}

#[test]
fn where_the_policy_says_so_silence_ends_the_call_with_a_bye_to_each() {
    let site = Site::new(Policy { answer_s: 1, ..policy("opt-in") });
    site.set("[[policy]]", "without_consent = \"hang-up\"");
    let _proxy = site.start();
    let pair = Pair::new(&site);
    let talk = pair.call();

    talk.both().into_iter().for_each(|call| hears_announced(call, 50));

    talk.both().into_iter().for_each(|call| call.wait(&Event::Ended, PATIENCE).unwrap());
    site.ledger_says("consent-timeout");
    assert_nothing_is_kept(&site);
}

#[test]
fn where_the_policy_says_so_a_codec_without_an_announcement_ends_the_call_with_a_bye_to_each() {
    let site = Site::new(policy("announce"));
    site.set("[[policy]]", "without_consent = \"hang-up\"");
    let _proxy = site.start();
    let (pbx, mut trunk) = (phone(&site), Plain::new(site.ports.trunk(), site.ports.proxy()));

    let (out, ..) = call_in("18", "18", &site, &pbx, &mut trunk);

    let bye = trunk.expect(out.id(), "BYE");
    trunk.reply(&bye, "200 OK", "");
    out.wait(&Event::Ended, PATIENCE).unwrap();
    site.ledger_says("announcement-codec");
    assert_nothing_is_kept(&site);
}

// ── what they share ────────────────────────────────────────────────────────────────────────────────────────────────

fn phone(site: &Site) -> Phone {
    Phone::bind("100", site.ports.pbx()).unwrap()
}

/// Sets up a call in payload types that the telephones themselves do not speak; returns what speaks and listens in their stead.
fn call_in(offered: &str, answered: &str, site: &Site, pbx: &Phone, trunk: &mut Plain) -> (Call, Ear, Ear) {
    let (mut near, mut far) = (Ear::new(), Ear::new());
    let whom = format!("sip:{CALLED}@{}", trunk.at());
    let offer = sdp(near.addr(), 1, offered);
    let body = Some(("application/sdp", offer.as_bytes()));
    let out = pbx.call_with(site.ports.proxy(), &whom, alaw(), None, Extra::new(), body).unwrap();
    let invite = trunk.expect(out.id(), "INVITE");
    trunk.reply(&invite, "200 OK", &sdp(far.addr(), 1, answered));
    out.wait(&Event::Answered, PATIENCE).unwrap();
    trunk.expect(out.id(), "ACK");
    near.to = out.remote().map(|remote| remote.rtp);
    far.to = Some(invite.media());
    (out, near, far)
}

/// Panics unless the next that is heard is what was said, and so on for ten packets.
fn is_passed(mouth: &mut Ear, ears: &mut Ear, payload_type: u8) {
    for payload in noise(10, 20, u64::from(payload_type)) {
        mouth.says(payload_type, &payload);
        assert_eq!(ears.hears(|_| true), payload);
    }
}

/// Offers by re-INVITE to be reached somewhere else.
fn moves_to(call: &Call, at: SocketAddr, version: u32) {
    let body = sdp(at, version, "8 101\r\na=rtpmap:101 telephone-event/8000");
    let status = call.request(Method::Invite, &Extra::new(), Some(("application/sdp", body.as_bytes())), PATIENCE).unwrap();
    assert_eq!(status, 200);
}

/// An address to which a datagram cannot be sent: for broadcasts a socket needs an option that no media socket has (EACCES, socket(7)).
fn refused_by_the_kernel() -> SocketAddr {
    let address = SocketAddr::from(([255, 255, 255, 255], 4000));
    let refused = UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"?", address);
    assert!(refused.is_err(), "this kernel sends to {address}");
    address
}

/// Waits until the ledger has this reason for the one call, which may go on; returns its row.
fn comes_to_say(site: &Site, reason: &str) -> Value {
    until(&format!("the ledger to say {reason}"), PATIENCE, || {
        site.json(&["recordings", "list", "--all"]).into_iter().find(|row| row["reason"] == reason)
    })
}

/// Panics if there is any recording or any recording's key.
fn assert_nothing_is_kept(site: &Site) {
    let is_of_a_recording = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "rec" || ending == "key");
    let kept: Vec<_> = files_under(&site.data()).into_iter().filter(is_of_a_recording).collect();
    assert_eq!(kept, Vec::<PathBuf>::new());
    assert_eq!(site.metric("mitschnitt_vault_recordings_begun_total"), 0.0);
}

/// A socket that says and hears RTP of any kind.
struct Ear {
    socket: UdpSocket,
    to: Option<SocketAddr>,
    sequence: u16,
}

impl Ear {
    fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, to: None, sequence: 1 }
    }

    fn addr(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    fn says(&mut self, payload_type: u8, payload: &[u8]) {
        let [high, low] = self.sequence.to_be_bytes();
        let mut packet = vec![0x80, payload_type, high, low, 0, 0, high, low, 0, 0, 0, 7];
        packet.extend(payload);
        self.socket.send_to(&packet, self.to.unwrap()).unwrap();
        self.sequence += 1;
    }

    /// The payload of the next packet that is so.
    fn hears(&self, is_so: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let mut packet = [0; 2048];
        loop {
            let length = self.socket.recv(&mut packet).expect("a packet comes in time");
            if is_so(&packet[12..length]) {
                return packet[12..length].to_vec();
            }
        }
    }
}
