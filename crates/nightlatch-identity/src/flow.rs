//! A sign-in under way: bound to one browser, good once, over in minutes.
//!
//! What a flow is (which provider, since when, back to where) travels in a cookie of its own under a MAC, so that beginning one costs this
//! gateway no memory, however many are begun. `state` is the flow's random name; `nonce` and the PKCE verifier are made from the name and a
//! key, so neither stands in the cookie or in any address. The answer counts only in the browser that holds the cookie.
//!
//! What has to be remembered is which flows are *used*, their code taken by the provider, until they would have been over anyway. The key lives as long as the process: after a
//! restart no flow of before is good, so none is good twice. Whoever was signing in just then begins again.

use aws_lc_rs::{constant_time, digest, hmac, rand};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use nightlatch_core::{Span, Time};
use serde::{Deserialize, Serialize};
use std::{
    collections::{HashSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// How long somebody may take at the provider.
pub const FLOW_LIFE: Span = Span::from_secs(600);
/// Used flows that are remembered: some 330 sign-ins in each second of a flow's life. Beyond it none is finished until some are over.
const USED_MOST: usize = 200_000;

/// A flow's random name.
pub(crate) type FlowId = [u8; 16];

/// What is kept of a flow, by the browser.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Flow {
    pub(crate) id: FlowId,
    /// The provider's name here.
    pub(crate) provider: String,
    /// Milliseconds since the Unix epoch.
    pub(crate) started: u64,
    pub(crate) return_to: String,
    /// The redirect URI that the code is bound to.
    pub(crate) redirect_uri: String,
    /// Whether only an authentication will do that is made for this flow.
    pub(crate) fresh: bool,
    /// What `acr` the provider has to answer with, if any one is asked for.
    pub(crate) acr: Option<String>,
    /// How often the provider was asked before and answered with an authentication that would not do.
    pub(crate) stale_before: u8,
}

/// Why an answer belongs to no flow of this browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlowError {
    /// It was begun in another browser, or never.
    #[error("this browser did not begin this sign-in")]
    Unknown,
    /// It took too long.
    #[error("this sign-in was begun too long ago")]
    Over,
    /// It was finished before.
    #[error("this sign-in was finished before")]
    Used,
    /// More are being finished than can be remembered.
    #[error("too many people are signing in at this moment")]
    Full,
}

/// Makes flows and tells whether an answer is to one of them.
pub(crate) struct Flows {
    key: hmac::Key,
    used: Mutex<Used>,
}

#[derive(Default)]
struct Used {
    ids: HashSet<FlowId>,
    /// In the order in which they were used, with the instant after which they need not be remembered.
    until: VecDeque<(Time, FlowId)>,
}

impl Flows {
    /// With a key of its own.
    pub(crate) fn new() -> Result<Flows, aws_lc_rs::error::Unspecified> {
        let mut key = [0; 32];
        rand::fill(&mut key)?;
        Ok(Flows { key: hmac::Key::new(hmac::HMAC_SHA256, &key), used: Mutex::default() })
    }

    /// A name for a new flow.
    pub(crate) fn name() -> Result<FlowId, aws_lc_rs::error::Unspecified> {
        let mut id = FlowId::default();
        rand::fill(&mut id)?;
        Ok(id)
    }

    /// The flow as its browser keeps it.
    pub(crate) fn seal(&self, flow: &Flow) -> String {
        // Numbers and text, which have a JSON form always.
        let kept = serde_json::to_vec(flow).unwrap_or_default();
        let mac = hmac::sign(&self.key, &labelled("flow", &kept));
        format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(&kept), BASE64_URL_SAFE_NO_PAD.encode(mac))
    }

    /// The flow that a browser kept, if the answer names it.
    pub(crate) fn open(&self, kept: &str, state: &str, now: Time) -> Result<Flow, FlowError> {
        let flow = self.read(kept).ok_or(FlowError::Unknown)?;
        let named = constant_time::verify_slices_are_equal(state_of(&flow.id).as_bytes(), state.as_bytes());
        named.map_err(|_| FlowError::Unknown)?;
        if now >= Time::from_millis(flow.started).plus(FLOW_LIFE) {
            return Err(FlowError::Over);
        }
        Ok(flow)
    }

    fn read(&self, kept: &str) -> Option<Flow> {
        let (kept, mac) = kept.split_once('.')?;
        let kept = BASE64_URL_SAFE_NO_PAD.decode(kept).ok()?;
        let mac = BASE64_URL_SAFE_NO_PAD.decode(mac).ok()?;
        hmac::verify(&self.key, &labelled("flow", &kept), &mac).ok()?;
        serde_json::from_slice(&kept).ok()
    }

    /// Takes the flow up: of all who try at a time, one succeeds, and after [`Turn::taken`] nobody does. A flow whose code no provider took is
    /// given back: it costs nothing to begin flows and answer them with inventions, so inventions must not fill what is remembered.
    pub(crate) fn take_up(&self, flow: &Flow, now: Time) -> Result<Turn<'_>, FlowError> {
        let mut used = self.used();
        while used.until.front().is_some_and(|(until, _)| *until <= now) {
            if let Some((_, id)) = used.until.pop_front() {
                used.ids.remove(&id);
            }
        }
        if used.ids.contains(&flow.id) {
            return Err(FlowError::Used);
        }
        if used.ids.len() >= USED_MOST {
            return Err(FlowError::Full);
        }
        used.ids.insert(flow.id);
        Ok(Turn { flows: self, id: flow.id, taken: None })
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        // Whatever a thread was doing when it died, a name that is in the set is used.
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the ID token has to repeat.
    pub(crate) fn nonce(&self, id: &FlowId) -> String {
        self.derived("nonce", id)
    }

    /// The PKCE verifier (RFC 7636 section 4.1): 43 characters.
    pub(crate) fn verifier(&self, id: &FlowId) -> String {
        self.derived("verifier", id)
    }

    fn derived(&self, what: &str, id: &FlowId) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(hmac::sign(&self.key, &labelled(what, id)))
    }
}

