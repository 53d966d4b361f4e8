//! The proxy is killed, or stopped, while calls are up, and started again: they go on.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test may panic, and it is the shell that starts, reads and listens"
)]

#[allow(dead_code, reason = "each file of tests uses its part")]
mod support;

use std::time::Duration;

use rusqlite::Connection;
use rustix::process::Signal;
use serde_json::Value;
use support::child::Running;
use support::phone::{Call, Mouth, Phone, call, every_20_ms, hang_up, sdp};
use support::site::{Site, policy};
use support::{A_WHILE, until};

#[test]
fn a_call_that_was_up_when_the_proxy_was_killed_is_heard_again_and_can_be_hung_up() {
    let mut scene = Scene::new();
    scene.both_are_heard();
    scene.kill(Signal::KILL);

    scene.start();

    scene.both_are_heard();
    let row = scene.row();
    assert_eq!((&row["reason"], &row["ended"]), (&"torn".into(), &Value::Null), "{row}");
    let live = scene.site.json(&["calls", "list"]);
    assert_eq!((live.len(), &live[0]["call"], &live[0]["state"]), (1, &row["call"], &"up".into()), "{live:?}");
    scene.hangs_up();
    let row = until("the end of the call in the ledger", A_WHILE, || {
        Some(scene.row()).filter(|row| !row["ended"].is_null() && row["state"] == "salvaged")
    });
    assert_eq!((&row["state"], &row["reason"], &row["policy"]), (&"salvaged".into(), &"torn".into(), &"all".into()), "{row}");
    until("nothing kept", A_WHILE, || (scene.kept() == 0).then_some(()));
    assert!(scene.site.json(&["calls", "list"]).is_empty());
}

#[test]
fn a_call_that_was_up_when_the_proxy_was_stopped_goes_on_as_well() {
    let mut scene = Scene::new();
    scene.both_are_heard();
    scene.kill(Signal::TERM);
    let sealed = scene.row();
    assert_eq!((&sealed["state"], &sealed["reason"]), (&"sealed".into(), &"recorded".into()), "{sealed}");

    scene.start();

    scene.both_are_heard();
    scene.hangs_up();
    let row = until("another end in the ledger", A_WHILE, || Some(scene.row()).filter(|row| row["ended"] != sealed["ended"]));
    assert_eq!(
        (&row["state"], &row["reason"], &row["recording"]),
        (&sealed["state"], &sealed["reason"], &sealed["recording"]),
        "{row}"
    );
    scene.site.verify(row["recording"].as_str().unwrap());
}

#[test]
fn its_re_invite_is_anchored_as_before() {
    let mut scene = Scene::new();
    scene.both_are_heard();
    scene.kill(Signal::KILL);
    scene.start();

    let text = scene.pbx.in_dialog(&scene.call, "INVITE", 2);
    let offer = sdp(*scene.site.ports.pbx_media().start());
    let body = format!(
        "Contact: <sip:{}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{offer}",
        scene.pbx.at(),
        offer.len()
    );
    scene.pbx.send(text.replace("Content-Length: 0\r\n\r\n", &body).as_bytes());
    let invite = scene.trunk.expect("", "INVITE");
    assert_eq!(invite.media(), scene.call.callee_sends_to, "the port that the trunk knows");
    scene.trunk.reply(&invite, "200 OK", &sdp(*scene.site.ports.trunk_media().start()));
    assert_eq!(scene.pbx.expect("", "SIP/2.0 200").media(), scene.call.caller_sends_to, "the port that the PBX knows");
    scene.pbx.send(scene.pbx.in_dialog(&scene.call, "ACK", 2).as_bytes());
    scene.trunk.expect("", "ACK");

    scene.both_are_heard();
}

#[test]
fn a_forged_handle_is_refused_after_a_restart_too() {
    let mut scene = Scene::new();
    scene.kill(Signal::KILL);
    scene.start();
    let bye = scene.pbx.in_dialog(&scene.call, "BYE", 2);
    let (before, handle) = bye.split_once(";mth=").unwrap();
    let forged = format!("{before};mth={}{}", if handle.starts_with('0') { "1" } else { "0" }, &handle[1..]);

    scene.pbx.send(forged.replace("branch=", "branch=z9hG4bKforged").as_bytes());

    scene.pbx.expect("", "SIP/2.0 481");
    scene.both_are_heard();
    scene.hangs_up();
}

/// A call between two phones that is up.
struct Scene {
    site: Site,
    proxy: Option<Running>,
    pbx: Phone,
    trunk: Phone,
    mouths: [Mouth; 2],
    call: Call,
    said: u8,
}

impl Scene {
    fn new() -> Self {
        let site = Site::new(policy("announce"));
        let proxy = site.start();
        let mut pbx = Phone::new(site.ports.pbx(), site.ports.proxy());
        let mut trunk = Phone::new(site.ports.trunk(), site.ports.proxy());
        let media = [*site.ports.pbx_media().start(), *site.ports.trunk_media().start()];
        let call = call("restart", &mut pbx, &mut trunk, media[0], media[1]);
        let scene = Self { site, proxy: Some(proxy), pbx, trunk, mouths: media.map(Mouth::new), call, said: 0 };
        until("the call kept", A_WHILE, || (scene.kept() == 1).then_some(()));
        scene
    }

    /// Each says something that nobody has said before, until the other has heard it.
    fn both_are_heard(&mut self) {
        self.said += 1;
        let said = [0x20 + self.said, 0x40 + self.said];
        until("each heard by the other", A_WHILE, || {
            let [pbx, trunk] = &mut self.mouths;
            every_20_ms(5, |_| {
                pbx.says(self.call.caller_sends_to, &[said[0]; 160]);
                trunk.says(self.call.callee_sends_to, &[said[1]; 160]);
            });
            let hears = |mouth: &mut Mouth, voice: u8| mouth.hears(Duration::from_millis(20)).contains(&vec![voice; 160]);
            let heard = [hears(pbx, said[1]), hears(trunk, said[0])];
            (heard == [true, true]).then_some(())
        });
    }

    fn hangs_up(&mut self) {
        hang_up(&self.call, &mut self.pbx, &mut self.trunk);
    }

    fn kill(&mut self, signal: Signal) {
        let proxy = self.proxy.take().unwrap();
        proxy.signal(signal);
        let ended = proxy.finish(A_WHILE);
        assert_eq!(ended.status.code(), (signal == Signal::TERM).then_some(0), "{}", ended.err);
    }

    fn start(&mut self) {
        self.proxy = Some(self.site.start());
    }

    fn row(&self) -> Value {
        let rows = self.site.json(&["recordings", "list", "--all"]);
        assert_eq!(rows.len(), 1, "one call is one row: {rows:?}");
        rows[0].clone()
    }

    /// Of how many calls something is kept.
    fn kept(&self) -> i64 {
        let ledger = Connection::open(self.site.data().join("ledger.db")).unwrap();
        ledger.busy_timeout(A_WHILE).unwrap();
        ledger.query_row("SELECT count(*) FROM kept", [], |row| row.get(0)).unwrap()
    }
}
