//! A table of the configuration, read setting by setting: whatever is wrong is noted, and reading goes on.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use toml::value::{Date, Datetime, Offset};

use crate::control::config::similar::similar;
use crate::control::config::{Mistake, Weight};
use crate::time::Wall;

/// What was found wrong so far, and where lines begin.
pub(super) struct Notes {
    line_ends: Vec<usize>,
    /// Whether something could not be read at all, so that what seems to be missing may be there.
    is_partial: bool,
    /// Whether a line looks as if it began who may do what.
    names_access: bool,
    pub(super) mistakes: Vec<Mistake>,
}

impl Notes {
    pub(super) fn new(text: &str, is_partial: bool) -> Self {
        let line_ends = text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n').map(|(at, _)| at).collect();
        let begins = |line: &str, word| line.trim_start_matches(['[', ' ', '\t', '"', '\'']).starts_with(word);
        let names_access = text.lines().any(|line| begins(line, "access") || begins(line, "identity"));
        Self { line_ends, is_partial, names_access, mistakes: Vec::new() }
    }

    /// Returns whether something could not be read at all.
    pub(super) const fn is_partial(&self) -> bool {
        self.is_partial
    }

    /// Returns whether it may be said who may do what, where nothing can be made out of that.
    pub(super) const fn may_name_access(&self) -> bool {
        self.is_partial && self.names_access
    }

    /// Returns how many errors were noted so far.
    pub(super) fn errors(&self) -> usize {
        self.mistakes.iter().filter(|mistake| mistake.weight == Weight::Error).count()
    }

    /// Returns the line, counted from 1, of a place in the text.
    pub(super) fn line(&self, span: &Range<usize>) -> usize {
        self.line_ends.partition_point(|&end| end < span.start) + 1
    }

    pub(super) fn error(&mut self, line: impl Into<Option<usize>>, what: impl Into<String>, remedy: impl Into<String>) {
        self.note(Weight::Error, line.into(), what.into(), remedy.into());
    }

    /// Notes that something is missing, or of another form, unless it may stand where nothing could be read.
    pub(super) fn missing(&mut self, line: impl Into<Option<usize>>, what: impl Into<String>, remedy: impl Into<String>) {
        if !self.is_partial {
            self.error(line, what, remedy);
        }
    }

    pub(super) fn warning(&mut self, line: impl Into<Option<usize>>, what: impl Into<String>, remedy: impl Into<String>) {
        self.note(Weight::Warning, line.into(), what.into(), remedy.into());
    }

    fn note(&mut self, weight: Weight, line: Option<usize>, what: String, remedy: String) {
        self.mistakes.push(Mistake { line, weight, what, remedy });
    }
}

/// A value, and the line it stands on.
#[derive(Clone, Debug)]
pub(super) struct Found<T> {
    pub(super) value: T,
    pub(super) line: usize,
}

/// A table.
#[derive(Clone)]
pub(super) struct Section<'d> {
    /// As the operator finds it: `[media]`, or `policy 2`, or ``policy `sales` ``.
    pub(super) name: String,
    pub(super) line: Option<usize>,
    table: &'d DeTable<'d>,
}

impl<'d> Section<'d> {
    /// The whole document.
    pub(super) fn document(table: &'d DeTable<'d>) -> Self {
        Self { name: "the configuration".into(), line: None, table }
    }

    /// Notes every setting that is none of the known ones.
    pub(super) fn knows(&self, known: &[&str], notes: &mut Notes) {
        for key in self.table.keys() {
            let name = key.get_ref().as_ref();
            if known.contains(&name) {
                continue;
            }
            let line = notes.line(&key.span());
            let remedy = similar(name, known.iter().copied())
                .map_or_else(|| format!("what there is: {}", known.join(", ")), |meant| format!("did you mean `{meant}`?"));
            let what = if self.line.is_none() {
                format!("there is no section [{}]", printable(name))
            } else {
                format!("{} has no setting `{}`", self.name, printable(name))
            };
            notes.error(line, what, remedy);
        }
    }

    /// Returns the table of this name.
    pub(super) fn section(&self, key: &str, notes: &mut Notes) -> Option<Self> {
        let value = self.value(key)?;
        let line = notes.line(&value.span());
        let value = value.get_ref();
        if let Some(table) = value.as_table() {
            return Some(Self { name: format!("[{key}]"), line: Some(line), table });
        }
        let is_list = value.as_array().is_some_and(|list| !list.is_empty() && list.iter().all(|item| item.get_ref().is_table()));
        let (what, remedy) = if is_list {
            (format!("there is one [{key}], and here it is a list"), format!("write [{key}] with single brackets, once"))
        } else {
            let remedy = format!("write [{key}] on a line of its own, its settings below it");
            (format!("`{key}` is a section, and here it is {}", kind(value)), remedy)
        };
        notes.missing(line, what, remedy);
        None
    }

