//! A phone's sound: a pair of RTP and RTCP sockets, a thread that speaks every 20 ms, and a thread that listens.

use std::collections::VecDeque;
use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rtp::header::Header;
use rtp::packet::Packet;
use webrtc_util::marshal::{Marshal as _, Unmarshal as _};

use super::heard::{Heard, TICKS};
use super::offer::{Described, Flow};
use crate::codec::Codec;

/// What a phone says: the frame with this number, counted from the moment it began to say it; 20 ms of payload.
pub type Frames = Box<dyn FnMut(u64) -> [u8; 160] + Send>;

/// One RTP packet as it was sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sent {
    /// When it was sent.
    pub at: Instant,
    /// Its payload type.
    pub payload_type: u8,
    /// Its sequence number.
    pub sequence: u16,
    /// Its timestamp.
    pub timestamp: u32,
    /// Its payload.
    pub payload: Bytes,
}

/// The sound of one call.
pub struct Line {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    rtp: UdpSocket,
    rtcp: UdpSocket,
    addr: SocketAddr,
    is_over: AtomicBool,
    mouth: Mutex<Mouth>,
    spoke: Condvar,
    ears: Mutex<Ears>,
    came: Condvar,
}

/// What the speaking thread needs to know.
struct Mouth {
    to: Option<Target>,
    frames: Option<Frames>,
    frames_from: u64,
    is_quiet: bool,
    keys: VecDeque<(u8, u16)>,
    pressed: u64,
    released: u64,
    sent: Vec<Sent>,
}

/// Where the sound goes to, as negotiated.
#[derive(Clone, Copy)]
struct Target {
    rtp: SocketAddr,
    rtcp: SocketAddr,
    payload_type: u8,
    silence: u8,
    keys: Option<u8>,
    may_send: bool,
}

#[derive(Default)]
struct Ears {
    heard: Vec<Heard>,
    reports: Vec<(Instant, SocketAddr, Bytes)>,
    unreadable: u64,
}

impl Line {
    /// Opens an even port and the odd one after it (RFC 3550 §11) on `host`, and begins to listen.
    ///
    /// # Errors
    /// When no such pair is free.
    pub(super) fn open(host: IpAddr) -> io::Result<Self> {
        let (rtp, rtcp, addr) = pair(host)?;
        rtp.set_read_timeout(Some(NAP))?;
        rtcp.set_read_timeout(Some(NAP))?;
        let mouth = Mouth {
            to: None,
            frames: None,
            frames_from: 0,
            is_quiet: false,
            keys: VecDeque::new(),
            pressed: 0,
            released: 0,
            sent: Vec::new(),
        };
        let shared = Arc::new(Shared {
            rtp,
            rtcp,
            addr,
            is_over: AtomicBool::new(false),
            mouth: Mutex::new(mouth),
            spoke: Condvar::new(),
            ears: Mutex::default(),
            came: Condvar::new(),
        });
        let [speaker, listener, reporter] = [(); 3].map(|()| Arc::clone(&shared));
        let threads = vec![
            std::thread::spawn(move || speaker.speak()),
            std::thread::spawn(move || listener.listen()),
            std::thread::spawn(move || reporter.listen_to_reports()),
        ];
        Ok(Self { shared, threads })
    }

