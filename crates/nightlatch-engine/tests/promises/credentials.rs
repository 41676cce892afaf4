//! Credentials and authentications are sets that only grow: a new credential replaces those before it once it is presented, and its holder is
//! never thrown out by how answers and requests travel.

use crate::common::*;
use nightlatch_core::{Activity, EndReason, Limits, Policy, SessionId, Span};
use nightlatch_engine::{Admission, BlockOrder, Demand, Engine, Entry, Session, StepUp, StepUpError, Token};
use proptest::prelude::*;
use std::{
    collections::BTreeMap,
    fs,
    sync::{Arc, atomic::Ordering::SeqCst},
};

const OVERLAP: u64 = 30_000;

fn step_up(acr: Option<&str>) -> StepUp {
    StepUp { acr: acr.map(str::to_owned), authenticated: None, cause: "test" }
}

fn renew(engine: &Engine, session: &Arc<Session>) -> Token {
    let token = engine.add_authentication(session, step_up(None)).unwrap().into_token();
    engine.commit().unwrap();
    token
}

/// Activity with a credential, so that nothing ends by being idle.
fn works(engine: &Arc<Engine>, token: &Token) -> bool {
    touch(engine, token).is_ok()
}

#[test]
fn never_early_the_old_one_is_good_until_the_new_one_is_presented_and_for_the_overlap() {
    let house = House::new();
    let engine = house.open();
    let (session, old) = sign_in(&engine, "ada");
    house.time.advance(1_000 * MS);
    let new = renew(&engine, &session);
    for _ in 0..5 {
        house.time.advance(40_000 * MS);
        assert!(works(&engine, &old), "the answer with the new one was lost");
    }
    assert!(works(&engine, &new));
    house.time.advance((OVERLAP - 1) * MS);
    assert!(works(&engine, &old), "a request that was under way");
    house.time.advance(MS);
    let refusal = touch(&engine, &old).unwrap_err();
    assert_eq!(refusal.end.reason, EndReason::CredentialReuse);
    assert_eq!(touch(&engine, &new).unwrap_err().end.reason, EndReason::CredentialReuse);
    engine.commit().unwrap();
    assert!(ready(refusal.told()).is_some());
    let end = end_entry(&engine, session.facts.id);
    assert_eq!((&*end.reason, &*end.by, end.ended_at), ("credential_reuse", "check", BEGIN + 231_000));
}

#[test]
fn on_the_record_an_authentication_and_the_first_presentation_of_its_credential() {
    let house = House::new();
    let engine = house.open();
    let (session, _) = sign_in(&engine, "ada");
    house.time.advance(1_000 * MS);
    let token = engine.add_authentication(&session, step_up(Some("mfa"))).unwrap().into_token();
    let check = |token: &Token| engine.check(&token.hash(), Activity::Passive, "test");
    assert!(matches!(check(&token), Admission::Unknown), "not before it is on disk");
    engine.commit().unwrap();
    house.time.advance(500 * MS);
    assert!(matches!(check(&token), Admission::Granted(_)));
    assert!(matches!(check(&token), Admission::Granted(_)));
    engine.commit().unwrap();
    let about = about(&engine, session.facts.id);
    let [
        Entry::SessionStarted(_),
        Entry::AuthenticationAdded(added),
        Entry::CredentialPresented { at, issued_by, .. },
    ] = &about[..]
    else {
        panic!("{about:?}")
    };
    assert_eq!(
        (added.at, added.authenticated, added.acr.as_deref()),
        (BEGIN + 1_000, BEGIN + 1_000, Some("mfa"))
    );
    assert_eq!(*at, BEGIN + 1_500);
    assert!(matches!(&entries(&engine)[*issued_by as usize], Entry::AuthenticationAdded(_)));
}

