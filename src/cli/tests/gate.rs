//! Who may what, and who is refused: every command by every role, what takes two, and the broken glass.

use crate::access::{Action, Role, User};
use crate::catalogue::{Access, Deed, Outcome, Says, Wanted};
use crate::cli::exit::{Exit, Lack, Stop};
use crate::cli::tests::site::{Said, Site, id};
use crate::cli::who;
use crate::ids::RecordingId;

/// Every command that is an action, and which it is.
const COMMANDS: [(&str, Action); 38] = [
    ("trunks list", Action::Status),
    ("calls list", Action::CallsSee),
    ("calls start 00000000000000c0", Action::CallStart),
    ("calls pause 00000000000000c0", Action::CallPause),
    ("calls resume 00000000000000c0", Action::CallResume),
    ("calls withdraw 00000000000000c0", Action::CallWithdraw),
    ("calls withdraw --shred 00000000000000c0", Action::CallShred),
    ("calls drain", Action::Drain),
    ("staff list", Action::StaffList),
    ("staff add 100 --evidence x", Action::StaffChange),
    ("staff revoke 100 --reason x", Action::StaffChange),
    ("staff exempt 100 --reason x", Action::StaffChange),
    ("staff import HOME/table.csv", Action::StaffChange),
    ("recordings list", Action::RecordingsList),
    ("recordings list --party 100 --purpose x", Action::RecordingsByParty),
    ("recordings show ID", Action::RecordingsShow),
    ("recordings verify ID", Action::Verify),
    ("recordings verify ID --key HOME/recipient.pem", Action::VerifyContent),
    ("recordings export ID --key HOME/stranger.pem --purpose quality --out HOME/z.wav", Action::Export),
    ("recordings play ID --key HOME/stranger.pem --purpose quality", Action::Play),
    ("recordings bundle ID --out HOME/b.tar --reason x", Action::Bundle),
    ("recordings hold OTHER --reason x", Action::Hold),
    ("recordings holds", Action::HoldsList),
    ("recordings release OTHER --reason x", Action::Release),
    ("recordings erase ID --reason x --dry-run", Action::Erase),
    ("recordings correct ID --field remark --value x --reason x", Action::Correct),
    ("complaint add --text x", Action::ComplaintChange),
    ("complaint list", Action::ComplaintList),
    ("subject find 100 --purpose x", Action::SubjectFind),
    ("subject export 100 --purpose x --key HOME/recipient.pem --out HOME/c.tar", Action::SubjectExport),
    ("recordings retention", Action::Retention),
    ("processing", Action::Processing),
    ("keys rotate desk --private-to HOME/d.pem", Action::KeysRotate),
    ("keys rewrap ID --key HOME/stranger.pem --add HOME/e.pem", Action::KeysRewrap),
    ("keys exposure HOME/recipient.pem", Action::KeysExposure),
    ("audit head", Action::AuditHead),
    ("tokens list", Action::TokensList),
    ("approvals list", Action::ApprovalsList),
];

const RULES: &str = "
    [[identity]]\nuser = \"olga\"\nroles = [\"operator\"]
    [[identity]]\nuser = \"anna\"\nroles = [\"reviewer\"]\npurposes = [\"quality\"]
    [[identity]]\nuser = \"petra\"\nroles = [\"officer\"]
    [[identity]]\nuser = \"paul\"\nroles = [\"officer\"]
    [[identity]]\nuser = \"augusta\"\nroles = [\"auditor\"]
";

const NAMES: [(Role, &str, u32); 4] =
    [(Role::Operator, "olga", 1), (Role::Reviewer, "anna", 2), (Role::Officer, "petra", 3), (Role::Auditor, "augusta", 4)];

fn site(more: &str) -> Site {
    let site = Site::with_recordings();
    let text = std::fs::read_to_string(site.config()).unwrap();
    std::fs::write(site.config(), format!("{text}\n[access]\n{more}\n{RULES}")).unwrap();
    site
}

fn becomes(site: &mut Site, name: &str, uid: u32) {
    site.user = User { uid, name: Some(name.into()), groups: Vec::new() };
}

fn types(site: &mut Site, (name, uid): (&str, u32), line: &str) -> Said {
    becomes(site, name, uid);
    site.run(&line.split(' ').collect::<Vec<_>>())
}

const ANNA: (&str, u32) = ("anna", 2);
const PETRA: (&str, u32) = ("petra", 3);
const PAUL: (&str, u32) = ("paul", 5);

