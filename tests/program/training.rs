use crate::{LANGUAGES, TestDir};
use std::collections::HashSet;
use std::fs;

use serde_json::Value;

#[test]
fn check_estimates_the_memory_of_each_model_by_itself() {
    let place = TestDir::new();
    let checked = place.ok(&["check", "agreement", "--set", "models=[\"lstm-512\", \"rnn-4\"]", "--json"]).out;
    let lines: Vec<Value> = checked.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let memory: Vec<Option<u64>> = lines.iter().map(|line| line["memory_mib"].as_u64()).collect();
    assert!(lines.iter().all(|line| line["memory_is_lower_bound"].is_boolean()), "{checked}");
    assert_eq!(memory.len(), 2, "{checked}");
    // Where the operating system lets a process measure its peak anew.
    if std::fs::write("/proc/self/clear_refs", "5").is_ok() {
        assert!(memory[0] > memory[1], "the larger model needs more memory: {checked}");
    }
    let shown = place.ok(&["check", "agreement", "--set", "models=[\"rnn-4\"]"]).out;
    assert!(shown.contains("estimated memory") || memory[0].is_none(), "{shown}");
}

#[test]
fn evaluate_prints_the_same_report_as_training_two_models() {
    let place = TestDir::new();
    let trained = place.ok(&["train", "agreement", "--max-steps", "6"]);
    assert!(
        trained.out.contains("attractors: 5") && trained.out.contains("number of the last noun"),
        "{}",
        trained.out
    );
    assert_eq!(place.ok(&["evaluate", "last"]).out, trained.out);
    let report = place.json(&["evaluate", "last", "--json"]);
    assert_eq!((&report["recipe"], &report["split"]), (&"agreement".into(), &"test".into()));
    assert_eq!((&report["metric"], &report["examples"]), (&"accuracy".into(), &6000.into()));
    assert_eq!(report["value"], report["models"]["lstm"]["accuracy"]);
    for model in ["lstm", "rnn"] {
        for attractors in 0..=5 {
            let group = &report["models"][model]["by attractors"][attractors.to_string()];
            assert!(group["examples"].as_u64().unwrap() >= 500 && group["accuracy"].is_number());
        }
    }
    let recipe = fs::read_to_string(place.path("runs/agreement-1/recipe.toml")).unwrap();
    assert!(recipe.contains("epochs = 4  # recipe") && recipe.contains("clip_norm = 1.0  # default"), "{recipe}");
    let validation = place.json(&["evaluate", "agreement-1", "--split", "validation", "--json"]);
    assert_eq!(validation["examples"], 3000);
}

#[test]
fn predictions_are_the_same_from_arguments_streams_and_files() {
    let place = TestDir::new();
    place.trained("20");
    let texts = ["the keys to the cabinet", "My dog", "near the gardens , the old key that the boys like"];
    let alone = texts.map(|text| place.ok(&["predict", "run", text, "--json"]).out).concat();
    let lines = texts.join("\n");
    assert_eq!(place.with_input(&["predict", "run", "--json", "-"], lines.as_bytes()).out, alone);
    fs::write(place.path("lines.txt"), lines).unwrap();
    assert_eq!(place.ok(&["predict", "run", "--json", "--file", "lines.txt"]).out, alone);
    let first: serde_json::Value = serde_json::from_str(alone.lines().next().unwrap()).unwrap();
    assert_eq!(first["text"], texts[0]);
    let sum: f64 = first["probabilities"].as_object().unwrap().values().map(|p| p.as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-5);
    let table = place.ok(&["predict", "run", texts[0]]).out;
    assert!(table.starts_with("is ") || table.starts_with("are "), "{table}");
}

