//! The vectors in `tests/vault/vectors/`, read by this crate and by `tests/vault/read.py`: two readers, one verdict, the same packets.

#![expect(clippy::disallowed_methods, reason = "the vectors are files beside the tests")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs::{self, File};
use std::io::BufReader;
use std::path::PathBuf;
use std::process::{Command, Output};

use mitschnitt::vault::{NodePublic, OpenError, RecipientSecret, Record, Recording, Verdict, verify, verify_content};
use serde_json::Value;
use sha2::{Digest, Sha256};

#[test]
fn both_readers_give_every_vector_its_verdict() {
    for vector in vectors() {
        let node = NodePublic::from_pem(&vector.read("node")).unwrap();
        let secret = RecipientSecret::from_pem(&vector.read("recipient")).unwrap();
        let key_file = vector.read("key");

        let ours = word(verify(vector.open(), &node));
        let ours_inside = word(verify_content(vector.open(), &key_file, &secret, &node));
        let theirs = vector.python("verify", &["--node", "node"]);
        let theirs_inside = vector.python("verify", &["--node", "node", "--keys", "key", "--key", "recipient"]);

        assert_eq!(ours, vector.text("verify"), "{}", vector.text("name"));
        assert_eq!(ours_inside, vector.text("content"), "{}", vector.text("name"));
        assert_eq!(first_word(&theirs), vector.text("verify"), "{}: {theirs:?}", vector.text("name"));
        assert_eq!(first_word(&theirs_inside), vector.text("content"), "{}: {theirs_inside:?}", vector.text("name"));
    }
}

#[test]
fn both_readers_find_the_same_packets() {
    let mut packets = 0;
    for vector in vectors() {
        let secret = RecipientSecret::from_pem(&vector.read("recipient")).unwrap();
        let ours: Vec<_> = Recording::open(vector.open(), &vector.read("key"), &secret)
            .into_iter()
            .flat_map(Recording::records)
            .map_while(Result::ok)
            .filter_map(packet)
            .collect();

        let output = vector.python("open", &["--keys", "key", "--key", "recipient", "--json"]).stdout;

        let theirs: Vec<_> = output.split(|&byte| byte == b'\n').filter_map(packet_of_line).collect();
        assert_eq!(ours, theirs, "{}", vector.text("name"));
        assert_eq!(hex(&Sha256::digest(&output)), vector.text("records_sha256"), "{}", vector.text("name"));
        packets += ours.len();
    }
    assert!(packets > 300, "the vectors have packets in them: {packets}");
}

/// One entry of `vectors.json`.
struct Vector(Value);

impl Vector {
    fn text(&self, member: &str) -> &str {
        self.0.get(member).and_then(Value::as_str).unwrap()
    }

    fn path(&self, member: &str) -> PathBuf {
        directory().join("vectors").join(self.text(member))
    }

    fn read(&self, member: &str) -> Vec<u8> {
        fs::read(self.path(member)).unwrap()
    }

    fn open(&self) -> BufReader<File> {
        BufReader::new(File::open(self.path("rec")).unwrap())
    }

    /// Runs the second reader; an argument that is a member of the entry stands for that file.
    fn python(&self, verb: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new("python3");
        command.arg(directory().join("read.py")).arg(verb).arg(self.path("rec"));
        for argument in arguments {
            if self.0.get(*argument).is_some() {
                command.arg(self.path(argument));
            } else {
                command.arg(argument);
            }
        }
        let output = command.output().expect("the second reader needs python3: apt-get install python3 python3-cryptography");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            !errors.contains("No module named"),
            "the second reader needs the package cryptography: apt-get install python3-cryptography, or pip install cryptography\n{errors}"
        );
        output
    }
}

fn vectors() -> Vec<Vector> {
    let index = fs::read(directory().join("vectors/vectors.json")).unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    index.get("vectors").and_then(Value::as_array).unwrap().iter().cloned().map(Vector).collect()
}

fn directory() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vault"))
}

fn word(verdict: Result<Verdict, OpenError>) -> &'static str {
    match verdict {
        Ok(verdict) => verdict.as_str(),
        Err(OpenError::Key(_) | OpenError::KeyFile(_)) => "wrong-key",
        Err(OpenError::OtherNode(..)) => "other-node",
        Err(error @ (OpenError::Disk(_) | OpenError::Torn(_) | OpenError::Broken(_))) => panic!("no error of a verdict: {error}"),
    }
}

fn first_word(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split(':').next().unwrap_or_default().to_owned()
}

/// Leg, arrival and bytes, as the second reader prints them.
type Packet = (String, u64, String);

fn packet(record: Record) -> Option<Packet> {
    match record {
        Record::Rtp { leg, came, packet } => {
            Some((leg.as_str().to_owned(), u64::try_from(came.as_micros()).unwrap(), hex(&packet)))
        }
        Record::Evidence(_) | Record::Format(_) | Record::Gap(_) | Record::Quality(_) | Record::End(_) | Record::Other { .. } => {
            None
        }
    }
}

fn packet_of_line(line: &[u8]) -> Option<Packet> {
    let line: Value = serde_json::from_slice(line).ok()?;
    let text = |member| line.get(member).and_then(Value::as_str).map(str::to_owned);
    (line.get("record")? == "rtp")
        .then(|| (text("leg").unwrap(), line.get("came_us").and_then(Value::as_u64).unwrap(), text("rtp").unwrap()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
