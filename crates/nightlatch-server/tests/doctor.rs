//! The doctor sees what is really there: each row breaks one thing with the real thing, and it is the one that is said.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test that cannot go on fails")]

mod common;

use common::{House, Said, configuration, free_port, free_ports, nightlatch, write_keys};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use serde_json::Value;
use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::{fs::PermissionsExt as _, net::UnixListener},
    path::{Path, PathBuf},
    process::{Command, Output},
    thread,
    time::{Duration, SystemTime},
};

/// A folder with a configuration that can be used and its secrets, and an application that answers.
struct Site {
    folder: tempfile::TempDir,
    text: String,
}

impl Site {
    fn new() -> Site {
        let folder = tempfile::tempdir().unwrap();
        let [gateway, admin] = free_ports();
        let text = configuration(gateway, admin);
        write_keys(folder.path());
        let site = Site { folder, text };
        site.with("http://127.0.0.1:3000", &format!("http://127.0.0.1:{}", application("127.0.0.1:0", HTTP1)))
    }

    fn with(mut self, from: &str, to: &str) -> Site {
        assert!(self.text.contains(from), "{from}");
        self.text = self.text.replace(from, to);
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn doctor(&self, args: &[&str]) -> Said {
        fs::write(self.path("n.toml"), &self.text).unwrap();
        nightlatch(self.folder.path(), &[&["doctor", "--config", "n.toml"], args].concat())
    }

    fn findings(&self) -> Findings {
        Findings::of(&self.doctor(&["--json"]))
    }
}

/// What was said, to be asked for one thing.
struct Findings(Vec<Value>, i32);

impl Findings {
    fn of(said: &Said) -> Findings {
        let said_json = said.json();
        Findings(said_json["findings"].as_array().unwrap().clone(), said.code)
    }

    /// What was said behind a command that only root may run; none if this is not root.
    fn of_privileged(said: io::Result<Output>) -> Option<Findings> {
        let json = said.ok().and_then(|said| serde_json::from_slice::<Value>(&said.stdout).ok());
        if json.is_none() {
            eprintln!("NOT RUN: this part needs root, `unshare` and `setpriv`");
        }
        Some(Findings(json?["findings"].as_array().unwrap().clone(), 1))
    }

    /// Something of this kind was seen with this result, in these words; and if it is not good, what to do is said.
    fn has(&self, check: &str, result: &str, words: &str) {
        let meant = |one: &&Value| {
            one["check"] == check && one["result"] == result && one.to_string().contains(words)
        };
        let Some(found) = self.0.iter().find(meant) else {
            panic!("no {check} is {result} with `{words}`: {:#?}", self.0)
        };
        let told = found["do"].as_str().is_some_and(|remedy| !remedy.is_empty());
        assert_eq!(told, ["wrong", "warning"].contains(&result), "{found}");
    }

    fn has_no(&self, check: &str, result: &str) {
        let one = self.0.iter().find(|one| one["check"] == check && one["result"] == result);
        assert!(one.is_none(), "{one:?}");
    }

    fn wrong(&self) -> usize {
        self.0.iter().filter(|one| one["result"] == "wrong").count()
    }
}

const HTTP1: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
const HTTP2: &[u8] = b"\0\0\0\x04\0\0\0\0\0";

/// An application that answers everything with these bytes.
fn application(address: &str, answer: &'static [u8]) -> u16 {
    let listener = TcpListener::bind(address).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(answer);
        }
    });
    port
}

/// A certificate for this name, valid in these years, in `cert.pem` and `key.pem`.
fn certificate(site: &Site, name: &str, years: [i32; 2]) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    [params.not_before, params.not_after] = years.map(|year| date_time_ymd(year, 1, 1));
    let key = KeyPair::generate().unwrap();
    fs::write(site.path("cert.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(site.path("key.pem"), key.serialize_pem()).unwrap();
    fs::set_permissions(site.path("key.pem"), fs::Permissions::from_mode(0o600)).unwrap();
}

fn secured(site: Site) -> Site {
    site.with("[data]", "tls = { cert = \"cert.pem\", key = \"key.pem\" }\n[data]")
}

/// Every file below a folder, with its bytes and mode.
fn everything(folder: &Path) -> Vec<(PathBuf, u32, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let mode = entry.metadata().unwrap().permissions().mode();
        let path = entry.path();
        if path.is_dir() {
            all.extend(everything(&path));
            all.push((path, mode, Vec::new()));
        } else {
            let bytes = fs::read(&path).unwrap();
            all.push((path, mode, bytes));
        }
    }
    all.sort();
    all
}

