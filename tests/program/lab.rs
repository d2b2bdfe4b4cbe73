//! Models of memory, and experiments with them.

use std::fs;

use crate::TestDir;

const TINY: [&str; 16] = [
    "--models",
    "rnn,gru",
    "--length",
    "6",
    "--lengths",
    "12,4,6",
    "--steps",
    "20",
    "--learning-rates",
    "1e-2,3e-3",
    "--batch-size",
    "8",
    "--hidden-size",
    "8",
    "--test-examples",
    "20",
];

#[test]
fn generalization_is_printed_and_plotted_for_each_problem() {
    let place = TestDir::new();
    let lab = |problems: &[&str], more: &[&str]| {
        place.ok(&[&["lab", "generalization"], problems, &TINY[..], &["--seeds", "1,2"], more].concat())
    };
    let printed = lab(&["parity"], &["--svg", "parity.svg"]);
    let rows: Vec<Vec<&str>> = printed
        .out
        .lines()
        .map(|line| line.split('┆').map(str::trim).collect())
        .filter(|row: &Vec<&str>| row.len() == 5)
        .collect();
    assert_eq!(rows[0], ["accuracy at length", "learning rate", "4", "6", "12"], "{}", printed.out);
    assert_eq!(rows.iter().map(|row| row[0]).collect::<Vec<_>>()[1..], ["rnn", "gru", "most frequent target"]);
    assert!(rows[1][2].contains(" ± ") && !rows[3][2].contains('±'), "{}", printed.out);
    assert!(printed.out.contains("Mean accuracy of at least 0.9: at length 12, "), "{}", printed.out);
    let runs = printed.err.matches("parity: gru, learning rate").count();
    assert_eq!(runs, 3, "two learning rates, then another seed: {}", printed.err);
    let progress = ["training 1 of 6, about ", "training 5 of 6, about ", "training 6 of 6\n"];
    assert!(progress.iter().all(|part| printed.err.contains(part)), "{}", printed.err);
    let picture = fs::read_to_string(place.path("parity.svg")).unwrap();
    assert!(picture.starts_with("<svg") && picture.contains("training length 6") && picture.contains("polyline"));
    assert_eq!(fs::read_dir(place.path("")).unwrap().count(), 1, "nothing but the plot is kept");

    let json = lab(&["adding", "dyck"], &["--json", "--svg", "all.svg"]).out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["lengths"], &json["steps"]), (&serde_json::json!([4, 6, 12]), &20.into()));
    for (problem, baseline) in [("adding", "mean target"), ("dyck", "most frequent target")] {
        let found = &json["problems"][problem];
        let values = &found["models"]["rnn"]["values"];
        assert!(values.as_array().unwrap().len() == 2 && values[1][2].is_f64(), "{found}");
        assert!(found["baselines"][baseline][0].as_f64().unwrap() < 0.9, "{found}");
        assert!(place.path(&format!("all-{problem}.svg")).exists());
    }
    let again = lab(&["adding", "dyck"], &["--json"]).out;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&again).unwrap(), json, "results are reproducible");
}

#[test]
fn invalid_arguments_of_an_experiment_are_refused_before_training() {
    let place = TestDir::new();
    for (arguments, code, part) in [
        (&["partity"][..], 2, "no problem `partity` (did you mean `parity`?); choose from adding"),
        (&["parity", "--length", "0"], 2, "--length"),
        (&["parity", "--lengths", "10,0"], 2, "--lengths"),
        (&["parity", "--models", "lstn"], 2, "did you mean `lstm`?"),
        (&["parity", "--models", "bigru"], 2, "use gru"),
        (&["parity", "--learning-rates", "0"], 2, "expected a number above 0"),
        (&["parity", "adding", "--length", "1"], 3, "an integer from 2"),
        (&["parity", "--difficulty", "1"], 3, "the modulus of problem parity"),
        (&["parity", "--svg", "out.png"], 2, "ends in .svg"),
        (&["parity", "--svg", "none/out.svg"], 8, "--svg none/out.svg: "),
        (&["parity", "--seeds", "1,2,1"], 2, "--seeds: 1 is given twice"),
        (&[], 2, "PROBLEM"),
    ] {
        let refused = place.run(&[&["lab", "generalization"], arguments].concat());
        assert!(
            refused.code == Some(code) && refused.err.contains(part) && !refused.err.contains("learning rate 1e-3"),
            "{arguments:?}: {:?} {}",
            refused.code,
            refused.err
        );
    }
}

#[test]
fn a_model_of_memory_is_trained_evaluated_by_length_and_asked() {
    let place = TestDir::new();
    let small =
        ["--set", "data.options.length=8", "--set", "data.options.examples=64", "--epochs", "2", "--out", "run"];
    let options = ["--set", "data.options.test_lengths=[8, 16]", "--set", "data.options.test_examples=30"];
    let trained = place.ok(&[&["train", "memory"], &small[..], &options].concat()).out;
    for part in ["exact-match", "accuracy, length: 8", "accuracy, length: 16", "most frequent target", "chance"] {
        assert!(trained.contains(part), "no {part} in {trained}");
    }
    let answer = place.ok(&["predict", "run", "1 1 0 1 ?"]).out;
    assert!(answer.starts_with('0') || answer.starts_with('1'), "{answer}");
    for (arguments, code, part) in [
        (&["predict", "run", "1 2 ?"][..], 4, "no input symbol \"2\"; the symbols are 0 1 ?"),
        (&["train", "memory", "--set", "data.options.problm=copy"], 3, "did you mean `problem`?"),
        (&["train", "memory", "--set", "data.options.problem=partity"], 3, "did you mean `parity`?"),
        (&["train", "memory", "--set", "models=[\"bilstm\"]"], 3, "is bidirectional"),
    ] {
        let refused = place.run(arguments);
        assert!(
            refused.code == Some(code) && refused.err.contains(part),
            "{arguments:?}: {:?} {}",
            refused.code,
            refused.err
        );
    }
}
