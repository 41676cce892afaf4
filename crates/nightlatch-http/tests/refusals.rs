//! Requests that do not go on, and what exactly each is told: a table of request and answer.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers fail the test they serve"
)]

mod common;

use common::{Client, Making, OK, Site, recording};
use nightlatch_core::{Activity, EndReason};
use nightlatch_engine::{Admission, EndOrder, Token};
use nightlatch_http::AppSettings;
use tokio::{io::AsyncWriteExt, sync::mpsc};

/// A gateway for `desk`, somebody signed in twice, and somebody whose session was revoked.
struct Cast {
    site: Site,
    live: Token,
    second: Token,
    ended: Token,
    ticket: String,
    forwarded: mpsc::UnboundedReceiver<String>,
}

const UNKNOWN: &str = "nlt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

impl Cast {
    async fn new() -> Cast {
        let (upstream, forwarded) = recording(|_| OK.to_owned()).await;
        let app = AppSettings {
            host: Some("desk".into()),
            app_cookies: vec!["sid".into()],
            websocket: true,
            ..AppSettings::default()
        };
        let site = Site::made(Making { app, ..Making::new(upstream) }).await;
        let (live, second, ended) =
            (site.sign_in("a").await, site.sign_in("a").await, site.sign_in("b").await);
        site.revoke(&ended).await;
        let mut cast = Cast { site, live, second, ended, ticket: String::new(), forwarded };
        let answer = cast.raw(&format!("GET /page\n{BROWSER}\nCookie: nightlatch-loopback=ENDED")).await;
        let ticket = answer.split("nightlatch-loopback-ended=").nth(1).unwrap();
        cast.ticket = ticket.split(';').next().unwrap().to_owned();
        cast
    }

    /// A row's request as it goes out: `GET /x` gets a version, and a `Host` if there is none.
    fn fill(&self, row: &str) -> Vec<u8> {
        let (line, fields) = row.split_once('\n').unwrap_or((row, ""));
        let version = if line.contains("HTTP/") { "" } else { " HTTP/1.1" };
        let host = if row.contains("Host:") { "" } else { "Host: desk\n" };
        let text = format!("{line}{version}\n{host}{fields}\n\n")
            .replace("No-Host: 1\n", "")
            .replace("LIVE", self.live.reveal())
            .replace("SECOND", self.second.reveal())
            .replace("ENDED", self.ended.reveal())
            .replace("UNKNOWN", UNKNOWN)
            .replace("TICKET", &self.ticket)
            .replace('\n', "\r\n");
        // One character, one byte: rows can say bytes that are not UTF-8.
        text.chars().map(|letter| letter as u8).collect()
    }

    async fn raw(&self, row: &str) -> String {
        let mut client = self.site.connect().await;
        client.0.write_all(&self.fill(row)).await.unwrap();
        client.answer().await
    }

    /// What the answer comes to: status, what it is about, and which cookies it sets.
    async fn told(&self, row: &str) -> String {
        let answer = self.raw(row).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let mut told = head[9..12].to_owned();
        if let Some(location) = field(head, "location") {
            told += &format!(" {location}");
        }
        if let Ok(problem) = serde_json::from_str::<serde_json::Value>(body) {
            told += &format!(" {}", problem["type"].as_str().unwrap().replace("urn:nightlatch:problem:", ""));
            if let Some(reason) = problem["reason"].as_str() {
                told += &format!(" {reason}");
            }
        }
        for line in head.lines().filter_map(|line| line.strip_prefix("set-cookie: ")) {
            let (name, rest) = line.split_once('=').unwrap();
            told += &format!(" {}{name}", if rest.contains("Max-Age=0") { "-" } else { "+" });
        }
        if field(head, "clear-site-data").is_some() {
            told += " clear";
        }
        if told.starts_with("40") || told.starts_with("303") {
            assert_eq!(field(head, "cache-control").as_deref(), Some("no-store"), "{answer}");
        }
        told
    }
}

fn field(head: &str, name: &str) -> Option<String> {
    head.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).map(str::to_owned)
}

const BROWSER: &str = "Sec-Fetch-Dest: document\nSec-Fetch-Mode: navigate\nSec-Fetch-User: ?1";
const FETCH: &str = "Sec-Fetch-Dest: empty\nSec-Fetch-Mode: cors\nAccept: text/html";
const GONE: &str = "-nightlatch-loopback +nightlatch-loopback-ended -sid";

