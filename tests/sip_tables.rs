//! The transaction machines as tables, state × input, against golden files; `UPDATE=1` writes them anew.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may panic, and reads its golden files")]

use std::fmt::{Debug, Write as _};
use std::path::Path;

use mitschnitt::sip::transaction::{Action, Next, invite_client, invite_server, non_invite_client, non_invite_server};

#[test]
fn the_invite_client_machine_is_as_in_its_table() {
    use invite_client::{Input, State};
    let states = [State::Calling { resent: 0 }, State::Proceeding, State::Completed, State::Accepted, State::Terminated];
    let inputs = [
        Input::Provisional,
        Input::Success,
        Input::Failure,
        Input::Unreachable,
        Input::GiveUp,
        Input::A,
        Input::B,
        Input::D,
        Input::M,
    ];
    check("sip_invite_client", State::START, &states, &inputs, State::on);
}

#[test]
fn the_non_invite_client_machine_is_as_in_its_table() {
    use non_invite_client::{Input, State};
    let states = [State::Trying { resent: 0 }, State::Proceeding, State::Completed, State::Terminated];
    let inputs = [Input::Provisional, Input::Final, Input::Unreachable, Input::E, Input::F, Input::K];
    check("sip_non_invite_client", State::START, &states, &inputs, State::on);
}

#[test]
fn the_invite_server_machine_is_as_in_its_table() {
    use invite_server::{Input, State};
    let states = [State::Proceeding, State::Completed { resent: 0 }, State::Confirmed, State::Accepted, State::Terminated];
    let inputs =
        [Input::Request, Input::Ack, Input::Provisional, Input::Success, Input::Failure, Input::G, Input::H, Input::I, Input::L];
    check("sip_invite_server", State::START, &states, &inputs, State::on);
}

#[test]
fn the_non_invite_server_machine_is_as_in_its_table() {
    use non_invite_server::{Input, State};
    let states = [State::Trying, State::Proceeding, State::Completed, State::Terminated];
    let inputs = [Input::Request, Input::Provisional, Input::Final, Input::Silence, Input::J];
    check("sip_non_invite_server", State::START, &states, &inputs, State::on);
}

fn check<S: Debug + Copy, I: Debug + Copy>(name: &str, start: Next<S>, states: &[S], inputs: &[I], on: impl Fn(S, I) -> Next<S>) {
    let mut table = format!("{:<26} {:<12} -> {:<26} {}\n", "state", "input", "state", "actions");
    let mut row = |from: &str, input: &str, (state, actions): Next<S>| {
        let row = format!("{from:<26} {input:<12} -> {:<26} {}", format!("{state:?}"), words(actions));
        writeln!(table, "{}", row.trim_end()).unwrap();
    };
    row("", "start", start);
    for &state in states {
        for &input in inputs {
            row(&format!("{state:?}"), &format!("{input:?}"), on(state, input));
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.table"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(golden == table, "{} differs; `UPDATE=1 cargo test --test sip_tables` writes it anew:\n{table}", path.display());
}

fn words(actions: &[Action]) -> String {
    let words: Vec<String> = actions.iter().map(|action| format!("{action:?}")).collect();
    if words.is_empty() { "-".into() } else { words.join(" ") }
}
