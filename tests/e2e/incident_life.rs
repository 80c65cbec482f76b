//! The life of an incident through the real server: what people do with it, what it keeps from being deleted, and
//! when that is let go.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use jiff::{SignedDuration, Timestamp};
use prost::Message as _;
use serde_json::{Value, json};

use crate::binary;
use crate::otlp::{self, PROTOBUF};
use crate::server::{Home, Server, text};
use crate::wait::wait_until;

const START: &str = "2026-05-04T10:00:00Z";
/// A round of upkeep every five seconds, and the rest for a busy machine.
const UPKEPT_WITHIN: Duration = Duration::from_secs(60);
const DOCUMENT: &str = include_str!("../../crates/postmortem/fixtures/lint/good.md");

fn at(hours: i64) -> Timestamp {
    let start: Timestamp = START.parse().expect("a fixed time");
    start + SignedDuration::from_hours(hours)
}

fn home() -> anyhow::Result<Home> {
    Home::new("[ingest]\nretention = \"1h\"\nseal_age = \"1s\"\n")
}

fn serve(home: &Home, now: Timestamp) -> anyhow::Result<Server> {
    home.serve_with(&["--logical-clock", &now.to_string()])
}

async fn post(server: &Server, path: &str, body: &Value) -> anyhow::Result<(u16, Value)> {
    let url = format!("http://{}{path}", server.web);
    let answer = reqwest::Client::new().post(url).body(body.to_string()).send().await?;
    let status = answer.status().as_u16();
    let text = answer.text().await?;
    Ok((status, serde_json::from_str(&text).with_context(|| format!("read {path}: {text}"))?))
}

async fn done(server: &Server, path: &str, body: Value) -> anyhow::Result<Value> {
    let (status, answer) = post(server, path, &body).await?;
    ensure!((200..300).contains(&status), "{path} {body}\ngave {status}: {answer}");
    Ok(answer)
}

async fn refused(server: &Server, path: &str, body: Value, status: u16) -> anyhow::Result<String> {
    let (found, answer) = post(server, path, &body).await?;
    ensure!(found == status, "{path} {body}\ngave {found}, not {status}: {answer}");
    Ok(answer["error"]["message"].as_str().unwrap_or_default().to_owned())
}

async fn change(server: &Server, id: &str, mut body: Value) -> anyhow::Result<Value> {
    body["author"] = json!("incident commander");
    done(server, &format!("/api/v1/incidents/{id}/changes"), body).await
}

async fn move_to(server: &Server, now: Timestamp) -> anyhow::Result<()> {
    done(server, "/api/v1/clock", json!({ "now": now })).await.map(drop)
}

async fn send(server: &Server, service: &str, at: Timestamp) -> anyhow::Result<()> {
    let spans = otlp::spans(service, u64::try_from(at.as_nanosecond())?, &vec![("GET /", vec![]); 4]);
    let post = reqwest::Client::new().post(server.otlp_url("traces")).header("content-type", PROTOBUF);
    let status = post.body(spans.encode_to_vec()).send().await?.status();
    ensure!(status == 200, "the spans were answered {status}");
    Ok(())
}

async fn count(server: &Server, service: &str) -> anyhow::Result<i64> {
    server.count("spans", &format!("service_name = '{service}'")).await
}

async fn wait_until_gone(server: &Server, service: &str) -> anyhow::Result<()> {
    wait_until(&format!("the spans of {service} were deleted"), UPKEPT_WITHIN, async || {
        Ok((count(server, service).await? == 0).then_some(()))
    })
    .await
}

/// A post-mortem of INC-1 that stands where it is told.
fn write_postmortem(home: &Home, status: &str) -> anyhow::Result<()> {
    let folder = home.workspace().join("postmortems/PM-2026-001-shop");
    std::fs::create_dir_all(&folder)?;
    let document =
        DOCUMENT.replace("INC-231", "INC-1").replace("status: closed", &format!("status: {status}"));
    ensure!(document.contains(&format!("status: {status}\n")), "the fixture has another status");
    std::fs::write(folder.join("postmortem.md"), document).context("write the post-mortem")
}

