//! Counters for people who watch: plain atomics, read by whoever exports them.
//!
//! Nothing here decides anything. A cut's lateness goes into fixed buckets so that "how
//! late, at worst" can be answered without keeping every cut; every single one is in the ledger.

use crate::lanes::{self, LANES};
use nightlatch_core::{Activity, EndReason};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Upper bounds of the lateness buckets, in microseconds; one more bucket follows for what is later.
pub const LATENESS_BOUNDS_US: [u64; 12] =
    [250, 500, 1_000, 2_000, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 10_000_000];

nightlatch_core::listed! {
    /// What was open: the channels that are told apart in entries, metrics and the demo's summary.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Channel {
        /// A request whose answer had not begun.
        Request,
        /// A response body.
        Download,
        /// A request body.
        Upload,
        /// A stream of server-sent events.
        Sse,
        /// A WebSocket.
        WebSocket,
        /// Bytes of another protocol that a request switched to.
        Upgrade,
    }
}

impl Channel {
    /// The word used in the ledger and in metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Channel::Request => "request",
            Channel::Download => "download",
            Channel::Upload => "upload",
            Channel::Sse => "sse",
            Channel::WebSocket => "websocket",
            Channel::Upgrade => "upgrade",
        }
    }
}

/// How late cuts came, in buckets.
#[derive(Debug, Default)]
pub struct Lateness {
    buckets: [AtomicU64; LATENESS_BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
    max_us: AtomicU64,
}

impl Lateness {
    /// Counts one.
    pub fn observe(&self, us: u64) {
        let bucket = LATENESS_BOUNDS_US.partition_point(|bound| *bound < us);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.sum_us.fetch_add(us, Relaxed);
        self.max_us.fetch_max(us, Relaxed);
    }

    /// How many fell in each bucket.
    #[must_use]
    pub fn buckets(&self) -> [u64; LATENESS_BOUNDS_US.len() + 1] {
        std::array::from_fn(|bucket| self.buckets[bucket].load(Relaxed))
    }

    /// The sum of all, in microseconds.
    #[must_use]
    pub fn sum_us(&self) -> u64 {
        self.sum_us.load(Relaxed)
    }

    /// The latest, in microseconds.
    #[must_use]
    pub fn max_us(&self) -> u64 {
        self.max_us.load(Relaxed)
    }
}

/// Everything that is counted.
#[derive(Debug, Default)]
pub struct Stats {
    granted: [Granted; LANES],
    /// Checks refused because the credential names no session.
    pub refused_unknown: AtomicU64,
    refused: [AtomicU64; EndReason::ALL.len()],
    ended: [AtomicU64; EndReason::ALL.len()],
    cuts: [Lateness; Channel::ALL.len()],
    /// How late deadlines were noticed.
    pub ends: Lateness,
    /// Checks denied because what was asked needs a fresher authentication.
    pub insufficient: AtomicU64,
    /// Authentications added to sessions.
    pub authentications: AtomicU64,
    /// Sessions started.
    pub started: AtomicU64,
    /// Steps of the wall clock forward that were noted: they counted as time passed.
    pub clock_steps_forward: AtomicU64,
    /// Steps back: they were ignored.
    pub clock_steps_back: AtomicU64,
    /// Suspensions of the machine that were noted: they counted as the time that they are.
    pub suspensions: AtomicU64,
    /// 1 if this run began with a clock that could not be trusted, and ended every session.
    pub clock_faults: AtomicU64,
    /// Writes to disk that failed.
    pub disk_failures: AtomicU64,
    /// Entries that gave way to the ends of others while the disk was full.
    pub gave_way: AtomicU64,
}

/// Checks that were granted, of the threads of one lane.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Granted {
    active: AtomicU64,
    passive: AtomicU64,
}

impl Granted {
    fn of(&self, activity: Activity) -> &AtomicU64 {
        match activity {
            Activity::Active => &self.active,
            Activity::Passive => &self.passive,
        }
    }
}

impl Stats {
    pub(crate) fn count_granted(&self, activity: Activity) {
        self.granted[lanes::number()].of(activity).fetch_add(1, Relaxed);
    }

    /// Checks that were granted and counted as activity, or did not.
    #[must_use]
    pub fn granted(&self, activity: Activity) -> u64 {
        self.granted.iter().map(|granted| granted.of(activity).load(Relaxed)).sum()
    }

    pub(crate) fn count_refused(&self, reason: EndReason) {
        self.refused[reason.place()].fetch_add(1, Relaxed);
    }

    pub(crate) fn count_ended(&self, reason: EndReason) {
        self.ended[reason.place()].fetch_add(1, Relaxed);
    }

    /// Checks refused because the session had ended for `reason`.
    #[must_use]
    pub fn refused(&self, reason: EndReason) -> u64 {
        self.refused[reason.place()].load(Relaxed)
    }

    /// Sessions that ended for `reason`.
    #[must_use]
    pub fn ended(&self, reason: EndReason) -> u64 {
        self.ended[reason.place()].load(Relaxed)
    }

    /// How late what was open on `channel` was cut.
    #[must_use]
    pub fn cuts(&self, channel: Channel) -> &Lateness {
        &self.cuts[channel.place()]
    }
}
