//! The operator's language: what may be configured, what may be asked of a running proxy, and what it answers.

pub mod api;
pub mod config;
mod log;
mod masked;
mod reply;
mod request;
pub mod row;
mod trouble;
mod witnessed;

pub use config::{Mistake, Settings};
pub use log::{log_reached, log_silence, log_story};
pub use masked::masked;
pub use reply::{Consent, Done, LiveCall, LiveState, NotDone, Reply, Standing, Status, TrunkAddress};
pub use request::Request;
pub use trouble::Trouble;
pub use witnessed::witnessed;
