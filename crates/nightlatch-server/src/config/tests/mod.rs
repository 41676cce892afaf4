//! Every key once right and once wrong, from the list of keys itself.
//!
//! The list says what there is to test: a key that is added without being read, or read without being in the file
//! below, fails here. What each mistake looks like is in `rows`; that no text can bring the check down is in `chaos`.

mod chaos;
mod rows;
mod secrets;

use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::api_key::{ApiKey, Role, SecretSource};
use super::app::{Activity, App, Mode, Protocol};
use super::app_match::{HostMatch, Match};
use super::code::Code;
use super::duration::Millis;
use super::identity::{DemoUser, Identity};
use super::key::{Form, Key, SECTIONS, Section, Status};
use super::ledger::{Ledger, Prefix, Witness};
use super::limits::{Http2, Limits};
use super::listen::{Listen, TlsFiles};
use super::oidc::{ClientAuthentication, Oidc};
use super::policy::Policy;
use super::route::RoutePattern;
use super::size::Bytes;
use super::uncovered::{Date, Uncovered};
use super::upgrade::Upgrade;
use super::url::{Origin, Upstream};
use super::{Config, Reading};

/// Every key that is taken, but for the demo sign-in, which excludes a gateway for others.
const FULL: &str = r#"version = 1
timezone = "America/New_York"

[listen]
gateway = "0.0.0.0:8443"
admin = "127.0.0.1:8081"
trusted_proxies = ["10.0.1.0/24", "10.0.2.7"]
public_url = "https://desk.example.com"
tls = { cert = "tls/cert.pem", key = "/etc/tls/key.pem" }

[data]
dir = "data"

[policy]
idle = "15m"
absolute = "12h"
warning = "2m"
[[app]]
assertion = true
name = "blotter"
mode = "enforce"
match = { host = "Desk.example.com:8443", path = "/blotter/" }
upstream = "http://127.0.0.1:3000"
public = ["GET /blotter/healthz", "GET /blotter/assets/**"]
activity = "requests"
passive = ["POST /blotter/api/poll/**"]
active = ["WS /blotter/ws/orders"]
upgrades = ["WebSocket", "SPDY/3.1"]
app_cookies = ["JSESSIONID"]
protocol = "http/1.1"
[[app]]
name = "research"
match = { host = "*" }
upstream = "http://research"
upgrades = []

[[api_key]]
name = "trading-backend"
role = "issuer"
key_file = "secrets/trading-backend"

[[api_key]]
name = "audit"
role = "auditor"
key_env = "AUDIT_KEY"

[[uncovered]]
name = "legacy statements portal"
owner = "Retail Operations"
reason = "vendor product"
review_by = 2027-01-31

[limits]
connections = 5000
handshake_within = "10s"
head = "32KiB"
head_fields = 200
head_within = "30s"
connect_within = "2s"
idle_upstream_connections = 64
answer_within = "2m"
finish_within = "30s"
drain_within = "20s"
write_within = "45s"
connections_per_address = 50
body_within = "20s"
body_least = "4KiB"
body = "1GiB"
http2_streams = 50
http2_stream_window = "128KiB"
http2_connection_window = "2MiB"
http2_abandoned = 60
http2_control_frames = 5000

[ledger]
anchor_every = "30m"

[[ledger.witness]]
key = "witness.example/w1+04d2d833+BD1AF8PoQ4lakrcKp00bfrycmCzPLsSWjMDNVfEq9GYM"
url = "https://witness.example/w1"
ca_file = "tls/witness-ca.pem"
"#;

/// The keys of the demo sign-in.
const DEMO: &str = r#"version = 1
[listen]
gateway = "127.0.0.1:8080"
[policy]
idle = "2m"
absolute = "10m"
warning = "30s"
[identity.demo]
users = [{ name = "alice", display = "Alice Moreno", groups = ["traders", "desk 4"] }, { name = "bob" }]
[[app]]
name = "brokerage"
match = { host = "*" }
upstream = "http://127.0.0.1:3000"
"#;

