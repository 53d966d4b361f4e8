//! The box: the product's own cores, with queues where the shell has threads, and a seed where it has luck.
//!
//! ```text
//!   SIP ─▶ signalling (call::Table) ─▶ lanes (lane::Lane) ─▶ disk (vault::Writer) ─▶ ledger
//!              ◀────────── events, failures ──────────────────────┘
//! ```
//!
//! Each of the four runs some drawn microseconds after it was given something to do, as threads do; so the orders in which they meet are
//! drawn as well. What stands here of the shell is what `src/node` does between its sockets and these cores, and nothing else.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use mitschnitt::call::{
    Codecs, Config, ContactKey, Deed, Done, Guarding, HandleKey, InCall, Input, MediaAs, Output, Peer, Peers, Policy, PortPair,
    Registering, Selector, Selects, Signs, Strangers, Table,
};
use mitschnitt::catalogue::{Store, Write};
use mitschnitt::codec::Codec;
use mitschnitt::consent::{Clip, Evidence, Mode, PriorTerms, Terms, WithoutConsent};
use mitschnitt::control::{log_reached, log_silence, log_story, row};
use mitschnitt::digit::Digit;
use mitschnitt::ids::{CallId, Direction, Leg, RecordingId, TrunkName};
use mitschnitt::lane::{self, Down, Lane, Up};
use mitschnitt::media::{Order, PairIds, PortId, Ports, Sent};
use mitschnitt::network::Network;
use mitschnitt::sip::{Flow, Transport};
use mitschnitt::time::{Moment, Period, Wall};
use mitschnitt::vault::{LastChunk, Listener, NodeKey, Outcome, PlainChunk, RecipientSecret, Work, Writer};

use super::border::{Datagram, box_media, box_sip, carrier_sip, pbx_sip};
use super::chance::Chance;
use super::disk::Disk;
use super::ladder::number;
use super::ledger::Rows;
use super::plan::{Pace, Plan};

/// How long each thread takes at most to see that it has something to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timing {
    /// Signalling.
    pub signalling: Duration,
    /// Each media thread.
    pub lane: Duration,
    /// The disk's thread, beside what the disk itself takes.
    pub disk: Duration,
    /// The ledger's thread.
    pub ledger: Duration,
    /// Chunks that may wait for the disk.
    pub chunks_waiting: usize,
}

/// The keys of every box in every world: they are costly to make, and what they are changes nothing.
pub static KEYS: LazyLock<(NodeKey, RecipientSecret)> =
    LazyLock::new(|| (node_key(), RecipientSecret::generate(&mut Chance::new(2))));

fn node_key() -> NodeKey {
    NodeKey::generate(&mut Chance::new(1))
}

/// What every box of every world of a pace is told once; the clips are hashed and encoded once as well.
static POLICIES: [LazyLock<Vec<Arc<Policy>>>; 2] =
    [LazyLock::new(|| policies(Pace::Usual)), LazyLock::new(|| policies(Pace::Brisk))];

/// Samples, and bytes, of a frame of 20 ms.
const FRAME_BYTES: usize = 160;
/// The port range of each address of the box.
const PORTS: std::ops::RangeInclusive<u16> = 20_000..=29_999;
/// The box's wall clock at the beginning of time: 24 November 2026, 09:30 UTC.
const WALL: i64 = 1_795_512_600_000_000;
/// Datagrams that a socket holds; more are lost, as the kernel loses them.
const SOCKET_HOLDS: usize = 256;
/// The box's media threads.
const LANES: usize = 2;
/// Pairs of ports kept in stock for each side.
const STOCK: usize = 16;
/// SIP datagrams read before anything else is looked at, as the shell does.
const SIP_ROUND: usize = 64;

