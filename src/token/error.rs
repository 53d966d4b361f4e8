//! What is wrong with a token, and what to do.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::vault::{BadKey, NotAgreed, NotSigned};

/// A token cannot be used.
#[derive(Debug)]
pub enum TokenError {
    /// The operator named a library that cannot be loaded.
    Library(PathBuf, cryptoki::error::Error),
    /// No slot has a token of that name.
    NoToken(String),
    /// Several slots have one, and no serial number tells them apart.
    SeveralTokens(String),
    /// The URI names no file for the PIN.
    NoPinFile,
    /// The file of the PIN cannot be read, or is empty.
    PinFile(PathBuf, io::Error),
    /// The file of the PIN can be read by others than its owner.
    PinFileOpen(PathBuf),
    /// The PIN is wrong. It is not tried again.
    PinWrong,
    /// Somebody gave the token a wrong PIN since it was last opened: it is not tried, for so a token is locked.
    PinWrongBefore,
    /// The token is locked.
    PinLocked,
    /// It has no Ed25519 key of that name.
    NoKey,
    /// It has no private key of the name that a recipient's is to have.
    NoRecipient,
    /// It has one, and not of P-256.
    OtherKind,
    /// It has one, and may not derive anything by it.
    MayNotDerive,
    /// It has no CKM_ECDH1_DERIVE.
    NoMechanism,
    /// It does not give out what it derives.
    KeepsSecret,
    /// It does not agree as it should.
    NotAgreed(NotAgreed),
    /// It has several.
    SeveralKeys,
    /// Its public half is not there, or is none.
    NoPublic(Option<BadKey>),
    /// It does not sign as it should.
    NotSigned(NotSigned),
    /// The token was not there a moment ago, and was not looked for again.
    Away,
    /// The token has not answered in time.
    Late,
    /// There is no thread to be had.
    Thread(io::Error),
    /// Anything else that the library says.
    Refused(cryptoki::error::Error),
}

impl TokenError {
    /// Returns what to do.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Library(..) => "`module-path` is the token's PKCS#11 library; may whoever runs this read it?",
            Self::NoToken(_) => "is it plugged in? `pkcs11-tool --module PATH --list-token-slots` shows what there is",
            Self::SeveralTokens(_) => "say its `serial` as well",
            Self::NoPinFile => "name the file of its PIN: pin-source=file:/etc/mitschnitt/pin, mode 0600",
            Self::PinFile(..) => "its first line is the PIN; it belongs to whoever runs this, and has mode 0600",
            Self::PinFileOpen(_) => "whoever has it can use the key where the token is: chmod 600, and set another PIN",
            Self::PinWrong => "correct the PIN, then open the token once by hand: pkcs11-tool --login --list-objects",
            Self::PinWrongBefore => {
                "see that the file has the right PIN, then open the token once by hand: pkcs11-tool --login --list-objects"
            }
            Self::PinLocked => "its security officer unlocks it",
            Self::NoKey => "make it with: mitschnitt keys generate --config FILE",
            Self::NoRecipient => {
                "`pkcs11-tool --login --list-objects` shows what it has; to make it: mitschnitt keys public --make URI"
            }
            Self::OtherKind => {
                "tokens open recordings by P-256 (secp256r1) alone: name another key, or make one under another name"
            }
            Self::MayNotDerive => "make one that may (CKA_DERIVE) under another name: mitschnitt keys public --make URI",
            Self::NoMechanism | Self::KeepsSecret => "take another token, or a key in a file behind a passphrase",
            Self::NotAgreed(_) => {
                "is the public half in the token that of another key? Put the right one there, under the same name"
            }
            Self::SeveralKeys => "give the one that is meant a name of its own (its label)",
            Self::NoPublic(_) => "put the key's public half into the token, under the same name",
            Self::NotSigned(_) => "the node's key must be Ed25519, sign by CKM_EDDSA, and be allowed to",
            Self::Away | Self::Late => "does `pkcs11-tool --login --list-objects` answer?",
            Self::Thread(_) => "too many threads: TasksMax= of the service",
            Self::Refused(_) => "`pkcs11-tool --login --list-objects` says more",
        }
    }

    /// Returns whether to open the token again may help.
    pub(super) const fn may_pass(&self) -> bool {
        !matches!(self, Self::PinWrong | Self::PinWrongBefore | Self::PinLocked)
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Library(path, error) => write!(f, "the library `{}` cannot be loaded: {error}", path.display()),
            Self::NoToken(name) => write!(f, "there is no token `{}`", name.escape_debug()),
            Self::SeveralTokens(name) => write!(f, "there are several tokens `{}`", name.escape_debug()),
            Self::NoPinFile => f.write_str("no file is named for the token's PIN"),
            Self::PinFile(path, error) => write!(f, "the token's PIN cannot be read from `{}`: {error}", path.display()),
            Self::PinFileOpen(path) => write!(f, "the token's PIN in `{}` may be read by others than its owner", path.display()),
            Self::PinWrong => f.write_str("the token's PIN is wrong; it is not tried again"),
            Self::PinWrongBefore => {
                f.write_str("a wrong PIN was given to the token before; it is not tried again, for some more would lock it")
            }
            Self::PinLocked => f.write_str("the token is locked: too many wrong PINs"),
            Self::NoKey => f.write_str("the token has no Ed25519 key of that name"),
            Self::NoRecipient => f.write_str("the token has no private key of that name"),
            Self::OtherKind => f.write_str("the key of that name in the token is not of P-256"),
            Self::MayNotDerive => f.write_str("the token has the key, and may not derive by it"),
            Self::NoMechanism => f.write_str("the token cannot derive by CKM_ECDH1_DERIVE"),
            Self::KeepsSecret => f.write_str("the token derives, and does not give out what it has derived"),
            Self::NotAgreed(error) => write!(f, "{error}"),
            Self::SeveralKeys => f.write_str("the token has several keys of that name"),
            Self::NoPublic(None) => f.write_str("the token has the key, and not its public half"),
            Self::NoPublic(Some(error)) => write!(f, "the key's public half in the token is none: {error}"),
            Self::NotSigned(error) => write!(f, "{error}"),
            Self::Away => f.write_str("the token was not there a moment ago"),
            Self::Late => f.write_str("the token has not answered"),
            Self::Thread(error) => write!(f, "the token's thread cannot start: {error}"),
            Self::Refused(error) => write!(f, "the token refuses: {error}"),
        }
    }
}

impl std::error::Error for TokenError {}
