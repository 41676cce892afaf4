//! Asking a provider: one request for each connection, waited for so long and read so far.
//!
//! No redirect is followed, since what comes back is believed because of where it was asked. Encryption is held to the certificate
//! authorities of the configuration; what goes without it stays on this machine, by the address that was really reached.

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use std::{io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// For one answer, from looking up the name to its last byte. A person waits for up to three of them.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// A key set with certificate chains takes tens of kilobytes; an ID token with many groups as well.
const ANSWER_BYTES_MOST: usize = 512 * 1024;

/// Why a provider gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// Nobody answers there, or the connection broke.
    #[error("cannot be reached: {0}")]
    Io(#[from] io::Error),
    /// Not within the time for it.
    #[error("did not answer within {} seconds", ANSWER_WAIT.as_secs())]
    Late,
    /// An address of another machine, without encryption.
    #[error("is not on this machine, so it must be asked over `https`")]
    InClear,
    /// An address that cannot be asked.
    #[error("cannot be asked at this URL")]
    Url,
    /// Not HTTP, or broken off.
    #[error("broke off its answer, or does not speak HTTP/1.1: {0}")]
    Http(#[from] hyper::Error),
    /// More than an answer can be.
    #[error("sent more than {ANSWER_BYTES_MOST} bytes, or broke off its answer")]
    Long,
}

/// What came back, whatever its status.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

/// Asks with this request, whose URI is absolute.
pub(crate) async fn ask(tls: &Arc<ClientConfig>, request: Request<Bytes>) -> Result<Answer, OutboundError> {
    timeout(ANSWER_WAIT, connect_and_ask(tls, request)).await.unwrap_or(Err(OutboundError::Late))
}

async fn connect_and_ask(tls: &Arc<ClientConfig>, request: Request<Bytes>) -> Result<Answer, OutboundError> {
    let uri = request.uri();
    let https = uri.scheme_str() == Some("https");
    let host = uri.host().ok_or(OutboundError::Url)?.trim_matches(['[', ']']).to_owned();
    let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
    let stream = TcpStream::connect((host.as_str(), port)).await?;
    if https {
        let name = ServerName::try_from(host).map_err(|_| OutboundError::Url)?;
        return exchange(TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?, request).await;
    }
    if !stream.peer_addr()?.ip().is_loopback() {
        return Err(OutboundError::InClear);
    }
    exchange(stream, request).await
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Bytes>,
) -> Result<Answer, OutboundError> {
    let (mut head, body) = request.into_parts();
    let authority = head.uri.authority().ok_or(OutboundError::Url)?;
    let host = HeaderValue::try_from(authority.as_str()).map_err(|_| OutboundError::Url)?;
    head.headers.insert(header::HOST, host);
    head.headers.insert(header::USER_AGENT, HeaderValue::from_static("nightlatch"));
    head.headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    head.uri = target.parse::<Uri>().map_err(|_| OutboundError::Url)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // What goes wrong on the connection is seen by whoever reads the answer.
    let driver = tokio::spawn(connection);
    let response = sender.send_request(Request::from_parts(head, Full::new(body))).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MOST).collect().await;
    driver.abort();
    Ok(Answer { status, body: body.map_err(|_| OutboundError::Long)?.to_bytes() })
}
