//! The evidence of consent: who was told what, who agreed how and when; the head of every recording, inside its encryption.

use std::sync::Arc;

use serde::Serialize;

use crate::consent::{Mode, Played, Prior, Terms};
use crate::digit::Digit;
use crate::ids::{CallId, Direction, Leg, RecordingId, TrunkName};
use crate::private::Private;
use crate::time::{Moment, Wall};

/// What is known of a call when it is answered; the machine adds what happened.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The recorder's own number of the call.
    pub call: CallId,
    /// The name the recording will have.
    pub recording: RecordingId,
    /// Which way it was set up.
    pub direction: Direction,
    /// Which trunk it goes over.
    pub trunk: TrunkName,
    /// Who talks.
    pub parties: Parties,
    /// A pair of clock readings taken together, by which every moment of this process becomes a time of day.
    pub clocks: (Moment, Wall),
}

/// The two numbers and the SIP Call-ID as the INVITE carried them.
#[derive(Clone, Debug, Default)]
pub struct Parties {
    /// The calling party: the user part of `From`.
    pub calling: Private<String>,
    /// The called party: the user part of the Request-URI.
    pub called: Private<String>,
    /// The Call-ID.
    pub call_id: Private<String>,
}

/// How a party agreed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum How {
    /// Stayed on the line after the announcement.
    Stayed,
    /// Did not press the refusing key within the time.
    DidNotRefuse,
    /// Agreed before the call, as the register has it.
    Registered,
    /// Agreed before the call, as a web hook says.
    Hook,
    /// Pressed the key, as an RFC 4733 telephone-event.
    KeyByRtp,
    /// Pressed the key, as SIP INFO.
    KeyByInfo,
    /// Pressed the key, whose two tones were heard (ITU-T Q.23).
    KeyBySound,
}

impl How {
    /// Returns the word that stands in the evidence.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stayed => "stayed",
            Self::DidNotRefuse => "did-not-refuse",
            Self::Registered => "registered",
            Self::Hook => "web-hook",
            Self::KeyByRtp => "key-rfc4733",
            Self::KeyByInfo => "key-sip-info",
            Self::KeyBySound => "key-in-band",
        }
    }
}

/// One announcement that was played to its end.
#[derive(Clone, Debug)]
pub struct AnnouncementPlayed {
    played: Arc<Played>,
}

/// One party's consent.
#[derive(Clone, Debug)]
pub struct ConsentGiven {
    /// Whose.
    pub leg: Leg,
    /// How.
    pub how: How,
    /// When; where it stands from before the call, when the call came to it.
    pub at: Moment,
    /// What stands in the register, where that is how.
    pub prior: Option<Arc<Prior>>,
}

/// The evidence on which a permit stands.
#[derive(Clone, Debug)]
pub struct Evidence {
    facts: Facts,
    terms: Terms,
    announcements: Vec<AnnouncementPlayed>,
    consents: Vec<ConsentGiven>,
    granted: Moment,
}

impl Evidence {
    pub(super) fn new(
        facts: Facts,
        terms: Terms,
        played: impl IntoIterator<Item = Arc<Played>>,
        consents: Vec<ConsentGiven>,
        granted: Moment,
    ) -> Self {
        let announcements = played.into_iter().map(|played| AnnouncementPlayed { played }).collect();
        Self { facts, terms, announcements, consents, granted }
    }

    /// Returns the recording's name.
    #[must_use]
    pub const fn recording(&self) -> RecordingId {
        self.facts.recording
    }

    /// Returns the call's number.
    #[must_use]
    pub const fn call(&self) -> CallId {
        self.facts.call
    }

    pub(super) fn says_no(&self, leg: Leg, digit: Digit) -> bool {
        self.terms.says_no(leg, digit)
    }

    /// Returns what the recording is for.
    #[must_use]
    pub fn purpose(&self) -> &str {
        &self.terms.purpose
    }

    /// Returns the moment of the grant.
    #[must_use]
    pub const fn granted(&self) -> Moment {
        self.granted
    }

    /// Returns the time of day of a moment, by the pair of clock readings that was taken when the call began.
    #[must_use]
    pub fn wall(&self, moment: Moment) -> Wall {
        let (then, wall) = self.facts.clocks;
        let micros = i64::try_from(moment.as_micros()).unwrap_or(i64::MAX);
        let then = i64::try_from(then.as_micros()).unwrap_or(i64::MAX);
        Wall::from_unix_micros(wall.unix_micros().saturating_add(micros.saturating_sub(then)))
    }

