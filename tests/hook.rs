//! The web hook: the reference server of `deploy/` is asked by the running proxy, over HTTP and over TLS with certificates of both.

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

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;
use support::child::Running;
use support::phone::{Call, Mouth, Phone, call, every_20_ms, hang_up};
use support::site::{Policy, Site, policy};
use support::{A_WHILE, CALLED, until};

#[test]
fn what_the_hook_says_of_a_number_is_heeded_and_where_it_is_gone_the_parties_are_asked() {
    let scene = Scene::new("http", "");
    let hook = scene.hook(&[]);
    let _proxy = scene.site.start();
    let mut phones = Phones::of(&scene.site);

    scene.table("allow,CRM 17");
    let made = phones.call("allowed");
    phones.hear_the_announcement(&made);
    let row = until("the recording to begin without a key", A_WHILE, || live(&scene.site, |call| call["state"] == "recording"));
    phones.hear_the_announcement(&made);
    phones.hang_up(&made);
    assert_eq!(scene.site.ledger(1)[0]["reason"], "recorded");
    let opened = support::reader::open(&scene.site, row["recording"].as_str().unwrap());
    let evidence: Value = serde_json::from_str(opened.only("evidence")["json"].as_str().unwrap()).unwrap();
    let consent = &evidence["consents"][0];
    assert_eq!((&consent["of"], &consent["how"]), (&"trunk".into(), &"web-hook".into()), "{evidence}");
    assert_eq!((&consent["registered"]["reference"], &consent["registered"]["line"]), (&"CRM 17".into(), &Value::Null));

    scene.table("deny,");
    let denied = phones.call("denied");
    until("nobody to be asked", A_WHILE, || live(&scene.site, |call| call["reason"] == "hook-denied"));
    phones.hang_up(&denied);

    hook.signal(Signal::KILL);
    drop(hook.finish(A_WHILE));
    let asked = phones.call("asked");
    phones.hear_the_announcement(&asked);
    until("the key to be waited for in vain", A_WHILE, || live(&scene.site, |call| call["reason"] == "consent-timeout"));
    phones.hang_up(&asked);
    let metrics = scene.site.metrics();
    for (answer, times) in [("allow", 1), ("deny", 1), ("silent", 1)] {
        let line = format!("mitschnitt_hook_answers_total{{answer=\"{answer}\"}} {times}\n");
        assert!(metrics.contains(&line), "{line} {metrics}");
    }
}

#[test]
fn over_tls_both_show_their_certificates_and_another_secret_is_no_answer() {
    let scene =
        Scene::new("https", "certificate = \"DIR/proxy.pem\"\nprivate_key = \"DIR/proxy.pem\"\nauthorities = \"DIR/ca.pem\"");
    scene.certificates();
    let dir = scene.site.path().display().to_string();
    let tls = [format!("--certificate={dir}/hook.pem"), format!("--clients={dir}/ca.pem")];
    let _hook = scene.hook(&tls);
    let proxy = scene.site.start();
    let mut phones = Phones::of(&scene.site);

    scene.table("allow,CRM 17");
    let made = phones.call("allowed");
    phones.hear_the_announcement(&made);
    until("the recording to begin without a key", A_WHILE, || live(&scene.site, |call| call["state"] == "recording"));
    phones.hang_up(&made);
    scene.site.ledger(1);

    proxy.signal(Signal::TERM);
    assert!(proxy.finish(A_WHILE).status.success());
    std::fs::write(scene.secret(), "f".repeat(64)).unwrap();
    let _proxy = scene.site.start();
    let asked = phones.call("unknown");
    phones.hear_the_announcement(&asked);
    until("the key to be waited for in vain", A_WHILE, || live(&scene.site, |call| call["reason"] == "consent-timeout"));
    phones.hang_up(&asked);
}

struct Scene {
    site: Site,
}

impl Scene {
    fn new(scheme: &str, more: &str) -> Self {
        let site = Site::new(Policy { announcement_ms: 500, answer_s: 1, ..policy("opt-in") });
        site.set("[[policy]]", "registered_remote = \"told\"");
        site.set("[[policy]]", "web_hook = \"ask\"");
        let scene = Self { site };
        std::fs::write(scene.secret(), "0123456789abcdef".repeat(4)).unwrap();
        let (port, secret) = (scene.port(), scene.secret());
        let more = more.replace("DIR", &scene.site.path().display().to_string());
        scene.site.add(&format!(
            "[hook]\nurl = \"{scheme}://127.0.0.1:{port}/consent\"\nsecret = \"{}\"\ndeadline_ms = 5000\n{more}",
            secret.display()
        ));
        scene
    }

    fn port(&self) -> u16 {
        self.site.ports.stranger().port()
    }

    fn secret(&self) -> PathBuf {
        self.site.path().join("hook.secret")
    }

    /// What the table says of the number that is called.
    fn table(&self, answer: &str) {
        let text = format!("number,answer,reference,version,policy\n{CALLED},{answer},,\n");
        std::fs::write(self.site.path().join("customers.csv"), text).unwrap();
    }

    fn hook(&self, more: &[String]) -> Running {
        let server = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/hook.py");
        // The proxy's is read when it starts; the hook keeps what it has.
        let mut command = Command::new("python3");
        command.arg(server).arg("--secret").arg(self.secret()).arg("--table").arg(self.site.path().join("customers.csv"));
        command.arg(format!("--listen=127.0.0.1:{}", self.port())).args(more);
        let mut hook = Running::start("hook.py", &mut command);
        hook.wait_for("hook ready", A_WHILE);
        hook
    }

    /// An authority of the test's own, and a certificate of it for each side, with its key in the same file.
    fn certificates(&self) {
        let script = "set -e
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -subj /CN=ca -days 2 \
                -addext basicConstraints=critical,CA:TRUE -addext keyUsage=keyCertSign
            for who in hook proxy; do
                openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $who.key -out $who.csr -subj /CN=$who
                printf 'subjectAltName=IP:127.0.0.1' > ext
                openssl x509 -req -in $who.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out $who.crt -days 2 -extfile ext
                cat $who.crt $who.key > $who.pem
            done";
        let mut command = Command::new("sh");
        command.arg("-c").arg(script).current_dir(self.site.path());
        Running::run("openssl", &mut command, A_WHILE).must_succeed();
    }
}

/// A telephone on each side.
struct Phones {
    pbx: Phone,
    trunk: Phone,
    ports: [u16; 2],
    mouth: Mouth,
}

impl Phones {
    fn of(site: &Site) -> Self {
        let ports = [*site.ports.pbx_media().start(), *site.ports.trunk_media().start()];
        let (pbx, trunk) = (Phone::new(site.ports.pbx(), site.ports.proxy()), Phone::new(site.ports.trunk(), site.ports.proxy()));
        Self { pbx, trunk, ports, mouth: Mouth::new(ports[1]) }
    }

    fn call(&mut self, id: &str) -> Call {
        call(id, &mut self.pbx, &mut self.trunk, self.ports[0], self.ports[1])
    }

    fn hear_the_announcement(&mut self, call: &Call) {
        every_20_ms(40, |_| self.mouth.says(call.callee_sends_to, &[0xd5; 160]));
    }

    fn hang_up(&mut self, call: &Call) {
        hang_up(call, &mut self.pbx, &mut self.trunk);
    }
}

/// The first call of this moment, if it is so.
fn live(site: &Site, is_so: impl Fn(&Value) -> bool) -> Option<Value> {
    site.json(&["calls", "list"]).into_iter().next().filter(is_so)
}
