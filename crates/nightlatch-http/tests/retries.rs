//! What is sent again, and what never is: an application that goes away at every byte of a request and of its own answer, and counts
//! how often anything of it arrived.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers fail the test they serve")]

mod common;

use common::{Making, OK, Site, application, read_head, recording, write};
use nightlatch_engine::Token;
use nightlatch_http::AppSettings;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Answers OPTIONS. Of any other request it takes so many bytes, answers with so many, and goes away.
#[derive(Clone, Default)]
struct GoesAway {
    takes: Arc<AtomicUsize>,
    answers: Arc<AtomicUsize>,
    /// Requests of which at least a byte arrived.
    arrived: Arc<AtomicUsize>,
}

impl GoesAway {
    async fn start(&self) -> SocketAddr {
        let this = self.clone();
        application(move |connection| this.clone().serve(connection)).await
    }

    async fn serve(self, mut connection: TcpStream) {
        let mut first = [0; 1];
        while connection.read_exact(&mut first).await.is_ok() {
            if first == *b"O" {
                read_head(&mut connection).await;
                write(&mut connection, OK).await;
                continue;
            }
            self.arrived.fetch_add(1, SeqCst);
            let mut rest = vec![0; self.takes.load(SeqCst) - 1];
            let _ = connection.read_exact(&mut rest).await;
            let answer = OK.replace('\n', "\r\n");
            let _ = connection.write_all(&answer.as_bytes()[..self.answers.load(SeqCst)]).await;
            return;
        }
    }
}

/// A request with this credential.
fn request(method: &str, token: &Token) -> String {
    let body = if matches!(method, "GET" | "DELETE" | "OPTIONS") { "\n" } else { "Content-Length: 3\n\nbuy" };
    format!("{method} /orders HTTP/1.1\nHost: desk\nAuthorization: Bearer {}\n{body}", token.reveal())
}

/// How many bytes of it an application gets.
async fn length(method: &str) -> usize {
    let (upstream, mut noted) = recording(|_| OK.to_owned()).await;
    let site = Site::made(Making::new(upstream)).await;
    let token = site.sign_in("trader").await;
    let mut client = site.connect().await;
    client.send(&request(method, &token)).await;
    client.answer().await;
    noted.recv().await.unwrap().len()
}

/// Goes away at every position of a request, and then at every position of its answer's head.
async fn goes_away_everywhere(method: &str, used: bool) {
    let whole = length(method).await;
    let application = GoesAway::default();
    let site = Site::made(Making::new(application.start().await)).await;
    let token = site.sign_in("trader").await;
    let mut client = site.connect().await;
    let repeats = method == "GET" && used;
    let head = OK.replace('\n', "\r\n").len() - "ok".len();
    for (takes, answers) in
        (1..=whole).map(|takes| (takes, 0)).chain((1..head).map(|answers| (whole, answers)))
    {
        application.takes.store(takes, SeqCst);
        application.answers.store(answers, SeqCst);
        application.arrived.store(0, SeqCst);
        if used {
            // Leaves a connection that is kept, and that this request goes into.
            client.send(&request("OPTIONS", &token)).await;
            assert!(client.answer().await.starts_with("HTTP/1.1 200"));
        }
        client.send(&request(method, &token)).await;
        let answer = client.answer().await;
        let at = format!("{method}, {takes} bytes taken, {answers} answered: {answer}");
        assert!(answer.starts_with("HTTP/1.1 502"), "{at}");
        let arrived = application.arrived.load(SeqCst);
        assert_eq!(arrived, if repeats { 2 } else { 1 }, "{at}");
        if method != "GET" && takes == whole {
            assert!(answer.contains("We cannot tell whether what you sent arrived."), "{at}");
        }
    }
    site.nothing_open(&token).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_had_an_effect_is_never_sent_again() {
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        goes_away_everywhere(method, true).await;
        goes_away_everywhere(method, false).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_is_sent_once_more_and_only_into_a_connection_that_was_used_before() {
    goes_away_everywhere("GET", true).await;
    goes_away_everywhere("GET", false).await;
}

/// A handshake is a GET, and what it starts (an exec) has an effect.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_to_switch_protocols_is_never_sent_again() {
    let application = GoesAway::default();
    application.takes.store(100, SeqCst);
    let app = AppSettings { websocket: true, upgrades: vec!["tcp".to_owned()], ..AppSettings::default() };
    let site = Site::made(Making { app, ..Making::new(application.start().await) }).await;
    let token = site.sign_in("operator").await;
    let mut client = site.connect().await;
    let websocket =
        "Upgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n";
    for upgrade in [websocket, "Upgrade: tcp\n"] {
        client.send(&request("OPTIONS", &token)).await;
        assert!(client.answer().await.starts_with("HTTP/1.1 200"));
        application.arrived.store(0, SeqCst);
        client.get("/exec", &token, &format!("Connection: Upgrade\n{upgrade}")).await;
        assert!(client.answer().await.starts_with("HTTP/1.1 502"));
        assert_eq!(application.arrived.load(SeqCst), 1, "{upgrade}");
    }
}