    /// Returns the tables of the list of this name.
    pub(super) fn sections(&self, key: &str, notes: &mut Notes) -> Vec<Self> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let line = notes.line(&value.span());
        let remedy = format!("write [[{key}]] with double brackets, once for each");
        let DeValue::Array(array) = value.get_ref() else {
            notes.missing(
                line,
                format!("there may be more than one [[{key}]], and here it is {}", kind(value.get_ref())),
                remedy,
            );
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (nth, item) in array.iter().enumerate().filter(|(_, item)| is_read(item)) {
            let line = notes.line(&item.span());
            let Some(table) = item.get_ref().as_table() else {
                let what = format!("each {key} is a section, and here it is {}", kind(item.get_ref()));
                notes.error(line, what, remedy.clone());
                continue;
            };
            let own = table.get("name").and_then(|name| name.get_ref().as_str());
            let name = own.map_or_else(|| format!("{key} {}", nth + 1), |own| format!("{key} `{}`", printable(own)));
            sections.push(Self { name, line: Some(line), table });
        }
        sections
    }

    /// Returns what a setting says, if it is there and could be read.
    fn value(&self, key: &str) -> Option<&'d Spanned<DeValue<'d>>> {
        self.table.get(key).filter(|value| is_read(value))
    }

    /// Returns where a setting stands, if it is there.
    pub(super) fn line_of(&self, key: &str, notes: &Notes) -> Option<usize> {
        self.value(key).map(|value| notes.line(&value.span()))
    }

    /// Returns the text of a setting as it stands, and notes nothing: whoever reads the setting does.
    pub(super) fn peek(&self, key: &str) -> Option<&str> {
        self.value(key)?.get_ref().as_str()
    }

    /// Returns whether a setting is a list.
    pub(super) fn is_list(&self, key: &str) -> bool {
        self.value(key).is_some_and(|value| value.get_ref().is_array())
    }

    /// Returns the text of a setting that must be there.
    pub(super) fn required(&self, key: &str, example: &str, notes: &mut Notes) -> Option<Found<String>> {
        if self.value(key).is_none() {
            notes.missing(self.line, format!("{} says no `{key}`", self.name), format!("for example: {key} = {example}"));
            return None;
        }
        self.text(key, example, notes)
    }

    /// Returns the text of a setting, if it is there.
    pub(super) fn text(&self, key: &str, example: &str, notes: &mut Notes) -> Option<Found<String>> {
        let value = self.value(key)?;
        let line = notes.line(&value.span());
        let example = format!("for example: {key} = {example}");
        let Some(text) = value.get_ref().as_str() else {
            notes.error(line, format!("`{key}` of {} is text, and here it is {}", self.name, kind(value.get_ref())), example);
            return None;
        };
        if text.trim().is_empty() {
            notes.error(line, format!("`{key}` of {} is empty", self.name), example);
            return None;
        }
        Some(Found { value: text.to_owned(), line })
    }

    /// Returns the one of these words that a setting says, if it is there.
    pub(super) fn word<T: Copy>(&self, key: &str, words: &[(&str, T)], notes: &mut Notes) -> Option<Found<T>> {
        let first = words.first().map_or("", |(word, _)| word);
        let found = self.text(key, &format!("\"{first}\""), notes)?;
        self.one_of(key, &found.value, found.line, words, notes).map(|value| Found { value, line: found.line })
    }

    /// Returns what a setting's word means, and `default` where the setting is not there; nothing where it is none of these.
    pub(super) fn word_or<T: Copy>(&self, key: &str, words: &[(&str, T)], default: T, notes: &mut Notes) -> Option<T> {
        match self.line_of(key, notes) {
            None => Some(default),
            Some(_) => self.word(key, words, notes).map(|found| found.value),
        }
    }

    /// Returns what a word means, where it is one of these.
    pub(super) fn one_of<T: Copy>(
        &self,
        key: &str,
        word: &str,
        line: usize,
        words: &[(&str, T)],
        notes: &mut Notes,
    ) -> Option<T> {
        let meant = words.iter().find(|(known, _)| *known == word).map(|&(_, meant)| meant);
        if meant.is_none() {
            let known = words.iter().map(|(known, _)| *known);
            let all = known.clone().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
            let remedy = similar(word, known)
                .map_or_else(|| format!("it is one of: {all}"), |meant| format!("did you mean \"{meant}\"? it is one of: {all}"));
            notes.error(line, format!("`{key}` of {} cannot be `{}`", self.name, printable(word)), remedy);
        }
        meant
    }

    /// Returns the number of a setting, if it is there.
    pub(super) fn number(&self, key: &str, range: RangeInclusive<u64>, unit: &str, notes: &mut Notes) -> Option<Found<u64>> {
        let value = self.value(key)?;
        let line = notes.line(&value.span());
        let remedy = format!("it is a whole number {unit} from {} to {}", range.start(), range.end());
        let DeValue::Integer(integer) = value.get_ref() else {
            let what = format!("`{key}` of {} is a number, and here it is {}", self.name, kind(value.get_ref()));
            notes.error(line, what, remedy);
            return None;
        };
        let number = u64::from_str_radix(integer.as_str(), integer.radix()).ok().filter(|number| range.contains(number));
        if number.is_none() {
            notes.error(line, format!("`{key}` of {} cannot be {}", self.name, printable(&integer.to_string())), remedy);
        }
        number.map(|value| Found { value, line })
    }

