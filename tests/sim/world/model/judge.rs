//! What lies on the disk and in the ledger at the end, held against what was seen.

use std::collections::BTreeMap;

use mitschnitt::ids::Leg;
use mitschnitt::time::Moment;

use super::call::{Call, Dialog, Lost, Request, Talk};
use super::consent::Lawful;
use super::media::{Heard, Kind, marker};
use super::rtp::hash;
use super::{Archive, Broken, File, FileState, GIVEN_UP, Mode, Model, Row, Rules, broken, less, number_of};

pub(super) fn judge(model: &Model, at: Moment, archive: &Archive) -> Result<(), Broken> {
    let mut found: BTreeMap<&str, (Vec<&File>, Vec<&Row>)> = BTreeMap::new();
    archive.files.iter().for_each(|file| found.entry(&file.call_id).or_default().0.push(file));
    archive.rows.iter().for_each(|row| found.entry(&row.call_id).or_default().1.push(row));
    if let Some((id, _)) = found.iter().find(|(id, _)| model.talks.get(**id).is_none_or(|talk| talk.calls.is_empty())) {
        let what = format!("{id} is in the archive, but no INVITE of the PBX or the carrier had this Call-ID");
        return Err(broken("row-of-no-call", number_of(id), what));
    }
    for (id, talk) in &model.talks {
        let calls: Vec<&Call> = talk.calls.iter().map(|&call| &model.calls[call]).collect();
        let (files, rows) = found.remove(&**id).unwrap_or_default();
        for (place, &call) in calls.iter().enumerate() {
            let next = calls.get(place + 1).map(|next| next.began);
            let own = |file: &&&File| (place == 0 || file.granted >= call.began) && next.is_none_or(|next| file.granted < next);
            Trial { model, at, call }.files(&files.iter().filter(own).copied().collect::<Vec<_>>())?;
        }
        rows_of(model, at, &calls, &files, &rows)?;
        swallowed(model, at, talk)?;
    }
    Ok(())
}

/// Each request of a call is passed on, or answered, and so is the 2xx that makes a dialog: where one is lost in the box, the call hangs.
fn swallowed(model: &Model, at: Moment, talk: &Talk) -> Result<(), Broken> {
    let slack = model.rules.slack;
    // What came shortly before the process ended was never read.
    let read = |came: Moment| came + slack < at && model.faults.gone.iter().all(|&gone| came + slack < gone || gone < came);
    for request in talk.requests.iter().filter(|request| request.whole && request.method != "ACK" && read(request.at)) {
        let Some(call) = request.call.map(|call| &model.calls[call]) else { continue };
        if !request.passed_on && !request.answered {
            let what =
                format!("the {} {} of {:?} from the {} came to nothing", request.cseq, request.method, request.at, request.leg);
            return Err(broken("swallowed", call.number, format!("{what}; {}", story(call))));
        }
    }
    for call in talk.calls.iter().map(|&call| &model.calls[call]) {
        // One that comes after the box has given up is a stray (RFC 6026 §7.2), and so is the answer to what an earlier run passed on.
        let may_be_stray = |dialog: &Dialog| {
            let invite =
                |request: &&Request| request.method == "INVITE" && request.leg == call.caller && request.cseq == dialog.cseq;
            let is_given_up = |request: &Request| request.life == call.life && request.refused.is_some();
            talk.requests.iter().filter(invite).any(|request| request.life < call.life || is_given_up(request))
        };
        let lost = |dialog: &&Dialog| dialog.accepted.is_some_and(read) && dialog.passed_on.is_none() && !may_be_stray(dialog);
        if let Some(dialog) = call.accepted().find(lost) {
            let what = format!("the 2xx of {:?} was not passed on to the {}", dialog.accepted, call.caller);
            return Err(broken("swallowed", call.number, format!("{what}; {}", story(call))));
        }
    }
    Ok(())
}

/// One call before its judge.
struct Trial<'a> {
    model: &'a Model,
    at: Moment,
    call: &'a Call,
}

