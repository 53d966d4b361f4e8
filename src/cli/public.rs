//! `keys public`: the public half of a recipient's key, which the configuration names; a key in a token is made by it, too.

use serde_json::json;

use crate::cli::exit::Stop;
use crate::cli::held;
use crate::cli::secret::read_secret;
use crate::cli::site;
use crate::cli::term::Term;
use crate::cli::words::SecretKey;
use crate::control::Trouble;
use crate::vault::Recipient;

/// Prints it. A key in a token is tried first: what is sealed to one that does not open would be lost.
pub(super) fn public(key: &SecretKey, is_made: bool, is_json: bool, term: &mut Term<'_>) -> Result<(), Stop> {
    let in_token = held::uri(&key.key)?;
    let (public, was_made) = match &in_token {
        Some(uri) if is_made => held::make(uri, &key.passphrase).map(|(secret, was_made)| (*secret.public(), was_made))?,
        None if is_made => return Err(elsewhere()),
        Some(_) | None => (read(key)?, false),
    };
    let fingerprint = public.fingerprint();
    if is_json {
        return Ok(term.out.line(json!({
            "public_key": public.to_pem(), "fingerprint": fingerprint.to_string(), "strength": public.kem().as_str(),
            "made": was_made,
        }))?);
    }
    if let Some(uri) = in_token.filter(|_| was_made) {
        term.note(&Trouble::new(
            format!("made a key of {} in the token, `{uri}`: {}", public.kem().as_str(), fingerprint.short()),
            "it cannot be copied: let a second key open the same recordings, for the day on which the token is lost or breaks",
        ))?;
    }
    Ok(term.out.text(&public.to_pem())?)
}

/// Of a file it may be either half.
fn read(key: &SecretKey) -> Result<Recipient, Stop> {
    if held::uri(&key.key)?.is_none() {
        let text = site::read_file(&key.key, "the key", "name a *.pem file of it, or a `pkcs11:` URI")?;
        if let Ok(public) = Recipient::from_pem(&zeroize::Zeroizing::new(text)) {
            return Ok(public);
        }
    }
    read_secret(key).map(|secret| *secret.public())
}

fn elsewhere() -> Stop {
    Stop::cannot("--make is for keys in tokens, and this is a file", "`mitschnitt keys generate` and `rotate` make keys in files")
}
