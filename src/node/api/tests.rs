//! The API over a real socket, with a table of calls that is played.

#![allow(clippy::unwrap_used, clippy::unwrap_in_result, clippy::indexing_slicing, reason = "a test may panic")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::mpsc;

use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::ServerName;
use tokio::sync::broadcast;

use crate::access::{Identity, Person, Role, Roles};
use crate::control::api::{CallEvent, CallState, Clerk, Fetched, Inquiry, Problem, Route, Shown};
use crate::control::{Done, NotDone, Reply, Request, Status, Trouble};
use crate::limits::{API_BODY_BYTES, API_CONNECTIONS, API_EVENTS, API_HEAD_BYTES, API_LISTENERS, API_PATIENCE};
use crate::node::api::door::{Api, Far};
use crate::node::api::events::Events;
use crate::node::api::{Asked, Doors, bind, listen, start};
use crate::tls;

#[test]
fn each_question_has_its_answer_and_whoever_may_not_be_answered_hears_why() {
    let api = Played::new();

    for (asked, status, body) in [
        ("GET /v1/status", 200, json!({ "version": "0.1.0", "up_s": 5, "calls": 2, "recording": 1 })),
        ("GET /v1/calls", 200, json!({ "calls": [] })),
        ("GET /v1/trunks", 200, json!({ "addresses": [] })),
        ("POST /v1/register/reload", 200, json!({ "lines": 3 })),
        (
            "POST /v1/calls/00000000000000c0/pause",
            200,
            json!({ "call": "00000000000000c0", "done": "paused", "resumes_in_s": 120 }),
        ),
    ] {
        assert_eq!(api.asks(asked, ""), (status, body), "{asked}");
    }
    for (asked, body, status, detail) in [
        ("POST /v1/calls/00000000000000c0/resume", "", 409, "the recording is not paused"),
        ("POST /v1/calls/00000000000000c0/withdraw", "{\"shreds\":true}", 404, "there is no such call at this moment"),
        (
            "GET /v1/calls?of=+4930123456",
            "",
            422,
            "the request's query has not what is needed here, or something that is not known here",
        ),
        ("POST /v1/drain", "{}", 422, "the request's body has not what is needed here, or something that is not known here"),
        ("GET /v1/+4930123456", "", 404, "there is no such path"),
        ("POST /v1/status", "", 405, "that path is not asked by this method"),
        ("POST /v1/drain", "{\"limit_s\":1}", 503, "the proxy is stopping"),
    ] {
        let (found, problem) = api.asks(asked, body);
        assert_eq!((found, problem["detail"].as_str()), (status, Some(detail)), "{asked}");
        assert_eq!(problem["status"], status);
        assert!(!problem.to_string().contains("4930"), "{problem}");
    }
    assert_eq!(api.asks("GET /v1/openapi.json", "").1["info"]["title"], "mitschnitt");
}

#[test]
fn each_route_refuses_each_role_that_may_not_and_no_other() {
    let api = Played::new();

    for route in Route::ALL {
        for role in Role::ALL {
            api.clerk.is(&[role]);
            let line = format!("{} {}", route.method().as_str(), route.path_of("00000000000000c0"));
            let may = route.action().roles().has(role);
            if *route == Route::Events && may {
                // It never ends; that it begins is enough.
                drop(api.listens());
                continue;
            }

            let (status, answer) = api.asks(&(line + query(*route)), body_of(*route));

            assert_eq!(status != 403, may, "{route} {role}: {answer}");
            assert!(may || answer["remedy"].as_str().unwrap().starts_with("that takes the role "), "{answer}");
        }
        api.clerk.is(&[]);
        let line = format!("{} {}", route.method().as_str(), route.path_of("00000000000000c0"));
        assert_eq!(api.asks(&(line + query(*route)), body_of(*route)).0, 403, "{route}");
    }
    let asked = api.clerk.asked.lock().unwrap();
    assert!(asked.iter().all(|(route, who)| route.action().roles().meets(who.roles)), "nobody else got as far as the clerk");
    assert_eq!(asked.iter().map(|(route, _)| *route).collect::<std::collections::BTreeSet<_>>().len(), 15, "all that he answers");
}

#[test]
fn whoever_shows_a_token_is_whoever_has_that_and_nobody_is_told_anything() {
    let api = Played::new();
    let asks =
        |lines: &str| api.says(format!("GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n").as_bytes());

    assert!(asks("Authorization: Bearer right\r\n").starts_with("HTTP/1.1 200 "));
    for wrong in ["Authorization: Bearer wrong\r\n", "Authorization: Basic cm9vdDo=\r\n", "Authorization: Bearer\r\n"] {
        let said = asks(wrong);
        assert!(said.starts_with("HTTP/1.1 401 ") && said.contains("www-authenticate: Bearer"), "{said}");
        assert!(!said.contains("wrong"), "{said}");
    }
    assert_eq!(api.asks("POST /v1/calls/00000000000000c0/withdraw", "").0, 404, "over the socket");
}

