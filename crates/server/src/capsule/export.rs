//! An incident becomes a capsule: what goes in is gathered and its checksums taken, then everything is streamed, so that
//! neither memory nor disk has to hold the whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, TryStreamExt as _};
use hindsight_capsule::{
    Block, CapsulePath, END, FORMAT, FileEntry, Layout, Manifest, OfIncident, Window, padding,
};
use hindsight_incidents::window_of;
use hindsight_model::{Clearance, Incident, IncidentId, Table, Tenant};
use hindsight_postmortem::document::Visibility;
use hindsight_postmortem::{Bundle, Library};
use hindsight_state::{AuditEntry, IncidentRecord, State};
use hindsight_store::verify::Progress;
use hindsight_store::{Excerpt, ExcerptFile, Store};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::CapsuleError;

/// The program, as the manifest names it.
const MADE_BY: &str = concat!("hindsight ", env!("CARGO_PKG_VERSION"));
/// Pieces that may wait for a slow reader.
const PIECES_AHEAD: usize = 4;
/// What `incident.json` is.
pub(super) const INCIDENT_SCHEMA: &str = "hindsight/capsule-incident/v1";

/// Whether post-mortems go along.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Documents {
    /// All about the incident; a restricted one is a refusal.
    #[default]
    Unrestricted,
    /// All about the incident, restricted ones too: somebody said so.
    Restricted,
    /// None.
    None,
}

/// How a capsule is to be made.
#[derive(Clone, Debug)]
pub struct ExportOptions {
    /// Role or name of who asks for it; it is in the manifest and in the audit log.
    pub author: String,
    /// Which post-mortems go along.
    pub documents: Documents,
    /// What they may see themselves: no other post-mortem goes along.
    pub clearance: Clearance,
}

/// `incident.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct IncidentFile {
    pub(super) schema: String,
    #[serde(flatten)]
    pub(super) record: IncidentRecord,
}

/// A capsule that is ready to be written.
#[derive(Debug)]
pub struct CapsuleExport {
    manifest: Manifest,
    layout: Layout,
    /// One for each file of the manifest.
    parts: Vec<Part>,
    excerpt: Excerpt,
}

#[derive(Debug)]
enum Part {
    Text(Bytes),
    Telemetry(ExcerptFile),
}

/// Gathers the capsule of an incident of the default tenant. That it was asked for is in the audit log when this
/// returns.
///
/// # Errors
/// [`CapsuleError::NoIncident`], [`CapsuleError::PartOf`], [`CapsuleError::Restricted`]; else what store, state or
/// workspace have to say.
pub async fn export_capsule(
    store: &Store,
    state: &State,
    library: &Arc<Library>,
    id: IncidentId,
    now: Timestamp,
    options: &ExportOptions,
    tell: Arc<dyn Fn(Progress) + Send + Sync>,
) -> Result<CapsuleExport, CapsuleError> {
    let tenant = Tenant::default();
    let incidents = state.incidents(&tenant).await?;
    let incident = incidents.iter().find(|incident| incident.id == id).ok_or(CapsuleError::NoIncident(id))?;
    let window = window(&incidents, incident, now)?;
    let bundles = bundles(library, id, options).await?;
    let documents: Vec<String> = bundles.iter().map(|bundle| bundle.id.clone()).collect();
    let record = state.incident_record(&tenant, id, &documents).await?;
    let record = record.ok_or(CapsuleError::NoIncident(id))?;
    let excerpt = store.excerpt(&tenant, window.from, window.to, Arc::clone(&tell)).await?;
    let restricted = bundles.iter().any(|bundle| bundle.visibility == Visibility::Restricted);
    let of = OfIncident { id, title: record.incident.title.clone(), severity: record.incident.severity };
    let (mut files, mut parts) = texts(record, bundles)?;
    telemetry(&excerpt, tell.as_ref(), &mut files, &mut parts).await?;
    let manifest = Manifest {
        format: FORMAT,
        made_by: MADE_BY.to_owned(),
        author: options.author.clone(),
        exported_at: now,
        incident: of,
        window,
        postmortems: documents,
        restricted,
        promoted: promoted(),
        tables: Manifest::count(&files),
        files,
    };
    let export = CapsuleExport { layout: Layout::of(&manifest)?, manifest, parts, excerpt };
    state.audit(&audited(&export), now).await?;
    Ok(export)
}

