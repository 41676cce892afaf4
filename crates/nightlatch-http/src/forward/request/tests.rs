use nightlatch_core::{SessionId, Subject};

use super::super::response;
use super::*;

const TOKEN: &str = "nlt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Fields written as lines.
pub(crate) fn headers(lines: &str) -> HeaderMap {
    let fields = lines.lines().map(|line| {
        let (name, value) = line.split_once(": ").unwrap_or((line.trim_end_matches(':'), ""));
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        (name, HeaderValue::from_bytes(value.as_bytes()).unwrap())
    });
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.append(name, value);
    }
    map
}

/// Fields as lines again, sorted by name.
pub(in crate::forward) fn show(headers: &HeaderMap) -> String {
    let mut lines: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value)).collect();
    lines.sort_by_key(|(name, _)| *name);
    let line = |(name, value): &(&str, &HeaderValue)| {
        format!("{name}: {}", String::from_utf8_lossy(value.as_bytes()))
    };
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn upward(trusted: &TrustedProxies) -> Upward<'_> {
    Upward {
        peer: IpAddr::from([203, 0, 113, 9]),
        secure: true,
        host: None,
        version: Version::HTTP_11,
        trusted,
        identity: None,
        app_cookies: None,
        subject_key: None,
        upgrade: None,
        alone: false,
    }
}

