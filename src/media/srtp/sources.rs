//! The streams of one direction, each by its SSRC with what was used of it.

use crate::limits::SRTP_SOURCES;
use crate::media::srtp::trailer::Protocol;
use crate::media::srtp::window::Window;

/// At most [`SRTP_SOURCES`] streams. One comes in by a packet that was authenticated, or is our own.
#[derive(Clone, Default, Debug)]
pub(super) struct Sources(Vec<Source>);

#[derive(Clone, Copy, Debug)]
struct Source {
    ssrc: u32,
    rtp: Window,
    rtcp: Window,
}

impl Source {
    const fn window(&mut self, protocol: Protocol) -> &mut Window {
        match protocol {
            Protocol::Rtp => &mut self.rtp,
            Protocol::Rtcp => &mut self.rtcp,
        }
    }

    /// Whether nothing is lost by forgetting it: a replay needs a packet under this key.
    const fn is_unused(&self) -> bool {
        self.rtp.is_unused() && self.rtcp.is_unused()
    }
}

impl Sources {
    /// Returns what was used of a stream; nothing where there is no room for one more.
    pub(super) fn window(&self, ssrc: u32, protocol: Protocol) -> Option<Window> {
        match self.0.iter().find(|source| source.ssrc == ssrc) {
            Some(&(mut source)) => Some(*source.window(protocol)),
            None => {
                let has_room = self.0.len() < SRTP_SOURCES || self.0.iter().any(Source::is_unused);
                has_room.then(Window::default)
            }
        }
    }

    /// Notes a packet as used; [`Sources::window`] has said that there is room. The vector grows by a stream, not by a packet.
    pub(super) fn add(&mut self, ssrc: u32, protocol: Protocol, index: u64) {
        let known = self.0.iter_mut().find(|source| source.ssrc == ssrc);
        if let Some(known) = known {
            known.window(protocol).add(index);
            return;
        }
        let mut source = Source { ssrc, rtp: Window::default(), rtcp: Window::default() };
        source.window(protocol).add(index);
        if self.0.len() < SRTP_SOURCES {
            self.0.push(source);
        } else if let Some(unused) = self.0.iter_mut().find(|source| source.is_unused()) {
            *unused = source;
        }
    }

    /// Returns the same streams under a new key: where each is, and that nothing of it was used.
    pub(super) fn under_a_new_key(&self) -> Self {
        let known = self.0.iter();
        Self(
            known
                .map(|&Source { ssrc, rtp, rtcp }| Source { ssrc, rtp: rtp.under_a_new_key(), rtcp: rtcp.under_a_new_key() })
                .collect(),
        )
    }

    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }
}
