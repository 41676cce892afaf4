//! The clients: `wrk` for HTTP/1.1, `h2load` for HTTP/2, each on a processor of its own.

use crate::place::{CLIENTS, Place, Proxy};
use nightlatch_bench::process::pinned;
use std::process::Command;

const SECONDS: u32 = 3;

/// What is asked, and by how many.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Load {
    Http1 { connections: u32 },
    Tls1 { connections: u32 },
    Http2 { connections: u32, streams: u32 },
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Result {
    pub(crate) per_second: f64,
    /// Processor time of the proxy for one request, in microseconds.
    pub(crate) cpu_us: f64,
}

impl Load {
    /// Whether it is asked over TLS.
    pub(crate) fn tls(self) -> bool {
        !matches!(self, Load::Http1 { .. })
    }

    /// Asks for some seconds.
    pub(crate) fn run(self, place: &Place, proxy: Proxy) -> Result {
        let tls = self.tls();
        let (url, cookie) = (place.url(proxy, tls, "/"), place.cookie(tls));
        let server = place.server(proxy, tls);
        let mut command = match self {
            Load::Http1 { connections } | Load::Tls1 { connections } => wrk(&url, &cookie, connections),
            Load::Http2 { connections, streams } => h2load(&url, &cookie, connections, streams),
        };
        let before = server.cpu_seconds();
        let output = command.output().expect("the client could not be started");
        let used = server.cpu_seconds() - before;
        let text =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        let (requests, per_second) = match self {
            Load::Http2 { .. } => read_h2load(&text),
            _ => read_wrk(&text),
        };
        Result { per_second, cpu_us: used * 1e6 / requests }
    }
}

fn wrk(url: &str, cookie: &str, connections: u32) -> Command {
    let (duration, connections) = (format!("{SECONDS}s"), connections.to_string());
    pinned(CLIENTS, "wrk", &["-t1", "-c", &connections, "-d", &duration, "-H", cookie, url])
}

fn read_wrk(text: &str) -> (f64, f64) {
    assert!(!text.contains("Non-2xx"), "not every answer was a success: {text}");
    let requests = text.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok());
    let rate = text.lines().find_map(|line| line.strip_prefix("Requests/sec:")?.trim().parse().ok());
    requests.zip(rate).unwrap_or_else(|| panic!("wrk said: {text}"))
}

fn h2load(url: &str, cookie: &str, connections: u32, streams: u32) -> Command {
    let (connections, streams, duration) =
        (connections.to_string(), streams.to_string(), SECONDS.to_string());
    pinned(
        CLIENTS,
        "h2load",
        &["-t1", "-c", &connections, "-m", &streams, "-D", &duration, "-H", cookie, url],
    )
}

fn read_h2load(text: &str) -> (f64, f64) {
    // "finished in 3.00s, 12345.67 req/s, ..." and "requests: N total, N started, N done, N succeeded, ..."
    let rate = text.lines().find_map(|line| {
        line.strip_prefix("finished in ")?
            .split(", ")
            .find_map(|part| part.strip_suffix(" req/s"))?
            .parse()
            .ok()
    });
    let number = |what: &str| -> Option<f64> {
        let line = text.lines().find_map(|line| line.strip_prefix("requests: "))?;
        line.split(", ").find_map(|part| part.strip_suffix(what))?.trim().parse().ok()
    };
    let (done, succeeded) = (number(" done"), number(" succeeded"));
    assert!(done == succeeded && succeeded.is_some(), "not every answer was a success: {text}");
    succeeded.zip(rate).unwrap_or_else(|| panic!("h2load said: {text}"))
}
