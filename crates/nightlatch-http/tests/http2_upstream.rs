//! HTTP/2 to applications: nothing late, and nobody's end is another's.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers fail the test they serve"
)]

mod common;

use bytes::Bytes;
use common::{
    Making, Site,
    http2::{Asked, Frozen, Line, application, application_with, post, rest, to, until},
};
use h2::Reason;
use http::{HeaderMap, Response};
use nightlatch_engine::{Entry, Token};
use nightlatch_http::{AppSettings, Limits, Protocol, Settings};
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    time::{sleep, timeout},
};

/// What an application saw of one request: its connection, its path, its body or how that broke off.
type Seen = (usize, String, Result<String, (String, Option<Reason>)>);

/// Answers with the request's body and a trailer; on `/stream` with `early`, and `LATE` when told; on `/slow` when told.
async fn serve(asked: Asked, note: mpsc::UnboundedSender<Seen>, mut go: watch::Receiver<bool>) {
    let Asked { connection, request, mut respond } = asked;
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    if path == "/stream" {
        let mut stream = respond.send_response(Response::new(()), false).unwrap();
        stream.send_data(Bytes::from_static(b"early"), false).unwrap();
        let _ = note.send((connection, path.clone(), Ok("began".to_owned())));
        let told = tokio::select! {
            _ = go.wait_for(|go| *go) => true,
            reason = std::future::poll_fn(|cx| stream.poll_reset(cx)) => {
                let _ = note.send((connection, path, Err(("reset".to_owned(), reason.ok()))));
                false
            }
        };
        if told {
            let _ = stream.send_data(Bytes::from_static(b"LATE"), true);
        }
        return;
    }
    let seen = rest(body).await.map(|(seen, _)| seen);
    let _ = note.send((connection, path.clone(), seen.clone()));
    if path == "/slow" {
        let _ = go.wait_for(|go| *go).await;
    }
    let host = head.uri.authority().map(ToString::to_string).unwrap_or_default();
    let response =
        Response::builder().header("x-host", host).header("x-te", format!("{:?}", head.headers.get("te")));
    let response = response.header("trailer", "x-after").body(()).unwrap();
    let Ok(mut stream) = respond.send_response(response, false) else { return };
    let _ = stream.send_data(seen.unwrap_or_default().into(), false);
    let after = HeaderMap::from_iter([(http::HeaderName::from_static("x-after"), "1".parse().unwrap())]);
    let _ = stream.send_trailers(after);
}

async fn app() -> (SocketAddr, watch::Sender<bool>, mpsc::UnboundedReceiver<Seen>) {
    let (go, gone) = watch::channel(false);
    let (note, noted) = mpsc::unbounded_channel();
    let address = application(move |asked| serve(asked, note.clone(), gone.clone())).await;
    (address, go, noted)
}

async fn next(noted: &mut mpsc::UnboundedReceiver<Seen>) -> Seen {
    timeout(Duration::from_secs(10), noted.recv()).await.expect("in time").expect("noted")
}

