//! Data that change after training: which files are named, what is refused; cross-validation of data that are difficult to divide.

use std::fs;

use serde_json::Value;

use crate::TestDir;

const SMALL: [&str; 4] = ["--epochs", "1", "--set", "network.hidden_sizes=[4]"];

/// Start of the warning about the training and the validation split, and of that about the test split.
const CHANGED: &str = "warning: the data differ from those that the run was trained on: ";
const TEST_CHANGED: &str = "warning: the test split differs from that of the run: ";

/// A table of texts that begin with `start`, with two labels.
fn table(start: &str, rows: usize) -> String {
    let row = |row: usize| match row % 2 {
        0 => format!("{start} good film {row},yes\n"),
        _ => format!("{start} bad film {row},no\n"),
    };
    std::iter::once("text,label\n".to_owned()).chain((0..rows).map(row)).collect()
}

fn write(place: &TestDir, file: &str, text: &str) {
    fs::write(place.path(file), text).unwrap();
}

/// A folder with files of each split.
fn with_splits() -> TestDir {
    let place = TestDir::new();
    write(&place, "tr.csv", &table("a", 40));
    write(&place, "va.csv", &table("another", 8));
    write(&place, "te.csv", &table("some", 8));
    place
}

const SPLITS: [&str; 6] = ["--data", "tr.csv", "--validation-data", "va.csv", "--test-data", "te.csv"];

fn train(place: &TestDir, out: &str, data: &[&str]) {
    place.ok(&[&["train", "classify", "--out", out][..], &SMALL, data].concat());
}

/// What `evaluate` prints on standard error.
fn evaluated(place: &TestDir, arguments: &[&str]) -> String {
    place.ok(&[&["evaluate"][..], arguments, &["--json"]].concat()).err
}

#[test]
fn a_changed_test_split_is_reported_and_does_not_prevent_resuming() {
    let place = with_splits();
    train(&place, "run", &SPLITS);
    assert!(!evaluated(&place, &["run"]).contains("warning"));
    write(&place, "te.csv", &table("some", 9));
    let reports = |text: &str| text.contains(TEST_CHANGED) && text.contains("te.csv has changed since");
    let found = evaluated(&place, &["run"]);
    assert!(reports(&found) && !found.contains(CHANGED), "{found}");
    let resumed = place.ok(&["train", "--resume", "run", "--epochs", "2"]).err;
    assert!(reports(&resumed) && !resumed.contains(CHANGED), "{resumed}");
    let found = evaluated(&place, &["run"]);
    assert!(reports(&found), "the run still records the test split that it was started with: {found}");
    let compared = place.ok(&["compare", "run", "run", "--split", "test"]).err;
    assert!(reports(&compared), "{compared}");
    write(&place, "new.csv", &table("new", 10));
    assert!(!evaluated(&place, &["run", "--test-data", "new.csv"]).contains("warning"), "other files on purpose");
}

#[test]
fn test_splits_of_recipes_and_of_rules_are_compared_too() {
    let place = with_splits();
    let recipe = "summary = \"films\"\nmodels = [\"gru\"]\n[data]\ntrain = \"tr.csv\"\nvalidation = \"va.csv\"\ntest = \"te.csv\"\n\
                  columns = { text = \"text\", label = \"label\" }\n[task]\nkind = \"classification\"\n\
                  [network]\nhidden_sizes = [4]\n[training]\nepochs = 1\nbatch_size = 8\nlearning_rate = 1e-2\n";
    write(&place, "films.toml", recipe);
    place.ok(&["train", "films.toml", "--out", "own"]);
    let rule = "data.split={ by = \"rows\", validation = 0.2, test = 0.2 }";
    train(&place, "ruled", &["--data", "tr.csv", "va.csv", "--set", rule]);
    assert!(!evaluated(&place, &["own"]).contains("warning") && !evaluated(&place, &["ruled"]).contains("warning"));
    write(&place, "te.csv", &table("other", 8));
    let found = evaluated(&place, &["own"]);
    assert!(found.contains(TEST_CHANGED) && found.contains("te.csv has changed since"), "{found}");
    // The last rows are the test split.
    let last = table("another", 8).replace("bad film 7", "worse film 7");
    write(&place, "va.csv", &last);
    let found = evaluated(&place, &["ruled"]);
    let reported = found.contains(TEST_CHANGED) && found.contains("va.csv has changed since");
    assert!(reported && !found.contains(CHANGED) && !found.contains("tr.csv has"), "{found}");
}

