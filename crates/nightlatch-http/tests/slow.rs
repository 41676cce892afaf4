//! Peers that are slow, or silent, hold what they hold in bounded time only.

mod common;

use common::{Client, Closed, OK, Site, application, read_head, write};
use nightlatch_http::{AppSettings, CutOff, Limits, Settings};
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// Limits of a length that a test can wait for.
fn settings(limits: Limits) -> Settings {
    Settings { limits, ..Settings::default() }
}

const SHORT: Duration = Duration::from_millis(300);

/// Sends more than any kernel buffer takes, until it is told to stop.
async fn endless() -> std::net::SocketAddr {
    application(|mut connection| async move {
        read_head(&mut connection).await;
        write(&mut connection, "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n").await;
        let chunk = [&b"10000\r\n"[..], &[b'x'; 0x10000], b"\r\n"].concat();
        while connection.write_all(&chunk).await.is_ok() {}
    })
    .await
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_reset_in_time() {
    let limits = Limits { write_within: SHORT, connections: 1, ..Limits::default() };
    let site =
        Site::with(Duration::from_secs(600), endless().await, AppSettings::default(), settings(limits)).await;
    let token = site.sign_in("ada").await;
    let mut deaf = site.connect().await;
    deaf.get("/", &token, "").await;
    // Its seat is the only one: the next client is answered once it is free.
    let mut next = site.connect().await;
    next.get("/_nightlatch/session", &token, "").await;
    assert!(next.answer().await.contains("live"));
    let (_, closed) = deaf.rest().await;
    assert_eq!(closed, Closed::Reset);
    assert_eq!(site.gateway.cut_off(CutOff::TakesNothing), 1);
}

#[tokio::test]
async fn an_application_behind_a_unix_socket_is_reached() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut seen = [0; 4096];
            while tokio::io::AsyncReadExt::read(&mut connection, &mut seen).await.is_ok_and(|read| read > 0) {
                if connection.write_all(OK.replace('\n', "\r\n").as_bytes()).await.is_err() {
                    break;
                }
            }
        }
    });
    let upstream = format!("unix:{}", path.display());
    let app = AppSettings { upstream, ..AppSettings::default() };
    let nowhere = "127.0.0.1:1".parse().unwrap();
    let site = Site::open(Duration::from_secs(600), nowhere, app).await;
    let token = site.sign_in("ada").await;
    let mut client: Client = site.connect().await;
    for _ in 0..2 {
        client.get("/", &token, "").await;
        assert!(client.answer().await.ends_with("ok"));
    }
}

/// An application that waits for bodies that it never gets, and says when a connection to it is gone.
async fn patient() -> (std::net::SocketAddr, tokio::sync::mpsc::UnboundedReceiver<()>) {
    let (note, noted) = tokio::sync::mpsc::unbounded_channel();
    let address = application(move |mut connection| {
        let note = note.clone();
        async move {
            let mut seen = [0; 4096];
            while tokio::io::AsyncReadExt::read(&mut connection, &mut seen).await.is_ok_and(|read| read > 0) {
            }
            let _ = note.send(());
        }
    })
    .await;
    (address, noted)
}

