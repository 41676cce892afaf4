//! The threads of an engine: one that ends sessions on time, one that writes entries, one for upkeep, one for snapshots.
//!
//! They are threads of their own and not tasks, because a busy runtime must not be able to hold back a deadline or a write. Each
//! only calls the engine; what it does and when is decided there.

use crate::engine::Engine;
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// No thread sleeps longer than this: a wall clock that stepped is noticed by then.
const LONGEST_SLEEP: Duration = Duration::from_millis(250);
const UPKEEP_EVERY: Duration = Duration::from_millis(500);
/// After a failed write, before the next try.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// An engine at work. Dropping it stops the threads and leaves the files in order.
pub struct Running {
    engine: Arc<Engine>,
    stopping: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Running {
    /// Sets the engine to work.
    ///
    /// # Errors
    /// If the operating system gives no thread.
    pub fn start(engine: Engine) -> io::Result<Running> {
        let engine = Arc::new(engine);
        let mut running = Running { engine, stopping: Arc::default(), threads: Vec::new() };
        running.spawn("timekeeper", keep_time)?;
        running.spawn("recorder", keep_record)?;
        running.spawn("upkeep", keep_up)?;
        running.spawn("snapshots", keep_snapshots)?;
        Ok(running)
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    fn spawn(&mut self, name: &str, body: fn(&Engine, &AtomicBool)) -> io::Result<()> {
        let (engine, stopping) = (Arc::clone(&self.engine), Arc::clone(&self.stopping));
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
            let _vital = Vital;
            body(&engine, &stopping);
        })?;
        self.threads.push(thread);
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stopping.store(true, SeqCst);
        for thread in self.threads.drain(..) {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("a thread of the engine had died");
            }
        }
        self.engine.stop();
    }
}

/// Without one of its threads an engine would let sessions live on in silence, so a panic in one ends the program: what
/// supervises it starts it again, and what fell due meanwhile is found.
struct Vital;

impl Drop for Vital {
    fn drop(&mut self) {
        if thread::panicking() {
            std::process::abort();
        }
    }
}

fn keep_time(engine: &Engine, stopping: &AtomicBool) {
    engine.timed_by_this_thread();
    while !stopping.load(SeqCst) {
        engine.watch();
        let wait = match engine.turn() {
            Some(next) => Duration::from_nanos(next.as_nanos().saturating_sub(engine.clock().now_nanos())),
            None => LONGEST_SLEEP,
        };
        thread::park_timeout(wait.min(LONGEST_SLEEP));
    }
}

fn keep_record(engine: &Engine, stopping: &AtomicBool) {
    engine.journal().committed_by_this_thread();
    while !stopping.load(SeqCst) {
        if engine.ledger().pending() == 0 {
            thread::park_timeout(LONGEST_SLEEP);
            continue;
        }
        // What fails is said where it is noted.
        if engine.commit().is_err() {
            thread::park_timeout(RETRY_AFTER);
        }
    }
}

fn keep_up(engine: &Engine, stopping: &AtomicBool) {
    while !stopping.load(SeqCst) {
        engine.upkeep();
        thread::park_timeout(UPKEEP_EVERY);
    }
}

/// Apart from upkeep, because to write a million sessions down takes seconds, and activity is to be on disk within one. Not niced:
/// it takes the table's lock for a page at a time, and whoever admits a session, and tells of ends next, would wait behind it.
fn keep_snapshots(engine: &Engine, stopping: &AtomicBool) {
    while !stopping.load(SeqCst) {
        engine.snapshot_if_due();
        thread::park_timeout(UPKEEP_EVERY);
    }
}
