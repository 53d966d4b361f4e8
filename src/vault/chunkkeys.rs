//! The keys of a recording's chunks for one who reads it: all in order, or of one of which something was taken out, those that there are.

use std::sync::Arc;

use aes_gcm::aead::consts::U12;
use aes_gcm::{Aes256Gcm, Nonce};
use zeroize::Zeroizing;

use crate::vault::ratchet::{CHUNK_KEY_BYTES, Ratchet};
use crate::vault::redaction::Statement;

/// The keys from one chunk on.
pub(super) struct ChunkKeys {
    index: u32,
    /// What there is before the end of the last hole.
    given: Option<Arc<Statement>>,
    /// The keys from here on, or from the end of the last hole on.
    ratchet: Option<Ratchet>,
}

impl ChunkKeys {
    /// Of a recording that is whole.
    pub(super) const fn of(ratchet: Ratchet) -> Self {
        Self { index: ratchet.index(), given: None, ratchet: Some(ratchet) }
    }

    /// Of one of which something was taken out.
    pub(super) fn left(statement: Arc<Statement>) -> Self {
        Self { index: 0, ratchet: statement.rest(), given: Some(statement) }
    }

    /// Returns the same keys once more.
    pub(super) fn copy(&self) -> Self {
        Self { index: self.index, given: self.given.clone(), ratchet: self.ratchet.as_ref().map(Ratchet::copy) }
    }

    /// Returns the number of the chunk whose key comes next.
    pub(super) const fn index(&self) -> u32 {
        self.index
    }

    /// Lends the key of the next chunk to `with`, and returns the keys after it; there may be no key, and nothing after it.
    pub(super) fn step<R>(self, with: impl FnOnce(&Aes256Gcm, &Nonce<U12>) -> R) -> (Option<R>, Option<Self>) {
        let Self { index, given, ratchet } = self;
        let next = |ratchet| index.checked_add(1).map(|index| Self { index, given: given.clone(), ratchet });
        match (&given, ratchet) {
            (Some(statement), ratchet) if index < statement.end() => (statement.with_key(index, with), next(ratchet)),
            (_, Some(ratchet)) => {
                let (with, after) = ratchet.step(with);
                (Some(with), after.and_then(|ratchet| next(Some(ratchet))))
            }
            (_, None) => (None, next(None)),
        }
    }

    /// Returns the keys after those of the next chunk.
    pub(super) fn after(self) -> Option<Self> {
        self.step(|_, _| ()).1
    }

    /// Returns the key of the next chunk.
    pub(super) fn key(&self) -> Option<Zeroizing<[u8; CHUNK_KEY_BYTES]>> {
        match &self.given {
            Some(statement) if self.index < statement.end() => statement.key_of(self.index),
            Some(_) | None => self.ratchet.as_ref().map(Ratchet::key),
        }
    }

    /// Returns that from which the keys of all chunks from the next on come; nothing before the end of the last hole.
    pub(super) fn rest(&self) -> Option<Ratchet> {
        let is_behind = self.given.as_ref().is_none_or(|statement| statement.end() <= self.index);
        self.ratchet.as_ref().filter(|_| is_behind).map(Ratchet::copy)
    }
}
