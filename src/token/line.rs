//! The line to a token: its library, a session that is logged in, and the key in it.

use std::time::{Duration, Instant};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;

use crate::token::{Pin, TokenError};
use crate::vault::{NodePublic, TokenUri};

/// The line. Once the PIN was wrong it opens nothing any more.
pub(super) struct Line {
    uri: TokenUri,
    pin: Pin,
    /// Nothing while it could not be loaded again.
    library: Option<Pkcs11>,
    /// Nothing once it was lost.
    session: Option<Session>,
    is_barred: bool,
    /// When it was last tried in vain to open it.
    failed: Option<Instant>,
}

/// How long a token that is gone is not looked for again.
const AGAIN: Duration = Duration::from_secs(1);

impl Line {
    /// Loads the library, and logs in.
    pub(super) fn open(uri: &TokenUri, pin: Pin) -> Result<Self, TokenError> {
        let mut line = Self { uri: uri.clone(), pin, library: None, session: None, is_barred: false, failed: None };
        line.connect()?;
        Ok(line)
    }

    /// Signs. A session that was lost is opened again, once, from the beginning: libraries differ in what they forget of a token that is gone.
    pub(super) fn sign(&mut self, message: &[u8]) -> Result<[u8; 64], TokenError> {
        if self.session.is_some() {
            match self.sign_once(message) {
                Ok(signature) => return Ok(signature),
                Err(error) => tracing::warn!(%error, "token_session_lost"),
            }
        }
        if self.failed.is_some_and(|failed| failed.elapsed() < AGAIN) {
            return Err(TokenError::Away);
        }
        let signed = self.connect().and_then(|()| self.sign_once(message));
        self.failed = signed.is_err().then(Instant::now);
        if signed.is_err() {
            self.session = None;
        }
        signed
    }

    /// Returns the public half of the key.
    pub(super) fn public(&self) -> Result<NodePublic, TokenError> {
        let session = self.session()?;
        self.key(session)?;
        let found = session.find_objects(&self.template(ObjectClass::PUBLIC_KEY)).map_err(TokenError::Refused)?;
        let handle = *found.first().ok_or(TokenError::NoPublic(None))?;
        let attributes = session.get_attributes(handle, &[AttributeType::EcPoint]).map_err(TokenError::Refused)?;
        let point =
            attributes.iter().find_map(|attribute| if let Attribute::EcPoint(point) = attribute { Some(point) } else { None });
        let point = point.and_then(|point| bare(point)).ok_or(TokenError::NoPublic(None))?;
        NodePublic::from_point(&point).map_err(|error| TokenError::NoPublic(Some(error)))
    }

    /// Makes the key.
    pub(super) fn make(&mut self) -> Result<NodePublic, TokenError> {
        // To read and to write: another session than that which signs.
        let library = self.library()?;
        let session = library.open_rw_session(self.slot(library)?).map_err(TokenError::Refused)?;
        let label = self.label();
        let both = [Attribute::Token(true), Attribute::Label(label.clone()), Attribute::Id(label)];
        let private = [
            both.as_slice(),
            &[Attribute::Private(true), Attribute::Sensitive(true), Attribute::Extractable(false), Attribute::Sign(true)],
        ]
        .concat();
        let made = CURVES.iter().try_fold(Error::NotSupported, |_, curve| {
            let curve = Attribute::EcParams(curve.to_vec());
            let public = [both.as_slice(), &[Attribute::Private(false), Attribute::Verify(true), curve]].concat();
            match session.generate_key_pair(&Mechanism::EccEdwardsKeyPairGen, &public, &private) {
                Ok(_) => Err(()),
                Err(error) => Ok(error),
            }
        });
        match made {
            Ok(error) => Err(TokenError::Refused(error)),
            Err(()) => self.public(),
        }
    }

    fn connect(&mut self) -> Result<(), TokenError> {
        if self.is_barred {
            return Err(TokenError::PinWrong);
        }
        self.session = None;
        if let Some(library) = self.library.take() {
            // It may know nothing of us any more.
            library.finalize().ok();
        }
        let library = self.load()?;
        let logged_in = self.logged_in(&library);
        self.library = Some(library);
        self.session = Some(logged_in.inspect_err(|error| self.is_barred = !error.may_pass())?);
        Ok(())
    }

