//! HTTP/2 from clients: the same promises, stream by stream.
//!
//! Time stands still until it is moved past the deadline, so whatever comes afterwards was let through too late, however slow the
//! machine is.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers fail the test they serve"
)]

mod common;

use common::{
    application,
    http2::{Frozen, Line, SECOND, post, rest, to, until},
    read_head, read_request, recording, write,
};
use h2::Reason;
use nightlatch_core::EndReason;
use nightlatch_engine::Token;
use nightlatch_http::Protocol;
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{mpsc, watch},
    time::{sleep, timeout},
};

impl Frozen {
    async fn is_over(&self, token: &Token, cuts: usize) {
        self.site.nothing_open(token).await;
        assert_eq!(self.site.session(token).end().unwrap().reason, EndReason::IdleTimeout);
        assert_eq!(self.site.cuts(cuts).await.len(), cuts, "one cut is one entry");
    }
}

/// An application that answers `first` at once and `LATE`, for as long as it can, once it is told to go on. Notes what it reads.
async fn told(
    first: &'static str,
    late: &'static [u8],
) -> (SocketAddr, watch::Sender<bool>, mpsc::UnboundedReceiver<String>) {
    let (go, gone) = watch::channel(false);
    let (note, noted) = mpsc::unbounded_channel();
    let address = application(move |mut connection| {
        let (mut gone, note) = (gone.clone(), note.clone());
        async move {
            let _ = note.send(read_head(&mut connection).await);
            write(&mut connection, first).await;
            let mut rest = Vec::new();
            tokio::select! {
                _ = gone.wait_for(|gone| *gone) => {}
                _ = connection.read_to_end(&mut rest) => {}
            }
            let _ = connection.write_all(late).await;
            let _ = connection.read_to_end(&mut rest).await;
            let _ = note.send(String::from_utf8_lossy(&rest).into_owned());
        }
    })
    .await;
    (address, go, noted)
}

async fn next(noted: &mut mpsc::UnboundedReceiver<String>) -> String {
    timeout(Duration::from_secs(10), noted.recv()).await.expect("in time").expect("noted")
}

const STREAM: &str = "HTTP/1.1 200 OK\nContent-Length: 100000000\n\nearly";
const EVENTS: &str = "HTTP/1.1 200 OK\nContent-Type: text/event-stream\n\ndata: early\n\ndata: ha";

#[tokio::test]
async fn a_request_and_its_answer() {
    let (app, mut noted) = recording(|_| {
        "HTTP/1.1 200 OK\nContent-Length: 2\nConnection: x-hop\nX-Hop: 1\nX-App: yes\n\nok".to_owned()
    })
    .await;
    let frozen = Frozen::new(app, Protocol::Http1).await;
    let token = frozen.site.sign_in("ada").await;
    let mut line = frozen.line().await;
    let request = to("/a?b=c").header("cookie", "a=1").header("cookie", "b=2").header("te", "trailers");
    let answer = line.ask(request, Some(&token), false).0.whole().await;
    assert_eq!((answer.head.status.as_u16(), answer.body.as_str()), (200, "ok"));
    assert!(answer.head.headers.contains_key("x-app") && !answer.head.headers.contains_key("x-hop"));
    let request = noted.recv().await.unwrap().to_ascii_lowercase();
    for line in
        ["get /a?b=c http/1.1", "host: desk", "cookie: a=1; b=2", "via: 2.0 nightlatch", "te: trailers"]
    {
        assert!(request.contains(line), "{line}: {request}");
    }
    // A body, with its length and without.
    for length in [Some("5"), None] {
        let request =
            length.into_iter().fold(post("/o"), |request, length| request.header("content-length", length));
        let (answering, mut body) = line.ask(request, Some(&token), true);
        body.send_data("or".into(), false).unwrap();
        body.send_data("der".into(), true).unwrap();
        assert_eq!(answering.whole().await.body, "ok");
        let request = noted.recv().await.unwrap().to_ascii_lowercase();
        assert_eq!(request.contains("content-length: 5"), length.is_some(), "{request}");
        assert_eq!(request.contains("transfer-encoding: chunked"), length.is_none(), "{request}");
    }
    frozen.site.nothing_open(&token).await;
}