#[test]
fn before_the_first_start_nothing_is_wrong_and_nothing_is_made() {
    let site = Site::new();
    fs::write(site.path("n.toml"), &site.text).unwrap();
    let before = everything(site.folder.path());
    let said = site.doctor(&[]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.contains("is not there yet; the first start can make it"), "{}", said.out);
    assert!(said.out.lines().last().unwrap().starts_with("0 wrong, "), "{}", said.out);
    for line in said.out.lines().rev().skip(1) {
        let words = ["good  ", "warning  ", "WRONG  ", "not looked at "];
        assert!(words.iter().any(|word| line.starts_with(word)), "{line}");
    }
    assert!(everything(site.folder.path()) == before, "the folder is as it was");
}

#[test]
fn beside_a_running_server_it_sees_that_one_and_disturbs_nothing() {
    let house = House::new();
    house.start("ada");
    house.wait_for_checkpoint();
    let found = Findings::of(&house.run(&["doctor", "--config", "n.toml", "--whole", "--json"]));
    let pid = house.server.id().to_string();
    for check in ["data.holder", "port", "limits.descriptors", "limits.memory"] {
        found.has(check, "good", &pid);
    }
    for (check, words) in [
        ("clock.reservation", "steady clock"),
        ("record.key", "fits"),
        ("record.end", "entries 0 to 1"),
        ("record.whole", "all 2 entries fit together"),
        ("record.age", "session_started"),
        ("server.starting", ""),
        ("server.enforcing", ""),
        ("server.version", env!("CARGO_PKG_VERSION")),
    ] {
        found.has(check, "good", words);
    }
    // The application of this house is not there; everything else is as it should be.
    found.has("upstream.reached", "wrong", "refused");
    assert_eq!((found.wrong(), found.1), (1, 1), "{:#?}", found.0);
    let listed = house.asks("operator", &["session", "list", "--json"]);
    assert_eq!(listed.json()["sessions"].as_array().unwrap().len(), 1, "no session was started");
}

