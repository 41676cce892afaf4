//! The program `nightlatch`: configuration, composition, API and command line.
//!
//! Nothing is decided here. The engine decides and records, the enforcement points enforce; this crate reads what the firm wants,
//! puts the parts together, and gives people and programs a way to ask. What runs is one of a few commands, and `main` does nothing but
//! hand over to it: the rest of the program can be read from [`cli`] on.

mod admin;
mod api;
mod backup;
mod cli;
mod config;
mod demo;
mod index;
mod listening;
mod logging;
mod metrics;
mod serve;
mod site;
mod tls;
mod words;

use std::process::ExitCode;

/// A request through the gateway is some dozens of small allocations on one thread and their frees on the same; the system's allocator
/// took an eighth of the gateway's processor time, this one a third of that (`cargo xtask bench gateway`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
