//! What is answered out of the ledger: the JSON of the command line's verbs, as the API's document describes it.
//!
//! The verbs write it; these are its shapes, for the document and for tests that hold real answers against them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::control::api::Route;

/// A call, recorded or not.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
pub(super) struct CallRow {
    /// The call's number: 16 hexadecimal digits.
    pub(super) call: String,
    /// Its recording's number: 32 hexadecimal digits.
    recording: Option<String>,
    /// `none`, `recording`, `sealed`, `torn`, `salvaged` or `erased`.
    state: String,
    /// Whether something was taken out of it.
    redacted: bool,
    /// Why it was recorded, or not: the ledger's code.
    reason: String,
    /// Whose doing the reason is: `pbx` or `trunk`.
    leg: Option<String>,
    /// When it began, in UTC.
    began: String,
    /// When it was answered.
    answered: Option<String>,
    /// When it ended.
    ended: Option<String>,
    /// For how long they talked, in seconds.
    talked_s: Option<f64>,
    /// `inbound` or `outbound`.
    direction: Option<String>,
    /// Over which trunk.
    trunk: Option<String>,
    /// Under which policy.
    policy: Option<String>,
    /// For which purpose.
    purpose: Option<String>,
    /// Who called, masked unless `numbers` asked for it; nothing once that was erased.
    calling: Option<String>,
    /// Who was called, likewise.
    called: Option<String>,
    /// What the header fields said that are indexed, where `numbers` asked for it.
    headers: Option<Vec<HeaderValue>>,
    /// Packets that are in the recording.
    packets: Option<Sides>,
    /// Gaps in it.
    gaps: Option<u64>,
    /// Packets that are lost in them.
    lost: Option<u64>,
    /// The length of its file, in bytes.
    size_bytes: Option<u64>,
    /// How it was heard from either side.
    quality: Option<Qualities>,
}

/// What a header field said.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
pub(super) struct HeaderValue {
    /// The field's name.
    name: String,
    /// Its value.
    value: String,
}

/// A count of each side.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
pub(super) struct Sides {
    /// What came from the PBX.
    pbx: u64,
    /// What came from the trunk.
    trunk: u64,
}

/// How each side was heard.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
pub(super) struct Qualities {
    /// The PBX's.
    pbx: Heard,
    /// The trunk's.
    trunk: Heard,
}

/// How a side was heard (RFC 3550).
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
pub(super) struct Heard {
    /// Packets that should have come.
    expected: u64,
    /// Packets that came.
    received: u64,
    /// Packets that did not.
    lost: u64,
    /// The same in per cent of what should have come.
    loss_percent: Option<f64>,
    /// Packets that came more than once.
    duplicates: u64,
    /// Packets that came out of order.
    reordered: u64,
    /// Jitter at the end, in milliseconds.
    jitter_ms: Option<f64>,
    /// The highest jitter.
    worst_jitter_ms: Option<f64>,
    /// The longest time without a packet.
    longest_gap_ms: Option<f64>,
    /// The time there and back by RTCP.
    round_trip_ms: Option<f64>,
    /// The score, 1 to 4.5.
    mos: Option<f64>,
    /// Whether nothing was heard of it while the other talked.
    one_way: bool,
}

/// What is kept of a call, and until when.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
pub(super) struct Keeping {
    /// From when on it may be erased.
    locked_until: Option<String>,
    /// When it is erased by itself.
    erase_on: Option<String>,
    /// Whether it is held.
    held: bool,
}

/// Calls.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
pub(super) struct Recordings {
    /// Each, the oldest first.
    recordings: Vec<KeptRow>,
}

/// A call, and how long it is kept.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
pub(super) struct KeptRow {
    #[serde(flatten)]
    row: CallRow,
    #[serde(flatten)]
    keeping: Keeping,
}

/// All that is known of a call.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
pub(super) struct Known {
    #[serde(flatten)]
    row: CallRow,
    #[serde(flatten)]
    keeping: Keeping,
    /// Why it is as it is, in a sentence.
    why: String,
    /// What was corrected.
    corrections: Vec<Correction>,
    /// What was done to the recording while the call went on.
    turns: Vec<TurnLine>,
    /// Who opened it, or wanted to.
    accesses: Vec<AccessLine>,
}

/// Something that was corrected.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
pub(super) struct Correction {
    /// When, in UTC.
    at: String,
    /// By whom.
    who: String,
    /// What.
    field: String,
    /// What it is.
    value: Option<String>,
    /// Why.
    reason: Option<String>,
}

/// What was done to a recording while its call went on.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
pub(super) struct TurnLine {
    /// When, in UTC.
    at: String,
    /// What was done.
    what: String,
    /// On whose side.
    by: String,
    /// By what means.
    how: Option<String>,
    /// By whom, where that is known.
    who: Option<String>,
}

/// A line of a recording's access log.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
pub(super) struct AccessLine {
    /// When, in UTC.
    at: String,
    /// Who.
    who: String,
    /// What was wanted.
    deed: String,
    /// What for.
    purpose: Option<String>,
    /// Why.
    reason: Option<String>,
    /// What came of it.
    outcome: String,
}

/// How a recording is held.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
pub(super) struct HeldOrNot {
    /// The recording.
    recording: String,
    /// Whether it is held.
    held: bool,
    /// By how many holds.
    holds: u64,
}

/// A recording was erased, now or before.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
pub(super) struct Erased {
    /// The recording.
    recording: String,
    /// `erased`.
    state: String,
    /// Whether it was so before.
    before: bool,
    /// When, by whom and why.
    text: String,
    /// Who was given a copy before.
    copies: Vec<Copy>,
    /// What is so of copies of its keys: `open`, or with `local_share` `unreachable`, or with a TPM `erased`; nothing where it was erased before.
    copies_of_keys: Option<String>,
}

