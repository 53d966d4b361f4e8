//! What one call tries: who calls whom under which policy, how it goes on, and in what the equipment misbehaves.

use std::fmt;
use std::time::Duration;

use mitschnitt::ids::Leg;

use super::super::chance::Chance;
use super::super::plan::Pace;

/// What one call tries. It is plain data, made by a scenario or drawn.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// The call's number, once it has one.
    pub number: u32,
    /// Who calls.
    pub from: Leg,
    /// Under which policy: the far number's prefix says it.
    pub policy: Policy,
    /// What becomes of the INVITE.
    pub outcome: Outcome,
    /// From the INVITE until the called party answers, or refuses.
    pub rings: Duration,
    /// From the ACK until one hangs up.
    pub talks: Duration,
    /// How the talk ends.
    pub ending: Ending,
    /// What each leg can speak ([`Leg::index`]).
    pub speech: [Speech; 2],
    /// The keys that are pressed.
    pub presses: Vec<Press>,
    /// In what the equipment is not as one would wish.
    pub deviations: Vec<Deviation>,
}

/// The policies of the box, by the far number's prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Policy {
    /// Told, and recorded.
    Announce,
    /// Recorded unless key 9 is pressed within 400 ms.
    OptOut,
    /// Recorded once key 1 is pressed within 600 ms.
    OptIn,
    /// Never recorded.
    Never,
    /// No policy matches.
    None,
    /// As `OptIn`; without consent the box hangs up.
    HangUp,
}

/// What becomes of the INVITE.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The called party answers.
    Answered,
    /// The called party, or its carrier, refuses with this status: 3xx to 6xx.
    Refused(u16),
    /// The caller gives up so long after the INVITE, whatever the called party does meanwhile.
    Cancelled(Duration),
    /// Nobody answers; the caller's patience ends.
    Unanswered,
}

/// How a talk ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// This leg hangs up.
    HangsUp(Leg),
    /// Both phones vanish, and no BYE is ever sent: a power cut on both sides, or a route that is gone for good.
    Vanish,
}

/// What a phone can speak, most wanted first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Speech {
    /// PCMU, PCMA and telephone-event.
    Ulaw,
    /// PCMA, PCMU and telephone-event.
    Alaw,
    /// PCMU and telephone-event.
    OnlyUlaw,
    /// PCMA and telephone-event.
    OnlyAlaw,
    /// PCMU and PCMA, and no telephone-event: keys go by INFO.
    Eventless,
    /// Only G.729: it cannot be announced into.
    G729,
}

impl Speech {
    /// Returns the payload types, most wanted first.
    pub(super) const fn formats(self) -> &'static [u8] {
        match self {
            Self::Ulaw => &[0, 8, 101],
            Self::Alaw => &[8, 0, 101],
            Self::OnlyUlaw => &[0, 101],
            Self::OnlyAlaw => &[8, 101],
            Self::Eventless => &[0, 8],
            Self::G729 => &[18, 101],
        }
    }
}

/// A key that is pressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Press {
    /// Who presses.
    pub leg: Leg,
    /// `0` to `9`, `*`, `#`, `A` to `D`.
    pub key: char,
    /// So long after this leg's ACK.
    pub after: Duration,
    /// How it is sent.
    pub by: PressedBy,
}

/// How a key is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PressedBy {
    /// As RFC 4733 events in the RTP.
    Rtp,
    /// As SIP INFO with `application/dtmf-relay`.
    Info,
}

/// The request that carries a new description within a dialog.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    /// INVITE within the dialog.
    Invite,
    /// UPDATE (RFC 3311).
    Update,
}

/// How a party is put on hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hold {
    /// `a=sendonly`, with music.
    SendOnly,
    /// `a=inactive`.
    Inactive,
    /// `c=IN IP4 0.0.0.0`, as in RFC 2543.
    Zeroes,
}

/// Who forges a BYE.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Forger {
    /// A stranger who has seen Call-ID and tags.
    Stranger,
    /// The other leg's own address, which says that it is this one.
    OtherLeg,
    /// A host in the carrier's network, which guesses the tag.
    Neighbour,
}

