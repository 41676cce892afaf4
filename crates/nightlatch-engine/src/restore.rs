//! What came out of a backup is over.
//!
//! A backup knows nothing of the ends since it was taken, so no session of it may live. They end here before anything of the
//! restored directory is put where a server looks for it; each has its entry, behind one that says where the history was cut.

use crate::{end::EndOrder, engine::Engine, entry::Entry};
use nightlatch_core::{EndReason, Time};
use nightlatch_ledger::CommitError;

impl Engine {
    /// Ends every session that lives (`restored`); on disk when this returns. Gives how many those were.
    ///
    /// For an engine that was just opened on a copy of a backup with `entries` entries, taken at `taken_at`, and serves nobody.
    ///
    /// # Errors
    /// If the disk refuses. The directory is not to be used then.
    pub fn end_restored(&self, taken_at: Time, entries: u64) -> Result<usize, CommitError> {
        self.record(&Entry::Restored {
            at: self.clock().now().as_millis(),
            taken_at: taken_at.as_millis(),
            entries,
        });
        let order = EndOrder { reason: EndReason::Restored, by: "restore", cause: None };
        let ended = self.every_session().filter(|session| self.end(session, order).is_some()).count();
        self.commit()?;
        Ok(ended)
    }
}
