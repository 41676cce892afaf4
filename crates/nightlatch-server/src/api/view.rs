//! A session as operators and auditors see it.
//!
//! There are two sources for it, and one form: a session that the engine still knows is shown from the engine, and one that was
//! forgotten from the entries of its start and end. Of the second, what was only ever in memory is not known any more and left out.

use crate::words::{instant, instant_ms};
use nightlatch_core::{DeadlineReason, Time};
use nightlatch_engine::{Authentication, End, Engine, Session, SessionEnded, SessionStarted};
use nightlatch_store::Pseudonym;
use serde::Serialize;
use utoipa::ToSchema;

/// A session.
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionView {
    /// Its public name. Opens nothing.
    #[schema(example = "ses_30313233343536373839616263646566")]
    pub(crate) id: String,
    /// `live` or `ended`.
    pub(crate) state: &'static str,
    /// The subject's name. None if it was erased.
    pub(crate) subject: Option<String>,
    /// Who vouches for the name: an issuer, or `key:NAME` for an API key.
    #[schema(example = "key:trading-backend")]
    pub(crate) provider: Option<String>,
    /// The subject's name in the ledger.
    pub(crate) pseudonym: String,
    /// `person`, `service` or `agent`.
    pub(crate) kind: String,
    /// The subject's groups at sign-in.
    pub(crate) groups: Vec<String>,
    /// The application it was started for.
    pub(crate) app: Option<String>,
    /// How the subject authenticated.
    pub(crate) acr: Option<String>,
    /// Every authentication of the subject: that of the start, and those that were added.
    pub(crate) authentications: Option<Vec<AuthenticationView>>,
    /// The session it continues after an end.
    pub(crate) continues: Option<String>,
    /// The session that this lease belongs to.
    pub(crate) parent: Option<String>,
    /// When the subject had authenticated; the absolute limit counts from here.
    pub(crate) started: String,
    /// The policy version it started under.
    pub(crate) policy: u32,
    /// What limits it, and by which rule.
    pub(crate) limits: LimitsView,
    /// What would end it first, as things stand. None once it has ended.
    pub(crate) deadline: Option<DeadlineView>,
    /// When something last counted as activity.
    pub(crate) last_activity: String,
    /// When there was last any traffic. Extends nothing.
    pub(crate) last_seen: Option<String>,
    /// How many connections and requests stand open in it.
    pub(crate) open: Option<u32>,
    /// How many requests did not count as activity.
    pub(crate) passive: Option<u32>,
    /// How many requests were refused after the end.
    pub(crate) refused: Option<u32>,
    /// How it ended, if it did.
    pub(crate) end: Option<EndView>,
}

/// An authentication, and the credential that came with it.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuthenticationView {
    /// When the subject authenticated.
    pub(crate) at: String,
    /// How.
    pub(crate) acr: Option<String>,
    /// When the credential was first presented. That of the start is not watched.
    pub(crate) presented: Option<String>,
    /// When a later one was first presented: the credential is good for 30 s after that, and then ends the session.
    pub(crate) replaced: Option<String>,
}

impl AuthenticationView {
    fn of(one: Authentication) -> AuthenticationView {
        AuthenticationView {
            at: instant(one.at),
            acr: one.acr,
            presented: one.presented.map(instant),
            replaced: one.replaced.map(instant),
        }
    }
}

/// What limits a session.
#[derive(Serialize, ToSchema)]
pub(crate) struct LimitsView {
    /// The idle limit.
    pub(crate) idle_ms: u64,
    /// The rule that set it.
    pub(crate) idle_rule: String,
    /// The absolute limit, from authentication to the hard end.
    pub(crate) absolute_ms: u64,
    /// When it ends at the latest.
    pub(crate) hard_end: String,
    /// The rule that set it.
    pub(crate) hard_end_rule: String,
    /// How long before the deadline its user is warned.
    pub(crate) warning_ms: u64,
}

/// What would end a session first.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeadlineView {
    /// The first instant at which it is over.
    pub(crate) at: String,
    /// The end reason that would be given.
    #[schema(example = "idle_timeout")]
    pub(crate) reason: &'static str,
    /// How long until then.
    pub(crate) left_ms: u64,
}

/// How a session ended.
#[derive(Serialize, ToSchema)]
pub(crate) struct EndView {
    /// Why.
    #[schema(example = "revoked")]
    pub(crate) reason: String,
    /// The instant from which it was over.
    pub(crate) at: String,
    /// Who or what ended it, where that is known from the ledger.
    pub(crate) by: Option<String>,
    /// What is behind it, where somebody said.
    pub(crate) cause: Option<String>,
    /// How late the end was noticed, in microseconds, for an end that a deadline brought.
    pub(crate) lateness_us: Option<u64>,
}