/// In what equipment is not as one would wish. `after` counts from that leg's ACK.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deviation {
    /// A gateway that waits for its ISDN side, or a busy PBX, acknowledges late.
    AckLate(Duration),
    /// The caller's process dies when the answer comes.
    AckNever,
    /// A carrier that rings several phones, each with a To tag of its own: `winner` answers, and `second` before it hears of that.
    Forks { phones: u8, winner: u8, second: Option<u8>, early: bool },
    /// Ring-back tones and announcements of exchanges come before the answer; some gateways send from both sides.
    EarlyMedia { both: bool },
    /// 100rel (RFC 3262), as IMS cores and ISDN gateways want it; the 200 has the description again, or has none.
    Reliable { again: bool },
    /// Click-to-dial calls with an INVITE that describes nothing: the offer is in the 200, the answer in the ACK.
    LateOffer,
    /// A broken phone answers without a description; the caller hangs up.
    NoDescription,
    /// A carrier or PBX with accounts challenges the first INVITE (401 or 407).
    Challenge(u16),
    /// One that challenges the BYE too, as some registrars do with all requests.
    ChallengedBye(u16),
    /// Both send a re-INVITE at once: both get 491 and try again (RFC 3261 §14.1).
    Glare { after: Duration },
    /// A transfer within the far exchange, or a conference bridge, goes on with another SSRC.
    NewSource { leg: Leg, after: Duration },
    /// A translator gives the RTP another port; a session border controller may notice and describe it anew.
    Rebinds { leg: Leg, after: Duration, told: Option<Duration> },
    /// Hold, and resume.
    Holds { leg: Leg, after: Duration, lasts: Duration, how: Hold },
    /// REFER within the dialog (RFC 3515); the one who refers hangs up once the new call stands.
    Transfers { leg: Leg, after: Duration, stands: bool },
    /// A hand-over, or a media server that is taken out of service: the media goes to another address.
    Moves { leg: Leg, after: Duration, by: By },
    /// A gateway that goes over to the other law of G.711.
    Recodes { leg: Leg, after: Duration, by: By },
    /// Third-party call control asks by a re-INVITE without a description.
    Asks { leg: Leg, after: Duration },
    /// RFC 4028: the session is refreshed with nothing changed.
    Refreshes { leg: Leg, after: Duration, by: By },
    /// RFC 4028: nobody refreshed; this leg ends the session with a Reason.
    Expires { leg: Leg, after: Duration },
    /// The other side refuses every new description with 488.
    Refuses { leg: Leg },
    /// Somebody else sends a BYE in this leg's name.
    ForgedBye { leg: Leg, after: Duration, by: Forger },
    /// Somebody else sends RTP to the port that faces this leg, with the SSRC and the sequence of its stream.
    ForgedRtp { leg: Leg, after: Duration, packets: u32 },
    /// A broken timer, or a mirror port in the wrong place: every SIP message of this leg comes ten times.
    Storm { leg: Leg },
    /// Scanners and cut datagrams from a peer's own address.
    Garbage { leg: Leg, after: Duration },
    /// OPTIONS as a keep-alive, and REGISTER, beside the call.
    Beside { leg: Leg, after: Duration },
    /// Media that goes on after the BYE: the mixer stops later than the signalling.
    TalksOn { leg: Leg, lasts: Duration },
    /// A phone that sends no RTP: muted, with discontinuous transmission.
    Silent { leg: Leg },
    /// A proxy in front of this leg's phones stays in the route.
    RecordsRoute { leg: Leg },
}

// ── the path of a call, for scenarios ──────────────────────────────────────────────────────────────────────────────

