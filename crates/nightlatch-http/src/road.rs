//! The one road of every request: canonical path, application, credential, check, and on.
//!
//! Nothing reaches an application but by [`Gateway::handle`], and nothing in it is decided before the request has exactly one
//! reading: what is matched against routes is what is forwarded.

use crate::{
    alarm::Alarms,
    answer::{Answer, Asker, Obstacle, Outcome, read_off_request},
    exchange::Exchange,
    extract::{Carrier, Extracted, extract},
    forward::client::ClientView,
    gate::POINT,
    gateway::{App, Gateway, OWN_PREFIX},
    grpc,
    inbound::Inbound,
    outlet::Outlet,
    path::CanonicalPath,
    route::RouteRequest,
    seat::Seat,
    target::{Target, TargetRefusal, is_place, same_authority},
    trigger::{is_navigation, trigger},
    upgrade::{Asking, Switch},
    upstream::pinned::Pins,
};
use http::{
    HeaderValue, Method, Request, StatusCode,
    header::{HOST, REFERER, TRANSFER_ENCODING},
    uri::PathAndQuery,
};
use http_body::Body as _;
use nightlatch_core::Trigger;
use nightlatch_engine::{Admission, Permit};
use std::{borrow::Cow, net::IpAddr, sync::Arc, time::Duration};
use tokio::time::timeout;

/// How long a refusal waits for the record of the end that it is about.
const TELL_WITHIN: Duration = Duration::from_secs(2);

/// The other end of a client's connection.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    /// Whether the connection is TLS.
    pub(crate) secure: bool,
    /// Where what it gets leaves.
    pub(crate) outlet: Outlet,
    /// Connections that an application has authenticated for it; none where requests of others may come on the same stream of bytes
    /// at the same time.
    pub(crate) pins: Option<Arc<Pins>>,
    /// Timers that its requests have one after the other.
    pub(crate) alarms: Alarms,
    /// Its seat among the connections that may be open.
    pub(crate) seat: Arc<Seat>,
}

/// A request with one reading.
pub(crate) struct Read {
    pub(crate) path: CanonicalPath,
    pub(crate) target: PathAndQuery,
    pub(crate) query: Option<String>,
    pub(crate) client: ClientView,
    pub(crate) asker: Asker,
}

impl Gateway {
    /// Answers one request. What is not the common way is boxed, so that the common one carries no room for it.
    pub(crate) async fn handle(&self, request: Request<Inbound>, peer: &Peer) -> Answer {
        let read = match self.read(&request, peer) {
            Ok(read) => read,
            Err(answer) => return Box::pin(read_off_request(request, *answer)).await,
        };
        if read.path.as_str().starts_with(OWN_PREFIX) {
            return Box::pin(self.own(request, read)).await;
        }
        // By `Host` and not by what a proxy forwards of it: proxies that set the one pass a client's own other through.
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let Some(app) = self.app(host, &read.path) else {
            let answer = self.refuse(&read.asker, &MISDIRECTED);
            return Box::pin(read_off_request(request, answer)).await;
        };
        match self.admit(&request, app, &read) {
            Ok(Granted { permit, switch, by_cookie }) => {
                let websocket = switch.as_ref().is_some_and(Switch::is_websocket);
                let route = RouteRequest { method: request.method(), websocket, path: &read.path };
                let exchange = Exchange {
                    gateway: self,
                    app,
                    peer,
                    route: app.route_name(route),
                    frames: app.counts(route, Trigger::Stream),
                    asker: Asker { by_cookie, ..read.asker },
                    target: read.target,
                    permit,
                    switch,
                };
                exchange.run(request).await
            }
            Err(refused) => {
                let answer = Box::pin(refused.answer(self, read.asker)).await;
                Box::pin(read_off_request(request, answer)).await
            }
        }
    }

