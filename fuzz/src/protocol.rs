//! What stands around requests: whose connection it is (PROXY protocol), frames of HTTP/2, messages and trailers of gRPC.

use crate::input::{Input, pieces, text};
use http::{HeaderMap, HeaderName, HeaderValue};
use nightlatch_http::{forward::trailers, fuzzing, grpc, proxy_protocol};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A header is what the specification calls one and nothing else; what is told of it is told as soon as it is whole, whatever follows; and
/// what is refused stays refused.
pub fn proxy_protocol(data: &[u8]) {
    let told = proxy_protocol::read(data);
    let expected = read_line(data).or_else(|| read_block(data));
    match (told, expected) {
        (Ok(Some(header)), Some((length, client))) => {
            assert_eq!((header.length, header.client), (length, client));
            for cut in 0..length {
                assert_eq!(proxy_protocol::read(&data[..cut]), Ok(None), "after {cut} bytes");
            }
            assert_eq!(proxy_protocol::read(&data[..length]), told);
        }
        (Ok(Some(header)), None) => panic!("{header:?} is told of what is none"),
        (other, Some(expected)) => {
            assert!(expected.0 > proxy_protocol::MOST, "{expected:?} is called {other:?}")
        }
        (Ok(None), None) => assert!(data.len() < proxy_protocol::MOST),
        (Err(fault), None) => {
            let more = [data, b" 192.0.2.1 192.0.2.2 1 2\r\n", &[0; 300]].concat();
            assert_eq!(proxy_protocol::read(&more), Err(fault));
        }
    }
}

type Told = (usize, Option<IpAddr>);

/// Version 1: one line of at most 107 bytes, its parts with one blank between.
fn read_line(data: &[u8]) -> Option<Told> {
    let end = data.windows(2).take(106).position(|pair| pair == b"\r\n")?;
    let line = &data[..end];
    if line == b"PROXY UNKNOWN" || line.starts_with(b"PROXY UNKNOWN ") {
        return Some((end + 2, None));
    }
    let line = std::str::from_utf8(line).ok()?;
    let is_port = |port: &str| {
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        digits && port.parse::<u16>().is_ok_and(|number| number.to_string() == port)
    };
    let parts: Vec<&str> = line.split(' ').collect();
    let client = match parts[..] {
        ["PROXY", "TCP4", from, to, port, other] if is_port(port) && is_port(other) => {
            to.parse::<Ipv4Addr>().ok()?;
            Some(IpAddr::V4(from.parse().ok()?))
        }
        ["PROXY", "TCP6", from, to, port, other] if is_port(port) && is_port(other) => {
            to.parse::<Ipv6Addr>().ok()?;
            Some(IpAddr::V6(from.parse().ok()?))
        }
        _ => return None,
    };
    Some((end + 2, client))
}

/// Version 2: twelve bytes that nobody else begins with, what it is, a length, and so many bytes.
fn read_block(data: &[u8]) -> Option<Told> {
    let rest = data.strip_prefix(b"\r\n\r\n\0\r\nQUIT\n")?;
    let [kind, family, high, low, rest @ ..] = rest else { return None };
    let length = usize::from(*high) << 8 | usize::from(*low);
    let block = rest.get(..length)?;
    if !matches!(kind, 0x20 | 0x21) || family & 0x0f > 2 {
        return None;
    }
    let (bytes, client) = match family >> 4 {
        0 => (0, None),
        1 => (12, block.first_chunk::<4>().map(|from| IpAddr::from(*from))),
        2 => (36, block.first_chunk::<16>().map(|from| IpAddr::from(*from))),
        3 => (216, None),
        _ => return None,
    };
    (length >= bytes).then_some((16 + length, client.filter(|_| *kind == 0x21)))
}

/// Frames begin where RFC 9113 says, however the bytes come.
pub fn http2_frames(data: &[u8]) {
    let mut input = Input::new(data);
    let of_client = input.byte() % 2 == 1;
    let cuts = input.take(4);
    let stream = input.rest();
    let mut at = if of_client { 24 } else { 0 };
    let mut expected = Vec::new();
    while let Some(head) = stream.get(at..at + 9) {
        let length = head[..3].iter().fold(0, |length, byte| length << 8 | u32::from(*byte));
        let number = head[5..].iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
        let whole = matches!(head[3], 0 | 1) && head[4] & 1 == 1;
        expected.push((length, head[3], number & !(1 << 31), whole || head[3] == 3));
        at += 9 + length as usize;
    }
    assert_eq!(fuzzing::http2_heads(of_client, pieces(stream, cuts)), expected);
}

/// Messages end where gRPC says, however the bytes come; and an outcome's words come back as they were.
pub fn grpc_messages(data: &[u8]) {
    let mut input = Input::new(data);
    let cuts = input.take(4);
    let stream = input.rest();
    let mut ends = vec![0];
    let mut at = 0;
    while let Some(prefix) = stream.get(at..at + 5) {
        at += 5 + prefix[1..].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        ends.push(at);
    }
    let (mut messages, mut seen) = (grpc::Messages::default(), 0);
    for piece in pieces(stream, cuts) {
        messages.follow(piece);
        seen += piece.len();
        assert_eq!(messages.at_boundary(), ends.contains(&seen), "after {seen} bytes");
    }

    let words = text(stream);
    let fields = grpc::outcome(grpc::Status::Unknown, &words);
    let said = fields[grpc::GRPC_MESSAGE].as_bytes();
    assert!(said.iter().all(|byte| matches!(byte, b' '..=b'~')));
    assert_eq!(percent_off(said), words.as_bytes());
}

fn percent_off(mut bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    while let Some((first, rest)) = bytes.split_first() {
        let hex = if *first == b'%' { rest.get(..2) } else { None };
        let byte = hex.and_then(|hex| u8::from_str_radix(&text(hex), 16).ok());
        plain.push(byte.unwrap_or(*first));
        bytes = if byte.is_some() { &rest[2..] } else { rest };
    }
    plain
}

/// Of what follows a body, nothing passes that a server may take for framing, for an identity or for the content's; all else is as it was.
pub fn trailing_fields(data: &[u8]) {
    let mut before = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n') {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default();
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(&line[..colon]), HeaderValue::from_bytes(value))
        {
            before.append(name, value);
        }
    }
    let mut after = before.clone();
    trailers::strip(&mut after);
    let careless = |name: &HeaderName| name.as_str().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    for name in after.keys() {
        let name = careless(name);
        let beginnings = ["x-nightlatch", "x-forwarded", "content-", "proxy", "sec-"];
        assert!(!beginnings.iter().any(|beginning| name.starts_with(beginning)), "`{name}` passes");
        let names =
            ["host", "authorization", "cookie", "connection", "te", "set-cookie", "transfer-encoding"];
        assert!(!names.contains(&&*name), "`{name}` passes");
    }
    for name in
        before.keys().filter(|name| name.as_str().starts_with("grpc-") || name.as_str().starts_with("plain"))
    {
        let values = |fields: &HeaderMap| fields.get_all(name).iter().cloned().collect::<Vec<_>>();
        assert_eq!(values(&after), values(&before), "`{name}`");
    }
    let once = after.clone();
    trailers::strip(&mut after);
    assert_eq!(after, once);
}
