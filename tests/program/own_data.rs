use crate::TestDir;
use std::fs;

/// A recipe for a classifier of the texts in `reviews.csv`.
fn recipe(data: &str) -> String {
    format!(
        "summary = \"reviews\"\nmodels = [\"gru\"]\n[data]\nfiles = \"reviews.csv\"\n\
         columns = {{ text = \"review\", label = \"sentiment\" }}\n{data}\n[task]\nkind = \"classification\"\n\
         [network]\nhidden_sizes = [4]\n[training]\nepochs = 1\nbatch_size = 8\nlearning_rate = 1e-2\n"
    )
}

/// Sixty labeled texts, then these lines.
fn reviews(more: &str) -> String {
    let row = |row: usize| {
        let (word, label) = if row.is_multiple_of(2) { ("fine", "good") } else { ("dull", "bad") };
        format!("{row},\"a {word} film, number {row}\",{label}\n")
    };
    "id,review,sentiment\n".to_owned() + &(0..60).map(row).collect::<String>() + more
}

fn prepared(data: &str, more: &str) -> TestDir {
    let place = TestDir::new();
    fs::write(place.path("reviews.toml"), recipe(data)).unwrap();
    fs::write(place.path("reviews.csv"), reviews(more)).unwrap();
    place
}

#[test]
fn a_recipe_trains_on_own_files_and_the_run_remembers_where_they_are() {
    let place = prepared("split = { by = \"shuffle\", validation = 0.2, test = 0.2, stratify = true }", "");
    let trained = place.ok(&["train", "reviews.toml", "--out", "run"]);
    assert!(trained.out.contains("naive Bayes") && trained.out.contains(" test "), "{}", trained.out);
    let there = place.ok(&["evaluate", "run"]).out;
    fs::create_dir(place.path("elsewhere")).unwrap();
    let run = place.path("run").display().to_string();
    let elsewhere = place.run_in("elsewhere", &["evaluate", &run]);
    assert_eq!(elsewhere.code, Some(0), "{}", elsewhere.err);
    assert!(!elsewhere.err.contains("warning"), "{}", elsewhere.err);
    assert_eq!(elsewhere.out.lines().next(), there.lines().next());
    let resumed = place.run_in("elsewhere", &["train", "--resume", &run, "--epochs", "2"]);
    assert_eq!(resumed.code, Some(0), "{}", resumed.err);
    fs::write(place.path("reviews.csv"), reviews("61,\"a fine film\",bad\n")).unwrap();
    assert!(place.ok(&["evaluate", "run"]).err.contains("warning: the data differ"));
}

#[test]
fn a_folder_of_splits_is_read_as_these_splits() {
    let place = TestDir::new();
    fs::create_dir(place.path("films")).unwrap();
    for (name, count) in [("train", 40), ("dev", 10), ("test", 12)] {
        let row = |row: usize| format!("a {name} film {row},{}\n", ["yes", "no"][row % 2]);
        let table = "text,label\n".to_owned() + &(0..count).map(row).collect::<String>();
        fs::write(place.path(&format!("films/{name}.csv")), table).unwrap();
    }
    let small = ["--epochs", "1", "--set", "network.hidden_sizes=[4]", "--out", "run"];
    let trained = place.ok(&[&["train", "classify", "--data", "films"][..], &small].concat());
    let parts = [
        "films: train.csv, dev.csv and test.csv are the training, validation and test split",
        "splits: train 40 texts, validation 10 texts, test 12 texts",
    ];
    assert!(parts.iter().all(|part| trained.err.contains(part)), "{}", trained.err);
    assert_eq!(place.json(&["evaluate", "run", "--json"])["examples"], 12);
    let refused = place.run(&["train", "classify", "--data", "films", "--folds", "2"]);
    assert!(refused.code == Some(3) && refused.err.contains("conflicts with the splits that "), "{}", refused.err);
    place.ok(&["init", "classify", "--data", "films", "--out", "films.toml"]);
    let written = fs::read_to_string(place.path("films.toml")).unwrap();
    let named = "train = \"films/train.csv\"\nvalidation = \"films/dev.csv\"\ntest = \"films/test.csv\"\n";
    assert!(written.contains(named) && !written.contains("split ="), "{written}");
}

#[test]
fn rows_without_a_label_are_skipped_and_reported() {
    let place = prepared("", "60,\"no label\",\n61,\"none either\",  \n");
    let trained = place.ok(&["train", "reviews.toml", "--out", "run"]);
    assert!(
        trained.err.contains("note: 2 rows without a label were skipped; first: ")
            && trained.err.contains("reviews.csv, line 62"),
        "{}",
        trained.err
    );
}

#[test]
fn examples_without_a_token_are_reported_with_file_and_line() {
    let place = TestDir::new();
    let rows = |row: usize| format!("a text {row},{row}\n");
    let table = |header: &str| format!("{header}\n{}\"\",7\n", (0..40).map(rows).collect::<String>());
    fs::write(place.path("stars.csv"), table("text,target")).unwrap();
    fs::write(place.path("pairs.csv"), table("source,target") + "a text,\"\"\n").unwrap();
    let marked = |row: usize| format!("a text {row},{}\n", ["yes", "no"][row % 2]);
    fs::write(place.path("marks.csv"), format!("text,label\n\"\",yes\n{}", (0..40).map(marked).collect::<String>()))
        .unwrap();
    let noted = |arguments: &[&str], note: &str| {
        let checked = place.run(&[&["check"][..], arguments].concat());
        assert!(checked.code == Some(0) && checked.err.contains(note), "{note}: {}", checked.err);
    };
    noted(&["classify", "--data", "marks.csv"], "marks.csv, line 2: \"\" (yes)");
    noted(&["regression", "--data", "stars.csv"], "stars.csv, line 42: \"\"");
    noted(&["translate", "--data", "pairs.csv"], "pairs.csv, line 42: \"\" (for \"7\")");
    noted(&["translate", "--data", "pairs.csv"], "pairs.csv, line 43: that of \"a text\"");
}