/// What is forwarded, without the three fields that are always added.
fn forwarded(lines: &str, change: impl FnOnce(&mut Upward<'_>)) -> String {
    let trusted = TrustedProxies::default();
    let mut upward = upward(&trusted);
    change(&mut upward);
    let mut map = headers(&lines.replace("$T", TOKEN));
    prepare(&mut map, &upward).unwrap();
    let added = ["via: 1.1 nightlatch", "x-forwarded-for: 203.0.113.9", "x-forwarded-proto: https"];
    let shown = show(&map);
    for line in added {
        assert!(shown.lines().any(|found| found == line), "{line} in {shown}");
    }
    shown.lines().filter(|line| !added.contains(line)).collect::<Vec<_>>().join("\n")
}

#[test]
fn fields_in_fields_out() {
    for (before, after) in [
        ("host: h\naccept: */*\nx-custom: 1", "accept: */*\nhost: h\nx-custom: 1"),
        // ours to say, in every spelling
        ("x-nightlatch-subject: admin\nX_Nightlatch_Subject: admin\nx-nightlatch.groups: a", ""),
        ("connection: x-nightlatch-subject\nx-nightlatch-subject: admin", ""),
        ("connection: x-forwarded-for, via\nvia: 1.1 x", ""),
        // overrides
        (
            "x-http-method-override: PUT\nx-http-method: PUT\nx-method-override: PUT\nx-original-url: /admin",
            "",
        ),
        // our cookies and our bearer
        ("cookie: a=1; __Host-nightlatch=$T; b=2", "cookie: a=1; b=2"),
        ("cookie: __Host-nightlatch=$T", ""),
        ("cookie: a=1\ncookie: __Host-nightlatch-ended=x\ncookie: b=2", "cookie: a=1\ncookie: b=2"),
        ("cookie: nightlatch-loopback=$T; a=1", "cookie: a=1"),
        ("authorization: Bearer $T", ""),
        ("authorization: bearer  nlt_broken", ""),
        ("authorization: Bearer eyJ", "authorization: Bearer eyJ"),
        ("authorization: Bearer eyJ\nauthorization: Bearer $T", "authorization: Bearer eyJ"),
        // connection matters
        ("te: gzip, trailers", "connection: TE\nte: trailers"),
        ("te: gzip", ""),
        ("upgrade: h2c\nconnection: upgrade, http2-settings\nhttp2-settings: A", ""),
        ("trailer: a, x-nightlatch-subject", "trailer: a"),
        ("forwarded: for=1.1.1.1\nx-real-ip: 1.1.1.1", ""),
        // lengths
        ("content-length: 5", "content-length: 5"),
        ("content-length: 0", "content-length: 0"),
        ("content-length: 0010", "content-length: 10"),
        ("content-length: 00", "content-length: 0"),
    ] {
        assert_eq!(forwarded(before, |_| ()), after, "{before}");
    }
}

#[test]
fn a_body_where_none_is_expected_has_the_connection_to_itself() {
    let rows = [
        ("GET", true),
        ("HEAD", true),
        ("OPTIONS", true),
        ("DELETE", true),
        ("POST", false),
        ("PUT", false),
        ("PATCH", false),
        ("SEARCH", false),
    ];
    for (method, alone) in rows {
        let method: Method = method.parse().unwrap();
        assert_eq!(has_unexpected_body(&method, true), alone, "{method}");
        assert!(!has_unexpected_body(&method, false), "{method}");
    }
    let both = forwarded("te: trailers\ncontent-length: 5", |upward| upward.alone = true);
    assert_eq!(both, "connection: TE\nconnection: close\ncontent-length: 5\nte: trailers");
}

#[test]
fn via_is_added_behind_the_others() {
    let mut map = headers("via: 2 edge");
    let trusted = TrustedProxies::default();
    prepare(&mut map, &Upward { version: Version::HTTP_2, ..upward(&trusted) }).unwrap();
    let via: Vec<_> = map.get_all(VIA).into_iter().collect();
    assert_eq!(via, ["2 edge", "2.0 nightlatch"]);
}

#[test]
fn a_handshake_keeps_its_fields() {
    let before = "connection: keep-alive, Upgrade\nupgrade: WebSocket\nsec-websocket-key: k\ncontent-length: 0\nte: trailers";
    static PROTOCOL: HeaderValue = HeaderValue::from_static("websocket");
    assert_eq!(
        forwarded(before, |upward| upward.upgrade = Some(&PROTOCOL)),
        "connection: Upgrade\nsec-websocket-key: k\nupgrade: websocket"
    );
}

#[test]
fn the_identity_is_ours_alone() {
    let subject = Subject { provider: "key:desk".to_owned(), name: "alice".to_owned() };
    let groups = vec!["traders".to_owned()];
    let assertion = HeaderValue::from_static("signed");
    let identity = Identity {
        subject: &subject,
        session: SessionId([1; 16]),
        groups: &groups,
        assertion: Some(&assertion),
    };
    let trusted = TrustedProxies::default();
    let mut map = headers(
        "x-nightlatch-groups: admins\nx_nightlatch_groups: admins\nx-nightlatch-assertion: forged\nX_Nightlatch_Assertion: forged",
    );
    prepare(&mut map, &Upward { identity: Some(identity), ..upward(&trusted) }).unwrap();
    let shown = show(&map);
    assert!(shown.contains("x-nightlatch-groups: traders") && !shown.contains("admins"), "{shown}");
    assert!(shown.contains("x-nightlatch-assertion: signed") && !shown.contains("forged"), "{shown}");
}

#[test]
fn listed_cookies_there_and_back() {
    let app_cookies = AppCookies::new(b"key", ["sid"]).unwrap();
    let mut answer = headers("set-cookie: sid=1; Path=/\nset-cookie: other=2");
    let downward =
        response::Downward { app_cookies: Some(&app_cookies), subject_key: Some(b"alice"), upgrade: None };
    response::prepare(&mut answer, &downward);
    let kept = answer.get("set-cookie").unwrap().to_str().unwrap().split(';').next().unwrap().to_owned();
    let before = format!("cookie: {kept}; other=2; __Host-nightlatch={TOKEN}");
    let change = |subject: Option<&'static [u8]>| {
        let app_cookies = &app_cookies;
        let trusted = TrustedProxies::default();
        let mut map = headers(&before);
        let upward = Upward { app_cookies: Some(app_cookies), subject_key: subject, ..upward(&trusted) };
        prepare(&mut map, &upward).unwrap();
        map.get(COOKIE).unwrap().to_str().unwrap().to_owned()
    };
    assert_eq!(change(Some(b"alice")), "sid=1; other=2");
    assert_eq!(change(Some(b"bob")), "other=2");
    assert_eq!(change(None), "other=2");
}
