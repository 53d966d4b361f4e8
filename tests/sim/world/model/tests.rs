//! Crossings made by hand: that the model lets a good box pass, and catches a bad one.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use mitschnitt::ids::Leg;
use mitschnitt::time::Moment;

use super::super::border::{BOX_MEDIA, BOX_SIP, CARRIER_SIP, Datagram, PBX_SIP, Way, voice};
use super::{Archive, Broken, Fault, File, FileState, Model, Row, Rules};

#[test]
fn a_plain_announced_call_passes() {
    let mut stage = Stage::calls("+49301555");
    stage.announces();
    stage.talks(50);
    stage.hangs_up(Leg::Pbx);

    stage.passes();
}

#[test]
fn a_call_that_is_agreed_to_by_key_passes_and_begins_with_the_key() {
    let mut stage = Stage::calls("+49303555");
    stage.announces();
    stage.talks(3);
    stage.presses(Leg::Trunk, 1);
    stage.grants();
    stage.talks(30);
    stage.hangs_up(Leg::Trunk);

    stage.passes();
}

#[test]
fn a_call_that_nobody_agreed_to_has_a_row_and_no_file() {
    let mut stage = Stage::calls("+49303555");
    stage.announces();
    stage.talks(50);
    stage.hangs_up(Leg::Trunk);

    stage.passes();
}

#[test]
fn the_first_of_two_invites_may_be_answered_when_the_second_has_come() {
    let both = || {
        let mut stage = Stage::new("+49301555");
        stage.invites(1);
        stage.invites(2);
        stage.is_answered(1);
        stage
    };

    let mut stage = both();
    stage.announces();
    stage.talks(20);
    stage.hangs_up(Leg::Pbx);
    stage.passes();

    let mut stage = both();
    stage.grants();
    stage.talks(20);
    stage.hangs_up(Leg::Pbx);
    stage.breaks("stored-before-grant");
}

#[test]
fn an_ack_of_the_2xx_to_the_first_of_two_invites_confirms_it_though_it_has_the_number_of_the_second() {
    let mut stage = Stage::new("+49301555");
    stage.invites(1);
    stage.invites(2);
    let refused = stage.response(482, "INVITE", 2, Leg::Pbx, "").replace(";tag=b7", ";tag=n7");
    stage.sip(Way::In, Leg::Trunk, &refused);
    stage.sip(Way::Out, Leg::Pbx, &refused);
    stage.is_answered_and_acknowledged(1, 2);
    stage.announces();
    stage.talks(20);
    stage.hangs_up(Leg::Pbx);

    stage.passes();
}

#[test]
fn an_answer_to_the_first_of_two_invites_that_is_lost_in_the_box_is_caught() {
    let mut stage = Stage::new("+49301555");
    stage.invites(1);
    stage.invites(2);
    let ok = stage.response(200, "INVITE", 1, Leg::Pbx, &sdp(TRUNK_PARTY));
    stage.sip(Way::In, Leg::Trunk, &ok);
    stage.rows("ended-before-consent", false);

    stage.breaks("swallowed");
}

#[test]
fn a_file_without_the_key_is_caught() {
    let mut stage = Stage::calls("+49303555");
    stage.announces();
    stage.talks(50);
    stage.grants();
    stage.talks(50);
    stage.hangs_up(Leg::Trunk);

    stage.breaks("stored-before-grant");
}

#[test]
fn a_refusal_stands() {
    let mut stage = Stage::calls("+49302555");
    stage.announces();
    stage.presses(Leg::Trunk, 9);
    stage.talks(60);
    stage.hangs_up(Leg::Trunk);
    stage.passes();

    let mut stage = Stage::calls("+49302555");
    stage.announces();
    stage.presses(Leg::Trunk, 9);
    stage.talks(60);
    stage.grants();
    stage.talks(10);
    stage.hangs_up(Leg::Trunk);
    stage.breaks("stored-before-grant");
}

#[test]
fn silence_is_consent_in_opt_out_and_a_key_withdraws_it() {
    let mut stage = Stage::calls("+49302555");
    stage.announces();
    stage.talks(20);
    stage.grants();
    stage.talks(40);
    stage.presses(Leg::Trunk, 9);
    stage.ends("trunk-withdrew");
    stage.talks(30);
    stage.hangs_up(Leg::Trunk);
    stage.passes();
}

