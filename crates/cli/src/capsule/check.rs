use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use hindsight_capsule::{Manifest, check};
use serde_json::{Value, json};

use super::OpenArgs;
use crate::progress::Reporter;
use crate::say;

/// Bytes read from the file at a time.
const BUFFER_BYTES: usize = 1 << 20;

/// `open --check`.
pub(super) async fn run(args: &OpenArgs) -> anyhow::Result<ExitCode> {
    let reporter = Arc::new(Reporter::start());
    let found = checked(&args.capsule, &reporter).await;
    reporter.end();
    let (manifest, sha256) = found.with_context(|| format!("check {}", args.capsule.display()))?;
    if args.json {
        let report = json!({
            "schema": "hindsight/capsule-check/v1",
            "capsule": args.capsule,
            "manifest_sha256": sha256,
            "manifest": summary(&manifest),
        });
        say::line(&serde_json::to_string_pretty(&report)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    say::line(&format!(
        "{}: whole and unchanged: {} {}, {} files, {} rows, made {} by {} ({})",
        args.capsule.display(),
        manifest.incident.id,
        manifest.incident.title,
        manifest.files.len(),
        manifest.rows(),
        manifest.exported_at.strftime("%Y-%m-%d %H:%M UTC"),
        manifest.author,
        manifest.made_by,
    ))?;
    say::line(&format!("manifest {sha256}"))?;
    Ok(ExitCode::SUCCESS)
}

/// Reads a capsule to its end.
pub(super) async fn checked(path: &Path, reporter: &Arc<Reporter>) -> anyhow::Result<(Manifest, String)> {
    let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    let reporter = Arc::clone(reporter);
    let reading = tokio::task::spawn_blocking(move || {
        let told = &mut |name: &str, done, total| reporter.tell(&format!("checking {name}"), done, total);
        check(BufReader::with_capacity(BUFFER_BYTES, file), told)
    });
    Ok(reading.await.context("check the capsule")??)
}

/// The manifest without its list of files.
pub(super) fn summary(manifest: &Manifest) -> Value {
    json!({
        "format": manifest.format,
        "made_by": manifest.made_by,
        "author": manifest.author,
        "exported_at": manifest.exported_at,
        "incident": manifest.incident,
        "window": manifest.window,
        "postmortems": manifest.postmortems,
        "restricted": manifest.restricted,
        "tables": manifest.tables,
        "files": manifest.files.len(),
        "bytes": manifest.total_bytes(),
    })
}
