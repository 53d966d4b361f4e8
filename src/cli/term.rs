//! The terminal: where everything that is said goes through, in colour where somebody looks.

use std::fmt;
use std::io::{self, Write};

use crate::control::Trouble;

/// Standard output and standard error.
pub(super) struct Term<'t> {
    pub(super) out: Stream<'t>,
    pub(super) err: Stream<'t>,
    /// Whether somebody sits there who can be asked.
    pub(super) may_ask: bool,
}

/// One of the two.
pub(super) struct Stream<'t> {
    to: &'t mut dyn Write,
    colour: Colour,
}

/// Whether colours are used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Colour {
    /// Somebody looks at it, and wants them.
    Used,
    /// It goes to a file or a program, or `NO_COLOR` is set.
    Plain,
}

impl Colour {
    /// Returns whether a stream that is a terminal, or is none, is coloured: not where `NO_COLOR` or a dumb terminal says otherwise.
    pub(super) fn of(is_terminal: bool) -> Self {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if is_terminal && !is_set("NO_COLOR") && !is_dumb { Self::Used } else { Self::Plain }
    }
}

/// What a text means, and so how it looks.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) enum Style {
    /// Nothing in particular.
    #[default]
    Plain,
    /// Of less weight.
    Quiet,
    /// As it should be.
    Good,
    /// Going on, or to be looked at.
    Care,
    /// Not as it should be.
    Bad,
}

impl Style {
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Quiet => "2",
            Self::Good => "32",
            Self::Care => "33",
            Self::Bad => "1;31",
        }
    }
}

impl<'t> Stream<'t> {
    pub(super) fn new(to: &'t mut dyn Write, colour: Colour) -> Self {
        Self { to, colour }
    }

    /// Returns the writer itself, for those who draw on their own.
    pub(super) fn raw(&mut self) -> &mut dyn Write {
        self.to
    }

    /// Writes a line.
    pub(super) fn line(&mut self, text: impl fmt::Display) -> io::Result<()> {
        writeln!(self.to, "{text}")?;
        self.to.flush()
    }

    /// Writes a text that has its line ends.
    pub(super) fn text(&mut self, text: &str) -> io::Result<()> {
        self.to.write_all(text.as_bytes())?;
        self.to.flush()
    }

    /// Returns the text as it looks in a style on this stream.
    pub(super) fn styled(&self, style: Style, text: &str) -> String {
        styled(self.colour, style, text)
    }

    /// Returns whether colours are used.
    pub(super) const fn colour(&self) -> Colour {
        self.colour
    }
}

/// Returns the text as it looks in a style.
pub(super) fn styled(colour: Colour, style: Style, text: &str) -> String {
    match (colour, style.code()) {
        (Colour::Plain, _) | (_, "") => text.to_owned(),
        (Colour::Used, code) => format!("\x1b[{code}m{text}\x1b[0m"),
    }
}

impl Term<'_> {
    /// Says on standard error what went wrong, and what to do.
    pub(super) fn error(&mut self, trouble: &Trouble) -> io::Result<()> {
        self.say("error", Style::Bad, trouble)
    }

    /// Says on standard error what somebody should look at.
    pub(super) fn warning(&mut self, trouble: &Trouble) -> io::Result<()> {
        self.say("warning", Style::Care, trouble)
    }

    /// Says on standard error what is good to know.
    pub(super) fn note(&mut self, trouble: &Trouble) -> io::Result<()> {
        self.say("note", Style::Quiet, trouble)
    }

    fn say(&mut self, word: &str, style: Style, trouble: &Trouble) -> io::Result<()> {
        let word = self.err.styled(style, &format!("{word}:"));
        let text = lines(&trouble.to_string());
        self.err.line(format_args!("{word} {text}"))
    }
}

/// Returns a text of others without what could play tricks on a terminal: control characters, and those that turn its direction round.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if is_trick(c) { '\u{fffd}' } else { c }).collect()
}

/// The same for a text of several lines.
fn lines(text: &str) -> String {
    text.chars().map(|c| if c != '\n' && is_trick(c) { '\u{fffd}' } else { c }).collect()
}

fn is_trick(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_plays_no_tricks() {
        assert_eq!(plain("a\x1b[2Jb\nc\u{202e}d"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d");
        assert_eq!(plain("+4930 Müller …"), "+4930 Müller …");
    }

    #[test]
    fn trouble_is_two_lines_and_coloured_where_somebody_looks() {
        let trouble = Trouble::new("cannot", "try");
        let said = |colour| {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            Term { out: Stream::new(&mut out, colour), err: Stream::new(&mut err, colour), may_ask: false }
                .error(&trouble)
                .unwrap();
            assert_eq!(out, b"");
            String::from_utf8(err).unwrap()
        };

        assert_eq!(said(Colour::Plain), "error: cannot\n  try\n");
        assert_eq!(said(Colour::Used), "\x1b[1;31merror:\x1b[0m cannot\n  try\n");
    }
}
