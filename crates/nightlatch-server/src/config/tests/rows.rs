//! What each mistake looks like, a row for each.
//!
//! A row is a change to a valid file and the findings it brings: place, code, message, hint. The first test shows two
//! of them as people see them.

use super::{DEMO, DOORS, FULL, read};

/// Replaces `from` by `to` in `text` and compares what is found.
fn check(text: &str, from: &str, to: &str, expected: &[&str]) {
    assert!(text.contains(from), "{from}");
    let reading = read(&text.replacen(from, to, 1));
    let found: Vec<String> = reading
        .findings
        .list
        .iter()
        .map(|f| format!("{}:{} {} | {} | {}", f.place.line, f.place.column, f.code, f.message, f.hint))
        .collect();
    assert_eq!(found, expected, "{to}");
    assert_eq!(reading.config.is_none(), reading.findings.errors() > 0, "{to}");
}

#[test]
fn as_people_see_them() {
    let text =
        FULL.replace("idle = \"15m\"", "idel = \"15m\"").replace("warning = \"2m\"", "warning = \"15s\"");
    let expected = r#"error[missing-key]: `policy.idle` is missing
  --> /etc/nightlatch/nightlatch.toml:14:1
   |
14 | [policy]
   | ^^^^^^^^
   = help: add it to `[policy]`: `idle = "15m"`

error[unknown-key]: `idel` is not a key of `[policy]`
  --> /etc/nightlatch/nightlatch.toml:15:1
   |
15 | idel = "15m"
   | ^^^^
   = help: did you mean `idle`?

warning[short-warning]: `warning` is 15s; WCAG 2.2.1 gives people at least 20 seconds to extend a time limit
  --> /etc/nightlatch/nightlatch.toml:17:11
   |
17 | warning = "15s"
   |           ^^^^^
   = help: set it to `20s` or more, unless this is for a test

/etc/nightlatch/nightlatch.toml: 2 errors, 1 warning
"#;
    assert_eq!(read(&text).findings.render(false), expected);
}

#[test]
fn an_empty_file() {
    check(
        "x",
        "x",
        "",
        &[
            "1:1 missing-key | `version` is missing | add it at the top of the file: `version = 1`",
            r#"1:1 missing-key | `listen.gateway` is missing | add it to `[listen]`: `gateway = "0.0.0.0:8443"`"#,
            r#"1:1 missing-key | `policy.idle` is missing | add it to `[policy]`: `idle = "15m"`"#,
            r#"1:1 missing-key | `policy.absolute` is missing | add it to `[policy]`: `absolute = "12h"`"#,
            "1:1 no-app | there is no `[[app]]`, so there is nothing to guard | add one: `[[app]]` with `name`, `match` and `upstream`",
        ],
    );
}

#[test]
fn toml() {
    check(
        FULL,
        "version = 1",
        "version = 1\nversion = 1",
        &[
            "2:1 bad-toml | this is not TOML: duplicate key | a key is written once in its table; remove one of them",
        ],
    );
    check(
        FULL,
        "idle = \"15m\"",
        "idle = 15m",
        &[
            r#"15:8 bad-toml | this is not TOML: string values must be quoted, expected literal string | TOML is `key = value`, one to a line, with text and durations in double quotes: `idle = "15m"`"#,
        ],
    );
    check(
        FULL,
        "[policy]",
        "[policy",
        &[
            r#"14:8 bad-toml | this is not TOML: unclosed table, expected `]` | TOML is `key = value`, one to a line, with text and durations in double quotes: `idle = "15m"`"#,
        ],
    );
    check(
        FULL,
        "review_by = 2027-01-31",
        "review_by = 2027-02-30",
        &[
            r#"51:13 bad-toml | this is not TOML: invalid date, expected day between 01 and 28 | TOML is `key = value`, one to a line, with text and durations in double quotes: `idle = "15m"`"#,
        ],
    );
}

