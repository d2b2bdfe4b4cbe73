use std::cell::Cell;
use std::fs;
use std::io;
use std::path::Path;

use seqzoo_models::Architecture;
use seqzoo_run::checkpoint::CheckpointError;
use seqzoo_run::disk::{Disk, RealDisk};
use seqzoo_run::faults::{self, SITES};
use seqzoo_run::record::Diagnosis;
use seqzoo_train::TrainError;

use crate::series::Series;
use crate::shaken::Shaken;
use crate::{NO_LIMITS, Trial};

/// By injection site: where the anomaly must be detected, and the tensor that must be named.
fn detected(site: &str) -> (&str, Option<&str>) {
    match site {
        "data" => ("data", Some("series")),
        "activation" | "loss" => ("loss", None),
        "gradient" => ("gradient", Some("output.bias")),
        "weights" => ("weight", Some("stack.layers")),
        "recurrent_state" => ("recurrent_state", Some("")),
        "metric" => ("validation", None),
        other => panic!("no such site: {other}"),
    }
}

#[test]
fn a_value_that_is_not_finite_at_any_site_is_detected_at_once_and_never_saved() {
    for cell in [Architecture::Rnn, Architecture::Lstm, Architecture::Gru] {
        let whole = Trial::new(&[("checkpoints.every_steps", "2")]);
        whole.to_the_end(&Series(cell));
        for site in SITES {
            for value in ["nan", "inf", "-inf"] {
                // The metric is measured after the second epoch, everything else within it.
                let at = if site == "metric" { 12 } else { 8 };
                let armed = faults::arm(&format!("{site}={value}@{at}")).unwrap();
                let trial = Trial::new(&[("checkpoints.every_steps", "2")]);
                trial.to_the_end(&Series(cell));
                drop(armed);
                let context = format!("{cell:?}, {site}={value}: {:?}", trial.events());
                assert_eq!(trial.decisions(), ["retry", "continue"], "{context}");
                let (first, (site, tensor)) = (&trial.events()[0], detected(site));
                assert_eq!((first["step"].as_u64(), first["site"].as_str()), (Some(at), Some(site)), "{context}");
                assert!(tensor.is_none_or(|part| first["tensor"].as_str().unwrap().contains(part)), "{context}");
                trial.assert_sound();
                // Nothing was lost: the batch was retried from the state before it.
                assert_eq!(trial.latest().weights, whole.latest().weights, "{context}");
                assert_eq!(trial.latest().progress.recovery.nondeterministic_retries, 1, "{context}");
                let summary = trial.latest().progress.recovery.summary().unwrap();
                assert!(summary.contains("1 batch gave a different result"), "{summary}");
            }
        }
    }
}

#[test]
fn a_batch_that_fails_twice_is_skipped() {
    for site in ["data", "activation", "loss", "gradient", "weights", "recurrent_state"] {
        // Batch 3 of each epoch: one skip per epoch is within the budget.
        let armed = faults::arm(&format!("{site}=nan@3+")).unwrap();
        let trial = Trial::new(&[("training.epochs", "2")]);
        let notes = trial.to_the_end(&Series(Architecture::Lstm));
        drop(armed);
        assert_eq!(trial.decisions(), ["retry", "skip", "retry", "skip"], "{site}");
        assert!(notes[0].contains("batch skipped"), "{notes:?}");
        let progress = trial.latest().progress;
        assert_eq!((progress.step, progress.recovery.skips), (10, 2), "{site}");
        assert_eq!(progress.recovery.summary().unwrap(), "2 batches skipped");
        trial.assert_sound();
    }
}

#[test]
fn a_huge_finite_gradient_is_clipped_to_the_threshold() {
    let trial = Trial::new(&[("optimizer.kind", "sgd"), ("training.epochs", "1"), ("training.clip_norm", "0.5")]);
    let armed = faults::arm("gradient=1e20@2").unwrap();
    trial.until(&Series(Architecture::Rnn), 2);
    let before = trial.latest().weights;
    trial.until(&Series(Architecture::Rnn), 3);
    drop(armed);
    let after = trial.latest().weights;
    let moved: f64 = before
        .iter()
        .flat_map(|(name, old)| old.values.iter().zip(&after[name].values))
        .map(|(old, new)| f64::from(new - old).powi(2))
        .sum();
    // Gradient norm 0.5 times learning rate 0.05.
    assert!((moved.sqrt() - 0.025).abs() < 1e-5, "{}", moved.sqrt());
    assert!(trial.latest().progress.norms.largest > 1e17 && trial.events().is_empty());
}

/// Fails once, at the n-th write or commit, like a full disk.
struct Full {
    operations: Cell<usize>,
    at: usize,
}

