//! The promises, each by its name: the engine is driven by hand, on real files, by a clock that is set by hand.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test that cannot go on fails")]

mod blocked;
mod common;
mod credentials;
mod damaged;
mod fail_closed;
mod faults;
mod never_early;
mod never_late;
mod never_longer;
mod never_revived;
mod on_the_record;
mod provider_logout;
mod restart;
mod running;
mod signed_in;
mod together;
