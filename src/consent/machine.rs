//! The consent machine of one call: facts in, one permit or one refusal out.

use std::mem;
use std::sync::Arc;

use crate::consent::{ConsentGiven, Cut, Evidence, Facts, How, Mode, Permit, Played, Prior, Registered, Terms};
use crate::digit::Digit;
use crate::ids::Leg;
use crate::sabotage;
use crate::time::Moment;

/// What is told to the machine.
#[derive(Debug)]
pub enum Fact {
    /// The announcement to this leg begins, or begins anew: what the party heard or pressed before counts no more, for it may be another
    /// person, and nobody agrees to a text that was not begun.
    Begun(Leg),
    /// An announcement was played to its end.
    Played(Played),
    /// An announcement was not played to its end, and will not be.
    Cut(Leg, Cut),
    /// A party pressed a key.
    Pressed(Leg, Digit, How),
    /// The party on this leg has agreed before the call.
    Stands(Leg, Arc<Prior>),
    /// What the party on this leg had agreed to before the call stands no more: it was revoked, or its time is over.
    StandsNoMore(Leg),
    /// Another party is on this leg: what the one before it heard, pressed or had agreed to counts no more.
    Another(Leg),
    /// The party on this leg is one that is never recorded.
    Exempt(Leg),
    /// A party says no, or takes its yes back, in another way than by a key: its telephone does (RFC 7866 §7.3.2). It counts from who may do so by
    /// key.
    SaysNo(Leg),
    /// An operator says no, or takes a yes back, for a party.
    OperatorWithdrew,
    /// The deadline was reached.
    TimeCame,
    /// The call is over.
    Ended,
}

/// What the machine decided.
#[derive(Debug)]
pub enum Output {
    /// All that must be had was had: recording may begin. Comes once, if ever.
    Begin(Permit),
    /// The call is not recorded. Comes once, if ever, and never after `Begin`.
    Refuse(Refusal),
    /// Consent was withdrawn: recording ends with this packet. Comes once, only after `Begin`.
    End(By),
}

/// Who withdrew.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum By {
    /// The party on this leg.
    Party(Leg),
    /// The party on this leg, in the register.
    Register(Leg),
    /// An operator, for a party.
    Operator,
}

/// Why a call is not recorded.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Refusal {
    /// The party on this leg pressed a key that says no.
    Declined(Leg),
    /// The party on this leg did not press the agreeing key in time.
    Silence(Leg),
    /// The announcement to this leg did not reach its end.
    Cut(Leg, Cut),
    /// The party on this leg is never recorded.
    Exempt(Leg),
    /// An operator refused for a party.
    Operator,
    /// The call ended before consent was complete.
    Ended,
}

/// Where the question stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// The announcement is played, or the key waited for.
    Asking,
    /// Recording is allowed, from this moment on.
    Granted(Moment),
    /// It is not.
    Refused(Refusal),
    /// It was, until consent was withdrawn.
    Withdrawn(By),
}

impl Standing {
    /// Returns the operator's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asking => "asking",
            Self::Granted(_) => "granted",
            Self::Refused(_) => "refused",
            Self::Withdrawn(_) => "withdrawn",
        }
    }
}

/// The question whether one call may be recorded.
///
/// ```text
///                   all were told, all who must agree agreed
///   Asking ──────────────────────────────────────────────────▶ Granted ──key that says no, operator──▶ Withdrawn
///     │  refusing key · no key in time · announcement cut · operator · end
///     └───────────────────────────────────────────────────────▶ Refused
/// ```
#[derive(Debug)]
pub struct Consent {
    terms: Terms,
    state: State,
}

#[derive(Debug)]
enum State {
    Asking(Box<Asking>),
    Granted(Moment, Box<Settled>),
    Refused(Refusal),
    Withdrawn(By),
}

#[derive(Debug)]
struct Asking {
    facts: Facts,
    played: [Option<Arc<Played>>; 2],
    agreed: [Option<ConsentGiven>; 2],
    stands: [Option<Arc<Prior>>; 2],
    /// When to stop waiting for the key: set once both legs were told.
    until: Option<Moment>,
}

/// What was played and agreed to, of each leg ([`Leg::index`]).
#[derive(Debug)]
struct Settled {
    played: [Option<Arc<Played>>; 2],
    agreed: [Option<ConsentGiven>; 2],
}

/// What a party heard and agreed to in a call that it goes on with in another: with somebody else, who is told and asked then, and it is
/// not once more.
///
/// It counts for the same terms only, and for the party on the same leg. The machine alone makes it.
#[derive(Clone, Debug)]
pub struct Heard {
    terms: Terms,
    played: Arc<Played>,
    agreed: Option<ConsentGiven>,
}

impl Heard {
    /// Returns which leg the party is on.
    #[must_use]
    pub fn leg(&self) -> Leg {
        self.played.leg()
    }

    /// Returns whether it was told and asked on these very terms.
    #[must_use]
    pub fn is_on(&self, terms: &Terms) -> bool {
        self.terms.policy_hash == terms.policy_hash && self.terms.policy == terms.policy && self.terms.language == terms.language
    }
}

