//! Joint labels and tags, relations, series, and cross-validation, as a user runs them.

use std::fs;

use serde_json::Value;

use crate::TestDir;

const SMALL: [&str; 6] = ["--epochs", "2", "--set", "network.hidden_sizes=[6]", "--set", "training.batch_size=8"];

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn tags_and_labels_of_sentences_are_trained_from_aligned_files() {
    let place = TestDir::new();
    fs::create_dir(place.path("requests")).unwrap();
    let put = |name: &str, lines: [&str; 2]| {
        let text: String = (0..40).map(|row| format!("{}\n", lines[row % 2])).collect();
        fs::write(place.path(&format!("requests/{name}")), text).unwrap();
    };
    put("seq.in", ["play some jazz", "will it rain in Rome"]);
    put("seq.out", ["O O B-genre", "O O O O B-city"]);
    put("label", ["Music", "Weather"]);
    // Equal sentences are in the same split, so the validation split has its own files.
    let files = ["--data", "requests", "--validation-data", "requests", "--label-column", "label", "--out", "run"];
    let trained = place.ok(&[&["train", "tag", "--epochs", "20"][..], &SMALL[2..], &files].concat());
    assert!(trained.out.contains("label-accuracy") && trained.out.contains("exact-match"), "{}", trained.out);
    assert!(trained.out.contains("naive Bayes (label-accuracy) 1.0000"), "{}", trained.out);
    let predicted = json(&place.ok(&["predict", "run", "play some jazz", "--json"]).out);
    assert_eq!((&predicted["label"], predicted["tokens"].as_array().unwrap().len()), (&"Music".into(), 3));
    // The tokens of a file of the dataset are not tokenized again, so that there is one tag per token.
    fs::write(place.path("more.in"), "play: some jazz\n\nwon't it rain ?\n").unwrap();
    let tokens = |flags: &[&str]| {
        let predicted = place.ok(&[&["predict", "run", "--file", "more.in", "--json"][..], flags].concat()).out;
        predicted.lines().map(|line| json(line)["labels"].as_array().map_or(0, Vec::len)).collect::<Vec<_>>()
    };
    assert_eq!((tokens(&[]), tokens(&["--pretokenized"])), (vec![4, 0, 5], vec![3, 0, 4]));
    let conll = place.ok(&["predict", "run", "play: it", "--pretokenized", "--format", "conll"]).out;
    assert!(conll.contains("1\tplay:\t_\t") && conll.contains("2\tit\t_\t"), "{conll}");
    let evaluated = json(&place.ok(&["evaluate", "run", "--json"]).out);
    let found = &evaluated["models"]["bilstm"];
    for metric in ["accuracy", "macro-f1", "span-f1", "label-accuracy", "exact-match"] {
        let [low, high] = [0, 1].map(|end| found["intervals"][metric][end].as_f64());
        let value = found[metric].as_f64().unwrap();
        // All resamples of only right predictions agree; of shares of sentences there is another interval.
        let is_constant = value == 1.0 && low.is_none() && metric != "exact-match";
        assert!(is_constant || low.unwrap() <= value && value <= high.unwrap(), "{metric}: {found}");
    }
    let labels = place.ok(&["evaluate", "run", "--labels"]).out;
    let row = |name: &str| labels.lines().find(|line| line.trim_start().starts_with(name)).unwrap_or_default();
    assert!(labels.contains("bilstm, validation: spans\n") && labels.contains("B-genre"), "{labels}");
    for (name, examples) in [("city ", "20"), ("genre ", "20"), ("all ", "40")] {
        assert_eq!(row(name).split('┆').nth(1).map(str::trim), Some(examples), "{labels}");
    }
    // A tagger that has seen nothing: wrong tags are shown in their sentences, and the difference is significant.
    let untrained = ["--max-steps", "1", "--set", "training.learning_rate=1e-9", "--out", "untrained"];
    place.ok(&[&["train", "tag"][..], &SMALL[2..], &files[..6], &untrained].concat());
    let errors = place.ok(&["evaluate", "untrained", "--errors", "3"]).out;
    assert!(
        errors.contains("3 of ") && errors.contains("wrong predictions, in the order of the sentences"),
        "{errors}"
    );
    assert!(errors.contains("[play]") || errors.contains("[some]") || errors.contains("[jazz]"), "{errors}");
    let compared = json(&place.ok(&["compare", "untrained", "run", "--json"]).out);
    let row = |metric: &str| {
        compared["differences"].as_array().unwrap().iter().find(|row| row["metric"] == metric).unwrap().clone()
    };
    let (exact, spans) = (row("exact-match"), row("span-f1"));
    assert!(exact["p"].as_f64().unwrap() < 1e-5 && exact["interval"][0].as_f64().unwrap() > 0.0, "{exact}");
    assert_eq!((&exact["test"], &spans["test"]), (&"McNemar".into(), &"paired bootstrap".into()));
    assert!(spans["p"].as_f64().unwrap() < 0.01 && compared["resamples"] == 1_000, "{spans}");
    assert!(row("macro-f1")["p"].as_f64().unwrap() < 0.01, "{compared}");
    let same = place.ok(&["compare", "run", "run"]).out;
    for part in ["paired bootstrap over sentences, 1000 resamples", "no 95 % interval of accuracy (run/bilstm)"] {
        assert!(same.contains(part), "{part}: {same}");
    }
}

