//! `recordings export`: a recording made audible, for the purpose it was made for and for no other; the access log says who did it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::catalogue::{Deed, Entry, Opening, Outcome, State};
use crate::cli::doors::Doors;
use crate::cli::exit::{Exit, Stop};
use crate::cli::list::length;
use crate::cli::progress::{Progress, Reading};
use crate::cli::show::{erased, no_such};
use crate::cli::site::Site;
use crate::cli::table::pairs;
use crate::cli::term::Term;
use crate::cli::verify::{Word, finding, log, missing, read_secret, unopened};
use crate::cli::who;
use crate::cli::words::Format;
use crate::control::Trouble;
use crate::export::{self, ExportError, Exported, HandedOver, LegExport, Origin, PayloadFiles, Survey};
use crate::ids::RecordingId;
use crate::time::Wall;
use crate::vault::{self, Cut, OpenError, OwnedRecords, RecipientSecret, Record, Recording, Verdict};

/// What is wanted.
pub(super) struct Wanted {
    pub(super) id: RecordingId,
    pub(super) key: PathBuf,
    pub(super) purpose: String,
    pub(super) format: Format,
    pub(super) out: PathBuf,
    pub(super) node: Option<PathBuf>,
    pub(super) json: bool,
}

/// What came of it.
struct Made {
    what: What,
    torn: Option<Cut>,
    /// The files and their SHA-256.
    files: Vec<(PathBuf, String)>,
}

/// What was written.
enum What {
    Sound(Exported),
    Undecoded(HandedOver),
}

/// Exports a recording.
pub(super) fn export(config: &Path, wanted: &Wanted, doors: &Doors<'_>, term: &mut Term<'_>) -> Result<(), Stop> {
    let site = Site::find(config, term)?;
    let mut store = site.store(Opening::ReadAndLog, doors)?;
    let Some(entry) = store.recording(wanted.id)?.map(|entry| site.as_it_is(entry)) else {
        return Err(no_such(&format!("recording {}", wanted.id)));
    };
    if entry.state == State::Erased {
        log(store.as_mut(), wanted.id, Some(&wanted.purpose), Deed::Export, Outcome::Erased)?;
        let what =
            format!("recording {} was erased: {}", wanted.id, erased(&store.accesses(wanted.id)?).replacen("Its", "its", 1));
        return Err(Stop::Trouble(Exit::NotFound, Trouble::new(what, "nothing on this machine can open it any more")));
    }
    let mut tell = |outcome| log(store.as_mut(), wanted.id, Some(&wanted.purpose), Deed::Export, outcome);
    // Where the row does not know what it was made for, the evidence inside does, and decides all the same.
    if let Some(own) = entry.purpose.as_deref().filter(|own| *own != wanted.purpose) {
        tell(Outcome::OtherPurpose)?;
        return Err(other_purpose(wanted, own));
    }
    let (secret, word) = match ready(&site, &entry, wanted, term) {
        Ok(ready) => ready,
        Err(stop) => {
            tell(Outcome::Failed)?;
            return Err(stop);
        }
    };
    tell(Outcome::Granted)?;
    let made = make(&site, wanted, &secret);
    tell(match &made {
        Ok(_) => Outcome::Done,
        Err(Refused::Purpose(_)) => Outcome::OtherPurpose,
        Err(Refused::Stop(Stop::Trouble(Exit::Refused, _))) => Outcome::WrongKey,
        Err(Refused::Stop(_)) => Outcome::Failed,
    })?;
    match made {
        Ok(made) => {
            say(config, wanted, &made, term)?;
            // What came out is less than what was recorded.
            if word == Word::Cut { Err(Stop::Said(Exit::NotSo)) } else { Ok(()) }
        }
        Err(Refused::Purpose(own)) => Err(other_purpose(wanted, &own)),
        Err(Refused::Stop(stop)) => Err(stop),
    }
}

