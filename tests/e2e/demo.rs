//! The recorded outage, played once for all tests of a run that only start from it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context as _, ensure};

use crate::binary;
use crate::server::{Home, text};

/// Where it was played, or why it could not be.
static PLAYED: OnceLock<Result<PathBuf, String>> = OnceLock::new();

/// A copy of what `hindsight demo --once` leaves: the outage's telemetry, INC-1, and its first draft PM-2026-001.
pub(crate) fn home() -> anyhow::Result<Home> {
    let played = PLAYED.get_or_init(|| play().map_err(|error| format!("{error:#}")));
    let from = played.as_ref().map_err(|error| anyhow::anyhow!("play the demo: {error}"))?;
    let folder = tempfile::tempdir()?;
    for part in ["data", "workspace"] {
        let copied = Command::new("cp").arg("-r").arg(from.join(part)).arg(folder.path()).status()?;
        ensure!(copied.success(), "copy the demo's {part}");
    }
    Ok(Home::at(folder))
}

/// The same before anybody drafted.
pub(crate) fn home_without_draft() -> anyhow::Result<Home> {
    let home = home()?;
    std::fs::remove_dir_all(home.workspace().join("postmortems")).context("take the demo's draft away")?;
    Ok(home)
}

/// The folder of a workspace's only post-mortem.
pub(crate) fn document(workspace: &Path) -> anyhow::Result<PathBuf> {
    let found =
        std::fs::read_dir(workspace.join("postmortems"))?.next().context("there is one document")??;
    Ok(found.path())
}

/// Plays it into a folder of this run. No test can take the folder away, for another may come; the next run does.
fn play() -> anyhow::Result<PathBuf> {
    let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("demo");
    std::fs::create_dir_all(&all)?;
    for old in std::fs::read_dir(&all)? {
        let old = old?;
        if !Path::new("/proc").join(old.file_name()).is_dir() {
            std::fs::remove_dir_all(old.path()).with_context(|| old.path().display().to_string())?;
        }
    }
    let folder = all.join(std::process::id().to_string());
    let (data_dir, workspace) = (folder.join("data"), folder.join("workspace"));
    binary::run_well(&["demo", "--once", "--data-dir", text(&data_dir), "--workspace", text(&workspace)])?;
    Ok(folder)
}
