//! The files and the folder that the configuration names: there, readable, and what they should be.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Access, access};

use crate::cli::doors::Doors;
use crate::cli::site;
use crate::cli::who;
use crate::control::config::{FileUse, Mistake, NamedFile, NodeKeyFile, TlsFiles, Weight};
use crate::control::{Settings, Trouble};
use crate::keyfolder::shares::Shares;
use crate::tls::{Bad, Files, Tls, Witness};
use crate::vault::{BadKey, Kem, NodeKey, NodePublic, Recipient, TokenUri};

/// What was found.
#[derive(Default)]
pub(super) struct Found {
    /// What is wrong.
    pub(super) mistakes: Vec<Mistake>,
    /// The fingerprint of each key, shortened.
    pub(super) fingerprints: BTreeMap<PathBuf, String>,
    /// The mechanism of each recipient's key.
    kems: BTreeMap<PathBuf, Kem>,
    /// How long each announcement is.
    pub(super) lengths: BTreeMap<PathBuf, Duration>,
}

/// Looks at everything that must be there before the proxy can start.
pub(super) fn check(settings: &Settings, config: &Path, doors: &Doors<'_>) -> Found {
    let mut found = Found::default();
    for file in settings.files() {
        if let Err((what, remedy)) = look(&file, config, doors, &mut found) {
            found.mistakes.push(Mistake { line: file.line, weight: Weight::Error, what, remedy });
        }
    }
    found
        .mistakes
        .extend(settings.node_key.token.as_ref().and_then(|uri| token(uri, settings.node_key.line, &mut found.fingerprints)));
    found.mistakes.extend(halves(&settings.node_key));
    found.mistakes.extend(mixed(settings, &found.kems));
    found.mistakes.extend(settings.tls.as_ref().and_then(tls));
    found.mistakes.extend(data_directory(&settings.data));
    found.mistakes.extend(settings.spare.as_ref().and_then(|spare| spare_directory(spare, &settings.data)));
    let folders = std::iter::once(&settings.data).chain(&settings.spare).map(|folder| folder.join("keys"));
    found.mistakes.extend(folders.filter_map(|folder| shares(&folder, settings.local_share)));
    found
}

fn look(file: &NamedFile, config: &Path, doors: &Doors<'_>, found: &mut Found) -> Result<(), (String, String)> {
    let path = &file.path;
    let (what, make) = match &file.file_use {
        FileUse::NodeKey => {
            let public = NodeKeyFile { path: path.clone(), token: None, line: file.line }.public();
            let make = if public.exists() { site::half_alone(&public) } else { make_keys(config) };
            ("the node's key".to_owned(), make)
        }
        FileUse::PublicKey { recipient } => (format!("the public key of `{recipient}`"), make_keys(config)),
        FileUse::Certificate => ("the certificate for TLS".to_owned(), ISSUED.to_owned()),
        FileUse::CertificateKey => ("the key of the certificate for TLS".to_owned(), ISSUED.to_owned()),
        FileUse::Authorities => (
            "the file of the authorities for TLS".to_owned(),
            "install ca-certificates, or name your own authority's file".to_owned(),
        ),
        FileUse::HookSecret => {
            ("the web hook's secret".to_owned(), format!("make one: openssl rand -hex 32 > {}", path.display()))
        }
        FileUse::TimestampCertificate => {
            ("the certificate of the authority for timestamps".to_owned(), "the authority publishes it".to_owned())
        }
        FileUse::Payloads { policy, coding, .. } => {
            let make =
                "record one RTP stream of the announcement, and let Wireshark export it as rtpdump; see \"Codecs\" in the manual";
            (format!("the announcement of `{policy}` in {coding}"), make.to_owned())
        }
        FileUse::Announcement { policy, language } => (
            format!("the announcement of `{policy}` in `{language}`"),
            if path.is_absolute() {
                "put it there, or correct the path".into()
            } else {
                format!("the path starts at {}, where this runs", here())
            },
        ),
    };
    let bytes = fs::read(path).map_err(|error| unreadable(&what, path, &error, make))?;
    let bad_key = |error: BadKey| {
        let remedy = "name the file that `keys generate` made, or move this one away and make another";
        (format!("{what}, `{}`, cannot be used: {error}", path.display()), remedy.to_owned())
    };
    let unusable = |trouble: Trouble| {
        (format!("{what}, `{}`, cannot be used: {}", path.display(), trouble.what()), trouble.remedy().to_owned())
    };
    match &file.file_use {
        FileUse::NodeKey => {
            let key = NodeKey::from_pem(&bytes).map_err(bad_key)?;
            found.fingerprints.insert(path.clone(), key.public().fingerprint().short());
            found.mistakes.extend(readable_by_others(file, &what));
        }
        FileUse::CertificateKey | FileUse::HookSecret => found.mistakes.extend(readable_by_others(file, &what)),
        FileUse::TimestampCertificate => {
            let none = || {
                (
                    format!("{what}, `{}`, cannot be used: it is none", path.display()),
                    "it is a PEM file that begins with it".into(),
                )
            };
            Witness::from_pem(&bytes).ok_or_else(none)?;
        }
        // Whether they go together is seen once all three are there.
        FileUse::Certificate | FileUse::Authorities => {}
        FileUse::PublicKey { .. } => {
            let key = Recipient::from_pem(&bytes).map_err(bad_key)?;
            found.fingerprints.insert(path.clone(), key.fingerprint().short());
            found.kems.insert(path.clone(), key.kem());
        }
        FileUse::Announcement { .. } => {
            found.lengths.insert(path.clone(), (doors.announcement)(&bytes).map_err(unusable)?);
        }
        FileUse::Payloads { clock, .. } => {
            found.lengths.insert(path.clone(), (doors.payloads)(&bytes, *clock).map_err(unusable)?);
        }
    }
    Ok(())
}

