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
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A place in the slots file, and the how-manieth tenant has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) index: u32,
    pub(crate) generation: Generation,
}

/// Who has which slot.
#[derive(Default)]
pub(crate) struct Slots {
    /// Read by timers and by whoever flushes, who do not wait for each other.
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    /// Who lives where.
    places: Vec<Option<Arc<Session>>>,
    /// Where nobody lives, and of which generation whoever comes next is.
    free: Vec<Slot>,
}

/// How many places are looked at before others have a turn.
const PLACES_AT_ONCE: usize = 4_096;

impl Slots {
    /// A slot for a new session. It is the caller's until [`Slots::release`].
    pub(crate) fn take(&self) -> Slot {
        let mut state = self.state_mut();
        state.free.pop().unwrap_or_else(|| {
            state.places.push(None);
            Slot { index: state.places.len() as u32 - 1, generation: Generation::default() }
        })
    }

    /// The session moves in: its word is flushed from now on.
    pub(crate) fn settle(&self, session: &Arc<Session>) {
        let mut state = self.state_mut();
        let index = session.slot().index as usize;
        if state.places.len() <= index {
            state.places.resize(index + 1, None);
        }
        state.places[index] = Some(Arc::clone(session));
    }

    /// Who lives in these slots.
    pub(crate) fn tenants(&self, indexes: &[u32]) -> Vec<Arc<Session>> {
        let state = self.state();
        indexes.iter().filter_map(|index| state.places.get(*index as usize)?.clone()).collect()
    }

    /// A slot that was taken and that nobody moved into.
    pub(crate) fn give_back(&self, slot: Slot) {
        self.state_mut().free.push(slot);
    }

    /// The session moves out, if it is the one that lives there; the next tenant gets the next generation.
    ///
    /// One that was recovered after its end has no slot any more: another may have it.
    pub(crate) fn release(&self, session: &Arc<Session>) {
        let mut state = self.state_mut();
        let Slot { index, generation } = session.slot();
        let Some(place) = state.places.get_mut(index as usize) else { return };
        if place.as_ref().is_some_and(|tenant| Arc::ptr_eq(tenant, session)) {
            *place = None;
            state.free.push(Slot { index, generation: generation.next() });
        }
    }

    /// After recovery: every place without a tenant is free, under a generation that none before it had. `words` is what is
    /// on disk.
    pub(crate) fn free_the_rest(&self, words: &[Option<u64>]) {
        let mut state = self.state_mut();
        let used = words.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        if state.places.len() < used {
            state.places.resize(used, None);
        }
        let State { places, free } = &mut *state;
        let empty = (0..).zip(places.iter()).filter(|(_, place)| place.is_none());
        let generation = |index: u32| match words.get(index as usize) {
            Some(Some(bits)) => Word::from_bits(*bits).generation().next(),
            _ => Generation::default(),
        };
        *free = empty.map(|(index, _)| Slot { index, generation: generation(index) }).collect();
        // The lowest is taken first.
        free.reverse();
    }

    /// Writes the words that changed since the last flush to the store's slots.
    pub(crate) fn flush(&self, store: &mut nightlatch_store::Slots) -> Result<(), FileError> {
        let changed = self.changed();
        if changed.is_empty() {
            return Ok(());
        }
        // On a full disk there may be no room for the newest, and there is for the others.
        let written = store.write(&changed);
        let flushed = store.sync().and(written);
        if flushed.is_err() {
            let indexes: Vec<u32> = changed.into_iter().map(|(slot, _)| slot).collect();
            self.tenants(&indexes).iter().for_each(|tenant| tenant.changed());
        }
        flushed
    }

    /// The words that are not on disk as they are. The lock is given back every few thousand places: who starts a session needs it.
    fn changed(&self) -> Vec<(u32, u64)> {
        let mut changed = Vec::new();
        let mut first = 0;
        loop {
            let state = self.state();
            let Some(rest) = state.places.get(first..).filter(|rest| !rest.is_empty()) else {
                return changed;
            };
            let places = (first as u32..).zip(rest).take(PLACES_AT_ONCE);
            changed
                .extend(places.filter_map(|(index, place)| Some((index, place.as_ref()?.take_changed()?))));
            first += PLACES_AT_ONCE;
        }
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}
