//! The live beat: once a second, by the wall, as long as the server runs.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::fault::chain;

/// Wall time between beats; rules fall due on their own ticks, so a late beat changes nothing but latency.
pub(crate) const BEAT: Duration = Duration::from_secs(1);

/// Beats until `stop`; a failure is logged once when it begins and once when it ends.
pub(crate) async fn run(app: Arc<App>, stop: CancellationToken) {
    let mut beat = tokio::time::interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut failing = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = beat.tick() => {}
        }
        match app.pulse().await {
            Ok(()) if failing => {
                tracing::info!("rules, incidents and notifications work again");
                failing = false;
            }
            Ok(()) => {}
            Err(error) => {
                if !failing {
                    tracing::error!(
                        error = chain(&error),
                        "rules, incidents or notifications failed; trying again"
                    );
                }
                failing = true;
            }
        }
    }
}
