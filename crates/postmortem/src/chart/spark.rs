use std::fmt::Write as _;

use super::unit::significant;
use super::{colour_class, escape, shorten};

const WIDTH: f64 = 96.0;
const HEIGHT: f64 = 24.0;
const PAD: f64 = 2.5;
/// Points of a sparkline; of more, the last ones are drawn.
const MAX_POINTS: usize = 240;

/// A word-sized line with a `<title>`; gaps stay gaps, no points at all is a dash with the words "no data".
pub fn sparkline(name: &str, points: &[Option<f64>]) -> String {
    let points = &points[points.len().saturating_sub(MAX_POINTS)..];
    let known: Vec<f64> = points.iter().flatten().copied().filter(|v| v.is_finite()).collect();
    let title = escape(&describe(name, &known));
    let mut svg = format!(
        r#"<svg class="spark {class}" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{title}"><title>{title}</title>"#,
        class = colour_class(name),
    );
    if known.is_empty() {
        let _ = write!(svg, r#"<path class="none" d="M{PAD} 12H{:.1}"/></svg>"#, WIDTH - PAD);
        return svg;
    }
    let low = known.iter().copied().fold(f64::INFINITY, f64::min).min(0.0);
    let high = known.iter().copied().fold(f64::NEG_INFINITY, f64::max).max(0.0);
    let height = if high > low { high - low } else { 1.0 };
    let step = (WIDTH - 2.0 * PAD) / (points.len().max(2) - 1) as f64;
    let mut path = String::new();
    let mut pen_down = false;
    let mut end = (PAD, HEIGHT - PAD);
    for (index, point) in points.iter().enumerate() {
        let Some(value) = point.filter(|v| v.is_finite()) else {
            pen_down = false;
            continue;
        };
        end = (PAD + step * index as f64, HEIGHT - PAD - (value - low) / height * (HEIGHT - 2.0 * PAD));
        // A zero-length line under a round cap is a dot, so a value alone between gaps is still seen.
        let _ = write!(path, "{}{:.1} {:.1}", if pen_down { "L" } else { "M" }, end.0, end.1);
        if !pen_down {
            path.push_str("h0");
        }
        pen_down = true;
    }
    let _ = write!(svg, r#"<path d="{path}"/><circle cx="{:.1}" cy="{:.1}" r="2"/></svg>"#, end.0, end.1);
    svg
}

fn describe(name: &str, known: &[f64]) -> String {
    let name = shorten(name, 80);
    match known.last() {
        None => format!("{name}: no data"),
        Some(last) => {
            let low = known.iter().copied().fold(f64::INFINITY, f64::min);
            let high = known.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            format!(
                "{name}: now {}, lowest {}, highest {}",
                significant(*last),
                significant(low),
                significant(high)
            )
        }
    }
}
