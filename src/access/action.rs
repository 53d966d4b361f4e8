//! Everything that somebody can ask for, and which roles may.

use crate::access::Role::{Auditor, Officer, Operator, Reviewer};
use crate::access::{Role, Roles};

/// One thing that the command line or the API does for somebody.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Action {
    /// `status`, `trunks list`.
    Status,
    /// `calls list`, and the events of calls.
    CallsSee,
    /// `calls start`.
    CallStart,
    /// `calls pause`.
    CallPause,
    /// `calls resume`.
    CallResume,
    /// `calls withdraw`.
    CallWithdraw,
    /// `calls withdraw --shred`.
    CallShred,
    /// `calls drain`.
    Drain,
    /// `staff list`.
    StaffList,
    /// `staff add`, `revoke`, `exempt` and `import`; has the proxy read the register anew.
    StaffChange,
    /// `recordings list`.
    RecordingsList,
    /// `recordings list --party`.
    RecordingsByParty,
    /// `recordings show`.
    RecordingsShow,
    /// `recordings verify` without a key.
    Verify,
    /// `recordings verify --key`.
    VerifyContent,
    /// `recordings export`.
    Export,
    /// `recordings play`.
    Play,
    /// The recording as it lies there, still encrypted, with its wrapped keys.
    Fetch,
    /// Any of the four before, of a recording that is held.
    OpenHeld,
    /// `recordings bundle`.
    Bundle,
    /// `recordings hold`, and `complaint add --hold`.
    Hold,
    /// `recordings holds`.
    HoldsList,
    /// `recordings release`.
    Release,
    /// `recordings erase`.
    Erase,
    /// `recordings redact`.
    Redact,
    /// `recordings correct`.
    Correct,
    /// `complaint add` and `close`.
    ComplaintChange,
    /// `complaint list`.
    ComplaintList,
    /// `subject find`.
    SubjectFind,
    /// `subject export`.
    SubjectExport,
    /// `recordings retention`.
    Retention,
    /// `processing`.
    Processing,
    /// `keys rotate`.
    KeysRotate,
    /// `keys rewrap`.
    KeysRewrap,
    /// `keys exposure`.
    KeysExposure,
    /// `audit head`.
    AuditHead,
    /// `audit verify` and `timestamps`.
    AuditVerify,
    /// `audit show`.
    AuditShow,
    /// `tokens list`.
    TokensList,
    /// `tokens add` and `revoke`.
    TokensManage,
    /// `approvals list`.
    ApprovalsList,
    /// `approvals give` and `refuse`, of what another asked for: besides, whoever may do a thing may approve it.
    Approve,
}

impl Action {
    /// Every action there is, in the order of the table.
    pub const ALL: [Self; 42] = [
        Self::Status,
        Self::CallsSee,
        Self::CallStart,
        Self::CallPause,
        Self::CallResume,
        Self::CallWithdraw,
        Self::CallShred,
        Self::Drain,
        Self::StaffList,
        Self::StaffChange,
        Self::RecordingsList,
        Self::RecordingsByParty,
        Self::RecordingsShow,
        Self::Verify,
        Self::VerifyContent,
        Self::Export,
        Self::Play,
        Self::Fetch,
        Self::OpenHeld,
        Self::Bundle,
        Self::Hold,
        Self::HoldsList,
        Self::Release,
        Self::Erase,
        Self::Redact,
        Self::Correct,
        Self::ComplaintChange,
        Self::ComplaintList,
        Self::SubjectFind,
        Self::SubjectExport,
        Self::Retention,
        Self::Processing,
        Self::KeysRotate,
        Self::KeysRewrap,
        Self::KeysExposure,
        Self::AuditHead,
        Self::AuditVerify,
        Self::AuditShow,
        Self::TokensList,
        Self::TokensManage,
        Self::ApprovalsList,
        Self::Approve,
    ];

