//! Whoever signs people in, as the gateway sees it: two questions, asked with `now` handed in.
//!
//! The gateway knows of cookies, pages and sessions and nothing of protocols; the other side knows of a protocol and nothing of those. So
//! either can be changed, and tested, without the other.

use nightlatch_core::{ProviderSession, Subject, Time};
use nightlatch_engine::ProviderLogout;
use std::{fmt, future::Future, pin::Pin};

/// An answer that may have to be waited for.
pub type Pending<'a, T, E = SignInFailure> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

/// Signs people in, at one of several providers.
pub trait SignIn: fmt::Debug + Send + Sync {
    /// The providers that there are to choose from.
    fn providers(&self) -> &[Provider];

    /// Begins at the provider of this name. The answer will come to `redirect_uri`.
    fn begin<'a>(
        &'a self,
        provider: &'a str,
        redirect_uri: &'a str,
        return_to: &'a str,
        asked: Asked,
        now: Time,
    ) -> Pending<'a, Begun>;

    /// Ends it, with the query that the provider answered with, the address where that arrived, and what the browser kept, if it kept
    /// anything.
    fn finish<'a>(
        &'a self,
        query: &'a str,
        arrived_at: &'a str,
        kept: Option<&'a str>,
        now: &'a (dyn Fn() -> Time + Sync),
    ) -> Pending<'a, Finished>;

    /// What a provider says in the form that it posts when somebody signed out there.
    fn signed_out<'a>(
        &'a self,
        form: &'a str,
        now: &'a (dyn Fn() -> Time + Sync),
    ) -> Pending<'a, ProviderLogout, LogoutFailure>;
}

/// A provider that people can choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// In addresses.
    pub name: String,
    /// On the page.
    pub display: String,
}

/// What the authentication has to be, beyond what every sign-in asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Made for this sign-in, however young an older one may be.
    pub fresh: bool,
    /// Of this `acr`, in the provider's words.
    pub acr: Option<String>,
}

/// A sign-in that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// The absolute address that the browser goes to.
    pub location: String,
    /// What the answer will say as `state`: base64url characters.
    pub state: String,
    /// What the browser keeps until then: base64url characters and dots.
    pub kept: String,
    /// For how long.
    pub kept_for_secs: u64,
}

/// A sign-in that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finished {
    /// Somebody is there.
    Identified(Identified),
    /// The browser has to go once more.
    Again(Begun),
}

/// Somebody who has signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identified {
    /// Who.
    pub subject: Subject,
    /// In which groups.
    pub groups: Vec<String>,
    /// When; not after now.
    pub authenticated: Time,
    /// How, in the provider's words.
    pub acr: Option<String>,
    /// Their session at the provider, if it names one.
    pub provider_session: Option<ProviderSession>,
    /// The place that was handed in at the beginning, unchanged.
    pub return_to: String,
}

/// Why a provider's word that somebody signed out is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogoutFailure {
    /// It is not believed.
    NotBelieved,
    /// The provider's keys are not to be had, so that nobody can say.
    Unreachable,
}

/// Why nobody signed in, as far as a person is told. The rest is for the log of whoever signs people in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInFailure {
    /// There is no provider of that name.
    NoSuchProvider,
    /// The provider does not answer, or answers what is of no use.
    Unreachable,
    /// The answer belongs to no sign-in of this browser.
    NotThisBrowser,
    /// It took too long.
    Over,
    /// It was finished before.
    Used,
    /// More people are signing in than can be served.
    Busy,
    /// The provider let nobody in.
    Declined,
    /// What the provider said is not believed.
    NotBelieved,
    /// The authentication is too old, and asking again did not help.
    Stale,
    /// The authentication is not of the kind that was asked for, and asking again did not help.
    OtherAcr,
    /// The groups are not known.
    NoGroups,
    /// A fault of this machine.
    Internal,
}
