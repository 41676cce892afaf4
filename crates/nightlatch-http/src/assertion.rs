//! Who it is, signed: `X-Nightlatch-Assertion`, for applications that check it by themselves.
//!
//! The other fields of an identity are believed because only we can have written them: that is true as long as nobody reaches the
//! application but through us. An assertion says the same and is true wherever it is found: a JWT (RFC 7519) signed with ES256, for one
//! application (`aud`), good for ten seconds, and never beyond the deadline of its session. It is made here and not in the engine,
//! which decides and knows no protocol, and not where identities come in, whose keys are others': what goes out to an upstream is this crate's.
//!
//! Whole seconds, cut off downwards, because readers of `exp` do so anyway: in the last second of a session an application may find it over.
//!
//! It is signed at most once in five seconds for each session and application, and the same text is sent until then: at least half of its life
//! is left when it goes out, its `exp` is held against the deadline as it stands each time, and after a step-up there is another. ES256, because every library has it; the two encoded
//! parts and a signature are put together here, because the libraries for JWTs read the key anew for each.

mod cache;
mod keys;

use cache::{Cache, Made};
use http::{HeaderName, HeaderValue};
use keys::Keys;
use nightlatch_core::{Span, Time};
use nightlatch_engine::{Engine, Session};
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;

pub use keys::AssertionError;

/// The field that carries it.
pub const ASSERTION: HeaderName = HeaderName::from_static("x-nightlatch-assertion");

/// How long an assertion is good for.
const LIFE_SECS: u64 = 10;
/// How much of that is left at least when it goes out.
const LEFT_SECS: u64 = LIFE_SECS - cache::SPAN.as_millis() / 1_000;

/// Signs for every application that asks for it.
pub struct Signer {
    engine: Arc<Engine>,
    keys: Arc<Keys>,
    issuer: String,
}

/// One application's assertions.
pub struct Assertions {
    signer: Arc<Signer>,
    audience: String,
    made: Cache,
}

/// An assertion could not be signed.
#[derive(Debug, thiserror::Error)]
#[error("who this request is from could not be signed")]
pub struct NotSigned;

/// What is signed.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    /// Who vouches for `sub`. The same name of two providers is two subjects.
    provider: &'a str,
    /// The session's public id.
    sid: String,
    groups: &'a [String],
    /// The last authentication, and how it was done.
    auth_time: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    acr: Option<String>,
    iat: u64,
    exp: u64,
}

impl Signer {
    /// With the keys of the data directory, made at first use. `issuer` is what `iss` says. Writes to disk.
    ///
    /// # Errors
    /// If a key cannot be read, made or used.
    pub fn new(engine: Arc<Engine>, issuer: String) -> Result<Signer, AssertionError> {
        let keys = Arc::new(Keys::open(&engine, engine.clock().now())?);
        Ok(Signer { engine, keys, issuer })
    }

    /// The public keys, for whoever checks.
    pub(crate) fn published(&self) -> Value {
        self.keep_up();
        self.keys.published()
    }

    /// Sees to it that the next key is there before it is needed.
    fn keep_up(&self) {
        if !self.keys.is_due(self.engine.clock().now()) {
            return;
        }
        let (engine, keys) = (Arc::clone(&self.engine), Arc::clone(&self.keys));
        // It is not waited for: the key that takes over is there.
        tokio::task::spawn_blocking(move || {
            if let Err(error) = keys.move_on(&engine, engine.clock().now()) {
                tracing::error!(%error, "the next key for assertions cannot be prepared; the present one goes on");
            }
        });
    }
}

impl Assertions {
    /// For the application of this name.
    #[must_use]
    pub fn new(signer: Arc<Signer>, audience: &str) -> Assertions {
        Assertions { signer, audience: audience.to_owned(), made: Cache::default() }
    }

    /// The field's value for a request of this session: what was made a moment ago, or else a new one.
    ///
    /// # Errors
    /// If it cannot be signed; the request must not be forwarded without it.
    pub fn of(&self, session: &Session) -> Result<HeaderValue, NotSigned> {
        let now = self.signer.engine.clock().now();
        let (second, deadline) = (secs(now), secs(session.deadline().at));
        let authenticated = session.authenticated(None);
        let good = |made: &Made| {
            made.expires >= second + LEFT_SECS
                && made.expires <= deadline
                && made.authenticated == authenticated
        };
        if let Some(made) = self.made.get(session.facts.id, now).filter(good) {
            return Ok(made.text);
        }
        let expires = deadline.min(second + LIFE_SECS);
        let text = self.sign(session, now, expires)?;
        self.made.put(session.facts.id, now, Made { text: text.clone(), expires, authenticated });
        Ok(text)
    }

    fn sign(&self, session: &Session, now: Time, expires: u64) -> Result<HeaderValue, NotSigned> {
        let Signer { keys, issuer, .. } = &*self.signer;
        let facts = &session.facts;
        let authenticated = session.authenticated(None).unwrap_or(facts.started);
        let last = session.authentications().into_iter().find(|known| known.at == authenticated);
        let claims = Claims {
            iss: issuer,
            aud: &self.audience,
            sub: &facts.who.subject.name,
            provider: &facts.who.subject.provider,
            sid: facts.id.to_string(),
            groups: &facts.terms.groups,
            auth_time: secs(authenticated),
            acr: last.and_then(|last| last.acr),
            iat: secs(now),
            exp: expires,
        };
        self.signer.keep_up();
        let claims = serde_json::to_vec(&claims).map_err(|_| NotSigned)?;
        let signed = keys.at(now).sign(&claims).map_err(|_| NotSigned)?;
        HeaderValue::try_from(signed).map_err(|_| NotSigned)
    }
}

/// The second that an instant is in.
const fn secs(at: Time) -> u64 {
    at.since(Time::from_millis(0)).as_millis() / Span::from_secs(1).as_millis()
}
