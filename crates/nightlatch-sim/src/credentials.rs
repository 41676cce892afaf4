//! Credentials that sessions get after their start: added, presented, replaced, and used too late.

use crate::world::{Difference, REMEMBERED, World, equal};
use nightlatch_core::{Activity, EndReason, Time};
use nightlatch_engine::{Admission, Session, StepUp};

impl World {
    /// The subject of a session authenticates again, so long ago.
    pub(crate) fn step_up(&mut self, who: usize, before: u64) -> Result<(), Difference> {
        let Some(index) = self.pick(who) else { return Ok(()) };
        let Some(session) = self.real(index)? else { return Ok(()) };
        let now = self.now();
        let authenticated = Some(Time::from_millis(now - before));
        let begun =
            self.engine()?.add_authentication(&session, StepUp { acr: None, authenticated, cause: "sim" });
        let modelled = &self.model.sessions[index];
        let allowed = modelled.parent.is_none() && self.model.end(index, now).is_none();
        // With a disk that has failed it may be refused, and must be while nothing can be recorded.
        let troubled = self.was_troubled() || self.uneasy;
        if !(troubled && begun.is_err()) {
            equal("an authentication is added", &begun.is_ok(), &(self.recording && allowed))?;
        }
        if let Ok(begun) = begun {
            self.added[index].push(begun.into_token());
            self.model.add(index, now);
        }
        Ok(())
    }

    /// A request with one of the credentials of a session: the first, or one that was added.
    pub(crate) fn present(&mut self, who: usize, which: usize, activity: Activity) -> Result<(), Difference> {
        let Some(index) = self.pick(who) else { return Ok(()) };
        let added = which.checked_rem(self.added[index].len() + 1).and_then(|which| which.checked_sub(1));
        self.request(index, added, activity)
    }

    pub(crate) fn request(
        &mut self,
        index: usize,
        added: Option<usize>,
        activity: Activity,
    ) -> Result<(), Difference> {
        let now = self.now();
        let known = self.model.is_known(index, added);
        let credential = added.map_or(&self.names[index].1, |added| &self.added[index][added]).hash();
        if known && self.model.is_spent(index, added, now) {
            self.model.order(index, EndReason::CredentialReuse, now);
        }
        let end = self.model.end(index, now);
        match self.engine()?.check(&credential, activity, "sim") {
            Admission::Granted(permit) => {
                equal("a request is let through", &None, &end)?;
                equal("its credential is on record", &true, &known)?;
                self.model.present(index, added, now);
                if activity == Activity::Active {
                    self.model.touch(index, now);
                } else {
                    self.keep(index, permit);
                }
                Ok(())
            }
            Admission::Ended(refusal) => {
                equal("a request is refused", &Some((refusal.end.reason, refusal.end.at.as_millis())), &end)?;
                equal("its credential is on record", &true, &known)
            }
            Admission::Insufficient(_) => Err(Difference("nothing was asked of its authentications".into())),
            Admission::Unknown => {
                let forgotten = end.is_some_and(|(_, at)| now - at >= REMEMBERED);
                equal("a credential is unknown", &true, &(!known || forgotten))
            }
        }
    }

    /// What was added to a session, and what replaced what.
    pub(crate) fn compare_added(&self, index: usize, session: &Session) -> Result<(), Difference> {
        let real: Vec<_> =
            session.authentications().iter().map(|one| life(one.presented, one.replaced)).collect();
        let added = &self.model.sessions[index].added;
        let known = added.iter().enumerate().filter(|(_, added)| added.disk.issued);
        let of_added = known.map(|(place, added)| {
            (added.presented.map(|(_, at)| at), self.model.replaced(index, Some(place)))
        });
        let model: Vec<_> =
            std::iter::once((None, self.model.replaced(index, None))).chain(of_added).collect();
        equal(&format!("session {index}: when its credentials were presented and replaced"), &real, &model)
    }

    /// Takes over what a restart found: what was on record, and of what was not perhaps a beginning.
    pub(crate) fn adopt_added(&mut self, index: usize, session: &Session) -> Result<(), Difference> {
        let real = session.authentications();
        let found = real.len() - 1;
        let was = &mut self.model.sessions[index].added;
        let on_disk = was.iter().filter(|added| added.disk.issued).count();
        let within = (on_disk..=was.len()).contains(&found);
        equal(
            &format!("{found} credentials were added, {on_disk} to {} of them on disk", was.len()),
            &within,
            &true,
        )?;
        was.truncate(found);
        for (was, real) in was.iter_mut().zip(&real[1..]) {
            let before = was.presented.map(|(_, at)| at);
            let presented = real.presented.map(Time::as_millis);
            let lost = presented.is_none() && !was.disk.presented;
            equal(
                &format!("presented at {presented:?}, was {before:?}"),
                &(presented == before || lost),
                &true,
            )?;
            was.presented = was.presented.filter(|_| presented.is_some());
            (was.disk.issued, was.disk.presented) = (true, presented.is_some());
        }
        self.added[index].truncate(found);
        Ok(())
    }
}

fn life(presented: Option<Time>, replaced: Option<Time>) -> (Option<u64>, Option<u64>) {
    (presented.map(Time::as_millis), replaced.map(Time::as_millis))
}
