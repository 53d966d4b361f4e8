//! Where transactions live: a place each, and keys that never name another transaction than the one they were made for.

/// Values under keys that are made here; a key of a value that is gone finds nothing.
pub(super) struct Slab<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
}

struct Place<T> {
    /// Counts the values that have been here: the key's upper half.
    generation: u32,
    value: Option<T>,
}

impl<T> Slab<T> {
    pub(super) const fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }

    /// Returns how many values there are.
    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Puts a value in, and returns its key.
    pub(super) fn insert(&mut self, value: T) -> u64 {
        if let Some((at, place)) = self.free.pop().and_then(|at| Some((at, self.places.get_mut(usize::try_from(at).ok()?)?))) {
            place.value = Some(value);
            return u64::from(place.generation) << 32 | u64::from(at);
        }
        let at = u32::try_from(self.places.len()).expect("limits::TRANSACTIONS is far below 2^32");
        self.places.push(Place { generation: 0, value: Some(value) });
        u64::from(at)
    }

    pub(super) fn get(&self, key: u64) -> Option<&T> {
        let (at, generation) = parts(key);
        self.places.get(at).filter(|place| place.generation == generation)?.value.as_ref()
    }

    pub(super) fn get_mut(&mut self, key: u64) -> Option<&mut T> {
        let (at, generation) = parts(key);
        self.places.get_mut(at).filter(|place| place.generation == generation)?.value.as_mut()
    }

    /// Takes a value out.
    pub(super) fn remove(&mut self, key: u64) -> Option<T> {
        let (at, generation) = parts(key);
        let place = self.places.get_mut(at).filter(|place| place.generation == generation)?;
        let value = place.value.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.extend(u32::try_from(at));
        Some(value)
    }
}

fn parts(key: u64) -> (usize, u32) {
    let low = key & u64::from(u32::MAX);
    (usize::try_from(low).unwrap_or(usize::MAX), u32::try_from(key >> 32).unwrap_or(u32::MAX))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_a_value_that_is_gone_finds_nothing() {
        let mut slab = Slab::new();
        let (first, second) = (slab.insert('a'), slab.insert('b'));

        assert_eq!(slab.remove(first), Some('a'));
        let third = slab.insert('c');

        assert_eq!((slab.get(first), slab.get(second), slab.get(third)), (None, Some(&'b'), Some(&'c')));
        assert_eq!((slab.remove(first), slab.get(first)), (None, None));
        assert_eq!(slab.len(), 2);
    }
}