impl Consent {
    /// Begins to ask.
    #[must_use]
    pub fn new(terms: Terms, facts: Facts) -> Self {
        let asking = Asking { facts, played: [None, None], agreed: [None, None], stands: [None, None], until: None };
        Self { terms, state: State::Asking(Box::new(asking)) }
    }

    /// Begins to ask where one party was told, and asked, in the call that this one goes on from. Where that was on other terms it counts
    /// for nothing.
    #[must_use]
    pub fn going_on(terms: Terms, facts: Facts, heard: Heard) -> Self {
        let is_on = heard.is_on(&terms);
        let mut consent = Self::new(terms, facts);
        if let (State::Asking(asking), true) = (&mut consent.state, is_on) {
            asking.take_over(heard);
        }
        consent
    }

    /// Returns what the party on this leg heard, to the end, and agreed to; nothing where the question was answered with a no.
    #[must_use]
    pub fn heard(&self, leg: Leg) -> Option<Heard> {
        let (played, agreed) = match &self.state {
            State::Asking(asking) => (&asking.played, &asking.agreed),
            State::Granted(_, settled) => (&settled.played, &settled.agreed),
            State::Refused(_) | State::Withdrawn(_) => return None,
        };
        let played = Arc::clone(of(played, leg).as_ref()?);
        Some(Heard { terms: self.terms.clone(), played, agreed: of(agreed, leg).clone() })
    }

