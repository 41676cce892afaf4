//! HTTP on an accepted connection.

mod http1;
mod http2;
