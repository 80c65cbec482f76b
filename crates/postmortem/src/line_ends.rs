//! Line ends of texts that come back from a form.

/// An edit as it came from a browser's form, with the line ends of the text that it began from: forms send every line
/// end as CR LF. Lines before the first and after the last changed one keep their bytes; changed ones end as most
/// lines of the text do.
pub fn with_line_ends_of(base: &str, edited: &str) -> String {
    let old: Vec<(&str, &str)> = base.split_inclusive('\n').map(line_and_end).collect();
    let new: Vec<(&str, &str)> = edited.split_inclusive('\n').map(line_and_end).collect();
    let same =
        |(old, new): &(&(&str, &str), &(&str, &str))| old.0 == new.0 && old.1.is_empty() == new.1.is_empty();
    let before = old.iter().zip(&new).take_while(same).count();
    let after = old[before..].iter().rev().zip(new[before..].iter().rev()).take_while(same).count();
    let crlf = old.iter().filter(|(_, end)| *end == "\r\n").count();
    let usual = if crlf * 2 > old.len() { "\r\n" } else { "\n" };
    let mut out = String::with_capacity(edited.len());
    for (line, end) in &old[..before] {
        out.push_str(line);
        out.push_str(end);
    }
    for (line, end) in &new[before..new.len() - after] {
        out.push_str(line);
        out.push_str(if end.is_empty() { "" } else { usual });
    }
    for (line, end) in &old[old.len() - after..] {
        out.push_str(line);
        out.push_str(end);
    }
    out
}

fn line_and_end(line: &str) -> (&str, &str) {
    let bare = line.strip_suffix('\n').map_or(line, |bare| bare.strip_suffix('\r').unwrap_or(bare));
    (bare, &line[bare.len()..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A text with line ends of both kinds, with or without one at its end.
    fn text() -> impl Strategy<Value = Vec<(String, &'static str)>> {
        let line = ("[a-c ]{0,3}", prop_oneof![3 => Just("\n"), 1 => Just("\r\n")]);
        (prop::collection::vec(line, 1..12), any::<bool>()).prop_map(|(mut lines, open)| {
            if open && let Some(last) = lines.last_mut() {
                last.1 = "";
            }
            lines
        })
    }

    fn joined(lines: &[(String, &'static str)]) -> String {
        lines.iter().map(|(line, end)| format!("{line}{end}")).collect()
    }

    proptest! {
        #[test]
        fn a_form_changes_the_bytes_of_the_changed_lines_alone(
            lines in text(), at in any::<prop::sample::Index>(), new in "[d-f]{1,3}",
        ) {
            let base = joined(&lines);
            let as_sent = |lines: &[(String, &'static str)]| joined(lines).replace("\r\n", "\n").replace('\n', "\r\n");
            prop_assert_eq!(with_line_ends_of(&base, &as_sent(&lines)), base.clone());
            let mut edited = lines.clone();
            let at = at.index(edited.len());
            edited[at].0 = new;
            let taken = with_line_ends_of(&base, &as_sent(&edited));
            let before = joined(&edited[..at]);
            let after = joined(&edited[at + 1..]);
            prop_assert!(taken.starts_with(&before) && taken.ends_with(&after), "{:?} {:?}", base, taken);
            prop_assert_eq!(taken.replace("\r\n", "\n"), joined(&edited).replace("\r\n", "\n"));
        }
    }
}
