//! The words and fields of entries, and the pages and programs of others that must know them all.

use super::*;
use nightlatch_core::EndReason;
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::Path};

/// Every kind, with everything that it can say.
fn one_of_each() -> Vec<Entry> {
    let text = || "said".to_owned();
    let block = || BlockRecord { subject: text(), at: 1, by: text(), cause: Some(text()) };
    vec![
        Entry::SessionStarted(Box::new(SessionStarted {
            session: text(),
            subject: text(),
            kind: text(),
            groups: vec![text()],
            cause: text(),
            at: 1,
            started: 1,
            last_activity: 1,
            policy: 1,
            idle_ms: 1,
            idle_rule: text(),
            hard_end: 1,
            hard_end_rule: text(),
            warning_ms: 1,
            app: Some(text()),
            acr: Some(text()),
            continues: Some(text()),
            provider_session: Some(text()),
            parent: Some(text()),
            credential: text(),
            slot: 1,
            generation: 1,
        })),
        Entry::SessionEnded(SessionEnded {
            session: text(),
            subject: text(),
            reason: text(),
            cause: Some(text()),
            by: text(),
            ended_at: 1,
            at: 1,
            deadline: 1,
            last_activity: 1,
            policy: 1,
            lateness_us: Some(1),
            while_down: true,
            passive: 1,
            open: 1,
        }),
        Entry::Cut(Cut {
            session: text(),
            subject: text(),
            reason: text(),
            channel: text(),
            route: text(),
            point: text(),
            how: text(),
            ended_at: 1,
            at: 1,
            lateness_us: 1,
        }),
        Entry::RefusedAfterEnd { session: text(), at: 1, point: text() },
        Entry::AuthenticationAdded(AuthenticationAdded {
            session: text(),
            subject: text(),
            cause: text(),
            at: 1,
            authenticated: 1,
            acr: Some(text()),
            credential: text(),
        }),
        Entry::CredentialPresented { session: text(), at: 1, issued_by: 1 },
        Entry::LimitsLowered {
            session: text(),
            at: 1,
            idle_ms: 1,
            idle_rule: text(),
            hard_end: 1,
            hard_end_rule: text(),
        },
        Entry::OutcomeWithheld { session: text(), at: 1, route: text(), status: None },
        Entry::SubjectBlocked(block()),
        Entry::SubjectUnblocked(block()),
        Entry::ProviderLogout(ProviderLogoutRecord {
            at: 1,
            provider: text(),
            subject: Some(text()),
            provider_session: Some(text()),
            token: text(),
            good_until: 1,
            ended: 1,
        }),
        Entry::ClockStepped { at: 1, direction: text(), by_ms: 1 },
        Entry::MachineSuspended { at: 1, by_ms: 1 },
        Entry::ClockFault { at: 1, cause: text() },
        Entry::EntriesGaveWay { at: 1, count: 1 },
        Entry::Restored { at: 1, taken_at: 1, entries: 1 },
        Entry::Started {
            at: 1,
            version: text(),
            clean: true,
            live: 1,
            policy: PolicyRecord { version: 1, idle_ms: 1, absolute_ms: 1, warning_ms: 1 },
        },
        Entry::Stopped { at: 1 },
    ]
}

/// A kind of entry: its word, and its fields as they are written; those in the second set may be absent.
struct Form {
    word: String,
    fields: Vec<(String, Value)>,
    may_be_absent: BTreeSet<String>,
}

