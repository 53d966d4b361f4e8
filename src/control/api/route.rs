//! The routes of the API: a method and a path each, what is said over them, and what somebody must be allowed who asks.

use std::fmt;

use crate::access::Action;

/// What a route is asked by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Method {
    /// It only looks.
    Get,
    /// It does something, or its question is too private for a path.
    Post,
}

impl Method {
    /// Returns HTTP's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// One thing that can be asked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Route {
    /// How does the proxy do?
    Status,
    /// Which calls are there at this moment?
    Calls,
    /// What happens to calls from here on?
    Events,
    /// A call whose policy records on demand is recorded, once its parties have agreed.
    Start,
    /// Nothing more of a call is kept, until it is resumed.
    Pause,
    /// A paused call is recorded again.
    Resume,
    /// Nothing more of a call is kept, for good.
    Withdraw,
    /// No new calls; an end once there are none left.
    Drain,
    /// Which addresses have the PBX and the trunks, and are they up?
    Trunks,
    /// The register is read again, and gone by.
    Register,
    /// Which recordings are there, or calls?
    Recordings,
    /// What is known of one?
    Recording,
    /// Its file, as it lies there.
    File,
    /// Its wrapped keys.
    Keys,
    /// Nobody erases it.
    Hold,
    /// It is held no longer.
    Release,
    /// Nobody opens it any more.
    Erase,
    /// What is held?
    Holds,
    /// Which calls did a number take part in?
    Subject,
    /// Which complaints are there?
    Complaints,
    /// Another complaint.
    Complain,
    /// A complaint is closed.
    CloseComplaint,
    /// What has the chain?
    Audit,
    /// What is its head?
    AuditHead,
    /// Does all of it hold?
    AuditVerify,
    /// What this API is.
    OpenApi,
}

/// Something that is said over a route: in its query, or in its body where it does something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Whether it must be there.
    pub is_needed: bool,
    /// What it means.
    pub about: &'static str,
}

/// What a field is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `true` or `false`.
    Flag,
    /// A whole number, 0 or more.
    Count,
    /// A number.
    Number,
    /// A text.
    Text,
}

const fn may(name: &'static str, kind: Kind, about: &'static str) -> Field {
    Field { name, kind, is_needed: false, about }
}

const fn must(name: &'static str, kind: Kind, about: &'static str) -> Field {
    Field { name, kind, is_needed: true, about }
}

const NUMBERS: Field = may("numbers", Kind::Flag, "Whether the parties' numbers are told in full");
const REASON: Field = must("reason", Kind::Text, "Why, for the access log and the chain: a sentence");
const FROM: Field = may("from", Kind::Text, "Only calls that began then or later, in UTC: 2026-11-24, or 2026-11-24T09:30:00");
const TO: Field = may("to", Kind::Text, "Only calls that began before then");
const PURPOSE: Field = must("purpose", Kind::Text, "What for, for the access log: a sentence");

