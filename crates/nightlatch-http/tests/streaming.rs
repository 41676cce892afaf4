//! Bodies and connections: nobody is read ahead of, nobody gets another's answer, and a connection in doubt serves nobody again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers fail the test they serve"
)]

mod common;

use common::{Making, OK, Site, application, read_head, read_request, write};
use nightlatch_engine::Token;
use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::sleep,
};

const SIZE: usize = 64 << 20;
/// What two kernels and the gateway may hold between an eager and a lazy end.
const AHEAD_MOST: usize = 16 << 20;

#[tokio::test]
async fn a_client_that_stalls_stalls_the_application() {
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let upstream = application(move |mut connection| {
        let counted = Arc::clone(&counted);
        async move {
            read_head(&mut connection).await;
            write(&mut connection, &format!("HTTP/1.1 200 OK\nContent-Length: {SIZE}\n\n")).await;
            let piece = vec![b'x'; 65_536];
            while counted.load(SeqCst) < SIZE && connection.write_all(&piece).await.is_ok() {
                counted.fetch_add(piece.len(), SeqCst);
            }
        }
    })
    .await;
    let site = Site::made(Making::new(upstream)).await;
    let token = site.sign_in("ada").await;
    let mut client = site.connect().await;
    client.get("/big", &token, "Connection: close\n").await;
    sleep(Duration::from_millis(500)).await;
    let ahead = sent.load(SeqCst);
    assert!(ahead < AHEAD_MOST, "{ahead} bytes were read ahead of a client that reads none");
    let (seen, _) = client.rest().await;
    assert!(seen.len() > SIZE && sent.load(SeqCst) == SIZE);
    site.nothing_open(&token).await;
}

/// An application that answers while it is still told, and a client that says everything before it listens.
#[tokio::test]
async fn an_upload_goes_on_though_nobody_reads_its_answer_yet() {
    let upstream = application(|mut connection| async move {
        let head = read_head(&mut connection).await;
        let mut seen = head.split_once("\r\n\r\n").map_or(0, |(_, body)| body.len());
        let (mut from, mut to) = connection.split();
        let answering = async {
            to.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n").as_bytes())
                .await
                .unwrap();
            let piece = vec![b'x'; 65_536];
            for _ in 0..SIZE / piece.len() {
                to.write_all(&piece).await.unwrap();
            }
        };
        let reading = async {
            let mut buffer = vec![0; 65_536];
            while seen < SIZE {
                seen += from.read(&mut buffer).await.unwrap();
            }
        };
        tokio::join!(answering, reading);
    })
    .await;
    let site = Site::made(Making::new(upstream)).await;
    let token = site.sign_in("ada").await;
    let mut client = site.connect().await;
    let head = format!(
        "PUT /big HTTP/1.1\nHost: desk\nAuthorization: Bearer {}\nConnection: close\nContent-Length: {SIZE}\n\n",
        token.reveal()
    );
    client.send(&head).await;
    let piece = vec![b'y'; 65_536];
    let saying = async {
        for _ in 0..SIZE / piece.len() {
            client.0.write_all(&piece).await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), saying)
        .await
        .expect("the upload waits for its answer's reader");
    let (seen, _) = client.rest().await;
    assert!(seen.len() > SIZE, "{}", seen.len());
    site.nothing_open(&token).await;
}

#[tokio::test]
async fn an_application_that_stalls_stalls_the_client() {
    let upstream = application(|mut connection| async move {
        let head = read_head(&mut connection).await;
        sleep(Duration::from_millis(700)).await;
        // Some of the body may have come with the head.
        let mut seen = head.split_once("\r\n\r\n").map_or(0, |(_, body)| body.len());
        let mut buffer = vec![0; 65_536];
        while seen < SIZE {
            seen += connection.read(&mut buffer).await.unwrap();
        }
        write(&mut connection, OK).await;
    })
    .await;
    let site = Site::made(Making::new(upstream)).await;
    let token = site.sign_in("ada").await;
    let mut client = site.connect().await;
    client
        .send(&format!(
            "PUT /big HTTP/1.1\nHost: desk\nAuthorization: Bearer {}\nContent-Length: {}\n\n",
            token.reveal(),
            SIZE + 65_536
        ))
        .await;
    let (piece, mut sent) = (vec![b'x'; 65_536], 0);
    while let Ok(written) = tokio::time::timeout(Duration::from_millis(300), client.0.write_all(&piece)).await
    {
        written.unwrap();
        sent += piece.len();
        assert!(sent < AHEAD_MOST, "{sent} bytes were taken from a client whose application reads none");
    }
    while sent < SIZE {
        client.0.write_all(&piece).await.unwrap();
        sent += piece.len();
    }
    assert!(client.answer().await.ends_with("ok"));
    drop(client);
    site.nothing_open(&token).await;
}

