//! A gateway that stops: what is open is told, what is under way is waited for, and a deadline is a deadline.

mod common;

use common::{
    Client, Closed, Making, OK, Site, application, contains,
    http2::{self, Line, PREFACE, connect, frame, get_frame, tls, until},
    read_head, write,
};
use nightlatch_http::{Limits, Settings};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    time::{sleep, timeout},
};

const WITHIN: Duration = Duration::from_millis(1_200);

fn settings() -> Settings {
    Settings { limits: Limits { drain_within: WITHIN, ..Limits::default() }, ..Settings::default() }
}

/// An application that accepts one WebSocket a connection and notes what it is sent.
async fn websockets() -> (std::net::SocketAddr, mpsc::UnboundedReceiver<Vec<u8>>) {
    let (note, noted) = mpsc::unbounded_channel();
    let address = application(move |mut connection| {
        let note = note.clone();
        async move {
            read_head(&mut connection).await;
            let accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
            let head = format!(
                "HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Accept: {accept}\n\n"
            );
            write(&mut connection, &head).await;
            let mut seen = Vec::new();
            let _ = connection.read_to_end(&mut seen).await;
            let _ = note.send(seen);
        }
    })
    .await;
    (address, noted)
}

async fn open(site: &Site, token: &nightlatch_engine::Token) -> Client {
    let mut client = site.connect().await;
    let handshake = "Upgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n";
    client.get("/ws", token, handshake).await;
    assert!(client.until("\r\n\r\n").await.starts_with("HTTP/1.1 101"));
    client
}

#[tokio::test]
async fn websockets_are_told_to_come_back_and_their_session_lives() {
    let (upstream, mut noted) = websockets().await;
    let site = Site::made(Making { settings: settings(), ..Making::new(upstream) }).await;
    let token = site.sign_in("ada").await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(open(&site, &token).await);
    }
    site.stop();
    for mut client in clients {
        let (seen, _) = client.rest().await;
        assert_eq!(seen, b"\x88\x09\x03\xf4restart");
        let seen = noted.recv().await.unwrap();
        assert!(seen.starts_with(&[0x88, 0x89]), "a Close, masked: {seen:x?}");
    }
    assert!(site.session(&token).end().is_none());
}

#[tokio::test]
async fn a_session_that_ends_meanwhile_is_cut_for_its_own_reason() {
    let (upstream, _noted) = websockets().await;
    let slow = Settings {
        limits: Limits { drain_within: Duration::from_secs(3_600), ..Limits::default() },
        ..Settings::default()
    };
    let site = Site::made(Making { settings: slow, ..Making::new(upstream) }).await;
    let token = site.sign_in("ada").await;
    let mut client = open(&site, &token).await;
    site.stop();
    site.revoke(&token).await;
    let (seen, _) = client.rest().await;
    assert_eq!(seen, b"\x88\x09\x0b\xc0revoked");
}

#[tokio::test]
async fn a_request_under_way_is_answered_and_nobody_new_is() {
    let upstream = application(|mut connection| async move {
        read_head(&mut connection).await;
        sleep(Duration::from_millis(500)).await;
        write(&mut connection, OK).await;
    })
    .await;
    let site = Site::made(Making { settings: settings(), ..Making::new(upstream) }).await;
    let token = site.sign_in("ada").await;
    let mut client = site.connect().await;
    client.get("/", &token, "").await;
    sleep(Duration::from_millis(100)).await;
    site.stop();
    assert!(client.answer().await.ends_with("ok"));
    assert_eq!(client.rest().await.1, Closed::Fin);
    assert!(tokio::net::TcpStream::connect(site.address).await.is_err());
}

#[tokio::test]
async fn downloads_under_way_are_waited_for() {
    let upstream = application(|mut connection| async move {
        read_head(&mut connection).await;
        write(&mut connection, "HTTP/1.1 200 OK\nContent-Length: 6\n\nbeg").await;
        sleep(WITHIN * 3 / 4).await;
        write(&mut connection, "end").await;
        sleep(Duration::from_secs(60)).await;
    })
    .await;
    let site = Site::made(Making { settings: settings(), ..Making::new(upstream) }).await;
    let token = site.sign_in("ada").await;
    let mut downloads = Vec::new();
    for _ in 0..8 {
        let mut download = site.connect().await;
        download.get("/file", &token, "").await;
        download.until("\r\n\r\nbeg").await;
        downloads.push(download);
    }
    site.stop();
    for mut download in downloads {
        let (seen, closed) = download.rest().await;
        assert_eq!((seen.as_slice(), closed), (&b"end"[..], Closed::Fin));
    }
}