/// Finds out whether it can be begun: with a key, on a recording that was not changed, into a file that is not there.
fn ready(site: &Site, entry: &Entry, wanted: &Wanted, term: &mut Term<'_>) -> Result<(RecipientSecret, Word), Stop> {
    let secret = read_secret(&wanted.key)?;
    if wanted.out.symlink_metadata().is_ok() {
        return Err(Stop::cannot(
            format!("`{}` is there already", wanted.out.display()),
            "name another file: none is overwritten",
        ));
    }
    Ok((secret, verified(site, entry, wanted, term)?))
}

/// Why nothing is exported.
enum Refused {
    /// The evidence inside the recording names this purpose.
    Purpose(String),
    Stop(Stop),
}

impl From<Stop> for Refused {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

fn other_purpose(wanted: &Wanted, own: &str) -> Stop {
    let what = format!("recording {} was made for `{own}`, not for `{}`", wanted.id, wanted.purpose);
    Stop::Trouble(
        Exit::Refused,
        Trouble::new(what, "a recording is opened for its own purpose only; this refusal is in the access log"),
    )
}

/// Sound is given out of nothing that is not as it was written; of what is torn, what there is.
fn verified(site: &Site, entry: &Entry, wanted: &Wanted, term: &mut Term<'_>) -> Result<Word, Stop> {
    let node = site.node(wanted.node.as_deref())?;
    let Some((file, length)) = site.open(wanted.id)? else {
        let missing = missing(site, wanted.id, Some(entry))?;
        let what = format!("recording {} is missing: {}", wanted.id, missing.what());
        return Err(Stop::Trouble(Exit::NotSo, Trouble::new(what, missing.remedy())));
    };
    let input = Progress::begin("verifying", length).reading(BufReader::with_capacity(64 * 1024, file));
    let verdict = vault::verify(input, &node).map_err(|error| unopened(wanted.id, &error))?;
    let found = finding(&verdict, length, Some(entry));
    match verdict {
        Verdict::Complete(_) => Ok(found.word),
        Verdict::Salvaged(_) => {
            let what = format!("recording {} is {}: {}", wanted.id, found.word.as_str(), found.text);
            let remedy = if found.word == Word::Cut {
                "what is whole is exported; a backup has the rest"
            } else {
                "what is whole is exported; what came after it was lost"
            };
            term.warning(&Trouble::new(what, remedy))?;
            Ok(found.word)
        }
        Verdict::Cut(_) => {
            let what = format!("recording {} is {}: {}", wanted.id, found.word.as_str(), found.text);
            let remedy = if found.word == Word::Cut {
                "what is whole is exported, and no signature covers it; a backup has the rest"
            } else {
                "what is whole is exported, and no signature covers it"
            };
            term.warning(&Trouble::new(what, remedy))?;
            Ok(found.word)
        }
        Verdict::Broken(_) => {
            let what = format!("recording {} is broken: {}", wanted.id, found.text);
            Err(Stop::Trouble(
                Exit::NotSo,
                Trouble::new(what, "nothing is exported of what was changed; take the recording from a backup"),
            ))
        }
    }
}

fn make(site: &Site, wanted: &Wanted, secret: &RecipientSecret) -> Result<Made, Refused> {
    let key_file = site.wrapped(wanted.id)?;
    let (survey, began) = {
        let mut input = Records::open(site, wanted.id, &key_file, secret, "reading")?;
        let mut evidence = None;
        let records = input.by_ref().inspect(|record| {
            if let (None, Ok(Record::Evidence(json))) = (&evidence, record) {
                evidence = Some(serde_json::from_slice(json).unwrap_or_default());
            }
        });
        let survey = export::survey(records).map_err(|error| unopened(wanted.id, &error))?;
        let evidence = evidence.unwrap_or_default();
        let own = purpose_of(&evidence).unwrap_or_default();
        if own != wanted.purpose {
            return Err(Refused::Purpose(own));
        }
        (survey, began_of(&evidence).unwrap_or(Wall::from_unix_micros(0)))
    };

    let open = || Records::open(site, wanted.id, &key_file, secret, "exporting");
    let made = match wanted.format {
        Format::Wav => write_sound(wanted, &survey, open),
        Format::Pcapng => {
            let origin = Origin { recording: wanted.id, purpose: wanted.purpose.clone(), began };
            write_capture(wanted, &origin, open)
        }
        Format::Payload => write_payloads(wanted, open),
    };
    Ok(made?)
}

fn write_sound(wanted: &Wanted, survey: &Survey, open: impl FnOnce() -> Result<Records, Stop>) -> Result<Made, Stop> {
    let file = create(&wanted.out)?;
    whole_or_not_at_all(std::slice::from_ref(&wanted.out), || {
        let mut input = open()?;
        let mut out = BufWriter::with_capacity(256 * 1024, &file);
        // How far it is, the reader knows.
        let exported = export::wav(survey, input.by_ref(), &mut out, &mut |_| ()).map_err(|error| failed(wanted, &error))?;
        out.flush().and_then(|()| file.sync_all()).map_err(|error| failed(wanted, &ExportError::Disk(error)))?;
        Ok((What::Sound(exported), input.torn))
    })
}

fn write_capture(wanted: &Wanted, origin: &Origin, open: impl FnOnce() -> Result<Records, Stop>) -> Result<Made, Stop> {
    let file = create(&wanted.out)?;
    whole_or_not_at_all(std::slice::from_ref(&wanted.out), || {
        let mut input = open()?;
        let out = BufWriter::with_capacity(256 * 1024, &file);
        let handed = export::pcapng(origin, input.by_ref(), out).map_err(|error| failed(wanted, &error))?;
        file.sync_all().map_err(|error| failed(wanted, &ExportError::Disk(error)))?;
        Ok((What::Undecoded(handed), input.torn))
    })
}

fn write_payloads(wanted: &Wanted, open: impl FnOnce() -> Result<Records, Stop>) -> Result<Made, Stop> {
    fs::DirBuilder::new().mode(0o700).create(&wanted.out).map_err(|error| not_written(&wanted.out, &error))?;
    let paths = ["pbx.payload", "trunk.payload", "index.csv"].map(|name| wanted.out.join(name));
    let made = whole_or_not_at_all(&paths, || {
        let [pbx, trunk, index] = &paths;
        let [pbx, trunk, index] = [create(pbx)?, create(trunk)?, create(index)?];
        let buffered = |file| BufWriter::with_capacity(64 * 1024, file);
        let mut files = PayloadFiles { pbx: buffered(&pbx), trunk: buffered(&trunk), index: buffered(&index) };
        let mut input = open()?;
        let handed = export::payloads(input.by_ref(), &mut files).map_err(|error| failed(wanted, &error))?;
        for file in [&pbx, &trunk, &index] {
            file.sync_all().map_err(|error| failed(wanted, &ExportError::Disk(error)))?;
        }
        Ok((What::Undecoded(handed), input.torn))
    });
    if made.is_err() {
        drop(fs::remove_dir(&wanted.out));
    }
    made
}

/// Half a file must not be taken for a whole one: where something goes wrong, all of them are removed.
fn whole_or_not_at_all(paths: &[PathBuf], write: impl FnOnce() -> Result<(What, Option<Cut>), Stop>) -> Result<Made, Stop> {
    let written = write().and_then(|(what, torn)| {
        let files = paths.iter().map(|path| Ok((path.clone(), hash(path)?))).collect::<Result<_, Stop>>()?;
        Ok(Made { what, torn, files })
    });
    if written.is_err() {
        paths.iter().for_each(|path| drop(fs::remove_file(path)));
    }
    written
}

/// The purpose that the evidence names.
fn purpose_of(evidence: &serde_json::Value) -> Option<String> {
    Some(evidence.get("policy")?.get("purpose")?.as_str()?.to_owned())
}

/// When the recording began, as the evidence says.
fn began_of(evidence: &serde_json::Value) -> Option<Wall> {
    evidence.get("granted_at")?.as_str()?.parse().ok()
}

fn create(path: &Path) -> Result<File, Stop> {
    // It is a voice in the clear: for whoever exports it alone.
    let file = OpenOptions::new().write(true).read(true).create_new(true).mode(0o600).open(path);
    file.map_err(|error| not_written(path, &error))
}

fn not_written(path: &Path, error: &io::Error) -> Stop {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let folder = folder.display();
    let remedy = if error.kind() == io::ErrorKind::NotFound {
        format!("there is no folder `{folder}`: make it first")
    } else {
        format!("this runs as {}; `ls -ld {folder}` shows who may write there", who::user())
    };
    Stop::cannot(format!("cannot write `{}`: {error}", path.display()), remedy)
}

fn failed(wanted: &Wanted, error: &ExportError<OpenError>) -> Stop {
    match error {
        ExportError::Recording(error) => unopened(wanted.id, error),
        ExportError::Disk(cause) => Stop::cannot(
            format!("cannot write `{}`: {cause}", wanted.out.display()),
            "is there room? `df -h` shows how much; half a file was removed",
        ),
        ExportError::TooLong { .. } => Stop::cannot(format!("cannot {error}"), "export what came, undecoded: `--format pcapng`"),
    }
}

fn hash(path: &Path) -> Result<String, Stop> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    let read = File::open(path).and_then(|mut file| {
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                return Ok(());
            }
            hasher.update(buffer.get(..read).unwrap_or_default());
        }
    });
    read.map_err(|error| Stop::cannot(format!("cannot read `{}` again: {error}", path.display()), "look at the disk"))?;
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn say(config: &Path, wanted: &Wanted, made: &Made, term: &mut Term<'_>) -> Result<(), Stop> {
    match &made.what {
        What::Sound(exported) => say_sound(config, wanted, made, exported, term),
        What::Undecoded(handed) => say_undecoded(wanted, made, handed, term),
    }
}

