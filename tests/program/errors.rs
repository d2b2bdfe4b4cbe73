use crate::{Finished, TestDir};
use std::fs;

/// Runs and asserts the exit code and a message that contains each of `parts`, without a panic.
fn refused(place: &TestDir, arguments: &[&str], code: i32, parts: &[&str]) -> Finished {
    let ran = place.run(arguments);
    assert_eq!(ran.code, Some(code), "{arguments:?}: {}", ran.err);
    assert!(!ran.err.contains("panicked"), "{}", ran.err);
    for part in parts {
        assert!(ran.err.contains(part), "{arguments:?}: no {part:?} in {:?}", ran.err);
    }
    ran
}

#[test]
fn unknown_names_are_rejected_with_the_nearest_match() {
    let place = TestDir::new();
    refused(&place, &["train", "agrement"], 3, &["no recipe `agrement`", "did you mean `agreement`?"]);
    refused(&place, &["describe", "lstn"], 2, &["no model or recipe `lstn`", "did you mean `lstm`?"]);
    refused(&place, &["train", "agreement", "--set", "models=[\"lsmt\"]"], 3, &["--set models", "`lstm`"]);
    refused(&place, &["train", "agreement", "--set", "training.epoch=3"], 3, &["did you mean `training.epochs`?"]);
    refused(&place, &["train", "agreement", "--set", "epochs=3"], 3, &["did you mean `training.epochs`?"]);
    refused(&place, &["train", "AGREEMENT"], 3, &["did you mean `agreement`?"]);
    refused(&place, &["predict", "last", "the keys"], 2, &["no run `last`", "seqzoo train agreement"]);
    refused(&place, &["trian"], 2, &["train"]);
}

#[test]
fn invalid_values_are_rejected_by_field() {
    let place = TestDir::new();
    for (set, part) in [
        ("training.epochs=many", "expected a whole number, not string \"many\""),
        ("training.epochs=0", "from 1 to"),
        ("training.learning_rate=-1", "a number above 0"),
        ("training.learning_rate=nan", "a number above 0"),
        ("dropout.zoneout=1", "in [0, 1)"),
        ("network.hidden_sizes=[-4]", "invalid value"),
        ("network.skip=highway", "joins 32 features to 128"),
        ("network.hidden_sizes=[]", "at least one layer"),
        ("network.members=0", "from 1 to 32"),
        ("schedule.kind=cosin", "did you mean `cosine`?"),
        ("optimizer.momentum=1", "in [0, 1)"),
        ("checkpoints.keep=0", "from 1 to"),
        ("network.hidden_sizes=[60000]", "from 1 to 4096"),
        ("network.hidden_sizes=[4096,4096,4096,4096,4096,4096]", "more than 10⁹ parameters"),
        ("training.learning_rate=1e39", "in the range of f32"),
        ("models=[]", "at least one model"),
        ("stopping.metric=macrof1", "did you mean `macro-f1`?"),
        ("stopping.metric=rmse", "task \"classification\" has the metrics accuracy, macro-f1, loss"),
        ("models=[\"lstm-0\"]", "unknown name"),
    ] {
        refused(
            &place,
            &["train", "agreement", "--set", "models=[\"bilstm\"]", "--set", set],
            3,
            &["--set", set.split('=').next().unwrap(), part],
        );
    }
    let both = ["train", "sentences", "--set", "task.k1=0", "--set", "task.k2=3"];
    refused(&place, &both, 3, &["--set", "task.k2", "requires task.k1"]);
    for (recipe, set, part) in [
        ("forecast", "task.quantiles=[0.9, 0.1]", "increasing probabilities"),
        ("pos", "task.level=words", "task tagging does not use it"),
        ("pos", "network.members=2", "expected 1: task \"tagging\" does not average predictions"),
        ("names", "task.poling=max", "did you mean `task.pooling`?"),
        ("names", "task.kind=tagger", "did you mean `tagging`?"),
    ] {
        refused(&place, &["train", recipe, "--set", set], 3, &["--set", set.split('=').next().unwrap(), part]);
    }
    assert!(!place.path("runs").exists(), "no run is created");
}