#[tokio::test]
async fn what_each_request_is_told() {
    let cast = Cast::new().await;
    let login = "303 /_nightlatch/login?return_to=";
    let rows = [
        // Nobody.
        ("GET /page", "401 not-signed-in".to_owned()),
        ("GET /page?a=1&b=2\nAccept: text/html", format!("{login}/page%3Fa%3D1%26b%3D2")),
        (&format!("GET /page\n{BROWSER}"), format!("{login}/page")),
        (&format!("GET /page\n{FETCH}"), "401 not-signed-in".into()),
        (
            &format!("POST /form\n{BROWSER}\nReferer: http://desk/form\nContent-Length: 0"),
            format!("{login}/form"),
        ),
        (
            &format!("POST /form\n{BROWSER}\nReferer: http://evil/form\nContent-Length: 0"),
            format!("{login}/"),
        ),
        ("POST /form\nAccept: text/html\nContent-Length: 0", "401 not-signed-in".into()),
        // Credentials that open nothing.
        ("GET /page\nAuthorization: Bearer nlt_short", "401 not-signed-in".into()),
        ("GET /page\nAuthorization: Bearer UNKNOWN", "401 not-signed-in".into()),
        ("GET /page\nAuthorization: Bearer LIVEx", "401 not-signed-in".into()),
        ("GET /page\nAuthorization: Basic LIVE", "401 not-signed-in".into()),
        ("GET /page\nCookie: nightlatch-loopback=UNKNOWN", "401 not-signed-in".into()),
        ("GET /page\nCookie: nightlatch-loopback=\u{ff}\u{fe}", "401 not-signed-in".into()),
        ("GET /page\nCookie: nightlatch-loopback=LIVE\u{ff}", "401 not-signed-in".into()),
        ("GET /page\nCookie: __Host-nightlatch=LIVE", "401 not-signed-in".into()),
        ("GET /page\nCookie: Nightlatch-Loopback=LIVE", "401 not-signed-in".into()),
        ("GET /page\nCookie: nightlatch-loopback-ended=TICKETx", "401 not-signed-in".into()),
        ("GET /page\nCookie: nightlatch-loopback=TICKET", "401 not-signed-in".into()),
        // Over, and told why.
        ("GET /page\nAuthorization: Bearer ENDED", "401 session-ended revoked".into()),
        ("GET /page\nCookie: nightlatch-loopback=ENDED", "401 session-ended revoked".into()),
        (
            &format!("GET /page\n{BROWSER}\nCookie: nightlatch-loopback=ENDED"),
            format!("{login}/page {GONE} clear"),
        ),
        (
            &format!("GET /page\n{FETCH}\nCookie: nightlatch-loopback=ENDED"),
            "401 session-ended revoked".into(),
        ),
        ("GET /page\nCookie: nightlatch-loopback-ended=TICKET", "401 session-ended revoked".into()),
        (
            &format!("GET /page\n{BROWSER}\nCookie: nightlatch-loopback-ended=TICKET"),
            format!("{login}/page clear"),
        ),
        // One credential, however often; two different ones never.
        ("GET /page\nAuthorization: Bearer LIVE", "200".into()),
        ("GET /page\nCookie: nightlatch-loopback=LIVE; nightlatch-loopback=LIVE", "200".into()),
        ("GET /page\nCookie: nightlatch-loopback=LIVE\nAuthorization: Bearer LIVE", "200".into()),
        ("GET /page\nCookie: x=\u{ff}; nightlatch-loopback=LIVE", "200".into()),
        ("GET /page\nAuthorization: Bearer somebody-elses\nCookie: nightlatch-loopback=LIVE", "200".into()),
        (
            "GET /page\nCookie: nightlatch-loopback=LIVE\nAuthorization: Bearer SECOND",
            "400 two-credentials".into(),
        ),
        (
            "GET /page\nCookie: nightlatch-loopback=LIVE\nCookie: nightlatch-loopback=ENDED",
            "400 two-credentials".into(),
        ),
        (
            "GET /page\nAuthorization: Bearer LIVE\nAuthorization: Bearer UNKNOWN",
            "400 two-credentials".into(),
        ),
        // Requests without one reading.
        ("GET /page\nHost: other\nAuthorization: Bearer LIVE", "421 no-such-application".into()),
        ("GET /a%2fb\nAuthorization: Bearer LIVE", "400 malformed-request".into()),
        ("GET /../page\nAuthorization: Bearer LIVE", "400 malformed-request".into()),
        ("GET /%252e%252e/page\nAuthorization: Bearer LIVE", "400 malformed-request".into()),
        ("GET /a\\b\nAuthorization: Bearer LIVE", "400 malformed-request".into()),
        ("GET /page\nHost: desk\nHost: desk\nAuthorization: Bearer LIVE", "400 malformed-request".into()),
        ("GET /page\nNo-Host: 1\nHost:\nAuthorization: Bearer LIVE", "400 malformed-request".into()),
        ("GET /page\nHost: desk:x@evil.com\nAuthorization: Bearer LIVE", "400 malformed-request".into()),
        (
            "GET /page\nHost: desk:/../@evil.com/?x=\nAuthorization: Bearer LIVE",
            "400 malformed-request".into(),
        ),
        ("GET /page\nHost: desk:99999\nAuthorization: Bearer LIVE", "400 malformed-request".into()),
        (
            "POST /page\nTransfer-Encoding: gzip, chunked\nAuthorization: Bearer LIVE\n\n0\n",
            "400 malformed-request".into(),
        ),
        ("GET http://desk/page\nAuthorization: Bearer LIVE", "200".into()),
        ("GET http://evil/page\nAuthorization: Bearer LIVE", "400 malformed-request".into()),
        ("CONNECT desk:443\nAuthorization: Bearer LIVE", "405 no-tunnels".into()),
        ("OPTIONS *\nAuthorization: Bearer LIVE", "400 malformed-request".into()),
        (
            "GET /ws\nConnection: Upgrade\nUpgrade: websocket\nAuthorization: Bearer LIVE",
            "400 malformed-request".into(),
        ),
        ("GET /%5fnightlatch/nothing\nAuthorization: Bearer LIVE", "404 no-such-route".into()),
        // Old clients.
        ("GET /page HTTP/1.0\nHost: desk\nAuthorization: Bearer LIVE", "200".into()),
        ("GET /page HTTP/1.0\nHost: desk", "401 not-signed-in".into()),
    ];
    for (request, expected) in rows {
        assert_eq!(cast.told(request).await, expected, "{request}");
    }
    cast.site.nothing_open(&cast.live).await;
}