impl Trial<'_> {
    fn broken(&self, invariant: &'static str, what: &str) -> Result<(), Broken> {
        let what = format!("{what}; {}", story(self.call));
        Err(broken(invariant, self.call.number, what))
    }

    /// A recorded call has one file, any other none.
    fn files(&self, files: &[&File]) -> Result<(), Broken> {
        let rules = &self.model.rules;
        let lawful = self.call.lawful(self.at, rules, &self.model.faults);
        self.was_told()?;
        match (lawful, files) {
            (None, []) => Ok(()),
            (None, [file, ..]) => {
                self.broken("stored-before-grant", &format!("there is a file, granted at {:?}, but no consent", file.granted))
            }
            // Where the queue to the disk was full, a recording that would have begun did not.
            (Some(lawful), []) => match lawful.sure.filter(|_| self.model.faults.lane_full.is_none()) {
                Some(sure) => self.broken("not-recorded", &format!("there is no file; it must have begun by {sure:?}")),
                None => Ok(()),
            },
            (Some(lawful), [file]) => self.file(file, &lawful),
            (Some(_), [_, _, ..]) => self.broken("recorded-twice", &format!("there are {} files", files.len())),
        }
    }

    /// A call that a policy wants recorded, and whose codecs allow it, is announced to both, unless something comes between.
    fn was_told(&self) -> Result<(), Broken> {
        let rules = &self.model.rules;
        let Some(dialog) = self.call.only().filter(|_| self.call.policy.is_some_and(|policy| policy.mode != Mode::Never)) else {
            return Ok(());
        };
        // Without a 2xx that the box passed on there is no call for it: a stray of before a restart (see `swallowed`).
        let (Some(ack), Some(media), Some(_)) = (dialog.confirmed, dialog.at_ack, dialog.passed_on) else { return Ok(()) };
        let by = ack + rules.frame * (rules.frames + 1) + rules.slack * 2;
        let around = |moment: Moment| moment + rules.slack >= ack && moment <= by;
        let stays = !dialog.described.iter().any(|&sdp| around(sdp))
            && dialog.byes.iter().all(|bye| bye.at > by)
            && dialog.over.is_none_or(|over| over > by)
            && dialog.expires.is_none_or(|expires| expires > by)
            && self.call.withdrawn.is_none_or(|withdrawn| withdrawn > by)
            && self.call.paused.iter().all(|&(paused, _)| paused > by)
            && self.call.lost.is_none_or(|lost| lost.at() > by);
        let works = self
            .model
            .faults
            .disk
            .iter()
            .all(|&(from, to)| from > by || to.is_some_and(|to| to + rules.sync_every + rules.slack < ack));
        let [pbx, trunk] = media;
        let sayable = |payload_type| pbx.takes(payload_type) && trunk.takes(payload_type);
        let codec = |first| matches!(first, 0 | 8);
        let clear = pbx.is_open() && trunk.is_open() && codec(pbx.first) && codec(trunk.first) && (sayable(0) || sayable(8));
        // The first refusal may end the announcement.
        let refused = self.call.presses.iter().any(|press| press.leg == Leg::Trunk && press.first <= by);
        let told = dialog.told.iter().all(|told| told.whole.is_some());
        if !told && stays && works && clear && !refused && by < self.at {
            return self.broken("not-announced", &format!("both should have been told by {by:?}"));
        }
        Ok(())
    }

    fn file(&self, file: &File, lawful: &Lawful) -> Result<(), Broken> {
        let slack = self.model.rules.slack;
        if file.granted < lawful.from {
            let what = format!("the file says granted at {:?}, lawful from {:?}", file.granted, lawful.from);
            return self.broken("granted-before-consent", &what);
        }
        if let Some(sure) = lawful.sure.filter(|&sure| file.granted > sure) {
            return self.broken("granted-late", &format!("the file says granted at {:?}, due by {sure:?}", file.granted));
        }
        match &file.state {
            FileState::Complete => {}
            FileState::Torn if lawful.hurt || lawful.closes > self.at => {}
            FileState::Torn => return self.broken("torn-without-cause", "the recording ended in order, and the file is torn"),
            FileState::Broken(_) if lawful.crumbled => {}
            FileState::Broken(why) => return self.broken("file-broken", &format!("a reader says: {why}")),
        }
        let mut tallies = Tallies::default();
        for leg in Leg::BOTH {
            self.leg(file, lawful, leg, &mut tallies)?;
        }
        if let (FileState::Complete, Some(word), false) = (&file.state, lawful.word, lawful.hurt)
            && file.end.as_deref() != Some(word)
        {
            return self.broken("wrong-end", &format!("the file ends with {:?} instead of {word}", file.end));
        }
        // Sent = recorded + named gaps, as far as it can be told: of packets near a border it cannot.
        let counted: u64 = file.gaps.iter().filter(|gap| gap.1 != "paused").map(|gap| gap.4).sum();
        let uncounted = file.gaps.iter().any(|gap| gap.4 == 0);
        if file.state == FileState::Complete && !lawful.hurt {
            if tallies.missing > counted && !uncounted {
                let what = format!("{} packets are missing, the gaps count {counted}", tallies.missing);
                return self.broken("gap-count-wrong", &what);
            }
            if counted > tallies.missing + tallies.doubtful {
                let what =
                    format!("the gaps count {counted}, but {} (and perhaps {}) are missing", tallies.missing, tallies.doubtful);
                return self.broken("gap-count-wrong", &what);
            }
        }
        let disk = !self.model.faults.disk.is_empty() || self.model.faults.lane_full.is_some();
        let challenged = self.call.accepted().any(|dialog| dialog.byes.iter().any(|bye| bye.challenged.is_some()));
        let cause = |reason: &str| match reason {
            "lane-full" | "disk-full" | "disk-failed" => disk,
            "paused" => !self.call.paused.is_empty() || challenged,
            "packet-too-long" | "restarted" => false,
            _ => true,
        };
        if let Some(gap) = file.gaps.iter().find(|gap| !cause(&gap.1)) {
            return self.broken("gap-without-cause", &format!("a gap {} from {:?} + {:?}", gap.1, file.granted, gap.2));
        }
        if file.packets.iter().any(|(_, since, _)| file.granted + *since > self.at + slack) {
            return self.broken("arrival-wrong", "a packet arrived after the end of the world");
        }
        Ok(())
    }

    /// One leg's packets in the file against those that came, both by arrival.
    fn leg(&self, file: &File, lawful: &Lawful, leg: Leg, tallies: &mut Tallies) -> Result<(), Broken> {
        let slack = self.model.rules.slack;
        let heard = &self.call.flows[leg.index()].heard;
        let mut kept = vec![false; heard.len()];
        let mut next = 0;
        for (_, since, bytes) in file.packets.iter().filter(|packet| packet.0 == leg) {
            let (arrival, packet) = (file.granted + *since, hash(bytes));
            let fits = |heard: &Heard| heard.packet == packet && heard.at <= arrival + slack && arrival <= heard.at + slack;
            let ahead = || heard.iter().skip(next).take_while(|heard| heard.at <= arrival + slack).enumerate();
            // Of a packet that came twice, the first that may be kept.
            let fitting = || ahead().filter(|(_, heard)| fits(heard));
            let may = |heard: &Heard| offence(file, lawful, heard).is_none();
            let Some(place) = fitting().find(|(_, heard)| may(heard)).or_else(|| fitting().next()).map(|(steps, _)| next + steps)
            else {
                return self.unheard(leg, arrival, packet, bytes);
            };
            (next, kept[place]) = (place + 1, true);
            let one = heard[place];
            let Some(invariant) = offence(file, lawful, &one) else { continue };
            let what = format!(
                "the file has the {leg}'s packet of {:?} (sequence {}, {:?}, {}), granted at {:?}, lawful {:?} to {:?}",
                one.at,
                one.sequence,
                one.kind,
                marker(bytes),
                file.granted,
                lawful.from,
                lawful.end
            );
            return self.broken(invariant, &what);
        }
        let begun = file.granted + slack;
        let torn = file.state != FileState::Complete;
        for (one, _) in heard.iter().zip(&kept).filter(|(one, kept)| !**kept && one.at >= lawful.from && one.at <= lawful.end) {
            let hole = lawful.holes.iter().find(|hole| less(hole.from, slack * 2) <= one.at && one.at <= hole.to + slack);
            let inside = hole.is_some_and(|hole| hole.from < one.at && one.at < hole.to);
            let must = one.kind == Kind::Sound && one.at > begun && one.at < lawful.until && (hole.is_none() || inside);
            if !must || hole.is_some_and(|hole| !hole.pause) {
                tallies.doubtful += 1;
                continue;
            }
            // The record of a gap may be in a chunk that was not written any more.
            let unwritten = torn && (inside || self.model.faults.lane_full.is_some_and(|since| one.at + slack >= since));
            let named = file.gaps.iter().any(|(of, reason, from, duration, _)| {
                let (from, to) = (file.granted + *from, file.granted + *from + *duration);
                of.is_none_or(|of| of == leg)
                    && less(from, slack) <= one.at
                    && one.at <= to + slack
                    && (reason == "paused") == inside
            });
            if !named && !unwritten {
                let what = format!(
                    "the {leg}'s packet of {:?} (sequence {}) is neither in the {:?} file nor in a gap; granted at {:?}, owed until {:?}",
                    one.at, one.sequence, file.state, file.granted, lawful.until
                );
                return self.broken("missing-without-gap", &what);
            }
            tallies.missing += u64::from(!inside);
        }
        let keys = |from: Moment, to: Moment| {
            heard.iter().filter(|one| one.kind == Kind::Key && one.at >= from && one.at <= to).count() as u64
        };
        let withheld = file.withheld[leg.index()];
        let unsure =
            heard.iter().filter(|one| one.kind == Kind::Unsure && one.at >= lawful.from && one.at <= lawful.end).count() as u64;
        let sure = if lawful.holes.is_empty() { keys(begun, lawful.until) } else { 0 };
        if !torn && !lawful.hurt && (withheld < sure || withheld > keys(lawful.from, lawful.end) + unsure) {
            let what = format!("the file says that {withheld} key packets of the {leg} were withheld; {sure} came for certain");
            return self.broken("withheld-wrong", &what);
        }
        Ok(())
    }

    /// A packet of the file that did not come at that time.
    fn unheard(&self, leg: Leg, arrival: Moment, packet: u64, bytes: &[u8]) -> Result<(), Broken> {
        let of = |leg: Leg| self.call.flows[leg.index()].heard.iter().find(|heard| heard.packet == packet);
        let what = format!("the file has a packet of the {leg} that arrived at {arrival:?}: {}", marker(bytes));
        match (of(leg), of(leg.other())) {
            (Some(one), _) => self.broken("arrival-wrong", &format!("{what}; it came at {:?}, or its place is another", one.at)),
            (None, Some(_)) => self.broken("legs-swapped", &format!("{what}; it came from the {}", leg.other())),
            (None, None) => self.broken("stored-unheard", &format!("{what}; no such packet came in this call")),
        }
    }
}

