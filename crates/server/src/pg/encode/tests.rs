use std::sync::Arc;

use arrow::array::{
    BinaryArray, Date32Array, Decimal128Array, DictionaryArray, DurationMicrosecondArray, Int16Array,
    Int32Array, ListBuilder, StringArray, StringBuilder, StringViewArray, StructArray,
    TimestampMicrosecondArray, UInt64Array,
};
use arrow::datatypes::{Field, Int32Type};
use proptest::prelude::*;

use super::*;

fn rows(column: ArrayRef, format: Format) -> (PgType, Vec<Option<Vec<u8>>>) {
    let kind = PgType::of(column.data_type());
    let batch = RecordBatch::try_from_iter_with_nullable([("c", column, true)]).unwrap();
    let rows = Rows::new(&batch, &[kind], &[format]).unwrap();
    let cell = |row| {
        let mut out = BytesMut::new();
        rows.write(row, &mut out).unwrap();
        let length = i32::from_be_bytes(out[..4].try_into().unwrap());
        (length >= 0).then(|| {
            assert_eq!(out.len(), 4 + usize::try_from(length).unwrap());
            out[4..].to_vec()
        })
    };
    (kind, (0..rows.len()).map(cell).collect())
}

fn shown(column: ArrayRef) -> Vec<Option<String>> {
    let cells = rows(column, Format::Text).1;
    cells.into_iter().map(|cell| cell.map(|bytes| String::from_utf8(bytes).unwrap())).collect()
}

fn some(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|text| Some((*text).to_owned())).collect()
}

#[test]
fn every_kind_of_column_has_its_text() {
    let at = TimestampMicrosecondArray::from(vec![1_777_930_320_500_000]);
    let service: DictionaryArray<Int32Type> = ["checkout"].into_iter().collect();
    let pair = StructArray::from(vec![(
        Arc::new(Field::new("a", DataType::Int32, true)),
        Arc::new(Int32Array::from(vec![1])) as ArrayRef,
    )]);
    let decimal = Decimal128Array::from(vec![-1_234]).with_precision_and_scale(9, 2).unwrap();
    let cases: Vec<(ArrayRef, &str)> = vec![
        (Arc::new(BooleanArray::from(vec![true])), "t"),
        (Arc::new(Int16Array::from(vec![-7])), "-7"),
        (Arc::new(UInt64Array::from(vec![u64::MAX])), "18446744073709551615"),
        (Arc::new(decimal), "-12.34"),
        (Arc::new(Float64Array::from(vec![0.1])), "0.1"),
        (Arc::new(StringViewArray::from(vec!["a\u{e9}"])), "a\u{e9}"),
        (Arc::new(service), "checkout"),
        (Arc::new(BinaryArray::from(vec![&b"\x00\xff"[..]])), "\\x00ff"),
        (Arc::new(Date32Array::from(vec![20_577])), "2026-05-04"),
        (Arc::new(at.clone()), "2026-05-04 21:32:00.5"),
        (Arc::new(at.with_timezone("UTC")), "2026-05-04 21:32:00.5+00"),
        (Arc::new(DurationMicrosecondArray::from(vec![90_000_000])), "00:01:30"),
        (Arc::new(pair), "{\"a\":1}"),
    ];
    for (column, expected) in cases {
        assert_eq!(shown(column), some(&[expected]));
    }
    assert_eq!(shown(Arc::new(StringArray::from(vec![None, Some("")]))), [None, Some(String::new())]);
    assert_eq!(shown(arrow::array::new_null_array(&DataType::Null, 1)), [None]);
}

#[test]
fn binary_values_are_as_wide_as_their_type_and_count_from_2000() {
    let binary = |column: ArrayRef| rows(column, Format::Binary).1.remove(0).unwrap();
    let at = TimestampMicrosecondArray::from(vec![text::EPOCH_MICROS + 1]).with_timezone("UTC");
    assert_eq!(binary(Arc::new(at)), 1_i64.to_be_bytes());
    assert_eq!(binary(Arc::new(Date32Array::from(vec![10_956]))), (-1_i32).to_be_bytes());
    assert_eq!(binary(Arc::new(Int16Array::from(vec![-2]))), (-2_i16).to_be_bytes());
    let span = binary(Arc::new(DurationMicrosecondArray::from(vec![5])));
    assert_eq!(span, [5_i64.to_be_bytes().as_slice(), &[0; 8]].concat());
    for scalar in Scalar::ALL {
        let width = PgType::One(scalar).width();
        assert!(width == -1 || matches!(width, 1 | 2 | 4 | 8 | 16), "{scalar:?}");
    }
}