#[tokio::test]
async fn requests_bodies_and_trailers_pass_both_ways() {
    let (app, _go, mut noted) = app().await;
    let frozen = Frozen::new(app, Protocol::Http2).await;
    let token = frozen.site.sign_in("ada").await;
    let mut line = frozen.line().await;
    let request = post("/a").header("te", "trailers");
    let (answering, mut body) = line.ask(request, Some(&token), true);
    body.send_data("or".into(), false).unwrap();
    body.send_data("der".into(), true).unwrap();
    let answer = answering.whole().await;
    assert_eq!((answer.head.status.as_u16(), answer.body.as_str()), (200, "order"));
    assert_eq!(answer.head.headers["x-host"], "desk");
    assert_eq!(answer.head.headers["x-te"], "Some(\"trailers\")");
    assert_eq!(answer.trailers.unwrap()["x-after"], "1");
    assert_eq!(next(&mut noted).await, (0, "/a".to_owned(), Ok("order".to_owned())));
    for _ in 0..50 {
        assert_eq!(line.get("/b", &token).whole().await.head.status, 200);
    }
    frozen.site.nothing_open(&token).await;
    // One after another on one connection.
    while let Ok((connection, ..)) = noted.try_recv() {
        assert_eq!(connection, 0);
    }
    // A client of HTTP/1 gets the same.
    let plain = Site::made(Making {
        app: AppSettings { protocol: Protocol::Http2, ..AppSettings::default() },
        ..Making::new(app)
    })
    .await;
    let token = plain.sign_in("ada").await;
    let mut client = plain.connect().await;
    client.get("/c", &token, "TE: trailers\n").await;
    let answer = client.until("0\r\nx-after: 1\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[tokio::test]
async fn together_a_connection_carries_one_session_at_a_time() {
    let (app, go, mut noted) = app().await;
    let frozen = Frozen::new(app, Protocol::Http2).await;
    let mut line = frozen.line().await;
    let (ada, grace) = (frozen.site.sign_in("ada").await, frozen.site.sign_in("grace").await);
    let mut bodies = Vec::new();
    for round in 0..10 {
        let who = if round % 2 == 0 { &ada } else { &grace };
        let mut body = line.get("/stream", who).head().await.unwrap().into_body();
        until(&mut body, "early").await;
        bodies.push(body);
    }
    let mut whose: HashMap<usize, usize> = HashMap::new();
    for round in 0..10 {
        let (connection, ..) = next(&mut noted).await;
        let first = *whose.entry(connection).or_insert(round % 2);
        assert_eq!(first, round % 2, "two sessions on connection {connection}");
    }
    assert_eq!(whose.len(), 2, "and no more connections than sessions");
    // One of the two ends; the other goes on, and may have what is free.
    frozen.site.revoke(&ada).await;
    for _ in 0..5 {
        assert_eq!(next(&mut noted).await.2, Err(("reset".to_owned(), Some(Reason::CANCEL))));
    }
    go.send(true).unwrap();
    for (round, body) in bodies.into_iter().enumerate() {
        assert_eq!(rest(body).await.is_ok(), round % 2 == 1);
    }
    frozen.site.nothing_open(&ada).await;
    frozen.site.nothing_open(&grace).await;
    assert_eq!(frozen.site.cuts(5).await.len(), 5);
}

#[tokio::test]
async fn many_resets_close_their_own_connection_and_never_trip_an_application() {
    // It hangs up on whoever resets more than 40 streams that it was still about to look at.
    let (note, mut noted) = mpsc::unbounded_channel();
    let (_go, gone) = watch::channel(false);
    let mut settings = h2::server::Builder::new();
    settings.max_concurrent_reset_streams(200).max_pending_accept_reset_streams(40);
    let app = application_with(settings, move |asked| serve(asked, note.clone(), gone.clone())).await;
    let frozen = Frozen::new(app, Protocol::Http2).await;
    let (ada, grace) = (frozen.site.sign_in("ada").await, frozen.site.sign_in("grace").await);
    let mut line = frozen.line().await;
    let mut lives = line.get("/stream", &grace).head().await.unwrap().into_body();
    until(&mut lives, "early").await;
    let mut bodies = Vec::new();
    for _ in 0..90 {
        let mut body = line.get("/stream", &ada).head().await.unwrap().into_body();
        until(&mut body, "early").await;
        bodies.push(body);
    }
    frozen.site.revoke(&ada).await;
    for body in bodies {
        assert_eq!(rest(body).await.unwrap_err().1, Some(Reason::CANCEL));
    }
    frozen.site.nothing_open(&ada).await;
    let mut streams: HashMap<usize, usize> = HashMap::new();
    let mut resets = 0;
    while resets < 90 {
        match next(&mut noted).await {
            (connection, _, Ok(_)) => *streams.entry(connection).or_default() += 1,
            (_, _, Err((_, reason))) => {
                assert_eq!(reason, Some(Reason::CANCEL));
                resets += 1;
            }
        }
    }
    assert!(streams.values().all(|streams| *streams <= 32), "{streams:?}");
    // Each of those has seen its share of resets, and serves nobody again.
    let before = streams.len();
    assert_eq!(line.get("/next", &grace).whole().await.head.status, 200);
    let joe = frozen.site.sign_in("joe").await;
    assert_eq!(line.get("/next", &joe).whole().await.head.status, 200);
    let connections: Vec<usize> = [next(&mut noted).await.0, next(&mut noted).await.0].into();
    assert_eq!(connections, [0, before], "its own, and a new one");
}

#[tokio::test]
async fn never_late_nothing_follows_in_an_upload_under_way() {
    let (app, _go, mut noted) = app().await;
    let frozen = Frozen::new(app, Protocol::Http2).await;
    let token = frozen.site.sign_in("ada").await;
    let mut line = frozen.line().await;
    let (answering, mut body) = line.ask(post("/documents"), Some(&token), true);
    body.send_data("early".into(), false).unwrap();
    sleep(Duration::from_millis(100)).await;
    frozen.pass_the_deadline();
    body.send_data("LATE".into(), true).unwrap();
    let answer = answering.whole().await;
    assert!(answer.head.status == 401 && !answer.body.contains("outcome"), "{}", answer.body);
    let (_, _, seen) = next(&mut noted).await;
    assert_eq!(seen, Err(("early".to_owned(), Some(Reason::CANCEL))));
    frozen.site.nothing_open(&token).await;
    assert_eq!(frozen.site.cuts(1).await[0].how, "aborted");
}

#[tokio::test]
async fn never_late_an_application_that_opens_its_window_after_the_end_gets_nothing() {
    let (note, mut noted) = mpsc::unbounded_channel();
    let (go, gone) = watch::channel(false);
    let mut settings = h2::server::Builder::new();
    settings.initial_window_size(5);
    let app = application_with(settings, move |mut asked: Asked| {
        let (note, mut gone) = (note.clone(), gone.clone());
        async move {
            if asked.request.method() == "GET" {
                return drop(asked.respond.send_response(Response::new(()), true));
            }
            let mut body = asked.request.into_body();
            let first = body.data().await.unwrap().unwrap();
            note.send(Ok((String::from_utf8_lossy(&first).into_owned(), None))).unwrap();
            let _ = gone.wait_for(|gone| *gone).await;
            body.flow_control().release_capacity(first.len()).unwrap();
            note.send(rest(body).await).unwrap();
        }
    })
    .await;
    let frozen = Frozen::new(app, Protocol::Http2).await;
    let token = frozen.site.sign_in("ada").await;
    let mut line = frozen.line().await;
    // With this the gateway knows how narrow the window is.
    assert_eq!(status(&mut line, &token).await, 200);
    let (answering, mut body) = line.ask(post("/documents"), Some(&token), true);
    body.send_data("earlyLATE".into(), true).unwrap();
    assert_eq!(noted.recv().await.unwrap().unwrap().0, "early");
    sleep(Duration::from_millis(100)).await;
    frozen.pass_the_deadline();
    go.send(true).unwrap();
    assert_eq!(noted.recv().await.unwrap(), Err((String::new(), Some(Reason::CANCEL))));
    // It had not gone out whole, so it was not acted on.
    let answer = answering.whole().await;
    assert!(answer.head.status == 401 && !answer.body.contains("outcome"), "{}", answer.body);
    frozen.site.nothing_open(&token).await;
}

#[tokio::test]
async fn kept_an_unsafe_request_that_went_out_whole_is_left_to_finish() {
    let (app, go, mut noted) = app().await;
    let frozen = Frozen::new(app, Protocol::Http2).await;
    let token = frozen.site.sign_in("ada").await;
    let mut line = frozen.line().await;
    let (answering, mut body) = line.ask(post("/slow"), Some(&token), true);
    body.send_data("order".into(), true).unwrap();
    assert_eq!(next(&mut noted).await.2, Ok("order".to_owned()));
    let mut other = line.get("/stream", &token).head().await.unwrap().into_body();
    until(&mut other, "early").await;
    frozen.pass_the_deadline();
    let answer = answering.whole().await;
    assert!(answer.body.contains("\"outcome\":\"unknown\""), "{}", answer.body);
    // Its neighbour on the same connection is cut meanwhile.
    assert!(rest(other).await.is_err());
    go.send(true).unwrap();
    let entries = frozen.site.entries(1, |entry| matches!(entry, Entry::OutcomeWithheld { .. })).await;
    assert!(matches!(entries[0], Entry::OutcomeWithheld { status: Some(200), .. }), "{entries:?}");
    frozen.site.nothing_open(&token).await;
}

async fn status(line: &mut Line, token: &Token) -> u16 {
    line.ask(to("/x"), Some(token), false).0.whole().await.head.status.as_u16()
}

#[tokio::test]
async fn an_application_that_breaks_off_is_told_so_and_that_is_not_the_end() {
    // It answers one request on each connection and goes away with the second.
    let counts = Arc::<Mutex<HashMap<usize, usize>>>::default();
    let app = application(move |mut asked: Asked| {
        let counts = Arc::clone(&counts);
        async move {
            let count = {
                let mut counts = counts.lock().unwrap();
                let count = counts.entry(asked.connection).or_default();
                *count += 1;
                *count
            };
            match count {
                1 => drop(asked.respond.send_response(Response::new(()), true)),
                _ => asked.respond.send_reset(Reason::REFUSED_STREAM),
            }
        }
    })
    .await;
    let frozen = Frozen::new(app, Protocol::Http2).await;
    let token = frozen.site.sign_in("ada").await;
    let mut line = frozen.line().await;
    for _ in 0..3 {
        assert_eq!(status(&mut line, &token).await, 200, "asked again where that repeats nothing");
    }
    let nobody: SocketAddr = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let frozen = Frozen::new(nobody, Protocol::Http2).await;
    let token = frozen.site.sign_in("ada").await;
    assert_eq!(status(&mut frozen.line().await, &token).await, 502);
    // And one that speaks another protocol.
    let (http1, _noted) = common::recording(|_| common::OK.to_owned()).await;
    let frozen = Frozen::new(http1, Protocol::Http2).await;
    let token = frozen.site.sign_in("ada").await;
    assert_eq!(status(&mut frozen.line().await, &token).await, 502);
}

#[tokio::test]
async fn connections_that_carry_nothing_are_kept_up_to_a_bound() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let app = listener.local_addr().unwrap();
    let open = Arc::<AtomicUsize>::default();
    let (_go, gone) = watch::channel(false);
    let (note, _noted) = mpsc::unbounded_channel();
    let counts = Arc::clone(&open);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let (counts, note, gone) = (Arc::clone(&counts), note.clone(), gone.clone());
            tokio::spawn(async move {
                counts.fetch_add(1, SeqCst);
                let mut line = h2::server::handshake(tcp).await.unwrap();
                while let Some(Ok((request, respond))) = line.accept().await {
                    tokio::spawn(serve(
                        Asked { connection: 0, request, respond },
                        note.clone(),
                        gone.clone(),
                    ));
                }
                counts.fetch_sub(1, SeqCst);
            });
        }
    });
    let settings = Settings {
        limits: Limits { idle_upstream_connections: 2, ..Limits::default() },
        ..Settings::default()
    };
    let site = Site::made(Making {
        app: AppSettings { protocol: Protocol::Http2, ..AppSettings::default() },
        settings,
        ..Making::new(app)
    })
    .await;
    let mut clients = Vec::new();
    for number in 0..6 {
        let token = site.sign_in(&number.to_string()).await;
        let mut client = site.connect().await;
        client.get("/stream", &token, "").await;
        client.until("early").await;
        clients.push(client);
    }
    assert_eq!(open.load(SeqCst), 6, "sessions share none");
    drop(clients);
    let closed = async {
        while open.load(SeqCst) > 2 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(10), closed).await.expect("all of them stay open");
    sleep(Duration::from_millis(50)).await;
    assert_eq!(open.load(SeqCst), 2);
}
