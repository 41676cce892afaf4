//! Asking about a credential.

use super::House;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn never_late_the_answer_turns_at_the_deadline() {
    let house = House::new().await;
    let (id, token) = house.start("ada").await;
    house.pass_minutes(10);
    let answer = house.check(&token, true).await;
    assert_eq!(answer["deadline_ms_left"], 300_000, "passive traffic extends nothing");
    let answer = house.check(&token, false).await;
    let expected = json!({
        "allow": true, "session": id, "subject": "ada", "provider": "key:issuer", "groups": [],
        "deadline_ms_left": 900_000, "deadline_reason": "idle_timeout",
    });
    assert_eq!(answer, expected);
    house.time.advance(15 * super::MINUTE_NANOS - 1_000_000);
    assert_eq!(house.check(&token, true).await["allow"], true, "one millisecond before");
    house.time.advance(1_000_000);
    let answer = house.check(&token, false).await;
    let expected = json!({ "allow": false, "reason": "idle_timeout", "ended_at": "2026-11-21T22:25:00.000Z", "session": id });
    assert_eq!(answer, expected, "at the deadline");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_names_no_session_learns_nothing() {
    let house = House::new().await;
    let (id, token) = house.start("ada").await;
    let wrong = token.replace(&token[4..8], "AAAA");
    for token in [
        wrong.as_str(),
        "nlt_",
        "x",
        &id,
        &token.to_uppercase(),
        &format!("{token} "),
        "' OR 1=1",
        &"a".repeat(900),
    ] {
        assert_eq!(house.check(token, false).await, json!({ "allow": false }), "{token}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_held_open_by_an_answer() {
    let house = House::new().await;
    let (id, token) = house.start("ada").await;
    house.check(&token, true).await;
    let shown = house.get(&format!("/v1/sessions/{id}"), "operator").await.json();
    assert_eq!((&shown["open"], &shown["passive"]), (&json!(0), &json!(1)));
}
