//! Protocols other than WebSocket that a request switches to, as container programs do for `exec` and `attach`: relayed byte for
//! byte, believed only on the application's word, and reset when the session ends.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers fail the test they serve")]

mod common;

use common::{Closed, Making, OK, Site, application, read_request, recording, write};
use nightlatch_http::{AppSettings, route::RoutePattern};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::sleep,
};

fn lists(upgrades: &[&str], active: &[&str]) -> AppSettings {
    AppSettings {
        websocket: true,
        upgrades: upgrades.iter().map(ToString::to_string).collect(),
        active: active.iter().map(|route| RoutePattern::parse(route).unwrap()).collect(),
        public: vec![RoutePattern::parse("GET /public").unwrap()],
        ..AppSettings::default()
    }
}

async fn site(idle: Duration, upstream: SocketAddr, app: AppSettings) -> Site {
    Site::made(Making { idle, app, ..Making::new(upstream) }).await
}

const LONG: Duration = Duration::from_secs(600);
const SWITCHED: &str = "HTTP/1.1 101 UPGRADED\nContent-Type: application/vnd.docker.raw-stream\nConnection: Upgrade\nUpgrade: tcp\n\n";

/// Reads a request, answers with `head`, and sends back in capitals whatever comes then.
async fn shouts(head: &'static str) -> SocketAddr {
    application(move |mut connection| async move {
        let request = read_request(&mut connection).await;
        write(&mut connection, head).await;
        write(&mut connection, &format!("{}\n", request.split("\r\n\r\n").nth(1).unwrap_or_default())).await;
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = connection.read(&mut buffer).await {
            connection.write_all(&buffer[..read].to_ascii_uppercase()).await.unwrap();
        }
        let _ = connection.write_all(b"<closed>").await;
    })
    .await
}

const EXEC: &str = "Connection: Upgrade\nUpgrade: tcp\nContent-Length: 7\n";

/// An exec as Docker's client asks for it: a POST with a body, and an upgrade.
async fn exec(client: &mut common::Client, token: &nightlatch_engine::Token, fields: &str, body: &str) {
    let head = format!("POST /exec/1/start HTTP/1.1\nHost: desk\nAuthorization: Bearer {}\n", token.reveal());
    client.send(&format!("{head}{fields}\n{body}")).await;
}

#[tokio::test]
async fn bytes_pass_both_ways_as_they_are_until_both_have_closed() {
    let site = site(LONG, shouts(SWITCHED).await, lists(&["tcp"], &[])).await;
    let token = site.sign_in("operator").await;
    let mut client = site.connect().await;
    exec(&mut client, &token, EXEC, "{\"a\":1}").await;
    let head = client.until("\r\n\r\n").await.to_lowercase();
    assert!(head.starts_with("http/1.1 101 ") && head.contains("upgrade: tcp\r\n"), "{head}");
    assert!(head.contains("connection: upgrade\r\n") && head.contains("raw-stream\r\n"), "{head}");
    assert_eq!(client.until("\r\n").await, "{\"a\":1}\r\n", "the body of the request arrived before");
    // Bytes that would be a Close frame of a WebSocket, or a request, are bytes here.
    client.0.write_all(b"\x88\x02\x03\xe8 get / http/1.1\r\n\r\n").await.unwrap();
    let mut back = [0; 23];
    client.0.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"\x88\x02\x03\xe8 GET / HTTP/1.1\r\n\r\n");
    // One side may close before the other.
    client.0.shutdown().await.unwrap();
    assert_eq!(client.rest().await, (b"<closed>".to_vec(), Closed::Fin));
    site.nothing_open(&token).await;
}

