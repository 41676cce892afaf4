//! A browser, as far as a gateway can tell.

use super::{Client, Site};
use nightlatch_engine::Session;
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::sleep;

/// A browser: keeps its cookies and sends them, with the fields that browsers send.
pub struct Browser {
    pub client: Client,
    pub cookies: BTreeMap<String, String>,
    pub origin: String,
    /// More fields of every request, each with its line end.
    pub says: String,
}

impl Browser {
    pub async fn new(site: &Site) -> Browser {
        Browser {
            client: site.connect().await,
            cookies: BTreeMap::new(),
            origin: "http://localhost".into(),
            says: String::new(),
        }
    }

    pub async fn ask(&mut self, line: &str, fields: &str, body: &str) -> String {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies =
            if cookies.is_empty() { String::new() } else { format!("Cookie: {}\n", cookies.join("; ")) };
        let length = if line.starts_with("POST") {
            format!("Content-Length: {}\n", body.len())
        } else {
            String::new()
        };
        let says = self.says.clone();
        self.client
            .send(&format!("{line} HTTP/1.1\nHost: localhost\n{cookies}{says}{fields}{length}\n{body}"))
            .await;
        let answer = self.client.answer().await;
        for line in answer.lines().filter_map(|line| line.strip_prefix("set-cookie: ")) {
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            match line.contains("Max-Age=0") {
                true => self.cookies.remove(name),
                false => self.cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        answer
    }

    /// Opens a page as a person does.
    pub async fn open(&mut self, path: &str) -> String {
        self.ask(
            &format!("GET {path}"),
            "Sec-Fetch-Dest: document\nSec-Fetch-Mode: navigate\nSec-Fetch-User: ?1\n",
            "",
        )
        .await
    }

    /// Posts a form of this site.
    pub async fn post(&mut self, path: &str, body: &str) -> String {
        let fields = format!("Origin: {}\nSec-Fetch-Dest: document\nSec-Fetch-Mode: navigate\n", self.origin);
        self.ask(&format!("POST {path}"), &fields, body).await
    }

    /// Asks as a script does.
    pub async fn fetch(&mut self, line: &str) -> String {
        self.fetch_with(line, "").await
    }

    /// The same with a body.
    pub async fn fetch_with(&mut self, line: &str, body: &str) -> String {
        let fields = format!("Origin: {}\nSec-Fetch-Dest: empty\nSec-Fetch-Mode: cors\n", self.origin);
        self.ask(line, &fields, body).await
    }

    /// A clock that was moved is ahead of its reservation until that is on disk, and nobody signs in meanwhile.
    pub async fn sign_in(&mut self, user: &str) -> String {
        let form = format!("user={user}&return_to=%2Forders%3Fid%3D7");
        for _ in 0..200 {
            let answer = self.post("/_nightlatch/login", &form).await;
            if !answer.starts_with("HTTP/1.1 503") {
                return answer;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("nobody can sign in");
    }

    pub fn session(&self, site: &Site) -> Arc<Session> {
        let credential = nightlatch_engine::hash(self.cookies["nightlatch-loopback"].as_bytes());
        let of_credential = |session: &Arc<Session>| session.facts.credential == credential;
        site.engine().sessions(None, 100).into_iter().find(of_credential).unwrap()
    }
}

/// A field of an answer.
pub fn field<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// The body of an answer.
pub fn json(answer: &str) -> Value {
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}
