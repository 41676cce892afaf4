use aws_lc_rs::digest;
use proptest::prelude::*;

use super::*;

const A: &str = "nlt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const B: &str = "nlt_BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA";

/// Fields as lines, `$A` and `$B` standing for two good credentials.
fn headers(lines: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines.lines() {
        let (name, value) = line.split_once(": ").unwrap();
        let value = value.replace("$A", A).replace("$B", B);
        headers.append(
            http::HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
    }
    headers
}

fn show(credential: Extracted) -> String {
    match credential {
        Extracted::One(Presented { hash, carrier }) => {
            let which =
                [("A", A), ("B", B)].into_iter().find(|(_, text)| hash_token(text.as_bytes()) == Some(hash));
            format!("{} by {carrier:?}", which.unwrap().0)
        }
        other => format!("{other:?}"),
    }
}

#[test]
fn fields_to_credential() {
    for (lines, expected) in [
        ("accept: */*", "None"),
        ("cookie: a=1; b=2", "None"),
        ("cookie: __Host-nightlatch=$A", "A by Cookie"),
        ("cookie: a=1; __Host-nightlatch=$A; b=2", "A by Cookie"),
        ("cookie: a=1;\t__Host-nightlatch = $A ;b", "A by Cookie"),
        ("cookie: a=1\ncookie: __Host-nightlatch=$A", "A by Cookie"),
        ("authorization: Bearer $A", "A by Bearer"),
        ("authorization: bEARER   $A ", "A by Bearer"),
        // not ours
        ("authorization: Bearer eyJhbGciOi", "None"),
        ("authorization: Basic bmx0X0FB", "None"),
        ("authorization: Bearer", "None"),
        ("authorization: Bearer$A", "None"),
        ("authorization: Bearer NLT_AAAA", "None"),
        ("cookie: __host-nightlatch=$A", "None"),
        ("cookie: nightlatch-loopback=$A", "None"),
        ("cookie: x__Host-nightlatch=$A", "None"),
        ("cookie: __Host-nightlatch-ended=$A", "None"),
        // the same twice
        ("cookie: __Host-nightlatch=$A; __Host-nightlatch=$A", "A by Cookie"),
        ("authorization: Bearer $A\ncookie: __Host-nightlatch=$A", "A by Cookie"),
        ("authorization: Bearer eyJ\nauthorization: Bearer $A", "A by Bearer"),
        // different
        ("cookie: __Host-nightlatch=$A; __Host-nightlatch=$B", "Conflict"),
        ("cookie: __Host-nightlatch=$A\ncookie: __Host-nightlatch=$B", "Conflict"),
        ("cookie: __Host-nightlatch=$A\nauthorization: Bearer $B", "Conflict"),
        ("authorization: Bearer $A\nauthorization: Bearer $B", "Conflict"),
        // malformed
        ("cookie: __Host-nightlatch=", "Malformed"),
        ("cookie: __Host-nightlatch", "Malformed"),
        ("cookie: __Host-nightlatch=\"$A\"", "Malformed"),
        ("cookie: __Host-nightlatch=$A=", "Malformed"),
        ("cookie: __Host-nightlatch=abc", "Malformed"),
        ("cookie: __Host-nightlatch=$A; __Host-nightlatch=x", "Malformed"),
        ("authorization: Bearer nlt_", "Malformed"),
        ("authorization: Bearer $A, Bearer $B", "Malformed"),
        ("authorization: Bearer $Ax", "Malformed"),
        ("authorization: Bearer nlt_\u{e9}", "Malformed"),
    ] {
        assert_eq!(show(extract(&headers(lines), CookieNames::SECURE).credential), expected, "{lines}");
    }
    let loopback = headers("cookie: nightlatch-loopback=$A; __Host-nightlatch=$B");
    assert_eq!(show(extract(&loopback, CookieNames::LOOPBACK).credential), "A by Cookie");
}

#[test]
fn only_one_text_for_one_secret() {
    assert!(is_token(A.as_bytes()) && is_token(B.as_bytes()));
    let start = &A[..TOKEN_BYTES - 1];
    let good = (0..=255_u8).filter(|&last| is_token(&[start.as_bytes(), &[last]].concat())).count();
    assert_eq!(good, 16, "the last character carries four bits");
    for text in [
        "",
        "nlt_",
        start,
        &A[4..],
        &A.replace('_', "-"),
        &A.replacen("AAA", "A+A", 1),
        &A.replacen("AAA", "A/A", 1),
    ] {
        assert!(!is_token(text.as_bytes()), "{text}");
    }
}

#[test]
fn the_hash_covers_the_prefix() {
    let expected = digest::digest(&digest::SHA256, A.as_bytes());
    assert_eq!(hash_token(A.as_bytes()).map(|hash| hash.0.to_vec()), Some(expected.as_ref().to_vec()));
    assert_eq!(format!("{:?}", hash_token(A.as_bytes())), "Some(CredentialHash(..))");
}

#[test]
fn ended_ticket() {
    let long = "x".repeat(ENDED_TICKET_BYTES_MAX + 1);
    for (lines, expected) in [
        ("cookie: a=1", None),
        ("cookie: __Host-nightlatch-ended=abc.def", Some("abc.def")),
        ("cookie: __Host-nightlatch-ended=abc; __Host-nightlatch-ended=abc", Some("abc")),
        ("cookie: __Host-nightlatch-ended=abc; __Host-nightlatch-ended=abd", None),
        ("cookie: __Host-nightlatch-ended=", None),
        ("cookie: __Host-nightlatch-ended=a b", None),
        ("cookie: __Host-nightlatch-ended=\u{e9}", None),
        (&format!("cookie: __Host-nightlatch-ended={long}"), None),
        ("cookie: nightlatch-loopback-ended=abc", None),
    ] {
        assert_eq!(extract(&headers(lines), CookieNames::SECURE).ended_ticket, expected, "{lines}");
    }
}

#[test]
fn thousands_of_pairs() {
    let many = "__Host-nightlatch=x; ".repeat(50_000);
    assert_eq!(
        extract(&headers(&format!("cookie: {many}")), CookieNames::SECURE).credential,
        Extracted::Malformed
    );
    let same = format!("__Host-nightlatch={A}; ").repeat(10_000);
    assert_eq!(
        show(extract(&headers(&format!("cookie: {same}")), CookieNames::SECURE).credential),
        "A by Cookie"
    );
}

proptest! {
    #[test]
    fn never_panics(cookie in prop::collection::vec(any::<u8>(), 0..80), bearer in prop::collection::vec(any::<u8>(), 0..80)) {
        let mut headers = HeaderMap::new();
        for (name, value) in [(COOKIE, cookie), (AUTHORIZATION, [b"Bearer ".as_slice(), &bearer].concat())] {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                headers.append(name, value);
            }
        }
        let _ = extract(&headers, CookieNames::SECURE);
    }

    /// Where the good cookie stands among others makes no difference.
    #[test]
    fn position_does_not_matter(others in prop::collection::vec("[a-z]{1,4}=[a-z]{0,4}", 0..6), at in any::<prop::sample::Index>()) {
        let mut pairs = others;
        pairs.insert(at.index(pairs.len() + 1), format!("__Host-nightlatch={A}"));
        let found = extract(&headers(&format!("cookie: {}", pairs.join("; "))), CookieNames::SECURE).credential;
        prop_assert_eq!(show(found), "A by Cookie");
    }
}
