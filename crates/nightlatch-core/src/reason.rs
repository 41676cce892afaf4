//! Why a session ended, in the auditor's words.

use std::{fmt, str::FromStr};

crate::listed! {
    /// The cause of an end. The first one wins and is never replaced.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    #[repr(u8)]
    pub enum EndReason {
        /// Nothing that counts as activity happened for the idle limit.
        IdleTimeout = 1,
        /// The absolute limit, counted from authentication, was reached.
        AbsoluteTimeout = 2,
        /// The user signed out.
        Logout = 3,
        /// An operator or a trusted program ended it.
        Revoked = 4,
        /// The subject was blocked.
        Blocked = 5,
        /// The subject reached its limit of sessions and another one took the place.
        Displaced = 6,
        /// A lease whose parent session ended.
        ParentEnded = 7,
        /// The identity provider ended it.
        ProviderLogout = 8,
        /// A credential that had been replaced was used again.
        CredentialReuse = 9,
        /// A tightened policy made it overdue.
        PolicyTightened = 10,
        /// The clock could not be trusted.
        ClockFault = 11,
        /// It came out of a backup.
        Restored = 12,
    }
}

impl EndReason {
    /// The word used in the ledger, the API, close frames and pages.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            EndReason::IdleTimeout => "idle_timeout",
            EndReason::AbsoluteTimeout => "absolute_timeout",
            EndReason::Logout => "logout",
            EndReason::Revoked => "revoked",
            EndReason::Blocked => "blocked",
            EndReason::Displaced => "displaced",
            EndReason::ParentEnded => "parent_ended",
            EndReason::ProviderLogout => "provider_logout",
            EndReason::CredentialReuse => "credential_reuse",
            EndReason::PolicyTightened => "policy_tightened",
            EndReason::ClockFault => "clock_fault",
            EndReason::Restored => "restored",
        }
    }

    /// Whether this end follows from the session's numbers and the clock alone.
    ///
    /// Such an end takes effect at once: after a crash it would be found again. Any other end must be on disk before
    /// anybody is told of it.
    #[must_use]
    pub const fn follows_from_the_numbers(self) -> bool {
        matches!(self, EndReason::IdleTimeout | EndReason::AbsoluteTimeout)
    }

    /// The reason with this number, as packed in the state word; none for 0 (live) and unused numbers.
    pub(crate) const fn from_number(number: u64) -> Option<EndReason> {
        // They have no holes, and begin with 1: 0 is a word that lives.
        const _: () = assert!(EndReason::ALL[0] as u64 == 1);
        if number == 0 || number > EndReason::ALL.len() as u64 {
            return None;
        }
        Some(EndReason::ALL[number as usize - 1])
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Reads a [`code`](EndReason::code) back.
impl FromStr for EndReason {
    type Err = ();

    fn from_str(code: &str) -> Result<EndReason, ()> {
        EndReason::ALL.into_iter().find(|reason| reason.code() == code).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_survives_number_and_code() {
        for reason in EndReason::ALL {
            assert_eq!(EndReason::from_number(reason as u64), Some(reason));
            assert_eq!(reason.code().parse(), Ok(reason));
        }
        assert_eq!(EndReason::from_number(0), None);
        assert_eq!(EndReason::from_number(EndReason::ALL.len() as u64 + 1), None);
        assert_eq!(EndReason::from_number(15), None);
    }
}
