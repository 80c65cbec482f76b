use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn columns(named: &[(&str, bool)]) -> Vec<Column> {
    named.iter().map(|(name, numeric)| Column { name: (*name).to_owned(), numeric: *numeric }).collect()
}

#[test]
fn numbers_stand_to_the_right_and_null_is_no_empty_text() {
    let columns = columns(&[("service", false), ("n", true), ("note", false)]);
    let rows = [
        vec![json!("cart"), json!(7), json!("")],
        vec![json!("日本"), json!(1234.5), Value::Null],
        vec![json!("a\nb\u{1b}[2J"), Value::Null, json!({"k": [1, true]})],
    ];
    let expected = "\
service       n  note
───────  ──────  ──────────────
cart          7
日本     1234.5  NULL
a↵b␛[2J    NULL  {\"k\":[1,true]}
";
    assert_eq!(lay_out(&columns, &rows, Style::default()), expected);
}

#[test]
fn only_a_terminal_cuts_and_only_texts() {
    let columns = columns(&[("id", true), ("body", false)]);
    let rows = [vec![json!(123_456_789_012_345_678_i64), json!("the quick brown fox jumps over the dog")]];
    let whole = lay_out(&columns, &rows, Style::default());
    assert!(whole.contains("over the dog"), "{whole}");
    let cut = lay_out(&columns, &rows, Style { width: Some(40), expanded: false });
    assert!(cut.ends_with("123456789012345678  the quick brown fox…\n"), "{cut}");
}

#[test]
fn an_expanded_row_has_a_line_for_each_value() {
    let columns = columns(&[("n", true), ("body", false)]);
    let rows = [vec![json!(1), json!("x")], vec![Value::Null, json!("")]];
    let expected = "── row 1 ──\nn     1\nbody  x\n── row 2 ──\nn     NULL\nbody\n";
    assert_eq!(lay_out(&columns, &rows, Style { width: None, expanded: true }), expected);
}

#[test]
fn the_last_line_counts() {
    assert_eq!(footer(1, None), "1 row");
    assert_eq!(footer(0, Some(Duration::from_micros(1_500))), "0 rows in 1.5 ms");
    assert_eq!(footer(12, Some(Duration::from_millis(2_340))), "12 rows in 2.34 s");
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<String>().prop_map(Value::from),
        "[a-z日ä\u{301} ]{0,40}".prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
    ]
}

fn whole_table() -> impl Strategy<Value = (Vec<Column>, Vec<Vec<Value>>)> {
    let column = ("[a-z_]{1,20}", any::<bool>()).prop_map(|(name, numeric)| Column { name, numeric });
    proptest::collection::vec(column, 1..6).prop_flat_map(|columns| {
        let row = proptest::collection::vec(value(), columns.len());
        (Just(columns), proptest::collection::vec(row, 0..6))
    })
}

proptest! {
    #[test]
    fn every_row_is_one_line_and_nothing_controls_the_terminal((columns, rows) in whole_table()) {
        let text = lay_out(&columns, &rows, Style::default());
        prop_assert_eq!(text.lines().count(), rows.len() + 2);
        prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n'));
        let text = lay_out(&columns, &rows, Style { width: None, expanded: true });
        prop_assert_eq!(text.lines().count(), rows.len() * (columns.len() + 1));
    }

    #[test]
    fn a_table_is_no_wider_than_the_terminal_unless_it_must(
        (columns, rows) in whole_table(),
        width in 20_usize..200,
    ) {
        let whole = lay_out(&columns, &rows, Style::default());
        let cut = lay_out(&columns, &rows, Style { width: Some(width), expanded: false });
        let widest = |text: &str| text.lines().map(places).max().unwrap_or(0);
        let least: usize = columns
            .iter()
            .enumerate()
            .map(|(place, column)| {
                let cells = rows.iter().map(|row| places(&cell(&row[place])));
                let full = cells.chain([places(&column.name)]).max().unwrap_or(0);
                GAP + if column.numeric { full } else { full.min(CUT_PLACES_MIN) }
            })
            .sum();
        prop_assert!(widest(&cut) <= width.max(least), "{}\n{}", width, cut);
        if widest(&whole) <= width {
            // A line that ends in spaces is shorter than its columns, so only texts that fit for sure are compared.
            let ruler = whole.lines().nth(1).map_or(0, places);
            if ruler <= width {
                prop_assert_eq!(cut, whole);
            }
        }
    }

    #[test]
    fn a_cut_text_fills_its_places_or_one_less(text in any::<String>(), places in 1_usize..30) {
        let text = one_line(&text);
        let short = cut(&text, places);
        prop_assert!(super::places(&short) <= places);
        prop_assert!(text.starts_with(short.trim_end_matches('…')) || super::places(&text) <= places);
    }
}
