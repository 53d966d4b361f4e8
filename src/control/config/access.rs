//! Who has which role, what takes two, and who may break the glass.

use std::collections::BTreeMap;

use crate::access::{FourEyes, Purposes, Role, Roles, Rule, Rules, Subject};
use crate::control::config::Policy;
use crate::control::config::parse::{each, is_word, optional, word};
use crate::control::config::section::{Found, Notes, Section, printable};
use crate::control::config::similar::similar;

/// Reads `[access]` and every `[[identity]]`. The outer nothing says that something of it cannot be read, so that nobody knows who may do what;
/// the inner one that nothing is said at all, and whoever may read the files may do everything.
pub(super) fn access(document: &Section<'_>, notes: &mut Notes) -> Option<Option<Rules>> {
    let had = notes.errors();
    let section = optional(document, "access", notes);
    let mut rules = Rules::default();
    if let Some(section) = &section {
        rules.four_eyes = four_eyes(section, notes);
        rules.break_glass = section
            .texts("break_glass", "[\"petra\"]", notes)
            .map(|found| found.value.iter().filter_map(|found| subject(&section.name, "break_glass", found, notes)).collect())
            .unwrap_or_default();
    }
    let mut seen = BTreeMap::new();
    let identities = each(document, "identity", notes);
    rules.rules = identities.iter().filter_map(|section| rule(section, &mut seen, notes)).collect();
    // What stands where no section can be made out of it is told, and is no reason to let everybody in.
    let is_said = ["access", "identity"].iter().any(|key| document.line_of(key, notes).is_some());
    if notes.errors() > had || notes.may_name_access() {
        return None;
    }
    if is_said {
        weigh(&rules, section.as_ref(), notes);
    }
    Some(is_said.then_some(rules))
}

fn four_eyes(section: &Section<'_>, notes: &mut Notes) -> FourEyes {
    let words = [("no", false), ("yes", true)];
    let export = section.number("four_eyes_export", 0..=MOST, "of recordings a day", notes).map(|found| found.value);
    let mut word = |key| section.word_or(key, &words, false, notes).unwrap_or_default();
    FourEyes { export, release: word("four_eyes_release"), erase_locked: word("four_eyes_erase_locked") }
}

/// Recordings a day that one person exports without another: more than anybody hears.
const MOST: u64 = 100_000;

fn rule(section: &Section<'_>, seen: &mut BTreeMap<Subject, usize>, notes: &mut Notes) -> Option<Rule> {
    let user = section.text("user", "\"alice\"", notes);
    let certificate = section.text("certificate", "\"desk.example.com\"", notes);
    let (subject, line) = match (user, certificate) {
        (Some(user), None) => (subject(&section.name, "user", &user, notes), user.line),
        (None, Some(found)) => (Some(Subject::Certificate(found.value)), found.line),
        (Some(user), Some(_)) => {
            let what = format!("{} has both a `user` and a `certificate`", section.name);
            notes.error(user.line, what, "write an [[identity]] for each");
            return None;
        }
        (None, None) => {
            if ["user", "certificate"].iter().all(|key| section.line_of(key, notes).is_none()) {
                let what = format!("{} says of nobody what it allows", section.name);
                notes.missing(section.line, what, "for example: user = \"alice\", or user = \"@desk\" for a group");
            }
            return None;
        }
    };
    if let Some(subject) = &subject
        && let Some(first) = seen.insert(subject.clone(), line)
    {
        let what = format!("{} says again what somebody may of whom line {first} says it", section.name);
        notes.error(line, what, "write all roles into one [[identity]]");
    }
    let roles = roles(section, notes)?;
    let purposes = purposes(section, roles, notes);
    Some(Rule { subject: subject?, roles, purposes })
}

/// Reads who is meant: `alice`, `1000`, `@desk`.
fn subject(section: &str, key: &str, found: &Found<String>, notes: &mut Notes) -> Option<Subject> {
    let text = &found.value;
    if let Ok(uid) = text.parse() {
        return Some(Subject::Uid(uid));
    }
    let (name, is_group) = text.strip_prefix('@').map_or((text.as_str(), false), |group| (group, true));
    if !is_word(name) {
        let what = format!("`{}` of {section} cannot be `{}`", key, printable(text));
        notes.error(found.line, what, "it is a user of this machine by name or number, or @ and the name of a group");
        return None;
    }
    Some(if is_group { Subject::Group(name.into()) } else { Subject::Name(name.into()) })
}

