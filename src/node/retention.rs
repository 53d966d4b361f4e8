//! Recordings whose time is up are erased, in the background: their keys, then their files; and policies keep to their quotas.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::catalogue::{
    About, Access, Cause, Deed, Entry, Filter, Note, NoteKind, Order, Outcome, Plan, Purged, Reason, Rules, Span, State, Store,
    StoreError, Stored, Used, Which, paced, plan, traces,
};
use crate::ids::RecordingId;
use crate::keyfolder::{KeyFolder, Undone};
use crate::node::clock::Clock;
use crate::node::files::remove;
use crate::node::folders::Folders;
use crate::node::metrics::Metrics;
use crate::private::Private;
use crate::time::{Moment, Wall};

/// The thread, and what tells it to end.
pub(super) struct Retaining {
    thread: JoinHandle<()>,
    told: mpsc::Sender<Told>,
}

/// What the thread is told.
#[derive(PartialEq, Eq)]
enum Told {
    /// There is something to be destroyed, now or in a moment.
    Shred,
    /// It is to end.
    End,
}

/// Wakes the thread.
#[derive(Clone)]
pub(super) struct Waker(mpsc::Sender<Told>);

impl Waker {
    /// A recording is to be destroyed, for consent to it was withdrawn.
    pub(super) fn shred(&self) {
        // Whoever stops looks at every row again at its next start.
        drop(self.0.send(Told::Shred));
    }
}

impl Retaining {
    /// Tells the thread to end, once it is through with what it has in hand, and gives it to be waited for.
    pub(super) fn stop(self) -> JoinHandle<()> {
        drop(self.told.send(Told::End));
        self.thread
    }

    /// Returns what wakes it.
    pub(super) fn waker(&self) -> Waker {
        Waker(self.told.clone())
    }
}

/// Starts the thread.
///
/// # Errors
/// There is no thread to be had.
pub(super) fn start(mut keeper: Keeper, clock: Clock) -> io::Result<Retaining> {
    let (told, telling) = mpsc::channel();
    let thread = std::thread::Builder::new().name("retention".into()).spawn(move || {
        let (mut wait, mut hurries_until) = (FIRST, Moment::START);
        loop {
            match telling.recv_timeout(wait) {
                Ok(Told::Shred) => hurries_until = clock.now() + HURRY,
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Told::End) | Err(RecvTimeoutError::Disconnected) => break,
            }
            let began = clock.now();
            let next = keeper.pass(clock.both());
            // With a million rows a pass takes seconds: so it has a fiftieth of one core at most.
            let paced = clock.now().since(began).saturating_mul(50);
            wait = if began < hurries_until { SHORTEST } else { next }.max(paced);
        }
    })?;
    Ok(Retaining { thread, told })
}

/// After the start: what is to be salvaged is begun first.
const FIRST: Duration = Duration::from_secs(1);

/// How long from one pass to the next, at least and at most: a hold that was lifted, or a quota that is exceeded, is seen within that.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(10);

/// How long from one pass to the next where no rule erases anything.
const IDLE: Duration = Duration::from_secs(3600);

/// For how long there is a pass every second after somebody withdrew: until then the recording is closed, and its row says what is to be done.
const HURRY: Duration = Duration::from_secs(10);

/// Erased in one pass: about 3 s on a slow disk, so that no command waits longer for the keys.
const AT_ONCE: usize = 100;

/// How long until an erasure that failed is tried again, doubled each time, and at most so long: each try is two lines of the access log.
const AGAIN: Duration = Duration::from_secs(60);
const AGAIN_AT_MOST: Duration = Duration::from_secs(6 * 3600);

/// The clock is behind by so much before it is told: less is what a restart takes.
const LEAP: Duration = Duration::from_secs(3600);

/// How often the clock's state is written.
const KEEP_PACE: Duration = Duration::from_secs(30);

/// No call goes on for longer: one that is older and has no end was lost with its process.
const A_LONG_CALL_US: i64 = 2 * 24 * 3600 * 1_000_000;

