use super::super::statement::asker;
use super::*;

fn tables() -> Vec<TableInfo> {
    let column =
        |name: &str, sql_type: &str| ColumnInfo { name: name.into(), sql_type: sql_type.into(), doc: "" };
    let columns = vec![column("timestamp", "TIMESTAMP"), column("body", "VARCHAR")];
    vec![
        TableInfo { name: "logs".into(), doc: "one row for each log", is_view: false, columns },
        TableInfo { name: "red".into(), doc: "", is_view: true, columns: vec![column("n", "BIGINT")] },
    ]
}

fn asked(sql: &str) -> Vec<Vec<String>> {
    assert!(is_asked(sql), "{sql}");
    let batch = answer(sql, &asker(), &tables()).unwrap();
    let text = |column, row| arrow::util::display::array_value_to_string(column, row).unwrap();
    (0..batch.num_rows())
        .map(|row| batch.columns().iter().map(|column| text(column, row)).collect())
        .collect()
}

// The questions of psql 15 to 17, whole where the shape matters.

#[test]
fn tables_and_views_are_listed_as_backslash_d_asks() {
    let sql = |kinds: &str, more: &str| {
        format!(
            "SELECT n.nspname as \"Schema\",\n  c.relname as \"Name\",\n  CASE c.relkind WHEN 'r' THEN 'table' WHEN \
             'v' THEN 'view' END as \"Type\",\n  pg_catalog.pg_get_userbyid(c.relowner) as \"Owner\"\nFROM \
             pg_catalog.pg_class c\n     LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace\n     LEFT \
             JOIN pg_catalog.pg_am am ON am.oid = c.relam\nWHERE c.relkind IN ({kinds})\n      AND n.nspname <> \
             'pg_catalog'\n      AND n.nspname !~ '^pg_toast'\n      AND n.nspname <> 'information_schema'\n{more}  \
             AND pg_catalog.pg_table_is_visible(c.oid)\nORDER BY 1,2;"
        )
    };
    let logs = vec!["public", "logs", "table", "hindsight"];
    let red = vec!["public", "red", "view", "hindsight"];
    assert_eq!(asked(&sql("'r','p','v','m','S','f',''", "")), [logs.clone(), red.clone()]);
    assert_eq!(asked(&sql("'r','p',''", "")), std::slice::from_ref(&logs));
    assert_eq!(asked(&sql("'v',''", "")), [red]);
    assert_eq!(asked(&sql("'i','I',''", "")), Vec::<Vec<String>>::new());
    let named = "  AND c.relname OPERATOR(pg_catalog.~) '^(lo.*)$' COLLATE pg_catalog.default\n";
    assert_eq!(asked(&sql("'r','v',''", named)), [logs]);
    let elsewhere = "  AND n.nspname OPERATOR(pg_catalog.~) '^(other)$' COLLATE pg_catalog.default\n";
    assert!(asked(&sql("'r','v',''", elsewhere)).is_empty());
}

#[test]
fn one_table_is_described_in_the_steps_of_backslash_d() {
    let found = asked(
        "SELECT c.oid,\n  n.nspname,\n  c.relname\nFROM pg_catalog.pg_class c\n     LEFT JOIN pg_catalog.pg_namespace \
         n ON n.oid = c.relnamespace\nWHERE c.relname OPERATOR(pg_catalog.~) '^(logs)$' COLLATE \
         pg_catalog.default\n  AND pg_catalog.pg_table_is_visible(c.oid)\nORDER BY 2, 3;",
    );
    assert_eq!(found, [["16384", "public", "logs"]]);
    let kind = asked(
        "SELECT c.relchecks, c.relkind, c.relhasindex, false AS relhasoids, c.relispartition, '', c.reltablespace, \
         CASE WHEN c.reloftype = 0 THEN '' ELSE c.reloftype::pg_catalog.regtype::pg_catalog.text END, \
         c.relpersistence, c.relreplident, am.amname\nFROM pg_catalog.pg_class c\n LEFT JOIN pg_catalog.pg_class tc \
         ON (c.reltoastrelid = tc.oid)\nLEFT JOIN pg_catalog.pg_am am ON (c.relam = am.oid)\nWHERE c.oid = '16385';",
    );
    assert_eq!(kind, [["0", "v", "f", "f", "f", "", "0", "", "p", "d", ""]]);
    let columns = asked(
        "SELECT a.attname,\n  pg_catalog.format_type(a.atttypid, a.atttypmod),\n  (SELECT \
         pg_catalog.pg_get_expr(d.adbin, d.adrelid, true)\n   FROM pg_catalog.pg_attrdef d\n   WHERE d.adrelid = \
         a.attrelid AND d.adnum = a.attnum AND a.atthasdef),\n  a.attnotnull,\n  (SELECT c.collname FROM \
         pg_catalog.pg_collation c) AS attcollation,\n  a.attidentity,\n  a.attgenerated\nFROM \
         pg_catalog.pg_attribute a\nWHERE a.attrelid = '16384' AND a.attnum > 0 AND NOT a.attisdropped\nORDER BY \
         a.attnum;",
    );
    let expected = [
        ["timestamp", "timestamp with time zone", "", "f", "", "", ""],
        ["body", "text", "", "f", "", "", ""],
    ];
    assert_eq!(columns, expected);
    for nothing in [
        "SELECT c.oid::pg_catalog.regclass FROM pg_catalog.pg_class c, pg_catalog.pg_inherits i WHERE c.oid = \
         i.inhparent AND i.inhrelid = '16384' ORDER BY inhseqno",
        "SELECT pol.polname FROM pg_catalog.pg_policy pol WHERE pol.polrelid = '16384' ORDER BY 1",
        "SELECT pubname FROM pg_catalog.pg_publication p UNION SELECT 1",
    ] {
        assert!(asked(nothing).is_empty(), "{nothing}");
    }
}

#[test]
fn what_is_not_known_is_refused_and_queries_are_left_alone() {
    for sql in [
        "SELECT * FROM pg_proc",
        "SELECT a.attname FROM pg_catalog.pg_attribute a",
        "SELECT c.relname FROM pg_catalog.pg_class c WHERE c.relname = $1",
        "WITH x AS (SELECT 1) SELECT * FROM pg_catalog.pg_class",
    ] {
        assert!(is_asked(sql), "{sql}");
        assert_eq!(answer(sql, &asker(), &tables()).unwrap_err().code, "0A000", "{sql}");
    }
    for sql in
        ["SELECT body FROM logs WHERE body = 'FROM pg_class'", "SELECT pg_x FROM logs -- from pg_class"]
    {
        assert!(!is_asked(sql), "{sql}");
    }
}