#[test]
fn over_tls_whoever_shows_nothing_is_nobody_and_a_token_or_a_certificate_is_somebody() {
    let ca = Authority::new();
    let (certificate, key) = ca.issue("localhost");
    let server = tls::server(certificate.as_bytes(), key.as_bytes(), Some(ca.pem.as_bytes())).unwrap();
    let door = listen("127.0.0.1:0".parse().unwrap(), server, None).unwrap();
    let at = door.local_addr();
    let _api = Played::with(Some(door));
    let client = ca.issue("client");
    let stranger = Authority::new().issue("client");
    let asks = |ours: Option<&(String, String)>, lines: &str| {
        let ours = ours.map(|(certificate, key)| [certificate.as_bytes(), key.as_bytes()]);
        let config = tls::client(ca.pem.as_bytes(), ours).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut session = rustls::ClientConnection::new(config, name).unwrap();
        let mut stream = TcpStream::connect(at).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut tls = rustls::Stream::new(&mut session, &mut stream);
        let asked = format!("GET /v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n");
        drop(tls.write_all(asked.as_bytes()));
        let mut answer = Vec::new();
        drop(tls.read_to_end(&mut answer));
        String::from_utf8(answer).unwrap().lines().next().unwrap_or_default().to_owned()
    };

    assert_eq!(asks(None, ""), "HTTP/1.1 401 Unauthorized");
    assert_eq!(asks(None, "Authorization: Bearer right\r\n"), "HTTP/1.1 200 OK");
    assert_eq!(asks(None, "Authorization: Bearer wrong\r\n"), "HTTP/1.1 401 Unauthorized");
    assert_eq!(asks(Some(&client), ""), "HTTP/1.1 200 OK");
    assert_eq!(
        asks(Some(&client), "Authorization: Bearer wrong\r\n"),
        "HTTP/1.1 401 Unauthorized",
        "a token that is none is no less so"
    );
    assert_eq!(asks(Some(&stranger), ""), "", "of another authority");
    // In the clear nobody is answered.
    let mut clear = TcpStream::connect(at).unwrap();
    clear.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    clear.write_all(b"GET /v1/status HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer right\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    drop(clear.read_to_end(&mut answer));
    assert!(!answer.starts_with(b"HTTP/"), "{answer:?}");
}

/// An authority of the test's own.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

#[test]
fn a_file_is_given_out_as_it_lies_there() {
    let api = Played::new();

    let said = api.says(b"GET /v1/recordings/ab/file?purpose=quality HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");

    let (head, body) = said.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("content-length: {}", FILE.len())), "{head}");
    assert!(body == *FILE, "{} bytes", body.len());
}

#[test]
fn who_listens_hears_a_calls_life_and_how_much_was_missed() {
    let api = Played::new();
    let mut stream = api.listens();
    let mut heard = String::new();
    for state in
        [CallState::Ringing, CallState::Up, CallState::Recording, CallState::Paused, CallState::Withdrawn, CallState::Ended]
    {
        api.events.send(Arc::new(event(state, 0))).unwrap();
    }
    until(&mut stream, &mut heard, "event: ended\n");
    let names: Vec<_> = heard.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(names, ["ringing", "up", "recording", "paused", "withdrawn", "ended"]);

    // It reads nothing meanwhile, and what the system keeps for it is soon full.
    let sent = API_EVENTS * 200;
    (0..sent).for_each(|n| drop(api.events.send(Arc::new(event(CallState::Up, n)))));
    api.events.send(Arc::new(event(CallState::Ended, sent))).unwrap();
    let mut heard = String::new();
    until(&mut stream, &mut heard, "event: ended\n");

    let missed = heard.split("data: {\"missed\":").skip(1).map(|rest| rest.split('}').next().unwrap().parse::<usize>().unwrap());
    let missed: usize = missed.sum();
    assert!(missed > 0);
    assert_eq!(heard.matches("event: up\n").count() + heard.matches("event: ended\n").count() + missed, sent + 1);
}

