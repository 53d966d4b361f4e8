//! A key as an operator names it: by a file that has either half of it, or by its fingerprint.

use std::path::Path;

use zeroize::Zeroizing;

use crate::cli::exit::Stop;
use crate::cli::held;
use crate::cli::secret;
use crate::cli::site;
use crate::cli::words::Passphrase;
use crate::vault::{BadKey, Fingerprint, Recipient, RecipientSecret};

/// A key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum KeyName {
    /// All of its fingerprint.
    Whole(Fingerprint),
    /// The first eight bytes, as they are shown.
    Head([u8; 8]),
}

impl KeyName {
    /// Reads it.
    pub(super) fn read(text: &str) -> Result<Self, Stop> {
        let path = Path::new(text);
        if let Some(name) = fingerprint(text).filter(|_| !path.exists()) {
            return Ok(name);
        }
        if let Some(uri) = held::uri(path)? {
            let asked = Passphrase { passphrase_file: None, passphrase_fd: None };
            return held::open(&uri, &asked).map(|secret| Self::Whole(secret.public().fingerprint()));
        }
        let remedy =
            "name a *.pem file of it, or its fingerprint: 64 hexadecimal digits, or the first 16 as `3f2a-9c01-77de-1b04`";
        let pem = Zeroizing::new(site::read_file(path, "the key", remedy)?);
        let public = match Recipient::from_pem(&pem) {
            Err(BadKey::OtherBlock(..)) => RecipientSecret::from_pem(&pem).map(|secret| *secret.public()),
            Err(BadKey::Protected) => return Err(secret::protected(path)),
            public => public,
        };
        public.map(|key| Self::Whole(key.fingerprint())).map_err(|error| site::bad_key(path, &error))
    }

    /// Returns whether this is the key's fingerprint.
    pub(super) fn is_of(&self, fingerprint: &Fingerprint) -> bool {
        match self {
            Self::Whole(whole) => whole == fingerprint,
            Self::Head(head) => fingerprint.as_bytes().starts_with(head),
        }
    }
}

/// Reads 64 hexadecimal digits, or 16 in groups of four.
fn fingerprint(text: &str) -> Option<KeyName> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').map(nibble).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks_exact(2).filter_map(|two| Some(two.first()? << 4 | two.last()?)).collect();
    let is_grouped = text.len() == 19 && text.split('-').all(|group| group.len() == 4);
    match text.len() {
        64 => bytes.try_into().ok().map(Fingerprint::from_bytes).map(KeyName::Whole),
        _ if is_grouped => bytes.try_into().ok().map(KeyName::Head),
        _ => None,
    }
}

fn nibble(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_known_in_full_and_as_it_is_shown() {
        let key = Fingerprint::from_bytes(std::array::from_fn(|at| u8::try_from(at * 7).unwrap()));

        for text in [key.to_string(), key.short(), key.short().to_uppercase()] {
            assert!(KeyName::read(&text).unwrap().is_of(&key), "{text}");
            assert!(!KeyName::read(&text).unwrap().is_of(&Fingerprint::from_bytes([0; 32])), "{text}");
        }
        for text in
            ["", "0", "0001-0203-0405-060", "0001-0203-0405060708", &"-".repeat(64), &"00".repeat(33), "0001-0203-0405-060g"]
        {
            assert!(KeyName::read(text).is_err(), "{text}");
        }
    }
}
