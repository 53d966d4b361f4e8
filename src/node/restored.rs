//! Calls that were up when the last process ended.

use crate::call::{Kept, PortPair};
use crate::catalogue::KeptCall;
use crate::ids::Leg;
use crate::limits::CALL_KEPT;
use crate::node::sockets::Sockets;
use crate::time::{Moment, Wall};

/// Reads what is kept of a call; it is `now`.
///
/// # Errors
/// It cannot be read, or is older than [`CALL_KEPT`]; the text says which.
pub(super) fn read(row: &KeptCall, now: Wall) -> Result<Kept, String> {
    let age_us = u64::try_from(now.unix_micros().saturating_sub(row.at.unix_micros())).unwrap_or(0);
    if u128::from(age_us) > CALL_KEPT.as_micros() {
        return Err(format!("nothing was heard of it for {} hours", age_us / 3_600_000_000));
    }
    Kept::read(row.kept.reveal()).map_err(|error| error.to_string())
}

/// The ports of each line of a call, by the leg that they face.
pub(super) type Ports = Vec<[Option<PortPair>; 2]>;

/// Opens the ports that a call had.
pub(super) fn ports(kept: &Kept, sockets: &mut Sockets, now: Moment) -> Ports {
    let mut again = |leg: Leg, port: Option<u16>| port.and_then(|port| sockets.open_again(leg, port, now));
    kept.ports().iter().map(|&[pbx, trunk]| [again(Leg::Pbx, pbx), again(Leg::Trunk, trunk)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::CallId;
    use crate::private::Private;

    #[test]
    fn what_is_older_than_any_call_or_cannot_be_read_is_not_restored() {
        let row = KeptCall { call: CallId::from_u64(1), at: Wall::from_unix_micros(0), kept: Private::new(b"{}".to_vec()) };
        let at = |micros: u128| Wall::from_unix_micros(i64::try_from(micros).unwrap_or(i64::MAX));

        let old = read(&row, at(CALL_KEPT.as_micros() + 1)).map(|_| ()).unwrap_err();
        let odd = read(&row, at(CALL_KEPT.as_micros())).map(|_| ()).unwrap_err();

        assert_eq!(old, "nothing was heard of it for 12 hours");
        assert_eq!(odd, "this is not what a call was kept as, or a later version has kept it");
    }
}
