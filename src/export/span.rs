//! A span of a recording's time.

use std::fmt;
use std::time::Duration;

/// From one moment on, and before another, both since the recording's beginning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// From when on.
    pub from: Duration,
    /// Before when.
    pub to: Duration,
}

impl Span {
    /// How much of a recording must be read after a span, so that sound of it that came late is at its place: as much as is kept open for such
    /// sound where a whole recording is decoded.
    pub const AFTER: Duration = Duration::from_secs(12);

    /// Returns how long it is.
    #[must_use]
    pub const fn length(self) -> Duration {
        self.to.saturating_sub(self.from)
    }

    /// Returns whether a moment lies in it.
    #[must_use]
    pub fn has(self, at: Duration) -> bool {
        (self.from..self.to).contains(&at)
    }

    /// Returns whether a part of what lasts from the one to the other lies in it.
    #[must_use]
    pub fn touches(self, from: Duration, to: Duration) -> bool {
        from < self.to && (to > self.from || from >= self.from)
    }
}

/// `1:30:00 to 1:31:00.5`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", Offset(self.from), Offset(self.to))
    }
}

/// A moment of a recording as people write it: hours, minutes, seconds, and as many places behind the point as it has, up to microseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Offset(pub Duration);

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, micros) = (self.0.as_secs(), self.0.subsec_micros());
        write!(f, "{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)?;
        if micros > 0 {
            write!(f, ".{}", format!("{micros:06}").trim_end_matches('0'))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::timeline::KEEP;

    #[test]
    fn a_span_is_written_as_people_write_it() {
        let span = |from, to| Span { from: Duration::from_micros(from), to: Duration::from_micros(to) }.to_string();

        assert_eq!(span(0, 60_000_000), "0:00:00 to 0:01:00");
        assert_eq!(span(5_400_000_000, 5_460_500_000), "1:30:00 to 1:31:00.5");
        assert_eq!(span(1, 360_000_000_000), "0:00:00.000001 to 100:00:00");
    }

    #[test]
    fn as_much_is_read_behind_a_span_as_is_kept_open_for_late_sound() {
        assert_eq!(i64::try_from(Span::AFTER.as_millis()), Ok(KEEP / 8));
    }
}
