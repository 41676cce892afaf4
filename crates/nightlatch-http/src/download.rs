//! A response's body on its way to the client: asked for at every chunk, and cut in the words of its protocol.
//!
//! A stream of server-sent events is handed on in whole events, so that at the end one more can follow and say why. A call of gRPC
//! is told in its trailers, if it stands between two messages. Anything else has no place for words: it is reset, so that what was cut cannot look complete. Either way the connection to the
//! application is closed with it.

use crate::{
    drain::{Drain, Turn},
    failures::Failure,
    forward::trailers,
    gate::{Guarded, Over, ended},
    grpc::{self, Messages},
    inbound::{Inbound, InboundError},
    outlet::Outlet,
    sse::{self, EventStream},
    upload::Progress,
    upstream::Lease,
};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use nightlatch_engine::End;
use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Sleep, sleep};

/// Why a response's body ended before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DownloadError {
    /// The session ended; the connection is reset.
    #[error("the session is over")]
    Over,
    /// The application broke off.
    #[error("the application broke off: {0}")]
    Application(#[source] InboundError),
}

/// The body as the client gets it.
pub(crate) struct Download {
    body: Inbound,
    lease: Option<Lease>,
    progress: Arc<Progress>,
    guard: Option<Guard>,
    /// When a stream of events is to end because the gateway stops.
    turn: Option<Turn>,
}

/// What stands between a body and a client while a session decides.
struct Guard {
    guarded: Guarded,
    outlet: Outlet,
    words: Words,
    /// Pieces that are whole events, still to be handed on.
    ready: VecDeque<Bytes>,
    over: Option<Over>,
    /// What `over` said: it says it once.
    end: Option<End>,
    said_goodbye: bool,
    /// Until the last moment before the deadline is over.
    moment: Option<Pin<Box<Sleep>>>,
}

/// How long before a deadline nothing more is begun on a stream: longer than a piece takes from here to the socket.
const LAST_MOMENT_MS: u64 = 3;

/// Where last words may stand in a body, if anywhere.
pub(crate) enum Words {
    /// Nowhere.
    None,
    /// Between two server-sent events, as another one.
    Event(EventStream),
    /// Between two messages of gRPC, as trailers.
    Trailers(Messages),
}

impl Download {
    /// A body that passes for as long as `guarded` may, or for ever without one.
    pub(crate) fn new(
        body: Inbound,
        mut lease: Lease,
        progress: Arc<Progress>,
        guarded: Option<Guarded>,
        outlet: &Outlet,
        words: Words,
    ) -> Download {
        if !progress.read_whole() {
            lease.move_alone();
        }
        let guard = guarded.map(|guarded| Guard::new(guarded, outlet, words));
        Download { body, lease: Some(lease), progress, guard, turn: None }
    }

    /// A stream of events ends when its turn comes, between two events, and its client comes back. Anything else has an end of
    /// its own, and is waited for.
    pub(crate) fn closing_with(mut self, drain: &Drain) -> Download {
        let events = matches!(&self.guard, Some(Guard { words: Words::Event(_), .. }));
        self.turn = events.then(|| drain.turn());
        self
    }

    fn is_to_close(&mut self, guard: &Guard, cx: &mut Context<'_>) -> bool {
        let between = matches!(&guard.words, Words::Event(events) if events.can_end());
        let Some(turn) = self.turn.as_mut().filter(|_| between) else { return false };
        turn.as_mut().poll(cx).is_ready()
    }

    /// The application has said everything: its connection may serve another exchange.
    fn complete(&mut self) {
        if let Some(lease) = self.lease.take()
            && self.progress.read_whole()
        {
            lease.give_back();
        }
    }