/// What may be absent is found by leaving it out and reading what is left.
fn forms() -> Vec<Form> {
    let form = |entry: Entry| {
        let Value::Object(whole) = serde_json::to_value(&entry).unwrap() else { panic!("an object") };
        let readable_without = |name: &str| {
            let mut less = whole.clone();
            less.remove(name);
            Entry::from_bytes(&serde_json::to_vec(&less).unwrap()).is_ok()
        };
        // What is written though it is nothing, `null`, is not absent.
        let fields = || whole.iter().filter(|(name, _)| *name != "what");
        let may_be_absent = fields().filter(|(name, value)| !value.is_null() && readable_without(name));
        Form {
            word: whole["what"].as_str().unwrap().to_owned(),
            may_be_absent: may_be_absent.map(|(name, _)| name.clone()).collect(),
            fields: fields().map(|(name, value)| (name.clone(), value.clone())).collect(),
        }
    };
    one_of_each().into_iter().map(form).collect()
}

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_words_are_those_that_are_read() {
    let none = Entry::from_bytes(br#"{"what":"nothing"}"#).unwrap_err().to_string();
    let (_, known) = none.split_once("expected one of ").unwrap();
    let known = known.split(" at line").next().unwrap();
    assert_eq!(known, Entry::WORDS.map(|word| format!("`{word}`")).join(", "));
    let forms: Vec<String> = forms().into_iter().map(|form| form.word).collect();
    assert_eq!(forms, Entry::WORDS);
}

/// `docs/reference/ledger.md` has a section for each of the first kinds and a row for each of the others. What may be absent stands in italics.
#[test]
fn the_page_has_every_kind_with_every_field() {
    let page = page("docs/reference/ledger.md");
    let entries = page.split("\n## ").find(|part| part.starts_with("Entries")).unwrap();
    let section = |word: &str| entries.split("\n### ").find(|part| part.starts_with(&format!("`{word}`")));
    let row = |word: &str| {
        let is_of_it =
            |line: &&str| line.split('|').nth(1).is_some_and(|cell| cell.contains(&format!("`{word}`")));
        entries.split("\n### Others").nth(1)?.lines().find(is_of_it)
    };
    for Form { word, fields, may_be_absent } in forms() {
        let said =
            section(&word).or_else(|| row(&word)).unwrap_or_else(|| panic!("`{word}` is not on the page"));
        for (name, value) in fields {
            assert!(said.contains(&format!("`{name}`")), "`{name}` of `{word}` is not on the page");
            let in_italics = said.contains(&format!("*`{name}`*"));
            assert_eq!(
                in_italics,
                may_be_absent.contains(&name),
                "`{name}` of `{word}`: italics say that it may be absent"
            );
            for inner in value.as_object().into_iter().flatten().map(|(inner, _)| inner) {
                assert!(said.contains(inner), "`{inner}` in `{name}` of `{word}` is not on the page");
            }
        }
    }
    let reasons = section("session_ended").unwrap();
    for reason in EndReason::ALL {
        assert!(reasons.contains(&format!("`{reason}`")), "the end reason `{reason}` is not on the page");
    }
}

/// `proof/form.py` reads exported records and shares no code with us: it asks for the fields that are never absent, and knows which are numbers.
#[test]
fn the_verifier_of_others_knows_every_kind_and_what_is_never_absent() {
    let python = page("proof/form.py");
    let between = |begin: &str, end: &str| {
        let (_, rest) = python.split_once(begin).unwrap();
        rest.split_once(end).unwrap().0.to_owned()
    };
    let kinds = between("KINDS = {", "\n}");
    let words = |text: &str| -> BTreeSet<String> {
        text.split('"').skip(1).step_by(2).flat_map(str::split_whitespace).map(str::to_owned).collect()
    };
    let (numbers, texts) = (words(&between("_NUMBERS = ", "\n)")), words(&between("_TEXTS = ", "\n)")));
    for Form { word, fields, may_be_absent } in forms() {
        let line = kinds.lines().find(|line| line.trim_start().starts_with(&format!("\"{word}\": ")));
        let line = line.unwrap_or_else(|| panic!("`{word}` is not in proof/form.py"));
        let (_, known) = line.split_once(": ").unwrap();
        let needed = || fields.iter().filter(|(name, _)| name != "at" && !may_be_absent.contains(name));
        let names: BTreeSet<String> = needed().map(|(name, _)| name.clone()).collect();
        assert_eq!(words(known), names, "the fields of `{word}` in proof/form.py");
        for (name, value) in needed() {
            assert!(!value.is_number() || numbers.contains(name), "`{name}` of `{word}` is a number");
            assert!(!value.is_string() || texts.contains(name), "`{name}` of `{word}` is a text");
        }
    }
}
