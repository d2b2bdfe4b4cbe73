use std::sync::atomic::AtomicBool;

use seqzoo_models::Architecture;
use seqzoo_run::disk::RealDisk;
use seqzoo_run::folder::{Environment, Run};
use seqzoo_train::{Limits, Stopped, TrainError};

use crate::series::{Series, WINDOWS};
use crate::shaken::Shaken;
use crate::{NO_LIMITS, Trial, settings};

/// Values under which ten batches a pass make four updates.
const ACCUMULATED: [(&str, &str); 2] = [("training.accumulate", "3"), ("training.clip_value", "2")];

#[test]
fn resuming_after_any_step_is_exact_to_the_bit() {
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
fn resuming_after_every_step_is_exact_to_the_bit() {
    let [trial, whole] = [0, 1].map(|_| Trial::new(&[]));
    for step in 1..=39 {
        trial.until(&Shaken::default(), step);
    }
    trial.to_the_end(&Shaken::default());
    whole.to_the_end(&Shaken::default());
    assert!(trial.outcome() == whole.outcome());
}

#[test]
fn stopping_after_any_batch_even_amid_an_accumulation_is_exact_to_the_bit() {
    let whole = Trial::new(&ACCUMULATED);
    whole.to_the_end(&Shaken::default());
    assert_eq!(
        whole.newest().progress.step,
        16,
        "three batches make an update, and the last of a pass makes one alone"
    );
    for batch in 1..40 {
        let trial = Trial::new(&ACCUMULATED);
        let asked: &'static AtomicBool = Box::leak(Box::default());
        let task = Shaken { stop_at: Some((batch, asked)), ..Shaken::default() };
        let (result, _) = trial.train(&task, &RealDisk, Limits { stop: asked, ..NO_LIMITS });
        assert_eq!(result.unwrap(), Stopped::Asked);
        let progress = trial.newest().progress;
        assert_eq!(progress.epoch * 10 + progress.batch, batch as u64, "met within one batch");
        trial.to_the_end(&Shaken::default());
        assert!(trial.outcome() == whole.outcome(), "stopped after batch {batch}");
    }
}

#[test]
fn every_cell_optimiser_and_schedule_resumes_exactly() {
    let cells = Architecture::ALL.into_iter().filter(|architecture| architecture.directions() == 1);
    for cell in cells {
        for optimizer in ["sgd", "adam", "adamw", "rmsprop", "asgd"] {
            for schedule in ["constant", "step", "linear", "cosine", "one-cycle", "plateau"] {
                let values = [
                    ("optimizer.kind", optimizer),
                    ("optimizer.momentum", "0.5"),
                    ("optimizer.weight_decay", "0.01"),
                    ("optimizer.trigger", "1"),
                    ("schedule.kind", schedule),
                    ("schedule.warmup_steps", "3"),
                    ("training.epochs", "3"),
                    ("training.learning_rate", "0.02"),
                ];
                let [whole, parts] = [0, 1].map(|_| Trial::new(&values));
                whole.to_the_end(&Series(cell));
                // Within a pass, and within the one after it.
                parts.until(&Series(cell), 4);
                parts.until(&Series(cell), WINDOWS as u64 * 2 + 3);
                assert!(!parts.newest().carried.is_empty());
                parts.to_the_end(&Series(cell));
                assert!(parts.outcome() == whole.outcome(), "{cell:?}, {optimizer}, {schedule}");
            }
        }
    }
}

#[test]
fn a_request_to_stop_during_validation_is_met_and_the_pass_validated_on_resume() {
    let [trial, whole] = [0, 1].map(|_| Trial::new(&[]));
    let asked: &'static AtomicBool = Box::leak(Box::default());
    let task = Shaken { stop_in_validation: Some(asked), ..Shaken::default() };
    let (result, _) = trial.train(&task, &RealDisk, Limits { stop: asked, ..NO_LIMITS });
    assert_eq!(result.unwrap(), Stopped::Asked);
    let progress = trial.newest().progress;
    assert_eq!((progress.step, progress.epoch, progress.batch, progress.history.len()), (10, 0, 10, 0));
    trial.to_the_end(&Shaken::default());
    whole.to_the_end(&Shaken::default());
    assert!(trial.outcome() == whole.outcome());
}

#[test]
fn checkpoints_are_saved_by_steps_and_the_newest_and_the_best_are_kept() {
    let trial = Trial::new(&[("checkpoints.every_steps", "4"), ("checkpoints.keep", "2")]);
    trial.until(&Shaken::default(), 27);
    let steps =
        || -> Vec<u64> { trial.folder().checkpoints().list().unwrap().into_iter().map(|(step, _)| step).collect() };
    let best = trial.newest().progress.best(trial.settings.recipe.stopping.metric).unwrap().step;
    let mut expected = vec![best, 24, 27];
    expected.dedup();
    assert_eq!(steps(), expected);
    trial.to_the_end(&Shaken::default());
    assert!(steps().ends_with(&[38, 40]), "{:?}", steps());
}

#[test]
fn how_often_checkpoints_are_saved_changes_no_result() {
    let [seldom, often] = ["0", "1"].map(|every| Trial::new(&[("checkpoints.every_steps", every)]));
    for trial in [&seldom, &often] {
        trial.to_the_end(&Shaken::default());
    }
    let [seldom, often] = [&seldom, &often].map(|trial| {
        let mut files = trial.outcome();
        // It holds the recipe, which differs in that interval.
        files.remove("about.json");
        files
    });
    assert!(seldom == often);
}

#[test]
fn a_checkpoint_of_other_data_is_refused() {
    let mut trial = Trial::new(&[]);
    trial.to_the_end(&Shaken::default());
    trial.digest = "other data";
    let (result, _) = trial.train(&Shaken::default(), &RealDisk, NO_LIMITS);
    assert!(matches!(result, Err(TrainError::Foreign { what: "data", .. })), "{result:?}");
}

#[test]
fn a_run_is_locked_while_it_trains_and_free_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    let environment = Environment::now(settings(&[]), "flex", "0".to_owned());
    let run = Run::create(Some(&dir.path().join("run")), environment).unwrap();
    let lock = run.lock().unwrap();
    assert!(run.lock().unwrap_err().to_string().contains("is locked"));
    drop(lock);
    run.lock().unwrap();
}
