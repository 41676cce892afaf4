//! Whatever the text, the check answers.
//!
//! The file comes from people and from templates that went wrong, and the check runs in places where it must not
//! fall over: in a reload on the machine that enforces. So random text, and valid files with random damage, are read
//! and rendered; nothing may panic, and a configuration comes out exactly if nothing was refused.

use proptest::prelude::*;

use super::{DEMO, FULL, read};

fn answers(text: &str) -> Result<(), TestCaseError> {
    let reading = read(text);
    prop_assert_eq!(reading.config.is_some(), reading.findings.errors() == 0);
    let lines = text.matches('\n').count() + 1;
    for finding in &reading.findings.list {
        prop_assert!(finding.place.line <= lines);
        prop_assert!(finding.place.column >= 1 && finding.place.width >= 1);
        prop_assert!(!finding.message.is_empty() && !finding.hint.is_empty());
        let printable = |text: &str| !text.contains(|c: char| c.is_control() && c != '\t');
        prop_assert!(printable(&finding.place.text), "{:?}", finding.place.text);
        prop_assert!(printable(&finding.message), "{:?}", finding.message);
        prop_assert!(printable(&finding.hint), "{:?}", finding.hint);
    }
    prop_assert_eq!(reading.findings.render(false).is_empty(), reading.findings.list.is_empty());
    Ok(())
}

/// Values that are right for some key and wrong for the others.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("\"15m\"".to_owned()),
        Just("\"/**\"".to_owned()),
        Just("[]".to_owned()),
        Just("[\"*\", \"\"]".to_owned()),
        Just("{ cert = \"\" }".to_owned()),
        Just("[{}]".to_owned()),
        Just("-0x7fffffffffffffffffff".to_owned()),
        Just("1979-05-27T07:32:00Z".to_owned()),
        Just("inf".to_owned()),
        Just("'''\n\u{1b}é\n'''".to_owned()),
        "\"[^\"\\\\\n]{0,20}\"",
    ]
}

fn cut(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at % (text.len() + 1))
}

proptest! {
    #[test]
    fn any_text(text in any::<String>()) {
        answers(&text)?;
    }

    #[test]
    fn text_like_toml(text in "([a-z_]{1,8}|[\\[\\]{}=\"'.,#\n\t *-]|[0-9é\u{1b}]){0,80}") {
        answers(&text)?;
    }

    #[test]
    fn a_piece_missing(demo in any::<bool>(), start in any::<usize>(), length in 0..60_usize) {
        let text = if demo { DEMO } else { FULL };
        let (start, end) = (cut(text, start), 0);
        let end = end.max(cut(text, (start + length).min(text.len())));
        answers(&format!("{}{}", &text[..start], &text[end..]))?;
    }

    #[test]
    fn a_piece_inserted(demo in any::<bool>(), at in any::<usize>(), piece in "[\\PC\n]{0,12}") {
        let text = if demo { DEMO } else { FULL };
        let at = cut(text, at);
        answers(&format!("{}{piece}{}", &text[..at], &text[at..]))?;
    }

    #[test]
    fn values_exchanged(demo in any::<bool>(), lines in prop::collection::vec((any::<usize>(), value()), 1..6)) {
        let mut text: Vec<String> = if demo { DEMO } else { FULL }.lines().map(str::to_owned).collect();
        for (n, value) in lines {
            let n = n % text.len();
            if let Some((key, _)) = text[n].clone().split_once('=') {
                text[n] = format!("{key}= {value}");
            }
        }
        answers(&text.join("\n"))?;
    }
}
