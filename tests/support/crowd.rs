//! Many calls at once between two plain telephones; each packet says of which call it is, by whom, and which.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::set_socket_recv_buffer_size_force;

use super::phone::{Call, Message, Phone, sdp};
use super::site::Site;

/// The legs, as recordings name them.
pub(crate) const LEGS: [&str; 2] = ["pbx", "trunk"];

/// Two telephones and all their calls, in one thread: they live while [`Crowd::live_until`] runs.
pub(crate) struct Crowd {
    phones: [Phone; 2],
    /// One socket a side: the sound of all calls goes from it, and comes to it.
    mouths: [UdpSocket; 2],
    pub(crate) calls: Vec<Spoken>,
    by_id: HashMap<String, usize>,
    /// The first of those that are not over; what is before it is never looked at again.
    first: usize,
    /// How often a quarter of the parties has spoken.
    ticks: usize,
    next_tick: Instant,
}

/// One call of the crowd.
pub(crate) struct Spoken {
    pub(crate) stage: Stage,
    call: Option<Call>,
    invite: Option<Message>,
    /// What the caller says, and what the callee says.
    pub(crate) legs: [Said; 2],
}

/// How far a call is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    Inviting,
    Up,
    Leaving,
    Over,
    Refused,
}

/// What a party says: packets with the numbers 0, 1, 2, …
#[derive(Default)]
pub(crate) struct Said {
    to: Option<SocketAddr>,
    /// When each was sent.
    pub(crate) sent: Vec<Instant>,
    /// When each was heard by the other party, as far as it was.
    pub(crate) heard: Vec<Option<Instant>>,
}

/// What one packet of the crowd says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mark {
    pub(crate) call: usize,
    pub(crate) leg: usize,
    pub(crate) number: usize,
}

/// A party speaks every 20 ms, a quarter of them at a time.
const TICK: Duration = Duration::from_millis(5);

/// So many of them are 500 ms.
const TICKS_OF_T1: usize = 100;

impl Crowd {
    pub(crate) fn new(site: &Site) -> Self {
        let (pbx, trunk) = (site.ports.pbx(), site.ports.trunk());
        let phones = [pbx, trunk].map(|at| Phone::new(at, site.ports.proxy()));
        let mouths = [site.ports.pbx_media(), site.ports.trunk_media()].map(|range| {
            let socket = UdpSocket::bind(("127.0.0.1", *range.start())).expect("the test's own ports are free");
            socket.set_nonblocking(true).expect("a socket can be told so");
            set_socket_recv_buffer_size_force(&socket, 16 << 20).expect("the tests run as root");
            socket
        });
        Self { phones, mouths, calls: Vec::new(), by_id: HashMap::new(), first: 0, ticks: 0, next_tick: Instant::now() }
    }

    /// Begins so many calls more. They are answered while the crowd lives.
    pub(crate) fn invites(&mut self, calls: usize) {
        for _ in 0..calls {
            let id = call_id(self.calls.len());
            let [pbx, trunk] = &self.phones;
            let invite = pbx.invite(&id, trunk.at(), &self.describes(0));
            pbx.send(&invite);
            self.by_id.insert(id, self.calls.len());
            self.calls.push(Spoken {
                stage: Stage::Inviting,
                call: None,
                invite: None,
                legs: [Said::default(), Said::default()],
            });
        }
    }

    /// The caller hangs up. Where the proxy does not know the call any more, it is over as well.
    pub(crate) fn hangs_up(&mut self, number: usize) {
        let spoken = &mut self.calls[number];
        spoken.stage = Stage::Over;
        if let Some(call) = &spoken.call {
            spoken.stage = Stage::Leaving;
            self.phones[0].send(self.phones[0].in_dialog(call, "BYE", 2).as_bytes());
        }
    }

    /// All that are up hang up: those whose proxy was killed, for instance, at the next one.
    pub(crate) fn all_hang_up(&mut self) {
        (self.first..self.calls.len())
            .filter(|&number| !self.calls[number].is_over())
            .collect::<Vec<_>>()
            .into_iter()
            .for_each(|number| self.hangs_up(number));
    }