#[test]
fn what_the_task_does_not_read_is_refused_and_tables_can_be_set() {
    let place = prepared("", "");
    for (set, part) in [
        ("data.columns.tokens=review", "task classification does not use it; it uses text, label, groups"),
        ("data.split={by=\"characters\", validation=0.1}", "whole texts are assigned to splits"),
        ("data.options.seperator=;", "did you mean `separator`?"),
        ("data.season=7", "task classification does not use it; it is for forecasting"),
        ("task.horizon=7", "task classification does not use it; it is for forecasting"),
        ("data.seasno=7", "unknown field"),
        ("expected.value=0.5", "this recipe has no [expected] section; set all of its fields together"),
        ("expected.vale=0.5", "did you mean `value`?"),
        ("expected={split=\"validation\", metric=\"rmse\", value=1}", "has the metrics accuracy, macro-f1, loss"),
    ] {
        let refused = place.run(&["train", "reviews.toml", "--set", set]);
        assert!(refused.code == Some(3) && refused.err.contains(part), "{set}: {:?} {}", refused.code, refused.err);
    }
    let set = ["--set", "data.options.separator=,", "--set", "data.split={by=\"every\", validation=5}", "--out", "set"];
    place.ok(&[&["train", "reviews.toml"][..], &set].concat());
    // One value changes the default rule.
    let checked = place.ok(&["check", "reviews.toml", "--set", "data.split.validation=0.25"]).err;
    assert!(checked.contains("splits: train 44 texts, validation 16 texts"), "{checked}");
    let series = ["--csv", "reviews.csv", "--target", "id", "--set", "data.split={by=\"shuffle\", validation=0.1}"];
    let refused = place.run(&[&["train", "forecast"][..], &series].concat());
    assert!(refused.code == Some(3) && refused.err.contains("a series is split in its order"), "{}", refused.err);
    let verified = place.run(&["verify", "reviews.toml"]);
    assert!(verified.code == Some(3) && verified.err.contains("no [expected] value"), "{}", verified.err);
}

#[test]
fn lines_of_a_file_are_predicted_as_they_are_and_arguments_may_have_escapes() {
    let place = prepared("", "");
    let characters = ["--set", "task.level=characters", "--out", "run"];
    place.ok(&[&["train", "reviews.toml"][..], &characters].concat());
    fs::write(place.path("lines.txt"), "C:\\new\n").unwrap();
    let probability = |arguments: &[&str]| {
        place.json(&[&["predict", "run", "--json"][..], arguments].concat())["probability"].clone()
    };
    let line = probability(&["--file", "lines.txt"]);
    assert_eq!(line, probability(&["C:\\\\new"]));
    assert_ne!(line, probability(&["C:\\new"]), "`\\n` in an argument is a line end");
}

#[test]
fn a_text_given_by_flag_is_split_cleaned_and_decoded_as_the_recipe_says() {
    let place = TestDir::new();
    // In Latin-1, with a byte that is not UTF-8.
    let text = [b"caf\xe9 and tea, so it goes\n".repeat(40), b"the end of the text\n".repeat(40)].concat();
    fs::write(place.path("text.txt"), text).unwrap();
    let train = ["train", "shakespeare", "--text", "text.txt", "--max-steps", "1", "--set", "network.hidden_sizes=[4]"];
    let refused = place.run(&[&train[..], &["--out", "utf"]].concat());
    assert!(refused.code == Some(4) && refused.err.contains("data.options.encoding to \"latin-1\""), "{}", refused.err);
    let examples = |more: &[&str], out: &str| {
        let set = ["--set", "data.options.encoding=latin-1", "--set", "training.batch_size=4", "--out", out];
        place.ok(&[&train[..], &set, more].concat());
        let size = |split: &str| place.json(&["evaluate", out, "--split", split, "--json"])["examples"].as_u64();
        (size("train"), size("validation"))
    };
    let tenth = examples(&[], "tenth");
    let half = examples(&["--set", "data.split={by=\"characters\", validation=0.5}"], "half");
    assert!(tenth.1 < half.1 && tenth.0 > half.0, "{tenth:?} {half:?}");
    let refused = place.run(&["evaluate", "tenth", "--split", "test"]);
    assert!(refused.code == Some(4) && refused.err.contains("splits with examples: train ("), "{}", refused.err);
}

#[test]
fn own_files_of_a_run_take_precedence_over_the_dataset_in_the_data_folder() {
    let place = TestDir::new();
    let name = |row: usize| format!("name{row},{}\n", ["yes", "no"][row % 2]);
    fs::write(place.path("own.csv"), "text,label\n".to_owned() + &(0..40).map(name).collect::<String>()).unwrap();
    fs::create_dir(place.path("data")).unwrap();
    let small = ["--set", "network.hidden_sizes=[4]", "--set", "models=[\"rnn\"]", "--max-steps", "1", "--out", "run"];
    place.ok(&[&["train", "names", "--data", "own.csv"][..], &small].concat());
    let evaluated = place.ok(&["evaluate", "run", "--split", "validation", "--data-dir", "data"]).err;
    assert!(evaluated.contains("own.csv") && !evaluated.contains("warning"), "{evaluated}");
    assert!(
        evaluated.contains("note: --data-dir is not used, since run run was trained on files of its own"),
        "{evaluated}"
    );
}

