//! The test vectors in `tests/vault/vectors/`: small files named by their fault, made here from fixed seeds.
//!
//! `MITSCHNITT_WRITE_VECTORS=1 cargo test --lib the_vectors` writes them anew after a change of the format or of the evidence.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::ids::Leg;
use crate::time::Wall;
use crate::vault::fixture::{Chance, Made, make_of};
use crate::vault::format::{CHECK_BYTES, CLOSING_BYTES, FRAME_BYTES, HEADER_BYTES, SALVAGED_BYTES, check, sha256};
use crate::vault::vectors_kem::{self, Wrapped};
use crate::vault::vectors_redacted::{self, Left};
use crate::vault::wraps::KeyFile;
use crate::vault::{NodeKey, OpenError, RecipientSecret, Record, Recording, Salvage, Verdict, salvage, verify, verify_content};

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vault/vectors");

/// One vector: files, keys, and what a reader must say.
struct Vector {
    name: &'static str,
    what: &'static str,
    rec: Vec<u8>,
    key: Vec<u8>,
    recipient: &'static str,
    node: &'static str,
    verify: &'static str,
    content: &'static str,
}

/// The keys, as the name of their PEM files without ending.
struct Keys {
    node: NodeKey,
    other_node: NodeKey,
    recipient: RecipientSecret,
    stranger: RecipientSecret,
    x_wing: RecipientSecret,
    p256: RecipientSecret,
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the vectors are files beside the tests")]
fn the_vectors_are_what_this_writer_makes() {
    let keys = keys();
    let vectors = vectors();
    let mut files: Vec<(String, Vec<u8>)> = vec![
        ("node.pem".into(), keys.node.to_pem().unwrap().as_bytes().into()),
        ("node.pub.pem".into(), keys.node.public().to_pem().into()),
        ("other-node.pub.pem".into(), keys.other_node.public().to_pem().into()),
        ("recipient.pem".into(), keys.recipient.to_pem().unwrap().as_bytes().into()),
        ("stranger.pem".into(), keys.stranger.to_pem().unwrap().as_bytes().into()),
        ("x-wing.pem".into(), keys.x_wing.to_pem().unwrap().as_bytes().into()),
        ("p-256.pem".into(), keys.p256.to_pem().unwrap().as_bytes().into()),
    ];
    let mut index = Vec::new();
    for vector in &vectors {
        let rec = file(&mut files, format!("{}.rec", vector.name), &vector.rec);
        let key = file(&mut files, format!("{}.key", vector.name), &vector.key);
        index.push(entry(vector, &keys, rec, key));
    }
    let index = serde_json::to_string_pretty(&json!({ "version": 1, "vectors": index })).expect("it is JSON");
    files.push(("vectors.json".into(), (index + "\n").into()));

    let writes = std::env::var_os("MITSCHNITT_WRITE_VECTORS").is_some();
    for (name, bytes) in &files {
        let path = Path::new(DIRECTORY).join(name);
        if writes {
            fs::write(&path, bytes).expect("the directory can be written");
        }
        let found = fs::read(&path).unwrap_or_default();
        assert!(
            found == *bytes,
            "{name} differs; if the format was to change: MITSCHNITT_WRITE_VECTORS=1 cargo test --lib the_vectors"
        );
    }
    assert!(files.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() < 235_000);
}

/// Returns the name under which these bytes are a file: an earlier one's where they are the same.
fn file(files: &mut Vec<(String, Vec<u8>)>, name: String, bytes: &[u8]) -> String {
    if let Some((known, _)) = files.iter().find(|(_, known)| known == bytes) {
        return known.clone();
    }
    files.push((name.clone(), bytes.to_vec()));
    name
}

/// Reads the vector with the reader of this crate, and holds it against what is said of it.
fn entry(vector: &Vector, keys: &Keys, rec: String, key: String) -> Value {
    let node = if vector.node == "node" { &keys.node } else { &keys.other_node }.public();
    let secret = match vector.recipient {
        "recipient" => &keys.recipient,
        "x-wing" => &keys.x_wing,
        "p-256" => &keys.p256,
        _ => &keys.stranger,
    };
    let found = word(verify(vector.rec.as_slice(), node));
    assert_eq!(found, vector.verify, "verify {}", vector.name);
    let found = word(verify_content(vector.rec.as_slice(), &vector.key, secret, node));
    assert_eq!(found, vector.content, "content {}", vector.name);

    let mut lines = String::new();
    let mut count = 0;
    if let Ok(recording) = Recording::open(vector.rec.as_slice(), &vector.key, secret) {
        for record in recording.records().map_while(Result::ok) {
            writeln!(lines, "{}", line(&record)).expect("a string takes all");
            count += 1;
        }
    }
    let hash = sha256(&[lines.as_bytes()]).iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    json!({
        "name": vector.name,
        "what": vector.what,
        "rec": rec,
        "key": key,
        "recipient": format!("{}.pem", vector.recipient),
        "node": format!("{}.pub.pem", vector.node),
        "verify": vector.verify,
        "content": vector.content,
        "records": count,
        "records_sha256": hash,
    })
}

fn word(verdict: Result<Verdict, OpenError>) -> &'static str {
    match verdict {
        Ok(verdict) => verdict.as_str(),
        Err(OpenError::Key(_) | OpenError::KeyFile(_)) => "wrong-key",
        Err(OpenError::OtherNode(..)) => "other-node",
        Err(OpenError::Disk(_) | OpenError::Cut(_) | OpenError::Broken(_)) => "impossible",
    }
}

