//! Names that one OpenSLO document gives of another.

use super::openslo::{Document, Kind};
use super::section::Section;
use super::sink::Sink;
use super::suggest::nearest;
use super::yaml::{Node, Place, Value};

/// The document of a kind that a name stands for; a name that stands for none is an error with the nearest one.
pub(super) fn find<'d, 'a>(
    all: &'d [Document<'a>],
    kind: Kind,
    name: &str,
    place: Place,
    sink: &mut Sink,
) -> Option<&'d Document<'a>> {
    let found = all.iter().find(|document| document.kind == kind && document.name == name);
    if found.is_none() {
        let message = format!("there is no usable {} `{name}`", kind.word());
        sink.error(place, message, suggestion(all, kind, name));
    }
    found
}

/// What a name that is not there probably meant.
pub(super) fn suggestion(all: &[Document<'_>], kind: Kind, name: &str) -> String {
    let known: Vec<&str> = all.iter().filter(|d| d.kind == kind).map(|d| d.name.as_str()).collect();
    match nearest(name, &known) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "add one, or correct the name".to_owned(),
    }
}

/// A name given as text or as `{key: name}`; `None` for what is written in place.
pub(super) fn reference(node: &Node, key: &str, sink: &mut Sink) -> Option<String> {
    if let Some(text) = node.as_text() {
        return Some(text);
    }
    let is_reference = match &node.value {
        Value::Map(entries) => entries.iter().any(|(k, _)| k.name == key),
        _ => false,
    };
    is_reference.then(|| Section::read(node, "a reference", &[key], sink)?.text(key, sink)).flatten()
}
