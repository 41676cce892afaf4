//! `nightlatch doctor`: what stands in the way of a start, of enforcing, or of the record; before the first start, beside a running
//! server, and after an incident.
//!
//! It looks and changes nothing: no lock is taken, no port is listened on, no session starts, and the one file that is written to
//! measure the disk never has a name. Each finding is one line: what was looked at, what was seen, and where it is wrong, what to do. It
//! says only what it saw itself. What it could not see is said to be not looked at, with the reason, and never counts as good: the
//! dangerous answer of a doctor is a clean bill for what nobody examined.
//!
//! What `serve` decides is asked of the code that `serve` runs: configuration, secrets, certificates, the clock after a
//! restart, the number of connections. So the two cannot say different things.

mod certificates;
mod clock;
mod configuration;
mod data;
mod limits;
mod ports;
mod process;
mod record;
mod report;
mod served;
mod server;
mod sockets;
mod upstreams;
mod witnesses;

use super::out::{Done, Out, Stop};
use crate::config::Config;
use configuration::Read;
use report::Report;
use std::path::PathBuf;

/// What `nightlatch doctor` takes.
#[derive(Debug, clap::Args)]
pub(super) struct DoctorArgs {
    /// The configuration file; without it, only what does not depend on one is looked at
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the admin listener of the running server is; without it, `listen.admin` of the configuration
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
    /// Read the whole record, and not only its end
    #[arg(long)]
    whole: bool,
    /// Exit with 1 on a warning too
    #[arg(long)]
    strict: bool,
}

/// Looks at everything, says what was seen, and ends with 1 if something is wrong.
pub(super) fn run(out: Out, args: &DoctorArgs) -> Done {
    let mut report = Report::default();
    let read = configuration::look(&mut report, args.config.as_deref());
    match &read {
        Read::Usable(config) => of_a_site(&mut report, config, args)?,
        Read::Refused | Read::Unreadable(_) | Read::NotAsked => {
            clock::synchronised(&mut report);
            let rest = "data directory, record, certificates, ports, applications, server";
            let why = match read {
                Read::NotAsked => "give --config FILE, the file that `serve` is started with",
                _ => "the configuration says where they are, and cannot be used",
            };
            report.not_looked_at("site", rest, why);
        }
    }
    report.print(out)?;
    match read {
        Read::Unreadable(error) => Err(Stop::Unreachable(error)),
        _ if report.is_bad(args.strict) => Err(Stop::No),
        _ => Ok(()),
    }
}

fn of_a_site(report: &mut Report, config: &Config, args: &DoctorArgs) -> Done {
    let holder = process::holder_of(&config.data_dir);
    configuration::secrets(report, config);
    clock::synchronised(report);
    clock::reserved(report, config);
    data::look(report, config, &holder);
    record::look(report, config, args.whole);
    certificates::look(report, config);
    ports::look(report, config, &holder);
    served::look(report, config, &holder);
    upstreams::look(report, config);
    limits::look(report, config, &holder);
    server::look(report, config, args.admin.as_deref(), &holder)
}
