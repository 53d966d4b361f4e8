//! SIP over TCP and TLS: connections that are opened and accepted, each a task of its own with bounds on all that it holds.
//!
//! Who may connect is asked before a byte is read: a stranger's connection is closed without an answer, and without a TLS handshake.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::limits;
use crate::node::sockets;
use crate::sip::{Bucket, End, EndId, Flow, Glance, Rate, Transport};
use crate::time::Moment;
use crate::tls::{PeerName, Tls};
use crate::wire::sip::{Framer, Piece};

/// What connections tell the thread of signalling.
#[derive(Debug)]
pub(super) enum Event {
    /// Somebody has connected; nothing was read yet.
    Came { end: EndId, stream: TcpStream, far: SocketAddr },
    /// A message came.
    Message { from: Flow, bytes: Bytes },
    /// A message that has no end; the connection is closed.
    Broken { from: Flow, head: Bytes, status: u16 },
    /// A connection is over, or could not be opened.
    Closed { flow: Flow, id: u64, why: Why },
}

/// Why a connection is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Why {
    /// It was never there: refused, timed out, or the handshake failed.
    NotOpened,
    /// A peer opened it, and its handshake failed or its certificate is not its own.
    NotLetIn,
    /// The other end closed it, or it broke.
    Ended,
    /// Nothing came for [`limits::SIP_IDLE`].
    Idle,
    /// A message did not end within [`limits::SIP_PATIENCE`], or what we sent was not taken.
    Slow,
}

impl Why {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::NotOpened => "not-opened",
            Self::NotLetIn => "not-let-in",
            Self::Ended => "ended",
            Self::Idle => "idle",
            Self::Slow => "slow",
        }
    }
}

/// All connections.
pub(super) struct Streams {
    ends: Vec<End>,
    dscp: u8,
    /// How fast each connection is read.
    rate: Option<Rate>,
    tls: Option<Tls>,
    open: HashMap<Flow, Connection>,
    /// Connections that stand for the address that their peer is reached at, too (RFC 5923).
    aliases: HashMap<Flow, Flow>,
    /// Connections in whose place another is that goes the same way: nothing more is sent over them, and they stay until they end.
    replaced: HashMap<u64, Connection>,
    /// Where a connection could not be opened, and until when none is tried.
    shut: HashMap<Flow, Instant>,
    events: mpsc::Sender<Event>,
    next: u64,
}

struct Connection {
    id: u64,
    out: mpsc::Sender<Bytes>,
    /// What else it stands for.
    alias: Option<Flow>,
}

/// What became of a message that was to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sent {
    /// It is on its way, or waits for a connection that is being opened.
    Taken,
    /// No connection is to be had, or it takes nothing any more.
    Refused,
}

impl Streams {
    /// Opens what listens. Events come by the channel.
    ///
    /// # Errors
    /// An address is not to be had, with the end that it is of.
    pub(super) async fn listen(
        ends: &[End],
        dscp: u8,
        rate: Option<Rate>,
        tls: Option<Tls>,
        events: mpsc::Sender<Event>,
    ) -> Result<Self, (End, io::Error)> {
        for (end, id) in ends.iter().zip(0_u8..).filter(|(end, _)| end.transport.is_reliable()) {
            let listener = TcpListener::bind(end.address).await.map_err(|error| (*end, error))?;
            // Inherited by what is accepted.
            if let Err(error) = sockets::mark(&listener, end.address.ip(), dscp) {
                tracing::warn!(%error, "sip_not_marked");
            }
            let events = events.clone();
            drop(tokio::spawn(accept(listener, EndId(id), events)));
        }
        Ok(Self {
            ends: ends.to_vec(),
            dscp,
            rate,
            tls,
            open: HashMap::new(),
            aliases: HashMap::new(),
            replaced: HashMap::new(),
            shut: HashMap::new(),
            events,
            next: 0,
        })
    }

    /// Takes other certificates for the connections that are opened from here on.
    pub(super) fn renew(&mut self, tls: Tls) {
        self.tls = Some(tls);
    }

    /// Lets a connection stand for another way to the same peer: what goes that way goes over it while it is there.
    pub(super) fn alias(&mut self, way: Flow, by: Flow) {
        let Some(connection) = self.open.get_mut(&by).filter(|_| way != by) else { return };
        // One for each connection: else a peer could have us remember as many as there are ports.
        if let Some(before) = connection.alias.replace(way).filter(|before| *before != way)
            && self.aliases.get(&before) == Some(&by)
        {
            self.aliases.remove(&before);
        }
        self.aliases.insert(way, by);
    }

