//! Whether a client that sends a body gets on with it.
//!
//! A body that trickles holds a seat and a connection to an application for as long as its client likes. So in each stretch of waiting at
//! least so many bytes must come. Only waiting counts: while the application takes nothing the client is not at fault, so time is counted
//! in ticks that are seen while nothing is there to be read, and one that passed unseen counts once.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Sleep, sleep};

/// Ticks in a stretch.
const TICKS: u32 = 8;

/// How a client gets on with its body.
#[derive(Debug)]
pub(crate) struct Pace {
    within: Duration,
    least: u64,
    tick: Option<Pin<Box<Sleep>>>,
    waited: u32,
    came: u64,
}

impl Pace {
    /// At least `least` bytes in `within` of waiting.
    pub(crate) fn new(within: Duration, least: u64) -> Pace {
        Pace { within, least, tick: None, waited: 0, came: 0 }
    }

    /// So many bytes came.
    pub(crate) fn came(&mut self, bytes: usize) {
        self.came = self.came.saturating_add(bytes as u64);
        if self.came >= self.least {
            (self.waited, self.came) = (0, 0);
        }
    }

    /// Nothing is there to be read: completes when the client has been waited for long enough.
    pub(crate) fn poll_enough(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.waited < TICKS {
            let within = self.within / TICKS;
            ready!(self.tick.get_or_insert_with(|| Box::pin(sleep(within))).as_mut().poll(cx));
            self.tick = None;
            self.waited += 1;
        }
        Poll::Ready(())
    }
}
