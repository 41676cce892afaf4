//! What an operator writes: configuration files and the routes in them.

use crate::input::{Input, text};
use http::Method;
use nightlatch_http::{
    path::CanonicalPath,
    route::{Reading, RoutePattern, RouteRequest},
};
use nightlatch_server::fuzzing;

/// Whatever the text, the check answers: with a configuration, or with mistakes that have a place in it. Secrets aside, reading it
/// twice says the same.
pub fn configuration(data: &[u8]) {
    let text = text(data);
    let read = fuzzing::configuration(&text);
    assert_eq!(read.in_force.is_some(), read.errors == 0, "{}", read.said);
    assert_eq!(read.said.is_empty(), read.places.is_empty());
    let lines: Vec<&str> = text.split('\n').collect();
    for [line, column, width] in &read.places {
        assert!((1..=lines.len()).contains(line) && *width >= 1, "{}", read.said);
        assert!((1..=lines[line - 1].chars().count() + 1).contains(column), "{}", read.said);
    }
    assert!(!read.said.contains(|c: char| c.is_control() && c != '\n' && c != '\t'), "{:?}", read.said);
    let again = fuzzing::configuration(&text);
    assert_eq!((again.in_force, again.said), (read.in_force, read.said));
}

/// A route is written back as it was read, matches what a naive reading matches, and what it grants it also restricts.
pub fn routes(data: &[u8]) {
    let mut input = Input::new(data);
    let websocket = input.byte() & 1 == 1;
    let lines = text(input.rest());
    let mut lines = lines.split('\n');
    let Ok(pattern) = RoutePattern::parse(lines.next().unwrap_or_default()) else { return };
    let written = pattern.to_string();
    assert_eq!(RoutePattern::parse(&written).as_ref(), Ok(&pattern), "`{written}`");
    let Ok(method) = lines.next().unwrap_or("GET").parse::<Method>() else { return };
    for line in lines {
        let Ok(path) = CanonicalPath::parse(line.as_bytes()) else { continue };
        let request = RouteRequest { method: &method, websocket, path: &path };
        let (grants, restricts) =
            (pattern.matches(request, Reading::Grant), pattern.matches(request, Reading::Restrict));
        assert!(restricts || !grants, "`{written}` grants `{method} {path}` and does not restrict it");
        assert_eq!(
            grants,
            naive_grant(&written, &method, websocket, &path),
            "`{written}`, `{method} {path}`"
        );
    }
}

/// The pattern as documented, tried in every way.
fn naive_grant(pattern: &str, method: &Method, websocket: bool, path: &CanonicalPath) -> bool {
    let (named, route) = pattern.split_once(' ').unwrap_or_default();
    let method_matches = match named {
        "*" => true,
        "WS" => websocket,
        named => !websocket && (named == method.as_str() || (named == "GET" && *method == Method::HEAD)),
    };
    let segments =
        |path: &str| path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let ours = segments(route);
    let any_slash = ours.last().is_none_or(|last| last == "**");
    let slash = any_slash || route.ends_with('/') == path.as_str().ends_with('/');
    method_matches && slash && segments_match(&ours, &segments(path.as_str()))
}

fn segments_match(ours: &[String], theirs: &[String]) -> bool {
    match (ours.split_first(), theirs.split_first()) {
        (None, None) => true,
        (None, Some(_)) => false,
        (Some((deep, rest)), _) if deep == "**" => {
            (0..=theirs.len()).any(|skipped| segments_match(rest, &theirs[skipped..]))
        }
        (Some(_), None) => false,
        (Some((one, rest)), Some((their, their_rest))) => {
            (one == "*" || one.replace("%2A", "*") == *their) && segments_match(rest, their_rest)
        }
    }
}
