//! The demo brokerage as a program of its own: started before the gateway, gone with it.

use serde_json::Value;
use std::{
    io::{self, BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// Why the application did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplicationError {
    /// It is not where it was looked for.
    #[error(
        "the demo brokerage is not in `{}`; run this in a checkout of Nightlatch, or say where it is with `--app DIR`",
        .0.display()
    )]
    NotThere(PathBuf),
    /// What it needs is not installed.
    #[error("the demo brokerage lacks its one dependency; run `npm ci` in `{}`, or start it all with `cargo xtask demo`", .0.display())]
    NotInstalled(PathBuf),
    /// Node.js cannot be started.
    #[error("cannot start `node`: {0}; the demo brokerage needs Node.js 20 or later")]
    Node(#[source] io::Error),
    /// It stopped, or said something else than where it listens.
    #[error("the demo brokerage did not say where it listens; start it alone to see why: `node server.js` in `{}`", .0.display())]
    Silent(PathBuf),
}

/// The application at work. It stops when its standard input closes, also if we are killed.
pub(crate) struct Application {
    child: Child,
    url: String,
}

impl Application {
    /// Starts the application in `dir` on a free port.
    pub(crate) fn start(dir: &Path) -> Result<Application, ApplicationError> {
        if !dir.join("server.js").is_file() {
            return Err(ApplicationError::NotThere(dir.to_owned()));
        }
        if !dir.join("node_modules").is_dir() && !dir.join("../../node_modules/ws").is_dir() {
            return Err(ApplicationError::NotInstalled(dir.to_owned()));
        }
        let mut child = Command::new("node")
            .arg("server.js")
            .args(["--port", "0", "--user-header", "X-Nightlatch-Subject"])
            .args(["--sign-out-url", "/_nightlatch/logout", "--exit-with-parent"])
            .current_dir(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(ApplicationError::Node)?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            let _ = BufReader::new(stdout).read_line(&mut line);
        }
        let said: Value = serde_json::from_str(&line).unwrap_or_default();
        match said["listening"].as_str() {
            Some(url) => Ok(Application { child, url: url.to_owned() }),
            None => {
                let _ = child.kill();
                let _ = child.wait();
                Err(ApplicationError::Silent(dir.to_owned()))
            }
        }
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
