use std::cell::Cell;
use std::fs;

use seqzoo_models::Architecture;
use seqzoo_run::checkpoint::CheckpointError;
use seqzoo_run::disk::RealDisk;
use seqzoo_run::faults;
use seqzoo_run::progress::Snapshot;
use seqzoo_run::record::Diagnosis;
use seqzoo_train::TrainError;
use seqzoo_train::recovery::ATTEMPTS_IN_A_RUN;

use crate::series::Series;
use crate::shaken::Shaken;
use crate::{NO_LIMITS, Trial};

#[test]
fn a_second_nondeterministic_retry_ends_training() {
    let trial = Trial::new(&[]);
    let _armed = faults::arm("loss=nan@4,gradient=inf@9").unwrap();
    let (result, notes) = trial.train(&Series(Architecture::Gru), &RealDisk, NO_LIMITS);
    assert!(matches!(result, Err(TrainError::NotDeterministic { step: 9, .. })), "{result:?}");
    assert!(notes[0].contains("a hardware or driver fault"), "{notes:?}");
    assert_eq!(trial.decisions(), ["retry", "continue", "retry", "stop"]);
    trial.assert_sound();
}

#[test]
fn a_persistently_invalid_batch_ends_training_within_the_budget() {
    let trial = Trial::new(&[("training.epochs", "400"), ("checkpoints.every_steps", "5")]);
    let _armed = faults::arm("activation=nan@2+").unwrap();
    let (result, _) = trial.train(&Series(Architecture::Rnn), &RealDisk, NO_LIMITS);
    let Err(error @ TrainError::Diagnosed { diagnosis: Diagnosis::InvalidData { batch: 3, .. }, .. }) = result else {
        panic!("{result:?}")
    };
    assert!(error.to_string().contains("invalid data: the loss is NaN in batch 3 of epoch"), "{error}");
    let rollbacks = trial.decisions().iter().filter(|event| *event == "roll back").count();
    assert!((1..=ATTEMPTS_IN_A_RUN as usize).contains(&rollbacks), "{rollbacks}");
    trial.assert_sound();
}

#[test]
fn an_unstable_recipe_ends_training_within_the_budget() {
    for (optimizer, cell) in [("sgd", Architecture::Rnn), ("adam", Architecture::Lstm), ("sgd", Architecture::ReluRnn)]
    {
        let values = [
            ("training.learning_rate", "1e6"),
            ("training.epochs", "100"),
            ("optimizer.kind", optimizer),
            ("checkpoints.every_steps", "5"),
        ];
        let trial = Trial::new(&values);
        let (result, _) = trial.train(&Series(cell), &RealDisk, NO_LIMITS);
        let Err(error) = result else { panic!("{optimizer}: {result:?}") };
        assert!(is_divergence(&error), "{error}");
        assert!(error.to_string().contains("a smaller training.learning_rate (this run: 1e6)"), "{error}");
        assert_eq!(trial.decisions().last().unwrap(), "stop");
        trial.assert_sound();
    }
}

fn is_divergence(error: &TrainError) -> bool {
    matches!(error, TrainError::Diagnosed { diagnosis: Diagnosis::Diverged { .. }, .. })
}

#[test]
fn resuming_a_diverged_run_returns_its_diagnosis_and_changes_nothing() {
    let trial =
        Trial::new(&[("training.learning_rate", "1e6"), ("optimizer.kind", "sgd"), ("training.clip_norm", "0")]);
    let task = Series(Architecture::Rnn);
    let (first, _) = trial.train(&task, &RealDisk, NO_LIMITS);
    let (first, events) = (first.unwrap_err(), trial.events());
    assert!(is_divergence(&first), "{first}");
    assert!(first.to_string().contains("gradient clipping (training.clip_norm; this run: none)"), "{first}");
    let (second, notes) = trial.train(&task, &RealDisk, NO_LIMITS);
    assert_eq!((second.unwrap_err().to_string(), notes), (first.to_string(), Vec::new()));
    assert_eq!(trial.events(), events, "nothing was tried again");
}

