use super::{InstanceState, is_alerting};
use crate::rule::Flapping;

/// Notes whether the instance is alerting now and decides anew whether it flaps. Returns whether flapping begins
/// with this tick.
pub(super) fn observe(flapping: Option<&Flapping>, state: &mut InstanceState) -> bool {
    let Some(flapping) = flapping else {
        state.flapping = false;
        return false;
    };
    state.history = state.history << 1 | u32::from(is_alerting(state.inner));
    let percent = changes_percent(state.history, flapping.window);
    let before = state.flapping;
    state.flapping = if before { percent > flapping.low } else { percent >= flapping.high };
    state.flapping && !before
}

/// Weighted changes among the last `window` states, in per cent of as many changes as there could be. The weight
/// grows from 0.75 for the oldest change to 1.25 for the newest. States before the first are inactive.
pub(super) fn changes_percent(history: u32, window: u8) -> f64 {
    let pairs = u32::from(window.saturating_sub(1));
    let mut weighted = 0.0;
    for age in 0..pairs {
        let changed = (history >> age & 1) != (history >> (age + 1) & 1);
        if changed {
            let place = f64::from(pairs - 1 - age);
            weighted += 0.75 + place * 0.5 / f64::from(pairs.max(2) - 1);
        }
    }
    weighted * 100.0 / f64::from(pairs.max(1))
}
