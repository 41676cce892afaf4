//! An application that speaks HTTP/2 as nobody should: what it says costs its own request and nobody else's.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers fail the test they serve"
)]

mod common;

use common::{
    Making, Site,
    http2::{PREFACE, frame},
};
use nightlatch_engine::Token;
use nightlatch_http::{AppSettings, Limits, Protocol, Settings};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
const END_STREAM: u8 = 1;

/// `:status: 200` (RFC 7541 appendix A).
const OK: &[u8] = &[0x88];

/// What an application says instead of an answer.
type Attack = fn(u32) -> Vec<u8>;

fn answer(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, OK)
}

fn head(stream: u32, block: &[u8]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, block)
}

fn many(count: usize, one: &[u8]) -> Vec<u8> {
    one.repeat(count)
}

/// One literal field that no table has (RFC 7541 section 6.2.2).
fn field(name: &str, value: &str) -> Vec<u8> {
    let lengths = [name.len(), value.len()].map(|length| u8::try_from(length).unwrap());
    [&[0, lengths[0]], name.as_bytes(), &lengths[1..], value.as_bytes()].concat()
}

fn setting(name: u16, value: u32) -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[&name.to_be_bytes()[..], &value.to_be_bytes()].concat())
}

fn goaway(last: u32, reason: u32) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[last.to_be_bytes(), reason.to_be_bytes()].concat())
}

/// Serves what comes on a connection: every request is answered, or met by the attack if there is one.
async fn serve(mut connection: TcpStream, attack: Arc<Mutex<Option<Attack>>>) {
    let mut preface = [0; PREFACE.len()];
    if connection.read_exact(&mut preface).await.is_err() {
        return;
    }
    connection.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    loop {
        let mut head = [0; 9];
        if connection.read_exact(&mut head).await.is_err() {
            return;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        if connection.read_exact(&mut payload).await.is_err() {
            return;
        }
        let said = match head[3] {
            HEADERS => {
                let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
                let attack = attack.lock().unwrap().take();
                attack.map_or_else(|| answer(stream), |attack| attack(stream))
            }
            SETTINGS if head[4] == 0 => frame(SETTINGS, 1, 0, &[]),
            _ => Vec::new(),
        };
        if connection.write_all(&said).await.is_err() {
            return;
        }
    }
}

struct Hostile {
    site: Site,
    attack: Arc<Mutex<Option<Attack>>>,
}

impl Hostile {
    async fn new() -> Hostile {
        let attack = Arc::<Mutex<Option<Attack>>>::default();
        let attacks = Arc::clone(&attack);
        let app: SocketAddr =
            common::application(move |connection| serve(connection, Arc::clone(&attacks))).await;
        let limits = Limits {
            connections: 8,
            connections_per_address: 8,
            idle_upstream_connections: 4,
            answer_within: Duration::from_millis(500),
            write_within: Duration::from_millis(500),
            connect_within: Duration::from_secs(2),
            ..Limits::default()
        };
        let app_settings = AppSettings { protocol: Protocol::Http2, ..AppSettings::default() };
        let settings = Settings { limits, ..Settings::default() };
        let site = Site::made(Making { app: app_settings, settings, ..Making::new(app) }).await;
        Hostile { site, attack }
    }
}

fn attacks() -> Vec<(&'static str, Option<u16>, Attack)> {
    vec![
        ("settings of a mebibyte", Some(502), |_| frame(SETTINGS, 0, 0, &[0; 6 * 174_763])),
        ("two thousand settings in a frame", Some(200), |stream| {
            [frame(SETTINGS, 0, 0, &[0, 0x77, 0, 0, 0, 1].repeat(2_000)), answer(stream)].concat()
        }),
        ("settings, again and again", Some(200), |stream| {
            [many(20_000, &frame(SETTINGS, 0, 0, &[])), answer(stream)].concat()
        }),
        ("acknowledgements of nothing", Some(502), |stream| {
            [many(100, &frame(SETTINGS, 1, 0, &[])), answer(stream)].concat()
        }),
        ("an acknowledgement that says something", Some(502), |_| frame(SETTINGS, 1, 0, &[0; 6])),
        ("a window for new streams beyond the bound", Some(502), |_| setting(4, 1 << 31)),
        ("frames of no size", Some(502), |_| setting(5, 0)),
        ("a push where none was allowed", Some(502), |_| setting(2, 2)),
        ("a table of four gibibytes", Some(200), |stream| [setting(1, u32::MAX), answer(stream)].concat()),
        ("no window, then all of it, again and again", Some(200), |stream| {
            let both = [setting(4, 0), setting(4, i32::MAX as u32)].concat();
            [many(2_000, &both), answer(stream)].concat()
        }),
        ("no streams any more", Some(200), |stream| [setting(3, 0), answer(stream)].concat()),
        ("pings", Some(200), |stream| [many(20_000, &frame(PING, 0, 0, &[7; 8])), answer(stream)].concat()),
        ("a ping of nine bytes", Some(502), |_| frame(PING, 0, 0, &[7; 9])),
        ("goodbye, again and again", Some(200), |stream| {
            [many(5_000, &goaway(stream, 0)), answer(stream)].concat()
        }),
        ("goodbye to more and more", Some(502), |_| [goaway(1, 0), goaway(1 << 30, 0)].concat()),
        ("goodbye without this request", Some(502), |_| goaway(0, 0)),
        ("goodbye with a mebibyte of reasons", Some(502), |_| frame(GOAWAY, 0, 0, &[0; 1 << 20])),
        ("a promise", Some(502), |stream| {
            frame(
                PUSH_PROMISE,
                END_HEADERS,
                stream,
                &[&2_u32.to_be_bytes()[..], &[0x82, 0x84, 0x87]].concat(),
            )
        }),
        ("an answer nobody asked for", Some(502), |_| answer(2)),
        ("an answer to what may be asked later", Some(502), |stream| answer(stream + 100)),
        ("data of nobody's", Some(502), |_| frame(0, 0, 99, b"x")),
        ("data before the answer", Some(502), |stream| frame(0, 0, stream, b"x")),
        ("data of the connection", Some(502), |_| frame(0, 0, 0, b"x")),
        ("data that is all padding, and more", None, |stream| {
            [head(stream, OK), frame(0, 8, stream, &[200, 1])].concat()
        }),
        ("no more window", Some(502), |_| frame(WINDOW_UPDATE, 0, 0, &[0; 4])),
        ("no more window for this", Some(502), |stream| frame(WINDOW_UPDATE, 0, stream, &[0; 4])),
        ("more window than there can be", Some(502), |_| {
            many(2, &frame(WINDOW_UPDATE, 0, 0, &0x7fff_ffff_u32.to_be_bytes()))
        }),
        ("window, again and again", Some(200), |stream| {
            [many(20_000, &frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes())), answer(stream)].concat()
        }),
        ("a head of a mebibyte", Some(502), |stream| {
            let more = frame(CONTINUATION, 0, stream, &[0; 16_384]);
            [frame(HEADERS, 0, stream, OK), many(64, &more)].concat()
        }),
        ("a head that goes on with nothing", Some(502), |stream| {
            [frame(HEADERS, 0, stream, OK), many(20_000, &frame(CONTINUATION, 0, stream, &[]))].concat()
        }),
        ("a head that another frame stands in", Some(502), |stream| {
            [frame(HEADERS, 0, stream, OK), frame(PING, 0, 0, &[0; 8])].concat()
        }),
        ("the rest of a head that never began", Some(502), |stream| {
            frame(CONTINUATION, END_HEADERS, stream, OK)
        }),
        ("one field of the table, ten thousand times", Some(502), |stream| {
            let entry = [&[0x40, 1, b'x', 0x7f, 0x81, 0x1e][..], &[b'y'; 4_000]].concat();
            head(stream, &[OK, &entry, &[0xbe; 10_000]].concat())
        }),
        ("no head at all", Some(502), |stream| head(stream, &[0xff; 10])),
        ("answers before the answer", Some(200), |stream| {
            [many(5_000, &head(stream, &field(":status", "103"))), answer(stream)].concat()
        }),
        ("an answer before the answer, and the end", Some(502), |stream| {
            frame(HEADERS, END_HEADERS | END_STREAM, stream, &field(":status", "103"))
        }),
        ("two statuses", Some(502), |stream| head(stream, &[0x88, 0x88])),
        ("no status", Some(502), |stream| head(stream, &field("a", "b"))),
        ("a status that is none", Some(502), |stream| head(stream, &field(":status", "20x"))),
        // One of those that come before the answer, to the library; so the answer is waited for.
        ("a switch of protocols", Some(504), |stream| head(stream, &field(":status", "101"))),
        ("a request for an answer", Some(502), |stream| head(stream, &[0x82, 0x84, 0x87])),
        ("a name in capitals", Some(502), |stream| head(stream, &[OK, &field("X-Big", "1")].concat())),
        ("a field about the connection", Some(502), |stream| {
            head(stream, &[OK, &field("transfer-encoding", "chunked")].concat())
        }),
        ("given up", Some(502), |stream| frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])),
        ("given up without an error", Some(502), |stream| frame(RST_STREAM, 0, stream, &[0; 4])),
        ("refused", Some(502), |stream| frame(RST_STREAM, 0, stream, &[0, 0, 0, 7])),
        ("what nobody asked, given up", Some(502), |_| frame(RST_STREAM, 0, 99, &[0, 0, 0, 8])),
        ("frames that nobody knows", Some(200), |stream| {
            [many(20_000, &frame(0x77, 0xff, stream, b"x")), answer(stream)].concat()
        }),
        ("a frame larger than agreed", Some(502), |stream| frame(0, 0, stream, &[0; 16_385])),
        ("another protocol", Some(502), |_| b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()),
        ("silence", Some(504), |_| Vec::new()),
    ]
}

