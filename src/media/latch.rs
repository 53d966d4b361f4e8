//! From where a party's media is taken: from where its description says, or from one source that is learned and then kept.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::limits::{LATCH_CANDIDATES, LATCH_PACKETS, LATCH_SPAN, LATCH_WINDOW};
use crate::media::Remote;
use crate::network::Network;
use crate::time::Moment;
use crate::wire::rtp::Rtp;

/// From where else than its description says a peer's media may come, as the operator chose.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Latching {
    /// What is done with a source that the description does not give.
    pub rule: LatchRule,
    /// The only networks in which one is looked for. None: nowhere where the rule is strict, anywhere where it is to learn.
    pub networks: Arc<[Network]>,
}

/// What is done with a source that the description does not give.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum LatchRule {
    /// Media goes where the description says, and comes from there or from one source within the networks: for carriers, which send
    /// from more addresses than the one they listen on.
    #[default]
    Strict,
    /// Media comes from the source that was learned, and goes there too: for parties behind NAT, whose descriptions give an address
    /// that nobody reaches.
    Learn,
}

impl Latching {
    /// Returns whether a source that the description does not give may ever be taken.
    #[must_use]
    pub fn learns(&self) -> bool {
        self.rule == LatchRule::Learn || !self.networks.is_empty()
    }

    fn admits(&self, address: IpAddr) -> bool {
        let is_anywhere = self.rule == LatchRule::Learn && self.networks.is_empty();
        is_anywhere || self.networks.iter().any(|network| network.contains(address))
    }
}

/// The source of one party's media.
///
/// ```text
///                 describe, elsewhere than before
///        ┌──────────────────────────────────────────────────┐
///        ▼                                                  │
///   Described ──a packet from there──▶ proved               │
///        │                               │ ▲                │
///        │ 4 in sequence from one source │ │ a packet       │
///        │ within 5 s                    │ │ from there     │
///        ▼                               ▼ │                │
///     Learned, proved ──describe──▶ not proved: again 5 s ──┘
///        └── 4 in sequence from a source that fits the description better ──▶ Learned, proved
/// ```
///
/// There is one source at any time, and what comes from any other is nobody's: it is relayed to nobody, kept nowhere, and no key in it
/// is a key. What comes from one that is still being learned is as little the party's, and is not kept until it is.
///
/// - The description's own address needs no learning, and ends it: whoever sends from there is not behind NAT.
/// - A source that was learned is released by the next offer and answer, and not lost by it: it stays the party's until another is
///   learned, and whoever is heard from it first has proved it again. So a session that is refreshed has no gap in it, a party whose
///   NAT gave it another port is found, and a forger gets nothing as long as the party talks.
/// - Nobody is learned while the other party takes no media: who has to be silent can be impersonated by anybody.
/// - A telephone-event is a packet like others. So is one of another SSRC: it counts anew until the source is learned; afterwards the
///   address decides, since music on hold and transfers change the SSRC, and four packets of each would be lost.
#[derive(Debug)]
pub(super) struct Latch {
    latching: Latching,
    /// Where the party is by its description; nowhere before the first.
    said: Option<Said>,
    /// The one source of its RTP.
    rtp: Option<SocketAddr>,
    /// The one source of its RTCP, where its RTP was learned, and RTCP goes by itself.
    ///
    /// It is another port of the host whose RTP was learned: a NAT gives RTCP any port, seldom the one after RTP's. The first that sends
    /// RTCP has it, for RTCP has no sequence to count; it is neither kept nor heard, and its host has been proved by RTP.
    rtcp: Option<SocketAddr>,
    /// Whether something came from that source since the last description.
    is_proved: bool,
    /// Whether the party may be expected to send.
    is_expected: bool,
    /// Until when another source may be learned.
    until: Option<Moment>,
    /// Those that may become it; there are none where nothing is learned.
    candidates: Option<Box<[Option<Candidate>; LATCH_CANDIDATES]>>,
}

/// Where a party is by its description.
#[derive(Clone, Copy, Debug)]
struct Said {
    rtp: SocketAddr,
    /// Nowhere by itself where it goes among the RTP (RFC 5761).
    rtcp: Option<SocketAddr>,
}