    /// Returns how many connections there are over a transport.
    pub(super) fn count(&self, transport: Transport) -> usize {
        self.open.keys().filter(|flow| self.transport(flow.end) == transport).count()
    }

    /// Takes a connection that a peer has opened; closes it where there are as many as there may be. `name` is what its certificate must be
    /// for, where certificates are asked for.
    pub(super) fn take(&mut self, end: EndId, stream: TcpStream, far: SocketAddr, name: PeerName) -> bool {
        let of_host = self.open.keys().filter(|flow| flow.far.ip() == far.ip()).count();
        if self.open.len() + self.replaced.len() >= limits::SIP_CONNECTIONS - KEPT || of_host >= limits::SIP_CONNECTIONS_PER_HOST
        {
            return false;
        }
        let flow = Flow { end, far };
        prompt(&stream);
        let (task, out) = self.begin(flow);
        match (self.transport(end), &self.tls) {
            (Transport::Tls, Some(tls)) => {
                let acceptor = TlsAcceptor::from(std::sync::Arc::clone(&tls.server));
                drop(tokio::spawn(async move {
                    let accepted = timeout(limits::SIP_PATIENCE, acceptor.accept(stream)).await.ok().and_then(Result::ok);
                    // Where certificates are asked for, rustls has seen that one is there and believed.
                    let stream = accepted.filter(|stream| {
                        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                        shown.is_none_or(|shown| name.is_in(shown))
                    });
                    task.run(stream, Why::NotLetIn, out).await;
                }));
            }
            (Transport::Tls, None) | (Transport::Tcp | Transport::Udp, _) => {
                drop(tokio::spawn(task.run(Some(stream), Why::NotLetIn, out)));
            }
        }
        true
    }

    /// Sends a message over the connection that there is this way, or over a new one to `or`, or to where the way leads.
    ///
    /// `name` is what the certificate of a peer that we connect to must be for.
    pub(super) fn send(&mut self, to: Flow, or: Option<SocketAddr>, bytes: Bytes, name: impl FnOnce() -> PeerName) -> Sent {
        let elsewhere = Flow { far: or.unwrap_or(to.far), ..to };
        let alias = self.aliases.get(&elsewhere).copied();
        let known = [Some(to), Some(elsewhere), alias].into_iter().flatten().find(|flow| self.open.contains_key(flow));
        let flow = match known {
            Some(flow) => flow,
            None => {
                if !self.connect(elsewhere, name) {
                    return Sent::Refused;
                }
                elsewhere
            }
        };
        let Some(connection) = self.open.get(&flow) else { return Sent::Refused };
        if connection.out.try_send(bytes).is_ok() {
            return Sent::Taken;
        }
        // It takes nothing: what waits in it is lost with it, and the transactions hear of that.
        self.forget(flow);
        Sent::Refused
    }

    /// Takes note that a connection is over. Returns the ways that led over it until now: what was to be delivered by them was not.
    pub(super) fn closed(&mut self, flow: Flow, id: u64, why: Why) -> Vec<Flow> {
        if why == Why::NotOpened {
            // Only where we wanted to go: what a peer's failed handshake came from is a port of the moment.
            let now = Instant::now();
            self.shut.retain(|_, until| *until > now);
            if self.shut.len() < limits::SIP_CONNECTIONS {
                self.shut.insert(flow, now + SHUT);
            }
        }
        self.replaced.remove(&id);
        let Some(connection) = self.open.get(&flow).filter(|connection| connection.id == id) else { return Vec::new() };
        let alias = connection.alias.filter(|way| self.aliases.get(way) == Some(&flow));
        self.forget(flow);
        std::iter::once(flow).chain(alias).collect()
    }

    fn forget(&mut self, flow: Flow) {
        self.open.remove(&flow);
        self.aliases.retain(|_, by| *by != flow);
    }

