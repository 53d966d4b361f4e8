//! Real calls in which ffmpeg is the media of both sides: what it said is in the export, and what it heard is what the other said.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test may panic, and it is the shell that starts, waits, reads and listens"
)]

#[allow(dead_code, reason = "each file of tests uses its part")]
mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::A_WHILE;
use support::child::Running;
use support::phone::{Phone, call_as, hang_up, sdp_of};
use support::ports::until_bound;
use support::site::{Site, policy};
use support::sound::{Wav, alaw, assert_the_end_of, noise, write_wav};

const PCMA: Codec = Codec { encoder: &["pcm_alaw"], packet_bytes: 172, payload_type: "8", attributes: &["rtpmap:8 PCMA/8000"] };
const G722: Codec =
    Codec { encoder: &["g722", "-ar", "16000"], packet_bytes: 172, payload_type: "9", attributes: &["rtpmap:9 G722/8000"] };
const OPUS: Codec = Codec {
    encoder: &["libopus", "-b:a", "64k"],
    packet_bytes: 1200,
    payload_type: "97",
    attributes: &["rtpmap:97 opus/48000/2", "fmtp:97 useinbandfec=1"],
};

#[test]
fn what_ffmpeg_says_in_a_law_is_exported_sample_for_sample() {
    let said = [3, 4].map(|seed| noise(SPEAKS_FOR, 160, seed));
    let sounds = said.each_ref().map(|packets| packets.iter().flatten().map(|&octet| alaw(octet)).collect());

    let call = Call::place(&PCMA, sounds);

    for ((channel, said), whose) in call.export.channels.iter().zip(&said).zip(["the PBX's side", "the trunk's side"]) {
        let kept = assert_the_end_of(channel, said, whose);
        assert!((100..=SPEAKS_FOR).contains(&kept), "{whose}: of 4 s all but the announcement's one is kept: {kept} packets");
    }
}

#[test]
fn what_ffmpeg_says_in_opus_is_exported_and_heard_by_ffmpeg() {
    Call::place(&OPUS, UP_AND_DOWN.map(sweep)).assert_swept();
}

#[test]
fn what_ffmpeg_says_in_g722_is_exported_and_heard_by_ffmpeg() {
    Call::place(&G722, UP_AND_DOWN.map(sweep)).assert_swept();
}

/// Packets of 20 ms that each side says.
const SPEAKS_FOR: usize = 200;

/// What ffmpeg and the descriptions call a codec.
struct Codec {
    encoder: &'static [&'static str],
    /// The longest packet: what can be cut anywhere is, so that each is of 20 ms.
    packet_bytes: usize,
    payload_type: &'static str,
    attributes: &'static [&'static str],
}

/// What came of a call in which both spoke for four seconds from the answer on, one second of them under the announcement.
struct Call {
    export: Wav,
    /// What the PBX's side heard, and the trunk's.
    heard: [Wav; 2],
}

impl Call {
    fn place(codec: &Codec, sounds: [Vec<i16>; 2]) -> Self {
        let site = Site::new(policy("announce"));
        // ffmpeg listens and speaks on ports of its own.
        for side in ["[pbx]", "[[trunk]]"] {
            site.set(side, "media_networks = [\"127.0.0.1/32\"]");
        }
        let _proxy = site.start();
        let mut pbx = Phone::new(site.ports.pbx(), site.ports.proxy());
        let mut trunk = Phone::new(site.ports.trunk(), site.ports.proxy());
        let ports = [*site.ports.pbx_media().start(), *site.ports.trunk_media().start()];
        let [offer, answer] = ports.map(|port| sdp_of(port, codec.payload_type, codec.attributes));
        let ears = [(&offer, ports[0]), (&answer, ports[1])].map(|(sdp, port)| Ears::open(site.path(), sdp, port));

        let call = call_as("ffmpeg", &mut pbx, &mut trunk, [&offer, &answer]);
        let towards = [call.caller_sends_to, call.callee_sends_to];
        let mouths = [0, 1].map(|side| {
            let sound = site.path().join(format!("said-{side}.wav"));
            write_wav(&sound, 8000, &sounds[side]);
            says(codec, &sound, ports[side] + 4, &towards[side].to_string())
        });
        for mouth in mouths {
            mouth.finish(A_WHILE).must_succeed();
        }
        let heard = ears.map(Ears::heard);
        hang_up(&call, &mut pbx, &mut trunk);

        let export = site.export(&site.recorded());
        Self { export, heard }
    }

    /// Panics unless each side's sweep is on its channel of the export, and was heard by the other, at its pace and with nothing left out.
    fn assert_swept(&self) {
        for (side, own) in UP_AND_DOWN.into_iter().enumerate() {
            assert_is_sweep(&self.export.channels[side], self.export.rate, own, &format!("channel {side} of the export"));
            assert_is_sweep(
                &self.heard[1 - side].channels[0],
                self.heard[1 - side].rate,
                own,
                &format!("what side {} heard", 1 - side),
            );
        }
    }
}

