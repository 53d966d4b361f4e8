//! What of a recording is wanted: from a moment on, and before another, both counted from its beginning.

use std::fmt;
use std::time::Duration;

use clap::Args;

use crate::cli::exit::{Exit, Stop};
use crate::control::Trouble;
use crate::export::{Offset, Span};

/// What is asked for.
#[derive(Args, Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Asked {
    /// Only what came from here on, counted from the recording's beginning: 1:30:00, 2:05.5, or seconds
    #[arg(long, value_name = "OFFSET", value_parser = offset)]
    pub(super) from: Option<Duration>,
    /// Only what came before here [default: the recording's end]
    #[arg(long, value_name = "OFFSET", value_parser = offset)]
    pub(super) to: Option<Duration>,
}

impl Asked {
    /// Returns whether it is all of a recording.
    pub(super) const fn is_all(self) -> bool {
        self.from.is_none() && self.to.is_none()
    }

    /// Says what is wrong with it, whatever the recording.
    pub(super) fn check(self) -> Result<(), Stop> {
        let Some(to) = self.to else { return Ok(()) };
        let from = self.from.unwrap_or_default();
        let what = match to.cmp(&from) {
            std::cmp::Ordering::Greater => return Ok(()),
            std::cmp::Ordering::Equal => format!("nothing lies between --from and --to, which are both {}", Offset(from)),
            std::cmp::Ordering::Less => format!("--to ({}) lies before --from ({})", Offset(to), Offset(from)),
        };
        Err(Stop::Trouble(Exit::Usage, Trouble::new(what, "both count from the recording's beginning")))
    }

    /// Returns the span of a recording that is so long; what is wanted beyond its end is not there, and is not said to be.
    pub(super) fn of(self, length: Duration) -> Result<Span, Stop> {
        self.check()?;
        let from = self.from.unwrap_or_default();
        if from >= length {
            let what = format!("the recording ends at {}, and --from is {}", Offset(length), Offset(from));
            return Err(Stop::cannot(what, "--from and --to count from the recording's beginning, not by the time of day"));
        }
        Ok(Span { from, to: self.to.map_or(length, |to| to.min(length)) })
    }
}

/// `1:30:00 to 1:31:00`, for the access log.
impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to ", Offset(self.from.unwrap_or_default()))?;
        match self.to {
            Some(to) => Offset(to).fmt(f),
            None => f.write_str("the end"),
        }
    }
}

/// Reads `90`, `90.5`, `1:30` or `1:30:00.25`.
fn offset(text: &str) -> Result<Duration, String> {
    let wrong =
        || "an offset is seconds (90, 90.5), minutes (1:30) or hours (1:30:00) after the recording's beginning".to_owned();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let number = |part: &str| {
        let is_number = !part.is_empty() && part.len() <= 9 && part.bytes().all(|byte| byte.is_ascii_digit());
        if is_number { part.parse::<u64>().map_err(|_| wrong()) } else { Err(wrong()) }
    };
    let parts = whole.split(':').map(number).collect::<Result<Vec<_>, _>>()?;
    let seconds = match parts[..] {
        [seconds] => seconds,
        [minutes, seconds @ 0..60] => minutes * 60 + seconds,
        [hours, minutes @ 0..60, seconds @ 0..60] => hours * 3600 + minutes * 60 + seconds,
        _ => return Err(wrong()),
    };
    if fraction.is_empty() || fraction.len() > 6 {
        return Err(wrong());
    }
    let micros = number(&format!("{fraction:0<6}"))?;
    Ok(Duration::from_secs(seconds) + Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_seconds_or_a_time_with_colons() {
        for (text, millis) in [
            ("0", 0),
            ("90", 90_000),
            ("90.5", 90_500),
            ("1:30", 90_000),
            ("75:03", 4_503_000),
            ("1:30:00", 5_400_000),
            ("1:30:00.025", 5_400_025),
            ("0:00:00.0", 0),
        ] {
            assert_eq!(offset(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for wrong in ["", ":", "1:", "1:60", "1:60:00", "1:2:3:4", "-1", "+1", "1.", ".5", "1.0000000", "1h", "1 ", "9999999999"]
        {
            assert!(offset(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_span_is_said() {
        let asked = |from: u64, to: Option<u64>| Asked { from: Some(Duration::from_secs(from)), to: to.map(Duration::from_secs) };
        let says = |asked: Asked| match asked.of(Duration::from_secs(100)) {
            Ok(span) => span.to_string(),
            Err(Stop::Trouble(_, trouble)) => trouble.what().to_owned(),
            Err(stop) => format!("{stop:?}"),
        };

        assert_eq!(says(asked(10, Some(20))), "0:00:10 to 0:00:20");
        assert_eq!(says(asked(10, None)), "0:00:10 to 0:01:40");
        assert_eq!(says(asked(99, Some(1000))), "0:00:99 to 0:01:40".replace("00:99", "01:39"));
        assert_eq!(says(asked(20, Some(10))), "--to (0:00:10) lies before --from (0:00:20)");
        assert_eq!(says(asked(20, Some(20))), "nothing lies between --from and --to, which are both 0:00:20");
        assert_eq!(says(asked(100, None)), "the recording ends at 0:01:40, and --from is 0:01:40");
        assert_eq!(asked(90, None).to_string(), "0:01:30 to the end");
        assert!(!asked(0, None).is_all() && Asked { from: None, to: None }.is_all());
    }
}
