//! The running server shows its record to every witness, at the start and then regularly.
//!
//! On a thread of its own, with a runtime of its own: what it waits for (the disk, a name, a witness that says nothing) is waited for by
//! nobody else, and enforcing knows nothing of it. Each witness has a task, so that one that is away does not keep the others
//! waiting; of each there is one attempt at a time, which ends by itself. One that fails is tried again soon, then less and less soon, and
//! never less often than regularly. A crash in between loses an answer at most; the witness goes on from what it has.

use super::{
    show::{Refusal, Seen, show},
    standing::Standing,
};
use crate::config::ledger::{Ledger as Settings, Witness};
use nightlatch_engine::Engine;
use nightlatch_ledger::Ledger;
use std::{
    io,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::{sync::watch, time::sleep};

/// After the first failure; twice as long after each further one, up to the regular wait.
const RETRY_AFTER: Duration = Duration::from_secs(30);
/// A new ledger is signed for the first time within a second.
const FIRST_CHECKPOINT_WAIT: Duration = Duration::from_millis(250);

/// The thread that shows the record. It is over when this is dropped.
pub(crate) struct Regular {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Regular {
    /// Begins, unless there is no witness.
    ///
    /// # Errors
    /// If the operating system gives no thread.
    pub(crate) fn start(settings: &Settings, engine: &Arc<Engine>) -> io::Result<Option<Regular>> {
        if settings.witnesses.is_empty() {
            return Ok(None);
        }
        let (stop, stopping) = watch::channel(false);
        let every = Duration::from_millis(settings.anchor_every.0);
        let (engine, witnesses) = (Arc::clone(engine), settings.witnesses.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let work = move || {
            let tasks = witnesses.iter().map(|witness| {
                let mut stopping = stopping.clone();
                let ledger = engine.ledger();
                async move {
                    let standing = Standing::open(witness.key.name(), last(ledger, witness));
                    tokio::select! {
                        _ = stopping.changed() => {}
                        never = regularly(ledger, witness, &standing, every) => match never {},
                    }
                }
            });
            runtime.block_on(futures_util::future::join_all(tasks));
            // A name that is still being looked up would be waited for otherwise.
            runtime.shutdown_background();
        };
        let thread = thread::Builder::new().name("witnesses".to_owned()).spawn(work)?;
        Ok(Some(Regular { stop, thread: Some(thread) }))
    }

    /// Begins nothing more, and breaks off what waits for a witness. Does not wait itself.
    pub(crate) fn stop(&self) {
        let _ = self.stop.send(true);
    }
}

impl Drop for Regular {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that shows the record to witnesses had died");
        }
    }
}

/// What a witness cosigned before this start.
fn last(ledger: &Ledger, witness: &Witness) -> Option<Seen> {
    let kept = ledger.cosigned().newest_by(&witness.key).ok().flatten();
    kept.map(|(signed, unix_seconds)| Seen { entries: signed.checkpoint().size, unix_seconds })
}

async fn regularly(
    ledger: &Ledger,
    witness: &Witness,
    standing: &Standing,
    every: Duration,
) -> std::convert::Infallible {
    let mut failed_before = 0;
    while ledger.last_checkpoint().is_none() {
        sleep(FIRST_CHECKPOINT_WAIT).await;
    }
    loop {
        let shown = show(ledger, witness).await;
        standing.note(&shown);
        say(witness, &shown, failed_before);
        failed_before = if shown.is_ok() { 0 } else { failed_before.saturating_add(1) };
        sleep(wait(every, failed_before)).await;
    }
}

/// How long to wait after so many failures in a row.
fn wait(every: Duration, failures: u32) -> Duration {
    match failures {
        0 => every,
        _ => RETRY_AFTER.saturating_mul(2_u32.saturating_pow(failures - 1)).min(every),
    }
}

/// One line when something changes, and one each time for what must not be missed.
fn say(witness: &Witness, shown: &Result<Seen, Refusal>, failed_before: u32) {
    let (name, url) = (witness.key.name(), witness.url.to_string());
    match shown {
        Ok(seen) if failed_before > 0 => {
            tracing::info!(witness = name, entries = seen.entries, "a witness cosigns again");
        }
        Ok(seen) => tracing::debug!(witness = name, entries = seen.entries, "a witness has cosigned"),
        Err(Refusal::Contradicted(what)) => tracing::error!(
            witness = name,
            url,
            what,
            runbook = "witness-refuses.md",
            "a witness has seen another history than the one that is here"
        ),
        Err(Refusal::Failed(failure, what)) if failed_before == 0 => tracing::warn!(
            witness = name,
            url,
            what,
            failure = failure.code(),
            runbook = "witness-refuses.md",
            "a witness has not cosigned; tried again until it does"
        ),
        Err(Refusal::Failed(_, what)) => tracing::debug!(witness = name, what, "a witness has not cosigned"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_witness_that_fails_is_tried_soon_then_less_soon_and_never_less_than_regularly() {
        let hour = Duration::from_secs(3_600);
        let waits = [0, 1, 2, 3, 7, 8, 100, u32::MAX].map(|failures| wait(hour, failures).as_secs());
        assert_eq!(waits, [3_600, 30, 60, 120, 1_920, 3_600, 3_600, 3_600]);
        assert_eq!(wait(Duration::from_secs(1), 1).as_secs(), 1);
    }
}
