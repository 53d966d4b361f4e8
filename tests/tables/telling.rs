//! How far the trunk's party was told, and what a description within the call does to it and to a recording.

use mitschnitt::consent::{Cut, Mode, WithoutConsent};
use mitschnitt::ids::Leg::{Pbx as P, Trunk as T};

use crate::grid::{self, Grid, Rows, View};
use crate::parties::Input::{self, *};
use crate::parties::{Parties, Place};

#[test]
fn telling_a_party_is_as_in_its_table() {
    const UP: &[Input] = &[Invite, Answer(200), Ack(P)];
    const AGAIN: Input = CutShort(T, Cut::Moved);
    let up = |more: &[Input]| [UP, more].concat();
    let ways: Vec<(&str, Vec<Input>)> = vec![
        ("playing", up(&[])),
        ("playing, 1st restart", up(&[AGAIN])),
        ("playing, 2nd restart", up(&[AGAIN, AGAIN])),
        ("playing, 3rd restart", up(&[AGAIN, AGAIN, AGAIN])),
        ("given up", up(&[AGAIN, AGAIN, AGAIN, AGAIN])),
        ("waiting, T held", up(&[Moved(T, Place::Held), CutShort(T, Cut::Held)])),
        ("told", up(&[Played(T)])),
        ("told, T held", up(&[Played(T), Moved(T, Place::Held)])),
        ("told, then elsewhere", up(&[Played(T), Moved(T, Place::Elsewhere)])),
        ("recording", up(&[Played(T), Played(P)])),
        ("recording, T held", up(&[Played(T), Played(P), Moved(T, Place::Held)])),
        ("recording, T elsewhere", up(&[Played(T), Played(P), Moved(T, Place::Elsewhere)])),
    ];
    let states: Vec<(&str, &[Input])> = ways.iter().map(|(name, way)| (*name, way.as_slice())).collect();

    let grid = Grid {
        title: "the announcement to the trunk's party (T), and what it offers within the call; announce: recorded once both were told",
        new: &|| Parties::new(Mode::Announce, WithoutConsent::GoOn),
        inputs: &[
            &[
                ("T played", Played(T)),
                ("P played", Played(P)),
                ("T cut: held", CutShort(T, Cut::Held)),
                ("T cut: moved", CutShort(T, Cut::Moved)),
                ("T cut: codec", CutShort(T, Cut::Codec)),
                ("T cut: not sent", CutShort(T, Cut::NotSent)),
            ],
            &[
                ("T offers the same", Moved(T, Place::Here)),
                ("T goes elsewhere", Moved(T, Place::Elsewhere)),
                ("T holds", Moved(T, Place::Held)),
            ],
            &[("T offers G.729 only", Moved(T, Place::OtherCodec)), ("200 of the call again", Answer(200))],
        ],
        states: &states,
        probes: &[CutShort(T, Cut::Moved), Moved(T, Place::Here)],
        depth: 4,
        views: &[View { title: "", shows: |word| !word.contains('→'), next: true }],
        rows: Rows::Some,
    };
    grid::check("telling", &[grid.table()]);
}
