//! `subject find`: every call that a number took part in, and what exactly counted as that number; `subject export` hands it over.

use std::io;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Value, json};

use crate::catalogue::{Entry, Filter, Number, Opening, Role, Which, Whose};
use crate::cli::doors::Doors;
use crate::cli::exit::Stop;
use crate::cli::list::{counted, length, number, seconds};
use crate::cli::party::{Asked, Span};
use crate::cli::site::{Site, style};
use crate::cli::table::{Align, Cell, Table};
use crate::cli::term::Term;
use crate::cli::words::{self, Form, Numbers, SecretKey, sentence};
use crate::cli::{handed, json};
use crate::ids::{Direction, Leg, TrunkName};
use crate::private::Private;

/// What is done for a person.
#[derive(Subcommand, Debug)]
pub(super) enum Subject {
    /// Find every call that a number took part in, recorded or not
    #[command(long_about = "Find every call that a number took part in, recorded or not.\n\n\
        A number is the same however it is written: +49…, 0049…, with spaces, dashes, brackets or\n\
        without. One in national form (0…) is the same as an international one only with --country;\n\
        what only looks alike is counted and said, and not listed. A name must be written alike.\n\n\
        Who looked, when and what for is noted and chained, and of the number a salted digest; the\n\
        number itself reaches no log. What was erased is not found any more.")]
    Find {
        /// The number; `-` reads it from standard input, where no other user of the machine sees it
        #[arg(value_name = "NUMBER", allow_hyphen_values = true)]
        number: String,
        /// What it is looked for, for the chain: a sentence
        #[arg(long, value_name = "TEXT", value_parser = sentence)]
        purpose: String,
        /// The country in which a number that begins with a single 0 is: 49
        #[arg(long, value_name = "CODE")]
        country: Option<String>,
        #[command(flatten)]
        span: Span,
        #[command(flatten)]
        site: words::Site,
        #[command(flatten)]
        form: Form,
        #[command(flatten)]
        numbers: Numbers,
    },
    /// Hand over all that is held on a number, in one archive that a layman reads
    #[command(long_about = "Hand over all that is held on a number, in one archive that a layman reads.\n\n\
        The archive (tar) has an index.html and the same as index.json; each recording that can be\n\
        opened as WAV, with its record of consent; and who has opened it. What cannot be opened, or\n\
        was erased, is listed with why. Of a call there is only the side on which the number was\n\
        heard, as the other party has rights too; --both gives both. After a transfer others may\n\
        have been heard on the same side.\n\n\
        Each recording is verified and opened as for `recordings export`, and logged like that.")]
    Export {
        /// The number; `-` reads it from standard input, where no other user of the machine sees it
        #[arg(value_name = "NUMBER", allow_hyphen_values = true)]
        number: String,
        #[command(flatten)]
        key: SecretKey,
        /// What it is handed over for, for the chain and the access log: a sentence
        #[arg(long, value_name = "TEXT", value_parser = sentence)]
        purpose: String,
        /// The country in which a number that begins with a single 0 is: 49
        #[arg(long, value_name = "CODE")]
        country: Option<String>,
        /// Only the side on which the number was heard, which is so unless --both is said
        #[arg(long, conflicts_with = "both")]
        own: bool,
        /// Both sides, and the other's number in full
        #[arg(long)]
        both: bool,
        #[command(flatten)]
        span: Span,
        /// The archive to be written; it must not be there yet
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// The node's public key [default: beside the configured private one, as *.pub.pem]
        #[arg(long, value_name = "FILE")]
        node: Option<PathBuf>,
        #[command(flatten)]
        site: words::Site,
        #[command(flatten)]
        form: Form,
    },
}

impl Subject {
    /// Reads the number of whose data is to be exported from standard input, where it is there: whether that takes two depends on whose it is.
    pub(super) fn read_number(&mut self) {
        if let Self::Export { number, .. } = self
            && number == "-"
        {
            let mut line = String::new();
            // What cannot be read is no number, which the command says.
            let _read = io::stdin().read_line(&mut line).unwrap_or(0);
            let is_line = line.trim() != "-";
            *number = if is_line { line.trim().to_owned() } else { String::new() };
        }
    }
}

/// Does it.
pub(super) fn subject(subject: Subject, doors: &Doors<'_>, term: &mut Term<'_>) -> Result<(), Stop> {
    match subject {
        Subject::Find { number, purpose, country, span, site, form, numbers } => {
            let asked = Asked { number: Private::new(number), country, purpose };
            find(&site.config, &asked, span, (form.json, numbers.numbers), doors, term)
        }
        Subject::Export { number, key, purpose, country, own: _, both, span, out, node, site, form } => {
            let asked = Asked { number: Private::new(number), country, purpose };
            let wanted = handed::Wanted { asked, key, both, span, out, node, json: form.json };
            handed::export(&site.config, &wanted, doors, term)
        }
    }
}

/// What is held on a number.
pub(super) struct Held {
    pub(super) number: Number,
    pub(super) entries: Vec<Entry>,
    /// Calls of numbers that only look alike.
    pub(super) alike: usize,
}

