//! What the header fields say by which a call is found again: in its INVITE, and in what answers it.

use std::sync::Arc;

use crate::indexed::values;
use crate::limits::INDEXED_OF_CALL;
use crate::private::Private;
use crate::wire::sip::Message;

use super::Call;

impl Call {
    /// Takes what a message says in these header fields; of what comes again nothing, and of all nothing more than
    /// [`INDEXED_OF_CALL`] values.
    pub(in crate::call) fn index(&mut self, message: &Message, names: &[Arc<str>]) {
        for name in names {
            for value in message.named(name.as_bytes()).flat_map(|value| values(name, value)) {
                let is_there = self.indexed.iter().any(|(of, known)| of == name && *known.reveal() == value);
                if self.indexed.len() < INDEXED_OF_CALL && !is_there {
                    self.indexed.push((Arc::clone(name), Private::new(value)));
                }
            }
        }
    }
}
