use crate::TestDir;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::Value;

/// CoNLL-U sentences with a comment, a multiword token and an empty node.
fn conllu(sentences: usize) -> String {
    let mut text = String::new();
    for number in 0..sentences {
        let (noun, verb) = (["dogs", "cats", "birds"][number % 3], ["barked", "slept", "sang"][number / 3 % 3]);
        let word = |id: &str, form: &str, tag: &str| format!("{id}\t{form}\t_\t{tag}\t_\t_\t_\t_\t_\t_\n");
        let _ = write!(
            text,
            "# sent_id = {number}\n{}{}{}{}{}{}\n",
            word("1", "The", "DET"),
            word("2-3", &format!("{noun}n't"), "_"),
            word("2", noun, "NOUN"),
            word("3", verb, "VERB"),
            word("3.1", "gone", "VERB"),
            word("4", ".", "PUNCT"),
        );
    }
    text
}

#[test]
fn a_tagger_trains_reports_metrics_per_label_and_writes_conllu() {
    let place = TestDir::new();
    fs::create_dir_all(place.path("data/ud_english_ewt")).unwrap();
    // A sentence of 10,000 words is truncated for training and evaluated in full.
    let long: String = (1..=10_000).map(|id| format!("{id}\tdogs\t_\tNOUN\t_\t_\t_\t_\t_\t_\n")).collect();
    let crow = conllu(9).replace("bird", "crow").replace('\n', "\r\n");
    for (split, text) in [("train", conllu(90) + &long + "\n"), ("dev", conllu(90) + &long + "\n" + &crow)] {
        fs::write(place.path(&format!("data/ud_english_ewt/en_ewt-ud-{split}.conllu")), text).unwrap();
    }
    let small = ["--set", "network.hidden_sizes=[16]", "--set", "training.learning_rate=0.02", "--epochs", "8"];
    let trained = place.ok(&[&["train", "pos", "--out", "run"][..], &small].concat()).out;
    assert!(trained.contains("bilstm+crf") && trained.contains("word: known"), "{trained}");
    let report = place.json(&["evaluate", "run", "--json"]);
    for model in ["bilstm", "bilstm+crf"] {
        assert_eq!(report["models"][model]["accuracy"], 1.0, "{report}");
        assert_eq!(report["models"][model]["labels"]["NOUN"]["f1"], 1.0);
    }
    assert!(report["baselines"]["most frequent label of the word"]["accuracy"].is_number());
    // 99 sentences of four words and the long one; three words, `crows`, are not in the training split.
    let of_words = &report["models"]["bilstm"]["by word"];
    assert_eq!((&of_words["known"]["examples"], &of_words["unknown"]["examples"]), (&10_393.into(), &3.into()));
    let labels = place.ok(&["evaluate", "run", "--labels"]).out;
    assert!(labels.contains("precision") && labels.contains("rows: actual, columns: predicted"), "{labels}");

    fs::write(place.path("new.conllu"), conllu(3).replace("VERB", "_").replace("NOUN", "_")).unwrap();
    let written = place.ok(&["predict", "run", "--file", "new.conllu", "--format", "conll"]).out;
    let expected = conllu(3).replace("gone\t_\tVERB", "gone\t_\t_");
    assert_eq!(written, expected, "only tags change");
    let line = place.ok(&["predict", "run", "The birds sang."]).out;
    assert_eq!(line, "The/DET birds/NOUN sang/VERB ./PUNCT\n");
    let plain = place.ok(&["predict", "run", "The birds sang.", "--format", "conll", "--model", "bilstm+crf"]).out;
    assert!(plain.starts_with("# text = The birds sang.\n1\tThe\t_\tDET\t"), "{plain}");
    assert!(plain.contains("3\tsang\t_\tVERB\t_\t_\t_\t_\t_\tSpaceAfter=No\n"), "{plain}");
    let long = "dogs slept ".repeat(5_000);
    let answer: Value = serde_json::from_str(&place.ok(&["predict", "run", &long, "--json"]).out).unwrap();
    assert_eq!(answer["labels"].as_array().unwrap().len(), 10_000);

    fs::write(place.path("data/ud_english_ewt/en_ewt-ud-dev.conllu"), conllu(2).replace("NOUN", "NN")).unwrap();
    let refused = place.run(&["evaluate", "run"]);
    assert!(refused.code == Some(4) && refused.err.contains("en_ewt-ud-dev.conllu, line 4:"), "{}", refused.err);
    let refused = place.run(&["train", "agreement", "--set", "models=[\"lstm+crf\"]"]);
    assert!(refused.code == Some(3) && refused.err.contains("`+crf` is not an option of this task"), "{}", refused.err);
}

