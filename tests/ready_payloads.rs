//! Announcements in codecs that are not spoken here: their payloads lie ready in a file, and are said as they are.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test may panic, and it is the shell that writes a file and opens sockets"
)]

#[allow(dead_code, reason = "each file of tests uses its part")]
mod support;

use std::fs;
use std::time::Duration;

use support::phone::{Call, Mouth, Phone, call_as, every_20_ms, hang_up, sdp_of};
use support::site::{Site, policy};

const G729: Codec = Codec { coding: "G729/8000", ticks: 160, payload_bytes: 20 };
const AMR_WB: Codec = Codec { coding: "AMR-WB/16000 octet-align=1", ticks: 320, payload_bytes: 62 };

#[test]
fn a_call_in_g729_is_announced_with_its_payloads_and_recorded() {
    let scene = Scene::with(&G729);

    let spoken = scene.call(["18", "18"], [&["fmtp:18 annexb=no"], &[]]);

    spoken.assert_told();
    let id = scene.site.recorded();
    let out = scene.site.path().join("payloads");
    let (key, words) =
        (scene.site.recipient_secret(), ["recordings", "export", &id, "--purpose", "quality", "--format", "payload"]);
    let paths = ["--key", key.to_str().unwrap(), "--out", out.to_str().unwrap()];
    scene.site.cli(&[&words[..], &paths[..]].concat()).must_succeed();
    for (file, said) in [("pbx.payload", 0x11), ("trunk.payload", 0x33)] {
        let kept = fs::read(out.join(file)).unwrap();
        assert!(kept.len() >= 30 * G729.payload_bytes && kept.iter().all(|&byte| byte == said), "{file}: {} bytes", kept.len());
    }
}

#[test]
fn each_side_hears_them_under_the_payload_type_that_it_gave_the_codec() {
    let scene = Scene::with(&AMR_WB);

    let spoken = scene.call(
        ["97", "112"],
        [
            &["rtpmap:97 AMR-WB/16000", "fmtp:97 octet-align=1; mode-change-capability=2"],
            &["rtpmap:112 amr-wb/16000/1", "fmtp:112 octet-align=1"],
        ],
    );

    spoken.assert_told();
    scene.site.recorded();
}

#[test]
fn payloads_of_another_form_of_the_codec_are_not_played() {
    let scene = Scene::with(&AMR_WB);

    let spoken = scene.call(["97", "97"], [&["rtpmap:97 AMR-WB/16000"], &["rtpmap:97 AMR-WB/16000"]]);

    assert_eq!(spoken.told, [0, 0], "they would be noise to who packs them otherwise");
    scene.site.ledger_says("announcement-codec");
}

#[test]
fn check_says_what_is_wrong_with_a_file_and_what_to_do() {
    let scene = Scene::with(&G729);
    scene.site.cli(&["check"]).must_succeed();
    let gap: Vec<_> = scene.dump.iter().copied().take(200).chain(scene.dump.iter().copied().skip(200 + 40)).collect();
    let shorter = &scene.dump[..300];
    let cases: [(&[u8], &str); 3] = [(b"RIFF", "it looks like WAV"), (shorter, "it is cut off"), (&gap, "is missing")];

    for (bytes, what) in cases {
        fs::write(scene.site.path().join("announcement.rtpdump"), bytes).unwrap();
        let said = scene.site.cli(&["check"]);
        assert!(said.status.code() == Some(1) && said.err.contains(what), "{}", said.err);
        assert!(said.err.contains("the announcement of `all` in G729/8000"), "{}", said.err);
    }
}

/// A codec as an operator names it.
struct Codec {
    coding: &'static str,
    ticks: u32,
    payload_bytes: usize,
}

/// A site whose announcement lies ready for a codec.
struct Scene {
    site: Site,
    codec: &'static Codec,
    dump: Vec<u8>,
}

/// What was heard of the announcement, packet by packet in order, by each side.
struct Spoken {
    told: [usize; 2],
}

impl Spoken {
    fn assert_told(&self) {
        assert_eq!(self.told, [PACKETS; 2], "both were told, whole and in order");
    }
}

/// An announcement of a second.
const PACKETS: usize = 50;

impl Scene {
    fn with(codec: &'static Codec) -> Self {
        let site = Site::new(policy("announce"));
        let path = site.path().join("announcement.rtpdump");
        let dump = dump(codec);
        fs::write(&path, &dump).unwrap();
        site.set("[[policy]]", &format!("announcement_payloads = {{ {:?} = {path:?} }}", codec.coding));
        Self { site, codec, dump }
    }

    /// Both speak from the answer on, two seconds long.
    fn call(&self, types: [&str; 2], said: [&[&str]; 2]) -> Spoken {
        let _proxy = self.site.start();
        let mut pbx = Phone::new(self.site.ports.pbx(), self.site.ports.proxy());
        let mut trunk = Phone::new(self.site.ports.trunk(), self.site.ports.proxy());
        let ports = [*self.site.ports.pbx_media().start(), *self.site.ports.trunk_media().start()];
        let [offer, answer] = [0, 1].map(|at| sdp_of(ports[at], types[at], said[at]));
        let [mut caller, mut callee] = [0, 1].map(|at| Mouth::speaking(ports[at], types[at].parse().unwrap(), self.codec.ticks));
        let call: Call = call_as("ready", &mut pbx, &mut trunk, [&offer, &answer]);

        every_20_ms(100, |_| {
            caller.says(call.caller_sends_to, &vec![0x11; self.codec.payload_bytes]);
            callee.says(call.callee_sends_to, &vec![0x33; self.codec.payload_bytes]);
        });
        let patience = Duration::from_millis(200);
        let heard = [caller.hears(patience), callee.hears(patience)];
        hang_up(&call, &mut pbx, &mut trunk);

        let wanted: Vec<_> = (0..PACKETS).map(|nth| payload(self.codec, nth)).collect();
        let told = heard.map(|heard| {
            let of_announcement: Vec<_> = heard.into_iter().filter(|payload| wanted.contains(payload)).collect();
            of_announcement.iter().zip(&wanted).take_while(|(heard, wanted)| heard == wanted).count()
        });
        Spoken { told }
    }
}

fn payload(codec: &Codec, nth: usize) -> Vec<u8> {
    (0..codec.payload_bytes).map(|at| u8::try_from(0x40 + (nth + at) % 64).unwrap()).collect()
}

/// What rtpdump and Wireshark write.
fn dump(codec: &Codec) -> Vec<u8> {
    let mut file = b"#!rtpplay1.0 127.0.0.1/4000\n".to_vec();
    file.extend([0; 16]);
    for nth in 0..PACKETS {
        let at = u32::try_from(nth).unwrap();
        let mut packet = vec![0x80, 96];
        packet.extend(u16::try_from(65_520 + nth).unwrap_or_else(|_| u16::try_from(nth - 16).unwrap()).to_be_bytes());
        packet.extend((at * codec.ticks).to_be_bytes());
        packet.extend([0, 0, 0, 7]);
        packet.extend(payload(codec, nth));
        file.extend(u16::try_from(packet.len() + 8).unwrap().to_be_bytes());
        file.extend(u16::try_from(packet.len()).unwrap().to_be_bytes());
        file.extend((at * 20).to_be_bytes());
        file.extend(packet);
    }
    file
}
