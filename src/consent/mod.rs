//! Who must be told, who agreed, and the permit without which nothing is recorded.
//!
//! The room decides one question for each call: may it be recorded? It is told facts (an announcement was played to its end, a key was
//! pressed), and once the terms are met it makes one [`Permit`]. Whoever records needs that permit: see `permit.rs` for what the
//! compiler refuses.

mod announcement;
mod evidence;
mod machine;
mod permit;
mod register;
mod terms;

pub use announcement::{Clip, Cut, EmptyClip, Frame, OwnRange, Played, Player, SentAs};
pub use evidence::{AnnouncementPlayed, ConsentGiven, Evidence, Facts, How, Parties};
pub use machine::{By, Consent, Fact, Heard, Output, Refusal, Standing};
pub use permit::{Covered, Permit};
pub use register::{Prior, Register, Stands};
pub use terms::{Mode, PriorTerms, Registered, Terms, WithoutConsent};
