//! Who called whom stands in the ledger and inside the encryption, and nowhere else: not in a log, a metric, an error, or a file's name.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test may panic, and it is the shell that starts, waits and reads"
)]

#[allow(dead_code, reason = "each file of tests uses its part")]
mod support;

use rustix::process::Signal;
use support::child::Running;
use support::pair::{Pair, recordings_begun};
use support::site::{Site, files_under, policy, program};
use support::{A_WHILE, CALLED};

#[test]
fn no_number_no_call_id_and_no_key_is_logged_however_much_is_logged() {
    let site = Site::new(policy("announce"));
    let proxy = started_talkative(&site);
    let pair = Pair::new(&site);
    let talk = pair.call();
    recordings_begun(&site, 1.0);
    assert!(talk.out.line().unwrap().press('7'));
    assert_eq!(talk.into.info_key('7', A_WHILE).unwrap(), 200);
    let call_id = talk.out.id().to_owned();
    // What is refused, dropped or malformed is logged as well.
    let broken = format!("INVITE sip:{CALLED}@x SIP/2.0\r\nTo: \"\r\n\r\n");
    pair.pbx.send_raw(site.ports.proxy(), broken.as_bytes()).unwrap();
    let metrics = site.metrics();
    talk.caller_hangs_up();
    site.ledger(1);

    proxy.signal(Signal::TERM);
    let said = proxy.finish(A_WHILE).err;

    let digits = CALLED.trim_start_matches('+');
    for (text, name) in [(&said, "the log"), (&metrics, "the metrics")] {
        assert!(!text.contains(digits), "{name} holds the called number");
        assert!(!text.contains(&call_id), "{name} holds the Call-ID");
    }
    assert!(said.contains("call_ended"), "the log says something: {said}");
    assert!(!said.contains("Signal="), "the log holds a pressed key");
    let mut found = 0;
    let files = files_under(&site.data());
    assert!(
        files.iter().any(|file| file.extension().is_some_and(|ending| ending == "rec")),
        "a recording is among them: {files:?}"
    );
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        let is_ledger = file.file_name().unwrap().to_string_lossy().starts_with("ledger.db");
        let holds = |needle: &str| bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
        assert!(is_ledger || !(holds(digits) || holds(&call_id)), "{} holds who called whom", file.display());
        found += u32::from(holds(digits) && holds(&call_id));
    }
    assert!(found >= 1, "where they are, in the ledger, they are found");
}

/// The proxy with all that it can log.
fn started_talkative(site: &Site) -> Running {
    let mut command = program();
    command.arg("run").arg("--config").arg(site.config()).current_dir(site.path()).env("MITSCHNITT_LOG", "trace");
    let mut proxy = Running::start("mitschnitt run", &mut command);
    proxy.wait_for("mitschnitt ready", A_WHILE);
    proxy
}
