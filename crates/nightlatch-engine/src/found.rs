//! The table as snapshot, ledger and slots have it, before the clock is asked.
//!
//! Each source is taken in as it comes; because everything that changes in a session is a join, it does not matter where they overlap.

use crate::{
    engine::Authority,
    entry::{AuthenticationAdded, BlockRecord, Entry, EntryError, SessionEnded, SessionStarted},
    kept::{AddedRecord, Kept, Names, SessionRecord},
    provider_logout::{TokenName, Used},
    session::Terms,
};
use nightlatch_core::{
    CredentialHash, Generation, ProviderSession, Register, RuleId, SessionId, Span, Time, Word,
};
use nightlatch_store::Pseudonym;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

/// No more sessions than this start at one time. Each start is an entry, so no place lies further beyond the entries there are.
const STARTING_MOST: u64 = 1 << 20;

/// Every session that was found, and the latest instant that anything tells of.
pub(crate) struct Found<'a> {
    authority: &'a Authority,
    known: Vec<(SessionId, Known)>,
    /// Where each stands in that row. A map of a million whole sessions would be twice the memory, and at a start memory is time.
    places: HashMap<SessionId, usize>,
    /// The last change of each subject's block, and its entry's index.
    pub(crate) blocks: BTreeMap<String, (u64, Option<BlockRecord>)>,
    /// Logout tokens that were used.
    pub(crate) logout_tokens: Vec<Used>,
    /// Every session that a lease belongs to.
    parents: HashSet<SessionId>,
    pub(crate) latest: Time,
}

/// What is known of one session: its facts, its limits as they were lowered since, and what became of it.
pub(crate) struct Known {
    pub(crate) credential: CredentialHash,
    pub(crate) pseudonym: Pseudonym,
    pub(crate) terms: Arc<Terms>,
    pub(crate) started: Time,
    pub(crate) parent: Option<SessionId>,
    pub(crate) continues: Option<SessionId>,
    pub(crate) provider_session: Option<ProviderSession>,
    pub(crate) slot: u32,
    pub(crate) idle: Register,
    pub(crate) hard_end: Register,
    pub(crate) word: Word,
    pub(crate) ended_at: Option<Time>,
    /// The index of the entry of its end, if that is on record.
    pub(crate) end_entry: Option<u64>,
    /// How many requests were refused after its end, as far as is known.
    pub(crate) refused: u32,
    /// What it got since it started, in the order of entries.
    pub(crate) added: Vec<KnownAdded>,
    /// The first block of its subject after it started: it ended then, if by nothing before.
    pub(crate) blocked: Option<Arc<BlockRecord>>,
}

/// What is known of an authentication that was added.
pub(crate) struct KnownAdded {
    pub(crate) entry: u64,
    pub(crate) issued: Time,
    pub(crate) authenticated: Time,
    pub(crate) acr: Option<String>,
    pub(crate) credential: CredentialHash,
    /// The entry of its first presentation, and when that was.
    pub(crate) presented: Option<(u64, Time)>,
}

