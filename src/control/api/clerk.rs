//! What is asked of the ledger and of the files of an installation, and whoever answers it.

use std::io::Read;

use serde_json::{Map, Value, json};

use crate::access::Identity;
use crate::control::Trouble;
use crate::control::api::{Fields, Problem, Route};
use crate::private::Private;

/// A question that no call is asked.
#[derive(Clone, PartialEq, Debug)]
pub struct Inquiry<'i> {
    /// Over which route.
    pub route: Route,
    /// The number in its path, as it was sent.
    pub id: &'i str,
    /// What was said with it.
    pub fields: &'i Fields,
}

/// What somebody has shown of who he is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Shown {
    /// The number of the user that he runs as, by the kernel's word, and of the process, where it says that.
    User {
        /// The user.
        uid: u32,
        /// The process: it says who has logged in, behind sudo and su.
        pid: Option<i32>,
    },
    /// A token.
    Token(Private<String>),
    /// A certificate (DER) of an authority that is believed, and that he has the key to it.
    Certificate(Vec<u8>),
    /// Nothing.
    Nothing,
}

/// A file that is given out.
pub struct Fetched {
    /// Its bytes.
    pub bytes: Box<dyn Read + Send>,
    /// How many there are.
    pub length: u64,
}

impl std::fmt::Debug for Fetched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fetched({} bytes)", self.length)
    }
}

/// Answers for the ledger and the files: the command line's verbs, for whoever asks over HTTP. What is done is logged and chained as theirs
/// is, with the name of who asked.
pub trait Clerk: Send + Sync {
    /// Says who somebody is.
    ///
    /// # Errors
    /// Nobody knows (401), or it cannot be found out.
    fn identify(&self, shown: &Shown) -> Result<Identity, Problem>;

    /// Does what is asked, and returns what is said of it, an object a line.
    ///
    /// # Errors
    /// It was refused, is not there, was not understood, or failed.
    fn answer(&self, inquiry: &Inquiry<'_>, who: &Identity) -> Result<Vec<Value>, Problem>;

    /// Gives out the file of a recording ([`Route::File`]) or its keys ([`Route::Keys`]), once the access log has it.
    ///
    /// # Errors
    /// As for [`Clerk::answer`].
    fn fetch(&self, inquiry: &Inquiry<'_>, who: &Identity) -> Result<Fetched, Problem>;
}

/// Returns the body of an answer: of a route that lists, a list; of any other, one object.
///
/// # Errors
/// Nothing was said, and something should have been.
pub fn body(route: Route, mut lines: Vec<Value>) -> Result<Value, Problem> {
    Ok(match list(route) {
        Some(name) if route == Route::Subject => {
            // The last line sums up.
            let Some(Value::Object(mut sum)) = lines.pop() else { return Err(nothing()) };
            sum.insert(name.into(), lines.into());
            Value::Object(sum)
        }
        Some(name) => json!({ name: lines }),
        None if lines.is_empty() => return Err(nothing()),
        None => Value::Object(lines.into_iter().filter_map(members).flatten().collect()),
    })
}

/// The name of the list that a route answers with.
const fn list(route: Route) -> Option<&'static str> {
    match route {
        Route::Recordings => Some("recordings"),
        Route::Holds => Some("holds"),
        Route::Subject => Some("calls"),
        Route::Complaints => Some("complaints"),
        Route::Audit => Some("events"),
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
        | Route::Recording
        | Route::File
        | Route::Keys
        | Route::Hold
        | Route::Release
        | Route::Erase
        | Route::Complain
        | Route::CloseComplaint
        | Route::AuditHead
        | Route::AuditVerify
        | Route::OpenApi => None,
    }
}

fn members(line: Value) -> Option<Map<String, Value>> {
    if let Value::Object(members) = line { Some(members) } else { None }
}

fn nothing() -> Problem {
    Problem::new(500, Trouble::new("nothing was said of what was asked", "please report it"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn what_lists_is_a_list_and_all_else_one_object() {
        let line = |n: u8| json!({ "call": n });

        assert_eq!(body(Route::Recordings, vec![line(1), line(2)]).unwrap(), json!({ "recordings": [line(1), line(2)] }));
        assert_eq!(body(Route::Recordings, Vec::new()).unwrap(), json!({ "recordings": [] }));
        assert_eq!(
            body(Route::Subject, vec![line(1), json!({ "calls": 1, "alike": 0 })]).unwrap(),
            json!({ "calls": [line(1)], "alike": 0 })
        );
        let held = json!({ "recording": "r", "held": true });
        assert_eq!(
            body(Route::Complain, vec![json!({ "complaint": 3 }), held]).unwrap(),
            json!({ "complaint": 3, "recording": "r", "held": true })
        );
        assert_eq!(body(Route::Erase, Vec::new()).unwrap_err().status, 500);
    }
}
