//! The program under measurement: `nightlatch serve` as it ships, in a folder of its own, and its API asked by hand.

use crate::process::Served;
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    thread::sleep,
    time::Duration,
};

const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789";

/// What differs between one run of the program and another.
#[derive(Clone, Debug)]
pub struct Setting<'a> {
    /// The name of its files in the folder.
    pub name: &'a str,
    /// Whether it speaks TLS, with `cert.pem` and `key.pem` of the folder.
    pub tls: bool,
    /// The port of the application on loopback.
    pub application: u16,
    /// The absolute limit, as the configuration writes it.
    pub absolute: &'a str,
    /// The processor it is bound to; all of them if none.
    pub processor: Option<usize>,
}

/// A running program.
#[derive(Debug)]
pub struct Program {
    /// The process.
    pub served: Served,
    /// Where the gateway listens.
    pub gateway: u16,
    /// Where the API listens.
    pub admin: u16,
    /// Its data directory.
    pub data: PathBuf,
}

impl Program {
    /// Starts the release build that stands beside the present program, and waits until it listens.
    pub fn start(folder: &Path, setting: &Setting<'_>) -> Program {
        let program = std::env::current_exe().unwrap().with_file_name("nightlatch");
        assert!(program.exists(), "`{}` is missing: `cargo xtask bench` builds it", program.display());
        let Setting { name, application, absolute, .. } = setting;
        let (gateway, admin) = (free_port(), free_port());
        let tls = if setting.tls { r#"tls = { cert = "cert.pem", key = "key.pem" }"# } else { "" };
        let text = format!(
            r#"
version = 1
[listen]
gateway = "127.0.0.1:{gateway}"
admin = "127.0.0.1:{admin}"
{tls}
[data]
dir = "data-{name}"
[policy]
idle = "59m"
absolute = "{absolute}"
warning = "2m"
[[app]]
name = "bench"
match = {{ host = "127.0.0.1", path = "/" }}
upstream = "http://127.0.0.1:{application}"
activity = "requests"
[limits]
# All clients are at one address here.
connections_per_address = 1000000
[[api_key]]
name = "bench"
role = "issuer"
key_file = "key"
"#
        );
        fs::write(folder.join("key"), SECRET).unwrap();
        let file = folder.join(format!("{name}.toml"));
        fs::write(&file, text).unwrap();
        let arguments = ["serve", "--config", &file.display().to_string()];
        let served = Served::start(setting.processor, &program.display().to_string(), &arguments);
        wait_for(admin);
        wait_for(gateway);
        Program { served, gateway, admin, data: folder.join(format!("data-{name}")) }
    }
}

/// A connection to the API that stays open.
#[derive(Debug)]
pub struct Api {
    admin: u16,
    connection: BufReader<TcpStream>,
}

impl Api {
    /// Connects to the API on this port.
    pub fn connect(admin: u16) -> Api {
        let connection = TcpStream::connect(("127.0.0.1", admin)).unwrap();
        connection.set_nodelay(true).unwrap();
        Api { admin, connection: BufReader::new(connection) }
    }

    /// Starts a session and gives its credential. `authenticated_at` as RFC 3339, or now.
    pub fn start_session(&mut self, subject: &str, authenticated_at: Option<&str>) -> String {
        let authenticated =
            authenticated_at.map_or(String::new(), |at| format!(r#","authenticated_at":"{at}""#));
        let body = format!(r#"{{"subject":"{subject}"{authenticated}}}"#);
        let head = format!(
            "POST /v1/sessions HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAuthorization: Bearer {SECRET}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.admin,
            body.len()
        );
        self.connection.get_mut().write_all(head.as_bytes()).unwrap();
        let answer = self.read_answer();
        let token =
            answer.split("\"nlt_").nth(1).unwrap_or_else(|| panic!("no session was started: {answer}"));
        format!("nlt_{}", token.split('"').next().unwrap())
    }

    fn read_answer(&mut self) -> String {
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.connection.read_line(&mut line).unwrap();
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.connection.read_exact(&mut body).unwrap();
        String::from_utf8(body).unwrap()
    }
}

/// A port of loopback that nobody listens on.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until somebody listens on this port of loopback.
pub fn wait_for(port: u16) {
    for _ in 0..400 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return;
        }
        sleep(Duration::from_millis(25));
    }
    panic!("nothing listens on port {port}");
}