#[test]
fn an_override_is_used_and_its_origin_recorded() {
    let place = TestDir::new();
    let arguments = ["train", "agreement", "--max-steps", "1", "--set", "models=[\"rnn\"]", "--seed", "9"];
    let mut command = place.command(&arguments);
    let done = command.env("SEQZOO_NETWORK_HIDDEN_SIZES", "[8]").env("SEQZOO_TRAINING_SEED", "5").output().unwrap();
    assert!(done.status.success());
    let recipe = fs::read_to_string(place.path("runs/agreement-1/recipe.toml")).unwrap();
    for line in
        ["hidden_sizes = [8]  # SEQZOO_NETWORK_HIDDEN_SIZES", "seed = 9  # --seed", "models = [\"rnn\"]  # --set"]
    {
        assert!(recipe.contains(line), "{recipe}");
    }
}

#[test]
fn a_recipe_file_trains_on_a_folder_of_reviews() {
    let place = TestDir::new();
    let reviews = place.path("data/imdb/aclImdb/train");
    for (label, word) in [("pos", "great"), ("neg", "dull")] {
        fs::create_dir_all(reviews.join(label)).unwrap();
        for id in 0..50 {
            fs::write(reviews.join(label).join(format!("{id}_1.txt")), format!("A {word} film {id}!")).unwrap();
        }
    }
    let recipe = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/train/recipes/imdb.toml")).unwrap();
    let recipe = recipe.replace("epochs = 8", "epochs = 30").replace("patience = 2", "patience = 30");
    fs::write(place.path("small.toml"), recipe.replace("learning_rate = 2e-3", "learning_rate = 0.02")).unwrap();
    place.ok(&["train", "small.toml", "--data-dir", "data", "--set", "network.hidden_sizes=[8]"]);
    let report = place.json(&["evaluate", "small", "--data-dir", "data", "--json"]);
    assert_eq!((&report["recipe"], &report["examples"]), (&"small".into(), &20.into()));
    assert_eq!(report["value"], 1.0, "one word determines the label");
    let prediction = place.ok(&["predict", "last", "what a dull thing"]).out;
    assert!(prediction.starts_with("negative"), "{prediction}");
}

#[test]
fn a_resumed_language_model_equals_an_uninterrupted_one() {
    let place = TestDir::new();
    place.ok(&["train", "sentences", "--max-steps", "3", "--out", "whole"]);
    place.ok(&["train", "sentences", "--max-steps", "2", "--out", "run"]);
    place.ok(&["train", "--resume", "run", "--max-steps", "3"]);
    for file in ["weights", "optimizer", "recurrent_state"] {
        let [whole, parts] = ["whole", "run"].map(|run| {
            std::fs::read(place.path(&format!("{run}/lstm/checkpoints/step-00000003/{file}.safetensors"))).unwrap()
        });
        assert!(whole == parts, "{file} differs");
    }
    let found = place.json(&["evaluate", "run", "--json"]);
    assert_eq!((found["metric"].as_str(), found["models"]["lstm"]["recovered"].is_null()), (Some("loss"), true));
    assert!((2.0..3.5).contains(&found["value"].as_f64().unwrap()), "{found}");
    let refused = place.run(&["predict", "run", "the keys"]);
    assert!(refused.code == Some(2) && refused.err.contains("does not predict from a text"), "{}", refused.err);
    let refused = place.run(&["train", "sentences", "--set", "models=[\"bilstm\"]"]);
    assert_eq!(refused.code, Some(3));
    assert!(
        refused.err.contains("models = bilstm: bilstm is bidirectional and would see the tokens"),
        "{}",
        refused.err
    );
}

#[test]
fn a_range_test_prints_losses_and_suggests_a_learning_rate_without_creating_a_run() {
    let place = TestDir::new();
    let output = place.ok(&["train", "sentences", "--find-learning-rate"]).out;
    assert!(output.starts_with("lstm: smoothed loss by learning rate (seed 1)\n  1.0e-6  3."), "{output}");
    assert!(output.contains("next: seqzoo train sentences --set training.learning_rate="), "{output}");
    let rate: f64 = output.rsplit('=').next().unwrap().trim().parse().unwrap();
    assert!((1e-5..1.0).contains(&rate) && !place.path("runs").exists(), "{output}");
}