#[test]
fn a_missing_file_is_a_warning_unless_its_split_is_needed() {
    let place = with_splits();
    train(&place, "run", &SPLITS);
    fs::remove_file(place.path("te.csv")).unwrap();
    let warns = |text: &str| text.contains("te.csv no longer exists; the test split is not read");
    let found = place.ok(&["evaluate", "run", "--split", "validation"]);
    assert!(warns(&found.err) && found.out.contains("baselines: most frequent label"), "{}{}", found.err, found.out);
    assert!(!found.err.contains(CHANGED) && !found.err.contains(TEST_CHANGED), "{}", found.err);
    let found = place.ok(&["compare", "run", "run", "--split", "train"]);
    assert!(warns(&found.err), "{}", found.err);
    for arguments in [&["evaluate", "run"][..], &["evaluate", "run", "--split", "test"], &["probe", "--run", "run"]] {
        let refused = place.run(arguments);
        let is_named = refused.err.contains("te.csv, which no longer exists; name the file with --test-data FILE");
        assert!(refused.code == Some(4) && is_named, "{arguments:?}: {}", refused.err);
    }
    // Prediction needs no data.
    assert!(!place.ok(&["predict", "run", "a good film"]).err.contains("te.csv"));
}

#[test]
fn splits_with_files_of_their_own_are_evaluated_without_the_training_split() {
    let place = with_splits();
    train(&place, "run", &SPLITS);
    let both = |split: &str| {
        let json = place.json(&["evaluate", "run", "--split", split, "--json"]);
        (json["value"].as_f64(), json["examples"].as_u64(), json["baselines"].as_object().unwrap().len())
    };
    let before = [both("validation"), both("test")];
    fs::remove_file(place.path("tr.csv")).unwrap();
    for (split, (value, examples, baselines)) in ["validation", "test"].into_iter().zip(before) {
        assert_eq!((both(split), baselines > 0), ((value, examples, 0), true));
    }
    let found = place.ok(&["evaluate", "run"]);
    let parts = ["tr.csv no longer exists; the train split is not read", "no baselines without the training split"];
    assert!(parts.iter().all(|part| found.err.contains(part)) && !found.err.contains(CHANGED), "{}", found.err);
    assert!(!found.err.contains("without an example") && !found.out.contains("baselines"), "{}", found.out);
    let refused = place.run(&["evaluate", "run", "--split", "train"]);
    assert!(refused.code == Some(4) && refused.err.contains("name the file with --data FILE"), "{}", refused.err);
    let refused = place.run(&["train", "--resume", "run", "--epochs", "2"]);
    assert!(refused.code == Some(4) && refused.err.contains("tr.csv, which no longer exists"), "{}", refused.err);
}

#[test]
fn a_validation_split_that_is_split_off_needs_the_training_file() {
    let place = with_splits();
    train(&place, "run", &["--data", "tr.csv", "--test-data", "te.csv"]);
    fs::remove_file(place.path("tr.csv")).unwrap();
    let found = place.ok(&["evaluate", "run"]).err;
    assert!(found.contains("tr.csv no longer exists; the train and validation splits are not read"), "{found}");
    for flags in [&["--split", "validation"][..], &["--threshold", "yes"]] {
        let refused = place.run(&[&["evaluate", "run"][..], flags].concat());
        assert!(refused.code == Some(4) && refused.err.contains("tr.csv, which no longer"), "{}", refused.err);
    }
}

