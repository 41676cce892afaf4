//! Findings as text for people.
//!
//! The form is the one compilers have taught everybody to read: what, where, the line, a mark under it, and what to
//! do. Colour is decided by the caller, who knows whether a terminal is listening; nothing here looks at the
//! environment.

use std::fmt::{self, Write};

use super::code::Level;
use super::finding::{Finding, Findings};

impl Findings {
    /// All findings and a closing line that counts them; empty if there are none.
    pub(crate) fn render(&self, colour: bool) -> String {
        let mut out = String::new();
        for finding in &self.list {
            // Writing to a string does not fail.
            let _ = self.render_one(&mut out, finding, Paint { colour });
        }
        if !self.list.is_empty() {
            let _ = writeln!(out, "{}: {}", self.file, self.count_in_words());
        }
        out
    }

    fn render_one(&self, out: &mut String, finding: &Finding, paint: Paint) -> fmt::Result {
        let place = &finding.place;
        let level = finding.code.level();
        let gutter = place.line.to_string().len();
        let bar = paint.dim("|");
        let title = paint.level(level, &format!("{level}[{}]", finding.code));
        writeln!(out, "{title}: {}", finding.message)?;
        writeln!(out, "{:gutter$}{} {}:{}:{}", "", paint.dim("-->"), self.file, place.line, place.column)?;
        if !place.text.is_empty() {
            // A tab stays a tab in the padding, or the mark would stand elsewhere than the thing it marks.
            let padding: String =
                place.text.chars().take(place.caret).map(|c| if c == '\t' { c } else { ' ' }).collect();
            let mark = paint.level(level, &"^".repeat(place.width));
            writeln!(out, "{:gutter$} {bar}", "")?;
            writeln!(out, "{} {bar} {}", paint.dim(&place.line.to_string()), place.text)?;
            writeln!(out, "{:gutter$} {bar} {padding}{mark}", "")?;
        }
        writeln!(out, "{:gutter$} {} help: {}", "", paint.dim("="), finding.hint)?;
        writeln!(out)
    }

    fn count_in_words(&self) -> String {
        let some = |count: usize, word: &str| {
            (count > 0).then(|| format!("{count} {word}{}", if count == 1 { "" } else { "s" }))
        };
        let counts = [some(self.errors(), "error"), some(self.warnings(), "warning")];
        counts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

#[derive(Clone, Copy)]
struct Paint {
    colour: bool,
}

impl Paint {
    fn level(self, level: Level, text: &str) -> String {
        self.with(if level == Level::Error { "1;31" } else { "1;33" }, text)
    }

    fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    fn with(self, style: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{style}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::code::Code;
    use super::super::finding::Place;
    use super::*;

    fn findings() -> Findings {
        let place = Place { line: 12, column: 3, text: "\tidle = 15".to_owned(), caret: 8, width: 2 };
        let finding = |code, place| Finding {
            code,
            key: "policy.idle".to_owned(),
            place,
            message: "what is wrong".to_owned(),
            hint: "what to do".to_owned(),
        };
        let list = vec![finding(Code::WrongType, place), finding(Code::ShortWarning, Place::nowhere())];
        Findings { file: "n.toml".to_owned(), list }
    }

    #[test]
    fn plain_text_marks_the_place_under_tabs() {
        let expected = "\
error[wrong-type]: what is wrong
  --> n.toml:12:3
   |
12 | \tidle = 15
   | \t       ^^
   = help: what to do

warning[short-warning]: what is wrong
 --> n.toml:1:1
  = help: what to do

n.toml: 1 error, 1 warning
";
        assert_eq!(findings().render(false), expected);
    }

    #[test]
    fn colour_changes_nothing_but_the_colour() {
        let coloured = findings().render(true);
        let mut plain = coloured.clone();
        for style in ["\u{1b}[1;31m", "\u{1b}[1;33m", "\u{1b}[2m", "\u{1b}[0m"] {
            plain = plain.replace(style, "");
        }
        assert_ne!(coloured, plain);
        assert_eq!(plain, findings().render(false));
    }

    #[test]
    fn nothing_found_is_nothing_said() {
        assert_eq!(Findings { file: "n.toml".to_owned(), list: Vec::new() }.render(false), "");
    }

    #[test]
    fn json_is_flat() {
        let json = serde_json::to_value(findings()).unwrap();
        assert_eq!(json["errors"], 1);
        assert_eq!(json["findings"][0]["code"], "wrong-type");
        assert_eq!(json["findings"][0]["level"], "error");
        assert_eq!(json["findings"][0]["line"], 12);
        assert_eq!(json["findings"][1]["level"], "warning");
    }
}
