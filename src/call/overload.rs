//! Overload: when new calls are refused, so that those that are go on unharmed.
//!
//! ```text
//!             over the high mark, twice in a row
//!   calm ──────────────────────────────────────────▶ over: new calls get 503
//!    ▲                                                │
//!    └────────────── under the low mark ──────────────┘
//! ```
//!
//! The machine's own load is told by the shell once a second; what the table knows itself is looked at with each call.

use std::time::Duration;

use crate::limits;

/// What there is too much of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Watermark {
    /// Calls at once.
    Calls,
    /// Calls that ring, of all peers.
    Ringing,
    /// Calls that ring, of one peer.
    RingingOfPeer,
    /// SIP transactions.
    Transactions,
    /// Signalling is behind with what has come.
    Lag,
    /// The processor's time of the whole process.
    Cpu,
    /// The processor's time of the thread of signalling, which has one core.
    SignallingCpu,
    /// Media ports are nearly used up.
    Ports,
    /// Chunks wait for the disk: only calls that would be recorded are refused.
    Disk,
    /// Rows wait for the ledger.
    Ledger,
}

impl Watermark {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Calls,
        Self::Ringing,
        Self::RingingOfPeer,
        Self::Transactions,
        Self::Lag,
        Self::Cpu,
        Self::SignallingCpu,
        Self::Ports,
        Self::Disk,
        Self::Ledger,
    ];

    /// Returns its name, safe as a metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Ringing => "ringing",
            Self::RingingOfPeer => "ringing-of-peer",
            Self::Transactions => "transactions",
            Self::Lag => "lag",
            Self::Cpu => "cpu",
            Self::SignallingCpu => "signalling-cpu",
            Self::Ports => "ports",
            Self::Disk => "disk",
            Self::Ledger => "ledger",
        }
    }

    fn place(self) -> usize {
        Self::ALL.iter().position(|&known| known == self).unwrap_or_default()
    }
}

/// How busy the machine was within the last second.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Load {
    /// How long a message may have waited for signalling, or how late a timer was: the longest.
    pub lag: Duration,
    /// Percent of all cores that the process had.
    pub cpu_percent: u32,
    /// Percent of one core that the thread of signalling had.
    pub signalling_cpu_percent: u32,
    /// The pairs of ports of each leg ([`Leg::index`](crate::ids::Leg::index)), the table's own stock counted as taken.
    pub ports: [Pairs; 2],
    /// Chunks that wait for the disk.
    pub disk: Backlog,
    /// Rows that wait for the ledger.
    pub ledger: Backlog,
    /// The vault takes no new recordings: its disk has no room but the reserve, or fails.
    pub vault_is_shut: bool,
}

/// Pairs of ports of one leg.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Pairs {
    /// Those that may be taken.
    pub free: usize,
    /// All of them.
    pub all: usize,
}

/// Work that waits.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Backlog {
    /// How much.
    pub waiting: usize,
    /// Whether any was done within the last second. Where none was, it is no load but a fault, and what comes of that is said elsewhere:
    /// calls go on unrecorded, or rows are lost.
    pub is_moving: bool,
}

/// What is too much at the moment, and what came of it.
#[derive(Clone, Copy, Default, Debug)]
pub struct Overload {
    gates: [Gate; Watermark::ALL.len()],
    refused: [u64; Watermark::ALL.len()],
}

impl Overload {
    /// Returns whether this is above its mark, and not yet below the lower one again.
    #[must_use]
    pub fn is_over(&self, watermark: Watermark) -> bool {
        self.gates.get(watermark.place()).is_some_and(|gate| gate.is_over)
    }

    /// Returns how many calls were refused for it.
    #[must_use]
    pub fn refused(&self, watermark: Watermark) -> u64 {
        self.refused.get(watermark.place()).copied().unwrap_or_default()
    }

    /// Takes the machine's load; `stock` are the pairs that the table holds of each leg.
    pub(super) fn told(&mut self, load: &Load, stock: [usize; 2]) {
        use limits::{OVERLOAD_CPU_PERCENT, OVERLOAD_LAG, OVERLOAD_PORTS_PERCENT, OVERLOAD_QUEUE_PERCENT};
        let lag = Level::of(load.lag, OVERLOAD_LAG);
        self.read(Watermark::Lag, lag);
        self.read(Watermark::Cpu, Level::of(load.cpu_percent, OVERLOAD_CPU_PERCENT));
        self.read(Watermark::SignallingCpu, Level::of(load.signalling_cpu_percent, OVERLOAD_CPU_PERCENT));
        let ports = load.ports.iter().zip(stock).map(|(pairs, stock)| {
            let [few, enough] = OVERLOAD_PORTS_PERCENT.map(|percent| pairs.all * percent / 100);
            let left = pairs.free + stock;
            if left < few {
                Level::High
            } else if left < enough {
                Level::Between
            } else {
                Level::Low
            }
        });
        self.read(Watermark::Ports, ports.max().unwrap_or(Level::Low));
        for (watermark, backlog, bound) in
            [(Watermark::Disk, load.disk, limits::CHUNKS_WAITING), (Watermark::Ledger, load.ledger, limits::LEDGER_ROWS_WAITING)]
        {
            let marks = OVERLOAD_QUEUE_PERCENT.map(|percent| bound * percent / 100);
            self.read(watermark, if backlog.is_moving { Level::of(backlog.waiting, marks) } else { Level::Low });
        }
    }

