//! The doctor beside a gateway that really runs: what it shows, and who else sits on its ports.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use common::{House, Said};
use rcgen::{CertificateParams, KeyPair};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

const NAMES: [&str; 2] = ["other.example.com", "desk.example.com"];

/// A new certificate for this name, in `NAME.pem` and `NAME.key`.
fn renew(folder: &Path, name: &str) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
    fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
}

fn secured(folder: &Path, text: &str) -> String {
    for name in NAMES {
        renew(folder, name);
    }
    let files = NAMES.map(|name| format!("{{ cert = \"{name}.pem\", key = \"{name}.key\" }}")).join(", ");
    text.replace("[data]", &format!("tls = [{files}]\n[data]"))
}

/// The result of this check for what has these words in its name.
fn result(said: &Said, check: &str, words: &str) -> String {
    let said = said.json();
    let findings = said["findings"].as_array().unwrap();
    let found = findings
        .iter()
        .find(|one| one["check"] == check && one["looked_at"].as_str().unwrap().contains(words))
        .unwrap_or_else(|| panic!("no {check} of `{words}`: {said:#}"));
    format!("{}: {}", found["result"].as_str().unwrap(), found["seen"].as_str().unwrap())
}

#[test]
fn a_certificate_that_was_renewed_and_is_not_served_is_found_and_sighup_mends_it() {
    let house = House::prepared(|folder, text| secured(folder, &text));
    let served = |name: &str| {
        result(&house.run(&["doctor", "--config", "n.toml", "--json"]), "certificate.served", name)
    };
    assert_eq!(served("`desk.example.com`"), "good: is the one in the file");
    assert_eq!(served("no name"), "good: is the one in the file");

    renew(house.folder.path(), "desk.example.com");
    let said = served("`desk.example.com`");
    assert!(said.starts_with("wrong: is another than the one in the file: serial "), "{said}");
    assert_eq!(served("no name"), "good: is the one in the file", "that one was not renewed");
    assert_eq!(house.run(&["doctor", "--config", "n.toml"]).code, 1);

    kill_process(Pid::from_child(&house.server), Signal::HUP).unwrap();
    for _ in 0..200 {
        if served("`desk.example.com`") == "good: is the one in the file" {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("{}", served("`desk.example.com`"));
}

/// A program that has nothing to do with us, on a port of its own choosing.
struct Stranger(Child, u16);

impl Stranger {
    fn start(folder: &Path) -> Stranger {
        let mut child = Command::new("python3")
            .args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1"])
            .current_dir(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.split("port ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        Stranger(child, port)
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_foreign_program_on_our_port_is_named_and_is_not_taken_for_us() {
    let folder = tempfile::tempdir().unwrap();
    let stranger = Stranger::start(folder.path());
    for (place, check, key) in [(0, "port", "`listen.gateway`"), (1, "port", "`listen.admin`")] {
        let mut ports = common::free_ports::<2>();
        ports[place] = stranger.1;
        let text = secured(folder.path(), &common::configuration(ports[0], ports[1]));
        fs::write(folder.path().join("n.toml"), text).unwrap();
        common::write_keys(folder.path());
        let said = common::nightlatch(folder.path(), &["doctor", "--config", "n.toml", "--json"]);
        assert_eq!(said.code, 1, "{}", said.err);
        let seen = result(&said, check, key);
        assert!(seen.starts_with(&format!("wrong: held by process {} (`python3", stranger.0.id())), "{seen}");
        let served = result(&said, "certificate.served", "");
        assert_eq!(served, "not_looked_at: no server runs with this data directory");
        // And the program itself says the same and does not start.
        let started = common::nightlatch(folder.path(), &["serve", "--config", "n.toml"]);
        assert_eq!(started.code, 3, "{}", started.err);
        assert!(started.err.contains("another program may have it"), "{}", started.err);
    }
}
