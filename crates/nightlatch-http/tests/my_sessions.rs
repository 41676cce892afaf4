//! My sessions: where somebody is signed in, and the end of one or of all others.

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
use nightlatch_core::{EndReason, Kind, Subject};
use nightlatch_engine::{Entry, ManualTime, SessionEnded, Start, Tighter};
use nightlatch_http::{DemoUser, Settings};
use serde_json::{Value, json};
use std::sync::Arc;

const WINDOWS: &str =
    "User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0\n";
const PHONE: &str = "User-Agent: Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1\n";
const HERE: &str = "/_nightlatch/sessions";

async fn site() -> (Site, Arc<ManualTime>) {
    let (upstream, _noted) = recording(|_| OK.to_owned()).await;
    let user = |name: &str| DemoUser { name: name.into(), display: name.into(), groups: Vec::new() };
    let settings = Settings { demo_users: vec![user("ada"), user("bob")], ..Settings::default() };
    let time = Arc::new(ManualTime::new(1_800_000_000_000_000_000));
    (Site::made(Making { settings, time: Box::new(Arc::clone(&time)), ..Making::new(upstream) }).await, time)
}

async fn signed_in(site: &Site, name: &str, says: &str) -> Browser {
    let mut browser = Browser { says: says.to_owned(), ..Browser::new(site).await };
    let mut answer = browser.sign_in(name).await;
    // Time that is set forward by hand may make a flush that is under way look as if it took that long: nothing starts until it is done.
    while answer.starts_with("HTTP/1.1 503") {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        answer = browser.sign_in(name).await;
    }
    assert!(answer.starts_with("HTTP/1.1 303"), "{answer}");
    browser
}

fn id(browser: &Browser, site: &Site) -> String {
    browser.session(site).facts.id.to_string()
}

/// The entry of a session's end.
async fn end_of(site: &Site, session: &str) -> SessionEnded {
    let ends = site.entries(1, |entry| matches!(entry, Entry::SessionEnded(_))).await;
    let found = ends.into_iter().find(|entry| entry.session() == Some(session));
    let Some(Entry::SessionEnded(end)) = found else { panic!("{session} has no end on record") };
    end
}

fn pass(time: &ManualTime, secs: u64) {
    time.advance(secs * 1_000_000_000);
}

#[tokio::test]
async fn a_person_sees_where_they_are_signed_in_and_nothing_of_anybody_else() {
    let (site, time) = site().await;
    let mut here = signed_in(&site, "ada", WINDOWS).await;
    pass(&time, 130);
    let there = signed_in(&site, "ada", PHONE).await;
    let bob = signed_in(&site, "bob", WINDOWS).await;
    let page = here.open(HERE).await;
    assert!(page.starts_with("HTTP/1.1 200") && field(&page, "cache-control") == Some("no-store"), "{page}");
    let (first, second) = (page.find("Firefox on Windows").unwrap(), page.find("Safari on iPhone").unwrap());
    assert!(first < second, "this one first");
    assert_eq!(page.matches("This session").count(), 1);
    assert_eq!(page.matches("127.0.0.1").count(), 2);
    assert!(page.contains("2 minutes ago</time>"), "{page}");
    assert!(page.contains("in 10 minutes</time>, unless something happens there"), "{page}");
    assert!(page.contains(&id(&there, &site)) && !page.contains(&id(&bob, &site)));
    for browser in [&here, &there, &bob] {
        assert!(!page.contains(&browser.cookies["nightlatch-loopback"]), "no credential");
    }

    let list = json(&here.fetch(&format!("GET {HERE}")).await);
    assert_eq!(
        list,
        json!({ "more": 0, "sessions": [
            { "id": id(&here, &site), "here": true, "device": "Firefox on Windows", "address": "127.0.0.1",
              "signed_in_ago_ms": 130_000, "last_activity_ago_ms": 0, "ends_in_ms": 600_000, "deadline_reason": "idle_timeout" },
            { "id": id(&there, &site), "here": false, "device": "Safari on iPhone", "address": "127.0.0.1",
              "signed_in_ago_ms": 0, "last_activity_ago_ms": 0, "ends_in_ms": 600_000, "deadline_reason": "idle_timeout" },
        ]})
    );
}

