//! Timestamps by an authority (RFC 3161): a digest goes out, and what comes back says that the digest was there at that time.

use std::fmt;

use der::{AnyRef, Decode, Reader, SliceReader, Tag, Tagged};

use crate::catalogue::StoreError;
use crate::ids::RecordingId;
use crate::time::Wall;
use crate::vault::{Digest, SignedHead};

/// Keeps what waits for a timestamp, and the timestamps.
pub trait Stamps {
    /// Has these wait for a timestamp, behind those that do already. At most so many wait in all: the oldest are given up for more, since what
    /// comes later in the chain binds them too. Returns how many were.
    ///
    /// # Errors
    /// As for [`Store::write`](crate::catalogue::Store::write).
    fn wait(&mut self, subjects: &[Subject], most: u64) -> Result<u64, StoreError>;

    /// Returns the one that is to be stamped next, of those that wait: the one that was tried the least, and among these the oldest. And how many
    /// wait.
    ///
    /// # Errors
    /// The disk.
    fn next(&self) -> Result<(Option<Stamp>, u64), StoreError>;

    /// Shows all, the oldest first.
    ///
    /// # Errors
    /// The disk.
    fn stamps(&self, each: &mut dyn FnMut(Stamp)) -> Result<(), StoreError>;
}

/// What is stamped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subject {
    /// A head of the ledger's chain, as its line.
    Head(SignedHead),
    /// The root of a recording.
    Root {
        /// Which.
        recording: RecordingId,
        /// Its root.
        root: Digest,
    },
}

impl Subject {
    /// Returns the digest that the authority is shown: of a head that of its line and a line feed, which is the file that `audit head` makes; of a
    /// recording its root as it is.
    #[must_use]
    pub fn digest(&self) -> Digest {
        match self {
            Self::Head(signed) => Digest::of(format!("{signed}\n").as_bytes()),
            Self::Root { root, .. } => *root,
        }
    }

    /// Returns the operator's word for what it is.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Head(_) => "head",
            Self::Root { .. } => "recording",
        }
    }

    /// Returns the number of the head, of a head.
    #[must_use]
    pub const fn seq(&self) -> Option<u64> {
        match self {
            Self::Head(signed) => Some(signed.head.seq),
            Self::Root { .. } => None,
        }
    }

    /// Returns the recording, of a root.
    #[must_use]
    pub const fn recording(&self) -> Option<RecordingId> {
        match self {
            Self::Head(_) => None,
            Self::Root { recording, .. } => Some(*recording),
        }
    }
}

/// A timestamp, or what waits for one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// Its number.
    pub number: u64,
    /// Of what.
    pub subject: Subject,
    /// Since when it waits.
    pub since: Wall,
    /// How often it was tried in vain.
    pub tries: u64,
    /// The authority's answer, as it came.
    pub answer: Option<Vec<u8>>,
}

/// A question for the authority.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Question {
    digest: Digest,
    nonce: [u8; 8],
}

impl Question {
    /// Asks about a digest; the random number keeps an old answer from passing for a new one.
    #[must_use]
    pub fn about(digest: Digest, chance: u64) -> Self {
        let mut nonce = chance.to_be_bytes();
        // Neither negative nor with a zero before it: so its DER always has eight bytes.
        let [first, ..] = &mut nonce;
        *first = *first & 0x3f | 0x40;
        Self { digest, nonce }
    }

