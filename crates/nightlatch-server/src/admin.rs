//! The admin listener: connections in, the API's router behind.
//!
//! It is not encrypted and belongs on loopback (the configuration check says so), but it must not fall to whoever can reach it: the
//! number of connections is bounded, a head must arrive in time, and HTTP/1.1 is all that is spoken. When the program stops, answers
//! under way are finished, event streams end by themselves, and what is left after a moment is cut.

use crate::api::CameInOn;
use axum::Router;
use hyper::{body::Incoming, server::conn::http1, service::Service as _, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use nightlatch_http::Socket;
use std::{sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
};

/// Connections that may be open at once; others wait in the kernel's queue.
const CONNECTIONS_MOST: usize = 512;
/// How long the head of a request may take.
const HEAD_WAIT: Duration = Duration::from_secs(10);
/// How long a client may take nothing of its answer. Then it is reset, or some that never read would fill the listener.
const WRITE_WAIT: Duration = Duration::from_secs(15);
/// How long answers under way may take when the program stops.
const STOP_WAIT: Duration = Duration::from_secs(5);
/// After an accept that failed for want of something, so that it does not fail a million times a second.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stopping` turns true, and then until what is under way is done.
pub(crate) async fn serve(listener: TcpListener, router: Router, mut stopping: watch::Receiver<bool>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MOST));
    let mut connections = JoinSet::new();
    loop {
        let Ok(seat) = Arc::clone(&room).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = told(&mut stopping) => break,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) => {
                let (router, stopping) = (router.clone(), stopping.clone());
                connections.spawn(async move {
                    connection(stream, router, stopping).await;
                    drop(seat);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection to the admin listener could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let finish = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_WAIT, finish).await.is_err() {
        tracing::warn!("some answers of the admin listener were cut: the program stops");
    }
}

async fn connection(stream: TcpStream, router: Router, mut stopping: watch::Receiver<bool>) {
    let Ok(local) = stream.local_addr() else { return };
    let inner = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(CameInOn(local));
        inner.call(request)
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_WAIT).max_headers(64);
    let connection = builder.serve_connection(TokioIo::new(Socket::tcp(stream, WRITE_WAIT)), service);
    tokio::pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = told(&mut stopping) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to the admin listener broke off");
    }
}

/// Waits until the program is about to stop. That whoever would say so is gone means the same.
async fn told(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stopping| *stopping).await;
}