/// The clock moves by hours; retention is one. What lies before the incident's day shows that retention works.
#[tokio::test]
async fn retention_deletes_nothing_that_an_open_post_mortem_holds_and_frees_it_after_closing()
-> anyhow::Result<()> {
    let home = home()?;
    let server = serve(&home, at(-30))?;
    send(&server, "long-before", at(-30)).await?;
    move_to(&server, at(0)).await?;
    send(&server, "shop", at(0)).await?;
    let declared = json!({"author": "on call", "title": "Customers cannot pay", "severity": "SEV2", "services": ["shop"]});
    let id = done(&server, "/api/v1/incidents", declared).await?["incident"]["id"].clone();
    assert_eq!(id, "INC-1");
    let held = server.sql("SELECT id, held_from, held_to FROM holds").await?.by_name();
    assert_eq!(
        (held.len(), &held[0]["id"], &held[0]["held_to"]),
        (1, &json!("INC-1"), &Value::Null),
        "{held:?}"
    );

    move_to(&server, at(3)).await?;
    wait_until_gone(&server, "long-before").await?;
    assert_eq!(count(&server, "shop").await?, 4, "an open incident holds its telemetry");

    // Resolved, with a draft: the hold has an end, and goes on; a crash changes nothing of it.
    change(&server, "INC-1", json!({"change": "resolve"})).await?;
    write_postmortem(&home, "draft")?;
    let why = refused(
        &server,
        "/api/v1/incidents/INC-1/changes",
        json!({"author": "a", "change": "close", "without_postmortem": "small"}),
        409,
    )
    .await?;
    ensure!(why.contains("PM-2026-001") && why.contains("not closed"), "{why}");
    server.kill_9()?;
    let server = serve(&home, at(40))?;
    send(&server, "much-later", at(40)).await?;
    move_to(&server, at(43)).await?;
    wait_until_gone(&server, "much-later").await?;
    assert_eq!(count(&server, "shop").await?, 4, "after 43 hours its post-mortem is not closed");
    check_shown(&home)?;

    // A document that cannot be read may be an open one.
    let document = home.workspace().join("postmortems/PM-2026-001-shop/postmortem.md");
    std::fs::write(&document, "---\nid: [\n---\n")?;
    move_to(&server, at(44)).await?;
    assert_eq!(server.count("holds", "id = 'INC-1'").await?, 1);

    write_postmortem(&home, "closed")?;
    move_to(&server, at(45)).await?;
    assert_eq!(server.count("holds", "true").await?, 0);
    assert_eq!(server.count("incidents", "status = 'closed' AND closed_at IS NOT NULL").await?, 1);
    assert_eq!(server.count("audit_log", "action = 'incident.close' AND actor = 'hindsight'").await?, 1);
    wait_until_gone(&server, "shop").await?;
    Ok(())
}

/// The command line tells what is held.
fn check_shown(home: &Home) -> anyhow::Result<()> {
    let data_dir = home.data_dir();
    let of = ["--data-dir", text(&data_dir)];
    let shown = binary::run_well(&[&["incident", "show", "INC-1"][..], &of].concat())?;
    ensure!(
        shown.contains("holds its telemetry from 2026-05-03T10:00:00Z to 2026-05-04T15:00:00Z"),
        "{shown}"
    );
    let listed = binary::run_well(&[&["incident", "holds", "--json"][..], &of].concat())?;
    let listed: Value = serde_json::from_str(&listed)?;
    ensure!(listed[0]["id"] == "INC-1" && listed[0]["rows"].as_i64() >= Some(4), "{listed}");
    Ok(())
}

