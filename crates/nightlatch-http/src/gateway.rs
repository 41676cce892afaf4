//! The gateway: what it is put together from, and which application a request is for.

use crate::{
    app_cookie::{AppCookieError, AppCookies},
    assertion::{AssertionError, Assertions, Signer},
    cookies::CookieNames,
    drain::Drain,
    failures::{CutOff, CutOffs, Failure, Seldom},
    forward::client::{ClientView, TrustedProxies},
    limits::Limits,
    own::{LogoutToken, LogoutTokens},
    path::CanonicalPath,
    route::{Reading, RoutePattern, RouteRequest, RouteSet},
    seat::Shares,
    sign_in::SignIn,
    ticket::Tickets,
    tunnel::afterwards::Afterwards,
    upgrade::Upgrades,
    upstream::{Protocol, Upstream, room::Room},
    vocabulary::Vocabulary,
};
use http::{HeaderValue, Method};
use nightlatch_core::{Activity, ActivityMode, RouteSays, Trigger};
use nightlatch_engine::{Demand, Engine};
use std::{
    cmp::Reverse,
    sync::{Arc, Mutex},
};
use tokio::sync::Semaphore;

/// The prefix of the gateway's own routes.
pub const OWN_PREFIX: &str = "/_nightlatch/";

/// Routes that need a fresh authentication.
#[derive(Clone, Debug)]
pub struct SensitiveRoute {
    /// Which.
    pub pattern: RoutePattern,
    /// What they ask of the session's authentications.
    pub demand: Demand,
}

/// What an application behind the gateway is.
#[derive(Clone, Debug, Default)]
pub struct AppSettings {
    /// Its name in configuration and record.
    pub name: String,
    /// The host it answers for, any host if none; without a port, on any port.
    pub host: Option<String>,
    /// The port it answers for.
    pub port: Option<u16>,
    /// The path it begins at; `/` for all of the host.
    pub path: String,
    /// `host:port` of the application, or `unix:` and the path of its socket.
    pub upstream: String,
    /// What it speaks there.
    pub protocol: Protocol,
    /// Routes that need no session.
    pub public: Vec<RoutePattern>,
    /// Routes that count as activity although they would not.
    pub active: Vec<RoutePattern>,
    /// Routes that never count.
    pub passive: Vec<RoutePattern>,
    /// Routes that need a fresh authentication, and so a session, whatever `public` says. What all that match ask for is needed.
    pub sensitive: Vec<SensitiveRoute>,
    /// What counts where no route says so.
    pub activity: ActivityMode,
    /// Whether WebSockets may be opened.
    pub websocket: bool,
    /// Tokens of other protocols that requests may switch to. What was switched to is relayed without being understood, so none
    /// may carry requests of its own; the caller sees to it.
    pub upgrades: Vec<String>,
    /// Cookies of the application that are bound to the subject.
    pub app_cookies: Vec<String>,
    /// Whether it is told who it is in a form that it can check by itself.
    pub assertion: bool,
}

/// Somebody who may sign in on the demonstration page.
#[derive(Clone, Debug)]
pub struct DemoUser {
    /// The subject's name.
    pub name: String,
    /// The name shown.
    pub display: String,
    /// The subject's groups.
    pub groups: Vec<String>,
}

/// What a gateway is put together from.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The applications; of two that match, the one with the longer path and a named host is taken.
    pub apps: Vec<AppSettings>,
    /// The proxies that may say where a client is.
    pub trusted_proxies: TrustedProxies,
    /// The origin under which browsers reach the gateway, if it is not what they ask for.
    pub public_origin: Option<String>,
    /// Who may sign in on the demonstration page; nobody where sessions are started elsewhere. The caller sees to it that
    /// the gateway listens on loopback only.
    pub demo_users: Vec<DemoUser>,
    /// Who signs people in at providers, if anybody does.
    pub sign_in: Option<Arc<dyn SignIn>>,
    /// The key of ended tickets.
    pub ticket_key: [u8; 32],
    /// The key that seals applications' cookies.
    pub cookie_key: [u8; 32],
    /// What clients and applications may hold, and how long they are waited for.
    pub limits: Limits,
}

