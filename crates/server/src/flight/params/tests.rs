use std::sync::Arc;

use arrow::array::{
    BinaryArray, Date32Array, Decimal128Array, DurationSecondArray, Float32Array, Int16Array, NullArray,
    StringArray, TimestampNanosecondArray, UInt64Array,
};
use arrow_flight::encode::FlightDataEncoderBuilder;
use futures::stream;
use proptest::prelude::*;

use super::*;

fn open(names: &[&str]) -> Open {
    names.iter().map(|name| ((*name).to_owned(), None)).collect()
}

fn row_of(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
        .unwrap()
}

#[test]
fn numbered_parameters_are_bound_by_place_and_named_ones_by_name() {
    let one: ArrayRef = Arc::new(Int16Array::from(vec![1]));
    let two: ArrayRef = Arc::new(StringArray::from(vec!["two"]));
    let row = row_of(vec![("0", Arc::clone(&one)), ("1", Arc::clone(&two))]);
    let bound = bind(&open(&["1", "2"]), &row).unwrap();
    assert_eq!(bound["1"], SqlParam::Int(1));
    assert_eq!(bound["2"], SqlParam::Text("two".to_owned()));

    let row = row_of(vec![("$user", two), ("level", one)]);
    let bound = bind(&open(&["level", "user"]), &row).unwrap();
    assert_eq!(bound["level"], SqlParam::Int(1));
    assert_eq!(bound["user"], SqlParam::Text("two".to_owned()));
    let wrong = bind(&open(&["level", "usr"]), &row).unwrap_err();
    assert!(wrong.message().contains("no parameter $user; there are $level, $usr"), "{wrong}");
    let wrong = bind(&open(&["level"]), &row).unwrap_err();
    assert!(wrong.message().contains("2 values were bound to 1 parameters"), "{wrong}");
}

#[test]
fn ten_numbered_parameters_keep_their_order() {
    let all: Vec<String> = (1..=11).map(|place| place.to_string()).collect();
    let open = open(&all.iter().map(String::as_str).collect::<Vec<_>>());
    let told: Vec<String> = schema(&open).fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(told, all);
}

#[test]
fn values_of_every_kind_are_bound_or_refused() {
    let micros = |micros| SqlParam::Time(timestamp_from_micros(micros).unwrap());
    let cases: Vec<(ArrayRef, Option<SqlParam>)> = vec![
        (Arc::new(NullArray::new(1)), Some(SqlParam::Null)),
        (Arc::new(Int16Array::from(vec![None])), Some(SqlParam::Null)),
        (Arc::new(arrow::array::BooleanArray::from(vec![true])), Some(SqlParam::Bool(true))),
        (Arc::new(UInt64Array::from(vec![7])), Some(SqlParam::Int(7))),
        (Arc::new(UInt64Array::from(vec![u64::MAX])), None),
        (Arc::new(Float32Array::from(vec![1.5])), Some(SqlParam::Double(1.5))),
        (
            Arc::new(Decimal128Array::from(vec![1_250]).with_precision_and_scale(10, 3).unwrap()),
            Some(SqlParam::Double(1.25)),
        ),
        (Arc::new(TimestampNanosecondArray::from(vec![1_500])), Some(micros(1))),
        (Arc::new(TimestampNanosecondArray::from(vec![3_000]).with_timezone("+02:00")), Some(micros(3))),
        (Arc::new(Date32Array::from(vec![1])), Some(micros(86_400_000_000))),
        (Arc::new(DurationSecondArray::from(vec![60])), Some(SqlParam::Interval(Duration::from_secs(60)))),
        (Arc::new(DurationSecondArray::from(vec![-60])), None),
        (Arc::new(DurationSecondArray::from(vec![i64::MAX])), None),
        (Arc::new(BinaryArray::from(vec![b"x".as_slice()])), None),
    ];
    for (column, wanted) in cases {
        assert_eq!(value("1", &column).ok(), wanted, "{column:?}");
    }
}

async fn sent(batches: Vec<RecordBatch>) -> Vec<FlightData> {
    let encoded = FlightDataEncoderBuilder::new().build(stream::iter(batches.into_iter().map(Ok)));
    encoded.try_collect().await.unwrap()
}

#[tokio::test]
async fn exactly_one_row_is_taken() {
    let number = |numbers: Vec<i16>| row_of(vec![("1", Arc::new(Int16Array::from(numbers)))]);
    let taken = |batches| async move { row(stream::iter(sent(batches).await.into_iter().map(Ok))).await };
    assert_eq!(taken(vec![number(vec![5])]).await.unwrap(), number(vec![5]));
    for (batches, told) in [
        (vec![], "no row"),
        (vec![number(vec![])], "no row"),
        (vec![number(vec![1, 2])], "more than one row"),
        (vec![number(vec![1]), number(vec![2])], "more than one row"),
    ] {
        let refused = taken(batches).await.unwrap_err();
        assert!(refused.message().contains(told), "{refused}");
    }
}

proptest! {
    #[test]
    fn changed_bytes_are_a_row_or_refused(place in any::<prop::sample::Index>(), byte in any::<u8>(), body in any::<bool>()) {
        let text: ArrayRef = Arc::new(StringArray::from(vec!["some text"]));
        let row_sent = row_of(vec![("1", text), ("2", Arc::new(Int16Array::from(vec![5])))]);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            for message in 0..2 {
                let mut messages = sent(vec![row_sent.clone()]).await;
                let part = if body { &mut messages[message].data_body } else { &mut messages[message].data_header };
                let mut bytes = part.to_vec();
                if !bytes.is_empty() {
                    let place = place.index(bytes.len());
                    bytes[place] = byte;
                    *part = bytes.into();
                }
                if let Ok(row) = row(stream::iter(messages.into_iter().map(Ok))).await {
                    let open: Open = (0..row.num_columns()).map(|place| (place.to_string(), None)).collect();
                    let _ = bind(&open, &row);
                }
            }
        });
    }
}
