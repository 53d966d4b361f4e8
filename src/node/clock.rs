//! The two clocks of the process, read here and nowhere else.

use std::time::{Instant, SystemTime};

use crate::time::{Moment, Wall};

/// The monotonic clock, counted from when the process began; cheap to copy to every thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    began: Instant,
}

impl Clock {
    /// Starts the clock.
    pub(crate) fn start() -> Self {
        Self { began: Instant::now() }
    }

    /// Reads the monotonic clock: no step of the wall clock changes it.
    pub(crate) fn now(self) -> Moment {
        Moment::from_micros(u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// Reads both clocks together.
    pub(crate) fn both(self) -> (Moment, Wall) {
        (self.now(), wall())
    }

    /// Returns the instant of a moment, for what waits.
    pub(crate) fn instant(self, at: Moment) -> Instant {
        self.began + at.since(Moment::START)
    }
}

/// Reads the wall clock. A clock before 1970 counts backwards, as `Wall` does.
pub(crate) fn wall() -> Wall {
    of(SystemTime::now())
}

/// Returns a time of the system's as ours.
pub(crate) fn of(time: SystemTime) -> Wall {
    let micros = match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |micros| -micros),
    };
    Wall::from_unix_micros(micros)
}
