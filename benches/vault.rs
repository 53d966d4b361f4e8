//! What it costs to verify and to export half an hour of a G.711 call, beside AES-256-GCM alone over chunks of the same sizes, on one core.
//!
//! The promise (`manual/promises.md`) is half of what that cipher reaches in the same run; the ratio to it is printed at the end.
//!
//! The rooms are mounted by path: a bench outside the crate could not have a packet covered, and that is as it should be.

#![allow(dead_code, missing_docs, unreachable_pub, reason = "the rooms are mounted for a few of their functions")]
#![allow(unused_imports, clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench may panic")]

#[path = "../src/codec.rs"]
mod codec;
#[path = "../src/consent/mod.rs"]
mod consent;
#[path = "../src/digit.rs"]
mod digit;
mod granted;
#[path = "../src/ids.rs"]
mod ids;
#[path = "../src/limits.rs"]
mod limits;
#[path = "../src/number.rs"]
mod number;
#[path = "../src/private.rs"]
mod private;
#[path = "../src/sabotage.rs"]
mod sabotage;
#[path = "../src/time.rs"]
mod time;
#[path = "../src/vault/mod.rs"]
mod vault;

use std::hint::black_box;
use std::io::Cursor;
use std::time::Duration;

use aes_gcm::aead::{AeadInOut, KeyInit};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mitschnitt::export::{self, Channels, Origin, PayloadFiles};

use consent::Permit;
use granted::{Zeros, permit};
use ids::Leg;
use time::Moment;
use vault::{Begun, Buffers, EndReason, NodeKey, PlainChunk, RecipientSecret, Recorder, Sealer};

/// Half an hour of both legs: 90,000 packets of 20 ms each.
const PACKETS: u64 = 90_000;

struct Call {
    rec: Vec<u8>,
    key_file: Vec<u8>,
    /// Lengths of the plaintexts of its chunks.
    chunks: Vec<usize>,
    secret: mitschnitt::vault::RecipientSecret,
    node: mitschnitt::vault::NodePublic,
}

impl Call {
    fn open(&self) -> mitschnitt::vault::Recording<&[u8]> {
        mitschnitt::vault::Recording::open_verified(self.rec.as_slice(), &self.key_file, &self.secret).unwrap()
    }
}

fn measure(criterion: &mut Criterion) {
    let call = call();
    let survey = export::survey(None, &mut call.open()).unwrap();
    let recording = mitschnitt::ids::RecordingId::from_bytes([1; 16]);
    let origin = Origin { recording, purpose: "quality".into(), began: mitschnitt::time::Wall::from_unix_micros(0), span: None };
    let mut group = criterion.benchmark_group("half an hour of G.711");
    group.sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(2));
    group.throughput(Throughput::Bytes(call.rec.len() as u64));
    group.bench_function("AES-256-GCM alone, over its chunks", |bencher| {
        let cipher = aes_gcm::Aes256Gcm::new_from_slice(&[1; 32]).unwrap();
        let nonce = [0; 12].into();
        let mut buffer = vec![0; call.chunks.iter().copied().max().unwrap()];
        bencher.iter(|| {
            for &length in &call.chunks {
                let tag = cipher.encrypt_inout_detached(&nonce, &[0; 42], (&mut buffer[..length]).into()).unwrap();
                black_box(tag);
            }
        });
    });
    group.bench_function("verify without a key", |bencher| {
        bencher.iter(|| mitschnitt::vault::verify(call.rec.as_slice(), &call.node).unwrap());
    });
    group.bench_function("verify with the content", |bencher| {
        bencher
            .iter(|| mitschnitt::vault::verify_content(call.rec.as_slice(), &call.key_file, &call.secret, &call.node).unwrap());
    });
    group.bench_function("survey", |bencher| {
        bencher.iter(|| export::survey(None, &mut call.open()).unwrap());
    });
    group.bench_function("export to pcapng", |bencher| {
        let mut out = Vec::new();
        bencher.iter(|| {
            out.clear();
            export::pcapng(&origin, &mut call.open(), &mut out).unwrap()
        });
    });
    group.bench_function("export to payloads", |bencher| {
        let mut files = PayloadFiles { pbx: Vec::new(), trunk: Vec::new(), index: Vec::new() };
        bencher.iter(|| {
            [&mut files.pbx, &mut files.trunk, &mut files.index].into_iter().for_each(Vec::clear);
            export::payloads(&mut call.open(), &mut files).unwrap()
        });
    });
    group.bench_function("export to WAV", |bencher| {
        let mut out = Cursor::new(Vec::new());
        bencher.iter(|| {
            out.set_position(0);
            export::wav(&survey, Channels::Stereo, &mut call.open(), &mut out).unwrap()
        });
    });
    group.finish();
}

/// Both legs at 50 packets a second, each with a voice of its own.
fn call() -> Call {
    let permit = permit();
    let (node, secret) = (NodeKey::generate(&mut Zeros), RecipientSecret::generate(&mut Zeros));
    let buffers = Buffers::new();
    let Begun { mut sealer, key_file, head: mut rec } = begun(&permit, &node, &secret);
    let mut recorder = Recorder::begin(&permit, &buffers);
    let mut chunks = Vec::new();
    let mut seal = |chunk: Option<PlainChunk>, rec: &mut Vec<u8>| {
        let Some(chunk) = chunk else { return };
        chunks.push(chunk.size_bytes());
        sealer.seal(chunk, rec).unwrap();
    };
    let mut noise = 1_u32;
    for number in 0..PACKETS {
        for leg in Leg::BOTH {
            let mut packet = vec![0x80, 8];
            packet.extend_from_slice(&u16::try_from(number & 0xffff).unwrap().to_be_bytes());
            packet.extend_from_slice(&u32::try_from(number * 160).unwrap().to_be_bytes());
            packet.extend_from_slice(&[u8::try_from(leg.index()).unwrap(); 4]);
            packet.extend(
                std::iter::repeat_with(|| {
                    noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (noise >> 24).to_le_bytes()[0]
                })
                .take(160),
            );
            let came = Moment::from_micros(number * 20_000 + 300 * u64::from(noise >> 30));
            seal(recorder.append(permit.cover(leg, came, &packet).unwrap()), &mut rec);
        }
        seal(recorder.age(Moment::from_micros(number * 20_000 + 1000)), &mut rec);
    }
    let last = recorder.end(EndReason::Stopped, [0, 0], Moment::from_micros(PACKETS * 20_000));
    assert!(sealer.finish(last, &node, &mut rec).is_ok());
    let secret = mitschnitt::vault::RecipientSecret::from_pem(secret.to_pem().unwrap().as_bytes()).unwrap();
    let node = mitschnitt::vault::NodePublic::from_pem(node.public().to_pem().as_bytes()).unwrap();
    Call { rec, key_file, chunks, secret, node }
}

fn begun(permit: &Permit, node: &NodeKey, secret: &RecipientSecret) -> Begun {
    Sealer::begin(permit.evidence(), node.public(), &[*secret.public()], &mut Zeros).unwrap()
}

criterion_group!(benches, measure);
criterion_main!(benches);
