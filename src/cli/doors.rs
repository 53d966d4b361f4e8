//! From arguments to a verb, and from its end to an exit code.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;

use crate::access::User;
use crate::catalogue::{Deed, Heard, Opening, RosterDeed, Store, StoreError};
use crate::cli::asked::Asked;
use crate::cli::exit::{Exit, Stop};
use crate::cli::gate::{self, Pass};
use crate::cli::opened;
use crate::cli::term::{Colour, Stream, Term};
use crate::cli::words::{Audit, Calls, Keys, Recordings, SecretKey, Staff, Trunks, Verb, Words};
use crate::cli::{
    approvals, audit, bundle, bundled, calls, check, complaint, correct, deed, demo, drain, erase, export, exposure, hold, keys,
    list, part, play, processing, public, redact, retention, rewrap, rotate, run, show, staff, subject, timestamps, tokens,
    trunks, verify,
};
use crate::control::api::openapi;
use crate::control::{Settings, Trouble};
use crate::export::Channels;
use crate::private::Private;

/// What the command line needs of rooms that it does not know, given by `main.rs`.
pub struct Doors<'d> {
    /// Runs the proxy with the configuration in this file until it is told to stop.
    pub run: &'d dyn Fn(Settings, &Path) -> Result<(), Trouble>,
    /// Plays the demonstration in a directory, and draws it as it happens.
    pub demo: &'d dyn Fn(&Path, &mut dyn Write) -> Result<(), Trouble>,
    /// Says who runs this: he who may do something or not.
    pub user: &'d dyn Fn() -> User,
    /// Opens the ledger.
    pub open_store: &'d OpenStore,
    /// Reads an announcement's WAV file, and says how long it is, or what is wrong with it and what to do.
    pub announcement: &'d dyn Fn(&[u8]) -> Result<Duration, Trouble>,
    /// Reads an announcement's payloads for an RTP clock of so many Hz, and says how long they are, or what is wrong with them and what to do.
    pub payloads: &'d ReadPayloads,
}

/// Reads payloads for an RTP clock of so many Hz.
pub type ReadPayloads = dyn Fn(&[u8], u32) -> Result<Duration, Trouble>;

/// Opens the ledger's file.
pub type OpenStore = dyn Fn(&Path, Opening) -> Result<Box<dyn Store>, StoreError>;

impl std::fmt::Debug for Doors<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Doors")
    }
}

/// Does what the arguments say, the program's name being the first, and returns how it ended.
pub fn main(arguments: impl IntoIterator<Item = OsString>, doors: &Doors<'_>) -> ExitCode {
    let (mut out, mut err) = (io::stdout(), io::stderr());
    let may_ask = io::stdin().is_terminal() && err.is_terminal();
    let colours = [out.is_terminal(), err.is_terminal()].map(Colour::of);
    let [out_colour, err_colour] = colours;
    let mut term = Term { out: Stream::new(&mut out, out_colour), err: Stream::new(&mut err, err_colour), may_ask };
    ExitCode::from(exit(arguments, doors, &mut term).code())
}

/// The same with any terminal.
pub(super) fn exit(arguments: impl IntoIterator<Item = OsString>, doors: &Doors<'_>, term: &mut Term<'_>) -> Exit {
    let words = match Words::try_parse_from(arguments) {
        Ok(words) => words,
        Err(usage) => {
            // Help and version were asked for; anything else was not understood.
            let is_asked = usage.exit_code() == 0;
            let stream = if is_asked { &mut term.out } else { &mut term.err };
            let text = match stream.colour() {
                Colour::Used => usage.render().ansi().to_string(),
                Colour::Plain => usage.render().to_string(),
            };
            // Where nobody reads, nobody is told.
            drop(stream.text(&text));
            return if is_asked { Exit::Well } else { Exit::Usage };
        }
    };
    let Words { verb: mut asked, break_glass } = words;
    if let Verb::Subject(subject) = &mut asked {
        subject.read_number();
    }
    let passed = gate::pass(Asked::by(&asked), break_glass.as_deref(), doors, term);
    match passed.and_then(|pass| verb(asked, &pass, doors, term)) {
        Ok(()) => Exit::Well,
        Err(Stop::Said(exit)) => exit,
        Err(Stop::Trouble(exit, trouble)) => {
            drop(term.error(&trouble));
            exit
        }
        Err(Stop::Denied(_, trouble)) => {
            drop(term.error(&trouble));
            Exit::Refused
        }
        // `| head` has seen enough.
        Err(Stop::Term(error)) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Well,
        Err(Stop::Term(error)) => {
            drop(term.error(&Trouble::new(
                format!("cannot write what was asked for: {error}"),
                "is the disk of its destination full?",
            )));
            Exit::Cannot
        }
    }
}

