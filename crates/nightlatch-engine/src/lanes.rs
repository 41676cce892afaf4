//! Several handles of one authority, so that threads which check at the same time do not write to the same line of memory.
//!
//! A permit keeps the authority alive, and what keeps something alive is counted. If every check of every thread counted in one
//! place, two threads would be hardly faster than one: the line that holds the count would travel between their processors twice
//! for each. So each thread has a lane, and counts there. What a lane is for is speed alone; any will do.

use crate::engine::Authority;
use std::{
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

/// More threads than this share lanes, which costs them a little.
pub(crate) const LANES: usize = 16;

/// The handles of an authority.
pub(crate) struct Lanes([Arc<Lane>; LANES]);

/// One handle, alone in its lines of memory (two, since processors fetch them in pairs).
#[repr(align(128))]
pub(crate) struct Lane {
    pub(crate) authority: Arc<Authority>,
}

impl Lanes {
    pub(crate) fn of(authority: &Arc<Authority>) -> Lanes {
        Lanes(std::array::from_fn(|_| Arc::new(Lane { authority: Arc::clone(authority) })))
    }

    /// The handle for the present thread.
    pub(crate) fn mine(&self) -> Arc<Lane> {
        Arc::clone(&self.0[number()])
    }
}

/// The lane of the present thread: threads take turns as they come.
pub(crate) fn number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: Cell<usize> = const { Cell::new(LANES) };
    }
    NUMBER.with(|number| {
        if number.get() == LANES {
            number.set(NEXT.fetch_add(1, Relaxed) % LANES);
        }
        number.get()
    })
}
