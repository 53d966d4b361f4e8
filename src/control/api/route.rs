//! The routes of the API: a method and a path each.

use std::fmt;

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
    /// The parties of a call are told and asked, where its policy records on demand.
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
    /// What this API is.
    OpenApi,
}

impl Route {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Status,
        Self::Calls,
        Self::Start,
        Self::Pause,
        Self::Resume,
        Self::Withdraw,
        Self::Drain,
        Self::Trunks,
        Self::Register,
        Self::OpenApi,
    ];

    /// Returns its method.
    #[must_use]
    pub const fn method(self) -> Method {
        match self {
            Self::Status | Self::Calls | Self::Trunks | Self::OpenApi => Method::Get,
            Self::Start | Self::Pause | Self::Resume | Self::Withdraw | Self::Drain | Self::Register => Method::Post,
        }
    }

    /// Returns its path; `{id}` stands for the number of a call or a recording.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Status => "/v1/status",
            Self::Calls => "/v1/calls",
            Self::Start => "/v1/calls/{id}/start",
            Self::Pause => "/v1/calls/{id}/pause",
            Self::Resume => "/v1/calls/{id}/resume",
            Self::Withdraw => "/v1/calls/{id}/withdraw",
            Self::Drain => "/v1/drain",
            Self::Trunks => "/v1/trunks",
            Self::Register => "/v1/register/reload",
            Self::OpenApi => "/v1/openapi.json",
        }
    }

    /// Returns what it is for, in one sentence.
    #[must_use]
    pub const fn summary(self) -> &'static str {
        match self {
            Self::Status => "How the proxy does",
            Self::Calls => "The calls of this moment, the oldest first",
            Self::Start => "Tell and ask the parties of a call, where its policy records on demand",
            Self::Pause => "Keep nothing of a call until it is resumed, or its longest pause has passed",
            Self::Resume => "Record a paused call again",
            Self::Withdraw => "Keep nothing of a call from here on, for good",
            Self::Drain => "Take no new calls, and end once there are none left",
            Self::Trunks => "The addresses of the PBX and of the trunks, and whether they are up",
            Self::Register => "Read the register of staff again, and go by it",
            Self::OpenApi => "This document",
        }
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
    }
}
