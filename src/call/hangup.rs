//! The BYE that the product itself sends, on each half of a call (RFC 3261 §12.2.1.1, §15.1.1).
//!
//! A proxy has no dialog of its own; but one that records the route sees both route sets, both contacts and both CSeq spaces, so that it
//! can speak in the far party's name to each.

use bytes::Bytes;

use super::life::Call;
use crate::ids::Leg;
use crate::wire::sip::Name;

/// Makes the BYE for the party on this leg, as if the other had hung up; and the URI of its first hop.
///
/// `is_ours` knows our own values of `Record-Route`: one, or two where the call goes from one end of ours to another (RFC 5658 §6). Nothing
/// where a message that would be needed for it has no Contact.
pub(super) fn bye(call: &Call, dialog: usize, to: Leg, is_ours: impl Fn(&[u8]) -> bool) -> Option<(Vec<u8>, Bytes)> {
    let dialog = call.dialogs.get(dialog)?;
    let (invite, ok) = (&call.invite, dialog.accepted.as_ref()?);
    let (caller, callee) = (invite.value(Name::From)?, ok.value(Name::To)?);
    let to_caller = to == call.caller();
    let (contact, from, to_value) =
        if to_caller { (invite.contact().ok()??.uri, callee, caller) } else { (ok.contact().ok()??.uri, caller, callee) };
    let routes: Vec<&[u8]> = if to_caller {
        // What stands in the INVITE as it came is what lies between the caller and us, the nearest first.
        invite.values(Name::RecordRoute).collect()
    } else {
        // In the 2xx our own entries lie between the two halves: those before them are beyond us, the farthest first.
        let upstream = invite.values(Name::RecordRoute).count();
        let mut all: Vec<&[u8]> = ok.values(Name::RecordRoute).collect();
        all.truncate(all.len().saturating_sub(upstream + 1));
        all.pop_if(|value| is_ours(value));
        all.into_iter().rev().collect()
    };
    let [pbx, trunk] = dialog.cseq;
    let seen = if call.caller() == Leg::Pbx { [pbx, trunk] } else { [trunk, pbx] };
    let [callers, callees] = seen;
    let cseq = if to_caller { callees } else { callers }.saturating_add(1);

    let mut request = Vec::with_capacity(512);
    let mut line = |name: &str, value: &[u8]| {
        request.extend_from_slice(name.as_bytes());
        request.extend_from_slice(value);
        request.extend_from_slice(b"\r\n");
    };
    line("BYE ", &[contact, b" SIP/2.0"].concat());
    line("Max-Forwards: ", b"70");
    for route in &routes {
        line("Route: ", route);
    }
    line("From: ", from);
    line("To: ", to_value);
    line("Call-ID: ", invite.value(Name::CallId)?);
    line("CSeq: ", format!("{cseq} BYE").as_bytes());
    line("Content-Length: ", b"0");
    line("", b"");
    Some((first_hop(routes.first().copied(), contact), Bytes::from(request)))
}

fn first_hop(route: Option<&[u8]>, contact: &[u8]) -> Vec<u8> {
    let Some(route) = route else { return contact.to_vec() };
    let inside = route.iter().position(|&byte| byte == b'<').and_then(|at| route.get(at + 1..)).unwrap_or(route);
    inside.split(|&byte| byte == b'>').next().unwrap_or(inside).to_vec()
}