impl Route {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Status,
        Self::Calls,
        Self::Events,
        Self::Start,
        Self::Pause,
        Self::Resume,
        Self::Withdraw,
        Self::Drain,
        Self::Trunks,
        Self::Register,
        Self::Recordings,
        Self::Recording,
        Self::File,
        Self::Keys,
        Self::Hold,
        Self::Release,
        Self::Erase,
        Self::Holds,
        Self::Subject,
        Self::Complaints,
        Self::Complain,
        Self::CloseComplaint,
        Self::Audit,
        Self::AuditHead,
        Self::AuditVerify,
        Self::OpenApi,
    ];

    /// The table: method, path, what it is for, and what somebody must be allowed. `{id}` stands for the number of a call, a recording or a
    /// complaint.
    #[rustfmt::skip]
    const fn row(self) -> (Method, &'static str, &'static str, Action) {
        use Method::{Get, Post};
        match self {
            Self::Status => (Get, "/v1/status", "How the proxy does", Action::Status),
            Self::Calls => (Get, "/v1/calls", "The calls of this moment, the oldest first", Action::CallsSee),
            Self::Events => (Get, "/v1/calls/events", "The states of calls as they change, as server-sent events", Action::CallsSee),
            Self::Start => (Post, "/v1/calls/{id}/start", "Tell and ask the parties of a call, where its policy records on demand", Action::CallStart),
            Self::Pause => (Post, "/v1/calls/{id}/pause", "Keep nothing of a call until it is resumed, or its longest pause has passed", Action::CallPause),
            Self::Resume => (Post, "/v1/calls/{id}/resume", "Record a paused call again", Action::CallResume),
            Self::Withdraw => (Post, "/v1/calls/{id}/withdraw", "Keep nothing of a call from here on, for good", Action::CallWithdraw),
            Self::Drain => (Post, "/v1/drain", "Take no new calls, and end once there are none left", Action::Drain),
            Self::Trunks => (Get, "/v1/trunks", "The addresses of the PBX and of the trunks, and whether they are up", Action::Status),
            Self::Register => (Post, "/v1/register/reload", "Read the register of staff again, and go by it", Action::StaffChange),
            Self::Recordings => (Get, "/v1/recordings", "The recordings, or all calls, the oldest first", Action::RecordingsList),
            Self::Recording => (Get, "/v1/recordings/{id}", "All that is known of a recording, or of a call that has none", Action::RecordingsShow),
            Self::File => (Get, "/v1/recordings/{id}/file", "A recording's file as it lies there, sealed", Action::Fetch),
            Self::Keys => (Get, "/v1/recordings/{id}/keys", "A recording's keys as they lie there, wrapped for its recipients", Action::Fetch),
            Self::Hold => (Post, "/v1/recordings/{id}/hold", "Hold a recording: nobody erases it until it is released", Action::Hold),
            Self::Release => (Post, "/v1/recordings/{id}/release", "Release a recording", Action::Release),
            Self::Erase => (Post, "/v1/recordings/{id}/erase", "Destroy what opens a recording, remove it, and clear who talked", Action::Erase),
            Self::Holds => (Get, "/v1/holds", "What is held, since when, by whom and why", Action::HoldsList),
            Self::Subject => (Post, "/v1/subject/find", "Every call that a number took part in; that somebody looked is noted", Action::SubjectFind),
            Self::Complaints => (Get, "/v1/complaints", "The complaints that are open", Action::ComplaintList),
            Self::Complain => (Post, "/v1/complaints", "Note a complaint", Action::ComplaintChange),
            Self::CloseComplaint => (Post, "/v1/complaints/{id}/close", "Close a complaint, with what came of it", Action::ComplaintChange),
            Self::Audit => (Get, "/v1/audit", "The events of the ledger's chain, the newest last", Action::AuditShow),
            Self::AuditHead => (Get, "/v1/audit/head", "The signed head of the chain, to be kept elsewhere", Action::AuditHead),
            Self::AuditVerify => (Get, "/v1/audit/verify", "Whether the whole ledger holds", Action::AuditVerify),
            Self::OpenApi => (Get, "/v1/openapi.json", "This document", Action::Status),
        }
    }

    /// Returns what may, and what must, be said over it.
    #[must_use]
    pub const fn fields(self) -> &'static [Field] {
        match self {
            Self::Calls | Self::Recording => const { &[NUMBERS] },
            Self::Withdraw => {
                const {
                    &[may(
                        "shreds",
                        Kind::Flag,
                        "Whether what was recorded until then is destroyed: its keys, and with them all of it",
                    )]
                }
            }
            Self::Drain => {
                const { &[must("limit_s", Kind::Count, "Seconds after which it ends although there are calls; at most a day")] }
            }
            Self::Recordings => {
                const {
                    &[
                        may("all", Kind::Flag, "Calls that were not recorded as well"),
                        may("reason", Kind::Text, "Only calls with this code of a reason, recorded or not"),
                        may("quality", Kind::Flag, "Only calls that were measured, recorded or not"),
                        may(
                            "header",
                            Kind::Text,
                            "Only calls of which an indexed header field said this: NAME: VALUE, as of Session-ID",
                        ),
                        may("mos_below", Kind::Number, "Only calls of which a side was one-way or scored below this, 1 to 4.5"),
                        may("last", Kind::Count, "Only the newest so many"),
                        FROM,
                        TO,
                        NUMBERS,
                    ]
                }
            }
            Self::File | Self::Keys => {
                const {
                    &[must(
                        "purpose",
                        Kind::Text,
                        "The purpose that it was made for: it is given out for no other, and the access log has it",
                    )]
                }
            }
            Self::Hold | Self::Erase | Self::CloseComplaint => const { &[REASON] },
            Self::Release => const { &[REASON, may("all", Kind::Flag, "Lift every hold, where there is more than one")] },
            Self::Subject => {
                const {
                    &[
                        must("number", Kind::Text, "The number, however it is written, or a name as it stands in the ledger"),
                        PURPOSE,
                        may("country", Kind::Text, "The country in which a number that begins with a single 0 is: 49"),
                        FROM,
                        TO,
                        NUMBERS,
                    ]
                }
            }
            Self::Complaints => const { &[may("all", Kind::Flag, "Those that are closed as well")] },
            Self::Complain => {
                const {
                    &[
                        must("text", Kind::Text, "What it says, and who says it: a sentence, kept until nobody needs it"),
                        may("recording", Kind::Text, "The recording that it is about: 32 hexadecimal digits"),
                        may("hold", Kind::Flag, "Hold the recording as well, so that nobody erases it"),
                    ]
                }
            }
            Self::Audit => {
                const {
                    &[
                        may("recording", Kind::Text, "Only events of this recording: 32 hexadecimal digits"),
                        may("kind", Kind::Text, "Only events of this kind"),
                        may("since", Kind::Text, "Only those from this time on, in UTC: 2026-11-24, or 2026-11-24T09:30:00"),
                        may("until", Kind::Text, "Only those before this time"),
                        may("last", Kind::Count, "Only the newest so many"),
                    ]
                }
            }
            Self::Status
            | Self::Events
            | Self::Start
            | Self::Pause
            | Self::Resume
            | Self::Trunks
            | Self::Register
            | Self::Holds
            | Self::AuditHead
            | Self::AuditVerify
            | Self::OpenApi => &[],
        }
    }

    /// Returns its method.
    #[must_use]
    pub const fn method(self) -> Method {
        self.row().0
    }

    /// Returns its path; `{id}` stands for the number of what it is about.
    #[must_use]
    pub const fn path(self) -> &'static str {
        self.row().1
    }

    /// Returns what it is for, in one sentence.
    #[must_use]
    pub const fn summary(self) -> &'static str {
        self.row().2
    }

    /// Returns what somebody must be allowed who asks; what is said over the route may ask for more.
    #[must_use]
    pub const fn action(self) -> Action {
        self.row().3
    }

    /// Returns its path with this number in it.
    #[must_use]
    pub fn path_of(self, id: &str) -> String {
        self.path().replace("{id}", id)
    }

    /// Returns the route of a method and a path, and the number in it.
    #[must_use]
    pub fn find<'p>(method: &str, path: &'p str) -> Option<(Self, &'p str)> {
        Self::ALL.iter().filter(|route| route.method().as_str() == method).find_map(|route| {
            let (before, after) = route.path().split_once("{id}").unwrap_or_else(|| (route.path(), ""));
            let id = path.strip_prefix(before)?.strip_suffix(after)?;
            let fits = if route.path().contains("{id}") { !id.is_empty() && !id.contains('/') } else { id.is_empty() };
            fits.then_some((*route, id))
        })
    }
}

/// `GET /v1/status`.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method().as_str(), self.path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_route_is_found_by_its_own_path() {
        for route in Route::ALL {
            let (path, has_id) = (route.path_of("00000000000000c0"), route.path().contains("{id}"));
            let id = if has_id { "00000000000000c0" } else { "" };
            assert_eq!(Route::find(route.method().as_str(), &path), Some((*route, id)), "{route}");
        }
        assert_eq!(Route::find("GET", "/v1/calls/c0/pause"), None, "another method");
        assert_eq!(Route::find("POST", "/v1/calls/c0/d0/pause"), None);
        assert_eq!(Route::find("POST", "/v1/calls//pause"), None);
        assert!(Route::ALL.is_sorted(), "in the order in which they are written");
    }

    #[test]
    fn what_only_looks_is_asked_by_get_unless_it_names_a_person() {
        for route in Route::ALL.iter().filter(|route| route.method() == Method::Get) {
            assert!(!route.fields().iter().any(|field| ["number", "party", "text"].contains(&field.name)), "{route}");
        }
    }
}
