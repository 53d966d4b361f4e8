//! `keys generate`: every key that the configuration names and that is not there yet; none is ever overwritten.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde_json::json;
use zeroize::Zeroizing;

use crate::cli::exit::{Exit, Stop};
use crate::cli::secret::read_secret;
use crate::cli::site;
use crate::cli::table::{Align, Cell, Table};
use crate::cli::term::{Style, Term};
use crate::cli::who;
use crate::cli::words::{Kind, Passphrase, SecretKey};
use crate::control::config::{NodeKeyFile, Recipient as Listener};
use crate::token::{self, TokenError};
use crate::vault::{BadKey, Kem, NodeKey, NodePublic, Recipient, RecipientSecret, Strength, TokenUri, UnwrapErr};

/// One key: found, or to be made.
struct Key {
    what: String,
    path: PathBuf,
    fingerprint: String,
    half: Half,
    /// What is to be written; nothing where it is there, or lies in a token.
    pem: Option<Zeroizing<String>>,
    is_made: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    /// It stays: the node signs with it.
    Signing,
    /// It may be seen by everybody.
    Public,
    /// It must leave.
    Secret,
}

/// What protects the secret keys that are made.
pub(super) struct Protection {
    pub(super) passphrase: Passphrase,
    /// The operator wants none.
    pub(super) is_unwanted: bool,
}

impl Protection {
    /// Returns the text of a new secret key, behind a passphrase where one is given or somebody can be asked for it.
    pub(super) fn of(&self, secret: &RecipientSecret, whose: &str, term: &Term<'_>) -> Result<Zeroizing<String>, Stop> {
        if self.is_unwanted || !(self.passphrase.is_given() || term.may_ask) {
            return secret.to_pem().ok_or_else(in_a_token);
        }
        let passphrase = self.passphrase.chosen(whose)?;
        secret.to_protected_pem(&passphrase, &mut UnwrapErr(getrandom::SysRng)).ok_or_else(in_a_token)
    }
}

/// A key in a token is never written to a file.
fn in_a_token() -> Stop {
    Stop::cannot("the key is in a token, and does not leave it", "name its public half")
}

/// Makes the keys.
pub(super) fn generate(
    config: &Path,
    kind: Option<Kind>,
    protection: &Protection,
    is_json: bool,
    term: &mut Term<'_>,
) -> Result<(), Stop> {
    let settings = site::settings(config, term)?;
    // All is looked at before anything is written.
    let mut planned = node(&settings.node_key)?;
    let kem = kem(kind, &settings.recipients);
    let mut listeners = Listeners { kem, protection, term };
    settings.recipients.iter().try_for_each(|recipient| listeners.plan(recipient, &mut planned))?;
    let mut keys = Vec::new();
    let done = planned.into_iter().try_for_each(|key| {
        if let Some(pem) = &key.pem {
            write(&key.path, pem.as_bytes(), key.half)?;
        }
        keys.push(key);
        Ok(())
    });
    // What was made before something failed is told all the same: it is there.
    if is_json {
        for key in &keys {
            let half = match key.half {
                Half::Signing => "signing",
                Half::Public => "public",
                Half::Secret => "secret",
            };
            let path = key.path.display().to_string();
            let made = key.is_made;
            term.out
                .line(json!({ "key": key.what, "half": half, "file": path, "fingerprint": key.fingerprint, "made": made }))?;
        }
    } else if !keys.is_empty() {
        tell(&keys, term)?;
    }
    done
}