#[test]
fn a_run_whose_files_were_moved_names_the_way_out() {
    let place = prepared("", "");
    place.ok(&["train", "reviews.toml", "--out", "run", "--max-steps", "1"]);
    fs::create_dir(place.path("moved")).unwrap();
    fs::rename(place.path("reviews.csv"), place.path("moved/reviews.csv")).unwrap();
    for command in [&["train", "--resume", "run"][..], &["evaluate", "run"]] {
        let refused = place.run(command);
        let parts = ["run run was trained on ", "reviews.csv, which no longer exists", "--data-dir DIR"];
        assert!(refused.code == Some(4) && parts.iter().all(|part| refused.err.contains(part)), "{}", refused.err);
    }
    place.ok(&["train", "--resume", "run", "--data-dir", "moved"]);
    place.ok(&["evaluate", "run"]);
    // A validation file that was moved is named by its own flag.
    for name in ["a.csv", "b.csv"] {
        fs::write(place.path(name), reviews("")).unwrap();
    }
    let own =
        ["train", "reviews.toml", "--data", "a.csv", "--validation-data", "b.csv", "--out", "two", "--max-steps", "1"];
    place.ok(&own);
    fs::rename(place.path("b.csv"), place.path("c.csv")).unwrap();
    let refused = place.run(&["evaluate", "two"]);
    assert!(refused.err.contains("name the file with --validation-data FILE"), "{}", refused.err);
    assert!(!place.ok(&["evaluate", "two", "--validation-data", "c.csv"]).err.contains("warning"));
}

#[test]
fn labels_and_row_counts_of_own_data_are_checked() {
    let place = prepared("labels = [\"good\", \"bad\", \"good\"]", "");
    let refused = place.run(&["train", "reviews.toml"]);
    assert!(refused.code == Some(3) && refused.err.contains("data.labels = good: each label once"), "{}", refused.err);
    let place = prepared("rows = 61", "");
    let refused = place.run(&["train", "reviews.toml"]);
    assert!(refused.code == Some(3) && refused.err.contains("reviews.csv has 60 rows"), "{}", refused.err);
    assert!(!refused.err.contains("fetch"), "{}", refused.err);
}

/// Trains a recipe for own data on files in some format.
fn trained_on(place: &TestDir, recipe: &str, more: &[&str]) -> crate::Finished {
    let small = ["--epochs", "1", "--set", "network.hidden_sizes=[4]", "--out", "run"];
    let _ = fs::remove_dir_all(place.path("run"));
    place.ok(&[&["train", recipe][..], more, &small].concat())
}

