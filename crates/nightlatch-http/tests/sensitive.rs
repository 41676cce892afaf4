//! Routes that need a fresh authentication: programs get the challenge of RFC 9470, people the way to sign in, and the session goes on.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail the test they serve")]

mod common;

use common::{Making, OK, Site, recording};
use nightlatch_core::{Activity, Kind, Span, Subject};
use nightlatch_engine::{Admission, Demand, Start, StepUp, Tighter, Token};
use nightlatch_http::{AppSettings, SensitiveRoute, route::RoutePattern};
use std::sync::Arc;
use tokio::{io::AsyncWriteExt, sync::mpsc};

const BROWSER: &str = "Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\n";

async fn site() -> (Site, mpsc::UnboundedReceiver<String>) {
    let (upstream, forwarded) = recording(|_| OK.to_owned()).await;
    let sensitive = |route: &str, acr: Option<&str>| SensitiveRoute {
        pattern: RoutePattern::parse(route).unwrap(),
        demand: Demand { age: Span::from_secs(300), acr: acr.map(str::to_owned) },
    };
    let app = AppSettings {
        public: vec![RoutePattern::parse("GET /assets/**").unwrap()],
        sensitive: vec![
            sensitive("/orders/**", None),
            sensitive("GET /assets/secret", None),
            sensitive("POST /large", Some("phr")),
        ],
        ..AppSettings::default()
    };
    (Site::made(Making { app, ..Making::new(upstream) }).await, forwarded)
}

/// Somebody who authenticated ten minutes ago.
async fn signed_in_long_ago(site: &Site) -> Token {
    let start = Start {
        subject: Subject { provider: "test".into(), name: "ada".into() },
        kind: Kind::Person,
        groups: Vec::new(),
        app: None,
        acr: None,
        authenticated: Some(site.engine().clock().now().minus(Span::from_secs(600))),
        continues: None,
        provider_session: None,
        parent: None,
        tighter: Tighter::default(),
        cause: "test",
    };
    site.engine().start(start).unwrap().known(site.engine()).await.1
}

async fn ask(site: &Site, line: &str, token: &Token, fields: &str) -> String {
    let mut client = site.connect().await;
    let head = format!(
        "{line} HTTP/1.1\r\nHost: desk\r\nCookie: nightlatch-loopback={}\r\n{fields}\r\n",
        token.reveal()
    );
    client.0.write_all(head.as_bytes()).await.unwrap();
    client.answer().await
}

#[tokio::test]
async fn programs_are_challenged_people_sign_in_and_nothing_is_forwarded_or_taken_away() {
    let (site, mut forwarded) = site().await;
    let token = signed_in_long_ago(&site).await;
    let session = site.session(&token);
    let last = session.last_activity();
    let challenge = "www-authenticate: Bearer error=\"insufficient_user_authentication\", max_age=\"300\"";
    for line in
        ["POST /orders/17", "GET /orders/17", "post /orders/17", "GET /orders/17/", "GET /assets/secret"]
    {
        let answer = ask(&site, line, &token, "Content-Length: 0\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 401"), "{line}: {answer}");
        assert!(answer.contains(&format!("{challenge}\r\n")), "{line}: {answer}");
        assert!(answer.contains("urn:nightlatch:problem:insufficient-user-authentication"), "{answer}");
        assert!(!answer.contains("set-cookie") && !answer.contains("clear-site-data"), "{answer}");
    }
    let answer = ask(&site, "POST /large", &token, "Content-Length: 0\r\n").await;
    assert!(answer.contains(&format!("{challenge}, acr_values=\"phr\"\r\n")), "{answer}");
    for (line, fields, place) in [
        ("GET /orders/17?a=1", "", "/orders/17%3Fa%3D1"),
        ("POST /orders/17", "Referer: http://desk/ticket\r\nContent-Length: 0\r\n", "/ticket"),
    ] {
        let answer = ask(&site, line, &token, &format!("{BROWSER}{fields}")).await;
        assert!(answer.starts_with("HTTP/1.1 303"), "{answer}");
        assert!(answer.contains(&format!("location: /_nightlatch/login?return_to={place}\r\n")), "{answer}");
        assert!(!answer.contains("set-cookie") && !answer.contains("clear-site-data"), "{answer}");
    }
    assert!(forwarded.try_recv().is_err(), "nothing reached the application");
    assert_eq!((session.last_activity(), session.end()), (last, None), "no activity, and no end");
    assert!(ask(&site, "GET /page", &token, "").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_sensitive_route_is_never_public_and_opens_after_a_step_up_to_both_credentials() {
    let (site, _forwarded) = site().await;
    let mut client = site.connect().await;
    client.0.write_all(b"GET /assets/secret HTTP/1.1\r\nHost: desk\r\n\r\n").await.unwrap();
    assert!(client.answer().await.starts_with("HTTP/1.1 401"), "whatever `public` says");

    let old = signed_in_long_ago(&site).await;
    let session = site.session(&old);
    let hard_end = session.hard_end();
    let step_up = StepUp { acr: Some("phr".into()), authenticated: None, cause: "test" };
    let new = site.engine().add_authentication(&session, step_up).unwrap().known(site.engine()).await;
    for token in [&old, &new, &old] {
        for line in ["POST /orders/17", "POST /large", "GET /assets/secret"] {
            let answer = ask(&site, line, token, "Content-Length: 0\r\n").await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{line}: {answer}");
        }
    }
    assert_eq!(session.hard_end(), hard_end);
    let Admission::Granted(permit) = site.engine().check(&new.hash(), Activity::Passive, "test") else {
        panic!("the new one opens the same session")
    };
    assert!(Arc::ptr_eq(permit.session(), &session));
}
