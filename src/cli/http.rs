//! One request over the running proxy's API, on its socket, and its answer.

use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::control::Request;

/// How long the proxy may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of an answer: 20,000 calls of some 400 bytes each, and room. Longer is none of ours.
const ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// Why there is no answer.
pub(super) enum Failed {
    /// Nobody listens, or not to us.
    Unconnected(io::Error),
    /// Nobody answers, or not in HTTP: in words.
    Silent(String),
}

/// Asks, and returns the status and the body of the answer.
pub(super) fn exchange(socket: &Path, request: &Request) -> Result<(u16, Vec<u8>), Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failed::Unconnected)?;
    runtime.block_on(async {
        let stream = UnixStream::connect(socket).await.map_err(Failed::Unconnected)?;
        let answer = timeout(PATIENCE, spoken(stream, request)).await;
        answer.unwrap_or_else(|_| Err(format!("nothing within {} s", PATIENCE.as_secs()))).map_err(Failed::Silent)
    })
}

async fn spoken(stream: UnixStream, request: &Request) -> Result<(u16, Vec<u8>), String> {
    let (target, body) = request.to_http();
    let in_words = |error: hyper::Error| error.to_string();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(in_words)?;
    let request = hyper::Request::builder()
        .method(request.route().0.method().as_str())
        .uri(target)
        .header(HOST, "mitschnitt")
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| error.to_string())?;
    let answer = async {
        let reply = sender.send_request(request).await.map_err(in_words)?;
        let status = reply.status().as_u16();
        let body = Limited::new(reply.into_body(), ANSWER_BYTES).collect().await;
        body.map(|body| (status, body.to_bytes().to_vec())).map_err(|error| error.to_string())
    };
    // The connection is driven for as long as the answer is waited for, and dropped with it.
    tokio::pin!(answer, connection);
    tokio::select! {
        answer = &mut answer => answer,
        // What had come by then is still to be had; and what had not, the answer says.
        _ = &mut connection => answer.await,
    }
}