#[tokio::test]
async fn events_end_whole_and_a_download_that_is_not_done_is_reset() {
    let upstream = application(|mut connection| async move {
        let head = read_head(&mut connection).await;
        let events = head.starts_with("GET /events");
        let kind = if events { "text/event-stream" } else { "application/octet-stream" };
        write(
            &mut connection,
            &format!("HTTP/1.1 200 OK\nContent-Type: {kind}\nTransfer-Encoding: chunked\n\n"),
        )
        .await;
        write(&mut connection, "b\ndata: 1\n\n\n").await;
        sleep(Duration::from_secs(60)).await;
    })
    .await;
    let site = Site::made(Making { settings: settings(), ..Making::new(upstream) }).await;
    let token = site.sign_in("ada").await;
    let (mut events, mut download) = (site.connect().await, site.connect().await);
    events.get("/events", &token, "").await;
    download.get("/file", &token, "").await;
    download.until("data: 1\r\n\r\n").await;
    site.stop();
    let (seen, closed) = events.rest().await;
    assert!(
        contains(&seen, b"data: 1") && seen.ends_with(b"0\r\n\r\n"),
        "{}",
        String::from_utf8_lossy(&seen)
    );
    assert_eq!(closed, Closed::Fin);
    assert_eq!(download.rest().await.1, Closed::Reset);
    assert!(site.session(&token).end().is_none());
}

/// An application that begins every answer and ends none.
async fn never_done() -> std::net::SocketAddr {
    application(|mut connection| async move {
        read_head(&mut connection).await;
        write(&mut connection, "HTTP/1.1 200 OK\nContent-Length: 100\n\npart").await;
        sleep(Duration::from_secs(60)).await;
    })
    .await
}

/// Its client is told which of its streams nobody looked at, and gets no half of an answer for a whole one.
#[tokio::test]
async fn over_http2_what_is_not_done_is_reset_and_the_connection_says_goodbye() {
    let (acceptor, connector) = tls();
    let making = Making { settings: settings(), tls: Some(acceptor), ..Making::new(never_done().await) };
    let site = Site::made(making).await;
    let token = site.sign_in("ada").await;
    let mut line = Line::open(&connector, site.address, &h2::client::Builder::new()).await;
    let mut body = line.get("/file", &token).head().await.unwrap().into_body();
    until(&mut body, "part").await;
    site.stop();
    let (seen, reason) = http2::rest(body).await.unwrap_err();
    assert_eq!((seen.as_str(), reason), ("", Some(h2::Reason::CANCEL)));
    // A goodbye, not a broken line; what is asked for now was seen by nobody, and may be asked elsewhere.
    assert!(timeout(Duration::from_secs(5), line.closed).await.unwrap().unwrap().is_ok());
    let refused = line.send.ready().await.err().unwrap();
    assert!(refused.is_go_away() || refused.is_io(), "{refused:?}");
    assert!(site.session(&token).end().is_none());
}

/// A client that does not answer the ping of the first goodbye gets the last one all the same.
#[tokio::test]
async fn over_http2_the_last_word_names_the_last_stream() {
    let (acceptor, connector) = tls();
    let making = Making { settings: settings(), tls: Some(acceptor), ..Making::new(never_done().await) };
    let site = Site::made(making).await;
    let token = site.sign_in("ada").await;
    let mut tls = connect(&connector, site.address).await;
    let asked = [1, 3].map(|stream| get_frame(stream, "/file", token.reveal())).concat();
    tls.write_all(&[PREFACE, &frame(4, 0, 0, &[]), &asked].concat()).await.unwrap();
    sleep(Duration::from_millis(100)).await;
    site.stop();
    let mut seen = Vec::new();
    let read = timeout(Duration::from_secs(10), tls.read_to_end(&mut seen)).await;
    assert!(read.expect("the line stays open").is_ok(), "closed, and not broken");
    let cancel = 8_u32.to_be_bytes();
    let goodbye = |last: u32| frame(7, 0, 0, &[last.to_be_bytes(), [0; 4]].concat());
    let place = |frame: &[u8]| seen.windows(frame.len()).position(|bytes| bytes == frame);
    let told = [goodbye(0x7fff_ffff), frame(3, 0, 1, &cancel), frame(3, 0, 3, &cancel), goodbye(3)];
    let places: Vec<usize> = told.iter().map(|frame| place(frame).expect("told")).collect();
    assert!(places[0] < places[1] && places[1] < places[3] && places[2] < places[3], "{places:?}");
    assert_eq!(places[3] + told[3].len(), seen.len(), "nothing after it");
}