impl Plan {
    /// An ordinary call: the PBX calls, it is announced, both talk for 1.2 s, the PBX hangs up.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            number: 0,
            from: Leg::Pbx,
            policy: Policy::Announce,
            outcome: Outcome::Answered,
            rings: Duration::from_millis(150),
            talks: Duration::from_millis(1200),
            ending: Ending::HangsUp(Leg::Pbx),
            speech: [Speech::Ulaw; 2],
            presses: Vec::new(),
            deviations: Vec::new(),
        }
    }

    /// Who calls.
    #[must_use]
    pub const fn from(mut self, leg: Leg) -> Self {
        self.from = leg;
        self
    }

    /// Under which policy.
    #[must_use]
    pub const fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// How long it rings.
    #[must_use]
    pub const fn rings(mut self, span: Duration) -> Self {
        self.rings = span;
        self
    }

    /// How long both talk.
    #[must_use]
    pub const fn talks(mut self, span: Duration) -> Self {
        self.talks = span;
        self
    }

    /// Who hangs up.
    #[must_use]
    pub const fn hangs_up(mut self, leg: Leg) -> Self {
        self.ending = Ending::HangsUp(leg);
        self
    }

    /// Nobody hangs up: both are gone.
    #[must_use]
    pub const fn vanish(mut self) -> Self {
        self.ending = Ending::Vanish;
        self
    }

    /// The called party refuses.
    #[must_use]
    pub const fn refused(mut self, status: u16) -> Self {
        self.outcome = Outcome::Refused(status);
        self
    }

    /// The caller gives up.
    #[must_use]
    pub const fn cancelled(mut self, after: Duration) -> Self {
        self.outcome = Outcome::Cancelled(after);
        self
    }

    /// Nobody answers.
    #[must_use]
    pub const fn unanswered(mut self) -> Self {
        self.outcome = Outcome::Unanswered;
        self
    }

    /// What a leg can speak.
    #[must_use]
    pub const fn speaks(mut self, leg: Leg, speech: Speech) -> Self {
        match leg {
            Leg::Pbx => self.speech[0] = speech,
            Leg::Trunk => self.speech[1] = speech,
        }
        self
    }

    /// The customer presses a key, so long after the ACK.
    #[must_use]
    pub fn presses(self, key: char, after: Duration) -> Self {
        self.presses_as(Press { leg: Leg::Trunk, key, after, by: PressedBy::Rtp })
    }

    /// Somebody presses a key.
    #[must_use]
    pub fn presses_as(mut self, press: Press) -> Self {
        self.presses.push(press);
        self
    }

    /// The ACK comes late.
    #[must_use]
    pub fn ack_late(self, after: Duration) -> Self {
        self.but(Deviation::AckLate(after))
    }

    /// So many phones ring, and the last answers.
    #[must_use]
    pub fn forks(self, phones: u8) -> Self {
        self.but(Deviation::Forks { phones, winner: phones.saturating_sub(1), second: None, early: false })
    }

    /// One thing is otherwise.
    #[must_use]
    pub fn but(mut self, deviation: Deviation) -> Self {
        self.deviations.push(deviation);
        self
    }

    /// Whether no BYE is ever sent, so that nothing but a restart ends the call in the box.
    #[must_use]
    pub fn vanishes(&self) -> bool {
        self.ending == Ending::Vanish && self.outcome == Outcome::Answered
    }

    /// Returns the numbers that stand for this call's parties: the PBX's extension, and the far number.
    #[must_use]
    pub fn numbers(&self) -> [String; 2] {
        [format!("100{}", self.number), format!("+4930{}{}", self.policy.digit(), self.number)]
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self::new()
    }
}

impl Policy {
    /// The digit behind `+4930`.
    const fn digit(self) -> u8 {
        match self {
            Self::Announce => 1,
            Self::OptOut => 2,
            Self::OptIn => 3,
            Self::Never => 4,
            Self::None => 5,
            Self::HangUp => 6,
        }
    }
}

// ── drawn by chance ────────────────────────────────────────────────────────────────────────────────────────────────

