//! What is open when a session ends, and how each is cut: against an application and clients that speak bytes.

mod common;

use common::{Client, Closed, Site, application, read_head, write};
use nightlatch_core::{Activity, EndReason};
use nightlatch_engine::{Admission, Entry};
use nightlatch_http::AppSettings;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
    time::{sleep, timeout},
};

const IDLE: Duration = Duration::from_millis(700);

fn plain() -> AppSettings {
    AppSettings { websocket: true, ..AppSettings::default() }
}

/// Streams a line every 20 ms under `head` for as long as somebody reads.
async fn stream(mut connection: TcpStream, head: &'static str, piece: &'static str) {
    read_head(&mut connection).await;
    let mut open = write(&mut connection, head).await;
    while open {
        open = connection.write_all(piece.as_bytes()).await.is_ok();
        sleep(Duration::from_millis(20)).await;
    }
}

const CHUNKED: &str = "HTTP/1.1 200 OK\nContent-Type: text/csv\nTransfer-Encoding: chunked\n\n";
const EVENTS: &str = "HTTP/1.1 200 OK\nContent-Type: text/event-stream\nTransfer-Encoding: chunked\n\n";

#[tokio::test]
async fn never_late_a_download_is_reset_so_that_it_cannot_look_complete() {
    let app = application(|connection| stream(connection, CHUNKED, "3\r\nrow\r\n")).await;
    let site = Site::open(IDLE, app, plain()).await;
    let token = site.sign_in("trader").await;
    let mut client = site.connect().await;
    client.get("/report.csv", &token, "").await;
    let (seen, closed) = client.rest().await;
    assert!(String::from_utf8_lossy(&seen).contains("row"));
    assert!(!seen.ends_with(b"0\r\n\r\n"));
    assert_eq!(closed, Closed::Reset);
    let cuts = site.cuts(1).await;
    assert_eq!(
        (cuts[0].channel.as_str(), cuts[0].how.as_str(), cuts[0].reason.as_str()),
        ("download", "reset", "idle_timeout")
    );
    println!("cut {} us late", cuts[0].lateness_us);
}

#[tokio::test]
async fn never_late_an_event_stream_ends_with_the_reason_between_two_events() {
    // The second half of each event comes in a chunk of its own: at some moment one is incomplete.
    let app = application(|connection| stream(connection, EVENTS, "8\r\ndata: 1\n\r\n1\r\n\n\r\n")).await;
    let site = Site::open(IDLE, app, plain()).await;
    let token = site.sign_in("trader").await;
    let mut client = site.connect().await;
    client.get("/news", &token, "Accept: text/event-stream\n").await;
    let seen = client.until("0\r\n\r\n").await;
    assert!(seen.contains("event: nightlatch-ended\ndata: idle_timeout\n\n"), "{seen}");
    let cuts = site.cuts(1).await;
    assert_eq!((cuts[0].channel.as_str(), cuts[0].how.as_str()), ("sse", "event nightlatch-ended"));

    client.get("/news", &token, "Accept: text/event-stream\n").await;
    let again = client.answer().await;
    assert!(again.starts_with("HTTP/1.1 401"), "a reconnect stops an EventSource: {again}");
    assert!(again.contains("\"reason\":\"idle_timeout\""), "{again}");
}

#[tokio::test]
async fn never_late_a_client_that_does_not_read_gets_nothing_after_the_end() {
    // The application pushes more than all buffers hold; the client reads only after the end.
    let app = application(|mut connection| async move {
        read_head(&mut connection).await;
        write(&mut connection, "HTTP/1.1 200 OK\nContent-Length: 100000000\n\n").await;
        let piece = vec![b'x'; 65_536];
        while connection.write_all(&piece).await.is_ok() {}
    })
    .await;
    let site = Site::open(IDLE, app, plain()).await;
    let token = site.sign_in("trader").await;
    let mut client = site.connect().await;
    client.get("/big", &token, "").await;
    sleep(IDLE + Duration::from_millis(500)).await;
    let (seen, closed) = client.rest().await;
    assert_eq!(closed, Closed::Reset);
    assert!(seen.len() < 20_000_000, "only what the kernels held: {}", seen.len());
    assert_eq!(site.cuts(1).await[0].how, "reset");
}

