//! What a sign-in asks for goes to the provider straight, and the browser carries a reference (RFC 9126). Then nobody on the browser's side
//! can read or change it.

use crate::{
    client::{PostError, post},
    provider::ProviderSettings,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Pushed {
    request_uri: String,
}

/// Hands these fields over; what comes back stands for them. A provider that has this and refuses is not asked in the open instead.
pub(crate) async fn push(
    settings: &ProviderSettings,
    endpoint: &str,
    fields: &[(&str, &str)],
) -> Result<String, PostError> {
    let pushed: Pushed = post(settings, endpoint, fields).await?;
    Ok(pushed.request_uri)
}
