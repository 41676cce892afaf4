//! A provider says that somebody signed out there (OpenID Connect Back-Channel Logout 1.0).
//!
//! Which session at the provider a session began with is an immutable part of it, kept by pseudonym, and an index leads back. A word of the
//! provider counts once: which tokens were used is remembered for as long as one could be used again, in entries and in snapshots, so a
//! restart forgets none.
//!
//! A token may name a session at the provider, a subject, or both. Sessions of the subject of which it is not known with which session at
//! the provider they began end as well: one of them may be the one that is meant, and one too many signs in again.
//!
//! **If we crash here:** the ends come first in the ledger, and then the entry by which the token counts as used. In between, the provider has no
//! answer yet, and may say it again.

use crate::{
    end::EndOrder,
    engine::Authority,
    entry::{Entry, ProviderLogoutRecord, clip},
    session::Session,
};
use nightlatch_core::{EndReason, IdError, ProviderSession, SessionId, Subject, Time};
use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Tokens that are remembered, at 50 bytes or so; each is one that a provider signed. Beyond it the one that is over first is forgotten: whoever
/// had it could end again what it ended before, and nothing else.
const USED_MOST: usize = 100_000;
/// No entry yet.
const NO_ENTRY: u64 = u64::MAX;

/// A logout token by the name that the record has for it: 32 hexadecimal digits, made of provider and `jti` with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenName(pub [u8; 16]);

impl fmt::Display for TokenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ProviderSession(self.0).fmt(f)
    }
}

impl FromStr for TokenName {
    type Err = IdError;

    fn from_str(text: &str) -> Result<TokenName, IdError> {
        text.parse().map(|ProviderSession(name)| TokenName(name))
    }
}

/// What a provider said, once it is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderLogout {
    /// The provider's issuer.
    pub provider: String,
    /// Its name for whoever signed out, if it says one.
    pub subject: Option<String>,
    /// Out of which session there, if it says so.
    pub provider_session: Option<ProviderSession>,
    /// The token that says it.
    pub token: TokenName,
    /// Until when the token could be used again.
    pub good_until: Time,
}

/// The token was used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this logout token was used before")]
pub struct Replayed;

/// A token that was used, and the entry that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) token: TokenName,
    pub(crate) good_until: Time,
    pub(crate) entry: u64,
}

/// The tokens that were used and could be used again.
#[derive(Debug, Default)]
pub(crate) struct LogoutTokens(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    /// Until when it could be used again, and the index of its entry.
    tokens: HashMap<TokenName, (Time, u64)>,
    /// The same in the order in which they may be forgotten.
    by_time: BTreeSet<(Time, TokenName)>,
}

impl LogoutTokens {
    /// Uses a token up: of all who try, one succeeds.
    fn use_up(&self, token: TokenName, good_until: Time, now: Time) -> Result<(), Replayed> {
        let mut remembered = self.remembered();
        remembered.forget_over(now);
        if remembered.tokens.contains_key(&token) {
            return Err(Replayed);
        }
        remembered.insert(Used { token, good_until, entry: NO_ENTRY });
        Ok(())
    }

    fn recorded(&self, token: TokenName, index: u64) {
        if let Some((_, entry)) = self.remembered().tokens.get_mut(&token) {
            *entry = index;
        }
    }

    /// Those whose entry is among the first `size`, for a snapshot.
    pub(crate) fn as_of(&self, size: u64) -> Vec<Used> {
        let tokens = self.remembered();
        let used = tokens.tokens.iter().map(|(token, (good_until, entry))| (*token, *good_until, *entry));
        let used = used.map(|(token, good_until, entry)| Used { token, good_until, entry });
        used.filter(|used| used.entry < size).collect()
    }

    /// Takes in what was used before this start.
    pub(crate) fn take_up(&self, used: &[Used], now: Time) {
        let mut remembered = self.remembered();
        used.iter().for_each(|used| remembered.insert(*used));
        remembered.forget_over(now);
    }

    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Remembered {
    fn insert(&mut self, used: Used) {
        if self.tokens.insert(used.token, (used.good_until, used.entry)).is_none() {
            self.by_time.insert((used.good_until, used.token));
        }
        if self.tokens.len() > USED_MOST {
            self.forget_first();
        }
    }

    fn forget_over(&mut self, now: Time) {
        while self.by_time.first().is_some_and(|(good_until, _)| *good_until <= now) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, token)) = self.by_time.pop_first() {
            self.tokens.remove(&token);
        }
    }
}

