//! HTTP/2 as it is asked for: heads without bodies, parts of files, answers before answers, and what is no request at all.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers fail the test they serve"
)]

mod common;

use bytes::Bytes;
use common::{
    Making, Site, contains,
    http2::{self, Asked, Line, PREFACE, connect, frame, get_frame, post, reset_frame, rest, tls, to},
    read_head, recording, write,
};
use h2::Reason;
use http::{Response, StatusCode};
use nightlatch_engine::ManualTime;
use nightlatch_http::{AppSettings, CutOff, Http2, Limits, Protocol, Settings};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{sleep, timeout},
};
use tokio_rustls::TlsConnector;

const EMPTY_SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

async fn site(upstream: SocketAddr, protocol: Protocol, limits: Limits) -> (Site, TlsConnector) {
    let (acceptor, connector) = tls();
    let app = AppSettings { protocol, ..AppSettings::default() };
    let settings = Settings { limits, ..Settings::default() };
    let site = Site::made(Making { app, settings, tls: Some(acceptor), ..Making::new(upstream) }).await;
    (site, connector)
}

async fn line(site: &Site, connector: &TlsConnector) -> Line {
    Line::open(connector, site.address, &h2::client::Builder::new()).await
}

/// The types of the frames in these bytes (RFC 9113 section 4.1).
fn frame_types(mut bytes: &[u8]) -> Vec<u8> {
    let mut types = Vec::new();
    while let [a, b, c, kind, _, _, _, _, _, rest @ ..] = bytes {
        types.push(*kind);
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        bytes = rest.get(length..).unwrap_or_default();
    }
    types
}

#[tokio::test]
async fn a_gateway_that_stops_says_so_on_a_connection_where_nothing_is_asked() {
    const GOAWAY: u8 = 7;
    let limits = Limits { drain_within: Duration::from_secs(1), ..Limits::default() };
    let (site, connector) = site("127.0.0.1:1".parse().unwrap(), Protocol::Http1, limits).await;
    let mut connection = connect(&connector, site.address).await;
    connection.write_all(&[PREFACE, EMPTY_SETTINGS].concat()).await.unwrap();
    let mut seen = vec![0; 4096];
    let length = connection.read(&mut seen).await.unwrap();
    seen.truncate(length);
    site.stop();
    let _ = timeout(Duration::from_secs(10), connection.read_to_end(&mut seen)).await.expect("it is closed");
    assert!(frame_types(&seen).contains(&GOAWAY), "{:?}", frame_types(&seen));
}

#[tokio::test]
async fn a_head_has_no_body_and_a_part_stays_a_part() {
    let (app, mut noted) = recording(|request| {
        if request.starts_with("HEAD") {
            return "HTTP/1.1 200 OK\nContent-Length: 1000\nETag: \"a\"\n\n".to_owned();
        }
        "HTTP/1.1 206 Partial Content\nContent-Range: bytes 0-3/1000\nContent-Length: 4\nETag: \"a\"\n\npart"
            .to_owned()
    })
    .await;
    let (site, connector) = site(app, Protocol::Http1, Limits::default()).await;
    let token = site.sign_in("ada").await;
    let mut line = line(&site, &connector).await;
    let answer = line.ask(to("/file").method("HEAD"), Some(&token), false).0.whole().await;
    assert_eq!((answer.head.status, answer.body.as_str()), (StatusCode::OK, ""));
    assert_eq!(answer.head.headers["content-length"], "1000");
    noted.recv().await.unwrap();
    let request = to("/file").header("range", "bytes=0-3").header("if-range", "\"a\"");
    let answer = line.ask(request, Some(&token), false).0.whole().await;
    assert_eq!((answer.head.status, answer.body.as_str()), (StatusCode::PARTIAL_CONTENT, "part"));
    assert_eq!(answer.head.headers["content-range"], "bytes 0-3/1000");
    let request = noted.recv().await.unwrap().to_ascii_lowercase();
    assert!(request.contains("range: bytes=0-3") && request.contains("if-range: \"a\""), "{request}");
    // Our own answers know their length too, and keep it to themselves when only their head is wanted.
    let answer = line.ask(to("/_nightlatch/session").method("HEAD"), Some(&token), false).0.whole().await;
    assert_eq!((answer.head.status, answer.body.as_str()), (StatusCode::OK, ""));
    let answer = line.get("/_nightlatch/session", &token).whole().await;
    assert_eq!(answer.head.headers["content-length"], answer.body.len().to_string());
}