#[test]
fn so_many_listen_and_no_more() {
    let api = Played::new();
    let mut listening: Vec<_> = (0..API_LISTENERS).map(|_| api.listens()).collect();

    let (status, problem) = api.asks("GET /v1/calls/events", "");
    assert_eq!((status, problem["remedy"].as_str()), (503, Some("end one of those connections")));

    drop(listening.pop());
    api.events.send(Arc::new(event(CallState::Up, 0))).unwrap();
    let began = Instant::now();
    while api.events.receiver_count() >= API_LISTENERS && began.elapsed() < API_PATIENCE {
        api.events.send(Arc::new(event(CallState::Up, 0))).unwrap();
        std::thread::yield_now();
    }
    drop(api.listens());
}

#[test]
fn what_is_too_long_or_too_slow_is_refused_and_nothing_is_done() {
    let api = Played::new();

    assert_eq!(api.asks("POST /v1/drain", &" ".repeat(API_BODY_BYTES + 1)).0, 413);
    let long = format!("GET /v1/status HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(API_HEAD_BYTES));
    assert!(api.says(long.as_bytes()).starts_with("HTTP/1.1 431 "));
    let began = Instant::now();
    let cut = api.says(b"POST /v1/drain HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{");
    assert!(cut.starts_with("HTTP/1.1 408 "), "{cut}");
    assert_eq!(api.says(b"GET /v1/status HTT"), "");
    assert!(began.elapsed() < API_PATIENCE * 3);
}

#[test]
fn there_are_so_many_connections_and_no_more() {
    let api = Played::new();
    let mut open: Vec<_> = (0..API_CONNECTIONS).map(|_| api.connects()).collect();
    // The last of them is served, so all of them have their place.
    let last = open.last_mut().unwrap();
    last.write_all(b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert_eq!(last.read(&mut [0; 8]).unwrap(), 8);

    let mut more = api.connects();

    assert_eq!(more.read(&mut [0; 8]).unwrap_or(0), 0, "it is closed at once");
}

#[test]
fn where_one_listens_no_other_does_and_what_a_killed_one_left_is_no_hindrance() {
    let api = Played::new();

    assert_eq!(bind(&api.socket()).unwrap_err().kind(), std::io::ErrorKind::AddrInUse);

    let home = api.end();
    assert!(home.path().join("control.sock").exists());
    assert!(bind(&home.path().join("control.sock")).is_ok());
}

fn event(state: CallState, n: usize) -> CallEvent {
    CallEvent {
        call: format!("{n:016x}"),
        at: "2026-11-24T09:30:00.250Z".into(),
        state,
        reason: "recorded".into(),
        direction: "inbound".into(),
        trunk: "carrier".into(),
        recording: None,
        calling: "…456".into(),
        called: "…0".into(),
    }
}

/// Reads until a text has come.
fn until(stream: &mut UnixStream, heard: &mut String, end: &str) {
    let mut buffer = vec![0; 1 << 16];
    let mut bytes = Vec::new();
    while !heard.contains(end) {
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0, "it ended: {heard}");
        bytes.extend_from_slice(&buffer[..read]);
        *heard = String::from_utf8_lossy(&bytes).into_owned();
    }
    // The sizes of the pieces stand between them.
    *heard = heard
        .lines()
        .filter(|line| !line.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .map(|line| line.to_owned() + "\n")
        .collect();
}

/// What must stand in the query of a route.
fn query(route: Route) -> &'static str {
    if matches!(route, Route::File | Route::Keys) { "?purpose=quality" } else { "" }
}

/// What must stand in the body of a route.
fn body_of(route: Route) -> &'static str {
    match route {
        Route::Drain => r#"{"limit_s":1}"#,
        Route::Hold | Route::Release | Route::Erase | Route::CloseComplaint => r#"{"reason":"GDPR 17"}"#,
        Route::Subject => r#"{"number":"+4930123456","purpose":"GDPR 15"}"#,
        Route::Complain => r#"{"text":"somebody"}"#,
        Route::Status
        | Route::Calls
        | Route::Events
        | Route::Start
        | Route::Pause
        | Route::Resume
        | Route::Withdraw
        | Route::Trunks
        | Route::Register
        | Route::Recordings
        | Route::Recording
        | Route::File
        | Route::Keys
        | Route::Holds
        | Route::Complaints
        | Route::Audit
        | Route::AuditHead
        | Route::AuditVerify
        | Route::OpenApi => "",
    }
}

/// A file that is longer than a piece.
static FILE: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| "0123456789abcdef".repeat(10_000));

/// Knows everybody, and has whatever role it is told.
struct Known {
    roles: Mutex<Roles>,
    asked: Mutex<Vec<(Route, Identity)>>,
}

