//! The built program, and a server of it with a folder of its own.
#![allow(dead_code, reason = "each test file is a crate of its own and uses its own part of this")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use serde_json::Value;
use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output},
    thread,
    time::Duration,
};

/// A folder with a configuration and keys, and a server that runs on it.
pub(crate) struct House {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) gateway: String,
    pub(crate) admin: String,
    pub(crate) server: Child,
}

/// What a command said and how it ended.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("not JSON: {}{}", self.out, self.err))
    }
}

pub(crate) fn nightlatch(folder: &Path, args: &[&str]) -> Said {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_nightlatch"))
        .args(args)
        .current_dir(folder)
        .env_remove("NIGHTLATCH_KEY")
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: status.code().unwrap(), out: text(stdout), err: text(stderr) }
}

pub(crate) fn free_port() -> u16 {
    let [port] = free_ports();
    port
}

/// So many, no two alike: each is held until all are had.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    let held = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|held| held.local_addr().unwrap().port())
}

pub(crate) fn secret(role: &str) -> String {
    format!("the-secret-of-{role}-0123456789-0123456789")
}

/// Puts the key of each role into a folder, for nobody else to read.
pub(crate) fn write_keys(folder: &Path) {
    for role in ["issuer", "operator", "auditor"] {
        let file = folder.join(format!("{role}.key"));
        fs::write(&file, format!("{}\n", secret(role))).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

pub(crate) fn configuration(gateway: u16, admin: u16) -> String {
    let keys: String = ["issuer", "operator", "auditor"]
        .map(|role| {
            format!("[[api_key]]\nname = \"the-{role}\"\nrole = \"{role}\"\nkey_file = \"{role}.key\"\n")
        })
        .concat();
    format!(
        "version = 1\ntimezone = \"UTC\"\n[listen]\ngateway = \"127.0.0.1:{gateway}\"\nadmin = \"127.0.0.1:{admin}\"\n\
         [data]\ndir = \"data\"\n[policy]\nidle = \"15m\"\nabsolute = \"12h\"\n\
         [[app]]\nname = \"blotter\"\nmatch = {{ host = \"desk.example.com\", path = \"/\" }}\n\
         upstream = \"http://127.0.0.1:3000\"\n{keys}"
    )
}

impl House {
    pub(crate) fn new() -> House {
        House::with("")
    }

    /// With more tables in its configuration.
    pub(crate) fn with(tables: &str) -> House {
        House::changed(|text| text + tables)
    }

    /// With a configuration that was changed.
    pub(crate) fn changed(change: impl FnOnce(String) -> String) -> House {
        House::prepared(|_, text| change(text))
    }

    /// With what this puts into the folder and makes of the configuration.
    pub(crate) fn prepared(prepare: impl FnOnce(&Path, String) -> String) -> House {
        let folder = tempfile::tempdir().unwrap();
        let [gateway, admin] = free_ports();
        let text = prepare(folder.path(), configuration(gateway, admin));
        fs::write(folder.path().join("n.toml"), text).unwrap();
        write_keys(folder.path());
        let server = Command::new(env!("CARGO_BIN_EXE_nightlatch"))
            .args(["serve", "--config", "n.toml"])
            .current_dir(folder.path())
            .env("NIGHTLATCH_LOG", "trace")
            .stdout(fs::File::create(folder.path().join("stdout")).unwrap())
            .stderr(fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let gateway = format!("127.0.0.1:{gateway}");
        let house = House { folder, gateway, admin: format!("http://127.0.0.1:{admin}"), server };
        for _ in 0..300 {
            if house.asks("auditor", &["session", "list"]).code == 0 {
                return house;
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("the server did not come up: {}", house.asks("auditor", &["session", "list"]).err);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn run(&self, args: &[&str]) -> Said {
        nightlatch(self.folder.path(), args)
    }

    /// Runs a command that asks the server, with the key of this role.
    pub(crate) fn asks(&self, role: &str, args: &[&str]) -> Said {
        let key = format!("{role}.key");
        self.run(&[args, &["--admin", &self.admin, "--key-file", &key]].concat())
    }

    /// Starts a session over the API, the way a program would. Gives its id.
    pub(crate) fn start(&self, subject: &str) -> String {
        self.begin(subject)["id"].as_str().unwrap().to_owned()
    }

    /// The same; gives all of the answer, the credential included.
    pub(crate) fn begin(&self, subject: &str) -> Value {
        let authority = self.admin.strip_prefix("http://").unwrap();
        let body = format!(r#"{{"subject":"{subject}","groups":["desk"]}}"#);
        let request = format!(
            "POST /v1/sessions HTTP/1.1\r\nHost: {authority}\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            secret("issuer"),
            body.len()
        );
        let mut stream = std::net::TcpStream::connect(authority).unwrap();
        std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap()
    }

    /// The numbers, as text.
    pub(crate) fn metrics(&self) -> String {
        let authority = self.admin.strip_prefix("http://").unwrap();
        let mut stream = std::net::TcpStream::connect(authority).unwrap();
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
        std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
        answer
    }

    /// Waits until a checkpoint covers everything that is on the record.
    pub(crate) fn wait_for_checkpoint(&self) {
        for _ in 0..200 {
            let said = self.run(&["ledger", "verify", "--dir", "data", "--json"]);
            if said.code == 0 && said.json()["unsigned_entries"] == 0 {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("no checkpoint was signed");
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