#[tokio::test]
async fn who_holds_no_credential_of_ours_learns_nothing() {
    let cast = Cast::new().await;
    let without_date = |answer: String| {
        answer.lines().filter(|line| !line.starts_with("date:")).collect::<Vec<_>>().join("\n")
    };
    for kind in [FETCH, BROWSER, ""] {
        let nobody = without_date(cast.raw(format!("GET /page\n{kind}").trim()).await);
        for credential in [
            "Authorization: Bearer UNKNOWN",
            "Authorization: Bearer nlt_",
            "Cookie: nightlatch-loopback=UNKNOWN",
            "Cookie: nightlatch-loopback=",
            "Cookie: nightlatch-loopback-ended=nle_0.0",
        ] {
            let row = format!("GET /page\n{kind}\n{credential}").replace("\n\n", "\n");
            assert_eq!(without_date(cast.raw(&row).await), nobody, "{row}");
        }
    }
}

#[tokio::test]
async fn the_answer_after_the_end_has_the_members_that_were_promised() {
    let cast = Cast::new().await;
    // A script asked; a person comes back to the page that it stood on, not to what it asked for.
    let answer = cast.raw("GET /api/x\nReferer: http://desk/page?x=1\nAuthorization: Bearer ENDED").await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(field(head, "content-type").as_deref(), Some("application/problem+json"));
    assert_eq!(field(head, "www-authenticate").as_deref(), Some("Bearer error=\"invalid_token\""));
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    let ended = cast.site.session(&cast.ended).end().unwrap().at.as_millis();
    let ended_at: jiff::Timestamp = body["ended_at"].as_str().unwrap().parse().unwrap();
    assert_eq!(ended_at.as_millisecond().cast_unsigned(), ended);
    let title = body["title"].as_str().unwrap();
    assert!(!title.is_empty() && body["detail"].is_string(), "{body}");
    assert_eq!(body["type"], "urn:nightlatch:problem:session-ended");
    assert_eq!((&body["status"], &body["reason"]), (&401.into(), &"revoked".into()));
    assert_eq!(body["login_url"], "/_nightlatch/login?return_to=/page%3Fx%3D1");
    assert_eq!(body["submission_kept"], false);
    let redirect = cast.raw(&format!("GET /page\n{BROWSER}\nCookie: nightlatch-loopback=ENDED")).await;
    assert_eq!(field(&redirect, "clear-site-data").as_deref(), Some("\"cache\""));
    assert!(
        redirect.contains("set-cookie: nightlatch-loopback=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax\r\n")
    );
    assert!(redirect.contains("; Path=/; HttpOnly; SameSite=Lax\r\n"));
}

