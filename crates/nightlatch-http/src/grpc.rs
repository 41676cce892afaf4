//! gRPC over HTTP/2: where one message ends, and how a call is told that it is over.
//!
//! A call is a POST whose answer is messages and then trailers with the outcome, `grpc-status` (gRPC over HTTP/2, "Responses"). So a call
//! whose session ends can be told: in an answer that is nothing but trailers if none has begun, in trailers if one has and ends
//! between two messages. Inside a message no word fits, and the stream is reset.
//!
//! A message is a byte that says whether it is compressed, four of length, and that many more. Only the lengths are followed; nothing is
//! kept back, so a large message streams through.
//!
//! gRPC-Web is another protocol, made for HTTP/1: its outcome is in the body. Its calls are treated as ordinary requests.

use http::{
    HeaderMap, HeaderValue, StatusCode, Version,
    header::{CONTENT_TYPE, HeaderName},
};
use nightlatch_core::EndReason;

use crate::cookies::trim;

/// The outcome of a call, as a number.
pub const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// The outcome in words, percent-encoded.
pub const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const OUTCOME: HeaderName = HeaderName::from_static("nightlatch-outcome");
/// The content type of an answer that has no message.
const CONTENT: HeaderValue = HeaderValue::from_static("application/grpc");
const PREFIX_BYTES: usize = 5;

/// The outcomes that a gateway has to tell (gRPC status codes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Nobody can say what became of it.
    Unknown = 2,
    /// The request is not one.
    InvalidArgument = 3,
    /// The caller may not.
    PermissionDenied = 7,
    /// There is too much of it.
    ResourceExhausted = 8,
    /// There is no such thing here.
    Unimplemented = 12,
    /// The application did not answer, and has not acted on it.
    Unavailable = 14,
    /// Nobody is signed in, or nobody any more.
    Unauthenticated = 16,
}

impl Status {
    /// What corresponds to an answer that says so in HTTP.
    #[must_use]
    pub fn of(status: StatusCode) -> Status {
        match status.as_u16() {
            401 => Status::Unauthenticated,
            403 => Status::PermissionDenied,
            404 | 405 | 421 => Status::Unimplemented,
            413 | 431 => Status::ResourceExhausted,
            429 | 502..=504 => Status::Unavailable,
            400..=499 => Status::InvalidArgument,
            _ => Status::Unknown,
        }
    }
}

/// Whether this is a call, or the answer to one.
#[must_use]
pub fn is_call(version: Version, headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).filter(|_| version == Version::HTTP_2);
    let parts = kind.and_then(|kind| trim(kind.as_bytes()).split_at_checked(CONTENT.len()));
    parts.is_some_and(|(kind, rest)| {
        kind.eq_ignore_ascii_case(CONTENT.as_bytes())
            && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
    })
}

/// The fields that tell an outcome: trailers, or all there is of an answer.
#[must_use]
pub fn outcome(status: Status, message: &str) -> HeaderMap {
    let mut fields = HeaderMap::new();
    fields.insert(GRPC_STATUS, HeaderValue::from(status as u16));
    // Percent-encoded text is a field value.
    fields.extend(HeaderValue::try_from(encoded(message)).ok().map(|message| (GRPC_MESSAGE, message)));
    fields
}

/// The trailers of a call whose session is over.
#[must_use]
pub fn over(reason: EndReason) -> HeaderMap {
    outcome(Status::Unauthenticated, reason.code())
}

/// The head of an answer that is nothing but trailers.
#[must_use]
pub fn trailers_only(status: Status, message: &str, unknown_outcome: bool) -> HeaderMap {
    let mut fields = outcome(status, message);
    fields.insert(CONTENT_TYPE, CONTENT);
    if unknown_outcome {
        fields.insert(OUTCOME, HeaderValue::from_static("unknown"));
    }
    fields
}

/// Percent-encoding of everything but visible ASCII and blanks, and of `%`.
fn encoded(message: &str) -> String {
    use std::fmt::Write as _;
    message.bytes().fold(String::with_capacity(message.len()), |mut out, byte| {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
        out
    })
}

/// Follows the messages of one direction of a call, from its first byte.
#[derive(Clone, Copy, Debug, Default)]
pub struct Messages {
    prefix: [u8; PREFIX_BYTES],
    /// Bytes of the next prefix so far.
    filled: usize,
    /// Bytes of the message under way that are still to come.
    message: u32,
}

impl Messages {
    /// Takes the next bytes.
    pub fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let skipped = bytes.len().min(usize::try_from(self.message).unwrap_or(usize::MAX));
            self.message -= u32::try_from(skipped).unwrap_or(self.message);
            bytes = &bytes[skipped..];
            let taken = bytes.len().min(PREFIX_BYTES - self.filled);
            self.prefix[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
            self.filled += taken;
            bytes = &bytes[taken..];
            if self.filled == PREFIX_BYTES {
                let [_, length @ ..] = self.prefix;
                self.message = u32::from_be_bytes(length);
                self.filled = 0;
            }
        }
    }

    /// Whether all that was taken ends between two messages.
    #[must_use]
    pub fn at_boundary(&self) -> bool {
        self.filled == 0 && self.message == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_boundary_is_where_a_message_ends_and_nowhere_else(
            lengths in prop::collection::vec(0_u32..70, 0..12),
            piece in 1_usize..40,
        ) {
            let mut bytes = Vec::new();
            let mut ends = vec![0];
            for length in &lengths {
                bytes.push(0);
                bytes.extend(length.to_be_bytes());
                bytes.extend(std::iter::repeat_n(0xff, *length as usize));
                ends.push(bytes.len());
            }
            let (mut messages, mut seen) = (Messages::default(), 0);
            prop_assert!(messages.at_boundary());
            for piece in bytes.chunks(piece) {
                messages.follow(piece);
                seen += piece.len();
                prop_assert_eq!(messages.at_boundary(), ends.contains(&seen), "after {} bytes", seen);
            }
        }

        #[test]
        fn never_panics(pieces in prop::collection::vec(any::<Vec<u8>>(), 0..8)) {
            let mut messages = Messages::default();
            pieces.iter().for_each(|piece| messages.follow(piece));
        }
    }

    #[test]
    fn what_is_a_call() {
        let rows = [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("Application/GRPC; charset=utf-8", true),
            (" application/grpc ", true),
            ("application/grpc-web", false),
            ("application/grpcx", false),
            ("application/json", false),
        ];
        for (kind, expected) in rows {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]);
            assert_eq!(is_call(Version::HTTP_2, &headers), expected, "{kind}");
            assert!(!is_call(Version::HTTP_11, &headers));
        }
        assert!(!is_call(Version::HTTP_2, &HeaderMap::new()));
    }

    #[test]
    fn words() {
        let fields = trailers_only(Status::Unauthenticated, "50% o\u{fc}t\n", true);
        assert_eq!(fields[GRPC_STATUS], "16");
        assert_eq!(fields[GRPC_MESSAGE], "50%25 o%C3%BCt%0A");
        assert_eq!(fields[OUTCOME], "unknown");
        assert_eq!(over(EndReason::IdleTimeout)[GRPC_MESSAGE], "idle_timeout");
    }

    #[test]
    fn what_http_says_in_grpc() {
        let rows =
            [(400, 3), (401, 16), (403, 7), (404, 12), (421, 12), (431, 8), (502, 14), (504, 14), (500, 2)];
        for (http, grpc) in rows {
            assert_eq!(Status::of(StatusCode::from_u16(http).unwrap()) as u16, grpc, "{http}");
        }
    }
}
