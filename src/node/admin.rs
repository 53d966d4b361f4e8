//! The control socket: `control.sock` in the data directory, for the operator's commands; one JSON line each way.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

use crate::control::{Reply, Request};
use crate::ids::CallId;

/// A request, who asks, and where its reply goes.
pub(super) type Asked = (Request, String, oneshot::Sender<Reply>);

/// Bytes of one request line; the longest real one is below 200. Longer: the connection is closed.
const LINE_BYTES: u64 = 4096;

/// How long an operator's command may be silent. Longer: the connection is closed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Listens on the socket, which only the service's own user may open.
///
/// # Errors
/// The socket cannot be made: the directory is not writable, say, or another proxy listens there.
pub(super) fn listen(path: &Path, ask: mpsc::Sender<Asked>) -> io::Result<tokio::task::JoinHandle<()>> {
    // What a killed process left behind is removed; a living one answers, and then this one may not start.
    if path.exists() {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another mitschnitt runs on this data directory"));
        }
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(serve(stream, ask.clone()))),
                Err(error) => {
                    // No descriptor is left, say: the next try may find one.
                    tracing::warn!(%error, "control_socket_busy");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }))
}

async fn serve(stream: UnixStream, ask: mpsc::Sender<Asked>) {
    let uid = stream.peer_cred().map(|peer| peer.uid()).ok();
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read.take(LINE_BYTES));
    let mut line = String::new();
    let reply = match tokio::time::timeout(PATIENCE, lines.read_line(&mut line)).await {
        Ok(Ok(_)) => match Request::from_json(&line) {
            Ok(request) => {
                let reply = answer(request.clone(), uid, &ask).await;
                log(&request, &reply, uid);
                reply
            }
            Err(error) => Reply::Error { what: error.to_string() },
        },
        Ok(Err(_)) | Err(_) => return,
    };
    let mut text = serde_json::to_vec(&reply).unwrap_or_default();
    text.push(b'\n');
    // An operator who has gone meanwhile misses nothing but the reply.
    drop(write.write_all(&text).await);
}

async fn answer(request: Request, uid: Option<u32>, ask: &mpsc::Sender<Asked>) -> Reply {
    let who = uid.map_or_else(|| "unknown".to_owned(), |uid| format!("uid {uid}"));
    let (to, reply) = oneshot::channel();
    let stopped = || Reply::Error { what: "the proxy is stopping".into() };
    if ask.send((request, who, to)).await.is_err() {
        return stopped();
    }
    reply.await.unwrap_or_else(|_| stopped())
}

/// Logs what was done, and by whom; what was only looked at is not.
fn log(request: &Request, reply: &Reply, uid: Option<u32>) {
    let (deed, call) = match request {
        Request::Start { call } => ("start", call.as_str()),
        Request::Pause { call } => ("pause", call.as_str()),
        Request::Resume { call } => ("resume", call.as_str()),
        Request::Withdraw { call, shreds: false } => ("withdraw", call.as_str()),
        Request::Withdraw { call, shreds: true } => ("shred", call.as_str()),
        Request::Drain { .. } => ("drain", ""),
        Request::Roster {} => ("roster", ""),
        Request::Calls { .. } | Request::Trunks {} | Request::Status {} => return,
    };
    // A number that is none of ours may be anything, and stays out of the log.
    let call = call.parse::<CallId>().map(|call| call.to_string()).unwrap_or_default();
    let outcome = match reply {
        Reply::Done(_) | Reply::Draining { .. } | Reply::Roster { .. } => "done",
        Reply::NotDone { why, .. } => why.as_str(),
        Reply::Calls { .. } | Reply::Trunks { .. } | Reply::Status(_) | Reply::Error { .. } => "failed",
    };
    tracing::info!(deed, call, outcome, uid, "operator");
}
