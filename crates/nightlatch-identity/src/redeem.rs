//! A code becomes an ID token (RFC 6749 section 4.1.3, RFC 7636 section 4.5).

use crate::{
    outbound::OutboundError,
    provider::{ClientAuthentication, ProviderSettings},
    url::{encode, form},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{Request, header};
use serde::Deserialize;

/// Why there is no token for a code.
#[derive(Debug, thiserror::Error)]
pub enum RedeemError {
    /// The provider gave no answer.
    #[error("the provider {0}")]
    Outbound(#[from] OutboundError),
    /// It does not take the code, or does not know us.
    #[error("the provider refuses with status {status}: `{error}`")]
    Refused {
        /// Its status.
        status: u16,
        /// Its word for it (RFC 6749 section 5.2), if it had one.
        error: String,
    },
    /// There is no ID token in its answer.
    #[error("the provider gave no ID token")]
    NoIdToken,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

#[derive(Deserialize)]
struct Failure {
    error: String,
}

/// A code as it came, and what proves that it is ours.
pub(crate) struct Code<'a> {
    pub(crate) code: &'a str,
    pub(crate) verifier: &'a str,
    pub(crate) redirect_uri: &'a str,
}

/// Redeems it. Access and refresh tokens that come with it are not kept: nothing here uses them yet.
pub(crate) async fn redeem(
    settings: &ProviderSettings,
    endpoint: &str,
    code: &Code<'_>,
) -> Result<String, RedeemError> {
    let answer = settings.ask(request(settings, endpoint, code)?).await?;
    if !answer.status.is_success() {
        let error = serde_json::from_slice::<Failure>(&answer.body).map(|failure| failure.error);
        let word = error.unwrap_or_default().chars().filter(char::is_ascii_graphic).take(64).collect();
        return Err(RedeemError::Refused { status: answer.status.as_u16(), error: word });
    }
    let tokens: Tokens = serde_json::from_slice(&answer.body).map_err(|_| RedeemError::NoIdToken)?;
    Ok(tokens.id_token)
}

fn request(
    settings: &ProviderSettings,
    endpoint: &str,
    code: &Code<'_>,
) -> Result<Request<Bytes>, OutboundError> {
    let (id, secret) = (settings.client_id.as_str(), settings.client_secret.reveal());
    let mut fields = vec![
        ("grant_type", "authorization_code"),
        ("code", code.code),
        ("redirect_uri", code.redirect_uri),
        ("code_verifier", code.verifier),
    ];
    let mut request =
        Request::post(endpoint).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    match settings.client_authentication {
        // Both halves are encoded before they are put together (RFC 6749 section 2.3.1).
        ClientAuthentication::Basic => {
            let pair = BASE64_STANDARD.encode(format!("{}:{}", encode(id), encode(secret)));
            request = request.header(header::AUTHORIZATION, format!("Basic {pair}"));
        }
        ClientAuthentication::Post => fields.extend([("client_id", id), ("client_secret", secret)]),
    }
    let body = form(&fields);
    let request = request.header(header::CONTENT_LENGTH, body.len());
    request.body(Bytes::from(body)).map_err(|_| OutboundError::Url)
}