/// Speaks a file in real time, 20 ms a packet, from this port, and says goodbye by RTCP.
fn says(codec: &Codec, sound: &Path, from: u16, to: &str) -> Running {
    let source = format!("amovie={},asetnsamples=160", sound.display());
    Running::start(
        "ffmpeg speaks",
        Command::new("ffmpeg")
            .args(["-nostdin", "-hide_banner", "-loglevel", "error", "-re", "-f", "lavfi", "-i", &source, "-c:a"])
            .args(codec.encoder)
            .args(["-payload_type", codec.payload_type, "-f", "rtp", "-rtpflags", "send_bye"])
            .arg(format!("rtp://{to}?localrtpport={from}&localrtcpport={}&pkt_size={}", from + 1, codec.packet_bytes)),
    )
}

/// ffmpeg as whoever hears what a description says.
struct Ears {
    running: Running,
    out: PathBuf,
}

impl Ears {
    fn open(directory: &Path, sdp: &str, port: u16) -> Self {
        let [description, out] = ["sdp", "wav"].map(|ending| directory.join(format!("heard-{port}.{ending}")));
        std::fs::write(&description, sdp).unwrap();
        let mut command = Command::new("ffmpeg");
        command
            .args(["-nostdin", "-hide_banner", "-loglevel", "error", "-protocol_whitelist", "file,udp,rtp", "-i"])
            .arg(&description)
            .args(["-c:a", "pcm_s16le", "-ac", "1", "-y"])
            .arg(&out);
        let running = Running::start("ffmpeg listens", &mut command);
        until_bound("udp", port);
        Self { running, out }
    }

    /// Waits until whoever it hears has said goodbye, by RTCP.
    fn heard(self) -> Wav {
        self.running.finish(A_WHILE).must_succeed();
        Wav::read(&self.out)
    }
}

/// From and to how many hertz the tone of each side goes, evenly, while it speaks.
const UP_AND_DOWN: [(f64, f64); 2] = [(400.0, 2400.0), (2600.0, 600.0)];

/// How long each speaks, in seconds.
const SECONDS: f64 = SPEAKS_FOR as f64 * 0.02;

/// The phase of a sweep after so many seconds.
fn phase((from, to): (f64, f64), at: f64) -> f64 {
    std::f64::consts::TAU * (from * at + (to - from) / SECONDS * at * at / 2.0)
}

fn sweep(own: (f64, f64)) -> Vec<i16> {
    (0..SPEAKS_FOR * 160).map(|n| (phase(own, n as f64 / 8000.0).sin() * 12_000.0) as i16).collect()
}

/// Panics unless the last two seconds of a sound are this sweep, each half second at the place that follows from the first.
fn assert_is_sweep(sound: &[i16], rate: u32, own: (f64, f64), which: &str) {
    let begin = |word: Option<usize>| word.unwrap_or_else(|| panic!("{which} is silent"));
    let end = begin(sound.iter().rposition(|&sample| sample.unsigned_abs() > 1000));
    let half = rate as usize / 2;
    let places: Vec<f64> = (1..=4)
        .rev()
        .map(|back| {
            let window = &sound[end - back * half - half / 2..][..half];
            let (share, place) = found(window, rate, own);
            assert!(share > 0.9, "{which}, {back} half seconds before its end: {share:.3} is the sweep, at {place:.3} s of it");
            place
        })
        .collect();
    for (nth, place) in places.iter().enumerate() {
        let due = places[0] + nth as f64 * 0.5;
        assert!((place - due).abs() < 0.005, "{which}: half a second further the sweep is where it should be: {places:?}");
    }
}

/// Where in a sweep a piece of sound is from, to the millisecond, and how much of it that explains.
fn found(window: &[i16], rate: u32, own: (f64, f64)) -> (f64, f64) {
    // All that sounds is below 4 kHz.
    let samples: Vec<f64> = window.iter().step_by((rate / 8000) as usize).map(|&sample| f64::from(sample)).collect();
    let power: f64 = samples.iter().map(|sample| sample * sample).sum();
    let whole: Vec<_> = (0..SPEAKS_FOR * 160).map(|n| phase(own, n as f64 / 8000.0).sin_cos()).collect();
    let shares = whole.windows(samples.len()).step_by(8).map(|piece| {
        let pairs = samples.iter().zip(piece);
        let (sine, cosine) = pairs.fold((0.0, 0.0), |sum, (sample, of)| (sum.0 + sample * of.0, sum.1 + sample * of.1));
        2.0 * (sine * sine + cosine * cosine) / (power * samples.len() as f64)
    });
    let places = shares.zip((0..).map(|ms| f64::from(ms) / 1000.0));
    places.fold((0.0, 0.0), |best, this| if this.0 > best.0 { this } else { best })
}
