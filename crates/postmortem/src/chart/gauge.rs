use std::fmt::Write as _;

use super::escape;
use super::unit::significant;

const WIDTH: f64 = 96.0;
const HEIGHT: f64 = 16.0;
const PAD: f64 = 3.0;

/// A word-sized bar: a value against the thresholds it is judged by, drawn as ticks. An unknown value leaves the bar
/// out, it is not zero. `class` colours the bar (`ok`, `warn`, `bad`).
pub fn gauge(value: Option<f64>, fire: f64, recover: Option<f64>, class: &str) -> String {
    let value = value.filter(|value| value.is_finite());
    let marks: Vec<f64> = [Some(fire), recover].into_iter().flatten().filter(|m| m.is_finite()).collect();
    let seen = || marks.iter().copied().chain(value);
    let low = seen().fold(0.0, f64::min);
    let high = seen().fold(0.0, f64::max);
    let span = if high > low { (high - low) * 1.1 } else { 1.0 };
    let x = |at: f64| PAD + (at - low) / span * (WIDTH - 2.0 * PAD);
    let said = value.map_or_else(|| "unknown".to_owned(), significant);
    let against: Vec<String> = marks.iter().map(|mark| significant(*mark)).collect();
    let title = escape(&format!("{said} against {}", against.join(" and ")));
    let mut svg = format!(
        r#"<svg class="gauge {}" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{title}"><title>{title}</title><path class="base" d="M{PAD} 8H{:.1}"/>"#,
        escape(class),
        WIDTH - PAD
    );
    if let Some(value) = value {
        let (start, end) = (x(0.0_f64.min(value)), x(0.0_f64.max(value)));
        let _ = write!(
            svg,
            r#"<rect x="{start:.1}" y="5.5" width="{:.1}" height="5"/><circle cx="{:.1}" cy="8" r="2.5"/>"#,
            end - start,
            x(value)
        );
    }
    for (index, mark) in marks.iter().enumerate() {
        let (top, bottom) = if index == 0 { (1, 15) } else { (3, 13) };
        let _ = write!(svg, r#"<path class="mark" d="M{:.1} {top}V{bottom}"/>"#, x(*mark));
    }
    svg.push_str("</svg>");
    svg
}

/// A word-sized bar of a share from 0 to 1: what is left of something. Below zero it is empty and crossed out,
/// unknown is a dashed outline.
pub fn share_bar(share: Option<f64>, class: &str) -> String {
    let share = share.filter(|share| share.is_finite());
    let title = share.map_or_else(|| "unknown".to_owned(), |share| super::Unit::Percent.format(share));
    let inner = WIDTH - 2.0 * PAD;
    let outline = if share.is_none() { "base none" } else { "base" };
    let mut svg = format!(
        r#"<svg class="gauge {}" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{title}"><title>{title}</title><path class="{outline}" d="M{PAD} 4h{inner}v8h-{inner}z"/>"#,
        escape(class)
    );
    match share {
        Some(share) if share > 0.0 => {
            let _ =
                write!(svg, r#"<rect x="{PAD}" y="4" width="{:.1}" height="8"/>"#, inner * share.min(1.0));
        }
        Some(_) => {
            let _ = write!(svg, r#"<path class="mark" d="M{PAD} 12L{:.1} 4"/>"#, WIDTH - PAD);
        }
        None => {}
    }
    svg.push_str("</svg>");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_value_has_no_bar_and_the_thresholds_stay() {
        let known = gauge(Some(0.95), 0.9, Some(0.75), "bad");
        assert!(known.contains("<rect") && known.contains("0.95 against 0.9 and 0.75"), "{known}");
        let unknown = gauge(None, 0.9, Some(0.75), "unknown");
        assert!(!unknown.contains("<rect") && unknown.matches(r#"class="mark""#).count() == 2, "{unknown}");
        assert!(!share_bar(None, "unknown").contains("<rect"));
        assert!(share_bar(Some(0.61), "ok").contains("61 %"));
        assert!(!share_bar(Some(-0.5), "bad").contains("<rect"), "nothing is left of an overspent budget");
    }
}
