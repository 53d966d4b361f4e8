//! Vectors of recordings of which something was taken out, and of what can be done to such, named by their fault.

use std::ops::Range;

use zeroize::Zeroizing;

use crate::ids::{Leg, RecordingId};
use crate::vault::content::{put_gap, put_rtp};
use crate::vault::fixture::{Chance, Made};
use crate::vault::format::{CHECK_BYTES, HEADER_BYTES, HOLE_BYTES, Version, check, sha256};
use crate::vault::ratchet::{Ratchet, Secret};
use crate::vault::redact::{Piece, Redacted, redact};
use crate::vault::redaction::{Hole, Redaction, Statement};
use crate::vault::wraps::{KeyFile, Segment};
use crate::vault::{Gap, GapReason};

/// A recording: its name, what is the matter with it, and what a reader must say, without the recipient's key and with it.
pub(super) struct Left {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    pub(super) rec: Vec<u8>,
    pub(super) key: Vec<u8>,
    pub(super) verify: &'static str,
    pub(super) content: &'static str,
}

/// Takes chunks out of a recording for its recipient; returns both files.
pub(super) fn without(rec: &[u8], key: &[u8], made: &Made, gone: Range<u32>) -> (Vec<u8>, Vec<u8>) {
    let recipients = [*made.secret.public()];
    let redacted = redact(rec, key, &made.secret, gone, &recipients, &mut Chance::from(60)).expect("it can be taken out");
    (put_together(rec, &redacted), redacted.key_file)
}

/// Puts the new file together.
pub(super) fn put_together(rec: &[u8], redacted: &Redacted) -> Vec<u8> {
    let at = |edge: u64| usize::try_from(edge).expect("it is in memory");
    let piece = |piece: &Piece| match piece {
        Piece::Copied(part) => rec[at(part.start)..at(part.end)].to_vec(),
        Piece::Made(bytes) => bytes.clone(),
    };
    redacted.pieces.iter().flat_map(piece).collect()
}

