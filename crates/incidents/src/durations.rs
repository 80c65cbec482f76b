//! How long the phases of incidents took, as points with their median and p90: a mean would hide the long ones
//! (POSTMORTEM §1).

use hindsight_model::{Incident, IncidentId, IncidentTimes};
use jiff::Timestamp;

use crate::statistics::quantile;

/// A phase of incidents with what it took in each.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// `TTD`.
    pub name: &'static str,
    /// From what to what.
    pub meaning: &'static str,
    /// Seconds in each incident where both ends are known and in order, in the order of the incidents.
    pub points: Vec<(IncidentId, f64)>,
    /// Half of the incidents took at most this many seconds; `None` without points.
    pub median: Option<f64>,
    /// Nine tenths took at most this many seconds (linear interpolation between the nearest); `None` without points.
    pub p90: Option<f64>,
}

type Ends = fn(&IncidentTimes) -> (Option<Timestamp>, Option<Timestamp>);

const PHASES: [(&str, &str, Ends); 5] = [
    ("TTD", "from impact to detection", |times| (times.impact_start, times.detected)),
    ("TTA", "from detection to acknowledgement", |times| (times.detected, times.acknowledged)),
    ("TTDiag", "from detection to the cause being known", |times| (times.detected, times.cause_identified)),
    ("TTM", "from impact to mitigation", |times| (times.impact_start, times.mitigated)),
    ("TTR", "from impact to resolution", |times| (times.impact_start, times.resolved)),
];

/// The phases of these incidents, always all five.
pub fn phases(incidents: &[Incident]) -> Vec<Phase> {
    let phase = |&(name, meaning, ends): &(&'static str, &'static str, Ends)| {
        let points: Vec<(IncidentId, f64)> = incidents
            .iter()
            .filter_map(|incident| {
                let (from, to) = ends(&incident.times);
                let took = to?.duration_since(from?).as_secs_f64();
                (took >= 0.0).then_some((incident.id, took))
            })
            .collect();
        let seconds: Vec<f64> = points.iter().map(|(_, seconds)| *seconds).collect();
        Phase { name, meaning, median: quantile(&seconds, 0.5), p90: quantile(&seconds, 0.9), points }
    };
    PHASES.iter().map(phase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{incident, minute};

    fn took(minutes: &[(usize, usize)]) -> Vec<Incident> {
        let one = |(index, (from, to)): (usize, &(usize, usize))| {
            let (mut one, _) = incident("checkout");
            one.id = IncidentId(index as u64 + 1);
            one.times = IncidentTimes {
                impact_start: Some(minute(*from)),
                mitigated: Some(minute(*to)),
                ..IncidentTimes::default()
            };
            one
        };
        minutes.iter().enumerate().map(one).collect()
    }

    #[test]
    fn a_phase_has_every_point_its_median_and_its_p90() {
        let phases = phases(&took(&[(0, 10), (0, 20), (0, 90), (5, 5), (9, 4)]));
        let names: Vec<&str> = phases.iter().map(|phase| phase.name).collect();
        assert_eq!(names, ["TTD", "TTA", "TTDiag", "TTM", "TTR"]);
        let ttm = &phases[3];
        let points: Vec<(u64, f64)> = ttm.points.iter().map(|(id, seconds)| (id.0, *seconds)).collect();
        assert_eq!(points, [(1, 600.0), (2, 1_200.0), (3, 5_400.0), (4, 0.0)], "not the one that ends first");
        assert_eq!((ttm.median, ttm.p90.map(f64::round)), (Some(900.0), Some(4_140.0)));
        assert_eq!((phases[0].points.len(), phases[0].median), (0, None));
    }
}
