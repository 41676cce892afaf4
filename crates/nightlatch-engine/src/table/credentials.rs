//! Sessions by credential: read without a lock, without hashing, and with one line of memory touched before the session itself.
//!
//! With a million sessions a check costs what its cache misses cost, and nothing else here matters as much. So a bucket is one line of
//! memory: six places, a byte of each place's credential to tell which of them to look at, and a link for what is too much. The key
//! is a SHA-256 already; the bucket's number and the byte are taken from it as they are.
//!
//! The table grows a bucket at a time (linear hashing, Litwin 1980): there is no moment at which a million sessions move, and
//! no memory is given back that somebody may still be reading. The next bucket takes over its share from the one it parts with:
//!
//! 1. the sessions that go over are put into the new bucket,
//! 2. the number of buckets goes up, so that whoever comes now looks there,
//! 3. they are taken out of the old bucket.
//!
//! Whoever had read the number before 2. looks in the old bucket, and finds the session there until 3. Who finds nothing looks
//! whether the number has changed, and if so looks again: what is written in 3. carries the new number with it. So a session
//! that is in the table is found, always. Writers take turns by a lock.

use crate::{added::Added, session::Session};
use arc_swap::ArcSwapOption;
use nightlatch_core::CredentialHash;
use std::sync::{
    Arc, Mutex, OnceLock, PoisonError,
    atomic::{AtomicU64, AtomicUsize, Ordering::Acquire, Ordering::Release},
};

/// Six places, a word of bytes and a link make a line of 64 bytes.
const PLACES: usize = 6;
/// Buckets that are made at a time: 256 KiB.
const PAGE: usize = 4_096;
/// Buckets that a table begins with: 4 KiB. Their number is doubled by a page of its own until a whole page is there, so that a
/// table of few sessions is made and dropped at the cost of few.
const FIRST: usize = 64;
/// The pages that lie before the first whole one.
const DOUBLINGS: usize = (PAGE / FIRST).ilog2() as usize;
/// The most pages; beyond some 200 million sessions buckets only grow longer.
const PAGES: usize = 16_384;
/// How full buckets are kept: seven sessions for two of them.
const SESSIONS_FOR_TWO: usize = 7;

/// What is found by a credential.
pub(super) trait Named {
    /// The credential that names it.
    fn credential(&self) -> &CredentialHash;
}

impl Named for Session {
    fn credential(&self) -> &CredentialHash {
        &self.facts.credential
    }
}

impl Named for Added {
    fn credential(&self) -> &CredentialHash {
        &self.credential
    }
}

/// The sessions that are known, by the hash of the credential that they started with; or the credentials that they got since.
pub(super) struct Credentials<T> {
    pages: Box<[Page<T>]>,
    /// How many buckets are in use; only goes up.
    buckets: AtomicUsize,
    /// How many sessions there are. Held by whoever writes.
    sessions: Mutex<usize>,
}

/// So many buckets, made when the first of them is needed.
type Page<T> = OnceLock<Box<[Bucket<T>]>>;

#[repr(align(64))]
struct Bucket<T> {
    /// One byte of each place's credential.
    tags: AtomicU64,
    places: [ArcSwapOption<T>; PLACES],
    /// What found no place here.
    more: ArcSwapOption<Bucket<T>>,
}

impl<T> Default for Bucket<T> {
    fn default() -> Bucket<T> {
        Bucket { tags: 0.into(), places: Default::default(), more: ArcSwapOption::default() }
    }
}

impl<T> Default for Credentials<T> {
    fn default() -> Credentials<T> {
        Credentials {
            pages: (0..DOUBLINGS + PAGES).map(|_| OnceLock::new()).collect(),
            buckets: AtomicUsize::new(1),
            sessions: Mutex::new(0),
        }
    }
}

impl<T: Named> Credentials<T> {
    pub(super) fn get(&self, credential: &CredentialHash) -> Option<Arc<T>> {
        let mut buckets = self.buckets.load(Acquire);
        loop {
            let found = self.bucket(number_of(credential, buckets)).get(credential);
            let now = self.buckets.load(Acquire);
            if found.is_some() || now == buckets {
                return found;
            }
            buckets = now;
        }
    }