/// A copy that went out.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
pub(super) struct Copy {
    /// Of which recording.
    recording: String,
    /// When, in UTC.
    at: String,
    /// To whom.
    who: String,
    /// How: `export` or `bundle`.
    deed: String,
    /// What for.
    purpose: Option<String>,
}

/// What is held.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
pub(super) struct Holds {
    /// Each, the oldest first.
    holds: Vec<HoldLine>,
}

/// A hold.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
pub(super) struct HoldLine {
    /// Of which recording.
    recording: String,
    /// Since when, in UTC.
    at: String,
    /// By whom.
    who: String,
    /// Why.
    reason: Option<String>,
}

/// What a number took part in.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
pub(super) struct Person {
    /// Each call, the oldest first.
    calls: Vec<PersonRow>,
    /// How many more have a number that only looks alike.
    alike: u64,
    /// What counted as the number.
    matched: String,
}

/// A call of a person.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
pub(super) struct PersonRow {
    #[serde(flatten)]
    row: CallRow,
    /// As which party the number was in it: `calling` or `called`.
    was: Option<String>,
    /// From which side it is heard: `pbx` or `trunk`.
    own_leg: Option<String>,
}

/// Complaints.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
pub(super) struct Complaints {
    /// Each, the oldest first.
    complaints: Vec<ComplaintLine>,
}

/// A complaint.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
pub(super) struct ComplaintLine {
    /// Its number.
    complaint: u64,
    /// Since when, in UTC.
    at: String,
    /// Who has noted it.
    who: String,
    /// The recording that it is about.
    recording: Option<String>,
    /// What it says.
    text: String,
    /// How it ended; nothing while it is open.
    closed: Option<Closed>,
}

/// How a complaint ended.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
pub(super) struct Closed {
    /// When, in UTC.
    at: String,
    /// By whom.
    who: String,
    /// What came of it.
    reason: Option<String>,
}

/// A complaint was noted.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
pub(super) struct Noted {
    /// Its number.
    complaint: u64,
    /// The recording that it is about.
    recording: Option<String>,
    /// Whether that is held now, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    held: Option<bool>,
    /// By how many holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    holds: Option<u64>,
}

/// A complaint was closed.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
pub(super) struct Ended {
    /// Its number.
    complaint: u64,
    /// That it is.
    closed: bool,
}

/// Events of the chain.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
pub(super) struct Events {
    /// Each, the oldest first.
    events: Vec<ChainEvent>,
}

/// An event of the chain (chain.md).
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
pub(super) struct ChainEvent {
    /// Its number.
    seq: u64,
    /// When, in UTC.
    at: String,
    /// Its kind.
    kind: String,
    /// What it says, by its kind.
    #[schema(value_type = Object)]
    event: Value,
    /// Its hash, which binds all before it.
    hash: String,
    /// The node that has signed the head there, where one did.
    signed_by: Option<String>,
}

/// A signed head of the chain.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
pub(super) struct Head {
    /// The number of its event.
    seq: u64,
    /// When, in UTC.
    at: String,
    /// The event's hash.
    hash: String,
    /// Who has signed it.
    node: String,
    /// All of it, as `audit verify --head` takes it.
    line: String,
}

/// Whether the ledger holds.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
pub(super) struct Audited {
    /// Whether all of it does.
    holds: bool,
    /// What does not.
    faults: Vec<String>,
    /// How many events there are.
    events: u64,
    /// How many of them the node has signed.
    signed: u64,
    /// The last one's hash.
    hash: String,
    /// How many published heads it was held against.
    heads_compared: u64,
    /// How many rows were held against it.
    rows: u64,
    /// How many recordings it has.
    recordings: u64,
    /// Of how many calls who talked was erased.
    parties_erased: u64,
    /// How many heads other nodes have signed.
    signed_by_others: u64,
    /// Calls that are older than the chain.
    older_calls: u64,
    /// Lines of the access log that are.
    older_accesses: u64,
    /// Events of a later version.
    unknown_events: u64,
}

/// Returns whether an answer to a question of the ledger is of the shape that the document says: each field is there, of its type, and no other. Of other
/// routes nothing is said.
#[must_use]
pub fn fits(route: Route, answer: &Value) -> bool {
    fn is<T: Serialize + for<'d> Deserialize<'d>>(answer: &Value) -> bool {
        let read = T::deserialize(answer).and_then(serde_json::to_value);
        read.is_ok_and(|written| written == *answer)
    }
    match route {
        Route::Recordings => is::<Recordings>(answer),
        Route::Recording => is::<Known>(answer),
        Route::Hold | Route::Release => is::<HeldOrNot>(answer),
        Route::Erase => is::<Erased>(answer),
        Route::Holds => is::<Holds>(answer),
        Route::Subject => is::<Person>(answer),
        Route::Complaints => is::<Complaints>(answer),
        Route::Complain => is::<Noted>(answer),
        Route::CloseComplaint => is::<Ended>(answer),
        Route::Audit => is::<Events>(answer),
        Route::AuditHead => is::<Head>(answer),
        Route::AuditVerify => is::<Audited>(answer),
        Route::Status
        | Route::Calls
        | Route::Events
        | Route::Start
        | Route::Pause
        | Route::Resume
        | Route::Withdraw
        | Route::Drain
        | Route::Trunks
        | Route::Register
        | Route::File
        | Route::Keys
        | Route::OpenApi => true,
    }
}
