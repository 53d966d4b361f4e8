//! The demo itself: one recorded call between two phones and the real proxy, checked from end to end.

use std::io::{IsTerminal as _, Read as _, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::agent::Event;
use super::checks::{Said, Wav, likeness};
use super::child::{Program, Proxy};
use super::exchange::Exchange;
use super::failed::DemoFailed;
use super::heard::{Stream, find, sound};
use super::ladder::{Ladder, Rung, Side};
use super::offer::Offer;
use super::phone::{Call, Missed, Phone};
use super::stage::{ANNOUNCEMENT, PURPOSE, Stage, song, warm_up};
use crate::codec::Codec;
use crate::sound::Voice;
use crate::sound::g711::decode_ulaw;

/// How the demo comes to the rest of the product: through its doors, as an operator does.
#[derive(Clone, Debug)]
pub struct Doors {
    /// The program.
    pub program: PathBuf,
    /// Whether what is drawn may be coloured.
    pub is_coloured: bool,
}

impl Doors {
    /// Returns the doors of this very program, coloured where standard output is a terminal.
    ///
    /// # Errors
    /// When the system does not say where the program is.
    pub fn of_this_program() -> std::io::Result<Self> {
        Ok(Self { program: std::env::current_exe()?, is_coloured: std::io::stdout().is_terminal() })
    }
}

/// Plays one call in a new directory `out` (or `out-2` and so on), draws its ladder on `term` as it happens, and checks it.
///
/// # Errors
/// At the first step that was not so, with what was expected and what came. The proxy is ended in any case.
pub fn play(out: &Path, doors: Doors, term: &mut dyn Write) -> Result<(), DemoFailed> {
    let begin = Instant::now();
    let (told, lines) = channel();
    std::thread::scope(|scope| {
        let mut ladder = Ladder::new(term, doors.is_coloured);
        let script = scope.spawn(move || script(out, doors.program, &Show { told, begin }));
        // Ends when the script has ended and the phones with it, for they hold the other ends.
        loop {
            let shown = match lines.recv_timeout(Duration::from_millis(100)) {
                Ok(Line::Rung(at, rung)) => ladder.as_mut().map(|ladder| ladder.draw(at, &rung)),
                Ok(Line::Text(text)) => ladder.as_mut().map(|ladder| ladder.text(&text)),
                Err(RecvTimeoutError::Timeout) if !script.is_finished() => continue,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            };
            if let Ok(Err(error)) = shown {
                ladder = Err(error); // Nobody looks any more; the call goes on to its end.
            }
        }
        let outcome = script.join().unwrap_or_else(|_| Err(DemoFailed::step("go on: it has a mistake of its own")));
        outcome?;
        ladder.map(drop).map_err(|error| DemoFailed::step(&format!("write to the terminal ({error})")))
    })
}

enum Line {
    Rung(Duration, Rung),
    Text(String),
}

/// Where the script shows what happens.
struct Show {
    told: Sender<Line>,
    begin: Instant,
}

impl Show {
    // Where nobody draws any more, the call goes on.
    fn rung(&self, rung: Rung) {
        drop(self.told.send(Line::Rung(self.begin.elapsed(), rung)));
    }

    fn note(&self, text: &str) {
        self.rung(Rung::Note(text.to_owned()));
    }

    fn text(&self, text: &str) {
        drop(self.told.send(Line::Text(text.to_owned())));
    }

    fn watch(&self, phone: &Phone, side: Side) {
        let (told, begin) = (self.told.clone(), self.begin);
        phone.watch(move |exchange: &Exchange| {
            let text = format!("{}{}", exchange.summary(), if exchange.is_again { ", again" } else { "" });
            let rung = Rung::Message { side, way: exchange.way, text };
            drop(told.send(Line::Rung(exchange.at.duration_since(begin), rung)));
        });
    }
}

/// The two ends of the call, and when the key went down.
struct Talk {
    pbx: Call,
    carrier: Call,
    key_at: Instant,
}

fn script(out: &Path, program: PathBuf, show: &Show) -> Result<(), DemoFailed> {
    let bind = |name, port| {
        Phone::bind(name, ([127, 0, 0, 1], port).into())
            .map_err(|error| DemoFailed::step(&format!("open the {name}'s port ({error})")))
    };
    let (pbx, carrier) = (bind("pbx", 0)?, bind("carrier", 0)?);
    let stage = Stage::set(out, pbx.addr(), carrier.addr())?;
    let program = Program { path: program, config: stage.config.clone() };
    program.must(&["keys", "generate", "--no-passphrase"], STEP)?;
    let mut proxy = program.start(&stage.directory.join("proxy.log"))?;
    proxy.wait_ready(STEP * 2)?;
    show.watch(&pbx, Side::Pbx);
    show.watch(&carrier, Side::Carrier);

    let talk = talk(&stage, &program, (&pbx, &carrier), show)?;
    let recording = sealed(&program)?;
    show.note("recording sealed");
    finish(&stage, &program, proxy, &talk, &recording, show)
}

/// The call, from the INVITE to the BYE.
fn talk(stage: &Stage, program: &Program, (pbx, carrier): (&Phone, &Phone), show: &Show) -> Result<Talk, DemoFailed> {
    let offer = Offer::of(&[Codec::Pcmu]);
    let to = format!("sip:+4930123456@{}", carrier.addr());
    let from = format!("<sip:+4989765432@{}>", pbx.addr().ip());
    let call = pbx.call_with(stage.proxy, &to, offer.clone(), Some(&from), Vec::new(), None);
    let out = call.map_err(|error| DemoFailed::step(&format!("place the call ({error})")))?;
    let into = carrier.incoming(STEP).map_err(missed("bring the call to the carrier"))?;
    into.ring();
    out.wait(&Event::Progress { status: 180, with_sound: false }, STEP).map_err(missed("let the carrier ring"))?;
    into.accept(&offer).map_err(missed("answer the call"))?;
    out.wait(&Event::Answered, STEP).map_err(missed("answer the call"))?;
    into.wait(&Event::Acknowledged, STEP).map_err(missed("acknowledge the answer"))?;
    let line = |call: &Call| call.line().map_err(missed("speak"));
    let (left, right) = (line(&out)?, line(&into)?);
    left.say(warm_up(Voice::Low));
    right.say(warm_up(Voice::High));

    let seconds = stage.announcement.len() as f32 / 8000.0;
    for (who, line) in [("PBX", &left), ("carrier", &right)] {
        if !line.wait_heard(STEP, |heard| find(&sound(heard, PCMU), &stage.announcement).is_some()) {
            let heard = line.heard();
            let bytes = sound(&heard, PCMU);
            let begun = (1..=10).rev().map(|tenth| stage.announcement.len() * tenth / 10);
            let most =
                begun.into_iter().find(|length| find(&bytes, stage.announcement.get(..*length).unwrap_or_default()).is_some());
            let came = format!("{} packets, and of it {} %", heard.len(), most.unwrap_or(0) * 100 / stage.announcement.len());
            let expected = format!("all {seconds:.1} s of `announcement.wav`, byte for byte");
            return Err(DemoFailed::expected(&format!("play the announcement to the {who}"), &expected, &came));
        }
    }
    show.rung(Rung::ToBoth(format!("RTP: announcement {seconds:.1} s")));
    let key_at = Instant::now();
    show.note("key 1 pressed by the carrier's side");
    if !right.press('1') {
        return Err(DemoFailed::expected("press the key", "7 packets of RFC 4733", "they did not go out"));
    }
    let deadline = Instant::now() + STEP;
    while !is_somewhere(&program.json(&["calls", "list"], STEP)?, "recording") {
        if Instant::now() > deadline {
            return Err(DemoFailed::expected(
                "begin the recording",
                "a call in the state `recording`",
                "none, 5 s after the key",
            ));
        }
    }
    show.note("recording begins");
    left.say(song(Voice::Low));
    right.say(song(Voice::High));
    let lines = [("PBX", &left), ("carrier", &right)].map(|(who, line)| (who, line, line.heard().len() + SONG / 160 + 1));
    for (who, line, enough) in lines {
        if !line.wait_heard(STEP * 2, |heard| heard.len() >= enough) {
            let came = format!("{} of {enough} packets at the {who}", line.heard().len());
            return Err(DemoFailed::expected("carry the talk", "5 s of sound", &came));
        }
    }
    show.rung(Rung::Through("RTP: both sing".to_owned()));
    let status = out.hang_up(STEP).map_err(missed("hang up"))?;
    if status != 200 {
        return Err(DemoFailed::expected("hang up", "200", &status.to_string()));
    }
    into.wait(&Event::Ended, STEP).map_err(missed("hang up"))?;
    Ok(Talk { pbx: out, carrier: into, key_at })
}

/// Waits until the ledger has the recording as sealed, and returns its row.
fn sealed(program: &Program) -> Result<Value, DemoFailed> {
    let deadline = Instant::now() + STEP;
    loop {
        let rows = program.json(&["recordings", "list"], STEP)?;
        if let Some(row) = object_with(&rows, "state", "sealed") {
            return Ok(row.clone());
        }
        if Instant::now() > deadline {
            return Err(DemoFailed::expected("seal the recording", "a recording in the state `sealed`", &rows.to_string()));
        }
    }
}

/// Verifies, exports, compares, and tells what was found.
fn finish(stage: &Stage, program: &Program, proxy: Proxy, talk: &Talk, row: &Value, show: &Show) -> Result<(), DemoFailed> {
    let id = ["recording", "id"].into_iter().find_map(|name| row.get(name)).and_then(Value::as_str);
    let id = id.ok_or_else(|| DemoFailed::expected("read the ledger's row", "the recording's name", &row.to_string()))?;
    let wav = stage.directory.join("call.wav");
    program.must(&["recordings", "verify", id], STEP)?;
    let [wav_path, key_path] = [&wav, &stage.secret_key].map(|path| path.to_string_lossy().into_owned());
    let export = ["recordings", "export", id, "--key", &key_path, "--purpose", PURPOSE, "--format", "wav", "--out", &wav_path];
    program.must(&export, STEP)?;
    let metrics = metrics(stage.metrics)?;
    proxy.end(STEP)?;

    let bytes = std::fs::read(&wav).map_err(|error| DemoFailed::step(&format!("read `{}` ({error})", wav.display())))?;
    let wav_as = |came: &str| DemoFailed::expected("read the exported WAV", "two channels of 16 bits at 8000 Hz", came);
    let exported = Wav::read(&bytes).map_err(|came| wav_as(&came))?;
    let (8000, [left, right]) = (exported.rate, exported.channels.as_slice()) else {
        return Err(wav_as(&format!("{} channel(s) at {} Hz", exported.channels.len(), exported.rate)));
    };
    let mut verified = vec!["the signature and the hashes of the encrypted file (`recordings verify`)".to_owned()];
    for (who, call, channel) in [("left", &talk.pbx, left), ("right", &talk.carrier, right)] {
        let line = call.line().map_err(missed("compare the sound"))?;
        let step = format!("find on the {who} channel what that side said");
        let found = Said::of(&line.sent(), PCMU, decode_ulaw).compare(channel);
        let found = found.map_err(|came| DemoFailed::expected(&step, "the same samples, and silence around them", &came))?;
        if found.samples < SONG {
            let came = format!("{} samples", found.samples);
            return Err(DemoFailed::expected(&step, &format!("{SONG} samples or more"), &came));
        }
        let Some(after) = found.sent_from.checked_duration_since(talk.key_at) else {
            let early = talk.key_at.duration_since(found.sent_from).as_millis();
            return Err(DemoFailed::expected(&step, "nothing from before the key", &format!("sound from {early} ms before it")));
        };
        verified.push(format!(
            "{who} channel: {} samples, each as it was sent; the first was said {} ms after the key",
            found.samples,
            after.as_millis()
        ));
    }
    for (who, call) in [("PBX", &talk.pbx), ("carrier", &talk.carrier)] {
        let line = call.line().map_err(missed("look at the streams"))?;
        let heard = line.heard();
        let stream = Stream::of(&heard, Some(101));
        let from = heard.first().map(|first| first.from);
        if !stream.is_steady() || heard.iter().any(|packet| Some(packet.from) != from) {
            return Err(DemoFailed::expected(
                &format!("send the {who} one steady stream"),
                "1 source, nothing lost",
                &stream.to_string(),
            ));
        }
        verified.push(format!("RTP to the {who}: {stream}"));
    }
    if let Some(line) = metrics.lines().find(|line| line.contains("30123456") || line.contains("89765432")) {
        return Err(DemoFailed::expected("keep the numbers out of /metrics", "none", line));
    }
    verified.push("/metrics: no telephone number in it".to_owned());
    verified.push(announced(stage)?);

    // In the words that an operator reads.
    let shown = program.must(&["recordings", "show", id], STEP)?;
    show.text("\nledger (`recordings show`)");
    for line in shown.stdout.lines() {
        show.text(format!("  {line}").trim_end());
    }
    show.text("\nverified");
    for line in &verified {
        show.text(&format!("  {line}"));
    }
    show.text(&format!("\nlisten (left: the PBX's side, right: the carrier's)\n  {}", wav.display()));
    show.text(&format!("  for example with `ffplay -nodisp -autoexit {0}`, `play {0}` or `aplay {0}`", wav.display()));
    Ok(())
}

/// Compares the bytes that both heard with the file itself, by an ear of the demo's own.
fn announced(stage: &Stage) -> Result<String, DemoFailed> {
    let heard: Vec<i16> = stage.announcement.iter().map(|code| decode_ulaw(*code)).collect();
    let file = Wav::read(ANNOUNCEMENT).map_err(|came| DemoFailed::expected("read the announcement", "16-bit PCM", &came))?;
    let likeness = file.channels.first().map_or(0.0, |file| likeness(&heard, file));
    if likeness < 0.95 {
        let came = format!("a correlation of {likeness:.3}");
        return Err(DemoFailed::expected("announce what the file says", "a correlation of 0.95 or more", &came));
    }
    let length = stage.announcement.len();
    Ok(format!(
        "the announcement: {length} bytes, the same on both sides, and like `announcement.wav` (correlation {likeness:.3})"
    ))
}

/// Asks for `/metrics`, in the words of HTTP/1.0, and returns what it says.
fn metrics(addr: SocketAddr) -> Result<String, DemoFailed> {
    let ask = || {
        let mut connection = TcpStream::connect_timeout(&addr, STEP)?;
        connection.set_read_timeout(Some(STEP))?;
        connection.write_all(format!("GET /metrics HTTP/1.0\r\nHost: {addr}\r\n\r\n").as_bytes())?;
        let mut said = String::new();
        connection.read_to_string(&mut said).map(|_| said)
    };
    let said = ask().map_err(|error: std::io::Error| DemoFailed::step(&format!("read http://{addr}/metrics ({error})")))?;
    let head = said.lines().next().unwrap_or_default();
    let is_so = head.contains(" 200 ") && said.contains("\nmitschnitt_");
    if is_so { Ok(said) } else { Err(DemoFailed::expected("read /metrics", "200 and metrics named `mitschnitt_…`", head)) }
}

fn missed(step: &'static str) -> impl FnOnce(Missed) -> DemoFailed {
    move |missed| {
        let came = format!("{:?} at the {} after {:.1} s", missed.came, missed.phone, missed.waited.as_secs_f32());
        DemoFailed::expected(step, &missed.expected, &came)
    }
}

/// Returns the first object anywhere in `value` whose field `name` is `text`.
fn object_with<'v>(value: &'v Value, name: &str, text: &str) -> Option<&'v Value> {
    match value {
        Value::Object(fields) if fields.get(name).and_then(Value::as_str) == Some(text) => Some(value),
        Value::Object(fields) => fields.values().find_map(|value| object_with(value, name, text)),
        Value::Array(values) => values.iter().find_map(|value| object_with(value, name, text)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn is_somewhere(calls: &Value, state: &str) -> bool {
    object_with(calls, "state", state).is_some()
}

/// How long one step may take. Those that wait for sound may take twice as long.
const STEP: Duration = Duration::from_secs(5);

/// What each sings at least, in samples: 5 s.
const SONG: usize = 40_000;

const PCMU: u8 = 0;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_fails_is_named_with_what_came() {
        let home = tempfile::tempdir().unwrap();
        let doors = Doors { program: "/bin/false".into(), is_coloured: false };

        let failed = play(&home.path().join("demo"), doors, &mut Vec::new()).unwrap_err();

        assert_eq!(
            failed.to_string(),
            "the demo failed to run `mitschnitt keys generate --no-passphrase`\n  expected: exit code 0\n  came:     exit status: 1:"
        );
    }
}
