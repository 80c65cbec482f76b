use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::resource::v1::Resource;

use crate::Story;
use crate::dice::Dice;
use crate::fault::{NEW_VERSION, OLD_VERSION, Plan, ROLLBACK_STEP, ROLLOUT_STEP};
use crate::values::{int, text, texts};

/// The shop's services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Service {
    Frontend,
    Cart,
    Checkout,
    Catalog,
    Search,
    Recommendation,
    Payment,
    Shipping,
    Email,
    Inventory,
    Users,
    OrdersDb,
}

/// What a service is written in: decides which runtime metrics it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runtime {
    Java,
    Go,
    Node,
    Python,
    Dotnet,
    Postgres,
}

/// The three machines; each runs a collector that sends on what its pods emit.
pub(crate) const NODES: usize = 3;

impl Service {
    const ALL: [Self; 12] = [
        Self::Frontend,
        Self::Cart,
        Self::Checkout,
        Self::Catalog,
        Self::Search,
        Self::Recommendation,
        Self::Payment,
        Self::Shipping,
        Self::Email,
        Self::Inventory,
        Self::Users,
        Self::OrdersDb,
    ];

    pub(crate) fn name(self) -> &'static str {
        self.facts().0
    }

    pub(crate) fn runtime(self) -> Runtime {
        self.facts().1
    }

    /// Name, runtime, version and number of pods. (checkout's version changes; see [`Fleet`].)
    fn facts(self) -> (&'static str, Runtime, &'static str, usize) {
        match self {
            Self::Frontend => ("frontend", Runtime::Node, "7.14.2", 2),
            Self::Cart => ("cart", Runtime::Dotnet, "2.8.0", 1),
            Self::Checkout => ("checkout", Runtime::Java, OLD_VERSION, 3),
            Self::Catalog => ("catalog", Runtime::Go, "3.3.1", 2),
            Self::Search => ("search", Runtime::Go, "1.19.4", 1),
            Self::Recommendation => ("recommendation", Runtime::Python, "0.27.3", 1),
            Self::Payment => ("payment", Runtime::Node, "5.2.6", 1),
            Self::Shipping => ("shipping", Runtime::Go, "2.0.11", 1),
            Self::Email => ("email", Runtime::Python, "1.7.0", 1),
            Self::Inventory => ("inventory", Runtime::Go, "4.0.3", 1),
            Self::Users => ("users", Runtime::Java, "6.1.1", 1),
            Self::OrdersDb => ("orders-db", Runtime::Postgres, "16.4", 1),
        }
    }
}

/// One running pod.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub(crate) service: Service,
    pub(crate) version: &'static str,
    pub(crate) id: String,
    pub(crate) pod: String,
    pub(crate) node: usize,
    pid: i64,
    /// It takes requests in `from..until`, nanoseconds since the epoch.
    pub(crate) from: u64,
    pub(crate) until: u64,
}

impl Instance {
    pub(crate) fn alive(&self, at: u64) -> bool {
        (self.from..self.until).contains(&at)
    }
}

/// Every pod that ever runs.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) instances: Vec<Instance>,
}

impl Fleet {
    pub(crate) fn new(story: &Story, plan: &Plan, dice: &mut Dice) -> Self {
        let mut fleet = Self { instances: Vec::new() };
        for service in Service::ALL {
            let (_, _, version, pods) = service.facts();
            let whole = (story.start_nanos(), u64::MAX);
            if service == Service::Checkout {
                fleet.roll_out_checkout(story, plan, dice);
            } else {
                fleet.deploy(service, version, &vec![whole; pods], dice);
            }
        }
        fleet
    }

    /// Three generations of checkout, each pod of one replaced by a pod of the next.
    fn roll_out_checkout(&mut self, story: &Story, plan: &Plan, dice: &mut Dice) {
        let swaps: Vec<(u64, u64)> = (0..3)
            .map(|pod| (plan.rollout + pod * ROLLOUT_STEP, plan.rollback + pod * ROLLBACK_STEP))
            .collect();
        let first: Vec<_> = swaps.iter().map(|(out, _)| (story.start_nanos(), *out)).collect();
        let last: Vec<_> = swaps.iter().map(|(_, back)| (*back, u64::MAX)).collect();
        self.deploy(Service::Checkout, OLD_VERSION, &first, dice);
        self.deploy(Service::Checkout, NEW_VERSION, &swaps, dice);
        self.deploy(Service::Checkout, OLD_VERSION, &last, dice);
    }

