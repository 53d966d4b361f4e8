//! The drawing itself: SVG that needs nothing but itself, in greys that a black and white printer tells apart.

use std::time::Duration;

use crate::export::Origin;
use crate::export::picture::envelope::{Envelope, Level};
use crate::export::picture::marks::{Consent, Marks, reason};
use crate::export::sound::Exported;
use crate::ids::Leg;
use crate::time::Wall;
use crate::vault::Gap;

/// The picture's width, in its own units: pixels on a screen, and a page in landscape.
const WIDTH: f64 = 1200.0;

/// Where the lanes begin, and how wide they are.
const LEFT: f64 = 86.0;
const LANE: f64 = 1070.0;

/// The most columns of a lane.
const COLUMNS: usize = 1070;

/// Where the upper lane begins, how high a lane is, and how far the next is.
const TOP: f64 = 104.0;
const HEIGHT: f64 = 120.0;
const STEP: f64 = 132.0;

/// How high a line of the list below is.
const LINE: f64 = 20.0;

/// Lines of gaps that are listed; of more it is said how many they are.
const LISTED: usize = 20;

/// Bands of gaps that are drawn, the longest first: as many as a lane has columns.
const DRAWN: usize = COLUMNS;

/// The quietest that fills a lane: a telephone's noise is not drawn as a voice. −30 dBFS.
const QUIETEST: f64 = 1036.0;

/// Draws it.
pub(super) fn draw(origin: &Origin, exported: &Exported, envelope: &Envelope, marks: &Marks) -> String {
    let gaps = listed(&marks.gaps);
    let lines = lines(exported, marks, &gaps);
    let list = TOP + 2.0 * STEP + 52.0;
    let height = list + LINE * (lines.len() as f64 + 1.0);
    let length = exported.duration.as_secs_f64().max(0.001);
    let mut drawing = Drawing { svg: String::new(), from: marks.from(), length };
    drawing.begin(origin, exported, height);
    drawing.axis(marks.began);
    drawing.lanes(envelope);
    drawing.undecoded(exported);
    drawing.gaps(&marks.gaps);
    drawing.flags(marks, &gaps);
    drawing.list(list, &lines, envelope.loudest());
    drawing.svg.push_str("</svg>\n");
    drawing.svg
}

struct Drawing {
    svg: String,
    /// Where the left edge is in the recording.
    from: Duration,
    /// Seconds.
    length: f64,
}