fn tell(keys: &[Key], term: &mut Term<'_>) -> Result<(), Stop> {
    let mut table = Table::new([("", Align::Left), ("KEY", Align::Left), ("FILE", Align::Left), ("FINGERPRINT", Align::Left)]);
    for Key { what, path, fingerprint, half, is_made, .. } in keys {
        let (word, style) = if *is_made { ("made", Style::Good) } else { ("kept", Style::Quiet) };
        let half = match half {
            Half::Signing => "signs",
            Half::Public => "public",
            Half::Secret => "secret",
        };
        table.row([
            Cell::styled(word, style),
            Cell::new(format!("{what}, {half}")),
            Cell::new(path.display().to_string()),
            Cell::styled(fingerprint, Style::Quiet),
        ]);
    }
    term.out.text(&table.text(term.out.colour(), 0))?;
    let here: Vec<_> = keys.iter().filter(|key| key.half == Half::Secret).collect();
    if !here.is_empty() {
        let them = if here.len() == 1 { ("this file", "it") } else { ("these files", "one") };
        let head = term.out.styled(Style::Care, &format!("Move {} off this machine now, to those who may listen:", them.0));
        let mut text = format!("\n{head}\n");
        for key in here {
            text.push_str(&format!("  {}\n", key.path.display()));
        }
        text.push_str(&format!(
            "Whoever holds {} can open the recordings made for it; without {} nobody can. The proxy needs none of them.\n",
            them.1, them.1
        ));
        let is_open = |key: &&Key| key.pem.as_ref().is_some_and(|pem| !pem.starts_with("-----BEGIN ENCRYPTED"));
        if keys.iter().filter(|key| key.half == Half::Secret).any(|key| is_open(&key)) {
            text.push_str(
                "No passphrase protects what was made: --passphrase-file, or a terminal to ask on, and the next one is.\n",
            );
        }
        term.out.text(&text)?;
    }
    Ok(())
}

/// Makes the node's key in its token, where it is not there.
fn in_token(uri: &TokenUri, public: &Path) -> Result<Vec<Key>, Stop> {
    let there = if_there(public, "the node's public key")?
        .map(|text| NodePublic::from_pem(&text).map_err(|error| site::bad_key(public, &error)))
        .transpose()?;
    let cannot =
        |error: TokenError| Stop::cannot(format!("cannot use the node's key in the token, `{uri}`: {error}"), error.remedy());
    let (own, is_made) = match (token::public(uri), &there) {
        (Err(TokenError::NoKey), Some(_)) => {
            let what = format!("the node's key is not in the token, `{uri}`, and its public half is there");
            return Err(Stop::cannot(what, site::half_alone(public)));
        }
        (Err(TokenError::NoKey), None) => token::make(uri).map_err(cannot)?,
        (found, _) => (found.map_err(cannot)?, false),
    };
    if there.is_some_and(|there| there != own) {
        return Err(Stop::Trouble(Exit::Cannot, site::other_half(public, &uri.to_string())));
    }
    let fingerprint = own.fingerprint().short();
    let row = |path, half, pem, is_made| Key { what: "node".into(), path, fingerprint: fingerprint.clone(), half, pem, is_made };
    let pem = there.is_none().then(|| own.to_pem().into());
    let is_written = pem.is_some();
    Ok(vec![row(uri.to_string().into(), Half::Signing, None, is_made), row(public.to_owned(), Half::Public, pem, is_written)])
}

fn node(file: &NodeKeyFile) -> Result<Vec<Key>, Stop> {
    if let Some(uri) = &file.token {
        return in_token(uri, &file.public());
    }
    let (private, public) = (&file.path, &file.public());
    let own = if_there(private, "the node's key")?
        .map(|text| NodeKey::from_pem(&text).map_err(|error| site::bad_key(private, &error)))
        .transpose()?;
    let there = if_there(public, "the node's public key")?
        .map(|text| NodePublic::from_pem(&text).map_err(|error| site::bad_key(public, &error)))
        .transpose()?;
    let key = match (&own, &there) {
        (None, Some(_)) => {
            return Err(Stop::cannot(
                format!("the node's key, `{}`, is not there, and its public half is", private.display()),
                site::half_alone(public),
            ));
        }
        (Some(own), Some(there)) if own.public() != there => {
            return Err(Stop::Trouble(Exit::Cannot, site::other_half(public, &private.display().to_string())));
        }
        (Some(own), _) => own,
        (None, None) => &NodeKey::generate(&mut UnwrapErr(getrandom::SysRng)),
    };
    let fingerprint = key.public().fingerprint().short();
    let row = |path: &Path, half, pem: Option<_>| Key {
        what: "node".into(),
        path: path.into(),
        fingerprint: fingerprint.clone(),
        half,
        is_made: pem.is_some(),
        pem,
    };
    Ok(vec![
        row(private, Half::Signing, own.is_none().then(|| key.to_pem()).flatten()),
        row(public, Half::Public, there.is_none().then(|| key.public().to_pem().into())),
    ])
}

