//! Who a load balancer says a connection is from, where it may say so.

#![allow(clippy::unwrap_used, reason = "helpers fail the test they serve")]

mod common;

use common::{Client, Closed, Making, Site, recording};
use nightlatch_http::{Door, Limits, Listener, Settings};
use std::time::Duration;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
};

/// A site with one more door, on which connections say whose they are; and what the application sees.
async fn site(trusted: &[&str], limits: Limits) -> (Site, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let (upstream, noted) = recording(|_| common::OK.to_owned()).await;
    let trusted_proxies = trusted.iter().map(|net| net.parse().unwrap()).collect();
    let settings = Settings { trusted_proxies, limits, ..Settings::default() };
    (Site::made(Making { settings, ..Making::new(upstream) }).await, noted)
}

async fn door(site: &Site) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    site.open_door(Door::new(Listener::Tcp(listener), None).proxied(true));
    TcpStream::connect(address).await.unwrap()
}

#[tokio::test]
async fn a_trusted_proxy_is_believed_and_the_request_behind_the_header_is_whole() {
    let (site, mut noted) = site(&["127.0.0.1/32"], Limits::default()).await;
    let token = site.sign_in("ada").await;
    let v2 =
        [b"\r\n\r\n\0\r\nQUIT\n".as_slice(), &[0x21, 0x11, 0, 12, 192, 0, 2, 7, 10, 0, 0, 1, 1, 2, 3, 4]]
            .concat();
    for header in [b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n".as_slice(), &v2] {
        let mut client = Client(door(&site).await);
        // In two pieces, cut inside.
        client.0.write_all(&header[..9]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(30)).await;
        client.0.write_all(&header[9..]).await.unwrap();
        client.get("/", &token, "X-Forwarded-For: 10.9.9.9\n").await;
        assert!(client.answer().await.ends_with("ok"));
        let request = noted.recv().await.unwrap();
        assert!(request.contains("x-forwarded-for: 192.0.2.7\r\n"), "{request}");
    }
}

#[tokio::test]
async fn nobody_may_leave_it_out_take_long_or_say_it_without_being_trusted() {
    let limits = Limits { handshake_within: Duration::from_millis(200), ..Limits::default() };
    let line = "PROXY TCP4 192.0.2.7 10.0.0.1 1 2\n";
    let get = "GET /_nightlatch/session HTTP/1.1\nHost: desk\n\n";
    for (trusted, sent) in [
        ("127.0.0.1/32", get.to_owned()),
        ("127.0.0.1/32", "PROXY ".to_owned()),
        ("10.0.0.0/8", format!("{line}{get}")),
    ] {
        let (site, _noted) = site(&[trusted], limits).await;
        let mut client = Client(door(&site).await);
        client.send(&sent).await;
        let (seen, closed) = client.rest().await;
        assert!(seen.is_empty() && matches!(closed, Closed::Fin | Closed::Reset), "{trusted} {sent}");
    }
}

#[tokio::test]
async fn a_unix_socket_is_this_machine() {
    let folder = tempfile::tempdir().unwrap();
    for (trusted, expected) in [("10.0.0.0/8", "127.0.0.1"), ("127.0.0.1/32", "192.0.2.9")] {
        let (site, mut noted) = site(&[trusted], Limits::default()).await;
        let token = site.sign_in("ada").await;
        let path = folder.path().join(expected);
        site.open_door(Door::new(Listener::Unix(UnixListener::bind(&path).unwrap()), None));
        let mut client = Client(UnixStream::connect(&path).await.unwrap());
        client.get("/", &token, "X-Forwarded-For: 192.0.2.9\n").await;
        assert!(client.answer().await.ends_with("ok"));
        let request = noted.recv().await.unwrap();
        assert!(request.contains(&format!("x-forwarded-for: {expected}")), "{request}");
    }
}
