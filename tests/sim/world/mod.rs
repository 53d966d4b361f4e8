//! A world around the box, from one seed, in virtual time: telephones, a carrier, wires, a disk, an operator, and what goes wrong with them.
//!
//! ```text
//!   phones ──▶ wire ──▶ ┌─────┐ ──▶ wire ──▶ phones
//!                       │ box │
//!   faults ───────────▶ └─────┘ ──▶ disk, ledger
//!                          │
//!                          └──▶ model: what must have been forwarded, and what must be in the file
//! ```
//!
//! [`World::run`] plays a [`Plan`] to its end. After each step the box's own invariants are checked, each datagram that crosses its border is
//! shown to the [`Model`](model::Model), and once all has come to rest the model judges recordings and ledger.

pub mod archive;
pub mod border;
pub mod chance;
pub mod disk;
pub mod ladder;
pub mod ledger;
pub mod model;
pub mod node;
pub mod phones;
pub mod plan;
pub mod shield;
pub mod wire;

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use mitschnitt::call::Done;
use mitschnitt::ids::RecordingId;
use mitschnitt::time::Moment;

use self::border::{Datagram, Way, box_sip};
use self::chance::Chance;
use self::disk::Disk;
use self::ladder::{Ladder, number};
use self::ledger::Rows;
use self::model::{Archive, Broken, Model};
use self::node::Node;
use self::phones::Call;
pub use self::plan::{Fault, Plan};
use self::shield::Shield;
use self::wire::Wire;

/// What a world that held came to.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Report {
    /// Calls that were tried.
    pub calls: u64,
    /// Datagrams that crossed the box's border.
    pub datagrams: u64,
    /// Recordings on the disk at the end.
    pub recordings: u64,
    /// Packets in them.
    pub packets: u64,
    /// What went wrong on purpose, lost datagrams included.
    pub faults: u64,
    /// Boxes that died in the middle of what their disk was given.
    pub deaths: u64,
    /// Bytes of the heap that the box's cores held at the end, with every call over and every timer run; of several worlds the most.
    pub heap_bytes: u64,
}

impl std::ops::AddAssign for Report {
    fn add_assign(&mut self, other: Self) {
        self.calls += other.calls;
        self.datagrams += other.datagrams;
        self.recordings += other.recordings;
        self.packets += other.packets;
        self.faults += other.faults;
        self.deaths += other.deaths;
        self.heap_bytes = self.heap_bytes.max(other.heap_bytes);
    }
}

/// What did not hold, and how it came to that.
#[derive(Debug)]
pub struct Failure {
    /// What.
    pub broken: Broken,
    /// When.
    pub at: Moment,
    /// The last steps.
    pub ladder: String,
    /// What the call that it is about was to try.
    pub call: Option<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { broken, at, ladder, call } = self;
        writeln!(f, "{} at {at:?}: {}", broken.invariant, broken.what)?;
        if let Some(call) = call {
            writeln!(f, "{call}")?;
        }
        f.write_str(ladder)
    }
}

/// Something that will happen.
enum Event {
    /// A datagram reaches the box.
    ToBox(Datagram),
    /// A datagram reaches a telephone or a server.
    ToWorld(Datagram),
    /// A call begins.
    Begin(usize),
    /// Something goes wrong, by its place in the plan.
    Fault(usize),
    /// A pause has lasted as long as one may.
    PauseEnds(u32),
    /// The box is up again.
    Up,
}

/// A world that runs.
pub struct World<'p> {
    plan: &'p Plan,
    now: Moment,
    events: BinaryHeap<Reverse<(Moment, u64, usize)>>,
    pending: Vec<Option<Event>>,
    vacant: Vec<usize>,
    sequence: u64,
    calls: BTreeMap<u32, Call>,
    /// When which telephones want to act.
    due: BTreeSet<(Moment, u32)>,
    due_of: BTreeMap<u32, Moment>,
    wire: Wire,
    shield: Shield,
    node: Option<Node>,
    disk: Disk,
    rows: Rows,
    model: Model,
    ladder: Ladder,
    chance: Chance,
    report: Report,
    starts: u64,
    /// How the box will die at its disk, whether of power, and how long it is down then.
    amid: Option<(bool, Duration)>,
    out: Vec<Datagram>,
    granted: BTreeMap<RecordingId, Moment>,
    pauses: BTreeMap<u32, Moment>,
    /// Whose recordings these are, as the box said.
    numbers: BTreeMap<RecordingId, u32>,
}