fn list(items: &[Option<&str>]) -> ArrayRef {
    let mut builder = ListBuilder::new(StringBuilder::new());
    items.iter().for_each(|item| builder.values().append_option(*item));
    builder.append(true);
    Arc::new(builder.finish())
}

#[test]
fn lists_are_arrays_with_what_could_be_mistaken_in_quotes() {
    let items = [Some("a"), None, Some("NULL"), Some(""), Some("x y"), Some("q\"\\")];
    assert_eq!(shown(list(&items)), some(&[r#"{a,NULL,"NULL","","x y","q\"\\"}"#]));
    assert_eq!(shown(list(&[])), some(&["{}"]));
    let (kind, cells) = rows(list(&[Some("a"), None]), Format::Binary);
    assert_eq!(kind.oid(), 1009);
    let expected: Vec<u8> = [1, 1, 25, 2, 1, 1].iter().flat_map(|word: &u32| word.to_be_bytes()).collect();
    let expected = [expected, b"a".to_vec(), (-1_i32).to_be_bytes().to_vec()].concat();
    assert_eq!(cells, [Some(expected)]);
}

#[test]
fn a_number_beyond_its_promised_type_is_a_fault_and_not_another_number() {
    let column: ArrayRef = Arc::new(Int64Array::from(vec![70_000]));
    let batch = RecordBatch::try_from_iter([("c", column)]).unwrap();
    let rows = Rows::new(&batch, &[PgType::One(Scalar::Int2)], &[Format::Binary]).unwrap();
    assert_eq!(rows.write(0, &mut BytesMut::new()).unwrap_err().code, "22003");
}

proptest! {
    #[test]
    fn properties_of_doubles(bits: u64) {
        let number = f64::from_bits(bits);
        let column = || Arc::new(Float64Array::from(vec![number])) as ArrayRef;
        let text = shown(column()).remove(0).unwrap();
        let read: f64 = text.replace("Infinity", "inf").parse().unwrap();
        prop_assert!(read.to_bits() == bits || (read.is_nan() && number.is_nan()), "{} {}", text, number);
        let binary = rows(column(), Format::Binary).1.remove(0).unwrap();
        prop_assert_eq!(binary, bits.to_be_bytes());
    }

    #[test]
    fn properties_of_instants(micros in -62_135_596_800_000_000_i64..253_402_300_799_000_000) {
        let column = Arc::new(TimestampMicrosecondArray::from(vec![micros]).with_timezone("UTC")) as ArrayRef;
        let text = shown(column).remove(0).unwrap();
        let read: jiff::Timestamp = text.replace(' ', "T").replace("+00", "Z").parse().unwrap();
        prop_assert_eq!(read.as_microsecond(), micros);
    }

    #[test]
    fn properties_of_array_texts(items in prop::collection::vec(prop::option::of("[a-zN\"\\\\,{} ]{0,6}"), 0..5)) {
        let borrowed: Vec<Option<&str>> = items.iter().map(Option::as_deref).collect();
        let text = shown(list(&borrowed)).remove(0).unwrap();
        prop_assert_eq!(read_array(&text), items);
    }
}

/// PostgreSQL's rules for one dimension of texts, read back.
fn read_array(text: &str) -> Vec<Option<String>> {
    let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap();
    let (mut items, mut chars) = (Vec::new(), inner.chars().peekable());
    while chars.peek().is_some() {
        let quoted = chars.next_if_eq(&'"').is_some();
        let mut item = String::new();
        while let Some(c) = chars.next_if(|c| quoted || *c != ',') {
            match c {
                '"' => break,
                '\\' => item.extend(chars.next()),
                c => item.push(c),
            }
        }
        items.push((quoted || item != "NULL").then_some(item));
        chars.next_if_eq(&',');
    }
    items
}
