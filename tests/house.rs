//! The rules of the house that no compiler knows: who may import whom, who may touch the outside, and what is nowhere.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may panic, and this one reads the source"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// Each room and the rooms it may name. A new arrow is a change of design, and a commit of its own.
const ARROWS: [(&str, &[&str]); 19] = [
    ("wire", &[]),
    ("access", &[]),
    ("consent", &[]),
    ("sound", &[]),
    ("tls", &[]),
    ("token", &["vault"]),
    ("keyfolder", &["vault"]),
    ("sip", &["wire"]),
    ("media", &["wire", "consent", "sound"]),
    ("vault", &["consent"]),
    ("export", &["vault", "wire", "sound"]),
    ("call", &["sip", "media", "vault", "consent", "wire"]),
    ("lane", &["call", "media", "vault", "consent"]),
    ("catalogue", &["vault", "access"]),
    ("control", &["call", "catalogue", "vault", "tls", "access"]),
    (
        "node",
        &[
            "wire",
            "consent",
            "sound",
            "sip",
            "media",
            "vault",
            "export",
            "call",
            "lane",
            "catalogue",
            "control",
            "tls",
            "token",
            "keyfolder",
            "access",
        ],
    ),
    ("cli", &["control", "catalogue", "vault", "export", "tls", "token", "keyfolder", "access"]),
    ("demo", &["sound", "control", "export"]),
    ("manual", &[]),
];

/// Files, not rooms: anybody may name them, and they name only each other.
const FLOOR: [&str; 10] = ["time", "ids", "indexed", "private", "limits", "digit", "number", "codec", "network", "sabotage"];

/// The rooms that may touch the outside. All others are told the time, given their chance, and have their bytes brought.
const SHELLS: [&str; 5] = ["node", "cli", "demo", "token", "keyfolder"];

/// What no core may name, as the beginning of a path.
const OUTSIDE: [&str; 10] = [
    "tokio",
    "rustix",
    "std::fs",
    "std::thread",
    "std::process",
    "std::net::UdpSocket",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::time::Instant",
    "std::time::SystemTime",
];

/// Files that may hold `unsafe`: the ring, whose memory the kernel shares; and the allocator by which tests count what is allocated, for
/// none does without.
const UNSAFE: [&str; 2] = ["src/node/ring.rs", "tests/support/heap.rs"];

#[test]
fn each_unsafe_block_of_the_product_says_why_it_is_sound() {
    let word = ["unsa", "fe "].concat();
    for name in UNSAFE.into_iter().filter(|name| name.starts_with("src/")) {
        let text = fs::read_to_string(root().join(name)).expect("it is there");
        let product = text.split("#[cfg(test)]").next().unwrap_or(&text);
        let lines: Vec<&str> = product.lines().collect();
        for (at, line) in
            lines.iter().enumerate().filter(|(_, line)| line.contains(&word) && !line.trim_start().starts_with("//"))
        {
            let before = &lines[at.saturating_sub(4)..at];
            assert!(before.iter().any(|line| line.contains("// SAFETY: ")), "{name}:{}: {line}", at + 1);
        }
    }
}