    /// Returns the `TimeStampReq` (RFC 3161 §2.4.1) in DER; everything in it has a fixed length. Nothing in it but the digest is of ours.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        // SEQUENCE(67) { INTEGER 1, messageImprint SEQUENCE(49) { SEQUENCE(13) { OID, NULL }, OCTET STRING(32) }, INTEGER(8), TRUE }
        let imprint = [&[0x30, 49, 0x30, 13, 0x06, 9], SHA_256, &[0x05, 0, 0x04, 32], self.digest.as_bytes().as_slice()].concat();
        // certReq: the authority's certificate comes with the answer, so that the answer can be checked when the authority is gone.
        [&[0x30, 67, 0x02, 1, 1], imprint.as_slice(), &[0x02, 8], &self.nonce, &[0x01, 1, 0xff]].concat()
    }

    /// Reads the authority's answer, a `TimeStampResp` (RFC 3161 §2.4.2): it must be about this digest, and answer this question.
    ///
    /// Whose signature is in it is not looked at: [`StampSignature`](crate::catalogue::StampSignature) and `openssl ts -verify` are for that.
    ///
    /// # Errors
    /// It is a refusal, or no answer to this.
    pub fn read(&self, answer: &[u8]) -> Result<Told, NotStamped> {
        let told = Told::read(answer)?;
        if told.digest != self.digest {
            return Err(NotStamped::OtherDigest);
        }
        if told.nonce.as_deref() != Some(self.nonce.as_slice()) {
            return Err(NotStamped::OtherNonce);
        }
        Ok(told)
    }
}

/// What an answer says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    /// Of what.
    pub digest: Digest,
    /// The time, in the authority's words: `20261124093000Z`, perhaps with a fraction.
    pub time: String,
    nonce: Option<Vec<u8>>,
}

impl Told {
    /// Reads an answer.
    ///
    /// # Errors
    /// It is a refusal, or is none.
    pub fn read(answer: &[u8]) -> Result<Self, NotStamped> {
        let [status, token] = parts(only(answer, Tag::Sequence)?)?;
        let [status] = parts(status.filter(|status| status.tag() == Tag::Sequence).ok_or(NotStamped::Garbled)?.value())?;
        match status.filter(|status| status.tag() == Tag::Integer).ok_or(NotStamped::Garbled)?.value() {
            [0 | 1] => {}
            [other @ 2..=5] => return Err(NotStamped::Refused(*other)),
            _ => return Err(NotStamped::Garbled),
        }
        let info = content(inside(token.ok_or(NotStamped::Garbled)?)?)?;
        // version, policy, messageImprint, serialNumber, genTime, and what may be there
        let mut members = members(only(info, Tag::Sequence)?)?.into_iter();
        let imprint = members.nth(2).ok_or(NotStamped::Garbled)?;
        let time = members.nth(1).filter(|time| time.tag() == Tag::GeneralizedTime).ok_or(NotStamped::Garbled)?;
        let nonce = members.find(|member| member.tag() == Tag::Integer).map(|nonce| nonce.value().to_vec());
        let time = String::from_utf8(time.value().to_vec()).map_err(|_| NotStamped::Garbled)?;
        Ok(Self { digest: digest(imprint)?, time, nonce })
    }
}

/// The inside of the `SignedData` in an answer (RFC 5652 §5.1).
pub(super) fn signed_data(answer: &[u8]) -> Result<&[u8], NotStamped> {
    let [_, token] = parts(only(answer, Tag::Sequence)?)?;
    inside(token.ok_or(NotStamped::Garbled)?)
}

/// The inside of the `SignedData` that the token is, a `ContentInfo`.
fn inside(token: AnyRef<'_>) -> Result<&[u8], NotStamped> {
    let [kind, content] = parts(token.value())?;
    is(kind, SIGNED_DATA)?;
    only(content.ok_or(NotStamped::Garbled)?.value(), Tag::Sequence)
}

/// The `TSTInfo` within that.
pub(super) fn content(signed: &[u8]) -> Result<&[u8], NotStamped> {
    // version, digestAlgorithms, encapContentInfo
    let [_, _, inside] = parts(signed)?;
    let [kind, content] = parts(inside.ok_or(NotStamped::Garbled)?.value())?;
    is(kind, TST_INFO)?;
    only(content.ok_or(NotStamped::Garbled)?.value(), Tag::OctetString)
}

/// The digest of a `MessageImprint`.
fn digest(imprint: AnyRef<'_>) -> Result<Digest, NotStamped> {
    let [algorithm, digest] = parts(imprint.value())?;
    let [name] = parts(algorithm.ok_or(NotStamped::Garbled)?.value())?;
    is(name, SHA_256).map_err(|_| NotStamped::OtherDigest)?;
    let digest = digest.ok_or(NotStamped::Garbled)?.value();
    digest.try_into().map(Digest::from_bytes).map_err(|_| NotStamped::OtherDigest)
}

