//! The relying party: how a sign-in begins and how it ends, at each of several providers.

use crate::{
    callback::{Callback, Outcome},
    client::PostError,
    flow::{FLOW_LIFE, Flow, FlowError, Flows, challenge, state_of},
    id_token::{self, Claims, Expected, IdTokenError},
    known::{Known, Memory, UnreachableError},
    logout_token::{self, LogoutTokenError},
    names::Names,
    provider::ProviderSettings,
    push::push,
    redeem::{self, Code},
    url::{field, with_query},
};
use nightlatch_core::{ProviderSession, Subject, Time};
use serde_json::Value;
use std::{fmt, sync::Arc};
use tokio::sync::Semaphore;

/// Codes that are redeemed at a time; whoever comes beyond it is asked to try again.
const REDEEMED_AT_ONCE: usize = 256;
/// How often a provider is asked again after it answered with an authentication that was too old.
const STALE_MOST: u8 = 1;

/// A client of one or several providers.
pub struct RelyingParty {
    providers: Vec<(ProviderSettings, Memory)>,
    flows: Flows,
    redeeming: Semaphore,
    names: Names,
}

/// The operating system gave no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct NoRandomness;

/// A sign-in that has begun: where the browser goes, and what it keeps meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// The provider's address.
    pub location: String,
    /// The flow's name, of base64url characters: comes back as `state`, and names the cookie.
    pub state: String,
    /// What the cookie holds.
    pub kept: String,
}

/// What an authentication has to be, beyond what the configuration asks of every one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Made for this sign-in, whatever `session_max_age` allows.
    pub fresh: bool,
    /// Of this `acr`, in the provider's words.
    pub acr: Option<String>,
}

/// Somebody whom a provider vouches for.
#[derive(Clone, Debug, PartialEq)]
pub struct Identified {
    /// The issuer and its name for them.
    pub subject: Subject,
    /// As the provider lists them.
    pub groups: Vec<String>,
    /// When they authenticated.
    pub authenticated: Time,
    /// How, in the provider's words.
    pub acr: Option<String>,
    /// Their session at the provider, if it names one.
    pub provider_session: Option<ProviderSession>,
    /// Where they want to go; to be judged by whoever follows it.
    pub return_to: String,
}

/// How a sign-in ended.
#[derive(Debug)]
pub enum Finished {
    /// Somebody is there.
    Identified(Identified),
    /// The authentication was too old or of another `acr`, and the provider is asked once more.
    Again(Begun),
}

/// What a provider says in a logout token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedOut {
    /// Which provider.
    pub issuer: String,
    /// Its name for whoever signed out, if it says so.
    pub subject: Option<String>,
    /// Out of which session there, if it says so. One of the two it does say.
    pub provider_session: Option<ProviderSession>,
    /// The token's name.
    pub token: [u8; 16],
    /// Until when it could be used again.
    pub good_until: Time,
}

/// Why a logout token is not believed.
#[derive(Debug, thiserror::Error)]
pub enum LogoutError {
    /// There is none, or more than one.
    #[error("there is not exactly one `logout_token` in the form")]
    NoToken,
    /// It is not good.
    #[error("the logout token is not believed: {0}")]
    NotBelieved(#[from] LogoutTokenError),
    /// The provider's keys are not to be had, so that nobody can say.
    #[error(transparent)]
    Unreachable(#[from] UnreachableError),
}

/// Why nobody signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// No provider of that name.
    #[error("there is no provider of that name")]
    NoSuchProvider,
    /// The provider cannot be asked.
    #[error(transparent)]
    Unreachable(#[from] UnreachableError),
    /// The answer is none, or says two things.
    #[error("the answer through the browser cannot be read")]
    Malformed,
    /// The answer belongs to no flow of this browser.
    #[error(transparent)]
    Flow(#[from] FlowError),
    /// The answer names another provider than was asked.
    #[error("the answer is of another provider than the one that was asked")]
    MixedUp,
    /// The provider let nobody in.
    #[error("the provider answered `{0}`")]
    Declined(String),
    /// Its word is not believed.
    #[error("the ID token is not believed: {0}")]
    NotBelieved(IdTokenError),
    /// It vouches for an authentication that is too old, and did so before.
    #[error("the provider let the subject in without a new authentication")]
    Stale,
    /// It vouches for an authentication of another `acr` than was asked for, and did so before.
    #[error("the provider let the subject in without the `acr` that was asked for")]
    OtherAcr,
    /// The groups are not there, or not all of them: less would be known than the firm's limits need.
    #[error("the ID token does not list all groups in the claim `{0}`")]
    NoGroups(String),
    /// The code was not taken.
    #[error("there is no ID token for the code: {0}")]
    Redeem(PostError),
    /// The request was not taken before the browser went.
    #[error("the request could not be handed over: {0}")]
    Push(PostError),
    /// Nothing random, nothing secret.
    #[error(transparent)]
    Random(#[from] NoRandomness),
}

impl fmt::Debug for RelyingParty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.providers().map(|settings| &settings.issuer)).finish()
    }
}

impl RelyingParty {
    /// A client of these providers. Asks none of them yet: a gateway starts whether or not they are there.
    ///
    /// # Errors
    /// If there is nothing random to be had.
    pub fn new(providers: Vec<ProviderSettings>, names: Names) -> Result<RelyingParty, NoRandomness> {
        Ok(RelyingParty {
            providers: providers.into_iter().map(|settings| (settings, Memory::default())).collect(),
            flows: Flows::new().map_err(|_| NoRandomness)?,
            redeeming: Semaphore::new(REDEEMED_AT_ONCE),
            names,
        })
    }

