//! A provider says that somebody signed out there.

use crate::common::{House, begin, end_of, entries, look, request};
use nightlatch_core::{EndReason, ProviderSession, Span, Subject};
use nightlatch_engine::{Engine, Entry, ProviderLogout, Replayed, Session, Start, Token, TokenName};
use std::{
    future::Future as _,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

const ISSUER: &str = "https://idp.example";
const LAPTOP: ProviderSession = ProviderSession([1; 16]);
const PHONE: ProviderSession = ProviderSession([2; 16]);

fn at_provider(engine: &Engine, name: &str, with: Option<ProviderSession>) -> (Arc<Session>, Token) {
    let subject = Subject { provider: ISSUER.into(), name: name.into() };
    begin(engine, Start { subject, provider_session: with, ..request(name) })
}

fn logout(engine: &Engine, token: u8, subject: Option<&str>, of: Option<ProviderSession>) -> ProviderLogout {
    ProviderLogout {
        provider: ISSUER.to_owned(),
        subject: subject.map(str::to_owned),
        provider_session: of,
        token: TokenName([token; 16]),
        good_until: engine.clock().now().plus(Span::from_secs(120)),
    }
}

/// How many sessions it ends.
fn heard(engine: &Arc<Engine>, logout: &ProviderLogout) -> Result<usize, Replayed> {
    let mut ending = pin!(engine.end_at_provider(logout));
    for _ in 0..4 {
        if let Poll::Ready(ended) = ending.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return ended.map(|ended| ended.len());
        }
        engine.commit().unwrap();
    }
    panic!("it waits for more than its entries");
}

#[test]
fn a_logout_ends_what_it_names_and_nothing_else() {
    // Whom and what it names; which of Ada's laptop, phone, a session without `sid`, another provider's Ada, and Bob end.
    for (subject, of, expected) in [
        (None, Some(LAPTOP), [true, false, false, false, false]),
        (Some("zoe"), Some(LAPTOP), [true, false, true, false, false]),
        (Some("zoe"), None, [true, true, true, false, false]),
        (Some("bob"), Some(LAPTOP), [false; 5]),
        (Some("eve"), None, [false; 5]),
        (None, Some(ProviderSession([9; 16])), [false; 5]),
    ] {
        let house = House::new();
        let engine = house.open();
        let sessions = [
            at_provider(&engine, "zoe", Some(LAPTOP)),
            at_provider(&engine, "zoe", Some(PHONE)),
            at_provider(&engine, "zoe", None),
            begin(&engine, request("zoe")),
            at_provider(&engine, "bob", Some(ProviderSession([3; 16]))),
        ];
        let ended = heard(&engine, &logout(&engine, 1, subject, of)).unwrap();
        let over = sessions.each_ref().map(|(session, _)| session.end().is_some_and(|end| end.told));
        assert_eq!(over, expected, "{subject:?} {of:?}");
        assert_eq!(ended, expected.iter().filter(|over| **over).count());
        for (session, _) in sessions.iter().filter(|(session, _)| session.end().is_some()) {
            assert_eq!(end_of(session), Some((EndReason::ProviderLogout, 0)));
        }
    }
}

#[test]
fn a_token_counts_once_whatever_is_restarted() {
    let house = House::new();
    let engine = house.open();
    let (_, token) = at_provider(&engine, "zoe", Some(LAPTOP));
    let said = logout(&engine, 1, Some("zoe"), None);
    assert_eq!(heard(&engine, &said), Ok(1));
    assert_eq!(heard(&engine, &said), Err(Replayed));
    drop(engine);
    // From the ledger, then from a snapshot, which a clean stop writes.
    for by_snapshot in [false, true] {
        let engine = house.open();
        let (session, again) = at_provider(&engine, "zoe", Some(LAPTOP));
        assert_eq!(heard(&engine, &said), Err(Replayed), "{by_snapshot}");
        assert!(look(&engine, &again).is_ok());
        assert_eq!(session.provider_session(), Some(LAPTOP));
        assert!(look(&engine, &token).is_err());
        engine.stop();
    }
    let engine = house.open();
    assert_eq!(
        heard(&engine, &logout(&engine, 2, None, Some(LAPTOP))),
        Ok(2),
        "found by what a snapshot keeps"
    );
}

#[test]
fn the_record_has_the_ends_first_and_names_nobody() {
    let house = House::new();
    let engine = house.open();
    let (session, _) = at_provider(&engine, "zoe", Some(LAPTOP));
    heard(&engine, &logout(&engine, 1, Some("zoe"), Some(LAPTOP))).unwrap();
    heard(&engine, &logout(&engine, 2, Some("never seen"), None)).unwrap();
    let entries = entries(&engine);
    let words: Vec<String> =
        entries.iter().map(|entry| String::from_utf8(entry.to_bytes()).unwrap()).collect();
    let [.., ended, first, second] = entries.as_slice() else { panic!("{words:?}") };
    let Entry::SessionEnded(ended) = ended else { panic!("{words:?}") };
    let (Entry::ProviderLogout(first), Entry::ProviderLogout(second)) = (first, second) else {
        panic!("{words:?}")
    };
    assert_eq!((ended.reason.as_str(), ended.by.as_str()), ("provider_logout", "provider"));
    assert_eq!(first.subject, Some(session.facts.who.pseudonym.to_string()));
    assert_eq!((first.ended, second.ended, &second.subject), (1, 0, &None));
    assert!(words.iter().all(|words| !words.contains("never seen") && !words.contains("zoe")), "{words:?}");
}
