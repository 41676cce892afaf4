//! The opening handshake (RFC 6455 section 4).
//!
//! The known attack goes through a proxy that opens a tunnel because a client *asked* for an upgrade: with a wrong
//! version, say, so that the server answers 426 and goes on reading requests, which the proxy no longer looks at. The
//! rule against it has two halves. Only a well-formed request is forwarded as an upgrade at all, and only a 101 with
//! the right `Sec-WebSocket-Accept` opens the tunnel, since nobody gives that answer by accident.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, Method, StatusCode, Version};

use crate::forward::hop_by_hop::{list_has, list_members};

/// What a server appends to the key before it hashes (RFC 6455 section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// The key as text: 16 bytes in base64.
const KEY_TEXT_BYTES: usize = 24;

/// What is wrong with a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum HandshakeFault {
    /// Not GET, or not HTTP/1.1. The answer to the client is 400.
    #[error("a WebSocket handshake is a GET of HTTP/1.1")]
    NotAGet,
    /// `Upgrade` names something else beside `websocket`, or `Connection` does not say so. 400.
    #[error("`Upgrade` is not exactly `websocket`, or `Connection` does not name it")]
    Upgrade,
    /// Not version 13. 426 with `Sec-WebSocket-Version: 13`.
    #[error("the version of WebSocket is not 13")]
    Version,
    /// No key, several, or one that is not 16 bytes in base64. 400.
    #[error("the WebSocket key is not 16 bytes in base64")]
    Key,
    /// The request announces a body. 400.
    #[error("a WebSocket handshake has no body")]
    Body,
    /// The upstream did not answer 101. Not a fault of the client: the answer is passed on as an ordinary response.
    #[error("the upstream did not switch protocols")]
    NotSwitched,
    /// The upstream's `Sec-WebSocket-Accept` is missing or wrong. 502.
    #[error("the upstream switched protocols without accepting the WebSocket key")]
    Accept,
}

/// A validated handshake, of which only the answer it must get is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handshake {
    accept: [u8; 28],
}

/// Whether a request asks for WebSocket, well-formed or not. A GET that asks for it and is not well-formed must be
/// refused, not forwarded as an ordinary request.
#[must_use]
pub fn is_asked_for(headers: &HeaderMap) -> bool {
    list_has(headers, &UPGRADE, "websocket")
}

impl Handshake {
    /// Validates the request of a client (RFC 6455 section 4.2.1).
    ///
    /// # Errors
    ///
    /// The first [`HandshakeFault`] found.
    pub fn of_request(
        method: &Method,
        version: Version,
        headers: &HeaderMap,
    ) -> Result<Self, HandshakeFault> {
        if *method != Method::GET || version != Version::HTTP_11 {
            return Err(HandshakeFault::NotAGet);
        }
        if !switches_to_websocket(headers) {
            return Err(HandshakeFault::Upgrade);
        }
        if only(headers, &SEC_WEBSOCKET_VERSION) != Some(b"13") {
            return Err(HandshakeFault::Version);
        }
        let no_body = headers.get_all(CONTENT_LENGTH).into_iter().all(|length| length.as_bytes() == b"0");
        if headers.contains_key(TRANSFER_ENCODING) || !no_body {
            return Err(HandshakeFault::Body);
        }
        only(headers, &SEC_WEBSOCKET_KEY).and_then(Self::of_key).ok_or(HandshakeFault::Key)
    }

    /// Judges the answer of the upstream (RFC 6455 section 4.1, last list).
    ///
    /// # Errors
    ///
    /// [`HandshakeFault::NotSwitched`] for another status than 101; else why this 101 is not believed.
    pub fn judge(&self, status: StatusCode, headers: &HeaderMap) -> Result<(), HandshakeFault> {
        if status != StatusCode::SWITCHING_PROTOCOLS {
            return Err(HandshakeFault::NotSwitched);
        }
        if !switches_to_websocket(headers) {
            return Err(HandshakeFault::Upgrade);
        }
        if only(headers, &SEC_WEBSOCKET_ACCEPT) != Some(&self.accept) {
            return Err(HandshakeFault::Accept);
        }
        Ok(())
    }

    /// The `Sec-WebSocket-Accept` that answers this request.
    #[must_use]
    pub fn accept(&self) -> &[u8] {
        &self.accept
    }

    fn of_key(text: &[u8]) -> Option<Self> {
        let mut key = [0; KEY_TEXT_BYTES / 4 * 3];
        let length = STANDARD.decode_slice(text, &mut key).ok()?;
        if text.len() != KEY_TEXT_BYTES || length != 16 {
            return None;
        }
        let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
        hash.update(text);
        hash.update(GUID);
        let mut accept = [0; 28];
        STANDARD.encode_slice(hash.finish(), &mut accept).ok()?;
        Some(Self { accept })
    }
}