#[tokio::test]
async fn never_late_nothing_follows_in_a_body_under_way_and_the_connection_serves_on() {
    for (first, words) in [(STREAM, false), (EVENTS, true)] {
        let (app, go, _noted) = told(first, b"LATE\n\ndata: LATE\n\n").await;
        let frozen = Frozen::new(app, Protocol::Http1).await;
        let token = frozen.site.sign_in("ada").await;
        let mut line = frozen.line().await;
        let mut body = line.get("/report", &token).head().await.unwrap().into_body();
        until(&mut body, "early").await;
        frozen.pass_the_deadline();
        go.send(true).unwrap();
        match rest(body).await {
            Ok((seen, _)) => assert!(
                words && seen.trim_start() == "event: nightlatch-ended\ndata: idle_timeout\n\n",
                "{seen:?}"
            ),
            Err((seen, reason)) => {
                assert!(!words && seen.is_empty(), "{seen}");
                assert_eq!(reason, Some(Reason::CANCEL));
            }
        }
        frozen.is_over(&token, 1).await;
        let answer = line.get("/report", &token).whole().await;
        assert!(answer.head.status == 401 && answer.body.contains("idle_timeout"), "{}", answer.body);
    }
}

#[tokio::test]
async fn never_late_a_window_that_opens_after_the_end_gets_nothing() {
    let (app, go, _noted) = told(STREAM, &[b'L'; 1 << 20]).await;
    let frozen = Frozen::new(app, Protocol::Http1).await;
    let token = frozen.site.sign_in("ada").await;
    let mut settings = h2::client::Builder::new();
    settings.initial_window_size(100);
    let mut line = Line::open(&frozen.connector, frozen.site.address, &settings).await;
    let mut body = line.get("/report", &token).head().await.unwrap().into_body();
    go.send(true).unwrap();
    let mut taken = 0;
    while taken < 100 {
        taken += body.data().await.unwrap().unwrap().len();
    }
    sleep(Duration::from_millis(100)).await;
    frozen.pass_the_deadline();
    // Opened before the gateway can have said anything.
    body.flow_control().release_capacity(100).unwrap();
    assert_eq!(rest(body).await.unwrap_err(), (String::new(), Some(Reason::CANCEL)));
    frozen.is_over(&token, 1).await;
    assert_eq!(frozen.site.cuts(1).await[0].how, "RST_STREAM");
    // And one that never opens holds nothing open.
    let token = frozen.site.sign_in("ada").await;
    let body = line.get("/report", &token).head().await.unwrap().into_body();
    sleep(Duration::from_millis(100)).await;
    frozen.pass_the_deadline();
    frozen.is_over(&token, 2).await;
    drop(body);
}

#[tokio::test]
async fn together_every_stream_of_a_session_is_cut_and_no_other() {
    let (app, go, _noted) = told(STREAM, b"more").await;
    let frozen = Frozen::new(app, Protocol::Http1).await;
    let ended = frozen.site.sign_in("ada").await;
    let mut line = frozen.line().await;
    let mut bodies = Vec::new();
    for _ in 0..40 {
        let mut body = line.get("/report", &ended).head().await.unwrap().into_body();
        until(&mut body, "early").await;
        bodies.push(body);
    }
    frozen.time.advance(400 * SECOND);
    let other = frozen.site.sign_in("grace").await;
    let mut lives = line.get("/report", &other).head().await.unwrap().into_body();
    until(&mut lives, "early").await;
    frozen.time.advance(201 * SECOND);
    for body in bodies {
        assert_eq!(rest(body).await.unwrap_err(), (String::new(), Some(Reason::CANCEL)));
    }
    frozen.is_over(&ended, 40).await;
    // On the same connection.
    go.send(true).unwrap();
    until(&mut lives, "more").await;
    assert!(!line.closed.is_finished());
}

