//! What a record-aware party says and is told about a recording (RFC 7866): `a=recordpref` and `a=record`.

use super::description::What;
use super::{Kind, Sdp};

/// What a party would like (RFC 7866 §7.3.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecordPreference {
    /// To be recorded.
    On,
    /// Not to be recorded.
    Off,
    /// That the recording pauses.
    Pause,
    /// Nothing.
    None,
}

/// What a party is told (RFC 7866 §7.1.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum RecordIndication {
    /// It is not recorded.
    Off,
    /// It is recorded, and nothing is kept at this moment.
    Paused,
    /// It is recorded.
    On,
}

impl RecordIndication {
    /// Returns the word of the attribute.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Paused => "paused",
            Self::On => "on",
        }
    }

    fn of(line: &[u8]) -> Option<Self> {
        let word = line.strip_prefix(b"a=record:")?.trim_ascii();
        [Self::Off, Self::Paused, Self::On].into_iter().find(|known| word.eq_ignore_ascii_case(known.as_str().as_bytes()))
    }
}

impl RecordPreference {
    fn of(line: &[u8]) -> Option<Self> {
        let word = line.strip_prefix(b"a=recordpref:")?.trim_ascii();
        [(&b"on"[..], Self::On), (b"off", Self::Off), (b"pause", Self::Pause), (b"nopreference", Self::None)]
            .into_iter()
            .find_map(|(known, meant)| word.eq_ignore_ascii_case(known).then_some(meant))
    }
}

impl Sdp {
    /// Returns what the party would like: what its first audio says, or else the description as a whole. Of several the last counts, and a
    /// word that RFC 7866 does not know for nothing.
    #[must_use]
    pub fn record_preference(&self) -> Option<RecordPreference> {
        let audio = self.media().iter().position(|media| media.kind == Kind::Audio);
        let said = |of: Option<usize>| {
            let lines = self.lines.iter().filter(|line| line.what == What::Other && line.media == of);
            lines.filter_map(|line| RecordPreference::of(self.text(line))).next_back()
        };
        audio.and_then(|audio| said(Some(audio))).or_else(|| said(None))
    }

    /// Returns the description in which each audio is told to be recorded or not. What its sender says so of a recording of its own counts as
    /// well, for a party is recorded where anybody records it.
    #[must_use]
    pub fn with_record_indication(&self, ours: RecordIndication) -> Vec<u8> {
        let said =
            self.lines.iter().filter(|line| line.what == What::Other).filter_map(|line| RecordIndication::of(self.text(line)));
        let told = said.chain([ours]).max().unwrap_or(ours);
        let mut out = Vec::with_capacity(self.body.len() + 32);
        let mut owed = None;
        for (at, line) in self.lines.iter().enumerate() {
            if line.what == What::Media {
                self.indicate(owed.take(), &mut out);
                let is_audio =
                    line.media.and_then(|media| self.media().get(media)).is_some_and(|media| media.kind == Kind::Audio);
                owed = is_audio.then_some(told);
            }
            let end = self.lines.get(at + 1).map_or(self.body.len(), |next| next.start);
            if line.what != What::Other || RecordIndication::of(self.text(line)).is_none() {
                out.extend_from_slice(self.body.get(line.start..end).unwrap_or_default());
            }
        }
        self.indicate(owed, &mut out);
        out
    }

    /// Adds the attribute at the end of a media's lines.
    fn indicate(&self, told: Option<RecordIndication>, out: &mut Vec<u8>) {
        let Some(told) = told else { return };
        if !out.ends_with(b"\n") {
            out.extend_from_slice(self.line_end());
        }
        out.extend_from_slice(b"a=record:");
        out.extend_from_slice(told.as_str().as_bytes());
        out.extend_from_slice(self.line_end());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n";

    #[test]
    fn what_the_audio_says_goes_before_what_is_said_of_all() {
        let preference = |text: &str| Sdp::parse(format!("{HEAD}{text}").as_bytes()).unwrap().record_preference();
        let audio = "m=audio 4 RTP/AVP 0\r\n";

        assert_eq!(preference(audio), None);
        assert_eq!(preference(&format!("a=recordpref:off\r\n{audio}")), Some(RecordPreference::Off));
        assert_eq!(preference(&format!("a=recordpref:off\r\n{audio}a=recordpref:pause\r\n")), Some(RecordPreference::Pause));
        assert_eq!(preference(&format!("{audio}a=recordpref: ON \r\n")), Some(RecordPreference::On));
        assert_eq!(preference(&format!("{audio}a=recordpref:nopreference")), Some(RecordPreference::None));
        assert_eq!(preference(&format!("{audio}a=recordpref:maybe\r\n")), None);
        assert_eq!(preference(&format!("{audio}m=video 6 RTP/AVP 31\r\na=recordpref:off\r\n")), None, "video is not recorded");
    }

    #[test]
    fn each_audio_is_told_and_nothing_else_changes() {
        let told =
            |text: &str, ours| String::from_utf8(Sdp::parse(text.as_bytes()).unwrap().with_record_indication(ours)).unwrap();
        let text = format!("{HEAD}m=audio 4 RTP/AVP 0\r\na=ptime:20\r\nm=video 6 RTP/AVP 31\r\na=x");

        assert_eq!(told(&text, RecordIndication::On), text.replace("ptime:20\r\n", "ptime:20\r\na=record:on\r\n"));
        assert_eq!(told("v=0\nm=audio 4 RTP/AVP 0", RecordIndication::Paused), "v=0\nm=audio 4 RTP/AVP 0\na=record:paused\n");
        let theirs = "v=0\r\na=record:off\r\nm=audio 4 RTP/AVP 0\r\na=record:on\r\na=ptime:20\r\n";
        let expected = "v=0\r\nm=audio 4 RTP/AVP 0\r\na=ptime:20\r\na=record:on\r\n";
        assert_eq!(told(theirs, RecordIndication::Off), expected, "the other end records as well");
        assert_eq!(told(expected, RecordIndication::Off), expected);
    }
}
