//! Lines of JSON in a file, for tests and for machines without a network: the webhook's payload with its dedup key.

use std::path::Path;

use jiff::Timestamp;
use tokio::io::AsyncWriteExt as _;

/// Appends one line, `{"dedup_key":…,"sent_at":…,"payload":{…}}`, and syncs it before it counts as sent.
pub(crate) async fn append(
    path: &Path,
    dedup_key: &str,
    payload: &str,
    now: Timestamp,
) -> std::io::Result<()> {
    let key = serde_json::Value::from(dedup_key);
    let line = format!("{{\"dedup_key\":{key},\"sent_at\":\"{now}\",\"payload\":{payload}}}\n");
    let mut file = tokio::fs::OpenOptions::new().create(true).append(true).open(path).await?;
    file.write_all(line.as_bytes()).await?;
    file.flush().await?;
    file.sync_data().await
}