    fn connect(&mut self, flow: Flow, name: impl FnOnce() -> PeerName) -> bool {
        let is_shut = self.shut.get(&flow).is_some_and(|until| *until > Instant::now());
        if is_shut || self.open.len() >= limits::SIP_CONNECTIONS {
            return false;
        }
        let Some(here) = self.ends.get(flow.end.index()).copied() else { return false };
        let connector = match (here.transport, &self.tls) {
            (Transport::Tls, Some(tls)) => {
                Some((TlsConnector::from(std::sync::Arc::clone(&tls.client)), name().to_server_name()))
            }
            (Transport::Tls, None) | (Transport::Udp, _) => return false,
            (Transport::Tcp, _) => None,
        };
        let dscp = self.dscp;
        let (task, out) = self.begin(flow);
        drop(tokio::spawn(async move {
            let tcp = timeout(limits::SIP_CONNECT, open(here.address.ip(), flow.far, dscp)).await.ok().and_then(Result::ok);
            match (tcp, connector) {
                (Some(tcp), Some((connector, name))) => {
                    let stream = timeout(limits::SIP_PATIENCE, connector.connect(name, tcp)).await.ok().and_then(Result::ok);
                    task.run(stream, Why::NotOpened, out).await;
                }
                (tcp, _) => task.run(tcp, Why::NotOpened, out).await,
            }
        }));
        true
    }

    fn begin(&mut self, flow: Flow) -> (Task, mpsc::Receiver<Bytes>) {
        let (to, out) = mpsc::channel(limits::SIP_OUTGOING);
        self.next += 1;
        let id = self.next;
        // A peer may connect from the very port that we have connected to: what is on its way over ours still comes.
        if let Some(before) = self.open.insert(flow, Connection { id, out: to, alias: None }) {
            self.replaced.insert(before.id, before);
        }
        (Task { flow, id, rate: self.rate, events: self.events.clone() }, out)
    }

    fn transport(&self, end: EndId) -> Transport {
        self.ends.get(end.index()).map_or(Transport::Udp, |end| end.transport)
    }
}

/// Connections that are kept for those that we open: whoever connects as often as may be does not keep calls from the other side.
const KEPT: usize = limits::SIP_CONNECTIONS / 8;

/// How long no connection is tried to where one could not be opened: what is sent there meanwhile is told at once to be undeliverable.
const SHUT: Duration = Duration::from_secs(5);

/// How often line ends are sent over a connection on which nothing else is, so that translators on the way do not forget it: a third of
/// the 95 s that RFC 5626 §4.4.1 begins with.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

