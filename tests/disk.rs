//! The disk is full, read-only, gone, fails to sync or stands still, for real: no packet is delayed, no call is hurt, whatever was told to
//! be sealed is whole, and what was not is salvaged or named.
//!
//! By hand: `MITSCHNITT_CALLS=200 MITSCHNITT_STALL_S=30 cargo test --release --test disk stands_still -- --nocapture` and
//! `MITSCHNITT_ROUNDS=200 cargo test --test disk sync -- --nocapture`. As root.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test may panic, and it is the shell that starts, waits, reads and listens"
)]

#[allow(dead_code, reason = "each file of tests uses its part")]
mod support;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use mitschnitt::vault::Verdict;
use rustix::process::Signal;
use support::child::Running;
use support::crowd::{Crowd, Stage};
use support::held::Vault;
use support::site::{Policy, Site, policy};
use support::volume::{Ballast, Volume};
use support::{A_WHILE, until};

#[test]
fn a_full_disk_hurts_no_call_and_once_there_is_room_calls_are_recorded_again() {
    let mut scene =
        Scene::begin(|site| Disks { of_data: Volume::tmpfs(&site.data(), 16), under: None, spare: None, ballast: None });
    scene.some_are_sealed();

    scene.begins(5);
    let ballast = scene.disks.of_data.fill(0);
    scene.goes_on_unhurt(Duration::from_secs(3));
    drop(ballast);

    scene.ends_all();
    scene.is_recorded_again();
    scene.some_are_sealed();
    let ends = scene.starts_again();
    assert_eq!(ends.broken, 0, "{ends:?}");
}

#[test]
fn a_disk_that_becomes_read_only_hurts_no_call() {
    let mut scene = Scene::begin(Disks::ext4);
    scene.some_are_sealed();

    scene.begins(5);
    scene.disks.of_data.becomes_read_only();
    scene.goes_on_unhurt(Duration::from_secs(3));
    scene.ends_all();

    scene.kills();
    scene.disks.of_data.check_and_mount_again();
    let ends = scene.starts_again();
    assert_eq!(ends.broken, 0, "{ends:?}");
}

#[test]
fn a_directory_that_is_gone_for_a_while_hurts_no_call() {
    let mut scene =
        Scene::begin(|site| Disks { of_data: Volume::tmpfs(&site.data(), 64), under: None, spare: None, ballast: None });
    scene.some_are_sealed();
    let (there, away) = (scene.site.data().join("recordings"), scene.site.data().join("away"));

    scene.begins(5);
    std::fs::rename(&there, &away).unwrap();
    scene.goes_on_unhurt(Duration::from_secs(2));
    std::fs::rename(&away, &there).unwrap();

    scene.ends_all();
    scene.is_recorded_again();
    scene.some_are_sealed();
    let ends = scene.starts_again();
    assert_eq!(ends.broken, 0, "{ends:?}");
}

#[test]
fn after_a_failed_sync_nothing_is_lost_that_was_called_sealed_and_no_call_is_hurt() {
    let rounds = by_hand("MITSCHNITT_ROUNDS", 2);
    let mut sum = Ends::default();
    for _ in 0..rounds {
        // The disk lies in a file, and where that file lies there is no room any more: writes go well, and their sync does not.
        let mut scene = Scene::begin(Disks::that_cannot_keep_what_they_take);
        scene.some_are_sealed();

        scene.begins(5);
        let ballast = scene.disks.under.as_ref().unwrap().fill(0);
        scene.goes_on_unhurt(Duration::from_secs(3));
        let failed = scene.proxy.said().contains("sync_failed");
        scene.ends_all();
        scene.crowd.live_until(Instant::now() + Duration::from_millis(700));
        let sealed = scene.kills();
        drop(ballast);
        scene.disks.of_data.check_and_mount_again();

        let ends = scene.starts_again();
        sum.add(&ends);
        println!("failed={failed} sealed_by_then={sealed} {ends:?}");
        assert!(failed || rounds > 2, "no sync has failed: that was no test");
    }
    println!("rounds={rounds} {sum:?}");
}

