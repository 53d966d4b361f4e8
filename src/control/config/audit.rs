//! How the ledger's chain is published, and who gives timestamps.

use std::time::Duration;

use crate::control::config::section::{Notes, Section, printable};
use crate::control::config::{Audit, Authority, Timestamps};

/// How often a head is published, where nothing is said: so much of the ledger an intruder could write anew.
const EVERY_S: u64 = 3600;

impl Default for Audit {
    fn default() -> Self {
        Self { publish_every: Duration::from_secs(EVERY_S) }
    }
}

/// Reads `[audit]`.
pub(super) fn audit(section: &Section<'_>, notes: &mut Notes) -> Option<Audit> {
    let key = "publish_head_every_s";
    if section.line_of(key, notes).is_none() {
        return Some(Audit::default());
    }
    let found = section.number(key, 1..=86_400, "of seconds", notes)?;
    Some(Audit { publish_every: Duration::from_secs(found.value) })
}

/// Reads `[timestamps]`; without a `url` nobody is asked.
pub(super) fn timestamps(section: &Section<'_>, notes: &mut Notes) -> Option<Option<Timestamps>> {
    let words = [("no", false), ("yes", true)];
    let each_recording = section.word_or("each_recording", &words, false, notes)?;
    if section.line_of("url", notes).is_none() {
        return Some(None);
    }
    let found = section.text("url", EXAMPLE, notes)?;
    let authority = authority(&found.value);
    if authority.is_none() {
        let what = format!("`url` of [timestamps] cannot be `{}`", printable(&found.value));
        let remedy = format!(
            "it begins with http://, which is enough: only digests go there, and what comes back is signed; for example: url = {EXAMPLE}"
        );
        notes.error(found.line, what, remedy);
    }
    let certificate = match section.line_of("certificate", notes) {
        None => None,
        Some(_) => {
            let found = section.text("certificate", "\"/etc/mitschnitt/authority.pem\"", notes)?;
            Some((found.value.into(), found.line))
        }
    };
    Some(Some(Timestamps { authority: authority?, each_recording, certificate }))
}

const EXAMPLE: &str = "\"http://timestamp.example.com/tsa\"";

/// Reads `http://HOST[:PORT][/PATH]`.
fn authority(url: &str) -> Option<Authority> {
    place(url.strip_prefix("http://")?, 80)
}

/// Reads what stands in a URL behind its scheme: `HOST[:PORT][/PATH]`.
pub(super) fn place(rest: &str, port: u16) -> Option<Authority> {
    let rest = Some(rest).filter(|rest| rest.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'))?;
    let (place, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    // An address of IPv6 stands in brackets, and colons in these are its own.
    let (host, port) = match place.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
        Some((host, named)) => (host, named.parse().ok().filter(|&port| port != 0)?),
        None => (place, port),
    };
    let bare = host.strip_prefix('[').map_or(Some(host), |host| host.strip_suffix(']'))?;
    let is_one = !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.:_".contains(&byte));
    is_one.then(|| Authority { host: bare.into(), port, path: path.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_a_host_a_port_and_a_path() {
        let read = |url| authority(url).map(|Authority { host, port, path }| (host, port, path));
        let some = |host: &str, port, path: &str| Some((host.to_owned(), port, path.to_owned()));

        assert_eq!(read("http://tsa.example.com"), some("tsa.example.com", 80, "/"));
        assert_eq!(read("http://tsa.example.com:3180/tsr?x=1"), some("tsa.example.com", 3180, "/tsr?x=1"));
        assert_eq!(read("http://[2001:db8::1]:3180/"), some("2001:db8::1", 3180, "/"));
        assert_eq!(read("http://[2001:db8::1]"), some("2001:db8::1", 80, "/"));
        for url in [
            "https://tsa.example.com",
            "tsa.example.com",
            "http://",
            "http:///x",
            "http://a b",
            "http://u@h",
            "http://h:0",
            "http://h:x",
            "http://[::1",
        ] {
            assert_eq!(read(url), None, "{url}");
        }
    }
}