#[test]
fn beam_search_returns_distinct_hypotheses_by_probability() {
    let place = TestDir::new();
    let small = ["--set", "network.hidden_sizes=[16]", "--max-steps", "30", "--out", "run"];
    let trained = place.ok(&[&["train", "execute"][..], &small].concat()).out;
    for part in ["digits, nesting: 4, 2", "bilstm: 95 % interval of accuracy "] {
        assert!(trained.contains(part), "no {part} in {trained}");
    }
    let errors = place.ok(&["evaluate", "run", "--errors", "2"]).out;
    assert!(errors.contains("2 of ") && errors.contains("wrong predictions, the most edits first"), "{errors}");
    let predict = |more: &[&str]| place.json(&[&["predict", "run", "a=12\\nprint(a+7)", "--json"], more].concat());
    let (greedy, beam) = (predict(&[]), predict(&["--beam", "4"]));
    let hypotheses = beam["hypotheses"].as_array().unwrap();
    let probabilities: Vec<f64> = hypotheses.iter().map(|one| one["probability"].as_f64().unwrap()).collect();
    assert!(hypotheses.len() == 4 && probabilities.is_sorted_by(|one, other| one >= other), "{beam}");
    assert!(probabilities[0] >= greedy["probability"].as_f64().unwrap() - 1e-9, "{greedy} {beam}");
    // The target vocabulary has twelve characters and the end-of-sequence token.
    let wide = predict(&["--beam", "100"]);
    let texts: Vec<&str> = wide["hypotheses"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hypothesis| hypothesis["prediction"].as_str().unwrap())
        .collect();
    let distinct: std::collections::HashSet<&str> = texts.iter().copied().collect();
    assert_eq!((texts.len(), distinct.len()), (100, 100), "{texts:?}");
    let refused = place.run(&["predict", "run", ""]);
    assert!(refused.code == Some(4) && refused.err.contains("the text is empty"), "{}", refused.err);
}

#[test]
fn summaries_copy_names_report_rouge_and_draw_attention() {
    let place = TestDir::new();
    let name = |row: usize| format!("{}{}vo", ["ba", "ke", "tu", "ri"][row % 4], ["lo", "mi", "na"][row / 4 % 3]);
    // Each name occurs too rarely to be in the vocabulary.
    let pair = |row: usize| format!("Rain fell in {0}{row} today. People in {0} slept.\train in {0}{row}\n", name(row));
    fs::write(place.path("pairs.txt"), (0..120).map(pair).collect::<String>()).unwrap();
    let small = ["--set", "network.hidden_sizes=[24]", "--set", "training.batch_size=4", "--epochs", "15"];
    let more = ["--set", "task.scheduled_sampling=0.1", "--set", "task.length_penalty=0.6"];
    let trained =
        place.ok(&[&["train", "summaries", "--data", "pairs.txt", "--out", "run"][..], &small, &more].concat());
    for part in ["bilstm+copy", "rouge-l", "lead"] {
        assert!(trained.out.contains(part), "no {part} in {}", trained.out);
    }
    let report = place.json(&["evaluate", "run", "--json", "--split", "validation"]);
    let of_model = |model: &str, metric: &str| report["models"][model][metric].as_f64().unwrap();
    assert!(report["baselines"]["lead"]["rouge-l"].is_number(), "{report}");
    // Without copying, a name cannot be written.
    assert_eq!(of_model("bilstm", "accuracy"), 0.0);
    assert!(of_model("bilstm+copy", "accuracy") > 0.7 && of_model("bilstm+copy", "rouge-l") > 85.0, "{report}");
    let text = "Rain fell in Zuzazi today. People in Lolo slept.";
    let predicted = place.json(&["predict", "run", text, "--beam", "3", "--json", "--attention", "attention.svg"]);
    assert_eq!(predicted["prediction"], "rain in zuzazi", "{predicted}");
    let picture = fs::read_to_string(place.path("attention.svg")).unwrap();
    assert!(picture.starts_with("<svg") && picture.matches("zuzazi").count() == 2, "{picture}");

    let refused = place.run(&["predict", "run", "--file", "pairs.txt", "--attention", "attention.svg"]);
    assert!(refused.code == Some(2) && refused.err.contains("cannot be used with '--attention"), "{}", refused.err);
    let refused = place.run(&["predict", "run", "-", "--attention", "attention.svg"]);
    assert!(refused.code == Some(2) && refused.err.contains("draws a single text"), "{}", refused.err);
    let refused = place
        .run(&[&["train", "summaries", "--data", "pairs.txt"][..], &["--set", "task.label_smoothing=0.1"]].concat());
    assert!(refused.code == Some(3) && refused.err.contains("task.label_smoothing"), "{}", refused.err);
    place.ok(&["train", "agreement", "--max-steps", "1", "--set", "models=[\"lstm\"]", "--out", "plain"]);
    let refused = place.run(&["predict", "plain", text, "--attention", "attention.svg"]);
    assert!(refused.code == Some(2) && refused.err.contains("no attention over the text"), "{}", refused.err);
}

