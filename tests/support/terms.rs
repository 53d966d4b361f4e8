//! What the tests of the cores ask under: the terms of one policy, the facts of one call, and a policy for all calls.

use std::sync::Arc;
use std::time::Duration;

use mitschnitt::call::{Codecs, InCall, Policy, Selector, Selects, Signs};
use mitschnitt::codec::Codec;
use mitschnitt::consent::{Clip, Facts, Mode, Parties, PriorTerms, Terms, WithoutConsent};
use mitschnitt::digit::Digit;
use mitschnitt::ids::{CallId, Direction, RecordingId, TrunkName};
use mitschnitt::time::{Moment, Wall};

/// The longest pause that the terms allow.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Terms by which the trunk's party must agree with the key 1, or may refuse with it, within 5 s of the announcement's end.
pub(crate) fn terms(mode: Mode) -> Terms {
    Terms {
        policy: "all".into(),
        policy_hash: [0; 32],
        purpose: "quality".into(),
        legal_basis: "consent".into(),
        mode,
        must_agree: [false, true],
        key: Digit::from_char('1').expect("a key of a telephone"),
        withdraw: None,
        answer: Duration::from_secs(5),
        language: "de".into(),
        without_consent: WithoutConsent::GoOn,
        longest_pause: LONGEST_PAUSE,
        prior: PriorTerms::default(),
        announcement_version: None,
    }
}

/// The facts of a call to the trunk.
pub(crate) fn facts(call: CallId) -> Facts {
    Facts {
        call,
        recording: RecordingId::from_bytes([1; 16]),
        direction: Direction::Outbound,
        trunk: TrunkName::new("carrier"),
        parties: Parties::default(),
        clocks: (Moment::START, Wall::from_unix_micros(0)),
    }
}

/// One policy for all calls, with an announcement of one frame in each codec.
pub(crate) fn for_all(terms: Terms) -> Vec<Arc<Policy>> {
    let clip = |codec| Clip::new(codec, &[1; 160], [9; 32], "de").expect("one frame");
    let clips = Codec::TELEPHONE.into_iter().map(clip).collect();
    vec![Arc::new(Policy {
        selector: Selector::default(),
        name: "all".into(),
        terms: Some(terms),
        clips,
        codecs: Codecs::AsOffered,
        mandatory: None,
        hook: None,
        in_call: InCall::default(),
        selects: Selects::default(),
        signs: Signs::default(),
    })]
}
