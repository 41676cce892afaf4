//! The gateway's own routes: signing in and out, how the session is, and real input.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers fail the test they serve"
)]

mod common;

use common::{
    Making, OK, Site,
    browser::{Browser, field, json},
    recording,
};
use nightlatch_core::{EndReason, SessionId};
use nightlatch_engine::{Entry, ManualTime};
use nightlatch_http::{DemoUser, Settings};
use std::{collections::BTreeMap, sync::Arc};

async fn site() -> (Site, Arc<ManualTime>) {
    let (upstream, _noted) = recording(|_| OK.to_owned()).await;
    let user =
        |name: &str| DemoUser { name: name.into(), display: name.into(), groups: vec!["traders".into()] };
    let settings = Settings { demo_users: vec![user("ada"), user("bob")], ..Settings::default() };
    let time = Arc::new(ManualTime::new(1_800_000_000_000_000_000));
    (Site::made(Making { settings, time: Box::new(Arc::clone(&time)), ..Making::new(upstream) }).await, time)
}

async fn continues(site: &Site, session: SessionId) -> Option<String> {
    let entries = site.entries(1, |entry| matches!(entry, Entry::SessionStarted(_))).await;
    let found = entries.into_iter().find(|entry| entry.session() == Some(&session.to_string()));
    let Some(Entry::SessionStarted(started)) = found else { panic!("on record") };
    assert_eq!(started.cause, "demo_sign_in");
    started.continues
}

#[tokio::test]
async fn a_person_signs_in_is_timed_out_and_goes_on_where_they_were() {
    let (site, time) = site().await;
    let mut browser = Browser::new(&site).await;
    let answer = browser.open("/orders?id=7").await;
    assert_eq!(field(&answer, "location"), Some("/_nightlatch/login?return_to=/orders%3Fid%3D7"));
    let page = browser.open("/_nightlatch/login?return_to=/orders%3Fid%3D7").await;
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("value=\"/orders?id=7\""), "{page}");
    assert!(field(&page, "content-security-policy").is_some());
    let answer = browser.sign_in("ada").await;
    assert!(answer.starts_with("HTTP/1.1 303"), "{answer}");
    assert_eq!(field(&answer, "location"), Some("/orders?id=7"));
    assert!(browser.open("/orders?id=7").await.ends_with("ok"));
    let first = browser.session(&site);

    time.advance(600 * 1_000_000_000);
    assert!(browser.open("/orders?id=7").await.starts_with("HTTP/1.1 303"));
    assert_eq!(browser.cookies.keys().collect::<Vec<_>>(), ["nightlatch-loopback-ended"]);
    assert_eq!(first.end().unwrap().reason, EndReason::IdleTimeout);
    let mut other = Browser { cookies: browser.cookies.clone(), ..Browser::new(&site).await };

    let answer = browser.sign_in("ada").await;
    assert_eq!(field(&answer, "location"), Some("/orders?id=7"));
    assert_eq!(browser.cookies.keys().collect::<Vec<_>>(), ["nightlatch-loopback"]);
    let second = browser.session(&site);
    assert_eq!(continues(&site, second.facts.id).await, Some(first.facts.id.to_string()));

    // Somebody else at the same screen inherits nothing, not even the place.
    let answer = other.sign_in("bob").await;
    assert_eq!(field(&answer, "location"), Some("/"));
    assert_eq!(continues(&site, other.session(&site).facts.id).await, None);
}

#[tokio::test]
async fn a_planted_credential_never_becomes_anybodys() {
    let (site, _time) = site().await;
    // Made up.
    let mut victim = Browser::new(&site).await;
    let planted = "nlt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    victim.cookies.insert("nightlatch-loopback".into(), planted.into());
    victim.sign_in("ada").await;
    assert_ne!(victim.cookies["nightlatch-loopback"], planted);
    // The attacker's own: it ends, and the victim's is another.
    let mut attacker = Browser::new(&site).await;
    attacker.sign_in("bob").await;
    let own = attacker.session(&site);
    victim.cookies.clone_from(&attacker.cookies);
    victim.sign_in("ada").await;
    assert_ne!(victim.cookies, attacker.cookies);
    assert_eq!(victim.session(&site).facts.who.subject.name, "ada");
    assert_eq!(own.end().unwrap().reason, EndReason::Logout);
    for cookies in
        [BTreeMap::from([("nightlatch-loopback".to_owned(), planted.to_owned())]), attacker.cookies]
    {
        let mut browser = Browser { cookies, ..Browser::new(&site).await };
        assert!(browser.fetch("GET /page").await.starts_with("HTTP/1.1 401"));
    }
}

