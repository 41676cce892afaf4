//! Sign-in at providers: what the configuration says as the relying party takes it, and what the relying party says as the gateway takes it.
//!
//! Why nobody signed in is told twice, in different words: to the person as a kind, on a page, and here in full, in the log, for whoever
//! runs this. What a forger could bring about at will is a line at `debug` only.

use crate::{
    config::{
        Config,
        api_key::SecretSource,
        oidc::{self, Oidc},
        secrets,
    },
    tls::{self, AuthoritiesError},
};
use nightlatch_core::{Span, Time};
use nightlatch_engine::{ProviderLogout, TokenName};
use nightlatch_http::{
    Asked, Begun, Finished, Identified, LogoutFailure, Pending, Provider, SignIn, SignInFailure,
};
use nightlatch_identity::{
    self as identity, ClientAuthentication, ClientSecret, FlowError, IdTokenError, LogoutError, Names,
    NoRandomness, PostError, ProviderSettings, RelyingParty, SignInError,
};
use std::{path::PathBuf, sync::Arc};

/// Why a provider cannot be used as it is configured. None of these contains any part of a secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProviderError {
    /// The file with the secret cannot be read.
    #[error("the secret of provider `{name}` cannot be read from `{}`: {why}", path.display())]
    Unreadable {
        /// The provider.
        name: String,
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// The environment variable is not set.
    #[error(
        "the secret of provider `{name}` is to come from the environment variable `{variable}`, which is not set"
    )]
    NotSet {
        /// The provider.
        name: String,
        /// The variable.
        variable: String,
    },
    /// What is there is no secret.
    #[error("the secret of provider `{0}` is empty, or has newlines or control characters in it")]
    Malformed(String),
    /// Nobody can vouch for it.
    #[error("provider `{name}`: {source}")]
    Authorities {
        /// The provider.
        name: String,
        /// What is wrong.
        source: AuthoritiesError,
    },
}

/// The configured providers with their secrets, or everything that is wrong with them.
pub(crate) fn providers(config: &Config) -> Result<Vec<ProviderSettings>, Vec<ProviderError>> {
    let mut settings = Vec::new();
    let mut wrong = Vec::new();
    for provider in &config.identity.oidc {
        match one(provider) {
            Ok(provider) => settings.push(provider),
            Err(error) => wrong.push(error),
        }
    }
    if wrong.is_empty() { Ok(settings) } else { Err(wrong) }
}

fn one(provider: &Oidc) -> Result<ProviderSettings, ProviderError> {
    let name = || provider.name.clone();
    let text =
        match &provider.secret {
            SecretSource::File(path) => secrets::read_file(path).map_err(|error| {
                ProviderError::Unreadable { name: name(), path: path.clone(), why: error.to_string() }
            })?,
            SecretSource::Env(variable) => std::env::var(variable)
                .map_err(|_| ProviderError::NotSet { name: name(), variable: variable.clone() })?,
        };
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() || secret.contains(char::is_control) {
        return Err(ProviderError::Malformed(name()));
    }
    let tls = tls::client(provider.ca_file.as_deref())
        .map_err(|source| ProviderError::Authorities { name: name(), source })?;
    Ok(ProviderSettings {
        name: name(),
        display: provider.display.clone(),
        issuer: provider.issuer.clone(),
        client_id: provider.client_id.clone(),
        client_secret: ClientSecret::new(secret.to_owned()),
        client_authentication: match provider.authentication {
            oidc::ClientAuthentication::ClientSecretBasic => ClientAuthentication::Basic,
            oidc::ClientAuthentication::ClientSecretPost => ClientAuthentication::Post,
        },
        scopes: provider.scopes.clone(),
        groups_claim: provider.groups_claim.clone(),
        session_max_age: provider.provider_session_max_age.map(|age| Span::from_millis(age.0)),
        tls: Arc::new(tls),
    })
}

/// The relying party, as the gateway asks it.
#[derive(Debug)]
pub(crate) struct AtProviders {
    party: RelyingParty,
    choices: Vec<Provider>,
}

impl AtProviders {
    /// With these providers.
    pub(crate) fn new(settings: Vec<ProviderSettings>, names: Names) -> Result<AtProviders, NoRandomness> {
        let choice =
            |one: &ProviderSettings| Provider { name: one.name.clone(), display: one.display.clone() };
        let choices = settings.iter().map(choice).collect();
        Ok(AtProviders { party: RelyingParty::new(settings, names)?, choices })
    }
}

