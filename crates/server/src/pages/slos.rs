//! `/slos`: every promise, the one that is nearest to being broken first.

use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::Response;
use hindsight_model::AlertState;
use hindsight_postmortem::chart::{Unit, exact, people_duration, share_bar};
use hindsight_rules::{EngineView, ProblemView, SloView};
use jiff::Timestamp;

use super::alert_words::{Moment, moment, plural, slo_path};
use super::frame::{Frame, PageError, html, sql_link};
use super::range::{Range, RangeQuery};
use crate::app::App;

const STATUS_SQL: &str = "SELECT slo, service_name, state, objective, budget_consumed, burn_1h, total, bad\n\
     FROM slo_status\nORDER BY budget_consumed DESC NULLS LAST";

#[derive(Template)]
#[template(path = "slos.html")]
struct SlosPage {
    frame: Frame,
    sentence: String,
    class: &'static str,
    rows: Vec<SloRow>,
    status_sql: String,
    problems: Vec<ProblemView>,
    workspace: String,
}

struct SloRow {
    name: String,
    display_name: String,
    path: String,
    service: String,
    standing: Standing,
    firing: usize,
    at: Option<Moment>,
}

/// The figures of an SLO as people say them.
pub(super) struct Standing {
    pub(super) state: &'static str,
    pub(super) class: &'static str,
    pub(super) objective: String,
    pub(super) period: String,
    pub(super) left: String,
    pub(super) left_exact: String,
    pub(super) bar: String,
    pub(super) burn: String,
    pub(super) exhausts: String,
}

pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Query(query): Query<RangeQuery>,
) -> Result<Response<Body>, PageError> {
    let now = app.clock.now();
    let range = Range::parse_or(&query, now, "3h").map_err(PageError::bad_request)?;
    let view = app.rules();
    let (sentence, class) = sentence(&view);
    Ok(html(&SlosPage {
        frame: Frame::new("SLOs", "slos"),
        sentence,
        class,
        rows: worst_first(&view).into_iter().map(|slo| row(slo, now, &range)).collect(),
        status_sql: sql_link(STATUS_SQL, &range),
        problems: view.problems.iter().filter(|problem| problem.file.starts_with("slos")).cloned().collect(),
        workspace: app.config.workspace.value.display().to_string(),
    }))
}

/// By budget left; the unknown ones after those that are known.
fn worst_first(view: &EngineView) -> Vec<&SloView> {
    let mut slos: Vec<&SloView> = view.slos.iter().collect();
    let left = |slo: &SloView| slo.budget_remaining.unwrap_or(f64::INFINITY);
    slos.sort_by(|a, b| left(a).total_cmp(&left(b)).then_with(|| a.name.cmp(&b.name)));
    slos
}

fn sentence(view: &EngineView) -> (String, &'static str) {
    let count = view.slos.len();
    if count == 0 {
        return ("No SLOs yet.".to_owned(), "unknown");
    }
    let unknown = view.slos.iter().filter(|slo| slo.budget_remaining.is_none()).count();
    let unknown = match unknown {
        0 => String::new(),
        1 => " 1 SLO has nothing to say yet.".to_owned(),
        unknown => format!(" {unknown} SLOs have nothing to say yet."),
    };
    let worst = worst_first(view).into_iter().find(|slo| slo.budget_remaining.is_some());
    let Some((worst, left)) = worst.and_then(|slo| Some((slo, slo.budget_remaining?))) else {
        return (format!("{}, none observed yet.", plural(count, "SLO")), "unknown");
    };
    let standing = standing(worst);
    if left <= 0.0 {
        let spent = Unit::Percent.format(1.0 - left);
        let text = format!(
            "{} has spent {spent} of its budget: its promise is broken.{unknown}",
            worst.display_name
        );
        return (text, standing.class);
    }
    let gone = gone_words(worst);
    let text =
        format!("The least budget is left to {}: {}{gone}.{unknown}", worst.display_name, standing.left);
    (text, standing.class)
}

fn row(slo: &SloView, now: Timestamp, range: &Range) -> SloRow {
    SloRow {
        name: slo.name.clone(),
        display_name: slo.display_name.clone(),
        path: format!("{}?{}", slo_path(&slo.name), range.kept()),
        service: slo.service.clone(),
        standing: standing(slo),
        firing: slo.tiers.iter().filter(|tier| tier.state == AlertState::Firing).count(),
        at: slo.status.as_ref().map(|status| moment(status.at, now, range)),
    }
}

