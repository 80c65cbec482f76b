use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use hindsight_model::{IncidentSpec, Labels, SqlAnswer, SqlRequest};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::condition::Condition;
use crate::slo::Slo;
use crate::template::Template;

/// Every rule and SLO that is in force.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    /// Groups by file and place in it; names are unique.
    pub groups: Vec<RuleGroup>,
    /// SLOs by name.
    pub slos: Vec<Slo>,
}

/// Rules that are evaluated together, one after the other, at every tick.
#[derive(Clone, Debug)]
pub struct RuleGroup {
    /// Unique in the workspace.
    pub name: String,
    /// Relative to the workspace.
    pub file: PathBuf,
    /// Line of the group in its file, from 1.
    pub line: u64,
    /// Time between ticks, above zero.
    pub interval: Duration,
    /// How long before the tick the evaluated window ends.
    pub query_offset: Duration,
    /// Most instances a rule may return; beyond it the outcome is an error.
    pub limit: usize,
    /// In the order of the file.
    pub rules: Vec<CheckedRule>,
}

/// One alerting rule that passed every check.
#[derive(Clone, Debug)]
pub struct CheckedRule {
    /// `group/alert`, unique in the workspace.
    pub id: String,
    /// The alert's name.
    pub alert: String,
    /// Line of the rule in its file, from 1.
    pub line: u64,
    /// The query; returns every instance with a `value` column and label columns.
    pub sql: String,
    /// Where its instances come from.
    pub measure: Measure,
    /// What is a breach; without one, any row is.
    pub condition: Option<Condition>,
    /// How states follow from readings.
    pub policy: Policy,
    /// A meta-alert fires when the query has failed for this long.
    pub error_after: Duration,
    /// Ticks whose data is not complete are not judged.
    pub require_watermark: bool,
    /// Added to the labels of each instance, replacing equal names; may name `labels.x`, never `value`.
    pub labels: BTreeMap<String, Template>,
    /// Rendered at each transition.
    pub annotations: BTreeMap<String, Template>,
    /// How the alert opens or joins an incident.
    pub incident: Option<IncidentSpec>,
}

/// Where the instances of a rule come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Measure {
    /// From its query.
    #[default]
    Sql,
    /// From the engine itself: rules and SLOs whose tick is due and not evaluated.
    RuleLag,
    /// From the outbox: receivers with notifications that were given up lately.
    DeadNotifications,
    /// From the post-mortems: action items that are open after their last day.
    OverdueActions,
}

/// The part of a rule that the state machine reads.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// How long a breach must last before the alert fires.
    pub for_: Duration,
    /// How long the breach must be over before the alert resolves.
    pub keep_firing_for: Duration,
    /// When nothing at all was returned.
    pub on_no_data: Absence,
    /// When others were returned and this instance was not.
    pub on_missing: OnMissing,
    /// When states that come and go are held.
    pub flapping: Option<Flapping>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            for_: Duration::ZERO,
            keep_firing_for: Duration::ZERO,
            on_no_data: Absence::Keep,
            on_missing: OnMissing::default(),
            flapping: None,
        }
    }
}

/// What an absence means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// Nothing is known: the state stays and its clocks stand still.
    Keep,
    /// The episode ends at once.
    Resolve,
    /// It is a breach.
    Fire,
    /// It is what "no breach" looks like: the default of a rule without `condition`.
    NoBreach,
}

impl Absence {
    /// `keep`, `resolve`, `fire` or `no breach`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Resolve => "resolve",
            Self::Fire => "fire",
            Self::NoBreach => "no breach",
        }
    }
}

/// What a missing series means, and after how many ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnMissing {
    /// Ticks in a row, at least 1.
    pub after: u32,
    /// What happens then.
    pub then: Absence,
}

impl Default for OnMissing {
    fn default() -> Self {
        Self { after: 2, then: Absence::Resolve }
    }
}

/// When an alert that comes and goes counts as flapping (in per cent of weighted state changes).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flapping {
    /// States looked at.
    pub window: u8,
    /// Flapping starts at or above this.
    pub high: f64,
    /// It ends at or below this.
    pub low: f64,
}

impl CheckedRule {
    /// The rule's question at a tick: about the window that ends the group's `query_offset` before it.
    pub fn question(&self, group: &RuleGroup, tick: Timestamp) -> SqlRequest {
        let mut request = SqlRequest::new(self.sql.as_str());
        // Only what the text names: engines may refuse parameters that nobody reads.
        if self.sql.contains("$now") {
            request = request.param("now", tick.checked_sub(group.query_offset).unwrap_or(Timestamp::MIN));
        }
        if self.sql.contains("$interval") {
            request = request.param("interval", group.interval);
        }
        request
    }

    /// The instances of an answer to the rule's question: all their labels, with their values.
    ///
    /// # Errors
    /// A sentence for the rule's author: no column `value`, one that is no number, two rows with the same labels, or
    /// more rows than the group's `limit`.
    pub fn instances(&self, group: &RuleGroup, answer: &SqlAnswer) -> Result<BTreeMap<Labels, f64>, String> {
        crate::engine::values(self, group.limit, answer)
    }

    /// Changes when the rule asks another question or names its instances otherwise: states then start anew with
    /// reason `updated`. Texts, durations and absences may change without that.
    pub fn condition_hash(&self) -> String {
        let mut text = vec![self.sql.clone()];
        text.push(self.condition.map_or_else(String::new, |c| format!("{c:?}")));
        for (name, value) in &self.labels {
            text.push(format!("{name}={}", value.source()));
        }
        stable_hash(&text.join("\u{1f}"))
    }
}

/// Sixteen hex digits of SHA-256: the same text gives the same hash on every machine and in every version.
pub(crate) fn stable_hash(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(8).fold(String::with_capacity(16), |mut out, byte| {
        out.push_str(&format!("{byte:02x}"));
        out
    })
}

/// The first eight bytes of SHA-256 as a number.
pub(crate) fn stable_number(text: &str) -> u64 {
    let digest = Sha256::digest(text.as_bytes());
    let first: [u8; 8] = digest[..8].try_into().expect("a SHA-256 digest has 32 bytes");
    u64::from_be_bytes(first)
}