/// Where a certificate comes from.
const ISSUED: &str = "your authority issues it; for a trial: openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout KEY -out CERTIFICATE";

/// A private key that others can read is no secret.
fn readable_by_others(file: &NamedFile, what: &str) -> Option<Mistake> {
    let path = &file.path;
    let mode = fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode());
    (mode & 0o077 != 0).then(|| Mistake {
        line: file.line,
        weight: Weight::Warning,
        what: format!("{what}, `{}`, may be read by others than its owner", path.display()),
        remedy: format!("whoever has it can sign as this node: chmod 600 {}", path.display()),
    })
}

/// The files of TLS must go together.
fn tls(files: &TlsFiles) -> Option<Mistake> {
    // What is not there was told already.
    let certificate = fs::read(&files.certificate).ok()?;
    let private_key = fs::read(&files.private_key).ok()?;
    let authorities = fs::read(&files.authorities).ok()?;
    let texts = Files { certificate: &certificate, private_key: &private_key, authorities: &authorities };
    let bad = Tls::new(texts, files.clients).err()?;
    let which = match bad {
        Bad::NoCertificate | Bad::NotPem(_) | Bad::NotOurs(_) => &files.certificate,
        Bad::NoKey => &files.private_key,
        Bad::NoAuthority => &files.authorities,
    };
    let what = format!("the files of [tls] cannot be used: {bad} (`{}`)", which.display());
    let remedy =
        "the own certificate comes first in its file, then those between it and its authority; the key is PEM, PKCS#8 or SEC1";
    Some(Mistake { line: files.line, weight: Weight::Error, what, remedy: remedy.into() })
}

/// Those who may listen to the same at the same time must have keys of one strength: what is sealed to both is as weak as the weaker.
fn mixed(settings: &Settings, kems: &BTreeMap<PathBuf, Kem>) -> Option<Mistake> {
    let pairs = settings.recipients.iter().enumerate().flat_map(|(nth, one)| {
        settings
            .recipients
            .iter()
            .skip(nth + 1)
            .map(move |other| (one, other))
            .filter(|(one, other)| one.period.meets(&other.period))
    });
    pairs.into_iter().find_map(|(one, other)| {
        let purpose = one.purposes.iter().find(|purpose| other.purposes.contains(purpose))?;
        let [own, theirs] = [one, other].map(|recipient| kems.get(&recipient.public_key));
        let (own, theirs) = (own?, theirs?);
        (own.strength() != theirs.strength()).then(|| Mistake {
            line: Some(other.public_key_line),
            weight: Weight::Error,
            what: format!(
                "the keys of `{}` ({}) and `{}` ({}) would be used for the same recordings, of `{purpose}`",
                one.name,
                own.as_str(),
                other.name,
                theirs.as_str()
            ),
            remedy: "make both of one strength, or let the time of one end (`until`) where that of the other begins (`from`)"
                .into(),
        })
    })
}

/// The token must open, and have the node's key.
fn token(uri: &TokenUri, line: Option<usize>, fingerprints: &mut BTreeMap<PathBuf, String>) -> Option<Mistake> {
    let error = match crate::token::public(uri) {
        Ok(public) => {
            fingerprints.insert(uri.to_string().into(), public.fingerprint().short());
            return None;
        }
        Err(error) => error,
    };
    let what = format!("the node's key in the token, `{uri}`, cannot be used: {error}");
    Some(Mistake { line, weight: Weight::Error, what, remedy: error.remedy().into() })
}

