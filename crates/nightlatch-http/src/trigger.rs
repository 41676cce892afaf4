//! What set a request off, as far as its fields tell (Fetch Metadata, W3C; `Sec-Purpose`, WHATWG Fetch).

use http::{HeaderMap, Method, header::HeaderName};
use nightlatch_core::Trigger;

const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_USER: HeaderName = HeaderName::from_static("sec-fetch-user");
const SEC_PURPOSE: HeaderName = HeaderName::from_static("sec-purpose");
const PURPOSE: HeaderName = HeaderName::from_static("purpose");

/// What set this request off.
#[must_use]
pub fn trigger(method: &Method, headers: &HeaderMap) -> Trigger {
    match () {
        () if is_prefetch(headers) => Trigger::Prefetch,
        () if !method.is_safe() => Trigger::UnsafeMethod,
        () if !from_a_browser(headers) => Trigger::NotABrowser,
        () if is(headers, &SEC_FETCH_USER, "?1") => Trigger::UserNavigation,
        () => Trigger::Script,
    }
}

/// Whether the answer will be shown as a page: then a person is redirected, while a program is told.
#[must_use]
pub fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    if from_a_browser(headers) {
        return is(headers, &SEC_FETCH_DEST, "document") && !is(headers, &SEC_FETCH_MODE, "cors");
    }
    let accepts_html =
        |value: &http::HeaderValue| value.to_str().is_ok_and(|text| text.contains("text/html"));
    method == Method::GET && headers.get_all(http::header::ACCEPT).iter().any(accepts_html)
}

fn from_a_browser(headers: &HeaderMap) -> bool {
    [SEC_FETCH_SITE, SEC_FETCH_MODE, SEC_FETCH_DEST].iter().any(|name| headers.contains_key(name))
}

fn is_prefetch(headers: &HeaderMap) -> bool {
    let named = |name| headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    named(SEC_PURPOSE)
        .chain(named(PURPOSE))
        .any(|value| value.contains("prefetch") || value.contains("prerender"))
}

fn is(headers: &HeaderMap, name: &HeaderName, value: &str) -> bool {
    headers.get(name).is_some_and(|found| found == value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(text: &str) -> HeaderMap {
        let fields = text.split("; ").filter_map(|field| field.split_once(": "));
        fields.map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn what_sets_a_request_off() {
        use Trigger::{NotABrowser, Prefetch, Script, UnsafeMethod, UserNavigation};
        let rows = [
            (
                "GET",
                "sec-fetch-mode: navigate; sec-fetch-dest: document; sec-fetch-user: ?1",
                UserNavigation,
                true,
            ),
            ("GET", "sec-fetch-mode: navigate; sec-fetch-dest: document", Script, true),
            ("GET", "sec-fetch-mode: cors; sec-fetch-dest: empty", Script, false),
            ("GET", "sec-fetch-mode: websocket; sec-fetch-dest: websocket", Script, false),
            (
                "POST",
                "sec-fetch-mode: navigate; sec-fetch-dest: document; sec-fetch-user: ?1",
                UnsafeMethod,
                true,
            ),
            ("POST", "sec-fetch-mode: cors; sec-fetch-dest: empty", UnsafeMethod, false),
            ("GET", "sec-purpose: prefetch;prerender; sec-fetch-dest: document", Prefetch, true),
            ("GET", "purpose: prefetch; sec-fetch-dest: document", Prefetch, true),
            ("GET", "accept: */*", NotABrowser, false),
            ("GET", "accept: text/html,*/*", NotABrowser, true),
            ("POST", "accept: text/html", UnsafeMethod, false),
            ("HEAD", "", NotABrowser, false),
        ];
        for (method, fields, expected, navigation) in rows {
            let (method, headers) = (method.parse().unwrap(), headers(fields));
            assert_eq!(trigger(&method, &headers), expected, "{method} {fields}");
            assert_eq!(is_navigation(&method, &headers), navigation, "{method} {fields}");
        }
    }
}
