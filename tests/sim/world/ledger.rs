//! The ledger of a simulated box, as the trait of `catalogue` says it must be: a map in memory.

use std::collections::{BTreeMap, BTreeSet};

use mitschnitt::catalogue::{
    Access, Audit, Bound, Break, Chain, Cleared, End, Entry, Event, Fault, Filter, Keeping, KeptCall, Link, Note, Number, Part,
    Purged, Reason, Rights, Roster, RosterLine, Stamp, Stamps, State, Store, StoreError, Stored, Subject, Tip, Turn, Warrant,
    Warrants, Which, Write,
};
use mitschnitt::ids::{CallId, RecordingId};
use mitschnitt::private::Private;
use mitschnitt::time::Wall;
use mitschnitt::vault::{Digest, HeadKey, SignedHead};

/// All rows, by the call's number.
#[derive(Default)]
pub struct Rows {
    calls: BTreeMap<CallId, Entry>,
    recordings: BTreeMap<RecordingId, CallId>,
    accesses: Vec<Access>,
    chain: Vec<Link>,
}

impl Rows {
    /// Every row.
    pub fn all(&self) -> impl Iterator<Item = &Entry> {
        self.calls.values()
    }

    /// Holds rows and recordings against the chain: it must account for each, and end each as its row does.
    pub fn account(&self, recordings: impl Iterator<Item = RecordingId>) -> Result<(), String> {
        let mut audit = Audit::begin(&[], &[]);
        self.chain.iter().for_each(|link| audit.step(link, None));
        self.bound(&mut |bound| audit.row(bound)).map_err(|error| error.to_string())?;
        let audited = audit.end(None);
        // Nobody signs in these worlds; and a power cut may take the file of what was begun, and its row.
        let is_expected = |fault: &&Fault| matches!(fault, Fault::Chain(Break::Unsigned(_)) | Fault::Unended(_));
        if let Some(fault) = audited.faults.iter().find(|fault| !is_expected(fault)) {
            return Err(fault.to_string());
        }
        for recording in recordings {
            if !audited.recordings.contains_key(&recording) {
                return Err(format!("recording {recording} lies on the disk, and is in no event"));
            }
        }
        for entry in self.calls.values() {
            let Some(recording) = entry.recording else { continue };
            let end = audited.recordings.get(&recording).map(|standing| standing.end);
            let is_so = match entry.state {
                State::Sealed | State::Salvaged => matches!(end, Some(End::Sealed { .. })),
                State::Torn => end == Some(End::Torn),
                State::None | State::Recording | State::Erased => true,
            };
            if !is_so {
                return Err(format!("the row of recording {recording} says {}, and the chain {end:?}", entry.state));
            }
        }
        Ok(())
    }

    fn add(&mut self, event: &Event) {
        let tip = self.chain.last().map_or(Tip::EMPTY, Link::tip);
        self.chain.push(Link::behind(tip, Wall::default(), event));
    }

    /// Binds the call's row where it is final.
    fn bind(&mut self, call: CallId) {
        if let Some(entry) = self.calls.get(&call).filter(|entry| is_final(entry)) {
            let row = digest(entry);
            self.add(&Event::Row { call, row, parties: None });
        }
    }

    /// A call that was answered at once may be recorded before a late ledger has its row; the box died then, and the row says nothing of it.
    fn find(&mut self, recording: RecordingId, began: Wall) {
        if self.recordings.contains_key(&recording) {
            return;
        }
        let call = recording.call();
        let entry = self.calls.entry(call).or_insert_with(|| alone(call, began));
        assert!(entry.recording.is_none(), "{recording}, begun at {began}, is of a call that has another");
        (entry.recording, entry.state) = (Some(recording), State::Torn);
        entry.reason = if entry.reason == Reason::Interrupted { Reason::Torn } else { Reason::Found };
        self.recordings.insert(recording, call);
        self.add(&Event::Found(recording));
    }

    /// The call whose row a change is of.
    fn call_of(&self, write: &Write) -> Option<CallId> {
        match write {
            Write::Put(entry) => Some(entry.call),
            Write::Sealed(recording, ..)
            | Write::Torn(recording, _)
            | Write::Lost(recording, _)
            | Write::Closed(recording, ..)
            | Write::Salvaged(recording, ..) => self.recordings.get(recording).copied(),
            Write::Found { recording, .. } => Some(recording.call()),
            Write::Ended(call, _) | Write::Measured(call, _) => Some(*call),
            Write::Begun(_)
            | Write::Keep(_)
            | Write::Forget(_)
            | Write::Turn(_)
            | Write::Stamped { .. }
            | Write::NotStamped { .. } => None,
        }
    }

