//! `recordings export`: a recording made audible, for the purpose it was made for and for no other; the access log says who did it.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use crate::cli::doors::Doors;
use crate::cli::exit::{Exit, Stop};
use crate::cli::exported::{Made, What, say};
use crate::cli::opened::{Asked, Opened, Records, Refused, Surveyed, opened};
use crate::cli::output::{self, Output};
use crate::cli::term::Term;
use crate::cli::verify::{Word, unopened};
use crate::cli::words::Format;
use crate::control::Trouble;
use crate::export::{self, Channels, ExportError, Origin, Part as Selected, PayloadFiles, Survey};
use crate::ids::RecordingId;
use crate::vault::OpenError;

/// What is wanted.
pub(super) struct Wanted {
    pub(super) asked: Asked,
    pub(super) format: Format,
    pub(super) channels: Channels,
    /// Where the export goes; none where only a picture is wanted.
    pub(super) out: Option<PathBuf>,
    pub(super) picture: Option<PathBuf>,
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
    let ready = || {
        let there = [&wanted.out, &wanted.picture].into_iter().flatten().find(|path| path.symlink_metadata().is_ok());
        there.map_or(Ok(()), |path| Err(output::is_there(path)))
    };
    let (made, word) = opened(config, &wanted.asked, doors, term, ready, |opened| make(opened, wanted))?;
    made.iter().try_for_each(|made| say(config, wanted, made, term))?;
    // What came out is less than what was recorded.
    if word == Some(Word::Cut) { Err(Stop::Said(Exit::NotSo)) } else { Ok(()) }
}

/// Makes all that is wanted; only then has any of it a name.
fn make(opened: &Opened<'_>, wanted: &Wanted) -> Result<Vec<Made>, Refused> {
    let Surveyed { survey, began, .. } = opened.survey()?;
    let span = survey.span();
    let origin = Origin { recording: wanted.asked.id, purpose: wanted.asked.purpose.clone(), began, span };
    let mut written = Vec::new();
    if let Some(out) = wanted.out.as_deref() {
        written.push(match wanted.format {
            Format::Wav | Format::Opus => write_sound(opened, wanted, out, &survey)?,
            Format::Pcapng => write_capture(opened, out, &origin)?,
            Format::Payload => write_payloads(opened, out)?,
        });
    }
    if let Some(path) = wanted.picture.as_deref() {
        written.push(draw(opened, path, &origin, &survey)?);
    }
    let mut published: Vec<Made> = Vec::new();
    for Written { made, files } in written {
        if let Err(stop) = files.publish() {
            published.iter().for_each(|made| output::take_back(&made.path));
            return Err(stop.into());
        }
        published.push(made);
    }
    Ok(published)
}

/// What was written, and is to get its name.
struct Written {
    made: Made,
    files: Files,
}

enum Files {
    One(Output),
    Folder(PathBuf, Vec<Output>),
}

impl Files {
    fn publish(self) -> Result<(), Stop> {
        match self {
            Self::One(output) => output.publish(),
            Self::Folder(folder, files) => output::publish_folder(&folder, files),
        }
    }
}

fn write_sound(opened: &Opened<'_>, wanted: &Wanted, path: &Path, survey: &Survey) -> Result<Written, Stop> {
    let channels = wanted.channels;
    one(opened, path, "exporting", |records, out| {
        Ok(What::Sound(match wanted.format {
            Format::Opus => export::opus(wanted.asked.id, survey, channels, records, out)?,
            Format::Wav | Format::Pcapng | Format::Payload => export::wav(survey, channels, records, out)?,
        }))
    })
}

fn write_capture(opened: &Opened<'_>, path: &Path, origin: &Origin) -> Result<Written, Stop> {
    one(opened, path, "exporting", |records, out| Ok(What::Undecoded(export::pcapng(origin, records, out)?)))
}

fn draw(opened: &Opened<'_>, path: &Path, origin: &Origin, survey: &Survey) -> Result<Written, Stop> {
    one(opened, path, "drawing", |records, out| Ok(What::Picture(export::picture(origin, survey, records, out)?)))
}

/// Writes one file of the records.
fn one(
    opened: &Opened<'_>,
    path: &Path,
    doing: &'static str,
    write: impl FnOnce(&mut Records, &mut BufWriter<&File>) -> Result<What, ExportError<OpenError>>,
) -> Result<Written, Stop> {
    let output = Output::create(path)?;
    let mut input = opened.records(doing)?;
    let mut out = BufWriter::with_capacity(256 * 1024, output.file());
    let what = write(&mut input, &mut out).map_err(|error| failed(opened.id(), path, &error))?;
    out.flush().map_err(|error| disk(path, &error))?;
    drop(out);
    let files = vec![(path.to_owned(), output.hash()?)];
    let made = Made { what, torn: input.torn, part: opened.part(), path: path.to_owned(), files };
    Ok(Written { made, files: Files::One(output) })
}

fn write_payloads(opened: &Opened<'_>, folder: &Path) -> Result<Written, Stop> {
    let outputs = ["pbx.payload", "trunk.payload", "index.csv"].map(|name| Output::create_in(folder, name));
    let [pbx, trunk, index] = outputs;
    let outputs = [pbx?, trunk?, index?];
    let [pbx, trunk, index] = outputs.each_ref().map(|output| BufWriter::with_capacity(64 * 1024, output.file()));
    let mut files = PayloadFiles { pbx, trunk, index };
    let mut input = opened.records("exporting")?;
    let handed = export::payloads(Selected::of(opened.part().map(|part| part.span), &mut input), &mut files)
        .map_err(|error| failed(opened.id(), folder, &error))?;
    drop(files);
    let files = outputs.iter().map(|output| Ok((output.path().to_owned(), output.hash()?))).collect::<Result<_, Stop>>()?;
    let made = Made { what: What::Undecoded(handed), torn: input.torn, part: opened.part(), path: folder.to_owned(), files };
    Ok(Written { made, files: Files::Folder(folder.to_owned(), outputs.into()) })
}

fn failed(id: RecordingId, path: &Path, error: &ExportError<OpenError>) -> Stop {
    match error {
        ExportError::Recording(error) => unopened(id, error),
        ExportError::Disk(cause) => disk(path, cause),
        ExportError::TooLong { .. } => Stop::cannot(format!("cannot {error}"), "`--format opus` has no such bound"),
    }
}

fn disk(path: &Path, cause: &io::Error) -> Stop {
    Stop::cannot(
        format!("cannot write `{}`: {cause}", path.display()),
        "is there room? `df -h` shows how much; half a file was removed",
    )
}