    /// One replica set: pods that share the middle of their names.
    fn deploy(&mut self, service: Service, version: &'static str, lives: &[(u64, u64)], dice: &mut Dice) {
        let replica_set = dice.suffix(10);
        for (number, (from, until)) in lives.iter().enumerate() {
            let pod = match service {
                Service::OrdersDb => format!("{}-{number}", service.name()),
                _ => format!("{}-{replica_set}-{}", service.name(), dice.suffix(5)),
            };
            let pid = if service == Service::OrdersDb { 1 } else { 7 };
            let node = (number + service as usize) % NODES;
            let id = dice.uuid();
            self.instances.push(Instance {
                service,
                version,
                id,
                pod,
                node,
                pid,
                from: *from,
                until: *until,
            });
        }
    }

    /// A pod of the service that takes requests at `at`, by its place in `instances`.
    pub(crate) fn pick(&self, service: Service, at: u64, dice: &mut Dice) -> usize {
        let alive: Vec<usize> = self
            .instances
            .iter()
            .enumerate()
            .filter(|(_, instance)| instance.service == service && instance.alive(at))
            .map(|(index, _)| index)
            .collect();
        *dice.pick(&alive)
    }

    pub(crate) fn resource(&self, index: usize) -> Resource {
        let pod = &self.instances[index];
        let mut attributes = vec![
            text("service.name", pod.service.name()),
            text("service.namespace", "shop"),
            text("service.version", pod.version),
            text("service.instance.id", &pod.id),
            text("k8s.pod.name", &pod.pod),
            text("k8s.deployment.name", pod.service.name()),
            int("process.pid", pod.pid),
        ];
        let language = match pod.service.runtime() {
            Runtime::Java => Some("java"),
            Runtime::Go => Some("go"),
            Runtime::Node => Some("nodejs"),
            Runtime::Python => Some("python"),
            Runtime::Dotnet => Some("dotnet"),
            Runtime::Postgres => None,
        };
        if let Some(language) = language {
            attributes.push(text("telemetry.sdk.name", "opentelemetry"));
            attributes.push(text("telemetry.sdk.language", language));
        }
        attributes.extend(place(pod.node));
        Resource { attributes, ..Resource::default() }
    }
}

/// The resource of a machine itself: no service, as host metrics have it.
pub(crate) fn host_resource(node: usize) -> Resource {
    let mut attributes = place(node);
    attributes.push(text("os.type", "linux"));
    attributes.push(texts("host.ip", &[["10.2.0.17", "10.2.1.17", "10.2.2.17"][node]]));
    Resource { attributes, ..Resource::default() }
}

/// Where a machine stands.
fn place(node: usize) -> Vec<KeyValue> {
    vec![
        text("deployment.environment.name", "production"),
        text("k8s.namespace.name", "shop"),
        text("host.name", format!("ip-10-2-{node}-17.us-west-2.compute.internal")),
        text("cloud.region", "us-west-2"),
        text("cloud.availability_zone", ["us-west-2a", "us-west-2b", "us-west-2c"][node]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SECOND;

    #[test]
    fn three_checkout_pods_run_at_any_time_and_the_versions_follow_the_story() {
        let story = Story::default();
        let plan = Plan::new(&story);
        let fleet = Fleet::new(&story, &plan, &mut Dice::new(1, 0));
        let versions = |at: u64| -> Vec<&str> {
            let checkout = |pod: &&Instance| pod.service == Service::Checkout && pod.alive(at);
            fleet.instances.iter().filter(checkout).map(|pod| pod.version).collect()
        };
        assert_eq!(versions(plan.rollout - 1), [OLD_VERSION; 3]);
        assert_eq!(versions(plan.rollout + 60 * SECOND), [OLD_VERSION, NEW_VERSION, NEW_VERSION]);
        assert_eq!(versions(plan.saturated), [NEW_VERSION; 3]);
        assert_eq!(versions(plan.recovered), [OLD_VERSION; 3]);
    }

    #[test]
    fn host_metrics_name_no_service() {
        assert!(host_resource(1).attributes.iter().all(|attribute| attribute.key != "service.name"));
    }
}
