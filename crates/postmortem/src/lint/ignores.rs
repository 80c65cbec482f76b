use super::{Context, rules};

/// Rules silenced with a reason; an ignore without one, or of no rule, is reported (LI1).
pub(super) fn check(context: &mut Context<'_>) -> Vec<&'static str> {
    let document = context.document;
    let mut ids = Vec::new();
    let front = document.front_text().lines().enumerate().map(|(index, line)| (index + 1, line));
    let lines: Vec<(usize, &str)> = front.chain(document.lines()).collect();
    for (line, text) in lines {
        let Some((before, rest)) = text.split_once("lint-ignore:") else { continue };
        if !(before.trim_end().ends_with("<!--") || before.trim_start().starts_with('#')) {
            continue;
        }
        let mut words = rest.trim_end().trim_end_matches("-->").split_whitespace();
        let id = words.next().unwrap_or_default();
        match rules::rules().iter().find(|rule| rule.id == id) {
            None => context.report("LI1", line, format!("`{id}` is not a rule")),
            Some(rule) if rule.id == "LI1" => context.report("LI1", line, "this rule cannot be ignored"),
            Some(_) if words.next().is_none() => {
                context.report("LI1", line, format!("{id} is ignored without a reason"));
            }
            Some(rule) => ids.push(rule.id),
        }
    }
    ids
}
