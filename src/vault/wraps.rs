//! The key file: the segment's secret, wrapped by HPKE (RFC 9180, base mode) for each recipient, apart from the ciphertext.

use std::fmt;

use hpke::rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::ids::RecordingId;
use crate::limits::KEY_FILE_ENTRIES;
use crate::vault::format::{CHECK_BYTES, Fields, KEY_MAGIC, SUITE, VERSION, Version, check, sha256};
use crate::vault::ratchet::Secret;
use crate::vault::recipient::NotOpened;
use crate::vault::redaction;
use crate::vault::share::is_enveloped;
use crate::vault::{Fingerprint, Kem, NotAgreed, Recipient, RecipientSecret};

/// A key file: which segment it opens, and for whom.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyFile {
    segment: Segment,
    wraps: Vec<Wrap>,
}

/// The segment that a key file opens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Segment {
    pub(super) version: Version,
    pub(super) recording: RecordingId,
    pub(super) number: u32,
    pub(super) commitment: [u8; 32],
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Wrap {
    kem: u16,
    recipient: Fingerprint,
    /// The encapsulated key.
    enc: Vec<u8>,
    /// The secret, sealed: ciphertext and tag.
    sealed: Vec<u8>,
}

impl KeyFile {
    /// Wraps a secret for the recipients.
    pub(super) fn wrap(
        segment: Segment,
        secret: &Secret,
        recipients: &[Recipient],
        entropy: &mut impl CryptoRng,
    ) -> Result<Self, Fingerprint> {
        let wraps = recipients.iter().map(|recipient| segment.wrap(secret, recipient, entropy)).collect::<Result<_, _>>()?;
        Ok(Self { segment, wraps })
    }

    /// Returns the file with other entries, made by one who can open it; nothing where it has them already. Entries that stay are
    /// copied as they are, for nobody can make them anew.
    ///
    /// # Errors
    /// Where the key does not open it, or opens what the file does not commit to; and where nobody, too many, or keys of different
    /// strength would be in it.
    pub fn rewrap(
        &self,
        secret: &RecipientSecret,
        wanted: &Entries<'_>,
        entropy: &mut impl CryptoRng,
    ) -> Result<Option<Self>, NotRewrapped> {
        let shared = self.unwrap(secret).map_err(NotRewrapped::Key)?;
        if !redaction::commits(&self.segment, &shared) {
            return Err(NotRewrapped::Key(WrongKey::OtherSecret(secret.public().fingerprint())));
        }
        let is_added = |name: &Fingerprint| wanted.add.iter().any(|recipient| recipient.fingerprint() == *name);
        let mut wraps: Vec<Wrap> =
            self.wraps.iter().filter(|wrap| is_added(&wrap.recipient) || wanted.leave.keeps(wrap.recipient)).cloned().collect();
        for recipient in wanted.add {
            if wraps.iter().all(|wrap| wrap.recipient != recipient.fingerprint()) {
                wraps.push(self.segment.wrap(&shared, recipient, entropy).map_err(NotRewrapped::Recipient)?);
            }
        }
        let Some(first) = wraps.first() else { return Err(NotRewrapped::Nobody) };
        if wraps.iter().any(|wrap| !Kem::go_together(wrap.kem, first.kem)) {
            return Err(NotRewrapped::Mixed);
        }
        if wraps.len() > KEY_FILE_ENTRIES {
            return Err(NotRewrapped::TooMany(wraps.len()));
        }
        Ok((wraps != self.wraps).then_some(Self { segment: self.segment, wraps }))
    }

    /// Opens the secret with a recipient's key.
    pub(super) fn unwrap(&self, secret: &RecipientSecret) -> Result<Secret, WrongKey> {
        let name = secret.public().fingerprint();
        let wrap = self.wraps.iter().find(|wrap| wrap.recipient == name).ok_or(WrongKey::NotARecipient(name))?;
        if wrap.kem != secret.kem().id() {
            return Err(WrongKey::OtherKem(wrap.kem));
        }
        let opened = secret.open(&wrap.enc, &self.segment.info(), &wrap.sealed, &self.segment.aad(name));
        let plain = opened.map_err(|error| match error {
            NotOpened::Otherwise => WrongKey::DoesNotOpen(name),
            NotOpened::NotAgreed(error) => WrongKey::Token(error),
        })?;
        let plain: &[u8; 32] = plain.as_slice().try_into().map_err(|_| WrongKey::DoesNotOpen(name))?;
        Ok(Zeroizing::new(*plain))
    }

