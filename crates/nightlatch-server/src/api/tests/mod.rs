//! The API against a real engine, over a real connection, with a clock that moves only by hand.

mod bad_input;
mod blocks;
mod check;
mod events;
mod failing_disk;
mod ledger;
mod pages;
mod rebinding;
mod roles;
mod sessions;
mod step_up;
mod watching;

use super::{ApiKeys, ApiState, router};
use crate::{admin, config::api_key::Role, index::Index};
use axum::body::{Body, to_bytes};
use http::{HeaderMap, Request, Response, StatusCode, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use nightlatch_core::{Limits, Policy, Span};
use nightlatch_engine::{Demand, Engine, ManualTime, Running};
use nightlatch_http::{AppSettings, Gateway, SensitiveRoute, Settings, route::RoutePattern};
use nightlatch_ledger::{Disk, Options, OsDisk};
use serde_json::{Value, json};
use std::{net::SocketAddr, sync::Arc};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// 2026-11-21T22:00:00Z.
const BEGIN_MS: u64 = 1_795_298_400_000;
const MINUTE_NANOS: u64 = 60_000_000_000;

/// A server with the limits 15 min, 12 h and 2 min, and a key of each role. Gone when dropped.
struct House {
    time: Arc<ManualTime>,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    running: Running,
    index: Arc<Index>,
    folder: tempfile::TempDir,
}

/// An answer that came whole.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    /// The code of a problem, whose form is checked on the way.
    fn problem(&self) -> String {
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/problem+json", "{}", self.text);
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        let code = problem["code"].as_str().unwrap();
        assert_eq!(problem["type"], format!("urn:nightlatch:problem:{code}"));
        assert!(
            !problem["title"].as_str().unwrap().is_empty() && !problem["detail"].as_str().unwrap().is_empty()
        );
        code.to_owned()
    }
}

/// An application that nobody goes to, with routes that need a fresh authentication.
fn blotter() -> AppSettings {
    let sensitive = |route: &str, minutes: u64, acr: Option<&str>| SensitiveRoute {
        pattern: RoutePattern::parse(route).unwrap(),
        demand: Demand { age: Span::from_secs(minutes * 60), acr: acr.map(str::to_owned) },
    };
    AppSettings {
        name: "blotter".into(),
        path: "/".into(),
        upstream: "127.0.0.1:9".into(),
        sensitive: vec![
            sensitive("POST /orders/**", 5, None),
            sensitive("POST /orders/large", 8, Some("phr")),
            sensitive("WS /orders", 5, None),
        ],
        ..AppSettings::default()
    }
}

/// The secret of the key with this role.
fn secret(role: &str) -> String {
    format!("the-secret-of-{role}-0123456789-0123456789")
}

impl House {
    async fn new() -> House {
        House::on(Arc::new(OsDisk)).await
    }

    /// The same, with its ledger on a disk of the test's own.
    async fn on(disk: Arc<dyn Disk>) -> House {
        let folder = tempfile::tempdir().unwrap();
        let time = Arc::new(ManualTime::new(BEGIN_MS * 1_000_000));
        let minutes = |minutes: u64| Span::from_secs(minutes * 60);
        let limits = Limits::new(minutes(15), minutes(12 * 60), minutes(2)).unwrap();
        let policy = Policy { version: 7, limits };
        let source = Box::new(Arc::clone(&time));
        let (engine, _) =
            Engine::open_on(disk, Options::default(), &folder.path().join("data"), policy, source, "test")
                .unwrap();
        let running = Running::start(engine).unwrap();
        let index = Arc::new(Index::at(folder.path().join("index.sqlite")));
        let mut keys = ApiKeys::default();
        let roles = [
            ("issuer", Role::Issuer),
            ("other-issuer", Role::Issuer),
            ("checker", Role::Checker),
            ("operator", Role::Operator),
            ("auditor", Role::Auditor),
        ];
        for (name, role) in roles {
            keys.add(name, role, &secret(name));
        }
        let (stop, stopping) = watch::channel(false);
        let settings = Settings { apps: vec![blotter()], ..Settings::default() };
        let gateway = Gateway::new(Arc::clone(running.engine()), settings).unwrap();
        let state = ApiState::new(
            Arc::clone(running.engine()),
            Arc::new(gateway),
            keys,
            Arc::clone(&index),
            stopping.clone(),
            stopping.clone(),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(admin::serve(listener, router(state), stopping));
        House { time, address, stop, running, index, folder }
    }

    fn engine(&self) -> &Arc<Engine> {
        self.running.engine()
    }

    /// A round of upkeep that was under way meanwhile seems to have taken as long, as with a disk that hangs; that is over with the next one.
    fn pass_minutes(&self, minutes: u64) {
        self.time.advance(minutes * MINUTE_NANOS);
        self.engine().upkeep();
    }

    /// A request as it would be sent; the caller may change it.
    fn request(&self, method: &str, path: &str, key: &str, body: &str) -> Request<Body> {
        let mut request =
            Request::builder().method(method).uri(path).header(header::HOST, self.address.to_string());
        if !key.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", secret(key)));
        }
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        request.body(Body::from(body.to_owned())).unwrap()
    }

    /// Sends a request on a connection of its own; the body of the answer is still to come.
    async fn open(&self, request: Request<Body>) -> Response<Body> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap().map(Body::new)
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let (head, body) = self.open(request).await.into_parts();
        let bytes = to_bytes(body, 1 << 24).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        assert_eq!(head.headers[header::CACHE_CONTROL], "no-store");
        Answer { status: head.status.as_u16(), headers: head.headers, text }
    }

    async fn ask(&self, method: &str, path: &str, key: &str, body: &str) -> Answer {
        self.send(self.request(method, path, key, body)).await
    }

    async fn get(&self, path: &str, key: &str) -> Answer {
        self.ask("GET", path, key, "").await
    }

    /// Starts a session and gives its id and credential.
    async fn start(&self, subject: &str) -> (String, String) {
        self.start_by("issuer", &json!({ "subject": subject })).await
    }

    async fn start_by(&self, key: &str, body: &Value) -> (String, String) {
        let answer = self.ask("POST", "/v1/sessions", key, &body.to_string()).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        let started = answer.json();
        let part = |name: &str| started[name].as_str().unwrap().to_owned();
        (part("id"), part("token"))
    }

    async fn check(&self, token: &str, passive: bool) -> Value {
        let body = json!({ "token": token, "passive": passive, "route": "GET /orders/*", "app": "desk" });
        let answer = self.ask("POST", "/v1/check", "checker", &body.to_string()).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        answer.json()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
    }
}