#[test]
fn every_command_is_refused_to_each_role_that_the_table_does_not_let_in_and_to_nobody_else() {
    let mut site = site("");
    for (role, name, uid) in NAMES {
        for (line, action) in COMMANDS {
            let said = types(&mut site, (name, uid), line);

            let is_denied = said.err.contains(" may not ");
            assert_eq!(is_denied, !action.roles().has(role), "{role}: {line}: {}", said.err);
            assert!(!is_denied || said.exit == Exit::Refused && said.out.is_empty(), "{role}: {line}");
        }
    }
    for (line, _) in COMMANDS {
        let said = types(&mut site, ("mallory", 9), line);

        assert!(said.exit == Exit::Refused && said.err.starts_with("error: mallory (uid 9) may not "), "{line}: {}", said.err);
    }
}

#[test]
fn no_command_that_is_an_action_is_missing_in_the_test() {
    let tested: Vec<_> = COMMANDS.iter().map(|(_, action)| *action).collect();
    // Of the API alone; by others tested below, or in tests of their own; or not typed yet.
    let others = [
        Action::Fetch,
        Action::OpenHeld,
        Action::Redact,
        Action::AuditVerify,
        Action::AuditShow,
        Action::TokensManage,
        Action::Approve,
    ];
    assert!(Action::ALL.iter().all(|action| tested.contains(action) || others.contains(action)));
    let mut site = site("");
    // What they say to whoever may, tests/audit.rs has, with a chain.
    let chain = ["audit verify", "audit show", "audit timestamps"];
    let tokens = ["tokens add a --role operator", "tokens revoke a --reason x"];
    for line in chain.into_iter().chain(tokens) {
        assert!(types(&mut site, ANNA, line).err.contains("anna (uid 2) may not "), "{line}");
        assert!(chain.contains(&line) || !types(&mut site, PETRA, line).err.contains(" may not "), "{line}");
    }
}

#[test]
fn where_nothing_is_said_everybody_may_do_what_the_files_let_him() {
    let mut site = Site::with_recordings();

    for (line, _) in COMMANDS {
        let said = types(&mut site, ("mallory", 9), line);
        assert!(!said.err.contains(" may not "), "{line}: {}", said.err);
    }
}

#[test]
fn rules_that_cannot_be_read_let_nobody_in() {
    let mut site = site("four_eyes_export = \"many\"");

    let said = types(&mut site, PETRA, "recordings list");

    assert_eq!(said.exit, Exit::Cannot);
    assert!(said.err.contains("nobody knows who may do what"), "{}", said.err);
}

#[test]
fn a_refusal_stands_where_the_deed_would_have_stood() {
    let mut site = site("");

    let said = types(&mut site, ("olga", 1), "recordings export ID --key HOME/recipient.pem --purpose quality --out HOME/z.wav");
    let other = types(&mut site, ("olga", 1), "subject find +493012345 --purpose curious");

    assert_eq!(
        said.err,
        "error: olga (uid 1) may not export a recording\n  that takes the role `reviewer`, which [access] of the configuration gives\n"
    );
    assert_eq!(other.exit, Exit::Refused);
    assert!(!site.home().join("z.wav").exists());
    let memory = site.store.lock().unwrap();
    let [access] = memory.accesses.as_slice() else { panic!("one line: {:?}", memory.accesses) };
    assert_eq!((access.deed, access.outcome, access.who.as_str()), (Deed::Export, Outcome::Denied, "olga (uid 1)"));
    let [warrant] = memory.warrants.as_slice() else { panic!("one line: {:?}", memory.warrants) };
    assert_eq!(warrant.says, Says::Denied(Wanted { action: Action::SubjectFind, recording: None }));
    assert!(!format!("{warrant:?}").contains("493012345"), "who was looked for is none of the chain's business");
}

#[test]
fn what_is_held_the_officer_opens_and_the_reviewer_does_not() {
    let mut site = site("");
    types(&mut site, PETRA, "recordings hold ID --reason x");
    let export = "recordings export ID --key HOME/recipient.pem --purpose quality --out HOME/z.wav";

    let reviewer = types(&mut site, ANNA, export);
    let officer = types(&mut site, PETRA, export);

    assert_eq!(reviewer.exit, Exit::Refused);
    assert!(reviewer.err.starts_with("error: anna (uid 2) may not export a recording: it is held\n"), "{}", reviewer.err);
    assert!(!officer.err.contains("may not"), "{}", officer.err);
    types(&mut site, PETRA, "recordings release ID --reason x");
    assert!(types(&mut site, PETRA, export).err.starts_with("error: petra (uid 3) may not export a recording\n"));
    let training = export.replace("quality", "training");
    assert!(types(&mut site, ANNA, &training).err.contains("may not open recordings for `training`"));
}