pub(super) fn is(name: Option<AnyRef<'_>>, wanted: &[u8]) -> Result<(), NotStamped> {
    let is_it = name.is_some_and(|name| name.tag() == Tag::ObjectIdentifier && name.value() == wanted);
    if is_it { Ok(()) } else { Err(NotStamped::Garbled) }
}

/// The inside of the one value that the bytes are.
pub(super) fn only(bytes: &[u8], tag: Tag) -> Result<&[u8], NotStamped> {
    let value = AnyRef::from_der(bytes).map_err(|_| NotStamped::Garbled)?;
    if value.tag() == tag { Ok(value.value()) } else { Err(NotStamped::Garbled) }
}

/// The first values of those that stand one after the other.
pub(super) fn parts<const N: usize>(bytes: &[u8]) -> Result<[Option<AnyRef<'_>>; N], NotStamped> {
    let mut members = members(bytes)?.into_iter();
    Ok([(); N].map(|()| members.next()))
}

pub(super) fn members(bytes: &[u8]) -> Result<Vec<AnyRef<'_>>, NotStamped> {
    let mut reader = SliceReader::new(bytes).map_err(|_| NotStamped::Garbled)?;
    let mut members = Vec::new();
    while !reader.is_finished() {
        members.push(AnyRef::decode(&mut reader).map_err(|_| NotStamped::Garbled)?);
    }
    Ok(members)
}

/// 2.16.840.1.101.3.4.2.1 (RFC 5754 §2.2).
const SHA_256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];

/// 1.2.840.113549.1.7.2 (RFC 5652 §5.1).
const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];

/// 1.2.840.113549.1.9.16.1.4 (RFC 3161 §2.4.2).
pub(super) const TST_INFO: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x01, 0x04];

/// The authority has given no timestamp.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NotStamped {
    /// It says no: its status (RFC 3161 §2.4.2).
    Refused(u8),
    /// Its answer is of another digest.
    OtherDigest,
    /// Its answer is to another question.
    OtherNonce,
    /// Its signature is not that of who was named, or is over something else.
    OtherSigner,
    /// Its answer cannot be read.
    Garbled,
    /// It cannot be reached, or what came back is no answer.
    Away(String),
}

impl fmt::Display for NotStamped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(status) => write!(f, "the authority refuses (status {status})"),
            Self::OtherDigest => f.write_str("the authority's answer is of another digest"),
            Self::OtherNonce => f.write_str("the authority's answer is to another question"),
            Self::OtherSigner => f.write_str("the authority's answer is not signed by the certificate that is named"),
            Self::Garbled => f.write_str("the authority's answer cannot be read"),
            Self::Away(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for NotStamped {}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_question_has_the_digest_a_nonce_and_nothing_else() {
        for chance in [0, u64::MAX] {
            let der = Question::about(Digest::of(b"x"), chance).to_der();
            let members = members(only(&der, Tag::Sequence).unwrap()).unwrap();

            let tags: Vec<_> = members.iter().map(Tagged::tag).collect();
            assert_eq!(tags, [Tag::Integer, Tag::Sequence, Tag::Integer, Tag::Boolean]);
            assert_eq!(digest(members[1]), Ok(Digest::of(b"x")));
            assert_eq!(members[2].value()[0] & 0xc0, 0x40);
        }
    }

    #[test]
    fn what_is_no_answer_is_none_wherever_it_is_cut() {
        let question = Question::about(Digest::of(b"x"), 1);
        // A refusal: SEQUENCE { SEQUENCE { INTEGER 2 } }.
        let refusal = [0x30, 5, 0x30, 3, 0x02, 1, 2];

        assert_eq!(question.read(&refusal), Err(NotStamped::Refused(2)));
        for length in 0..refusal.len() {
            assert_eq!(question.read(&refusal[..length]), Err(NotStamped::Garbled), "{length}");
        }
        let granted_nothing = [0x30, 5, 0x30, 3, 0x02, 1, 0];
        assert_eq!(question.read(&granted_nothing), Err(NotStamped::Garbled));
        assert_eq!(question.read(b"<html>not found</html>"), Err(NotStamped::Garbled));
    }
}
