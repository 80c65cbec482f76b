//! The same rows and values as the engine's own operator gives, however batches begin and end and whatever the memory.

use arrow::array::{Float64Array, Int64Array, StringViewArray, TimestampMicrosecondArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::common::DataFusionError;
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::functions_window::lead_lag::lag_udwf;
use datafusion::functions_window::rank::rank_udwf;
use datafusion::functions_window::row_number::row_number_udwf;
use datafusion::logical_expr::{WindowFrame, WindowFunctionDefinition, WindowUDF};
use datafusion::physical_expr::expressions::col;
use datafusion::physical_plan::InputOrderMode;
use datafusion::physical_plan::windows::create_window_expr;
use futures::TryStreamExt as _;
use proptest::prelude::*;

use super::*;

fn schema(is_text: bool) -> SchemaRef {
    let series = if is_text { DataType::Utf8View } else { DataType::Int64 };
    Arc::new(Schema::new(vec![
        Field::new("series", series, true),
        Field::new("time", DataType::Timestamp(TimeUnit::Microsecond, None), false),
        Field::new("value", DataType::Float64, true),
    ]))
}

/// Series of these lengths, the last without an id, cut into batches of these.
fn batches(is_text: bool, lengths: &[usize], cuts: &[usize]) -> Vec<RecordBatch> {
    let ids: Vec<Option<usize>> = lengths
        .iter()
        .enumerate()
        .flat_map(|(series, length)| vec![(series + 1 < lengths.len()).then_some(series); *length])
        .collect();
    let rows = ids.len();
    let series: arrow::array::ArrayRef = if is_text {
        Arc::new(
            ids.iter()
                .map(|id| id.map(|id| format!("a series of some length {id}")))
                .collect::<StringViewArray>(),
        )
    } else {
        Arc::new(ids.iter().map(|id| id.and_then(|id| i64::try_from(id).ok())).collect::<Int64Array>())
    };
    let time: TimestampMicrosecondArray = (0_i64..).take(rows).map(|row| Some(row / 2)).collect();
    let value: Float64Array =
        (0_i32..).take(rows).map(|row| (row % 7 != 3).then(|| f64::from(row * 37 % 11))).collect();
    let whole = RecordBatch::try_new(schema(is_text), vec![series, Arc::new(time), Arc::new(value)]).unwrap();
    let mut at = 0;
    let mut parts: Vec<_> = cuts
        .iter()
        .map(|length| {
            let part = whole.slice(at, (*length).min(rows - at));
            at += part.num_rows();
            part
        })
        .collect();
    parts.push(whole.slice(at, rows - at));
    parts
}

fn input(batches: &[RecordBatch]) -> Arc<dyn ExecutionPlan> {
    let schema = batches[0].schema();
    let order = ["series", "time"]
        .map(|name| PhysicalSortExpr::new_default(col(name, &schema).unwrap()).nulls_last());
    let rows = stream::iter(batches.to_vec()).map(Ok);
    once(Box::pin(RecordBatchStreamAdapter::new(schema, rows)), LexOrdering::new(order)).unwrap()
}

/// The engine's own operator; one that can do with a part of a series only without `increment`.
fn engines(batches: &[RecordBatch], is_bounded: bool) -> Arc<dyn ExecutionPlan> {
    let input = input(batches);
    let schema = input.schema();
    let call = |function: Arc<WindowUDF>, arguments: &[&str]| {
        let arguments: Vec<_> = arguments.iter().map(|name| col(name, &schema).unwrap()).collect();
        let name = function.name().to_owned();
        create_window_expr(
            &WindowFunctionDefinition::WindowUDF(function),
            name,
            &arguments,
            &[col("series", &schema).unwrap()],
            &[PhysicalSortExpr::new_default(col("time", &schema).unwrap()).nulls_last()],
            Arc::new(WindowFrame::new(Some(false))),
            Arc::clone(&schema),
            false,
            false,
            None,
        )
        .unwrap()
    };
    let mut functions =
        vec![call(row_number_udwf(), &[]), call(lag_udwf(), &["value"]), call(rank_udwf(), &[])];
    if is_bounded {
        return Arc::new(
            BoundedWindowAggExec::try_new(functions, input, InputOrderMode::Sorted, false).unwrap(),
        );
    }
    functions.push(call(Arc::new(crate::functions::increment()), &["value"]));
    Arc::new(WindowAggExec::try_new(functions, input, false).unwrap())
}

async fn rows(plan: Arc<dyn ExecutionPlan>, memory: usize) -> Result<RecordBatch> {
    let runtime =
        RuntimeEnvBuilder::new().with_memory_pool(Arc::new(GreedyMemoryPool::new(memory))).build_arc()?;
    let context = Arc::new(TaskContext::default().with_runtime(runtime));
    let rows: Vec<_> = plan.execute(0, context)?.try_collect().await?;
    Ok(concat_batches(&plan.schema(), &rows)?)
}

/// Ours over the same rows.
fn ours(batches: &[RecordBatch], is_bounded: bool) -> Arc<dyn ExecutionPlan> {
    let window = engines(batches, is_bounded);
    let calls = Calls::of(functions(&window).unwrap()).unwrap().unwrap();
    Arc::new(SeriesWindowExec {
        properties: Arc::clone(window.properties()),
        window,
        input: input(batches),
        keys: (0, 1),
        is_sorted: true,
        calls: Arc::new(calls),
        metrics: ExecutionPlanMetricsSet::new(),
    })
}

proptest! {
    #[test]
    fn windows_are_the_engines(
        is_text in any::<bool>(),
        is_bounded in any::<bool>(),
        lengths in prop::collection::vec(prop_oneof![3 => 1..4_usize, 1 => 5..60_usize], 1..12),
        cuts in prop::collection::vec(prop_oneof![1 => Just(0_usize), 3 => 1..5_usize, 1 => 5..60_usize], 0..12),
        memory in 0..4_000_usize,
    ) {
        let batches = batches(is_text, &lengths, &cuts);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let expected = rows(engines(&batches, is_bounded), usize::MAX).await.unwrap();
            assert_eq!(rows(ours(&batches, is_bounded), usize::MAX).await.unwrap(), expected);
            match rows(ours(&batches, is_bounded), memory).await {
                Ok(found) => assert_eq!(found, expected),
                Err(error) => assert!(!is_bounded && matches!(error, DataFusionError::ResourcesExhausted(_)), "{error}"),
            }
        });
    }
}

#[tokio::test]
async fn no_rows_are_no_rows_and_what_fails_below_fails() {
    let none = batches(false, &[0], &[]);
    assert_eq!(rows(ours(&none, true), usize::MAX).await.unwrap().num_rows(), 0);
    let some = batches(false, &[3, 2], &[2]);
    let failing = stream::iter([Ok(some[0].clone()), Err(DataFusionError::Internal("no more".to_owned()))]);
    let failing = once(Box::pin(RecordBatchStreamAdapter::new(schema(false), failing)), None).unwrap();
    let failing = Arc::clone(&over(&ours(&some, false), failing).unwrap());
    let error = rows(failing, usize::MAX).await.unwrap_err();
    assert!(error.to_string().contains("no more"), "{error}");
}
