//! A few clients with many requests: what they take of the connections to applications, and what is left for others.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers fail the test they serve"
)]

mod common;

use common::{
    Making, OK, Site,
    http2::{Asked, Line, application, post, tls},
    read_head, write,
};
use http::Response;
use nightlatch_http::{AppSettings, Door, Http2, Limits, Listener, Protocol, Settings, route::RoutePattern};
use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpSocket},
    time::sleep,
};

/// Nobody needs to be signed in, nor to send anything: a request whose body is still to come has its connection to the application.
#[tokio::test]
async fn streams_of_one_address_leave_descriptors_and_connections_for_others() {
    let open = Arc::<AtomicUsize>::default();
    let counts = Arc::clone(&open);
    let app = common::application(move |mut connection| {
        let counts = Arc::clone(&counts);
        async move {
            counts.fetch_add(1, SeqCst);
            if read_head(&mut connection).await.starts_with("GET") {
                write(&mut connection, OK).await;
            }
            let _ = connection.read_to_end(&mut Vec::new()).await;
            counts.fetch_sub(1, SeqCst);
        }
    })
    .await;
    let limits = Limits {
        connections: 16,
        connections_per_address: 8,
        idle_upstream_connections: 0,
        connect_within: Duration::from_millis(300),
        http2: Http2 { streams: 8, ..Http2::default() },
        ..Limits::default()
    };
    let (acceptor, connector) = tls();
    let public = ["POST /upload", "GET /page"].map(|route| RoutePattern::parse(route).unwrap());
    let making = Making {
        app: AppSettings { public: public.into(), ..AppSettings::default() },
        settings: Settings { limits, ..Settings::default() },
        tls: Some(acceptor),
        ..Making::new(app)
    };
    let site = Site::made(making).await;
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = plain.local_addr().unwrap();
    site.open_door(Door::new(Listener::Tcp(plain), None));

    let mut lines = Vec::new();
    let mut asked = Vec::new();
    for _ in 0..5 {
        let mut line = Line::open(&connector, site.address, &h2::client::Builder::new()).await;
        for _ in 0..8 {
            line.send = line.send.clone().ready().await.unwrap();
            asked.push(line.ask(post("/upload"), None, true));
        }
        lines.push(line);
    }
    sleep(Duration::from_millis(150)).await;
    assert_eq!(open.load(SeqCst), 8, "its share");
    // From elsewhere, and over HTTP/1 from the same address, whoever asks is served meanwhile.
    for source in ["127.0.0.2:0", "127.0.0.1:0"] {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(source.parse().unwrap()).unwrap();
        let mut client = common::Client(socket.connect(address).await.unwrap());
        client.send("GET /page HTTP/1.1\nHost: desk\n\n").await;
        assert!(client.answer().await.starts_with("HTTP/1.1 200"), "{source}");
    }
    // Who waited long enough for a place is told so; who has one goes on.
    let (mut refused, mut open_still) = (0, Vec::new());
    for (answering, body) in asked {
        match tokio::time::timeout(Duration::from_millis(500), answering.head()).await {
            Ok(answer) => {
                assert_eq!(answer.unwrap().status(), 503);
                refused += 1;
            }
            Err(_) => open_still.push(body),
        }
    }
    assert_eq!((refused, open_still.len()), (32, 8));
    drop((lines, open_still));
    while open.load(SeqCst) > 0 {
        sleep(Duration::from_millis(5)).await;
    }
}

/// A connection to an application of HTTP/2 carries one session, so somebody with many sessions needs many.
#[tokio::test]
async fn sessions_of_one_address_leave_connections_to_an_application_of_http2_for_others() {
    let asked = Arc::<Mutex<HashSet<usize>>>::default();
    let counts = Arc::clone(&asked);
    let app = application(move |Asked { connection, request, mut respond }| {
        counts.lock().unwrap().insert(connection);
        async move {
            if request.uri().path() == "/wait" {
                std::future::pending::<()>().await;
            }
            let _ = respond.send_response(Response::new(()), true);
        }
    })
    .await;
    let limits = Limits {
        connections: 16,
        connections_per_address: 4,
        connect_within: Duration::from_millis(300),
        http2: Http2 { streams: 4, ..Http2::default() },
        ..Limits::default()
    };
    let (acceptor, connector) = tls();
    let making = Making {
        app: AppSettings { protocol: Protocol::Http2, ..AppSettings::default() },
        settings: Settings { limits, ..Settings::default() },
        tls: Some(acceptor),
        ..Making::new(app)
    };
    let site = Site::made(making).await;
    let mut lines = Vec::new();
    let mut waiting = Vec::new();
    for number in 0..8 {
        if number % 4 == 0 {
            lines.push(Line::open(&connector, site.address, &h2::client::Builder::new()).await);
        }
        let token = site.sign_in(&format!("trader-{number}")).await;
        waiting.push(lines.last_mut().unwrap().get("/wait", &token));
    }
    // Who waited long enough for a place is told so; who has one goes on.
    let mut refused = 0;
    for answering in waiting {
        if let Ok(answer) = tokio::time::timeout(Duration::from_millis(500), answering.head()).await {
            assert_eq!(answer.unwrap().status(), 503);
            refused += 1;
        }
    }
    assert_eq!((refused, asked.lock().unwrap().len()), (4, 4), "its share");
    // Whoever asks from elsewhere is served.
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = plain.local_addr().unwrap();
    site.open_door(Door::new(Listener::Tcp(plain), None));
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut client = common::Client(socket.connect(address).await.unwrap());
    client.get("/page", &site.sign_in("somebody").await, "").await;
    assert!(client.until("\r\n\r\n").await.starts_with("HTTP/1.1 200"));
}