async fn accept(listener: TcpListener, end: EndId, events: mpsc::Sender<Event>) {
    loop {
        match listener.accept().await {
            Ok((stream, far)) => {
                if events.send(Event::Came { end, stream, far }).await.is_err() {
                    return;
                }
            }
            // No descriptor is left, say: who wants to connect waits in the kernel's queue until one is.
            Err(error) => {
                tracing::warn!(%error, "connection_not_accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn open(here: IpAddr, far: SocketAddr, dscp: u8) -> io::Result<TcpStream> {
    let socket = if far.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    if let Err(error) = sockets::mark(&socket, far.ip(), dscp) {
        tracing::debug!(%error, "sip_not_marked");
    }
    socket.bind(SocketAddr::new(here, 0))?;
    let stream = socket.connect(far).await?;
    prompt(&stream);
    Ok(stream)
}

/// Has each message sent at once: one that waits for the acknowledgement of the one before is late by the peer's delay.
fn prompt(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "sip_not_prompt");
    }
}

/// One connection's own task.
struct Task {
    flow: Flow,
    id: u64,
    rate: Option<Rate>,
    events: mpsc::Sender<Event>,
}

impl Task {
    /// Carries a connection until it ends; tells that it did.
    async fn run<S: AsyncRead + AsyncWrite>(self, stream: Option<S>, absent: Why, out: mpsc::Receiver<Bytes>) {
        let why = match stream {
            None => absent,
            Some(stream) => {
                let (reader, writer) = tokio::io::split(stream);
                let (pong, pings) = mpsc::channel(1);
                tokio::select! {
                    why = self.read(Box::pin(reader), pong) => why,
                    why = write(Box::pin(writer), out, pings) => why,
                }
            }
        };
        drop(self.events.send(Event::Closed { flow: self.flow, id: self.id, why }).await);
    }

    async fn read(&self, mut reader: impl AsyncRead + Unpin, pong: mpsc::Sender<()>) -> Why {
        let mut framer = Framer::default();
        let mut pace = self.rate.map(Pace::of);
        let mut buffer = vec![0; READ];
        // When the message that has begun is to have ended.
        let mut ends_by: Option<Instant> = None;
        loop {
            let patience = ends_by.map_or(limits::SIP_IDLE, |at| at.saturating_duration_since(Instant::now()));
            let length = match timeout(patience, reader.read(&mut buffer)).await {
                Ok(Ok(length @ 1..)) => length,
                Ok(Ok(0) | Err(_)) => return Why::Ended,
                Err(_) => return if framer.is_amid() { Why::Slow } else { Why::Idle },
            };
            framer.push(buffer.get(..length).unwrap_or_default());
            loop {
                let event = match framer.poll() {
                    Ok(None) => break,
                    Ok(Some(Piece::Message(bytes))) => {
                        ends_by = None;
                        Event::Message { from: self.flow, bytes }
                    }
                    Ok(Some(Piece::Ping)) => {
                        // One answer is enough for pings that come faster than they are answered.
                        if pong.try_send(()).is_err() {
                            tracing::trace!("ping_not_answered");
                        }
                        continue;
                    }
                    Err(fault) => {
                        let broken = Event::Broken { from: self.flow, head: fault.head, status: fault.status };
                        if self.events.send(broken).await.is_ok() {
                            // The refusal is to go out before the connection does.
                            tokio::time::sleep(LAST_WORD).await;
                        }
                        return Why::Ended;
                    }
                };
                if let Some(pace) = &mut pace {
                    pace.keep().await;
                }
                // While signalling is behind, nothing more is read, and the peer's own window fills.
                if self.events.send(event).await.is_err() {
                    return Why::Ended;
                }
            }
            ends_by = framer.is_amid().then(|| ends_by.unwrap_or_else(|| Instant::now() + limits::SIP_PATIENCE));
        }
    }
}

/// How fast a connection is read: what comes faster waits in it, and the peer's own window fills.
struct Pace {
    bucket: Bucket,
    began: Instant,
}

impl Pace {
    fn of(rate: Rate) -> Self {
        Self { bucket: Bucket::full(rate, Moment::START), began: Instant::now() }
    }

    /// Waits until one more may come. They come in order, so that none of them is preferred.
    async fn keep(&mut self) {
        while let Err(wait) = self.bucket.take(Glance::Other, Moment::START + self.began.elapsed()) {
            tokio::time::sleep(wait).await;
        }
    }
}

/// How long a connection stays after what broke it, so that the refusal goes out.
const LAST_WORD: Duration = Duration::from_millis(200);

/// Bytes that are read at once.
const READ: usize = 8192;

async fn write(mut writer: impl AsyncWrite + Unpin, mut out: mpsc::Receiver<Bytes>, mut pings: mpsc::Receiver<()>) -> Why {
    loop {
        let bytes = tokio::select! {
            next = out.recv() => match next {
                Some(bytes) => bytes,
                // Signalling has given it up: it took nothing any more.
                None => return Why::Slow,
            },
            Some(()) = pings.recv() => Bytes::from_static(b"\r\n"),
            () = tokio::time::sleep(KEEP_ALIVE) => Bytes::from_static(b"\r\n"),
        };
        let written = async {
            writer.write_all(&bytes).await?;
            writer.flush().await
        };
        match timeout(limits::SIP_PATIENCE, written).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Why::Ended,
            Err(_) => return Why::Slow,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::DuplexStream;

    use super::*;

    const FAR: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5070);
    const FLOW: Flow = Flow { end: EndId(0), far: FAR };

    /// A connection whose other end is at hand, what it tells, and where what it sends is put in.
    fn connection(room: usize) -> (DuplexStream, mpsc::Receiver<Event>, mpsc::Sender<Bytes>) {
        let (theirs, ours) = tokio::io::duplex(room);
        let (events, told) = mpsc::channel(16);
        let (out, to_send) = mpsc::channel(limits::SIP_OUTGOING);
        drop(tokio::spawn(Task { flow: FLOW, id: 1, rate: Rate::per_s(10), events }.run(Some(ours), Why::NotOpened, to_send)));
        (theirs, told, out)
    }

    async fn streams() -> (Streams, mpsc::Receiver<Event>) {
        let end = End { transport: Transport::Tcp, address: "127.0.0.1:0".parse().unwrap() };
        let (events, told) = mpsc::channel(16);
        (Streams::listen(&[end], 0, None, None, events).await.unwrap(), told)
    }

    async fn why(told: &mut mpsc::Receiver<Event>) -> (Why, Duration) {
        let began = Instant::now();
        let Event::Closed { why, .. } = told.recv().await.unwrap() else { panic!("it was not closed") };
        (why, began.elapsed())
    }

    fn never_named() -> PeerName {
        unreachable!("nobody is named over TCP")
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_does_not_end_closes_its_connection() {
        let (mut theirs, mut told, _out) = connection(1000);
        theirs.write_all(b"OPTIONS sip:h SIP/2.0\r\n").await.unwrap();

        let (why, after) = why(&mut told).await;

        assert_eq!(why, Why::Slow);
        assert!(after >= limits::SIP_PATIENCE && after < limits::SIP_PATIENCE * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_comes_in_drops_has_no_more_time_than_another() {
        let (mut theirs, mut told, _out) = connection(1000);
        let drops = tokio::spawn(async move {
            while theirs.write_all(b"x").await.is_ok() {
                tokio::time::sleep(limits::SIP_PATIENCE / 3).await;
            }
        });

        let (why, after) = why(&mut told).await;

        assert_eq!((why, after), (Why::Slow, limits::SIP_PATIENCE));
        drops.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_taken_closes_its_connection() {
        let (_theirs, mut told, out) = connection(10);
        out.send(Bytes::from_static(b"longer than there is room for")).await.unwrap();

        assert_eq!(why(&mut told).await, (Why::Slow, limits::SIP_PATIENCE));
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_too_fast_waits_in_its_connection_and_is_not_lost() {
        let (mut theirs, mut told, _out) = connection(100_000);
        let began = Instant::now();
        theirs.write_all(&b"OPTIONS sip:h SIP/2.0\r\nContent-Length: 0\r\n\r\n".repeat(50)).await.unwrap();

        for nth in 0..50_u32 {
            assert!(matches!(told.recv().await.unwrap(), Event::Message { .. }));
            // Ten a second, after the first twenty.
            let due = Duration::from_millis(100) * nth.saturating_sub(19);
            let late = began.elapsed().saturating_sub(due);
            assert!(began.elapsed() >= due && late < Duration::from_millis(100), "{nth}: {:?}", began.elapsed());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_on_which_nothing_comes_is_closed_in_the_end() {
        let (mut theirs, mut told, _out) = connection(1000);

        assert_eq!(why(&mut told).await, (Why::Idle, limits::SIP_IDLE));
        let mut sent = Vec::new();
        theirs.read_to_end(&mut sent).await.unwrap();
        assert!((2 * 19..=2 * 20).contains(&sent.len()), "until then it is kept alive, every 30 s: {}", sent.len());
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_given_up_when_too_much_waits() {
        let (mut streams, _told) = streams().await;
        let mut send = || streams.send(FLOW, None, Bytes::from_static(b"x"), never_named);
        // Nobody else runs meanwhile, so that nothing is taken.
        let taken = (0..limits::SIP_OUTGOING).filter(|_| send() == Sent::Taken).count();

        assert_eq!((taken, send()), (limits::SIP_OUTGOING, Sent::Refused));
        assert_eq!(streams.count(Transport::Tcp), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_answer_is_not_waited_for_and_not_tried_again_at_once() {
        use rustix::net::{AddressFamily, SocketType};
        // A listener whose queue is full drops who knocks.
        let full = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        rustix::net::bind(&full, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        rustix::net::listen(&full, 0).unwrap();
        let far = SocketAddr::try_from(rustix::net::getsockname(&full).unwrap()).unwrap();
        let _first = std::net::TcpStream::connect(far).unwrap();
        let (mut streams, mut told) = streams().await;
        let flow = Flow { far, ..FLOW };
        assert_eq!(streams.send(flow, None, Bytes::new(), never_named), Sent::Taken);

        let (why, after) = why(&mut told).await;

        assert_eq!((why, after), (Why::NotOpened, limits::SIP_CONNECT));
        assert_eq!(streams.closed(flow, 1, why), [flow], "and what was to go there is told to be undeliverable");
        assert_eq!(streams.send(flow, None, Bytes::new(), never_named), Sent::Refused);
        tokio::time::advance(SHUT).await;
        assert_eq!(streams.send(flow, None, Bytes::new(), never_named), Sent::Taken, "after a while it is tried again");
    }

    #[tokio::test]
    async fn one_host_has_so_many_connections_and_no_more() {
        let (mut streams, _told) = streams().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut clients = Vec::new();
        for nth in 0..=limits::SIP_CONNECTIONS_PER_HOST {
            clients.push(TcpStream::connect(address).await.unwrap());
            let (stream, far) = listener.accept().await.unwrap();
            let is_taken = streams.take(EndId(0), stream, far, PeerName::of_ip(far.ip()));
            assert_eq!(is_taken, nth < limits::SIP_CONNECTIONS_PER_HOST, "{nth}");
        }
    }

    #[tokio::test]
    async fn there_are_so_many_connections_and_no_more() {
        let (mut streams, _told) = streams().await;
        for port in (1_u16..).take(limits::SIP_CONNECTIONS) {
            drop(streams.begin(Flow { far: SocketAddr::new(FAR.ip(), port), ..FLOW }));
        }

        assert_eq!(streams.send(FLOW, None, Bytes::new(), never_named), Sent::Refused);
    }

    #[tokio::test]
    async fn what_goes_to_a_peer_goes_over_the_connection_that_it_said_leads_there() {
        let (mut streams, _told) = streams().await;
        let by = Flow { far: SocketAddr::new(FAR.ip(), 40_000), ..FLOW };
        let (_task, mut out) = streams.begin(by);
        streams.alias(FLOW, by);

        assert_eq!(streams.send(FLOW, None, Bytes::from_static(b"x"), never_named), Sent::Taken);
        assert_eq!(out.try_recv().unwrap(), "x");
        assert_eq!(streams.closed(by, 1, Why::Ended), [by, FLOW], "what went either way is lost");
        assert!(streams.aliases.is_empty(), "and not after it is closed");
    }

    #[tokio::test]
    async fn a_connection_stands_for_one_address_beside_its_own_and_no_more() {
        let (mut streams, _told) = streams().await;
        let by = Flow { far: SocketAddr::new(FAR.ip(), 40_000), ..FLOW };
        let (_task, mut out) = streams.begin(by);
        for port in 5060..5080 {
            streams.alias(Flow { far: SocketAddr::new(FAR.ip(), port), ..FLOW }, by);
        }

        assert_eq!(streams.aliases.len(), 1);
        let last = Flow { far: SocketAddr::new(FAR.ip(), 5079), ..FLOW };
        assert_eq!(streams.send(last, None, Bytes::from_static(b"x"), never_named), Sent::Taken);
        assert_eq!(out.try_recv().unwrap(), "x");
    }

    #[tokio::test]
    async fn who_connects_from_the_port_that_we_have_connected_to_ends_nothing() {
        let (mut streams, _told) = streams().await;
        let (_ours, mut before) = streams.begin(FLOW);

        let (_theirs, mut after) = streams.begin(FLOW);

        assert_eq!(before.try_recv(), Err(mpsc::error::TryRecvError::Empty), "what is on its way there may still be answered");
        assert_eq!(streams.send(FLOW, None, Bytes::from_static(b"x"), never_named), Sent::Taken);
        assert_eq!(after.try_recv().unwrap(), "x");
        assert!(streams.closed(FLOW, 1, Why::Ended).is_empty());
        assert_eq!(before.try_recv(), Err(mpsc::error::TryRecvError::Disconnected));
    }

    #[tokio::test]
    async fn however_many_connect_we_can_connect() {
        let (mut streams, _told) = streams().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        for nth in (1_u16..).take(limits::SIP_CONNECTIONS * 7 / 8) {
            let ip = IpAddr::V4(Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 51, 100, 0)) + u32::from(nth)));
            drop(streams.begin(Flow { far: SocketAddr::new(ip, nth), ..FLOW }));
        }
        let _client = TcpStream::connect(address).await.unwrap();
        let (stream, far) = listener.accept().await.unwrap();

        assert!(!streams.take(EndId(0), stream, far, PeerName::of_ip(far.ip())));

        assert_eq!(streams.send(Flow { far: address, ..FLOW }, None, Bytes::new(), never_named), Sent::Taken);
    }

    #[tokio::test]
    async fn a_response_whose_connection_is_closed_goes_to_where_its_request_said() {
        let (mut streams, _told) = streams().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gone = Flow { far: SocketAddr::new(FAR.ip(), 40_000), ..FLOW };

        let or = Some(listener.local_addr().unwrap());
        assert_eq!(streams.send(gone, or, Bytes::from_static(b"SIP/2.0 200 OK"), never_named), Sent::Taken);

        let (mut stream, _) = listener.accept().await.unwrap();
        let mut came = [0; 14];
        stream.read_exact(&mut came).await.unwrap();
        assert_eq!(&came, b"SIP/2.0 200 OK");
    }
}
