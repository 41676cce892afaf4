//! never-late: no window between check and registration, between having a connection and the first byte, between two chunks.
//!
//! First with time standing still: past the deadline, between two steps, and then not a byte may pass, however often it is tried.
//! Then with real time and hundreds of exchanges that run into their deadline at random offsets. There every piece carries the
//! instant at which it was *sent*; one that was sent at or after the deadline and still arrives was let through too late. That
//! holds however slow the machine is.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers fail the test they serve"
)]

mod common;

use common::{Client, Closed, Making, Site, application, contains, read_head, read_request, write};
use nightlatch_core::EndReason;
use nightlatch_engine::{Entry, ManualTime, Token};
use nightlatch_http::AppSettings;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    sync::{mpsc, oneshot},
    time::{sleep, timeout},
};

const NOW: u64 = 1_800_000_000_000_000_000;
const SECOND: u64 = 1_000_000_000;
/// RFC 6455 section 1.3.
const WS: &str = "Upgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\n\n";

/// A gateway whose clock stands still until it is moved past the deadline.
struct Frozen {
    site: Site,
    time: Arc<ManualTime>,
    token: Token,
}

impl Frozen {
    async fn new(upstream: SocketAddr) -> Frozen {
        let time = Arc::new(ManualTime::new(NOW));
        let app = AppSettings { websocket: true, upgrades: vec!["tcp".to_owned()], ..AppSettings::default() };
        let site =
            Site::made(Making { time: Box::new(Arc::clone(&time)), app, ..Making::new(upstream) }).await;
        let token = site.sign_in("trader").await;
        Frozen { site, time, token }
    }

    /// From here on the session is over.
    fn pass_the_deadline(&self) {
        self.time.advance(601 * SECOND);
    }

    async fn ask(&self, method: &str, path: &str, more: &str) -> Client {
        let mut client = self.site.connect().await;
        let credential = self.token.reveal();
        client
            .send(&format!(
                "{method} {path} HTTP/1.1\nHost: desk\nAuthorization: Bearer {credential}\n{more}\n"
            ))
            .await;
        client
    }

    async fn is_over(&self) {
        self.site.nothing_open(&self.token).await;
        assert_eq!(self.site.session(&self.token).end().unwrap().reason, EndReason::IdleTimeout);
        assert!(self.site.cuts(0).await.len() <= 1, "one cut is one entry");
    }
}

/// An application that is told when to go on: `first` at once, `LATE` after the word. Gives back all it ever read.
async fn told(
    first: &'static str,
    late: &'static [u8],
) -> (SocketAddr, oneshot::Sender<()>, mpsc::UnboundedReceiver<Vec<u8>>) {
    let (go, gone) = oneshot::channel();
    let (note, noted) = mpsc::unbounded_channel();
    let gone = Arc::new(std::sync::Mutex::new(Some(gone)));
    let address = application(move |mut connection| {
        let (gone, note) = (gone.lock().unwrap().take(), note.clone());
        async move {
            let head = read_head(&mut connection).await;
            note.send(head.into_bytes()).unwrap();
            write(&mut connection, first).await;
            if let Some(gone) = gone {
                let _ = gone.await;
            }
            if late.is_empty() {
                return;
            }
            let _ = connection.write_all(late).await;
            let mut rest = Vec::new();
            let _ = connection.read_to_end(&mut rest).await;
            let _ = note.send(rest);
        }
    })
    .await;
    (address, go, noted)
}

async fn next(noted: &mut mpsc::UnboundedReceiver<Vec<u8>>) -> Vec<u8> {
    timeout(Duration::from_secs(10), noted.recv()).await.expect("in time").expect("noted")
}

#[tokio::test]
async fn never_late_nothing_goes_into_a_connection_that_was_had_too_late() {
    // A backlog of one that is taken: the gateway's connection is not accepted before somebody accepts the others.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut fill = Vec::new();
    while let Ok(Ok(connection)) = timeout(Duration::from_millis(100), TcpStream::connect(address)).await {
        fill.push(connection);
    }
    let frozen = Frozen::new(address).await;
    let mut client = frozen.ask("GET", "/page", "").await;
    sleep(Duration::from_millis(100)).await;
    frozen.pass_the_deadline();
    drop(fill);
    while let Ok(Ok((mut connection, _))) = timeout(Duration::from_millis(1_500), listener.accept()).await {
        let mut seen = Vec::new();
        let _ = timeout(Duration::from_secs(1), connection.read_to_end(&mut seen)).await;
        assert!(seen.is_empty(), "{}", String::from_utf8_lossy(&seen));
    }
    assert!(client.answer().await.starts_with("HTTP/1.1 401"));
    frozen.is_over().await;
}

