//! What the tests against real peers share: the program as a child, its ports and configuration, peers, captures, sound.

pub(crate) mod authority;
pub(crate) mod baresip;
pub(crate) mod capture;
pub(crate) mod child;
pub(crate) mod crowd;
pub(crate) mod dice;
pub(crate) mod held;
pub(crate) mod image;
pub(crate) mod pair;
pub(crate) mod pcap;
pub(crate) mod phone;
pub(crate) mod ports;
pub(crate) mod reader;
pub(crate) mod schedule;
pub(crate) mod sipp;
pub(crate) mod site;
pub(crate) mod softhsm;
pub(crate) mod sound;
pub(crate) mod tunnel;
pub(crate) mod volume;
pub(crate) mod wire;

use std::time::{Duration, Instant};

/// Asks again and again, at first every few milliseconds, until there is an answer; panics with `what` after `patience`.
pub(crate) fn until<T>(what: &str, patience: Duration, mut asks: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + patience;
    let mut pause = Duration::from_millis(5);
    loop {
        if let Some(answer) = asks() {
            return answer;
        }
        assert!(Instant::now() < end, "waited {patience:?} in vain for {what}");
        std::thread::sleep(pause);
        // Other tests run in real time on the same cores: whoever waits for long asks seldom.
        pause = (pause * 2).min(Duration::from_millis(160));
    }
}

/// How long anything may take that takes a moment: long enough for two loaded cores, short enough to be seen as a failure.
pub(crate) const A_WHILE: Duration = Duration::from_secs(15);

/// The number that is called; no log, metric or error may hold it.
pub(crate) const CALLED: &str = "+4930123456";

/// The number that calls.
pub(crate) const CALLER: &str = "100";
