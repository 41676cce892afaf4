//! The command line as people and scripts meet it: the built program, a server it talks to, files it reads.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use serde_json::Value;
use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::Duration,
};

/// A folder with a configuration and keys, and a server that runs on it.
struct House {
    folder: tempfile::TempDir,
    admin: String,
    server: Child,
}

/// What a command said and how it ended.
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("not JSON: {}{}", self.out, self.err))
    }
}

fn nightlatch(folder: &Path, args: &[&str]) -> Said {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_nightlatch"))
        .args(args)
        .current_dir(folder)
        .env_remove("NIGHTLATCH_KEY")
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: status.code().unwrap(), out: text(stdout), err: text(stderr) }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn secret(role: &str) -> String {
    format!("the-secret-of-{role}-0123456789-0123456789")
}

fn configuration(gateway: u16, admin: u16) -> String {
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
    fn new() -> House {
        let folder = tempfile::tempdir().unwrap();
        let (gateway, admin) = (free_port(), free_port());
        fs::write(folder.path().join("n.toml"), configuration(gateway, admin)).unwrap();
        for role in ["issuer", "operator", "auditor"] {
            fs::write(folder.path().join(format!("{role}.key")), format!("{}\n", secret(role))).unwrap();
        }
        let server = Command::new(env!("CARGO_BIN_EXE_nightlatch"))
            .args(["serve", "--config", "n.toml"])
            .current_dir(folder.path())
            .env("NIGHTLATCH_LOG", "trace")
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let house = House { folder, admin: format!("http://127.0.0.1:{admin}"), server };
        for _ in 0..300 {
            if house.asks("auditor", &["session", "list"]).code == 0 {
                return house;
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("the server did not come up: {}", house.asks("auditor", &["session", "list"]).err);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, args: &[&str]) -> Said {
        nightlatch(self.folder.path(), args)
    }

    /// Runs a command that asks the server, with the key of this role.
    fn asks(&self, role: &str, args: &[&str]) -> Said {
        let key = format!("{role}.key");
        self.run(&[args, &["--admin", &self.admin, "--key-file", &key]].concat())
    }

    /// Starts a session over the API, the way a program would.
    fn start(&self, subject: &str) -> String {
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
        serde_json::from_str::<Value>(body).unwrap()["id"].as_str().unwrap().to_owned()
    }

    /// Waits until a checkpoint covers everything that is on the record.
    fn wait_for_checkpoint(&self) {
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

#[test]
fn sessions_are_listed_shown_and_ended() {
    let house = House::new();
    let (ada, bob) = (house.start("ada"), house.start("bob"));
    let said = house.asks("operator", &["session", "list"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(
        said.out.starts_with("SESSION ") && said.out.contains(&ada) && said.out.contains("14 min 5"),
        "{}",
        said.out
    );
    let said = house.asks("operator", &["session", "list", "--subject", "bob", "--json"]);
    assert_eq!(said.json()["sessions"].as_array().unwrap().len(), 1);
    let said = house.asks("operator", &["session", "list", "--limit", "1"]);
    assert!(said.out.contains("There are more than 1"), "{}", said.out);

    let said = house.asks("operator", &["session", "show", &ada]);
    for part in
        ["state           live", "subject         ada", "idle limit      15 min, set by rule `policy`"]
    {
        assert!(said.out.contains(part), "{part}: {}", said.out);
    }
    let said = house.asks("operator", &["session", "end", "--subject", "ada", "--dry-run"]);
    assert!(said.code == 0 && said.out.contains("would end"), "{}", said.out);
    let said =
        house.asks("operator", &["session", "end", &ada, "--cause", "lost laptop", "--ticket", "INC-1"]);
    assert!(said.code == 0 && said.out.contains("ended: revoked"), "{}{}", said.out, said.err);
    let said = house.asks("operator", &["session", "show", &ada]);
    assert!(said.out.contains("cause           lost laptop (ticket INC-1)"), "{}", said.out);
    assert_eq!(house.asks("operator", &["session", "show", &bob, "--json"]).json()["state"], "live");
}

#[test]
fn no_secret_and_no_name_is_in_the_log() {
    let house = House::new();
    let id = house.start("ada-lovelace");
    house.asks("operator", &["session", "end", "--subject", "ada-lovelace", "--cause", "known-cause"]);
    house.asks("nobody", &["session", "list"]);
    let log = fs::read_to_string(house.path("log")).unwrap();
    assert!(log.contains(&id), "at this level everything that is logged is there: {log}");
    for secret in ["lovelace", "nlt_", "the-secret-of", "known-cause"] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
    for line in log.lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok(), "{line}");
    }
}

#[test]
fn the_exit_code_says_what_kind_of_no_it_is() {
    let house = House::new();
    let id = format!("ses_{}", "0".repeat(32));
    let rows: [(&str, &[&str], i32, &str); 9] = [
        ("operator", &["session", "show", &id], 1, "no session has this id"),
        ("operator", &["session", "end", &id], 1, ""),
        ("operator", &["session", "end", "--subject", "nobody"], 1, ""),
        ("auditor", &["session", "end", &id], 3, "this needs `operator`"),
        ("operator", &["ledger", "tail"], 3, "this needs `auditor`"),
        ("auditor", &["ledger", "tail", "--after", "x:1"], 2, "the event to resume after"),
        ("nobody", &["session", "list"], 3, "nobody.key"),
        ("operator", &["session", "end"], 2, "required"),
        ("operator", &["session", "list", "--stat", "live"], 2, "--state"),
    ];
    for (role, args, code, words) in rows {
        let said = house.asks(role, args);
        assert_eq!(said.code, code, "{args:?}: {}{}", said.out, said.err);
        assert!(said.err.contains(words), "{args:?}: {}", said.err);
    }
    let nowhere = format!("http://127.0.0.1:{}", free_port());
    let said = house.run(&["session", "list", "--admin", &nowhere, "--key-file", "operator.key"]);
    assert!(said.code == 3 && said.err.contains("Is it running"), "{}", said.err);
    let said = house.run(&["session", "list", "--admin", &nowhere]);
    assert!(said.code == 2 && said.err.contains("NIGHTLATCH_KEY"), "{}", said.err);
    let said = house.run(&["session", "list", "--admin", &nowhere, "--key-file", "operator.key", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&said.err).unwrap()["exit_code"], 3);
}

#[test]
fn on_the_record_a_ledger_is_verified_proved_and_exported_beside_a_running_server() {
    let house = House::new();
    let id = house.start("ada");
    house.wait_for_checkpoint();
    let said = house.run(&["ledger", "verify", "--dir", "data"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    for part in [
        "consistent: ledger `",
        "checked: 2 entries",
        "not independently anchored",
        "found beside the record",
    ] {
        assert!(said.out.contains(part), "{part}: {}", said.out);
    }
    let said = house.run(&["ledger", "prove", "--dir", "data", "1", "--json"]);
    assert_eq!(said.json()["entry"]["session"], *id, "{}", said.err);
    let said = house.run(&["ledger", "prove", "--dir", "data", "n:999"]);
    assert!(said.code == 1 && said.err.contains("not covered by a checkpoint"), "{}", said.err);

    assert_eq!(house.run(&["ledger", "export", "--dir", "data", "--to", "out"]).code, 0);
    let again = house.run(&["ledger", "export", "--dir", "data", "--to", "out"]);
    assert!(again.code == 2 && again.err.contains("not empty"), "{}", again.err);
    let key = ["--key", "data/keys/ledger.vkey"];
    // A checkpoint that was kept elsewhere anchors; the ledger's own do not, whatever they are called.
    fs::copy(house.path("out/checkpoint"), house.path("kept")).unwrap();
    let verify = |extra: &[&str]| {
        house.run(&[&["ledger", "verify", "--dir", "out", "--json"], &key[..], extra].concat())
    };
    assert_eq!(verify(&[]).json()["independently_anchored"], false);
    assert_eq!(verify(&["--checkpoint", "kept"]).json()["anchored_entries"], 2);
    assert_eq!(verify(&["--checkpoint", "out/checkpoint"]).code, 2);
    let said = house.run(&["ledger", "prove", "--dir", "out", "1", key[0], key[1]]);
    assert!(said.code == 0 && said.out.contains("proved in its first 2 entries"), "{}{}", said.out, said.err);
    assert!(house.run(&["ledger", "verify", "--dir", "out"]).err.contains("give the ledger's public key"));
}

#[test]
fn on_the_record_a_changed_entry_is_found() {
    let house = House::new();
    house.start("ada");
    house.wait_for_checkpoint();
    assert_eq!(house.run(&["ledger", "export", "--dir", "data", "--to", "out"]).code, 0);
    let bundle = house.path("out/tile/entries/000.p/2");
    let mut bytes = fs::read(&bundle).unwrap();
    let place = bytes.windows(16).position(|part| part == b"\"idle_ms\":900000").unwrap();
    bytes[place + 15] = b'1';
    fs::write(&bundle, bytes).unwrap();
    let said = house.run(&["ledger", "verify", "--dir", "out", "--key", "data/keys/ledger.vkey"]);
    assert_eq!(said.code, 1);
    assert!(said.out.starts_with("inconsistent:"), "{}", said.out);
    assert_eq!(
        house.run(&["ledger", "prove", "--dir", "out", "--key", "data/keys/ledger.vkey", "1"]).code,
        1
    );
    let rows = [("nowhere", 3), ("n.toml", 2), ("data/keys", 3)];
    for (dir, code) in rows {
        let said = house.run(&["ledger", "verify", "--dir", dir, "--key", "data/keys/ledger.vkey"]);
        assert_eq!(said.code, code, "{dir}: {}", said.err);
    }
}

#[test]
fn the_record_is_followed() {
    let house = House::new();
    let id = house.start("ada");
    let said = house.asks("auditor", &["ledger", "tail", "--from", "0", "--count", "2", "--json"]);
    assert_eq!(said.code, 0, "{}", said.err);
    let last: Value = serde_json::from_str(said.out.lines().last().unwrap()).unwrap();
    assert_eq!(last["entry"]["session"], *id);

    let key = house.path("auditor.key").display().to_string();
    let mut tail = Command::new(env!("CARGO_BIN_EXE_nightlatch"))
        .args([
            "ledger",
            "tail",
            "--admin",
            &house.admin,
            "--key-file",
            &key,
            "--what",
            "session_ended",
            "--from",
            "0",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    house.asks("operator", &["session", "end", &id]);
    let line = lines.next().unwrap().unwrap();
    assert!(line.contains(&id) && line.contains("revoked, by key:the-operator"), "{line}");
    tail.kill().unwrap();
    tail.wait().unwrap();
}

#[test]
fn a_configuration_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("n.toml");
    let check = |extra: &[&str]| nightlatch(folder.path(), &[&["config", "check", "n.toml"], extra].concat());
    assert_eq!(check(&[]).code, 3, "not there");
    fs::write(&file, configuration(8443, 8081)).unwrap();
    let said = check(&[]);
    assert!(said.code == 0 && said.out.contains("can be used"), "{}{}", said.out, said.err);
    fs::write(&file, configuration(8443, 8081).replace("idle =", "idel =")).unwrap();
    let said = check(&[]);
    assert!(said.code == 1 && said.out.contains("did you mean `idle`?"), "{}{}", said.out, said.err);
    let found = check(&["--json"]);
    assert!(found.code == 1 && found.json()["findings"].to_string().contains("unknown-key"), "{}", found.out);
    fs::write(&file, b"\xff\xfe").unwrap();
    assert_eq!(check(&[]).code, 1);
}

#[test]
fn help_says_what_everything_is_for() {
    let folder = tempfile::tempdir().unwrap();
    let said = nightlatch(folder.path(), &["--help"]);
    assert!(said.code == 0 && said.out.contains("Exit codes: 0 done"), "{}", said.out);
    for args in [
        &["serve"][..],
        &["session", "end"],
        &["ledger", "verify"],
        &["ledger", "tail"],
        &["config", "check"],
    ] {
        let said = nightlatch(folder.path(), &[args, &["--help"]].concat());
        assert!(said.code == 0 && said.out.contains("--json"), "{args:?}: {}", said.out);
    }
    assert_eq!(nightlatch(folder.path(), &[]).code, 2);
    assert_eq!(nightlatch(folder.path(), &["sesion"]).code, 2);
}

#[test]
fn what_nobody_reads_any_more_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_nightlatch"))
        .arg("openapi")
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty());
}
