//! One wave of ticks: every rule and SLO that is due within the shortest interval from the earliest tick on, at most
//! one tick each. Their queries run side by side; what they found is judged and committed in the order of time, so
//! that a wave of many gives what one after the other would.

use std::collections::VecDeque;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use hindsight_model::{Labels, SqlAnswer, SqlError, TickCommit};
use jiff::Timestamp;
use tokio::time::Instant;

use super::instance::OfRule;
use super::schedule::What;
use super::slo_tick::SloAnswered;
use super::{Engine, EvaluationView, Report, Standing};
use crate::error::Result;
use crate::slo::Minutes;

/// A rule whose last query took longer than this waits for other slow ones, and quick ones do not wait for it.
const SLOW: Duration = Duration::from_secs(1);

/// Queries that wait to be asked, and those that are running.
#[derive(Default)]
pub(super) struct Asking {
    waiting: VecDeque<Question>,
    running: FuturesUnordered<BoxFuture<'static, Asked>>,
    running_slow: usize,
    wave: u64,
}

/// The question of a rule or an SLO for one tick.
struct Question {
    unit: usize,
    at: Timestamp,
    slow: bool,
    wave: u64,
    answered: BoxFuture<'static, Came>,
}

/// What came of a question, and how far the data reached when it was asked.
pub(super) struct Answered {
    pub(super) answer: Answer,
    pub(super) watermark: Option<Timestamp>,
    /// How long it took by the wall, answered or failed: a query that runs into its timeout is the slowest of all.
    pub(super) took: Duration,
}

pub(super) enum Answer {
    Sql(Result<SqlAnswer, SqlError>),
    /// Of a rule that is measured from within: instances with their values, or why there are none.
    Own(Result<Vec<(Labels, f64)>, String>),
    /// It was not asked, since the window is not complete.
    NotAsked,
}

/// What came of the question of a rule or an SLO.
enum Came {
    Rule(Answered),
    Slo(SloAnswered),
}

/// An answer with the tick that it is for.
struct Asked {
    unit: usize,
    at: Timestamp,
    slow: bool,
    wave: u64,
    answered: Came,
}

/// A tick that was judged and waits for its transaction.
pub(super) struct Judged {
    pub(super) commit: TickCommit,
    /// The instances afterwards: of the rule and its meta-alert, or of the SLO's tiers.
    pub(super) after: Vec<(String, OfRule)>,
    pub(super) views: Vec<(String, EvaluationView)>,
    /// Of an SLO: its name, its minutes and where it stands.
    pub(super) slo: Option<(String, Minutes, Standing)>,
}

impl Asking {
    /// Drops every query, running or not.
    pub(super) fn forget(&mut self) {
        self.waiting.clear();
        self.running = FuturesUnordered::new();
        self.running_slow = 0;
    }

    /// Lets as many run as may run at once.
    fn start(&mut self, concurrency: usize) {
        let slow_max = (concurrency / 2).max(1);
        while self.running.len() < concurrency.max(1) {
            let room_for_slow = self.running_slow < slow_max;
            let next = self.waiting.iter().position(|question| room_for_slow || !question.slow);
            let Some(question) = next.and_then(|at| self.waiting.remove(at)) else { return };
            self.running_slow += usize::from(question.slow);
            let Question { unit, at, slow, wave, answered } = question;
            self.running.push(answered.map(move |answered| Asked { unit, at, slow, wave, answered }).boxed());
        }
    }

    /// The answers of the present wave, and those of earlier ones that come meanwhile. What has not come when the
    /// time is over comes another time. With nothing asked in this wave, the first answer of an earlier one.
    async fn collect(&mut self, concurrency: usize, until: Option<Instant>) -> Vec<Asked> {
        let mut left = self.waiting.iter().filter(|question| question.wave == self.wave).count();
        let mut asked: Vec<Asked> = Vec::new();
        while left > 0 || asked.is_empty() {
            self.start(concurrency);
            let next = match until {
                None => self.running.next().await,
                Some(until) => tokio::time::timeout_at(until, self.running.next()).await.unwrap_or(None),
            };
            let Some(next) = next else { break };
            left -= usize::from(next.wave == self.wave);
            self.running_slow -= usize::from(next.slow);
            asked.push(next);
        }
        asked.sort_by_key(|asked| (asked.at, asked.unit));
        asked
    }
}

