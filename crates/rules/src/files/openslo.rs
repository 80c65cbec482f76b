//! OpenSLO v1 documents. Every kind is read, its keys are checked and the names that it gives of others are looked up,
//! whether an SLO uses it or not.

use std::path::{Path, PathBuf};

use hindsight_model::Labels;

use super::alert_policy;
use super::section::Section;
use super::sink::Sink;
use super::sli;
use super::slo_document;
use super::yaml::{self, Node};
use crate::slo::Slo;

const KINDS: [(&str, Kind); 7] = [
    ("SLO", Kind::Slo),
    ("SLI", Kind::Sli),
    ("Service", Kind::Service),
    ("AlertPolicy", Kind::AlertPolicy),
    ("AlertCondition", Kind::AlertCondition),
    ("AlertNotificationTarget", Kind::AlertNotificationTarget),
    ("DataSource", Kind::DataSource),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Slo,
    Sli,
    Service,
    AlertPolicy,
    AlertCondition,
    AlertNotificationTarget,
    DataSource,
}

impl Kind {
    pub(super) fn word(self) -> &'static str {
        KINDS.iter().find(|(_, kind)| *kind == self).map_or("document", |(word, _)| word)
    }

    pub(super) fn spec_keys(self) -> &'static [&'static str] {
        match self {
            Self::Slo => &slo_document::SPEC_KEYS,
            Self::Sli => &sli::SPEC_KEYS,
            Self::Service => &["description"],
            Self::AlertPolicy => &alert_policy::POLICY_KEYS,
            Self::AlertCondition => &alert_policy::CONDITION_KEYS,
            Self::AlertNotificationTarget => &["description", "target"],
            Self::DataSource => &["description", "type", "connectionDetails"],
        }
    }
}

/// One document whose outer shape is right.
#[derive(Clone, Debug)]
pub(super) struct Document<'a> {
    pub(super) file: PathBuf,
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) display_name: Option<String>,
    pub(super) labels: Labels,
    pub(super) annotations: Labels,
    pub(super) spec: &'a Node,
    pub(super) node: &'a Node,
}

/// The SLOs of some files, by name. References are looked up among all of them.
pub(super) fn read(files: &[(PathBuf, String)], sink: &mut Sink) -> Vec<Slo> {
    let mut trees: Vec<(&Path, Vec<Node>)> = Vec::new();
    for (file, text) in files {
        sink.enter(file);
        match yaml::documents(text) {
            Ok(documents) => trees.push((file, documents)),
            Err(error) => {
                sink.error(
                    error.place,
                    error.message,
                    "correct the YAML; until then the file is not in force",
                );
            }
        }
    }
    let mut documents = Vec::new();
    for (file, nodes) in &trees {
        sink.enter(file);
        documents.extend(nodes.iter().filter_map(|node| document(file, node, sink)));
    }
    let mut slos = Vec::new();
    for document in &documents {
        sink.enter(&document.file);
        sink.about(Some(document.name.clone()));
        match document.kind {
            Kind::Slo => slos.extend(slo_document::read(document, &documents, sink)),
            Kind::Sli => {
                sli::read(document.spec, &documents, sink);
            }
            Kind::AlertPolicy => alert_policy::check_policy(document, &documents, sink),
            Kind::AlertCondition => alert_policy::check_condition(document, sink),
            Kind::Service | Kind::DataSource | Kind::AlertNotificationTarget => {}
        }
    }
    slos.sort_by(|a, b| a.name.cmp(&b.name));
    slos
}

/// Reads a document's envelope.
fn document<'a>(file: &Path, node: &'a Node, sink: &mut Sink) -> Option<Document<'a>> {
    sink.about(None);
    let before = sink.errors();
    let section =
        Section::read(node, "an OpenSLO document", &["apiVersion", "kind", "metadata", "spec"], sink)?;
    let version = section.required_text("apiVersion", "an OpenSLO document", sink)?;
    if version != "openslo/v1" {
        let place = section.place_of("apiVersion");
        sink.error(place, format!("`apiVersion` is `{version}`"), "only `openslo/v1` is understood");
        return None;
    }
    let kind = section.word("kind", &KINDS, sink)?;
    let (name, display_name, labels, annotations) = metadata(&section, sink)?;
    sink.about(Some(name.clone()));
    let Some(spec) = section.get("spec") else {
        sink.error(section.place, format!("{} `{name}` has no `spec`", kind.word()), "add `spec:`");
        return None;
    };
    Section::read(spec, &format!("`spec` of {}", kind.word()), kind.spec_keys(), sink)?;
    let document =
        Document { file: file.to_owned(), kind, name, display_name, labels, annotations, spec, node };
    (sink.errors() == before).then_some(document)
}

/// Reads a document that is written where another one needs it: there, `apiVersion` and `kind` may be left out.
pub(super) fn inline<'a>(file: &Path, node: &'a Node, kind: Kind, sink: &mut Sink) -> Option<Document<'a>> {
    let before = sink.errors();
    let what = format!("an inline {}", kind.word());
    let section = Section::read(node, &what, &["apiVersion", "kind", "metadata", "spec"], sink)?;
    if section.get("kind").is_some() {
        section.word("kind", &[(kind.word(), kind)], sink);
    }
    let (name, display_name, labels, annotations) = metadata(&section, sink)?;
    let Some(spec) = section.get("spec") else {
        sink.error(section.place, format!("{} `{name}` has no `spec`", kind.word()), "add `spec:`");
        return None;
    };
    Section::read(spec, &format!("`spec` of {}", kind.word()), kind.spec_keys(), sink)?;
    let document =
        Document { file: file.to_owned(), kind, name, display_name, labels, annotations, spec, node };
    (sink.errors() == before).then_some(document)
}

type Metadata = (String, Option<String>, Labels, Labels);

fn metadata(section: &Section<'_>, sink: &mut Sink) -> Option<Metadata> {
    let Some(node) = section.get("metadata") else {
        sink.error(section.place, "the document has no `metadata`", "add `metadata: {name: …}`");
        return None;
    };
    let section = Section::read(node, "`metadata`", &["name", "displayName", "labels", "annotations"], sink)?;
    let name = section.required_text("name", "`metadata`", sink)?;
    if name.contains('/') || name.len() > 128 {
        let hint = "use letters, digits and `-`, at most 128 of them";
        sink.error(section.place_of("name"), format!("`{name}` cannot name a document"), hint);
        return None;
    }
    let texts = |key, sink: &mut Sink| {
        section.texts(key, sink).into_iter().map(|(key, text, _)| (key.name.clone(), text)).collect()
    };
    let display_name = section.text("displayName", sink);
    Some((name, display_name, texts("labels", sink), texts("annotations", sink)))
}