#[test]
fn the_configuration_is_said_as_the_check_says_it() {
    let folder = tempfile::tempdir().unwrap();
    let said = nightlatch(folder.path(), &["doctor"]);
    assert!(said.code == 0 && said.out.contains("give --config FILE"), "{}{}", said.out, said.err);
    let said = nightlatch(folder.path(), &["doctor", "--config", "n.toml"]);
    assert!(said.code == 3 && said.out.contains("WRONG"), "{}{}", said.out, said.err);
    let found = Site::new().with("idle =", "idel =").findings();
    found.has("configuration", "wrong", "did you mean `idle`?");
    found.has("site", "not_looked_at", "cannot be used");
    let site = Site::new();
    fs::remove_file(site.path("issuer.key")).unwrap();
    fs::write(site.path("auditor.key"), "short").unwrap();
    fs::set_permissions(site.path("operator.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let found = site.findings();
    found.has("secrets", "wrong", "issuer.key");
    found.has("secrets", "wrong", "5 characters");
    found.has("secrets", "warning", "operator.key` is open to every user");
    assert_eq!(site.doctor(&["--admin", "https://x"]).code, 2);
}

#[test]
fn certificates_are_read_and_held_against_the_clock_and_the_names() {
    let site = secured(Site::new());
    site.findings().has(
        "certificate",
        "wrong",
        "`cert` in `listen.tls`: `cert.pem` is not there: put the file there",
    );
    for name in ["cert.pem", "key.pem"] {
        fs::write(site.path(name), "none").unwrap();
    }
    site.findings().has("certificate", "wrong", "holds no certificate");
    certificate(&site, "desk.example.com", [2020, 2100]);
    fs::write(site.path("key.pem"), "none").unwrap();
    site.findings().has("certificate", "wrong", "`key.pem` holds no usable PEM");
    fs::remove_file(site.path("key.pem")).unwrap();
    site.findings().has(
        "certificate",
        "wrong",
        "`key` in `listen.tls`: `key.pem` is not there: put the file there",
    );
    for (name, years, result, words) in [
        ("desk.example.com", [2020, 2100], "good", "good until 2100-01-01T00:00:00.000Z"),
        ("desk.example.com", [2020, 2021], "wrong", "over since 2021-01-01T00:00:00.000Z"),
        ("desk.example.com", [2090, 2100], "wrong", "not valid before 2090-01-01T00:00:00.000Z"),
    ] {
        certificate(&site, name, years);
        let found = site.findings();
        found.has("certificate", result, words);
        found.has("certificate.chain", "warning", "signed by itself");
        found.has("certificate.name", "good", "desk.example.com");
    }
    certificate(&site, "other.example.com", [2020, 2100]);
    site.findings().has("certificate.name", "wrong", "desk.example.com");
    fs::write(site.path("key.pem"), KeyPair::generate().unwrap().serialize_pem()).unwrap();
    site.findings().has("certificate", "wrong", "do not go together");
}

#[test]
fn a_certificate_that_is_soon_over_is_said_in_time() {
    let site = secured(Site::new());
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    for (days, result, words) in [(10, "warning", "and is over in "), (40, "good", "good until")] {
        let mut params = CertificateParams::new(vec!["desk.example.com".to_owned()]).unwrap();
        params.not_after = date_time_ymd(1970, 1, 1) + now + Duration::from_secs(days * 86_400);
        let key = KeyPair::generate().unwrap();
        fs::write(site.path("cert.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        fs::write(site.path("key.pem"), key.serialize_pem()).unwrap();
        site.findings().has("certificate", result, words);
    }
}

#[test]
fn a_port_that_another_program_has_is_wrong_and_that_program_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let site = Site::new();
    let gateway = site.text.split("gateway = \"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let found = site.with(&gateway, &format!("127.0.0.1:{port}")).findings();
    found.has("port", "wrong", &format!("process {}", std::process::id()));
    found.has("port", "good", "`listen.admin`");
    let site = Site::new();
    let file = site.path("notes");
    fs::write(&file, "mine").unwrap();
    let socket = format!("gateway_unix = \"unix:{}\"\ngateway = \"127.0.0.1:", file.display());
    site.with("gateway = \"127.0.0.1:", &socket).findings().has("port", "wrong", "no socket");
    // An address kept for documentation (RFC 5737), which no machine has.
    let site = Site::new();
    let line = site.text.lines().find(|line| line.starts_with("gateway")).unwrap().to_owned();
    let elsewhere = format!(
        "gateway = \"192.0.2.1:{}\"\npublic_url = \"https://desk.example.com\"\ntrusted_proxies = [\"192.0.2.9\"]",
        free_port()
    );
    site.with(&line, &elsewhere).findings().has("port", "wrong", "no such address");
}

#[test]
fn applications_are_asked_what_they_speak_and_where_they_listen() {
    let site = |upstream: &str, more: &str| {
        let site = Site::new();
        let line = site.text.lines().find(|line| line.starts_with("upstream")).unwrap().to_owned();
        site.with(&line, &format!("upstream = \"{upstream}\"{more}")).findings()
    };
    let http = |address: &str, answer| format!("http://127.0.0.1:{}", application(address, answer));
    let found = site(&http("127.0.0.1:0", HTTP1), "");
    found.has("upstream.speaks", "good", "HTTP/1.1");
    found.has("upstream.alone", "good", "loopback only");
    let found = site(&http("0.0.0.0:0", HTTP1), "");
    found.has("upstream.alone", "warning", "it listens on 0.0.0.0:");
    assert_eq!(found.1, 0, "a warning is not an error");
    site(&http("127.0.0.1:0", HTTP2), "\nprotocol = \"h2\"").has("upstream.speaks", "good", "HTTP/2");
    site(&http("127.0.0.1:0", HTTP2), "").has("upstream.speaks", "wrong", "answers in HTTP/2");
    site(&http("127.0.0.1:0", HTTP1), "\nprotocol = \"h2\"").has(
        "upstream.speaks",
        "wrong",
        "answers in HTTP/1",
    );
    site(&http("127.0.0.1:0", b"SSH-2.0-OpenSSH\r\n"), "").has("upstream.speaks", "wrong", "not HTTP/1.1");
    site(&http("127.0.0.1:0", b""), "").has("upstream.speaks", "wrong", "ends them");
    let found = site(&format!("http://127.0.0.1:{}", free_port()), "");
    found.has("upstream.reached", "wrong", "refused");
    found.has("upstream.alone", "not_looked_at", "nothing on this machine");
    found.has_no("upstream.alone", "good");
    site("http://nowhere.invalid:80", "").has("upstream.reached", "wrong", "leads nowhere");
}

#[test]
fn an_application_on_a_socket_file_that_everybody_may_open_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(HTTP1);
        }
    });
    let site = Site::new();
    let line = site.text.lines().find(|line| line.starts_with("upstream")).unwrap().to_owned();
    let site = site.with(&line, &format!("upstream = \"unix:{}\"", path.display()));
    for (mode, folder_mode, result) in
        [(0o660, 0o755, "good"), (0o666, 0o755, "warning"), (0o666, 0o700, "good")]
    {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(folder_mode)).unwrap();
        let found = site.findings();
        found.has("upstream.speaks", "good", "HTTP/1.1");
        found.has("upstream.alone", result, "user of this machine");
    }
}