impl Drawing {
    fn begin(&mut self, origin: &Origin, exported: &Exported, height: f64) {
        let Origin { recording, purpose, began, span } = origin;
        let begun =
            if began.unix_micros() == 0 { String::new() } else { format!("begun {} {} UTC · ", day(*began), clock(*began)) };
        let head = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" width=\"{WIDTH}\" height=\"{height:.0}\" viewBox=\"0 0 {WIDTH} \
             {height:.0}\" font-family=\"Helvetica, Arial, sans-serif\" font-size=\"13\" fill=\"#000\">\n\
             <title>Recording {recording}</title>\n\
             <defs><pattern id=\"missing\" width=\"7\" height=\"7\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
             <rect width=\"7\" height=\"7\" fill=\"#fff\"/><rect width=\"2\" height=\"7\" fill=\"#777\"/></pattern></defs>\n\
             <rect width=\"{WIDTH}\" height=\"{height:.0}\" fill=\"#fff\"/>\n"
        );
        self.svg.push_str(&head);
        self.text(LEFT, 34.0, "font-size=\"20\" font-weight=\"bold\"", &format!("Recording {recording}"));
        let part = span.map_or_else(String::new, |span| format!("{span} of it · "));
        let line = format!("{begun}{part}{} long · for `{purpose}`", minutes(exported.duration));
        self.text(LEFT, 58.0, "fill=\"#333\"", &line);
    }

    /// Lines of the time since the beginning, and of the time of day.
    fn axis(&mut self, began: Wall) {
        let (bottom, step) = (TOP + 2.0 * STEP - 12.0, self.step());
        // The first line is the first multiple of their distance.
        let mut at =
            step.saturating_mul(u32::try_from(self.from.as_nanos().div_ceil(step.as_nanos().max(1))).unwrap_or(u32::MAX));
        while at.saturating_sub(self.from).as_secs_f64() <= self.length {
            let x = self.x(at);
            self.put(&format!("<path d=\"M{x:.1} {TOP}V{:.0}\" stroke=\"#ccc\" stroke-width=\"1\"/>", bottom + 6.0));
            let anchor = "text-anchor=\"middle\"";
            self.text(x, bottom + 21.0, anchor, &tick(at, step));
            if began.unix_micros() != 0 {
                let micros = i64::try_from(at.as_micros()).unwrap_or(0);
                let then = clock(Wall::from_unix_micros(began.unix_micros().saturating_add(micros)));
                self.text(x, bottom + 37.0, "text-anchor=\"middle\" font-size=\"11\" fill=\"#555\"", &then);
            }
            at += step;
        }
        self.text(LEFT - 14.0 - 22.0, bottom + 21.0, "text-anchor=\"end\" fill=\"#555\"", "min:s");
        if began.unix_micros() != 0 {
            self.text(LEFT - 14.0 - 22.0, bottom + 37.0, "text-anchor=\"end\" font-size=\"11\" fill=\"#555\"", "UTC");
        }
    }

    fn lanes(&mut self, envelope: &Envelope) {
        let scale = (HEIGHT / 2.0 - 4.0) / f64::from(envelope.loudest()).max(QUIETEST);
        let columns = envelope.columns(COLUMNS);
        for (leg, name, channel) in [(Leg::Pbx, "PBX", "left"), (Leg::Trunk, "trunk", "right")] {
            let middle = top(leg) + HEIGHT / 2.0;
            let levels: Vec<Level> = columns.iter().map(|&[pbx, trunk]| if leg == Leg::Pbx { pbx } else { trunk }).collect();
            self.text(LEFT - 14.0, middle - 2.0, "text-anchor=\"end\" font-size=\"16\" font-weight=\"bold\"", name);
            self.text(LEFT - 14.0, middle + 15.0, "text-anchor=\"end\" font-size=\"11\" fill=\"#555\"", channel);
            let peaks = levels.iter().map(|level| (f64::from(level.most), f64::from(level.least)));
            self.shape(middle, scale, peaks, "#aaa");
            self.shape(middle, scale, levels.iter().map(|level| (level.rms(), -level.rms())), "#222");
            self.put(&format!(
                "<path d=\"M{LEFT} {middle}h{LANE}\" stroke=\"#222\" stroke-width=\"0.7\"/>\n\
                 <rect x=\"{LEFT}\" y=\"{}\" width=\"{LANE}\" height=\"{HEIGHT}\" fill=\"none\" stroke=\"#777\"/>",
                top(leg)
            ));
        }
    }

    /// A lane of which nothing can be drawn says so.
    fn undecoded(&mut self, exported: &Exported) {
        for (leg, own) in [(Leg::Pbx, &exported.pbx), (Leg::Trunk, &exported.trunk)] {
            let names: Vec<&str> = exported.undecoded.iter().filter(|of| of.leg == leg).map(|of| of.name.as_str()).collect();
            if own.sounding.is_zero() && !names.is_empty() {
                let what = format!("{}: not decoded here", names.join(", "));
                self.text(LEFT + LANE / 2.0, top(leg) + HEIGHT / 2.0 - 12.0, "text-anchor=\"middle\" font-size=\"16\"", &what);
            }
        }
    }

    /// A shape from the left to the right along the upper edges of the columns, and back along the lower ones.
    fn shape(
        &mut self,
        middle: f64,
        scale: f64,
        edges: impl DoubleEndedIterator<Item = (f64, f64)> + ExactSizeIterator + Clone,
        fill: &str,
    ) {
        let count = edges.len();
        if count == 0 {
            return;
        }
        let width = LANE / count as f64;
        let x = |column: usize| LEFT + (column as f64 + 0.5) * width;
        let mut path = format!("M{LEFT} {middle:.1}");
        let upper = edges.clone().enumerate().map(|(column, (most, _))| (x(column), middle - most * scale));
        let lower = edges.enumerate().rev().map(|(column, (_, least))| (x(column), middle - least * scale));
        for (x, y) in upper.chain([(LEFT + LANE, middle)]).chain(lower) {
            path.push_str(&format!("L{x:.1} {y:.1}"));
        }
        self.put(&format!("<path d=\"{path}Z\" fill=\"{fill}\"/>"));
    }

    /// What is missing, hatched.
    fn gaps(&mut self, gaps: &[Gap]) {
        let mut drawn: Vec<&Gap> = gaps.iter().collect();
        drawn.sort_by_key(|gap| (std::cmp::Reverse(gap.to.saturating_sub(gap.from)), gap.from));
        for gap in drawn.into_iter().take(DRAWN) {
            let (from, to) = (self.x(gap.from), self.x(gap.to));
            // What is too short to be seen is seen all the same.
            let width = (to - from).max(2.0);
            let from = from.min(LEFT + LANE - width);
            for leg in Leg::BOTH.into_iter().filter(|&leg| gap.leg.is_none_or(|own| own == leg)) {
                self.put(&format!("<rect x=\"{from:.1}\" y=\"{:.0}\" width=\"{width:.1}\" height=\"{HEIGHT}\" fill=\"url(#missing)\" stroke=\"#000\" \
                     stroke-width=\"0.8\"/>",
                    top(leg)));
                let word = reason(gap.reason);
                // 7 units a letter, and some room.
                if width > 7.0 * word.len() as f64 + 20.0 {
                    let (middle, room) = (from + width / 2.0, 7.0 * word.len() as f64 + 12.0);
                    let y = top(leg) + HEIGHT / 2.0;
                    self.put(&format!(
                        "<rect x=\"{:.1}\" y=\"{:.0}\" width=\"{room:.1}\" height=\"20\" fill=\"#fff\"/>",
                        middle - room / 2.0,
                        y - 10.0
                    ));
                    self.text(middle, y + 4.0, "text-anchor=\"middle\"", &word);
                }
            }
        }
    }

    /// The names of the marks over the lanes, with a line for each consent.
    fn flags(&mut self, marks: &Marks, gaps: &[&Gap]) {
        let mut flags: Vec<(f64, String)> = Vec::new();
        for (consent, name) in marks.consents.iter().zip('A'..) {
            if marks.span.is_some_and(|span| !span.has(since(marks.began, consent.at))) {
                continue;
            }
            let x = self.x(since(marks.began, consent.at));
            let [from, to] = match consent.leg {
                Some(leg) => [top(leg), top(leg) + HEIGHT],
                None => [TOP, top(Leg::Trunk) + HEIGHT],
            };
            self.put(&format!(
                "<path d=\"M{x:.1} {TOP}v-8M{x:.1} {from}V{to}\" stroke=\"#000\" stroke-width=\"2.5\" stroke-dasharray=\"6 3\"/>"
            ));
            flags.push((x, name.to_string()));
        }
        flags.extend(gaps.iter().zip(1..).map(|(gap, number)| ((self.x(gap.from) + self.x(gap.to)) / 2.0, number.to_string())));
        flags.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        let mut told: Vec<(f64, String)> = Vec::new();
        for (x, name) in flags {
            match told.last_mut() {
                // Where they would lie over each other they stand behind each other.
                Some((at, names)) if x - *at < 7.0 * names.len() as f64 + 9.0 => {
                    names.push_str(", ");
                    names.push_str(&name);
                }
                _ => told.push((x, name)),
            }
        }
        for (x, names) in told {
            let anchor = if names.contains(',') {
                "text-anchor=\"start\" font-weight=\"bold\""
            } else {
                "text-anchor=\"middle\" font-weight=\"bold\""
            };
            let x = if names.contains(',') { x - 4.0 } else { x };
            self.text(x, TOP - 12.0, anchor, &names);
        }
    }

    /// What the marks mean, and how to read the lanes.
    fn list(&mut self, top: f64, lines: &[(String, String)], loudest: u16) {
        for ((name, line), number) in lines.iter().zip(0_u32..) {
            let y = top + LINE * (f64::from(number) + 1.0) - 6.0;
            self.text(LEFT - 14.0, y, "text-anchor=\"end\" font-weight=\"bold\"", name);
            self.text(LEFT, y, "", line);
        }
        let decibels =
            if loudest == 0 { "silence".into() } else { format!("{:.0} dBFS", 20.0 * (f64::from(loudest) / 32_768.0).log10()) };
        let key = format!("grey: peaks, black: mean loudness, one scale for both sides; loudest: {decibels}");
        self.text(LEFT + LANE, 58.0, "text-anchor=\"end\" font-size=\"11\" fill=\"#555\"", &key);
        self.put(&format!(
            "<rect x=\"{:.0}\" y=\"24\" width=\"22\" height=\"12\" fill=\"url(#missing)\" stroke=\"#000\" stroke-width=\"0.8\"/>",
            LEFT + LANE - 22.0
        ));
        self.text(LEFT + LANE - 28.0, 34.0, "text-anchor=\"end\" font-size=\"11\" fill=\"#555\"", "not recorded, or lost");
    }

    fn put(&mut self, element: &str) {
        self.svg.push_str(element);
        self.svg.push('\n');
    }

    fn text(&mut self, x: f64, y: f64, how: &str, text: &str) {
        let space = if how.is_empty() { "" } else { " " };
        self.put(&format!("<text x=\"{x:.1}\" y=\"{y:.1}\"{space}{how}>{}</text>", escaped(text)));
    }

    fn x(&self, at: Duration) -> f64 {
        LEFT + LANE * (at.saturating_sub(self.from).as_secs_f64() / self.length).min(1.0)
    }

    /// The time between two lines of the axis: at most a dozen of them.
    fn step(&self) -> Duration {
        const STEPS_MS: [u64; 17] = [
            100, 200, 500, 1000, 2000, 5000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 900_000, 1_800_000,
            3_600_000, 7_200_000,
        ];
        let fits = |ms: &u64| self.length * 1000.0 / *ms as f64 <= 12.0;
        // Days: a dozen of whatever it is.
        STEPS_MS.into_iter().find(fits).map_or_else(|| Duration::from_secs_f64(self.length / 12.0), Duration::from_millis)
    }
}

