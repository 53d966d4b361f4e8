//! How the ledger's chain is published.

use std::time::Duration;

use crate::control::config::Audit;
use crate::control::config::section::{Notes, Section};

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
