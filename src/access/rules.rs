//! Who has which role, as the configuration says it; and what takes two.

use std::collections::BTreeSet;
use std::fmt;

use crate::access::{Identity, Person, Purposes, Roles, User};

/// Who may do what.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Rules {
    /// Who has which role.
    pub rules: Vec<Rule>,
    /// What takes two.
    pub four_eyes: FourEyes,
    /// Who may do what his roles do not allow, chained and logged.
    pub break_glass: Vec<Subject>,
}

/// Somebody has these roles.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// Who.
    pub subject: Subject,
    /// Which.
    pub roles: Roles,
    /// What for, where one of them opens recordings.
    pub purposes: Purposes,
}

/// Who is meant.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Subject {
    /// A Unix user, by name.
    Name(String),
    /// A Unix user, by number.
    Uid(u32),
    /// All Unix users of a group.
    Group(String),
    /// Whoever has the private key to a client's certificate of this subject.
    Certificate(String),
}

/// As the configuration names it: `anna`, `1000`, `@desk`, `certificate wall.example.com`.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Uid(uid) => write!(f, "{uid}"),
            Self::Group(group) => write!(f, "@{group}"),
            Self::Certificate(name) => write!(f, "certificate {name}"),
        }
    }
}

impl Subject {
    fn is(&self, user: &User) -> bool {
        match self {
            Self::Name(name) => user.name.as_ref() == Some(name),
            Self::Uid(uid) => user.uid == *uid,
            Self::Group(group) => user.groups.contains(group),
            Self::Certificate(_) => false,
        }
    }
}

/// What takes a second person.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct FourEyes {
    /// The export of more than so many recordings by one person within a day.
    pub export: Option<u64>,
    /// Lifting a hold.
    pub release: bool,
    /// Erasing what is locked.
    pub erase_locked: bool,
}

impl Rules {
    /// Returns what a Unix user may do; somebody whom nothing is said of has no role.
    #[must_use]
    pub fn of_user(&self, user: &User) -> Identity {
        let persons = BTreeSet::from([Person::Unix(user.uid)]);
        self.of(user.in_words(), persons, |subject| subject.is(user))
    }

    /// Returns what somebody may do who has shown a certificate of this subject.
    #[must_use]
    pub fn of_certificate(&self, subject: &str) -> Identity {
        let person = Person::Certificate(subject.into());
        self.of(person.to_string(), BTreeSet::from([person]), |meant| *meant == Subject::Certificate(subject.into()))
    }

    fn of(&self, name: String, persons: BTreeSet<Person>, is_meant: impl Fn(&Subject) -> bool) -> Identity {
        let meant = self.rules.iter().filter(|rule| is_meant(&rule.subject));
        let (roles, purposes) = meant.fold((Roles::NONE, Purposes::default()), |(roles, purposes), rule| {
            (roles.with(rule.roles), purposes.with(rule.purposes.clone()))
        });
        let breaks_glass = self.break_glass.iter().any(is_meant);
        Identity { name, persons, roles, purposes, breaks_glass }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Action, Role};

    fn user(uid: u32, name: &str, groups: &[&str]) -> User {
        User { uid, name: Some(name.into()), groups: groups.iter().map(|&group| group.into()).collect() }
    }

    fn rule(subject: Subject, role: Role, purposes: &[&str]) -> Rule {
        let purposes = Purposes::Only(purposes.iter().map(|&purpose| purpose.into()).collect());
        Rule { subject, roles: Roles::of(&[role]), purposes }
    }

    #[test]
    fn a_user_has_the_roles_of_his_name_his_number_and_his_groups() {
        let rules = Rules {
            rules: vec![
                rule(Subject::Name("alice".into()), Role::Operator, &[]),
                rule(Subject::Uid(1000), Role::Auditor, &[]),
                rule(Subject::Group("desk".into()), Role::Reviewer, &["quality"]),
                rule(Subject::Certificate("alice".into()), Role::Officer, &[]),
            ],
            break_glass: vec![Subject::Name("alice".into())],
            ..Rules::default()
        };

        let alice = rules.of_user(&user(1000, "alice", &["users", "desk"]));
        let bert = rules.of_user(&user(1001, "bert", &["users"]));
        let certificate = rules.of_certificate("alice");

        assert_eq!((alice.name.as_str(), alice.roles.to_string().as_str()), ("alice (uid 1000)", "operator reviewer auditor"));
        assert!(alice.purposes.has("quality") && !alice.purposes.has("training") && alice.breaks_glass);
        assert_eq!((bert.roles, bert.breaks_glass), (Roles::NONE, false));
        assert_eq!((certificate.name.as_str(), certificate.roles.to_string().as_str()), ("certificate alice", "officer"));
        assert!(!certificate.breaks_glass && !certificate.is_same(&alice.persons));
    }

    #[test]
    fn root_is_nobody_where_nothing_is_said_of_him() {
        let root = Rules::default().of_user(&user(0, "root", &["root"]));

        assert!(Action::ALL.into_iter().all(|action| root.may(action).is_err()));
    }
}
