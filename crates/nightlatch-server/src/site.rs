//! Everything at work together: engine, gateway, API, index. `serve` and `demo` differ only in where the configuration comes from.
//!
//! The order is the design. What can fail without a trace comes first: certificates are read and ports bound, so that a start which finds
//! a port taken writes nothing. Then the directory is locked and the table recovered. Nobody is accepted before that, so nobody is answered by
//! somebody who does not know who is signed in; whoever connects meanwhile waits in the kernel's queue. On the way down it is reversed: the gateway's listeners close and what is open on it gets
//! a moment, then the admin listener closes, and the engine writes its last entry when nothing can ask it any more.

use crate::{
    admin,
    api::{self, ApiKeys, ApiState},
    config::{
        self, Config,
        app::{Activity, App},
        duration::Millis,
        route::RoutePattern,
        secrets::LoadedKey,
        upgrade::Upgrade,
        url::Upstream,
    },
    descriptors::{self, Shares},
    index::{Follower, Index},
    listening::Held,
    sign_in::{self, AtProviders, ProviderError},
    tls::{self, Certificates, TlsError},
    witnessing::Regular,
};
use nightlatch_core::{ActivityMode, Limits, Policy, PolicyError, Span};
use nightlatch_engine::{Demand, Engine, OpenError, OsTime, Recovery, Running};
use nightlatch_http::{
    AppSettings, DemoUser, Door, Gateway, GatewayError, Listener, SensitiveRoute, Settings, SignIn,
    route as gateway_route,
};
use nightlatch_identity::{Names, NoRandomness};
use nightlatch_store::KeyError;
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, UnixListener},
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinSet,
};

/// Why a site did not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SiteError {
    /// The limits do not hold together; the configuration check says so first.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The data directory cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A key in the data directory cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A route of the configuration is none to the gateway.
    #[error("route `{route}`: {source}")]
    Route {
        /// The route.
        route: String,
        /// What is wrong with it.
        source: gateway_route::RouteError,
    },
    /// The gateway cannot be put together.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// A provider's secret or certificate authorities cannot be used.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Providers(Vec<ProviderError>),
    /// Nothing random to be had.
    #[error(transparent)]
    Random(#[from] NoRandomness),
    /// The certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An address cannot be listened on.
    #[error(
        "cannot listen on {address}: {source}; another program may have it (`ss -ltnp`), or it needs more rights"
    )]
    Listen {
        /// The address.
        address: String,
        /// What is in the way.
        source: io::Error,
    },
    /// A listener stopped by itself, and with it the gateway or the API.
    #[error("a listener stopped by itself")]
    ListenerStopped,
    /// The operating system gives no threads or signals.
    #[error(transparent)]
    Os(#[from] io::Error),
}

/// A site that has recovered and holds its ports, and answers nobody yet.
pub(crate) struct Site {
    running: Running,
    recovery: Recovery,
    gateway: Arc<Gateway>,
    tls: Option<Arc<Certificates>>,
    gateway_listener: TcpListener,
    proxied_listener: Option<TcpListener>,
    unix_listener: Option<UnixListener>,
    admin_listener: TcpListener,
    keys: ApiKeys,
    index: Arc<Index>,
    follower: Follower,
    ledger: config::ledger::Ledger,
}

impl Site {
    /// Takes the ports, or those of `held` that are the same, and recovers what is in the data directory.
    pub(crate) async fn open(config: &Config, keys: &[LoadedKey], mut held: Held) -> Result<Site, SiteError> {
        let limits = &config.policy;
        let [idle, absolute, warning] =
            [limits.idle, limits.absolute, limits.warning].map(|limit| Span::from_millis(limit.0));
        let policy = Policy { version: 1, limits: Limits::new(idle, absolute, warning)? };
        let tls = match config.listen.tls.as_slice() {
            [] => None,
            files => Some(Certificates::read(files)?),
        };
        let gateway_listener = held.tcp(config.listen.gateway).await?;
        let proxied_listener = match config.listen.gateway_proxied {
            Some(address) => Some(held.tcp(address).await?),
            None => None,
        };
        let unix_listener = config.listen.gateway_unix.as_deref().map(|path| held.unix(path)).transpose()?;
        let admin_listener = held.tcp(config.listen.admin).await?;
        held.report_others();
        let (engine, recovery) =
            Engine::open(&config.data_dir, policy, Box::new(OsTime), env!("CARGO_PKG_VERSION"))?;
        say_recovery(&recovery);
        let running = Running::start(engine)?;
        let engine = running.engine();
        let gateway = Arc::new(Gateway::new(Arc::clone(engine), settings(config, engine)?)?);
        let index = Arc::new(Index::at(config.data_dir.join("index.sqlite")));
        let follower = Follower::start(Arc::clone(&index), Arc::clone(engine))?;
        let mut api_keys = ApiKeys::default();
        for key in keys {
            api_keys.add(&key.name, key.role, key.secret.reveal());
        }
        Ok(Site {
            running,
            recovery,
            gateway,
            tls,
            gateway_listener,
            proxied_listener,
            unix_listener,
            admin_listener,
            keys: api_keys,
            index,
            follower,
            ledger: config.ledger.clone(),
        })
    }

