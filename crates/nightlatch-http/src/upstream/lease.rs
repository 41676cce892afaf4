//! A connection to an application in the hands of one exchange: the request goes in, the answer is judged, and it is given back or not.

use super::{UpBody, Upstream, UpstreamError, http1::Connection, http2, pinned::Whose, room::Place};
use crate::{
    failures::Failures,
    forward::{connection_auth, framing::one_framing, hop_by_hop::list_has},
    gate::{Gate, Guarded},
    inbound::Inbound,
    outlet::Outlet,
    upload::Progress,
};
use http::{Request, Response, header::CONNECTION};
use std::{sync::Arc, task::Context, time::Duration};
use tokio::time::timeout;

/// How long a connection may take to be ready for another exchange after one.
const READY_WITHIN: Duration = Duration::from_secs(5);
/// A connection in use. Dropping it closes the connection; [`Lease::give_back`] does not.
pub(crate) struct Lease {
    pub(super) upstream: Arc<Upstream>,
    pub(super) held: Held,
    /// It was used before, so the application may have closed it meanwhile.
    pub(crate) reused: bool,
    /// Nobody uses it after this exchange.
    pub(super) alone: bool,
    /// Whose it is if the application authenticates it.
    pub(super) whose: Whose,
    /// The application authenticates it.
    pub(super) authenticated: bool,
    /// Of a connection that is all its own; one with many streams has its own.
    pub(super) place: Option<Place>,
}

/// What of a connection an exchange has.
pub(super) enum Held {
    Nothing,
    /// All of it.
    Http1(Connection),
    /// A stream.
    Http2(http2::Use),
}

/// What came of sending a request.
pub(crate) enum Sent {
    /// The head of the answer.
    Answered(Response<Inbound>),
    /// Nothing of it was sent: the connection had been closed. The request comes back for another one.
    Returned(Request<UpBody>),
    /// It failed.
    Failed(UpstreamError),
}

impl Lease {
    /// How its application failed so far.
    pub(crate) fn failures(&self) -> &Failures {
        self.upstream.failures()
    }

    /// Sends a request and waits for the head of the answer. From here on every byte of it is asked for at the socket.
    pub(crate) async fn send(
        &mut self,
        request: Request<UpBody>,
        guarded: Option<&Guarded>,
        progress: &Progress,
    ) -> Sent {
        self.alone = list_has(request.headers(), &CONNECTION, "close");
        self.authenticated |= connection_auth::is_offered(request.headers());
        let connection = match &mut self.held {
            Held::Nothing => return Sent::Returned(request),
            Held::Http1(connection) => connection,
            Held::Http2(stream) => {
                let upstream = &self.upstream;
                let sent = stream.send(request, guarded, progress, |source| upstream.answer(source)).await;
                return match sent {
                    Sent::Answered(response) => self.judged(response),
                    other => other,
                };
            }
        };
        match guarded {
            Some(guarded) => connection.gate().hold(guarded.clone()),
            None => connection.gate().put(),
        }
        progress.through(Outlet::Connection(Arc::clone(connection.gate())));
        match connection.send(request).await {
            Ok(response) => self.judged(response.map(Inbound::Http1)),
            Err(mut error) => match error.take_message() {
                Some(request) => Sent::Returned(request),
                None => Sent::Failed(self.upstream.answer(error.into_error())),
            },
        }
    }

    /// An answer that can be used, and whether its connection is anybody's from now on.
    fn judged(&mut self, mut response: Response<Inbound>) -> Sent {
        let judged = self.judge(&mut response);
        if let (true, Held::Http2(stream)) = (self.authenticated, &self.held) {
            // Whoever came upon it next would be taken for this one.
            stream.retire();
        }
        judged.map_or_else(Sent::Failed, |()| Sent::Answered(response))
    }

    fn judge(&mut self, response: &mut Response<Inbound>) -> Result<(), UpstreamError> {
        let authority = || Arc::clone(&self.upstream.authority);
        one_framing(response.headers_mut())
            .map_err(|source| UpstreamError::Ambiguous { authority: authority(), source })?;
        let headers = response.headers();
        self.authenticated |= connection_auth::is_spoken_of(headers);
        if self.whose.is_stuck(response.status(), headers) {
            return Err(UpstreamError::AuthenticatesConnection(authority()));
        }
        Ok(())
    }

    /// Moves the answer's body, and what is left of the request's, as far as they go.
    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) {
        // A connection with many streams moves by itself.
        if let Held::Http1(connection) = &mut self.held {
            connection.drive(cx);
        }
    }

    /// The answer has begun while the request is still coming: neither waits for the other from now on.
    pub(crate) fn move_alone(&mut self) {
        if let Held::Http1(connection) = &mut self.held {
            connection.move_alone();
        }
    }

    /// The exchange is complete: the connection may serve another one, once it is ready.
    pub(crate) fn give_back(mut self) {
        let mut connection = match std::mem::replace(&mut self.held, Held::Nothing) {
            Held::Nothing => return,
            Held::Http1(connection) => connection,
            Held::Http2(stream) => return stream.complete(),
        };
        connection.gate().release();
        let place = self.whose.place().filter(|_| self.authenticated).cloned();
        if self.alone || self.authenticated && place.is_none() {
            return;
        }
        let upstream = Arc::clone(&self.upstream);
        if connection.is_ready() {
            upstream.put_back(place, connection);
            return;
        }
        // Perhaps the request did not get out, though its answer came.
        tokio::spawn(async move {
            if timeout(READY_WITHIN, connection.ready()).await == Ok(true) {
                upstream.put_back(place, connection);
            }
        });
    }

    /// The connection is no longer HTTP: it lives on in what it was upgraded to.
    pub(crate) fn hand_over(mut self) -> Option<(Arc<Gate>, Option<Place>)> {
        match std::mem::replace(&mut self.held, Held::Nothing) {
            Held::Http1(connection) => Some((connection.hand_over(), self.place.take())),
            Held::Http2(_) | Held::Nothing => None,
        }
    }
}

/// Not given back: closed, together with whatever was on its way; of a connection with many streams, the stream.
impl Drop for Lease {
    fn drop(&mut self) {
        if let Held::Http1(connection) = &self.held {
            connection.gate().reset(None);
        }
    }
}