#[test]
fn never_longer_a_step_up_moves_no_limit_and_is_no_activity() {
    let house = House::new();
    let engine = house.open();
    let (session, _) = sign_in(&engine, "ada");
    house.time.advance((IDLE - 1) * MS);
    let before = (session.deadline(), session.hard_end(), session.idle());
    renew(&engine, &session);
    assert_eq!((session.deadline(), session.hard_end(), session.idle()), before);
    house.time.advance(MS);
    engine.turn();
    assert_eq!(end_of(&session), Some((EndReason::IdleTimeout, IDLE)));
    let refused = engine.add_authentication(&session, step_up(None)).unwrap_err();
    assert!(matches!(refused, StepUpError::Over(EndReason::IdleTimeout)), "{refused}");
}

#[test]
fn never_revived_a_replaced_credential_stays_replaced_after_any_restart() {
    for lose_snapshots in [false, true] {
        for clean in [false, true] {
            let house = House::new();
            let engine = house.open();
            let (session, old) = sign_in(&engine, "ada");
            let id = session.facts.id;
            let new = renew(&engine, &session);
            assert!(works(&engine, &new));
            engine.commit().unwrap();
            if clean {
                engine.stop();
            }
            drop((session, engine));
            if lose_snapshots {
                drop(fs::remove_dir_all(house.folder.path().join("snapshot")));
            }
            house.time.advance(OVERLAP * MS);
            let engine = house.open();
            let view = engine.session(id).unwrap().authentications();
            assert_eq!(view.iter().map(|one| one.replaced).collect::<Vec<_>>(), [Some(at(0)), None]);
            assert_eq!(view[1].presented, Some(at(0)));
            assert!(works(&engine, &new));
            assert_eq!(touch(&engine, &old).unwrap_err().end.reason, EndReason::CredentialReuse);
            engine.commit().unwrap();
            drop(engine);
            let engine = house.open();
            for token in [&old, &new] {
                assert_eq!(touch(&engine, token).unwrap_err().end.reason, EndReason::CredentialReuse);
            }
        }
    }
}

#[test]
fn never_early_what_a_crash_took_of_a_presentation_is_presented_again() {
    let house = House::new();
    let engine = house.open();
    let (session, old) = sign_in(&engine, "ada");
    let new = renew(&engine, &session);
    assert!(works(&engine, &new));
    drop((session, engine));
    house.time.advance(OVERLAP * MS);
    let engine = house.open();
    assert!(works(&engine, &old), "no presentation is on record");
    assert!(works(&engine, &new));
    house.time.advance(OVERLAP * MS);
    assert!(touch(&engine, &old).is_err());
}

#[test]
fn never_early_two_that_were_issued_side_by_side_do_not_replace_each_other() {
    let house = House::new();
    let engine = house.open();
    let (session, first) = sign_in(&engine, "ada");
    house.time.advance(1_000 * MS);
    let (one, two) = (renew(&engine, &session), renew(&engine, &session));
    // The answers came in the other order: the client goes on with the one that was issued first.
    assert!(works(&engine, &two) && works(&engine, &one));
    house.time.advance(OVERLAP * MS);
    assert!(works(&engine, &one) && works(&engine, &two));
    // The next one replaces both.
    let next = renew(&engine, &session);
    assert!(works(&engine, &next));
    house.time.advance((OVERLAP - 1) * MS);
    assert!(works(&engine, &one) && works(&engine, &two));
    house.time.advance(MS);
    assert!(touch(&engine, &two).is_err());
    assert!(touch(&engine, &first).is_err());
}

#[test]
fn together_every_credential_of_a_session_learns_of_its_end_and_is_forgotten_with_it() {
    let house = House::new();
    let engine = house.open();
    let (session, old) = sign_in(&engine, "ada");
    let new = renew(&engine, &session);
    let permit = look(&engine, &new).unwrap();
    let mut waiting = Waiting::begin(permit.ended());
    house.time.advance(OVERLAP * MS);
    assert!(touch(&engine, &old).is_err());
    assert!(permit.ask().is_err(), "nothing more passes");
    assert!(waiting.woken().is_none(), "not told before it is on record");
    engine.commit().unwrap();
    assert_eq!(waiting.woken().unwrap().reason, EndReason::CredentialReuse);
    drop(waiting);
    drop(permit);
    house.pass(&engine, 25 * 3_600_000);
    for token in [&old, &new] {
        assert!(matches!(engine.check(&token.hash(), Activity::Passive, "test"), Admission::Unknown));
    }
}