    /// The providers, in the order of the configuration.
    pub fn providers(&self) -> impl Iterator<Item = &ProviderSettings> {
        self.providers.iter().map(|(settings, _)| settings)
    }

    /// Begins a sign-in at the provider of this name.
    ///
    /// # Errors
    /// If there is no such provider, or nothing can be learned of it.
    pub async fn begin(
        &self,
        provider: &str,
        redirect_uri: &str,
        return_to: &str,
        asked: Asked,
        now: Time,
    ) -> Result<Begun, SignInError> {
        let (settings, memory) = self.provider(provider)?;
        let known = memory.get(settings, now).await?;
        let flow = Flow {
            id: Flows::name().map_err(|_| NoRandomness)?,
            provider: settings.name.clone(),
            started: now.as_millis(),
            return_to: return_to.to_owned(),
            redirect_uri: redirect_uri.to_owned(),
            fresh: asked.fresh,
            acr: asked.acr,
            stale_before: 0,
        };
        self.ask(settings, &known, &flow).await
    }

    /// Ends a sign-in with what the provider answered in `query`, at the address `arrived_at`; `kept` is what the browser kept of the flow
    /// that the answer names. `now` is asked for anew whenever something was waited for.
    ///
    /// A provider answers only where it knows us. So where each has an address of its own, an answer that one of them was made to give in
    /// another's flow arrives at the wrong one (RFC 9700 section 4.4.2.2), whether or not it says whose it is.
    ///
    /// # Errors
    /// See [`SignInError`]: whatever it is, nobody is signed in.
    pub async fn finish(
        &self,
        query: &str,
        arrived_at: &str,
        kept: Option<&str>,
        now: impl Fn() -> Time,
    ) -> Result<Finished, SignInError> {
        let callback = Callback::read(query).map_err(|_| SignInError::Malformed)?;
        let flow = self.flows.open(kept.ok_or(FlowError::Unknown)?, &callback.state, now())?;
        let (settings, memory) = self.provider(&flow.provider)?;
        if flow.redirect_uri != arrived_at {
            return Err(SignInError::MixedUp);
        }
        let known = memory.get(settings, now()).await?;
        if !callback.is_of(&settings.issuer, known.metadata.names_itself) {
            return Err(SignInError::MixedUp);
        }
        let code = match &callback.outcome {
            Outcome::Code(code) => code,
            Outcome::Error(word) => return Err(SignInError::Declined(word.clone())),
        };
        let Ok(_turn) = self.redeeming.try_acquire() else { return Err(FlowError::Full.into()) };
        let verifier = self.flows.verifier(&flow.id);
        let code = Code { code, verifier: &verifier, redirect_uri: &flow.redirect_uri };
        let turn = self.flows.take_up(&flow, now())?;
        let token = redeem::redeem(settings, &known.metadata.token_endpoint, &code).await;
        let token = token.map_err(SignInError::Redeem)?;
        turn.taken(now());
        let believed = self.believe(settings, memory, &known, &flow, &token, &now).await;
        let short = match &believed {
            Ok(claims) if flow.acr.is_some() && claims.acr != flow.acr => Some(SignInError::OtherAcr),
            Err(SignInError::NotBelieved(IdTokenError::Stale)) => Some(SignInError::Stale),
            Ok(_) | Err(_) => None,
        };
        match short {
            None => Ok(Finished::Identified(self.identified(settings, flow, believed?)?)),
            Some(_) if flow.stale_before < STALE_MOST => {
                let again = Flow {
                    id: Flows::name().map_err(|_| NoRandomness)?,
                    started: now().as_millis(),
                    stale_before: flow.stale_before + 1,
                    ..flow
                };
                self.ask(settings, &known, &again).await.map(Finished::Again)
            }
            Some(error) => Err(error),
        }
    }