/// Who erases, in the access log.
const WHO: &str = "retention";

/// Erases by its rules, pass by pass.
pub(super) struct Keeper {
    /// A way of its own to the ledger: what it writes must be durable before it goes on.
    pub(super) store: Box<dyn Store>,
    pub(super) folders: Folders,
    pub(super) rules: Rules,
    pub(super) metrics: Arc<Metrics>,
    /// Whether what an earlier run left torn is closed, as far as it can be: until then it is not touched.
    pub(super) is_salvaged: Arc<AtomicBool>,
    pub(super) state: Known,
}

/// What is known from the passes before.
#[derive(Default)]
pub(super) struct Known {
    pace: Option<(Moment, Wall)>,
    pace_kept: Option<Wall>,
    has_leapt: bool,
    nearly_full: BTreeMap<Arc<str>, bool>,
    failed: BTreeMap<RecordingId, Failed>,
    /// Something is to be erased that may not be now.
    is_barred: bool,
    /// Calls whose recording was shredded are to be cleared of who talked once they are over; or the ledger's files have it still.
    is_unclear: bool,
    /// Whether those of all times were looked for since the start.
    has_looked_back: bool,
    /// What the ledger's files must not have, as far as that is not so yet.
    traces: Vec<Private<String>>,
    /// What was erased in this pass because consent was withdrawn.
    shredded: Vec<RecordingId>,
}

/// An erasure that failed.
struct Failed {
    tries: u32,
    again: Moment,
}

/// Why a recording was not erased.
enum NotErased {
    /// Somebody held or erased it meanwhile.
    Meanwhile,
    /// The ledger cannot say so: nothing was done, or what was done is done again.
    Ledger(StoreError),
    /// The disk.
    Disk(String),
}

impl From<StoreError> for NotErased {
    fn from(error: StoreError) -> Self {
        Self::Ledger(error)
    }
}

impl Keeper {
    /// Erases what is to be erased now, and says how long to wait until the next pass.
    pub(super) fn pass(&mut self, clocks: (Moment, Wall)) -> Duration {
        match self.all(clocks) {
            Ok(wait) => {
                // Where nothing is ever erased by rule, there is nothing to look for: who withdraws wakes it.
                let waits = self.state.is_barred || self.state.is_unclear;
                let is_idle = !self.rules.has_work() && self.state.failed.is_empty() && !waits;
                wait.clamp(SHORTEST, if is_idle { IDLE } else { LONGEST })
            }
            Err(error) => {
                tracing::warn!(%error, "retention_waits_for_the_ledger");
                LONGEST
            }
        }
    }

    fn all(&mut self, (now, wall): (Moment, Wall)) -> Result<Duration, StoreError> {
        let at = self.pace(now, wall)?;
        let stored = self.stored()?;
        let plan = plan(&stored, &self.rules, at);
        self.tell_quotas(&plan);
        self.state.failed.retain(|recording, _| plan.erase.iter().any(|order| order.recording == *recording));
        let due: Vec<Order> = plan
            .erase
            .iter()
            .filter(|order| self.state.failed.get(&order.recording).is_none_or(|failed| failed.again <= now))
            .copied()
            .collect();
        self.erase(due.get(..AT_ONCE.min(due.len())).unwrap_or_default(), &stored, (now, wall));
        self.state.is_unclear = self.clear(at, wall)?;
        let failed = self.state.failed.len() as u64;
        self.state.is_barred = plan.barred > 0;
        self.metrics.retention_overdue.set(i64::try_from(plan.barred + failed).unwrap_or(i64::MAX));
        if due.len() > AT_ONCE {
            return Ok(SHORTEST);
        }
        let micros = plan.next.map_or(i64::MAX, |next| next.unix_micros().saturating_sub(at.unix_micros()));
        Ok(Duration::from_micros(u64::try_from(micros).unwrap_or(0)))
    }

