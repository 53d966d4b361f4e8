//! The second reader of recordings, `tests/vault/read.py`, on what the program wrote.

use std::path::PathBuf;
use std::process::Command;

use mitschnitt::demo::{Call, Sent};
use serde_json::Value;

use super::A_WHILE;
use super::child::{Ended, Running};
use super::pair::sound_sent;
use super::site::Site;

/// A recording, opened by the second reader.
pub(crate) struct Opened {
    /// Every record that opens, in order.
    pub(crate) records: Vec<Value>,
    /// `complete`, `salvaged`, `cut` or `broken`.
    pub(crate) verdict: String,
    /// The exit code: 0, 4, 1, 2 in the same order.
    pub(crate) code: Option<i32>,
}

/// What of a party is in a recording: one run of what its telephone sent, packet for packet.
pub(crate) struct Run {
    /// The sound that the telephone sent.
    pub(crate) sent: Vec<Sent>,
    /// How many packets of it are in the recording.
    pub(crate) recorded: usize,
    /// Which of them is the first.
    pub(crate) begin: usize,
}

impl Run {
    /// What was sent after the last that is in the recording.
    pub(crate) fn missing(&self) -> &[Sent] {
        &self.sent[self.begin + self.recorded..]
    }
}

/// One packet of a recording.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Packet {
    pub(crate) payload_type: u8,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) ssrc: u32,
    pub(crate) payload: Vec<u8>,
}

/// Opens a recording with the recipient's key.
pub(crate) fn open(site: &Site, id: &str) -> Opened {
    let ended = read(site, "open", id, &["--json"]);
    let records =
        ended.out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no line of JSON: {line}"))).collect();
    Opened { records, verdict: first_word(&ended.err), code: ended.status.code() }
}

/// Verifies a recording, its content too; returns the verdict and the exit code.
pub(crate) fn verify(site: &Site, id: &str) -> (String, Option<i32>) {
    let node = site.path().join("keys/node.pub.pem");
    let ended = read(site, "verify", id, &["--node", node.to_str().expect("the test's own directory has a plain name")]);
    (first_word(&ended.out), ended.status.code())
}

impl Opened {
    /// The packets of a leg, `pbx` or `trunk`, in order.
    pub(crate) fn packets(&self, leg: &str) -> Vec<Packet> {
        let packets = self.records.iter().filter(|record| record["record"] == "rtp" && record["leg"] == leg);
        packets.map(|record| Packet::of(record["rtp"].as_str().expect("packets are in hexadecimal"))).collect()
    }

    /// What of a leg is in the recording; panics unless it is one run of what this telephone sent.
    pub(crate) fn run(&self, leg: &str, call: &Call) -> Run {
        let (recorded, sent) = (self.packets(leg), sound_sent(call));
        let begin = run_in(&recorded, &sent, leg);
        Run { sent, recorded: recorded.len(), begin }
    }

    /// The one record of this kind.
    pub(crate) fn only(&self, kind: &str) -> &Value {
        let found: Vec<_> = self.records.iter().filter(|record| record["record"] == kind).collect();
        let [one] = found.as_slice() else { panic!("one record `{kind}` is expected, not {found:?}") };
        one
    }
}

impl Packet {
    fn of(hexadecimal: &str) -> Self {
        let bytes: Vec<u8> = (0..hexadecimal.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hexadecimal[at..at + 2], 16).expect("hexadecimal"))
            .collect();
        assert_eq!(bytes[0], 0x80, "the phones send neither padding nor extensions nor contributing sources");
        let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        Self {
            payload_type: bytes[1] & 0x7f,
            sequence: u16::from_be_bytes([bytes[2], bytes[3]]),
            timestamp: word(4),
            ssrc: word(8),
            payload: bytes[12..].to_vec(),
        }
    }

    /// Whether it is what a phone sent.
    pub(crate) fn is(&self, sent: &Sent) -> bool {
        (self.payload_type, self.sequence, self.timestamp, &*self.payload)
            == (sent.payload_type, sent.sequence, sent.timestamp, &*sent.payload)
    }
}

/// Finds what was recorded in what was sent, panics unless it is one run of it, packet for packet; returns where the run begins.
fn run_in(recorded: &[Packet], sent: &[Sent], whose: &str) -> usize {
    let first = recorded.first().unwrap_or_else(|| panic!("nothing of {whose} is in the recording"));
    let begin = sent.iter().position(|sent| first.is(sent)).unwrap_or_else(|| panic!("{whose} never sent {first:?}"));
    for (nth, packet) in recorded.iter().enumerate() {
        let sent = sent.get(begin + nth).unwrap_or_else(|| panic!("{whose}: packet {nth} was not sent: {packet:?}"));
        assert!(packet.is(sent), "{whose}: packet {nth} of the recording is {packet:?}\nwhere {sent:?} was sent");
        assert_eq!(packet.ssrc, first.ssrc, "{whose} is one source");
    }
    begin
}

fn read(site: &Site, verb: &str, id: &str, words: &[&str]) -> Ended {
    let file = |folder: &str, ending: &str| site.data().join(folder).join(format!("{id}.{ending}"));
    let script = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vault/read.py"));
    let mut command = Command::new("python3");
    command.arg(script).arg(verb).arg(file("recordings", "rec"));
    command.arg("--keys").arg(file("keys", "key")).arg("--key").arg(site.recipient_secret()).args(words);
    let ended = Running::run(&format!("read.py {verb}"), &mut command, A_WHILE);
    assert!(!ended.err.contains("Traceback"), "the second reader needs python3-cryptography, or fails:\n{}", ended.err);
    ended
}

fn first_word(text: &str) -> String {
    text.split(':').next().unwrap_or_default().to_owned()
}
