//! Every column of every table and view says what it holds, and `docs/tables.md` says the same.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::server::{Home, Server};

/// Set, the page is written instead of compared.
const WRITE: &str = "HINDSIGHT_WRITE_DOCS";
const HEAD: &str = "# Tables and views\n\n\
    Every column of every table and view.\n\
    `SELECT * FROM documentation` gives the same, `\\d` and `\\d TABLE` in `hindsight sql`, `\\d+ TABLE` in psql.\n\
    This page is written by the test that compares it with a server:\n\
    `HINDSIGHT_WRITE_DOCS=1` with `tables_page`.\n";

#[tokio::test]
async fn every_column_has_a_doc_and_the_page_of_tables_is_in_step() -> anyhow::Result<()> {
    let server = Home::new("")?.serve()?;
    let listed = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' \
                  EXCEPT SELECT table_name, column_name FROM documentation \
                  WHERE length(column_doc) > 3 AND length(table_doc) > 10";
    let without = server.sql(listed).await?.rows;
    ensure!(without.is_empty(), "no doc: {without:?}");
    let known = server.sql("SELECT count(DISTINCT table_name) FROM documentation").await?;
    ensure!(crate::answer::whole(known.single()?)? >= 29, "tables are missing");
    let page = page(&server).await?;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/tables.md");
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, &page)?;
    }
    let kept = std::fs::read_to_string(&path).context("read docs/tables.md")?;
    ensure!(kept == page, "docs/tables.md is not what the tables say; run this test with {WRITE}=1");
    Ok(())
}

async fn page(server: &Server) -> anyhow::Result<String> {
    let sql = "SELECT table_name, table_type, table_doc, column_name, data_type, column_doc FROM documentation \
               ORDER BY table_type, table_name, position";
    let mut page = HEAD.to_owned();
    let mut before = String::new();
    for row in server.sql(sql).await?.rows {
        let [table, kind, about, column, data_type, doc] = row.as_slice() else {
            anyhow::bail!("another shape: {row:?}")
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().replace('|', "\\|");
        if before != text(table) {
            before = text(table);
            let (kind, about) = (text(kind), text(about));
            write!(
                page,
                "\n## `{before}`\n\nA {kind}: {about}.\n\n| column | type | holds |\n|---|---|---|\n"
            )?;
        }
        writeln!(page, "| `{}` | `{}` | {} |", text(column), text(data_type), text(doc))?;
    }
    Ok(page)
}
