mod absences;
mod pool;
mod reload;
mod slo;
mod support;