impl Plan {
    /// Draws what a call tries: most are ordinary, about half have one to three deviations.
    #[must_use]
    pub fn drawn(chance: &mut Chance) -> Self {
        let mut plan = Self::new();
        if chance.per_mille(400) {
            plan.from = Leg::Trunk;
        }
        plan.policy = match chance.below(12) {
            0..=2 => Policy::Announce,
            3..=5 => Policy::OptOut,
            6..=8 => Policy::OptIn,
            9 => Policy::Never,
            10 => Policy::None,
            _ => Policy::HangUp,
        };
        plan.rings = ms(chance, 5, 400);
        plan.talks = if chance.per_mille(60) { ms(chance, 0, 100) } else { ms(chance, 900, 3000) };
        plan.ending = Ending::HangsUp(leg(chance));
        plan.speech = drawn_speech(chance);
        plan.outcome = match chance.below(1000) {
            0..=29 => Outcome::Refused([486, 603, 404, 503, 480, 488, 302, 301, 500][at(chance, 9)]),
            30..=49 => Outcome::Cancelled(ms(chance, 0, 300)),
            // Within a few milliseconds of the answer: the two cross.
            50..=69 => Outcome::Cancelled(plan.rings + ms(chance, 0, 3)),
            70..=74 => Outcome::Unanswered,
            _ => Outcome::Answered,
        };
        plan.draw_presses(chance);
        if chance.per_mille(500) {
            for _ in 0..=chance.below(3) {
                plan.draw_deviation(chance);
            }
        }
        if plan.outcome != Outcome::Answered {
            // What belongs to a talk would only be words.
            plan.presses.clear();
            plan.deviations.retain(|deviation| {
                deviation.is_of_the_set_up() || matches!(deviation, Deviation::Storm { .. } | Deviation::RecordsRoute { .. })
            });
        }
        if chance.per_mille(4) {
            plan.ending = Ending::Vanish;
        }
        plan
    }

    /// The same call at another pace. A talk that is long for the sake of a second try stays so: SIP's timers have one pace.
    #[must_use]
    pub fn at(mut self, pace: Pace) -> Self {
        let Self { rings, talks, outcome, presses, deviations, .. } = &mut self;
        let is_long = deviations.iter().any(|deviation| matches!(deviation, Deviation::Glare { .. })) && *talks > TALKS_AT_MOST;
        let mut spans = vec![rings];
        if !is_long {
            spans.push(talks);
        }
        if let Outcome::Cancelled(after) = outcome {
            spans.push(after);
        }
        spans.extend(presses.iter_mut().map(|press| &mut press.after));
        spans.extend(deviations.iter_mut().flat_map(Deviation::spans));
        spans.into_iter().for_each(|span| *span = pace.span(*span));
        self
    }

    fn draw_presses(&mut self, chance: &mut Chance) {
        let (right, window) = match self.policy {
            Policy::OptIn | Policy::HangUp => ('1', 600),
            Policy::OptOut => ('9', 400),
            Policy::Announce | Policy::Never | Policy::None => ('5', 300),
        };
        let often = match self.policy {
            Policy::OptIn | Policy::HangUp => 850,
            Policy::OptOut => 450,
            Policy::Announce | Policy::Never | Policy::None => 150,
        };
        let by = |chance: &mut Chance| if chance.per_mille(350) { PressedBy::Info } else { PressedBy::Rtp };
        if chance.per_mille(often) {
            let mut press = Press { leg: Leg::Trunk, key: right, after: ms(chance, 130, 100 + window), by: by(chance) };
            match chance.below(20) {
                // Too early: before or while the announcement plays.
                0 | 1 => press.after = ms(chance, 0, 110),
                // Too late.
                2 => press.after = ms(chance, 110 + window, 600 + window),
                // The wrong key.
                3 => press.key = any_key(chance),
                // The wrong party.
                4 => press.leg = Leg::Pbx,
                _ => {}
            }
            self.presses.push(press);
        }
        if chance.per_mille(150) {
            // Withdrawal, where the key is the policy's; else a key to the far exchange's menu.
            let key = if chance.per_mille(600) { right } else { any_key(chance) };
            self.presses.push(Press { leg: leg(chance), key, after: ms(chance, 700, 2500), by: by(chance) });
        }
    }

