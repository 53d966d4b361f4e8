//! Randomness from the system, for keys and seeds; drawn here and nowhere else.

use std::io;

use zeroize::Zeroizing;

use crate::vault::{CryptoRng, UnwrapErr};

/// Returns a random number from the system.
///
/// # Errors
/// The system gives no randomness: nothing can be begun without it.
pub(super) fn seed() -> io::Result<u64> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(u64::from_ne_bytes(bytes))
}

/// Returns 32 random bytes from the system.
///
/// # Errors
/// The system gives no randomness.
pub(super) fn secret() -> io::Result<Zeroizing<[u8; 32]>> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(bytes.as_mut_slice()).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(bytes)
}

/// Returns the system's random source, for keys.
///
/// # Panics
/// When it is read and the system gives no randomness: nothing may go on then.
pub(super) const fn source() -> impl CryptoRng {
    UnwrapErr(getrandom::SysRng)
}
