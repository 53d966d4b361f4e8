//! The kernel's ring (`io_uring`) for a media thread: datagrams come in without being asked for each time, and go out by the batch.
//!
//! ```text
//!  Ring::watch ──▶ multishot recvmsg ──▶ a lent buffer ──▶ Ring::next ──▶ Packet ──▶ Ring::give_back
//!  Ring::send ──▶ a slot of our own ──▶ sendmsg, with the batch ──▶ its completion frees the slot
//! ```
//!
//! All memory that the kernel is told of is made once and never freed: a media thread lives as long as the process. So whatever the
//! kernel still holds when a ring is dropped, it holds memory that is there.

#![allow(unsafe_code, reason = "the kernel shares this memory: each block says why that is sound")]

use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};
use std::io;
use std::mem::{self, offset_of};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use io_uring::types::{BufRingEntry, Fd, RecvMsgOut, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};

use crate::lane;
use crate::limits::MEDIA_PACKET_BYTES;
use crate::media::PortId;

/// Buffers that are lent to the kernel for what comes in: 5 ms of 1,000 calls on one thread, and what they do between two looks is a
/// twentieth of that. Where they do not do, packets wait in their sockets, as they would without a ring. A power of two, as the kernel
/// wants it.
const BUFFERS: u16 = 1024;

/// Datagrams that may be on their way out at once. The next is sent by itself, with a system call of its own.
const SLOTS: u16 = 512;

/// Requests that are handed over at once at most: those of a round of all slots and as many receives. More: they are handed over in two.
const REQUESTS: u32 = 1024;

/// Completions that find room: one for each buffer and each slot, and some to spare. The kernel keeps what finds none.
const COMPLETIONS: u32 = 4096;

/// What one buffer holds: what the kernel writes, and behind it the room that a lane wants behind a packet.
const BUFFER_BYTES: usize = HEAD_BYTES + NAME_BYTES + lane::BUFFER_BYTES;

/// What the kernel writes of it: its head, the source's address, and the datagram.
const LENT_BYTES: usize = HEAD_BYTES + NAME_BYTES + lane::RECEIVED_BYTES;

/// `struct io_uring_recvmsg_out`: four 32-bit words.
const HEAD_BYTES: usize = 16;

/// The longest address of a datagram that we bind sockets for.
const NAME_BYTES: usize = size_of::<libc::sockaddr_in6>();

/// The group that our buffers have in the ring: there is one.
const GROUP: u16 = 0;

/// A ring with its buffers.
pub(super) struct Ring {
    ring: IoUring,
    /// What each receive asks for.
    wanted: &'static libc::msghdr,
    lent: Lent,
    slots: NonNull<Slot>,
    free: Vec<u16>,
    /// Which watch a port has, so that what still comes for an earlier one is known.
    watches: Vec<u32>,
    next_watch: u32,
    can_gather: bool,
    /// Datagrams that the kernel did not take since this was last asked.
    not_sent: u64,
    /// Receives that failed.
    failures: u64,
}

// SAFETY: all that the pointers lead to belongs to this ring alone, and goes to another thread with it; the kernel does not mind which
// thread it is before the ring is opened.
unsafe impl Send for Ring {}

/// The buffers that are lent to the kernel, by a ring of their own.
struct Lent {
    entries: NonNull<BufRingEntry>,
    buffers: NonNull<[u8; BUFFER_BYTES]>,
    tail: u16,
}

/// A datagram on its way out.
#[repr(C)]
struct Slot {
    message: libc::msghdr,
    part: libc::iovec,
    to: Name,
    length: usize,
    packet: [u8; MEDIA_PACKET_BYTES],
}

/// An address as the kernel has it.
#[repr(C)]
union Name {
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

/// A datagram that came. It must be given back, or its buffer is lost.
#[derive(Debug)]
#[must_use]
pub(super) struct Packet {
    pub(super) port: PortId,
    pub(super) source: SocketAddr,
    buffer: u16,
    length: usize,
    /// The datagram, and behind it what is left of its buffer.
    bytes: &'static mut [u8],
}

impl Packet {
    /// Returns the datagram.
    pub(super) fn bytes(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.length).unwrap_or_default()
    }

