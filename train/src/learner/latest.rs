//! Choice of the checkpoint to resume from.

use std::path::Path;

use seqzoo_run::checkpoint::{self, CheckpointError, Opened, QuarantineReason};
use seqzoo_run::folder::{Journal, ModelFolder};
use seqzoo_run::progress::Snapshot;
use seqzoo_run::record::Recovery;
use serde_json::json;

use crate::error::TrainError;
use crate::job::Observer;

/// The latest checkpoint that is valid, finite and not rolled back; later ones are quarantined and reported.
pub(super) fn latest(
    folder: &ModelFolder,
    rollback: Option<&Recovery>,
    observer: &mut dyn Observer,
) -> Result<Option<(Opened, Snapshot)>, TrainError> {
    let checkpoints = folder.checkpoints();
    let mut rejected = Vec::new();
    let mut found = None;
    for (step, path) in checkpoints.list()?.into_iter().rev() {
        match usable(&path) {
            // Not damaged, only from another version: falling back to an older checkpoint would lose training.
            Err(error @ CheckpointError::OtherFormat(_)) => return Err(error.into()),
            Err(error) => rejected.push((step, path, QuarantineReason::Damaged, error.to_string())),
            Ok((opened, snapshot)) => {
                let older = |recovery: &&Recovery| recovery.generation > snapshot.progress.recovery.generation;
                let discarded =
                    rollback.filter(older).is_some_and(|recovery| recovery.target.is_none_or(|target| step > target));
                if !discarded {
                    found = Some((opened, snapshot));
                    break;
                }
                rejected.push((step, path, QuarantineReason::RolledBack, "rolled back".to_owned()));
            }
        }
    }
    let is_rolled_back =
        |(_, _, reason, _): &(u64, _, QuarantineReason, String)| *reason == QuarantineReason::RolledBack;
    if found.is_none() && !rejected.is_empty() && !rejected.iter().any(is_rolled_back) {
        let skipped = rejected.into_iter().map(|(_, _, _, why)| why).collect();
        return Err(CheckpointError::NoneUsable { dir: folder.path.join("checkpoints"), skipped }.into());
    }
    for (step, path, reason, why) in rejected {
        let event = json!({"step": step, "event": "quarantine", "checkpoint": path.display().to_string(), "why": why});
        folder.append(Journal::Events, &event)?;
        checkpoints.quarantine(&path, reason)?;
        if reason == QuarantineReason::Damaged {
            observer.note(&format!("{why}; quarantined, resuming from the previous checkpoint"));
        }
    }
    Ok(found)
}

/// Opens a checkpoint and checks that all its values are finite.
fn usable(path: &Path) -> Result<(Opened, Snapshot), CheckpointError> {
    let opened = checkpoint::open(path)?;
    let snapshot = Snapshot::of(&opened)?;
    match snapshot.not_finite() {
        None => Ok((opened, snapshot)),
        Some((name, value)) => Err(CheckpointError::damaged(path, format!("{name} contains {value}"))),
    }
}
