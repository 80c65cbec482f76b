//! Waiting for conditions, with a limit; never for a while.

use std::time::{Duration, Instant};

use anyhow::bail;

const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Looks again and again until `look` says something, and returns that; fails after `limit`.
pub(crate) async fn wait_until<T>(
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let started = Instant::now();
    loop {
        if let Some(seen) = look().await? {
            return Ok(seen);
        }
        if started.elapsed() > limit {
            bail!("waited {limit:?} in vain until {what}");
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