#[tokio::test]
async fn an_incident_lives_through_api_and_command_line_and_every_step_is_audited() -> anyhow::Result<()> {
    let home = home()?;
    let server = serve(&home, at(0))?;
    let data_dir = home.data_dir();
    let run =
        |words: &[&str]| binary::run_well(&[&["incident"], words, &["--data-dir", text(&data_dir)]].concat());
    let fails = |words: &[&str]| -> anyhow::Result<String> {
        let output = binary::run(&[&["incident"], words, &["--data-dir", text(&data_dir)]].concat())?;
        ensure!(!output.status.success(), "{words:?} succeeded");
        Ok(String::from_utf8(output.stderr)?)
    };
    assert_eq!(
        run(&["declare", "Customers cannot pay", "--severity", "SEV3", "--service", "shop"])?.trim(),
        "INC-1"
    );
    assert_eq!(run(&["declare", "Orders are lost"])?.trim(), "INC-2");
    move_to(&server, at(2)).await?;

    assert_eq!(
        run(&["acknowledge", "INC-1", "--at", "2026-05-04T10:10:00Z"])?.trim(),
        "INC-1 SEV3 acknowledged"
    );
    run(&["role", "INC-1", "--role", "incident_commander", "--person", "dana"])?;
    run(&["severity", "INC-1", "--to", "SEV1", "--reason", "every customer is hurt"])?;
    run(&["cause", "INC-1", "--text", "the pool is too small", "--at", "2026-05-04T10:40:00Z"])?;
    run(&["time", "INC-1", "--milestone", "impact_start", "--at", "2026-05-04T09:55:00Z"])?;
    run(&["mitigate", "INC-1", "--text", "doubled the pool", "--at", "2026-05-04T10:50:00Z"])?;
    run(&["merge", "INC-2", "--into", "INC-1", "--reason", "the same pool"])?;
    assert_eq!(run(&["resolve", "INC-1", "--at", "2026-05-04T11:00:00Z"])?.trim(), "INC-1 SEV1 resolved");
    for (words, says) in [
        (&["close", "INC-1"][..], "no post-mortem"),
        (&["acknowledge", "INC-2"][..], "part of INC-1"),
        (&["acknowledge", "INC-9"][..], "no INC-9"),
        (&["mitigate", "INC-1", "--at", "2026-06-04T10:10:00Z"][..], "future"),
        (&["severity", "INC-1", "--to", "SEV9", "--reason", "x"][..], "SEV9"),
    ] {
        let said = fails(words)?;
        ensure!(said.contains(says), "{words:?}: {said}");
    }
    run(&["close", "INC-1", "--without-postmortem", "found in an exercise"])?;
    run(&["reopen", "INC-1", "--reason", "it was no exercise"])?;

    let incident = server.sql("SELECT * FROM incidents WHERE id = 'INC-1'").await?.by_name().remove(0);
    for (column, value) in [
        ("status", json!("reopened")),
        ("severity", json!("SEV1")),
        ("cause", json!("the pool is too small")),
        ("roles", json!(r#"{"incident_commander":"dana"}"#)),
        ("resolved_at", Value::Null),
        ("closed_at", Value::Null),
    ] {
        assert_eq!(incident[column], value, "{column}");
    }
    for (column, time) in
        [("impact_start_at", "09:55"), ("acknowledged_at", "10:10"), ("cause_identified_at", "10:40")]
    {
        ensure!(incident[column].to_string().contains(time), "{column}: {}", incident[column]);
    }
    let merged = server.sql("SELECT status, duplicate_of FROM incidents WHERE id = 'INC-2'").await?;
    assert_eq!(merged.rows[0], [json!("merged"), json!("INC-1")]);
    let actions = server.sql("SELECT action FROM audit_log ORDER BY seq").await?;
    let actions: Vec<&str> = actions.rows.iter().filter_map(|row| row[0].as_str()).collect();
    let expected = "declare declare acknowledge role severity cause time mitigate merge resolve close reopen";
    let expected: Vec<String> = expected.split(' ').map(|word| format!("incident.{word}")).collect();
    assert_eq!(actions, expected);
    Ok(())
}

#[tokio::test]
async fn a_change_is_made_once_per_idempotency_key() -> anyhow::Result<()> {
    let home = home()?;
    let server = serve(&home, at(0))?;
    let declared = json!({"author": "on call", "title": "Customers cannot pay", "severity": "SEV2"});
    done(&server, "/api/v1/incidents", declared).await?;
    let url = format!("http://{}/api/v1/incidents/INC-1/timeline", server.web);
    let send = async |text: &str| {
        let body = json!({"author": "scribe", "rows": [{"at": at(0), "text": text}]}).to_string();
        let answer =
            reqwest::Client::new().post(&url).header("idempotency-key", "k1").body(body).send().await?;
        Ok::<_, anyhow::Error>((answer.status().as_u16(), answer.text().await?))
    };
    let first = send("customers wrote").await?;
    assert_eq!(first, (201, json!({"added": 1, "known": 0}).to_string()));
    assert_eq!(send("customers wrote").await?, first);
    assert_eq!(send("customers called").await?.0, 422);
    assert_eq!(server.count("timeline", "true").await?, 1);
    Ok(())
}

const CSV: &str = "time,text,role,service\n\
    2026-05-04 10:05,\"customers call, many of them\",communications,\n\
    2026-05-04 10:20,restarted the pool,responder,shop\n";

#[tokio::test]
async fn a_timeline_is_imported_edited_and_dismissed_and_stays_so() -> anyhow::Result<()> {
    let home = home()?;
    let server = serve(&home, at(0))?;
    let declared = json!({"author": "on call", "title": "Customers cannot pay", "severity": "SEV2"});
    done(&server, "/api/v1/incidents", declared).await?;
    move_to(&server, at(1)).await?;
    let data_dir = home.data_dir();
    let run =
        |words: &[&str]| binary::run_well(&[&["incident"], words, &["--data-dir", text(&data_dir)]].concat());
    let file = home.workspace().join("chat.csv");
    std::fs::write(&file, CSV)?;
    let import = ["import-timeline", "INC-1", text(&file)];
    assert_eq!(run(&import)?.trim(), "2 rows added to INC-1");
    assert_eq!(run(&import)?.trim(), "0 rows added to INC-1, 2 were there already");
    run(&[
        "add-row",
        "INC-1",
        "--text",
        "status page updated",
        "--at",
        "2026-05-04T10:30:00Z",
        "--author",
        "communications",
    ])?;

    let row = async |text: &str| {
        let sql = format!("SELECT id FROM timeline WHERE text LIKE '%{text}%'");
        Ok::<_, anyhow::Error>(server.sql(&sql).await?.single()?.to_string())
    };
    let (pool, page) = (row("restarted").await?, row("status page").await?);
    run(&["dismiss", "INC-1", &page])?;
    run(&["edit", "INC-1", &pool, "--text", "restarted the pool twice", "--at", "2026-05-04T10:21:00Z"])?;
    run(&["gather", "INC-1"])?;
    let rows = server
        .sql("SELECT text, state, role, original_text, original_at FROM timeline ORDER BY timestamp")
        .await?
        .by_name();
    let states: Vec<&str> = rows.iter().filter_map(|row| row["state"].as_str()).collect();
    assert_eq!(states, ["accepted", "accepted", "dismissed"], "{rows:?}");
    assert_eq!(rows[1]["original_text"], "restarted the pool");
    ensure!(rows[1]["original_at"].to_string().contains("10:20"), "the first time stays: {:?}", rows[1]);
    assert_eq!(rows[0]["role"], "communications");
    let shown = run(&["show", "INC-1"])?;
    ensure!(shown.contains("restarted the pool twice") && !shown.contains("status page"), "{shown}");
    Ok(())
}
