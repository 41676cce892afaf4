//! Asking a program of somebody else's: one request for each connection, waited for so long and read so far. Providers are asked here, and
//! witnesses of the ledger by the program itself.
//!
//! No redirect is followed, since what comes back is believed because of where it was asked. Encryption is held to the certificate
//! authorities of the configuration; what goes without it stays on this machine, by the address that was really reached.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, header};
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

/// How long an answer is waited for, and how far it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// From looking up the name to the last byte.
    pub wait: Duration,
    /// Of its body.
    pub bytes_most: usize,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// Nobody answers there, or the connection broke.
    #[error("cannot be reached: {0}")]
    Io(#[from] io::Error),
    /// Not within the time for it.
    #[error("did not answer within {} seconds", .0.as_secs())]
    Late(Duration),
    /// An address of another machine, without encryption.
    #[error("is not on this machine, so it must be asked over `https`")]
    InClear,
    /// An address that cannot be asked, or over `https` where nobody is believed about certificates.
    #[error("cannot be asked at this URL")]
    Url,
    /// Not HTTP, or broken off.
    #[error("broke off its answer, or does not speak HTTP/1.1: {0}")]
    Http(#[from] hyper::Error),
    /// More than an answer can be.
    #[error("sent more than {0} bytes, or broke off its answer")]
    Long(usize),
}

/// What came back, whatever its status.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its head.
    pub headers: HeaderMap,
    /// Its body, whole.
    pub body: Bytes,
}

/// Asks with this request, whose URI is absolute. `tls` says whom to believe about certificates.
///
/// # Errors
/// If there is no whole answer within the bounds. Any status is an answer.
pub async fn ask(
    tls: Option<&Arc<ClientConfig>>,
    request: Request<Bytes>,
    bounds: Bounds,
) -> Result<Answer, OutboundError> {
    let asked = timeout(bounds.wait, connect_and_ask(tls, request, bounds.bytes_most));
    asked.await.unwrap_or(Err(OutboundError::Late(bounds.wait)))
}

async fn connect_and_ask(
    tls: Option<&Arc<ClientConfig>>,
    request: Request<Bytes>,
    bytes_most: usize,
) -> Result<Answer, OutboundError> {
    let uri = request.uri();
    let https = uri.scheme_str() == Some("https");
    let host = uri.host().ok_or(OutboundError::Url)?.trim_matches(['[', ']']).to_owned();
    let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
    if https {
        let connector = TlsConnector::from(Arc::clone(tls.ok_or(OutboundError::Url)?));
        let name = ServerName::try_from(host.clone()).map_err(|_| OutboundError::Url)?;
        let stream = TcpStream::connect((host.as_str(), port)).await?;
        return exchange(connector.connect(name, stream).await?, request, bytes_most).await;
    }
    let stream = TcpStream::connect((host.as_str(), port)).await?;
    if !stream.peer_addr()?.ip().is_loopback() {
        return Err(OutboundError::InClear);
    }
    exchange(stream, request, bytes_most).await
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Bytes>,
    bytes_most: usize,
) -> Result<Answer, OutboundError> {
    let (mut head, body) = request.into_parts();
    let authority = head.uri.authority().ok_or(OutboundError::Url)?;
    let host = HeaderValue::try_from(authority.as_str()).map_err(|_| OutboundError::Url)?;
    head.headers.insert(header::HOST, host);
    head.headers.insert(header::USER_AGENT, HeaderValue::from_static("nightlatch"));
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    head.uri = target.parse::<Uri>().map_err(|_| OutboundError::Url)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // What goes wrong on the connection is seen by whoever reads the answer.
    let driver = tokio::spawn(connection);
    let response = sender.send_request(Request::from_parts(head, Full::new(body))).await?;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, bytes_most).collect().await;
    driver.abort();
    let body = body.map_err(|_| OutboundError::Long(bytes_most))?.to_bytes();
    Ok(Answer { status: head.status, headers: head.headers, body })
}
