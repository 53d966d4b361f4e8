//! Only the product's own media plane covers packets.

use mitschnitt::consent::{Covered, Permit};
use mitschnitt::ids::Leg;
use mitschnitt::time::Moment;

fn cover<'p>(permit: &Permit, packet: &'p [u8]) -> Option<Covered<'p>> {
    permit.cover(Leg::Pbx, Moment::START, packet)
}

fn main() {
    let _ = cover;
}
