//! The consent machine, once for each mode.

use std::sync::Arc;
use std::time::Duration;

use mitschnitt::codec::Codec;
use mitschnitt::consent::{
    By, Clip, Consent, Cut, Fact, How, Mode, Output, Player, Prior, PriorTerms, Refusal, Registered, SentAs, Standing, Terms,
};
use mitschnitt::digit::Digit;
use mitschnitt::ids::{CallId, Leg};
use mitschnitt::time::{Moment, Wall};

use crate::grid::{self, ALL, Grid, Machine, Rows};
use crate::terms::{facts, terms};

use Input::{Another, Begun, CutShort, Early, Ended, Exempt, Key, LateKey, Operator, OtherKey, Revoked, Stands, Time, Told};
use Leg::{Pbx as P, Trunk as T};

#[test]
fn consent_is_as_in_its_table() {
    let asking: &[(&str, &[Input])] =
        &[("asking", &[]), ("P told", &[Told(P)]), ("T told", &[Told(T)]), ("both told", &[Told(P), Told(T)])];
    let decided: &[(&str, &[Input])] = &[("granted", &[Told(P), Told(T), Time]), ("refused", &[Ended])];
    let withdrawn: &[(&str, &[Input])] = &[("withdrawn", &[Told(P), Told(T), Time, Key(T)])];
    let agreed: &[(&str, &[Input])] =
        &[("T agreed", &[Key(T)]), ("P told, T agreed", &[Told(P), Key(T)]), ("T told, T agreed", &[Told(T), Key(T)])];
    let granted_by_key: &[(&str, &[Input])] =
        &[("granted", &[Told(P), Told(T), Key(T)]), ("refused", &[Ended]), ("withdrawn", &[Told(P), Told(T), Key(T), Operator])];
    let one_of_two: &[(&str, &[Input])] = &[
        ("P agreed", &[Key(P)]),
        ("both agreed", &[Key(P), Key(T)]),
        ("P told, P agreed", &[Told(P), Key(P)]),
        ("P told, both agreed", &[Told(P), Key(P), Key(T)]),
        ("T told, P agreed", &[Told(T), Key(P)]),
        ("T told, both agreed", &[Told(T), Key(P), Key(T)]),
        ("both told, P agreed", &[Told(P), Told(T), Key(P)]),
        ("both told, T agreed", &[Told(P), Told(T), Key(T)]),
    ];
    let granted_by_both: &[(&str, &[Input])] = &[
        ("granted", &[Told(P), Told(T), Key(P), Key(T)]),
        ("refused", &[Ended]),
        ("withdrawn", &[Told(P), Told(T), Key(P), Key(T), Operator]),
    ];

    let tables = [
        table(
            "announce: who stays on the line once both were told has consented",
            Mode::Announce,
            [false, true],
            &[
                &asking[..3],
                &[("granted", &[Told(P), Told(T)]), ("refused", &[Ended]), ("withdrawn", &[Told(P), Told(T), Operator])],
            ]
            .concat(),
        ),
        table(
            "opt-out: the trunk's party may refuse by a key, until both were told and the time to answer is over, or later withdraw",
            Mode::OptOut,
            [false, true],
            &[asking, decided, withdrawn].concat(),
        ),
        table(
            "opt-in: the trunk's party must agree by a key",
            Mode::OptIn,
            [false, true],
            &[asking, agreed, granted_by_key].concat(),
        ),
        table(
            "opt-in: both parties must agree by a key",
            Mode::OptIn,
            [true, true],
            &[asking, agreed, one_of_two, granted_by_both].concat(),
        ),
        registered(
            "announce, where the PBX's party is told nothing whose consent stands",
            &[
                ("asking", &[]),
                ("P stands", &[Stands(P)]),
                ("P told", &[Told(P)]),
                ("T told", &[Told(T)]),
                ("P told, P stands", &[Told(P), Stands(P)]),
                ("granted on it", &[Stands(P), Told(T)]),
                ("granted without it", &[Told(P), Told(T)]),
                ("refused", &[Ended]),
                ("withdrawn", &[Stands(P), Told(T), Operator]),
            ],
        ),
    ];

    grid::check("consent", &tables);
}

#[derive(Clone, Copy)]
enum Input {
    /// The announcement to this leg begins.
    Begun(Leg),
    /// It was played to its end.
    Told(Leg),
    /// It was cut for good.
    CutShort(Leg),
    /// The key of the policy, within the time.
    Key(Leg),
    /// Another key.
    OtherKey(Leg),
    /// The key, after the deadline, which nobody has told yet.
    LateKey(Leg),
    /// `TimeCame` before it did.
    Early,
    /// `TimeCame` at the deadline.
    Time,
    /// An operator refuses or withdraws.
    Operator,
    /// The party's consent stands in the register.
    Stands(Leg),
    /// It was revoked.
    Revoked(Leg),
    /// Another party is on the leg.
    Another(Leg),
    /// The party is never recorded.
    Exempt(Leg),
    /// The call is over.
    Ended,
}

