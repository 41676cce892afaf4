//! A client of HTTP/2 over TLS that looks at streams and not at messages.

use super::{Making, Site};
use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream, client::ResponseFuture};
use http::{HeaderMap, Request, Response};
use nightlatch_engine::{ManualTime, Token};
use nightlatch_http::Protocol;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::TcpStream, sync::watch, task::JoinHandle, time::timeout};
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};

/// A certificate for `desk`, and a client that trusts it and speaks HTTP/2.
pub fn tls() -> (TlsAcceptor, TlsConnector) {
    let made = rcgen::generate_simple_self_signed(["desk".to_owned()]).unwrap();
    let certificate = CertificateDer::from(made.cert.der().to_vec());
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let mut server = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).unwrap();
    let mut client = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    client.alpn_protocols = vec![b"h2".to_vec()];
    (TlsAcceptor::from(Arc::new(server)), TlsConnector::from(Arc::new(client)))
}

const NOW: u64 = 1_800_000_000_000_000_000;
pub const SECOND: u64 = 1_000_000_000;

/// A gateway whose clock stands still until it is moved.
pub struct Frozen {
    pub site: Site,
    pub time: Arc<ManualTime>,
    pub connector: TlsConnector,
}

impl Frozen {
    /// In front of an application that speaks this.
    pub async fn new(upstream: SocketAddr, protocol: Protocol) -> Frozen {
        let time = Arc::new(ManualTime::new(NOW));
        let (acceptor, connector) = tls();
        let mut making = Making::new(upstream);
        making.app.protocol = protocol;
        let site =
            Site::made(Making { time: Box::new(Arc::clone(&time)), tls: Some(acceptor), ..making }).await;
        Frozen { site, time, connector }
    }

    pub async fn line(&self) -> Line {
        Line::open(&self.connector, self.site.address, &h2::client::Builder::new()).await
    }

    /// Everybody who signed in by now is over from here on.
    pub fn pass_the_deadline(&self) {
        self.time.advance(601 * SECOND);
    }
}

/// TLS to `desk` at this address.
pub async fn connect(connector: &TlsConnector, address: SocketAddr) -> TlsStream<TcpStream> {
    let tcp = TcpStream::connect(address).await.unwrap();
    connector.connect(ServerName::try_from("desk").unwrap(), tcp).await.unwrap()
}

/// One connection of a client.
pub struct Line {
    pub send: h2::client::SendRequest<Bytes>,
    /// How the connection ended.
    pub closed: JoinHandle<Result<(), h2::Error>>,
    reads: watch::Sender<bool>,
}

impl Line {
    pub async fn open(connector: &TlsConnector, address: SocketAddr, settings: &h2::client::Builder) -> Line {
        let tls = connect(connector, address).await;
        let (send, connection) = settings.handshake(tls).await.unwrap();
        let (reads, mut reading) = watch::channel(true);
        // Nothing of the connection moves while it does not read.
        let closed = tokio::spawn(async move {
            let mut connection = std::pin::pin!(connection);
            loop {
                let _ = reading.wait_for(|reading| *reading).await;
                let stopped = async {
                    if reading.wait_for(|reading| !*reading).await.is_err() {
                        std::future::pending::<()>().await;
                    }
                };
                tokio::select! {
                    closed = connection.as_mut() => return closed,
                    () = stopped => {}
                }
            }
        });
        Line { send, closed, reads }
    }

    /// Stops or goes on reading from the socket.
    pub fn read(&self, reads: bool) {
        self.reads.send(reads).unwrap();
    }

    /// A request, with its body still to come if `open`.
    pub fn ask(
        &mut self,
        request: http::request::Builder,
        token: Option<&Token>,
        open: bool,
    ) -> (Answering, SendStream<Bytes>) {
        let request = match token {
            Some(token) => request.header("authorization", format!("Bearer {}", token.reveal())),
            None => request,
        };
        let (answering, stream) = self.send.send_request(request.body(()).unwrap(), !open).unwrap();
        (Answering(answering), stream)
    }

    pub fn get(&mut self, path: &str, token: &Token) -> Answering {
        self.ask(to(path), Some(token), false).0
    }
}

pub fn to(path: &str) -> http::request::Builder {
    Request::builder().uri(format!("https://desk{path}"))
}

