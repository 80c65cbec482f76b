//! An incident through its page alone, without script: declared, lived through, its timeline written and judged.

use anyhow::{Context as _, ensure};
use reqwest::redirect::Policy;
use serde_json::{Value, json};

use crate::form;
use crate::server::{Home, Server};

/// Sends a form as a browser does, and returns the status and where it leads.
async fn submit(server: &Server, path: &str, fields: &[(&str, &str)]) -> anyhow::Result<(u16, String)> {
    let client = reqwest::Client::builder().redirect(Policy::none()).build()?;
    let request = client
        .post(format!("http://{}{path}", server.web))
        .header("content-type", form::URLENCODED)
        .body(form::body(fields));
    let answer = request.send().await?;
    let status = answer.status().as_u16();
    let to = answer.headers().get("location").and_then(|to| to.to_str().ok()).unwrap_or_default().to_owned();
    Ok((status, if status == 303 { to } else { answer.text().await? }))
}

async fn page(server: &Server, path: &str) -> anyhow::Result<String> {
    let answer = reqwest::get(format!("http://{}{path}", server.web)).await?.error_for_status()?;
    answer.text().await.context("read the page")
}

#[tokio::test]
async fn a_person_reaches_a_closed_incident_through_the_page_alone() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let server = home.serve()?;
    ensure!(page(&server, "/incidents").await?.contains("action=\"/incidents\""), "no form to declare one");
    let declared = [
        ("title", "Customers cannot <pay>"),
        ("severity", "SEV3"),
        ("services", "shop, db"),
        ("author", "on call"),
    ];
    assert_eq!(submit(&server, "/incidents", &declared).await?, (303, "/incidents/INC-1".to_owned()));
    let step = async |fields: &[(&str, &str)]| {
        let fields = [fields, &[("author", "on call")]].concat();
        submit(&server, "/incidents/INC-1/changes", &fields).await
    };
    for fields in [
        &[("change", "acknowledge"), ("at", "")][..],
        &[("change", "severity"), ("severity", "SEV1"), ("reason", "everybody is hurt")],
        &[("change", "role"), ("role", "incident commander"), ("person", "dana")],
        &[("change", "cause"), ("text", "the pool is <small>")],
        &[("change", "time"), ("milestone", "impact_start"), ("at", "2026-05-04 14:32")],
        &[("change", "mitigate"), ("text", "doubled the pool")],
        &[("change", "resolve")],
    ] {
        let (status, to) = step(fields).await?;
        ensure!((status, to.as_str()) == (303, "/incidents/INC-1#respond"), "{fields:?}: {status} {to}");
    }
    let (status, refused) = step(&[("change", "close"), ("without_postmortem", " ")]).await?;
    ensure!(status == 409 && refused.contains("has no post-mortem"), "{status} {refused}");

    let shown = page(&server, "/incidents/INC-1").await?;
    for says in [
        "resolved",
        "SEV1",
        "dana",
        "2026-05-04 14:32:00 UTC",
        "is held",
        "Reopen",
        "the pool is &#60;small&#62;",
    ] {
        ensure!(shown.contains(says), "the page does not say {says}: {shown}");
    }
    ensure!(!shown.contains("<small>") && !shown.contains("<pay>"), "words became markup");
    step(&[("change", "close"), ("without_postmortem", "an exercise")]).await?;
    let incident = server.sql("SELECT status, closed_without, services FROM incidents").await?;
    assert_eq!(incident.rows[0], [json!("closed"), json!("an exercise"), json!(r#"["shop","db"]"#)]);
    ensure!(!page(&server, "/incidents/INC-1").await?.contains("is held"), "nothing is held any more");
    Ok(())
}

#[tokio::test]
async fn a_timeline_is_written_and_judged_through_the_page_alone() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let server = home.serve()?;
    let declared = [("title", "Customers cannot pay"), ("severity", "SEV3"), ("author", "on call")];
    submit(&server, "/incidents", &declared).await?;
    let by = ("author", "scribe");
    let row =
        [("text", "customers call"), ("at", "2026-05-04 14:32"), ("kind", "note"), ("service", "shop"), by];
    assert_eq!(submit(&server, "/incidents/INC-1/timeline", &row).await?.0, 303);
    let chat = [("text", "[2026-05-04 14:40] ana: rolling back"), ("timezone", "UTC"), by];
    assert_eq!(submit(&server, "/incidents/INC-1/import", &chat).await?.0, 303);
    let (status, refused) = submit(&server, "/incidents/INC-1/import", &[("text", "nothing"), by]).await?;
    ensure!(status == 400 && refused.contains("line 1"), "{status} {refused}");

    let ids = server.sql("SELECT id FROM timeline ORDER BY timestamp").await?;
    let id = |index: usize| ids.rows[index][0].to_string();
    let (first, second) = (id(0), id(1));
    let judged = submit(&server, "/incidents/INC-1/rows", &[("dismiss", &second), by]).await?;
    assert_eq!(judged, (303, format!("/incidents/INC-1#row-{second}")));
    let edit = [("text", "customers call, many"), ("at", ""), by];
    assert_eq!(submit(&server, &format!("/incidents/INC-1/rows/{first}"), &edit).await?.0, 303);
    let shown = page(&server, "/incidents/INC-1").await?;
    for says in ["customers call, many", "first 14:32:00: customers call", "1 dismissed", "Bring back"] {
        ensure!(shown.contains(says), "the page does not say {says}: {shown}");
    }
    let rows = server.sql("SELECT state FROM timeline ORDER BY timestamp").await?;
    let states: Vec<Value> = rows.rows.into_iter().map(|mut row| row.remove(0)).collect();
    assert_eq!(states, [json!("accepted"), json!("dismissed")]);
    submit(&server, "/incidents/INC-1/rows", &[("suggest", &second), by]).await?;
    ensure!(!page(&server, "/incidents/INC-1").await?.contains("1 dismissed"));
    assert_eq!(submit(&server, "/incidents/INC-1/rows", &[("dismiss", "999"), by]).await?.0, 404);
    Ok(())
}