    /// Returns the datagram with the room behind it: what a lane wants, at least.
    pub(super) const fn buffer(&mut self) -> &mut [u8] {
        self.bytes
    }
}

/// What a ring has to tell.
#[derive(Debug)]
pub(super) enum Told {
    /// A datagram.
    Came(Packet),
    /// The bell has rung.
    Bell,
}

/// What a completion is of. It stands in the highest byte of what a request carries; the rest says which.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Receive = 1,
    Send = 2,
    Bell = 3,
    Cancel = 4,
}

impl Ring {
    /// Makes a ring, for one thread: the one that first calls [`Ring::open`].
    ///
    /// # Errors
    /// The kernel has no rings, an older kind (before Linux 6.1), or does not let us have one (`kernel.io_uring_disabled`, seccomp).
    pub(super) fn new() -> io::Result<Self> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_r_disabled()
            .setup_cqsize(COMPLETIONS)
            .build(REQUESTS)?;
        // SAFETY: the entries are as many as the call says, page-aligned, and never freed.
        let lent = Lent::new();
        unsafe { ring.submitter().register_buf_ring_with_flags(lent.entries.as_ptr() as u64, BUFFERS, GROUP, 0) }?;
        // SAFETY: of a C struct of numbers and pointers, all zeros are a value.
        let mut wanted: libc::msghdr = unsafe { mem::zeroed() };
        wanted.msg_namelen = u32::try_from(NAME_BYTES).unwrap_or(0);
        let can_gather = ring.params().is_feature_min_timeout();
        let mut it = Self {
            ring,
            wanted: Box::leak(Box::new(wanted)),
            lent,
            slots: zeroed(usize::from(SLOTS)),
            free: (0..SLOTS).collect(),
            watches: Vec::new(),
            next_watch: 0,
            can_gather,
            not_sent: 0,
            failures: 0,
        };
        for buffer in 0..BUFFERS {
            it.lent.lend(buffer);
        }
        it.lent.publish();
        Ok(it)
    }

    /// Lets the thread that calls this use the ring, and no other.
    ///
    /// # Errors
    /// The kernel.
    pub(super) fn open(&mut self, bell: &impl AsFd) -> io::Result<()> {
        self.ring.submitter().register_enable_rings()?;
        self.listen(bell);
        Ok(())
    }

    /// Waits for the bell, once.
    pub(super) fn listen(&mut self, bell: &impl AsFd) {
        let poll = opcode::PollAdd::new(Fd(bell.as_fd().as_raw_fd()), POLL_IN).build().user_data(user_data(Kind::Bell, 0, 0));
        self.push(&poll);
    }

    /// Takes in from here on what comes to a socket. It must live until [`Ring::forget`].
    pub(super) fn watch(&mut self, port: PortId, socket: &UdpSocket) {
        let at = port.0 as usize;
        if self.watches.len() <= at {
            self.watches.resize(at + 1, 0);
        }
        // 24 bits: one that was forgotten 16 million sockets ago tells nothing any more.
        self.next_watch = (self.next_watch + 1) & 0x00ff_ffff;
        let watch = self.next_watch.max(1);
        if let Some(place) = self.watches.get_mut(at) {
            *place = watch;
        }
        self.receive(port, watch, socket);
    }

    /// Goes on with a socket for which [`Ring::next`] has said that the kernel stopped.
    fn receive(&mut self, port: PortId, watch: u32, socket: &UdpSocket) {
        let receive = opcode::RecvMsgMulti::new(Fd(socket.as_raw_fd()), self.wanted, GROUP).build().user_data(user_data(
            Kind::Receive,
            watch,
            port.0,
        ));
        self.push(&receive);
    }

    /// Takes nothing more from a socket, which may be closed now.
    pub(super) fn forget(&mut self, port: PortId) {
        let Some(watch) = self.watches.get_mut(port.0 as usize).map(mem::take).filter(|&watch| watch != 0) else { return };
        // What was to go out from it goes out first: the number of a closed socket is soon another's.
        self.submit();
        let cancel =
            opcode::AsyncCancel::new(user_data(Kind::Receive, watch, port.0)).build().user_data(user_data(Kind::Cancel, 0, 0));
        self.push(&cancel);
        self.submit();
    }

    /// Sends a datagram with the next batch; or says that it found no place, or is too long.
    pub(super) fn send(&mut self, socket: &UdpSocket, to: &SocketAddr, packet: &[u8]) -> Result<(), NoPlace> {
        let at = self.free.pop().ok_or(NoPlace)?;
        // SAFETY: the place is one of ours, and free: neither the kernel nor anybody else looks at it.
        let slot = unsafe { self.slots.add(usize::from(at)).as_mut() };
        let Some(place) = slot.packet.get_mut(..packet.len()) else {
            self.free.push(at);
            return Err(NoPlace);
        };
        place.copy_from_slice(packet);
        slot.length = packet.len();
        let length = slot.to.set(to);
        slot.part = libc::iovec { iov_base: slot.packet.as_mut_ptr().cast(), iov_len: packet.len() };
        slot.message.msg_name = ptr::from_mut(&mut slot.to).cast();
        slot.message.msg_namelen = length;
        slot.message.msg_iov = &raw mut slot.part;
        slot.message.msg_iovlen = 1;
        let send = opcode::SendMsg::new(Fd(socket.as_raw_fd()), &raw const slot.message)
            .flags(libc::MSG_DONTWAIT.cast_unsigned())
            .build()
            .user_data(user_data(Kind::Send, 0, at.into()));
        self.push(&send);
        Ok(())
    }

    /// Hands over what is to be done, and waits until something has come: for `gather` to collect more of it, and for `timeout` at most.
    ///
    /// # Errors
    /// The kernel refuses the ring altogether.
    pub(super) fn wait(&mut self, gather: Duration, timeout: Option<Duration>) -> io::Result<()> {
        self.lent.publish();
        let timeout = timeout.unwrap_or(Duration::from_secs(3600));
        let timespec = Timespec::from(timeout);
        let gather = if timeout < gather { Duration::ZERO } else { gather };
        let micros = u32::try_from(gather.as_micros()).unwrap_or(0);
        let (want, args) = if self.can_gather && micros > 0 {
            (GATHER, SubmitArgs::new().timespec(&timespec).min_wait_usec(micros))
        } else {
            (1, SubmitArgs::new().timespec(&timespec))
        };
        match self.ring.submitter().submit_with_args(want, &args) {
            Ok(_) => Ok(()),
            Err(error) => match error.raw_os_error() {
                // Nothing came; or there are completions to be taken first.
                Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
                _ => Err(error),
            },
        }
    }

    /// Returns the next thing that the ring has to tell, of what was there when [`Ring::wait`] returned. `socket` finds a port's socket.
    pub(super) fn next<'s>(&mut self, socket: impl Fn(PortId) -> Option<&'s UdpSocket>) -> Option<Told> {
        loop {
            let completion = self.ring.completion().next()?;
            let (kind, watch, which) = of_user_data(completion.user_data());
            match kind {
                Some(Kind::Bell) => return Some(Told::Bell),
                Some(Kind::Send) => self.was_sent(which, completion.result()),
                Some(Kind::Receive) => {
                    let port = PortId(which);
                    let is_watched = self.watches.get(which as usize) == Some(&watch);
                    if !cqueue::more(completion.flags()) && is_watched {
                        // Out of buffers, or an error that the network has told (ICMP): there is more to come.
                        self.failures += u64::from(completion.result() < 0 && completion.result() != -libc::ENOBUFS);
                        if let Some(socket) = socket(port) {
                            self.receive(port, watch, socket);
                        }
                    }
                    let Some(buffer) = cqueue::buffer_select(completion.flags()) else { continue };
                    match self.lent.take(buffer, completion.result(), self.wanted) {
                        Some((source, bytes, length)) if is_watched => {
                            return Some(Told::Came(Packet { port, source, buffer, length, bytes }));
                        }
                        Some((_, bytes, _)) => {
                            bytes.fill(0);
                            self.lent.lend(buffer);
                        }
                        None => self.lent.lend(buffer),
                    }
                }
                Some(Kind::Cancel) | None => {}
            }
        }
    }

    /// Hands over what is to be done, now.
    pub(super) fn flush(&self) {
        self.submit();
    }

    /// Lends the packet's buffer to the kernel again.
    pub(super) fn give_back(&mut self, packet: Packet) {
        self.lent.lend(packet.buffer);
    }

    /// Returns how many datagrams the kernel did not take, and how many receives failed, since this was last asked.
    pub(super) const fn take_failures(&mut self) -> (u64, u64) {
        (mem::replace(&mut self.not_sent, 0), mem::replace(&mut self.failures, 0))
    }

    fn was_sent(&mut self, slot: u32, result: i32) {
        self.not_sent += u64::from(result < 0);
        let Ok(at) = u16::try_from(slot) else { return };
        // SAFETY: the kernel is done with it, and only this completion frees it.
        let slot = unsafe { self.slots.add(usize::from(at.min(SLOTS - 1))).as_mut() };
        // No voice stays behind.
        if let Some(packet) = slot.packet.get_mut(..slot.length) {
            packet.fill(0);
        }
        self.free.push(at);
    }

    fn push(&mut self, request: &squeue::Entry) {
        // SAFETY: what a request points to is never freed, and not written to before its completion has come; a socket that is closed
        // meanwhile makes it fail, no more.
        while unsafe { self.ring.submission().push(request) }.is_err() {
            if !self.submit() {
                return;
            }
        }
    }

    fn submit(&self) -> bool {
        match self.ring.submit() {
            Err(error) if error.raw_os_error() != Some(libc::EBUSY) => {
                tracing::error!(%error, "ring_refuses");
                false
            }
            Ok(_) | Err(_) => true,
        }
    }
}

