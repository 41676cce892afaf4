//! `nightlatch demo`: the demo brokerage behind the gateway, with limits short enough to watch.
//!
//! It is the same site as `serve` runs, from a configuration that is built in; the application is a program of its own that knows
//! nothing of us. Whoever is at this machine may sign in as anybody, so it listens on loopback and nowhere else.

#![allow(clippy::print_stdout, reason = "what happens is told on the terminal")]

mod application;
mod story;

use crate::{
    cli::{Done, Stop},
    config::duration::Millis,
    listening::Held,
    logging,
    serve::{in_runtime, load},
    site::{Site, SiteError},
};
use application::Application;
use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

/// What `nightlatch demo` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// Where browsers reach it; loopback only
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where the API is; loopback only
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8081")]
    admin: SocketAddr,
    /// The folder of the demo brokerage
    #[arg(long, value_name = "DIR", default_value = "examples/brokerage")]
    app: PathBuf,
    /// Where the demo keeps its ledger and sessions [default: `nightlatch-demo` in the folder for temporary files]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Idle limit, as in a configuration file
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    idle: String,
    /// Absolute limit
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    absolute: String,
    /// How long before the deadline a user is to be warned [default: 20s, or a third of an idle limit up to 60s]
    #[arg(long, value_name = "DURATION")]
    warning: Option<String>,
}

/// Runs the demo until told to stop.
pub(crate) fn run(args: &DemoArgs) -> Done {
    logging::start_at("warn");
    let held = Held::of_environment();
    if let Some(open) = [args.listen, args.admin].into_iter().find(|address| !address.ip().is_loopback()) {
        return Err(Stop::Usage(format!(
            "the demo lets anybody sign in as anybody, so it listens on loopback only, and {open} is not; try 127.0.0.1:{}",
            open.port()
        )));
    }
    let application = Application::start(&args.app).map_err(|error| Stop::Unreachable(error.to_string()))?;
    let data = args.data.clone().unwrap_or_else(|| std::env::temp_dir().join("nightlatch-demo"));
    let folder = key_folder(&data)
        .map_err(|error| Stop::Unreachable(format!("cannot write in `{}`: {error}", data.display())))?;
    let file = folder.join("demo.toml");
    let text = configuration(args, &application);
    fs::write(&file, &text)
        .map_err(|error| Stop::Unreachable(format!("cannot write `{}`: {error}", file.display())))?;
    let (config, keys) = load(&text, &file)?;
    in_runtime(async {
        let site = Site::open(&config, &keys, held).await?;
        introduce(args, &site, &folder)?;
        let teller = tokio::spawn(story::tell(Arc::clone(site.engine())));
        let ended = site.run().await;
        teller.abort();
        ended
    })
}

/// The configuration as `serve` would read it from a file in the data directory.
fn configuration(args: &DemoArgs, application: &Application) -> String {
    let DemoArgs { listen, admin, idle, absolute, warning, .. } = args;
    let warning = warning.clone().unwrap_or_else(|| usual_warning(idle));
    [
        ("{gateway}", listen.to_string()),
        ("{admin}", admin.to_string()),
        ("{idle}", toml_text(idle)),
        ("{absolute}", toml_text(absolute)),
        ("{warning}", toml_text(&warning)),
        ("{upstream}", toml_text(application.url())),
    ]
    .into_iter()
    .fold(include_str!("demo/demo.toml").to_owned(), |text, (hole, filling)| text.replace(hole, &filling))
}

/// A warning that fits an idle limit. Of one that cannot be read the check says so.
fn usual_warning(idle: &str) -> String {
    let third = Millis::read(idle).map_or(u64::MAX, |idle| idle.0 / 3);
    Millis(third.clamp(1, 20_000)).to_string()
}

/// Text as it may stand between the quotes of a TOML string.
fn toml_text(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// The names of the files with a key for the API each.
const KEYS: [&str; 2] = ["operator-key", "auditor-key"];

/// The folder with the keys for the API, which are made at the first run.
fn key_folder(data: &Path) -> io::Result<PathBuf> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(data)?;
    let folder = data.canonicalize()?;
    // The folder has a name that others can guess: keys that somebody else put there must not open this API.
    let (its, ours) = (fs::metadata(&folder)?, fs::metadata("/proc/self")?);
    if its.uid() != ours.uid() || its.mode() & 0o022 != 0 {
        let why = "it belongs to somebody else, or others may write in it; say another with `--data DIR`";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    for path in KEYS.map(|name| folder.join(name)) {
        if path.exists() {
            continue;
        }
        let mut secret = [0; 24];
        aws_lc_rs::rand::fill(&mut secret)
            .map_err(|_| io::Error::other("the operating system gave no random bytes"))?;
        let text: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(text.as_bytes())?;
    }
    Ok(folder)
}

fn introduce(args: &DemoArgs, site: &Site, folder: &Path) -> Result<(), SiteError> {
    let (gateway, admin) = (site.gateway_address()?, site.admin_address()?);
    let live = match site.recovery().live {
        0 => String::new(),
        1 => "\n  One session of the last run lives on.".to_owned(),
        live => format!("\n  {live} sessions of the last run live on."),
    };
    println!(
        "
  Nightlatch demo: Harbour Securities behind the gateway

      http://{gateway}

  Sign in as the trader, open the report, and then touch nothing.
  Idle limit {}, absolute limit {}. Quotes, news and report end together;
  what ends, why and how late is told here.{live}

  API     http://{admin}; keys: operator-key and auditor-key in {}
  Stop    Ctrl-C
",
        args.idle,
        args.absolute,
        folder.display()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_fits_any_idle_limit_that_is_asked_for() {
        let rows = [("5s", "1s666ms"), ("60s", "20s"), ("10m", "20s"), ("1ms", "1ms"), ("soon", "20s")];
        for (idle, warning) in rows {
            assert_eq!(usual_warning(idle), warning, "{idle}");
        }
    }
}