#[test]
fn a_text_file_replaces_a_corpus_and_an_unusable_one_is_rejected_by_name() {
    let place = TestDir::new();
    fs::write(place.path("my text.txt"), "So it goes, and so it went. ".repeat(300)).unwrap();
    let small = ["--set", "training.batch_size=8", "--max-steps", "3"];
    let trained = place.ok(&[&["train", "sentences", "--text", "my text.txt", "--out", "run"][..], &small].concat());
    assert!(trained.err.contains("seqzoo train --resume run --text 'my text.txt'"), "{}", trained.err);
    let found = place.json(&["evaluate", "run", "--text", "my text.txt", "--json"]);
    assert_eq!(found["split"], "validation");
    let refused = place.run(&["train", "agreement", "--text", "my text.txt"]);
    assert!(refused.code == Some(2) && refused.err.contains("--text is for language models"), "{}", refused.err);
    fs::write(place.path("short"), "so").unwrap();
    let refused = place.run(&["train", "sentences", "--text", "short"]);
    assert!(refused.code == Some(4) && refused.err.contains("short: 2 characters are too few"), "{}", refused.err);
}

#[test]
fn generation_is_deterministic_per_seed_and_rejects_invalid_arguments() {
    let place = TestDir::new();
    place.ok(&["train", "sentences", "--max-steps", "30"]);
    let metrics = &place.json(&["evaluate", "last", "--json"])["models"]["lstm"];
    let [loss, low, high] = [&metrics["loss"], &metrics["intervals"]["loss"][0], &metrics["intervals"]["loss"][1]];
    assert!(low.as_f64().unwrap() < loss.as_f64().unwrap() && loss.as_f64() < high.as_f64(), "{metrics}");
    let compared = place.json(&["compare", "last", "last", "--json"])["differences"][0].clone();
    assert_eq!((&compared["metric"], &compared["p"]), (&"accuracy".into(), &1.0.into()), "{compared}");
    assert!(compared["interval"].is_null(), "equal predictions differ on no resample: {compared}");
    let refused = place.run(&["evaluate", "last", "--errors", "3"]);
    assert!(
        refused.code == Some(2) && refused.err.contains("does not predict results that are right"),
        "{}",
        refused.err
    );
    let write = |more: &[&str]| place.run(&[&["generate", "last", "--prompt", "the keys"], more].concat());
    let text = write(&["-n", "60"]).out;
    assert!(text.starts_with("the keys") && text.ends_with('\n') && text.chars().count() == 8 + 60 + 1, "{text}");
    assert_eq!(write(&["-n", "60"]).out, text);
    for count in [0, 1, 40] {
        let shorter = write(&["-n", &count.to_string()]).out;
        assert_eq!(shorter[..8 + count], text[..8 + count], "a shorter text is a prefix of a longer one");
    }
    assert_ne!(write(&["-n", "60", "--seed", "2"]).out, text);
    let greedy = write(&["-n", "60", "--temperature", "0"]).out;
    assert_eq!(write(&["-n", "60", "--top-k", "1", "--seed", "5"]).out, greedy);
    assert_eq!(write(&["-n", "60", "--top-p", "1e-9"]).out, greedy);
    let nucleus = ["-n", "60", "--min-p", "1"];
    assert_eq!(write(&nucleus).out, greedy);
    // Beam search: the first of one is the greedy text; wider beams find different texts, at least as probable.
    let beam = |width: &str| {
        let found = write(&["-n", "20", "--beam", width, "--json"]).out;
        let object = |line: &str| serde_json::from_str::<Value>(line).unwrap();
        let pair =
            |found: Value| (found["text"].as_str().unwrap().to_owned(), found["log_probability"].as_f64().unwrap());
        found.lines().map(|line| pair(object(line))).collect::<Vec<_>>()
    };
    let (one, four) = (beam("1"), beam("4"));
    assert_eq!(one.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>(), [&greedy[8..28]]);
    assert!(four.len() == 4 && four[0].1 >= one[0].1 && four.is_sorted_by(|a, b| a.1 >= b.1), "{four:?}");
    assert_eq!(four.iter().map(|(text, _)| text).collect::<HashSet<_>>().len(), 4, "{four:?}");
    // Texts that are equal up to a stop string are printed once: here the first is empty.
    let stopped = write(&["-n", "20", "--beam", "4", "--json", "--stop", &four[0].0[..1]]).out;
    let texts: Vec<Value> =
        stopped.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["text"].clone()).collect();
    assert!(texts[0] == "" && texts.iter().collect::<HashSet<_>>().len() == texts.len(), "{stopped}");
    // The probability of a text before a stop string is that of its tokens and those of the string.
    let short = write(&["-n", "5", "--beam", "1", "--json"]).out;
    let stopped = write(&["-n", "20", "--beam", "1", "--json", "--stop", &greedy[11..13]]).out;
    let [short, stopped] = [short, stopped].map(|line| serde_json::from_str::<Value>(&line).unwrap());
    assert_eq!((&short["text"], &stopped["text"]), (&greedy[8..13].into(), &greedy[8..11].into()));
    assert_eq!(short["log_probability"], stopped["log_probability"]);
    // A stop string is not printed; several texts have consecutive seeds.
    let stopped = write(&["-n", "60", "--stop", " "]).out;
    assert_eq!(stopped.trim_end(), text[..8].to_owned() + text[8..].split(' ').next().unwrap().trim_end());
    let samples = write(&["-n", "60", "--samples", "3"]).out;
    assert!(samples.starts_with(&format!("--- 1 of 3\n{text}--- 2 of 3\n")), "{samples}");
    assert!(samples.ends_with(&write(&["-n", "60", "--seed", "2"]).out), "{samples}");
    assert_ne!(write(&["-n", "60", "--repetition-penalty", "1.5"]).out, text);
    // Prompts from standard input.
    let lines =
        place.with_input(&["generate", "last", "--interactive", "-n", "60"], "the keys\n\nthe § keys\n".as_bytes());
    assert!(lines.out.starts_with(&format!("{text}\nthe § keys")), "{}", lines.out);
    assert!(lines.err.contains("replaced by the unknown token: \"§\"") && !lines.err.contains("> "), "{}", lines.err);
    // A line that is not text costs its own answer only; each line has one.
    let lines = place.with_input(&["generate", "last", "--interactive", "-n", "5", "--json"], b"the\n\n\xff\na\n");
    let answers: Vec<Value> = lines.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(answers.len() == 4 && lines.code == Some(4), "{:?} {} {}", lines.code, lines.out, lines.err);
    assert_eq!(
        (&answers[0]["prompt"], &answers[1]["text"], &answers[3]["prompt"]),
        (&"the".into(), &"".into(), &"a".into())
    );
    assert!(answers[2]["error"].as_str().unwrap().contains("line 3") && lines.err.contains("line 3"), "{}", lines.out);
    for (more, code, part) in [
        (&["--beam", "2", "--seed", "1"][..], 2, "cannot be used with"),
        (&["--repetition-penalty", "0.5"], 2, "a number of at least 1"),
        (&["--samples", "0"], 2, "--samples"),
        (&["--prompt", ""], 2, "the text is empty"),
        (&["--prompt", "a", "--temperature", "-1"], 2, "a number of at least 0"),
        (&["--prompt", "a", "--top-p", "0"], 2, "above 0 and at most 1"),
        (&["--prompt", "a", "--model", "lstn"], 2, "did you mean `lstm`"),
    ] {
        let ran = place.run(&[&["generate", "last"], more].concat());
        assert!(ran.code == Some(code) && ran.err.contains(part), "{more:?}: {:?} {}", ran.code, ran.err);
    }
    place.ok(&["train", "agreement", "--max-steps", "1", "--set", "models=[\"rnn\"]"]);
    let ran = place.run(&["generate", "last", "--prompt", "the keys"]);
    assert!(ran.code == Some(2) && ran.err.contains("is not a language model"), "{:?} {}", ran.code, ran.err);
}