/// The node's key must be the one that recordings are verified with, where that lies beside it.
fn halves(node_key: &NodeKeyFile) -> Option<Mistake> {
    let (private, public) = (&node_key.path, &node_key.public());
    let error = |what, remedy: String| Some(Mistake { line: node_key.line, weight: Weight::Error, what, remedy });
    let text = match fs::read(public) {
        Ok(text) => text,
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => return None,
        Err(other) => {
            let (what, remedy) = unreadable("the node's public key", public, &other, String::new());
            return error(what, remedy);
        }
    };
    let there = match NodePublic::from_pem(&text) {
        Ok(there) => there,
        Err(bad) => {
            let what = format!("the node's public key, `{}`, cannot be used: {bad}", public.display());
            return error(what, "move it away, and `mitschnitt keys generate` makes it from the private one".into());
        }
    };
    let (own, own_name) = match &node_key.token {
        // What is wrong with the private half was told already.
        None => (*fs::read(private).ok().and_then(|text| NodeKey::from_pem(&text).ok())?.public(), private.display().to_string()),
        Some(uri) => (crate::token::public(uri).ok()?, uri.to_string()),
    };
    if own == there {
        return None;
    }
    let trouble = site::other_half(public, &own_name);
    error(trouble.what().to_owned(), trouble.remedy().to_owned())
}

fn make_keys(config: &Path) -> String {
    format!("make it with: mitschnitt keys generate --config {}", config.display())
}

fn unreadable(what: &str, path: &Path, error: &io::Error, make: String) -> (String, String) {
    let shown = path.display();
    if error.kind() == io::ErrorKind::NotFound {
        return (format!("{what}, `{shown}`, is not there"), make);
    }
    if error.kind() == io::ErrorKind::PermissionDenied {
        let remedy = format!("this runs as {}; try: chown {} {shown}", who::user(), who::name());
        return (format!("{what}, `{shown}`, cannot be read: permission denied"), remedy);
    }
    (format!("{what}, `{shown}`, cannot be read: {error}"), make)
}

/// The data directory must be there and be writable, or be possible to make.
fn data_directory(data: &Path) -> Option<Mistake> {
    let error = |what, remedy| Some(Mistake { line: None, weight: Weight::Error, what, remedy });
    let shown = data.display();
    match fs::metadata(data) {
        Ok(metadata) if !metadata.is_dir() => error(
            format!("the data directory `{shown}` is no directory"),
            "move that file away, or name another `data.directory`".into(),
        ),
        Ok(_) if access(data, Access::WRITE_OK | Access::EXEC_OK).is_ok() => None,
        Ok(_) => error(
            format!("the data directory `{shown}` cannot be written"),
            format!("this runs as {}; try: chown {} {shown}", who::user(), who::name()),
        ),
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => {
            let above = data
                .ancestors()
                .skip(1)
                .find(|above| above.exists() || above.as_os_str().is_empty())
                .unwrap_or_else(|| Path::new("."));
            let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
            if access(above, Access::WRITE_OK | Access::EXEC_OK).is_ok() && above.is_dir() {
                return None;
            }
            error(
                format!("the data directory `{shown}` is not there, and `{}` does not let it be made", above.display()),
                format!("make it, and give it to the service's user: install -d -m 700 -o USER {shown}"),
            )
        }
        Err(other) => {
            error(format!("the data directory `{shown}` cannot be looked at: {other}"), format!("this runs as {}", who::user()))
        }
    }
}

/// The spare directory must be there, be writable, and lie on a disk of its own. Where it is not so the proxy runs without it.
fn spare_directory(spare: &Path, data: &Path) -> Option<Mistake> {
    let warning = |what, remedy| Some(Mistake { line: None, weight: Weight::Warning, what, remedy });
    let shown = spare.display();
    let metadata = match fs::metadata(spare) {
        Ok(metadata) if metadata.is_dir() && access(spare, Access::WRITE_OK | Access::EXEC_OK).is_ok() => metadata,
        Ok(metadata) if metadata.is_dir() => {
            return warning(
                format!("the spare directory `{shown}` cannot be written: there is no spare disk then"),
                format!("this runs as {}; try: chown {} {shown}", who::user(), who::name()),
            );
        }
        Ok(_) => {
            return warning(
                format!("the spare directory `{shown}` is no directory: there is no spare disk then"),
                "move that file away, or name another `data.spare_directory`".into(),
            );
        }
        Err(error) => {
            return warning(
                format!("the spare directory `{shown}` is not to be had: {error}; there is no spare disk then"),
                format!("mount its disk, and make it there: install -d -m 700 -o {} {shown}", who::name()),
            );
        }
    };
    let of_data = data.ancestors().find_map(|above| fs::metadata(above).ok())?;
    (metadata.dev() == of_data.dev()).then_some(())?;
    warning(
        format!("the spare directory `{shown}` lies on the disk of the data directory: it is no spare"),
        "mount another disk there, or name a directory on one".into(),
    )
}

/// Where key files lie in envelopes, what opens them must be there.
fn shares(folder: &Path, is_wanted: bool) -> Option<Mistake> {
    let fault = Shares::of(folder).look(is_wanted).err()?;
    Some(Mistake {
        line: None,
        weight: Weight::Error,
        what: format!("key files in `{}` cannot lie in envelopes (data.local_share): {fault}", folder.display()),
        remedy: "without it nobody opens what was recorded so far; operating.md says how the two files are kept and put back"
            .into(),
    })
}

fn here() -> String {
    std::env::current_dir().map_or_else(|_| "the working directory".into(), |path| path.display().to_string())
}
