//! The hours of a week at which a policy is one for the calls that begin.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;

use crate::time::Wall;

/// Times of the week, as the clocks of a place show them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hours {
    spans: Vec<Span>,
    zone: TimeZone,
}

/// A span of each of some days, as `mon-fri 08:00-18:00`; it may reach into the day after.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// Whether it begins on each day of the week, Monday first.
    days: [bool; 7],
    /// Minutes of the day at which it begins, below 1,440.
    from: u16,
    /// Minutes of the day at which it is over, at most 1,440; not after `from`, it is one of the next day.
    until: u16,
}

/// The days of a week as they are written, Monday first.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Minutes of a day.
const DAY: u16 = 24 * 60;

impl Hours {
    /// Makes them, of these spans and as the clocks of this zone of the IANA's database show them, as `Europe/Berlin`: as the machine has
    /// that database, or else as this program was built with it.
    ///
    /// # Errors
    /// There is no zone of that name.
    pub fn new(spans: Vec<Span>, zone: &str) -> Result<Self, NoSuchZone> {
        let zone = TimeZone::get(zone).map_err(|_| NoSuchZone)?;
        Ok(Self { spans, zone })
    }

    /// Returns whether this moment is in one of the spans.
    #[must_use]
    pub fn contain(&self, at: Wall) -> bool {
        // Beyond the year 9999 there are no weekdays; a clock that shows it is broken.
        let Ok(at) = Timestamp::from_microsecond(at.unix_micros()) else { return false };
        let there = self.zone.to_datetime(at);
        let minutes = |of: i8| u16::try_from(of).unwrap_or_default();
        let minute = minutes(there.hour()) * 60 + minutes(there.minute());
        self.spans.iter().any(|span| span.contains(there.weekday(), minute))
    }
}

/// As it is written.
impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, span) in self.spans.iter().enumerate() {
            let comma = if nth > 0 { ", " } else { "" };
            write!(f, "{comma}{span}")?;
        }
        write!(f, " {}", self.zone.iana_name().unwrap_or("UTC"))
    }
}

/// There is no such zone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoSuchZone;

impl fmt::Display for NoSuchZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no such time zone in the IANA's database")
    }
}

impl std::error::Error for NoSuchZone {}

impl Span {
    /// Reads one: a day or the first and last of some, and the times between which it is, to the minute: `mon-fri 08:00-18:00`,
    /// `sat 09:00-13:00`, `fri 22:00-06:00`, `sun 00:00-24:00`. Nothing where it is none, or has no length.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (days, times) = text.split_once(' ')?;
        let day = |name: &str| DAYS.iter().position(|day| *day == name);
        let (first, last) = match days.split_once('-') {
            Some((first, last)) => (day(first)?, day(last)?),
            None => (day(days)?, day(days)?),
        };
        // From Friday to Monday there are four days.
        let length = (last + 7 - first) % 7;
        let mut on = [false; 7];
        (0..=length).for_each(|nth| on.iter_mut().skip((first + nth) % 7).take(1).for_each(|day| *day = true));
        let (from, until) = times.trim_start().split_once('-')?;
        let (from, until) = (minute_of_day(from)?, minute_of_day(until)?);
        (from != until && from < DAY).then_some(Self { days: on, from, until })
    }

    fn contains(&self, day: Weekday, minute: u16) -> bool {
        let is_on = |day: Weekday| {
            let nth = usize::try_from(day.to_monday_zero_offset()).unwrap_or_default();
            self.days.get(nth).copied().unwrap_or_default()
        };
        if self.from < self.until {
            return is_on(day) && (self.from..self.until).contains(&minute);
        }
        (is_on(day) && minute >= self.from) || (is_on(day.previous()) && minute < self.until)
    }
}

/// Reads `08:00`; nothing beyond `24:00`.
fn minute_of_day(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u16>().ok())?;
    let (hours, minutes) = (number(hours).filter(|_| hours.len() == 2)?, number(minutes).filter(|_| minutes.len() == 2)?);
    (minutes < 60 && hours <= 24).then_some(hours * 60 + minutes).filter(|&of_day| of_day <= DAY)
}

