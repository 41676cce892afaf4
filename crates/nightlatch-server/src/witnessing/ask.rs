//! Asking a witness (C2SP `tlog-witness`): one `POST` for each connection.
//!
//! Whoever answers is not believed but for the signature in the answer, so what can go wrong here is only that there is no answer, or too
//! much of one: it is waited for so long, and read so far, and no redirect is followed. Encryption is held to the certificate authorities
//! of the configuration; what goes without it stays on this machine, by the address that was really reached.

use crate::{
    config::ledger::Witness,
    tls::{self, AuthoritiesError},
};
use axum::body::{Body, to_bytes};
use http::{Request, StatusCode, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use nightlatch_ledger::witness::{SIZE_TYPE, read_size};
use rustls_pki_types::ServerName;
use std::{io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// For one question, from looking up the name to the last byte of the answer. A witness is asked twice at most.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// Cosignature lines, or a size; and room for a refusal in words.
const ANSWER_BYTES_MOST: usize = 16 * 1024;

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
    /// Nobody answers there, or the connection broke.
    #[error("cannot be reached: {0}")]
    Io(#[from] io::Error),
    /// Not within the time for it.
    #[error("did not answer within {} seconds", ANSWER_WAIT.as_secs())]
    Late,
    /// The certificate authorities cannot be had.
    #[error(transparent)]
    Authorities(#[from] AuthoritiesError),
    /// An address of another machine, without encryption.
    #[error("is not on this machine, so it must be asked over `https`")]
    InClear,
    /// Not HTTP, or broken off.
    #[error("broke off its answer, or does not speak HTTP/1.1: {0}")]
    Http(#[from] hyper::Error),
    /// A request that cannot be written.
    #[error("cannot be asked at this URL: {0}")]
    Url(#[from] http::Error),
    /// More than an answer can be.
    #[error("sent more than {ANSWER_BYTES_MOST} bytes, or broke off its answer")]
    Long,
    /// Something that a witness does not answer.
    #[error("answered with status {0}, which is not an answer of a witness; is `url` its submission prefix?")]
    Status(StatusCode),
    /// A 409 without a size, or a 200 that is not text.
    #[error("answered with status {0}, and not in the form of a witness")]
    Form(StatusCode),
}

/// Asks a witness with this body.
pub(super) async fn add_checkpoint(witness: &Witness, body: String) -> Result<Answer, AskError> {
    timeout(ANSWER_WAIT, ask(witness, body)).await.unwrap_or(Err(AskError::Late))
}

async fn ask(witness: &Witness, body: String) -> Result<Answer, AskError> {
    let origin = &witness.url.origin;
    let host = origin.host.trim_matches(['[', ']']);
    let port = origin.port.unwrap_or(if origin.https { 443 } else { 80 });
    if !origin.https {
        let stream = TcpStream::connect((host, port)).await?;
        if !stream.peer_addr()?.ip().is_loopback() {
            return Err(AskError::InClear);
        }
        return exchange(witness, stream, body).await;
    }
    // Before anything is connected: a file of authorities that is wrong is found whether or not the witness is there.
    let connector = TlsConnector::from(Arc::new(tls::client(witness.ca_file.as_deref())?));
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let stream = TcpStream::connect((host, port)).await?;
    exchange(witness, connector.connect(name, stream).await?, body).await
}

async fn exchange(
    witness: &Witness,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    body: String,
) -> Result<Answer, AskError> {
    let (mut sender, connection) = http1::handshake::<_, Body>(TokioIo::new(stream)).await?;
    let request = Request::post(format!("{}/add-checkpoint", witness.url.path))
        .header(header::HOST, witness.url.authority())
        .header(header::USER_AGENT, "nightlatch")
        .header(header::CONTENT_LENGTH, body.len())
        .body(Body::from(body))?;
    // What goes wrong on the connection is seen by whoever reads the answer.
    let driver = tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    let status = response.status();
    let is_size = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == SIZE_TYPE);
    let bytes = to_bytes(Body::new(response.into_body()), ANSWER_BYTES_MOST).await;
    driver.abort();
    let text = String::from_utf8(bytes.map_err(|_| AskError::Long)?.into());
    let text = text.map_err(|_| AskError::Form(status));
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
