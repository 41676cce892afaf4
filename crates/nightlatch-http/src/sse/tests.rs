use http::HeaderValue;
use proptest::prelude::*;

use super::*;

/// Pushes chunks; shows what each one lets out, and what is held at the end.
fn run(limit: usize, chunks: &[&str]) -> (Vec<String>, String) {
    let mut stream = EventStream::new(limit);
    let out = chunks.iter().map(|chunk| {
        let passed = stream.push(Bytes::from((*chunk).to_owned()));
        passed.pieces().map(|piece| String::from_utf8(piece.to_vec()).unwrap()).collect()
    });
    let out = out.collect();
    (out, String::from_utf8(stream.into_rest().to_vec()).unwrap())
}

#[test]
fn only_whole_events_pass() {
    for (chunks, expected, held) in [
        (&["data: 1\n\n"][..], &["data: 1\n\n"][..], ""),
        (&["data: 1\n\ndata: 2"], &["data: 1\n\n"], "data: 2"),
        (&["data: 1", "\n", "\n"], &["", "", "data: 1\n\n"], ""),
        (&["data: 1\n", "data: 2\n\nid"], &["", "data: 1\ndata: 2\n\n"], "id"),
        // line endings, mixed and torn
        (&["data: 1\r\n\r\n"], &["data: 1\r\n\r\n"], ""),
        (&["data: 1\r\r"], &["data: 1\r\r"], ""),
        (&["data: 1\n\r"], &["data: 1\n\r"], ""),
        (&["data: 1\r", "\n", "\r", "\n"], &["", "", "data: 1\r\n\r", "\n"], ""),
        (&["data: 1\r\n", "data: 2\r", "\ndata: 3"], &["", "", ""], "data: 1\r\ndata: 2\r\ndata: 3"),
        (&["data: 1\r\n\n"], &["data: 1\r\n\n"], ""),
        // comments
        (&[": hi\n"], &[": hi\n"], ""),
        (&[":", "\r", "\n"], &["", ":\r", "\n"], ""),
        (&[": a\n: b\n: c"], &[": a\n: b\n"], ": c"),
        (&["data: 1\n: hi\n"], &[""], "data: 1\n: hi\n"),
        (&["data: 1\n: hi\n\n"], &["data: 1\n: hi\n\n"], ""),
        // blank lines alone
        (&["\n\n", "\r\n"], &["\n\n", "\r\n"], ""),
        // the byte order mark is no line
        (&["\u{feff}\n"], &["\u{feff}\n"], ""),
        (&["\u{feff}: hi\n"], &["\u{feff}: hi\n"], ""),
        (&["\u{feff}data: 1\n"], &[""], "\u{feff}data: 1\n"),
        (&["\n\u{feff}\n"], &["\n"], "\u{feff}\n"),
        (&["\u{fec0}\n"], &[""], "\u{fec0}\n"),
        (&["", ""], &["", ""], ""),
    ] {
        let (out, rest) = run(HELD_BYTES_MAX, chunks);
        assert_eq!(
            (out.iter().map(String::as_str).collect::<Vec<_>>(), &*rest),
            (expected.to_vec(), held),
            "{chunks:?}"
        );
    }
}

#[test]
fn an_oversized_event_passes_and_cannot_be_ended() {
    let mut stream = EventStream::new(8);
    let mut push = |text: &str| {
        let passed = stream.push(Bytes::from(text.to_owned()));
        let oversized = passed.oversized;
        (
            passed.pieces().map(|piece| piece.to_vec()).collect::<Vec<_>>().concat(),
            oversized,
            stream.can_end(),
        )
    };
    let row = |out: &str, oversized, can_end| (out.as_bytes().to_vec(), oversized, can_end);
    assert_eq!(push("data: 1\n"), row("", false, true), "exactly the limit is held");
    assert_eq!(push("x"), row("data: 1\nx", true, false));
    assert_eq!(push("y"), row("y", true, false));
    assert_eq!(push("\n\nda"), row("\n\n", true, true), "the event is over, the next one is held");
    assert_eq!(push("ta\n\n"), row("data\n\n", false, true));
    assert_eq!(push("a\n\n0123456789"), row("a\n\n0123456789", true, false));
    assert_eq!(push("\n\n"), row("\n\n", true, true));
}

