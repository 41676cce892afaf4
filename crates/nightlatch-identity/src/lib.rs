//! **Sign in.** A confidential OpenID Connect relying party (authorization code, PKCE, `state`, `nonce`, `iss`).
//!
//! A session that ended must not come back in silence, and the provider has a session of its own that would bring it back. So every
//! flow asks for a fresh authentication and *checks* the `auth_time` that it gets; `prompt=login` alone leaves no proof.
//!
//! | step | module |
//! | --- | --- |
//! | what a provider is, as the firm says | [`ProviderSettings`] |
//! | what it says of itself, and its keys | `metadata`, `keys`, `known` |
//! | a flow begins, bound to a browser, good once and for minutes | `flow` |
//! | what it asks for is handed over, where the provider takes it | `push`, `client` |
//! | the browser comes back with a code, the code becomes a token | `callback`, `redeem` |
//! | the token is believed, or not | [`id_token`] |
//! | the provider says that somebody signed out there | [`logout_token`], `names` |
//! | asking the provider, within bounds | [`outbound`] |
//!
//! # Where what is not there yet belongs
//!
//! - **Step-up.** A flow that begins for a live session: `flow::Flow` gets what is wanted (an age, an `acr`), `party` asks for it in the
//!   fields of its request and checks it beside `auth_time`. What comes of it is an authentication and a credential for that session, which
//!   the gateway adds where it now starts one (`own/start` there); it never moves the hard end.
//! - **Sign-out at the provider.** Another address that `metadata` reads and `party` writes, as it does the one of sign-in; the ID token
//!   to hint with has to be kept then, where `redeem` now drops what comes with it.
//! - **Back-channel logout.** A module beside [`id_token`], with an order of checks of its own, the same keys (`known`) and the same
//!   signature check; who it ends is found by the engine, from the `sid` that the session was started with.
//! - **Revocation.** `redeem` returns the tokens; whoever seals them tells a queue, which asks through [`outbound`] until there is an answer.
//!
//! What decides is pure and gets `now` handed in; only [`outbound`] waits for anybody. What never lives here: cookies, pages and
//! sessions. [`RelyingParty::begin`] and [`RelyingParty::finish`] say what is to be done, and the gateway does it.

mod callback;
mod client;
mod flow;
pub mod id_token;
mod keys;
mod known;
pub mod logout_token;
mod metadata;
mod names;
pub mod outbound;
mod party;
mod provider;
mod push;
mod redeem;
mod url;

pub use client::PostError;
pub use flow::{FLOW_LIFE, FlowError};
pub use id_token::IdTokenError;
pub use keys::KeySet;
pub use known::UnreachableError;
pub use logout_token::LogoutTokenError;
pub use metadata::MetadataError;
pub use names::Names;
pub use outbound::OutboundError;
pub use party::{
    Asked, Begun, Finished, Identified, LogoutError, NoRandomness, RelyingParty, SignInError, SignedOut,
};
pub use provider::{ClientAuthentication, ClientSecret, ProviderSettings};