fn roles(section: &Section<'_>, notes: &mut Notes) -> Option<Roles> {
    let example = "[\"operator\"]";
    let Some(found) = section.texts("roles", example, notes) else {
        if section.line_of("roles", notes).is_none() {
            let what = format!("{} says no `roles`", section.name);
            notes.missing(section.line, what, format!("for example: roles = {example}"));
        }
        return None;
    };
    if found.value.is_empty() {
        notes.error(found.line, format!("`roles` of {} is empty", section.name), format!("for example: roles = {example}"));
        return None;
    }
    let words = Role::ALL.map(|role| (role.as_str(), role));
    let read = |role: &Found<String>| section.one_of("roles", &role.value, role.line, &words, notes);
    found.value.iter().map(read).collect::<Vec<_>>().into_iter().collect()
}

fn purposes(section: &Section<'_>, roles: Roles, notes: &mut Notes) -> Purposes {
    let is_reviewer = roles.has(Role::Reviewer);
    let remedy = "name what for, as in the policies: purposes = [\"quality\"]; or [\"*\"] for everything";
    let Some(found) = section.texts("purposes", "[\"quality\"]", notes) else {
        if is_reviewer && section.line_of("purposes", notes).is_none() {
            notes.missing(section.line, format!("{} is a reviewer, and for nothing", section.name), remedy);
        }
        return Purposes::default();
    };
    if is_reviewer && found.value.is_empty() {
        notes.error(found.line, format!("{} is a reviewer, and for nothing", section.name), remedy);
    }
    if !is_reviewer {
        let what = format!("{} has `purposes`, and is no reviewer", section.name);
        notes.warning(Some(found.line), what, "only reviewers open recordings for a purpose: take it out, or add the role");
    }
    if found.value.iter().any(|purpose| purpose.value == "*") {
        return Purposes::All;
    }
    let purposes = found.value.iter().filter(|purpose| word(&section.name, "purposes", purpose, notes).is_some());
    Purposes::Only(purposes.map(|purpose| purpose.value.clone()).collect())
}

/// Notes what can be right, and is hardly meant.
fn weigh(rules: &Rules, section: Option<&Section<'_>>, notes: &mut Notes) {
    let officers: Vec<_> = rules.rules.iter().filter(|rule| rule.roles.has(Role::Officer)).collect();
    let line = section.and_then(|section| section.line);
    if officers.is_empty() {
        let what = "nobody is an officer: nobody holds, releases, erases or hands over, and nobody gives out tokens";
        notes.warning(line, what.to_owned(), "write an [[identity]] with roles = [\"officer\"]");
        return;
    }
    let is_one = officers.len() == 1 && !officers.iter().any(|rule| matches!(rule.subject, Subject::Group(_)));
    if is_one && (rules.four_eyes.release || rules.four_eyes.erase_locked) {
        let what = "what takes two officers is to be done, and there is one";
        notes.warning(line, what.to_owned(), "write an [[identity]] with roles = [\"officer\"] for another, who approves it");
    }
}

