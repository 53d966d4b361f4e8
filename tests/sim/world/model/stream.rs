//! What a listener hears is one steady RTP stream: an announcement goes on where the other party's packets stopped, and they where it did.

use std::net::SocketAddr;
use std::time::Duration;

use mitschnitt::ids::Leg;
use mitschnitt::time::Moment;

use super::Broken;
use super::broken;
use super::call::Call;
use super::rtp::Rtp;

/// What went from one port of the box to one address.
pub(super) struct Stream {
    path: (u16, SocketAddr),
    /// SSRC of the party whose packets these are, as it came; none as long as there was only the announcement.
    source: Option<u32>,
    ssrc: u32,
    highest: u16,
    at: Moment,
    /// The last frame of the announcement.
    clip: Option<u16>,
    /// How many SDPs had passed: a new one may begin a new stream.
    described: usize,
}

impl Call {
    /// A packet goes out: of a party with the SSRC `source`, or a frame of an announcement.
    pub(super) fn steady(
        &mut self,
        at: Moment,
        to: Leg,
        path: (u16, SocketAddr),
        rtp: &Rtp<'_>,
        source: Option<u32>,
    ) -> Result<(), Broken> {
        let described = self.dialogs.iter().map(|dialog| dialog.described.len()).sum();
        let streams = &mut self.streams[to.index()];
        let (ssrc, sequence) = (rtp.ssrc, rtp.sequence);
        let new = Stream { path, source, ssrc, highest: sequence, at, clip: source.is_none().then_some(sequence), described };
        let Some(place) = streams.iter().position(|stream| stream.path == path) else {
            // The first packet to a new address may be one that was overtaken by those to the old one.
            let is_its = |known: &&Stream| known.path.0 == path.0 && known.ssrc == ssrc;
            let behind = |known: &&Stream| is_its(known) && known.highest.wrapping_sub(sequence) < 0x8000;
            let newest = streams.iter().filter(behind).max_by_key(|known| known.highest.wrapping_sub(sequence));
            let highest = newest.map_or(sequence, |known| known.highest);
            streams.push(Stream { highest, ..new });
            return Ok(());
        };
        let Some(stream) = streams.get_mut(place) else { return Ok(()) };
        // A party that was silent for a second, was described anew, or goes on with another SSRC, need not be steady.
        let goes_on = stream.described == described && at <= stream.at + Duration::from_secs(1);
        let same = goes_on && (source.is_none() || stream.source.is_none() || stream.source == source);
        if !same {
            // A packet that was overtaken begins nothing anew.
            let is_behind = stream.ssrc == ssrc && stream.highest.wrapping_sub(sequence) < 0x8000;
            let highest = if is_behind { stream.highest } else { sequence };
            *stream = Stream { highest, ..new };
            return Ok(());
        }
        let ahead = sequence.wrapping_sub(stream.highest);
        let collides = stream.clip.is_some_and(|clip| clip.wrapping_sub(sequence) < 64);
        let steady = ssrc == stream.ssrc && if source.is_none() { ahead == 1 } else { !collides };
        let before = (stream.ssrc, stream.highest);
        stream.source = stream.source.or(source);
        (stream.ssrc, stream.at) = (ssrc, at);
        if ahead < 0x8000 {
            stream.highest = sequence;
        }
        if source.is_none() {
            stream.clip = Some(sequence);
        }
        if steady {
            return Ok(());
        }
        let what = format!(
            "{at:?}: the {to} ({}) hears a jump: SSRC {ssrc:08x} sequence {sequence} ({}) after SSRC {:08x} sequence {}, last frame {:?}",
            path.1,
            if source.is_none() { "announcement" } else { "voice" },
            before.0,
            before.1,
            stream.clip
        );
        Err(broken("stream-jumps", self.number, what))
    }
}