/// Sign-in at providers.
const PROVIDERS: &str = r#"version = 1
[listen]
gateway = "127.0.0.1:8080"
[policy]
idle = "2m"
absolute = "10m"
warning = "30s"
[identity]
oidc = [{ name = "firm", display = "Example Securities", issuer = "https://idp.example.com/", client_id = "nightlatch", client_secret_file = "secrets/oidc", client_authentication = "client_secret_post", scopes = ["openid", "groups"], groups_claim = "groups", provider_session_max_age = "2m", ca_file = "tls/idp-ca.pem" }, { name = "contractors", issuer = "http://127.0.0.1:4000", client_id = "n", client_secret_env = "OIDC_SECRET" }]
[[app]]
name = "brokerage"
match = { host = "*" }
upstream = "http://127.0.0.1:3000"
"#;

/// The other ways in.
const DOORS: &str = r#"version = 1
[listen]
gateway = "127.0.0.1:8080"
gateway_proxied = "127.0.0.1:8444"
gateway_unix = "unix:/run/nightlatch/gateway.sock"
trusted_proxies = ["127.0.0.1"]
[policy]
idle = "2m"
absolute = "10m"
warning = "30s"
[[api_key]]
name = "login"
role = "issuer"
key_env = "LOGIN"
[[app]]
name = "brokerage"
match = { host = "*" }
upstream = "unix:/run/app.sock"
sensitive = [{ route = "POST /orders/**", authentication_age = "5m", acr = "phr" }]
"#;

fn read(text: &str) -> Reading {
    super::read(text, Path::new("/etc/nightlatch/nightlatch.toml"))
}

/// One line for each finding: place, code, key.
fn outline(reading: &Reading) -> Vec<String> {
    let line = |finding: &super::finding::Finding| {
        let place = &finding.place;
        format!("{}:{} {} {}", place.line, place.column, finding.code, finding.key)
    };
    reading.findings.list.iter().map(line).collect()
}

fn pattern(method: &str, path: &str) -> RoutePattern {
    RoutePattern { method: Some(method.to_owned()), path: path.to_owned() }
}

#[test]
fn a_full_file_means_what_it_says() {
    let reading = read(FULL);
    assert_eq!(outline(&reading), Vec::<String>::new());
    let expected = Config {
        timezone: "America/New_York".to_owned(),
        listen: Listen {
            gateway: "0.0.0.0:8443".parse().unwrap(),
            gateway_proxied: None,
            gateway_unix: None,
            admin: "127.0.0.1:8081".parse().unwrap(),
            trusted_proxies: vec!["10.0.1.0/24".parse().unwrap(), "10.0.2.7/32".parse().unwrap()],
            public_url: Some(Origin { https: true, host: "desk.example.com".to_owned(), port: None }),
            tls: vec![TlsFiles {
                cert: PathBuf::from("/etc/nightlatch/tls/cert.pem"),
                key: PathBuf::from("/etc/tls/key.pem"),
            }],
        },
        limits: Limits {
            connections: Some(5000),
            handshake_within: Millis(10_000),
            head: Bytes(32 << 10),
            head_fields: 200,
            head_within: Millis(30_000),
            connections_per_address: Some(50),
            body_within: Millis(20_000),
            body_least: Bytes(4 << 10),
            body: Some(Bytes(1 << 30)),
            write_within: Millis(45_000),
            connect_within: Millis(2_000),
            idle_upstream_connections: 64,
            answer_within: Millis(120_000),
            finish_within: Millis(30_000),
            drain_within: Millis(20_000),
            http2: Http2 {
                streams: 50,
                stream_window: 128 << 10,
                connection_window: 2 << 20,
                abandoned: 60,
                control_frames: 5_000,
            },
        },
        data_dir: PathBuf::from("/etc/nightlatch/data"),
        ledger: Ledger {
            anchor_every: Millis(1_800_000),
            witnesses: vec![Witness {
                key: "witness.example/w1+04d2d833+BD1AF8PoQ4lakrcKp00bfrycmCzPLsSWjMDNVfEq9GYM"
                    .parse()
                    .unwrap(),
                url: Prefix {
                    origin: Origin { https: true, host: "witness.example".to_owned(), port: None },
                    path: "/w1".to_owned(),
                },
                ca_file: Some(PathBuf::from("/etc/nightlatch/tls/witness-ca.pem")),
            }],
        },
        policy: Policy { idle: Millis(900_000), absolute: Millis(43_200_000), warning: Millis(120_000) },
        apps: vec![
            App {
                name: "blotter".to_owned(),
                mode: Mode::Enforce,
                matches: Match {
                    host: Some(HostMatch { name: "desk.example.com".to_owned(), port: Some(8443) }),
                    path: "/blotter".to_owned(),
                },
                upstream: Upstream::Tcp { host: "127.0.0.1".to_owned(), port: 3000 },
                protocol: Protocol::Http1,
                public: vec![pattern("GET", "/blotter/healthz"), pattern("GET", "/blotter/assets/**")],
                activity: Activity::Requests,
                passive: vec![pattern("POST", "/blotter/api/poll/**")],
                active: vec![pattern("WS", "/blotter/ws/orders")],
                sensitive: Vec::new(),
                upgrades: vec![Upgrade::WebSocket, Upgrade::Other("spdy/3.1".to_owned())],
                app_cookies: vec!["JSESSIONID".to_owned()],
                assertion: true,
            },
            App {
                name: "research".to_owned(),
                mode: Mode::Enforce,
                matches: Match { host: None, path: "/".to_owned() },
                upstream: Upstream::Tcp { host: "research".to_owned(), port: 80 },
                protocol: Protocol::Http1,
                public: vec![],
                activity: Activity::Human,
                passive: vec![],
                active: vec![],
                sensitive: Vec::new(),
                upgrades: vec![],
                app_cookies: vec![],
                assertion: false,
            },
        ],
        identity: Identity::default(),
        api_keys: vec![
            ApiKey {
                name: "trading-backend".to_owned(),
                role: Role::Issuer,
                secret: SecretSource::File(PathBuf::from("/etc/nightlatch/secrets/trading-backend")),
            },
            ApiKey {
                name: "audit".to_owned(),
                role: Role::Auditor,
                secret: SecretSource::Env("AUDIT_KEY".to_owned()),
            },
        ],
        uncovered: vec![Uncovered {
            name: "legacy statements portal".to_owned(),
            owner: "Retail Operations".to_owned(),
            reason: "vendor product".to_owned(),
            review_by: Date { year: 2027, month: 1, day: 31 },
        }],
    };
    assert_eq!(reading.config, Some(expected));
}

