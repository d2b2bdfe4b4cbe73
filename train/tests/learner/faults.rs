use std::cell::Cell;
use std::fs;
use std::io;
use std::path::Path;

use seqzoo_models::Architecture;
use seqzoo_run::checkpoint::CheckpointError;
use seqzoo_run::disk::{Disk, RealDisk};
use seqzoo_run::faults::{self, SITES};
use seqzoo_train::TrainError;

use crate::series::Series;
use crate::shaken::Shaken;
use crate::{NO_LIMITS, Trial};

/// By place of a fault: where it must be caught, and the tensor that must be named.
fn caught(site: &str) -> (&str, Option<&str>) {
    match site {
        "data" => ("data", Some("series")),
        "activation" | "loss" => ("loss", None),
        "gradient" => ("gradient", Some("output.bias")),
        "weights" => ("weight", Some("stack.layers")),
        "recurrent_state" => ("recurrent_state", Some("")),
        "metric" => ("validation", None),
        other => panic!("no such place: {other}"),
    }
}

#[test]
fn a_value_that_is_not_finite_is_caught_at_once_wherever_it_appears_and_never_saved() {
    for cell in [Architecture::Rnn, Architecture::Lstm, Architecture::Gru] {
        let whole = Trial::new(&[("checkpoints.every_steps", "2")]);
        whole.to_the_end(&Series(cell));
        for site in SITES {
            for value in ["nan", "inf", "-inf"] {
                // The metric appears after the second pass, all else within it.
                let at = if site == "metric" { 12 } else { 8 };
                let armed = faults::arm(&format!("{site}={value}@{at}")).unwrap();
                let trial = Trial::new(&[("checkpoints.every_steps", "2")]);
                trial.to_the_end(&Series(cell));
                drop(armed);
                let told = format!("{cell:?}, {site}={value}: {:?}", trial.events());
                assert_eq!(trial.decisions(), ["retry", "continue"], "{told}");
                let (first, (site, tensor)) = (&trial.events()[0], caught(site));
                assert_eq!((first["step"].as_u64(), first["site"].as_str()), (Some(at), Some(site)), "{told}");
                assert!(tensor.is_none_or(|part| first["tensor"].as_str().unwrap().contains(part)), "{told}");
                trial.assert_sound();
                // Nothing was lost: the batch was read again from the state before it.
                assert_eq!(trial.newest().weights, whole.newest().weights, "{told}");
                assert_eq!(trial.newest().progress.recovery.glitches, 1, "{told}");
                let summary = trial.newest().progress.recovery.summary().unwrap();
                assert!(summary.contains("1 batch gave a different result"), "{summary}");
            }
        }
    }
}

#[test]
fn a_value_that_comes_again_is_skipped_with_the_state_before_it() {
    for site in ["data", "activation", "loss", "gradient", "weights", "recurrent_state"] {
        // Batch 3 of each pass: one skip a pass is within the budget.
        let armed = faults::arm(&format!("{site}=nan@3+")).unwrap();
        let trial = Trial::new(&[("training.epochs", "2")]);
        let notes = trial.to_the_end(&Series(Architecture::Lstm));
        drop(armed);
        assert_eq!(trial.decisions(), ["retry", "skip", "retry", "skip"], "{site}");
        assert!(notes[0].contains("batch skipped"), "{notes:?}");
        let progress = trial.newest().progress;
        assert_eq!((progress.step, progress.recovery.skips), (10, 2), "{site}");
        assert_eq!(progress.recovery.summary().unwrap(), "2 batches skipped");
        trial.assert_sound();
    }
}

#[test]
fn a_huge_finite_gradient_is_clipped_to_its_threshold_and_poisons_nothing() {
    let trial = Trial::new(&[("optimizer.kind", "sgd"), ("training.epochs", "1"), ("training.clip_norm", "0.5")]);
    let armed = faults::arm("gradient=1e20@2").unwrap();
    trial.until(&Series(Architecture::Rnn), 2);
    let before = trial.newest().weights;
    trial.until(&Series(Architecture::Rnn), 3);
    drop(armed);
    let after = trial.newest().weights;
    let moved: f64 = before
        .iter()
        .flat_map(|(name, old)| old.values.iter().zip(&after[name].values))
        .map(|(old, new)| f64::from(new - old).powi(2))
        .sum();
    // An update of a gradient of norm 0.5 at a rate of 0.05.
    assert!((moved.sqrt() - 0.025).abs() < 1e-5, "{}", moved.sqrt());
    assert!(trial.newest().progress.norms.largest > 1e17 && trial.events().is_empty());
}

/// Fails at the n-th write or commit, once, as a full disk does.
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
fn every_write_of_a_run_fails_once_and_nothing_is_lost() {
    // Saves fall before and after the validation of a pass, too.
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
fn every_named_point_fails_once_and_the_run_ends_as_if_it_had_not() {
    // Twelve losses, then eight that are no numbers: four batches are given up, the last of which ends in a rollback.
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
            // The task counts on through the failure, as a batch does that is read in the process that follows.
            let task = task();
            let (result, _) = trial.train(&task, &RealDisk, NO_LIMITS);
            if !armed.happened() {
                break;
            }
            drop(armed);
            failed.push(point);
            // A checkpoint that cannot be read is no error: the one before it is used.
            let is_told = matches!(result, Err(TrainError::Checkpoint(_) | TrainError::Folder(_)));
            assert!(is_told || point == "load-read", "{point}, time {time}: {result:?}");
            trial.assert_sound();
            let (result, _) = trial.train(&task, &RealDisk, NO_LIMITS);
            assert!(result.is_ok(), "{point}, time {time}: {result:?}");
            trial.assert_sound();
        }
    }
    failed.dedup();
    assert_eq!(failed, faults::POINTS, "every point was passed and failed");
}

#[test]
fn accumulated_gradients_are_applied_after_a_skipped_last_batch_only_if_everything_stays_finite() {
    let values = [("training.accumulate", "4"), ("training.epochs", "2")];
    // Ten batches: updates after four, after eight, and, although the last one is skipped, after nine.
    let trial = Trial::new(&values);
    let armed = faults::arm("loss=nan@9+").unwrap();
    trial.to_the_end(&Shaken::default());
    drop(armed);
    assert_eq!(trial.newest().progress.step, 6);
    for value in ["nan", "inf"] {
        let trial = Trial::new(&values);
        let armed = faults::arm(&format!("loss=nan@9+,weights={value}@9+")).unwrap();
        let (result, _) = trial.train(&Shaken::default(), &RealDisk, NO_LIMITS);
        drop(armed);
        assert!(matches!(result, Err(TrainError::BadData { batch: 10, .. })), "{result:?}");
        let events = trial.events();
        let rolled = events.iter().find(|event| event["event"] == "roll back").unwrap();
        assert_eq!((&rolled["site"], &rolled["tensor"]), (&"weight".into(), &"theta".into()));
        assert!(
            events.iter().all(|event| event["site"] != "validation"),
            "found before anything is made of it: {events:?}"
        );
        trial.assert_sound();
    }
}
