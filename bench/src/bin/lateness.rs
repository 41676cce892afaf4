//! How late open channels are cut: WebSockets, event streams and downloads of many sessions, with every client on this machine.
//!
//! A gateway with a real engine and a real ledger stands in front of an application that answers on all three; each session opens
//! one of each. Then nobody does anything until the sessions fall due: spread over one second, or all at one instant. Two
//! figures are taken for each cut: what the ledger says (the cut handed to the kernel, minus the deadline) and when the client saw it.
//! Everything shares this machine's processors, so the second includes the clients' own waiting.
//!
//! Nothing is asserted: the figures are for reading, and their worth is that of the machine.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a measurement prints, and stops when it cannot measure"
)]

use nightlatch_core::{Kind, Limits, Policy, Span, Subject, Time};
use nightlatch_engine::{Engine, Entry, OsTime, Running, Start, Tighter};
use nightlatch_http::{AppSettings, Gateway, Settings};
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

const SESSIONS: u64 = 300;
const CHANNELS: [(&str, &str); 3] = [("websocket", "/ws"), ("sse", "/events"), ("download", "/report")];
/// From the start of the first session until the first is due: time enough to open everything.
const LEAD: Span = Span::from_secs(5);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    println!(
        "{SESSIONS} sessions, a WebSocket, an event stream and a download each; milliseconds after the deadline\n"
    );
    println!("{:<34} {:<10} {:>8} {:>8} {:>8} {:>8}", "", "channel", "cuts", "p50", "p99", "latest");
    runtime
        .block_on(measure("spread over one second", |number| Span::from_millis(number * 1_000 / SESSIONS)));
    runtime.block_on(measure("all at one instant", |_| Span::ZERO));
}

async fn measure(name: &str, due_after: fn(u64) -> Span) {
    let data = tempfile::tempdir().unwrap();
    let absolute = Span::from_secs(3600);
    let limits = Limits::new(Span::from_secs(1800), absolute, Span::from_secs(60)).unwrap();
    let policy = Policy { version: 1, limits };
    let (engine, _) = Engine::open(data.path(), policy, Box::new(OsTime), "bench").unwrap();
    let running = Running::start(engine).unwrap();
    let engine = running.engine();
    let address = gateway(engine).await;

    let begin = engine.clock().now().plus(LEAD);
    let mut clients = JoinSet::new();
    for number in 0..SESSIONS {
        let due = begin.plus(due_after(number));
        let authenticated = due.minus(absolute);
        let (_, token) = engine.start(start(number, authenticated)).unwrap().known(engine).await;
        for (channel, path) in CHANNELS {
            let (engine, token) = (Arc::clone(engine), token.reveal().to_owned());
            clients.spawn(async move {
                let seen = client(address, path, &token, &engine).await;
                (channel, seen.saturating_sub(due.as_nanos()) / 1_000)
            });
        }
    }
    let mut seen: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    while let Some(Ok((channel, us))) = clients.join_next().await {
        seen.entry(channel).or_default().push(us);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut cuts: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for entry in engine.ledger().iter_from(0) {
        if let Ok(Entry::Cut(cut)) = Entry::from_bytes(&entry.unwrap().payload) {
            cuts.entry(cut.channel).or_default().push(cut.lateness_us);
        }
    }
    for (channel, _) in CHANNELS {
        row(&format!("{name}, on the record"), channel, cuts.remove(channel).unwrap_or_default());
    }
    for (channel, _) in CHANNELS {
        row(&format!("{name}, seen by the client"), channel, seen.remove(channel).unwrap_or_default());
    }
    println!();
}

fn row(name: &str, channel: &str, mut us: Vec<u64>) {
    us.sort_unstable();
    let at =
        |part: f64| us.get(((us.len() as f64 - 1.0) * part) as usize).copied().unwrap_or(0) as f64 / 1_000.0;
    println!("{name:<34} {channel:<10} {:>8} {:>8.2} {:>8.2} {:>8.2}", us.len(), at(0.5), at(0.99), at(1.0));
}

fn start(number: u64, authenticated: Time) -> Start {
    Start {
        subject: Subject { provider: "bench".to_owned(), name: format!("subject-{number}") },
        kind: Kind::Person,
        groups: Vec::new(),
        app: None,
        acr: None,
        authenticated: Some(authenticated),
        continues: None,
        provider_session: None,
        parent: None,
        tighter: Tighter::default(),
        cause: "bench",
    }
}

async fn gateway(engine: &Arc<Engine>) -> SocketAddr {
    let application = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let app = AppSettings {
        name: "bench".to_owned(),
        path: "/".to_owned(),
        upstream: application.local_addr().unwrap().to_string(),
        websocket: true,
        ..AppSettings::default()
    };
    tokio::spawn(async move {
        while let Ok((connection, _)) = application.accept().await {
            tokio::spawn(serve(connection));
        }
    });
    let settings = Settings { apps: vec![app], ..Settings::default() };
    let gateway = Arc::new(Gateway::new(Arc::clone(engine), settings).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        gateway.serve(listener, None, stopped).await;
        drop(stop);
    });
    address
}

/// The application: a frame, an event or a row every 200 ms.
async fn serve(mut connection: TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match connection.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let (answer, piece): (&str, &[u8]) = if head.starts_with("GET /ws") {
        // The accept key of the key that every client here sends (RFC 6455 section 1.3).
        let accept = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        (accept, b"\x81\x05quote")
    } else if head.starts_with("GET /events") {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        (head, b"d\r\ndata: news \n\n\r\n")
    } else {
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"4\r\nrow\n\r\n")
    };
    if connection.write_all(answer.as_bytes()).await.is_err() {
        return;
    }
    while connection.write_all(piece).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Opens a channel and reads until it is cut. Gives the instant at which the cut was seen, in nanoseconds of the engine's clock.
async fn client(address: SocketAddr, path: &str, token: &str, engine: &Engine) -> u64 {
    let mut connection = TcpStream::connect(address).await.unwrap();
    let upgrade = match path {
        "/ws" => {
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        }
        _ => "",
    };
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n{upgrade}\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut buffer = vec![0; 4096];
    loop {
        match connection.read(&mut buffer).await {
            Ok(read @ 1..) => {
                let last_words = buffer[..read].windows(16).any(|part| part == b"nightlatch-ended");
                let close = buffer[..read].windows(4).any(|part| part == [0x88, 18, 0x0b, 0xc0]);
                if last_words || close {
                    return engine.clock().now_nanos();
                }
            }
            _ => return engine.clock().now_nanos(),
        }
    }
}
