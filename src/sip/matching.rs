//! Which request belongs to which server transaction (RFC 3261 §17.2.3), as a key of bytes.

use crate::wire::sip::{Message, Method, Via};

/// Writes the key under which the transaction of a request with this method is found; `false` where the request names none.
///
/// With the cookie: branch, sent-by and method. Without it, as RFC 2543 had it: Request-URI, tags, Call-ID, CSeq number, topmost Via and
/// method; the To tag not for INVITE, whose ACK has another. The method is given apart, since an ACK looks for its INVITE and a CANCEL
/// for the request that it cancels.
pub(super) fn write_key(request: &Message, method: Method<'_>, key: &mut Vec<u8>) -> bool {
    key.clear();
    let Ok(via) = request.top_via() else { return false };
    match via.branch {
        // The cookie alone names nothing (RFC 4475 §3.2.1).
        Some(branch) if branch.len() > Via::COOKIE.len() && branch.starts_with(Via::COOKIE) => {
            key.push(b'3');
            field(key, method.as_bytes());
            field(key, branch);
            // The case of a host does not matter (RFC 3261 §7.3.1).
            field(key, via.host);
            key.iter_mut().rev().take(via.host.len()).for_each(u8::make_ascii_lowercase);
            key.extend_from_slice(&via.port.unwrap_or(0).to_be_bytes());
            true
        }
        Some(_) | None => {
            let (Ok(from), Ok(to), Ok(call_id), Ok(cseq)) = (request.from(), request.to(), request.call_id(), request.cseq())
            else {
                return false;
            };
            key.push(b'2');
            field(key, method.as_bytes());
            field(key, via.raw);
            field(key, request.request_uri().unwrap_or_default());
            field(key, from.tag().unwrap_or_default());
            if method != Method::Invite {
                field(key, to.tag().unwrap_or_default());
            }
            field(key, call_id);
            key.extend_from_slice(&cseq.number.to_be_bytes());
            true
        }
    }
}

/// Appends a field after its length, so that two lists of fields are never one key.
fn field(key: &mut Vec<u8>, field: &[u8]) {
    key.extend_from_slice(&u16::try_from(field.len()).unwrap_or(u16::MAX).to_be_bytes());
    key.extend_from_slice(field);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use bytes::Bytes;

    use super::*;

    const REQUEST: &str = "INVITE sip:b@h.test SIP/2.0\r\nVia: SIP/2.0/UDP h.test;branch=z9hG4bK1\r\nFrom: <sip:a@h.test>;tag=1\r\n\
        To: <sip:b@h.test>\r\nCall-ID: c1\r\nCSeq: 1 INVITE\r\n\r\n";

    #[test]
    fn with_the_cookie_branch_sent_by_and_method_decide() {
        let same = |old, new| key(REQUEST, Method::Invite) == key(&REQUEST.replacen(old, new, 1), Method::Invite);

        assert!(same("h.test;branch", "H.TEST;branch") && same("tag=1", "tag=2") && same("CSeq: 1", "CSeq: 2"));
        assert!(!same("bK1", "bK2") && !same("UDP h.test", "UDP i.test") && !same("UDP h.test", "UDP h.test:5060"));
        assert_ne!(key(REQUEST, Method::Invite), key(REQUEST, Method::Bye));
    }

    #[test]
    fn without_the_cookie_the_fields_of_rfc_2543_decide() {
        for branch in ["", ";branch=1", ";branch=z9hG4bK"] {
            let old = REQUEST.replace(";branch=z9hG4bK1", branch);
            let same = |from, to, method| key(&old, method) == key(&old.replacen(from, to, 1), method);

            assert!(same("To: <sip:b@h.test>", "To: <sip:b@h.test>;tag=9", Method::Invite), "an ACK finds its INVITE");
            assert!(!same("To: <sip:b@h.test>", "To: <sip:b@h.test>;tag=9", Method::Bye));
            for (from, to) in
                [("UDP h.test", "UDP i.test"), ("sip:b@", "sip:c@"), ("tag=1", "tag=2"), ("c1", "c2"), ("CSeq: 1", "CSeq: 2")]
            {
                assert!(!same(from, to, Method::Invite), "{to}");
            }
        }
    }

    #[test]
    fn a_request_without_its_fields_names_no_transaction() {
        assert_eq!(key(&REQUEST.replace("Via", "X"), Method::Invite), None);
        assert_eq!(key(&REQUEST.replace(";branch=z9hG4bK1", "").replace("Call-ID", "X"), Method::Invite), None);
    }

    fn key(request: &str, method: Method<'_>) -> Option<Vec<u8>> {
        let request = Message::parse_datagram(Bytes::copy_from_slice(request.as_bytes())).unwrap();
        let mut key = Vec::new();
        write_key(&request, method, &mut key).then_some(key)
    }
}
