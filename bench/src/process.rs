//! Processes under measurement: where they run, and what they use.

use std::{
    fs,
    process::{Child, Command, Stdio},
};

/// A process that ends with its owner.
#[derive(Debug)]
pub struct Served(Child);

impl Served {
    /// Starts a program, on this processor alone if one is named.
    pub fn start(processor: Option<usize>, program: &str, arguments: &[&str]) -> Served {
        let mut command = match processor {
            Some(processor) => pinned(processor, program, arguments),
            None => {
                let mut command = Command::new(program);
                command.args(arguments);
                command
            }
        };
        let child = command.env("NIGHTLATCH_LOG", "error").stdout(Stdio::null()).spawn();
        Served(child.unwrap_or_else(|error| panic!("`{program}` could not be started: {error}")))
    }

    /// Time on a processor so far, of the process and those it has started, in seconds.
    #[must_use]
    pub fn cpu_seconds(&self) -> f64 {
        let own = self.0.id();
        let all = fs::read_dir("/proc").unwrap().flatten();
        let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|pid| *pid == own || parent(*pid) == Some(own)).map(cpu_seconds).sum()
    }

    /// What it holds in memory, in KiB.
    #[must_use]
    pub fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(0)
    }

    /// Asks it to stop and waits until it has.
    pub fn stop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Asked and not killed: nginx's workers outlive a master that is.
        if self.0.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.stop();
        }
    }
}

/// A program on this processor alone.
#[must_use]
pub fn pinned(processor: usize, program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &processor.to_string(), program]).args(arguments);
    command
}

fn parent(pid: u32) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything; what follows its bracket is plain: state, parent, ..
    let (_, rest) = text.rsplit_once(") ")?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

/// On-CPU time as the scheduler counts it, of every thread (`/proc/PID/task/TID/schedstat`, nanoseconds).
fn cpu_seconds(pid: u32) -> f64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let nanos = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    nanos.sum::<u64>() as f64 / 1e9
}