    fn load(&self) -> Result<Pkcs11, TokenError> {
        let cannot = |error| TokenError::Library(self.uri.module.clone(), error);
        let library = Pkcs11::new(&self.uri.module).map_err(cannot)?;
        match library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(library),
            Err(error) => Err(cannot(error)),
        }
    }

    fn logged_in(&self, library: &Pkcs11) -> Result<Session, TokenError> {
        let slot = self.slot(library)?;
        let info = library.get_token_info(slot).map_err(TokenError::Refused)?;
        if info.user_pin_locked() {
            return Err(TokenError::PinLocked);
        }
        // Somebody who types it knows that it was wrong before; a file is as it was.
        if info.user_pin_final_try() || info.user_pin_count_low() && matches!(self.pin, Pin::InFile) {
            return Err(TokenError::PinWrongBefore);
        }
        let session = library.open_ro_session(slot).map_err(TokenError::Refused)?;
        let pin = self.pin.read(self.uri.pin_file.as_deref())?;
        match session.login_with_raw(UserType::User, &pin) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
            Err(Error::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange | RvError::PinExpired, _)) => {
                Err(TokenError::PinWrong)
            }
            Err(Error::Pkcs11(RvError::PinLocked, _)) => Err(TokenError::PinLocked),
            Err(error) => Err(TokenError::Refused(error)),
        }
    }

    pub(super) fn slot(&self, library: &Pkcs11) -> Result<Slot, TokenError> {
        let slots = library.get_slots_with_token().map_err(TokenError::Refused)?;
        let mut ours = slots.into_iter().filter(|&slot| {
            library.get_token_info(slot).is_ok_and(|info| {
                let serial = self.uri.serial.as_deref();
                info.label() == self.uri.token && serial.is_none_or(|serial| serial == info.serial_number())
            })
        });
        match (ours.next(), ours.next()) {
            (Some(slot), None) => Ok(slot),
            (Some(_), Some(_)) => Err(TokenError::SeveralTokens(self.uri.token.clone())),
            (None, _) => Err(TokenError::NoToken(self.uri.token.clone())),
        }
    }

    pub(super) fn library(&self) -> Result<&Pkcs11, TokenError> {
        self.library.as_ref().ok_or(TokenError::Late)
    }

    /// Returns the name of the key in the token.
    pub(super) fn label(&self) -> Vec<u8> {
        self.uri.object.as_bytes().to_vec()
    }

    pub(super) fn session(&self) -> Result<&Session, TokenError> {
        self.session.as_ref().ok_or(TokenError::Late)
    }

    fn sign_once(&self, message: &[u8]) -> Result<[u8; 64], TokenError> {
        let session = self.session()?;
        let key = self.key(session)?;
        let pure = Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure));
        let signature = session.sign(&pure, key, message).map_err(TokenError::Refused)?;
        signature.try_into().map_err(|_| TokenError::Refused(Error::InvalidValue))
    }

    fn key(&self, session: &Session) -> Result<ObjectHandle, TokenError> {
        match session.find_objects(&self.template(ObjectClass::PRIVATE_KEY)).map_err(TokenError::Refused)?.as_slice() {
            [] => Err(TokenError::NoKey),
            [key] => Ok(*key),
            [..] => Err(TokenError::SeveralKeys),
        }
    }

    fn template(&self, class: ObjectClass) -> [Attribute; 3] {
        let label = self.label();
        [Attribute::Class(class), Attribute::KeyType(KeyType::EC_EDWARDS), Attribute::Label(label)]
    }
}

/// Ed25519 for CKA_EC_PARAMS (PKCS#11 3.0 §2.3.10): the OID of RFC 8410 in DER, or the curve's name as a PrintableString, whichever is taken.
const CURVES: [&[u8]; 2] = [b"\x06\x03\x2b\x65\x70", b"\x13\x0cedwards25519"];

/// The 32 bytes of RFC 8032 in CKA_EC_POINT: alone, in an OCTET STRING, or in a BIT STRING; all three are met.
fn bare(point: &[u8]) -> Option<[u8; 32]> {
    let inner = match point.len() {
        34 => point.strip_prefix(b"\x04\x20"),
        35 => point.strip_prefix(b"\x03\x21\0"),
        _ => Some(point),
    };
    inner?.try_into().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_taken_out_of_whatever_it_stands_in() {
        let own = [7; 32];

        assert_eq!(bare(&own), Some(own));
        assert_eq!(bare(&[b"\x04\x20".as_slice(), &own].concat()), Some(own));
        assert_eq!(bare(&[b"\x03\x21\0".as_slice(), &own].concat()), Some(own));
        for other in [&[][..], &[7; 31], &[7; 33], &[7; 34], &[7; 35], &[7; 36]] {
            assert_eq!(bare(other), None, "{} bytes", other.len());
        }
    }
}
