use super::Context;

pub(super) fn check(context: &mut Context<'_>) {
    let document = context.document;
    let lessons = document.lessons();
    let items = document.actions().map(|table| table.items).unwrap_or_default();
    let section = context.line_of_section("Lessons");
    if lessons.is_empty() {
        context.report("L1", section, "there are no numbered lessons");
    }
    for lesson in &lessons {
        if lesson.actions.is_empty() {
            context.report("L1", lesson.line, format!("{} leads to no action", lesson.id));
        }
        for action in &lesson.actions {
            match items.iter().find(|item| item.id == *action) {
                None => context.report(
                    "L1",
                    lesson.line,
                    format!("{} names {action}, which is not in the table", lesson.id),
                ),
                Some(item) if !item.lessons.contains(&lesson.id) => {
                    let message =
                        format!("{} names {action}, but {action} does not name {}", lesson.id, lesson.id);
                    context.report("L1", item.line, message);
                }
                Some(_) => {}
            }
        }
        let text = lesson.text.to_lowercase();
        if let Some(service) =
            document.front.services.iter().find(|service| text.contains(&service.to_lowercase()))
        {
            context.report("L2", lesson.line, format!("{} names our service `{service}`", lesson.id));
        }
    }
    for item in &items {
        for name in item.lessons.iter().filter(|name| !lessons.iter().any(|lesson| lesson.id == **name)) {
            context.report(
                "L1",
                item.line,
                format!("{} names {name}, which is not among the lessons", item.id),
            );
        }
        for lesson in lessons.iter().filter(|lesson| item.lessons.contains(&lesson.id)) {
            if !lesson.actions.contains(&item.id) {
                let message =
                    format!("{} names {}, but {} does not name {}", item.id, lesson.id, lesson.id, item.id);
                context.report("L1", lesson.line, message);
            }
        }
    }
}
