use opentelemetry_proto::tonic::trace::v1::Span;

use crate::Story;
use crate::batch::{Batches, Scope};
use crate::dice::Dice;
use crate::fault::Plan;
use crate::meters::{Meters, Observation};
use crate::topology::{Fleet, Service};
use crate::trace::{Open, Statement, tells_nanoseconds};
use crate::truth::Truth;

/// Everything that a shop's request touches while it is made up.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) dice: Dice,
    pub(crate) fleet: Fleet,
    pub(crate) plan: Plan,
    pub(crate) batches: Batches,
    pub(crate) meters: Meters,
    pub(crate) truth: Truth,
}

impl World {
    pub(crate) fn new(story: &Story) -> Self {
        let plan = Plan::new(story);
        let fleet = Fleet::new(story, &plan, &mut Dice::new(story.seed, 0));
        let meters = Meters::new(story, &fleet);
        let dice = Dice::new(story.seed, 1);
        let truth = Truth::new(story, &plan);
        Self { dice, fleet, plan, batches: Batches::new(story.start_nanos()), meters, truth }
    }

    /// `at` as the pod's clock tells it.
    pub(crate) fn sharpen(&mut self, instance: usize, at: u64) -> u64 {
        if tells_nanoseconds(self.fleet.instances[instance].service.runtime()) {
            at + self.dice.below(1_000)
        } else {
            at
        }
    }

    pub(crate) fn record_span(&mut self, instance: usize, scope: Scope, span: Span) {
        self.truth.saw_span(self.fleet.instances[instance].service, &span);
        self.batches.add_span(&self.fleet, instance, scope, span);
    }

    /// A request was answered: the server's own metrics hear of it.
    pub(crate) fn served(&mut self, server: &Open, route: &str, code: i64, end: u64) {
        let route = route.to_owned();
        self.observe(server, end, |seconds| Observation::Served { route, code, seconds });
    }

    pub(crate) fn called(&mut self, client: &Open, callee: Service, end: u64) {
        self.observe(client, end, |seconds| Observation::Called { callee, seconds });
    }

    pub(crate) fn queried(&mut self, client: &Open, statement: &Statement, end: u64) {
        let operation = statement.operation;
        self.observe(client, end, |seconds| Observation::Queried { operation, seconds });
        if statement.server == Service::OrdersDb.name() {
            self.meters.orders_db_statement(statement.operation);
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "durations of seconds")]
    fn observe(&mut self, span: &Open, end: u64, what: impl FnOnce(f64) -> Observation) {
        let seconds = end.saturating_sub(span.start) as f64 / 1e9;
        self.meters.observe(span.instance, end, (span.trace, span.id), what(seconds));
    }
}
