//! Blocking subjects.

use super::House;
use serde_json::{Value, json};

const ADA: &str = "/v1/subjects/ada%40desk.example%2Fuk/block";

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_subject_has_no_session_until_it_is_unblocked() {
    let house = House::new().await;
    let (one, token) = house.start("ada@desk.example/uk").await;
    let (_, other) = house.start("bob").await;
    let order = json!({ "cause": "phishing", "ticket": "INC-7" }).to_string();
    let answer = house.ask("PUT", ADA, "operator", &order).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let block = answer.json();
    assert_eq!(block["ended"], json!([one]));
    for (name, value) in [
        ("subject", "ada@desk.example/uk"),
        ("provider", "key:issuer"),
        ("at", "2026-11-21T22:00:00.000Z"),
        ("by", "key:operator"),
        ("cause", "phishing (ticket INC-7)"),
    ] {
        assert_eq!(block[name], value, "{name}");
    }
    assert_eq!(house.check(&token, true).await["reason"], "blocked");
    assert_eq!(house.check(&other, true).await["allow"], true);

    let start = json!({ "subject": "ada@desk.example/uk" }).to_string();
    let refused = house.ask("POST", "/v1/sessions", "issuer", &start).await;
    assert_eq!((refused.status, refused.problem().as_str()), (403, "subject-blocked"));
    // The same name of another provider is somebody else.
    house.start_by("other-issuer", &json!({ "subject": "ada@desk.example/uk" })).await;
    let page = house.get("/v1/blocks", "auditor").await.json();
    assert_eq!((page["blocks"].as_array().unwrap().len(), &page["next"]), (1, &Value::Null));
    let of = format!("{ADA}?provider=key:issuer");
    assert_eq!(house.get(&of, "auditor").await.json()["entry"], block["entry"]);

    // Again is harmless, and the first order stays on the record.
    house.pass_minutes(1);
    let again = json!({ "provider": "key:issuer", "cause": "again" }).to_string();
    let again = house.ask("PUT", ADA, "operator", &again).await.json();
    assert_eq!((&again["entry"], &again["cause"]), (&block["entry"], &block["cause"]));

    let lifted = house.ask("DELETE", &format!("{of}&ticket=INC-8"), "operator", "").await;
    assert_eq!(lifted.status, 200, "{}", lifted.text);
    assert_eq!(house.check(&token, true).await["reason"], "blocked", "what ended stays ended");
    house.start("ada@desk.example/uk").await;
    let twice = house.ask("DELETE", &of, "operator", "").await;
    assert_eq!((twice.status, twice.problem().as_str()), (404, "not-found"));
    let entries = house.get("/v1/ledger/entries?what=subject_unblocked", "auditor").await;
    assert_eq!(entries.json()["entries"][0]["entry"]["cause"], "ticket INC-8");
    assert!(!entries.text.contains("ada@desk"), "people are pseudonyms in the ledger");
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_name_it_is_must_be_clear() {
    let house = House::new().await;
    let put = |body: Value| {
        let house = &house;
        async move { house.ask("PUT", "/v1/subjects/eve/block", "operator", &body.to_string()).await }
    };
    assert_eq!(put(json!({})).await.problem(), "not-found", "who was never here");
    // Somebody who was never here can be kept out in advance.
    assert_eq!(put(json!({ "provider": "key:issuer" })).await.status, 200);
    let start = json!({ "subject": "eve" }).to_string();
    assert_eq!(house.ask("POST", "/v1/sessions", "issuer", &start).await.problem(), "subject-blocked");
    house.start_by("other-issuer", &json!({ "subject": "eve" })).await;
    let answer = put(json!({})).await;
    assert_eq!(answer.problem(), "ambiguous-subject");
    assert!(answer.text.contains("`key:issuer`, `key:other-issuer`"), "{}", answer.text);
    assert_eq!(put(json!({ "provder": "x" })).await.problem(), "unknown-field");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_blocks_is_paged() {
    let house = House::new().await;
    for number in 0..5 {
        let path = format!("/v1/subjects/user-{number}/block");
        house.ask("PUT", &path, "operator", r#"{"provider":"key:issuer"}"#).await;
    }
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = house.get(&format!("/v1/blocks?limit=2{after}"), "operator").await.json();
        for block in page["blocks"].as_array().unwrap() {
            seen.push(block["subject"].as_str().unwrap().to_owned());
        }
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    seen.sort();
    assert_eq!(seen, ["user-0", "user-1", "user-2", "user-3", "user-4"]);
}
