//! Nothing of a voice before consent is kept: a pattern is sent as audio, and looked for on disk, in exports and in the process's memory.

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
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use memchr::memmem::Finder;
use support::image::Image;
use support::phone::{Call, Mouth, Phone, call, every_20_ms, hang_up};
use support::site::{Policy, Site, files_under, policy};
use support::sound::{alaw, noise};
use support::until;

#[test]
fn without_the_key_no_byte_of_the_voice_is_on_disk_or_in_memory_a_second_later() {
    let site = Site::new(Policy { answer_s: 1, ..policy("opt-in") });
    let proxy = site.start();
    let mut ends = Ends::call(&site);
    let marker = Marker::new(1);

    // 4 s: through the announcement (1 s), the time for the key (1 s), and on unrecorded.
    every_20_ms(200, |_| ends.both_say(&marker.payload));
    let heard = ends.callee_mouth.hears(Duration::from_millis(200));
    assert!(heard.iter().filter(|payload| **payload == marker.payload).count() > 90, "the call goes on: the marker was relayed");
    // The second after the marker's end is what is promised; 200 ms of it went by while listening.
    std::thread::sleep(Duration::from_millis(800));
    let in_memory = marker.regions_with_it(proxy.pid());

    assert!(!marker.regions_with_it(std::process::id()).is_empty(), "the search finds what is there: this test has the marker");
    assert_eq!(in_memory, Vec::<String>::new(), "regions of the proxy's memory that hold the marker");
    assert_eq!(marker.files_with_it(&site), Vec::<PathBuf>::new());
    assert_eq!(site.recordings(), Vec::<PathBuf>::new());
    ends.hang_up();
    site.ledger_says("consent-timeout");
    assert_eq!(marker.files_with_it(&site), Vec::<PathBuf>::new());
}

#[test]
fn with_the_key_nothing_from_before_it_is_in_the_recording() {
    let site = Site::new(Policy { answer_s: 5, ..policy("opt-in") });
    let _proxy = site.start();
    let mut ends = Ends::call(&site);
    let (before, after) = (Marker::new(2), Marker::new(3));

    every_20_ms(100, |_| ends.both_say(&before.payload));
    ends.callee_presses_1();
    // What was in flight when the key came is decided by the proxy alone; after this it has decided.
    until("the recording to begin", support::A_WHILE, || {
        (site.metric("mitschnitt_vault_recordings_begun_total") > 0.0).then_some(())
    });
    every_20_ms(100, |_| ends.both_say(&after.payload));
    ends.hang_up();

    let wav = site.export(&site.recorded());
    for (channel, samples) in wav.channels.iter().enumerate() {
        assert_eq!(before.times_in(samples), 0, "channel {channel} holds what was said before consent");
        assert_eq!(after.times_in(samples), 100, "channel {channel} holds what was said after it");
    }
    for marker in [before, after] {
        assert_eq!(
            marker.files_with_it(&site),
            Vec::<PathBuf>::new(),
            "on disk nothing is in the clear, neither before nor after"
        );
    }
}

#[test]
fn during_the_announcement_nobody_is_stored() {
    let site = Site::new(policy("announce"));
    let _proxy = site.start();
    let mut ends = Ends::call(&site);
    let marker = Marker::new(4);

    // 0.8 s of an announcement of 1 s.
    every_20_ms(40, |_| ends.both_say(&marker.payload));
    until("the recording to begin", support::A_WHILE, || {
        (site.metric("mitschnitt_vault_recordings_begun_total") > 0.0).then_some(())
    });
    every_20_ms(50, |_| ends.both_say(&[0xd5; 160]));
    ends.hang_up();

    let wav = site.export(&site.recorded());
    assert!(wav.channels.iter().all(|samples| marker.times_in(samples) == 0));
    assert!(wav.channels.iter().all(|samples| samples.iter().filter(|&&sample| sample == alaw(0xd5)).count() >= 50 * 160));
}

/// A call between two plain telephones, from the PBX to the trunk.
struct Ends {
    caller: Phone,
    callee: Phone,
    caller_mouth: Mouth,
    callee_mouth: Mouth,
    call: Call,
}

impl Ends {
    fn call(site: &Site) -> Self {
        let mut caller = Phone::new(site.ports.pbx(), site.ports.proxy());
        let mut callee = Phone::new(site.ports.trunk(), site.ports.proxy());
        let (a, b) = (*site.ports.pbx_media().start(), *site.ports.trunk_media().start());
        let call = call("marker", &mut caller, &mut callee, a, b);
        Self { caller, callee, caller_mouth: Mouth::new(a), callee_mouth: Mouth::new(b), call }
    }

    fn both_say(&mut self, payload: &[u8]) {
        self.caller_mouth.says(self.call.caller_sends_to, payload);
        self.callee_mouth.says(self.call.callee_sends_to, payload);
    }

    fn callee_presses_1(&mut self) {
        let to: SocketAddr = self.call.callee_sends_to;
        self.callee_mouth.presses(to, 1);
    }

    fn hang_up(&mut self) {
        hang_up(&self.call, &mut self.caller, &mut self.callee);
    }
}

/// 160 octets of noise that are nowhere else, and windows of 32 at every 32nd place: any 63 octets in a row hold a window whole.
struct Marker {
    payload: Vec<u8>,
    windows: Vec<Finder<'static>>,
}

impl Marker {
    fn new(seed: u64) -> Self {
        let payload = noise(1, 160, seed << 32 | u64::from(std::process::id())).remove(0);
        let windows = payload.chunks_exact(32).map(|window| Finder::new(window).into_owned()).collect();
        Self { payload, windows }
    }

    fn is_in(&self, bytes: &[u8]) -> bool {
        self.windows.iter().any(|window| window.find(bytes).is_some())
    }

    fn files_with_it(&self, site: &Site) -> Vec<PathBuf> {
        let files = files_under(&site.data());
        assert!(!files.is_empty(), "there is a ledger at least");
        files.into_iter().filter(|path| self.is_in(&std::fs::read(path).unwrap_or_default())).collect()
    }

    /// Searches all memory of a process that can be read; returns the lines of its map where the marker is.
    fn regions_with_it(&self, pid: u32) -> Vec<String> {
        let image = Image::running(pid);
        assert!(image.bytes() > 1 << 20, "a process has more than a megabyte: {} bytes were searched", image.bytes());
        image.regions_with(|bytes| self.is_in(bytes))
    }

    /// How often it is in decoded sound, whole.
    fn times_in(&self, samples: &[i16]) -> usize {
        let spoken: Vec<u8> = self.payload.iter().flat_map(|&octet| alaw(octet).to_le_bytes()).collect();
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        Finder::new(&spoken).find_iter(&bytes).count()
    }
}
