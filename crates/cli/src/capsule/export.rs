use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use futures::TryStreamExt as _;
use hindsight_capsule::Manifest;
use hindsight_model::{Clearance, Clock as _, IncidentId, SystemClock};
use hindsight_server::{CapsuleExport, Documents, ExportOptions, export_capsule};
use serde_json::json;

use super::check::{checked, summary};
use super::{ExportArgs, telling};
use crate::backend::{Backend, Opened};
use crate::progress::Reporter;
use crate::remote::Remote;
use crate::say;

/// Writes the capsule of an incident, and reads it once more before it gets its name.
pub(crate) async fn export(args: ExportArgs) -> anyhow::Result<ExitCode> {
    let id: IncidentId = args.id.parse()?;
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from(format!("{id}.capsule.tar")));
    if out.try_exists().with_context(|| format!("look for {}", out.display()))? {
        bail!("{} is there already; remove it, or name another file with -o", out.display());
    }
    let reporter = Arc::new(Reporter::start());
    let backend = Backend::open(&args.source).await?;
    let part = part_of(&out);
    let written = write(&backend, id, &args, &part, &reporter).await;
    let closed = backend.close().await;
    let done = match written.and(closed) {
        Ok(()) => finish(&part, &out, &reporter).await,
        Err(error) => Err(error),
    };
    reporter.end();
    if done.is_err() {
        // The first error is the one to tell.
        drop(fs::remove_file(&part));
    }
    let (manifest, sha256) = done.with_context(|| format!("export {id}"))?;
    if args.json {
        let report = json!({
            "schema": "hindsight/capsule-export/v1",
            "capsule": out,
            "manifest_sha256": sha256,
            "manifest": summary(&manifest),
        });
        say::line(&serde_json::to_string_pretty(&report)?)?;
    } else {
        tell(&out, &manifest, &sha256)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn write(
    backend: &Backend,
    id: IncidentId,
    args: &ExportArgs,
    part: &Path,
    reporter: &Arc<Reporter>,
) -> anyhow::Result<()> {
    match backend.data_dir() {
        None => fetch(backend.server()?, id, args, part, reporter).await,
        Some(opened) => make(opened, id, args, part, reporter).await,
    }
}

async fn fetch(
    server: &Remote,
    id: IncidentId,
    args: &ExportArgs,
    part: &Path,
    reporter: &Reporter,
) -> anyhow::Result<()> {
    let mut query = vec![("author", args.author.as_str())];
    if args.include_restricted {
        query.push(("restricted", "include"));
    }
    if args.without_report {
        query.push(("report", "none"));
    }
    let mut answer = server.fetch(&format!("/api/v1/incidents/{id}/capsule"), &query).await?;
    let total = answer.content_length().unwrap_or(0);
    let mut file = Part::create(part)?;
    while let Some(piece) =
        answer.chunk().await.context("the server's answer broke off; its log has the cause")?
    {
        file.write(&piece)?;
        reporter.tell("receiving", file.bytes, total);
    }
    file.finish()
}

async fn make(
    opened: &Opened,
    id: IncidentId,
    args: &ExportArgs,
    part: &Path,
    reporter: &Arc<Reporter>,
) -> anyhow::Result<()> {
    let documents = match (args.include_restricted, args.without_report) {
        (true, _) => Documents::Restricted,
        (_, true) => Documents::None,
        _ => Documents::Unrestricted,
    };
    let options = ExportOptions { author: args.author.clone(), documents, clearance: Clearance::Restricted };
    let Opened { store, state, library, .. } = opened;
    let now = SystemClock.now();
    let export = export_capsule(store, state, library, id, now, &options, telling(reporter)).await?;
    save(export, part, reporter).await
}

async fn save(export: CapsuleExport, part: &Path, reporter: &Reporter) -> anyhow::Result<()> {
    let total = export.total_bytes();
    let mut file = Part::create(part)?;
    let mut pieces = std::pin::pin!(export.stream());
    while let Some(piece) = pieces.try_next().await? {
        file.write(&piece)?;
        reporter.tell("writing", file.bytes, total);
    }
    file.finish()
}

/// A file on its way.
struct Part {
    file: BufWriter<File>,
    path: PathBuf,
    bytes: u64,
}

impl Part {
    fn create(path: &Path) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| format!("create {}", path.display()))?;
        Ok(Self { file: BufWriter::new(file), path: path.to_owned(), bytes: 0 })
    }

    fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes).with_context(|| format!("write {}", self.path.display()))
    }

    fn finish(mut self) -> anyhow::Result<()> {
        let synced = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        synced.with_context(|| format!("write {}", self.path.display()))
    }
}

/// Beside its place, so that a rename is enough.
fn part_of(out: &Path) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

/// What was written is read from the disk as its receiver will read it.
async fn finish(part: &Path, out: &Path, reporter: &Arc<Reporter>) -> anyhow::Result<(Manifest, String)> {
    let checked = checked(part, reporter).await?;
    fs::rename(part, out).with_context(|| format!("name {}", out.display()))?;
    Ok(checked)
}

fn tell(out: &Path, manifest: &Manifest, sha256: &str) -> anyhow::Result<()> {
    let size = fs::metadata(out).map_or(0, |found| found.len());
    let reports = match manifest.postmortems.as_slice() {
        [] => "no post-mortem".to_owned(),
        ids if manifest.restricted => format!("{} (restricted)", ids.join(", ")),
        ids => ids.join(", "),
    };
    let (id, window) = (manifest.incident.id, manifest.window);
    say::line(&format!(
        "{}: {}, {id} with {reports} and {} rows from {} to {}",
        out.display(),
        say::size(size),
        manifest.rows(),
        window.from.strftime("%Y-%m-%d %H:%M:%S"),
        window.to.strftime("%Y-%m-%d %H:%M:%S UTC"),
    ))?;
    say::line(&format!("manifest {sha256}"))?;
    if manifest.postmortems.is_empty() {
        say::problem(&format!("no post-mortem is in it; `hindsight postmortem draft {id}` writes one"));
    }
    say::problem("whoever gets it sees the names, attributes and log texts of all services in that time");
    Ok(())
}
