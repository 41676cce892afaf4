//! What is known of a provider: its metadata and its keys, asked for when they are needed and kept for a while.
//!
//! A provider that is down must not keep anybody from signing in who needs only its keys, and keys must not be believed for ever. So they
//! are asked for again after an hour, the old ones serve while nobody answers, and after a day they serve no more. A token by an unknown
//! key is a reason to ask at once, but a flood of such tokens is not a reason to flood the provider.

use crate::{
    keys::KeySet,
    metadata::{Metadata, MetadataError},
    outbound::OutboundError,
    provider::ProviderSettings,
};
use bytes::Bytes;
use http::{Request, StatusCode};
use nightlatch_core::{Span, Time};
use std::sync::Arc;
use tokio::sync::Mutex;

/// After this what is known is asked for again.
const ASK_AGAIN_AFTER: Span = Span::from_secs(3_600);
/// After this it is not believed any more.
const BELIEVED_FOR: Span = Span::from_secs(86_400);
/// Between two attempts, whatever the reason.
const ATTEMPTS_APART: Span = Span::from_secs(10);

/// A provider's metadata and keys, of one moment.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) metadata: Metadata,
    pub(crate) keys: KeySet,
    at: Time,
}

/// Why nothing is known of a provider.
#[derive(Debug, thiserror::Error)]
pub enum UnreachableError {
    /// It gave no answer.
    #[error("the provider {0}")]
    Outbound(#[from] OutboundError),
    /// It answered that it does not work.
    #[error("the provider answered `{address}` with status {status}")]
    Status {
        /// What was asked.
        address: String,
        /// The answer.
        status: StatusCode,
    },
    /// Its metadata is of no use.
    #[error("the provider cannot be used: {0}")]
    Metadata(#[from] MetadataError),
    /// Its keys cannot be read.
    #[error("the provider's keys cannot be read: {0}")]
    Keys(String),
    /// It gave no answer a moment ago.
    #[error("the provider could not be asked a moment ago")]
    JustTried,
}

/// What is known, by everybody who signs in there.
#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    known: Option<Arc<Known>>,
    tried: Option<Time>,
}

/// What is to be done with what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Use,
    Ask,
    Refuse,
}

impl Memory {
    /// What is known of the provider; asks it where that is nothing, or old. Whoever comes meanwhile waits for the same answer.
    pub(crate) async fn get(
        &self,
        settings: &ProviderSettings,
        now: Time,
    ) -> Result<Arc<Known>, UnreachableError> {
        let mut state = self.0.lock().await;
        let known = state.known.clone();
        match (next(known.as_ref().map(|known| known.at), state.tried, now), known) {
            (Next::Use, Some(known)) => Ok(known),
            (Next::Refuse, _) => Err(UnreachableError::JustTried),
            (_, known) => {
                state.tried = Some(now);
                match ask(settings, now).await {
                    Ok(new) => Ok(Arc::clone(state.known.insert(Arc::new(new)))),
                    Err(error) => match known.filter(|known| now.since(known.at) < BELIEVED_FOR) {
                        Some(old) => {
                            tracing::warn!(issuer = settings.issuer, %error, "the provider's keys of before are used");
                            Ok(old)
                        }
                        None => Err(error),
                    },
                }
            }
        }
    }

    /// What is known now that a key was missing in `before`: newer than that, if it may be asked for.
    pub(crate) async fn renewed(
        &self,
        settings: &ProviderSettings,
        before: &Arc<Known>,
        now: Time,
    ) -> Result<Arc<Known>, UnreachableError> {
        let mut state = self.0.lock().await;
        if let Some(known) = state.known.as_ref().filter(|known| !Arc::ptr_eq(known, before)) {
            return Ok(Arc::clone(known));
        }
        if is_too_soon(state.tried, now) {
            return Ok(Arc::clone(before));
        }
        state.tried = Some(now);
        let new = ask(settings, now).await?;
        Ok(Arc::clone(state.known.insert(Arc::new(new))))
    }
}

fn next(known: Option<Time>, tried: Option<Time>, now: Time) -> Next {
    let age = known.map(|at| now.since(at));
    match age {
        Some(age) if age < ASK_AGAIN_AFTER => Next::Use,
        Some(age) if age < BELIEVED_FOR && is_too_soon(tried, now) => Next::Use,
        _ if is_too_soon(tried, now) => Next::Refuse,
        _ => Next::Ask,
    }
}

fn is_too_soon(tried: Option<Time>, now: Time) -> bool {
    tried.is_some_and(|tried| now.since(tried) < ATTEMPTS_APART)
}

async fn ask(settings: &ProviderSettings, now: Time) -> Result<Known, UnreachableError> {
    let metadata = get(settings, &Metadata::address(&settings.issuer)).await?;
    let metadata = Metadata::read(&metadata, &settings.issuer)?;
    let keys = get(settings, &metadata.jwks_uri).await?;
    let keys = KeySet::read(&keys).map_err(UnreachableError::Keys)?;
    Ok(Known { metadata, keys, at: now })
}

async fn get(settings: &ProviderSettings, address: &str) -> Result<Bytes, UnreachableError> {
    let request = Request::get(address).body(Bytes::new()).map_err(|_| OutboundError::Url)?;
    let answer = settings.ask(request).await?;
    match answer.status {
        StatusCode::OK => Ok(answer.body),
        status => Err(UnreachableError::Status { address: address.to_owned(), status }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_serve_for_an_hour_for_a_day_if_nobody_answers_and_then_no_more() {
        let now = Time::from_millis(1_800_000_000_000);
        let ago = |secs: u64| Some(now.minus(Span::from_secs(secs)));
        for (known, tried, expected) in [
            (None, None, Next::Ask),
            (None, ago(9), Next::Refuse),
            (None, ago(10), Next::Ask),
            (ago(0), ago(0), Next::Use),
            (ago(3_599), ago(3_599), Next::Use),
            (ago(3_600), ago(3_600), Next::Ask),
            (ago(3_700), ago(5), Next::Use),
            (ago(86_399), ago(5), Next::Use),
            (ago(86_400), ago(5), Next::Refuse),
            (ago(86_400), ago(60), Next::Ask),
        ] {
            assert_eq!(next(known, tried, now), expected, "{known:?} {tried:?}");
        }
    }
}