#[test]
fn a_recording_that_goes_on_after_the_withdrawal_is_caught() {
    let mut stage = Stage::calls("+49302555");
    stage.announces();
    stage.talks(20);
    stage.grants();
    stage.talks(40);
    stage.presses(Leg::Trunk, 9);
    stage.talks(30);
    stage.hangs_up(Leg::Trunk);
    stage.breaks("stored-after-end");
}

#[test]
fn one_packet_from_before_the_grant_is_caught() {
    let mut stage = Stage::calls("+49301555");
    stage.announces_storing_the_last();
    stage.talks(50);
    stage.hangs_up(Leg::Pbx);

    stage.breaks("stored-before-grant");
}

#[test]
fn a_packet_that_is_kept_nowhere_is_caught_unless_a_gap_names_it() {
    let mut stage = Stage::calls("+49301555");
    stage.announces();
    stage.talks(50);
    stage.hangs_up(Leg::Pbx);
    let file = stage.archive.files.last_mut().unwrap();
    let (leg, since, _) = file.packets.remove(40);
    stage.breaks("missing-without-gap");

    stage.model.fault(stage.now, Fault::LaneFull { from: Moment::START });
    let gap = (Some(leg), "lane-full".to_owned(), since, Duration::ZERO, 1);
    stage.archive.files.last_mut().unwrap().gaps.push(gap);
    stage.passes();
}

#[test]
fn a_packet_that_does_not_go_out_is_caught() {
    let mut stage = Stage::calls("+49301555");
    stage.announces();
    stage.talks(30);
    stage.media(Way::In, Leg::Trunk, &rtp(777, &voice(7, 1, 0, 777)));
    stage.now = stage.now + Duration::from_millis(200);

    stage.breaks("not-forwarded");
}

#[test]
fn a_strangers_packet_goes_nowhere() {
    let mut stage = Stage::calls("+49301555");
    stage.announces();
    stage.talks(30);
    let packet = rtp(7, &voice(7, 1, 9, 0));
    let stranger = Datagram { from: at("233.252.0.1:4000"), to: at(TRUNK_PORT), bytes: packet.clone().into() };
    stage.see(Way::In, &stranger);

    stage.media(Way::Out, Leg::Pbx, &packet);
    stage.breaks("forwarded-for-stranger");
}

#[test]
fn a_strangers_packet_is_not_stored() {
    let mut stage = Stage::calls("+49301555");
    stage.announces();
    stage.talks(30);
    let packet = rtp(7, &voice(7, 1, 9, 0));
    let stranger = Datagram { from: at("233.252.0.1:4000"), to: at(TRUNK_PORT), bytes: packet.clone().into() };
    stage.see(Way::In, &stranger);
    stage.stores(Leg::Trunk, &packet);
    stage.talks(10);
    stage.hangs_up(Leg::Pbx);

    stage.breaks("stored-for-stranger");
}

#[test]
fn a_stranger_gets_neither_answer_nor_packet() {
    let mut stage = Stage::calls("+49301555");
    let answer = "SIP/2.0 200 OK\r\nCall-ID: 7@world\r\nCSeq: 1 BYE\r\n\r\n";
    stage.see(Way::Out, &Datagram { from: at(BOX_SIP), to: at("233.252.0.1:5060"), bytes: answer.into() });
    stage.breaks("answered-a-stranger");

    let mut stage = Stage::calls("+49301555");
    let packet = Datagram { from: at(PBX_PORT), to: at("233.252.0.1:4000"), bytes: rtp(1, &voice(7, 1, 0, 0)).into() };
    stage.see(Way::Out, &packet);
    stage.breaks("forwarded-to-stranger");
}

#[test]
fn a_strangers_bye_that_is_passed_on_is_caught() {
    let mut stage = Stage::calls("+49301555");
    stage.announces();
    let bye = stage.request("BYE", Leg::Pbx, 2, "");
    let spoofed = Datagram { from: at("233.252.0.1:5060"), to: at(BOX_SIP), bytes: bye.clone().into() };
    stage.see(Way::In, &spoofed);
    stage.sip(Way::Out, Leg::Trunk, &bye);

    stage.breaks("stranger-passed-on");
}

#[test]
fn a_changed_payload_is_caught() {
    let mut stage = Stage::calls("+49301555");
    stage.announces();
    stage.talks(10);
    let mut payload = voice(7, 1, 0, 900);
    stage.media(Way::In, Leg::Trunk, &rtp(900, &payload));
    payload[30] ^= 1;
    stage.media(Way::Out, Leg::Pbx, &rtp(900, &payload));

    stage.breaks("payload-changed");
}

