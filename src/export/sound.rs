//! From the records of a recording to its sound, in two readings: the first finds out what must be written, the second decodes it.

use std::fmt;
use std::io;
use std::ops::Range;
use std::time::Duration;

use crate::export::coding::{Coding, Codings};
use crate::export::stream::{MS, Tick};
use crate::export::timeline::{Rate, Tally, Timeline};
use crate::export::{Part, Source, Span};
use crate::ids::Leg;
use crate::vault::{GapReason, Record};
use crate::wire::rtp::{self, Rtp};

/// Sound that is given at once: a second.
const PIECE: Tick = 1000 * MS;

/// What a first reading of a recording says about the file to be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Survey {
    rate: Rate,
    /// What of the recording is wanted; nothing where it is all.
    span: Option<Span>,
    /// When the recording ended; of a torn one, when its last packet came. Of a span, how long it is.
    pub duration: Duration,
    /// RTP packets in it.
    pub packets: u64,
    /// Something of what is wanted was taken out of the recording: there is silence in its place.
    pub is_redacted: bool,
}

impl Survey {
    /// Returns the sampling rate of the sound: 8,000, 16,000 or 48,000 Hz, the lowest that its widest sound needs.
    #[must_use]
    pub const fn rate(&self) -> u32 {
        self.rate.hz()
    }

    /// Returns what of the recording is wanted; nothing where it is all.
    #[must_use]
    pub const fn span(&self) -> Option<Span> {
        self.span
    }
}

/// Reads a recording, or a span of it, for what must be known before its sound is written.
///
/// # Errors
/// What the reader of the recording says.
pub fn survey<S: Source>(span: Option<Span>, records: S) -> Result<Survey, ExportError<S::Error>> {
    let mut codings = [Codings::new(), Codings::new()];
    // Of each leg, the payload type that was looked at last: one of the same needs no more.
    let mut known: [Option<u8>; 2] = [None, None];
    let duration = span.map_or(Duration::ZERO, Span::length);
    let mut survey = Survey { rate: Rate::Narrow, span, duration, packets: 0, is_redacted: false };
    Part::of(span, records).each(|record| {
        match record {
            Record::Format(format) => {
                of(&mut codings, format.leg).learn(format);
                known = [None, None];
            }
            Record::Rtp { leg, came, packet } => {
                survey.packets += 1;
                if span.is_none() {
                    survey.duration = survey.duration.max(*came);
                }
                let known = known.get_mut(leg.index());
                let payload_type = plain_type(packet);
                if payload_type.is_none() || known.as_deref() != Some(&payload_type) {
                    let rate = rate(of(&mut codings, *leg), packet);
                    survey.rate = survey.rate.max(rate);
                    if let Some(known) = known {
                        *known = payload_type.filter(|_| !of(&mut codings, *leg).is_redundant(packet));
                    }
                }
            }
            Record::End(totals) => survey.duration = survey.duration.max(totals.ended),
            Record::Gap(gap) => survey.is_redacted |= gap.reason == GapReason::Redacted,
            Record::Evidence(_) | Record::Quality(_) | Record::Other { .. } => {}
        }
        Ok(())
    })?;
    Ok(survey)
}

/// How many channels the sound of the two parties is written in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Channels {
    /// The PBX's side left, the trunk's side right.
    Stereo,
    /// Both in one: the mean of the two, which cannot overflow however loud both are; a party who speaks alone is 6 dB quieter.
    Mono,
    /// One party's side alone.
    Only(Leg),
}

impl Channels {
    /// Returns how many there are.
    #[must_use]
    pub const fn count(self) -> u16 {
        match self {
            Self::Stereo => 2,
            Self::Mono | Self::Only(_) => 1,
        }
    }

