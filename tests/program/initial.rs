//! Initial weights from word vectors and other runs, as a user sets them.

use std::fs;

use crate::TestDir;

const SMALL: [&str; 8] = [
    "--epochs",
    "2",
    "--set",
    "network.hidden_sizes=[6]",
    "--set",
    "task.embedding_size=4",
    "--set",
    "training.batch_size=8",
];

/// A folder with 60 labeled texts.
fn texts() -> TestDir {
    let place = TestDir::new();
    let row = |row: usize| format!("{} film {row},{}\n", ["fine", "dull"][row % 2], ["good", "bad"][row % 2]);
    fs::write(place.path("texts.csv"), "text,label\n".to_owned() + &(0..60).map(row).collect::<String>()).unwrap();
    place
}

#[test]
fn embeddings_start_from_word_vectors_which_a_run_keeps() {
    let place = texts();
    fs::write(place.path("glove.txt"), "fine 1 0 0 0\ndull -1 0 0 0\nfilm 0 1 0 0\nodd 1 2\n").unwrap();
    let own = ["train", "classify", "--data", "texts.csv", "--vectors", "glove.txt"];
    let train = |flags: &[&str]| place.ok(&[&own[..], &SMALL, flags].concat());
    let whole = train(&["--out", "whole"]);
    assert!(whole.err.contains("note: bilstm: 1 line of word vectors was skipped; first: "), "{}", whole.err);
    let covered = "embedding.weight: 3 of 3 tokens of the vocabulary (100.0 %) have a vector among the 3 of glove.txt";
    assert!(whole.err.contains(covered), "{}", whole.err);
    train(&["--out", "parts", "--max-steps", "3"]);
    fs::remove_file(place.path("glove.txt")).unwrap();
    place.ok(&["train", "--resume", "parts"]);
    let metrics = |run: &str| fs::read_to_string(place.path(run).join("bilstm/metrics.jsonl")).unwrap();
    assert_eq!(metrics("whole"), metrics("parts"));
    let absent = place.run(&[&own[..], &SMALL, &["--out", "absent"]].concat());
    assert!(
        absent.code == Some(4) && absent.err.contains("init.vectors: ") && absent.err.contains("glove.txt"),
        "{}",
        absent.err
    );
    assert!(!place.path("absent").exists());
    fs::write(place.path("glove.txt"), "fine 1 0\n").unwrap();
    let size =
        place.run(&[&["check", "classify", "--data", "texts.csv", "--vectors", "glove.txt"][..], &SMALL].concat());
    assert!(size.err.contains("set task.embedding_size to 2"), "{}", size.err);
}

#[test]
fn a_classifier_starts_from_a_language_model() {
    let place = texts();
    let text: String = (0..60).map(|row| format!("{} film\n", ["fine", "dull"][row % 2])).collect();
    fs::write(place.path("text.txt"), text).unwrap();
    let words = ["--set", "task.level=\"words\"", "--set", "task.k1=5", "--out", "lm"];
    place.ok(&[&["train", "language-model", "--text", "text.txt"][..], &SMALL, &words].concat());
    let own = ["train", "classify", "--data", "texts.csv", "--init-from", "lm"];
    let frozen = ["--set", "init.learning_rates={ embedding = 0 }", "--out", "run"];
    let trained = place.ok(&[&own[..], &SMALL, &frozen].concat());
    assert!(trained.err.contains("parameters start from model lstm of run lm"), "{}", trained.err);
    assert!(
        trained.err.contains("new parameters: output.bias, output.weight, stack.layers.0.BiLstm.backward"),
        "{}",
        trained.err
    );
    place.ok(&["evaluate", "run"]);
    // Every member of an ensemble starts from it, and frozen layers of all members stay as they are.
    let members = ["--set", "network.members=3", "--set", "init.learning_rates={ embedding = 0 }", "--out", "three"];
    place.ok(&[&own[..], &SMALL, &members].concat());
    let mut checkpoints = fs::read_dir(place.path("three/bilstm/checkpoints")).unwrap();
    let weights = fs::read(checkpoints.next().unwrap().unwrap().path().join("weights.safetensors")).unwrap();
    let weights = seqzoo_run::weights::from_safetensors(&weights).unwrap();
    let of_member = |member: &str, name: &str| &weights[&format!("{member}{name}")];
    for member in ["others.0.", "others.1."] {
        assert_eq!(of_member(member, "embedding.weight"), of_member("", "embedding.weight"));
        assert_ne!(of_member(member, "output.weight"), of_member("", "output.weight"));
    }
    assert!(place.ok(&["predict", "three", "fine film"]).out.contains("good"));
    for (value, part) in [
        ("init.learning_rates.embeding=0", "the layers are embedding, output, stack"),
        ("network.hidden_sizes=[5]", "has the cell and the sizes of one of bilstm, with [5]"),
    ] {
        let refused = place.run(&[&own[..], &SMALL, &["--set", value]].concat());
        assert!(refused.code == Some(3) && refused.err.contains(part), "{}", refused.err);
    }
    let refused = place.run(&["train", "classify", "--data", "texts.csv", "--init-from", "lost"]);
    assert!(refused.code == Some(2) && refused.err.contains("init.from: "), "{}", refused.err);
}
