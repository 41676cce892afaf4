//! An application that is down, under load: everybody is answered, every failure is counted, and the log can still be read.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use common::{House, free_port};
use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
};

/// The whole answer to a request.
fn ask(address: &str, host: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_flood_of_failures_is_a_line_and_a_number() {
    let nobody = free_port();
    let house = House::changed(|text| {
        let upstream = "upstream = \"http://127.0.0.1:3000\"";
        assert!(text.contains(upstream));
        text.replace(upstream, &format!("upstream = \"http://127.0.0.1:{nobody}\"\npublic = [\"GET /**\"]"))
    });
    for _ in 0..200 {
        let answer = ask(&house.gateway, "desk.example.com", "/prices");
        assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    }
    let metrics = ask(house.admin.strip_prefix("http://").unwrap(), "localhost", "/metrics");
    let counted = "nightlatch_upstream_failures_total{app=\"blotter\",kind=\"connection_refused\"} 200\n";
    assert!(metrics.contains(counted), "{metrics}");
    assert!(metrics.contains("nightlatch_clients_cut_off_total{limit=\"body\"} 0\n"), "{metrics}");
    let log = fs::read_to_string(house.path("log")).unwrap();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("gave no answer")).collect();
    // The second comes ten seconds after the first, on a machine as slow as that.
    assert!((1..=2).contains(&lines.len()), "{lines:#?}");
    assert!(lines[0].contains("connection_refused") && lines[0].contains("blotter"), "{lines:#?}");
}
