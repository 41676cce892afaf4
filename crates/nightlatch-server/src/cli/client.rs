//! Asking a running server, over its admin listener.
//!
//! Plain HTTP/1.1 to an address of this machine or this network; a server behind something that encrypts is reached through a tunnel, and
//! a URL that promises more than this client does is refused. One request per connection, so there is no state to go wrong.

use super::{
    AdminArgs,
    out::{Stop, plain},
};
use axum::body::{Body, to_bytes};
use http::{Method, Request, Response, StatusCode, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::{future::Future, io, time::Duration};
use tokio::{net::TcpStream, runtime::Runtime, time::timeout};

const CONNECT_WAIT: Duration = Duration::from_secs(5);
/// Longer than the server waits for its disk.
const ANSWER_WAIT: Duration = Duration::from_secs(30);
const ANSWER_BYTES_MOST: usize = 64 * 1024 * 1024;
/// The variable with the secret of an API key.
const KEY_VARIABLE: &str = "NIGHTLATCH_KEY";

/// A server, and the key to ask it with.
pub(super) struct Client {
    runtime: Runtime,
    authority: String,
    key: Option<String>,
}

impl Client {
    /// The server and key that the arguments name.
    pub(super) fn of(args: &AdminArgs) -> Result<Client, Stop> {
        let mut client = Client::without_key(&args.admin)?;
        let key = match &args.key_file {
            Some(file) => std::fs::read_to_string(file).map_err(|error| {
                Stop::Unreachable(format!("the key file `{}` cannot be read: {error}", file.display()))
            })?,
            None => std::env::var(KEY_VARIABLE).map_err(|_| {
                Stop::Usage(format!(
                    "give an API key: --key-file FILE, or its secret in the variable {KEY_VARIABLE}"
                ))
            })?,
        };
        let key = key.trim_end_matches(['\r', '\n']).to_owned();
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Stop::Usage(
                "the API key is empty, or has spaces or other characters in it that no key has".to_owned(),
            ));
        }
        client.key = Some(key);
        Ok(client)
    }

    /// The server at this address, for what needs no key.
    pub(super) fn without_key(url: &str) -> Result<Client, Stop> {
        let authority = authority(url)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Stop::Unreachable(format!("the operating system refused: {error}")))?;
        Ok(Client { runtime, authority, key: None })
    }

    /// Asks for a page of health, and reads the answer whatever its status is.
    pub(super) fn probe(&self, path: &str) -> Result<(StatusCode, String), Stop> {
        self.run(async {
            let asking = async {
                let response = self.exchange(Method::GET, path, None).await?;
                let status = response.status();
                let bytes = to_bytes(response.into_body(), ANSWER_BYTES_MOST).await;
                let bytes = bytes.map_err(|_| self.unreachable("broke off its answer"))?;
                Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
            };
            timeout(ANSWER_WAIT, asking).await.map_err(|_| self.unreachable("took too long"))?
        })
    }

    /// Asks, and reads the whole answer as JSON.
    pub(super) fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Stop> {
        self.run(async {
            let asking = async {
                let response = self.send(method, path, body).await?;
                let bytes = to_bytes(response.into_body(), ANSWER_BYTES_MOST).await;
                bytes.map_err(|_| self.unreachable("broke off its answer"))
            };
            let bytes =
                timeout(ANSWER_WAIT, asking).await.map_err(|_| self.unreachable("took too long"))??;
            serde_json::from_slice(&bytes)
                .map_err(|_| self.unreachable("answered with something that is not JSON"))
        })
    }

    /// Asks, and hands over the answer to be read as it comes.
    pub(super) async fn open(&self, path: &str) -> Result<Response<Body>, Stop> {
        let opening = self.send(Method::GET, path, None);
        timeout(ANSWER_WAIT, opening).await.map_err(|_| self.unreachable("took too long"))?
    }

    /// Runs what is to be done with the server.
    pub(super) fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Response<Body>, Stop> {
        let response = self.exchange(method, path, body).await?;
        if response.status().is_success() { Ok(response) } else { Err(self.refused(response).await) }
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Response<Body>, Stop> {
        let stream = timeout(CONNECT_WAIT, TcpStream::connect(&self.authority)).await;
        let stream = stream.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(|error| {
            Stop::Unreachable(format!(
                "no server answers at http://{}: {error}. Is it running, and is --admin its `listen.admin`?",
                self.authority
            ))
        })?;
        let handshake = http1::handshake::<_, Body>(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|_| self.unreachable("does not speak HTTP"))?;
        tokio::spawn(async move {
            // What goes wrong here is seen by whoever reads the answer.
            let _ = connection.await;
        });
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, &self.authority);
        if let Some(key) = &self.key {
            request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let request = request.body(body).map_err(|_| Stop::Usage("this cannot be asked for".to_owned()))?;
        let response =
            sender.send_request(request).await.map_err(|_| self.unreachable("closed the connection"))?;
        Ok(response.map(Body::new))
    }

    /// What a refusal means for the caller of this program.
    async fn refused(&self, response: Response<Body>) -> Stop {
        let status = response.status();
        let bytes = to_bytes(response.into_body(), ANSWER_BYTES_MOST).await.unwrap_or_default();
        let problem: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let part = |name: &str| problem.get(name).and_then(Value::as_str).map(plain);
        let said = match (part("title"), part("detail")) {
            (Some(title), Some(detail)) => format!("{title}: {detail}"),
            _ => format!("http://{} answered with status {status}", self.authority),
        };
        match status {
            StatusCode::NOT_FOUND | StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY => {
                Stop::Refused(said)
            }
            StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE => Stop::Usage(said),
            _ => Stop::Unreachable(said),
        }
    }

    fn unreachable(&self, what: &str) -> Stop {
        Stop::Unreachable(format!("the server at http://{} {what}", self.authority))
    }
}

/// Host and port of a URL that this client can reach.
fn authority(url: &str) -> Result<String, Stop> {
    let wrong = |detail: &str| Stop::Usage(format!("--admin `{}`: {detail}", plain(url)));
    if url.starts_with("https://") {
        return Err(wrong(
            "the admin listener speaks plain http; reach one that is encrypted through a tunnel",
        ));
    }
    let rest = url.strip_prefix("http://").ok_or_else(|| wrong("write it as http://HOST:PORT"))?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let authority: http::uri::Authority = rest.parse().map_err(|_| wrong("write it as http://HOST:PORT"))?;
    if rest.contains(['@', '/']) {
        return Err(wrong("write it as http://HOST:PORT, with nothing before or after"));
    }
    Ok(match authority.port_u16() {
        Some(_) => rest.to_owned(),
        None => format!("{rest}:80"),
    })
}

/// A value as part of a query.
pub(super) fn escaped(value: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    value.bytes().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_http_without_a_path_is_an_address() {
        let rows = [
            ("http://127.0.0.1:8081", Some("127.0.0.1:8081")),
            ("http://localhost:8081/", Some("localhost:8081")),
            ("http://[::1]:8081", Some("[::1]:8081")),
            ("http://localhost", Some("localhost:80")),
            ("https://localhost:8081", None),
            ("localhost:8081", None),
            ("http://", None),
            ("http://user@localhost", None),
            ("http://localhost/v1", None),
            ("http://local host", None),
        ];
        for (url, expected) in rows {
            assert_eq!(authority(url).ok().as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn what_goes_into_a_query_is_escaped() {
        assert_eq!(escaped("key:a b&c=é"), "key%3Aa%20b%26c%3D%C3%A9");
    }
}
