//! What a world will try: calls, faults, wires and threads, drawn from a seed before anything happens.
//!
//! A plan is data, so that it can be made smaller: [`Plan::only`] leaves calls and faults out, and what is left does what it did.

use std::fmt;
use std::time::Duration;

use mitschnitt::call::Deed;
use mitschnitt::ids::Leg;

use super::chance::Chance;
use super::disk::Trouble;
use super::model::Rules;
use super::node::Timing;
use super::phones;
use super::wire::Quality;

/// What a world will try.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where all chance comes from that is not in the plan itself.
    pub seed: u64,
    /// The calls, by when they begin.
    pub calls: Vec<Planned>,
    /// What goes wrong, and when.
    pub faults: Vec<(Duration, Fault)>,
    /// How good the wires are.
    pub wire: Quality,
    /// How fast the box's threads are.
    pub timing: Timing,
    /// How long all takes that people do.
    pub pace: Pace,
    /// Whether the telephones of each side speak SRTP.
    pub secured: [bool; 2],
    /// Whether the box has a spare disk.
    pub has_spare: bool,
    /// Where the chance of the wires and threads comes from; of [`Plan::seed`] where there is none.
    pub tape: Option<Chance>,
}

/// How long all takes that people do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pace {
    /// Some seconds of talk.
    Usual,
    /// A fifth of that, for the fuzzer: what a world costs is what it has of packets.
    Brisk,
}

/// A call that will be tried.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Its number.
    pub number: u32,
    /// When it begins.
    pub begins: Duration,
    /// What its parties do; drawn from the seed and the number where nothing is said.
    pub plan: Option<phones::Plan>,
}

/// What goes wrong beside the calls.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The process is killed, and started again after so long.
    Kill {
        /// How long it is down.
        down: Duration,
    },
    /// The power goes.
    LosePower {
        /// How long it is down.
        down: Duration,
    },
    /// The process is killed, or the power goes, in the middle of what the disk is given: so many writes and syncs from then on, in a batch
    /// or between two.
    Amid {
        /// How many are done whole before the one in which it dies.
        deeds: u32,
        /// The power goes.
        power: bool,
        /// How long it is down.
        down: Duration,
    },
    /// The box is stopped in order, and started again.
    Stop {
        /// How long it is down.
        down: Duration,
    },
    /// The disk is in trouble, or works again.
    Disk(Trouble),
    /// The wall clock jumps by so many microseconds.
    Jump(i64),
    /// Nothing passes on one side.
    Cut {
        /// Which.
        leg: Leg,
        /// For how long.
        lasts: Duration,
    },
    /// An operator does something with a call.
    Operator(u32, Deed),
    /// An operator destroys the keys of a recording that lies on the disk.
    Erase,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill { down } => write!(f, "the process is killed, for {down:?}"),
            Self::LosePower { down } => write!(f, "the power goes, for {down:?}"),
            Self::Amid { deeds, power, down } => {
                let how = if *power { "the power goes" } else { "the process is killed" };
                write!(f, "{how} {deeds} deeds of the disk later, for {down:?}")
            }
            Self::Stop { down } => write!(f, "the box is stopped, for {down:?}"),
            Self::Disk(trouble) => write!(f, "the disk: {trouble:?}"),
            Self::Jump(micros) => write!(f, "the wall clock jumps by {micros} µs"),
            Self::Cut { leg, lasts } => write!(f, "the wire to the {leg} is cut for {lasts:?}"),
            Self::Operator(number, deed) => write!(f, "an operator: {deed:?} of call {number}"),
            Self::Erase => f.write_str("an operator erases a recording"),
        }
    }
}

/// The label of the chance by which a box dies in the middle of what the disk is given.
const AMID: u64 = 2000;

/// The label of the chance by which telephones speak SRTP.
const SECURED: u64 = 2001;

/// The label of the chance by which the box has a spare disk.
const SPARE: u64 = 2002;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Wires that only delay.
pub const GOOD: Quality = Quality { delay: ms(2), jitter: ms(0), lost: 0, doubled: 0, cut_short: 0 };

