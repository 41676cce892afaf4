//! The PROXY protocol, versions 1 and 2: where a load balancer says whose connection it passes on.
//!
//! It stands before anything else, TLS included, so it is read before anybody is anybody. [`read`] is a function of bytes: it says who, that
//! more is to come, or that this is none; nothing else in here decides. What is after the header is the client's and stays as it is.
//!
//! Only a trusted proxy may say such a thing, and on a listener for it every connection must: a client that could leave it out
//! would pass for the proxy, and one that could write it would pass for anybody.

use ppp::{HeaderResult, PartialResult, v1, v2};
use std::net::IpAddr;

/// The most bytes of a header that is taken: of version 1 there are at most 107, and version 2 may append what we do not read.
pub const MOST: usize = 2048;
/// The longest line of version 1, with its end.
const LINE_MOST: usize = 107;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// How many bytes it is long.
    pub length: usize,
    /// Who is at the other end of the proxy; none if it speaks for itself, as health checks do (`LOCAL`, `UNKNOWN`).
    pub client: Option<IpAddr>,
}

/// These bytes do not begin with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no PROXY protocol header stands first")]
pub struct NoHeader;

/// Reads the header that a connection begins with. None if more bytes are needed to tell.
///
/// # Errors
/// If what is there cannot be the beginning of a header, or is longer than [`MOST`].
pub fn read(bytes: &[u8]) -> Result<Option<Header>, NoHeader> {
    if !may_begin(bytes) {
        return Err(NoHeader);
    }
    let is_line = bytes.starts_with(v1::PROTOCOL_PREFIX.as_bytes());
    let most = if is_line { LINE_MOST } else { MOST };
    let bytes = match bytes.windows(2).position(|pair| pair == b"\r\n") {
        // Whatever stands in the line of one who does not say is to be ignored (section 2.1).
        Some(end) if is_line && is_unknown(&bytes[..end]) => {
            let length = end + 2;
            return if length > most { Err(NoHeader) } else { Ok(Some(Header { length, client: None })) };
        }
        // A line is read by itself: what follows it is the client's.
        Some(end) if is_line && may_be_line(&bytes[..end]) => &bytes[..end + 2],
        Some(_) if is_line => return Err(NoHeader),
        None if is_line => return if bytes.len() < most { Ok(None) } else { Err(NoHeader) },
        _ => bytes,
    };
    let parsed = HeaderResult::parse(bytes);
    if parsed.is_incomplete() && !is_line {
        return if bytes.len() < most { Ok(None) } else { Err(NoHeader) };
    }
    let (length, client) = match parsed {
        HeaderResult::V1(Ok(header)) => (header.header.len(), of_line(header.addresses)),
        HeaderResult::V2(Ok(header)) => (header.len(), of_block(&header)),
        HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => return Err(NoHeader),
    };
    if length > most { Err(NoHeader) } else { Ok(Some(Header { length, client })) }
}

/// Whether these few bytes are how one of the two begins.
fn may_begin(bytes: &[u8]) -> bool {
    let begins = |with: &[u8]| bytes.iter().zip(with).all(|(is, expected)| is == expected);
    begins(v1::PROTOCOL_PREFIX.as_bytes()) || begins(v2::PROTOCOL_PREFIX)
}

/// Whether the library reads this line, its end taken off, as the specification does: it takes a carriage return for a blank, and a
/// sign in front of a port.
fn may_be_line(line: &[u8]) -> bool {
    !line.contains(&b'\r') && !line.contains(&b'+')
}

/// Whether a line says that its sender does not know, or does not say, who is at the other end.
fn is_unknown(line: &[u8]) -> bool {
    let rest = line.strip_prefix(b"PROXY UNKNOWN");
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b' ')))
}

fn of_line(addresses: v1::Addresses) -> Option<IpAddr> {
    match addresses {
        v1::Addresses::Unknown => None,
        v1::Addresses::Tcp4(tcp) => Some(tcp.source_address.into()),
        v1::Addresses::Tcp6(tcp) => Some(tcp.source_address.into()),
    }
}

