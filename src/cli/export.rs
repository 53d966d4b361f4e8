//! `recordings export`: a recording made audible, for the purpose it was made for and for no other; the access log says who did it.

use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use crate::cli::doors::Doors;
use crate::cli::exit::{Exit, Stop};
use crate::cli::exported::{Made, What, say};
use crate::cli::opened::{Asked, Opened, Refused, opened};
use crate::cli::output::{self, Output};
use crate::cli::term::Term;
use crate::cli::verify::{Word, unopened};
use crate::cli::words::Format;
use crate::control::Trouble;
use crate::export::{self, Channels, ExportError, Origin, PayloadFiles, Survey};
use crate::vault::OpenError;

/// What is wanted.
pub(super) struct Wanted {
    pub(super) asked: Asked,
    pub(super) format: Format,
    pub(super) channels: Channels,
    pub(super) out: PathBuf,
    pub(super) json: bool,
}

/// Exports a recording.
pub(super) fn export(config: &Path, wanted: &Wanted, doors: &Doors<'_>, term: &mut Term<'_>) -> Result<(), Stop> {
    if wanted.channels == Channels::Mono && !wanted.format.is_sound() {
        return Err(Stop::Trouble(
            Exit::Usage,
            Trouble::new(
                "only sound can be mixed to mono",
                "packets and payloads are handed over as they came, each party's apart",
            ),
        ));
    }
    let ready = || if wanted.out.symlink_metadata().is_ok() { Err(output::is_there(&wanted.out)) } else { Ok(()) };
    let (made, word) = opened(config, &wanted.asked, doors, term, ready, |opened| make(opened, wanted))?;
    say(config, wanted, &made, term)?;
    // What came out is less than what was recorded.
    if word == Word::Cut { Err(Stop::Said(Exit::NotSo)) } else { Ok(()) }
}

fn make(opened: &Opened<'_>, wanted: &Wanted) -> Result<Made, Refused> {
    let surveyed = opened.survey()?;
    let made = match wanted.format {
        Format::Wav | Format::Opus => write_sound(opened, wanted, &surveyed.survey),
        Format::Pcapng => {
            let origin = Origin { recording: wanted.asked.id, purpose: wanted.asked.purpose.clone(), began: surveyed.began };
            write_capture(opened, wanted, &origin)
        }
        Format::Payload => write_payloads(opened, wanted),
    };
    Ok(made?)
}

fn write_sound(opened: &Opened<'_>, wanted: &Wanted, survey: &Survey) -> Result<Made, Stop> {
    let output = Output::create(&wanted.out)?;
    let mut input = opened.records("exporting")?;
    let mut out = BufWriter::with_capacity(256 * 1024, output.file());
    let (channels, records) = (wanted.channels, input.by_ref());
    let exported = match wanted.format {
        Format::Opus => export::opus(wanted.asked.id, survey, channels, records, &mut out),
        Format::Wav | Format::Pcapng | Format::Payload => export::wav(survey, channels, records, &mut out),
    };
    let exported = exported.map_err(|error| failed(wanted, &error))?;
    out.flush().map_err(|error| disk(wanted, &error))?;
    drop(out);
    let files = vec![(wanted.out.clone(), output.hash()?)];
    output.publish()?;
    Ok(Made { what: What::Sound(exported), torn: input.torn, files })
}

fn write_capture(opened: &Opened<'_>, wanted: &Wanted, origin: &Origin) -> Result<Made, Stop> {
    let output = Output::create(&wanted.out)?;
    let mut input = opened.records("exporting")?;
    let out = BufWriter::with_capacity(256 * 1024, output.file());
    let handed = export::pcapng(origin, input.by_ref(), out).map_err(|error| failed(wanted, &error))?;
    let files = vec![(wanted.out.clone(), output.hash()?)];
    output.publish()?;
    Ok(Made { what: What::Undecoded(handed), torn: input.torn, files })
}

fn write_payloads(opened: &Opened<'_>, wanted: &Wanted) -> Result<Made, Stop> {
    let outputs = ["pbx.payload", "trunk.payload", "index.csv"].map(|name| Output::create_in(&wanted.out, name));
    let [pbx, trunk, index] = outputs;
    let outputs = [pbx?, trunk?, index?];
    let [pbx, trunk, index] = outputs.each_ref().map(|output| BufWriter::with_capacity(64 * 1024, output.file()));
    let mut files = PayloadFiles { pbx, trunk, index };
    let mut input = opened.records("exporting")?;
    let handed = export::payloads(input.by_ref(), &mut files).map_err(|error| failed(wanted, &error))?;
    drop(files);
    let files = outputs.iter().map(|output| Ok((output.path().to_owned(), output.hash()?))).collect::<Result<_, Stop>>()?;
    output::publish_folder(&wanted.out, outputs.into())?;
    Ok(Made { what: What::Undecoded(handed), torn: input.torn, files })
}

fn failed(wanted: &Wanted, error: &ExportError<OpenError>) -> Stop {
    match error {
        ExportError::Recording(error) => unopened(wanted.asked.id, error),
        ExportError::Disk(cause) => disk(wanted, cause),
        ExportError::TooLong { .. } => Stop::cannot(format!("cannot {error}"), "`--format opus` has no such bound"),
    }
}

fn disk(wanted: &Wanted, cause: &io::Error) -> Stop {
    Stop::cannot(
        format!("cannot write `{}`: {cause}", wanted.out.display()),
        "is there room? `df -h` shows how much; half a file was removed",
    )
}
