//! Where an exchange's bytes leave: a connection that is all its own for now (HTTP/1), or one stream of many (HTTP/2).

use crate::{
    gate::{Gate, Guarded},
    http2::outgoing::StreamOut,
};
use std::sync::Arc;

/// The way out of one exchange, to a client or into an application.
#[derive(Clone, Debug)]
pub(crate) enum Outlet {
    /// The whole connection.
    Connection(Arc<Gate>),
    /// A stream.
    Stream(Arc<StreamOut>),
}

impl Outlet {
    /// From now on bytes pass for this session only.
    pub(crate) fn hold(&self, guarded: Guarded) {
        match self {
            Outlet::Connection(gate) => gate.hold(guarded),
            Outlet::Stream(stream) => stream.hold(guarded),
        }
    }

    /// Somebody reads the body that a client holds back until it is told to send it.
    pub(crate) fn want_body(&self) {
        match self {
            // hyper says so when the body is first asked for.
            Outlet::Connection(_) => {}
            Outlet::Stream(stream) => stream.want_body(),
        }
    }

    /// More bytes are about to be put on their way.
    pub(crate) fn put(&self) {
        match self {
            Outlet::Connection(gate) => gate.put(),
            // Told by each frame.
            Outlet::Stream(_) => {}
        }
    }

    /// What was held is complete: once it has left, nothing is held.
    pub(crate) fn release(&self) {
        match self {
            Outlet::Connection(gate) => gate.release(),
            Outlet::Stream(_) => {}
        }
    }

    /// Whether the last of what was put on its way may be with the kernel.
    pub(crate) fn may_have_left(&self) -> bool {
        match self {
            Outlet::Connection(gate) => gate.wrote(),
            Outlet::Stream(stream) => stream.may_be_whole(),
        }
    }

    /// Lets words of our own follow, if nothing is held back that they would carry along. The cut is recorded when they have
    /// left.
    pub(crate) fn last_words(&self, guarded: &Guarded, how: &'static str) -> bool {
        match self {
            Outlet::Connection(gate) => gate.last_words(guarded, how),
            Outlet::Stream(stream) => stream.last_words(guarded, how),
        }
    }

    /// The next thing to leave is the answer that says so: that cut is recorded when it has left.
    pub(crate) fn record_when_left(&self, guarded: Guarded, how: &'static str) {
        match self {
            Outlet::Connection(gate) => gate.record_when_left(guarded, how),
            Outlet::Stream(stream) => stream.record_when_left(guarded, how),
        }
    }

    /// Nothing more leaves: the connection, or the stream, is reset, and that is the cut.
    pub(crate) fn reset(&self, guarded: Guarded) {
        match self {
            Outlet::Connection(gate) => gate.reset(Some(guarded)),
            // Whoever sends on it resets it.
            Outlet::Stream(stream) => stream.hold(guarded),
        }
    }

    /// The connection, if there is nothing else on it: only then can it become something other than HTTP.
    pub(crate) fn connection(&self) -> Option<&Arc<Gate>> {
        match self {
            Outlet::Connection(gate) => Some(gate),
            Outlet::Stream(_) => None,
        }
    }
}