impl Authority {
    /// Ends what a provider says has been signed out of. What lives when it is called ends at once; a session that was on its way to disk then
    /// is waited for, and ends too. Complete when all of it is on record; gives those that it ended.
    ///
    /// # Errors
    /// If the token was used before; nothing ends.
    pub async fn end_at_provider(&self, logout: &ProviderLogout) -> Result<Vec<SessionId>, Replayed> {
        let now = self.clock().now();
        self.logout_tokens().use_up(logout.token, logout.good_until, now)?;
        let mut ended = Vec::new();
        let first = self.end_named(logout, &mut ended);
        let appended = self.ledger().appended().checked_sub(1);
        for index in [first, appended].into_iter().flatten() {
            self.durable(index).await;
        }
        let last = self.end_named(logout, &mut ended);
        let index = self.record_logout(logout, ended.len() as u64).or(last);
        if let Some(index) = index {
            self.durable(index).await;
        }
        Ok(ended)
    }

    /// Ends what is seen now, and gives the index of the last end's entry.
    fn end_named(&self, logout: &ProviderLogout, ended: &mut Vec<SessionId>) -> Option<u64> {
        let order = EndOrder { reason: EndReason::ProviderLogout, by: "provider", cause: None };
        let mut last = None;
        for session in self.named(logout) {
            if let Some(index) = self.end(&session, order) {
                ended.push(session.facts.id);
                last = last.max(Some(index));
            }
        }
        last
    }

    fn named(&self, logout: &ProviderLogout) -> Vec<Arc<Session>> {
        let subject = logout.subject.clone().map(|name| Subject { provider: logout.provider.clone(), name });
        let of_subject = subject.as_ref().map(|subject| self.signed_in(subject)).unwrap_or_default();
        let Some(name) = logout.provider_session else { return of_subject };
        let unknown = of_subject.into_iter().filter(|session| session.provider_session().is_none());
        let whose = |session: &Arc<Session>| {
            subject.as_ref().is_none_or(|subject| session.facts.who.subject == *subject)
        };
        self.table().of_provider_session(name).into_iter().filter(whose).chain(unknown).collect()
    }

    /// The entry by which the token counts as used, unless its room is owed to the ends of others: then only memory knows.
    fn record_logout(&self, logout: &ProviderLogout, ended: u64) -> Option<u64> {
        let known = |name: &String| self.people().known(&logout.provider, name);
        let entry = Entry::ProviderLogout(ProviderLogoutRecord {
            at: self.clock().now().as_millis(),
            provider: clip(&logout.provider).to_owned(),
            subject: logout.subject.as_ref().and_then(known).map(|pseudonym| pseudonym.to_string()),
            provider_session: logout.provider_session.map(|name| name.to_string()),
            token: logout.token.to_string(),
            good_until: logout.good_until.as_millis(),
            ended,
        });
        let index = self.record_if_room(&entry)?;
        self.logout_tokens().recorded(logout.token, index);
        Some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nightlatch_core::Span;

    #[test]
    fn a_token_counts_once_and_what_is_remembered_is_bounded() {
        let tokens = LogoutTokens::default();
        let now = Time::from_millis(1_800_000_000_000);
        let until = now.plus(Span::from_secs(120));
        let name = |number: u128| TokenName(number.to_be_bytes());
        assert_eq!(tokens.use_up(name(0), until, now), Ok(()));
        assert_eq!(tokens.use_up(name(0), until, until.minus(Span::from_millis(1))), Err(Replayed));
        assert_eq!(tokens.as_of(u64::MAX), [], "no entry says so yet");
        tokens.recorded(name(0), 7);
        assert_eq!((tokens.as_of(7).len(), tokens.as_of(8).len()), (0, 1));
        for number in 1..=USED_MOST as u128 {
            assert_eq!(tokens.use_up(name(number), until.plus(Span::from_millis(1)), now), Ok(()));
        }
        assert_eq!(tokens.remembered().tokens.len(), USED_MOST);
        assert_eq!(tokens.use_up(name(1), until, now), Err(Replayed));
        assert_eq!(tokens.use_up(name(0), until, until.plus(Span::from_secs(1))), Ok(()));
        assert_eq!(tokens.remembered().tokens.len(), 1, "what is over is forgotten");
        assert_eq!(tokens.remembered().by_time.len(), 1);
    }
}
