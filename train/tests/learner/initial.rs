//! Initial weights from word vectors and other runs; learning rates per layer.

use std::fs;
use std::path::Path;

use burn::tensor::Device;
use seqzoo_datasets::classification::{Classification, Example};
use seqzoo_datasets::corpus::Corpus;
use seqzoo_models::Architecture;
use seqzoo_models::parameters::{self, Arrays};
use seqzoo_run::disk::RealDisk;
use seqzoo_run::folder::Environment;
use seqzoo_run::initial::{Initial, InitialError};
use seqzoo_run::progress::Metadata;
use seqzoo_run::recipe::{InitSettings, ModelSpec};
use seqzoo_run::settings::{Override, Settings};
use seqzoo_run::store::RunStore;
use seqzoo_tasks::{DynTrainingTask, Examples, classification};
use seqzoo_train::{Job, TrainError, train};

use crate::series::Series;
use crate::{NO_LIMITS, Notes, Trial};

fn resolved(recipe: &str, values: &[(&str, &str)]) -> Settings {
    let set = |(field, value): &(&str, &str)| Override {
        origin: "--set".into(),
        field: (*field).into(),
        value: (*value).into(),
    };
    Settings::resolve(recipe, &values.iter().map(set).collect::<Vec<_>>()).unwrap()
}

/// A run in `path` with a trained language model of one LSTM layer with 4 units, over the words a, b and c.
fn language_model(path: &Path) {
    let values = [
        ("task.level", "\"words\""),
        ("task.embedding_size", "3"),
        ("task.k1", "4"),
        ("network.hidden_sizes", "[4]"),
        ("training.batch_size", "2"),
        ("training.epochs", "1"),
    ];
    let settings = resolved("language-model", &values);
    let text = "a b c a c b ".repeat(9);
    let corpus = Corpus { train: text.clone(), validation: text, ..Corpus::default() };
    let environment = Environment::now(settings.clone(), "flex", "data".to_owned());
    let run = RunStore::new(path.parent().unwrap()).create(Some(path), environment).unwrap();
    let task = corpus.training(&settings.recipe.spec("lstm").unwrap()).unwrap();
    let about = Metadata::now(settings.of_model("lstm").unwrap(), "lstm", "data");
    let (folder, device) = (run.model("lstm"), Device::flex());
    let job = Job { task: &*task, about: &about, folder: &folder, disk: &RealDisk, device: &device, limits: NO_LIMITS };
    train(&job, &mut Notes::default()).unwrap();
}

/// Texts over the words b, c and d.
fn texts() -> Classification {
    let example = |text: &str, label| Example { text: text.to_owned(), label, groups: [].into() };
    let train = vec![example("b c", 0), example("c d d", 1)];
    Classification {
        labels: ["x", "y"].map(str::to_owned).to_vec(),
        validation: train.clone(),
        train,
        ..Classification::default()
    }
}

fn spec(name: &str) -> ModelSpec {
    ModelSpec::new(name, &classification::TASK, "embedding_size = 3".parse().unwrap()).unwrap()
}

fn initial(init: &InitSettings, name: &str) -> Result<(Initial, Arrays), InitialError> {
    let (spec, device) = (spec(name), Device::flex());
    let task = texts().training(&spec).unwrap();
    let seed = parameters::read(&*task.network(&device));
    let store = RunStore::new("nowhere");
    Initial::new(init, &classification::TASK, &spec, &*task, &store, &device).map(|initial| (initial, seed))
}