    /// Returns where the question stands.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        match self.state {
            State::Asking(_) => Standing::Asking,
            State::Granted(at, _) => Standing::Granted(at),
            State::Refused(refusal) => Standing::Refused(refusal),
            State::Withdrawn(by) => Standing::Withdrawn(by),
        }
    }

    /// Returns the terms.
    #[must_use]
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Returns when to tell it `TimeCame`.
    #[must_use]
    pub fn deadline(&self) -> Option<Moment> {
        match &self.state {
            State::Asking(asking) => asking.until,
            State::Granted(..) | State::Refused(_) | State::Withdrawn(_) => None,
        }
    }

    /// Takes a fact, and returns what follows from it.
    pub fn handle(&mut self, fact: Fact, now: Moment) -> Option<Output> {
        match (&mut self.state, fact) {
            (State::Asking(asking), Fact::Begun(leg)) => {
                asking.begin(leg);
                None
            }
            (State::Asking(asking), Fact::Played(played)) => {
                asking.tell(played);
                self.decide(now)
            }
            (State::Asking(asking), Fact::Stands(leg, prior)) => {
                if self.terms.registered(leg) == Registered::Asked {
                    return None;
                }
                *of_mut(&mut asking.stands, leg) = Some(prior);
                self.decide(now)
            }
            (State::Asking(asking), Fact::StandsNoMore(leg)) => {
                *of_mut(&mut asking.stands, leg) = None;
                asking.until = None;
                self.decide(now)
            }
            (State::Asking(asking), Fact::Another(leg)) => {
                *of_mut(&mut asking.stands, leg) = None;
                asking.begin(leg);
                None
            }
            (State::Asking(_), Fact::Exempt(leg)) => self.refuse(Refusal::Exempt(leg)),
            (State::Asking(_), Fact::Cut(leg, cut)) => self.refuse(Refusal::Cut(leg, cut)),
            (State::Asking(_), Fact::OperatorWithdrew) => self.refuse(Refusal::Operator),
            (State::Asking(_), Fact::Ended) => self.refuse(Refusal::Ended),
            (State::Asking(asking), Fact::Pressed(leg, digit, how)) => {
                if self.terms.says_no(leg, digit) {
                    return self.refuse(Refusal::Declined(leg));
                }
                if digit != self.terms.key || !self.terms.asks(leg) {
                    return None;
                }
                match self.terms.mode {
                    Mode::Announce | Mode::OptOut => None,
                    Mode::OptIn => {
                        // Pressed while the announcement still runs, it counts once that leg was told to the end: who knows the text
                        // need not wait to press, but nobody's key stands for a text that was cut. After the last moment to agree it
                        // counts no more, even where nobody has told yet that the time came.
                        if asking.until.is_none_or(|until| now <= until) {
                            asking.agree(ConsentGiven { leg, how, at: now, prior: None });
                        }
                        self.decide(now)
                    }
                }
            }
            (State::Asking(_), Fact::SaysNo(leg)) => {
                if self.terms.may_say_no(leg) {
                    self.refuse(Refusal::Declined(leg))
                } else {
                    None
                }
            }
            (State::Granted(..), Fact::SaysNo(leg)) => {
                if self.terms.may_say_no(leg) {
                    self.withdraw(By::Party(leg))
                } else {
                    None
                }
            }
            (State::Asking(_), Fact::TimeCame) => self.decide(now),
            (State::Granted(..), Fact::Pressed(leg, digit, _)) => {
                if self.terms.says_no(leg, digit) {
                    self.withdraw(By::Party(leg))
                } else {
                    None
                }
            }
            (State::Granted(..), Fact::OperatorWithdrew) => self.withdraw(By::Operator),
            (State::Granted(_, settled), Fact::StandsNoMore(leg)) => {
                let stood = of(&settled.agreed, leg).as_ref().is_some_and(|given| given.prior.is_some());
                if stood { self.withdraw(By::Register(leg)) } else { None }
            }
            (State::Granted(..), Fact::Exempt(leg)) => self.withdraw(By::Register(leg)),
            // A late witness, a key that means nothing any more, and the end of a call change no decision.
            (
                State::Granted(..),
                Fact::Begun(_)
                | Fact::Played(_)
                | Fact::Cut(..)
                | Fact::Stands(..)
                | Fact::Another(_)
                | Fact::TimeCame
                | Fact::Ended,
            )
            | (
                State::Refused(_) | State::Withdrawn(_),
                Fact::Begun(_)
                | Fact::Played(_)
                | Fact::Cut(..)
                | Fact::Pressed(..)
                | Fact::SaysNo(_)
                | Fact::Stands(..)
                | Fact::StandsNoMore(_)
                | Fact::Another(_)
                | Fact::Exempt(_)
                | Fact::OperatorWithdrew
                | Fact::TimeCame
                | Fact::Ended,
            ) => None,
        }
    }

    fn decide(&mut self, now: Moment) -> Option<Output> {
        let State::Asking(asking) = &mut self.state else { return None };
        let is_told = |leg| {
            of(&asking.played, leg).is_some()
                || (self.terms.registered(leg) == Registered::Untold && of(&asking.stands, leg).is_some())
        };
        let all_told = Leg::BOTH.into_iter().all(is_told);
        if !all_told && !sabotage::is("store-early") {
            return None;
        }
        if all_told {
            asking.until.get_or_insert(match self.terms.mode {
                Mode::Announce => now,
                Mode::OptOut | Mode::OptIn => now + self.terms.answer,
            });
        }
        let time_came = asking.until.is_some_and(|until| now >= until);
        let silent =
            |leg: &Leg| self.terms.asks(*leg) && of(&asking.agreed, *leg).is_none() && of(&asking.stands, *leg).is_none();
        let silent = Leg::BOTH.into_iter().find(silent);
        match self.terms.mode {
            Mode::Announce => self.grant(How::Stayed, now),
            // Nobody is waited for whose word stands.
            Mode::OptOut if time_came || silent.is_none() => self.grant(How::DidNotRefuse, now),
            Mode::OptOut => None,
            Mode::OptIn => match silent {
                None => self.grant(How::Stayed, now),
                Some(leg) if time_came => self.refuse(Refusal::Silence(leg)),
                Some(_) => None,
            },
        }
    }

    /// Makes the permit. `how` is the way of those who must agree and pressed nothing.
    fn grant(&mut self, how: How, now: Moment) -> Option<Output> {
        let nothing = Box::new(Settled { played: [None, None], agreed: [None, None] });
        let State::Asking(asking) = mem::replace(&mut self.state, State::Granted(now, nothing)) else {
            unreachable!("only `decide` grants, and it does so while asking")
        };
        let Asking { facts, played, mut agreed, stands, until: _ } = *asking;
        for ((leg, given), prior) in Leg::BOTH.into_iter().zip(&mut agreed).zip(stands) {
            let how = match prior.as_ref().map(|prior| prior.line) {
                Some(Some(_)) => How::Registered,
                Some(None) => How::Hook,
                None => how,
            };
            let given_so = ConsentGiven { leg, how, at: now, prior };
            *given = self.terms.asks(leg).then(|| given.take().unwrap_or(given_so));
        }
        let call = facts.call;
        let consents = agreed.iter().flatten().cloned().collect();
        let evidence = Evidence::new(facts, self.terms.clone(), played.iter().flatten().cloned(), consents, now);
        if let State::Granted(_, settled) = &mut self.state {
            **settled = Settled { played, agreed };
        }
        Some(Output::Begin(Permit::new(call, now, evidence)))
    }

    fn refuse(&mut self, refusal: Refusal) -> Option<Output> {
        self.state = State::Refused(refusal);
        Some(Output::Refuse(refusal))
    }

    fn withdraw(&mut self, by: By) -> Option<Output> {
        self.state = State::Withdrawn(by);
        Some(Output::End(by))
    }
}

impl Asking {
    fn tell(&mut self, played: Played) {
        let leg = played.leg();
        let (place, agreed) = (of_mut(&mut self.played, leg), of_mut(&mut self.agreed, leg));
        // The announcement was ordered before its first frame went out: a key in between stands for no text.
        agreed.take_if(|given| given.at < played.range().began);
        *place = Some(Arc::new(played));
    }

    /// Takes over what a party heard and agreed to before.
    fn take_over(&mut self, heard: Heard) {
        let leg = heard.leg();
        (*of_mut(&mut self.played, leg), *of_mut(&mut self.agreed, leg)) = (Some(heard.played), heard.agreed);
    }

    /// Forgets what a party heard and pressed; a key from before its announcement began is forgotten with it.
    fn begin(&mut self, leg: Leg) {
        (*of_mut(&mut self.played, leg), *of_mut(&mut self.agreed, leg)) = (None, None);
        self.until = None;
    }

