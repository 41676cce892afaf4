//! `nightlatch serve`: one configuration file, one process.

#![allow(clippy::print_stderr, reason = "mistakes in the configuration are for whoever started the program")]

use crate::{
    cli::{Done, Stop},
    config::{self, Config, secrets::LoadedKey},
    listening::Held,
    logging, sign_in,
    site::{Site, SiteError},
    tls,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// What `nightlatch serve` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Serves until told to stop.
pub(crate) fn run(args: &ServeArgs) -> Done {
    logging::start_at("info");
    let held = Held::of_environment();
    let file = &args.config;
    let text = fs::read_to_string(file)
        .map_err(|error| Stop::Unreachable(format!("cannot read `{}`: {error}", file.display())))?;
    let (config, keys) = load(&text, file)?;
    in_runtime(async {
        let site = Site::open(&config, &keys, held).await?;
        let (gateway, admin) = (site.gateway_address()?, site.admin_address()?);
        tracing::info!(%gateway, %admin, apps = config.apps.len(), node = site.engine().node(), "serving");
        site.run().await
    })
}

/// Reads a configuration and its secrets, and says everything that is wrong with them. Paths in it are relative to where
/// `file` stands.
pub(crate) fn load(text: &str, file: &Path) -> Result<(Config, Vec<LoadedKey>), Stop> {
    let mut reading = config::read(text, file);
    reading.findings.list.extend(reading.config.iter().flat_map(Config::open_secrets));
    if !reading.findings.list.is_empty() {
        eprint!("{}", reading.findings.render(false));
    }
    let config = reading.config.ok_or(Stop::No)?;
    let keys = files_beside(&config)?;
    Ok((config, keys))
}

/// Reads the secrets and certificates that the configuration points at, and says everything that is wrong with them.
pub(crate) fn files_beside(config: &Config) -> Result<Vec<LoadedKey>, Stop> {
    let keys = config.read_secrets_here();
    let secrets = keys.as_ref().err().into_iter().flatten();
    let mut wrong: Vec<String> = secrets.map(ToString::to_string).collect();
    let certificates = config.listen.tls.iter().filter_map(|files| tls::load_one(files).err());
    wrong.extend(certificates.map(|error| error.to_string()));
    let providers = sign_in::providers(config).err();
    wrong.extend(providers.into_iter().flatten().map(|error| error.to_string()));
    match keys {
        Ok(keys) if wrong.is_empty() => Ok(keys),
        _ => Err(Stop::Unreachable(wrong.join("; "))),
    }
}

/// Runs a site on every core of this machine.
pub(crate) fn in_runtime(site: impl Future<Output = Result<(), SiteError>>) -> Done {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ended = runtime.map_err(SiteError::from).and_then(|runtime| runtime.block_on(site));
    ended.map_err(|error| Stop::Unreachable(error.to_string()))
}
