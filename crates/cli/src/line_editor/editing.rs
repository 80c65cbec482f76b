//! What each key does to the text, decided without a terminal.

use crate::line_editor::buffer::{Buffer, is_word};
use crate::line_editor::history::History;
use crate::line_editor::keys::Key;
use crate::line_editor::picture::{self, Picture};
use crate::line_editor::{Language, Prompt, Typed};

/// What a tab is where no name is to be finished.
const INDENT: &str = "  ";
/// Longest text; what is typed beyond it is not taken.
const TEXT_BYTES_MAX: usize = 1 << 20;
/// Most names shown at a time.
const SHOWN_MAX: usize = 60;

/// What a key asks of the terminal, besides painting the text anew.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Nothing,
    Clear,
    Show(Vec<String>),
    End(Typed),
}

/// A text while it is typed.
#[derive(Debug, Default)]
pub(super) struct Editing {
    buffer: Buffer,
    /// The entry of the history that is shown, and what was typed before it was.
    past: Option<(usize, Buffer)>,
    /// The words looked for in the history, while they are typed.
    search: Option<String>,
    deleted: String,
}

impl Editing {
    /// Does what the key says.
    pub(super) fn press(&mut self, key: Key, history: &History, language: &dyn Language) -> Effect {
        if let Some(effect) = self.press_in_search(key, history) {
            return effect;
        }
        match key {
            Key::Char(c) => self.insert(c.encode_utf8(&mut [0; 4])),
            Key::Enter => {
                if language.is_whole(self.buffer.text()) {
                    return Effect::End(Typed::Text(self.buffer.text().to_owned()));
                }
                self.insert("\n");
            }
            Key::Tab => return self.complete(language),
            Key::Up | Key::Down => self.up_or_down(key, history),
            Key::Search => self.search = Some(String::new()),
            Key::ClearScreen => return Effect::Clear,
            Key::Interrupt => return Effect::End(Typed::Interrupted),
            Key::EndOfInput if self.buffer.text().is_empty() => return Effect::End(Typed::End),
            other => self.move_or_delete(other),
        }
        Effect::Nothing
    }

    /// The same with the cursor behind the text and no search.
    pub(super) fn at_end(&self) -> Self {
        Self { buffer: Buffer::new(self.buffer.text()), ..Self::default() }
    }

    pub(super) fn picture(&self, prompt: Prompt, columns: usize) -> Picture {
        match &self.search {
            Some(wanted) => {
                let found = self.buffer.text().replace('\n', " ");
                let line = Buffer::new(&format!("search `{wanted}`: {found}"));
                picture::paint(Prompt { first: "", next: "" }, &line, columns)
            }
            None => picture::paint(prompt, &self.buffer, columns),
        }
    }

    fn insert(&mut self, text: &str) {
        if self.buffer.text().len() + text.len() <= TEXT_BYTES_MAX {
            self.buffer.insert(text);
        }
    }

    fn move_or_delete(&mut self, key: Key) {
        let buffer = &mut self.buffer;
        match key {
            Key::Left => buffer.go_to(buffer.left()),
            Key::Right => buffer.go_to(buffer.right()),
            Key::WordLeft => buffer.go_to(buffer.word_left()),
            Key::WordRight => buffer.go_to(buffer.word_right()),
            Key::Home => buffer.go_to(buffer.line_start()),
            Key::End => buffer.go_to(buffer.line_end()),
            Key::Backspace => drop(buffer.delete_to(buffer.left())),
            Key::Delete | Key::EndOfInput => drop(buffer.delete_to(buffer.right())),
            Key::DeleteWord => self.deleted = buffer.delete_to(buffer.word_left()),
            Key::DeleteToStart => self.deleted = buffer.delete_to(buffer.line_start()),
            Key::DeleteToEnd => self.deleted = buffer.delete_to(buffer.line_end()),
            Key::PutBack => {
                let deleted = self.deleted.clone();
                self.insert(&deleted);
            }
            _ => {}
        }
    }

    /// Within the text as long as there is a line, then through the history.
    fn up_or_down(&mut self, key: Key, history: &History) {
        let within = if key == Key::Up { self.buffer.up() } else { self.buffer.down() };
        if let Some(place) = within {
            self.buffer.go_to(place);
            return;
        }
        let shown = self.past.as_ref().map(|(place, _)| *place);
        let wanted = match (key, shown) {
            (Key::Up, None) => history.len().checked_sub(1),
            (Key::Up, Some(place)) => place.checked_sub(1),
            (_, None) => None,
            (_, Some(place)) => Some(place + 1),
        };
        let Some(wanted) = wanted else { return };
        let draft = self.past.take().map_or_else(|| self.buffer.clone(), |(_, draft)| draft);
        match history.get(wanted) {
            Some(entry) => {
                self.buffer = Buffer::new(entry);
                self.past = Some((wanted, draft));
            }
            None => self.buffer = draft,
        }
    }

    /// What a key does while something is looked for in the history; `None` when it means what it always does.
    fn press_in_search(&mut self, key: Key, history: &History) -> Option<Effect> {
        let wanted = self.search.as_mut()?;
        let shown = self.past.as_ref().map_or(history.len(), |(place, _)| *place);
        let before = match key {
            Key::Char(c) => {
                wanted.push(c);
                shown.saturating_add(1)
            }
            Key::Backspace => {
                wanted.pop();
                history.len()
            }
            Key::Search => shown,
            _ => {
                self.search = None;
                return None;
            }
        };
        if let Some(place) = history.find_before(before, wanted) {
            let draft = self.past.take().map_or_else(|| self.buffer.clone(), |(_, draft)| draft);
            self.buffer = Buffer::new(history.get(place).unwrap_or_default());
            self.past = Some((place, draft));
        }
        Some(Effect::Nothing)
    }

    /// Finishes the word before the cursor as far as all names that begin so agree.
    fn complete(&mut self, language: &dyn Language) -> Effect {
        let before = self.buffer.before();
        let typed = before.len() - before.trim_end_matches(is_word).len();
        if typed == 0 && !before.ends_with('\\') {
            self.insert(INDENT);
            return Effect::Nothing;
        }
        let names = language.completions(before);
        let Some(common) = common_start(&names) else { return Effect::Nothing };
        if let [name] = names.as_slice() {
            let rest = format!("{} ", name.get(typed..).unwrap_or(""));
            self.insert(&rest);
        } else if common > typed {
            let rest = names[0].get(typed..common).unwrap_or("").to_owned();
            self.insert(&rest);
        } else {
            return Effect::Show(names.into_iter().take(SHOWN_MAX).collect());
        }
        Effect::Nothing
    }
}

/// How many bytes all begin with; `None` when there are none.
fn common_start(names: &[String]) -> Option<usize> {
    let (first, others) = names.split_first()?;
    let common = |name: &String| {
        let same = first.char_indices().zip(name.chars()).find(|((_, a), b)| a != b);
        same.map_or(first.len().min(name.len()), |((place, _), _)| place)
    };
    Some(others.iter().map(common).min().unwrap_or(first.len()))
}

#[cfg(test)]
mod tests;
