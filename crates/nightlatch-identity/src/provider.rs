//! A provider as the firm's configuration describes it.

use nightlatch_core::Span;
use rustls::ClientConfig;
use std::{fmt, sync::Arc};

/// What is known of a provider before it is asked anything.
#[derive(Clone, Debug)]
pub struct ProviderSettings {
    /// Its name here: the `provider` of every subject that it vouches for. Never changes, or everybody becomes somebody else.
    pub name: String,
    /// What people read.
    pub display: String,
    /// Its issuer identifier, exactly as it writes it itself: compared, never normalised (OpenID Connect Discovery section 4.3).
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
