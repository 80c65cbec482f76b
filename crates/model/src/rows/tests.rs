use arrow::array::{Int16Array, Int64Array, StringArray};
use arrow::compute::cast;

use super::*;

fn owner(service: &str) -> Arc<Owner> {
    let cells = Table::Logs.owner_columns()[0]
        .iter()
        .map(|&column| match Table::Logs.schema().field(column) {
            field if field.name() == "service_name" => Cell::Text(service.into()),
            field if field.is_nullable() => Cell::Null,
            field if field.data_type() == &DataType::Utf8 => Cell::Text("{}".into()),
            _ => Cell::Int(0),
        })
        .collect();
    Arc::new(Owner::group(cells))
}

fn rows(owners: Vec<Arc<Owner>>, keys: Vec<u32>, bodies: Option<&[&str]>) -> Rows {
    let count = keys.len();
    let columns = Table::Logs
        .row_columns()
        .iter()
        .map(|&column| -> Option<ArrayRef> {
            match Table::Logs.schema().field(column).name().as_str() {
                "timestamp" => Some(Arc::new(
                    TimestampMicrosecondArray::from(vec![86_400_000_000; count]).with_timezone("UTC"),
                )),
                "timestamp_nanos" => Some(Arc::new(Int16Array::from(vec![7; count]))),
                "timestamp_source" => Some(Arc::new(StringArray::from(vec!["time"; count]))),
                "body" => bodies.map(|bodies| Arc::new(StringArray::from(bodies.to_vec())) as ArrayRef),
                _ => None,
            }
        })
        .collect();
    Rows::try_new(Table::Logs, owners, keys, columns).unwrap()
}

fn text(batch: &RecordBatch, column: &str) -> Vec<Option<String>> {
    let array = batch.column_by_name(column).unwrap().as_string::<i32>();
    array.iter().map(|text| text.map(str::to_owned)).collect()
}

#[test]
fn joined_rows_keep_their_owners_and_fill_in_what_was_left_out() {
    let (cart, pay) = (owner("cart"), owner("pay"));
    let first = rows(vec![Arc::clone(&pay)], vec![0, 0], None);
    let second = rows(vec![cart, pay], vec![1, 0], Some(&["x", "y"]));
    let joined = Rows::concat(&[first, second]).unwrap();
    assert_eq!(joined.owners().len(), 2);
    let batch = joined.to_batch(&Tenant::default()).unwrap();
    assert_eq!(batch.schema(), Table::Logs.schema());
    let texts = |values: &[&str]| values.iter().map(|text| Some((*text).to_owned())).collect::<Vec<_>>();
    assert_eq!(text(&batch, "service_name"), texts(&["pay", "pay", "pay", "cart"]));
    let again = Rows::from_batch(Table::Logs, &batch).unwrap();
    assert_eq!(again.to_batch(&Tenant::default()).unwrap(), batch);
    assert_eq!(again.owners().len(), 2);
    assert_eq!(text(&batch, "body"), [None, None, Some("x".to_owned()), Some("y".to_owned())]);
    assert_eq!(text(&batch, "attributes"), texts(&["{}"; 4]));
    assert_eq!(text(&batch, "tenant"), texts(&["default"; 4]));
    let flags = batch.column_by_name("flags").unwrap().as_primitive::<arrow::datatypes::Int64Type>();
    assert_eq!(flags, &Int64Array::from(vec![0; 4]));
    assert_eq!(
        batch.column_by_name("date").unwrap().as_primitive::<arrow::datatypes::Date32Type>().value(0),
        1
    );
}

#[test]
fn views_say_what_the_batch_says() {
    let other: Tenant = "a-tenant-of-a-long-name".parse().unwrap();
    for table in Table::ALL {
        let cells = |level: usize, number: i64| -> Vec<Cell> {
            let fields =
                table.owner_columns()[level].iter().map(|column| table.schema().field(*column).clone());
            let text = |number: i64| Cell::Text(format!("the text of number {number}").into());
            let cell = fields.map(|field| match field.data_type() {
                _ if field.is_nullable() && number % 2 == 0 => Cell::Null,
                DataType::Utf8 => text(number),
                DataType::Boolean => Cell::Bool(true),
                _ => Cell::Int(number),
            });
            cell.collect()
        };
        let levels = table.owner_columns().len();
        let owner = |number: i64| {
            let first = Arc::new(Owner::group(cells(0, number)));
            (1..levels).fold(first, |above, level| Arc::new(Owner::within(&above, cells(level, number))))
        };
        let keys = vec![1, 0, 2, 1, 1];
        let columns = table.row_columns().iter().map(|&column| {
            let field = table.schema().field(column).clone();
            let is_left_out = field.is_nullable() || field.name() == "attributes";
            (!is_left_out).then(|| default_array(&field, keys.len()))
        });
        let columns = columns.collect();
        let rows = Rows::try_new(table, vec![owner(1), owner(2), owner(3)], keys, columns).unwrap();
        let batch = rows.to_batch(&other).unwrap();
        let all: Vec<usize> = (0..batch.num_columns()).rev().collect();
        for (column, views) in all.iter().zip(rows.to_views(&other, &all).unwrap()) {
            let expected = match batch.column(*column) {
                texts if texts.data_type() == &DataType::Utf8 => cast(texts, &DataType::Utf8View).unwrap(),
                other => Arc::clone(other),
            };
            assert_eq!(&views, &expected, "{table} {}", batch.schema().field(*column).name());
        }
        assert!(rows.to_views(&other, &[]).unwrap().is_empty());
        assert!(rows.to_views(&other, &[batch.num_columns()]).is_err());
    }
}

#[test]
fn rows_that_do_not_fit_are_refused() {
    let none = |rows: usize| vec![None; rows];
    assert!(Rows::try_new(Table::Logs, Vec::new(), vec![0], none(3)).is_err());
    let width = Table::Logs.row_columns().len();
    assert!(Rows::try_new(Table::Logs, Vec::new(), Vec::new(), none(width)).is_err(), "no timestamp");
}

#[test]
fn every_column_has_one_place_and_defaults_exist_for_all_of_the_rows_own() {
    for table in Table::ALL {
        assert_eq!(table.places().len(), table.schema().fields().len());
        for &column in table.row_columns() {
            let schema = table.schema();
            let field = schema.field(column);
            assert_eq!(default_array(field, 3).len(), 3, "{table}.{}", field.name());
        }
    }
}

#[test]
fn rows_come_back_from_a_flat_batch_with_equal_owners_as_one() {
    let (cart, pay) = (owner("cart"), owner("pay"));
    let rows = rows(vec![cart, pay, owner("cart")], vec![0, 1, 2, 1], None);
    let batch = rows.to_batch(&Tenant::default()).unwrap();
    let back = Rows::from_batch(Table::Logs, &batch).unwrap();
    assert_eq!(back.owners().len(), 2);
    assert_eq!(back.keys(), [0, 1, 0, 1]);
    assert!(back.column(Table::Logs.row_column("flags").unwrap()).is_none());
    assert_eq!(back.to_batch(&Tenant::default()).unwrap(), batch);
}
