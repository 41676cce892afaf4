//! Each listener answers what is its own and nothing else, in the program as it is built.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use common::{House, secret};
use serde_json::Value;
use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    thread,
};

/// An application that says of each request that it got it.
fn application() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 8192]);
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 11\r\n\r\napplication");
        }
    });
    port
}

/// The whole answer to a request with the operator's key.
fn ask(address: &str, method: &str, path: &str, host: &str) -> String {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
        secret("operator")
    );
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn what_the_admin_listener_serves_is_never_answered_on_the_gateway_nor_the_other_way_round() {
    let port = application();
    let house = House::changed(|text| {
        let upstream = "upstream = \"http://127.0.0.1:3000\"";
        assert!(text.contains(upstream));
        text.replace(
            upstream,
            &format!("upstream = \"http://127.0.0.1:{port}\"\npublic = [\"GET /**\", \"PUT /**\", \"POST /**\", \"DELETE /**\"]"),
        )
    });
    let admin = house.admin.strip_prefix("http://").unwrap();
    let document = ask(admin, "GET", "/openapi.json", admin);
    let document: Value = serde_json::from_str(document.split_once("\r\n\r\n").unwrap().1).unwrap();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() > 15, "{paths:?}");
    for (path, methods) in paths {
        let path = path.replace(['{', '}'], "");
        for method in methods.as_object().unwrap().keys().map(|method| method.to_uppercase()) {
            // Where an application has the path it is the application's; where none has the host, nobody's.
            let answer = ask(&house.gateway, &method, &path, "desk.example.com");
            assert!(answer.ends_with("\r\n\r\napplication"), "{method} {path}: {answer}");
            for host in [admin, "localhost", &house.gateway] {
                let answer = ask(&house.gateway, &method, &path, host);
                assert!(answer.starts_with("HTTP/1.1 421 "), "{method} {path} at {host}: {answer}");
            }
            let below = format!("/_nightlatch{path}");
            let answer = ask(&house.gateway, &method, &below, "desk.example.com");
            assert!(answer.starts_with("HTTP/1.1 404 "), "{method} {below}: {answer}");
        }
    }
    for path in ["login", "logout", "session", "activity", "sign-in", "guard.js", "events", ""] {
        let path = format!("/_nightlatch/{path}");
        assert!(!ask(&house.gateway, "GET", &path, "desk.example.com").ends_with("application"), "{path}");
        let answer = ask(admin, "GET", &path, admin);
        assert!(answer.starts_with("HTTP/1.1 404 "), "{path}: {answer}");
    }
    // The server's own paths at the same time are where they belong.
    assert!(ask(admin, "GET", "/livez", admin).starts_with("HTTP/1.1 200 "));
}
