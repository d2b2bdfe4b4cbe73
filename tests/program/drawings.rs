//! Models of pen drawings, as a user runs them.

use std::fs;

use serde_json::Value;

use crate::TestDir;

const SMALL: [&str; 8] = [
    "--epochs",
    "3",
    "--set",
    "models=[\"lstm\"]",
    "--set",
    "network.hidden_sizes=[12]",
    "--set",
    "training.batch_size=8",
];

/// A cross and a zigzag in alternation, all of them different.
fn drawings(count: usize) -> String {
    let line = |number: usize| {
        let (size, tip) = (10 + number % 7, number as f64 / 20.0);
        match number % 2 {
            0 => format!(
                "{{\"word\":\"cross\",\"drawing\":[[[{tip},{size}],[0,{size}],[0,9]],[[{size},0],[0,{size}],[20,30]]]}}\n"
            ),
            _ => format!(
                "{{\"word\":\"zigzag\",\"drawing\":[[[{tip},5,{size},20],[0,{size},0,{size}]]],\"recognized\":true}}\n"
            ),
        }
    };
    (0..count).map(line).collect()
}

fn trained(place: &TestDir) -> crate::Finished {
    fs::write(place.path("own.ndjson"), drawings(60)).unwrap();
    place.ok(&[&["train", "strokes", "--data", "own.ndjson", "--out", "run"][..], &SMALL].concat())
}

/// The drawing of each line.
fn parsed(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["drawing"].clone()).collect()
}

#[test]
fn own_drawings_are_learned_evaluated_and_sampled() {
    let place = TestDir::new();
    let trained = trained(&place);
    assert!(trained.err.contains("train 54 drawings, validation 6 drawings"), "{}", trained.err);
    for part in
        ["nll-per-point", "offset-nll", "pen-nll", "independent points", "seqzoo generate run --svg drawings.svg"]
    {
        assert!(trained.out.contains(part), "no {part} in {}", trained.out);
    }
    let report = &place.json(&["evaluate", "run", "--json"])["models"]["lstm"];
    let value = |name: &str| report[name].as_f64().unwrap();
    assert!((value("nll-per-point") - value("offset-nll") - value("pen-nll")).abs() < 1e-9, "{report}");
    assert_eq!(value("nll-per-point"), value("loss"));
    assert!(report["intervals"]["nll-per-point"][0].as_f64().unwrap() < value("nll-per-point"), "{report}");

    let generate = |more: &[&str]| place.ok(&[&["generate", "run"], more].concat()).out;
    let samples = generate(&["--samples", "3"]);
    assert_eq!(generate(&["--samples", "3"]), samples, "the same seed generates the same drawings");
    assert_eq!(generate(&["--seed", "2"]), samples.lines().last().unwrap().to_owned() + "\n");
    let points = |drawing: &Value| -> usize {
        drawing.as_array().unwrap().iter().map(|stroke| stroke[0].as_array().unwrap().len()).sum()
    };
    let found = parsed(&samples);
    assert!(found.len() == 3 && found[0] != found[1] && found.iter().all(|drawing| points(drawing) > 1), "{samples}");
    let greedy = generate(&["--temperature", "0", "--samples", "2", "--max-points", "5"]);
    let greedy = parsed(&greedy);
    assert!(greedy[0] == greedy[1] && points(&greedy[0]) <= 5, "{greedy:?}");
    // Generated drawings are valid input.
    fs::write(place.path("new.ndjson"), generate(&["--samples", "20"])).unwrap();
    let inspected = place.json(&["data", "inspect", "new.ndjson", "--json"]);
    assert_eq!((&inspected["recipe"], &inspected["splits"]["train"]["examples"]), (&"strokes".into(), &18.into()));
}