#[test]
fn never_late_a_deadline_that_has_passed_is_the_end_before_a_reuse_is() {
    let house = House::new();
    let engine = house.open();
    let (session, old) = sign_in(&engine, "ada");
    let new = renew(&engine, &session);
    assert!(works(&engine, &new));
    house.time.advance(IDLE * MS);
    assert_eq!(touch(&engine, &old).unwrap_err().end.reason, EndReason::IdleTimeout);
    assert_eq!(end_of(&session), Some((EndReason::IdleTimeout, IDLE)));
}

#[test]
fn a_blocked_subject_gets_no_credential_and_its_added_ones_open_nothing() {
    let house = House::new();
    let engine = house.open();
    let (session, _) = sign_in(&engine, "ada");
    let added = renew(&engine, &session);
    let order = BlockOrder { by: "test", cause: None };
    engine.block(&session.facts.who.subject, order).unwrap();
    let refused = engine.add_authentication(&session, step_up(None)).unwrap_err();
    assert!(matches!(refused, StepUpError::Over(EndReason::Blocked)), "{refused}");
    assert_eq!(touch(&engine, &added).unwrap_err().end.reason, EndReason::Blocked);
}

#[test]
fn never_revived_no_credential_of_a_restored_session_opens_anything() {
    let house = House::new();
    let engine = house.open();
    let (session, old) = sign_in(&engine, "ada");
    let new = renew(&engine, &session);
    drop((session, engine));
    let engine = house.open();
    engine.end_restored(at(0), 3).unwrap();
    for token in [&old, &new] {
        assert_eq!(touch(&engine, token).unwrap_err().end.reason, EndReason::Restored);
    }
}

#[test]
fn fail_closed_nothing_is_added_without_a_record() {
    let house = House::new();
    let engine = house.open();
    let (session, old) = sign_in(&engine, "ada");
    house.disk.fails.store(true, SeqCst);
    let lost = engine.add_authentication(&session, step_up(None)).unwrap().into_token();
    assert!(engine.commit().is_err());
    let refused = engine.add_authentication(&session, step_up(None)).unwrap_err();
    assert!(matches!(refused, StepUpError::NotRecording), "{refused}");
    assert!(matches!(engine.check(&lost.hash(), Activity::Active, "test"), Admission::Unknown));
    assert!(works(&engine, &old), "a session that runs is enforced");
    house.disk.fails.store(false, SeqCst);
    engine.commit().unwrap();
    assert!(works(&engine, &lost), "its entry came to disk after all");
}

#[test]
fn on_the_record_a_full_disk_takes_nothing_of_the_room_of_ends_and_presentations() {
    let house = House::with_segments(64 << 10);
    let engine = house.open();
    let sessions: Vec<_> = (0..40).map(|number| sign_in(&engine, &format!("person {number}"))).collect();
    house.disk.full.store(true, SeqCst);
    engine.upkeep();
    let mut added = Vec::new();
    for (session, _) in sessions.iter().cycle().take(4_000) {
        match engine.add_authentication(session, step_up(None)) {
            Ok(step_up) => added.push(step_up.into_token()),
            Err(StepUpError::NotRecording) => break,
            Err(error) => panic!("{error}"),
        }
        engine.commit().unwrap();
    }
    assert!(added.len() < 4_000 && !added.is_empty(), "{}", added.len());
    for token in &added {
        assert!(works(&engine, token));
    }
    engine.commit().unwrap();
    for (session, _) in &sessions {
        revoke(&engine, session).unwrap();
    }
    engine.commit().unwrap();
    let on_record = entries(&engine);
    let presented =
        on_record.iter().filter(|entry| matches!(entry, Entry::CredentialPresented { .. })).count();
    let ended = on_record.iter().filter(|entry| matches!(entry, Entry::SessionEnded(_))).count();
    assert_eq!((presented, ended), (added.len(), 40));
}