fn registered(title: &str, states: &[(&str, &[Input])]) -> String {
    let inputs: &[&[(&str, Input)]] = &[&[
        ("P stands", Stands(P)),
        ("T stands", Stands(T)),
        ("P revoked", Revoked(P)),
        ("P another", Another(P)),
        ("P exempt", Exempt(P)),
        ("P told", Told(P)),
        ("T told", Told(T)),
    ]];
    let probes = [Told(P), Told(T), Revoked(P)];
    let new = || {
        let prior = PriorTerms { registered: [Registered::Untold, Registered::Asked], version: None };
        Asked::on(Terms { must_agree: [true, true], prior, ..terms(Mode::Announce) })
    };
    Grid { title, new: &new, inputs, states, probes: &probes, depth: 3, views: ALL, rows: Rows::All }.table()
}

fn table(title: &str, mode: Mode, must_agree: [bool; 2], states: &[(&str, &[Input])]) -> String {
    let inputs: &[&[(&str, Input)]] = &[
        &[
            ("P begun", Begun(P)),
            ("T begun", Begun(T)),
            ("P told", Told(P)),
            ("T told", Told(T)),
            ("P cut", CutShort(P)),
            ("T cut", CutShort(T)),
            ("operator", Operator),
            ("ended", Ended),
        ],
        &[
            ("P key", Key(P)),
            ("T key", Key(T)),
            ("T other key", OtherKey(T)),
            ("T key, too late", LateKey(T)),
            ("time, too early", Early),
            ("time", Time),
        ],
    ];
    let probes = [Told(P), Told(T), Key(P), Key(T), Time];
    let new = || Asked::new(mode, must_agree);
    Grid { title, new: &new, inputs, states, probes: &probes, depth: 3, views: ALL, rows: Rows::All }.table()
}

/// A call that is asked.
struct Asked {
    consent: Consent,
    now: Moment,
}

impl Asked {
    fn new(mode: Mode, must_agree: [bool; 2]) -> Self {
        Self::on(Terms { must_agree, ..terms(mode) })
    }

    fn on(terms: Terms) -> Self {
        Self { consent: Consent::new(terms, facts(CallId::from_u64(1))), now: Moment::from_millis(1000) }
    }
}

impl Machine for Asked {
    type Input = Input;

    fn feed(&mut self, input: Input) -> Option<Vec<String>> {
        let pressed = |leg, digit| Fact::Pressed(leg, digit, How::KeyByRtp);
        let deadline = self.consent.deadline();
        let fact = match input {
            Begun(leg) => Fact::Begun(leg),
            Told(leg) => {
                let clip = Clip::new(Codec::Pcma, &[1; 160], [0; 32], "de").unwrap();
                let sent = SentAs { ssrc: 1, sequence: 2, timestamp: 3 };
                Fact::Played(Player::new(leg, clip, 20).sent(sent, self.now).expect("the clip has one frame"))
            }
            CutShort(leg) => Fact::Cut(leg, Cut::NotSent),
            Key(leg) => pressed(leg, key('1')),
            OtherKey(leg) => pressed(leg, key('2')),
            LateKey(leg) => {
                self.now = deadline.map_or(self.now, |at| at + Duration::from_micros(1));
                pressed(leg, key('1'))
            }
            Early => Fact::TimeCame,
            Time => {
                self.now = deadline.unwrap_or(self.now);
                Fact::TimeCame
            }
            Stands(leg) => {
                let since = Wall::from_unix_micros(0);
                Fact::Stands(leg, Arc::new(Prior { line: Some(1), since, version: None, reference: None }))
            }
            Revoked(leg) => Fact::StandsNoMore(leg),
            Another(leg) => Fact::Another(leg),
            Exempt(leg) => Fact::Exempt(leg),
            Operator => Fact::OperatorWithdrew,
            Ended => Fact::Ended,
        };
        let word = match self.consent.handle(fact, self.now) {
            None => return Some(Vec::new()),
            Some(Output::Begin(permit)) => {
                assert_eq!(permit.granted(), self.now, "the permit is of the moment it was granted");
                "Begin".into()
            }
            Some(Output::Refuse(refusal)) => match refusal {
                Refusal::Declined(leg) => format!("declined({})", letter(leg)),
                Refusal::Silence(leg) => format!("silence({})", letter(leg)),
                Refusal::Cut(leg, _) => format!("cut({})", letter(leg)),
                Refusal::Exempt(leg) => format!("exempt({})", letter(leg)),
                Refusal::Operator => "operator".into(),
                Refusal::Ended => "ended".into(),
            },
            Some(Output::End(By::Party(leg))) => format!("End({})", letter(leg)),
            Some(Output::End(By::Register(leg))) => format!("End(register {})", letter(leg)),
            Some(Output::End(By::Operator)) => "End(operator)".into(),
        };
        Some(vec![word])
    }

    fn shows(&self) -> String {
        let waits = if self.consent.deadline().is_some() { ", waits" } else { "" };
        match self.consent.standing() {
            Standing::Asking => format!("asking{waits}"),
            standing @ (Standing::Granted(_) | Standing::Refused(_) | Standing::Withdrawn(_)) => {
                format!("{}{waits}", standing.as_str())
            }
        }
    }
}

fn letter(leg: Leg) -> char {
    match leg {
        P => 'P',
        T => 'T',
    }
}

fn key(key: char) -> Digit {
    Digit::from_char(key).unwrap()
}
