//! The vectors in `tests/vault/vectors/`, and those of version 0 in `tests/vault/version-0/`, read by this crate and by
//! `tests/vault/read.py`: two readers, one verdict, the same records.

#![expect(clippy::disallowed_methods, reason = "the vectors are files beside the tests")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::PathBuf;
use std::process::Command;

use mitschnitt::vault::{
    Kem, NodePublic, OpenError, Recipient, RecipientSecret, Recording, UnwrapErr, Verdict, verify, verify_content,
};
use serde_json::Value;

#[test]
fn both_readers_give_every_vector_its_verdict_and_its_records() {
    let mut records = 0;
    for folder in ["vectors", "version-0"] {
        let theirs = python(folder);
        let vectors = vectors(folder);
        assert_eq!(theirs.len(), vectors.len());
        for (vector, theirs) in vectors.iter().zip(&theirs) {
            let node = NodePublic::from_pem(&vector.read("node")).unwrap();
            let secret = RecipientSecret::from_pem(&vector.read("recipient")).unwrap();
            let key_file = vector.read("key");

            let ours = word(verify(vector.open(), &node));
            let ours_inside = word(verify_content(vector.open(), &key_file, &secret, &node));

            let name = vector.text("name");
            assert_eq!((ours, ours_inside), (vector.text("verify"), vector.text("content")), "{name}");
            for member in ["name", "verify", "content", "records", "records_sha256"] {
                assert_eq!(theirs.get(member).unwrap(), vector.0.get(member).unwrap(), "{name}: {member}");
            }
            let opened =
                Recording::open(vector.open(), &key_file, &secret).map_or(0, |recording| recording.records().flatten().count());
            assert_eq!(vector.0.get("records").unwrap(), opened, "{name}");
            records += opened;
        }
    }
    assert!(records > 900, "the vectors have records in them: {records}");
}

#[test]
fn there_are_sixty_vectors_and_each_names_its_fault() {
    let vectors = vectors("vectors");

    let names: BTreeSet<_> = vectors.iter().map(|vector| vector.text("name")).collect();

    assert!(names.len() == vectors.len() && names.len() >= 60, "{}", names.len());
    for word in ["complete", "salvaged", "cut", "broken", "wrong-key", "other-node"] {
        assert!(vectors.iter().any(|vector| vector.text("content") == word), "one that is {word}");
    }
}

#[test]
fn the_second_readers_x_wing_gives_the_answers_that_are_known() {
    assert_eq!(run(&["known", "x-wing.json"]), "3 known answers\n");
}

#[test]
fn openssl_reads_a_protected_key_of_ours_and_we_read_its() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    let openssl = |arguments: &str| {
        let arguments = arguments.replace("HOME", home.path().to_str().unwrap());
        let output =
            Command::new("openssl").args(arguments.split(' ')).output().expect("openssl is there: apt-get install openssl");
        assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    };
    fs::write(path("passphrase"), "correct horse\n").unwrap();
    let key = RecipientSecret::generate(&mut UnwrapErr(getrandom::SysRng));
    fs::write(path("ours.pem"), key.to_protected_pem(b"correct horse", &mut UnwrapErr(getrandom::SysRng)).unwrap().as_bytes())
        .unwrap();
    let same =
        |name: &str| *RecipientSecret::from_protected_pem(&fs::read(path(name)).unwrap(), b"correct horse").unwrap().public();

    openssl("pkey -in HOME/ours.pem -passin file:HOME/passphrase -out HOME/plain.pem");
    assert_eq!(fs::read(path("plain.pem")).unwrap(), key.to_pem().unwrap().as_bytes());
    for how in [
        "-v2 aes-256-cbc",
        "-v2 aes-256-cbc -v2prf hmacWithSHA256 -iter 600000",
        "-scrypt",
        "-scrypt -scrypt_N 32768 -scrypt_r 4 -scrypt_p 2",
        "-v2 aes-128-cbc",
    ] {
        openssl(&format!("pkcs8 -topk8 -in HOME/plain.pem -passout file:HOME/passphrase -out HOME/theirs.pem {how}"));
        assert_eq!(same("theirs.pem"), *key.public(), "{how}");
    }
    openssl("genpkey -algorithm x25519 -aes-256-cbc -pass file:HOME/passphrase -out HOME/made.pem");
    openssl("pkey -in HOME/made.pem -passin file:HOME/passphrase -pubout -out HOME/made.pub.pem");
    assert_eq!(same("made.pem"), Recipient::from_pem(&fs::read(path("made.pub.pem")).unwrap()).unwrap());
}