#[test]
fn errors_in_a_recipe_file_name_the_line_and_the_nearest_field() {
    let place = TestDir::new();
    let recipe = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/train/recipes/agreement.toml")).unwrap();
    let line = |text: &str, part: &str| format!("line {}", 1 + text.lines().position(|l| l.contains(part)).unwrap());
    let unknown = recipe.replace("hidden_sizes", "hiden_sizes");
    fs::write(place.path("unknown.toml"), &unknown).unwrap();
    let parts = ["unknown.toml", &line(&unknown, "hiden_sizes"), "did you mean `hidden_sizes`?"];
    refused(&place, &["train", "unknown.toml"], 3, &parts);
    let unread = recipe.replace("kind = \"classification\"", "kind = \"classification\"\ncrf = true");
    fs::write(place.path("unread.toml"), &unread).unwrap();
    refused(
        &place,
        &["train", "unread.toml"],
        3,
        &["unread.toml", &line(&unread, "crf = true"), "unknown field `crf`"],
    );
    let wrong = recipe.replace("epochs = 4", "epochs = \"four\"");
    fs::write(place.path("wrong.toml"), &wrong).unwrap();
    refused(&place, &["train", "wrong.toml"], 3, &["wrong.toml", &line(&wrong, "\"four\""), "expected a whole number"]);
    fs::write(place.path("broken.toml"), "summary = ").unwrap();
    refused(&place, &["train", "broken.toml"], 3, &["broken.toml", "line 1"]);
    let impossible = recipe.replace("batch_size = 64", "batch_size = 0");
    fs::write(place.path("impossible.toml"), &impossible).unwrap();
    let parts = ["impossible.toml", &line(&impossible, "batch_size"), "training.batch_size = 0", "from 1 to"];
    refused(&place, &["train", "impossible.toml"], 3, &parts);
    refused(&place, &["train", "absent.toml"], 3, &["recipe: cannot read absent.toml"]);
}

#[test]
fn errors_about_missing_and_damaged_data_say_how_to_get_them() {
    let place = TestDir::new();
    refused(&place, &["train", "imdb"], 4, &["--data-dir", "SEQZOO_DATA_DIR", "aclImdb_v1.tar.gz"]);
    refused(&place, &["train", "imdb", "--data-dir", "nowhere"], 4, &["no imdb data in nowhere", "aclImdb_v1.tar.gz"]);
    fs::create_dir_all(place.path("data/imdb")).unwrap();
    fs::write(place.path("data/imdb/aclImdb_v1.tar.gz"), b"not an archive").unwrap();
    refused(&place, &["train", "imdb", "--data-dir", "data"], 4, &["aclImdb_v1.tar.gz is damaged", "fetch it again"]);
    assert!(!place.path("runs").exists(), "no run is created");
}

#[test]
fn an_unlinked_backend_is_rejected_with_the_feature_to_enable() {
    let place = TestDir::new();
    refused(&place, &["train", "agreement", "--backend", "cuda"], 5, &["cuda is not linked", "--features cuda"]);
    refused(&place, &["train", "agreement", "--backend", "gpu"], 5, &["no such backend", "flex"]);
}

#[test]
fn a_full_standard_error_does_not_end_training() {
    if !cfg!(target_os = "linux") {
        return; // /dev/full exists on Linux only
    }
    let place = TestDir::new();
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let arguments = ["train", "agreement", "--set", "models=[\"rnn\"]", "--max-steps", "1", "--out", "run"];
    assert_eq!(
        place.command(&arguments).stdout(std::process::Stdio::null()).stderr(full()).status().unwrap().code(),
        Some(0)
    );
    assert_eq!(place.command(&["train", "agrement"]).stderr(full()).status().unwrap().code(), Some(3));
}