    /// The engine.
    pub(crate) fn engine(&self) -> &Arc<Engine> {
        self.running.engine()
    }

    /// What opening found.
    pub(crate) fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Where browsers reach it.
    pub(crate) fn gateway_address(&self) -> io::Result<SocketAddr> {
        self.gateway_listener.local_addr()
    }

    /// Where the API is.
    pub(crate) fn admin_address(&self) -> io::Result<SocketAddr> {
        self.admin_listener.local_addr()
    }

    /// Answers until SIGTERM or SIGINT, then stops in order.
    pub(crate) async fn run(self) -> Result<(), SiteError> {
        let Site { running, gateway, tls, admin_listener, keys, index, follower, ledger, .. } = self;
        let (tcp, proxied, unix) = (self.gateway_listener, self.proxied_listener, self.unix_listener);
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let mut hangup = signal(SignalKind::hangup())?;
        let (drain, draining) = watch::channel(false);
        let (stop, stopping) = watch::channel(false);
        let engine = Arc::clone(running.engine());
        let state = ApiState::new(
            engine,
            Arc::clone(&gateway),
            keys,
            Arc::clone(&index),
            draining.clone(),
            stopping.clone(),
        );
        let acceptor = tls.as_ref().map(tls::acceptor).transpose()?;
        let mut gateways = JoinSet::new();
        let doors = [Door::new(Listener::Tcp(tcp), acceptor.clone())]
            .into_iter()
            .chain(proxied.map(|tcp| Door::new(Listener::Tcp(tcp), acceptor).proxied(true)))
            // Nobody can listen in on the way through this machine's kernel: no TLS.
            .chain(unix.map(|unix| Door::new(Listener::Unix(unix), None)));
        for door in doors {
            gateways.spawn(Arc::clone(&gateway).open(door, draining.clone()));
        }
        let witnesses = Regular::start(&ledger, running.engine())?;
        let mut admins = JoinSet::new();
        admins.spawn(admin::serve(admin_listener, api::router(state), stopping));
        let ended = loop {
            tokio::select! {
                _ = terminate.recv() => break Ok(()),
                _ = interrupt.recv() => break Ok(()),
                _ = hangup.recv() => match &tls {
                    Some(certificates) => tokio::task::block_in_place(|| certificates.reload()),
                    // Left alone, this signal would end the program and every session's protection with it.
                    None => tracing::warn!("SIGHUP reads certificates again, and this gateway has none"),
                },
                _ = gateways.join_next() => break Err(SiteError::ListenerStopped),
                _ = admins.join_next() => break Err(SiteError::ListenerStopped),
            }
        };
        // From here on no session starts and nobody new is served; what is open is enforced to its end, and whoever asks how things
        // are is answered.
        tracing::info!("draining");
        let _ = drain.send(true);
        witnesses.iter().for_each(Regular::stop);
        gateways.join_all().await;
        tracing::info!("stopping");
        let _ = stop.send(true);
        admins.join_all().await;
        drop((follower, witnesses));
        // Writes the last entry, the snapshot and the time; takes a moment, and nobody waits on this thread any more.
        tokio::task::block_in_place(|| drop(running));
        ended
    }
}

/// The configuration as the gateway takes it.
fn settings(config: &Config, engine: &Engine) -> Result<Settings, SiteError> {
    let shares =
        Shares::within(descriptors::granted(), config.apps.len(), config.limits.idle_upstream_connections);
    let mut apps = Vec::new();
    for app in &config.apps {
        apps.push(app_settings(app)?);
    }
    let providers = sign_in::providers(config).map_err(SiteError::Providers)?;
    let sign_in = match providers.is_empty() {
        true => None,
        false => {
            Some(Arc::new(AtProviders::new(providers, Names::new(engine.key("provider-names")?.bytes()))?)
                as Arc<dyn SignIn>)
        }
    };
    Ok(Settings {
        apps,
        sign_in,
        trusted_proxies: config.listen.trusted_proxies.iter().copied().collect(),
        public_origin: config.listen.public_url.as_ref().map(ToString::to_string),
        demo_users: config
            .identity
            .demo
            .iter()
            .map(|user| DemoUser {
                name: user.name.clone(),
                display: user.display.clone(),
                groups: user.groups.clone(),
            })
            .collect(),
        ticket_key: *engine.key("ended-ticket")?.bytes(),
        cookie_key: *engine.key("app-cookie")?.bytes(),
        limits: limits(&config.limits, shares),
    })
}