/// There is no slot free, or the datagram is too long for one.
#[derive(Debug)]
pub(super) struct NoPlace;

/// Completions that are worth waking for while there is time to gather.
const GATHER: usize = 256;

const POLL_IN: u32 = libc::POLLIN.cast_unsigned() as u32;

impl Lent {
    fn new() -> Self {
        Self { entries: zeroed(usize::from(BUFFERS)), buffers: zeroed(usize::from(BUFFERS)), tail: 0 }
    }

    /// Lends a buffer that nobody uses. The kernel sees it after [`Lent::publish`].
    fn lend(&mut self, buffer: u16) {
        let place = usize::from(self.tail & (BUFFERS - 1));
        // SAFETY: both are within what was made for them. The kernel does not read an entry beyond the published tail, and there are as
        // many entries as buffers, so none is written over that it has not taken.
        unsafe {
            let entry = self.entries.add(place).as_mut();
            entry.set_addr(self.buffers.add(usize::from(buffer)).as_ptr() as u64);
            entry.set_len(u32::try_from(LENT_BYTES).unwrap_or(0));
            entry.set_bid(buffer);
        }
        self.tail = self.tail.wrapping_add(1);
    }

    fn publish(&self) {
        // SAFETY: the tail lies in the first entry, is aligned, and only we write it; the kernel reads it. Release: it sees the entries
        // before it sees them counted.
        unsafe { AtomicU16::from_ptr(BufRingEntry::tail(self.entries.as_ptr()).cast_mut()) }.store(self.tail, Ordering::Release);
    }

