//! The recorded outage, carried inside the program so that the demo needs nothing else.

use std::path::Path;

use anyhow::Context as _;

use crate::replay::{self, Recorded};

const TELEMETRY: &[u8] = include_bytes!("../../../sample-data/checkout-outage/telemetry.jsonl.zst");

/// The workspace of the recording: what a team would keep in git.
const WORKSPACE: &[(&str, &str)] = &[
    ("hindsight.toml", include_str!("../../../sample-data/checkout-outage/workspace/hindsight.toml")),
    (
        "rules/checkout.yaml",
        include_str!("../../../sample-data/checkout-outage/workspace/rules/checkout.yaml"),
    ),
    (
        "slos/checkout-availability.yaml",
        include_str!("../../../sample-data/checkout-outage/workspace/slos/checkout-availability.yaml"),
    ),
    (
        "runbooks/checkout.md",
        include_str!("../../../sample-data/checkout-outage/workspace/runbooks/checkout.md"),
    ),
];

/// The recorded requests, in time order.
pub(crate) fn requests() -> anyhow::Result<Vec<Recorded>> {
    replay::read(zstd::Decoder::new(TELEMETRY)?).context("read the recording inside this program")
}

/// Writes the rules, SLO and runbook of the recording.
pub(crate) fn write_workspace(workspace: &Path) -> anyhow::Result<()> {
    for (name, text) in WORKSPACE {
        let path = workspace.join(name);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        }
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}
