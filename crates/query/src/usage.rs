//! What one query has taken so far: asked while it runs, and kept when it ends, however it ends.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanVisitor, accept};
use hindsight_model::SqlStats;

use crate::block_scan::ROWS_SKIPPED;
use crate::memory::QueryMemory;
use crate::signal_table::ScanCounts;

/// Filled by the query as it comes by; read by anyone.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    pub(crate) counts: Arc<ScanCounts>,
    pub(crate) memory: OnceLock<Arc<QueryMemory>>,
    /// Its operators count for themselves.
    pub(crate) plan: OnceLock<Arc<dyn ExecutionPlan>>,
    /// Rows handed on so far.
    rows: AtomicU64,
    /// Whoever reads them.
    pub(crate) reader: Reader,
}

/// Since when a query waits for the reader of its rows.
#[derive(Debug, Default)]
pub(crate) struct Reader(Mutex<Option<Instant>>);

impl Reader {
    pub(crate) fn wait_begins(&self) {
        self.set(Some(Instant::now()));
    }

    pub(crate) fn wait_ends(&self) {
        self.set(None);
    }

    /// None when it does not wait.
    pub(crate) fn waited(&self) -> Option<Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).map(|since| since.elapsed())
    }

    fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }
}

impl Usage {
    pub(crate) fn add_rows(&self, rows: usize) {
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
    }

    /// Rows handed on so far.
    pub(crate) fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// The figures as of now.
    pub(crate) fn stats(&self, elapsed: Duration) -> SqlStats {
        let mut operators = Operators::default();
        if let Some(plan) = self.plan.get() {
            // The visitor never fails.
            let _ = accept(plan.as_ref(), &mut operators);
        }
        let count = |figure: &std::sync::atomic::AtomicU64| figure.load(Ordering::Relaxed);
        SqlStats {
            elapsed,
            rows_scanned: operators.rows + count(&self.counts.head_rows),
            bytes_scanned: operators.bytes,
            files_scanned: count(&self.counts.files_scanned),
            files_pruned: count(&self.counts.files_pruned),
            files_pruned_by_id: count(&self.counts.files_pruned_by_id),
            rows_skipped_by_index: operators.skipped,
            memory_peak_bytes: self.memory.get().map_or(0, |memory| memory.peak() as u64),
            spilled_bytes: operators.spilled,
        }
    }
}

/// Sums over the operators of a plan.
#[derive(Debug, Default)]
struct Operators {
    rows: u64,
    bytes: u64,
    skipped: u64,
    spilled: u64,
}

impl ExecutionPlanVisitor for Operators {
    type Error = std::convert::Infallible;

    fn pre_visit(&mut self, plan: &dyn ExecutionPlan) -> Result<bool, Self::Error> {
        if let Some(metrics) = plan.metrics() {
            let sum = |name: &str| metrics.sum_by_name(name).map_or(0, |value| value.as_usize() as u64);
            // Head rows are a source too, counted when the scan is planned; only files say how many bytes they read.
            if plan.name() == "DataSourceExec" && metrics.sum_by_name("bytes_scanned").is_some() {
                self.rows += metrics.output_rows().unwrap_or(0) as u64;
                self.bytes += sum("bytes_scanned");
                self.skipped += sum(ROWS_SKIPPED);
            }
            self.spilled += metrics.spilled_bytes().unwrap_or(0) as u64;
        }
        Ok(true)
    }
}
