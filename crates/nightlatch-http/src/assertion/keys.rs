//! The keys that assertions are signed with, and when the next one takes over.
//!
//! Time is cut into periods of 30 days, and each has a key of its own, named after the day it begins: whoever starts finds the same ones. The
//! key of the next period is published all through this one, and that of the last one all through this one too, so a verifier that keeps the
//! list for an hour never meets a key it does not know, and the last assertion of a key has long expired when the key is no longer
//! published. Keys of earlier periods are removed from the disk.
//!
//! **If the disk fails at a change of period:** the key that takes over has been in memory for 30 days. What cannot be prepared is the
//! one after; that is tried again each minute.

use aws_lc_rs::{
    agreement::{ECDH_P256, PrivateKey},
    digest,
    error::{KeyRejected, Unspecified},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use nightlatch_core::{Span, Time};
use nightlatch_engine::{Authority, KeyError};
use serde_json::{Value, json};
use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicU64, Ordering::SeqCst},
};

/// How long a key signs.
pub(super) const PERIOD: Span = Span::from_secs(30 * 86_400);
/// When a next key could not be prepared, it is tried again after this long.
const AGAIN_AFTER: Span = Span::from_secs(60);
/// Begins the names of these keys among those of the data directory.
const PREFIX: &str = "assertion-";
/// The bytes of a coordinate.
const COORDINATE: usize = 32;

/// Why there are no keys to sign with.
#[derive(Debug, thiserror::Error)]
pub enum AssertionError {
    /// A key cannot be read or made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The bits are no key of the curve: one in four thousand million is not.
    #[error("the key `{0}` in the data directory cannot sign: remove it to have another one made")]
    Unusable(String),
}

/// A key of one period.
pub(super) struct Key {
    pair: EcdsaKeyPair,
    /// The first part of whatever is signed with it, encoded.
    head: String,
    /// As it is published.
    public: Value,
}

/// Those of now.
struct Ring {
    last: Option<Arc<Key>>,
    present: Arc<Key>,
    next: Arc<Key>,
    /// When the next one takes over.
    until: Time,
}

/// The keys, kept up with time.
pub(super) struct Keys {
    ring: RwLock<Arc<Ring>>,
    /// When the ring is to be moved on, in milliseconds.
    due: AtomicU64,
}

impl Keys {
    /// The keys of the period of now, made if they are not there. Writes to disk.
    pub(super) fn open(engine: &Authority, now: Time) -> Result<Keys, AssertionError> {
        let ring = Ring::of(engine, now)?;
        Ok(Keys { due: ring.until.as_millis().into(), ring: RwLock::new(Arc::new(ring)) })
    }

    /// The key that signs at this instant.
    pub(super) fn at(&self, now: Time) -> Arc<Key> {
        let ring = self.ring();
        Arc::clone(if now < ring.until { &ring.present } else { &ring.next })
    }

    /// Whether it is time to move on: true for one caller, who does it.
    pub(super) fn is_due(&self, now: Time) -> bool {
        let due = self.due.load(SeqCst);
        let again = now.plus(AGAIN_AFTER).as_millis();
        now.as_millis() >= due && self.due.compare_exchange(due, again, SeqCst, SeqCst).is_ok()
    }

    /// Takes over what the period of now has, and prepares what comes next. Writes to disk.
    pub(super) fn move_on(&self, engine: &Authority, now: Time) -> Result<(), AssertionError> {
        let ring = Ring::of(engine, now)?;
        let until = ring.until.as_millis();
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ring);
        self.due.store(until, SeqCst);
        Ok(())
    }

    /// All that are to be known to whoever checks (RFC 7517 section 5).
    pub(super) fn published(&self) -> Value {
        let ring = self.ring();
        let keys = ring.last.iter().chain([&ring.present, &ring.next]);
        json!({ "keys": keys.map(|key| &key.public).collect::<Vec<_>>() })
    }

    fn ring(&self) -> Arc<Ring> {
        Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Ring {
    fn of(engine: &Authority, now: Time) -> Result<Ring, AssertionError> {
        let begun = now.as_millis() / PERIOD.as_millis() * PERIOD.as_millis();
        let begun = Time::from_millis(begun);
        let [last, present, next] = [begun.minus(PERIOD), begun, begun.plus(PERIOD)].map(name);
        engine.remove_keys(PREFIX, &[&last, &present, &next])?;
        let old = engine.key_if_there(&last)?.map(|key| Key::of(&last, key.bytes())).transpose()?;
        let made = |name: &str| Ok::<_, AssertionError>(Arc::new(Key::of(name, engine.key(name)?.bytes())?));
        Ok(Ring {
            last: old.map(Arc::new),
            present: made(&present)?,
            next: made(&next)?,
            until: begun.plus(PERIOD),
        })
    }
}

/// The name of the key whose period begins then.
fn name(begins: Time) -> String {
    let millis = i64::try_from(begins.as_millis()).unwrap_or(i64::MAX);
    let day = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
    format!("{PREFIX}{}", day.strftime("%Y-%m-%d"))
}

impl Key {
    fn of(name: &str, private: &[u8; 32]) -> Result<Key, AssertionError> {
        Key::try_of(private).map_err(|_| AssertionError::Unusable(name.to_owned()))
    }

    fn try_of(private: &[u8; 32]) -> Result<Key, KeyRejected> {
        let agreed = PrivateKey::from_private_key(&ECDH_P256, private)?;
        let public = agreed.compute_public_key()?;
        let pair = EcdsaKeyPair::from_private_key_and_public_key(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            private,
            public.as_ref(),
        )?;
        // A point without compression: 4, and the two coordinates (SEC 1 section 2.3.3).
        let (x, y) = pair.public_key().as_ref()[1..].split_at(COORDINATE);
        let [x, y] = [x, y].map(|coordinate| BASE64_URL_SAFE_NO_PAD.encode(coordinate));
        let kid = thumbprint(&x, &y);
        let head = json!({ "alg": "ES256", "kid": kid, "typ": "JWT" }).to_string();
        let public =
            json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "alg": "ES256", "use": "sig", "kid": kid });
        Ok(Key { pair, head: BASE64_URL_SAFE_NO_PAD.encode(head), public })
    }

    /// Signs claims: JWS in its compact form (RFC 7515 section 3.1).
    pub(super) fn sign(&self, claims: &[u8]) -> Result<String, Unspecified> {
        let mut text = format!("{}.{}", self.head, BASE64_URL_SAFE_NO_PAD.encode(claims));
        let signature = self.pair.sign(&SystemRandom::new(), text.as_bytes())?;
        text.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(signature, &mut text);
        Ok(text)
    }
}

/// The name of a key: the hash of its public half (RFC 7638).
fn thumbprint(x: &str, y: &str) -> String {
    let members = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, members.as_bytes()))
}