impl SignIn for AtProviders {
    fn providers(&self) -> &[Provider] {
        &self.choices
    }

    fn begin<'a>(
        &'a self,
        provider: &'a str,
        redirect_uri: &'a str,
        return_to: &'a str,
        asked: Asked,
        now: Time,
    ) -> Pending<'a, Begun> {
        Box::pin(async move {
            let asked = identity::Asked { fresh: asked.fresh, acr: asked.acr };
            let begun = self.party.begin(provider, redirect_uri, return_to, asked, now).await;
            begun.map(under_way).map_err(|error| failed(&error))
        })
    }

    fn finish<'a>(
        &'a self,
        query: &'a str,
        arrived_at: &'a str,
        kept: Option<&'a str>,
        now: &'a (dyn Fn() -> Time + Sync),
    ) -> Pending<'a, Finished> {
        Box::pin(async move {
            let finished =
                self.party.finish(query, arrived_at, kept, now).await.map_err(|error| failed(&error))?;
            Ok(match finished {
                identity::Finished::Identified(who) => Finished::Identified(Identified {
                    subject: who.subject,
                    groups: who.groups,
                    authenticated: who.authenticated,
                    acr: who.acr,
                    provider_session: who.provider_session,
                    return_to: who.return_to,
                }),
                identity::Finished::Again(begun) => Finished::Again(under_way(begun)),
            })
        })
    }

    fn signed_out<'a>(
        &'a self,
        form: &'a str,
        now: &'a (dyn Fn() -> Time + Sync),
    ) -> Pending<'a, ProviderLogout, LogoutFailure> {
        Box::pin(async move {
            let said = self.party.signed_out(form, now).await.map_err(|error| {
                // Anybody can bring either about.
                tracing::debug!(%error, "nobody was signed out by a provider");
                match error {
                    LogoutError::Unreachable(_) => LogoutFailure::Unreachable,
                    LogoutError::NoToken | LogoutError::NotBelieved(_) => LogoutFailure::NotBelieved,
                }
            })?;
            Ok(ProviderLogout {
                provider: said.issuer,
                subject: said.subject,
                provider_session: said.provider_session,
                token: TokenName(said.token),
                good_until: said.good_until,
            })
        })
    }
}

fn under_way(begun: identity::Begun) -> Begun {
    Begun {
        location: begun.location,
        state: begun.state,
        kept: begun.kept,
        kept_for_secs: identity::Begun::kept_for_secs(),
    }
}

/// What the person is told, and a line for whoever runs this.
fn failed(error: &SignInError) -> SignInFailure {
    let failure = kind(error);
    match failure {
        // Anybody can bring these about without a provider.
        SignInFailure::NoSuchProvider
        | SignInFailure::NotThisBrowser
        | SignInFailure::Over
        | SignInFailure::Used
        | SignInFailure::Declined => tracing::debug!(%error, "nobody signed in"),
        _ => tracing::warn!(%error, "nobody could sign in"),
    }
    failure
}

fn kind(error: &SignInError) -> SignInFailure {
    match error {
        SignInError::NoSuchProvider => SignInFailure::NoSuchProvider,
        SignInError::Unreachable(_) | SignInError::Push(_) | SignInError::Redeem(PostError::Outbound(_)) => {
            SignInFailure::Unreachable
        }
        SignInError::Malformed | SignInError::Flow(FlowError::Unknown) => SignInFailure::NotThisBrowser,
        SignInError::Flow(FlowError::Over) => SignInFailure::Over,
        SignInError::Flow(FlowError::Used) => SignInFailure::Used,
        SignInError::Flow(FlowError::Full) => SignInFailure::Busy,
        SignInError::Declined(_) => SignInFailure::Declined,
        SignInError::NotBelieved(IdTokenError::Stale) | SignInError::Stale => SignInFailure::Stale,
        SignInError::OtherAcr => SignInFailure::OtherAcr,
        SignInError::NoGroups(_) => SignInFailure::NoGroups,
        SignInError::MixedUp | SignInError::NotBelieved(_) | SignInError::Redeem(_) => {
            SignInFailure::NotBelieved
        }
        SignInError::Random(_) => SignInFailure::Internal,
    }
}
