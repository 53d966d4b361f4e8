//! Who runs this: for the access log, and for telling why a file may not be read.

use std::cell::RefCell;
use std::fs;
use std::time::SystemTime;

use crate::access::{Person, User};
use crate::time::Wall;

/// Returns the user as `alice (uid 1000)`.
pub(super) fn user() -> String {
    named(rustix::process::getuid().as_raw())
}

/// Returns the user's name, or number where it has none, as `chown` takes it.
pub(super) fn name() -> String {
    let uid = rustix::process::getuid().as_raw();
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    name_of(uid, &users).map_or_else(|| uid.to_string(), str::to_owned)
}

/// Returns the user for the access log, and whom the session belongs to, where that is somebody else: `root (uid 0), logged in as alice
/// (uid 1000)`.
///
/// The kernel keeps the latter from the log-in on, through `su` and `sudo` (`/proc/self/loginuid`, audit(8)).
///
/// What is done [`on_behalf`] of somebody is done by him.
pub(super) fn who() -> String {
    if let Some(name) = BEHALF.with_borrow(Clone::clone) {
        return name;
    }
    let uid = rustix::process::getuid().as_raw();
    match login().filter(|&login| login != uid) {
        Some(login) => format!("{}, logged in as {}", named(uid), named(login)),
        None => named(uid),
    }
}

/// Returns whoever the session belongs to, where the kernel knows that, and otherwise whose the process is: he who may do something or not.
#[must_use]
pub fn session() -> User {
    let own = rustix::process::getuid().as_raw();
    numbered(login().unwrap_or(own))
}

/// Returns a user of this number.
pub(super) fn numbered(uid: u32) -> User {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    user_of(uid, &read("/etc/passwd"), &read("/etc/group"))
}

/// Returns whom the kernel has as having logged in, where anybody has.
fn login() -> Option<u32> {
    let login = fs::read_to_string("/proc/self/loginuid").ok().and_then(|text| text.trim().parse::<u32>().ok());
    login.filter(|&login| login != u32::MAX)
}

/// Returns the person in a line of the access log, as [`who`] writes it: the last that it names.
pub(super) fn person_in(who: &str) -> Option<Person> {
    if let Some((_, name)) = who.split_once("token ").filter(|(before, _)| before.is_empty()) {
        return Some(Person::Token(name.into()));
    }
    let (_, uid) = who.rsplit_once("uid ")?;
    uid.trim_end_matches(')').parse().ok().map(Person::Unix)
}

thread_local! {
    /// Who has asked for what this thread does, where it does it for somebody else.
    static BEHALF: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Does something on behalf of whoever asked for it over HTTP: logs and chain have this name.
pub(super) fn on_behalf<T>(name: &str, act: impl FnOnce() -> T) -> T {
    BEHALF.set(Some(name.to_owned()));
    let done = act();
    BEHALF.set(None);
    done
}

/// Returns the time of day.
pub(super) fn now() -> Wall {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Wall::from_unix_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// Returns a user as `alice (uid 1000)`.
pub(super) fn named(uid: u32) -> String {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    name_of(uid, &users).map_or_else(|| format!("uid {uid}"), |name| format!("{name} (uid {uid})"))
}

/// passwd(5): name, password, uid, and more, parted by colons.
fn name_of(uid: u32, users: &str) -> Option<&str> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let own: u32 = fields.nth(1)?.parse().ok()?;
        (own == uid && !name.is_empty()).then_some(name)
    })
}

/// passwd(5): the fourth field is the user's own group, by number. group(5): name, password, number, and the names of its members.
fn user_of(uid: u32, users: &str, groups: &str) -> User {
    let name = name_of(uid, users);
    let own = users.lines().find_map(|line| {
        let fields: Vec<_> = line.split(':').collect();
        let is_it = fields.get(2).and_then(|own| own.parse().ok()) == Some(uid);
        fields.get(3).filter(|_| is_it)?.parse::<u32>().ok()
    });
    let is_in = |line: &&str| {
        let fields: Vec<_> = line.split(':').collect();
        let gid = fields.get(2).and_then(|gid| gid.parse::<u32>().ok());
        let is_own = gid.is_some() && gid == own;
        is_own || name.is_some_and(|name| fields.get(3).is_some_and(|members| members.split(',').any(|member| member == name)))
    };
    let names = groups.lines().filter(is_in).filter_map(|line| line.split(':').next());
    User { uid, name: name.map(str::to_owned), groups: names.map(str::to_owned).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_in_his_own_group_and_in_those_that_name_him() {
        let users = "root:x:0:0:root:/root:/bin/bash\nalice:x:1000:100::/home/alice:/bin/sh\n";
        let groups = "root:x:0:\nusers:x:100:\ndesk:x:101:bert,alice\nnight:x:102:alicea\nbroken\n";

        let alice = user_of(1000, users, groups);

        assert_eq!((alice.name.as_deref(), alice.groups), (Some("alice"), vec!["users".to_owned(), "desk".to_owned()]));
        assert_eq!(user_of(5, users, groups), User { uid: 5, name: None, groups: Vec::new() });
    }

    #[test]
    fn whoever_is_in_a_line_of_the_access_log_is_the_one_who_has_logged_in() {
        assert_eq!(person_in("root (uid 0), logged in as alice (uid 1000)"), Some(Person::Unix(1000)));
        assert_eq!(person_in("uid 7"), Some(Person::Unix(7)));
        assert_eq!(person_in("token wall"), Some(Person::Token("wall".into())));
        assert_eq!(person_in("the proxy"), None);
    }

    #[test]
    fn a_user_is_found_by_number() {
        let users = "root:x:0:0:root:/root:/bin/bash\nbroken\nalice:x:1000:1000::/home/alice:/bin/sh\n";

        assert_eq!(name_of(0, users), Some("root"));
        assert_eq!(name_of(1000, users), Some("alice"));
        assert_eq!(name_of(5, users), None);
    }
}