#[test]
fn a_sheet_has_a_row_for_each_temperature() {
    let place = TestDir::new();
    trained(&place);
    let draw = |more: &[&str]| {
        let drawn = place.ok(&[&["generate", "run", "--svg", "sheet.svg"], more].concat());
        assert!(drawn.out.is_empty() && drawn.err.contains("wrote sheet.svg"), "{}", drawn.err);
        fs::read_to_string(place.path("sheet.svg")).unwrap()
    };
    let sheet = draw(&[]);
    assert!(sheet.starts_with("<svg ") && sheet.ends_with("</svg>\n"), "{sheet}");
    let labels = |sheet: &str| {
        let texts = sheet.split("<text ").skip(1).map(|text| text.split(['>', '<']).nth(1).unwrap().to_owned());
        texts.collect::<Vec<_>>()
    };
    assert_eq!(labels(&sheet), ["T = 0.1", "T = 0.4", "T = 0.7", "T = 1"]);
    assert!(sheet.contains("viewBox=\"0 0 872 400\"") && sheet.matches("<polyline ").count() >= 32, "{sheet}");
    assert_eq!(draw(&[]), sheet);
    let other = draw(&["--temperature", "0.2,1.5", "--samples", "3", "--seed", "7"]);
    assert_eq!(labels(&other), ["T = 0.2", "T = 1.5"]);
    assert!(other.contains("viewBox=\"0 0 372 200\""), "{other}");
}

#[test]
fn flags_of_other_models_are_refused() {
    let place = TestDir::new();
    trained(&place);
    let text = ["train", "sentences", "--max-steps", "1", "--set", "network.hidden_sizes=[8]", "--out", "text"];
    place.ok(&text);
    for (arguments, part) in [
        (
            &["run", "--prompt", "a"][..],
            "--prompt needs a language model, but this is a model of drawings; its flags are --svg, --max-points",
        ),
        (&["run", "--top-k", "3"], "--top-k needs a language model"),
        (&["run", "--svg", "sheet.png"], "expected a name that ends in .svg"),
        (&["run", "--temperature", "1,-1"], "expected a number of at least 0"),
        (&["run", "--max-points", "1"], "1 is not in 2.."),
        (&["text", "--prompt", "the", "--stop", ""], "expected at least one character"),
        (&["text", "--prompt", "the", "--top-k", "0"], "--top-k"),
        (&["text", "--svg", "sheet.svg"], "--svg needs a model of drawings, but this is a language model"),
        (&["text"], "a language model needs --prompt TEXT or --interactive"),
        (&["text", "--prompt", "the", "--temperature", "0.1,1"], "--temperature: this model needs one"),
    ] {
        let refused = place.run(&[&["generate"], arguments].concat());
        assert!(refused.code == Some(2) && refused.err.contains(part), "{arguments:?}: {}", refused.err);
    }
    let refused = place.run(&["predict", "run", "cross"]);
    assert!(refused.code == Some(2) && refused.err.contains("use `seqzoo generate`"), "{}", refused.err);
    let refused = place.run(&["train", "strokes", "--text", "own.ndjson"]);
    assert!(refused.code == Some(2) && refused.err.contains("--text is for language models"), "{}", refused.err);
}

#[test]
fn damaged_drawings_are_refused_with_their_line_and_short_ones_left_out() {
    let place = TestDir::new();
    let train = |last: &str| {
        fs::write(place.path("own.ndjson"), drawings(40) + last + "\n").unwrap();
        place.run(&[&["train", "strokes", "--data", "own.ndjson"][..], &SMALL].concat())
    };
    for (line, part) in [
        ("{\"drawing\": [[[0, 1], [0]]]}", "own.ndjson, line 41: stroke 1 has 2 x coordinates, but 1 y coordinates"),
        ("{\"drawing\": [[[0, null], [0, 1]]]}", "own.ndjson, line 41: not a drawing: invalid type: null"),
        ("{\"drawing\": [[[0, 1e300], [0, 1]]]}", "own.ndjson, line 41: stroke 1: the coordinate 1e300"),
        ("{\"drawing\": [[[0, \"1\"], [0, 1]]]}", "own.ndjson, line 41: not a drawing: invalid type: string"),
        ("{\"word\": \"cross\"}", "own.ndjson, line 41: not a drawing: missing field `drawing`"),
        ("[[[0, 1], [0, 1]]]", "own.ndjson, line 41: not a JSON object"),
    ] {
        let refused = train(line);
        assert!(refused.code == Some(4) && refused.err.contains(part), "{line}: {}", refused.err);
    }
    let long = format!("{{\"drawing\":[[{0:?},{0:?}]]}}", vec![1; 300]);
    let trained = train(&format!("{{\"drawing\":[]}}\n{{\"drawing\":[[[1],[1]]]}}\n{long}"));
    assert_eq!(trained.code, Some(0), "{}", trained.err);
    for part in ["2 drawings of fewer than 2 points left out", "1 drawing of more than task.max_points = 250 points"] {
        assert!(trained.err.contains(part), "{}", trained.err);
    }
}
