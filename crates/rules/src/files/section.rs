use std::time::Duration;

use hindsight_model::parse_duration;

use super::sink::Sink;
use super::suggest::nearest;
use super::yaml::{Key, Node, Place, Value};

/// A map of which every key is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section<'a> {
    entries: &'a [(Key, Node)],
    pub(super) place: Place,
}

impl<'a> Section<'a> {
    /// Takes a node for a map; unknown keys are errors with the key that was probably meant. `None` when it is no
    /// map at all.
    pub(super) fn read(node: &'a Node, what: &str, known: &[&str], sink: &mut Sink) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            let message = format!("{what} must be a map, not {}", node.kind());
            sink.error(node.place, message, format!("write it with the keys {}", known.join(", ")));
            return None;
        };
        for (key, _) in entries {
            if !known.contains(&key.name.as_str()) {
                let hint = match nearest(&key.name, known) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("it may have {}", known.join(", ")),
                };
                sink.error(key.place, format!("{what} has no key `{}`", key.name), hint);
            }
        }
        Some(Self { entries, place: node.place })
    }

    /// The value of a key, unless it is absent or null.
    pub(super) fn get(&self, key: &str) -> Option<&'a Node> {
        self.entries.iter().find(|(k, _)| k.name == key).map(|(_, node)| node).filter(|node| !is_null(node))
    }

    /// Where the key stands, or the section when it is not there.
    pub(super) fn place_of(&self, key: &str) -> Place {
        self.entries.iter().find(|(k, _)| k.name == key).map_or(self.place, |(k, _)| k.place)
    }

    pub(super) fn text(&self, key: &str, sink: &mut Sink) -> Option<String> {
        let node = self.get(key)?;
        let text = node.as_text();
        if text.is_none() {
            let message = format!("`{key}` must be text, not {}", node.kind());
            sink.error(node.place, message, format!("write `{key}: some text`"));
        }
        text
    }

    pub(super) fn required_text(&self, key: &str, what: &str, sink: &mut Sink) -> Option<String> {
        if self.get(key).is_none() {
            sink.error(self.place, format!("{what} has no `{key}`"), format!("add `{key}:`"));
            return None;
        }
        let text = self.text(key, sink)?;
        if text.trim().is_empty() {
            sink.error(self.place_of(key), format!("`{key}` is empty"), "write something, or leave it out");
            return None;
        }
        Some(text)
    }

    pub(super) fn duration(&self, key: &str, sink: &mut Sink) -> Option<Duration> {
        let node = self.get(key)?;
        let text = node.as_text().unwrap_or_default();
        match parse_duration(&text) {
            Ok(duration) => Some(duration),
            Err(error) => {
                sink.error(node.place, format!("`{key}`: {error}"), format!("for example `{key}: 5m`"));
                None
            }
        }
    }

    pub(super) fn number(&self, key: &str, sink: &mut Sink) -> Option<f64> {
        let node = self.get(key)?;
        let number = node.as_number().filter(|number| number.is_finite());
        if number.is_none() {
            let found = node.as_text().unwrap_or_else(|| node.kind().to_owned());
            sink.error(
                node.place,
                format!("`{key}` must be a number, not `{found}`"),
                "write it without quotes",
            );
        }
        number
    }

    /// A whole number from `least` to `most`.
    pub(super) fn count(&self, key: &str, least: u32, most: u32, sink: &mut Sink) -> Option<u32> {
        let node = self.get(key)?;
        let count = match node.value {
            Value::Int(number) => u32::try_from(number).ok().filter(|n| (least..=most).contains(n)),
            _ => None,
        };
        if count.is_none() {
            let found = node.as_text().unwrap_or_else(|| node.kind().to_owned());
            let message = format!("`{key}` must be a whole number from {least} to {most}, not `{found}`");
            sink.error(node.place, message, format!("write `{key}: {least}` or more"));
        }
        count
    }

    pub(super) fn flag(&self, key: &str, sink: &mut Sink) -> Option<bool> {
        let node = self.get(key)?;
        if let Value::Bool(flag) = node.value {
            return Some(flag);
        }
        sink.error(node.place, format!("`{key}` must be true or false"), format!("write `{key}: true`"));
        None
    }

    /// One of some words.
    pub(super) fn word<T: Copy>(&self, key: &str, words: &[(&str, T)], sink: &mut Sink) -> Option<T> {
        let node = self.get(key)?;
        let text = node.as_text().unwrap_or_default();
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let hint = match nearest(&text, &known) {
                Some(meant) if !text.is_empty() => format!("did you mean `{meant}`?"),
                _ => format!("write one of {}", known.join(", ")),
            };
            let found = if text.is_empty() { node.kind().to_owned() } else { format!("`{text}`") };
            sink.error(node.place, format!("`{key}` cannot be {found}"), hint);
        }
        found
    }

    /// One of some words, unless the key is absent.
    pub(super) fn word_if_any<T: Copy>(&self, key: &str, words: &[(&str, T)], sink: &mut Sink) -> Option<T> {
        self.get(key).and_then(|_| self.word(key, words, sink))
    }

    pub(super) fn list(&self, key: &str, sink: &mut Sink) -> &'a [Node] {
        match self.get(key) {
            None => &[],
            Some(Node { value: Value::List(items), .. }) => items,
            Some(node) => {
                let message = format!("`{key}` must be a list, not {}", node.kind());
                sink.error(node.place, message, "begin each item with `- `");
                &[]
            }
        }
    }

    /// A map of texts, with where each value stands.
    pub(super) fn texts(&self, key: &str, sink: &mut Sink) -> Vec<(&'a Key, String, Place)> {
        let Some(node) = self.get(key) else {
            return Vec::new();
        };
        let Value::Map(entries) = &node.value else {
            sink.error(
                node.place,
                format!("`{key}` must be a map, not {}", node.kind()),
                "write `name: value`",
            );
            return Vec::new();
        };
        let mut texts = Vec::new();
        for (name, value) in entries {
            match scalar_or_list(value) {
                Some(text) => texts.push((name, text, value.place)),
                None => {
                    let message = format!("`{key}.{}` must be text, not {}", name.name, value.kind());
                    sink.error(value.place, message, "write `name: value`");
                }
            }
        }
        texts
    }
}

/// OpenSLO's labels may be lists; they become one text.
fn scalar_or_list(node: &Node) -> Option<String> {
    match &node.value {
        Value::List(items) => {
            items.iter().map(Node::as_text).collect::<Option<Vec<_>>>().map(|texts| texts.join(","))
        }
        _ => node.as_text(),
    }
}

fn is_null(node: &Node) -> bool {
    matches!(node.value, Value::Null)
}
