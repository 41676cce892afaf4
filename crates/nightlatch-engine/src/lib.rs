//! **The one road.** Every decision of Nightlatch is made here: one clock, one table of sessions, one log.
//!
//! The engine holds both halves that are elsewhere apart: who may and until when, and what stands open because of it. A request
//! is [checked](Engine::check) and holds a [`Permit`] for as long as anything of it is open; the permit is asked again for
//! every chunk and frame, against the clock. When a session ends, everything that waits for [`Permit::ended`] wakes. The decision itself
//! is the core's; the engine reads the clock once for it, commits what it answers, and writes it down.
//!
//! | step | module |
//! | --- | --- |
//! | what time it is | `time_source`, [`clock`](Clock) |
//! | a session begins | `start` |
//! | a request is let through | `check`, `permit`, `cell` |
//! | a deadline comes while nobody asks | `deadlines`, `wheel` |
//! | a session ends | `end`, `limits`, `block`, `of_subject`, `provider_logout` |
//! | it gets an authentication and a credential | `step_up`, `added` |
//! | it is on the record | `entry`, `journal` |
//! | it survives a restart | `slots`, `upkeep`, `open`, `found`, `recover`, `restore` |
//! | something fails | `health`, `room` |
//!
//! What never lives here: a protocol. How something open is cut is the business of the enforcement points.

mod added;
mod block;
mod cell;
mod check;
mod clock;
mod deadlines;
mod end;
mod engine;
mod entry;
mod found;
mod health;
mod journal;
mod kept;
mod lanes;
mod limits;
mod node;
mod of_subject;
mod open;
mod permit;
mod provider_logout;
mod reasons;
mod recover;
mod restore;
mod room;
mod rules;
mod run;
mod secret;
mod session;
mod shared;
mod slots;
mod start;
mod stats;
mod step_up;
mod sync;
mod table;
mod time_source;
mod upkeep;
mod versions;
mod wheel;

pub use added::Authentication;
pub use block::{Block, BlockOrder};
pub use check::{Admission, Demand, Insufficient, Refusal};
pub use clock::{Clock, ClockFault, ClockStep};
pub use end::EndOrder;
pub use engine::{Authority, Engine};
pub use entry::{
    AuthenticationAdded, BlockRecord, Cut, Entry, EntryError, PolicyRecord, ProviderLogoutRecord,
    SessionEnded, SessionStarted,
};
pub use health::{Fault, Health, Part, Stops};
pub use limits::Lower;
pub use nightlatch_store::{DEVICE_WORDS_BYTES, Device, KeyError};
pub use open::{OpenError, Recovery};
pub use permit::{CutNote, Permit};
pub use provider_logout::{ProviderLogout, Replayed, TokenName};
pub use reasons::reasons;
pub use run::Running;
pub use secret::{NoRandomness, PREFIX, Token, hash};
pub use session::{End, Facts, Session, Terms, Who};
pub use start::{Start, StartError, Starting, Tighter};
pub use stats::{Channel, LATENESS_BOUNDS_US, Lateness, Stats};
pub use step_up::{StepUp, StepUpError, SteppingUp};
pub use time_source::{ManualTime, OsTime, TimeSource};
