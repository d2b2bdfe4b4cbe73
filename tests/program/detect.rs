//! Anomaly detection, as a user runs it.

use std::fs;

use serde_json::Value;

use crate::TestDir;

/// A daily curve with a fault in rows `from` to `from + 5`.
fn table(from: usize) -> String {
    let row = |row: usize| {
        let usual = (row as f64 * std::f64::consts::TAU / 24.0).sin();
        let is_fault = (from..from + 5).contains(&row);
        let value = usual + if is_fault { 6.0 } else { (row * 7 % 11) as f64 / 100.0 };
        format!("{},{value:.3},{}\n", row + 1, usize::from(is_fault))
    };
    "hour,load,fault\n".to_owned() + &(0..400).map(row).collect::<String>()
}

fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[test]
fn faults_are_found_in_own_series_and_in_new_ones() {
    let place = TestDir::new();
    fs::create_dir(place.path("servers")).unwrap();
    for (name, from) in [("servers/a.csv", 200), ("servers/b.csv", 300), ("new.csv", 150)] {
        fs::write(place.path(name), table(from)).unwrap();
    }
    let columns = ["--value-column", "load", "--time", "hour"];
    let small =
        ["--epochs", "2", "--set", "network.hidden_sizes=[4]", "--set", "task.horizon=6", "--set", "task.window=12"];
    let train =
        |more: &[&str]| place.run(&[&["train", "anomaly", "--data", "servers"][..], &columns, &small, more].concat());
    let trained = train(&["--label-column", "fault", "--out", "run"]);
    assert_eq!(trained.code, Some(0), "{}", trained.err);
    assert!(trained.err.contains("splits: train 96 rows, validation 24 rows, test 680 rows"), "{}", trained.err);
    for part in ["nab-calibrated", "windowed Gaussian", "mean so far"] {
        assert!(trained.out.contains(part), "{part}: {}", trained.out);
    }
    // The first row of each fault is an alarm; no other row is, so that the benchmark's score is the highest possible one.
    let found = objects(&place.ok(&["detect", "run", "--json"]).out);
    let rows: Vec<(bool, u64)> = found
        .iter()
        .map(|row| (row["series"].as_str().unwrap().ends_with("a.csv"), row["row"].as_u64().unwrap()))
        .collect();
    assert_eq!(rows, [(true, 201), (false, 301)], "{found:?}");
    assert_eq!((&found[0]["time"], &found[0]["alarm"]), (&"201".into(), &true.into()));
    let evaluated = &objects(&place.ok(&["evaluate", "run", "--json"]).out)[0]["models"]["gru"];
    assert_eq!((&evaluated["nab"], &evaluated["recall"]), (&100.0.into(), &1.0.into()), "{evaluated}");

    // Both series agree.
    assert!(trained.out.contains("gru: no 95 % interval of nab: all examples agree"), "{}", trained.out);
    assert!(evaluated["intervals"]["nab"].is_null(), "{evaluated}");
    let compared = place.ok(&["compare", "run", "run"]).out;
    for part in ["nab-calibrated", "1.0000", "paired bootstrap over series, 1000 resamples"] {
        assert!(compared.contains(part), "{part}: {compared}");
    }

    // Another file needs no training; its own probationary period sets scale and threshold.
    let new = ["detect", "run", "--data", "new.csv", "--plot", "alarms.svg"];
    let detected = place.ok(&new);
    assert!(
        detected.out.contains("1 alarm in 340 rows of 1 series") && detected.out.contains("151"),
        "{}",
        detected.out
    );
    let picture = fs::read_to_string(place.path("alarms.svg")).unwrap();
    assert!(picture.contains("probationary period") && picture.contains("known anomalies"));
    assert_eq!(objects(&place.ok(&["detect", "run", "--data", "new.csv", "--json", "--all"]).out).len(), 340);
    // Columns with other names, and a rule for alarms that follow each other.
    fs::write(place.path("other.csv"), table(150).replacen("hour,load,fault", "t,x,y", 1)).unwrap();
    let refused = place.run(&["detect", "run", "--data", "other.csv"]);
    assert!(refused.code == Some(4) && refused.err.contains("no column `load`"), "{}", refused.err);
    let names = ["--value-column", "x", "--time", "t", "--label-column", ""];
    let detected = place.ok(&[&["detect", "run", "--data", "other.csv"][..], &names].concat());
    assert!(detected.out.contains("1 alarm in 340 rows") && detected.out.contains("other.csv"), "{}", detected.out);
    let several = place.ok(&["detect", "run", "--data", "new.csv", "--dead-time", "0"]);
    assert!(!several.out.contains("1 alarm in"), "{}", several.out);
    let silent = place.ok(&["detect", "run", "--data", "new.csv", "--above", "1e9"]);
    assert!(silent.out.contains("0 alarms in 340 rows"), "{}", silent.out);

    // A row without a value is left out, others keep their place; rows that are silent in the dead time are marked.
    let holes = table(150).replacen("\n41,", "\n40.5,NA,0\n41,", 1);
    fs::write(place.path("holes.csv"), holes).unwrap();
    let marked = place.run(&["detect", "run", "--data", "holes.csv", "--all"]);
    for (text, part) in [
        (&marked.err, "1, the first on line 42 of"),
        (&marked.out, "1 alarm in 341 rows"),
        (&marked.out, "out of range"),
        (&marked.out, "dead time"),
        (&marked.out, "4 more rows are above the threshold in the dead time"),
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    let all = objects(&place.ok(&["detect", "run", "--data", "holes.csv", "--json", "--all"]).out);
    let remarks = |remark: &str| all.iter().filter(|row| row["remark"] == remark).count();
    assert_eq!((remarks("dead time"), all.iter().filter(|row| row["alarm"] == true).count()), (4, 1));
    assert!(remarks("out of range") > 0 && all.iter().any(|row| row["remark"].is_null()));
    // Two series whose rows alternate, without a column that tells them apart.
    let hours = |name: &str| table(150).lines().skip(1).map(|line| format!("{line},{name}\n")).collect::<Vec<_>>();
    let rows: String = hours("a").into_iter().chain(hours("b")).collect();
    fs::write(place.path("both.csv"), format!("hour,load,fault,server\n{rows}")).unwrap();
    let mixed = place.run(&["detect", "run", "--data", "both.csv"]);
    assert!(mixed.err.contains("timestamps go back once, first from `400` to `1` of both.csv"), "{}", mixed.err);
    let separate = place.run(&["detect", "run", "--data", "both.csv", "--series-column", "server"]);
    assert!(separate.out.contains("2 alarms in 680 rows of 2 series"), "{}", separate.out);
    assert!(!separate.err.contains("go back"), "{}", separate.err);
    // Before training: series, and whether they are long enough.
    let inspected = place.ok(&[&["data", "inspect", "new.csv", "--recipe", "anomaly"][..], &columns].concat()).out;
    for part in ["series: 1", "rows per series: 400 to 400, median 400", "cannot be trained on: the validation split"] {
        assert!(inspected.contains(part), "no {part} in {inspected}");
    }
    fs::write(place.path("short.csv"), table(150).lines().take(40).map(|line| format!("{line}\n")).collect::<String>())
        .unwrap();

    for (arguments, code, part) in [
        (&["detect", "run", "--plot", "a.svg"][..], 2, "--plot draws one series; choose one of"),
        (&["detect", "run", "--data", "short.csv"], 4, "every series is too short"),
        (&["detect", "run", "--text", "new.csv"], 2, "unexpected argument '--text'"),
        (
            &["train", "anomaly", "--data", "new.csv", "--value-column", "load", "--folds", "3"],
            2,
            "there is no cross-validation",
        ),
        (&["detect", "run", "--above", "nan"], 2, "expected a number of at least 0"),
        (&["detect", "run", "--only", "c.csv"], 2, "--only c.csv: no such series"),
        (&["predict", "run", "text"], 2, "`seqzoo detect` with an anomaly detector"),
    ] {
        let refused = place.run(arguments);
        assert!(refused.code == Some(code) && refused.err.contains(part), "{}", refused.err);
    }
    fs::write(place.path("servers/b.csv"), table(300).replacen(",0\n", "x,0\n", 1)).unwrap();
    let refused = train(&[]);
    assert!(refused.code == Some(4) && refused.err.contains("b.csv, line 2: `"), "{}", refused.err);
    fs::write(place.path("servers/b.csv"), "hour,load\n1,2\n2,3\n").unwrap();
    fs::remove_file(place.path("servers/a.csv")).unwrap();
    let refused = train(&[]);
    assert!(refused.code == Some(4) && refused.err.contains("too few"), "{}", refused.err);
}
