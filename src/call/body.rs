//! Session descriptions in the bodies of messages: where they stand, whether they can be read, and what is put in their place.

use std::ops::Range;

use bytes::Bytes;

use super::anchor::{self, Unreadable};
use crate::wire::sdp::{self, Sdp};
use crate::wire::sip::{Message, Name};

/// A header field of a response of our own.
pub(super) type Extra = (&'static str, String);

/// Where the session description stands in a message's body: it is the body, or a part of a multipart one.
pub(super) fn sdp_of(message: &Message) -> Option<Range<usize>> {
    if message.body().is_empty() || is_encoded(message) {
        return None;
    }
    sdp::find(message.value(Name::ContentType)?, message.body())
}

/// Whether a session description may stand in a message's body that we do not find, and somebody else may.
pub(super) fn is_hidden(message: &Message) -> bool {
    let may_be = |content_type| {
        if is_encoded(message) { sdp::may_describe(content_type) } else { sdp::is_hidden(content_type, message.body()) }
    };
    message.value(Name::ContentType).is_some_and(may_be)
}

/// What to answer a request whose description is hidden: of one that is compressed, say, that we take it as it is (RFC 3261 §8.2.3).
pub(super) fn refusal(request: &Message) -> (u16, Option<Extra>) {
    if is_encoded(request) && is_hidden(request) { (415, Some(("Accept-Encoding", "identity".to_owned()))) } else { (488, None) }
}

/// Whether a body is there and not as it reads: compressed, say (RFC 3261 §20.12).
fn is_encoded(message: &Message) -> bool {
    !message.body().is_empty() && message.values(Name::ContentEncoding).any(|coding| !coding.eq_ignore_ascii_case(b"identity"))
}

/// Reads the session description that stands there.
pub(super) fn read(message: &Message, at: &Range<usize>) -> Result<Sdp, Unreadable> {
    anchor::read(message.body().get(at.clone()).unwrap_or_default())
}

/// The body for a message whose session description cannot be given ports of ours: each media is rejected (port 0), or, where the
/// description cannot be read, it is left out, so that no media goes past us; where it cannot even be found, the whole body is. Nothing
/// where the message describes no session.
pub(super) fn without_media(message: &Message) -> Option<Bytes> {
    let Some(at) = sdp_of(message) else { return is_hidden(message).then(Bytes::new) };
    let rejected = read(message, &at).map(|sdp| sdp.rejected()).unwrap_or_default();
    Some(with(message, at, rejected))
}

/// The body with another session description in the place of its own.
pub(super) fn with(message: &Message, at: Range<usize>, anchored: Vec<u8>) -> Bytes {
    if at == (0..message.body().len()) {
        return Bytes::from(anchored);
    }
    let (before, after) = (message.body().get(..at.start).unwrap_or_default(), message.body().get(at.end..).unwrap_or_default());
    Bytes::from([before, &anchored, after].concat())
}
