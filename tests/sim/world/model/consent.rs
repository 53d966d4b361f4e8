//! From when until when a call may, and must, be recorded.

use std::time::Duration;

use mitschnitt::ids::Leg;
use mitschnitt::time::Moment;

use super::call::{Call, Dialog, Lost};
use super::media::Press;
use super::{Faults, GIVEN_UP, Mode, Policy, Rules, less};

/// The time in which a call's voice may be kept.
#[derive(Clone, Debug)]
pub(super) struct Lawful {
    /// No packet that came in before this is ever kept.
    pub(super) from: Moment,
    /// By this the recording has begun; `None` where it need not begin.
    pub(super) sure: Option<Moment>,
    /// Until this, each packet is kept.
    pub(super) until: Moment,
    /// After this, none is.
    pub(super) end: Moment,
    /// And none is in between these: a BYE that was challenged, a pause.
    pub(super) holes: Vec<Hole>,
    /// The word with which the file ends, where it is certain.
    pub(super) word: Option<&'static str>,
    /// By this the box has closed it, in order: it may wait for the answer to a BYE, for a challenge would let it go on.
    pub(super) closes: Moment,
    /// The file may be torn, or not be there: the process, the power or the disk failed.
    pub(super) hurt: bool,
    /// The power failed, or the disk did: a torn file may look broken to a reader.
    pub(super) crumbled: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Hole {
    pub(super) from: Moment,
    pub(super) to: Moment,
    pub(super) pause: bool,
}

/// When consent is complete at the earliest, and by when for certain.
struct Grant {
    from: Moment,
    sure: Option<Moment>,
}

impl Call {
    /// Returns `None` where nothing of the call may be recorded.
    pub(super) fn lawful(&self, at: Moment, rules: &Rules, faults: &Faults) -> Option<Lawful> {
        let policy = self.policy.filter(|policy| policy.mode != Mode::Never)?;
        let mut spans = self.accepted().filter_map(|dialog| {
            let grant = self.grant(dialog, policy, rules)?;
            Some(self.span(dialog, grant, policy, rules))
        });
        let first = spans.next()?;
        // Of two dialogs that were both accepted, all that may be kept of either may.
        let alone = self.only().is_some();
        let mut lawful = spans.fold(first, |one, two| Lawful {
            from: one.from.min(two.from),
            end: one.end.max(two.end),
            closes: one.closes.max(two.closes),
            ..one
        });
        if !alone {
            (lawful.sure, lawful.until, lawful.word) = (None, lawful.from, None);
            lawful.holes.clear();
        }
        if let Some(over) = self.over() {
            lawful.end = lawful.end.min(over + rules.slack);
            lawful.closes = lawful.closes.min(over + rules.slack);
        }
        self.cut_short(&mut lawful, at, rules, faults);
        (lawful.from <= lawful.end).then_some(lawful)
    }

    /// When consent was complete in a dialog.
    fn grant(&self, dialog: &Dialog, policy: Policy, rules: &Rules) -> Option<Grant> {
        let ack = dialog.confirmed?;
        let [pbx, trunk] = dialog.told;
        let (both, begun) = (pbx.whole?.max(trunk.whole?), trunk.begun?);
        let (trunk_told, trunk) = (trunk, trunk.whole?);
        let slack = rules.slack;
        // Where the session changed under the announcement, or while it was asked for, it may count as not played.
        let calm = |until| self.only().is_some() && !dialog.described.iter().any(|&sdp| sdp >= ack && sdp <= until);
        let keys = self.presses.iter().filter(|press| press.leg == Leg::Trunk && press.digit == policy.key);
        let (from, mut sure) = match policy.mode {
            Mode::Never => return None,
            Mode::Announce => (both, Some(both)),
            Mode::OptOut => {
                let from = both.max(trunk + policy.window);
                let latest = both + policy.window + rules.frame + slack * 2;
                let mut sure = Some(both + policy.window);
                // Before its announcement began a key may be taken for a refusal or for nothing; after the grant it withdraws.
                for press in keys.filter(|press| press.last + slack >= ack && press.first <= latest) {
                    if press.is_within(begun + slack, less(from, slack)) {
                        return None;
                    }
                    sure = None;
                }
                (from, sure)
            }
            Mode::OptIn => {
                let latest = pbx.latest.max(trunk_told.latest)?.max(both) + policy.window + rules.frame + slack * 2;
                let agrees = |press: &&Press| press.last + slack >= begun && press.first <= latest;
                let from = keys.clone().filter(agrees).map(|press| both.max(press.first.max(less(begun, slack)))).min()?;
                // In time: before the window ends by any reading, which begins when the trunk, or when both were told.
                let mut sure = keys.filter(|press| press.is_within(begun + slack, less(trunk + policy.window, slack)));
                (from, sure.next().map(|press| both.max(press.ended.unwrap_or(press.last))))
            }
        };
        sure = sure.filter(|&sure| calm(sure + slack)).map(|sure| sure + rules.frame + slack * 2);
        Some(Grant { from, sure })
    }

