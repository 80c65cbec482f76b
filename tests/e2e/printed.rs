//! The report of a large post-mortem, six charts and forty rows of timeline, as a reader has it: it is there at once,
//! and on A4 nothing is cut and no heading is left alone at the foot of a page.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use crate::answers;
use crate::binary;
use crate::browser::{Browser, Look};
use crate::demo;
use crate::server::text;

/// A4 without the margins of the report's print styles, at 96 pixels an inch.
const PAPER: (u32, u32) = (673, 1001);
/// Longest until everything is there; on a quiet machine it is a tenth of that.
const LOAD_MS: f64 = 900.0;

/// Something that a page break must not cut.
#[derive(Deserialize)]
struct Block {
    name: String,
    height: f64,
    break_inside: String,
}

#[test]
fn a_large_report_is_there_at_once_and_prints_to_clean_a4_pages() -> anyhow::Result<()> {
    let home = demo::home()?;
    let folder = demo::document(&home.workspace())?;
    let file = folder.join("postmortem.md");
    let document = answers::many_rows(&answers::answered(&std::fs::read_to_string(&file)?)?)?;
    std::fs::write(&file, document)?;
    let report = folder.join("report.html");
    binary::run_well(&["postmortem", "render", text(&folder), "--out", text(&report)])?;
    let url = format!("file://{}", report.display());

    let mut browser = Browser::start()?;
    browser.look(1440, 900, Look::Light)?;
    let mut quickest = f64::INFINITY;
    for _ in 0..3 {
        browser.open(&url)?;
        let loaded = "new Promise(done => setTimeout(() => \
                      done(performance.getEntriesByType('navigation')[0].loadEventEnd)))";
        quickest = quickest.min(browser.evaluate(loaded)?.as_f64().context("a time in ms")?);
    }
    ensure!(quickest < LOAD_MS, "the report took {quickest:.0} ms");
    let counted = "[document.querySelectorAll('figure.chart').length, \
                   document.querySelectorAll('table.timeline tbody tr').length]";
    let counted: (usize, usize) = serde_json::from_value(browser.evaluate(counted)?)?;
    assert_eq!(counted, (6, 40), "charts and rows");

    check_blocks(&mut browser, &url)?;
    let pdf = folder.join("report.pdf");
    std::fs::write(&pdf, browser.pdf()?)?;
    let headings = "[...document.querySelectorAll('h2, h3')].map(heading => heading.innerText.trim())";
    let headings: Vec<String> = serde_json::from_value(browser.evaluate(headings)?)?;
    check_pages(&pdf, &headings)
}

/// Charts, facts and rows fit a page and are kept whole; nothing is wider than the paper.
fn check_blocks(browser: &mut Browser, url: &str) -> anyhow::Result<()> {
    browser.look(PAPER.0, PAPER.1, Look::Paper)?;
    browser.open(url)?;
    let blocks = browser.evaluate(
        "[...document.querySelectorAll('figure.chart, dl.facts, .timeline tr, .actions tr, .evidence')].map(block => \
         ({name: block.tagName + ' ' + block.className + ' ' + block.innerText.slice(0, 40), \
         height: block.getBoundingClientRect().height, break_inside: getComputedStyle(block).breakInside}))",
    )?;
    let blocks: Vec<Block> = serde_json::from_value(blocks)?;
    ensure!(blocks.len() > 60, "{} blocks", blocks.len());
    for block in &blocks {
        let Block { name, height, break_inside } = block;
        ensure!(*height < f64::from(PAPER.1), "{name}: {height} is longer than a page");
        ensure!(break_inside == "avoid", "{name}: a page break may cut it");
    }
    let wide = browser.evaluate("document.documentElement.scrollWidth")?;
    ensure!(wide.as_u64().is_some_and(|wide| wide <= u64::from(PAPER.0)), "{wide} of {} wide", PAPER.0);
    Ok(())
}

/// A4 throughout, none empty, each numbered, no heading last.
fn check_pages(pdf: &Path, headings: &[String]) -> anyhow::Result<()> {
    let size = poppler("pdfinfo", &[text(pdf)])?;
    ensure!(size.contains("(A4)"), "{size}");
    let printed = poppler("pdftotext", &["-layout", text(pdf), "-"])?;
    let pages: Vec<&str> = printed.trim_end_matches('\u{c}').split('\u{c}').collect();
    ensure!((8..=24).contains(&pages.len()), "{} pages", pages.len());
    for (index, page) in pages.iter().enumerate() {
        let mut lines: Vec<&str> = page.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        assert_eq!(lines.pop(), Some(format!("{} / {}", index + 1, pages.len()).as_str()));
        ensure!(lines.len() > 5, "page {} is almost empty: {lines:?}", index + 1);
        let last = lines.last().copied().unwrap_or_default();
        ensure!(!headings.iter().any(|heading| heading == last), "page {} ends with `{last}`", index + 1);
    }
    Ok(())
}

fn poppler(command: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(command).args(arguments).output();
    let output = output.with_context(|| format!("run {command}; ./tests/run installs it"))?;
    ensure!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}