/// Why there is no gateway.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// A name in `app_cookies` is not one that can be bound.
    #[error(transparent)]
    Cookie(#[from] AppCookieError),
    /// There are no keys to sign assertions with.
    #[error(transparent)]
    Assertion(#[from] AssertionError),
}

/// What `iss` says where no public origin is named.
const ISSUER: &str = "nightlatch";

/// The enforcement point for HTTP.
pub struct Gateway {
    pub(crate) engine: Arc<Engine>,
    pub(crate) trusted: TrustedProxies,
    pub(crate) public_origin: Option<String>,
    pub(crate) demo_users: Vec<DemoUser>,
    pub(crate) sign_in: Option<Arc<dyn SignIn>>,
    pub(crate) tickets: Tickets,
    /// Signs for the applications that ask for it; none where none does.
    pub(crate) signer: Option<Arc<Signer>>,
    pub(crate) limits: Limits,
    pub(crate) seats: Arc<Semaphore>,
    pub(crate) shares: Arc<Shares>,
    pub(crate) drain: Drain,
    pub(crate) cut_offs: CutOffs,
    pub(crate) logout_tokens: LogoutTokens,
    /// Said of connections that do not say whose they are.
    pub(crate) strangers: Mutex<Seldom>,
    pub(crate) afterwards: Afterwards,
    apps: Vec<App>,
}

/// An application behind the gateway.
pub(crate) struct App {
    host: Option<String>,
    port: Option<u16>,
    path: String,
    public: RouteSet,
    active: RouteSet,
    passive: RouteSet,
    sensitive: Vec<SensitiveRoute>,
    vocabulary: Vocabulary,
    activity: ActivityMode,
    pub(crate) name: String,
    pub(crate) upgrades: Upgrades,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) cookies: AppCookies,
    pub(crate) assertions: Option<Assertions>,
}

