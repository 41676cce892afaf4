//! What a gateway allows those who are nobody yet, and how long it waits for anybody.
//!
//! Each of these numbers bounds what one peer can hold of what all share: a seat, memory, a connection to an application. They stand in one
//! place, so that whoever sets one sees the others, and none has a second value anywhere. The defaults are for a gateway on the open
//! internet with people behind browsers; none of them ends a session, and none of them makes one live longer.

use std::time::Duration;

/// The bounds of a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Clients' connections that may be open at once. Others wait in the kernel's queue.
    pub connections: usize,
    /// How long a TLS handshake may take.
    pub handshake_within: Duration,
    /// The most bytes of a request's head.
    pub head_bytes: usize,
    /// The most fields of a request's head.
    pub head_fields: usize,
    /// How long a client may take to send a head, or to begin the next one.
    pub head_within: Duration,
    /// How long a connection to an application may take to be made.
    pub connect_within: Duration,
    /// Connections to one application that are kept for the next request, beyond those in use.
    pub idle_upstream_connections: usize,
    /// How long an application may take to begin its answer once it has the whole request.
    pub answer_within: Duration,
    /// How long an unsafe request that the application has whole may take to finish after its session's end.
    pub finish_within: Duration,
    /// How long what is open may go on when the gateway stops.
    pub drain_within: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 10_000,
            handshake_within: Duration::from_secs(10),
            head_bytes: 64 * 1024,
            head_fields: 128,
            head_within: Duration::from_secs(60),
            connect_within: Duration::from_secs(5),
            idle_upstream_connections: 256,
            answer_within: Duration::from_secs(300),
            finish_within: Duration::from_secs(60),
            drain_within: Duration::from_secs(5),
        }
    }
}