impl Engine {
    /// Asks for one wave and commits what came back. Returns false when nothing is due, or nothing came in time.
    ///
    /// # Errors
    /// When a commit fails; its ticks are due again.
    pub(super) async fn wave(
        &mut self,
        now: Timestamp,
        until: Option<Instant>,
        report: &mut Report,
    ) -> Result<bool> {
        if until.is_some_and(|until| until <= Instant::now()) {
            return Ok(false);
        }
        self.begin_wave(now, until.is_some());
        let concurrency = self.options.concurrency;
        let asked = self.asking().collect(concurrency, until).await;
        if asked.is_empty() {
            return Ok(false);
        }
        self.finish(asked, now, report).await?;
        Ok(true)
    }

    /// Queues the questions of this wave. Beside a clock, slow ones are queued whenever they are due: a rule that is
    /// behind with its ticks must not hold the others at the time where it stands.
    fn begin_wave(&mut self, now: Timestamp, live: bool) {
        self.asking().wave += 1;
        let wave = self.asking().wave;
        let is_straggler = |unit: &super::Unit| live && unit.took > SLOW;
        let of_wave = self.units.iter().filter(|unit| !unit.under_way && !is_straggler(unit));
        let first = of_wave.filter_map(|unit| unit.next).min();
        let shortest = self.units.iter().map(|unit| unit.interval).min().unwrap_or_default();
        let end = first.and_then(|first| first.checked_add(shortest).ok());
        for at in 0..self.units.len() {
            let unit = &self.units[at];
            let Some(tick) = unit.next.filter(|tick| *tick <= now && !unit.under_way) else { continue };
            if !is_straggler(unit) && end.is_none_or(|end| tick >= end) {
                continue;
            }
            let slow = unit.took > SLOW;
            let answered = match unit.what {
                What::Rule { group, rule } => {
                    self.ask(group, rule, tick, live.then_some(now)).map(Came::Rule).boxed()
                }
                What::Slo(index) => self.ask_slo(index, tick).map(Came::Slo).boxed(),
            };
            self.units[at].under_way = true;
            self.asking().waiting.push_back(Question { unit: at, at: tick, slow, wave, answered });
        }
    }

    /// Judges answers and commits them in one transaction.
    async fn finish(&mut self, asked: Vec<Asked>, now: Timestamp, report: &mut Report) -> Result<()> {
        // Whatever fails below, these ticks are due again.
        for asked in &asked {
            self.units[asked.unit].under_way = false;
        }
        let mut judged = Vec::with_capacity(asked.len());
        let mut ticks = Vec::with_capacity(asked.len());
        for asked in asked {
            let what = self.units[asked.unit].what;
            self.units[asked.unit].took = asked.answered.took();
            judged.push(match (what, asked.answered) {
                (What::Rule { group, rule }, Came::Rule(answered)) => {
                    self.judge(group, rule, asked.at, now, answered)?
                }
                (What::Slo(index), Came::Slo(answered)) => self.judge_slo(index, asked.at, now, answered)?,
                _ => continue,
            });
            ticks.push((asked.unit, asked.at));
        }
        let (commits, after): (Vec<_>, Vec<_>) = judged
            .into_iter()
            .map(|judged| (judged.commit, (judged.after, judged.views, judged.slo)))
            .unzip();
        self.commit(&commits).await?;
        for (instances, views, slo) in after {
            for (rule, instances) in instances {
                self.instances.set(&rule, instances);
            }
            self.last_evaluation.extend(views);
            if let Some((name, minutes, standing)) = slo {
                self.minutes.insert(name.clone(), minutes);
                self.standings.insert(name, standing);
            }
        }
        for (unit, at) in ticks {
            self.units[unit].ticked(at);
        }
        report.evaluated += commits.len();
        report.transitions.extend(commits.into_iter().flat_map(|commit| commit.transitions));
        Ok(())
    }
}

impl Came {
    fn took(&self) -> Duration {
        match self {
            Self::Rule(answered) => answered.took,
            Self::Slo(answered) => answered.took,
        }
    }
}