#[test]
fn examples_without_a_token_are_left_out_of_training_and_every_metric() {
    let place = TestDir::new();
    fs::create_dir_all(place.path("data/names")).unwrap();
    for (number, language) in LANGUAGES.into_iter().enumerate() {
        let name = |index: u8| format!("{}{}x\n", char::from(b'A' + number as u8), char::from(b'a' + index));
        // Marks without a word token, some of them in the validation split.
        let marks = if language == "Korean" { "-\n*\n(\n)\n&\n%\n$\n/\n=\n+\n" } else { "" };
        let names: String = (0..20).map(name).chain([marks.to_owned()]).collect();
        fs::write(place.path(&format!("data/names/{language}.txt")), names).unwrap();
    }
    let small = ["--data-dir", "data", "--set", "network.hidden_sizes=[8]", "--epochs", "1"];
    let words = ["--set", "task.level=words", "--set", "models=[\"birnn\"]"];
    let trained = place.ok(&[&["train", "names", "--out", "run"][..], &words, &small].concat());
    let note = "10 examples without a token at task.level = \"words\" were skipped; first: ";
    assert!(trained.err.contains(note) && trained.err.contains("(Korean)"), "{}", trained.err);
    let report = place.json(&["evaluate", "run", "--data-dir", "data", "--json"]);
    let marks = place.ok(&[&["train", "names", "--out", "marks"][..], &words[2..], &small].concat());
    assert!(!marks.err.contains("without a token"), "{}", marks.err);
    let all = place.json(&["evaluate", "marks", "--data-dir", "data", "--json"])["examples"].as_u64().unwrap();
    let examples = &report["models"]["birnn"]["examples"];
    assert!(examples.as_u64().unwrap() < all, "{report}");
    for baseline in ["most frequent label", "naive Bayes"] {
        assert_eq!(&report["baselines"][baseline]["examples"], examples, "{report}");
    }
}

