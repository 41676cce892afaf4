//! What a person calls the program that asks: `Firefox on Windows`.
//!
//! For recognising one's own sign-ins and nothing else: no decision is made by it, since a client can say what it likes. A list of our
//! own, because those that libraries carry tell ten thousand devices apart and people tell a few: which browser, on what. No version is told:
//! nobody knows that of themselves. What browsers do not tell is not guessed: an iPad that asks for desktop pages says that it is a Mac, and
//! several browsers say that they are Chrome.

use http::{HeaderMap, header::USER_AGENT};
use nightlatch_engine::DEVICE_WORDS_BYTES;

/// What browsers write, the more particular one first: nearly all of them say that they are Chrome or Safari as well.
const BROWSERS: [(&str, &str); 11] = [
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("OPR/", "Opera"),
    ("OPT/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];

const SYSTEMS: [(&str, &str); 7] = [
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Macintosh", "Mac"),
    ("Linux", "Linux"),
];

const PROGRAM: &str = " (a program)";

/// The device in a person's words, by what a request says of its client; empty if that is nothing of use. At most
/// [`DEVICE_WORDS_BYTES`] of ASCII.
#[must_use]
pub fn device(headers: &HeaderMap) -> String {
    let said = headers.get(USER_AGENT).and_then(|said| said.to_str().ok());
    said.map(device_words).unwrap_or_default()
}

/// The same of the text of a `User-Agent`.
#[must_use]
pub fn device_words(user_agent: &str) -> String {
    let first = |rows: &[(&str, &'static str)]| {
        rows.iter().find(|(mark, _)| user_agent.contains(mark)).map(|(_, name)| *name)
    };
    // Every browser says that it is Mozilla, and no program has reason to.
    if !user_agent.starts_with("Mozilla/") {
        return program(user_agent);
    }
    match (first(&BROWSERS), first(&SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        (None, Some(system)) => format!("A browser on {system}"),
        (None, None) => String::new(),
    }
}

/// The name of a program: its first product without the version (RFC 9110 section 10.1.5).
fn program(user_agent: &str) -> String {
    let belongs = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let name: String =
        user_agent.chars().take_while(|&c| belongs(c)).take(DEVICE_WORDS_BYTES - PROGRAM.len()).collect();
    if name.is_empty() { name } else { name + PROGRAM }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What they really send, and what a person calls that.
    const TABLE: &str = "
        Firefox on Windows | Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0
        Firefox on Linux | Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0
        Firefox on iPhone | Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/132.0 Mobile/15E148 Safari/605.1.15
        Chrome on Windows | Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36
        Chrome on Linux | Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/142.0.0.0 Safari/537.36
        Chrome on ChromeOS | Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36
        Chrome on Android | Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36
        Chrome on iPad | Mozilla/5.0 (iPad; CPU OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/142.0 Mobile/15E148 Safari/604.1
        Edge on Windows | Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0
        Edge on Android | Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36 EdgA/142.0.0.0
        Opera on Mac | Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 OPR/126.0.0.0
        Safari on Mac | Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15
        Safari on iPhone | Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1
        Samsung Internet on Android | Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/29.0 Chrome/136.0.0.0 Mobile Safari/537.36
        A browser on Windows | Mozilla/5.0 (Windows NT 10.0; Trident/7.0; rv:11.0) like Gecko
        curl (a program) | curl/8.14.1
        python-requests (a program) | python-requests/2.32.3
        Apache-HttpClie (a program) | Apache-HttpClient/4.5.14 (Java/17.0.2)
        | Mozilla/5.0
        | <script>alert(1)</script>
        |";

    #[test]
    fn a_device_is_called_as_people_call_it() {
        for row in TABLE.lines().filter(|row| row.contains('|')) {
            let (words, said) = row.split_once('|').unwrap();
            let named = device_words(said.trim());
            assert_eq!(named, words.trim(), "{said}");
            assert!(named.len() <= DEVICE_WORDS_BYTES && named.is_ascii(), "{named}");
        }
    }
}
