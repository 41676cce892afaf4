//! What passes, in both directions: an application that notes every byte, and clients that look at every byte.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers fail the test they serve"
)]

mod common;

use common::{Making, OK, Site, application, read_head, read_request, recording, write};
use nightlatch_engine::Token;
use nightlatch_http::{AppSettings, Settings, route::RoutePattern};
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

fn app() -> AppSettings {
    AppSettings {
        public: vec![RoutePattern::parse("GET /assets/**").unwrap()],
        app_cookies: vec!["sid".into()],
        ..AppSettings::default()
    }
}

/// The request that the application saw, as sorted lines; what differs from run to run is replaced.
async fn seen_by_the_application(request: &str, settings: Settings) -> String {
    let (upstream, mut noted) = recording(|_| OK.to_owned()).await;
    let site = Site::made(Making { app: app(), settings, ..Making::new(upstream) }).await;
    let token = site.sign_in("ada lovelace").await;
    let mut client = site.connect().await;
    client.send(&request.replace("TOKEN", token.reveal())).await;
    let answer = client.answer().await;
    assert!(answer[8..].starts_with(" 200"), "{answer}");
    let seen = noted.recv().await.unwrap();
    let id = site.session(&token).facts.id.to_string();
    let seen = seen.replace(&id, "ID").replace(&site.address.to_string(), "GATEWAY");
    assert!(!seen.contains("nlt_"), "a credential reached the application: {seen}");
    let (head, body) = seen.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let first = lines.next().unwrap().to_owned();
    let mut fields: Vec<&str> = lines.collect();
    fields.sort_unstable();
    [&[first.as_str()], fields.as_slice(), &[body]].concat().join("\n").trim_end().to_owned()
}

const IDENTITY: &str = "x-nightlatch-groups: traders
x-nightlatch-provider: test
x-nightlatch-session: ID
x-nightlatch-subject: ada%20lovelace";
const CLIENT: &str = "x-forwarded-for: 127.0.0.1\nx-forwarded-host: desk\nx-forwarded-proto: http";

#[tokio::test]
async fn what_the_application_sees() {
    let rows = [
        // The canonical path, and an ordinary request.
        (
            "GET //a/./b/../c%41?q=%2F HTTP/1.1\nHost: desk\nAuthorization: Bearer TOKEN\nAccept: x\n\n",
            format!(
                "GET /a/cA?q=%2F HTTP/1.1\naccept: x\nhost: desk\nvia: 1.1 nightlatch\n{CLIENT}\n{IDENTITY}"
            ),
        ),
        // What belongs to the connection, and what claims to be ours in any spelling.
        (
            "GET /a HTTP/1.1\nHost: desk\nCookie: nightlatch-loopback=TOKEN\nConnection: keep-alive, X-Mine, X-Nightlatch-Subject\n\
             X-Mine: 1\nKeep-Alive: 5\nTE: x\nProxy-Authorization: x\nX-Nightlatch-Subject: root\nx_nightlatch_subject: root\n\
             X-NIGHTLATCH.Groups: admins\nX-Nightlatch-Subject: root\nX-Nightlatch-New: x\nX-HTTP-Method-Override: DELETE\n\
             X-Original-URL: /admin\nUpgrade: h2c\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\n\n",
            format!("GET /a HTTP/1.1\nhost: desk\nvia: 1.1 nightlatch\n{CLIENT}\n{IDENTITY}"),
        ),
        // Other cookies byte for byte; the application's own credential passes.
        (
            "GET /a HTTP/1.1\nHost: desk\nCookie: a=1;b=\"x; y\" ; nightlatch-loopback=TOKEN;c=;  d\nCookie: __hOst-NightLatch=x; e=2\n\
             Authorization: Bearer the-applications\n\n",
            format!(
                "GET /a HTTP/1.1\nauthorization: Bearer the-applications\ncookie: a=1;b=\"x; y\" ;c=;  d\ncookie: e=2\nhost: desk\n\
                 via: 1.1 nightlatch\n{CLIENT}\n{IDENTITY}"
            ),
        ),
        // A client that says where it is, and is no trusted proxy.
        (
            "GET /a HTTP/1.1\nHost: desk\nAuthorization: Bearer TOKEN\nX-Forwarded-For: 1.2.3.4\nX-Forwarded-Host: evil\nForwarded: for=1.2.3.4\n\
             X-Real-IP: 1.2.3.4\nX_Forwarded_Proto: https\n\n",
            format!("GET /a HTTP/1.1\nhost: desk\nvia: 1.1 nightlatch\n{CLIENT}\n{IDENTITY}"),
        ),
        // A public route has no identity, with or without a credential.
        (
            "GET /assets/a.css HTTP/1.1\nHost: desk\nAuthorization: Bearer TOKEN\nX-Nightlatch-Subject: root\n\n",
            format!("GET /assets/a.css HTTP/1.1\nhost: desk\nvia: 1.1 nightlatch\n{CLIENT}"),
        ),
        // Bodies, by length and in chunks; trailers of ours are gone.
        (
            "POST /a HTTP/1.1\nHost: desk\nAuthorization: Bearer TOKEN\nContent-Length: 5\n\nhello",
            format!(
                "POST /a HTTP/1.1\ncontent-length: 5\nhost: desk\nvia: 1.1 nightlatch\n{CLIENT}\n{IDENTITY}\nhello"
            ),
        ),
        (
            "POST /a HTTP/1.1\nHost: desk\nAuthorization: Bearer TOKEN\nTransfer-Encoding: chunked\nTrailer: X-Sum, X-Nightlatch-Subject\n\n\
             5\nhello\n0\nX-Sum: 1\nX-Nightlatch-Subject: root\n\n",
            format!(
                "POST /a HTTP/1.1\nhost: desk\ntrailer: x-sum\ntransfer-encoding: chunked\nvia: 1.1 nightlatch\n{CLIENT}\n{IDENTITY}\n\
                 5\r\nhello\r\n0\r\nx-sum: 1"
            ),
        ),
        // An old client.
        (
            "GET /a HTTP/1.0\nHost: desk\nConnection: keep-alive\nAuthorization: Bearer TOKEN\n\n",
            format!("GET /a HTTP/1.1\nhost: desk\nvia: 1.0 nightlatch\n{CLIENT}\n{IDENTITY}"),
        ),
    ];
    for (request, expected) in rows {
        assert_eq!(seen_by_the_application(request, Settings::default()).await, expected, "{request}");
    }
}

