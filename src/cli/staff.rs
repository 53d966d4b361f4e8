//! `staff`: the register of those who have agreed before any call, and of those who are never recorded.

use std::path::Path;

use serde_json::{Value, json};

use crate::catalogue::{Opening, RosterDeed, RosterLine, standing};
use crate::cli::calls::{ask, strange, unwilling};
use crate::cli::doors::Doors;
use crate::cli::exit::{Exit, Stop};
use crate::cli::list::{counted, seconds};
use crate::cli::site::{Site, read_file};
use crate::cli::table::{Align, Cell, Table};
use crate::cli::term::{Style, Term};
use crate::cli::who;
use crate::cli::words;
use crate::control::{Reply, Request, Trouble, masked};
use crate::number;
use crate::private::Private;
use crate::time::Wall;

/// What is to be said of a number.
pub(super) struct Wanted {
    pub(super) deed: RosterDeed,
    pub(super) number: String,
    pub(super) said: Said,
    pub(super) json: bool,
}

/// What is said of it beside the deed.
#[derive(Clone, Default)]
pub(super) struct Said {
    pub(super) version: Option<String>,
    pub(super) purposes: Vec<String>,
    pub(super) from: Option<Wall>,
    pub(super) until: Option<Wall>,
    pub(super) reference: Option<String>,
}

/// Adds a line on one number.
pub(super) fn say(config: &Path, wanted: Wanted, doors: &Doors<'_>, term: &mut Term<'_>) -> Result<(), Stop> {
    let Wanted { deed, number, said, json } = wanted;
    let line = line(deed, &number, said).map_err(|(what, remedy)| Stop::Trouble(Exit::Usage, Trouble::new(what, remedy)))?;
    let site = Site::find(config, term)?;
    let mut store = site.store(Opening::ReadAndLog, doors)?;
    let lines = store.roster()?;
    let of_it: Vec<_> = standing(&lines).into_iter().filter(|standing| standing.party == line.party).collect();
    let stands = |deed| of_it.iter().any(|standing| standing.deed == deed);
    let nothing = match deed {
        RosterDeed::Revoked if !stands(RosterDeed::Agreed) => Some("has no consent in the register that could be revoked"),
        RosterDeed::NotExempt if !stands(RosterDeed::Exempt) => Some("is not exempt"),
        RosterDeed::Exempt if stands(RosterDeed::Exempt) => Some("is exempt already"),
        RosterDeed::Agreed | RosterDeed::Revoked | RosterDeed::Exempt | RosterDeed::NotExempt => None,
    };
    if let Some(what) = nothing {
        let what = format!("the number {} {what}", masked(&line.party));
        return Err(Stop::Trouble(Exit::NotFound, Trouble::new(what, "`mitschnitt staff list --numbers` shows who is in it")));
    }
    store.enter(std::slice::from_ref(&line))?;
    let number = store.roster()?.last().map_or(0, |last| last.number);
    drop(store);
    let heeded = heed(&site)?;
    if json {
        let value = json!({ "line": number, "deed": deed.as_str(), "heeded": heeded });
        return Ok(term.out.line(value)?);
    }
    let what = match deed {
        RosterDeed::Agreed => "has agreed",
        RosterDeed::Revoked => "has revoked its consent",
        RosterDeed::Exempt => "is never recorded",
        RosterDeed::NotExempt => "is exempt no more",
    };
    term.out.line(format_args!("The number {} {what}: line {number} of the register.", masked(&line.party)))?;
    Ok(term.out.line(told(heeded))?)
}

