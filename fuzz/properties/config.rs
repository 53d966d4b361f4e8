//! What holds of the configuration's reader for any text: every mistake has its place, and says no more of the file than it must.

use mitschnitt::control::config::{Report, Settings, parse};
use mitschnitt::control::{Mistake, config::Weight};

/// Checks all properties with one configuration.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let report = parse(text);
    check_mistakes(&report, text);
    check_pasted(text);
    if let Some(settings) = &report.settings {
        check_settings(&report, settings);
    }
    // A mark of the byte order counts only where it stands first.
    if !text.starts_with('\u{feff}') {
        check_moved(&report, text);
    }
}

fn check_mistakes(report: &Report, text: &str) {
    let lines = text.bytes().filter(|&byte| byte == b'\n').count() + 1;
    for Mistake { line, what, remedy, .. } in &report.mistakes {
        assert!(line.is_none_or(|line| (1..=lines).contains(&line)), "{line:?} of {lines}: {what}");
        assert!(!what.is_empty() && !remedy.is_empty());
        assert!(!what.chars().chain(remedy.chars()).any(char::is_control), "{what:?} {remedy:?}");
    }
    assert!(report.mistakes.is_sorted_by_key(|mistake| mistake.line.unwrap_or(usize::MAX)));
    let is_right = report.mistakes.iter().all(|mistake| mistake.weight == Weight::Warning);
    assert_eq!(report.settings.is_some(), is_right, "{:?}", report.mistakes);
}

/// Of a key that was pasted into the file no more than the beginning is repeated: what is said is the same for another key that differs
/// behind its first 40 characters, of which 21 are the same in each.
fn check_pasted(text: &str) {
    if text.contains("KEY") {
        let [one, other] = KEYS.map(|key| parse(&text.replace("KEY", key)).mistakes);
        assert_eq!(one, other);
    }
}

fn check_settings(report: &Report, settings: &Settings) {
    assert_eq!(report.data.as_ref(), Some(&settings.data));
    assert_eq!(report.node_key.as_ref(), Some(&settings.node_key));
    assert!(!settings.trunks.is_empty() && settings.media.pairs() > 0);
    assert!(settings.files().iter().all(|file| !file.path.as_os_str().is_empty()));
    let canonical: Vec<_> = settings.policies.iter().map(|policy| (policy.canonical(), policy.sha256())).collect();
    for (nth, (text, sha256)) in canonical.iter().enumerate() {
        // A name has no space and the rest of the line is one string, so that no two policies have one text.
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("mitschnitt policy 1"));
        for line in lines {
            let (name, value) = line.split_once(' ').expect("a name and a value");
            assert!(!name.is_empty() && serde_json::from_str::<String>(value).is_ok(), "{line}");
        }
        assert!(canonical.iter().skip(nth + 1).all(|(other, other_sha256)| other != text && other_sha256 != sha256));
    }
}

/// Under a line of comment, all is as it was, one line further down.
fn check_moved(report: &Report, text: &str) {
    let moved = parse(&format!("# a comment\n{text}"));

    let expected = report.mistakes.iter().cloned().map(|mistake| Mistake { line: mistake.line.map(|line| line + 1), ..mistake });
    // What names another line names the one it has moved to.
    let without_digits = |mistake: Mistake| Mistake { what: mistake.what.replace(|c: char| c.is_ascii_digit(), ""), ..mistake };
    assert!(expected.map(without_digits).eq(moved.mistakes.into_iter().map(without_digits)), "{:?}", report.mistakes);
    assert_eq!(moved.settings.is_some(), report.settings.is_some());
    assert_eq!(moved.data, report.data);
}

/// Two keys that differ behind the 40th character, and there only in letters that mean nothing in a number.
const KEYS: [&str; 2] = [
    "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/kwpy/GM++JSqR9PgVhK",
    "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+M06/jyqw/KP++QRgS9VkGjL",
];
