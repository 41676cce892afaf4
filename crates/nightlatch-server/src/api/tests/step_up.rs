//! Authenticating again: what it adds, what it leaves, and what needs it.

use super::House;
use serde_json::{Value, json};

impl House {
    async fn step_up(&self, id: &str, body: &Value) -> String {
        let path = format!("/v1/sessions/{id}/authentications");
        let answer = self.ask("POST", &path, "issuer", &body.to_string()).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.json()["token"].as_str().unwrap().to_owned()
    }

    /// Activity for a route of the application with sensitive ones.
    async fn check_route(&self, token: &str, route: &str) -> Value {
        let body = json!({ "token": token, "route": route, "app": "blotter" });
        self.ask("POST", "/v1/check", "checker", &body.to_string()).await.json()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn never_longer_a_step_up_adds_a_credential_and_moves_no_limit() {
    let house = House::new().await;
    let (id, old) = house.start("ada").await;
    let show = async || house.get(&format!("/v1/sessions/{id}"), "operator").await.json();
    let before = show().await;
    house.pass_minutes(10);
    let new = house.step_up(&id, &json!({ "acr": "phr", "amr": ["hwk"] })).await;
    assert!(new.starts_with("nlt_") && new != old);
    let after = show().await;
    for name in ["limits", "started", "last_activity", "acr"] {
        assert_eq!(after[name], before[name], "{name}");
    }
    assert_eq!(after["deadline"]["at"], before["deadline"]["at"]);
    assert_eq!(
        after["authentications"],
        json!([
            { "at": "2026-11-21T22:00:00.000Z", "acr": null, "presented": null, "replaced": null },
            { "at": "2026-11-21T22:10:00.000Z", "acr": "phr", "presented": null, "replaced": null },
        ])
    );
    let entries = house.get(&format!("/v1/ledger/entries?session={id}"), "auditor").await;
    assert_eq!(entries.json()["entries"][1]["entry"]["what"], "authentication_added");
    assert!(!entries.text.contains(&new));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_credential_ends_the_session_after_the_overlap_and_its_holder_is_told() {
    let house = House::new().await;
    let (id, old) = house.start("ada").await;
    let new = house.step_up(&id, &json!({})).await;
    house.pass_minutes(14);
    assert_eq!(house.check(&old, false).await["allow"], true, "the answer was lost");
    assert_eq!(house.check(&new, true).await["allow"], true, "a poll presents it as well");
    house.time.advance(29_999 * 1_000_000);
    assert_eq!(house.check(&old, false).await["allow"], true, "twenty at once");
    house.time.advance(1_000_000);
    let expected = json!({
        "allow": false, "reason": "credential_reuse", "ended_at": "2026-11-21T22:14:30.000Z", "session": id,
    });
    assert_eq!(house.check(&old, false).await, expected);
    assert_eq!(house.check(&new, false).await, expected);
    let metrics = house.get("/metrics", "").await.text;
    assert!(metrics.contains("nightlatch_sessions_ended_total{reason=\"credential_reuse\"} 1"), "{metrics}");
    let refused = house.ask("POST", &format!("/v1/sessions/{id}/authentications"), "issuer", "{}").await;
    assert_eq!((refused.status, &*refused.problem()), (409, "session-over"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_adds_nothing_to_the_session_of_another() {
    let house = House::new().await;
    let (id, _) = house.start("ada").await;
    let path = format!("/v1/sessions/{id}/authentications");
    let other = house.ask("POST", &path, "other-issuer", "{}").await;
    let nobody = house.ask("POST", "/v1/sessions/ses_0/authentications", "issuer", "{}").await;
    assert_eq!((other.status, &other.text), (404, &nobody.text));
    for (body, code) in [
        (r#"{"authenticated_at":"2026-11-21T22:00:06Z"}"#, "authenticated-in-the-future"),
        (r#"{"authenticated_at":"yesterday"}"#, "bad-field"),
        (r#"{"subject":"ada"}"#, "unknown-field"),
    ] {
        assert_eq!(house.ask("POST", &path, "issuer", body).await.problem(), code, "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sensitive_route_needs_a_fresh_authentication_and_the_session_goes_on_without() {
    let house = House::new().await;
    let (id, token) = house.start("ada").await;
    assert_eq!(house.check_route(&token, "POST /orders/17").await["allow"], true);
    house.pass_minutes(5);
    let denied = json!({ "allow": false, "reason": "insufficient_user_authentication", "max_age": 300, "session": id });
    for route in
        ["POST /orders/17", "post /orders/17", "POST /orders/17;v=1", "POST //orders/./17/", "WS /orders"]
    {
        assert_eq!(house.check_route(&token, route).await, denied, "{route}");
    }
    for route in ["GET /orders/17", "POST /elsewhere", "GET /orders"] {
        assert_eq!(house.check_route(&token, route).await["allow"], true, "{route}");
    }
    // All that match, the furthest named: how old it is, and of which kind.
    let new = house.step_up(&id, &json!({ "acr": "pwd" })).await;
    assert_eq!(house.check_route(&new, "POST /orders/17").await["allow"], true);
    let answer = house.check_route(&new, "POST /orders/large").await;
    assert_eq!((&answer["max_age"], &answer["acr_values"]), (&json!(480), &json!("phr")));
    house.step_up(&id, &json!({ "acr": "phr", "authenticated_at": "2026-11-21T22:01:00Z" })).await;
    assert_eq!(house.check_route(&new, "POST /orders/large").await["allow"], true);
    house.pass_minutes(4);
    assert_eq!(house.check_route(&new, "POST /orders/large").await["acr_values"], "phr");
    // A denial extends nothing: the last that counted was eight minutes after the start.
    house.pass_minutes(4);
    let shown = house.get(&format!("/v1/sessions/{id}"), "operator").await.json();
    assert_eq!(shown["last_activity"], "2026-11-21T22:05:00.000Z");
}

#[tokio::test(flavor = "multi_thread")]
async fn fail_closed_whether_a_route_is_sensitive_is_not_left_open() {
    let house = House::new().await;
    let (_, token) = house.start("ada").await;
    for route in
        [json!(null), json!("/orders/17"), json!("POST"), json!("POST /%2e%2e/orders"), json!("POST orders")]
    {
        let mut body = json!({ "token": token, "app": "blotter", "route": route });
        if route.is_null() {
            body.as_object_mut().unwrap().remove("route");
        }
        let answer = house.ask("POST", "/v1/check", "checker", &body.to_string()).await;
        assert_eq!(answer.problem(), "bad-field", "{route}");
    }
}
