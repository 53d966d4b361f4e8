//! Two of the demo's telephones, one on each side of the program: calls between them, and what they say and hear.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use mitschnitt::codec::Codec;
use mitschnitt::demo::{Call, Event, Extra, Heard, Line, Offer, Phone, Sent};

use super::site::Site;
use super::sound::noise;
use super::{CALLED, until};

/// How long a telephone waits for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// The telephones.
pub(crate) struct Pair {
    pub(crate) pbx: Phone,
    pub(crate) trunk: Phone,
    proxy: SocketAddr,
}

/// A call from the PBX to the trunk that both agreed to.
pub(crate) struct Talk {
    pub(crate) out: Call,
    pub(crate) into: Call,
}

impl Pair {
    pub(crate) fn new(site: &Site) -> Self {
        Self {
            pbx: Phone::bind("100", site.ports.pbx()).expect("the test's own ports are free"),
            trunk: Phone::bind("carrier", site.ports.trunk()).expect("the test's own ports are free"),
            proxy: site.ports.proxy(),
        }
    }

    /// Calls in A-law, up to the ACK at the trunk.
    pub(crate) fn call(&self) -> Talk {
        self.call_as(alaw(), &alaw())
    }

    /// Calls, both speak from the answer on, under the announcement too; returns once the disk has begun so many recordings.
    pub(crate) fn recorded_call(&self, site: &Site, begun: f64) -> Talk {
        let talk = self.call();
        talk.both_speak();
        recordings_begun(site, begun);
        talk
    }

    /// Calls with this offer, and answers with that one.
    pub(crate) fn call_as(&self, offer: Offer, answer: &Offer) -> Talk {
        self.answered(self.pbx.call(self.proxy, &self.whom(), offer).expect("it can be called"), answer)
    }

    /// Calls with this description; the caller's own sound is not in it.
    pub(crate) fn call_describing(&self, sdp: &str) -> Talk {
        self.answered(self.offers(sdp), &alaw())
    }

    /// Sends an INVITE with this description and waits for nothing.
    pub(crate) fn offers(&self, sdp: &str) -> Call {
        let body = Some(("application/sdp", sdp.as_bytes()));
        self.pbx.call_with(self.proxy, &self.whom(), alaw(), None, Extra::new(), body).expect("it can be called")
    }

    /// Calls and rings, and nobody answers.
    pub(crate) fn rings(&self) -> Talk {
        let out = self.pbx.call(self.proxy, &self.whom(), alaw()).expect("it can be called");
        let into = self.trunk.incoming(PATIENCE).expect("the call arrives");
        into.ring();
        out.wait(&Event::Progress { status: 180, with_sound: false }, PATIENCE).expect("it rings");
        Talk { out, into }
    }

    fn answered(&self, out: Call, answer: &Offer) -> Talk {
        let into = self.trunk.incoming(PATIENCE).expect("the call arrives");
        into.accept(answer).expect("it can be answered");
        out.wait(&Event::Answered, PATIENCE).expect("the answer comes back");
        into.wait(&Event::Acknowledged, PATIENCE).expect("the ACK comes");
        Talk { out, into }
    }

    fn whom(&self) -> String {
        format!("sip:{CALLED}@{}", self.trunk.addr())
    }
}

