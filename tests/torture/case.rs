//! A file of `tests/torture`: what it shows, the verdict for a proxy, and the message in the notation of RFC 4475 §2.

use std::path::Path;

/// One message and what a proxy must do with it.
pub(crate) struct Case {
    /// Its name in the RFC.
    pub(crate) name: String,
    /// The message as it comes.
    pub(crate) message: Vec<u8>,
    keys: Vec<(String, String)>,
}

/// What becomes of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// It goes on.
    Forward,
    /// It is answered with this status and goes no further.
    Refuse(u16),
    /// It is dropped without an answer, and counted under this name.
    Drop(String),
    /// It is used here and goes no further.
    Absorb,
    /// Nothing happens: on a stream the rest may still come.
    Silence,
    /// The connection is closed.
    Close,
}

impl Case {
    /// Reads all files of one RFC, by name.
    #[expect(clippy::disallowed_methods, reason = "a test reads its own files")]
    pub(crate) fn all(rfc: &str) -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torture").join(rfc);
        let mut files: Vec<_> =
            std::fs::read_dir(folder).expect("it has a folder").map(|file| file.expect("a file").path()).collect();
        files.sort();
        let read = |path: &std::path::PathBuf| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            Self::read(name, &String::from_utf8(std::fs::read(path).expect("it can be read")).expect("it is text"))
        };
        files.iter().map(read).collect()
    }

    fn read(name: String, text: &str) -> Self {
        let (head, message) = text.split_once("\n----\n").unwrap_or_else(|| panic!("{name} has no ----"));
        let keys = head.split_once("\n\n").unwrap_or_else(|| panic!("{name} has no empty line")).1;
        let keys = keys.lines().map(|line| line.split_once(": ").unwrap_or_else(|| panic!("{name}: {line}")));
        Self { message: bytes_of(message), keys: keys.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(), name }
    }

    /// Returns what the file says under this key.
    pub(crate) fn key(&self, key: &str) -> Option<&str> {
        self.keys.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// Returns the names of all keys.
    #[allow(dead_code, reason = "each test program uses a part of it")]
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|(key, _)| key.as_str())
    }

    /// Returns the verdicts under the first of these keys that the file has.
    pub(crate) fn verdicts(&self, keys: &[&str]) -> Vec<Verdict> {
        let value = keys.iter().find_map(|key| self.key(key)).unwrap_or_else(|| panic!("{} has none of {keys:?}", self.name));
        // What follows the semicolon is the reason.
        let value = value.split(';').next().unwrap_or_default();
        value.split(", ").map(|verdict| verdict_of(verdict).unwrap_or_else(|| panic!("{}: {verdict}", self.name))).collect()
    }

    /// Returns the one verdict under the first of these keys that the file has.
    pub(crate) fn verdict(&self, keys: &[&str]) -> Verdict {
        match self.verdicts(keys).as_slice() {
            [verdict] => verdict.clone(),
            others => panic!("{} has {others:?}", self.name),
        }
    }

    /// Returns the number that goes on in Max-Forwards.
    pub(crate) fn max_forwards(&self) -> u8 {
        self.key("max-forwards").and_then(|hops| hops.parse().ok()).unwrap_or_else(|| panic!("{} has no max-forwards", self.name))
    }

    /// Whether it is a request.
    pub(crate) fn is_request(&self) -> bool {
        !self.is_response()
    }

    /// Whether it is a response.
    pub(crate) fn is_response(&self) -> bool {
        self.message.starts_with(b"SIP/2.0 ")
    }
}

fn verdict_of(text: &str) -> Option<Verdict> {
    Some(match text.trim().split_once(' ') {
        Some(("refuse", status)) => Verdict::Refuse(status.parse().ok()?),
        Some(("drop", tally)) => Verdict::Drop(tally.to_owned()),
        Some(_) => return None,
        None => match text.trim() {
            "forward" => Verdict::Forward,
            "absorb" => Verdict::Absorb,
            "silence" => Verdict::Silence,
            "close" => Verdict::Close,
            _ => return None,
        },
    })
}

/// The bytes that a text in the RFC's notation stands for: every line ends in CRLF, but between `<allOneLine>` and its end.
fn bytes_of(text: &str) -> Vec<u8> {
    let mut joined = String::new();
    let mut is_one_line = false;
    for line in text.lines() {
        match line {
            "<allOneLine>" => is_one_line = true,
            "</allOneLine>" => {
                is_one_line = false;
                joined.push_str("\r\n");
            }
            _ => {
                joined.push_str(line);
                joined.push_str(if is_one_line { "" } else { "\r\n" });
            }
        }
    }
    expanded(&joined)
}

fn expanded(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    loop {
        let next = [("<hex>", "</hex>"), ("<repeat count=", "</repeat>")]
            .into_iter()
            .filter_map(|(open, close)| rest.find(open).map(|at| (at, open, close)))
            .min();
        let Some((at, open, close)) = next else { break };
        let (before, inside) = (&rest[..at], &rest[at + open.len()..]);
        let (inside, after) = inside.split_once(close).expect("what opens closes");
        out.extend_from_slice(before.as_bytes());
        match inside.split_once('>') {
            Some((count, piece)) => out.extend(piece.repeat(count.parse().expect("a count")).bytes()),
            None => out.extend(
                inside
                    .as_bytes()
                    .chunks(2)
                    .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("digits"), 16).expect("hexadecimal digits")),
            ),
        }
        rest = after;
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

#[test]
fn the_notation_of_the_rfc_is_read() {
    assert_eq!(
        bytes_of("a\n<allOneLine>\nb<hex>00fF</hex>\n c\n</allOneLine>\n<repeat count=3>xy</repeat>z\n\n"),
        b"a\r\nb\x00\xff c\r\nxyxyxyz\r\n\r\n"
    );
}
