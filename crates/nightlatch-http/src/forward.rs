//! Fields on their way through: what a request may carry to an upstream, and a response back to the client.
//!
//! An upstream behind a gateway believes what the gateway says: who the user is, where the client is, which resource
//! is meant. Every field that says such a thing is therefore ours to write and nobody else's. All of them are removed
//! first, in every spelling that some server maps to the same name, and only then are ours added. The order is the
//! design: a client that nominates `X-Nightlatch-Subject` in `Connection` removes nothing, because at that time there
//! is nothing of ours to remove.
//!
//! The fields of one connection are dealt with in [`hop_by_hop`] (RFC 9110 section 7.6.1), where an answer ends in [`framing`], which names count as which
//! in [`spelling`], where the client is in [`client`], who it is in [`identity`], and what comes after a body in
//! [`trailers`]. [`request`] and [`response`] put it all in order, one for each direction.

pub mod client;
pub(crate) mod connection_auth;
pub mod framing;
pub mod hop_by_hop;
pub mod identity;
pub mod request;
pub mod response;
pub mod spelling;
pub mod trailers;
