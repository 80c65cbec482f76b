mod absences;
mod pool;
mod reload;
mod slo;
mod support;

pub(crate) use support::POOL_RULES;
