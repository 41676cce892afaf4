//! `X-Nightlatch-Assertion`: what it says, to whom, for how long, and by which key.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers fail the test they serve"
)]

mod common;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use common::{
    Making, OK, Site,
    browser::{field, json},
    recording,
};
use nightlatch_core::{Kind, Subject};
use nightlatch_engine::{Lower, ManualTime, Start, StepUp, Tighter, Token};
use nightlatch_http::{AppSettings, Settings, route::RoutePattern};
use serde_json::{Value, json};
use std::{fs, sync::Arc};
use tokio::sync::mpsc::UnboundedReceiver;

/// Shortly after the beginning of a period of thirty days.
const BEGIN: u64 = 1_800_576_000;
const PERIOD: u64 = 30 * 86_400;
/// The idle limit of the sites here.
const IDLE: u64 = 600;

struct Seen {
    site: Site,
    time: Arc<ManualTime>,
    noted: UnboundedReceiver<String>,
}

impl Seen {
    async fn new(assertion: bool) -> Seen {
        let (upstream, noted) = recording(|_| OK.to_owned()).await;
        let time = Arc::new(ManualTime::new(BEGIN * 1_000_000_000));
        let public = vec![RoutePattern::parse("GET /public").unwrap()];
        let app = AppSettings { assertion, public, ..AppSettings::default() };
        let settings = Settings { public_origin: Some("https://desk.example".into()), ..Settings::default() };
        let making = Making { app, settings, time: Box::new(Arc::clone(&time)), ..Making::new(upstream) };
        Seen { site: Site::made(making).await, time, noted }
    }

    fn pass(&self, secs: u64) {
        self.time.advance(secs * 1_000_000_000);
    }

    /// The assertions that the application is told in a request with these fields.
    async fn told(&mut self, path: &str, fields: &str) -> Vec<String> {
        let mut client = self.site.connect().await;
        client.send(&format!("GET {path} HTTP/1.1\nHost: desk\n{fields}\n")).await;
        let answer = client.answer().await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let request = self.noted.recv().await.unwrap();
        let named = |line: &str| {
            let (name, value) = line.split_once(": ")?;
            let same = name.to_ascii_lowercase().replace('_', "-") == "x-nightlatch-assertion";
            same.then(|| value.to_owned())
        };
        request.lines().filter_map(named).collect()
    }

    /// The one assertion of a request by a script, which is passive.
    async fn assertion(&mut self, token: &Token) -> String {
        let fields = format!("Authorization: Bearer {}\nSec-Fetch-Mode: cors\n", token.reveal());
        let [one] = self.told("/", &fields).await.try_into().unwrap();
        one
    }

    async fn published(&self) -> (String, Value) {
        let mut client = self.site.connect().await;
        client.send("GET /_nightlatch/jwks.json HTTP/1.1\nHost: desk\n\n").await;
        let answer = client.answer().await;
        let keys = json(&answer);
        (answer, keys)
    }

    /// The claims, if a published key has signed them.
    async fn verified(&self, assertion: &str) -> Value {
        let (_, keys) = self.published().await;
        claims(assertion, &keys).unwrap_or_else(|| panic!("none of {keys} signed {assertion}"))
    }
}

fn part(text: &str) -> Value {
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}

fn kid(assertion: &str) -> String {
    let head = part(assertion.split('.').next().unwrap());
    assert_eq!((&head["alg"], &head["typ"]), (&json!("ES256"), &json!("JWT")));
    head["kid"].as_str().unwrap().to_owned()
}

fn claims(assertion: &str, keys: &Value) -> Option<Value> {
    let key = keys["keys"].as_array()?.iter().find(|key| key["kid"] == kid(assertion).as_str())?;
    let point = ["x", "y"].map(|name| BASE64_URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap());
    let point = [&[4], &*point[0], &*point[1]].concat();
    let (signed, signature) = assertion.rsplit_once('.')?;
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?;
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed.as_bytes(), &signature).ok()?;
    Some(part(signed.split('.').nth(1)?))
}

#[tokio::test]
async fn it_says_who_it_is_for_one_application() {
    let mut seen = Seen::new(true).await;
    let start = Start {
        subject: Subject {
            provider: "https://idp.example".into(),
            name: "J\u{fc}rgen, \"the\" trader".into(),
        },
        kind: Kind::Person,
        groups: vec!["traders".into(), "a,b".into()],
        app: None,
        acr: Some("urn:mfa".into()),
        authenticated: Some(nightlatch_core::Time::from_millis((BEGIN - 100) * 1_000)),
        continues: None,
        provider_session: None,
        parent: None,
        tighter: Tighter::default(),
        cause: "test",
    };
    let (session, token) = seen.site.engine().start(start).unwrap().known(seen.site.engine()).await;
    let assertion = seen.assertion(&token).await;
    assert_eq!(
        seen.verified(&assertion).await,
        json!({
            "iss": "https://desk.example", "aud": "app", "sub": "J\u{fc}rgen, \"the\" trader",
            "provider": "https://idp.example", "sid": session.facts.id.to_string(), "groups": ["traders", "a,b"],
            "auth_time": BEGIN - 100, "acr": "urn:mfa", "iat": BEGIN, "exp": BEGIN + 10,
        })
    );
    assert!(!assertion.contains(token.reveal()));
    let unknown = seen.site.sign_in("ada").await;
    let ada = seen.assertion(&unknown).await;
    let ada = seen.verified(&ada).await;
    assert_eq!((ada.get("acr"), &ada["sub"]), (None, &json!("ada")), "what is not known is left out");
}