/// An application that counts its connections, and answers with the path it was asked for.
async fn echo() -> (std::net::SocketAddr, Arc<Mutex<Vec<usize>>>) {
    let served = Arc::<Mutex<Vec<usize>>>::default();
    let counts = Arc::clone(&served);
    let address = application(move |mut connection| {
        let counts = Arc::clone(&counts);
        async move {
            let mine = {
                let mut counts = counts.lock().unwrap();
                counts.push(0);
                counts.len() - 1
            };
            loop {
                let request = read_request(&mut connection).await;
                let Some(path) = request.split(' ').nth(1) else { return };
                counts.lock().unwrap()[mine] += 1;
                if path == "/stream" {
                    write(&mut connection, "HTTP/1.1 200 OK\nContent-Length: 100000000\n\n").await;
                    while connection.write_all(&[b'x'; 1024]).await.is_ok() {}
                    return;
                }
                write(&mut connection, &format!("HTTP/1.1 200 OK\nContent-Length: {}\n\n{path}", path.len()))
                    .await;
            }
        }
    })
    .await;
    (address, served)
}

#[tokio::test]
async fn a_connection_serves_again_after_a_whole_exchange_and_never_after_an_aborted_one() {
    let (upstream, served) = echo().await;
    let site = Site::made(Making::new(upstream)).await;
    let token = site.sign_in("ada").await;
    let mut client = site.connect().await;
    for round in 0..5 {
        client.get(&format!("/{round}"), &token, "").await;
        assert!(client.answer().await.ends_with(&format!("/{round}")));
    }
    assert_eq!(*served.lock().unwrap(), [5]);
    client.get("/stream", &token, "").await;
    client.until("xxxx").await;
    drop(client);
    site.nothing_open(&token).await;
    let mut client = site.connect().await;
    client.get("/after", &token, "").await;
    assert!(client.answer().await.ends_with("/after"));
    assert_eq!(*served.lock().unwrap(), [6, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_clients_at_once_get_their_own_answers() {
    let (upstream, served) = echo().await;
    let site = Site::made(Making::new(upstream)).await;
    let token: Token = site.sign_in("ada").await;
    let clients = (0..100).map(|number| {
        let (site, token) = (&site, &token);
        async move {
            let mut answers = HashSet::new();
            let mut client = site.connect().await;
            for round in 0..10 {
                if (number + round) % 7 == 0 {
                    // Leaves in the middle of it.
                    client.get("/stream", token, "").await;
                    client.until("xx").await;
                    client = site.connect().await;
                }
                let path = format!("/{number}/{round}");
                client.get(&path, token, "").await;
                let answer = client.answer().await;
                assert!(answer.ends_with(&format!("\r\n\r\n{path}")), "{path}: {answer}");
                answers.insert(answer);
            }
        }
    });
    futures_util::future::join_all(clients).await;
    assert!(served.lock().unwrap().len() < 600, "connections are used again");
    site.nothing_open(&token).await;
}

/// RFC 6455 section 1.3.
const WS: &str = "Upgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\n\n";

#[tokio::test]
async fn a_websocket_is_relayed_to_the_last_byte_whichever_side_ends_first() {
    let upstream = application(|mut connection| async move {
        let head = read_head(&mut connection).await;
        assert!(!head.contains("nlt_") && head.contains("\r\nupgrade: websocket\r\n"), "{head}");
        write(&mut connection, SWITCH).await;
        let mut seen = Vec::new();
        connection.read_to_end(&mut seen).await.unwrap();
        connection.write_all(&seen).await.unwrap();
    })
    .await;
    let site = Site::made(Making::new(upstream)).await;
    let token = site.sign_in("ada").await;
    // It says everything, closes its half, and hears everything back.
    let mut client = site.connect().await;
    client.get("/ws", &token, WS).await;
    client.until("\r\n\r\n").await;
    let words: Vec<u8> = (0..200_000_u32).map(|number| (number % 251) as u8).collect();
    client.0.write_all(&words).await.unwrap();
    client.0.shutdown().await.unwrap();
    assert_eq!(client.rest().await.0, words);
    site.nothing_open(&token).await;
    // It goes without a word.
    let mut client = site.connect().await;
    client.get("/ws", &token, WS).await;
    client.until("\r\n\r\n").await;
    socket2::SockRef::from(&client.0).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    site.nothing_open(&token).await;
}