#[test]
fn whole_events_are_not_copied() {
    let chunk = Bytes::from_static(b"data: 1\n\ndata: 2\n\n");
    let passed = EventStream::default().push(chunk.clone());
    assert_eq!(passed.chunk.as_ptr(), chunk.as_ptr());
}

#[test]
fn the_final_event() {
    assert_eq!(final_event(EndReason::IdleTimeout), "event: nightlatch-ended\ndata: idle_timeout\n\n");
    for reason in EndReason::ALL {
        let mut stream = EventStream::default();
        assert_eq!(stream.push(final_event(reason)).chunk, final_event(reason), "a whole event");
    }
}

#[test]
fn which_responses() {
    for (content_type, encoding, expected) in [
        (Some("text/event-stream"), None, true),
        (Some("Text/Event-Stream ; charset=utf-8"), None, true),
        (Some("text/event-stream"), Some("identity"), true),
        (Some("text/event-stream"), Some("gzip"), false),
        (Some("text/event-streams"), None, false),
        (Some("text/html"), None, false),
        (None, None, false),
    ] {
        let mut headers = HeaderMap::new();
        headers.extend(content_type.map(|value| (CONTENT_TYPE, HeaderValue::from_static(value))));
        headers.extend(encoding.map(|value| (CONTENT_ENCODING, HeaderValue::from_static(value))));
        assert_eq!(is_event_stream(&headers), expected, "{content_type:?} {encoding:?}");
    }
}

/// The same rule, naively: everything up to the last place where the lines so far leave no event open.
fn naive_boundary(stream: &[u8]) -> usize {
    let mark = if stream.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let (mut at, mut start, mut in_event, mut boundary) = (mark, mark, false, 0);
    while at < stream.len() {
        let ending = match (stream[at], stream.get(at + 1)) {
            (b'\r', Some(b'\n')) => 2,
            (b'\r' | b'\n', _) => 1,
            _ => 0,
        };
        if ending > 0 {
            in_event = match stream[start..at].first() {
                None => false,
                Some(b':') => in_event,
                Some(_) => true,
            };
            start = at + ending;
            boundary = if in_event { boundary } else { start };
        }
        at += ending.max(1);
    }
    boundary
}

proptest! {
    /// Whatever the splits: nothing is lost or changed, and what is out is what the naive reading says is complete.
    #[test]
    fn splits_make_no_difference(
        stream in "(\u{feff})?([:a]|\r|\n|\r\n|\u{feff}){0,40}",
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
    ) {
        let bytes = Bytes::from(stream.into_bytes());
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).chain([0, bytes.len()]).collect();
        places.sort_unstable();
        let mut events = EventStream::default();
        let mut out = Vec::new();
        for place in places.windows(2) {
            events.push(bytes.slice(place[0]..place[1])).pieces().for_each(|piece| out.extend_from_slice(&piece));
            prop_assert_eq!(out.len(), naive_boundary(&bytes[..place[1]]), "after {} bytes", place[1]);
        }
        prop_assert!(events.can_end());
        out.extend_from_slice(&events.into_rest());
        prop_assert_eq!(out, bytes);
    }

    /// With any limit, what is out is a prefix of what came in, and when it can end it ends between events.
    #[test]
    fn limits_lose_nothing(chunks in prop::collection::vec("([:a]|\r|\n){0,8}", 0..12), limit in 0..10_usize) {
        let mut events = EventStream::new(limit);
        let (mut came, mut out) = (Vec::new(), Vec::new());
        for chunk in chunks {
            came.extend_from_slice(chunk.as_bytes());
            events.push(Bytes::from(chunk)).pieces().for_each(|piece| out.extend_from_slice(&piece));
            prop_assert!(came.starts_with(&out));
            prop_assert!(came.len() - out.len() <= limit);
            prop_assert!(!events.can_end() || naive_boundary(&out) == out.len());
        }
        out.extend_from_slice(&events.into_rest());
        prop_assert_eq!(out, came);
    }

    #[test]
    fn noise_never_panics(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..10)) {
        let mut events = EventStream::new(16);
        for chunk in chunks {
            let _ = events.push(Bytes::from(chunk));
        }
    }
}