/// Does what a verb says.
pub(super) fn verb(verb: Verb, pass: &Pass, doors: &Doors<'_>, term: &mut Term<'_>) -> Result<(), Stop> {
    match verb {
        Verb::Run(site) => run::run(&site.config, doors, term),
        Verb::Check { site, form } => check::check(&site.config, form.json, doors, term),
        Verb::Keys(Keys::Generate { strength, passphrase, no_passphrase, site, form }) => {
            let protection = keys::Protection { passphrase, is_unwanted: no_passphrase };
            keys::generate(&site.config, strength, &protection, form.json, term)
        }
        Verb::Keys(Keys::Rotate { recipient, private_to, public, from, strength, passphrase, no_passphrase, site, form }) => {
            let protection = keys::Protection { passphrase, is_unwanted: no_passphrase };
            let wanted = rotate::Wanted { recipient, private_to, public, from, strength, json: form.json };
            rotate::rotate(&site.config, &wanted, &protection, term)
        }
        Verb::Keys(Keys::Public { key, make, passphrase, form }) => {
            public::public(&SecretKey { key, passphrase }, make, form.json, term)
        }
        Verb::Keys(Keys::Exposure { key, list, site, form }) => {
            exposure::exposure(&site.config, &key, list, form.json, doors, term)
        }
        Verb::Keys(Keys::Rewrap { ids, all, key, add, remove, only, site, form }) => {
            let which = if all { verify::Which::All } else { verify::Which::These(ids) };
            let wanted = rewrap::Wanted { which, key, add, remove, only, json: form.json };
            rewrap::rewrap(&site.config, &wanted, doors, term)
        }
        Verb::Calls(Calls::List { site, form, numbers }) => calls::list(&site.config, form.json, numbers.numbers, term),
        Verb::Calls(Calls::Start(one)) => deed::deed(&one, deed::Deed::Start, term),
        Verb::Calls(Calls::Pause(one)) => deed::deed(&one, deed::Deed::Pause, term),
        Verb::Calls(Calls::Resume(one)) => deed::deed(&one, deed::Deed::Resume, term),
        Verb::Calls(Calls::Withdraw { one, shred: false }) => deed::deed(&one, deed::Deed::Withdraw, term),
        Verb::Calls(Calls::Withdraw { one, shred: true }) => deed::deed(&one, deed::Deed::Shred, term),
        Verb::Calls(Calls::Drain { limit_s, site, form }) => drain::drain(&site.config, limit_s, form.json, term),
        Verb::Trunks(Trunks::List { site, form }) => trunks::list(&site.config, form.json, term),
        Verb::Recordings(Recordings::List {
            site,
            form,
            numbers,
            all,
            reason,
            quality,
            mos_below,
            last,
            header,
            span,
            party,
        }) => {
            let measured = if quality { Heard::Measured } else { Heard::Any };
            let heard = mos_below.map_or(measured, Heard::Below);
            let (party, numbers) = (party.asked()?, numbers.numbers);
            let wanted = list::Wanted { all, reason, heard, last, header, span, party, json: form.json, numbers };
            list::list(&site.config, &wanted, doors, term)
        }
        Verb::Recordings(Recordings::Show { id, site, form, numbers }) => {
            show::show(&site.config, id, form.json, numbers.numbers, doors, term)
        }
        Verb::Recordings(Recordings::Bundle { id, out, reason, span, key, passphrase, node, site, form }) => {
            let part = part::asked(span, key.map(|key| SecretKey { key, passphrase }))?;
            let wanted = bundle::Wanted { id, out, reason: pass.reason(reason), part, node, json: form.json };
            bundle::bundle(&site.config, &wanted, doors, term)
        }
        Verb::Recordings(Recordings::Verify { bundle: Some(bundle), key, passphrase, node, form, .. }) => {
            let key = key.map(|key| SecretKey { key, passphrase });
            bundled::verify(&bundled::Wanted { bundle, key, node, json: form.json }, term)
        }
        Verb::Recordings(Recordings::Verify { ids, all, bundle: None, key, passphrase, node, site, form }) => {
            let key = key.map(|key| SecretKey { key, passphrase });
            let which = if all { verify::Which::All } else { verify::Which::These(ids) };
            verify::verify(&site.config, &verify::Wanted { which, key, node, json: form.json }, pass, doors, term)
        }
        Verb::Recordings(Recordings::Export { id, key, purpose, format, mono, out, picture, span, node, site, form }) => {
            let second = pass.second.as_ref().map(|second| format!("approved by {second}"));
            let asked = opened::Asked { id, deed: Deed::Export, key, purpose, reason: second, span, node };
            let wanted = export::Wanted { asked, format, channels: channels(mono), out, picture, json: form.json };
            export::export(&site.config, &wanted, doors, term)
        }
        Verb::Recordings(Recordings::Play { id, key, purpose, mono, span, node, site, form }) => {
            let asked = opened::Asked { id, deed: Deed::Play, key, purpose, reason: None, span, node };
            let wanted = play::Wanted { asked, channels: channels(mono), json: form.json };
            play::play(&site.config, &wanted, doors, term)
        }
        Verb::Recordings(Recordings::Erase { id, party, country, before, dry_run, receipt, reason, yes, site, form }) => {
            let which = match (id, party, before) {
                (Some(id), _, _) => erase::These::One(id),
                (None, Some(number), _) => erase::These::Party { number: Private::new(number), country },
                (None, None, before) => erase::These::Before(before.unwrap_or_default()),
            };
            let (reason, lifts_lock) = (pass.reason(reason), pass.lifts_lock);
            let wanted = erase::Wanted { which, reason, is_meant: yes, is_dry: dry_run, lifts_lock, receipt, json: form.json };
            erase::erase(&site.config, &wanted, doors, term)
        }
        Verb::Recordings(Recordings::Redact { id, span, key, purpose, reason, public, site, form }) => {
            let wanted = redact::Wanted { id, span, key, purpose, reason, public, json: form.json };
            redact::redact(&site.config, &wanted, doors, term)
        }
        Verb::Recordings(Recordings::Hold { id, reason, site, form }) => {
            hold::hold(&site.config, &hold::Wanted { id, reason, all: false, json: form.json }, doors, term)
        }
        Verb::Recordings(Recordings::Correct { id, field, value, reason, site, form }) => {
            let wanted = correct::Wanted { id, field, value: Private::new(value), reason, json: form.json };
            correct::correct(&site.config, wanted, doors, term)
        }
        Verb::Recordings(Recordings::Release { id, reason, all, site, form }) => {
            let reason = pass.reason(reason);
            hold::release(&site.config, &hold::Wanted { id, reason, all, json: form.json }, doors, term)
        }
        Verb::Recordings(Recordings::Holds { site, form }) => hold::holds(&site.config, form.json, doors, term),
        Verb::Recordings(Recordings::Retention { site, form }) => retention::retention(&site.config, form.json, doors, term),
        Verb::Staff(Staff::Add { number, version, purposes, from, until, evidence, site, form }) => {
            let said = staff::Said { version, purposes, from, until, reference: Some(evidence) };
            staff::say(&site.config, staff::Wanted { deed: RosterDeed::Agreed, number, said, json: form.json }, doors, term)
        }
        Verb::Staff(Staff::Revoke { number, reason, site, form }) => {
            let said = staff::Said { reference: Some(reason), ..staff::Said::default() };
            staff::say(&site.config, staff::Wanted { deed: RosterDeed::Revoked, number, said, json: form.json }, doors, term)
        }
        Verb::Staff(Staff::Exempt { number, reason, lift, site, form }) => {
            let said = staff::Said { reference: Some(reason), ..staff::Said::default() };
            let deed = if lift { RosterDeed::NotExempt } else { RosterDeed::Exempt };
            staff::say(&site.config, staff::Wanted { deed, number, said, json: form.json }, doors, term)
        }
        Verb::Staff(Staff::Import { file, site, form }) => staff::import(&site.config, &file, form.json, doors, term),
        Verb::Staff(Staff::List { history, numbers, site, form }) => {
            let wanted = staff::Listed { history, numbers: numbers.numbers, json: form.json };
            staff::list(&site.config, &wanted, doors, term)
        }
        Verb::Audit(Audit::Head { site, form }) => audit::head(&site.config, form.json, doors, term),
        Verb::Audit(Audit::Verify { heads, nodes, site, form }) => {
            audit::verify(&site.config, &audit::Compared { heads, nodes, json: form.json }, doors, term)
        }
        Verb::Audit(Audit::Timestamps { certificate, out, site, form }) => {
            timestamps::timestamps(&site.config, &timestamps::Wanted { certificate, out, json: form.json }, doors, term)
        }
        Verb::Audit(Audit::Show { recording, kind, since, until, last, site, form }) => {
            let wanted = audit::Wanted { recording, kind, since, until, last, json: form.json };
            audit::show(&site.config, &wanted, doors, term)
        }
        Verb::Processing { site, form } => processing::processing(&site.config, form.json, doors, term),
        Verb::Complaint(complaint) => complaint::complaint(complaint, doors, term),
        Verb::Subject(subject) => subject::subject(subject, doors, term),
        Verb::Tokens(tokens) => tokens::tokens(tokens, pass, doors, term),
        Verb::Approvals(approvals) => approvals::approvals(approvals, pass, doors, term),
        Verb::Openapi => Ok(term.out.text(&openapi())?),
        Verb::Demo { out } => demo::demo(&out, doors, term),
    }
}

const fn channels(is_mono: bool) -> Channels {
    if is_mono { Channels::Mono } else { Channels::Stereo }
}