#[test]
fn a_hold_is_lifted_by_two_once_and_never_by_one_alone() {
    let mut site = site("four_eyes_release = \"yes\"");
    let release = "recordings release ID --reason closed";
    types(&mut site, PETRA, "recordings hold ID --reason x");

    let alone = types(&mut site, PETRA, release);
    let again = types(&mut site, PETRA, release);
    let own = types(&mut site, PETRA, "approvals give 1");
    let reviewer = types(&mut site, ANNA, "approvals give 1");
    let listed = types(&mut site, PAUL, "approvals list");
    let given = types(&mut site, PAUL, "approvals give 1");
    let other_words = types(&mut site, PETRA, "recordings release ID --reason another");
    let by_other = types(&mut site, PAUL, release);
    let done = types(&mut site, PETRA, release);
    types(&mut site, PETRA, "recordings hold ID --reason x");
    let once = types(&mut site, PETRA, release);

    assert_eq!(alone.exit, Exit::Refused);
    let told = "error: to lift a hold takes a second person\n  \
                another has to say `mitschnitt approvals give 1`; then run this again, with the same words\n";
    assert_eq!((alone.err.as_str(), again.err.as_str()), (told, told), "it is asked for once");
    assert!(own.err.contains("nobody approves what they themselves asked for"), "{}", own.err);
    assert!(reviewer.err.contains("anna (uid 2) may not lift a hold"), "{}", reviewer.err);
    assert!(listed.out.contains("petra (uid 3)  lift a hold  ID") && listed.out.contains("closed  waiting"), "{}", listed.out);
    assert_eq!(given.out, "Request 1 is approved: petra (uid 3) may lift a hold, once and within 24 hours.\n");
    assert_eq!((other_words.exit, by_other.exit), (Exit::Refused, Exit::Refused));
    assert_eq!(done.out, "Recording ID is released: it may be erased once its time is up.\n", "{}", done.err);
    assert_eq!(once.exit, Exit::Refused);
    let memory = site.store.lock().unwrap();
    let released = memory.accesses.iter().find(|access| access.deed == Deed::Release && access.outcome == Outcome::Done);
    assert_eq!(released.unwrap().reason.as_deref(), Some("closed; approved by paul (uid 5)"));
}

#[test]
fn what_was_refused_is_asked_for_anew() {
    let mut site = site("four_eyes_release = \"yes\"");
    types(&mut site, PETRA, "recordings hold ID --reason x");
    types(&mut site, PETRA, "recordings release ID --reason closed");

    let refused = types(&mut site, PAUL, "approvals refuse 1 --reason no");
    let late = types(&mut site, PAUL, "approvals give 1");
    let anew = types(&mut site, PETRA, "recordings release ID --reason closed");
    let unknown = types(&mut site, PAUL, "approvals give 77");

    assert_eq!(refused.out, "Request 1 is refused.\n");
    assert!(late.err.contains("request 1 is refused by paul (uid 5)"), "{}", late.err);
    assert!(anew.err.contains("approvals give 3"), "{}", anew.err);
    assert_eq!(unknown.exit, Exit::NotFound);
    assert!(types(&mut site, PETRA, "approvals refuse 3 --reason mine").out.contains("Request 3 is refused"));
}

