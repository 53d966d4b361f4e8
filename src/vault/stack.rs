//! The stack that secrets were used on, written over with zeros: crates wipe what they own, and not the copies that calls and moves leave behind.

use std::hint::black_box;

/// Does something with secrets, and then writes zeros over `BYTES` of the stack below this, on which it was done.
///
/// What it returns lies above; a secret in that is on the heap, or the caller's to wipe. Registers are not wiped. That the compiler lays frames
/// one below the other is no promise of the language's: `tests/memory.rs` looks for what was left.
pub(super) fn wiped<const BYTES: usize, R>(with_secrets: impl FnOnce() -> R) -> R {
    let done = apart(with_secrets);
    write_over::<BYTES>();
    done
}

/// In a frame of its own, below the caller's.
#[inline(never)]
fn apart<R>(with_secrets: impl FnOnce() -> R) -> R {
    black_box(with_secrets())
}

/// The same place, and deeper.
#[inline(never)]
fn write_over<const BYTES: usize>() {
    black_box(&mut [0_u8; BYTES]);
}