pub(super) fn standing(slo: &SloView) -> Standing {
    let state = slo.status.as_ref().map_or("unknown", |status| status.state.as_str());
    let (state, class) = match state {
        "ok" => ("ok", "ok"),
        "burning" => ("burning", "warn"),
        "exhausted" => ("exhausted", "warn"),
        _ => ("unknown", "unknown"),
    };
    // Red is for what fires: a budget that was spent last week wakes nobody.
    let fires = slo.tiers.iter().any(|tier| tier.state == AlertState::Firing);
    let class = if fires { "bad" } else { class };
    let burn = slo.status.as_ref().and_then(|status| status.burn_1h);
    Standing {
        state,
        class,
        objective: format!("{} %", exact(slo.objective * 100.0)),
        #[expect(clippy::cast_precision_loss, reason = "a window of some weeks in seconds")]
        period: people_duration(slo.period_seconds as f64),
        left: match slo.budget_remaining {
            Some(left) if left < 0.0 => format!("overspent by {}", Unit::Percent.format(-left)),
            Some(left) => Unit::Percent.format(left),
            None => "unknown".to_owned(),
        },
        left_exact: slo.budget_remaining.map_or("nothing was observed".to_owned(), exact),
        bar: share_bar(slo.budget_remaining, class),
        burn: burn.map_or("unknown".to_owned(), burn_words),
        exhausts: exhausts(slo, burn),
    }
}

/// `14.4 ×`: how many times faster than planned.
pub(super) fn burn_words(burn: f64) -> String {
    format!("{} ×", Unit::None.format(burn))
}

/// `; at the rate of the last hour it is gone in 2 h 44 min`, or nothing while nothing burns.
pub(super) fn gone_words(slo: &SloView) -> String {
    slo.time_to_exhaust_seconds.map_or(String::new(), |seconds| {
        format!("; at the rate of the last hour it is gone in {}", people_duration(seconds))
    })
}

fn exhausts(slo: &SloView, burn: Option<f64>) -> String {
    match (slo.budget_remaining, slo.time_to_exhaust_seconds, burn) {
        (Some(left), _, _) if left <= 0.0 => "it is spent".to_owned(),
        (Some(_), Some(seconds), _) => people_duration(seconds),
        (Some(_), None, Some(_)) => "nothing burns".to_owned(),
        _ => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use hindsight_model::{SloStatus, Tenant};
    use hindsight_rules::{Budgeting, Version};

    use super::*;

    fn slo(name: &str, left: Option<f64>) -> SloView {
        let at = "2026-05-04T22:00:00Z".parse().unwrap();
        SloView {
            name: name.to_owned(),
            display_name: name.to_owned(),
            description: String::new(),
            file: format!("slos/{name}.yaml"),
            line: 1,
            queries: Vec::new(),
            service: "checkout".to_owned(),
            objective: 0.999,
            method: "Occurrences",
            budgeting: Budgeting::Occurrences,
            is_rolling: true,
            period_seconds: 2_592_000,
            status: Some(SloStatus {
                tenant: Tenant::default(),
                slo: name.to_owned(),
                service: "checkout".to_owned(),
                at,
                objective: 0.999,
                window_s: 2_592_000,
                total: 1_000.0,
                bad: 1.0,
                budget_consumed: left.map(|left| 1.0 - left),
                burn_1h: left.map(|_| 0.0),
                state: if left.is_none() { "unknown" } else { "ok" }.to_owned(),
                method: "Occurrences".to_owned(),
                period_start: at,
                period_end: at,
                coverage: 1.0,
                projected: None,
                time_to_exhaust_s: None,
                note: None,
            }),
            budget_remaining: left,
            budget_projected: None,
            coverage: Some(1.0),
            note: None,
            time_to_exhaust_seconds: None,
            tiers: Vec::new(),
        }
    }

    #[test]
    fn the_worst_budget_comes_first_and_unknown_is_neither_full_nor_empty() {
        let slos =
            vec![slo("full", Some(1.0)), slo("dark", None), slo("spent", Some(-1.3)), slo("half", Some(0.5))];
        let view = EngineView {
            groups: Vec::new(),
            slos,
            problems: Vec::new(),
            version: Version::default(),
            refused: None,
        };
        let names: Vec<&str> = worst_first(&view).iter().map(|slo| slo.name.as_str()).collect();
        assert_eq!(names, ["spent", "half", "full", "dark"]);
        let (text, _) = sentence(&view);
        assert_eq!(
            text,
            "spent has spent 230 % of its budget: its promise is broken. 1 SLO has nothing to say yet."
        );
        let standing = |index: usize| standing(&view.slos[index]);
        assert_eq!(standing(1).left, "unknown");
        assert!(!standing(1).bar.contains("<rect"), "unknown is not drawn as a full or an empty budget");
        assert_eq!(standing(2).left, "overspent by 130 %");
        assert_eq!(standing(0).objective, "99.9 %");
    }
}
