//! What the plainest of telephones speaks over: datagrams, or streams with and without TLS.

use std::cell::RefCell;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketType};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection, StreamOwned};

use super::A_WHILE;

/// Over what a telephone speaks.
pub(crate) enum Wire {
    Udp(UdpSocket),
    Stream(RefCell<Streams>),
}

/// How a telephone is known over TLS, and whom it believes.
#[derive(Clone)]
pub(crate) struct Secured {
    pub(crate) server: Arc<ServerConfig>,
    pub(crate) client: Arc<ClientConfig>,
}

/// The connections of a telephone: those that came to where it listens, and the one that it opened.
pub(crate) struct Streams {
    listener: TcpListener,
    at: IpAddr,
    proxy: SocketAddr,
    secured: Option<Secured>,
    open: Vec<(Connection, Vec<u8>)>,
    /// The connection on which something came last: what is sent goes there.
    last: usize,
}

enum Connection {
    Tcp(TcpStream),
    Accepted(Box<StreamOwned<ServerConnection, TcpStream>>),
    Opened(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Wire {
    pub(crate) fn udp(at: SocketAddr) -> Self {
        Self::Udp(UdpSocket::bind(at).expect("the test's own ports are free"))
    }

    pub(crate) fn stream(at: SocketAddr, proxy: SocketAddr, secured: Option<Secured>) -> Self {
        let listener = TcpListener::bind(at).expect("the test's own ports are free");
        listener.set_nonblocking(true).expect("a socket can be told so");
        Self::Stream(RefCell::new(Streams { listener, at: at.ip(), proxy, secured, open: Vec::new(), last: 0 }))
    }

    /// The socket, of one that speaks by datagrams.
    pub(crate) const fn socket(&self) -> Option<&UdpSocket> {
        match self {
            Self::Udp(socket) => Some(socket),
            Self::Stream(_) => None,
        }
    }

    /// What stands in a `Via`.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Udp(_) => "UDP",
            Self::Stream(streams) if streams.borrow().secured.is_some() => "TLS",
            Self::Stream(_) => "TCP",
        }
    }

    pub(crate) fn send(&self, bytes: &[u8], proxy: SocketAddr) {
        match self {
            Self::Udp(socket) => {
                socket.send_to(bytes, proxy).expect("loopback takes a datagram");
            }
            Self::Stream(streams) => streams.borrow_mut().send(bytes),
        }
    }

    /// Takes the next message, if one comes within this time; and from whom, of a datagram.
    pub(crate) fn receive(&self, patience: Duration) -> Option<(Vec<u8>, Option<SocketAddr>)> {
        match self {
            Self::Udp(socket) => {
                socket.set_read_timeout(Some(patience.max(Duration::from_millis(1)))).expect("the time-out is not nought");
                let mut bytes = vec![0; 65_536];
                match socket.recv_from(&mut bytes) {
                    Ok((length, from)) => {
                        bytes.truncate(length);
                        Some((bytes, Some(from)))
                    }
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
                    Err(error) => panic!("{error}"),
                }
            }
            Self::Stream(streams) => streams.borrow_mut().receive(patience).map(|bytes| (bytes, None)),
        }
    }

    /// Closes all connections, and returns how many there were.
    pub(crate) fn hang_up(&self) -> usize {
        match self {
            Self::Udp(_) => 0,
            Self::Stream(streams) => std::mem::take(&mut streams.borrow_mut().open).len(),
        }
    }
}

impl Streams {
    fn send(&mut self, bytes: &[u8]) {
        if self.open.is_empty() {
            let tcp = connect(self.at, self.proxy);
            let connection = match &self.secured {
                None => Connection::Tcp(tcp),
                Some(secured) => {
                    let name = ServerName::from(self.proxy.ip());
                    let client = ClientConnection::new(Arc::clone(&secured.client), name).expect("the configuration is right");
                    Connection::Opened(Box::new(StreamOwned::new(client, tcp)))
                }
            };
            self.open.push((connection, Vec::new()));
            self.last = 0;
        }
        let at = self.last.min(self.open.len() - 1);
        // Who was shut out sees it when nothing comes back.
        drop(self.open[at].0.write(bytes));
    }

    fn receive(&mut self, patience: Duration) -> Option<Vec<u8>> {
        let end = Instant::now() + patience;
        loop {
            if let Ok((tcp, _)) = self.listener.accept() {
                tcp.set_nonblocking(false).expect("a socket can be told so");
                let connection = match &self.secured {
                    None => Connection::Tcp(tcp),
                    Some(secured) => {
                        let server = ServerConnection::new(Arc::clone(&secured.server)).expect("the configuration is right");
                        Connection::Accepted(Box::new(StreamOwned::new(server, tcp)))
                    }
                };
                self.open.push((connection, Vec::new()));
            }
            let mut ended = Vec::new();
            for (at, (connection, came)) in self.open.iter_mut().enumerate() {
                if let Some(message) = first_message(came) {
                    self.last = at;
                    return Some(message);
                }
                let mut bytes = [0; 4096];
                match connection.read(&mut bytes) {
                    Ok(0) => ended.push(at),
                    Ok(length) => came.extend_from_slice(&bytes[..length]),
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                    Err(_) => ended.push(at),
                }
                if let Some(message) = first_message(came) {
                    self.last = at;
                    return Some(message);
                }
            }
            for at in ended.into_iter().rev() {
                self.open.remove(at);
            }
            if Instant::now() >= end {
                return None;
            }
            if self.open.is_empty() {
                std::thread::sleep(TURN);
            }
        }
    }
}

/// How long one connection is listened to before the next is.
const TURN: Duration = Duration::from_millis(5);

impl Connection {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        let socket = match self {
            Self::Tcp(tcp) => &*tcp,
            Self::Accepted(tls) => &tls.sock,
            Self::Opened(tls) => &tls.sock,
        };
        socket.set_read_timeout(Some(TURN))?;
        match self {
            Self::Tcp(tcp) => tcp.read(bytes),
            Self::Accepted(tls) => tls.read(bytes),
            Self::Opened(tls) => tls.read(bytes),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let socket = match self {
            Self::Tcp(tcp) => &*tcp,
            Self::Accepted(tls) => &tls.sock,
            Self::Opened(tls) => &tls.sock,
        };
        socket.set_read_timeout(Some(A_WHILE))?;
        match self {
            Self::Tcp(tcp) => tcp.write_all(bytes),
            Self::Accepted(tls) => tls.write_all(bytes).and_then(|()| tls.flush()),
            Self::Opened(tls) => tls.write_all(bytes).and_then(|()| tls.flush()),
        }
    }
}

/// Connects from any port of this address of ours.
pub(crate) fn connect(from: IpAddr, to: SocketAddr) -> TcpStream {
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = rustix::net::socket(family, SocketType::STREAM, None).expect("there is room for a socket");
    rustix::net::bind(&socket, &SocketAddr::new(from, 0)).expect("it is an address of this machine");
    rustix::net::connect(&socket, &to).expect("the proxy listens");
    socket.into()
}

/// Takes the first whole message out of what came: its head, and as much as its `Content-Length` says.
pub(crate) fn first_message(came: &mut Vec<u8>) -> Option<Vec<u8>> {
    let blank = came.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    came.drain(..blank);
    let head = came.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&came[..head]).to_lowercase();
    let length =
        text.lines().filter_map(|line| line.split_once(':')).find(|(name, _)| matches!(name.trim(), "content-length" | "l"));
    let length = length.and_then(|(_, value)| value.trim().parse().ok());
    let end = head + length.unwrap_or(0);
    (came.len() >= end).then(|| came.drain(..end).collect())
}
