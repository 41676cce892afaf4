//! never-late over HTTP/2, in real time: streams of many sessions, several on each connection, run into their deadlines at random
//! offsets, towards an application that speaks HTTP/2 too.
//!
//! Every piece carries the instant at which it was *sent*. One that was sent at or after the deadline of its session and still arrives
//! was let through too late, however slow the machine is.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers fail the test they serve"
)]

mod common;

use bytes::Bytes;
use common::{
    Making, Site,
    http2::{Asked, Line, application, post, tls},
};
use h2::{RecvStream, SendStream};
use http::Response;
use nightlatch_engine::Token;
use nightlatch_http::{AppSettings, Protocol};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, SystemTime},
};
use tokio::time::{sleep, timeout};

const IDLE: Duration = Duration::from_millis(500);
const WAVES: usize = 4;
const CONNECTIONS: usize = 12;
/// Sessions on each connection, and streams of each session there.
const SESSIONS: usize = 3;
const STREAMS: usize = 3;

/// The engine's clock is never behind this one, so what is late by this one is late by the engine's.
fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis())
        .unwrap_or(0)
}

/// What arrived: of which session, and when it was sent.
type Arrivals = Arc<Mutex<Vec<(usize, u64)>>>;

/// Numbers from a seed.
#[derive(Clone)]
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// Sends stamps until nobody takes them. Hands over no more than there is room for, so that a stamp is as old as it says.
async fn send(mut stream: SendStream<Bytes>, mut dice: Dice) {
    loop {
        stream.reserve_capacity(15);
        while stream.capacity() < 15 {
            match std::future::poll_fn(|cx| stream.poll_capacity(cx)).await {
                Some(Ok(_)) => {}
                _ => return,
            }
        }
        if stream.send_data(format!("@{};", now_ms()).into(), false).is_err() {
            return;
        }
        sleep(Duration::from_micros(dice.below(3_000))).await;
    }
}

/// Notes every stamp that comes until the stream ends, however it does.
async fn take(mut body: RecvStream, whose: usize, arrivals: Arrivals) {
    let mut text = String::new();
    while let Some(Ok(data)) = body.data().await {
        let _ = body.flow_control().release_capacity(data.len());
        text.push_str(&String::from_utf8_lossy(&data));
        while let Some((stamp, rest)) = text.split_once(';') {
            let sent = stamp.trim_start_matches('@').parse().unwrap();
            arrivals.lock().unwrap().push((whose, sent));
            text = rest.to_owned();
        }
    }
}

/// Talks both ways for as long as it may.
async fn serve(asked: Asked, arrivals: Arrivals) {
    let Asked { request, mut respond, .. } = asked;
    let whose = request.uri().path().trim_start_matches('/').parse().unwrap();
    let Ok(stream) = respond.send_response(Response::new(()), false) else { return };
    tokio::join!(take(request.into_body(), whose, arrivals), send(stream, Dice(now_ms())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn never_late_whatever_streams_are_under_way_at_the_deadline() {
    let seed =
        std::env::var("NIGHTLATCH_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(now_ms);
    println!("NIGHTLATCH_SEED={seed}");
    let mut dice = Dice(seed);
    let [up, down] = [Arrivals::default(), Arrivals::default()];
    let noted = Arc::clone(&up);
    let app = application(move |asked| serve(asked, Arc::clone(&noted))).await;
    let (acceptor, connector) = tls();
    let speaks = AppSettings { protocol: Protocol::Http2, ..AppSettings::default() };
    let site = Site::made(Making { idle: IDLE, app: speaks, tls: Some(acceptor), ..Making::new(app) }).await;
    let mut deadlines: Vec<u64> = Vec::new();
    let taken_along = AtomicUsize::new(0);
    for _ in 0..WAVES {
        let mut wave = Vec::new();
        for connection in 0..CONNECTIONS {
            let first = deadlines.len() + connection * SESSIONS;
            let (site, connector, down, along) = (&site, &connector, &down, &taken_along);
            let mut own = Dice(dice.below(u64::MAX));
            let mut settings = h2::client::Builder::new();
            settings.data_frame_budget(16 << 20);
            wave.push(async move {
                let mut line = Line::open(connector, site.address, &settings).await;
                let mut sessions: Vec<Token> = Vec::new();
                let mut streams = Vec::new();
                for session in 0..SESSIONS {
                    sleep(Duration::from_micros(own.below(60_000))).await;
                    let token = site.sign_in("trader").await;
                    for _ in 0..STREAMS {
                        let whose = first + session;
                        let (answering, body) = line.ask(post(&format!("/{whose}")), Some(&token), true);
                        let (down, own) = (Arc::clone(down), Dice(own.below(u64::MAX)));
                        streams.push(async move {
                            let taking = async {
                                if let Ok(answer) = answering.head().await {
                                    take(answer.into_body(), whose, down).await;
                                }
                            };
                            tokio::join!(taking, send(body, own));
                        });
                    }
                    sessions.push(token);
                }
                let all = futures_util::future::join_all(streams);
                timeout(Duration::from_secs(20), all).await.expect("everything ends");
                let mut ends = Vec::new();
                for token in sessions {
                    site.nothing_open(&token).await;
                    // A connection that is reset takes along who had longer.
                    let session = site.session(&token);
                    while session.end().is_none() {
                        along.fetch_add(1, SeqCst);
                        sleep(IDLE).await;
                        site.session(&token);
                    }
                    ends.push(session.end().unwrap().at.as_millis());
                }
                ends
            });
        }
        deadlines.extend(futures_util::future::join_all(wave).await.concat());
    }
    println!("{} sessions were taken along by another's end", taken_along.into_inner());
    for (way, arrivals) in [("up", &up), ("down", &down)] {
        let arrivals = arrivals.lock().unwrap();
        for &(whose, sent) in arrivals.iter() {
            let deadline = deadlines[whose];
            assert!(
                sent < deadline,
                "{way} {whose}: sent {} ms after the deadline, and let through",
                sent - deadline
            );
        }
        println!("{way}: {} pieces in time", arrivals.len());
        let under_way = deadlines.iter().enumerate().filter(|(whose, deadline)| {
            arrivals.iter().any(|(other, sent)| other == whose && sent + 100 > **deadline)
        });
        let under_way = under_way.count();
        assert!(under_way > 10, "{under_way} sessions had something under way at the end");
    }
}
