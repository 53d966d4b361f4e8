//! A permit's constructor is for the consent machine alone.

use mitschnitt::consent::{Evidence, Permit};
use mitschnitt::ids::CallId;
use mitschnitt::time::Moment;

fn make(evidence: Evidence) -> Permit {
    Permit::new(CallId::from_u64(1), Moment::START, evidence)
}

fn main() {
    let _ = make;
}