/// A record as a line of JSON with sorted members: what `read.py open --json` prints.
fn line(record: &Record) -> Value {
    let hex = |bytes: &[u8]| bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    match record {
        Record::Evidence(json) => json!({ "record": "evidence", "json": String::from_utf8_lossy(json) }),
        Record::Format(f) => json!({
            "record": "format", "leg": f.leg.as_str(), "since_us": micros(f.since), "payload_type": f.payload_type,
            "clock": f.clock, "channels": f.channels, "name": f.name,
        }),
        Record::Rtp { leg, came, packet } => {
            json!({ "record": "rtp", "leg": leg.as_str(), "came_us": micros(*came), "rtp": hex(packet) })
        }
        Record::Gap(gap) => json!({
            "record": "gap", "leg": gap.leg.map_or("both", Leg::as_str), "reason": gap.reason.code(),
            "from_us": micros(gap.from), "to_us": micros(gap.to), "packets": gap.packets,
        }),
        Record::Quality(quality) => {
            let perhaps = |time: Option<std::time::Duration>| time.map(micros);
            json!({
                "record": "quality", "leg": quality.leg.as_str(), "expected": quality.expected, "received": quality.received,
                "duplicates": quality.duplicates, "reordered": quality.reordered, "jitter_us": perhaps(quality.jitter),
                "worst_jitter_us": perhaps(quality.worst_jitter), "round_trip_us": perhaps(quality.round_trip),
                "longest_gap_us": micros(quality.longest_gap), "due_us": micros(quality.due),
            })
        }
        Record::End(end) => {
            let legs = end.legs.map(|leg| {
                json!({
                    "packets": leg.packets, "bytes": leg.bytes, "first_us": micros(leg.first), "last_us": micros(leg.last),
                    "withheld": leg.withheld,
                })
            });
            json!({
                "record": "end", "reason": end.reason.code(), "ended_us": micros(end.ended), "legs": legs,
                "gaps": end.gaps, "lost": end.lost,
            })
        }
        Record::Other { kind, body } => json!({ "record": "other", "kind": kind, "body": hex(body) }),
    }
}

fn micros(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_micros()).expect("it came from 64 bits")
}

fn keys() -> Keys {
    let [x_wing, p256] = vectors_kem::recipients();
    Keys {
        node: NodeKey::generate(&mut Chance::from(1)),
        other_node: NodeKey::generate(&mut Chance::from(4)),
        recipient: RecipientSecret::generate(&mut Chance::from(2)),
        stranger: RecipientSecret::generate(&mut Chance::from(5)),
        x_wing,
        p256,
    }
}

