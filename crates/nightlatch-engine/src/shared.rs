//! What many sessions have in common, kept once.

use std::{
    collections::HashSet,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

/// One of each value that somebody still uses; what nobody uses any more goes when there would be no room.
#[derive(Debug)]
pub(crate) struct Shared<T>(Mutex<HashSet<Arc<T>>>);

impl<T> Default for Shared<T> {
    fn default() -> Shared<T> {
        Shared(Mutex::default())
    }
}

impl<T: Hash + Eq> Shared<T> {
    /// This value, together with everybody who has an equal one.
    pub(crate) fn one(&self, value: T) -> Arc<T> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(one) = known.get(&value) {
            return Arc::clone(one);
        }
        if known.len() == known.capacity() {
            known.retain(|one| Arc::strong_count(one) > 1);
        }
        let one = Arc::new(value);
        known.insert(Arc::clone(&one));
        one
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_one_and_what_nobody_uses_does_not_stay() {
        let shared = Shared::default();
        let ada = shared.one("ada".to_owned());
        assert!(Arc::ptr_eq(&ada, &shared.one("ada".to_owned())));
        for number in 0..10_000 {
            shared.one(number.to_string());
        }
        assert!(Arc::ptr_eq(&ada, &shared.one("ada".to_owned())));
        assert!(shared.0.lock().unwrap().len() < 100);
    }
}
