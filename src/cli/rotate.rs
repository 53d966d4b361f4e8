//! `keys rotate`: another key for one who may listen, and what to write so that it follows the one there is.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::cli::exit::{Exit, Stop};
use crate::cli::keys::{Half, Protection, kem, write};
use crate::cli::site;
use crate::cli::term::{Style, Term};
use crate::cli::who;
use crate::cli::words::Kind;
use crate::control::config::Recipient as Listener;
use crate::control::{Settings, Trouble};
use crate::time::{Period, Wall};
use crate::vault::{Kem, Recipient, RecipientSecret, UnwrapErr};

/// What is wanted.
pub(super) struct Wanted {
    pub(super) recipient: String,
    /// Where the secret half goes.
    pub(super) private_to: Option<PathBuf>,
    /// A public key that was made elsewhere.
    pub(super) public: Option<PathBuf>,
    pub(super) from: Option<Wall>,
    pub(super) strength: Option<Kind>,
    pub(super) json: bool,
}

/// The key that follows.
struct Next {
    name: String,
    public_key: PathBuf,
    private: Option<PathBuf>,
    key: Recipient,
    from: String,
}

/// Makes the key, and says what to write.
///
/// The configuration is not changed: it is the operator's text, with comments and an order of its own, and perhaps under the care of another
/// program. What is printed can be read before it is meant, and `check` reads it afterwards.
pub(super) fn rotate(config: &Path, wanted: &Wanted, protection: &Protection, term: &mut Term<'_>) -> Result<(), Stop> {
    let settings = site::settings(config, term)?;
    let Some(listener) = settings.recipients.iter().find(|listener| listener.name == wanted.recipient) else {
        let names: Vec<_> = settings.recipients.iter().map(|listener| listener.name.as_str()).collect();
        let what = format!("there is no recipient `{}` in the configuration", wanted.recipient);
        return Err(Stop::Trouble(Exit::NotFound, Trouble::new(what, format!("there are: {}", names.join(", ")))));
    };
    let next = next(config, &settings, listener, wanted, protection, term)?;
    if let Some((other, kem)) = unlike(&settings, listener, &next) {
        let what =
            format!("the new key is of {}, and that of `{other}`, beside it, of {}", next.key.kem().as_str(), kem.as_str());
        let remedy = "`check` refuses both for the same recordings: rotate that one to the same day, or say --strength";
        term.warning(&Trouble::new(what, remedy))?;
    }
    if wanted.json {
        let (public, private) =
            (next.public_key.display().to_string(), next.private.as_ref().map(|path| path.display().to_string()));
        return Ok(term.out.line(json!({
            "recipient": listener.name, "until": next.from, "line": listener.public_key_line,
            "next": { "name": next.name, "purposes": listener.purposes, "public_key": public, "from": next.from },
            "private_key": private, "fingerprint": next.key.fingerprint().to_string(), "strength": next.key.kem().as_str(),
        }))?);
    }
    say(config, listener, &next, term)
}

fn next(
    config: &Path,
    settings: &Settings,
    listener: &Listener,
    wanted: &Wanted,
    protection: &Protection,
    term: &Term<'_>,
) -> Result<Next, Stop> {
    let day = |at: Wall| at.to_string().chars().take(10).collect::<String>();
    let from = wanted.from.unwrap_or_else(|| who::now() + std::time::Duration::from_secs(24 * 3600));
    let from = day(from);
    // `desk-2026-12-01` is followed by `desk-2027-12-01`.
    let stem = listener.name.get(..listener.name.len().saturating_sub(11)).filter(|stem| {
        listener.name.strip_prefix(stem).and_then(|rest| rest.strip_prefix('-')).is_some_and(|rest| midnight(rest).is_some())
    });
    let name = format!("{}-{from}", stem.unwrap_or(&listener.name));
    if settings.recipients.iter().any(|other| other.name == name) {
        let what = format!("there is a recipient `{name}` already");
        return Err(Stop::cannot(what, "it follows on another day: --from DATE"));
    }
    if let Some(public) = &wanted.public {
        let text = site::read_file(public, "the public key", "name the *.pub.pem that its holder has made")?;
        let key = Recipient::from_pem(&text).map_err(|error| site::bad_key(public, &error))?;
        return Ok(Next { name, public_key: public.clone(), private: None, key, from });
    }
    let Some(private) = &wanted.private_to else { return Err(nowhere(listener)) };
    refuse_here(private, config, settings, listener)?;
    let public_key = listener.public_key.with_file_name(format!("{name}.pub.pem"));
    for path in [private, &public_key] {
        if path.symlink_metadata().is_ok() {
            return Err(Stop::cannot(
                format!("`{}` is there already", path.display()),
                "no key is ever overwritten: move it away, or say another",
            ));
        }
    }
    let secret =
        RecipientSecret::generate_as(kem(wanted.strength, beside(settings, listener)), &mut UnwrapErr(getrandom::SysRng));
    let text = protection.of(&secret, &name, term)?;
    // The secret half first: a public key that nothing opens would make recordings that nothing opens.
    write(private, text.as_bytes(), Half::Secret)?;
    write(&public_key, secret.public().to_pem().as_bytes(), Half::Public)?;
    Ok(Next { name, public_key, private: Some(private.clone()), key: *secret.public(), from })
}