fn of_block(header: &v2::Header<'_>) -> Option<IpAddr> {
    match (header.command, header.addresses) {
        (v2::Command::Local, _) => None,
        (_, v2::Addresses::IPv4(tcp)) => Some(tcp.source_address.into()),
        (_, v2::Addresses::IPv6(tcp)) => Some(tcp.source_address.into()),
        (_, v2::Addresses::Unspecified | v2::Addresses::Unix(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

    fn block(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [V2, &[command, family], &length, rest].concat()
    }

    #[test]
    fn who_is_told_and_how_long_it_is() {
        let v4 = block(0x21, 0x11, &[192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x34, 0x01, 0xbb]);
        let with_more = block(0x21, 0x11, &[192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x34, 0x01, 0xbb, 4, 0, 1, 9]);
        let v6 = block(
            0x21,
            0x21,
            &[&[0x20, 1, 0x0d, 0xb8], &[0; 11][..], &[1], &[0; 16], &[0, 1, 0, 2]].concat(),
        );
        let rows: [(&[u8], Option<&str>); 9] = [
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\n", Some("192.0.2.7")),
            (b"PROXY TCP6 2001:db8::1 ::1 56324 443\r\n", Some("2001:db8::1")),
            (b"PROXY UNKNOWN\r\n", None),
            (b"PROXY UNKNOWN ffff:: +1 \r 2\r\n", None),
            (b"PROXY UNKNOWN \xff\xfe\0\r\n", None),
            (&v4, Some("192.0.2.7")),
            (&with_more, Some("192.0.2.7")),
            (&v6, Some("2001:db8::1")),
            (&block(0x20, 0, &[]), None),
        ];
        for (header, client) in rows {
            let client = client.map(|client| client.parse().unwrap());
            let expected = Header { length: header.len(), client };
            for follows in [&b""[..], b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xfe\r\n"] {
                let bytes = [header, follows].concat();
                assert_eq!(read(&bytes), Ok(Some(expected)), "{}", bytes.escape_ascii());
            }
            for cut in 0..header.len() {
                assert_eq!(read(&header[..cut]), Ok(None), "{}", header[..cut].escape_ascii());
            }
        }
    }

    #[test]
    fn anything_else_is_refused_as_soon_as_it_can_be_told() {
        let long = [b"PROXY TCP4 ".as_slice(), &[b'1'; 120]].concat();
        let huge = block(0x21, 0x11, &[0; 4_000]);
        let rows: [&[u8]; 12] = [
            b"PROXY UNKNOWNS\r\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 +56324 443\r\n",
            b"PROXY TCP4\r192.0.2.7 10.0.0.1 56324 443\r\n",
            b"G",
            b"GET / HTTP/1.1\r\n",
            b"\x16\x03\x01",
            b"PROXX",
            b"PROXY TCP4 1.2.3.4\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 99999\r\n",
            b"PROXY TCP4 2001:db8::1 ::1 1 2\r\n",
            &long,
            &huge,
        ];
        for bytes in rows {
            assert_eq!(read(bytes), Err(NoHeader), "{}", bytes.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_never_takes_more_than_there_is(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            front in prop::sample::select(vec![&b""[..], b"PROXY ", b"PROXY TCP4 ", V2]),
        ) {
            let bytes = [front, &bytes].concat();
            if let Ok(Some(header)) = read(&bytes) {
                prop_assert!(header.length <= bytes.len());
            }
        }

        #[test]
        fn more_bytes_never_change_what_was_told(
            address in any::<[u8; 4]>(), port in 1u16.., follows in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            let line = format!("PROXY TCP4 {} 10.0.0.1 {port} 443\r\n", std::net::Ipv4Addr::from(address));
            let told = read(line.as_bytes());
            prop_assert_eq!(read(&[line.as_bytes(), &follows].concat()), told);
            prop_assert_eq!(told.unwrap().unwrap().client, Some(IpAddr::from(address)));
        }
    }
}
