//! What must hold for every page: escaped, well-formed, within its policy, legible.

use super::*;
use nightlatch_core::{DeadlineReason, EndReason, SessionId, Span, Time};
use std::collections::BTreeMap;

const HOSTILE: &str = "\"'><script>alert(1)</script>&<img src=x>";

fn notice(reason: EndReason) -> Notice {
    Notice::new(reason, Span::from_secs(900), Span::from_secs(43_200), Some(SessionId([0x3b; 16])))
}

fn user(text: &str) -> DemoUser {
    DemoUser { name: text.to_owned(), display: text.to_owned(), note: text.to_owned() }
}

/// Every kind of page, with `text` wherever text from outside can stand.
fn pages(text: &str) -> Vec<Page> {
    let users = [user(text), DemoUser { note: String::new(), ..user("plain") }];
    let mut pages = vec![sign_in_elsewhere(None)];
    for notice in EndReason::ALL.map(notice).into_iter().map(Some).chain([None]) {
        pages.push(sign_in_elsewhere(notice.as_ref()));
        for users in [&users[..], &[]] {
            pages.push(sign_in(&SignIn { notice: notice.clone(), users, return_to: text, action: text }));
        }
    }
    for (status, sent) in
        [(400, Sent::Nothing), (421, Sent::Nothing), (502, Sent::Perhaps), (504, Sent::Nothing)]
    {
        let Words { title, sentence } = trouble(status, sent);
        for (reference, retry) in [(Some(text), true), (None, false)] {
            pages.push(problem(&Problem { status, title: &title, sentence: &sentence, reference, retry }));
        }
        pages.push(problem(&Problem { status, title: text, sentence: text, reference: None, retry: false }));
    }
    pages.extend(my_sessions(text));
    pages
}

/// Where somebody is signed in, with what may have been done and may be done.
fn my_sessions(text: &str) -> Vec<Page> {
    let now = Time::from_millis(1_795_560_065_000);
    let moment = Moment::past(now, now);
    let reasons = [DeadlineReason::Absolute, DeadlineReason::Idle, DeadlineReason::Parent];
    let some = |known: bool, here: bool, reason| SignedIn {
        id: SessionId([0x3b; 16]).to_string(),
        reference: Reference::from(SessionId([0x3b; 16])),
        here,
        device: known.then(|| text.to_owned()),
        address: known.then(|| text.to_owned()),
        started: moment.clone(),
        last_activity: moment.clone(),
        ends: moment.clone(),
        reason,
        absolute: Span::from_secs(43_200),
    };
    let others = [
        (Others::None, None),
        (Others::May, Some(Done::One(Some(text.to_owned())))),
        (Others::SignInFirst { at_most: Span::from_secs(300), was: moment.clone() }, Some(Done::Others)),
    ];
    let page = |(others, done)| {
        let shown = reasons.iter().enumerate().map(|(n, reason)| some(n > 0, n == 0, *reason)).collect();
        sessions(&Sessions {
            subject: text,
            as_of: moment.clone(),
            sessions: shown,
            more: 2,
            done,
            others,
            here: "/here",
            logout: "/out",
            login: "/in",
        })
    };
    others.into_iter().map(page).collect()
}

#[test]
fn what_comes_from_outside_is_escaped() {
    for Page { html, .. } in pages(HOSTILE) {
        assert!(!html.contains("<script") && !html.contains("<img"), "{html}");
    }
    let page = sign_in(&SignIn { notice: None, users: &[user(HOSTILE)], return_to: HOSTILE, action: "/in" });
    let escaped = "&#34;&#39;&#62;&#60;script&#62;alert(1)&#60;/script&#62;&#38;&#60;img src=x&#62;";
    assert!(page.html.contains(&format!("name=\"return_to\" value=\"{escaped}\"")), "{}", page.html);
    assert!(page.html.contains(&format!("name=\"user\" value=\"{escaped}\"")), "{}", page.html);
}

#[test]
fn the_policy_names_the_style_that_is_there_and_the_pages_need_no_more() {
    for Page { html, csp } in pages("text") {
        let (before, rest) = html.split_once("<style>").unwrap();
        let (style, after) = rest.split_once("</style>").unwrap();
        let hash = BASE64_STANDARD.encode(digest::digest(&digest::SHA256, style.as_bytes()));
        assert!(csp.contains(&format!("style-src 'sha256-{hash}';")), "{csp}");
        assert!(csp.starts_with("default-src 'none';") && !csp.contains("unsafe"), "{csp}");
        let outside = format!("{before}{after}");
        for word in ["<style", "style=", "<script", "onclick", "javascript:", "http://", "https://"] {
            // The name of SVG in its own icon is not an address that anything is fetched from.
            assert!(!outside.replace("http://www.w3.org/2000/svg", "").contains(word), "{word}");
        }
    }
    // The parser turns CR LF into LF before it hashes; a style checked out with CR LF would match no hash.
    assert!(!STYLE.contains('\r') && !STYLE.contains("</"));
}

#[test]
fn pages_are_well_formed() {
    for Page { html, .. } in pages(HOSTILE).into_iter().chain(pages("text")) {
        assert!(html.starts_with("<!doctype html>\n<html lang=\"en\">"));
        let (open, ids) = walk(&html);
        assert!(open.is_empty(), "left open: {open:?}");
        assert_eq!((ids["h1"], ids["title"], ids["main"]), (1, 1, 1), "{html}");
    }
}

