//! The handle by which a call is known again in what follows within its dialogs: it stands in our `Record-Route`, so that whoever sends a
//! request within a dialog of ours brings it back in his `Route` (RFC 3261 §12.2.1.1).
//!
//! ```text
//!  16 hexadecimal digits   the call's number
//!  20                      HMAC-SHA-256 of that and the Call-ID, with a key of this node, its first 80 bits
//! ```
//!
//! So a handle that was not made here, or was made for another call, is told from one that was: after a restart as well, for the key is the
//! node's. Hexadecimal, because some elements do not keep the case of what they copy.

use hmac::{Hmac, KeyInit, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::registration::from_hex;
use crate::ids::CallId;

/// The key by which this node knows its own handles again.
///
/// It has no `Debug` that tells it; it is wiped when it is dropped.
pub struct HandleKey(Zeroizing<[u8; 32]>);

/// Digits of the call's number.
const NUMBER_LEN: usize = 16;

/// Bytes of the tag: as many as RFC 2104 §5 asks for at least.
const TAG_LEN: usize = 10;

/// A handle that this node has not made for a call with this Call-ID.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Forged;

impl HandleKey {
    /// Takes a key that stays the same for as long as calls are to be known again.
    #[must_use]
    pub const fn new(key: Zeroizing<[u8; 32]>) -> Self {
        Self(key)
    }

    /// Returns the handle of a call.
    pub(super) fn handle(&self, call: CallId, call_id: &[u8]) -> Box<str> {
        let tag = self.mac(call, call_id).finalize().into_bytes();
        let tag: String = tag.iter().take(TAG_LEN).map(|byte| format!("{byte:02x}")).collect();
        format!("{call}{tag}").into()
    }

    /// Returns the call that a handle names in a request with this Call-ID.
    ///
    /// # Errors
    /// It is not one of this node's for such a call.
    pub(super) fn call(&self, handle: &[u8], call_id: &[u8]) -> Result<CallId, Forged> {
        let text = str::from_utf8(handle).map_err(|_| Forged)?;
        let (number, tag) = text.split_at_checked(NUMBER_LEN).ok_or(Forged)?;
        let call: CallId = number.parse().map_err(|_| Forged)?;
        // A shorter one would be easier to guess.
        let tag = from_hex(tag.as_bytes()).filter(|tag| tag.len() == TAG_LEN).ok_or(Forged)?;
        self.mac(call, call_id).verify_truncated_left(&tag).map(|()| call).map_err(|_| Forged)
    }

    fn mac(&self, call: CallId, call_id: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_slice()).expect("a key of HMAC may have any length");
        mac.update(&call.as_u64().to_be_bytes());
        mac.update(call_id);
        mac
    }
}

impl std::fmt::Debug for HandleKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HandleKey")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    const CALL: CallId = CallId::from_u64(0x0123_4567_89ab_cdef);

    #[test]
    fn a_handle_names_its_call_whoever_has_changed_its_case() {
        let key = key(7);

        let handle = key.handle(CALL, b"a@h");

        assert_eq!(handle.len(), 36);
        assert_eq!(key.call(handle.as_bytes(), b"a@h"), Ok(CALL));
        assert_eq!(key.call(handle.to_uppercase().as_bytes(), b"a@h"), Ok(CALL));
    }

    #[test]
    fn what_this_node_has_not_made_for_the_call_is_forged() {
        let key = key(7);
        let handle = key.handle(CALL, b"a@h");

        assert_eq!(key.call(handle.as_bytes(), b"b@h"), Err(Forged), "it is another call's");
        assert_eq!(self::key(8).call(handle.as_bytes(), b"a@h"), Err(Forged), "another node has made it");
        for at in 0..handle.len() {
            let mut changed = handle.as_bytes().to_vec();
            changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
            assert_eq!(key.call(&changed, b"a@h"), Err(Forged), "{at}");
            assert_eq!(key.call(&handle.as_bytes()[..at], b"a@h"), Err(Forged), "{at} digits");
        }
        for other in [&b""[..], b"+123456789abcdef", b"\xff", "0123456789abcdeäää".as_bytes(), &[b'+'; 36]] {
            assert_eq!(key.call(other, b"a@h"), Err(Forged), "{other:?}");
        }
        assert_eq!(key.call(format!("{handle}0").as_bytes(), b"a@h"), Err(Forged));
    }

    fn key(byte: u8) -> HandleKey {
        HandleKey::new(Zeroizing::new([byte; 32]))
    }
}
