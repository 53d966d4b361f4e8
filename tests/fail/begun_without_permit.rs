//! A recording does not begin by evidence alone: it takes the permit.

use mitschnitt::consent::Evidence;
use mitschnitt::vault::{Buffers, Recorder};

fn begin(evidence: &Evidence, buffers: &Buffers) -> Recorder {
    Recorder::begin(evidence, buffers)
}

fn main() {
    let _ = begin;
}
