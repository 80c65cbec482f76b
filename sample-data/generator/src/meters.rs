//! What each pod has counted so far; `metrics.rs` turns it into points.

use std::collections::BTreeMap;

use crate::Story;
use crate::dice::Dice;
use crate::instruments::{Buckets, Exponential, Quantiles, SECONDS};
use crate::topology::{Fleet, Service};

/// Something measured at the end of a span.
#[derive(Debug)]
pub(crate) enum Observation {
    Served { route: String, code: i64, seconds: f64 },
    Called { callee: Service, seconds: f64 },
    Queried { operation: &'static str, seconds: f64 },
}

#[derive(Debug)]
struct Heard {
    instance: usize,
    trace: [u8; 16],
    span: [u8; 8],
    what: Observation,
}

/// The counters of every pod and machine.
#[derive(Debug)]
pub(crate) struct Meters {
    pub(crate) dice: Dice,
    pub(crate) pods: Vec<Pod>,
    pub(crate) hosts: [Host; crate::topology::NODES],
    /// Statements that orders-db ran, by operation.
    pub(crate) statements: BTreeMap<&'static str, u64>,
    /// Measurements whose time has not come.
    waiting: BTreeMap<u64, Vec<Heard>>,
}

/// What one pod has counted.
#[derive(Debug)]
pub(crate) struct Pod {
    /// Start of its cumulative counters.
    pub(crate) start: u64,
    /// Time of its last points, where its delta counters begin.
    pub(crate) last: u64,
    pub(crate) served: BTreeMap<(String, i64), Buckets>,
    pub(crate) called: BTreeMap<Service, Exponential>,
    pub(crate) queried: BTreeMap<&'static str, Exponential>,
    /// Spans ended since the last points.
    pub(crate) busy: u64,
    pub(crate) cpu_seconds: [f64; 2],
    pub(crate) cache: [u64; 2],
    pub(crate) orders: u64,
    pub(crate) revenue_cents: u64,
    pub(crate) pool_timeouts: u64,
    pub(crate) charges: Buckets,
    pub(crate) quotes: Quantiles,
    pub(crate) consumed: u64,
}

/// What one machine has counted.
#[derive(Debug, Default)]
pub(crate) struct Host {
    pub(crate) network_bytes: [u64; 2],
}

/// Bounds of a charge, in euros.
const EUROS: &[f64] = &[10.0, 20.0, 50.0, 100.0, 200.0, 500.0];

impl Meters {
    pub(crate) fn new(story: &Story, fleet: &Fleet) -> Self {
        Self {
            dice: Dice::new(story.seed, 2),
            pods: fleet.instances.iter().map(|instance| Pod::new(instance.from)).collect(),
            hosts: std::array::from_fn(|_| Host::default()),
            statements: BTreeMap::new(),
            waiting: BTreeMap::new(),
        }
    }

    pub(crate) fn observe(&mut self, instance: usize, at: u64, ids: ([u8; 16], [u8; 8]), what: Observation) {
        let (trace, span) = ids;
        self.waiting.entry(at).or_default().push(Heard { instance, trace, span, what });
    }

    /// Counts every measurement up to `at`.
    pub(crate) fn advance(&mut self, at: u64) {
        while let Some(entry) = self.waiting.first_entry().filter(|entry| *entry.key() <= at) {
            let (time, heard) = entry.remove_entry();
            for one in heard {
                self.pods[one.instance].count(time, one);
            }
        }
    }

    pub(crate) fn orders_db_statement(&mut self, operation: &'static str) {
        *self.statements.entry(operation).or_default() += 1;
    }

    pub(crate) fn cache(&mut self, instance: usize, hit: bool) {
        self.pods[instance].cache[usize::from(hit)] += 1;
    }

    pub(crate) fn order_placed(&mut self, instance: usize, cents: u64) {
        self.pods[instance].orders += 1;
        self.pods[instance].revenue_cents += cents;
    }

    pub(crate) fn pool_timeout(&mut self, instance: usize) {
        self.pods[instance].pool_timeouts += 1;
    }

    pub(crate) fn charged(&mut self, instance: usize, euros: f64) {
        self.pods[instance].charges.add(euros);
    }

    #[expect(clippy::cast_precision_loss, reason = "milliseconds")]
    pub(crate) fn quoted(&mut self, instance: usize, nanos: u64) {
        self.pods[instance].quotes.add(nanos as f64 / 1e9);
    }

    pub(crate) fn consumed(&mut self, instance: usize) {
        self.pods[instance].consumed += 1;
    }
}

impl Pod {
    fn new(start: u64) -> Self {
        Self {
            start,
            last: start,
            served: BTreeMap::new(),
            called: BTreeMap::new(),
            queried: BTreeMap::new(),
            busy: 0,
            cpu_seconds: [0.0; 2],
            cache: [0; 2],
            orders: 0,
            revenue_cents: 0,
            pool_timeouts: 0,
            charges: Buckets::new(EUROS),
            quotes: Quantiles::default(),
            consumed: 0,
        }
    }

    fn count(&mut self, at: u64, heard: Heard) {
        self.busy += 1;
        match heard.what {
            Observation::Served { route, code, seconds } => {
                let buckets = self.served.entry((route, code)).or_insert_with(|| Buckets::new(SECONDS));
                buckets.add(seconds);
                buckets.keep_slowest(at, seconds, heard.trace, heard.span);
            }
            Observation::Called { callee, seconds } => self.called.entry(callee).or_default().add(seconds),
            Observation::Queried { operation, seconds } => {
                self.queried.entry(operation).or_default().add(seconds);
            }
        }
    }

    /// Takes the delta histogram of charges, leaving an empty one.
    pub(crate) fn take_charges(&mut self) -> Buckets {
        std::mem::replace(&mut self.charges, Buckets::new(EUROS))
    }
}