/// The running process: all of it dies when it is killed.
pub struct Node {
    chance: Chance,
    timing: Timing,
    table: Table,
    signalling: Signalling,
    lanes: Vec<Thread>,
    sockets: Sockets,
    writer: Writer,
    works: VecDeque<Work>,
    disk_runs: Option<Moment>,
    rows: VecDeque<Write>,
    rows_run: Option<Moment>,
    entropy: Chance,
    wall_offset: i64,
    sync_runs: Option<Moment>,
    /// The disk had no place for something, since this was last looked at.
    pub is_full: bool,
    /// Datagrams that left.
    pub out: Vec<Datagram>,
    /// Recordings that began since this was last looked at: when, and of which call.
    pub granted: Vec<(RecordingId, Moment, Option<u32>)>,
    /// Recordings that were sealed, or ended otherwise, since this was last looked at.
    pub ended: Vec<(RecordingId, &'static str)>,
    /// What operators asked for and had, by the call's number in the world.
    pub done: Vec<(u32, Done)>,
    asked_for: BTreeMap<CallId, u32>,
    /// Calls of which something is kept for a restart.
    kept: BTreeSet<CallId>,
    /// The most calls that there were at once.
    calls_most: usize,
    /// What the box itself did wrong, by name.
    pub broken: Option<(&'static str, String)>,
}

#[derive(Default)]
struct Signalling {
    sip: VecDeque<(SocketAddr, Bytes)>,
    up: VecDeque<Up>,
    failures: VecDeque<(CallId, bool)>,
    asked: VecDeque<Input>,
    runs: Option<Moment>,
}

struct Thread {
    lane: Lane,
    down: VecDeque<ToThread>,
    ports: BTreeMap<PortId, usize>,
    /// Sockets with something in them.
    ready: VecDeque<usize>,
    runs: Option<Moment>,
}

enum ToThread {
    Lane(Down),
    Socket(PortId, usize),
    Close(PairIds),
}

/// All sockets of this process, by a number that is never used again.
struct Sockets {
    books: [Ports; 2],
    all: Vec<Option<Socket>>,
    by_address: HashMap<SocketAddr, usize>,
    waiting: BTreeMap<PortId, usize>,
    free_ids: Vec<u32>,
    next_id: u32,
    /// Pairs that signalling has, by the names of their RTP sockets.
    lent: BTreeMap<u32, PortPair>,
}

struct Socket {
    address: SocketAddr,
    port: PortId,
    /// The thread that has it, or will have it once it reads that; none while it waits for a call.
    thread: Option<usize>,
    is_owned: bool,
    holds: VecDeque<(SocketAddr, Bytes)>,
}

fn policies(pace: Pace) -> Vec<Arc<Policy>> {
    let clips: Vec<Clip> = Codec::TELEPHONE
        .into_iter()
        .filter(|codec| [Codec::Pcmu, Codec::Pcma].contains(codec))
        .map(|codec| {
            let mut payload = Vec::new();
            for frame in (0..).take(pace.frames() as usize) {
                let at = payload.len();
                payload.extend_from_slice(b"CLIP");
                payload.extend_from_slice(&[u8::from(codec == Codec::Pcma), frame]);
                payload.resize(at + FRAME_BYTES, b'~');
            }
            Clip::new(codec, &payload, [9; 32], "de").expect("a clip with sound")
        })
        .collect();
    let mut policies = Vec::new();
    let modes = [
        ("+49301", Some((Mode::Announce, '9', 0, WithoutConsent::GoOn))),
        ("+49302", Some((Mode::OptOut, '9', 400, WithoutConsent::GoOn))),
        ("+49303", Some((Mode::OptIn, '1', 600, WithoutConsent::GoOn))),
        ("+49304", None),
        ("+49306", Some((Mode::OptIn, '1', 600, WithoutConsent::HangUp))),
    ];
    for (prefix, terms) in modes {
        let name: Arc<str> = format!("policy-{}", &prefix[prefix.len() - 1..]).into();
        let terms = terms.map(|(mode, key, answer, without_consent)| Terms {
            policy: Arc::clone(&name),
            policy_hash: [7; 32],
            purpose: "quality".into(),
            legal_basis: "consent".into(),
            mode,
            must_agree: [false, true],
            key: Digit::from_char(key).expect("a key"),
            withdraw: None,
            answer: pace.span(Duration::from_millis(answer)),
            language: "de".into(),
            without_consent,
            longest_pause: pace.span(Duration::from_secs(2)),
            prior: PriorTerms::default(),
            announcement_version: None,
        });
        let prefix = Some(prefix.to_owned());
        let outbound = Selector { direction: Some(Direction::Outbound), called_prefix: prefix.clone(), ..Selector::default() };
        let inbound = Selector { direction: Some(Direction::Inbound), calling_prefix: prefix, ..Selector::default() };
        for selector in [outbound, inbound] {
            policies.push(Arc::new(Policy {
                selector,
                name: Arc::clone(&name),
                terms: terms.clone(),
                clips: clips.clone(),
                codecs: Codecs::AsOffered,
                mandatory: None,
                hook: None,
                in_call: InCall::default(),
                selects: Selects::default(),
                signs: Signs::default(),
            }));
        }
    }
    policies
}

fn config(plan: &Plan, clocks: (Moment, Wall)) -> Config {
    let [usual, brisk] = &POLICIES;
    let policies = match plan.pace {
        Pace::Usual => usual,
        Pace::Brisk => brisk,
    };
    // Where nobody speaks SRTP it is not ended here.
    let [pbx_as, trunk_as] = plan.secured.map(|is_secured| {
        let how = if is_secured { MediaAs::Srtp } else { MediaAs::Rtp };
        plan.secured.contains(&true).then_some(how)
    });
    Config {
        sip: mitschnitt::sip::Config::new(box_sip()),
        peers: Peers {
            pbx: Peer {
                way: Flow::first(pbx_sip()),
                transport: Transport::Udp,
                networks: vec![],
                latching: Default::default(),
                media_as: pbx_as,
                routing: Default::default(),
            },
            trunks: vec![(
                TrunkName::new("carrier"),
                Peer {
                    way: Flow::first(carrier_sip()),
                    transport: Transport::Udp,
                    networks: vec![Network { address: carrier_network(), prefix: 24 }],
                    latching: Default::default(),
                    media_as: trunk_as,
                    routing: Default::default(),
                },
            )],
        },
        strangers: Strangers::Drop,
        guarding: Guarding::default(),
        media: box_media(),
        policies: policies.to_vec(),
        emergency: Vec::new(),
        unrecorded: None,
        indexed: Vec::new(),
        handles: HandleKey::new(zeroize::Zeroizing::new([8; 32])),
        registering: Registering::new(ContactKey::new(zeroize::Zeroizing::new([9; 32])), Vec::new()),
        port_stock: STOCK,
        // No world is silent for minutes, and who is on hold is not dead.
        dead: None,
        keys: mitschnitt::call::KeySource::new(zeroize::Zeroizing::new([7; 32])),
        clocks,
    }
}

fn carrier_network() -> std::net::IpAddr {
    std::net::Ipv4Addr::new(198, 51, 100, 0).into()
}

/// What the next start does to the ledger of a box that died.
pub fn settle(disk: &mut Disk, rows: &mut dyn Store) {
    rows.mark_torn().expect("the simulated ledger takes all");
    let with_keys = disk.recordings().filter(|(_, _, keys)| keys.is_some()).map(|(id, ..)| id).collect();
    let found = rows.without_row(with_keys).expect("the simulated ledger is read");
    let began = Wall::from_unix_micros(WALL);
    let found: Vec<_> = found.into_iter().map(|recording| Write::Found { recording, began }).collect();
    rows.write(&found).expect("the simulated ledger takes all");
    disk.join_all();
    for recording in rows.torn().expect("the simulated ledger is read") {
        let line = disk.salvage(recording, &node_key());
        rows.write(line.as_slice()).expect("the simulated ledger takes all");
    }
}

fn sooner(runs: &mut Option<Moment>, at: Moment) {
    *runs = Some(runs.map_or(at, |known| known.min(at)));
}

impl Node {
    /// Starts a process; what a killed one left open in the ledger is marked first, and what it recorded without a row is given one, as the
    /// shell does.
    pub fn start(mut chance: Chance, plan: &Plan, disk: &mut Disk, rows: &mut dyn Store, now: Moment) -> Self {
        settle(disk, rows);
        let wall = Wall::from_unix_micros(WALL + now.as_micros() as i64);
        let (_, recipient) = &*KEYS;
        let lane = |seed| Thread {
            lane: Lane::new(seed),
            down: VecDeque::new(),
            ports: BTreeMap::new(),
            ready: VecDeque::new(),
            runs: None,
        };
        let lanes = (0..LANES).map(|_| lane(chance.next())).collect();
        let sockets = Sockets::new(&mut chance);
        let table = Table::new(config(plan, (now, wall)), [chance.next(), chance.next()], now);
        let recipients =
            vec![Listener { purposes: vec!["quality".to_owned()], key: *recipient.public(), period: Period::ALWAYS }];
        // Not from a tape: keys decide nothing.
        let entropy = Chance::new(chance.next());
        let mut node = Self {
            writer: Writer::new(node_key(), recipients, now),
            chance,
            timing: plan.timing,
            table,
            signalling: Signalling::default(),
            lanes,
            sockets,
            works: VecDeque::new(),
            disk_runs: None,
            rows: VecDeque::new(),
            rows_run: None,
            entropy,
            wall_offset: WALL,
            sync_runs: Some(now),
            is_full: false,
            out: Vec::new(),
            granted: Vec::new(),
            ended: Vec::new(),
            done: Vec::new(),
            asked_for: BTreeMap::new(),
            kept: BTreeSet::new(),
            calls_most: 0,
            broken: None,
        };
        node.drain(now);
        node
    }

    // ── what comes in ──────────────────────────────────────────────────────────────────────────────────────────────

    /// Hands in a datagram: it lies in a socket until its thread looks.
    pub fn deliver(&mut self, datagram: Datagram, now: Moment) {
        if datagram.to == box_sip() {
            self.signalling.sip.push_back((datagram.from, datagram.bytes));
            self.poke_signalling(now);
            return;
        }
        let Some(&at) = self.sockets.by_address.get(&datagram.to) else { return };
        let Some(Some(socket)) = self.sockets.all.get_mut(at) else { return };
        // What comes before the call has the socket is thrown away when it is handed over.
        let Some(thread) = socket.thread else { return };
        if socket.holds.len() < SOCKET_HOLDS {
            socket.holds.push_back((datagram.from, datagram.bytes));
        }
        self.lanes[thread].ready.push_back(at);
        self.poke_lane(thread, now);
    }

    /// An operator wants something done with the call of this number.
    pub fn operate(&mut self, number: u32, deed: Deed, now: Moment) {
        if let Some(call) = self.call_named(&format!("{number}@world")) {
            self.asked_for.insert(call, number);
            self.ask(Input::Operator { call, deed }, now);
        }
    }

    fn ask(&mut self, input: Input, now: Moment) {
        self.signalling.asked.push_back(input);
        self.poke_signalling(now);
    }

    /// The wall clock jumps; the monotonic one does not.
    pub fn jump(&mut self, micros: i64, now: Moment) {
        self.wall_offset += micros;
        let clocks = self.clocks(now);
        self.ask(Input::Clocks(clocks.0, clocks.1), now);
    }

    fn clocks(&self, now: Moment) -> (Moment, Wall) {
        (now, Wall::from_unix_micros(self.wall_offset + now.as_micros() as i64))
    }

    fn poke_signalling(&mut self, now: Moment) {
        let at = now + self.within(self.timing.signalling, 0, now);
        sooner(&mut self.signalling.runs, at);
    }

    fn poke_lane(&mut self, thread: usize, now: Moment) {
        let at = now + self.within(self.timing.lane, 2 + thread as u64, now);
        sooner(&mut self.lanes[thread].runs, at);
    }

    fn poke_disk(&mut self, now: Moment) {
        let at = now + self.within(self.timing.disk, 1, now);
        sooner(&mut self.disk_runs, at);
    }

    /// How long a thread takes to see that it has something to do. It follows from the moment alone, so that a call that is left out of a
    /// world changes nothing for the others.
    fn within(&self, span: Duration, thread: u64, now: Moment) -> Duration {
        let mut chance = self.chance.split(now.as_micros() << 4 | thread);
        Duration::from_micros(chance.below(span.as_micros() as u64 + 1))
    }

    // ── time ───────────────────────────────────────────────────────────────────────────────────────────────────────

    /// When the next thread runs.
    pub fn deadline(&self) -> Option<Moment> {
        let lanes = self.lanes.iter().flat_map(|thread| [thread.runs, thread.lane.deadline()]);
        let others = [self.signalling.runs, self.table.deadline(), self.disk_runs, self.sync_runs, self.rows_run];
        lanes.chain(others).flatten().min()
    }

    /// Lets every thread run that is due.
    pub fn wake(&mut self, now: Moment, disk: &mut Disk, rows: &mut Rows) {
        if self.signalling.runs.is_some_and(|at| at <= now) || self.table.deadline().is_some_and(|at| at <= now) {
            self.run_signalling(now);
        }
        for thread in 0..self.lanes.len() {
            let it = &self.lanes[thread];
            if it.runs.is_some_and(|at| at <= now) || it.lane.deadline().is_some_and(|at| at <= now) {
                self.run_lane(thread, now);
            }
        }
        if self.disk_runs.is_some_and(|at| at <= now) || self.sync_runs.is_some_and(|at| at <= now) {
            self.run_disk(now, disk);
        }
        // The ledger's thread: no packet and no call waits for it, and it may be behind the disk.
        if !self.rows.is_empty() && self.rows_run.is_none() {
            self.rows_run = Some(now + self.within(self.timing.ledger, 16, now));
        }
        if self.rows_run.is_some_and(|at| at <= now) {
            self.rows_run = None;
            let batch: Vec<Write> = self.rows.drain(..).collect();
            rows.write(&batch).expect("the simulated ledger takes all");
        }
        self.check(now);
    }

    /// Stops in order, as on SIGTERM: media threads, then the disk, then the ledger.
    pub fn stop(&mut self, now: Moment, disk: &mut Disk, rows: &mut Rows) {
        self.run_signalling(now);
        // What is up goes on after the next start.
        self.kept.retain(|kept| self.table.live().iter().all(|call| call.call != *kept));
        self.table.shut_down(now);
        self.drain(now);
        for thread in 0..self.lanes.len() {
            self.run_lane(thread, now);
            let (lane, mut outside) = self.lend(thread);
            lane.end_all(now, &mut outside);
        }
        self.run_disk(now, disk);
        self.writer.sync(disk, now);
        self.writer.synced(now);
        self.hear_disk(now, disk);
        let batch: Vec<Write> = self.rows.drain(..).collect();
        rows.write(&batch).expect("the simulated ledger takes all");
        self.check(now);
    }

    fn run_signalling(&mut self, now: Moment) {
        self.signalling.runs = None;
        if self.table.deadline().is_some_and(|at| at <= now) {
            self.table.wake(now);
            self.drain(now);
            if self.table.deadline().is_some_and(|at| at <= now) {
                self.breaks("timer-in-the-past", format!("{:?} after it was woken at {now:?}", self.table.deadline()));
            }
        }
        while let Some(up) = self.signalling.up.pop_front() {
            let input = match up {
                Up::Event(event) => Input::Media(event),
                Up::NotRecorded(call) => Input::VaultFailed { call, left_a_file: false },
            };
            self.input(input, now);
        }
        while let Some((call, left_a_file)) = self.signalling.failures.pop_front() {
            self.input(Input::VaultFailed { call, left_a_file }, now);
        }
        for _ in 0..SIP_ROUND {
            let Some((from, bytes)) = self.signalling.sip.pop_front() else { break };
            self.input(Input::Message { from: Flow::first(from), bytes }, now);
        }
        while let Some(asked) = self.signalling.asked.pop_front() {
            self.input(asked, now);
        }
        if !self.signalling.sip.is_empty() {
            self.poke_signalling(now);
        }
    }

    fn input(&mut self, input: Input, now: Moment) {
        self.table.handle(input, now);
        self.drain(now);
    }

    /// Does what signalling wants done, as the shell does it.
    fn drain(&mut self, now: Moment) {
        while let Some(output) = self.table.poll() {
            match output {
                Output::Send { to, or: _, bytes } => self.out.push(Datagram { from: box_sip(), to: to.far, bytes }),
                Output::Media { call, order } => {
                    if let Order::Bridge(bridging) = &order {
                        let thread = thread_of(call);
                        for ids in bridging.ports {
                            for (port, socket) in self.sockets.claim(ids, thread) {
                                self.down(call, ToThread::Socket(port, socket), now);
                            }
                        }
                    }
                    self.down(call, ToThread::Lane(Down::Order(order)), now);
                }
                Output::Record { id, slot, permit, formats } => {
                    let live = self.table.live().into_iter().find(|live| live.call == id.call);
                    let whose = live.and_then(|live| number(live.parties.call_id.reveal()));
                    self.granted.push((permit.evidence().recording(), permit.granted(), whose));
                    self.down(id.call, ToThread::Lane(Down::Record { id, slot, permit, formats }), now);
                }
                Output::Formats { call, slot, formats } => self.down(call, ToThread::Lane(Down::Formats { slot, formats }), now),
                Output::Suspend { call, slot, why } => self.down(call, ToThread::Lane(Down::Suspend { slot, why }), now),
                // Who did it is no part of the model.
                Output::Turn { .. } => {}
                Output::Answer { call, answer, .. } => {
                    if let (Some(&number), Ok(done)) = (self.asked_for.get(&call), answer) {
                        self.done.push((number, done));
                    }
                }
                Output::Resume { call, slot } => self.down(call, ToThread::Lane(Down::Resume { slot }), now),
                Output::EndRecording { call, slot, why } => self.down(call, ToThread::Lane(Down::End { slot, why }), now),
                Output::GiveBack { call, pair } => {
                    self.down(call, ToThread::Close(pair.ids), now);
                    if let Err(wrong) = self.sockets.give_back(pair, now) {
                        self.breaks("port-given-back-twice", wrong);
                    }
                }
                Output::WantPorts { leg, count } => {
                    let pairs = self.sockets.open(leg, count, now);
                    if !pairs.is_empty() {
                        self.table.handle(Input::Ports(pairs), now);
                    }
                }
                Output::Silent { call, who, then } => log_silence(call, who, then),
                Output::Reached { trunk, address, is_up } => log_reached(trunk.as_ref(), address, is_up),
                Output::Consult(_) => unreachable!("no policy of these worlds asks a hook"),
                // Nothing is restored in these worlds: a box that is started again has lost what it kept.
                Output::Keep(kept) => {
                    self.kept.insert(kept.call());
                }
                Output::Forget(call) => {
                    if !self.kept.remove(&call) {
                        self.breaks("forgotten-twice", format!("{call:?}"));
                    }
                }
                Output::Story(story) => {
                    log_story(&story);
                    let clocks = self.clocks(now);
                    self.rows.push_back(row::of_story(*story, clocks));
                }
            }
        }
    }

    fn down(&mut self, call: CallId, down: ToThread, now: Moment) {
        let thread = thread_of(call);
        self.lanes[thread].down.push_back(down);
        self.poke_lane(thread, now);
    }

    /// Parts a lane from what it is lent.
    fn lend(&mut self, thread: usize) -> (&mut Lane, Outside<'_>) {
        let Thread { lane, ports, .. } = &mut self.lanes[thread];
        let outside = Outside {
            ports,
            sockets: &mut self.sockets.all,
            out: &mut self.out,
            works: &mut self.works,
            chunks_waiting: self.timing.chunks_waiting,
            up: &mut self.signalling.up,
            is_full: &mut self.is_full,
        };
        (lane, outside)
    }

    fn run_lane(&mut self, thread: usize, now: Moment) {
        self.lanes[thread].runs = None;
        let mut buffer = [0; lane::BUFFER_BYTES];
        while let Some(down) = self.lanes[thread].down.pop_front() {
            match down {
                ToThread::Lane(down) => {
                    let (lane, mut outside) = self.lend(thread);
                    lane.obey(down, &mut buffer, now, &mut outside);
                }
                ToThread::Socket(port, socket) => {
                    self.lanes[thread].ports.insert(port, socket);
                    if let Some(Some(socket)) = self.sockets.all.get_mut(socket) {
                        socket.is_owned = true;
                    }
                    self.lanes[thread].ready.push_back(socket);
                }
                ToThread::Close(ids) => {
                    for port in [ids.rtp, ids.rtcp] {
                        if let Some(socket) = self.lanes[thread].ports.remove(&port) {
                            self.sockets.close(socket);
                        }
                    }
                }
            }
        }
        let mut not_yet = VecDeque::new();
        while let Some(at) = self.lanes[thread].ready.pop_front() {
            let Some(Some(socket)) = self.sockets.all.get_mut(at) else { continue };
            if !socket.is_owned {
                not_yet.push_back(at);
                continue;
            }
            let port = socket.port;
            while let Some(Some(socket)) = self.sockets.all.get_mut(at)
                && let Some((source, bytes)) = socket.holds.pop_front()
            {
                let length = bytes.len().min(lane::RECEIVED_BYTES);
                buffer[..length].copy_from_slice(&bytes[..length]);
                let (lane, mut outside) = self.lend(thread);
                lane.packet(port, source, &mut buffer, length, now, &mut outside);
                if buffer[..length].iter().any(|&byte| byte != 0) {
                    self.breaks("voice-left-in-the-buffer", format!("{length} bytes of a packet from {source}"));
                }
            }
        }
        self.lanes[thread].ready = not_yet;
        let works = self.works.len();
        let (lane, mut outside) = self.lend(thread);
        lane.due(now, &mut outside);
        lane.take_tallies();
        if lane.deadline().is_some_and(|at| at <= now) {
            let at = lane.deadline();
            self.breaks("timer-in-the-past", format!("a lane's {at:?} after it ran at {now:?}"));
        }
        if !self.signalling.up.is_empty() {
            self.poke_signalling(now);
        }
        if self.works.len() > works || !self.works.is_empty() {
            self.poke_disk(now);
        }
    }

    fn run_disk(&mut self, now: Moment, disk: &mut Disk) {
        self.disk_runs = None;
        let batch: Vec<Work> = self.works.drain(..).collect();
        if !batch.is_empty() {
            self.writer.work(batch, disk, &mut self.entropy, now);
        }
        if self.writer.deadline().is_some_and(|at| at <= now) {
            self.writer.sync(disk, now);
            self.writer.synced(now);
        }
        // It died in the middle of that: nobody is told of it any more.
        if disk.is_dead() {
            return;
        }
        self.hear_disk(now, disk);
        // A slow disk: nothing more is looked at before it is done with this.
        let done = now + disk.takes();
        self.sync_runs = self.writer.deadline().map(|at| at.max(done));
        if let Some(at) = self.disk_runs {
            self.disk_runs = Some(at.max(done));
        }
    }

    fn hear_disk(&mut self, now: Moment, disk: &Disk) {
        while let Some(outcome) = self.writer.poll() {
            if let Outcome::Sealed { recording, .. } = outcome
                && !(disk.is_durable(recording) || disk.lied())
            {
                self.breaks("sealed-not-durable", format!("{recording} is told to be sealed, and would not outlive the power"));
            }
            if let Outcome::Sealed { recording, .. } | Outcome::Failed { recording, .. } = outcome
                && disk.is_open(recording)
            {
                self.breaks("left-open", format!("{recording} is over, and its file is open"));
            }
            if let Outcome::Sealed { recording, .. } = &outcome {
                self.ended.push((*recording, "is sealed"));
            }
            if let Outcome::Failed { call, recording, left_a_file, .. } = &outcome {
                self.ended.push((*recording, "has failed"));
                self.signalling.failures.push_back((*call, *left_a_file));
                self.poke_signalling(now);
            }
            tracing::info!(?outcome, "disk");
            self.rows.extend(row::of_outcome(&outcome));
        }
    }

    // ── what must hold of the box after each step ──────────────────────────────────────────────────────────────────

    fn breaks(&mut self, name: &'static str, what: String) {
        self.broken.get_or_insert((name, what));
    }

    fn check(&mut self, _now: Moment) {
        self.calls_most = self.calls_most.max(self.table.count());
        if self.table.count() > mitschnitt::limits::CALLS {
            self.breaks("limit", format!("{} calls", self.table.count()));
        }
        if self.table.stack().transactions() > mitschnitt::limits::TRANSACTIONS {
            self.breaks("limit", format!("{} transactions", self.table.stack().transactions()));
        }
        for thread in &self.lanes {
            if thread.ports.len() > mitschnitt::limits::MEDIA_SOCKETS {
                let what = format!("{} sockets of a thread", thread.ports.len());
                self.broken.get_or_insert(("limit", what));
            }
        }
        let (bridges, recorders) = self.held();
        let most = self.calls_most * mitschnitt::limits::DIALOGS_PER_CALL;
        if bridges > most || recorders > self.calls_most {
            let what = format!("{bridges} bridges and {recorders} recorders, and never more than {} calls", self.calls_most);
            self.breaks("limit", what);
        }
        if self.rows.len() > mitschnitt::limits::LEDGER_ROWS_WAITING {
            self.breaks("limit", format!("{} rows wait for the ledger", self.rows.len()));
        }
        // An end always finds a place beyond the bound: one for each recording.
        let chunks = self.works.iter().filter(|work| !matches!(work, Work::End(..))).count();
        if chunks > self.timing.chunks_waiting {
            self.breaks("limit", format!("{chunks} chunks wait for the disk"));
        }
    }

    /// Calls that are up, or on their way.
    pub fn live(&self) -> usize {
        self.table.count()
    }

    /// The number that the box has given to the call with this Call-ID.
    fn call_named(&self, call_id: &str) -> Option<CallId> {
        self.table.live().into_iter().find(|live| live.parties.call_id.reveal() == call_id).map(|live| live.call)
    }

    /// Bridges and recorders that there are.
    fn held(&self) -> (usize, usize) {
        let bridges: u64 = self.lanes.iter().map(|thread| thread.lane.bridges()).sum();
        (bridges as usize, self.lanes.iter().map(|thread| thread.lane.recordings()).sum())
    }

    /// The table, to look at.
    pub const fn table(&self) -> &Table {
        &self.table
    }

    /// Takes it apart, and returns how many bytes of the heap each of its cores held.
    pub fn dismantle(self, weigh: &dyn Fn() -> i64) -> [(&'static str, u64); 3] {
        let Self { table, lanes, writer, .. } = self;
        let lanes: Vec<Lane> = lanes.into_iter().map(|thread| thread.lane).collect();
        [("signalling", heft(table, weigh)), ("media", heft(lanes, weigh)), ("writer", heft(writer, weigh))]
    }

    /// What is left once every call is over and every timer has run, though it should not be.
    pub fn left_over(&self) -> Vec<String> {
        let stock: usize = self.sockets.waiting.len() / 2;
        let lent = self.sockets.lent.len();
        let (bridges, recordings) = self.held();
        [
            ("transactions", self.table.stack().transactions()),
            ("calls", self.table.count()),
            ("calls that are kept and are not", self.kept.len().saturating_sub(self.table.count())),
            ("bridges", bridges),
            ("recorders", recordings),
            ("port pairs that no call has and no stock", lent.saturating_sub(stock)),
            ("port pairs in stock beyond what may be", stock.saturating_sub(2 * STOCK)),
            ("work for the disk", self.works.len()),
            ("rows for the ledger", self.rows.len()),
        ]
        .into_iter()
        .filter(|&(_, count)| count > 0)
        .map(|(what, count)| format!("{count} {what}"))
        .collect()
    }
}

/// Drops something, and returns how many bytes of the heap come free.
fn heft<T>(it: T, weigh: &dyn Fn() -> i64) -> u64 {
    let before = weigh();
    drop(it);
    u64::try_from(before - weigh()).unwrap_or(0)
}

fn thread_of(call: CallId) -> usize {
    (call.as_u64() % LANES as u64) as usize
}

/// What a lane of this box is lent.
struct Outside<'n> {
    ports: &'n BTreeMap<PortId, usize>,
    sockets: &'n mut Vec<Option<Socket>>,
    out: &'n mut Vec<Datagram>,
    works: &'n mut VecDeque<Work>,
    chunks_waiting: usize,
    up: &'n mut VecDeque<Up>,
    is_full: &'n mut bool,
}

impl Outside<'_> {
    fn socket(&mut self, port: PortId) -> Option<&mut Socket> {
        self.sockets.get_mut(*self.ports.get(&port)?)?.as_mut()
    }

    fn has_room(&self) -> bool {
        self.works.len() < self.chunks_waiting
    }
}

impl lane::Outside for Outside<'_> {
    fn send(&mut self, port: PortId, to: SocketAddr, packet: &[u8]) -> Sent {
        let Some(from) = self.socket(port).map(|socket| socket.address) else { return Sent::Failed };
        self.out.push(Datagram { from, to, bytes: Bytes::copy_from_slice(packet) });
        Sent::Out
    }

