//! A permit cannot be had twice: whoever gives it away has it no longer.

use mitschnitt::consent::Permit;

fn twice(permit: Permit) -> (Permit, Permit) {
    (permit.clone(), permit)
}

fn main() {
    let _ = twice;
}