    /// Puts the samples of both parties one after the other, as files have them, or mixes them, and nothing else is in `out`.
    pub(super) fn put(self, pbx: &[i16], trunk: &[i16], out: &mut Vec<i16>) {
        let both = pbx.iter().zip(trunk);
        out.resize(both.len() * usize::from(self.count()), 0);
        match self {
            Self::Stereo => {
                let (frames, _) = out.as_chunks_mut::<2>();
                frames.iter_mut().zip(both).for_each(|(frame, (&pbx, &trunk))| *frame = [pbx, trunk]);
            }
            Self::Mono => out.iter_mut().zip(both).for_each(|(mixed, (&pbx, &trunk))| *mixed = pbx.midpoint(trunk)),
            Self::Only(leg) => out.iter_mut().zip(both).for_each(|(one, (&pbx, &trunk))| {
                *one = if leg == Leg::Pbx { pbx } else { trunk };
            }),
        }
    }
}

/// Who takes the sound of both parties as it is settled, from the recording's beginning to its end and without a break.
pub(super) trait Ear {
    /// Takes the next samples of the PBX's side, and as many of the trunk's.
    fn hear(&mut self, pbx: &[i16], trunk: &[i16]) -> io::Result<()>;
}

/// Decodes a recording into an ear, from its beginning to its end, or a span of it; `note` is told of each record.
///
/// `records` are those that `survey` was made of, from the beginning again; of a span, more before and after it, by which its sound is put
/// into its place. The same records give the same samples.
pub(super) fn listen<S: Source>(
    survey: &Survey,
    records: S,
    ear: &mut impl Ear,
    mut note: impl FnMut(&Record<&[u8]>),
) -> Result<Exported, ExportError<S::Error>> {
    let window = survey.span.map(|span| tick(span.from)..tick(span.to));
    let mut listening = Listening::begin(survey.rate, window, ear);
    records.each(|record| {
        note(record);
        match record {
            Record::Format(format) => listening.timeline.learn(format),
            Record::Rtp { leg, came, packet } => {
                listening.timeline.pass(tick(*came));
                listening.give_until(listening.timeline.settled())?;
                listening.timeline.take(*leg, tick(*came), packet);
            }
            Record::Evidence(_) | Record::Gap(_) | Record::Quality(_) | Record::End(_) | Record::Other { .. } => {}
        }
        Ok(())
    })?;
    listening.finish(survey).map_err(ExportError::Disk)
}

/// Sound on its way to an ear.
struct Listening<'e, T> {
    timeline: Timeline,
    /// What is wanted; nothing where it is all.
    window: Option<Range<Tick>>,
    ear: &'e mut T,
    sound: [Vec<i16>; 2],
    frames: u64,
}

impl<'e, T: Ear> Listening<'e, T> {
    fn begin(rate: Rate, window: Option<Range<Tick>>, ear: &'e mut T) -> Self {
        let timeline = Timeline::new(rate, window.clone());
        Self { timeline, window, ear, sound: [Vec::new(), Vec::new()], frames: 0 }
    }

    /// Gives what there is, once there is a piece of it.
    fn give_until(&mut self, settled: Tick) -> io::Result<()> {
        let settled = self.window.as_ref().map_or(settled, |window| settled.min(window.end));
        while self.timeline.given() + PIECE <= settled {
            self.give_piece(self.timeline.given() + PIECE)?;
        }
        Ok(())
    }

    fn give_piece(&mut self, until: Tick) -> io::Result<()> {
        let before = self.window.as_ref().map_or(0, |window| self.timeline.lead(window.start));
        self.timeline.give(until, &mut self.sound);
        let [pbx, trunk] = self.sound.each_ref().map(|side| side.get(before..).unwrap_or_default());
        self.frames += pbx.len() as u64;
        self.ear.hear(pbx, trunk)
    }