/// What the operator has promoted, by table.
fn promoted() -> BTreeMap<String, Vec<String>> {
    let tables = Table::ALL.map(|table| (table.name().to_owned(), table.promotions()));
    let named = tables.into_iter().filter(|(_, promotions)| !promotions.is_empty());
    named.map(|(table, all)| (table, all.iter().map(ToString::to_string).collect())).collect()
}

impl CapsuleExport {
    /// What is in it.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256 of the manifest, to be compared by whoever gets the capsule.
    pub fn sha256(&self) -> String {
        self.layout.sha256()
    }

    /// Bytes of the whole file.
    pub fn total_bytes(&self) -> u64 {
        self.layout.total_bytes()
    }

    /// What the file is called unless somebody says otherwise.
    pub fn file_name(&self) -> String {
        format!("{}.capsule.tar", self.manifest.incident.id)
    }

    /// The file, piece by piece. Ends early when nobody reads it any more; an error in it is its last piece.
    pub fn stream(self) -> impl Stream<Item = Result<Bytes, CapsuleError>> + Send + 'static {
        let (send, receive) = mpsc::channel(PIECES_AHEAD);
        tokio::spawn(async move {
            if let Err(Ended::Failed(error)) = self.write(&send).await {
                // A reader that is gone misses nothing.
                drop(send.send(Err(error)).await);
            }
        });
        ReceiverStream::new(receive)
    }

    async fn write(&self, to: &mpsc::Sender<Result<Bytes, CapsuleError>>) -> Result<(), Ended> {
        let send = async |bytes: Bytes| to.send(Ok(bytes)).await.map_err(|_| Ended::Unread);
        send(self.layout.opening()?.into()).await?;
        for (entry, part) in self.manifest.files.iter().zip(&self.parts) {
            send(Bytes::copy_from_slice(&self.layout.header(entry)?)).await?;
            match part {
                Part::Text(bytes) => send(bytes.clone()).await?,
                Part::Telemetry(file) => {
                    let mut left = entry.size;
                    let mut pieces = self.excerpt.read(file).await?;
                    while let Some(piece) = pieces.try_next().await? {
                        // Never more than the header says: the rest of the archive would be out of place.
                        left = left.checked_sub(piece.len() as u64).ok_or_else(|| grown(entry))?;
                        send(piece).await?;
                    }
                    if left > 0 {
                        return Err(shrunk(entry).into());
                    }
                }
            }
            send(Bytes::from(vec![0; padding(entry.size)])).await?;
        }
        send(Bytes::from_static(&END)).await
    }
}

/// Why writing ended before the end.
enum Ended {
    Unread,
    Failed(CapsuleError),
}

