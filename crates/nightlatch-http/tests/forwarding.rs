//! What passes, in both directions: an application that notes every byte, and clients that look at every byte.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers fail the test they serve"
)]

mod common;

use common::{Making, OK, Site, recording};
use nightlatch_http::{AppSettings, Settings, route::RoutePattern};

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