#[test]
fn more_exports_within_a_day_than_one_may_take_another() {
    let mut site = site("four_eyes_export = 2");
    let export = "recordings export ID --key HOME/recipient.pem --purpose quality --out HOME/z.wav";
    let line = |uid: u32, recording: u8, hours: i64| Access {
        at: crate::time::Wall::from_unix_micros(who::now().unix_micros() - hours * 3_600_000_000),
        who: format!("recorder (uid 990), logged in as x (uid {uid})"),
        deed: Deed::Export,
        recording: RecordingId::from_bytes([recording; 16]),
        purpose: None,
        reason: None,
        outcome: Outcome::Granted,
    };
    // Another's, one of the day before, one twice, and the one that is asked for.
    let own = Access { recording: id(), ..line(2, 0, 1) };
    let before = [line(9, 1, 1), line(9, 2, 1), line(2, 3, 25), line(2, 4, 23), line(2, 4, 2), own];
    site.store.lock().unwrap().accesses = before.to_vec();

    let within = types(&mut site, ANNA, export);
    site.store.lock().unwrap().accesses.push(line(2, 5, 1));
    let beyond = types(&mut site, ANNA, &export.replace("z.wav", "y.wav"));
    // All that is held on it are two recordings: of one who has exported none, of one who has exported another, and of nobody knows whom.
    let subject =
        |number: &str, rest: &str| format!("subject export {number} --purpose x --key HOME/recipient.pem --out HOME/c.tar{rest}");
    let person = types(&mut site, PAUL, &subject("+4930123456", ""));
    site.store.lock().unwrap().accesses.push(line(5, 6, 1));
    let more = types(&mut site, PAUL, &subject("004930123456", "").replace("c.tar", "d.tar"));
    let one = types(&mut site, PAUL, &subject("+4930123456", " --to 2026-11-24T09:35:00").replace("c.tar", "e.tar"));
    // Another approves these calls of this person to these sides, and nothing else for the same purpose.
    let given = types(&mut site, PETRA, "approvals give 2");
    let listed = types(&mut site, PETRA, "approvals list --all");
    let both = types(&mut site, PAUL, &subject("+4930123456", " --both").replace("c.tar", "f.tar"));
    let approved = types(&mut site, PAUL, &subject("+49 30 123456", "").replace("c.tar", "h.tar"));

    assert!(!within.err.contains("second person"), "{}", within.err);
    assert_eq!(beyond.exit, Exit::Refused);
    let told = "error: anna (uid 2) has exported 2 recordings within 24 hours, and more than 2 exports take a second person\n";
    assert!(beyond.err.starts_with(told), "{}", beyond.err);
    assert!(!person.err.contains("second person"), "{}", person.err);
    let told = "with it paul (uid 5) has exported 3 recordings within 24 hours, and more than 2 exports take a second person";
    assert!(more.exit == Exit::Refused && more.err.contains(told), "{}", more.err);
    assert!(!one.err.contains("second person"), "{}", one.err);
    assert!(given.exit == Exit::Well && listed.out.contains("  x; 2 calls with 2 recordings, marked "), "{}", listed.out);
    assert!(!listed.out.contains("123456"), "{}", listed.out);
    assert!(both.exit == Exit::Refused && both.err.contains("second person"), "{}", both.err);
    assert!(!approved.err.contains("second person"), "{}", approved.err);
}

#[test]
fn what_leaves_with_its_keys_counts_as_an_export_and_its_file_and_keys_count_once() {
    let mut site = site("four_eyes_export = 1");
    let line = |uid: u32, recording: RecordingId, deed| Access {
        at: who::now(),
        who: format!("x (uid {uid})"),
        deed,
        recording,
        purpose: None,
        reason: None,
        outcome: Outcome::Granted,
    };
    let bundle = "recordings bundle ID --out HOME/b.tar --reason court";
    let fetches = |site: &Site| site.fetches(("anna", 2), Some("quality"));
    let is_for_two = |stop: Result<(), Stop>| matches!(stop, Err(Stop::Denied(Lack::Second, _)));

    let first = types(&mut site, PETRA, bundle);
    let alone = fetches(&site);
    let other = RecordingId::from_bytes([9; 16]);
    let of_others = [line(3, other, Deed::Bundle), line(2, other, Deed::Bundle)];
    site.store.lock().unwrap().accesses.extend(of_others);
    let second = types(&mut site, PETRA, &bundle.replace("b.tar", "c.tar"));
    let beyond = fetches(&site);
    site.store.lock().unwrap().accesses.push(line(2, id(), Deed::Bundle));
    let other_half = fetches(&site);
    let curious = site.fetches(("olga", 1), Some("quality"));

    assert!(!first.err.contains("second person"), "{}", first.err);
    assert!(alone.is_ok(), "{alone:?}");
    let told = "petra (uid 3) has exported 1 recording within 24 hours, and more than 1 export take a second person";
    assert!(second.exit == Exit::Refused && second.err.contains(told), "{}", second.err);
    assert!(is_for_two(beyond));
    assert!(other_half.is_ok(), "the keys of what was fetched already: {other_half:?}");
    assert!(matches!(curious, Err(Stop::Denied(Lack::Role, _))), "{curious:?}");
}

