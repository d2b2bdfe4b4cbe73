use crate::{Finished, TestDir};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

const SMALL: [&str; 8] = ["--horizon", "2", "--epochs", "1", "--set", "task.window=4", "--set", "models=[\"gru\"]"];

/// A CSV file with a row per timestamp and a periodic last column.
fn table(header: &str, times: impl IntoIterator<Item = String>) -> String {
    let rows = (0..).zip(times).map(|(row, time)| format!("{time},{:.3}\n", 50.0 + 10.0 * f64::from(row).sin()));
    format!("{header}\n{}", rows.collect::<String>())
}

/// Trains on `data.csv`.
fn train(place: &TestDir, out: &str, more: &[&str]) -> Finished {
    place.run(&[&["train", "forecast", "--csv", "data.csv", "--out", out][..], &SMALL, more].concat())
}

fn next_times(place: &TestDir, arguments: &[&str]) -> Vec<String> {
    let found = place.json(&[&["forecast"], arguments, &["--json"]].concat());
    let time = |row: &Value| row["time"].as_str().unwrap().to_owned();
    found["forecast"].as_array().unwrap().iter().map(time).collect()
}

#[cfg(unix)]
/// Runs the command of the `next: …` line in a shell.
fn run_next(place: &TestDir, out: &str) -> Finished {
    let next = out.lines().find_map(|line| line.strip_prefix("next: ")).unwrap_or_else(|| panic!("no next in {out}"));
    let command = next.replacen("seqzoo", "\"$PROGRAM\"", 1);
    let mut shell = Command::new("sh");
    shell.args(["-c", &command]).env("PROGRAM", env!("CARGO_BIN_EXE_seqzoo")).current_dir(place.path(""));
    let ran: Finished = shell.output().unwrap().into();
    assert_eq!(ran.code, Some(0), "{next}: {}", ran.err);
    ran
}

#[test]
fn metrics_of_a_baseline_are_omitted_where_it_lacks_a_forecast() {
    let place = TestDir::new();
    // 330 rows of five minutes; a day has 288, so only the last rows have a value one day earlier.
    let time = |row: usize| format!("2024-01-{:02} {:02}:{:02}", 1 + row / 288, row % 288 / 12, row % 12 * 5);
    fs::write(place.path("data.csv"), table("t,y", (0..330).map(time))).unwrap();
    let trained = train(&place, "run", &["--time", "t", "--target", "y"]);
    assert_eq!(trained.code, Some(0), "{}", trained.err);
    let report = place.json(&["evaluate", "run", "--json"]);
    // The test split has rows 280 to 329 and origins 280 to 328; origins from 288 on have a value one day earlier.
    let (model, seasonal) = (&report["models"]["gru"], &report["baselines"]["seasonal naive"]);
    assert_eq!((&model["examples"], &seasonal["examples"]), (&98.into(), &82.into()), "{report}");
    assert_eq!(report["baselines"]["persistence"]["examples"], 98);
    assert!(seasonal["rmse"].is_null() && model["rmse"].is_number(), "{report}");
    let folds = seasonal["by fold"].as_object().unwrap();
    for (fold, scores) in folds {
        let complete = scores["examples"] == model["by fold"][fold]["examples"];
        assert_eq!(scores["rmse"].is_number(), complete, "{fold} {scores}");
    }
    assert_eq!(folds.values().filter(|scores| scores["rmse"].is_number()).count(), 3, "{folds:?}");
    assert!(trained.out.contains("seasonal naive predicts 82 of the 98 examples"), "{}", trained.out);
    let row = trained.out.lines().find(|line| line.trim_start().starts_with("rmse ")).unwrap();
    assert!(row.trim_end().ends_with('-'), "{}", trained.out);
}

#[test]
fn compact_dates_are_forecast_as_dates() {
    let place = TestDir::new();
    let months = (0..120).map(|k| format!("{}{:02}", 1990 + k / 12, 1 + k % 12));
    let weeks = (1..=52).map(|week| format!("2024{week:02}"));
    let days = (1..=31).map(|day| format!("202401{day:02}"));
    let counts = (1..=40).map(|count| format!("202401{count:02}"));
    for (out, text, next) in [
        ("months", table("t,y", months), ["200001", "200002"]),
        ("weeks", table("t,y", weeks), ["202501", "202502"]),
        ("days", table("t,y", days), ["20240201", "20240202"]),
        ("counts", table("t,y", counts), ["20240141", "20240142"]),
    ] {
        fs::write(place.path("data.csv"), text).unwrap();
        let trained = train(&place, out, &["--time", "t", "--target", "y"]);
        assert_eq!(trained.code, Some(0), "{}", trained.err);
        assert_eq!(next_times(&place, &[out]), next);
    }
    // Rows that could be months or weeks are parsed with the model's time step.
    fs::write(place.path("recent.csv"), table("t,y", (9..=12).map(|k| format!("2030{k:02}")))).unwrap();
    assert_eq!(next_times(&place, &["months", "--csv", "recent.csv"]), ["203101", "203102"]);
    assert_eq!(next_times(&place, &["weeks", "--csv", "recent.csv"]), ["203013", "203014"]);
}

