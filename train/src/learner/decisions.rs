//! Decisions of recovery: their records, rollbacks, and the diagnosis that ends training.

use seqzoo_run::checkpoint;
use seqzoo_run::disk::Disk;
use seqzoo_run::folder::Journal;
use seqzoo_run::progress::Progress;
use seqzoo_run::record::{Diagnosis, Onset};
use serde_json::{Value, json};

use super::Learner;
use crate::error::TrainError;
use crate::job::Observer;
use crate::recovery::{self, ATTEMPTS_IN_A_RUN, Anomaly, RollbackContext, Site};
use crate::step::{Batch, State};

impl<D: Disk> Learner<'_, D> {
    /// Appends a decision to `events.jsonl`, durably, before it takes effect.
    pub(super) fn log_event(
        &self,
        event: &str,
        batch: Option<&Batch>,
        anomaly: &Anomaly,
        more: Value,
    ) -> Result<(), TrainError> {
        let Progress { step, epoch, .. } = self.state.progress;
        let mut line = json!({
            "step": step, "epoch": epoch, "event": event, "why": anomaly.to_string(),
            "site": anomaly.site.name(), "tensor": anomaly.name,
            "value": anomaly.value.to_string(),
        });
        if let Some(batch) = batch {
            line["batch"] = batch.index.into();
        }
        for (name, value) in more.as_object().into_iter().flatten() {
            line[name] = value.clone();
        }
        self.job.folder.append(Journal::Events, &line)?;
        Ok(())
    }

    /// Chooses the target of a rollback and the changes to training, and records both; the next load follows the record.
    pub(super) fn roll_back(
        &self,
        anomaly: &Anomaly,
        batch: Option<&Batch>,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        let Progress { step, epoch, recovery, .. } = &self.state.progress;
        let checkpoints = self.job.folder.checkpoints();
        let listed = checkpoints.list()?;
        let sound: Vec<u64> =
            listed.into_iter().filter(|(_, path)| checkpoint::open(path).is_ok()).map(|(step, _)| step).collect();
        let batches = self.job.task.batches(*epoch).len() as u64;
        let onset = match anomaly.site {
            Site::Divergence => self.state.progress.divergence.onset(),
            _ => None,
        };
        let found = Onset {
            step: *step,
            global_batch: batch.map_or(epoch * batches + batches - 1, |batch| batch.global_batch),
        };
        let Onset { step: first, global_batch } = onset.unwrap_or(found);
        let context = RollbackContext {
            step: first,
            global_batch,
            all_steps: self.recipe().training.epochs as u64
                * batches.div_ceil(self.recipe().training.accumulate as u64),
            loaded_at: self.loaded_at,
            checkpoints: &sound,
        };
        let Some((next, rejected)) = recovery::roll_back(recovery, context) else {
            return Err(self.diagnose(anomaly, batch)?);
        };
        let changes = json!({
            "attempt": next.region.map(|region| region.attempts), "of_run": next.generation, "back_to": next.target,
            "learning_rate_factor": next.learning_rate_factor, "clip_factor": next.clip_factor, "warm_up_from": next.warm_up_from,
            "optimizer_reset": recovery::resets_optimizer(&next), "postponed": next.postponed, "rejected": rejected,
            "first": first, "untrained_loss": self.state.progress.divergence.untrained().map(|untrained| untrained.loss),
        });
        self.log_event("roll back", batch, anomaly, changes)?;
        self.job.folder.record_rollback(&next)?;
        let target = next.target.map_or_else(|| "the start".to_owned(), |step| format!("step {step}"));
        observer.note(&format!(
            "{anomaly} at step {step}: rolling back to {target}, learning rate × {:.3} (rollback {} of at most \
             {ATTEMPTS_IN_A_RUN})",
            next.learning_rate_factor, next.generation
        ));
        Ok(())
    }

    /// The diagnosis when no rollback is left: invalid data if the batch fails with freshly initialized weights too, else
    /// divergence.
    fn diagnose(&self, anomaly: &Anomaly, batch: Option<&Batch>) -> Result<TrainError, TrainError> {
        let Progress { step, epoch, .. } = self.state.progress;
        let fresh = State::initial(self.job.context(), None);
        let is_bad = batch.is_some_and(|batch| {
            let read = fresh.step(self.job.context(), batch, 2);
            read.is_err_and(|anomaly| matches!(anomaly.site, Site::Data | Site::Loss | Site::Gradient))
        });
        let reason = anomaly.to_string();
        let diagnosis = match batch.filter(|_| is_bad) {
            Some(batch) => Diagnosis::InvalidData { anomaly: reason, batch: batch.index + 1, epoch: epoch + 1 },
            None => Diagnosis::Diverged { anomaly: reason, step },
        };
        self.log_event("stop", batch, anomaly, json!({"diagnosis": diagnosis.name()}))?;
        self.job.folder.record_diagnosis(&diagnosis)?;
        Ok(TrainError::diagnosed(diagnosis, self.recipe(), &self.job.folder.path))
    }

    /// Handles a retry with a different result, which is recorded the first time and an error the second time.
    pub(super) fn report_nondeterminism(
        &self,
        anomaly: &Anomaly,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        let Progress { step, recovery, .. } = &self.state.progress;
        if recovery.nondeterministic_retries > 0 {
            self.log_event("stop", None, anomaly, json!({"diagnosis": "not deterministic"}))?;
            return Err(TrainError::NotDeterministic { anomaly: anomaly.clone(), step: *step });
        }
        self.log_event("continue", None, anomaly, json!({"diagnosis": "not reproducible"}))?;
        observer.note(&format!("{anomaly} at step {step}, but not on retry: a hardware or driver fault"));
        Ok(())
    }
}
