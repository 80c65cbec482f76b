//! Answers made into bytes a piece at a time are the bytes of the whole.

use std::sync::Arc;

use arrow::ipc::reader::StreamReader;
use hindsight_model::{SqlAnswer, SqlRequest, SqlSource as _, Table};
use serde_json::Value;

use super::layout::{Layout, lay};
use crate::output::{self, Encoder, Format};
use crate::{Answered, Ended, QueryOptions, Terms};

/// Beginning, pieces of so many rows, end.
fn in_pieces(answer: &SqlAnswer, format: Format, rows: usize) -> Vec<u8> {
    let mut encoder = Encoder::new(format);
    let mut out = format.begin(&answer.schema).unwrap();
    for batch in &answer.batches {
        for start in (0..batch.num_rows()).step_by(rows) {
            let piece = batch.slice(start, rows.min(batch.num_rows() - start));
            out.append(&mut encoder.rows(&piece).unwrap());
        }
    }
    let ended = Ended { rows: answer.row_count() as u64, partial: None, stats: answer.stats };
    out.append(&mut format.end(&ended).unwrap());
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_of_any_size_make_the_whole() {
    let laid = lay(Layout::Half, QueryOptions::default());
    let mut questions: Vec<String> =
        Table::ALL.iter().map(|table| format!("SELECT * FROM {}", table.name())).collect();
    questions.extend(
        ["SELECT * FROM logs LIMIT 0", "SELECT 'a' AS b, NULL AS a, '' AS \"q\"\"\"", "SHOW TABLES"]
            .map(str::to_owned),
    );
    for sql in questions {
        let answer = laid.engine.sql(SqlRequest::new(&sql)).await.unwrap();
        for rows in [1, 2, 7, usize::MAX] {
            let json: Value = serde_json::from_slice(&in_pieces(&answer, Format::Json, rows)).unwrap();
            assert_eq!(json, output::to_json(&answer).unwrap(), "{sql}");
            let csv = String::from_utf8(in_pieces(&answer, Format::Csv, rows)).unwrap();
            assert_eq!(csv, output::to_csv(&answer).unwrap(), "{sql}");
            let lines = String::from_utf8(in_pieces(&answer, Format::NdJson, rows)).unwrap();
            let objects = output::to_objects(&answer).unwrap();
            let expected: String = objects.iter().map(|object| format!("{object}\n")).collect();
            assert_eq!(lines, expected, "{sql}");
            let arrow = in_pieces(&answer, Format::Arrow, rows);
            let reader = StreamReader::try_new(arrow.as_slice(), None).unwrap();
            assert_eq!(reader.schema(), answer.schema);
            let batches = reader.collect::<Result<Vec<_>, _>>().unwrap();
            let read = SqlAnswer::new(Arc::clone(&answer.schema), batches);
            assert_eq!(output::to_rows(&read).unwrap(), output::to_rows(&answer).unwrap(), "{sql}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_answer_comes_whole_and_a_long_one_in_small_parts() {
    let laid = lay(Layout::Half, QueryOptions::default());
    let terms = Terms { whole_bytes_max: 100_000, ..Terms::default() };
    for (rows, is_whole) in [(0, true), (10, true), (5_000, true), (30_000, false), (1_000_000, false)] {
        let sql = format!("SELECT value FROM generate_series(1, {rows})");
        let expected = laid.engine.sql(SqlRequest::new(&sql)).await.unwrap();
        let pending = laid.engine.begin(SqlRequest::new(&sql));
        let (mut text, ended) = match pending.parts(Encoder::new(Format::NdJson), terms).await.unwrap() {
            Answered::Whole(whole) => {
                assert!(is_whole, "{rows} rows came whole");
                (whole.parts.concat(), whole.ended)
            }
            Answered::Rows(mut stream) => {
                assert!(!is_whole, "{rows} rows were streamed");
                let mut text = Vec::new();
                while let Some(part) = stream.next().await {
                    let part = part.unwrap();
                    assert!(part.len() < 500_000, "{}", part.len());
                    assert!(stream.ended().is_none());
                    text.extend(part);
                }
                (text, *stream.ended().unwrap())
            }
        };
        assert_eq!((ended.rows, ended.partial), (rows, None));
        let mut lines: Vec<u64> = text
            .split_mut(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice::<Value>(line).unwrap()["value"].as_u64().unwrap())
            .collect();
        lines.sort_unstable();
        assert!(lines.into_iter().eq(1..=rows), "{rows}: {}", expected.row_count());
    }
}
