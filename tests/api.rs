//! The HTTP API of a running proxy, on real calls and real files: what the command line does, over its socket, with who asked in the logs.

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
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use mitschnitt::control::api::{Route, fits};
use serde_json::{Value, json};
use support::authority::Authority;
use support::phone::{Call, Mouth, Phone, call, every_20_ms, hang_up};
use support::site::{Policy, Site, policy};
use support::{A_WHILE, until};

#[test]
fn a_calls_life_is_heard_and_its_recording_held_released_and_erased_over_http() {
    let site = Site::new(Policy { announcement_ms: 40, ..policy("announce") });
    let proxy = site.start();
    let mut pbx = Phone::new(site.ports.pbx(), site.ports.proxy());
    let mut trunk = Phone::new(site.ports.trunk(), site.ports.proxy());
    let (a, b) = (*site.ports.pbx_media().start(), *site.ports.trunk_media().start());
    let (mut pbx_mouth, mut trunk_mouth) = (Mouth::new(a), Mouth::new(b));
    let mut talk = |call: &Call, times| {
        every_20_ms(times, |_| {
            pbx_mouth.says(call.caller_sends_to, &[0x55; 160]);
            trunk_mouth.says(call.callee_sends_to, &[0xd5; 160]);
        });
    };
    let mut events = Events::of(&site);

    let made = call("listened", &mut pbx, &mut trunk, a, b);
    talk(&made, 50);
    events.hears("recording");
    let row = site_json(&site, "GET /v1/calls", "")["calls"][0].clone();
    let live = row["call"].as_str().unwrap().to_owned();
    let done = |deed: &str, status| {
        let (found, answer) = asks(&site, &format!("POST /v1/calls/{live}/{deed}"), "");
        assert_eq!(found, status, "{answer}");
        answer
    };
    assert_eq!(done("pause", 200)["done"], "paused");
    events.hears("paused");
    assert_eq!(done("pause", 409)["reason"], "already-paused");
    assert_eq!(done("resume", 200), json!({ "call": live, "done": "resumed" }));
    talk(&made, 10);
    assert_eq!(done("withdraw", 200)["done"], "withdrawn");
    events.hears("withdrawn");
    hang_up(&made, &mut pbx, &mut trunk);
    events.hears("ended");
    let heard = events.names();
    assert_eq!(
        heard.iter().map(String::as_str).filter(|name| *name != "up").collect::<Vec<_>>(),
        ["ringing", "recording", "paused", "recording", "withdrawn", "ended"],
        "{heard:?}"
    );

    let id = row["recording"].as_str().unwrap();
    let path = |rest: &str| format!("/v1/recordings/{id}{rest}");
    until("the recording to be sealed", A_WHILE, || {
        (site_json(&site, "GET /v1/recordings", "")["recordings"][0]["state"] == "sealed").then_some(())
    });
    // It is for its own purpose, and one is said.
    for (purpose, expected, reason) in [("", 422, None), ("training", 403, Some("purpose"))] {
        let (status, problem) = asks(&site, &format!("GET {}", path(&format!("/keys?purpose={purpose}"))), "");
        assert_eq!((status, problem["reason"].as_str()), (expected, reason), "{problem}");
    }
    // Where that takes two, one alone does not get it: who and why is kept, and another is asked.
    let text = fs::read_to_string(site.config()).unwrap();
    let root = "[[identity]]\nuser = \"0\"\nroles = [\"operator\", \"reviewer\", \"officer\", \"auditor\"]\npurposes = [\"*\"]\n";
    fs::write(site.config(), format!("{text}\n[access]\nfour_eyes_export = 0\n{root}")).unwrap();
    let (status, problem) = asks(&site, &format!("GET {}", path("/file?purpose=quality")), "");
    assert_eq!((status, problem["reason"].as_str(), problem["fault"].as_str()), (403, Some("second-person"), Some("caller")));
    let waiting = site.cli(&["approvals", "list"]).must_succeed().out;
    assert!(waiting.contains("fetch a recording with its wrapped keys") && waiting.contains("quality"), "{waiting}");
    fs::write(site.config(), text).unwrap();
    let file = bytes_of(&site, &path("/file?purpose=quality"));
    assert_eq!(file, fs::read(site.data().join(format!("recordings/{id}.rec"))).unwrap());
    assert_eq!(bytes_of(&site, &path("/keys?purpose=quality")), fs::read(site.data().join(format!("keys/{id}.key"))).unwrap());
    let reason = r#"{"reason":"case 4711"}"#;
    assert_eq!(
        site_json(&site, &format!("POST {}", path("/hold")), reason),
        json!({ "recording": id, "held": true, "holds": 1 })
    );
    assert_eq!(site_json(&site, "GET /v1/holds", "")["holds"][0]["reason"], "case 4711");
    let (status, problem) = asks(&site, &format!("POST {}", path("/erase")), reason);
    assert_eq!((status, problem["fault"].as_str()), (409, Some("state")), "{problem}");
    assert_eq!(site_json(&site, &format!("POST {}", path("/release")), reason)["held"], false);
    assert_eq!(site_json(&site, &format!("POST {}", path("/erase")), reason)["state"], "erased");
    assert_eq!(asks(&site, &format!("GET {}", path("/file?purpose=quality")), "").0, 404);
    assert!(!site.data().join(format!("keys/{id}.key")).exists());
    let shown = site_json(&site, &format!("GET {}", path("")), "");
    let deeds: Vec<_> = shown["accesses"].as_array().unwrap().iter().map(|access| access["deed"].as_str().unwrap()).collect();
    assert_eq!(
        deeds,
        ["bundle", "bundle", "bundle", "bundle", "bundle", "hold", "erase", "release", "erase", "erase", "bundle"],
        "{shown}"
    );
    let verified = site_json(&site, "GET /v1/audit/verify", "");
    assert_eq!((verified["holds"].as_bool(), &verified["faults"]), (Some(true), &json!([])), "{verified}");
    let log = proxy.said();
    assert!(log.contains("operator deed=\"erase\"") || log.contains("deed=\"erase\""), "{log}");
    assert!(!log.contains("4711"), "a reason stays out of the log: {log}");
}