#[test]
fn with_a_spare_disk_a_failed_sync_loses_nothing() {
    let rounds = by_hand("MITSCHNITT_ROUNDS", 2);
    let (mut calls, mut moved, mut sealed_by_then) = (0, 0, 0);
    for _ in 0..rounds {
        let mut scene = Scene::with_spare();
        let first = scene.begins_and_the_sync_fails();
        let hung_up = scene.ends_all();
        scene.crowd.live_until(Instant::now() + Duration::from_millis(1200));
        sealed_by_then += scene.kills();
        scene.starts_again_with_a_disk_that_works();

        let whole = scene.whole(first, "complete", hung_up, AT_THE_END);
        assert_eq!(whole.len(), 7, "each call has its recording");
        let on_spare: Vec<_> =
            whole.into_iter().filter(|id| scene.spare().join(format!("recordings/{id}.rec")).exists()).collect();
        assert!(on_spare.len() >= 5, "those that were open when the sync failed have moved: {on_spare:?}");
        for id in &on_spare {
            assert!(!scene.site.data().join(format!("recordings/{id}.rec")).exists(), "{id}: what was left behind is removed");
        }
        (calls, moved) = (calls + 7, moved + on_spare.len());
    }
    println!("rounds={rounds} calls={calls} on_the_spare={moved} called_sealed_by_then={sealed_by_then}");
}

#[test]
fn a_kill_after_a_move_to_the_spare_disk_loses_half_a_second_as_any_kill() {
    let mut scene = Scene::with_spare();
    let first = scene.begins_and_the_sync_fails();
    let killed = Instant::now();
    scene.kills();
    scene.starts_again_with_a_disk_that_works();

    assert_eq!(scene.whole(first, "salvaged", killed, Duration::from_millis(1500)).len(), 7);
    // The rest of the proxy reads them where they lie.
    let id = scene.vault.rows_in("salvaged").remove(0);
    let said = scene.site.cli(&["recordings", "verify", &id]);
    assert!(said.status.success() && said.out.contains("salvaged"), "{}{}", said.out, said.err);
    let said = scene.site.cli(&["recordings", "erase", &id, "--reason", "GDPR 17", "--yes"]);
    assert!(said.status.success(), "{}", said.err);
    for data in [scene.site.data(), scene.spare()] {
        assert!(!data.join(format!("keys/{id}.key")).exists(), "erased on both disks");
    }
}

/// A spare disk for the site.
fn spare(site: &Site) -> Volume {
    let at = site.path().join("spare");
    site.set("[data]", &format!("spare_directory = \"{}\"", at.display()));
    Volume::tmpfs(&at, 64)
}

#[test]
fn a_disk_that_stands_still_delays_no_packet_and_nothing_is_lost() {
    let (calls, stall) = (by_hand("MITSCHNITT_CALLS", 20), Duration::from_secs(by_hand("MITSCHNITT_STALL_S", 5) as u64));
    let mut scene = Scene::begin(Disks::ext4);
    scene.begins(calls);
    let before = scene.goes_on_unhurt(Duration::from_secs(3));

    let frozen = scene.disks.of_data.freeze();
    let latest = Scene::carries(&mut scene.crowd, stall);
    drop(frozen);

    scene.crowd.live_until(Instant::now() + Duration::from_secs(2));
    let hung_up = scene.ends_all();
    scene.until_sealed(0..scene.crowd.calls.len());
    let mut packets = 0;
    for id in scene.vault.rows_in("sealed") {
        let held = scene.vault.open(&id, &scene.vault.rec(&id));
        let spoken = &scene.crowd.calls[held.call.expect("both spoke")];
        assert!(matches!(held.verdict, Verdict::Complete(_)) && held.gaps == 0, "{id}: {}, {} gaps", held.verdict, held.gaps);
        let lost = held.lost_before(spoken, hung_up);
        assert!(lost < AT_THE_END, "{id}: {lost:?} before the end begins what is not there");
        packets += held.packets();
    }
    println!("calls={calls} stall={stall:?} latest_before={before:?} latest_while_it_stood={latest:?} packets={packets}");
}

/// A number that whoever tests by hand may set.
fn by_hand(name: &str, in_ci: usize) -> usize {
    std::env::var(name).ok().and_then(|said| said.parse().ok()).unwrap_or(in_ci)
}

/// Where the data lie.
struct Disks {
    of_data: Volume,
    /// Under it, what holds its file.
    under: Option<Volume>,
    spare: Option<Volume>,
    /// What takes the room under it.
    ballast: Option<Ballast>,
}

impl Disks {
    fn ext4(site: &Site) -> Self {
        Self::in_memory_of(site, 1024)
    }

    fn that_cannot_keep_what_they_take(site: &Site) -> Self {
        Self::in_memory_of(site, 40)
    }

    fn in_memory_of(site: &Site, mib: u32) -> Self {
        let memory = site.path().join("memory");
        let under = Volume::tmpfs(&memory, mib);
        Self { of_data: Volume::ext4(site, &memory, 256), under: Some(under), spare: None, ballast: None }
    }
}

/// A proxy in its calls, and its disk.
struct Scene {
    proxy: Running,
    site: Site,
    vault: Vault,
    crowd: Crowd,
    /// What the ledger called sealed, as it was read then.
    sealed: BTreeMap<String, Vec<u8>>,
    disks: Disks,
}