#[test]
fn evaluation_lists_errors_and_runs_are_compared_on_the_same_examples() {
    let place = TestDir::new();
    let row = |row: usize| format!("word {}{},{}\n", ["fine", "dull", "odd"][row % 3], row, ["good", "bad"][row % 2]);
    fs::write(place.path("texts.csv"), "text,label\n".to_owned() + &(0..80).map(row).collect::<String>()).unwrap();
    let train = |out: &str, models: &str, seed: &str| {
        let own = ["train", "classify", "--data", "texts.csv", "--seed", seed, "--set", models, "--out", out];
        place.ok(&[&own[..], &SMALL, &["--validation", "0.4"]].concat());
    };
    train("one", "models=[\"gru\", \"rnn\"]", "1");
    train("two", "models=[\"gru\"]", "2");
    let plain = place.ok(&["evaluate", "one", "--split", "validation"]).out;
    let details = "details: seqzoo evaluate one --split validation --labels --errors 10 --plot reliability.svg\nnext: ";
    assert!(plain.contains(details), "{plain}");
    let evaluated = place.ok(&["evaluate", "one", "--errors", "3", "--labels"]).out;
    assert!(!evaluated.contains("details: "), "{evaluated}");
    for part in [
        "gru: 95 % interval of accuracy 0.",
        "expected calibration error 0.",
        "gru: 3 of ",
        "rnn: reliability",
        "word ",
    ] {
        assert!(evaluated.contains(part), "{part}: {evaluated}");
    }
    place.ok(&["evaluate", "one", "--plot", "reliability.svg"]);
    let picture = fs::read_to_string(place.path("reliability.svg")).unwrap();
    for part in ["<svg", "predicted probability", "gru: expected calibration error 0.", "rnn: expected"] {
        assert!(picture.contains(part), "{part}");
    }
    let refused = place.run(&["evaluate", "one", "--plot", "reliability.png"]);
    assert!(refused.code == Some(2) && refused.err.contains(".svg"), "{}", refused.err);
    let errors = json(&place.ok(&["evaluate", "two", "--errors", "2", "--json"]).out)["models"]["gru"].clone();
    let [first, second] = [0, 1].map(|index| errors["errors"][index]["probability"].as_f64().unwrap());
    assert!(first >= second && errors["errors"][0]["actual"] != errors["errors"][0]["predicted"], "{errors}");
    assert_eq!(errors["intervals"]["accuracy"].as_array().unwrap().len(), 2);
    let compared = json(&place.ok(&["compare", "one", "two", "--json"]).out);
    let rows = compared["differences"].as_array().unwrap();
    assert_eq!((&compared["base"], rows.len()), (&"one/gru".into(), 6));
    let accuracy =
        |run: &str| json(&place.ok(&["evaluate", run, "--json"]).out)["models"]["gru"]["accuracy"].as_f64().unwrap();
    let of_two = rows.iter().find(|row| row["model"] == "two/gru" && row["metric"] == "accuracy").unwrap();
    assert!((of_two["difference"].as_f64().unwrap() - (accuracy("two") - accuracy("one"))).abs() < 1e-12);
    assert!((0.0..=1.0).contains(&of_two["p"].as_f64().unwrap()));
    let printed = place.ok(&["compare", "one"]).out;
    for part in ["paired bootstrap over examples, 1000 resamples", "p of accuracy: McNemar's exact test"] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
    let refused = place.run(&["predict", "two", "word fine", "--pretokenized"]);
    assert!(
        refused.code == Some(2) && refused.err.contains("--pretokenized: run two does not label"),
        "{}",
        refused.err
    );
    let refused = place.run(&["compare", "two"]);
    assert!(refused.code == Some(2) && refused.err.contains("name another run"), "{}", refused.err);
}