/// Of a recording of four chunks, with another one at hand.
pub(super) fn redacted(good: &Made, two: &Made) -> Vec<Left> {
    let (rec, key) = without(&good.rec, &good.key, good, 2..3);
    let (both, both_key) = without(&good.rec, &good.key, good, 1..3);
    let (end, end_key) = without(&good.rec, &good.key, good, 3..4);
    let (twice, twice_key) = without(&end, &end_key, good, 1..2);
    let (other, other_key) = without(&two.rec, &two.key, two, 2..3);
    let torn = &good.rec[..good.ends[3]];
    let (after, after_key) = {
        let closed = super::vectors::salvaged_by(&good.node, torn);
        without(&closed, &good.key, good, 1..2)
    };

    // Header, redaction, chunks 0 and 1, the hole of chunk 2, chunk 3, closing.
    let redaction = rec.len() - HOLE_BYTES - (good.rec.len() - (good.ends[3] - good.ends[2]));
    let hole = good.ends[2] + redaction;
    let chunk = |number: usize| &good.rec[good.ends[number]..good.ends[number + 1]];
    let changed = |at: usize| {
        let mut bad = rec.clone();
        bad[at] ^= 1;
        bad
    };
    let with = |left: &[u8], put: &[u8], right: &[u8]| [left, put, right].concat();
    let bad = |name, what, rec: Vec<u8>, verify, content| Left { name, what, rec, key: key.clone(), verify, content };
    let sound = |name, what, rec: &[u8], key: &[u8], word| Left {
        name,
        what,
        rec: rec.to_vec(),
        key: key.to_vec(),
        verify: word,
        content: word,
    };
    let said = |name, what, (rec, key): (Vec<u8>, Vec<u8>), content| Left { name, what, rec, key, verify: "complete", content };
    let hole_of_3 = [&[0xc8, 0, 0, 0, 3], leaf(good, 3).as_slice()].concat();
    let damaged = changed(HEADER_BYTES + 130);
    vec![
        sound("redacted", "chunk 2 was taken out", &rec, &key, "complete"),
        sound("redacted-at-the-end", "the last chunk was taken out", &end, &end_key, "complete"),
        sound("redacted-twice", "chunk 1 was taken out of one without its last", &twice, &twice_key, "complete"),
        sound("redacted-salvaged", "chunk 1 was taken out of one that was torn and closed", &after, &after_key, "salvaged"),
        sound("redacted-key-file-before", "the key file is not replaced yet", &rec, &good.key, "complete"),
        Left { key: key.clone(), ..sound("redacted-file-before", "the file is the one before", &good.rec, &key, "complete") }
            .content("wrong-key"),
        bad("redacted-cut", "within what is said of what was taken out", rec[..HEADER_BYTES + 150].to_vec(), "cut", "cut"),
        bad("redacted-bit-in-said", "one bit of it", damaged.clone(), "broken", "broken"),
        bad(
            "redacted-said-forged",
            "one bit of it, its check made to fit",
            fitting(damaged, HEADER_BYTES + redaction),
            "complete",
            "broken",
        ),
        bad("redacted-bit-in-hash", "one bit of the hash of the chunk that was taken out", changed(hole + 9), "broken", "broken"),
        bad(
            "redacted-hash-left-out",
            "nothing stands in the place of the chunk",
            with(&rec[..hole], &[], &rec[hole + HOLE_BYTES..]),
            "broken",
            "broken",
        ),
        bad(
            "redacted-hole-moved",
            "the hash stands behind the chunk that follows",
            with(&rec[..hole], chunk(3), &with(&rec[hole..hole + HOLE_BYTES], &[], &rec[hole + HOLE_BYTES + chunk(3).len()..])),
            "broken",
            "broken",
        ),
        bad(
            "redacted-chunk-put-back",
            "the chunk is there again",
            with(&rec[..hole], chunk(2), &rec[hole + HOLE_BYTES..]),
            "broken",
            "broken",
        ),
        Left {
            key: both_key,
            ..bad(
                "redacted-chunk-of-two-put-back",
                "one of two chunks is there again",
                {
                    let longer = both.len() - 2 * HOLE_BYTES - (good.rec.len() - (good.ends[3] - good.ends[1]));
                    let second = good.ends[1] + longer + HOLE_BYTES;
                    with(&both[..second], chunk(2), &both[second + HOLE_BYTES..])
                },
                "complete",
                "broken",
            )
        },
        bad(
            "redacted-more-than-said",
            "the chunk that follows was taken out by somebody without a key",
            with(&rec[..hole + HOLE_BYTES], &hole_of_3, &rec[hole + HOLE_BYTES + chunk(3).len()..]),
            "complete",
            "broken",
        ),
        bad(
            "redacted-said-of-another",
            "what is said is of another recording",
            with(&rec[..HEADER_BYTES], &other[HEADER_BYTES..HEADER_BYTES + redaction], &rec[HEADER_BYTES + redaction..]),
            "complete",
            "wrong-key",
        ),
        Left {
            key: other_key,
            ..bad("redacted-key-file-of-another", "the key file is of another recording", rec.clone(), "complete", "wrong-key")
        },
        bad(
            "redacted-nothing-said",
            "a chunk is missing, and nothing is said of it",
            with(&rec[..HEADER_BYTES], &[], &rec[HEADER_BYTES + redaction..]),
            "broken",
            "wrong-key",
        ),
        bad(
            "redacted-nothing-missing",
            "something is said, and nothing is missing",
            with(&rec[..HEADER_BYTES + redaction], &[], &good.rec[HEADER_BYTES..]),
            "broken",
            "broken",
        ),
        bad(
            "redacted-evidence",
            "a hash in the place of the evidence",
            with(
                &rec[..HEADER_BYTES + redaction],
                &with(&[0xc8, 0, 0, 0, 0], &leaf(good, 0), &[]),
                &rec[good.ends[1] + redaction..],
            ),
            "broken",
            "broken",
        ),
        said(
            "redacted-key-of-the-span",
            "the key of what was taken out was left in",
            claimed(good, &[0, 1, 2], 3, gap_record()),
            "broken",
        ),
        said(
            "redacted-state-of-the-span",
            "the state from which that key comes was left in",
            claimed(good, &[0, 1], 2, gap_record()),
            "broken",
        ),
        said(
            "redacted-with-a-packet",
            "a packet is said to have been where something was taken out",
            claimed(good, &[0, 1], 3, with_packet()),
            "broken",
        ),
        said(
            "redacted-without-a-word",
            "nothing says that something was taken out",
            claimed(good, &[0, 1], 3, Zeroizing::default()),
            "broken",
        ),
        said(
            "redacted-miscounts",
            "another number of packets is said to be missing than is",
            claimed(good, &[0, 1], 3, gap_record()),
            "broken",
        ),
    ]
}