/// A CSV file with a period of seven rows.
fn table(rows: usize) -> String {
    let value = |row: usize| 50.0 + 10.0 * (row as f64 * std::f64::consts::TAU / 7.0).sin();
    let line = |row: usize| format!("{row},{:.3},{}\n", value(row), row % 5);
    std::iter::once("day,sold,price\n".to_owned()).chain((0..rows).map(line)).collect()
}

#[test]
fn a_csv_file_is_forecast_with_intervals_and_plotted() {
    let place = TestDir::new();
    fs::write(place.path("sales.csv"), table(300)).unwrap();
    let columns = ["--csv", "sales.csv", "--time", "day", "--target", "sold", "--features", "price"];
    let small = ["--horizon", "3", "--epochs", "12", "--set", "task.window=14", "--out", "run"];
    let trained = place.ok(&[&["train", "forecast"][..], &columns, &small].concat()).out;
    for part in ["persistence", "perceptron", "fold: 1", "step ahead: 3", "(nominal 90 %)", "seqzoo forecast run"] {
        assert!(trained.contains(part), "no {part} in {trained}");
    }
    let report = place.json(&["evaluate", "run", "--csv", "sales.csv", "--json"]);
    assert!(report["models"]["gru"]["interval"]["empirical"].as_f64().is_some_and(|share| share > 0.0), "{report}");
    // 43 origins in blocks of four.
    let [low, high] = [0, 1].map(|end| report["models"]["gru"]["intervals"]["rmse"][end].as_f64().unwrap());
    let rmse = report["models"]["gru"]["rmse"].as_f64().unwrap();
    assert!(low < rmse && rmse < high && high < 2.0 * rmse, "{report}");
    let [model, naive] = ["models", "baselines"].map(|kind| report[kind].as_object().unwrap().clone());
    assert!(model["gru"]["rmse"].as_f64().unwrap() < naive["persistence"]["rmse"].as_f64().unwrap(), "{report}");
    let forecast = place.json(&["forecast", "run", "--json", "--plot", "next.svg", "--quantiles", "0.9,0.1"]);
    let first = &forecast["forecast"][0];
    assert_eq!((first["time"].as_str(), forecast["forecast"].as_array().unwrap().len()), (Some("300"), 3));
    let [low, middle, high] =
        [&first["quantiles"]["0.1"], &first["value"], &first["quantiles"]["0.9"]].map(|value| value.as_f64().unwrap());
    assert!(low < middle && middle < high && (30.0..70.0).contains(&middle), "{first}");
    let picture = fs::read_to_string(place.path("next.svg")).unwrap();
    assert!(picture.starts_with("<svg") && picture.contains("polygon") && picture.contains("sold"));
    // The same last window gives the same forecast.
    let same = place.json(&["forecast", "run", "--json", "--csv", "sales.csv", "--quantiles", "0.1,0.9"]);
    assert_eq!(same["forecast"], forecast["forecast"]);

    // Raw quantiles of a barely trained network cross; reported ones do not.
    let quantiles = ["--set", "task.distribution=quantiles", "--set", "task.quantiles=[0.1, 0.3, 0.5, 0.7, 0.9]"];
    let hardly = ["--horizon", "3", "--max-steps", "3", "--set", "task.window=14", "--out", "quantiles"];
    place.ok(&[&["train", "forecast"][..], &columns, &quantiles, &hardly].concat());
    let forecast = place.json(&["forecast", "quantiles", "--json"]);
    for row in forecast["forecast"].as_array().unwrap() {
        let each = ["0.1", "0.3", "0.5", "0.7", "0.9"].map(|p| row["quantiles"][p].as_f64().unwrap());
        assert!(each.is_sorted() && row["value"].as_f64() == Some(each[2]), "{row}");
    }
    let every_second = |(index, line): (usize, &'_ str)| (index % 2 == 0).then(|| format!("{line}\n"));
    let rows = table(300);
    let (header, lines) = rows.split_once('\n').unwrap();
    let fewer: String = lines.lines().enumerate().filter_map(every_second).collect();
    fs::write(place.path("fewer.csv"), format!("{header}\n{fewer}")).unwrap();
    for (arguments, code, part) in [
        (&["train", "forecast", "--target", "sold"][..], 4, "--csv FILE"),
        (&["train", "forecast", "--csv", "sales.csv"], 2, "--target COLUMN"),
        (&["train", "forecast", "--csv", "sales.csv", "--target", "slod"], 4, "sold"),
        (&["train", "agreement", "--csv", "sales.csv"], 2, "this recipe is for classification"),
        (&["train", "forecast", "--set", "task.quantiles=[0.1, 0.9]"], 3, "0.5, the point forecast"),
        (&["forecast", "run", "--plot", "next.png"], 2, "ends in .svg"),
        (&["forecast", "run", "--csv", "fewer.csv"], 4, "in steps of 1, but the data are in steps of 2"),
        (&["evaluate", "run", "--csv", "fewer.csv"], 4, "in steps of 1, but the data are in steps of 2"),
        (&["train", "forecast", "--csv", "sales.csv", "--target", "sold", "--horizon", "60"], 4, "split has 45 rows"),
        (&["forecast", "run", "--quantiles", "1.5"], 2, "between 0 and 1"),
        (&["train", "agreement", "--set", "models=[\"perceptron\"]"], 3, "only forecasting"),
    ] {
        let ran = place.run(arguments);
        assert!(ran.code == Some(code) && ran.err.contains(part), "{arguments:?}: {:?} {}", ran.code, ran.err);
    }
}

#[test]
fn verify_compares_a_recipe_with_its_expected_metric() {
    let place = TestDir::new();
    let recipe = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/train/recipes/agreement.toml")).unwrap();
    let (common, per_model) = recipe.split_once("[model.rnn.training]").unwrap();
    let (_, rest) = per_model.split_once("\n\n").unwrap();
    let recipe = format!("{common}{rest}");
    let modest =
        recipe.replace("models = [\"lstm\", \"rnn\"]", "models = [\"rnn\"]").replace("epochs = 4", "epochs = 1");
    let low = modest.lines().map(|line| if line.starts_with("value =") { "value = 0.2" } else { line });
    fs::write(place.path("low.toml"), low.collect::<Vec<_>>().join("\n")).unwrap();
    let found = place.json(&["verify", "low.toml", "--json", "--out", "run"]);
    assert_eq!((&found["met"], &found["retrained"], &found["expected"]), (&true.into(), &true.into(), &0.2.into()));
    assert!(found["value"].as_f64().unwrap() > 0.4 && found["baselines"]["most frequent label"].is_object(), "{found}");
    let again = place.json(&["verify", "low.toml", "--json", "--run", "run"]);
    assert_eq!((&again["retrained"], &again["value"]), (&false.into(), &found["value"]));
    let two = ["train", "agreement", "--max-steps", "2", "--out", "two"];
    place.ok(&two);
    fs::remove_dir_all(place.path("two/rnn")).unwrap();
    let half = place.ok(&["evaluate", "two"]);
    assert!(half.err.contains("not trained yet: rnn") && half.out.contains("lstm"), "{}{}", half.err, half.out);
    let strict = ["verify", "low.toml", "--run", "run", "--set", "expected.value=0.99"];
    let failed = place.run(&strict);
    assert!(failed.code == Some(7) && failed.err.contains("not met: test accuracy"), "{}", failed.err);
    let foreign = place.run(&["verify", "agreement", "--run", "run"]);
    assert!(foreign.code == Some(2) && foreign.err.contains("a run of low"), "{}", foreign.err);
}

#[test]
fn datasets_are_fetched_verified_and_shown() {
    let place = TestDir::new();
    let shown = place.ok(&["data", "show", "ptb"]).out;
    assert!(
        shown.contains("ptb.train.txt") && shown.contains("SHA-256 fcea919f") && shown.contains("license"),
        "{shown}"
    );
    let refused = place.run(&["data", "show", "ptp"]);
    assert!(refused.code == Some(2) && refused.err.contains("did you mean `ptb`?"), "{}", refused.err);

    // A file with a wrong checksum is not moved into place.
    fs::write(place.path("input.txt"), "To be, or not to be. ".repeat(20)).unwrap();
    let refused = place.run(&["data", "fetch", "shakespeare", "--from", "input.txt"]);
    assert!(refused.code == Some(7) && refused.err.contains("86c4e6aa"), "{}", refused.err);
    assert!(!place.path("data/tiny_shakespeare/input.txt").exists());
    let refused = place.run(&["data", "fetch", "shakespeare", "--from", "plays.txt"]);
    assert!(refused.code == Some(2) && refused.err.contains("input.txt"), "{}", refused.err);

    // A server with two of three files; the third is optional.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/mirror/", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        for stream in listener.incoming().take(3) {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap();
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            let (status, body) = match request.contains("/mirror/en_ewt-ud-test.conllu ") {
                true => ("404 Not Found", String::new()),
                false => ("200 OK", conllu(4)),
            };
            let length = body.len();
            write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}").unwrap();
        }
    });
    let fetched = place.ok(&["data", "fetch", "pos", "--mirror", &address]);
    server.join().unwrap();
    assert!(fetched.err.contains("skipped ") && fetched.out.contains("data verify pos"));
    let verified = place.ok(&["data", "verify", "pos"]).out;
    assert!(
        verified.contains("pos: loaded successfully: train 4 sentences, validation 4 sentences, test 0 sentences"),
        "{verified}"
    );
    let refused = place.run(&["data", "fetch", "names", "--mirror", "http://127.0.0.1:1"]);
    assert!(refused.code == Some(4) && refused.err.contains("--from FILE"), "{}", refused.err);
}