pub fn post(path: &str) -> http::request::Builder {
    to(path).method("POST")
}

pub struct Answering(ResponseFuture);

impl Answering {
    pub async fn head(self) -> Result<Response<RecvStream>, h2::Error> {
        timeout(Duration::from_secs(10), self.0).await.expect("a head in time")
    }

    /// An answer before the answer, if one comes.
    pub async fn informational(&mut self) -> Option<Response<()>> {
        let next = std::future::poll_fn(|cx| self.0.poll_informational(cx));
        timeout(Duration::from_secs(10), next).await.expect("an answer in time")?.ok()
    }

    /// The whole answer.
    pub async fn whole(self) -> Whole {
        let (head, body) = self.head().await.expect("an answer").into_parts();
        let (body, trailers) = rest(body).await.expect("the whole of it");
        Whole { head, body, trailers }
    }
}

pub struct Whole {
    pub head: http::response::Parts,
    pub body: String,
    pub trailers: Option<HeaderMap>,
}

/// What comes until the end, or how it broke off. What was taken makes room for more.
pub async fn rest(mut body: RecvStream) -> Result<(String, Option<HeaderMap>), (String, Option<Reason>)> {
    let mut seen = Vec::new();
    let reading = async {
        while let Some(data) = body.data().await {
            match data {
                Ok(data) => {
                    let _ = body.flow_control().release_capacity(data.len());
                    seen.extend_from_slice(&data);
                }
                Err(error) => return Err(error),
            }
        }
        body.trailers().await
    };
    let ended = timeout(Duration::from_secs(10), reading).await.expect("the stream stays open");
    let seen = String::from_utf8_lossy(&seen).into_owned();
    match ended {
        Ok(trailers) => Ok((seen, trailers)),
        Err(error) => Err((seen, error.reason())),
    }
}

/// Reads until this has come.
pub async fn until(body: &mut RecvStream, needle: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(needle) {
        let data = timeout(Duration::from_secs(10), body.data()).await.expect("in time");
        let data = data.expect("more").expect("no error");
        let _ = body.flow_control().release_capacity(data.len());
        seen.push_str(&String::from_utf8_lossy(&data));
    }
    seen
}

/// One request at an application that speaks HTTP/2, on the connection of this number.
pub struct Asked {
    pub connection: usize,
    pub request: Request<RecvStream>,
    pub respond: h2::server::SendResponse<Bytes>,
}

/// An application that speaks HTTP/2 without TLS: each request goes to `serve`. Counts the connections it had, and the resets that
/// came on them.
pub async fn application<F, S>(serve: F) -> SocketAddr
where
    F: Fn(Asked) -> S + Send + Clone + 'static,
    S: Future<Output = ()> + Send + 'static,
{
    application_with(h2::server::Builder::new(), serve).await
}

pub async fn application_with<F, S>(settings: h2::server::Builder, serve: F) -> SocketAddr
where
    F: Fn(Asked) -> S + Send + Clone + 'static,
    S: Future<Output = ()> + Send + 'static,
{
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for connection in 0.. {
            let (tcp, _) = listener.accept().await.unwrap();
            let (serve, settings) = (serve.clone(), settings.clone());
            tokio::spawn(async move {
                let Ok(mut line) = settings.handshake(tcp).await else { return };
                while let Some(Ok((request, respond))) = line.accept().await {
                    tokio::spawn(serve(Asked { connection, request, respond }));
                }
            });
        }
    });
    address
}

/// What a client says first (RFC 9113 section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame of HTTP/2.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A whole GET, in fields that no table has (RFC 7541 section 6.2.2).
pub fn get_frame(stream: u32, path: &str, token: &str) -> Vec<u8> {
    let bearer = format!("Bearer {token}");
    let fields = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "desk"),
        (":path", path),
        ("authorization", &bearer),
    ];
    let literal = |(name, value): (&str, &str)| {
        let lengths = [name.len(), value.len()].map(|length| u8::try_from(length).unwrap());
        [&[0, lengths[0]], name.as_bytes(), &lengths[1..], value.as_bytes()].concat()
    };
    frame(1, 5, stream, &fields.map(literal).concat())
}

pub fn reset_frame(stream: u32) -> Vec<u8> {
    frame(3, 0, stream, &8_u32.to_be_bytes())
}
