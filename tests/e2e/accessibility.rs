//! Pages and the report keep nobody out: axe-core finds nothing serious on them, wide and narrow, light and dark, and
//! none is wider than its window.

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use crate::answers;
use crate::binary;
use crate::browser::{Browser, Look, axe};
use crate::demo;
use crate::server::text;

const SIZES: [(u32, u32); 2] = [(1440, 900), (390, 844)];
const NOW: &str = "2026-05-05T10:00:00Z";
/// Pages of the program, with the outage, its document and its actions on them.
const PAGES: [&str; 17] = [
    "/",
    "/alerts",
    "/alerts/payments/DbPoolSaturated",
    "/slos",
    "/slos/checkout-availability",
    "/sql",
    "/sql?q=SELECT+*+FROM+spans+LIMIT+20&from=2026-05-04T21%3A30%3A00Z&to=2026-05-04T22%3A30%3A00Z",
    "/incidents",
    "/incidents/INC-1",
    "/postmortems",
    "/postmortems/PM-2026-001",
    "/postmortems/PM-2026-001/edit",
    "/postmortems/PM-2026-001/whys",
    "/actions",
    "/review",
    "/patterns",
    "/nowhere",
];

#[derive(Debug, Deserialize)]
struct Finding {
    id: String,
    impact: Option<String>,
    help: String,
    /// Where, and what is wrong there.
    nodes: Vec<(String, String)>,
}

/// What axe finds on the page that is open, the serious and the critical, also in what is folded away at first.
fn check(browser: &mut Browser, axe: &str) -> anyhow::Result<Vec<Finding>> {
    browser.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")?;
    browser.evaluate(&format!("{axe};true"))?;
    let found = browser.evaluate(
        "axe.run(document, {resultTypes: ['violations']}).then(result => result.violations.map(one => ({id: one.id, \
         impact: one.impact, help: one.help, nodes: one.nodes.slice(0, 5).map(node => [node.target.join(' '), \
         node.failureSummary])})))",
    )?;
    let found: Vec<Finding> = serde_json::from_value(found)?;
    let heavy = |finding: &Finding| matches!(finding.impact.as_deref(), Some("serious" | "critical") | None);
    Ok(found.into_iter().filter(heavy).collect())
}

/// Opens each address in every size, light and dark, and tells all that is wrong.
fn check_all(addresses: &[(String, String)]) -> anyhow::Result<()> {
    let axe = axe()?;
    let mut browser = Browser::start()?;
    let mut wrong = Vec::new();
    for (width, height) in SIZES {
        for look in [Look::Light, Look::Dark] {
            browser.look(width, height, look)?;
            for (name, url) in addresses {
                let place = format!("{name} at {width}, {look:?}");
                browser.open(url).with_context(|| place.clone())?;
                for finding in check(&mut browser, &axe).with_context(|| place.clone())? {
                    wrong.push(format!("{place}: {} ({}): {:#?}", finding.id, finding.help, finding.nodes));
                }
                let wide = browser.evaluate("document.documentElement.scrollWidth")?;
                if wide.as_u64().is_none_or(|wide| wide > u64::from(width)) {
                    wrong.push(format!("{place}: the page is {wide} wide"));
                }
            }
        }
    }
    ensure!(wrong.is_empty(), "{} findings:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_and_no_report_keeps_anybody_out() -> anyhow::Result<()> {
    let home = demo::home()?;
    let folder = demo::document(&home.workspace())?;
    let file = folder.join("postmortem.md");
    let draft = std::fs::read_to_string(&file)?;
    let report = |name: &str| -> anyhow::Result<(String, String)> {
        let path = folder.join(name);
        binary::run_well(&["postmortem", "render", text(&folder), "--out", text(&path)])?;
        Ok((name.to_owned(), format!("file://{}", path.display())))
    };
    let mut addresses = vec![report("draft.html")?];
    std::fs::write(&file, answers::many_rows(&answers::answered(&draft)?)?)?;
    addresses.push(report("whole.html")?);
    let server = home.serve_with(&["--logical-clock", NOW])?;
    addresses.extend(PAGES.iter().map(|page| ((*page).to_owned(), format!("http://{}{page}", server.web))));
    check_all(&addresses)
}
