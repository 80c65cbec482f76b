//! The post-mortem's files: one self-contained page, every citation backed, the numbers the true ones.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, ensure};
use jiff::Timestamp;
use serde::Deserialize;

use super::expected::{Expected, Impact};
use super::near;

/// How far the report's own impact window may make its count differ from the true one.
const IMPACT_TOLERANCE: f64 = 0.10;

#[derive(Debug, Deserialize)]
struct Front {
    times: Times,
    services: Vec<String>,
    impact: Vec<ImpactLine>,
}

#[derive(Debug, Deserialize)]
struct Times {
    trigger: Timestamp,
    impact_start: Timestamp,
}

#[derive(Debug, Deserialize)]
pub(super) struct ImpactLine {
    what: String,
    pub(super) value: f64,
    unit: String,
    pub(super) evidence: String,
}

pub(super) fn check(expected: &Expected, report: &Path) -> anyhow::Result<()> {
    let folder = report.parent().context("a report lies in a folder")?;
    let html = std::fs::read_to_string(report).with_context(|| format!("read {}", report.display()))?;
    check_self_contained(&html)?;
    let document = std::fs::read_to_string(folder.join("postmortem.md")).context("read postmortem.md")?;
    check_citations(&document, folder)?;
    check_front(expected, &document)?;
    ensure!(html.contains("4.2.0"), "the report does not name the release");
    ensure!(html.contains("<svg"), "the report has no chart");
    Ok(())
}

/// Nothing in the page makes a browser ask the network.
fn check_self_contained(html: &str) -> anyhow::Result<()> {
    let lower = html.to_lowercase();
    for remote in [
        "src=\"http",
        "src=\"//",
        "src='",
        "<link",
        "@import",
        "url(http",
        "url(//",
        "url('http",
        "url(\"http",
        "<iframe",
        "<script src",
    ] {
        ensure!(!lower.contains(remote), "the report refers to something remote: {remote}");
    }
    ensure!(lower.contains("content-security-policy"), "the report states no content security policy");
    Ok(())
}

/// Every `[E7]` in the document has its frozen evidence, and there are some.
fn check_citations(document: &str, folder: &Path) -> anyhow::Result<()> {
    let cited: BTreeSet<&str> = document.split('[').filter_map(citation).collect();
    ensure!(cited.len() >= 3, "only {cited:?} are cited");
    for id in cited {
        let file = folder.join("evidence").join(format!("{id}.json"));
        let text =
            std::fs::read_to_string(&file).with_context(|| format!("[{id}] is cited, {}", file.display()))?;
        let evidence: serde_json::Value = serde_json::from_str(&text)?;
        let sql = evidence["sql"].as_str().unwrap_or_default().to_lowercase();
        ensure!(sql.contains("select"), "{id} holds no SQL");
        let sum = evidence["sha256"].as_str().unwrap_or_default();
        ensure!(sum.len() == 64, "{id} holds no SHA-256");
    }
    Ok(())
}

/// `E7` of `E7] and so on`.
fn citation(after_bracket: &str) -> Option<&str> {
    let id = after_bracket.split_once(']')?.0;
    let digits = id.strip_prefix('E')?;
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(id)
}

/// The first number of a document's impact.
pub(super) fn first_impact(folder: &Path) -> anyhow::Result<ImpactLine> {
    let document = std::fs::read_to_string(folder.join("postmortem.md")).context("read postmortem.md")?;
    front(&document)?.impact.into_iter().next().context("the document has no impact")
}

fn front(document: &str) -> anyhow::Result<Front> {
    let yaml = document.strip_prefix("---\n").and_then(|rest| rest.split_once("\n---\n"));
    serde_saphyr::from_str(yaml.context("postmortem.md has no front matter")?.0)
        .context("read the front matter")
}

fn check_front(expected: &Expected, document: &str) -> anyhow::Result<()> {
    let front = front(document)?;
    near("the document's trigger", front.times.trigger, &expected.trigger)?;
    near("the document's impact_start", front.times.impact_start, &expected.onset)?;
    ensure!(front.services.iter().any(|service| service == "checkout"), "{:?}", front.services);
    let failed = front.impact.iter().find(|line| line.what.contains("failed") && line.unit == "requests");
    let failed = failed.with_context(|| format!("no count of failed requests in {:?}", front.impact))?;
    ensure!(failed.evidence.starts_with('E'), "the impact cites no evidence: {failed:?}");
    let fits = |impact: &Impact| {
        #[expect(clippy::cast_precision_loss, reason = "hundreds")]
        let truth = impact.failed_requests as f64;
        (failed.value - truth).abs() <= truth * IMPACT_TOLERANCE
    };
    ensure!(
        fits(&expected.impact) || fits(&expected.frontend_impact),
        "the document counts {} failed requests, the truth is {}",
        failed.value,
        expected.impact.failed_requests,
    );
    Ok(())
}