    /// The word with which the ledger says why there is no recording, where it is certain that the parties decided it.
    pub(super) fn refusal(&self, rules: &Rules) -> Option<&'static str> {
        let policy = self.policy?;
        let dialog = self.only()?;
        let (ack, begun) = (dialog.confirmed?, dialog.told[Leg::Trunk.index()].begun?);
        let [pbx, trunk] = [dialog.told[0].whole?, dialog.told[1].whole?];
        let (slack, waited) = (rules.slack, pbx.max(trunk) + policy.window + rules.frame);
        let calm = |until| {
            let ends = dialog.byes.iter().map(|bye| bye.at).chain(dialog.expires).chain(self.withdrawn);
            let pauses = self.paused.iter().map(|&(from, _)| from);
            !dialog.described.iter().any(|&sdp| sdp >= ack && sdp <= until + slack)
                && ends.chain(pauses).all(|at| at > until + slack * 2)
        };
        let mut keys = self.presses.iter().filter(|press| press.leg == Leg::Trunk && press.digit == policy.key);
        match policy.mode {
            Mode::OptIn => (keys.next().is_none() && calm(waited)).then_some("consent-timeout"),
            Mode::OptOut => {
                let refuses = keys.find(|press| press.is_within(begun + slack, less(trunk + policy.window, slack)))?;
                calm(refuses.ended?.max(pbx.max(trunk))).then_some("consent-refused")
            }
            Mode::Announce | Mode::Never => None,
        }
    }

    /// From when until when a dialog may and must be recorded, as far as the parties and the operator decide it.
    fn span(&self, dialog: &Dialog, grant: Grant, policy: Policy, rules: &Rules) -> Lawful {
        let slack = rules.slack;
        let mut ends = Ends { certain: FOREVER, closes: FOREVER, causes: Vec::new() };
        let mut holes = Vec::new();
        for bye in &dialog.byes {
            let word = if bye.leg == Leg::Pbx { "pbx-hung-up" } else { "trunk-hung-up" };
            match bye.challenged {
                Some(challenged) => {
                    ends.perhaps(bye.at);
                    holes.push(Hole { from: bye.at + slack, to: challenged, pause: false });
                }
                None if bye.doubtful => ends.perhaps(bye.at),
                None => ends.surely(bye.at, bye.at, dialog.over.unwrap_or(bye.at + GIVEN_UP), word),
            }
        }
        // The end of a dialog that a BYE ended is that BYE.
        if let Some(over) = dialog.hung_up.or(dialog.over).filter(|_| ends.certain == FOREVER) {
            ends.surely(over, over, over, "");
        }
        if let Some(expires) = dialog.expires {
            ends.perhaps(expires);
        }
        for press in self.presses.iter().filter(|press| press.leg == Leg::Trunk && press.digit == policy.key) {
            match policy.mode {
                Mode::OptOut if press.last + slack >= grant.from => {
                    let first = press.first.max(grant.from);
                    let after = grant.sure.is_some_and(|sure| press.first > sure);
                    match press.ended.filter(|_| press.sure && after) {
                        Some(ended) => ends.surely(first, ended, ended, "trunk-withdrew"),
                        None => ends.perhaps(first),
                    }
                }
                // Whether the key that agreed also withdraws is not decided.
                Mode::OptIn if press.first > grant.from => ends.perhaps(press.first),
                Mode::OptOut | Mode::OptIn | Mode::Announce | Mode::Never => {}
            }
        }
        let mut sure = grant.sure;
        if let Some(withdrawn) = self.withdrawn {
            if grant.sure.is_some_and(|begun| begun + slack < withdrawn) {
                ends.surely(withdrawn, withdrawn, withdrawn, "");
            } else {
                // Before the grant there is nothing to withdraw, and no word on whether it counts.
                ends.perhaps(withdrawn);
                sure = None;
            }
        }
        for &(from, until) in &self.paused {
            if grant.sure.is_none_or(|begun| begun + slack >= from) {
                // There may have been nothing to pause.
                ends.perhaps(from);
            } else {
                // The longest pause is 120 s; then it goes on by itself.
                let longest = from + Duration::from_secs(120);
                let to = until.map_or(longest, |until| until.min(longest));
                holes.push(Hole { from: from + slack, to, pause: true });
            }
        }
        // A key of withdrawal that comes while a BYE is on its way may be the word that stands.
        let late = |press: &&Press| press.first > ends.certain && dialog.over.is_none_or(|over| press.first <= over + slack);
        let withdraws = |press: &&Press| press.leg == Leg::Trunk && press.digit == policy.key;
        let withdraws_late = policy.mode == Mode::OptOut && self.presses.iter().filter(withdraws).any(|press| late(&press));
        // Encrypted or refused audio ends a recording or does not: not decided.
        if dialog.media.iter().flatten().any(|media| !media.plain) {
            ends.perhaps(grant.from);
        }
        let possible = ends.possible();
        sure = sure.filter(|&sure| sure < possible);
        Lawful {
            from: grant.from,
            sure,
            until: less(possible, slack),
            end: ends.certain + slack,
            holes,
            word: ends.word(slack).filter(|_| !withdraws_late),
            closes: ends.closes + slack,
            hurt: false,
            crumbled: false,
        }
    }