/// Packets of the lawful time that are not in the file.
#[derive(Default)]
struct Tallies {
    /// They should be there, and a gap names them.
    missing: u64,
    /// Perhaps they should.
    doubtful: u64,
}

/// What a packet of the file breaks by being there, if anything.
fn offence(file: &File, lawful: &Lawful, one: &Heard) -> Option<&'static str> {
    let hole = lawful.holes.iter().find(|hole| hole.from < one.at && one.at < hole.to);
    match one.kind {
        Kind::Key => Some("digits-stored"),
        Kind::Stranger => Some("stored-for-stranger"),
        // Here there is no slack: what came in before the grant is not kept.
        _ if one.at < lawful.from || one.at < file.granted => Some("stored-before-grant"),
        _ if one.at > lawful.end || one.kind == Kind::Late => Some("stored-after-end"),
        _ => hole.map(|hole| if hole.pause { "stored-while-paused" } else { "stored-after-end" }),
    }
}

/// The rows of one Call-ID: one a call.
fn rows_of(model: &Model, at: Moment, calls: &[&Call], files: &[&File], rows: &[&Row]) -> Result<(), Broken> {
    let Some(last) = calls.last() else { return Ok(()) };
    let rules = &model.rules;
    let (mut least, mut most) = (0, 0);
    for call in calls {
        // A call that was up when the process died, or whose row was not synced when the power failed, may be without one.
        let writing = rules.slack + rules.chunk_age + rules.sync_every;
        let excused = match call.lost {
            Some(Lost::Killed(gone) | Lost::Power(gone)) => call.over().is_none_or(|over| over + writing >= gone),
            Some(Lost::Stopped(_)) => false,
            // A call that is up, or ended just now, has its row later.
            None => call.over().is_none_or(|over| over + GIVEN_UP + rules.slack > at),
        };
        least += usize::from(call.passed_on && !excused);
        most += call.attempts as usize;
    }
    let fail = |invariant, what: String| Err(broken(invariant, last.number, format!("{what}; {}", story(last))));
    if rows.len() < least {
        return fail("no-row", format!("{} has {} rows, at least {least} were due", last.id, rows.len()));
    }
    if rows.len() > most {
        return fail("row-twice", format!("{} has {} rows, at most {most} were due", last.id, rows.len()));
    }
    let ended = calls.iter().filter(|call| call.over().is_some_and(|over| over + GIVEN_UP + rules.slack < at)).count();
    let stopped = calls.iter().filter(|call| matches!(call.lost, Some(Lost::Stopped(_))) && call.over().is_none()).count();
    let crashed = calls.iter().any(|call| matches!(call.lost, Some(Lost::Killed(_) | Lost::Power(_))));
    let says_ended = rows.iter().filter(|row| row.ended).count();
    if !crashed && says_ended < least.min(ended + stopped) {
        return fail("not-ended", format!("{says_ended} rows of {} are ended, {ended} calls have ended", last.id));
    }
    if calls.len() == 1 && last.lost.is_none() && last.must_be_up() && says_ended > 0 {
        return fail("ended-early", format!("the row of {} is ended, and the call is up", last.id));
    }
    // 299 recordings that no row names, and that no request finds: not here, whatever died.
    let recordings = rows.iter().filter(|row| row.recording).count();
    if recordings < files.len() {
        let what = format!("{recordings} rows of {} name a recording, and there are {} files", last.id, files.len());
        return fail("file-without-row", what);
    }
    let began = calls.first().map_or(at, |call| call.began);
    let until = calls.iter().try_fold(began, |latest, call| Some(latest.max(call.over()?)));
    let writing = rules.slack + rules.chunk_age + rules.sync_every;
    let hurt =
        crashed
            || model.faults.disk.iter().any(|&(from, to)| {
                until.is_none_or(|until| from <= until + writing) && to.is_none_or(|to| to + writing >= began)
            });
    if !hurt && recordings != files.len() {
        return fail(
            "row-and-file-differ",
            format!("{recordings} rows of {} say recording, there are {} files", last.id, files.len()),
        );
    }
    let alone = calls.len() == 1;
    rows.iter().try_for_each(|row| reason(row, last, alone, hurt, rules).map_or(Ok(()), |why| fail("wrong-reason", why)))
}

