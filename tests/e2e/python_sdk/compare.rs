use anyhow::{Context as _, ensure};
use serde_json::Value;

/// Every sent item was found once, and every field of it is the same. Order does not matter.
pub(super) fn same(what: &str, sent: &[Value], found: &[Value]) -> anyhow::Result<()> {
    ensure!(
        sent.len() == found.len(),
        "{} {what} were sent and {} found: {found:#?}",
        sent.len(),
        found.len()
    );
    let (mut sent, mut found) = (sent.to_vec(), found.to_vec());
    sent.sort_by_key(identity);
    found.sort_by_key(identity);
    for (sent, found) in sent.iter().zip(&found) {
        let fields = sent.as_object().context("a sent item is an object")?;
        for (field, value) in fields.iter().filter(|(field, _)| *field != "table") {
            let got = found.get(field).with_context(|| format!("{what}: SQL was not asked for {field}"))?;
            ensure!(value == got, "{what}: {field} was sent as\n{value}\nand found as\n{got}\nin {found:#}");
        }
    }
    Ok(())
}

/// What tells items of one run apart.
fn identity(item: &Value) -> String {
    ["span_id", "metric_name", "time", "attributes"].map(|field| item[field].to_string()).join(" ")
}
