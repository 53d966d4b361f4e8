//! `audit timestamps`: what an authority has signed, and what waits for it.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::catalogue::{Opening, Stamp, Subject, Told};
use crate::cli::doors::Doors;
use crate::cli::exit::Stop;
use crate::cli::list::{counted, seconds};
use crate::cli::site::Site;
use crate::cli::table::{Align, Cell, Table};
use crate::cli::term::{Style, Term};

/// Lists timestamps; with a folder, writes them there.
pub(super) fn timestamps(
    config: &Path,
    out: Option<&Path>,
    is_json: bool,
    doors: &Doors<'_>,
    term: &mut Term<'_>,
) -> Result<(), Stop> {
    let store = Site::find(config, term)?.store(Opening::Read, doors)?;
    let mut stamps = Vec::new();
    store.stamps(&mut |stamp| stamps.push(stamp))?;
    if let Some(folder) = out {
        fs::create_dir_all(folder).map_err(|error| cannot_write(folder, &error))?;
        for stamp in &stamps {
            write(stamp, folder)?;
        }
    }
    if is_json {
        for stamp in &stamps {
            term.out.line(json!({
                "of": stamp.subject.kind(),
                "seq": stamp.subject.seq(),
                "recording": stamp.subject.recording().map(|id| id.to_string()),
                "digest": stamp.subject.digest().to_string(),
                "since": stamp.since.to_string(),
                "tries": stamp.tries,
                "time": time(stamp),
                "file": out.zip(stamp.answer.as_ref()).map(|_| name(stamp) + ".tsr"),
            }))?;
        }
        return Ok(());
    }
    if stamps.is_empty() {
        return Ok(term.out.line(
            "There are no timestamps, and nothing waits for one; [timestamps] in the configuration names an authority.",
        )?);
    }
    term.out.text(&table(&stamps).text(term.out.colour(), 0))?;
    let (given, waiting): (Vec<_>, Vec<_>) = stamps.iter().partition(|stamp| stamp.answer.is_some());
    term.out.line(format_args!("\n{}; {} waiting.", counted(given.len() as u64, "timestamp"), waiting.len()))?;
    if let Some(folder) = out {
        term.out.line("What checks them, with the certificates that are believed in ca.pem:")?;
        for stamp in given {
            term.out.line(format_args!("  {}", check(stamp, folder)))?;
        }
    }
    Ok(())
}

fn table(stamps: &[Stamp]) -> Table {
    let mut table = Table::new([
        ("WAITS SINCE (UTC)", Align::Left),
        ("OF", Align::Left),
        ("TIME", Align::Left),
        ("TRIED IN VAIN", Align::Right),
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
