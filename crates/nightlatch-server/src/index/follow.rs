//! Keeping an index close behind its ledger.

use super::Index;
use nightlatch_engine::Engine;
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// How often the follower looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// After a failure, so that a full disk does not fill the log as well.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The thread that keeps an index close behind its ledger. Dropping it ends the thread.
pub(crate) struct Follower {
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    /// Begins to follow.
    ///
    /// # Errors
    /// If the operating system gives no thread.
    pub(crate) fn start(index: Arc<Index>, engine: Arc<Engine>) -> io::Result<Follower> {
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopping);
        let follow = move || {
            while !stop.load(SeqCst) {
                match index.catch_up(engine.ledger()) {
                    Ok(true) => {}
                    Ok(false) => thread::park_timeout(LOOK_EVERY),
                    // It was logged where it was met.
                    Err(_) => thread::park_timeout(RETRY_AFTER),
                }
            }
        };
        let thread = thread::Builder::new().name("index".to_owned()).spawn(follow)?;
        Ok(Follower { stopping, thread: Some(thread) })
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stopping.store(true, SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("the thread of the index had died");
            }
        }
    }
}