/// Returns the mechanism of new keys: what is wanted, or one as strong as the keys there are, for those of one recording are of one strength.
pub(super) fn kem<'l>(kind: Option<Kind>, listeners: impl IntoIterator<Item = &'l Listener>) -> Kem {
    let there = |listener: &Listener| Some(Recipient::from_pem(&fs::read(&listener.public_key).ok()?).ok()?.kem().strength());
    match kind {
        Some(Kind::XWing) => Kem::XWing,
        Some(Kind::X25519) => Kem::X25519,
        Some(Kind::P256) => Kem::P256,
        None => match listeners.into_iter().filter_map(there).min() {
            Some(Strength::Classical) => Kem::X25519,
            Some(Strength::PostQuantum) | None => Kem::XWing,
        },
    }
}

/// How the keys of those who may listen are made.
struct Listeners<'l, 't> {
    kem: Kem,
    protection: &'l Protection,
    term: &'l Term<'t>,
}

impl Listeners<'_, '_> {
    fn plan(&mut self, recipient: &Listener, keys: &mut Vec<Key>) -> Result<(), Stop> {
        let (public, secret) = (&recipient.public_key, &recipient.secret_key());
        let mut is_shared = false;
        for key in keys.iter_mut().filter(|key| [public, secret].contains(&&key.path)) {
            key.what = format!("{} and {}", key.what, recipient.name);
            is_shared = true;
        }
        if is_shared {
            return Ok(());
        }
        let row = |path: &Path, key: &Recipient, half, pem: Option<_>| Key {
            what: recipient.name.clone(),
            path: path.into(),
            fingerprint: key.fingerprint().short(),
            half,
            is_made: pem.is_some(),
            pem,
        };
        if let Some(text) = if_there(public, "the public key")? {
            let there = Recipient::from_pem(&text).map_err(|error| site::bad_key(public, &error))?;
            keys.push(row(public, &there, Half::Public, None));
            let own = fs::read(secret).map(Zeroizing::new).map(|text| RecipientSecret::from_pem(&text));
            match own {
                Ok(Ok(own)) if *own.public() != there => {
                    return Err(Stop::cannot(
                        format!("`{}` is not the secret half of `{}`", secret.display(), public.display()),
                        "it opens nothing that is recorded for that one: move away the one that is not meant",
                    ));
                }
                // Whether one behind a passphrase is the other half, only its holder can say.
                Ok(Ok(_) | Err(BadKey::Protected)) => keys.push(row(secret, &there, Half::Secret, None)),
                Ok(Err(_)) | Err(_) => {}
            }
            return Ok(());
        }
        // A secret key whose public half was lost gives it back.
        let key = SecretKey { key: secret.clone(), passphrase: self.protection.passphrase.clone() };
        let found = if_there(secret, "the secret key")?.map(|_| read_secret(&key)).transpose()?;
        let is_there = found.is_some();
        let own = found.unwrap_or_else(|| RecipientSecret::generate_as(self.kem, &mut UnwrapErr(getrandom::SysRng)));
        let text = if is_there { None } else { Some(self.protection.of(&own, &recipient.name, self.term)?) };
        // The secret half first: a public key that nothing opens would make recordings that nothing opens.
        keys.push(row(secret, own.public(), Half::Secret, text));
        keys.push(row(public, own.public(), Half::Public, Some(own.public().to_pem().into())));
        Ok(())
    }
}

fn if_there(path: &Path, what: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Stop> {
    match fs::read(path) {
        Ok(text) => Ok(Some(Zeroizing::new(text))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(site::cannot_read(path, what, &error, "")),
    }
}

/// Writes a file that was not there before, durably; what is secret may be read by its owner alone.
pub(super) fn write(path: &Path, text: &[u8], half: Half) -> Result<(), Stop> {
    let mode = if half == Half::Public { 0o644 } else { 0o600 };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let written = DirBuilder::new().recursive(true).mode(0o700).create(folder).and_then(|()| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::File::open(folder)?.sync_all()
    });
    written.map_err(|error| {
        let folder = folder.display();
        let remedy = if error.kind() == io::ErrorKind::PermissionDenied {
            format!("this runs as {}; `ls -ld {folder}` shows who may write there", who::user())
        } else if error.kind() == io::ErrorKind::StorageFull {
            format!("free some space: df -h {folder}")
        } else {
            format!("is `{folder}` a directory that can be written?")
        };
        Stop::cannot(format!("cannot write the key `{}`: {error}", path.display()), remedy)
    })
}