impl Full {
    fn fails_now(&self) -> bool {
        self.operations.set(self.operations.get() + 1);
        self.operations.get() == self.at
    }
}

impl Disk for Full {
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        if self.fails_now() {
            fs::write(path, &bytes[..bytes.len() / 2])?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        RealDisk.write(path, bytes)
    }

    fn commit(&self, from: &Path, to: &Path) -> io::Result<()> {
        if self.fails_now() { Err(io::ErrorKind::StorageFull.into()) } else { RealDisk.commit(from, to) }
    }
}

#[test]
fn a_failed_write_at_any_operation_loses_nothing() {
    // Saves also fall before and after the validation of an epoch.
    let values = [("checkpoints.every_steps", "5"), ("training.accumulate", "2"), ("training.epochs", "2")];
    let whole = Trial::new(&values);
    let counting = Full { operations: Cell::new(0), at: 0 };
    whole.train(&Shaken::default(), &counting, NO_LIMITS).0.unwrap();
    let operations = counting.operations.get();
    assert!(operations >= 3 * 7, "{operations}");
    for at in 1..=operations {
        let trial = Trial::new(&values);
        let (result, _) = trial.train(&Shaken::default(), &Full { operations: Cell::new(0), at }, NO_LIMITS);
        let Err(TrainError::Checkpoint(error @ CheckpointError::Unwritable { .. })) = result else {
            panic!("{result:?}")
        };
        assert!(error.to_string().contains("step-") || error.to_string().contains("saving-"), "{error}");
        trial.to_the_end(&Shaken::default());
        assert!(trial.outcome() == whole.outcome(), "operation {at}");
    }
}

#[test]
fn a_run_resumes_after_an_error_at_any_point() {
    // Twelve finite losses, then eight NaN losses: four batches fail twice, three are skipped and the fourth causes a rollback.
    let values = [("checkpoints.every_steps", "2"), ("training.epochs", "2")];
    let whole = Trial::new(&values);
    let task = || Shaken { bad_losses: Cell::new(8), ..Shaken::default() };
    whole.to_the_end(&task());
    assert_eq!(whole.decisions().iter().filter(|event| *event == "roll back").count(), 1, "{:?}", whole.decisions());
    let mut failed = Vec::new();
    for point in faults::POINTS {
        for time in 1..=40 {
            let trial = Trial::new(&values);
            let armed = faults::arm(&format!("{point}=error@{time}")).unwrap();
            // The same task continues after the failure, so that its count of losses does too.
            let task = task();
            let (result, _) = trial.train(&task, &RealDisk, NO_LIMITS);
            if !armed.happened() {
                break;
            }
            drop(armed);
            failed.push(point);
            // A checkpoint that cannot be read is not an error: the previous one is used.
            let is_reported = matches!(result, Err(TrainError::Checkpoint(_) | TrainError::Folder(_)));
            assert!(is_reported || point == "load-read", "{point}, time {time}: {result:?}");
            trial.assert_sound();
            let (result, _) = trial.train(&task, &RealDisk, NO_LIMITS);
            assert!(result.is_ok(), "{point}, time {time}: {result:?}");
            trial.assert_sound();
        }
    }
    failed.dedup();
    assert_eq!(failed, faults::POINTS, "an error was injected at every point");
}

#[test]
fn accumulated_gradients_are_applied_after_a_skipped_last_batch_only_if_everything_stays_finite() {
    let values = [("training.accumulate", "4"), ("training.epochs", "2")];
    // Ten batches per epoch: updates after batches 4, 8 and, although the last one is skipped, 9.
    let trial = Trial::new(&values);
    let armed = faults::arm("loss=nan@9+").unwrap();
    trial.to_the_end(&Shaken::default());
    drop(armed);
    assert_eq!(trial.latest().progress.step, 6);
    for value in ["nan", "inf"] {
        let trial = Trial::new(&values);
        let armed = faults::arm(&format!("loss=nan@9+,weights={value}@9+")).unwrap();
        let (result, _) = trial.train(&Shaken::default(), &RealDisk, NO_LIMITS);
        drop(armed);
        let Err(TrainError::Diagnosed { diagnosis, .. }) = result else { panic!("{result:?}") };
        assert!(matches!(diagnosis, Diagnosis::InvalidData { batch: 10, .. }), "{diagnosis}");
        let events = trial.events();
        let rollback = events.iter().find(|event| event["event"] == "roll back").unwrap();
        assert_eq!((&rollback["site"], &rollback["tensor"]), (&"weight".into(), &"theta".into()));
        assert!(events.iter().all(|event| event["site"] != "validation"), "detected before validation: {events:?}");
        trial.assert_sound();
    }
}
