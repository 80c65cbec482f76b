use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use hindsight_model::{Clock as _, Incident, IncidentId, SqlRequest, SqlSource, SystemClock, TimelineRow};
use hindsight_postmortem::{DraftInput, Level};
use hindsight_server::{Config, Overrides};
use jiff::Timestamp;
use serde_json::json;

use crate::args::{PostmortemArgs, PostmortemCommand, SourceArgs};
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
        PostmortemCommand::Lint { path, json } => lint(&path, json),
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
    now: Timestamp,
) -> anyhow::Result<Written> {
    let input = DraftInput {
        incident,
        timeline,
        workspace,
        now,
        watermark: watermark(sql).await,
        engine: ENGINE,
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
        Ok((incident, timeline)) => {
            write(&incident, &timeline, &workspace, &backend, SystemClock.now()).await
        }
        Err(error) => Err(error),
    };
    backend.close().await?;
    let written = written?;
    say::line(&format!("{} {}", written.id, written.report.display()))?;
    Ok(ExitCode::SUCCESS)
}

fn lint(path: &Path, as_json: bool) -> anyhow::Result<ExitCode> {
    let findings = hindsight_postmortem::lint(path).with_context(|| format!("check {}", path.display()))?;
    if as_json {
        let findings: Vec<_> = findings
            .iter()
            .map(|f| {
                json!({"rule": f.rule, "level": f.level, "line": f.line, "message": f.message, "hint": f.hint})
            })
            .collect();
        say::line(&serde_json::to_string_pretty(&findings)?)?;
    } else {
        for finding in &findings {
            say::line(&finding.to_string())?;
        }
    }
    let errors = findings.iter().filter(|finding| finding.level == Level::E).count();
    if !as_json {
        say::problem(&format!("{errors} errors, {} warnings", findings.len() - errors));
    }
    Ok(if errors > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
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