/// The bounds of the configuration as the gateway takes them; of connections, no more than there are descriptors for.
fn limits(of: &config::limits::Limits, shares: Shares) -> nightlatch_http::Limits {
    let within = |millis: Millis| Duration::from_millis(millis.0);
    let connections = of.connections.map_or(shares.connections, |wanted| wanted.min(shares.connections));
    nightlatch_http::Limits {
        connections,
        connections_per_address: of.connections_per_address.unwrap_or(connections.div_ceil(4)),
        handshake_within: within(of.handshake_within),
        head_bytes: usize::try_from(of.head.0).unwrap_or(usize::MAX),
        head_fields: of.head_fields,
        head_within: within(of.head_within),
        body_within: within(of.body_within),
        body_least: of.body_least.0,
        body_bytes: of.body.map(|most| most.0),
        write_within: within(of.write_within),
        connect_within: within(of.connect_within),
        idle_upstream_connections: shares.idle,
        answer_within: within(of.answer_within),
        finish_within: within(of.finish_within),
        drain_within: within(of.drain_within),
        http2: nightlatch_http::Http2 {
            streams: of.http2.streams,
            stream_window: of.http2.stream_window,
            connection_window: of.http2.connection_window,
            abandoned: of.http2.abandoned,
            control_frames: of.http2.control_frames,
        },
    }
}

fn app_settings(app: &App) -> Result<AppSettings, SiteError> {
    let host = app.matches.host.as_ref();
    Ok(AppSettings {
        name: app.name.clone(),
        host: host.map(|host| host.name.clone()),
        port: host.and_then(|host| host.port),
        path: app.matches.path.clone(),
        upstream: match &app.upstream {
            Upstream::Tcp { host, port } => format!("{host}:{port}"),
            Upstream::Unix(path) => format!("unix:{}", path.display()),
        },
        protocol: match app.protocol {
            config::app::Protocol::Http1 => nightlatch_http::Protocol::Http1,
            config::app::Protocol::Http2 => nightlatch_http::Protocol::Http2,
        },
        public: routes(&app.public)?,
        active: routes(&app.active)?,
        passive: routes(&app.passive)?,
        sensitive: sensitive(app)?,
        activity: match app.activity {
            Activity::Human => ActivityMode::Human,
            Activity::Requests => ActivityMode::Requests,
        },
        websocket: app.upgrades.contains(&Upgrade::WebSocket),
        upgrades: app
            .upgrades
            .iter()
            .filter(|upgrade| **upgrade != Upgrade::WebSocket)
            .map(Upgrade::to_string)
            .collect(),
        app_cookies: app.app_cookies.clone(),
        assertion: app.assertion,
    })
}

fn sensitive(app: &App) -> Result<Vec<SensitiveRoute>, SiteError> {
    let patterns: Vec<RoutePattern> = app.sensitive.iter().map(|sensitive| sensitive.route.clone()).collect();
    let demands = app.sensitive.iter().map(|sensitive| Demand {
        age: Span::from_millis(sensitive.authentication_age.0),
        acr: sensitive.acr.clone(),
    });
    let routes = routes(&patterns)?.into_iter().zip(demands);
    Ok(routes.map(|(pattern, demand)| SensitiveRoute { pattern, demand }).collect())
}

fn routes(patterns: &[RoutePattern]) -> Result<Vec<gateway_route::RoutePattern>, SiteError> {
    let read = |pattern: &RoutePattern| {
        let route = pattern.to_string();
        gateway_route::RoutePattern::parse(&route).map_err(|source| SiteError::Route { route, source })
    };
    patterns.iter().map(read).collect()
}

fn say_recovery(recovery: &Recovery) {
    let Recovery { clean, live, ended_while_down, clock_fault, torn_bytes, bad_slots, bad_snapshots } =
        recovery;
    tracing::info!(clean, live, ended_while_down, torn_bytes, bad_slots, "the session table is recovered");
    if let Some(fault) = clock_fault {
        tracing::error!(cause = fault.cause(), "the clock cannot be trusted: every session was ended");
    }
    for bad in bad_snapshots {
        tracing::warn!(bad, "a snapshot could not be used; the ledger was read instead");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Two places say what the defaults are: the list of keys, for people, and the gateway, for who builds it in.
    #[test]
    fn a_file_that_says_nothing_of_limits_gets_those_of_the_gateway() {
        let text = "version = 1\nlisten = { gateway = '127.0.0.1:0' }\npolicy = { idle = '10m', absolute = '1h' }\n\
                    app = [{ name = 'a', match = { host = '*' }, upstream = 'http://127.0.0.1:1' }]";
        let config = config::read(text, Path::new("site.toml")).config.unwrap();
        let shares = Shares::within(u64::MAX, 1, config.limits.idle_upstream_connections);
        let read = limits(&config.limits, shares);
        let defaults = nightlatch_http::Limits::default();
        assert_eq!(
            read,
            nightlatch_http::Limits {
                connections: read.connections,
                connections_per_address: read.connections_per_address,
                ..defaults
            }
        );
    }
}
