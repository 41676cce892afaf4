//! `upgrades`: what a request to an app may switch to (RFC 9110 section 7.8).
//!
//! What was switched to is relayed without being understood. So protocols that would carry requests of their own are refused by name:
//! the requests in them would pass without a check each.

use std::fmt;

use serde::{Serialize, Serializer};

use super::code::Code;
use super::key;
use super::mistake::Mistake;
use super::source::quoted;

/// A protocol that a request may switch to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Upgrade {
    /// RFC 6455, followed frame by frame.
    WebSocket,
    /// Another one by its token, in small letters, relayed as bytes.
    Other(String),
}

const WEBSOCKET: &str = "websocket";

impl Upgrade {
    /// Reads the token of a protocol, perhaps with a version.
    pub(super) fn parse(text: &str) -> Result<Self, Mistake> {
        let lower = text.to_ascii_lowercase();
        if lower == WEBSOCKET {
            return Ok(Self::WebSocket);
        }
        let (name, version) = lower.split_once('/').unwrap_or((&lower, "1"));
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        let is_token = |text: &str| !text.is_empty() && text.len() <= 64 && text.bytes().all(token);
        if !is_token(name) || !is_token(version) {
            let message = format!("`{}` is not a protocol that a request could name", quoted(text));
            return Err(Mistake::new(Code::BadUpgrade, message)
                .hint("write its token, with a version if it has one: `tcp`, `SPDY/3.1`"));
        }
        let carries_requests = match name {
            "h2c" | "h2" | "h3" | "http" => Some("requests in it would pass without a check each"),
            "tls" => Some("nobody could see what passes in it; set `listen.tls` instead"),
            "connect" => Some("it would lead to places that no app is matched for"),
            _ => None,
        };
        if let Some(why) = carries_requests {
            let message = format!("`{}` is not switched to: {why}", quoted(text));
            return Err(Mistake::new(Code::RefusedUpgrade, message).hint("remove it"));
        }
        if key::nearest(&lower, [WEBSOCKET].iter(), |word| word).is_some() || ["ws", "wss"].contains(&name) {
            let message = format!("`{}` is not a protocol that anybody uses", quoted(text));
            return Err(Mistake::new(Code::BadUpgrade, message).hint("did you mean `websocket`?"));
        }
        Ok(Self::Other(lower))
    }
}

impl fmt::Display for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WebSocket => f.write_str(WEBSOCKET),
            Self::Other(token) => f.write_str(token),
        }
    }
}

impl Serialize for Upgrade {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
