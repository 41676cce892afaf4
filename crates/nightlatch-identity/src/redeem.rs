//! A code becomes an ID token (RFC 6749 section 4.1.3, RFC 7636 section 4.5).

use crate::{
    client::{PostError, post},
    provider::ProviderSettings,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
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
) -> Result<String, PostError> {
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code.code),
        ("redirect_uri", code.redirect_uri),
        ("code_verifier", code.verifier),
    ];
    let tokens: Tokens = post(settings, endpoint, &fields).await?;
    Ok(tokens.id_token)
}