/// `Connection` names the upgrade, and `Upgrade` is `websocket` and nothing else.
fn switches_to_websocket(headers: &HeaderMap) -> bool {
    let mut upgrades = list_members(headers, &UPGRADE);
    let websocket = upgrades.next().is_some_and(|name| name.eq_ignore_ascii_case(b"websocket"));
    websocket && upgrades.next().is_none() && list_has(headers, &CONNECTION, "upgrade")
}

/// The value of a field that stands there once.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h [u8]> {
    let mut fields = headers.get_all(name).into_iter();
    let field = fields.next()?;
    fields.next().is_none().then(|| field.as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "connection: keep-alive, Upgrade\nupgrade: WebSocket\nsec-websocket-version: 13\n\
                        sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==";
    const ANSWER: &str =
        "connection: upgrade\nupgrade: websocket\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

    fn headers(lines: &str) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines.lines().filter_map(|line| line.split_once(": ")) {
            map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        map
    }

    fn request(lines: &str) -> Result<Handshake, HandshakeFault> {
        Handshake::of_request(&Method::GET, Version::HTTP_11, &headers(lines))
    }

    #[test]
    fn the_example_of_the_standard() {
        let handshake = request(GOOD).unwrap();
        assert_eq!(handshake.accept(), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(handshake.judge(StatusCode::SWITCHING_PROTOCOLS, &headers(ANSWER)), Ok(()));
    }

    #[test]
    fn requests() {
        use HandshakeFault::{Body, Key, Upgrade, Version};
        for (from, to, expected) in [
            ("keep-alive, Upgrade", "keep-alive", Upgrade),
            ("WebSocket", "websocket, h2c", Upgrade),
            ("WebSocket", "h2c", Upgrade),
            ("WebSocket", "websocket/13", Upgrade),
            ("upgrade: WebSocket", "upgrade: websocket\nupgrade: websocket", Upgrade),
            ("version: 13", "version: 8", Version),
            ("version: 13", "version: 13, 8", Version),
            ("version: 13", "version: 13\nsec-websocket-version: 13", Version),
            ("sec-websocket-version: 13", "x: y", Version),
            ("b25jZQ==", "b25jZQ", Key),
            ("b25jZQ==", "b25jZR==", Key),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZWE=", Key),
            ("dGhlIHNhbXBsZSBub25jZQ==", "", Key),
            ("sec-websocket-key", "sec-websocket-key: x\nsec-websocket-key", Key),
            ("upgrade: WebSocket", "upgrade: websocket\ncontent-length: 5", Body),
            ("upgrade: WebSocket", "upgrade: websocket\ntransfer-encoding: chunked", Body),
        ] {
            let lines = GOOD.replace(from, to);
            assert_ne!(lines, GOOD);
            assert_eq!(request(&lines), Err(expected), "{lines}");
        }
        assert!(
            request(&GOOD.replace("upgrade: WebSocket", "upgrade: websocket\ncontent-length: 0")).is_ok()
        );
        let post = Handshake::of_request(&Method::POST, http::Version::HTTP_11, &headers(GOOD));
        let old = Handshake::of_request(&Method::GET, http::Version::HTTP_10, &headers(GOOD));
        assert_eq!((post, old), (Err(HandshakeFault::NotAGet), Err(HandshakeFault::NotAGet)));
        assert!(is_asked_for(&headers("upgrade: h2c, WEBSOCKET")) && !is_asked_for(&headers("upgrade: h2c")));
    }

    #[test]
    fn answers() {
        let handshake = request(GOOD).unwrap();
        for (from, to, expected) in [
            ("s3pP", "s3pp", HandshakeFault::Accept),
            ("xOo=", "xOo", HandshakeFault::Accept),
            ("sec-websocket-accept", "x", HandshakeFault::Accept),
            ("sec-websocket-accept", "sec-websocket-accept: x\nsec-websocket-accept", HandshakeFault::Accept),
            ("connection: upgrade", "connection: close", HandshakeFault::Upgrade),
            ("upgrade: websocket", "upgrade: h2c", HandshakeFault::Upgrade),
        ] {
            let lines = ANSWER.replace(from, to);
            assert_eq!(
                handshake.judge(StatusCode::SWITCHING_PROTOCOLS, &headers(&lines)),
                Err(expected),
                "{lines}"
            );
        }
        for status in [StatusCode::OK, StatusCode::UPGRADE_REQUIRED, StatusCode::CONTINUE] {
            assert_eq!(handshake.judge(status, &headers(ANSWER)), Err(HandshakeFault::NotSwitched));
        }
    }

    proptest! {
        #[test]
        fn keys_are_16_bytes(key in any::<[u8; 16]>(), text in "[A-Za-z0-9+/=]{0,30}") {
            prop_assert!(Handshake::of_key(STANDARD.encode(key).as_bytes()).is_some());
            let decodes = STANDARD.decode(&text).is_ok_and(|key| key.len() == 16);
            prop_assert_eq!(Handshake::of_key(text.as_bytes()).is_some(), decodes);
        }
    }
}
