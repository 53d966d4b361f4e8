//! What recording costs: a packet appended, a chunk of 16 KiB sealed, a recording verified.
//!
//! The rooms are mounted by path: a bench outside the crate could not have a packet covered, and that is as it should be.

#![allow(dead_code, missing_docs, unreachable_pub, reason = "the rooms are mounted for a few of their functions")]
#![allow(unused_imports, clippy::unwrap_used, reason = "a bench may panic")]

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
use std::time::Duration;

use aes_gcm::aead::{AeadInOut, KeyInit};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

use consent::Permit;
use granted::{Zeros, permit};
use ids::Leg;
use time::Moment;
use vault::{Begun, Buffers, EndReason, NodeKey, PlainChunk, RecipientSecret, Recorder, Sealer};

fn append(criterion: &mut Criterion) {
    let permit = permit();
    let packet = [0x80; 172];
    let mut group = criterion.benchmark_group("vault");
    group.throughput(Throughput::Elements(1));
    group.bench_function("append a packet of 172 bytes", |bencher| {
        let buffers = Buffers::new();
        let mut recorder = Recorder::begin(&permit, &buffers);
        let mut micros = 0;
        bencher.iter(|| {
            micros += 10_000;
            let came = Moment::from_micros(micros);
            black_box(recorder.append(permit.cover(Leg::Pbx, came, black_box(&packet)).unwrap()))
        });
    });
    group.finish();
}

fn seal(criterion: &mut Criterion) {
    let permit = permit();
    let begin = || begun(&permit, &NodeKey::generate(&mut Zeros), &RecipientSecret::generate(&mut Zeros));
    let buffers = Buffers::new();
    let bytes = u64::try_from(chunk(&permit, &buffers).size_bytes()).unwrap();
    let mut group = criterion.benchmark_group("vault");
    group.throughput(Throughput::Bytes(bytes));
    group.bench_function("seal a full chunk, with its ratchet step and chain", |bencher| {
        let Begun { mut sealer, .. } = begin();
        let mut out = Vec::with_capacity(64 * 1024);
        bencher.iter_batched(
            || chunk(&permit, &buffers),
            |chunk| {
                out.clear();
                sealer.seal(chunk, &mut out).unwrap();
                black_box(&out).len()
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function("AES-256-GCM alone on as much", |bencher| {
        let cipher = aes_gcm::Aes256Gcm::new_from_slice(&[1; 32]).unwrap();
        let mut buffer = vec![0; usize::try_from(bytes).unwrap()];
        let nonce = [0; 12].into();
        bencher.iter(|| cipher.encrypt_inout_detached(&nonce, &[0; 42], buffer.as_mut_slice().into()).unwrap());
    });
    group.finish();
    criterion.bench_function("vault/begin a recording for one recipient", |bencher| {
        bencher.iter(|| begin().head.len());
    });
}

fn read(criterion: &mut Criterion) {
    let permit = permit();
    let (node, secret) = (NodeKey::generate(&mut Zeros), RecipientSecret::generate(&mut Zeros));
    let buffers = Buffers::new();
    let Begun { mut sealer, key_file, head: mut rec } = begun(&permit, &node, &secret);
    for _ in 0..1000 {
        sealer.seal(chunk(&permit, &buffers), &mut rec).unwrap();
    }
    let last = Recorder::begin(&permit, &buffers).end(EndReason::Stopped, [0, 0], Moment::START);
    assert!(sealer.finish(last, &node, &mut rec).is_ok());
    let mut group = criterion.benchmark_group("vault");
    group.sample_size(20).measurement_time(Duration::from_secs(3));
    group.throughput(Throughput::Bytes(u64::try_from(rec.len()).unwrap()));
    group.bench_function("verify", |bencher| {
        bencher.iter(|| vault::verify(rec.as_slice(), node.public()).unwrap());
    });
    group.bench_function("verify with the content", |bencher| {
        bencher.iter(|| vault::verify_content(rec.as_slice(), &key_file, &secret, node.public()).unwrap());
    });
    group.finish();
}

fn begun(permit: &Permit, node: &NodeKey, secret: &RecipientSecret) -> Begun {
    Sealer::begin(permit.evidence(), node.public(), &[*secret.public()], &mut Zeros).unwrap()
}

/// A full chunk of both legs' packets, 10 ms apart in file order.
fn chunk(permit: &Permit, buffers: &Buffers) -> PlainChunk {
    let mut recorder = Recorder::begin(permit, buffers);
    let packet = [0x80; 172];
    for micros in (0..).step_by(5000) {
        let leg = if micros % 10_000 == 0 { Leg::Pbx } else { Leg::Trunk };
        let covered = permit.cover(leg, Moment::from_micros(micros), &packet).unwrap();
        if let Some(chunk) = recorder.append(covered) {
            return chunk;
        }
    }
    unreachable!("a chunk is full some time")
}

criterion_group!(benches, append, seal, read);
criterion_main!(benches);
