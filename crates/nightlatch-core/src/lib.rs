//! **Decide.** The rules of a session's end, and nothing else.
//!
//! Every promise of Nightlatch comes down to one question, asked over and over: *given this session, this event and this
//! instant, may it go on, and until when?* This crate answers it with pure functions. It has no clock, no I/O, no async,
//! no HTTP and no storage, so a test moves time by passing another number, and the fast engine can be held against
//! a slow model over millions of random histories.
//!
//! Two things make the answer robust:
//!
//! - **The boundary is exact.** `now >= deadline` is over. One millisecond before, it is not. See [`Deadline`].
//! - **Every write is a join.** What changes in a session is one [`Word`] (last activity only goes up, an end absorbs) and
//!   two [`Register`]s (limits only go down), and what is added to it stays. Joins commute, associate and are idempotent, so a write that comes late,
//!   twice or out of order cannot lengthen a session or revive one.
//!
//! What lives here: time, words, registers, reasons, deadlines, activity, and [`decide`]. What never will: anything that
//! asks the operating system for something.

mod activity;
mod credential;
mod deadline;
mod decide;
mod handover;
mod listed;
mod policy;
mod reason;
mod register;
mod session;
mod time;
mod word;

pub use activity::{Activity, ActivityMode, RouteSays, Trigger};
pub use credential::CredentialHash;
pub use deadline::{Deadline, DeadlineReason};
pub use decide::{Event, Seen, Verdict, deadline, decide};
pub use handover::{CREDENTIAL_OVERLAP, Issue, is_spent};
pub use policy::{Limits, Policy, PolicyError};
pub use reason::EndReason;
pub use register::{Register, RuleId};
pub use session::{IdError, Kind, ProviderSession, SessionId, Subject};
pub use time::{Span, Time};
pub use word::{Generation, Word};