impl<E: Into<CapsuleError>> From<E> for Ended {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

fn window(incidents: &[Incident], incident: &Incident, now: Timestamp) -> Result<Window, CapsuleError> {
    let id = incident.id;
    let Some(window) = window_of(incidents, id) else {
        let into =
            incident.response.duplicate_of.map_or_else(|| "another one".to_owned(), |id| id.to_string());
        return Err(CapsuleError::PartOf { id, into });
    };
    // Of an incident that is not over there is nothing after now.
    let to = window.to.min(now.max(window.from + jiff::SignedDuration::from_secs(1)));
    Ok(Window { from: window.from, to })
}

async fn bundles(
    library: &Arc<Library>,
    id: IncidentId,
    options: &ExportOptions,
) -> Result<Vec<Bundle>, CapsuleError> {
    let documents = options.documents;
    if documents == Documents::None {
        return Ok(Vec::new());
    }
    let library = Arc::clone(library);
    let found =
        tokio::task::spawn_blocking(move || hindsight_postmortem::bundle(&library, &Tenant::default(), id));
    let mut found = found.await.map_err(CapsuleError::Stopped)??;
    for path in found.unreadable {
        tracing::warn!(path = %path.display(), "a post-mortem cannot be read and is not in the capsule of {id}");
    }
    if options.clearance == Clearance::Everyone {
        // Not even that there is one is told.
        found.bundles.retain(|bundle| bundle.visibility != Visibility::Restricted);
    }
    let restricted = found.bundles.iter().find(|bundle| bundle.visibility == Visibility::Restricted);
    match restricted {
        Some(bundle) if documents != Documents::Restricted => {
            Err(CapsuleError::Restricted(bundle.id.clone()))
        }
        _ => Ok(found.bundles),
    }
}

/// The files that are no telemetry, each with its entry in the manifest.
fn texts(record: IncidentRecord, bundles: Vec<Bundle>) -> Result<(Vec<FileEntry>, Vec<Part>), CapsuleError> {
    let incident = IncidentFile { schema: INCIDENT_SCHEMA.to_owned(), record };
    let mut incident =
        serde_json::to_vec_pretty(&incident).map_err(|error| hindsight_capsule::Error::Manifest {
            reason: format!("the incident cannot be written as JSON ({error})"),
        })?;
    incident.push(b'\n');
    let mut contents = vec![(CapsulePath::incident(), incident)];
    for bundle in bundles {
        for (name, bytes) in bundle.files {
            let path = CapsulePath::document(&bundle.id, &name);
            let path = path.map_err(|reason| CapsuleError::Id { id: bundle.id.clone(), reason })?;
            contents.push((path, bytes));
        }
    }
    let entry = |(path, bytes): (CapsulePath, Vec<u8>)| {
        let (size, sha256) = (bytes.len() as u64, hex::encode(Sha256::digest(&bytes)));
        (FileEntry { path, size, sha256, block: None }, Part::Text(bytes.into()))
    };
    Ok(contents.into_iter().map(entry).unzip())
}

/// Adds the files of telemetry, each read once for its checksum.
async fn telemetry(
    excerpt: &Excerpt,
    tell: &(dyn Fn(Progress) + Send + Sync),
    files: &mut Vec<FileEntry>,
    parts: &mut Vec<Part>,
) -> Result<(), CapsuleError> {
    let total_bytes = excerpt.files().iter().map(|file| file.size_bytes).sum();
    let mut done_bytes = 0;
    let mut numbers: BTreeMap<(Table, Date), usize> = BTreeMap::new();
    for file in excerpt.files() {
        let number = numbers.entry((file.table, file.date)).or_default();
        let path = CapsulePath::block(file.table, file.date, *number);
        *number += 1;
        tell(Progress { doing: format!("checksum of {path}"), done_bytes, total_bytes });
        let (mut hasher, mut size) = (Sha256::new(), 0);
        let mut pieces = excerpt.read(file).await?;
        while let Some(piece) = pieces.try_next().await? {
            hasher.update(&piece);
            size += piece.len() as u64;
        }
        let all_promoted = file.all_promoted.then(|| file.table.promoted_mark());
        let block = Block { rows: file.rows, stats: file.stats.clone(), all_promoted };
        let entry = FileEntry { path, size, sha256: hex::encode(hasher.finalize()), block: Some(block) };
        if size != file.size_bytes {
            return Err(if size < file.size_bytes { shrunk(&entry) } else { grown(&entry) });
        }
        done_bytes += size;
        files.push(entry);
        parts.push(Part::Telemetry(file.clone()));
    }
    Ok(())
}

fn shrunk(entry: &FileEntry) -> CapsuleError {
    CapsuleError::Changed { path: entry.path.to_string(), reason: "it is shorter than before".to_owned() }
}

fn grown(entry: &FileEntry) -> CapsuleError {
    CapsuleError::Changed { path: entry.path.to_string(), reason: "it is longer than before".to_owned() }
}

/// That telemetry left is for others to see (SEC-2).
fn audited(export: &CapsuleExport) -> AuditEntry {
    let manifest = &export.manifest;
    let detail = json!({
        "from": manifest.window.from, "to": manifest.window.to, "rows": manifest.rows(),
        "bytes": export.total_bytes(), "postmortems": manifest.postmortems, "restricted": manifest.restricted,
        "manifest_sha256": export.sha256(),
    });
    AuditEntry {
        tenant: Tenant::default(),
        actor: manifest.author.clone(),
        action: "incident.export".to_owned(),
        subject: manifest.incident.id.to_string(),
        detail: detail.to_string(),
    }
}
