//! `histogram_quantile`, `histogram_at_most`, `histogram_merge`, `histogram_increase`, `histogram_increment`, `histogram_delta`, `exp_histogram_merge`,
//! `exp_histogram_increase` and `exp_histogram_delta`.

mod at_most;
mod columns;
mod exp_increase;
mod exp_subtract;
mod explicit;
mod exponential;
mod increase;
mod increment;
mod merge;
mod merge_groups;
mod quantile;
mod subtract;

pub(super) use at_most::udf as at_most;
pub(super) use columns::list;
pub(super) use exp_increase::udaf as exp_increase;
pub(super) use exp_subtract::udf as exp_subtract;
pub(super) use increase::udaf as increase;
pub(super) use increment::increments;
pub(super) use increment::udwf as increment;
pub(super) use merge::udafs as merges;
pub(super) use quantile::udf as quantile;
pub(super) use subtract::udf as subtract;