#[test]
fn a_language_model_and_the_n_gram_baseline_predict_the_same_tokens() {
    let place = TestDir::new();
    // The first word of each line is in the vocabulary; the second occurs only once.
    let text: String = (0..600).map(|line| format!("the w{line}\n")).collect();
    fs::write(place.path("text.txt"), text).unwrap();
    let small = ["--set", "task.level=tokens", "--set", "task.min_count=2", "--epochs", "1", "--out", "run"];
    let trained = place.ok(&[&["train", "sentences", "--text", "text.txt"][..], &small].concat());
    assert!(trained.out.contains("% of the tokens are unknown"), "{}", trained.out);
    assert!(trained.err.contains("fewer than task.k1 + 1 = 51"), "{}", trained.err);
    let report = place.json(&["evaluate", "run", "--text", "text.txt", "--json"]);
    let (model, n_grams) = (&report["models"]["lstm"], &report["baselines"]["n-grams"]);
    assert_eq!(model["examples"], n_grams["examples"]);
    assert_eq!(model["unknown-tokens"], n_grams["unknown-tokens"]);
    let unknown = model["unknown-tokens"].as_f64().unwrap();
    assert!((unknown - 1.0 / 3.0).abs() < 0.02, "{report}");
    // Every line is `the`, an unknown word and a newline.
    assert!(n_grams["loss"].as_f64().unwrap() < 0.05, "{report}");
}

