//! Waiting for the gateway to stop, beside something that keeps a task busy.
//!
//! Whoever waits on a channel is asked with every move of its task, and takes the channel's lock each time only to find that it waits already.
//! A connection moves a few times with every request, and the gateway stops once. So nothing is asked as long as nothing was said
//! there and the task that would be woken is still the same.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, Waker},
};
use tokio::sync::watch;

/// Completes when the gateway stops, or nobody is left who could say so.
pub(crate) struct Stopping {
    stop: watch::Receiver<bool>,
    said: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Who is woken when it is.
    woken: Option<Waker>,
}

impl Stopping {
    /// As `stop` says.
    pub(crate) fn of(mut stop: watch::Receiver<bool>) -> Stopping {
        // What was said before is found when it is first asked.
        stop.mark_unchanged();
        let mut listening = stop.clone();
        let said = Box::pin(async move {
            let _ = listening.wait_for(|stop| *stop).await;
        });
        Stopping { stop, said, woken: None }
    }
}

impl Future for Stopping {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let silent = self.stop.has_changed().is_ok_and(|changed| !changed);
        if silent && self.woken.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            return Poll::Pending;
        }
        self.woken = Some(cx.waker().clone());
        self.said.as_mut().poll(cx)
    }
}

impl fmt::Debug for Stopping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stopping(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        pin::pin,
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering::SeqCst},
        },
        task::Wake,
        time::Duration,
    };
    use tokio::time::timeout;

    const SOON: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn what_is_said_is_heard_by_whoever_asked_last() {
        let sender = watch::Sender::new(false);
        let mut stopping = pin!(Stopping::of(sender.subscribe()));
        for _ in 0..3 {
            assert!(stopping.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            assert!(timeout(Duration::from_millis(1), stopping.as_mut()).await.is_err());
        }
        sender.send_replace(false);
        assert!(timeout(Duration::from_millis(1), stopping.as_mut()).await.is_err());
        let said = async { tokio::join!(stopping.as_mut(), async { assert!(!sender.send_replace(true)) }) };
        assert!(timeout(SOON, said).await.is_ok());
    }

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, SeqCst);
        }
    }

    #[test]
    fn a_task_that_took_it_over_is_woken() {
        let sender = watch::Sender::new(false);
        let mut stopping = pin!(Stopping::of(sender.subscribe()));
        let mut poll = |waker: &Waker| stopping.as_mut().poll(&mut Context::from_waker(waker)).is_ready();
        let woken = Arc::<Woken>::default();
        let waker = Waker::from(Arc::clone(&woken));
        assert!(!poll(Waker::noop()) && !poll(&waker) && !poll(&waker));
        sender.send_replace(true);
        assert!(woken.0.load(SeqCst) && poll(&waker));
    }

    #[tokio::test]
    async fn what_was_said_before_is_heard() {
        let sender = watch::Sender::new(true);
        assert!(timeout(SOON, Stopping::of(sender.subscribe())).await.is_ok());
        let stopping = Stopping::of(watch::Sender::new(false).subscribe());
        assert!(timeout(SOON, stopping).await.is_ok());
    }
}
