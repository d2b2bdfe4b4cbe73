use crate::{TestDir, damage};
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

const ONE: [&str; 6] = ["train", "agreement", "--set", "models=[\"lstm\"]", "--set", "training.batch_size=256"];

fn train(place: &TestDir, out: &str, more: &[&str]) {
    place.ok(&[&ONE, &["--out", out][..], more].concat());
}

#[test]
fn a_resumed_run_equals_an_uninterrupted_one() {
    let place = TestDir::new();
    train(&place, "whole", &["--max-steps", "12"]);
    train(&place, "run", &["--max-steps", "5"]);
    place.ok(&["train", "agreement", "--resume", "run", "--max-steps", "12"]);
    let read = |path: &str| fs::read(place.path(path)).unwrap();
    for file in ["weights.safetensors", "optimizer.safetensors", "progress.json", "encoder.json"] {
        let [whole, parts] = ["whole", "run"].map(|run| read(&format!("{run}/lstm/checkpoints/step-00000012/{file}")));
        assert!(whole == parts, "{file} differs");
    }
    assert_eq!(read("whole/lstm/metrics.jsonl"), read("run/lstm/metrics.jsonl"));
}

#[cfg(unix)]
#[test]
fn a_signal_saves_and_prints_the_command_to_resume() {
    let place = TestDir::new();
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let mut child = place
            .command(&[&ONE, &["--out", signal][..]].concat())
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        // The program prints this line after it has registered the signal handlers.
        lines.find(|line| line.starts_with("training lstm")).unwrap();
        let sent = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let messages: Vec<String> = lines.collect();
        assert_eq!(child.wait().unwrap().code(), Some(code), "{messages:?}");
        let resume = format!("seqzoo train --resume {signal}");
        assert!(messages.last().unwrap().contains(&resume), "{messages:?}");
        place.ok(&["train", "agreement", "--resume", signal, "--max-steps", "2"]);
    }
}

#[test]
fn resume_skips_a_damaged_checkpoint_and_predict_and_evaluate_reject_it() {
    let place = TestDir::new();
    place.trained("3");
    damage(&place.checkpoint(3, "weights.safetensors"));
    for command in [&["predict", "run", "the keys"][..], &["evaluate", "run"]] {
        let refused = place.run(command);
        assert_eq!((refused.code, refused.out.as_str()), (Some(8), ""));
        assert!(refused.err.contains("step-00000003/weights.safetensors is damaged"), "{}", refused.err);
    }
    let resumed = place.ok(&["train", "agreement", "--resume", "run", "--max-steps", "2"]);
    assert!(resumed.err.contains("weights.safetensors is damaged"), "{}", resumed.err);
    assert!(place.path("run/lstm/checkpoints/damaged-1-step-00000003").is_dir(), "the damaged checkpoint is kept");
    assert!(resumed.err.contains("resuming from the previous checkpoint"), "{}", resumed.err);
    place.ok(&["predict", "run", "the keys"]);
}

#[test]
fn a_run_without_a_valid_checkpoint_is_not_restarted() {
    let place = TestDir::new();
    place.trained("1");
    for step in [0, 1] {
        damage(&place.checkpoint(step, "progress.json"));
    }
    let refused = place.run(&["train", "agreement", "--resume", "run"]);
    assert_eq!(refused.code, Some(8));
    assert!(
        refused.err.contains("no usable checkpoint in") && refused.err.contains("progress.json"),
        "{}",
        refused.err
    );
}

#[test]
fn a_model_with_metrics_but_no_checkpoints_is_not_restarted() {
    let place = TestDir::new();
    place.trained("1");
    fs::remove_dir_all(place.path("run/lstm/checkpoints")).unwrap();
    let refused = place.run(&["train", "--resume", "run"]);
    assert_eq!(refused.code, Some(8));
    assert!(refused.err.contains("has metrics but no checkpoint"), "{}", refused.err);
}

#[test]
fn the_printed_command_resumes_a_run_of_a_recipe_file() {
    let place = TestDir::new();
    let recipe = concat!(env!("CARGO_MANIFEST_DIR"), "/train/recipes/agreement.toml");
    fs::copy(recipe, place.path("my recipe.toml")).unwrap();
    let arguments = ["train", "my recipe.toml", "--set", "models=[\"rnn\"]", "--max-steps", "1", "--out", "my run"];
    let paused = place.ok(&arguments);
    assert!(
        paused.err.contains("stopped at a limit after 0 of 28 epochs; resume with `seqzoo train --resume 'my run'`"),
        "{}",
        paused.err
    );
    place.ok(&["train", "--resume", "my run", "--max-steps", "2"]);
    let changed = fs::read_to_string(recipe).unwrap().replace("batch_size = 64", "batch_size = 32");
    fs::write(place.path("my recipe.toml"), changed).unwrap();
    let refused = place.run(&["train", "my recipe.toml", "--resume", "my run"]);
    assert!(refused.code == Some(3) && refused.err.contains("training.batch_size would change"), "{}", refused.err);
}

