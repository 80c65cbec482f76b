//! Finding and running the `hindsight` binary.

use std::path::PathBuf;
use std::process::{Command, Output};

use anyhow::{Context as _, bail};

/// The binary under test: `HINDSIGHT_BIN`, else `hindsight` beside the folder this test runs from.
pub(crate) fn path() -> anyhow::Result<PathBuf> {
    let path = match std::env::var_os("HINDSIGHT_BIN") {
        Some(path) => PathBuf::from(path),
        None => {
            let test = std::env::current_exe().context("find this test's own path")?;
            let target =
                test.parent().and_then(|deps| deps.parent()).context("a test runs in target/*/deps")?;
            target.join("hindsight")
        }
    };
    if !path.try_exists()? {
        bail!("no binary at {}; build it (cargo build -p hindsight) or set HINDSIGHT_BIN", path.display());
    }
    Ok(path)
}

/// A command of the binary that hears nothing of the tester's own settings.
pub(crate) fn command() -> anyhow::Result<Command> {
    let mut command = Command::new(path()?);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HINDSIGHT_") {
            command.env_remove(name);
        }
    }
    Ok(command)
}

/// Runs the binary to its end.
pub(crate) fn run(arguments: &[&str]) -> anyhow::Result<Output> {
    command()?.args(arguments).output().with_context(|| format!("run hindsight {}", arguments.join(" ")))
}

/// Runs the binary to its end and returns its standard output; anything but success fails with what it said.
pub(crate) fn run_well(arguments: &[&str]) -> anyhow::Result<String> {
    let output = run(arguments)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("hindsight {} ended with {}:\n{said}", arguments.join(" "), output.status);
    }
    String::from_utf8(output.stdout).context("read standard output as UTF-8")
}