    async fn believe(
        &self,
        settings: &ProviderSettings,
        memory: &Memory,
        known: &Arc<Known>,
        flow: &Flow,
        token: &str,
        now: &impl Fn() -> Time,
    ) -> Result<Claims, SignInError> {
        let nonce = self.flows.nonce(&flow.id);
        let started = Time::from_millis(flow.started);
        let verify = |known: &Known| {
            let now = now();
            let expected = Expected {
                issuer: &settings.issuer,
                client_id: &settings.client_id,
                nonce: &nonce,
                algorithms: &known.metadata.algorithms,
                authenticated_since: settings
                    .session_max_age
                    .filter(|_| !flow.fresh)
                    .map_or(started, |age| now.minus(age).min(started)),
                now,
            };
            id_token::verify(token, &known.keys, &expected)
        };
        match verify(known) {
            // Perhaps it has a new one since.
            Err(IdTokenError::UnknownKey) => {
                let renewed = memory.renewed(settings, known, now()).await?;
                verify(&renewed).map_err(SignInError::NotBelieved)
            }
            verified => verified.map_err(SignInError::NotBelieved),
        }
    }

    /// Whether what a provider sent as a logout token says that somebody signed out there. Whether it was used before is not known here.
    ///
    /// # Errors
    /// See [`LogoutError`]: whatever it is, nobody is signed out.
    pub async fn signed_out(&self, form: &str, now: impl Fn() -> Time) -> Result<SignedOut, LogoutError> {
        let token = field(form, "logout_token").ok().flatten().ok_or(LogoutError::NoToken)?;
        let issuer = logout_token::issuer(&token)?;
        let named = self.providers.iter().find(|(settings, _)| settings.issuer == issuer);
        let (settings, memory) = named.ok_or(LogoutTokenError::Jwt(IdTokenError::Issuer))?;
        let verify = |known: &Known| {
            let expected = logout_token::Expected {
                issuer: &settings.issuer,
                client_id: &settings.client_id,
                algorithms: &known.metadata.algorithms,
                now: now(),
            };
            logout_token::verify(&token, &known.keys, &expected)
        };
        let known = memory.get(settings, now()).await?;
        let claims = match verify(&known) {
            // Perhaps it has a new one since.
            Err(LogoutTokenError::Jwt(IdTokenError::UnknownKey)) => {
                let renewed = memory.renewed(settings, &known, now()).await?;
                verify(&renewed)?
            }
            verified => verified?,
        };
        Ok(SignedOut {
            subject: claims.sub,
            provider_session: claims.sid.map(|sid| self.names.session(&issuer, &sid)),
            token: self.names.token(&issuer, &claims.jti),
            good_until: claims.good_until,
            issuer,
        })
    }

    fn identified(
        &self,
        settings: &ProviderSettings,
        flow: Flow,
        claims: Claims,
    ) -> Result<Identified, SignInError> {
        let groups = settings.groups_claim.as_deref().map(|claim| groups(&claims, claim)).transpose()?;
        let sid = claims.all.get("sid").and_then(Value::as_str);
        Ok(Identified {
            provider_session: sid.map(|sid| self.names.session(&settings.issuer, sid)),
            subject: Subject { provider: settings.issuer.clone(), name: claims.subject },
            groups: groups.unwrap_or_default(),
            authenticated: claims.authenticated,
            acr: claims.acr,
            return_to: flow.return_to,
        })
    }