#[test]
fn checkpoints_with_nan_are_quarantined_and_having_none_left_is_an_error() {
    let trial = Trial::new(&[("checkpoints.every_steps", "4")]);
    trial.until(&Shaken::default(), 9);
    let checkpoints = trial.folder().checkpoints();
    let mut listed = checkpoints.list().unwrap();
    // As if a hardware fault had been saved: the checksums match, but the weights are NaN.
    let corrupt = |step: u64, path: &std::path::Path| {
        let mut snapshot = Snapshot::of(&seqzoo_run::checkpoint::open(path).unwrap()).unwrap();
        snapshot.weights.values_mut().for_each(|array| array.values[0] = f32::NAN);
        fs::remove_dir_all(path).unwrap();
        checkpoints.save(step, &snapshot.to_files(), &RealDisk).unwrap();
    };
    let (step, latest) = listed.pop().unwrap();
    corrupt(step, &latest);
    let notes = {
        let (result, notes) =
            trial.train(&Shaken::default(), &RealDisk, seqzoo_train::Limits { max_steps: Some(9), ..NO_LIMITS });
        result.unwrap();
        notes
    };
    assert!(notes[0].contains("theta contains NaN"), "{notes:?}");
    assert!(notes[0].contains("resuming from the previous checkpoint"), "{notes:?}");
    assert_eq!(trial.decisions(), ["quarantine"]);
    for (step, path) in checkpoints.list().unwrap() {
        corrupt(step, &path);
    }
    let (result, _) = trial.train(&Shaken::default(), &RealDisk, NO_LIMITS);
    let Err(TrainError::Checkpoint(error @ CheckpointError::NoneUsable { .. })) = result else { panic!("{result:?}") };
    assert!(error.to_string().contains("theta contains NaN"), "{error}");
}

/// Eight NaN losses: four batches fail twice; three are skipped and the fourth causes a rollback.
#[test]
fn training_finishes_after_a_rollback_to_an_older_checkpoint() {
    let trial = Trial::new(&[("checkpoints.every_steps", "1"), ("checkpoints.keep", "50")]);
    let task = Shaken { bad_losses: Cell::new(8), ..Shaken::default() };
    let notes = trial.to_the_end(&task);
    let events = trial.events();
    let rollback = events.iter().find(|event| event["event"] == "roll back").unwrap();
    assert_eq!(
        (rollback["step"].as_u64(), rollback["back_to"].as_u64()),
        (Some(12), Some(2)),
        "ten updates earlier: {rollback}"
    );
    assert!(notes.iter().any(|note| note.contains("rolling back to step 2")), "{notes:?}");
    let progress = trial.latest().progress;
    assert_eq!((progress.step, progress.recovery.generation, progress.recovery.learning_rate_factor), (40, 1, 1.0));
    assert_eq!(progress.recovery.summary().unwrap(), "3 batches skipped, rolled back 1 time, 3 batches postponed");
    let quarantined = fs::read_dir(trial.path("checkpoints")).unwrap().map(|entry| entry.unwrap().file_name());
    let quarantined = quarantined.filter(|name| name.to_string_lossy().starts_with("rolled-back-1-step-")).count();
    assert_eq!(quarantined, 10, "steps 3 to 12 are quarantined");
    trial.assert_sound();
}

#[test]
fn without_an_old_enough_checkpoint_training_restarts_at_half_the_learning_rate() {
    let trial = Trial::new(&[("checkpoints.keep", "1")]);
    let task = Shaken { bad_losses: Cell::new(8), ..Shaken::default() };
    let notes = trial.to_the_end(&task);
    assert!(notes.iter().any(|note| note.contains("rolling back to the start, learning rate × 0.500")), "{notes:?}");
    let progress = trial.latest().progress;
    assert_eq!((progress.step, progress.recovery.learning_rate_factor), (40, 0.5));
    trial.assert_sound();
}

#[test]
fn postponed_batches_come_at_the_end_of_their_epoch() {
    let trial = Trial::new(&[("checkpoints.every_steps", "1"), ("checkpoints.keep", "50")]);
    let task = Shaken { bad_losses: Cell::new(8), ..Shaken::default() };
    trial.until(&task, 19);
    // Ten batches per epoch, none lost by the rollback: nine are processed in the second epoch.
    let progress = trial.latest().progress;
    assert_eq!((progress.epoch, progress.batch), (1, 9));
    assert!(progress.recovery.postponed.iter().all(|global_batch| (14..=17).contains(global_batch)), "{progress:?}");
}