/// The gaps that are listed, in the order of time.
fn listed(gaps: &[Gap]) -> Vec<&Gap> {
    let mut gaps: Vec<&Gap> = gaps.iter().collect();
    gaps.sort_by_key(|gap| gap.from);
    gaps.truncate(LISTED);
    gaps
}

/// The lines of the list: a name, and what it is.
fn lines(exported: &Exported, marks: &Marks, gaps: &[&Gap]) -> Vec<(String, String)> {
    let mut lines: Vec<(String, String)> =
        marks.consents.iter().zip('A'..).map(|(consent, name)| (name.to_string(), of_consent(consent, marks.began))).collect();
    lines.extend(gaps.iter().zip(1..).map(|(gap, number)| (number.to_string(), of_gap(gap))));
    let more = marks.gaps.len() - gaps.len();
    if more > 0 {
        lines.push((String::new(), format!("{} more, not listed", counted(more as u64))));
    }
    for undecoded in &exported.undecoded {
        let (packets, side) = (packets(undecoded.packets), side(undecoded.leg));
        let are = if undecoded.packets == 1 { "is" } else { "are" };
        let line = format!("{packets} of {side} {are} {}, which is not decoded here: nothing is drawn of them", undecoded.name);
        lines.push(("!".into(), line));
    }
    if !marks.has_end && marks.span.is_none() {
        let line = format!("the recording has no end: what came after {} is missing", minutes(exported.duration));
        lines.push(("!".into(), line));
    }
    lines
}

