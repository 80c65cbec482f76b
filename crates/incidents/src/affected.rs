use crate::Telemetry;
use crate::statistics::chi_squared;

/// Most values returned.
const AFFECTED_MAX: usize = 20;
/// χ² of one degree of freedom at 0.1 %: below it the difference may be chance.
const CHI_SQUARED_MIN: f64 = 10.83;
/// Fewest bad requests that must carry the value.
const BAD_MIN: u64 = 5;

/// An attribute value that stands on bad requests more often than on good ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Affected {
    /// The service whose requests were counted.
    pub service: String,
    /// Column of `spans`.
    pub attribute: String,
    /// The value.
    pub value: String,
    /// Its share among bad requests, 0 to 1.
    pub bad_share: f64,
    /// Its share among good requests, 0 to 1.
    pub good_share: f64,
    /// How many times more often it is among bad requests; `None` when no good request has it.
    pub lift: Option<f64>,
    /// χ² with one degree of freedom; above 10.8 the chance of accident is under 0.1 %.
    pub chi_squared: f64,
}

/// Who is affected: values that are surely more common among the bad requests of one service, surest first.
pub(crate) fn affected(telemetry: &Telemetry) -> Vec<Affected> {
    let mut found: Vec<Affected> =
        telemetry.attributes.iter().filter_map(|count| describe(telemetry, count)).collect();
    found.sort_by(|a, b| b.chi_squared.total_cmp(&a.chi_squared).then_with(|| a.value.cmp(&b.value)));
    found.truncate(AFFECTED_MAX);
    found
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests stay far below 2^52")]
fn describe(telemetry: &Telemetry, count: &crate::AttributeCount) -> Option<Affected> {
    let same = telemetry
        .attributes
        .iter()
        .filter(|other| other.service == count.service && other.attribute == count.attribute);
    let (all_bad, all_good) = same.fold((0, 0), |(bad, good), other| (bad + other.bad, good + other.good));
    if count.bad < BAD_MIN || all_good == 0 {
        return None;
    }
    let (bad, good) = (count.bad as f64, count.good as f64);
    let (bad_share, good_share) = (bad / all_bad as f64, good / all_good as f64);
    let chi_squared = chi_squared(bad, (all_bad - count.bad) as f64, good, (all_good - count.good) as f64);
    (bad_share > good_share && chi_squared >= CHI_SQUARED_MIN).then(|| Affected {
        service: count.service.clone(),
        attribute: count.attribute.clone(),
        value: count.value.clone(),
        bad_share,
        good_share,
        lift: (good_share > 0.0).then(|| bad_share / good_share),
        chi_squared,
    })
}