    fn finish(mut self, survey: &Survey) -> io::Result<Exported> {
        let (rate, last) = (survey.rate(), self.timeline.finish());
        let end = match &self.window {
            Some(window) => window.end,
            None => last.max(tick(survey.duration)),
        };
        let end = end.max(self.timeline.given());
        self.give_until(end)?;
        if self.timeline.given() < end {
            self.give_piece(end)?;
        }
        let end = end - self.window.as_ref().map_or(0, |window| window.start);
        let [pbx, trunk] = self.timeline.tallies();
        let undecoded = [(Leg::Pbx, pbx), (Leg::Trunk, trunk)]
            .into_iter()
            .flat_map(|(leg, tally)| {
                tally.undecoded.iter().map(move |(name, &packets)| Undecoded { leg, name: name.clone(), packets })
            })
            .collect();
        let [pbx, trunk] = [pbx, trunk].map(|tally| LegExport::new(tally, end));
        Ok(Exported { rate, frames: self.frames, duration: span(end), pbx, trunk, undecoded })
    }
}

/// What a file that was written has in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exported {
    /// Samples a second.
    pub rate: u32,
    /// Samples of each channel.
    pub frames: u64,
    /// How long it lasts.
    pub duration: Duration,
    /// The left channel.
    pub pbx: LegExport,
    /// The right channel.
    pub trunk: LegExport,
    /// What could not be decoded and is silence.
    pub undecoded: Vec<Undecoded>,
}

/// What is in one channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LegExport {
    /// Packets of this leg in the recording.
    pub packets: u64,
    /// Those that gave no sound: they came twice, after more than two seconds, over full memory, are no RTP or nothing of their codec.
    pub ignored: u64,
    /// How much of the channel is decoded sound.
    pub sounding: Duration,
    /// How much of it the decoder made up for packets that are missing, of the codecs that do.
    pub concealed: Duration,
    /// How much of it is silence for want of packets.
    pub silence: Duration,
    /// Put in, since the sender's clock was slower than the recorder's.
    pub stretched: Duration,
    /// Taken out, since it was faster.
    pub shortened: Duration,
    /// How often a place was found by arrival: at the beginning of each stream, and where one's clock jumped.
    pub anchors: u64,
}

impl LegExport {
    fn new(tally: &Tally, end: Tick) -> Self {
        Self {
            packets: tally.packets,
            ignored: tally.ignored,
            sounding: tally.sounding.saturating_sub(tally.concealed),
            concealed: tally.concealed,
            silence: span(end).saturating_sub(tally.sounding),
            stretched: tally.stretched,
            shortened: tally.shortened,
            anchors: tally.anchors,
        }
    }
}

/// Packets that are silence, since their coding is not decoded here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Undecoded {
    /// Whose.
    pub leg: Leg,
    /// Name and clock rate of the coding.
    pub name: String,
    /// How many.
    pub packets: u64,
}

/// A recording could not be exported. `E` is what the reader of the recording says.
#[derive(Debug)]
pub enum ExportError<E> {
    /// It could not be read to its end.
    Recording(E),
    /// The file could not be written.
    Disk(io::Error),
    /// It is longer than a WAV file can be.
    TooLong {
        /// How long it is.
        duration: Duration,
    },
}

impl<E> fmt::Display for ExportError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recording(_) => f.write_str("read the recording"),
            Self::Disk(_) => f.write_str("write the file"),
            Self::TooLong { duration } => write!(f, "fit {} h of sound into a WAV file of 4 GiB", duration.as_secs() / 3600),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for ExportError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Recording(error) => Some(error),
            Self::Disk(error) => Some(error),
            Self::TooLong { .. } => None,
        }
    }
}

fn of(codings: &mut [Codings; 2], leg: Leg) -> &mut Codings {
    let [pbx, trunk] = codings;
    match leg {
        Leg::Pbx => pbx,
        Leg::Trunk => trunk,
    }
}

