//! Which slot on disk holds a session's last activity, and flushing those that changed.
//!
//! A touch is one atomic write in memory. Once a second the words that changed go to their slots in the store; a crash costs what
//! happened since. A slot is used again after its session was forgotten, under the next generation, so that a word
//! left over from the tenant before is never taken for this one's.

use crate::session::Session;
use nightlatch_core::{Generation, Word};
use nightlatch_store::FileError;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A place in the slots file, and the how-manieth tenant has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) index: u32,
    pub(crate) generation: Generation,
}

/// Who has which slot.
#[derive(Default)]
pub(crate) struct Slots {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    places: Vec<Place>,
    free: Vec<u32>,
}

#[derive(Default)]
struct Place {
    generation: Generation,
    tenant: Option<Arc<Session>>,
    flushed: u64,
}

impl Slots {
    /// A slot for a new session. It is the caller's until [`Slots::release`].
    pub(crate) fn take(&self) -> Slot {
        let mut state = self.state();
        let index = state.free.pop().unwrap_or_else(|| {
            state.places.push(Place::default());
            state.places.len() as u32 - 1
        });
        Slot { index, generation: state.places[index as usize].generation }
    }

    /// The session moves in: its word is flushed from now on.
    pub(crate) fn settle(&self, session: &Arc<Session>) {
        let mut state = self.state();
        let index = session.slot.index as usize;
        if state.places.len() <= index {
            state.places.resize_with(index + 1, Place::default);
        }
        let place = &mut state.places[index];
        *place = Place { generation: session.slot.generation, tenant: Some(Arc::clone(session)), flushed: 0 };
    }

    /// A slot that was taken and that nobody moved into.
    pub(crate) fn give_back(&self, slot: Slot) {
        self.state().free.push(slot.index);
    }

    /// The session moves out, if it is the one that lives there; the next tenant gets the next generation.
    ///
    /// One that was recovered after its end has no slot any more: another may have it.
    pub(crate) fn release(&self, session: &Arc<Session>) {
        let mut state = self.state();
        let Slot { index, generation } = session.slot;
        let Some(place) = state.places.get_mut(index as usize) else { return };
        if place.tenant.as_ref().is_some_and(|tenant| Arc::ptr_eq(tenant, session)) {
            *place = Place { generation: generation.next(), tenant: None, flushed: 0 };
            state.free.push(index);
        }
    }

    /// After recovery: every place without a tenant is free, under a generation that none before it had. `words` is what is
    /// on disk.
    pub(crate) fn free_the_rest(&self, words: &[Option<u64>]) {
        let mut state = self.state();
        let used = words.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        if state.places.len() < used {
            state.places.resize_with(used, Place::default);
        }
        state.free = (0..state.places.len() as u32).rev().collect();
        let State { places, free } = &mut *state;
        free.retain(|&index| {
            let place = &mut places[index as usize];
            if place.tenant.is_none() {
                place.generation = match words.get(index as usize) {
                    Some(Some(bits)) => Word::from_bits(*bits).generation().next(),
                    _ => Generation::default(),
                };
            }
            place.tenant.is_none()
        });
    }

    /// Writes the words that changed since the last flush to the store's slots.
    pub(crate) fn flush(&self, store: &mut nightlatch_store::Slots) -> Result<(), FileError> {
        let changed: Vec<(u32, u64)> = {
            let state = self.state();
            let places = state.places.iter().enumerate();
            places
                .filter_map(|(index, place)| {
                    let word = place.tenant.as_ref()?.cell.word().bits();
                    (word != place.flushed).then_some((index as u32, word))
                })
                .collect()
        };
        if changed.is_empty() {
            return Ok(());
        }
        // On a full disk there may be no room for the newest, and there is for the others.
        let written = store.write(&changed);
        store.sync()?;
        written?;
        let mut state = self.state();
        for (index, word) in changed {
            // A place that changed hands meanwhile begins with nothing flushed.
            let generation = Word::from_bits(word).generation();
            let place = state.places.get_mut(index as usize);
            if let Some(place) = place.filter(|place| place.generation == generation) {
                place.flushed = word;
            }
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
