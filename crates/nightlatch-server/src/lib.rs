//! The program `nightlatch`: configuration, composition, API and command line.
//!
//! Nothing is decided here. The engine decides and records, the enforcement points enforce; this crate reads what the firm wants,
//! puts the parts together, and gives people and programs a way to ask. What runs is one of a few commands: the program can be read from
//! `cli` on. It is a library only so that the fuzz targets reach its parsers ([`fuzzing`]); nobody else is promised anything.

mod admin;
mod api;
mod backup;
mod cli;
mod config;
mod demo;
mod descriptors;
mod index;
mod listening;
mod logging;
mod metrics;
mod regular;
mod serve;
mod sign_in;
mod site;
mod tls;
mod witnessing;
mod words;

#[doc(hidden)]
pub mod fuzzing;

pub use cli::main;
