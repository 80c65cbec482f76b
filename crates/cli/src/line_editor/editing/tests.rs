use proptest::prelude::*;

use super::*;

/// Whole with a `;`; a few names.
struct Toy;

impl Language for Toy {
    fn is_whole(&self, text: &str) -> bool {
        text.ends_with(';')
    }

    fn completions(&self, before: &str) -> Vec<String> {
        let word = &before[before.trim_end_matches(is_word).len()..];
        let names = ["spans", "span_events", "logs"];
        names.into_iter().filter(|name| name.starts_with(word)).map(str::to_owned).collect()
    }
}

fn history() -> History {
    let mut history = History::in_memory();
    for entry in ["SELECT 1;", "SELECT 2\nFROM spans;", "\\d"] {
        history.add(entry);
    }
    history
}

fn typed(text: &str) -> Vec<Key> {
    text.chars().map(Key::Char).collect()
}

fn press(editing: &mut Editing, keys: &[Key]) -> Effect {
    keys.iter().fold(Effect::Nothing, |_, key| editing.press(*key, &history(), &Toy))
}

#[test]
fn enter_ends_a_statement_that_is_whole_and_goes_on_below_otherwise() {
    let mut editing = Editing::default();
    assert_eq!(press(&mut editing, &typed("SELECT")), Effect::Nothing);
    assert_eq!(press(&mut editing, &[Key::Enter]), Effect::Nothing);
    press(&mut editing, &typed("1;"));
    assert_eq!(press(&mut editing, &[Key::Enter]), Effect::End(Typed::Text("SELECT\n1;".into())));
}

#[test]
fn keys_edit_around_the_cursor() {
    let mut editing = Editing::default();
    press(&mut editing, &typed("one two three"));
    press(&mut editing, &[Key::WordLeft, Key::DeleteWord, Key::End, Key::PutBack]);
    assert_eq!(editing.buffer.text(), "one threetwo ");
    press(&mut editing, &[Key::Home, Key::Delete, Key::Right, Key::Backspace]);
    assert_eq!(editing.buffer.text(), "e threetwo ");
    press(&mut editing, &[Key::DeleteToEnd, Key::Char('x')]);
    assert_eq!(editing.buffer.text(), "x");
}

#[test]
fn up_walks_through_lines_then_through_history_and_back_to_what_was_typed() {
    let mut editing = Editing::default();
    press(&mut editing, &typed("draft"));
    press(&mut editing, &[Key::Up, Key::Up]);
    assert_eq!(editing.buffer.text(), "SELECT 2\nFROM spans;");
    press(&mut editing, &[Key::Up]);
    assert_eq!(editing.buffer.text(), "SELECT 2\nFROM spans;", "the cursor goes up within the text first");
    press(&mut editing, &[Key::Up]);
    assert_eq!(editing.buffer.text(), "SELECT 1;");
    press(&mut editing, &[Key::Up, Key::Down, Key::Down, Key::Down]);
    assert_eq!(editing.buffer.text(), "draft");
}

#[test]
fn a_search_finds_older_entries_each_time() {
    let mut editing = Editing::default();
    press(&mut editing, &[Key::Search]);
    press(&mut editing, &typed("sel"));
    assert_eq!(editing.buffer.text(), "SELECT 2\nFROM spans;");
    press(&mut editing, &[Key::Search]);
    assert_eq!(editing.buffer.text(), "SELECT 1;");
    assert_eq!(press(&mut editing, &[Key::Enter]), Effect::End(Typed::Text("SELECT 1;".into())));
}

#[test]
fn a_tab_finishes_what_is_clear_and_shows_what_is_not() {
    let mut editing = Editing::default();
    press(&mut editing, &typed("FROM lo"));
    press(&mut editing, &[Key::Tab]);
    assert_eq!(editing.buffer.text(), "FROM logs ");
    press(&mut editing, &typed(", s"));
    press(&mut editing, &[Key::Tab]);
    assert_eq!(editing.buffer.text(), "FROM logs , span");
    assert_eq!(press(&mut editing, &[Key::Tab]), Effect::Show(vec!["spans".into(), "span_events".into()]));
}

#[test]
fn control_c_throws_away_and_control_d_leaves_only_an_empty_line() {
    let mut editing = Editing::default();
    assert_eq!(press(&mut editing, &[Key::EndOfInput]), Effect::End(Typed::End));
    press(&mut editing, &[Key::Char('a'), Key::Left, Key::EndOfInput, Key::Char('b')]);
    assert_eq!(editing.buffer.text(), "b");
    assert_eq!(press(&mut editing, &[Key::Interrupt]), Effect::End(Typed::Interrupted));
}

fn key() -> impl Strategy<Value = Key> {
    prop_oneof![
        4 => "[a-zä日 ]".prop_map(|text| Key::Char(text.chars().next().unwrap_or('x'))),
        3 => proptest::sample::select(vec![
            Key::Enter, Key::Tab, Key::Left, Key::Right, Key::WordLeft, Key::WordRight, Key::Up, Key::Down,
            Key::Home, Key::End, Key::Backspace, Key::Delete, Key::DeleteWord, Key::DeleteToStart,
            Key::DeleteToEnd, Key::PutBack, Key::Search, Key::ClearScreen, Key::EndOfInput, Key::Other,
        ]),
    ]
}

proptest! {
    #[test]
    fn the_cursor_stays_inside_whatever_is_pressed(keys in proptest::collection::vec(key(), 0..60)) {
        let (mut editing, history) = (Editing::default(), history());
        for key in keys {
            editing.press(key, &history, &Toy);
            let whole = format!("{}{}", editing.buffer.before(), editing.buffer.after());
            prop_assert_eq!(whole, editing.buffer.text());
            let picture = editing.picture(Prompt { first: "> ", next: ". " }, 20);
            prop_assert!(picture.row < picture.rows.len());
        }
    }
}
