//! Whether an ID token is believed (OpenID Connect Core section 3.1.3.7). Pure: keys, expectations and `now` are handed in.
//!
//! The signature is verified by a library; the claims are looked at here, because the library asks the operating system for the time and
//! knows nothing of `nonce` and `auth_time`. The order is: how it says it is signed, by whom, then what it says. Nothing of a token
//! whose signature is not verified is used for anything but to find the key.

use crate::{keys::KeySet, metadata::taken};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, Validation, decode, errors::ErrorKind};
use nightlatch_core::{Span, Time};
use serde::Deserialize;
use serde_json::{Map, Value};

/// How far a provider's clock may be from ours, either way. Also how much older than the flow an authentication may look.
pub const SKEW: Span = Span::from_secs(30);
/// The longest `sub` (OpenID Connect Core section 2).
const SUBJECT_BYTES_MOST: usize = 255;

/// What a token has to say.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// By whom.
    pub issuer: &'a str,
    /// For whom.
    pub client_id: &'a str,
    /// In answer to what.
    pub nonce: &'a str,
    /// Signed how.
    pub algorithms: &'a [Algorithm],
    /// The subject authenticated then, or later.
    pub authenticated_since: Time,
    /// Now.
    pub now: Time,
}

/// What a believed token says.
#[derive(Clone, Debug, PartialEq)]
pub struct Claims {
    /// The provider's name for the subject.
    pub subject: String,
    /// When the subject authenticated; not after now.
    pub authenticated: Time,
    /// How, in the provider's words.
    pub acr: Option<String>,
    /// Everything it says.
    pub all: Map<String, Value>,
}