#[test]
fn rooms_name_only_the_rooms_below_them() {
    let mut wrong = Vec::new();
    for source in sources("src") {
        let Some(room) = source.room() else { continue };
        let is_floor = FLOOR.contains(&room.as_str());
        let may = ARROWS.iter().find(|(name, _)| *name == room).map(|(_, may)| *may);
        if may.is_none() && !is_floor {
            wrong
                .push(format!("{}: `{room}` is neither a room nor the floor; give it its arrows in tests/house.rs", source.name));
            continue;
        }
        for path in source.paths() {
            let Some(other) = path.crate_item(source.depth()) else { continue };
            let is_room = ARROWS.iter().any(|(name, _)| *name == other);
            if is_room && other != room && !may.unwrap_or_default().contains(&other.as_str()) {
                wrong.push(format!("{}:{}: {room} → {other} is no arrow of the house", source.name, path.line));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_core_touches_the_outside() {
    let mut wrong = Vec::new();
    let all: Vec<_> = sources("src").collect();
    // A room's own tests may read their vectors: what stands behind `#[cfg(test)]` is no part of the core.
    let tests: Vec<String> = all.iter().flat_map(Source::test_modules).collect();
    for source in &all {
        let Some(room) = source.room() else { continue };
        if SHELLS.contains(&room.as_str()) || tests.contains(&source.name) {
            continue;
        }
        let tests_begin = source.tests_begin();
        for path in source.paths().into_iter().filter(|path| path.line < tests_begin) {
            let text = path.words.join("::");
            let outside = OUTSIDE
                .iter()
                .find(|begin| text == **begin || text.strip_prefix(**begin).is_some_and(|rest| rest.starts_with("::")));
            if let Some(outside) = outside {
                wrong.push(format!("{}:{}: {room} is a core and names {outside}", source.name, path.line));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_is_unsafe_unfinished_or_ignored() {
    // Put together here, so that this file does not find itself.
    let forbidden = [("todo", "!"), ("unimplemented", "!"), ("#[ig", "nore"), ("unsa", "fe")].map(|(a, b)| format!("{a}{b}"));
    let mut wrong = Vec::new();
    for source in ["src", "tests", "benches", "fuzz/fuzz_targets"].into_iter().flat_map(sources) {
        for (number, line) in (1..).zip(source.code.lines()) {
            for word in &forbidden {
                let is_allowed = word.starts_with("unsa") && UNSAFE.contains(&source.name.as_str());
                if has_word(line, word) && !is_allowed {
                    wrong.push(format!("{}:{number}: {word}", source.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_file_says_first_what_it_is_for() {
    let silent: Vec<_> = sources("src")
        .chain(sources("tests"))
        .filter(|source| !source.text.starts_with("//! "))
        .map(|source| source.name)
        .collect();
    assert_eq!(silent, Vec::<String>::new(), "the first line of a file is `//! …`");
}

#[test]
fn the_readmes_two_commands_are_those_that_ci_runs() {
    let readme = fs::read_to_string(root().join("README.md")).expect("there is a README");
    let ci = fs::read_to_string(root().join(".ci/run")).expect("there is a CI script");
    let shown: Vec<&str> =
        readme.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("sh\n")).flat_map(str::lines).collect();

    for command in ["cargo run --release -- demo", "tests/run.sh"] {
        assert!(shown.contains(&command), "the README shows `{command}` in a block of ```sh");
        assert!(ci.lines().any(|line| line.contains(command)), ".ci/run runs `{command}`");
    }
}

#[test]
fn every_test_that_a_document_names_is_there() {
    let (tests, library): (Vec<_>, Vec<_>) = (sources("tests").collect(), sources("src").collect());
    let mut pages: Vec<_> = ["README.md", "fuzz/README.md"].map(|name| root().join(name)).into();
    collect(&root().join("src/manual"), &mut pages);
    let mut found = 0;
    let mut wrong = Vec::new();
    for page in pages {
        for (target, filter) in shown_tests(&fs::read_to_string(&page).expect("the page is there")) {
            found += 1;
            let is_there = match &target {
                Some(target) => tests.iter().any(|source| source.is_of_test(target) && source.has_test(&filter)),
                None => library.iter().any(|source| source.has_test(&filter)),
            };
            if !is_there {
                wrong.push(format!("{}: no test of {target:?} has `{filter}` in its name", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(found >= 30, "the promises are found: {found}");
}

#[test]
fn every_metric_that_a_document_names_is_there() {
    let metrics = fs::read_to_string(root().join("src/node/metrics.rs")).expect("there are metrics");
    let mut pages: Vec<_> = vec![root().join("README.md"), root().join("src/limits.rs")];
    collect(&root().join("src/manual"), &mut pages);
    let mut found = 0;
    let mut wrong = Vec::new();
    for page in pages {
        let text = fs::read_to_string(&page).expect("the page is there");
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| word.starts_with("mitschnitt_"));
        for word in words {
            found += 1;
            // Prometheus makes these of a histogram's name.
            let name = ["_bucket", "_count", "_sum"].into_iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word);
            if !metrics.contains(&format!("\"{name}\"")) {
                wrong.push(format!("{}: there is no metric {name}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(found >= 20, "the alerts' metrics are found: {found}");
}

#[test]
fn the_tests_that_a_document_names_are_found_however_they_are_written() {
    let page = "| a | `cargo test --test one`, `--test two name_of` (three) | `cargo test --lib vault::writer` |\n\
                ```sh\nSEED=17 cargo test --release --test sim every -- --nocapture # --test no\n```\n`cargo test` runs --test all";

    let found = shown_tests(page);

    let test = |target: &str, filter: &str| (Some(target.to_owned()), filter.to_owned());
    assert_eq!(found, [test("one", ""), test("two", "name_of"), (None, "vault::writer".into()), test("sim", "every")]);
    let source = Source::new("tests/two.rs", "#[test]\n#[cfg(unix)]\nfn a_name_of_it() {}\nfn a_helper() {}");
    assert!(source.is_of_test("two") && source.has_test("name_of") && !source.has_test("helper") && !source.is_of_test("tw"));
    let module = |name: &str| Source::new(name, "").module();
    assert_eq!([module("src/vault/writer.rs"), module("src/vault/mod.rs")], ["vault::writer", "vault"]);
    assert_eq!([module("tests/calls.rs"), module("tests/calls/secured.rs"), module("tests/sim/main.rs")], ["", "secured", ""]);
    let source = Source::new("src/vault/writer.rs", "#[test]\nfn a_name() {}");
    assert!(source.has_test("vault::writer") && source.has_test("writer::a_n") && !source.has_test("keys"));
    assert!(!Source::new("src/vault/writer.rs", "").has_test("vault"), "a module without a test");
}

#[test]
fn paths_are_found_however_they_are_written() {
    let source = Source::new(
        "src/sip/a.rs",
        "use crate::{vault::{self, open::X}, time}; use std::{fs, net::{IpAddr, UdpSocket}};\n\
         // crate::comment\n/* crate::block /* crate::nested */ */ /// [`crate::doc`]\n\
         fn f(_: crate::media::Y<'_>) { g(\"crate::string\", r#\"crate::\"raw\"#, '\"', b'\\'', super::super::wire::Z) }\n",
    );

    let found: Vec<_> = source.paths().iter().filter_map(|path| path.crate_item(source.depth())).collect();

    assert_eq!(found, ["vault", "vault", "time", "media", "wire"]);
    let texts: Vec<_> = source.paths().into_iter().map(|path| path.words.join("::")).collect();
    assert!(texts.contains(&"std::net::UdpSocket".into()) && texts.contains(&"std::fs".into()), "{texts:?}");
}

/// One file of the tree.
struct Source {
    name: String,
    text: String,
    /// The text, comments and literals blanked out.
    code: String,
}

/// A path as it stands in the code, the braces of a `use` resolved.
#[derive(Debug)]
struct Named {
    words: Vec<String>,
    line: usize,
}

impl Source {
    fn new(name: &str, text: &str) -> Self {
        Self { name: name.into(), text: text.into(), code: without_comments_and_literals(text) }
    }

    /// The room or floor file it belongs to; the front page and the doors belong to none.
    fn room(&self) -> Option<String> {
        let inside = self.name.strip_prefix("src/")?;
        let room = inside.split('/').next()?.trim_end_matches(".rs");
        (!["lib", "main"].contains(&room)).then(|| room.to_owned())
    }

    /// How many modules it lies below the crate: `src/sip/mod.rs` 1, `src/sip/route.rs` 2.
    fn depth(&self) -> usize {
        let parts = self.name.trim_start_matches("src/").trim_end_matches(".rs").split('/');
        parts.filter(|part| *part != "mod").count()
    }

    /// The files that are modules for tests only: those behind `#[cfg(test)] mod name;`.
    fn test_modules(&self) -> Vec<String> {
        let directory = self.name.strip_suffix("mod.rs").map_or_else(|| self.name.replace(".rs", "/"), str::to_owned);
        let lines: Vec<_> = self.code.lines().map(str::trim).collect();
        let modules = lines
            .windows(2)
            .filter(|two| two[0] == "#[cfg(test)]")
            .filter_map(|two| two[1].strip_suffix(';')?.rsplit_once("mod "));
        modules.map(|(_, name)| format!("{directory}{name}.rs")).collect()
    }

    /// The line of `#[cfg(test)]` before the tests, which stand last in a file.
    fn tests_begin(&self) -> usize {
        let lines: Vec<_> = self.code.lines().map(str::trim).collect();
        let begin = lines.windows(2).position(|two| two[0] == "#[cfg(test)]" && two[1].contains("mod ") && two[1].ends_with('{'));
        // An attribute for the lints may stand between.
        let with_lints = lines
            .windows(3)
            .position(|three| three[0] == "#[cfg(test)]" && three[1].starts_with("#[") && three[2].contains("mod "));
        begin.into_iter().chain(with_lints).min().map_or(usize::MAX, |at| at + 1)
    }

    /// The module that it is, without its crate, which is `src` or one target among the tests: `vault::writer`.
    fn module(&self) -> String {
        let in_tests = || self.name.strip_prefix("tests/").map(|inside| inside.split_once('/').map_or("", |(_, inside)| inside));
        let inside = self.name.strip_prefix("src/").or_else(in_tests).unwrap_or(&self.name);
        let inside = inside.trim_end_matches(".rs").trim_end_matches("/mod");
        if inside == "main" { String::new() } else { inside.replace('/', "::") }
    }

    /// Whether it belongs to this target among the tests, `tests/sim.rs` or anything in `tests/sim`.
    fn is_of_test(&self, target: &str) -> bool {
        let rest = self.name.strip_prefix("tests/").and_then(|inside| inside.strip_prefix(target));
        rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
    }

    /// Whether a test in it has this in its name, of which its module is the beginning.
    fn has_test(&self, part: &str) -> bool {
        let module = self.module();
        let mut is_test = false;
        self.code.lines().map(str::trim).any(|line| {
            is_test |= line == "#[test]";
            let Some(name) = line.strip_prefix("fn ").filter(|_| is_test) else { return false };
            is_test = false;
            name.split('(').next().is_some_and(|name| format!("{module}::{name}").contains(part))
        })
    }

    fn paths(&self) -> Vec<Named> {
        let tokens = tokens(&self.code);
        let mut found = Vec::new();
        let mut at = 0;
        while at < tokens.len() {
            let follows_a_path = at > 0 && tokens[at - 1].0 == "::";
            if is_word(tokens[at].0) && !follows_a_path {
                at = walk(&tokens, at, &mut Vec::new(), &mut found);
            } else {
                at += 1;
            }
        }
        found
    }
}

impl Named {
    /// The item of the crate's root that it goes through, if it goes through the root.
    fn crate_item(&self, depth: usize) -> Option<String> {
        match self.words.first()?.as_str() {
            "crate" => self.words.get(1).cloned(),
            "super" => {
                let ups = self.words.iter().take_while(|word| *word == "super").count();
                // In a `mod tests` one `super` more stays inside the file; that one is not counted, so that no arrow is missed.
                (ups >= depth).then(|| self.words.get(ups).cloned()).flatten()
            }
            _ => None,
        }
    }
}

/// The tests that a page shows commands for: the target, none for the library, and what the name of the test has in it.
fn shown_tests(page: &str) -> Vec<(Option<String>, String)> {
    // Between backticks is what is typed: every second piece, of one or of three.
    let typed = page.split('`').enumerate().filter(|(nth, _)| nth % 2 == 1).flat_map(|(_, piece)| piece.lines());
    let mut found = Vec::new();
    for line in typed {
        let words: Vec<_> = line.split_whitespace().take_while(|word| *word != "#" && *word != "--").collect();
        for (at, word) in words.iter().enumerate() {
            let target = match *word {
                "--test" => words.get(at + 1).map(|target| Some((*target).to_owned())),
                "--lib" => Some(None),
                _ => None,
            };
            let Some(target) = target else { continue };
            let filter = words.get(at + 1 + usize::from(target.is_some())).filter(|word| !word.starts_with('-'));
            found.push((target, filter.copied().unwrap_or_default().to_owned()));
        }
    }
    found
}

/// Reads a path from `at`, with all its branches; returns where the text goes on.
fn walk(tokens: &[(&str, usize)], mut at: usize, words: &mut Vec<String>, found: &mut Vec<Named>) -> usize {
    let before = words.len();
    let line = tokens[at].1;
    while let Some((word, _)) = tokens.get(at).filter(|(word, _)| is_word(word)) {
        words.push((*word).into());
        at += 1;
        match (tokens.get(at).map(|token| token.0), tokens.get(at + 1).map(|token| token.0)) {
            (Some("::"), Some("{")) => {
                at += 2;
                while let Some((word, _)) = tokens.get(at) {
                    match *word {
                        "}" => {
                            at += 1;
                            break;
                        }
                        word if is_word(word) && word != "as" => at = walk(tokens, at, words, found),
                        // A glob, a comma; `as name` is a new name, not a path.
                        "as" => at += 2,
                        _ => at += 1,
                    }
                }
                words.truncate(before);
                return at;
            }
            (Some("::"), Some(next)) if is_word(next) => at += 1,
            _ => break,
        }
    }
    found.push(Named { words: words.clone(), line });
    words.truncate(before);
    at
}

fn tokens(code: &str) -> Vec<(&str, usize)> {
    let mut found = Vec::new();
    for (number, line) in (1..).zip(code.lines()) {
        let mut rest = line;
        while let Some(first) = rest.chars().next() {
            let len = if first.is_alphanumeric() || first == '_' {
                rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            if !first.is_whitespace() {
                found.push((&rest[..len], number));
            }
            rest = &rest[len..];
        }
    }
    found
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let outer = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_');
        outer(line[..at].chars().next_back()) && outer(line[at + word.len()..].chars().next())
    })
}

/// Blanks out comments, strings and characters; lines stay where they are.
fn without_comments_and_literals(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let before = code.chars().next_back();
        let len = literal_or_comment(rest, before);
        if len == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            code.push(' ');
            code.extend(rest[..len].chars().filter(|c| *c == '\n'));
            rest = &rest[len..];
        }
    }
    code
}

/// Returns how long the comment or literal is that begins here; 0 if none does.
fn literal_or_comment(rest: &str, before: Option<char>) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        let mut depth = 0;
        for (at, _) in rest.char_indices() {
            depth += i32::from(rest[at..].starts_with("/*")) - i32::from(rest[at..].starts_with("*/"));
            if depth == 0 {
                return at + 2;
            }
        }
        return rest.len();
    }
    if rest.starts_with('"') {
        return quoted(rest, '"');
    }
    let in_a_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let raw = rest.trim_start_matches(['b', 'c']).strip_prefix('r').filter(|_| !in_a_word);
    if let Some(raw) = raw {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let body = hashes + 1;
            return rest.len() - raw.len() + raw[body..].find(&end).map_or(raw.len(), |at| body + at + end.len());
        }
    }
    if rest.starts_with('\'') {
        // A character, not a lifetime: a backslash follows, or the second quote comes after one character.
        let mut chars = rest.chars().skip(1);
        let (one, two) = (chars.next(), chars.next());
        return if one == Some('\\') || two == Some('\'') { quoted(rest, '\'') } else { 0 };
    }
    0
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == '\\' {
            chars.next();
        } else if c == quote {
            return at + 1;
        }
    }
    rest.len()
}

/// All Rust files under a directory of the tree; `tests/fail` is left out, for its programs are wrong on purpose.
fn sources(under: &str) -> impl Iterator<Item = Source> {
    let mut names = Vec::new();
    collect(&root().join(under), &mut names);
    names.sort();
    names.into_iter().filter_map(|path| {
        let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        let is_rust = path.extension().is_some_and(|ending| ending == "rs") && !name.starts_with("tests/fail/");
        is_rust.then(|| Source::new(&name, &fs::read_to_string(&path).unwrap()))
    })
}

fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn root() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}
