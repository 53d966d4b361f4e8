//! Whether a request calls for help: such a call is always passed.

use crate::wire::sip::{Message, Uri};

/// Returns whether a request goes to one of these numbers, or to the emergency service by its name (RFC 5031 §4.2).
#[must_use]
pub fn calls_for_help(request: &Message, numbers: &[String]) -> bool {
    const SOS: &[u8] = b"urn:service:sos";
    let uri = request.request_uri().unwrap_or_default();
    let is_sos = uri.get(..SOS.len()).is_some_and(|start| start.eq_ignore_ascii_case(SOS))
        && matches!(uri.get(SOS.len()), None | Some(b'.'));
    let called = || Uri::parse(uri).ok().and_then(|uri| uri.number()).unwrap_or_default();
    is_sos || (!numbers.is_empty() && numbers.contains(called().reveal()))
}