    fn receive(&mut self, port: PortId, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        let (source, bytes) = self.socket(port)?.holds.pop_front()?;
        let length = bytes.len().min(buffer.len());
        buffer[..length].copy_from_slice(&bytes[..length]);
        Some((length, source))
    }

    fn begin(&mut self, evidence: Evidence) -> bool {
        let has_room = self.has_room();
        if has_room {
            self.works.push_back(Work::Begin(Box::new(evidence)));
        }
        *self.is_full |= !has_room;
        has_room
    }

    fn chunk(&mut self, recording: RecordingId, chunk: PlainChunk) -> Result<(), PlainChunk> {
        if !self.has_room() {
            *self.is_full = true;
            return Err(chunk);
        }
        self.works.push_back(Work::Chunk(recording, chunk));
        Ok(())
    }

    fn end(&mut self, recording: RecordingId, last: LastChunk) {
        self.works.push_back(Work::End(recording, last));
    }

    fn tell(&mut self, up: Up) {
        self.up.push_back(up);
    }
}

impl Sockets {
    fn new(chance: &mut Chance) -> Self {
        let mut book = || Ports::new(PORTS, chance.next()).expect("a range with pairs");
        Self {
            books: [book(), book()],
            all: Vec::new(),
            by_address: HashMap::new(),
            waiting: BTreeMap::new(),
            free_ids: Vec::new(),
            next_id: 0,
            lent: BTreeMap::new(),
        }
    }