#[test]
fn a_damaged_run_is_named_and_never_replaced_by_another() {
    let place = TestDir::new();
    for _ in 0..2 {
        place.ok(&["train", "agreement", "--set", "models=[\"rnn\"]", "--max-steps", "1"]);
    }
    fs::write(place.path("runs/agreement-2/env.json"), "{").unwrap();
    refused(&place, &["predict", "last", "the keys"], 8, &["agreement-2/env.json is damaged"]);
    refused(&place, &["predict", "agreement-2", "the keys"], 8, &["agreement-2/env.json is damaged"]);
    refused(&place, &["predict", "", "the keys"], 2, &["no run"]);
    place.ok(&["predict", "agreement-1", "the keys"]);
    let record = fs::read_to_string(place.path("runs/agreement-1/env.json")).unwrap();
    fs::write(place.path("runs/agreement-1/env.json"), record.replace("\"rnn\"", "\"rmn\"")).unwrap();
    refused(&place, &["predict", "agreement-1", "the keys"], 8, &["agreement-1/env.json is damaged", "models"]);
}

#[test]
fn a_missing_split_is_rejected_before_training() {
    let place = TestDir::new();
    for label in ["pos", "neg"] {
        fs::create_dir_all(place.path(&format!("data/train/{label}"))).unwrap();
        for id in 0..9 {
            fs::write(place.path(&format!("data/train/{label}/{id}_1.txt")), "A film.").unwrap();
        }
    }
    let arguments = ["train", "imdb", "--data-dir", "data", "--set", "expected.split=test"];
    refused(&place, &arguments, 4, &["the test split of imdb has no examples"]);
    assert!(!place.path("runs").exists(), "no run is created");
}

#[test]
fn nothing_is_overwritten() {
    let place = TestDir::new();
    fs::create_dir(place.path("mine")).unwrap();
    fs::write(place.path("mine/letter.txt"), "dear").unwrap();
    let parts = ["mine exists already", "exists already", "--out"];
    refused(&place, &["train", "agreement", "--out", "mine"], 2, &parts);
    assert_eq!(fs::read_dir(place.path("mine")).unwrap().count(), 1);
}

#[test]
fn a_text_without_tokens_is_rejected() {
    let place = TestDir::new();
    place.trained("1");
    refused(&place, &["predict", "run", ""], 4, &["the text is empty"]);
    refused(&place, &["predict", "run", " ;; "], 4, &["the text is empty"]);
    refused(&place, &["predict", "run", "--file", "absent.txt"], 4, &["--file absent.txt"]);
    refused(&place, &["predict", "run", "x", "--model", "gru"], 2, &["--model gru", "lstm"]);
}

#[test]
fn an_unstable_recipe_stops_within_the_rollback_budget_with_a_diagnosis() {
    let place = TestDir::new();
    let set = ["--set", "training.learning_rate=1e38", "--set", "models=[\"rnn\"]", "--out", "run"];
    let parts = ["rolling back to the start, learning rate × 0.500", "(rollback 4 of at most 8)", "training diverged"];
    refused(&place, &[&["train", "agreement"][..], &set].concat(), 6, &parts);
    let events = fs::read_to_string(place.path("run/rnn/events.jsonl")).unwrap();
    assert_eq!(events.matches("\"event\":\"roll back\"").count(), 4);
    assert!(events.lines().last().unwrap().contains("\"diagnosis\":\"diverged\""), "{events}");
}