/// How well a source fits the description: the least is the best.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Fit {
    /// It is the address that was given.
    Exact,
    /// It is another port of the host that was given.
    Host,
    /// It is elsewhere.
    Elsewhere,
}

/// A source that is being counted.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    source: SocketAddr,
    ssrc: u32,
    /// The sequence number of its newest packet.
    sequence: u16,
    /// Packets in sequence.
    packets: u8,
    first: Moment,
    last: Moment,
}

impl Latch {
    pub(super) const fn new(latching: Latching) -> Self {
        let (is_proved, is_expected) = (false, false);
        Self { latching, said: None, rtp: None, rtcp: None, is_proved, is_expected, until: None, candidates: None }
    }

    /// Takes the party's description: from here on another source may be learned, for a time.
    pub(super) fn describe(&mut self, remote: &Remote, now: Moment) {
        let is_elsewhere = self.said.is_none_or(|said| !is_same(&said.rtp, &remote.rtp));
        // Without `a=rtcp`, RTCP is on the port after RTP's (RFC 3550 §11).
        let rtcp = || remote.rtcp.unwrap_or_else(|| SocketAddr::new(remote.rtp.ip(), remote.rtp.port().saturating_add(1)));
        self.said = Some(Said { rtp: remote.rtp, rtcp: (!remote.rtcp_mux).then(rtcp) });
        if is_elsewhere {
            self.rtp = Some(remote.rtp);
            self.rtcp = None;
        }
        self.is_proved = false;
        let learns = self.latching.learns() && remote.rtp.port() != 0;
        self.until = learns.then(|| now + LATCH_WINDOW);
        self.candidates = learns.then(|| Box::new([None; LATCH_CANDIDATES]));
    }

    /// Takes note of who takes media by the last offer and answer: the party, and the other one.
    pub(super) fn expect(&mut self, receives: bool, other_receives: bool) {
        // One that was learned and has put the other on hold keeps its place: it may be silent, and be back from there.
        self.is_expected = other_receives && (receives || !self.is_learned());
    }

    /// Whether RTP from this source is the party's.
    pub(super) fn is_rtp_from(&self, source: &SocketAddr) -> bool {
        self.rtp.is_some_and(|rtp| is_same(&rtp, source))
    }

    /// Whether RTCP that comes by itself from this source is the party's.
    pub(super) fn is_rtcp_from(&self, source: &SocketAddr) -> bool {
        self.rtcp_from().is_some_and(|rtcp| is_same(&rtcp, source))
    }

    /// Where RTP to the party goes.
    pub(super) fn rtp_to(&self) -> Option<SocketAddr> {
        match self.latching.rule {
            LatchRule::Strict => self.said.map(|said| said.rtp),
            LatchRule::Learn => self.rtp,
        }
    }

    /// Where RTCP goes that goes to the party by itself, as far as that is known.
    pub(super) fn rtcp_to(&self) -> Option<SocketAddr> {
        match self.latching.rule {
            LatchRule::Strict => self.said?.rtcp,
            LatchRule::Learn => self.rtcp_from(),
        }
    }

    /// Whether the next packet from the party's own source is to be told to [`Latch::prove`].
    pub(super) const fn is_to_be_proved(&self) -> bool {
        self.until.is_some() && !self.is_proved
    }

    /// Takes note that the party's own source sends what was negotiated.
    pub(super) fn prove(&mut self) {
        self.is_proved = true;
        if let Some(candidates) = &mut self.candidates {
            candidates.fill(None);
        }
    }

    /// When it is known at the latest where media to the party goes, if that may still change: before, nothing should be played to it
    /// that it must have heard.
    pub(super) fn settles(&self, now: Moment) -> Option<Moment> {
        let may_move = self.latching.rule == LatchRule::Learn && self.is_expected && !self.is_proved && !self.is_learned();
        self.until.filter(|&until| may_move && now < until)
    }

    /// Returns how well a source fits that may be learned as that of the party's RTP, and is not yet.
    pub(super) fn rtp_fit(&self, source: &SocketAddr, now: Moment) -> Option<Fit> {
        self.until.filter(|&until| now <= until && self.is_expected)?;
        let fit = self.fit(source)?;
        // Of two that fit equally well the one that was first keeps the place.
        let is_better = || self.rtp.and_then(|rtp| self.fit(&rtp)).is_none_or(|had| fit < had);
        (!self.is_proved || is_better()).then_some(fit)
    }

