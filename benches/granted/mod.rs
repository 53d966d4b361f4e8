//! A permit for a call, and chance that is none: what benches of the vault begin with.

use std::time::Duration;

use hpke::rand_core::{TryCryptoRng, TryRng};

use crate::consent::{
    Clip, Consent, Fact, Facts, Mode, Output, Parties, Permit, Player, PriorTerms, SentAs, Terms, WithoutConsent,
};
use crate::ids::{CallId, Direction, Leg, RecordingId, TrunkName};
use crate::private::Private;
use crate::time::{Moment, Wall};
use crate::{codec, digit};

/// Both were told.
pub fn permit() -> Permit {
    let terms = Terms {
        policy: "all".into(),
        policy_hash: [0; 32],
        purpose: "quality".into(),
        legal_basis: "consent".into(),
        mode: Mode::Announce,
        must_agree: [false, true],
        key: digit::Digit::from_char('1').unwrap(),
        withdraw: None,
        answer: Duration::from_secs(5),
        language: "de".into(),
        without_consent: WithoutConsent::GoOn,
        longest_pause: Duration::from_secs(60),
        prior: PriorTerms::default(),
        announcement_version: None,
    };
    let facts = Facts {
        call: CallId::from_u64(1),
        recording: RecordingId::from_bytes([1; 16]),
        direction: Direction::Inbound,
        trunk: TrunkName::new("carrier"),
        parties: Parties {
            calling: Private::new("1".into()),
            called: Private::new("2".into()),
            call_id: Private::new("3".into()),
        },
        clocks: (Moment::START, Wall::from_unix_micros(0)),
    };
    let mut consent = Consent::new(terms, facts);
    let mut output = None;
    for leg in Leg::BOTH {
        let clip = Clip::new(codec::Codec::Pcma, &[1; 160], [0; 32], "de").unwrap();
        let played = Player::new(leg, clip, 20).sent(SentAs { ssrc: 5, sequence: 6, timestamp: 7 }, Moment::START).unwrap();
        output = consent.handle(Fact::Played(played), Moment::START);
    }
    match output {
        Some(Output::Begin(permit)) => permit,
        Some(Output::Refuse(_) | Output::End(_)) | None => unreachable!("both were told"),
    }
}

/// No chance at all: good enough to measure with.
pub struct Zeros;

impl TryRng for Zeros {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(1)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(1)
    }

    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Self::Error> {
        dst.fill(1);
        Ok(())
    }
}

impl TryCryptoRng for Zeros {}
