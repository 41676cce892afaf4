//! What a snapshot keeps of the table, in numbers: a start reads a million of these before it answers anybody.
//!
//! What sessions share is not written with each. A session names its terms and the rules of its limits by number, and what the
//! numbers mean stands in the last record: which they are is known only when all sessions have been seen.

use crate::{
    added::{Added, AddedSet},
    engine::Authority,
    entry::BlockRecord,
    session::{Session, Terms},
};
use nightlatch_core::{Kind, Span};
use serde::{Deserialize, Serialize};
use std::{cell::RefCell, collections::HashMap, iter, rc::Rc, sync::Arc};

/// One record of a snapshot.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Kept {
    /// A session.
    Session(Box<SessionRecord>),
    /// A block that stands.
    Block {
        /// The index of its entry.
        entry: u64,
        /// What that says, in the ledger's words.
        block: String,
    },
    /// What the sessions name by number.
    Names(Names),
    /// What the session before it got since it started.
    Added(Box<AddedRecord>),
    /// The session before it began with one at its provider.
    AtProvider {
        /// The session.
        session: [u8; 16],
        /// The one at its provider, by pseudonym.
        provider_session: [u8; 16],
    },
    /// A logout token that was used.
    LogoutToken {
        /// Which, by pseudonym.
        token: [u8; 16],
        /// Until when it could be used again.
        good_until: u64,
        /// The index of its entry.
        entry: u64,
    },
}

/// A session: its facts, its limits as they stand, and its word.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SessionRecord {
    pub(crate) id: [u8; 16],
    pub(crate) credential: [u8; 32],
    pub(crate) pseudonym: [u8; 16],
    /// Which of the terms.
    pub(crate) terms: u32,
    pub(crate) started: u64,
    pub(crate) word: u64,
    /// The registers, with a rule's number in each.
    pub(crate) idle: u64,
    pub(crate) hard_end: u64,
    pub(crate) slot: u32,
    pub(crate) parent: Option<[u8; 16]>,
    pub(crate) continues: Option<[u8; 16]>,
    pub(crate) ended_at: Option<u64>,
    /// The index of the entry of its end, if that is among those that the snapshot covers.
    pub(crate) end_entry: Option<u64>,
    pub(crate) refused: u32,
}

/// An authentication that a session got, and its credential.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AddedRecord {
    pub(crate) session: [u8; 16],
    /// The index of its entry.
    pub(crate) entry: u64,
    pub(crate) issued: u64,
    pub(crate) authenticated: u64,
    pub(crate) acr: Option<String>,
    pub(crate) credential: [u8; 32],
    /// The index of the entry of its first presentation, if that is among those that the snapshot covers, and its instant.
    pub(crate) presented: Option<(u64, u64)>,
}

/// What the numbers in the sessions' records mean.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Names {
    pub(crate) rules: Vec<String>,
    pub(crate) terms: Vec<TermsRecord>,
}

/// What sessions were started with.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TermsRecord {
    kind: String,
    groups: Vec<String>,
    policy: u32,
    warning_ms: u64,
    app: Option<String>,
    acr: Option<String>,
}

impl TermsRecord {
    fn of(terms: &Terms) -> TermsRecord {
        let Terms { kind, groups, policy_version, warning, app, acr } = terms.clone();
        TermsRecord {
            kind: kind.code().to_owned(),
            groups,
            policy: policy_version,
            warning_ms: warning.as_millis(),
            app,
            acr,
        }
    }

    /// The terms again; none if they name a kind of subject that this version does not know.
    pub(crate) fn terms(self) -> Option<Terms> {
        let TermsRecord { kind, groups, policy, warning_ms, app, acr } = self;
        let kind = kind.parse::<Kind>().ok()?;
        Some(Terms { kind, groups, policy_version: policy, warning: Span::from_millis(warning_ms), app, acr })
    }
}

impl SessionRecord {
    /// The session as it stands; `size` is how many entries the snapshot covers.
    fn of(session: &Session, terms: u32, size: u64) -> SessionRecord {
        SessionRecord {
            id: session.facts.id.0,
            credential: session.facts.credential.0,
            pseudonym: *session.facts.who.pseudonym.bytes(),
            terms,
            started: session.facts.started.as_millis(),
            word: session.cell.word().bits(),
            idle: session.idle().bits(),
            hard_end: session.hard_end().bits(),
            slot: session.slot().index,
            parent: session.parent_id().map(|id| id.0),
            continues: session.continues().map(|id| id.0),
            ended_at: session.end().map(|end| end.at.as_millis()),
            end_entry: Some(session.end_entry()).filter(|entry| *entry < size),
            refused: session.refused(),
        }
    }
}

impl AddedRecord {
    /// What was added, as far as the snapshot's `size` entries tell.
    fn of(session: &Session, added: &Added, size: u64) -> AddedRecord {
        AddedRecord {
            session: session.facts.id.0,
            entry: added.entry,
            issued: added.issued.as_millis(),
            authenticated: added.authenticated.as_millis(),
            acr: added.acr.clone(),
            credential: added.credential.0,
            presented: added.presented(size).map(|(entry, at)| (entry, at.as_millis())),
        }
    }
}

/// The terms that were met, in the order of their numbers. They are told apart by where they stand: equal ones are one, and what is
/// held here stays where it is.
#[derive(Default)]
struct Numbered {
    numbers: HashMap<*const Terms, u32>,
    terms: Vec<Arc<Terms>>,
}

impl Numbered {
    fn number(&mut self, terms: &Arc<Terms>) -> u32 {
        *self.numbers.entry(Arc::as_ptr(terms)).or_insert_with(|| {
            self.terms.push(Arc::clone(terms));
            self.terms.len() as u32 - 1
        })
    }
}

impl Authority {
    /// Everything that a snapshot of the first `size` entries keeps.
    pub(crate) fn kept(&self, size: u64) -> impl Iterator<Item = Kept> {
        let blocks = self
            .blocks()
            .as_of(size)
            .into_iter()
            .map(|block| Kept::Block { entry: block.entry, block: BlockRecord::of(&block).to_text() });
        let met = Rc::new(RefCell::new(Numbered::default()));
        let seen = Rc::clone(&met);
        let sessions = self.every_session().flat_map(move |session| {
            let terms = seen.borrow_mut().number(&session.facts.terms);
            let id = session.facts.id.0;
            let record = Kept::Session(Box::new(SessionRecord::of(&session, terms, size)));
            let provider_session = session.provider_session();
            let at_provider =
                provider_session.map(|name| Kept::AtProvider { session: id, provider_session: name.0 });
            // Looked at after the session: what is added meanwhile has its entry behind those that are covered.
            let added = session.added().map(AddedSet::all).unwrap_or_default();
            let added = added.into_iter().filter(move |added| added.entry < size);
            let added =
                added.map(move |added| Kept::Added(Box::new(AddedRecord::of(&session, &added, size))));
            iter::once(record).chain(at_provider).chain(added)
        });
        let names = iter::once_with(move || {
            let terms = met.borrow().terms.iter().map(|terms| TermsRecord::of(terms)).collect();
            Kept::Names(Names { rules: self.rules().names(), terms })
        });
        let tokens = self.logout_tokens().as_of(size).into_iter().map(|used| Kept::LogoutToken {
            token: used.token.0,
            good_until: used.good_until.as_millis(),
            entry: used.entry,
        });
        blocks.chain(sessions).chain(tokens).chain(names)
    }
}
