//! The verbs for whoever asks over HTTP: each answers in JSON, and has the name of who asked in its logs.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use serde_json::Value;

use crate::access::{Action, Identity};
use crate::catalogue::{Access, Deed, Opening, Outcome, State, Store, StoreError};
use crate::cli::asked::Asked;
use crate::cli::doors::{Doors, verb};
use crate::cli::exit::{Exit, Lack, Stop};
use crate::cli::gate::{self, Pass};
use crate::cli::known::{Known, known};
use crate::cli::show::{erased, no_such};
use crate::cli::site::{Site, cannot_read};
use crate::cli::term::{Colour, Stream, Term};
use crate::cli::who;
use crate::cli::words::{Words, sentence};
use crate::control::api::{self, Fetched, Inquiry, Kind, Problem, Route, Shown};
use crate::control::{Settings, Trouble};
use crate::ids::RecordingId;
use crate::tls;

/// Answers over HTTP for an installation.
#[derive(Debug)]
pub struct Clerk {
    config: PathBuf,
    open: OpenLedger,
}

/// Opens the ledger's file.
pub type OpenLedger = fn(&Path, Opening) -> Result<Box<dyn Store>, StoreError>;

impl Clerk {
    /// Takes where the configuration is, and what opens the ledger.
    #[must_use]
    pub const fn new(config: PathBuf, open: OpenLedger) -> Self {
        Self { config, open }
    }

    /// Does something with what the verbs are given.
    fn with_doors<T>(&self, act: impl FnOnce(&Doors<'_>) -> T) -> T {
        act(&Doors {
            run: &|_: Settings, _| Err(none()),
            demo: &|_, _| Err(none()),
            open_store: &self.open,
            user: &who::session,
            announcement: &|_| Err(none()),
            payloads: &|_, _| Err(none()),
        })
    }

    /// Does something on somebody's behalf, with a terminal that nobody reads but this; returns what was said.
    fn on_behalf(&self, who: &Identity, act: impl FnOnce(&Doors<'_>, &mut Term<'_>) -> Result<(), Stop>) -> Result<Said, Stop> {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut term =
            Term { out: Stream::new(&mut out, Colour::Plain), err: Stream::new(&mut err, Colour::Plain), may_ask: false };
        let ended = who::on_behalf(&who.name, || self.with_doors(|doors| act(doors, &mut term)));
        match ended {
            // Something is not so: what was said has it.
            Ok(()) | Err(Stop::Said(Exit::Well | Exit::NotSo)) => Ok(Said(out)),
            Err(Stop::Said(exit)) => {
                let said = String::from_utf8_lossy(&err).trim().trim_start_matches("error: ").to_owned();
                Err(Stop::Trouble(exit, Trouble::from(said)))
            }
            Err(stop) => Err(stop),
        }
    }
}

/// Says that a verb is none for whoever asks over HTTP.
fn none() -> Trouble {
    Trouble::new("that is not asked over HTTP", "the command line has it")
}

/// What a verb has said.
struct Said(Vec<u8>);

impl api::Clerk for Clerk {
    fn identify(&self, shown: &Shown) -> Result<Identity, Problem> {
        let shown = match shown {
            Shown::User { uid, pid } => vec![Known::User { uid: *uid, pid: *pid }],
            Shown::Token(token) => vec![Known::Token(token.clone())],
            // It may be for several names: the first that somebody has given a role counts.
            Shown::Certificate(der) => tls::dns_names(der).into_iter().map(Known::Certificate).collect(),
            Shown::Nothing => Vec::new(),
        };
        for shown in &shown {
            match known(&self.config, shown, &self.open) {
                Ok(Some(identity)) => return Ok(identity),
                Ok(None) => {}
                Err(trouble) => return Err(Problem::new(500, trouble)),
            }
        }
        let remedy = "the socket in the data directory knows its caller by the user; over TLS a token that stands is shown, or a certificate \
                      for a name that has a role";
        Err(Problem::new(401, Trouble::new("nobody knows who asks", remedy)))
    }

