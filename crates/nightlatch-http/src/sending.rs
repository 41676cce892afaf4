//! One request on its way into an application, and once more where that repeats nothing.
//!
//! An application may close an idle connection at the very moment a request goes into it. Then nobody can know what it has seen.
//! A request that came back untouched goes out again on a fresh connection; so does, once, a request that is safe and has no body,
//! since asking twice changes nothing. Anything else may have been acted on and is never repeated; a request to switch protocols
//! neither, though it may be a GET: what it starts has an effect.

use crate::{
    alarm::{Alarm, Alarms},
    gate::Guarded,
    inbound::Inbound,
    upload::Progress,
    upstream::{Lease, Sent, UpBody, Upstream, UpstreamError, pinned::Whose},
};
use bytes::Bytes;
use http::{Request, Response, header::UPGRADE};
use http_body_util::{BodyExt, Empty};
use std::{
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

/// An answer's head, with the connection it came on.
pub(crate) type Answered = (Response<Inbound>, Lease);

/// The request that is sent, perhaps more than once.
pub(crate) struct Sending {
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) request: Request<UpBody>,
    pub(crate) guarded: Option<Guarded>,
    pub(crate) progress: Arc<Progress>,
    /// Whose a connection is that the application authenticates.
    pub(crate) whose: Whose,
    /// Whose share of the connections to applications it takes, if that is counted.
    pub(crate) address: Option<IpAddr>,
}

impl Sending {
    /// Completes with the head of the answer.
    pub(crate) async fn run(mut self) -> Result<Answered, UpstreamError> {
        let may_repeat = self.request.method().is_safe()
            && self.progress.read_whole()
            && !self.request.headers().contains_key(UPGRADE);
        let mut spare = may_repeat.then(|| without_body(&self.request));
        let mut fresh = false;
        loop {
            let owner = self.guarded.as_ref().map(|guarded| guarded.permit.session().facts.id);
            let mut lease = self.upstream.check_out(owner, self.whose.clone(), self.address, fresh).await?;
            self.request = match lease.send(self.request, self.guarded.as_ref(), &self.progress).await {
                Sent::Answered(response) => return Ok((response, lease)),
                Sent::Returned(request) if !fresh => request,
                Sent::Returned(_) => {
                    return Err(UpstreamError::ConnectTimeout(Arc::clone(self.upstream.authority())));
                }
                Sent::Failed(error) if lease.reused && error.is_broken_off() => match spare.take() {
                    // Only a permit opens a connection.
                    Some(request) if self.guarded.as_ref().is_none_or(Guarded::may_pass) => request,
                    _ => return Err(error),
                },
                Sent::Failed(error) => return Err(error),
            };
            fresh = true;
        }
    }
}

/// A request that is sent, and the answer waited for, for so long once the client has sent everything. Beside a task's other business it
/// is one pointer, whatever it takes to send a request: it may have to go on when its exchange does not.
pub(crate) struct InTime {
    sent: Pin<Box<dyn Future<Output = Result<Answered, UpstreamError>> + Send>>,
    progress: Arc<Progress>,
    alarms: Alarms,
    within: Duration,
    /// Runs while nothing is heard, and whether the client had sent everything when it began.
    waiting: Option<(Alarm, bool)>,
}

impl InTime {
    /// Nothing happens before it is polled.
    pub(crate) fn new(sending: Sending, alarms: Alarms, within: Duration) -> InTime {
        let progress = Arc::clone(&sending.progress);
        InTime { sent: Box::pin(sending.run()), progress, alarms, within, waiting: None }
    }
}

/// The head of the answer; none if the application takes too long.
impl Future for InTime {
    type Output = Option<Result<Answered, UpstreamError>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let InTime { sent, progress, alarms, within, waiting } = &mut *self;
        loop {
            let (alarm, sent_all) =
                waiting.get_or_insert_with(|| (alarms.after(*within), progress.read_whole()));
            if let Poll::Ready(sent) = sent.as_mut().poll(cx) {
                return Poll::Ready(Some(sent));
            }
            ready!(Pin::new(alarm).poll(cx));
            if *sent_all {
                return Poll::Ready(None);
            }
            *waiting = None;
        }
    }
}

/// The same request again; it has no body.
fn without_body(request: &Request<UpBody>) -> Request<UpBody> {
    let mut again = Request::new(Empty::<Bytes>::new().map_err(|never| match never {}).boxed());
    again.method_mut().clone_from(request.method());
    again.uri_mut().clone_from(request.uri());
    again.headers_mut().clone_from(request.headers());
    again
}
