//! What can wait when many tunnels are cut at one instant.
//!
//! A session that falls due wakes its tunnels, and ten thousand may fall due together. Each has one thing to do that counts, telling its client;
//! telling its application and closing two sockets take four times as long, and nothing passes meanwhile. So that comes afterwards: in turn,
//! and not while tasks that were woken from outside, as those of ended sessions are, still wait for a thread of the runtime.

use std::{sync::Arc, time::Duration};
use tokio::{
    runtime::Handle,
    sync::Semaphore,
    time::{sleep, timeout},
};

/// How long it may be put off. A runtime with more to do than it can is no reason to keep what is over.
const PUT_OFF: Duration = Duration::from_millis(500);
/// Between two looks at what waits.
const PAUSE: Duration = Duration::from_millis(1);

/// The line in which those stand who have told their client.
#[derive(Clone, Debug)]
pub(crate) struct Afterwards(Arc<Semaphore>);

impl Default for Afterwards {
    fn default() -> Afterwards {
        Afterwards(Arc::new(Semaphore::new(1)))
    }
}

impl Afterwards {
    /// Completes when nobody waits who has not told his client, as far as can be seen; at once where one is cut alone. Only the first in
    /// line looks.
    pub(crate) async fn turn(&self) {
        let waiting = async {
            let _first = self.0.acquire().await;
            while Handle::current().metrics().global_queue_depth() > 0 {
                sleep(PAUSE).await;
            }
        };
        let _ = timeout(PUT_OFF, waiting).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Mutex, mpsc};
    use tokio::runtime::Builder;

    const MANY: usize = 2_000;
    /// What a thread of the runtime takes out of the common line at once, at most.
    const AT_ONCE: usize = 256;

    #[test]
    fn of_many_that_are_cut_at_once_all_tell_their_clients_before_any_does_the_rest() {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
        let (afterwards, order) = (Afterwards::default(), Arc::<Mutex<Vec<bool>>>::default());
        let (go, gone) = mpsc::channel::<()>();
        // Keeps the only thread until all wait.
        let mut tasks = vec![runtime.spawn(async move { gone.recv().unwrap() })];
        for _ in 0..MANY {
            let (afterwards, order) = (afterwards.clone(), Arc::clone(&order));
            tasks.push(runtime.spawn(async move {
                order.lock().unwrap().push(true);
                afterwards.turn().await;
                order.lock().unwrap().push(false);
            }));
        }
        go.send(()).unwrap();
        for task in tasks {
            runtime.block_on(task).unwrap();
        }
        let order = order.lock().unwrap();
        let told_first = order.iter().take_while(|told| **told).count();
        assert_eq!(order.len(), 2 * MANY);
        assert!(told_first >= MANY - AT_ONCE, "only {told_first} were told before the first was done with");
    }

    #[tokio::test(start_paused = true)]
    async fn one_alone_does_not_wait_and_nobody_waits_for_ever() {
        let afterwards = Afterwards::default();
        afterwards.turn().await;
        let _first = afterwards.0.acquire().await.unwrap();
        assert!(timeout(PUT_OFF / 2, afterwards.turn()).await.is_err());
        assert!(timeout(PUT_OFF * 2, afterwards.turn()).await.is_ok());
    }
}