    fn agree(&mut self, given: ConsentGiven) {
        // The newest: an earlier one may turn out to have come before the announcement.
        let leg = given.leg;
        *of_mut(&mut self.agreed, leg) = Some(given);
    }
}

const fn of<T>([pbx, trunk]: &[T; 2], leg: Leg) -> &T {
    match leg {
        Leg::Pbx => pbx,
        Leg::Trunk => trunk,
    }
}

const fn of_mut<T>([pbx, trunk]: &mut [T; 2], leg: Leg) -> &mut T {
    match leg {
        Leg::Pbx => pbx,
        Leg::Trunk => trunk,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::consent::PriorTerms;
    use crate::consent::evidence::tests::{facts, played, terms};
    use crate::digit::PartyKey;
    use crate::time::Wall;

    const ONE: fn() -> Digit = || Digit::from_char('1').expect("a key");
    const T: Moment = Moment::from_millis(2000);

    fn asked(mode: Mode) -> Consent {
        begun(Consent::new(terms(mode), facts()))
    }

    fn begun(mut consent: Consent) -> Consent {
        for leg in Leg::BOTH {
            assert!(consent.handle(Fact::Begun(leg), T).is_none());
        }
        consent
    }

    #[test]
    fn what_one_party_heard_counts_in_the_call_that_goes_on_and_for_it_alone() {
        let (consent, output) = told(Mode::Announce);
        assert!(matches!(output, Some(Output::Begin(_))));

        let mut next = Consent::going_on(terms(Mode::Announce), facts(), consent.heard(Leg::Trunk).expect("it was told"));

        assert!(next.handle(Fact::Played(played(Leg::Trunk, T)), T).is_none(), "the other is told by nobody's telling it again");
        assert!(matches!(next.handle(Fact::Played(played(Leg::Pbx, T)), T), Some(Output::Begin(_))));
    }

    #[test]
    fn who_was_told_in_the_call_before_need_not_be_told_again() {
        let (consent, _) = told(Mode::Announce);
        let mut next = Consent::going_on(terms(Mode::Announce), facts(), consent.heard(Leg::Trunk).expect("it was told"));

        assert!(matches!(next.handle(Fact::Played(played(Leg::Pbx, T)), T), Some(Output::Begin(_))));
    }

    #[test]
    fn a_party_says_no_without_a_key_where_it_may_by_one() {
        let by_trunk = Digit::from_char('9').map(|key| PartyKey { key, of: [false, true] });
        let with = |mode, withdraw| begun(Consent::new(Terms { withdraw, ..terms(mode) }, facts()));
        let says_no = |mut consent: Consent, leg| consent.handle(Fact::SaysNo(leg), T);

        for (mode, withdraw) in [(Mode::OptIn, by_trunk), (Mode::Announce, by_trunk), (Mode::OptOut, None)] {
            let refused = says_no(with(mode, withdraw), Leg::Trunk);
            assert!(matches!(refused, Some(Output::Refuse(Refusal::Declined(Leg::Trunk)))), "{mode:?}");
            assert!(says_no(with(mode, withdraw), Leg::Pbx).is_none(), "{mode:?}: it is not its to say");
        }
        for mode in [Mode::OptIn, Mode::Announce] {
            assert!(says_no(with(mode, None), Leg::Trunk).is_none(), "{mode:?}: no key withdraws");
        }
    }

    #[test]
    fn what_was_heard_on_other_terms_counts_for_nothing() {
        let (consent, _) = told(Mode::Announce);
        let others = [
            Terms { policy_hash: [9; 32], ..terms(Mode::Announce) },
            Terms { policy: "other".into(), ..terms(Mode::Announce) },
            Terms { language: "xx".into(), ..terms(Mode::Announce) },
        ];
        for terms in others {
            let mut next = Consent::going_on(terms, facts(), consent.heard(Leg::Trunk).expect("it was told"));

            assert!(next.handle(Fact::Played(played(Leg::Pbx, T)), T).is_none());
        }
    }

    #[test]
    fn nothing_is_heard_of_a_party_that_was_not_told_or_said_no() {
        assert!(asked(Mode::OptIn).heard(Leg::Pbx).is_none());
        let (mut consent, _) = told(Mode::OptOut);
        assert!(consent.heard(Leg::Trunk).is_some());
        assert!(consent.handle(Fact::Pressed(Leg::Trunk, ONE(), How::KeyByInfo), T).is_some());
        assert!(consent.heard(Leg::Trunk).is_none() && consent.heard(Leg::Pbx).is_none());
    }

    fn told(mode: Mode) -> (Consent, Option<Output>) {
        let mut consent = asked(mode);
        assert!(consent.handle(Fact::Played(played(Leg::Pbx, T)), T).is_none());
        let output = consent.handle(Fact::Played(played(Leg::Trunk, T)), T);
        (consent, output)
    }

    fn press(consent: &mut Consent, leg: Leg, now: Moment) -> Option<Output> {
        consent.handle(Fact::Pressed(leg, ONE(), How::KeyByRtp), now)
    }

    #[test]
    fn announce_grants_when_both_were_told_and_not_before() {
        let (consent, output) = told(Mode::Announce);

        assert!(matches!(output, Some(Output::Begin(permit)) if permit.granted() == T));
        assert_eq!(consent.standing(), Standing::Granted(T));
    }

    #[test]
    fn where_the_announcement_alone_decides_a_key_neither_hastens_nor_hinders_it() {
        let mut consent = asked(Mode::Announce);
        assert!(consent.handle(Fact::Played(played(Leg::Pbx, T)), T).is_none());

        assert!(press(&mut consent, Leg::Trunk, T).is_none());

        let Some(Output::Begin(permit)) = consent.handle(Fact::Played(played(Leg::Trunk, T)), T) else {
            panic!("both were told")
        };
        let json = String::from_utf8(permit.evidence().to_json()).expect("it is JSON");
        assert!(json.contains(r#""how":"stayed""#) && !json.contains("key-rfc4733"), "{json}");
    }

    #[test]
    fn opt_in_is_granted_by_the_key_of_the_one_who_must_agree() {
        let (mut consent, output) = told(Mode::OptIn);
        assert!(output.is_none());

        assert!(press(&mut consent, Leg::Pbx, T).is_none(), "the employee's key is not the customer's");
        assert!(consent.handle(Fact::Pressed(Leg::Trunk, Digit::from_event(2).expect("a key"), How::KeyByRtp), T).is_none());
        let output = press(&mut consent, Leg::Trunk, T + Duration::from_secs(4));

        assert!(matches!(output, Some(Output::Begin(_))));
    }

    #[test]
    fn a_key_before_the_first_frame_went_out_agrees_to_nothing() {
        let mut consent = asked(Mode::OptIn);
        let began = T + Duration::from_millis(20);
        assert!(press(&mut consent, Leg::Trunk, T).is_none());
        assert!(consent.handle(Fact::Played(played(Leg::Pbx, began)), began).is_none());

        assert!(consent.handle(Fact::Played(played(Leg::Trunk, began)), began).is_none());
        assert!(press(&mut consent, Leg::Trunk, began).is_some(), "pressed again, it does");
    }

    #[test]
    fn silence_is_a_no_in_opt_in() {
        let (mut consent, _) = told(Mode::OptIn);
        let end = consent.deadline().expect("it waits");
        assert_eq!(end, T + Duration::from_secs(5));

        assert!(matches!(consent.handle(Fact::TimeCame, end), Some(Output::Refuse(Refusal::Silence(Leg::Trunk)))));
        assert!(press(&mut consent, Leg::Trunk, end).is_none(), "a key that comes too late changes nothing");
    }

    #[test]
    fn a_key_after_the_last_moment_is_a_no_though_nobody_told_yet_that_the_time_came() {
        let (mut in_time, _) = told(Mode::OptIn);
        let end = in_time.deadline().expect("it waits");
        assert!(matches!(press(&mut in_time, Leg::Trunk, end), Some(Output::Begin(_))), "the last moment is in time");

        let (mut late, _) = told(Mode::OptIn);
        let refused = press(&mut late, Leg::Trunk, end + Duration::from_micros(1));

        assert!(matches!(refused, Some(Output::Refuse(Refusal::Silence(Leg::Trunk)))));
    }

    #[test]
    fn a_key_pressed_during_the_announcement_counts_once_all_were_told() {
        let mut consent = asked(Mode::OptIn);
        assert!(press(&mut consent, Leg::Trunk, T).is_none());
        assert!(consent.handle(Fact::Played(played(Leg::Trunk, T)), T).is_none());

        assert!(matches!(consent.handle(Fact::Played(played(Leg::Pbx, T)), T), Some(Output::Begin(_))));
    }

    #[test]
    fn a_key_pressed_before_the_announcement_began_agrees_to_nothing() {
        let mut consent = Consent::new(terms(Mode::OptIn), facts());
        assert!(press(&mut consent, Leg::Trunk, T).is_none());
        let mut consent = begun(consent);

        assert!(consent.handle(Fact::Played(played(Leg::Trunk, T)), T).is_none());
        assert!(consent.handle(Fact::Played(played(Leg::Pbx, T)), T).is_none());
        assert!(matches!(press(&mut consent, Leg::Trunk, T), Some(Output::Begin(_))));
    }

    #[test]
    fn who_hears_the_announcement_anew_is_asked_anew() {
        let mut consent = asked(Mode::OptIn);
        assert!(press(&mut consent, Leg::Trunk, T).is_none());
        assert!(consent.handle(Fact::Begun(Leg::Trunk), T).is_none());

        assert!(consent.handle(Fact::Played(played(Leg::Trunk, T)), T).is_none());
        assert!(consent.handle(Fact::Played(played(Leg::Pbx, T)), T).is_none());
        let end = consent.deadline().expect("it waits");

        assert!(matches!(consent.handle(Fact::TimeCame, end), Some(Output::Refuse(Refusal::Silence(Leg::Trunk)))));
    }

    #[test]
    fn an_announcement_that_was_cut_is_not_consent_whatever_was_pressed() {
        for mode in [Mode::Announce, Mode::OptOut, Mode::OptIn] {
            let mut consent = asked(mode);
            assert!(consent.handle(Fact::Played(played(Leg::Trunk, T)), T).is_none());

            let refused = consent.handle(Fact::Cut(Leg::Pbx, Cut::Codec), T);

            assert!(matches!(refused, Some(Output::Refuse(Refusal::Cut(Leg::Pbx, Cut::Codec)))), "{mode:?}");
            assert!(press(&mut consent, Leg::Trunk, T).is_none());
            assert!(consent.handle(Fact::Played(played(Leg::Pbx, T)), T).is_none());
            assert!(matches!(consent.standing(), Standing::Refused(_)));
        }
    }

    #[test]
    fn in_announce_and_opt_in_a_key_withdraws_nothing_by_itself() {
        let (mut announce, _) = told(Mode::Announce);
        assert!(press(&mut announce, Leg::Trunk, T).is_none());
        assert_eq!(announce.standing(), Standing::Granted(T));

        let (mut opt_in, _) = told(Mode::OptIn);
        assert!(matches!(press(&mut opt_in, Leg::Trunk, T), Some(Output::Begin(_))));
        assert!(press(&mut opt_in, Leg::Trunk, T).is_none());
        assert_eq!(opt_in.standing(), Standing::Granted(T));
    }

    #[test]
    fn another_key_than_the_refusing_one_withdraws_nothing() {
        let (mut consent, _) = told(Mode::OptOut);
        let begun = consent.handle(Fact::TimeCame, T + Duration::from_secs(5));
        assert!(matches!(begun, Some(Output::Begin(_))));

        assert!(consent.handle(Fact::Pressed(Leg::Trunk, Digit::from_event(2).expect("a key"), How::KeyByRtp), T).is_none());
    }

    #[test]
    fn the_operator_reads_where_the_question_stands() {
        let (mut consent, _) = told(Mode::OptOut);
        assert_eq!(consent.standing().as_str(), "asking");
        assert!(consent.handle(Fact::TimeCame, T + Duration::from_secs(5)).is_some());
        assert_eq!(consent.standing().as_str(), "granted");
        assert!(press(&mut consent, Leg::Trunk, T).is_some());
        assert_eq!(consent.standing().as_str(), "withdrawn");
        let (mut refused, _) = told(Mode::OptOut);
        assert!(press(&mut refused, Leg::Trunk, T).is_some());
        assert_eq!(refused.standing().as_str(), "refused");
    }

    #[test]
    fn who_is_told_anew_does_not_make_the_other_be_told_anew() {
        let mut consent = asked(Mode::Announce);
        assert!(consent.handle(Fact::Played(played(Leg::Pbx, T)), T).is_none());
        assert!(consent.handle(Fact::Begun(Leg::Trunk), T).is_none());

        assert!(matches!(consent.handle(Fact::Played(played(Leg::Trunk, T)), T), Some(Output::Begin(_))));
    }

    #[test]
    fn the_time_to_answer_begins_when_the_last_was_told() {
        let mut consent = asked(Mode::OptIn);
        assert!(consent.handle(Fact::Played(played(Leg::Pbx, T)), T).is_none());
        assert_eq!(consent.deadline(), None, "one of the two still listens");

        let later = T + Duration::from_secs(1);
        assert!(consent.handle(Fact::Played(played(Leg::Trunk, later)), later).is_none());

        assert_eq!(consent.deadline(), Some(later + Duration::from_secs(5)));
    }

    #[test]
    fn opt_out_waits_for_the_key_before_it_records() {
        let (mut consent, output) = told(Mode::OptOut);
        assert!(output.is_none());

        assert!(consent.handle(Fact::TimeCame, T + Duration::from_millis(4999)).is_none());
        assert!(matches!(consent.handle(Fact::TimeCame, T + Duration::from_secs(5)), Some(Output::Begin(_))));
    }

    #[test]
    fn opt_out_is_refused_by_a_key_during_the_announcement() {
        let mut consent = asked(Mode::OptOut);

        assert!(matches!(press(&mut consent, Leg::Trunk, T), Some(Output::Refuse(Refusal::Declined(Leg::Trunk)))));
    }

    #[test]
    fn the_refusing_key_withdraws_once_while_recording() {
        let (mut consent, _) = told(Mode::OptOut);
        let begun = consent.handle(Fact::TimeCame, T + Duration::from_secs(5));
        assert!(matches!(begun, Some(Output::Begin(_))));

        assert!(press(&mut consent, Leg::Pbx, T).is_none());
        assert!(matches!(press(&mut consent, Leg::Trunk, T), Some(Output::End(By::Party(Leg::Trunk)))));
        assert!(press(&mut consent, Leg::Trunk, T).is_none());
    }

    #[test]
    fn an_operator_refuses_for_good_while_it_is_asked_and_withdraws_once_afterwards() {
        for mode in [Mode::Announce, Mode::OptOut, Mode::OptIn] {
            let mut asked = asked(mode);
            assert!(matches!(asked.handle(Fact::OperatorWithdrew, T), Some(Output::Refuse(Refusal::Operator))), "{mode:?}");
            assert!(asked.handle(Fact::Played(played(Leg::Pbx, T)), T).is_none());
            assert!(asked.handle(Fact::Played(played(Leg::Trunk, T)), T).is_none());
            assert!(press(&mut asked, Leg::Trunk, T).is_none());
            assert_eq!(asked.standing(), Standing::Refused(Refusal::Operator), "{mode:?}");
        }
        let (mut granted, _) = told(Mode::Announce);

        assert!(matches!(granted.handle(Fact::OperatorWithdrew, T), Some(Output::End(By::Operator))));
        assert!(granted.handle(Fact::OperatorWithdrew, T).is_none());
        assert_eq!(granted.standing(), Standing::Withdrawn(By::Operator));
    }

    #[test]
    fn both_must_agree_where_the_policy_says_so() {
        let mut consent = begun(Consent::new(Terms { must_agree: [true, true], ..terms(Mode::OptIn) }, facts()));
        assert!(consent.handle(Fact::Played(played(Leg::Pbx, T)), T).is_none());
        assert!(consent.handle(Fact::Played(played(Leg::Trunk, T)), T).is_none());

        assert!(press(&mut consent, Leg::Trunk, T).is_none());
        assert!(matches!(press(&mut consent, Leg::Pbx, T), Some(Output::Begin(_))));
    }

    #[test]
    fn in_every_mode_each_party_that_may_withdraws_by_its_key_once_it_is_recorded() {
        for (mode, leg) in
            [Mode::Announce, Mode::OptOut, Mode::OptIn].into_iter().flat_map(|mode| Leg::BOTH.map(|leg| (mode, leg)))
        {
            let mut consent = recorded(withdrawn_by(mode, [true, true]));

            assert!(
                consent
                    .handle(Fact::Pressed(leg, NINE(), How::KeyBySound), T)
                    .is_some_and(|output| { matches!(output, Output::End(By::Party(of)) if of == leg) })
            );
            assert_eq!(consent.standing(), Standing::Withdrawn(By::Party(leg)));
            assert!(consent.heard(leg).is_none(), "whoever withdrew has agreed to nothing that goes on");
        }
    }

    #[test]
    fn a_key_that_withdraws_means_nothing_from_who_may_not_press_it() {
        let mut consent = recorded(withdrawn_by(Mode::OptIn, [false, true]));

        assert!(consent.handle(Fact::Pressed(Leg::Pbx, NINE(), How::KeyByRtp), T).is_none());
        assert!(press(&mut consent, Leg::Trunk, T).is_none(), "to agree twice is no withdrawal");

        assert_eq!(consent.standing(), Standing::Granted(T));
    }

    #[test]
    fn who_says_no_while_it_is_asked_is_not_asked_on() {
        for mode in [Mode::Announce, Mode::OptOut, Mode::OptIn] {
            let mut consent = begun(Consent::new(withdrawn_by(mode, [true, true]), facts()));

            let output = consent.handle(Fact::Pressed(Leg::Pbx, NINE(), How::KeyByInfo), T);

            assert!(matches!(output, Some(Output::Refuse(Refusal::Declined(Leg::Pbx)))), "{mode:?}");
        }
    }

    const NINE: fn() -> Digit = || Digit::from_char('9').expect("a key");

    fn withdrawn_by(mode: Mode, of: [bool; 2]) -> Terms {
        Terms { withdraw: Some(PartyKey { key: NINE(), of }), ..terms(mode) }
    }

    /// A call that is recorded, whatever its mode.
    fn recorded(terms: Terms) -> Consent {
        let mut consent = begun(Consent::new(terms, facts()));
        for leg in Leg::BOTH {
            consent.handle(Fact::Played(played(leg, T)), T);
        }
        press_to_agree(&mut consent);
        assert!(matches!(consent.standing(), Standing::Granted(_)));
        consent
    }

    fn press_to_agree(consent: &mut Consent) {
        if consent.terms().mode == Mode::OptIn {
            press(consent, Leg::Trunk, T);
        }
        if let Some(at) = consent.deadline() {
            consent.handle(Fact::TimeCame, at);
        }
    }

    #[test]
    fn a_call_that_ends_while_asking_is_not_recorded() {
        let mut consent = asked(Mode::OptIn);

        assert!(matches!(consent.handle(Fact::Ended, T), Some(Output::Refuse(Refusal::Ended))));
    }

    fn prior() -> Arc<Prior> {
        Arc::new(Prior { line: Some(7), since: Wall::from_unix_micros(0), version: None, reference: Some("HR-17".into()) })
    }

    /// Both must agree, and the consent of the PBX's party is worth this.
    fn on(mode: Mode, worth: Registered) -> Terms {
        let prior = PriorTerms { registered: [worth, Registered::Asked], version: None };
        Terms { must_agree: [true, true], prior, ..terms(mode) }
    }

    fn hear(consent: &mut Consent, leg: Leg) -> Option<Output> {
        consent.handle(Fact::Begun(leg), T).or_else(|| consent.handle(Fact::Played(played(leg, T)), T))
    }

    #[test]
    fn whose_consent_stands_need_not_press_and_the_evidence_says_so() {
        let mut consent = Consent::new(on(Mode::OptIn, Registered::Told), facts());
        assert!(consent.handle(Fact::Stands(Leg::Pbx, prior()), T).is_none());
        assert!(hear(&mut consent, Leg::Trunk).is_none());
        assert!(press(&mut consent, Leg::Trunk, T).is_none(), "the other is to be told still");

        let Some(Output::Begin(permit)) = hear(&mut consent, Leg::Pbx) else { panic!("both have agreed") };

        let json: serde_json::Value = serde_json::from_slice(&permit.evidence().to_json()).expect("it is JSON");
        assert_eq!(json["consents"][0]["how"], "registered");
        assert_eq!(json["consents"][0]["registered"]["reference"], "HR-17");
        assert_eq!(json["consents"][1]["how"], "key-rfc4733");
        assert_eq!(json["consents"][1].get("registered"), None);
    }

    #[test]
    fn who_is_told_nothing_waits_for_nobody() {
        for mode in [Mode::Announce, Mode::OptOut, Mode::OptIn] {
            let mut consent = Consent::new(
                Terms {
                    prior: PriorTerms { registered: [Registered::Untold; 2], version: None },
                    ..on(mode, Registered::Untold)
                },
                facts(),
            );
            assert!(consent.handle(Fact::Stands(Leg::Pbx, prior()), T).is_none(), "{mode:?}");
            assert!(matches!(consent.handle(Fact::Stands(Leg::Trunk, prior()), T), Some(Output::Begin(_))), "{mode:?}");
        }
    }

    #[test]
    fn a_consent_counts_for_its_own_party_and_only_where_the_policy_says_so() {
        let mut consent = Consent::new(on(Mode::OptIn, Registered::Untold), facts());
        consent.handle(Fact::Stands(Leg::Pbx, prior()), T);
        assert!(hear(&mut consent, Leg::Trunk).is_none(), "the other has not pressed");
        assert!(matches!(
            consent.handle(Fact::TimeCame, T + terms(Mode::OptIn).answer),
            Some(Output::Refuse(Refusal::Silence(Leg::Trunk)))
        ));

        let mut consent = Consent::new(on(Mode::OptIn, Registered::Asked), facts());
        consent.handle(Fact::Stands(Leg::Pbx, prior()), T);
        assert!(Leg::BOTH.into_iter().all(|leg| hear(&mut consent, leg).is_none()));
        assert!(press(&mut consent, Leg::Trunk, T).is_none(), "it counts for nothing under this policy");
    }

    #[test]
    fn another_party_on_the_leg_has_not_agreed_to_what_the_one_before_had() {
        for gone in [Fact::Another(Leg::Pbx), Fact::StandsNoMore(Leg::Pbx)] {
            let mut consent = Consent::new(on(Mode::OptIn, Registered::Untold), facts());
            consent.handle(Fact::Stands(Leg::Pbx, prior()), T);
            consent.handle(gone, T);

            assert!(hear(&mut consent, Leg::Trunk).is_none());
            assert!(press(&mut consent, Leg::Trunk, T).is_none(), "the one on the other leg is to be told and asked");
            assert!(hear(&mut consent, Leg::Pbx).is_none());
            assert!(matches!(press(&mut consent, Leg::Pbx, T), Some(Output::Begin(_))));
        }
    }

    #[test]
    fn a_revoked_consent_ends_what_stood_on_it_and_nothing_else() {
        let granted = |by_key: bool| {
            let mut consent = Consent::new(on(Mode::OptIn, Registered::Told), facts());
            consent.handle(Fact::Stands(Leg::Pbx, prior()), T);
            for leg in Leg::BOTH {
                hear(&mut consent, leg);
                if by_key || leg == Leg::Trunk {
                    press(&mut consent, leg, T);
                }
            }
            assert!(matches!(consent.standing(), Standing::Granted(_)));
            consent
        };

        assert!(matches!(granted(false).handle(Fact::StandsNoMore(Leg::Pbx), T), Some(Output::End(By::Register(Leg::Pbx)))));
        assert!(granted(false).handle(Fact::StandsNoMore(Leg::Trunk), T).is_none());
    }

    #[test]
    fn who_is_never_recorded_is_not_from_the_moment_that_it_is_known() {
        let mut consent = asked(Mode::OptIn);
        assert!(matches!(consent.handle(Fact::Exempt(Leg::Pbx), T), Some(Output::Refuse(Refusal::Exempt(Leg::Pbx)))));

        let (mut consent, _) = told(Mode::Announce);
        assert!(matches!(consent.handle(Fact::Exempt(Leg::Pbx), T), Some(Output::End(By::Register(Leg::Pbx)))));
        assert!(consent.handle(Fact::Exempt(Leg::Pbx), T).is_none());
    }
}
