//! Where the body of an application's answer ends (RFC 9112 section 6.3): said once, or the answer is not used.
//!
//! An answer that says it twice is read one way here and perhaps another way by the client or by a cache in between, and the
//! difference is somebody's next answer. The HTTP library chooses one of the two without a word; so what was said is judged again from the fields.

use super::hop_by_hop::list_members;
use http::{
    HeaderMap, HeaderValue,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
};

/// Why an answer's end cannot be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum FramingFault {
    /// A length and a transfer coding.
    #[error("it has a length and a transfer coding")]
    Both,
    /// A transfer coding other than `chunked`, once: nobody here takes it off.
    #[error("its transfer coding is not `chunked` alone")]
    Coding,
    /// Different lengths, or one that is no number.
    #[error("its length is not one number")]
    Length,
}

/// Leaves one length in the fields of an answer, or none.
///
/// # Errors
///
/// [`FramingFault`]; the answer must not be used then, nor its connection.
pub fn one_framing(headers: &mut HeaderMap) -> Result<(), FramingFault> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        let chunked = coding.as_bytes().eq_ignore_ascii_case(b"chunked") && codings.next().is_none();
        return match () {
            () if headers.contains_key(CONTENT_LENGTH) => Err(FramingFault::Both),
            () if !chunked => Err(FramingFault::Coding),
            () => Ok(()),
        };
    }
    if !headers.contains_key(CONTENT_LENGTH) {
        return Ok(());
    }
    let length = one_number(headers).ok_or(FramingFault::Length)?;
    // The same length twice, or in a list, is one length (RFC 9110 section 8.6).
    let written = HeaderValue::from(length);
    if headers.get(CONTENT_LENGTH) != Some(&written) || headers.get_all(CONTENT_LENGTH).iter().count() > 1 {
        headers.insert(CONTENT_LENGTH, written);
    }
    Ok(())
}

/// The number that every member of every length is.
fn one_number(headers: &HeaderMap) -> Option<u64> {
    let mut numbers = list_members(headers, &CONTENT_LENGTH).map(number);
    let first = numbers.next()??;
    numbers.all(|number| number == Some(first)).then_some(first)
}

fn number(digits: &[u8]) -> Option<u64> {
    let plain = digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| plain)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::request::tests::{headers, show};
    use super::*;

    #[test]
    fn rows() {
        use FramingFault::{Both, Coding, Length};
        for (before, after) in [
            ("content-length: 5", Ok("content-length: 5")),
            ("content-length: 5\ncontent-length: 5", Ok("content-length: 5")),
            ("content-length: 5, 5", Ok("content-length: 5")),
            ("content-length: 005", Ok("content-length: 5")),
            ("x: y", Ok("x: y")),
            ("transfer-encoding: Chunked", Ok("transfer-encoding: Chunked")),
            ("content-length: 5\ncontent-length: 6", Err(Length)),
            ("content-length: 5, 6", Err(Length)),
            ("content-length: +5", Err(Length)),
            ("content-length: -0", Err(Length)),
            ("content-length: 0x5", Err(Length)),
            ("content-length:", Err(Length)),
            ("content-length: 18446744073709551616", Err(Length)),
            ("content-length: 5\ntransfer-encoding: chunked", Err(Both)),
            ("content-length: 5\ntransfer-encoding: identity", Err(Both)),
            ("transfer-encoding: gzip, chunked", Err(Coding)),
            ("transfer-encoding: chunked, chunked", Err(Coding)),
            ("transfer-encoding: chunked\ntransfer-encoding: chunked", Err(Coding)),
            ("transfer-encoding: identity", Err(Coding)),
            ("transfer-encoding:", Err(Coding)),
        ] {
            let mut map = headers(before);
            let judged = one_framing(&mut map).map(|()| show(&map));
            assert_eq!(judged, after.map(str::to_owned), "{before}");
        }
    }
}
