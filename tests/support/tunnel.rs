//! TLS for a peer that speaks none, as Debian's SIPp: what comes to the peer's address over TLS goes on to it over TCP, and what it sends
//! over TCP goes to the proxy over TLS, from the peer's host and with its certificate.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::A_WHILE;
use super::ports::Ports;
use super::wire::Secured;

/// The tunnel of one peer, both ways, as long as this is there.
///
/// It listens all the while: a listener that is closed is not gone while another test's child, not yet the program that it is to be, has
/// a copy of it, and nobody can listen there again.
pub(crate) struct Tunnel {
    asks: mpsc::UnboundedSender<oneshot::Sender<Carried>>,
}

/// How many connections came each way since this was asked last, all of them carried to their end.
#[derive(Default)]
pub(crate) struct Carried {
    pub(crate) to_peer: usize,
    pub(crate) to_proxy: usize,
}

/// Where a peer listens whose configured address is the tunnel's: at the port after it.
pub(crate) fn behind(configured: SocketAddr) -> SocketAddr {
    SocketAddr::new(configured.ip(), configured.port() + 1)
}

/// Where that peer finds the proxy, at whatever port of its host it is itself: at that host, by the proxy's port.
pub(crate) fn before(proxy: SocketAddr, peer: IpAddr) -> SocketAddr {
    SocketAddr::new(peer, proxy.port())
}

impl Tunnel {
    /// Opens the tunnel of the peer that is configured at this address; returns when it listens.
    pub(crate) fn open(configured: SocketAddr, ports: &Ports, secured: Secured) -> Self {
        let listen = |at: SocketAddr| {
            let listener = std::net::TcpListener::bind(at).expect("the test's own ports are free");
            listener.set_nonblocking(true).expect("a socket can be told so");
            listener
        };
        let listeners = [listen(configured), listen(before(ports.proxy(), configured.ip()))];
        let ends = Ends { peer: behind(configured), proxy: ports.proxy_tls(), secured };
        let (asks, asked) = mpsc::unbounded_channel();
        drop(std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("there is room for one");
            runtime.block_on(ends.carry(listeners, asked));
        }));
        Self { asks }
    }

    /// Waits until both sides have closed all that it carries; panics where a connection could not be made.
    pub(crate) fn carried(&self) -> Carried {
        let (answer, answered) = oneshot::channel();
        self.asks.send(answer).expect("the tunnel could carry all that came");
        answered.blocking_recv().expect("the tunnel could carry all that came")
    }
}

/// What a tunnel lies between.
#[derive(Clone)]
struct Ends {
    peer: SocketAddr,
    proxy: SocketAddr,
    secured: Secured,
}

impl Ends {
    async fn carry(self, listeners: [std::net::TcpListener; 2], mut asked: mpsc::UnboundedReceiver<oneshot::Sender<Carried>>) {
        let [over_tls, plain] = listeners.map(|listener| TcpListener::from_std(listener).expect("it does not block"));
        let (mut carried, mut open) = (Carried::default(), JoinSet::new());
        loop {
            tokio::select! {
                came = over_tls.accept() => {
                    carried.to_peer += 1;
                    open.spawn(self.clone().bring_to_peer(came.expect("it can be taken").0));
                }
                came = plain.accept() => {
                    carried.to_proxy += 1;
                    open.spawn(self.clone().bring_to_proxy(came.expect("it can be taken").0));
                }
                Some(ended) = open.join_next() => ended.expect("a connection is made"),
                asks = asked.recv() => {
                    let Some(answer) = asks else { return };
                    while let Some(ended) = timeout(A_WHILE, open.join_next()).await.expect("who is told of an end closes") {
                        ended.expect("a connection is made");
                    }
                    drop(answer.send(std::mem::take(&mut carried)));
                }
            }
        }
    }

    async fn bring_to_peer(self, came: TcpStream) {
        let mut tls =
            TlsAcceptor::from(Arc::clone(&self.secured.server)).accept(prompt(came)).await.expect("the proxy is believed");
        let mut tcp = prompt(TcpStream::connect(self.peer).await.expect("the peer listens"));
        // How a side closes is its own affair; what it did not get, it misses itself.
        drop(copy_bidirectional(&mut tls, &mut tcp).await);
    }

    async fn bring_to_proxy(self, came: TcpStream) {
        let socket = TcpSocket::new_v4().expect("there is room for a socket");
        socket.bind(SocketAddr::new(self.peer.ip(), 0)).expect("it is an address of this machine");
        let tcp = prompt(socket.connect(self.proxy).await.expect("the proxy listens"));
        let connector = TlsConnector::from(Arc::clone(&self.secured.client));
        let mut tls = connector.connect(ServerName::from(self.proxy.ip()), tcp).await.expect("the proxy is believed");
        drop(copy_bidirectional(&mut tls, &mut prompt(came)).await);
    }
}

/// Has each message sent at once.
fn prompt(stream: TcpStream) -> TcpStream {
    stream.set_nodelay(true).expect("a socket can be told so");
    stream
}
