//! What a command needs on the machine: installed if it can be, else named.

use crate::run::{self, has, in_folder, root};
use std::{fs, path::PathBuf};

/// Node.js and npm, which README asks for.
pub(crate) fn need_node() -> Result<(), String> {
    for program in ["node", "npm"] {
        if !has(program) {
            return Err(format!(
                "`{program}` is missing; install Node.js 20 or later (Debian: `apt install nodejs npm`)"
            ));
        }
    }
    Ok(())
}

/// The packages that a folder's lock file names, unless they are there already.
pub(crate) fn npm_ci(folder: &str) -> Result<(), String> {
    let folder_path = root().join(folder);
    let lock = fs::read(folder_path.join("package-lock.json"))
        .map_err(|error| format!("`{folder}/package-lock.json` cannot be read: {error}"))?;
    // A copy of the lock file beside what it installed says that it is all there.
    let installed = folder_path.join("node_modules/.installed-lock.json");
    if fs::read(&installed).is_ok_and(|before| before == lock) {
        return Ok(());
    }
    in_folder(folder, "npm", &["ci", "--no-audit", "--no-fund", "--ignore-scripts"])?;
    fs::write(&installed, lock)
        .map_err(|error| format!("`{}` cannot be written: {error}", installed.display()))
}

/// A cargo command of this version.
pub(crate) fn cargo_install(name: &str, version: &str) -> Result<(), String> {
    if has(name) {
        return Ok(());
    }
    run::cargo(&["install", "--locked", "--version", version, name])
}

/// A Debian package that brings this program.
pub(crate) fn apt(program: &str, package: &str) -> Result<(), String> {
    if is_installed(program) {
        return Ok(());
    }
    let root = in_folder("", "sh", &["-c", "test \"$(id -u)\" = 0"]).is_ok();
    if !root || !has("apt-get") {
        return Err(format!(
            "`{program}` is missing; install it (Debian: `apt install {package}`) and try again"
        ));
    }
    in_folder("", "apt-get", &["update", "--quiet"])?;
    in_folder("", "apt-get", &["install", "--yes", "--quiet", "--no-install-recommends", package])
}

/// Autobahn's WebSocket suite, in an environment of its own: it is written for Python 2.7, which has to be there.
pub(crate) fn autobahn() -> Result<(), String> {
    let interpreter = root().join(".venv27/bin/python").display().to_string();
    if has(&interpreter) {
        return Ok(());
    }
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let pyenv = fs::read_dir(home.join(".pyenv/versions")).into_iter().flatten().flatten();
    let python = pyenv
        .map(|version| version.path().join("bin/python2.7"))
        .chain([PathBuf::from("python2.7")])
        .map(|candidate| candidate.display().to_string())
        .find(|candidate| has(candidate))
        .ok_or("there is no `python2.7`; install one (with pyenv: `pyenv install 2.7.18`)")?;
    // The last version that makes environments for 2.7.
    let maker = self::python(&["virtualenv==20.15.1"])?;
    in_folder("", &maker, &["-m", "virtualenv", "--quiet", "--python", &python, ".venv27"])?;
    let install =
        ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "autobahntestsuite==25.10.1"];
    in_folder("", &interpreter, &install)
}

/// A command of a Go module, of this version, in `target/tools`. By the Go that is there: no other is fetched for it.
pub(crate) fn go_install(command: &str, version: &str) -> Result<(), String> {
    let folder = root().join("target/tools");
    let name = command.rsplit('/').next().unwrap_or(command);
    if folder.join(name).is_file() {
        return Ok(());
    }
    let go = ["go", "/usr/local/go/bin/go"].into_iter().find(|go| has(go));
    let go = go.ok_or("there is no `go`; install it (https://go.dev/doc/install)")?;
    let folder = folder.display().to_string();
    let variables = [("GOBIN", folder.as_str()), ("GOTOOLCHAIN", "local")];
    run::program_with(go, &["install", &format!("{command}@{version}")], &variables)
}

/// Whether a program is there, among those for everybody or those for servers.
fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join(program)).any(|file| file.is_file())
}

/// Python packages in an environment of the checkout's own. Gives the interpreter to use.
pub(crate) fn python(packages: &[&str]) -> Result<String, String> {
    let interpreter = root().join(".venv/bin/python").display().to_string();
    if !has(&interpreter) {
        if !has("python3") {
            apt("python3", "python3")?;
        }
        if in_folder("", "python3", &["-m", "venv", ".venv"]).is_err() {
            in_folder("", "apt-get", &["install", "--yes", "--quiet", "python3-venv"])?;
            in_folder("", "python3", &["-m", "venv", ".venv"])?;
        }
    }
    let mut install = vec!["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    install.extend(packages);
    in_folder("", &interpreter, &install)?;
    Ok(interpreter)
}