impl<'a> Found<'a> {
    pub(crate) fn new(authority: &'a Authority) -> Found<'a> {
        Found {
            authority,
            known: Vec::new(),
            places: HashMap::new(),
            blocks: BTreeMap::new(),
            logout_tokens: Vec::new(),
            parents: HashSet::new(),
            latest: Time::ZERO,
        }
    }

    /// Takes in a whole snapshot.
    pub(crate) fn take_snapshot(&mut self, mut records: Vec<Kept>) -> Result<(), EntryError> {
        // They come last, because they are complete only then.
        let names = match records.pop() {
            Some(Kept::Names(names)) => names,
            _ => return Err(EntryError::Field("names")),
        };
        let Names { rules, terms } = names;
        let rules: Vec<RuleId> = rules.iter().map(|name| self.authority.rules().number(name)).collect();
        let known_terms = |terms| self.authority.terms().one(terms);
        let terms: Option<Vec<Arc<Terms>>> =
            terms.into_iter().map(|record| record.terms().map(known_terms)).collect();
        let terms = terms.ok_or(EntryError::Field("kind"))?;
        self.known.reserve(records.len());
        self.places.reserve(records.len());
        for record in records {
            match record {
                Kept::Session(session) => self.take_record(&session, &rules, &terms)?,
                Kept::Block { entry, block } => self.take_block(entry, BlockRecord::from_text(&block)?),
                Kept::Added(record) => self.take_added_record(&record),
                Kept::AtProvider { session, provider_session } => {
                    if let Some(known) = self.of(SessionId(session)) {
                        known.provider_session = Some(ProviderSession(provider_session));
                    }
                }
                Kept::LogoutToken { token, good_until, entry } => {
                    let token = TokenName(token);
                    self.logout_tokens.push(Used { token, good_until: Time::from_millis(good_until), entry });
                }
                Kept::Names(_) => return Err(EntryError::Field("names")),
            }
        }
        Ok(())
    }

    fn take_record(
        &mut self,
        record: &SessionRecord,
        rules: &[RuleId],
        terms: &[Arc<Terms>],
    ) -> Result<(), EntryError> {
        let ended_at = record.ended_at.map(Time::from_millis);
        self.saw(ended_at.unwrap_or_default());
        let rule = |register: Register| {
            rules.get(register.rule().number() as usize).copied().ok_or(EntryError::Field("rule"))
        };
        let (idle, hard_end) = (Register::from_bits(record.idle), Register::from_bits(record.hard_end));
        let terms = terms.get(record.terms as usize).ok_or(EntryError::Field("terms"))?;
        let known = Known {
            credential: CredentialHash(record.credential),
            pseudonym: record.pseudonym.into(),
            terms: Arc::clone(terms),
            started: Time::from_millis(record.started),
            parent: record.parent.map(SessionId),
            continues: record.continues.map(SessionId),
            provider_session: None,
            slot: self.place(record.slot)?,
            idle: Register::idle(idle.span(), rule(idle)?),
            hard_end: Register::hard_end(hard_end.time(), rule(hard_end)?),
            word: Word::from_bits(record.word),
            ended_at,
            end_entry: record.end_entry,
            refused: record.refused,
            added: Vec::new(),
            blocked: None,
        };
        self.insert(SessionId(record.id), known);
        Ok(())
    }

    pub(crate) fn take_entry(&mut self, index: u64, entry: Entry) -> Result<(), EntryError> {
        self.saw(Time::from_millis(entry.at()));
        match entry {
            Entry::SessionStarted(start) => {
                let known = self.started(&start)?;
                self.insert(start.id()?, known);
            }
            Entry::SessionEnded(ended) => self.end(index, &ended)?,
            Entry::AuthenticationAdded(added) => self.add(index, added)?,
            Entry::CredentialPresented { session, at, issued_by } => {
                self.present(&session, issued_by, (index, Time::from_millis(at)));
            }
            Entry::LimitsLowered { session, idle_ms, idle_rule, hard_end, hard_end_rule, .. } => {
                let (idle_rule, hard_end_rule) = (self.rule(&idle_rule), self.rule(&hard_end_rule));
                let idle = Register::idle(Span::from_millis(idle_ms), idle_rule);
                let hard_end = Register::hard_end(Time::from_millis(hard_end), hard_end_rule);
                let Some(known) = self.named(&session) else { return Ok(()) };
                if idle.span() < known.idle.span() {
                    known.idle = idle;
                }
                if hard_end.time() < known.hard_end.time() {
                    known.hard_end = hard_end;
                }
            }
            Entry::RefusedAfterEnd { session, .. } => {
                if let Some(known) = self.named(&session) {
                    known.refused = known.refused.max(1);
                }
            }
            Entry::SubjectBlocked(block) => self.block(index, block),
            Entry::ProviderLogout(logout) => {
                let good_until = Time::from_millis(logout.good_until);
                self.logout_tokens.push(Used { token: logout.token()?, good_until, entry: index });
            }
            Entry::SubjectUnblocked(lifted) => self.change_block(&lifted.subject, index, None),
            Entry::Cut(_)
            | Entry::OutcomeWithheld { .. }
            | Entry::ClockStepped { .. }
            | Entry::MachineSuspended { .. }
            | Entry::ClockFault { .. }
            | Entry::EntriesGaveWay { .. }
            | Entry::Restored { .. }
            | Entry::Started { .. }
            | Entry::Stopped { .. } => {}
        }
        Ok(())
    }

    fn take_added_record(&mut self, record: &AddedRecord) {
        let added = KnownAdded {
            entry: record.entry,
            issued: Time::from_millis(record.issued),
            authenticated: Time::from_millis(record.authenticated),
            acr: record.acr.clone(),
            credential: CredentialHash(record.credential),
            presented: record.presented.map(|(entry, at)| (entry, Time::from_millis(at))),
        };
        if let Some(known) = self.of(SessionId(record.session)) {
            known.added.push(added);
        }
    }

    /// What the snapshot has already stays as it is.
    fn add(&mut self, entry: u64, added: AuthenticationAdded) -> Result<(), EntryError> {
        let credential = added.credential()?;
        let Some(known) = self.named(&added.session) else { return Ok(()) };
        if known.added.iter().all(|other| other.entry != entry) {
            known.added.push(KnownAdded {
                entry,
                issued: Time::from_millis(added.at),
                authenticated: Time::from_millis(added.authenticated),
                acr: added.acr,
                credential,
                presented: None,
            });
        }
        Ok(())
    }

    /// Only the first presentation counts.
    fn present(&mut self, session: &str, issued_by: u64, presented: (u64, Time)) {
        let Some(known) = self.named(session) else { return };
        if let Some(added) = known.added.iter_mut().find(|added| added.entry == issued_by) {
            added.presented.get_or_insert(presented);
        }
    }

    fn started(&self, start: &SessionStarted) -> Result<Known, EntryError> {
        let generation = Generation::new(start.generation);
        let hard_end = Time::from_millis(start.hard_end);
        Ok(Known {
            credential: start.credential()?,
            pseudonym: start.pseudonym()?,
            terms: self.authority.terms().one(start.terms()?),
            started: Time::from_millis(start.started),
            parent: start.parent()?,
            continues: start.continues()?,
            provider_session: start.provider_session()?,
            slot: self.place(start.slot)?,
            idle: Register::idle(Span::from_millis(start.idle_ms), self.rule(&start.idle_rule)),
            hard_end: Register::hard_end(hard_end, self.rule(&start.hard_end_rule)),
            word: Word::live(generation, Time::from_millis(start.last_activity)),
            ended_at: None,
            end_entry: None,
            refused: 0,
            added: Vec::new(),
            blocked: None,
        })
    }

    /// A place among the slots, if it can be one: there is memory for every place below it.
    fn place(&self, slot: u32) -> Result<u32, EntryError> {
        let most = self.authority.ledger().durable().saturating_add(STARTING_MOST);
        if u64::from(slot) < most { Ok(slot) } else { Err(EntryError::Field("slot")) }
    }

    fn rule(&self, name: &str) -> RuleId {
        self.authority.rules().number(name)
    }

    pub(crate) fn take_slots(&mut self, words: &[Option<u64>]) {
        for (_, known) in &mut self.known {
            if let Some(Some(bits)) = words.get(known.slot as usize) {
                known.word = known.word.joined(Word::from_bits(*bits));
            }
            self.latest = self.latest.max(known.word.last_activity());
        }
    }

    /// Every session in the order of ids, a lease after the session it belongs to.
    pub(crate) fn parents_first(&self) -> Vec<(SessionId, &Known)> {
        let ordered = self.known.iter().map(|(id, known)| (self.depth(known), *id, known));
        let mut ordered: Vec<(usize, SessionId, &Known)> = ordered.collect();
        ordered.sort_unstable_by_key(|(depth, id, _)| (*depth, *id));
        ordered.into_iter().map(|(_, id, known)| (id, known)).collect()
    }

    fn depth(&self, known: &Known) -> usize {
        let parent = |known: &&Known| {
            let place = *self.places.get(&known.parent?)?;
            self.known.get(place).map(|(_, known)| known)
        };
        // A ledger that names a circle of parents does not keep us here for ever.
        std::iter::successors(Some(known), parent).take(64).count()
    }

    /// Whether any lease names this session as the one it belongs to.
    pub(crate) fn is_parent(&self, id: SessionId) -> bool {
        self.parents.contains(&id)
    }

    fn insert(&mut self, id: SessionId, known: Known) {
        self.parents.extend(known.parent);
        self.places.entry(id).or_insert_with(|| {
            self.known.push((id, known));
            self.known.len() - 1
        });
    }

    fn named(&mut self, name: &str) -> Option<&mut Known> {
        self.of(name.parse().ok()?)
    }

    fn of(&mut self, id: SessionId) -> Option<&mut Known> {
        let place = *self.places.get(&id)?;
        self.known.get_mut(place).map(|(_, known)| known)
    }

    /// An end for a reason that is not known here is of a later version. Any other reason in its place would be false on every page that is made of it.
    fn end(&mut self, index: u64, ended: &SessionEnded) -> Result<(), EntryError> {
        let reason = ended.reason.parse().map_err(|()| EntryError::Field("reason"))?;
        // One that is not known was forgotten before the snapshot.
        let Some(known) = self.named(&ended.session) else { return Ok(()) };
        known.word = known.word.touched(Time::from_millis(ended.last_activity)).unwrap_or(known.word);
        known.word = known.word.ended(reason).unwrap_or(known.word);
        known.ended_at = Some(Time::from_millis(ended.ended_at));
        known.end_entry = Some(index);
        Ok(())
    }

    /// Takes in a block that stood when the snapshot was taken.
    pub(crate) fn take_block(&mut self, index: u64, block: BlockRecord) {
        let subject = block.subject.clone();
        self.change_block(&subject, index, Some(block));
    }

    fn block(&mut self, index: u64, block: BlockRecord) {
        let shared = Arc::new(block.clone());
        for (_, known) in &mut self.known {
            if block.subject.parse() == Ok(known.pseudonym) && known.word.end().is_none() {
                known.blocked.get_or_insert_with(|| Arc::clone(&shared));
            }
        }
        self.take_block(index, block);
    }

    /// The change with the highest index stands, in whatever order they are met.
    fn change_block(&mut self, subject: &str, index: u64, block: Option<BlockRecord>) {
        let last = self.blocks.entry(subject.to_owned()).or_insert((index, None));
        if index >= last.0 {
            *last = (index, block);
        }
    }

    fn saw(&mut self, at: Time) {
        self.latest = self.latest.max(at);
    }
}