    /// Its client sees it; whoever watches the application sees it counted. A body of the client's that is none breaks the
    /// connection to the application as well.
    fn count_broken_off(&self) {
        if let (Some(lease), None) = (&self.lease, self.progress.fault()) {
            lease.failures().count(Failure::AnswerBrokenOff);
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, DownloadError>>> {
        let mut polled = Pin::new(&mut self.body).poll_frame(cx);
        if polled.is_pending()
            && let Some(lease) = &mut self.lease
        {
            lease.drive(cx);
            polled = Pin::new(&mut self.body).poll_frame(cx);
        }
        if let Poll::Ready(None) = polled {
            self.complete();
        }
        polled.map(|frame| Some(frame?.map(trailers::passing).map_err(DownloadError::Application)))
    }
}

impl Guard {
    fn new(guarded: Guarded, outlet: &Outlet, words: Words) -> Guard {
        Guard {
            guarded,
            outlet: outlet.clone(),
            words,
            ready: VecDeque::new(),
            over: None,
            end: None,
            said_goodbye: false,
            moment: None,
        }
    }

    fn is_over(&self) -> bool {
        self.guarded.permit.ask().is_err()
    }

    /// Whether this is the last moment before the deadline, and the client's connection carries others. What set out now could meet
    /// the end between here and the socket, and the connection would be reset with everybody on it. So it waits those few
    /// milliseconds: either the session lives on and it passes, or it is over.
    fn is_last_moment(&mut self, cx: &mut Context<'_>) -> bool {
        if self.outlet.connection().is_some() {
            return false;
        }
        while let Ok(left) = self.guarded.permit.time_left()
            && left.as_millis() < LAST_MOMENT_MS
        {
            let wait = Duration::from_millis(left.as_millis().max(1));
            let moment = self.moment.get_or_insert_with(|| Box::pin(sleep(wait)));
            if moment.as_mut().poll(cx).is_pending() {
                return true;
            }
            self.moment = None;
        }
        false
    }

    /// Completes once the session is over and that may be told.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        if let Some(end) = self.end {
            return Poll::Ready(end);
        }
        let permit = &self.guarded.permit;
        let end = ready!(self.over.get_or_insert_with(|| ended(permit)).as_mut().poll(cx));
        self.end = Some(end);
        Poll::Ready(end)
    }