    fn draw_deviation(&mut self, chance: &mut Chance) {
        let talk = u64::try_from(self.talks.as_millis()).unwrap_or(0).max(1);
        let after = ms(chance, 0, talk);
        let by = if chance.per_mille(300) { By::Update } else { By::Invite };
        let (whose, status) = (leg(chance), if chance.per_mille(500) { 401 } else { 407 });
        let is_set_up = self.deviations.iter().any(|deviation| deviation.is_of_the_set_up());
        let deviation = match chance.below(if is_set_up { 20 } else { 30 }) {
            0 => {
                if chance.per_mille(600) {
                    // Long enough for the second try: up to 4 s later (RFC 3261 §14.1).
                    self.talks = after + ms(chance, 2500, 5000);
                }
                Deviation::Glare { after }
            }
            1 => Deviation::NewSource { leg: whose, after },
            2 => {
                let told = chance.per_mille(500).then(|| ms(chance, 50, 600));
                Deviation::Rebinds { leg: whose, after, told }
            }
            3 | 4 => {
                let how = [Hold::SendOnly, Hold::Inactive, Hold::Zeroes][at(chance, 3)];
                Deviation::Holds { leg: whose, after, lasts: ms(chance, 50, 1200), how }
            }
            5 => Deviation::Transfers { leg: whose, after, stands: chance.per_mille(600) },
            6 => Deviation::Moves { leg: whose, after, by },
            7 => Deviation::Recodes { leg: whose, after, by },
            8 => Deviation::Asks { leg: whose, after },
            9 => Deviation::Refreshes { leg: whose, after, by },
            10 => Deviation::Expires { leg: whose, after },
            11 => Deviation::ForgedBye {
                leg: whose,
                after,
                by: [Forger::Stranger, Forger::OtherLeg, Forger::Neighbour][at(chance, 3)],
            },
            12 => {
                let packets = u32::try_from(chance.between(1, 30)).unwrap_or(1);
                Deviation::ForgedRtp { leg: whose, after, packets }
            }
            13 => Deviation::Storm { leg: whose },
            14 => Deviation::Garbage { leg: whose, after },
            15 => Deviation::Beside { leg: whose, after },
            16 => Deviation::TalksOn { leg: whose, lasts: ms(chance, 20, 600) },
            17 => {
                if chance.per_mille(500) {
                    Deviation::Silent { leg: whose }
                } else {
                    Deviation::RecordsRoute { leg: whose }
                }
            }
            18 => Deviation::ChallengedBye(status),
            19 => Deviation::Refuses { leg: whose },
            20 => Deviation::AckLate(ms(chance, 200, 3000)),
            21 if chance.per_mille(400) => Deviation::AckNever,
            21 => Deviation::AckLate(ms(chance, 30, 600)),
            22 | 23 => {
                let phones = u8::try_from(chance.between(2, 4)).unwrap_or(2);
                let winner = u8::try_from(chance.below(u64::from(phones))).unwrap_or(0);
                let second = chance.per_mille(300).then_some((winner + 1) % phones);
                Deviation::Forks { phones, winner, second, early: chance.per_mille(500) }
            }
            24 | 25 => Deviation::EarlyMedia { both: chance.per_mille(400) },
            26 => Deviation::Reliable { again: chance.per_mille(500) },
            27 => Deviation::LateOffer,
            28 => Deviation::NoDescription,
            _ => Deviation::Challenge(status),
        };
        self.deviations.push(deviation);
    }
}