    fn change(&mut self, recording: RecordingId, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.recordings.get(&recording).and_then(|call| self.calls.get_mut(call)) {
            change(entry);
        }
    }
}

impl Store for Rows {
    fn write(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        let mut touched = BTreeSet::new();
        for write in writes {
            touched.extend(self.call_of(write));
            match write {
                Write::Put(entry) => {
                    let mut entry = (**entry).clone();
                    if let Some(recording) = entry.recording {
                        self.recordings.insert(recording, entry.call);
                    }
                    if let Some(known) = self.calls.get(&entry.call)
                        && [State::Sealed, State::Torn, State::Salvaged].contains(&known.state)
                    {
                        (entry.state, entry.totals) = (known.state, known.totals);
                    }
                    self.calls.insert(entry.call, entry);
                }
                Write::Sealed(recording, totals, _) => self.change(*recording, |entry| {
                    (entry.state, entry.totals) = (State::Sealed, Some(*totals));
                }),
                Write::Begun(_) | Write::Stamped { .. } | Write::NotStamped { .. } => {}
                Write::Torn(recording, reason) => self.change(*recording, |entry| {
                    (entry.state, entry.reason) = (State::Torn, *reason);
                }),
                Write::Lost(recording, reason) => self.change(*recording, |entry| {
                    (entry.state, entry.reason, entry.recording) = (State::None, *reason, None);
                }),
                Write::Closed(recording, ..) => self.change(*recording, |entry| entry.state = State::Sealed),
                Write::Salvaged(recording, ..) => self.change(*recording, |entry| entry.state = State::Salvaged),
                Write::Found { recording, began } => self.find(*recording, *began),
                Write::Ended(call, at) => {
                    self.calls.entry(*call).and_modify(|entry| entry.ended = Some(*at));
                }
                // A box that is started again in these worlds has lost what it kept of its calls.
                Write::Keep(_) | Write::Forget(_) | Write::Turn(_) => {}
                Write::Measured(call, quality) => {
                    self.calls.entry(*call).and_modify(|entry| entry.quality = Some(**quality));
                }
            }
            if let Some(event) = write.event() {
                self.add(&event);
            }
        }
        touched.into_iter().for_each(|call| self.bind(call));
        Ok(())
    }

    fn kept(&self) -> Result<Vec<KeptCall>, StoreError> {
        Ok(Vec::new())
    }

    fn without_row(&self, mut recordings: Vec<RecordingId>) -> Result<Vec<RecordingId>, StoreError> {
        recordings.retain(|recording| !self.recordings.contains_key(recording));
        recordings.sort_unstable();
        Ok(recordings)
    }

    fn mark_torn(&mut self) -> Result<[u64; 2], StoreError> {
        let mut marked = [0; 2];
        let mut touched = Vec::new();
        for entry in self.calls.values_mut() {
            if entry.state == State::Recording {
                entry.state = State::Torn;
                marked[0] += 1;
                touched.push((entry.call, entry.recording));
            }
            if entry.reason == Reason::InProgress {
                entry.reason = Reason::Interrupted;
                marked[1] += 1;
                touched.push((entry.call, None));
            }
        }
        for (call, recording) in touched {
            recording.into_iter().for_each(|recording| self.add(&Event::Torn { recording, reason: Reason::Torn }));
            self.bind(call);
        }
        Ok(marked)
    }

    fn torn(&self) -> Result<Vec<RecordingId>, StoreError> {
        let torn = self.calls.values().filter(|entry| entry.state == State::Torn);
        let mut torn: Vec<_> = torn.filter_map(|entry| entry.recording).collect();
        torn.sort_unstable();
        Ok(torn)
    }

    fn list(&self, filter: &Filter) -> Result<Vec<Entry>, StoreError> {
        let wanted = |entry: &&Entry| {
            (filter.which == Which::All || entry.recording.is_some()) && filter.reason.is_none_or(|reason| entry.reason == reason)
        };
        Ok(self.calls.values().filter(wanted).cloned().collect())
    }

    fn recording(&self, recording: RecordingId) -> Result<Option<Entry>, StoreError> {
        Ok(self.recordings.get(&recording).and_then(|call| self.calls.get(call)).cloned())
    }

    fn call(&self, call: CallId) -> Result<Option<Entry>, StoreError> {
        Ok(self.calls.get(&call).cloned())
    }

    fn record_access(&mut self, access: &Access) -> Result<(), StoreError> {
        self.accesses.push(access.clone());
        Ok(())
    }

    fn turns(&self, _: CallId) -> Result<Vec<Turn>, StoreError> {
        Ok(Vec::new())
    }