    /// What words of ours would be, if they may follow what has been handed on.
    fn words_may_stand(&self) -> Option<&'static str> {
        match &self.words {
            Words::None => None,
            // What is still to be handed on is the rest of an event that was begun.
            Words::Event(events) => {
                (events.can_end() && self.ready.is_empty()).then_some("event nightlatch-ended")
            }
            Words::Trailers(messages) => messages.at_boundary().then_some("grpc-status 16"),
        }
    }

    /// The cut: words where they may stand and may be said, else a reset.
    fn cut(&mut self, end: End) -> Option<Result<Frame<Bytes>, DownloadError>> {
        if end.told
            && let Some(how) = self.words_may_stand()
            && self.outlet.last_words(&self.guarded, how)
        {
            self.said_goodbye = true;
            return Some(Ok(match &self.words {
                Words::Trailers(_) => Frame::trailers(grpc::over(end.reason)),
                Words::Event(_) | Words::None => Frame::data(sse::final_event(end.reason)),
            }));
        }
        self.outlet.reset(self.guarded.clone());
        Some(Err(DownloadError::Over))
    }

    /// Takes a chunk, and keeps back what is not a whole event.
    fn take(&mut self, frame: Frame<Bytes>) -> Option<Frame<Bytes>> {
        let events = match &mut self.words {
            Words::None => return Some(frame),
            Words::Event(events) => events,
            Words::Trailers(messages) => {
                frame.data_ref().into_iter().for_each(|data| messages.follow(data));
                return Some(frame);
            }
        };
        match frame.into_data() {
            Ok(data) => {
                self.ready.extend(events.push(data).pieces());
                self.ready.pop_front().map(Frame::data)
            }
            Err(trailers) => Some(trailers),
        }
    }

    /// The application ended the stream: what was kept back passes as it is.
    fn rest(&mut self) -> Option<Frame<Bytes>> {
        let Words::Event(events) = std::mem::replace(&mut self.words, Words::None) else { return None };
        let rest = events.into_rest();
        (!rest.is_empty()).then(|| Frame::data(rest))
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = DownloadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, DownloadError>>> {
        let this = &mut *self;
        let Some(mut guard) = this.guard.take() else {
            let polled = this.poll_body(cx);
            if let Poll::Ready(Some(Err(_))) = polled {
                this.count_broken_off();
            }
            return polled;
        };
        let polled = this.poll_guarded(&mut guard, cx);
        this.guard = Some(guard);
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.guard {
            Some(Guard { words: Words::Event(_), .. }) => false,
            Some(_) => self.body.is_end_stream(),
            None => self.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.guard {
            Some(Guard { words: Words::Event(_) | Words::Trailers(_), .. }) => SizeHint::default(),
            _ => self.body.size_hint(),
        }
    }
}

impl Download {
    fn poll_guarded(
        &mut self,
        guard: &mut Guard,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, DownloadError>>> {
        loop {
            if guard.said_goodbye {
                return Poll::Ready(None);
            }
            if guard.is_over() {
                // Nothing more passes; the words wait until the end may be told.
                let end = ready!(guard.poll_over(cx));
                self.lease = None;
                return Poll::Ready(guard.cut(end));
            }
            if let Some(piece) = guard.ready.pop_front() {
                guard.outlet.put();
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            if guard.is_last_moment(cx) {
                let _ = ready!(guard.poll_over(cx));
                continue;
            }
            let frame = match self.poll_body(cx) {
                Poll::Ready(frame) => frame,
                Poll::Pending if self.is_to_close(guard, cx) => {
                    self.lease = None;
                    guard.said_goodbye = true;
                    guard.outlet.put();
                    continue;
                }
                Poll::Pending => {
                    // Woken by either; if by the end, the loop finds it over.
                    let _ = ready!(guard.poll_over(cx));
                    continue;
                }
            };
            // Time has passed while the chunk came.
            if guard.is_over() {
                continue;
            }
            let passing = match frame {
                Some(Ok(frame)) => guard.take(frame).map(Ok),
                Some(Err(error)) => {
                    self.count_broken_off();
                    Some(Err(error))
                }
                None => match guard.rest() {
                    Some(rest) => Some(Ok(rest)),
                    None => {
                        // The mark of the end is on its way too, and may not overtake the session's.
                        guard.outlet.put();
                        return Poll::Ready(None);
                    }
                },
            };
            if let Some(passing) = passing {
                guard.outlet.put();
                return Poll::Ready(Some(passing));
            }
        }
    }
}

/// Complete or given up by the client: the gate need not hold what has left.
impl Drop for Download {
    fn drop(&mut self) {
        if self.body.is_end_stream() {
            self.complete();
        }
        if let Some(guard) = &self.guard {
            guard.outlet.release();
        }
    }
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Download(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::tests::stage;
    use nightlatch_engine::ManualTime;
    use std::task::Waker;

    /// An end that came between the question and the wait was noticed by the wait; asked for again it must be told again.
    #[tokio::test]
    async fn an_end_is_told_as_often_as_it_is_asked_for() {
        let time = Arc::new(ManualTime::new(1_800_000_000_000_000_000));
        let stage = stage(Box::new(Arc::clone(&time))).await;
        let mut guard = Guard::new(stage.guarded.clone(), &Outlet::Connection(Arc::default()), Words::None);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(guard.poll_over(&mut cx).is_pending());
        time.advance(600 * 1_000_000_000);
        while guard.poll_over(&mut cx).is_pending() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        assert!(guard.is_over() && guard.poll_over(&mut cx).is_ready());
    }

    /// An event that came in two parts is handed on in two pieces, and the session may end between them.
    #[tokio::test]
    async fn no_words_inside_an_event_that_came_in_two_parts() {
        let time = ManualTime::new(1_800_000_000_000_000_000);
        let stage = stage(Box::new(Arc::new(time))).await;
        let events = Words::Event(EventStream::default());
        let mut guard = Guard::new(stage.guarded.clone(), &Outlet::Connection(Arc::default()), events);
        assert!(guard.take(Frame::data("data: hal".into())).is_none());
        assert!(guard.words_may_stand().is_some());
        let begun = guard.take(Frame::data("f\n\n".into())).unwrap().into_data().unwrap();
        assert_eq!((&*begun, guard.words_may_stand()), (&b"data: hal"[..], None));
        assert_eq!(guard.ready.pop_front().unwrap(), "f\n\n");
        assert!(guard.words_may_stand().is_some());
    }
}