#[tokio::test]
async fn each_sign_in_has_a_credential_of_its_own_and_the_one_before_ends() {
    let (site, _time) = site().await;
    let mut browser = Browser::new(&site).await;
    browser.sign_in("ada").await;
    let (first, cookie) = (browser.session(&site), browser.cookies.clone());
    browser.sign_in("ada").await;
    assert_ne!(browser.cookies, cookie);
    assert_eq!((first.end().unwrap().reason, first.settled()), (EndReason::Logout, true));
    // Two different ones at once: which of them to end is not ours to choose.
    let twice =
        format!("Cookie: nightlatch-loopback={}\nOrigin: http://localhost\n", cookie["nightlatch-loopback"]);
    let refused = browser.ask("POST /_nightlatch/logout", &twice, "").await;
    assert!(refused.starts_with("HTTP/1.1 400") && refused.contains("two-credentials"), "{refused}");
    assert!(browser.session(&site).end().is_none());
}

#[tokio::test]
async fn signing_out_needs_the_exact_origin() {
    let (site, _time) = site().await;
    let rows = [
        ("", 403),
        ("Origin: http://evil\n", 403),
        ("Origin: null\n", 403),
        ("Origin: https://localhost\n", 403),
        ("Origin: http://localhost:80\n", 403),
        ("Origin: http://localhost.evil\n", 403),
        ("Origin: http://localhost\nOrigin: http://localhost\n", 403),
        ("Origin: http://localhost\nOrigin: http://evil\n", 403),
        ("Origin: http://localhost\n", 204),
    ];
    for (origin, status) in rows {
        for route in ["logout", "activity", "login"] {
            let mut browser = Browser::new(&site).await;
            browser.sign_in("ada").await;
            let session = browser.session(&site);
            let answer = browser.ask(&format!("POST /_nightlatch/{route}"), origin, "user=ada").await;
            let expected = match (status, route) {
                (204, "activity") => 200,
                (204, "login") => 303,
                _ => status,
            };
            assert!(answer.starts_with(&format!("HTTP/1.1 {expected}")), "{route} {origin}: {answer}");
            assert_eq!(session.end().is_some(), status == 204 && route != "activity", "{route} {origin}");
        }
    }
    // A program has no origin to show, and a bearer that no page can be made to send.
    let token = site.sign_in("program").await;
    let mut client = site.connect().await;
    client
        .send(&format!(
            "POST /_nightlatch/logout HTTP/1.1\nHost: localhost\nAuthorization: Bearer {}\nContent-Length: 0\n\n",
            token.reveal()
        ))
        .await;
    client.until("\r\n\r\n").await;
    assert_eq!(site.session(&token).end().unwrap().reason, EndReason::Logout);
    // Not so if it comes as a cookie too.
    let token = site.sign_in("program").await;
    let both = format!("Authorization: Bearer {0}\nCookie: nightlatch-loopback={0}\n", token.reveal());
    let answer = Browser::new(&site).await.ask("POST /_nightlatch/logout", &both, "").await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
}

#[tokio::test]
async fn signing_out_leaves_no_cookie_and_no_session() {
    let (site, _time) = site().await;
    let mut browser = Browser::new(&site).await;
    browser.sign_in("ada").await;
    let (session, before) = (browser.session(&site), browser.cookies.clone());
    let answer = browser.post("/_nightlatch/logout", "").await;
    assert_eq!((&answer[9..12], field(&answer, "location")), ("303", Some("/_nightlatch/login")));
    assert!(browser.cookies.is_empty());
    assert_eq!((session.end().unwrap().reason, session.settled()), (EndReason::Logout, true));
    browser.cookies = before;
    let answer = browser.fetch("GET /page").await;
    assert_eq!(json(&answer)["reason"], "logout");
}

