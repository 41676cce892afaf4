//! From byte spans to lines that may be shown.
//!
//! The check quotes the offending line, and its output ends up in terminals, tickets and build logs. So this is the
//! one place where text of the file becomes text of a message, and it does two things on the way: secrets are left out
//! (`hidden` knows which), and control characters are replaced, so that a file cannot drive the terminal of the person
//! who checks it.

use std::ops::Range;

use toml::de::DeTable;

use super::finding::Place;
use super::hidden;

/// The text of the file, and which parts of it are not to be quoted.
pub(super) struct Source<'a> {
    text: &'a str,
    hidden: Vec<Range<usize>>,
}

impl<'a> Source<'a> {
    /// `tree` is what could be parsed of `text`; `broken` says that it is not all.
    pub(super) fn new(text: &'a str, tree: &DeTable<'_>, broken: bool) -> Self {
        Self { text, hidden: hidden::parts(text, tree, broken) }
    }

    /// The line on which `span` begins, and where on it.
    pub(super) fn place(&self, span: &Range<usize>) -> Place {
        let start = self.text.floor_char_boundary(span.start);
        let before = self.text.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let rest = self.text.get(line_start..).unwrap_or_default();
        let line = rest.split('\n').next().unwrap_or_default();
        let line = line.strip_suffix('\r').unwrap_or(line);

        let mut shown = Place {
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
            text: String::with_capacity(line.len()),
            caret: 0,
            width: 0,
        };
        let mut was_hidden = false;
        for (offset, c) in line.char_indices() {
            let at = line_start + offset;
            let hidden = self.hidden.iter().any(|range| range.contains(&at));
            if !(hidden && was_hidden) {
                shown.text.push(if hidden { '…' } else { printable(c) });
                shown.caret += usize::from(at < start);
                shown.width += usize::from(at >= start && at < span.end);
            }
            was_hidden = hidden;
        }
        shown.width = shown.width.max(1);
        shown
    }
}

/// A piece of the file as it may stand inside a message: short, and without control characters.
pub(super) fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut out: String = text.chars().take(LONGEST).map(printable).collect();
    if text.chars().nth(LONGEST).is_some() {
        out.push('…');
    }
    out
}

fn printable(c: char) -> char {
    match c {
        '\t' => c,
        // Marks that turn the direction of writing can make a line read as something it does not say.
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        _ if c.is_control() => '\u{fffd}',
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, at: &str) -> String {
        let (tree, errors) = DeTable::parse_recoverable(text);
        let source = Source::new(text, tree.get_ref(), !errors.is_empty());
        let start = text.find(at).unwrap();
        let place = source.place(&(start..start + at.len()));
        let carets = format!("{}{}", " ".repeat(place.caret), "^".repeat(place.width));
        format!("{}:{}\n{}\n{carets}", place.line, place.column, place.text)
    }

    #[test]
    fn a_place_counts_characters_not_bytes() {
        assert_eq!(shown("a = 1\nb = ['é', 'x']\n", "'x'"), "2:11\nb = ['é', 'x']\n          ^^^");
    }

    #[test]
    fn a_span_over_several_lines_is_marked_on_its_first() {
        assert_eq!(shown("a = [\r\n 1,\r\n]\r\n", "[\r\n 1"), "1:5\na = [\n    ^");
    }

    #[test]
    fn secrets_are_left_out_and_the_caret_still_points_right() {
        let text = "api_key = [{ key = \"hush\", role = \"boss\" }]";
        assert_eq!(
            shown(text, "\"boss\""),
            "1:35\napi_key = [{ key = …, role = \"boss\" }]\n                             ^^^^^^"
        );
        assert_eq!(shown("token = '''a\nhush'''", "token"), "1:1\ntoken = …\n^^^^^");
        assert_eq!(shown("token = '''a\nhush'''", "hush"), "2:1\n…\n^");
    }

    #[test]
    fn a_secret_in_the_place_of_a_variable_is_left_out() {
        assert_eq!(shown("key_env = 'h-u/s+h'", "'h"), "1:11\nkey_env = …\n          ^");
        assert_eq!(shown("key_env = 'AUDIT'", "'A"), "1:11\nkey_env = 'AUDIT'\n          ^^");
    }

    #[test]
    fn the_key_of_a_certificate_is_a_file_name_and_is_shown() {
        assert_eq!(shown("tls = { key = 'k.pem' }", "tls"), "1:1\ntls = { key = 'k.pem' }\n^^^");
    }

    #[test]
    fn what_is_public_by_its_form_is_shown_and_what_was_pasted_in_its_place_is_not() {
        let secret = "h0UshH0UsHhOushHoUsh+hous/h0UshH0UsHhOushHo=";
        let public = "witness.example/w1+04d2d833+BD1AF8PoQ4lakrcKp00bfrycmCzPLsSWjMDNVfEq9GYM";
        let private = "PRIVATE+KEY+witness.example/w1+04d2d833+AT1AF8PoQ4lakrcKp00bfrycmCzPLsSWjMDNVfEq9GYM";
        for (key, value, is_shown) in [
            ("ledger.witness = [{ key", public, true),
            ("ledger.witness = [{ key", private, false),
            ("ledger.witness = [{ key", secret, false),
            ("ledger.witness = [{ key", &public.replace('D', "E"), false),
            ("listen.tls = [{ key", "/etc/ssl/private/desk.example.com.pem", true),
            ("listen.tls = [{ key", "tls/key", true),
            ("listen.tls = [{ key", secret, false),
            ("listen.tls = [{ key", r"-----BEGIN PRIVATE KEY-----\nhush.\n", false),
            ("x = [{ key_file", "secrets/trading-backend-production", true),
            ("x = [{ apikey", "hush", false),
            ("x = [{ keys", "hush", false),
            ("x = [{ private", "hush", false),
            ("x = [{ Secret-Value", "hush", false),
            ("x = [{ monday", "hush", true),
        ] {
            let text = format!("{key} = \"{value}\" }}]");
            let found = shown(&text, "}]");
            assert_eq!(found.contains(value), is_shown, "{found}");
            assert_eq!(found.contains('…'), !is_shown, "{found}");
        }
    }

    #[test]
    fn secrets_are_left_out_of_broken_files_too() {
        for text in [
            "key = hush\nx",
            "a = {\nkey = \"hush\n",
            "[[api_key]\nclient-secret = 'hush'",
            "x = { y = 1, key = hush",
        ] {
            let (tree, errors) = DeTable::parse_recoverable(text);
            assert!(!errors.is_empty());
            let source = Source::new(text, tree.get_ref(), true);
            let at = text.find("hush").unwrap();
            assert!(!source.place(&(at..at + 1)).text.contains("hush"), "{text}");
        }
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(
            shown("a = \"\u{1b}[2J\u{202e}\" # x", "x"),
            "1:15\na = \"\u{fffd}[2J\u{fffd}\" # x\n              ^"
        );
    }
}
