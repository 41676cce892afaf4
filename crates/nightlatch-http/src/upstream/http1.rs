//! HTTP/1.1 to an application: a connection that one exchange has to itself, and that is moved by whoever has it.
//!
//! The HTTP library would have each connection be a task of its own. An exchange would then be two tasks that wake each other four times
//! over, and a third that waits for the connection to be ready again; at a few microseconds a request that was a tenth of
//! all a request costs. So the connection is polled where its bytes are waited for: while the head of the answer is, and then with each
//! chunk. What lies in the pool is moved by nobody, and looked at when it is taken out: one that the application closed meanwhile is
//! found out then, before anything is sent on it. Only a request that is still coming when its answer begins needs a task: its body must go on
//! while nobody reads the answer.

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
use tokio::task::AbortHandle;

/// What moves a connection; completes when that has ended, or is no longer HTTP.
type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// A connection to an application.
pub(super) struct Connection {
    sender: SendRequest<UpBody>,
    motion: Motion,
    gate: Arc<Gate>,
}

/// What moves a connection.
enum Motion {
    /// Whoever waits for its bytes.
    Driven(Driver),
    /// A task of its own.
    Alone(AbortHandle),
    Ended,
}

impl Motion {
    /// How it ended is told to whoever waits for something on it.
    fn drive(&mut self, cx: &mut Context<'_>) {
        if let Motion::Driven(driver) = self
            && driver.as_mut().poll(cx).is_ready()
        {
            *self = Motion::Ended;
        }
    }
}

impl Connection {
    /// Begins to speak on a socket.
    pub(super) async fn begin((io, gate): (GatedIo, Arc<Gate>)) -> hyper::Result<Connection> {
        let (sender, driver) = Builder::new().handshake(TokioIo::new(io)).await?;
        Ok(Connection { sender, motion: Motion::Driven(Box::pin(driver.with_upgrades())), gate })
    }

    /// The gate of its socket.
    pub(super) fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Moves what is under way, as far as it goes.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        self.motion.drive(cx);
    }

    /// From now on it moves by itself: an answer whose reader takes its time must not hold up a request that is still coming.
    pub(super) fn move_alone(&mut self) {
        if let Motion::Driven(driver) = std::mem::replace(&mut self.motion, Motion::Ended) {
            self.motion = Motion::Alone(tokio::spawn(driver).abort_handle());
        }
    }

    /// Whether it can take a request right now, as far as can be seen without waiting.
    pub(super) fn is_ready(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        !matches!(self.motion, Motion::Ended) && self.sender.is_ready()
    }

    /// Waits until it can take another request; false if it has ended.
    pub(super) async fn ready(&mut self) -> bool {
        let Connection { sender, motion, .. } = self;
        let mut ready = pin!(sender.ready());
        poll_fn(|cx| {
            motion.drive(cx);
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
        let motion = &mut self.motion;
        poll_fn(|cx| {
            motion.drive(cx);
            answer.as_mut().poll(cx)
        })
        .await
    }

    /// It is no longer HTTP: what is left is to hand its socket to whoever asked for the upgrade.
    pub(super) fn hand_over(mut self) -> Arc<Gate> {
        if let Motion::Driven(driver) = std::mem::replace(&mut self.motion, Motion::Ended) {
            tokio::spawn(driver);
        }
        Arc::clone(&self.gate)
    }
}

/// With whoever has it goes what moves it, and with that its socket.
impl Drop for Connection {
    fn drop(&mut self) {
        if let Motion::Alone(task) = &self.motion {
            task.abort();
        }
    }
}
