mod absences;
mod crashes;
mod order;
mod outages;
mod pool;
mod reload;
mod slo;
mod support;
mod waves;

pub(crate) use support::{Disk, POOL_RULES, Telemetry, Workspace, at, run};