#[test]
fn relations_are_trained_from_a_table_and_unmarked_texts_are_errors_of_their_line() {
    let place = TestDir::new();
    let row = |row: usize| {
        let (verb, label) = if row.is_multiple_of(2) { ("opens", "Opens(e1,e2)") } else { ("is", "Other") };
        format!("the <e1>key {row}</e1> {verb} the <e2>door</e2>,\"{label}\"\n")
    };
    let table = "text,label\n".to_owned() + &(0..40).map(row).collect::<String>();
    fs::write(place.path("relations.csv"), &table).unwrap();
    let trained = place.ok(&[&["train", "relations", "--data", "relations.csv", "--out", "run"][..], &SMALL].concat());
    assert!(trained.out.contains("relation-f1"), "{}", trained.out);
    fs::write(place.path("new.txt"), "a <e1>key</e1> opens a <e2>box</e2>\nno marks\n\n").unwrap();
    let predicted = place.run(&["predict", "run", "--file", "new.txt"]);
    let lines: Vec<&str> = predicted.out.split('\n').collect();
    assert!(lines.len() == 4 && lines[2].is_empty(), "{lines:?}");
    assert!(lines[1].starts_with("error: new.txt, line 2: no <e1>; mark both entities once"), "{lines:?}");
    assert_eq!(predicted.code, Some(4));
    // A bad text loses no other; without any good one there is nothing to train on.
    let more = "no marks,Other\nthe <e1>%</e1> of <e2>it</e2>,Other\n";
    fs::write(place.path("relations.csv"), table + more).unwrap();
    let trained = place.ok(&[&["train", "relations", "--data", "relations.csv", "--out", "more"][..], &SMALL].concat());
    assert!(trained.err.contains("note: 2 texts were left out; first: "), "{}", trained.err);
    assert!(trained.err.contains("relations.csv, line 42: no <e1>"), "{}", trained.err);
    fs::write(place.path("relations.csv"), "text,label\n".to_owned() + more).unwrap();
    let refused = place.run(&[&["train", "relations", "--data", "relations.csv"][..], &SMALL].concat());
    assert!(refused.code == Some(4) && refused.err.contains("relations.csv, line 2: no <e1>"), "{}", refused.err);
}