#[test]
fn own_texts_of_any_format_are_classified_with_flags_alone() {
    let place = TestDir::new();
    let label = |row: usize| ["good", "bad"][row % 2];
    let text = |row: usize| format!("a {} film, number {row}", ["fine", "dull"][row % 2]);
    let lines = |line: &dyn Fn(usize) -> String| (0..60).map(line).collect::<String>();
    fs::write(place.path("a.csv"), reviews("")).unwrap();
    let table = lines(&|row| format!("{}|\"{}\"\r\n", label(row), text(row)));
    fs::write(place.path("piped.csv"), "\u{feff}label|text\r\n".to_owned() + &table).unwrap();
    fs::write(
        place.path("a.jsonl"),
        lines(&|row| format!("{{\"text\": {:?}, \"label\": {:?}}}\n", text(row), label(row))),
    )
    .unwrap();
    fs::write(place.path("a.txt"), lines(&|row| format!("__label__{} {}\r", label(row), text(row)))).unwrap();
    for row in 0..60 {
        for (folder, name) in
            [("folders", format!("{}/{row}.txt", label(row))), ("folders", format!("{}/{row}.txt~", label(row)))]
        {
            let path = place.path(folder).join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text(row)).unwrap();
        }
    }
    fs::create_dir(place.path("files")).unwrap();
    for which in 0..2 {
        let all = lines(&|row| if row % 2 == which { text(row) + "\n" } else { String::new() });
        fs::write(place.path(&format!("files/{}.txt", label(which))), all).unwrap();
    }
    let columns = ["--text-column", "review", "--label-column", "sentiment"];
    for (data, more) in [
        ("a.csv", &columns[..]),
        ("piped.csv", &[]),
        ("a.jsonl", &[]),
        ("a.txt", &[]),
        ("folders", &[]),
        ("files", &[]),
    ] {
        let ran = trained_on(&place, "classify", &[&["--data", data, "--validation", "0.2"][..], more].concat());
        assert!(ran.err.contains("splits: train 48 texts, validation 12 texts"), "{data}: {}", ran.err);
        assert!(ran.out.contains("naive Bayes"), "{data}: {}", ran.out);
        // Later commands need no flags, from any folder.
        let report = place.json(&["evaluate", "run", "--json"]);
        assert_eq!((&report["split"], &report["examples"]), (&"validation".into(), &12.into()), "{data}");
        assert_eq!(place.ok(&["predict", "run", "a fine film"]).out.lines().count(), 1);
    }
    // The column that the model was trained on is read from a table; order is kept.
    let rows = "review,stars\n\"a fine film, really\",5\n,3\na dull film,1\n";
    fs::write(place.path("new.csv"), rows).unwrap();
    trained_on(&place, "classify", &[&["--data", "a.csv"][..], &columns].concat());
    let predicted = place.ok(&["predict", "run", "--file", "new.csv"]).out;
    let lines: Vec<&str> = predicted.lines().collect();
    assert!(lines.len() == 3 && lines[0].ends_with("a fine film, really") && lines[1].is_empty(), "{predicted}");
    let by_line = place.ok(&["predict", "run", "--file", "new.csv", "--input-format", "text"]).out;
    assert_eq!(by_line.lines().count(), 4);
    let refused = place.run(&["predict", "run", "--file", "a.jsonl"]);
    assert!(
        refused.code == Some(4) && refused.err.contains("no column `review`") && refused.err.contains("--column"),
        "{}",
        refused.err
    );
    assert_eq!(place.ok(&["predict", "run", "--file", "a.jsonl", "--column", "text"]).out.lines().count(), 60);
    // A split with files of its own, and a test split.
    let files = ["--data", "a.jsonl", "--validation-data", "a.txt", "--test-data", "piped.csv"];
    let ran = trained_on(&place, "classify", &files);
    assert!(ran.err.contains("splits: train 60 texts, validation 60 texts, test 60 texts"), "{}", ran.err);
    assert_eq!(place.json(&["evaluate", "run", "--json"])["split"], "test");
    fs::rename(place.path("a.txt"), place.path("b.txt")).unwrap();
    assert!(place.ok(&["evaluate", "run"]).err.contains("the validation split is not read"));
    let refused = place.run(&["evaluate", "run", "--split", "validation"]);
    assert!(
        refused.code == Some(4) && refused.err.contains("name the file with --validation-data FILE"),
        "{}",
        refused.err
    );
    let piped = place.with_input(
        &["train", "classify", "--data", "-", "--epochs", "1", "--out", "piped"],
        &fs::read(place.path("b.txt")).unwrap(),
    );
    assert_eq!(piped.code, Some(0), "{}", piped.err);
    let forgotten = place.run(&["evaluate", "piped"]);
    assert!(forgotten.err.contains("pass the data again with --data=-"), "{}", forgotten.err);
    // Tables, archives and several labels on standard input; it can be read once.
    let table = fs::read(place.path("a.csv")).unwrap();
    let columns = ["--text-column", "review", "--label-column", "sentiment", "--epochs", "1"];
    let piped = |more: &[&str], input: &[u8]| {
        place.with_input(&[&["train", "classify", "--data", "-"][..], more, &columns[4..]].concat(), input)
    };
    let ran = piped(&[&columns[..4], &["--out", "table"]].concat(), &table);
    assert!(ran.code == Some(0) && ran.err.contains("splits: train"), "{}", ran.err);
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for row in 0..40 {
        let (folder, word) = [("good", "fine"), ("bad", "dull")][row % 2];
        zip.start_file(format!("films/{folder}/{row}.txt"), zip::write::SimpleFileOptions::default()).unwrap();
        std::io::Write::write_all(&mut zip, format!("a {word} film {row}").as_bytes()).unwrap();
    }
    let ran = piped(&["--out", "zip"], &zip.finish().unwrap().into_inner());
    assert!(ran.code == Some(0) && ran.err.contains("labels of the training split: bad 18, good 18"), "{}", ran.err);
    let lines: String = (0..40).map(|row| format!("__label__{} __label__x a film {row}\n", row % 2)).collect();
    let ran = piped(&["--out", "several"], lines.as_bytes());
    assert!(ran.err.contains("40 texts have several labels, of which the first is read"), "{}", ran.err);
    let twice = piped(&["--validation-data", "-"], lines.as_bytes());
    assert!(twice.code == Some(3) && twice.err.contains("standard input once"), "{}", twice.err);
    let refused = place.run(&["train", "classify"]);
    assert!(refused.code == Some(4) && refused.err.contains("--data FILE"), "{}", refused.err);
    let refused = place.run(&["train", "classify", "--data", "a.csv"]);
    let parts = ["no column `label` to use as label", "`review`", "(--label-column)"];
    assert!(refused.code == Some(4) && parts.iter().all(|part| refused.err.contains(part)), "{}", refused.err);
}