#[test]
fn an_sdp_that_names_a_party_is_caught() {
    let mut stage = Stage::new("+49301555");
    let invite = stage.request("INVITE", Leg::Pbx, 1, &sdp(PBX_PARTY)).replace(";tag=b7", "");
    stage.sip(Way::In, Leg::Pbx, &invite);
    stage.sip(Way::Out, Leg::Trunk, &invite);

    stage.breaks("sdp-leaks-address");
}

#[test]
fn a_missing_row_and_a_second_row_are_caught() {
    let mut stage = Stage::calls("+49301555");
    stage.announces();
    stage.talks(50);
    stage.hangs_up(Leg::Pbx);
    let row = stage.archive.rows.pop().unwrap();
    stage.breaks("no-row");

    stage.archive.rows = vec![row.clone(), row];
    stage.breaks("row-twice");
}

#[test]
fn a_torn_file_wants_a_cause() {
    let mut stage = Stage::calls("+49301555");
    stage.announces();
    stage.talks(50);
    stage.hangs_up(Leg::Pbx);
    stage.archive.files[0].state = FileState::Torn;

    stage.breaks("torn-without-cause");
}

#[test]
fn a_killed_box_may_lose_the_last_half_second_and_no_more() {
    for (lost, passes) in [(20, true), (80, false)] {
        let mut stage = Stage::calls("+49301555");
        stage.announces();
        stage.talks(150);
        stage.model.fault(stage.now, Fault::Killed);
        stage.rows("interrupted", true);
        let file = &mut stage.archive.files[0];
        file.state = FileState::Torn;
        file.end = None;
        file.packets.truncate(file.packets.len() - 2 * lost);
        if passes {
            stage.passes();
        } else {
            stage.breaks("missing-without-gap");
        }
    }
}

#[test]
fn a_call_that_is_not_announced_is_caught() {
    let mut stage = Stage::calls("+49301555");
    stage.talks(50);
    stage.hangs_up(Leg::Pbx);

    stage.breaks("not-announced");
}

#[test]
fn a_pressed_key_in_the_file_is_caught() {
    let mut stage = Stage::calls("+49301555");
    stage.announces();
    stage.talks(20);
    let key = event(5, true);
    stage.media(Way::In, Leg::Trunk, &key);
    stage.stores(Leg::Trunk, &key);
    stage.talks(20);
    stage.hangs_up(Leg::Pbx);

    stage.breaks("digits-stored");
}

#[test]
fn a_refused_call_has_a_row_and_is_not_live() {
    let mut stage = Stage::new("+49301555");
    stage.invites(1);
    assert_eq!((stage.model.live(), stage.model.live_at_most(stage.now)), (0, 1));

    let busy = stage.response(486, "INVITE", 1, Leg::Pbx, "");
    stage.sip(Way::In, Leg::Trunk, &busy);
    stage.sip(Way::Out, Leg::Pbx, &busy);
    stage.rows("busy", false);

    assert_eq!(stage.model.live_at_most(stage.now + Duration::from_secs(40)), 0);
    stage.passes();
}

#[test]
fn a_held_party_is_not_owed_its_packets_and_after_the_resume_it_is() {
    for (flow, invariant) in [("sendonly", None), ("sendrecv", Some("not-forwarded"))] {
        let mut stage = Stage::calls("+49305555");
        stage.talks(10);
        stage.offers(&sdp(PBX_PARTY).replace("sendrecv", "sendonly"), 2);
        if flow == "sendrecv" {
            stage.offers(&sdp(PBX_PARTY), 3);
        }
        stage.rests(20);
        stage.media(Way::In, Leg::Trunk, &rtp(77, &voice(7, 1, 0, 77)));
        stage.rests(10);
        stage.hangs_up(Leg::Pbx);
        match invariant {
            None => stage.passes(),
            Some(invariant) => stage.breaks(invariant),
        }
    }
}