impl Deviation {
    /// Returns when it happens, and how long it lasts.
    fn spans(&mut self) -> Vec<&mut Duration> {
        match self {
            Self::Rebinds { after, told: Some(told), .. } => vec![after, told],
            Self::Holds { after, lasts, .. } => vec![after, lasts],
            Self::AckLate(after)
            | Self::Glare { after }
            | Self::NewSource { after, .. }
            | Self::Rebinds { after, told: None, .. }
            | Self::Transfers { after, .. }
            | Self::Moves { after, .. }
            | Self::Recodes { after, .. }
            | Self::Asks { after, .. }
            | Self::Refreshes { after, .. }
            | Self::Expires { after, .. }
            | Self::ForgedBye { after, .. }
            | Self::ForgedRtp { after, .. }
            | Self::Garbage { after, .. }
            | Self::Beside { after, .. }
            | Self::TalksOn { lasts: after, .. } => vec![after],
            Self::AckNever
            | Self::Forks { .. }
            | Self::EarlyMedia { .. }
            | Self::Reliable { .. }
            | Self::LateOffer
            | Self::NoDescription
            | Self::Challenge(_)
            | Self::ChallengedBye(_)
            | Self::Refuses { .. }
            | Self::Storm { .. }
            | Self::Silent { .. }
            | Self::RecordsRoute { .. } => Vec::new(),
        }
    }

    const fn is_of_the_set_up(&self) -> bool {
        matches!(
            self,
            Self::AckLate(_)
                | Self::AckNever
                | Self::Forks { .. }
                | Self::EarlyMedia { .. }
                | Self::Reliable { .. }
                | Self::LateOffer
                | Self::NoDescription
                | Self::Challenge(_)
        )
    }
}

/// What is drawn for a talk that waits for nothing.
const TALKS_AT_MOST: Duration = Duration::from_millis(3001);

fn drawn_speech(chance: &mut Chance) -> [Speech; 2] {
    match chance.below(20) {
        0 => [Speech::G729; 2],
        1 => [Speech::OnlyUlaw, Speech::Ulaw],
        2 => [Speech::Alaw, Speech::OnlyAlaw],
        3 => [Speech::Ulaw, Speech::OnlyAlaw],
        4 => [Speech::Eventless, Speech::Ulaw],
        5 => [Speech::Alaw, Speech::Eventless],
        6..=8 => [Speech::Ulaw, Speech::Alaw],
        9..=11 => [Speech::Alaw, Speech::Ulaw],
        12..=15 => [Speech::Alaw; 2],
        _ => [Speech::Ulaw; 2],
    }
}

fn any_key(chance: &mut Chance) -> char {
    ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#'][at(chance, 12)]
}

fn leg(chance: &mut Chance) -> Leg {
    if chance.per_mille(500) { Leg::Pbx } else { Leg::Trunk }
}

/// A span of so many milliseconds, both ends included; a part of a millisecond goes with each, so that few things happen at once.
fn ms(chance: &mut Chance, from: u64, to: u64) -> Duration {
    let millis = chance.between(from, to.max(from));
    Duration::from_micros(millis * 1000 + millis * 7919 % 1000)
}

fn at(chance: &mut Chance, len: u64) -> usize {
    usize::try_from(chance.below(len)).unwrap_or(0)
}

// ── in words ───────────────────────────────────────────────────────────────────────────────────────────────────────