fn vectors() -> Vec<Vector> {
    let good = make_of(1, 16, 4, |_| ());
    let two = make_of(2, 16, 4, |_| ());
    let (rec, ends) = (&good.rec, &good.ends);
    let [a, b, c] = [ends[1], ends[2], ends[3]]; // chunk 1 is a..b, chunk 2 b..c
    let closing = rec.len() - CLOSING_BYTES;
    let flipped = |at: usize| {
        let mut bad = rec.clone();
        bad[at] ^= 0x10;
        bad
    };
    let as_made = |name, what, made: &Made, verdicts: (&'static str, &'static str)| Vector {
        name,
        what,
        rec: made.rec.clone(),
        key: made.key.clone(),
        recipient: "recipient",
        node: "node",
        verify: verdicts.0,
        content: verdicts.1,
    };
    let bad = |name, what, rec: Vec<u8>, verdict| Vector { rec, ..as_made(name, what, &good, (verdict, verdict)) };
    let keyed = |name, what, key: Vec<u8>| Vector { key, ..as_made(name, what, &good, ("complete", "wrong-key")) };

    let one_less = make_of(3, 0, 4, |_| ());
    let other_kind = make_of(4, 4, 4, |last| last.chunk.bytes_mut().extend_from_slice(&[0x7f, 2, 0xca, 0xfe]));
    let uncounted = make_of(5, 4, 4, |last| last.chunk.bytes_mut().extend_from_slice(&[0x10, 3, 0, 0x80, 8]));
    let malformed = make_of(6, 4, 4, |last| last.chunk.bytes_mut().extend_from_slice(&[0x03, 3, 0, 1, 0x80]));
    let long_number = make_of(7, 4, 4, |last| last.chunk.bytes_mut().extend_from_slice(&[0x7f, 0x81, 0x00, 9]));

    let evidence_again = make_of(8, 0, 4, |last| last.chunk.bytes_mut().extend_from_slice(&[0x01, 2, b'{', b'}']));
    let end_twice = make_of(9, 0, 4, |last| {
        // Stopped at 0, and ten totals and two sums of nothing.
        last.chunk.bytes_mut().extend_from_slice(&[0x05, 14, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    });

    vec![
        as_made("complete", "two legs, 16 packets each, one gap", &good, ("complete", "complete")),
        as_made("complete-without-packets", "evidence, formats, a gap, the end", &one_less, ("complete", "complete")),
        as_made("complete-with-a-later-record", "a record of kind 7f, to be passed over", &other_kind, ("complete", "complete")),
        bad("cut-to-nothing", "no byte", Vec::new(), "cut"),
        bad("cut-in-header", "100 bytes", rec[..100].to_vec(), "cut"),
        bad("cut-after-header", "no chunk", rec[..HEADER_BYTES].to_vec(), "cut"),
        bad("cut-in-frame", "5 bytes of the frame of chunk 2", rec[..b + 5].to_vec(), "cut"),
        bad("cut-in-chunk", "within the ciphertext of chunk 2", rec[..b + FRAME_BYTES + 30].to_vec(), "cut"),
        bad("cut-between-chunks", "after chunk 1", rec[..b].to_vec(), "cut"),
        bad("cut-before-closing", "all chunks, no signature", rec[..closing].to_vec(), "cut"),
        bad("cut-in-closing", "one byte of the signature is missing", rec[..rec.len() - 1].to_vec(), "cut"),
        bad("zeros-after-a-cut", "4,096 zeros after chunk 1", [&rec[..b], &[0; 4096]].concat(), "cut"),
        bad("zeros-and-a-one-after-a-cut", "zeros that are not all", [&rec[..b], &[0; 40], &[1]].concat(), "broken"),
        bad("bit-in-magic", "one bit", flipped(2), "broken"),
        bad("version-ahead", "version 16", flipped(8), "broken"),
        bad("suite-unknown", "suite 17", flipped(9), "broken"),
        bad("bit-in-header", "one bit of the beginning's time", flipped(130), "broken"),
        bad("bit-in-flags", "a flag that is not known", flipped(a + 1), "broken"),
        bad("bit-in-ciphertext", "one bit of chunk 1", flipped(a + FRAME_BYTES + 3), "broken"),
        bad("bit-in-tag", "one bit of chunk 1's tag", flipped(b - CHECK_BYTES - 1), "broken"),
        bad("bit-in-check", "one bit of chunk 1's check", flipped(b - 1), "broken"),
        bad("bit-in-count", "one bit of the closing's count", flipped(closing + 5), "broken"),
        bad("bit-in-signature", "one bit", flipped(rec.len() - 40), "broken"),
        bad("chunks-swapped", "chunk 2 before chunk 1", [&rec[..a], &rec[b..c], &rec[a..b], &rec[c..]].concat(), "broken"),
        bad("chunk-left-out", "chunk 1 is missing", [&rec[..a], &rec[b..]].concat(), "broken"),
        bad("chunk-twice", "chunk 1 stands twice", [&rec[..b], &rec[a..]].concat(), "broken"),
        bad("chunk-of-another", "chunk 1 of another recording", [&rec[..a], &two.rec[a..b], &rec[b..]].concat(), "broken"),
        bad(
            "closing-of-another",
            "the signature of another recording",
            [&rec[..closing], &two.rec[closing..]].concat(),
            "broken",
        ),
        bad("closing-after-a-cut", "the closing put behind chunk 1", [&rec[..b], &rec[closing..]].concat(), "broken"),
        bad("bytes-after-closing", "one byte", [rec.as_slice(), &[0xc5]].concat(), "broken"),
        bad("forged-chunk", "chunk 1 changed, all checks made to fit", forged(&good), "broken"),
        Vector {
            rec: [&two.rec[..HEADER_BYTES], &rec[HEADER_BYTES..]].concat(),
            ..as_made("header-of-another", "the header of another recording", &good, ("broken", "wrong-key"))
        },
        as_made(
            "end-record-miscounts",
            "sealed and signed, with a packet the end does not count",
            &uncounted,
            ("complete", "broken"),
        ),
        as_made(
            "record-malformed",
            "sealed and signed, with a gap that ends within its fields",
            &malformed,
            ("complete", "broken"),
        ),
        as_made("evidence-again", "sealed and signed, with evidence in the last chunk", &evidence_again, ("complete", "broken")),
        as_made("end-twice", "sealed and signed, with an end record before the end record", &end_twice, ("complete", "broken")),
        as_made(
            "number-not-shortest",
            "sealed and signed, with a length in two bytes for one",
            &long_number,
            ("complete", "broken"),
        ),
        Vector {
            recipient: "stranger",
            ..as_made("wrong-recipient", "a key it was not made for", &good, ("complete", "wrong-key"))
        },
        Vector { node: "other-node", ..as_made("other-node", "another node's public key", &good, ("other-node", "other-node")) },
        keyed("key-file-of-another", "the key file of another recording", two.key.clone()),
        keyed("key-file-cut", "the last byte of the key file is missing", good.key[..good.key.len() - 1].to_vec()),
        keyed("key-file-empty", "no byte", Vec::new()),
        keyed("wrap-moved", "wraps of another recording under this one's name", moved(&good, &two)),
        keyed("two-secrets", "the recipient was given another secret than the header commits to", two_secrets(&good)),
        keyed("key-file-version-back", "a key file that says it is of version 0", version_back(&good.key, KEY_CHECKED)),
        Vector {
            rec: version_back(rec, HEADER_BYTES),
            ..as_made("version-back", "a header that says it is of version 0", &good, ("broken", "wrong-key"))
        },
        keyed("key-file-of-another-segment", "the number of another segment, its check made to fit", of_segment(&good.key, 1)),
        keyed("key-file-without-entries", "no entry, its check made to fit", without_entries(&good.key)),
        keyed("bit-in-wrap", "one bit of the recipient's wrap, the check made to fit", bit_in_wrap(&good.key)),
    ]
    .into_iter()
    .chain(salvaged(&good))
    .chain(wrapped(&good, &two))
    .chain(redacted(&good, &two))
    .collect()
}

/// A key file is checked to its end.
const KEY_CHECKED: usize = usize::MAX;

/// The file as version 0, its first check made anew.
fn version_back(file: &[u8], checked: usize) -> Vec<u8> {
    let mut back = file.to_vec();
    back[8] = 0;
    rechecked(back, checked)
}

/// The file with the check that ends here made to fit.
fn rechecked(mut file: Vec<u8>, end: usize) -> Vec<u8> {
    let end = end.min(file.len());
    let fits = check(&sha256(&[&file[..end - CHECK_BYTES]]));
    file[end - CHECK_BYTES..end].copy_from_slice(&fits);
    file
}

fn of_segment(key: &[u8], segment: u8) -> Vec<u8> {
    let mut other = key.to_vec();
    other[15] = segment;
    rechecked(other, KEY_CHECKED)
}

fn without_entries(key: &[u8]) -> Vec<u8> {
    let mut none = [&key[..64], &[0; CHECK_BYTES]].concat();
    none[11] = 0;
    rechecked(none, KEY_CHECKED)
}

/// The recipient's is the second of two entries of X25519, whose wrap ends where the check begins.
fn bit_in_wrap(key: &[u8]) -> Vec<u8> {
    let mut bad = key.to_vec();
    let at = bad.len() - CHECK_BYTES - 1;
    bad[at] ^= 1;
    rechecked(bad, KEY_CHECKED)
}

/// Chunk 1 with one bit changed, and its check made anew: what a forger can do who has no key.
fn forged(good: &Made) -> Vec<u8> {
    let mut rec = good.rec.clone();
    let (from, to) = (good.ends[1], good.ends[2]);
    rec[from + FRAME_BYTES] ^= 1;
    let leaf = sha256(&[&[0], &sha256(&[&rec[..HEADER_BYTES]]), &rec[from..to - CHECK_BYTES]]);
    rec[to - CHECK_BYTES..to].copy_from_slice(&check(&leaf));
    rec
}

/// What a later start makes of a file that ends here.
pub(super) fn salvaged_by(node: &NodeKey, rec: &[u8]) -> Vec<u8> {
    let at = Wall::from_unix_micros(1_795_516_200_000_000);
    match salvage(rec, rec.len() as u64, node, at) {
        Ok(Salvage::Close { keep, closing, .. }) => {
            [&rec[..usize::try_from(keep).expect("it is shorter than the file")], &closing].concat()
        }
        other => panic!("it is to be closed: {other:?}"),
    }
}

/// Vectors of key files for X-Wing and for P-256.
fn wrapped(good: &Made, two: &Made) -> Vec<Vector> {
    let vector = |Wrapped { name, what, key, recipient, content }| Vector {
        name,
        what,
        rec: good.rec.clone(),
        key,
        recipient,
        node: "node",
        verify: "complete",
        content,
    };
    vectors_kem::x_wing(good, two).into_iter().chain(vectors_kem::p256(good, two)).map(vector).collect()
}

/// Vectors of files of which something was taken out.
fn redacted(good: &Made, two: &Made) -> Vec<Vector> {
    let vector = |Left { name, what, rec, key, verify, content }| Vector {
        name,
        what,
        rec,
        key,
        recipient: "recipient",
        node: "node",
        verify,
        content,
    };
    vectors_redacted::redacted(good, two).into_iter().map(vector).collect()
}

/// Vectors of torn files that were closed later, and of what can be done to such.
fn salvaged(good: &Made) -> Vec<Vector> {
    let (rec, ends) = (&good.rec, &good.ends);
    let [a, b] = [ends[1], ends[2]];
    let complete = rec.len() - CLOSING_BYTES;
    let in_chunk = salvaged_by(&good.node, &rec[..b + FRAME_BYTES + 30]);
    let closing = in_chunk.len() - SALVAGED_BYTES;
    let changed = |at: usize, with: u8| {
        let mut bad = in_chunk.clone();
        bad[at] ^= with;
        bad
    };
    let vector = |name, what, rec: Vec<u8>, verdict| Vector {
        name,
        what,
        rec,
        key: good.key.clone(),
        recipient: "recipient",
        node: "node",
        verify: verdict,
        content: verdict,
    };
    let zeros = [&rec[..b + FRAME_BYTES + 30], &[0; 700]].concat();
    let stranger = NodeKey::generate(&mut Chance::from(4));
    let by_stranger = {
        // A file that says of itself that the other node made it, closed by that node, behind this node's chunk.
        let mut other = rec[..b].to_vec();
        other[32..64].copy_from_slice(stranger.public().fingerprint().as_bytes());
        let head = check(&sha256(&[&other[..HEADER_BYTES - CHECK_BYTES]]));
        other[HEADER_BYTES - CHECK_BYTES..HEADER_BYTES].copy_from_slice(&head);
        for (from, to) in [(HEADER_BYTES, a), (a, b)] {
            let leaf = sha256(&[&[0], &sha256(&[&other[..HEADER_BYTES]]), &other[from..to - CHECK_BYTES]]);
            other[to - CHECK_BYTES..to].copy_from_slice(&check(&leaf));
        }
        salvaged_by(&stranger, &other)
    };
    let relabelled = {
        let mut closing = rec[complete..].to_vec();
        closing[1] = 2;
        closing.splice(6..6, [0; 16]);
        [&rec[..complete], &closing].concat()
    };
    vec![
        vector("salvaged-in-chunk", "torn within chunk 2, closed after chunk 1", in_chunk.clone(), "salvaged"),
        vector("salvaged-between-chunks", "torn after chunk 1", salvaged_by(&good.node, &rec[..b]), "salvaged"),
        vector(
            "salvaged-after-evidence",
            "nothing but the evidence is whole",
            salvaged_by(&good.node, &rec[..a + 1]),
            "salvaged",
        ),
        vector(
            "salvaged-unsigned",
            "all chunks were there, only not signed",
            salvaged_by(&good.node, &rec[..complete]),
            "salvaged",
        ),
        vector("salvaged-in-closing", "torn within the closing", salvaged_by(&good.node, &rec[..rec.len() - 1]), "salvaged"),
        vector("salvaged-in-zeros", "zeros in the place of most of chunk 2", salvaged_by(&good.node, &zeros), "salvaged"),
        vector("salvaged-bit-in-time", "one bit of when it was closed", changed(closing + 13, 1), "broken"),
        vector("salvaged-bit-in-taken-off", "one bit of how much was taken off", changed(closing + 21, 1), "broken"),
        vector("salvaged-bit-in-count", "one bit of the count of chunks", changed(closing + 5, 1), "broken"),
        vector("salvaged-bit-in-signature", "one bit", changed(in_chunk.len() - 1, 1), "broken"),
        vector("salvaged-bit-in-word", "a word that is not known", changed(closing + 1, 1), "broken"),
        vector("salvaged-closing-cut", "the last byte of the closing is missing", in_chunk[..in_chunk.len() - 1].to_vec(), "cut"),
        vector("salvaged-twice", "a second closing follows", [&in_chunk, &in_chunk[closing..]].concat(), "broken"),
        vector(
            "salvaged-chunk-left-out",
            "chunk 1 taken out, the closing left",
            [&rec[..a], &in_chunk[closing..]].concat(),
            "broken",
        ),
        vector(
            "salvaged-chunk-added",
            "chunk 2 put before the closing",
            [&rec[..ends[3]], &in_chunk[closing..]].concat(),
            "broken",
        ),
        vector("complete-called-salvaged", "the signature of a complete file under the other word", relabelled, "broken"),
        Vector {
            verify: "other-node",
            content: "other-node",
            ..vector("salvaged-by-another-node", "all made to fit another node's name, and closed by it", by_stranger, "broken")
        },
    ]
}

/// The other file's entries under this file's head.
fn moved(good: &Made, other: &Made) -> Vec<u8> {
    let mut key = [&good.key[..64], &other.key[64..other.key.len() - CHECK_BYTES]].concat();
    key.extend_from_slice(&check(&sha256(&[&key])));
    key
}

/// A key file whose wraps hold a secret that the commitment is not of.
fn two_secrets(good: &Made) -> Vec<u8> {
    let segment = *KeyFile::parse(&good.key).expect("it was just made").segment();
    let secret = zeroize::Zeroizing::new([0x55; 32]);
    let file = KeyFile::wrap(segment, &secret, &[*good.secret.public()], &mut Chance::from(8)).expect("a good key");
    file.to_bytes()
}