#[test]
fn column_names_may_contain_commas_or_be_empty() {
    let place = TestDir::new();
    let rows = (1..=40).map(|row| format!("{row},{},{},{}", row % 7, row % 5, row % 3));
    fs::write(place.path("data.csv"), table(",\"Load, MW\",\"Wind, m/s\",Sun,Sun", rows)).unwrap();
    let refused = train(&place, "refused", &["--target", "Load, MW", "--features", "Wind, m/s,Sun"]);
    assert_eq!(refused.code, Some(4), "{}", refused.err);
    for part in ["--features", "Wind, m/s,Sun", "no column `Wind`", "repeat --features"] {
        assert!(refused.err.contains(part), "{}", refused.err);
    }
    let refused = train(&place, "refused", &["--target", "Load, MW", "--features", "Sun"]);
    assert!(refused.code == Some(4) && refused.err.contains("columns 4 and 5 are named `Sun`"), "{}", refused.err);
    let refused = train(&place, "refused", &["--target", "", "--features", "wind"]);
    assert!(refused.code == Some(4) && refused.err.contains("no column `wind`"), "{}", refused.err);
    assert!(!place.path("refused").exists(), "no run is created");

    fs::write(place.path("data.csv"), table(",\"Load, MW\"", (1..=31).map(|day| format!("2024-01-{day:02}")))).unwrap();
    let trained = train(&place, "run", &["--time", "", "--target", "Load, MW"]);
    assert_eq!(trained.code, Some(0), "{}", trained.err);
    assert_eq!(next_times(&place, &["run"]), ["2024-02-01", "2024-02-02"]);
    let recipe = fs::read_to_string(place.path("run/recipe.toml")).unwrap();
    assert!(
        recipe.contains("time = \"\"  # --time") && recipe.contains("target = \"Load, MW\"  # --target"),
        "{recipe}"
    );
    // Evaluation and resume use the recorded column names.
    place.ok(&["evaluate", "run"]);
    place.ok(&["train", "forecast", "--resume", "run"]);

    let three = (1..=40).map(|row| format!("{row},{},{}", row % 5, row % 3));
    fs::write(place.path("data.csv"), table("Day,\"Wind, m/s\",Sun,Load", three)).unwrap();
    for (out, features) in [
        ("repeated", &["--features", "Wind, m/s", "--features", "Sun"][..]),
        ("set", &["--set", "data.columns.features=[\"Wind, m/s\", \"Sun\"]"]),
    ] {
        let trained = train(&place, out, &[&["--time", "Day", "--target", "Load"], features].concat());
        assert_eq!(trained.code, Some(0), "{}", trained.err);
        let recipe = fs::read_to_string(place.path(out).join("recipe.toml")).unwrap();
        assert!(recipe.contains("features = [\"Wind, m/s\", \"Sun\"]"), "{recipe}");
    }
    let counted = train(&place, "counted", &["--target", "Load", "--features", "Sun,Day"]);
    assert_eq!(counted.code, Some(0), "{}", counted.err);
    let recipe = fs::read_to_string(place.path("counted/recipe.toml")).unwrap();
    assert!(recipe.contains("features = [\"Sun\", \"Day\"]") && !recipe.contains("\ntime ="), "{recipe}");
    assert_eq!(next_times(&place, &["counted"]), ["40", "41"]);
}