    /// Returns the time that is erased by ([`paced`]), and says where the wall clock is ahead of it.
    fn pace(&mut self, now: Moment, wall: Wall) -> Result<Wall, StoreError> {
        let (then, before) = match self.state.pace {
            Some(pace) => pace,
            None => (now, self.store.pace()?.unwrap_or(wall)),
        };
        let at = paced(before, now.since(then), wall);
        self.state.pace = Some((now, at));
        let lag = micros_between(at, wall);
        self.metrics.retention_clock_lag.set(i64::try_from(lag.as_secs()).unwrap_or(i64::MAX));
        match (self.state.has_leapt, lag > LEAP) {
            (false, true) => tracing::error!(lag_s = lag.as_secs(), "retention_clock_leapt"),
            (true, false) => tracing::warn!("retention_clock_is_right_again"),
            (false | true, _) => {}
        }
        self.state.has_leapt = lag > LEAP;
        let is_old = |kept: Wall| micros_between(kept, at) >= KEEP_PACE || at < kept;
        if self.state.pace_kept.is_none_or(is_old) {
            self.store.set_pace(at)?;
            self.state.pace_kept = Some(at);
        }
        Ok(at)
    }

    /// Returns what there is, with the length of what is not closed as it lies there.
    fn stored(&self) -> Result<Vec<Stored>, StoreError> {
        let mut stored = self.store.stored(None)?;
        let is_salvaged = self.is_salvaged.load(Ordering::Relaxed);
        for one in &mut stored {
            if one.size_bytes.is_none() {
                let path = self.folders.of(one.recording).recording(one.recording);
                one.size_bytes = fs::metadata(path).ok().map(|found| found.len());
            }
            if one.state == State::Torn && !is_salvaged {
                one.state = State::Recording;
            }
        }
        Ok(stored)
    }

    fn tell_quotas(&mut self, plan: &Plan) {
        for (policy, used) in &plan.quotas {
            let Used { quota_bytes, bytes, barred_bytes, .. } = *used;
            let metrics = &self.metrics;
            for (gauge, value) in [
                (&metrics.quota, quota_bytes),
                (&metrics.quota_used, bytes),
                (&metrics.quota_barred, barred_bytes),
                (&metrics.quota_full, u64::from(used.is_full())),
            ] {
                gauge.with_label_values(&[policy]).set(i64::try_from(value).unwrap_or(i64::MAX));
            }
            let is_nearly_full = used.is_nearly_full();
            let was = self.state.nearly_full.insert(Arc::clone(policy), is_nearly_full).unwrap_or(false);
            match (was, is_nearly_full) {
                (false, true) => tracing::warn!(policy = %policy, bytes, barred_bytes, quota_bytes, "quota_is_nearly_full"),
                (true, false) => tracing::info!(policy = %policy, "quota_has_room_again"),
                (false | true, _) => {}
            }
        }
    }

