//! No secret that anybody brings stays anywhere: a server is sent every kind of one, in every place where clients put them, and then
//! everything that it wrote is searched.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use common::{House, free_port, secret};
use std::{
    cell::Cell,
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::Command,
    thread,
    time::Duration,
};

/// Stands in every secret that is made here, and nowhere else.
const MARK: &str = "zq7xv";

/// Makes secrets, no two alike, so that a finding says where it came from.
struct Secrets(Cell<u32>);

impl Secrets {
    fn one(&self) -> String {
        self.0.set(self.0.get() + 1);
        format!("{MARK}{:03}wk9", self.0.get())
    }

    /// A credential of the right form that was never given out.
    fn credential(&self) -> String {
        format!("nlt_{}{}", self.one(), "A".repeat(32))
    }
}

/// An application that answers, or answers late, or streams, or answers what is not HTTP; and a provider of sign-in whose tokens are none. Each
/// answer has a secret of its own.
fn application(secrets: &Secrets) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let told = [(); 5].map(|()| secrets.one());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let told = told.clone();
            thread::spawn(move || answer(stream.unwrap(), &told));
        }
    });
    port
}

fn answer(mut stream: TcpStream, [cookie, rude, field, access, id]: &[String; 5]) -> Option<()> {
    let us = format!("http://{}", stream.local_addr().ok()?);
    let json = |body: String| {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).ok()?;
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let says = match head.split(['/', ' ', '?']).nth(2)? {
            ".well-known" => json(format!(
                r#"{{"issuer":"{us}","authorization_endpoint":"{us}/authorize","token_endpoint":"{us}/token","jwks_uri":"{us}/keys",
                "response_types_supported":["code"],"subject_types_supported":["public"],"id_token_signing_alg_values_supported":["RS256"]}}"#
            )),
            "keys" => json(r#"{"keys":[]}"#.to_owned()),
            "token" => json(format!(
                r#"{{"access_token":"{access}","token_type":"Bearer","id_token":"{id}.{id}.{id}"}}"#
            )),
            "rude" => format!("HTTP/1.1 nonsense {rude}\r\n\r\n"),
            "stream" => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n".to_owned(),
            "late" => {
                thread::sleep(Duration::from_secs(1));
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_owned()
            }
            _ => format!(
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: JSESSIONID={cookie}\r\nX-Api-Key: {field}\r\n\r\nok"
            ),
        };
        stream.write_all(says.as_bytes()).ok()?;
    }
}