#[tokio::test]
async fn a_body_that_trickles_or_stops_is_given_up_on_public_routes_too() {
    let (upstream, mut gone) = patient().await;
    let limits = Limits { body_within: SHORT, body_least: 100, ..Limits::default() };
    let app = AppSettings {
        public: vec![nightlatch_http::route::RoutePattern::parse("POST /open").unwrap()],
        ..AppSettings::default()
    };
    let site = Site::with(Duration::from_secs(600), upstream, app, settings(limits)).await;
    let token = site.sign_in("ada").await;
    let credential = format!("Authorization: Bearer {}\n", token.reveal());
    for (path, credential, trickles) in
        [("/open", "", true), ("/open", "", false), ("/orders", credential.as_str(), true)]
    {
        let mut client = site.connect().await;
        client
            .send(&format!("POST {path} HTTP/1.1\nHost: desk\n{credential}Content-Length: 100000\n\nx"))
            .await;
        let (mut read, mut write) = client.0.into_split();
        let trickle = tokio::spawn(async move {
            while trickles && write.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            std::future::pending::<()>().await;
        });
        let mut answer = vec![0; 4096];
        let length = tokio::io::AsyncReadExt::read(&mut read, &mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        assert!(answer.starts_with("HTTP/1.1 408"), "{path}: {answer}");
        assert!(answer.contains("connection: close"), "{answer}");
        gone.recv().await.unwrap();
        trickle.abort();
    }
    assert_eq!(site.gateway.cut_off(CutOff::SlowBody), 3);
}

#[tokio::test]
async fn a_body_that_goes_on_is_not_given_up_however_long_it_takes() {
    let upstream = application(|mut connection| async move {
        common::read_request(&mut connection).await;
        write(&mut connection, OK).await;
    })
    .await;
    let limits = Limits { body_within: SHORT, body_least: 100, ..Limits::default() };
    let site = Site::with(Duration::from_secs(600), upstream, AppSettings::default(), settings(limits)).await;
    let token = site.sign_in("ada").await;
    let mut client = site.connect().await;
    client
        .send(&format!(
            "POST / HTTP/1.1\nHost: desk\nAuthorization: Bearer {}\nContent-Length: 4000\n\n",
            token.reveal()
        ))
        .await;
    for _ in 0..10 {
        tokio::time::sleep(SHORT / 3).await;
        client.0.write_all(&[b'x'; 400]).await.unwrap();
    }
    assert!(client.answer().await.ends_with("ok"));
}

#[tokio::test]
async fn a_head_that_does_not_come_is_waited_for_in_bounded_time_the_second_as_well_as_the_first() {
    let upstream = common::recording(|_| OK.to_owned()).await.0;
    let limits = Limits { head_within: SHORT, ..Limits::default() };
    let site = Site::with(Duration::from_secs(600), upstream, AppSettings::default(), settings(limits)).await;
    let token = site.sign_in("ada").await;
    for (before, begun) in [(0, ""), (0, "GET / HT"), (1, ""), (3, "GET / HT")] {
        let mut client = site.connect().await;
        for _ in 0..before {
            client.get("/page", &token, "").await;
            assert!(client.answer().await.starts_with("HTTP/1.1 200"));
        }
        client.send(begun).await;
        let closed = tokio::time::timeout(SHORT * 10, client.rest()).await;
        assert!(closed.is_ok(), "after {before} requests and {begun:?} the connection is still open");
    }
}

#[tokio::test]
async fn the_application_has_its_time_once_the_client_has_said_everything() {
    let limits = Limits { answer_within: SHORT, ..Limits::default() };
    for answers in [true, false] {
        let upstream = application(move |mut connection| async move {
            common::read_request(&mut connection).await;
            if answers {
                write(&mut connection, OK).await;
            }
            std::future::pending::<()>().await;
        })
        .await;
        let site =
            Site::with(Duration::from_secs(600), upstream, AppSettings::default(), settings(limits)).await;
        let token = site.sign_in("ada").await;
        let mut client = site.connect().await;
        let credential = token.reveal();
        client
            .send(&format!(
                "POST / HTTP/1.1\nHost: desk\nAuthorization: Bearer {credential}\nContent-Length: 8\n\n"
            ))
            .await;
        for _ in 0..8 {
            tokio::time::sleep(SHORT / 3).await;
            client.0.write_all(b"x").await.unwrap();
        }
        let expected = if answers { "HTTP/1.1 200" } else { "HTTP/1.1 504" };
        let answer = tokio::time::timeout(SHORT * 10, client.until("\r\n\r\n")).await.unwrap();
        assert!(answer.starts_with(expected), "{answer}");
    }
}

#[tokio::test]
async fn a_body_larger_than_is_taken_is_refused_whether_it_says_so_or_not() {
    let (upstream, _gone) = patient().await;
    let limits = Limits { body_bytes: Some(1_000), ..Limits::default() };
    let site = Site::with(Duration::from_secs(600), upstream, AppSettings::default(), settings(limits)).await;
    let token = site.sign_in("ada").await;
    let chunk = format!("3e9\n{}\n0\n\n", "x".repeat(0x3e9));
    for (field, body) in [("Content-Length: 1001", "x"), ("Transfer-Encoding: chunked", chunk.as_str())] {
        let mut client = site.connect().await;
        let credential = token.reveal();
        client
            .send(&format!(
                "POST / HTTP/1.1\nHost: desk\nAuthorization: Bearer {credential}\n{field}\n\n{body}"
            ))
            .await;
        assert!(client.until("\r\n\r\n").await.starts_with("HTTP/1.1 413"), "{field}");
    }
    assert_eq!(site.gateway.cut_off(CutOff::LargeBody), 2);
}

#[tokio::test]
async fn one_address_has_a_share_and_a_trusted_proxy_all() {
    let limits = Limits { connections_per_address: 2, ..Limits::default() };
    for (trusted, expected) in [(None, false), (Some("127.0.0.1/32"), true)] {
        let nowhere = "127.0.0.1:1".parse().unwrap();
        let nets = trusted.into_iter().map(|net: &str| net.parse().unwrap());
        let settings = Settings { trusted_proxies: nets.collect(), ..settings(limits) };
        let site = Site::with(Duration::from_secs(600), nowhere, AppSettings::default(), settings).await;
        let token = site.sign_in("ada").await;
        let mut open = Vec::new();
        for _ in 0..2 {
            let mut client = site.connect().await;
            client.get("/_nightlatch/session", &token, "").await;
            client.answer().await;
            open.push(client);
        }
        let mut third = site.connect().await;
        let _ = third
            .0
            .write_all(b"GET /_nightlatch/session HTTP/1.1\r\nHost: desk\r\nConnection: close\r\n\r\n")
            .await;
        assert_eq!(!third.rest().await.0.is_empty(), expected, "{trusted:?}");
        assert_eq!(site.gateway.cut_off(CutOff::Share), u64::from(!expected));
    }
}
