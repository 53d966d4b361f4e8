//! Which action each command is, and with what: what the gate is asked before anything is done.

use std::fmt;
use std::path::Path;

use crate::access::Action;
use crate::cli::approvals::Approvals;
use crate::cli::complaint::Complaint;
use crate::cli::party::Span;
use crate::cli::subject::Subject;
use crate::cli::tokens::Tokens;
use crate::cli::words::{Audit, Calls, Keys, Recordings, Site, Staff, Trunks, Verb};
use crate::ids::RecordingId;

/// What somebody wants.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'v> {
    /// Of which installation.
    pub(super) config: &'v Path,
    pub(super) action: Action,
    /// With which recording, where it is one.
    pub(super) recording: Option<RecordingId>,
    /// What for or why, in his words.
    pub(super) reason: Option<&'v str>,
    /// Whether he only wants to know what would be done.
    pub(super) is_dry: bool,
    /// Of which calls of whom, where all that is held on somebody is asked for.
    pub(super) held: Option<HeldOn<'v>>,
}

/// Whose calls, and of what time.
#[derive(Clone, Copy)]
pub(super) struct HeldOn<'v> {
    /// The number as it was typed.
    pub(super) number: &'v str,
    pub(super) country: Option<&'v str>,
    pub(super) span: Span,
    /// Whether the other side is wanted as well.
    pub(super) both: bool,
}

impl fmt::Debug for HeldOn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HeldOn(…)")
    }
}

impl<'v> Asked<'v> {
    fn of(site: &'v Site, action: Action) -> Option<Self> {
        Some(Self { config: site.config.as_path(), action, recording: None, reason: None, is_dry: false, held: None })
    }

    fn with(site: &'v Site, action: Action, recording: Option<RecordingId>, reason: &'v str) -> Option<Self> {
        Self::of(site, action).map(|asked| Self { recording, reason: Some(reason), ..asked })
    }

    /// Returns what it is to fetch a recording or its keys, over HTTP alone.
    pub(super) const fn to_fetch(config: &'v Path, recording: RecordingId, purpose: Option<&'v str>) -> Self {
        let recording = Some(recording);
        Self { config, action: Action::Fetch, recording, reason: purpose, is_dry: false, held: None }
    }

    /// Returns what a command is; nothing for those that concern nobody's calls and recordings.
    pub(super) fn by(verb: &'v Verb) -> Option<Self> {
        match verb {
            Verb::Run(_) | Verb::Check { .. } | Verb::Demo { .. } | Verb::Openapi => None,
            Verb::Keys(keys) => Self::keys(keys),
            Verb::Calls(calls) => Self::calls(calls),
            Verb::Trunks(Trunks::List { site, .. }) => Self::of(site, Action::Status),
            Verb::Recordings(recordings) => Self::recordings(recordings),
            Verb::Staff(staff) => Self::staff(staff),
            Verb::Subject(Subject::Find { site, purpose, .. }) => Self::with(site, Action::SubjectFind, None, purpose),
            Verb::Subject(Subject::Export { number, country, span, both, site, purpose, .. }) => {
                let held = Some(HeldOn { number, country: country.as_deref(), span: *span, both: *both });
                Self::with(site, Action::SubjectExport, None, purpose).map(|asked| Self { held, ..asked })
            }
            Verb::Processing { site, .. } => Self::of(site, Action::Processing),
            Verb::Complaint(complaint) => Self::complaint(complaint),
            Verb::Audit(audit) => Self::audit(audit),
            Verb::Tokens(tokens) => Self::tokens(tokens),
            Verb::Approvals(approvals) => Self::approvals(approvals),
        }
    }

    fn keys(keys: &'v Keys) -> Option<Self> {
        match keys {
            // They need no installation, or there is nothing yet that could be opened.
            Keys::Generate { .. } | Keys::Public { .. } => None,
            Keys::Rotate { site, .. } => Self::of(site, Action::KeysRotate),
            Keys::Exposure { site, .. } => Self::of(site, Action::KeysExposure),
            Keys::Rewrap { site, .. } => Self::of(site, Action::KeysRewrap),
        }
    }

