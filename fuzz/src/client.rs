//! What a client sends: credentials, paths, targets, handshakes, cookies, tickets.

use crate::input::{Input, text};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Uri, Version,
    header::{AUTHORIZATION, CONTENT_LENGTH, COOKIE, SEC_WEBSOCKET_ACCEPT, TRANSFER_ENCODING},
};
use nightlatch_http::{
    app_cookie::{AppCookies, Bound},
    cookies::CookieNames,
    extract::{Carrier, Extracted, extract},
    forward::{
        client::TrustedProxies,
        request::{Upward, prepare},
        spelling,
    },
    fuzzing,
    path::{CanonicalPath, PATH_BYTES_MAX},
    target::{Target, TargetRefusal, same_authority},
    websocket::handshake::{Handshake, HandshakeFault},
};
use std::net::{IpAddr, Ipv4Addr};

/// The fields of a request: lines of `name: value`.
fn fields(lines: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    headers
}

/// One credential is found if exactly one text is presented and is one; and nothing of ours is left in what is forwarded.
pub fn credentials(data: &[u8]) {
    let mut headers = fields(data);
    for names in [CookieNames::SECURE, CookieNames::LOOPBACK] {
        let presented = presented(&headers, names);
        let mut texts: Vec<&[u8]> = presented.iter().map(|(text, _)| &text[..]).collect();
        texts.dedup();
        let found = extract(&headers, names).credential;
        match texts[..] {
            _ if texts.iter().any(|text| !is_token(text)) => assert_eq!(found, Extracted::Malformed),
            [] => assert_eq!(found, Extracted::None),
            [one] => {
                let Extracted::One(credential) = found else { panic!("{found:?} for one credential") };
                assert_eq!(credential.hash, nightlatch_engine::hash(text(one).as_bytes()));
                let in_cookie = presented.iter().any(|(_, carrier)| *carrier == Carrier::Cookie);
                assert_eq!(credential.carrier == Carrier::Cookie, in_cookie);
            }
            _ if texts.iter().any(|text| *text != texts[0]) => assert_eq!(found, Extracted::Conflict),
            _ => assert!(matches!(found, Extracted::One(_))),
        }
    }
    forward(&mut headers, None, None);
    for names in [CookieNames::SECURE, CookieNames::LOOPBACK] {
        assert_eq!(presented(&headers, names), [], "a credential reaches the application");
    }
    for field in headers.get_all(COOKIE) {
        for pair in field.as_bytes().split(|byte| *byte == b';') {
            let name = pair.trim_ascii().to_ascii_lowercase();
            let ours = name.starts_with(b"__host-nightlatch") || name.starts_with(b"nightlatch-loopback");
            assert!(!ours, "a cookie of ours reaches the application");
        }
    }
}

/// Every text that wears our name or prefix, with what carried it: cookies first, then bearers.
fn presented(headers: &HeaderMap, names: CookieNames) -> Vec<(Vec<u8>, Carrier)> {
    let mut found = Vec::new();
    for field in headers.get_all(COOKIE) {
        for pair in field.as_bytes().split(|byte| *byte == b';') {
            let equals = pair.iter().position(|byte| *byte == b'=');
            let (name, value) = match equals {
                Some(equals) => (&pair[..equals], &pair[equals + 1..]),
                None => (pair, &b""[..]),
            };
            if blanks_off(name) == names.session.as_bytes() {
                found.push((blanks_off(value).to_vec(), Carrier::Cookie));
            }
        }
    }
    for field in headers.get_all(AUTHORIZATION) {
        let words: Vec<&[u8]> =
            blanks_off(field.as_bytes()).splitn(2, |byte| *byte == b' ' || *byte == b'\t').collect();
        if let [scheme, token] = words[..]
            && scheme.eq_ignore_ascii_case(b"bearer")
            && blanks_off(token).starts_with(b"nlt_")
        {
            found.push((blanks_off(token).to_vec(), Carrier::Bearer));
        }
    }
    found
}

fn blanks_off(bytes: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
    let Some(first) = bytes.iter().position(|byte| !is_blank(byte)) else { return b"" };
    let last = bytes.iter().rposition(|byte| !is_blank(byte)).unwrap_or(first);
    &bytes[first..=last]
}

/// The prefix, and 256 bits in the one way in which they can be written.
fn is_token(text: &[u8]) -> bool {
    let secret = text.strip_prefix(b"nlt_").and_then(|secret| BASE64_URL_SAFE_NO_PAD.decode(secret).ok());
    secret.is_some_and(|secret| secret.len() == 32)
}

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

