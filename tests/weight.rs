//! What calls weigh while they are up, and that nothing of them is left when they are over: the heap of the table of calls, counted.
//!
//! `CALLS=100000 cargo test --release --test weight -- --nocapture` for the figures of `src/manual/promises.md`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod call_scene;
#[path = "support/heap.rs"]
#[allow(dead_code, unreachable_pub, clippy::cast_possible_wrap, reason = "each file of tests uses its part")]
mod heap;

use call_scene::Calls;

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

/// What 10,000 established dialogs without media may have of memory in all.
const TEN_THOUSAND: i64 = 200_000_000;

/// For how long a call's last transaction is kept: 64·T1, and some more.
const FORGOTTEN_AFTER_MS: u64 = 40_000;

fn calls() -> usize {
    std::env::var("CALLS").ok().and_then(|calls| calls.parse().ok()).unwrap_or(6_000)
}

#[test]
fn ten_thousand_calls_that_are_up_weigh_less_than_two_hundred_megabytes() {
    let mut world = Calls::new();
    let before = heap::live();

    for _ in 0..2_000 {
        world.set_up();
        world.others.clear();
    }
    world.run_for(FORGOTTEN_AFTER_MS);
    world.others.clear();

    assert_eq!(world.table.count(), 2_000);
    let each = (heap::live() - before) / 2_000;
    println!("{each} bytes of the heap for each call that is up");
    assert!(each * 10_000 < TEN_THOUSAND, "{each} bytes each");
    assert_eq!(world.table.stack().transactions(), 0, "of their setting up nothing is kept but the dialogs");
}

#[test]
fn of_calls_that_are_over_nothing_is_left() {
    let mut world = Calls::new();
    // The tables have grown to what the busiest moment needs.
    let batch = 500;
    let after_batch = |world: &mut Calls| {
        for _ in 0..batch {
            let id = world.set_up();
            world.hang_up(&id);
            world.others.clear();
        }
        world.run_for(FORGOTTEN_AFTER_MS);
        world.sent = Vec::new();
        world.others = Vec::new();
        assert_eq!((world.table.count(), world.table.stack().transactions()), (0, 0));
        heap::live()
    };
    let after = |world: &mut Calls, calls: usize| (0..calls / batch).map(|_| after_batch(world)).last().unwrap();
    let begun = after(&mut world, 4 * batch);

    let half = (calls() - 4 * batch) / 2;
    let (first, second) = (after(&mut world, half), after(&mut world, half));
    let grown = [first - begun, second - first];

    println!("{half} calls, and as many again: {grown:?} bytes more than before");
    // A leak shows in both halves. A hash table may double once more, long after the busiest moment: what was taken out of it has filled it.
    assert!(grown[0].min(grown[1]) < 4096, "{grown:?} bytes are left of {half} calls each");
}
