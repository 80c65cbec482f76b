//! A made-up system: services in layers, their operations, and who calls whom.

use crate::dice::Dice;

const FIRST: [&str; 24] = [
    "account", "audit", "basket", "billing", "booking", "claims", "content", "courier", "credit", "feed",
    "geo", "ledger", "loyalty", "media", "menu", "notify", "offer", "partner", "policy", "quote", "roster",
    "seat", "stock", "ticket",
];
const SECOND_WORD: [&str; 6] = ["svc", "api", "core", "worker", "store", "engine"];
const VERBS: [&str; 10] =
    ["Get", "List", "Create", "Update", "Check", "Find", "Reserve", "Price", "Validate", "Submit"];

/// A call that an operation makes.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) service: usize,
    pub(super) operation: usize,
    /// How likely a run makes it.
    pub(super) chance: f64,
}

#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) name: String,
    pub(super) own_ms: f64,
    pub(super) calls: Vec<Call>,
    /// Whether it asks the service's database, if it has one.
    pub(super) asks_database: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Service {
    pub(super) name: String,
    pub(super) layer: usize,
    pub(super) operations: Vec<Operation>,
    pub(super) database: Option<String>,
    pub(super) pod: String,
    pub(super) version: &'static str,
    /// Share of requests that always fails.
    pub(super) background_errors: f64,
    pub(super) cpu: f64,
    pub(super) memory_mib: f64,
}

/// Which signals there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signals {
    pub(super) traces: bool,
    pub(super) logs: bool,
    pub(super) metrics: bool,
    /// Whether spans say that they failed.
    pub(super) status: bool,
    /// Whether infrastructure metrics come from an agent that names containers only.
    pub(super) by_container: bool,
    pub(super) scrape_s: u64,
}

#[derive(Clone, Debug)]
pub(super) struct System {
    pub(super) services: Vec<Service>,
    pub(super) signals: Signals,
    /// Requests per second from outside.
    pub(super) rate: f64,
}

impl System {
    pub(super) fn new(dice: &mut Dice) -> Self {
        let count = 8 + usize::try_from(dice.below(33)).unwrap_or(0);
        let layers = 3 + usize::try_from(dice.below(2)).unwrap_or(0);
        let names = names(count, dice);
        let mut services: Vec<Service> = (0..count)
            .map(|index| {
                let layer = if index < 1 + count / 15 { 0 } else { 1 + index % layers };
                service(&names[index], layer, dice)
            })
            .collect();
        services.sort_by_key(|service| service.layer);
        connect(&mut services, dice);
        let sick = 1 + dice.below(3);
        for _ in 0..sick {
            let index = usize::try_from(dice.below(count as u64)).unwrap_or(0);
            services[index].background_errors = 0.01 + 0.03 * dice.unit();
        }
        let kind = dice.below(10);
        let signals = Signals {
            traces: kind != 0,
            logs: kind != 1 && kind != 2,
            metrics: kind != 3,
            status: kind != 4 && kind != 5,
            by_container: kind >= 8,
            scrape_s: *dice.pick(&[15, 30, 30, 60]),
        };
        Self { services, signals, rate: 2.0 + 1.5 * dice.unit() }
    }

    /// Services that at least a few requests pass, by how often a request from outside reaches them.
    pub(super) fn reached(&self) -> Vec<f64> {
        let mut reached = vec![0.0; self.services.len()];
        let mut runs: Vec<Vec<f64>> = self.services.iter().map(|s| vec![0.0; s.operations.len()]).collect();
        let entries: Vec<usize> = (0..self.services.len()).filter(|i| self.services[*i].layer == 0).collect();
        for entry in &entries {
            for run in &mut runs[*entry] {
                *run += 1.0 / entries.len() as f64 / self.services[*entry].operations.len() as f64;
            }
        }
        // Calls lead to later layers only, and services are in the order of layers.
        for index in 0..self.services.len() {
            for (operation, run) in runs[index].clone().into_iter().enumerate() {
                reached[index] += run;
                for call in &self.services[index].operations[operation].calls {
                    runs[call.service][call.operation] += run * call.chance;
                }
            }
        }
        reached
    }
}

fn names(count: usize, dice: &mut Dice) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    while names.len() < count {
        let name = format!("{}-{}", dice.pick(&FIRST), dice.pick(&SECOND_WORD));
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn service(name: &str, layer: usize, dice: &mut Dice) -> Service {
    let operations = 1 + usize::try_from(dice.below(3)).unwrap_or(0);
    let word = name.split('-').next().unwrap_or(name);
    let database = (layer > 0 && dice.chance(0.5)).then(|| format!("{word}-db"));
    Service {
        name: name.to_owned(),
        layer,
        operations: (0..operations)
            .map(|number| Operation {
                name: format!(
                    "{}{}{}",
                    dice.pick(&VERBS),
                    capital(word),
                    if number == 0 { "" } else { "s" }.repeat(number)
                ),
                own_ms: 1.0 + 12.0 * dice.unit(),
                calls: Vec::new(),
                asks_database: dice.chance(0.7),
            })
            .collect(),
        database,
        pod: format!("{name}-{}-{}", dice.suffix(9), dice.suffix(5)),
        version: "1.4.2",
        background_errors: 0.0,
        cpu: 0.05 + 0.3 * dice.unit(),
        memory_mib: 80.0 + 600.0 * dice.unit(),
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Every service below the first layer is called by somebody above it; some by several.
fn connect(services: &mut [Service], dice: &mut Dice) {
    for index in 0..services.len() {
        let layer = services[index].layer;
        if layer == 0 {
            continue;
        }
        let above: Vec<usize> = (0..services.len()).filter(|i| services[*i].layer + 1 == layer).collect();
        let above = if above.is_empty() { vec![0] } else { above };
        for _ in 0..1 + dice.below(2) {
            let caller = *dice.pick(&above);
            let from = usize::try_from(dice.below(services[caller].operations.len() as u64)).unwrap_or(0);
            let operation = usize::try_from(dice.below(services[index].operations.len() as u64)).unwrap_or(0);
            let known = services[caller].operations[from].calls.iter().any(|call| call.service == index);
            if !known {
                let chance = 0.5 + 0.5 * dice.unit();
                services[caller].operations[from].calls.push(Call { service: index, operation, chance });
            }
        }
    }
}