/// What the next start has made of all that was recorded.
#[derive(Default, Debug)]
struct Ends {
    complete: usize,
    salvaged: usize,
    broken: usize,
    torn: usize,
    /// Calls that were not recorded.
    none: usize,
}

impl Scene {
    fn begin(disks: impl Fn(&Site) -> Disks) -> Self {
        let site = Site::new(Policy { announcement_ms: 40, ..policy("announce") });
        site.has_many_media_ports();
        let disks = disks(&site);
        let (vault, crowd, proxy) = (Vault::of(&site), Crowd::new(&site), site.start());
        Self { proxy, site, vault, crowd, sealed: BTreeMap::new(), disks }
    }

    /// With a spare disk, beside one that cannot keep what it takes.
    fn with_spare() -> Self {
        let mut scene = Self::begin(|site| Disks { spare: Some(spare(site)), ..Disks::that_cannot_keep_what_they_take(site) });
        scene.vault = Vault::with_spare(&scene.site, scene.spare());
        scene.some_are_sealed();
        scene
    }

    fn spare(&self) -> PathBuf {
        self.disks.spare.as_ref().expect("the scene has one").at().to_owned()
    }

    /// Five calls begin, and two more once the data directory's disk makes nothing durable any more; returns the first.
    fn begins_and_the_sync_fails(&mut self) -> usize {
        let first = self.crowd.calls.len();
        self.begins(5);
        self.crowd.live_until(Instant::now() + Duration::from_millis(700));
        self.disks.ballast = Some(self.disks.under.as_ref().expect("it lies on another").fill(0));
        self.goes_on_unhurt(Duration::from_secs(3));
        let (crowd, proxy) = (&mut self.crowd, &self.proxy);
        crowd.live_until_so("a sync to fail", A_WHILE, |_| proxy.said().contains("recording_goes_on_on_the_spare_disk"));
        first
    }

    fn starts_again_with_a_disk_that_works(&mut self) {
        self.disks.ballast = None;
        self.disks.of_data.check_and_mount_again();
        self.starts_again();
    }

    /// Returns the recordings of the calls from this one on; panics unless the verdict on each is this, and nothing of it is missing up to so
    /// long before that moment.
    fn whole(&self, first: usize, word: &str, until: Instant, but: Duration) -> Vec<String> {
        let mut whole = Vec::new();
        for id in self.vault.names("recordings", ".rec") {
            let held = self.vault.open(&id, &self.vault.rec(&id));
            let Some(call) = held.call.filter(|&call| call >= first) else { continue };
            assert_eq!((held.verdict.as_str(), held.gaps), (word, 0), "{id}");
            let lost = held.lost_before(&self.crowd.calls[call], until);
            assert!(lost < but, "{id}: {lost:?} before the end begins what is not there");
            whole.push(id);
        }
        whole
    }

    /// Calls begin, and both hear each other.
    fn begins(&mut self, calls: usize) {
        let first = self.crowd.calls.len();
        for _ in 0..calls.div_ceil(20) {
            self.crowd.invites(20.min(first + calls - self.crowd.calls.len()));
            self.crowd.live_until_so("calls to be up", A_WHILE, |crowd| {
                crowd.calls[first..].iter().all(|spoken| spoken.talked_from().is_some())
            });
        }
    }

    /// Calls are recorded and end, and the ledger calls them sealed.
    fn some_are_sealed(&mut self) {
        let first = self.crowd.calls.len();
        self.begins(5);
        self.crowd.live_until(Instant::now() + Duration::from_millis(800));
        self.ends_all();
        self.until_sealed(first..first + 5);
    }

    /// Calls, until a call is recorded: whoever was told that the vault does not work tries it again after a while.
    fn is_recorded_again(&mut self) {
        let end = Instant::now() + A_WHILE;
        loop {
            let number = self.crowd.calls.len();
            self.begins(1);
            self.crowd.live_until(Instant::now() + Duration::from_millis(300));
            self.ends_all();
            let ended = Instant::now();
            while ended.elapsed() < A_WHILE && self.vault.states_of(number..number + 1)[0].1 == "nothing" {
                self.crowd.live_until(Instant::now() + Duration::from_millis(50));
            }
            let row = self.vault.states_of(number..number + 1).remove(0);
            if row.0.is_some() {
                return;
            }
            assert!(Instant::now() < end, "nothing is recorded any more: {row:?}\n{}", self.proxy.said());
        }
    }

