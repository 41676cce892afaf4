use proptest::prelude::*;

use super::*;

fn pattern(text: &str) -> RoutePattern {
    RoutePattern::parse(text).unwrap_or_else(|error| panic!("`{text}`: {error}"))
}

/// A request written as the patterns are; `WS` is a GET with the upgrade.
fn with_request<T>(text: &str, then: impl FnOnce(RouteRequest<'_>) -> T) -> T {
    let (method, path) = text.split_once(' ').unwrap();
    let websocket = method == "WS";
    let method: Method = if websocket { Method::GET } else { method.parse().unwrap() };
    let path = CanonicalPath::parse(path.as_bytes()).unwrap();
    then(RouteRequest { method: &method, websocket, path: &path })
}

#[test]
fn pattern_against_request() {
    for (text, request, grant, restrict) in [
        ("GET /healthz", "GET /healthz", true, true),
        ("GET /healthz", "HEAD /healthz", true, true),
        ("GET /healthz", "POST /healthz", false, false),
        ("GET /healthz", "GET /healthz/x", false, false),
        ("GET /healthz", "GET /", false, false),
        ("GET /healthz", "GET //x/..//%68ealthz", true, true),
        ("HEAD /healthz", "GET /healthz", false, false),
        ("GET /", "GET /", true, true),
        ("GET /", "GET /x", false, false),
        // one segment
        ("GET /orders/*", "GET /orders/1", true, true),
        ("GET /orders/*", "GET /orders", false, false),
        ("GET /orders/*", "GET /orders/", false, false),
        ("GET /orders/*", "GET /orders/1/2", false, false),
        ("GET /*/status", "GET /orders/status", true, true),
        // any depth
        ("GET /assets/**", "GET /assets", true, true),
        ("GET /assets/**", "GET /assets/", true, true),
        ("GET /assets/**", "GET /assets/a/b.js", true, true),
        ("GET /assets/**", "GET /assetsx/a", false, false),
        ("GET /**", "GET /", true, true),
        ("/**", "DELETE /a/b", true, true),
        ("/**/status", "GET /status", true, true),
        ("/**/status", "GET /a/b/status", true, true),
        ("/**/status", "GET /a/b/status/c", false, false),
        ("/a/**/z", "GET /a/z", true, true),
        ("/a/**/z", "GET /a", false, false),
        ("/a/**/a", "GET /a", false, false),
        ("/a/**/*/z", "GET /a/z", false, false),
        // methods
        ("* /x", "PROPFIND /x", true, true),
        ("/x", "WS /x", true, true),
        ("WS /ws/orders", "WS /ws/orders", true, true),
        ("WS /ws/orders", "GET /ws/orders", false, false),
        // doubts
        ("GET /x", "WS /x", false, true),
        ("POST /x", "post /x", false, true),
        ("GET /x", "head /x", false, true),
        ("POST /orders", "POST /orders/", false, true),
        ("POST /orders/", "POST /orders", false, true),
        ("POST /orders/", "POST /orders/", true, true),
        ("POST /orders/**", "POST /orders;v=1/5", false, true),
        ("POST /orders/**", "POST /orders%3Bv=1/5", false, true),
        ("GET /assets/**", "GET /assets/a;b.js", true, true),
        ("GET /a;b", "GET /a;b", true, true),
        // canonical words
        ("GET /b\u{fc}cher", "GET /b%c3%bccher", true, true),
        ("GET /%61", "GET /a", true, true),
        ("GET /%2A", "GET /*", true, true),
        ("GET /%2A", "GET /x", false, false),
    ] {
        let pattern = pattern(text);
        let found = with_request(request, |r| {
            (pattern.matches(r, Reading::Grant), pattern.matches(r, Reading::Restrict))
        });
        assert_eq!(found, (grant, restrict), "{text} against {request}");
    }
}

#[test]
fn written_as_recorded() {
    for (text, expected) in [
        ("GET /healthz", "GET /healthz"),
        ("  GET \t /orders/**  ", "GET /orders/**"),
        ("/orders/*/lines/", "* /orders/*/lines/"),
        ("* /", "* /"),
        ("WS /ws/**/x", "WS /ws/**/x"),
        ("GET /b\u{fc}cher/%2a%2A", "GET /b%C3%BCcher/%2A%2A"),
    ] {
        assert_eq!(pattern(text).to_string(), expected);
        assert_eq!(pattern(expected), pattern(text));
    }
}

#[test]
fn mistakes_have_a_place() {
    for (text, expected) in [
        ("", "NoPath { at: 0 }"),
        ("GET", "NoPath { at: 0 }"),
        ("GET ", "NoPath { at: 0 }"),
        ("GET  orders", "NoPath { at: 5 }"),
        ("get /orders", "Method { found: \"get\", at: 0 }"),
        (" G@T /orders", "Method { found: \"G@T\", at: 1 }"),
        ("GET /a/b*", "PartialWildcard { at: 7 }"),
        ("GET /a/***", "PartialWildcard { at: 7 }"),
        ("GET /**/a/**", "SecondDeep { at: 10 }"),
        ("GET /a/**/", "SlashAfterDeep { at: 9 }"),
        ("GET /a//b", "NotCanonical { at: 7 }"),
        ("GET /a/../b", "NotCanonical { at: 7 }"),
        ("GET /./b", "NotCanonical { at: 5 }"),
        ("GET /a%2Fb", "Segment { refusal: EncodedSeparator, at: 5 }"),
        ("GET /a b", "Segment { refusal: ControlCharacter, at: 5 }"),
        ("GET /a?b=1", "Segment { refusal: StrayDelimiter, at: 5 }"),
    ] {
        assert_eq!(format!("{:?}", RoutePattern::parse(text).unwrap_err()), expected, "{text}");
    }
}

#[test]
fn the_narrowest_names_the_request() {
    let set = RouteSet::new(
        ["/**", "GET /api/**", "GET /api/orders/*", "GET /api/*/*", "GET /api/orders/new", "/api/orders/new"]
            .map(pattern),
    );
    for (request, expected) in [
        ("GET /api/orders/new", "GET /api/orders/new"),
        ("POST /api/orders/new", "* /api/orders/new"),
        ("GET /api/orders/7", "GET /api/orders/*"),
        ("GET /api/users/7", "GET /api/*/*"),
        ("GET /api/users", "GET /api/**"),
        ("PUT /x", "* /**"),
    ] {
        let found = with_request(request, |r| set.matches(r, Reading::Grant).map(ToString::to_string));
        assert_eq!(found.as_deref(), Some(expected), "{request}");
    }
    assert!(RouteSet::default().is_empty());
    assert_eq!(with_request("GET /", |r| RouteSet::default().matches(r, Reading::Restrict).cloned()), None);
}

proptest! {
    /// Whatever a grant matches, a restriction matches too; and what is printed reads back the same.
    #[test]
    fn restrictions_cover_grants(
        text in "(GET |WS |\\* |POST )?(/(a|b|\\*|%2A)){0,3}(/\\*\\*)?(/(a|b)){0,2}/?",
        request in "(GET|POST|HEAD|WS)(/(a|b|a;x)){0,4}/?",
    ) {
        let request = request.replacen('/', " /", 1);
        if let (Ok(pattern), true) = (RoutePattern::parse(&text), request.contains(' ')) {
            let (grant, restrict) = with_request(&request, |r| {
                (pattern.matches(r, Reading::Grant), pattern.matches(r, Reading::Restrict))
            });
            prop_assert!(!grant || restrict);
            prop_assert_eq!(RoutePattern::parse(&pattern.to_string()), Ok(pattern));
        }
    }

    #[test]
    fn never_panics(text in any::<String>()) {
        let _ = RoutePattern::parse(&text);
    }
}