#[tokio::test]
async fn never_late_an_upload_is_aborted_at_the_application_and_answered_401() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let app = application(move |mut connection| {
        let tell = tell.clone();
        async move {
            let mut seen = read_head(&mut connection).await.into_bytes();
            let ended = connection.read_to_end(&mut seen).await;
            tell.send((String::from_utf8_lossy(&seen).into_owned(), ended.is_ok())).unwrap();
        }
    })
    .await;
    let site = Site::open(IDLE, app, plain()).await;
    let token = site.sign_in("trader").await;
    let mut client = site.connect().await;
    client
        .send(&format!(
            "POST /documents HTTP/1.1\nHost: desk\nAuthorization: Bearer {}\nContent-Length: 1000\n\nbegin",
            token.reveal()
        ))
        .await;
    let answer = client.answer().await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert!(!answer.contains("outcome"), "it never became complete: {answer}");
    let (seen, _) = timeout(Duration::from_secs(5), told.recv()).await.unwrap().unwrap();
    assert!(seen.ends_with("begin"), "{seen}");
    let cuts = site.cuts(1).await;
    assert_eq!((cuts[0].channel.as_str(), cuts[0].how.as_str()), ("upload", "aborted"));
}

#[tokio::test]
async fn kept_an_unsafe_request_forwarded_whole_is_left_to_finish_and_its_answer_withheld() {
    let finished = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&finished);
    let app = application(move |mut connection| {
        let counted = Arc::clone(&counted);
        async move {
            read_head(&mut connection).await;
            sleep(IDLE * 2).await;
            if write(&mut connection, "HTTP/1.1 201 Created\nContent-Length: 6\n\nplaced").await {
                counted.fetch_add(1, SeqCst);
            }
        }
    })
    .await;
    let site = Site::open(IDLE, app, plain()).await;
    let token = site.sign_in("trader").await;
    let mut client = site.connect().await;
    client
        .send(&format!(
            "POST /orders HTTP/1.1\nHost: desk\nAuthorization: Bearer {}\nContent-Length: 3\n\nbuy",
            token.reveal()
        ))
        .await;
    let answer = client.answer().await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert!(answer.contains("\"outcome\":\"unknown\"") && !answer.contains("placed"), "{answer}");
    let outcome = site.entries(1, |entry| matches!(entry, Entry::OutcomeWithheld { .. })).await;
    assert!(matches!(&outcome[0], Entry::OutcomeWithheld { status: Some(201), .. }), "{outcome:?}");
    assert_eq!(finished.load(SeqCst), 1);
}

#[tokio::test]
async fn never_late_a_request_that_can_be_asked_again_is_aborted() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let app = application(move |mut connection| {
        let tell = tell.clone();
        async move {
            read_head(&mut connection).await;
            let mut rest = Vec::new();
            let _ = connection.read_to_end(&mut rest).await;
            tell.send(()).unwrap();
        }
    })
    .await;
    let site = Site::open(IDLE, app, plain()).await;
    let token = site.sign_in("trader").await;
    let mut client = site.connect().await;
    client.get("/slow", &token, "").await;
    assert!(client.answer().await.starts_with("HTTP/1.1 401"));
    timeout(Duration::from_secs(5), told.recv()).await.unwrap().unwrap();
    assert_eq!(site.cuts(1).await[0].channel, "request");
}

/// RFC 6455 section 1.3: the key of its example, and the accept that belongs to it.
const WS_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const WS_ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

async fn open_websocket(site: &Site, token: &nightlatch_engine::Token) -> Client {
    let mut client = site.connect().await;
    let more = format!(
        "Upgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: {WS_KEY}\n"
    );
    client.get("/ws/quotes", token, &more).await;
    client
}

async fn accept_websocket(connection: &mut TcpStream, accept: &str) {
    read_head(connection).await;
    let head =
        "HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Accept: ";
    write(connection, &format!("{head}{accept}\n\n")).await;
}

#[tokio::test]
async fn never_late_a_websocket_is_closed_with_3008_between_frames_and_the_application_told() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let app = application(move |mut connection| {
        let tell = tell.clone();
        async move {
            accept_websocket(&mut connection, WS_ACCEPT).await;
            // A fragmented message that is never finished: a Close may stand between its fragments.
            connection.write_all(&[0x01, 3, b'o', b'n', b'e']).await.unwrap();
            let mut seen = Vec::new();
            let _ = connection.read_to_end(&mut seen).await;
            tell.send(seen).unwrap();
        }
    })
    .await;
    let site = Site::open(IDLE, app, plain()).await;
    let token = site.sign_in("trader").await;
    let mut client = open_websocket(&site, &token).await;
    client.until("\r\n\r\n").await;
    let (seen, closed) = client.rest().await;
    let mut expected = vec![0x01, 3, b'o', b'n', b'e', 0x88, 14, 0x0b, 0xc0];
    expected.extend_from_slice(b"idle_timeout");
    assert_eq!((seen, closed), (expected, Closed::Fin));
    let to_application = timeout(Duration::from_secs(5), told.recv()).await.unwrap().unwrap();
    assert_eq!(to_application[..2], [0x88, 0x80 | 14], "a masked Close: {to_application:x?}");
    let cuts = site.cuts(1).await;
    assert_eq!((cuts[0].channel.as_str(), cuts[0].how.as_str()), ("websocket", "close 3008"));
}