#[test]
fn series_are_cross_validated_and_an_interrupted_cross_validation_goes_on() {
    let place = TestDir::new();
    let row = |row: usize| match row % 2 {
        0 => format!("flat,{0},{0},{0}\n", row / 2),
        _ => format!("rising,{0},{1},{2}\n", row, row + 3, row + 6),
    };
    fs::write(place.path("series.csv"), (0..40).map(row).collect::<String>()).unwrap();
    let arguments =
        [&["train", "classify-series", "--data", "series.csv", "--set", "data.format=series"][..], &SMALL].concat();
    let folds = [&arguments[..], &["--folds", "4", "--out", "cv"]].concat();
    let first = place.ok(&folds);
    assert_eq!(first.err.matches(" of 10 examples: ").count(), 4, "{}", first.err);
    assert!(first.out.contains("nearest neighbor") && first.out.contains(" ± "), "{}", first.out);
    assert!(first.out.contains("95 % interval of accuracy over 40 examples (Wilson): bigru "), "{}", first.out);
    let results = |place: &TestDir| json(&fs::read_to_string(place.path("cv/folds.json")).unwrap());
    let before = results(&place);
    assert_eq!(
        (&before["examples"], before["models"]["bigru"]["accuracy"]["values"].as_array().unwrap().len()),
        (&40.into(), 4)
    );
    fs::remove_dir_all(place.path("cv/fold-3")).unwrap();
    let again = place.ok(&folds);
    assert_eq!((again.out, results(&place)), (first.out, before), "trained again, to the bit");
    for (flags, part) in [
        (&["--validation-data", "series.csv"][..], "remove one of the two"),
        (&["--test-data", "absent.csv"], "remove one of the two"),
        (&["--max-steps", "3"], "cannot be used with"),
        (&["--out", "cv", "--seed", "9"], "was trained with another training.seed"),
    ] {
        let refused = place.run(&[&arguments[..], &["--folds", "4"], flags].concat());
        assert!(refused.code == Some(2) && refused.err.contains(part), "{}", refused.err);
    }
    // The format of a table without names of columns is recognized, with and without a header of other names.
    let plain = [&["train", "classify-series", "--data", "series.csv", "--out", "run"][..], &SMALL].concat();
    place.ok(&plain);
    let refused = place.run(&[&arguments[..], &["--folds", "4", "--out", "run"]].concat());
    assert!(refused.code == Some(2) && refused.err.contains("is a run of its own"), "{}", refused.err);
    let headed = "kind,t1,t2,t3\n".to_owned() + &fs::read_to_string(place.path("series.csv")).unwrap();
    let piped = [&["train", "classify-series", "--data", "-", "--out", "piped"][..], &SMALL].concat();
    let piped = place.with_input(&piped, headed.as_bytes());
    assert!(piped.code == Some(0) && piped.err.contains("splits: train 36 series"), "{}", piped.err);
    assert_eq!(place.ok(&["predict", "run", "--file", "series.csv"]).out.lines().count(), 40);
    let refused = place.run(&["train", "agreement", "--folds", "3"]);
    assert!(refused.err.contains("dataset agreement is generated with splits of its own"), "{}", refused.err);
    fs::write(place.path("new.ucr"), "?,1,2,3\n?,5,5\n").unwrap();
    assert_eq!(place.ok(&["predict", "run", "--file", "new.ucr"]).out.lines().count(), 2);
}

#[test]
fn series_to_predict_keep_every_value_unless_they_have_labels() {
    let place = TestDir::new();
    let values = |row: usize| match row % 2 {
        0 => format!("{0}.5,{0},{0},{0}", row / 2),
        _ => format!("{0}.5,{1},{2},{3}", row, row + 3, row + 6, row + 9),
    };
    let table = |line: &dyn Fn(usize) -> String| (0..40).map(line).collect::<String>();
    let label = |row: usize| ["flat", "rising"][row % 2];
    let write = |name: &str, text: String| fs::write(place.path(name), text).unwrap();
    write("train.csv", "label,v1,v2,v3,v4\n".to_owned() + &table(&|row| format!("{},{}\n", label(row), values(row))));
    place.ok(&[&["train", "classify-series", "--data", "train.csv", "--out", "run"][..], &SMALL].concat());
    let predict = |name: &str, more: &[&str]| place.ok(&[&["predict", "run", "--file", name][..], more].concat());
    let labels = |out: &str| -> Vec<String> {
        out.lines().map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")).collect()
    };
    // One series per line of a text is read as it is.
    write("plain.txt", table(&|row| values(row) + "\n"));
    let expected = labels(&predict("plain.txt", &[]).out);
    write("last.csv", "v1,v2,v3,v4,label\n".to_owned() + &table(&|row| format!("{},{}\n", values(row), label(row))));
    write("none.csv", "v1,v2,v3,v4\n".to_owned() + &table(&|row| values(row) + "\n"));
    write("none.ts", "@classLabel false\n@data\n".to_owned() + &table(&|row| values(row) + "\n"));
    for (name, note) in [
        ("train.csv", "the first value of a line is its label, which is not read"),
        ("last.csv", "the last value of a line is its label"),
        ("none.csv", "no labels; every value of a line is read"),
        ("none.ts", ""),
    ] {
        let ran = predict(name, &[]);
        assert_eq!(labels(&ran.out), expected, "{name}");
        assert!(ran.err.contains(note), "{name}: {}", ran.err);
    }
    assert_ne!(labels(&predict("none.csv", &["--label-position", "first"]).out), expected);
    assert_eq!(labels(&predict("none.csv", &["--label-position", "none"]).out), expected);
    let refused = place.run(&["predict", "run", "--file", "none.csv", "--label-position", "middle"]);
    assert!(refused.code == Some(2) && refused.err.contains("first, last, none"), "{}", refused.err);
    // Labels that are numbers are known by their values.
    write("digits.csv", table(&|row| format!("{},{}\n", row % 2, values(row))));
    place.ok(&[&["train", "classify-series", "--data", "digits.csv", "--out", "digits"][..], &SMALL].concat());
    let ran = place.ok(&["predict", "digits", "--file", "digits.csv"]);
    assert!(ran.err.contains("the first value of a line is its label"), "{}", ran.err);
    write("other.csv", table(&|row| format!("{},{}\n", row % 3, values(row))));
    let refused = place.run(&["predict", "digits", "--file", "other.csv"]);
    assert!(refused.code == Some(2) && refused.err.contains("--label-position"), "{}", refused.err);
    assert_eq!(place.ok(&["predict", "digits", "--file", "other.csv", "--label-position", "first"]).out, ran.out);
}