/// Sends a request and reads the head of what comes of it.
fn ask(address: &str, request: &str) -> String {
    let mut stream = open(address, request);
    let (mut answer, mut byte) = (Vec::new(), [0]);
    while !answer.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() > 0 {
        answer.push(byte[0]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn open(address: &str, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// What clients send to the gateway, each with the first words of its answer.
fn to_the_gateway(token: &str, secrets: &Secrets) -> Vec<(String, &'static str)> {
    let s = || secrets.one();
    let desk = "Host: desk.example.com\r\nConnection: close\r\n";
    let ours = format!("{desk}Cookie: nightlatch-loopback={token}");
    vec![
        (
            format!(
                "GET /reset/{}?password={}&next=http://ada:{}@elsewhere/ HTTP/1.1\r\n{ours}; JSESSIONID={}; other={}\r\n\
                 Referer: http://desk.example.com/?token={}\r\nX-Api-Key: {}\r\nUser-Agent: {}\r\n\r\n",
                s(),
                s(),
                s(),
                s(),
                s(),
                s(),
                s(),
                s()
            ),
            "HTTP/1.1 200",
        ),
        (format!("GET /basic HTTP/1.1\r\n{ours}\r\nAuthorization: Basic {}\r\n\r\n", s()), "HTTP/1.1 200"),
        (format!("GET /foreign HTTP/1.1\r\n{ours}\r\nAuthorization: Bearer {}\r\n\r\n", s()), "HTTP/1.1 200"),
        (format!("POST /form HTTP/1.1\r\n{ours}\r\nContent-Length: 14\r\n\r\n{}", s()), "HTTP/1.1 200"),
        (format!("GET /bearer HTTP/1.1\r\n{desk}Authorization: Bearer {token}\r\n\r\n"), "HTTP/1.1 200"),
        (format!("GET /rude/{}?key={} HTTP/1.1\r\n{ours}\r\n\r\n", s(), s()), "HTTP/1.1 502"),
        (
            format!(
                "GET /down/{}?key={} HTTP/1.1\r\nHost: gone.example.com\r\nConnection: close\r\nCookie: nightlatch-loopback={token}\r\n\r\n",
                s(),
                s()
            ),
            "HTTP/1.1 502",
        ),
        (
            format!("GET / HTTP/1.1\r\n{desk}Cookie: nightlatch-loopback={}\r\n\r\n", secrets.credential()),
            "HTTP/1.1 401",
        ),
        (format!("GET / HTTP/1.1\r\n{desk}Authorization: Bearer nlt_{}\r\n\r\n", s()), "HTTP/1.1 401"),
        (
            format!("GET / HTTP/1.1\r\n{ours}\r\nAuthorization: Bearer {}\r\n\r\n", secrets.credential()),
            "HTTP/1.1 400",
        ),
        (
            format!("GET / HTTP/1.1\r\n{desk}Cookie: nightlatch-loopback-ended={}\r\n\r\n", s()),
            "HTTP/1.1 401",
        ),
        (format!("GET http://ada:{}@desk.example.com/ HTTP/1.1\r\n{ours}\r\n\r\n", s()), "HTTP/1.1 400"),
        (format!("GET / HTTP/1.1\r\nHost: {}.example.com\r\nConnection: close\r\n\r\n", s()), "HTTP/1.1 421"),
        (format!("GET /%2f{} HTTP/1.1\r\n{ours}\r\n\r\n", s()), "HTTP/1.1 400"),
        (format!("GET /a b {} HTTP/1.1\r\n{ours}\r\n\r\n", s()), "HTTP/1.1 400"),
        (
            format!(
                "GET /ws/{} HTTP/1.1\r\nHost: desk.example.com\r\nCookie: nightlatch-loopback={token}\r\nConnection: Upgrade\r\n\
                 Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\nSec-WebSocket-Protocol: {}\r\n\r\n",
                s(),
                s(),
                s()
            ),
            "HTTP/1.1 400",
        ),
        (
            format!(
                "POST /_nightlatch/logout HTTP/1.1\r\n{ours}\r\nOrigin: https://{}.example\r\nContent-Length: 0\r\n\r\n",
                s()
            ),
            "HTTP/1.1 403",
        ),
        (
            format!("GET /_nightlatch/callback?code={}&state={} HTTP/1.1\r\n{desk}\r\n", s(), s()),
            "HTTP/1.1 400",
        ),
        (
            format!(
                "POST /_nightlatch/sessions HTTP/1.1\r\n{ours}\r\nOrigin: http://desk.example.com\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 19\r\n\r\nsession={}",
                s()
            ),
            "HTTP/1.1 404",
        ),
        (
            format!("GET /_nightlatch/login?return_to=/{}&password={} HTTP/1.1\r\n{desk}\r\n", s(), s()),
            "HTTP/1.1 303",
        ),
    ]
}

/// What callers send to the API, most of it wrong.
fn to_the_api(admin: &str, token: &str, secrets: &Secrets) -> Vec<(String, &'static str)> {
    let s = || secrets.one();
    let with =
        |role: &str| format!("Host: {admin}\r\nConnection: close\r\nAuthorization: Bearer {}", secret(role));
    let json = |role: &str, path: &str, body: String| {
        let (with, length) = (with(role), body.len());
        format!(
            "POST {path} HTTP/1.1\r\n{with}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    };
    vec![
        (
            format!(
                "GET /v1/sessions HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\r\n",
                s()
            ),
            "HTTP/1.1 401",
        ),
        (format!("GET /v1/sessions?key={} HTTP/1.1\r\n{}\r\n\r\n", s(), with("operator")), "HTTP/1.1 400"),
        (format!("GET /v1/sessions/{token} HTTP/1.1\r\n{}\r\n\r\n", with("operator")), "HTTP/1.1 404"),
        (format!("GET /{} HTTP/1.1\r\n{}\r\n\r\n", s(), with("operator")), "HTTP/1.1 404"),
        (
            json("issuer", "/v1/sessions", format!("{{\"subject\":\"bob\",\"password\":\"{}\"}}", s())),
            "HTTP/1.1 400",
        ),
        (json("issuer", "/v1/sessions", format!("{{\"subject\":\"{}", s())), "HTTP/1.1 400"),
        (json("issuer", "/v1/sessions", format!("{{\"{}\":1}}", s())), "HTTP/1.1 400"),
        (
            json("checker", "/v1/check", format!("{{\"token\":\"{token}\",\"app\":\"blotter\"}}")),
            "HTTP/1.1 200",
        ),
        (
            json(
                "checker",
                "/v1/check",
                format!("{{\"token\":\"{}\",\"app\":\"blotter\"}}", secrets.credential()),
            ),
            "HTTP/1.1 200",
        ),
    ]
}

/// Goes to the provider and comes back with a code that gives no token; gives the secrets of that sign-in that we made ourselves.
fn sign_in(gateway: &str, secrets: &Secrets) -> Vec<String> {
    let desk = "Host: desk.example.com\r\nConnection: close\r\n";
    let begun = ask(
        gateway,
        &format!("GET /_nightlatch/login?provider=idp&return_to=/{} HTTP/1.1\r\n{desk}\r\n", secrets.one()),
    );
    let part = |begin: &str, end: &[char]| -> String {
        let (_, rest) = begun.split_once(begin).unwrap_or_else(|| panic!("no `{begin}` in {begun}"));
        rest.split(end).next().unwrap().to_owned()
    };
    let [state, nonce] = ["state=", "nonce="].map(|name| part(name, &['&', '\r']));
    let cookie = part("nightlatch-loopback-flow-", &[';']);
    let (_, value) = cookie.split_once('=').unwrap();
    let back = format!(
        "GET /_nightlatch/callback?code={}&state={state} HTTP/1.1\r\n{desk}Cookie: nightlatch-loopback-flow-{cookie}\r\n\r\n",
        secrets.one()
    );
    let answer = ask(gateway, &back);
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    vec![state, nonce, value.to_owned()]
}

/// Every file below a folder, by its path in it, without the zeros at its end: space that the record took in advance.
fn written(folder: &Path, files: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            written(&path, files);
            continue;
        }
        let mut bytes = fs::read(&path).unwrap();
        let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        bytes.truncate(end);
        files.push((path.display().to_string(), bytes));
    }
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

#[test]
fn nothing_that_was_written_has_a_secret_in_it() {
    let secrets = Secrets(Cell::new(0));
    let (port, gone) = (application(&secrets), free_port());
    let checker = "[[api_key]]\nname = \"the-checker\"\nrole = \"checker\"\nkey_file = \"checker.key\"\n";
    let down = format!(
        "[[app]]\nname = \"gone\"\nmatch = {{ host = \"gone.example.com\", path = \"/\" }}\nupstream = \"http://127.0.0.1:{gone}\"\n"
    );
    let provider = format!(
        "[[identity.oidc]]\nname = \"idp\"\nissuer = \"http://127.0.0.1:{port}\"\nclient_id = \"nightlatch\"\nclient_secret_file = \"provider.key\"\n"
    );
    let mut house = House::prepared(|folder, text| {
        fs::write(folder.join("checker.key"), secret("checker")).unwrap();
        fs::write(folder.join("provider.key"), secrets.one().repeat(3)).unwrap();
        text.replace(
            "http://127.0.0.1:3000\"",
            &format!("http://127.0.0.1:{port}\"\napp_cookies = [\"JSESSIONID\"]"),
        ) + &down
            + &provider
            + checker
    });
    let admin = house.admin.strip_prefix("http://").unwrap().to_owned();
    let started = house.begin("ada-lovelace");
    let (id, token) = (started["id"].as_str().unwrap(), started["token"].as_str().unwrap());

    let mut wrong = Vec::new();
    let mut asks = |address: &str, (request, begins): (String, &str)| {
        let answer = ask(address, &request);
        if !answer.starts_with(begins) {
            wrong.push(format!(
                "{}\n  not {begins}, but {}",
                request.lines().next().unwrap(),
                answer.lines().next().unwrap_or("")
            ));
        }
    };
    to_the_gateway(token, &secrets).into_iter().for_each(|row| asks(&house.gateway, row));
    to_the_api(&admin, token, &secrets).into_iter().for_each(|row| asks(&admin, row));

    let made = sign_in(&house.gateway, &secrets);

    // What is open when the session ends, and what comes after it: entries with routes.
    let head = format!("Host: desk.example.com\r\nCookie: nightlatch-loopback={token}\r\n");
    let mut stream = open(
        &house.gateway,
        &format!("GET /stream/{}?key={} HTTP/1.1\r\n{head}\r\n", secrets.one(), secrets.one()),
    );
    stream.read_exact(&mut [0; 12]).unwrap();
    let mut late = open(
        &house.gateway,
        &format!("POST /late/{} HTTP/1.1\r\n{head}Content-Length: 0\r\n\r\n", secrets.one()),
    );
    thread::sleep(Duration::from_millis(300));
    assert_eq!(house.asks("operator", &["session", "end", id]).code, 0);
    let _ = late.read(&mut [0; 64]);
    asks(
        &house.gateway,
        (format!("GET /after/{} HTTP/1.1\r\n{head}Connection: close\r\n\r\n", secrets.one()), "HTTP/1.1 401"),
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for what in ["cut", "outcome_withheld", "refused_after_end"] {
        let said = house.asks("auditor", &["ledger", "tail", "--from", "0", "--what", what, "--count", "1"]);
        assert!(said.code == 0 && said.out.contains(id), "{what}: {}{}", said.out, said.err);
    }

    let metrics = house.metrics();
    assert!(metrics.contains("nightlatch_upstream_failures_total"), "{metrics}");
    let stopped = Command::new("kill").args(["-TERM", &house.server.id().to_string()]).status().unwrap();
    assert!(stopped.success() && house.server.wait().unwrap().success());
    let mut files = vec![("/metrics".to_owned(), metrics.into_bytes())];
    written(&house.path("data"), &mut files);
    files.extend(["log", "stdout"].map(|name| (name.to_owned(), fs::read(house.path(name)).unwrap())));

    // What may be there is found, or the search would prove nothing.
    for text in ["ada-lovelace", id] {
        assert!(files.iter().any(|(_, bytes)| has(bytes, text)), "{text} is nowhere");
    }
    let credential = token.strip_prefix("nlt_").unwrap();
    let never = [MARK, credential, "the-secret-of-"].into_iter().chain(made.iter().map(String::as_str));
    let never: Vec<&str> = never.collect();
    for (name, bytes) in &files {
        for text in &never {
            let at = bytes.windows(text.len()).position(|part| part == text.as_bytes());
            let around = at
                .map(|at| String::from_utf8_lossy(&bytes[at.saturating_sub(100)..bytes.len().min(at + 60)]));
            assert!(around.is_none(), "{name}: {}", around.unwrap_or_default());
        }
    }
}
