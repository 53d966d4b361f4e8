//! The web hook that is asked about calls.

use std::net::IpAddr;
use std::time::Duration;

use crate::control::config::audit::place;
use crate::control::config::section::{Found, Notes, Section, printable};
use crate::control::config::{Hook, HookTls, Policy};
use crate::tls::SYSTEM_AUTHORITIES;

const EXAMPLE: &str = "\"https://crm.example.com/consent\"";

/// How long an answer is waited for, where nothing is said, in milliseconds: shorter than most telephones ring.
const DEADLINE_MS: u64 = 1500;

/// The longest deadline, in milliseconds: who answers the telephone at once waits so long for the announcement.
const LONGEST_DEADLINE_MS: u64 = 10_000;

/// Reads `[hook]`.
pub(super) fn hook(section: &Section<'_>, notes: &mut Notes) -> Option<Hook> {
    let url = section.required("url", EXAMPLE, notes);
    let secret = section.required("secret", "\"/etc/mitschnitt/hook.secret\"", notes);
    let deadline = section.number("deadline_ms", 50..=LONGEST_DEADLINE_MS, "of milliseconds", notes);
    let file = |setting: &str, example: &str, notes: &mut Notes| {
        section.line_of(setting, notes).and_then(|_| section.text(setting, example, notes)).map(|found| found.value.into())
    };
    let certificate = file("certificate", "\"/etc/mitschnitt/hook.crt.pem\"", notes);
    let private_key = file("private_key", "\"/etc/mitschnitt/hook.key.pem\"", notes);
    let authorities = file("authorities", &format!("\"{SYSTEM_AUTHORITIES}\""), notes);
    if certificate.is_some() != private_key.is_some() {
        let what = "[hook] has one half of `certificate` and `private_key`";
        notes.error(section.line, what, "name both, or none: then the hook is not shown a certificate");
        return None;
    }
    let Found { value: url, line } = url?;
    let secure = url.strip_prefix("https://");
    let is_secure = secure.is_some();
    let rest = secure.or_else(|| url.strip_prefix("http://"));
    let Some(at) = rest.and_then(|rest| place(rest, if is_secure { 443 } else { 80 })) else {
        let what = format!("`url` of [hook] cannot be `{}`", printable(&url));
        notes.error(line, what, format!("for example: url = {EXAMPLE}"));
        return None;
    };
    let is_here = at.host == "localhost" || at.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if !is_secure && !is_here {
        let what = "`url` of [hook] would have telephone numbers go over the network in the clear";
        notes.error(line, what, "write https://; http:// is for this machine alone, as http://127.0.0.1:8080/consent");
        return None;
    }
    let tls = is_secure.then(|| HookTls {
        client: certificate.zip(private_key),
        authorities: authorities.unwrap_or_else(|| SYSTEM_AUTHORITIES.into()),
    });
    let deadline = Duration::from_millis(deadline.map_or(DEADLINE_MS, |found| found.value));
    Some(Hook { at, tls, secret: secret?.value.into(), deadline, line })
}

/// Weighs it against the policies.
pub(super) fn check_together(hook: Option<&Hook>, policies: &[Found<Policy>], notes: &mut Notes) {
    let asks = |found: &&Found<Policy>| found.value.terms.as_ref().is_some_and(|terms| terms.hook.is_some());
    match (hook, policies.iter().find(asks)) {
        (None, Some(Found { value: policy, line })) => {
            let what = format!("policy `{}` asks a web hook, and there is no section [hook]", policy.name);
            notes.missing(
                *line,
                what,
                format!("write [hook], and below it: url = {EXAMPLE} and secret = \"/etc/mitschnitt/hook.secret\""),
            );
        }
        (Some(hook), None) if notes.errors() == 0 => {
            let remedy = "write web_hook = \"ask\" or \"deny\" in those that are to ask it, or leave the section out";
            notes.warning(hook.line, "there is a section [hook], and no policy asks it", remedy);
        }
        (Some(_) | None, _) => {}
    }
}
