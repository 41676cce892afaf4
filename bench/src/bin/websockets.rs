//! Ten thousand open WebSockets of ten thousand sessions: what a quiet one costs in memory, how late one is cut among the others, and how late
//! the last one is when all fall due at one instant.
//!
//! The gateway is the program as it ships, with its ledger on disk; the application and the clients are a process each, for the
//! descriptors. All have all of this machine's processors: in the burst they stand in each other's way. *On the record* is what the
//! ledger says of each cut: the Close handed to the kernel, minus the deadline. Nothing is asserted.
//!
//! A WebSocket takes two descriptors of the gateway. Where the system gives it fewer than that, as many are opened as fit.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a measurement prints, and stops when it cannot measure"
)]

use nightlatch_bench::{
    process::Served,
    program::{Api, Program, Setting, free_port, wait_for},
};
use nightlatch_core::{Limits, Policy, Span};
use nightlatch_engine::{Engine, Entry, OsTime};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

const BURST_MOST: u64 = 10_000;
/// Those that fall due one at a time, while the others are quiet.
const SINGLE: u64 = 200;
const BETWEEN_SINGLES_MS: u64 = 25;
/// From the first single one to the burst.
const BURST_AFTER_MS: u64 = SINGLE * BETWEEN_SINGLES_MS + 3_000;
/// Opening everything takes less than this.
const LEAD_MS: u64 = 60_000;
const ABSOLUTE_MS: u64 = 3_600_000;

fn main() {
    let descriptors = take_descriptors();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    if let Some(port) = std::env::args().nth(1) {
        runtime.block_on(application(port.parse().unwrap()));
        return;
    }
    // The program keeps 768 for itself and 256 for connections to the application that wait; a few more for the connections of the API.
    let burst = BURST_MOST.min((descriptors - 768 - 256) / 2 - SINGLE - 16);
    let folder = tempfile::tempdir().unwrap();
    let data = runtime.block_on(measure(folder.path(), burst));
    drop(runtime);
    report(&data);
}

/// All the descriptors that the system gives.
fn take_descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(1 << 20);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: limit.maximum });
    most
}

/// Opens everything, waits for the end of it all, and gives the data directory of the program.
async fn measure(folder: &Path, burst: u64) -> std::path::PathBuf {
    let port = free_port();
    let own = std::env::current_exe().unwrap().display().to_string();
    let _application = Served::start(None, &own, &[&port.to_string()]);
    wait_for(port);
    let setting =
        Setting { name: "websockets", tls: false, application: port, absolute: "1h", processor: None };
    let mut program = Program::start(folder, &setting);

    let begin = unix_millis() + LEAD_MS;
    let due =
        move |number: u64| begin + if number < SINGLE { number * BETWEEN_SINGLES_MS } else { BURST_AFTER_MS };
    let admin = program.admin;
    let tokens = tokio::task::spawn_blocking(move || {
        let mut api = Api::connect(admin);
        (0..SINGLE + burst)
            .map(|number| {
                api.start_session(&format!("subject-{number}"), Some(&rfc3339(due(number) - ABSOLUTE_MS)))
            })
            .collect::<Vec<_>>()
    });
    let tokens = tokens.await.unwrap();
    let before = program.served.resident_kib();
    let mut open = JoinSet::new();
    for batch in tokens.chunks(100) {
        let mut opening = JoinSet::new();
        for token in batch {
            opening.spawn(connect(program.gateway, token.clone()));
        }
        while let Some(connection) = opening.join_next().await {
            open.spawn(until_closed(connection.unwrap()));
        }
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(unix_millis() < begin, "this machine took too long to open everything");
    let kib = program.served.resident_kib() - before;
    println!(
        "{} WebSockets open and quiet: {:.1} KiB each in the gateway\n",
        burst + SINGLE,
        kib as f64 / (burst + SINGLE) as f64
    );
    let mut closes = 0;
    while let Some(closed) = open.join_next().await {
        closes += u64::from(closed.unwrap());
    }
    println!("{closes} of {} were told by a Close with 3008, as their clients saw it\n", burst + SINGLE);
    tokio::time::sleep(Duration::from_secs(1)).await;
    program.served.stop();
    program.data.clone()
}

/// What the ledger says of every cut.
fn report(data: &Path) {
    let limits =
        Limits::new(Span::from_secs(3_540), Span::from_millis(ABSOLUTE_MS), Span::from_secs(120)).unwrap();
    let (engine, _) = Engine::open(data, Policy { version: 1, limits }, Box::new(OsTime), "bench").unwrap();
    let mut instants: BTreeMap<u64, u64> = BTreeMap::new();
    let mut cuts = Vec::new();
    for entry in engine.ledger().iter_from(0) {
        if let Ok(Entry::Cut(cut)) = Entry::from_bytes(&entry.unwrap().payload) {
            *instants.entry(cut.ended_at).or_default() += 1;
            cuts.push((cut.ended_at, cut.lateness_us, cut.how));
        }
    }
    let burst = instants.iter().max_by_key(|(_, cuts)| **cuts).map_or(0, |(instant, _)| *instant);
    println!("milliseconds after the deadline, on the record\n");
    println!("{:<36} {:>7} {:>8} {:>8} {:>8} {:>8}", "", "cuts", "closes", "p50", "p99", "latest");
    for (name, in_burst) in [("one at a time among the others", false), ("all at one instant", true)] {
        let these = cuts.iter().filter(|(at, ..)| (*at == burst) == in_burst);
        let closes = these.clone().filter(|(_, _, how)| how.starts_with("close")).count();
        let mut us: Vec<u64> = these.map(|(_, us, _)| *us).collect();
        us.sort_unstable();
        let at =
            |part: f64| us.get(((us.len() as f64 - 1.0) * part) as usize).copied().unwrap_or(0) as f64 / 1e3;
        println!(
            "{name:<36} {:>7} {closes:>8} {:>8.2} {:>8.2} {:>8.2}",
            us.len(),
            at(0.5),
            at(0.99),
            at(1.0)
        );
    }
}

/// The application, on this port.
async fn application(port: u16) {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    while let Ok((connection, _)) = listener.accept().await {
        tokio::spawn(answer(connection));
    }
}

/// Accepts a WebSocket, and then says nothing until the other side closes.
async fn answer(mut connection: TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match connection.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    // The accept key of the key that every client here sends (RFC 6455 section 1.3).
    let accept = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    if connection.write_all(accept).await.is_err() {
        return;
    }
    let mut close = [0; 64];
    if let Ok(6..) = connection.read(&mut close).await {
        let _ = connection.write_all(&[0x88, 0x00]).await;
    }
}

async fn connect(gateway: u16, token: String) -> TcpStream {
    let mut connection = TcpStream::connect(("127.0.0.1", gateway)).await.unwrap();
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await.expect("an answer"));
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    connection
}

/// Reads until it is closed; whether that came with a Close of 3008.
async fn until_closed(mut connection: TcpStream) -> bool {
    let mut frame = [0; 64];
    let told = matches!(connection.read(&mut frame).await, Ok(4..))
        && frame[0] == 0x88
        && frame[2..4] == [0x0b, 0xc0];
    if told {
        // An empty Close of ours, masked as a client's must be.
        let _ = connection.write_all(&[0x88, 0x80, 0, 0, 0, 0]).await;
    }
    told
}

fn unix_millis() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

fn rfc3339(millis: u64) -> String {
    jiff::Timestamp::from_millisecond(millis as i64).unwrap().to_string()
}
