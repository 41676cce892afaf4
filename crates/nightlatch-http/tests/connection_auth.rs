//! An application that authenticates connections, as IIS does with NTLM: whoever speaks on one is taken for the one who signed in on it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers fail the test they serve")]

mod common;

use common::{
    Client, Making, Site, application,
    http2::{self, Asked, Line},
    read_head, write,
};
use http::Response;
use nightlatch_engine::Token;
use nightlatch_http::{AppSettings, Protocol, route::RoutePattern};
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::net::TcpStream;

/// Says who it takes the other end of the connection for. With `NTLM name:1` and then `NTLM name:2` that becomes `name`.
async fn windows(mut connection: TcpStream) {
    let mut user: Option<String> = None;
    let mut challenged = false;
    loop {
        let head = read_head(&mut connection).await;
        if head.is_empty() {
            return;
        }
        let token =
            head.lines().find_map(|line| line.strip_prefix("authorization: NTLM ")).map(str::to_owned);
        let leg = token.as_deref().and_then(|token| token.split_once(':'));
        let answer = match leg {
            Some((_, "1")) => {
                challenged = true;
                "HTTP/1.1 401 Unauthorized\nWWW-Authenticate: NTLM TlRMTVNTUAAC\nContent-Length: 0\n\n"
                    .to_owned()
            }
            Some((name, "2")) if challenged => {
                user = Some(name.to_owned());
                said(&user)
            }
            _ => said(&user),
        };
        write(&mut connection, &answer).await;
    }
}

fn said(user: &Option<String>) -> String {
    match user {
        Some(user) => format!("HTTP/1.1 200 OK\nContent-Length: {}\n\n{user}", user.len()),
        None => "HTTP/1.1 401 Unauthorized\nWWW-Authenticate: Negotiate\nWWW-Authenticate: NTLM\nContent-Length: 0\n\n".to_owned(),
    }
}

async fn site() -> Site {
    let upstream: SocketAddr = application(windows).await;
    let app =
        AppSettings { public: vec![RoutePattern::parse("GET /public").unwrap()], ..AppSettings::default() };
    Site::made(Making { app, ..Making::new(upstream) }).await
}

/// What the application says to this session on this connection: a name, or a status.
async fn ask(client: &mut Client, token: &Token, credential: &str) -> String {
    let field =
        if credential.is_empty() { String::new() } else { format!("Authorization: NTLM {credential}\n") };
    let cookie = format!("Cookie: nightlatch-loopback={}\n", token.reveal());
    client.send(&format!("GET /page HTTP/1.1\nHost: desk\n{cookie}{field}\n")).await;
    let answer = client.answer().await;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200") => body.to_owned(),
        _ => answer[9..12].to_owned(),
    }
}

#[tokio::test]
async fn a_handshake_of_several_legs_stays_on_one_connection_and_nobody_else_speaks_on_that() {
    let site = site().await;
    let (ada, bob) = (site.sign_in("ada").await, site.sign_in("bob").await);
    let (mut hers, mut his, mut her_other) =
        (site.connect().await, site.connect().await, site.connect().await);
    for round in 0..20 {
        // Connections that anybody may use are about; none of them must become hers for others.
        assert_eq!(ask(&mut his, &bob, "").await, "401");
        if round == 0 {
            assert_eq!(ask(&mut hers, &ada, "").await, "401");
            assert_eq!(ask(&mut hers, &ada, "ada:1").await, "401");
            assert_eq!(ask(&mut hers, &ada, "ada:2").await, "ada");
        }
        assert_eq!(ask(&mut hers, &ada, "").await, "ada", "her connection stays hers");
        assert_eq!(ask(&mut his, &bob, "").await, "401");
        assert_eq!(
            ask(&mut her_other, &ada, "").await,
            "401",
            "a connection, not a session, is authenticated"
        );
        assert_eq!(ask(&mut site.connect().await, &bob, "").await, "401");
    }
    assert_eq!(ask(&mut his, &bob, "bob:1").await, "401");
    assert_eq!(ask(&mut his, &bob, "bob:2").await, "bob");
    assert_eq!((ask(&mut hers, &ada, "").await, ask(&mut his, &bob, "").await), ("ada".into(), "bob".into()));
    // With the client's connection it is gone, and not given to whoever comes next.
    drop((hers, his));
    for _ in 0..5 {
        assert_eq!(ask(&mut site.connect().await, &ada, "").await, "401");
    }
}

