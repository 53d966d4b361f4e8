//! The installation that is meant: its configuration, and where its files are.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::catalogue::{Entry, Opening, Reason, Retention, State, Store};
use crate::cli::doors::Doors;
use crate::cli::exit::{Exit, Stop};
use crate::cli::list::counted;
use crate::cli::term::{Style, Term};
use crate::cli::who;
use crate::control::config::{self, Mistake, Report, Weight};
use crate::control::{Settings, Trouble};
use crate::ids::RecordingId;
use crate::keyfolder::shares::Shares;
use crate::vault::{KeyFile, NodePublic};

/// Reads the configuration.
pub(super) fn read(config: &Path) -> Result<Report, Stop> {
    let bytes = read_file(config, "the configuration", "name it with --config FILE; deploy/mitschnitt.toml is a sample")?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(config::parse(&text)),
        Err(error) => {
            let line = error.as_bytes().iter().take(error.utf8_error().valid_up_to()).filter(|&&byte| byte == b'\n').count() + 1;
            let (what, remedy) = ("this is no UTF-8".into(), "save it as UTF-8, as every TOML file is".into());
            let mistake = Mistake { line: Some(line), weight: Weight::Error, what, remedy };
            Ok(Report {
                settings: None,
                mistakes: vec![mistake],
                data: None,
                spare: None,
                node_key: None,
                retention: None,
                access: None,
            })
        }
    }
}

/// Tells mistakes on standard error; returns how many of them weigh as errors.
pub(super) fn tell(mistakes: &[Mistake], config: &Path, term: &mut Term<'_>) -> Result<usize, Stop> {
    for mistake in mistakes {
        let place = mistake.line.map_or_else(|| config.display().to_string(), |line| format!("{}:{line}", config.display()));
        let trouble = Trouble::new(format!("{place}: {}", mistake.what), mistake.remedy.clone());
        match mistake.weight {
            Weight::Error => term.error(&trouble)?,
            Weight::Warning => term.warning(&trouble)?,
        }
    }
    Ok(mistakes.iter().filter(|mistake| mistake.weight == Weight::Error).count())
}

/// Says how many errors there were, after [`tell`].
pub(super) fn close(errors: usize, term: &mut Term<'_>) -> Result<(), Stop> {
    let (count, them) = if errors == 1 { ("one mistake".into(), "it") } else { (format!("{errors} mistakes"), "them") };
    Ok(term.err.line(format_args!("{count}; the proxy does not start with {them}"))?)
}

/// Puts mistakes in the order of the lines; what is missing altogether comes last.
pub(super) fn sort(mistakes: &mut [Mistake]) {
    mistakes.sort_by_key(|mistake| mistake.line.unwrap_or(usize::MAX));
}

/// Reads the configuration, which must be right.
pub(super) fn settings(config: &Path, term: &mut Term<'_>) -> Result<Settings, Stop> {
    let report = read(config)?;
    if report.settings.is_none() {
        tell(&report.mistakes, config, term)?;
    }
    report.settings.ok_or(Stop::Said(Exit::Cannot))
}

/// The data directory of an installation, and what lies in it.
pub(super) struct Site {
    data: PathBuf,
    spare: Option<PathBuf>,
    /// Of each folder of keys, in their order.
    shares: Vec<Shares>,
    node_public: Option<PathBuf>,
    node_private: Option<PathBuf>,
    retention: Option<Retention>,
}

impl Site {
    /// Finds it. A configuration with mistakes serves as long as it names the data directory: recordings must be had even then.
    pub(super) fn find(config: &Path, term: &mut Term<'_>) -> Result<Self, Stop> {
        let report = read(config)?;
        let errors = report.mistakes.iter().filter(|mistake| mistake.weight == Weight::Error).count();
        let Some(data) = report.data else {
            tell(&report.mistakes, config, term)?;
            return Err(Stop::Said(Exit::Cannot));
        };
        if errors > 0 {
            let shown = config.display();
            let what = format!("{shown} has {}; recordings are found all the same", counted(errors, "mistake"));
            let them = if errors == 1 { "it" } else { "them" };
            term.note(&Trouble::new(what, format!("mitschnitt check --config {shown} tells {them}")))?;
        }
        let node_public = report.node_key.as_ref().map(config::NodeKeyFile::public);
        let shares = key_folders(&data, report.spare.as_deref()).iter().map(|folder| Shares::of(folder)).collect();
        Ok(Self {
            shares,
            data,
            spare: report.spare,
            node_public,
            node_private: report.node_key.map(|key| key.path),
            retention: report.retention,
        })
    }

    /// Returns how long recordings are kept; nothing where the configuration does not say it in a way that can be read.
    pub(super) const fn retention(&self) -> Option<&Retention> {
        self.retention.as_ref()
    }

    /// Says that nobody knows what is locked.
    pub(super) fn without_retention(&self) -> Stop {
        let what = "the [[retention]] of the configuration cannot be read: nobody knows what is locked, and until when";
        Stop::cannot(what, "`mitschnitt check` tells its mistakes")
    }

