//! The live beats: once a second, by the wall, as long as the server runs.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::fault::chain;

/// Wall time between beats; rules fall due on their own ticks, so a late beat changes nothing but latency.
pub(crate) const BEAT: Duration = Duration::from_secs(1);

/// What a task does at its beats.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Beat {
    /// Evaluates rules.
    Rules,
    /// Lets incidents follow the alerts.
    Incidents,
}

/// Beats until `stop`; a failure is logged once when it begins and once when it ends.
pub(crate) async fn run(app: Arc<App>, what: Beat, stop: CancellationToken) {
    let name = match what {
        Beat::Rules => "rules",
        Beat::Incidents => "incidents",
    };
    let mut beat = tokio::time::interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut failing = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = beat.tick() => {}
        }
        let done = match what {
            Beat::Rules => app.pulse().await,
            Beat::Incidents => app.follow().await,
        };
        match done {
            Ok(()) if failing => {
                tracing::info!("{name} work again");
                failing = false;
            }
            Ok(()) => {}
            Err(error) => {
                if !failing {
                    tracing::error!(error = chain(&error), "{name} failed; trying again");
                }
                failing = true;
            }
        }
    }
}
