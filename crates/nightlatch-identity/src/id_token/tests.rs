use super::*;
use aws_lc_rs::{
    encoding::AsDer as _,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use jsonwebtoken::{EncodingKey, Header as JwtHeader, encode};
use serde_json::json;

const NOW: Time = Time::from_millis(1_800_000_000_000);
const S: u64 = 1_800_000_000;

/// A provider's key pair, made for this run.
pub(crate) struct Pair {
    private: EncodingKey,
    public: Vec<u8>,
}

impl Pair {
    pub(crate) fn new() -> Pair {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).unwrap();
        let _ = pair.public_key().as_der().unwrap();
        Pair {
            private: EncodingKey::from_ec_der(pkcs8.as_ref()),
            public: pair.public_key().as_ref().to_vec(),
        }
    }

    pub(crate) fn jwk(&self, kid: &str) -> Value {
        let half = |at: usize| BASE64_URL_SAFE_NO_PAD.encode(&self.public[at..at + 32]);
        json!({"kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "alg": "ES256", "x": half(1), "y": half(33)})
    }

    pub(crate) fn public(&self) -> &[u8] {
        &self.public
    }

    pub(crate) fn sign(&self, kid: &str, claims: &Value) -> String {
        let head = JwtHeader { kid: Some(kid.to_owned()), ..JwtHeader::new(Algorithm::ES256) };
        encode(&head, claims, &self.private).unwrap()
    }
}

fn claims() -> Value {
    json!({
        "iss": "https://idp.example", "sub": "ada", "aud": "nightlatch", "nonce": "n-1",
        "exp": S + 300, "iat": S, "auth_time": S, "acr": "mfa",
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

fn expected() -> Expected<'static> {
    Expected {
        issuer: "https://idp.example",
        client_id: "nightlatch",
        nonce: "n-1",
        algorithms: &[Algorithm::ES256, Algorithm::RS256],
        authenticated_since: NOW,
        now: NOW,
    }
}

fn keys(of: &[Value]) -> KeySet {
    KeySet::read(json!({"keys": of}).to_string().as_bytes()).unwrap()
}

#[test]
fn a_good_token_is_believed() {
    let pair = Pair::new();
    let said = verify(&pair.sign("k1", &claims()), &keys(&[pair.jwk("k1")]), &expected()).unwrap();
    assert_eq!((said.subject.as_str(), said.authenticated, said.acr.as_deref()), ("ada", NOW, Some("mfa")));
}

#[test]
fn a_token_that_says_anything_else_is_refused() {
    let pair = Pair::new();
    let keys = keys(&[pair.jwk("k1")]);
    let skew = SKEW.as_millis() / 1_000;
    let form = || IdTokenError::Form("");
    let rows = [
        ("iss", json!("https://idp.example/"), Err(IdTokenError::Issuer)),
        ("iss", json!("https://evil.example"), Err(IdTokenError::Issuer)),
        ("iss", Value::Null, Err(form())),
        ("aud", json!("other"), Err(IdTokenError::Audience)),
        ("aud", json!([]), Err(IdTokenError::Audience)),
        ("aud", json!(["nightlatch"]), Ok(())),
        ("aud", json!(["nightlatch", "other"]), Err(IdTokenError::Audience)),
        ("aud", Value::Null, Err(form())),
        ("azp", json!("nightlatch"), Ok(())),
        ("azp", json!("other"), Err(IdTokenError::Audience)),
        ("nonce", json!("n-2"), Err(IdTokenError::Nonce)),
        ("nonce", Value::Null, Err(IdTokenError::Nonce)),
        ("exp", json!(S), Ok(())),
        ("exp", json!(S - skew + 1), Ok(())),
        ("exp", json!(S - skew), Err(IdTokenError::Expired)),
        ("exp", json!(-1), Err(IdTokenError::Expired)),
        ("exp", Value::Null, Err(form())),
        ("exp", json!("1800000300"), Err(form())),
        ("iat", json!(S + skew), Ok(())),
        ("iat", json!(S + skew + 1), Err(IdTokenError::Future("iat"))),
        ("nbf", json!(S + skew + 1), Err(IdTokenError::Future("nbf"))),
        ("auth_time", json!(S + skew + 1), Err(IdTokenError::Future("auth_time"))),
        ("auth_time", json!(S - skew), Ok(())),
        ("auth_time", json!(S - skew - 1), Err(IdTokenError::Stale)),
        ("auth_time", json!(0), Err(IdTokenError::Stale)),
        ("auth_time", Value::Null, Err(IdTokenError::NoAuthTime)),
        ("auth_time", json!("now"), Err(form())),
        ("sub", json!(""), Err(IdTokenError::Subject)),
        ("sub", json!(" ada"), Err(IdTokenError::Subject)),
        ("sub", json!("a\r\nX-Nightlatch-Groups: admins"), Err(IdTokenError::Subject)),
        ("sub", json!("a".repeat(256)), Err(IdTokenError::Subject)),
        ("sub", Value::Null, Err(form())),
    ];
    for (key, value, expected_answer) in rows {
        let token = pair.sign("k1", &changed(key, value.clone()));
        let said = verify(&token, &keys, &expected()).map(|_| ()).map_err(|error| match error {
            IdTokenError::Form(_) => form(),
            other => other,
        });
        assert_eq!(said, expected_answer, "{key} = {value}");
    }
}

#[test]
fn an_authentication_ahead_of_our_clock_counts_as_now() {
    let pair = Pair::new();
    let token = pair.sign("k1", &changed("auth_time", json!(S + 20)));
    assert_eq!(verify(&token, &keys(&[pair.jwk("k1")]), &expected()).unwrap().authenticated, NOW);
}

#[test]
fn an_older_authentication_is_taken_only_where_the_firm_says_so() {
    let pair = Pair::new();
    let keys = keys(&[pair.jwk("k1")]);
    let token = pair.sign("k1", &changed("auth_time", json!(S - 600)));
    assert_eq!(verify(&token, &keys, &expected()), Err(IdTokenError::Stale));
    let older = Expected { authenticated_since: NOW.minus(Span::from_secs(900)), ..expected() };
    assert_eq!(verify(&token, &keys, &older).unwrap().authenticated, NOW.minus(Span::from_secs(600)));
}

#[test]
fn a_token_signed_by_nobody_or_with_what_everybody_knows_is_refused() {
    let pair = Pair::new();
    let keys = keys(&[pair.jwk("k1")]);
    let good = pair.sign("k1", &claims());
    let [_, body, signature] = <[&str; 3]>::try_from(good.split('.').collect::<Vec<_>>()).unwrap();
    let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    for alg in ["none", "None", "NONE", ""] {
        for signature in ["", signature] {
            let token = format!("{}.{body}.{signature}", part(json!({"alg": alg, "kid": "k1"})));
            let said = verify(&token, &keys, &expected());
            assert_eq!(said, Err(IdTokenError::Algorithm(alg.to_owned())));
        }
    }
    // The public key as the secret of an HMAC, in each form that it may be had in.
    for secret in [pair.public.clone(), pair.jwk("k1").to_string().into_bytes()] {
        let head = JwtHeader { kid: Some("k1".to_owned()), ..JwtHeader::new(Algorithm::HS256) };
        let token = encode(&head, &claims(), &EncodingKey::from_secret(&secret)).unwrap();
        assert_eq!(verify(&token, &keys, &expected()), Err(IdTokenError::Algorithm("HS256".to_owned())));
    }
    // An algorithm that is taken in general and not from this provider.
    let only = Expected { algorithms: &[Algorithm::RS256], ..expected() };
    assert_eq!(verify(&good, &keys, &only), Err(IdTokenError::Algorithm("ES256".to_owned())));
    let crit = format!("{}.{body}.{signature}", part(json!({"alg": "ES256", "kid": "k1", "crit": ["x"]})));
    assert!(matches!(verify(&crit, &keys, &expected()), Err(IdTokenError::Form(_))));
}

#[test]
fn a_changed_or_foreign_signature_is_refused() {
    let (pair, other) = (Pair::new(), Pair::new());
    let keys = keys(&[pair.jwk("k1")]);
    assert_eq!(verify(&other.sign("k1", &claims()), &keys, &expected()), Err(IdTokenError::Signature));
    let good = pair.sign("k1", &claims());
    let [head, _, signature] = <[&str; 3]>::try_from(good.split('.').collect::<Vec<_>>()).unwrap();
    let admin = BASE64_URL_SAFE_NO_PAD.encode(changed("sub", json!("root")).to_string());
    let forged = format!("{head}.{admin}.{signature}");
    assert_eq!(verify(&forged, &keys, &expected()), Err(IdTokenError::Signature));
    for bad in ["", ".", "..", "a.b", "a.b.c", &good[..good.len() - 4], &format!("{good}.x")] {
        assert!(verify(bad, &keys, &expected()).is_err(), "{bad}");
    }
}

#[test]
fn the_key_is_the_one_that_is_named_and_fits() {
    let (pair, other) = (Pair::new(), Pair::new());
    let with = |key: &str, value: Value| {
        let mut jwk = pair.jwk("k1");
        jwk[key] = value;
        jwk
    };
    let unknown = Err(IdTokenError::UnknownKey);
    let rows = [
        (vec![other.jwk("k0"), pair.jwk("k1")], Ok(())),
        (vec![pair.jwk("k2")], unknown.clone()),
        (vec![], unknown.clone()),
        (vec![with("use", json!("enc"))], unknown.clone()),
        (vec![with("alg", json!("ES384"))], unknown.clone()),
        (vec![with("crv", json!("P-384"))], unknown.clone()),
        // A secret that is published verifies nothing.
        (vec![json!({"kty": "oct", "kid": "k1", "k": "AAAA"})], unknown.clone()),
        // Two of one name: which one is meant is not the token's choice.
        (vec![pair.jwk("k1"), other.jwk("k1")], unknown),
        // What cannot be read is passed over.
        (vec![json!({"kty": "new", "kid": "k1"}), json!(7), pair.jwk("k1")], Ok(())),
    ];
    for (published, expected_answer) in rows {
        let said = verify(&pair.sign("k1", &claims()), &keys(&published), &expected()).map(|_| ());
        assert_eq!(said, expected_answer, "{published:?}");
    }
}
