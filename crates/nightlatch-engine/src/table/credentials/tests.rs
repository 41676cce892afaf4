use super::*;
use crate::{
    cell::Cell,
    session::{Facts, Kin, Terms, Who},
};
use nightlatch_core::{Generation, Kind, Register, RuleId, SessionId, Span, Subject, Time, Word};
use std::{collections::BTreeMap, sync::atomic::AtomicBool, thread};

/// The n-th of a row of sessions with random credentials.
fn session(number: u64) -> Arc<Session> {
    let who = Who {
        subject: Subject { provider: "idp".to_owned(), name: "ada".to_owned() },
        pseudonym: [0; 16].into(),
    };
    let terms = Terms {
        kind: Kind::Person,
        groups: Vec::new(),
        policy_version: 1,
        warning: Span::ZERO,
        app: None,
        acr: None,
    };
    let facts = Facts {
        credential: crate::secret::hash(number.to_string().as_bytes()),
        id: SessionId([0; 16]),
        who: Arc::new(who),
        terms: Arc::new(terms),
        started: Time::ZERO,
    };
    let idle = Register::idle(Span::from_secs(1), RuleId::default());
    let hard_end = Register::hard_end(Time::MAX, RuleId::default());
    let cell = Cell::new(Word::live(Generation::default(), Time::ZERO), idle, hard_end);
    Arc::new(Session::new(facts, cell, 0, Kin::default()))
}

#[test]
fn a_bucket_is_a_line_of_memory() {
    assert_eq!(size_of::<Bucket<Session>>(), 64);
}

#[test]
fn the_pages_lie_end_to_end() {
    let mut next = (0, 0);
    while next.1 < 5 * PAGE {
        let (page, beginning, length) = page_of(next.1);
        assert_eq!((page, beginning), next);
        assert!((beginning..beginning + length).all(|number| page_of(number) == (page, beginning, length)));
        next = (page + 1, beginning + length);
    }
    assert_eq!(page_of(PAGE * PAGES - 1).0, DOUBLINGS + PAGES - 1);
}

#[test]
fn every_number_leads_to_the_bucket_that_the_next_size_leaves_it_in_or_moves_it_from() {
    for buckets in 1..300 {
        for credential in (0..200).map(|number: u32| crate::secret::hash(number.to_string().as_bytes())) {
            let (before, after) = (number_of(&credential, buckets), number_of(&credential, buckets + 1));
            assert!(before < buckets);
            assert!(after == before || (after == buckets && before == number_before(buckets)));
        }
    }
}

#[test]
fn what_a_map_would_say_over_any_mix_of_coming_and_going() {
    let (table, mut map) = (Credentials::default(), BTreeMap::new());
    for step in 0..30_000_u64 {
        // Three come for each that goes, so that buckets part while others empty.
        let (number, comes) = ((step * 2_654_435_761) % 10_007, step % 4 > 0);
        let session = session(number);
        if comes && map.insert(number, Arc::clone(&session)).is_none() {
            table.insert(&session);
        }
        if !comes && map.remove(&number).is_some() {
            table.remove(&session.facts.credential);
        }
    }
    for number in 0..10_007 {
        let credential = crate::secret::hash(number.to_string().as_bytes());
        let found = table.get(&credential).map(|session| session.facts.credential);
        assert_eq!(found, map.get(&number).map(|_| credential), "{number}");
    }
    assert_eq!(*table.sessions.lock().unwrap(), map.len());
}

#[test]
fn a_table_that_was_filled_at_once_is_found_in_and_grows_like_one_that_was_not() {
    for count in [0, 1, 3, 4, 7, 1_000, 5_001] {
        let table = Credentials::default();
        let mut all: Vec<Arc<Session>> = (0..count).map(session).collect();
        table.fill(all.iter());
        for later in (count..count + 500).map(session) {
            table.insert(&later);
            all.push(later);
        }
        let gone = all.split_off(all.len() / 2);
        gone.iter().for_each(|session| table.remove(&session.facts.credential));
        for (sessions, there) in [(&all, true), (&gone, false)] {
            assert!(sessions.iter().all(|session| table.get(&session.facts.credential).is_some() == there));
        }
        assert_eq!(*table.sessions.lock().unwrap(), all.len());
    }
}

#[test]
fn who_is_in_the_table_is_found_while_it_grows() {
    let table = Credentials::default();
    let first: Vec<Arc<Session>> = (0..500).map(session).collect();
    first.iter().for_each(|session| table.insert(session));
    let growing = AtomicBool::new(true);
    thread::scope(|scope| {
        let looks = scope.spawn(|| {
            let mut looks = 0_u64;
            while growing.load(Acquire) {
                for session in &first {
                    assert!(table.get(&session.facts.credential).is_some(), "{session:?}");
                    looks += 1;
                }
            }
            looks
        });
        (500..60_000).for_each(|number| table.insert(&session(number)));
        growing.store(false, Release);
        assert!(looks.join().unwrap() > 0);
    });
}