    /// Returns the recording it opens.
    #[must_use]
    pub const fn recording(&self) -> RecordingId {
        self.segment.recording
    }

    /// Returns the names of those who can open it.
    pub fn recipients(&self) -> impl Iterator<Item = Fingerprint> {
        self.wraps.iter().map(|wrap| wrap.recipient)
    }

    pub(super) const fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Returns the bytes of the file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let count = u16::try_from(self.wraps.len()).expect("`wrap` and `parse` keep the limit");
        let mut bytes = [
            KEY_MAGIC.as_slice(),
            &[self.segment.version.byte(), SUITE],
            &count.to_be_bytes(),
            &self.segment.number.to_be_bytes(),
        ]
        .concat();
        bytes.extend_from_slice(self.segment.recording.as_bytes());
        bytes.extend_from_slice(&self.segment.commitment);
        for wrap in &self.wraps {
            bytes.extend_from_slice(&wrap.kem.to_be_bytes());
            bytes.extend_from_slice(wrap.recipient.as_bytes());
            for field in [&wrap.enc, &wrap.sealed] {
                let length = u16::try_from(field.len()).expect("no KEM that is used here has 64 KiB");
                bytes.extend_from_slice(&length.to_be_bytes());
                bytes.extend_from_slice(field);
            }
        }
        bytes.extend_from_slice(&check(&sha256(&[&bytes])));
        bytes
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// Where it is something else, or not as it was written.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeyFileFault> {
        let mut fields = Fields(bytes);
        if is_enveloped(bytes) {
            return Err(KeyFileFault::Enveloped);
        }
        if fields.take() != Some(KEY_MAGIC) {
            return Err(KeyFileFault::NotAKeyFile);
        }
        let [version, suite] = fields.take().ok_or(KeyFileFault::Damaged)?;
        let Some((version, SUITE)) = Version::parse(version).map(|version| (version, suite)) else {
            return Err(KeyFileFault::Version(version, suite));
        };
        let (body, tail) = bytes.split_last_chunk::<CHECK_BYTES>().ok_or(KeyFileFault::Damaged)?;
        if check(&sha256(&[body])) != *tail {
            return Err(KeyFileFault::Damaged);
        }
        Self::parse_checked(version, body).ok_or(KeyFileFault::Damaged)
    }

    fn parse_checked(version: Version, body: &[u8]) -> Option<Self> {
        let mut fields = Fields(body);
        let _: [u8; 10] = fields.take()?; // magic, version and suite, which `parse` has read
        let count = usize::from(u16::from_be_bytes(fields.take()?));
        if count == 0 || count > KEY_FILE_ENTRIES {
            return None;
        }
        let number = u32::from_be_bytes(fields.take()?);
        let recording = RecordingId::from_bytes(fields.take()?);
        let commitment = fields.take()?;
        let mut wraps = Vec::with_capacity(count);
        for _ in 0..count {
            let kem = u16::from_be_bytes(fields.take()?);
            let recipient = Fingerprint::from_bytes(fields.take()?);
            let mut field = || -> Option<Vec<u8>> {
                let length = u16::from_be_bytes(fields.take()?);
                fields.bytes(usize::from(length)).map(<[u8]>::to_vec)
            };
            wraps.push(Wrap { kem, recipient, enc: field()?, sealed: field()? });
        }
        fields.0.is_empty().then_some(Self { segment: Segment { version, recording, number, commitment }, wraps })
    }
}

impl Segment {
    fn info(&self) -> Vec<u8> {
        self.version.label("wrap")
    }

    /// Wraps the secret for a recipient; the error is whose key cannot be used.
    fn wrap(&self, secret: &Secret, recipient: &Recipient, entropy: &mut impl CryptoRng) -> Result<Wrap, Fingerprint> {
        let name = recipient.fingerprint();
        let (enc, sealed) = recipient.seal(&self.info(), secret.as_slice(), &self.aad(name), entropy).map_err(|_| name)?;
        Ok(Wrap { kem: recipient.kem().id(), recipient: name, enc, sealed })
    }

    /// What binds a wrap to its file, its secret and its recipient, so that it can be moved to no other.
    fn aad(&self, recipient: Fingerprint) -> Vec<u8> {
        [self.recording.as_bytes().as_slice(), &self.number.to_be_bytes(), &self.commitment, recipient.as_bytes()].concat()
    }
}