impl SessionView {
    /// A session that the engine knows.
    pub(crate) fn of(engine: &Engine, session: &Session) -> SessionView {
        let now = engine.clock().now();
        let facts = &session.facts;
        let (idle, hard_end) = (session.idle(), session.hard_end());
        let end = end_by(session, now);
        let deadline = session.deadline();
        // The name of an erased subject is its pseudonym, which stands beside it anyway.
        let known = facts.who.subject.provider != "erased";
        SessionView {
            id: facts.id.to_string(),
            state: if end.is_some() { "ended" } else { "live" },
            subject: known.then(|| facts.who.subject.name.clone()),
            provider: known.then(|| facts.who.subject.provider.clone()),
            pseudonym: facts.who.pseudonym.to_string(),
            kind: facts.terms.kind.code().to_owned(),
            groups: facts.terms.groups.clone(),
            app: facts.terms.app.clone(),
            acr: facts.terms.acr.clone(),
            authentications: Some(
                session.authentications().into_iter().map(AuthenticationView::of).collect(),
            ),
            continues: session.continues().map(|id| id.to_string()),
            parent: session.parent_id().map(|id| id.to_string()),
            started: instant(facts.started),
            policy: facts.terms.policy_version,
            limits: LimitsView {
                idle_ms: idle.span().as_millis(),
                idle_rule: engine.rule_name(idle.rule()),
                absolute_ms: hard_end.time().since(facts.started).as_millis(),
                hard_end: instant(hard_end.time()),
                hard_end_rule: engine.rule_name(hard_end.rule()),
                warning_ms: facts.terms.warning.as_millis(),
            },
            deadline: end.is_none().then(|| DeadlineView {
                at: instant(deadline.at),
                reason: reason_code(deadline.reason),
                left_ms: deadline.at.since(now).as_millis(),
            }),
            last_activity: instant(session.last_activity()),
            last_seen: Some(instant(session.last_seen())),
            open: Some(session.open()),
            passive: Some(session.passive()),
            refused: Some(session.refused()),
            end: end.map(|end| EndView {
                reason: end.reason.code().to_owned(),
                at: instant(end.at),
                by: None,
                cause: None,
                lateness_us: None,
            }),
        }
    }

    /// A session that is known from its entries only.
    pub(crate) fn of_entries(
        engine: &Engine,
        start: &SessionStarted,
        end: Option<&SessionEnded>,
    ) -> SessionView {
        let person = start.subject.parse::<Pseudonym>().ok().and_then(|name| engine.people().person(&name));
        SessionView {
            id: start.session.clone(),
            state: "ended",
            subject: person.as_ref().map(|person| person.name.to_string()),
            provider: person.as_ref().map(|person| person.provider.to_string()),
            pseudonym: start.subject.clone(),
            kind: start.kind.clone(),
            groups: start.groups.clone(),
            app: start.app.clone(),
            acr: start.acr.clone(),
            authentications: None,
            continues: start.continues.clone(),
            parent: start.parent.clone(),
            started: instant_ms(start.started),
            policy: start.policy,
            limits: LimitsView {
                idle_ms: start.idle_ms,
                idle_rule: start.idle_rule.clone(),
                absolute_ms: start.hard_end.saturating_sub(start.started),
                hard_end: instant_ms(start.hard_end),
                hard_end_rule: start.hard_end_rule.clone(),
                warning_ms: start.warning_ms,
            },
            deadline: None,
            last_activity: instant_ms(end.map_or(start.last_activity, |end| end.last_activity)),
            last_seen: None,
            open: None,
            passive: end.map(|end| end.passive),
            refused: None,
            end: end.map(EndView::of_entry),
        }
    }
}

impl EndView {
    /// An end as the ledger tells it.
    pub(crate) fn of_entry(end: &SessionEnded) -> EndView {
        EndView {
            reason: end.reason.clone(),
            at: instant_ms(end.ended_at),
            by: Some(end.by.clone()),
            cause: end.cause.clone(),
            lateness_us: end.lateness_us,
        }
    }
}

/// How a session ended by `now`: one whose deadline has passed is over, whether or not that was noticed yet.
pub(crate) fn end_by(session: &Session, now: Time) -> Option<End> {
    let deadline = session.deadline();
    let due =
        deadline.has_passed(now).then(|| End { reason: deadline.reason.end(), at: deadline.at, told: false });
    session.end().or(due)
}

/// The end reason that a deadline would give.
pub(crate) const fn reason_code(reason: DeadlineReason) -> &'static str {
    reason.end().code()
}
