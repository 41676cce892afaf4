//! A ledger alone on the platter, for what no history shows: every start of an engine adds an entry, and signs something new.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::{
    calls,
    chance::Chance,
    disk::SimDisk,
    platter::{Failing, Platter},
};
use nightlatch_ledger::{Ledger, Options, Signer};
use std::{
    path::Path,
    sync::{Arc, Mutex},
};

fn open(folder: &Path) -> Ledger {
    let key = folder.join("ledger.key");
    let signer =
        if key.exists() { Signer::load(&key, "log").unwrap() } else { Signer::create(&key, "log").unwrap() };
    let options = Options { segment_bytes: 128 << 10 };
    Ledger::open_on(Arc::new(SimDisk::default()), &folder.join("ledger"), options, signer).unwrap().0
}

/// A sync failed, and the kernel dropped the newest note of the history, but hands it out: the next start published it, and the
/// power went. Then the checkpoint was newer than its history, and the ledger did not open.
#[test]
fn on_the_record_a_checkpoint_that_a_failed_sync_dropped_is_written_again_by_the_next_start() {
    for luck in 0..16 {
        let folder = crate::room();
        let platter = Arc::new(Mutex::new(Platter::new(folder.path())));
        calls::simulate(folder.path(), &platter);
        calls::with(&platter, || {
            let ledger = open(folder.path());
            ledger.append(b"entry").unwrap();
            ledger.commit().unwrap();
            // It is written and then synced.
            platter.lock().unwrap().fail_in(1, Failing::Lost, luck);
            ledger.checkpoint().unwrap_err();
            drop(ledger);
            open(folder.path()).checkpoint().unwrap();
        });
        assert!(!platter.lock().unwrap().lose_power(&mut Chance::new(luck)).unwrap());
        calls::with(&platter, || open(folder.path()));
    }
}
