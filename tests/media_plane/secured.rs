//! SRTP with one party or both: what is opened, kept, sealed and sent.

use mitschnitt::media::Srtp;
use mitschnitt::media::srtp::Refused;

use super::*;

proptest! {
    /// Two forks of one offer, and so one key of ours: whatever comes and whatever is agreed, closed and built anew, no two packets that
    /// are sealed under it have one source and number (RFC 3711 §9.1).
    #[test]
    fn no_two_packets_are_sealed_under_one_source_and_number(
        kinds in uniform2(any::<bool>()),
        steps in prop::collection::vec((0..2_usize, 0..9_u8, 1..3_u32, 0..400_u16), 1..120),
    ) {
        let mut lab = Lab::new();
        let mut contents = kinds.map(|is_sound| if is_sound { Content::Audio } else { Content::OtherRtp });
        let forks = [(ID, PORTS), (BridgeId { dialog: 1, ..ID }, [PairIds { rtp: PortId(20), rtcp: PortId(21) }, PORTS[1]])];
        let describe = |lab: &mut Lab, fork: usize, trunk: &str, keys: Option<Box<Srtp>>| {
            let id = forks[fork].0;
            lab.order(Order::Describe { id, leg: Leg::Pbx, remote: remote(PBX), srtp: None });
            lab.order(Order::Describe { id, leg: Leg::Trunk, remote: remote(trunk), srtp: keys });
        };
        let keys = |fork: usize| srtp([THEIRS, 8][fork], OURS);
        for fork in 0..2 {
            lab.bridge(forks[fork].0, forks[fork].1, contents[fork]);
            describe(&mut lab, fork, TRUNK, keys(fork));
        }

        for (fork, step, ssrc, sequence) in steps {
            let (id, ports) = forks[fork];
            match step {
                0 | 1 => lab.receive(ports[0].rtp, at(PBX), &packet(audio(ssrc, sequence, 160 * u32::from(sequence)))),
                2 | 3 => lab.receive(ports[0].rtcp, at(PBX_RTCP), &sender_report(ssrc, 1, 2, 3)),
                4 => describe(&mut lab, fork, if ssrc == 1 { TRUNK } else { "198.51.100.2:5000" }, keys(fork)),
                5 => describe(&mut lab, fork, "0.0.0.0:0", None),
                6 => describe(&mut lab, fork, TRUNK, None),
                7 => {
                    lab.announce(Leg::Trunk, 40);
                    lab.outcome = if sequence % 4 == 0 { Sent::Failed } else { Sent::Out };
                    lab.run(u64::from(sequence % 64));
                }
                _ => {
                    contents[fork] = if ssrc == 1 { Content::Audio } else { Content::OtherRtp };
                    lab.order(Order::Close { id });
                    lab.bridge(id, ports, contents[fork]);
                    describe(&mut lab, fork, TRUNK, keys(fork));
                }
            }
        }

        // By GCM each is longer by its tag, and RTCP by its index, which stands last.
        let plain = packet(audio(1, 1, 1)).len();
        let mut numbers = BTreeSet::new();
        for sent in lab.sent.iter().filter(|sent| sent.port == PORTS[1].rtp && sent.bytes.len() == plain + 16) {
            let (ssrc, sequence) = header(&sent.bytes);
            prop_assert!(numbers.insert((Channel::Rtp, ssrc, u32::from(sequence))));
        }
        for sent in lab.sent.iter().filter(|sent| sent.port == PORTS[1].rtcp && sent.bytes.len() == 52 + 20) {
            let word = |at: usize| u32::from_be_bytes(sent.bytes[at..at + 4].try_into().unwrap());
            prop_assert!(numbers.insert((Channel::Rtcp, word(4), word(sent.bytes.len() - 4))));
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Channel {
    Rtp,
    Rtcp,
}

#[test]
fn srtp_of_the_trunk_is_plain_to_the_pbx_and_to_the_recording() {
    let mut lab = Lab::secured();
    let (mut theirs, mut heard) = (sealer(THEIRS), opener(OURS));
    let permit = lab.permit_of_another_bridge();
    lab.order(Order::Record { id: ID, permit });
    lab.run(1000);
    let voice = packet(audio(1, 1, 160));

    lab.receive(PORTS[1].rtp, at(TRUNK), &sealed(&mut theirs, &voice));
    lab.receive(PORTS[0].rtp, at(PBX), &voice);

    let [to_pbx, to_trunk] = &lab.sent[..] else { panic!("one each way: {:?}", lab.sent.len()) };
    assert_eq!(to_pbx.bytes, voice);
    let opened = opened(&mut heard, &to_trunk.bytes, lab.now).expect("it is sealed with our key");
    assert_eq!(opened[12..], voice[12..]);
    assert!(!to_trunk.bytes.windows(8).any(|part| part == &voice[12..20]), "nothing of the voice is in the open");
    assert_eq!(
        lab.kept.iter().map(|kept| (kept.leg, &kept.bytes)).collect::<Vec<_>>(),
        [(Leg::Trunk, &voice), (Leg::Pbx, &voice)]
    );
}

#[test]
fn nothing_is_taken_that_the_partys_key_does_not_open() {
    let mut lab = Lab::secured();
    let permit = lab.permit_of_another_bridge();
    lab.order(Order::Record { id: ID, permit });
    lab.run(1000);
    let (mut theirs, mut other) = (sealer(THEIRS), sealer(9));
    let voice = packet(audio(1, 1, 160));
    let right = sealed(&mut theirs, &voice);
    let mut flipped = right.clone();
    flipped[20] ^= 1;

    for wrong in [&voice, &sealed(&mut other, &voice), &flipped, &right[..100].to_vec(), &packet(audio(1, 2, 0))[..12].to_vec()] {
        lab.receive(PORTS[1].rtp, at(TRUNK), wrong);
    }
    assert_eq!((lab.sent.len(), lab.kept.len()), (0, 0));

    lab.receive(PORTS[1].rtp, at(TRUNK), &right);
    lab.receive(PORTS[1].rtp, at(TRUNK), &right);
    assert_eq!((lab.sent.len(), lab.kept.len()), (1, 1), "what was forged before does not harm it, and it counts once");

    let refused = lab.plane.tallies().refused;
    let of = |why: Refused| refused[why.index()];
    assert_eq!((of(Refused::Tag), of(Refused::Replayed), refused.iter().sum::<u64>()), (4, 1, 6));
    assert_eq!(lab.plane.carried(ID).legs[1].refused, 6);
    assert_eq!(lab.plane.carried(ID).legs[1].packets, 1);
}

#[test]
fn what_goes_to_a_secured_party_is_one_stream_whatever_its_source_does() {
    let mut lab = Lab::secured();
    let mut heard = opener(OURS);

    for (ssrc, first) in [(1, 65_534), (1, 40_000), (2, 9)] {
        lab.talk(Leg::Pbx, audio(ssrc, first, 0), 4);
    }
    // Twice, and one that comes late.
    lab.receive(PORTS[0].rtp, at(PBX), &packet(audio(2, 12, 480)));

    let headers: Vec<_> = lab.sent.iter().map(|sent| header(&opened(&mut heard, &sent.bytes, lab.now).unwrap())).collect();
    assert_eq!(headers.len(), 12);
    assert!(headers[0].1 < 0x8000, "a number whose loss hides no rollover");
    for (nth, pair) in headers.windows(2).enumerate() {
        assert_eq!((pair[1].0, pair[1].1), (pair[0].0, pair[0].1.wrapping_add(1)), "after packet {nth}");
    }
    assert_eq!(lab.plane.tallies().not_sealed.iter().sum::<u64>(), 1, "no number is sealed twice");
    let from_pbx = lab.plane.carried(ID).legs[0];
    assert_eq!((from_pbx.packets, from_pbx.not_sealed, from_pbx.forwarded()), (13, 1, 12));
}

#[test]
fn an_announcement_is_sealed_and_the_party_goes_on_in_its_stream() {
    let mut lab = Lab::secured();
    let mut heard = opener(OURS);

    lab.talk(Leg::Pbx, audio(1, 7, 0), 2);
    lab.announce(Leg::Trunk, 60);
    for nth in 2..5 {
        lab.talk(Leg::Pbx, audio(1, 7 + nth, 160 * u32::from(nth)), 1);
    }
    lab.run(60);
    lab.talk(Leg::Pbx, audio(1, 12, 800), 3);

    assert_eq!(lab.played.len(), 1);
    let to_trunk: Vec<_> = lab.sent.iter().filter(|sent| sent.to == at(TRUNK)).collect();
    let headers: Vec<_> = to_trunk.iter().map(|sent| header(&opened(&mut heard, &sent.bytes, lab.now).unwrap())).collect();
    assert_eq!(to_trunk.iter().filter(|sent| sent.ours).count(), 3);
    for pair in headers.windows(2) {
        assert_eq!((pair[1].0, pair[1].1), (pair[0].0, pair[0].1.wrapping_add(1)));
    }
}

#[test]
fn rtcp_is_opened_and_sealed_each_with_its_own_key() {
    let mut lab = Lab::secured();
    let (mut theirs, mut heard) = (sealer(THEIRS), opener(OURS));
    let report = sender_report(1, 1, 2, 3);

    let mut buffer = report.clone();
    buffer.resize(report.len() + Sealer::GROWTH_MAX, 0);
    let sealed = theirs.seal_rtcp(&mut buffer, report.len()).unwrap().to_vec();
    lab.receive(PORTS[1].rtcp, at(TRUNK_RTCP), &sealed);
    lab.receive(PORTS[0].rtcp, at(PBX_RTCP), &report);
    lab.receive(PORTS[1].rtcp, at(TRUNK_RTCP), &report);

    let [to_pbx, to_trunk] = &lab.sent[..] else { panic!("one each way") };
    assert_eq!(to_pbx.bytes, report);
    let mut bytes = to_trunk.bytes.clone();
    let opened = heard.open_rtcp(&mut bytes, lab.now).unwrap();
    assert_eq!((&opened[..4], &opened[8..]), (&report[..4], &report[8..]));
    assert_ne!(opened[4..8], report[4..8], "its sender is a source of ours");
}

/// The key of one offer is that of all its forks, and of a line that is taken up again: only the source keeps two packets apart.
#[test]
fn no_keystream_is_used_twice_by_forks_of_one_offer() {
    for content in [Content::Audio, Content::OtherRtp] {
        let mut lab = Lab::new();
        let second = BridgeId { dialog: 1, ..ID };
        let ports = [PairIds { rtp: PortId(20), rtcp: PortId(21) }, PORTS[1]];
        for (id, ports, theirs) in [(ID, PORTS, THEIRS), (second, ports, 8)] {
            lab.bridge(id, ports, content);
            lab.order(Order::Describe { id, leg: Leg::Pbx, remote: remote(PBX), srtp: None });
            lab.order(Order::Describe { id, leg: Leg::Trunk, remote: remote(TRUNK), srtp: srtp(theirs, OURS) });
        }
        let mut heard = opener(OURS);

        // Reports come first, as they do from whoever only listens; then packets, and reports about them.
        for (rtcp, rtp) in [(PORTS[0].rtcp, PORTS[0].rtp), (PortId(21), PortId(20))] {
            lab.receive(rtcp, at(PBX_RTCP), &sender_report(7, 1, 2, 3));
            lab.receive(rtp, at(PBX), &packet(audio(7, 100, 0)));
            lab.receive(rtcp, at(PBX_RTCP), &sender_report(7, 1, 2, 3));
        }

        assert_eq!(lab.sent.len(), 6);
        for sent in &lab.sent {
            let mut bytes = sent.bytes.clone();
            let is_new = if sent.port == PORTS[1].rtp {
                heard.open_rtp(&mut bytes, lab.now).is_ok()
            } else {
                heard.open_rtcp(&mut bytes, lab.now).is_ok()
            };
            assert!(is_new, "{content:?}: its source and number came before");
        }
    }
}

#[test]
fn a_line_that_was_rejected_and_taken_up_again_under_the_same_keys_repeats_nothing() {
    for content in [Content::Audio, Content::OtherRtp] {
        let mut lab = Lab::new();
        lab.bridge(ID, PORTS, content);
        lab.describe(Leg::Pbx, remote(PBX));
        lab.secure(Leg::Trunk, THEIRS, OURS);
        let (mut theirs, mut heard) = (sealer(THEIRS), opener(OURS));
        let voice = packet(audio(7, 100, 0));
        let said = sealed(&mut theirs, &voice);
        lab.receive(PORTS[1].rtp, at(TRUNK), &said);
        lab.receive(PORTS[0].rtp, at(PBX), &voice);
        lab.receive(PORTS[0].rtcp, at(PBX_RTCP), &sender_report(7, 1, 2, 3));

        lab.order(Order::Describe { id: ID, leg: Leg::Trunk, remote: remote("0.0.0.0:0"), srtp: None });
        lab.receive(PORTS[0].rtp, at(PBX), &voice);
        lab.secure(Leg::Trunk, THEIRS, OURS);
        lab.receive(PORTS[0].rtp, at(PBX), &voice);
        lab.receive(PORTS[0].rtcp, at(PBX_RTCP), &sender_report(7, 1, 2, 3));
        lab.receive(PORTS[1].rtp, at(TRUNK), &said);

        let [_, first, report, second, again] = &lab.sent[..] else {
            panic!("two each, and nothing repeated: {}", lab.sent.len())
        };
        for rtp in [first, second] {
            assert!(opened(&mut heard, &rtp.bytes, lab.now).is_some(), "{content:?}");
        }
        for rtcp in [report, again] {
            assert!(heard.open_rtcp(&mut rtcp.bytes.clone(), lab.now).is_ok(), "{content:?}");
        }
        assert_eq!(lab.plane.tallies().refused[Refused::Replayed.index()], 1);
    }
}

#[test]
fn reports_about_masked_video_say_the_names_that_each_side_knows() {
    let mut lab = Lab::new();
    lab.bridge(ID, PORTS, Content::OtherRtp);
    lab.describe(Leg::Pbx, remote(PBX));
    lab.secure(Leg::Trunk, THEIRS, OURS);
    let (mut theirs, mut heard) = (sealer(THEIRS), opener(OURS));
    lab.receive(PORTS[0].rtp, at(PBX), &packet(audio(7, 40_000, 9)));
    let seen = opened(&mut heard, &lab.sent[0].bytes, lab.now).unwrap();
    let (ssrc, sequence) = header(&seen);
    assert_eq!((sequence, &seen[4..8]), (40_000, &9_u32.to_be_bytes()[..]), "all but the source is as it came");

    let mut report = sender_report(5, 1, ssrc, 3);
    let length = report.len();
    report.resize(length + Sealer::GROWTH_MAX, 0);
    let report = theirs.seal_rtcp(&mut report, length).unwrap().to_vec();
    lab.receive(PORTS[1].rtcp, at(TRUNK_RTCP), &report);
    lab.receive(PORTS[0].rtcp, at(PBX_RTCP), &sender_report(7, 1, 5, 3));

    assert_eq!(lab.sent[1].bytes, sender_report(5, 1, 7, 3));
    assert_eq!(heard.open_rtcp(&mut lab.sent[2].bytes.clone(), lab.now).unwrap(), &sender_report(ssrc, 1, 5, 3)[..]);
}

#[test]
fn a_new_key_of_ours_begins_a_new_stream_and_the_same_one_goes_on() {
    let mut lab = Lab::secured();
    let mut heard = opener(OURS);
    lab.talk(Leg::Pbx, audio(1, 7, 0), 2);

    lab.secure(Leg::Trunk, THEIRS, OURS);
    lab.talk(Leg::Pbx, audio(1, 9, 320), 2);
    let before: Vec<_> = lab.sent.drain(..).map(|sent| header(&opened(&mut heard, &sent.bytes, lab.now).unwrap())).collect();
    assert!(before.windows(2).all(|pair| (pair[1].0, pair[1].1) == (pair[0].0, pair[0].1 + 1)), "{before:?}");

    lab.secure(Leg::Trunk, THEIRS, 5);
    lab.talk(Leg::Pbx, audio(1, 11, 640), 2);
    let mut heard = opener(5);
    let after: Vec<_> = lab.sent.drain(..).map(|sent| header(&opened(&mut heard, &sent.bytes, lab.now).unwrap())).collect();
    assert!(after.len() == 2 && after[0].0 != before[0].0, "another source, for which every counter begins at 0");
}

#[test]
fn what_is_played_under_a_key_that_is_replaced_is_cut() {
    let mut lab = Lab::secured();
    lab.announce(Leg::Trunk, 200);
    lab.run(40);

    lab.secure(Leg::Trunk, THEIRS, 5);

    assert_eq!((&lab.cut[..], lab.played.len()), (&[(Leg::Trunk, Cut::Moved)][..], 0));
}

#[test]
fn a_source_is_learned_by_packets_that_the_key_opens_and_by_no_others() {
    let mut lab = Lab::new();
    lab.latching[1].rule = LatchRule::Learn;
    lab.bridge(ID, PORTS, Content::Audio);
    lab.describe(Leg::Pbx, remote(PBX));
    lab.secure(Leg::Trunk, THEIRS, OURS);
    let mut theirs = sealer(THEIRS);

    lab.says(FORGER, audio(7, 1, 0), 20);
    assert_eq!(lab.sent, []);
    for nth in 0..8 {
        let voice = packet(audio(OWN_SSRC, nth, 160 * u32::from(nth)));
        lab.receive(PORTS[1].rtp, at(NAT), &sealed(&mut theirs, &voice));
        lab.run(20);
    }
    lab.says(FORGER, audio(7, 40, 0), 20);

    assert!((4..=8).contains(&lab.sent.len()), "{}", lab.sent.len());
    lab.sent.clear();
    lab.talk(Leg::Pbx, audio(1, 7, 0), 1);
    assert_eq!(lab.sent[0].to, at(NAT));
}

#[test]
fn the_packets_of_two_forks_behind_one_gateway_are_told_apart_by_their_keys() {
    let mut lab = Lab::secured();
    let second = BridgeId { dialog: 1, ..ID };
    let ports = [PairIds { rtp: PortId(20), rtcp: PortId(21) }, PORTS[1]];
    lab.bridge(second, ports, Content::Audio);
    lab.order(Order::Describe { id: second, leg: Leg::Pbx, remote: remote(PBX), srtp: None });
    lab.order(Order::Describe { id: second, leg: Leg::Trunk, remote: remote(TRUNK), srtp: srtp(8, OURS) });
    let (mut first, mut other) = (sealer(THEIRS), sealer(8));
    let voice = packet(audio(1, 1, 160));

    lab.receive(PORTS[1].rtp, at(TRUNK), &sealed(&mut first, &voice));
    lab.receive(PORTS[1].rtp, at(TRUNK), &sealed(&mut other, &voice));

    assert_eq!(
        lab.sent.iter().map(|sent| (sent.port, &sent.bytes)).collect::<Vec<_>>(),
        [(PORTS[0].rtp, &voice), (PortId(20), &voice)]
    );
    lab.sent.clear();
    // What goes to them is under one key, for one offer went to both, and so must not have one source.
    let mut heard = opener(OURS);
    lab.receive(PORTS[0].rtp, at(PBX), &voice);
    lab.receive(PortId(20), at(PBX), &voice);
    let sources: Vec<_> = lab.sent.iter().map(|sent| header(&opened(&mut heard, &sent.bytes, lab.now).unwrap()).0).collect();
    assert_ne!(sources[0], sources[1]);
}

#[test]
fn of_two_forks_behind_one_gateway_a_plain_one_does_not_take_what_the_others_key_opens() {
    let mut lab = Lab::secured();
    let plain = BridgeId { dialog: 1, ..ID };
    lab.bridge(plain, [PairIds { rtp: PortId(20), rtcp: PortId(21) }, PORTS[1]], Content::Audio);
    lab.order(Order::Describe { id: plain, leg: Leg::Pbx, remote: remote(PBX), srtp: None });
    lab.order(Order::Describe { id: plain, leg: Leg::Trunk, remote: remote(TRUNK), srtp: None });
    let mut theirs = sealer(THEIRS);
    let voice = packet(audio(1, 1, 160));

    lab.receive(PORTS[1].rtp, at(TRUNK), &sealed(&mut theirs, &voice));
    lab.receive(PORTS[1].rtp, at(TRUNK), &voice);

    assert_eq!(
        lab.sent.iter().map(|sent| (sent.port, &sent.bytes)).collect::<Vec<_>>(),
        [(PORTS[0].rtp, &voice), (PortId(20), &voice)]
    );
}

#[test]
fn both_sides_may_be_secured_and_neither_knows_the_others_key() {
    let mut lab = Lab::secured();
    lab.order(Order::Describe { id: ID, leg: Leg::Pbx, remote: remote(PBX), srtp: srtp(11, 12) });
    let (mut theirs, mut heard) = (sealer(THEIRS), opener(12));
    let voice = packet(audio(1, 1, 160));

    lab.receive(PORTS[1].rtp, at(TRUNK), &sealed(&mut theirs, &voice));

    let to_pbx = &lab.sent[0].bytes;
    assert!(opened(&mut opener(THEIRS), to_pbx, lab.now).is_none());
    assert_eq!(opened(&mut heard, to_pbx, lab.now).unwrap()[12..], voice[12..]);
}

#[test]
fn a_secured_packet_costs_no_allocation() {
    let mut lab = Lab::secured();
    let mut theirs = sealer(THEIRS);
    let packets: Vec<_> = (0..50).map(|nth| packet(audio(1, nth, u32::from(nth) * 160))).collect();
    let from_trunk: Vec<_> = packets.iter().map(|packet| sealed(&mut theirs, packet)).collect();
    let mut buffer = [0; 2048];

    let before = heap::allocations();
    let mut sent = 0;
    for (plain, secured) in packets.iter().zip(&from_trunk) {
        for (port, source, bytes) in [(PORTS[0].rtp, at(PBX), plain), (PORTS[1].rtp, at(TRUNK), secured)] {
            buffer[..bytes.len()].copy_from_slice(bytes);
            let verdict = lab.plane.packet(port, source, &mut buffer[..bytes.len()], lab.now);
            let Some(forward) = verdict.forward else { continue };
            sent += usize::from(lab.plane.prepare(&forward, &mut buffer).is_some());
        }
    }
    let allocations = heap::allocations() - before;

    assert_eq!((sent, allocations), (100, 2), "but for the two streams that begin");
}

/// The seeds of the keys of the trunk's party and of ours towards it.
const THEIRS: u8 = 1;
const OURS: u8 = 2;

impl Lab {
    /// The trunk's party speaks SRTP.
    fn secured() -> Self {
        let mut lab = Self::answered();
        lab.secure(Leg::Trunk, THEIRS, OURS);
        lab
    }

    fn secure(&mut self, leg: Leg, theirs: u8, ours: u8) {
        self.order(Order::Describe {
            id: ID,
            leg,
            remote: remote(if leg == Leg::Pbx { PBX } else { TRUNK }),
            srtp: srtp(theirs, ours),
        });
    }
}

fn srtp(theirs: u8, ours: u8) -> Option<Box<Srtp>> {
    Some(Box::new(Srtp { theirs: keying(theirs), ours: keying(ours) }))
}

fn keying(seed: u8) -> Keying {
    Keying::of(&Crypto::new(1, Suite::AeadAes256Gcm, &[seed; 44]).unwrap()).unwrap()
}

fn sealer(seed: u8) -> Sealer {
    Sealer::new(keying(seed))
}

fn opener(seed: u8) -> Opener {
    Opener::new(keying(seed))
}

fn sealed(sealer: &mut Sealer, packet: &[u8]) -> Vec<u8> {
    let mut buffer = packet.to_vec();
    buffer.resize(packet.len() + Sealer::GROWTH_MAX, 0);
    sealer.seal_rtp(&mut buffer, packet.len()).unwrap().to_vec()
}

fn opened(opener: &mut Opener, packet: &[u8], now: Moment) -> Option<Vec<u8>> {
    let mut packet = packet.to_vec();
    opener.open_rtp(&mut packet, now).ok().map(|plain| plain.to_vec())
}

/// Source and number.
fn header(packet: &[u8]) -> (u32, u16) {
    let rtp = Rtp::parse(packet).unwrap();
    (rtp.ssrc(), rtp.sequence())
}