/// Every command that reads a run says how its training ended.
#[test]
fn a_model_that_diverges_does_not_stop_the_others_and_is_reported_wherever_it_is_used() {
    let place = TestDir::new();
    let set =
        ["--set", "models=[\"rnn\", \"lstm\"]", "--set", "model.rnn.training.learning_rate=1e38", "--epochs", "1"];
    let parts = [
        "continuing with the next model",
        "training lstm",
        "error: model rnn of run run: training diverged",
        "a smaller training.learning_rate (this run: 1e38)",
        "run/rnn/events.jsonl lists what was tried",
    ];
    let ended = place.run(&[&["train", "agreement", "--out", "run"][..], &set].concat());
    assert_eq!(ended.code, Some(6), "{}", ended.err);
    assert!(parts.iter().all(|part| ended.err.contains(part)), "{}", ended.err);
    assert!(ended.out.contains("lstm") && ended.out.contains("rnn: training diverged"), "{}", ended.out);
    assert!(ended.out.contains("next: seqzoo predict run") && ended.out.contains("--model lstm"), "{}", ended.out);
    assert!(!ended.out.contains("recovered") && !ended.out.contains("--resume"), "{}", ended.out);
    let report = place.json(&["evaluate", "run", "--json"]);
    let rnn = &report["models"]["rnn"];
    assert!(rnn["warning"].as_str().unwrap().starts_with("training diverged"), "{rnn}");
    assert_eq!((&rnn["training"]["ended"], &rnn["recovered"]), (&"diverged".into(), &serde_json::Value::Null));
    assert_eq!(report["models"]["lstm"]["training"]["ended"], "all epochs done");
    let predicted = place.ok(&["predict", "run", "the keys", "--model", "rnn"]);
    assert!(predicted.err.starts_with("warning: rnn: training diverged"), "{}", predicted.err);
    // Resuming repeats the diagnosis instead of the divergence.
    let resumed = place.run(&["train", "--resume", "run"]);
    assert_eq!(resumed.code, Some(6), "{}", resumed.err);
    assert!(
        resumed.err.contains("lstm: nothing left to do") && !resumed.err.contains("rolling back"),
        "{}",
        resumed.err
    );
}

#[test]
fn options_that_would_be_ignored_are_refused() {
    let place = TestDir::new();
    place.trained("1");
    for (arguments, part) in [
        (&["predict", "run", "a", "--beam", "4"][..], "--beam: run run is not sequence to sequence"),
        (&["predict", "run", "a", "--input-format", "text"], "--input-format is for --file and standard input"),
        (&["train", "agreement", "--csv", "a.csv"], "--csv is for forecasting, and this recipe is for classification"),
        (&["train", "agreement", "--text", "a.txt"], "--text is for language models"),
        (&["train", "sentences", "--text", "a.txt", "--csv", "b.csv"], "cannot be used with"),
        (&["train", "agreement", "--find-learning-rate", "--max-steps", "3"], "cannot be used with"),
        (&["probe", "--svg", "x.png"], "expected a name that ends in .svg"),
        (&["bench", "growth", "--time", "0"], "0 is not in 1..=100000"),
    ] {
        refused(&place, arguments, 2, &[part]);
    }
    let set = ["train", "agreement", "--set", "optimizer.momentum=0.9"];
    refused(&place, &set, 3, &["--set optimizer.momentum=0.9: optimizer.kind = adam does not use it"]);
    let both = ["train", "agreement", "--set", "data.options.comment=1", "--epochs", "3"];
    refused(&place, &both, 3, &["--set data.options.comment=1: ", "not applicable"]);
    refused(&place, &["train", "agreement", "--epochs", "0"], 3, &["--epochs 0: "]);
    let noted = place.command(&["describe", "agreement"]).env("SEQZOO_TRAINING_SED", "3").output().unwrap();
    let noted = String::from_utf8(noted.stderr).unwrap();
    assert!(noted.contains("SEQZOO_TRAINING_SED sets no field") && noted.contains("SEQZOO_TRAINING_SEED"), "{noted}");
}

#[test]
fn a_run_is_never_shadowed_by_a_folder_and_a_folder_that_is_no_run_is_not_resumed() {
    let place = TestDir::new();
    let train = ["train", "agreement", "--max-steps", "1", "--set", "models=[\"lstm\"]"];
    place.ok(&[&train[..], &["--out", "last"]].concat());
    place.ok(&train);
    assert!(place.ok(&["evaluate", "last"]).out.contains("run runs/agreement-1"));
    assert!(place.ok(&["evaluate", "./last"]).out.contains("run ./last"));
    fs::create_dir(place.path("mine")).unwrap();
    let ended = place.run(&["train", "agreement", "--out", "mine"]);
    assert!(ended.err.contains("name another folder with --out") && !ended.err.contains("--resume"), "{}", ended.err);
}
