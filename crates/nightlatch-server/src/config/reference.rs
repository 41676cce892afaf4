//! The reference page, made from the list of keys.
//!
//! A page that is written by hand beside the code is wrong after the third change. This one is written by the code,
//! and a test compares it with the file in the repository.

use std::fmt::{self, Write};

use super::code::Code;
use super::key::{Form, Key, Need, SECTIONS, Section, Status};

const INTRODUCTION: &str = "\
<!-- Generated from the list of keys in the program. Change it there; a test compares this page with it. -->

# Configuration

Nightlatch reads one TOML file. `nightlatch config check FILE` says everything that is wrong with it at once, each
mistake with its line, its column and what to do, and opens no other file and no connection while it checks.

- A key that is not known is refused, with the nearest known one.
- A key that is part of the format but not enforced by this version is refused, too: what stands in the file is what
  happens. Such keys are marked *not yet* below.
- A file with a mistake is refused whole, and what was in force stays in force. Warnings do not refuse it.
- Secrets are never in the file. It names the file or the environment variable that holds them.
- Paths are relative to the folder of the file.

## How values are written

| Form | Written |
| --- | --- |
| duration | whole numbers with the units `d`, `h`, `m`, `s`, `ms`, the greatest first, each at most once: `\"15m\"`, `\"1h30m\"`, `\"250ms\"`. Zero and more than a year are refused. |
| size | a whole number with the unit `B`, `KiB`, `MiB` or `GiB`: `\"64KiB\"` |
| date | TOML's own, without quotes: `2027-01-31` |
| IP address and port | `\"127.0.0.1:8081\"`, `\"[::1]:8081\"`; names are not looked up |
| network | `\"10.0.1.0/24\"`, or a single address |
| name | up to 64 of `a`-`z`, `0`-`9` and `-` |
| route pattern | `\"/path\"` or `\"METHOD /path\"`, the method in capitals. `*` is one whole segment, `**` any number of segments; they are never a part of a segment. Requests are matched on the whole canonical path, so a pattern has the path of its app in front, and no `%`. `WS` is a WebSocket handshake and the frames after it. |

## A whole file

```toml
version  = 1
timezone = \"America/New_York\"

[listen]
gateway = \"0.0.0.0:8443\"
tls     = { cert = \"tls/cert.pem\", key = \"tls/key.pem\" }

[data]
dir = \"data\"

[policy]
idle     = \"15m\"
absolute = \"12h\"
warning  = \"2m\"

[[app]]
name     = \"blotter\"
match    = { host = \"desk.example.com\", path = \"/\" }
upstream = \"http://127.0.0.1:3000\"
public   = [\"GET /healthz\", \"GET /assets/**\"]
passive  = [\"POST /api/poll/**\"]

[[api_key]]
name     = \"trading-backend\"
role     = \"issuer\"
key_file = \"secrets/trading-backend\"
```
";

const CODES: &str = "
## What the check can say

The code of a finding never changes its meaning; the sentence beside it may. As JSON a finding has `level`, `code`,
`key`, `line`, `column`, `text`, `message` and `hint`. Values of secrets are left out of `text`.

| Code | Level | Means |
| --- | --- | --- |
";

/// The whole of `docs/reference/configuration.md`.
pub(crate) fn reference_markdown() -> String {
    let mut page = INTRODUCTION.to_owned();
    for section in SECTIONS {
        // Writing to a string does not fail.
        let _ = write_section(&mut page, section);
    }
    page.push_str(CODES);
    for code in Code::ALL {
        let _ = writeln!(page, "| `{code}` | {} | {} |", code.level(), cell(code.means().trim()));
    }
    page
}

fn write_section(page: &mut String, section: &Section) -> fmt::Result {
    let title =
        if section.path.is_empty() { "Top of the file".to_owned() } else { format!("`{}`", section.header) };
    writeln!(page, "\n## {title}\n\n{}\n", section.about)?;
    // Tables under a header of their own have sections of their own; where there is nothing else, there is no list.
    let mut keys = section.keys.iter().filter(|key| !key.is_header()).peekable();
    if keys.peek().is_some() {
        writeln!(page, "| Key | Form | Default | Means |\n| --- | --- | --- | --- |")?;
    }
    keys.try_for_each(|key| write_key(page, key))
}

fn write_key(page: &mut String, key: &Key) -> fmt::Result {
    let form = if key.form == Form::Any { String::new() } else { key.form.to_string() };
    let default = match (key.status, key.need) {
        (Status::NotYet, _) => "*not yet*".to_owned(),
        (Status::Never(_), _) => "*refused*".to_owned(),
        (Status::Now, Need::Required) => "required".to_owned(),
        (Status::Now, Need::Default(value)) => format!("`{value}`"),
        (Status::Now, Need::Optional(absence)) => format!("absent: {absence}"),
    };
    let example = if key.example.is_empty() { String::new() } else { format!(" Example: `{}`", key.example) };
    let later = match key.form {
        Form::Choice(words) if !words.later.is_empty() => {
            format!(" *Not yet:* `{}`.", words.later.join("`, `"))
        }
        _ => String::new(),
    };
    writeln!(
        page,
        "| `{}` | {} | {} | {}{later}{} |",
        key.name,
        cell(&form),
        cell(&default),
        cell(key.means),
        cell(&example)
    )
}

/// A text inside of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