#[tokio::test]
async fn several_people_on_one_connection_of_a_proxy_are_told_apart() {
    let site = site().await;
    let (ada, bob) = (site.sign_in("ada").await, site.sign_in("bob").await);
    let mut proxy = site.connect().await;
    assert_eq!(ask(&mut proxy, &ada, "ada:1").await, "401");
    assert_eq!(ask(&mut proxy, &ada, "ada:2").await, "ada");
    assert_eq!(ask(&mut proxy, &bob, "").await, "401");
    // What was hers is closed, rather than kept for whoever may come.
    assert_eq!(ask(&mut proxy, &ada, "").await, "401");
}

#[tokio::test]
async fn where_nobody_is_signed_in_the_handshake_is_a_502_that_says_so_and_nothing_is_pooled() {
    let site = site().await;
    let mut client = site.connect().await;
    let get = |credential: &str| format!("GET /public HTTP/1.1\nHost: desk\n{credential}\n");
    client.send(&get("")).await;
    // Asked for only: another scheme may be among those it takes.
    assert!(client.answer().await.starts_with("HTTP/1.1 401"));
    client.send(&get("Authorization: NTLM eve:1\n")).await;
    let answer = client.answer().await;
    assert!(answer.starts_with("HTTP/1.1 502") && answer.contains("connection-authentication"), "{answer}");
    assert!(answer.contains("NTLM or Negotiate"), "{answer}");
    // Not even one that was authenticated in one leg is there for the next.
    client.send(&get("Authorization: NTLM eve:2\n")).await;
    assert!(client.answer().await.starts_with("HTTP/1.1 401"));
    let ada = site.sign_in("ada").await;
    assert_eq!(ask(&mut site.connect().await, &ada, "").await, "401");
}

#[tokio::test]
async fn a_client_of_http2_is_told_to_come_again_over_http1() {
    let (acceptor, connector) = common::http2::tls();
    let upstream = application(windows).await;
    let site = Site::made(Making { tls: Some(acceptor), ..Making::new(upstream) }).await;
    let ada = site.sign_in("ada").await;
    let mut line = Line::open(&connector, site.address, &h2::client::Builder::new()).await;
    for _ in 0..2 {
        let error = line.get("/page", &ada).head().await.unwrap_err();
        assert_eq!(error.reason(), Some(h2::Reason::HTTP_1_1_REQUIRED), "{error}");
    }
    // The connection is as good as before for everything else.
    assert_eq!(line.get("/_nightlatch/session", &ada).whole().await.head.status, 200);
    site.nothing_open(&ada).await;
}

/// The same as `windows` over HTTP/2, where it takes one leg: whoever says `NTLM name` has the connection from then on.
async fn windows_of_http2() -> SocketAddr {
    let users = Arc::<Mutex<HashMap<usize, String>>>::default();
    http2::application(move |mut asked: Asked| {
        let users = Arc::clone(&users);
        async move {
            let field = asked.request.headers().get("authorization").and_then(|field| field.to_str().ok());
            let said = field.and_then(|field| field.strip_prefix("NTLM ")).map(str::to_owned);
            let user = {
                let mut users = users.lock().unwrap();
                users.extend(said.map(|name| (asked.connection, name)));
                users.get(&asked.connection).cloned()
            };
            let head = match user {
                Some(_) => Response::builder(),
                None => Response::builder().status(401).header("www-authenticate", "NTLM"),
            };
            let user = user.unwrap_or_default();
            let head = head.header("content-length", user.len()).body(()).unwrap();
            let mut stream = asked.respond.send_response(head, false).unwrap();
            let _ = stream.send_data(user.into(), true);
        }
    })
    .await
}

#[tokio::test]
async fn a_connection_of_http2_that_somebody_authenticated_is_not_there_for_the_next() {
    let app = AppSettings { protocol: Protocol::Http2, ..AppSettings::default() };
    let site = Site::made(Making { app, ..Making::new(windows_of_http2().await) }).await;
    let (ada, bob) = (site.sign_in("ada").await, site.sign_in("bob").await);
    let mut hers = site.connect().await;
    for _ in 0..3 {
        assert_eq!(ask(&mut hers, &ada, "ada").await, "ada");
        site.nothing_open(&ada).await;
        // What goes on with the connection cannot be kept for one of many streams, and the answer says so.
        for (client, who) in [(&mut site.connect().await, &bob), (&mut hers, &ada)] {
            assert_eq!(ask(client, who, "").await, "502");
        }
    }
}
