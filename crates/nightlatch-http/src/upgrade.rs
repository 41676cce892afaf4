//! What a request may switch to (RFC 9110 section 7.8): WebSocket, or another protocol that the application's list names.
//!
//! A proxy that opens a tunnel because a client asked for one lets requests through that nobody checks. So a tunnel needs
//! three things: the application lists the protocol, the request is whole, and the application answers 101 with that same protocol and no
//! other. WebSocket proves besides that its key was understood. Protocols that carry requests of their own (h2c) cannot be listed.
//!
//! WebSocket is followed frame by frame. Of any other protocol nothing is known: its bytes are relayed, on an active route
//! those from the client are activity, and the cut is a reset, since there are no words to say it in.
//!
//! Out of scope: servers that take over a connection after an ordinary 200 (Docker's `attach` without `Upgrade`).

use crate::{
    forward::{
        hop_by_hop::{list_has, list_members},
        request::has_unexpected_body,
    },
    websocket::handshake::{Handshake, HandshakeFault, is_asked_for},
};
use http::{
    HeaderMap, HeaderValue, Method, StatusCode, Version,
    header::{CONNECTION, UPGRADE},
};
use nightlatch_engine::Channel;

/// What an application lets requests switch to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Upgrades {
    /// Whether to WebSocket.
    pub(crate) websocket: bool,
    /// Tokens of other protocols.
    pub(crate) others: Vec<String>,
}

/// A protocol that a request asks for, and may have.
#[derive(Clone, Debug)]
pub(crate) enum Switch {
    /// WebSocket, with the proof that it is one.
    WebSocket(Handshake),
    /// Another one, as the client spells it.
    Bytes(HeaderValue),
}

/// How a request came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asking<'a> {
    pub(crate) method: &'a Method,
    pub(crate) version: Version,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) has_body: bool,
}

impl Upgrades {
    /// What this request may switch to, if the application agrees. What is not listed is not asked for: the request goes on as an
    /// ordinary one, as RFC 9110 allows.
    ///
    /// # Errors
    /// If it asks for a WebSocket in a way that is none.
    pub(crate) fn asked_for(&self, asking: Asking<'_>) -> Result<Option<Switch>, HandshakeFault> {
        let Asking { method, version, headers, has_body } = asking;
        if !headers.contains_key(UPGRADE) {
            return Ok(None);
        }
        if self.websocket && is_asked_for(headers) {
            return Handshake::of_request(method, version, headers)
                .map(|shake| Some(Switch::WebSocket(shake)));
        }
        let may = version == Version::HTTP_11
            && list_has(headers, &CONNECTION, "upgrade")
            && !has_unexpected_body(method, has_body);
        if !may {
            return Ok(None);
        }
        let listed = list_members(headers, &UPGRADE)
            .find(|asked| self.others.iter().any(|other| asked.eq_ignore_ascii_case(other.as_bytes())));
        Ok(listed.and_then(|token| HeaderValue::from_bytes(token).ok()).map(Switch::Bytes))
    }
}

impl Switch {
    /// The protocol, as `Upgrade` says it.
    pub(crate) fn protocol(&self) -> HeaderValue {
        match self {
            Switch::WebSocket(_) => HeaderValue::from_static("websocket"),
            Switch::Bytes(token) => token.clone(),
        }
    }

    /// Whether an application's 101 is believed.
    pub(crate) fn is_accepted_by(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        match self {
            Switch::WebSocket(handshake) => handshake.judge(status, headers).is_ok(),
            Switch::Bytes(token) => {
                let mut named = list_members(headers, &UPGRADE);
                status == StatusCode::SWITCHING_PROTOCOLS
                    && list_has(headers, &CONNECTION, "upgrade")
                    && named.next().is_some_and(|named| named.eq_ignore_ascii_case(token.as_bytes()))
                    && named.next().is_none()
            }
        }
    }

    /// Whether its bytes are WebSocket's frames.
    pub(crate) fn is_websocket(&self) -> bool {
        matches!(self, Switch::WebSocket(_))
    }

    /// The channel that it opens, for the record.
    pub(crate) fn channel(&self) -> Channel {
        match self {
            Switch::WebSocket(_) => Channel::WebSocket,
            Switch::Bytes(_) => Channel::Upgrade,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::request::tests::headers;

    fn asks(line: &str, lines: &str) -> String {
        let upgrades = Upgrades { websocket: true, others: vec!["spdy/3.1".into(), "tcp".into()] };
        let (method, version) = line.split_once(' ').unwrap();
        let version = if version == "1.1" { Version::HTTP_11 } else { Version::HTTP_10 };
        let asking = Asking {
            method: &method.parse().unwrap(),
            version,
            headers: &headers(lines),
            has_body: lines.contains("content-length"),
        };
        match upgrades.asked_for(asking) {
            Ok(None) => "ordinary".to_owned(),
            Ok(Some(switch)) => switch.protocol().to_str().unwrap().to_owned(),
            Err(fault) => format!("{fault:?}"),
        }
    }

    #[test]
    fn what_is_asked_for() {
        for (line, lines, expected) in [
            ("GET 1.1", "accept: x", "ordinary"),
            ("POST 1.1", "connection: Upgrade\nupgrade: SPDY/3.1", "SPDY/3.1"),
            ("POST 1.1", "connection: upgrade\nupgrade: TCP\ncontent-length: 2", "TCP"),
            ("GET 1.1", "connection: upgrade\nupgrade: h2c, tcp", "tcp"),
            ("GET 1.1", "connection: upgrade\nupgrade: h2c\nupgrade: spdy/3.1", "spdy/3.1"),
            // not listed, or not asked for to the letter
            ("GET 1.1", "connection: upgrade\nupgrade: h2c", "ordinary"),
            ("GET 1.1", "connection: upgrade\nupgrade: spdy", "ordinary"),
            ("GET 1.1", "connection: upgrade\nupgrade: spdy/3", "ordinary"),
            ("GET 1.1", "upgrade: tcp", "ordinary"),
            ("GET 1.0", "connection: upgrade\nupgrade: tcp", "ordinary"),
            // a body that nobody expects is enough to be wrong about
            ("GET 1.1", "connection: upgrade\nupgrade: tcp\ncontent-length: 2", "ordinary"),
            // a WebSocket is one or is refused
            ("GET 1.1", "connection: upgrade\nupgrade: websocket, tcp", "Upgrade"),
        ] {
            assert_eq!(asks(line, lines), expected, "{line} {lines}");
        }
    }

    #[test]
    fn what_is_believed() {
        let switch = Switch::Bytes(HeaderValue::from_static("SPDY/3.1"));
        for (status, lines, expected) in [
            (101, "connection: Upgrade\nupgrade: spdy/3.1", true),
            (200, "connection: Upgrade\nupgrade: spdy/3.1", false),
            (101, "connection: Upgrade\nupgrade: spdy/3.1, tcp", false),
            (101, "connection: Upgrade\nupgrade: spdy/3.1\nupgrade: tcp", false),
            (101, "connection: Upgrade\nupgrade: h2c", false),
            (101, "connection: Upgrade", false),
            (101, "upgrade: spdy/3.1", false),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(switch.is_accepted_by(status, &headers(lines)), expected, "{status} {lines}");
        }
    }
}