    /// Returns how well a source fits that may be learned as that of the party's RTCP, and is not yet.
    pub(super) fn rtcp_fit(&self, source: &SocketAddr) -> Option<Fit> {
        let is_open =
            self.is_proved && self.is_learned() && self.rtcp.is_none() && self.said.is_some_and(|said| said.rtcp.is_some());
        self.rtp.filter(|rtp| is_open && rtp.ip() == source.ip()).map(|_| Fit::Host)
    }

    /// Counts a packet with a negotiated payload type from a source that [`Latch::rtp_fit`] has admitted, and returns whether the source
    /// is the party's from here on, this packet included.
    pub(super) fn learn_rtp(&mut self, source: SocketAddr, rtp: &Rtp<'_>, now: Moment) -> bool {
        let Some(candidates) = &mut self.candidates else { return false };
        let Some(candidate) = place(candidates.as_mut_slice(), &source) else { return false };
        let counted = match candidate.filter(|known| is_same(&known.source, &source)) {
            Some(known) => known.and(rtp, now),
            None => Candidate::new(source, rtp, now),
        };
        *candidate = Some(counted);
        if !counted.is_enough() {
            return false;
        }
        self.rtp = Some(source);
        self.rtcp = None;
        self.prove();
        true
    }

    /// Takes this source, which [`Latch::rtcp_fit`] has admitted, for that of the party's RTCP.
    pub(super) const fn learn_rtcp(&mut self, source: SocketAddr) {
        self.rtcp = Some(source);
    }

    /// Where RTCP comes from that comes by itself.
    fn rtcp_from(&self) -> Option<SocketAddr> {
        let said = self.said?.rtcp?;
        if self.is_learned() { self.rtcp } else { Some(said) }
    }

    /// Whether the party's RTP comes from elsewhere than its description says.
    fn is_learned(&self) -> bool {
        self.rtp.zip(self.said).is_some_and(|(rtp, said)| !is_same(&rtp, &said.rtp))
    }

    fn fit(&self, source: &SocketAddr) -> Option<Fit> {
        let said = self.said?.rtp;
        if is_same(&said, source) {
            Some(Fit::Exact)
        } else if !self.latching.admits(source.ip()) {
            None
        } else if said.ip() == source.ip() {
            Some(Fit::Host)
        } else {
            Some(Fit::Elsewhere)
        }
    }
}

impl Candidate {
    const fn new(source: SocketAddr, rtp: &Rtp<'_>, now: Moment) -> Self {
        Self { source, ssrc: rtp.ssrc(), sequence: rtp.sequence(), packets: 1, first: now, last: now }
    }

    /// Returns it with one more packet: the next in sequence counts, the same again does not, and any other begins anew.
    fn and(self, rtp: &Rtp<'_>, now: Moment) -> Self {
        let step = rtp.sequence().wrapping_sub(self.sequence);
        match (rtp.ssrc() == self.ssrc, step) {
            (true, 0) => self,
            (true, 1) => Self { sequence: rtp.sequence(), packets: self.packets.saturating_add(1), last: now, ..self },
            (_, _) => Self::new(self.source, rtp, now),
        }
    }

    fn is_enough(&self) -> bool {
        self.packets >= LATCH_PACKETS && self.last.since(self.first) >= LATCH_SPAN
    }
}

/// The place of a source: its own, or a free one, or that of the one of which least is known, and that for the longest time.
fn place<'c>(candidates: &'c mut [Option<Candidate>], source: &SocketAddr) -> Option<&'c mut Option<Candidate>> {
    let at = candidates.iter().position(|candidate| candidate.is_some_and(|known| is_same(&known.source, source)));
    match at {
        Some(at) => candidates.get_mut(at),
        None => candidates.iter_mut().min_by_key(|candidate| candidate.map(|known| (known.packets, known.last))),
    }
}

