//! WebSocket (RFC 6455), as much of it as ends one well.
//!
//! A relay could do without knowing any of this: bytes in, bytes out. Two moments need more. At the start, a 101 opens
//! a tunnel in which nothing is a request any more, so it is believed only from a server that really understood the
//! handshake ([`handshake`]). At the end, a Close frame must be put *between* two frames, or the client reads it as
//! data; so the relay knows at every byte whether it is inside one ([`frames`]). In between, the bytes stay untouched:
//! no unmasking, no reassembling, no inflating.

pub mod close;
pub mod frames;
pub mod handshake;