#[test]
fn what_is_in_a_held_recording_the_officer_verifies_and_the_reviewer_does_not() {
    let mut site = site("");
    let verify = "recordings verify ID --key HOME/recipient.pem";
    let not_held = types(&mut site, PETRA, verify);
    types(&mut site, PETRA, "recordings hold ID --reason x");

    let reviewer = types(&mut site, ANNA, verify);
    let officer = types(&mut site, PETRA, verify);

    assert!(
        not_held.exit == Exit::Refused && not_held.err.contains("petra (uid 3) may not verify what is in"),
        "{}",
        not_held.err
    );
    let told = format!("error: recording {}: anna (uid 2) may not verify what is in a recording: it is held\n", "ID");
    assert!(reviewer.exit == Exit::Refused && reviewer.err.starts_with(&told), "{}", reviewer.err);
    assert!(officer.exit == Exit::Well && officer.out.contains("  complete  "), "{}", officer.err);
    let verified = |site: &Site| site.outcomes().into_iter().filter(|(deed, _)| *deed == Deed::Verify).map(|(_, came)| came);
    assert_eq!(verified(&site).collect::<Vec<_>>(), [Outcome::Denied, Outcome::Denied, Outcome::Granted, Outcome::Done]);
}

#[test]
fn what_is_locked_two_erase_together_where_that_is_set() {
    let locked = |site: &Site| site.change("longest = \"90d\"", "longest = \"36000d\"\nshortest = \"36000d\"");
    let erase = "recordings erase ID --reason court --yes";
    let mut unset = site("");
    locked(&unset);
    let mut set = site("four_eyes_erase_locked = \"yes\"");
    locked(&set);

    let never = types(&mut unset, PETRA, erase);
    let asked = types(&mut set, PETRA, erase);
    types(&mut set, PAUL, "approvals give 1");
    let done = types(&mut set, PETRA, erase);

    assert!(never.err.contains("is locked until") && !never.err.contains("second person"), "{}", never.err);
    assert!(asked.err.contains("to erase it takes a second person"), "{}", asked.err);
    assert!(done.out.contains("Recording ID is erased"), "{}{}", done.out, done.err);
    let memory = set.store.lock().unwrap();
    let erased = memory.accesses.iter().find(|access| access.outcome == Outcome::Done).unwrap();
    assert_eq!(erased.reason.as_deref(), Some("court; approved by paul (uid 5)"));
}

#[test]
fn whoever_may_break_the_glass_is_let_through_and_it_is_told() {
    let mut site = site("four_eyes_release = \"yes\"\nbreak_glass = [\"olga\", \"petra\"]");
    types(&mut site, PETRA, "recordings hold ID --reason x");
    let glass = |site: &mut Site, who: (&str, u32), words: &[&str]| {
        becomes(site, who.0, who.1);
        site.run(&[words, &["--break-glass", "fire in the house"]].concat())
    };

    let without = types(&mut site, ("olga", 1), "recordings holds");
    let by_role = glass(&mut site, ("olga", 1), &["recordings", "holds"]);
    let by_eyes = glass(&mut site, PETRA, &["recordings", "release", "ID", "--reason", "closed"]);
    let by_role_with_a_key = glass(&mut site, ("olga", 1), &["recordings", "verify", "ID", "--key", "HOME/recipient.pem"]);
    let in_vain = glass(&mut site, PAUL, &["calls", "drain"]);
    let needless = glass(&mut site, PETRA, &["recordings", "holds"]);

    assert!(without.err.ends_with("; --break-glass WHY does it all the same, and the chain has it\n"), "{}", without.err);
    let told = "warning: the glass is broken: olga (uid 1) may not see what is held and why\n  \
                it is done all the same, and the chain has it\n";
    assert_eq!((by_role.exit, by_role.err.as_str()), (Exit::Well, told));
    assert!(by_eyes.out.contains("is released") && by_eyes.err.contains("the glass is broken"), "{}", by_eyes.err);
    assert!(
        by_role_with_a_key.exit == Exit::Well && by_role_with_a_key.out.contains("  complete  "),
        "{}",
        by_role_with_a_key.err
    );
    assert_eq!(in_vain.exit, Exit::Refused);
    assert_eq!(needless.err, "", "what is allowed breaks nothing");
    let memory = site.store.lock().unwrap();
    let broke: Vec<_> = memory.warrants.iter().filter(|line| matches!(line.says, Says::Broke(_))).collect();
    let [one, two, _] = broke.as_slice() else { panic!("three: {broke:?}") };
    assert_eq!((one.who.as_str(), one.reason.as_deref()), ("olga (uid 1)", Some("fire in the house")));
    assert_eq!(two.says, Says::Broke(Wanted { action: Action::Release, recording: Some(id()) }));
}
