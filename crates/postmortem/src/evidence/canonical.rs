use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};

use super::Evidence;

/// SHA-256 over one line of JSON with sorted keys and no spaces: the question (SQL, parameters, range) and the answer
/// (columns, rows). Title, caption and drawing may be reworded without breaking it.
pub(super) fn digest(evidence: &Evidence) -> String {
    let canonical = json!({
        "columns": evidence.columns,
        "from": evidence.from,
        "params": evidence.params,
        "rows": evidence.rows,
        "sql": evidence.sql,
        "to": evidence.to,
    });
    hex::encode(Sha256::digest(canonical.to_string().as_bytes()))
}

/// The file's text: one line for each fact and for each row, so that a reviewer can diff it.
pub(super) fn file_text(evidence: &Evidence) -> Result<String, serde_json::Error> {
    let Json::Object(mut fields) = serde_json::to_value(evidence)? else { return Ok(String::new()) };
    let rows = fields.remove("rows");
    let mut lines: Vec<String> = Vec::new();
    for name in [
        "schema",
        "id",
        "title",
        "caption",
        "sql",
        "params",
        "from",
        "to",
        "watermark",
        "engine",
        "frozen_at",
    ] {
        lines.extend(fields.remove(name).map(|value| format!("  \"{name}\": {value}")));
    }
    for (name, value) in fields {
        lines.push(format!("  \"{name}\": {value}"));
    }
    let rows: Vec<String> = match rows {
        Some(Json::Array(rows)) => rows.iter().map(|row| format!("    {row}")).collect(),
        _ => Vec::new(),
    };
    lines.push(format!("  \"rows\": [\n{}\n  ]", rows.join(",\n")));
    Ok(format!("{{\n{}\n}}\n", lines.join(",\n")))
}
