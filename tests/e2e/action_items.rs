//! Action items after the demo's outage: verified by evidence, and open again without it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::binary;
use crate::demo;
use crate::server::Home;
use crate::wait::wait_until;

/// The rule of the sample workspace that watches the pool.
const RULE: &str = "DbPoolSaturated";

/// Lines of a table of actions, in place of the draft's.
const TABLE: &str = "## Action items\n\n\
    | id | action | owner | due | priority | lesson | why | tracker | verify | status |\n\
    |---|---|---|---|---|---|---|---|---|---|\n\
    | A1 | Alert on pool use | dana.k | 2026-05-20 | medium | L1 | 2.1 | | alert: DbPoolSaturated fires on INC-1 | accepted |\n\
    | A2 | Keep every failed checkout | lee.o | 2026-05-20 | high | L1 | 1.5 | | sql: SELECT count(*) FROM spans WHERE status_code = 'error' expect > 0 | done |\n\
    | A3 | Meet the objective | sam.w | 2026-05-20 | high | L1 | 1.6 | | slo: checkout-availability met for 14d | done |\n\n";

#[test]
fn an_action_is_verified_by_evidence_and_opens_again_without_it() -> anyhow::Result<()> {
    let home = demo::home()?;
    let workspace = home.workspace();
    put_actions(&workspace)?;
    let rule = rule_file(&workspace)?;
    let with = std::fs::read_to_string(&rule).context("read the rule")?;
    let without = without_rule(&with)?;
    std::fs::write(&rule, without).context("take the rule out")?;

    let server = home.serve_with(&["--logical-clock", "2026-06-30T12:00:00Z"])?;
    let url = format!("http://{}", server.web);
    let verify = |id: &str| -> anyhow::Result<Value> {
        let output = binary::run(&["actions", "verify", "--json", "--id", id, "--url", &url])?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let found: Value = serde_json::from_slice(&output.stdout).with_context(|| said.clone())?;
        let passed = found[0]["outcome"] == "passed";
        ensure!(output.status.success() == passed, "{found}: the exit code says something else: {said}");
        Ok(found[0].clone())
    };
    let pm = postmortem(&workspace)?;
    let pool = format!("{pm}/A1");

    let before = verify(&pool)?;
    assert_eq!((&before["status"], &before["outcome"]), (&"accepted".into(), &"failed".into()), "{before}");
    ensure!(before["evidence"].to_string().contains("no rule called DbPoolSaturated"), "{before}");

    std::fs::write(&rule, &with).context("put the rule back")?;
    let after = verify(&pool)?;
    assert_eq!((&after["status"], &after["outcome"]), (&"verified".into(), &"passed".into()), "{after}");
    ensure!(after["evidence"].to_string().contains("DbPoolSaturated ("), "{after}");

    std::fs::write(&rule, without_rule(&with)?).context("take the rule out again")?;
    let gone = verify(&pool)?;
    assert_eq!((&gone["status"], &gone["outcome"]), (&"in_progress".into(), &"failed".into()), "{gone}");
    ensure!(!gone["reopened_at"].is_null() && gone["verified_at"].is_null(), "{gone}");

    let spans = verify(&format!("{pm}/A2"))?;
    assert_eq!(spans["status"], "verified", "{spans}");
    let slo = verify(&format!("{pm}/A3"))?;
    assert_eq!((&slo["status"], &slo["outcome"]), (&"done".into(), &"failed".into()), "{slo}");

    check_lists(&url, &pm)
}

/// What is told of it all: lists, history, the alert about what is overdue, exports, words beside the document.
fn check_lists(url: &str, pm: &str) -> anyhow::Result<()> {
    let run = |words: &[&str]| binary::run_well(&[words, &["--url", url]].concat());
    let ask =
        |sql: &str| -> anyhow::Result<Value> { Ok(serde_json::from_str(&run(&["sql", "--json", sql])?)?) };
    let overdue: Value = serde_json::from_str(&run(&["actions", "list", "--overdue", "--json"])?)?;
    assert_eq!(overdue.as_array().map(Vec::len), Some(1), "{overdue}");
    assert_eq!(overdue[0]["id"], "A1");
    let history = ask("SELECT outcome FROM action_verifications WHERE item = 'A1' ORDER BY timestamp")?;
    ensure!(history.to_string().matches("failed").count() == 2, "{history}");

    let issues: Value = serde_json::from_str(&run(&["actions", "export", "--format", "github"])?)?;
    assert_eq!(issues[0]["title"], "Alert on pool use");
    let csv = run(&["actions", "export", "--format", "jira-csv", "--project", "SHOP", "--all"])?;
    ensure!(csv.lines().count() >= 4 && csv.contains("SHOP,Task,Alert on pool use,"), "{csv}");
    let bulk: Value = serde_json::from_str(&run(&["actions", "export", "--format", "jira-json"])?)?;
    assert_eq!(bulk["issueUpdates"][0]["fields"]["duedate"], "2026-05-20");

    let key = format!("{pm}/A1");
    let set = |words: &[&str]| {
        binary::run(&[&["actions", "set", &key], words, &["--author", "dana.k", "--url", url]].concat())
    };
    ensure!(!set(&["wont_do"])?.status.success(), "without a reason nobody may give it up");
    ensure!(!set(&["verified"])?.status.success(), "only evidence verifies");
    ensure!(set(&["wont_do", "--reason", "the pool is gone", "--approver", "lee.o"])?.status.success());
    let items = ask("SELECT status, reason, approver FROM action_items WHERE id = 'A1'")?;
    let text = items.to_string();
    ensure!(
        text.contains("wont_do") && text.contains("the pool is gone") && text.contains("lee.o"),
        "{text}"
    );
    Ok(())
}