fn say_undecoded(wanted: &Wanted, made: &Made, handed: &HandedOver, term: &mut Term<'_>) -> Result<(), Stop> {
    let out = wanted.out.display().to_string();
    let [pbx, trunk] = handed.packets;
    if wanted.json {
        let codings: Vec<_> = handed
            .codings
            .iter()
            .map(|((leg, coding), packets)| json!({ "leg": leg.as_str(), "coding": coding, "packets": packets }))
            .collect();
        let files: Vec<_> =
            made.files.iter().map(|(path, sha256)| json!({ "file": path.display().to_string(), "sha256": sha256 })).collect();
        return Ok(term.out.line(json!({
            "recording": wanted.id.to_string(),
            "files": files,
            "torn": made.torn.is_some(),
            "duration_s": handed.duration.as_secs_f64(),
            "pbx": { "packets": pbx },
            "trunk": { "packets": trunk },
            "ignored": handed.ignored,
            "codings": codings,
        }))?);
    }
    let kind = match wanted.format {
        Format::Pcapng => "RTP in pcapng",
        Format::Payload | Format::Wav => "RTP payloads",
    };
    let mut lines = vec![
        ("packets", format!("{}, {kind}", length(handed.duration))),
        ("from", format!("PBX: {pbx} packets; trunk: {trunk} packets")),
    ];
    lines.extend(
        handed
            .codings
            .iter()
            .map(|((leg, coding), packets)| ("coding", format!("{packets} packets of the {leg} side: {coding}"))),
    );
    if handed.ignored > 0 {
        lines.push(("left out", format!("{} packets: no RTP, or longer than a datagram", handed.ignored)));
    }
    match made.files.as_slice() {
        [(_, sha256)] => lines.push(("sha256", sha256.clone())),
        files => lines.extend(files.iter().map(|(path, sha256)| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            ("sha256", format!("{sha256}  {name}"))
        })),
    }
    term.out.text(&format!("{out}\n{}", pairs(lines, term.out.colour(), 2)))?;
    Ok(())
}

