//! Alerting rules and service level objectives: their files, their evaluation, and the state machine behind every
//! page.
//!
//! What this crate is not: it sends nothing (notifications are planned by a function it is given and written to the
//! outbox), opens no incident, and holds no SQL engine; it asks a [`SqlSource`](hindsight_model::SqlSource). PromQL
//! and recording rules are not supported yet.
//!
//! Invariants:
//! - RUL-1: an evaluation is a pure function of (rule, prior state, samples, logical time); see [`step`]. Live runs,
//!   restart catch-up, rule tests ([`run_case`]) and backtests ([`backtest`](fn@backtest)) call that one function.
//! - RUL-2: a transition, the machine's state and the notifications are committed in one transaction
//!   ([`Journal::commit_ticks`]) before anything is sent, under an episode id that is the same after a crash.
//! - RUL-3: missing series, no data, query error and incomplete window are four things, and none is "resolved".
//!
//! ```
//! use hindsight_model::{AlertState, Labels, Outcome};
//! use hindsight_rules::{InstanceState, load, step};
//!
//! let workspace = tempfile::tempdir()?;
//! std::fs::create_dir(workspace.path().join("rules"))?;
//! std::fs::write(workspace.path().join("rules/queue.yaml"), "
//! groups:
//! - name: queue
//!   rules:
//!   - alert: QueueLong
//!     sql: |
//!       SELECT max(value) AS value FROM metrics WHERE metric_name = 'queue.length'
//!       AND timestamp >= $now - INTERVAL '5 minutes' AND timestamp < $now
//!     condition: {op: gt, fire: 100, recover: 80}
//!     for: 1m
//! ")?;
//! let loaded = load(workspace.path())?;
//! assert!(loaded.problems.is_empty());
//!
//! let rule = &loaded.rules.groups[0].rules[0];
//! let labels = Labels::new();
//! let (state, _) = step(rule, &labels, &InstanceState::default(), &Outcome::Value(120.0), "2026-05-04T12:00:00Z".parse()?);
//! assert_eq!(state.state, AlertState::Pending);
//! let (state, change) = step(rule, &labels, &state, &Outcome::Value(90.0), "2026-05-04T12:01:00Z".parse()?);
//! assert_eq!(state.state, AlertState::Inactive, "90 does not fire while pending: {change:?}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod backtest;
mod cases;
mod condition;
mod engine;
mod error;
mod files;
mod journal;
mod machine;
mod rule;
mod slo;
mod template;

pub use backtest::{
    Backtest, Detection, Episode, KnownIncident, SetChange, Variant, VariantError, Verdict, against,
    backtest, pages_a_week, time_firing, variant,
};
pub use cases::{
    Case, CaseFile, CaseReport, Expectation, Failure, Feed, FeedError, Feeds, Fixture, Metric, MetricKind,
    Occurrences, Told, run_case,
};
pub use condition::{Condition, Op};
pub use engine::{
    Alignment, CONCURRENCY, DeadNotifications, Engine, EngineView, EvaluationView, GroupView, InstanceView,
    Options, OverdueActions, Plan, ProblemView, Refused, RefusedView, Report, RuleView, SloView, TierView,
    Version, Watermark,
};
pub use error::{Error, JournalError, Result};
pub use files::{
    Fingerprint, Level, Loaded, Problem, RULES_FOLDER, RULES_SCHEMA, RunbookSection, SLOS_FOLDER,
    TESTS_FOLDER, TESTS_SCHEMA, fingerprint, load, load_cases, load_files, runbook_sections,
};
pub use journal::Journal;
pub use machine::{Change, InstanceState, Reason, step};
pub use rule::{Absence, CheckedRule, Flapping, Measure, OnMissing, Policy, RuleGroup, RuleSet};
pub use slo::{
    BudgetWindow, Budgeting, Calendar, CalendarUnit, Guard, Indicator, LEDGER_REACH, LedgerEntry,
    LedgerEvent, LedgerKind, Part, Ratio, Severity, Slo, Source, Tier, TierReading, TierVerdict, WindowSum,
    budget_consumed, budget_projected, burn_rate, google_30d, ledger, short_window, time_to_exhaust,
};
pub use template::{Template, TemplateError};
