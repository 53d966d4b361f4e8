//! Faults that are built in on purpose, for `tests/sabotage.rs` to see each caught: an alarm that has never rung proves nothing.
//!
//! In the product there is none: only what is compiled with `--cfg sabotage` has them, all of them asleep, and wakes the one that the
//! environment names (`SABOTAGE=leak-a-port`). So they cost one build and not one each.

/// Whether this fault is awake: never in the product.
#[cfg(not(sabotage))]
pub(crate) const fn is(_fault: &str) -> bool {
    false
}

/// Whether this fault is awake.
#[cfg(sabotage)]
pub(crate) fn is(fault: &str) -> bool {
    static AWAKE: std::sync::LazyLock<Option<String>> = std::sync::LazyLock::new(|| std::env::var("SABOTAGE").ok());
    AWAKE.as_deref() == Some(fault)
}