#[test]
fn what_a_session_gets_is_bounded_and_a_lease_gets_nothing() {
    let house = House::new();
    let engine = house.open();
    let (session, _) = sign_in(&engine, "ada");
    for _ in 0..256 {
        renew(&engine, &session);
    }
    let refused = engine.add_authentication(&session, step_up(None)).unwrap_err();
    assert!(matches!(refused, StepUpError::TooMany), "{refused}");
    let (worker, _) = lease(&engine, &session);
    let refused = engine.add_authentication(&worker, step_up(None)).unwrap_err();
    assert!(matches!(refused, StepUpError::Lease), "{refused}");
    let ahead = StepUp { authenticated: Some(at(5_001)), ..step_up(None) };
    let (other, _) = sign_in(&engine, "bob");
    let refused = engine.add_authentication(&other, ahead).unwrap_err();
    assert!(matches!(refused, StepUpError::AuthenticatedInTheFuture { .. }), "{refused}");
}

fn demand(age: u64, acr: Option<&str>) -> Demand {
    Demand { age: Span::from_millis(age), acr: acr.map(str::to_owned) }
}

/// Whether what is asked is granted.
fn is_enough(engine: &Engine, token: &Token, demands: &[&Demand]) -> bool {
    match engine.check_sensitive(&token.hash(), Activity::Active, "test", demands) {
        Admission::Granted(_) => true,
        Admission::Insufficient(_) => false,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_sensitive_request_needs_a_fresh_authentication_and_a_denial_extends_nothing() {
    let house = House::new();
    let engine = house.open();
    let (session, token) = sign_in(&engine, "ada");
    let fresh = demand(5_000, None);
    house.time.advance(4_999 * MS);
    assert!(is_enough(&engine, &token, &[&fresh]));
    house.time.advance(MS);
    let before = session.deadline();
    assert!(!is_enough(&engine, &token, &[&fresh]));
    assert_eq!((session.deadline(), session.end()), (before, None));
    assert_eq!(engine.stats().insufficient.load(SeqCst), 1);
    let new = renew(&engine, &session);
    assert!(is_enough(&engine, &new, &[&fresh]));
    assert!(is_enough(&engine, &token, &[&fresh]), "it is the session that has the authentication");
    // In the way that is asked for, and that one is young enough.
    let strong = demand(5_000, Some("mfa"));
    assert!(!is_enough(&engine, &new, &[&strong]));
    let step_up = StepUp { authenticated: Some(at(1_000)), ..step_up(Some("mfa")) };
    engine.add_authentication(&session, step_up).unwrap();
    engine.commit().unwrap();
    assert!(is_enough(&engine, &new, &[&strong]));
    house.time.advance(1_000 * MS);
    let refused = engine.check_sensitive(&new.hash(), Activity::Active, "test", &[&fresh, &strong]);
    let Admission::Insufficient(refused) = refused else { panic!("{refused:?}") };
    assert_eq!(refused.demand, strong);
    // A lease is no authentication, however young it is.
    let (_, worker) = lease(&engine, &session);
    assert!(is_enough(&engine, &worker, &[&fresh]));
    assert!(!is_enough(&engine, &worker, &[&strong]));
    drop((session, engine));
    let engine = house.open();
    assert!(is_enough(&engine, &new, &[&fresh]), "also after a restart");
    assert!(!is_enough(&engine, &new, &[&strong]));
}

/// A browser: one place for the credential, requests and answers that take their time, answers that come in any order or not at all.
struct Browser {
    house: House,
    engine: Option<Arc<Engine>>,
    session: SessionId,
    tokens: Vec<Token>,
    held: usize,
    now: u64,
    /// What is on its way: when it arrives, and what.
    under_way: BTreeMap<(u64, usize), Travels>,
    /// When a credential other than the first was first presented.
    presented: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
enum Travels {
    Request(usize),
    Answer(usize),
}

/// One thing that a browser does, and how long it takes to travel.
#[derive(Clone, Copy, Debug)]
enum Does {
    Request(u64),
    StepUp { takes: u64, lost: bool },
    Wait(u64),
    Crash,
}

fn does() -> impl Strategy<Value = Does> {
    prop_oneof![
        6 => (0..OVERLAP).prop_map(Does::Request),
        3 => (0..OVERLAP, prop::bool::weighted(0.3)).prop_map(|(takes, lost)| Does::StepUp { takes, lost }),
        3 => (0..OVERLAP / 4).prop_map(Does::Wait),
        1 => (OVERLAP / 2..2 * OVERLAP).prop_map(Does::Wait),
        1 => Just(Does::Crash),
    ]
}

impl Browser {
    fn new() -> Browser {
        let house = House::new();
        let engine = Browser::open(&house);
        let (session, token) = sign_in(&engine, "ada");
        let session = session.facts.id;
        let (tokens, under_way) = (vec![token], BTreeMap::new());
        Browser { house, engine: Some(engine), session, tokens, held: 0, now: 0, under_way, presented: None }
    }

    /// Nothing here is about idleness.
    fn open(house: &House) -> Arc<Engine> {
        let limits =
            Limits::new(Span::from_secs(100_000), Span::from_secs(200_000), Span::from_secs(1)).unwrap();
        house.try_open_under(Policy { version: 1, limits }).unwrap().0
    }

    fn engine(&self) -> &Arc<Engine> {
        self.engine.as_ref().unwrap()
    }

    fn send(&mut self, takes: u64, what: Travels) {
        self.under_way.insert((self.now + takes, self.under_way.len()), what);
    }

    /// Time passes; whatever is refused is an error.
    fn wait(&mut self, millis: u64) -> Result<(), EndReason> {
        let until = self.now + millis;
        while let Some(first) = self.under_way.first_entry()
            && first.key().0 <= until
        {
            let ((at, _), what) = first.remove_entry();
            self.pass_to(at);
            match what {
                Travels::Answer(token) => self.held = token,
                Travels::Request(token) => self.ask(token)?,
            }
        }
        self.pass_to(until);
        Ok(())
    }

    fn pass_to(&mut self, at: u64) {
        self.house.time.advance((at - self.now) * MS);
        self.now = at;
    }

    fn ask(&mut self, token: usize) -> Result<(), EndReason> {
        touch(self.engine(), &self.tokens[token]).map_err(|refusal| refusal.end.reason)?;
        if token > 0 {
            self.presented.get_or_insert(self.now);
        }
        Ok(())
    }

    fn does(&mut self, doing: Does, replays: bool) -> Result<(), EndReason> {
        match doing {
            Does::Request(takes) => {
                self.send(takes, Travels::Request(self.held));
                if replays {
                    self.send(takes / 2, Travels::Request(self.held));
                }
            }
            Does::StepUp { takes, lost } => {
                let session = self.engine().session(self.session).unwrap();
                let token = renew(self.engine(), &session);
                self.tokens.push(token);
                if !lost {
                    self.send(takes, Travels::Answer(self.tokens.len() - 1));
                }
            }
            Does::Wait(millis) => self.wait(millis)?,
            Does::Crash => {
                self.engine.take();
                self.engine = Some(Browser::open(&self.house));
                // What was not on record is as if it had not come.
                let all = self.engine().session(self.session).unwrap().authentications();
                let presented = all.iter().filter_map(|one| one.presented).min();
                self.presented = presented.map(|at| at.as_millis() - BEGIN);
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn never_early_lost_answers_aborted_tabs_races_and_replays_throw_nobody_out(
        doings in prop::collection::vec(does(), 1..60), replays: bool
    ) {
        let mut browser = Browser::new();
        for doing in doings {
            prop_assert_eq!(browser.does(doing, replays), Ok(()), "at {} with {:?}", browser.now, doing);
        }
        prop_assert_eq!(browser.wait(OVERLAP), Ok(()));
        prop_assert_eq!(browser.ask(browser.held), Ok(()));
        // And who has kept the first one, which a later one replaced so long ago, ends it.
        if let Some(presented) = browser.presented {
            browser.pass_to(browser.now.max(presented + OVERLAP));
            prop_assert_eq!(browser.ask(0), Err(EndReason::CredentialReuse));
        }
    }
}