#[test]
fn a_forecast_needs_exactly_one_window_of_rows() {
    let place = TestDir::new();
    fs::write(place.path("data.csv"), table("t,y", (1..=31).map(|day| format!("2024-01-{day:02}")))).unwrap();
    assert_eq!(train(&place, "run", &["--time", "t", "--target", "y"]).code, Some(0));
    let rows = |rows: u32| -> String {
        let rows = (1..=rows).map(|day| format!("2024-03-{day:02},7\n"));
        std::iter::once("t,y\n".to_owned()).chain(rows).collect()
    };
    fs::write(place.path("recent.csv"), rows(4)).unwrap();
    assert_eq!(next_times(&place, &["run", "--csv", "recent.csv"]), ["2024-03-05", "2024-03-06"]);
    for (count, part) in [(3, "3 rows, but the model needs 4"), (0, "no rows")] {
        fs::write(place.path("recent.csv"), rows(count)).unwrap();
        let refused = place.run(&["forecast", "run", "--csv", "recent.csv"]);
        assert!(refused.code == Some(4) && refused.err.contains(part), "{}", refused.err);
    }
}

/// Runs in another folder, where relative paths of `place` do not exist.
fn elsewhere(place: &TestDir, arguments: &[&str]) -> Finished {
    let other = place.path("elsewhere");
    fs::create_dir_all(&other).unwrap();
    place.command(arguments).current_dir(other).output().unwrap().into()
}

/// Asserts that a trained run finds its data in `file` and detects changes.
fn finds_its_data(place: &TestDir, run: &str, file: &Path, changed: &str) {
    let path = place.path(run);
    let path = path.to_str().unwrap();
    let before = elsewhere(place, &["evaluate", path, "--json"]);
    assert!(before.code == Some(0) && !before.err.contains("warning"), "{}", before.err);
    let resumed = elsewhere(place, &["train", "--resume", path]);
    assert_eq!(resumed.code, Some(0), "{}", resumed.err);

    let text = fs::read_to_string(file).unwrap();
    fs::write(file, changed).unwrap();
    let measured = elsewhere(place, &["evaluate", path, "--json"]);
    let warning = "warning: the data differ from those that the run was trained on";
    assert!(measured.code == Some(0) && measured.err.contains(warning), "{}", measured.err);
    assert!(measured.err.contains("has changed since"), "{}", measured.err);
    let refused = elsewhere(place, &["train", "--resume", path]);
    assert!(refused.code == Some(3) && refused.err.contains("has changed since"), "{}", refused.err);

    fs::write(file, text).unwrap();
    assert_eq!(elsewhere(place, &["evaluate", path, "--json"]).out, before.out);
}

#[test]
fn a_run_records_the_paths_of_its_table_and_text() {
    let place = TestDir::new();
    fs::write(place.path("data.csv"), table("t,y", (0..100).map(|row| row.to_string()))).unwrap();
    assert_eq!(train(&place, "table", &["--time", "t", "--target", "y"]).code, Some(0));
    let file = place.path("data.csv");
    finds_its_data(&place, "table", &file, &table("t,y", (5..90).map(|row| row.to_string())));
    let text = ["--text", "my text.txt", "--set", "training.batch_size=8", "--max-steps", "2", "--out", "text"];
    let file = place.path("my text.txt");
    fs::write(&file, "So it goes, and so it went. ".repeat(300)).unwrap();
    place.ok(&[&["train", "sentences"][..], &text].concat());
    let path = place.path("text");
    let path = path.to_str().unwrap();
    let found = elsewhere(&place, &["evaluate", path, "--json"]);
    assert!(found.code == Some(0) && !found.err.contains("warning"), "{}", found.err);
    fs::write(&file, "And so it went, as it goes. ".repeat(300)).unwrap();
    let found = elsewhere(&place, &["evaluate", path, "--json"]);
    assert!(found.code == Some(0) && found.err.contains("my text.txt has changed since"), "{}", found.err);

    fs::rename(&file, place.path("moved.txt")).unwrap();
    let gone = elsewhere(&place, &["evaluate", path]);
    assert!(gone.code == Some(4) && gone.err.contains("my text.txt, which no longer exists"), "{}", gone.err);
    assert!(gone.err.contains("--text FILE"), "{}", gone.err);
    let refused = elsewhere(&place, &["train", "--resume", path]);
    assert!(refused.code == Some(4) && refused.err.contains("which no longer exists"), "{}", refused.err);
    fs::write(place.path("moved.txt"), "So it goes, and so it went. ".repeat(300)).unwrap();
    let found = place.ok(&["evaluate", "text", "--text", "moved.txt"]);
    assert!(!found.err.contains("warning"), "{}", found.err);
    place.ok(&["train", "--resume", "text", "--text", "moved.txt", "--max-steps", "3"]);
    let found = elsewhere(&place, &["evaluate", path]);
    assert!(found.code == Some(0) && !found.err.contains("warning"), "{}", found.err);
}

