//! The life of a call as the table of calls shows it: what leaves to each side, what becomes of the recording, and the ledger's rows.

use mitschnitt::call::Deed;
use mitschnitt::consent::{Cut, Mode, WithoutConsent};
use mitschnitt::ids::Leg::{Pbx as P, Trunk as T};

use crate::grid::{self, Grid, Rows, View};
use crate::parties::Input::{self, *};
use crate::parties::{Parties, Place};

#[test]
fn a_call_is_as_in_its_table() {
    const UP: &[Input] = &[Invite, Answer(200), Ack(P)];
    let after = |way: &[Input], more: &[Input]| [way, more].concat();
    let told = after(UP, &[Played(P), Played(T)]);
    let recording = after(&told, &[Pass(6)]);
    let ways: Vec<(&str, Vec<Input>)> = vec![
        ("no call", vec![]),
        ("called", vec![Invite]),
        ("called, CANCEL", vec![Invite, Cancel]),
        ("ringing", vec![Invite, Answer(180)]),
        ("ringing, early media", vec![Invite, Answer(183)]),
        ("ringing, two forks", vec![Invite, Answer(183), OtherFork(183)]),
        ("cancelled", vec![Invite, Answer(180), Cancel]),
        ("refused by T, no ACK yet", vec![Invite, Answer(486)]),
        ("answered", vec![Invite, Answer(200)]),
        ("answered by two", vec![Invite, Answer(200), OtherFork(200)]),
        ("asking", UP.to_vec()),
        ("asking, both forks up", vec![Invite, Answer(200), OtherFork(200), Ack(P), AckOtherFork]),
        ("both told", told.clone()),
        ("recording", recording.clone()),
        ("refused", after(UP, &[Key(T)])),
        ("withdrawn", after(&recording, &[Key(T)])),
        ("withdrawn by operator", after(&recording, &[Operator(Deed::Withdraw)])),
        ("paused", after(&recording, &[Operator(Deed::Pause)])),
        ("paused, P BYE", after(&recording, &[Operator(Deed::Pause), Bye(P)])),
        ("vault failed", after(&recording, &[VaultFailed(true)])),
        ("asking, P BYE", after(UP, &[Bye(P)])),
        ("both told, P BYE", after(&told, &[Bye(P)])),
        ("recording, P BYE", after(&recording, &[Bye(P)])),
        ("recording, T BYE", after(&recording, &[Bye(T)])),
        ("recording, both BYE", after(&recording, &[Bye(P), Bye(T)])),
        ("recording, P INVITE", after(&recording, &[Reinvite(P, Place::Here)])),
        ("recording, T INVITE", after(&recording, &[Reinvite(T, Place::Here)])),
        ("over", after(&recording, &[Bye(P), Reply(200)])),
    ];
    let states: Vec<(&str, &[Input])> = ways.iter().map(|(name, way)| (*name, way.as_slice())).collect();

    let grid = Grid {
        title: "a call from the PBX (P) to the trunk (T); opt-out: T may refuse by a key for 5 s after both were told",
        new: &|| Parties::new(Mode::OptOut, WithoutConsent::GoOn),
        inputs: INPUTS,
        states: &states,
        probes: PROBES,
        depth: 1,
        views: VIEWS,
        rows: Rows::Some,
    };
    grid::check("call", &[grid.table(), without_consent_it_hangs_up()]);
}

fn without_consent_it_hangs_up() -> String {
    const UP: &[Input] = &[Invite, Answer(200), Ack(P)];
    let after = |more: &[Input]| [UP, more].concat();
    let ways: Vec<(&str, Vec<Input>)> = vec![
        ("asking", UP.to_vec()),
        ("both told", after(&[Played(P), Played(T)])),
        ("both told, T BYE", after(&[Played(P), Played(T), Bye(T)])),
        ("recording", after(&[Played(P), Played(T), Key(T)])),
        ("hung up", after(&[CutShort(T, Cut::NotSent)])),
    ];
    let states: Vec<(&str, &[Input])> = ways.iter().map(|(name, way)| (*name, way.as_slice())).collect();
    Grid {
        title: "a call that is ended where consent is not had; opt-in: T must agree with a key within 5 s",
        new: &|| Parties::new(Mode::OptIn, WithoutConsent::HangUp),
        inputs: &[
            &[
                ("T key", Key(T)),
                ("T not sent", CutShort(T, Cut::NotSent)),
                ("6 s", Pass(6)),
                ("vault failed", VaultFailed(true)),
            ],
            &[
                ("P BYE", Bye(P)),
                ("T BYE", Bye(T)),
                ("200 to it", Reply(200)),
                ("481 to it", Reply(481)),
                ("33 s", Pass(33)),
                ("200 again", Answer(200)),
            ],
        ],
        states: &states,
        probes: &[Reply(200), Pass(6), Key(T), ShutDown],
        depth: 1,
        views: VIEWS,
        rows: Rows::Some,
    }
    .table()
}

const INPUTS: &[&[(&str, Input)]] = &[
    &[
        ("P INVITE (again)", Invite),
        ("180", Answer(180)),
        ("183", Answer(183)),
        ("200", Answer(200)),
        ("200, other fork", OtherFork(200)),
        ("486", Answer(486)),
        ("487", Answer(487)),
    ],
    &[
        ("P CANCEL", Cancel),
        ("P ACK", Ack(P)),
        ("P ACK, other fork", AckOtherFork),
        ("P BYE", Bye(P)),
        ("P BYE again", ByeAgain(P)),
        ("P BYE, other fork", ByeOtherFork),
        ("T BYE", Bye(T)),
    ],
    &[
        ("200 to it", Reply(200)),
        ("407 to it", Reply(407)),
        ("408 to it", Reply(408)),
        ("481 to it", Reply(481)),
        ("stranger's BYE", StrangersBye),
        ("forged BYE", ForgedBye),
    ],
    &[("P re-INVITE", Reinvite(P, Place::Here)), ("T re-INVITE", Reinvite(T, Place::Here)), ("6 s", Pass(6)), ("33 s", Pass(33))],
    &[
        ("200 s", Pass(200)),
        ("P played", Played(P)),
        ("T played", Played(T)),
        ("T not sent", CutShort(T, Cut::NotSent)),
        ("T key", Key(T)),
    ],
    &[("pause", Operator(Deed::Pause)), ("resume", Operator(Deed::Resume)), ("withdraw", Operator(Deed::Withdraw))],
    &[("vault failed", VaultFailed(true)), ("vault failed, no file", VaultFailed(false)), ("shut down", ShutDown)],
];

/// What came before does not count where nothing of it is in these.
const PROBES: &[Input] = &[
    Answer(180),
    Answer(486),
    Ack(P),
    Bye(P),
    Bye(T),
    Reply(200),
    Reply(407),
    Key(T),
    Played(P),
    Played(T),
    Pass(6),
    Pass(33),
    ShutDown,
];

const VIEWS: &[View<'_>] = &[
    View { title: "what is sent, and the next state", shows: |word| word.contains('→'), next: true },
    View {
        title: "what becomes of the recording, and the ledger's rows",
        shows: |word| word.starts_with("row") || word.starts_with(char::is_uppercase) && !word.contains('→'),
        next: false,
    },
    View {
        title: "what the media plane is told, and the ports given back",
        shows: |word| !word.contains('→') && !word.starts_with("row") && word.starts_with(char::is_lowercase),
        next: false,
    },
];
