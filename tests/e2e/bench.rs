//! `hindsight bench ingest` on a small load: it counts right, and its report has what its readers need.

use anyhow::Context as _;
use serde_json::Value;

use crate::binary;
use crate::server::{Home, text};

#[test]
fn a_small_load_of_each_signal_is_measured_on_a_server_of_its_own() -> anyhow::Result<()> {
    // The seal's age is the server's own affair; a workspace is how it is told.
    let home = Home::new("[ingest]\nseal_age = \"200ms\"\n")?;
    for signal in ["logs", "traces", "metrics"] {
        let workspace = home.workspace();
        let said = binary::run_well(&[
            "bench",
            "ingest",
            "--signal",
            signal,
            "--items",
            "2050",
            "--connections",
            "2",
            "--workspace",
            text(&workspace),
        ])?;
        let report: Value = serde_json::from_str(&said)?;
        assert_eq!(
            (report["work"]["items"].as_u64(), report["work"]["requests"].as_u64()),
            (Some(2_050), Some(21))
        );
        assert_eq!((report["items_in_tables"].as_u64(), report["rejected"].as_u64()), (Some(2_050), Some(0)));
        for path in [
            "/items_per_second",
            "/cpu/items_per_cpu_second_settled",
            "/ack_ms/p50",
            "/ack_ms/p99",
            "/ack_ms/max",
            "/peak_rss_bytes",
            "/disk/tables_bytes_per_item",
            "/settled_after_s",
        ] {
            let value =
                report.pointer(path).and_then(Value::as_f64).with_context(|| format!("{path}: {report}"))?;
            assert!(value > 0.0 || path == "/settled_after_s", "{path} is {value}");
        }
    }
    Ok(())
}

#[test]
fn a_server_that_runs_already_is_measured_as_far_as_it_is_known() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let server = home.serve()?;
    let url = format!("http://{}", server.http);
    let said = binary::run_well(&["bench", "ingest", "--items", "300", "--url", &url])?;
    let report: Value = serde_json::from_str(&said)?;
    assert_eq!((report["server"]["own"].as_bool(), report["cpu"].is_null()), (Some(false), true));
    assert!(report["items_per_second"].as_f64().is_some_and(|rate| rate > 0.0));
    assert!(server.terminate()?.success(), "it was not ended");
    let output = binary::run(&["bench", "ingest", "--items", "300", "--url", &url])?;
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("connect to"));
    Ok(())
}