#[test]
fn the_other_questions_have_the_answers_of_the_command_line() {
    let site = Site::new(Policy { announcement_ms: 40, ..policy("announce") });
    let _proxy = site.start();

    assert_eq!(site_json(&site, "GET /v1/status", "")["calls"], 0);
    assert_eq!(site_json(&site, "GET /v1/trunks", "")["addresses"].as_array().unwrap().len(), 2);
    assert_eq!(site_json(&site, "POST /v1/register/reload", ""), json!({ "lines": 0 }));
    for query in [
        "",
        "?all=true&last=3&from=2026-01-01",
        "?reason=recorded",
        "?mos_below=3.6",
        "?quality=true&numbers=true",
        "?header=Session-ID:%2000112233445566778899aabbccddeeff",
    ] {
        assert_eq!(site_json(&site, &format!("GET /v1/recordings{query}"), ""), json!({ "recordings": [] }), "{query}");
    }
    let person = r#"{"number":"+4930123456","purpose":"GDPR 15"}"#;
    let found = site_json(&site, "POST /v1/subject/find", person);
    assert_eq!((&found["calls"], &found["alike"]), (&json!([]), &json!(0)), "{found}");
    let complaint = site_json(&site, "POST /v1/complaints", r#"{"text":"somebody calls too often"}"#);
    assert_eq!(complaint["complaint"], 2, "{complaint}");
    assert_eq!(site_json(&site, "GET /v1/complaints", "")["complaints"][0]["text"], "somebody calls too often");
    let close = r#"{"reason":"put right"}"#;
    assert_eq!(site_json(&site, "POST /v1/complaints/2/close", close), json!({ "complaint": 2, "closed": true }));
    assert_eq!(asks(&site, "POST /v1/complaints/2/close", close).0, 409);
    assert_eq!(asks(&site, "POST /v1/complaints/9/close", close).0, 404);
    let events = site_json(&site, "GET /v1/audit?kind=sought&last=5", "")["events"].clone();
    assert_eq!((events.as_array().unwrap().len(), &events[0]["kind"]), (1, &json!("sought")), "{events}");
    assert!(site_json(&site, "GET /v1/audit/head", "")["line"].as_str().unwrap().starts_with("mitschnitt-head/1 "));
    for (asked, body, expected) in [
        ("GET /v1/recordings?reason=%2B4930123456", "", 422),
        ("GET /v1/recordings?from=+4930123456", "", 422),
        ("GET /v1/recordings/4930123456", "", 422),
        ("GET /v1/recordings/000000000000000000000000000000ff", "", 404),
        ("GET /v1/recordings/--config=x", "", 422),
        ("POST /v1/recordings/000000000000000000000000000000ff/hold", "{\"reason\":\"\"}", 422),
        ("POST /v1/subject/find", r#"{"number":"-","purpose":"GDPR 15"}"#, 422),
        ("POST /v1/subject/find", r#"{"number":"+4930123456","purpose":"x","country":"+49301"}"#, 422),
        ("GET /v1/recordings/4930123456/file", "", 422),
    ] {
        let (status, problem) = asks(&site, asked, body);
        assert_eq!(status, expected, "{asked}: {problem}");
        assert!(!problem.to_string().contains("4930"), "{problem}");
    }
}

#[test]
fn a_token_may_what_its_role_may_until_it_is_revoked_and_stands_in_no_log() {
    let site = Site::new(Policy { announcement_ms: 40, ..policy("announce") });
    let proxy = site.start();
    let token = site.cli(&["tokens", "add", "chain", "--role", "auditor"]).must_succeed().out.trim().to_owned();
    let asked = |line: &str, token: &str| {
        let body = if line.ends_with("hold") { r#"{"reason":"case"}"# } else { "" };
        let (method, path) = line.split_once(' ').unwrap();
        // A header behind the request line: what follows it is ours.
        asks(&site, &format!("{method} {path} HTTP/1.1\r\nAuthorization: Bearer {token}\r\nX-Line: x"), body)
    };

    assert_eq!(asked("GET /v1/audit/verify", &token).0, 200);
    let nobody = "0".repeat(32);
    for line in ["GET /v1/calls", "POST /v1/calls/00000000000000c0/pause", &format!("POST /v1/recordings/{nobody}/hold")] {
        let (status, problem) = asked(line, &token);
        assert_eq!((status, problem["fault"].as_str()), (403, Some("caller")), "{line}: {problem}");
    }
    assert_eq!(asked("GET /v1/audit/verify", "mst_that_nobody_gave_out").0, 401);
    assert_eq!(asks(&site, "GET /v1/calls", "").0, 200, "the user himself has all roles, for nothing is said of any");

    site.cli(&["tokens", "revoke", "chain", "--reason", "over"]).must_succeed();
    assert_eq!(asked("GET /v1/audit/verify", &token).0, 401);

    let log = proxy.said();
    assert!(log.contains("operator_denied") && log.contains("token chain"), "{log}");
    assert!(!log.contains(&token) && !log.contains("mst_"), "{log}");
}

#[test]
fn over_tls_somebody_is_whoever_his_certificate_is_for_and_a_renewed_one_is_shown_without_a_restart() {
    let site = Site::new(Policy { announcement_ms: 40, ..policy("announce") });
    let authority = Authority::new();
    let at = site.ports.proxy_tls();
    let [chain, key, known] = ["api.crt.pem", "api.key.pem", "clients.pem"].map(|name| site.path().join(name));
    fs::write(&known, authority.pem()).unwrap();
    let first = authority.certify(&[&at.ip().to_string()]);
    first.write(&chain, &key);
    site.add(&format!(
        "[api]\nlisten = \"{at}\"\ncertificate = \"{}\"\nprivate_key = \"{}\"\nauthorities = \"{}\"",
        chain.display(),
        key.display(),
        known.display()
    ));
    site.add("[[identity]]\ncertificate = \"audit.example.com\"\nroles = [\"auditor\"]");
    site.add("[[identity]]\nuser = \"0\"\nroles = [\"operator\", \"officer\"]");
    let proxy = site.start();
    let asks = |name: &str, line: &str, lines: &str| {
        let client = authority.secured(&authority.certify(&[name])).client;
        let mut session = rustls::ClientConnection::new(client, at.ip().into()).unwrap();
        let mut stream = TcpStream::connect(at).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut tls = rustls::Stream::new(&mut session, &mut stream);
        tls.write_all(format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n").as_bytes()).unwrap();
        let mut answer = Vec::new();
        drop(tls.read_to_end(&mut answer));
        let status: u16 = String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap().parse().unwrap();
        (status, session.peer_certificates().unwrap()[0].to_vec())
    };
    let token = site.cli(&["tokens", "add", "wall", "--role", "operator"]).must_succeed().out.trim().to_owned();
    let bearer = format!("Authorization: Bearer {token}\r\n");

    let (status, shown) = asks("audit.example.com", "GET /v1/audit/verify", "");
    assert_eq!(status, 200);
    assert_eq!(asks("audit.example.com", "GET /v1/calls", "").0, 403, "his role may not");
    assert_eq!(asks("audit.example.com.evil.example", "GET /v1/audit/verify", "").0, 401, "of our authority, and nobody");
    assert_eq!(asks("nobody.example.com", "GET /v1/calls", &bearer).0, 200, "a token counts, whoever shows it");
    assert_eq!(asks("audit.example.com", "GET /v1/audit/verify", &bearer).0, 403, "and then nothing else");

    let renewed = authority.certify(&[&at.ip().to_string()]);
    renewed.write(&chain, &key);
    let (status, now) = asks("audit.example.com", "GET /v1/audit/verify", "");
    assert!(status == 200 && now != shown);
    fs::write(&chain, "no certificate").unwrap();
    assert_eq!(asks("audit.example.com", "GET /v1/audit/verify", "").1, now, "the old one stays");
    let log = proxy.said();
    assert!(log.contains("api_certificates_not_renewed") && !log.contains(&token), "{log}");
}

/// Asks, and returns status and answer.
fn asks(site: &Site, line: &str, body: &str) -> (u16, Value) {
    let answer = says(site, line, body);
    let at = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&answer[..at]).into_owned();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_slice(&answer[at..]).unwrap())
}

/// Asks what must go well.
fn site_json(site: &Site, line: &str, body: &str) -> Value {
    let (status, answer) = asks(site, line, body);
    assert_eq!(status, 200, "{line}: {answer}");
    let (method, path) = line.split_once(' ').unwrap();
    let (route, _) = Route::find(method, path.split('?').next().unwrap()).unwrap();
    assert!(fits(route, &answer), "{line}: its shape is another than the document's: {answer:#}");
    answer
}

fn bytes_of(site: &Site, path: &str) -> Vec<u8> {
    let answer = says(site, &format!("GET {path}"), "");
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
    let at = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    answer[at + 4..].to_vec()
}

fn says(site: &Site, line: &str, body: &str) -> Vec<u8> {
    let mut stream = UnixStream::connect(site.data().join("control.sock")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let length = body.len();
    let head = format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

/// Listens to what happens to calls.
struct Events {
    stream: UnixStream,
    heard: String,
}

impl Events {
    fn of(site: &Site) -> Self {
        let mut stream = UnixStream::connect(site.data().join("control.sock")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(b"GET /v1/calls/events HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut events = Self { stream, heard: String::new() };
        events.until("\r\n\r\n");
        events
    }

    fn until(&mut self, text: &str) {
        let mut buffer = [0; 4096];
        while !self.heard.contains(text) {
            let read = self.stream.read(&mut buffer).unwrap_or_default();
            assert!(read > 0, "it ended: {}", self.heard);
            self.heard.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
    }

    /// Waits for the first event of this name.
    fn hears(&mut self, name: &str) {
        self.until(&format!("event: {name}\n"));
    }

    fn names(&self) -> Vec<String> {
        self.heard.lines().filter_map(|line| line.strip_prefix("event: ")).map(str::to_owned).collect()
    }
}