impl Left {
    fn content(self, content: &'static str) -> Self {
        Self { content, ..self }
    }
}

/// The file with the check that ends here made to fit; it is over all from the header's end on.
fn fitting(mut file: Vec<u8>, end: usize) -> Vec<u8> {
    let fits = check(&sha256(&[&file[HEADER_BYTES..end - CHECK_BYTES]]));
    file[end - CHECK_BYTES..end].copy_from_slice(&fits);
    file
}

fn leaf(good: &Made, chunk: usize) -> [u8; 32] {
    let header_hash = sha256(&[&good.rec[..HEADER_BYTES]]);
    sha256(&[&[0], &header_hash, &good.rec[good.ends[chunk]..good.ends[chunk + 1] - CHECK_BYTES]])
}

fn gap_record() -> Zeroizing<Vec<u8>> {
    let mut records = Zeroizing::default();
    let [from, to] = [170, 307].map(std::time::Duration::from_millis);
    put_gap(&mut records, &Gap { leg: Some(Leg::Pbx), reason: GapReason::Redacted, from, to, packets: 3 });
    records
}

fn with_packet() -> Zeroizing<Vec<u8>> {
    let mut records = gap_record();
    put_rtp(&mut records, &mut 0, Leg::Pbx, std::time::Duration::from_millis(171), &[0x80; 16]);
    records
}

/// Chunk 2 taken out by one who says and keeps what they like: the keys of these chunks, and the state of this one.
fn claimed(good: &Made, keys_of: &[u32], rest: u32, records: Zeroizing<Vec<u8>>) -> (Vec<u8>, Vec<u8>) {
    let file = KeyFile::parse(&good.key).expect("it was just made");
    let before = file.unwrap(&good.secret).expect("it is the recipient's");
    let ratchet = |chunk: u32| {
        let (_, first) = Ratchet::begin(Version::WRITTEN, &before, RecordingId::from_bytes([1; 16]), 0);
        (0..chunk).fold(first, |ratchet, _| ratchet.after().expect("there are more"))
    };
    let keys = Zeroizing::new(keys_of.iter().flat_map(|chunk| *ratchet(*chunk).key()).collect::<Vec<_>>());
    let statement = Statement::new(vec![Hole { chunks: 2..3, records }], keys, Some(ratchet(rest)));
    let secret: Secret = Zeroizing::new([0x66; 32]);
    let header_hash = sha256(&[&good.rec[..HEADER_BYTES]]);
    let redaction = Redaction::seal(file.segment(), &header_hash, (&before, &secret), &statement).expect("it is short");
    let segment = Segment { commitment: *redaction.commitment(), ..*file.segment() };
    let key = KeyFile::wrap(segment, &secret, &[*good.secret.public()], &mut Chance::from(61)).expect("a good key");
    let (head, tail) = (&good.rec[HEADER_BYTES..good.ends[2]], &good.rec[good.ends[3]..]);
    let hole = [&[0xc8, 0, 0, 0, 2], leaf(good, 2).as_slice()].concat();
    ([&good.rec[..HEADER_BYTES], redaction.as_bytes(), head, &hole, tail].concat(), key.to_bytes())
}