fn of_consent(consent: &Consent, began: Wall) -> String {
    let whose = match consent.leg {
        Some(Leg::Pbx) => "the PBX’s party",
        Some(Leg::Trunk) => "the trunk’s party",
        None => "a party",
    };
    let micros = consent.at.unix_micros().saturating_sub(began.unix_micros());
    let seconds = micros.unsigned_abs() as f64 / 1e6;
    let when = match micros {
        ..-50_000 => format!("{seconds:.1} s before the beginning"),
        50_000.. => format!("at {}", minutes(Duration::from_micros(micros.unsigned_abs()))),
        _ => "at the beginning".into(),
    };
    format!("consent of {whose}{}: {}, {when}", consent.how, clock(consent.at))
}

fn of_gap(gap: &Gap) -> String {
    let (from, to) = (tenths(gap.from), tenths(gap.to));
    let when = if from == to { from } else { format!("{from} – {to}") };
    let whose = match (gap.leg, gap.packets) {
        (None, 0) => "both sides".into(),
        (Some(leg), 0) => side(leg).into(),
        (None, count) => format!("{} of both sides", packets(count)),
        (Some(leg), count) => format!("{} of {}", packets(count), side(leg)),
    };
    format!("{when}: {}, {whose}", reason(gap.reason))
}

