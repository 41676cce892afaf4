//! never-late, in real time: hundreds of exchanges of every kind run into their deadline at random offsets.
//!
//! Every piece carries the instant at which it was *sent*. One that was sent at or after the deadline and still arrives was let
//! through too late, however slow the machine is. Half of the clients come over TLS.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers fail the test they serve"
)]

mod common;

use common::{Making, Site, application, read_head, write};
use nightlatch_engine::Token;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::{
    future::pending,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

const IDLE: Duration = Duration::from_millis(500);
const WAVES: usize = 4;
const CLIENTS: usize = 50;
/// A piece that arrives so long after the deadline was held back somewhere. Wide, because reading it takes a turn of the processor.
const ARRIVES_WITHIN_MS: u64 = 1_000;

/// The engine's clock is never behind this one, so what is late by this one is late by the engine's.
fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis())
        .unwrap_or(0)
}

fn stamp() -> String {
    format!("@{};", now_ms())
}

/// What arrived: whose, when it was sent, when it came.
type Arrivals = Arc<Mutex<Vec<(usize, u64, u64)>>>;

fn note(arrivals: &Arrivals, whose: usize, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let stamps = text.split('@').skip(1).filter_map(|rest| rest.split_once(';')?.0.parse().ok());
    let now = now_ms();
    arrivals
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
        .extend(stamps.map(|sent| (whose, sent, now)));
}

/// Numbers from a seed.
#[derive(Clone)]
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    async fn pause(&mut self, most_us: u64) {
        sleep(Duration::from_micros(self.below(most_us + 1))).await;
    }
}

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\n\n";
const WS: &str = "Upgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n";
const KINDS: [&str; 5] = ["down", "news", "ws", "up", "ask"];

/// The application: sends stamps for as long as it can and notes the ones it gets.
async fn serve(mut connection: TcpStream, arrivals: Arrivals) {
    let mut dice = Dice(now_ms());
    dice.pause(3_000).await;
    loop {
        let head = read_head(&mut connection).await;
        let mut parts = head.split(' ').nth(1).unwrap_or_default().split('/').skip(1);
        let (Some(kind), Some(Ok(whose))) = (parts.next(), parts.next().map(str::parse::<usize>)) else {
            return;
        };
        note(&arrivals, whose, head.as_bytes());
        dice.pause(3_000).await;
        match kind {
            "ask" => {
                if !write(&mut connection, &format!("HTTP/1.1 200 OK\nContent-Length: 15\n\n{}", stamp()))
                    .await
                {
                    return;
                }
            }
            "up" => return take(&mut connection, &arrivals, whose).await,
            "ws" => {
                write(&mut connection, SWITCH).await;
                let (mut read, mut send) = connection.split();
                let sending = async {
                    loop {
                        let frame = [&[0x81, 15], stamp().as_bytes()].concat();
                        if send.write_all(&frame).await.is_err() {
                            return;
                        }
                        dice.pause(2_000).await;
                    }
                };
                tokio::join!(sending, take(&mut read, &arrivals, whose));
                return;
            }
            kind => {
                let content_type = if kind == "news" { "text/event-stream" } else { "text/csv" };
                write(
                    &mut connection,
                    &format!("HTTP/1.1 200 OK\nContent-Type: {content_type}\nTransfer-Encoding: chunked\n\n"),
                )
                .await;
                while connection
                    .write_all(format!("17\r\ndata: {}\n\n\r\n", stamp()).as_bytes())
                    .await
                    .is_ok()
                {
                    dice.pause(2_000).await;
                }
                return;
            }
        }
    }
}

async fn take(from: &mut (impl AsyncRead + Unpin), arrivals: &Arrivals, whose: usize) {
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        note(arrivals, whose, &buffer[..read]);
    }
}

