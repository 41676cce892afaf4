//! What the API says when it says no: RFC 9457 problem details.
//!
//! A program reads `code`, a person reads `title` and `detail`, and an operator files a runbook under `type`. So the codes are one closed
//! list with the status and the sentence of each beside it; a handler picks a code and cannot invent a status. A detail never
//! repeats a credential, a key or the body of a request: what the caller sent wrong is named by its place.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

macro_rules! codes {
    ($( $variant:ident $name:literal $status:ident $title:literal; )+) => {
        /// What kind of refusal it is. The texts are in the list below and in the reference page.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Code {
            $( #[doc = $title] $variant, )+
        }

        impl Code {
            /// Every code, in the order of the reference page.
            pub(crate) const ALL: &'static [Code] = &[$( Code::$variant, )+];

            /// The name that programs read; never changes its meaning.
            pub(crate) const fn name(self) -> &'static str {
                match self { $( Code::$variant => $name, )+ }
            }

            /// The status it is answered with.
            pub(crate) const fn status(self) -> StatusCode {
                match self { $( Code::$variant => StatusCode::$status, )+ }
            }

            /// The same sentence every time.
            pub(crate) const fn title(self) -> &'static str {
                match self { $( Code::$variant => $title, )+ }
            }
        }
    };
}

codes! {
    BadJson "bad-json" BAD_REQUEST "the body is not a JSON object of the form asked for";
    UnknownField "unknown-field" BAD_REQUEST "the body has a field that is not known";
    BadField "bad-field" BAD_REQUEST "a field of the body cannot be taken";
    BadQuery "bad-query" BAD_REQUEST "a parameter of the query cannot be taken";
    BadLastEventId "bad-last-event-id" BAD_REQUEST "the event to resume after is not one of this ledger";
    NoKey "no-key" UNAUTHORIZED "an API key is needed";
    WrongRole "wrong-role" FORBIDDEN "the API key has not the role that is needed";
    SubjectBlocked "subject-blocked" FORBIDDEN "the subject is blocked";
    NotFound "not-found" NOT_FOUND "there is nothing of this name";
    WrongMethod "wrong-method" METHOD_NOT_ALLOWED "this path does not take this method";
    TooSlow "too-slow" REQUEST_TIMEOUT "the body took too long to arrive";
    AmbiguousSubject "ambiguous-subject" CONFLICT "more than one provider has a subject of this name";
    SessionOver "session-over" CONFLICT "the session is over";
    TooManyAuthentications "too-many-authentications" CONFLICT "the session has as many authentications as it can";
    Lease "lease" CONFLICT "a lease has no authentication of its own";
    TooLarge "too-large" PAYLOAD_TOO_LARGE "the body is larger than 64 KiB";
    NotJson "not-json" UNSUPPORTED_MEDIA_TYPE "the body must be sent as `application/json`";
    WrongHost "wrong-host" MISDIRECTED_REQUEST "the `Host` of the request is not an address of this listener";
    FutureAuthentication "authenticated-in-the-future" UNPROCESSABLE_ENTITY "`authenticated_at` lies ahead of this clock";
    OldAuthentication "authentication-too-old" UNPROCESSABLE_ENTITY "the session would be over already";
    Continues "cannot-continue" UNPROCESSABLE_ENTITY "`continues` names no session of this subject";
    GroupsTooLarge "groups-too-large" UNPROCESSABLE_ENTITY "the groups do not fit on the record";
    NothingToProve "nothing-to-prove" UNPROCESSABLE_ENTITY "the ledger has no such entries, or the sizes are in the wrong order";
    NotSignedYet "not-signed-yet" SERVICE_UNAVAILABLE "the entry is on record, and no checkpoint covers it yet";
    TooManyStreams "too-many-streams" SERVICE_UNAVAILABLE "too many event streams are open";
    NotRecording "not-recording" SERVICE_UNAVAILABLE "the ledger cannot be written, and nothing starts without a record";
    NotDurableYet "not-durable-yet" SERVICE_UNAVAILABLE "it took effect and is not on disk yet";
    LedgerUnreadable "ledger-unreadable" SERVICE_UNAVAILABLE "the ledger cannot be read";
    IndexUnavailable "index-unavailable" SERVICE_UNAVAILABLE "the index of the ledger cannot be asked right now";
    Internal "internal" INTERNAL_SERVER_ERROR "something went wrong here";
}

/// One refusal, on its way to the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    code: Code,
    detail: String,
}

/// A refusal as the caller reads it (RFC 9457, `application/problem+json`).
#[derive(Serialize, ToSchema)]
pub(crate) struct ProblemBody {
    /// Names the kind of problem: `urn:nightlatch:problem:` and the code.
    #[schema(example = "urn:nightlatch:problem:not-found")]
    r#type: String,
    /// The same for every problem of this kind.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What is wrong this time, and what to do.
    detail: String,
    /// The kind of problem in short; see `docs/reference/problems.md`.
    #[schema(example = "not-found")]
    code: &'static str,
}

impl Problem {
    /// A refusal of this kind; `detail` says what is wrong this time and what to do about it.
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Problem {
        Problem { code, detail: detail.into() }
    }

    /// Nothing of that name, whether the name is malformed, forgotten or never was one.
    pub(crate) fn no_such_session() -> Problem {
        Problem::new(Code::NotFound, "no session has this id, or it was forgotten")
    }

    /// Something of ours failed in a way the caller cannot mend.
    pub(crate) fn internal() -> Problem {
        Problem::new(Code::Internal, "try again; if it stays, the program's log says more")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.code.status();
        let body = ProblemBody {
            r#type: format!("urn:nightlatch:problem:{}", self.code.name()),
            title: self.code.title(),
            status: status.as_u16(),
            detail: self.detail,
            code: self.code.name(),
        };
        let mut response = (status, axum::Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"nightlatch\"");
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// The whole of `docs/reference/problems.md`.
pub(crate) fn reference_markdown() -> String {
    let mut page = String::from(
        "<!-- Generated from the list of codes in the program. Change it there; a test compares this page with it. -->\n\n\
         # Problems\n\n\
         A request that the API refuses is answered with `application/problem+json` (RFC 9457): `type` is\n\
         `urn:nightlatch:problem:` and the code, `title` is the sentence below, `detail` says what is wrong this time and\n\
         what to do. A code never changes its meaning. A check that is denied is not a problem: it is answered with 200\n\
         and `\"allow\": false`.\n\n\
         | Code | Status | Title |\n| --- | --- | --- |\n",
    );
    for code in Code::ALL {
        page.push_str(&format!("| `{}` | {} | {} |\n", code.name(), code.status().as_u16(), code.title()));
    }
    page
}