#[test]
fn openssl_reads_a_key_of_p_256_of_ours_and_we_read_its() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    let openssl = |arguments: &str| {
        let arguments = arguments.replace("HOME", home.path().to_str().unwrap());
        let output = Command::new("openssl").args(arguments.split(' ')).output().unwrap();
        assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let entropy = || UnwrapErr(getrandom::SysRng);
    let key = RecipientSecret::generate_as(Kem::P256, &mut entropy());
    fs::write(path("ours.pem"), key.to_pem().unwrap().as_bytes()).unwrap();
    fs::write(path("ours.pub.pem"), key.public().to_pem()).unwrap();
    fs::write(path("protected.pem"), key.to_protected_pem(b"correct-horse", &mut entropy()).unwrap().as_bytes()).unwrap();

    assert_eq!(openssl("pkey -in HOME/ours.pem -check"), [b"Key is valid\n", key.to_pem().unwrap().as_bytes()].concat());
    assert_eq!(openssl("pkey -in HOME/protected.pem -passin pass:correct-horse"), key.to_pem().unwrap().as_bytes());
    assert_eq!(openssl("pkey -in HOME/ours.pem -pubout"), key.public().to_pem().as_bytes());
    assert_eq!(openssl("pkey -pubin -in HOME/ours.pub.pem -pubcheck -noout"), b"Key is valid\n");

    openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out HOME/theirs.pem");
    openssl("pkey -in HOME/theirs.pem -pubout -out HOME/theirs.pub.pem");
    let [theirs, public] = ["theirs.pem", "theirs.pub.pem"].map(|name| fs::read(path(name)).unwrap());
    let theirs = RecipientSecret::from_pem(&theirs).unwrap();
    assert_eq!(*theirs.public(), Recipient::from_pem(&public).unwrap());
    assert_eq!(theirs.to_pem().unwrap().as_bytes(), fs::read(path("theirs.pem")).unwrap());
    openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out HOME/other.pem");
    assert!(RecipientSecret::from_pem(&fs::read(path("other.pem")).unwrap()).is_err());
}

/// One entry of a `vectors.json`, and the folder it stands in.
struct Vector(Value, &'static str);

impl Vector {
    fn text(&self, member: &str) -> &str {
        self.0.get(member).and_then(Value::as_str).unwrap()
    }

    fn path(&self, member: &str) -> PathBuf {
        directory().join(self.1).join(self.text(member))
    }

    fn read(&self, member: &str) -> Vec<u8> {
        fs::read(self.path(member)).unwrap()
    }

    fn open(&self) -> BufReader<File> {
        BufReader::new(File::open(self.path("rec")).unwrap())
    }
}

/// What the second reader finds of each vector of a folder.
fn python(folder: &str) -> Vec<Value> {
    run(&["vectors", folder]).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What the second reader says, of something in its own folder.
fn run(arguments: &[&str]) -> String {
    let output = Command::new("python3").current_dir(directory()).arg("read.py").args(arguments).output();
    let output = output.expect("the second reader needs python3: apt-get install python3 python3-cryptography");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        !errors.contains("No module named"),
        "the second reader needs the package cryptography: apt-get install python3-cryptography, or pip install cryptography\n{errors}"
    );
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn vectors(folder: &'static str) -> Vec<Vector> {
    let index = fs::read(directory().join(folder).join("vectors.json")).unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    let vectors = index.get("vectors").and_then(Value::as_array).unwrap().clone();
    vectors.into_iter().map(|vector| Vector(vector, folder)).collect()
}

fn directory() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vault"))
}

fn word(verdict: Result<Verdict, OpenError>) -> &'static str {
    match verdict {
        Ok(verdict) => verdict.as_str(),
        Err(OpenError::Key(_) | OpenError::KeyFile(_)) => "wrong-key",
        Err(OpenError::OtherNode(..)) => "other-node",
        Err(error @ (OpenError::Disk(_) | OpenError::Cut(_) | OpenError::Broken(_))) => panic!("no error of a verdict: {error}"),
    }
}