/// Adds the consents that a table has.
pub(super) fn import(config: &Path, file: &Path, is_json: bool, doors: &Doors<'_>, term: &mut Term<'_>) -> Result<(), Stop> {
    let bytes = read_file(file, "the table", "name a file in CSV, with a first line as in `mitschnitt staff import --help`")?;
    let lines = match table(&bytes) {
        Ok(lines) => lines,
        Err(mistakes) => {
            for Mistake { line, what, remedy } in &mistakes {
                term.error(&Trouble::new(format!("{}:{line}: {what}", file.display()), *remedy))?;
            }
            let what = format!("{}; nothing of the table was entered", counted(mistakes.len(), "mistake"));
            return Err(Stop::cannot(what, "mend it and import it again"));
        }
    };
    let site = Site::find(config, term)?;
    let mut store = site.store(Opening::ReadAndLog, doors)?;
    let before = store.roster()?;
    // Who imports the whole table once more adds what is new in it.
    let stands = standing(&before);
    let is_new = |line: &&RosterLine| !stands.iter().any(|old| says_the_same(old, line));
    let new: Vec<RosterLine> = lines.iter().filter(is_new).cloned().collect();
    store.enter(&new)?;
    drop(store);
    let heeded = heed(&site)?;
    let known = lines.len() - new.len();
    if is_json {
        return Ok(term.out.line(json!({ "entered": new.len(), "known": known, "heeded": heeded }))?);
    }
    let before = if known > 0 { format!(" {} stood there already.", counted(known, "line")) } else { String::new() };
    term.out.line(format_args!("{} entered.{before}", counted(new.len(), "consent")))?;
    Ok(term.out.line(told(heeded))?)
}

/// Lists what stands, or every line there ever was.
pub(super) fn list(config: &Path, wanted: &Listed, doors: &Doors<'_>, term: &mut Term<'_>) -> Result<(), Stop> {
    let store = Site::find(config, term)?.store(Opening::Read, doors)?;
    let all = store.roster()?;
    let lines: Vec<&RosterLine> = if wanted.history { all.iter().collect() } else { standing(&all) };
    let now = who::now();
    let number = |line: &RosterLine| {
        if line.is_cleared() {
            "erased".into()
        } else if wanted.numbers {
            line.party.reveal().clone()
        } else {
            masked(&line.party)
        }
    };
    if wanted.json {
        for line in lines {
            term.out.line(as_json(line, &number(line), now))?;
        }
        return Ok(());
    }
    if lines.is_empty() {
        return Ok(term.out.line("Nobody is in the register.")?);
    }
    let mut table = Table::new([
        ("LINE", Align::Right),
        ("SINCE (UTC)", Align::Left),
        ("NUMBER", Align::Left),
        ("SAYS", Align::Left),
        ("TO", Align::Left),
        ("FOR", Align::Left),
        ("FROM", Align::Left),
        ("UNTIL", Align::Left),
        ("EVIDENCE", Align::Left),
        ("WHO", Align::Left),
    ]);
    let day = |wall: Option<Wall>| wall.map(seconds).unwrap_or_default();
    for line in &lines {
        let counts = counts(line, now);
        let style = if counts == "now" { Style::Plain } else { Style::Quiet };
        let says = if counts == "now" { line.deed.to_string() } else { format!("{}, {counts}", line.deed) };
        table.row([
            Cell::new(line.number.to_string()),
            Cell::new(seconds(line.at)),
            Cell::new(number(line)),
            Cell::styled(says, style),
            Cell::new(line.version.as_deref().unwrap_or_default()),
            Cell::new(if line.deed == RosterDeed::Agreed && line.purposes.is_empty() {
                "all".into()
            } else {
                line.purposes.join(" ")
            }),
            Cell::new(day(line.from)),
            Cell::new(day(line.until)),
            Cell::new(line.reference.as_deref().unwrap_or_default()),
            Cell::new(&line.who),
        ]);
    }
    term.out.text(&table.text(term.out.colour(), 0))?;
    Ok(term.out.line(format_args!("\n{}.", counted(lines.len(), "line")))?)
}

/// What is to be listed.
pub(super) struct Listed {
    pub(super) history: bool,
    pub(super) numbers: bool,
    pub(super) json: bool,
}

