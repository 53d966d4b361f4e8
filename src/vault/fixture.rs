//! What the room's tests share: chance from a seed, a permit, a small recording.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hpke::rand_core::{TryCryptoRng, TryRng};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::codec::Codec;
use crate::consent::{
    Clip, Consent, Fact, Facts, Mode, Output, Parties, Permit, Player, PriorTerms, SentAs, Terms, WithoutConsent,
};
use crate::digit::Digit;
use crate::ids::{CallId, Direction, Leg, RecordingId, TrunkName};
use crate::private::Private;
use crate::time::{Moment, Wall};
use crate::vault::{
    Agreement, Begun, Buffers, EndReason, GapReason, LastChunk, NodeKey, NotAgreed, PlainChunk, Recipient, RecipientSecret,
    Recorder, Sealed, Sealer,
};

/// "Random" numbers that are the same in every run: SHA-256 of a seed and a counter. For tests, and for nothing else.
pub(super) struct Chance {
    seed: u64,
    drawn: u64,
}

impl From<u64> for Chance {
    fn from(seed: u64) -> Self {
        Self { seed, drawn: 0 }
    }
}

impl TryRng for Chance {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes).map(|()| u32::from_be_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes).map(|()| u64::from_be_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        for part in dst.chunks_mut(32) {
            let block = Sha256::new().chain_update(self.seed.to_be_bytes()).chain_update(self.drawn.to_be_bytes()).finalize();
            self.drawn += 1;
            part.iter_mut().zip(block).for_each(|(to, from)| *to = from);
        }
        Ok(())
    }
}

impl TryCryptoRng for Chance {}

/// Bytes in hexadecimal digits.
pub(super) fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// A token with a key of P-256, as far as this room needs one.
pub(super) struct SoftToken {
    secret: p256::SecretKey,
    /// What becomes of what it agrees on.
    pub(super) answers: fn([u8; 32]) -> Result<[u8; 32], NotAgreed>,
    /// How often it was asked.
    pub(super) asked: Arc<AtomicU32>,
}

impl SoftToken {
    pub(super) fn of(secret: &[u8]) -> Self {
        let secret = p256::SecretKey::from_slice(secret).unwrap();
        Self { secret, answers: Ok, asked: Arc::default() }
    }
}

impl Agreement for SoftToken {
    fn agree(&self, point: &[u8; 65]) -> Result<Zeroizing<[u8; 32]>, NotAgreed> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let other = p256::PublicKey::from_sec1_bytes(point).map_err(|_| NotAgreed::Refused)?;
        let agreed = p256::ecdh::diffie_hellman(self.secret.to_nonzero_scalar(), other.as_affine());
        (self.answers)((*agreed.raw_secret_bytes()).into()).map(Zeroizing::new)
    }
}

/// When recording begins in these tests.
pub(super) const GRANTED: Moment = Moment::from_millis(3000);

pub(super) fn at(millis: u64) -> Moment {
    GRANTED + Duration::from_millis(millis)
}

/// A permit as the consent machine makes it: both were told, nobody had to press a key.
pub(super) fn permit(recording: u8) -> Permit {
    permit_under(recording, "consent, GDPR 6(1)(a)")
}

/// The same under another legal basis, which stands in the evidence as it is.
pub(super) fn permit_under(recording: u8, legal_basis: &str) -> Permit {
    let terms = Terms {
        policy: "all".into(),
        policy_hash: [0xab; 32],
        purpose: "quality".into(),
        legal_basis: legal_basis.into(),
        mode: Mode::Announce,
        must_agree: [false, true],
        key: Digit::from_char('1').expect("a key"),
        withdraw: None,
        answer: Duration::from_secs(5),
        language: Arc::from("de"),
        without_consent: WithoutConsent::GoOn,
        longest_pause: Duration::from_secs(60),
        prior: PriorTerms::default(),
        announcement_version: None,
    };
    let facts = Facts {
        call: CallId::from_u64(u64::from(recording)),
        recording: RecordingId::from_bytes([recording; 16]),
        direction: Direction::Inbound,
        trunk: TrunkName::new("carrier"),
        parties: Parties {
            calling: Private::new("+4930123456".into()),
            called: Private::new("100".into()),
            call_id: Private::new("a84b4c76e66710@pc33.example.com".into()),
        },
        clocks: (Moment::from_millis(1000), Wall::from_unix_micros(1_795_512_600_000_000)),
    };
    let mut consent = Consent::new(terms, facts);
    let mut permit = None;
    for leg in Leg::BOTH {
        let clip = Clip::new(Codec::Pcma, &[1; 160], [0xcd; 32], "de").expect("it has sound");
        let played = Player::new(leg, clip, 20).sent(SentAs { ssrc: 5, sequence: 6, timestamp: 7 }, GRANTED).expect("one frame");
        permit = consent.handle(Fact::Played(played), GRANTED);
    }
    match permit {
        Some(Output::Begin(permit)) => permit,
        Some(Output::Refuse(_) | Output::End(_)) | None => panic!("both were told"),
    }
}