impl Gateway {
    /// A gateway in front of these applications. May write to disk: the keys of assertions.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub fn new(engine: Arc<Engine>, settings: Settings) -> Result<Gateway, GatewayError> {
        let mut apps = Vec::new();
        let signer = settings.apps.iter().any(|app| app.assertion).then(|| {
            let issuer = settings.public_origin.clone().unwrap_or_else(|| ISSUER.to_owned());
            Signer::new(Arc::clone(&engine), issuer).map(Arc::new)
        });
        let signer = signer.transpose()?;
        let room = Arc::new(Room::new(&settings.limits));
        for app in settings.apps {
            let signer = signer.clone().filter(|_| app.assertion);
            apps.push(App::new(app, &settings.cookie_key, settings.limits, Arc::clone(&room), signer)?);
        }
        // The most particular one first.
        apps.sort_by_key(|app| (app.host.is_none(), app.port.is_none(), Reverse(app.path.len())));
        Ok(Gateway {
            engine,
            trusted: settings.trusted_proxies,
            public_origin: settings.public_origin,
            demo_users: settings.demo_users,
            sign_in: settings.sign_in,
            tickets: Tickets::new(&settings.ticket_key),
            signer,
            limits: settings.limits,
            seats: Arc::new(Semaphore::new(settings.limits.connections)),
            shares: Arc::new(Shares::new(settings.limits.connections_per_address)),
            drain: Drain::new(settings.limits.drain_within),
            cut_offs: CutOffs::default(),
            logout_tokens: LogoutTokens::default(),
            strangers: Mutex::default(),
            afterwards: Afterwards::default(),
            apps,
        })
    }

    /// How often each application failed in each way since the gateway was made, by its name.
    pub fn failures(&self) -> impl Iterator<Item = (&str, Failure, u64)> {
        self.apps.iter().flat_map(|app| {
            let failures = app.upstream.failures();
            Failure::ALL.map(|failure| (app.name.as_str(), failure, failures.so_far(failure)))
        })
    }

    /// How many clients this limit cut off since the gateway was made.
    #[must_use]
    pub fn cut_off(&self, limit: CutOff) -> u64 {
        self.cut_offs.so_far(limit)
    }

    /// How many logout tokens came to this since the gateway was made.
    #[must_use]
    pub fn logout_tokens(&self, what: LogoutToken) -> u64 {
        self.logout_tokens.so_far(what)
    }

    /// The application a request is for.
    pub(crate) fn app(&self, host: &str, path: &CanonicalPath) -> Option<&App> {
        self.apps.iter().find(|app| app.answers(host, path.as_str()))
    }

    /// Every application: their cookies are all to be cleared when a session ends.
    pub(crate) fn apps(&self) -> &[App] {
        &self.apps
    }

    /// Whether an application of this name has routes that need a fresh authentication.
    #[must_use]
    pub fn has_sensitive_routes(&self, app: &str) -> bool {
        self.named(app).any(|app| !app.sensitive.is_empty())
    }

    /// What a request to this application asks of the session's authentications, given as a method and a path (`POST /orders/17`,
    /// `WS /ws`). None if that is no request that would be forwarded.
    #[must_use]
    pub fn demands(&self, app: &str, route: &str) -> Option<Vec<&Demand>> {
        let (method, target) = route.split_once(' ')?;
        let websocket = method == "WS";
        let method = if websocket { Method::GET } else { Method::from_bytes(method.as_bytes()).ok()? };
        let path = target.split_once('?').map_or(target, |(path, _)| path);
        let path = CanonicalPath::parse(path.as_bytes()).ok()?;
        let request = RouteRequest { method: &method, websocket, path: &path };
        Some(self.named(app).flat_map(|app| app.demands(request)).collect())
    }

    /// Whether a route asks for an authentication of this `acr`.
    pub(crate) fn demands_acr(&self, acr: &str) -> bool {
        let mut routes = self.apps.iter().flat_map(|app| &app.sensitive);
        routes.any(|route| route.demand.acr.as_deref() == Some(acr))
    }

    fn named(&self, name: &str) -> impl Iterator<Item = &App> {
        self.apps.iter().filter(move |app| app.name == name)
    }

    /// Whether the browser's connection is TLS: then its cookies are the ones that only TLS carries.
    pub(crate) fn is_secure(&self, client: &ClientView) -> bool {
        match &self.public_origin {
            Some(origin) => origin.starts_with("https:"),
            None => client.secure,
        }
    }

    /// The names of our cookies on a connection.
    pub(crate) fn cookie_names(secure: bool) -> CookieNames {
        if secure { CookieNames::SECURE } else { CookieNames::LOOPBACK }
    }

    /// The origin that a page of this gateway has, as its browser would write it in `Origin`.
    pub(crate) fn origin(&self, client: &ClientView, host: Option<&HeaderValue>) -> Option<String> {
        self.public_origin.clone().or_else(|| {
            let host = host?.to_str().ok()?;
            Some(format!("{}://{host}", if client.secure { "https" } else { "http" }))
        })
    }
}

impl App {
    fn new(
        settings: AppSettings,
        cookie_key: &[u8],
        limits: Limits,
        room: Arc<Room>,
        signer: Option<Arc<Signer>>,
    ) -> Result<App, AppCookieError> {
        let patterns = [&settings.public, &settings.active, &settings.passive];
        let sensitive = settings.sensitive.iter().map(|route| &route.pattern);
        Ok(App {
            vocabulary: Vocabulary::new(patterns.into_iter().flatten().chain(sensitive)),
            cookies: AppCookies::new(cookie_key, settings.app_cookies.iter().map(String::as_str))?,
            assertions: signer.map(|signer| Assertions::new(signer, &settings.name)),
            host: settings.host,
            port: settings.port,
            path: settings.path,
            public: RouteSet::new(settings.public),
            active: RouteSet::new(settings.active),
            passive: RouteSet::new(settings.passive),
            sensitive: settings.sensitive,
            activity: settings.activity,
            name: settings.name,
            // A stream cannot be handed over.
            upgrades: match settings.protocol {
                Protocol::Http1 => Upgrades { websocket: settings.websocket, others: settings.upgrades },
                Protocol::Http2 => Upgrades::default(),
            },
            upstream: Arc::new(Upstream::new(&settings.upstream, settings.protocol, limits, room)),
        })
    }