#[test]
fn own_sentences_pairs_and_texts_need_flags_alone() {
    let place = TestDir::new();
    let sentence = |row: usize| format!("in IN O\nParis{row} NN B-LOC\n. . O\n\n");
    fs::write(place.path("a.conll"), "-DOCSTART- -X- O\n\n".to_owned() + &(0..40).map(sentence).collect::<String>())
        .unwrap();
    let ran = trained_on(&place, "tag", &["--data", "a.conll"]);
    assert!(ran.err.contains("splits: train 36 sentences, validation 4 sentences"), "{}", ran.err);
    let labels = place.json(&["evaluate", "run", "--json"])["models"]["bilstm"]["confusion"]["labels"].clone();
    assert_eq!(labels, serde_json::json!(["B-LOC", "O"]), "the last column has the tags");
    trained_on(&place, "tag", &["--data", "a.conll", "--column", "2"]);
    let labels = place.json(&["evaluate", "run", "--json"])["models"]["bilstm"]["confusion"]["labels"].clone();
    assert_eq!(labels, serde_json::json!([".", "IN", "NN"]));
    // Any order of columns, also from standard input.
    let sentences: String = (0..40).map(|row| format!("O in\nB-LOC Paris{row}\nO .\n\n")).collect();
    fs::write(place.path("order.conll"), &sentences).unwrap();
    trained_on(&place, "tag", &["--data", "order.conll", "--column", "1", "--text-column", "2"]);
    let tagged = place.with_input(&["predict", "run", "--input-format", "conll", "-"], sentences.as_bytes());
    assert!(tagged.code == Some(0) && tagged.out.lines().count() == 40, "{} {}", tagged.out, tagged.err);
    assert_eq!(place.with_input(&["predict", "run", "-"], sentences.as_bytes()).out, tagged.out, "detected");
    let row = |row: usize| format!("1\tGo{row}\tgo\t{}\t_\t_\t0\troot\t_\t_\n\n", ["VERB", "NOUN"][row % 2]);
    let treebank: String = (0..40).map(|number| format!("# sent_id = {number}\n# text\n{}", row(number))).collect();
    let ran =
        place.with_input(&["train", "tag", "--data", "-", "--epochs", "1", "--out", "piped"], treebank.as_bytes());
    assert!(ran.code == Some(0) && ran.err.contains("VERB"), "{}", ran.err);
    let pair = |row: usize| format!("count {row}\tun deux {row}\tsource\n");
    fs::write(place.path("pairs.tsv"), "source\ttarget\tx\n".to_owned() + &(0..60).map(pair).collect::<String>())
        .unwrap();
    fs::write(place.path("pairs.txt"), (0..60).map(pair).collect::<String>()).unwrap();
    for data in ["pairs.txt", "pairs.tsv"] {
        let ran = trained_on(&place, "translate", &["--data", data]);
        assert!(ran.err.contains("splits: train 54 pairs, validation 6 pairs"), "{}", ran.err);
    }
    // Characters have no BLEU, which selects the checkpoint of this recipe: this is known before training.
    let message = "stopping.metric = bleu: models with these settings and data report accuracy, token-error-rate, loss";
    for command in [&["check"][..], &["train", "--out", "characters"]] {
        let characters = ["translate", "--data", "pairs.txt", "--set", "task.level=characters"];
        let refused = place.run(&[command, &characters[..]].concat());
        assert!(refused.code == Some(3) && refused.err.contains(message), "{}", refused.err);
    }
    assert!(!place.path("characters").exists());
    // Sources of pairs without names of columns.
    let bare = |row: usize| format!("count {row}\tun deux {row}\n");
    fs::write(place.path("bare.tsv"), (0..60).map(bare).collect::<String>()).unwrap();
    let predicted = place.ok(&["predict", "run", "--file", "bare.tsv"]);
    assert!(predicted.out.lines().count() == 60 && predicted.out.contains("  count 7\n"), "{}", predicted.out);
    fs::create_dir(place.path("books")).unwrap();
    for book in ["one", "two"] {
        fs::write(place.path(&format!("books/{book}.txt")), "so it goes, and so it went. ".repeat(100)).unwrap();
    }
    trained_on(&place, "language-model", &["--text", "books", "--set", "training.batch_size=4"]);
    place.ok(&["evaluate", "run"]);
    trained_on(
        &place,
        "language-model",
        &["--text", "books/one.txt", "books/two.txt", "--set", "training.batch_size=4"],
    );
    place.ok(&["generate", "run", "--prompt", "so", "-n", "3"]);
    // Half of the words are `so` and `it`.
    let ran =
        trained_on(&place, "words", &["--text", "books", "--set", "task.coverage=0.5", "--set", "task.tied=false"]);
    let found = place.json(&["evaluate", "run", "--json"])["models"]["lstm"].clone();
    let value = |name: &str| found[name].as_f64().unwrap_or(f64::NAN);
    assert!((value("perplexity") - value("loss").exp()).abs() < 1e-6 && value("unknown-tokens") > 0.3, "{found}");
    // Nine tokens in 28 characters; bits per token are loss / ln 2.
    let ratio = value("loss") / 2f64.ln() / value("bits-per-character");
    assert!((ratio - 28.0 / 9.0).abs() < 0.02 && ran.out.contains("perplexity"), "{ratio} {}", ran.out);
}

#[test]
fn other_data_are_evaluated_by_the_names_of_their_labels() {
    let place = TestDir::new();
    let write = |name: &str, labels: &[&str]| {
        let row = |row: usize| format!("{0},about {0} number {row}\n", labels[row % labels.len()]);
        fs::write(place.path(name), "label,text\n".to_owned() + &(0..90).map(row).collect::<String>()).unwrap();
    };
    write("three.csv", &["alpha", "beta", "gamma"]);
    write("two.csv", &["beta", "gamma"]);
    write("more.csv", &["alpha", "beta", "delta", "epsilon"]);
    place.ok(&["train", "classify", "--data", "three.csv", "--epochs", "8", "--out", "run"]);
    let accuracy = |data: &str| place.json(&["evaluate", "run", "--data", data, "--json"])["value"].clone();
    assert_eq!((accuracy("three.csv"), accuracy("two.csv")), (1.0.into(), 1.0.into()));
    let refused = place.run(&["evaluate", "run", "--data", "more.csv"]);
    let parts = ["labels that the model was not trained on: delta, epsilon", "its labels are alpha, beta, gamma"];
    assert!(refused.code == Some(4) && parts.iter().all(|part| refused.err.contains(part)), "{}", refused.err);
    // A test split of its own, with the training data that the run remembers.
    let report = place.json(&["evaluate", "run", "--test-data", "two.csv", "--split", "test", "--json"]);
    assert_eq!((&report["examples"], &report["value"]), (&90.into(), &1.0.into()));
    let tagged =
        |tags: &[&str]| (0..40).map(|row| format!("word{row} {}\n\n", tags[row % tags.len()])).collect::<String>();
    fs::write(place.path("three.conll"), tagged(&["A", "B", "C"])).unwrap();
    fs::write(place.path("five.conll"), tagged(&["A", "B", "C", "D", "E"])).unwrap();
    place.ok(&["train", "tag", "--data", "three.conll", "--epochs", "1", "--out", "tagger"]);
    let refused = place.run(&["evaluate", "tagger", "--data", "five.conll"]);
    assert!(refused.code == Some(4) && refused.err.contains("its labels are A, B, C"), "{}", refused.err);
}

