//! A connection to the proxy that is opened for one message: what is sent in pieces, what comes back, and how it ends.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use super::support::A_WHILE;
use super::support::wire::{Secured, connect, first_message};

/// A connection over TCP, or over TLS.
pub(crate) struct Line {
    stream: Stream,
    came: Vec<u8>,
}

/// What came.
pub(crate) enum Came {
    Message(Vec<u8>),
    /// The proxy has closed it.
    End,
    /// Nothing yet.
    Nothing,
}

enum Stream {
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Line {
    /// Connects from this address; over TLS it shakes hands.
    pub(crate) fn open(from: IpAddr, to: SocketAddr, secured: Option<&Secured>) -> Self {
        let mut tcp = connect(from, to);
        tcp.set_nodelay(true).expect("a socket can be told so");
        tcp.set_read_timeout(Some(A_WHILE)).expect("the time-out is not nought");
        let stream = match secured {
            None => Stream::Tcp(tcp),
            Some(secured) => {
                let client = ClientConnection::new(Arc::clone(&secured.client), ServerName::from(to.ip()));
                let mut client = client.expect("the configuration is right");
                while client.is_handshaking() {
                    client.complete_io(&mut tcp).expect("the proxy lets a peer in");
                }
                Stream::Tls(Box::new(StreamOwned::new(client, tcp)))
            }
        };
        Self { stream, came: Vec::new() }
    }

    /// Our own end.
    pub(crate) fn at(&self) -> SocketAddr {
        self.tcp().local_addr().expect("it is bound")
    }

    /// Sends, at once. Whether it was taken shows by what comes back: the proxy may have closed it meanwhile.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        drop(match &mut self.stream {
            Stream::Tcp(tcp) => tcp.write_all(bytes),
            Stream::Tls(tls) => tls.write_all(bytes).and_then(|()| tls.flush()),
        });
    }

    /// Waits for the next message; nothing where the connection ends before one is whole.
    pub(crate) fn receive(&mut self) -> Option<Vec<u8>> {
        match self.poll(A_WHILE) {
            Came::Message(message) => Some(message),
            Came::End => None,
            Came::Nothing => panic!("waited in vain for a message or the end; there came {}", self.came.escape_ascii()),
        }
    }

    /// Takes the next message, or the end, if it comes within this time.
    pub(crate) fn poll(&mut self, patience: Duration) -> Came {
        self.tcp().set_read_timeout(Some(patience)).expect("the time-out is not nought");
        loop {
            if let Some(message) = first_message(&mut self.came) {
                return Came::Message(message);
            }
            let mut bytes = [0; 4096];
            let read = match &mut self.stream {
                Stream::Tcp(tcp) => tcp.read(&mut bytes),
                Stream::Tls(tls) => tls.read(&mut bytes),
            };
            match read {
                Ok(length @ 1..) => self.came.extend_from_slice(&bytes[..length]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Came::Nothing,
                Ok(0) | Err(_) => {
                    assert!(self.came.is_empty(), "it ended amid {}", self.came.escape_ascii());
                    return Came::End;
                }
            }
        }
    }

    /// Says that nothing more is sent.
    pub(crate) fn end(&mut self) {
        if let Stream::Tls(tls) = &mut self.stream {
            tls.conn.send_close_notify();
            drop(tls.flush());
        }
        // Where the proxy has closed it, it is shut already.
        drop(self.tcp().shutdown(Shutdown::Write));
    }

    fn tcp(&self) -> &TcpStream {
        match &self.stream {
            Stream::Tcp(tcp) => tcp,
            Stream::Tls(tls) => &tls.sock,
        }
    }
}
