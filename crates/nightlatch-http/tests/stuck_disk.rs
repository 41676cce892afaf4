//! A disk whose flush does not return: what was revoked passes nothing, is closed within bounds, and nobody is told of what a crash could
//! undo.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use common::{Closed, Making, Site, application, read_head, write};
use nightlatch_core::{Activity, EndReason};
use nightlatch_engine::{Admission, EndOrder, Token};
use nightlatch_http::AppSettings;
use nightlatch_ledger::{Disk, OsDisk};
use std::{
    fs::File,
    io,
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};
use tokio::{io::AsyncWriteExt as _, time::sleep};

/// While it hangs, no sync returns.
#[derive(Default)]
struct Hanging {
    hangs: Mutex<bool>,
    changed: Condvar,
}

impl Hanging {
    fn hang(&self, hangs: bool) {
        *self.hangs.lock().unwrap() = hangs;
        self.changed.notify_all();
    }
}

impl Disk for Hanging {
    fn write(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        OsDisk.write(file, bytes, offset)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        drop(self.changed.wait_while(self.hangs.lock().unwrap(), |hangs| *hangs).unwrap());
        OsDisk.sync(file)
    }

    fn allocate(&self, file: &File, length: u64) -> io::Result<()> {
        OsDisk.allocate(file, length)
    }
}

const WEBSOCKET: &str = "Upgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n";
const ACCEPTED: &str = "HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\n\n";
const EVENTS: &str = "HTTP/1.1 200 OK\nContent-Type: text/event-stream\nTransfer-Encoding: chunked\n\n";

/// Answers each path in its way, says one thing, and falls silent.
async fn desk() -> std::net::SocketAddr {
    application(|mut connection| async move {
        let head = read_head(&mut connection).await;
        if head.starts_with("GET /ws") {
            write(&mut connection, ACCEPTED).await;
            connection.write_all(&[0x81, 3, b'o', b'n', b'e']).await.unwrap();
        } else if head.starts_with("GET /news") {
            write(&mut connection, EVENTS).await;
            connection.write_all(b"9\r\ndata: 1\n\n\r\n").await.unwrap();
        }
        sleep(Duration::from_secs(60)).await;
    })
    .await
}

/// Orders the end and does not wait for the disk.
fn order_the_end(site: &Site, token: &Token) {
    let Admission::Granted(permit) = site.engine().check(&token.hash(), Activity::Passive, "test") else {
        panic!("not live")
    };
    let order = EndOrder { reason: EndReason::Revoked, by: "test", cause: None };
    site.engine().end(permit.session(), order).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn fail_closed_a_stuck_disk_keeps_nothing_open_and_tells_nothing() {
    let disk = Arc::new(Hanging::default());
    let app = AppSettings { websocket: true, ..AppSettings::default() };
    let site =
        Site::made(Making { app, disk: Arc::clone(&disk) as Arc<dyn Disk>, ..Making::new(desk().await) })
            .await;
    let token = site.sign_in("trader").await;
    let (mut socket, mut news, mut slow) = (site.connect().await, site.connect().await, site.connect().await);
    socket.get("/ws", &token, WEBSOCKET).await;
    socket.until("one").await;
    news.get("/news", &token, "Accept: text/event-stream\n").await;
    news.until("data: 1\n\n").await;
    slow.get("/slow", &token, "").await;
    while site.session(&token).open() < 3 {
        sleep(Duration::from_millis(5)).await;
    }
    disk.hang(true);
    order_the_end(&site, &token);

    let (told, closed) = socket.rest().await;
    assert_eq!(
        (told.as_slice(), closed),
        (&[][..], Closed::Reset),
        "no Close frame: it would name the reason"
    );
    let (told, closed) = news.rest().await;
    assert!(!String::from_utf8_lossy(&told).contains("nightlatch-ended") && closed == Closed::Reset);
    let answer = slow.answer().await;
    assert!(answer.starts_with("HTTP/1.1 401") && !answer.contains("reason"), "{answer}");
    assert!(!site.session(&token).settled());
    assert!(!site.engine().health().recording && site.engine().health().enforcing);

    disk.hang(false);
    let cuts = site.cuts(3).await;
    let mut how: Vec<_> = cuts.iter().map(|cut| (cut.channel.as_str(), cut.how.as_str())).collect();
    how.sort_unstable();
    assert_eq!(how, [("request", "401"), ("sse", "reset"), ("websocket", "reset")]);
    assert!(cuts.iter().all(|cut| cut.reason == "revoked"), "each is on the record, with its reason");
}