#[tokio::test]
async fn looking_counts_where_a_person_came_here_and_nowhere_else() {
    let (site, time) = site().await;
    let mut here = signed_in(&site, "ada", WINDOWS).await;
    let session = here.session(&site);
    let began = session.last_activity();
    pass(&time, 60);
    here.fetch(&format!("GET {HERE}")).await;
    let reload = "Sec-Fetch-Dest: document\nSec-Fetch-Mode: navigate\n";
    assert!(here.ask(&format!("GET {HERE}"), reload, "").await.starts_with("HTTP/1.1 200"));
    assert_eq!(session.last_activity(), began, "a page that reloads itself keeps nobody signed in");
    here.open(HERE).await;
    assert_eq!(session.last_activity().since(began).as_millis(), 60_000);
}

#[tokio::test]
async fn one_session_is_ended_from_another_and_the_record_says_from_which() {
    let (site, _time) = site().await;
    let mut here = signed_in(&site, "ada", WINDOWS).await;
    let mut there = signed_in(&site, "ada", PHONE).await;
    let (own, other) = (id(&here, &site), id(&there, &site));
    let answer = here.post(HERE, &format!("session={other}")).await;
    let location = field(&answer, "location").unwrap().to_owned();
    assert_eq!(location, format!("{HERE}?ended={other}"));
    let end = end_of(&site, &other).await;
    let cause = format!("by the user from session {own}");
    assert_eq!((end.reason.as_str(), end.by.as_str(), end.cause), ("logout", "user", Some(cause)));
    let page = here.open(&location).await;
    assert!(
        page.contains("Signed out there: Safari on iPhone.") && !page.contains("Everywhere else"),
        "{page}"
    );
    assert!(
        here.post(HERE, &format!("session={other}")).await.starts_with("HTTP/1.1 303"),
        "twice is as good as once"
    );

    let told = there.fetch("GET /orders").await;
    assert!(told.starts_with("HTTP/1.1 401"), "{told}");
    assert_eq!(json(&told)["reason"], "logout");
    let page = there.open("/_nightlatch/login").await;
    assert!(page.contains("This session was signed out, here or from another of your sessions."), "{page}");
    assert!(here.session(&site).end().is_none());
}

#[tokio::test]
async fn nobody_ends_or_learns_of_what_is_not_theirs() {
    let (site, _time) = site().await;
    let mut here = signed_in(&site, "ada", WINDOWS).await;
    let bob = signed_in(&site, "bob", PHONE).await;
    let bobs = id(&bob, &site);
    let mut gone = signed_in(&site, "bob", PHONE).await;
    let bobs_ended = id(&gone, &site);
    gone.post("/_nightlatch/logout", "").await;
    assert_eq!(end_of(&site, &bobs_ended).await.reason, "logout");
    // The same name, vouched for by somebody else, is another subject.
    let start = Start {
        subject: Subject { provider: "another".into(), name: "ada".into() },
        kind: Kind::Person,
        groups: Vec::new(),
        app: None,
        acr: None,
        authenticated: None,
        continues: None,
        provider_session: None,
        parent: None,
        tighter: Tighter::default(),
        cause: "test",
    };
    let (namesake, _) = site.engine().start(start).unwrap().known(site.engine()).await;
    let unknown = "ses_00000000000000000000000000000000".to_owned();
    let refusal = |answer: String| answer.split_once("\r\n\r\n").unwrap().1.to_owned();
    let expected = refusal(here.post(HERE, &format!("session={unknown}")).await);
    for named in
        [bobs.clone(), bobs_ended.clone(), namesake.facts.id.to_string(), String::new(), "..%2f".to_owned()]
    {
        let answer = here.post(HERE, &format!("session={named}")).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
        assert_eq!(refusal(answer), expected, "{named}: the same as of one that there is not");
    }
    assert!(here.post(HERE, "sessions=all").await.starts_with("HTTP/1.1 400"));
    assert!(here.post(HERE, "session=others").await.starts_with("HTTP/1.1 303"));
    assert!(bob.session(&site).end().is_none() && namesake.end().is_none());
    // A link that says that something was done says nothing that is not so.
    for made_up in [bobs, bobs_ended, unknown, "others%22%3E".to_owned()] {
        let page = here.open(&format!("{HERE}?ended={made_up}")).await;
        assert!(page.starts_with("HTTP/1.1 200") && !page.contains("role=\"status\""), "{page}");
    }
}

