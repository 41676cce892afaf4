//! What the ledger says when a history is over: every session has one start, and one end if it is over and none if not.

use crate::world::{Difference, World, equal};
use nightlatch_engine::{Entry, SessionEnded};
use nightlatch_ledger::verify;
use std::collections::BTreeMap;

impl World {
    /// Ends the history: the ledger is whole, and says of each session what the model says.
    ///
    /// # Errors
    /// The first thing in which they differ.
    pub fn finish(mut self) -> Result<(), Difference> {
        if self.over {
            return Ok(());
        }
        // Whatever was planned for the machine does not happen any more, and the disk is back.
        self.platter().revive();
        self.was_troubled();
        // What the first commit makes known may be over already.
        self.commit(false)?;
        self.turn()?;
        self.commit(false)?;
        self.compare()?;
        let mut starts: BTreeMap<String, usize> = BTreeMap::new();
        let mut ends: BTreeMap<String, Vec<SessionEnded>> = BTreeMap::new();
        let mut credentials: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        let mut faults = 0;
        for entry in self.engine()?.ledger().iter_from(0) {
            let entry = entry.map_err(|error| Difference(error.to_string()))?;
            match Entry::from_bytes(&entry.payload).map_err(|error| Difference(error.to_string()))? {
                Entry::SessionStarted(started) => *starts.entry(started.session).or_default() += 1,
                Entry::SessionEnded(ended) => ends.entry(ended.session.clone()).or_default().push(ended),
                Entry::ClockFault { .. } => faults += 1,
                Entry::AuthenticationAdded(added) => credentials.entry(added.session).or_default().0 += 1,
                Entry::CredentialPresented { session, .. } => credentials.entry(session).or_default().1 += 1,
                _ => {}
            }
        }
        // A start that died may have left one, too.
        equal("each clock fault is on record", &(faults >= self.faults), &true)?;
        for (index, (name, _)) in self.names.iter().enumerate() {
            let (model, name) = (&self.model.sessions[index], name.to_string());
            let started = starts.get(&name).copied().unwrap_or(0);
            equal(&format!("session {index}: starts on record"), &started, &usize::from(!model.lost))?;
            let real = credentials.get(&name).copied().unwrap_or_default();
            let presented = model.added.iter().filter(|added| added.presented.is_some()).count();
            let model_has = if model.lost { (0, 0) } else { (model.added.len(), presented) };
            equal(&format!("session {index}: credentials and presentations on record"), &real, &model_has)?;
            let real = ends.get(&name).map_or(&[][..], |ends| ends);
            let real: Vec<_> = real.iter().map(|end| (end.reason.clone(), end.ended_at)).collect();
            let end = self.model.end(index, self.now()).filter(|_| !model.lost);
            let end: Vec<_> = end.into_iter().map(|(reason, at)| (reason.code().to_owned(), at)).collect();
            equal(&format!("session {index}: ends on record"), &real, &end)?;
        }
        self.verify()
    }

    fn verify(&self) -> Result<(), Difference> {
        let failed = |error: &dyn std::fmt::Display| Difference(format!("cannot verify: {error}"));
        let data = self.engine()?.data();
        let key = std::fs::read_to_string(data.keys().join("ledger.vkey")).map_err(|error| failed(&error))?;
        let log = key.trim().parse().map_err(|error| failed(&error))?;
        self.engine()?.ledger().checkpoint().map_err(|error| failed(&error))?;
        let trust = verify::Trust { log, witnesses: Vec::new() };
        let report = verify::verify(&data.ledger(), &trust, &[]).map_err(|error| failed(&error))?;
        equal("what verification finds", &report.findings, &Vec::new())?;
        equal("entries signed for", &report.signed_entries, &report.entries)
    }
}