#[test]
fn of_two_packets_with_one_number_a_side_with_srtp_is_owed_the_first_alone() {
    for (sequence, secured, is_owed) in [(777, true, false), (778, true, true), (777, false, true)] {
        let mut stage = Stage::calls("+49305555");
        stage.model.rules.secured[Leg::Pbx.index()] = secured;
        stage.talks(10);
        stage.rests(60);
        stage.media(Way::In, Leg::Trunk, &rtp(777, &voice(7, 1, 0, 777)));
        stage.media(Way::Out, Leg::Pbx, &rtp(777, &voice(7, 1, 0, 777)));
        // As it is when it was mangled on the way, and comes again.
        stage.media(Way::In, Leg::Trunk, &rtp(sequence, &voice(7, 1, 0, 778)));
        stage.rests(10);
        stage.hangs_up(Leg::Pbx);
        if is_owed { stage.breaks("not-forwarded") } else { stage.passes() }
    }
}

#[test]
fn an_announcement_that_begins_a_stream_of_its_own_is_caught() {
    let mut stage = Stage::calls("+49301555");
    stage.talks(3);
    let mut clip = rtp(900, b"CLIP\0\0");
    clip[11] = 0xff;
    stage.media(Way::Out, Leg::Pbx, &clip);

    stage.breaks("stream-jumps");
}

#[test]
fn a_bye_that_comes_to_nothing_is_caught() {
    let mut stage = Stage::calls("+49305555");
    stage.talks(10);
    let bye = stage.request("BYE", Leg::Pbx, 2, "");
    stage.sip(Way::In, Leg::Pbx, &bye);

    stage.breaks("swallowed");
}

#[test]
fn the_refusal_of_a_cut_copy_ends_nothing() {
    let mut stage = Stage::calls("+49305555");
    stage.talks(10);
    let bye = stage.request("BYE", Leg::Pbx, 2, "");
    stage.sip(Way::In, Leg::Pbx, bye.trim_end());
    let refusal = stage.response(400, "BYE", 2, Leg::Pbx, "");
    stage.sip(Way::Out, Leg::Pbx, &refusal);
    stage.talks(20);
    stage.hangs_up(Leg::Pbx);

    stage.passes();
}

/// One call between 192.0.2.10 and 198.51.100.20, and a box that does right unless told otherwise.
struct Stage {
    model: Model,
    now: Moment,
    far: &'static str,
    archive: Archive,
    recording: bool,
    counter: u32,
    broken: Option<Broken>,
}

impl Stage {
    fn new(far: &'static str) -> Self {
        Self {
            model: Model::new(Rules::world(Duration::from_millis(10))),
            now: Moment::from_millis(1000),
            far,
            archive: Archive::default(),
            recording: false,
            counter: 0,
            broken: None,
        }
    }

    /// The PBX calls, the carrier answers, the ACK passes.
    fn calls(far: &'static str) -> Self {
        let mut stage = Self::new(far);
        stage.invites(1);
        stage.is_answered(1);
        stage
    }

    /// The carrier answers this INVITE, and the ACK passes.
    fn is_answered(&mut self, cseq: u32) {
        self.is_answered_and_acknowledged(cseq, cseq);
    }

    /// The carrier answers this INVITE, and an ACK with this number passes.
    fn is_answered_and_acknowledged(&mut self, cseq: u32, acknowledged: u32) {
        let ok = |address| self.response(200, "INVITE", cseq, Leg::Pbx, &sdp(address));
        let (came, went) = (ok(TRUNK_PARTY), ok(PBX_PORT));
        let ack = self.request("ACK", Leg::Pbx, acknowledged, "");
        self.sip(Way::In, Leg::Trunk, &came);
        self.sip(Way::Out, Leg::Pbx, &went);
        self.rests(5);
        self.sip(Way::In, Leg::Pbx, &ack);
        self.sip(Way::Out, Leg::Trunk, &ack);
    }

    fn invites(&mut self, cseq: u32) {
        let invite = |address| self.request("INVITE", Leg::Pbx, cseq, &sdp(address)).replace(";tag=b7", "");
        let (came, went) = (invite(PBX_PARTY), invite(TRUNK_PORT));
        self.sip(Way::In, Leg::Pbx, &came);
        self.sip(Way::Out, Leg::Trunk, &went);
        self.rests(1);
    }

