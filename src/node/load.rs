//! How busy the machine is, measured once a second: what tells the table to refuse new calls.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::call::{Backlog, Load, Pairs};
use crate::media::PortCounts;
use crate::node::metrics::Metrics;
use crate::time::Moment;

/// What was measured so far.
#[derive(Debug)]
pub(super) struct Watch {
    cores: u32,
    at: Moment,
    /// The processor's time that the process and this thread had until then.
    had: [Duration; 2],
    /// Chunks and rows that were written until then.
    written: [u64; 2],
    /// Since when there has always been something to read.
    behind_since: Option<Moment>,
    /// The longest within this second.
    lag: Duration,
}

impl Watch {
    /// Begins to watch. To be called on the thread of signalling, as is all else.
    pub(super) fn new(now: Moment) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        Self {
            cores: u32::try_from(cores).unwrap_or(u32::MAX),
            at: now,
            had: times(),
            written: [0; 2],
            behind_since: None,
            lag: Duration::ZERO,
        }
    }

    /// Takes note of whether a round of reading left something to read. How long that has been so without a break is the longest that a
    /// message may have waited: nobody says when it came.
    pub(super) fn read_a_round(&mut self, is_behind: bool, now: Moment) {
        if is_behind {
            let since = *self.behind_since.get_or_insert(now);
            self.lag = self.lag.max(now.since(since));
        } else {
            self.behind_since = None;
        }
    }

    /// Takes note of a timer that was due then.
    pub(super) fn timer_was_due(&mut self, due: Moment, now: Moment) {
        self.lag = self.lag.max(now.since(due));
    }

    /// Returns the load since this was asked last.
    pub(super) fn load(&mut self, metrics: &Metrics, ports: [PortCounts; 2], now: Moment) -> Load {
        let passed = now.since(std::mem::replace(&mut self.at, now));
        let has = times();
        let [process, thread] = std::mem::replace(&mut self.had, has);
        let [process_has, thread_has] = has;
        let written = [metrics.chunks_sealed.get(), metrics.ledger_rows.get()];
        let [chunks, rows] = std::mem::replace(&mut self.written, written);
        let [chunks_now, rows_now] = written;
        let backlog = |waiting: i64, is_moving| Backlog { waiting: usize::try_from(waiting).unwrap_or(0), is_moving };
        Load {
            lag: std::mem::take(&mut self.lag),
            cpu_percent: percent(process_has.saturating_sub(process), passed.saturating_mul(self.cores)),
            signalling_cpu_percent: percent(thread_has.saturating_sub(thread), passed),
            ports: ports.map(|PortCounts { free, taken, resting }| Pairs { free, all: free + taken + resting }),
            disk: backlog(metrics.disk_queue.get(), chunks_now != chunks),
            ledger: backlog(metrics.ledger_queue.get(), rows_now != rows),
            vault_is_shut: metrics.vault_shut.get() != 0,
        }
    }
}

/// The processor's time that the process and this thread have had.
fn times() -> [Duration; 2] {
    [ClockId::ProcessCPUTime, ClockId::ThreadCPUTime].map(|clock| {
        let time = clock_gettime(clock);
        Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
    })
}

fn percent(part: Duration, whole: Duration) -> u32 {
    let percent = part.as_micros().saturating_mul(100).checked_div(whole.as_micros()).unwrap_or(0);
    u32::try_from(percent).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORTS: PortCounts = PortCounts { free: 5, taken: 3, resting: 2 };

    #[test]
    fn what_is_always_there_to_read_has_waited_since_it_began() {
        let at = Moment::from_millis;
        let metrics = Metrics::new();
        let mut watch = Watch::new(at(0));

        watch.read_a_round(true, at(100));
        watch.read_a_round(true, at(350));
        assert_eq!(watch.load(&metrics, [PORTS; 2], at(1000)).lag, Duration::from_millis(250));
        watch.read_a_round(true, at(1100));
        watch.read_a_round(false, at(1200));
        watch.read_a_round(true, at(1300));
        assert_eq!(watch.load(&metrics, [PORTS; 2], at(2000)).lag, Duration::from_secs(1));
        watch.timer_was_due(at(2100), at(2140));
        assert_eq!(watch.load(&metrics, [PORTS; 2], at(3000)).lag, Duration::from_millis(40));
    }

    #[test]
    fn a_queue_moves_where_something_was_written() {
        let metrics = Metrics::new();
        let mut watch = Watch::new(Moment::START);
        metrics.disk_queue.set(7);
        metrics.ledger_queue.set(8);
        metrics.ledger_rows.inc();

        let load = watch.load(&metrics, [PORTS; 2], Moment::from_millis(1000));

        assert_eq!(load.disk, Backlog { waiting: 7, is_moving: false });
        assert_eq!(load.ledger, Backlog { waiting: 8, is_moving: true });
        assert_eq!(load.ports, [Pairs { free: 5, all: 10 }; 2]);
    }

    #[test]
    fn a_thread_that_computes_has_its_core() {
        let before = times();
        let mut sum = 0_u64;
        while times()[1] - before[1] < Duration::from_millis(20) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        let after = times();

        assert!(after[0] - before[0] >= Duration::from_millis(20), "the process has what its threads have");
        assert_eq!(percent(Duration::from_millis(450), Duration::from_millis(500)), 90);
        assert_eq!(percent(Duration::from_millis(1), Duration::ZERO), 0);
    }
}