/// Reads tags and holds every end tag to its start; gives what is left open, and how often each element stands.
fn walk(html: &str) -> (Vec<&str>, BTreeMap<&str, usize>) {
    let (mut open, mut seen) = (Vec::new(), BTreeMap::new());
    let mut rest = html.strip_prefix("<!doctype html>").unwrap();
    while let Some(at) = rest.find('<') {
        let end = at + rest[at..].find('>').unwrap();
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{html}");
            continue;
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "quotes of <{tag}>");
        let name = tag.split_ascii_whitespace().next().unwrap().trim_end_matches('/');
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()), "<{tag}>");
        *seen.entry(name).or_default() += 1;
        if name == "style" {
            rest = &rest[rest.find("</style>").unwrap()..];
        }
        if !tag.ends_with('/') && !["meta", "link", "input", "br"].contains(&name) {
            open.push(name);
        }
    }
    (open, seen)
}

#[test]
fn a_page_says_why_first_and_the_code_beneath() {
    for reason in EndReason::ALL {
        let notice = notice(reason);
        for page in [
            sign_in(&SignIn { notice: Some(notice.clone()), users: &[], return_to: "/", action: "/in" }),
            sign_in_elsewhere(Some(&notice)),
        ] {
            let title = page.html.find(&format!("<h1>{}</h1>", notice.words.title)).unwrap();
            let code = page.html.find(&format!("<code translate=\"no\">{}</code>", reason.code())).unwrap();
            assert!(title < code && page.html.contains("7CXK"), "{reason}: {}", page.html);
        }
    }
}

#[test]
fn somebody_without_a_session_is_told_of_none() {
    let page = sign_in(&SignIn { notice: None, users: &[], return_to: "/", action: "/in" });
    for html in [page.html, sign_in_elsewhere(None).html] {
        assert!(!html.contains("Code:") && !html.contains("igned out"), "{html}");
    }
}

#[test]
fn every_trouble_says_what_becomes_of_the_session() {
    for status in [400, 403, 404, 421, 431, 500, 502, 503, 504] {
        for sent in [Sent::Nothing, Sent::Perhaps] {
            let Words { title, sentence } = trouble(status, sent);
            assert!(title.ends_with('.') && sentence.contains("our session is not affected"), "{sentence}");
            assert!(!format!("{title}{sentence}").contains('!'));
            assert!(sentence.matches(". ").count() <= 1, "{sentence}");
            assert!((sent == Sent::Perhaps) == title.starts_with("We cannot tell"), "{title}");
        }
    }
}

/// As LOOK has it: 4.5:1 for text; 3:1 for what must be seen to be used.
#[test]
fn colours_keep_their_contrast_in_light_and_in_dark() {
    let (light, dark) = STYLE.split_once("@media (prefers-color-scheme: dark)").unwrap();
    for (theme, css) in [("light", light), ("dark", dark)] {
        let colour = |name: &str| {
            let (_, rest) = css.split_once(&format!("--{name}: oklch(")).unwrap();
            let numbers: Vec<f64> =
                rest[..rest.find(')').unwrap()].split(' ').map(|n| n.parse().unwrap()).collect();
            luminance(numbers[0], numbers[1], numbers[2])
        };
        let pairs = [
            ("ink", "card", 7.0),
            ("ink", "hover", 7.0),
            ("quiet", "card", 4.5),
            ("quiet", "hover", 4.5),
            ("ink", "paper", 7.0),
            ("on-accent", "accent", 4.5),
            ("on-accent", "accent-hover", 4.5),
            ("accent", "card", 4.5),
            ("accent", "paper", 4.5),
            ("edge", "card", 3.0),
        ];
        for (front, back, least) in pairs {
            let (a, b) = (colour(front), colour(back));
            let ratio = (a.max(b) + 0.05) / (a.min(b) + 0.05);
            assert!(ratio >= least, "{theme}: {front} on {back} is {ratio:.2}:1");
        }
    }
}

/// Relative luminance (WCAG) of an OKLCH colour, by way of linear sRGB.
fn luminance(lightness: f64, chroma: f64, hue: f64) -> f64 {
    let (sin, cos) = hue.to_radians().sin_cos();
    let (a, b) = (chroma * cos, chroma * sin);
    let l = (lightness + 0.396_337_777_4 * a + 0.215_803_757_3 * b).powi(3);
    let m = (lightness - 0.105_561_345_8 * a - 0.063_854_172_8 * b).powi(3);
    let s = (lightness - 0.089_484_177_5 * a - 1.291_485_548 * b).powi(3);
    let red = 4.076_741_662_1 * l - 3.307_711_591_3 * m + 0.230_969_929_2 * s;
    let green = -1.268_438_004_6 * l + 2.609_757_401_1 * m - 0.341_319_396_5 * s;
    let blue = -0.004_196_086_3 * l - 0.703_418_614_7 * m + 1.707_614_701 * s;
    0.2126 * red.clamp(0.0, 1.0) + 0.7152 * green.clamp(0.0, 1.0) + 0.0722 * blue.clamp(0.0, 1.0)
}
