//! What both ends of HTTP/2 (RFC 9113) have in common: streams, and the question of whose bytes are on their way.
//!
//! On HTTP/1 a connection carries one exchange at a time, and everything that leaves it is of one session. On HTTP/2 streams of
//! many sessions share one connection, and the library that speaks it (`h2`) holds frames of its own: queued behind a closed window, in its
//! codec, behind a socket that takes nothing. A chunk that was let through in time could leave there minutes after the deadline.
//!
//! Three things stand against that. [`pump`] hands `h2` only what the windows have granted, and asks just before. At the end it
//! resets the stream, which throws away what `h2` has queued for it. And [`outgoing`] reads the frames that `h2` hands down, so that the
//! gate at the socket knows for each byte whose it is, whatever `h2` does inside: what is over does not reach the kernel.

pub(crate) mod followed;
pub(crate) mod frames;
pub(crate) mod outgoing;
pub(crate) mod pump;
