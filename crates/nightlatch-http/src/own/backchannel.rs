//! A provider says that somebody signed out there (OpenID Connect Back-Channel Logout 1.0 section 2.5).
//!
//! Answered when the ends are on record: 200, or 400 for everything else, as the specification has it. What is not believed leaves a count and
//! nothing more: no entry, no line that anybody sees. Once begun it is finished, whether or not the provider waits for the answer.

use crate::{
    answer::{Answer, empty, json_answer},
    form::read_form,
    gateway::Gateway,
    inbound::Inbound,
    sign_in::{LogoutFailure, SignIn},
};
use http::{
    StatusCode,
    header::{CACHE_CONTROL, HeaderValue},
};
use nightlatch_engine::Engine;
use serde_json::json;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

nightlatch_core::listed! {
    /// What came of a logout token.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum LogoutToken {
        /// It was believed, and what it names is over.
        Accepted,
        /// It was not believed.
        Refused,
        /// It was used before.
        Replayed,
        /// The provider's keys were not to be had.
        Unverifiable,
    }
}

impl LogoutToken {
    /// Its word in metrics.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            LogoutToken::Accepted => "accepted",
            LogoutToken::Refused => "refused",
            LogoutToken::Replayed => "replayed",
            LogoutToken::Unverifiable => "unverifiable",
        }
    }
}

/// How many there were of each.
#[derive(Debug, Default)]
pub(crate) struct LogoutTokens([AtomicU64; LogoutToken::ALL.len()]);

impl LogoutTokens {
    fn count(&self, what: LogoutToken) {
        self.0[what.place()].fetch_add(1, Relaxed);
    }

    /// How many there were.
    pub(crate) fn so_far(&self, what: LogoutToken) -> u64 {
        self.0[what.place()].load(Relaxed)
    }
}

impl Gateway {
    /// Ends what the provider names, if it is the provider that says so.
    pub(super) async fn provider_signed_out(&self, at: Arc<dyn SignIn>, body: Inbound) -> Answer {
        let Some(form) = read_form(body).await else { return self.told(LogoutToken::Refused) };
        let engine = Arc::clone(&self.engine);
        // Whoever hangs up in the middle must not leave half of it undone, with the token used up.
        let finished = tokio::spawn(async move { end_what_it_names(&engine, &*at, &form).await });
        self.told(finished.await.unwrap_or(LogoutToken::Unverifiable))
    }

    fn told(&self, what: LogoutToken) -> Answer {
        self.logout_tokens.count(what);
        let (error, description) = match what {
            LogoutToken::Accepted => {
                let mut answer = empty(StatusCode::OK);
                answer.headers_mut().insert(CACHE_CONTROL, NEVER_STORED);
                return answer;
            }
            LogoutToken::Refused => ("invalid_request", "the logout token is not believed"),
            LogoutToken::Replayed => ("invalid_request", "the logout token was used before"),
            LogoutToken::Unverifiable => ("temporarily_unavailable", "the provider's keys cannot be had"),
        };
        let body = json!({ "error": error, "error_description": description });
        let mut answer = json_answer(StatusCode::BAD_REQUEST, "application/json", &body);
        answer.headers_mut().insert(CACHE_CONTROL, NEVER_STORED);
        answer
    }
}

async fn end_what_it_names(engine: &Engine, at: &dyn SignIn, form: &str) -> LogoutToken {
    let now = || engine.clock().now();
    match at.signed_out(form, &now).await {
        Ok(logout) => match engine.end_at_provider(&logout).await {
            Ok(_) => LogoutToken::Accepted,
            Err(_) => LogoutToken::Replayed,
        },
        Err(LogoutFailure::NotBelieved) => LogoutToken::Refused,
        Err(LogoutFailure::Unreachable) => LogoutToken::Unverifiable,
    }
}

const NEVER_STORED: HeaderValue = HeaderValue::from_static("no-cache, no-store");