#[tokio::test]
async fn what_a_client_sends_under_this_name_goes_no_further() {
    let mut seen = Seen::new(true).await;
    let token = seen.site.sign_in("ada").await;
    let forged = "X-Nightlatch-Assertion: forged\nX_Nightlatch_Assertion: forged\nConnection: X-Nightlatch-Assertion\n";
    let bearer = format!("Authorization: Bearer {}\n", token.reveal());
    let told = seen.told("/", &format!("{forged}{bearer}")).await;
    assert_eq!(told.len(), 1);
    assert_eq!(seen.verified(&told[0]).await["sub"], "ada");
    assert_eq!(
        seen.told("/public", &format!("{forged}{bearer}")).await,
        Vec::<String>::new(),
        "nobody on a public route"
    );
    let mut other = Seen::new(false).await;
    let token = other.site.sign_in("ada").await;
    let fields = format!("{forged}Authorization: Bearer {}\n", token.reveal());
    assert_eq!(other.told("/", &fields).await, Vec::<String>::new(), "nor where it is not asked for");
    assert!(other.published().await.0.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn it_is_never_good_beyond_the_deadline() {
    let mut seen = Seen::new(true).await;
    let token = seen.site.sign_in("ada").await;
    for (at, expires) in [(0, 10), (IDLE - 8, IDLE), (IDLE - 1, IDLE)] {
        let gone = seen.time_gone();
        seen.pass(at - gone);
        let assertion = seen.assertion(&token).await;
        assert_eq!(seen.verified(&assertion).await["exp"], BEGIN + expires, "after {at} s");
    }
}

#[tokio::test]
async fn one_that_was_made_before_limits_went_down_is_not_sent_again() {
    let mut seen = Seen::new(true).await;
    let token = seen.site.sign_in("ada").await;
    let before = seen.assertion(&token).await;
    let session = seen.site.session(&token);
    let hard_end = nightlatch_core::Time::from_millis((BEGIN + 4) * 1_000);
    seen.site.engine().lower(&session, Lower { idle: None, hard_end: Some(hard_end), rule: "test" });
    let after = seen.assertion(&token).await;
    let expires = [seen.verified(&before).await["exp"].clone(), seen.verified(&after).await["exp"].clone()];
    assert_eq!(expires, [json!(BEGIN + 10), json!(BEGIN + 4)]);
}

#[tokio::test]
async fn the_same_is_sent_for_five_seconds_with_half_its_life_left() {
    let mut seen = Seen::new(true).await;
    let (ada, bob) = (seen.site.sign_in("ada").await, seen.site.sign_in("bob").await);
    let first = seen.assertion(&ada).await;
    assert_ne!(seen.assertion(&bob).await, first, "each session has its own");
    for secs in 1..=5 {
        seen.pass(1);
        assert_eq!(seen.assertion(&ada).await, first, "after {secs} s");
    }
    seen.pass(1);
    let next = seen.assertion(&ada).await;
    assert_ne!(next, first);
    assert_eq!(seen.verified(&next).await["exp"], BEGIN + 16);
}

#[tokio::test]
async fn a_fresher_authentication_is_told_at_once() {
    let mut seen = Seen::new(true).await;
    let token = seen.site.sign_in("ada").await;
    let before = seen.assertion(&token).await;
    seen.pass(2);
    let session = seen.site.session(&token);
    let step_up = StepUp { acr: Some("urn:mfa".into()), authenticated: None, cause: "test" };
    let stepping = seen.site.engine().add_authentication(&session, step_up).unwrap();
    let token = stepping.known(seen.site.engine()).await;
    let after = seen.assertion(&token).await;
    let [before, after] = [seen.verified(&before).await, seen.verified(&after).await];
    assert_eq!((&before["auth_time"], before.get("acr")), (&json!(BEGIN), None));
    assert_eq!((&after["auth_time"], &after["acr"]), (&json!(BEGIN + 2), &json!("urn:mfa")));
}

#[tokio::test]
async fn a_key_is_published_long_before_it_signs_and_long_after() {
    let mut seen = Seen::new(true).await;
    let (answer, before) = seen.published().await;
    assert_eq!(field(&answer, "cache-control"), Some("public, max-age=3600"));
    assert_eq!(field(&answer, "content-type"), Some("application/jwk-set+json"));
    assert!(!answer.contains("\"d\""), "no private half");
    let mut signed = Vec::new();
    let mut known = before.clone();
    for period in 0..3 {
        if period > 0 {
            seen.pass(PERIOD);
        }
        let token = seen.site.sign_in("ada").await;
        let assertion = seen.assertion(&token).await;
        signed.push(kid(&assertion));
        assert!(
            claims(&assertion, &known).is_some(),
            "period {period}: whoever kept the list of the one before knows it"
        );
        if period > 0 {
            known = seen.prepared(&known).await;
        }
    }
    signed.dedup();
    assert_eq!(signed.len(), 3, "each period has its own");
    let published: Vec<&str> =
        known["keys"].as_array().unwrap().iter().filter_map(|key| key["kid"].as_str()).collect();
    assert!(!published.contains(&&*signed[0]), "two periods later it is over");
    assert_eq!(
        (published.len(), published[0], published[1]),
        (3, &*signed[1], &*signed[2]),
        "the last, the present, the next"
    );
    let names = fs::read_dir(seen.site.engine().data().keys()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.starts_with("assertion-")).count(), 3, "nor is it on disk");
}

impl Seen {
    /// How long it has been running, in seconds.
    fn time_gone(&self) -> u64 {
        self.site.engine().clock().now().as_millis() / 1_000 - BEGIN
    }

    /// The published keys, once they are others than these: the next one is prepared beside the request that notices.
    async fn prepared(&self, before: &Value) -> Value {
        for _ in 0..500 {
            let (_, keys) = self.published().await;
            if keys != *before {
                return keys;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("no other key was prepared");
    }
}
