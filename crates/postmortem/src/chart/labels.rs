//! Keeping labels from lying on each other.

/// Rough width of a text at 11 px, for layout only; wide scripts and emoji count double.
pub(super) fn text_width(text: &str) -> f64 {
    text.chars().map(|c| if (c as u32) < 0x1100 { 6.3 } else { 11.0 }).sum()
}

/// Moves wished heights apart by at least `gap`, in order, within `top..=bottom` as far as there is room.
pub(super) fn spread(wishes: &[f64], gap: f64, top: f64, bottom: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wishes.len()).collect();
    order.sort_by(|a, b| wishes[*a].total_cmp(&wishes[*b]));
    let mut placed = vec![0.0; wishes.len()];
    let mut floor = top;
    for index in &order {
        placed[*index] = wishes[*index].max(floor);
        floor = placed[*index] + gap;
    }
    let mut ceiling = bottom;
    for index in order.iter().rev() {
        placed[*index] = placed[*index].min(ceiling);
        ceiling = placed[*index] - gap;
    }
    placed
}

/// The first row in which `start..end` is free; takes it. Beyond `rows` nothing is taken.
pub(super) fn free_row(rows: &mut Vec<f64>, limit: usize, start: f64, end: f64) -> Option<usize> {
    if let Some(row) = rows.iter().position(|taken| *taken <= start) {
        rows[row] = end;
        return Some(row);
    }
    if rows.len() < limit {
        rows.push(end);
        return Some(rows.len() - 1);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_keep_their_distance_and_their_order() {
        assert_eq!(spread(&[10.0, 12.0, 100.0], 14.0, 0.0, 200.0), [10.0, 24.0, 100.0]);
        assert_eq!(spread(&[198.0, 199.0], 14.0, 0.0, 200.0), [186.0, 200.0]);
    }
}
