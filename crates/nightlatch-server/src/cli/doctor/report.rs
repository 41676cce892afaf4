//! Findings, and how they are said.

use crate::cli::out::{Done, Out};
use serde::Serialize;
use std::fmt::Display;

/// How what was seen is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    /// As it should be.
    Good,
    /// It works, and may not for long, or not for everybody.
    Warning,
    /// It does not do what was promised.
    Wrong,
    /// Nobody knows: it could not be seen from here.
    NotLookedAt,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    /// What kind of check it is; a word that does not change.
    check: &'static str,
    result: Verdict,
    looked_at: String,
    /// What was seen, or why nothing was.
    seen: String,
    #[serde(rename = "do", skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

/// Everything that was looked at, in order.
#[derive(Debug, Default)]
pub(super) struct Report {
    findings: Vec<Finding>,
}

impl Report {
    /// Seen to be as it should be.
    pub(super) fn good(&mut self, check: &'static str, looked_at: impl Display, seen: impl Display) {
        self.add(check, Verdict::Good, &looked_at, &seen, None);
    }

    /// Seen to need attention; `remedy` says what to do.
    pub(super) fn warning(
        &mut self,
        check: &'static str,
        looked_at: impl Display,
        seen: impl Display,
        remedy: impl Display,
    ) {
        self.add(check, Verdict::Warning, &looked_at, &seen, Some(&remedy));
    }

    /// Seen to be wrong; `remedy` says what to do.
    pub(super) fn wrong(
        &mut self,
        check: &'static str,
        looked_at: impl Display,
        seen: impl Display,
        remedy: impl Display,
    ) {
        self.add(check, Verdict::Wrong, &looked_at, &seen, Some(&remedy));
    }

    /// Not seen, and why.
    pub(super) fn not_looked_at(&mut self, check: &'static str, what: impl Display, why: impl Display) {
        self.add(check, Verdict::NotLookedAt, &what, &why, None);
    }

    fn add(
        &mut self,
        check: &'static str,
        result: Verdict,
        looked_at: &dyn Display,
        seen: &dyn Display,
        remedy: Option<&dyn Display>,
    ) {
        let finding = Finding {
            check,
            result,
            looked_at: looked_at.to_string(),
            seen: seen.to_string(),
            remedy: remedy.map(ToString::to_string),
        };
        self.findings.push(finding);
    }

    fn count(&self, result: Verdict) -> usize {
        self.findings.iter().filter(|finding| finding.result == result).count()
    }

    /// Whether something is wrong; with `strict`, also whether something needs attention.
    pub(super) fn is_bad(&self, strict: bool) -> bool {
        self.count(Verdict::Wrong) > 0 || (strict && self.count(Verdict::Warning) > 0)
    }

    /// Says all of it: a line for each, and one that counts them.
    pub(super) fn print(&self, out: Out) -> Done {
        let [good, warnings, wrong, unseen] =
            [Verdict::Good, Verdict::Warning, Verdict::Wrong, Verdict::NotLookedAt]
                .map(|result| self.count(result));
        if out.json {
            return out.value(&serde_json::json!({
                "good": good,
                "warnings": warnings,
                "wrong": wrong,
                "not_looked_at": unseen,
                "findings": self.findings,
            }));
        }
        for finding in &self.findings {
            out.line(line(finding))?;
        }
        let s = if warnings == 1 { "" } else { "s" };
        out.line(format_args!("{wrong} wrong, {warnings} warning{s}, {unseen} not looked at, {good} good"))
    }
}

fn line(finding: &Finding) -> String {
    let word = match finding.result {
        Verdict::Good => "good",
        Verdict::Warning => "warning",
        Verdict::Wrong => "WRONG",
        Verdict::NotLookedAt => "not looked at",
    };
    // What comes from elsewhere may have lines; a finding has one.
    let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (looked_at, seen) = (flat(&finding.looked_at), flat(&finding.seen));
    let remedy = finding.remedy.as_deref().map(|remedy| format!(". {}", capital(&flat(remedy))));
    format!("{word:<14}{looked_at}: {seen}{}", remedy.unwrap_or_default())
}

/// The text with a large letter at its beginning.
fn capital(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map(|first| first.to_uppercase().collect::<String>() + rest.as_str()).unwrap_or_default()
}
