mod args;
mod lint;
mod status;
mod verify;
mod whys;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use hindsight_model::{Clock as _, Incident, IncidentId, SqlRequest, SqlSource, SystemClock, TimelineRow};
use hindsight_postmortem::document::{Document, PATTERNS};
use hindsight_postmortem::{DraftInput, ImportInput, Similar};
use hindsight_server::{Config, Overrides};
use jiff::Timestamp;

pub(crate) use args::PostmortemArgs;
use args::{EditArgs, PostmortemCommand};

use crate::args::SourceArgs;
use crate::backend::Backend;
use crate::say;

/// Name and version that evidence carries.
const ENGINE: &str = concat!("hindsight ", env!("CARGO_PKG_VERSION"));
/// Zone of a draft's times; a person may change it.
const TIMEZONE: &str = "UTC";

/// A post-mortem on disk.
pub(crate) struct Written {
    pub(crate) id: String,
    pub(crate) report: PathBuf,
}

/// `hindsight postmortem …`.
pub(crate) async fn run(args: PostmortemArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        PostmortemCommand::Draft { incident, source } => draft(incident.parse()?, &source).await,
        PostmortemCommand::Lint { path, json, rerun, source } => lint::run(&path, json, rerun, &source).await,
        PostmortemCommand::Verify { path, json } => verify::run(&path, json),
        PostmortemCommand::Rules { json } => lint::rules(json),
        PostmortemCommand::Status { path, to, by, reason, edit, json } => match (to, by) {
            (Some(to), Some(by)) => status::take(&path, to, &by, reason.as_deref(), &edit),
            _ => status::show(&path, json),
        },
        PostmortemCommand::ExportLessons { path, out } => export_lessons(&path, out),
        PostmortemCommand::Import { file, incident, timezone, workspace } => {
            import(&file, &incident, &timezone, workspace)
        }
        PostmortemCommand::Why { command } => whys::run(command),
        PostmortemCommand::Tag { path: None, .. } => patterns(),
        PostmortemCommand::Tag { path: Some(path), patterns, remove, edit } => {
            changed(&path, &edit, |document| document.with_patterns(&patterns, &remove, &path))
        }
        PostmortemCommand::Render { path, out } => {
            let out = out.unwrap_or_else(|| folder(&path).join("report.html"));
            render(folder(&path), &out)?;
            say::line(&out.display().to_string())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Drafts (or regenerates) the post-mortem of an incident and renders its report.
///
/// # Errors
/// When the incident has no known start, a query fails, or a file cannot be written.
pub(crate) async fn write(
    incident: &Incident,
    timeline: &[TimelineRow],
    workspace: &Path,
    sql: &dyn SqlSource,
    similar: &[Similar],
    now: Timestamp,
) -> anyhow::Result<Written> {
    let input = DraftInput {
        incident,
        timeline,
        workspace,
        now,
        watermark: watermark(sql).await,
        engine: ENGINE,
        similar,
        timezone: TIMEZONE,
    };
    let drafted = hindsight_postmortem::draft(input, sql)
        .await
        .with_context(|| format!("draft the post-mortem of {}", incident.id))?;
    let report = drafted.dir.join("report.html");
    render(&drafted.dir, &report)?;
    Ok(Written { id: drafted.id, report })
}

async fn draft(id: IncidentId, source: &SourceArgs) -> anyhow::Result<ExitCode> {
    let flags = Overrides { workspace: source.workspace.clone(), ..Overrides::default() };
    let workspace = Config::load(&flags)?.workspace.value;
    let backend = Backend::open(source).await?;
    let written = match backend.incident(id).await {
        Ok((incident, timeline)) => match backend.similar(&incident).await {
            Ok(similar) => {
                write(&incident, &timeline, &workspace, &backend, &similar, SystemClock.now()).await
            }
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    backend.close().await?;
    let written = written?;
    say::line(&format!("{} {}", written.id, written.report.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Edits a document and prints its new content hash.
fn changed(
    path: &Path,
    edit: &EditArgs,
    change: impl FnOnce(&Document) -> hindsight_postmortem::Result<Document>,
) -> anyhow::Result<ExitCode> {
    let document = hindsight_postmortem::edit(path, edit.expect.as_deref(), change)
        .with_context(|| format!("edit {}", path.display()))?;
    say::line(&document.content_hash())?;
    Ok(ExitCode::SUCCESS)
}

fn export_lessons(path: &Path, out: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let document = Document::read(path).with_context(|| format!("read {}", path.display()))?;
    let out = out.unwrap_or_else(|| folder(path).join("lessons.md"));
    let text = hindsight_postmortem::document::lessons_export(&document);
    std::fs::write(&out, text).with_context(|| format!("write {}", out.display()))?;
    say::line(&out.display().to_string())?;
    Ok(ExitCode::SUCCESS)
}

fn import(
    file: &Path,
    incidents: &[String],
    timezone: &str,
    workspace: Option<PathBuf>,
) -> anyhow::Result<ExitCode> {
    let workspace = Config::load(&Overrides { workspace, ..Overrides::default() })?.workspace.value;
    let incidents =
        incidents.iter().map(|id| Ok(id.parse()?)).collect::<anyhow::Result<Vec<IncidentId>>>()?;
    let input = ImportInput { text: "", incidents: &incidents, timezone, now: SystemClock.now() };
    let written = hindsight_postmortem::import_file(file, &workspace, &input)
        .with_context(|| format!("import {}", file.display()))?;
    for (theirs, ours) in &written.imported.mapped {
        say::problem(&format!("{theirs} → {ours}"));
    }
    for heading in &written.imported.unmapped {
        say::problem(&format!("{heading} → Imported"));
    }
    say::problem(&format!("{} questions stand in its front matter", written.imported.questions.len()));
    say::line(&format!("{} {}", written.imported.document.front.id, written.path.display()))?;
    Ok(ExitCode::SUCCESS)
}

fn patterns() -> anyhow::Result<ExitCode> {
    for pattern in PATTERNS {
        say::line(&format!("{:<24} {}", pattern.id, pattern.when))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn render(dir: &Path, out: &Path) -> anyhow::Result<()> {
    let html = hindsight_postmortem::render(dir).with_context(|| format!("render {}", dir.display()))?;
    std::fs::write(out, html).with_context(|| format!("write {}", out.display()))
}

/// The folder of a post-mortem, given the folder or its file.
fn folder(path: &Path) -> &Path {
    if path.extension().is_some_and(|extension| extension == "md") {
        path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
    } else {
        path
    }
}

/// How far the telemetry reaches; evidence says so when it is known.
async fn watermark(sql: &dyn SqlSource) -> Option<Timestamp> {
    let answer = sql.sql(SqlRequest::new("SELECT max(timestamp) FROM spans")).await.ok()?;
    answer.rows().ok()?.first()?.first()?.as_time()
}