    /// Takes what lies in a buffer that the kernel has filled: the source, and the datagram with what is left of the buffer behind it, and its
    /// length. Nothing where it is none.
    fn take(&self, buffer: u16, length: i32, wanted: &libc::msghdr) -> Option<(SocketAddr, &'static mut [u8], usize)> {
        let length = usize::try_from(length).ok().filter(|&length| length <= LENT_BYTES)?;
        let whole = self.buffers.as_ptr().wrapping_add(usize::from(buffer.min(BUFFERS - 1))).cast::<u8>();
        // SAFETY: the completion says that the kernel is done with this buffer. It is as long as is said here, zeroed from the beginning,
        // and never freed. Until it is lent again, this is the only reference to it.
        let whole = unsafe { std::slice::from_raw_parts_mut(whole, BUFFER_BYTES) };
        let (source, length) = {
            let out = RecvMsgOut::parse(whole.get(..length)?, wanted).ok()?;
            (source(out.name_data())?, out.payload_data().len())
        };
        Some((source, whole.get_mut(HEAD_BYTES + NAME_BYTES..)?, length))
    }
}

impl Name {
    /// Sets it, and returns how many bytes of it count.
    fn set(&mut self, address: &SocketAddr) -> libc::socklen_t {
        match address {
            SocketAddr::V4(address) => {
                self.v4 = libc::sockaddr_in {
                    sin_family: family(libc::AF_INET),
                    sin_port: address.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(address.ip().octets()) },
                    sin_zero: [0; 8],
                };
                V4_BYTES
            }
            SocketAddr::V6(address) => {
                self.v6 = libc::sockaddr_in6 {
                    sin6_family: family(libc::AF_INET6),
                    sin6_port: address.port().to_be(),
                    sin6_flowinfo: address.flowinfo(),
                    sin6_addr: libc::in6_addr { s6_addr: address.ip().octets() },
                    sin6_scope_id: address.scope_id(),
                };
                V6_BYTES
            }
        }
    }
}

