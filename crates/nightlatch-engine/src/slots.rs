//! Which slot on disk holds a session's last activity, and flushing those that changed.
//!
//! A touch is one atomic write in memory. Once a second the words that changed go to their slots in the store; a crash costs what
//! happened since. A slot is used again after its session was forgotten, under the next generation, so that a word
//! left over from the tenant before is never taken for this one's.
//!
//! A live session's slot is its number at the timers too: they need not hold it, and find it here.

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

/// Kept small: there is one for each session.
enum Place {
    /// Nobody lives here yet, or any more; whoever comes next is of this generation.
    Empty(Generation),
    /// A session, and its word as it was last flushed.
    Let(Arc<Session>, u64),
}

impl Default for Place {
    fn default() -> Place {
        Place::Empty(Generation::default())
    }
}

impl Place {
    fn tenant(&self) -> Option<&Arc<Session>> {
        match self {
            Place::Empty(_) => None,
            Place::Let(tenant, _) => Some(tenant),
        }
    }
}

/// How many places are looked at before others have a turn.
const PLACES_AT_ONCE: usize = 4_096;

impl Slots {
    /// A slot for a new session. It is the caller's until [`Slots::release`].
    pub(crate) fn take(&self) -> Slot {
        let mut state = self.state();
        let index = state.free.pop().unwrap_or_else(|| {
            state.places.push(Place::default());
            state.places.len() as u32 - 1
        });
        let generation = match &state.places[index as usize] {
            Place::Empty(generation) => *generation,
            Place::Let(tenant, _) => tenant.slot().generation.next(),
        };
        Slot { index, generation }
    }

    /// The session moves in: its word is flushed from now on.
    pub(crate) fn settle(&self, session: &Arc<Session>) {
        let mut state = self.state();
        let index = session.slot().index as usize;
        if state.places.len() <= index {
            state.places.resize_with(index + 1, Place::default);
        }
        state.places[index] = Place::Let(Arc::clone(session), 0);
    }

    /// Who lives in these slots.
    pub(crate) fn tenants(&self, indexes: &[u32]) -> Vec<Arc<Session>> {
        let state = self.state();
        let places = indexes.iter().filter_map(|index| state.places.get(*index as usize));
        places.filter_map(|place| place.tenant().cloned()).collect()
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
        let Slot { index, generation } = session.slot();
        let Some(place) = state.places.get_mut(index as usize) else { return };
        if place.tenant().is_some_and(|tenant| Arc::ptr_eq(tenant, session)) {
            *place = Place::Empty(generation.next());
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
            let Place::Empty(generation) = place else { return false };
            if let Some(Some(bits)) = words.get(index as usize) {
                *generation = Word::from_bits(*bits).generation().next();
            }
            true
        });
    }

    /// Writes the words that changed since the last flush to the store's slots.
    pub(crate) fn flush(&self, store: &mut nightlatch_store::Slots) -> Result<(), FileError> {
        let changed = self.changed();
        if changed.is_empty() {
            return Ok(());
        }
        // On a full disk there may be no room for the newest, and there is for the others.
        let written = store.write(&changed);
        store.sync()?;
        written?;
        for some in changed.chunks(PLACES_AT_ONCE) {
            let mut state = self.state();
            for (index, word) in some {
                // A place that changed hands meanwhile begins with nothing flushed.
                if let Some(Place::Let(tenant, flushed)) = state.places.get_mut(*index as usize)
                    && tenant.slot().generation == Word::from_bits(*word).generation()
                {
                    *flushed = *word;
                }
            }
        }
        Ok(())
    }

    /// The words that are not on disk as they are. The lock is given back every few thousand places: timers need it.
    fn changed(&self) -> Vec<(u32, u64)> {
        let mut changed = Vec::new();
        let mut first = 0;
        loop {
            let state = self.state();
            let Some(rest) = state.places.get(first..).filter(|rest| !rest.is_empty()) else {
                return changed;
            };
            let places = (first as u32..).zip(&rest[..rest.len().min(PLACES_AT_ONCE)]);
            changed.extend(places.filter_map(|(index, place)| match place {
                Place::Let(tenant, flushed) => {
                    let word = tenant.cell.word().bits();
                    (word != *flushed).then_some((index, word))
                }
                Place::Empty(_) => None,
            }));
            first += PLACES_AT_ONCE;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