#[test]
fn imbalance_is_reported_weighted_and_met_by_a_threshold() {
    let place = TestDir::new();
    let row = |row: usize| match row % 11 {
        0 => format!("win money {row},spam\n"),
        _ => format!("see you {row},ham\n"),
    };
    fs::write(place.path("mail.csv"), "text,label\n".to_owned() + &(0..220).map(row).collect::<String>()).unwrap();
    let arguments = [&["train", "classify", "--data", "mail.csv", "--set", "models=[\"bigru\"]"][..], &SMALL].concat();
    let plain = place.ok(&[&arguments[..], &["--out", "plain"]].concat());
    assert!(
        plain.err.contains("the labels are imbalanced: 180 training examples of `ham`, 18 of `spam`"),
        "{}",
        plain.err
    );
    assert!(plain.err.contains("task.class_weights"), "{}", plain.err);
    let evaluated = place.ok(&["evaluate", "plain"]).err;
    assert!(!evaluated.contains("imbalanced"), "a note on training alone: {evaluated}");
    let balanced = ["--out", "run", "--set", "task.class_weights=\"balanced\""];
    let weighted = place.ok(&[&arguments[..], &balanced].concat());
    assert!(!weighted.err.contains("task.class_weights\n"), "{}", weighted.err);
    assert_ne!(
        json(&place.ok(&["evaluate", "run", "--json"]).out)["models"]["bigru"]["loss"],
        json(&place.ok(&["evaluate", "plain", "--json"]).out)["models"]["bigru"]["loss"]
    );
    for (least, label) in [("0", "spam"), ("1", "ham")] {
        let threshold = format!("spam={least}");
        let predicted = place.ok(&["predict", "run", "see you", "--json", "--threshold", &threshold]);
        assert_eq!(json(&predicted.out)["label"], label);
        let evaluated = json(&place.ok(&["evaluate", "run", "--json", "--threshold", &threshold]).out);
        let recall = &evaluated["models"]["bigru"]["labels"]["spam"]["recall"];
        assert_eq!(recall.as_f64(), Some(if label == "spam" { 1.0 } else { 0.0 }), "{evaluated}");
    }
    let best = place.ok(&["evaluate", "run", "--threshold", "spam"]);
    for part in ["bigru: `spam` is predicted from probability 0.", " and F1 ", "on these same examples"] {
        assert!(best.out.contains(part), "{}", best.out);
    }
    for (arguments, part) in [
        (&["predict", "run", "x", "--threshold", "eggs=0.5"][..], "the labels of this one are ham, spam"),
        (&["predict", "run", "x", "--threshold", "spam"], "seqzoo evaluate RUN --threshold spam"),
        (&["evaluate", "run", "--threshold", "spam=7"], "from 0 to 1"),
    ] {
        let refused = place.run(arguments);
        assert!(refused.code == Some(2) && refused.err.contains(part), "{}", refused.err);
    }
}

