//! What a gateway allows those who are nobody yet, and how long it waits for anybody.
//!
//! Each of these numbers bounds what one peer can hold of what all share: a seat, memory, a connection to an application. They stand in one
//! place, so that whoever sets one sees the others; a test holds the configuration's defaults against them. The defaults are for a gateway on the open
//! internet with people behind browsers; none of them ends a session, and none of them makes one live longer.

use std::time::Duration;

/// The bounds of a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Clients' connections that may be open at once. Others wait in the kernel's queue.
    pub connections: usize,
    /// Of these, how many one address may have; a trusted proxy may have all.
    pub connections_per_address: usize,
    /// How long a TLS handshake may take.
    pub handshake_within: Duration,
    /// The most bytes of a request's head.
    pub head_bytes: usize,
    /// The most fields of a request's head. Up to 100 the HTTP library needs no memory of its own to find them.
    pub head_fields: usize,
    /// How long a client may take to send a head, or to begin the next one.
    pub head_within: Duration,
    /// In each stretch of this long that a client's body is waited for...
    pub body_within: Duration,
    /// ...at least this many bytes of it must come. A gRPC call of a session may be silent.
    pub body_least: u64,
    /// The most bytes of a body, if there is a limit.
    pub body_bytes: Option<u64>,
    /// How long a client or an application that is being written to may take nothing of it. Then its connection is reset.
    pub write_within: Duration,
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
    /// What a connection of HTTP/2 may carry.
    pub http2: Http2,
}

/// The bounds of one connection of HTTP/2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http2 {
    /// Streams that a client may have open at once.
    pub streams: u32,
    /// Bytes that the other side may send ahead on one stream.
    pub stream_window: u32,
    /// Bytes that the other side may send ahead on all streams.
    pub connection_window: u32,
    /// Streams that a client may give up before they are answered, beyond as many as it let be answered ("rapid reset",
    /// CVE-2023-44487).
    pub abandoned: u32,
    /// Frames about the connection (SETTINGS, PING, RST_STREAM and the like) that a client may send in ten seconds, not counting those that
    /// acknowledge what it got.
    pub control_frames: u32,
}

impl Default for Http2 {
    fn default() -> Http2 {
        Http2 {
            streams: 100,
            stream_window: 256 * 1024,
            connection_window: 1024 * 1024,
            abandoned: 200,
            control_frames: 10_000,
        }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 10_000,
            connections_per_address: 10_000,
            handshake_within: Duration::from_secs(10),
            head_bytes: 64 * 1024,
            head_fields: 100,
            head_within: Duration::from_secs(60),
            body_within: Duration::from_secs(30),
            body_least: 8 * 1024,
            body_bytes: None,
            write_within: Duration::from_secs(60),
            connect_within: Duration::from_secs(5),
            idle_upstream_connections: 256,
            answer_within: Duration::from_secs(300),
            finish_within: Duration::from_secs(60),
            drain_within: Duration::from_secs(5),
            http2: Http2::default(),
        }
    }
}