#[tokio::test]
async fn never_late_a_websocket_inside_a_frame_is_reset() {
    let app = application(|mut connection| async move {
        accept_websocket(&mut connection, WS_ACCEPT).await;
        // Announces ten bytes and sends three.
        connection.write_all(&[0x82, 10, 1, 2, 3]).await.unwrap();
        sleep(Duration::from_secs(30)).await;
    })
    .await;
    let site = Site::open(IDLE, app, plain()).await;
    let token = site.sign_in("trader").await;
    let mut client = open_websocket(&site, &token).await;
    client.until("\r\n\r\n").await;
    let (seen, closed) = client.rest().await;
    assert_eq!((seen, closed), (vec![0x82, 10, 1, 2, 3], Closed::Reset));
    assert_eq!(site.cuts(1).await[0].how, "reset");
}

#[tokio::test]
async fn fail_closed_a_101_with_the_wrong_accept_key_is_not_believed() {
    let app = application(|mut connection| async move {
        accept_websocket(&mut connection, "AAAAAAAAAAAAAAAAAAAAAAAAAAA=").await;
    })
    .await;
    let site = Site::open(IDLE, app, plain()).await;
    let token = site.sign_in("trader").await;
    let mut client = open_websocket(&site, &token).await;
    let answer = client.answer().await;
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
}

#[tokio::test]
async fn together_everything_open_ends_on_one_revocation_and_on_the_record_first() {
    let app = application(|mut connection| async move {
        let head = read_head(&mut connection).await;
        let (head, piece): (&str, &[u8]) = match () {
            () if head.contains("/news") => (EVENTS, b"8\r\ndata: 1\n\r\n1\r\n\n\r\n"),
            () => (CHUNKED, b"3\r\nrow\r\n"),
        };
        write(&mut connection, head).await;
        while connection.write_all(piece).await.is_ok() {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let site = Site::open(Duration::from_secs(600), app, plain()).await;
    let token = site.sign_in("trader").await;
    let (mut news, mut report) = (site.connect().await, site.connect().await);
    news.get("/news", &token, "").await;
    report.get("/report", &token, "").await;
    news.until("data: 1").await;
    report.until("row").await;
    site.revoke(&token).await;
    let seen = news.until("0\r\n\r\n").await;
    assert!(seen.contains("data: revoked\n\n"), "{seen}");
    assert_eq!(report.rest().await.1, Closed::Reset);
    let cuts = site.cuts(2).await;
    assert!(cuts.iter().all(|cut| cut.reason == "revoked"));
    let order: Vec<&str> = site
        .entries(3, |entry| matches!(entry, Entry::SessionEnded(_) | Entry::Cut(_)))
        .await
        .iter()
        .map(|entry| if matches!(entry, Entry::Cut(_)) { "cut" } else { "ended" })
        .collect();
    assert_eq!(order, ["ended", "cut", "cut"], "on the record before anybody is told");
}

#[tokio::test]
async fn never_early_pushes_do_not_count_and_requests_do() {
    let app = application(|mut connection| async move {
        while !read_head(&mut connection).await.is_empty() {
            write(&mut connection, "HTTP/1.1 200 OK\nContent-Length: 2\n\nok").await;
        }
    })
    .await;
    let site = Site::open(IDLE, app, plain()).await;
    let (active, passive) = (site.sign_in("active").await, site.sign_in("passive").await);
    let mut client = site.connect().await;
    for _ in 0..6 {
        sleep(IDLE / 3).await;
        client.get("/page", &active, "").await;
        assert!(client.answer().await.starts_with("HTTP/1.1 200"));
        client.get("/poll", &passive, "Sec-Fetch-Mode: cors\nSec-Fetch-Dest: empty\n").await;
        client.answer().await;
    }
    let state = |token: &nightlatch_engine::Token| match site.engine().check(
        &token.hash(),
        Activity::Passive,
        "test",
    ) {
        Admission::Granted(_) => None,
        Admission::Ended(refusal) => Some(refusal.end.reason),
        other => panic!("known and live, or over: {other:?}"),
    };
    assert_eq!((state(&active), state(&passive)), (None, Some(EndReason::IdleTimeout)));
}
