//! What of the file is not to be shown to anybody.
//!
//! The check quotes lines, and what it says ends up in terminals, tickets and build logs. People do write secrets inline (that is the
//! mistake being reported), and they paste a private key where a public one belongs. So the value of a key that sounds like a secret is
//! left out, unless it is something public by its form: the name of a file, the name of a variable, a verifier key.

use std::ops::Range;

use nightlatch_ledger::VerifierKey;
use toml::de::{DeTable, DeValue};

/// The parts of `text` that hold secrets. `tree` is what could be parsed of it. Where that is not all (`broken`), the tree cannot be
/// trusted to know every value, and what follows the name of a secret on its line is hidden as well.
pub(super) fn parts(text: &str, tree: &DeTable<'_>, broken: bool) -> Vec<Range<usize>> {
    let mut hidden = Vec::new();
    in_table(tree, "", &mut hidden);
    if broken {
        in_lines(text, &mut hidden);
    }
    hidden
}

fn in_table(table: &DeTable<'_>, parent: &str, hidden: &mut Vec<Range<usize>>) {
    for (key, value) in table.iter() {
        in_value(value.get_ref(), value.span(), [parent, key.get_ref()], hidden);
    }
}

/// `names` are those of the table and of the key in it.
fn in_value(value: &DeValue<'_>, span: Range<usize>, names: [&str; 2], hidden: &mut Vec<Range<usize>>) {
    match value {
        DeValue::Table(table) => in_table(table, names[1], hidden),
        DeValue::Array(items) => {
            items.iter().for_each(|item| in_value(item.get_ref(), item.span(), names, hidden));
        }
        DeValue::Boolean(_) => {}
        _ if !is_public(names, value.as_str()) => hidden.push(span),
        _ => {}
    }
}

fn in_lines(text: &str, hidden: &mut Vec<Range<usize>>) {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let mut from = 0;
        while let Some(equals) = line.get(from..).and_then(|rest| rest.find('=')) {
            let equals = from + equals;
            let name = line.get(from..equals).unwrap_or_default();
            let name = name.rsplit(['.', '{', ',', '[']).next().unwrap_or_default();
            if sounds_secret(name.trim().trim_matches(['"', '\''])) {
                hidden.push(start + equals + 1..start + line.len());
                break;
            }
            from = equals + 1;
        }
        start += line.len();
    }
}

/// Whether a value may be shown: by the name of its key, or by what it is.
fn is_public([table, key]: [&str; 2], text: Option<&str>) -> bool {
    if key.ends_with("_env") {
        // What is not the name of a variable may be what the variable should hold.
        return text.is_none_or(|text| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
    }
    let by_its_form = match table {
        "tls" => text.is_some_and(is_file_name),
        "witness" => text.is_some_and(|text| text.parse::<VerifierKey>().is_ok()),
        _ => false,
    };
    by_its_form || !sounds_secret(key)
}

/// Short, or with a dot, which neither base64 nor hexadecimal has; on one line.
fn is_file_name(text: &str) -> bool {
    !text.contains(char::is_control) && (text.len() < 32 || text.contains('.'))
}

/// Whether what stands under this key is most likely a secret, or something that opens one.
fn sounds_secret(key: &str) -> bool {
    const ANYWHERE: [&str; 6] = ["secret", "password", "passwd", "passphrase", "token", "private"];
    let key = key.to_ascii_lowercase();
    let is_named = ["_file", "_env"].iter().any(|end| key.ends_with(end));
    !is_named
        && (key.ends_with("key") || key.ends_with("keys") || ANYWHERE.iter().any(|word| key.contains(word)))
}
