//! The ladder of a call, drawn line by line while it happens: PBX, mitschnitt and carrier, and what passes between them.

use std::io::{self, Write};
use std::time::Duration;

use super::exchange::Way;

/// One of the two phones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// The PBX, on the left.
    Pbx,
    /// The carrier, on the right.
    Carrier,
}

/// One line of the ladder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Rung {
    /// A message between one phone and the proxy.
    Message {
        /// Whose phone.
        side: Side,
        /// Whether that phone sent or received it.
        way: Way,
        /// The message in a few words.
        text: String,
    },
    /// Sound from the proxy to both phones.
    ToBoth(String),
    /// Sound between the phones, both ways, through the proxy.
    Through(String),
    /// Something that happened within the proxy.
    Note(String),
}

/// Draws rungs, 85 columns wide.
pub struct Ladder<'t> {
    term: &'t mut dyn Write,
    is_coloured: bool,
}

impl<'t> Ladder<'t> {
    /// Draws the heads of the three columns.
    ///
    /// # Errors
    /// When the terminal does not take it.
    pub fn new(term: &'t mut dyn Write, is_coloured: bool) -> io::Result<Self> {
        let between = SPAN - 2;
        writeln!(term, "{:>8}  PBX{:^between$}mitschnitt{:^between$}carrier", "", "", "", between = between - 5)?;
        Ok(Self { term, is_coloured })
    }

    /// Draws one rung, `at` after the beginning.
    ///
    /// # Errors
    /// When the terminal does not take it.
    pub fn draw(&mut self, at: Duration, rung: &Rung) -> io::Result<()> {
        let empty = " ".repeat(SPAN);
        let (left, right) = match rung {
            Rung::Message { side: Side::Pbx, way, text } => (arrow(text, *way == Way::Sent, '-'), empty),
            Rung::Message { side: Side::Carrier, way, text } => (empty, arrow(text, *way == Way::Received, '-')),
            Rung::ToBoth(text) => (arrow(text, false, '='), arrow(text, true, '=')),
            Rung::Through(text) => (both_ways(text), both_ways(text)),
            Rung::Note(text) => {
                let text = format!("* {text}");
                let whole = format!("{text:^width$}", width = SPAN * 2 + 1);
                return self.line(at, &format!("|{whole}|"), GREEN);
            }
        };
        let colour = if matches!(rung, Rung::Message { .. }) { "" } else { CYAN };
        self.line(at, &format!("|{left}|{right}|"), colour)
    }

    /// Writes a line of text beneath the ladder.
    ///
    /// # Errors
    /// When the terminal does not take it.
    pub fn text(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.term, "{text}")?;
        self.term.flush()
    }

    fn line(&mut self, at: Duration, text: &str, colour: &str) -> io::Result<()> {
        let text = text.trim_end();
        if self.is_coloured && !colour.is_empty() {
            writeln!(self.term, "{:>8.3}  {colour}{text}{PLAIN}", at.as_secs_f64())?;
        } else {
            writeln!(self.term, "{:>8.3}  {text}", at.as_secs_f64())?;
        }
        self.term.flush()
    }
}

/// Columns between two of the three uprights.
const SPAN: usize = 36;

const CYAN: &str = "\x1b[36m";
const GREEN: &str = "\x1b[1;32m";
const PLAIN: &str = "\x1b[0m";

/// An arrow over the whole span with its text in it: `---- INVITE (PCMU) ------------->`.
fn arrow(text: &str, is_rightward: bool, shaft: char) -> String {
    let text = fitting(text, SPAN - 7);
    let rest: String = std::iter::repeat_n(shaft, SPAN - 6 - text.chars().count()).collect();
    let start: String = std::iter::repeat_n(shaft, 3).collect();
    if is_rightward { format!("{start} {text} {rest}>") } else { format!("<{rest} {text} {start}") }
}

fn both_ways(text: &str) -> String {
    let text = format!(" {} ", fitting(text, SPAN - 8));
    format!("<{text:=^width$}>", width = SPAN - 2)
}

fn fitting(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns { text.to_owned() } else { text.chars().take(columns - 1).chain(['~']).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_drawn_line_by_line() {
        let mut drawn = Vec::new();
        let mut ladder = Ladder::new(&mut drawn, false).expect("memory takes it");
        let message = |side, way, text: &str| Rung::Message { side, way, text: text.to_owned() };
        for (at, rung) in [
            (4, message(Side::Pbx, Way::Sent, "INVITE (PCMU)")),
            (5, message(Side::Carrier, Way::Received, "INVITE (PCMU)")),
            (6, message(Side::Pbx, Way::Received, "100 Trying")),
            (9, message(Side::Carrier, Way::Sent, "503 A reason phrase that is far too long")),
            (1910, Rung::ToBoth("RTP: announcement 1.9 s".to_owned())),
            (2400, Rung::Note("recording begins".to_owned())),
            (7400, Rung::Through("RTP: they sing for 5.0 s".to_owned())),
        ] {
            ladder.draw(Duration::from_millis(at), &rung).expect("memory takes it");
        }

        let expected = "          PBX                             mitschnitt                             carrier
   0.004  |--- INVITE (PCMU) ----------------->|                                    |
   0.005  |                                    |--- INVITE (PCMU) ----------------->|
   0.006  |<-------------------- 100 Trying ---|                                    |
   0.009  |                                    |<- 503 A reason phrase that is ~ ---|
   1.910  |<======= RTP: announcement 1.9 s ===|=== RTP: announcement 1.9 s =======>|
   2.400  |                           * recording begins                            |
   7.400  |<==== RTP: they sing for 5.0 s ====>|<==== RTP: they sing for 5.0 s ====>|
";
        assert_eq!(String::from_utf8_lossy(&drawn), expected);
    }
}