/// An application that answers before it has the whole request may have acted on what it has.
#[tokio::test]
async fn kept_of_an_early_answer_that_is_withheld_the_outcome_is_unknown() {
    for (method, unknown) in [("POST", true), ("GET", false)] {
        let (app, go, mut noted) = told("", b"HTTP/1.1 201 Created\r\nContent-Length: 4\r\n\r\nLATE").await;
        let frozen = Frozen::new(app).await;
        let mut client = frozen.ask(method, "/orders", "Content-Length: 9\n").await;
        client.send("early").await;
        next(&mut noted).await;
        sleep(Duration::from_millis(50)).await;
        frozen.pass_the_deadline();
        go.send(()).unwrap();
        let answer = client.answer().await;
        assert!(answer.starts_with("HTTP/1.1 401") && !answer.contains("LATE"), "{answer}");
        assert_eq!(answer.contains("\"outcome\":\"unknown\""), unknown, "{answer}");
        if unknown {
            let entries =
                frozen.site.entries(1, |entry| matches!(entry, Entry::OutcomeWithheld { .. })).await;
            assert!(matches!(entries[0], Entry::OutcomeWithheld { status: Some(201), .. }), "{entries:?}");
        }
        let cuts = frozen.site.cuts(1).await;
        assert_eq!((&*cuts[0].channel, &*cuts[0].how), ("upload", "aborted"), "{cuts:?}");
        frozen.is_over().await;
    }
}