#[test]
fn files_of_single_splits_are_remembered_and_exclude_a_rule() {
    let place = TestDir::new();
    let text = "so it goes, and so it went. ".repeat(60);
    fs::write(place.path("a.txt"), &text).unwrap();
    fs::write(place.path("b.txt"), text.to_uppercase() + &text).unwrap();
    let files = ["--text", "a.txt", "--validation-data", "b.txt", "--set", "training.batch_size=4", "--max-steps", "2"];
    trained_on(&place, "language-model", &files);
    let resumed = place.ok(&["train", "--resume", "run", "--max-steps", "3"]);
    assert!(!resumed.err.contains("warning"), "{}", resumed.err);
    let row = |row: u32| format!("{row},{}\n", row * row % 17);
    let table = |from: u32| "t,y\n".to_owned() + &(from..from + 60).map(row).collect::<String>();
    fs::write(place.path("a.csv"), table(0)).unwrap();
    fs::write(place.path("b.csv"), table(60)).unwrap();
    let series = ["--csv", "a.csv", "--validation-data", "b.csv", "--time", "t", "--target", "y", "--horizon", "2"];
    let small = ["--set", "task.window=6", "--set", "models=[\"gru\"]"];
    trained_on(&place, "forecast", &[&series[..], &small].concat());
    assert!(!place.ok(&["evaluate", "run"]).err.contains("warning"));
    fs::write(place.path("reviews.csv"), reviews("")).unwrap();
    let data = ["--data", "reviews.csv", "--validation-data", "reviews.csv", "--group", "id"];
    let refused = place.run(&[&["train", "classify"][..], &data].concat());
    assert!(refused.code == Some(2) && refused.err.contains("--group divides --data"), "{}", refused.err);
    let refused = place.run(&["train", "agreement", "--test-data", "reviews.csv"]);
    assert!(refused.code == Some(2) && refused.err.contains("need --data"), "{}", refused.err);
}

#[test]
fn files_outside_of_the_folders_of_classes_are_skipped_and_reported() {
    let place = TestDir::new();
    for row in 0..30 {
        for label in ["good", "bad"] {
            fs::create_dir_all(place.path(&format!("classes/{label}"))).unwrap();
            fs::write(place.path(&format!("classes/{label}/{row}.txt")), format!("{label} film {row}")).unwrap();
        }
    }
    fs::write(place.path("classes/notes.txt"), "not a review").unwrap();
    fs::write(place.path("classes/README.txt"), "about the reviews").unwrap();
    let ran = trained_on(&place, "classify", &["--data", "classes"]);
    assert!(ran.err.contains("1 file outside of the folders of classes was skipped"), "{}", ran.err);
    assert!(ran.err.contains("1 file named like documentation was skipped; first: "), "{}", ran.err);
    assert!(ran.err.contains("labels of the training split: bad 27, good 27"), "{}", ran.err);
    fs::write(place.path("words.txt"), "one\ntwo\n\nthree\n").unwrap();
    let refused = place.run(&["train", "tag", "--data", "words.txt"]);
    assert!(refused.code == Some(4) && refused.err.contains("words.txt, line 1: one column"), "{}", refused.err);
}

#[test]
fn own_data_are_inspected_checked_and_described_in_a_recipe() {
    let place = TestDir::new();
    fs::write(place.path("reviews.csv"), reviews("61,\"a fine film, number 0\",good\n")).unwrap();
    let columns = ["--text-column", "review", "--label-column", "sentiment"];
    let inspected = place.json(&[&["data", "inspect", "reviews.csv", "--json"][..], &columns].concat());
    assert_eq!(inspected["recipe"], "classify");
    let splits = &inspected["splits"];
    let total = |field: &str| splits["train"][field].as_u64().unwrap() + splits["validation"][field].as_u64().unwrap();
    assert_eq!((total("examples"), total("repeated"), &splits["validation"]["in_train"]), (61, 1, &0.into()));
    assert_eq!(splits["train"]["tokens"]["longest"], 6);
    let shown = place.ok(&[&["data", "inspect", "reviews.csv"][..], &columns].concat()).out;
    assert!(
        shown.contains("label good") && shown.contains("next: seqzoo train classify --data reviews.csv"),
        "{shown}"
    );
    fs::write(place.path("bad.csv"), b"text,label\na,b\n\xff,c\n\xfe,d\n").unwrap();
    let refused = place.run(&["data", "inspect", "bad.csv"]);
    assert!(refused.err.contains("2 lines cannot be read as text; first: bad.csv, line 3"), "{}", refused.err);
    // The recipe is found by the contents, or by the column that a flag names.
    let table: String = (1..=60).map(|row| format!("{row},{}\n", row % 7)).collect();
    fs::write(place.path("load.csv"), "hour,load\n".to_owned() + &table).unwrap();
    let series: String = (0..40).map(|row| format!("{},{row},2,3\n", ["up", "down"][row % 2])).collect();
    fs::write(place.path("steps.csv"), series).unwrap();
    let relations: String = (0..40).map(|row| format!("a <e1>key</e1> {row} <e2>door</e2>,{}\n", row % 2)).collect();
    fs::write(place.path("marked.csv"), "text,label\n".to_owned() + &relations).unwrap();
    for (arguments, recipe) in [
        (&["load.csv", "--target", "load", "--time", "hour", "--horizon", "1"][..], "as forecast"),
        (&["load.csv", "--value-column", "load"], "as anomaly"),
        (&["steps.csv"], "as classify-series"),
        (&["marked.csv"], "as relations"),
    ] {
        let shown = place.ok(&[&["data", "inspect"][..], arguments].concat());
        assert!(shown.out.contains(recipe) && shown.err.matches("loading").count() == 1, "{} {}", shown.out, shown.err);
        assert!(!shown.out.contains("unknown tokens") || recipe == "as relations", "{}", shown.out);
    }
    let several =
        place.ok(&[&["data", "inspect", "reviews.csv", "--validation-data", "reviews.csv"][..], &columns].concat());
    assert!(several.out.contains("--data reviews.csv --validation-data reviews.csv"), "{}", several.out);
    let refused = place.run(&["data", "inspect", "load.csv"]);
    assert!(refused.err.contains("--target COLUMN for recipe forecast"), "{}", refused.err);
    let made = place.ok(&[&["init", "classify", "--data", "reviews.csv", "--out", "mine.toml"][..], &columns].concat());
    assert!(made.out.contains("next: seqzoo check mine.toml"), "{}", made.out);
    assert_eq!(place.run(&["init", "classify", "--out", "mine.toml"]).code, Some(2), "nothing is overwritten");
    let checked = place.json(&["check", "mine.toml", "--json"]);
    assert!(checked["parameters"].as_u64().unwrap() > 1_000 && checked["batches_per_epoch"] == 2, "{checked}");
    assert!(!place.path("runs").exists(), "nothing is trained");
    place.ok(&["train", "mine.toml", "--epochs", "1", "--out", "run"]);
}

