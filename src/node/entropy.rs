//! Randomness from the system, for keys and seeds; drawn here and nowhere else.

use std::io;

/// Returns a random number from the system.
///
/// # Errors
/// The system gives no randomness: nothing can be begun without it.
pub(super) fn seed() -> io::Result<u64> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(u64::from_ne_bytes(bytes))
}
