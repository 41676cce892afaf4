#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail the test they serve")]

use super::*;
use crate::{
    gate::{GatedIo, tests::stage},
    http2::{followed::Followed, frames},
    socket::Socket,
};
use nightlatch_engine::ManualTime;
use std::{convert::Infallible, io::ErrorKind, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// A frame of eight bytes of payload.
fn frame(kind: u8, flags: u8, stream: u32) -> Vec<u8> {
    [&[0, 0, 8, kind, flags][..], &stream.to_be_bytes(), b"12345678"].concat()
}

/// A way out, followed, and what arrives at its end.
async fn way_out(
    outgoing: impl FnOnce(Arc<Gate>) -> Arc<Outgoing>,
) -> (Followed<GatedIo>, Arc<Outgoing>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let near = listener.accept().await.unwrap().0;
    let (io, gate) = GatedIo::new(Socket::tcp(near, Duration::from_secs(60)));
    let outgoing = outgoing(gate);
    (Followed::server(io, Arc::clone(&outgoing)), outgoing, far)
}

fn enter(outgoing: &Arc<Outgoing>, guarded: Option<&Guarded>, id: u32) -> StreamOut {
    outgoing.enter(guarded.cloned(), || Ok::<_, Infallible>((id, ()))).unwrap().0
}

#[tokio::test]
async fn never_late_a_frame_that_was_queued_in_time_does_not_leave_late() {
    let time = Arc::new(ManualTime::new(1_800_000_000_000_000_000));
    let stage = stage(Box::new(Arc::clone(&time))).await;
    let (mut io, outgoing, mut far) = way_out(|gate| Outgoing::to_client(gate, 100)).await;
    let _free = enter(&outgoing, None, 1);
    let _bound = enter(&outgoing, Some(&stage.guarded), 3);
    let early = [frame(frames::HEADERS, 4, 3), frame(frames::DATA, 0, 3)].concat();
    io.write_all(&early).await.unwrap();
    io.flush().await.unwrap();
    time.advance(600 * 1_000_000_000);
    // Others, and what carries nothing, still pass; so does the reset of that very stream.
    let others = [frame(frames::DATA, 0, 1), frame(6, 0, 0), frame(frames::RST_STREAM, 0, 3)].concat();
    io.write_all(&others).await.unwrap();
    io.flush().await.unwrap();
    // `h2` had this one in its queue, and nobody took it out.
    let _bound = enter(&outgoing, Some(&stage.guarded), 5);
    let late = io.write_all(&frame(frames::DATA, 0, 5)).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::PermissionDenied);
    drop(io);
    let mut seen = vec![0; early.len() + others.len()];
    far.read_exact(&mut seen).await.unwrap();
    assert_eq!(seen, [early, others].concat());
    assert!(far.read(&mut [0; 9]).await.is_err(), "reset, without a byte more");
}

#[tokio::test]
async fn never_late_a_frame_of_nobody_does_not_reach_an_application() {
    let stage = stage(Box::new(nightlatch_engine::OsTime)).await;
    let (mut io, outgoing, mut far) = way_out(Outgoing::to_application).await;
    let stream = enter(&outgoing, Some(&stage.guarded), 1);
    io.write_all(&frame(frames::HEADERS, 4, 1)).await.unwrap();
    assert!(!stream.may_be_whole());
    // Given up: its reset passes, and nothing else that `h2` may still hold.
    drop(stream);
    io.write_all(&frame(frames::RST_STREAM, 0, 1)).await.unwrap();
    assert!(io.write_all(&frame(frames::DATA, 0, 1)).await.is_err());
    drop(io);
    let mut seen = vec![0; 34];
    far.read_exact(&mut seen).await.unwrap();
    assert!(far.read(&mut [0; 9]).await.is_err());
}