    /// Returns where this phone hears RTP.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.shared.addr
    }

    /// Sends from now on to what was negotiated, in the first format of it that is a codec.
    pub(super) fn direct(&self, remote: &Described, flow: Flow) {
        let Some(&(payload_type, codec)) = remote.formats.first() else { return };
        let target = Target {
            rtp: remote.rtp,
            rtcp: remote.rtcp,
            payload_type,
            silence: Codec::silence(codec),
            keys: remote.keys,
            may_send: remote.may_be_sent_to(flow),
        };
        lock(&self.shared.mouth).to = Some(target);
    }

    /// Speaks no more: the call is over. What still comes is heard.
    pub(super) fn hang_up(&self) {
        lock(&self.shared.mouth).to = None;
        self.shared.spoke.notify_all();
    }

    /// Says these frames from now on. Before this, and where the call is held, a line that may speak sends its codec's silence.
    pub fn say(&self, frames: impl FnMut(u64) -> [u8; 160] + Send + 'static) {
        let mut mouth = lock(&self.shared.mouth);
        mouth.frames = Some(Box::new(frames));
        mouth.frames_from = u64::MAX;
        mouth.is_quiet = false;
    }

    /// Sends no RTP at all, until [`Line::say`].
    pub fn say_nothing(&self) {
        let mut mouth = lock(&self.shared.mouth);
        mouth.frames = None;
        mouth.is_quiet = true;
    }

    /// Presses a key for 100 ms by RFC 4733 and returns once its last packet is out, or false where it could not be within 5 s.
    #[must_use = "a key that was not heard does nothing"]
    pub fn press(&self, key: char) -> bool {
        self.press_for(key, 5)
    }

    /// Presses a key for so many frames of 20 ms, as [`Line::press`] does.
    #[must_use = "a key that was not heard does nothing"]
    pub fn press_for(&self, key: char, frames: u16) -> bool {
        let event = KEYS.find(key.to_ascii_uppercase()).and_then(|at| u8::try_from(at).ok());
        let mut mouth = lock(&self.shared.mouth);
        let (Some(event), Some(Target { keys: Some(_), .. })) = (event, mouth.to) else { return false };
        mouth.keys.push_back((event, frames.max(1)));
        mouth.pressed += 1;
        let mine = mouth.pressed;
        let (_mouth, wait) = self
            .shared
            .spoke
            .wait_timeout_while(mouth, Duration::from_secs(5), |mouth| mouth.released < mine && mouth.to.is_some())
            .unwrap_or_else(PoisonError::into_inner);
        !wait.timed_out()
    }

    /// Sends an RTCP packet as it is to where RTCP was negotiated.
    ///
    /// # Errors
    /// When nothing was negotiated yet, or the system refuses.
    pub fn send_rtcp(&self, packet: &[u8]) -> io::Result<()> {
        let to = lock(&self.shared.mouth).to.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))?;
        self.shared.rtcp.send_to(packet, to.rtcp).map(drop)
    }

    /// Sends a datagram as it is from the RTP port, to anywhere.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn send_raw(&self, packet: &[u8], to: SocketAddr) -> io::Result<()> {
        self.shared.rtp.send_to(packet, to).map(drop)
    }

    /// Returns where the sound goes to, once that was negotiated and while the call is.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        lock(&self.shared.mouth).to.map(|to| to.rtp)
    }

    /// Returns the payload types of the sound and of the keys as this phone sends them.
    #[must_use]
    pub fn payload_types(&self) -> Option<(u8, Option<u8>)> {
        lock(&self.shared.mouth).to.map(|to| (to.payload_type, to.keys))
    }

    /// Returns every packet sent.
    #[must_use]
    pub fn sent(&self) -> Vec<Sent> {
        lock(&self.shared.mouth).sent.clone()
    }

    /// Returns every packet heard, in the order of arrival.
    #[must_use]
    pub fn heard(&self) -> Vec<Heard> {
        lock(&self.shared.ears).heard.clone()
    }

    /// Returns every RTCP datagram heard.
    #[must_use]
    pub fn reports(&self) -> Vec<(Instant, SocketAddr, Bytes)> {
        lock(&self.shared.ears).reports.clone()
    }

    /// Returns how many datagrams on the RTP port were no RTP.
    #[must_use]
    pub fn unreadable(&self) -> u64 {
        lock(&self.shared.ears).unreadable
    }

    /// Waits until `is_so` of all that was heard, asked anew at each packet; returns whether it came to be.
    #[must_use = "false: it did not come in time"]
    pub fn wait_heard(&self, patience: Duration, mut is_so: impl FnMut(&[Heard]) -> bool) -> bool {
        let ears = lock(&self.shared.ears);
        let waited = self.shared.came.wait_timeout_while(ears, patience, |ears| !is_so(&ears.heard));
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Waits for an RTCP datagram; returns whether one came, or had come.
    #[must_use = "false: it did not come in time"]
    pub fn wait_report(&self, patience: Duration) -> bool {
        let ears = lock(&self.shared.ears);
        let waited = self.shared.came.wait_timeout_while(ears, patience, |ears| ears.reports.is_empty());
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("addr", &self.shared.addr).finish_non_exhaustive()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

impl Shared {
    /// Sends one packet every 20 ms, at absolute times: what one frame is late, the next is not.
    fn speak(&self) {
        let begin = Instant::now();
        let ssrc = random() | 1;
        // Below 32,768, so that a short call does not wrap.
        let sequence = u16::try_from(random() >> 17).expect("15 bits fit");
        let mut pace = Pace { ssrc, sequence, timestamp: random(), frame: 0, key: None, was_speaking: false };
        while !self.is_over.load(Ordering::Relaxed) {
            let due = begin + FRAME * u32::try_from(pace.frame).unwrap_or(u32::MAX);
            if let Some(early) = due.checked_duration_since(Instant::now()) {
                std::thread::sleep(early);
            }
            let mut mouth = lock(&self.mouth);
            if let Some((target, packet)) = pace.next(&mut mouth) {
                let bytes = packet.marshal().unwrap_or_default();
                // A peer that is not there yet answers with ICMP, which the next send would report. A phone speaks on.
                drop(self.rtp.send_to(&bytes, target.rtp));
                mouth.sent.push(Sent {
                    at: Instant::now(),
                    payload_type: packet.header.payload_type,
                    sequence: packet.header.sequence_number,
                    timestamp: packet.header.timestamp,
                    payload: packet.payload,
                });
            }
            drop(mouth);
            self.spoke.notify_all();
        }
    }

    fn listen(&self) {
        let mut buffer = [0; 2048];
        while !self.is_over.load(Ordering::Relaxed) {
            let Ok((length, from)) = self.rtp.recv_from(&mut buffer) else { continue };
            let at = Instant::now();
            let mut bytes = Bytes::copy_from_slice(buffer.get(..length).unwrap_or_default());
            let mut ears = lock(&self.ears);
            match Packet::unmarshal(&mut bytes) {
                Ok(Packet { header, payload }) if header.version == 2 => ears.heard.push(Heard { at, from, header, payload }),
                Ok(_) | Err(_) => ears.unreadable += 1,
            }
            drop(ears);
            self.came.notify_all();
        }
    }

    fn listen_to_reports(&self) {
        let mut buffer = [0; 2048];
        while !self.is_over.load(Ordering::Relaxed) {
            let Ok((length, from)) = self.rtcp.recv_from(&mut buffer) else { continue };
            let bytes = Bytes::copy_from_slice(buffer.get(..length).unwrap_or_default());
            lock(&self.ears).reports.push((Instant::now(), from, bytes));
            self.came.notify_all();
        }
    }
}

/// The stream as it is being made: the next packet's place in it.
struct Pace {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    frame: u64,
    key: Option<Key>,
    was_speaking: bool,
}

/// A key that is down: RFC 4733 §2.5.1.
struct Key {
    event: u8,
    timestamp: u32,
    frames: u16,
    step: u16,
}

impl Pace {
    /// Makes the packet of this frame, if there is one, and goes on to the next.
    ///
    /// The clock runs on while nothing is sent; then the next audio packet carries the marker (RFC 3551 §4.1).
    fn next(&mut self, mouth: &mut Mouth) -> Option<(Target, Packet)> {
        let timestamp = self.timestamp;
        self.timestamp = timestamp.wrapping_add(TICKS);
        let frame = self.frame;
        self.frame += 1;
        if mouth.frames_from == u64::MAX {
            mouth.frames_from = frame;
        }
        let Some(target) = mouth.to.filter(|to| to.may_send) else {
            self.was_speaking = false;
            return None;
        };
        if self.key.is_none()
            && let Some((event, frames)) = mouth.keys.pop_front()
        {
            self.key = Some(Key { event, timestamp, frames, step: 0 });
        }
        if let (Some(key), Some(payload_type)) = (&mut self.key, target.keys) {
            key.step += 1;
            let is_end = key.step >= key.frames;
            let [high, low] = (key.step.min(key.frames) * 160).to_be_bytes();
            // Volume -10 dBm0; the end bit is the top one of the same byte.
            let payload = Bytes::copy_from_slice(&[key.event, 10 | if is_end { 0x80 } else { 0 }, high, low]);
            let (marker, timestamp) = (key.step == 1, key.timestamp);
            // The end is said three times (§2.5.1.4), 20 ms apart.
            if key.step >= key.frames + 2 {
                self.key = None;
                mouth.released += 1;
            }
            return Some((target, self.packet(payload_type, timestamp, marker, payload)));
        }
        if mouth.is_quiet {
            self.was_speaking = false;
            return None;
        }
        let from = mouth.frames_from;
        let payload = mouth.frames.as_mut().map_or([target.silence; 160], |frames| frames(frame.saturating_sub(from)));
        let marker = !std::mem::replace(&mut self.was_speaking, true);
        Some((target, self.packet(target.payload_type, timestamp, marker, Bytes::copy_from_slice(&payload))))
    }

    fn packet(&mut self, payload_type: u8, timestamp: u32, marker: bool, payload: Bytes) -> Packet {
        let sequence_number = self.sequence;
        self.sequence = sequence_number.wrapping_add(1);
        let header =
            Header { version: 2, marker, payload_type, sequence_number, timestamp, ssrc: self.ssrc, ..Header::default() };
        Packet { header, payload }
    }
}

/// The keys by their event codes (RFC 4733 §3.2).
const KEYS: &str = "0123456789*#ABCD";

const FRAME: Duration = Duration::from_millis(20);

/// How long a listening thread waits before it looks whether it is over.
const NAP: Duration = Duration::from_millis(100);

fn pair(host: IpAddr) -> io::Result<(UdpSocket, UdpSocket, SocketAddr)> {
    let mut refused = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..64 {
        let rtp = UdpSocket::bind((host, 0))?;
        let addr = rtp.local_addr()?;
        let Some(next) = addr.port().checked_add(1).filter(|next| next % 2 == 1) else { continue };
        match UdpSocket::bind((host, next)) {
            Ok(rtcp) => return Ok((rtp, rtcp, addr)),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

/// Returns a random number: the phones need others each time, not secret ones.
pub(super) fn random() -> u32 {
    u32::try_from(RandomState::new().build_hasher().finish() & u64::from(u32::MAX)).expect("32 bits fit")
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