#[tokio::test]
async fn a_trusted_proxy_says_where_the_client_is() {
    let request = "GET /a HTTP/1.1\nHost: desk\nCookie: __Host-nightlatch=TOKEN\nX-Forwarded-For: 9.9.9.9, 1.2.3.4\nX-Forwarded-Proto: https\n\n";
    let trusted_proxies = ["127.0.0.0/8".parse().unwrap()].into_iter().collect();
    let settings = Settings { trusted_proxies, ..Settings::default() };
    let seen = seen_by_the_application(request, settings).await;
    assert!(
        seen.contains("\nx-forwarded-for: 1.2.3.4, 127.0.0.1\n")
            && seen.contains("\nx-forwarded-proto: https\n"),
        "{seen}"
    );
}

#[tokio::test]
async fn what_the_client_sees() {
    let rows = [
        ("GET", "HTTP/1.1 200 Fine\nContent-Length: 2\nX-A: 1\n\nok", "200 [content-length: 2, x-a: 1] ok"),
        (
            "GET",
            "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nok\n0\n\n",
            "200 [transfer-encoding: chunked] 2\r\nok\r\n0\r\n\r\n",
        ),
        ("HEAD", "HTTP/1.1 200 OK\nContent-Length: 700\n\n", "200 [content-length: 700] "),
        ("GET", "HTTP/1.1 204 No Content\n\n", "204 [] "),
        ("GET", "HTTP/1.1 304 Not Modified\nETag: \"x\"\n\n", "304 [etag: \"x\"] "),
        // Nothing of the connection, nothing in our name, no way around us.
        (
            "GET",
            "HTTP/1.1 200 OK\nContent-Length: 0\nConnection: close, X-Hop\nX-Hop: 1\nKeep-Alive: 5\nX-Nightlatch-Reason: x\nAlt-Svc: h3=\":1\"\n\
             Set-Cookie: a=1; Path=/\nSet-Cookie: nightlatch-loopback=stolen\nSet-Cookie: __host-nightlatch-ended=x\n\n",
            "200 [content-length: 0, set-cookie: a=1; Path=/] ",
        ),
    ];
    for (method, reply, expected) in rows {
        let (upstream, _noted) = recording(move |_| reply.to_owned()).await;
        let site = Site::made(Making { app: app(), ..Making::new(upstream) }).await;
        let token = site.sign_in("ada").await;
        // The second request shows that the connection is where it should be.
        for _ in 0..2 {
            let mut client = site.connect().await;
            client
                .send(&format!(
                    "{method} /a HTTP/1.1\nHost: desk\nAuthorization: Bearer {}\nConnection: close\n\n",
                    token.reveal()
                ))
                .await;
            let (seen, _) = client.rest().await;
            let seen = String::from_utf8(seen).unwrap();
            let (head, body) = seen.split_once("\r\n\r\n").unwrap();
            let fields = head
                .lines()
                .skip(1)
                .filter(|line| !line.starts_with("date:") && *line != "connection: close");
            let mut fields: Vec<&str> = fields.collect();
            fields.sort_unstable();
            assert_eq!(format!("{} [{}] {body}", &head[9..12], fields.join(", ")), expected);
        }
        site.nothing_open(&token).await;
    }
}