#[tokio::test]
async fn asking_never_counts_and_real_input_does() {
    let (site, time) = site().await;
    let mut browser = Browser::new(&site).await;
    browser.sign_in("ada").await;
    let session = browser.session(&site);
    let deadline = session.deadline().at;
    time.advance(100 * 1_000_000_000);
    for _ in 0..3 {
        let answer = browser.fetch("GET /_nightlatch/session").await;
        assert_eq!(field(&answer, "content-type"), Some("application/json"));
        let expected = r#"{"absolute_remaining_ms":3500000,"deadline_reason":"idle_timeout","idle_remaining_ms":500000,"state":"live","warning_ms":300000}"#;
        assert_eq!(json(&answer).to_string(), expected);
    }
    // Not even when a person opens it as a page.
    browser.open("/_nightlatch/session").await;
    browser.open("/_nightlatch/login").await;
    assert_eq!(session.deadline().at, deadline);
    for _ in 0..50 {
        let answer = browser.fetch("POST /_nightlatch/activity").await;
        assert_eq!(json(&answer)["idle_remaining_ms"], 600_000);
    }
    assert_eq!(session.deadline().at.as_millis(), deadline.as_millis() + 100_000);
    time.advance(600 * 1_000_000_000);
    for line in ["GET /_nightlatch/session", "POST /_nightlatch/activity"] {
        assert_eq!(json(&browser.fetch(line).await)["reason"], "idle_timeout", "{line}");
    }
    assert!(session.end().is_some(), "never revived");
    assert_eq!(session.open(), 0);
}

#[tokio::test]
async fn what_each_route_answers() {
    let (site, _time) = site().await;
    let rows = [
        ("GET /_nightlatch/nothing", "404", None),
        ("GET /_nightlatch/", "404", None),
        ("GET /_nightlatch/logout", "405", Some("POST")),
        ("GET /_nightlatch/activity", "405", Some("POST")),
        ("POST /_nightlatch/session", "405", Some("GET, HEAD")),
        ("DELETE /_nightlatch/login", "405", Some("GET, HEAD, POST")),
        ("GET /_nightlatch/session", "401", None),
        ("GET /%5Fnightlatch/session", "401", None),
        ("GET //_nightlatch//session", "401", None),
        ("POST /_nightlatch/activity", "401", None),
        ("POST /_nightlatch/logout", "204", None),
    ];
    for (line, status, allow) in rows {
        let mut browser = Browser::new(&site).await;
        let answer = browser.fetch(line).await;
        assert_eq!((&answer[9..12], field(&answer, "allow")), (status, allow), "{line}");
        assert_eq!(field(&answer, "cache-control"), Some("no-store"), "{line}");
    }
    let mut browser = Browser::new(&site).await;
    let huge = "x".repeat(20_000);
    for form in ["user=nobody", "", "user=", "ada", huge.as_str()] {
        let answer = browser.post("/_nightlatch/login", form).await;
        assert!(answer.starts_with("HTTP/1.1 400") && browser.cookies.is_empty(), "{answer}");
        browser = Browser::new(&site).await;
    }
    let evil = browser.post("/_nightlatch/login", "user=ada&return_to=https%3A%2F%2Fevil%2F").await;
    assert_eq!(field(&evil, "location"), Some("/"));
}

#[tokio::test]
async fn the_demonstration_answers_to_names_of_this_machine_only() {
    let (site, _time) = site().await;
    for (host, answered) in [
        ("localhost", "200"),
        ("LOCALHOST:8080", "200"),
        ("127.0.0.1:8080", "200"),
        ("[::1]:8080", "200"),
        ("rebound.evil.example:8080", "421"),
        ("localhost.evil.example", "421"),
        ("10.0.0.7", "421"),
    ] {
        let mut client = site.connect().await;
        client.send(&format!("GET /_nightlatch/login HTTP/1.1\nHost: {host}\n\n")).await;
        assert_eq!(&client.answer().await[9..12], answered, "{host}");
    }
}
