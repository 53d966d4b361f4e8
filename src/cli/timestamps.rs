//! `audit timestamps`: what an authority has signed, and what waits for it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::catalogue::{NotStamped, Opening, Stamp, Subject, Told};
use crate::cli::doors::Doors;
use crate::cli::exit::{Exit, Stop};
use crate::cli::list::{counted, seconds};
use crate::cli::site::{Site, read_file};
use crate::cli::table::{Align, Cell, Table};
use crate::cli::term::{Style, Term};
use crate::control::witnessed;
use crate::tls::Witness;

/// What is wanted.
pub(super) struct Wanted {
    /// The authority's certificate, to verify them by.
    pub(super) certificate: Option<PathBuf>,
    /// The folder to write them to.
    pub(super) out: Option<PathBuf>,
    pub(super) json: bool,
}

/// Lists timestamps; with a certificate, verifies them, and with a folder, writes them there.
pub(super) fn timestamps(config: &Path, wanted: &Wanted, doors: &Doors<'_>, term: &mut Term<'_>) -> Result<(), Stop> {
    let store = Site::find(config, term)?.store(Opening::Read, doors)?;
    let witness = wanted.certificate.as_deref().map(witness).transpose()?;
    let out = wanted.out.as_deref();
    let mut stamps = Vec::new();
    store.stamps(&mut |stamp| stamps.push(stamp))?;
    if let Some(folder) = out {
        fs::create_dir_all(folder).map_err(|error| cannot_write(folder, &error))?;
        for stamp in &stamps {
            write(stamp, folder)?;
        }
    }
    let judged = |stamp: &Stamp| {
        let answer = stamp.answer.as_deref()?;
        witness.as_ref().map(|witness| witnessed(witness, answer, &stamp.subject.digest()))
    };
    let bad = stamps.iter().filter(|stamp| judged(stamp).is_some_and(|judged| judged.is_err())).count();
    if wanted.json {
        for stamp in &stamps {
            term.out.line(json!({
                "of": stamp.subject.kind(),
                "seq": stamp.subject.seq(),
                "recording": stamp.subject.recording().map(|id| id.to_string()),
                "digest": stamp.subject.digest().to_string(),
                "since": stamp.since.to_string(),
                "tries": stamp.tries,
                "time": time(stamp),
                "verified": judged(stamp).map(|judged| judged.is_ok()),
                "file": out.zip(stamp.answer.as_ref()).map(|_| name(stamp) + ".tsr"),
            }))?;
        }
    } else if stamps.is_empty() {
        term.out
            .line("There are no timestamps, and nothing waits for one; [timestamps] in the configuration names an authority.")?;
    } else {
        term.out.text(&table(&stamps, &judged).text(term.out.colour(), 0))?;
        let (given, waiting): (Vec<_>, Vec<_>) = stamps.iter().partition(|stamp| stamp.answer.is_some());
        let verified = match (&witness, bad) {
            (None, _) => String::new(),
            (Some(_), 0) => ", all signed by the certificate".to_owned(),
            (Some(_), bad) => format!(", {bad} of them not signed by the certificate"),
        };
        term.out.line(format_args!("\n{}{verified}; {} waiting.", counted(given.len() as u64, "timestamp"), waiting.len()))?;
        if let Some(folder) = out {
            term.out.line("What checks them, with the certificates that are believed in ca.pem:")?;
            for stamp in given {
                term.out.line(format_args!("  {}", check(stamp, folder)))?;
            }
        }
    }
    if bad == 0 { Ok(()) } else { Err(Stop::Said(Exit::NotSo)) }
}

fn witness(path: &Path) -> Result<Witness, Stop> {
    let text = read_file(path, "the authority's certificate", "its authority publishes it, as PEM")?;
    Witness::from_pem(&text).ok_or_else(|| {
        let what = format!("cannot use the certificate `{}`: it is none", path.display());
        Stop::cannot(what, "it is a PEM file that begins with the certificate by which the authority signs")
    })
}

fn table(stamps: &[Stamp], judged: &impl Fn(&Stamp) -> Option<Result<(), NotStamped>>) -> Table {
    let mut table = Table::new([
        ("WAITS SINCE (UTC)", Align::Left),
        ("OF", Align::Left),
        ("TIME", Align::Left),
        ("TRIED IN VAIN", Align::Right),
        ("VERIFIED", Align::Left),
        ("DIGEST", Align::Left),
    ]);
    for stamp in stamps {
        let of = match stamp.subject {
            Subject::Head(signed) => format!("head {}", signed.head.seq),
            Subject::Root { recording, .. } => format!("recording {recording}"),
        };
        let time = time(stamp);
        let style = if time.is_some() { Style::Good } else { Style::Care };
        table.row([
            Cell::new(seconds(stamp.since)),
            Cell::new(of),
            Cell::styled(time.as_deref().unwrap_or("waiting"), style),
            Cell::new(stamp.tries.to_string()),
            match judged(stamp) {
                None => Cell::new("–"),
                Some(Ok(())) => Cell::styled("yes", Style::Good),
                Some(Err(NotStamped::OtherDigest)) => Cell::styled("no: another digest", Style::Bad),
                Some(Err(NotStamped::OtherSigner)) => Cell::styled("no: another signer", Style::Bad),
                Some(Err(NotStamped::Refused(_) | NotStamped::OtherNonce | NotStamped::Garbled | NotStamped::Away(_))) => {
                    Cell::styled("no: it cannot be read", Style::Bad)
                }
            },
            Cell::new(stamp.subject.digest().to_string()),
        ]);
    }
    table
}

/// The time that the authority says.
fn time(stamp: &Stamp) -> Option<String> {
    let told = stamp.answer.as_deref().map(Told::read)?;
    Some(told.map_or_else(|_| "unreadable".into(), |told| told.time))
}

/// The stem of its files.
fn name(stamp: &Stamp) -> String {
    match stamp.subject {
        Subject::Head(signed) => format!("head-{}", signed.head.seq),
        Subject::Root { recording, .. } => format!("recording-{recording}"),
    }
}

fn write(stamp: &Stamp, folder: &Path) -> Result<(), Stop> {
    let Some(answer) = &stamp.answer else { return Ok(()) };
    let file = |ending: &str| folder.join(format!("{}.{ending}", name(stamp)));
    let put = |path: &Path, bytes: &[u8]| fs::write(path, bytes).map_err(|error| cannot_write(path, &error));
    if let Subject::Head(signed) = stamp.subject {
        put(&file("txt"), format!("{signed}\n").as_bytes())?;
    }
    put(&file("tsr"), answer)
}

/// The command that checks it.
fn check(stamp: &Stamp, folder: &Path) -> String {
    let file = |ending: &str| folder.join(format!("{}.{ending}", name(stamp))).display().to_string();
    let of = match stamp.subject {
        Subject::Head(_) => format!("-data {}", file("txt")),
        Subject::Root { root, .. } => format!("-digest {root}"),
    };
    format!("openssl ts -verify {of} -in {} -CAfile ca.pem", file("tsr"))
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Stop {
    Stop::cannot(format!("cannot write `{}`: {error}", path.display()), "name a folder that you may write to, with --out")
}
