//! Connections that an application has authenticated: one client's, in one session, and nobody else's.
//!
//! Given back to the pool, such a connection would make the next request in somebody else's name. So from the moment either side
//! speaks of it ([`connection_auth`](crate::forward::connection_auth)) it belongs to the client's connection that the exchange came
//! on *and* to its session: a proxy in front of us may put several people on one connection. It closes with the client's connection, or
//! when another session comes along on that.

use super::{Connection, Upstream, lock};
use crate::forward::connection_auth;
use http::{HeaderMap, StatusCode};
use nightlatch_core::SessionId;
use std::{
    fmt,
    sync::{Arc, Mutex},
};

/// The authenticated connections of one client's connection, at most one to each application.
#[derive(Default)]
pub(crate) struct Pins(Mutex<Vec<Pin>>);

struct Pin {
    owner: SessionId,
    upstream: Arc<Upstream>,
    connection: Connection,
}

/// Whose a connection to an application is, if that authenticates it.
#[derive(Clone, Debug)]
pub(crate) enum Whose {
    /// Nobody's: nobody is signed in.
    Nobody,
    /// Nobody's: over HTTP/2 a client's requests come side by side, and have no connection to an application in common.
    OneOfMany,
    /// One client's connection's, in one session.
    Client(Place),
}

/// Where it is kept between two exchanges.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) pins: Arc<Pins>,
    pub(crate) session: SessionId,
}

impl Whose {
    pub(super) fn place(&self) -> Option<&Place> {
        match self {
            Whose::Client(place) => Some(place),
            Whose::Nobody | Whose::OneOfMany => None,
        }
    }

    /// Whether an exchange cannot go on with such a connection. Over HTTP/2 not even the first leg can: a client that is told so asks again over
    /// HTTP/1.1 (RFC 9113 section 7, `HTTP_1_1_REQUIRED`).
    pub(super) fn is_stuck(&self, status: StatusCode, answer: &HeaderMap) -> bool {
        match self {
            Whose::Client(_) => false,
            Whose::Nobody => connection_auth::goes_on(status, answer),
            Whose::OneOfMany => status == StatusCode::UNAUTHORIZED && connection_auth::is_spoken_of(answer),
        }
    }
}

impl Place {
    /// The connection to this application, if there is one and it is still open. What belongs to another session is closed.
    pub(super) fn take(&self, upstream: &Arc<Upstream>) -> Option<Connection> {
        let mut pins = lock(&self.pins.0);
        pins.retain_mut(|pin| pin.owner == self.session && pin.connection.is_ready());
        let at = pins.iter().position(|pin| Arc::ptr_eq(&pin.upstream, upstream))?;
        Some(pins.swap_remove(at).connection)
    }

    /// Keeps a connection for the next exchange.
    pub(super) fn keep(&self, upstream: &Arc<Upstream>, connection: Connection) {
        let mut pins = lock(&self.pins.0);
        pins.retain(|pin| !Arc::ptr_eq(&pin.upstream, upstream));
        pins.push(Pin { owner: self.session, upstream: Arc::clone(upstream), connection });
    }
}

impl fmt::Debug for Pins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pins({})", lock(&self.0).len())
    }
}