    /// Returns the point in time of a setting, if it is there: a date, which is its midnight in UTC, or a date and time with its offset
    /// (RFC 3339), as TOML has them or as text.
    pub(super) fn instant(&self, key: &str, notes: &mut Notes) -> Option<Found<Wall>> {
        let value = self.value(key)?;
        let line = notes.line(&value.span());
        let read = match value.get_ref() {
            DeValue::Datetime(date) => Some(*date),
            DeValue::String(text) => text.parse::<Datetime>().ok(),
            DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Array(_) | DeValue::Table(_) => None,
        };
        let found = read.and_then(wall).map(|value| Found { value, line });
        if found.is_none() {
            let without_offset = read.is_some_and(|read| read.date.is_some() && read.time.is_some() && read.offset.is_none());
            let what = if without_offset {
                format!("`{key}` of {} says a time, and not in which time zone", self.name)
            } else {
                format!("`{key}` of {} is no date", self.name)
            };
            notes.error(
                line,
                what,
                format!("for example: {key} = 2027-01-01, which is its midnight in UTC, or {key} = 2027-01-01T08:00:00+01:00"),
            );
        }
        found
    }

    /// Returns the texts of a list, if it is there.
    pub(super) fn texts(&self, key: &str, example: &str, notes: &mut Notes) -> Option<Found<Vec<Found<String>>>> {
        let value = self.value(key)?;
        let line = notes.line(&value.span());
        let remedy = format!("for example: {key} = {example}");
        let DeValue::Array(array) = value.get_ref() else {
            notes.error(line, format!("`{key}` of {} is a list, and here it is {}", self.name, kind(value.get_ref())), remedy);
            return None;
        };
        let mut texts = Vec::new();
        for item in array.iter().filter(|item| is_read(item)) {
            let line = notes.line(&item.span());
            match item.get_ref().as_str() {
                Some(text) => texts.push(Found { value: text.to_owned(), line }),
                None => {
                    let what = format!("`{key}` of {} is a list of texts, and here is {}", self.name, kind(item.get_ref()));
                    notes.error(line, what, remedy.clone());
                }
            }
        }
        Some(Found { value: texts, line })
    }

    /// Returns the texts of a table, by name, if it is there.
    pub(super) fn texts_by_name(
        &self,
        key: &str,
        example: &str,
        notes: &mut Notes,
    ) -> Option<Found<BTreeMap<String, Found<String>>>> {
        let value = self.value(key)?;
        let line = notes.line(&value.span());
        let remedy = format!("for example: {key} = {example}");
        let DeValue::Table(table) = value.get_ref() else {
            notes.error(
                line,
                format!("`{key}` of {} has a name for each text, and here it is {}", self.name, kind(value.get_ref())),
                remedy,
            );
            return None;
        };
        let mut texts = BTreeMap::new();
        for (name, item) in table.iter().filter(|(_, item)| is_read(item)) {
            let line = notes.line(&item.span());
            let name = name.get_ref().as_ref();
            match item.get_ref().as_str().filter(|text| !text.is_empty()) {
                Some(text) => {
                    texts.insert(name.to_owned(), Found { value: text.to_owned(), line });
                }
                None => {
                    let kind = kind(item.get_ref());
                    let what = format!("`{key}.{}` of {} is text, and here it is {kind}", printable(name), self.name);
                    notes.error(line, what, remedy.clone());
                }
            }
        }
        Some(Found { value: texts, line })
    }
}

/// Returns the point that a date is, or a date and time with an offset; nothing for what leaves something open.
fn wall(read: Datetime) -> Option<Wall> {
    let Date { year, month, day } = read.date?;
    let midnight = Wall::midnight(year, month, day)?;
    let Some(time) = read.time else { return Some(midnight) };
    let offset_min = match read.offset? {
        Offset::Z => 0,
        Offset::Custom { minutes } => i64::from(minutes),
    };
    let of_day = i64::from(time.hour) * 3600 + i64::from(time.minute) * 60 + i64::from(time.second.unwrap_or(0));
    let micros = (of_day - offset_min * 60) * 1_000_000 + i64::from(time.nanosecond.unwrap_or(0) / 1000);
    Some(Wall::from_unix_micros(midnight.unix_micros().saturating_add(micros)))
}

/// Returns whether this was read: where no value can be made out, a number of no length stands in the table, and the mistake is told.
fn is_read(value: &Spanned<DeValue<'_>>) -> bool {
    !value.span().is_empty()
}

/// What stands in the file, without what could play tricks on a terminal, and no more of it than is needed to find it: of a key that
/// was pasted into the wrong place, 18 bytes are left out.
pub(super) fn printable(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().count() > SHOWN {
        shown.push('…');
    }
    shown.replace("\\'", "'").replace("\\\"", "\"")
}

/// Characters of a text that are repeated: 40 of base64 are 30 bytes of the 48 of a key (RFC 8410).
const SHOWN: usize = 40;

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(text) if text.is_empty() => "empty",
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}