#[test]
fn after_an_incident_the_data_directory_tells_what_is_wrong_with_it() {
    let mut house = House::new();
    house.start("ada");
    house.wait_for_checkpoint();
    house.server.kill().unwrap();
    house.server.wait().unwrap();
    let found = || Findings::of(&house.run(&["doctor", "--config", "n.toml", "--json"]));
    let at_rest = found();
    at_rest.has("record.end", "good", "signed with this key");
    at_rest.has("clock.reservation", "good", "");
    at_rest.has_no("data.holder", "good");

    let chmod =
        |name: &str, mode| fs::set_permissions(house.path(name), fs::Permissions::from_mode(mode)).unwrap();
    for (mode, result, words) in
        [(0o777, "wrong", "every user may write"), (0o750, "warning", "may look into it")]
    {
        chmod("data", mode);
        found().has("data.directory", result, words);
    }
    chmod("data", 0o700);
    chmod("data/keys/ledger.key", 0o644);
    let open = found();
    open.has("data.keys", "wrong", "ledger.key");
    open.has_no("data.keys", "good");
    chmod("data/keys/ledger.key", 0o600);

    // Each is broken, seen, and put back.
    let changed = |name: &str, change: &dyn Fn(&mut Vec<u8>), check: &str, words: &str| {
        let before = fs::read(house.path(name)).unwrap();
        let mut bytes = before.clone();
        change(&mut bytes);
        fs::write(house.path(name), bytes).unwrap();
        found().has(check, "wrong", words);
        fs::write(house.path(name), before).unwrap();
        found().has_no(check, "wrong");
    };
    let segment = "data/ledger/00000000000000000000.segment";
    changed(segment, &|bytes| bytes[100] ^= 1, "record.end", "");
    changed(segment, &|bytes| bytes.truncate(0), "record.end", "");
    changed(
        "data/ledger/checkpoint",
        &|bytes| {
            let end = bytes.len() - 10;
            bytes[end] ^= 1;
        },
        "record.end",
        "checkpoint",
    );
    changed("data/time", &|bytes| bytes.fill(0), "clock.reservation", "damaged");
    changed("data/keys/ledger.vkey", &|bytes| bytes.fill(b'x'), "record.key", "");
    fs::remove_file(house.path("data/time")).unwrap();
    found().has("clock.reservation", "wrong", "is gone");
    fs::write(house.path("data/backup.json"), "{}").unwrap();
    found().has("data.directory", "wrong", "is a backup");
}