    /// Waits until the ledger calls these sealed, and keeps what their files are then.
    fn until_sealed(&mut self, calls: Range<usize>) {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let rows = self.vault.states_of(calls.clone());
            if rows.iter().all(|(_, state, _)| state == "sealed") {
                break;
            }
            assert!(Instant::now() < end, "they are to be sealed: {rows:?}\n{}", self.proxy.said());
            self.crowd.live_until(Instant::now() + Duration::from_millis(50));
        }
        self.keeps_what_is_sealed();
    }

    fn keeps_what_is_sealed(&mut self) {
        // A disk that has failed may not give the ledger back. Then what was sealed before is known.
        let rows = self.vault.read_rows().map(|(rows, _)| rows).unwrap_or_default();
        for (id, _) in rows.into_iter().filter(|(_, (state, _))| state == "sealed") {
            let rec = self.vault.rec(&id);
            self.sealed.entry(id).or_insert(rec);
        }
    }

    /// Calls that were up before, and two that begin, go on for so long; returns how late the latest packet was.
    fn goes_on_unhurt(&mut self, span: Duration) -> Duration {
        self.begins(2);
        Self::carries(&mut self.crowd, span)
    }

    /// Panics unless whatever is said within this time is heard, and at once; returns how late the latest was.
    fn carries(crowd: &mut Crowd, span: Duration) -> Duration {
        let from = Instant::now();
        crowd.live_until(from + span);
        let to = Instant::now();
        crowd.live_until(to + Duration::from_millis(300));
        let (lost, latest) = crowd
            .in_stage(Stage::Up)
            .map(|number| crowd.calls[number].unheard(from, to))
            .fold((0, Duration::ZERO), |(lost, latest), (of_call, latest_of_call)| (lost + of_call, latest.max(latest_of_call)));
        assert_eq!(lost, 0, "what is said is heard");
        assert!(latest < AT_ONCE, "a packet was {latest:?} on its way");
        latest
    }

    /// All hang up, and the proxy carries their BYE; returns when.
    fn ends_all(&mut self) -> Instant {
        let hung_up = Instant::now();
        self.crowd.all_hang_up();
        self.crowd.live_until_so("all BYEs to be answered", A_WHILE, |crowd| crowd.in_stage(Stage::Leaving).next().is_none());
        hung_up
    }

    /// Kills it; returns how many recordings the ledger called sealed by then.
    fn kills(&mut self) -> usize {
        self.keeps_what_is_sealed();
        self.proxy.signal(Signal::KILL);
        self.proxy.must_end(A_WHILE);
        self.sealed.len()
    }

    /// Stops it where it was not killed, starts it, and looks at everything.
    fn starts_again(&mut self) -> Ends {
        self.proxy.signal(Signal::TERM);
        self.proxy.must_end(A_WHILE);
        self.proxy = self.site.start();
        // What is broken stays torn: that is its name.
        let is_through = |said: String, torn: usize| said.matches("torn_recording_is_broken").count() >= torn;
        until("what can be closed to be closed", A_WHILE, || {
            is_through(self.proxy.said(), self.vault.rows_in("torn").len()).then_some(())
        });

        let mut ends = Ends::default();
        let (rows, none) = self.vault.rows();
        ends.none = none;
        for (id, rec) in &self.sealed {
            assert_eq!(&self.vault.rec(id), rec, "{id} was called sealed");
        }
        for id in self.vault.names("recordings", ".rec") {
            let (state, _) = rows.get(&id).unwrap_or_else(|| panic!("{id} has a row"));
            let verdict = self.vault.verdict(&self.vault.rec(&id));
            match verdict {
                Verdict::Complete(_) => ends.complete += 1,
                Verdict::Salvaged(_) => ends.salvaged += 1,
                Verdict::Broken(_) if state == "torn" => ends.broken += 1,
                Verdict::Cut(_) | Verdict::Broken(_) => panic!("{id} is {state}: {verdict}"),
            }
            if !matches!(verdict, Verdict::Broken(_)) {
                let word = if state == "sealed" { "complete" } else { state };
                assert_eq!(self.vault.open(&id, &self.vault.rec(&id)).verdict.as_str(), word, "{id}");
            }
        }
        ends.torn = self.vault.rows_in("torn").len();
        ends
    }
}

impl Ends {
    fn add(&mut self, other: &Self) {
        self.complete += other.complete;
        self.salvaged += other.salvaged;
        self.broken += other.broken;
        self.torn += other.torn;
        self.none += other.none;
    }
}

/// Within this time each packet is heard, on two cores of which others have their part; a packet that waited for a disk that stands still
/// would be seconds late.
const AT_ONCE: Duration = Duration::from_millis(500);

/// What was said last may cross the BYE.
const AT_THE_END: Duration = Duration::from_millis(300);