/// Whether two addresses name one place; the flow label and the scope of IPv6 are the kernel's.
fn is_same(one: &SocketAddr, other: &SocketAddr) -> bool {
    match (one, other) {
        (SocketAddr::V4(one), SocketAddr::V4(other)) => one == other,
        (SocketAddr::V6(one), SocketAddr::V6(other)) => one.port() == other.port() && one.ip() == other.ip(),
        (SocketAddr::V4(_), SocketAddr::V6(_)) | (SocketAddr::V6(_), SocketAddr::V4(_)) => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::wire::rtp::Header;

    #[test]
    fn four_packets_in_sequence_make_a_source_the_partys() {
        let mut latch = learning();

        assert_eq!(latch.hears(NAT, 7, 100..103), [false, false, false]);
        assert!(latch.is_rtp_from(&at(SAID)) && !latch.is_rtp_from(&at(NAT)));
        assert_eq!(latch.hears(NAT, 7, 103..104), [true]);
        assert!(latch.is_rtp_from(&at(NAT)) && !latch.is_rtp_from(&at(SAID)));
        assert_eq!(latch.rtp_to(), Some(at(NAT)));
    }

    #[test]
    fn only_the_next_number_counts() {
        let mut latch = learning();

        for (sequences, what) in [
            ([1, 2, 3, 5], "one is lost"),
            ([11, 12, 12, 13], "one comes twice"),
            ([21, 23, 22, 24], "two change places"),
            ([35, 34, 33, 32], "backwards"),
        ] {
            assert_eq!(latch.hears(NAT, 7, sequences), [false; 4], "{what}");
        }
        assert_eq!(latch.hears(NAT, 7, [65_534, 65_535, 0, 1]), [false, false, false, true], "the wrap is no gap");
    }

    #[test]
    fn another_ssrc_counts_anew() {
        let mut latch = learning();
        latch.hears(NAT, 7, 1..4);

        assert_eq!(latch.hears(NAT, 8, 4..7), [false; 3]);
        assert_eq!(latch.hears(NAT, 8, 7..8), [true]);
    }

    #[test]
    fn a_burst_is_not_speech_until_it_has_lasted() {
        let mut latch = learning();
        let burst = |latch: &mut Lab, sequences: std::ops::Range<u16>| {
            sequences.map(|nth| latch.hears_at(NAT, 7, nth, latch.now)).collect::<Vec<_>>()
        };

        assert_eq!(burst(&mut latch, 1..9), [false; 8]);
        latch.now = latch.now + LATCH_SPAN;
        assert_eq!(burst(&mut latch, 9..10), [true]);
    }

    #[test]
    fn a_source_is_not_counted_down_by_others_between_its_packets() {
        let mut latch = learning();

        for nth in 1..4 {
            assert!(!latch.hears_at(NAT, 7, nth, latch.now));
            // A forger that knows the SSRC and the next number, and six that know nothing.
            assert!(!latch.hears_at(FORGER, 7, nth + 1, latch.now));
            for port in 1..7 {
                assert!(!latch.hears_at(&format!("203.0.113.9:{port}"), 9, port, latch.now));
            }
            latch.now = latch.now + Duration::from_millis(5);
        }
        latch.now = latch.now + Duration::from_millis(5);
        assert!(latch.hears_at(NAT, 7, 4, latch.now));
        assert!(!latch.hears_at(FORGER, 7, 5, latch.now), "and then it is nobody's");
    }

    #[test]
    fn of_more_sources_than_are_counted_the_one_of_which_least_is_known_is_forgotten() {
        let mut latch = learning();
        latch.hears(NAT, 7, 1..4);
        let others: Vec<_> = (0..LATCH_CANDIDATES).map(|nth| format!("203.0.113.9:{}", 5000 + nth)).collect();

        // As many others push out the first of themselves, never the one that has been heard three times.
        others.iter().for_each(|other| assert_eq!(latch.hears(other, 9, [1]), [false]));
        let first = latch.hears(&others[0], 9, 2..5);

        assert_eq!(first, [false; 3], "it was forgotten, so that its second packet was its first");
        assert_eq!(latch.hears(NAT, 7, [4]), [true]);
    }

    #[test]
    fn who_is_learned_keeps_the_place_from_who_fits_no_better() {
        let mut latch = learning();
        latch.hears(NAT, 7, 1..5);

        assert_eq!(latch.fit_of(FORGER), None);
        assert_eq!(latch.fit_of("192.0.2.1:9999"), Some(Fit::Host));
        assert_eq!(latch.hears("192.0.2.1:9999", 9, 1..5), [false, false, false, true]);
        assert_eq!(latch.fit_of(NAT), None, "never the reverse");
        assert_eq!(latch.fit_of("192.0.2.1:9998"), None);
        assert_eq!(latch.hears(SAID, 9, 1..5), [false, false, false, true]);
        assert_eq!((latch.fit_of("192.0.2.1:9999"), latch.rtp_to()), (None, Some(at(SAID))));
        assert!(latch.is_rtcp_from(&at("192.0.2.1:4001")), "with its RTCP");
    }

    #[test]
    fn whoever_sends_from_where_it_says_is_not_behind_nat() {
        let mut latch = learning();
        latch.hears(FORGER, 7, 1..4);

        latch.prove();

        assert_eq!(latch.fit_of(FORGER), None);
    }

    #[test]
    fn nobody_is_learned_after_the_window_or_by_a_strict_rule_or_outside_of_the_networks() {
        let mut latch = learning();
        latch.now = latch.now + LATCH_WINDOW;
        assert_eq!(latch.fit_of(NAT), Some(Fit::Elsewhere));
        latch.now = latch.now + Duration::from_micros(1);
        assert_eq!(latch.fit_of(NAT), None);

        assert_eq!(Lab::new(LatchRule::Strict, &[]).fit_of("192.0.2.1:4002"), None);
        let within = Lab::new(LatchRule::Strict, &[("198.51.100.0", 24)]);
        assert_eq!((within.fit_of(NAT), within.fit_of(FORGER)), (Some(Fit::Elsewhere), None));
        assert_eq!(within.fit_of("192.0.2.1:4002"), None, "the host that it names is none of them");
        let within = Lab::new(LatchRule::Learn, &[("198.51.100.0", 24)]);
        assert_eq!((within.fit_of(NAT), within.fit_of(FORGER)), (Some(Fit::Elsewhere), None));
    }

    #[test]
    fn a_strict_rule_takes_media_from_the_networks_and_sends_it_where_the_description_says() {
        let mut latch = Lab::new(LatchRule::Strict, &[("198.51.100.0", 24)]);

        assert_eq!(latch.hears(NAT, 7, 1..5), [false, false, false, true]);

        assert!(latch.is_rtp_from(&at(NAT)));
        assert_eq!((latch.rtp_to(), latch.rtcp_to()), (Some(at(SAID)), Some(at("192.0.2.1:4001"))));
    }

    #[test]
    fn the_next_description_releases_a_source_that_has_fallen_silent() {
        let mut latch = learning();
        latch.hears(NAT, 7, 1..5);

        latch.describe(SAID);
        assert_eq!(latch.rtp_to(), Some(at(NAT)), "until another is learned");
        assert_eq!(latch.hears("198.51.100.7:50000", 7, 5..9), [false, false, false, true], "the NAT has another port for it");

        latch.describe(SAID);
        latch.prove();
        assert_eq!(latch.fit_of(FORGER), None, "who is heard from again is not replaced");

        latch.describe("192.0.2.2:4000");
        assert_eq!(latch.rtp_to(), Some(at("192.0.2.2:4000")), "who says that it is elsewhere is looked for anew");
        assert_eq!(latch.fit_of(FORGER), Some(Fit::Elsewhere));
    }

    #[test]
    fn nobody_is_learned_while_the_party_has_to_be_silent() {
        let mut latch = learning();
        latch.expect(true, false);
        assert_eq!(latch.fit_of(NAT), None, "the other is on hold");

        latch.expect(false, true);
        assert_eq!(latch.fit_of(NAT), Some(Fit::Elsewhere), "its music comes from behind the NAT as well");

        latch.hears(NAT, 7, 1..5);
        latch.describe(SAID);
        latch.expect(false, true);
        assert_eq!((latch.fit_of(FORGER), latch.rtp_to()), (None, Some(at(NAT))), "hold keeps who was learned");
    }

    #[test]
    fn rtcp_is_learned_from_the_host_whose_rtp_was() {
        let mut latch = learning();
        assert!(latch.is_rtcp_from(&at("192.0.2.1:4001")));
        assert_eq!(latch.rtcp_fit(&at("198.51.100.7:41001")), None, "before its RTP");

        latch.hears(NAT, 7, 1..5);
        assert!(!latch.is_rtcp_from(&at("192.0.2.1:4001")));
        assert_eq!(latch.rtcp_to(), None, "nowhere that is not known");
        assert_eq!(latch.rtcp_fit(&at("203.0.113.9:4001")), None);
        assert_eq!(latch.rtcp_fit(&at("198.51.100.7:555")), Some(Fit::Host));

        latch.learn_rtcp(at("198.51.100.7:555"));
        assert!(latch.is_rtcp_from(&at("198.51.100.7:555")));
        assert_eq!(latch.rtcp_to(), Some(at("198.51.100.7:555")));
        assert_eq!(latch.rtcp_fit(&at("198.51.100.7:556")), None, "one source");

        latch.describe(SAID);
        assert_eq!(latch.rtcp_to(), Some(at("198.51.100.7:555")), "kept with its RTP's");
    }

    #[test]
    fn what_must_be_heard_waits_until_it_is_known_where() {
        let mut latch = learning();
        assert_eq!(latch.settles(latch.now), Some(latch.now + LATCH_WINDOW));
        assert_eq!(latch.settles(latch.now + LATCH_WINDOW), None);

        latch.hears(NAT, 7, 1..5);
        assert_eq!(latch.settles(latch.now), None);
        latch.describe(SAID);
        assert_eq!(latch.settles(latch.now), None, "it is known from before");

        let strict = Lab::new(LatchRule::Strict, &[("198.51.100.0", 24)]);
        assert_eq!(strict.settles(strict.now), None, "media goes where the description says");
    }

    const SAID: &str = "192.0.2.1:4000";
    const NAT: &str = "198.51.100.7:41000";
    const FORGER: &str = "203.0.113.9:4000";

    struct Lab {
        latch: Latch,
        now: Moment,
    }

    impl std::ops::Deref for Lab {
        type Target = Latch;
        fn deref(&self) -> &Latch {
            &self.latch
        }
    }

    impl std::ops::DerefMut for Lab {
        fn deref_mut(&mut self) -> &mut Latch {
            &mut self.latch
        }
    }

    impl Lab {
        fn new(rule: LatchRule, networks: &[(&str, u8)]) -> Self {
            let networks = networks.iter().map(|&(first, prefix)| Network { address: first.parse().unwrap(), prefix }).collect();
            let mut lab = Self { latch: Latch::new(Latching { rule, networks }), now: Moment::from_millis(1000) };
            lab.describe(SAID);
            lab
        }

        fn describe(&mut self, rtp: &str) {
            let formats = Vec::new();
            let remote = Remote { rtp: at(rtp), rtcp: None, rtcp_mux: false, receives: true, formats, ptime_ms: 20 };
            self.latch.describe(&remote, self.now);
            self.latch.expect(true, true);
        }

        fn fit_of(&self, source: &str) -> Option<Fit> {
            self.rtp_fit(&at(source), self.now)
        }

        /// One packet each 20 ms; whether the source was the party's from it on.
        fn hears(&mut self, source: &str, ssrc: u32, sequences: impl IntoIterator<Item = u16>) -> Vec<bool> {
            let mut learned = Vec::new();
            for sequence in sequences {
                learned.push(self.hears_at(source, ssrc, sequence, self.now));
                self.now = self.now + Duration::from_millis(20);
            }
            learned
        }

        fn hears_at(&mut self, source: &str, ssrc: u32, sequence: u16, now: Moment) -> bool {
            let packet = Header { payload_type: 8, marker: false, sequence, timestamp: 0, ssrc }.to_bytes();
            let is_open = self.rtp_fit(&at(source), now).is_some();
            is_open && self.latch.learn_rtp(at(source), &Rtp::parse(&packet).unwrap(), now)
        }
    }

    fn learning() -> Lab {
        Lab::new(LatchRule::Learn, &[])
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }
}