#[test]
fn several_labels_and_numbers_are_predicted_from_texts() {
    let place = TestDir::new();
    let line = |row: usize| match row % 3 {
        0 => format!("__label__sport __label__money the club pays {row}\n"),
        1 => format!("__label__money the bank pays {row}\n"),
        _ => format!("__label__sport the club wins {row}\n"),
    };
    fs::write(place.path("news.txt"), (0..90).map(line).collect::<String>()).unwrap();
    let train = |recipe: &str, data: &str, flags: &[&str]| {
        place
            .ok(&[&["train", recipe, "--data", data, "--epochs", "25", "--out", recipe][..], &SMALL[2..], flags]
                .concat())
    };
    let trained = train("multi-label", "news.txt", &[]);
    for part in
        ["micro-f1", "exact-match", "label: money", "naive Bayes 1.0000", "most frequent labels", "95 % interval"]
    {
        assert!(trained.out.contains(part), "{part}: {}", trained.out);
    }
    let predicted = place.ok(&["predict", "multi-label", "the club pays", "--json"]);
    let found = json(&predicted.out);
    assert_eq!(found["labels"], serde_json::json!(["money", "sport"]), "{found}");
    assert!(found["probabilities"]["money"].as_f64().unwrap() > 0.5);
    fs::write(place.path("new.txt"), "the bank pays\n\n").unwrap();
    let predicted = place.ok(&["predict", "multi-label", "--file", "new.txt", "--json"]);
    assert_eq!(
        predicted.out.lines().map(|line| json(line)["labels"].clone()).collect::<Vec<_>>(),
        [serde_json::json!(["money"]), serde_json::json!([])]
    );

    let table: String = (0..40).map(|row| format!("word {row},{}\n", ["a; b", "b"][row % 2])).collect();
    fs::write(place.path("tags.csv"), "text,topics\n".to_owned() + &table).unwrap();
    let own = ["--label-column", "topics", "--epochs", "1", "--out", "topics"];
    let trained = place.ok(&[&["train", "multi-label", "--data", "tags.csv"][..], &own, &SMALL[2..]].concat());
    assert!(trained.out.contains("label: a") && trained.out.contains("label: b"), "{}", trained.out);
    // Nothing in the texts tells the labels apart.
    let errors =
        json(&place.ok(&["evaluate", "topics", "--errors", "2", "--json"]).out)["models"]["bilstm"]["errors"].clone();
    assert!(errors[0]["actual"] != errors[0]["predicted"] && errors[0]["probability"].is_null(), "{errors}");
    let compared = place.ok(&["compare", "topics", "topics"]).out;
    assert!(compared.contains("exact-match") && compared.contains("1.0000"), "{compared}");
    fs::write(place.path("lists.jsonl"), "{\"text\": \"a\", \"label\": [\"x\", \"y\"]}\n".repeat(9)).unwrap();
    let refused = place.run(&["train", "classify", "--data", "lists.jsonl"]);
    assert!(
        refused.code == Some(4) && refused.err.contains("task multi-label predicts several labels per text"),
        "{}",
        refused.err
    );

    let row = |row: usize| format!("{} stars {row};{}\n", ["one", "five"][row % 2], [1.5, 5.5][row % 2]);
    fs::write(place.path("stars.csv"), "review;stars\n".to_owned() + &(0..80).map(row).collect::<String>()).unwrap();
    let columns = ["--text-column", "review", "--target", "stars"];
    let trained = train("regression", "stars.csv", &columns);
    assert!(trained.out.contains("rmse") && trained.out.contains("ridge regression 0."), "{}", trained.out);
    let predicted = json(&place.ok(&["predict", "regression", "five stars", "--json"]).out);
    assert!((predicted["value"].as_f64().unwrap() - 5.5).abs() < 1.0, "{predicted}");
    let errors = place.ok(&["evaluate", "regression", "--errors", "2"]).out;
    assert!(errors.contains("wrong predictions, the largest error first"), "{errors}");
    let compared = json(&place.ok(&["compare", "regression", "regression", "--json"]).out)["differences"][0].clone();
    assert_eq!(
        (&compared["difference"], &compared["interval"], &compared["p"]),
        (&0.0.into(), &Value::Null, &1.0.into()),
        "equal models"
    );
    let table = fs::read_to_string(place.path("stars.csv")).unwrap();
    fs::write(place.path("stars.csv"), table + "fine;many\n").unwrap();
    let refused = place.run(&[&["train", "regression", "--data", "stars.csv"][..], &columns].concat());
    assert!(refused.code == Some(4) && refused.err.contains("stars.csv, line 82: `many`"), "{}", refused.err);
}