#[test]
fn inspection_chooses_a_recipe_by_the_values_of_the_files() {
    let place = TestDir::new();
    let write = |name: &str, header: &str, row: &dyn Fn(usize) -> String| {
        fs::write(place.path(name), header.to_owned() + &(0..60).map(row).collect::<String>()).unwrap();
    };
    write("sent.csv", "text,sentiment\n", &|row| format!("scene {row} is fine,{}\n", ["no", "yes"][row % 2]));
    write("stars.csv", "text,stars\n", &|row| format!("scene {row} is fine,{}\n", row % 10));
    write("few.csv", "text,stars\n", &|row| format!("scene {row} is fine,{}\n", row % 3));
    write("label.csv", "text,label\n", &|row| format!("scene {row} is fine,{row}.5\n"));
    write("bio.txt", "", &|row| format!("word{row} {}\n\n", ["O", "B-X"][row % 2]));
    // Four words in each line, of which none is a tag.
    write("tale.txt", "", &|row| format!("there was king number{row}\n\n"));
    for (arguments, recipe, note) in [
        (&["sent.csv", "--label-column", "sentiment"][..], "as classify ", ""),
        (&["stars.csv", "--label-column", "stars"], "as regression ", "--recipe classify reads them as labels"),
        (&["stars.csv", "--target", "stars", "--text-column", "text"], "as regression ", ""),
        (&["few.csv", "--label-column", "stars"], "as classify ", "--recipe regression predicts them"),
        (&["label.csv"], "as regression ", "--recipe classify"),
        (&["bio.txt"], "as tag ", ""),
        (&["tale.txt"], "as language-model ", ""),
    ] {
        let shown = place.ok(&[&["data", "inspect"][..], arguments].concat());
        assert!(shown.out.contains(recipe) && shown.err.contains(note), "{arguments:?}: {} {}", shown.out, shown.err);
    }
    let shown = place.ok(&["data", "inspect", "label.csv"]).out;
    assert!(shown.contains("next: seqzoo train regression --data label.csv --label-column label"), "{shown}");
    let refused = place.run(&["data", "inspect", "sent.csv", "--target", "sentiment"]);
    assert!(refused.code == Some(4) && refused.err.contains("choose --recipe classify"), "{}", refused.err);
    // A label is missing in one line of many.
    write("labels.txt", "", &|row| {
        format!("__label__{} text {row}\n", ["a", "b", ""][if row == 59 { 2 } else { row % 2 }])
    });
    let refused = place.run(&["data", "inspect", "labels.txt"]);
    assert!(refused.err.contains("line 60: expected a label after `__label__`"), "{} {}", refused.out, refused.err);
    // Every recipe that cannot read the files is named with its reason.
    write("odd.csv", "review,verdict\n", &|row| format!("scene {row},fine\n"));
    let refused = place.run(&["data", "inspect", "odd.csv"]);
    assert!(refused.err.contains("classify: ") && refused.err.contains("no column `label`"), "{}", refused.err);
    let refused = place.run(&["data", "inspect", "sent.csv", "--validation", "1.5"]);
    assert!(refused.code == Some(2) && refused.err.contains("above 0 and below 1"), "{}", refused.err);
}

#[test]
fn an_error_of_all_recipes_has_the_place_that_most_of_them_name() {
    let place = TestDir::new();
    let table = "text,label\na,x\n\"b,y\nc,x\n";
    fs::write(place.path("open.csv"), table).unwrap();
    let inspected = |arguments: &[&str], input: &str| -> serde_json::Value {
        let refused = place.with_input(&[&["data", "inspect", "--json"][..], arguments].concat(), input.as_bytes());
        assert_eq!(refused.code, Some(4), "{}", refused.err);
        serde_json::from_str(&refused.out).unwrap()
    };
    let of_file = inspected(&["open.csv"], "");
    assert!(of_file["file"].as_str().unwrap().ends_with("open.csv") && of_file["line"] == 3, "{of_file}");
    let piped = inspected(&["-"], table);
    assert_eq!((&piped["file"], &piped["line"]), (&"standard input".into(), &3.into()), "{piped}");
    for (fraction, part) in [("-0.1", "above 0"), ("1.5", "below 1")] {
        let refused = place.run(&["check", "classify", "--data", "open.csv", "--validation", fraction]);
        assert!(refused.code == Some(2) && refused.err.contains(part), "{}", refused.err);
    }
    let refused = place.run(&["check", "classify"]);
    assert!(refused.code == Some(4) && !refused.err.contains("loading"), "{}", refused.err);
}

