use proptest::prelude::*;

use super::*;

fn read(raw: &str) -> String {
    match CanonicalPath::parse(raw.as_bytes()) {
        Ok(path) => path.as_str().to_owned(),
        Err(refusal) => format!("{refusal:?}"),
    }
}

#[test]
fn rows() {
    for (raw, expected) in [
        // plain
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a/b/", "/a/b/"),
        ("", "NotOriginForm"),
        ("a", "NotOriginForm"),
        ("*", "NotOriginForm"),
        ("http://desk.example.com/", "NotOriginForm"),
        // encoding comes off once, and goes back on in one way
        ("/%61%7e", "/a~"),
        ("/%e4%BD%a0", "/%E4%BD%A0"),
        ("/\u{4f60}", "/%E4%BD%A0"),
        ("/a%20b", "/a%20b"),
        ("/a b", "ControlCharacter"),
        ("/[slug]|\"<>^`{}", "/%5Bslug%5D%7C%22%3C%3E%5E%60%7B%7D"),
        ("/a%2Bb+c%40d:e", "/a+b+c@d:e"),
        ("/%3Fx=1%23y", "/%3Fx=1%23y"),
        ("/a?b", "StrayDelimiter"),
        ("/a#b", "StrayDelimiter"),
        // malformed
        ("/%", "MalformedPercent"),
        ("/%4", "MalformedPercent"),
        ("/%4/1", "MalformedPercent"),
        ("/%zz", "MalformedPercent"),
        ("/%+1", "MalformedPercent"),
        ("/%u002f", "MalformedPercent"),
        // hidden separators
        ("/a%2fb", "EncodedSeparator"),
        ("/a%5Cb", "EncodedSeparator"),
        ("/a\\b", "Backslash"),
        ("/a/..%2f..%2fadmin", "EncodedSeparator"),
        ("/%c0%af", "NotUtf8"),
        ("/%e0%80%af", "NotUtf8"),
        ("/caf%e9", "NotUtf8"),
        ("/%ff", "NotUtf8"),
        // control characters
        ("/a%00", "ControlCharacter"),
        ("/a%0d%0aX-Nightlatch-Subject:x", "ControlCharacter"),
        ("/a\tb", "ControlCharacter"),
        ("/%7f", "ControlCharacter"),
        ("/%c2%85", "ControlCharacter"),
        // encoded twice
        ("/%2561", "DoubleEncoding"),
        ("/%252e%252e/admin", "DoubleEncoding"),
        ("/%25%32%66", "DoubleEncoding"),
        ("/%%32%66", "MalformedPercent"),
        ("/%25u002f", "DoubleEncoding"),
        ("/100%25", "/100%25"),
        ("/100%25zz", "/100%25zz"),
        ("/100%25/41", "/100%25/41"),
        // slashes and dots
        ("//", "/"),
        ("//evil.example/x", "/evil.example/x"),
        ("/a//b///c//", "/a/b/c/"),
        ("/.", "/"),
        ("/./a/./b/.", "/a/b/"),
        ("/a/../b", "/b"),
        ("/a/b/..", "/a/"),
        ("/a/..", "/"),
        ("/a/%2e%2E/b", "/b"),
        ("/a/.%2e/b", "/b"),
        ("/a//../b", "/b"),
        ("/..", "ClimbsAboveRoot"),
        ("/%2e%2e/", "ClimbsAboveRoot"),
        ("/a/../../b", "ClimbsAboveRoot"),
        ("/.well-known/x", "/.well-known/x"),
        ("/a/b..c/..d", "/a/b..c/..d"),
        ("/compare/v1...v2", "/compare/v1...v2"),
        ("/a/...", "AmbiguousSegment"),
        ("/a/..%20/b", "AmbiguousSegment"),
        ("/a/%20", "AmbiguousSegment"),
        ("/a/..%c2%a0", "AmbiguousSegment"),
        // parameters
        ("/assets/..;/admin", "AmbiguousSegment"),
        ("/assets/.;x/admin", "AmbiguousSegment"),
        ("/assets/..;a=b/admin", "AmbiguousSegment"),
        ("/assets/..%3B/admin", "AmbiguousSegment"),
        ("/assets/%2e%2e;/admin", "AmbiguousSegment"),
        ("/;/admin", "AmbiguousSegment"),
        ("/;x=1/admin", "AmbiguousSegment"),
        ("/orders;v=1/5", "/orders;v=1/5"),
        ("/files/a%3bb", "/files/a%3Bb"),
    ] {
        assert_eq!(read(raw), expected, "{raw}");
    }
}

#[test]
fn length_is_bounded_before_and_after() {
    let exact = format!("/{}", "a".repeat(PATH_BYTES_MAX - 1));
    assert_eq!(read(&exact), exact);
    assert_eq!(read(&format!("{exact}a")), "TooLong");
    assert_eq!(read(&format!("/{}", "|".repeat(PATH_BYTES_MAX / 2))), "TooLong");
}

#[test]
fn names_end_at_parameters() {
    for (segment, name) in
        [("orders", "orders"), ("orders;v=1", "orders"), ("a%3Bb;c", "a"), ("a;b%3Bc", "a"), ("", "")]
    {
        assert_eq!(segment_name(segment), name);
    }
}

#[test]
fn query_is_untouched() {
    let path = CanonicalPath::parse(b"/a//b").unwrap();
    for (query, expected) in
        [(None, "/a/b"), (Some(""), "/a/b?"), (Some("x=%2f..//&y=?%zz"), "/a/b?x=%2f..//&y=?%zz")]
    {
        assert_eq!(path.forwarded(query).unwrap().as_str(), expected);
    }
    assert_eq!(path.forwarded(Some("a#b")), Err(PathRefusal::StrayDelimiter));
    assert_eq!(path.forwarded(Some("a\u{0}b")), Err(PathRefusal::StrayDelimiter));
}

/// Path text made of the pieces that trouble comes in.
fn troublesome() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        "[a-z]{1,3}",
        "%[0-9a-fA-F]{2}",
        prop::sample::select(vec![
            "/", "//", ".", "..", ";", "%", "%25", "%2e", "%2f", "%3b", "%c3%a9", "\u{e9}", "+", "|", "\\",
            "%00",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| format!("/{}", pieces.concat()).into_bytes())
}

proptest! {
    #[test]
    fn a_word_is_read_as_if_it_were_spelled_out(word in "[a-zA-Z0-9_~.-]{1,8}") {
        let spelled: String = word.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let [word, spelled] = [word, spelled].map(|text| CanonicalPath::parse(format!("/{text}").as_bytes()));
        prop_assert_eq!(word, spelled);
    }

    #[test]
    fn canonical_again_changes_nothing(raw in prop_oneof![troublesome(), prop::collection::vec(any::<u8>(), 0..64)]) {
        if let Ok(once) = CanonicalPath::parse(&raw) {
            let twice = CanonicalPath::parse(once.as_str().as_bytes());
            prop_assert_eq!(twice.as_ref(), Ok(&once));
            prop_assert!(once.as_str().starts_with('/') && !once.as_str().contains("//"));
            prop_assert!(once.segments().all(|segment| segment != "." && segment != ".."));
            prop_assert_eq!(once.forwarded(None).map(|target| target.as_str().to_owned()), Ok(once.to_string()));
        }
    }
}
