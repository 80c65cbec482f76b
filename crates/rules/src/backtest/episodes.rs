use std::time::Duration;

use hindsight_model::{AlertState, Labels, Told};
use jiff::Timestamp;
use serde::Serialize;

use super::recorder::Recorded;

/// One stretch of an alert that fired, from the first breach to its end.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Episode {
    /// The rule's id.
    pub rule: String,
    /// The alert's name.
    pub alert: String,
    /// Labels of the instance.
    pub labels: Labels,
    /// When the breach was first seen.
    pub started_at: Timestamp,
    /// When it fired: when people would have been told.
    pub fired_at: Timestamp,
    /// When it ended; `None` while it was under way at the end of the range.
    pub ended_at: Option<Timestamp>,
    /// Why it ended.
    pub reason: Option<String>,
    /// Lowest value while it was active.
    pub lowest: Option<f64>,
    /// Highest value while it was active.
    pub highest: Option<f64>,
}

/// The episodes that were firing at some time in `from <= t < to`, by the time they fired.
pub(super) fn episodes(recorded: &Recorded, from: Timestamp, to: Timestamp) -> Vec<Episode> {
    let mut found: Vec<(String, Episode)> = Vec::new();
    for transition in &recorded.transitions {
        let open = found.iter_mut().rev().find(|(id, _)| *id == transition.episode);
        match (transition.told(), open) {
            (Some(Told::Firing), None) => {
                let extremes = recorded.extremes_of(transition);
                let episode = Episode {
                    rule: transition.rule.clone(),
                    alert: transition.alert.clone(),
                    labels: transition.labels.clone(),
                    started_at: transition.active_at.unwrap_or(transition.at),
                    fired_at: transition.at,
                    ended_at: None,
                    reason: None,
                    lowest: extremes.map(|extremes| extremes.low),
                    highest: extremes.map(|extremes| extremes.high),
                };
                found.push((transition.episode.clone(), episode));
            }
            (_, Some((id, episode))) if transition.to == AlertState::Inactive => {
                episode.ended_at = Some(transition.at);
                episode.reason = Some(transition.reason.clone());
                if let Some(extremes) = recorded.extremes.get(id) {
                    (episode.lowest, episode.highest) = (Some(extremes.low), Some(extremes.high));
                }
            }
            _ => {}
        }
    }
    let within = |episode: &Episode| episode.fired_at < to && episode.ended_at.is_none_or(|end| end > from);
    found.into_iter().map(|(_, episode)| episode).filter(within).collect()
}

/// Pages a week: episodes that began to fire within the range, by its length.
pub fn pages_a_week(episodes: &[Episode], from: Timestamp, to: Timestamp) -> f64 {
    let weeks = to.duration_since(from).as_secs_f64() / (7.0 * 86_400.0);
    #[expect(clippy::cast_precision_loss, reason = "a count of episodes")]
    let fired = episodes.iter().filter(|episode| episode.fired_at >= from).count() as f64;
    if weeks > 0.0 { fired / weeks } else { 0.0 }
}

/// How long at least one of the episodes was firing within the range.
pub fn time_firing(episodes: &[Episode], from: Timestamp, to: Timestamp) -> Duration {
    let mut spans: Vec<(Timestamp, Timestamp)> = episodes
        .iter()
        .map(|episode| (episode.fired_at.max(from), episode.ended_at.unwrap_or(to).min(to)))
        .filter(|(start, end)| start < end)
        .collect();
    spans.sort_unstable();
    let mut total = Duration::ZERO;
    let mut until = from;
    for (start, end) in spans {
        let start = start.max(until);
        if end > start {
            total += Duration::try_from(end.duration_since(start)).unwrap_or_default();
            until = end;
        }
    }
    total
}