#[test]
fn early_stopping_is_reported_with_its_metric_and_the_best_epoch() {
    let place = TestDir::new();
    // A learning rate too small to change the weights: the first epoch stays the best.
    let values =
        ["models=[\"rnn\"]", "network.hidden_sizes=[4]", "training.batch_size=512", "training.learning_rate=1e-30"];
    let sets = values.iter().flat_map(|value| ["--set", value]);
    let arguments = ["train", "agreement", "--out", "run", "--set", "stopping.patience=2"].into_iter().chain(sets);
    let trained = place.ok(&arguments.collect::<Vec<_>>());
    let expected = "rnn: stopped early after epoch 3 of 28: validation accuracy has not improved since epoch 1";
    assert!(trained.out.contains(expected) && trained.err.contains(expected), "{}{}", trained.out, trained.err);
    let training = &place.json(&["evaluate", "run", "--json"])["models"]["rnn"]["training"];
    assert_eq!((&training["ended"], &training["best_epoch"]), (&"stopped early".into(), &1.into()));
    let again = place.ok(&["train", "--resume", "run"]);
    assert!(again.err.contains("rnn: nothing left to do: stopped early after epoch 3 of 28"), "{}", again.err);
}

#[test]
fn a_range_test_suggests_a_learning_rate_only_where_the_loss_falls() {
    let place = TestDir::new();
    let output = place.ok(&["train", "agreement", "--find-learning-rate"]).out;
    let (lstm, rnn) = output.split_once("rnn: smoothed loss").unwrap();
    let suggestion = "next: seqzoo train agreement --set model.lstm.training.learning_rate=";
    let rate: f64 = rnn.split_once(suggestion).unwrap().1.trim().parse().unwrap();
    assert!((1e-4..3e-2).contains(&rate), "{lstm}");
    // Within the updates of the test, the loss of this RNN does not fall at any learning rate.
    assert!(rnn.contains("no suggestion for rnn") && !lstm.contains("next:"), "{rnn}");
}

#[test]
fn data_without_batches_are_rejected_by_training_range_test_and_benchmark() {
    let place = TestDir::new();
    // The training split has one token, so nothing to predict.
    fs::write(place.path("one.txt"), "a".repeat(400)).unwrap();
    let text = ["sentences", "--text", "one.txt", "--set", "task.level=words"];
    for command in [&["train"][..], &["train", "--find-learning-rate"], &["bench", "training"]] {
        let refused = place.run(&[command, &text].concat());
        assert_eq!(refused.code, Some(4), "{command:?}: {}", refused.err);
    }
}

/// With a learning rate far too large, the loss of a plain RNN jumps to a high plateau.
#[test]
fn divergence_is_detected_and_reported() {
    let place = TestDir::new();
    let train = |rate: &str, more: &[&str]| {
        let values = ["models=[\"rnn\"]", "network.hidden_sizes=[8]", "optimizer.kind=sgd", "training.clip_norm=0"];
        let rate = format!("training.learning_rate={rate}");
        let sets = values.iter().copied().chain([rate.as_str()]).flat_map(|value| ["--set", value]);
        let arguments =
            ["train", "sentences", "--out", more[0]].into_iter().chain(sets).chain(more[1..].iter().copied());
        place.run(&arguments.collect::<Vec<_>>())
    };
    let recovered = train("100", &["recovers", "--max-steps", "40"]);
    assert_eq!(recovered.code, Some(0), "{}", recovered.err);
    assert!(recovered.err.contains("far above that of the untrained model, is"), "{}", recovered.err);
    assert!(recovered.out.contains("rnn recovered: rolled back"), "{}", recovered.out);
    let ended = train("1e8", &["ends", "--max-steps", "40"]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(6), ""), "{}", ended.err);
    assert!(ended.err.contains("training diverged"), "{}", ended.err);
    let healthy = train("1", &["healthy", "--max-steps", "40"]);
    assert!(healthy.code == Some(0) && !healthy.out.contains("recovered"), "{}", healthy.out);
}