    fn answers(&self, host: &str, path: &str) -> bool {
        let (name, port) = match host.rsplit_once(':') {
            // The last colon of a bare IPv6 address divides nothing.
            Some((name, port)) if !port.ends_with(']') => (name, port.parse().ok()),
            _ => (host, None),
        };
        let host_fits = self.host.as_ref().is_none_or(|own| own.eq_ignore_ascii_case(name))
            && self.port.is_none_or(|own| Some(own) == port);
        let below = path.strip_prefix(self.path.trim_end_matches('/'));
        host_fits && below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Whether the request needs no session.
    pub(crate) fn is_public(&self, request: RouteRequest<'_>) -> bool {
        self.public.matches(request, Reading::Grant).is_some()
    }

    /// What the request asks of the session's authentications.
    pub(crate) fn demands(&self, request: RouteRequest<'_>) -> Vec<&Demand> {
        let asks = |route: &&SensitiveRoute| route.pattern.matches(request, Reading::Restrict);
        self.sensitive.iter().filter(asks).map(|route| &route.demand).collect()
    }

    /// Whether the request counts as activity.
    pub(crate) fn counts(&self, request: RouteRequest<'_>, trigger: Trigger) -> Activity {
        let says = match () {
            () if self.passive.matches(request, Reading::Restrict).is_some() => RouteSays::Passive,
            () if self.active.matches(request, Reading::Grant).is_some() => RouteSays::Active,
            () => RouteSays::Nothing,
        };
        Activity::of(self.activity, says, trigger)
    }

    /// The route's name in the record: a pattern, never a URL.
    pub(crate) fn route_name(&self, request: RouteRequest<'_>) -> Arc<str> {
        let sets = [&self.passive, &self.active, &self.public];
        let sensitive = || {
            let mut patterns = self.sensitive.iter().map(|route| &route.pattern);
            patterns.find(|pattern| pattern.matches(request, Reading::Grant))
        };
        let named = sets.into_iter().find_map(|set| set.matches(request, Reading::Grant)).or_else(sensitive);
        match named {
            Some(pattern) => pattern.to_string().into(),
            None => self.vocabulary.generalise(request).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(host: Option<&str>, path: &str) -> App {
        let settings =
            AppSettings { host: host.map(str::to_owned), path: path.to_owned(), ..AppSettings::default() };
        let limits = Limits::default();
        App::new(settings, &[0; 32], limits, Arc::new(Room::new(&limits)), None).unwrap()
    }

    #[test]
    fn an_application_answers_for_its_host_and_path() {
        let rows = [
            (None, "/", "any", "/x", true),
            (Some("desk.example.com"), "/", "DESK.example.com", "/", true),
            (Some("desk.example.com"), "/", "desk.example.com:8443", "/x", true),
            (Some("[::1]"), "/", "[::1]", "/x", true),
            (Some("[::1]"), "/", "[::1]:8443", "/x", true),
            (Some("desk.example.com"), "/", "other.example.com", "/", false),
            (None, "/blotter", "any", "/blotter", true),
            (None, "/blotter", "any", "/blotter/orders", true),
            (None, "/blotter/", "any", "/blotter/orders", true),
            (None, "/blotter", "any", "/blotters", false),
        ];
        for (host, own, asked, path, expected) in rows {
            assert_eq!(app(host, own).answers(asked, path), expected, "{host:?} {own} {asked} {path}");
        }
    }
}
