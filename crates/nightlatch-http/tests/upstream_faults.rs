//! Applications that fail, each in its own way: the client is told, and the session is none the worse for it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers fail the test they serve"
)]

mod common;

use common::{Closed, Making, OK, Site, application, read_head, read_request, recording, write};
use nightlatch_http::{Limits, Settings};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
    time::sleep,
};

async fn site(upstream: SocketAddr) -> Site {
    let settings = Settings {
        limits: Limits { answer_within: Duration::from_millis(400), ..Limits::default() },
        ..Settings::default()
    };
    Site::made(Making { settings, ..Making::new(upstream) }).await
}

/// A port that is taken, so that nobody else listens on it, and where nobody listens.
fn taken() -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    socket
}

/// What was counted of its application.
fn counted(site: &Site) -> String {
    let kinds = site.gateway.failures().filter(|(_, _, count)| *count > 0);
    kinds.map(|(app, failure, count)| format!("{app} {} {count}", failure.code())).collect()
}

/// Asks once; the answer's status and code, and what was counted, after which the session must live on and hold nothing open.
async fn fails(upstream: SocketAddr, request: &str) -> String {
    let site = site(upstream).await;
    let token = site.sign_in("trader").await;
    let before = site.session(&token).deadline().at;
    let mut client = site.connect().await;
    client
        .send(
            &request.replace("CREDENTIAL", &format!("Host: desk\nAuthorization: Bearer {}", token.reveal())),
        )
        .await;
    let answer = client.answer().await;
    let code = answer.split("urn:nightlatch:problem:").nth(1).and_then(|rest| rest.split('"').next());
    let untouched = answer.to_lowercase().contains("your session is not affected");
    assert!(untouched || code == Some("bad-upgrade"), "{answer}");
    site.nothing_open(&token).await;
    let session = site.session(&token);
    assert!(session.end().is_none() && session.deadline().at >= before, "the session lives on");
    // The client's connection is as good as before.
    client.get("/_nightlatch/session", &token, "").await;
    assert!(client.answer().await.contains("\"state\":\"live\""));
    let counted = counted(&site).replace("app ", "").replace(" 1", "");
    format!("{} {} {counted}", &answer[9..12], code.unwrap_or_default())
}

const GET: &str = "GET /page HTTP/1.1\nCREDENTIAL\n\n";
const POST: &str = "POST /orders HTTP/1.1\nCREDENTIAL\nContent-Length: 3\n\nbuy";

/// Reads a request, says `words`, and closes.
async fn says(words: &'static str) -> SocketAddr {
    application(move |mut connection| async move {
        read_request(&mut connection).await;
        write(&mut connection, words).await;
    })
    .await
}

#[tokio::test]
async fn an_application_that_fails_before_it_answers() {
    let taken = taken();
    let nobody = taken.local_addr().unwrap();
    assert_eq!(fails(nobody, GET).await, "502 application-unreachable connection_refused");
    assert_eq!(fails(nobody, POST).await, "502 application-unreachable connection_refused");
    let closes = application(|connection| async { drop(connection) }).await;
    assert_eq!(fails(closes, GET).await, "502 application-broke-off connection_lost");
    let rows = [
        ("", "502 application-broke-off connection_lost"),
        ("HTTP/1.1 200 OK\nContent-Le", "502 application-broke-off connection_lost"),
        ("SSH-2.0-OpenSSH_9.6\n", "502 application-broke-off bad_answer"),
        (
            "HTTP/1.1 200 OK\nContent-Length: 1\nContent-Length: 2\n\nxx",
            "502 application-broke-off bad_answer",
        ),
        ("HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nConnection: Upgrade\n\n", "502 bad-upgrade "),
    ];
    for (words, expected) in rows {
        for request in [GET, POST] {
            assert_eq!(fails(says(words).await, request).await, expected, "{words} {request}");
        }
    }
}