#[tokio::test]
async fn never_late_a_part_is_cut_like_the_whole() {
    let app = common::application(|mut connection| async move {
        read_head(&mut connection).await;
        let part =
            "HTTP/1.1 206 Partial Content\nContent-Range: bytes 0-99/1000\nContent-Length: 100\n\npart";
        write(&mut connection, part).await;
        let _ = connection.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let time = Arc::new(ManualTime::new(1_800_000_000_000_000_000));
    let (acceptor, connector) = tls();
    let making = Making { tls: Some(acceptor), time: Box::new(Arc::clone(&time)), ..Making::new(app) };
    let site = Site::made(making).await;
    let token = site.sign_in("ada").await;
    let mut line = line(&site, &connector).await;
    let mut body = line.get("/file", &token).head().await.unwrap().into_body();
    http2::until(&mut body, "part").await;
    time.advance(601 * 1_000_000_000);
    assert_eq!(rest(body).await.unwrap_err().1, Some(Reason::CANCEL));
}

#[tokio::test]
async fn a_client_that_waits_is_told_to_go_on_when_somebody_reads_and_not_before() {
    let http1 = common::application(|mut connection| async move {
        let head = common::read_request(&mut connection).await;
        assert!(!head.to_ascii_lowercase().contains("expect"), "{head}");
        write(&mut connection, "HTTP/1.1 200 OK\nContent-Length: 2\n\nok").await;
    })
    .await;
    let http2 = http2::application(|mut asked: Asked| async move {
        let body = rest(asked.request.into_body()).await.unwrap().0;
        assert_eq!(body, "order");
        let mut stream = asked.respond.send_response(Response::new(()), false).unwrap();
        stream.send_data(Bytes::from_static(b"ok"), true).unwrap();
    })
    .await;
    for (upstream, protocol) in [(http1, Protocol::Http1), (http2, Protocol::Http2)] {
        let (site, connector) = site(upstream, protocol, Limits::default()).await;
        let token = site.sign_in("ada").await;
        let mut line = line(&site, &connector).await;
        let request = post("/orders").header("expect", "100-continue").header("content-length", "5");
        let (mut answering, mut body) = line.ask(request, Some(&token), true);
        let continued = timeout(Duration::from_secs(5), answering.informational()).await.unwrap().unwrap();
        assert_eq!(continued.status(), StatusCode::CONTINUE);
        body.send_data("order".into(), true).unwrap();
        assert_eq!(answering.whole().await.body, "ok");
        // Nobody is signed in: nobody reads.
        let request = post("/orders").header("expect", "100-continue").header("content-length", "5");
        let (mut answering, _body) = line.ask(request, None, true);
        assert!(answering.informational().await.is_none());
        assert_eq!(answering.whole().await.head.status, 401);
    }
}

#[tokio::test]
async fn an_answer_before_the_answer_is_not_taken_for_it() {
    let http1 = common::application(|mut connection| async move {
        read_head(&mut connection).await;
        let early = "HTTP/1.1 103 Early Hints\nLink: </a.css>; rel=preload\n\n";
        write(&mut connection, early).await;
        sleep(Duration::from_millis(20)).await;
        write(&mut connection, "HTTP/1.1 102 Processing\n\nHTTP/1.1 200 OK\nContent-Length: 2\n\nok").await;
    })
    .await;
    let http2 = http2::application(|mut asked: Asked| async move {
        for status in [StatusCode::EARLY_HINTS, StatusCode::PROCESSING] {
            let mut early = Response::new(());
            *early.status_mut() = status;
            asked.respond.send_informational(early).unwrap();
        }
        let mut stream = asked.respond.send_response(Response::new(()), false).unwrap();
        stream.send_data(Bytes::from_static(b"ok"), true).unwrap();
    })
    .await;
    for (upstream, protocol) in [(http1, Protocol::Http1), (http2, Protocol::Http2)] {
        let (site, connector) = site(upstream, protocol, Limits::default()).await;
        let token = site.sign_in("ada").await;
        let answer = line(&site, &connector).await.get("/page", &token).whole().await;
        assert_eq!((answer.head.status, answer.body.as_str()), (StatusCode::OK, "ok"));
    }
}

#[tokio::test]
async fn what_is_no_request_is_refused() {
    let (app, _noted) = recording(|_| common::OK.to_owned()).await;
    let (site, connector) = site(app, Protocol::Http1, Limits::default()).await;
    let token = site.sign_in("ada").await;
    let mut line = line(&site, &connector).await;
    let tunnel = http::Request::connect("desk:443");
    let rows = [
        (to("/a").header("host", "other"), 400),
        (to("/a").header("host", "desk"), 200),
        (to("/a").header("host", "desk:443"), 200),
        (to("/a").header("host", "desk").header("host", "desk"), 400),
        (tunnel, 405),
        (to("/a").method("TRACE"), 405),
        (to("/a").header("upgrade", "websocket"), 0),
        (to("/a").header("connection", "close"), 0),
    ];
    for (request, status) in rows {
        let shown = format!("{request:?}");
        let request = request.header("authorization", format!("Bearer {}", token.reveal())).body(()).unwrap();
        let sent = line.send.send_request(request, true);
        match sent {
            Ok((answering, _)) => assert_eq!(answering.await.unwrap().status(), status, "{shown}"),
            // The client library would not even send it; others try with frames of their own (`tests/clients`).
            Err(_) => assert_eq!(status, 0, "{shown}"),
        }
    }
}

#[tokio::test]
async fn http2_without_tls_is_not_spoken() {
    let (app, mut noted) = recording(|_| common::OK.to_owned()).await;
    let site = Site::made(Making::new(app)).await;
    let mut client = site.connect().await;
    client.0.write_all(PREFACE).await.unwrap();
    client.0.write_all(EMPTY_SETTINGS).await.unwrap();
    let (seen, _) = client.rest().await;
    assert!(seen.is_empty() || seen.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&seen));
    // Asked for politely it is passed over.
    let token = site.sign_in("ada").await;
    let mut client = site.connect().await;
    client
        .get("/a", &token, "Connection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AAMAAABk\n")
        .await;
    assert!(client.answer().await.starts_with("HTTP/1.1 200"));
    let request = noted.recv().await.unwrap().to_ascii_lowercase();
    assert!(!request.contains("h2c") && !request.contains("http2-settings"), "{request}");
}

fn few() -> Limits {
    let http2 = Http2 { abandoned: 20, control_frames: 100, ..Http2::default() };
    Limits { http2, ..Limits::default() }
}

#[tokio::test]
async fn who_gives_up_over_and_over_what_he_asks_for_is_told_to_calm_down() {
    let app = common::application(|mut connection| async move {
        let _ = connection.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let (site, connector) = site(app, Protocol::Http1, few()).await;
    let token = site.sign_in("ada").await;
    let line = line(&site, &connector).await;
    for _ in 0..40 {
        let Ok(mut send) = line.send.clone().ready().await else { break };
        let request =
            to("/a").header("authorization", format!("Bearer {}", token.reveal())).body(()).unwrap();
        let Ok((_, mut stream)) = send.send_request(request, false) else { break };
        sleep(Duration::from_millis(5)).await;
        stream.send_reset(Reason::CANCEL);
    }
    let closed = timeout(Duration::from_secs(5), line.closed).await.unwrap().unwrap().unwrap_err();
    assert_eq!(closed.reason(), Some(Reason::ENHANCE_YOUR_CALM));
    assert_eq!(site.gateway.cut_off(CutOff::Abandoned), 1);
    site.nothing_open(&token).await;
}

/// The answers are ready and cannot leave, since the client takes nothing; then it resets their streams, over and over.
#[tokio::test]
async fn a_client_that_resets_answers_before_they_have_left_leaves_nothing_behind() {
    let written = Arc::new(AtomicUsize::new(0));
    let big = Arc::clone(&written);
    let app = common::application(move |mut connection| {
        let big = Arc::clone(&big);
        async move {
            while let head = read_head(&mut connection).await
                && !head.is_empty()
            {
                if head.starts_with("GET /a ") {
                    write(&mut connection, common::OK).await;
                    continue;
                }
                write(&mut connection, "HTTP/1.1 200 OK\nContent-Length: 100000000\n\n").await;
                while connection.write_all(&[b'x'; 1024]).await.is_ok() {
                    big.fetch_add(1, SeqCst);
                }
            }
        }
    })
    .await;
    let (site, connector) = site(app, Protocol::Http1, Limits::default()).await;
    let token = site.sign_in("ada").await;
    let session = site.session(&token);
    let mut tls = connect(&connector, site.address).await;
    // Windows as large as they can be: only the socket holds anything back.
    let settings = frame(4, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff]);
    let window = frame(8, 0, 0, &(0x7fff_ffff_u32 - 65_535).to_be_bytes());
    let asked = get_frame(1, "/big", token.reveal());
    tls.write_all(&[PREFACE, &settings, &window, &asked].concat()).await.unwrap();
    let mut before = 0;
    while before == 0 || written.load(SeqCst) != before {
        before = written.load(SeqCst);
        sleep(Duration::from_millis(200)).await;
    }
    for batch in 0..20 {
        let streams = (1..=40).map(|stream| 2 * (40 * batch + stream) + 1);
        let ask = |stream| get_frame(stream, "/a", token.reveal());
        tls.write_all(&streams.clone().flat_map(ask).collect::<Vec<u8>>()).await.unwrap();
        sleep(Duration::from_millis(60)).await;
        assert!(session.open() > 40, "the answers wait");
        tls.write_all(&streams.flat_map(reset_frame).collect::<Vec<u8>>()).await.unwrap();
        timeout(Duration::from_secs(5), async {
            while session.open() > 1 {
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .expect("forgotten, all but the one that waits for the socket");
    }
    // Nobody thinks worse of it: it goes on from here.
    let last = [reset_frame(1), get_frame(2_001, "/a", token.reveal())].concat();
    tls.write_all(&last).await.unwrap();
    let mut seen = Vec::new();
    let answered = timeout(Duration::from_secs(10), async {
        while !contains(&seen, &frame(0, 1, 2_001, b"ok")) {
            seen.clear();
            assert!(tls.read_buf(&mut seen).await.unwrap() > 0, "closed");
        }
    });
    assert!(answered.await.is_ok(), "no answer");
    site.nothing_open(&token).await;
}

#[tokio::test]
async fn a_flood_of_frames_about_the_connection_ends_it() {
    let (app, _noted) = recording(|_| common::OK.to_owned()).await;
    let (site, connector) = site(app, Protocol::Http1, few()).await;
    let ping = [&[0, 0, 8, 6, 0, 0, 0, 0, 0][..], &[7; 8]].concat();
    let window = [&[0, 0, 4, 8, 0, 0, 0, 0, 0][..], &[0, 0, 0, 1]].concat();
    let priority = [&[0, 0, 5, 2, 0, 0, 0, 0, 9][..], &[0, 0, 0, 0, 1]].concat();
    let unknown = vec![0, 0, 0, 0x42, 0, 0, 0, 0, 0];
    for (nth, frame) in (1..).zip([EMPTY_SETTINGS.to_vec(), ping, window, priority, unknown]) {
        let mut tls = connect(&connector, site.address).await;
        tls.write_all(PREFACE).await.unwrap();
        tls.write_all(EMPTY_SETTINGS).await.unwrap();
        let flood = frame.repeat(20);
        let ended = timeout(Duration::from_secs(10), async {
            let (mut read, mut write) = tokio::io::split(tls);
            tokio::join!(async { while write.write_all(&flood).await.is_ok() {} }, async {
                while read.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {}
            })
        });
        assert!(ended.await.is_ok(), "a flood of {frame:?} goes on");
        assert_eq!(site.gateway.cut_off(CutOff::ControlFrames), nth, "{frame:?}");
    }
}

#[tokio::test]
async fn a_stream_that_takes_nothing_and_a_line_that_asks_nothing_are_given_up() {
    let app = common::application(|mut connection| async move {
        read_head(&mut connection).await;
        write(&mut connection, "HTTP/1.1 200 OK\nContent-Length: 100000\n\n").await;
        while connection.write_all(&[b'x'; 1024]).await.is_ok() {}
    })
    .await;
    let soon = Duration::from_millis(400);
    let limits = Limits { head_within: soon, write_within: soon, ..Limits::default() };
    let (site, connector) = site(app, Protocol::Http1, limits).await;
    let token = site.sign_in("ada").await;
    let mut line = line(&site, &connector).await;
    let mut body = line.get("/big", &token).head().await.unwrap().into_body();
    // Takes what there is room for, and makes none.
    let broken = timeout(Duration::from_secs(10), async {
        loop {
            if let Err(error) = body.data().await.expect("no end") {
                return error;
            }
        }
    });
    assert_eq!(broken.await.unwrap().reason(), Some(Reason::CANCEL));
    assert_eq!(site.gateway.cut_off(CutOff::TakesNothing), 1);
    site.nothing_open(&token).await;
    let closed = timeout(Duration::from_secs(10), line.closed).await.expect("closed");
    assert!(closed.unwrap().is_ok(), "with a goodbye");
}