    /// The PBX offers anew; the carrier agrees.
    fn offers(&mut self, offer: &str, cseq: u32) {
        let (party, port) = (ip(PBX_PARTY), ip(TRUNK_PORT));
        let went = offer.replace(&party.0, &port.0).replace(&party.1, &port.1);
        let (came, went) = (self.request("INVITE", Leg::Pbx, cseq, offer), self.request("INVITE", Leg::Pbx, cseq, &went));
        let ok = |address| self.response(200, "INVITE", cseq, Leg::Pbx, &sdp(address));
        let (answered, passed) = (ok(TRUNK_PARTY), ok(PBX_PORT));
        self.sip(Way::In, Leg::Pbx, &came);
        self.sip(Way::Out, Leg::Trunk, &went);
        self.sip(Way::In, Leg::Trunk, &answered);
        self.sip(Way::Out, Leg::Pbx, &passed);
    }

    /// All frames to both; meanwhile both talk, and are not heard.
    fn announces(&mut self) {
        for frame in 0..5 {
            for leg in Leg::BOTH {
                let mut clip = [0; 160];
                clip[..6].copy_from_slice(&[b'C', b'L', b'I', b'P', 0, frame]);
                self.media(Way::Out, leg, &rtp(frame.into(), &clip));
                let counter = self.count();
                self.media(Way::In, leg, &rtp(counter, &voice(7, leg.index() as u8, 0, counter)));
            }
            self.now = self.now + Duration::from_millis(20);
        }
        if self.far.starts_with("+49301") {
            self.grants();
        }
    }

    fn announces_storing_the_last(&mut self) {
        self.announces();
        let packet = rtp(self.counter, &voice(7, 1, 0, self.counter));
        let file = self.archive.files.last_mut().unwrap();
        file.packets.push((Leg::Trunk, Duration::ZERO, packet));
        file.granted = Moment::START + self.now.since(Moment::START + Duration::from_millis(15));
        // It arrived 20 ms before the grant, and is said to have arrived with it.
        self.model.rules.slack = Duration::from_millis(30);
    }

    /// Both say `packets` packets, which go out, and are stored.
    fn talks(&mut self, packets: u32) {
        for _ in 0..packets {
            for leg in Leg::BOTH {
                let counter = self.count();
                let packet = rtp(counter, &voice(7, leg.index() as u8, 0, counter));
                self.media(Way::In, leg, &packet);
                self.media(Way::Out, leg.other(), &packet);
                self.stores(leg, &packet);
            }
            self.now = self.now + Duration::from_millis(20);
        }
    }

    fn presses(&mut self, leg: Leg, digit: u8) {
        for ended in [false, true] {
            let event = event(digit, ended);
            self.media(Way::In, leg, &event);
            if self.recording {
                self.archive.files.last_mut().unwrap().withheld[leg.index()] += 1;
            }
            self.media(Way::Out, leg.other(), &event);
            self.now = self.now + Duration::from_millis(20);
        }
    }

    fn grants(&mut self) {
        self.recording = true;
        self.archive.files.push(File {
            call_id: "7@world".to_owned(),
            state: FileState::Complete,
            granted: self.now,
            packets: Vec::new(),
            gaps: Vec::new(),
            end: None,
            withheld: [0; 2],
        });
    }

    fn stores(&mut self, leg: Leg, packet: &[u8]) {
        if let Some(file) = self.archive.files.last_mut().filter(|_| self.recording) {
            file.packets.push((leg, self.now.since(file.granted), packet.to_vec()));
        }
    }

    fn ends(&mut self, word: &str) {
        self.recording = false;
        if let Some(file) = self.archive.files.last_mut() {
            file.end.get_or_insert_with(|| word.to_owned());
        }
    }

    fn hangs_up(&mut self, leg: Leg) {
        let bye = self.request("BYE", leg, 9, "");
        let ok = self.response(200, "BYE", 9, leg, "");
        self.sip(Way::In, leg, &bye);
        self.ends(if leg == Leg::Pbx { "pbx-hung-up" } else { "trunk-hung-up" });
        self.sip(Way::Out, leg.other(), &bye);
        self.sip(Way::In, leg.other(), &ok);
        self.sip(Way::Out, leg, &ok);
        let reason = match (self.archive.files.is_empty(), &self.far[..6]) {
            (false, _) => "recorded",
            (true, "+49305") => "no-policy",
            (true, "+49302") => "consent-refused",
            (true, _) => "consent-timeout",
        };
        self.rows(reason, !self.archive.files.is_empty());
    }

    fn rows(&mut self, reason: &str, recording: bool) {
        let state = if recording { "sealed" } else { "none" };
        self.archive.rows.push(Row {
            call_id: "7@world".to_owned(),
            reason: reason.to_owned(),
            state: state.to_owned(),
            ended: true,
            recording,
        });
    }