/// Makes the fields of a request those that are forwarded, for nobody.
fn forward(headers: &mut HeaderMap, app_cookies: Option<&AppCookies>, subject_key: Option<&[u8]>) {
    let trusted = TrustedProxies::default();
    let upward = Upward {
        peer: PEER,
        secure: true,
        host: None,
        version: Version::HTTP_11,
        trusted: &trusted,
        identity: None,
        app_cookies,
        subject_key,
        upgrade: None,
        alone: false,
    };
    assert!(prepare(headers, &upward).is_ok(), "without an identity nothing can be too large");
}

/// Nothing that only we, the connection or a trusted proxy may say is left of what a stranger said; all else is as it was.
pub fn request_fields(data: &[u8]) {
    let before = fields(data);
    let mut after = before.clone();
    forward(&mut after, None, None);
    let nominated: Vec<String> = before
        .get_all("connection")
        .iter()
        .flat_map(|field| text(field.as_bytes()).split(',').map(str::to_owned).collect::<Vec<_>>())
        .map(|name| text(blanks_off(name.as_bytes())).to_ascii_lowercase())
        .collect();
    for name in after.keys() {
        let careless = name.as_str().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        assert!(!careless.starts_with("x-nightlatch"), "`{name}` reaches the application");
        assert!(
            !["x-http-method", "x-http-method-override", "x-original-url"].contains(&&*careless),
            "`{name}` reaches the application"
        );
        let of_the_connection = ["transfer-encoding", "upgrade", "keep-alive", "proxy-authorization"];
        assert!(!of_the_connection.contains(&name.as_str()), "`{name}` reaches the application");
    }
    assert!(!(before.contains_key(TRANSFER_ENCODING) && after.contains_key(CONTENT_LENGTH)));
    let client: Vec<_> = after.get_all("x-forwarded-for").iter().collect();
    assert_eq!(client, ["192.0.2.7"], "a stranger does not say where it is");
    for name in before.keys() {
        let plain = name.as_str().starts_with("plain");
        if plain && !nominated.iter().any(|nominated| nominated == name.as_str()) {
            let values = |headers: &HeaderMap| headers.get_all(name).iter().cloned().collect::<Vec<_>>();
            assert_eq!(values(&after), values(&before));
        }
        if spelling::is_client_claim(name)
            && !["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"].contains(&name.as_str())
        {
            assert!(!after.contains_key(name), "`{name}` is a claim of a stranger");
        }
    }
    let mut again = after.clone();
    again.remove("via");
    after.remove("via");
    forward(&mut again, None, None);
    again.remove("via");
    assert_eq!(
        again.get_all(COOKIE).iter().collect::<Vec<_>>(),
        after.get_all(COOKIE).iter().collect::<Vec<_>>()
    );
}

/// A canonical path is a fixed point, has no second reading, and names what decoding once and resolving the dots names.
pub fn paths(data: &[u8]) {
    let Ok(path) = CanonicalPath::parse(data) else { return };
    let canonical = path.as_str();
    assert_eq!(CanonicalPath::parse(canonical.as_bytes()).as_ref(), Ok(&path), "not a fixed point");
    assert!(canonical.starts_with('/') && canonical.len() <= PATH_BYTES_MAX);
    assert!(canonical.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\?#\"<>^`{|}[]".contains(&byte)));
    assert_eq!(canonical.ends_with('/'), path.ends_with_slash());

    let decoded = decode(data);
    let mut names: Vec<&[u8]> = Vec::new();
    for segment in decoded.split(|byte| *byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => assert!(names.pop().is_some(), "`{canonical}` climbs above the root"),
            name => names.push(name),
        }
    }
    let segments: Vec<Vec<u8>> = path.segments().map(|segment| decode(segment.as_bytes())).collect();
    assert_eq!(segments, names, "`{canonical}`");
    assert_eq!(decode(&decoded), decoded, "what was decoded would decode again");
    assert_eq!(path.forwarded(None).map(|target| target.path().to_owned()).as_deref(), Ok(canonical));
}

/// `%XX` taken off, wherever it is one.
fn decode(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let digits = text.get(at + 1..at + 3).and_then(|digits| str::from_utf8(digits).ok());
        let hex = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match hex.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| text[at] == b'%') {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(text[at]);
                at += 1;
            }
        }
    }
    decoded
}