#[tokio::test]
async fn a_request_with_an_unread_body_gets_its_answer() {
    let mut cast = Cast::new().await;
    // A short body is read off, and the connection serves the next request.
    let mut client = cast.site.connect().await;
    let post = |length| format!("POST /orders HTTP/1.1\nHost: desk\nContent-Length: {length}\n");
    client.send(&format!("{}\nbuy", post(3))).await;
    assert!(client.answer().await.starts_with("HTTP/1.1 401"));
    client.get("/page", &cast.live, "").await;
    assert!(client.answer().await.starts_with("HTTP/1.1 200"));
    cast.forwarded.recv().await;
    // A long one is not, and the connection closes after the answer.
    let mut client = cast.site.connect().await;
    client.send(&format!("{}\n", post(1_000_000_000))).await;
    let Client(tcp) = &mut client;
    let sent = tcp.write_all(&vec![b'x'; 1_000_000]).await;
    let answer = client.answer().await;
    assert!(
        answer.starts_with("HTTP/1.1 401") && answer.contains("connection: close\r\n"),
        "{sent:?} {answer}"
    );
    client.rest().await;
    // Who waits for a 100 gets none without a permit, and one with it.
    let mut client = cast.site.connect().await;
    client.send(&format!("{}Expect: 100-continue\n\n", post(3))).await;
    let answer = client.answer().await;
    assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("connection: close\r\n"), "{answer}");
    assert!(client.rest().await.0.is_empty());
    assert!(cast.forwarded.try_recv().is_err());
    let mut client = cast.site.connect().await;
    let credential = format!("Authorization: Bearer {}\n", cast.live.reveal());
    client.send(&format!("{}Expect: 100-continue\n{credential}\n", post(3))).await;
    assert_eq!(client.until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("buy").await;
    assert!(client.answer().await.starts_with("HTTP/1.1 200"));
    let forwarded = cast.forwarded.recv().await.unwrap();
    assert!(forwarded.ends_with("buy") && !forwarded.contains("expect"), "{forwarded}");
}

#[tokio::test]
async fn a_head_beyond_all_bounds_is_refused_and_the_connection_closed() {
    let cast = Cast::new().await;
    let long = format!("GET /page\nCookie: a={}", "x".repeat(70_000));
    let many = format!("GET /page{}", "\nX-Field: 1".repeat(200));
    let path = format!("GET /{}", "x".repeat(9_000));
    for (row, status) in [(long, "431"), (many, "431"), (path, "400")] {
        let mut client = cast.site.connect().await;
        // The other side may close before it has read everything.
        let _ = client.0.write_all(&cast.fill(&row)).await;
        let answer = client.answer().await;
        assert_eq!(&answer[9..12], status, "{answer}");
    }
    assert_eq!(cast.told("GET /page\nAuthorization: Bearer LIVE").await, "200");
}

#[tokio::test]
async fn pipelined_requests_find_a_session_that_ended_between_them() {
    let cast = Cast::new().await;
    let get = String::from_utf8(cast.fill("GET /page\nAuthorization: Bearer LIVE")).unwrap();
    let mut client = cast.site.connect().await;
    client.0.write_all(get.as_bytes()).await.unwrap();
    assert!(client.answer().await.starts_with("HTTP/1.1 200"));
    let Admission::Granted(permit) = cast.site.engine().check(&cast.live.hash(), Activity::Passive, "test")
    else {
        panic!("live")
    };
    // Not on disk yet, and already refused; told only when it is.
    cast.site
        .engine()
        .end(permit.session(), EndOrder { reason: EndReason::Blocked, by: "test", cause: None });
    client.0.write_all(format!("{get}{get}").as_bytes()).await.unwrap();
    for _ in 0..2 {
        let answer = client.answer().await;
        assert!(answer.contains("\"reason\":\"blocked\""), "{answer}");
    }
    assert!(permit.session().settled());
}
