//! How the descriptors that the system grants are shared out.
//!
//! Each client's connection takes one, the request on it perhaps another towards its application, and connections to applications that nobody
//! uses at the moment are kept for the next request. What clients can cause is bounded so that the sum of all three leaves
//! ours alone: the ledger, the API and the index need theirs whatever clients do, or nobody could be signed out.

use rustix::process::{Resource, getrlimit, setrlimit};

/// What is kept for files of the data directory, the listeners, the API's clients, the runtime and the libraries.
const OURS: u64 = 768;
/// Clients that are let in even where there are hardly any descriptors: fewer serve nobody.
const CONNECTIONS_LEAST: usize = 64;
/// More are never asked for by default.
const CONNECTIONS_MOST: usize = 100_000;

/// How many connections there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shares {
    /// Clients', and as many to applications while they are in use.
    pub(crate) connections: usize,
    /// Kept by each application for the next request.
    pub(crate) idle: usize,
}

impl Shares {
    /// What so many descriptors are enough for, if each of so many applications wants to keep `idle` connections. The kept ones take a quarter
    /// of what clients can cause at most: they save time, and the others are the service.
    pub(crate) fn within(descriptors: u64, applications: usize, idle: usize) -> Shares {
        let room = usize::try_from(descriptors.saturating_sub(OURS)).unwrap_or(usize::MAX);
        let applications = applications.max(1);
        let beside_the_least = room.saturating_sub(2 * CONNECTIONS_LEAST);
        let idle = idle.min((room / 4).min(beside_the_least) / applications);
        let connections = (room - idle * applications) / 2;
        Shares { connections: connections.clamp(CONNECTIONS_LEAST, CONNECTIONS_MOST), idle }
    }
}

/// Asks the operating system for all the descriptors that it would give, and says how many that are.
pub(crate) fn granted() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        let _ = setrlimit(Resource::Nofile, limit);
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_can_cause_leaves_ours_alone() {
        // 896 are what 64 clients take without a connection kept; with fewer there is no such promise.
        for descriptors in [896, 1_024, 4_096, 20_000, 524_288, u64::MAX] {
            for applications in [0, 1, 3, 500] {
                for wanted in [0, 64, 256, 65_535] {
                    let Shares { connections, idle } = Shares::within(descriptors, applications, wanted);
                    let sum = 2 * connections + applications * idle;
                    let what = format!("{descriptors} {applications} {wanted}: {connections} {idle}");
                    assert!(sum as u64 + OURS <= descriptors, "{what}");
                    assert!(idle <= wanted && connections >= CONNECTIONS_LEAST, "{what}");
                }
            }
        }
    }

    #[test]
    fn where_there_is_plenty_nothing_is_cut_down() {
        assert_eq!(Shares::within(20_000, 1, 256), Shares { connections: 9_488, idle: 256 });
        assert_eq!(Shares::within(1_024, 1, 256), Shares { connections: 96, idle: 64 });
        assert_eq!(Shares::within(u64::MAX, 1, 256).connections, CONNECTIONS_MOST);
        assert_eq!(Shares::within(100, 1, 256), Shares { connections: CONNECTIONS_LEAST, idle: 0 });
    }
}