/// The payload type of what may be RTP, without a look at the rest; nothing where it is none.
fn plain_type(packet: &[u8]) -> Option<u8> {
    match packet {
        [first, second, ..] if packet.len() >= 12 && first & 0b1101_1111 == 0x80 && !rtp::is_rtcp(packet) => Some(second & 0x7f),
        _ => None,
    }
}

/// The rate that a packet's sound needs.
fn rate(codings: &Codings, packet: &[u8]) -> Rate {
    let rtp = if rtp::is_rtcp(packet) { None } else { Rtp::parse(packet) };
    match rtp.map(|rtp| codings.of_packet(&rtp).0) {
        Some(Coding::Sound(codec)) => Rate::above(codec.sample_rate()),
        Some(Coding::Silence | Coding::Redundant | Coding::Unknown(_)) | None => Rate::Narrow,
    }
}

/// A tick is 125 µs.
fn tick(since_beginning: Duration) -> Tick {
    /// 34 years: on a clock of 48 kHz still far from the end of the numbers.
    const LAST: Tick = Tick::MAX >> 20;
    Tick::try_from(since_beginning.as_micros() / 125).unwrap_or(LAST).min(LAST)
}

fn span(ticks: Tick) -> Duration {
    Duration::from_micros(u64::try_from(ticks).unwrap_or(0).saturating_mul(125))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::codec::Codec;
    use crate::export::fixture::{FRAME, Sent, assert_same, delay, hear, phone, records, trimmed, voice};
    use crate::sound::{Encoded, Voice, encode_wav, g711, g722, melody};
    use crate::vault::Format;
    use crate::wire::rtp::Header;

    #[test]
    fn both_sides_come_out_sample_for_sample_where_they_came() {
        let (left, right) = (voice(1, 100), voice(2, 60));
        let sent = [phone(Leg::Pbx, 125, &left), phone(Leg::Trunk, 500_000, &right)].concat();

        let heard = hear(records(sent));

        for (side, before, sound) in [(&heard.pbx, 1, &left), (&heard.trunk, 4000, &right)] {
            assert_eq!(trimmed(side).0, before);
            assert_same(trimmed(side).1, &decoded(sound), "a side");
        }
        assert_eq!((heard.exported.rate, heard.exported.frames), (8000, 16_001));
        let LegExport { packets, ignored, sounding, concealed, silence, stretched, shortened, anchors } = heard.exported.trunk;
        assert_eq!((packets, ignored, concealed, anchors), (60, 0, Duration::ZERO, 1));
        assert_eq!((sounding, silence), (Duration::from_millis(1200), Duration::from_micros(800_125)));
        assert_eq!((stretched, shortened), (Duration::ZERO, Duration::ZERO));
    }

    #[test]
    fn a_span_of_it_is_sample_for_sample_what_the_whole_has_there() {
        let song: Vec<i16> = (0..16_000 * 40).map(|at| melody(Voice::High, at)).collect();
        let mut wide = Vec::new();
        g722::Encoder::new().encode(&song, &mut wide);
        let mut trunk = phone(Leg::Trunk, 70_000, &wide);
        trunk.iter_mut().for_each(|packet| packet.header.payload_type = 9);
        let mut sent = [phone(Leg::Pbx, 3_000_000, &voice(1, 1800)), trunk].concat();
        delay(&mut sent, 11, 90_000);
        let records = records(sent);
        let whole = hear(records.clone());
        let all = || records.iter().cloned().map(Ok::<_, std::convert::Infallible>);

        for (from_us, to_us) in [(0, 1_000_000), (500_000, 700_000), (12_345_125, 31_000_250), (39_000_000, 40_000_000)] {
            let span = Span { from: Duration::from_micros(from_us), to: Duration::from_micros(to_us) };
            let survey = survey(Some(span), all()).unwrap();
            let mut ear = Ears::default();
            let exported = listen(&survey, all(), &mut ear, |_| ()).unwrap();

            let [from, to] = [from_us, to_us].map(|at| usize::try_from(at * 16 / 1000).unwrap());
            assert_eq!((exported.rate, exported.frames, exported.duration), (16_000, (to - from) as u64, span.length()));
            assert_same(&ear.trunk, &whole.trunk[from..to], "the wide side");
            assert_same(&ear.pbx, &whole.pbx[from..to], "the other side");
            let came = records.iter().filter(|record| matches!(record, Record::Rtp { came, .. } if span.has(*came))).count();
            assert_eq!(exported.pbx.packets + exported.trunk.packets, came as u64);
            for leg in [exported.pbx, exported.trunk] {
                assert!(leg.sounding + leg.silence <= span.length() + Duration::from_millis(1), "{leg:?}");
            }
        }
    }

    /// Keeps what it hears.
    #[derive(Default)]
    struct Ears {
        pbx: Vec<i16>,
        trunk: Vec<i16>,
    }

    impl Ear for Ears {
        fn hear(&mut self, pbx: &[i16], trunk: &[i16]) -> io::Result<()> {
            self.pbx.extend_from_slice(pbx);
            self.trunk.extend_from_slice(trunk);
            Ok(())
        }
    }

    #[test]
    fn g722_makes_the_file_wide_and_g711_beside_it_keeps_its_samples() {
        let left = voice(1, 50);
        let song: Vec<i16> = (0..16_000).map(|at| melody(Voice::High, at)).collect();
        let mut right = Vec::new();
        g722::Encoder::new().encode(&song, &mut right);
        let mut trunk = phone(Leg::Trunk, 0, &right);
        trunk.iter_mut().for_each(|packet| packet.header.payload_type = 9);

        let heard = hear(records([phone(Leg::Pbx, 100_000, &left), trunk].concat()));

        let mut expected = Vec::new();
        g722::Decoder::new().decode(&right, &mut expected);
        assert_eq!(heard.exported.rate, 16_000);
        assert_same(&heard.trunk[..16_000], &expected, "the sound");
        let kept: Vec<i16> = heard.pbx.iter().copied().step_by(2).skip(800).take(8000).collect();
        assert_same(&kept, &decoded(&left), "every other sample");
    }

    #[test]
    fn linear_samples_keep_their_places_and_values_in_a_file_of_48_khz() {
        let format = |payload_type, clock, channels| {
            let (leg, since, name) = (Leg::Trunk, Duration::ZERO, "L16".to_owned());
            Record::Format(Format { leg, since, payload_type, clock, channels, name })
        };
        for (clock, channels, step) in [(48_000_u32, 1_u8, 960_u32), (48_000, 2, 960), (44_100, 2, 441), (16_000, 1, 320)] {
            let song: Vec<i16> = (0..clock).map(|at| (i32::from(at as u16).rem_euclid(200) * 50 - 5000) as i16).collect();
            let mut trunk = phone(Leg::Trunk, 0, &vec![0; 160 * (clock / step) as usize]);
            for ((packet, sound), index) in trunk.iter_mut().zip(song.chunks(step as usize)).zip(0_u32..) {
                packet.header.payload_type = 96;
                packet.header.timestamp = 0xffff_0000_u32.wrapping_add(index * step);
                packet.came = u64::from(index * step) * 1_000_000 / u64::from(clock);
                packet.payload = sound.iter().flat_map(|s| s.to_be_bytes().repeat(usize::from(channels))).collect();
            }
            let mut records = records([phone(Leg::Pbx, 100_000, &voice(1, 20)), trunk].concat());
            records.insert(0, format(96, clock, channels));

            let heard = hear(records);

            let rate = heard.exported.rate;
            assert_eq!(rate, if clock == 16_000 { 16_000 } else { 48_000 });
            assert_eq!(heard.exported.trunk.silence, Duration::ZERO, "{clock}");
            assert_eq!(heard.exported.trunk.anchors, 1);
            let whole = |rate: u32| (0..song.len()).step_by((clock / rate) as usize).map(|at| song[at]).collect::<Vec<_>>();
            if clock == rate {
                assert_same(&heard.trunk[..song.len()], &song, "the sound");
            } else {
                // 44,100 and 48,000 meet every 147 and 160 samples.
                let met: Vec<i16> = heard.trunk.iter().copied().step_by(160).take(300).collect();
                assert_same(&met, &whole(300)[..300], "where both rates meet");
            }
            let kept: Vec<i16> = heard.pbx.iter().copied().step_by(rate as usize / 8000).skip(800).take(3200).collect();
            assert_same(&kept, &decoded(&voice(1, 20)), "the other side");
        }
    }

    #[test]
    fn opus_is_decoded_at_its_own_rate_and_what_was_lost_is_made_up_for() {
        // 1 s of a tone of 400 Hz.
        let tone: Vec<u8> =
            (0..48_000).flat_map(|at: i32| (if at % 120 < 60 { 4000_i16 } else { -4000 }).to_le_bytes()).collect();
        let mut file = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\xbb\0\0\0\x77\x01\0\x02\0\x10\0data".to_vec();
        file.extend_from_slice(&u32::try_from(tone.len()).unwrap().to_le_bytes());
        file.extend_from_slice(&tone);
        let Encoded::Packets(packets) = encode_wav(&file, Codec::Opus).unwrap() else { panic!("packets") };
        let mut sent = phone(Leg::Trunk, 0, &vec![0; 160 * packets.len()]);
        for ((packet, payload), index) in sent.iter_mut().zip(packets).zip(0_u32..) {
            packet.header.payload_type = 111;
            packet.header.timestamp = 0xffff_fff0_u32.wrapping_add(index * 960);
            packet.payload = payload;
        }
        // Two in a row, one alone; and one that is nothing of Opus.
        sent[40].payload = vec![0xff, 0xff, 0xff];
        for at in [30, 21, 20] {
            sent.remove(at);
        }
        let (leg, since, name) = (Leg::Trunk, Duration::ZERO, "OPUS".to_owned());
        let mut records = records(sent);
        records.insert(0, Record::Format(Format { leg, since, payload_type: 111, clock: 48_000, channels: 2, name }));

        let heard = hear(records);

        let LegExport { packets, ignored, sounding, concealed, silence, anchors, .. } = heard.exported.trunk;
        assert_eq!((heard.exported.rate, packets, ignored, anchors), (48_000, 48, 1, 1));
        // What is spoiled is followed by no loss of a number, so that it stays silent.
        assert_eq!((concealed, silence), (Duration::from_millis(60), Duration::from_millis(20)));
        assert_eq!(sounding + concealed + silence, heard.exported.duration);
        let loudest = |frame: usize| heard.trunk[frame * 960..(frame + 1) * 960].iter().map(|s| s.unsigned_abs()).max().unwrap();
        let silent: Vec<(usize, u16)> =
            (2..50).map(|frame| (frame, loudest(frame))).filter(|(_, loudest)| *loudest < 500).collect();
        assert_eq!(silent, [(40, 0)]);
        assert!(heard.exported.undecoded.is_empty());
    }

    #[test]
    fn a_stream_that_changes_its_clock_is_placed_by_arrival() {
        let l16 = |since| {
            Record::Format(Format { leg: Leg::Pbx, since, payload_type: 96, clock: 16_000, channels: 1, name: "L16".into() })
        };
        let sound = voice(8, 60);
        let mut sent = phone(Leg::Pbx, 0, &sound);
        for (packet, index) in sent[20..40].iter_mut().zip(0_u32..) {
            packet.header.payload_type = 96;
            packet.header.timestamp = index * 320;
            packet.payload = [0x40, 0].repeat(320);
        }
        let mut records = records(sent);
        records.insert(0, l16(Duration::ZERO));

        let heard = hear(records);

        assert_eq!(heard.exported.pbx.silence, Duration::ZERO);
        let narrow = |from: usize| heard.pbx.iter().copied().step_by(2).skip(from * FRAME).take(20 * FRAME).collect::<Vec<_>>();
        assert_same(&narrow(0), &decoded(&sound)[..20 * FRAME], "before");
        assert_same(&heard.pbx[20 * 320 + 60..40 * 320 - 60], &[0x4000; 20 * 320 - 120], "between");
        assert_same(&narrow(40), &decoded(&sound)[40 * FRAME..], "after");
    }

    #[test]
    fn a_payload_type_is_what_the_recording_says_from_there_on() {
        let alaw = |at| {
            Record::Format(Format { leg: Leg::Pbx, since: at, payload_type: 0, clock: 8000, channels: 1, name: "PCMA".into() })
        };
        let sound = voice(3, 20);
        let mut records = records(phone(Leg::Pbx, 0, &sound));
        records.insert(10, alaw(Duration::from_millis(200)));

        let heard = hear(records);

        let as_alaw: Vec<i16> = sound[10 * FRAME..].iter().map(|&code| g711::decode_alaw(code)).collect();
        assert_same(&heard.pbx[..10 * FRAME], &decoded(&sound[..10 * FRAME]), "the sound");
        assert_same(&heard.pbx[10 * FRAME..], &as_alaw, "the sound");
    }

    #[test]
    fn what_is_not_decoded_is_silence_and_is_named() {
        let mut sent = phone(Leg::Trunk, 0, &voice(4, 30));
        sent[10..20].iter_mut().for_each(|packet| packet.header.payload_type = 18);
        sent[20..25].iter_mut().for_each(|packet| packet.header.payload_type = 13);

        let heard = hear(records(sent));

        assert!(heard.trunk[10 * FRAME..25 * FRAME].iter().all(|&sample| sample == 0));
        assert!(heard.trunk[25 * FRAME..].iter().all(|&sample| sample != 0));
        assert_eq!(heard.exported.undecoded, [Undecoded { leg: Leg::Trunk, name: "G729".into(), packets: 10 }]);
    }

    #[test]
    fn sound_that_comes_with_redundancy_is_heard_once_at_its_own_place() {
        let sound = voice(9, 20);
        let mut sent = phone(Leg::Pbx, 0, &sound);
        let frames: Vec<Vec<u8>> = sent.iter().map(|packet| packet.payload.clone()).collect();
        for (packet, before) in sent[1..].iter_mut().zip(&frames) {
            packet.header.payload_type = 121;
            // The frame before, of 160 ticks and 160 bytes, and then this one; both are payload type 0.
            packet.payload = [&[0x80, 0x02, 0x80, 0xa0, 0][..], before, &packet.payload].concat();
        }
        let (leg, since, name) = (Leg::Pbx, Duration::ZERO, "red".to_owned());
        let mut records = records(sent);
        records.insert(0, Record::Format(Format { leg, since, payload_type: 121, clock: 8000, channels: 1, name }));

        let heard = hear(records);

        assert_same(&heard.pbx, &decoded(&sound), "the sound");
        assert!(heard.exported.undecoded.is_empty());
    }

    #[test]
    fn a_recording_lasts_to_its_last_packet_however_little_was_heard() {
        let mut sent = phone(Leg::Pbx, 0, &voice(5, 2));
        sent.push(Sent {
            came: 60_000_000,
            payload: vec![],
            header: Header { payload_type: 111, ..sent[0].header },
            ..sent[0].clone()
        });

        let heard = hear(records(sent));

        assert_eq!((heard.exported.frames, heard.exported.duration), (480_000, Duration::from_secs(60)));
        assert_eq!(hear(Vec::new()).exported.frames, 0);
    }

    fn decoded(sound: &[u8]) -> Vec<i16> {
        sound.iter().map(|&code| g711::decode_ulaw(code)).collect()
    }
}
