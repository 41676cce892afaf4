//! What the running server knows of its witnesses: whether one has seen another history, and how old the last cosignature of each is.

use super::{clock::said, report::Report};
use crate::{config::Config, words::instant_ms};
use nightlatch_engine::{OsTime, TimeSource as _};
use std::time::Duration;

/// So many regular times may pass without a cosignature before that is said.
const MISSED_MOST: u64 = 3;

/// Looks at each witness of the configuration in the server's metrics.
pub(super) fn look(report: &mut Report, config: &Config, metrics: &str) {
    let allowed = Duration::from_millis(config.ledger.anchor_every.0.saturating_mul(MISSED_MOST));
    for witness in &config.ledger.witnesses {
        let name = witness.key.name();
        let number = |metric: &str| {
            let of = format!("nightlatch_witness_{metric}{{witness=\"{name}\"}} ");
            metrics.lines().find_map(|line| line.strip_prefix(&of)?.parse::<f64>().ok())
        };
        let numbers = ["contradicts", "cosigned_timestamp_seconds", "cosigned_entries"].map(number);
        one(report, &format!("witness `{name}`"), numbers, allowed);
    }
}

fn one(report: &mut Report, what: &str, numbers: [Option<f64>; 3], allowed: Duration) {
    let (check, remedy) = ("server.witness", "`nightlatch ledger anchor` says why. Runbook: witness-refuses");
    let [Some(contradicts), Some(at), Some(entries)] = numbers else {
        let why = "the running server does not know it: it was started with another configuration";
        return report.not_looked_at(check, what, why);
    };
    let at = Duration::from_secs_f64(at.max(0.0));
    let age = Duration::from_nanos(OsTime.wall_nanos()).saturating_sub(at);
    let when = instant_ms(u64::try_from(at.as_millis()).unwrap_or(u64::MAX));
    if contradicts > 0.0 {
        report.wrong(
            check,
            what,
            "it has seen another history than the one that is here",
            "keep everything as it is. Runbook: witness-refuses",
        );
    } else if at.is_zero() {
        report.warning(check, what, "it has cosigned nothing yet", remedy);
    } else if age > allowed {
        let seen = format!("it cosigned last at {when}, {} ago", said(age));
        report.warning(check, what, seen, remedy);
    } else {
        report.good(check, what, format_args!("it has cosigned {entries} entries, last at {when}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_witness_is_as_bad_as_it_is() {
        let now = Duration::from_nanos(OsTime.wall_nanos()).as_secs_f64();
        let hour = Duration::from_secs(3_600);
        for (what, numbers, is_wrong, is_noted) in [
            ("just now", [Some(0.0), Some(now - 5.0), Some(7.0)], false, false),
            ("its clock is ahead", [Some(0.0), Some(now + 500.0), Some(7.0)], false, false),
            ("long ago", [Some(0.0), Some(now - 3_700.0), Some(7.0)], false, true),
            ("never", [Some(0.0), Some(0.0), Some(0.0)], false, true),
            ("another history", [Some(1.0), Some(now - 5.0), Some(7.0)], true, true),
            ("not known to the server", [None; 3], false, false),
        ] {
            let mut report = Report::default();
            one(&mut report, "a witness", numbers, hour);
            assert_eq!((report.is_bad(false), report.is_bad(true)), (is_wrong, is_noted), "{what}");
        }
    }
}