#[tokio::test]
async fn a_foreign_page_or_one_without_an_origin_ends_nothing() {
    let (site, _time) = site().await;
    let mut here = signed_in(&site, "ada", WINDOWS).await;
    let there = signed_in(&site, "ada", PHONE).await;
    let body = format!("session={}", id(&there, &site));
    for origin in [
        "Origin: http://evil.example\n",
        "Origin: null\n",
        "",
        "Origin: http://localhost\nOrigin: http://localhost\n",
    ] {
        let answer = here.ask(&format!("POST {HERE}"), origin, &body).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{origin}: {answer}");
    }
    assert!(there.session(&site).end().is_none());
    assert!(
        here.ask(&format!("PUT {HERE}"), "Origin: http://localhost\nContent-Length: 0\n", "")
            .await
            .starts_with("HTTP/1.1 405")
    );
}

#[tokio::test]
async fn all_others_end_after_a_fresh_sign_in_and_not_without() {
    let (site, time) = site().await;
    let mut here = signed_in(&site, "ada", WINDOWS).await;
    pass(&time, 301);
    let there = signed_in(&site, "ada", PHONE).await;
    let page = here.open(HERE).await;
    assert!(page.contains("needs a sign-in of the last 5 minutes, and yours was"), "{page}");
    assert!(!page.contains("value=\"others\""));
    let answer = here.fetch_with(&format!("POST {HERE}"), "session=others").await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert_eq!(
        field(&answer, "www-authenticate"),
        Some("Bearer error=\"insufficient_user_authentication\", max_age=\"300\"")
    );
    assert_eq!(json(&answer)["type"], "urn:nightlatch:problem:insufficient-user-authentication");
    assert_eq!(field(&here.post(HERE, "session=others").await, "location"), Some(HERE));
    assert!(there.session(&site).end().is_none());

    let answer = here.post("/_nightlatch/login", "user=ada&return_to=%2F_nightlatch%2Fsessions").await;
    assert_eq!(field(&answer, "location"), Some(HERE), "back to where this was asked for");
    let answer = here.post(HERE, "session=others").await;
    let location = field(&answer, "location").unwrap().to_owned();
    assert_eq!(there.session(&site).end().map(|end| (end.reason, end.told)), Some((EndReason::Logout, true)));
    assert!(here.open(&location).await.contains("You are signed out everywhere else."));
    let list = json(&here.fetch(&format!("GET {HERE}")).await);
    assert_eq!(list["sessions"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_program_is_told_what_it_ended_and_a_lease_may_not() {
    let (site, _time) = site().await;
    let token = site.sign_in("ada").await;
    let own = site.session(&token);
    let other = site.sign_in("ada").await;
    let bearer = |token: &nightlatch_engine::Token| format!("Authorization: Bearer {}\n", token.reveal());
    let mut program = Browser { says: bearer(&token), ..Browser::new(&site).await };
    let list = json(&program.ask(&format!("GET {HERE}"), "", "").await);
    assert_eq!(
        list["sessions"][0]["device"],
        Value::Null,
        "where a session that was not signed in to here came from is not known"
    );
    let answer =
        program.ask(&format!("POST {HERE}"), "", &format!("session={}", site.session(&other).facts.id)).await;
    assert_eq!(json(&answer), json!({ "ended": [site.session(&other).facts.id.to_string()] }));

    let start = Start {
        subject: own.facts.who.subject.clone(),
        kind: Kind::Agent,
        groups: Vec::new(),
        app: None,
        acr: None,
        authenticated: None,
        continues: None,
        provider_session: None,
        parent: Some(own.facts.id),
        tighter: Tighter::default(),
        cause: "test",
    };
    let (lease, lease_token) = site.engine().start(start).unwrap().known(site.engine()).await;
    let mut worker = Browser { says: bearer(&lease_token), ..Browser::new(&site).await };
    for (line, body) in [(format!("GET {HERE}"), ""), (format!("POST {HERE}"), "session=others")] {
        let answer = worker.ask(&line, "", body).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
        assert_eq!(json(&answer)["type"], "urn:nightlatch:problem:not-a-sign-in");
    }
    assert!(own.end().is_none() && lease.end().is_none());
}

#[tokio::test]
async fn whoever_is_not_signed_in_is_sent_to_the_sign_in_and_back() {
    let (site, time) = site().await;
    let mut nobody = Browser::new(&site).await;
    let answer = nobody.open(HERE).await;
    assert_eq!(field(&answer, "location"), Some("/_nightlatch/login?return_to=/_nightlatch/sessions"));
    assert!(nobody.fetch(&format!("GET {HERE}")).await.starts_with("HTTP/1.1 401"));
    let mut ada = signed_in(&site, "ada", WINDOWS).await;
    pass(&time, 600);
    assert_eq!(json(&ada.fetch(&format!("GET {HERE}")).await)["reason"], "idle_timeout");
}
