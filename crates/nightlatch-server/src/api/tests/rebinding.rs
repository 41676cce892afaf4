//! What a page on the internet can make a browser in the firm send here, once its own name points to this address ("DNS rebinding"), and
//! what only programs can: byte by byte over a socket.

use super::{House, secret};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Sends a request with this target, version and fields, and gives the status.
async fn status(house: &House, target: &str, version: &str, hosts: &[&str]) -> String {
    let hosts: String = hosts.iter().map(|host| format!("Host: {host}\r\n")).collect();
    let request = format!(
        "GET {target} HTTP/{version}\r\n{hosts}Authorization: Bearer {}\r\nConnection: close\r\n\r\n",
        secret("auditor")
    );
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    if answer.starts_with("HTTP/1.1 421") || answer.starts_with("HTTP/1.0 421") {
        assert!(answer.contains("urn:nightlatch:problem:wrong-host"), "{answer}");
    }
    answer.split(' ').nth(1).unwrap_or("closed").to_owned()
}

#[tokio::test]
async fn only_who_means_this_listener_is_answered() {
    let house = House::new().await;
    let port = house.address.port();
    let rows = [
        ("its own name", vec![format!("evil.example")], "421"),
        ("its own name, with our port", vec![format!("evil.example:{port}")], "421"),
        ("a name below ours", vec![format!("localhost.evil.example:{port}")], "421"),
        ("our address as a name", vec![format!("127.0.0.1.evil.example:{port}")], "421"),
        ("a user before a host", vec![format!("evil.example@localhost:{port}")], "421"),
        ("the address that means all", vec![format!("0.0.0.0:{port}")], "421"),
        ("the address that means all, of IPv6", vec![format!("[::]:{port}")], "421"),
        ("our address as a number", vec![format!("2130706433:{port}")], "421"),
        ("our address in octal", vec![format!("0177.0.0.1:{port}")], "421"),
        ("somebody else's address", vec![format!("192.0.2.1:{port}")], "421"),
        ("an address with a zone", vec![format!("[fe80::1%25lo]:{port}")], "421"),
        ("nothing", vec![String::new()], "421"),
        ("no host", vec![], "421"),
        ("two hosts", vec!["localhost".into(), "evil.example".into()], "421"),
        ("two hosts, the same", vec!["localhost".into(), "localhost".into()], "421"),
        ("a list of hosts", vec!["localhost, evil.example".into()], "421"),
        ("a name with the dot of the root", vec![format!("localhost.:{port}")], "421"),
        ("localhost", vec![format!("localhost:{port}")], "200"),
        ("localhost, loud", vec![format!("LOCALHOST:{port}")], "200"),
        ("localhost behind a tunnel, at another port", vec!["localhost:9999".into()], "200"),
        ("the address", vec![house.address.to_string()], "200"),
        ("another loopback address", vec![format!("127.0.0.2:{port}")], "200"),
        ("the loopback address of IPv6", vec![format!("[::1]:{port}")], "200"),
        ("the address of IPv4 in one of IPv6", vec![format!("[::ffff:127.0.0.1]:{port}")], "200"),
    ];
    for (what, hosts, expected) in rows {
        let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
        for target in ["/v1/sessions", "/metrics", "/nothing"] {
            let expected = if expected == "200" && target == "/nothing" { "404" } else { expected };
            assert_eq!(status(&house, target, "1.1", &hosts).await, expected, "{what}: {target} {hosts:?}");
        }
    }
}

#[tokio::test]
async fn a_target_that_names_a_host_must_name_ours_too() {
    let house = House::new().await;
    let rows = [
        ("http://evil.example/v1/sessions", "1.1", Some("localhost"), "421"),
        ("http://evil.example/v1/sessions", "1.0", None, "421"),
        ("http://localhost/v1/sessions", "1.1", Some("evil.example"), "421"),
        ("http://localhost@evil.example/v1/sessions", "1.1", Some("localhost"), "421"),
        ("http://localhost/v1/sessions", "1.1", Some("localhost"), "200"),
        ("http://LocalHost:1/v1/sessions", "1.0", None, "200"),
        // A probe of the simplest kind; a browser speaks no HTTP/1.0.
        ("/readyz", "1.0", None, "200"),
        ("/readyz", "1.0", Some("evil.example"), "421"),
    ];
    for (target, version, host, expected) in rows {
        let hosts: Vec<&str> = host.into_iter().collect();
        assert_eq!(status(&house, target, version, &hosts).await, expected, "{target} {version} {host:?}");
    }
}