impl Talk {
    /// The leg of each telephone, as recordings name it.
    pub(crate) const fn legs(&self) -> [(&'static str, &Call); 2] {
        [("pbx", &self.out), ("trunk", &self.into)]
    }

    /// Both telephones, the caller's first.
    pub(crate) const fn both(&self) -> [&Call; 2] {
        [&self.out, &self.into]
    }

    /// Both say noise of their own from now on.
    pub(crate) fn both_speak(&self) {
        for (seed, call) in (1..).zip(self.both()) {
            speak(&call.line().expect("it is up"), seed);
        }
    }

    /// Waits until each was heard by the other for so many packets more.
    pub(crate) fn each_is_heard(&self, packets: usize) {
        let ways = [(&self.out, &self.into), (&self.into, &self.out)];
        let before = ways.map(|(mouth, ears)| passed(mouth, &ears.line().expect("it is up").heard()));
        for ((mouth, ears), before) in ways.into_iter().zip(before) {
            waits_to_hear(mouth, ears, before + packets);
        }
    }

    /// Both fall silent; returns once the last that each said has reached the other.
    pub(crate) fn both_fall_silent(&self) {
        for (mouth, ears) in [(&self.out, &self.into), (&self.into, &self.out)] {
            let (mouth, ears) = (mouth.line().expect("it is up"), ears.line().expect("it is up"));
            mouth.say_nothing();
            let last = mouth.sent().pop().expect("it spoke").payload;
            assert!(ears.wait_heard(PATIENCE, |heard| heard.iter().any(|heard| heard.payload == last)), "the last word arrives");
        }
    }

    /// The call goes on: what either says from now on is heard by the other, and either may hang up; here the caller does.
    pub(crate) fn goes_on_and_ends(&self) {
        self.both_speak();
        self.each_is_heard(10);
        self.caller_hangs_up();
    }

    pub(crate) fn caller_hangs_up(&self) {
        assert_eq!(self.out.hang_up(PATIENCE).expect("the BYE is answered"), 200);
        self.into.wait(&Event::Ended, PATIENCE).expect("the BYE arrives");
    }
}

/// Waits until `ears` has heard so many packets more of the noise that `mouth` says.
pub(crate) fn is_heard(mouth: &Call, ears: &Call, packets: usize) {
    waits_to_hear(mouth, ears, passed(mouth, &ears.line().expect("it is up").heard()) + packets);
}

fn waits_to_hear(mouth: &Call, ears: &Call, packets: usize) {
    let line = ears.line().expect("it is up");
    let is_so = line.wait_heard(PATIENCE, |heard| passed(mouth, heard) >= packets);
    assert!(is_so, "{} packets of what was said were heard, and not {packets}", passed(mouth, &line.heard()));
}

/// How many packets of what was heard are the sound that this telephone sent.
fn passed(mouth: &Call, heard: &[Heard]) -> usize {
    let sent = mouth.line().expect("it is up").sent();
    let said: HashSet<_> = sent.iter().map(|sent| &sent.payload).filter(|payload| is_sound(payload)).collect();
    heard.iter().filter(|heard| said.contains(&heard.payload)).count()
}

/// Says noise from now on, of which no packet is like another.
pub(crate) fn speak(line: &Line, seed: u64) {
    let seed = seed << 32 | u64::from(std::process::id());
    line.say(move |frame| noise(1, 160, seed ^ frame << 40).remove(0).try_into().expect("160 octets"));
}

/// Waits until a telephone has heard so many packets of the announcement; whoever talks to it must be silent meanwhile.
pub(crate) fn hears_announced(call: &Call, packets: usize) {
    let line = call.line().expect("it is up");
    let is_so = line.wait_heard(PATIENCE, |heard| announced(heard) >= packets);
    assert!(is_so, "of {packets} packets of the announcement {} came", announced(&line.heard()));
}

/// How many packets are of the announcement, a tone, where nobody else says anything but silence.
pub(crate) fn announced(heard: &[Heard]) -> usize {
    heard.iter().filter(|heard| is_sound(&heard.payload)).count()
}

/// Silence is one octet again and again.
pub(crate) fn is_sound(payload: &[u8]) -> bool {
    payload.iter().any(|octet| Some(octet) != payload.first())
}

/// What was sent of sound, without keys.
pub(crate) fn sound_sent(call: &Call) -> Vec<Sent> {
    call.line()
        .expect("it is up")
        .sent()
        .into_iter()
        .filter(|sent| Some(sent.payload_type) == Codec::Pcma.payload_type())
        .collect()
}

/// Waits until the disk has begun so many recordings since the proxy was started.
pub(crate) fn recordings_begun(site: &Site, count: f64) {
    until("the recording to begin", PATIENCE, || (site.metric("mitschnitt_vault_recordings_begun_total") >= count).then_some(()));
}

/// A-law and telephone-events.
pub(crate) fn alaw() -> Offer {
    Offer::of(&[Codec::Pcma])
}

/// A description of one audio line at this address, of these formats.
pub(crate) fn sdp(at: SocketAddr, version: u32, formats: &str) -> String {
    let (ip, port) = (at.ip(), at.port());
    format!(
        "v=0\r\no=- 7 {version} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP {formats}\r\na=ptime:20\r\n"
    )
}
