//! Timestamps by an authority (RFC 3161): `openssl ts` is the authority, behind a server that may be away, lie, or refuse.

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

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use support::child::{Ended, Running};
use support::pair::Pair;
use support::site::{Site, policy};
use support::{A_WHILE, until};

#[test]
fn heads_and_recordings_are_stamped_and_openssl_verifies_what_is_written_out() {
    let authority = Authority::opens();
    let site = site_with(&authority, "each_recording = \"yes\"");
    let proxy = site.start();
    let pair = Pair::new(&site);
    let talk = pair.recorded_call(&site, 1.0);
    talk.each_is_heard(25);
    talk.caller_hangs_up();
    let id = site.recorded();

    until("head and recording to be stamped", A_WHILE, || (stamped(&site).len() == 2).then_some(()));
    stopped(proxy);
    let out = site.path().join("out");
    let said = site.cli(&["audit", "timestamps", "--out", out.to_str().unwrap()]).must_succeed().out;

    let commands: Vec<_> = said.lines().filter(|line| line.trim_start().starts_with("openssl ts -verify")).collect();
    assert_eq!(commands.len(), 2, "{said}");
    for command in commands {
        let ended = authority.shell(command);
        assert!(ended.status.success() && ended.out.contains("Verification: OK"), "{command}: {} {}", ended.out, ended.err);
    }
    let root = stamped(&site).into_iter().find(|stamp| stamp["recording"] == id.as_str()).unwrap()["digest"].clone();
    assert_eq!(site.json(&["audit", "show", "--kind", "sealed"])[0]["event"]["root"], root);
    // Another head than the one that was stamped does not pass for it.
    let head =
        std::fs::read_dir(&out).unwrap().find_map(|file| file.ok().filter(|file| file.path().extension().unwrap() == "txt"));
    let head = head.unwrap().path();
    std::fs::write(&head, std::fs::read_to_string(&head).unwrap().replace("seq=", "seq=1")).unwrap();
    let stamp = head.with_extension("tsr");
    let forged = authority.shell(&format!("openssl ts -verify -data {} -in {} -CAfile ca.pem", head.display(), stamp.display()));
    assert!(!forged.status.success(), "{}", forged.out);
}

#[test]
fn an_authority_that_lies_refuses_or_is_away_costs_nothing_and_what_waits_outlives_a_restart() {
    let authority = Authority::opens();
    let site = site_with(&authority, "");
    authority.behaves(Way::Away);
    let proxy = site.start();
    until("it to be asked in vain", A_WHILE, || site.metrics().contains("mitschnitt_timestamps_failures_total 1").then_some(()));
    assert!(site.metrics().contains("mitschnitt_timestamps_waiting 1\n"), "{}", site.metrics());
    stopped(proxy);
    assert_eq!((stamped(&site).len(), waiting(&site).len()), (0, 1));

    for way in [Way::Garbage, Way::OtherDigest, Way::OtherNonce, Way::Refuses] {
        authority.behaves(way);
        let proxy = site.start();
        until("it to be asked in vain", A_WHILE, || {
            site.metrics().contains("mitschnitt_timestamps_failures_total 1").then_some(())
        });
        let ended = stopped(proxy);
        assert!(ended.err.contains("not_stamped") && ended.err.contains(way.told()), "{way:?}: {}", ended.err);
        assert_eq!(stamped(&site).len(), 0, "{way:?}");
    }

    let waits = waiting(&site).len();
    authority.behaves(Way::Answers);
    let proxy = site.start();
    until("all that waited to be stamped", A_WHILE, || (stamped(&site).len() > waits).then_some(()));
    stopped(proxy);
    assert_eq!(waiting(&site), Vec::<Value>::new());
    assert_eq!(site.cli(&["audit", "verify"]).status.code(), Some(0));
}

#[test]
fn what_the_named_certificate_has_not_signed_is_no_timestamp() {
    for (key, hash) in [
        ("ec -pkeyopt ec_paramgen_curve:P-256", "sha256"),
        ("ec -pkeyopt ec_paramgen_curve:P-384", "sha384"),
        ("rsa:2048", "sha512"),
    ] {
        let [own, other] = [(); 2].map(|()| Authority::signing(key, hash));
        let certificate = |of: &Authority| format!("certificate = \"{}\"", of.folder.path().join("tsa.pem").display());
        let site = site_with(&own, &certificate(&other));
        site.cli(&["check"]).must_succeed();

        let proxy = site.start();
        until("it to be asked in vain", A_WHILE, || {
            site.metrics().contains("mitschnitt_timestamps_failures_total 1").then_some(())
        });
        let ended = stopped(proxy);
        assert!(ended.err.contains("is not signed by the certificate that is named"), "{key}: {}", ended.err);
        assert_eq!(stamped(&site).len(), 0, "{key}");

        site.set("[timestamps]", &certificate(&own));
        let proxy = site.start();
        until("all that waited to be stamped", A_WHILE, || waiting(&site).is_empty().then_some(()));
        stopped(proxy);
        let given = stamped(&site).len();
        assert!(given > 0, "{key}");
        let verified = |by: &Authority| {
            let certificate = by.folder.path().join("tsa.pem");
            site.cli(&["audit", "timestamps", "--certificate", certificate.to_str().unwrap()])
        };
        let said = verified(&own).must_succeed().out;
        assert!(
            said.contains(", all signed by the certificate; 0 waiting.") && said.matches("  yes  ").count() == given,
            "{said}"
        );
        let said = verified(&other);
        assert_eq!(said.status.code(), Some(1), "{}", said.err);
        assert!(said.out.contains(&format!(", {given} of them not signed by the certificate")), "{}", said.out);
        assert_eq!(said.out.matches("no: another signer").count(), given, "{}", said.out);
    }
}