const fn side(leg: Leg) -> &'static str {
    match leg {
        Leg::Pbx => "the PBX’s side",
        Leg::Trunk => "the trunk’s side",
    }
}

fn packets(count: u64) -> String {
    if count == 1 { "1 packet".into() } else { format!("{} packets", counted(count)) }
}

/// `1,234`.
fn counted(count: u64) -> String {
    let digits = count.to_string();
    let places = digits.chars().zip((0..digits.len()).rev());
    places.flat_map(|(digit, left)| [Some(digit), (left > 0 && left % 3 == 0).then_some(',')]).flatten().collect()
}

const fn top(leg: Leg) -> f64 {
    match leg {
        Leg::Pbx => TOP,
        Leg::Trunk => TOP + STEP,
    }
}

/// How long after the beginning a time of day was; nothing where it was before.
fn since(began: Wall, at: Wall) -> Duration {
    Duration::from_micros(u64::try_from(at.unix_micros().saturating_sub(began.unix_micros())).unwrap_or(0))
}

/// `75:03`: minutes and seconds, however many.
fn minutes(at: Duration) -> String {
    format!("{}:{:02}", at.as_secs() / 60, at.as_secs() % 60)
}

/// The same, with a tenth where there is one.
fn tenths(at: Duration) -> String {
    match at.subsec_millis() / 100 {
        0 => minutes(at),
        tenth => format!("{}.{tenth}", minutes(at)),
    }
}

/// The same, with tenths where the lines are so close.
fn tick(at: Duration, step: Duration) -> String {
    if step.subsec_millis() == 0 { minutes(at) } else { format!("{}.{}", minutes(at), at.subsec_millis() / 100) }
}

/// `2026-11-24` of `2026-11-24T09:30:00.250Z`.
fn day(wall: Wall) -> String {
    wall.to_string().chars().take(10).collect()
}

/// `09:30:00` of it.
fn clock(wall: Wall) -> String {
    wall.to_string().chars().skip(11).take(8).collect()
}

/// Text that stays text, whoever wrote it.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars().filter(|letter| !letter.is_control()) {
        match letter {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}
