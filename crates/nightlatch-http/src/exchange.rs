//! One request's way to the application and its answer's way back.
//!
//! Every step that may take time is raced against the session's end, and after every such step the permit is asked again:
//! after a connection is had, after the head of the answer has come, and (in [`Upload`], [`Download`] and the gates) for each chunk.
//!
//! If the end comes while the application has the request but has not answered, it depends. A request that can be tried
//! again, or that is not whole yet, is aborted. An unsafe request that was forwarded whole is left to finish, in bounded time:
//! aborting it would leave nobody knowing whether the order was placed. Its answer is withheld and its outcome recorded, and the
//! client is told that the outcome is unknown, never that it was not sent.

mod switching;

use crate::{
    answer::{Answer, Asker, NeedsHttp1, Obstacle, Outcome, close_after, trailers_only},
    download::{Download, Words},
    failures::{CutOff, Failure},
    forward::{
        identity::Identity,
        request::{self, Upward},
        response::{self, Downward},
    },
    gate::Guarded,
    gateway::{App, Gateway},
    grpc::{self, Messages, Status},
    inbound::Inbound,
    pages::{self, Sent},
    road::Peer,
    sending::{InTime, Sending},
    sse::{self, EventStream},
    upgrade::Switch,
    upload::{Fault, Progress, Upload},
    upstream::{
        Lease, UpBody, UpstreamError,
        pinned::{Place, Whose},
    },
};
use http::{
    Method, Request, Response, StatusCode, Version,
    header::{CONTENT_LENGTH, EXPECT, HOST, HeaderValue},
    uri::PathAndQuery,
};
use http_body::Body as _;
use http_body_util::{BodyExt, Empty};
use hyper::upgrade::OnUpgrade;
use nightlatch_core::Activity;
use nightlatch_engine::{Channel, End, Permit};
use std::{borrow::Cow, fmt::Display, net::IpAddr, sync::Arc};
use tokio::time::timeout;

/// Why an application that authenticates connections cannot be used.
const AUTHENTICATES: &str = "The application authenticates connections (NTLM or Negotiate). That needs somebody who is signed in here.";

const NOT_SIGNED: Obstacle = Obstacle {
    status: StatusCode::INTERNAL_SERVER_ERROR,
    code: "not-signed",
    title: Cow::Borrowed("The application could not be told who you are."),
    detail: Cow::Borrowed(
        "Nothing was passed on to it. Try again in a moment; if it stays like this, call the help desk.",
    ),
};

/// A request that may go on, and all that is known about it.
pub(crate) struct Exchange<'a> {
    pub(crate) gateway: &'a Gateway,
    pub(crate) app: &'a App,
    pub(crate) peer: &'a Peer,
    pub(crate) asker: Asker,
    pub(crate) target: PathAndQuery,
    pub(crate) route: Arc<str>,
    /// None on a public route.
    pub(crate) permit: Option<Arc<Permit>>,
    /// Set if it asks for another protocol and may have it.
    pub(crate) switch: Option<Switch>,
    /// Whether what the client sends in that protocol counts.
    pub(crate) frames: Activity,
}

