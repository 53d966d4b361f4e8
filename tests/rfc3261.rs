//! The table of RFC 3261's demands: each row has its place in the code and its test, and both are there.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may panic, and reads the source"
)]

use std::path::Path;

#[test]
fn each_demand_has_a_place_in_the_code_and_a_test() {
    let rows = rows();
    let mut wrong = Vec::new();
    for (number, cells) in &rows {
        let [section, statement, place, test] = cells.as_slice() else {
            wrong.push(format!("line {number}: {} cells", cells.len()));
            continue;
        };
        if section.is_empty() || statement.is_empty() {
            wrong.push(format!("line {number}: an empty cell"));
        }
        if !is_there(place, has_function) {
            wrong.push(format!("line {number}: {place} is not in the code"));
        }
        if !is_there(test, has_test) {
            wrong.push(format!("line {number}: {test} is no test"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for (section, at_least) in [("16.", 80), ("17.", 45), ("18.", 12)] {
        let count = rows.iter().filter(|(_, cells)| cells[0].starts_with(section)).count();
        assert!(count >= at_least, "§{section}: {count}");
    }
}

#[test]
fn a_place_or_a_test_that_is_not_there_is_missed() {
    let text = "pub(crate) fn one() {}\n    #[test]\n    fn two() {}\nconst fn three(a: u8) {}\n/// fn four() {}\n";

    assert!(has_function(text, "one") && has_function(text, "two") && has_function(text, "three"));
    assert!(!has_function(text, "on") && !has_function(text, "four"));
    assert!(has_test(text, "two") && !has_test(text, "one") && !has_test(text, "three"));
}

/// The rows of all tables, with the numbers of their lines; the heads and the lines below them are left out.
fn rows() -> Vec<(usize, Vec<String>)> {
    let page = std::fs::read_to_string(root().join("src/manual/rfc3261.md")).unwrap();
    let cells = |line: &str| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
    (1..)
        .zip(page.lines())
        .filter(|(_, line)| line.starts_with("| ") && !line.starts_with("| §") && !line.starts_with("| ---"))
        .map(|(number, line)| (number, cells(line)))
        .collect()
}

/// Whether a cell names something, in backticks, that is in its file.
fn is_there(cell: &str, is_in: impl Fn(&str, &str) -> bool) -> bool {
    let Some((file, name)) =
        cell.strip_prefix('`').and_then(|cell| cell.strip_suffix('`')).and_then(|cell| cell.split_once("::"))
    else {
        return false;
    };
    std::fs::read_to_string(root().join(file)).is_ok_and(|text| is_in(&text, name))
}

fn has_function(text: &str, name: &str) -> bool {
    text.lines().map(str::trim).filter(|line| !line.starts_with("//")).any(|line| {
        let declared = line.split_once("fn ").map(|(_, rest)| rest);
        declared.is_some_and(|rest| rest.strip_prefix(name).is_some_and(|rest| rest.starts_with(['(', '<'])))
    })
}

fn has_test(text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let declared = format!("fn {name}(");
    lines.iter().enumerate().any(|(at, line)| {
        line.starts_with(&declared)
            && lines[..at].iter().rev().take_while(|line| line.starts_with("#[")).any(|line| *line == "#[test]")
    })
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
