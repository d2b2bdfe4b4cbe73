use crate::TestDir;
use std::io::Read;
use std::process::Stdio;

#[test]
fn listings_and_descriptions_match_their_snapshots() {
    let place = TestDir::new();
    for arguments in [
        &["list", "models"][..],
        &["list", "recipes"],
        &["list", "tasks"],
        &["describe", "lstm"],
        &["describe", "bigru"],
        &["describe", "agreement"],
    ] {
        insta::assert_snapshot!(arguments.join("_"), place.ok(arguments).out);
    }
}

#[test]
fn every_listed_name_can_be_described_or_loaded() {
    let place = TestDir::new();
    let list = place.json(&["list", "--json"]);
    for kind in ["recipes", "models"] {
        for item in list[kind].as_array().unwrap() {
            place.ok(&["describe", item["name"].as_str().unwrap()]);
        }
    }
    for item in list["datasets"].as_array().unwrap() {
        place.ok(&["data", "show", item["name"].as_str().unwrap()]);
    }
    assert!(list["backends"].to_string().contains("(linked in)"));
}

#[test]
fn descriptions_of_recipes_begin_with_their_results() {
    let place = TestDir::new();
    let described = place.ok(&["describe", "names"]).out;
    let (header, values) = described.split_once("\n\n# Recipe `names`, resolved: ").unwrap();
    assert!(header.contains("# Command: ") && header.contains("# Result: "), "{header}");
    assert!(header.lines().all(|line| line.starts_with('#')) && values.contains("[training]"), "{described}");
    // The recipe of a run has none.
    place.trained("1");
    let described = place.ok(&["describe", "run/recipe.toml"]).out;
    assert!(described.starts_with("# Recipe `recipe`, resolved: "), "{described}");
    assert_eq!(described.matches("resolved: ").count(), 1, "{described}");
}

#[test]
fn probe_shows_that_gradients_reach_further_in_gated_cells_and_plots_it() {
    let place = TestDir::new();
    for seed in ["1", "2", "3"] {
        let models = ["rnn", "lstm", "gru", "3xrnn+residual"];
        let table =
            place.ok(&[&["probe", "--lag", "60", "--svg", "reach.svg", "--seed", seed][..], &models].concat()).out;
        let row = |distance: &str| -> Vec<f64> {
            let row = table.lines().find(|line| line.trim_start().starts_with(&format!("{distance} "))).unwrap();
            row.split('┆').skip(1).map(|cell| cell.trim().parse().unwrap()).collect()
        };
        let (far, near) = (row("60"), row("0"));
        assert_eq!(near, [1.0; 4], "relative to distance 0");
        let ratios: Vec<f64> = far.iter().zip(&near).map(|(far, near)| far / near).collect();
        assert!(ratios[1..].iter().all(|&ratio| ratio > ratios[0]), "seed {seed}\n{table}");
    }
    let picture = std::fs::read_to_string(place.path("reach.svg")).unwrap();
    assert!(picture.starts_with("<svg") && picture.contains("3xrnn+residual") && picture.contains("polyline"));
    for (model, message) in
        [("3xlstn", "did you mean `lstm`?"), ("0xrnn", "from 1 to 64"), ("rnn+skip", "skip connection")]
    {
        let refused = place.run(&["probe", model]);
        assert!(refused.code == Some(2) && refused.err.contains(message), "{}", refused.err);
    }
}

#[test]
fn probe_measures_trained_models_on_their_data() {
    let place = TestDir::new();
    place.trained("2");
    let table = place.ok(&["probe", "--run", "run", "--lag", "20"]).out;
    assert!(table.contains("the 256 longest examples of test") && table.contains("lstm"), "{table}");
    assert!(table.lines().last().unwrap().trim_start().starts_with("20"), "{table}");
    let found = place.json(&["probe", "--run", "run", "--lag", "20", "--json"]);
    let norms = found["models"]["lstm"].as_array().unwrap();
    assert!(norms.len() == 21 && norms[0] == 1.0 && found["relative to"] == "distance 0", "{found}");
}

#[test]
fn help_of_each_command_has_examples() {
    let place = TestDir::new();
    for command in ["list", "describe", "train", "evaluate", "predict", "generate", "probe", "lab", "bench"] {
        let help = place.ok(&[command, "--help"]).out;
        assert!(help.contains("Examples:") && help.matches("`seqzoo ").count() >= 2, "{help}");
    }
}

#[test]
fn a_closed_pipe_ends_a_listing_quietly() {
    let place = TestDir::new();
    let mut child = place.command(&["list"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!((child.wait().unwrap().code(), errors.as_str()), (Some(0), ""));
}

#[test]
fn bench_reports_engine_instructions_and_threads() {
    let place = TestDir::new();
    let training = place.json(&["bench", "training", "sentences", "--batches", "2", "--json", "--backend", "flex"]);
    assert!(training["fused"] == true && training["instructions"].is_string() && training["threads"].is_u64());
    assert!(training["tokens_per_second"].as_f64().unwrap() > 0.0);
    let growth = ["bench", "growth", "--cell", "rnn", "--time", "3", "--repeats", "1", "--json", "--backend", "flex"];
    let [kept, recomputed] = [&[][..], &["--recompute"]].map(|more| place.json(&[&growth[..], more].concat()));
    assert!(kept["fused"] == true && kept["recomputed"] == false && recomputed["recomputed"] == true);
    let loop_ran = place.json(&[&growth[..], &["--reference"]].concat());
    assert_eq!(loop_ran["fused"], false);
}

#[test]
fn names_of_models_in_recipes_are_described() {
    let place = TestDir::new();
    for (name, parts) in [
        ("lstm-64-32", &["2 layers of 64, 32 units", "seqzoo describe lstm --hidden-size 64"][..]),
        ("bilstm+crf", &["task.crf = true", "seqzoo describe bilstm\n"]),
        ("perceptron", &["multilayer perceptron", "models/src/layers/perceptron.rs"]),
    ] {
        let described = place.ok(&["describe", name]).out;
        assert!(parts.iter().all(|part| described.contains(part)), "{described}");
    }
    let refused = place.run(&["describe", "foo"]);
    assert!(refused.code == Some(2) && !refused.err.contains("did you mean"), "{}", refused.err);
}
