//! Close frames (RFC 6455 section 5.5.1), the words in which a WebSocket is told why it ends.

use bytes::{BufMut, Bytes, BytesMut};

/// The longest reason in bytes: a control frame holds 125, two of them the code.
pub const REASON_BYTES_MAX: usize = 123;

/// A close code that may be sent. 1005, 1006 and 1015 may not (RFC 6455 section 7.4.1) and cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// The gateway restarts; come back in a moment (IANA: Service Restart).
    pub const SERVICE_RESTART: Self = Self(1012);
    /// The session is over (IANA: Timeout).
    pub const TIMEOUT: Self = Self(3008);

    /// The number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }
}

/// A whole Close frame: unmasked towards a client, masked towards an upstream with the mask that is handed in, which
/// must be freshly random (RFC 6455 section 5.3). The reason is cut at [`REASON_BYTES_MAX`], between characters.
#[must_use]
pub fn close_frame(code: CloseCode, reason: &str, mask: Option<[u8; 4]>) -> Bytes {
    let reason = reason.get(..reason.floor_char_boundary(REASON_BYTES_MAX)).unwrap_or_default();
    let mut payload = BytesMut::with_capacity(2 + reason.len());
    payload.put_u16(code.0);
    payload.put_slice(reason.as_bytes());
    // At most 125, which the length field holds beside the mask bit.
    let length = u8::try_from(payload.len()).unwrap_or(125);
    let mut frame = BytesMut::with_capacity(6 + payload.len());
    frame.put_u8(0x88);
    match mask {
        None => frame.put_u8(length),
        Some(mask) => {
            frame.put_u8(0x80 | length);
            frame.put_slice(&mask);
            payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        }
    }
    frame.put_slice(&payload);
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::websocket::frames::FrameTracker;

    #[test]
    fn unmasked_and_masked() {
        assert_eq!(&close_frame(CloseCode::TIMEOUT, "idle", None)[..], b"\x88\x06\x0b\xc0idle");
        assert_eq!(
            &close_frame(CloseCode::TIMEOUT, "idle", Some([1, 2, 3, 4]))[..],
            &[0x88, 0x86, 1, 2, 3, 4, 0x0b ^ 1, 0xc0 ^ 2, b'i' ^ 3, b'd' ^ 4, b'l' ^ 1, b'e' ^ 2]
        );
    }

    #[test]
    fn reasons_are_cut_between_characters() {
        for (reason, kept) in [
            (String::new(), 0),
            ("a".repeat(123), 123),
            ("a".repeat(500), 123),
            ("\u{e9}".repeat(100), 122),
            ("\u{1f512}".repeat(40), 120),
        ] {
            for mask in [None, Some([9; 4])] {
                let frame = close_frame(CloseCode::SERVICE_RESTART, &reason, mask);
                assert_eq!(frame.len(), 4 + kept + mask.map_or(0, |_| 4));
                let mut tracker = FrameTracker::default();
                let seen = tracker.feed(&frame).unwrap();
                assert!(tracker.at_boundary() && tracker.close_seen() && seen.control_frames == 1);
            }
        }
    }
}
