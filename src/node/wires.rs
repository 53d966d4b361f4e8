//! All that SIP comes and goes by: a UDP socket for each such end, connections for the others.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::Poll;

use bytes::Bytes;
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::mpsc;

use crate::call::Source;
use crate::node::certificates::Certificates;
use crate::node::sockets;
use crate::node::streams::{Event, Sent, Streams, Why};
use crate::sip::{End, EndId, Flow, Rate, Transport};
use crate::tls::PeerName;
use crate::wire::sip::Message;

/// What each peer's certificate must be for.
pub(super) struct Names {
    pub(super) pbx: PeerName,
    pub(super) trunks: Vec<PeerName>,
}

impl Names {
    /// Returns that of a peer; where it has none, of its address.
    pub(super) fn of(&self, source: Option<Source>, far: SocketAddr) -> PeerName {
        let known = match source {
            Some(Source::Pbx) => Some(&self.pbx),
            Some(Source::Trunk(at)) => self.trunks.get(at),
            None => None,
        };
        known.cloned().unwrap_or_else(|| PeerName::of_ip(far.ip()))
    }
}

/// The sockets and the connections.
pub(super) struct Wires {
    ends: Vec<End>,
    udp: Vec<Option<UdpSocket>>,
    streams: Streams,
    events: mpsc::Receiver<Event>,
    /// Taken out of `events` while waiting, and not looked at yet.
    stashed: Option<Event>,
    /// Which of the sockets, or past them the connections, is looked at next: none of them keeps the others waiting.
    turn: usize,
    certificates: Option<Certificates>,
}

/// What came.
pub(super) enum Arrived {
    /// A message.
    Message { from: Flow, bytes: Bytes },
    /// A message over a stream that has no end.
    Broken { from: Flow, head: Bytes, status: u16 },
    /// Somebody wants to connect.
    Knock(Knock),
    /// A connection is over. What was to be delivered these ways was not.
    Closed { why: Why, lost: Vec<Flow> },
    /// An ICMP error of an earlier datagram, which does not say whose: the transactions' timers see to it.
    Failed,
}

/// Somebody who wants to connect.
pub(super) struct Knock {
    pub(super) flow: Flow,
    stream: TcpStream,
}

/// What became of a message that was to be sent.
pub(super) enum Outcome {
    Sent,
    /// It is as lost as on the wire; where that way leads nowhere, so.
    Lost {
        is_unreachable: bool,
    },
}

impl Wires {
    /// Opens all ends. Of each connection no more is read than `rate`.
    ///
    /// # Errors
    /// The certificates cannot be used, or an address is not to be had: the text says which, and what to do.
    pub(super) async fn open(
        ends: Vec<End>,
        dscp: u8,
        rate: Option<Rate>,
        certificates: Option<Certificates>,
    ) -> Result<Self, String> {
        let certificates = certificates.map(Certificates::read).transpose()?;
        let (tls, certificates) = certificates.unzip();
        let cannot = |end: &End, error: &io::Error| {
            let End { transport, address } = end;
            format!("cannot listen on {} {address} (sip.listen): {error}\n  {}", transport.as_str(), address_remedy(error))
        };
        let mut udp = Vec::new();
        for end in &ends {
            udp.push(match end.transport {
                Transport::Tcp | Transport::Tls => None,
                Transport::Udp => {
                    let socket = UdpSocket::bind(end.address).await.map_err(|error| cannot(end, &error))?;
                    // Where the system does not let us mark, the calls go all the same.
                    if let Err(error) = sockets::mark(&socket, end.address.ip(), dscp) {
                        tracing::warn!(%error, "sip_not_marked");
                    }
                    Some(socket)
                }
            });
        }
        let (tell, events) = mpsc::channel(EVENTS);
        let streams = Streams::listen(&ends, dscp, rate, tls, tell).await.map_err(|(end, error)| cannot(&end, &error))?;
        Ok(Self { ends, udp, streams, events, stashed: None, turn: 0, certificates })
    }

    /// Waits until something may have come.
    ///
    /// # Errors
    /// A socket cannot be waited for.
    pub(super) async fn ready(&mut self) -> io::Result<()> {
        poll_fn(|context| {
            if self.stashed.is_some() {
                return Poll::Ready(Ok(()));
            }
            if let Poll::Ready(Some(event)) = self.events.poll_recv(context) {
                self.stashed = Some(event);
                return Poll::Ready(Ok(()));
            }
            let ready = self.udp.iter().flatten().map(|socket| socket.poll_recv_ready(context)).find(Poll::is_ready);
            ready.unwrap_or(Poll::Pending)
        })
        .await
    }

    /// Returns the next of what has come, each socket and the connections having their turn.
    pub(super) fn next(&mut self, buffer: &mut [u8]) -> Option<Arrived> {
        for _ in 0..=self.udp.len() {
            let turn = self.turn;
            self.turn = (turn + 1) % (self.udp.len() + 1);
            let arrived = if turn == self.udp.len() { self.next_event() } else { self.next_datagram(turn, buffer) };
            if arrived.is_some() {
                return arrived;
            }
        }
        None
    }