#[tokio::test]
async fn an_application_that_never_answers_or_never_ends_its_head() {
    let silent = application(|mut connection| async move {
        read_head(&mut connection).await;
        sleep(Duration::from_secs(60)).await;
    })
    .await;
    assert_eq!(fails(silent, GET).await, "504 application-too-slow too_slow");
    let huge = application(|mut connection| async move {
        read_head(&mut connection).await;
        let mut open = write(&mut connection, "HTTP/1.1 200 OK\n").await;
        while open {
            open =
                write(&mut connection, "X-Filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n")
                    .await;
        }
    })
    .await;
    assert_eq!(fails(huge, GET).await, "502 application-broke-off bad_answer");
}

#[tokio::test]
async fn a_reset_in_the_middle_of_a_body_reaches_the_client_as_an_incomplete_body() {
    for head in [
        "HTTP/1.1 200 OK\nContent-Length: 100\n\npart",
        "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n4\npart\n",
    ] {
        let app = application(move |mut connection| async move {
            read_head(&mut connection).await;
            write(&mut connection, head).await;
            sleep(Duration::from_millis(50)).await;
            socket2::SockRef::from(&connection).set_linger(Some(Duration::ZERO)).unwrap();
        })
        .await;
        let site = site(app).await;
        let token = site.sign_in("trader").await;
        let mut client = site.connect().await;
        client.get("/report", &token, "").await;
        let (seen, _) = client.rest().await;
        let text = String::from_utf8_lossy(&seen);
        assert!(text.contains("part") && !text.ends_with("0\r\n\r\n"), "{text}");
        assert_eq!(counted(&site), "app answer_broken_off 1");
        site.nothing_open(&token).await;
        assert!(site.session(&token).end().is_none());
    }
}

#[tokio::test]
async fn more_than_the_announced_length_is_not_passed_on_and_poisons_nobody() {
    let (app, _noted) = recording(|request| match request.contains("/first") {
        true => {
            "HTTP/1.1 200 OK\nContent-Length: 2\n\nokHTTP/1.1 200 OK\nContent-Length: 6\n\nPOISON".to_owned()
        }
        false => OK.to_owned(),
    })
    .await;
    let site = site(app).await;
    let token = site.sign_in("trader").await;
    for round in 0..20 {
        let mut client = site.connect().await;
        client.get("/first", &token, "").await;
        assert!(client.answer().await.ends_with("\r\n\r\nok"));
        sleep(Duration::from_millis(round % 3)).await;
        client.get("/second", &token, "").await;
        let second = client.answer().await;
        assert!(!second.contains("POISON") && second.ends_with("ok"), "{second}");
    }
}

#[tokio::test]
async fn informational_answers_are_waited_out() {
    let (app, _noted) =
        recording(|_| format!("HTTP/1.1 103 Early Hints\nLink: </a.css>\n\nHTTP/1.1 100 Continue\n\n{OK}"))
            .await;
    let site = site(app).await;
    let token = site.sign_in("trader").await;
    let mut client = site.connect().await;
    client.get("/page", &token, "").await;
    let answer = client.answer().await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok"), "{answer}");
}

/// Answers the first request on each connection and closes at the second without a word; counts both.
async fn closes_at_the_second() -> (SocketAddr, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let (first, second) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let counts = (Arc::clone(&first), Arc::clone(&second));
    let address = application(move |mut connection: TcpStream| {
        let (first, second) = counts.clone();
        async move {
            read_request(&mut connection).await;
            first.fetch_add(1, SeqCst);
            write(&mut connection, OK).await;
            if !read_request(&mut connection).await.is_empty() {
                second.fetch_add(1, SeqCst);
            }
            let _ = connection.shutdown().await;
        }
    })
    .await;
    (address, first, second)
}

#[tokio::test]
async fn a_pooled_connection_that_was_closed_is_tried_again_for_safe_requests_only() {
    let (app, first, second) = closes_at_the_second().await;
    let site = site(app).await;
    let token = site.sign_in("trader").await;
    let mut client = site.connect().await;
    client.get("/page", &token, "").await;
    client.answer().await;
    // This one goes into the pooled connection, is lost there, and comes back on a fresh one.
    client.get("/page", &token, "").await;
    assert!(client.answer().await.starts_with("HTTP/1.1 200"));
    assert_eq!((first.load(SeqCst), second.load(SeqCst)), (2, 1));
    // An order is lost as well, and nobody sends it again.
    let credential = format!("Host: desk\nAuthorization: Bearer {}", token.reveal());
    client.send(&POST.replace("CREDENTIAL", &credential)).await;
    assert!(client.answer().await.starts_with("HTTP/1.1 502"));
    assert_eq!((first.load(SeqCst), second.load(SeqCst)), (2, 2));
    site.nothing_open(&token).await;
}

