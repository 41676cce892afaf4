//! **Enforce on HTTP.** A gateway in front of web applications that looks again at what it let through.
//!
//! Other gateways check a request and never see its answer again. This one registers every request with its session and keeps
//! asking: before the application is reached, at every chunk and frame, and in the write to the socket itself. When the session
//! ends, new requests are refused and everything open is cut, in the words of its protocol.
//!
//! | step | module |
//! | --- | --- |
//! | a connection, within its bounds | [`Door`], `accept`, [`proxy_protocol`], `serve`, `seat`, `gate`, [`Socket`], [`Limits`] |
//! | one stream of many (HTTP/2) | `outlet`, `http2` |
//! | a request gets its one reading | `road`, [`target`], [`path`], [`route`] |
//! | its credential is found, and goes no further | [`extract`], [`trigger`], `ticket` |
//! | who it is, for the application | [`forward`], [`assertion`] |
//! | it is forwarded | `exchange`, `sending`, `upload`, `upstream`, [`forward`], [`app_cookie`] |
//! | its answer is passed on, or cut | `download`, [`sse`], [`grpc`], `upgrade`, `tunnel`, [`websocket`] |
//! | it is refused | `answer`, [`pages`] |
//! | what failed is counted | `failures` |
//! | our own routes | `own`, `form`, [`device`] |
//! | people sign in | [`SignIn`] |
//!
//! What never lives here: deciding. That is the engine's; this crate only asks, as often as it takes.

mod accept;
mod alarm;
mod answer;
pub mod app_cookie;
pub mod assertion;
pub mod cookies;
pub mod device;
mod door;
mod download;
mod drain;
mod exchange;
pub mod extract;
mod failures;
mod form;
pub mod forward;
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod gateway;
pub mod grpc;
mod http2;
mod inbound;
mod limits;
mod outlet;
mod own;
pub mod pages;
pub mod path;
pub mod proxy_protocol;
mod road;
pub mod route;
mod seat;
mod sending;
mod serve;
mod sign_in;
mod socket;
pub mod sse;
mod stopping;
pub mod target;
mod ticket;
pub mod trigger;
mod tunnel;
mod upgrade;
mod upload;
mod upstream;
pub mod vocabulary;
pub mod websocket;

pub use door::{Door, Listener};
pub use failures::{CutOff, Failure};
pub use gateway::{AppSettings, DemoUser, Gateway, GatewayError, OWN_PREFIX, SensitiveRoute, Settings};
pub use limits::{Http2, Limits};
pub use own::LogoutToken;
pub use sign_in::{
    Asked, Begun, Finished, Identified, LogoutFailure, Pending, Provider, SignIn, SignInFailure,
};
pub use socket::Socket;
pub use upstream::Protocol;

/// A fresh mask for a frame towards an application (RFC 6455 section 5.3); none if there is no randomness to be had.
fn random_mask() -> Option<[u8; 4]> {
    let mut mask = [0; 4];
    aws_lc_rs::rand::fill(&mut mask).ok()?;
    Some(mask)
}