/// What was said wrongly, and what to do.
type Wrong = (String, &'static str);

const REMEDY: &str = "write it as it comes in SIP: an extension such as 100, or a number such as +4930123456";

fn line(deed: RosterDeed, number: &str, said: Said) -> Result<RosterLine, Wrong> {
    let Said { version, purposes, from, until, reference } = said;
    let party = number::compared(number).filter(|party| party.len() <= NUMBER_BYTES && !party.chars().any(char::is_control));
    let Some(party) = party else {
        return Err((format!("that is no number of at most {NUMBER_BYTES} characters"), REMEDY));
    };
    if from.zip(until).is_some_and(|(from, until)| until <= from) {
        return Err(("the consent would end before it begins".into(), "the time in `until` comes after the one in `from`"));
    }
    let (at, who) = (who::now(), who::who());
    Ok(RosterLine { number: 0, at, who, deed, party: Private::new(party), version, purposes, from, until, reference })
}

/// Bytes of a number, or of a name. E.164 has 15 digits; the longest name in SIP is anybody's guess.
const NUMBER_BYTES: usize = 128;

fn says_the_same(one: &RosterLine, other: &RosterLine) -> bool {
    let said = |line: &RosterLine| {
        (line.deed, line.version.clone(), line.purposes.clone(), line.from, line.until, line.reference.clone())
    };
    one.party == other.party && said(one) == said(other)
}

/// Whether a consent counts at this moment.
fn counts(line: &RosterLine, now: Wall) -> &'static str {
    if line.from.is_some_and(|from| now < from) {
        "not yet"
    } else if line.until.is_some_and(|until| until <= now) {
        "over"
    } else {
        "now"
    }
}

fn as_json(line: &RosterLine, number: &str, now: Wall) -> Value {
    let time = |wall: Option<Wall>| wall.map(|wall| wall.to_string());
    json!({
        "line": line.number,
        "since": line.at.to_string(),
        "number": number,
        "deed": line.deed.as_str(),
        "counts": counts(line, now),
        "version": line.version,
        "purposes": line.purposes,
        "from": time(line.from),
        "until": time(line.until),
        "reference": line.reference,
        "who": line.who,
    })
}

/// Has the running proxy read the register; returns whether one runs and has.
fn heed(site: &Site) -> Result<bool, Stop> {
    let socket = site.socket();
    if !site.is_running() {
        return Ok(false);
    }
    match ask(&socket, &Request::Roster {})? {
        Reply::Roster { .. } => Ok(true),
        Reply::Error { what } => Err(unwilling(&what)),
        Reply::Calls { .. }
        | Reply::Trunks { .. }
        | Reply::Status(_)
        | Reply::Done(_)
        | Reply::Draining { .. }
        | Reply::NotDone { .. } => Err(strange(&socket)),
    }
}

const fn told(heeded: bool) -> &'static str {
    if heeded {
        "The running proxy goes by it from now on, also in the calls that there are."
    } else {
        "No proxy runs here: it reads the register when it starts."
    }
}

struct Mistake {
    line: u64,
    what: String,
    remedy: &'static str,
}

/// The columns of a table; only the first must be there.
const COLUMNS: [&str; 6] = ["number", "version", "purposes", "from", "until", "evidence"];

/// Reads a table of consents.
fn table(bytes: &[u8]) -> Result<Vec<RosterLine>, Vec<Mistake>> {
    let mut mistakes = Vec::new();
    // Spreadsheets write a byte order mark before UTF-8.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(false).from_reader(bytes);
    let heads = match reader.headers() {
        Ok(heads) => heads.clone(),
        Err(_) => return Err(vec![Mistake { line: 1, what: "this is no CSV in UTF-8".into(), remedy: "save it as CSV, UTF-8" }]),
    };
    let remedy = "the columns are number, version, purposes, from, until, evidence, with commas between";
    if !heads.iter().any(|head| head == "number") {
        return Err(vec![Mistake { line: 1, what: "there is no column `number`".into(), remedy }]);
    }
    let strange: Vec<_> = heads.iter().filter(|head| !COLUMNS.contains(head)).collect();
    if !strange.is_empty() {
        let what = format!("{} that nobody knows", counted(strange.len(), "column"));
        return Err(vec![Mistake { line: 1, what, remedy }]);
    }
    let mut lines = Vec::new();
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                mistakes.push(Mistake {
                    line,
                    what: "this has not as many columns as the first line, or is no UTF-8".into(),
                    remedy,
                });
                continue;
            }
        };
        let line_at = record.position().map_or(0, csv::Position::line);
        match row(&heads, &record) {
            Ok(line) => lines.push(line),
            Err((what, remedy)) => mistakes.push(Mistake { line: line_at, what, remedy }),
        }
        if lines.len() > LINES {
            return Err(vec![Mistake { line: line_at, what: format!("more than {LINES} lines"), remedy: "part the table" }]);
        }
    }
    if mistakes.is_empty() { Ok(lines) } else { Err(mistakes) }
}