#[tokio::test]
async fn a_pooled_connection_that_was_closed_while_idle_costs_nobody_anything() {
    let app = application(|mut connection| async move {
        read_request(&mut connection).await;
        write(&mut connection, OK).await;
    })
    .await;
    let site = site(app).await;
    let token = site.sign_in("trader").await;
    let credential = format!("Host: desk\nAuthorization: Bearer {}", token.reveal());
    let mut client = site.connect().await;
    for request in [GET, POST].repeat(5) {
        client.send(&request.replace("CREDENTIAL", &credential)).await;
        let answer = client.answer().await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn an_answer_before_the_body_was_sent_ends_the_exchange_and_the_connection() {
    let app = application(|mut connection| async move {
        read_head(&mut connection).await;
        write(&mut connection, "HTTP/1.1 413 Content Too Large\nContent-Length: 5\n\nlarge").await;
        sleep(Duration::from_secs(1)).await;
    })
    .await;
    let site = site(app).await;
    let token = site.sign_in("trader").await;
    let mut client = site.connect().await;
    let head = format!(
        "POST /up HTTP/1.1\nHost: desk\nAuthorization: Bearer {}\nContent-Length: 100000\n\nbegin",
        token.reveal()
    );
    client.send(&head).await;
    let answer = client.answer().await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.ends_with("large"), "{answer}");
    let (rest, closed) = client.rest().await;
    assert!(rest.is_empty() && matches!(closed, Closed::Fin | Closed::Reset));
    site.nothing_open(&token).await;
}

#[tokio::test]
async fn nobody_is_told_to_continue_towards_an_application_that_is_not_there() {
    let taken = taken();
    let nobody = taken.local_addr().unwrap();
    let expects = POST.replace("CREDENTIAL\n", "CREDENTIAL\nExpect: 100-continue\n").replace("buy", "");
    assert_eq!(fails_and_closes(nobody, &expects).await, "502 application-unreachable connection_refused");
}

/// The same for a client whose body nobody will read: its connection closes after the answer.
async fn fails_and_closes(upstream: SocketAddr, request: &str) -> String {
    let site = site(upstream).await;
    let token = site.sign_in("trader").await;
    let mut client = site.connect().await;
    client
        .send(
            &request.replace("CREDENTIAL", &format!("Host: desk\nAuthorization: Bearer {}", token.reveal())),
        )
        .await;
    let answer = client.answer().await;
    let code = answer.split("urn:nightlatch:problem:").nth(1).and_then(|rest| rest.split('"').next());
    assert!(client.rest().await.0.is_empty() && answer.contains("connection: close\r\n"), "{answer}");
    site.nothing_open(&token).await;
    let counted = counted(&site).replace("app ", "").replace(" 1", "");
    format!("{} {} {counted}", &answer[9..12], code.unwrap_or_default())
}

#[tokio::test]
async fn whoever_finds_no_seat_waits_until_one_is_free() {
    let settings = Settings { limits: Limits { connections: 2, ..Limits::default() }, ..Settings::default() };
    let taken = taken();
    let site = Site::made(Making { settings, ..Making::new(taken.local_addr().unwrap()) }).await;
    let token = site.sign_in("trader").await;
    let (silent, mut second, mut third) = (site.connect().await, site.connect().await, site.connect().await);
    second.get("/_nightlatch/session", &token, "").await;
    assert!(second.answer().await.contains("live"));
    third.get("/_nightlatch/session", &token, "").await;
    let early = tokio::time::timeout(Duration::from_millis(200), third.answer()).await;
    assert!(early.is_err(), "there are two seats");
    drop(silent);
    assert!(third.answer().await.contains("live"));
}