/// The entries that a key file is to have.
#[derive(Clone, Copy, Debug)]
pub struct Entries<'r> {
    /// For these, whether it has them already or not.
    pub add: &'r [Recipient],
    /// Which of the others stay.
    pub leave: Leave<'r>,
}

/// Which entries stay.
#[derive(Clone, Copy, Debug)]
pub enum Leave<'r> {
    /// All but these.
    AllBut(&'r [Fingerprint]),
    /// None.
    None,
}

impl Leave<'_> {
    fn keeps(self, name: Fingerprint) -> bool {
        match self {
            Self::AllBut(gone) => !gone.contains(&name),
            Self::None => false,
        }
    }
}

/// A key file was left as it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotRewrapped {
    /// The key is not one that may.
    Key(WrongKey),
    /// The operator's new key cannot be sealed to.
    Recipient(Fingerprint),
    /// Nobody could open it any more.
    Nobody,
    /// It would have more entries than a key file may have: how many.
    TooMany(usize),
    /// It would be wrapped for keys of different strength.
    Mixed,
}

impl fmt::Display for NotRewrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(wrong) => wrong.fmt(f),
            Self::Recipient(key) => write!(f, "the recipient key {} cannot be sealed to", key.short()),
            Self::Nobody => f.write_str("nobody could open it any more"),
            Self::TooMany(count) => write!(f, "it would have {count} entries, and a key file has at most {KEY_FILE_ENTRIES}"),
            Self::Mixed => f.write_str("it would be wrapped for keys of different strength, and be as weak as the weaker"),
        }
    }
}

impl std::error::Error for NotRewrapped {}

/// The key file cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyFileFault {
    /// It does not begin as a key file.
    NotAKeyFile,
    /// It lies in an envelope, which opens with its local share alone.
    Enveloped,
    /// It is of a version and suite this program does not know.
    Version(u8, u8),
    /// It is not as it was written.
    Damaged,
    /// It belongs to another recording.
    OtherRecording(RecordingId),
    /// It is this recording's by name, and another's by its commitment.
    OtherSegment,
}

impl fmt::Display for KeyFileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAKeyFile => f.write_str("the key file does not begin as one"),
            Self::Enveloped => f.write_str(
                "the key file lies in its envelope (`local_share`): it opens where it was made, as long as its share is in the table there",
            ),
            Self::Version(version, suite) => {
                write!(
                    f,
                    "the key file is of version {version}, suite {suite}; this program reads versions 0 to {VERSION}, suite {SUITE}"
                )
            }
            Self::Damaged => f.write_str("the key file is not as it was written"),
            Self::OtherRecording(recording) => write!(f, "the key file belongs to recording {recording}"),
            Self::OtherSegment => {
                f.write_str("the key file belongs to another capture under the same name: its commitment differs")
            }
        }
    }
}

/// The key is good, and does not open this recording.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WrongKey {
    /// The recording was not made for this key.
    NotARecipient(Fingerprint),
    /// There is an entry under this key's name, and the key does not open it.
    DoesNotOpen(Fingerprint),
    /// The entry is of a kind this program does not know.
    OtherKem(u16),
    /// It lies in a token, and that has not done its part.
    Token(NotAgreed),
    /// It opens another secret than the one the recording commits to.
    OtherSecret(Fingerprint),
}