    fn erase(&mut self, due: &[Order], stored: &[Stored], (now, wall): (Moment, Wall)) {
        if due.is_empty() {
            return;
        }
        if self.folders.is_spare_missing {
            // Any of them may have keys there: that they are destroyed could not be said.
            tracing::error!(waiting = due.len(), "retention_waits_for_the_spare_disk");
            return self.failed(due, now);
        }
        let keys: Vec<PathBuf> = self.folders.all().map(super::folders::Folder::keys).collect();
        let folder = match KeyFolder::alone_at_once(&keys) {
            Ok(Some(folder)) => folder,
            // A rewrap has it. Next time.
            Ok(None) => return,
            Err(undone) => {
                tracing::error!(error = %in_words(&undone), "retention_failed");
                return self.failed(due, now);
            }
        };
        let (mut erased, mut failed) = (0_u64, Vec::new());
        // What a copy of the keys needs is forgotten at once for all; nothing is said to be done before.
        let mut begun = Vec::with_capacity(due.len());
        for order in due {
            let one = self.begin(&folder, *order, stored, wall);
            let is_ledger_gone = matches!(one, Err(NotErased::Ledger(_)));
            begun.push((order, one));
            // Each try would wait for it, and the folder is ours meanwhile.
            if is_ledger_gone {
                break;
            }
        }
        let is_any_destroyed = begun.iter().any(|(_, begun)| begun.is_ok());
        let forgotten = if is_any_destroyed { folder.forget().map_err(|undone| in_words(&undone)) } else { Ok(()) };
        for (order, begun) in begun {
            let ended = begun.and_then(|(reason, is_torn)| match &forgotten {
                Ok(()) => self.end(*order, (reason, is_torn), wall),
                Err(undone) => self
                    .log(order.recording, reason, Outcome::Failed, wall)
                    .map_err(NotErased::from)
                    .and_then(|()| Err(NotErased::Disk(undone.clone()))),
            });
            match ended {
                Ok(()) => {
                    erased += 1;
                    self.metrics.retention_erased.with_label_values(&[order.cause.as_str()]).inc();
                    self.state.failed.remove(&order.recording);
                    if order.cause == Cause::Withdrawn {
                        self.state.shredded.push(order.recording);
                    }
                }
                Err(NotErased::Meanwhile) => {}
                Err(NotErased::Ledger(error)) => {
                    tracing::error!(recording = %order.recording, %error, "not_erased");
                    failed.push(*order);
                    break;
                }
                Err(NotErased::Disk(error)) => {
                    tracing::error!(recording = %order.recording, %error, "not_erased");
                    failed.push(*order);
                }
            }
        }
        if erased > 0 {
            tracing::info!(erased, "recordings_erased");
        }
        self.failed(&failed, now);
    }

    /// Clears who talked in the calls whose recording was shredded, once they are over: as long as one goes on its row is written again. Returns whether
    /// there is more to do.
    fn clear(&mut self, at: Wall, wall: Wall) -> Result<bool, StoreError> {
        let since = Wall::from_unix_micros(at.unix_micros().saturating_sub(A_LONG_CALL_US));
        // Where the ledger fails on the way, all of them are looked for the next time.
        let from = std::mem::take(&mut self.state.has_looked_back).then_some(since);
        let filter = Filter { which: Which::All, reason: Some(Reason::Shredded), from, ..Filter::default() };
        let mut found = self.store.list(&filter)?;
        for recording in std::mem::take(&mut self.state.shredded) {
            let entry = self.store.recording(recording)?;
            found.extend(entry.filter(|entry| found.iter().all(|other| other.call != entry.call)));
        }
        found.retain(|entry| entry.state == State::Erased && entry.parties.is_some());
        let (over, goes_on): (Vec<Entry>, Vec<Entry>) =
            found.into_iter().partition(|entry| entry.ended.is_some() || entry.began < since);
        if !over.is_empty() {
            let calls: Vec<_> = over.iter().map(|entry| entry.call).collect();
            self.store.clear(&calls, None)?;
            self.state.traces.extend(traces(&over.iter().collect::<Vec<_>>(), None));
            for entry in &over {
                let reason = Some("consent was withdrawn, and what was recorded shredded".to_owned());
                let about = About::Calls(entry.recording);
                let note = Note {
                    number: 0,
                    at: wall,
                    who: WHO.into(),
                    kind: NoteKind::Cleared,
                    about,
                    reason,
                    counts: [1, 1],
                    is_done: true,
                };
                self.store.note_down(&note)?;
            }
        }
        self.state.has_looked_back = true;
        if self.state.traces.is_empty() {
            return Ok(!goes_on.is_empty());
        }
        match self.store.purge(&self.state.traces)? {
            // Another process reads the journal: the next time.
            Purged::Journal => return Ok(true),
            Purged::Left => tracing::warn!("who_talked_stands_in_a_text_of_the_ledger_still"),
            Purged::Clean => {}
        }
        self.state.traces.clear();
        Ok(!goes_on.is_empty())
    }