    fn passes(&mut self) {
        self.judge();
        assert_eq!(self.broken, None);
    }

    fn breaks(&mut self, invariant: &str) {
        self.judge();
        assert_eq!(self.broken.take().map(|broken| (broken.invariant, broken.call)), Some((invariant_of(invariant), Some(7))));
    }

    fn judge(&mut self) {
        let verdict = self.model.judge(self.now + Duration::from_secs(60), &self.archive);
        self.broken = self.broken.take().or_else(|| verdict.err());
    }

    fn rests(&mut self, frames: u32) {
        self.now = self.now + Duration::from_millis(20) * frames;
    }

    fn count(&mut self) -> u32 {
        self.counter += 1;
        self.counter
    }

    fn media(&mut self, way: Way, leg: Leg, packet: &[u8]) {
        let party = at([PBX_PARTY, TRUNK_PARTY][leg.index()]);
        let port = at([PBX_PORT, TRUNK_PORT][leg.index()]);
        let (from, to) = if way == Way::In { (party, port) } else { (port, party) };
        self.see(way, &Datagram { from, to, bytes: Bytes::copy_from_slice(packet) });
    }

    fn sip(&mut self, way: Way, leg: Leg, text: &str) {
        let party = at([PBX_SIP, CARRIER_SIP][leg.index()]);
        let (from, to) = if way == Way::In { (party, at(BOX_SIP)) } else { (at(BOX_SIP), party) };
        self.see(way, &Datagram { from, to, bytes: Bytes::copy_from_slice(text.as_bytes()) });
    }

    fn see(&mut self, way: Way, datagram: &Datagram) {
        let verdict = self.model.see(self.now, way, datagram);
        self.broken = self.broken.take().or_else(|| verdict.err());
    }

    fn request(&self, method: &str, leg: Leg, cseq: u32, body: &str) -> String {
        format!("{method} sip:{}@198.51.100.20 SIP/2.0\r\n{}", self.far, self.rest(method, leg, cseq, body))
    }

    fn response(&self, status: u16, method: &str, cseq: u32, leg: Leg, body: &str) -> String {
        format!("SIP/2.0 {status} So\r\n{}", self.rest(method, leg, cseq, body))
    }

    /// `leg` is the side that sends the request.
    fn rest(&self, method: &str, leg: Leg, cseq: u32, body: &str) -> String {
        let (pbx, trunk) = ("<sip:1007@192.0.2.10>;tag=a7", format!("<sip:{}@198.51.100.20>;tag=b7", self.far));
        let (from, to) = if leg == Leg::Pbx { (pbx, &*trunk) } else { (&*trunk, pbx) };
        let length = body.len();
        format!(
            "Via: SIP/2.0/UDP x;branch=z9hG4bK{cseq}\r\nFrom: {from}\r\nTo: {to}\r\nCall-ID: 7@world\r\nCSeq: {cseq} {method}\r\n\
             Content-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    }
}

fn sdp(address: &str) -> String {
    let (ip, port) = ip(address);
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 101\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n"
    )
}

fn ip(address: &str) -> (String, String) {
    let (ip, port) = address.split_once(':').unwrap();
    (ip.to_owned(), port.to_owned())
}

fn rtp(sequence: u32, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, 0, (sequence >> 8) as u8, sequence as u8, 0, 0, 0, 0, 1, 2, 3, 4];
    packet.extend(payload);
    packet
}

fn event(digit: u8, ended: bool) -> Vec<u8> {
    let mut packet = rtp(9, &[digit, if ended { 0x8a } else { 0x0a }, 0, 160]);
    packet[1] = 101;
    packet[4] = digit;
    packet
}

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

/// So that a test names only what the model can say.
fn invariant_of(name: &str) -> &'static str {
    Box::leak(name.to_owned().into_boxed_str())
}

const PBX_PARTY: &str = "192.0.2.11:4000";
const TRUNK_PARTY: &str = "198.51.100.21:6000";
/// The box's ports that face them.
const PBX_PORT: &str = "192.0.2.2:20000";
const TRUNK_PORT: &str = "203.0.113.1:30000";

#[test]
fn the_boxs_ports_are_on_its_addresses() {
    assert_eq!([ip(PBX_PORT).0, ip(TRUNK_PORT).0], BOX_MEDIA);
}