/// How long the kernel's addresses are.
const V4_BYTES: libc::socklen_t = 16;
const V6_BYTES: libc::socklen_t = 28;
const _: () = assert!(size_of::<libc::sockaddr_in>() == 16 && size_of::<libc::sockaddr_in6>() == 28);

fn family(number: i32) -> libc::sa_family_t {
    libc::sa_family_t::try_from(number).unwrap_or(0)
}

/// Reads an address that the kernel wrote.
fn source(name: &[u8]) -> Option<SocketAddr> {
    let at = |from: usize, length: usize| name.get(from..from + length);
    let word = |from: usize| Some(u32::from_ne_bytes(at(from, 4)?.try_into().ok()?));
    let port = |from: usize| Some(u16::from_be_bytes(at(from, 2)?.try_into().ok()?));
    let family = u16::from_ne_bytes(at(offset_of!(libc::sockaddr_in, sin_family), 2)?.try_into().ok()?);
    match i32::from(family) {
        libc::AF_INET => {
            let ip: [u8; 4] = at(offset_of!(libc::sockaddr_in, sin_addr), 4)?.try_into().ok()?;
            Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::from(ip)), port(offset_of!(libc::sockaddr_in, sin_port))?))
        }
        libc::AF_INET6 => {
            let ip: [u8; 16] = at(offset_of!(libc::sockaddr_in6, sin6_addr), 16)?.try_into().ok()?;
            Some(SocketAddr::V6(SocketAddrV6::new(
                Ipv6Addr::from(ip),
                port(offset_of!(libc::sockaddr_in6, sin6_port))?,
                word(offset_of!(libc::sockaddr_in6, sin6_flowinfo))?,
                word(offset_of!(libc::sockaddr_in6, sin6_scope_id))?,
            )))
        }
        _ => None,
    }
}

/// Makes so many of a thing that may be all zeros, on a page of their own, for good.
fn zeroed<T>(count: usize) -> NonNull<T> {
    let layout = Layout::array::<T>(count).and_then(|layout| layout.align_to(4096));
    let layout = layout.unwrap_or(Layout::new::<T>());
    // SAFETY: the size is not zero: each type has fields, and each count is a constant above zero.
    let memory = unsafe { alloc_zeroed(layout) }.cast::<T>();
    NonNull::new(memory).unwrap_or_else(|| handle_alloc_error(layout))
}

fn user_data(kind: Kind, watch: u32, which: u32) -> u64 {
    (kind as u64) << 56 | u64::from(watch) << 32 | u64::from(which)
}

