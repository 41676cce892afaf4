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
//! | the browser comes back with a code, the code becomes a token | `callback`, `redeem` |
//! | the token is believed, or not | [`id_token`] |
//! | asking the provider, within bounds | [`outbound`] |
//!
//! What decides is pure and gets `now` handed in; only [`outbound`] waits for anybody. What never lives here: cookies, pages and
//! sessions. [`RelyingParty::begin`] and [`RelyingParty::finish`] say what is to be done, and the gateway does it.

mod callback;
mod flow;
pub mod id_token;
mod keys;
mod known;
mod metadata;
pub mod outbound;
mod party;
mod provider;
mod redeem;
mod url;

pub use flow::{FLOW_LIFE, FlowError};
pub use id_token::IdTokenError;
pub use keys::KeySet;
pub use known::UnreachableError;
pub use metadata::MetadataError;
pub use outbound::OutboundError;
pub use party::{Begun, Finished, Identified, NoRandomness, RelyingParty, SignInError};
pub use provider::{ClientAuthentication, ClientSecret, ProviderSettings};
pub use redeem::RedeemError;