    /// Returns the evidence as JSON in UTF-8: the first record of the recording, specified in `manual/format.md`.
    ///
    /// It holds numbers in the clear. Whoever calls this must put the result inside the encryption and nowhere else.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let at = |moment| self.wall(moment).to_string();
        let json = Json {
            evidence: 1,
            recording: self.facts.recording.to_string(),
            call: self.facts.call.to_string(),
            direction: self.facts.direction.as_str(),
            trunk: self.facts.trunk.as_str(),
            calling: self.facts.parties.calling.reveal(),
            called: self.facts.parties.called.reveal(),
            call_id: self.facts.parties.call_id.reveal(),
            granted_at: at(self.granted),
            policy: JsonPolicy {
                name: &self.terms.policy,
                sha256: hex(&self.terms.policy_hash),
                purpose: &self.terms.purpose,
                legal_basis: &self.terms.legal_basis,
                mode: self.terms.mode.as_str(),
                must_agree: Leg::BOTH.into_iter().filter(|&leg| self.terms.asks(leg)).map(Leg::as_str).collect(),
                key: matches!(self.terms.mode, Mode::OptIn | Mode::OptOut).then(|| self.terms.key.reveal()),
                answer_ms: self.terms.answer.as_millis(),
                language: &self.terms.language,
                announcement_version: self.terms.announcement_version.as_deref(),
            },
            announcements: self
                .announcements
                .iter()
                .map(|AnnouncementPlayed { played }| {
                    let range = played.range();
                    JsonAnnouncement {
                        to: played.leg().as_str(),
                        language: played.clip().language(),
                        sha256: hex(played.clip().sha256()),
                        codec: played.clip().coding_name(),
                        ssrc: range.first.ssrc,
                        first_sequence: range.first.sequence,
                        last_sequence: range.last.sequence,
                        first_timestamp: range.first.timestamp,
                        last_timestamp: range.last.timestamp,
                        packets: range.packets,
                        began_at: at(range.began),
                        ended_at: at(range.ended),
                    }
                })
                .collect(),
            consents: self
                .consents
                .iter()
                .map(|given| JsonConsent {
                    of: given.leg.as_str(),
                    how: given.how.as_str(),
                    at: at(given.at),
                    registered: given.prior.as_deref().map(|prior| JsonPrior {
                        line: prior.line,
                        since: prior.since.to_string(),
                        version: prior.version.as_deref(),
                        reference: prior.reference.as_deref(),
                    }),
                })
                .collect(),
        };
        serde_json::to_vec(&json).expect("a tree of strings and integers is always JSON")
    }
}

#[derive(Serialize)]
struct Json<'e> {
    evidence: u8,
    recording: String,
    call: String,
    direction: &'static str,
    trunk: &'e str,
    calling: &'e str,
    called: &'e str,
    call_id: &'e str,
    granted_at: String,
    policy: JsonPolicy<'e>,
    announcements: Vec<JsonAnnouncement<'e>>,
    consents: Vec<JsonConsent<'e>>,
}

#[derive(Serialize)]
struct JsonPolicy<'e> {
    name: &'e str,
    sha256: String,
    purpose: &'e str,
    legal_basis: &'e str,
    mode: &'static str,
    must_agree: Vec<&'static str>,
    key: Option<char>,
    answer_ms: u128,
    language: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    announcement_version: Option<&'e str>,
}

#[derive(Serialize)]
struct JsonAnnouncement<'e> {
    to: &'static str,
    language: &'e str,
    sha256: String,
    codec: &'e str,
    ssrc: u32,
    first_sequence: u16,
    last_sequence: u16,
    first_timestamp: u32,
    last_timestamp: u32,
    packets: u32,
    began_at: String,
    ended_at: String,
}

#[derive(Serialize)]
struct JsonConsent<'e> {
    of: &'static str,
    how: &'static str,
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    registered: Option<JsonPrior<'e>>,
}

