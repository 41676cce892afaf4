//! `[policy]`: when a session ends.
//!
//! The three numbers only make sense together: the idle limit inside the absolute one, the warning inside the idle
//! one. A warning longer than the idle limit would be on screen all the time, and an idle limit as long as the
//! absolute one would look like a rule and never apply. Both are refused rather than clamped, because whoever wrote
//! them meant something else.

use serde::Serialize;

use super::code::Code;
use super::duration::Millis;
use super::key::{Form, Key, Need, Section, Status};
use super::mistake::Mistake;
use super::notes::Notes;
use super::reader::Table;

/// WCAG 2.2.1 gives people at least this long to extend a limit.
const WARNING_MIN: Millis = Millis(20_000);

pub(super) static SECTION: Section = Section {
    path: "policy",
    header: "[policy]",
    about: "When a session ends. What it should be is set by your firm; Nightlatch has no opinion, so the two limits have no default. `warning` < `idle` < `absolute`.",
    keys: &[
        Key {
            name: "idle",
            form: Form::Duration,
            need: Need::Required,
            status: Status::Now,
            example: "\"15m\"",
            means: "The idle limit: the session ends when this long has passed since the last activity.",
        },
        Key {
            name: "absolute",
            form: Form::Duration,
            need: Need::Required,
            status: Status::Now,
            example: "\"12h\"",
            means: "The absolute limit: the session ends this long after sign-in, whatever happens.",
        },
        Key {
            name: "warning",
            form: Form::Duration,
            need: Need::Default("\"2m\""),
            status: Status::Now,
            example: "\"2m\"",
            means: "How long before the deadline the user is warned. Under 20 seconds is reported, see WCAG 2.2.1.",
        },
        Key::later("preset", Form::Name, "\"pci-dss-4\"", "Limits from a published standard."),
        Key::later("sessions_per_subject", Form::Integer, "3", "How many sessions one subject may have."),
        Key::later("on_limit", Form::Text, "\"displace_oldest\"", "What happens at that number."),
        Key::later("rule", Form::Tables, "", "Stricter limits for some."),
        Key::later("exception", Form::Tables, "", "Looser limits for some: named, approved, expiring."),
    ],
};

/// `[policy]`; `warning` < `idle` < `absolute`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Policy {
    /// The idle limit.
    pub(crate) idle: Millis,
    /// The absolute limit.
    pub(crate) absolute: Millis,
    /// How long before the deadline the user is warned.
    pub(crate) warning: Millis,
}

impl Policy {
    pub(super) fn read(notes: &mut Notes<'_>, root: &Table<'_>) -> Option<Self> {
        let table = root.child(notes, &SECTION, "policy")?;
        let idle = table.text(notes, "idle", Millis::parse);
        let absolute = table.text(notes, "absolute", Millis::parse);
        let warning = table.text(notes, "warning", Millis::parse);
        if let (Some(idle), Some(absolute)) = (idle, absolute)
            && idle >= absolute
        {
            let message = format!("`idle` is {idle}, which is not shorter than `absolute`, {absolute}");
            let hint = "make `idle` shorter, or `absolute` longer; otherwise the idle limit would never end a session";
            notes.blame("policy.idle", Mistake::new(Code::LimitsOutOfOrder, message).hint(hint));
        }
        if let (Some(idle), Some(warning)) = (idle, warning)
            && warning >= idle
        {
            let written = if table.has("warning") { "" } else { " by default" };
            let at = if table.has("warning") { "policy.warning" } else { "policy.idle" };
            let message =
                format!("`warning` is {warning}{written}, which is not shorter than `idle`, {idle}");
            let hint = "set `warning` to less than `idle`; otherwise users would be warned all the time";
            notes.blame(at, Mistake::new(Code::LimitsOutOfOrder, message).hint(hint));
        }
        if let Some(warning) = warning.filter(|warning| *warning < WARNING_MIN) {
            let message = format!(
                "`warning` is {warning}; WCAG 2.2.1 gives people at least 20 seconds to extend a time limit"
            );
            let hint = "set it to `20s` or more, unless this is for a test";
            notes.blame("policy.warning", Mistake::new(Code::ShortWarning, message).hint(hint));
        }
        Some(Self { idle: idle?, absolute: absolute?, warning: warning? })
    }
}