#[tokio::test]
async fn never_late_an_upgraded_stream_is_reset_and_recorded_as_a_channel_of_its_own() {
    let site = site(Duration::from_millis(700), shouts(SWITCHED).await, lists(&["tcp"], &[])).await;
    let token = site.sign_in("operator").await;
    let deadline = site.session(&token).deadline().at;
    let mut client = site.connect().await;
    exec(&mut client, &token, EXEC, "{\"a\":1}").await;
    let head = client.until("\r\n\r\n").await;
    let begun = site.session(&token).deadline().at;
    assert!(begun >= deadline);
    // What passes is passive unless the route says otherwise.
    let mut told_by_a_write = false;
    for _ in 0..10 {
        // On a slow machine the end comes meanwhile, and a reset is told once: to whoever asks first.
        told_by_a_write = client.0.write_all(b"x").await.is_err();
        if told_by_a_write {
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    let (rest, closed) = client.rest().await;
    let rest = String::from_utf8_lossy(&rest).into_owned();
    let reset = told_by_a_write || closed == Closed::Reset;
    assert!(reset, "there are no words to end it in: {head}{rest}");
    let cuts = site.cuts(1).await;
    assert_eq!(
        (cuts[0].channel.as_str(), cuts[0].how.as_str(), cuts[0].reason.as_str()),
        ("upgrade", "reset", "idle_timeout")
    );
    assert_eq!(site.session(&token).deadline().at, begun, "nothing that passed was activity");
}

#[tokio::test]
async fn on_an_active_route_what_the_client_sends_is_activity_and_what_it_gets_is_not() {
    let chatters = application(|mut connection| async move {
        read_request(&mut connection).await;
        let mut open = write(&mut connection, SWITCHED).await;
        while open {
            open = write(&mut connection, "tick").await;
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let site = site(LONG, chatters, lists(&["tcp"], &["POST /exec/*/start"])).await;
    let token = site.sign_in("operator").await;
    let mut client = site.connect().await;
    exec(&mut client, &token, EXEC, "{\"a\":1}").await;
    client.until("ticktick").await;
    let begun = site.session(&token).deadline().at;
    sleep(Duration::from_millis(30)).await;
    client.until("ticktick").await;
    assert_eq!(site.session(&token).deadline().at, begun, "the application's ticks are nobody's activity");
    client.0.write_all(b"l").await.unwrap();
    for _ in 0..200 {
        if site.session(&token).deadline().at > begun {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("the client's byte did not count");
}

#[tokio::test]
async fn a_101_that_says_another_protocol_opens_nothing() {
    for head in [
        "HTTP/1.1 101 Switching\nConnection: Upgrade\nUpgrade: h2c\n\n",
        "HTTP/1.1 101 Switching\nConnection: Upgrade\n\n",
        "HTTP/1.1 101 Switching\nUpgrade: tcp\n\n",
        "HTTP/1.1 101 Switching\nConnection: Upgrade\nUpgrade: tcp, h2c\n\n",
    ] {
        let site = site(LONG, shouts(head).await, lists(&["tcp"], &[])).await;
        let token = site.sign_in("operator").await;
        let mut client = site.connect().await;
        exec(&mut client, &token, EXEC, "{\"a\":1}").await;
        let answer = client.answer().await;
        assert!(answer.starts_with("HTTP/1.1 502") && answer.contains("bad-upgrade"), "{head} {answer}");
        site.nothing_open(&token).await;
    }
}

#[tokio::test]
async fn what_is_not_listed_goes_on_as_an_ordinary_request() {
    let rows = [
        ("Connection: Upgrade\nUpgrade: tcp\nContent-Length: 0\n", "upgrade: tcp"),
        ("Connection: Upgrade\nUpgrade: h2c, TCP\nContent-Length: 0\n", "upgrade: tcp"),
        ("Connection: Upgrade\nUpgrade: h2c\nContent-Length: 0\n", ""),
        ("Connection: Upgrade\nUpgrade: spdy/3.1\nContent-Length: 0\n", ""),
        ("Upgrade: tcp\nContent-Length: 0\n", ""),
    ];
    for (fields, expected) in rows {
        let (upstream, mut noted) = recording(|_| OK.to_owned()).await;
        let site = site(LONG, upstream, lists(&["tcp"], &[])).await;
        let token = site.sign_in("operator").await;
        let mut client = site.connect().await;
        exec(&mut client, &token, fields, "").await;
        // It may be declined: then it is an ordinary answer on an ordinary connection.
        assert!(client.answer().await.starts_with("HTTP/1.1 200"));
        let seen = noted.recv().await.unwrap().to_lowercase();
        let asked = seen.lines().find(|line| line.starts_with("upgrade")).unwrap_or_default();
        assert_eq!(asked, expected, "{fields}");
        client.get("/_nightlatch/session", &token, "").await;
        assert!(client.answer().await.contains("\"state\":\"live\""));
    }
}

#[tokio::test]
async fn a_public_route_is_public_for_requests_and_not_for_what_they_switch_to() {
    let site = site(LONG, shouts(SWITCHED).await, lists(&["tcp"], &[])).await;
    let mut client = site.connect().await;
    client.send("GET /public HTTP/1.1\nHost: desk\nConnection: Upgrade\nUpgrade: tcp\n\n").await;
    assert!(client.answer().await.starts_with("HTTP/1.1 401"));
}

#[tokio::test]
async fn an_application_that_switches_before_it_has_the_whole_request_is_not_believed() {
    let hasty = application(|mut connection| async move {
        common::read_head(&mut connection).await;
        write(&mut connection, SWITCHED).await;
        sleep(Duration::from_secs(1)).await;
    })
    .await;
    let site = site(LONG, hasty, lists(&["tcp"], &[])).await;
    let token = site.sign_in("operator").await;
    let mut client = site.connect().await;
    exec(&mut client, &token, "Connection: Upgrade\nUpgrade: tcp\nContent-Length: 100\n", "not whole").await;
    let answer = client.answer().await;
    assert!(answer.starts_with("HTTP/1.1 502") && answer.contains("bad-upgrade"), "{answer}");
}
