//! A gateway on a free port, with a real engine on real files, and an application made of a closure.

#![allow(unreachable_pub, dead_code, reason = "each test file uses its own part of this")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers fail the test they serve"
)]

pub mod browser;
pub mod http2;

use nightlatch_core::{Activity, Kind, Limits, Policy, Span, Subject};
use nightlatch_engine::{
    Admission, EndOrder, Engine, Entry, OsTime, Running, Session, Start, Tighter, TimeSource, Token,
};
use nightlatch_http::{AppSettings, Gateway, Settings};
use nightlatch_ledger::{Disk, Options, OsDisk};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

/// What a gateway for a test is made of.
pub struct Making {
    pub idle: Duration,
    pub upstream: SocketAddr,
    pub app: AppSettings,
    pub settings: Settings,
    pub time: Box<dyn TimeSource>,
    pub tls: Option<TlsAcceptor>,
    pub disk: Arc<dyn Disk>,
}

impl Making {
    /// In front of `upstream`, with an idle limit that no test reaches.
    pub fn new(upstream: SocketAddr) -> Making {
        Making {
            idle: Duration::from_secs(600),
            upstream,
            app: AppSettings { websocket: true, ..AppSettings::default() },
            settings: Settings::default(),
            time: Box::new(OsTime),
            tls: None,
            disk: Arc::new(OsDisk),
        }
    }
}

/// A gateway at work.
pub struct Site {
    pub address: SocketAddr,
    pub running: Running,
    pub gateway: Arc<Gateway>,
    stop: watch::Sender<bool>,
    _data: tempfile::TempDir,
}

impl Site {
    /// In front of `upstream`, with this idle limit.
    pub async fn open(idle: Duration, upstream: SocketAddr, app: AppSettings) -> Site {
        Site::with(idle, upstream, app, Settings::default()).await
    }

    pub async fn with(idle: Duration, upstream: SocketAddr, app: AppSettings, settings: Settings) -> Site {
        Site::made(Making { idle, app, settings, ..Making::new(upstream) }).await
    }

    pub async fn made(making: Making) -> Site {
        let data = tempfile::tempdir().unwrap();
        let idle = Span::from_millis(u64::try_from(making.idle.as_millis()).unwrap());
        let limits =
            Limits::new(idle, Span::from_secs(3600), Span::from_millis(idle.as_millis() / 2)).unwrap();
        let policy = Policy { version: 1, limits };
        let (engine, _) =
            Engine::open_on(making.disk, Options::default(), data.path(), policy, making.time, "test")
                .unwrap();
        let running = Running::start(engine).unwrap();
        let app = AppSettings {
            name: "app".into(),
            path: "/".into(),
            upstream: match making.app.upstream.as_str() {
                "" => making.upstream.to_string(),
                named => named.to_owned(),
            },
            ..making.app
        };
        let settings = Settings { apps: vec![app], ..making.settings };
        let gateway = Arc::new(Gateway::new(Arc::clone(running.engine()), settings).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(Arc::clone(&gateway).serve(listener, making.tls, stopped));
        Site { address, running, gateway, stop, _data: data }
    }

    pub fn engine(&self) -> &Arc<Engine> {
        self.running.engine()
    }

    /// Somebody signs in.
    pub async fn sign_in(&self, name: &str) -> Token {
        let start = Start {
            subject: Subject { provider: "test".into(), name: name.into() },
            kind: Kind::Person,
            groups: vec!["traders".into()],
            app: None,
            acr: None,
            authenticated: None,
            continues: None,
            provider_session: None,
            parent: None,
            tighter: Tighter::default(),
            cause: "test",
        };
        let starting = self.engine().start(start).unwrap();
        starting.known(self.engine()).await.1
    }

    /// An operator ends the session of this credential; complete when it is on record.
    pub async fn revoke(&self, token: &Token) {
        let Admission::Granted(permit) = self.engine().check(&token.hash(), Activity::Passive, "test") else {
            panic!("not live")
        };
        let order = EndOrder { reason: nightlatch_core::EndReason::Revoked, by: "test", cause: None };
        let index = self.engine().end(permit.session(), order).unwrap();
        self.engine().durable(index).await;
    }

    /// The session of this credential, live or lately ended.
    pub fn session(&self, token: &Token) -> Arc<Session> {
        match self.engine().check(&token.hash(), Activity::Passive, "test") {
            Admission::Granted(permit) => Arc::clone(permit.session()),
            Admission::Ended(refusal) => refusal.session,
            other => panic!("known and live, or over: {other:?}"),
        }
    }

    /// Waits until nothing of this session is open any more.
    pub async fn nothing_open(&self, token: &Token) {
        let session = self.session(token);
        for _ in 0..500 {
            if session.open() == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{} permits are still held", session.open());
    }

    /// Another way in.
    pub fn open_door(&self, door: nightlatch_http::Door) {
        tokio::spawn(Arc::clone(&self.gateway).open(door, self.stop.subscribe()));
    }

    /// The gateway is told to stop.
    pub fn stop(&self) {
        let _ = self.stop.send(true);
    }

    pub async fn connect(&self) -> Client {
        Client(TcpStream::connect(self.address).await.unwrap())
    }

    /// Every entry of a kind, once there are `count`.
    pub async fn entries(&self, count: usize, pick: fn(&Entry) -> bool) -> Vec<Entry> {
        for _ in 0..200 {
            let entries = self
                .engine()
                .ledger()
                .iter_from(0)
                .map(|entry| Entry::from_bytes(&entry.unwrap().payload).unwrap());
            let picked: Vec<Entry> = entries.filter(pick).collect();
            if picked.len() >= count {
                return picked;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{count} entries did not come");
    }

    /// The cuts on record, once there are `count`.
    pub async fn cuts(&self, count: usize) -> Vec<nightlatch_engine::Cut> {
        let entries = self.entries(count, |entry| matches!(entry, Entry::Cut(_))).await;
        entries
            .into_iter()
            .filter_map(|entry| if let Entry::Cut(cut) = entry { Some(cut) } else { None })
            .collect()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
    }
}

/// A client that writes and reads bytes.
pub struct Client<S = TcpStream>(pub S);

/// How the other side ended a connection.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub enum Closed {
    Fin,
    Reset,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub async fn send(&mut self, text: &str) {
        self.0.write_all(text.replace('\n', "\r\n").as_bytes()).await.unwrap();
    }

    /// A GET with this credential as a bearer.
    pub async fn get(&mut self, path: &str, token: &Token, more: &str) {
        self.send(&format!(
            "GET {path} HTTP/1.1\nHost: desk\nAuthorization: Bearer {}\n{more}\n",
            token.reveal()
        ))
        .await;
    }

    /// Reads until the text ends with `needle`, and not a byte further; returns all of it.
    pub async fn until(&mut self, needle: &str) -> String {
        let mut seen = Vec::new();
        let reading = timeout(Duration::from_secs(10), async {
            while !seen.ends_with(needle.as_bytes()) {
                let mut buffer = [0; 1];
                let read = self.0.read(&mut buffer).await.unwrap();
                assert_ne!(read, 0, "closed before {needle:?}: {}", String::from_utf8_lossy(&seen));
                seen.extend_from_slice(&buffer[..read]);
            }
        });
        assert!(reading.await.is_ok(), "waited for {needle:?}, saw: {}", String::from_utf8_lossy(&seen));
        String::from_utf8_lossy(&seen).into_owned()
    }

    /// Reads the head and the body by its `Content-Length`.
    pub async fn answer(&mut self) -> String {
        let mut seen = self.until("\r\n\r\n").await;
        let (head, body) = seen.split_once("\r\n\r\n").unwrap();
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned));
        let mut missing =
            length.map_or(0, |length| length.parse::<usize>().unwrap()).saturating_sub(body.len());
        while missing > 0 {
            let mut buffer = [0; 4096];
            let most = missing.min(buffer.len());
            let read = self.0.read(&mut buffer[..most]).await.unwrap();
            assert_ne!(read, 0);
            seen.push_str(&String::from_utf8_lossy(&buffer[..read]));
            missing = missing.saturating_sub(read);
        }
        seen
    }

    /// Reads to the end: what came, and how it ended.
    pub async fn rest(&mut self) -> (Vec<u8>, Closed) {
        let mut seen = Vec::new();
        let reading = timeout(Duration::from_secs(10), async {
            loop {
                let mut buffer = [0; 4096];
                match self.0.read(&mut buffer).await {
                    Ok(0) => return Closed::Fin,
                    Ok(read) => seen.extend_from_slice(&buffer[..read]),
                    Err(_) => return Closed::Reset,
                }
            }
        });
        let closed = reading.await.expect("the connection stays open");
        (seen, closed)
    }
}

pub fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// An application: each connection goes to `serve`, which reads and writes bytes as it likes.
pub async fn application<F, S>(serve: F) -> SocketAddr
where
    F: Fn(TcpStream) -> S + Send + 'static,
    S: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(serve(connection));
        }
    });
    address
}

