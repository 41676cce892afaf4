//! Following the ledger.

use super::House;
use axum::body::Body;
use futures_util::{StreamExt as _, stream::BoxStream};
use serde_json::Value;
use std::time::Duration;

/// Events of a stream as they come: id, name, data.
struct Events {
    bytes: BoxStream<'static, String>,
    text: String,
}

impl Events {
    async fn open(house: &House, path: &str, last_event_id: Option<&str>) -> Events {
        let mut request = house.request("GET", path, "auditor", "");
        if let Some(id) = last_event_id {
            request.headers_mut().insert("last-event-id", id.parse().unwrap());
        }
        let response = house.open(request).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let bytes = Body::into_data_stream(response.into_body());
        let text = bytes.map(|bytes| String::from_utf8(bytes.unwrap().to_vec()).unwrap());
        Events { bytes: text.boxed(), text: String::new() }
    }

    /// The next event, or `None` at the end of the stream.
    async fn next(&mut self) -> Option<(String, String, Value)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field =
                    |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
                let found = (field("id: "), field("event: "), field("data: "));
                self.text = rest.to_owned();
                if let (Some(id), Some(name), Some(data)) = found {
                    return Some((id, name, serde_json::from_str(&data).unwrap()));
                }
                continue;
            }
            let next = tokio::time::timeout(Duration::from_secs(20), self.bytes.next());
            self.text.push_str(&next.await.expect("an event in time")?);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_taken_up_behind_the_last_event_and_misses_nothing() {
    let house = House::new().await;
    let node = house.engine().node().to_owned();
    let mut first = Events::open(&house, "/v1/events?from=0", None).await;
    let (id, name, _) = first.next().await.unwrap();
    assert_eq!((id, name.as_str()), (format!("{node}:0"), "started"));
    let (session, _) = house.start("ada").await;
    let (id, name, data) = first.next().await.unwrap();
    assert_eq!((id.as_str(), name.as_str()), (format!("{node}:1").as_str(), "session_started"));
    assert_eq!(data["session"], *session);
    drop(first);

    house.start("bob").await;
    house.ask("DELETE", &format!("/v1/sessions/{session}"), "operator", "").await;
    for (path, header) in
        [("/v1/events".to_owned(), Some(id.as_str())), (format!("/v1/events?after={id}"), None)]
    {
        let mut again = Events::open(&house, &path, header).await;
        let names = [again.next().await.unwrap().1, again.next().await.unwrap().1];
        assert_eq!(names, ["session_started", "session_ended"]);
    }
    // The header goes before what stands in the address, because it is what the browser had last.
    let mut again = Events::open(&house, "/v1/events?after=nonsense", Some(&format!("{node}:2"))).await;
    assert_eq!(again.next().await.unwrap().1, "session_ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_shows_what_is_wanted_and_without_a_place_only_what_is_new() {
    let house = House::new().await;
    let (old, _) = house.start("ada").await;
    let mut ends = Events::open(&house, "/v1/events?what=session_ended", None).await;
    let (other, _) = house.start("bob").await;
    let mut about = Events::open(&house, &format!("/v1/events?from=0&session={other}"), None).await;
    for id in [&old, &other] {
        house.ask("DELETE", &format!("/v1/sessions/{id}"), "operator", "").await;
    }
    assert_eq!(ends.next().await.unwrap().2["session"], *old);
    assert_eq!(ends.next().await.unwrap().2["session"], *other);
    assert_eq!(about.next().await.unwrap().1, "session_started");
    assert_eq!(about.next().await.unwrap().1, "session_ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_name_of_a_person_is_in_a_stream() {
    let house = House::new().await;
    house.start("ada-lovelace").await;
    let mut events = Events::open(&house, "/v1/events?from=0", None).await;
    for _ in 0..2 {
        assert!(!events.next().await.unwrap().2.to_string().contains("lovelace"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_is_not_of_this_ledger_is_refused() {
    let house = House::new().await;
    let node = house.engine().node().to_owned();
    let rows = [
        "",
        "7",
        "n00000000:0",
        &format!("{node}:"),
        &format!("{node}:1"),
        &format!("{node}:00"),
        &format!("{node}:+0"),
        "a:b:c",
    ];
    for id in rows {
        let mut request = house.request("GET", "/v1/events", "auditor", "");
        request.headers_mut().insert("last-event-id", id.parse().unwrap());
        let answer = house.send(request).await;
        assert_eq!((answer.status, answer.problem().as_str()), (400, "bad-last-event-id"), "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_holds_up_nobody_and_gets_everything_later() {
    let house = House::new().await;
    let mut slow = Events::open(&house, "/v1/events?from=0", None).await;
    for number in 0..600 {
        house.start(&format!("user-{}", number % 5)).await;
    }
    let mut seen = 0;
    while seen < 601 {
        let (id, ..) = slow.next().await.unwrap();
        assert_eq!(id.rsplit_once(':').unwrap().1, seen.to_string());
        seen += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_so_many_streams_are_open_at_once_and_a_place_is_free_again_after() {
    let house = House::new().await;
    let mut open = Vec::new();
    for _ in 0..64 {
        open.push(Events::open(&house, "/v1/events", None).await);
    }
    let answer = house.get("/v1/events", "auditor").await;
    assert_eq!((answer.status, answer.problem().as_str()), (503, "too-many-streams"));
    assert_eq!(answer.headers["retry-after"], "1");
    open.clear();
    for _ in 0..200 {
        let response = house.open(house.request("GET", "/v1/events", "auditor", "")).await;
        if response.status() == 200 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no place came free");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_when_the_program_stops() {
    let house = House::new().await;
    let mut events = Events::open(&house, "/v1/events", None).await;
    house.stop.send(true).unwrap();
    assert!(events.next().await.is_none());
}
