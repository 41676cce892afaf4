//! A provider as the firm's configuration describes it.

use crate::outbound::{self, Answer, Bounds, OutboundError};
use bytes::Bytes;
use http::{HeaderValue, Request, header};
use nightlatch_core::Span;
use rustls::ClientConfig;
use std::{fmt, sync::Arc, time::Duration};

/// Of each answer. A person waits for up to three of them. A key set with certificate chains takes tens of kilobytes; an ID token with many
/// groups as well.
const BOUNDS: Bounds = Bounds { wait: Duration::from_secs(5), bytes_most: 512 * 1024 };

/// What is known of a provider before it is asked anything.
#[derive(Clone, Debug)]
pub struct ProviderSettings {
    /// Its name here, in addresses and logs. A subject's `provider` is the issuer.
    pub name: String,
    /// What people read.
    pub display: String,
    /// Its issuer identifier, exactly as it writes it itself: compared, never normalised (OpenID Connect Discovery section 4.3). The `provider` of
    /// every subject that it vouches for: if it changes, everybody becomes somebody else.
    pub issuer: String,
    /// What it calls us.
    pub client_id: String,
    /// By which it knows us.
    pub client_secret: ClientSecret,
    /// How the secret is shown.
    pub client_authentication: ClientAuthentication,
    /// What is asked for, `openid` included.
    pub scopes: Vec<String>,
    /// The claim of the ID token that lists groups; nobody has groups where there is none.
    pub groups_claim: Option<String>,
    /// How long ago somebody may have authenticated; not before the flow began, if not said.
    pub session_max_age: Option<Span>,
    /// Whom to believe about its certificate.
    pub tls: Arc<ClientConfig>,
}

impl ProviderSettings {
    /// Asks this provider, for JSON.
    pub(crate) async fn ask(&self, mut request: Request<Bytes>) -> Result<Answer, OutboundError> {
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        outbound::ask(Some(&self.tls), request, BOUNDS).await
    }
}

/// How a client shows its secret at the token endpoint (OpenID Connect Core section 9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuthentication {
    /// `client_secret_basic`: in a header.
    #[default]
    Basic,
    /// `client_secret_post`: in the form.
    Post,
}

/// A client's secret, which does not show itself in `Debug`.
#[derive(Clone)]
pub struct ClientSecret(String);

impl ClientSecret {
    /// This one.
    #[must_use]
    pub fn new(secret: String) -> ClientSecret {
        ClientSecret(secret)
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret(..)")
    }
}