/// Reads a request's head, and what of the body came with it.
pub async fn read_head(connection: &mut TcpStream) -> String {
    let mut seen = Vec::new();
    while !contains(&seen, b"\r\n\r\n") {
        let mut buffer = [0; 4096];
        match connection.read(&mut buffer).await {
            Ok(0) | Err(_) => return String::new(),
            Ok(read) => seen.extend_from_slice(&buffer[..read]),
        }
    }
    String::from_utf8_lossy(&seen).into_owned()
}

/// Writes text with `\n` as CRLF; false if the other side is gone.
pub async fn write(connection: &mut TcpStream, text: &str) -> bool {
    connection.write_all(text.replace('\n', "\r\n").as_bytes()).await.is_ok()
}

/// Reads a request with its body, by length or chunks; empty when the connection ends first.
pub async fn read_request(connection: &mut TcpStream) -> String {
    let mut seen = read_head(connection).await.into_bytes();
    loop {
        let text = String::from_utf8_lossy(&seen).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { return String::new() };
        let head = head.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let whole = match length {
            Some(length) => body.len() >= length.parse::<usize>().unwrap(),
            None if head.contains("transfer-encoding: chunked") => {
                (body.starts_with("0\r\n") || body.contains("\r\n0\r\n")) && body.ends_with("\r\n\r\n")
            }
            None => true,
        };
        if whole {
            return text;
        }
        let mut buffer = vec![0; 65_536];
        match connection.read(&mut buffer).await {
            Ok(0) | Err(_) => return String::new(),
            Ok(read) => seen.extend_from_slice(&buffer[..read]),
        }
    }
}

/// An application that notes each request whole and answers as `reply` says, as often as it is asked on one connection.
pub async fn recording(
    reply: impl Fn(&str) -> String + Send + Sync + 'static,
) -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    let (note, noted) = mpsc::unbounded_channel();
    let reply = Arc::new(reply);
    let address = application(move |mut connection| {
        let (note, reply) = (note.clone(), Arc::clone(&reply));
        async move {
            loop {
                let request = read_request(&mut connection).await;
                if request.is_empty() {
                    return;
                }
                let answer = reply(&request);
                let _ = note.send(request);
                if answer.is_empty() || !write(&mut connection, &answer).await {
                    return;
                }
            }
        }
    })
    .await;
    (address, noted)
}

/// An answer of two bytes.
pub const OK: &str = "HTTP/1.1 200 OK\nContent-Length: 2\n\nok";