#[test]
fn top() {
    check(
        FULL,
        "version = 1",
        "version = 2\nidel = 3",
        &[
            "1:11 bad-version | this file is written for version 2 of the format, and this program reads version 1 | use the program that reads this version, or convert the file",
        ],
    );
    check(
        FULL,
        "version = 1",
        "",
        &["1:1 missing-key | `version` is missing | add it at the top of the file: `version = 1`"],
    );
    check(
        FULL,
        "version = 1",
        "version = \"1\"",
        &["1:11 wrong-type | `version` is text, but must be a whole number | for example: `version = 1`"],
    );
    check(
        FULL,
        "version = 1",
        "version = 1\nidle = \"15m\"",
        &[
            "2:1 unknown-key | `idle` is neither a key nor a table at the top of the file | `idle` belongs to `[policy]`",
        ],
    );
    check(
        FULL,
        "version = 1",
        "version = 1\nnonsense = 1",
        &[
            "2:1 unknown-key | `nonsense` is neither a key nor a table at the top of the file | known here: `version`, `timezone`, `listen`, `limits`, `data`, `ledger`, `policy`, `app`, `identity`, `api_key`, `uncovered`",
        ],
    );
    check(
        FULL,
        "[data]",
        "[identity.oidc]\nissuer = \"http://idp.example\"\nclient_id = \"n\"\nclient_secret = \"hush\"\nscopes = [\"groups\"]\n[data]",
        &[
            "12:10 bad-url | `http://idp.example` could be answered for by anybody on the way | write it with `https://`; `http://` is for a provider on this machine",
            r#"14:1 inline-secret | `identity.oidc.client_secret` puts a secret into the configuration file | put it into a file and write `client_secret_file = "secrets/.."`; then make a new secret, as this one has been read"#,
            r#"15:10 missing-scope | `scopes` does not have `openid`, without which nobody is told apart | write `scopes = ["openid", ..]`"#,
        ],
    );
    check(
        FULL,
        "America/New_York",
        "New York",
        &[
            r#"2:12 bad-timezone | `New York` is not the name of a time zone | for example: `timezone = "America/New_York"`"#,
        ],
    );
    check(
        FULL,
        "dir = \"data\"",
        "dir = \"\"",
        &[r#"12:7 empty-value | this must not be empty | for example: `dir = "data"`"#],
    );
}

#[test]
fn listen() {
    check(
        FULL,
        "\"10.0.2.7\"",
        "\"10.0.1.0/24\"",
        &[
            "7:35 duplicate-value | `10.0.1.0/24` stands in `listen.trusted_proxies` twice | remove one of them",
        ],
    );
    check(
        FULL,
        "\"10.0.2.7\"",
        "\"::/0\"",
        &[
            "7:35 trusts-everyone | `::/0` is every address, so any client could say that it is another | list the addresses of your own proxies, such as `10.0.1.0/24`",
        ],
    );
    check(
        FULL,
        "https://desk",
        "http://desk",
        &[
            "8:14 cookie-not-secure | `tls` makes the gateway speak https, but `public_url` is `http://desk.example.com` | write `public_url` with `https://`",
        ],
    );
    check(
        FULL,
        "tls = { cert = \"tls/cert.pem\", key = \"/etc/tls/key.pem\" }",
        "tls = []",
        &[
            "9:7 empty-value | a list of no certificates is plain http, but looks as if it were not | name a certificate, or remove `tls`",
        ],
    );
    check(
        FULL,
        ", key = \"/etc/tls/key.pem\"",
        "",
        &[r#"9:7 missing-key | `listen.tls.key` is missing | add it to `listen.tls`: `key = "tls/key.pem"`"#],
    );
    check(
        FULL,
        "127.0.0.1:8081",
        "127.0.0.1:8443",
        &[
            "6:9 same-address | `listen.gateway` and `listen.admin` would both take port 8443 | give each a port of its own",
        ],
    );
    check(
        FULL,
        "127.0.0.1:8081",
        "10.0.0.1:8081",
        &[
            "6:9 admin-in-clear | `listen.admin` is 10.0.0.1:8081, so API keys and the record can cross the network unencrypted | keep it on loopback, or let only something that encrypts reach it",
        ],
    );
    check(
        FULL,
        "admin = ",
        "points = \"127.0.0.1:8082\"\nadmin = ",
        &[
            "6:1 not-yet | `listen.points` is part of the configuration format, but this version does not enforce it | remove it; it will be taken by the version that enforces it",
        ],
    );
}

#[test]
fn a_gateway_without_tls() {
    let text = FULL.replace("tls = { cert", "#");
    check(&text, "x", "x", &[]);
    check(
        &text,
        "public_url",
        "#",
        &[
            "5:11 cookie-not-secure | `listen.gateway` is 0.0.0.0:8443, which is not loopback, and nothing says that browsers come over https | set `tls`; or, behind a proxy that encrypts, set `public_url` with `https://`",
        ],
    );
    check(
        &text,
        "trusted_proxies",
        "#",
        &[
            "5:11 cookie-not-secure | `listen.gateway` is 0.0.0.0:8443, which is not loopback, and nothing says that browsers come over https | set `tls`; or, behind a proxy that encrypts, set `trusted_proxies` with the proxies that encrypt",
        ],
    );
    check(
        &text,
        "https://desk",
        "http://desk",
        &[
            "5:11 cookie-not-secure | `listen.gateway` is 0.0.0.0:8443, which is not loopback, and nothing says that browsers come over https | set `tls`; or, behind a proxy that encrypts, set `public_url` with `https://`",
            "8:14 cookie-not-secure | browsers would come to `http://desk.example.com` without TLS, so the session cookie could be read on the way | write `public_url` with `https://`, and let the gateway (`tls`) or a proxy encrypt",
        ],
    );
    check(
        &text.replace("trusted_proxies", "#"),
        "public_url",
        "#",
        &[
            "5:11 cookie-not-secure | `listen.gateway` is 0.0.0.0:8443, which is not loopback, and nothing says that browsers come over https | set `tls`; or, behind a proxy that encrypts, set `public_url` with `https://` and `trusted_proxies` with the proxies that encrypt",
        ],
    );
    check(&text.replace("trusted_proxies", "#").replace("public_url", "#"), "0.0.0.0", "127.0.0.1", &[]);
}

#[test]
fn policy() {
    check(
        FULL,
        "idle = \"15m\"",
        "idle = \"12h\"",
        &[
            "15:8 limits-out-of-order | `idle` is 12h, which is not shorter than `absolute`, 12h | make `idle` shorter, or `absolute` longer; otherwise the idle limit would never end a session",
        ],
    );
    check(
        FULL,
        "warning = \"2m\"",
        "warning = \"15m\"",
        &[
            "17:11 limits-out-of-order | `warning` is 15m, which is not shorter than `idle`, 15m | set `warning` to less than `idle`; otherwise users would be warned all the time",
        ],
    );
    check(
        FULL,
        "idle = \"15m\"\nabsolute = \"12h\"\nwarning = \"2m\"",
        "idle = \"90s\"\nabsolute = \"12h\"",
        &[
            "15:8 limits-out-of-order | `warning` is 2m by default, which is not shorter than `idle`, 1m30s | set `warning` to less than `idle`; otherwise users would be warned all the time",
        ],
    );
    check(
        FULL,
        "warning = \"2m\"",
        "warning = \"19999ms\"",
        &[
            "17:11 short-warning | `warning` is 19s999ms; WCAG 2.2.1 gives people at least 20 seconds to extend a time limit | set it to `20s` or more, unless this is for a test",
        ],
    );
    check(FULL, "warning = \"2m\"", "warning = \"20s\"", &[]);
    check(
        FULL,
        "idle = \"15m\"",
        "idle = 15",
        &[
            r#"15:8 wrong-type | `policy.idle` is a number, but must be a duration in quotes | for example: `idle = "15m"`"#,
        ],
    );
    check(
        FULL,
        "idle = \"15m\"",
        "idle = \"0m\"",
        &[
            r#"15:8 bad-duration | a limit of nothing would end every session at once | for example: `idle = "15m"`"#,
        ],
    );
    check(
        FULL,
        "absolute = \"12h\"",
        "absolute = \"400d\"",
        &[
            r#"16:12 bad-duration | `400d` is longer than a year, so it would limit nothing | for example: `absolute = "12h"`"#,
        ],
    );
    check(
        FULL,
        "warning = \"2m\"",
        "warning = \"2m\"\n[[policy.rule]]\nname = \"x\"",
        &[
            "18:10 not-yet | `policy.rule` is part of the configuration format, but this version does not enforce it | remove it; it will be taken by the version that enforces it",
        ],
    );
}

#[test]
fn apps() {
    check(
        DEMO,
        "[[app]]\nname = \"brokerage\"\nmatch = { host = \"*\" }\nupstream = \"http://127.0.0.1:3000\"",
        "",
        &[
            "1:1 no-app | there is no `[[app]]`, so there is nothing to guard | add one: `[[app]]` with `name`, `match` and `upstream`",
        ],
    );
    check(
        FULL,
        "\"research\"",
        "\"blotter\"",
        &["32:8 duplicate-name | there is another `[[app]]` named `blotter` | give each a name of its own"],
    );
    check(
        FULL,
        "\"research\"",
        "\"Research\"",
        &[
            "32:8 bad-name | `Research` cannot be a name | up to 64 of a-z, 0-9 and hyphens, so that it reads the same in every record",
        ],
    );
    check(
        FULL,
        "mode = \"enforce\"",
        "mode = \"observe\"",
        &[
            "21:8 not-yet | `observe` for `app.mode` is part of the configuration format, but this version does not enforce it | this version takes `enforce`",
        ],
    );
    check(
        FULL,
        "mode = \"enforce\"",
        "mode = \"enfroce\"",
        &["21:8 bad-choice | `app.mode` does not take `enfroce` | did you mean `enforce`?"],
    );
    check(
        FULL,
        "activity = \"requests\"",
        "activity = \"guard\"",
        &[
            "25:12 not-yet | `guard` for `app.activity` is part of the configuration format, but this version does not enforce it | this version takes `human`, `requests`",
        ],
    );
    check(
        FULL,
        "host = \"*\"",
        "host = \"desk.example.com:8443\", path = \"/blotter\"",
        &[
            "33:9 duplicate-match | another app answers for the same host and path | give each app a host or a path of its own",
        ],
    );
    check(
        FULL,
        "host = \"*\"",
        "host = \"*.example.com\"",
        &[
            "33:18 bad-host | `*.example.com` is not a host | write each host in an `[[app]]` of its own, or `*` for every host",
        ],
    );
    check(
        FULL,
        "host = \"*\"",
        "host = \"https://x/\"",
        &[
            "33:18 bad-host | `https://x/` is not a host | write the host alone, without scheme and path: `desk.example.com`",
        ],
    );
    check(
        FULL,
        "host = \"*\"",
        "host = \"*\", path = \"/_nightlatch\"",
        &[
            "33:30 bad-path | the path `/_nightlatch` is Nightlatch's own | choose another path; `/_nightlatch/` is answered by the gateway",
        ],
    );
    check(
        FULL,
        "match = { host = \"*\" }",
        "",
        &[
            r#"31:1 missing-key | `app.match` is missing | say which requests are for this app: `match = { host = "desk.example.com", path = "/" }`"#,
        ],
    );
    check(
        FULL,
        "http://research",
        "https://research",
        &[
            "34:12 not-yet | an `https` upstream is part of the configuration format, but this version does not enforce it | use `http://` over loopback or a network that you trust",
        ],
    );
    check(
        FULL,
        "http://127.0.0.1:3000",
        "http://localhost:8443",
        &[
            "23:12 upstream-is-us | `http://localhost:8443` is `listen.gateway` itself, so requests would come back here | write where the app listens",
        ],
    );
    check(
        FULL,
        "http://127.0.0.1:3000",
        "http://localhost:8081",
        &[
            "23:12 upstream-is-us | `http://localhost:8081` is `listen.admin` itself, so requests would come back here | write where the app listens",
        ],
    );
    check(
        FULL,
        "upgrades = []",
        "upgrades = [\"h2c\"]",
        &[
            "35:13 refused-upgrade | `h2c` is not switched to: requests in it would pass without a check each | remove it",
        ],
    );
    check(
        FULL,
        "upgrades = []",
        "upgrades = [\"TLS/1.0\", \"connect\", \"HTTP/2.0\", \"web socket\", \"web-socket\", \"tcp/\"]",
        &[
            "35:13 refused-upgrade | `TLS/1.0` is not switched to: nobody could see what passes in it; set `listen.tls` instead | remove it",
            "35:24 refused-upgrade | `connect` is not switched to: it would lead to places that no app is matched for | remove it",
            "35:35 refused-upgrade | `HTTP/2.0` is not switched to: requests in it would pass without a check each | remove it",
            "35:47 bad-upgrade | `web socket` is not a protocol that a request could name | write its token, with a version if it has one: `tcp`, `SPDY/3.1`",
            "35:61 bad-upgrade | `web-socket` is not a protocol that anybody uses | did you mean `websocket`?",
            "35:75 bad-upgrade | `tcp/` is not a protocol that a request could name | write its token, with a version if it has one: `tcp`, `SPDY/3.1`",
        ],
    );
    check(
        FULL,
        "upgrades = []",
        "protocol = \"h2c\"",
        &["35:12 bad-choice | `app.protocol` does not take `h2c` | did you mean `h2`?"],
    );
    check(FULL, "upgrades = []", "protocol = \"h2\"", &[]);
    check(
        FULL,
        "upgrades = []",
        "protocol = \"h2\"\nupgrades = [\"websocket\"]",
        &[
            "36:12 bad-choice | an app with `protocol = \"h2\"` can upgrade nothing | remove `upgrades`; give what speaks WebSocket an app of its own, with a path of its own",
        ],
    );
    check(
        FULL,
        "JSESSIONID",
        "__Host-nightlatch",
        &[
            "29:16 own-cookie | `__Host-nightlatch` is a cookie of Nightlatch's own and never reaches an app | name the cookies that the app itself sets",
        ],
    );
    check(
        FULL,
        "JSESSIONID",
        "JSESS*;",
        &[
            "29:16 bad-cookie | `JSESS*;` is not the name of a cookie | letters, digits and !#$%&'*+-.^_`|~, no wildcards: `JSESSIONID`",
        ],
    );
    check(
        FULL,
        "upgrades = []",
        "guard = true",
        &[
            "35:1 not-yet | `app.guard` is part of the configuration format, but this version does not enforce it | remove it; it will be taken by the version that enforces it",
        ],
    );
}

#[test]
fn routes() {
    check(
        FULL,
        "POST /blotter/api/poll/**",
        "/blotter/**",
        &[
            "26:12 everything-passive | `/blotter/**` makes every request passive, so people would be signed out while they work | name the routes that scripts call by themselves, such as `POST /api/poll/**`",
        ],
    );
    check(
        FULL,
        "WS /blotter/ws/orders",
        "/**",
        &[
            r#"27:11 everything-active | `/**` makes every request activity, polls included | name the routes that only a person's input calls, or set `activity = "requests"` to say so openly"#,
        ],
    );
    check(
        FULL,
        "GET /blotter/healthz",
        "/**",
        &[
            "24:11 everything-public | `/**` lets every request to this app pass without a session | name the routes that need no session, such as `GET /assets/**`",
        ],
    );
    check(
        FULL,
        "WS /blotter/ws/orders",
        "POST /blotter/api/poll/**",
        &[
            "27:11 active-and-passive | `POST /blotter/api/poll/**` is in `active` and in `passive`; passive wins | remove it from one of them",
        ],
    );
    check(
        FULL,
        "POST /blotter/api/poll/**",
        "POST /api/poll/**",
        &[
            "26:12 never-matches | `POST /api/poll/**` is outside of `/blotter`, where this app is | patterns are matched on the whole path, with the path of the app in front",
        ],
    );
    check(
        FULL,
        "upgrades = []",
        "upgrades = []\nactive = [\"WS /ws\"]",
        &[
            "36:11 never-matches | `WS /ws` never happens, as this app allows no WebSocket | add `websocket` to `upgrades`, or remove the pattern",
        ],
    );
    check(
        FULL,
        "POST /blotter/api/poll/**",
        "PSOT /blotter/api/poll/**",
        &["26:12 bad-pattern | `PSOT` is not a method | did you mean `POST`?"],
    );
    check(
        FULL,
        "POST /blotter/api/poll/**",
        "POST /blotter/api/poll*",
        &[
            "26:12 bad-pattern | the path `/blotter/api/poll*` has a `*` that is not a whole segment | a path begins with `/`; `*` is one whole segment, `**` any number: `GET /assets/**`",
        ],
    );
}

#[test]
fn demo() {
    check(
        DEMO,
        "127.0.0.1:8080",
        "0.0.0.0:8080",
        &[
            "3:11 cookie-not-secure | `listen.gateway` is 0.0.0.0:8080, which is not loopback, and nothing says that browsers come over https | set `tls`; or, behind a proxy that encrypts, set `public_url` with `https://` and `trusted_proxies` with the proxies that encrypt",
            "3:11 demo-not-loopback | `listen.gateway` is not loopback, and `[identity.demo]` lets anybody sign in as anybody | remove `[identity.demo]`, or use loopback everywhere: `127.0.0.1`",
        ],
    );
    check(
        DEMO,
        "127.0.0.1:8080\"",
        "127.0.0.1:8080\"\npublic_url = \"https://demo.example.com\"\ntrusted_proxies = [\"10.0.0.1\"]",
        &[
            "4:14 demo-not-loopback | `listen.public_url` is not loopback, and `[identity.demo]` lets anybody sign in as anybody | remove `[identity.demo]`, or use loopback everywhere: `127.0.0.1`",
            "5:19 demo-not-loopback | `listen.trusted_proxies` is not loopback, and `[identity.demo]` lets anybody sign in as anybody | remove `[identity.demo]`, or use loopback everywhere: `127.0.0.1`",
        ],
    );
    check(DEMO, "127.0.0.1:8080\"", "127.0.0.1:8080\"\npublic_url = \"http://localhost:8080\"", &[]);
    check(
        DEMO,
        "\"bob\"",
        "\"alice\"",
        &[
            "9:97 duplicate-name | there is another `[[identity.demo.users]]` named `alice` | give each a name of its own",
        ],
    );
    check(
        DEMO,
        "desk 4",
        "desk, 4",
        &[
            "9:75 bad-name | `desk, 4` cannot be a name | leave out commas, control characters and spaces at the ends",
        ],
    );
    check(
        DEMO,
        "[identity.demo]\nusers",
        "[identity.demo]\nusers = []\n#",
        &[
            r#"9:9 empty-value | `identity.demo` has no users | add one: `users = [{ name = "alice" }]`, or remove `[identity.demo]`"#,
        ],
    );
    check(
        DEMO,
        "[identity.demo]\nusers",
        "[identity.demo]\n#",
        &[
            r#"8:1 missing-key | `identity.demo.users` is missing | add one: `users = [{ name = "alice" }]`, or remove `[identity.demo]`"#,
        ],
    );
    check(
        DEMO,
        "[identity.demo]",
        "[identity.oidc]\nissuer = \"https://idp.example\"\nclient_id = \"n\"\nclient_secret_env = \"S\"\n[identity.demo]",
        &[
            "12:1 two-sign-ins | `[identity.demo]` lets anybody sign in as anybody, so it cannot stand beside `[identity.oidc]` | remove one of them",
        ],
    );
    for (age, expected) in [
        ("2m", &[][..]),
        (
            "2m1s",
            &[
                "12:28 silent-return | whoever finds a browser whose session ended after `idle`, 2m, gets a new one without a prompt until 2m1s after its owner authenticated | remove `provider_session_max_age`, or make it no longer than the shortest idle limit",
            ],
        ),
    ] {
        let provider = format!(
            "[identity.oidc]\nissuer = \"https://idp.example\"\nclient_id = \"n\"\nclient_secret_env = \"S\"\nprovider_session_max_age = \"{age}\"\n#"
        );
        check(DEMO, "[identity.demo]\nusers", &provider, expected);
    }
    check(
        DEMO,
        "[identity.demo]\nusers",
        "#",
        &[
            r#"1:1 nobody-can-sign-in | no session can start: there is no sign-in, and no `[[api_key]]` with the role `issuer` | add `[identity.oidc]`, or an `[[api_key]]` with `role = "issuer"`, or for a demo on loopback `[identity.demo]`"#,
        ],
    );
}

#[test]
fn api_keys() {
    check(
        FULL,
        "key_env = \"AUDIT_KEY\"",
        "key = \"hush\"",
        &[
            r#"45:1 inline-secret | `api_key.key` puts a secret into the configuration file | put it into a file and write `key_file = "secrets/.."`; then make a new secret, as this one has been read"#,
        ],
    );
    check(
        FULL,
        "key_env = \"AUDIT_KEY\"",
        "",
        &[
            r#"42:1 secret-source | nothing says where the secret is | give one of `key_file = "secrets/.."` and `key_env = ".."`"#,
        ],
    );
    check(
        FULL,
        "key_env = \"AUDIT_KEY\"",
        "key_env = \"AUDIT_KEY\"\nkey_file = \"x\"",
        &[
            r#"45:11 secret-source | both `key_file` and `key_env` say where the secret is | give one of `key_file = "secrets/.."` and `key_env = ".."`"#,
        ],
    );
    check(
        FULL,
        "AUDIT_KEY",
        "AUDIT-KEY",
        &[
            r#"45:11 bad-name | this is not the name of an environment variable | for example: `key_env = "TRADING_BACKEND_KEY"`"#,
        ],
    );
    check(
        FULL,
        "\"auditor\"",
        "\"admin\"",
        &[
            "44:8 bad-choice | `api_key.role` does not take `admin` | it takes `issuer`, `checker`, `operator`, `auditor`",
        ],
    );
    check(
        FULL,
        "\"audit\"",
        "\"trading-backend\"",
        &[
            "43:8 duplicate-name | there is another `[[api_key]]` named `trading-backend` | give each a name of its own",
        ],
    );
}

#[test]
fn witnesses() {
    const KEY: &str = "witness.example/w1+04d2d833+BD1AF8PoQ4lakrcKp00bfrycmCzPLsSWjMDNVfEq9GYM";
    const FORM: &str =
        r#"for example: `key = "witness.example/w1+04d2d833+BD1AF8PoQ4lakrcKp00bfrycmCzPLsSWjMDNVfEq9GYM"`"#;
    let private = "PRIVATE+KEY+witness.example/w1+04d2d833+AZ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g";
    let log = "example.com/log+cc714670+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea";
    let turned = KEY.replace("GYM", "GYN");
    for (key, expected) in [
        (
            private,
            "it is a private one | write the public one, which has no `PRIVATE+KEY+` before its name; whoever runs the witness needs a new pair, as this one has been read".to_owned(),
        ),
        ("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=", format!("not a verifier key: want `name+id+base64` | {FORM}")),
        (&turned, format!("the key id does not belong to this name and key | {FORM}")),
        (
            log,
            "it is the key of a log | ask whoever runs the witness for its verifier key; the part behind the last `+` begins with `B`".to_owned(),
        ),
    ] {
        check(FULL, KEY, key, &[&format!("79:7 bad-witness-key | this cannot be a witness's key: {expected}")]);
        let shown = read(&FULL.replacen(KEY, key, 1)).findings.render(false);
        assert_eq!(shown.contains(key), key == log, "only what is public is shown: {shown}");
    }
}

#[test]
fn how_often_the_record_is_shown() {
    check(
        FULL,
        "\"30m\"",
        "\"999ms\"",
        &[
            "76:16 bad-duration | `999ms` is too often for anybody to be asked over a network | a second at least; `10m` or `1h` is usual",
        ],
    );
    check(FULL, "\"30m\"", "\"1s\"", &[]);
}

#[test]
fn limits() {
    check(
        FULL,
        "head = \"32KiB\"",
        "head = \"32KB\"",
        &[
            "56:8 bad-size | `32KB` is not a size | write a whole number with the unit B, KiB, MiB or GiB: `64KiB`",
        ],
    );
    check(
        FULL,
        "head = \"32KiB\"",
        "head = \"512B\"",
        &[
            "56:8 out-of-bounds | `head` is 512B, which is not from 8KiB to 1MiB | browsers send cookies of several KiB, and every connection may take this much memory",
        ],
    );
    check(
        FULL,
        "connections = 5000",
        "connections = 0",
        &[
            "54:15 out-of-bounds | `connections` is 0, which is not from 16 to 1000000 | for example: `connections = 10000`",
        ],
    );
    check(
        FULL,
        "head_fields = 200",
        "head_fields = -1",
        &[
            "57:15 out-of-bounds | `head_fields` is -1, which is not from 32 to 1000 | for example: `head_fields = 100`",
        ],
    );
}

#[test]
fn uncovered() {
    check(
        FULL,
        "2027-01-31",
        "2027-01-31T00:00:00Z",
        &[
            "51:13 wrong-type | `uncovered.review_by` is a time, but must be a date without quotes | for example: `review_by = 2027-01-31`",
        ],
    );
    check(
        FULL,
        "owner = \"Retail Operations\"",
        "owner = \" \"",
        &[r#"49:9 empty-value | this must not be empty | for example: `owner = "Retail Operations"`"#],
    );
}

#[test]
fn sensitive_routes() {
    let row = |to: &str, expected: &[&str]| {
        check(
            DOORS,
            r#"{ route = "POST /orders/**", authentication_age = "5m", acr = "phr" }"#,
            to,
            expected,
        );
    };
    row(r#"{ route = "POST /orders/**", authentication_age = "1s" }"#, &[]);
    row(
        r#"{ route = "POST /orders/**" }"#,
        &[
            r#"19:14 missing-key | `app.sensitive.authentication_age` is missing | add it to `app.sensitive`: `authentication_age = "5m"`"#,
        ],
    );
    row(
        r#"{ route = "post /orders", authentication_age = "999ms", acr = "a b" }"#,
        &[
            r#"19:24 bad-pattern | `post` is not a method | methods are in capitals: `POST`"#,
            r#"19:61 out-of-bounds | `999ms` is over before anybody comes back | give people the time to come back from signing in: `5m`"#,
            r#"19:76 bad-choice | `a b` is not one value of `acr` | write one as the provider does, without blanks and quotes: `urn:mace:incommon:iap:silver`"#,
        ],
    );
    row(
        r#"{ route = "WS /x", authentication_age = "5m", age = "1m" }"#,
        &[
            r#"19:60 unknown-key | `age` is not a key of `app.sensitive` | known here: `route`, `authentication_age`, `acr`"#,
        ],
    );
    row(
        r#""POST /orders""#,
        &[
            r#"19:14 wrong-type | `app.sensitive` has text in it, but must be a list of tables: `sensitive = [{ route = "..", authentication_age = ".." }]` | write it as `[{ route = "POST /orders/**", authentication_age = "5m" }]`"#,
        ],
    );
}
