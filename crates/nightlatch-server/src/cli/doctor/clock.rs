//! Whether the machine's clock can be believed, and what the next start would make of it.

use super::report::Report;
use crate::{config::Config, words::instant_ms};
use nightlatch_engine::{Clock, OsTime, TimeSource as _};
use nightlatch_store::{PeekReservationError, ReservationFile};
use rtime_clock::adjtime::{Timex, adjtimex};
use std::{io::ErrorKind, time::Duration};

/// The clock is not synchronised: `STA_UNSYNC` of `<linux/timex.h>`.
const UNSYNCHRONISED: i32 = 0x0040;
/// More than this between two clocks is said.
const SAID: Duration = Duration::from_secs(1);

const SYNCHRONISE: &str = "run a time service (chrony, systemd-timesyncd) and let it slew; deadlines follow the clock of this machine";

/// Asks the kernel whether something keeps its clock on time.
pub(super) fn synchronised(report: &mut Report) {
    let (check, what) = ("clock.synchronised", "clock of this machine");
    // Without a mode this only asks (adjtimex(2)).
    let mut timex = Timex::new();
    if let Err(error) = adjtimex(&mut timex) {
        report.not_looked_at(check, what, format_args!("the kernel does not say: {error}"));
        return;
    }
    let micros = |value: i64| Duration::from_micros(u64::try_from(value).unwrap_or(0));
    let (most, estimate) = (micros(timex.0.maxerror), micros(timex.0.esterror));
    if timex.0.status & UNSYNCHRONISED != 0 {
        report.warning(check, what, "the kernel says that nothing synchronises it", SYNCHRONISE);
    } else if most > SAID {
        let seen = format!("synchronised, and may be off by {}", said(most));
        report.warning(
            check,
            what,
            seen,
            "see what the time service says (`chronyc tracking`, `timedatectl`)",
        );
    } else {
        let seen = format!("synchronised; off by {} at most, {} by estimate", said(most), said(estimate));
        report.good(check, what, seen);
    }
}

/// Holds the clock against how far time had gone by what is on disk, as a start does.
pub(super) fn reserved(report: &mut Report, config: &Config) {
    let (check, what) = ("clock.reservation", "clock against the time on record");
    let file = config.data_dir.join("time");
    let wrong = "set the clock before you start; a start with it ends every session. Runbook: clock-fault";
    let reservation = match ReservationFile::peek(&file) {
        Ok(Some(reservation)) => reservation,
        Ok(None) if config.data_dir.join("ledger").is_dir() => {
            let seen = format!("`{}` is gone, and there is a ledger", file.display());
            return report.wrong(
                check,
                what,
                seen,
                "a start without it ends every session. Runbook: clock-fault",
            );
        }
        Ok(None) => return report.not_looked_at(check, what, "nothing is on record before the first start"),
        Err(PeekReservationError::File(error)) if error.kind() == ErrorKind::PermissionDenied => {
            return report.not_looked_at(check, what, format_args!("{error}; run this as the server's user"));
        }
        Err(error) => return report.wrong(check, what, error, wrong),
    };
    let same_boot = OsTime.boot_id() == reservation.boot_id;
    let (steady, wall) = (OsTime.boot_nanos(), OsTime.wall_nanos());
    let (clock, fault) = Clock::start(Box::new(OsTime), Some(&reservation));
    if let Some(fault) = fault {
        return report.wrong(check, what, fault.cause(), wrong);
    }
    let behind = Duration::from_nanos(clock.wall_behind_nanos());
    let expected = steady.saturating_add_signed(reservation.offset_nanos);
    let ahead = Duration::from_nanos(if same_boot { wall.saturating_sub(expected) } else { 0 });
    if behind > SAID {
        let seen =
            format!("the wall clock was set back and is {} behind Nightlatch's, which goes on", said(behind));
        report.warning(check, what, seen, "deadlines hold; instants on the record are ahead until the wall clock has caught up. Runbook: clock-fault");
    } else if ahead > SAID {
        let seen = format!("the wall clock was set forward by {} since the last start", said(ahead));
        report.warning(
            check,
            what,
            seen,
            "it counts as time passed, and ends sessions by that much earlier. Runbook: clock-fault",
        );
    } else {
        let until = instant_ms(reservation.reserved_until_nanos / 1_000_000);
        let seen = if same_boot {
            format!("where it should be by the steady clock of this boot; time is reserved to {until}")
        } else {
            format!("past {until}, to which time was reserved before this boot")
        };
        report.good(check, what, seen);
    }
}

/// A length of time for people: the largest unit that leaves figures before the point.
pub(super) fn said(length: Duration) -> String {
    let seconds = length.as_secs();
    match seconds {
        86_400.. => format!("{} d {:02} h", seconds / 86_400, seconds % 86_400 / 3_600),
        3_600.. => format!("{} h {:02} min", seconds / 3_600, seconds % 3_600 / 60),
        60.. => format!("{} min {:02} s", seconds / 60, seconds % 60),
        1.. => format!("{:.1} s", length.as_secs_f64()),
        _ if length >= Duration::from_millis(1) => format!("{:.1} ms", length.as_secs_f64() * 1_000.0),
        _ => format!("{} µs", length.as_micros()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_said_in_units_that_people_read() {
        let rows = [
            (7, "7 µs"),
            (1_500, "1.5 ms"),
            (999_000, "999.0 ms"),
            (1_785_000, "1.8 s"),
            (12_000_000, "12.0 s"),
            (725_000_000, "12 min 05 s"),
            (7_500_000_000, "2 h 05 min"),
            (90_000_000_000, "1 d 01 h"),
        ];
        for (micros, words) in rows {
            assert_eq!(said(Duration::from_micros(micros)), words);
        }
    }
}