    /// Destroys the keys of one, and returns why, and whether it is torn; what was cut short is done again.
    fn begin(
        &mut self,
        folder: &KeyFolder,
        order: Order,
        stored: &[Stored],
        wall: Wall,
    ) -> Result<(Option<String>, bool), NotErased> {
        let recording = order.recording;
        // Whoever holds one has the folder to themselves for it: it was held until now, or is erased.
        let is_held = !self.store.holds(Some(recording))?.is_empty();
        let state = self.store.recording(recording)?.map_or(State::Erased, |entry| entry.state);
        if is_held || state == State::Erased {
            return Err(NotErased::Meanwhile);
        }
        let reason = stored.iter().find(|one| one.recording == recording).map(|one| self.reason(one, order.cause));
        self.log(recording, reason.clone(), Outcome::Granted, wall)?;
        match folder.destroy(recording) {
            Ok(()) => Ok((reason, state == State::Torn)),
            Err(undone) => {
                self.log(recording, reason, Outcome::Failed, wall)?;
                Err(NotErased::Disk(in_words(&undone)))
            }
        }
    }

    /// Removes the files of one whose keys are destroyed, and says that it is erased.
    fn end(&mut self, order: Order, (reason, is_torn): (Option<String>, bool), wall: Wall) -> Result<(), NotErased> {
        let recording = order.recording;
        let done = self.remove_files(recording, is_torn).map_err(|error| format!("its file cannot be removed: {error}"));
        self.log(recording, reason, if done.is_ok() { Outcome::Done } else { Outcome::Failed }, wall)?;
        done.map_err(NotErased::Disk)
    }

    fn log(&mut self, recording: RecordingId, reason: Option<String>, outcome: Outcome, at: Wall) -> Result<(), StoreError> {
        let access = Access { at, who: WHO.into(), deed: Deed::Erase, recording, purpose: None, reason, outcome };
        self.store.record_access(&access)
    }

    /// Says why, for the access log.
    fn reason(&self, one: &Stored, cause: Cause) -> String {
        let of = |name: &Option<Arc<str>>| name.as_deref().unwrap_or("none").to_owned();
        match cause {
            Cause::Longest => {
                let longest = self.rules.retention.of(one.purpose.as_deref()).longest.unwrap_or_default();
                format!("longest time for {}: {}", of(&one.purpose), Span(longest))
            }
            Cause::Withdrawn => "consent was withdrawn".to_owned(),
            Cause::Quota => {
                let quota = one.policy.as_ref().and_then(|policy| self.rules.quotas.get(policy)).copied().unwrap_or_default();
                format!("quota of policy {}: {quota} bytes", of(&one.policy))
            }
        }
    }

    /// Removes what there is of it on each disk, durably: without keys nobody opens it. One that is torn may lie on two in two pieces.
    fn remove_files(&self, recording: RecordingId, is_torn: bool) -> io::Result<()> {
        for folder in self.folders.all() {
            remove(&folder.recording(recording))?;
            let parts = if is_torn { folder.parts()? } else { Vec::new() };
            for (_, from) in parts.into_iter().filter(|(part, _)| *part == recording) {
                remove(&folder.part(recording, from))?;
            }
            File::open(folder.recordings())?.sync_all()?;
        }
        Ok(())
    }

    /// Takes note of those that are to be tried again later.
    fn failed(&mut self, orders: &[Order], now: Moment) {
        self.metrics.retention_failures.inc_by(orders.len() as u64);
        for order in orders {
            let failed = self.state.failed.entry(order.recording).or_insert(Failed { tries: 0, again: now });
            let wait = AGAIN.saturating_mul(1 << failed.tries.min(16)).min(AGAIN_AT_MOST);
            failed.tries += 1;
            failed.again = now + wait;
        }
    }
}

fn in_words(undone: &Undone) -> String {
    format!("cannot {} `{}`: {}", undone.doing, undone.path.display(), undone.error)
}

/// How far the second lies ahead of the first; nothing where it lies behind.
fn micros_between(before: Wall, after: Wall) -> Duration {
    Duration::from_micros(u64::try_from(after.unix_micros().saturating_sub(before.unix_micros())).unwrap_or(0))
}

#[cfg(test)]
mod tests;