#[derive(Serialize)]
struct JsonPrior<'e> {
    line: Option<u64>,
    since: String,
    version: Option<&'e str>,
    reference: Option<&'e str>,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::codec::Codec;
    use crate::consent::{Clip, Player, PriorTerms, SentAs, WithoutConsent};

    pub(in crate::consent) fn terms(mode: Mode) -> Terms {
        Terms {
            policy: "all".into(),
            policy_hash: [0xab; 32],
            purpose: "quality".into(),
            legal_basis: "consent, GDPR 6(1)(a)".into(),
            mode,
            must_agree: [false, true],
            key: Digit::from_char('1').expect("a key"),
            withdraw: None,
            answer: Duration::from_secs(5),
            language: "de".into(),
            without_consent: WithoutConsent::GoOn,
            longest_pause: Duration::from_secs(60),
            prior: PriorTerms::default(),
            announcement_version: None,
        }
    }

    pub(in crate::consent) fn facts() -> Facts {
        Facts {
            call: CallId::from_u64(0xc0ffee),
            recording: RecordingId::from_bytes([3; 16]),
            direction: Direction::Inbound,
            trunk: TrunkName::new("carrier"),
            parties: Parties {
                calling: Private::new("+4930123456".into()),
                called: Private::new("100".into()),
                call_id: Private::new("a@b".into()),
            },
            clocks: (Moment::from_millis(1000), Wall::from_unix_micros(1_795_512_600_000_000)),
        }
    }

    pub(in crate::consent) fn played(leg: Leg, now: Moment) -> Played {
        let clip = Clip::new(Codec::Pcma, &[1; 160], [0xcd; 32], "de").expect("it has sound");
        Player::new(leg, clip, 20).sent(SentAs { ssrc: 5, sequence: 6, timestamp: 7 }, now).expect("one frame is all")
    }

    pub(in crate::consent) fn evidence() -> Evidence {
        let now = Moment::from_millis(3000);
        let given = ConsentGiven { leg: Leg::Trunk, how: How::KeyByRtp, at: now, prior: None };
        Evidence::new(facts(), terms(Mode::OptIn), [Arc::new(played(Leg::Trunk, now))], vec![given], now)
    }

    #[test]
    fn the_evidence_says_who_was_told_what_and_agreed_how() {
        let json: serde_json::Value = serde_json::from_slice(&evidence().to_json()).expect("it is JSON");

        assert_eq!(json["granted_at"], "2026-11-24T09:30:02.000Z", "2 s after the pair of clock readings");
        assert_eq!(json["policy"]["must_agree"], serde_json::json!(["trunk"]));
        assert_eq!(json["announcements"][0]["sha256"], "cd".repeat(32));
        assert_eq!(json["consents"][0]["how"], "key-rfc4733");
        assert_eq!(json["calling"], "+4930123456");
        assert_eq!(json["policy"]["mode"], "opt-in");
        assert_eq!(json["announcements"][0]["language"], "de");
        assert_eq!(evidence().purpose(), "quality");
    }

    #[test]
    fn the_evidence_has_the_version_of_the_announcement_where_there_is_one() {
        let of = |announcement_version: Option<&str>| {
            let terms = Terms { announcement_version: announcement_version.map(Into::into), ..terms(Mode::OptIn) };
            let evidence = Evidence::new(facts(), terms, [], vec![], Moment::START);
            serde_json::from_slice::<serde_json::Value>(&evidence.to_json()).expect("it is JSON")["policy"].clone()
        };

        assert_eq!(of(Some("2026-11"))["announcement_version"], "2026-11");
        assert_eq!(of(None).as_object().expect("an object").get("announcement_version"), None, "as it was before there was one");
    }

    #[test]
    fn each_mode_has_the_operators_word_in_the_evidence() {
        let words = [Mode::Announce, Mode::OptOut, Mode::OptIn].map(|mode| {
            let evidence = Evidence::new(facts(), terms(mode), [], vec![], Moment::START);
            serde_json::from_slice::<serde_json::Value>(&evidence.to_json()).expect("it is JSON")["policy"]["mode"].clone()
        });

        assert_eq!(words, ["announce", "opt-out", "opt-in"]);
    }

    #[test]
    fn each_way_to_agree_has_its_word_in_the_evidence() {
        let words = [How::Stayed, How::DidNotRefuse, How::Registered, How::Hook, How::KeyByRtp, How::KeyByInfo, How::KeyBySound]
            .map(|how| {
                let given = ConsentGiven { leg: Leg::Trunk, how, at: Moment::START, prior: None };
                let evidence = Evidence::new(facts(), terms(Mode::OptIn), [], vec![given], Moment::START);
                serde_json::from_slice::<serde_json::Value>(&evidence.to_json()).expect("it is JSON")["consents"][0]["how"]
                    .clone()
            });

        assert_eq!(words, ["stayed", "did-not-refuse", "registered", "web-hook", "key-rfc4733", "key-sip-info", "key-in-band"]);
    }

    #[test]
    fn the_evidence_prints_no_number() {
        assert!(!format!("{:?}", evidence()).contains("4930123456"));
    }
}
