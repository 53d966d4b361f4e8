//! The proxy is killed again and again in the middle of its calls, also while it starts and while it salvages: whatever was told to be
//! there is there, every file verifies, and row and file tell the same.
//!
//! `MITSCHNITT_ROUNDS=1000 cargo test --test crash -- --nocapture` for the figures of `src/manual/promises.md`.

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

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use mitschnitt::vault::Verdict;
use rustix::process::Signal;
use support::child::Running;
use support::crowd::{Crowd, Stage};
use support::dice::Dice;
use support::held::Vault;
use support::site::{Policy, Site, policy};
use support::volume::Volume;
use support::{A_WHILE, reader, until};

#[test]
fn killed_at_random_moments_it_loses_half_a_second_and_every_file_verifies() {
    let rounds = std::env::var("MITSCHNITT_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(200_usize);
    let mut dice = Dice::of_the_day();

    // Two at once: each waits half of its time.
    let tolls = std::thread::scope(|scope| {
        let dice = [dice.split(), dice.split()];
        let boxes = dice.map(|dice| scope.spawn(move || Killed::new(dice).play(rounds.div_ceil(2))));
        boxes.map(|one| one.join().expect("what it says stands above"))
    });

    let sum = |of: fn(&Toll) -> usize| tolls.iter().map(of).sum::<usize>();
    let worst = tolls.iter().map(|toll| toll.worst).max().unwrap();
    println!(
        "kills={} before_ready={} while_salvaging={} calls={} most_at_once={} recordings={} complete={} salvaged={} empty={} \
         worst_loss_ms={}",
        sum(|toll| toll.kills),
        sum(|toll| toll.early),
        sum(|toll| toll.amid),
        sum(|toll| toll.calls),
        tolls.iter().map(|toll| toll.most).max().unwrap(),
        sum(|toll| toll.complete) + sum(|toll| toll.salvaged),
        sum(|toll| toll.complete),
        sum(|toll| toll.salvaged),
        sum(|toll| toll.empty),
        worst.as_millis(),
    );
    assert!(sum(|toll| toll.kills) >= rounds && sum(|toll| toll.salvaged) >= rounds, "that was no test");
}

/// What it came to.
#[derive(Default, Debug)]
struct Toll {
    kills: usize,
    /// Kills within the time in which it starts, and salvages.
    early: usize,
    /// Those of them by which some files were closed and others were not yet.
    amid: usize,
    calls: usize,
    /// Calls that were up at once.
    most: usize,
    complete: usize,
    salvaged: usize,
    /// Recordings of which nothing was kept, for not even their evidence was whole.
    empty: usize,
    /// How long before a kill the first packet was sent that is not in its file.
    worst: Duration,
}

/// A proxy that is killed and started again.
struct Killed {
    /// In memory: on a disk that others use a sync may take seconds, and what waits for its keys to be durable dies with the process.
    _volume: Volume,
    site: Site,
    vault: Vault,
    crowd: Crowd,
    dice: Dice,
    /// Files that were torn when they were first seen, as they were then; gone from here once they are closed.
    torn: BTreeMap<String, Vec<u8>>,
    /// Those that were closed when they were last seen: nobody looks at them again before the end.
    closed: BTreeSet<String>,
    /// The calls up to here were of a proxy that was killed before.
    before: usize,
    toll: Toll,
}

impl Killed {
    fn new(dice: Dice) -> Self {
        let site = Site::new(Policy { announcement_ms: 40, ..policy("announce") });
        site.has_many_media_ports();
        let volume = Volume::tmpfs(&site.data(), 512);
        let (vault, crowd) = (Vault::of(&site), Crowd::new(&site));
        let (torn, closed) = (BTreeMap::new(), BTreeSet::new());
        Self { _volume: volume, site, vault, crowd, dice, torn, closed, before: 0, toll: Toll::default() }
    }

    fn play(mut self, kills: usize) -> Toll {
        while self.toll.kills < kills {
            let mut proxy = self.site.start();
            self.calls();
            let killed = kill(&mut proxy);
            self.looks(killed);
            // What a kill has left is killed again while it is being closed.
            while self.dice.one_in(2) && self.toll.kills < kills {
                self.kills_early();
            }
        }
        self.ends();
        self.toll
    }

    /// Kills it before it is ready, or when it has begun to close what the last kill has left.
    fn kills_early(&mut self) {
        let (mut proxy, before) = (self.site.start_unready(), self.toll.salvaged);
        if self.torn.is_empty() || self.dice.one_in(2) {
            std::thread::sleep(self.dice.ms(0..400));
        } else {
            proxy.wait_for("recording_", A_WHILE);
            std::thread::sleep(self.dice.ms(0..20));
        }
        let killed = kill(&mut proxy);
        self.looks(killed);
        self.toll.early += 1;
        let is_amid = !self.torn.is_empty() && self.toll.salvaged > before;
        self.toll.amid += usize::from(is_amid || !self.vault.names("recordings", ".salvaging").is_empty());
    }

    /// The calls of one life: those of the last one hang up, new ones begin, some of them end by themselves.
    fn calls(&mut self) {
        let calls = if self.dice.one_in(3) { 50 } else { 8 };
        self.crowd.all_hang_up();
        self.before = self.crowd.calls.len();
        self.crowd.invites(calls);
        let longest = if self.dice.one_in(4) { 2400 } else { 1100 };
        let end = Instant::now() + self.dice.ms(50..longest);
        self.crowd.live_until(end - self.dice.ms(0..400));
        let up: Vec<_> = self.crowd.in_stage(Stage::Up).filter(|_| self.dice.one_in(8)).collect();
        up.into_iter().for_each(|number| self.crowd.hangs_up(number));
        self.crowd.live_until(end);
        self.toll.calls += calls;
        self.toll.most = self.toll.most.max(self.crowd.in_stage(Stage::Up).count());
    }

    /// Looks at what a kill has left.
    fn looks(&mut self, killed: Instant) {
        self.toll.kills += 1;
        let names: BTreeSet<_> = self.vault.names("recordings", ".rec").into_iter().collect();
        let mut recorded = BTreeSet::new();
        for id in names.difference(&self.closed.clone()) {
            let rec = self.vault.rec(id);
            match self.torn.remove(id) {
                None => recorded.extend(self.is_new(id, rec, killed)),
                Some(torn) => self.was_torn(id, torn, &rec),
            }
        }
        let gone: Vec<_> = self.torn.keys().filter(|id| !names.contains(*id)).cloned().collect();
        for id in gone {
            self.was_empty(&id);
        }
        for (number, spoken) in self.crowd.calls.iter().enumerate().skip(self.before) {
            let talked = spoken.talked_from().map_or(Duration::ZERO, |from| killed.saturating_duration_since(from));
            assert!(
                talked < PROMISED + A_SECOND || recorded.contains(&number),
                "of {talked:?} of call {number} there is nothing"
            );
        }
        self.before = self.crowd.calls.len();
    }

    /// Looks at a file of the life that has just ended; returns of which call it is.
    fn is_new(&mut self, id: &str, rec: Vec<u8>, killed: Instant) -> Option<usize> {
        let held = self.vault.open(id, &rec);
        assert_eq!(held.gaps, 0, "{id}");
        if let Some(number) = held.call {
            let spoken = &self.crowd.calls[number];
            let began = held.began_after(spoken);
            assert!(began < A_SECOND, "{id} begins {began:?} after both were heard");
            if !matches!(held.verdict, Verdict::Complete(_)) && spoken.stage == Stage::Up {
                let lost = held.lost_before(spoken, killed);
                self.toll.worst = self.toll.worst.max(lost);
                assert!(lost < PROMISED + SLACK, "{id}: {lost:?} before the kill begins what is not there");
            }
        }
        match held.verdict {
            Verdict::Complete(_) => {
                self.toll.complete += 1;
                self.closed.insert(id.to_owned());
            }
            Verdict::Cut(_) => {
                self.torn.insert(id.to_owned(), rec);
            }
            Verdict::Salvaged(_) | Verdict::Broken(_) => panic!("{id}, not torn before: {}", held.verdict),
        }
        held.call
    }

    /// Looks at a file that was torn when it was seen before: it is as it was, or closed behind its whole chunks.
    fn was_torn(&mut self, id: &str, torn: Vec<u8>, rec: &[u8]) {
        if rec == torn {
            self.torn.insert(id.to_owned(), torn);
            return;
        }
        let Verdict::Cut(cut) = self.vault.verdict(&torn) else { panic!("{id} was torn") };
        let Verdict::Salvaged(salvaged) = self.vault.open(id, rec).verdict else { panic!("{id} is not what it was, nor closed") };
        assert_eq!((salvaged.chunks, salvaged.cut_off), (cut.chunks, torn.len() as u64 - cut.bytes), "{id}");
        assert_eq!(rec[..cut.bytes as usize], torn[..cut.bytes as usize], "{id}: what was sealed is copied, never sealed again");
        assert_eq!(rec.len() as u64, cut.bytes + CLOSING, "{id}: nothing but the closing is new");
        self.toll.salvaged += 1;
        self.closed.insert(id.to_owned());
    }

    /// A torn file that is gone had nothing in it.
    fn was_empty(&mut self, id: &str) {
        let torn = self.torn.remove(id).expect("it was torn");
        let verdict = self.vault.verdict(&torn);
        assert!(matches!(verdict, Verdict::Cut(cut) if cut.chunks == 0), "{id} is gone, and it had {verdict}");
        self.toll.empty += 1;
    }

    /// The last start: all is closed, and the rows, the files and the keys are of the same recordings.
    fn ends(&mut self) {
        let mut proxy = self.site.start();
        until("all to be closed", A_WHILE, || {
            ["torn", "recording"].iter().all(|state| self.vault.rows_in(state).is_empty()).then_some(())
        });
        kill(&mut proxy);
        self.looks(Instant::now());

        assert!(self.torn.is_empty(), "torn for good: {:?}", self.torn.keys());
        let (rows, _) = self.vault.rows();
        let rows: BTreeMap<_, _> = rows.into_iter().filter(|(_, (state, _))| state != "none").collect();
        let files = self.vault.names("recordings", "");
        assert_eq!(files, rows.keys().map(|id| format!("{id}.rec")).collect::<Vec<_>>(), "a file for each row, and nothing else");
        let keys = self.vault.names("keys", ".key");
        assert!(
            rows.keys().all(|id| keys.binary_search(id).is_ok()),
            "each has its keys; of what was never begun they may lie there too"
        );
        for (id, (state, _)) in &rows {
            let verdict = self.vault.open(id, &self.vault.rec(id)).verdict;
            let word = if state == "sealed" { "complete" } else { state };
            assert_eq!(verdict.as_str(), word, "{id}");
        }
        for id in rows.keys().step_by(rows.len() / 3) {
            let (verdict, code) = reader::verify(&self.site, id);
            assert!(matches!((verdict.as_str(), code), ("complete", Some(0)) | ("salvaged", Some(4))), "{id}: {verdict}");
            self.site.verify(id);
        }
    }
}

/// Returns when it was still alive for certain.
fn kill(proxy: &mut Running) -> Instant {
    let killed = Instant::now();
    proxy.signal(Signal::KILL);
    proxy.must_end(A_WHILE);
    killed
}

/// What may be lost: what was sent within so long before the kill.
const PROMISED: Duration = Duration::from_millis(500);

/// And what the machine adds, two cores on which two proxies of a debug build and a hundred telephones run: threads that wait for a core, and
/// a sync for which a chunk waits.
const SLACK: Duration = Duration::from_millis(300);

/// No promise, and enough to see that it is the beginning: signalling grants, and on two loaded cores it is told late.
const A_SECOND: Duration = Duration::from_secs(1);

/// Bytes of the closing of a salvaged file (format.md).
const CLOSING: u64 = 86;