#[test]
fn a_classifier_starts_from_the_layers_and_embeddings_of_a_language_model() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lm");
    language_model(&path);
    let from = |name: &str| InitSettings { from: Some(name.to_owned()), ..InitSettings::default() };
    let own = from(path.to_str().unwrap());
    let run = RunStore::new(dir.path()).find(path.to_str().unwrap()).unwrap();
    let source = seqzoo_run::progress::Snapshot::best(&run.model("lstm").checkpoints()).unwrap().snapshot;
    let row = |arrays: &Arrays, id: usize| arrays["embedding.weight"].values[id * 3..][..3].to_vec();
    for name in ["lstm-4", "bilstm-4"] {
        let (Initial { weights, notes }, seed) = initial(&own, name).unwrap();
        let layer = |direction: &str, part: &str, name: &str| {
            let architecture = if name.starts_with("bi") { "BiLstm" } else { "Lstm" };
            format!("stack.layers.0.{architecture}.{direction}.weights.{part}")
        };
        for part in ["weight_ih", "weight_hh", "bias"] {
            assert_eq!(weights[&layer("forward", part, name)], source.weights[&layer("forward", part, "lstm")]);
        }
        if name.starts_with("bi") {
            assert_eq!(weights[&layer("backward", "weight_ih", name)], seed[&layer("backward", "weight_ih", name)]);
            assert!(notes[2].contains("backward"), "{notes:?}");
        }
        // Ids of the language model: a 2, b 3, c 4. Of the classifier, by frequency: c 2, d 3, b 4.
        for (id, expected) in [(0, row(&source.weights, 0)), (2, row(&source.weights, 4)), (4, row(&source.weights, 3))]
        {
            assert_eq!(row(&weights, id), expected);
        }
        assert_eq!(row(&weights, 3), row(&seed, 3), "the language model does not know d");
        assert_eq!(weights["output.weight"], seed["output.weight"]);
        assert!(notes[0].contains("parameters start from model lstm of run"), "{notes:?}");
        assert!(notes[1].contains("2 of 3 tokens"), "{notes:?}");
    }
    for (init, name, part) in [
        (own.clone(), "lstm-5", "of one of lstm-5, with [5]; train the same cell"),
        (own.clone(), "gru-4", "no recurrent layer of its model lstm, with network.hidden_sizes = [4], has the cell"),
        (InitSettings { model: Some("gru".to_owned()), ..own }, "lstm-4", "init.model = gru: expected one of lstm"),
        (from("absent"), "lstm-4", "init.from: "),
    ] {
        let error = initial(&init, name).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn embeddings_start_from_word_vectors() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vectors.txt");
    fs::write(&path, "b 1 2 3\nz 0 0 0\nd 4 5 6\n").unwrap();
    let init = InitSettings { vectors: Some(path.clone()), ..InitSettings::default() };
    let (Initial { weights, notes }, seed) = initial(&init, "lstm-4").unwrap();
    let row = |arrays: &Arrays, id: usize| arrays["embedding.weight"].values[id * 3..][..3].to_vec();
    assert_eq!((row(&weights, 3), row(&weights, 4)), (vec![4.0, 5.0, 6.0], vec![1.0, 2.0, 3.0]));
    assert_eq!(row(&weights, 2), row(&seed, 2), "c has no vector");
    let note = "embedding.weight: 2 of 3 tokens of the vocabulary (66.7 %) have a vector among the 3 of ";
    assert!(notes[0].starts_with(note), "{notes:?}");
    fs::write(&path, "b 1 2\n").unwrap();
    let error = initial(&init, "lstm-4").unwrap_err().to_string();
    assert!(error.contains("set task.embedding_size to 2"), "{error}");
    let rates = [("embeding".to_owned(), 0.0)].into();
    let init = InitSettings { learning_rates: rates, ..init };
    let error = initial(&init, "lstm-4").unwrap_err().to_string();
    assert!(
        error.starts_with("init.learning_rates.embeding = 0") && error.contains("embedding, output, stack"),
        "{error}"
    );
}

const PLAIN: [(&str, &str); 5] = [
    ("optimizer.kind", "sgd"),
    ("training.clip_norm", "0"),
    ("training.learning_rate", "0.01"),
    ("schedule.kind", "constant"),
    ("schedule.warmup_steps", "0"),
];

#[test]
fn learning_rates_of_layers_are_scaled_and_frozen_layers_do_not_change() {
    let weights = |rates: &str| {
        let trial = Trial::new(&[&PLAIN[..], &[("init.learning_rates", rates)]].concat());
        trial.until(&Series(Architecture::Lstm), 1);
        trial.latest().weights
    };
    let initial = parameters::read(&*DynTrainingTask::network(&Series(Architecture::Lstm), &Device::flex()));
    let (plain, scaled) = (weights("{}"), weights("{ stack = 0.5, \"stack.layers.0.Lstm.forward.weights.bias\" = 0 }"));
    for (name, before) in &initial {
        let factor = match name.as_str() {
            name if name.ends_with("forward.weights.bias") => 0.0,
            name if name.starts_with("stack.") => 0.5,
            _ => 1.0,
        };
        for (index, old) in before.values.iter().enumerate() {
            let [plain, scaled] = [&plain, &scaled].map(|weights| weights[name].values[index] - old);
            assert!((scaled - factor * plain).abs() < 1e-6, "{name}: {scaled} {plain}");
            assert!(factor > 0.0 || scaled == 0.0);
        }
    }
}

#[test]
fn training_starts_from_stored_weights_and_resumes_exactly() {
    let values = [("init.from", "\"elsewhere\"")];
    let start = |trial: &Trial| {
        let mut weights = parameters::read(&*DynTrainingTask::network(&Series(Architecture::Lstm), &Device::flex()));
        weights.values_mut().for_each(|array| array.values.iter_mut().for_each(|value| *value *= 0.5));
        let initial = Initial { weights, notes: Vec::new() };
        assert!(!Initial::is_saved(&trial.folder()).unwrap());
        initial.save(&trial.folder(), &RealDisk).unwrap();
        initial.weights
    };
    let (whole, parts, none) = (Trial::new(&values), Trial::new(&values), Trial::new(&values));
    let task = Series(Architecture::Lstm);
    let (result, _) = none.train(&task, &RealDisk, NO_LIMITS);
    assert!(matches!(result, Err(TrainError::Checkpoint(_))), "{result:?}");
    let weights = start(&whole);
    whole.until(&task, 0);
    assert_eq!(whole.latest().weights, weights);
    whole.to_the_end(&task);
    start(&parts);
    parts.until(&task, 3);
    fs::remove_dir_all(parts.path("initial")).unwrap();
    parts.to_the_end(&task);
    assert!(parts.outcome() == whole.outcome());
}