impl Known {
    fn is(&self, roles: &[Role]) {
        *self.roles.lock().unwrap() = Roles::of(roles);
    }
}

impl Clerk for Known {
    fn identify(&self, shown: &Shown) -> Result<Identity, Problem> {
        let person = match shown {
            Shown::User { uid, .. } => Person::Unix(*uid),
            Shown::Token(token) if token.reveal() == "right" => Person::Token("right".into()),
            Shown::Certificate(_) => Person::Certificate("client".into()),
            Shown::Token(_) | Shown::Nothing => {
                return Err(Problem::new(401, Trouble::new("nobody knows who asks", "show a token")));
            }
        };
        let roles = *self.roles.lock().unwrap();
        Ok(Identity { roles, ..Identity::unrestricted(person.to_string(), person) })
    }

    fn answer(&self, inquiry: &Inquiry<'_>, who: &Identity) -> Result<Vec<Value>, Problem> {
        self.asked.lock().unwrap().push((inquiry.route, who.clone()));
        Ok(vec![json!({ "calls": 0 })])
    }

    fn fetch(&self, inquiry: &Inquiry<'_>, who: &Identity) -> Result<Fetched, Problem> {
        self.asked.lock().unwrap().push((inquiry.route, who.clone()));
        Ok(Fetched { bytes: Box::new(std::io::Cursor::new(FILE.as_bytes())), length: FILE.len() as u64 })
    }
}

/// A proxy's API, behind which calls are played.
struct Played {
    home: TempDir,
    api: Option<Api>,
    clerk: Arc<Known>,
    events: Events,
}

impl Played {
    fn new() -> Self {
        Self::with(None)
    }

    fn with(tls: Option<Far>) -> Self {
        let home = tempfile::tempdir().unwrap();
        let (ask, asked) = mpsc::channel(16);
        let listener = bind(&home.path().join("control.sock")).unwrap();
        let clerk = Arc::new(Known { roles: Mutex::new(Roles::ALL), asked: Mutex::default() });
        let (events, _) = broadcast::channel(API_EVENTS);
        let api = start(Doors { unix: listener, tls }, ask, events.clone(), Arc::<Known>::clone(&clerk)).unwrap();
        drop(std::thread::Builder::new().spawn(move || play(asked)).unwrap());
        Self { home, api: Some(api), clerk, events }
    }

    /// Listens to what happens to calls, from here on.
    fn listens(&self) -> UnixStream {
        let mut stream = self.connects();
        stream.write_all(b"GET /v1/calls/events HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut head = [0; 15];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(head, *b"HTTP/1.1 200 OK");
        stream
    }

    fn socket(&self) -> std::path::PathBuf {
        self.home.path().join("control.sock")
    }

    fn connects(&self) -> UnixStream {
        let stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// Sends these bytes, and returns what comes until the end.
    fn says(&self, bytes: &[u8]) -> String {
        let mut stream = self.connects();
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        // A connection that is reset has said what it had to say.
        drop(stream.read_to_end(&mut answer));
        String::from_utf8(answer).unwrap()
    }

    fn asks(&self, line: &str, body: &str) -> (u16, Value) {
        let length = body.len();
        let answer = self.says(
            format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}").as_bytes(),
        );
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap_or(Value::Null))
    }

    fn end(mut self) -> TempDir {
        self.api.take().unwrap().stop().join().unwrap();
        std::mem::replace(&mut self.home, tempfile::tempdir().unwrap())
    }
}

impl Drop for Played {
    fn drop(&mut self) {
        if let Some(api) = self.api.take() {
            api.stop().join().unwrap();
        }
    }
}

fn play(mut asked: mpsc::Receiver<Asked>) {
    while let Some((request, _, reply)) = asked.blocking_recv() {
        let answer = match request {
            Request::Status {} => Reply::Status(Status { version: "0.1.0".into(), up_s: 5, calls: 2, recording: 1 }),
            Request::Calls { .. } => Reply::Calls { calls: Vec::new() },
            Request::Trunks {} => Reply::Trunks { addresses: Vec::new() },
            Request::Roster {} => Reply::Roster { lines: 3 },
            Request::Start { .. } => Reply::Done(Done::Asks),
            Request::Pause { .. } => Reply::Done(Done::Paused { resumes_in_s: 120 }),
            Request::Resume { .. } => Reply::NotDone { why: NotDone::NotPaused, reason: None },
            Request::Withdraw { .. } => Reply::NotDone { why: NotDone::NoSuchCall, reason: None },
            Request::Drain { .. } => Reply::Error { what: "the proxy is stopping".into() },
        };
        drop(reply.send(answer));
    }
}
