//! What is sent wrong is refused with its place named, and nothing breaks or leaks.

use super::{House, secret};
use axum::body::Body;
use http::header;
use serde_json::json;

/// Method, path, key, body, and the code of the problem. `~` in a body stands for a space.
const TABLE: &str = r#"
    POST /v1/sessions issuer {"subject":"ada","admin":true}                            unknown-field
    POST /v1/sessions issuer {"subject":""}                                            bad-field
    POST /v1/sessions issuer {"subject":["ada"]}                                       bad-field
    POST /v1/sessions issuer {"subject":"a\u0000b"}                                    bad-field
    POST /v1/sessions issuer {"subject":"ada","groups":"desk"}                         bad-field
    POST /v1/sessions issuer {"subject":"ada","kind":"robot"}                          bad-field
    POST /v1/sessions issuer {"subject":"ada","idle":"15"}                             bad-field
    POST /v1/sessions issuer {"subject":"ada","idle":"0s"}                             bad-field
    POST /v1/sessions issuer {"subject":"ada","absolute":"-1h"}                        bad-field
    POST /v1/sessions issuer {"subject":"ada","authenticated_at":"yesterday"}          bad-field
    POST /v1/sessions issuer {"subject":"ada","authenticated_at":"2026-11-21T22:00"}   bad-field
    POST /v1/sessions issuer {"subject":"ada","authenticated_at":1795298400000}        bad-field
    POST /v1/sessions issuer {"subject":"ada","authenticated_at":"2026-11-21T22:00:06Z"} authenticated-in-the-future
    POST /v1/sessions issuer {"subject":"ada","authenticated_at":"2026-11-21T09:59:59Z"} authentication-too-old
    POST /v1/sessions issuer {"subject":"ada","continues":"ses_0"}                     cannot-continue
    POST /v1/sessions issuer {"subject":"ada","subject":"bob"}                         bad-json
    POST /v1/sessions issuer {"subject":"ada"}}                                        bad-json
    POST /v1/sessions issuer nonsense                                                  bad-json
    POST /v1/sessions issuer []                                                        bad-json
    POST /v1/sessions/end operator {}                                                  bad-field
    POST /v1/sessions/end operator {"subject":"ada","ids":[]}                          bad-field
    POST /v1/sessions/end operator {"ids":[7]}                                         bad-field
    POST /v1/sessions/end operator {"subject":"ada","dry_run":"true"}                  bad-field
    POST /v1/sessions/end operator {"subject":"ada","dry-run":true}                    unknown-field
    POST /v1/check checker {"passive":true}                                            bad-field
    POST /v1/check checker {"token":7}                                                 bad-field
    GET /v1/sessions?state=dead operator -                                             bad-query
    GET /v1/sessions?stat=live operator -                                              bad-query
    GET /v1/sessions?state=live&state=live operator -                                  bad-query
    GET /v1/sessions?limit=0 operator -                                                bad-query
    GET /v1/sessions?limit=1001 operator -                                             bad-query
    GET /v1/sessions?limit=-1 operator -                                               bad-query
    GET /v1/sessions?limit=99999999999999999999999 operator -                          bad-query
    GET /v1/sessions?after=x operator -                                                bad-query
    GET /v1/sessions?subject= operator -                                               bad-query
    GET /v1/sessions?subject=%00 operator -                                            bad-query
    GET /v1/sessions/%00 operator -                                                    not-found
    GET /v1/sessions/%ff operator -                                                    not-found
    DELETE /v1/sessions/%ff operator -                                                 not-found
    GET /v1/ledger/entries/%ff auditor -                                               not-found
    GET /v1/sessions?%ff=%ff operator -                                                bad-query
    GET /v1/sessions/ses_ operator -                                                   not-found
    DELETE /v1/sessions/ses_x?reason=fun operator -                                    bad-query
    GET /v1/ledger/entries/-1 auditor -                                                not-found
    GET /v1/ledger/entries/18446744073709551615 auditor -                              not-found
    GET /v1/ledger/entries?from=x auditor -                                            bad-query
    GET /v1/ledger/proof/inclusion auditor -                                           bad-query
    GET /v1/ledger/proof/inclusion?index=0&size=0 auditor -                            nothing-to-prove
    GET /v1/ledger/proof/inclusion?index=0&size=18446744073709551615 auditor -         nothing-to-prove
    GET /v1/ledger/proof/consistency?from=9&to=1 auditor -                             nothing-to-prove
    GET /v1/ledger/proof/consistency?from=1&to=999 auditor -                           nothing-to-prove
    GET /v1/events?from=x auditor -                                                    bad-query
    GET /v1/events?follow=1 auditor -                                                  bad-query