impl Exchange<'_> {
    /// Forwards the request and brings back what the client gets.
    pub(crate) async fn run(mut self, request: Request<Inbound>) -> Answer {
        let progress = Arc::<Progress>::default();
        let method = request.method().clone();
        let (request, client_upgrade) = match self.outgoing(request, &progress) {
            Ok(outgoing) => outgoing,
            Err(answer) => return *answer,
        };
        let sending = Sending {
            upstream: Arc::clone(&self.app.upstream),
            request,
            guarded: self.guarded(if progress.read_whole() { Channel::Request } else { Channel::Upload }),
            progress: Arc::clone(&progress),
            whose: self.whose(),
            address: self.share(),
        };
        let within = self.gateway.limits.answer_within;
        let mut sending = InTime::new(sending, self.peer.alarms.clone(), within);
        let answered = match &self.permit {
            None => (&mut sending).await,
            Some(permit) => tokio::select! {
                biased;
                end = permit.ended() => {
                    if !method.is_safe() && progress.may_be_whole() {
                        self.leave_to_finish(permit, sending);
                        return self.signed_out(end, Outcome::Unknown);
                    }
                    drop(sending);
                    return Box::pin(self.cut_short(end, &progress)).await;
                }
                answered = &mut sending => answered,
            },
        };
        let (response, lease) = match answered {
            Some(Ok(answered)) => answered,
            Some(Err(error)) => return Box::pin(self.no_answer(&method, &progress, &error)).await,
            None => return self.too_slow(&method),
        };
        self.answer(&method, response, lease, progress, client_upgrade).await
    }

    /// The request as it is forwarded.
    fn outgoing(
        &self,
        mut request: Request<Inbound>,
        progress: &Arc<Progress>,
    ) -> Result<(Request<UpBody>, Option<OnUpgrade>), Box<Answer>> {
        let client_upgrade = self.switch.is_some().then(|| hyper::upgrade::on(&mut request));
        let (mut head, body) = request.into_parts();
        let host = head.headers.get(HOST).cloned();
        let subject_key = self.subject_key();
        let protocol = self.switch.as_ref().map(Switch::protocol);
        let facts = self.permit.as_ref().map(|permit| &permit.session().facts);
        let assertion = self.assertion()?;
        let upward = Upward {
            peer: self.peer.address,
            secure: self.peer.secure,
            host: host.as_ref(),
            version: head.version,
            trusted: &self.gateway.trusted,
            identity: facts.map(|facts| Identity {
                subject: &facts.who.subject,
                session: facts.id,
                groups: &facts.terms.groups,
                assertion: assertion.as_ref(),
            }),
            app_cookies: Some(&self.app.cookies),
            subject_key: subject_key.as_deref(),
            upgrade: protocol.as_ref(),
            alone: request::has_unexpected_body(&head.method, !body.is_end_stream()),
        };
        if let Err(error) = request::prepare(&mut head.headers, &upward) {
            let answer = self.obstacle(StatusCode::BAD_GATEWAY, "identity-too-large", error.to_string());
            return Err(Box::new(answer));
        }
        // The client gets its 100 from us, when the application's connection takes the body: nothing is left to expect.
        let waiting = head.headers.remove(EXPECT).map(|_| self.peer.outlet.clone());
        if host.is_none() {
            // Only HTTP/1.0 may leave it out.
            let authority = HeaderValue::try_from(self.app.upstream.host());
            head.headers.extend(authority.ok().map(|authority| (HOST, authority)));
        }
        head.uri = self.target.clone().into();
        head.version = http::Version::HTTP_11;
        head.extensions = http::Extensions::new();
        let body = if body.is_end_stream() {
            progress.of_no_body();
            Empty::new().map_err(|never| match never {}).boxed()
        } else {
            Upload::new(body, self.permit.clone(), progress, waiting)
                .within(&self.gateway.limits, !(self.asker.call && self.permit.is_some()))
                .boxed()
        };
        Ok((Request::from_parts(head, body), client_upgrade))
    }

    /// The answer as the client gets it.
    async fn answer(
        &mut self,
        method: &Method,
        response: Response<Inbound>,
        lease: Lease,
        progress: Arc<Progress>,
        client_upgrade: Option<OnUpgrade>,
    ) -> Answer {
        // Time has passed while the application thought.
        if let Some(permit) = &self.permit
            && permit.ask().is_err()
        {
            let end = permit.ended().await;
            drop(lease);
            if method.is_safe() {
                return Box::pin(self.cut_short(end, &progress)).await;
            }
            permit.record_withheld(&self.route, Some(response.status().as_u16()));
            return Box::pin(self.withheld(end, &progress)).await;
        }
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return self.switch(response, lease, &progress, client_upgrade);
        }
        let (mut head, body) = response.into_parts();
        let words = match () {
            () if self.permit.is_none() => Words::None,
            () if sse::is_event_stream(&head.headers) => Words::Event(EventStream::default()),
            // In front of an application of HTTP/1 too: what counts is that the client reads trailers.
            () if self.asker.call && grpc::is_call(Version::HTTP_2, &head.headers) => {
                Words::Trailers(Messages::default())
            }
            () => Words::None,
        };
        self.prepare_answer(&mut head, None);
        let channel = match words {
            Words::Event(_) => Channel::Sse,
            Words::Trailers(_) | Words::None => Channel::Download,
        };
        if !matches!(words, Words::None) {
            // Something may follow: its length is not known in advance.
            head.headers.remove(CONTENT_LENGTH);
        }
        let guarded = self.guarded(channel);
        if let Some(guarded) = &guarded {
            self.peer.outlet.hold(guarded.clone());
        }
        let body = Download::new(body, lease, progress, guarded, &self.peer.outlet, words)
            .closing_with(&self.gateway.drain);
        Response::from_parts(head, body.boxed_unsync())
    }

    fn prepare_answer(&self, head: &mut http::response::Parts, upgrade: Option<&HeaderValue>) {
        let subject_key = self.subject_key();
        let downward =
            Downward { app_cookies: Some(&self.app.cookies), subject_key: subject_key.as_deref(), upgrade };
        response::prepare(&mut head.headers, &downward);
        head.version = http::Version::HTTP_11;
        head.extensions = http::Extensions::new();
    }

    /// The end came before the application had all of it, or before it answered what can be asked again.
    async fn cut_short(&self, end: End, progress: &Progress) -> Answer {
        let (channel, how) = if progress.read_whole() {
            (Channel::Request, self.refusal())
        } else {
            (Channel::Upload, "aborted")
        };
        let answer = progress.read_off(self.signed_out(end, Outcome::NotForwarded)).await;
        if let Some(guarded) = self.guarded(channel) {
            self.peer.outlet.record_when_left(guarded, how);
        }
        answer
    }

    /// The end came between an answer and its client. It is not known what came of the request, whole or not: one that breaks off before an
    /// answer is not acted on, but whoever answers early (perhaps with a refusal, perhaps not) has made up its mind on less than all of it.
    async fn withheld(&self, end: End, progress: &Progress) -> Answer {
        let answer = self.signed_out(end, Outcome::Unknown);
        if progress.read_whole() {
            return answer;
        }
        let answer = progress.read_off(answer).await;
        if let Some(guarded) = self.guarded(Channel::Upload) {
            self.peer.outlet.record_when_left(guarded, "aborted");
        }
        answer
    }

    /// Lets a request that was forwarded whole finish, and records what came of it.
    fn leave_to_finish(&self, permit: &Arc<Permit>, sending: InTime) {
        let (permit, route) = (Arc::clone(permit), Arc::clone(&self.route));
        let within = self.gateway.limits.finish_within;
        // It counts as open: a gateway that stops waits for it.
        let seat = Arc::clone(&self.peer.seat);
        tokio::spawn(async move {
            let finished = timeout(within, sending).await.ok().flatten();
            let status = finished.and_then(Result::ok).map(|(response, _)| response.status().as_u16());
            permit.record_withheld(&route, status);
            drop(seat);
        });
    }

    async fn no_answer(&self, method: &Method, progress: &Progress, error: &UpstreamError) -> Answer {
        // A gate that closed while the request went in looks like an application that broke off.
        if let Some(permit) = &self.permit
            && permit.ask().is_err()
        {
            let end = permit.ended().await;
            if !method.is_safe() && progress.may_be_whole() {
                permit.record_withheld(&self.route, None);
                return self.signed_out(end, Outcome::Unknown);
            }
            return self.cut_short(end, progress).await;
        }
        if let Some(fault) = progress.fault() {
            self.count_fault(fault);
            let mut answer = self.gateway.refuse(&self.asker, &fault.obstacle());
            close_after(&mut answer);
            return answer;
        }
        match Failure::of(error) {
            Some(failure) => self.say_failure(failure, error),
            None => self.gateway.cut_offs.count(CutOff::Places),
        }
        let (status, code) = match error {
            UpstreamError::Connect { .. } => (StatusCode::BAD_GATEWAY, "application-unreachable"),
            UpstreamError::NoRoom(_) => (StatusCode::SERVICE_UNAVAILABLE, "too-many-requests-open"),
            UpstreamError::ConnectTimeout(_) => (StatusCode::GATEWAY_TIMEOUT, "application-unreachable"),
            UpstreamError::AuthenticatesConnection(_) => {
                (StatusCode::BAD_GATEWAY, "connection-authentication")
            }
            UpstreamError::Answer { .. } => (StatusCode::BAD_GATEWAY, "application-broke-off"),
            UpstreamError::Ambiguous { .. } => (StatusCode::BAD_GATEWAY, "ambiguous-answer"),
        };
        let sent = if !method.is_safe() && progress.may_be_whole() { Sent::Perhaps } else { Sent::Nothing };
        let answer = match error {
            UpstreamError::AuthenticatesConnection(_) => {
                let mut answer = self.obstacle(status, code, AUTHENTICATES.to_owned());
                answer.extensions_mut().insert(NeedsHttp1);
                answer
            }
            _ => self.trouble(status, code, sent),
        };
        progress.read_off(answer).await
    }

    fn too_slow(&self, method: &Method) -> Answer {
        self.say_failure(Failure::TooSlow, &"it did not begin one within `limits.answer_within`");
        let sent = if method.is_safe() { Sent::Nothing } else { Sent::Perhaps };
        self.trouble(StatusCode::GATEWAY_TIMEOUT, "application-too-slow", sent)
    }

    fn say_failure(&self, failure: Failure, error: &dyn Display) {
        let now = self.gateway.engine.clock().now();
        self.app.upstream.failures().say(failure, &self.app.name, error, now);
    }

    fn count_fault(&self, fault: Fault) {
        match fault {
            Fault::Slow => self.gateway.cut_offs.count(CutOff::SlowBody),
            Fault::Large => self.gateway.cut_offs.count(CutOff::LargeBody),
            Fault::Malformed => {}
        }
    }

    /// Something went wrong on the way to the application; the session is not touched by it.
    fn trouble(&self, status: StatusCode, code: &'static str, sent: Sent) -> Answer {
        if self.asker.call && sent == Sent::Perhaps {
            // Not "unavailable": callers try that again.
            return trailers_only(Status::Unknown, code, Outcome::Unknown);
        }
        let words = pages::trouble(status.as_u16(), sent);
        let obstacle = Obstacle { status, code, title: words.title, detail: words.sentence.into() };
        self.gateway.refuse(&self.asker, &obstacle)
    }

    /// Who it is, signed, if the application asks for it and anybody is signed in. If that fails nothing goes out in its place.
    fn assertion(&self) -> Result<Option<HeaderValue>, Box<Answer>> {
        let (Some(assertions), Some(permit)) = (&self.app.assertions, &self.permit) else { return Ok(None) };
        let signed = assertions.of(permit.session());
        signed.map(Some).map_err(|error| {
            tracing::error!(app = %self.app.name, %error, "a request was refused");
            Box::new(self.gateway.refuse(&self.asker, &NOT_SIGNED))
        })
    }

    fn obstacle(&self, status: StatusCode, code: &'static str, detail: String) -> Answer {
        let title = "The application's answer cannot be used.".into();
        self.gateway.refuse(&self.asker, &Obstacle { status, code, title, detail: detail.into() })
    }

    fn signed_out(&self, end: End, outcome: Outcome) -> Answer {
        match &self.permit {
            Some(permit) => self.gateway.signed_out(&self.asker, permit.session(), end, outcome),
            None => self.gateway.not_signed_in(&self.asker),
        }
    }

    /// What the client of an answer that is withheld gets, for the record.
    fn refusal(&self) -> &'static str {
        if self.asker.call { "grpc-status 16" } else { "401" }
    }

    /// Whose share of the connections to applications this takes. A connection of HTTP/1 asks for one at a time, and is counted itself.
    fn share(&self) -> Option<IpAddr> {
        let address = self.peer.address;
        let counts = self.peer.outlet.connection().is_none() && !self.gateway.trusted.contains(address);
        counts.then_some(address)
    }

    /// Whose a connection is that the application authenticates.
    fn whose(&self) -> Whose {
        match (&self.permit, &self.peer.pins) {
            (None, _) => Whose::Nobody,
            (Some(_), None) => Whose::OneOfMany,
            (Some(permit), Some(pins)) => {
                Whose::Client(Place { pins: Arc::clone(pins), session: permit.session().facts.id })
            }
        }
    }

    fn guarded(&self, channel: Channel) -> Option<Guarded> {
        let permit = self.permit.clone()?;
        Some(Guarded { permit, channel, route: Arc::clone(&self.route) })
    }

    /// What the application's cookies are bound to, if it has any that are.
    fn subject_key(&self) -> Option<Vec<u8>> {
        let permit = self.permit.as_ref().filter(|_| !self.app.cookies.is_empty())?;
        let subject = &permit.session().facts.who.subject;
        Some([subject.provider.as_bytes(), b"\0", subject.name.as_bytes()].concat())
    }
}