#[test]
fn a_certificate_that_is_none_is_told_before_anything_is_stamped() {
    let site = site_with(&Authority::opens(), "certificate = \"mitschnitt.toml\"");

    let checked = site.cli(&["check"]);

    assert!(!checked.status.success());
    assert!(checked.err.contains("the certificate of the authority for timestamps"), "{}{}", checked.out, checked.err);
}

/// How the authority behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    Answers,
    /// It closes at once.
    Away,
    Garbage,
    /// It answers as it did to another question, about another digest.
    OtherDigest,
    /// It repeats an answer about this digest.
    OtherNonce,
    Refuses,
}

impl Way {
    /// What the log says of it.
    const fn told(self) -> &'static str {
        match self {
            Self::Answers => "",
            Self::Away => "it gives no answer over HTTP",
            Self::Garbage => "cannot be read",
            Self::OtherDigest => "of another digest",
            Self::OtherNonce => "to another question",
            Self::Refuses => "refuses (status 2)",
        }
    }
}

/// An authority of the test's own, in a folder of its own.
struct Authority {
    folder: tempfile::TempDir,
    address: SocketAddr,
    way: Arc<Mutex<Way>>,
}

impl Authority {
    fn opens() -> Self {
        Self::signing("ec -pkeyopt ec_paramgen_curve:P-256", "sha256")
    }

    /// With a key of this kind, and by this hash.
    fn signing(key: &str, hash: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("mitschnitt-tsa-").tempdir().unwrap();
        std::fs::write(
            folder.path().join("tsa.cnf"),
            CONFIGURATION.replace("signer_digest = sha256", &format!("signer_digest = {hash}")),
        )
        .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let authority = Self { address: listener.local_addr().unwrap(), folder, way: Arc::new(Mutex::new(Way::Answers)) };
        let made = authority.shell(&MADE.replace("KEY", key));
        assert!(made.status.success(), "{}", made.err);
        let (folder, way) = (authority.folder.path().to_owned(), Arc::clone(&authority.way));
        // It ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let way = *way.lock().unwrap();
                if way != Way::Away {
                    serve(&mut stream.unwrap(), way, &folder);
                }
            }
        });
        authority
    }

    fn behaves(&self, way: Way) {
        *self.way.lock().unwrap() = way;
    }

    fn shell(&self, commands: &str) -> Ended {
        shell(self.folder.path(), commands)
    }
}

/// Answers one question.
fn serve(stream: &mut TcpStream, way: Way, folder: &Path) {
    let question = question(stream);
    std::fs::write(folder.join("question.tsq"), &question).unwrap();
    let (digest, other) = (hex(&question[24..56]), "ab".repeat(32));
    let answer = match way {
        Way::Garbage => b"<html>It works!</html>".to_vec(),
        // SEQUENCE { SEQUENCE { INTEGER 2 } }
        Way::Refuses => vec![0x30, 5, 0x30, 3, 0x02, 1, 2],
        Way::Answers | Way::Away => replied(folder, "true"),
        Way::OtherDigest => replied(folder, &format!("openssl ts -query -digest {other} -sha256 -cert -out question.tsq")),
        Way::OtherNonce => replied(folder, &format!("openssl ts -query -digest {digest} -sha256 -cert -out question.tsq")),
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/timestamp-reply\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        answer.len()
    );
    stream.write_all(&[head.as_bytes(), &answer].concat()).unwrap();
}

fn replied(folder: &Path, before: &str) -> Vec<u8> {
    let command = format!("{before} && openssl ts -reply -config tsa.cnf -queryfile question.tsq -out answer.tsr");
    let ended = shell(folder, &command);
    assert!(ended.status.success(), "{}", ended.err);
    std::fs::read(folder.join("answer.tsr")).unwrap()
}

fn question(stream: &TcpStream) -> Vec<u8> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut question = vec![0; length];
    reader.read_exact(&mut question).unwrap();
    question
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn shell(folder: &Path, commands: &str) -> Ended {
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(commands).current_dir(folder);
    Running::run("openssl", &mut shell, Duration::from_secs(60))
}

/// An installation that asks this authority.
fn site_with(authority: &Authority, more: &str) -> Site {
    let site = Site::new(policy("announce"));
    site.add(&format!("[timestamps]\nurl = \"http://{}/tsa\"\n{more}", authority.address));
    site
}

fn stamped(site: &Site) -> Vec<Value> {
    site.json(&["audit", "timestamps"]).into_iter().filter(|stamp| !stamp["time"].is_null()).collect()
}

fn waiting(site: &Site) -> Vec<Value> {
    site.json(&["audit", "timestamps"]).into_iter().filter(|stamp| stamp["time"].is_null()).collect()
}

fn stopped(proxy: Running) -> Ended {
    proxy.signal(Signal::TERM);
    proxy.finish(Duration::from_secs(15))
}

/// Makes its root and its own certificate.
const MADE: &str = "
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -subj '/CN=root' -days 2 &&
    openssl req -newkey KEY -nodes -keyout tsa.key -out tsa.csr -subj '/CN=authority' &&
    openssl x509 -req -in tsa.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile tsa.cnf -extensions tsa_cert -out tsa.pem &&
    echo 01 > serial";

const CONFIGURATION: &str = "
[tsa]
default_tsa = own
[own]
dir = .
serial = ./serial
signer_cert = ./tsa.pem
signer_key = ./tsa.key
certs = ./ca.pem
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ess_cert_id_chain = no
ess_cert_id_alg = sha256
[tsa_cert]
basicConstraints = CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
";