#[test]
fn inspection_reports_damaged_characters_overlap_and_imbalance() {
    let place = TestDir::new();
    let row = |row: usize| format!("caf\u{fffd} {row} crÃ¨me,{}\n", ["a", "b"][row % 2]);
    fs::write(place.path("damaged.csv"), "text,label\n".to_owned() + &(0..40).map(row).collect::<String>()).unwrap();
    let report = place.json(&["data", "inspect", "damaged.csv", "--json"]);
    let train = &report["splits"]["train"];
    assert_eq!((&train["damaged_characters"], &train["damaged_examples"]), (&72.into(), &36.into()), "{report}");
    let shown = place.ok(&["data", "inspect", "damaged.csv"]).out;
    assert!(shown.contains("damaged characters") && shown.contains("texts with such characters"), "{shown}");

    let row = |row: usize| format!("text {row},{}\n", ["a", "b"][row % 2]);
    fs::write(place.path("train.csv"), "text,label\n".to_owned() + &(0..40).map(row).collect::<String>()).unwrap();
    fs::write(place.path("test.csv"), "text,label\n".to_owned() + &(35..55).map(row).collect::<String>()).unwrap();
    let files = ["data", "inspect", "train.csv", "--validation-data", "test.csv", "--test-data", "test.csv"];
    let files = [&files[..], &["--set", "task.min_count=1"]].concat();
    let test = place.json(&[&files[..], &["--json"]].concat())["splits"]["test"].clone();
    assert_eq!((&test["in_train"], &test["in_validation"]), (&5.into(), &20.into()), "{test}");
    assert!(place.ok(&files).out.contains("occur in validation"));

    let row = |row: usize| format!("text {row},{}\n", if row.is_multiple_of(20) { "rare|common" } else { "common" });
    fs::write(place.path("topics.csv"), "text,labels\n".to_owned() + &(0..200).map(row).collect::<String>()).unwrap();
    let shown = place.ok(&["data", "inspect", "topics.csv"]);
    assert!(shown.out.contains("imbalance: `common` occurs 200 times, `rare` 10"), "{}", shown.out);
    assert!(shown.err.contains("the labels are imbalanced: "), "{}", shown.err);
    let row = |row: usize| format!("text {row},{}\n", ["good", "bad", "good;fun"][row % 3]);
    fs::write(place.path("one.csv"), "text,label\n".to_owned() + &(0..60).map(row).collect::<String>()).unwrap();
    let shown = place.ok(&["data", "inspect", "one.csv"]).err;
    assert!(shown.contains("`good;fun` is read as one label; recipe multi-label"), "{shown}");

    fs::write(place.path("bad.csv"), b"text,label\na,b\n\xff,c\n").unwrap();
    for recipe in [&[] as &[&str], &["--recipe", "classify"]] {
        let refused = place.run(&[&["data", "inspect", "bad.csv", "--json"][..], recipe].concat());
        let object: serde_json::Value = serde_json::from_str(&refused.out).unwrap();
        assert!(object["file"].as_str().unwrap().ends_with("bad.csv") && object["line"] == 3, "{object}");
        assert!(refused.code == Some(4) && object["error"].as_str().unwrap().contains("not UTF-8"), "{object}");
    }
    let empty = place.with_input(&["train", "classify", "--data=-"], b"");
    assert!(empty.code == Some(4) && empty.err.contains("standard input: empty"), "{}", empty.err);
}

#[test]
fn a_recipe_without_a_section_of_data_reads_files_given_by_flags() {
    let place = TestDir::new();
    let recipe = recipe("");
    let (before, after) = recipe.split_once("[data]\n").unwrap();
    let (_, after) = after.split_once("[task]").unwrap();
    fs::write(place.path("mine.toml"), format!("{before}[task]{after}")).unwrap();
    fs::write(place.path("reviews.csv"), reviews("")).unwrap();
    let columns = ["--text-column", "review", "--label-column", "sentiment"];
    place.ok(&[&["train", "mine.toml", "--data", "reviews.csv", "--out", "run"][..], &columns].concat());
    let refused = place.run(&["train", "mine.toml"]);
    assert!(refused.code == Some(4) && refused.err.contains("--data FILE"), "{}", refused.err);
}

#[test]
fn mistaken_columns_sections_and_folders_of_runs_are_named() {
    let place = TestDir::new();
    let row = |row: usize| format!("word {row},{}\n", ["good", "bad"][row % 2]);
    fs::write(place.path("texts.csv"), "text,label\n".to_owned() + &(0..40).map(row).collect::<String>()).unwrap();
    fs::write(place.path("tags.csv"), "text,labels\n".to_owned() + &(0..40).map(row).collect::<String>()).unwrap();
    let same = place.run(&["train", "classify", "--data", "texts.csv", "--label-column", "text"]);
    assert!(
        same.code == Some(3) && same.err.contains("another column than that of text"),
        "{:?} {}",
        same.code,
        same.err
    );
    let inspected = place.ok(&["data", "inspect", "tags.csv"]).out;
    assert!(inspected.contains("as multi-label"), "{inspected}");
    let explained = place.ok(&["describe", "--explain", "init"]).out;
    assert!(explained.contains("init.vectors") && explained.contains("init.learning_rates"), "{explained}");
    let small = ["--epochs", "1", "--set", "network.hidden_sizes=[4]"];
    place.ok(&[&["train", "classify", "--data", "texts.csv", "--folds", "2", "--out", "folds"][..], &small].concat());
    let folder = place.run(&["evaluate", "folds"]);
    assert!(folder.err.contains("contains runs: name one, such as folds/fold-1"), "{}", folder.err);
    fs::write(
        place.path("stars.csv"),
        "text,target\n".to_owned() + &(0..40).map(|row| format!("a {row},{row}\n")).collect::<String>(),
    )
    .unwrap();
    place.ok(&[&["train", "regression", "--data", "stars.csv", "--out", "stars"][..], &small].concat());
    let refused = place.run(&["evaluate", "stars", "--labels"]);
    assert!(refused.err.contains("--labels: task regression"), "{}", refused.err);
}
