//! `hindsight bench ingest`: how much a server takes, at what cost, and what it leaves on disk.
//! `hindsight bench rca` has its own folder.
//!
//! The work is of the kind that teams send: logs with sentences of 200 bytes and six attributes, traces of ten spans,
//! scrapes of a hundred points. Bodies are made and encoded before the clock starts.

mod load;
mod logs;
mod points;
mod process;
mod rca;
mod sender;
mod server;
mod spans;
mod words;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use hindsight_model::{Clock as _, SqlRequest, SqlSource as _, SystemClock, parse_duration};
use serde_json::{Value, json};

use crate::args::{BenchArgs, BenchCommand, BenchIngestArgs, BenchSignal};
use crate::bench::load::{Body, LAP_BYTES_MAX, Plan};
use crate::bench::process::{OnDisk, cpu_time, on_disk, peak_rss_bytes};
use crate::bench::sender::{Sent, Work};
use crate::bench::server::Target;
use crate::progress::Reporter;
use crate::say;

/// How often the server is looked at while it settles.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A server has settled when nothing waits to be sealed and it was this idle, for this long.
const IDLE_SHARE: f64 = 0.05;
const IDLE_FOR: Duration = Duration::from_secs(3);

/// Runs the benchmark that was asked for.
pub(crate) async fn run(args: BenchArgs) -> anyhow::Result<ExitCode> {
    let args = match args.command {
        BenchCommand::Ingest(args) => args,
        BenchCommand::Rca(args) => return rca::run(&args).await,
    };
    let reporter = Reporter::start();
    let report = ingest(&args, &reporter).await;
    reporter.end();
    say::line(&serde_json::to_string_pretty(&report?)?)?;
    Ok(ExitCode::SUCCESS)
}

async fn ingest(args: &BenchIngestArgs, reporter: &Reporter) -> anyhow::Result<Value> {
    let plan = plan(args)?;
    reporter.tell("making requests", 0, 0);
    let bodies = load::bodies(&plan, LAP_BYTES_MAX);
    let target = Target::open(args)?;
    let before = cost(&target)?;
    let sent = send(args, &target, &bodies, reporter)?;
    let at_last_ack = cost(&target)?;
    let settle = parse_duration(&args.settle)?;
    let settled_after = settle_down(&target, settle, reporter).await?;
    let settled = cost(&target)?;
    let counted = count(&target, args.signal).await?;
    if let Some(counted) = counted.filter(|_| target.is_own()) {
        let expected = sent.items - sent.rejected;
        ensure!(counted == expected, "{expected} items were acknowledged and {counted} are in the tables");
    }
    let disk = target.data_dir.as_deref().map(on_disk).transpose()?;
    let peak_rss = target.pid.map(peak_rss_bytes).transpose()?;
    let bytes_made: usize = bodies.iter().map(|body| body.bytes.len()).sum();
    let report = json!({
        "schema": "hindsight/bench-ingest/v1",
        "work": {
            "signal": args.signal.name(),
            "items": sent.items,
            "requests": sent.latencies.len(),
            "connections": args.connections,
            "seed": args.seed,
            "bytes_per_item": per(sent.bytes as f64, sent.items),
            "laps": (sent.latencies.len() as f64 / bodies.len() as f64).ceil(),
            "bytes_made": bytes_made,
        },
        "server": {
            "own": target.is_own(),
            "pid": target.pid,
            "data_dir": server::shown(target.data_dir.as_deref()),
            "cores": std::thread::available_parallelism().map_or(0, usize::from),
        },
        "items_per_second": sent.items as f64 / sent.elapsed.as_secs_f64(),
        "mb_per_second": sent.bytes as f64 / 1e6 / sent.elapsed.as_secs_f64(),
        "elapsed_s": sent.elapsed.as_secs_f64(),
        "cpu": cpu(sent.items, before, at_last_ack, settled),
        "settled_after_s": settled_after.map(|after| after.as_secs_f64()),
        "ack_ms": latencies(&sent),
        "peak_rss_bytes": peak_rss,
        "disk": disk.map(|disk| of_disk(disk, sent.items)),
        "rejected": sent.rejected,
        "pushed_back": sent.pushed_back,
        "items_in_tables": counted,
    });
    target.end()?;
    Ok(report)
}

fn plan(args: &BenchIngestArgs) -> anyhow::Result<Plan> {
    ensure!(args.items > 0 && args.per_request > 0 && args.connections > 0, "nothing to send: a count is 0");
    let window = parse_duration(&args.window)?;
    let end = args.end.unwrap_or_else(|| SystemClock.now());
    let end_nanos = u64::try_from(end.as_nanosecond()).context("--end lies before 1970")?;
    let window_nanos = u64::try_from(window.as_nanos()).context("--window is too long")?;
    ensure!(window_nanos > 0 && window_nanos < end_nanos / 2, "--window {} is 0 or too long", args.window);
    Ok(Plan {
        signal: args.signal,
        items: args.items,
        per_request: args.per_request,
        seed: args.seed,
        window_nanos,
        end_nanos,
    })
}