/// Why a token is not believed. All but [`IdTokenError::UnknownKey`] and [`IdTokenError::Stale`] are the provider's fault, or a forger's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    /// Not a JWT of the form that it has to have.
    #[error("it is not a signed JWT: {0}")]
    Form(&'static str),
    /// Signed in a way that is not taken, or not at all.
    #[error("it is signed with `{0}`, which is not taken from this provider")]
    Algorithm(String),
    /// Signed by a key that is not known: perhaps a new one.
    #[error("no key of the provider fits it")]
    UnknownKey,
    /// Not signed by that key.
    #[error("its signature is wrong")]
    Signature,
    /// Of another issuer.
    #[error("it is of another issuer")]
    Issuer,
    /// For another client, or for others as well without saying that we asked for it.
    #[error("it is not for this client")]
    Audience,
    /// In answer to something else.
    #[error("it does not answer this sign-in")]
    Nonce,
    /// Its time is over.
    #[error("it has expired")]
    Expired,
    /// Its time has not come: one of the clocks is wrong.
    #[error("its `{0}` lies in the future")]
    Future(&'static str),
    /// A subject that cannot be one.
    #[error("its `sub` is empty, too long, or not printable ASCII")]
    Subject,
    /// It does not say when the subject authenticated, although it was asked to.
    #[error("it has no `auth_time`, which was asked for")]
    NoAuthTime,
    /// The subject authenticated too long ago.
    #[error("the subject authenticated too long ago")]
    Stale,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

#[derive(Deserialize)]
struct Raw {
    iss: String,
    sub: String,
    aud: Audience,
    azp: Option<String>,
    nonce: Option<String>,
    exp: f64,
    iat: f64,
    nbf: Option<f64>,
    auth_time: Option<f64>,
    acr: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Audience {
    One(String),
    Many(Vec<String>),
}

/// Believes a token, or says why not.
///
/// # Errors
/// See [`IdTokenError`].
pub fn verify(token: &str, keys: &KeySet, expected: &Expected<'_>) -> Result<Claims, IdTokenError> {
    let all = signed_claims(token, keys, expected.algorithms)?;
    // Not in the words of the one who reads it: those repeat what stands there, and people's names do not belong into a log.
    let raw: Raw = serde_json::from_value(Value::Object(all.clone()))
        .map_err(|_| form("a claim is missing, or is not of its type"))?;
    if raw.iss != expected.issuer {
        return Err(IdTokenError::Issuer);
    }
    if !is_for(&raw, expected.client_id) {
        return Err(IdTokenError::Audience);
    }
    if raw.nonce.as_deref() != Some(expected.nonce) {
        return Err(IdTokenError::Nonce);
    }
    let latest = expected.now.plus(SKEW);
    if time(raw.exp).plus(SKEW) <= expected.now {
        return Err(IdTokenError::Expired);
    }
    for (name, instant) in [("iat", Some(raw.iat)), ("nbf", raw.nbf), ("auth_time", raw.auth_time)] {
        if instant.is_some_and(|instant| time(instant) > latest) {
            return Err(IdTokenError::Future(name));
        }
    }
    let printable = raw.sub.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    if raw.sub.trim().is_empty()
        || raw.sub.trim() != raw.sub
        || raw.sub.len() > SUBJECT_BYTES_MOST
        || !printable
    {
        return Err(IdTokenError::Subject);
    }
    let authenticated = time(raw.auth_time.ok_or(IdTokenError::NoAuthTime)?);
    if authenticated.plus(SKEW) < expected.authenticated_since {
        return Err(IdTokenError::Stale);
    }
    Ok(Claims { subject: raw.sub, authenticated: authenticated.min(expected.now), acr: raw.acr, all })
}

pub(crate) fn form(what: &'static str) -> IdTokenError {
    IdTokenError::Form(what)
}

/// What a token says, once its signature is verified.
pub(crate) fn signed_claims(
    token: &str,
    keys: &KeySet,
    algorithms: &[Algorithm],
) -> Result<Map<String, Value>, IdTokenError> {
    let head = token.split('.').next().unwrap_or_default();
    let head = BASE64_URL_SAFE_NO_PAD.decode(head).map_err(|_| form("its head is not base64url"))?;
    let head: Header = serde_json::from_slice(&head).map_err(|_| form("its head is not that of a JWS"))?;
    // What must be understood and is not (RFC 7515 section 4.1.11).
    if head.crit.is_some() {
        return Err(form("it demands an extension"));
    }
    let algorithm = taken(&head.alg).filter(|algorithm| algorithms.contains(algorithm));
    let algorithm = algorithm.ok_or(IdTokenError::Algorithm(head.alg))?;
    let key = keys.find(head.kid.as_deref(), algorithm).ok_or(IdTokenError::UnknownKey)?;
    let mut validation = Validation::new(algorithm);
    // The claims are looked at above, against the `now` that is handed in.
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let decoded = decode::<Map<String, Value>>(token, &key, &validation);
    decoded.map(|data| data.claims).map_err(|error| match error.kind() {
        ErrorKind::InvalidSignature => IdTokenError::Signature,
        _ => form("its claims cannot be read"),
    })
}

impl Audience {
    /// Whether this client is among them.
    pub(crate) fn names(&self, client_id: &str) -> bool {
        match self {
            Audience::One(one) => one == client_id,
            Audience::Many(many) => many.iter().any(|one| one == client_id),
        }
    }
}

/// Whether the token is for this client, and for others only if it says that it was this one that asked.
fn is_for(raw: &Raw, client_id: &str) -> bool {
    let alone = match &raw.aud {
        Audience::One(_) => true,
        Audience::Many(many) => many.len() == 1,
    };
    raw.aud.names(client_id) && raw.azp.as_deref().map_or(alone, |party| party == client_id)
}

/// A `NumericDate` (RFC 7519 section 2), which may have a fraction. Saturates: nothing before 1970, nothing after 2109.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast from a float saturates")]
pub(crate) fn time(seconds: f64) -> Time {
    Time::from_millis((seconds * 1_000.0) as u64)
}

#[cfg(test)]
pub(crate) mod tests;
