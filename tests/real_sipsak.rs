//! A scanner at the door: sipsak from an address that is no peer's, while a call is up.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test may panic, and it is the shell that starts, writes and listens"
)]

#[allow(dead_code, reason = "each file of tests uses its part")]
mod support;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use support::child::{Ended, Running};
use support::phone::{Call, Mouth, Phone, call, every_20_ms, hang_up, sdp};
use support::site::{Site, policy};
use support::{A_WHILE, until};

/// No peer has this address.
const SCANNER: &str = "127.0.0.2";

#[test]
fn a_scanner_gets_no_answer_and_a_call_that_is_up_is_not_touched() {
    let scene = Scene::new("drop");
    let _proxy = scene.site.start();
    let (mut pbx, mut trunk) = scene.phones();
    let call = scene.call(&mut pbx, &mut trunk);

    for (what, arguments) in scene.sweeps(&pbx, &call) {
        let ended = scene.sipsak(&arguments);
        assert_eq!(ended.status.code(), Some(3), "{what} has no answer, but: {}{}", ended.out, ended.err);
    }
    scene.floods_until("mitschnitt_sip_strangers_total", 1000.0);
    let over_tcp = scene.sipsak(&["--transport=tcp".to_owned()]);
    assert!(!over_tcp.status.success() && !over_tcp.out.contains("SIP/2.0"), "{}", over_tcp.out);

    scene.site.metric_reaches("mitschnitt_sip_connections_refused_total{why=\"stranger\"}", 1.0);
    scene.goes_on(&call, &mut pbx, &mut trunk);
}

#[test]
fn where_strangers_are_refused_a_scanner_gets_403_so_often_and_no_more() {
    let scene = Scene::new("forbid");
    let _proxy = scene.site.start();
    let (mut pbx, mut trunk) = scene.phones();
    let call = scene.call(&mut pbx, &mut trunk);

    for (what, arguments) in scene.sweeps(&pbx, &call) {
        let ended = scene.sipsak(&arguments);
        let said = format!("{}{}", ended.out, ended.err);
        assert!(said.contains("SIP/2.0 403"), "{what}: {said}");
    }
    scene.floods_until("mitschnitt_sip_over_rate_total{from=\"stranger\"}", 500.0);
    scene.goes_on(&call, &mut pbx, &mut trunk);
}

/// A proxy with a PBX and a trunk, and a scanner at hand.
struct Scene {
    site: Site,
}

impl Scene {
    fn new(strangers: &str) -> Self {
        let site = Site::new(policy("announce"));
        let proxy = site.ports.proxy();
        site.set("[sip]", &format!("listen = [\"udp {proxy}\", \"tcp {proxy}\"]"));
        site.set("[sip]", &format!("strangers = \"{strangers}\""));
        Self { site }
    }

    fn phones(&self) -> (Phone, Phone) {
        [self.site.ports.pbx(), self.site.ports.trunk()].map(|at| Phone::new(at, self.site.ports.proxy())).into()
    }

    fn call(&self, pbx: &mut Phone, trunk: &mut Phone) -> Call {
        let ports = &self.site.ports;
        call("up", pbx, trunk, *ports.pbx_media().start(), *ports.trunk_media().start())
    }

    /// What a scanner tries, each with the arguments for it: to see who is here, to register, to call, and to meddle with a call whose
    /// tags it has heard somewhere.
    fn sweeps(&self, pbx: &Phone, call: &Call) -> Vec<(&'static str, Vec<String>)> {
        let invite = pbx.invite("scanned", self.site.ports.trunk(), &sdp(4000));
        let file = |name: &str, message: &[u8]| {
            let path: PathBuf = self.site.path().join(name);
            std::fs::write(&path, message).unwrap();
            vec!["--no-via".to_owned(), format!("--filename={}", path.display())]
        };
        vec![
            ("OPTIONS", Vec::new()),
            ("REGISTER", vec!["--usrloc-mode".into(), format!("--contact=sip:100@{SCANNER}:5060"), "--expires=60".into()]),
            ("INVITE", file("invite.sip", &invite)),
            ("BYE", file("bye.sip", pbx.in_dialog(call, "BYE", 2).as_bytes())),
            ("INFO", file("info.sip", pbx.in_dialog(call, "INFO", 3).as_bytes())),
            ("re-INVITE", file("again.sip", pbx.in_dialog(call, "INVITE", 4).as_bytes())),
        ]
    }

    /// Floods until so many were counted: of one flood the kernel may drop most, where the proxy has little of the processor.
    fn floods_until(&self, metric: &str, value: f64) {
        until(metric, A_WHILE, || {
            self.sipsak(&["--flood-mode", "--appendix-end=2000"].map(str::to_owned)).must_succeed();
            (self.site.metric(metric) >= value).then_some(())
        });
    }

    fn sipsak(&self, arguments: &[String]) -> Ended {
        let mut command = Command::new("sipsak");
        command.args(["-vv", "--timer-t1=50", "--timeout-factor=8"]).arg(format!("--local-ip={SCANNER}")).args(arguments);
        command.arg("--sip-uri").arg(format!("sip:100@{}", self.site.ports.proxy()));
        Running::run("sipsak", &mut command, A_WHILE)
    }

    /// Nothing came to either side of the call meanwhile; it is spoken, recorded and ended as any.
    fn goes_on(&self, call: &Call, pbx: &mut Phone, trunk: &mut Phone) {
        for phone in [&*pbx, &*trunk] {
            let came = phone.receive(Duration::from_millis(100));
            assert!(came.is_none(), "{came:?}");
        }
        let mut mouths = (Mouth::new(*self.site.ports.pbx_media().start()), Mouth::new(*self.site.ports.trunk_media().start()));
        every_20_ms(100, |_| {
            mouths.0.says(call.caller_sends_to, &[0x11; 160]);
            mouths.1.says(call.callee_sends_to, &[0x33; 160]);
        });
        hang_up(call, pbx, trunk);
        let wav = self.site.export(&self.site.recorded());
        assert!(wav.channels.iter().all(|channel| channel.len() > 4000), "half a second of both");
    }
}
