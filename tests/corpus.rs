//! Every file of the fuzzers' corpora, and some thousands of its mutations, through the same properties that the fuzzers check.

use std::path::Path;

#[path = "../fuzz/properties/config.rs"]
mod config;
#[path = "../fuzz/properties/file.rs"]
mod file;
#[path = "../fuzz/properties/multipart.rs"]
mod multipart;
#[path = "../fuzz/properties/pem.rs"]
mod pem;
#[path = "../fuzz/properties/request.rs"]
mod request;
#[path = "../fuzz/properties/rtcp.rs"]
mod rtcp;
#[path = "../fuzz/properties/rtp.rs"]
mod rtp;
#[path = "../fuzz/properties/sdes.rs"]
mod sdes;
#[path = "../fuzz/properties/sdp.rs"]
mod sdp;
#[path = "../fuzz/properties/sip.rs"]
mod sip;
#[path = "../fuzz/properties/srtp.rs"]
mod srtp;
#[path = "../fuzz/properties/stream.rs"]
mod stream;
#[path = "../fuzz/properties/wav.rs"]
mod wav;

#[test]
fn sip_messages_hold_their_properties() {
    replay("sip", sip::check);
}

#[test]
fn streams_hold_their_properties() {
    replay("stream", stream::check);
}

#[test]
fn session_descriptions_hold_their_properties() {
    replay("sdp", sdp::check);
}

#[test]
fn rtp_packets_hold_their_properties() {
    replay("rtp", rtp::check);
}

#[test]
fn rtcp_packets_hold_their_properties() {
    replay("rtcp", rtcp::check);
}

#[test]
fn recordings_hold_their_properties() {
    replay("file", file::check);
}

#[test]
fn keys_in_the_open_hold_their_properties() {
    replay("sdes", sdes::check);
}

#[test]
fn bodies_of_several_parts_hold_their_properties() {
    replay("multipart", multipart::check);
}

#[test]
fn questions_and_answers_hold_their_properties() {
    replay("request", request::check);
}

#[test]
fn configurations_hold_their_properties() {
    replay("config", config::check);
}

#[test]
fn announcements_hold_their_properties() {
    replay("wav", wav::check);
}

#[test]
fn packets_of_strangers_and_of_our_own_hold_their_properties() {
    replay("srtp", srtp::check);
}

#[test]
fn key_files_in_pem_hold_their_properties() {
    replay("pem", pem::check);
}

/// Mutations of each file; a failure is found again by running the test again, for the seed is the file's name.
const MUTATIONS: usize = 500;

#[expect(clippy::disallowed_methods, reason = "a test reads its own files")]
fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> =
        std::fs::read_dir(&folder).expect("a target has a corpus").map(|file| file.expect("a file").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    for file in files {
        let data = std::fs::read(&file).expect("a corpus file can be read");
        check(&data);
        let mut chance = Chance::new(file.file_name().map_or(&b""[..], |name| name.as_encoded_bytes()));
        for round in 0..MUTATIONS {
            let mutated = mutate(&data, &mut chance);
            if std::panic::catch_unwind(|| check(&mutated)).is_err() {
                panic!("{} in round {round}: {}", file.display(), mutated.escape_ascii());
            }
        }
    }
}

/// Sets, removes, repeats or inserts a few bytes.
fn mutate(data: &[u8], chance: &mut Chance) -> Vec<u8> {
    const TELLING: &[u8] = b"\r\n\t ,;:=<>\"\\/[]@%?*0129\0\x7f\x80\xff";
    let mut data = data.to_vec();
    for _ in 0..=chance.below(4) {
        let at = chance.below(data.len() + 1);
        let end = data.len().min(at + chance.below(20));
        match chance.below(5) {
            0 => data.insert(at, *TELLING.get(chance.below(TELLING.len())).expect("below its length")),
            1 => drop(data.drain(at..end)),
            2 => data.extend_from_within(at..end),
            3 => data.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << chance.below(8)),
            _ => data
                .get_mut(at)
                .into_iter()
                .for_each(|byte| *byte = TELLING.get(chance.below(TELLING.len())).copied().unwrap_or(0)),
        }
    }
    data
}

/// Xorshift: the same bytes of a seed give the same numbers.
struct Chance(u64);

impl Chance {
    fn new(seed: &[u8]) -> Self {
        Self(
            seed.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
                | 1,
        )
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % bound.max(1)
    }
}
