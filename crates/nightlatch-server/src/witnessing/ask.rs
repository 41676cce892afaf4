//! Asking a witness (C2SP `tlog-witness`): one `POST` for each connection.
//!
//! Whoever answers is not believed but for the signature in the answer, so what can go wrong here is only that there is no answer, or too
//! much of one: it is waited for so long, and read so far, and no redirect is followed. Encryption is held to the certificate authorities
//! of the configuration; what goes without it stays on this machine, by the address that was really reached.

use crate::{
    config::ledger::Witness,
    tls::{self, AuthoritiesError},
};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use nightlatch_identity::outbound::{self, Bounds, OutboundError};
use nightlatch_ledger::witness::{SIZE_TYPE, read_size};
use std::{sync::Arc, time::Duration};

/// A witness is asked twice at most. Cosignature lines, or a size; and room for a refusal in words.
const BOUNDS: Bounds = Bounds { wait: Duration::from_secs(5), bytes_most: 16 * 1024 };

/// What a witness answered.
#[derive(Debug)]
pub(super) enum Answer {
    /// 200: signature lines, which nobody has verified yet.
    Cosigned(String),
    /// 409: it goes on from this size only.
    From(u64),
    /// 404: it does not know a log of this name.
    UnknownLog,
    /// 403: it knows the log under another key.
    UnknownKey,
    /// 422: the proof does not lead from what it has cosigned to what it was shown.
    NotContinued,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// There is no answer.
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    /// The certificate authorities cannot be had.
    #[error(transparent)]
    Authorities(#[from] AuthoritiesError),
    /// A request that cannot be written.
    #[error("cannot be asked at this URL: {0}")]
    Url(#[from] http::Error),
    /// Something that a witness does not answer.
    #[error("answered with status {0}, which is not an answer of a witness; is `url` its submission prefix?")]
    Status(StatusCode),
    /// A 409 without a size, or a 200 that is not text.
    #[error("answered with status {0}, and not in the form of a witness")]
    Form(StatusCode),
}

/// Asks a witness with this body.
pub(super) async fn add_checkpoint(witness: &Witness, body: String) -> Result<Answer, AskError> {
    let url = &witness.url;
    // Before anything is connected: a file of authorities that is wrong is found whether or not the witness is there.
    let tls = url.origin.https.then(|| tls::client(witness.ca_file.as_deref())).transpose()?.map(Arc::new);
    let scheme = if url.origin.https { "https" } else { "http" };
    let request = Request::post(format!("{scheme}://{}{}/add-checkpoint", url.authority(), url.path));
    let answer = outbound::ask(tls.as_ref(), request.body(Bytes::from(body))?, BOUNDS).await?;
    let status = answer.status;
    let is_size = answer.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == SIZE_TYPE);
    let text = String::from_utf8(answer.body.into()).map_err(|_| AskError::Form(status));
    match status {
        StatusCode::OK => text.map(Answer::Cosigned),
        StatusCode::CONFLICT => {
            let size = text.ok().filter(|_| is_size).and_then(|text| read_size(&text));
            size.map(Answer::From).ok_or(AskError::Form(status))
        }
        StatusCode::NOT_FOUND => Ok(Answer::UnknownLog),
        StatusCode::FORBIDDEN => Ok(Answer::UnknownKey),
        StatusCode::UNPROCESSABLE_ENTITY => Ok(Answer::NotContinued),
        _ => Err(AskError::Status(status)),
    }
}