/// What is wrong with the words of a row. Only what the requirements decide: without a file no row says that there is one; a call without a
/// policy, or with `never`, that was up and ended says so, and so does one that was refused, or not agreed to in time.
fn reason(row: &Row, call: &Call, alone: bool, hurt: bool, rules: &Rules) -> Option<String> {
    let claims = matches!(row.reason.as_str(), "recorded" | "torn");
    if !hurt && claims && !row.recording {
        return Some(format!("the reason is {}, and there is no recording", row.reason));
    }
    if !hurt && row.ended && (row.state == "sealed") != row.recording {
        return Some(format!("the state is {}, recording {}", row.state, row.recording));
    }
    let answered = call.accepted().any(|dialog| dialog.confirmed.is_some());
    let due = match call.policy.map(|policy| policy.mode) {
        None => "no-policy",
        Some(Mode::Never) => "policy-never",
        Some(Mode::Announce | Mode::OptIn | Mode::OptOut) if row.recording => {
            let fits = match row.reason.as_str() {
                "recorded" => true,
                "withdrawn" => call.presses.iter().any(|press| press.leg == Leg::Trunk),
                "withdrawn-by-operator" => call.withdrawn.is_some(),
                _ => false,
            };
            let wrong = !hurt && row.ended && !fits;
            return wrong.then(|| format!("the reason is {}, and there is a recording", row.reason));
        }
        Some(Mode::Announce | Mode::OptIn | Mode::OptOut) => call.refusal(rules).filter(|_| !hurt)?,
    };
    let wrong = alone && answered && row.ended && call.lost.is_none() && row.reason != due;
    wrong.then(|| format!("the reason is {} instead of {due}", row.reason))
}

/// What happened in a call, in a line.
fn story(call: &Call) -> String {
    let mut line = format!("call of the {} ({:?}) from {:?}", call.caller, call.policy.map(|policy| policy.mode), call.began);
    for dialog in &call.dialogs {
        let [pbx, trunk] = dialog.told.map(|told| (told.begun, told.whole));
        line += &format!(
            "; dialog: 2xx {:?}, ACK {:?}, told pbx {pbx:?}, trunk {trunk:?}, BYEs {:?}, hung up {:?}, over {:?}",
            dialog.accepted,
            dialog.confirmed,
            dialog.byes.iter().map(|bye| (bye.leg, bye.at, bye.challenged)).collect::<Vec<_>>(),
            dialog.hung_up,
            dialog.over
        );
    }
    for press in &call.presses {
        line += &format!("; {} pressed {} {:?} to {:?} ({})", press.leg, press.digit, press.first, press.ended, press.sure);
    }
    format!("{line}; refused {:?}, paused {:?}, withdrawn {:?}, {:?}", call.refused, call.paused, call.withdrawn, call.lost)
}

impl Lost {
    fn at(self) -> Moment {
        match self {
            Self::Killed(at) | Self::Power(at) | Self::Stopped(at) => at,
        }
    }
}
