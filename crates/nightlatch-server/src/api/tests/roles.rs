//! Who may do what: one row for each route.

use super::House;

/// Route, body, and the status that nobody, an issuer, a checker, an operator and an auditor get. Bodies and ids are such that whoever
/// may, is refused for another reason or gets a plain answer.
const TABLE: &str = "
    POST /v1/sessions {}                             401 400 403 403 403
    GET /v1/sessions -                               401 403 403 200 200
    GET /v1/sessions/ses_0 -                         401 403 403 404 404
    DELETE /v1/sessions/ses_0 -                      401 403 403 404 403
    POST /v1/sessions/ses_0/authentications {}       401 404 403 403 403
    POST /v1/sessions/end {}                         401 403 403 400 403
    PUT /v1/subjects/nobody/block {}                 401 403 403 404 403
    GET /v1/subjects/nobody/block -                  401 403 403 404 404
    DELETE /v1/subjects/nobody/block -               401 403 403 404 403
    GET /v1/blocks -                                 401 403 403 200 200
    POST /v1/check {}                                401 403 400 403 403
    GET /v1/events?after=x -                         401 403 403 403 400
    GET /v1/policy -                                 401 200 200 200 200
    GET /v1/ledger/entries -                         401 403 403 403 200
    GET /v1/ledger/entries/999 -                     401 403 403 403 404
    GET /v1/ledger/checkpoint -                      401 403 403 403 200
    GET /v1/ledger/key -                             401 403 403 403 200
    GET /v1/ledger/proof/inclusion?index=0&size=1 -  401 403 403 403 200
    GET /v1/ledger/proof/consistency?from=0&to=1 -   401 403 403 403 200
    GET /livez -                                     200 200 200 200 200
    GET /readyz -                                    200 200 200 200 200
    GET /readyz/enforcing -                          200 200 200 200 200
    GET /metrics -                                   200 200 200 200 200
    GET /openapi.json -                              200 200 200 200 200
    GET /v1/nothing -                                404 404 404 404 404
    PUT /v1/sessions -                               405 405 405 405 405
";

#[tokio::test(flavor = "multi_thread")]
async fn each_route_takes_its_roles_and_no_other() {
    let house = House::new().await;
    house.running.engine().ledger().checkpoint().unwrap();
    for row in TABLE.lines().map(str::trim).filter(|row| !row.is_empty()) {
        let [method, path, body, expected @ ..] = &row.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("{row}")
        };
        let body = if *body == "-" { "" } else { body };
        for (key, expected) in ["", "issuer", "checker", "operator", "auditor"].iter().zip(expected) {
            let answer = house.ask(method, path, key, body).await;
            assert_eq!(answer.status.to_string(), *expected, "{row} by `{key}`: {}", answer.text);
            match answer.status {
                401 => {
                    assert_eq!(answer.problem(), "no-key");
                    assert!(answer.headers["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
                }
                403 => {
                    assert_eq!(answer.problem(), "wrong-role");
                    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
                    assert!(detail.contains("; this needs `"), "{detail}");
                }
                _ => {}
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_of_the_description_is_in_the_table() {
    let house = House::new().await;
    let described = house.get("/openapi.json", "").await.json();
    for (path, methods) in described["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys().map(|method| method.to_uppercase()) {
            let path = path.replace("{id}", "ses_0").replace("{index}", "999").replace("{subject}", "nobody");
            let wanted = format!("{method} {path}");
            let listed = TABLE
                .lines()
                .map(str::trim)
                .any(|row| row.strip_prefix(&wanted).is_some_and(|rest| rest.starts_with([' ', '?'])));
            assert!(listed, "{wanted} is not in the table of roles");
        }
    }
}