/// A client: sends stamps for as long as it can and notes the ones it gets.
async fn run(
    io: impl AsyncRead + AsyncWrite,
    kind: &str,
    whose: usize,
    token: &Token,
    mut dice: Dice,
    arrivals: &Arrivals,
) {
    let (mut read, mut send) = tokio::io::split(io);
    let method = if kind == "up" { "POST" } else { "GET" };
    let more = match kind {
        "ws" => WS,
        "up" => "Transfer-Encoding: chunked\n",
        _ => "",
    };
    let head = || {
        let credential = token.reveal();
        // By a script: it does not count, so that the deadline stays where it is.
        let passive = "Sec-Fetch-Mode: cors\nSec-Fetch-Dest: empty\n";
        format!("{method} /{kind}/{whose} HTTP/1.1\nHost: desk\nAuthorization: Bearer {credential}\n{passive}X-Stamp: {}\n{more}\n", stamp())
            .replace('\n', "\r\n")
    };
    // Some read slowly.
    let slow = dice.below(3) == 0;
    let sending = async {
        let mut open = send.write_all(head().as_bytes()).await.is_ok() && send.flush().await.is_ok();
        while open {
            dice.pause(3_000).await;
            let piece = match kind {
                "ask" => head().into_bytes(),
                "up" => format!("f\r\n{}\r\n", stamp()).into_bytes(),
                "ws" => [&[0x81, 0x80 | 15, 0, 0, 0, 0], stamp().as_bytes()].concat(),
                _ => return,
            };
            open = send.write_all(&piece).await.is_ok() && send.flush().await.is_ok();
        }
    };
    let reading = async {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = read.read(&mut buffer).await {
            note(arrivals, whose, &buffer[..read]);
            if slow {
                sleep(Duration::from_millis(5)).await;
            }
            if contains_401(&buffer[..read]) || contains_end(&buffer[..read]) {
                return;
            }
        }
    };
    let both = async {
        tokio::select! {
            ((), ()) = async { tokio::join!(sending, pending::<()>()) } => {}
            () = reading => {}
        }
    };
    timeout(Duration::from_secs(20), both).await.expect("everything ends");
}

fn contains_401(bytes: &[u8]) -> bool {
    common::contains(bytes, b"HTTP/1.1 401")
}

fn contains_end(bytes: &[u8]) -> bool {
    common::contains(bytes, b"nightlatch-ended")
}

fn tls() -> (TlsAcceptor, TlsConnector) {
    let made = rcgen::generate_simple_self_signed(["desk".to_owned()]).unwrap();
    let certificate = CertificateDer::from(made.cert.der().to_vec());
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let server = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    (TlsAcceptor::from(Arc::new(server)), TlsConnector::from(Arc::new(client)))
}

async fn connect(address: SocketAddr, tls: Option<&TlsConnector>) -> Box<dyn Io> {
    let tcp = TcpStream::connect(address).await.unwrap();
    match tls {
        None => Box::new(tcp),
        Some(tls) => Box::new(tls.connect(ServerName::try_from("desk").unwrap(), tcp).await.unwrap()),
    }
}

trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn never_late_whatever_is_under_way_at_the_deadline() {
    let seed =
        std::env::var("NIGHTLATCH_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(now_ms);
    println!("NIGHTLATCH_SEED={seed}");
    let mut dice = Dice(seed);
    let arrivals = Arrivals::default();
    let noted = Arc::clone(&arrivals);
    let app = application(move |connection| serve(connection, Arc::clone(&noted))).await;
    let (acceptor, connector) = tls();
    let plain = Site::made(Making { idle: IDLE, ..Making::new(app) }).await;
    let sealed = Site::made(Making { idle: IDLE, tls: Some(acceptor), ..Making::new(app) }).await;
    let mut deadlines = Vec::new();
    for _ in 0..WAVES {
        let mut wave = Vec::new();
        for _ in 0..CLIENTS {
            let whose = deadlines.len() + wave.len();
            let (site, tls) = if whose % 2 == 0 { (&plain, None) } else { (&sealed, Some(&connector)) };
            let kind = KINDS[dice.below(5) as usize];
            let (mut own, arrivals) = (Dice(dice.below(u64::MAX)), &arrivals);
            wave.push(async move {
                let token = site.sign_in("trader").await;
                // From well before the deadline to just after it, most of them close by.
                let ahead = own.below(160_000).min(own.below(160_000));
                let deadline = site.session(&token).deadline().at.as_nanos() / 1_000;
                let now = site.engine().clock().now_nanos() / 1_000;
                sleep(Duration::from_micros((deadline + 4_000).saturating_sub(now + ahead))).await;
                run(connect(site.address, tls).await, kind, whose, &token, own, arrivals).await;
                site.nothing_open(&token).await;
                (kind, site.session(&token).end().expect("over").at.as_millis())
            });
        }
        deadlines.extend(futures_util::future::join_all(wave).await);
    }
    let arrivals = arrivals.lock().unwrap();
    let mut passed = [0; KINDS.len()];
    for &(whose, sent, came) in arrivals.iter() {
        let (kind, deadline) = deadlines[whose];
        assert!(
            sent < deadline,
            "{kind} {whose}: sent {} ms after the deadline, and let through",
            sent - deadline
        );
        assert!(
            came < deadline + ARRIVES_WITHIN_MS,
            "{kind} {whose}: arrived {} ms after the deadline",
            came - deadline
        );
        passed[KINDS.iter().position(|known| *known == kind).unwrap()] += 1;
    }
    println!("{} pieces in time: {KINDS:?} {passed:?}", arrivals.len());
    assert!(passed.iter().all(|passed| *passed > 20), "each kind was really under way: {passed:?}");
}