#[test]
fn providers_are_read() {
    let reading = read(PROVIDERS);
    assert_eq!(outline(&reading), Vec::<String>::new());
    let [firm, contractors] = <[Oidc; 2]>::try_from(reading.config.unwrap().identity.oidc).unwrap();
    assert_eq!(
        firm,
        Oidc {
            name: "firm".to_owned(),
            display: "Example Securities".to_owned(),
            issuer: "https://idp.example.com/".to_owned(),
            client_id: "nightlatch".to_owned(),
            secret: SecretSource::File(PathBuf::from("/etc/nightlatch/secrets/oidc")),
            authentication: ClientAuthentication::ClientSecretPost,
            scopes: vec!["openid".to_owned(), "groups".to_owned()],
            groups_claim: Some("groups".to_owned()),
            provider_session_max_age: Some(Millis(120_000)),
            ca_file: Some(PathBuf::from("/etc/nightlatch/tls/idp-ca.pem")),
        }
    );
    assert_eq!(contractors.display, "contractors");
    assert_eq!(contractors.secret, SecretSource::Env("OIDC_SECRET".to_owned()));
    assert_eq!(contractors.authentication, ClientAuthentication::ClientSecretBasic);
    assert_eq!(contractors.scopes, ["openid"]);
    assert_eq!(contractors.provider_session_max_age, None);
    for (from, to, expected) in [
        ("contractors", "firm", "duplicate-name identity.oidc.name"),
        ("http://127.0.0.1:4000", "https://idp.example.com/", "duplicate-name identity.oidc.issuer"),
        (", client_secret_env = \"OIDC_SECRET\"", "", "secret-source identity.oidc.client_secret_file"),
        ("client_secret_post", "private_key_jwt", "not-yet identity.oidc.client_authentication"),
        ("\"openid\", \"groups\"", "\"openid groups\", \"openid\"", "bad-name identity.oidc.scopes"),
    ] {
        let found = outline(&read(&PROVIDERS.replacen(from, to, 1)));
        assert!(matches!(&found[..], [one] if one.ends_with(expected)), "{to}: {found:?}");
    }
}