    /// Gives a request its one reading.
    fn read(&self, request: &Request<Inbound>, peer: &Peer) -> Result<Read, Box<Answer>> {
        let headers = request.headers();
        let client = ClientView::of(headers, peer.address, peer.secure, headers.get(HOST), &self.trusted);
        let mut asker = Asker {
            navigation: is_navigation(request.method(), headers),
            safe: request.method().is_safe(),
            secure: self.is_secure(&client),
            call: grpc::is_call(request.version(), headers),
            by_cookie: true,
            return_to: Cow::Borrowed("/"),
        };
        let malformed = |asker: &Asker, detail: String| {
            Box::new(self.refuse(asker, &Obstacle { detail: detail.into(), ..MALFORMED }))
        };
        let mut hosts = headers.get_all(HOST).iter();
        let host = hosts.next();
        if hosts.next().is_some() || host.is_none() && request.version() > http::Version::HTTP_10 {
            return Err(malformed(&asker, "exactly one `Host` field is needed".to_owned()));
        }
        if !host.is_none_or(|host| host.to_str().is_ok_and(is_place)) {
            return Err(malformed(&asker, "`Host` is not a host, perhaps with a port".to_owned()));
        }
        let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
        let other = |coding: &HeaderValue| !coding.as_bytes().eq_ignore_ascii_case(b"chunked");
        if codings.next().is_some_and(other) || codings.next().is_some() {
            return Err(malformed(&asker, "the only transfer coding taken is `chunked`, once".to_owned()));
        }
        if !self.demo_users.is_empty() && !host.is_some_and(is_this_machine) {
            // Whoever is at this machine is believed, so a page that points its own name here must not pass for one of ours.
            return Err(Box::new(self.refuse(&asker, &MISDIRECTED)));
        }
        if is_echo(request.method()) {
            return Err(Box::new(self.refuse(&asker, &NO_ECHO)));
        }
        let (path, query) = match Target::of_uri(request.method(), request.uri()) {
            Ok(Target::Origin { path, query }) => (path, query),
            Ok(Target::Absolute { authority, path, query, .. })
                if same_host(authority, host, peer.secure) =>
            {
                (path, query)
            }
            Ok(Target::Absolute { .. }) => {
                return Err(malformed(&asker, "the target names another host than `Host`".to_owned()));
            }
            Ok(Target::Server) => {
                return Err(malformed(&asker, "`OPTIONS *` is not answered here".to_owned()));
            }
            Err(TargetRefusal::Connect) => return Err(Box::new(self.refuse(&asker, &NO_TUNNELS))),
            Err(refusal) => return Err(malformed(&asker, refusal.to_string())),
        };
        let read = CanonicalPath::parse(path.as_bytes()).and_then(|path| Ok((path.forwarded(query)?, path)));
        let (target, path) = read.map_err(|refusal| malformed(&asker, refusal.to_string()))?;
        asker.return_to = self.return_to(request, asker.navigation, &target, &client);
        Ok(Read { query: query.map(str::to_owned), path, target, client, asker })
    }

    /// Where a person comes back to after signing in: the page asked for, or the page that a form or a script stood on.
    fn return_to(
        &self,
        request: &Request<Inbound>,
        navigation: bool,
        target: &PathAndQuery,
        client: &ClientView,
    ) -> Cow<'static, str> {
        if navigation && request.method().is_safe() {
            return target.as_str().to_owned().into();
        }
        let referer = request.headers().get(REFERER).and_then(|referer| referer.to_str().ok());
        let ours = referer.and_then(|referer| {
            let origin = self.origin(client, request.headers().get(HOST))?;
            referer.strip_prefix(origin.as_str())
        });
        ours.filter(|path| path.starts_with('/')).map_or(Cow::Borrowed("/"), |path| path.to_owned().into())
    }

    /// Whether the request may go on: with a permit, or on a public route without one.
    fn admit(&self, request: &Request<Inbound>, app: &App, read: &Read) -> Result<Granted, Refused> {
        let headers = request.headers();
        let asking = Asking {
            method: request.method(),
            version: request.version(),
            headers,
            has_body: !request.body().is_end_stream(),
        };
        let switch = app.upgrades.asked_for(asking).map_err(|fault| Refused::Malformed(fault.to_string()))?;
        let websocket = switch.as_ref().is_some_and(Switch::is_websocket);
        let route = RouteRequest { method: request.method(), websocket, path: &read.path };
        let demands = app.demands(route);
        // Nobody could end what no session is behind: a public route is public for requests only.
        if switch.is_none() && demands.is_empty() && app.is_public(route) {
            return Ok(Granted { permit: None, switch: None, by_cookie: false });
        }
        let extraction = extract(headers, Gateway::cookie_names(read.asker.secure));
        let presented = match extraction.credential {
            Extracted::One(presented) => presented,
            Extracted::Conflict => return Err(Refused::Conflict),
            Extracted::None | Extracted::Malformed => {
                let held = extraction.ended_ticket.and_then(|ticket| self.tickets.read(ticket));
                return Err(Refused::NotSignedIn(held));
            }
        };
        let by_cookie = presented.carrier == Carrier::Cookie;
        let activity = app.counts(route, trigger(request.method(), headers));
        match self.engine.check_sensitive(&presented.hash, activity, POINT, &demands) {
            Admission::Granted(permit) => Ok(Granted { permit: Some(Arc::new(permit)), switch, by_cookie }),
            Admission::Insufficient(insufficient) => Err(Refused::Insufficient(insufficient)),
            Admission::Ended(refusal) => Err(Refused::Over { refusal, by_cookie }),
            Admission::Unknown => Err(Refused::NotSignedIn(None)),
        }
    }
}