    /// Takes note of how many transactions there are, of so many.
    pub(super) fn transactions(&mut self, count: usize, all: usize) {
        let level = Level::of(count, limits::OVERLOAD_TRANSACTIONS_PERCENT.map(|percent| all * percent / 100));
        // What a count says holds at once.
        self.read(Watermark::Transactions, level);
        self.read(Watermark::Transactions, level);
    }

    /// Returns for what a new call is to be refused that the machine has too much of.
    pub(super) fn refuses(&self, is_recorded: bool) -> Option<Watermark> {
        Watermark::ALL.into_iter().find(|&watermark| self.is_over(watermark) && (is_recorded || watermark != Watermark::Disk))
    }

    /// Counts a call that was refused.
    pub(super) fn count(&mut self, watermark: Watermark) {
        if let Some(count) = self.refused.get_mut(watermark.place()) {
            *count += 1;
        }
    }

    fn read(&mut self, watermark: Watermark, level: Level) {
        if let Some(gate) = self.gates.get_mut(watermark.place()) {
            gate.read(level);
        }
    }
}

/// Where a reading lies between the two marks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Level {
    Low,
    Between,
    High,
}

impl Level {
    /// That of a value which is high from the first mark on, and low below the second.
    fn of<T: PartialOrd>(value: T, [high, low]: [T; 2]) -> Self {
        if value >= high {
            Self::High
        } else if value >= low {
            Self::Between
        } else {
            Self::Low
        }
    }
}

/// What was read of one watermark.
#[derive(Clone, Copy, Default, Debug)]
struct Gate {
    is_over: bool,
    was_high: bool,
}

impl Gate {
    fn read(&mut self, level: Level) {
        self.is_over = match level {
            Level::High => self.is_over || self.was_high,
            Level::Between => self.is_over,
            Level::Low => false,
        };
        self.was_high = level == Level::High;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALM: Load = Load {
        lag: Duration::ZERO,
        cpu_percent: 10,
        signalling_cpu_percent: 10,
        ports: [Pairs { free: 1000, all: 1000 }; 2],
        disk: Backlog { waiting: 0, is_moving: true },
        ledger: Backlog { waiting: 0, is_moving: true },
        vault_is_shut: false,
    };

    /// Whether it is over after each of these readings.
    fn after(watermark: Watermark, readings: &[Load]) -> Vec<bool> {
        let mut overload = Overload::default();
        readings
            .iter()
            .map(|load| {
                overload.told(load, [10, 10]);
                overload.is_over(watermark)
            })
            .collect()
    }

    #[test]
    fn what_is_high_twice_in_a_row_is_over_until_it_is_low() {
        let cpu = |cpu_percent| Load { cpu_percent, ..CALM };

        let readings = [95, 80, 95, 95, 80, 89, 75, 74, 95].map(cpu);

        let expected = [false, false, false, true, true, true, true, false, false];
        assert_eq!(after(Watermark::Cpu, &readings), expected);
    }

    #[test]
    fn each_reading_has_its_watermark_and_no_other() {
        let few = Pairs { free: 39, all: 1000 };
        let cases = [
            (Watermark::Lag, Load { lag: Duration::from_millis(500), ..CALM }),
            (Watermark::Cpu, Load { cpu_percent: 90, ..CALM }),
            (Watermark::SignallingCpu, Load { signalling_cpu_percent: 90, ..CALM }),
            (Watermark::Ports, Load { ports: [CALM.ports[0], few], ..CALM }),
            (Watermark::Disk, Load { disk: Backlog { waiting: limits::CHUNKS_WAITING / 2, is_moving: true }, ..CALM }),
            (Watermark::Ledger, Load { ledger: Backlog { waiting: limits::LEDGER_ROWS_WAITING / 2, is_moving: true }, ..CALM }),
        ];

        for (watermark, load) in cases {
            let mut overload = Overload::default();
            (0..2).for_each(|_| overload.told(&load, [10, 10]));
            let over: Vec<_> = Watermark::ALL.into_iter().filter(|&other| overload.is_over(other)).collect();
            assert_eq!(over, [watermark]);
            assert_eq!(overload.refuses(true), Some(watermark));
            assert_eq!(overload.refuses(false), (watermark != Watermark::Disk).then_some(watermark), "what is not recorded");
            overload.told(&CALM, [10, 10]);
            assert_eq!(overload.refuses(true), None);
        }
    }

    #[test]
    fn a_queue_that_does_not_move_is_a_fault_and_no_load() {
        let stuck = Backlog { waiting: limits::CHUNKS_WAITING, is_moving: false };

        assert_eq!(after(Watermark::Disk, &[Load { disk: stuck, ..CALM }; 3]), [false; 3]);
    }

    #[test]
    fn a_small_range_of_ports_is_used_to_its_end() {
        let mut overload = Overload::default();

        let none = Load { ports: [Pairs { free: 0, all: 16 }; 2], ..CALM };
        (0..3).for_each(|_| overload.told(&none, [0, 0]));

        assert!(!overload.is_over(Watermark::Ports));
    }

    #[test]
    fn transactions_are_counted_at_once() {
        let mut overload = Overload::default();
        let mut over = |count| {
            overload.transactions(count, 100);
            overload.is_over(Watermark::Transactions)
        };

        assert_eq!([over(74), over(75), over(60), over(59)], [false, true, true, false]);
    }
}