#[test]
fn a_run_records_its_data_folder() {
    let place = TestDir::new();
    let names = place.path("my data/names");
    fs::create_dir_all(&names).unwrap();
    let languages = "Arabic Chinese Czech Dutch English French German Greek Irish Italian Japanese Korean Polish Portuguese Russian \
                     Scottish Spanish Vietnamese";
    let write = |middle: &str| {
        for language in languages.split(' ') {
            let name = |last: char| format!("{language}{middle}{last}\n");
            fs::write(names.join(format!("{language}.txt")), ('a'..='t').map(name).collect::<String>()).unwrap();
        }
    };
    write("o");
    let small = ["--set", "models=[\"rnn-8\"]", "--max-steps", "1", "--out", "run"];
    place.ok(&[&["train", "names", "--data-dir", "my data"][..], &small].concat());
    let path = place.path("run");
    let path = path.to_str().unwrap();
    let found = elsewhere(&place, &["evaluate", path, "--json"]);
    assert!(found.code == Some(0) && !found.err.contains("warning"), "{}", found.err);
    write("u");
    let found = elsewhere(&place, &["evaluate", path, "--json"]);
    assert!(found.code == Some(0) && found.err.contains("my data has changed since"), "{}", found.err);
    fs::remove_dir_all(place.path("my data")).unwrap();
    let gone = elsewhere(&place, &["evaluate", path, "--json"]);
    assert!(gone.code == Some(4) && gone.err.contains("my data, which no longer exists"), "{}", gone.err);
}

#[cfg(unix)]
#[test]
fn the_printed_next_command_runs() {
    let place = TestDir::new();
    fs::write(place.path("data.csv"), table("the day,\"y, z\"", (0..100).map(|row| row.to_string()))).unwrap();
    let columns = ["--time", "the day", "--target", "y, z"];
    let trained = train(&place, "my run", &columns);
    run_next(&place, &trained.out);
    assert!(place.path("forecast.svg").is_file());
    // The recipe's example prompt may be outside the vocabulary of a custom text.
    for (name, recipe, text) in [
        ("characters", "shakespeare", "ДВА ЧАСА ночи\nи «три» утра. ".repeat(40)),
        ("words", "ptb", "$HOME `is` \"where\" it's at\nsome\u{1}thing goes\n".repeat(40)),
    ] {
        let file = format!("the {name}.txt");
        fs::write(place.path(&file), text).unwrap();
        let out = format!("{name}'s run");
        let small = ["--set", "network.hidden_sizes=[8]", "--set", "task.embedding_size=8", "--max-steps", "1"];
        let trained = place.ok(&[&["train", recipe, "--text", &file, "--out", &out][..], &small].concat());
        run_next(&place, &trained.out);
    }
    let recipe = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/train/recipes/forecast.toml")).unwrap();
    fs::write(place.path("my recipe.toml"), recipe).unwrap();
    let range_test =
        place
            .ok(&[&["train", "my recipe.toml", "--find-learning-rate", "--csv", "data.csv"][..], &SMALL, &columns]
                .concat());
    let rated = run_next(&place, &range_test.out);
    assert!(rated.err.contains("runs/my recipe-1"), "{}", rated.err);
    place.ok(&["train", "agreement", "--max-steps", "1", "--out", "two"]);
    fs::remove_dir_all(place.path("two/lstm")).unwrap();
    run_next(&place, &place.ok(&["evaluate", "two"]).out);
}

#[test]
fn values_of_any_size_are_readable_in_tables() {
    let place = TestDir::new();
    for (name, scale) in [("tiny", 1e-9), ("huge", 1e30)] {
        let row = |row: u32| format!("{row},{:e}\n", f64::from(row * row % 17 + 1) * scale);
        fs::write(place.path("data.csv"), "t,y\n".to_owned() + &(0..120).map(row).collect::<String>()).unwrap();
        let set = ["--set", "task.window=6", "--set", "models=[\"gru\"]", "--horizon", "2", "--epochs", "1"];
        let data = ["train", "forecast", "--csv", "data.csv", "--time", "t", "--target", "y", "--out", name];
        let trained = place.ok(&[&data[..], &set].concat()).out;
        let forecast = place.ok(&["forecast", name]).out;
        let exponent = if name == "tiny" { "e-" } else { "e3" };
        assert!(trained.contains(exponent) && forecast.contains(exponent), "{trained}\n{forecast}");
        let is_short = |text: &str| text.lines().all(|line| line.chars().count() < 120);
        assert!(is_short(&trained) && is_short(&forecast), "{trained}\n{forecast}");
    }
}