/// A target is taken apart without loss, and as the HTTP library reads it; two names of one host stay two unless they are the same.
pub fn request_targets(data: &[u8]) {
    let mut input = Input::new(data);
    let method = [Method::GET, Method::OPTIONS, Method::POST, Method::CONNECT][input.below(4)].clone();
    let text = text(input.rest());
    let target = Target::parse(&method, &text);
    match target {
        Ok(Target::Server) => assert!(text == "*" && method == Method::OPTIONS),
        Ok(Target::Origin { path, query }) => {
            assert!(path.starts_with('/') && !path.contains(['?', '#']));
            assert_eq!(query.map_or(path.to_owned(), |query| format!("{path}?{query}")), text);
        }
        Ok(Target::Absolute { secure, authority, path, query }) => {
            assert!(!authority.is_empty() && !authority.contains(['@', '/', '?', '#', ' ']));
            assert!(path.starts_with('/'));
            let scheme = if secure { "https" } else { "http" };
            let query = query.map_or(String::new(), |query| format!("?{query}"));
            let again = format!("{scheme}://{authority}{path}{query}");
            assert_eq!(Target::parse(&method, &again), target, "`{again}`");
            // One host is itself, in any case; what stands behind a comma is not.
            let other = authority.to_ascii_uppercase();
            assert_eq!(
                same_authority(authority, &other, secure),
                same_authority(authority, authority, secure)
            );
            assert!(!same_authority(authority, &format!("{authority},evil.example"), secure));
            assert!(!same_authority(authority, &format!("{authority}@evil.example"), secure));
        }
        Err(_) => {}
    }
    let Ok(uri) = text.parse::<Uri>() else { return };
    match (target, Target::of_uri(&method, &uri)) {
        // The library has dropped the fragment, and may know fewer authorities.
        (Err(TargetRefusal::Fragment | TargetRefusal::Authority), _) | (_, Err(TargetRefusal::Authority)) => {
        }
        (of_text, of_uri) => assert_eq!(of_text, of_uri, "`{text}`"),
    }
}

/// Wherever a sign-in is asked to lead, it leads to a path of this origin, and never to a route of ours.
pub fn return_paths(data: &[u8]) {
    let query = text(data);
    let to = fuzzing::return_to(&query);
    let second = to.as_bytes().get(1);
    assert!(to.starts_with('/') && second != Some(&b'/') && second != Some(&b'\\'), "`{to}` leads elsewhere");
    assert!(!to.bytes().any(|byte| byte.is_ascii_control() || byte == b' '), "{to:?} is no field value");
    let path = to.split('?').next().unwrap_or_default();
    assert!(
        !path.starts_with("/_nightlatch/") || path == "/_nightlatch/sessions",
        "`{to}` is a route of ours"
    );
    assert_eq!(CanonicalPath::parse(path.as_bytes()).map(|path| path.to_string()).as_deref(), Ok(path));
}

/// Only a well-formed handshake is taken for one, and only its own answer opens the tunnel.
pub fn handshakes(data: &[u8]) {
    let mut input = Input::new(data);
    let version = if input.byte() & 1 == 0 { Version::HTTP_11 } else { Version::HTTP_10 };
    let headers = fields(input.rest());
    let values =
        |name: &str| headers.get_all(name).iter().map(|value| text(value.as_bytes())).collect::<Vec<_>>();
    let members = |name: &str| {
        let joined = values(name).join(",").to_ascii_lowercase();
        joined
            .split(',')
            .map(|member| text(blanks_off(member.as_bytes())))
            .filter(|member| !member.is_empty())
            .collect::<Vec<_>>()
    };
    let key = values("sec-websocket-key");
    let good_key =
        key.len() == 1 && base64::prelude::BASE64_STANDARD.decode(&key[0]).is_ok_and(|key| key.len() == 16);
    let good = version == Version::HTTP_11
        && members("upgrade") == ["websocket"]
        && members("connection").iter().any(|member| member == "upgrade")
        && values("sec-websocket-version") == ["13"]
        && values("content-length").iter().all(|length| length == "0")
        && values("transfer-encoding").is_empty()
        && good_key;
    let handshake = Handshake::of_request(&Method::GET, version, &headers);
    assert_eq!(handshake.is_ok(), good, "{headers:?}");
    let Ok(handshake) = handshake else { return };
    let mut answer = HeaderMap::new();
    answer.insert("upgrade", HeaderValue::from_static("websocket"));
    answer.insert("connection", HeaderValue::from_static("upgrade"));
    let switched = http::StatusCode::SWITCHING_PROTOCOLS;
    assert_eq!(handshake.judge(switched, &answer), Err(HandshakeFault::Accept));
    for told in headers.get_all(SEC_WEBSOCKET_ACCEPT) {
        answer.insert(SEC_WEBSOCKET_ACCEPT, told.clone());
        assert_eq!(handshake.judge(switched, &answer).is_ok(), told.as_bytes() == handshake.accept());
    }
    if let Ok(accept) = HeaderValue::from_bytes(handshake.accept()) {
        answer.insert(SEC_WEBSOCKET_ACCEPT, accept.clone());
        assert_eq!(handshake.judge(switched, &answer), Ok(()));
        answer.append(SEC_WEBSOCKET_ACCEPT, accept);
        assert_eq!(handshake.judge(switched, &answer), Err(HandshakeFault::Accept));
    }
}

