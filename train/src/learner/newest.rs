//! Which checkpoint training goes on from.

use std::path::Path;

use seqzoo_run::checkpoint::{self, Aside, CheckpointError, Opened};
use seqzoo_run::folder::{Journal, ModelFolder};
use seqzoo_run::progress::Snapshot;
use seqzoo_run::record::Recovery;
use serde_json::json;

use super::{Observer, TrainError};

/// The newest checkpoint that verifies, is finite and was not rolled back; newer ones are set aside and reported.
pub(super) fn newest(
    folder: &ModelFolder,
    rollback: Option<&Recovery>,
    observer: &mut dyn Observer,
) -> Result<Option<(Opened, Snapshot)>, TrainError> {
    let checkpoints = folder.checkpoints();
    let mut passed_over = Vec::new();
    let mut found = None;
    for (step, path) in checkpoints.list()?.into_iter().rev() {
        match usable(&path) {
            // Its weights are sound, only not for this version: nothing older may take its place.
            Err(error @ CheckpointError::OtherFormat(_)) => return Err(error.into()),
            Err(error) => passed_over.push((step, path, Aside::Damaged, error.to_string())),
            Ok((opened, snapshot)) => {
                let older = |recovery: &&Recovery| recovery.generation > snapshot.progress.recovery.generation;
                let left =
                    rollback.filter(older).is_some_and(|recovery| recovery.target.is_none_or(|target| step > target));
                if !left {
                    found = Some((opened, snapshot));
                    break;
                }
                passed_over.push((step, path, Aside::RolledBack, "rolled back".to_owned()));
            }
        }
    }
    let is_rolled_back = |(_, _, aside, _): &(u64, _, Aside, String)| *aside == Aside::RolledBack;
    if found.is_none() && !passed_over.is_empty() && !passed_over.iter().any(is_rolled_back) {
        let skipped = passed_over.into_iter().map(|(_, _, _, why)| why).collect();
        return Err(CheckpointError::NoneUsable { dir: folder.path.join("checkpoints"), skipped }.into());
    }
    for (step, path, aside, why) in passed_over {
        let event = json!({"step": step, "event": "quarantine", "checkpoint": path.display().to_string(), "why": why});
        folder.append(Journal::Events, &event)?;
        checkpoints.quarantine(&path, aside)?;
        if aside == Aside::Damaged {
            observer.note(&format!("{why}; quarantined, resuming from the previous checkpoint"));
        }
    }
    Ok(found)
}

/// A checkpoint from which training can go on.
fn usable(path: &Path) -> Result<(Opened, Snapshot), CheckpointError> {
    let opened = checkpoint::open(path)?;
    let snapshot = Snapshot::of(&opened)?;
    match snapshot.not_finite() {
        None => Ok((opened, snapshot)),
        Some((name, value)) => Err(CheckpointError::damaged(path, format!("{name} holds {value}"))),
    }
}