#[test]
fn sizes_that_do_not_fit_the_data_are_rejected_by_field() {
    let place = TestDir::new();
    fs::create_dir_all(place.path("data/ud_english_ewt")).unwrap();
    for split in ["train", "dev"] {
        fs::write(place.path(&format!("data/ud_english_ewt/en_ewt-ud-{split}.conllu")), conllu(9)).unwrap();
    }
    fs::write(place.path("sales.csv"), table(300)).unwrap();
    let table = ["--csv", "sales.csv", "--target", "sold", "--set", "task.window=14"];
    for (recipe, data, model) in
        [("pos", &[][..], "bilstm"), ("forecast", &table[..], "gru"), ("execute", &[][..], "bilstm")]
    {
        let models = format!("models=[\"{model}\"]");
        let skip = ["--set", "network.skip=residual", "--set", "network.hidden_sizes=[16]", "--set", &models];
        let size: &[&str] = if model == "gru" { &[] } else { &["--set", "task.embedding_size=32"] };
        let ran = place.run(&[&["train", recipe, "--out", recipe][..], size, &skip, data].concat());
        let named =
            ran.err.contains("do not fit the data") && ran.err.contains("skip") && ran.err.contains("[network]");
        assert!(ran.code == Some(3) && named, "{recipe}: {:?} {}", ran.code, ran.err);
        assert!(!place.path(recipe).exists(), "{recipe}: a rejected recipe leaves no folder behind");
    }
    // A validation split of one word has nothing to predict.
    fs::write(place.path("text.txt"), "so it goes ".repeat(30) + &"o".repeat(60)).unwrap();
    let ran = place.run(&["train", "ptb", "--text", "text.txt"]);
    assert!(ran.code == Some(4) && ran.err.contains("fewer than two tokens"), "{:?} {}", ran.code, ran.err);
}

#[test]
fn slots_are_read_from_the_dataset_and_from_own_folders() {
    let place = TestDir::new();
    for folder in ["snips/train", "snips/valid"] {
        fs::create_dir_all(place.path(folder)).unwrap();
        let write = |name: &str, lines: [&str; 2]| {
            let text: String =
                (0..30).map(|row| format!("{}\n", lines[row % 2].replace('1', &row.to_string()))).collect();
            fs::write(place.path(&format!("{folder}/{name}")), text).unwrap();
        };
        write("seq.in", ["play song1 now", "will it rain at 1"]);
        write("seq.out", ["O B-song O", "O O O O B-time"]);
        write("label", ["Play", "Weather"]);
    }
    for data in [&["--data-dir", "."][..], &["--data", "snips/train"]] {
        let shown = place.ok(&[&["check", "slots", "--json"][..], data].concat()).out;
        assert!(shown.contains("bilstm"), "{shown}");
        let report = place.ok(&[&["train", "slots", "--epochs", "1"][..], data].concat()).out;
        assert!(report.contains("span-f1") && report.contains("label-accuracy"), "{report}");
    }
}