/// A listed cookie passes for the subject it was sealed for, with the value the application gave, and in no other way.
pub fn app_cookies(data: &[u8]) {
    let Ok(cookies) = AppCookies::new(b"a key that no fuzzer knows", ["JSESSIONID", "app.sid"]) else {
        return;
    };
    let mut input = Input::new(data);
    let (place, change) = (input.below(4096), input.byte());
    let cut = input.below(256);
    let (set, brought) = input.rest().split_at(cut.min(data.len().saturating_sub(9)));

    // What nobody sealed does not pass, whatever it is wrapped in.
    if let Ok(field) = HeaderValue::from_bytes(brought) {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, field);
        forward(&mut headers, Some(&cookies), Some(b"alice"));
        for field in headers.get_all(COOKIE) {
            let careless = field.as_bytes().split(|byte| b"; ,\t\"".contains(byte));
            for piece in careless {
                let named = piece.iter().position(|byte| *byte == b'=').map(|equals| &piece[..equals]);
                assert!(named != Some(b"JSESSIONID") && named != Some(b"app.sid"), "{field:?} passes");
            }
        }
    }

    let Ok(field) = HeaderValue::from_bytes(&[b"JSESSIONID=", set].concat()) else { return };
    let Bound::Sealed(sealed) = cookies.bind(&field, Some(b"alice")) else {
        panic!("a listed cookie is sealed");
    };
    let kept = |field: &HeaderValue| {
        let first = field.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
        blanks_off(first).to_vec()
    };
    let (given, kept) = (kept(&field), kept(&sealed));
    let passes = |pair: &[u8], subject: &[u8]| {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_bytes(pair).ok()?);
        forward(&mut headers, Some(&cookies), Some(subject));
        headers.get(COOKIE).map(|field| field.as_bytes().to_vec())
    };
    let name = b"JSESSIONID=".len();
    let value = |pair: &[u8]| blanks_off(&pair[name..]).to_vec();
    assert_eq!(passes(&kept, b"alice").map(|pair| value(&pair)), Some(value(&given)));
    assert_eq!(passes(&kept, b"bob"), None);
    // A changed byte of value or seal, other than the blanks that nobody reads.
    let at = name + place % (kept.len() - name);
    let mut changed = kept.clone();
    changed[at] = change;
    if change != kept[at] && value(&changed) != value(&kept) && !b";".contains(&change) {
        let got = passes(&changed, b"alice").map(|pair| value(&pair));
        assert_eq!(got, None, "a changed cookie passes");
    }
}

/// A ticket names its session in exactly one text.
pub fn ended_tickets(data: &[u8]) {
    let key = b"a key that no fuzzer knows";
    let mut input = Input::new(data);
    let mut session = [0; 16];
    session.iter_mut().for_each(|byte| *byte = input.byte());
    let ticket = fuzzing::issue_ticket(key, session);
    assert_eq!(fuzzing::read_ticket(key, &ticket), Some(session));
    assert_eq!(fuzzing::read_ticket(b"another key", &ticket), None);
    assert!(ticket.bytes().all(|byte| byte.is_ascii_graphic() && !b"\",;\\".contains(&byte)));

    let mut changed = ticket.clone().into_bytes();
    while !input.is_empty() && !changed.is_empty() {
        let at = input.below(changed.len());
        match input.byte() {
            operation @ 0..128 => changed[at] = operation,
            128..170 => drop(changed.remove(at)),
            170..212 => changed.insert(at, input.byte()),
            _ => changed.truncate(at),
        }
    }
    if changed != ticket.as_bytes() {
        assert_eq!(fuzzing::read_ticket(key, &text(&changed)), None, "{:?}", text(&changed));
    }
    // A fuzzer watches the comparison and learns the code; it is one text all the same.
    if let Some(session) = fuzzing::read_ticket(key, &text(data)) {
        assert_eq!(fuzzing::issue_ticket(key, session), text(data));
    }
}
