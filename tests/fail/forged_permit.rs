//! A permit is made by the consent machine alone: its fields are private.

use mitschnitt::consent::{Evidence, Permit};
use mitschnitt::ids::CallId;
use mitschnitt::time::Moment;

fn forge(call: CallId, granted: Moment, evidence: Box<Evidence>) -> Permit {
    Permit { call, granted, evidence }
}

fn main() {
    let _ = forge;
}
