//! The limits in force, as the entry of a start of the program has them.

use nightlatch_core::Policy;
use serde::{Deserialize, Serialize};

/// The limits of a policy version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRecord {
    /// Its version.
    pub version: u32,
    /// Idle limit.
    pub idle_ms: u64,
    /// Absolute limit.
    pub absolute_ms: u64,
    /// Warning before the deadline.
    pub warning_ms: u64,
}

impl PolicyRecord {
    pub(crate) fn of(policy: &Policy) -> PolicyRecord {
        PolicyRecord {
            version: policy.version,
            idle_ms: policy.limits.idle().as_millis(),
            absolute_ms: policy.limits.absolute().as_millis(),
            warning_ms: policy.limits.warning().as_millis(),
        }
    }
}
