//! Loading checkpoints and predicting from them. The networks are untrained, which does not affect these properties.

use std::fs;
use std::path::Path;

use burn::tensor::Device;
use seqzoo_datasets::catalog::Dataset;
use seqzoo_datasets::classification::{self, Classification, Split};
use seqzoo_datasets::scores::{Metric, Scores};
use seqzoo_inference::Model;
use seqzoo_models::parameters::{self, Arrays};
use seqzoo_run::devices;
use seqzoo_run::disk::RealDisk;
use seqzoo_run::folder::ModelFolder;
use seqzoo_run::progress::{Epoch, Metadata, Progress, Snapshot};
use seqzoo_run::settings::Settings;
use seqzoo_tasks::TrainingTask;
use seqzoo_tasks::classification::ClassificationTraining;

/// Saves a network with weights initialized from `seed` as the checkpoint of a step.
fn save(dir: &Path, data: &Classification, step: u64, seed: u64, history: &[Epoch], device: &Device) -> ModelFolder {
    save_with(Settings::read("agreement").unwrap(), dir, data, step, seed, history, device)
}

fn save_with(
    mut settings: Settings,
    dir: &Path,
    data: &Classification,
    step: u64,
    seed: u64,
    history: &[Epoch],
    device: &Device,
) -> ModelFolder {
    settings.recipe.training.seed = seed;
    let task = ClassificationTraining::new(&settings.recipe.spec("lstm").unwrap(), data).unwrap();
    let progress = Progress { step, history: history.to_vec(), ..Progress::start() };
    let snapshot = Snapshot {
        about: Metadata::now(settings.of_model("lstm").unwrap(), "lstm", &data.digest()),
        progress,
        weights: parameters::read(&task.network(device)),
        optimizer: Arrays::new(),
        recurrent_state: Arrays::new(),
        accumulated: Arrays::new(),
        task: task.files(),
    };
    let folder = ModelFolder { path: dir.to_owned() };
    folder.checkpoints().save(step, &snapshot.to_files(), &RealDisk).unwrap();
    folder
}

fn epoch(step: u64, accuracy: f64) -> Epoch {
    Epoch { step, epoch: step, train_loss: 1.0, validation: Scores::new(10, [(Metric::ACCURACY, accuracy)]) }
}

/// A hundred sentences of each split.
fn small() -> Classification {
    let splits = Dataset::named("agreement").unwrap().load(Path::new(""), &classification::DATA).unwrap();
    let mut data = Classification::from_records(&splits).unwrap();
    for split in [&mut data.train, &mut data.validation, &mut data.test] {
        split.truncate(100);
    }
    data
}

#[test]
fn predictions_do_not_depend_on_the_batch_and_are_bit_identical_after_reloading() {
    let data = small();
    let texts: Vec<&str> = data.test.iter().map(|example| example.text.as_str()).collect();
    for (_, device) in devices() {
        let dir = tempfile::tempdir().unwrap();
        let folder = save(dir.path(), &data, 1, 3, &[], &device);
        let model = Model::open(&folder, &device).unwrap();
        let together = model.classifier().unwrap().predictions(&texts).unwrap();
        let reloaded = Model::open(&folder, &device).unwrap().classifier().unwrap().predictions(&texts).unwrap();
        assert_eq!(together, reloaded);
        for (text, prediction) in texts.iter().zip(&together) {
            let alone = &model.classifier().unwrap().predictions(&[text]).unwrap()[0];
            for ((_, alone), (_, together)) in alone.probabilities.iter().zip(&prediction.probabilities) {
                assert!((alone - together).abs() <= 1e-6, "{text}: {alone} alone, {together} in a batch");
            }
        }
    }
}

#[test]
fn the_checkpoint_with_the_best_validation_metric_is_loaded() {
    let (data, (_, device)) = (small(), devices().remove(0));
    let dir = tempfile::tempdir().unwrap();
    let history = [epoch(1, 0.7), epoch(2, 0.9), epoch(3, 0.9)];
    for step in 1..=3 {
        save(dir.path(), &data, step, step, &history[..step as usize], &device);
    }
    let folder = ModelFolder { path: dir.path().to_owned() };
    let model = Model::open(&folder, &device).unwrap();
    assert_eq!((model.step, model.progress.step), (2, 3));
    let best = tempfile::tempdir().unwrap();
    let alone = Model::open(&save(best.path(), &data, 2, 2, &[], &device), &device).unwrap();
    assert_eq!(
        model.classifier().unwrap().predictions(&["the keys"]).unwrap(),
        alone.classifier().unwrap().predictions(&["the keys"]).unwrap()
    );
}

#[test]
fn without_restore_best_the_latest_checkpoint_is_loaded() {
    let (data, (_, device)) = (small(), devices().remove(0));
    let dir = tempfile::tempdir().unwrap();
    let mut settings = Settings::read("agreement").unwrap();
    settings.recipe.stopping.restore_best = false;
    let history = [epoch(1, 0.9), epoch(2, 0.7)];
    for step in 1..=2 {
        save_with(settings.clone(), dir.path(), &data, step, step, &history[..step as usize], &device);
    }
    assert_eq!(Model::open(&ModelFolder { path: dir.path().to_owned() }, &device).unwrap().step, 2);
}

#[test]
fn metrics_per_group_add_up_to_the_whole() {
    let (data, (_, device)) = (small(), devices().remove(0));
    let dir = tempfile::tempdir().unwrap();
    let model = Model::open(&save(dir.path(), &data, 1, 3, &[], &device), &device).unwrap();
    let evaluation = model.evaluate(&data, Split::Test).unwrap();
    let accuracy = evaluation.all.get(Metric::ACCURACY).unwrap();
    for kind in ["attractors", "noun-verb pair"] {
        let of_kind = || evaluation.groups.iter().filter(|((of, _), _)| **of == *kind).map(|(_, scores)| scores);
        let examples: usize = of_kind().map(|scores| scores.examples).sum();
        let correct: f64 = of_kind().map(|scores| scores.get(Metric::ACCURACY).unwrap() * scores.examples as f64).sum();
        assert_eq!(examples, evaluation.all.examples);
        assert!((correct / examples as f64 - accuracy).abs() < 1e-12);
    }
    let texts: Vec<&str> = data.test.iter().map(|example| example.text.as_str()).collect();
    let predictions = model.classifier().unwrap().predictions(&texts).unwrap();
    let hits = predictions.iter().zip(&data.test).filter(|(p, example)| p.label == data.labels[example.label]).count();
    assert_eq!(hits as f64 / 100.0, accuracy);
}

#[test]
fn a_damaged_or_missing_checkpoint_is_rejected_by_name() {
    let (data, (_, device)) = (small(), devices().remove(0));
    let dir = tempfile::tempdir().unwrap();
    let absent = ModelFolder { path: dir.path().join("absent") };
    assert!(Model::open(&absent, &device).unwrap_err().to_string().contains("none has been saved yet"));
    let folder = save(dir.path(), &data, 1, 3, &[], &device);
    let file = folder.checkpoints().path(1).join("encoder.json");
    fs::write(&file, fs::read_to_string(&file).unwrap().replacen("the", "teh", 1)).unwrap();
    assert!(Model::open(&folder, &device).unwrap_err().to_string().contains("encoder.json is damaged"));
}
