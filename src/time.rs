//! The two clocks: `Moment` orders everything that happens, `Wall` says when it was for people and courts.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

/// A point on the process's monotonic clock, in microseconds since the process began.
///
/// It is made by the shell alone and handed to every core as `now`; a simulation makes its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(u64);

impl Moment {
    /// The start of the process.
    pub const START: Self = Self(0);

    /// Returns the moment `micros` microseconds after the start.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Returns the moment `millis` milliseconds after the start.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1000))
    }

    /// Returns the microseconds since the start.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Returns how long ago `earlier` was, or zero where it lies ahead.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// A point in UTC, in microseconds since 1970-01-01T00:00:00Z; for evidence and for people, never for order or timers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Wall(i64);

impl Wall {
    /// Returns the point `micros` microseconds after the Unix epoch.
    #[must_use]
    pub const fn from_unix_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Returns the microseconds since the Unix epoch.
    #[must_use]
    pub const fn unix_micros(self) -> i64 {
        self.0
    }

    /// Returns the midnight, in UTC, with which a day begins; nothing where there is no such day.
    #[must_use]
    pub fn midnight(year: u16, month: u8, day: u8) -> Option<Self> {
        let date = (i64::from(year), i64::from(month), i64::from(day));
        let number = days(date.0, date.1, date.2);
        (civil(number) == date).then_some(Self(number * 86_400 * 1_000_000))
    }
}

/// From when, and until when: the first point is in it, the last one is not. What is not said is not bounded.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Period {
    /// The first point that is in it.
    pub from: Option<Wall>,
    /// The first point after it.
    pub until: Option<Wall>,
}

impl Period {
    /// Always.
    pub const ALWAYS: Self = Self { from: None, until: None };

    /// Returns whether the point is in it.
    #[must_use]
    pub fn covers(&self, at: Wall) -> bool {
        self.from.is_none_or(|from| from <= at) && self.until.is_none_or(|until| at < until)
    }

    /// Returns whether some point is in both.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        let begins_before = |one: &Self, end: &Self| one.from.zip(end.until).is_none_or(|(from, until)| from < until);
        begins_before(self, other) && begins_before(other, self)
    }
}

impl Add<Duration> for Wall {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }
}

/// RFC 3339 in UTC with milliseconds, as `2026-11-24T09:30:00.250Z`.
impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.div_euclid(1_000_000);
        let millis = self.0.rem_euclid(1_000_000) / 1000;
        let (year, month, day) = civil(seconds.div_euclid(86_400));
        let of_day = seconds.rem_euclid(86_400);
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

/// Reads what `Display` writes: RFC 3339 in UTC with milliseconds.
impl std::str::FromStr for Wall {
    type Err = NotAWall;

    fn from_str(text: &str) -> Result<Self, NotAWall> {
        let shape = b"dddd-dd-ddTdd:dd:dd.dddZ";
        let fits = |(byte, shape): (u8, u8)| if shape == b'd' { byte.is_ascii_digit() } else { byte == shape };
        if text.len() != shape.len() || !text.bytes().zip(*shape).all(fits) {
            return Err(NotAWall);
        }
        let number = |from: usize, to: usize| text.get(from..to).and_then(|digits| digits.parse::<i64>().ok()).ok_or(NotAWall);
        let days = days(number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let seconds = days * 86_400 + number(11, 13)? * 3600 + number(14, 16)? * 60 + number(17, 19)?;
        let wall = Self(seconds * 1_000_000 + number(20, 23)? * 1000);
        // No 30 February, no 25 o'clock.
        if wall.to_string() == text { Ok(wall) } else { Err(NotAWall) }
    }
}

/// It is no time of day as [`Wall`] is printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotAWall;

impl fmt::Display for NotAWall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is no time in UTC as 2026-11-24T09:30:00.250Z")
    }
}

impl std::error::Error for NotAWall {}

impl fmt::Debug for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Year, month and day of a day number counted from 1970-01-01, by the proleptic Gregorian calendar.
///
/// Counts in eras of 400 years (146,097 days) that begin on 1 March, so that the leap day is the last of its year.
const fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468; // days from 0000-03-01 to 1970-01-01
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

/// The day number of a date: the other way round.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let from_march = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * from_march + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_time_is_printed_as_rfc_3339_in_utc() {
        assert_eq!(Wall::from_unix_micros(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Wall::from_unix_micros(951_782_400_000_000).to_string(), "2000-02-29T00:00:00.000Z");
        assert_eq!(Wall::from_unix_micros(1_795_512_600_250_000).to_string(), "2026-11-24T09:30:00.250Z");
        assert_eq!(Wall::from_unix_micros(-1).to_string(), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn a_wall_time_that_was_printed_is_read_again_and_nothing_else_is() {
        for micros in [0, 951_782_400_000_000, 1_795_512_600_250_000, -1_000, 4_102_444_799_999_000] {
            assert_eq!(Wall::from_unix_micros(micros).to_string().parse(), Ok(Wall::from_unix_micros(micros)));
        }
        let wrong =
            ["", "2026-11-24T09:30:00Z", "2026-02-30T09:30:00.250Z", "2026-11-24T25:30:00.250Z", "2026-13-24T09:30:00.250Z"];
        for text in wrong {
            assert_eq!(text.parse::<Wall>(), Err(NotAWall), "{text}");
        }
    }

    #[test]
    fn a_period_has_its_first_point_and_not_its_last() {
        let day = |day| Wall::midnight(2026, 11, day);
        let period = |from, until| Period { from, until };
        let one = period(day(2), day(5));

        assert_eq!([1, 2, 4, 5].map(|at| one.covers(day(at).expect("a day"))), [false, true, true, false]);
        assert!(Period::ALWAYS.covers(Wall::from_unix_micros(i64::MIN)) && Period::ALWAYS.meets(&one));
        assert!(one.meets(&period(day(4), None)) && one.meets(&period(None, day(3))) && one.meets(&one));
        assert!(!one.meets(&period(day(5), None)) && !one.meets(&period(None, day(2))));
    }

    #[test]
    fn a_day_that_is_none_has_no_midnight() {
        assert_eq!(Wall::midnight(2026, 11, 24).map(|wall| wall.to_string()), Some("2026-11-24T00:00:00.000Z".into()));
        assert_eq!(Wall::midnight(2024, 2, 29).map(|wall| wall.to_string()), Some("2024-02-29T00:00:00.000Z".into()));
        for (year, month, day) in [(2026, 2, 29), (2026, 13, 1), (2026, 0, 1), (2026, 4, 31), (2026, 1, 0)] {
            assert_eq!(Wall::midnight(year, month, day), None);
        }
    }

    #[test]
    fn a_moment_ahead_is_no_time_ago() {
        let now = Moment::from_millis(5);

        assert_eq!(now.since(now + Duration::from_millis(1)), Duration::ZERO);
        assert_eq!((now + Duration::from_millis(1)).since(now), Duration::from_millis(1));
    }
}
