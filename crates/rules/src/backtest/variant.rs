use std::time::Duration;

use hindsight_model::parse_duration;

use crate::condition::Condition;
use crate::rule::{Absence, CheckedRule, RuleSet};

/// Rules with some of their numbers changed.
#[derive(Clone, Debug)]
pub struct Variant {
    /// `as written`, or its settings as they were given.
    pub name: String,
    /// The rules.
    pub rules: RuleSet,
}

/// One setting of a variant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// `for`.
    For(Duration),
    /// `keep_firing_for`.
    KeepFiringFor(Duration),
    /// `condition.fire`.
    Fire(f64),
    /// `condition.recover`.
    Recover(f64),
    /// `on_no_data`.
    OnNoData(Absence),
    /// The group's `query_offset`.
    QueryOffset(Duration),
}

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct VariantError(String);

impl std::str::FromStr for Change {
    type Err = VariantError;

    /// Reads `for=5m`.
    fn from_str(text: &str) -> Result<Self, VariantError> {
        let known = "for, keep_firing_for, fire, recover, on_no_data and query_offset";
        let (key, value) = text.split_once('=').ok_or_else(|| {
            VariantError(format!("`{text}` sets nothing; write for example for=5m, of {known}"))
        })?;
        let (key, value) = (key.trim(), value.trim());
        let span = || parse_duration(value).map_err(|error| VariantError(format!("{key}: {error}")));
        let number = || {
            let number = value.parse::<f64>().ok().filter(|number| number.is_finite());
            number.ok_or_else(|| VariantError(format!("{key}: `{value}` is not a number")))
        };
        Ok(match key {
            "for" => Self::For(span()?),
            "keep_firing_for" => Self::KeepFiringFor(span()?),
            "query_offset" => Self::QueryOffset(span()?),
            "fire" => Self::Fire(number()?),
            "recover" => Self::Recover(number()?),
            "on_no_data" => Self::OnNoData(match value {
                "keep" => Absence::Keep,
                "resolve" => Absence::Resolve,
                "fire" => Absence::Fire,
                _ => {
                    let message = format!("on_no_data: `{value}` is none of keep, resolve and fire");
                    return Err(VariantError(message));
                }
            }),
            _ => return Err(VariantError(format!("`{key}` cannot be set; there are {known}"))),
        })
    }
}

/// The rules with every one of these settings, as `for=5m,fire=0.8` names them.
///
/// # Errors
/// When a setting cannot be read, or a rule would then be one that the files may not hold.
pub fn variant(rules: &RuleSet, settings: &str) -> Result<Variant, VariantError> {
    let changes = settings.split(',').map(str::parse).collect::<Result<Vec<Change>, _>>()?;
    let mut rules = rules.clone();
    for group in &mut rules.groups {
        for change in &changes {
            if let Change::QueryOffset(offset) = change {
                group.query_offset = *offset;
            }
        }
        for rule in &mut group.rules {
            for change in &changes {
                apply(rule, *change)?;
            }
            check(rule)?;
        }
    }
    Ok(Variant { name: settings.to_owned(), rules })
}

fn apply(rule: &mut CheckedRule, change: Change) -> Result<(), VariantError> {
    let id = rule.id.clone();
    let condition = |rule: &mut CheckedRule, with: &dyn Fn(&mut Condition)| match &mut rule.condition {
        Some(condition) => {
            with(condition);
            Ok(())
        }
        None => Err(VariantError(format!("rule `{id}` has no condition, so it has no `fire` and `recover`"))),
    };
    match change {
        Change::For(span) => rule.policy.for_ = span,
        Change::KeepFiringFor(span) => rule.policy.keep_firing_for = span,
        Change::OnNoData(meaning) => rule.policy.on_no_data = meaning,
        Change::QueryOffset(_) => {}
        Change::Fire(fire) => condition(rule, &|condition| {
            // A band of no width moves as a whole.
            if (condition.recover - condition.fire).abs() == 0.0 {
                condition.recover = fire;
            }
            condition.fire = fire;
        })?,
        Change::Recover(recover) => condition(rule, &|condition| condition.recover = recover)?,
    }
    Ok(())
}

fn check(rule: &CheckedRule) -> Result<(), VariantError> {
    let Some(Condition { op, fire, recover }) = rule.condition else { return Ok(()) };
    let wrong_side = if op.is_upward() { recover > fire } else { recover < fire };
    if wrong_side {
        let message = format!(
            "rule `{}` would recover at {recover} while it still fires at {fire}; set recover as well",
            rule.id
        );
        return Err(VariantError(message));
    }
    Ok(())
}