    pub(super) fn insert(&self, session: &Arc<T>) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let buckets = self.buckets.load(Acquire);
        self.bucket(number_of(session.credential(), buckets)).insert(session);
        *sessions += 1;
        if *sessions * 2 > buckets * SESSIONS_FOR_TWO && buckets < PAGE * PAGES {
            self.grow(buckets);
        }
    }

    /// The same for many at once, before anybody asks: there are as many buckets as they need, before the first is put in.
    pub(super) fn fill<'a>(&self, all: impl ExactSizeIterator<Item = &'a Arc<T>>)
    where
        T: 'a,
    {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        debug_assert_eq!(*sessions, 0, "a table that is filled is empty before");
        *sessions = all.len();
        let buckets = (all.len() * 2 / SESSIONS_FOR_TWO + 1).min(PAGE * PAGES);
        self.buckets.store(buckets, Release);
        all.for_each(|session| self.bucket(number_of(session.credential(), buckets)).insert(session));
    }

    pub(super) fn remove(&self, credential: &CredentialHash) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = self.bucket(number_of(credential, self.buckets.load(Acquire)));
        *sessions -= usize::from(bucket.remove(credential));
    }

    /// Adds one bucket, and gives it its share. The writers' lock is held.
    fn grow(&self, buckets: usize) {
        let parted = self.bucket(number_before(buckets));
        let new = self.bucket(buckets);
        let goes_over = |session: &Arc<T>| number_of(session.credential(), buckets + 1) == buckets;
        let moved: Vec<Arc<T>> = parted.sessions().filter(goes_over).collect();
        moved.iter().for_each(|session| new.insert(session));
        self.buckets.store(buckets + 1, Release);
        for session in moved {
            parted.remove(session.credential());
        }
    }

    fn bucket(&self, number: usize) -> &Bucket<T> {
        let (page, beginning, length) = page_of(number);
        let page = self.pages[page].get_or_init(|| (0..length).map(|_| Bucket::default()).collect());
        &page[number - beginning]
    }
}

impl<T: Named> Bucket<T> {
    fn get(&self, credential: &CredentialHash) -> Option<Arc<T>> {
        let tags = self.tags.load(Acquire).to_le_bytes();
        for (place, tag) in self.places.iter().zip(tags) {
            if tag != tag_of(credential) {
                continue;
            }
            let session = place.load();
            if let Some(session) = &*session
                && session.credential() == credential
            {
                return Some(Arc::clone(session));
            }
        }
        self.more.load().as_ref()?.get(credential)
    }

    fn insert(&self, session: &Arc<T>) {
        if let Some(free) = self.places.iter().position(|place| place.load().is_none()) {
            self.places[free].store(Some(Arc::clone(session)));
            self.tag(free, tag_of(session.credential()));
            return;
        }
        match &*self.more.load() {
            Some(more) => more.insert(session),
            None => {
                let more = Bucket::default();
                more.insert(session);
                self.more.store(Some(Arc::new(more)));
            }
        }
    }

    /// True if it was here.
    fn remove(&self, credential: &CredentialHash) -> bool {
        let is_it = |place: &ArcSwapOption<T>| {
            place.load().as_ref().is_some_and(|session| session.credential() == credential)
        };
        if let Some(place) = self.places.iter().position(is_it) {
            self.places[place].store(None);
            return true;
        }
        let more = self.more.load();
        let Some(more) = &*more else { return false };
        let removed = more.remove(credential);
        if more.sessions().next().is_none() {
            self.more.store(None);
        }
        removed
    }

    /// Every session that is here, or in what is linked.
    fn sessions(&self) -> impl Iterator<Item = Arc<T>> {
        let more = self.more.load().as_ref().map(|more| more.sessions().collect::<Vec<_>>());
        self.places.iter().filter_map(ArcSwapOption::load_full).chain(more.into_iter().flatten())
    }

    /// Writers take turns, so that nothing comes between reading and writing.
    fn tag(&self, place: usize, tag: u8) {
        let mut tags = self.tags.load(Acquire).to_le_bytes();
        tags[place] = tag;
        self.tags.store(u64::from_le_bytes(tags), Release);
    }
}

/// The page that a bucket lies in, the number of that page's first bucket, and how many it has.
fn page_of(number: usize) -> (usize, usize, usize) {
    match number {
        0..FIRST => (0, 0, FIRST),
        FIRST..PAGE => {
            let bits = number.ilog2();
            ((bits - FIRST.ilog2()) as usize + 1, 1 << bits, 1 << bits)
        }
        _ => (number / PAGE + DOUBLINGS, number & !(PAGE - 1), PAGE),
    }
}

/// In which of so many buckets a credential belongs: the low bits that tell as many apart, or one bit less where that bucket is not
/// there yet.
fn number_of(credential: &CredentialHash, buckets: usize) -> usize {
    let [low, ..] = words(credential);
    let reach = buckets.next_power_of_two();
    let number = low as usize & (reach - 1);
    if number < buckets { number } else { number & (reach / 2 - 1) }
}

/// The bucket that the next one, with this number, takes its share from.
fn number_before(next: usize) -> usize {
    next - (next + 1).next_power_of_two() / 2
}

/// Eight bits that the number is not made from.
fn tag_of(credential: &CredentialHash) -> u8 {
    words(credential)[1] as u8
}

fn words(credential: &CredentialHash) -> [u64; 2] {
    let (words, _) = credential.0.as_chunks::<8>();
    [words[0], words[1]].map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests;
