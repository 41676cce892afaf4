use super::*;
use crate::id_token::tests::Pair;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;

const NOW: Time = Time::from_millis(1_800_000_000_000);
const S: u64 = 1_800_000_000;

fn claims() -> Value {
    json!({
        "iss": "https://idp.example", "sub": "ada", "sid": "s-1", "aud": "nightlatch", "iat": S, "exp": S + 120, "jti": "j-1",
        "events": {EVENT: {}},
    })
}

fn changed(key: &str, value: Value) -> Value {
    let mut claims = claims();
    match value {
        Value::Null => _ = claims.as_object_mut().unwrap().remove(key),
        value => claims[key] = value,
    }
    claims
}

fn verdict(token: &str, pair: &Pair) -> Result<LogoutClaims, LogoutTokenError> {
    let keys = KeySet::read(json!({"keys": [pair.jwk("k1")]}).to_string().as_bytes()).unwrap();
    let expected = Expected {
        issuer: "https://idp.example",
        client_id: "nightlatch",
        algorithms: &[Algorithm::ES256],
        now: NOW,
    };
    verify(token, &keys, &expected)
}

#[test]
fn a_good_token_is_believed() {
    let pair = Pair::new();
    let said = |claims: &Value| verdict(&pair.sign("k1", claims), &pair);
    let good = LogoutClaims {
        sub: Some("ada".to_owned()),
        sid: Some("s-1".to_owned()),
        jti: "j-1".to_owned(),
        good_until: NOW.plus(Span::from_secs(150)),
    };
    assert_eq!(said(&claims()), Ok(good.clone()));
    assert_eq!(said(&changed("sid", Value::Null)), Ok(LogoutClaims { sid: None, ..good.clone() }));
    assert_eq!(said(&changed("sub", Value::Null)), Ok(LogoutClaims { sub: None, ..good.clone() }));
    assert_eq!(said(&changed("aud", json!(["other", "nightlatch"]))), Ok(good.clone()));
    // Of a provider from before the errata.
    assert_eq!(said(&changed("exp", Value::Null)), Ok(good.clone()));
    // However long it says that it is good, it is remembered for minutes.
    let long = LogoutClaims { good_until: NOW.plus(Span::from_secs(630)), ..good };
    assert_eq!(said(&changed("exp", json!(S + 86_400))), Ok(long));
}

/// The seven bad tokens of the OpenID conformance suite (`OIDCCClientTestBackChannelLogout..`), and others.
#[test]
fn a_bad_token_is_refused_for_what_is_wrong_with_it() {
    let (pair, other) = (Pair::new(), Pair::new());
    let jwt = LogoutTokenError::Jwt;
    let algorithm = |name: &str| jwt(IdTokenError::Algorithm(name.to_owned()));
    let bare = |head: Value, claims: &Value| {
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.", part(&head), part(claims))
    };
    let by_public_key =
        encode(&Header::new(Algorithm::HS256), &claims(), &EncodingKey::from_secret(pair.public())).unwrap();
    let good = pair.sign("k1", &claims());
    let (unsigned, _) = good.rsplit_once('.').unwrap();
    for (what, token, expected) in [
        ("AlgNone", bare(json!({"alg": "none"}), &claims()), algorithm("none")),
        ("NoEvent", pair.sign("k1", &changed("events", Value::Null)), LogoutTokenError::Event),
        ("WithNonce", pair.sign("k1", &changed("nonce", json!("n-1"))), LogoutTokenError::Nonce),
        ("WrongAlg", by_public_key, algorithm("HS256")),
        ("WrongAud", pair.sign("k1", &changed("aud", json!("other"))), jwt(IdTokenError::Audience)),
        ("WrongEvent", pair.sign("k1", &changed("events", json!({"other": {}}))), LogoutTokenError::Event),
        (
            "WrongIssuer",
            pair.sign("k1", &changed("iss", json!("https://evil.example"))),
            jwt(IdTokenError::Issuer),
        ),
        ("keys of another", other.sign("k1", &claims()), jwt(IdTokenError::Signature)),
        ("a key that there is not", pair.sign("k2", &claims()), jwt(IdTokenError::UnknownKey)),
        ("no signature", format!("{unsigned}."), jwt(IdTokenError::Signature)),
        (
            "an event that is no object",
            pair.sign("k1", &changed("events", json!({EVENT: true}))),
            LogoutTokenError::Event,
        ),
        ("an empty nonce is one", pair.sign("k1", &changed("nonce", json!(""))), LogoutTokenError::Nonce),
        ("no name", pair.sign("k1", &changed("jti", Value::Null)), LogoutTokenError::NoName),
        ("over", pair.sign("k1", &changed("exp", json!(S - 30))), jwt(IdTokenError::Expired)),
        ("to come", pair.sign("k1", &changed("iat", json!(S + 31))), jwt(IdTokenError::Future("iat"))),
        (
            "old without exp",
            {
                let mut claims = changed("exp", Value::Null);
                claims["iat"] = json!(S - 150);
                pair.sign("k1", &claims)
            },
            jwt(IdTokenError::Expired),
        ),
        (
            "an access token",
            bare(json!({"alg": "ES256", "typ": "at+jwt"}), &claims()),
            LogoutTokenError::Type,
        ),
        ("too long", format!("{good}{}", "a".repeat(TOKEN_BYTES_MOST)), LogoutTokenError::TooLong),
    ] {
        assert_eq!(verdict(&token, &pair), Err(expected), "{what}");
    }
    let mut nobody = claims();
    nobody.as_object_mut().unwrap().retain(|key, _| key != "sub" && key != "sid");
    assert_eq!(verdict(&pair.sign("k1", &nobody), &pair), Err(LogoutTokenError::Nobody));
    for text in ["", ".", "a.b.c", "e30.e30."] {
        assert!(matches!(verdict(text, &pair), Err(LogoutTokenError::Jwt(IdTokenError::Form(_)))), "{text}");
    }
}
