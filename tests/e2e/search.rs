//! Full-text indexes beside the blocks: searches find the same with one, without one and with a damaged one.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use prost::Message as _;
use serde_json::Value;

use crate::binary;
use crate::otlp::{self, PROTOBUF};
use crate::server::{Home, Server, text};
use crate::wait::wait_until;

const ROWS: usize = 3_000;
const LIMIT: Duration = Duration::from_secs(60);
const SEARCHES: [&str; 6] = [
    "match(body, 'order 1234')",
    "match(body, '\"failed for order 77\"')",
    "match(body, 'orde* AND 298* -2981')",
    "match(body, 'absent') OR body = 'order 5 placed'",
    "body LIKE '%failed for order 77 %'",
    "NOT match(body, 'order')",
];

fn bodies(from: usize) -> Vec<String> {
    let body = |number: usize| match number % 11 {
        0 => format!("Payment FAILED for order {number} of user-{}", number % 50),
        _ => format!("order {number} placed"),
    };
    (from..from + ROWS).map(body).collect()
}

async fn send(server: &Server, from: usize) -> anyhow::Result<()> {
    let bodies = bodies(from);
    let bodies: Vec<_> = bodies.iter().map(|body| (body.as_str(), Vec::new())).collect();
    let logs = otlp::logs("shop", otlp::now(), &bodies);
    let post = reqwest::Client::new().post(server.otlp_url("logs")).header("content-type", PROTOBUF);
    let status = post.body(logs.encode_to_vec()).send().await?.status();
    ensure!(status == 200, "the logs were answered {status}");
    Ok(())
}

/// Sends logs, and merges all that there are into one block.
async fn grow(home: &Home, from: usize) -> anyhow::Result<()> {
    for from in [from, from + ROWS] {
        let server = home.serve()?;
        send(&server, from).await?;
        ensure!(server.terminate()?.success());
    }
    let mut maintain = binary::command()?;
    maintain.args(["maintain", "--data-dir", text(&home.data_dir())]);
    ensure!(maintain.output()?.status.success(), "hindsight maintain failed");
    Ok(())
}

async fn found(server: &Server) -> anyhow::Result<Vec<Vec<Value>>> {
    let mut all = Vec::new();
    for search in SEARCHES {
        let answer = server.sql(&format!("SELECT body FROM logs WHERE {search} ORDER BY body")).await?;
        all.push(answer.rows.into_iter().map(Value::from).collect());
    }
    Ok(all)
}

async fn rows_skipped(server: &Server) -> anyhow::Result<u64> {
    let sql = "EXPLAIN ANALYZE SELECT body FROM logs WHERE match(body, 'order 1234')";
    let plan = format!("{:?}", server.sql(sql).await?.rows);
    let Some((_, figure)) = plan.split_once("rows_skipped_by_index=") else { return Ok(0) };
    let end = figure.find(|sign: char| sign != '.' && !sign.is_ascii_digit()).unwrap_or(figure.len());
    let thousands = figure[end..].trim_start().starts_with('K');
    let figure: f64 = figure[..end].parse().context(plan.clone())?;
    Ok((figure * if thousands { 1_000.0 } else { 1.0 }) as u64)
}

async fn wait_for_index(server: &Server) -> anyhow::Result<()> {
    wait_until("one block is indexed and asked", LIMIT, async || {
        let indexed = server.metric("hindsight_search_index_blocks").await?;
        Ok((indexed == 1 && rows_skipped(server).await? > ROWS as u64).then_some(()))
    })
    .await
}

fn indexes(home: &Home) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(home.data_dir().join("index/logs"))?;
    Ok(entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?)
}

#[tokio::test]
async fn searches_find_the_same_whatever_became_of_the_index() -> anyhow::Result<()> {
    let home = Home::new("[ingest]\nseal_age = \"100ms\"\n")?;
    grow(&home, 0).await?;
    let server = home.serve()?;
    let expected = found(&server).await?;
    ensure!(expected[0] == ["order 1234 placed"].map(|body| Value::from(vec![body])), "{expected:?}");
    ensure!(expected[5].is_empty());
    wait_for_index(&server).await?;
    ensure!(found(&server).await? == expected, "with an index");
    ensure!(server.metric("hindsight_search_index_bytes").await? > 0);
    ensure!(server.terminate()?.success());

    // A flipped bit in the lists of rows: the index is dropped, and built anew.
    let first = indexes(&home)?;
    ensure!(first.len() == 1, "{first:?}");
    let lists = first[0].join("0/lists");
    let mut bytes = std::fs::read(&lists)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&lists, bytes)?;
    let server = home.serve()?;
    ensure!(found(&server).await? == expected, "with a damaged index");
    wait_for_index(&server).await?;
    ensure!(found(&server).await? == expected, "with an index built anew");
    ensure!(server.terminate()?.success());

    // The block is merged into another one: its index goes with it.
    grow(&home, 4 * ROWS).await?;
    let server = home.serve()?;
    wait_for_index(&server).await?;
    let second = indexes(&home)?;
    ensure!(second.len() == 1 && second != first, "{first:?} {second:?}");
    let wider = found(&server).await?;
    ensure!(wider[..2] == expected[..2] && wider[3] == expected[3] && wider[4] == expected[4]);
    ensure!(server.terminate()?.success());

    // Switched off, indexes go, and searches find what they found.
    std::fs::write(home.workspace().join("hindsight.toml"), "[search]\nenabled = false\n")?;
    let server = home.serve()?;
    wait_until("the index is gone", LIMIT, async || Ok(indexes(&home)?.is_empty().then_some(()))).await?;
    ensure!(found(&server).await? == wider, "without an index");
    ensure!(rows_skipped(&server).await? == 0);
    Ok(())
}