/// Threads as they are on a machine that has enough to do.
pub const BUSY: Timing =
    Timing { signalling: ms(1), lane: Duration::from_micros(500), disk: ms(10), ledger: ms(20), chunks_waiting: 4096 };

impl Plan {
    /// A world with good wires in which nothing goes wrong by itself: for scenarios.
    pub fn quiet(calls: Vec<phones::Plan>) -> Self {
        let calls = (0..)
            .zip(calls)
            .map(|(number, plan)| Planned { number, begins: ms(100 * u64::from(number)), plan: Some(plan) })
            .collect();
        Self {
            seed: 1,
            calls,
            faults: Vec::new(),
            wire: GOOD,
            timing: BUSY,
            pace: Pace::Usual,
            secured: [false; 2],
            has_spare: false,
            tape: None,
        }
    }

    /// Draws a world of so many calls.
    pub fn drawn(seed: u64, calls: u32) -> Self {
        let mut plan = Self::drawn_between_deeds(seed, calls);
        let mut chance = Chance::new(seed).split(AMID);
        let deaths = chance.below(3);
        plan.dies_amid(&mut chance, deaths);
        plan.secured = match Chance::new(seed).split(SECURED).below(8) {
            0 => [true, false],
            1 => [false, true],
            2 => [true, true],
            _ => [false, false],
        };
        plan.has_spare = Chance::new(seed).split(SPARE).below(3) == 0;
        plan
    }

    /// Draws it as [`Plan::drawn`], but that nobody dies in the middle of what the disk is given.
    pub fn drawn_between_deeds(seed: u64, calls: u32) -> Self {
        let mut plan = Self::of(&mut Chance::new(seed), calls, Pace::Usual);
        plan.seed = seed;
        plan
    }

    /// Reads a small world from bytes: every decision in it is one of them, as long as there are any.
    pub fn read(bytes: &[u8]) -> Self {
        let mut tape = Chance::tape(bytes);
        let first = tape.below(256);
        let (calls, pace) = match first % 16 {
            0 => (1, Pace::Usual),
            1 => (2, Pace::Brisk),
            _ => (1, Pace::Brisk),
        };
        let mut plan = Self::of(&mut tape, calls, pace);
        if (1..4).contains(&(first / 16)) {
            plan.dies_amid(&mut tape, 1);
        }
        for planned in &mut plan.calls {
            planned.plan = Some(phones::Plan::drawn(&mut tape).at(pace));
        }
        plan.tape = Some(tape);
        plan
    }

    fn of(chance: &mut Chance, calls: u32, pace: Pace) -> Self {
        let wire = match chance.below(10) {
            0..4 => GOOD,
            4..8 => Quality {
                delay: ms(chance.between(1, 40)),
                jitter: ms(chance.between(0, 15)),
                lost: chance.between(0, 10) as u32,
                doubled: chance.between(0, 5) as u32,
                cut_short: chance.between(0, 2) as u32,
            },
            _ => Quality {
                delay: ms(chance.between(1, 150)),
                jitter: ms(chance.between(0, 60)),
                lost: chance.between(0, 150) as u32,
                doubled: chance.between(0, 80) as u32,
                cut_short: chance.between(0, 20) as u32,
            },
        };
        let timing = match chance.below(4) {
            0..3 => BUSY,
            _ => Timing {
                signalling: ms(chance.between(0, 20)),
                lane: ms(chance.between(0, 8)),
                disk: ms(chance.between(0, 400)),
                ledger: ms(chance.split(5).between(0, 400)),
                chunks_waiting: chance.between(4, 64) as usize,
            },
        };
        let mut begins = ms(10);
        let planned = (0..calls)
            .map(|number| {
                begins += pace.span(ms(chance.below(250)));
                Planned { number, begins, plan: None }
            })
            .collect();
        let until = pace.until(begins);
        let faults = match chance.below(4) {
            0 => 0,
            1 => 1,
            _ => chance.between(1, 6),
        };
        let mut faults: Vec<_> = (0..faults).flat_map(|_| Fault::drawn(chance, calls, until, pace)).collect();
        faults.sort_by_key(|&(at, _)| at);
        Self { seed: 0, calls: planned, faults, wire, timing, pace, secured: [false; 2], has_spare: false, tape: None }
    }

