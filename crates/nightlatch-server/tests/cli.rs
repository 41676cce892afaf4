//! The command line as people and scripts meet it: the built program, a server it talks to, files it reads.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use common::{House, configuration, free_port, free_ports, nightlatch, write_keys};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
};

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
    let rows: [(&str, &[&str], i32, &str); 10] = [
        ("operator", &["session", "show", &id], 1, "no session has this id"),
        ("operator", &["session", "end", &id], 1, ""),
        ("operator", &["session", "end", "--subject", "nobody"], 1, ""),
        ("auditor", &["session", "end", &id], 3, "this needs `operator`"),
        ("operator", &["ledger", "tail"], 3, "this needs `auditor`"),
        ("auditor", &["ledger", "tail", "--after", "x:1"], 2, "the event to resume after"),
        ("auditor", &["ledger", "tail", "--what", "session_end"], 2, "`session_ended`"),
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
    assert!(said.code == 1 && said.err.contains("no checkpoint covers entry 999"), "{}", said.err);

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

/// What is wrong before anything runs is said, and nothing is written of a start that was none.
#[test]
fn a_start_that_fails_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    write_keys(folder.path());
    fs::write(folder.path().join("no.pem"), "none").unwrap();
    let tls = "tls = { cert = \"no.pem\", key = \"no.pem\" }\n[data]";
    let [one, another] = free_ports();
    let rows = [
        (configuration(one, port), "cannot listen on"),
        (configuration(port, one), "cannot listen on"),
        (configuration(one, another).replace("[data]", tls), "`cert` in `listen.tls`: `"),
    ];
    for (text, words) in rows {
        fs::write(folder.path().join("n.toml"), text).unwrap();
        let said = nightlatch(folder.path(), &["serve", "--config", "n.toml"]);
        assert!(said.code == 3 && said.err.contains(words), "{words}: {} {}", said.code, said.err);
        assert!(!folder.path().join("data").exists(), "{words}");
    }
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
    let said = check(&["--file-only"]);
    assert!(said.code == 0 && said.out.contains("were not read"), "{}{}", said.out, said.err);
    // What it points at is not there yet: the check says what `serve` says.
    let (said, served) = (check(&[]), nightlatch(folder.path(), &["serve", "--config", "n.toml"]));
    assert!(said.code == 3 && !said.out.contains("can be used"), "{}{}", said.out, said.err);
    assert_eq!((said.code, &said.err), (served.code, &served.err));
    for role in ["issuer", "operator", "auditor"] {
        assert!(said.err.contains(&format!("`{role}.key`")), "{}", said.err);
    }
    write_keys(folder.path());
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

/// It starts all the same, so it is a warning in both.
#[test]
fn a_secret_that_everybody_may_read_is_said_by_the_check_and_by_serve() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let text = configuration(taken.local_addr().unwrap().port(), free_port());
    fs::write(folder.path().join("n.toml"), text).unwrap();
    write_keys(folder.path());
    let run = |args: &[&str]| nightlatch(folder.path(), args);
    let check = ["config", "check", "n.toml"];
    let said = run(&check);
    assert!(said.code == 0 && !said.out.contains("open-secret"), "{}{}", said.out, said.err);
    fs::set_permissions(folder.path().join("operator.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let words =
        "warning[open-secret]: the secret of API key `the-operator`: `operator.key` is open to every user";
    let said = run(&check);
    assert!(said.code == 0 && said.out.contains(words), "{}{}", said.out, said.err);
    let found = run(&[&check[..], &["--json"]].concat()).json();
    assert_eq!(found["warnings"], 1, "{found}");
    assert!(!run(&[&check[..], &["--file-only"]].concat()).out.contains("open-secret"));
    let said = run(&["serve", "--config", "n.toml"]);
    assert!(said.code == 3 && said.err.contains(words), "{}", said.err);
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
        &["doctor"],
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
