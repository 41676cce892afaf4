//! A request's body on its way to the application: asked for at every chunk.
//!
//! When the session ends in the middle, the body ends with an error, so that the application sees a request that never became
//! complete and does not act on it. What the client has still to send is given back, so that it can be read off to a
//! bound and the client gets to read its answer. Once the last byte has left, the request is *forwarded whole*: from then on the
//! application may act on it, and nobody may say that it was not sent.

mod pace;

use crate::{
    answer::{Answer, Obstacle, close_after, read_off},
    forward::trailers,
    gate::{Over, ended},
    inbound::Inbound,
    limits::Limits,
    outlet::Outlet,
    upstream::UpBodyError,
};
use bytes::Bytes;
use http::StatusCode;
use http_body::{Body, Frame, SizeHint};
use nightlatch_engine::Permit;
use pace::Pace;
use std::{
    borrow::Cow,
    pin::Pin,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{sync::oneshot, time::timeout};

/// How long a body may take to come back from a connection that was closed.
const BACK_WITHIN: Duration = Duration::from_secs(1);

/// How far a request has come on its way to the application.
#[derive(Default)]
pub(crate) struct Progress {
    read_whole: AtomicBool,
    /// What is wrong with the body that the client sends.
    fault: OnceLock<Fault>,
    /// The client sends nothing before it is told to.
    waits: AtomicBool,
    outlet: Mutex<Option<Outlet>>,
    rest: Mutex<Option<oneshot::Receiver<Inbound>>>,
}

impl Progress {
    /// The request goes out this way.
    pub(crate) fn through(&self, outlet: Outlet) {
        *self.outlet.lock().unwrap_or_else(PoisonError::into_inner) = Some(outlet);
    }

    /// The head is all there is of it.
    pub(crate) fn of_no_body(&self) {
        self.read_whole.store(true, SeqCst);
    }

    /// Whether every byte of the request may have been handed to the kernel. Asked when the session is over, so that nothing
    /// more passes; a write that was under way counts, since saying "not sent" of what was sent would place an order twice.
    pub(crate) fn may_be_whole(&self) -> bool {
        let outlet = self.outlet.lock().unwrap_or_else(PoisonError::into_inner);
        self.read_whole() && outlet.as_ref().is_some_and(Outlet::may_have_left)
    }

    /// What is wrong with the body that the client sends, if anything.
    pub(crate) fn fault(&self) -> Option<Fault> {
        self.fault.get().copied()
    }

    fn blame(&self, fault: Fault) -> UpBodyError {
        UpBodyError::Client(*self.fault.get_or_init(|| fault))
    }

    /// Whether the client has sent everything.
    pub(crate) fn read_whole(&self) -> bool {
        self.read_whole.load(SeqCst)
    }

    /// The answer to a client that has perhaps not sent everything: the rest is read off to a bound, or the connection closes.
    /// The application's connection has been given up by now.
    pub(crate) async fn read_off(&self, mut answer: Answer) -> Answer {
        if self.read_whole() {
            return answer;
        }
        if self.waits.load(SeqCst) {
            close_after(&mut answer);
            return answer;
        }
        let rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner).take();
        let rest = match rest {
            Some(rest) => timeout(BACK_WITHIN, rest).await.ok().and_then(Result::ok),
            None => None,
        };
        match rest {
            Some(rest) => read_off(rest, &mut answer).await,
            None => close_after(&mut answer),
        }
        answer
    }
}

/// Why a client's body is not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// It is no body, or broke off.
    #[error("what was sent as a body is none")]
    Malformed,
    /// It trickles.
    #[error("the body came too slowly")]
    Slow,
    /// There is more of it than is taken.
    #[error("the body is larger than is taken here")]
    Large,
}

impl Fault {
    /// What the client is told.
    pub(crate) fn obstacle(self) -> Obstacle {
        let (status, code, title, detail) = match self {
            Fault::Malformed => (
                StatusCode::BAD_REQUEST,
                "malformed-request",
                "This request cannot be understood.",
                "What was sent as a body is none.",
            ),
            Fault::Slow => (
                StatusCode::REQUEST_TIMEOUT,
                "body-too-slow",
                "This request took too long to arrive.",
                "Its body came too slowly, and was not passed on whole.",
            ),
            Fault::Large => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "body-too-large",
                "This request is too large.",
                "Its body is larger than this gateway takes, and was not passed on whole.",
            ),
        };
        Obstacle { status, code, title: Cow::Borrowed(title), detail: Cow::Borrowed(detail) }
    }
}

