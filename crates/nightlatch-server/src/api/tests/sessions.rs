//! Starting, listing, showing and ending sessions.

use super::House;
use nightlatch_core::EndReason;
use nightlatch_engine::{Entry, Start, Tighter};
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn ids(page: &Value) -> BTreeSet<String> {
    page["sessions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|session| session["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_record_a_session_starts_with_what_was_sent() {
    let house = House::new().await;
    let body = json!({
        "subject": "lovelace", "groups": ["desk", "admins"], "app": "blotter", "kind": "agent", "acr": "loa2", "amr": ["otp"],
        "authenticated_at": "2026-11-21T22:59:00+01:00", "idle": "5m", "absolute": "8h",
    });
    let answer = house.ask("POST", "/v1/sessions", "issuer", &body.to_string()).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let started = answer.json();
    assert!(started["token"].as_str().unwrap().starts_with("nlt_"));
    assert_eq!(started["provider"], "key:issuer");
    // One minute passed since authentication; the hard end counts from there.
    let limits = json!({
        "idle_ms": 300_000, "idle_rule": "start_request", "absolute_ms": 28_800_000,
        "hard_end": "2026-11-22T05:59:00.000Z", "hard_end_rule": "start_request", "warning_ms": 120_000,
    });
    assert_eq!(started["limits"], limits);
    assert_eq!(
        started["deadline"],
        json!({ "at": "2026-11-21T22:05:00.000Z", "reason": "idle_timeout", "left_ms": 300_000 })
    );

    let id = started["id"].as_str().unwrap();
    let shown = house.get(&format!("/v1/sessions/{id}"), "operator").await.json();
    for (name, value) in
        [("subject", "lovelace"), ("kind", "agent"), ("app", "blotter"), ("acr", "loa2"), ("state", "live")]
    {
        assert_eq!(shown[name], value, "{name}");
    }
    assert_eq!(shown["groups"], json!(["desk", "admins"]));
    assert_eq!(shown["limits"], limits);
    let entries = house.get(&format!("/v1/ledger/entries?session={id}"), "auditor").await;
    assert_eq!(entries.json()["entries"][0]["entry"]["what"], "session_started");
    assert!(!entries.text.contains("lovelace"), "people are pseudonyms in the ledger");
    assert!(!entries.text.contains(started["token"].as_str().unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_somebody_signed_in_is_known_to_them_and_not_on_record() {
    let house = House::new().await;
    let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
    let body = json!({ "subject": "ada", "address": "203.0.113.7", "user_agent": agent });
    let (id, _) = house.start_by("issuer", &body).await;
    let session = house.engine().session_named(&id).unwrap();
    let device = house.engine().device(&session).unwrap();
    assert_eq!((device.address, device.words.as_str()), ("203.0.113.7".parse().ok(), "Firefox on Linux"));
    let entries = house.get(&format!("/v1/ledger/entries?session={id}"), "auditor").await;
    assert!(!entries.text.contains("203.0.113.7") && !entries.text.contains("Firefox"), "{}", entries.text);

    let (id, _) = house.start_by("issuer", &json!({ "subject": "ada" })).await;
    let session = house.engine().session_named(&id).unwrap();
    assert_eq!(house.engine().device(&session), None);
    let body = json!({ "subject": "ada", "address": "203.0.113.7:443" }).to_string();
    let answer = house.ask("POST", "/v1/sessions", "issuer", &body).await;
    assert_eq!((answer.status, answer.json()["code"].as_str()), (400, Some("bad-field")), "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn never_longer_limits_sent_along_cannot_loosen_the_policy() {
    let house = House::new().await;
    let (id, _) =
        house.start_by("issuer", &json!({ "subject": "ada", "idle": "1d", "absolute": "30d" })).await;
    let limits = house.get(&format!("/v1/sessions/{id}"), "auditor").await.json()["limits"].clone();
    assert_eq!((&limits["idle_ms"], &limits["absolute_ms"]), (&json!(900_000), &json!(43_200_000)));
    assert_eq!((&limits["idle_rule"], &limits["hard_end_rule"]), (&json!("policy"), &json!("policy")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_lives_in_the_namespace_of_its_key() {
    let house = House::new().await;
    let body = json!({ "subject": "ada" });
    let (one, _) = house.start_by("issuer", &body).await;
    let (other, _) = house.start_by("other-issuer", &body).await;
    let by_provider = |provider: &str| format!("/v1/sessions?subject=ada&provider={provider}");
    let page = house.get(&by_provider("key:issuer"), "operator").await.json();
    assert_eq!(ids(&page), BTreeSet::from([one.clone()]));

    // The same name is two subjects, and an order that does not say which is refused.
    let answer = house.ask("POST", "/v1/sessions/end", "operator", &body.to_string()).await;
    assert_eq!((answer.status, answer.problem().as_str()), (409, "ambiguous-subject"));
    let order = json!({ "subject": "ada", "provider": "key:other-issuer" });
    let ended = house.ask("POST", "/v1/sessions/end", "operator", &order.to_string()).await.json();
    assert_eq!(ended["ended"][0]["id"], *other);
    assert_eq!(house.get(&format!("/v1/sessions/{one}"), "operator").await.json()["state"], "live");
    // And one key's session cannot be continued by another's.
    let continued = json!({ "subject": "ada", "continues": one });
    let answer = house.ask("POST", "/v1/sessions", "other-issuer", &continued.to_string()).await;
    assert_eq!((answer.status, answer.problem().as_str()), (422, "cannot-continue"));
    house.start_by("issuer", &continued).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_filtered_and_paged() {
    let house = House::new().await;
    let mut all = BTreeSet::new();
    for number in 0..7 {
        all.insert(house.start(&format!("user-{}", number % 2)).await.0);
    }
    let mut seen = BTreeSet::new();
    let mut after = String::new();
    for _ in 0..4 {
        let page = house.get(&format!("/v1/sessions?limit=2{after}"), "auditor").await.json();
        assert!(page["sessions"].as_array().unwrap().len() <= 2);
        seen.extend(ids(&page));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen, all);
    assert_eq!(ids(&house.get("/v1/sessions?subject=user-1", "auditor").await.json()).len(), 3);
    let first = all.first().unwrap();
    house.ask("DELETE", &format!("/v1/sessions/{first}"), "operator", "").await;
    let ended = house.get("/v1/sessions?state=ended", "auditor").await.json();
    assert_eq!(ids(&ended), BTreeSet::from([first.clone()]));
    assert_eq!(ids(&house.get("/v1/sessions?state=live", "auditor").await.json()).len(), 6);
    // What is due is over, whether or not a timer has come to it.
    house.pass_minutes(15);
    assert_eq!(ids(&house.get("/v1/sessions?state=live", "auditor").await.json()).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_record_an_end_is_durable_when_it_is_answered() {
    let house = House::new().await;
    let (id, token) = house.start("ada").await;
    let path = format!("/v1/sessions/{id}?cause=lost%20laptop&ticket=INC-1");
    let answer = house.ask("DELETE", &path, "operator", "").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json()["end"]["reason"], "revoked");
    let ledger = house.engine().ledger();
    let told =
        ledger.iter_from(0).map(|entry| Entry::from_bytes(&entry.unwrap().payload).unwrap()).any(|entry| {
            matches!(&entry, Entry::SessionEnded(ended) if ended.session == id && ended.by == "key:operator"
            && ended.cause.as_deref() == Some("lost laptop (ticket INC-1)"))
        });
    assert!(told);
    assert_eq!(house.check(&token, false).await["reason"], "revoked");
    // Again is harmless, and the first end stays.
    house.pass_minutes(1);
    let again = house.ask("DELETE", &path, "operator", "").await.json();
    assert_eq!(again["end"]["at"], "2026-11-21T22:00:00.000Z");
    let shown = house.get(&format!("/v1/sessions/{id}"), "operator").await.json();
    assert_eq!(shown["end"]["by"], "key:operator");
    assert_eq!(shown["refused"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_would_end_and_ends_nothing() {
    let house = House::new().await;
    let (one, token) = house.start("ada").await;
    let (other, _) = house.start("ada").await;
    let order =
        |dry_run: bool| json!({ "subject": "ada", "cause": "phishing", "dry_run": dry_run }).to_string();
    let dry = house.ask("POST", "/v1/sessions/end", "operator", &order(true)).await.json();
    assert_eq!((dry["dry_run"].clone(), dry["ended"].as_array().unwrap().len()), (json!(true), 2));
    assert_eq!(house.check(&token, true).await["allow"], true);

    let done = house.ask("POST", "/v1/sessions/end", "operator", &order(false)).await.json();
    let ended: BTreeSet<&str> =
        done["ended"].as_array().unwrap().iter().map(|session| session["id"].as_str().unwrap()).collect();
    assert_eq!(ended, BTreeSet::from([one.as_str(), other.as_str()]));
    assert_eq!(house.check(&token, true).await["reason"], "revoked");
    let again = house.ask("POST", "/v1/sessions/end", "operator", &order(false)).await.json();
    assert_eq!(
        (again["ended"].as_array().unwrap().len(), again["already_ended"].as_array().unwrap().len()),
        (0, 2)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_that_name_nothing_are_told_apart_from_those_that_do() {
    let house = House::new().await;
    let (one, _) = house.start("ada").await;
    let unknown = format!("ses_{}", "0".repeat(32));
    let order = json!({ "ids": [one, unknown, "nonsense", one] });
    let done = house.ask("POST", "/v1/sessions/end", "operator", &order.to_string()).await.json();
    assert_eq!(done["ended"].as_array().unwrap().len(), 1);
    assert_eq!(done["unknown"], json!(["nonsense", unknown]));
    // One that is no id is answered like one that nobody has.
    let answers = [
        house.get(&format!("/v1/sessions/{unknown}"), "auditor").await,
        house.get("/v1/sessions/%2e%2e%2f", "auditor").await,
    ];
    assert_eq!(answers[0].text, answers[1].text);
    assert_eq!(answers[0].problem(), "not-found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_forgotten_is_shown_from_the_ledger() {
    let house = House::new().await;
    let (id, _) = house.start("ada").await;
    house.ask("DELETE", &format!("/v1/sessions/{id}?ticket=INC-1"), "operator", "").await;
    house.pass_minutes(25 * 60);
    house.engine().upkeep();
    assert!(house.engine().session_named(&id).is_none(), "the engine forgets after a day");
    let shown = house.get(&format!("/v1/sessions/{id}"), "auditor").await;
    assert_eq!(shown.status, 200, "{}", shown.text);
    let shown = shown.json();
    assert_eq!((&shown["state"], &shown["subject"]), (&json!("ended"), &json!("ada")));
    assert_eq!(
        (&shown["end"]["reason"], &shown["end"]["cause"]),
        (&json!("revoked"), &json!("ticket INC-1"))
    );
    assert_eq!(shown["limits"]["idle_ms"], 900_000);
    assert_eq!(shown["open"], json!(null), "what was only in memory is not made up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_names_its_parent() {
    let house = House::new().await;
    let (id, _) = house.start("ada").await;
    let parent = house.engine().session_named(&id).unwrap();
    let start = Start {
        subject: parent.facts.who.subject.clone(),
        kind: nightlatch_core::Kind::Agent,
        groups: Vec::new(),
        app: None,
        acr: None,
        authenticated: None,
        continues: None,
        provider_session: None,
        parent: Some(parent.facts.id),
        tighter: Tighter::default(),
        cause: "lease",
    };
    let (lease, _) = house.engine().start(start).unwrap().known(house.engine()).await;
    let shown = house.get(&format!("/v1/sessions/{}", lease.facts.id), "auditor").await.json();
    assert_eq!(shown["parent"], *id);
    house.ask("DELETE", &format!("/v1/sessions/{id}"), "operator", "").await;
    let shown = house.get(&format!("/v1/sessions/{}", lease.facts.id), "auditor").await.json();
    assert_eq!(shown["end"]["reason"], EndReason::ParentEnded.code());
}