    /// Opens the ledger.
    pub(super) fn store(&self, opening: Opening, doors: &Doors<'_>) -> Result<Box<dyn Store>, Stop> {
        Ok((doors.open_store)(&self.ledger(), opening)?)
    }

    /// Returns the ledger's file.
    pub(super) fn ledger(&self) -> PathBuf {
        self.data.join("ledger.db")
    }

    /// Says that a recording which the ledger has as being made is torn, where no proxy runs that could be making it: the next start of
    /// the proxy writes the same into the ledger.
    pub(super) fn as_it_is(&self, mut entry: Entry) -> Entry {
        if entry.state == State::Recording && !self.is_running() {
            (entry.state, entry.reason) = (State::Torn, Reason::Torn);
        }
        entry
    }

    /// Returns whether a proxy runs here.
    pub(super) fn is_running(&self) -> bool {
        std::os::unix::net::UnixStream::connect(self.socket()).is_ok()
    }

    /// Returns the control socket's file.
    pub(super) fn socket(&self) -> PathBuf {
        self.data.join("control.sock")
    }

    /// Returns a recording's file: on the spare disk where all of it is there, and in the data directory otherwise.
    pub(super) fn recording(&self, id: RecordingId) -> PathBuf {
        let file = |folder: &Path| folder.join("recordings").join(format!("{id}.rec"));
        let on_spare = self.spare.as_deref().map(file).filter(|path| path.exists());
        on_spare.unwrap_or_else(|| file(&self.data))
    }

    /// Returns the file of a recording's wrapped keys. Where it moved to the spare disk both have it, and that of the data directory is as
    /// good, unless a disk that failed has left half of it.
    pub(super) fn key_file(&self, id: RecordingId) -> PathBuf {
        self.key_file_in(id).1
    }

    fn key_file_in(&self, id: RecordingId) -> (Option<&Shares>, PathBuf) {
        let paths = self.shares.iter().map(|shares| (Some(shares), shares.folder().join(format!("{id}.key"))));
        let mut there: Vec<_> = paths.filter(|(_, path)| path.symlink_metadata().is_ok()).collect();
        let is_whole = |(shares, path): &(Option<&Shares>, PathBuf)| {
            read_opened(*shares, path, id).is_ok_and(|bytes| KeyFile::parse(&bytes).is_ok())
        };
        let best = if there.len() > 1 { there.iter().position(is_whole).unwrap_or(0) } else { 0 };
        let none = || (None, self.data.join("keys").join(format!("{id}.key")));
        if best < there.len() { there.swap_remove(best) } else { none() }
    }

    /// Reads a recording's key file, taken out of its envelope where it lies in one.
    pub(super) fn keys(&self, id: RecordingId) -> io::Result<Vec<u8>> {
        let (shares, path) = self.key_file_in(id);
        read_opened(shares, &path, id)
    }

    /// Returns the folders of keys, with what opens envelopes there.
    pub(super) fn shares(&self) -> &[Shares] {
        &self.shares
    }

    /// Returns the folders of the wrapped keys: of the data directory, and of the spare disk where one is configured.
    pub(super) fn key_folders(&self) -> Vec<PathBuf> {
        key_folders(&self.data, self.spare.as_deref())
    }

    /// Returns whether a file of a recording is there, all of it or a part.
    pub(super) fn has_files(&self, id: RecordingId) -> bool {
        // What cannot be looked at may be there.
        self.files(id).map_or(true, |files| !files.is_empty())
    }

    /// Removes a recording's files, all of it or parts, from each disk and durably; they may be gone already. On failure, says which.
    pub(super) fn remove_files(&self, id: RecordingId) -> Result<(), (PathBuf, io::Error)> {
        for path in self.files(id)? {
            fs::remove_file(&path).map_err(|error| (path, error))?;
        }
        for folder in self.recording_folders().filter(|folder| folder.exists()) {
            File::open(&folder).and_then(|folder| folder.sync_all()).map_err(|error| (folder, error))?;
        }
        Ok(())
    }

    fn recording_folders(&self) -> impl Iterator<Item = PathBuf> {
        std::iter::once(&self.data).chain(&self.spare).map(|folder| folder.join("recordings"))
    }