    /// The table: the word of an action, as the ledger has it; what it is, behind «may not …»; and who may.
    #[rustfmt::skip]
    const fn row(self) -> (&'static str, &'static str, &'static [Role]) {
        match self {
            Self::Status            => ("status",              "see how the proxy and its trunks do",             &[Operator, Reviewer, Officer, Auditor]),
            Self::CallsSee          => ("calls-see",           "see the calls of this moment",                    &[Operator]),
            Self::CallStart         => ("call-start",          "start the recording of a call on demand",         &[Operator]),
            Self::CallPause         => ("call-pause",          "pause the recording of a call",                   &[Operator]),
            Self::CallResume        => ("call-resume",         "resume the recording of a call",                  &[Operator]),
            Self::CallWithdraw      => ("call-withdraw",       "end the recording of a call",                     &[Operator, Officer]),
            Self::CallShred         => ("call-shred",          "end the recording of a call and destroy it",      &[Operator, Officer]),
            Self::Drain             => ("drain",               "take no new calls and end the proxy",             &[Operator]),
            Self::StaffList         => ("staff-list",          "see the register of those who have agreed",       &[Operator, Officer]),
            Self::StaffChange       => ("staff-change",        "change the register of those who have agreed",    &[Officer]),
            Self::RecordingsList    => ("recordings-list",     "list the calls and recordings",                   &[Operator, Reviewer, Officer]),
            Self::RecordingsByParty => ("recordings-by-party", "list the recordings of a number",                 &[Reviewer, Officer]),
            Self::RecordingsShow    => ("recordings-show",     "see what is known of a recording",                &[Operator, Reviewer, Officer]),
            Self::Verify            => ("verify",              "verify recordings by their hashes",               &[Reviewer, Officer, Auditor]),
            Self::VerifyContent     => ("verify-content",      "verify what is in a recording",                   &[Reviewer]),
            Self::Export            => ("export",              "export a recording",                              &[Reviewer]),
            Self::Play              => ("play",                "play a recording",                                &[Reviewer]),
            Self::Fetch             => ("fetch",               "fetch a recording with its wrapped keys",         &[Reviewer]),
            Self::OpenHeld          => ("open-held",           "open a recording that is held",                   &[Officer]),
            Self::Bundle            => ("bundle",              "bundle a recording for somebody elsewhere",       &[Officer]),
            Self::Hold              => ("hold",                "hold a recording",                                &[Officer]),
            Self::HoldsList         => ("holds-list",          "see what is held and why",                        &[Officer]),
            Self::Release           => ("release",             "lift a hold",                                     &[Officer]),
            Self::Erase             => ("erase",               "erase recordings",                                &[Officer]),
            Self::Redact            => ("redact",              "take a span out of a recording",                  &[Officer]),
            Self::Correct           => ("correct",             "correct what was noted of a recording",           &[Officer]),
            Self::ComplaintChange   => ("complaint-change",    "note and close complaints",                       &[Officer]),
            Self::ComplaintList     => ("complaint-list",      "see the complaints",                              &[Officer]),
            Self::SubjectFind       => ("subject-find",        "find all that is held on a person",               &[Officer]),
            Self::SubjectExport     => ("subject-export",      "export all that is held on a person",             &[Officer]),
            Self::Retention         => ("retention",           "see what is kept and what falls due",             &[Officer, Auditor]),
            Self::Processing        => ("processing",          "see the records of processing",                   &[Officer, Auditor]),
            Self::KeysRotate        => ("keys-rotate",         "make another key for a recipient",                &[Officer]),
            Self::KeysRewrap        => ("keys-rewrap",         "let others open recordings, or take some out",    &[Officer]),
            Self::KeysExposure      => ("keys-exposure",       "see which recordings a key opens",                &[Officer, Auditor]),
            Self::AuditHead         => ("audit-head",          "see the head of the chain",                       &[Operator, Officer, Auditor]),
            Self::AuditVerify       => ("audit-verify",        "verify the ledger",                               &[Officer, Auditor]),
            Self::AuditShow         => ("audit-show",          "see the events of the chain",                     &[Officer, Auditor]),
            Self::TokensList        => ("tokens-list",         "see which tokens there are",                      &[Officer, Auditor]),
            Self::TokensManage      => ("tokens-manage",       "give out and revoke tokens",                      &[Officer]),
            Self::ApprovalsList     => ("approvals-list",      "see what waits for a second person",              &[Reviewer, Officer, Auditor]),
            Self::Approve           => ("approve",             "approve what another asked for",                  &[Officer]),
        }
    }

    /// Returns its word, as the ledger has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.row().0
    }

    /// Returns what it is, as it follows «may not».
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        self.row().1
    }

    /// Returns the roles that may; whoever has one of them does.
    #[must_use]
    pub const fn roles(self) -> Roles {
        Roles::of(self.row().2)
    }

    /// Returns the action of this word.
    #[must_use]
    pub fn read(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_action_stands_once_in_the_table_and_somebody_may_do_it() {
        let words: BTreeSet<_> = Action::ALL.iter().map(|action| action.as_str()).collect();

        assert_eq!(words.len(), Action::ALL.len());
        for action in Action::ALL {
            assert_eq!(Action::read(action.as_str()), Some(action));
            assert!(!action.roles().is_empty(), "{action:?}");
        }
        assert!(Action::ALL.is_sorted(), "in the order in which they are written");
        assert_eq!(Action::read("everything"), None);
    }

    #[test]
    fn whoever_looks_after_calls_or_the_chain_opens_nothing() {
        let opens = [Action::VerifyContent, Action::Export, Action::Play, Action::Fetch, Action::OpenHeld, Action::SubjectExport];
        let blind = Roles::of(&[Operator, Auditor]);

        assert!(opens.iter().all(|action| !action.roles().meets(blind)));
        let chain_only = Action::ALL.into_iter().filter(|action| action.roles().has(Auditor)).map(Action::as_str);
        assert_eq!(
            chain_only.collect::<Vec<_>>(),
            [
                "status",
                "verify",
                "retention",
                "processing",
                "keys-exposure",
                "audit-head",
                "audit-verify",
                "audit-show",
                "tokens-list",
                "approvals-list"
            ]
        );
    }
}
