//! A recipient's key in a token: P-256, by which it agrees with whoever has sealed something to it.

use std::sync::{Mutex, PoisonError};

use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::elliptic_curve::{EcKdf, Ecdh1DeriveParams};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use zeroize::Zeroizing;

use crate::token::TokenError;
use crate::token::line::Line;
use crate::vault::{Agreement, NotAgreed, Recipient};

/// A key of P-256 that is in use.
pub(super) struct Agrees(Mutex<Line>);

impl Agrees {
    pub(super) const fn by(line: Line) -> Self {
        Self(Mutex::new(line))
    }
}

impl Agreement for Agrees {
    fn agree(&self, point: &[u8; 65]) -> Result<Zeroizing<[u8; 32]>, NotAgreed> {
        // Nothing in it can be half done.
        let line = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        line.agree(point).map_err(|_| NotAgreed::Refused)
    }
}

impl Line {
    /// Returns the public half of a recipient's key.
    pub(super) fn recipient(&self) -> Result<Recipient, TokenError> {
        let session = self.session()?;
        self.p256(session, ObjectClass::PRIVATE_KEY)?;
        let is_none = |error| if matches!(error, TokenError::NoRecipient) { TokenError::NoPublic(None) } else { error };
        let public = self.p256(session, ObjectClass::PUBLIC_KEY).map_err(is_none)?;
        let attributes = session.get_attributes(public, &[AttributeType::EcPoint]).map_err(TokenError::Refused)?;
        let point =
            attributes.iter().find_map(|attribute| if let Attribute::EcPoint(point) = attribute { Some(point) } else { None });
        let point = point.and_then(|point| bare(point)).ok_or(TokenError::NoPublic(None))?;
        Recipient::from_p256(&point).map_err(|error| TokenError::NoPublic(Some(error)))
    }

    /// Returns the x-coordinate of the key times a point.
    ///
    /// The token has it as an object of this session for as long as it takes to read it.
    pub(super) fn agree(&self, point: &[u8; 65]) -> Result<Zeroizing<[u8; 32]>, TokenError> {
        let session = self.session()?;
        let key = self.p256(session, ObjectClass::PRIVATE_KEY)?;
        let derive = Mechanism::Ecdh1Derive(Ecdh1DeriveParams::new(EcKdf::null(), point));
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::GENERIC_SECRET),
            Attribute::ValueLen(32.into()),
            Attribute::Token(false),
            Attribute::Sensitive(false),
            Attribute::Extractable(true),
        ];
        let secret = session.derive_key(&derive, key, &template).map_err(not_derived)?;
        let read = session.get_attributes(secret, &[AttributeType::Value]);
        // Whether it could be read or not.
        session.destroy_object(secret).map_err(TokenError::Refused)?;
        let value = read
            .map_err(not_read)?
            .into_iter()
            .find_map(|attribute| if let Attribute::Value(value) = attribute { Some(Zeroizing::new(value)) } else { None });
        let value = value.ok_or(TokenError::KeepsSecret)?;
        let value: &[u8; 32] = value.as_slice().try_into().map_err(|_| TokenError::NotAgreed(NotAgreed::Wrong))?;
        Ok(Zeroizing::new(*value))
    }

    /// Makes a recipient's key.
    pub(super) fn make_recipient(&self) -> Result<Recipient, TokenError> {
        // To read and to write: another session than that which agrees.
        let library = self.library()?;
        let session = library.open_rw_session(self.slot(library)?).map_err(TokenError::Refused)?;
        let label = self.label();
        let both = [Attribute::Token(true), Attribute::Label(label.clone()), Attribute::Id(label)];
        let private = [
            both.as_slice(),
            &[Attribute::Private(true), Attribute::Sensitive(true), Attribute::Extractable(false)],
            // To nothing else it is used.
            &[Attribute::Derive(true), Attribute::Sign(false)],
        ]
        .concat();
        let [curve, ..] = CURVES;
        let public = [both.as_slice(), &[Attribute::Private(false), Attribute::EcParams(curve.to_vec())]].concat();
        session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private).map_err(TokenError::Refused)?;
        self.recipient()
    }

    /// Finds one half of the key, which must be of P-256.
    fn p256(&self, session: &Session, class: ObjectClass) -> Result<ObjectHandle, TokenError> {
        let template = [Attribute::Class(class), Attribute::Label(self.label())];
        let key = match session.find_objects(&template).map_err(TokenError::Refused)?.as_slice() {
            [] => return Err(TokenError::NoRecipient),
            [key] => *key,
            [..] => return Err(TokenError::SeveralKeys),
        };
        let is = |wanted: &[AttributeType], of: &dyn Fn(&Attribute) -> bool| {
            session.get_attributes(key, wanted).map(|attributes| attributes.iter().any(of)).map_err(TokenError::Refused)
        };
        // What is no key of a curve has no parameters of one.
        let is_p256 = is(&[AttributeType::KeyType], &|attribute| *attribute == Attribute::KeyType(KeyType::EC))?
            && is(&[AttributeType::EcParams], &|attribute| {
                CURVES.iter().any(|curve| *attribute == Attribute::EcParams(curve.to_vec()))
            })?;
        if is_p256 { Ok(key) } else { Err(TokenError::OtherKind) }
    }
}

/// P-256 for CKA_EC_PARAMS (PKCS#11 3.0 §2.3.3): the OID of RFC 5480 in DER, or one of the curve's names as a PrintableString.
const CURVES: [&[u8]; 3] = [b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07", b"\x13\x09secp256r1", b"\x13\x0aprime256v1"];

fn not_derived(error: Error) -> TokenError {
    if matches!(error, Error::Pkcs11(RvError::KeyFunctionNotPermitted, _)) {
        TokenError::MayNotDerive
    } else if matches!(error, Error::Pkcs11(RvError::MechanismInvalid, _)) {
        TokenError::NoMechanism
    } else {
        TokenError::Refused(error)
    }
}

fn not_read(error: Error) -> TokenError {
    if matches!(error, Error::Pkcs11(RvError::AttributeSensitive, _)) {
        TokenError::KeepsSecret
    } else {
        TokenError::Refused(error)
    }
}

/// The uncompressed point in CKA_EC_POINT: in an OCTET STRING, in a BIT STRING, or alone; all three are met.
fn bare(point: &[u8]) -> Option<[u8; 65]> {
    let inner = match point.len() {
        67 => point.strip_prefix(b"\x04\x41"),
        68 => point.strip_prefix(b"\x03\x42\0"),
        _ => Some(point),
    };
    inner?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_taken_out_of_whatever_it_stands_in() {
        let own = [4; 65];

        assert_eq!(bare(&own), Some(own));
        assert_eq!(bare(&[b"\x04\x41".as_slice(), &own].concat()), Some(own));
        assert_eq!(bare(&[b"\x03\x42\0".as_slice(), &own].concat()), Some(own));
        for other in [&[][..], &[4; 33], &[4; 64], &[4; 66], &[4; 67], &[3; 68], &[4; 69]] {
            assert_eq!(bare(other), None, "{} bytes", other.len());
        }
    }
}
