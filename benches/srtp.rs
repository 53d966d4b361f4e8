//! Nanoseconds to seal, to open, and to open and seal again one packet of 172 bytes (20 ms of G.711), with each suite.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark may panic, and its macros write no docs"
)]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use mitschnitt::media::srtp::{Keying, Opener, Sealer};
use mitschnitt::time::Moment;
use mitschnitt::wire::rtp::{self, Header};
use mitschnitt::wire::sdp::{Crypto, Suite};

criterion_main!(benches);
criterion_group!(benches, srtp);

fn srtp(criterion: &mut Criterion) {
    for suite in SUITES {
        let name = suite.as_str();
        let mut group = criterion.benchmark_group("srtp");
        group.bench_function(BenchmarkId::new("seal", name), |bencher| {
            let mut stream = Stream::new(&suite, 1);
            bencher.iter(|| black_box(stream.next()).len());
        });
        group.bench_function(BenchmarkId::new("open", name), |bencher| {
            let mut coming = Coming::new(&suite);
            bencher.iter(|| coming.open());
        });
        group.bench_function(BenchmarkId::new("open and seal", name), |bencher| {
            let mut coming = Coming::new(&suite);
            let mut sealer = Sealer::new(keying(&suite, 2));
            bencher.iter(|| {
                let len = coming.open();
                sealer.seal_rtp(&mut coming.buffer, len).unwrap().len()
            });
        });
        group.bench_function(BenchmarkId::new("refuse a forged one", name), |bencher| {
            let mut opener = Opener::new(keying(&suite, 1));
            let mut packet = Stream::new(&suite, 2).next().to_vec();
            bencher.iter(|| opener.open_rtp(black_box(&mut packet), Moment::START).is_err());
        });
        group.bench_function(BenchmarkId::new("begin a leg", name), |bencher| {
            let keying = keying(&suite, 1);
            bencher.iter(|| black_box((Opener::new(keying.clone()), Sealer::new(keying.clone()))));
        });
        group.finish();
    }
}

/// A stream that is sealed, packet after packet.
struct Stream {
    sealer: Sealer,
    sequence: u16,
    buffer: [u8; 512],
}

impl Stream {
    fn new(suite: &Suite, seed: u8) -> Self {
        let mut buffer = [0x55; 512];
        let header = Header { payload_type: 8, marker: false, sequence: 0, timestamp: 0, ssrc: 7 };
        buffer[..Header::LEN].copy_from_slice(&header.to_bytes());
        Self { sealer: Sealer::new(keying(suite, seed)), sequence: 0, buffer }
    }

    fn next(&mut self) -> &[u8] {
        rtp::set_sequence(&mut self.buffer, self.sequence);
        self.sequence = self.sequence.wrapping_add(1);
        self.sealer.seal_rtp(&mut self.buffer, 172).unwrap()
    }
}

/// A round of 65,536 packets, sealed beforehand; each round is opened again under a new context, which is 1 ns a packet.
struct Coming<'s> {
    suite: &'s Suite,
    packets: Vec<Vec<u8>>,
    opener: Opener,
    nth: usize,
    buffer: [u8; 512],
}

impl<'s> Coming<'s> {
    fn new(suite: &'s Suite) -> Self {
        let mut sealed = Stream::new(suite, 1);
        let packets = (0..=u16::MAX).map(|_| sealed.next().to_vec()).collect();
        Self { suite, packets, opener: Opener::new(keying(suite, 1)), nth: 0, buffer: [0; 512] }
    }

    /// Opens the next one in the buffer, and returns how long it is.
    fn open(&mut self) -> usize {
        if self.nth == self.packets.len() {
            (self.opener, self.nth) = (Opener::new(keying(self.suite, 1)), 0);
        }
        let packet = &mut self.buffer[..self.packets[self.nth].len()];
        packet.copy_from_slice(&self.packets[self.nth]);
        self.nth += 1;
        self.opener.open_rtp(packet, Moment::START).unwrap().len()
    }
}

fn keying(suite: &Suite, seed: u8) -> Keying {
    let (key, salt) = suite.lengths().unwrap();
    Keying::of(&Crypto::new(1, suite.clone(), &vec![seed; key + salt]).unwrap()).unwrap()
}

const SUITES: [Suite; 6] = [
    Suite::AesCm128HmacSha1_80,
    Suite::AesCm128HmacSha1_32,
    Suite::Aes256CmHmacSha1_80,
    Suite::Aes256CmHmacSha1_32,
    Suite::AeadAes128Gcm,
    Suite::AeadAes256Gcm,
];
