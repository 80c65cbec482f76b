//! What a full-text index of a block costs a log, and what it takes to find a word.
//!
//! Rival in the same run: the same texts with tantivy's default tokenizer, a document a row. Both name the row of an
//! identifier; ours may name some rows beside it, which a query looks at.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hindsight_benches::texts::{bodies, identifier};
use hindsight_model::{TextIndex as _, Wanted};
use hindsight_search::SearchIndex;
use tantivy::collector::DocSetCollector;
use tantivy::directory::MmapDirectory;
use tantivy::index::IndexBuilder;
use tantivy::query::TermQuery;
use tantivy::schema::{Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::{Index, SingleSegmentIndexWriter, TantivyDocument, Term};

const ROWS: usize = 200_000;
const BATCH_ROWS: usize = 8192;
const BLOCK: &str = "logs/tenant=default/date=2026-11-01/00000000000000000001-c1-a.parquet";
/// Memory of the rival's words, enough for all.
const RIVAL_BYTES: usize = 1 << 30;

fn search(criterion: &mut Criterion) {
    let bodies = bodies(ROWS);
    let batches: Vec<RecordBatch> = bodies.chunks(BATCH_ROWS).map(batch).collect();
    let mut group = criterion.benchmark_group("search");
    group.sample_size(10);
    group.throughput(Throughput::Elements(ROWS as u64));
    let place = || tempfile::tempdir().expect("the disk has room");
    group.bench_function(BenchmarkId::new("build", format!("rows={ROWS}")), |bencher| {
        bencher.iter_batched(place, |dir| drop(build(dir.path(), &batches)), BatchSize::PerIteration);
    });
    group.bench_function(
        BenchmarkId::new("build/rival/tantivy_row_a_document", format!("rows={ROWS}")),
        |bencher| {
            bencher.iter_batched(place, |dir| drop(rival(dir.path(), &bodies)), BatchSize::PerIteration);
        },
    );
    let (ours_dir, rival_dir) = (place(), place());
    let (ours, bytes) = build(ours_dir.path(), &batches);
    let (index, field) = rival(rival_dir.path(), &bodies);
    let searcher = index.reader().expect("it was written").searcher();
    let (row, word) = some_identifier(&bodies);
    let wanted = Wanted::Word { column: "body".to_owned(), word: word.to_owned() };
    let look_up = || ours.candidates(BLOCK, &wanted).expect("it is rare").rows;
    let rival_look_up = || {
        let query = TermQuery::new(Term::from_field_text(field, word), IndexRecordOption::Basic);
        searcher.search(&query, &DocSetCollector).expect("it is whole")
    };
    let found: Vec<u32> = rival_look_up().into_iter().map(|document| document.doc_id).collect();
    assert_eq!(found, [row]);
    assert!(look_up().contains(&row));
    let rival_bytes: u64 = files(rival_dir.path());
    // Not an output of a library: the size is part of what is compared.
    #[expect(clippy::print_stderr)]
    {
        eprintln!("bytes a row: {:.1}, tantivy {:.1}", per_row(bytes), per_row(rival_bytes));
    }
    group.throughput(Throughput::Elements(1));
    group
        .bench_function(BenchmarkId::new("look_up", format!("rows={ROWS}")), |bencher| bencher.iter(look_up));
    group.bench_function(
        BenchmarkId::new("look_up/rival/tantivy_row_a_document", format!("rows={ROWS}")),
        |bencher| {
            bencher.iter(rival_look_up);
        },
    );
    group.finish();
}

fn batch(bodies: &[String]) -> RecordBatch {
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values(bodies));
    RecordBatch::try_from_iter_with_nullable([("body", texts, true)]).expect("one column")
}

fn some_identifier(bodies: &[String]) -> (u32, &str) {
    let mut from_middle = bodies.iter().enumerate().skip(ROWS / 2);
    let found = from_middle.find_map(|(row, body)| Some((row, identifier(body)?)));
    let (row, word) = found.expect("most have one");
    (u32::try_from(row).expect("few rows"), word)
}

fn build(dir: &Path, batches: &[RecordBatch]) -> (SearchIndex, u64) {
    let index = SearchIndex::open(dir).expect("the disk has room");
    let bytes = index.add(BLOCK, &["body"], batches).expect("the disk has room");
    (index, bytes)
}

fn rival(dir: &Path, bodies: &[String]) -> (Index, Field) {
    let indexing = TextFieldIndexing::default()
        .set_tokenizer("default")
        .set_index_option(IndexRecordOption::Basic)
        .set_fieldnorms(false);
    let mut schema = Schema::builder();
    let field = schema.add_text_field("body", TextOptions::default().set_indexing_options(indexing));
    let directory = MmapDirectory::open(dir).expect("the directory is there");
    let mut writer: SingleSegmentIndexWriter = IndexBuilder::new()
        .schema(schema.build())
        .single_segment_index_writer(directory, RIVAL_BYTES)
        .expect("the schema is whole");
    for body in bodies {
        let mut document = TantivyDocument::new();
        document.add_text(field, body);
        writer.add_document(document).expect("memory takes it");
    }
    (writer.finalize().expect("the disk has room"), field)
}

fn files(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).expect("it was made");
    entries.map(|entry| entry.and_then(|entry| entry.metadata()).expect("it was made").len()).sum()
}

fn per_row(bytes: u64) -> f64 {
    bytes as f64 / ROWS as f64
}

criterion_group!(benches, search);
criterion_main!(benches);
