//! Running other programs in the root of the checkout, and saying so.

use std::{
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
};

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_owned)
}

/// Runs `cargo` with these arguments.
pub(crate) fn cargo(arguments: &[&str]) -> Result<(), String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    run(Command::new(cargo).args(arguments))
}

/// Runs `cargo` in the place of this process, which keeps its number and gets its signals; `cargo run` does the same with the program it built.
/// Comes back only if it could not be started, with the reason.
pub(crate) fn become_cargo(arguments: &[&str]) -> String {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    command.args(arguments).current_dir(root());
    let line = said(&command);
    println!("$ {line}");
    let error = command.exec();
    format!("`{line}` could not be started: {error}")
}

/// Runs `cargo` in another tree, which builds in a folder of its own: quickly, and without a word about style.
pub(crate) fn cargo_in(tree: &Path, build: &Path, arguments: &[&str]) -> Result<(), String> {
    run(&mut in_tree(tree, build, arguments))
}

/// The same with a variable set; gives what it said, whether or not it did well.
pub(crate) fn output_in(
    tree: &Path,
    build: &Path,
    arguments: &[&str],
    variable: (&str, &str),
) -> Result<String, String> {
    let output = in_tree(tree, build, arguments).env(variable.0, variable.1).output();
    let output = output.map_err(|error| format!("cargo could not be started: {error}"))?;
    Ok([output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat())
}

fn in_tree(tree: &Path, build: &Path, arguments: &[&str]) -> Command {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    command.args(arguments).current_dir(tree).env("CARGO_TARGET_DIR", build);
    command.env("CARGO_PROFILE_RELEASE_LTO", "off").env("RUSTFLAGS", "-Awarnings");
    command
}

/// The same with these variables set.
pub(crate) fn cargo_with(arguments: &[&str], variables: &[(&str, &str)]) -> Result<(), String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    run(Command::new(cargo).args(arguments).envs(variables.iter().copied()))
}

/// Runs a program in a folder of the checkout.
pub(crate) fn in_folder(folder: &str, program: &str, arguments: &[&str]) -> Result<(), String> {
    run(Command::new(program).args(arguments).current_dir(root().join(folder)))
}

/// Runs a program in the root of the checkout with these variables set.
pub(crate) fn program_with(
    program: &str,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> Result<(), String> {
    run(Command::new(program).args(arguments).envs(variables.iter().copied()))
}

/// Whether a program can be started.
pub(crate) fn has(program: &str) -> bool {
    // Not every program knows the question (nginx does not); that it runs is answer enough.
    Command::new(program).arg("--version").output().is_ok()
}

fn run(command: &mut Command) -> Result<(), String> {
    if command.get_current_dir().is_none() {
        command.current_dir(root());
    }
    let line = said(command);
    println!("$ {line}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{line}` ended with {status}")),
        Err(error) => Err(format!("`{line}` could not be started: {error}")),
    }
}

/// A command as it would be typed.
fn said(command: &Command) -> String {
    format!("{command:?}").replace('"', "")
}
