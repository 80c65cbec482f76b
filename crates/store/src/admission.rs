//! Who may send how much: decided in pure functions of state, amount and time (LIM-1).

mod active_series;
mod clock_steps;
mod in_flight;
mod rates;
mod series;
mod token_bucket;

pub use active_series::{ActiveSeries, SERIES_MAX};
pub(crate) use clock_steps::{Steady, widen};
pub(crate) use in_flight::in_flight_units;
pub(crate) use rates::Rates;
pub use rates::{RateLimit, RateUnit};
pub(crate) use series::{RefusedThen, SeriesLimits, TenantGate};
