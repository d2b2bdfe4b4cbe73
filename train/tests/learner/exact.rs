use std::sync::atomic::AtomicBool;

use seqzoo_datasets::scores::Metric;
use seqzoo_models::Architecture;
use seqzoo_run::disk::RealDisk;
use seqzoo_run::folder::Environment;
use seqzoo_run::progress::EndReason;
use seqzoo_run::store::RunStore;
use seqzoo_train::range::range_test;
use seqzoo_train::speed::speed;
use seqzoo_train::{Limits, Outcome, Stopped, TrainError};

use crate::series::{Series, WINDOWS};
use crate::shaken::Shaken;
use crate::{NO_LIMITS, Trial, settings};

/// Gradient accumulation: ten batches per epoch make four updates.
const ACCUMULATED: [(&str, &str); 2] = [("training.accumulate", "3"), ("training.clip_value", "2")];

#[test]
fn resuming_after_any_step_is_bit_exact() {
    let whole = Trial::new(&[]);
    whole.to_the_end(&Shaken::default());
    for step in 1..40 {
        let trial = Trial::new(&[]);
        trial.until(&Shaken::default(), step);
        trial.to_the_end(&Shaken::default());
        assert!(trial.outcome() == whole.outcome(), "paused after step {step}");
    }
}

#[test]
fn resuming_after_every_step_is_bit_exact() {
    let [trial, whole] = [0, 1].map(|_| Trial::new(&[]));
    for step in 1..=39 {
        trial.until(&Shaken::default(), step);
    }
    trial.to_the_end(&Shaken::default());
    whole.to_the_end(&Shaken::default());
    assert!(trial.outcome() == whole.outcome());
}

#[test]
fn stopping_after_any_batch_even_during_accumulation_is_bit_exact() {
    let whole = Trial::new(&ACCUMULATED);
    whole.to_the_end(&Shaken::default());
    assert_eq!(
        whole.latest().progress.step,
        16,
        "an update every three batches, and one for the last batch of an epoch"
    );
    for batch in 1..40 {
        let trial = Trial::new(&ACCUMULATED);
        let stop: &'static AtomicBool = Box::leak(Box::default());
        let task = Shaken { stop_at: Some((batch, stop)), ..Shaken::default() };
        let (result, _) = trial.train(&task, &RealDisk, Limits { stop, ..NO_LIMITS });
        assert_eq!(result.unwrap(), Stopped::Requested);
        let progress = trial.latest().progress;
        assert_eq!(progress.epoch * 10 + progress.batch, batch as u64, "stopped within one batch");
        trial.to_the_end(&Shaken::default());
        assert!(trial.outcome() == whole.outcome(), "stopped after batch {batch}");
    }
}

#[test]
fn every_cell_optimizer_and_schedule_resumes_exactly() {
    let cells = Architecture::ALL.into_iter().filter(|architecture| architecture.directions() == 1);
    for cell in cells {
        for optimizer in ["sgd", "adam", "adamw", "rmsprop", "asgd"] {
            for schedule in ["constant", "step", "linear", "cosine", "one-cycle", "plateau"] {
                let own: &[(&str, &str)] = match optimizer {
                    "sgd" | "rmsprop" => &[("optimizer.momentum", "0.5")],
                    "asgd" => &[("optimizer.momentum", "0.5"), ("optimizer.averaging_patience", "1")],
                    _ => &[],
                };
                let common = [
                    ("optimizer.kind", optimizer),
                    ("optimizer.weight_decay", "0.01"),
                    ("schedule.kind", schedule),
                    ("schedule.warmup_steps", "3"),
                    ("training.epochs", "3"),
                    ("training.learning_rate", "0.02"),
                ];
                let values = [&common, own].concat();
                let [whole, parts] = [0, 1].map(|_| Trial::new(&values));
                whole.to_the_end(&Series(cell));
                // Within the first epoch, and within a later one.
                parts.until(&Series(cell), 4);
                parts.until(&Series(cell), WINDOWS as u64 * 2 + 3);
                assert!(!parts.latest().recurrent_state.is_empty());
                parts.to_the_end(&Series(cell));
                assert!(parts.outcome() == whole.outcome(), "{cell:?}, {optimizer}, {schedule}");
            }
        }
    }
}

