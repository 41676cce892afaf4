//! The atomics of the state word, behind one name: the model checker's tests compile `cell` with loom's instead.

pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