    fn answer(&self, inquiry: &Inquiry<'_>, who: &Identity) -> Result<Vec<Value>, Problem> {
        let words = words(inquiry, &self.config).ok_or_else(strange)?;
        // What is wrong with it is not repeated: a number may be.
        let words = Words::try_parse_from(words).map_err(|_| strange())?;
        let said = self.on_behalf(who, |doors, term| {
            let pass = gate::pass_known(Asked::by(&words.verb), who, doors, term)?;
            verb(words.verb, &pass, doors, term)
        });
        let Said(out) = said.map_err(problem)?;
        let lines = String::from_utf8_lossy(&out);
        lines.lines().map(|line| serde_json::from_str(line).map_err(|_| failed("what was said is no JSON"))).collect()
    }

    fn fetch(&self, inquiry: &Inquiry<'_>, who: &Identity) -> Result<Fetched, Problem> {
        let id: RecordingId = inquiry.id.parse().map_err(|_| strange())?;
        // As on the command line: one line, that says something.
        inquiry.fields.text("purpose").and_then(|purpose| sentence(purpose).ok()).ok_or_else(strange)?;
        let mut fetched = None;
        self.on_behalf(who, |doors, term| {
            let asked = Asked::to_fetch(&self.config, id, inquiry.fields.text("purpose"));
            let pass = gate::pass_known(Some(asked), who, doors, term)?;
            let site = Site::find(&self.config, term)?;
            fetched = Some(fetch(&site, id, inquiry, &pass, site.store(Opening::ReadAndLog, doors)?.as_mut())?);
            Ok(())
        })
        .map_err(problem)?;
        fetched.ok_or_else(|| failed("nothing was given out"))
    }
}

/// Logs that a recording is given out as it lies there, and opens its file, or that of its keys.
fn fetch(site: &Site, id: RecordingId, inquiry: &Inquiry<'_>, pass: &Pass, store: &mut dyn Store) -> Result<Fetched, Stop> {
    let Some(entry) = store.recording(id)?.map(|entry| site.as_it_is(entry)) else {
        return Err(no_such(&format!("recording {id}")));
    };
    match entry.state {
        State::Recording => {
            log(store, id, (inquiry, pass), Outcome::Unfinished)?;
            let what = format!("recording {id} is still being made");
            return Err(Stop::Trouble(Exit::Refused, Trouble::new(what, "fetch it once it is over")));
        }
        State::Erased => {
            log(store, id, (inquiry, pass), Outcome::Erased)?;
            let what = format!("recording {id} was erased: {}", erased(&store.accesses(id)?));
            return Err(Stop::Trouble(Exit::NotFound, Trouble::new(what, "nothing on this machine opens it any more")));
        }
        State::None | State::Sealed | State::Torn | State::Salvaged => {}
    }
    let purpose = inquiry.fields.text("purpose");
    if let Some(own) = entry.purpose.as_deref().filter(|own| Some(*own) != purpose) {
        log(store, id, (inquiry, pass), Outcome::OtherPurpose)?;
        let what = format!("recording {id} was made for `{own}`");
        let remedy = "it is given out for its own purpose only; this refusal is in the access log";
        return Err(Stop::Denied(Lack::Purpose, Trouble::new(what, remedy)));
    }
    let is_held = !store.holds(Some(id))?.is_empty();
    if let Err(denied) = pass.identity.may_open(Action::Fetch, entry.purpose.as_deref(), is_held) {
        log(store, id, (inquiry, pass), Outcome::OtherPurpose)?;
        return Err(Stop::Denied(Lack::Role, Trouble::new(denied.to_string(), denied.remedy())));
    }
    let is_keys = inquiry.route == Route::Keys;
    log(store, id, (inquiry, pass), Outcome::Granted)?;
    let opened = if is_keys {
        site.wrapped(id).map(|keys| Fetched { length: keys.len() as u64, bytes: Box::new(io::Cursor::new(keys)) })
    } else {
        let path = site.recording(id);
        let opened = File::open(&path).and_then(|file| Ok(Fetched { length: file.metadata()?.len(), bytes: Box::new(file) }));
        opened.map_err(|error| cannot_read(&path, "the recording", &error, "it lies on another disk, or was erased"))
    };
    log(store, id, (inquiry, pass), if opened.is_ok() { Outcome::Done } else { Outcome::Failed })?;
    opened
}

/// Writes into the access log what came of it: what is given out is all that a bundle has.
fn log(
    store: &mut dyn Store,
    recording: RecordingId,
    (inquiry, pass): (&Inquiry<'_>, &Pass),
    outcome: Outcome,
) -> Result<(), Stop> {
    let (at, who, purpose) = (who::now(), who::who(), inquiry.fields.text("purpose").map(str::to_owned));
    let reason = pass.second.as_ref().map(|second| format!("approved by {second}"));
    let access = Access { at, who, deed: Deed::Bundle, recording, purpose, reason, outcome };
    let logged = store.record_access(&access);
    logged.map_err(|error| Stop::cannot(format!("nothing is given out that cannot be logged: {error}"), error.remedy()))
}

/// The command line of a question; nothing where it is none of the ledger.
fn words(inquiry: &Inquiry<'_>, config: &Path) -> Option<Vec<OsString>> {
    let (verb, name): (&[&str], _) = match inquiry.route {
        Route::Recordings => (&["recordings", "list"], None),
        Route::Recording => (&["recordings", "show"], Some("id")),
        Route::Hold => (&["recordings", "hold"], Some("id")),
        Route::Release => (&["recordings", "release"], Some("id")),
        // Whoever sends it means it.
        Route::Erase => (&["recordings", "erase", "--yes"], Some("id")),
        Route::Holds => (&["recordings", "holds"], None),
        Route::Subject => (&["subject", "find"], Some("number")),
        Route::Complaints => (&["complaint", "list"], None),
        Route::Complain => (&["complaint", "add"], Some("recording")),
        Route::CloseComplaint => (&["complaint", "close"], Some("id")),
        Route::Audit => (&["audit", "show"], None),
        Route::AuditHead => (&["audit", "head"], None),
        Route::AuditVerify => (&["audit", "verify"], None),
        Route::Status
        | Route::Calls
        | Route::Events
        | Route::Start
        | Route::Pause
        | Route::Resume
        | Route::Withdraw
        | Route::Drain
        | Route::Trunks
        | Route::Register
        | Route::File
        | Route::Keys
        | Route::OpenApi => return None,
    };
    let mut words: Vec<OsString> = ["mitschnitt"].iter().chain(verb).map(OsString::from).collect();
    words.push("--json".into());
    let mut setting = OsString::from("--config=");
    setting.push(config);
    words.push(setting);
    // Of the audit `--recording` is a setting, of a complaint it stands alone.
    let named = if name == Some("id") { Some(inquiry.id) } else { name.and_then(|name| inquiry.fields.text(name)) };
    for (field, value) in inquiry.fields.iter().filter(|(field, _)| name != Some(*field)) {
        let flag = field.replace('_', "-");
        let kind = inquiry.route.fields().iter().find(|known| known.name == field)?.kind;
        match (kind, value) {
            (Kind::Flag, Value::Bool(true)) => words.push(format!("--{flag}").into()),
            (Kind::Flag, _) => {}
            (Kind::Text, Value::String(text)) => words.push(format!("--{flag}={text}").into()),
            (Kind::Text | Kind::Count | Kind::Number, value) => words.push(format!("--{flag}={value}").into()),
        }
    }
    if let Some(named) = named {
        // That would be read from the service's standard input.
        if named == "-" {
            return None;
        }
        words.extend(["--".into(), named.into()]);
    }
    Some(words)
}

fn strange() -> Problem {
    let remedy =
        "`GET /v1/openapi.json` has what each route takes; a number of a recording is 32 hexadecimal digits, a time is in UTC";
    Problem::new(422, Trouble::new("something that was said is not what is needed here", remedy))
}

fn failed(what: &str) -> Problem {
    Problem::new(500, Trouble::new(what, "please report it"))
}

fn problem(stop: Stop) -> Problem {
    let (exit, trouble) = match stop {
        Stop::Trouble(exit, trouble) => (exit, trouble),
        Stop::Denied(lack, trouble) => return Problem::new(403, trouble).because(lack.as_str()),
        Stop::Said(exit) => (exit, Trouble::new("it could not be done", "")),
        Stop::Term(error) => (Exit::Cannot, Trouble::new(error.to_string(), "")),
    };
    let status = match exit {
        Exit::Usage => 422,
        Exit::Refused | Exit::NotSo => 409,
        Exit::NotFound => 404,
        Exit::Cannot | Exit::Well => 500,
    };
    Problem::new(status, trouble)
}
