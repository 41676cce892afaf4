//! Peers that are slow, or silent, hold what they hold in bounded time only.

mod common;

use common::{Client, Closed, OK, Site, application, read_head, write};
use nightlatch_http::{AppSettings, Limits, Settings};
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
