//! A capsule becomes a data directory and a workspace of its own, which a server then shows and never changes.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hindsight_capsule::{Error as FormatError, Kind, Manifest, extract};
use hindsight_model::Tenant;
use hindsight_state::State;
use hindsight_store::verify::Progress;
use hindsight_store::{Plant, plant};

use super::export::{INCIDENT_SCHEMA, IncidentFile};
use super::{CapsuleError, CapsuleView};

/// Bytes read from the file at a time.
const BUFFER_BYTES: usize = 1 << 20;

/// A capsule that was unpacked, ready to be served.
#[derive(Clone, Debug)]
pub struct UnpackedCapsule {
    /// What is in it.
    pub manifest: Manifest,
    /// SHA-256 of the manifest.
    pub sha256: String,
    /// The data directory made of it.
    pub data_dir: PathBuf,
    /// The workspace made of it: its post-mortems and nothing else.
    pub workspace: PathBuf,
    /// What the pages say of it.
    pub view: CapsuleView,
}

/// Unpacks `capsule` into `folder`, which must be there and empty. Every checksum was found right when this returns.
/// On an error something may be left in the folder.
///
/// # Errors
/// Any of [`hindsight_capsule::Error`] for a file that is not to be trusted; what store and state say of one whose
/// parts do not fit together.
pub async fn unpack_capsule(
    capsule: &Path,
    folder: &Path,
    tell: Arc<dyn Fn(Progress) + Send + Sync>,
) -> Result<UnpackedCapsule, CapsuleError> {
    let file = File::open(capsule).map_err(CapsuleError::io("open", capsule))?;
    let (unpacked, data_dir, workspace) =
        (folder.join("capsule"), folder.join("data"), folder.join("workspace"));
    let (into, reports) = (unpacked.clone(), workspace.join("postmortems"));
    let unpacking = tokio::task::spawn_blocking(move || {
        fs::create_dir(&into).map_err(CapsuleError::io("create", &into))?;
        let told = &mut |name: &str, done_bytes, total_bytes| {
            tell(Progress { doing: format!("unpacking {name}"), done_bytes, total_bytes });
        };
        let (manifest, sha256) = extract(BufReader::with_capacity(BUFFER_BYTES, file), &into, told)?;
        let incident = incident(&into.join("incident.json"), &manifest)?;
        fs::create_dir_all(&reports).map_err(CapsuleError::io("create", &reports))?;
        for id in &manifest.postmortems {
            let target = reports.join(id);
            fs::rename(into.join("report").join(id), &target).map_err(CapsuleError::io("move", target))?;
        }
        Ok::<_, CapsuleError>((manifest, sha256, incident))
    });
    let (manifest, sha256, incident) = unpacking.await.map_err(CapsuleError::Stopped)??;
    // Before anything asks for a table's columns.
    hindsight_model::promote(&manifest.promotions()?).map_err(hindsight_store::Error::from)?;
    plant(&data_dir, &Tenant::default(), plants(&manifest, &unpacked), manifest.exported_at).await?;
    let state = State::open(data_dir.join("state.db")).await?;
    let put = state.put_record(&Tenant::default(), &incident.record).await;
    state.close().await;
    put?;
    let view = CapsuleView::of(&manifest, &incident.record.incident);
    Ok(UnpackedCapsule { manifest, sha256, data_dir, workspace, view })
}

/// Reads `incident.json`, which must be about the incident that the manifest names.
fn incident(path: &Path, manifest: &Manifest) -> Result<IncidentFile, CapsuleError> {
    let text = fs::read(path).map_err(CapsuleError::io("read", path))?;
    let refuse = |reason: String| FormatError::Manifest { reason: format!("incident.json {reason}") };
    let incident: IncidentFile =
        serde_json::from_slice(&text).map_err(|error| refuse(format!("cannot be read ({error})")))?;
    if incident.schema != INCIDENT_SCHEMA {
        return Err(refuse(format!("is not {INCIDENT_SCHEMA}")).into());
    }
    if incident.record.incident.id != manifest.incident.id {
        return Err(refuse("is about another incident".to_owned()).into());
    }
    Ok(incident)
}

fn plants(manifest: &Manifest, unpacked: &Path) -> Vec<Plant> {
    let blocks = manifest.files.iter().filter_map(|entry| match (entry.path.kind(), &entry.block) {
        (Kind::Block { table, date, .. }, Some(block)) => Some((entry, table, date, block)),
        _ => None,
    });
    blocks
        .map(|(entry, table, date, block)| Plant {
            table,
            date,
            file: unpacked.join(entry.path.as_str()),
            rows: block.rows,
            stats: block.stats.clone(),
            all_promoted: block.all_promoted.as_deref().is_some_and(|mark| table.is_promoted_by(mark)),
        })
        .collect()
}