#[test]
fn the_other_ways_in_are_read() {
    let reading = read(DOORS);
    assert_eq!(outline(&reading), Vec::<String>::new());
    let config = reading.config.unwrap();
    assert_eq!(config.listen.gateway_proxied, "127.0.0.1:8444".parse().ok());
    assert_eq!(config.listen.gateway_unix, Some(PathBuf::from("/run/nightlatch/gateway.sock")));
    assert_eq!(config.apps[0].upstream, Upstream::Unix(PathBuf::from("/run/app.sock")));
    for (from, to, expected) in [
        ("127.0.0.1:8444", "127.0.0.1:8080", "4:19 same-address listen.gateway_proxied"),
        ("trusted_proxies = [\"127.0.0.1\"]", "", "4:19 missing-key listen.gateway_proxied"),
        ("127.0.0.1:8444", "10.0.1.5:8444", "4:19 cookie-not-secure listen.gateway_proxied"),
        ("unix:/run/nightlatch", "unix:nightlatch", "5:16 bad-path listen.gateway_unix"),
        ("unix:/run/nightlatch", "/run/nightlatch", "5:16 bad-address listen.gateway_unix"),
    ] {
        assert_eq!(outline(&read(&DOORS.replacen(from, to, 1))), [expected]);
    }
}

#[test]
fn absent_keys_have_the_defaults_of_the_reference_page() {
    let reading = read(DEMO);
    assert_eq!(outline(&reading), Vec::<String>::new());
    let config = reading.config.unwrap();
    assert_eq!(config.timezone, "UTC");
    assert_eq!(config.data_dir, PathBuf::from("/etc/nightlatch/data"));
    assert_eq!(config.listen.admin, "127.0.0.1:8081".parse().unwrap());
    assert_eq!(config.apps[0].upgrades, [Upgrade::WebSocket]);
    let bob = DemoUser { name: "bob".to_owned(), display: "bob".to_owned(), groups: vec![] };
    assert_eq!(config.identity.demo[1], bob);
    assert_eq!(config.identity.demo[0].groups, ["traders", "desk 4"]);
}

#[test]
fn the_configuration_as_json_is_in_the_words_of_the_file() {
    let json = serde_json::to_value(read(FULL).config.unwrap()).unwrap();
    assert_eq!(json["policy"]["idle"], "15m");
    assert_eq!(json["listen"]["trusted_proxies"][1], "10.0.2.7/32");
    assert_eq!(json["listen"]["public_url"], "https://desk.example.com");
    assert_eq!(json["apps"][0]["match"]["path"], "/blotter");
    assert_eq!(json["apps"][0]["active"][0], "WS /blotter/ws/orders");
    assert_eq!(json["api_keys"][1]["secret"]["env"], "AUDIT_KEY");
    assert_eq!(json["uncovered"][0]["review_by"], "2027-01-31");
}

/// Calls `check` for each key that is taken, with the file that has it, its path and the span of its value there.
fn for_each_key(check: impl Fn(&str, &'static Section, &'static Key, std::ops::Range<usize>)) {
    for section in SECTIONS {
        for key in section.keys.iter().filter(|key| key.status == Status::Now) {
            let path = section.path_of(key.name);
            let (text, span) = [FULL, DEMO, DOORS, PROVIDERS]
                .into_iter()
                .find_map(|text| Some((text, span_of(DeTable::parse(text).unwrap().get_ref(), &path)?)))
                .unwrap_or_else(|| panic!("`{path}` stands in neither file"));
            check(text, section, key, span);
        }
    }
}

/// Where the value of `path` stands; in lists of tables the first that has it.
fn span_of(table: &DeTable<'_>, path: &str) -> Option<std::ops::Range<usize>> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let value = table.get(first)?;
    match (rest, value.get_ref()) {
        (None, _) => Some(value.span()),
        (Some(rest), DeValue::Table(inner)) => span_of(inner, rest),
        (Some(rest), DeValue::Array(items)) => {
            items.iter().find_map(|item| span_of(item.get_ref().as_table()?, rest))
        }
        _ => None,
    }
}

fn splice(text: &str, span: std::ops::Range<usize>, value: &str) -> String {
    format!("{}{value}{}", &text[..span.start], &text[span.end..])
}