    fn next_datagram(&self, at: usize, buffer: &mut [u8]) -> Option<Arrived> {
        let socket = self.udp.get(at)?.as_ref()?;
        match socket.try_recv_from(buffer) {
            Ok((length, far)) => {
                let bytes = Bytes::copy_from_slice(buffer.get(..length).unwrap_or_default());
                Some(Arrived::Message { from: Flow { end: EndId(u8::try_from(at).ok()?), far }, bytes })
            }
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Some(Arrived::Failed),
            Err(_) => None,
        }
    }

    fn next_event(&mut self) -> Option<Arrived> {
        Some(match self.stashed.take().or_else(|| self.events.try_recv().ok())? {
            Event::Came { end, stream, far } => Arrived::Knock(Knock { flow: Flow { end, far }, stream }),
            Event::Message { from, bytes } => {
                if let Some(far) = alias(&bytes, from).filter(|_| self.may_alias(from)) {
                    self.streams.alias(Flow { far, ..from }, from);
                }
                Arrived::Message { from, bytes }
            }
            Event::Broken { from, head, status } => Arrived::Broken { from, head, status },
            Event::Closed { flow, id, why } => Arrived::Closed { why, lost: self.streams.closed(flow, id, why) },
        })
    }

    /// Lets somebody in who is a peer; says whether there was room.
    pub(super) fn admit(&mut self, knock: Knock, name: PeerName) -> bool {
        self.streams.take(knock.flow.end, knock.stream, knock.flow.far, name)
    }

    /// Sends a message.
    pub(super) fn send(&mut self, to: Flow, or: Option<SocketAddr>, bytes: Bytes, name: impl FnOnce() -> PeerName) -> Outcome {
        if to.far.port() == 0 {
            // Its name was not found yet.
            return Outcome::Lost { is_unreachable: true };
        }
        match self.udp.get(to.end.index()) {
            Some(Some(socket)) => match socket.try_send_to(&bytes, to.far) {
                Ok(_) => Outcome::Sent,
                // The socket's buffer is full: sent again by the transaction's timer.
                Err(error) => Outcome::Lost { is_unreachable: is_unreachable(error.kind()) },
            },
            Some(None) | None => match self.streams.send(to, or, bytes, name) {
                Sent::Taken => Outcome::Sent,
                Sent::Refused => Outcome::Lost { is_unreachable: true },
            },
        }
    }

    /// Returns how many connections there are over a transport.
    pub(super) fn connections(&self, transport: Transport) -> usize {
        self.streams.count(transport)
    }

    /// Reads the certificates again if their files are other than they were. Returns whether that failed.
    pub(super) fn renew(&mut self) -> Option<Result<(), String>> {
        let renewed = self.certificates.as_mut()?.renewed()?;
        Some(renewed.map(|tls| self.streams.renew(tls)))
    }

    /// A connection may stand for the address that its peer is reached at where the peer is as sure as one that we open ourselves
    /// (RFC 5923 §8): over TLS, where it has shown a certificate.
    fn may_alias(&self, from: Flow) -> bool {
        match self.ends.get(from.end.index()).map(|end| end.transport) {
            Some(Transport::Tcp) => true,
            Some(Transport::Tls) => self.certificates.as_ref().is_some_and(Certificates::are_asked_for),
            Some(Transport::Udp) | None => false,
        }
    }
}

/// Events of connections that wait for signalling. More: the connection that has one more is not read until there is room.
const EVENTS: usize = 256;

/// Returns the address that a connection's peer is reached at, where it says that the connection leads there, too (RFC 5923 §5).
///
/// Only an address of the host that the connection is with: nobody is given another's calls.
fn alias(bytes: &Bytes, from: Flow) -> Option<SocketAddr> {
    let head = bytes.get(..bytes.len().min(ALIAS_WITHIN))?;
    memchr::memmem::find(head, b";alias")?;
    let message = Message::parse_datagram(bytes.clone()).ok().filter(Message::is_request)?;
    let via = message.top_via().ok()?;
    via.params.get(b"alias")?;
    Some(SocketAddr::new(via.host_ip().filter(|ip| *ip == from.far.ip())?, via.port?))
}

/// Bytes of a message in which the topmost `Via` stands.
const ALIAS_WITHIN: usize = 1024;

/// Whether nothing at all can be sent to an address: a message that is too long, say, is not the peer's fault.
fn is_unreachable(kind: io::ErrorKind) -> bool {
    [
        io::ErrorKind::ConnectionRefused,
        io::ErrorKind::HostUnreachable,
        io::ErrorKind::NetworkUnreachable,
        io::ErrorKind::NetworkDown,
        io::ErrorKind::PermissionDenied,
    ]
    .contains(&kind)
}

/// What to do where an address is not to be had.
pub(super) fn address_remedy(error: &io::Error) -> &'static str {
    let kind = error.kind();
    if kind == io::ErrorKind::AddrInUse {
        "another program has the port; `ss -lunpt` shows which"
    } else if kind == io::ErrorKind::AddrNotAvailable {
        "no interface of this machine has that address; `ip address` shows them"
    } else if kind == io::ErrorKind::PermissionDenied {
        "ports below 1024 need CAP_NET_BIND_SERVICE"
    } else {
        "choose another address"
    }
}
