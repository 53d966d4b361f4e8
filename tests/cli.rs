//! Transcripts of the command line: what an operator types, and every word that comes back.
//!
//! `tests/cli/*.txt` are the manual's examples and the tests' golden files at once. `UPDATE=1 cargo test --test cli` writes them anew;
//! then read them as somebody would who is woken at three in the morning.
//!
//! ```text
//! What comes before a command says what it is about, and is passed over.
//!
//! $ mitschnitt recordings show 00000000000000c0 --config mitschnitt.toml
//! what it says on standard output, line by line
//! ! error: what it says on standard error
//! ? 5
//! ```
//!
//! The lines that begin with `$` go to `sh`, in a directory of the test's own. What differs from run to run is written as a name in
//! brackets: [`SHAPES`] are all that there are, next to the names of the place itself.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test may panic, and it is the shell that starts, waits, reads and listens"
)]

#[allow(dead_code, reason = "each file of tests uses its part")]
mod support;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use support::child::Running;
use support::phone::{Call, Mouth, Phone, call, every_20_ms, hang_up};
use support::site::{Policy, Site, policy};
use support::sound::write_tone;
use support::{A_WHILE, until};

#[test]
fn check_tells_what_is_meant_or_every_mistake_at_once() {
    Place::office().plays("check");
}

#[test]
fn keys_are_made_once_and_kept() {
    Place::office().plays("keys");
}

#[test]
fn a_recipients_key_is_made_in_a_token_and_follows_the_one_there_is() {
    Place::office().plays("token");
}

#[test]
fn run_says_what_is_missing_and_which_command_makes_it() {
    Place::office().plays("run");
}

#[test]
fn what_is_not_understood_or_not_there_is_said_so() {
    Place::office().plays("usage");
}

#[test]
fn calls_are_listed_their_recordings_verified_and_exported() {
    let site = Site::new(Policy { announcement_ms: 500, answer_s: 4, ..policy("opt-in") });
    site.add("[[retention]]\npurpose = \"quality\"\nlongest = \"90d\"");
    let mut place = Place::of(&site);
    place.plays("calls-down");
    let _proxy = site.start();
    let mut pbx = Phone::new(site.ports.pbx(), site.ports.proxy());
    let mut trunk = Phone::new(site.ports.trunk(), site.ports.proxy());
    let (a, b) = (*site.ports.pbx_media().start(), *site.ports.trunk_media().start());
    let (mut pbx_mouth, mut trunk_mouth) = (Mouth::new(a), Mouth::new(b));

    let agreed = call("agreed", &mut pbx, &mut trunk, a, b);
    // Through the announcement, and into the time for the key.
    every_20_ms(50, |_| pbx_mouth.says(agreed.caller_sends_to, &[0x55; 160]));
    trunk_mouth.presses(agreed.callee_sends_to, 1);
    until("the recording to begin", A_WHILE, || live(&site, |call| call["state"] == "recording"));
    every_20_ms(100, |_| {
        pbx_mouth.says(agreed.caller_sends_to, &[0x55; 160]);
        trunk_mouth.says(agreed.callee_sends_to, &[0xd5; 160]);
    });
    let row = live(&site, |_| true).unwrap();
    place.names(&[(&row["recording"], "ID"), (&row["call"], "CALL")]);
    place.plays("calls-up");
    hang_up(&agreed, &mut pbx, &mut trunk);

    let silent = call("silent", &mut pbx, &mut trunk, a, b);
    let row = until("the time for the key to pass", A_WHILE, || live(&site, |call| call["reason"] == "consent-timeout"));
    place.names(&[(&row["call"], "SILENT")]);
    hang_up(&silent, &mut pbx, &mut trunk);

    let busy = "busyx1";
    pbx.send(&pbx.invite(busy, trunk.at(), &support::phone::sdp(a)));
    let invite = trunk.expect(busy, "INVITE");
    trunk.reply(&invite, "486 Busy Here", "");
    pbx.expect(busy, "SIP/2.0 486");
    let rows = site.ledger(3);
    place.names(&[(&rows[2]["call"], "BUSY")]);
    until("the recording to be sealed", A_WHILE, || (site.ledger(3)[0]["state"] == "sealed").then_some(()));

    place.plays("list");
    place.plays("show");
    place.plays("verify");
    place.plays("export");
    place.plays("play");
    let shown = site.json(&["recordings", "show", rows[0]["recording"].as_str().unwrap()]).remove(0);
    place.names(&[(&shown["accesses"][0]["who"], "WHO")]);
    place.plays("access-log");
    place.plays("audit");
    place.plays("subject");
    place.plays("holds");
    place.plays("roles");
    site.metric_reaches("mitschnitt_glass_broken_total", 1.0);
    site.metric_reaches("mitschnitt_access_denied_total", 1.0);
    place.plays("erase");
    place.plays("cleared");
}

