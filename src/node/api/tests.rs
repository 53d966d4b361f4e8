//! The API over a real socket, with a table of calls that is played.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::control::{Done, NotDone, Reply, Request, Status};
use crate::limits::{API_BODY_BYTES, API_CONNECTIONS, API_HEAD_BYTES, API_PATIENCE};
use crate::node::api::door::Api;
use crate::node::api::{Asked, bind, start};

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
        ("GET /v1/calls?of=+4930123456", "", 422, "the request's query has something that is not known here"),
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

/// A proxy's API, behind which calls are played.
struct Played {
    home: TempDir,
    api: Option<Api>,
}

impl Played {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let (ask, asked) = mpsc::channel(16);
        let listener = bind(&home.path().join("control.sock")).unwrap();
        let api = start(listener, ask).unwrap();
        drop(std::thread::Builder::new().spawn(move || play(asked)).unwrap());
        Self { home, api: Some(api) }
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
        (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap())
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
