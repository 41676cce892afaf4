//! What is posted to a provider in our name: a form with what we are known by (RFC 6749 section 2.3.1), and the answer of the kind that it
//! gives to one.

use crate::{
    outbound::OutboundError,
    provider::{ClientAuthentication, ProviderSettings},
    url::{encode, form},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{Request, header};
use serde::{Deserialize, de::DeserializeOwned};

/// Why a provider did not do what it was asked for in our name.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// The provider gave no answer.
    #[error("the provider {0}")]
    Outbound(#[from] OutboundError),
    /// It does not take what was sent, or does not know us.
    #[error("the provider refuses with status {status}: `{error}`")]
    Refused {
        /// Its status.
        status: u16,
        /// Its word for it (RFC 6749 section 5.2), if it had one.
        error: String,
    },
    /// What it had to answer is not in its answer.
    #[error("the provider's answer is not the JSON that it has to be")]
    Form,
}

#[derive(Deserialize)]
struct Failure {
    error: String,
}

/// Posts a form in our name, and reads the JSON of the answer.
pub(crate) async fn post<T: DeserializeOwned>(
    settings: &ProviderSettings,
    endpoint: &str,
    fields: &[(&str, &str)],
) -> Result<T, PostError> {
    let answer = settings.ask(request(settings, endpoint, fields)?).await?;
    if !answer.status.is_success() {
        let error = serde_json::from_slice::<Failure>(&answer.body).map(|failure| failure.error);
        let word = error.unwrap_or_default().chars().filter(char::is_ascii_graphic).take(64).collect();
        return Err(PostError::Refused { status: answer.status.as_u16(), error: word });
    }
    serde_json::from_slice(&answer.body).map_err(|_| PostError::Form)
}

fn request(
    settings: &ProviderSettings,
    endpoint: &str,
    fields: &[(&str, &str)],
) -> Result<Request<Bytes>, OutboundError> {
    let (id, secret) = (settings.client_id.as_str(), settings.client_secret.reveal());
    let mut fields = fields.to_vec();
    let mut request =
        Request::post(endpoint).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    match settings.client_authentication {
        // Both halves are encoded before they are put together.
        ClientAuthentication::Basic => {
            let pair = BASE64_STANDARD.encode(format!("{}:{}", encode(id), encode(secret)));
            request = request.header(header::AUTHORIZATION, format!("Basic {pair}"));
        }
        ClientAuthentication::Post => {
            // A request that is handed over names the client already; a field that stands there twice is refused.
            fields.retain(|(name, _)| *name != "client_id");
            fields.extend([("client_id", id), ("client_secret", secret)]);
        }
    }
    let body = form(&fields);
    let request = request.header(header::CONTENT_LENGTH, body.len());
    request.body(Bytes::from(body)).map_err(|_| OutboundError::Url)
}
