//! `keys generate`: every key that the configuration names and that is not there yet; none is ever overwritten.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::cli::exit::Stop;
use crate::cli::site;
use crate::cli::table::{Align, Cell, Table};
use crate::cli::term::{Style, Term};
use crate::cli::who;
use crate::control::config::Recipient as Listener;
use crate::vault::{NodeKey, Recipient, RecipientSecret, UnwrapErr};

/// One key, made or found.
struct Key {
    what: String,
    path: PathBuf,
    fingerprint: String,
    made: Made,
    half: Half,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Made {
    Now,
    Before,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Half {
    /// It stays: the node signs with it.
    Signing,
    /// It may be seen by everybody.
    Public,
    /// It must leave.
    Secret,
}

/// Makes the keys.
pub(super) fn generate(config: &Path, is_json: bool, term: &mut Term<'_>) -> Result<(), Stop> {
    let settings = site::settings(config, term)?;
    let mut keys = Vec::new();
    let done = node(&settings.node_key.path, &settings.node_key.public(), &mut keys)
        .and_then(|()| settings.recipients.iter().try_for_each(|recipient| listener(recipient, &mut keys)));
    // What was made before something failed is told all the same: it is there.
    if is_json {
        for key in &keys {
            let half = match key.half {
                Half::Signing => "signing",
                Half::Public => "public",
                Half::Secret => "secret",
            };
            let path = key.path.display().to_string();
            let made = key.made == Made::Now;
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
    for Key { what, path, fingerprint, made, half } in keys {
        let (word, style) = if *made == Made::Now { ("made", Style::Good) } else { ("kept", Style::Quiet) };
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
        term.out.text(&text)?;
    }
    Ok(())
}

fn node(private: &Path, public: &Path, keys: &mut Vec<Key>) -> Result<(), Stop> {
    let (key, made) = match fs::read(private) {
        Ok(text) => (NodeKey::from_pem(&text).map_err(|error| site::bad_key(private, &error))?, Made::Before),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = NodeKey::generate(&mut UnwrapErr(getrandom::SysRng));
            write(private, key.to_pem().as_bytes(), Half::Signing)?;
            (key, Made::Now)
        }
        Err(error) => return Err(site::cannot_read(private, "the node's key", &error, "")),
    };
    let fingerprint = key.public().fingerprint().short();
    keys.push(Key { what: "node".into(), path: private.into(), fingerprint: fingerprint.clone(), made, half: Half::Signing });
    let made = if public.exists() {
        let text = site::read_file(public, "the node's public key", "")?;
        let there = crate::vault::NodePublic::from_pem(&text).map_err(|error| site::bad_key(public, &error))?;
        if there != *key.public() {
            return Err(Stop::cannot(
                format!("`{}` is not the public half of `{}`", public.display(), private.display()),
                "whoever verifies with it would call every recording another node's; move it away, and run this again",
            ));
        }
        Made::Before
    } else {
        write(public, key.public().to_pem().as_bytes(), Half::Public)?;
        Made::Now
    };
    keys.push(Key { what: "node".into(), path: public.into(), fingerprint, made, half: Half::Public });
    Ok(())
}

fn listener(recipient: &Listener, keys: &mut Vec<Key>) -> Result<(), Stop> {
    let (public, secret) = (&recipient.public_key, &recipient.secret_key());
    let key = |path: &Path, key: &Recipient, made, half| Key {
        what: recipient.name.clone(),
        path: path.into(),
        fingerprint: key.fingerprint().short(),
        made,
        half,
    };
    if public.exists() {
        let text = site::read_file(public, "the public key", "")?;
        let there = Recipient::from_pem(&text).map_err(|error| site::bad_key(public, &error))?;
        keys.push(key(public, &there, Made::Before, Half::Public));
        if let Ok(text) = fs::read(secret)
            && let Ok(own) = RecipientSecret::from_pem(&text)
        {
            keys.push(key(secret, own.public(), Made::Before, Half::Secret));
        }
        return Ok(());
    }
    // A secret key whose public half was lost gives it back.
    let (own, made) = match fs::read(secret) {
        Ok(text) => (RecipientSecret::from_pem(&text).map_err(|error| site::bad_key(secret, &error))?, Made::Before),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let own = RecipientSecret::generate(&mut UnwrapErr(getrandom::SysRng));
            // The secret half first: a public key that nothing opens would make recordings that nothing opens.
            write(secret, own.to_pem().as_bytes(), Half::Secret)?;
            (own, Made::Now)
        }
        Err(error) => return Err(site::cannot_read(secret, "the secret key", &error, "")),
    };
    keys.push(key(secret, own.public(), made, Half::Secret));
    write(public, own.public().to_pem().as_bytes(), Half::Public)?;
    keys.push(key(public, own.public(), Made::Now, Half::Public));
    Ok(())
}

/// Writes a file that was not there before, durably; what is secret may be read by its owner alone.
fn write(path: &Path, text: &[u8], half: Half) -> Result<(), Stop> {
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
