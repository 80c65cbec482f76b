//! The write-ahead log: its frames, what its records say, and whether it goes on where the tables end.

use std::path::Path;

use hindsight_otlp::Interner;
use hindsight_wal::{Inspection, RecordRef, StdFiles, inspect};

use super::{Checked, Finding, Findings, Progress, VerifyReport, shown};
use crate::ingest::decode_again;
use crate::record::{KIND_HASHES, KIND_REQUEST, RequestRecord, decode_hashes};
use crate::replay::Covered;
use crate::stats::chain;
use crate::{Error, Result};

const FROM_BACKUP: &str =
    "restore the log from a backup, or move it aside and accept the loss of what it held";

/// Checks the log in `data_dir` against what the tables cover.
pub(super) async fn check(
    data_dir: &Path,
    covered: Covered,
    quick: bool,
    report: &mut VerifyReport,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<()> {
    progress(Progress { doing: "the write-ahead log".to_owned(), done_bytes: 0, total_bytes: 0 });
    let dir = data_dir.to_path_buf();
    let work = tokio::task::spawn_blocking(move || look(&dir, covered, quick));
    let (findings, checked) = work.await.map_err(|_| Error::Stopped { worker: "check of the log" })?;
    report.findings.extend(findings);
    report.checked.wal_segments = checked.wal_segments;
    report.checked.wal_records = checked.wal_records;
    report.checked.wal_records_to_replay = checked.wal_records_to_replay;
    Ok(())
}

fn look(data_dir: &Path, covered: Covered, quick: bool) -> (Vec<Finding>, Checked) {
    let dir = data_dir.join("wal");
    let mut records = Records { covered, quick, findings: Findings::default(), checked: Checked::default() };
    let inspection = match inspect(&StdFiles, &dir, |record| records.read(record)) {
        Ok(inspection) => inspection,
        Err(error) => {
            let what = chain(&error);
            return (vec![Finding::problem("wal_unreadable", "wal", what, FROM_BACKUP)], Checked::default());
        }
    };
    let mut findings = frames(data_dir, &inspection);
    findings.extend(continues(&inspection, covered));
    findings.extend(records.findings.kept().to_vec());
    let mut checked = records.checked;
    checked.wal_segments = inspection.segments.len() as u64;
    (findings, checked)
}

fn frames(data_dir: &Path, inspection: &Inspection) -> Vec<Finding> {
    let mut findings = Vec::new();
    for damage in &inspection.damage {
        let (kind, place) = match damage {
            hindsight_wal::Error::Missing { path } => ("wal_missing_segment", shown(data_dir, path)),
            hindsight_wal::Error::Damaged { path, .. } => ("wal_damaged", shown(data_dir, path)),
            hindsight_wal::Error::Version { path, .. } => ("wal_version", shown(data_dir, path)),
            hindsight_wal::Error::Io { path, .. } => ("wal_unreadable", shown(data_dir, path)),
            _ => ("wal_damaged", "wal".to_owned()),
        };
        findings.push(Finding::problem(kind, place, chain(damage), FROM_BACKUP));
    }
    if let Some(torn) = &inspection.torn {
        let what = format!(
            "its last {} bytes, from offset {}, are no record: {}",
            torn.bytes, torn.offset, torn.reason
        );
        let advice = "nothing to do after a crash: the next start cuts them off, and none was acknowledged";
        findings.push(Finding::warning("wal_torn_tail", shown(data_dir, &torn.path), what, advice));
    }
    for path in &inspection.unfinished {
        let what = "a crash left this segment before it was whole";
        let advice = "nothing to do: the next start removes it";
        findings.push(Finding::warning("wal_unfinished", shown(data_dir, path), what, advice));
    }
    findings
}

/// The log must begin no later than where the tables end, and end no earlier.
fn continues(inspection: &Inspection, covered: Covered) -> Option<Finding> {
    let last = covered.into_iter().max().unwrap_or(0);
    let (Some(first), Some(next)) = (inspection.first_position(), inspection.next_position()) else {
        let what = format!("there is no segment, and the tables cover the log up to position {last}");
        let advice = "if the log was moved away, bring it back before the next start: what it held is not in the tables";
        return (last > 0 && inspection.damage.is_empty())
            .then(|| Finding::problem("wal_missing", "wal", what, advice));
    };
    if next.0 <= last {
        let what = format!("the log ends at position {next}, and the tables already cover position {last}");
        return Some(Finding::problem("wal_behind", "wal", what, "bring back the newer log"));
    }
    if first.0 > last + 1 {
        let what = format!(
            "the log begins at position {first}, and the tables end at {last}: what lay between is gone"
        );
        return Some(Finding::problem("wal_gap", "wal", what, FROM_BACKUP));
    }
    None
}

struct Records {
    covered: Covered,
    quick: bool,
    findings: Findings,
    checked: Checked,
}

impl Records {
    fn read(&mut self, record: RecordRef<'_>) {
        self.checked.wal_records += 1;
        if let Err(what) = self.try_read(record) {
            let place = format!("wal, record {}", record.position);
            let advice = "keep a copy of the log and report this: the record is whole, and not what this program writes";
            self.findings.push(Finding::problem("wal_record", place, what, advice));
        }
    }

    fn try_read(&mut self, record: RecordRef<'_>) -> Result<(), String> {
        match record.kind {
            KIND_REQUEST => {
                let request = RequestRecord::decode(record.payload.to_vec())?;
                let waits = request
                    .signal
                    .tables()
                    .iter()
                    .any(|table| self.covered[table.index()] < record.position.0);
                if waits {
                    self.checked.wal_records_to_replay += 1;
                }
                if waits && !self.quick {
                    decode_again(&request, &Interner::new())
                        .map_err(|error| format!("its request does not decode: {}", chain(&error)))?;
                }
                Ok(())
            }
            KIND_HASHES => decode_hashes(record.payload).map(drop),
            other => Err(format!("it is of kind {other}, which a newer program wrote")),
        }
    }
}