#[test]
fn an_operator_pauses_resumes_and_withdraws_and_drains() {
    let site = Site::new(Policy { announcement_ms: 500, ..policy("announce") });
    let mut place = Place::of(&site);
    let proxy = site.start();
    let mut pbx = Phone::new(site.ports.pbx(), site.ports.proxy());
    let mut trunk = Phone::new(site.ports.trunk(), site.ports.proxy());
    let (a, b) = (*site.ports.pbx_media().start(), *site.ports.trunk_media().start());
    let (mut pbx_mouth, mut trunk_mouth) = (Mouth::new(a), Mouth::new(b));
    let mut talk = |call: &Call, times| {
        every_20_ms(times, |_| {
            pbx_mouth.says(call.caller_sends_to, &[0x55; 160]);
            trunk_mouth.says(call.callee_sends_to, &[0xd5; 160]);
        });
    };

    let made = call("withdrawn", &mut pbx, &mut trunk, a, b);
    talk(&made, 50);
    let row = until("the recording to begin", A_WHILE, || live(&site, |call| call["state"] == "recording"));
    talk(&made, 25);
    place.names(&[(&row["recording"], "ID"), (&row["call"], "CALL")]);
    place.plays("deeds");
    let is_sealed = || (site.json(&["recordings", "list"])[0]["state"] == "sealed").then_some(());
    until("the recording to be sealed", A_WHILE, is_sealed);
    place.plays("withdrawn");
    place.plays("forms");

    place.plays("drain");
    let late = "latex1";
    pbx.send(&pbx.invite(late, trunk.at(), &support::phone::sdp(a)));
    pbx.expect(late, "SIP/2.0 503");
    hang_up(&made, &mut pbx, &mut trunk);
    let ended = proxy.finish(Duration::from_secs(15));
    assert_eq!(ended.status.code(), Some(0), "{}", ended.err);
    assert!(ended.err.contains("deed=\"pause\"") && ended.err.contains("outcome=\"already-paused\""), "{}", ended.err);
    assert_eq!(site.ledger(2)[1]["reason"], "draining");
}

