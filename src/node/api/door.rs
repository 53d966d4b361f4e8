//! The doors of the API: who may connect, how many at once, and for how long they may be silent.

use std::convert::Infallible;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::control::api::{Clerk, Shown};
use crate::control::{Reply, Request};
use crate::limits::{API_CONNECTIONS, API_HEAD_BYTES, API_PATIENCE};
use crate::node::api::events::Events;
use crate::node::api::serve::{self, Desk};
use crate::node::certificates::ApiCertificates;

/// A request, who asks, and where its reply goes.
pub(in crate::node) type Asked = (Request, String, oneshot::Sender<Reply>);

/// The API's thread.
pub(in crate::node) struct Api {
    /// Its end is that this goes.
    stop: oneshot::Sender<Infallible>,
    thread: JoinHandle<()>,
}

impl Api {
    /// Has it take no more requests, and returns its thread, which ends in a moment.
    pub(in crate::node) fn stop(self) -> JoinHandle<()> {
        drop(self.stop);
        self.thread
    }
}

/// Listens on the socket, which only the service's own user may open.
///
/// # Errors
/// The socket cannot be made: the directory is not writable, say, or another proxy listens there.
pub(in crate::node) fn bind(path: &Path) -> io::Result<UnixListener> {
    // What a killed process left behind is removed; a living one answers, and then this one may not start.
    if path.exists() {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another mitschnitt runs on this data directory"));
        }
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Where connections over TLS come, and what they are taken with.
pub(in crate::node) struct Far {
    listener: TcpListener,
    keys: Keys,
}

/// The certificate that they are shown, and whose they must show.
struct Keys {
    acceptor: TlsAcceptor,
    /// The files that it is made of, where they may change.
    files: Option<ApiCertificates>,
}

impl Far {
    #[cfg(test)]
    pub(super) fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr().expect("it is bound")
    }
}

impl Keys {
    /// Takes what was renewed, as the next connection needs it. What cannot be used leaves the old one, and is told.
    fn renew(&mut self) {
        match self.files.as_mut().and_then(ApiCertificates::renewed) {
            None => {}
            Some(Ok(server)) => {
                tracing::info!("api_certificates_renewed");
                self.acceptor = TlsAcceptor::from(server);
            }
            Some(Err(trouble)) => tracing::error!(error = trouble.what(), "api_certificates_not_renewed"),
        }
    }
}

/// Listens over TLS.
///
/// # Errors
/// The address cannot be bound.
pub(in crate::node) fn listen(
    address: SocketAddr,
    server: Arc<ServerConfig>,
    files: Option<ApiCertificates>,
) -> Result<Far, (SocketAddr, io::Error)> {
    let bound = TcpListener::bind(address).and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    let keys = Keys { acceptor: TlsAcceptor::from(server), files };
    Ok(Far { listener: bound.map_err(|error| (address, error))?, keys })
}

/// Where the API is to be had.
pub(in crate::node) struct Doors {
    pub(in crate::node) unix: UnixListener,
    pub(in crate::node) tls: Option<Far>,
}

/// Serves the API until it is stopped.
///
/// # Errors
/// The thread cannot be started.
pub(in crate::node) fn start(doors: Doors, ask: mpsc::Sender<Asked>, events: Events, clerk: Arc<dyn Clerk>) -> io::Result<Api> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (stop, stopped) = oneshot::channel();
    let desk = Arc::new(Desk::new(ask, events, clerk));
    let thread = std::thread::Builder::new().name("api".into()).spawn(move || {
        runtime.block_on(async {
            let unix = accept_local(doors.unix, Arc::clone(&desk));
            let tls = async {
                match doors.tls {
                    Some(far) => accept_far(far, desk).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = unix => {}
                () = tls => {}
                _ = stopped => {}
            }
        });
        // What is in the middle of something is waited for a little: it goes on at the next start otherwise.
        runtime.shutdown_timeout(LAST_WORDS);
    })?;
    Ok(Api { stop, thread })
}

/// How long what reads the ledger or a file may go on once the proxy stops.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How long to wait where no connection can be taken: no descriptor is left, say, and the next try may find one.
const BUSY: Duration = Duration::from_millis(100);

/// Takes connections over the socket: each by the user whose process it is, by the kernel's word.
async fn accept_local(listener: UnixListener, desk: Arc<Desk>) {
    let listener = match tokio::net::UnixListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "api_ended"),
    };
    let places = Arc::new(Semaphore::new(API_CONNECTIONS));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Whoever finds no place hears so by the end of the connection.
                let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
                let shown = stream.peer_cred().map_or(Shown::Nothing, |peer| Shown::User { uid: peer.uid(), pid: peer.pid() });
                let desk = Arc::clone(&desk);
                drop(tokio::spawn(async move {
                    speak(stream, shown, desk).await;
                    drop(place);
                }));
            }
            Err(error) => busy(&error).await,
        }
    }
}

/// Takes connections over TLS: each by the certificate that it shows, if it shows one.
async fn accept_far(Far { listener, mut keys }: Far, desk: Arc<Desk>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "api_ended"),
    };
    let places = Arc::new(Semaphore::new(API_CONNECTIONS));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
                keys.renew();
                let (desk, acceptor) = (Arc::clone(&desk), keys.acceptor.clone());
                drop(tokio::spawn(async move {
                    // Who makes no handshake, or none in time, is none of ours.
                    if let Ok(Ok(stream)) = timeout(API_PATIENCE, acceptor.accept(stream)).await {
                        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                        let shown = certificate.map_or(Shown::Nothing, |der| Shown::Certificate(der.to_vec()));
                        speak(stream, shown, desk).await;
                    }
                    drop(place);
                }));
            }
            Err(error) => busy(&error).await,
        }
    }
}

async fn busy(error: &io::Error) {
    tracing::warn!(%error, "api_socket_busy");
    tokio::time::sleep(BUSY).await;
}

/// Speaks HTTP/1.1 with a peer for as long as it asks.
async fn speak<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, shown: Shown, desk: Arc<Desk>) {
    let service = service_fn(|request| {
        let (desk, shown) = (Arc::clone(&desk), shown.clone());
        async move { Ok::<_, Infallible>(serve::serve(&desk, &shown, request).await) }
    });
    let spoken = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(API_PATIENCE)
        .max_buf_size(API_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    // Who speaks something else, or goes before the answer, misses nothing but that.
    if let Err(error) = spoken {
        tracing::debug!(%error, "api_connection_ended");
    }
}
