//! Assertions that may be shown once more, for the few seconds that they are good for.
//!
//! Two generations: what is made goes into the young one, and each [`SPAN`] the young one becomes the old one and the old one is dropped, all at
//! once. So nothing has to be looked for that is over, and what is held is what the last two spans needed, within a bound.

use http::HeaderValue;
use nightlatch_core::{SessionId, Span, Time};
use std::{
    collections::HashMap,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// How long a generation takes in.
pub(super) const SPAN: Span = Span::from_secs(5);
const SHARDS: usize = 16;
/// The most assertions of one generation in one shard: about a kilobyte each. Beyond that each request's is made for it.
const MOST: usize = 1_024;

/// What was made lately for one application.
#[derive(Default)]
pub(super) struct Cache([Mutex<Generations>; SHARDS]);

/// An assertion, the second at which it is over, and the last authentication that it knows of.
#[derive(Clone)]
pub(super) struct Made {
    pub(super) text: HeaderValue,
    pub(super) expires: u64,
    pub(super) authenticated: Option<Time>,
}

#[derive(Default)]
struct Generations {
    /// Which span the young one belongs to.
    span: u64,
    young: HashMap<SessionId, Made>,
    old: HashMap<SessionId, Made>,
}

impl Cache {
    /// What was made for this session in this span or the one before, the newest.
    pub(super) fn get(&self, session: SessionId, now: Time) -> Option<Made> {
        let generations = self.generations(session, now);
        generations.young.get(&session).or_else(|| generations.old.get(&session)).cloned()
    }

    /// Keeps it, if there is room.
    pub(super) fn put(&self, session: SessionId, now: Time, made: Made) {
        let mut generations = self.generations(session, now);
        if generations.young.len() < MOST || generations.young.contains_key(&session) {
            generations.young.insert(session, made);
        }
    }

    fn generations(&self, session: SessionId, now: Time) -> MutexGuard<'_, Generations> {
        // Ids are random bits.
        let shard = &self.0[usize::from(session.0[15]) % SHARDS];
        let mut generations = shard.lock().unwrap_or_else(PoisonError::into_inner);
        generations.come_to(now.as_millis() / SPAN.as_millis());
        generations
    }
}

impl Generations {
    fn come_to(&mut self, span: u64) {
        if span <= self.span {
            return;
        }
        let young = mem::take(&mut self.young);
        // What was young two spans ago is over.
        self.old = if span == self.span + 1 { young } else { HashMap::new() };
        self.span = span;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(expires: u64) -> Made {
        Made { text: HeaderValue::from(expires), expires, authenticated: None }
    }

    fn at(secs: u64) -> Time {
        Time::from_millis(secs * 1_000)
    }

    #[test]
    fn what_was_made_is_there_for_this_span_and_the_next() {
        let cache = Cache::default();
        let session = SessionId([7; 16]);
        cache.put(session, at(9), made(19));
        for (secs, there) in [(9, true), (10, true), (14, true), (15, false), (14, false)] {
            assert_eq!(cache.get(session, at(secs)).is_some(), there, "{secs}");
        }
        cache.put(session, at(16), made(26));
        assert!(cache.get(session, at(60)).is_none(), "after a pause there is nothing left");
        assert!(cache.get(SessionId([6; 16]), at(16)).is_none());
    }

    #[test]
    fn no_more_is_held_than_the_bound() {
        let cache = Cache::default();
        let id = |n: usize| {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&n.to_le_bytes());
            SessionId(id)
        };
        for n in 0..MOST + 10 {
            cache.put(id(n), at(1), made(11));
        }
        let held = (0..MOST + 10).filter(|&n| cache.get(id(n), at(1)).is_some()).count();
        assert_eq!(held, MOST);
        cache.put(id(0), at(1), made(99));
        assert_eq!(
            cache.get(id(0), at(1)).map(|made| made.expires),
            Some(99),
            "what is there may be renewed"
        );
    }
}