#[test]
fn the_register_of_staff_is_kept_and_calls_go_by_it() {
    let site = Site::new(Policy { announcement_ms: 500, answer_s: 4, ..policy("opt-in") });
    site.set("[[policy]]", "must_agree = [\"remote\", \"local\"]");
    site.set("[[policy]]", "registered_local = \"untold\"");
    let mut place = Place::of(&site);
    let staff =
        "number,version,purposes,from,until,evidence\n100,2026-1,quality,2026-01-01,2036-01-01,HR 17\n101,2026-1,,,,HR 18\n";
    std::fs::write(site.path().join("staff.csv"), staff).unwrap();
    std::fs::write(site.path().join("wrong.csv"), "number,until\n100,soon\n,2027-01-01\n").unwrap();
    let _proxy = site.start();
    let who = site.json(&["staff", "add", "102", "--evidence", "HR 16"]).remove(0);
    assert_eq!((&who["line"], &who["heeded"]), (&1.into(), &true.into()));
    place.names(&[(&site.json(&["staff", "list"])[0]["who"], "WHO")]);
    place.plays("staff");
    let mut pbx = Phone::new(site.ports.pbx(), site.ports.proxy());
    let mut trunk = Phone::new(site.ports.trunk(), site.ports.proxy());
    let (a, b) = (*site.ports.pbx_media().start(), *site.ports.trunk_media().start());
    let mut trunk_mouth = Mouth::new(b);

    // The one on the PBX's side presses nothing.
    let made = call("registered", &mut pbx, &mut trunk, a, b);
    every_20_ms(50, |_| trunk_mouth.says(made.callee_sends_to, &[0xd5; 160]));
    trunk_mouth.presses(made.callee_sends_to, 1);
    let row = until("the recording to begin", A_WHILE, || live(&site, |call| call["state"] == "recording"));
    every_20_ms(50, |_| trunk_mouth.says(made.callee_sends_to, &[0xd5; 160]));
    place.plays("staff-revoked");
    until("the recording to end", A_WHILE, || live(&site, |call| call["reason"] == "withdrawn-in-register"));
    hang_up(&made, &mut pbx, &mut trunk);
    let opened = support::reader::open(&site, row["recording"].as_str().unwrap());
    let evidence: Value = serde_json::from_str(opened.only("evidence")["json"].as_str().unwrap()).unwrap();
    let [local, remote] = [0, 1].map(|at| &evidence["consents"][at]);
    assert_eq!((&local["how"], &local["registered"]["reference"]), (&"registered".into(), &"HR 17".into()), "{evidence}");
    assert_eq!((&local["registered"]["line"], &local["registered"]["version"]), (&2.into(), &"2026-1".into()), "{evidence}");
    assert_eq!(remote["how"], "key-rfc4733", "{evidence}");
    let told: Vec<_> = evidence["announcements"].as_array().unwrap().iter().map(|told| &told["to"]).collect();
    assert_eq!(told, ["trunk"], "{evidence}");

    place.plays("staff-exempt");
    let exempt = call("exempt", &mut pbx, &mut trunk, a, b);
    until("nobody to be asked", A_WHILE, || live(&site, |call| call["reason"] == "exempt"));
    hang_up(&exempt, &mut pbx, &mut trunk);
    assert_eq!(site.ledger(2)[1]["recording"], Value::Null);
    site.cli(&["audit", "verify"]).must_succeed();
}

#[test]
fn a_shape_fits_or_does_not() {
    assert_eq!(fits("% bytes", "12 bytes."), Some(8));
    assert_eq!(fits("#:##", "0:03"), Some(4));
    for (shape, text) in [("% bytes", " bytes"), ("#:##", "0:0x"), ("&&", "fg"), ("##", "1")] {
        assert_eq!(fits(shape, text), None, "{shape} {text}");
    }
}

/// The first call of this moment, if it is so.
fn live(site: &Site, is_so: impl Fn(&Value) -> bool) -> Option<Value> {
    site.json(&["calls", "list"]).into_iter().next().filter(is_so)
}