pub(crate) fn put_actions(workspace: &Path) -> anyhow::Result<()> {
    let path = document(workspace)?;
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let (before, rest) = text.split_once("## Action items").context("the draft has a section for actions")?;
    let after = rest.find("\n## ").map_or("", |next| &rest[next + 1..]);
    std::fs::write(&path, format!("{before}{TABLE}{after}")).context("write the actions")
}

fn document(workspace: &Path) -> anyhow::Result<std::path::PathBuf> {
    let mut folders = std::fs::read_dir(workspace.join("postmortems")).context("list the post-mortems")?;
    Ok(folders.next().context("the demo wrote a post-mortem")??.path().join("postmortem.md"))
}

/// `PM-2026-001`.
fn postmortem(workspace: &Path) -> anyhow::Result<String> {
    let path = document(workspace)?;
    let folder = path.parent().and_then(Path::file_name).context("it has a folder")?.to_string_lossy();
    Ok(folder.splitn(4, '-').take(3).collect::<Vec<_>>().join("-"))
}

fn rule_file(workspace: &Path) -> anyhow::Result<std::path::PathBuf> {
    for entry in std::fs::read_dir(workspace.join("rules")).context("list the rules")? {
        let path = entry?.path();
        if std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?.contains(RULE)
        {
            return Ok(path);
        }
    }
    anyhow::bail!("no rule file of the sample has {RULE}")
}

/// The file with the rule's name changed, so that nothing in it is called so any more.
fn without_rule(text: &str) -> anyhow::Result<String> {
    ensure!(text.contains(RULE));
    Ok(text.replace(RULE, "SomethingElse"))
}

/// The fixture's actions, of which the second is open again and has another condition.
fn write_fixture(home: &Home) -> anyhow::Result<()> {
    let fixture = include_str!("../../crates/postmortem/fixtures/lint/good.md");
    let lines = fixture.lines().map(|line| match line.strip_prefix("| A2 |") {
        Some(_) => "| A2 | Alert on pool use | sam.w | 2026-05-20 | high | L1 | 1.5,1.6 | | sql: SELECT 40 + 2 expect = 42 | accepted |",
        None => line,
    });
    let folder = home.workspace().join("postmortems/PM-2026-001-shop");
    std::fs::create_dir_all(&folder)?;
    let document: Vec<&str> = lines.collect();
    std::fs::write(folder.join("postmortem.md"), document.join("\n") + "\n").context("write the post-mortem")
}

#[tokio::test]
async fn the_server_verifies_by_itself_and_an_overdue_action_alerts_like_any_rule() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let server = home.serve_with(&["--logical-clock", "2026-06-30T12:00:00Z"])?;
    let url = format!("http://{}/api/v1/clock", server.web);
    let move_to = async |time: &str| {
        let body = format!("{{\"now\": \"2026-06-30T{time}Z\"}}");
        reqwest::Client::new().post(&url).body(body).send().await?.error_for_status()?;
        Ok::<_, anyhow::Error>(())
    };
    write_fixture(&home)?;
    let fired = "alert = 'ActionOverdue' AND state = 'firing' AND labels->>'item' = 'A2' AND value = 41";
    let verified = "id = 'A2' AND status = 'verified' AND evidence = 'the query returns 42, expected = 42'";
    move_to("12:02:00").await?;
    wait_until("the server verified the item by itself", Duration::from_secs(60), async || {
        Ok((server.count("action_items", verified).await? == 1).then_some(()))
    })
    .await?;
    move_to("12:04:00").await?;
    assert_eq!(server.count("alert_states", "alert = 'ActionOverdue' AND state = 'firing'").await?, 0);
    let given_up = home.workspace().join("postmortems/PM-2026-001-shop/postmortem.md");
    let text = std::fs::read_to_string(&given_up)?.replace("expect = 42", "expect = 43");
    std::fs::write(&given_up, text)?;
    wait_until("another condition is looked at", Duration::from_secs(60), async || {
        let failed = "id = 'A2' AND status = 'in_progress' AND outcome = 'failed'";
        Ok((server.count("action_items", failed).await? == 1).then_some(()))
    })
    .await?;
    move_to("12:06:00").await?;
    assert_eq!(server.count("alert_states", fired).await?, 1, "open after its last day");
    Ok(())
}
