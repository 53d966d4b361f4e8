//! Makes a world that fails as small as it can be and still fail.

use std::fmt::Write as _;

use super::holds;
use super::world::Plan;

/// A small world that fails, and how.
pub struct Small {
    calls: Vec<u32>,
    faults: Vec<usize>,
    pub failure: String,
}

/// Worlds that are tried at most to make one smaller.
const TRIES: usize = 200;

impl Small {
    /// What to type to see it again.
    pub fn command(&self, seed: u64, calls: u32) -> String {
        let list = |numbers: Vec<String>| numbers.join(",");
        let mut text = format!("SEED={seed} CALLS={calls}");
        write!(text, " KEEP={}", list(self.calls.iter().map(u32::to_string).collect())).expect("a string takes all");
        write!(text, " FAULTS={}", list(self.faults.iter().map(usize::to_string).collect())).expect("a string takes all");
        text + " cargo test --test sim"
    }
}

/// Leaves out of a plan what the environment does not keep.
pub fn kept(plan: Plan) -> Plan {
    let list = |name: &str| -> Option<Vec<u32>> {
        let text = std::env::var(name).ok()?;
        Some(text.split(',').filter(|part| !part.is_empty()).map(|part| part.parse().expect("a number")).collect())
    };
    let (keep, faults) = (list("KEEP"), list("FAULTS"));
    if keep.is_none() && faults.is_none() {
        return plan;
    }
    let calls = keep.unwrap_or_else(|| plan.calls.iter().map(|call| call.number).collect());
    let faults = faults
        .map_or_else(|| (0..plan.faults.len()).collect(), |faults| faults.iter().map(|&at| at as usize).collect::<Vec<_>>());
    plan.only(&calls, &faults)
}

/// Makes a failing plan smaller while it fails in the same way: half of what is left is left out, then a quarter, and so on.
pub fn smallest(plan: &Plan, failure: &str) -> Small {
    let kind = |failure: &str| failure.split([' ', ':']).next().unwrap_or_default().to_owned();
    let wanted = kind(failure);
    let mut small = Small {
        calls: plan.calls.iter().map(|call| call.number).collect(),
        faults: (0..plan.faults.len()).collect(),
        failure: failure.to_owned(),
    };
    let mut tries = 0;
    let mut fails = |calls: &[u32], faults: &[usize]| {
        tries += 1;
        let failure = (tries <= TRIES).then(|| holds(&plan.only(calls, faults)).err()).flatten()?;
        (kind(&failure) == wanted).then_some(failure)
    };
    let mut step = small.calls.len().max(small.faults.len()).max(1);
    while step > 0 {
        let mut at = 0;
        while at < small.calls.len() {
            let mut calls = small.calls.clone();
            calls.drain(at..(at + step).min(calls.len()));
            match fails(&calls, &small.faults) {
                Some(failure) => (small.calls, small.failure) = (calls, failure),
                None => at += step,
            }
        }
        let mut at = 0;
        while at < small.faults.len() {
            let mut faults = small.faults.clone();
            faults.drain(at..(at + step).min(faults.len()));
            match fails(&small.calls, &faults) {
                Some(failure) => (small.faults, small.failure) = (faults, failure),
                None => at += step,
            }
        }
        step /= 2;
    }
    small
}