#[test]
fn a_stop_during_validation_takes_effect_and_validation_runs_on_resume() {
    let [trial, whole] = [0, 1].map(|_| Trial::new(&[]));
    let stop: &'static AtomicBool = Box::leak(Box::default());
    let task = Shaken { stop_in_validation: Some(stop), ..Shaken::default() };
    let (result, _) = trial.train(&task, &RealDisk, Limits { stop, ..NO_LIMITS });
    assert_eq!(result.unwrap(), Stopped::Requested);
    let progress = trial.latest().progress;
    assert_eq!((progress.step, progress.epoch, progress.batch, progress.history.len()), (10, 0, 10, 0));
    trial.to_the_end(&Shaken::default());
    whole.to_the_end(&Shaken::default());
    assert!(trial.outcome() == whole.outcome());
}

#[test]
fn the_latest_and_the_best_checkpoints_are_kept() {
    let trial = Trial::new(&[("checkpoints.every_steps", "4"), ("checkpoints.keep", "2")]);
    trial.until(&Shaken::default(), 27);
    let steps =
        || -> Vec<u64> { trial.folder().checkpoints().list().unwrap().into_iter().map(|(step, _)| step).collect() };
    let best = trial.latest().progress.best(trial.settings.recipe.stopping_metric()).unwrap().step;
    let mut expected = vec![best, 24, 27];
    expected.dedup();
    assert_eq!(steps(), expected);
    trial.to_the_end(&Shaken::default());
    assert!(steps().ends_with(&[38, 40]), "{:?}", steps());
}

#[test]
fn the_checkpoint_interval_changes_no_result() {
    let [seldom, often] = ["0", "1"].map(|every| Trial::new(&[("checkpoints.every_steps", every)]));
    for trial in [&seldom, &often] {
        trial.to_the_end(&Shaken::default());
    }
    let [seldom, often] = [&seldom, &often].map(|trial| {
        let mut files = trial.outcome();
        // Contains the recipe, which differs in the interval.
        files.remove("about.json");
        files
    });
    assert!(seldom == often);
}

#[test]
fn a_checkpoint_of_another_dataset_is_refused() {
    let mut trial = Trial::new(&[]);
    trial.to_the_end(&Shaken::default());
    trial.digest = "other data";
    let (result, _) = trial.train(&Shaken::default(), &RealDisk, NO_LIMITS);
    assert!(matches!(result, Err(TrainError::OtherRun { what: "data", .. })), "{result:?}");
}

#[test]
fn a_run_is_locked_until_the_lock_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let environment = Environment::now(settings(&[]), "flex", "0".to_owned());
    let run = RunStore::new(dir.path()).create(Some(&dir.path().join("run")), environment).unwrap();
    let lock = run.lock().unwrap();
    assert!(run.lock().unwrap_err().to_string().contains("is locked"));
    drop(lock);
    run.lock().unwrap();
}

#[test]
fn a_task_without_batches_is_an_error_in_training_range_test_and_speed() {
    let trial = Trial::new(&[]);
    let (empty, device) = (Shaken { empty: true, ..Shaken::default() }, burn::tensor::Device::flex());
    let recipe = &trial.settings.recipe;
    let errors = [
        trial.train(&empty, &RealDisk, NO_LIMITS).0.err(),
        range_test(&empty, recipe, None, 10, &device).err(),
        speed(&empty, recipe, 10, &device).err(),
    ];
    for error in errors {
        let error = error.unwrap();
        assert!(
            matches!(error, TrainError::NoBatches) && error.to_string().contains("use more training data"),
            "{error}"
        );
    }
}

#[test]
fn resuming_an_ended_run_trains_nothing() {
    let trial = Trial::new(&[("training.epochs", "2")]);
    let ended = |outcome: Outcome| (outcome.already_complete, outcome.epochs, outcome.ended);
    assert_eq!(ended(trial.outcome_of(&Shaken::default())), (false, 2, Some(EndReason::Epochs(2))));
    assert_eq!(ended(trial.outcome_of(&Shaken::default())), (true, 2, Some(EndReason::Epochs(2))));
}

#[test]
fn early_stopping_names_the_metric_the_best_epoch_and_the_last() {
    // The learning rate is negligible: the first epoch remains the best.
    let values = [("training.learning_rate", "1e-30"), ("stopping.patience", "2"), ("training.epochs", "9")];
    let ended = Trial::new(&values).outcome_of(&Shaken::default()).ended.unwrap();
    assert_eq!(ended, EndReason::Early { epoch: 3, epochs: 9, metric: Metric::ACCURACY, best: 1 });
    assert_eq!(
        ended.to_string(),
        "stopped early after epoch 3 of 9: validation accuracy has not improved since epoch 1"
    );
}