#[test]
fn the_files_that_changed_are_named() {
    let place = with_splits();
    train(&place, "run", &SPLITS);
    write(&place, "more.csv", &table("one more", 20));
    train(&place, "both", &["--data", "tr.csv", "more.csv"]);
    write(&place, "va.csv", &table("changed", 8));
    let found = evaluated(&place, &["run"]);
    let line = found.lines().find(|line| line.starts_with(CHANGED)).unwrap();
    assert!(line.ends_with("va.csv has changed since") && !line.contains("tr.csv"), "{line}");
    assert!(!found.contains(TEST_CHANGED), "{found}");
    let refused = place.run(&["train", "--resume", "run", "--epochs", "2"]);
    assert!(refused.code == Some(3) && refused.err.contains("va.csv has changed since"), "{}", refused.err);
    write(&place, "more.csv", &table("another", 20));
    let found = evaluated(&place, &["both"]);
    assert!(found.contains("more.csv has changed since") && !found.contains("tr.csv has"), "{found}");
    write(&place, "te.csv", &table("changed", 9));
    let found = evaluated(&place, &["run"]);
    assert!(found.contains(CHANGED) && found.contains(TEST_CHANGED), "{found}");
}

#[test]
fn runs_without_digests_of_files_and_of_the_test_split_are_compared_as_far_as_possible() {
    let place = with_splits();
    train(&place, "run", &SPLITS);
    let path = place.path("run/env.json");
    let mut environment: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    assert!(environment.as_object_mut().unwrap().remove("test_digest").is_some());
    let digests = environment["data"].as_object_mut().unwrap().remove("digests").unwrap();
    assert_eq!(digests.as_object().unwrap().len(), 3);
    fs::write(&path, environment.to_string()).unwrap();
    write(&place, "te.csv", &table("changed", 8));
    assert!(!evaluated(&place, &["run"]).contains("warning"));
    write(&place, "va.csv", &table("changed", 8));
    let found = evaluated(&place, &["run"]);
    assert!(found.contains(CHANGED) && found.contains("its files have changed since"), "{found}");
}

#[test]
fn test_data_given_to_a_run_without_any_are_no_change() {
    let place = with_splits();
    train(&place, "run", &["--data", "tr.csv"]);
    assert!(!evaluated(&place, &["run", "--test-data", "te.csv"]).contains("warning"));
}

#[test]
fn a_cross_validation_of_other_data_is_refused_before_any_fold() {
    let place = TestDir::new();
    write(&place, "data.csv", &table("a", 40));
    let folds = ["--data", "data.csv", "--folds", "2"];
    train(&place, "cv", &folds);
    fs::remove_dir_all(place.path("cv/fold-2")).unwrap();
    write(&place, "data.csv", &table("a", 41));
    let arguments = [&["train", "classify", "--out", "cv"][..], &SMALL, &folds].concat();
    let refused = place.run(&arguments);
    assert!(
        refused.code == Some(3) && refused.err.contains("cv/fold-1 was trained on other data: "),
        "{}",
        refused.err
    );
    assert!(refused.err.contains("data.csv has changed since; restore the data"), "{}", refused.err);
    assert!(!refused.err.contains(" examples: ") && !place.path("cv/fold-2").exists(), "{}", refused.err);
    write(&place, "data.csv", &table("a", 40));
    place.ok(&arguments);
}

#[test]
fn a_label_that_occurs_once_does_not_end_a_cross_validation() {
    let place = TestDir::new();
    write(&place, "single.csv", &(table("a", 40) + "lonely,once\n"));
    let arguments = ["train", "classify", "--data", "single.csv", "--folds", "3", "--out", "cv"];
    let ran = place.ok(&[&arguments[..], &SMALL].concat());
    assert!(ran.err.contains("fold 3: "), "{}", ran.err);
    let results: Value = serde_json::from_str(&fs::read_to_string(place.path("cv/folds.json")).unwrap()).unwrap();
    let values = results["models"].as_object().unwrap().values().next().unwrap();
    assert_eq!((&results["examples"], values["macro-f1"]["values"].as_array().unwrap().len()), (&41.into(), 3));
}

#[test]
fn running_text_in_several_files_is_cross_validated() {
    let place = TestDir::new();
    for file in ["0.txt", "1.txt"] {
        let line = |line: usize| format!("line {line} of {file} goes on and on, and so it went.\n");
        write(&place, file, &(0..100).map(line).collect::<String>());
    }
    let arguments = ["train", "language-model", "--text", "0.txt", "1.txt", "--folds", "2", "--out", "cv"];
    let small = ["--set", "task.embedding_size=8", "--set", "training.batch_size=4"];
    let ran = place.ok(&[&arguments[..], &SMALL, &small].concat());
    assert!(ran.err.contains("fold 2: "), "{}", ran.err);
}