    /// What the machine's failures take from it.
    fn cut_short(&self, lawful: &mut Lawful, at: Moment, rules: &Rules, faults: &Faults) {
        let Rules { slack, chunk_age, sync_every, .. } = *rules;
        let written = chunk_age + slack;
        let durable = written + sync_every;
        if self.lost.is_none() && lawful.closes > at {
            // It still runs: its last chunk is not written yet.
            lawful.until = lawful.until.min(less(at, written));
            lawful.sure = lawful.sure.filter(|&sure| sure + written + sync_every < at);
        }
        match self.lost {
            None => {}
            Some(Lost::Stopped(stop)) => {
                if stop <= lawful.closes {
                    lawful.word = (stop + slack < lawful.until).then_some("shutdown");
                }
                lawful.closes = lawful.closes.min(stop);
                lawful.end = lawful.end.min(stop + slack);
                lawful.until = lawful.until.min(less(stop, slack));
                lawful.sure = lawful.sure.filter(|&sure| sure + slack < stop);
            }
            Some(Lost::Killed(kill)) => {
                lawful.hurt |= lawful.closes + written > kill;
                lawful.end = lawful.end.min(kill);
                lawful.until = lawful.until.min(less(kill, written));
                lawful.sure = lawful.sure.filter(|&sure| sure + sync_every + written < kill);
            }
            Some(Lost::Power(cut)) => {
                lawful.end = lawful.end.min(cut);
                lawful.sure = lawful.sure.filter(|&sure| sure + sync_every + durable < cut);
            }
        }
        // A loss of power takes also what was closed long ago, where the disk had lied about it.
        for &cut in faults.cuts.iter().filter(|&&cut| cut >= lawful.from) {
            let lied = faults.lies_since.is_some_and(|since| since < cut);
            if lied || lawful.closes + durable > cut {
                (lawful.hurt, lawful.crumbled) = (true, true);
                lawful.until = if lied { lawful.from } else { lawful.until.min(less(cut, durable)) };
            }
        }
        for &(from, to) in &faults.disk {
            let touches = from <= lawful.closes + durable && to.is_none_or(|to| to + durable >= lawful.from);
            if touches {
                (lawful.hurt, lawful.crumbled, lawful.sure) = (true, true, None);
                lawful.until = lawful.until.min(less(from, durable));
            }
        }
        if lawful.until <= lawful.from {
            lawful.sure = None;
        }
    }
}

impl Press {
    /// It was certainly pressed, and began and ended in this time.
    fn is_within(&self, from: Moment, until: Moment) -> bool {
        self.sure && self.first >= from && self.ended.is_some_and(|ended| ended <= until)
    }
}

/// What ends a recording.
struct Ends {
    /// When it ended at the latest, and when the box knows that it did.
    certain: Moment,
    closes: Moment,
    /// From when each thing may have ended it, with the word that the file ends with, if it is known.
    causes: Vec<(Moment, &'static str)>,
}

impl Ends {
    fn perhaps(&mut self, from: Moment) {
        self.causes.push((from, ""));
    }

    fn surely(&mut self, from: Moment, by: Moment, closes: Moment, word: &'static str) {
        self.causes.push((from, word));
        self.certain = self.certain.min(by);
        self.closes = self.closes.min(closes);
    }

    fn possible(&self) -> Moment {
        self.causes.iter().map(|&(from, _)| from).min().unwrap_or(FOREVER)
    }

    /// The word of the one cause, where no other comes near it, or before the box knows that it was one: which of a BYE and a key that is
    /// pressed before the BYE is answered has ended it is not decided.
    fn word(&self, slack: Duration) -> Option<&'static str> {
        let mut causes = self.causes.iter().filter(|&&(from, _)| from <= self.closes + slack * 2);
        let first = causes.next().filter(|_| causes.next().is_none());
        first.map(|&(_, word)| word).filter(|word| !word.is_empty())
    }
}

const FOREVER: Moment = Moment::from_micros(u64::MAX);
