//! SRTP with one party: what comes from it is opened before anything else is thought of it, what goes to it is sealed last of all.

use crate::media::Srtp;
use crate::media::srtp::{NotSealed, Opener, Refused, Sealer};
use crate::time::Moment;

/// One party's SRTP, both ways.
#[derive(Debug)]
pub(super) struct Secure {
    opener: Opener,
    sealer: Sealer,
}

/// RTP or RTCP, which are secured each in its own way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Protocol {
    Rtp,
    Rtcp,
}

impl Secure {
    pub(super) fn new(srtp: Srtp) -> Self {
        let Srtp { theirs, ours } = srtp;
        Self { opener: Opener::new(theirs), sealer: Sealer::new(ours) }
    }

    /// Takes what a further offer and answer agreed, and says whether we seal under another key from here on.
    ///
    /// Under a key of ours the rollover counter begins at 0, as whoever has not had a packet under it expects: so the stream that is
    /// sealed under it must be a new one, for one who goes by RFC 3711 §3.3.1 counts on.
    pub(super) fn succeed(&mut self, srtp: Srtp, now: Moment) -> bool {
        let Srtp { theirs, ours } = srtp;
        self.opener.succeed(theirs, now);
        let is_new = !self.sealer.is_under(&ours);
        if is_new {
            self.sealer = Sealer::new(ours);
        }
        is_new
    }

    /// Opens in place what came from the party, and returns how long it is then.
    pub(super) fn open(&mut self, protocol: Protocol, packet: &mut [u8], now: Moment) -> Result<usize, Refused> {
        let opened = match protocol {
            Protocol::Rtp => self.opener.open_rtp(packet, now),
            Protocol::Rtcp => self.opener.open_rtcp(packet, now),
        };
        opened.map(|plain| plain.len())
    }

    /// Seals in place what the buffer begins with, and returns how long it is then.
    pub(super) fn seal(&mut self, protocol: Protocol, buffer: &mut [u8], len: usize) -> Result<usize, NotSealed> {
        let sealed = match protocol {
            Protocol::Rtp => self.sealer.seal_rtp(buffer, len),
            Protocol::Rtcp => self.sealer.seal_rtcp(buffer, len),
        };
        sealed.map(|sealed| sealed.len())
    }
}
