//! The proxy on the kernel's ring (`io = "io_uring"`): a call over it is like any other.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test may panic, and it is the shell that starts, waits, reads and listens"
)]

#[allow(dead_code, reason = "each file of tests uses its part")]
mod support;

use support::child::Running;
use support::pair::Pair;
use support::reader;
use support::site::{Site, policy};

#[test]
fn calls_over_the_ring_are_announced_heard_and_recorded_whole() {
    let site = Site::new(policy("announce"));
    site.set("[media]", "io = \"io_uring\"");
    let proxy = site.start();
    assert!(has_a_ring(&proxy), "it is the ring that is tested");
    let pair = Pair::new(&site);
    let mut seen = Vec::new();

    // One after the other, so that the second may have the first one's sockets' numbers.
    for nth in 1..=2_u32 {
        let talk = pair.recorded_call(&site, f64::from(nth));
        talk.each_is_heard(50);
        talk.both_fall_silent();
        talk.caller_hangs_up();

        let rows = site.ledger(nth as usize);
        let mut ids = rows.iter().map(|row| row["recording"].as_str().unwrap().to_owned());
        let id = ids.find(|id| !seen.contains(id)).unwrap();
        site.verify(&id);
        let opened = reader::open(&site, &id);
        for (leg, call) in talk.legs() {
            assert_eq!(opened.run(leg, call).missing().len(), 0, "{leg}: to the last word");
        }
        seen.push(id);
    }
}

/// Whether the process has a ring of the kernel's open.
fn has_a_ring(proxy: &Running) -> bool {
    let open = std::fs::read_dir(format!("/proc/{}/fd", proxy.pid())).unwrap();
    open.filter_map(|fd| std::fs::read_link(fd.unwrap().path()).ok()).any(|to| to.as_os_str() == "anon_inode:[io_uring]")
}