fn say_sound(config: &Path, wanted: &Wanted, made: &Made, exported: &Exported, term: &mut Term<'_>) -> Result<(), Stop> {
    let out = wanted.out.display().to_string();
    let sha256 = made.files.first().map_or("", |(_, sha256)| sha256);
    if wanted.json {
        let leg = |leg: &LegExport| json!({ "packets": leg.packets, "ignored": leg.ignored, "sounding_s": leg.sounding.as_secs_f64(), "concealed_s": leg.concealed.as_secs_f64(), "silence_s": leg.silence.as_secs_f64() });
        let undecoded: Vec<_> = exported
            .undecoded
            .iter()
            .map(|undecoded| json!({ "leg": undecoded.leg.as_str(), "coding": undecoded.name, "packets": undecoded.packets }))
            .collect();
        return Ok(term.out.line(json!({
            "recording": wanted.id.to_string(),
            "file": out,
            "sha256": sha256,
            "torn": made.torn.is_some(),
            "rate": exported.rate,
            "frames": exported.frames,
            "duration_s": exported.duration.as_secs_f64(),
            "pbx": leg(&exported.pbx),
            "trunk": leg(&exported.trunk),
            "undecoded": undecoded,
        }))?);
    }
    let side = |leg: &LegExport| {
        let concealed = leg.concealed.as_secs_f64();
        let concealed = if concealed > 0.0 { format!(", {concealed:.2} s made up for lost packets") } else { String::new() };
        format!(
            "{} packets; {:.1} s of sound{concealed}, {:.1} s of silence",
            leg.packets,
            leg.sounding.as_secs_f64(),
            leg.silence.as_secs_f64()
        )
    };
    let mut lines = vec![
        ("sound", format!("{}, {} Hz, stereo", length(exported.duration), exported.rate)),
        ("left", format!("PBX: {}", side(&exported.pbx))),
        ("right", format!("trunk: {}", side(&exported.trunk))),
    ];
    lines.extend(exported.undecoded.iter().map(|undecoded| {
        ("silent", format!("{} packets of the {} side: {} is not decoded here", undecoded.packets, undecoded.leg, undecoded.name))
    }));
    if !exported.undecoded.is_empty() {
        lines.push(("whole", format!("for other decoders: {}", undecoded_command(config, wanted))));
    }
    lines.push(("sha256", sha256.to_owned()));
    term.out.text(&format!("{out}\n{}", pairs(lines, term.out.colour(), 2)))?;
    Ok(())
}

