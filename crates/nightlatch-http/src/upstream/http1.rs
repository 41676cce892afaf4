//! HTTP/1.1 to an application: a connection that one exchange has to itself, and that is moved by whoever has it.
//!
//! The HTTP library would have each connection be a task of its own. An exchange would then be two tasks that wake each other four times
//! over, and a third that waits for the connection to be ready again; at a few microseconds a request that was a tenth of
//! all a request costs. So the connection is polled where its bytes are waited for: while the head of the answer is, and then with each
//! chunk. What lies in the pool is moved by nobody, and looked at when it is taken out: one that the application closed meanwhile is
//! found out then, before anything is sent on it.

use super::UpBody;
use crate::gate::{Gate, GatedIo};
use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{
        TrySendError,
        http1::{Builder, SendRequest},
    },
};
use hyper_util::rt::TokioIo;
use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Waker},
};

/// What moves a connection; completes when that has ended, or is no longer HTTP.
type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// A connection to an application.
pub(super) struct Connection {
    sender: SendRequest<UpBody>,
    /// None once it has ended.
    driver: Option<Driver>,
    gate: Arc<Gate>,
}

impl Connection {
    /// Begins to speak on a socket.
    pub(super) async fn begin((io, gate): (GatedIo, Arc<Gate>)) -> hyper::Result<Connection> {
        let (sender, driver) = Builder::new().handshake(TokioIo::new(io)).await?;
        Ok(Connection { sender, driver: Some(Box::pin(driver.with_upgrades())), gate })
    }

    /// The gate of its socket.
    pub(super) fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Moves what is under way, as far as it goes.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        drive(&mut self.driver, cx);
    }

    /// Whether it can take a request right now, as far as can be seen without waiting.
    pub(super) fn is_ready(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.driver.is_some() && self.sender.is_ready()
    }

    /// Waits until it can take another request; false if it has ended.
    pub(super) async fn ready(&mut self) -> bool {
        let Connection { sender, driver, .. } = self;
        let mut ready = pin!(sender.ready());
        poll_fn(|cx| {
            drive(driver, cx);
            ready.as_mut().poll(cx).map(|ready| ready.is_ok())
        })
        .await
    }

    /// Sends a request and waits for the head of the answer. The body comes as the connection is driven on.
    pub(super) async fn send(
        &mut self,
        request: Request<UpBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<UpBody>>> {
        let mut answer = pin!(self.sender.try_send_request(request));
        let driver = &mut self.driver;
        poll_fn(|cx| {
            drive(driver, cx);
            answer.as_mut().poll(cx)
        })
        .await
    }

    /// It is no longer HTTP: what is left is to hand its socket to whoever asked for the upgrade.
    pub(super) fn hand_over(self) -> Arc<Gate> {
        if let Some(driver) = self.driver {
            tokio::spawn(driver);
        }
        self.gate
    }
}

/// How it ended is told to whoever waits for something on it.
fn drive(driver: &mut Option<Driver>, cx: &mut Context<'_>) {
    if driver.as_mut().is_some_and(|driver| driver.as_mut().poll(cx).is_ready()) {
        *driver = None;
    }
}