/// What differs from run to run, and what stands for it: `#` is a digit, `%` are digits, `&` is a hexadecimal digit; the rest is as it is.
/// A length has no brackets: so it is as wide as before, and columns stay what they are.
const SHAPES: [(&str, &str); 46] = [
    ("####-##-##T##:##:##.######Z", "[TIME]"),
    ("####-##-##T##:##:##.###Z", "[TIME]"),
    ("####-##-## ##:##:##", "[TIME]"),
    ("until ####-##-## ##:##:##", "until [TIME]"),
    ("until ####-##-##", "until [DAY]"),
    ("of #:##:##.%", "of h:mm:ss"),
    ("ends at #:##:##.%", "ends at h:mm:ss"),
    ("\"of_s\":%.%", "\"of_s\":[N]"),
    ("#:##:##", "h:mm:ss"),
    ("#:##", "m:ss"),
    ("&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&", "[HASH]"),
    ("&&&&-&&&&-&&&&-&&&&", "[HASH]"),
    ("seq=%", "seq=[N]"),
    ("at_us=%", "at_us=[N]"),
    ("\"seq\":%", "\"seq\":[N]"),
    ("\"signed\":%", "\"signed\":[N]"),
    ("\"events\":%", "\"events\":[N]"),
    ("% events, signed up to event %", "[N] events, signed up to event [N]"),
    ("event % of the ledger's chain", "event [N] of the ledger's chain"),
    ("events % to %", "events [N] to [N]"),
    ("% bytes", "[SIZE] bytes"),
    ("byte %", "byte [N]"),
    ("% chunks", "[N] chunks"),
    ("1 chunk is", "[N] chunks are"),
    ("chunk %", "chunk [N]"),
    ("% packets", "[N] packets"),
    ("% from the", "[N] from the"),
    ("%.% s ", "[N] s "),
    ("\"age_s\":%", "\"age_s\":[N]"),
    ("\"resumes_in_s\":%", "\"resumes_in_s\":[N]"),
    ("\"talked_s\":%.%", "\"talked_s\":[N]"),
    ("\"duration_s\":%.%", "\"duration_s\":[N]"),
    ("\"silence_s\":%.%", "\"silence_s\":[N]"),
    ("\"frames\":%", "\"frames\":[N]"),
    ("\"size_bytes\":%", "\"size_bytes\":[SIZE]"),
    ("\"expected\":%", "\"expected\":[N]"),
    ("\"received\":%", "\"received\":[N]"),
    ("\"jitter_ms\":%.%", "\"jitter_ms\":[N]"),
    ("\"packets\":##}", "\"packets\":[N]}"),
    ("\"worst_jitter_ms\":%.%", "\"worst_jitter_ms\":[N]"),
    ("\"longest_gap_ms\":%.%", "\"longest_gap_ms\":[N]"),
    ("\"mos\":%.%", "\"mos\":[N]"),
    ("jitter %.% ms", "jitter [N] ms"),
    ("jitter % ms", "jitter [N] ms"),
    ("longest gap % ms", "longest gap [N] ms"),
    ("MOS %.%", "MOS [N]"),
];

/// Where commands are typed: a directory, and what is called what in it.
struct Place {
    directory: PathBuf,
    /// What it is, and its name in the transcripts; the commands have it as `$NAME`.
    names: Vec<(String, &'static str)>,
    _own: Option<tempfile::TempDir>,
}

impl Place {
    /// A directory with an announcement and the transcripts' own configurations: `office.toml` is right, `mistakes.toml` is not.
    fn office() -> Self {
        let own = tempfile::Builder::new().prefix("mitschnitt-").tempdir().unwrap();
        let directory = own.path().canonicalize().unwrap();
        for name in ["office.toml", "mistakes.toml"] {
            std::fs::copy(transcripts().join(name), directory.join(name)).unwrap();
        }
        write_tone(&directory.join("announcement.wav"), 1000.0, 1500);
        Self { names: vec![(directory.to_str().unwrap().into(), "PATH")], directory, _own: Some(own) }
    }

    /// An installation, and beside its keys one of somebody who may not listen, and one of another node.
    fn of(site: &Site) -> Self {
        let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vault/vectors");
        for (from, to) in [("stranger.pem", "stranger.secret.pem"), ("other-node.pub.pem", "other-node.pub.pem")] {
            std::fs::copy(vectors.join(from), site.path().join("keys").join(to)).unwrap();
        }
        let directory = site.path().to_owned();
        Self { names: vec![(directory.to_str().unwrap().into(), "PATH")], directory, _own: None }
    }

    /// Takes more names.
    fn names(&mut self, names: &[(&Value, &'static str)]) {
        self.names.extend(names.iter().map(|&(what, name)| (what.as_str().unwrap().to_owned(), name)));
    }

    /// Types the commands of a transcript; panics unless every word comes back.
    fn plays(&self, name: &str) {
        let path = transcripts().join(name).with_extension("txt");
        let expected = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut played = String::new();
        let mut lines = expected.lines();
        while let Some(line) = lines.next() {
            writeln!(played, "{line}").unwrap();
            let Some(command) = line.strip_prefix("$ ") else { continue };
            played += &self.types(command);
            // A new command has no words yet.
            if has_words(&lines) {
                lines.by_ref().find(|line| line.starts_with("? "));
            }
        }
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &played).unwrap();
            return;
        }
        let difference = difference(&expected, &played);
        assert!(
            difference.is_none(),
            "{}, {}; `UPDATE=1 cargo test --test cli` writes it anew. All that was said:\n{played}",
            path.display(),
            difference.unwrap_or_default()
        );
    }

