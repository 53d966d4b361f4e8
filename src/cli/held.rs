//! A recipient's key in a token, as an operator names it: by a `pkcs11:` URI in the place of a file.

use std::path::Path;

use crate::cli::exit::{Exit, Stop};
use crate::cli::words::Passphrase;
use crate::control::Trouble;
use crate::token::{self, Pin, TokenError};
use crate::vault::{RecipientSecret, TokenUri, UnwrapErr};

/// Reads a URI, where the text means to be one.
pub(super) fn uri(text: &Path) -> Result<Option<TokenUri>, Stop> {
    let Some(text) = text.to_str().filter(|text| TokenUri::is_meant(text)) else { return Ok(None) };
    // The text is not shown: somebody may have written the PIN into it.
    TokenUri::parse(text).map(Some).map_err(|error| {
        Stop::cannot(
            format!("cannot use the key in the token: of its URI, {error}"),
            "write it as 'pkcs11:token=LABEL;object=LABEL?module-path=/usr/lib/softhsm/libsofthsm2.so', in quotation marks",
        )
    })
}

/// Opens the key.
pub(super) fn open(uri: &TokenUri, passphrase: &Passphrase) -> Result<RecipientSecret, Stop> {
    token::recipient(uri, pin(uri, passphrase)?, &mut UnwrapErr(getrandom::SysRng)).map_err(|error| cannot(uri, &error))
}

/// Opens it, or makes it where the token has none of that name; says whether it was made.
pub(super) fn make(uri: &TokenUri, passphrase: &Passphrase) -> Result<(RecipientSecret, bool), Stop> {
    token::make_recipient(uri, pin(uri, passphrase)?, &mut UnwrapErr(getrandom::SysRng)).map_err(|error| cannot(uri, &error))
}

/// The PIN is had as a passphrase is, unless the URI says where it lies.
fn pin(uri: &TokenUri, passphrase: &Passphrase) -> Result<Pin, Stop> {
    if uri.pin_file.is_some() && !passphrase.is_given() {
        return Ok(Pin::InFile);
    }
    Ok(Pin::Given(passphrase.known(&format!("PIN of the token `{}`: ", uri.token.escape_debug()))?))
}

fn cannot(uri: &TokenUri, error: &TokenError) -> Stop {
    let exit = match error {
        TokenError::PinWrong | TokenError::PinWrongBefore | TokenError::PinLocked => Exit::Refused,
        TokenError::NoRecipient => Exit::NotFound,
        TokenError::Library(..)
        | TokenError::NoToken(_)
        | TokenError::SeveralTokens(_)
        | TokenError::NoPinFile
        | TokenError::PinFile(..)
        | TokenError::PinFileOpen(_)
        | TokenError::NoKey
        | TokenError::SeveralKeys
        | TokenError::OtherKind
        | TokenError::MayNotDerive
        | TokenError::NoMechanism
        | TokenError::KeepsSecret
        | TokenError::NoPublic(_)
        | TokenError::NotAgreed(_)
        | TokenError::NotSigned(_)
        | TokenError::Away
        | TokenError::Late
        | TokenError::Thread(_)
        | TokenError::Refused(_) => Exit::Cannot,
    };
    Stop::Trouble(exit, Trouble::new(format!("cannot use the key in the token, `{uri}`: {error}"), error.remedy()))
}