    /// What is not answered is said again (RFC 3261 §17.1.2.2): of 200 BYEs at once some find no room in a socket.
    fn hang_up_again(&self) {
        for number in self.in_stage(Stage::Leaving) {
            if let Some(call) = &self.calls[number].call {
                self.phones[0].send(self.phones[0].in_dialog(call, "BYE", 2).as_bytes());
            }
        }
    }

    pub(crate) fn in_stage(&self, stage: Stage) -> impl Iterator<Item = usize> {
        self.calls.iter().enumerate().skip(self.first).filter(move |(_, spoken)| spoken.stage == stage).map(|(number, _)| number)
    }

    /// Signals, speaks and listens until then.
    pub(crate) fn live_until(&mut self, end: Instant) {
        self.live(end, |_| false);
    }

    /// Lives until it is so; panics if that takes longer than `patience`.
    pub(crate) fn live_until_so(&mut self, what: &str, patience: Duration, is_so: impl Fn(&Self) -> bool) {
        assert!(self.live(Instant::now() + patience, is_so), "waited {patience:?} in vain for {what}");
    }

    fn live(&mut self, end: Instant, is_over: impl Fn(&Self) -> bool) -> bool {
        self.next_tick = self.next_tick.max(Instant::now());
        loop {
            while self.first < self.calls.len() && self.calls[self.first].is_over() {
                self.first += 1;
            }
            let now = Instant::now();
            if is_over(self) {
                return true;
            }
            if now >= end {
                return false;
            }
            if now >= self.next_tick {
                self.speak();
                self.next_tick += TICK;
            }
            self.listens(end.min(self.next_tick).saturating_duration_since(Instant::now()));
        }
    }

    fn speak(&mut self) {
        self.ticks += 1;
        if self.ticks.is_multiple_of(TICKS_OF_T1) {
            self.hang_up_again();
        }
        for number in self.first..self.calls.len() {
            if number % 4 != self.ticks % 4 || self.calls[number].stage != Stage::Up {
                continue;
            }
            for (leg, mouth) in self.mouths.iter().enumerate() {
                let said = &mut self.calls[number].legs[leg];
                let Some(to) = said.to else { continue };
                let packet = Mark { call: number, leg, number: said.sent.len() }.packet();
                said.sent.push(Instant::now());
                said.heard.push(None);
                // A proxy that was killed has no ports.
                mouth.send_to(&packet, to).ok();
            }
        }
    }

    fn listens(&mut self, patience: Duration) {
        let sockets = [self.phones[0].socket(), self.phones[1].socket(), &self.mouths[0], &self.mouths[1]];
        let mut fds = sockets.map(|socket| PollFd::new(socket, PollFlags::IN));
        let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(patience.subsec_nanos()) };
        poll(&mut fds, Some(&timeout)).expect("sockets can be polled");
        let [pbx, trunk, hears_pbx, hears_trunk] = fds.map(|fd| fd.revents().contains(PollFlags::IN));
        if hears_pbx {
            self.hears(0);
        }
        if hears_trunk {
            self.hears(1);
        }
        if trunk && let Some(message) = self.phones[1].receive(Duration::from_millis(1)) {
            self.trunk_takes(message);
        }
        if pbx && let Some(message) = self.phones[0].receive(Duration::from_millis(1)) {
            self.pbx_takes(message);
        }
    }

    fn hears(&mut self, side: usize) {
        let mut packet = [0; 2048];
        while let Ok(length) = self.mouths[side].recv(&mut packet) {
            let Some(mark) = Mark::of(&packet[..length]) else { continue };
            assert_eq!(mark.leg, 1 - side, "nobody hears himself");
            let heard = &mut self.calls[mark.call].legs[mark.leg].heard[mark.number];
            *heard = heard.or(Some(Instant::now()));
        }
    }

    fn trunk_takes(&mut self, message: Message) {
        let phone = &self.phones[1];
        let number = self.by_id.get(message.header("Call-ID"));
        if message.start.starts_with("INVITE ") {
            phone.reply(&message, "200 OK", &self.describes(1));
            if let Some(&number) = number {
                self.calls[number].invite = Some(message);
            }
        } else if message.start.starts_with("BYE ") {
            phone.reply(&message, "200 OK", "");
        }
    }

    fn pbx_takes(&mut self, message: Message) {
        let Some(&number) = self.by_id.get(message.header("Call-ID")) else { return };
        let status = message.start.strip_prefix("SIP/2.0 ").and_then(|rest| rest.get(..3)).unwrap_or("100").to_owned();
        let is_bye = message.header("CSeq").ends_with("BYE");
        let spoken = &mut self.calls[number];
        if is_bye && status.as_str() >= "200" {
            spoken.stage = Stage::Over;
        } else if status.as_str() >= "300" && spoken.stage == Stage::Inviting {
            spoken.stage = Stage::Refused;
        } else if status == "200" && spoken.stage == Stage::Inviting {
            // The INVITE came before its answer, unless both telephones were read in the other order.
            let Some(invite) = spoken.invite.take() else { return };
            let id = message.header("Call-ID").to_owned();
            let call = Call::answered(&id, invite, message);
            self.phones[0].send(self.phones[0].in_dialog(&call, "ACK", 1).as_bytes());
            spoken.legs[0].to = Some(call.caller_sends_to);
            spoken.legs[1].to = Some(call.callee_sends_to);
            spoken.call = Some(call);
            spoken.stage = Stage::Up;
        }
    }

    fn describes(&self, side: usize) -> String {
        sdp(self.mouths[side].local_addr().expect("it is bound").port())
    }
}