#[test]
fn memory_is_no_disk_and_a_full_one_is_no_place_for_a_record() {
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    let data = format!("dir = \"{}\"", memory.path().join("data").display());
    let found = Site::new().with("dir = \"data\"", &data).findings();
    found.has("data.filesystem", "warning", "`tmpfs` is memory");
    found.has("data.sync", "not_looked_at", "says nothing");
    // A disk of its own that is too small, in a namespace of mounts of its own: where this user may make one.
    let site = Site::new().with("dir = \"data\"", "dir = \"small/data\"");
    fs::create_dir(site.path("small")).unwrap();
    fs::write(site.path("n.toml"), &site.text).unwrap();
    let script = "mount -t tmpfs -o size=1m none small && exec \"$0\" doctor --config n.toml --json";
    let said = Command::new("unshare")
        .args(["--mount", "sh", "-c", script, env!("CARGO_BIN_EXE_nightlatch")])
        .current_dir(site.folder.path())
        .output();
    let Some(found) = Findings::of_privileged(said) else { return };
    found.has("data.space", "wrong", "without them no session starts");
}

#[test]
fn as_another_user_it_says_what_it_could_not_see() {
    let house = House::new();
    house.wait_for_checkpoint();
    // Somebody who may read the configuration, and nothing of the server's.
    fs::set_permissions(house.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for role in ["issuer", "operator", "auditor"] {
        fs::set_permissions(house.path(&format!("{role}.key")), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let program = house.path("program");
    fs::copy(env!("CARGO_BIN_EXE_nightlatch"), &program).unwrap();
    let said = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(&program)
        .args(["doctor", "--config", "n.toml", "--json"])
        .current_dir(house.folder.path())
        .output();
    let Some(found) = Findings::of_privileged(said) else { return };
    found.has("secrets", "wrong", "Permission denied");
    found.has("data.writable", "not_looked_at", "as that user");
    found.has("record", "not_looked_at", "as the server's user");
    found.has("clock.reservation", "not_looked_at", "as the server's user");
    found.has("port", "not_looked_at", "may not see who");
    found.has("server.enforcing", "good", "");
    for check in ["record.end", "record.key", "data.keys", "data.holder"] {
        found.has_no(check, "good");
        found.has_no(check, "wrong");
    }
}

#[test]
fn a_stranger_at_the_admin_port_is_not_taken_for_the_server() {
    let port = application("127.0.0.1:0", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    let site = Site::new();
    let found = Findings::of(&site.doctor(&["--json", "--admin", &format!("http://127.0.0.1:{port}")]));
    found.has("server", "wrong", "is not Nightlatch");
    found.has_no("server.enforcing", "good");
    assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
}

#[test]
fn a_stranger_at_the_admin_port_may_say_what_it_likes() {
    // One after the other: health, enforcing, metrics.
    let health = r#"{"ok":false,"detail":"\u001b[2J fine","faults":[{"part":"x\nWRONG  y","means":"a"}]}"#;
    let metrics = |value: &str| {
        format!(
            "nightlatch_version{{version=\"\u{1b}[2J\"}} 1\nnightlatch_clock_wall_behind_seconds {value}\nnightlatch_clock_steps_total NaN\nnightlatch_suspensions_total -1e308\n"
        )
    };
    for value in ["1e300", "inf", "-inf", "NaN", "18446744073709551616"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let metrics = metrics(value);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut asked = [0; 1024];
                let read = stream.read(&mut asked).unwrap_or_default();
                let body = if asked[..read].starts_with(b"GET /metrics") { &metrics } else { health };
                let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            }
        });
        let said = Site::new().doctor(&["--admin", &format!("http://127.0.0.1:{port}")]);
        assert_eq!(said.code, 1, "{value}: {}{}", said.out, said.err);
        assert!(
            said.out.contains("server.clock") || said.out.contains("clock of the running server"),
            "{value}: {}",
            said.out
        );
        assert!(!said.out.contains('\u{1b}') && !said.out.contains("\nWRONG  y"), "{}", said.out);
    }
}