/// As it is written: days that follow each other with the first and last, others one by one.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_on = |nth: usize| self.days.get(nth % 7).copied().unwrap_or_default();
        let first = (0..7).find(|&nth| is_on(nth) && !is_on(nth + 6)).unwrap_or_default();
        let last = first + (1..7).take_while(|more| is_on(first + more)).count();
        let name = |nth: usize| DAYS.get(nth % 7).copied().unwrap_or_default();
        if first == last {
            write!(f, "{} ", name(first))?
        } else {
            write!(f, "{}-{} ", name(first), name(last))?
        }
        let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        write!(f, "{}-{}", time(self.from), time(self.until))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn at(time: &str) -> Wall {
        Wall::from_unix_micros(time.parse::<Timestamp>().unwrap().as_microsecond())
    }

    fn berlin(spans: &[&str]) -> Hours {
        Hours::new(spans.iter().map(|span| Span::parse(span).unwrap()).collect(), "Europe/Berlin").unwrap()
    }

    #[test]
    fn the_clocks_of_the_place_decide_in_summer_as_in_winter() {
        let office = berlin(&["mon-fri 08:00-18:00", "sat 09:00-13:00"]);

        // 1 December 2026 is a Tuesday; at 07:00 UTC it is eight in Berlin. In July it is nine.
        for (time, is_in) in [
            ("2026-12-01T06:59:59Z", false),
            ("2026-12-01T07:00:00Z", true),
            ("2026-12-01T16:59:59Z", true),
            ("2026-12-01T17:00:00Z", false),
            ("2026-07-01T05:59:59Z", false),
            ("2026-07-01T06:00:00Z", true),
            ("2026-07-01T16:00:00Z", false),
            ("2026-12-05T08:30:00Z", true),
            ("2026-12-05T12:00:00Z", false),
            ("2026-12-06T10:00:00Z", false),
        ] {
            assert_eq!(office.contain(at(time)), is_in, "{time}");
        }
    }

    #[test]
    fn a_span_may_reach_into_the_next_day_and_past_the_end_of_the_week() {
        let nights = berlin(&["fri-sun 22:00-06:00"]);

        for (time, is_in) in [
            ("2026-12-04T20:59:00Z", false),
            ("2026-12-04T21:00:00Z", true),
            ("2026-12-05T04:59:00Z", true),
            ("2026-12-05T05:00:00Z", false),
            ("2026-12-07T04:59:00Z", true),
            ("2026-12-07T21:30:00Z", false),
        ] {
            assert_eq!(nights.contain(at(time)), is_in, "{time}");
        }
    }

    #[test]
    fn a_span_is_written_as_it_is_read() {
        for text in
            ["mon-fri 08:00-18:00", "sat 09:00-13:00", "fri-mon 22:00-06:00", "mon-sun 00:00-24:00", "sun-sat 00:01-23:59"]
        {
            let written = Span::parse(text).unwrap().to_string();
            assert_eq!(Span::parse(&written), Span::parse(text), "{text}: {written}");
        }
        assert_eq!(Span::parse("fri-mon 22:00-06:00").unwrap().to_string(), "fri-mon 22:00-06:00");
        assert_eq!(berlin(&["sat 09:00-13:00", "sun 10:00-12:00"]).to_string(), "sat 09:00-13:00, sun 10:00-12:00 Europe/Berlin");
    }

    #[test]
    fn what_is_no_span_is_none() {
        for text in [
            "",
            "mon",
            "mon 8:00-18:00",
            "mon 08:00",
            "mon 08:00-08:00",
            "mon 24:00-06:00",
            "mon 08:60-09:00",
            "mon 08:00-24:01",
            "Mon 08:00-18:00",
            "mon-fry 08:00-18:00",
            "08:00-18:00",
            "mon 08:00-18:00 tue",
            "mon +8:00-18:00",
            "mon-08:00-18:00",
        ] {
            assert_eq!(Span::parse(text), None, "{text}");
        }
        assert_eq!(Hours::new(Vec::new(), "Europe/Atlantis"), Err(NoSuchZone));
    }

    #[test]
    fn a_clock_beyond_all_years_is_in_no_span() {
        let always = berlin(&["mon-sun 00:00-24:00"]);

        assert!(always.contain(Wall::from_unix_micros(0)));
        for broken in [i64::MAX, i64::MIN] {
            assert!(!always.contain(Wall::from_unix_micros(broken)));
        }
    }
}