impl Spoken {
    pub(crate) const fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over | Stage::Refused)
    }

    /// From when on both heard each other without a gap for 0.2 s: after the announcements, so that by then it was recorded or about to be.
    /// What comes before the announcement begins is heard as well.
    pub(crate) fn talked_from(&self) -> Option<Instant> {
        let steadily = |said: &Said| {
            said.heard.windows(10).find_map(|run| run.iter().copied().collect::<Option<Vec<_>>>()?.first().copied())
        };
        Some(steadily(&self.legs[0])?.max(steadily(&self.legs[1])?))
    }

    /// Of what was sent within this time, what the other party has not heard; and how late the latest was that it has.
    pub(crate) fn unheard(&self, from: Instant, to: Instant) -> (usize, Duration) {
        let all = self.legs.iter().flat_map(|said| said.sent.iter().zip(&said.heard));
        all.filter(|&(&sent, _)| (from..to).contains(&sent)).fold((0, Duration::ZERO), |(lost, latest), (&sent, heard)| {
            match heard {
                Some(heard) => (lost, latest.max(*heard - sent)),
                None => (lost + 1, latest),
            }
        })
    }
}

impl Mark {
    /// An RTP packet of 20 ms of silence in A-law that says so.
    fn packet(self) -> [u8; 172] {
        let mut packet = [0xd5; 172];
        packet[..2].copy_from_slice(&[0x80, 8]);
        packet[2..4].copy_from_slice(&(self.number as u16).to_be_bytes());
        packet[4..8].copy_from_slice(&(self.number as u32 * 160).to_be_bytes());
        packet[8..12].copy_from_slice(&(self.call as u32 * 2 + self.leg as u32).to_be_bytes());
        packet[12..16].copy_from_slice(MAGIC);
        packet[16..20].copy_from_slice(&(self.call as u32).to_be_bytes());
        packet[20..24].copy_from_slice(&(self.leg as u32).to_be_bytes());
        packet[24..28].copy_from_slice(&(self.number as u32).to_be_bytes());
        packet
    }

    /// Reads it from an RTP packet, whatever its header has become; nothing of an announcement.
    pub(crate) fn of(packet: &[u8]) -> Option<Self> {
        let said = packet.get(12..28)?.strip_prefix(MAGIC)?;
        let word = |at: usize| u32::from_be_bytes([said[at], said[at + 1], said[at + 2], said[at + 3]]) as usize;
        Some(Self { call: word(0), leg: word(4), number: word(8) })
    }
}

/// The Call-ID of a call of the crowd.
pub(crate) fn call_id(number: usize) -> String {
    format!("crowd{number}")
}

const MAGIC: &[u8; 4] = b"said";
