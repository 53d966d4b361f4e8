//! Somebody with what he may do, and why something is denied.

use std::collections::BTreeSet;
use std::fmt;

use crate::access::{Action, Person, Roles};

/// Somebody, and what he may do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// How he is called in logs and answers: `alice (uid 1000)`, `token desk`.
    pub name: String,
    /// Everybody that he is at once: a token is also whoever made it. Two with one in common are one person.
    pub persons: BTreeSet<Person>,
    /// His roles.
    pub roles: Roles,
    /// What he may open recordings for.
    pub purposes: Purposes,
    /// Whether he may do, chained and logged, what his roles do not allow.
    pub breaks_glass: bool,
}

impl Identity {
    /// Returns somebody who may do everything: where nobody said who may do what.
    #[must_use]
    pub fn unrestricted(name: String, person: Person) -> Self {
        let persons = BTreeSet::from([person]);
        Self { name, persons, roles: Roles::ALL, purposes: Purposes::All, breaks_glass: false }
    }

    /// Returns whether he may do this.
    ///
    /// # Errors
    /// None of his roles may.
    pub fn may(&self, action: Action) -> Result<(), Denied> {
        if self.roles.meets(action.roles()) {
            return Ok(());
        }
        Err(Denied::Role { who: self.name.clone(), action })
    }

    /// Returns whether he may open a recording in this way; `purpose` is what it was made for, or what it is asked for, and `is_held` whether
    /// it is held.
    ///
    /// # Errors
    /// None of his roles may, his role is not for this purpose, or it is held and he is no officer.
    pub fn may_open(&self, action: Action, purpose: Option<&str>, is_held: bool) -> Result<(), Denied> {
        if is_held {
            return self.may(Action::OpenHeld).map_err(|_| Denied::Held { who: self.name.clone(), action });
        }
        self.may(action)?;
        match purpose.filter(|purpose| !self.purposes.has(purpose)) {
            Some(purpose) => Err(Denied::Purpose { who: self.name.clone(), purpose: purpose.into() }),
            None => Ok(()),
        }
    }

    /// Returns whether they are, or may be, one person.
    #[must_use]
    pub fn is_same(&self, others: &BTreeSet<Person>) -> bool {
        !self.persons.is_disjoint(others)
    }
}

/// What somebody may open recordings for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Purposes {
    /// Every purpose.
    All,
    /// These.
    Only(BTreeSet<String>),
}

impl Purposes {
    /// Returns whether this one is among them.
    #[must_use]
    pub fn has(&self, purpose: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(purposes) => purposes.contains(purpose),
        }
    }

    /// Returns all that are in either.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        match (self, other) {
            (Self::Only(mut one), Self::Only(other)) => {
                one.extend(other);
                Self::Only(one)
            }
            (Self::All, _) | (_, Self::All) => Self::All,
        }
    }
}

/// `quality and training`, or `all purposes`.
impl fmt::Display for Purposes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all purposes"),
            Self::Only(purposes) => f.write_str(&purposes.iter().map(String::as_str).collect::<Vec<_>>().join(" and ")),
        }
    }
}

impl Default for Purposes {
    fn default() -> Self {
        Self::Only(BTreeSet::new())
    }
}

/// Why somebody may not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Denied {
    /// None of his roles may.
    Role {
        /// Who.
        who: String,
        /// What.
        action: Action,
    },
    /// He may, for other purposes.
    Purpose {
        /// Who.
        who: String,
        /// For which not.
        purpose: String,
    },
    /// He may, and this recording is held.
    Held {
        /// Who.
        who: String,
        /// What.
        action: Action,
    },
}

impl Denied {
    /// Returns what may be done about it, in one line.
    #[must_use]
    pub fn remedy(&self) -> String {
        let asks = |roles: Roles| {
            let roles: Vec<_> = roles.iter().map(|role| format!("`{role}`")).collect();
            format!("that takes the role {}, which [access] of the configuration gives", roles.join(" or "))
        };
        match self {
            Self::Role { action, .. } => asks(action.roles()),
            Self::Purpose { .. } => "[access] of the configuration says who opens recordings for which purposes".into(),
            Self::Held { .. } => asks(Action::OpenHeld.roles()),
        }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role { who, action } => write!(f, "{who} may not {}", action.in_words()),
            Self::Purpose { who, purpose } => write!(f, "{who} may not open recordings for `{purpose}`"),
            Self::Held { who, action } => write!(f, "{who} may not {}: it is held", action.in_words()),
        }
    }
}

impl std::error::Error for Denied {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Role;

    fn somebody(roles: &[Role], purposes: &[&str]) -> Identity {
        Identity {
            name: "alice (uid 1000)".into(),
            persons: BTreeSet::from([Person::Unix(1000)]),
            roles: Roles::of(roles),
            purposes: Purposes::Only(purposes.iter().map(|&purpose| purpose.into()).collect()),
            breaks_glass: false,
        }
    }

    #[test]
    fn each_role_may_what_the_table_says_and_nothing_else() {
        for role in Role::ALL {
            let one = somebody(&[role], &[]);
            for action in Action::ALL {
                assert_eq!(one.may(action).is_ok(), action.roles().has(role), "{role} {action:?}");
            }
        }
        assert!(Action::ALL.into_iter().all(|action| somebody(&[], &[]).may(action).is_err()), "nobody without a role");
        let everything = Identity::unrestricted("root (uid 0)".into(), Person::Unix(0));
        assert!(Action::ALL.into_iter().all(|action| everything.may(action).is_ok()));
    }

    #[test]
    fn a_reviewer_opens_for_the_purposes_named_and_nothing_that_is_held() {
        let reviewer = somebody(&[Role::Reviewer], &["quality"]);

        assert_eq!(reviewer.may_open(Action::Play, Some("quality"), false), Ok(()));
        let other = reviewer.may_open(Action::Play, Some("training"), false).unwrap_err();
        assert_eq!(other.to_string(), "alice (uid 1000) may not open recordings for `training`");
        let held = reviewer.may_open(Action::Play, Some("quality"), true).unwrap_err();
        assert_eq!(held.to_string(), "alice (uid 1000) may not play a recording: it is held");
        assert_eq!(held.remedy(), "that takes the role `officer`, which [access] of the configuration gives");
    }

    #[test]
    fn an_officer_opens_what_is_held_whatever_it_was_made_for_and_nothing_else() {
        let officer = somebody(&[Role::Officer], &[]);

        assert_eq!(officer.may_open(Action::Export, Some("training"), true), Ok(()));
        let denied = officer.may_open(Action::Export, Some("training"), false).unwrap_err();
        assert_eq!(denied.to_string(), "alice (uid 1000) may not export a recording");
        assert_eq!(denied.remedy(), "that takes the role `reviewer`, which [access] of the configuration gives");
    }

    #[test]
    fn purposes_add_up() {
        let only = |purpose: &str| Purposes::Only(BTreeSet::from([purpose.to_owned()]));

        assert!(only("a").with(only("b")).has("b") && only("a").with(only("b")).has("a") && !only("a").has("b"));
        assert!(only("a").with(Purposes::All).has("z") && Purposes::All.with(only("a")).has("z"));
        assert!(!Purposes::default().has("a"));
    }
}