/// How long a world may last: 64·T1 after the last call, and a recording's rest, are far below it.
const LONGEST: Duration = Duration::from_secs(600);

/// The bytes of the heap by which a box at rest may hold more than a new one, and those by which each call may have made its lists, and its
/// stock of chunk buffers, longer.
const HEAP_AT_REST: u64 = 64 * 1024;
const HEAP_AFTER_A_CALL: u64 = 24 * 1024;

/// How the heap is weighed, where somebody does: the bytes that this thread has of it.
pub static SCALE: OnceLock<fn() -> i64> = OnceLock::new();

fn weighed() -> i64 {
    SCALE.get().map_or(0, |scale| scale())
}

thread_local! {
    /// What the box of this thread's world logged since it was last looked at.
    static LOG: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Where the log goes: to [`LOG`].
struct ToLog;

impl std::io::Write for ToLog {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.with_borrow_mut(|log| log.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'p> World<'p> {
    /// Plays a plan to its end.
    ///
    /// # Errors
    /// What did not hold.
    pub fn run(plan: &'p Plan) -> Result<Report, Box<Failure>> {
        Self::play(plan).map(|(report, _)| report)
    }

    /// Plays a plan to its end, and returns the ladder as well.
    ///
    /// # Errors
    /// What did not hold.
    pub fn play(plan: &'p Plan) -> Result<(Report, Ladder), Box<Failure>> {
        let log = tracing_subscriber::fmt().without_time().with_ansi(false).with_writer(|| ToLog).finish();
        LOG.with_borrow_mut(Vec::clear);
        tracing::subscriber::with_default(log, || {
            let mut world = Self::new(plan);
            match world.live() {
                Ok(()) => Ok((world.report, world.ladder)),
                Err(broken) => {
                    let call = broken.call.and_then(|call| world.calls.get(&call)).map(|call| call.plan().to_string());
                    let ladder = world.ladder.draw(broken.call);
                    Err(Box::new(Failure { broken, at: world.now, ladder, call }))
                }
            }
        })
    }

    fn new(plan: &'p Plan) -> Self {
        let chance = plan.chance();
        let disk = if plan.has_spare { Disk::with_spare } else { Disk::new };
        let (mut disk, mut rows) = (disk(chance.split(3)), Rows::default());
        let now = Moment::from_millis(1);
        let mut world = Self {
            plan,
            now,
            events: BinaryHeap::new(),
            pending: Vec::new(),
            vacant: Vec::new(),
            sequence: 0,
            calls: BTreeMap::new(),
            due: BTreeSet::new(),
            due_of: BTreeMap::new(),
            wire: Wire::new(plan.wire, chance.split(1)),
            shield: Shield::new(plan.secured),
            node: Some(Node::start(chance.split(2), plan, &mut disk, &mut rows, now)),
            disk,
            rows,
            model: Model::new(plan.rules()),
            ladder: Ladder::default(),
            chance: chance.split(4),
            report: Report::default(),
            starts: 0,
            amid: None,
            out: Vec::new(),
            granted: BTreeMap::new(),
            pauses: BTreeMap::new(),
            numbers: BTreeMap::new(),
        };
        for (at, planned) in plan.calls.iter().enumerate() {
            world.happens(Moment::START + planned.begins, Event::Begin(at));
        }
        for (at, (when, _)) in plan.faults.iter().enumerate() {
            world.happens(Moment::START + *when, Event::Fault(at));
        }
        world
    }

    fn happens(&mut self, at: Moment, event: Event) {
        let place = self.vacant.pop().unwrap_or_else(|| {
            self.pending.push(None);
            self.pending.len() - 1
        });
        self.pending[place] = Some(event);
        self.sequence += 1;
        self.events.push(Reverse((at, self.sequence, place)));
    }

    /// Runs until nothing more will happen, stops the box, and has all judged.
    fn live(&mut self) -> Result<(), Broken> {
        while let Some(at) = self.next() {
            if at.since(Moment::START) > LONGEST {
                return Err(broken("not-at-rest", format!("there is still something to do at {at:?}")));
            }
            self.now = self.now.max(at);
            self.step()?;
        }
        self.rest()
    }

    fn next(&self) -> Option<Moment> {
        let event = self.events.peek().map(|Reverse((at, ..))| *at);
        let phone = self.due.first().map(|&(at, _)| at);
        let node = self.node.as_ref().and_then(Node::deadline);
        [event, phone, node].into_iter().flatten().min()
    }

    fn step(&mut self) -> Result<(), Broken> {
        while let Some(&Reverse((at, _, place))) = self.events.peek()
            && at <= self.now
        {
            self.events.pop();
            self.vacant.push(place);
            if let Some(event) = self.pending[place].take() {
                self.happen(event)?;
            }
        }
        while let Some(&(at, number)) = self.due.first()
            && at <= self.now
        {
            self.due.pop_first();
            self.due_of.remove(&number);
            if let Some(call) = self.calls.get_mut(&number) {
                call.wake(self.now, &mut self.out);
            }
            self.said(number);
        }
        if self.node.as_ref().and_then(Node::deadline).is_some_and(|at| at <= self.now) {
            self.run_box()?;
        }
        Ok(())
    }

    fn happen(&mut self, event: Event) -> Result<(), Broken> {
        match event {
            Event::ToBox(datagram) => {
                if let Some(node) = &mut self.node {
                    self.report.datagrams += 1;
                    if let Some(seen) = self.shield.seen(&datagram) {
                        self.ladder.crossed(self.now, Way::In, &seen);
                        self.model.see(self.now, Way::In, &seen)?;
                    }
                    node.deliver(datagram, self.now);
                }
            }
            Event::ToWorld(datagram) => {
                let number = if datagram.from == box_sip() { call_of(&datagram.bytes) } else { Call::owns(datagram.to) };
                if let Some(number) = number
                    && let Some(call) = self.calls.get_mut(&number)
                {
                    call.hear(&datagram, self.now, &mut self.out);
                    self.said(number);
                }
            }
            Event::Begin(at) => {
                let planned = &self.plan.calls[at];
                let chance = self.plan.chance().split(1000 + u64::from(planned.number));
                let call = match &planned.plan {
                    Some(plan) => Call::planned(planned.number, plan.clone(), chance, self.now),
                    None => Call::drawn(planned.number, chance, self.now),
                };
                self.report.calls += 1;
                self.calls.insert(planned.number, call);
                self.said(planned.number);
            }
            Event::Fault(at) => self.fault(&self.plan.faults[at].1.clone())?,
            Event::PauseEnds(number) => {
                if self.pauses.get(&number) == Some(&self.now) {
                    self.pauses.remove(&number);
                    self.model.fault(self.now, model::Fault::Resumed(number));
                }
            }
            Event::Up => {
                self.starts += 1;
                let chance = self.chance.split(self.starts);
                self.node = Some(Node::start(chance, self.plan, &mut self.disk, &mut self.rows, self.now));
                self.ladder.note(self.now, "the box is up again".into());
                self.model.fault(self.now, model::Fault::Restarted);
            }
        }
        Ok(())
    }

    /// A call's telephones acted: what they sent goes over the wire, and they say when they act again.
    fn said(&mut self, number: u32) {
        if let Some(at) = self.due_of.remove(&number) {
            self.due.remove(&(at, number));
        }
        if let Some(at) = self.calls.get(&number).and_then(Call::deadline) {
            self.due.insert((at, number));
            self.due_of.insert(number, at);
        }
        for datagram in std::mem::take(&mut self.out) {
            let datagram = self.shield.seals(datagram);
            self.send(datagram, Way::In);
        }
    }

    fn send(&mut self, datagram: Datagram, way: Way) {
        let copies = self.wire.carry(datagram, way, self.now);
        self.report.faults += u64::from(copies.is_fault);
        for (at, datagram) in copies.arrive {
            let event = match way {
                Way::In => Event::ToBox(datagram),
                Way::Out => Event::ToWorld(datagram),
            };
            self.happens(at, event);
        }
    }

    fn run_box(&mut self) -> Result<(), Broken> {
        let Some(node) = &mut self.node else { return Ok(()) };
        node.wake(self.now, &mut self.disk, &mut self.rows);
        self.heard()?;
        if self.disk.is_dead()
            && let Some((power, down)) = self.amid.take()
        {
            self.ladder.note(self.now, "it dies at its disk".into());
            self.report.deaths += 1;
            self.die(power, down);
        }
        Ok(())
    }

    /// The process is gone from one moment to the next, and up again after some time.
    fn die(&mut self, power: bool, down: Duration) {
        if self.node.take().is_none() {
            return;
        }
        self.amid = None;
        let told = if power {
            self.disk.lose_power(&mut self.chance);
            model::Fault::PowerLost
        } else {
            self.disk.kill();
            model::Fault::Killed
        };
        self.model.fault(self.now, told);
        self.happens(self.now + down, Event::Up);
    }

    /// What the box did is shown to the model, and goes out.
    fn heard(&mut self) -> Result<(), Broken> {
        let Some(node) = &mut self.node else { return Ok(()) };
        if std::mem::take(&mut node.is_full) {
            // What was in a chunk is up to half a second old.
            let from = Moment::START + self.now.since(Moment::from_millis(1000));
            self.model.fault(self.now, model::Fault::LaneFull { from });
        }
        let (out, wrong) = (std::mem::take(&mut node.out), node.broken.take());
        for (recording, at, number) in node.granted.drain(..) {
            self.granted.insert(recording, at);
            self.ladder.note_of(self.now, number, "recording begins".into());
            self.numbers.extend(number.map(|number| (recording, number)));
        }
        for (recording, what) in node.ended.drain(..) {
            self.ladder.note_of(self.now, self.numbers.get(&recording).copied(), format!("recording {what}"));
        }
        let done = std::mem::take(&mut node.done);
        for (number, done) in done {
            self.ladder.note(self.now, format!("call {number}: {done:?}"));
            match done {
                Done::Paused { ends } => {
                    self.pauses.insert(number, ends);
                    self.happens(ends, Event::PauseEnds(number));
                    self.model.fault(self.now, model::Fault::Paused(number));
                }
                Done::Asks => {}
                Done::Resumed => {
                    self.pauses.remove(&number);
                    self.model.fault(self.now, model::Fault::Resumed(number));
                }
                Done::Withdrawn | Done::Shreds => self.model.fault(self.now, model::Fault::Withdrawn(number)),
            }
        }
        for datagram in out {
            self.report.datagrams += 1;
            let datagram = self.shield.opens(datagram, self.now).map_err(|(invariant, what)| broken(invariant, what))?;
            self.ladder.crossed(self.now, Way::Out, &datagram);
            self.model.see(self.now, Way::Out, &datagram)?;
            self.send(datagram, Way::Out);
        }
        if let Some((name, what)) = wrong {
            return Err(broken(name, what));
        }
        if let Some(what) = self.disk.broken() {
            return Err(broken("disk", what));
        }
        self.read_log()
    }

    /// No number of anybody, no Call-ID and no address stands in what was logged.
    fn read_log(&self) -> Result<(), Broken> {
        LOG.with_borrow_mut(|log| {
            let text = String::from_utf8_lossy(log);
            let private = ["+4930", "@world", "192.0.2.", "198.51.100.", "sip:"];
            let found = private.iter().find(|word| text.contains(**word)).map(|word| {
                let line = text.lines().find(|line| line.contains(*word)).unwrap_or_default();
                broken("private-in-the-log", format!("`{word}` in: {line}"))
            });
            log.clear();
            found.map_or(Ok(()), Err)
        })
    }

    fn fault(&mut self, fault: &Fault) -> Result<(), Broken> {
        self.report.faults += 1;
        self.ladder.note(self.now, fault.to_string());
        match fault {
            Fault::Kill { down } => self.die(false, *down),
            Fault::LosePower { down } => self.die(true, *down),
            Fault::Amid { deeds, power, down } => {
                if self.node.is_some() {
                    self.amid = Some((*power, *down));
                    self.disk.light(*deeds);
                }
            }
            Fault::Stop { down } => {
                if self.node.is_none() {
                    return Ok(());
                }
                self.stop()?;
                self.happens(self.now + *down, Event::Up);
            }
            Fault::Disk(trouble) => {
                self.disk.trouble(*trouble);
                if let Some(told) = trouble.told().filter(|_| !self.disk.is_spared(*trouble)) {
                    self.model.fault(self.now, told);
                }
            }
            Fault::Jump(micros) => {
                if let Some(node) = &mut self.node {
                    node.jump(*micros, self.now);
                }
            }
            Fault::Cut { leg, lasts } => self.wire.cut(*leg, self.now + *lasts),
            Fault::Operator(number, deed) => {
                if let Some(node) = &mut self.node {
                    node.operate(*number, *deed, self.now);
                }
            }
            Fault::Erase => {
                self.disk.erase_one(&mut self.chance);
            }
        }
        Ok(())
    }

    fn stop(&mut self) -> Result<(), Broken> {
        self.halt()?;
        self.node = None;
        Ok(())
    }

    /// Stops the box in order; what it still holds can be looked at.
    fn halt(&mut self) -> Result<(), Broken> {
        self.amid = None;
        self.disk.spare();
        if let Some(node) = &mut self.node {
            self.model.fault(self.now, model::Fault::Stopped);
            node.stop(self.now, &mut self.disk, &mut self.rows);
        }
        self.heard()?;
        self.disk.kill();
        Ok(())
    }

    /// All has come to rest: nothing may be left over but calls that nobody ended; then the box stops, and all is judged.
    fn rest(&mut self) -> Result<(), Broken> {
        if let Some(node) = &self.node {
            let (box_has, model_has) = (node.live(), self.model.live_at_most(self.now));
            if box_has > model_has {
                return Err(broken(
                    "not-ended",
                    format!("{box_has} calls are up in the box, of which {model_has} were never ended"),
                ));
            }
        }
        self.halt()?;
        let left = self.node.as_ref().map(Node::left_over).unwrap_or_default();
        if !left.is_empty() {
            return Err(broken("left-over", left.join(", ")));
        }
        if let Some(node) = self.node.take() {
            let held = node.dismantle(&weighed);
            self.report.heap_bytes = held.iter().map(|&(_, bytes)| bytes).sum();
            let (nothing, none) = (&mut Disk::new(Chance::new(1)), &mut Rows::default());
            let new = Node::start(Chance::new(1), self.plan, nothing, none, self.now);
            let new = new.dismantle(&weighed).iter().map(|&(_, bytes)| bytes).sum::<u64>();
            let most = new + HEAP_AT_REST + HEAP_AFTER_A_CALL * self.report.calls;
            if self.report.heap_bytes > most {
                return Err(broken("heap-at-rest", format!("the box at rest holds {held:?} bytes, of at most {most}")));
            }
        }
        let files = archive::read(&self.disk, &self.granted);
        self.rows.account(files.keys().copied()).map_err(|what| broken("chain", what))?;
        self.report.recordings = files.len() as u64;
        self.report.packets = files.values().map(|file| file.packets.len() as u64).sum();
        let rows = self.rows.all().filter_map(|entry| archive::row(entry, &files)).collect();
        self.model.judge(self.now, &Archive { files: files.into_values().collect(), rows })
    }
}

fn broken(invariant: &'static str, what: String) -> Broken {
    Broken { invariant, call: None, what }
}

/// The call that a SIP message belongs to, by its Call-ID.
fn call_of(bytes: &[u8]) -> Option<u32> {
    const NAME: &[u8] = b"\r\nCall-ID: ";
    let at = memchr::memmem::find(bytes, NAME)? + NAME.len();
    let end = bytes.get(at..)?.iter().position(|&byte| byte == b'\r')?;
    number(std::str::from_utf8(bytes.get(at..at + end)?).ok()?)
}