    /// The files of a recording: whole, and the part on the spare disk of one that was cut short while it moved there.
    fn files(&self, id: RecordingId) -> Result<Vec<PathBuf>, (PathBuf, io::Error)> {
        let (whole, part) = (format!("{id}.rec"), format!("{id}.rec.from-"));
        let redacting = format!("{id}.rec{REDACTING}");
        let mut files = Vec::new();
        for folder in self.recording_folders() {
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err((folder, error)),
            };
            for entry in entries {
                let path = entry.map_err(|error| (folder.clone(), error))?.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                files.extend((name == whole || name == redacting || name.starts_with(&part)).then_some(path));
            }
        }
        Ok(files)
    }

    /// Returns a recording's file where it lies in one piece on one disk, as what is to be changed must; nothing where it is not there.
    pub(super) fn only_file(&self, id: RecordingId) -> Result<Option<PathBuf>, Stop> {
        let files = self.files(id).map_err(|(path, error)| cannot_read(&path, "the folder", &error, ""))?;
        let mut files = files.into_iter().filter(|path| path.extension().is_some_and(|last| last != "redacting"));
        let first = files.next();
        if let Some(second) = files.next() {
            let what = format!("recording {id} lies in more than one file, `{}` is one of them", second.display());
            return Err(Stop::cannot(what, "the next start of the proxy puts the pieces together; or erase all of it"));
        }
        Ok(first)
    }

    /// Opens a recording's file, and says how long it is; nothing where it is not there.
    pub(super) fn open(&self, id: RecordingId) -> Result<Option<(File, u64)>, Stop> {
        let path = self.recording(id);
        let opened = File::open(&path).and_then(|file| Ok((file.metadata()?.len(), file)));
        match opened {
            Ok((length, file)) => Ok(Some((file, length))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(cannot_read(&path, "the recording", &error, "")),
        }
    }

    /// Reads a recording's wrapped keys.
    pub(super) fn wrapped(&self, id: RecordingId) -> Result<Vec<u8>, Stop> {
        let remedy = "without it nobody opens the recording: it was erased, or it lies in another `data.directory`";
        self.keys(id).map_err(|error| cannot_read(&self.key_file(id), "the recording's wrapped keys", &error, remedy))
    }

    /// Reads the node's public key: the named file, or the one beside the configured private key, or that key's public half.
    pub(super) fn node(&self, named: Option<&Path>) -> Result<NodePublic, Stop> {
        let remedy = "`keys generate` makes it; elsewhere, name the public key with --node FILE";
        let public = named.map(Path::to_owned).or_else(|| self.node_public.clone()).unwrap_or_default();
        if named.is_none()
            && !public.exists()
            && let Some(private) = self.node_private.as_ref().filter(|private| private.exists())
        {
            let text = read_file(private, "the node's key", remedy)?;
            let key = crate::vault::NodeKey::from_pem(&text).map_err(|error| bad_key(private, &error))?;
            return Ok(*key.public());
        }
        let text = read_file(&public, "the node's public key", remedy)?;
        NodePublic::from_pem(&text).map_err(|error| bad_key(&public, &error))
    }
}

fn key_folders(data: &Path, spare: Option<&Path>) -> Vec<PathBuf> {
    std::iter::once(data).chain(spare).map(|folder| folder.join("keys")).collect()
}

fn read_opened(shares: Option<&Shares>, path: &Path, id: RecordingId) -> io::Result<Vec<u8>> {
    let bytes = fs::read(path)?;
    match shares {
        Some(shares) => Ok(shares.open(id, bytes)?),
        None => Ok(bytes),
    }
}

/// Returns what a recording's new file is called until it is in its place.
pub(super) fn redacting(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(REDACTING);
    name.into()
}

const REDACTING: &str = ".redacting";

/// Reads a file that is needed.
pub(super) fn read_file(path: &Path, what: &str, remedy: &str) -> Result<Vec<u8>, Stop> {
    fs::read(path).map_err(|error| cannot_read(path, what, &error, remedy))
}

/// Says that a file cannot be read; `remedy` is what to do where it is not there.
pub(super) fn cannot_read(path: &Path, what: &str, error: &io::Error, remedy: &str) -> Stop {
    let (cause, remedy) = if error.kind() == io::ErrorKind::NotFound {
        ("it is not there".to_owned(), remedy.to_owned())
    } else if error.kind() == io::ErrorKind::PermissionDenied {
        let remedy = format!("this runs as {}; `ls -l {}` shows who may", who::user(), path.display());
        ("permission denied".to_owned(), remedy)
    } else {
        (error.to_string(), remedy.to_owned())
    };
    Stop::cannot(format!("cannot read {what} `{}`: {cause}", path.display()), remedy)
}

/// Says that two halves of the node's key do not belong to each other.
pub(super) fn other_half(public: &Path, private: &str) -> Trouble {
    Trouble::new(
        format!("`{}` is not the public half of `{}`: recordings would not verify", public.display(), private),
        "put the private key back that belongs to it; or move the public one away, and `mitschnitt keys generate` makes the right one",
    )
}

/// Says what to do where the node's public key is there and the private one is not.
pub(super) fn half_alone(public: &Path) -> String {
    format!(
        "put it back from a backup; or move `{}` away, keep it (it verifies the recordings so far), and `mitschnitt keys generate` makes a new pair",
        public.display()
    )
}

/// Says that a key cannot be used.
pub(super) fn bad_key(path: &Path, error: &crate::vault::BadKey) -> Stop {
    Stop::cannot(
        format!("cannot use the key `{}`: {error}", path.display()),
        "keys are PEM files, as `mitschnitt keys generate` and openssl write them",
    )
}

/// A state of the ledger as it looks.
pub(super) const fn style(state: State) -> Style {
    match state {
        State::None => Style::Quiet,
        State::Recording => Style::Care,
        State::Sealed => Style::Good,
        State::Torn => Style::Bad,
        State::Salvaged => Style::Care,
        State::Erased => Style::Quiet,
    }
}