fn send(
    args: &BenchIngestArgs,
    target: &Target,
    bodies: &[Body],
    reporter: &Reporter,
) -> anyhow::Result<Sent> {
    let requests = args.items.div_ceil(args.per_request);
    let work = Work {
        address: &target.address,
        path: args.signal.path(),
        token: args.token.as_deref(),
        bodies,
        requests,
        connections: args.connections,
    };
    let told = |done: u64| reporter.tell(&format!("request {done} of {requests}"), 0, 0);
    sender::send(&work, &told)
}

/// Processor time of the server so far, when its process is known.
fn cost(target: &Target) -> anyhow::Result<Option<Duration>> {
    target.pid.map(cpu_time).transpose()
}

/// Waits until nothing is left to do; `None` when that cannot be seen.
async fn settle_down(
    target: &Target,
    limit: Duration,
    reporter: &Reporter,
) -> anyhow::Result<Option<Duration>> {
    let (Some(pid), begun) = (target.pid, Instant::now()) else { return Ok(None) };
    let mut idle_since: Option<Instant> = None;
    let mut last = (Instant::now(), cpu_time(pid)?);
    while begun.elapsed() < limit {
        reporter.tell("waiting for the server to settle", 0, 0);
        tokio::time::sleep(LOOK_EVERY).await;
        let now = (Instant::now(), cpu_time(pid)?);
        let share = (now.1.saturating_sub(last.1)).as_secs_f64() / (now.0 - last.0).as_secs_f64();
        last = now;
        if share > IDLE_SHARE || !is_sealed(target).await? {
            idle_since = None;
            continue;
        }
        let since = *idle_since.get_or_insert(now.0);
        if since.elapsed() >= IDLE_FOR {
            return Ok(Some(since - begun));
        }
    }
    bail!("the server had not settled after {} s; give it longer with --settle", limit.as_secs())
}

async fn is_sealed(target: &Target) -> anyhow::Result<bool> {
    let Some(web) = &target.web else { return Ok(true) };
    Ok(web.get("/api/v1/status").await?["store"]["head_rows"] == 0)
}

/// Items in the tables, by the server's own SQL.
async fn count(target: &Target, signal: BenchSignal) -> anyhow::Result<Option<u64>> {
    let Some(web) = &target.web else { return Ok(None) };
    let mut items = 0;
    for table in signal.tables() {
        let answer = web.sql(SqlRequest::new(format!("SELECT count(*) AS n FROM {table}"))).await?;
        let rows = hindsight_query::output::to_objects(&answer)?;
        items += rows[0]["n"].as_u64().context("a count is a number")?;
    }
    Ok(Some(items))
}

fn cpu(
    items: u64,
    before: Option<Duration>,
    at_last_ack: Option<Duration>,
    settled: Option<Duration>,
) -> Value {
    let (Some(before), Some(at_last_ack), Some(settled)) = (before, at_last_ack, settled) else {
        return Value::Null;
    };
    let (acked, all) = ((at_last_ack - before).as_secs_f64(), (settled - before).as_secs_f64());
    json!({
        "to_last_ack_s": acked,
        "settled_s": all,
        "items_per_cpu_second_to_last_ack": (acked > 0.0).then(|| items as f64 / acked),
        "items_per_cpu_second_settled": (all > 0.0).then(|| items as f64 / all),
    })
}

fn latencies(sent: &Sent) -> Value {
    let at = |share: f64| {
        let index = (sent.latencies.len() as f64 * share) as usize;
        let latency = sent.latencies.get(index.min(sent.latencies.len().saturating_sub(1)));
        latency.map(|latency| latency.as_secs_f64() * 1e3)
    };
    json!({
        "p50": at(0.5),
        "p99": at(0.99),
        "max": at(1.0),
        "longest_without_any": sent.longest_gap.as_secs_f64() * 1e3,
    })
}

fn of_disk(disk: OnDisk, items: u64) -> Value {
    json!({
        "tables_bytes": disk.tables,
        "wal_bytes": disk.wal,
        "all_bytes": disk.all,
        "tables_bytes_per_item": per(disk.tables as f64, items),
        "all_bytes_per_item": per(disk.all as f64, items),
    })
}

fn per(value: f64, items: u64) -> f64 {
    value / items.max(1) as f64
}
