//! Whose calls are meant, and from when to when: a number as somebody types it, which is told nowhere again.

use std::io;

use clap::Args;

use crate::catalogue::{About, Country, Entry, Note, NoteKind, Number, Store};
use crate::cli::exit::{Exit, Stop};
use crate::cli::who;
use crate::cli::words::{sentence, time};
use crate::control::Trouble;
use crate::private::Private;
use crate::time::Wall;

/// From when to when calls began.
#[derive(Args, Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Span {
    /// Only calls that began then or later, in UTC: 2026-11-24, or 2026-11-24T09:30:00
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(super) from: Option<Wall>,
    /// Only calls that began before then
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(super) to: Option<Wall>,
}

impl Span {
    /// Returns whether it is all there is.
    pub(super) const fn is_all(self) -> bool {
        self.from.is_none() && self.to.is_none()
    }
}

/// Whose calls are wanted, where that is no must.
#[derive(Args, Clone, Debug)]
pub(super) struct Wanted {
    /// Only calls that this number took part in, as for `subject find`; `-` reads it from standard input
    #[arg(long, value_name = "NUMBER", requires = "purpose")]
    party: Option<String>,
    /// The country in which a number that begins with a single 0 is: 49
    #[arg(long, value_name = "CODE", requires = "party")]
    country: Option<String>,
    /// What the party is looked for, for the chain
    #[arg(long, value_name = "TEXT", value_parser = sentence, requires = "party")]
    purpose: Option<String>,
}

impl Wanted {
    /// Returns whether a party is asked for.
    pub(super) const fn is_asked(&self) -> bool {
        self.party.is_some()
    }

    /// Returns what is asked for, where a party is.
    pub(super) fn asked(self) -> Result<Option<Asked>, Stop> {
        let Self { party, country, purpose } = self;
        Ok(party.map(|number| Asked { number: Private::new(number), country, purpose: purpose.unwrap_or_default() }))
    }
}

/// Whose calls are wanted, and what for.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) number: Private<String>,
    pub(super) country: Option<String>,
    pub(super) purpose: String,
}

impl Asked {
    /// Reads the number; from standard input, where other users do not see it in the list of processes.
    pub(super) fn number(&self) -> Result<Number, Stop> {
        read(&self.number, self.country.as_deref())
    }

    /// Notes that somebody looked for a person, before anything of it is told.
    pub(super) fn log(&self, store: &mut dyn Store, number: &Number, found: &[Entry]) -> Result<(), Stop> {
        let note = sought(NoteKind::Sought, number, &self.purpose, found);
        note_down(store, &note).map(drop)
    }
}

/// Reads a number that somebody typed, `-` for standard input.
pub(super) fn read(typed: &Private<String>, country: Option<&str>) -> Result<Number, Stop> {
    let country = country.map(Country::read).transpose().map_err(|_| {
        let what = "a country is one to three digits, as 49 for Germany";
        Stop::Trouble(Exit::Usage, Trouble::new(what, "it is for numbers that begin with a single 0; leave it out for others"))
    })?;
    let mut line = String::new();
    let text = if typed.reveal() == "-" {
        // What cannot be read is no number.
        let _read = io::stdin().read_line(&mut line).unwrap_or(0);
        line.as_str()
    } else {
        typed.reveal()
    };
    Number::read(text, country).map_err(|_| {
        let what = format!("that is no number, and no name of a party, of at most {} bytes", Number::BYTES);
        Stop::Trouble(Exit::Usage, Trouble::new(what, "write it as +49…, or as it stands in the ledger"))
    })
}

/// The note that somebody asked for what is held on a person. Of one of whom nothing is held nothing is kept.
pub(super) fn sought(kind: NoteKind, number: &Number, purpose: &str, found: &[Entry]) -> Note {
    let recordings = found.iter().filter(|entry| entry.recording.is_some()).count();
    let person = if found.is_empty() { None } else { Some(number.form().clone()) };
    let counts = [found.len(), recordings].map(|count| u64::try_from(count).unwrap_or(u64::MAX));
    note(kind, About::Person(person), Some(purpose.to_owned()), counts)
}

/// A note by whoever runs this.
pub(super) fn note(kind: NoteKind, about: About, reason: Option<String>, counts: [u64; 2]) -> Note {
    Note { number: 0, at: who::now(), who: who::who(), kind, about, reason, counts, is_done: true }
}

/// Writes a note, without which nothing is told or done.
pub(super) fn note_down(store: &mut dyn Store, note: &Note) -> Result<u64, Stop> {
    store.note_down(note).map_err(|error| Stop::cannot(format!("nothing is done that cannot be noted: {error}"), error.remedy()))
}