    fn accesses(&self, recording: RecordingId) -> Result<Vec<Access>, StoreError> {
        Ok(self.accesses.iter().filter(|access| access.recording == recording).cloned().collect())
    }
}

impl Chain for Rows {
    fn sign_with(&mut self, _: HeadKey) {}

    fn note(&mut self, events: &[Event]) -> Result<(), StoreError> {
        events.iter().for_each(|event| self.add(event));
        Ok(())
    }

    fn sign(&mut self) -> Result<Option<SignedHead>, StoreError> {
        Ok(None)
    }

    fn head(&self) -> Result<Option<SignedHead>, StoreError> {
        Ok(None)
    }

    fn last_start(&self) -> Result<Option<u64>, StoreError> {
        Ok(None)
    }

    fn freeze(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn links(&self, from: u64, each: &mut dyn FnMut(Link, Option<SignedHead>)) -> Result<(), StoreError> {
        self.chain.iter().filter(|link| link.seq >= from).for_each(|link| each(link.clone(), None));
        Ok(())
    }

    fn bound(&self, each: &mut dyn FnMut(Bound)) -> Result<(), StoreError> {
        for entry in self.calls.values() {
            each(Bound::Call { call: entry.call, is_final: is_final(entry), row: Some(digest(entry)), parties: None });
        }
        Ok(())
    }
}

/// Whether nothing more is to come of it.
fn is_final(entry: &Entry) -> bool {
    entry.state != State::Recording && entry.reason != Reason::InProgress
}

/// What the row is; there is nobody here from whom it need be hidden by a salt.
fn digest(entry: &Entry) -> Digest {
    Part::Row.digest(&[0; 32], &format!("{entry:?}"))
}

/// A row of a call of which the ledger knows nothing.
fn alone(call: CallId, began: Wall) -> Entry {
    Entry {
        call,
        began,
        answered: None,
        ended: None,
        direction: None,
        trunk: None,
        policy: None,
        purpose: None,
        state: State::Torn,
        reason: Reason::Found,
        leg: None,
        recording: None,
        totals: None,
        quality: None,
        parties: None,
        is_redacted: false,
    }
}

impl Rights for Rows {
    fn note_down(&mut self, _: &Note) -> Result<u64, StoreError> {
        Ok(0)
    }

    fn notes(&self) -> Result<Vec<Note>, StoreError> {
        Ok(Vec::new())
    }

    fn of_person(&self, _: &Number) -> Result<Vec<u64>, StoreError> {
        Ok(Vec::new())
    }

    fn clear(&mut self, _: &[CallId], _: Option<&Number>) -> Result<Cleared, StoreError> {
        Ok(Cleared::default())
    }

    fn purge(&mut self, _: &[Private<String>]) -> Result<Purged, StoreError> {
        Ok(Purged::Clean)
    }
}

impl Keeping for Rows {
    fn holds(&self, _: Option<RecordingId>) -> Result<Vec<Access>, StoreError> {
        Ok(Vec::new())
    }

    fn stored(&self, _: Option<Wall>) -> Result<Vec<Stored>, StoreError> {
        Ok(Vec::new())
    }

    fn pace(&self) -> Result<Option<Wall>, StoreError> {
        Ok(None)
    }

    fn set_pace(&mut self, _: Wall) -> Result<(), StoreError> {
        Ok(())
    }
}

impl Roster for Rows {
    fn enter(&mut self, _: &[RosterLine]) -> Result<(), StoreError> {
        Ok(())
    }

    fn roster(&self) -> Result<Vec<RosterLine>, StoreError> {
        Ok(Vec::new())
    }
}

impl Warrants for Rows {
    fn warrant(&mut self, _: &Warrant) -> Result<u64, StoreError> {
        Ok(0)
    }

    fn warrants(&self) -> Result<Vec<Warrant>, StoreError> {
        Ok(Vec::new())
    }

    fn warrants_after(&self, _: u64) -> Result<Vec<Warrant>, StoreError> {
        Ok(Vec::new())
    }

    fn denied_after(&self, _: u64) -> Result<(u64, u64), StoreError> {
        Ok((0, 0))
    }

    fn exports(&self, _: Wall) -> Result<Vec<Access>, StoreError> {
        Ok(Vec::new())
    }
}

/// No authority is in these worlds.
impl Stamps for Rows {
    fn wait(&mut self, _: &[Subject], _: u64) -> Result<u64, StoreError> {
        Ok(0)
    }

    fn next(&self) -> Result<(Option<Stamp>, u64), StoreError> {
        Ok((None, 0))
    }

    fn stamps(&self, _: &mut dyn FnMut(Stamp)) -> Result<(), StoreError> {
        Ok(())
    }
}
