use proptest::prelude::*;

use super::*;

/// A small seeded generator: roughly normal noise of deviation 1, the same on every machine.
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03)
    }

    pub(crate) fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

fn noisy(seed: u64, len: usize, level: impl Fn(usize) -> f64) -> Vec<Option<f64>> {
    let mut noise = Noise::new(seed);
    (0..len).map(|i| Some(level(i) + noise.normal())).collect()
}

fn indices(series: &[Option<f64>]) -> Vec<usize> {
    change_points(series).iter().map(|point| point.index).collect()
}

proptest! {
    #[test]
    fn a_step_is_found_within_a_minute(seed in 0_u64..10_000, at in 8_usize..80, up in any::<bool>()) {
        let height = if up { 12.0 } else { -12.0 };
        let series = noisy(seed, 90, |i| if i < at { 40.0 } else { 40.0 + height });
        let found = change_points(&series);
        let hit = found.iter().find(|p| p.index.abs_diff(at) <= 1);
        prop_assert!(hit.is_some(), "step at {at} not among {found:?}");
        prop_assert!(hit.is_some_and(|p| p.low <= p.index && p.index <= p.high));
        prop_assert!(found.len() <= 2, "{found:?}");
    }

    #[test]
    fn shift_and_scale_change_nothing(
        seed in 0_u64..10_000, at in 8_usize..50, scale in 1e-3_f64..1e3, shift in -1e4_f64..1e4,
    ) {
        let series = noisy(seed, 60, |i| if i < at { 0.0 } else { 15.0 });
        let moved: Vec<_> = series.iter().map(|v| v.map(|v| v * scale + shift * scale)).collect();
        prop_assert_eq!(indices(&series), indices(&moved));
    }

    #[test]
    fn any_numbers_are_taken_calmly(series in prop::collection::vec(prop::option::of(any::<f64>()), 0..60)) {
        for point in change_points(&series) {
            prop_assert!(point.low <= point.index && point.index < series.len());
        }
    }
}

#[test]
fn noise_alone_rarely_looks_like_a_change() {
    let alarms = |series: &dyn Fn(u64) -> Vec<Option<f64>>| {
        (0..400).filter(|seed| !change_points(&series(*seed)).is_empty()).count()
    };
    let counts = |name: &str, alarms: usize, most: usize| {
        assert!(alarms <= most, "{alarms} of 400 {name} series");
    };
    let normal = alarms(&|seed| noisy(seed, 90, |_| 5.0));
    counts("normal", normal, 8);
    // A few failures now and then: most minutes 0, one in ten something.
    let sparse = alarms(&|seed| {
        let mut noise = Noise::new(seed);
        (0..90).map(|_| Some(if noise.uniform() < 0.1 { noise.uniform() } else { 0.0 })).collect()
    });
    counts("sparse", sparse, 20);
    // Heavy tails, as latency percentiles have.
    let heavy = alarms(&|seed| {
        let mut noise = Noise::new(seed);
        (0..90).map(|_| Some((noise.normal() * 0.8).exp())).collect()
    });
    counts("heavy-tailed", heavy, 20);
}

#[test]
fn constant_background_errors_are_no_change_but_a_rise_is() {
    let background = noisy(7, 90, |_| 30.0);
    assert!(change_points(&background).is_empty());
    let rise = noisy(7, 90, |i| if i < 60 { 30.0 } else { 60.0 });
    assert_eq!(indices(&rise), [60]);
}

#[test]
fn an_outage_that_ends_has_two_changes() {
    let series = noisy(3, 120, |i| if (50..80).contains(&i) { 20.0 } else { 0.0 });
    assert_eq!(indices(&series), [50, 80]);
}

#[test]
fn a_step_from_exact_zeros_is_found() {
    let series: Vec<_> = (0..60).map(|i| Some(if i < 57 { 0.0 } else { 0.14 })).collect();
    let found = change_points(&series);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].index, found[0].before, found[0].after), (57, 0.0, 0.14));
}

#[test]
fn lone_spikes_are_not_levels() {
    let series = noisy(11, 90, |i| if i == 40 { 80.0 } else { 0.0 });
    assert!(change_points(&series).is_empty());
}

#[test]
fn a_gap_widens_the_interval() {
    let mut series = noisy(5, 60, |i| if i < 35 { 0.0 } else { 20.0 });
    series[30..35].fill(None);
    let found = change_points(&series);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].low, found[0].index), (30, 35));
}

#[test]
fn few_or_constant_points_say_nothing() {
    for series in
        [vec![], vec![Some(1.0)], vec![Some(0.0), Some(9.0), Some(9.0)], vec![Some(4.2); 60], vec![None; 60]]
    {
        assert!(change_points(&series).is_empty());
    }
}
