//! What the system grants, against what the configuration may need: descriptors, memory, and the kernel's own bounds.

use super::{process::Holder, report::Report};
use crate::{
    config::{Config, url::Upstream},
    descriptors::Shares,
    words::bytes,
};
use rustix::process::{Resource, getrlimit};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Memory that a connection may take beside the head of a request: TLS records that wait, as `docs/guide/operate.md` has it.
const UNSENT_BYTES: u64 = 64 * 1024;
/// Fewer than this are soon taken, by browsers that have six each.
const FEW_CONNECTIONS: usize = 256;
/// How many connections a listener lets wait to be accepted.
const BACKLOG: u64 = 1024;

/// Looks at each; all of them bound connections.
pub(super) fn look(report: &mut Report, config: &Config, holder: &Holder) {
    if let Some(connections) = descriptors(report, config, holder) {
        memory(report, config, holder, connections);
        ports(report, config, connections);
    }
    backlog(report);
}

/// Whether there are descriptors for the connections that are configured; gives how many connections may be open.
fn descriptors(report: &mut Report, config: &Config, holder: &Holder) -> Option<u64> {
    let (check, what) = match holder.pid() {
        Some(pid) => {
            ("limits.descriptors", format!("file descriptors of the running server (process {pid})"))
        }
        None => ("limits.descriptors", "file descriptors of this process".to_owned()),
    };
    let granted = match holder.pid() {
        Some(pid) => match granted_to(pid) {
            Ok(granted) => granted,
            Err(error) => {
                report.not_looked_at(check, what, error);
                return None;
            }
        },
        None => getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX),
    };
    let kept = config.limits.idle_upstream_connections;
    let Shares { connections: fit, idle } = Shares::within(granted, config.apps.len(), kept);
    let mut has = if granted == u64::MAX { "no limit".to_owned() } else { granted.to_string() };
    if idle < kept {
        has.push_str(&format!(
            ", of which each application keeps {idle} for connections that wait ({kept} are configured)"
        ));
    }
    let raise = "raise `LimitNOFILE` of its unit, or lower `limits.connections`";
    match config.limits.connections {
        Some(wanted) if wanted > fit => {
            let seen = format!("{has}, enough for {fit} connections, and `limits.connections` is {wanted}");
            report.warning(check, what, seen, raise);
        }
        None if fit < FEW_CONNECTIONS => {
            report.warning(check, what, format_args!("{has}, enough for {fit} connections"), raise);
        }
        wanted => {
            let seen = format!("{has}, enough for {} connections", wanted.unwrap_or(fit));
            report.good(check, what, seen);
        }
    }
    Some(config.limits.connections.map_or(fit, |wanted| wanted.min(fit)) as u64)
}

/// How many descriptors another process can have open, from its proc_pid_limits(5).
fn granted_to(pid: u32) -> io::Result<u64> {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits"))?;
    let hard = limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().nth(1));
    let number = |text: &str| if text == "unlimited" { Some(u64::MAX) } else { text.parse().ok() };
    hard.and_then(number).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// Whether the memory that is granted is enough if every connection takes what it may.
fn memory(report: &mut Report, config: &Config, holder: &Holder, connections: u64) {
    let check = "limits.memory";
    let (what, process) = match holder.pid() {
        Some(pid) => (format!("memory of the running server (process {pid})"), pid.to_string()),
        None => ("memory of this process".to_owned(), "self".to_owned()),
    };
    let Some((granted, by)) = granted_memory(&process) else {
        return report.not_looked_at(
            check,
            what,
            "neither the kernel nor a control group says how much there is",
        );
    };
    let most = connections.saturating_mul(config.limits.head.0 + UNSENT_BYTES);
    let seen = format!(
        "{}, by {by}; heads and unsent bytes of {connections} connections may take {}",
        bytes(granted),
        bytes(most)
    );
    if most > granted {
        report.warning(check, what, seen, "grant more, or lower `limits.connections`");
    } else {
        report.good(check, what, seen);
    }
}

/// The least that the machine and the control groups of a process grant, and which of them that is.
fn granted_memory(process: &str) -> Option<(u64, String)> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let kib = text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next());
        Some((kib?.parse::<u64>().ok()?.saturating_mul(1024), "the machine".to_owned()))
    });
    let groups = fs::read_to_string(format!("/proc/{process}/cgroup")).unwrap_or_default();
    let by_group = groups.lines().flat_map(group_files).filter_map(|file| {
        let most = fs::read_to_string(&file).ok()?.trim().parse::<u64>().ok()?;
        Some((most, format!("`{}`", file.display())))
    });
    machine.into_iter().chain(by_group).min_by_key(|(most, _)| *most)
}

/// The files with the limits of a line of `/proc/PID/cgroup` (cgroups(7)) and of the groups above it.
fn group_files(line: &str) -> Vec<PathBuf> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { return Vec::new() };
    let (root, file) = match controllers {
        "" => ("/sys/fs/cgroup", "memory.max"),
        _ if controllers.split(',').any(|one| one == "memory") => {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        _ => return Vec::new(),
    };
    Path::new(path.trim_start_matches('/'))
        .ancestors()
        .map(|group| Path::new(root).join(group).join(file))
        .collect()
}

/// Whether a rush of clients is left waiting rather than refused.
fn backlog(report: &mut Report) {
    let (check, what) = ("limits.backlog", "clients that the kernel lets wait (`net.core.somaxconn`)");
    let most = fs::read_to_string("/proc/sys/net/core/somaxconn").ok();
    match most.and_then(|most| most.trim().parse::<u64>().ok()) {
        Some(most) if most < BACKLOG => {
            let remedy = format!("`sysctl net.core.somaxconn={BACKLOG}`: in a rush clients are refused");
            report.warning(check, what, format_args!("{most}, and a listener asks for {BACKLOG}"), remedy);
        }
        Some(most) => report.good(check, what, format_args!("{most}; a listener asks for {BACKLOG}")),
        None => report.not_looked_at(check, what, "the kernel does not say"),
    }
}

/// Whether there are ports for as many connections to one application as clients may have to us.
fn ports(report: &mut Report, config: &Config, connections: u64) {
    if !config.apps.iter().any(|app| matches!(app.upstream, Upstream::Tcp { .. })) {
        return;
    }
    let check = "limits.ports";
    let what = "ports for connections to one application (`net.ipv4.ip_local_port_range`)";
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let bounds: Vec<u64> = range.split_whitespace().filter_map(|bound| bound.parse().ok()).collect();
    let [low, high] = bounds[..] else {
        return report.not_looked_at(check, what, "the kernel does not say");
    };
    let ports = (high + 1).saturating_sub(low);
    let seen = format!("{ports}, for {connections} connections at most");
    if connections > ports {
        report.warning(check, what, seen, "widen the range, or let the application listen on a socket file");
    } else {
        report.good(check, what, seen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_of_a_group_are_those_of_the_groups_above_it_too() {
        let rows: [(&str, &[&str]); 4] = [
            (
                "0::/a/b",
                &[
                    "/sys/fs/cgroup/a/b/memory.max",
                    "/sys/fs/cgroup/a/memory.max",
                    "/sys/fs/cgroup/memory.max",
                ],
            ),
            (
                "9:cpu,memory:/x",
                &[
                    "/sys/fs/cgroup/memory/x/memory.limit_in_bytes",
                    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
                ],
            ),
            ("3:cpuset:/x", &[]),
            ("", &[]),
        ];
        for (line, files) in rows {
            let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
            assert_eq!(group_files(line), files, "{line}");
        }
    }
}