fn of_user_data(data: u64) -> (Option<Kind>, u32, u32) {
    let [kind, words @ ..] = data.to_be_bytes();
    let [w0, w1, w2, i0, i1, i2, i3] = words;
    let kind = [Kind::Receive, Kind::Send, Kind::Bell, Kind::Cancel].into_iter().find(|&it| it as u8 == kind);
    (kind, u32::from_be_bytes([0, w0, w1, w2]), u32::from_be_bytes([i0, i1, i2, i3]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::bell::Bell;

    const NO_TIME: Duration = Duration::ZERO;

    /// A ring that watches the first of two sockets.
    struct Scene {
        ring: Ring,
        bell: Bell,
        ours: UdpSocket,
        theirs: UdpSocket,
    }

    impl Scene {
        fn new(address: &str) -> Self {
            let [ours, theirs] = [(); 2].map(|()| UdpSocket::bind((address, 0)).unwrap());
            ours.set_nonblocking(true).unwrap();
            let (mut ring, bell) = (Ring::new().unwrap(), Bell::new().unwrap());
            ring.open(&bell).unwrap();
            ring.watch(PortId(7), &ours);
            ring.wait(NO_TIME, Some(NO_TIME)).unwrap();
            Self { ring, bell, ours, theirs }
        }

        fn they_send(&self, packet: &[u8]) {
            self.theirs.send_to(packet, self.ours.local_addr().unwrap()).unwrap();
        }

        /// Waits for the next datagram, and returns its bytes, its port and its source.
        fn takes(&mut self) -> (Vec<u8>, PortId, SocketAddr) {
            loop {
                if let Some(told) = self.ring.next(|_| Some(&self.ours)) {
                    let Told::Came(mut packet) = told else { continue };
                    let taken = (packet.bytes().to_vec(), packet.port, packet.source);
                    self.ring.give_back(packet);
                    return taken;
                }
                self.ring.wait(NO_TIME, Some(Duration::from_secs(5))).unwrap();
            }
        }

        fn has_nothing(&mut self) -> bool {
            self.ring.wait(NO_TIME, Some(Duration::from_millis(1))).unwrap();
            self.ring.next(|_| Some(&self.ours)).is_none()
        }
    }

    #[test]
    fn what_is_sent_to_a_watched_socket_comes_with_its_source_over_either_protocol() {
        for address in ["127.0.0.1", "::1"] {
            let mut scene = Scene::new(address);
            scene.they_send(b"hello");
            scene.they_send(b"");

            let from = scene.theirs.local_addr().unwrap();
            assert_eq!(scene.takes(), (b"hello".to_vec(), PortId(7), from));
            assert_eq!(scene.takes(), (Vec::new(), PortId(7), from), "an empty datagram is one");
        }
    }

    #[test]
    fn what_is_sent_goes_out_with_the_batch_and_in_order() {
        let mut scene = Scene::new("127.0.0.1");
        let to = scene.theirs.local_addr().unwrap();
        scene.theirs.set_nonblocking(true).unwrap();
        for packet in 0..100_u8 {
            scene.ring.send(&scene.ours, &to, &[packet; 172]).unwrap();
        }
        let mut buffer = [0; 256];
        assert!(scene.theirs.recv_from(&mut buffer).is_err(), "not before the batch");

        scene.ring.wait(NO_TIME, Some(NO_TIME)).unwrap();

        for packet in 0..100_u8 {
            let (length, _) = scene.theirs.recv_from(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], [packet; 172]);
        }
    }

    #[test]
    fn a_slot_is_free_again_once_its_datagram_is_out_and_holds_nothing_of_it() {
        let mut scene = Scene::new("127.0.0.1");
        let to = scene.theirs.local_addr().unwrap();
        for _ in 0..SLOTS {
            scene.ring.send(&scene.ours, &to, b"voice").unwrap();
        }
        scene.ring.send(&scene.ours, &to, b"one more").unwrap_err();

        while scene.ring.free.len() < usize::from(SLOTS) {
            scene.ring.wait(NO_TIME, Some(Duration::from_secs(5))).unwrap();
            assert!(scene.ring.next(|_| Some(&scene.ours)).is_none());
        }

        let slot = unsafe { scene.ring.slots.as_ref() };
        assert!(slot.packet.iter().all(|&byte| byte == 0));
        scene.ring.send(&scene.ours, &to, b"again").unwrap();
    }

    #[test]
    fn what_the_kernel_does_not_take_is_counted() {
        let mut scene = Scene::new("127.0.0.1");
        // RFC 5737: nobody routes it, and a socket of the loopback may not send there.
        scene.ring.send(&scene.ours, &"192.0.2.1:9".parse().unwrap(), b"x").unwrap();
        scene.ring.send(&scene.ours, &"[::1]:9".parse().unwrap(), b"x").unwrap();

        assert!(scene.has_nothing());

        assert_eq!(scene.ring.take_failures(), (2, 0));
        assert_eq!(scene.ring.take_failures(), (0, 0));
    }

    #[test]
    fn a_datagram_longer_than_a_packet_may_be_is_seen_to_be_longer_and_one_too_long_to_send_finds_no_place() {
        let mut scene = Scene::new("127.0.0.1");
        scene.they_send(&[1; MEDIA_PACKET_BYTES]);
        scene.they_send(&[2; MEDIA_PACKET_BYTES + 1]);
        scene.they_send(&[3; 9000]);

        assert_eq!(scene.takes().0.len(), MEDIA_PACKET_BYTES);
        assert_eq!(scene.takes().0.len(), MEDIA_PACKET_BYTES + 1);
        assert_eq!(scene.takes().0.len(), MEDIA_PACKET_BYTES + 1, "cut");
        let to = scene.theirs.local_addr().unwrap();
        scene.ring.send(&scene.ours, &to, &[4; MEDIA_PACKET_BYTES + 1]).unwrap_err();
        assert_eq!(scene.ring.free.len(), usize::from(SLOTS));
    }

    #[test]
    fn more_datagrams_than_buffers_all_come_once_buffers_are_given_back() {
        let mut scene = Scene::new("127.0.0.1");
        let mut held = Vec::new();
        for round in 0..6_u32 {
            for nth in 0..200_u32 {
                scene.they_send(&(round * 200 + nth).to_be_bytes());
            }
            // The kernel gives some of a socket's at a time.
            let mut before = None;
            while before.replace(held.len()) != Some(held.len()) {
                scene.ring.wait(NO_TIME, Some(NO_TIME)).unwrap();
                while let Some(told) = scene.ring.next(|_| Some(&scene.ours)) {
                    if let Told::Came(packet) = told {
                        held.push(packet);
                    }
                }
            }
        }
        assert_eq!(held.len(), usize::from(BUFFERS), "all that there are");
        let mut came: Vec<Vec<u8>> = held.iter_mut().map(|packet| packet.bytes().to_vec()).collect();
        held.into_iter().for_each(|packet| scene.ring.give_back(packet));
        while came.len() < 1200 {
            came.push(scene.takes().0);
        }
        assert!(came.iter().zip(0_u32..).all(|(packet, nth)| *packet == nth.to_be_bytes()), "in order, and each once");
    }

    #[test]
    fn nothing_comes_from_a_socket_that_was_forgotten_and_its_port_may_be_anothers() {
        let mut scene = Scene::new("127.0.0.1");
        scene.they_send(b"before");
        scene.ring.wait(NO_TIME, Some(Duration::from_secs(5))).unwrap();
        scene.ring.forget(PortId(7));
        scene.they_send(b"after");
        assert!(scene.has_nothing());

        let address = scene.ours.local_addr().unwrap();
        scene.ours = UdpSocket::bind("127.0.0.1:0").unwrap();
        scene.ours.set_nonblocking(true).unwrap();
        // The kernel lets go of a socket once nothing is under way on it.
        let again = UdpSocket::bind(address);
        assert!(again.is_ok(), "{again:?}");
        scene.ring.watch(PortId(7), &scene.ours);
        scene.ring.wait(NO_TIME, Some(NO_TIME)).unwrap();
        scene.they_send(b"to the new one");
        assert_eq!(scene.takes().0, b"to the new one");
    }

    #[test]
    fn the_bell_is_told_once_for_each_time_it_is_listened_to() {
        let mut scene = Scene::new("127.0.0.1");
        scene.bell.ring();
        scene.ring.wait(Duration::from_micros(250), Some(Duration::from_secs(5))).unwrap();
        assert!(matches!(scene.ring.next(|_| None), Some(Told::Bell)));
        assert!(scene.has_nothing(), "it is not listened to");

        scene.ring.listen(&scene.bell);
        scene.ring.wait(NO_TIME, Some(Duration::from_secs(5))).unwrap();
        assert!(matches!(scene.ring.next(|_| None), Some(Told::Bell)), "it was not stilled");
    }
}