    /// Runs one command; returns what it said and its exit code, as a transcript has it.
    fn types(&self, command: &str) -> String {
        let program = Path::new(env!("CARGO_BIN_EXE_mitschnitt")).parent().unwrap();
        let path = std::env::join_paths([program, Path::new("/usr/bin"), Path::new("/bin")]).unwrap();
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(command).current_dir(&self.directory).env_clear();
        shell.envs(self.names.iter().map(|(what, name)| (name, what))).env("PATH", path).env("LC_ALL", "C");
        let ended = Running::run(command, &mut shell, Duration::from_secs(30));
        let mut said = self.named(&ended.out);
        for line in self.named(&ended.err).lines() {
            said += if line.is_empty() { "!" } else { "! " };
            said += line;
            said.push('\n');
        }
        let code = ended.status.code().map_or_else(|| ended.status.to_string(), |code| code.to_string());
        said + "? " + &code + "\n"
    }

    /// Returns what was said with names for what differs from run to run, and without the spaces at the ends of lines that clap leaves.
    fn named(&self, said: &str) -> String {
        let mut named = String::new();
        let mut rest = said;
        while let Some(next) = rest.chars().next() {
            let begins = !named.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '.');
            let own = self.names.iter().filter(|(what, _)| begins || !what.starts_with(|c: char| c.is_ascii_alphanumeric()));
            let own =
                own.filter(|(what, _)| rest.starts_with(what.as_str())).map(|(what, name)| (what.len(), format!("[{name}]")));
            let shapes = SHAPES.iter().filter(|_| begins);
            let shapes = shapes.filter_map(|(shape, name)| Some((fits(shape, rest)?, (*name).to_owned())));
            let (length, name) = own.chain(shapes).next().unwrap_or_else(|| (next.len_utf8(), next.to_string()));
            let (what, after) = rest.split_at(length);
            named += &name;
            rest = after;
            // A column stays a column.
            if rest.starts_with("  ") {
                named.extend(std::iter::repeat_n(' ', what.chars().count().saturating_sub(name.chars().count())));
            }
        }
        named.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
    }
}

/// Whether the words of the command before these lines follow: they end with an exit code, before the next command.
fn has_words(lines: &std::str::Lines<'_>) -> bool {
    lines.clone().find(|line| line.starts_with("? ") || line.starts_with("$ ")).is_some_and(|line| line.starts_with("? "))
}

/// How long the text is that begins so and has this shape, if it has.
fn fits(shape: &str, text: &str) -> Option<usize> {
    let text = text.as_bytes();
    let digits = |at: usize| text.iter().skip(at).take_while(|byte| byte.is_ascii_digit()).count();
    let mut at = 0;
    for wanted in shape.bytes() {
        let byte = *text.get(at)?;
        let taken = match wanted {
            b'%' => digits(at),
            b'#' => usize::from(byte.is_ascii_digit()),
            b'&' => usize::from(byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)),
            _ => usize::from(byte == wanted),
        };
        if taken == 0 {
            return None;
        }
        at += taken;
    }
    Some(at)
}

/// The first line that is another, of two texts.
fn difference(expected: &str, played: &str) -> Option<String> {
    // Who it was is as long as a name is, and a column as wide as who it was.
    let spaces = |line: &str| line.split("  ").map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("  ");
    let is_same = |one: &str, other: &str| one == other || (expected.contains("[WHO]") && spaces(one) == spaces(other));
    let mut lines = expected.lines().zip(played.lines()).zip(1..);
    let found = lines.find(|((expected, played), _)| !is_same(expected, played));
    if let Some(((expected, played), at)) = found {
        return Some(format!("line {at}, says\n  {expected}\nand here it was\n  {played}\n"));
    }
    let (expected, played) = (expected.lines().count(), played.lines().count());
    (expected != played).then(|| format!("which has {expected} lines, has {played} here"))
}

fn transcripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli")
}