#[test]
fn only_limits_may_change_on_resume() {
    let place = TestDir::new();
    place.trained("1");
    let refused = place.run(&["train", "agreement", "--resume", "run", "--set", "network.hidden_sizes=[3]"]);
    assert_eq!(refused.code, Some(3));
    assert!(refused.err.contains("network.hidden_sizes would change from [64] to [3] (--set)"), "{}", refused.err);
    place.ok(&["train", "--resume", "run", "--epochs", "9", "--max-steps", "2"]);
    let recipe = fs::read_to_string(place.path("run/recipe.toml")).unwrap();
    assert!(recipe.contains("epochs = 9  # --epochs") && recipe.contains("models = [\"lstm\"]  # --set"), "{recipe}");
}

#[cfg(unix)]
#[test]
fn a_second_signal_ends_the_program_at_once_and_loses_no_checkpoint() {
    let place = TestDir::new();
    let often = ["--set", "checkpoints.every_steps=1"];
    let mut command = place.command(&[&ONE, &["--out", "run"][..], &often].concat());
    let mut child = command
        .env("SEQZOO_FAULTS", "save-commit=hang@2")
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.take_while(|line| line != "hanging at save-commit").count() > 1);
    // It hangs in a save, so the first signal is not handled; the second one ends it.
    let ended = loop {
        match child.try_wait().unwrap() {
            Some(ended) => break ended,
            None => drop(Command::new("kill").args(["-INT", &child.id().to_string()]).status()),
        }
    };
    assert_eq!(ended.code(), Some(130));
    let resumed = place.ok(&["train", "agreement", "--resume", "run", "--max-steps", "2"]);
    assert!(!resumed.err.contains("damaged"), "{}", resumed.err);
    train(&place, "whole", &["--max-steps", "2"]);
    let read =
        |run: &str| fs::read(place.path(&format!("{run}/lstm/checkpoints/step-00000002/weights.safetensors"))).unwrap();
    assert!(read("run") == read("whole"));
}

#[test]
fn fields_missing_in_an_older_run_have_their_defaults() {
    let place = TestDir::new();
    place.trained("2");
    let before = place.ok(&["evaluate", "run"]).out;
    let file = place.path("run/env.json");
    let mut record: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    record["settings"]["recipe"].as_object_mut().unwrap().remove("dropout").unwrap();
    record["settings"]["recipe"]["task"].as_object_mut().unwrap().remove("keep").unwrap();
    let origins = record["settings"]["origins"].as_object_mut().unwrap();
    origins.retain(|field, _| !field.starts_with("dropout.") && field != "task.keep");
    fs::write(&file, serde_json::to_vec(&record).unwrap()).unwrap();
    assert_eq!(place.ok(&["evaluate", "run"]).out, before);
    place.ok(&["train", "--resume", "run", "--max-steps", "3"]);
}

#[test]
fn a_paused_run_reports_how_to_resume_and_a_finished_one_that_nothing_is_left() {
    let place = TestDir::new();
    let small = ["--set", "models=[\"rnn\"]", "--set", "network.hidden_sizes=[4]", "--set", "training.batch_size=512"];
    let paused = place.ok(&[&["train", "agreement", "--max-steps", "2", "--out", "run"][..], &small].concat());
    let expected = "rnn: stopped at a limit or a signal after 0 of 28 epochs; resume with `seqzoo train --resume run`";
    assert!(paused.out.contains(expected), "{}", paused.out);
    let training = &place.json(&["evaluate", "run", "--json"])["models"]["rnn"]["training"];
    assert_eq!((&training["ended"], &training["epochs_done"]), (&"stopped at a limit".into(), &0.into()));
    assert_eq!((&training["epochs"], &training["steps"]), (&28.into(), &2.into()));
    // As if another process were training.
    let lock = fs::File::open(place.path("run/lock")).unwrap();
    lock.lock().unwrap();
    let running = place.ok(&["evaluate", "run"]).out;
    assert!(running.contains("rnn: training in progress: 0 of 28 epochs so far\n"), "{running}");
    assert!(!running.contains("resume"), "{running}");
    let training = &place.json(&["evaluate", "run", "--json"])["models"]["rnn"]["training"];
    assert_eq!(training["ended"], "in progress");
    drop(lock);
    let done = place.ok(&["train", "--resume", "run", "--epochs", "1"]);
    assert!(!done.out.contains("stopped") && !done.err.contains("nothing left"), "{}{}", done.out, done.err);
    let again = place.ok(&["train", "--resume", "run"]);
    assert!(
        again.err.contains("rnn: nothing left to do: 1 epochs done; increase --epochs to train further"),
        "{}",
        again.err
    );
    assert_eq!(again.out, done.out);
    let training = &place.json(&["evaluate", "run", "--json"])["models"]["rnn"]["training"];
    assert_eq!((&training["ended"], &training["best_epoch"]), (&"all epochs done".into(), &1.into()));
}