#[test]
fn a_damaged_checkpoint_is_reported_and_the_previous_one_used() {
    let trial = Trial::new(&[]);
    trial.to_the_end(&Shaken::default());
    let whole = trial.outcome();
    let weights = trial.folder().checkpoints().path(40).join("weights.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, bytes).unwrap();
    let notes = trial.to_the_end(&Shaken::default());
    assert!(notes[0].contains("weights.safetensors") && notes[0].contains("damaged"), "{notes:?}");
    assert!(trial.outcome() == whole, "the lost epoch is repeated bit for bit");
}

#[test]
fn weights_that_are_not_finite_are_never_saved() {
    // The first update overflows: gradients are finite, the updated weight is not.
    let trial = Trial::new(&[("training.learning_rate", "3.4e38")]);
    let task = Shaken { huge: true, ..Shaken::default() };
    let (result, _) = trial.train(&task, &RealDisk, NO_LIMITS);
    let Err(error) = result else { panic!("{result:?}") };
    assert!(is_divergence(&error) && error.to_string().contains("a weight of theta is -inf"), "{error}");
    assert_eq!(trial.latest().progress.step, 0);
    trial.assert_sound();
}

/// Four rollbacks in one region, the last of which resets the optimizer.
#[test]
fn the_first_update_after_an_optimizer_reset_has_the_size_of_a_first_update() {
    let trial = Trial::new(&[("checkpoints.every_steps", "1"), ("checkpoints.keep", "99")]);
    // Each attempt meets four bad batches, each tried twice.
    let task = Shaken { bad_losses: Cell::new(32), bad_from: Some(30), ..Shaken::default() };
    trial.to_the_end(&task);
    let events = trial.events();
    let reset = events.iter().find(|event| event["optimizer_reset"] == true).unwrap();
    let target = reset["back_to"].as_u64().unwrap();
    assert!((10..30).contains(&target), "{reset}");
    let theta = |step: u64| {
        let path = trial.folder().checkpoints().of_step(step).unwrap().unwrap();
        let opened = seqzoo_run::checkpoint::open(&path).unwrap();
        let snapshot = Snapshot::of(&opened).unwrap();
        assert_eq!(snapshot.optimizer["updates"].values[1], if step == target { step as f32 } else { 1.0 });
        f64::from(snapshot.weights["theta"].values[0])
    };
    // Adam's first update equals the learning rate: half of 0.05, at the first of 20 warm-up updates.
    let moved = (theta(target + 1) - theta(target)).abs();
    assert!((moved / (0.05 * 0.5 / 20.0) - 1.0).abs() < 1e-3, "{moved}");
    trial.assert_sound();
}

#[test]
fn divergence_rolls_back_to_before_its_onset() {
    // Trains well for two epochs; from step 20 on, the learning rate of the warm-up makes θ overshoot.
    let values = [
        ("optimizer.kind", "sgd"),
        ("training.clip_norm", "0"),
        ("training.learning_rate", "30"),
        ("schedule.warmup_steps", "600"),
        ("training.epochs", "8"),
        ("checkpoints.every_steps", "1"),
        ("checkpoints.keep", "99"),
    ];
    let trial = Trial::new(&values);
    let (result, _) = trial.train(&Shaken::default(), &RealDisk, NO_LIMITS);
    let events = trial.events();
    let rollback = events.iter().find(|event| event["event"] == "roll back").unwrap();
    assert_eq!(rollback["site"], "divergence", "{rollback}");
    let (first, back_to) = (rollback["first"].as_u64().unwrap(), rollback["back_to"].as_u64().unwrap());
    assert!(back_to + 10 <= first && first < rollback["step"].as_u64().unwrap(), "{rollback}");
    // The untrained θ is 3 away from its target.
    assert!((6.0..12.0).contains(&rollback["untrained_loss"].as_f64().unwrap()), "{rollback}");
    let recovered = result.is_ok() && trial.latest().progress.recovery.summary().is_some();
    assert!(recovered || result.is_err_and(|error| is_divergence(&error)));
    trial.assert_sound();
}

#[test]
fn an_older_checkpoint_without_the_untrained_loss_resumes_exactly() {
    let [whole, older] = [0, 1].map(|_| Trial::new(&[]));
    whole.to_the_end(&Shaken::default());
    older.until(&Shaken::default(), 5);
    let checkpoints = older.folder().checkpoints();
    let mut files = checkpoints.latest().unwrap().0.files;
    let mut progress: serde_json::Value = serde_json::from_slice(&files["progress.json"]).unwrap();
    progress.as_object_mut().unwrap().remove("divergence").unwrap();
    progress["losses"] = serde_json::json!({"healthy": [1.0, 2.0], "flagged": 0});
    files.insert("progress.json".to_owned(), serde_json::to_vec(&progress).unwrap());
    fs::remove_dir_all(checkpoints.path(5)).unwrap();
    checkpoints.save(5, &files, &RealDisk).unwrap();
    older.to_the_end(&Shaken::default());
    assert!(older.outcome() == whole.outcome());
}