impl fmt::Display for WrongKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotARecipient(key) => write!(f, "this key does not open it: {} is none of its recipients", key.short()),
            Self::DoesNotOpen(key) => {
                write!(f, "this key does not open it: the entry of {} was made for another key", key.short())
            }
            Self::Token(error) => write!(f, "it was not opened: {error}"),
            Self::OtherKem(kem) => write!(f, "this key's entry is of kind {kem:#06x}, which this program does not know"),
            Self::OtherSecret(key) => {
                write!(f, "this key does not open it: {} was given another secret than the recording commits to", key.short())
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::vault::fixture::Chance;
    use crate::vault::ratchet::Ratchet;

    const SECRET: [u8; 32] = [9; 32];

    fn segment() -> Segment {
        Segment { version: Version::WRITTEN, recording: RecordingId::from_bytes([1; 16]), number: 0, commitment: [2; 32] }
    }

    fn made(keys: &[&RecipientSecret]) -> KeyFile {
        let recipients: Vec<_> = keys.iter().map(|key| *key.public()).collect();
        KeyFile::wrap(segment(), &Zeroizing::new(SECRET), &recipients, &mut Chance::from(9)).unwrap()
    }

    fn keys() -> [RecipientSecret; 2] {
        [1, 2].map(|seed| RecipientSecret::generate(&mut Chance::from(seed)))
    }

    #[test]
    fn each_recipient_opens_the_secret_and_nobody_else() {
        let [a, b] = keys();
        let file = made(&[&a, &b]);
        let stranger = RecipientSecret::generate(&mut Chance::from(3));

        assert_eq!(*file.unwrap(&a).unwrap(), SECRET);
        assert_eq!(*file.unwrap(&b).unwrap(), SECRET);
        assert_eq!(file.unwrap(&stranger).err(), Some(WrongKey::NotARecipient(stranger.public().fingerprint())));
    }

    #[test]
    fn a_wrap_opens_only_in_its_own_file_under_its_own_name() {
        let [a, b] = keys();
        let good = made(&[&a]);
        let moved = |segment| KeyFile { segment, ..good.clone() };

        let other_recording = Segment { recording: RecordingId::from_bytes([8; 16]), ..segment() };
        let other_commitment = Segment { commitment: [8; 32], ..segment() };
        let other_number = Segment { number: 1, ..segment() };
        for segment in [other_recording, other_commitment, other_number] {
            assert_eq!(moved(segment).unwrap(&a).err(), Some(WrongKey::DoesNotOpen(a.public().fingerprint())));
        }
        let mut renamed = good.clone();
        renamed.wraps[0].recipient = b.public().fingerprint();
        assert_eq!(renamed.unwrap(&b).err(), Some(WrongKey::DoesNotOpen(b.public().fingerprint())));
    }

    #[test]
    fn a_key_file_is_read_as_it_was_written_and_no_bit_can_change_unseen() {
        let [a, b] = keys();
        let file = made(&[&a, &b]);
        let bytes = file.to_bytes();
        assert_eq!(KeyFile::parse(&bytes).unwrap(), file);
        assert_eq!(bytes.len(), 64 + 2 * 118 + 8, "118 bytes a recipient");

        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(KeyFile::parse(&bad).is_err(), "bit {bit}");
        }
        for cut in 0..bytes.len() {
            assert!(KeyFile::parse(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_key_file_with_more_entries_than_may_be_is_refused() {
        let [a, _] = keys();
        let mut file = made(&[&a]);
        file.wraps.resize(KEY_FILE_ENTRIES, file.wraps[0].clone());
        assert!(KeyFile::parse(&file.to_bytes()).is_ok());

        file.wraps.push(file.wraps[0].clone());

        assert!(KeyFile::parse(&file.to_bytes()).is_err());
    }

    /// A key file whose commitment is that of its secret, for `a`.
    fn committed(a: &RecipientSecret) -> KeyFile {
        let (commitment, _) = Ratchet::begin(segment().version, &SECRET, segment().recording, 0);
        let segment = Segment { commitment, ..segment() };
        KeyFile::wrap(segment, &Zeroizing::new(SECRET), &[*a.public()], &mut Chance::from(9)).unwrap()
    }

    #[test]
    fn who_opens_it_lets_another_open_it_and_takes_one_out() {
        let [a, b] = keys();
        let stranger = RecipientSecret::generate(&mut Chance::from(3));
        let file = committed(&a);
        let rewrap = |file: &KeyFile, by: &RecipientSecret, add: &[Recipient], gone: &[Fingerprint]| {
            file.rewrap(by, &Entries { add, leave: Leave::AllBut(gone) }, &mut Chance::from(10))
        };

        let both = rewrap(&file, &a, &[*b.public()], &[]).unwrap().unwrap();
        assert_eq!(both.wraps[0], file.wraps[0], "what stays is copied");
        assert_eq!((*both.unwrap(&a).unwrap(), *both.unwrap(&b).unwrap()), (SECRET, SECRET));
        assert_eq!(rewrap(&both, &b, &[*b.public()], &[]), Ok(None), "it has them already");
        let one = rewrap(&both, &b, &[], &[a.public().fingerprint()]).unwrap().unwrap();
        assert_eq!(one.recipients().collect::<Vec<_>>(), [b.public().fingerprint()]);
        assert_eq!(*one.unwrap(&b).unwrap(), SECRET);
        let other = both.rewrap(&a, &Entries { add: &[*stranger.public()], leave: Leave::None }, &mut Chance::from(10));
        assert_eq!(other.unwrap().unwrap().recipients().collect::<Vec<_>>(), [stranger.public().fingerprint()]);

        let name = stranger.public().fingerprint();
        assert_eq!(rewrap(&file, &stranger, &[*b.public()], &[]), Err(NotRewrapped::Key(WrongKey::NotARecipient(name))));
        assert_eq!(rewrap(&file, &a, &[], &[a.public().fingerprint()]), Err(NotRewrapped::Nobody));
    }

    #[test]
    fn what_the_commitment_is_not_of_is_not_passed_on() {
        let [a, b] = keys();

        let passed = made(&[&a]).rewrap(&a, &Entries { add: &[*b.public()], leave: Leave::None }, &mut Chance::from(10));

        assert_eq!(passed, Err(NotRewrapped::Key(WrongKey::OtherSecret(a.public().fingerprint()))));
    }

    #[test]
    fn no_more_entries_and_no_other_strength_come_beside_those_there_are() {
        let [a, b] = keys();
        let add = |file: &KeyFile, leave| file.rewrap(&a, &Entries { add: &[*b.public()], leave }, &mut Chance::from(10));
        let mut full = committed(&a);
        full.wraps.resize(KEY_FILE_ENTRIES, full.wraps[0].clone());
        let mut mixed = committed(&a);
        let name = Fingerprint::from_bytes([7; 32]);
        mixed.wraps.push(Wrap { kem: 0x647a, recipient: name, ..mixed.wraps[0].clone() });

        assert_eq!(add(&full, Leave::AllBut(&[])), Err(NotRewrapped::TooMany(KEY_FILE_ENTRIES + 1)));
        assert_eq!(add(&mixed, Leave::AllBut(&[])), Err(NotRewrapped::Mixed));
        assert!(add(&full, Leave::None).is_ok() && add(&mixed, Leave::AllBut(&[name])).is_ok());
    }

    #[test]
    fn a_recording_goes_over_to_stronger_keys_as_a_whole_and_not_in_part() {
        let [old, _] = keys();
        let new = RecipientSecret::generate_as(Kem::XWing, &mut Chance::from(4));
        let file = committed(&old);
        let rewrap = |leave: Leave<'_>| file.rewrap(&old, &Entries { add: &[*new.public()], leave }, &mut Chance::from(10));

        assert_eq!(rewrap(Leave::AllBut(&[])), Err(NotRewrapped::Mixed));
        let gone = [old.public().fingerprint()];
        let over = rewrap(Leave::AllBut(&gone)).unwrap().unwrap();
        assert_eq!(rewrap(Leave::None).unwrap().unwrap().recipients().count(), 1);
        assert_eq!(over.to_bytes().len(), 64 + 1206 + 8, "1,206 bytes a recipient");
        assert_eq!(*KeyFile::parse(&over.to_bytes()).unwrap().unwrap(&new).unwrap(), SECRET);
        let mut lying = over;
        lying.wraps[0].kem = 0x0020;
        assert_eq!(lying.unwrap(&new).err(), Some(WrongKey::OtherKem(0x0020)));
    }

    #[test]
    fn one_of_p_256_comes_beside_those_of_x25519() {
        let ([old, _], new) = (keys(), RecipientSecret::generate_as(Kem::P256, &mut Chance::from(4)));
        let entries = Entries { add: &[*new.public()], leave: Leave::AllBut(&[]) };

        let both = committed(&old).rewrap(&old, &entries, &mut Chance::from(10)).unwrap().unwrap();

        assert_eq!(both.to_bytes().len(), 64 + 118 + 151 + 8, "151 bytes of P-256");
        assert_eq!((*both.unwrap(&old).unwrap(), *both.unwrap(&new).unwrap()), (SECRET, SECRET));
    }

    #[test]
    fn an_entry_of_a_later_kind_is_passed_over() {
        let [a, b] = keys();
        let mut file = made(&[&a, &b]);
        file.wraps[0] = Wrap { kem: 0x647a, enc: vec![1; 1120], ..file.wraps[0].clone() };

        let file = KeyFile::parse(&file.to_bytes()).unwrap();

        assert_eq!(*file.unwrap(&b).unwrap(), SECRET);
        assert_eq!(file.unwrap(&a).err(), Some(WrongKey::OtherKem(0x647a)));
    }
}