    /// Where the browser goes to authenticate, and what it keeps.
    async fn ask(
        &self,
        settings: &ProviderSettings,
        known: &Known,
        flow: &Flow,
    ) -> Result<Begun, SignInError> {
        let state = state_of(&flow.id);
        let (nonce, challenge) = (self.flows.nonce(&flow.id), challenge(&self.flows.verifier(&flow.id)));
        let scope = settings.scopes.join(" ");
        // `max_age` makes the provider say when (OpenID Connect Core section 3.1.2.1); what it says is checked.
        let age = settings.session_max_age.filter(|_| flow.stale_before == 0 && !flow.fresh);
        let max_age = age.map_or(0, |age| age.as_millis() / 1_000).to_string();
        let mut fields = vec![
            ("response_type", "code"),
            ("client_id", settings.client_id.as_str()),
            ("redirect_uri", flow.redirect_uri.as_str()),
            ("scope", scope.as_str()),
            ("state", state.as_str()),
            ("nonce", nonce.as_str()),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
            ("max_age", max_age.as_str()),
        ];
        if let Some(acr) = &flow.acr {
            fields.push(("acr_values", acr));
        }
        if age.is_none() {
            fields.push(("prompt", "login"));
        }
        let pushed = match &known.metadata.pushed_endpoint {
            Some(endpoint) => Some(push(settings, endpoint, &fields).await.map_err(SignInError::Push)?),
            None => None,
        };
        if let Some(reference) = &pushed {
            fields = vec![("client_id", settings.client_id.as_str()), ("request_uri", reference)];
        }
        let location = with_query(&known.metadata.authorization_endpoint, &fields);
        Ok(Begun { location, kept: self.flows.seal(flow), state })
    }

    fn provider(&self, name: &str) -> Result<(&ProviderSettings, &Memory), SignInError> {
        let found = self.providers.iter().find(|(settings, _)| settings.name == name);
        found.map(|(settings, memory)| (settings, memory)).ok_or(SignInError::NoSuchProvider)
    }
}

/// The groups, all of them or none at all: a claim that is missing or points elsewhere (as Entra ID's does above 200) must not pass for
/// somebody in no group, whose limits may be looser. Nor is a list believed to be whole beside a word that there are more.
fn groups(claims: &Claims, claim: &str) -> Result<Vec<String>, SignInError> {
    let missing = || SignInError::NoGroups(claim.to_owned());
    // OpenID Connect Core section 5.6.2, and Entra ID's short form for tokens that have no room for it.
    let elsewhere = claims.all.get("_claim_names").is_some_and(|names| names.get(claim).is_some());
    if elsewhere || claims.all.get("hasgroups").is_some_and(|more| *more != Value::Bool(false)) {
        return Err(missing());
    }
    let listed = claims.all.get(claim).and_then(Value::as_array).ok_or_else(missing)?;
    let plain = |group: &&str| !group.is_empty() && !group.contains(|c: char| c.is_control() || c == ',');
    listed.iter().map(|group| group.as_str().filter(plain).map(str::to_owned).ok_or_else(missing)).collect()
}

impl Begun {
    /// How long a browser has to keep what it is given to keep, in seconds.
    #[must_use]
    pub const fn kept_for_secs() -> u64 {
        FLOW_LIFE.as_millis() / 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn groups_are_all_there_or_nobody_signs_in() {
        let with = |all: Value| Claims {
            subject: "ada".to_owned(),
            authenticated: Time::ZERO,
            acr: None,
            all: all.as_object().cloned().unwrap_or_default(),
        };
        for (all, expected) in [
            (json!({"groups": ["traders", "desk 4"]}), Some(vec!["traders", "desk 4"])),
            (json!({"groups": []}), Some(vec![])),
            (json!({}), None),
            (json!({"_claim_names": {"groups": "src1"}, "_claim_sources": {}}), None),
            (json!({"_claim_names": {"groups": "src1"}, "groups": ["traders"]}), None),
            (json!({"_claim_names": {"address": "src1"}, "groups": ["traders"]}), Some(vec!["traders"])),
            (json!({"hasgroups": true}), None),
            (json!({"hasgroups": "true", "groups": []}), None),
            (json!({"hasgroups": false, "groups": ["traders"]}), Some(vec!["traders"])),
            (json!({"groups": "traders"}), None),
            (json!({"groups": ["traders", 7]}), None),
            (json!({"groups": ["traders,admins"]}), None),
            (json!({"groups": ["a\r\nb"]}), None),
            (json!({"groups": null}), None),
        ] {
            let said = groups(&with(all.clone()), "groups").ok();
            assert_eq!(said, expected.map(|list| list.into_iter().map(str::to_owned).collect()), "{all}");
        }
    }
}