    /// Lets the box die so often in the middle of what the disk is given.
    fn dies_amid(&mut self, chance: &mut Chance, deaths: u64) {
        let until = self.pace.until(self.calls.last().map_or(ms(10), |planned| planned.begins));
        let most = match self.pace {
            Pace::Usual => 60,
            Pace::Brisk => 12,
        };
        for _ in 0..deaths {
            let at = Duration::from_millis(chance.below(until.as_millis() as u64));
            let deeds = chance.below(most) as u32;
            let power = chance.below(3) == 0;
            self.faults.push((at, Fault::Amid { deeds, power, down: self.pace.span(ms(chance.between(10, 3000))) }));
        }
        self.faults.sort_by_key(|&(at, _)| at);
    }

    /// Returns the plan without all other calls and faults (by their places).
    pub fn only(&self, calls: &[u32], faults: &[usize]) -> Self {
        let mut plan = self.clone();
        plan.calls.retain(|planned| calls.contains(&planned.number));
        plan.faults = faults.iter().filter_map(|&at| self.faults.get(at).cloned()).collect();
        plan
    }

    /// What the model is told of the box.
    pub fn rules(&self) -> Rules {
        // Up to the lane, to signalling, and down again, each once more for what was already under way.
        let slack = (self.timing.signalling + self.timing.lane) * 4 + ms(5);
        let mut rules = Rules::world(slack);
        // The disk's thread sees a chunk late, and is 2 ms at the one before it.
        rules.chunk_age += self.timing.disk + ms(2);
        rules.sync_every += self.timing.disk * 2;
        rules.secured = self.secured;
        rules.frames = self.pace.frames();
        for policy in &mut rules.policies {
            policy.window = self.pace.span(policy.window);
        }
        rules
    }

    /// The source of all chance while it is played.
    pub fn chance(&self) -> Chance {
        self.tape.clone().unwrap_or_else(|| Chance::new(self.seed))
    }
}

impl Pace {
    /// Returns how long it lasts at this pace.
    pub fn span(self, usual: Duration) -> Duration {
        match self {
            Self::Usual => usual,
            Self::Brisk => usual / 5,
        }
    }

    /// Until when something goes wrong in a world whose last call begins at this time.
    fn until(self, last: Duration) -> Duration {
        last + self.span(ms(4000))
    }

    /// Frames of the announcement: even a brisk one has a beginning and an end.
    pub const fn frames(self) -> u32 {
        match self {
            Self::Usual => 5,
            Self::Brisk => 2,
        }
    }
}

impl Fault {
    fn drawn(chance: &mut Chance, calls: u32, until: Duration, pace: Pace) -> Vec<(Duration, Self)> {
        let ms = |millis| pace.span(ms(millis));
        let at = Duration::from_millis(chance.below(until.as_millis() as u64));
        let down = ms(chance.between(10, 3000));
        let lasts = ms(chance.between(50, 4000));
        match chance.below(12) {
            0 => vec![(at, Self::Kill { down })],
            1 => vec![(at, Self::LosePower { down })],
            2 => vec![(at, Self::Stop { down })],
            3..6 => vec![(at, Self::Disk(Trouble::drawn(chance, pace))), (at + lasts, Self::Disk(Trouble::Works))],
            6 => vec![(at, Self::Jump(chance.between(0, 7_200_000_000) as i64 - 3_600_000_000))],
            7 => {
                let leg = if chance.below(2) == 0 { Leg::Pbx } else { Leg::Trunk };
                vec![(at, Self::Cut { leg, lasts })]
            }
            8..11 => {
                let call = chance.below(u64::from(calls)) as u32;
                let at = ms(250 * u64::from(call) / 2 + chance.between(200, 4000));
                match chance.below(3) {
                    0 => vec![(at, Self::Operator(call, Deed::Withdraw))],
                    1 => vec![(at, Self::Operator(call, Deed::Pause))],
                    _ => {
                        let back = at + ms(chance.between(10, 1500));
                        vec![(at, Self::Operator(call, Deed::Pause)), (back, Self::Operator(call, Deed::Resume))]
                    }
                }
            }
            _ => vec![(at, Self::Erase)],
        }
    }
}
