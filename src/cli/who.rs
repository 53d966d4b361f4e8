//! Who runs this: for the access log, and for telling why a file may not be read.

use std::fs;
use std::time::SystemTime;

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
pub(super) fn who() -> String {
    let uid = rustix::process::getuid().as_raw();
    let login = fs::read_to_string("/proc/self/loginuid").ok().and_then(|text| text.trim().parse::<u32>().ok());
    match login.filter(|&login| login != u32::MAX && login != uid) {
        Some(login) => format!("{}, logged in as {}", named(uid), named(login)),
        None => named(uid),
    }
}

/// Returns the time of day.
pub(super) fn now() -> Wall {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Wall::from_unix_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

fn named(uid: u32) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_number() {
        let users = "root:x:0:0:root:/root:/bin/bash\nbroken\nalice:x:1000:1000::/home/alice:/bin/sh\n";

        assert_eq!(name_of(0, users), Some("root"));
        assert_eq!(name_of(1000, users), Some("alice"));
        assert_eq!(name_of(5, users), None);
    }
}