"#;

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_refused_by_the_table() {
    let house = House::new().await;
    for row in TABLE.lines().map(str::trim).filter(|row| !row.is_empty()) {
        let [method, path, key, body, expected] = row.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("five words a row: {row}")
        };
        let answer = house.ask(method, path, key, if body == "-" { "" } else { body }).await;
        assert_eq!(answer.problem(), expected, "{row}: {}", answer.text);
    }
    assert_eq!(house.engine().ledger().durable(), 1, "nothing of it was recorded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misspelt_field_gets_the_nearest_known_one() {
    let house = House::new().await;
    let answer =
        house.ask("POST", "/v1/sessions", "issuer", r#"{"subject":"ada","authenticatd_at":"x"}"#).await;
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert_eq!(detail, "`authenticatd_at` is not a field here; did you mean `authenticated_at`?");
    let answer = house.get("/v1/ledger/entries?sesion=x", "auditor").await;
    assert!(answer.json()["detail"].as_str().unwrap().contains("did you mean `session`?"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_or_not_json_is_refused() {
    let house = House::new().await;
    let large = json!({ "subject": "ada", "app": "x".repeat(70_000) }).to_string();
    let answer = house.ask("POST", "/v1/sessions", "issuer", &large).await;
    assert_eq!((answer.status, answer.problem().as_str()), (413, "too-large"));
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""] {
        let mut request = house.request("POST", "/v1/sessions", "issuer", r#"{"subject":"ada"}"#);
        request.headers_mut().insert(header::CONTENT_TYPE, kind.parse().unwrap());
        let answer = house.send(request).await;
        assert_eq!((answer.status, answer.problem().as_str()), (415, "not-json"), "{kind}");
    }
    let mut request = house.request("POST", "/v1/sessions", "issuer", r#"{"subject":"ada"}"#);
    request.headers_mut().insert(header::CONTENT_TYPE, "application/json; charset=utf-8".parse().unwrap());
    assert_eq!(house.send(request).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_text_are_refused() {
    let house = House::new().await;
    for bytes in [&b"\xff\xfe"[..], b"{\"subject\":\"\xff\"}", b"\0", &[b'['; 60_000]] {
        let mut request = house.request("POST", "/v1/sessions", "issuer", "x");
        *request.body_mut() = Body::from(bytes.to_vec());
        assert_eq!(house.send(request).await.problem(), "bad-json");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_not_ours_is_refused_before_anything_else() {
    let house = House::new().await;
    let port = house.address.port();
    let rows = [
        (format!("localhost:{port}"), 200),
        (format!("127.0.0.1:{port}"), 200),
        (format!("[::1]:{port}"), 200),
        ("evil.example".to_owned(), 421),
        (format!("evil.example:{port}"), 421),
        (format!("10.1.2.3:{port}"), 421),
        ("localhost.evil.example".to_owned(), 421),
    ];
    for (host, expected) in rows {
        let mut request = house.request("GET", "/v1/policy", "auditor", "");
        request.headers_mut().insert(header::HOST, host.parse().unwrap());
        assert_eq!(house.send(request).await.status, expected, "{host}");
    }
    let mut request = house.request("GET", "/livez", "", "");
    request.headers_mut().append(header::HOST, "evil.example".parse().unwrap());
    assert_eq!(house.send(request).await.problem(), "wrong-host", "two of them");
    let mut request = house.request("GET", "/livez", "", "");
    request.headers_mut().remove(header::HOST);
    assert_eq!(house.send(request).await.problem(), "wrong-host", "none at all");
    let mut probe = house.request("GET", "/livez", "", "");
    probe.headers_mut().remove(header::HOST);
    *probe.version_mut() = http::Version::HTTP_10;
    assert_eq!(house.send(probe).await.status, 200, "a simple probe");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_wrong_is_not_repeated() {
    let house = House::new().await;
    let almost = secret("auditor").replace("9-0", "9-1");
    for value in [format!("Bearer {almost}"), "Bearer".to_owned(), format!("Basic {}", secret("auditor"))] {
        let mut request = house.request("GET", "/v1/policy", "", "");
        request.headers_mut().insert(header::AUTHORIZATION, value.parse().unwrap());
        let answer = house.send(request).await;
        assert_eq!((answer.status, answer.problem().as_str()), (401, "no-key"));
        assert!(!answer.text.contains("the-secret-of"));
    }
}