/// One line that says what the call tries.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "call {}: {} calls, {}", self.number, self.from, self.policy)?;
        match self.outcome {
            Outcome::Answered => {}
            Outcome::Refused(status) => write!(f, ", refused with {status} after {}", Ms(self.rings))?,
            Outcome::Cancelled(after) => write!(f, ", rings {}, cancelled after {}", Ms(self.rings), Ms(after))?,
            Outcome::Unanswered => f.write_str(", nobody answers")?,
        }
        if self.speech != [Speech::Ulaw; 2] {
            let [pbx, trunk] = self.speech;
            write!(f, ", {pbx:?}/{trunk:?}")?;
        }
        for deviation in &self.deviations {
            write!(f, ", {deviation}")?;
        }
        for Press { leg, key, after, by } in &self.presses {
            let by = if *by == PressedBy::Info { " by INFO" } else { "" };
            write!(f, ", {leg} presses {key}{by} at {}", Ms(*after))?;
        }
        if self.outcome == Outcome::Answered {
            write!(f, ", rings {}, talks {}", Ms(self.rings), Ms(self.talks))?;
            match self.ending {
                Ending::HangsUp(leg) => write!(f, ", {leg} hangs up")?,
                Ending::Vanish => f.write_str(", both vanish")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Announce => "announce",
            Self::OptOut => "opt-out",
            Self::OptIn => "opt-in",
            Self::Never => "never recorded",
            Self::None => "no policy",
            Self::HangUp => "opt-in or hang-up",
        })
    }
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |by: By| if by == By::Update { "UPDATE" } else { "re-INVITE" };
        match *self {
            Self::AckLate(after) => write!(f, "ack +{}", Ms(after)),
            Self::AckNever => f.write_str("no ack"),
            Self::Forks { phones, winner, second, early } => {
                write!(f, "{phones} forks of which {winner}")?;
                if let Some(second) = second {
                    write!(f, " and {second}")?;
                }
                f.write_str(" answers")?;
                f.write_str(if early { ", early media from each" } else { "" })
            }
            Self::EarlyMedia { both } => f.write_str(if both { "early media both ways" } else { "early media" }),
            Self::Reliable { again } => f.write_str(if again { "100rel, described again in the 200" } else { "100rel" }),
            Self::LateOffer => f.write_str("offer in the answer"),
            Self::NoDescription => f.write_str("answer without description"),
            Self::Challenge(status) => write!(f, "INVITE challenged with {status}"),
            Self::ChallengedBye(status) => write!(f, "BYE challenged with {status}"),
            Self::Glare { after } => write!(f, "glare at {}", Ms(after)),
            Self::NewSource { leg, after } => write!(f, "{leg}'s SSRC changes at {}", Ms(after)),
            Self::Rebinds { leg, after, told: None } => write!(f, "{leg} rebinds at {}", Ms(after)),
            Self::Rebinds { leg, after, told: Some(told) } => write!(f, "{leg} rebinds at {}, told +{}", Ms(after), Ms(told)),
            Self::Holds { leg, after, lasts, how } => write!(f, "{leg} holds ({how:?}) at {} for {}", Ms(after), Ms(lasts)),
            Self::Transfers { leg, after, stands } => {
                write!(f, "{leg} transfers at {}{}", Ms(after), if stands { "" } else { " in vain" })
            }
            Self::Moves { leg, after, by } => write!(f, "{leg} moves by {} at {}", word(by), Ms(after)),
            Self::Recodes { leg, after, by } => write!(f, "{leg} recodes by {} at {}", word(by), Ms(after)),
            Self::Asks { leg, after } => write!(f, "{leg} asks for an offer at {}", Ms(after)),
            Self::Refreshes { leg, after, by } => write!(f, "{leg} refreshes by {} at {}", word(by), Ms(after)),
            Self::Expires { leg, after } => write!(f, "session expires at {leg} at {}", Ms(after)),
            Self::Refuses { leg } => write!(f, "{leg} refuses new descriptions"),
            Self::ForgedBye { leg, after, by } => write!(f, "{by:?} forges {leg}'s BYE at {}", Ms(after)),
            Self::ForgedRtp { leg, after, packets } => write!(f, "{packets} forged RTP of {leg} at {}", Ms(after)),
            Self::Storm { leg } => write!(f, "{leg} storms"),
            Self::Garbage { leg, after } => write!(f, "garbage from {leg} at {}", Ms(after)),
            Self::Beside { leg, after } => write!(f, "OPTIONS and REGISTER from {leg} at {}", Ms(after)),
            Self::TalksOn { leg, lasts } => write!(f, "{leg} talks on for {}", Ms(lasts)),
            Self::Silent { leg } => write!(f, "{leg} is silent"),
            Self::RecordsRoute { leg } => write!(f, "a proxy of {leg} records the route"),
        }
    }
}

/// A span in milliseconds, or in seconds where it is long.
struct Ms(Duration);

impl fmt::Display for Ms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 >= Duration::from_secs(1) {
            write!(f, "{:.2} s", self.0.as_secs_f64())
        } else {
            write!(f, "{} ms", self.0.as_millis())
        }
    }
}