#[test]
fn every_example_is_taken() {
    for_each_key(|text, section, key, span| {
        if key.is_header() {
            return;
        }
        let path = section.path_of(key.name);
        let reading = read(&splice(text, span, key.example));
        let about: Vec<_> = reading.findings.list.iter().filter(|finding| finding.key == path).collect();
        assert!(
            about.iter().all(|finding| finding.code.level() == super::code::Level::Warning
                || path.starts_with("listen.gateway")),
            "{about:?}"
        );
    });
}

#[test]
fn every_key_refuses_another_form_at_its_own_place() {
    for_each_key(|text, section, key, span| {
        if key.is_header() {
            return;
        }
        let path = section.path_of(key.name);
        let another = if key.form == Form::Flag { "\"true\"" } else { "true" };
        let reading = read(&splice(text, span.clone(), another));
        assert_eq!(reading.config, None, "{path}");
        let found = reading
            .findings
            .list
            .iter()
            .find(|finding| finding.key == path && finding.code == Code::WrongType);
        let found = found.unwrap_or_else(|| panic!("{path}: {:?}", outline(&reading)));
        assert_eq!(found.place.line, text[..span.start].matches('\n').count() + 1, "{path}");
        assert!(found.place.text.contains("true"), "{path}");
        assert!(found.message.contains(&path), "{}", found.message);
    });
}

#[test]
fn every_table_refuses_another_form() {
    for (name, header) in [
        ("listen", "[listen]"),
        ("limits", "[limits]"),
        ("data", "[data]"),
        ("ledger", "[ledger]"),
        ("policy", "[policy]"),
        ("app", "[[app]]"),
        ("api_key", "[[api_key]]"),
        ("uncovered", "[[uncovered]]"),
        ("identity", "[identity]"),
    ] {
        for value in ["true", "[true]"] {
            let reading = read(&format!("version = 1\n{name} = {value}\n"));
            let found = reading
                .findings
                .list
                .iter()
                .find(|finding| finding.key == name && finding.code == Code::WrongType)
                .unwrap();
            assert!(found.message.contains(header), "{}", found.message);
        }
    }
}

#[test]
fn every_key_without_a_default_is_missed() {
    for_each_key(|text, section, key, span| {
        let required = key.need == super::key::Need::Required && !key.is_header();
        if required && section.path != "identity.demo.users" {
            let start = text[..span.start].rfind(key.name).unwrap();
            let end = if text[span.end..].starts_with(", ") { span.end + 2 } else { span.end };
            let reading = read(&splice(text, start..end, ""));
            let path = section.path_of(key.name);
            assert!(
                outline(&reading).iter().any(|line| line.ends_with(&format!("missing-key {path}"))),
                "{path}: {:?}",
                outline(&reading)
            );
        }
    });
}

#[test]
fn every_key_of_a_later_version_is_refused() {
    for section in SECTIONS {
        for key in section.keys.iter().filter(|key| key.status == Status::NotYet) {
            let path = section.path_of(key.name);
            let text = if matches!(section.path, "app") {
                format!("[[app]]\n{} = true", key.name)
            } else {
                format!("{path} = true")
            };
            let reading = read(&format!("version = 1\n{text}\n"));
            let found = reading.findings.list.iter().find(|finding| finding.key == path).unwrap();
            assert_eq!(found.code, Code::NotYet);
            let expected =
                format!("`{path}` is part of the configuration format, but this version does not enforce it");
            assert_eq!(found.message, expected);
        }
    }
}

#[test]
fn every_default_is_taken() {
    for key in SECTIONS.iter().flat_map(|section| section.keys) {
        if let super::key::Need::Default(value) = key.need {
            assert!(DeValue::parse(value).is_ok(), "{}: {value}", key.name);
        }
    }
}

#[test]
fn the_reference_page_names_every_key_and_code() {
    let page = super::reference_markdown();
    for section in SECTIONS {
        for key in section.keys.iter().filter(|key| !matches!(key.form, Form::Table | Form::Tables)) {
            assert!(page.contains(&format!("| `{}` |", key.name)), "{}", key.name);
        }
    }
    for code in Code::ALL {
        assert!(page.contains(&format!("| `{code}` | {} |", code.level())), "{code}");
    }
    let start = page.find("```toml\n").unwrap() + 8;
    let example = &page[start..start + page[start..].find("```").unwrap()];
    assert_eq!(outline(&read(example)), Vec::<String>::new());
}