impl Held {
    /// Looks for it.
    pub(super) fn find(store: &dyn crate::catalogue::Store, number: Number, span: Span) -> Result<Self, Stop> {
        let of = |party| Filter { which: Which::All, from: span.from, to: span.to, party: Some(party), ..Filter::default() };
        let entries = store.list(&of(Whose::Of(number.clone())))?;
        let alike = store.list(&of(Whose::Alike(number.clone())))?.len();
        Ok(Self { number, entries, alike })
    }

    /// Says what counted as the number, and what did not.
    pub(super) fn matched(&self) -> String {
        let is_number = self.number.form().reveal().trim_start_matches('+').bytes().all(|byte| byte.is_ascii_digit());
        let mut text = if !is_number {
            String::from("Counted is what is written alike, letter by letter.")
        } else if self.number.is_national() {
            String::from(
                "Counted is the number as it is written, separators aside; in international form (+…, 00…) it is not found without --country.",
            )
        } else if self.number.misses_national() {
            String::from(
                "Counted is the number as +… and as 00…, separators aside; in national form (0…) it is not found without --country.",
            )
        } else {
            String::from("Counted is the number in every form, separators aside.")
        };
        if self.alike > 0 {
            let (calls, have) = (counted(self.alike, "more call"), if self.alike == 1 { "has" } else { "have" });
            text += &format!(
                "\nNot counted: {calls} {have} a number that ends in the same {} digits and is written otherwise.",
                Number::ALIKE
            );
        }
        text
    }
}

/// Returns as which party the number was in a call, and from which side it is heard.
pub(super) fn part(number: &Number, entry: &Entry) -> (Option<Role>, Option<Leg>) {
    let role = number.role(entry);
    (role, role.and_then(|role| role.leg(entry.direction)))
}

fn find(
    config: &Path,
    asked: &Asked,
    span: Span,
    (is_json, is_in_full): (bool, bool),
    doors: &Doors<'_>,
    term: &mut Term<'_>,
) -> Result<(), Stop> {
    let number = asked.number()?;
    let site = Site::find(config, term)?;
    let mut store = site.store(Opening::ReadAndLog, doors)?;
    let mut held = Held::find(store.as_ref(), number, span)?;
    asked.log(store.as_mut(), &held.number, &held.entries)?;
    held.entries = std::mem::take(&mut held.entries).into_iter().map(|entry| site.as_it_is(entry)).collect();
    if is_json {
        for entry in &held.entries {
            term.out.line(of_person(entry, &held.number, is_in_full))?;
        }
        return Ok(term.out.line(json!({ "calls": held.entries.len(), "alike": held.alike, "matched": held.matched() }))?);
    }
    if held.entries.is_empty() {
        term.out.line("No calls.")?;
    } else {
        term.out.text(&table(&held, is_in_full).text(term.out.colour(), 0))?;
        let recorded = held.entries.iter().filter(|entry| entry.recording.is_some()).count();
        term.out.line(format_args!("\n{}, {recorded} of them recorded.", counted(held.entries.len(), "call")))?;
    }
    Ok(term.out.line(held.matched())?)
}

/// A row in JSON, with as whom the number took part.
pub(super) fn of_person(entry: &Entry, person: &Number, is_in_full: bool) -> Value {
    let (role, leg) = part(person, entry);
    let mut value = json::entry(entry, is_in_full);
    if let Value::Object(fields) = &mut value {
        fields.insert("was".into(), role.map(Role::as_str).into());
        fields.insert("own_leg".into(), leg.map(Leg::as_str).into());
    }
    value
}

fn table(held: &Held, is_in_full: bool) -> Table {
    let mut table = Table::new([
        ("BEGAN (UTC)", Align::Left),
        ("LENGTH", Align::Right),
        ("WAY", Align::Left),
        ("TRUNK", Align::Left),
        ("WAS", Align::Left),
        ("HEARD FROM", Align::Left),
        ("OTHER", Align::Left),
        ("STATE", Align::Left),
        ("REASON", Align::Left),
        ("RECORDING, OR CALL", Align::Left),
    ]);
    for entry in &held.entries {
        let (role, leg) = part(&held.number, entry);
        let other = match role {
            Some(Role::Calling) => number(entry, |parties| &parties.called, is_in_full),
            Some(Role::Called | Role::Both) | None => number(entry, |parties| &parties.calling, is_in_full),
        };
        table.row([
            Cell::new(seconds(entry.began)),
            Cell::new(entry.talked().map(length).unwrap_or_default()),
            Cell::new(entry.direction.map(Direction::as_str).unwrap_or_default()),
            Cell::new(entry.trunk.as_ref().map(TrunkName::as_str).unwrap_or_default()),
            Cell::new(role.map(Role::as_str).unwrap_or_default()),
            Cell::new(leg.map(Leg::as_str).unwrap_or_default()),
            Cell::new(other),
            Cell::styled(entry.state.as_str(), style(entry.state)),
            Cell::new(entry.reason.as_str()),
            Cell::new(entry.recording.map_or_else(|| entry.call.to_string(), |id| id.to_string())),
        ]);
    }
    table
}
