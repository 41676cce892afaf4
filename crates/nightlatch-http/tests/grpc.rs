//! gRPC: a call is told that it is over in its own words, or reset where no word fits.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers fail the test they serve"
)]

mod common;

use bytes::Bytes;
use common::http2::{Asked, Frozen, application, post, rest, until};
use h2::Reason;
use http::{HeaderMap, HeaderName, HeaderValue, Response, request};
use nightlatch_engine::Token;
use nightlatch_http::Protocol;
use std::{net::SocketAddr, time::Duration};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

/// One message of five bytes.
const MESSAGE: &[u8] = b"\0\0\0\0\x05early";

fn call(path: &str) -> request::Builder {
    post(path).header("content-type", "application/grpc+proto").header("te", "trailers")
}

/// A server whose calls answer with `first` and, when told, with `late` and their trailers. `/silent` answers nothing.
async fn server(first: &'static [u8], late: &'static [u8]) -> (SocketAddr, watch::Sender<bool>) {
    let (go, gone) = watch::channel(false);
    let address = application(move |asked: Asked| {
        let mut gone = gone.clone();
        async move {
            let Asked { request, mut respond, .. } = asked;
            if request.uri().path() == "/silent" {
                let _ = std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
                return;
            }
            let response = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
            let mut stream = respond.send_response(response, false).unwrap();
            stream.send_data(Bytes::from_static(first), false).unwrap();
            let _ = gone.wait_for(|gone| *gone).await;
            let _ = stream.send_data(Bytes::from_static(late), false);
            let ok = (HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"));
            let _ = stream.send_trailers(HeaderMap::from_iter([ok]));
        }
    })
    .await;
    (address, go)
}

fn outcome(fields: &HeaderMap) -> (&str, &str) {
    let text = |name: &str| fields.get(name).map_or("-", |value| value.to_str().unwrap());
    (text("grpc-status"), text("grpc-message"))
}

#[tokio::test]
async fn a_call_passes_with_its_trailers() {
    let (app, go) = server(MESSAGE, MESSAGE).await;
    let frozen = Frozen::new(app, Protocol::Http2).await;
    let token = frozen.site.sign_in("ada").await;
    go.send(true).unwrap();
    let mut line = frozen.line().await;
    let (answering, mut messages) = line.ask(call("/trade.Orders/Place"), Some(&token), true);
    messages.send_data(Bytes::from_static(MESSAGE), true).unwrap();
    let answer = answering.whole().await;
    assert_eq!(answer.body.as_bytes(), [MESSAGE, MESSAGE].concat());
    assert_eq!(outcome(&answer.trailers.unwrap()), ("0", "-"));
    frozen.site.nothing_open(&token).await;
}

#[tokio::test]
async fn never_late_a_call_between_two_messages_is_told_in_trailers() {
    let (app, go) = server(MESSAGE, b"\0\0\0\0\x04LATE").await;
    let frozen = Frozen::new(app, Protocol::Http2).await;
    let token = frozen.site.sign_in("ada").await;
    let mut line = frozen.line().await;
    // Both ways: the client is still sending.
    let (answering, mut messages) = line.ask(call("/trade.Quotes/Stream"), Some(&token), true);
    messages.send_data(Bytes::from_static(MESSAGE), false).unwrap();
    let mut body = answering.head().await.unwrap().into_body();
    until(&mut body, "early").await;
    frozen.pass_the_deadline();
    go.send(true).unwrap();
    let (seen, trailers) = rest(body).await.unwrap();
    assert_eq!((seen.as_str(), outcome(&trailers.unwrap())), ("", ("16", "idle_timeout")));
    let reason = timeout(Duration::from_secs(5), std::future::poll_fn(|cx| messages.poll_reset(cx))).await;
    assert_eq!(reason.unwrap().unwrap(), Reason::NO_ERROR);
    frozen.site.nothing_open(&token).await;
    assert_eq!(frozen.site.cuts(1).await[0].how, "grpc-status 16");
    // And the next one is told the same before it has begun.
    let answer = line.ask(call("/trade.Quotes/Stream"), Some(&token), false).0.head().await.unwrap();
    assert!(answer.status() == 200 && answer.body().is_end_stream());
    assert_eq!(outcome(answer.headers()), ("16", "idle_timeout"));
}

#[tokio::test]
async fn never_late_a_call_in_the_middle_of_a_message_is_reset() {
    let (app, go) = server(b"\0\0\0\0\x09early", b"LATE").await;
    let frozen = Frozen::new(app, Protocol::Http2).await;
    let token = frozen.site.sign_in("ada").await;
    let mut line = frozen.line().await;
    let answering = line.ask(call("/trade.Quotes/Stream"), Some(&token), false).0;
    let mut body = answering.head().await.unwrap().into_body();
    until(&mut body, "early").await;
    frozen.pass_the_deadline();
    go.send(true).unwrap();
    assert_eq!(rest(body).await.unwrap_err(), (String::new(), Some(Reason::CANCEL)));
    frozen.site.nothing_open(&token).await;
    assert_eq!(frozen.site.cuts(1).await[0].how, "RST_STREAM");
}

#[tokio::test]
async fn never_late_a_call_without_an_answer_is_told_in_trailers_only() {
    let (app, _go) = server(MESSAGE, MESSAGE).await;
    let frozen = Frozen::new(app, Protocol::Http2).await;
    let mut line = frozen.line().await;
    // Whole: it may have been acted on. Not whole: it has not.
    for (open, unknown) in [(false, true), (true, false)] {
        let token = frozen.site.sign_in("ada").await;
        let (answering, mut messages) = line.ask(call("/silent"), Some(&token), true);
        messages.send_data(Bytes::from_static(MESSAGE), !open).unwrap();
        sleep(Duration::from_millis(100)).await;
        frozen.pass_the_deadline();
        let answer = answering.head().await.unwrap();
        assert!(answer.status() == 200 && answer.body().is_end_stream());
        assert_eq!(outcome(answer.headers()), ("16", "idle_timeout"));
        assert_eq!(answer.headers().contains_key("nightlatch-outcome"), unknown);
    }
}

#[tokio::test]
async fn a_call_that_does_not_go_on_is_told_so_in_its_own_words() {
    let (app, _go) = server(MESSAGE, MESSAGE).await;
    let frozen = Frozen::new(app, Protocol::Http2).await;
    let mut line = frozen.line().await;
    let (ada, grace) = (frozen.site.sign_in("ada").await, frozen.site.sign_in("grace").await);
    let bearer = |token: &Token| format!("Bearer {}", token.reveal());
    let rows = [
        (call("/a"), "16", "not signed in"),
        (call("/a").header("authorization", "Bearer nlt_unknown"), "16", "not signed in"),
        (
            call("/a").header("authorization", bearer(&ada)).header("authorization", bearer(&grace)),
            "3",
            "two-credentials: Send one of them, as a cookie or as a bearer.",
        ),
        (call("/a/%2e%2e%2fb"), "3", "malformed-request"),
        (call("/_nightlatch/nothing"), "12", "no-such-route"),
    ];
    for (request, status, message) in rows {
        let answer = line.ask(request, None, false).0.head().await.unwrap();
        assert!(answer.status() == 200 && answer.body().is_end_stream());
        let told = outcome(answer.headers());
        assert!(told.0 == status && told.1.starts_with(message), "{told:?}");
    }
    // An application that cannot be reached has not acted on it; one that broke off perhaps has.
    let nobody: SocketAddr = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let hangs_up = application(|asked: Asked| async move {
        let _ = rest(asked.request.into_body()).await;
        let mut respond = asked.respond;
        respond.send_reset(Reason::INTERNAL_ERROR);
    })
    .await;
    for (upstream, status) in [(nobody, "14"), (hangs_up, "2")] {
        let frozen = Frozen::new(upstream, Protocol::Http2).await;
        let token = frozen.site.sign_in("ada").await;
        let (answering, mut messages) = frozen.line().await.ask(call("/a"), Some(&token), true);
        messages.send_data(Bytes::from_static(MESSAGE), true).unwrap();
        let answer = answering.head().await.unwrap();
        assert_eq!(outcome(answer.headers()).0, status);
    }
}
