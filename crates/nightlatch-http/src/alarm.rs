//! A timer that is set with every request and hardly ever goes off.
//!
//! A connection waits for the head of a request, and then for an application's answer, thousands of times over, each time within the same bound.
//! A timer of the runtime costs an allocation and two visits to the wheel that all threads share. So the connection keeps those it had, and
//! sets them further: while a timer has not gone off that is one word, and the wheel moves it on when it comes to the old instant.
//! At worst a kept one goes off with nobody waiting, and a task finds nothing to do.

use hyper::rt::{Sleep as HyperSleep, Timer};
use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::time::{self, Sleep, sleep, sleep_until};

/// Timers that are kept at most. HTTP/1.1 has use for two, one for the head and one for the answer; HTTP/2 for as many as answers are waited for.
const KEPT: usize = 8;

/// The timers of one connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Alarms(Arc<Mutex<Vec<Pin<Box<Sleep>>>>>);

/// One that is set. Dropped, it may be set again.
#[derive(Debug)]
pub(crate) struct Alarm {
    /// None only while it is dropped.
    sleep: Option<Pin<Box<Sleep>>>,
    of: Alarms,
}

impl Alarms {
    /// Goes off after this long.
    pub(crate) fn after(&self, within: Duration) -> Alarm {
        // A sleep that is never waited for: what it costs is a look at the clock, which only the runtime's timers have here.
        self.at(sleep(within).deadline())
    }

    fn at(&self, instant: time::Instant) -> Alarm {
        let kept = self.kept().pop();
        let sleep = match kept {
            Some(mut sleep) => {
                sleep.as_mut().reset(instant);
                sleep
            }
            None => Box::pin(sleep_until(instant)),
        };
        Alarm { sleep: Some(sleep), of: self.clone() }
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Pin<Box<Sleep>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Future for Alarm {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.sleep.as_mut().map_or(Poll::Ready(()), |sleep| sleep.as_mut().poll(cx))
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let mut kept = self.of.kept();
        if kept.len() < KEPT {
            kept.extend(self.sleep.take());
        }
    }
}

impl HyperSleep for Alarm {}

/// For the HTTP library, which has a timer for the head of a request and drops it with each one that has come.
impl Timer for Alarms {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn HyperSleep>> {
        Box::pin(self.after(duration))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn HyperSleep>> {
        Box::pin(self.at(deadline.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use tokio::time::timeout;

    const SOON: Duration = Duration::from_millis(20);
    const LATE: Duration = Duration::from_secs(600);

    #[tokio::test(start_paused = true)]
    async fn a_kept_timer_goes_off_when_it_was_last_set_to() {
        let alarms = Alarms::default();
        // Sooner and later than the one before it, not gone off, gone off.
        for (within, waited) in [(LATE, SOON), (SOON, LATE), (LATE, LATE * 2), (SOON, LATE), (LATE, SOON)] {
            let begun = time::Instant::now();
            let gone_off = timeout(waited, alarms.after(within)).await.is_ok();
            assert_eq!(gone_off, within < waited, "{within:?} {waited:?}");
            assert!(begun.elapsed() >= within.min(waited) && begun.elapsed() < within.min(waited) + SOON);
            assert_eq!(alarms.kept().len(), 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn two_at_once_do_not_disturb_each_other() {
        let alarms = Alarms::default();
        drop([LATE; KEPT + 1].map(|within| alarms.after(within)));
        assert_eq!(alarms.kept().len(), KEPT);
        let (mut late, soon) = (pin!(alarms.after(LATE)), alarms.after(SOON));
        soon.await;
        assert!(timeout(SOON, late.as_mut()).await.is_err());
        late.await;
    }
}
