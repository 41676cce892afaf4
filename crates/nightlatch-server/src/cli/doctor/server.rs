//! The running server, as it tells of itself: whether it enforces and records, what is wrong with it, and which version it is.

use super::{clock::said, configuration::count, process::Holder, report::Report, witnesses};
use crate::{
    cli::{
        client::Client,
        out::{Done, Stop},
    },
    config::Config,
};
use serde_json::Value;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

/// Asks the server that runs with this configuration, if one does.
pub(super) fn look(report: &mut Report, config: &Config, admin: Option<&str>, holder: &Holder) -> Done {
    let (check, what) = ("server", "running server");
    let url = match admin {
        Some(url) => url.to_owned(),
        None if config.listen.admin.port() == 0 => {
            report.not_looked_at(check, what, "`listen.admin` has port 0; say with --admin where it is");
            return Ok(());
        }
        None => format!("http://{}", reached(config.listen.admin)),
    };
    let client = Client::without_key(&url)?;
    match (client.probe("/readyz"), holder) {
        (Ok((_, text)), _) if is_ours(&text) => {
            ready(report, &client, &text);
            counted(report, config, &client);
        }
        (Ok(_), _) => report.wrong(
            check,
            what,
            format_args!("what answers at {url} is not Nightlatch"),
            "see the ports above; `listen.admin` is to be Nightlatch's own",
        ),
        (Err(stop), Holder::Process(pid)) => {
            report.wrong(
                check,
                what,
                format_args!(
                    "process {pid} holds the data directory, and gives no answer at {url}: {}",
                    why(stop)
                ),
                "it may still be reading the record; if not, see its log",
            );
        }
        (Err(_), Holder::Nobody) => report.not_looked_at(
            check,
            what,
            format_args!("none answers at {url}, and none holds the data directory"),
        ),
        (Err(_), Holder::Unknown(_)) => {
            report.not_looked_at(check, what, format_args!("none answers at {url}"))
        }
    }
    Ok(())
}

/// Where a listener is reached from this machine.
pub(super) fn reached(listener: SocketAddr) -> SocketAddr {
    let ip = match listener.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listener.port())
}

fn is_ours(text: &str) -> bool {
    serde_json::from_str::<Value>(text).is_ok_and(|health| health["ok"].is_boolean())
}

fn why(stop: Stop) -> String {
    match stop {
        Stop::Refused(why) | Stop::Usage(why) | Stop::Unreachable(why) => why,
        Stop::No | Stop::NobodyListens => String::new(),
    }
}

fn ready(report: &mut Report, client: &Client, text: &str) {
    let health: Value = serde_json::from_str(text).unwrap_or_default();
    let word = |of: &Value, name: &str| of[name].as_str().unwrap_or("?").to_owned();
    let parts = [
        ("server.starting", "whether sessions can start", Some(health.clone())),
        ("server.enforcing", "whether running sessions are enforced", {
            client.probe("/readyz/enforcing").ok().and_then(|(_, text)| serde_json::from_str(&text).ok())
        }),
    ];
    for (check, what, answer) in parts {
        match answer {
            Some(answer) if answer["ok"] == true => report.good(check, what, "the running server says so"),
            Some(answer) => report.wrong(
                check,
                what,
                word(&answer, "detail"),
                "see the faults below, and the server's log",
            ),
            None => report.not_looked_at(check, what, "the server did not answer"),
        }
    }
    for fault in health["faults"].as_array().into_iter().flatten() {
        let what = format!("fault `{}`", word(fault, "part"));
        let seen = format!(
            "{}, since {}; it stops: {}",
            word(fault, "means"),
            word(fault, "since"),
            word(fault, "stops").replace('_', " ")
        );
        let remedy = format!("runbook: {}", word(fault, "runbook"));
        if fault["stops"] == "nothing" {
            report.warning("server.fault", what, seen, remedy);
        } else {
            report.wrong("server.fault", what, seen, remedy);
        }
    }
}

/// What its metrics say: its version, what its clock has seen, and what its witnesses have.
fn counted(report: &mut Report, config: &Config, client: &Client) {
    let (check, what) = ("server.version", "version of the running server");
    let Ok((_, metrics)) = client.probe("/metrics") else {
        return report.not_looked_at(check, what, "the server did not answer");
    };
    let ours = env!("CARGO_PKG_VERSION");
    let version = metrics
        .lines()
        .find_map(|line| line.strip_prefix("nightlatch_version{version=\"")?.split('"').next());
    match version {
        Some(version) if version == ours => {
            report.good(check, what, format_args!("{version}, as this program"))
        }
        Some(version) => report.warning(
            check,
            what,
            format_args!("{version}, and this program is {ours}"),
            "restart the server to run what is installed, or use the program that runs. Runbook: upgrade",
        ),
        None => report.not_looked_at(check, what, "its metrics do not say"),
    }
    clocks(report, &metrics);
    witnesses::look(report, config, &metrics);
}

fn clocks(report: &mut Report, metrics: &str) {
    let (check, what) = ("server.clock", "clock of the running server");
    let sum = |name: &str| {
        let values = metrics.lines().filter(|line| line.starts_with(name));
        let values = values.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        values.fold(None, |sum: Option<f64>, value| Some(sum.unwrap_or(0.0) + value))
    };
    let sums = [
        "nightlatch_clock_wall_behind_seconds",
        "nightlatch_clock_steps_total",
        "nightlatch_suspensions_total",
    ]
    .map(sum);
    let [Some(behind), Some(steps), Some(suspensions)] = sums else {
        return report.not_looked_at(check, what, "its metrics do not say");
    };
    let remedy = "find out what sets the clock, and let it slew. Runbook: clock-fault";
    if behind > 1.0 {
        // Whoever answers there may write any number.
        let behind = Duration::try_from_secs_f64(behind).map_or_else(|_| format!("{behind} s"), said);
        report.warning(
            check,
            what,
            format_args!("the wall clock is {behind} behind it, having been set back"),
            remedy,
        );
    } else if steps > 0.0 {
        report.warning(
            check,
            what,
            format_args!("{} of the wall clock since it started", count(steps as usize, "step")),
            remedy,
        );
    } else if suspensions > 0.0 {
        let seen =
            format!("the machine was suspended {} since it started", count(suspensions as usize, "time"));
        report.warning(
            check,
            what,
            seen,
            "mask `sleep.target`, or look at the hypervisor. Runbook: clock-fault",
        );
    } else {
        report.good(check, what, "no step of the wall clock and no suspension since it started");
    }
}
