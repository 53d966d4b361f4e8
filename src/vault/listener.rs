//! Who may listen to what, and when recordings are sealed to them.

use crate::time::{Period, Wall};
use crate::vault::Recipient;

/// One who may listen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listener {
    /// To recordings made for these purposes.
    pub purposes: Vec<String>,
    /// With this key.
    pub key: Recipient,
    /// Recordings that begin in this period are sealed to them. What was sealed before it ended they can open ever after.
    pub period: Period,
}

impl Listener {
    /// Returns whether a recording for this purpose that begins now is sealed to them.
    #[must_use]
    pub fn hears(&self, purpose: &str, now: Wall) -> bool {
        self.period.covers(now) && self.purposes.iter().any(|own| own == purpose)
    }
}