#[tokio::test]
async fn words_may_follow_when_everything_before_them_has_left() {
    let stage = stage(Box::new(nightlatch_engine::OsTime)).await;
    let (mut io, outgoing, _far) = way_out(|gate| Outgoing::to_client(gate, 100)).await;
    let stream = enter(&outgoing, Some(&stage.guarded), 1);
    let speak = || stream.last_words(&stage.guarded, "event");
    stream.queue(1);
    stream.queue(8);
    assert!(!speak(), "queued, and not yet handed down");
    io.write_all(&frame(frames::HEADERS, 4, 1)).await.unwrap();
    io.flush().await.unwrap();
    assert!(!speak(), "the head has left, the body has not");
    io.write_all(&frame(frames::DATA, 0, 1)).await.unwrap();
    assert!(!speak(), "handed down, and perhaps not yet left");
    io.flush().await.unwrap();
    assert!(speak() && stream.speaks());
}

/// Told "not sent" or "unknown" depends on it: our own reset is not the end of what was to be said.
#[tokio::test]
async fn kept_a_request_that_was_reset_half_way_is_not_whole() {
    let (mut io, outgoing, _far) = way_out(Outgoing::to_application).await;
    let (half, whole) = (enter(&outgoing, None, 1), enter(&outgoing, None, 3));
    for id in [1, 3] {
        io.write_all(&[frame(frames::HEADERS, 4, id), frame(frames::DATA, 0, id)].concat()).await.unwrap();
    }
    assert!(!half.may_be_whole() && !whole.may_be_whole());
    io.write_all(&frame(frames::RST_STREAM, 0, 1)).await.unwrap();
    io.write_all(&frame(frames::DATA, 1, 3)).await.unwrap();
    assert!(!half.may_be_whole() && whole.may_be_whole(), "as soon as they are handed down");
    io.flush().await.unwrap();
    assert!(!half.may_be_whole() && whole.may_be_whole(), "and when they have left");
}

/// What a client may send: its preface, and these frames.
fn sent(frames: &[Vec<u8>]) -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frames.concat()[..]].concat()
}

fn reset(stream: u32) -> Vec<u8> {
    [&[0, 0, 4, 3, 0][..], &stream.to_be_bytes(), &[0; 4]].concat()
}

/// Queued and finished, and nobody produces more.
fn finished(outgoing: &Arc<Outgoing>, id: u32) {
    let stream = enter(outgoing, None, id);
    stream.queue(8);
    stream.finish();
}

#[tokio::test]
async fn a_stream_that_the_client_reset_leaves_the_books_once_nothing_of_it_can_come() {
    let (mut io, outgoing, mut far) = way_out(|gate| Outgoing::to_client(gate, 100)).await;
    let streams = || outgoing.state().streams.len();
    for id in [1, 3, 5] {
        finished(&outgoing, id);
    }
    assert_eq!(streams(), 3, "their last frames are still to come");
    io.write_all(&frame(frames::DATA, 1, 5)).await.unwrap();
    far.write_all(&sent(&[reset(1), reset(5), reset(3)])[..24 + 3 * 13 - 1]).await.unwrap();
    io.read_exact(&mut [0; 24 + 3 * 13 - 1]).await.unwrap();
    assert_eq!(streams(), 3, "read, and perhaps not yet understood");
    // Whoever reads on has understood all that was complete.
    far.write_all(&[0]).await.unwrap();
    io.read_exact(&mut [0; 1]).await.unwrap();
    assert_eq!(streams(), 2, "a reset that was not complete waits, and so does a last frame on its way");
    let _ = timeout(Duration::from_millis(50), io.read_u8()).await;
    assert_eq!(streams(), 1);
    io.flush().await.unwrap();
    assert_eq!(streams(), 0);
}

#[tokio::test]
async fn a_stream_that_the_client_reset_before_its_answer_leaves_the_books() {
    let (_io, outgoing, _far) = way_out(|gate| Outgoing::to_client(gate, 100)).await;
    let (refused, early, queued) =
        (enter(&outgoing, None, 1), enter(&outgoing, None, 3), enter(&outgoing, None, 5));
    refused.finish();
    refused.not_finished();
    outgoing.given_up(3);
    early.finish();
    queued.finish();
    drop((refused, early, queued));
    assert_eq!(outgoing.state().streams.len(), 1, "the one whose last frame is still to leave");
}
