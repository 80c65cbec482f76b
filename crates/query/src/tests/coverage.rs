//! Every table, view and function has a script that asks it; the program's own tables have theirs in `tests/sql`.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::execution::cache::default_cache::DefaultCache;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use object_store::memory::InMemory;

use super::layout::{Layout, lay};
use super::script::{records, scripts};
use crate::functions::register_over_spans;
use crate::{QueryOptions, session};

/// The words of every question that a script has an answer to.
fn asked() -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for script in scripts() {
        let text = std::fs::read_to_string(script).unwrap();
        for record in records(&text).into_iter().filter(|record| record.kind == "query") {
            let sql = record.sql.to_lowercase();
            words.extend(sql.split(|c: char| !c.is_alphanumeric() && c != '_').map(str::to_owned));
        }
    }
    words
}

fn functions(state: &SessionState) -> BTreeSet<String> {
    let scalar = state.scalar_functions().keys();
    let of_rows = state.aggregate_functions().keys().chain(state.window_functions().keys());
    scalar.chain(of_rows).chain(state.table_functions().keys()).cloned().collect()
}

#[test]
fn every_function_of_ours_is_asked_in_a_script() {
    let footers = Arc::new(DefaultCache::new(1 << 20));
    let mut ours = session::base(1, 1 << 20, Arc::new(InMemory::new()), footers).unwrap();
    let nothing = datafusion::datasource::empty::EmptyTable::new(hindsight_model::Table::Spans.schema());
    let nothing: Arc<dyn datafusion::catalog::TableProvider> = Arc::new(nothing);
    register_over_spans(&mut ours, &nothing);
    let theirs = functions(&SessionStateBuilder::new().with_default_features().build());
    // In the place of theirs.
    let replaced = ["approx_percentile_cont", "approx_median"].map(str::to_owned);
    let known: BTreeSet<String> = functions(&ours).difference(&theirs).cloned().chain(replaced).collect();
    assert!(known.len() > 20 && known.contains("trace_tree") && known.contains("rate"), "{known:?}");
    let asked = asked();
    let missing: Vec<&String> = known.difference(&asked).collect();
    assert!(missing.is_empty(), "no script in crates/query/slt asks {missing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_and_view_is_asked_in_a_script() {
    let laid = lay(Layout::Head, QueryOptions::default());
    let known: BTreeSet<&str> = laid.engine.tables().iter().map(|table| table.name.as_str()).collect();
    assert!(known.len() > 15, "{known:?}");
    let asked = asked();
    let missing: Vec<&&str> = known.iter().filter(|name| !asked.contains(**name)).collect();
    assert!(missing.is_empty(), "no script in crates/query/slt asks {missing:?}");
}