/// A request that may go on.
struct Granted {
    /// None on a public route.
    permit: Option<Arc<Permit>>,
    switch: Option<Switch>,
    /// The credential came as a cookie.
    by_cookie: bool,
}

/// Why a request does not go on.
pub(crate) enum Refused {
    /// It brings no credential that names a session; perhaps a ticket that names one that is over.
    NotSignedIn(Option<nightlatch_core::SessionId>),
    /// Its session is over.
    Over {
        /// Which, and how it ended.
        refusal: nightlatch_engine::Refusal,
        /// The credential came as a cookie.
        by_cookie: bool,
    },
    /// Its session lives, and it needs a fresher authentication.
    Insufficient(nightlatch_engine::Insufficient),
    /// It brings two different credentials.
    Conflict,
    /// It asks for a WebSocket in a way that is none.
    Malformed(String),
}

impl Refused {
    /// In words, to whoever asked.
    pub(crate) async fn answer(self, gateway: &Gateway, mut asker: Asker) -> Answer {
        match self {
            Refused::Over { refusal, by_cookie } => {
                if timeout(TELL_WITHIN, refusal.told()).await.is_err() {
                    // The end cannot be put on record: refused all the same, and nothing said of it.
                    return gateway.not_signed_in(&asker);
                }
                asker.by_cookie = by_cookie;
                let end = refusal.session.end().unwrap_or(refusal.end);
                gateway.signed_out(&asker, &refusal.session, end, Outcome::NotForwarded)
            }
            Refused::NotSignedIn(held) => {
                // There was no cookie of a session, so none is to go.
                asker.by_cookie = false;
                let session = held.and_then(|id| gateway.engine.session(id));
                match session.as_ref().and_then(|session| session.end().map(|end| (session, end))) {
                    Some((session, end)) => gateway.signed_out(&asker, session, end, Outcome::NotForwarded),
                    None => gateway.not_signed_in(&asker),
                }
            }
            Refused::Insufficient(insufficient) => gateway.authenticate_again(&asker, &insufficient.demand),
            Refused::Conflict => gateway.refuse(&asker, &CONFLICT),
            Refused::Malformed(detail) => {
                gateway.refuse(&asker, &Obstacle { detail: detail.into(), ..MALFORMED })
            }
        }
    }
}

/// TRACE (RFC 9110 section 9.3.8), or the same under the name that IIS gave it.
fn is_echo(method: &Method) -> bool {
    method == Method::TRACE || method.as_str() == "TRACK"
}

/// A name or address that means this machine only.
fn is_this_machine(host: &HeaderValue) -> bool {
    let host = host.to_str().unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost")
        || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

fn same_host(authority: &str, host: Option<&HeaderValue>, secure: bool) -> bool {
    host.and_then(|host| host.to_str().ok()).is_some_and(|host| same_authority(authority, host, secure))
}

const MALFORMED: Obstacle = Obstacle {
    status: StatusCode::BAD_REQUEST,
    code: "malformed-request",
    title: Cow::Borrowed("This request cannot be understood."),
    detail: Cow::Borrowed(""),
};

const NO_TUNNELS: Obstacle = Obstacle {
    status: StatusCode::METHOD_NOT_ALLOWED,
    code: "no-tunnels",
    title: Cow::Borrowed("Tunnels are not offered."),
    detail: Cow::Borrowed("CONNECT is refused on this gateway."),
};

const NO_ECHO: Obstacle = Obstacle {
    status: StatusCode::METHOD_NOT_ALLOWED,
    code: "no-echo",
    title: Cow::Borrowed("Requests are not echoed."),
    detail: Cow::Borrowed("TRACE would tell a client what is told to applications only."),
};

pub(crate) const CONFLICT: Obstacle = Obstacle {
    status: StatusCode::BAD_REQUEST,
    code: "two-credentials",
    title: Cow::Borrowed("This request brings two different credentials."),
    detail: Cow::Borrowed("Send one of them, as a cookie or as a bearer."),
};

const MISDIRECTED: Obstacle = Obstacle {
    status: StatusCode::MISDIRECTED_REQUEST,
    code: "no-such-application",
    title: Cow::Borrowed("No application answers here."),
    detail: Cow::Borrowed("This gateway has no application for this host and path."),
};