#[tokio::test]
async fn never_late_an_answer_that_comes_after_the_end_is_withheld() {
    for (method, outcome) in [("GET", None), ("POST", Some("\"outcome\":\"unknown\""))] {
        let (app, go, mut noted) = told("", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nLATE").await;
        let frozen = Frozen::new(app).await;
        let mut client = frozen.ask(method, "/orders", "").await;
        next(&mut noted).await;
        frozen.pass_the_deadline();
        go.send(()).unwrap();
        let answer = client.answer().await;
        assert!(answer.starts_with("HTTP/1.1 401") && !answer.contains("LATE"), "{answer}");
        assert_eq!(answer.contains("\"outcome\""), outcome.is_some(), "{answer}");
        if outcome.is_some() {
            frozen.site.entries(1, |entry| matches!(entry, Entry::OutcomeWithheld { .. })).await;
        }
        frozen.is_over().await;
    }
}

#[tokio::test]
async fn never_late_nothing_follows_in_a_body_under_way() {
    let chunked = "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5\nearly\n";
    let events = "HTTP/1.1 200 OK\nContent-Type: text/event-stream\n\ndata: early\n\n";
    let rows: [(&str, &'static [u8]); 4] = [
        (chunked, b"4\r\nLATE\r\n"),
        // The end of the body, without which it cannot look complete.
        (chunked, b"0\r\n\r\n"),
        ("HTTP/1.1 200 OK\nContent-Length: 9\n\nearly", b"LATE"),
        (events, b"data: LATE\n\n"),
    ];
    for (first, late) in rows {
        let (app, go, _noted) = told(first, late).await;
        let frozen = Frozen::new(app).await;
        let mut client = frozen.ask("GET", "/report", "").await;
        client.until("early").await;
        frozen.pass_the_deadline();
        go.send(()).unwrap();
        let (seen, closed) = match first == events {
            true => (client.until("0\r\n\r\n").await.into_bytes(), Closed::Reset),
            false => client.rest().await,
        };
        let text = String::from_utf8_lossy(&seen);
        assert!(!text.contains("LATE"), "{text}");
        assert_eq!(text.contains("nightlatch-ended"), first == events, "{text}");
        assert!(first == events || !text.contains("0\r\n\r\n"), "{text}");
        assert_eq!(closed, Closed::Reset, "{first}");
        assert_eq!(frozen.site.cuts(1).await.len(), 1);
        frozen.is_over().await;
    }
}

#[tokio::test]
async fn never_late_nothing_follows_in_an_upload_under_way() {
    let rows = [
        ("Content-Length: 9\n", "early", "LATE"),
        ("Transfer-Encoding: chunked\n", "5\nearly\n", "4\nLATE\n"),
        ("Transfer-Encoding: chunked\n", "5\nearly\n", "0\n\n"),
    ];
    for (framing, early, late) in rows {
        let (app, _go, mut noted) = told("", b" ").await;
        let frozen = Frozen::new(app).await;
        let mut client = frozen.ask("POST", "/documents", framing).await;
        client.send(early).await;
        next(&mut noted).await;
        sleep(Duration::from_millis(50)).await;
        frozen.pass_the_deadline();
        client.send(late).await;
        let answer = client.answer().await;
        assert!(answer.starts_with("HTTP/1.1 401") && !answer.contains("outcome"), "{answer}");
        drop(_go);
        let seen = next(&mut noted).await;
        assert!(
            !contains(&seen, b"LATE") && !contains(&seen, b"0\r\n\r\n"),
            "{}",
            String::from_utf8_lossy(&seen)
        );
        let cuts = frozen.site.cuts(1).await;
        assert_eq!((cuts.len(), cuts[0].how.as_str()), (1, "aborted"));
        frozen.is_over().await;
    }
}

#[tokio::test]
async fn never_late_nothing_follows_in_a_websocket_in_either_direction() {
    let (app, go, mut noted) = told(SWITCH, &[0x82, 4, b'L', b'A', b'T', b'E']).await;
    let frozen = Frozen::new(app).await;
    let mut client = frozen.ask("GET", "/ws", WS).await;
    client.until("\r\n\r\n").await;
    frozen.pass_the_deadline();
    client.0.write_all(&[0x82, 0x84, 0, 0, 0, 0, b'L', b'A', b'T', b'E']).await.unwrap();
    go.send(()).unwrap();
    let (seen, _) = client.rest().await;
    assert_eq!(seen[..4], [0x88, 14, 0x0b, 0xc0], "a Close and nothing else: {seen:x?}");
    assert_eq!(seen.len(), 16);
    next(&mut noted).await;
    let told = next(&mut noted).await;
    assert!(told.len() == 20 && told[0] == 0x88, "a Close and nothing else: {told:x?}");
    assert_eq!(frozen.site.cuts(1).await.len(), 1);
    frozen.is_over().await;
}

/// A request's first line and fields, what the application answers and what of it is waited for; then the words of the cut, and
/// how the connection ends.
type Closing = ([&'static str; 4], &'static [u8], Closed);

/// That a stream is complete is said by the end of its connection, and is asked for like a byte.
#[tokio::test]
async fn never_late_what_its_application_closes_after_the_end_does_not_look_complete() {
    let stream = "Connection: Upgrade\nUpgrade: tcp\nContent-Length: 0\n";
    let switch = "HTTP/1.1 101 UPGRADED\nConnection: Upgrade\nUpgrade: tcp\n\nearly";
    let to_the_end = "HTTP/1.1 200 OK\nConnection: close\n\nearly";
    let rows: [Closing; 4] = [
        (["POST /exec/1/start HTTP/1.1", stream, switch, "early"], b"", Closed::Reset),
        // A WebSocket has a place for words, and is told them before its connection ends.
        (["GET /ws HTTP/1.1", WS, SWITCH, "\r\n\r\n"], b"\x88\x0e\x0b\xc0idle_timeout", Closed::Fin),
        // To a client of HTTP/1.0 a body ends where its connection does, however the application marks its end.
        (["GET /report HTTP/1.0", "", to_the_end, "early"], b"", Closed::Reset),
        (["GET /report HTTP/1.1", "Connection: close\n", to_the_end, "early\r\n"], b"", Closed::Reset),
    ];
    for ([line, fields, first, until], words, closed) in rows {
        let (app, go, _noted) = told(first, b"").await;
        let frozen = Frozen::new(app).await;
        let mut client = frozen.site.connect().await;
        let credential = frozen.token.reveal();
        client.send(&format!("{line}\nHost: desk\nAuthorization: Bearer {credential}\n{fields}\n")).await;
        client.until(until).await;
        frozen.pass_the_deadline();
        go.send(()).unwrap();
        assert_eq!(client.rest().await, (words.to_vec(), closed), "{line}");
        assert_eq!(frozen.site.cuts(1).await.len(), 1);
        frozen.is_over().await;
    }
}

/// And towards the application: what a client had begun to send is not complete because the client goes.
#[tokio::test]
async fn never_late_a_stream_whose_client_closes_after_the_end_does_not_look_complete_to_its_application() {
    let (note, mut noted) = mpsc::unbounded_channel();
    let app = application(move |mut connection| {
        let note = note.clone();
        async move {
            read_head(&mut connection).await;
            write(&mut connection, "HTTP/1.1 101 UPGRADED\nConnection: Upgrade\nUpgrade: tcp\n\n").await;
            note.send(common::Client(connection).rest().await).unwrap();
        }
    })
    .await;
    let frozen = Frozen::new(app).await;
    let mut client =
        frozen.ask("POST", "/exec/1/start", "Connection: Upgrade\nUpgrade: tcp\nContent-Length: 0\n").await;
    client.until("\r\n\r\n").await;
    frozen.pass_the_deadline();
    client.0.shutdown().await.unwrap();
    let seen = timeout(Duration::from_secs(10), noted.recv()).await.unwrap().unwrap();
    assert_eq!(seen, (Vec::new(), Closed::Reset));
    frozen.is_over().await;
}

#[tokio::test]
async fn never_late_a_websocket_that_is_accepted_after_the_end_is_not_opened() {
    let (app, go, mut noted) = told("", SWITCH.as_bytes()).await;
    let frozen = Frozen::new(app).await;
    let mut client = frozen.ask("GET", "/ws", WS).await;
    next(&mut noted).await;
    frozen.pass_the_deadline();
    go.send(()).unwrap();
    assert!(client.answer().await.starts_with("HTTP/1.1 401"));
    frozen.is_over().await;
}

#[tokio::test]
async fn never_late_pipelined_requests_find_the_end_between_them() {
    let (app, _noted) = common::recording(|_| common::OK.to_owned()).await;
    let frozen = Frozen::new(app).await;
    let get = format!("GET /page HTTP/1.1\nHost: desk\nAuthorization: Bearer {}\n\n", frozen.token.reveal());
    let mut client = frozen.site.connect().await;
    client.send(&format!("{get}{get}")).await;
    assert!(
        client.answer().await.starts_with("HTTP/1.1 200")
            && client.answer().await.starts_with("HTTP/1.1 200")
    );
    client.send(&get).await;
    client.until("ok").await;
    frozen.pass_the_deadline();
    client.send(&format!("{get}{get}")).await;
    assert!(
        client.answer().await.starts_with("HTTP/1.1 401")
            && client.answer().await.starts_with("HTTP/1.1 401")
    );
    frozen.is_over().await;
}

#[tokio::test]
async fn never_late_a_client_that_reads_nothing_holds_nothing_open() {
    let app = application(|mut connection| async move {
        read_request(&mut connection).await;
        write(&mut connection, "HTTP/1.1 200 OK\nContent-Length: 1000000000\n\n").await;
        while connection.write_all(&[b'x'; 65_536]).await.is_ok() {}
    })
    .await;
    let frozen = Frozen::new(app).await;
    let mut client = frozen.ask("GET", "/big", "").await;
    sleep(Duration::from_millis(300)).await;
    frozen.pass_the_deadline();
    // Not a byte was read so far: the cut does not wait for the client.
    frozen.is_over().await;
    assert_eq!(client.rest().await.1, Closed::Reset);
    assert_eq!(frozen.site.cuts(1).await.len(), 1);
}

#[tokio::test]
async fn kept_an_order_is_never_called_unsent_because_its_application_broke_off_after_the_end() {
    let (app, go, mut noted) = told("", b"").await;
    let frozen = Frozen::new(app).await;
    let mut client = frozen.ask("POST", "/orders", "Content-Length: 3\n").await;
    client.send("buy").await;
    next(&mut noted).await;
    sleep(Duration::from_millis(50)).await;
    frozen.pass_the_deadline();
    // The application hangs up without a word.
    go.send(()).unwrap();
    client.0.flush().await.unwrap();
    let answer = client.answer().await;
    assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("\"outcome\":\"unknown\""), "{answer}");
    frozen.site.entries(1, |entry| matches!(entry, Entry::OutcomeWithheld { .. })).await;
    frozen.is_over().await;
}

#[tokio::test]
async fn a_client_that_is_still_sending_gets_to_read_why() {
    for _ in 0..20 {
        let (app, _go, mut noted) = told("", b" ").await;
        let frozen = Frozen::new(app).await;
        let mut client = frozen.ask("POST", "/documents", "Content-Length: 200000\n").await;
        client.send("begin").await;
        next(&mut noted).await;
        frozen.pass_the_deadline();
        client.0.write_all(&[b'x'; 199_995]).await.unwrap();
        assert!(client.answer().await.starts_with("HTTP/1.1 401"));
        // Everything was read off: the connection serves on.
        client.get("/page", &frozen.token, "").await;
        assert!(client.answer().await.starts_with("HTTP/1.1 401"));
        frozen.is_over().await;
    }
}