#[test]
fn unknown_tokens_and_truncated_texts_of_a_file_are_reported_once() {
    let place = TestDir::new();
    let row = |row: usize| format!("word {} end,{}\n", ["fine", "dull"][row % 2], ["good", "bad"][row % 2]);
    fs::write(place.path("texts.csv"), "text,label\n".to_owned() + &(0..40).map(row).collect::<String>()).unwrap();
    let own = ["train", "classify", "--data", "texts.csv", "--validation-data", "texts.csv", "--out", "run"];
    place.ok(&[&own[..], &SMALL, &["--set", "task.max_tokens=3"]].concat());
    fs::write(place.path("new.txt"), "word fine\n\nword odd end more\n").unwrap();
    let predicted = place.ok(&["predict", "run", "--file", "new.txt", "--json"]);
    let labels: Vec<bool> = predicted.out.lines().map(|line| json(line)["label"].is_string()).collect();
    assert_eq!(labels, [true, false, true]);
    let same = place.ok(&["predict", "run", "word odd end more", "--json"]);
    assert_eq!(predicted.out.lines().nth(2), Some(same.out.trim_end()), "alone and in a file");
    fs::write(place.path("new.txt"), "word fine\n \nword odd end more\n".repeat(2_000)).unwrap();
    let predicted = place.ok(&["predict", "run", "--file", "new.txt"]);
    assert_eq!(predicted.out.lines().count(), 6_000);
    let note = "note: 2000 of 10000 tokens (20.0 %) are not in the model's vocabulary; 2000 of 4000 texts are longer than the model reads";
    assert_eq!(predicted.err.matches("note: ").count(), 1, "{}", predicted.err);
    assert!(predicted.err.contains(note), "{}", predicted.err);
}

#[test]
fn subwords_serve_classifiers_language_models_and_translation() {
    let place = TestDir::new();
    let words = ["playing", "played", "player", "walking", "walked", "walker"];
    let row = |row: usize| format!("the {} {}\t{}\n", words[row % 6], words[row % 5], ["one", "two"][row % 2]);
    fs::write(place.path("pairs.tsv"), (0..120).map(row).collect::<String>()).unwrap();
    let table: String = (0..120).map(row).collect();
    fs::write(place.path("texts.tsv"), "text\tlabel\n".to_owned() + &table).unwrap();
    fs::write(place.path("text.txt"), table.replace('\t', " is ")).unwrap();
    let subwords = ["--set", "task.level=subwords", "--set", "task.max_vocabulary=40", "--epochs", "2"];
    let train = |arguments: &[&str]| place.ok(&[&["train"], arguments, &subwords, &SMALL[2..]].concat());

    train(&["classify", "--data", "texts.tsv", "--out", "labels"]);
    // Words that were not in the training data are composed of known pieces.
    fs::write(place.path("new.txt"), "the walkplayer\n").unwrap();
    let predicted = place.ok(&["predict", "labels", "--file", "new.txt"]);
    assert!(!predicted.err.contains("vocabulary"), "{}", predicted.err);
    fs::write(place.path("new.txt"), "the Ωmega\n").unwrap();
    let predicted = place.ok(&["predict", "labels", "--file", "new.txt"]);
    assert!(predicted.err.contains("are not in the model's vocabulary"), "{}", predicted.err);

    train(&["language-model", "--text", "text.txt", "--out", "text"]);
    let generated = place.ok(&["generate", "text", "--prompt", "the play", "--seed", "1"]).out;
    assert!(generated.starts_with("the play") && !generated.contains('▁'), "{generated}");

    train(&["translate", "--data", "pairs.tsv", "--out", "pairs"]);
    let predicted = json(&place.ok(&["predict", "pairs", "the walked player", "--json"]).out);
    assert!(!predicted.to_string().contains('▁'), "{predicted}");

    fs::write(place.path("marked.txt"), "Use\tthe <e1>key</e1> for the <e2>door</e2>\n".repeat(40)).unwrap();
    let refused = place.run(&[&["train", "relations", "--data", "marked.txt"][..], &subwords[..2]].concat());
    assert!(refused.err.contains("one of words, characters, tokens, for this task"), "{}", refused.err);
}
