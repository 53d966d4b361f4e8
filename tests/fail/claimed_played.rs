//! That an announcement was played is said by the player alone: the witness's field is private to its file.

use mitschnitt::consent::Played;
use mitschnitt::ids::Leg;

fn claim() -> Played {
    Played(Leg::Trunk)
}

fn main() {
    let _ = claim;
}