#[tokio::test]
async fn the_applications_cookie_is_bound_to_who_it_was_set_for() {
    let (upstream, mut noted) = recording(|request| match request.contains("/login") {
        true => "HTTP/1.1 200 OK\nContent-Length: 0\nSet-Cookie: sid=secret; Path=/; HttpOnly\n\n".to_owned(),
        false => OK.to_owned(),
    })
    .await;
    let site = Site::made(Making { app: app(), ..Making::new(upstream) }).await;
    let (ada, bob) = (site.sign_in("ada").await, site.sign_in("bob").await);
    let mut client = site.connect().await;
    client.get("/login", &ada, "").await;
    let answer = client.answer().await;
    let cookie = answer.split("set-cookie: ").nth(1).unwrap().split(';').next().unwrap().to_owned();
    assert!(cookie.starts_with("sid=secret~") && answer.contains("; Path=/; HttpOnly\r\n"), "{answer}");
    noted.recv().await;
    for (token, expected) in [(&ada, Some("cookie: x=1; sid=secret")), (&bob, Some("cookie: x=1"))] {
        client.get("/page", token, &format!("Cookie: x=1; {cookie}\n")).await;
        client.answer().await;
        let seen = noted.recv().await.unwrap();
        assert_eq!(seen.lines().find(|line| line.starts_with("cookie")), expected, "{seen}");
    }
    client.get("/page", &ada, "Cookie: sid=planted\n").await;
    client.answer().await;
    assert!(!noted.recv().await.unwrap().contains("cookie"));
}

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
    let site = Site::made(Making { app: app(), ..Making::new(upstream) }).await;
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

#[tokio::test]
async fn an_application_that_stalls_stalls_the_client() {
    let upstream = application(|mut connection| async move {
        read_head(&mut connection).await;
        sleep(Duration::from_millis(700)).await;
        let mut seen = 0;
        let mut buffer = vec![0; 65_536];
        while seen < SIZE {
            seen += connection.read(&mut buffer).await.unwrap();
        }
        write(&mut connection, OK).await;
    })
    .await;
    let site = Site::made(Making { app: app(), ..Making::new(upstream) }).await;
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
    let site = Site::made(Making { app: app(), ..Making::new(upstream) }).await;
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
    let site = Site::made(Making { app: app(), ..Making::new(upstream) }).await;
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

#[tokio::test]
async fn an_old_client_that_names_no_host_reaches_an_application_that_needs_one() {
    let (upstream, mut noted) = recording(|_| OK.to_owned()).await;
    let site = Site::made(Making { app: app(), ..Making::new(upstream) }).await;
    let token = site.sign_in("ada").await;
    let mut client = site.connect().await;
    client.send(&format!("GET /a HTTP/1.0\nAuthorization: Bearer {}\n\n", token.reveal())).await;
    let (answer, _) = client.rest().await;
    assert!(answer.starts_with(b"HTTP/1.0 200"));
    assert!(noted.recv().await.unwrap().contains(&format!("host: {upstream}\r\n")));
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
    let site =
        Site::made(Making { app: AppSettings { websocket: true, ..app() }, ..Making::new(upstream) }).await;
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