    fn calls(calls: &'v Calls) -> Option<Self> {
        match calls {
            Calls::List { site, .. } => Self::of(site, Action::CallsSee),
            Calls::Start(one) => Self::of(&one.site, Action::CallStart),
            Calls::Pause(one) => Self::of(&one.site, Action::CallPause),
            Calls::Resume(one) => Self::of(&one.site, Action::CallResume),
            Calls::Withdraw { one, shred: false } => Self::of(&one.site, Action::CallWithdraw),
            Calls::Withdraw { one, shred: true } => Self::of(&one.site, Action::CallShred),
            Calls::Drain { site, .. } => Self::of(site, Action::Drain),
        }
    }

    fn recordings(recordings: &'v Recordings) -> Option<Self> {
        match recordings {
            Recordings::List { site, party, .. } => {
                Self::of(site, if party.is_asked() { Action::RecordingsByParty } else { Action::RecordingsList })
            }
            Recordings::Show { site, .. } => Self::of(site, Action::RecordingsShow),
            // A bundle is verified where no installation is.
            Recordings::Verify { bundle: Some(_), .. } => None,
            Recordings::Verify { site, key: None, .. } => Self::of(site, Action::Verify),
            Recordings::Verify { site, key: Some(_), .. } => Self::of(site, Action::VerifyContent),
            Recordings::Bundle { site, id, reason, .. } => Self::with(site, Action::Bundle, Some(*id), reason),
            Recordings::Export { site, id, purpose, .. } => Self::with(site, Action::Export, Some(*id), purpose),
            Recordings::Play { site, id, purpose, .. } => Self::with(site, Action::Play, Some(*id), purpose),
            Recordings::Erase { site, id, reason, dry_run, .. } => {
                Self::with(site, Action::Erase, *id, reason).map(|asked| Self { is_dry: *dry_run, ..asked })
            }
            Recordings::Redact { site, id, reason, .. } => Self::with(site, Action::Redact, Some(*id), reason),
            Recordings::Hold { site, id, reason, .. } => Self::with(site, Action::Hold, Some(*id), reason),
            Recordings::Correct { site, id, reason, .. } => Self::with(site, Action::Correct, Some(*id), reason),
            Recordings::Release { site, id, reason, .. } => Self::with(site, Action::Release, Some(*id), reason),
            Recordings::Holds { site, .. } => Self::of(site, Action::HoldsList),
            Recordings::Retention { site, .. } => Self::of(site, Action::Retention),
        }
    }

    fn staff(staff: &'v Staff) -> Option<Self> {
        match staff {
            Staff::Add { site, .. } | Staff::Revoke { site, .. } | Staff::Exempt { site, .. } | Staff::Import { site, .. } => {
                Self::of(site, Action::StaffChange)
            }
            Staff::List { site, .. } => Self::of(site, Action::StaffList),
        }
    }

    fn complaint(complaint: &'v Complaint) -> Option<Self> {
        match complaint {
            Complaint::Add { site, .. } | Complaint::Close { site, .. } => Self::of(site, Action::ComplaintChange),
            Complaint::List { site, .. } => Self::of(site, Action::ComplaintList),
        }
    }

    fn audit(audit: &'v Audit) -> Option<Self> {
        match audit {
            Audit::Head { site, .. } => Self::of(site, Action::AuditHead),
            Audit::Verify { site, .. } | Audit::Timestamps { site, .. } => Self::of(site, Action::AuditVerify),
            Audit::Show { site, .. } => Self::of(site, Action::AuditShow),
        }
    }

    fn tokens(tokens: &'v Tokens) -> Option<Self> {
        match tokens {
            Tokens::Add { site, .. } | Tokens::Revoke { site, .. } => Self::of(site, Action::TokensManage),
            Tokens::List { site, .. } => Self::of(site, Action::TokensList),
        }
    }

    /// Who may give an approval depends on what it is for, and is asked then.
    fn approvals(approvals: &'v Approvals) -> Option<Self> {
        match approvals {
            Approvals::List { site, .. } | Approvals::Give { site, .. } | Approvals::Refuse { site, .. } => {
                Self::of(site, Action::ApprovalsList)
            }
        }
    }
}
