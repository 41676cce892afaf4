//! What every parser of outside bytes is held against.
//!
//! A fuzzer that only waits for a panic finds little in a program without `unsafe`. So each target here is a *property*: a second,
//! naive reading that must agree, a form that must come back as it went, an answer that must not depend on how the bytes were cut, a
//! record that must not pass for whole when it is not. A property is a function of bytes and fails by panicking.
//!
//! | bytes from | properties |
//! | --- | --- |
//! | a client | [`websocket_frames`], [`credentials`], [`request_fields`], [`paths`], [`request_targets`], [`return_paths`], [`handshakes`], [`app_cookies`], [`ended_tickets`], [`http2_frames`] |
//! | a balancer | [`proxy_protocol`] |
//! | either side | [`grpc_messages`], [`trailing_fields`] |
//! | an application | [`event_streams`] |
//! | an operator | [`configuration`], [`routes`] |
//! | a disk, or whoever kept a copy | [`ledger_blocks`], [`ledger_history`], [`notes`], [`checkpoints`], [`proofs`], [`tiles`], [`record`], [`entries`], [`slots`], [`reservations`], [`snapshots`], [`people`] |
//!
//! Three ways to run them. `cargo xtask fuzz` lets libFuzzer look for inputs, with its coverage feedback and without a sanitizer: our
//! crates forbid `unsafe`, so what a sanitizer watches for cannot be ours, and without one the stable compiler will do and
//! twice as much is tried. `cargo test -p nightlatch-fuzz` holds every seed and some thousands of damaged ones against its
//! property. And `cargo run -p nightlatch-fuzz --bin NAME FILE` repeats one finding.

mod client;
mod disk;
mod input;
mod operator;
mod protocol;
mod record;
mod stream;

pub use client::{
    app_cookies, credentials, ended_tickets, handshakes, paths, request_fields, request_targets, return_paths,
};
pub use disk::{entries, people, reservations, slots, snapshots};
pub use operator::{configuration, routes};
pub use protocol::{grpc_messages, http2_frames, proxy_protocol, trailing_fields};
pub use record::{checkpoints, ledger_blocks, ledger_history, notes, proofs, record, tiles};
pub use stream::{event_streams, websocket_frames};

/// A property: panics if the bytes break it.
pub type Property = fn(&[u8]);

/// Every property by the name of its target.
pub const PROPERTIES: [(&str, Property); 28] = [
    ("app_cookies", app_cookies),
    ("checkpoints", checkpoints),
    ("configuration", configuration),
    ("credentials", credentials),
    ("ended_tickets", ended_tickets),
    ("entries", entries),
    ("event_streams", event_streams),
    ("grpc_messages", grpc_messages),
    ("handshakes", handshakes),
    ("http2_frames", http2_frames),
    ("ledger_blocks", ledger_blocks),
    ("ledger_history", ledger_history),
    ("notes", notes),
    ("paths", paths),
    ("people", people),
    ("proofs", proofs),
    ("proxy_protocol", proxy_protocol),
    ("record", record),
    ("request_fields", request_fields),
    ("request_targets", request_targets),
    ("reservations", reservations),
    ("return_paths", return_paths),
    ("routes", routes),
    ("slots", slots),
    ("snapshots", snapshots),
    ("tiles", tiles),
    ("trailing_fields", trailing_fields),
    ("websocket_frames", websocket_frames),
];

/// The program of one target.
#[macro_export]
macro_rules! target {
    ($property:ident) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|data: &[u8]| $crate::$property(data));

        #[cfg(not(fuzzing))]
        fn main() {
            $crate::repeat($crate::$property);
        }
    };
}

/// Holds the files named on the command line against a property.
pub fn repeat(property: Property) {
    for file in std::env::args_os().skip(1) {
        match std::fs::read(&file) {
            Ok(bytes) => property(&bytes),
            Err(error) => panic!("{}: {error}", file.display()),
        }
    }
}