/// Notes purposes of reviewers that nobody records for.
pub(super) fn check_together(document: &Section<'_>, policies: &[Found<Policy>], notes: &mut Notes) {
    if notes.errors() > 0 || notes.is_partial() {
        return;
    }
    let known: Vec<&str> = policies.iter().filter_map(|policy| Some(policy.value.terms.as_ref()?.purpose.as_str())).collect();
    for section in each(document, "identity", notes) {
        let Some(found) = section.texts("purposes", "[\"quality\"]", notes) else { continue };
        for purpose in found.value.iter().filter(|purpose| purpose.value != "*" && !known.contains(&&*purpose.value)) {
            let what = format!("{} is a reviewer for `{}`, and no policy records for that", section.name, purpose.value);
            let remedy = similar(&purpose.value, known.iter().copied()).map_or_else(
                || "what was recorded for it before is opened so; for other recordings name the purpose of a policy".to_owned(),
                |meant| format!("did you mean \"{meant}\"? what was recorded for `{}` before is opened so", purpose.value),
            );
            notes.warning(Some(purpose.line), what, remedy);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::path::Path;

    use toml::de::DeTable;

    use super::*;

    fn read(text: &str) -> (Option<Option<Rules>>, String) {
        let (document, errors) = DeTable::parse_recoverable(text);
        let mut notes = Notes::new(text, !errors.is_empty());
        let rules = access(&Section::document(document.get_ref()), &mut notes);
        let shown = notes.mistakes.iter().map(|mistake| format!("{}\n", mistake.shown(Path::new("f")))).collect();
        (rules, shown)
    }

    #[test]
    fn where_nothing_is_said_there_are_no_rules() {
        assert_eq!(read("[sip]\n"), (Some(None), String::new()));
    }

    #[test]
    fn identities_have_their_roles_and_purposes() {
        let text = "[access]\nfour_eyes_export = 20\nfour_eyes_release = \"yes\"\nbreak_glass = [\"petra\", \"@night\", \"0\"]\n\
                    [[identity]]\nuser = \"@desk\"\nroles = [\"operator\"]\n\
                    [[identity]]\nuser = \"1001\"\nroles = [\"reviewer\", \"operator\"]\npurposes = [\"quality\"]\n\
                    [[identity]]\nuser = \"anna\"\nroles = [\"reviewer\"]\npurposes = [\"*\"]\n\
                    [[identity]]\nuser = \"petra\"\nroles = [\"officer\"]\n\
                    [[identity]]\ncertificate = \"wall.example.com\"\nroles = [\"officer\"]\n";

        let (rules, shown) = read(text);

        let rules = rules.unwrap().unwrap();
        assert_eq!(shown, "");
        assert_eq!(rules.four_eyes, FourEyes { export: Some(20), release: true, erase_locked: false });
        let broken = [Subject::Name("petra".into()), Subject::Group("night".into()), Subject::Uid(0)];
        assert_eq!(rules.break_glass, broken);
        let said: Vec<_> = rules.rules.iter().map(|rule| (&rule.subject, rule.roles.to_string())).collect();
        assert_eq!(
            said,
            [
                (&Subject::Group("desk".into()), "operator".to_owned()),
                (&Subject::Uid(1001), "operator reviewer".to_owned()),
                (&Subject::Name("anna".into()), "reviewer".to_owned()),
                (&Subject::Name("petra".into()), "officer".to_owned()),
                (&Subject::Certificate("wall.example.com".into()), "officer".to_owned()),
            ]
        );
        let purposes: Vec<_> = rules.rules.iter().map(|rule| rule.purposes.has("training")).collect();
        assert_eq!(purposes, [false, false, true, false, false]);
    }

    #[test]
    fn what_cannot_be_read_lets_nobody_in() {
        for text in [
            "[access]\nfour_eyes_export = -1\n",
            "[[identity]]\nuser = \"alice\"\nroles = [\"ofiser\"]\n",
            "[[identity]]\nuser = \"alice\"\n",
            "[[identity]]\nroles = [\"officer\"]\n",
            "[[identity]]\nuser = \"a b\"\nroles = [\"officer\"]\n",
            "[[identity]]\nuser = \"a\"\ncertificate = \"b\"\nroles = [\"officer\"]\n",
            "[[identity]]\nuser = \"a\"\nroles = [\"officer\"]\n[[identity]]\nuser = \"a\"\nroles = [\"operator\"]\n",
            "[[identity]]\nuser = \"a\"\nroles = [\"reviewer\"]\n",
            "[[identity]]\nuser = \"a\"\nroles = []\n",
            "access = 1\n",
            "[[identity]\nuser = \"a\"\n",
        ] {
            let (rules, shown) = read(text);

            // Of what is no TOML at all somebody else tells.
            assert_eq!((rules, shown.is_empty()), (None, text.starts_with("[[identity]\n")), "{text}");
        }
    }

    #[test]
    fn what_is_hardly_meant_is_told() {
        let (rules, shown) = read("[access]\nfour_eyes_release = \"yes\"\n[[identity]]\nuser = \"a\"\nroles = [\"officer\"]\n");
        assert!(rules.is_some() && shown.contains("takes two officers"), "{shown}");
        let (_, shown) = read("[access]\n");
        assert!(shown.contains("nobody is an officer"), "{shown}");
        let (_, shown) = read("[[identity]]\nuser = \"a\"\nroles = [\"officer\"]\npurposes = [\"quality\"]\n");
        assert!(shown.contains("is no reviewer"), "{shown}");
    }
}
