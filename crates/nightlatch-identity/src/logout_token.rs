//! Whether a logout token is believed (OpenID Connect Back-Channel Logout 1.0 section 2.6). Pure: keys, expectations and `now` are handed in.
//!
//! Anybody can send one, as often as they like. So everything that costs nothing is looked at first, the token's own words included, and the
//! signature last: a forger has to say all of it rightly to make us compute one. Nothing that a token says is used for anything but to refuse it until
//! its signature is verified; then the claims are those that were looked at, because they are of the same bytes.

use crate::{
    id_token::{Audience, IdTokenError, SKEW, form, signed_claims, time},
    keys::KeySet,
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use nightlatch_core::{Span, Time};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

/// The longest token. They have a handful of claims.
const TOKEN_BYTES_MOST: usize = 8 * 1024;
/// How long a token without `exp` is good (the specification recommends two minutes at most; `exp` is required since errata set 1).
const GOOD_WITHOUT_EXP: Span = Span::from_secs(120);
/// How long a token is good at most, whatever it says: for as long it has to be remembered.
const GOOD_MOST: Span = Span::from_secs(600);
/// The claim in `events` by which it is a logout token.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// What a believed token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutClaims {
    /// Who signed out; there is this, or `sid`, or both.
    pub sub: Option<String>,
    /// Out of which session.
    pub sid: Option<String>,
    /// The token's own name.
    pub jti: String,
    /// Until when it could be used again.
    pub good_until: Time,
}

/// Why a logout token is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogoutTokenError {
    /// It is not signed as it has to be, or not by the provider; or it is no JWT.
    #[error(transparent)]
    Jwt(#[from] IdTokenError),
    /// Longer than any is.
    #[error("it is longer than {TOKEN_BYTES_MOST} bytes")]
    TooLong,
    /// A JWT of another kind.
    #[error("its `typ` is that of another kind of token")]
    Type,
    /// It names nobody and no session.
    #[error("it has neither `sub` nor `sid`")]
    Nobody,
    /// Another kind of event, or none.
    #[error("its `events` have no back-channel logout")]
    Event,
    /// An ID token, perhaps.
    #[error("it has a `nonce`, which no logout token may have")]
    Nonce,
    /// It cannot be told from others.
    #[error("it has no `jti`")]
    NoName,
}

/// What a token has to say.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// By whom.
    pub issuer: &'a str,
    /// For whom.
    pub client_id: &'a str,
    /// Signed how.
    pub algorithms: &'a [Algorithm],
    /// Now.
    pub now: Time,
}

#[derive(Deserialize)]
struct Head {
    typ: Option<String>,
}

#[derive(Deserialize)]
struct Raw {
    iss: String,
    aud: Audience,
    iat: f64,
    exp: Option<f64>,
    jti: Option<String>,
    #[serde(default)]
    events: Value,
    sub: Option<String>,
    sid: Option<String>,
    nonce: Option<Value>,
}

/// Who a token says that it is of. To find the provider by, and not to be believed.
pub(crate) fn issuer(token: &str) -> Result<String, LogoutTokenError> {
    if token.len() > TOKEN_BYTES_MOST {
        return Err(LogoutTokenError::TooLong);
    }
    Ok(part::<Raw>(token, 1)?.iss)
}

/// Believes a token, or says why not.
///
/// # Errors
/// See [`LogoutTokenError`].
pub fn verify(token: &str, keys: &KeySet, expected: &Expected<'_>) -> Result<LogoutClaims, LogoutTokenError> {
    if token.len() > TOKEN_BYTES_MOST {
        return Err(LogoutTokenError::TooLong);
    }
    let claims = looked_at(token, expected)?;
    let _: Map<String, Value> = signed_claims(token, keys, expected.algorithms)?;
    Ok(claims)
}

/// Everything but the signature.
fn looked_at(token: &str, expected: &Expected<'_>) -> Result<LogoutClaims, LogoutTokenError> {
    let typ = part::<Head>(token, 0)?.typ.unwrap_or_else(|| "JWT".to_owned()).to_ascii_lowercase();
    if !matches!(typ.trim_start_matches("application/"), "jwt" | "logout+jwt") {
        return Err(LogoutTokenError::Type);
    }
    let raw: Raw = part(token, 1)?;
    if raw.iss != expected.issuer {
        return Err(IdTokenError::Issuer.into());
    }
    if !raw.aud.names(expected.client_id) {
        return Err(IdTokenError::Audience.into());
    }
    let issued = time(raw.iat);
    if issued > expected.now.plus(SKEW) {
        return Err(IdTokenError::Future("iat").into());
    }
    let exp = raw.exp.map_or(issued.plus(GOOD_WITHOUT_EXP), time);
    let good_until = exp.min(issued.plus(GOOD_MOST)).plus(SKEW);
    if good_until <= expected.now {
        return Err(IdTokenError::Expired.into());
    }
    let said = |text: Option<String>| text.filter(|text| !text.is_empty());
    let (sub, sid) = (said(raw.sub), said(raw.sid));
    if sub.is_none() && sid.is_none() {
        return Err(LogoutTokenError::Nobody);
    }
    if !raw.events.get(EVENT).is_some_and(Value::is_object) {
        return Err(LogoutTokenError::Event);
    }
    if raw.nonce.is_some() {
        return Err(LogoutTokenError::Nonce);
    }
    let jti = said(raw.jti).ok_or(LogoutTokenError::NoName)?;
    Ok(LogoutClaims { sub, sid, jti, good_until })
}

fn part<T: DeserializeOwned>(token: &str, place: usize) -> Result<T, LogoutTokenError> {
    let text = token.split('.').nth(place).unwrap_or_default();
    let json = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| form("a part of it is not base64url"))?;
    // Not in the words of the one who reads it: those repeat what stands there.
    Ok(serde_json::from_slice(&json)
        .map_err(|_| form("its head or a claim is missing, or is not of its type"))?)
}

#[cfg(test)]
mod tests;