/// What came of a request that nobody sends twice: its status, or that its answer broke off.
async fn order(hostile: &Hostile, token: &Token) -> Option<u16> {
    let mut client = hostile.site.connect().await;
    let credential = token.reveal();
    client
        .send(&format!(
            "POST / HTTP/1.1\nHost: desk\nAuthorization: Bearer {credential}\nContent-Length: 0\nConnection: close\n\n"
        ))
        .await;
    let (answer, _) = client.rest().await;
    let answer = String::from_utf8(answer).unwrap();
    let whole = answer.contains("content-length: ") || answer.ends_with("0\r\n\r\n");
    answer.split(' ').nth(1).filter(|_| whole).map(|status| status.parse().unwrap())
}

#[tokio::test]
async fn fail_closed_whatever_an_application_says_its_request_is_answered_and_the_next_is_served() {
    let hostile = Hostile::new().await;
    let token = hostile.site.sign_in("ada").await;
    for (name, expected, attack) in attacks() {
        *hostile.attack.lock().unwrap() = Some(attack);
        assert_eq!(order(&hostile, &token).await, expected, "{name}");
        assert!(hostile.attack.lock().unwrap().is_none(), "{name}: the application was asked");
        // It has its place among the connections back, and what it had of others is not theirs.
        assert_eq!(order(&hostile, &token).await, Some(200), "after {name}");
        hostile.site.nothing_open(&token).await;
    }
}