/// The body as the application gets it.
pub(crate) struct Upload {
    body: Option<Inbound>,
    progress: Arc<Progress>,
    permit: Option<Arc<Permit>>,
    /// Where the client is told to go on, if it waits for that.
    waiting: Option<Outlet>,
    /// None for a body that may be silent for as long as its session lives.
    pace: Option<Pace>,
    /// Bytes that may still come.
    room: u64,
    over: Option<Over>,
    back: Option<oneshot::Sender<Inbound>>,
}

impl Upload {
    /// A body that passes for as long as `permit` says yes, or for ever without one. `waiting`: the client sends nothing of it
    /// before it is told there to continue, which happens when it is first polled.
    pub(crate) fn new(
        body: Inbound,
        permit: Option<Arc<Permit>>,
        progress: &Arc<Progress>,
        waiting: Option<Outlet>,
    ) -> Upload {
        let (back, rest) = oneshot::channel();
        progress.read_whole.store(body.is_end_stream(), SeqCst);
        progress.waits.store(waiting.is_some(), SeqCst);
        *progress.rest.lock().unwrap_or_else(PoisonError::into_inner) = Some(rest);
        Upload {
            body: Some(body),
            progress: Arc::clone(progress),
            permit,
            waiting,
            pace: None,
            room: u64::MAX,
            over: None,
            back: Some(back),
        }
    }

    /// Within these bounds; `steady` if bytes must keep coming.
    pub(crate) fn within(mut self, limits: &Limits, steady: bool) -> Upload {
        self.pace = steady.then(|| Pace::new(limits.body_within, limits.body_least));
        self.room = limits.body_bytes.unwrap_or(u64::MAX);
        self
    }

    /// Nothing is there to be read: completes with what is wrong, once something is.
    fn poll_nothing(&mut self, cx: &mut Context<'_>) -> Poll<UpBodyError> {
        if let Some(permit) = &self.permit
            && self.over.get_or_insert_with(|| ended(permit)).as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(UpBodyError::Over);
        }
        let Some(pace) = &mut self.pace else { return Poll::Pending };
        pace.poll_enough(cx).map(|()| self.progress.blame(Fault::Slow))
    }

    /// Counts what came; false if it is more than is taken.
    fn count(&mut self, frame: &Frame<Bytes>) -> bool {
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        if let Some(pace) = &mut self.pace {
            pace.came(bytes);
        }
        let left = self.room.checked_sub(bytes as u64);
        self.room = left.unwrap_or(0);
        left.is_some()
    }

    fn announce(&self) {
        let outlet = self.progress.outlet.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outlet) = &*outlet {
            outlet.put();
        }
    }

    fn is_over(&self) -> bool {
        self.permit.as_ref().is_some_and(|permit| permit.ask().is_err())
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = UpBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpBodyError>>> {
        if self.is_over() {
            return Poll::Ready(Some(Err(UpBodyError::Over)));
        }
        if self.size_hint().lower() > self.room {
            return Poll::Ready(Some(Err(self.progress.blame(Fault::Large))));
        }
        if let Some(client) = self.waiting.take() {
            self.progress.waits.store(false, SeqCst);
            client.want_body();
        }
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) else {
            let wrong = ready!(self.poll_nothing(cx));
            return Poll::Ready(Some(Err(wrong)));
        };
        if self.is_over() {
            return Poll::Ready(Some(Err(UpBodyError::Over)));
        }
        self.announce();
        match frame {
            Some(Ok(frame)) => {
                if !self.count(&frame) {
                    return Poll::Ready(Some(Err(self.progress.blame(Fault::Large))));
                }
                if self.is_end_stream() {
                    self.progress.read_whole.store(true, SeqCst);
                }
                Poll::Ready(Some(Ok(trailers::passing(frame))))
            }
            Some(Err(error)) => {
                tracing::debug!(%error, "a client's body broke off");
                Poll::Ready(Some(Err(self.progress.blame(Fault::Malformed))))
            }
            None => {
                self.progress.read_whole.store(true, SeqCst);
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

/// What was not read goes back.
impl Drop for Upload {
    fn drop(&mut self) {
        if let (Some(body), Some(back)) = (self.body.take(), self.back.take()) {
            let _ = back.send(body);
        }
    }
}