/// An RTP packet of 20 ms of A-law whose payload is made from its number.
pub(super) fn packet(leg: Leg, number: u16) -> Vec<u8> {
    packet_of(leg, number, 160)
}

fn packet_of(leg: Leg, number: u16, payload: u8) -> Vec<u8> {
    let [high, low] = number.to_be_bytes();
    let [t0, t1, t2, t3] = (u32::from(number) * 160).to_be_bytes();
    let ssrc = match leg {
        Leg::Pbx => 0x11,
        Leg::Trunk => 0x22,
    };
    let head = [0x80, 8, high, low, t0, t1, t2, t3, ssrc, ssrc, ssrc, ssrc];
    head.into_iter().chain((0..payload).map(|at| at.wrapping_mul(3) ^ low ^ ssrc)).collect()
}

/// A finished recording and everything that opens it.
pub(super) struct Made {
    pub(super) node: NodeKey,
    pub(super) secret: RecipientSecret,
    pub(super) rec: Vec<u8>,
    pub(super) key: Vec<u8>,
    pub(super) sealed: Sealed,
    /// Where the header, each chunk and the closing end.
    pub(super) ends: Vec<usize>,
}

/// Makes the recording of this number: `packets` of each leg, 20 ms apart, and one gap. A short one has a chunk of each 160 ms, one of
/// a minute and more chunks as a call has them.
pub(super) fn make(recording: u8, packets: u16) -> Made {
    make_of(recording, packets, 160, |_| ())
}

/// Makes what `records` gives to its second argument, chunk for chunk, and returns as the last.
pub(super) fn made_by(recording: u8, records: impl FnOnce(&Permit, &mut dyn FnMut(Option<PlainChunk>)) -> LastChunk) -> Made {
    let node = NodeKey::generate(&mut Chance::from(1));
    let secret = RecipientSecret::generate(&mut Chance::from(2));
    let permit = permit(recording);
    let Begun { mut sealer, key_file, head } =
        Sealer::begin(permit.evidence(), node.public(), &[*secret.public()], &mut Chance::from(100 + u64::from(recording)))
            .expect("a recipient");
    let mut rec = head;
    let mut ends = vec![super::format::HEADER_BYTES, rec.len()];
    let last = records(&permit, &mut |chunk| {
        if let Some(chunk) = chunk {
            sealer.seal(chunk, &mut rec).expect("it is this recording's");
            ends.push(rec.len());
        }
    });
    let sealed = sealer.finish(last, &node, &mut rec).expect("it is this recording's");
    ends.push(rec.len() - super::format::CLOSING_BYTES);
    ends.push(rec.len());
    Made { node, secret, rec, key: key_file, sealed, ends }
}

/// The same with payloads of this length, and with whatever `spoil` does to the last chunk behind the recorder's back.
pub(super) fn make_of(recording: u8, packets: u16, payload: u8, spoil: impl FnOnce(&mut LastChunk)) -> Made {
    let node = NodeKey::generate(&mut Chance::from(1));
    let secret = RecipientSecret::generate(&mut Chance::from(2));
    let second = RecipientSecret::generate(&mut Chance::from(3));
    let permit = permit(recording);
    let recipients: [Recipient; 2] = [*second.public(), *secret.public()];
    let Begun { mut sealer, key_file, head } =
        Sealer::begin(permit.evidence(), node.public(), &recipients, &mut Chance::from(100 + u64::from(recording)))
            .expect("two recipients");
    let mut rec = head;
    let mut ends = vec![super::format::HEADER_BYTES, rec.len()];
    let mut recorder = Recorder::begin(&permit, &Buffers::new());
    let mut keep = |chunk: Option<_>, rec: &mut Vec<u8>| {
        if let Some(chunk) = chunk {
            sealer.seal(chunk, rec).expect("it is this recording's");
            ends.push(rec.len());
        }
    };
    for leg in Leg::BOTH {
        keep(recorder.format(leg, 8, "PCMA", 8000, 1, GRANTED), &mut rec);
    }
    for number in 0..packets {
        for leg in Leg::BOTH {
            let came = at(u64::from(number) * 20 + if leg == Leg::Pbx { 0 } else { 7 });
            let packet = packet_of(leg, number, payload);
            keep(recorder.append(permit.cover(leg, came, &packet).expect("after the grant")), &mut rec);
        }
        if number % 8 == 7 && packets < 3000 {
            keep(recorder.age(at(u64::from(number) * 20) + crate::limits::CHUNK_AGE), &mut rec);
        }
    }
    let end = u64::from(packets) * 20;
    keep(recorder.gap(Some(Leg::Trunk), GapReason::DiskFailed, at(end), at(end + 40), 2), &mut rec);
    let mut last = recorder.end(EndReason::HungUp(Leg::Trunk), [0, 3], at(end + 50));
    spoil(&mut last);
    let sealed = sealer.finish(last, &node, &mut rec).expect("it is this recording's");
    ends.push(rec.len() - super::format::CLOSING_BYTES);
    ends.push(rec.len());
    Made { node, secret, rec, key: key_file, sealed, ends }
}