/// The command that exports what is not decoded here.
fn undecoded_command(config: &Path, wanted: &Wanted) -> String {
    let word = |text: std::path::Display<'_>| quoted(&text.to_string());
    format!(
        "mitschnitt recordings export {} --key {} --purpose {} --format pcapng --out {} --config {}",
        wanted.id,
        word(wanted.key.display()),
        quoted(&wanted.purpose),
        word(wanted.out.with_extension("pcapng").display()),
        word(config.display())
    )
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte));
    if is_plain { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

/// The records of a recording, up to where it is torn.
struct Records {
    records: OwnedRecords<Reading<BufReader<File>>>,
    torn: Option<Cut>,
}

impl Records {
    fn open(site: &Site, id: RecordingId, key_file: &[u8], secret: &RecipientSecret, doing: &'static str) -> Result<Self, Stop> {
        let (file, length) = site.open(id)?.ok_or_else(|| {
            let path = site.recording(id);
            Stop::cannot(format!("`{}` was taken away while it was read", path.display()), "try again once it is back")
        })?;
        let input = Progress::begin(doing, length).reading(BufReader::with_capacity(64 * 1024, file));
        let recording = Recording::open(input, key_file, secret).map_err(|error| unopened(id, &error))?;
        Ok(Self { records: recording.records(), torn: None })
    }
}

impl Iterator for Records {
    type Item = Result<Record, OpenError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.records.next() {
            Some(Err(OpenError::Cut(torn))) => {
                self.torn = Some(torn);
                None
            }
            other => other,
        }
    }
}