/// A flow that is being finished. Dropped before its code was taken, it is as if nobody had tried.
pub(crate) struct Turn<'f> {
    flows: &'f Flows,
    id: FlowId,
    taken: Option<Time>,
}

impl Turn<'_> {
    /// The provider took the code: the flow is used, until it is over anyway.
    pub(crate) fn taken(mut self, now: Time) {
        self.taken = Some(now);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut used = self.flows.used();
        match self.taken {
            Some(now) => used.until.push_back((now.plus(FLOW_LIFE), self.id)),
            None => _ = used.ids.remove(&self.id),
        }
    }
}

/// What goes through the browser to the provider and back.
pub(crate) fn state_of(id: &FlowId) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(id)
}

/// The S256 challenge of a verifier (RFC 7636 section 4.2).
pub(crate) fn challenge(verifier: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()))
}

/// Bytes that can be of one kind only.
fn labelled(what: &str, bytes: &[u8]) -> Vec<u8> {
    [what.as_bytes(), &[0], bytes].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_millis(1_800_000_000_000);

    fn flow() -> Flow {
        Flow {
            id: Flows::name().unwrap(),
            provider: "firm".to_owned(),
            started: NOW.as_millis(),
            return_to: "/orders".to_owned(),
            redirect_uri: "https://desk.example/_nightlatch/callback".to_owned(),
            fresh: false,
            acr: None,
            stale_before: 0,
        }
    }

    #[test]
    fn a_flow_is_good_in_its_browser_for_its_state_and_for_minutes() {
        let (flows, flow, other) = (Flows::new().unwrap(), flow(), flow());
        let (kept, state) = (flows.seal(&flow), state_of(&flow.id));
        let end = NOW.plus(FLOW_LIFE);
        let just_before = end.minus(Span::from_millis(1));
        assert_eq!(flows.open(&kept, &state, just_before), Ok(flow.clone()));
        assert_eq!(flows.open(&kept, &state, end), Err(FlowError::Over));
        assert_eq!(flows.open(&kept, &state_of(&other.id), NOW), Err(FlowError::Unknown));
        assert_eq!(flows.open(&flows.seal(&other), &state, NOW), Err(FlowError::Unknown));
        // A restart: another key.
        assert_eq!(Flows::new().unwrap().open(&kept, &state, NOW), Err(FlowError::Unknown));
        let forged = Flow { return_to: "//evil.example".to_owned(), ..flow };
        let forged = BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(&forged).unwrap());
        let mac = kept.split_once('.').unwrap().1;
        for bad in [format!("{forged}.{mac}"), format!("{forged}."), forged, String::new(), ".".to_owned()] {
            assert_eq!(flows.open(&bad, &state, NOW), Err(FlowError::Unknown), "{bad}");
        }
    }

    #[test]
    fn a_flow_is_used_once_and_forgotten_when_it_is_over_anyway() {
        let (flows, flow, other) = (Flows::new().unwrap(), flow(), flow());
        let turn = flows.take_up(&flow, NOW).unwrap();
        // Two at a time.
        assert_eq!(flows.take_up(&flow, NOW).err(), Some(FlowError::Used));
        turn.taken(NOW);
        assert_eq!(flows.take_up(&flow, NOW).err(), Some(FlowError::Used));
        flows.take_up(&other, NOW).unwrap().taken(NOW);
        let end = NOW.plus(FLOW_LIFE);
        assert_eq!(flows.take_up(&flow, end.minus(Span::from_millis(1))).err(), Some(FlowError::Used));
        assert_eq!(flows.open(&flows.seal(&flow), &state_of(&flow.id), end), Err(FlowError::Over));
        flows.take_up(&self::flow(), end).unwrap().taken(end);
        assert_eq!(flows.used().ids.len(), 1);
    }

    #[test]
    fn answers_that_were_invented_fill_nothing() {
        let flows = Flows::new().unwrap();
        let flow = flow();
        for _ in 0..1_000 {
            drop(flows.take_up(&flow, NOW).unwrap());
            drop(flows.take_up(&self::flow(), NOW).unwrap());
        }
        let used = flows.used();
        assert_eq!((used.ids.len(), used.until.len()), (0, 0));
    }

    #[test]
    fn what_is_secret_follows_from_nothing_that_is_seen() {
        let (flows, flow) = (Flows::new().unwrap(), flow());
        let seen = format!("{} {}", flows.seal(&flow), state_of(&flow.id));
        let (nonce, verifier) = (flows.nonce(&flow.id), flows.verifier(&flow.id));
        assert_ne!(nonce, verifier);
        assert_eq!(verifier.len(), 43);
        assert!(!seen.contains(&nonce) && !seen.contains(&verifier));
        assert_ne!(verifier, Flows::new().unwrap().verifier(&flow.id));
        // RFC 7636 appendix B.
        assert_eq!(
            challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }
}
