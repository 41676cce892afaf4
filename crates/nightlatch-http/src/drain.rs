//! Stopping without a jolt: what is open is told one after the other, and whoever is told comes back to somebody.
//!
//! Ten thousand browsers that lose their WebSockets at one instant open them again at one instant. So each that is open gets a turn of its
//! own, at random within three quarters of the time there is for draining; the last quarter is for closing handshakes, and for requests
//! under way, which nobody interrupts. Draining ends nothing by itself: a session whose deadline falls into it is cut then, for its
//! own reason, as on any other day.

use std::{pin::Pin, time::Duration};
use tokio::{sync::watch, time::sleep};

/// Whether a gateway is stopping, for all that is open on it.
#[derive(Clone, Debug)]
pub(crate) struct Drain {
    begun: watch::Sender<bool>,
    within: Duration,
}

/// Completes when it is the turn of whoever holds it to close.
pub(crate) type Turn = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

impl Drain {
    /// Has not begun, and will take this long at most.
    pub(crate) fn new(within: Duration) -> Drain {
        Drain { begun: watch::Sender::new(false), within }
    }

    /// The gateway stops; said more than once it begins once.
    pub(crate) fn begin(&self) {
        self.begun.send_if_modified(|begun| !std::mem::replace(begun, true));
    }

    /// A turn: after draining has begun, at an instant of its own.
    pub(crate) fn turn(&self) -> Turn {
        let (mut begun, spread) = (self.begun.subscribe(), self.within / 4 * 3);
        Box::pin(async move {
            // That nobody is left who could begin it means the same.
            let _ = begun.wait_for(|begun| *begun).await;
            sleep(spread.mul_f64(share())).await;
        })
    }
}

/// Somewhere from 0 to 1; without randomness everybody's turn is at once.
fn share() -> f64 {
    crate::random_mask().map_or(0.0, |bytes| f64::from(u32::from_ne_bytes(bytes)) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    #[test]
    fn shares_are_spread_evenly() {
        let mut tenths = [0; 10];
        for _ in 0..1_000 {
            let share = share();
            assert!((0.0..=1.0).contains(&share));
            let tenth = (0..9).find(|tenth| share < f64::from(tenth + 1) / 10.0).unwrap_or(9);
            tenths[usize::try_from(tenth).unwrap()] += 1;
        }
        assert!(tenths.iter().all(|shares| (30..=200).contains(shares)), "{tenths:?}");
    }

    #[tokio::test]
    async fn everybody_has_a_turn_and_nobody_before_it_has_begun() {
        let drain = Drain::new(Duration::from_millis(40));
        let mut early = drain.turn();
        assert!(timeout(Duration::from_millis(100), early.as_mut()).await.is_err());
        drain.begin();
        drain.begin();
        early.await;
        drain.turn().await;
    }
}