/// The most lines of one table: they are entered in one transaction, which the proxy waits for.
const LINES: usize = 100_000;

fn row(heads: &csv::StringRecord, record: &csv::StringRecord) -> Result<RosterLine, Wrong> {
    let field = |name: &str| {
        let at = heads.iter().position(|head| head == name)?;
        record.get(at).filter(|field| !field.is_empty())
    };
    let time = |name: &str| match field(name).map(words::time).transpose() {
        Ok(time) => Ok(time),
        Err(_) => Err((format!("`{name}` is no time"), "write it as 2027-01-31, or 2027-01-31T09:30:00, in UTC")),
    };
    let text = |name: &str| {
        let said = field(name).map(str::to_owned);
        match said.filter(|said| said.len() > WORD_BYTES || said.chars().any(char::is_control)) {
            Some(_) => Err((format!("`{name}` has more than {WORD_BYTES} bytes, or signs that are none"), "make it shorter")),
            None => Ok(field(name).map(str::to_owned)),
        }
    };
    let purposes = text("purposes")?.unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    let (version, reference) = (text("version")?, text("evidence")?);
    let said = Said { version, purposes, from: time("from")?, until: time("until")?, reference };
    let number = field("number").ok_or_else(|| ("`number` is empty".to_owned(), REMEDY))?;
    line(RosterDeed::Agreed, number, said)
}

/// Bytes of a word of the operator's in a table, as of a reason on the command line.
const WORD_BYTES: usize = 400;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_as_spreadsheets_write_it() {
        let lines = table(
            "\u{feff}number,version,purposes,from,until,evidence\r\n100,2026-1,quality training,2026-01-01,2027-01-01,\"HR 17, file 3\"\r\n\
             +49 30 101,,,,,\r\n"
                .as_bytes(),
        );

        let lines = lines.map_err(|mistakes| mistakes.into_iter().map(|m| m.what).collect::<Vec<_>>()).unwrap();
        let [first, second] = lines.as_slice() else { panic!("two lines") };
        assert_eq!((first.party.reveal().as_str(), first.version.as_deref()), ("100", Some("2026-1")));
        assert_eq!(first.purposes, ["quality", "training"]);
        assert_eq!(first.until.unwrap().to_string(), "2027-01-01T00:00:00.000Z");
        assert_eq!(first.reference.as_deref(), Some("HR 17, file 3"));
        assert_eq!((second.party.reveal().as_str(), second.version.as_deref(), second.purposes.len()), ("+4930101", None, 0));
    }

    #[test]
    fn every_mistake_of_a_table_is_told_at_once_with_its_line_and_without_its_number() {
        let mistakes = table(b"number,from,until\n100,soon,\n,,\n101,2027-01-01,2026-01-01\n102\n4930123456,2027-01-01,never\n");

        let mistakes: Vec<_> = mistakes.unwrap_err().into_iter().map(|mistake| (mistake.line, mistake.what)).collect();
        assert_eq!(mistakes.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 3, 4, 5, 6]);
        assert!(mistakes.iter().all(|(_, what)| !what.contains("4930123456")), "{mistakes:?}");
    }

    #[test]
    fn a_table_with_other_columns_is_none() {
        for text in ["", "name\nalice\n", "number,phone\n1,2\n", "number;version\n1;2\n"] {
            assert_eq!(table(text.as_bytes()).map(|lines| lines.len()).map_err(|mistakes| mistakes.len()), Err(1), "{text}");
        }
        assert!(table(b"number\n\xff\n").is_err());
    }
}
