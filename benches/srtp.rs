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
            // A round of 65,536 packets, sealed beforehand; each round again under a new context, which is 1 ns a packet.
            let mut sealed = Stream::new(&suite, 1);
            let packets: Vec<Vec<u8>> = (0..=u16::MAX).map(|_| sealed.next().to_vec()).collect();
            let mut opener = Opener::new(keying(&suite, 1));
            let mut buffer = [0; 512];
            let mut nth = 0;
            bencher.iter(|| {
                if nth == packets.len() {
                    (opener, nth) = (Opener::new(keying(&suite, 1)), 0);
                }
                let packet = &mut buffer[..packets[nth].len()];
                packet.copy_from_slice(&packets[nth]);
                nth += 1;
                opener.open_rtp(packet, Moment::START).unwrap().len()
            });
        });
        group.bench_function(BenchmarkId::new("open and seal", name), |bencher| {
            let mut sealed = Stream::new(&suite, 1);
            let packets: Vec<Vec<u8>> = (0..=u16::MAX).map(|_| sealed.next().to_vec()).collect();
            let mut opener = Opener::new(keying(&suite, 1));
            let mut sealer = Sealer::new(keying(&suite, 2));
            let mut buffer = [0; 512];
            let mut nth = 0;
            bencher.iter(|| {
                if nth == packets.len() {
                    (opener, nth) = (Opener::new(keying(&suite, 1)), 0);
                }
                let packet = &mut buffer[..packets[nth].len()];
                packet.copy_from_slice(&packets[nth]);
                nth += 1;
                let len = opener.open_rtp(packet, Moment::START).unwrap().len();
                sealer.seal_rtp(&mut buffer, len).unwrap().len()
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