/// Returns one who would listen to the same with a key of another strength.
fn unlike<'s>(settings: &'s Settings, listener: &Listener, next: &Next) -> Option<(&'s str, Kem)> {
    let from = midnight(&next.from);
    let follows = Period { from, until: None };
    let mut beside = beside(settings, listener).filter(|other| other.period.meets(&follows));
    beside.find_map(|other| {
        let kem = Recipient::from_pem(&std::fs::read(&other.public_key).ok()?).ok()?.kem();
        (kem.strength() != next.key.kem().strength()).then_some((other.name.as_str(), kem))
    })
}

/// Returns the others who may listen to some of the same.
fn beside<'s>(settings: &'s Settings, listener: &Listener) -> impl Iterator<Item = &'s Listener> {
    settings
        .recipients
        .iter()
        .filter(|other| other.name != listener.name && other.purposes.iter().any(|purpose| listener.purposes.contains(purpose)))
}

/// Returns the beginning of a day that is written as 2027-01-31.
fn midnight(day: &str) -> Option<Wall> {
    format!("{day}T00:00:00.000Z").parse().ok()
}

fn nowhere(listener: &Listener) -> Stop {
    let what = format!("it is not said where the secret key of `{}` goes, and it has no place on this machine", listener.name);
    let remedy = "--private-to PATH: a stick that leaves with its holder; or let the holder make it elsewhere (`openssl genpkey`, or \
                  `mitschnitt keys rotate` there) and name the public half with --public FILE";
    Stop::Trouble(Exit::Refused, Trouble::new(what, remedy))
}

/// The secret half is not put where the proxy's own files are.
fn refuse_here(private: &Path, config: &Path, settings: &Settings, listener: &Listener) -> Result<(), Stop> {
    let above = |path: &Path| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        folder.canonicalize()
    };
    let folder = above(private).map_err(|error| {
        let what = format!("cannot put the secret key to `{}`: {error}", private.display());
        Stop::cannot(what, "its folder must be there: is the stick mounted?")
    })?;
    let own = [above(config), above(&listener.public_key), above(&settings.node_key.path), settings.data.canonicalize()];
    // What cannot be found is nowhere near.
    if own.into_iter().flatten().any(|own| folder.starts_with(own)) {
        let what = format!("`{}` is among the proxy's own files, and a secret key has no place there", private.display());
        let remedy = "whoever gets at this machine would hear everything; say a path on a stick that leaves with its holder";
        return Err(Stop::Trouble(Exit::Refused, Trouble::new(what, remedy)));
    }
    Ok(())
}

fn say(config: &Path, listener: &Listener, next: &Next, term: &mut Term<'_>) -> Result<(), Stop> {
    let Next { name, public_key, private, key, from } = next;
    let fingerprint = key.fingerprint().short();
    let made = term.out.styled(Style::Good, "made");
    if let Some(private) = private {
        term.out.line(format_args!("{made}  {name}, secret  {}", private.display()))?;
        term.out.line(format_args!("{made}  {name}, public  {}  {fingerprint}", public_key.display()))?;
    } else {
        term.out.line(format_args!("read  {name}, public  {}  {fingerprint}", public_key.display()))?;
    }
    let purposes: Vec<_> = listener.purposes.iter().map(|purpose| format!("\"{purpose}\"")).collect();
    let until = if listener.period.until.is_some() { "change" } else { "add" };
    let (config, line) = (config.display(), listener.public_key_line);
    term.out.text(&format!(
        "
In {config}, to the [[recipient]] `{}` (line {line}), {until}:

until = {from}

and below it write:

[[recipient]]
name = \"{name}\"
purposes = [{}]
public_key = {:?}
from = {from}

Then: mitschnitt check --config {config}, and start the proxy anew before {from} (UTC).
So that the new key opens what the old one opens: mitschnitt keys rewrap --all --key OLD.secret.pem --add {}
",
        listener.name,
        purposes.join(", "),
        public_key.display().to_string(),
        public_key.display(),
    ))?;
    Ok(())
}
