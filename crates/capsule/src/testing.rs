//! A small capsule for tests.

use std::collections::BTreeMap;

use hindsight_model::{IncidentId, IncidentSeverity};
use sha2::{Digest as _, Sha256};

use crate::manifest::{Block, FORMAT, FileEntry, Manifest, OfIncident, Window};
use crate::path::Kind;
use crate::{CapsulePath, END, Layout, padding};

pub(crate) fn files() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("incident.json", b"{\"a\": 1}".to_vec()),
        ("report/PM-2026-001/postmortem.md", b"# It broke\n".to_vec()),
        ("telemetry/spans/date=2026-05-04/000000.parquet", vec![7; 600]),
    ]
}

pub(crate) fn manifest(files: &[(&str, Vec<u8>)]) -> Manifest {
    let entry = |(path, bytes): &(&str, Vec<u8>)| {
        let path: CapsulePath = path.parse().unwrap();
        let block = matches!(path.kind(), Kind::Block { .. }).then(|| Block {
            rows: 3,
            stats: r#"{"numRecords":3}"#.to_owned(),
            all_promoted: None,
        });
        FileEntry { path, size: bytes.len() as u64, sha256: hex::encode(Sha256::digest(bytes)), block }
    };
    let files: Vec<FileEntry> = files.iter().map(entry).collect();
    Manifest {
        format: FORMAT,
        made_by: "hindsight test".to_owned(),
        author: "scribe".to_owned(),
        exported_at: "2026-05-05T10:00:00Z".parse().unwrap(),
        incident: OfIncident {
            id: IncidentId(7),
            title: "It broke".to_owned(),
            severity: IncidentSeverity::Sev2,
        },
        window: Window {
            from: "2026-05-04T10:00:00Z".parse().unwrap(),
            to: "2026-05-04T12:00:00Z".parse().unwrap(),
        },
        postmortems: vec!["PM-2026-001".to_owned()],
        restricted: false,
        promoted: BTreeMap::new(),
        tables: Manifest::count(&files),
        files,
    }
}

/// The whole archive.
pub(crate) fn capsule(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let manifest = manifest(files);
    let layout = Layout::of(&manifest).unwrap();
    let mut bytes = layout.opening().unwrap();
    for (entry, (_, content)) in manifest.files.iter().zip(files) {
        bytes.extend_from_slice(&layout.header(entry).unwrap());
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len() + padding(entry.size), 0);
    }
    bytes.extend_from_slice(&END);
    assert_eq!(bytes.len() as u64, layout.total_bytes());
    bytes
}