    fn open(&mut self, leg: Leg, count: usize, now: Moment) -> Vec<PortPair> {
        let mut pairs = Vec::new();
        while pairs.len() < count {
            let Some(rtp) = self.books[leg.index()].take(now) else { break };
            let ip = box_media()[leg.index()];
            let mut bind = |number| {
                let port = self.free_ids.pop().unwrap_or_else(|| {
                    self.next_id += 1;
                    self.next_id - 1
                });
                let address = SocketAddr::new(ip, number);
                let socket = Socket { address, port: PortId(port), thread: None, is_owned: false, holds: VecDeque::new() };
                self.all.push(Some(socket));
                self.by_address.insert(address, self.all.len() - 1);
                self.waiting.insert(PortId(port), self.all.len() - 1);
                PortId(port)
            };
            let ids = PairIds { rtp: bind(rtp), rtcp: bind(rtp + 1) };
            let pair = PortPair { leg, ids, rtp, rtcp: rtp + 1 };
            self.lent.insert(ids.rtp.0, pair);
            pairs.push(pair);
        }
        pairs
    }

    fn claim(&mut self, ids: PairIds, thread: usize) -> Vec<(PortId, usize)> {
        let mut claimed = Vec::new();
        for port in [ids.rtp, ids.rtcp] {
            let Some(at) = self.waiting.remove(&port) else { continue };
            if let Some(Some(socket)) = self.all.get_mut(at) {
                socket.thread = Some(thread);
            }
            claimed.push((port, at));
        }
        claimed
    }

    fn give_back(&mut self, pair: PortPair, now: Moment) -> Result<(), String> {
        for port in [pair.ids.rtp, pair.ids.rtcp] {
            if let Some(at) = self.waiting.remove(&port) {
                self.close(at);
            }
            self.free_ids.push(port.0);
        }
        self.books[pair.leg.index()].give_back(pair.rtp, now);
        match self.lent.remove(&pair.ids.rtp.0) {
            Some(known) if known == pair => Ok(()),
            other => Err(format!("{pair:?}, where {other:?} was lent")),
        }
    }

    fn close(&mut self, at: usize) {
        if let Some(socket) = self.all.get_mut(at).and_then(Option::take)
            && self.by_address.get(&socket.address) == Some(&at)
        {
            self.by_address.remove(&socket.address);
        }
    }
}