#[tokio::test]
async fn never_late_nothing_follows_in_an_upload_under_way() {
    let (app, _go, mut noted) = told("", b" ").await;
    let frozen = Frozen::new(app, Protocol::Http1).await;
    let token = frozen.site.sign_in("ada").await;
    let mut line = frozen.line().await;
    let (answering, mut body) = line.ask(post("/documents"), Some(&token), true);
    body.send_data("early".into(), false).unwrap();
    next(&mut noted).await;
    sleep(Duration::from_millis(50)).await;
    frozen.pass_the_deadline();
    body.send_data("LATE".into(), true).unwrap();
    let answer = answering.whole().await;
    assert!(answer.head.status == 401 && !answer.body.contains("outcome"), "{}", answer.body);
    let seen = next(&mut noted).await;
    assert!(!seen.contains("LATE") && !seen.contains("0\r\n\r\n"), "{seen}");
    frozen.is_over(&token, 1).await;
    assert_eq!(frozen.site.cuts(1).await[0].how, "aborted");
    // One that was still coming is told that no more is needed.
    let token = frozen.site.sign_in("ada").await;
    let (answering, mut body) = line.ask(post("/documents"), Some(&token), true);
    body.send_data("early".into(), false).unwrap();
    next(&mut noted).await;
    frozen.pass_the_deadline();
    assert_eq!(answering.whole().await.head.status, 401);
    let reason = timeout(Duration::from_secs(5), std::future::poll_fn(|cx| body.poll_reset(cx))).await;
    assert_eq!(reason.unwrap().unwrap(), Reason::NO_ERROR);
    assert!(!line.closed.is_finished());
}

#[tokio::test]
async fn never_late_a_socket_that_takes_nothing_is_reset_with_all_that_waits_in_it() {
    let app = application(|mut connection| async move {
        read_request(&mut connection).await;
        write(&mut connection, "HTTP/1.1 200 OK\nContent-Length: 1000000000\n\n").await;
        while connection.write_all(&[b'x'; 65_536]).await.is_ok() {}
    })
    .await;
    let frozen = Frozen::new(app, Protocol::Http1).await;
    let token = frozen.site.sign_in("ada").await;
    let mut settings = h2::client::Builder::new();
    settings.initial_window_size(1 << 30).initial_connection_window_size(1 << 30);
    let mut line = Line::open(&frozen.connector, frozen.site.address, &settings).await;
    let (first, second) = (line.get("/big", &token), line.get("/big", &token));
    let (first, second) = (first.head().await.unwrap(), second.head().await.unwrap());
    line.read(false);
    sleep(Duration::from_millis(500)).await;
    frozen.pass_the_deadline();
    // Not a byte is read: the cut does not wait for the client.
    frozen.is_over(&token, 2).await;
    assert!(frozen.site.cuts(2).await.iter().all(|cut| cut.how == "connection reset"));
    line.read(true);
    assert!(rest(first.into_body()).await.is_err() && rest(second.into_body()).await.is_err());
    assert!(line.closed.await.unwrap().is_err());
}

#[tokio::test]
async fn never_late_an_answer_that_comes_after_the_end_is_withheld() {
    for (method, outcome) in [("GET", false), ("POST", true)] {
        let (app, go, mut noted) = told("", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nLATE").await;
        let frozen = Frozen::new(app, Protocol::Http1).await;
        let token = frozen.site.sign_in("ada").await;
        let mut line = frozen.line().await;
        let answering = line.ask(to("/orders").method(method), Some(&token), false).0;
        next(&mut noted).await;
        frozen.pass_the_deadline();
        go.send(true).unwrap();
        let answer = answering.whole().await;
        assert!(answer.head.status == 401 && !answer.body.contains("LATE"), "{}", answer.body);
        assert_eq!(answer.body.contains("\"outcome\":\"unknown\""), outcome, "{}", answer.body);
        frozen.site.nothing_open(&token).await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_takes_what_was_done_for_it_along() {
    let (app, _go, mut noted) = told(STREAM, b"").await;
    let frozen = Frozen::new(app, Protocol::Http1).await;
    let token = frozen.site.sign_in("ada").await;
    let mut line = frozen.line().await;
    let mut body = line.get("/report", &token).head().await.unwrap().into_body();
    until(&mut body, "early").await;
    drop(body);
    frozen.site.nothing_open(&token).await;
    next(&mut noted).await;
    assert_eq!(next(&mut noted).await, "", "the application's connection is closed too");
    assert!(frozen.site.cuts(0).await.is_empty(), "nobody was cut");
}
